package eventlogtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Kafka's names of the settings that the suite looks at.
const (
	cleanupPolicy     = "cleanup.policy"
	deleteRetentionMS = "delete.retention.ms"
	retentionMS       = "retention.ms"
)

func (s *suite) manifestAcceptsItsOwn(t *testing.T) {
	require.NoError(t, Manifest().Ensure(t.Context(), s.Brokers, eventlog.Security{}))
}

func (s *suite) manifestReportsDeviations(t *testing.T) {
	s.alter(t, event.TopicAccess, kadm.AlterConfig{Op: kadm.SetConfig, Name: cleanupPolicy, Value: new("compact,delete")})
	defer s.alter(t, event.TopicAccess, kadm.AlterConfig{Op: kadm.SetConfig, Name: cleanupPolicy, Value: new("compact")})
	s.alter(t, event.TopicPoison, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: retentionMS})
	defer s.alter(t, event.TopicPoison, kadm.AlterConfig{Op: kadm.SetConfig, Name: retentionMS, Value: new("604800000")})
	wanted := Manifest()
	wanted.DeleteRetention = 30 * 24 * time.Hour
	wanted.PoisonRetention = 6 * 24 * time.Hour

	err := wanted.Ensure(t.Context(), s.Brokers, eventlog.Security{})

	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	var deviation *eventlog.DeviationError
	require.ErrorAs(t, err, &deviation)
	found := make(map[[2]string][2]string)
	for _, d := range deviation.Deviations {
		found[[2]string{d.Topic, d.Setting}] = [2]string{d.Have, d.Want}
		require.NotEmpty(t, d.Remedy)
		require.Contains(t, err.Error(), d.Remedy)
	}
	require.Equal(t, map[[2]string][2]string{
		{event.TopicEVE, deleteRetentionMS}:    {"1209600000", "2592000000"},
		{event.TopicAnVIL, deleteRetentionMS}:  {"1209600000", "2592000000"},
		{event.TopicAccess, deleteRetentionMS}: {"1209600000", "2592000000"},
		{event.TopicAccess, cleanupPolicy}:     {"compact,delete", "compact"},
		{event.TopicPoison, retentionMS}:       {"604800000", "518400000"},
	}, found)
}

func (s *suite) manifestRefusesPartitionCount(t *testing.T) {
	wanted := Manifest()
	wanted.Partitions++
	err := wanted.Ensure(t.Context(), s.Brokers, eventlog.Security{})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "its streams would move")
	require.ErrorContains(t, err, `partition count is "4", must be "5"`)
}

func (s *suite) alter(t *testing.T, topic string, change kadm.AlterConfig) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	responses, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{change}, topic)
	require.NoError(t, err)
	for _, r := range responses {
		require.NoError(t, r.Err)
	}
}
