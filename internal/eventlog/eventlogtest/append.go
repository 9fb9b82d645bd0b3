package eventlogtest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

func (s *suite) roundTrip(t *testing.T) {
	from := s.ends(t, event.TopicEVE)
	full := event.Event{
		ID:            uuid.New(),
		Type:          testType,
		Source:        source,
		Stream:        event.Character(90000001),
		Time:          time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC),
		Recorded:      time.Date(2026, 2, 3, 4, 5, 7, int(123*time.Millisecond), time.UTC),
		Actor:         "user:7 (Ünï)",
		CorrelationID: "sweep-1",
		CausationID:   uuid.NewString(),
		Version:       42,
		TraceParent:   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Data:          []byte(`{"b":[1,2,3],  "a":"\u0000 as written"}`),
	}
	bare := event.Event{ID: uuid.New(), Type: testType, Stream: full.Stream, Time: full.Time, Data: []byte(`null`)}
	require.NoError(t, s.appender(t).Append(t.Context(), full, bare))

	got := s.consume(t, from, 2)
	require.Equal(t, full.Key(), got[0].Key)
	require.Equal(t, full.Headers(), got[0].Headers, "the same headers in the same order")
	require.Equal(t, full.Data, got[0].Value)
	require.Equal(t, full.Recorded, got[0].Timestamp)
	e, err := got[0].Event()
	require.NoError(t, err)
	require.Equal(t, full, e)

	e, err = got[1].Event()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), e.Recorded, time.Minute, "the log stamps what has no recording time")
	bare.Recorded = e.Recorded
	require.Equal(t, bare, e)
	require.Equal(t, bare.Headers(), got[1].Headers)
}

func (s *suite) largest(t *testing.T) {
	// Text that hardly compresses: the broker's limit holds for what is sent.
	random := make([]byte, (eventlog.MaxEventBytes-4096)/4*3)
	_, err := rand.Read(random)
	require.NoError(t, err)
	data := []byte(`"` + base64.StdEncoding.EncodeToString(random) + `"`)
	stream := newStream()
	from := s.ends(t, event.TopicEVE)
	big := numbered(stream, 0)
	big.Data = data
	require.NoError(t, s.appender(t).Append(t.Context(), numbered(stream, 1), big, numbered(stream, 2)))
	got := s.consume(t, from, 3)
	require.Equal(t, data, got[1].Value)

	var seen seen
	s.react(t, "largest-"+uuid.NewString(), stream, func(_ context.Context, e event.Recorded) error {
		seen.add(e)
		return nil
	})
	require.Eventually(t, func() bool { return len(seen.values()) >= 3 }, deadline, 10*time.Millisecond)
	require.Len(t, seen.values()[1], len(data))
}

func (s *suite) tombstoneIsNull(t *testing.T) {
	from := s.ends(t, event.TopicEVE)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	stream, id := newStream(), uuid.New()
	tombstone := event.Tombstone(stream, id, at, event.Expiry{Policy: policy, CutOff: at})
	a := s.appender(t)
	require.NoError(t, a.Expire(t.Context(), event.TopicEVE, tombstone))
	s.produce(t, &kgo.Record{Topic: event.TopicEVE, Key: []byte("foreign"), Value: []byte{}})

	for _, r := range s.consume(t, from, 2) {
		if r.Key == "foreign" {
			require.NotNil(t, r.Value)
			require.Empty(t, r.Value)
			continue
		}
		require.Nil(t, r.Value)
		e, err := r.Event()
		require.NoError(t, err)
		require.True(t, e.IsTombstone())
		require.Equal(t, event.Key(stream, id), e.Key())
		require.Equal(t, &event.Expiry{Policy: policy, CutOff: at}, e.Expiry)
	}

	require.Equal(t, event.CodeInvalid, event.CodeOf(a.Append(t.Context(), tombstone)), "the topic of a tombstone must be named")
	require.Equal(t, event.CodeInvalid, event.CodeOf(a.Expire(t.Context(), event.TopicPoison, tombstone)))
	require.Equal(t, event.CodeInvalid, event.CodeOf(a.Expire(t.Context(), event.TopicEVE, numbered(stream, 1))))
}

func (s *suite) streamOrder(t *testing.T) {
	const writers, calls = 8, 25
	from := s.ends(t, event.TopicEVE)
	a := s.appender(t)
	shared := newStream()
	var all sync.WaitGroup
	for range writers {
		own := newStream()
		all.Go(func() {
			for call := range calls {
				// All writers also compete for one stream.
				events := []event.Event{
					numbered(own, 2*call), numbered(shared, 2*call),
					numbered(own, 2*call+1), numbered(shared, 2*call+1),
				}
				for i := range events {
					events[i].Actor = string(own)
				}
				if err := a.Append(t.Context(), events...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()

	type line struct {
		stream event.Stream
		writer string
	}
	next := make(map[line]int)
	keys := make(map[string]bool)
	for _, r := range s.consume(t, from, 4*writers*calls) {
		e, err := r.Event()
		require.NoError(t, err)
		l := line{e.Stream, e.Actor}
		require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, next[l]), string(e.Data), "%v", l)
		next[l]++
		require.False(t, keys[r.Key], "key %s twice", r.Key)
		keys[r.Key] = true
	}
	require.Len(t, next, 2*writers)
}

func (s *suite) streamPlacement(t *testing.T) {
	from := s.ends(t, event.TopicAnVIL)
	const n = 40
	events := make([]event.Event, n)
	for i := range events {
		events[i] = numbered(newStream(), i)
		events[i].Type = "muster.anvil.group.observed.v1"
	}
	require.NoError(t, s.appender(t).Append(t.Context(), events...))
	for _, r := range s.consume(t, from, n) {
		e, err := r.Event()
		require.NoError(t, err)
		require.Equal(t, eventlog.PartitionOf(e.Stream, partitions), r.Position.Partition)
	}
}

func (s *suite) foreignRecords(t *testing.T) {
	from := s.ends(t, event.TopicEVE)
	good := numbered(newStream(), 1)
	foreign := []*kgo.Record{
		{Key: []byte("no event"), Value: []byte("\xff\x00")},
		{Key: []byte(good.Key()), Value: []byte("{}"), Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("\xc3\x28")},
		}},
		{Key: []byte("other/key"), Value: []byte("{}"), Headers: kgoHeaders(good)},
		{Key: []byte(good.Key()), Value: []byte("not JSON"), Headers: []kgo.RecordHeader{{Key: "", Value: nil}, {Key: "ce_time"}}},
	}
	if err := s.tryProduce(t, &kgo.Record{Topic: event.TopicEVE, Value: []byte("{}")}); s.RefusesKeyless {
		require.ErrorIs(t, err, kerr.InvalidRecord)
	} else {
		require.NoError(t, err)
		foreign = append(foreign, nil)
	}
	for _, r := range foreign {
		if r != nil {
			r.Topic = event.TopicEVE
			s.produce(t, r)
		}
	}
	require.NoError(t, s.appender(t).Append(t.Context(), good))

	bad := 0
	for _, r := range s.consume(t, from, len(foreign)+1) {
		_, err := r.Event()
		if err == nil {
			require.Equal(t, good.Key(), r.Key)
			continue
		}
		bad++
		require.Equal(t, event.CodePoisoned, event.CodeOf(err))
		require.Contains(t, err.Error(), r.String())
	}
	require.Equal(t, len(foreign), bad)
}

func kgoHeaders(e event.Event) []kgo.RecordHeader {
	var headers []kgo.RecordHeader
	for _, h := range e.Headers() {
		headers = append(headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
	}
	return headers
}

// produce writes a record as a client that knows nothing of Muster.
func (s *suite) produce(t *testing.T, r *kgo.Record) {
	t.Helper()
	require.NoError(t, s.tryProduce(t, r))
}

func (s *suite) tryProduce(t *testing.T, r *kgo.Record) error {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	return client.ProduceSync(t.Context(), r).FirstErr()
}
