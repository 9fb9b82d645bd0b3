package eventlogtest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// emptyTopic is a topic of the test's own.
func (s *suite) emptyTopic(t *testing.T) (string, *kgo.Client) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	topic := "muster.restored." + uuid.NewString()
	compact := "compact"
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), partitions, 1, map[string]*string{"cleanup.policy": &compact}, topic)
	require.NoError(t, err)
	return topic, client
}

func (s *suite) restore(t *testing.T) {
	topic, foreign := s.emptyTopic(t)
	r, err := eventlog.NewRestorer(t.Context(), eventlog.RestorerConfig{Brokers: s.Brokers}, topic)
	require.NoError(t, err)
	defer r.Close()
	p := eventlog.Partition{Topic: topic, ID: 2}
	then := time.Date(2024, 3, 1, 12, 0, 0, int(7*time.Millisecond), time.UTC)
	record := func(offset int64, key string, value []byte) eventlog.Record {
		return eventlog.Record{
			Position: event.Position{Topic: topic, Partition: p.ID, Offset: offset}, Key: key, Value: value, Timestamp: then.Add(time.Duration(offset) * time.Second),
			Headers: []event.Header{{Name: "ce_id", Value: "1"}, {Name: "empty"}, {Name: "ce_id", Value: "again"}},
		}
	}
	want := []eventlog.Record{
		record(3, "s/a", []byte(`{"n":3}`)), record(4, "s/b", nil), record(9, "s/c", []byte{}), record(10, "s/d", []byte{0, 0xff}), record(25_000, "s/e", []byte("far")),
	}
	require.NoError(t, r.Put(t.Context(), p, want[:2]))
	require.NoError(t, r.Put(t.Context(), p, want[2:]))
	require.NoError(t, r.Fill(t.Context(), p, 25_010, then))
	require.NoError(t, r.Fill(t.Context(), p, 5, then), "it is as long already")
	next, ok := r.Next(p)
	require.True(t, ok)
	require.EqualValues(t, 25_010, next)

	require.Equal(t, event.CodeInvalid, event.CodeOf(r.Put(t.Context(), p, want[:1])), "what lies behind is not written again")

	var got []eventlog.Record
	pulses := 0
	require.NoError(t, s.reader(t).ReadRange(t.Context(), p, 0, 30_000, func(rec eventlog.Record) error {
		if e, err := rec.Event(); err == nil && e.Expiry != nil && e.Expiry.Policy == eventlog.PulsePolicy {
			require.Equal(t, p.ID, eventlog.PartitionOf(e.Stream, partitions), "a pulse lies where its name says")
			pulses++
			return nil
		}
		got = append(got, rec)
		return nil
	}))
	require.Equal(t, want, got)
	// A broker that compacts has nothing but the last pulse to keep.
	require.Positive(t, pulses)

	again, err := eventlog.NewRestorer(t.Context(), eventlog.RestorerConfig{Brokers: s.Brokers}, topic)
	require.NoError(t, err)
	defer again.Close()
	next, _ = again.Next(p)
	require.EqualValues(t, 25_010, next, "another one goes on where it was")
	require.NoError(t, again.Append(t.Context(), p, want[:1]))

	require.NoError(t, foreign.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p.ID, Key: []byte("s/f"), Value: []byte("x")}).FirstErr())
	err = again.Put(t.Context(), p, []eventlog.Record{record(25_011, "s/g", []byte("late"))})
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "somebody else writes to it")
}
