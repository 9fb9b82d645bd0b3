package clickhouse

import (
	_ "embed"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed finding_steps.sql
var findingStepsSchema string

// FindingStepsName is the name of the projection of what happened to findings.
const FindingStepsName = "finding_steps"

// Steps of a finding.
const (
	StepOpened   = "opened"
	StepChanged  = "changed"
	StepResolved = "resolved"
)

// FindingSteps is the projection of when findings were opened, have changed and were
// resolved. What the two sides say of a record is not in it: a trend needs how many
// and how long.
func FindingSteps() runner.Projection {
	return runner.Projection{
		Name:     FindingStepsName,
		Version:  1,
		Topics:   []string{event.TopicAnVIL},
		Schema:   findingStepsSchema,
		Tables:   []runner.Table{{Name: "finding_steps", Key: "consortium, finding_id, at, event_id", Replacing: true}},
		NewBatch: func() runner.Batch { return &findingStepsBatch{} },
	}
}

type findingStep struct {
	placed

	consortium string
	step       string
	at         time.Time
	finding    anvil.Finding
}

type findingStepsBatch struct{ steps []findingStep }

// Add implements [runner.Batch].
func (b *findingStepsBatch) Add(e runner.Event) error {
	step := findingStep{placed: placeOf(e), at: storable(e.Time)}
	step.consortium, _ = e.Stream.ConsortiumName()
	switch p := e.Payload.(type) {
	case anvil.FindingOpened:
		step.step, step.finding = StepOpened, p.Finding
	case anvil.FindingChanged:
		step.step, step.finding = StepChanged, p.Finding
	case anvil.FindingResolved:
		step.step, step.finding = StepResolved, p.Finding
	default:
		return nil
	}
	b.steps = append(b.steps, step)
	return nil
}

// Inserts implements [runner.ClickHouseBatch].
func (b *findingStepsBatch) Inserts() []runner.Insert {
	text := func(value func(*findingStep) string) []string { return column(b.steps, value) }
	return []runner.Insert{insertRows("finding_steps", b.steps,
		"consortium, finding_id, at, step, model, scope, record, kind, severity, beyond, opened_at",
		func(s *findingStep) placed { return s.placed }, func(rows []findingStep) []any {
			return []any{
				text(func(s *findingStep) string { return s.consortium }),
				column(rows, func(s *findingStep) uuid.UUID { return s.finding.ID }),
				column(rows, func(s *findingStep) time.Time { return s.at }),
				text(func(s *findingStep) string { return s.step }),
				text(func(s *findingStep) string { return string(s.finding.Model) }),
				text(func(s *findingStep) string { return s.finding.Scope }),
				text(func(s *findingStep) string { return s.finding.Record }),
				text(func(s *findingStep) string { return s.finding.Kind }),
				text(func(s *findingStep) string { return string(s.finding.Severity) }),
				column(rows, func(s *findingStep) bool { return s.finding.Beyond }),
				column(rows, func(s *findingStep) time.Time { return storable(s.finding.OpenedAt) }),
			}
		})}
}
