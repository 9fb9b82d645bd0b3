package main

import (
	"testing"

	"go.uber.org/goleak"
)

// The appender's Kafka client counts in a goroutine that nobody can stop.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}
