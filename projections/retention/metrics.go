package retention

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	tombstones *prometheus.CounterVec
	runs       *prometheus.CounterVec
	completed  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		tombstones: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "muster", Subsystem: "retention", Name: "tombstones_total", Help: "Tombstones appended, by policy."}, []string{"policy"}),
		runs:       prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "muster", Subsystem: "retention", Name: "runs_total", Help: "Runs of retention, by outcome: completed or failed."}, []string{"outcome"}),
		completed:  prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "muster", Subsystem: "retention", Name: "last_completed_timestamp_seconds", Help: "When this process last completed a run; 0 if it did not."}),
	}
	if r != nil {
		r.MustRegister(m.tombstones, m.runs, m.completed)
	}
	return m
}

func (m *metrics) ran(err error, at time.Time) {
	if err != nil {
		m.runs.WithLabelValues("failed").Inc()
		return
	}
	m.runs.WithLabelValues("completed").Inc()
	m.completed.Set(float64(at.Unix()))
}
