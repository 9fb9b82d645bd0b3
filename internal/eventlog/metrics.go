package eventlog

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/domain/event"
)

// appenderMetrics counts what is appended.
type appenderMetrics struct {
	events   *prometheus.CounterVec
	bytes    prometheus.Counter
	failed   prometheus.Counter
	seconds  prometheus.Histogram
	inFlight prometheus.Gauge
}

func newAppenderMetrics(to prometheus.Registerer) (*appenderMetrics, error) {
	m := &appenderMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_log_appended_events_total",
			Help: "Events acknowledged by the log, by event type.",
		}, []string{"type"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_log_appended_bytes_total",
			Help: "Bytes of the values of acknowledged events, before compression.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_log_append_failures_total",
			Help: "Events that were sent but not acknowledged after all retries.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "muster_log_append_seconds",
			Help:    "Time from the call to the acknowledgement of all its events, of successful appends.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_log_append_in_flight",
			Help: "Events whose append was called for and has not returned.",
		}),
	}
	return m, errors.Join(
		register(to, &m.events), register(to, &m.bytes), register(to, &m.failed),
		register(to, &m.seconds), register(to, &m.inFlight))
}

func (m *appenderMetrics) appended(e event.Event) {
	m.events.WithLabelValues(string(e.Type)).Inc()
	m.bytes.Add(float64(len(e.Data)))
}

// reactorMetrics counts what reactors were given.
type reactorMetrics struct {
	handled *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// Results of handing an event to a reactor, as a label of its metric.
const (
	resultDone     = "done"
	resultFailed   = "failed"
	resultPoisoned = "poisoned"
	resultUnknown  = "unknown_type"
)

func newReactorMetrics(to prometheus.Registerer) (*reactorMetrics, error) {
	m := &reactorMetrics{
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_reactor_events_total",
			Help: "Attempts to have a reactor handle an event, by reactor and result.",
		}, []string{"reactor", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "muster_reactor_seconds",
			Help:    "Time a reactor took for one attempt.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}, []string{"reactor"}),
	}
	return m, errors.Join(register(to, &m.handled), register(to, &m.seconds))
}

// register registers a collector, or takes the one that is registered already:
// several parts of a program may append.
func register[C prometheus.Collector](to prometheus.Registerer, c *C) error {
	if to == nil {
		return nil
	}
	err := to.Register(*c)
	if twice, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		existing, ok := twice.ExistingCollector.(C)
		if !ok {
			return fmt.Errorf("registering metrics: another collector has the name: %w", err)
		}
		*c = existing
		return nil
	}
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}
