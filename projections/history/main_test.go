package history_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) {
	// The metrics library of the Kafka client starts this one for good.
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}
