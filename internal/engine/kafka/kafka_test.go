package kafka_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg kafka.Config) *kafka.Broker {
	t.Helper()
	broker, err := kafka.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Stop()) })
	return broker
}

func client(t *testing.T, broker *kafka.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	made, err := kgo.NewClient(append(opts, kgo.SeedBrokers(broker.Brokers()...))...)
	require.NoError(t, err)
	t.Cleanup(made.Close)
	return made
}

func createTopic(t *testing.T, broker *kafka.Broker, topic string, config map[string]string) {
	t.Helper()
	made, err := kgo.NewClient(kgo.SeedBrokers(broker.Brokers()...))
	require.NoError(t, err)
	defer made.Close()
	settings := make(map[string]*string)
	for name, value := range config {
		settings[name] = &value
	}
	_, err = kadm.NewClient(made).CreateTopic(t.Context(), -1, 1, settings, topic)
	require.NoError(t, err)
}

var forever = map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}

func TestRecordsSurviveAStop(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync writes %t", sync), func(t *testing.T) {
			cfg := kafka.Config{DataDir: filepath.Join(t.TempDir(), "kafka"), SyncWrites: sync}
			broker := start(t, cfg)
			createTopic(t, broker, "kept", forever)
			producer := client(t, broker)
			// Stamped long ago: time alone must not remove them.
			old := time.Now().AddDate(-2, 0, 0)
			for i := range 100 {
				record := &kgo.Record{Topic: "kept", Key: fmt.Appendf(nil, "key %d", i), Value: []byte("v"), Timestamp: old}
				require.NoError(t, producer.ProduceSync(t.Context(), record).FirstErr())
			}
			broker.Compact()
			require.NoError(t, broker.Stop())
			require.NoError(t, broker.Stop(), "a second stop changes nothing")

			broker = start(t, cfg)
			require.Equal(t, 100, countRecords(t, broker, "kept"))
		})
	}
}

// countRecords counts what a new consumer finds in a topic, up to its end as it was at the call.
func countRecords(t *testing.T, broker *kafka.Broker, topic string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	consumer := client(t, broker, kgo.ConsumeTopics(topic))
	ends, err := kadm.NewClient(consumer).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	starts, err := kadm.NewClient(consumer).ListStartOffsets(ctx, topic)
	require.NoError(t, err)
	open := make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		if start, _ := starts.Lookup(topic, end.Partition); start.Offset < end.Offset {
			open[end.Partition] = end.Offset - 1
		}
	})
	count := 0
	for len(open) > 0 {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			count++
			if last, ok := open[record.Partition]; ok && record.Offset >= last {
				delete(open, record.Partition)
			}
		})
	}
	return count
}

func TestTopicsHaveTwelvePartitionsUnlessToldOtherwise(t *testing.T) {
	f := func(configured, want int) {
		t.Helper()
		broker := start(t, kafka.Config{Partitions: configured})
		createTopic(t, broker, "topic", nil)
		topics, err := kadm.NewClient(client(t, broker)).ListTopics(t.Context(), "topic")
		require.NoError(t, err)
		require.Len(t, topics["topic"].Partitions, want)
	}
	f(0, 12)
	f(3, 3)
}

func TestCleanerRunsByItself(t *testing.T) {
	broker := start(t, kafka.Config{CompactEvery: 20 * time.Millisecond, Partitions: 1})
	createTopic(t, broker, "versions", forever)
	producer := client(t, broker)
	for i := range 10 {
		require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: "versions", Key: []byte("one"), Value: fmt.Appendf(nil, "%d", i)}).FirstErr())
	}
	require.Eventually(t, func() bool {
		starts, err := kadm.NewClient(producer).ListStartOffsets(t.Context(), "versions")
		if err != nil {
			return false
		}
		offset, _ := starts.Lookup("versions", 0)
		return offset.Offset > 0
	}, 10*time.Second, 20*time.Millisecond, "old versions of a key are removed")
}

func TestFolderWithACompactedTopicThatExpiresIsRefused(t *testing.T) {
	f := func(name string, config map[string]string, refused bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			broker := start(t, kafka.Config{DataDir: dir})
			createTopic(t, broker, "facts", config)
			require.NoError(t, broker.Stop())
			again, err := kafka.Start(t.Context(), kafka.Config{DataDir: dir})
			if !refused {
				require.NoError(t, err)
				require.NoError(t, again.Stop())
				return
			}
			var expires *kafka.RetentionError
			require.ErrorAs(t, err, &expires)
			require.Equal(t, []string{"facts"}, expires.Topics)
			for _, part := range []string{dir, "facts", "retention.ms=-1", "MUSTER_KAFKA_BROKERS"} {
				require.ErrorContains(t, err, part)
			}
		})
	}
	f("compacted, kept for ever", forever, false)
	f("compacted, without a retention", map[string]string{"cleanup.policy": "compact"}, true)
	f("compacted, kept for a second", map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"}, true)
	f("expiring on purpose", map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "1000"}, false)
	f("not compacted", map[string]string{"cleanup.policy": "delete"}, false)
	f("nothing set", nil, false)
}

func TestDamagedTopicListIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "topics.json"), []byte(`{"topics":[`), 0o600))
	_, err := kafka.Start(t.Context(), kafka.Config{DataDir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, "topics.json"))
}

func TestPortThatIsTakenIsNamed(t *testing.T) {
	broker := start(t, kafka.Config{})
	_, port, _ := strings.Cut(broker.Brokers()[0], ":")
	var taken int
	_, err := fmt.Sscan(port, &taken)
	require.NoError(t, err)
	_, err = kafka.Start(t.Context(), kafka.Config{Port: taken})
	require.ErrorContains(t, err, "on port "+port)
}

func FuzzTopicListIsReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"version":1,"topics":[{"name":"a","configs":{"cleanup.policy":"compact","retention.ms":"-1"}}]}`))
	f.Add([]byte(`{"topics":[{"name":"a","configs":{"cleanup.policy":" compact , delete"}}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "topics.json"), content, 0o600))
		broker, err := kafka.Start(t.Context(), kafka.Config{DataDir: dir})
		if err == nil {
			require.NoError(t, broker.Stop())
		}
	})
}
