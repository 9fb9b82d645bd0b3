package supervise

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are shared by all children of a process. A nil *Metrics counts nothing.
type Metrics struct {
	restarts *prometheus.CounterVec
	running  *prometheus.GaugeVec
}

// NewMetrics registers the metrics, once for a registerer. A nil registerer is allowed and exposes nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	factory := promauto.With(reg)
	return &Metrics{
		restarts: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_engine_restarts_total",
			Help: "How often an embedded engine was started again after it died.",
		}, []string{"engine"}),
		running: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_engine_up",
			Help: "1 while an embedded engine answers, 0 while it is down.",
		}, []string{"engine"}),
	}
}

func (m *Metrics) restarted(engine string) {
	if m != nil {
		m.restarts.WithLabelValues(engine).Inc()
	}
}

func (m *Metrics) up(engine string, up bool) {
	if m == nil {
		return
	}
	value := 0.0
	if up {
		value = 1
	}
	m.running.WithLabelValues(engine).Set(value)
}
