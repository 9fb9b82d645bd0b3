package anvil

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// Auditor is the reactor that audits a consortium when a sweep has ended or its
// declaration has changed, and appends what that says about findings, and what the
// audit came to. It must be given the events of the AnVIL topic in order, by one process at a time.
type Auditor struct {
	latest   LoadState
	appender Appender
	logger   *slog.Logger
	findings *prometheus.CounterVec
	open     *prometheus.GaugeVec
	decode   func(event.Event) (event.Payload, error)
}

// AuditorConfig is what an auditor works with. All fields must be set.
type AuditorConfig struct {
	// Latest reads the state of a consortium once the read model shows all that
	// the log holds when it is called: so it shows the findings that were
	// appended before.
	Latest     LoadState
	Appender   Appender
	Registry   *event.Registry
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// NewAuditor is an auditor.
func NewAuditor(c AuditorConfig) (*Auditor, error) {
	a := &Auditor{
		latest: c.Latest, appender: c.Appender, logger: c.Logger, decode: c.Registry.Decode,
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_anvil_finding_events_total", Help: "Findings that were opened, changed or resolved.",
		}, []string{"consortium", "type"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "muster_anvil_open_findings", Help: "Discrepancies that the last audit found.",
		}, []string{"consortium"}),
	}
	for _, m := range []prometheus.Collector{a.findings, a.open} {
		if err := c.Registerer.Register(m); err != nil {
			return nil, fmt.Errorf("registering the metrics of audits: %w", err)
		}
	}
	return a, nil
}

// React does what an event asks for. The same event may be given twice.
func (a *Auditor) React(ctx context.Context, e event.Recorded) error {
	name, ok := e.Stream.ConsortiumName()
	if !ok || e.IsTombstone() || !domain.LeadsToAudit(e.Type) {
		return nil
	}
	payload, err := a.decode(e.Event)
	if err != nil {
		return err
	}
	state, err := a.latest(ctx, e.Stream)
	if err != nil {
		return fmt.Errorf("reading the state of %s: %w", e.Stream, err)
	}
	events, result, err := state.Reaction(Source, e.Event, payload)
	if err != nil {
		return fmt.Errorf("auditing %s: %w", e.Stream, err)
	}
	completed, err := state.AuditEvent(Source, e.Event, payload, result)
	if err != nil {
		return fmt.Errorf("telling what the audit of %s came to: %w", e.Stream, err)
	}
	if err := a.appender.Append(ctx, append(slices.Clone(events), completed)...); err != nil {
		return fmt.Errorf("appending the findings of %s: %w", e.Stream, err)
	}
	for _, f := range events {
		a.findings.WithLabelValues(name, string(f.Type)).Inc()
	}
	a.open.WithLabelValues(name).Set(float64(len(result.Discrepancies())))
	a.logger.InfoContext(ctx, "AnVIL audited", "consortium", name, "cause", string(e.Type), "findings_changed", len(events), "discrepancies", len(result.Discrepancies()))
	return nil
}
