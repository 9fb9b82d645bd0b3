package postgres

import (
	"context"
	_ "embed"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed anvil.sql
var anvilSchema string

// AnVILName is the name of the projection of consortia.
const AnVILName = "anvil"

// AnVIL is the projection of what is declared, what was observed, sweeps and
// findings as they are now.
func AnVIL() runner.Projection {
	shape := newAnVILShape()
	return runner.Projection{
		Name:    AnVILName,
		Version: 1,
		Topics:  []string{event.TopicAnVIL},
		Schema:  anvilSchema,
		Tables: []runner.Table{
			{Name: "records", Key: "stream, side, kind, name"},
			{Name: "findings", Key: "finding_id"},
			{Name: "openings", Key: "finding_id"},
			{Name: "sweeps", Key: "sweep_id"},
		},
		Sequence: func(e runner.Event) string { return anvil.SequenceOf(e.Stream, e.Payload) },
		NewBatch: func() runner.Batch { return shape.empty() },
	}
}

type recordKey struct {
	stream event.Stream
	anvil.Slot
}

type recordRow struct {
	recordKey
	e runner.Event
}

type findingRow struct {
	anvil.Finding
	stream     event.Stream
	open       bool
	changedAt  time.Time
	resolvedAt *time.Time
	json       string
	place
}

type openingRow struct {
	id       uuid.UUID
	stream   event.Stream
	reopened int
	place
}

type sweepRow struct {
	id          uuid.UUID
	stream      event.Stream
	startedAt   time.Time
	completedAt *time.Time
	summary     *string
	place
}

// anvilBatch folds events of consortia.
type anvilBatch struct {
	records  table[recordKey, recordRow]
	findings table[uuid.UUID, findingRow]
	openings table[uuid.UUID, openingRow]
	sweeps   table[uuid.UUID, sweepRow]
}

func newAnVILShape() *anvilBatch {
	return &anvilBatch{
		records: newTable[recordKey]("records", []string{"stream", "side", "kind", "name"}, func(r *recordRow) place { return placeOf(r.e) },
			col("stream", "text[]", func(r *recordRow) string { return string(r.stream) }),
			col("side", "text[]", func(r *recordRow) string { return string(r.Side) }),
			col("kind", "text[]", func(r *recordRow) string { return string(r.Key.Kind) }),
			col("name", "text[]", func(r *recordRow) string { return r.Key.Name }),
			col("type", "text[]", func(r *recordRow) string { return string(r.e.Type) }),
			col("payload", "json[]", func(r *recordRow) string { return string(r.e.Data) }),
			col("actor", "text[]", func(r *recordRow) string { return r.e.Actor }),
			col("event_time", "timestamptz[]", func(r *recordRow) time.Time { return r.e.Time })),
		findings: newTable[uuid.UUID]("findings", []string{"finding_id"}, func(r *findingRow) place { return r.place },
			col("finding_id", "uuid[]", func(r *findingRow) uuid.UUID { return r.ID }),
			col("stream", "text[]", func(r *findingRow) string { return string(r.stream) }),
			col("open", "boolean[]", func(r *findingRow) bool { return r.open }),
			col("model", "text[]", func(r *findingRow) string { return string(r.Model) }),
			col("scope", "text[]", func(r *findingRow) string { return r.Scope }),
			col("record", "text[]", func(r *findingRow) string { return r.Record }),
			col("kind", "text[]", func(r *findingRow) string { return r.Kind }),
			col("severity", "text[]", func(r *findingRow) string { return string(r.Severity) }),
			col("opened_at", "timestamptz[]", func(r *findingRow) time.Time { return r.OpenedAt }),
			col("changed_at", "timestamptz[]", func(r *findingRow) time.Time { return r.changedAt }),
			col("resolved_at", "timestamptz[]", func(r *findingRow) *time.Time { return r.resolvedAt }),
			col("finding", "json[]", func(r *findingRow) string { return r.json })),
		openings: newTable[uuid.UUID]("openings", []string{"finding_id"}, func(r *openingRow) place { return r.place },
			col("finding_id", "uuid[]", func(r *openingRow) uuid.UUID { return r.id }),
			col("stream", "text[]", func(r *openingRow) string { return string(r.stream) }),
			col("reopened", "integer[]", func(r *openingRow) int { return r.reopened })),
		sweeps: newTable[uuid.UUID]("sweeps", []string{"sweep_id"}, func(r *sweepRow) place { return r.place },
			col("sweep_id", "uuid[]", func(r *sweepRow) uuid.UUID { return r.id }),
			col("stream", "text[]", func(r *sweepRow) string { return string(r.stream) }),
			col("started_at", "timestamptz[]", func(r *sweepRow) time.Time { return r.startedAt }),
			col("completed_at", "timestamptz[]", func(r *sweepRow) *time.Time { return r.completedAt }),
			col("summary", "json[]", func(r *sweepRow) *string { return r.summary })),
	}
}

func (b *anvilBatch) empty() *anvilBatch {
	return &anvilBatch{b.records.empty(), b.findings.empty(), b.openings.empty(), b.sweeps.empty()}
}

// Add implements [runner.Batch].
func (b *anvilBatch) Add(e runner.Event) error {
	if slot, ok := anvil.SlotOf(e.Payload); ok {
		key := recordKey{e.Stream, slot}
		b.records.put(key, recordRow{key, e})
		return nil
	}
	switch p := e.Payload.(type) {
	case anvil.FindingOpened:
		b.openings.put(p.ID, openingRow{p.ID, e.Stream, p.Reopened, placeOf(e)})
		return b.find(e, p.Finding, nil)
	case anvil.FindingChanged:
		return b.find(e, p.Finding, nil)
	case anvil.FindingResolved:
		return b.find(e, p.Finding, &p.ResolvedAt)
	case anvil.SweepStarted:
		b.sweeps.put(p.SweepID, sweepRow{id: p.SweepID, stream: e.Stream, startedAt: p.StartedAt, place: placeOf(e)})
	case anvil.SweepCompleted:
		summary := string(e.Data)
		b.sweeps.put(p.SweepID, sweepRow{p.SweepID, e.Stream, p.StartedAt, &p.CompletedAt, &summary, placeOf(e)})
	}
	return nil
}

func (b *anvilBatch) find(e runner.Event, f anvil.Finding, resolvedAt *time.Time) error {
	text, err := json.Marshal(f)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "encoding finding %s: %w", f.ID, err)
	}
	b.findings.put(f.ID, findingRow{
		Finding: f, stream: e.Stream, open: resolvedAt == nil, changedAt: e.Time, resolvedAt: resolvedAt, json: string(text), place: placeOf(e),
	})
	return nil
}

// Write implements [runner.PostgresBatch].
func (b *anvilBatch) Write(ctx context.Context, tx pgx.Tx) error {
	return send(ctx, tx, &b.records, &b.findings, &b.openings, &b.sweeps)
}
