package command

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a forwarder counts about itself.
type metrics struct {
	forwarded prometheus.Counter
	refused   prometheus.Counter
	failures  prometheus.Counter
	leading   prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_command_forwarded_total",
			Help: "Events of commands that this process has appended to the log, repeated ones included.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_command_refused_total",
			Help: "Events of commands that the log has refused to this process.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_command_append_failures_total",
			Help: "Attempts of this process to append commands that failed and were tried again.",
		}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "muster_command_forwarder_leading",
			Help: "1 while this process is the one that forwards commands.",
		}),
	}
}

func (m metrics) register(r prometheus.Registerer, pool *pgxpool.Pool) error {
	for _, c := range []prometheus.Collector{m.forwarded, m.refused, m.failures, m.leading, newOutboxCollector(pool)} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering the metrics of commands: %w", err)
		}
	}
	return nil
}

// scrapeTimeout bounds how long a scrape may wait for Postgres.
const scrapeTimeout = 2 * time.Second

// outboxCollector measures the outbox itself when it is asked. Every process tells
// the same, also while no forwarder is alive, which is when it matters.
type outboxCollector struct {
	pool    *pgxpool.Pool
	depth   *prometheus.Desc
	age     *prometheus.Desc
	refused *prometheus.Desc
}

func newOutboxCollector(pool *pgxpool.Pool) outboxCollector {
	return outboxCollector{
		pool:    pool,
		depth:   prometheus.NewDesc("muster_command_outbox_depth", "Events of commands that are accepted and not yet in the log.", nil, nil),
		age:     prometheus.NewDesc("muster_command_outbox_age_seconds", "How long the oldest of them has been waiting; 0 if there is none.", nil, nil),
		refused: prometheus.NewDesc("muster_command_outbox_refused", "Streams that stand still because the log refused one of their events.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c outboxCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.depth
	out <- c.age
	out <- c.refused
}

// Collect implements [prometheus.Collector].
func (c outboxCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var depth, refused int64
	var age float64
	err := c.pool.QueryRow(ctx, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(decided_at)), 0)::float8,
			count(*) FILTER (WHERE refusal IS NOT NULL)
		FROM command.outbox WHERE appended_at IS NULL`).Scan(&depth, &age, &refused)
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.depth, fmt.Errorf("measuring the outbox: %w", err))
		return
	}
	out <- prometheus.MustNewConstMetric(c.depth, prometheus.GaugeValue, float64(depth))
	out <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age)
	out <- prometheus.MustNewConstMetric(c.refused, prometheus.GaugeValue, float64(refused))
}
