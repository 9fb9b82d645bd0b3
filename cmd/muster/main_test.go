package main

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// The appender's Kafka client counts in a goroutine that nobody can stop.
func TestMain(m *testing.M) {
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}
