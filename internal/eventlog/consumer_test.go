package eventlog_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// soon is a context for what must come about, far longer than it takes.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func part(id int32) eventlog.Partition { return eventlog.Partition{Topic: event.TopicEVE, ID: id} }

// fill appends n events to a stream that lies in the partition, of count.
func fill(t testing.TB, brokers []string, partition, count int32, n int) []event.Event {
	t.Helper()
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers, Workers: 8})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Close()) }()
	character := int64(90000000)
	for eventlog.PartitionOf(event.Character(character), count) != partition {
		character++
	}
	events := make([]event.Event, n)
	for i := range events {
		events[i] = sample(character, int64(i))
	}
	require.NoError(t, a.Append(soon(t), events...))
	return events
}

func consumer(t testing.TB, cfg eventlog.ConsumerConfig, from map[eventlog.Partition]int64) *eventlog.Consumer {
	t.Helper()
	c, err := eventlog.NewConsumer(cfg, from)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestConsumerSaysWhatItSkipsWhenTheLogBeginsBehindItsPosition(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(2, event.TopicEVE))
	events := fill(t, cluster.ListenAddrs(), 0, 2, 10)
	fill(t, cluster.ListenAddrs(), 1, 2, 1)
	require.NoError(t, cluster.DeleteRecords(event.TopicEVE, 0, 6))
	type skip struct {
		p        eventlog.Partition
		from, to int64
	}
	var skips []skip
	c := consumer(t, eventlog.ConsumerConfig{
		Brokers: cluster.ListenAddrs(),
		OnSkip:  func(p eventlog.Partition, from, to int64) { skips = append(skips, skip{p, from, to}) },
	}, map[eventlog.Partition]int64{part(0): 2, part(1): 0})

	got := make(map[eventlog.Partition][]eventlog.Record)
	for len(got[part(0)]) < 4 || len(got[part(1)]) < 1 {
		records, err := c.Poll(soon(t), 0)
		require.NoError(t, err)
		for _, r := range records {
			got[r.Partition()] = append(got[r.Partition()], r)
		}
	}
	require.Equal(t, []skip{{part(0), 2, 6}}, skips)
	require.Len(t, got[part(0)], 4)
	require.Equal(t, events[6].Key(), got[part(0)][0].Key)
	require.Len(t, got[part(1)], 1, "other partitions are not disturbed")
}

func TestConsumerGoesOnWhenTheLogsStartOvertakesIt(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	skipped := make(chan int64, 10)
	c := consumer(t, eventlog.ConsumerConfig{
		Brokers: cluster.ListenAddrs(),
		OnSkip:  func(_ eventlog.Partition, from, to int64) { skipped <- to - from },
	}, map[eventlog.Partition]int64{part(0): 0})
	fill(t, cluster.ListenAddrs(), 0, 1, 1)
	records, err := c.Poll(soon(t), 0)
	require.NoError(t, err)
	require.Len(t, records, 1)

	c.Pause(part(0))
	// A fetch that is under way would still bring what is appended now, so let
	// it come back empty.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = c.Poll(ctx, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	events := fill(t, cluster.ListenAddrs(), 0, 1, 10)
	require.NoError(t, cluster.DeleteRecords(event.TopicEVE, 0, 8))
	c.Resume(part(0))

	records, err = c.Poll(soon(t), 0)
	require.NoError(t, err)
	require.Equal(t, events[7].Key(), records[0].Key)
	require.Len(t, skipped, 1)
	require.EqualValues(t, 7, <-skipped)
}

func TestConsumerRefusesALogThatWasReplaced(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	fill(t, cluster.ListenAddrs(), 0, 1, 3)
	c := consumer(t, eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, map[eventlog.Partition]int64{part(0): 100})
	_, err := c.Poll(soon(t), 0)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "its log ends at 3")
}

func TestConsumerReportsAPartitionThatIsNotThere(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	for _, p := range []eventlog.Partition{part(1), {Topic: "muster.missing.v1"}} {
		c := consumer(t, eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, map[eventlog.Partition]int64{part(0): 0, p: 0})
		_, err := c.Poll(soon(t), 0)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err), "%v", err)
	}
}

func TestConsumerThatCannotWorkIsRefused(t *testing.T) {
	for _, err := range []error{
		second(eventlog.NewConsumer(eventlog.ConsumerConfig{}, nil)),
		second(eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: []string{"x:1"}, FetchBytes: -1}, nil)),
		second(eventlog.NewConsumer(eventlog.ConsumerConfig{Brokers: []string{"x:1"}}, map[eventlog.Partition]int64{part(0): -1})),
	} {
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPollEndsWithItsContext(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	c := consumer(t, eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, map[eventlog.Partition]int64{part(0): 0})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Poll(ctx, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	fill(t, cluster.ListenAddrs(), 0, 1, 1)
	records, err := c.Poll(soon(t), 0)
	require.NoError(t, err, "the consumer is still good")
	require.Len(t, records, 1)
}

func TestConsumerGroupsAPollByPartition(t *testing.T) {
	cluster := embedded(t, kfake.NumBrokers(3), kfake.SeedTopics(6, event.TopicEVE))
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Close()) }()
	var events []event.Event
	for i := range int64(3000) {
		events = append(events, sample(90000000+i%100, i))
	}
	require.NoError(t, a.Append(soon(t), events...))
	from := make(map[eventlog.Partition]int64)
	for p := range int32(6) {
		from[part(p)] = 0
	}
	c := consumer(t, eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, from)
	next := make(map[eventlog.Partition]int64)
	for n := 0; n < len(events); {
		records, err := c.Poll(soon(t), 700)
		require.NoError(t, err)
		require.LessOrEqual(t, len(records), 700)
		done := make(map[eventlog.Partition]bool)
		for i, r := range records {
			if i > 0 && records[i-1].Partition() != r.Partition() {
				done[records[i-1].Partition()] = true
			}
			require.False(t, done[r.Partition()], "partition %s comes twice in a poll", r.Partition())
			require.Equal(t, next[r.Partition()], r.Offset)
			next[r.Partition()] = r.Offset + 1
		}
		n += len(records)
	}
}

func TestLogSurvivesARestartOfTheBroker(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	start := func() *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SeedTopics(1, event.TopicEVE))
		require.NoError(t, err)
		return cluster
	}
	brokers := []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}

	cluster := start()
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	c := consumer(t, eventlog.ConsumerConfig{Brokers: brokers}, map[eventlog.Partition]int64{part(0): 0})
	before, after := sample(1, 1), sample(1, 2)
	require.NoError(t, a.Append(soon(t), before))
	records, err := c.Poll(soon(t), 0)
	require.NoError(t, err)
	require.Len(t, records, 1)

	cluster.Close()
	appended := make(chan error, 1)
	go func() { appended <- a.Append(soon(t), after) }()
	polled := make(chan error, 1)
	go func() {
		records, err = c.Poll(soon(t), 0)
		polled <- err
	}()
	cluster = start()
	defer cluster.Close()
	require.NoError(t, <-appended)
	require.NoError(t, <-polled)
	require.Len(t, records, 1, "nothing is lost and nothing comes twice")
	require.Equal(t, after.Key(), records[0].Key)
	require.NoError(t, a.Close())
}

func TestAppendRecoversFromARefusal(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Close()) }()
	first, refused, later := sample(1, 1), sample(1, 2), sample(1, 3)
	require.NoError(t, a.Append(soon(t), first))

	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	err = a.Append(soon(t), refused, later)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	var failed *eventlog.AppendError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []string{refused.Key()}, failed.Unknown)
	require.Equal(t, []string{later.Key()}, failed.Unsent)
	fault.Remove()

	require.NoError(t, a.Append(soon(t), refused, later))
	c := consumer(t, eventlog.ConsumerConfig{Brokers: cluster.ListenAddrs()}, map[eventlog.Partition]int64{part(0): 0})
	var keys []string
	for len(keys) < 3 {
		records, err := c.Poll(soon(t), 0)
		require.NoError(t, err)
		for _, r := range records {
			keys = append(keys, r.Key)
		}
	}
	require.Equal(t, []string{first.Key(), refused.Key(), later.Key()}, keys)
}

func TestALostAcknowledgementDoublesNothing(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	// The broker stores the record and then says that it could not.
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend})
	events := fill(t, cluster.ListenAddrs(), 0, 1, 5)
	require.Equal(t, 1, fault.Hits())

	r, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer r.Close()
	var keys, want []string
	require.NoError(t, r.ReadRange(soon(t), part(0), 0, 100, func(rec eventlog.Record) error {
		keys = append(keys, rec.Key)
		return nil
	}))
	for _, e := range events {
		want = append(want, e.Key())
	}
	require.Equal(t, want, keys)
}

func TestReadRangeEndsAtAForeignTransactionsMarker(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("foreign"))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	for i := range 3 {
		require.NoError(t, client.ProduceSync(soon(t), &kgo.Record{Topic: event.TopicEVE, Key: fmt.Append(nil, i), Value: []byte("x")}).FirstErr())
	}
	require.NoError(t, client.EndTransaction(soon(t), kgo.TryCommit))

	r, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: cluster.ListenAddrs(), Patience: 20 * time.Second})
	require.NoError(t, err)
	defer r.Close()
	ends, err := r.Ends(soon(t), event.TopicEVE)
	require.NoError(t, err)
	require.Equal(t, eventlog.Span{Start: 0, End: 4}, ends[part(0)])
	read := 0
	require.NoError(t, r.ReadRange(soon(t), part(0), 0, 4, func(eventlog.Record) error { read++; return nil }))
	require.Equal(t, 3, read)
	found, err := r.ReadAt(soon(t), []event.Position{{Topic: event.TopicEVE, Offset: 1}, {Topic: event.TopicEVE, Offset: 3}})
	require.NoError(t, err)
	require.Len(t, found, 1, "the marker is no record")
}

func TestReadAtJumpsOverWhatIsFarBetween(t *testing.T) {
	cluster := embedded(t, kfake.SeedTopics(1, event.TopicEVE))
	events := fill(t, cluster.ListenAddrs(), 0, 1, 4000)
	r, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer r.Close()
	wanted := []event.Position{}
	for _, offset := range []int64{3999, 0, 1700, 1701, 2500} {
		wanted = append(wanted, event.Position{Topic: event.TopicEVE, Offset: offset})
	}
	start := time.Now()
	found, err := r.ReadAt(soon(t), wanted)
	require.NoError(t, err)
	require.Len(t, found, len(wanted))
	for _, at := range wanted {
		require.Equal(t, events[at.Offset].Key(), found[at].Key)
	}
	t.Logf("%d jumps took %s", len(wanted), time.Since(start))
}

func TestReaderErrorsAreCoded(t *testing.T) {
	_, err := eventlog.NewReader(eventlog.ReaderConfig{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))

	cluster := embedded(t)
	r, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, r.Ping(soon(t)))
	_, err = r.Ends(soon(t), "muster.missing.v1")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "%v", err)
}
