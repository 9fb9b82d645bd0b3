package runner

import "github.com/prometheus/client_golang/prometheus"

// metrics of all projections of a process.
type metrics struct {
	lagRecords *prometheus.GaugeVec
	lagSeconds *prometheus.GaugeVec
	batch      *prometheus.HistogramVec
	fold       *prometheus.HistogramVec
	commit     *prometheus.HistogramVec
	records    *prometheus.CounterVec
	events     *prometheus.CounterVec
	unknown    *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	tombstones *prometheus.CounterVec
	parked     *prometheus.CounterVec
	aside      *prometheus.GaugeVec
	restarts   *prometheus.CounterVec
	progress   *prometheus.GaugeVec
	generation *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "muster", Subsystem: "projection", Name: name, Help: help}, append([]string{"projection"}, labels...))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "muster", Subsystem: "projection", Name: name, Help: help}, append([]string{"projection"}, labels...))
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "muster", Subsystem: "projection", Name: name, Help: help, Buckets: buckets}, []string{"projection"})
	}
	m := &metrics{
		lagRecords: gauge("lag_records", "Offsets between the checkpoint and the end of the log, all partitions together."),
		lagSeconds: gauge("lag_seconds", "Age of the oldest record that is not applied yet, as far as the last applied one tells; 0 when nothing waits."),
		batch:      histogram("batch_records", "Records in a batch.", prometheus.ExponentialBuckets(1, 4, 9)),
		fold:       histogram("fold_seconds", "Time to decode and fold a batch.", prometheus.ExponentialBuckets(0.0001, 4, 10)),
		commit:     histogram("commit_seconds", "Time to write a batch and its checkpoint.", prometheus.ExponentialBuckets(0.0005, 4, 10)),
		records:    counter("records_total", "Records read and settled."),
		events:     counter("events_total", "Events folded."),
		unknown:    counter("unknown_events_total", "Events of a type that this Muster does not know; they are passed over.", "type"),
		duplicates: counter("duplicate_events_total", "Second copies of decisions; they are passed over."),
		tombstones: counter("tombstones_total", "Tombstones met."),
		parked:     counter("parked_events_total", "Events set aside: poisoned, or waiting behind a poisoned one.", "state"),
		aside:      gauge("parked", "Events that are set aside now: poisoned, waiting behind a poisoned one, or about to be tried again.", "state"),
		restarts:   counter("restarts_total", "Times a projection started again after an error."),
		progress:   gauge("rebuild_progress", "Share of the log that a rebuild has read, 0 to 1."),
		generation: gauge("live_generation", "Number of the live generation."),
	}
	if r != nil {
		r.MustRegister(m.lagRecords, m.lagSeconds, m.batch, m.fold, m.commit, m.records, m.events, m.unknown,
			m.duplicates, m.tombstones, m.parked, m.aside, m.restarts, m.progress, m.generation)
	}
	return m
}

// left forgets how far a projection is that another process owns, which tells that now.
func (m *metrics) left(projection string) {
	m.lagRecords.DeleteLabelValues(projection)
	m.lagSeconds.DeleteLabelValues(projection)
	m.aside.DeletePartialMatch(prometheus.Labels{"projection": projection})
}
