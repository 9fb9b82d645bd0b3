package transport

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	deferred *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	// incidents counts answers of 420, storms routes that refused everybody.
	incidents prometheus.Counter
	storms    *prometheus.CounterVec
	echoes    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, b *budget) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_requests_total",
			Help: "Requests sent to ESI by operation and HTTP status; status 0 is no answer.",
		}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "muster_esi_request_seconds",
			Help:    "Time until the answer of ESI was read.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 10),
		}, []string{"operation"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_tokens_total",
			Help: "Tokens of rate buckets spent, by group.",
		}, []string{"group"}),
		deferred: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_deferred_total",
			Help: "Requests held back without asking ESI, by reason.",
		}, []string{"reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_bytes_total",
			Help: "Bytes of answers read, unpacked, by operation.",
		}, []string{"operation"}),
		incidents: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_esi_error_limit_incidents_total",
			Help: "Answers of 420: the error limit of this address was used up, and everything stopped.",
		}),
		storms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_refusal_storms_total",
			Help: "Times that a route refused many characters at once and was left alone, by operation.",
		}, []string{"operation"}),
		echoes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_esi_other_date_total",
			Help: "Routes that answered by another compatibility date than was asked for, once for each date.",
		}, []string{"operation", "date"}),
	}
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_esi_errors_left",
		Help: "Errors left in this minute on routes without a bucket, for all programs behind this address.",
	}, func() float64 { return float64(b.remaining()) })
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.tokens, m.deferred, m.bytes, m.incidents, m.storms, m.echoes, left} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) request(operation string, status int, seconds float64, bytes int) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(seconds)
	m.bytes.WithLabelValues(operation).Add(float64(bytes))
}
