package eventlogtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// written appends n numbered events to a new stream and returns their records.
func (s *suite) written(t *testing.T, n int) []eventlog.Record {
	t.Helper()
	from := s.ends(t, event.TopicEVE)
	stream := newStream()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = numbered(stream, i)
	}
	require.NoError(t, s.appender(t).Append(t.Context(), events...))
	return s.consume(t, from, n)
}

func (s *suite) readRange(t *testing.T) {
	written := s.written(t, 20)
	r := s.reader(t)
	p := written[0].Partition()
	read := func(from, to int64) []eventlog.Record {
		var got []eventlog.Record
		require.NoError(t, r.ReadRange(t.Context(), p, from, to, func(rec eventlog.Record) error {
			got = append(got, rec)
			return nil
		}))
		return got
	}
	first := written[0].Offset
	require.Equal(t, written[5:15], read(first+5, first+15))
	require.Equal(t, written[:1], read(first, first+1))
	require.Empty(t, read(first+3, first+3))
	require.Equal(t, written[15:], read(first+15, first+1000), "what is not written yet is left out")

	stop := errors.New("enough")
	calls := 0
	require.ErrorIs(t, r.ReadRange(t.Context(), p, first, first+20, func(eventlog.Record) error {
		calls++
		return stop
	}), stop)
	require.Equal(t, 1, calls)

	err := r.ReadRange(t.Context(), eventlog.Partition{Topic: event.TopicEVE, ID: partitions}, 0, 1, nil)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func (s *suite) readAt(t *testing.T) {
	written := s.written(t, 30)
	ahead := written[29].Position
	ahead.Offset += 1000
	want := map[event.Position]eventlog.Record{
		written[0].Position:  written[0],
		written[17].Position: written[17],
		written[29].Position: written[29],
	}
	got, err := s.reader(t).ReadAt(t.Context(), []event.Position{
		written[29].Position, written[0].Position, ahead, written[17].Position, written[0].Position,
	})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func (s *suite) readStream(t *testing.T) {
	from := s.ends(t, event.TopicEVE)
	stream := newStream()
	a := s.appender(t)
	var keys []string
	for i := range 10 {
		e := numbered(stream, i)
		keys = append(keys, e.Key())
		// The second has a name that begins like the stream's.
		require.NoError(t, a.Append(t.Context(), e, numbered(stream+"x", i), numbered(newStream(), i)))
	}
	var got []string
	p := eventlog.Partition{Topic: event.TopicEVE, ID: eventlog.PartitionOf(stream, partitions)}
	require.NoError(t, s.reader(t).ReadStream(t.Context(), event.TopicEVE, stream, from[p], func(r eventlog.Record) error {
		got = append(got, r.Key)
		return nil
	}))
	require.Equal(t, keys, got)
}

func (s *suite) positionBehindEnd(t *testing.T) {
	p := eventlog.Partition{Topic: event.TopicEVE, ID: 0}
	c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: s.Brokers},
		map[eventlog.Partition]int64{p: s.ends(t, event.TopicEVE)[p] + 5})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, err = c.Poll(ctx, 0)
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "%v", err)
	_, again := c.Poll(ctx, 0)
	require.Equal(t, err, again)
}

func (s *suite) pause(t *testing.T) {
	written := s.written(t, 3)
	p := written[0].Partition()
	c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: s.Brokers},
		map[eventlog.Partition]int64{p: written[0].Offset})
	require.NoError(t, err)
	defer c.Close()
	c.Pause(p)
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err = c.Poll(short, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c.Resume(p)
	long, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	got, err := c.Poll(long, 2)
	require.NoError(t, err)
	require.Equal(t, written[:2], got, "a poll returns no more than was asked for")
	got, err = c.Poll(long, 2)
	require.NoError(t, err)
	require.Equal(t, written[2:], got)
}

func (s *suite) commitLag(t *testing.T) {
	p := eventlog.Partition{Topic: event.TopicEVE, ID: 1}
	group := "muster-lag-" + uuid.NewString()
	require.NoError(t, s.reader(t).CommitLag(t.Context(), group, map[eventlog.Partition]int64{p: 3}))

	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), group)
	require.NoError(t, err)
	committed, ok := offsets.Lookup(p.Topic, p.ID)
	require.True(t, ok)
	require.EqualValues(t, 3, committed.At)
}

func (s *suite) compaction(t *testing.T) {
	written := s.written(t, 12)
	a, r := s.appender(t), s.reader(t)
	p := written[0].Partition()
	first, last := written[0].Offset, written[11].Offset
	gone := map[int64]bool{first: true, first + 1: true, first + 6: true}
	var want []int64
	for _, rec := range written {
		if !gone[rec.Offset] {
			want = append(want, rec.Offset)
			continue
		}
		e, err := rec.Event()
		require.NoError(t, err)
		at := time.Now()
		require.NoError(t, a.Expire(t.Context(), event.TopicEVE, event.Tombstone(e.Stream, e.ID, at, event.Expiry{Policy: policy, CutOff: at})))
	}

	var left []int64
	require.Eventually(t, func() bool {
		// The pulse closes the segment; only closed segments are compacted.
		require.NoError(t, a.Pulse(t.Context(), event.TopicEVE, partitions))
		if s.Compact != nil {
			s.Compact()
		}
		left = nil
		require.NoError(t, r.ReadRange(t.Context(), p, first, last+1, func(rec eventlog.Record) error {
			left = append(left, rec.Offset)
			return nil
		}))
		return len(left) <= len(want)
	}, deadline, 200*time.Millisecond, "the tombstoned records are still there")
	require.Equal(t, want, left)

	found, err := r.ReadAt(t.Context(), []event.Position{written[1].Position, written[2].Position})
	require.NoError(t, err)
	require.Equal(t, map[event.Position]eventlog.Record{written[2].Position: written[2]}, found)

	c, err := eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: s.Brokers}, map[eventlog.Partition]int64{p: first + 1})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	records, err := c.Poll(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, written[2:3], records, "reading from a hole goes on behind it")
}
