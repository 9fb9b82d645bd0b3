package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
)

const typeSection event.Type = "muster.eve.section.observed.v1"

// recorder is a publisher that keeps what is sent and asks a function whether
// sending works.
type recorder struct {
	allow func(event.Event) error

	mu   sync.Mutex
	sent []event.Event
	to   []string
}

func (r *recorder) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		e := *m.Context().Value(eventContextKey{}).(*event.Event)
		r.mu.Lock()
		r.sent = append(r.sent, e)
		r.to = append(r.to, topic)
		r.mu.Unlock()
		if r.allow != nil {
			if err := r.allow(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recorder) Close() error { return nil }

func (r *recorder) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return keysOf(r.sent)
}

func keysOf(events []event.Event) []string {
	keys := []string{}
	for _, e := range events {
		keys = append(keys, e.Key())
	}
	return keys
}

func appendTo(t testing.TB, r *recorder, cfg AppenderConfig) *Appender {
	t.Helper()
	metrics, err := newAppenderMetrics(cfg.Metrics)
	require.NoError(t, err)
	return startAppender(cfg.withDefaults(), r, metrics)
}

func section(character int64) event.Event {
	return event.Event{ID: uuid.New(), Type: typeSection, Stream: event.Character(character), Time: time.Now(), Data: []byte("{}")}
}

func TestAppendSendsNothingOfACallWithAnInvalidEvent(t *testing.T) {
	r := &recorder{}
	a := appendTo(t, r, AppenderConfig{})
	defer a.Close()
	huge := section(1)
	huge.Data = []byte(`"` + strings.Repeat("x", MaxEventBytes) + `"`)
	noJSON := section(1)
	noJSON.Data = []byte("{")
	elsewhere := section(1)
	elsewhere.Type = "muster.mars.rover.landed.v1"
	for name, bad := range map[string]event.Event{
		"too large": huge, "no JSON": noJSON, "unknown world": elsewhere, "empty": {},
		"tombstone": event.Tombstone(event.Org, uuid.New(), time.Now(), event.Expiry{}),
	} {
		t.Run(name, func(t *testing.T) {
			err := a.Append(t.Context(), section(1), bad)
			require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
			require.Empty(t, r.keys())
		})
	}
	require.ErrorContains(t, a.Append(t.Context(), huge), huge.Key())
	require.NoError(t, a.Append(t.Context()), "no events are no work")
}

func TestAppendStampsWhenAnEventWasRecorded(t *testing.T) {
	r := &recorder{}
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600))
	a := appendTo(t, r, AppenderConfig{Now: func() time.Time { return now }})
	defer a.Close()
	fresh, stamped := section(1), section(1)
	stamped.Recorded = now.Add(-time.Hour)
	require.NoError(t, a.Append(t.Context(), fresh, stamped))
	require.Equal(t, now.UTC(), r.sent[0].Recorded)
	require.Equal(t, time.UTC, r.sent[0].Recorded.Location())
	require.Equal(t, stamped.Recorded, r.sent[1].Recorded)
	require.Zero(t, fresh.Recorded)
}

func TestAppendGoesToTheTopicOfTheType(t *testing.T) {
	r := &recorder{}
	a := appendTo(t, r, AppenderConfig{})
	defer a.Close()
	viewed := section(1)
	viewed.Type = "muster.access.data.viewed.v1"
	require.NoError(t, a.Append(t.Context(), section(1), viewed, section(1)))
	require.Equal(t, []string{event.TopicEVE, event.TopicAccess, event.TopicEVE}, r.to)
}

func TestAppendStopsAStreamAtItsFirstFailure(t *testing.T) {
	a1, a2, a3, b1 := section(1), section(1), section(1), section(2)
	broken := errors.New("broken pipe")
	r := &recorder{allow: func(e event.Event) error {
		if e.ID == a2.ID {
			return broken
		}
		return nil
	}}
	metrics := prometheus.NewRegistry()
	a := appendTo(t, r, AppenderConfig{Metrics: metrics})
	defer a.Close()

	err := a.Append(t.Context(), a1, a2, b1, a3)

	require.ErrorIs(t, err, broken)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	var failed *AppendError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []string{a2.Key()}, failed.Unknown)
	require.Equal(t, []string{a3.Key()}, failed.Unsent)
	require.ErrorContains(t, err, a2.Key())
	require.ErrorContains(t, err, a3.Key())
	require.ElementsMatch(t, keysOf([]event.Event{a1, a2, b1}), r.keys())
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP muster_log_append_failures_total Events that were sent but not acknowledged after all retries.
# TYPE muster_log_append_failures_total counter
muster_log_append_failures_total 1
# HELP muster_log_append_in_flight Events whose append was called for and has not returned.
# TYPE muster_log_append_in_flight gauge
muster_log_append_in_flight 0
# HELP muster_log_appended_bytes_total Bytes of the values of acknowledged events, before compression.
# TYPE muster_log_appended_bytes_total counter
muster_log_appended_bytes_total 4
# HELP muster_log_appended_events_total Events acknowledged by the log, by event type.
# TYPE muster_log_appended_events_total counter
muster_log_appended_events_total{type="muster.eve.section.observed.v1"} 2
`), "muster_log_append_failures_total", "muster_log_append_in_flight", "muster_log_appended_bytes_total", "muster_log_appended_events_total"))

	require.NoError(t, a.Append(t.Context(), a3), "a later call is not held responsible")
}

func TestAppendersMayShareMetrics(t *testing.T) {
	metrics := prometheus.NewRegistry()
	for range 2 {
		a := appendTo(t, &recorder{}, AppenderConfig{Metrics: metrics})
		require.NoError(t, a.Append(t.Context(), section(1)))
		require.NoError(t, a.Close())
	}
	count, err := testutil.GatherAndCount(metrics, "muster_log_appended_events_total")
	require.NoError(t, err)
	require.Equal(t, 1, count)
}

func TestAppendAccountsForEveryEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := rapid.SliceOfN(rapid.Int64Range(1, 4), 1, 20).Draw(t, "streams")
		failing := rapid.SliceOfN(rapid.IntRange(0, len(streams)-1), 0, 3).Draw(t, "failing")
		events := make([]event.Event, len(streams))
		fails := make(map[uuid.UUID]bool)
		for i, s := range streams {
			events[i] = section(s)
			if slices.Contains(failing, i) {
				fails[events[i].ID] = true
			}
		}
		r := &recorder{allow: func(e event.Event) error {
			if fails[e.ID] {
				return errors.New("no")
			}
			return nil
		}}
		a := startAppender(AppenderConfig{Workers: 3}.withDefaults(), r, must(newAppenderMetrics(nil)))
		err := a.Append(context.Background(), events...)
		require.NoError(t, a.Close())

		var sent, unknown, unsent []string
		stopped := make(map[event.Stream]bool)
		bySent := make(map[event.Stream][]string)
		for _, e := range events {
			switch {
			case stopped[e.Stream]:
				unsent = append(unsent, e.Key())
				continue
			case fails[e.ID]:
				stopped[e.Stream] = true
				unknown = append(unknown, e.Key())
			}
			sent = append(sent, e.Key())
			bySent[e.Stream] = append(bySent[e.Stream], e.Key())
		}
		require.ElementsMatch(t, sent, r.keys())
		got := make(map[event.Stream][]string)
		for _, e := range r.sent {
			got[e.Stream] = append(got[e.Stream], e.Key())
		}
		require.Equal(t, bySent, got, "each stream in the order of the call")
		if len(unknown) == 0 {
			require.NoError(t, err)
			return
		}
		var failed *AppendError
		require.ErrorAs(t, err, &failed)
		require.ElementsMatch(t, unknown, failed.Unknown)
		require.ElementsMatch(t, unsent, failed.Unsent)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAppendKeepsTheOrderOfCallsForAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{allow: func(event.Event) error { <-time.After(time.Second); return nil }}
		a := appendTo(t, r, AppenderConfig{Workers: 4, Queue: 1})
		var calls sync.WaitGroup
		var want []string
		for range 10 {
			e := section(7)
			want = append(want, e.Key())
			calls.Go(func() {
				if err := a.Append(t.Context(), e); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		calls.Wait()
		require.Equal(t, want, r.keys())
		require.NoError(t, a.Close())
	})
}

func TestAppendWaitsWhenAllIsBusyAndGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &recorder{allow: func(event.Event) error { <-release; return nil }}
		a := appendTo(t, r, AppenderConfig{Workers: 1, Queue: 1})
		first, second := section(1), section(2)
		var calls sync.WaitGroup
		for _, e := range []event.Event{first, second} {
			calls.Go(func() {
				if err := a.Append(t.Context(), e); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		third := section(3)
		err := a.Append(ctx, third)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start), "it waited as long as it might")
		var failed *AppendError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, []string{third.Key()}, failed.Unsent)
		close(release)
		calls.Wait()
		require.NoError(t, a.Close())
		require.Equal(t, keysOf([]event.Event{first, second}), r.keys())
	})
}

func TestAnAbandonedAppendSendsNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &recorder{allow: func(event.Event) error { <-release; return nil }}
		a := appendTo(t, r, AppenderConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		events := []event.Event{section(1), section(1)}
		done := make(chan error, 1)
		go func() { done <- a.Append(ctx, events...) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled, "it does not wait for what is on its way")
		close(release)
		require.NoError(t, a.Close())
		require.Equal(t, keysOf(events[:1]), r.keys())
	})
}

func TestCloseDrainsAndRefusesWhatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{allow: func(event.Event) error { <-time.After(time.Second); return nil }}
		a := appendTo(t, r, AppenderConfig{Workers: 2, Queue: 8})
		var calls sync.WaitGroup
		for i := range int64(6) {
			calls.Go(func() {
				if err := a.Append(t.Context(), section(i+1)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		require.NoError(t, a.Close())
		require.Len(t, r.keys(), 6)
		calls.Wait()
		require.Equal(t, event.CodeUnavailable, event.CodeOf(a.Append(t.Context(), section(1))))
		require.NoError(t, a.Close())
	})
}

func TestPulseReachesEveryPartitionWithTheSameKeysEachTime(t *testing.T) {
	r := &recorder{}
	a := appendTo(t, r, AppenderConfig{})
	defer a.Close()
	require.NoError(t, a.Pulse(t.Context(), event.TopicEVE, 12))
	reached := make(map[int32]bool)
	for _, e := range r.sent {
		require.True(t, e.IsTombstone())
		require.Equal(t, PulsePolicy, e.Expiry.Policy)
		reached[PartitionOf(e.Stream, 12)] = true
	}
	require.Len(t, reached, 12)
	first := r.keys()
	require.NoError(t, a.Pulse(t.Context(), event.TopicEVE, 12))
	require.ElementsMatch(t, first, r.keys()[12:])
}

func TestHeadersFollowTheEventsOrder(t *testing.T) {
	e := section(1)
	e.Actor, e.CausationID, e.Version = "user:1", uuid.NewString(), 3
	r, err := eventMarshaler{}.Marshal("t", newMessage(&e))
	require.NoError(t, err)
	var got []event.Header
	for _, h := range r.Headers {
		got = append(got, event.Header{Name: string(h.Key), Value: string(h.Value)})
	}
	require.Equal(t, e.Headers(), got)

	_, err = eventMarshaler{}.Marshal("t", message.NewMessage("1", nil))
	require.Equal(t, event.CodeInternal, event.CodeOf(err))
}

func TestAppendErrorNamesOnlyAFewKeys(t *testing.T) {
	failed := newAppendError(100)
	var events []event.Event
	for range 100 {
		events = append(events, section(1))
	}
	failed.add(outcome{job: job{events: events}, unknown: 0, err: errors.New("gone")}, true)
	require.Len(t, failed.Unsent, 99)
	require.Less(t, len(failed.Error()), 1000)
	require.ErrorContains(t, failed, fmt.Sprintf("99 not sent (%s", events[1].Key()))
}
