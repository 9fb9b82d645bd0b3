package eventlog_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog/eventlogtest"
)

func TestMain(m *testing.M) {
	enginetest.Main(m,
		// The metrics library that sarama carries runs one goroutine for as
		// long as the process lives.
		goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// embedded starts an embedded broker that the test can make compact.
func embedded(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func TestLogOnEmbeddedBroker(t *testing.T) {
	cluster := embedded(t)
	eventlogtest.Run(t, eventlogtest.Backend{Brokers: cluster.ListenAddrs(), Compact: cluster.Compact})
}

func TestLogOnRealBroker(t *testing.T) {
	eventlogtest.Run(t, eventlogtest.Backend{Brokers: enginetest.RealKafka(t), RefusesKeyless: true})
}
