package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// observed is the payload of the suite's events.
type observed struct{}

func (observed) EventType() event.Type { return testType }

// seen collects what a reactor was given of one stream.
type seen struct {
	mu     sync.Mutex
	events []event.Recorded
}

func (s *seen) add(e event.Recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// values are the values of the events so far.
func (s *seen) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, e := range s.events {
		values = append(values, string(e.Data))
	}
	return values
}

func values(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprintf(`{"n":%d}`, n))
	}
	return all
}

// react runs a reactor until the test ends or the returned function is called.
// It is only given the events of the stream, whose topic is the EVE topic.
func (s *suite) react(t *testing.T, name string, stream event.Stream, fn eventlog.ReactorFunc) (stop func()) {
	t.Helper()
	registry := event.NewRegistry()
	event.Register[observed](registry)
	r, err := eventlog.NewReactors(eventlog.ReactorsConfig{
		Brokers: s.Brokers, Registry: registry, Retries: 3, FirstRetry: time.Millisecond,
		SessionTimeout: 6 * time.Second, CloseTimeout: 10 * time.Second,
	})
	require.NoError(t, err)
	require.NoError(t, r.Handle(name, event.TopicEVE, func(ctx context.Context, e event.Recorded) error {
		if e.Stream != stream {
			return nil
		}
		return fn(ctx, e)
	}))
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context()) }()
	stop = sync.OnceFunc(func() {
		require.NoError(t, r.Close())
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// append appends numbered events to the stream.
func (s *suite) append(t *testing.T, stream event.Stream, from, to int) []event.Event {
	t.Helper()
	var events []event.Event
	for n := from; n < to; n++ {
		events = append(events, numbered(stream, n))
	}
	require.NoError(t, s.appender(t).Append(t.Context(), events...))
	return events
}

func (s *suite) reactorOrder(t *testing.T) {
	stream := newStream()
	events := s.append(t, stream, 0, 10)
	var got seen
	s.react(t, "order-"+uuid.NewString(), stream, func(_ context.Context, e event.Recorded) error {
		got.add(e)
		return nil
	})
	require.Eventually(t, func() bool { return len(got.values()) == 10 }, deadline, 10*time.Millisecond,
		"a new reactor begins with what is already there")
	events = append(events, s.append(t, stream, 10, 20)...)
	require.Eventually(t, func() bool { return len(got.values()) >= 20 }, deadline, 10*time.Millisecond)
	require.Equal(t, values(0, 20), got.values())

	read := s.reader(t)
	for i, e := range got.events {
		require.Equal(t, events[i].ID, e.ID)
		records, err := read.ReadAt(t.Context(), []event.Position{e.Position})
		require.NoError(t, err)
		again, err := records[e.Position].Recorded()
		require.NoError(t, err)
		require.Equal(t, again, e, "the position is where the event lies")
	}
}

func (s *suite) reactorRetry(t *testing.T) {
	stream := newStream()
	var got seen
	attempts := make(map[string]int)
	s.react(t, "retry-"+uuid.NewString(), stream, func(ctx context.Context, e event.Recorded) error {
		if err := ctx.Err(); err != nil {
			t.Errorf("an attempt begins with a context that has ended: %v", err)
		}
		attempts[string(e.Data)]++
		if attempts[string(e.Data)] <= 2 {
			return errors.New("not yet")
		}
		got.add(e)
		return nil
	})
	s.append(t, stream, 0, 3)
	require.Eventually(t, func() bool { return len(got.values()) >= 3 }, deadline, 10*time.Millisecond)
	require.Equal(t, values(0, 3), got.values())
}

func (s *suite) reactorPoison(t *testing.T) {
	stream, name := newStream(), "poison-"+uuid.NewString()
	from := s.ends(t, event.TopicPoison)
	foreign := "foreign/" + uuid.NewString()
	s.produce(t, &kgo.Record{Topic: event.TopicEVE, Key: []byte(foreign), Value: []byte("\xff")})
	var got seen
	var unavailable, refused int
	s.react(t, name, stream, func(_ context.Context, e event.Recorded) error {
		switch string(e.Data) {
		case `{"n":1}`:
			refused++
			return errors.New("it is the event's fault")
		case `{"n":2}`:
			panic("out of cheese")
		case `{"n":3}`:
			unavailable++
			if unavailable <= 6 {
				return event.Errorf(event.CodeUnavailable, "the other side is away")
			}
		}
		got.add(e)
		return nil
	})
	events := s.append(t, stream, 0, 5)
	require.Eventually(t, func() bool { return len(got.values()) >= 3 }, deadline, 10*time.Millisecond)
	require.Equal(t, []string{`{"n":0}`, `{"n":3}`, `{"n":4}`}, got.values(), "what is away for a while is not poison")
	require.Equal(t, 4, refused, "one attempt and three retries")

	parked := make(map[string]map[string]string)
	c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: s.Brokers}, from)
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for parked[events[1].Key()] == nil || parked[events[2].Key()] == nil || parked[foreign] == nil {
		records, err := c.Poll(ctx, 0)
		require.NoError(t, err)
		for _, r := range records {
			headers := make(map[string]string)
			for _, h := range r.Headers {
				headers[h.Name] = h.Value
			}
			if strings.HasPrefix(headers["handler_poisoned"], name) {
				parked[r.Key] = headers
			}
		}
	}
	require.Contains(t, parked[events[1].Key()]["reason_poisoned"], "it is the event's fault")
	require.Contains(t, parked[events[2].Key()]["reason_poisoned"], "out of cheese")
	require.Contains(t, parked[foreign]["reason_poisoned"], "is no event")
	require.NotContains(t, parked, events[0].Key())
	require.NotContains(t, parked, events[3].Key())
	for _, headers := range parked {
		require.Equal(t, event.TopicEVE, headers["muster_topic"])
		require.NotEmpty(t, headers["muster_partition"])
		require.NotEmpty(t, headers["muster_offset"])
	}
	require.Equal(t, string(stream), parked[events[1].Key()]["ce_subject"], "the original headers are kept")
}

func (s *suite) reactorRedelivery(t *testing.T) {
	stream, name := newStream(), "again-"+uuid.NewString()
	from := s.ends(t, event.TopicPoison)
	s.append(t, stream, 0, 3)
	var first seen
	reached := make(chan struct{})
	stop := s.react(t, name, stream, func(ctx context.Context, e event.Recorded) error {
		if string(e.Data) == `{"n":1}` {
			close(reached)
			<-ctx.Done()
			return errors.New("interrupted in the middle")
		}
		first.add(e)
		return nil
	})
	select {
	case <-reached:
	case <-time.After(deadline):
		t.Fatal("the reactor was not given its event")
	}
	stop()

	var second seen
	s.react(t, name, stream, func(_ context.Context, e event.Recorded) error {
		second.add(e)
		return nil
	})
	require.Eventually(t, func() bool { return len(second.values()) >= 2 }, deadline, 10*time.Millisecond)
	require.Equal(t, values(0, 1), first.values())
	require.Equal(t, values(1, 3), second.values(), "what was finished is not repeated, what was not is")
	read := s.reader(t)
	for p, end := range s.ends(t, event.TopicPoison) {
		require.NoError(t, read.ReadRange(t.Context(), p, from[p], end, func(r eventlog.Record) error {
			require.NotContains(t, r.Key, string(stream), "stopping poisons nothing")
			return nil
		}))
	}
}

func (s *suite) reactorUnknown(t *testing.T) {
	stream := newStream()
	newer := numbered(stream, 0)
	newer.Type = "muster.eve.section.observed.v2"
	a := s.appender(t)
	require.NoError(t, a.Append(t.Context(), newer))
	require.NoError(t, a.Expire(t.Context(), event.TopicEVE,
		event.Tombstone(stream, uuid.New(), time.Now(), event.Expiry{Policy: policy, CutOff: time.Now()})))
	s.append(t, stream, 1, 2)
	var got seen
	s.react(t, "unknown-"+uuid.NewString(), stream, func(_ context.Context, e event.Recorded) error {
		got.add(e)
		return nil
	})
	require.Eventually(t, func() bool { return len(got.values()) >= 1 }, deadline, 10*time.Millisecond)
	require.Equal(t, values(1, 2), got.values())
}
