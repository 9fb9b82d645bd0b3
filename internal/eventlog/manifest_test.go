package eventlog_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/eventlog/eventlogtest"
)

func TestManifestKeepsFactsForEver(t *testing.T) {
	for _, topic := range eventlog.DefaultManifest().Topics() {
		settings := make(map[string]string)
		for _, s := range topic.Settings {
			require.NotContains(t, settings, s.Name)
			settings[s.Name] = s.Value
		}
		if topic.Name == event.TopicPoison {
			require.Equal(t, "delete", settings["cleanup.policy"], "copies of events must not outlive retention")
			require.Equal(t, "604800000", settings["retention.ms"])
			continue
		}
		require.Contains(t, event.Topics(), topic.Name)
		require.Equal(t, "compact", settings["cleanup.policy"])
		require.Equal(t, "-1", settings["retention.ms"])
		require.Equal(t, "-1", settings["retention.bytes"])
		require.Equal(t, "16777216", settings["max.message.bytes"])
	}
}

func TestManifestReportsASettingThatKafkaDoesNotKnow(t *testing.T) {
	cluster := embedded(t)
	m := eventlog.DefaultManifest()
	require.NoError(t, m.Ensure(t.Context(), cluster.ListenAddrs(), eventlog.Security{}))
	require.NoError(t, m.Ensure(t.Context(), cluster.ListenAddrs(), eventlog.Security{}))

	// The embedded broker takes any name, so the setting that was meant would
	// silently stay as it is.
	require.NoError(t, cluster.DeleteTopic(event.TopicEVE))
	require.NoError(t, cluster.CreateTopic(event.TopicEVE, m.Partitions, map[string]string{"retention.mss": "-1"}))
	err := m.Ensure(t.Context(), cluster.ListenAddrs(), eventlog.Security{})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, `topic muster.eve.v1: retention.mss is "-1"`)
	require.ErrorContains(t, err, "--delete-config retention.mss")
	require.ErrorContains(t, err, `retention.ms is "604800000", must be "-1"`)
	require.ErrorContains(t, err, "--add-config retention.ms=-1")
	require.Greater(t, strings.Count(err.Error(), "\n"), 5, "all at once")
}

func TestManifestWithImpossibleValuesIsRefused(t *testing.T) {
	m := eventlog.DefaultManifest()
	m.Partitions, m.Replication, m.Segment, m.MaxCompactionLag = 0, 0, 0, 0
	err := m.Ensure(t.Context(), nil, eventlog.Security{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	for _, word := range []string{"partitions", "replication", "segment", "compaction lag"} {
		require.ErrorContains(t, err, word)
	}
}

func TestManifestAsksForEnoughReplicas(t *testing.T) {
	m := eventlog.DefaultManifest()
	m.Replication = 3
	for _, topic := range m.Topics() {
		require.Contains(t, topic.Settings, eventlog.Setting{Name: "min.insync.replicas", Value: "2"})
	}
}

func TestTheInspectionOfTopicsCreatesNothing(t *testing.T) {
	cluster := embedded(t)
	m := eventlog.DefaultManifest()
	seen, err := m.Inspect(t.Context(), cluster.ListenAddrs(), eventlog.Security{})
	require.NoError(t, err)
	require.Len(t, seen.Missing, len(m.Topics()))
	seen, err = m.Inspect(t.Context(), cluster.ListenAddrs(), eventlog.Security{})
	require.NoError(t, err)
	require.Len(t, seen.Missing, len(m.Topics()), "the first look made none")
	require.Zero(t, seen.Topics)

	require.NoError(t, m.Ensure(t.Context(), cluster.ListenAddrs(), eventlog.Security{}))
	require.NoError(t, cluster.DeleteTopic(event.TopicEVE))
	require.NoError(t, cluster.CreateTopic(event.TopicEVE, 3, nil))
	require.NoError(t, cluster.DeleteTopic(event.TopicAnVIL))
	seen, err = m.Inspect(t.Context(), cluster.ListenAddrs(), eventlog.Security{})
	require.NoError(t, err)
	require.Equal(t, []string{event.TopicAnVIL}, seen.Missing)
	require.Equal(t, len(m.Topics())-1, seen.Topics)
	require.Equal(t, 3+int(m.Partitions)*(len(m.Topics())-2), seen.Partitions)
	require.Equal(t, "partition count", seen.Deviations[0].Setting)
	require.Empty(t, seen.Leaderless)
	require.Empty(t, seen.BelowMinimum)

	brokers, err := eventlog.DescribeCluster(t.Context(), cluster.ListenAddrs(), eventlog.Security{})
	require.NoError(t, err)
	require.Equal(t, len(cluster.ListenAddrs()), brokers.Brokers)
	require.NotEmpty(t, brokers.Versions)
}

func TestARealBrokerTellsItsVersionAndHasItsCopiesInStep(t *testing.T) {
	brokers := enginetest.RealKafka(t)
	seen, err := eventlog.DescribeCluster(t.Context(), brokers, eventlog.Security{})
	require.NoError(t, err)
	require.Equal(t, 1, seen.Brokers)
	require.Len(t, seen.Versions, 1)
	require.Contains(t, seen.Versions[0], "v4.")
	m := eventlogtest.Manifest() // the topics are those of the suite
	require.NoError(t, m.Ensure(t.Context(), brokers, eventlog.Security{}))
	topics, err := m.Inspect(t.Context(), brokers, eventlog.Security{})
	require.NoError(t, err)
	require.Equal(t, eventlog.Inspection{Topics: len(m.Topics()), Partitions: len(m.Topics()) * int(m.Partitions)}, topics)
}
