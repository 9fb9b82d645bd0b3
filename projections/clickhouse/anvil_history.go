package clickhouse

import (
	_ "embed"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed anvil_history.sql
var anvilHistorySchema string

// AnVILHistoryName is the name of the projection of sweeps and audits over time.
const AnVILHistoryName = "anvil_history"

// AnVILHistory is the projection of when consortia were swept and what audits came to.
// Rows go with the tombstone of their event.
func AnVILHistory() runner.Projection {
	return runner.Projection{
		Name:    AnVILHistoryName,
		Version: 1,
		Topics:  []string{event.TopicAnVIL},
		Schema:  anvilHistorySchema,

		Tombstones: true,
		Tables: []runner.Table{
			{Name: "sweeps", Key: "consortium, started_at, sweep_id", Replacing: true},
			{Name: "audits", Key: "consortium, model, audited_at, event_id", Replacing: true},
		},
		NewBatch: func() runner.Batch { return &anvilHistoryBatch{} },
	}
}

type sweepRow struct {
	placed
	anvil.SweepCompleted

	consortium string
	started    time.Time
	completed  bool
}

type auditRow struct {
	placed
	anvil.ModelAudited

	consortium string
	at         time.Time
	sweep      uuid.UUID
}

// anvilHistoryBatch gathers rows.
type anvilHistoryBatch struct {
	sweeps []sweepRow
	audits []auditRow
	gone   []runner.Event
}

// Add implements [runner.Batch].
func (b *anvilHistoryBatch) Add(e runner.Event) error {
	name, _ := e.Stream.ConsortiumName()
	if e.Expiry != nil {
		b.sweeps = slices.DeleteFunc(b.sweeps, func(r sweepRow) bool { return r.event == e.ID })
		b.audits = slices.DeleteFunc(b.audits, func(r auditRow) bool { return r.event == e.ID })
		b.gone = append(b.gone, e)
		return nil
	}
	switch p := e.Payload.(type) {
	case anvil.SweepStarted:
		begun := anvil.SweepCompleted{SweepID: p.SweepID, Models: p.Models, Scope: p.Scope, StartedAt: p.StartedAt, CompletedAt: p.StartedAt}
		b.sweeps = append(b.sweeps, sweepRow{placeOf(e), begun, name, storable(p.StartedAt), false})
	case anvil.SweepCompleted:
		b.sweeps = append(b.sweeps, sweepRow{placeOf(e), p, name, storable(p.StartedAt), true})
	case anvil.AuditCompleted:
		for _, m := range p.Models {
			row := auditRow{placed: placeOf(e), ModelAudited: m, consortium: name, at: storable(p.AuditedAt)}
			if p.SweepID != nil {
				row.sweep = *p.SweepID
			}
			b.audits = append(b.audits, row)
		}
	}
	return nil
}

// Removals implements [runner.ClickHouseRemover].
func (b *anvilHistoryBatch) Removals() []runner.Removal {
	var removals []runner.Removal
	for some := range slices.Chunk(b.gone, namedAtOnce) {
		removals = append(removals, runner.Removal{Table: "sweeps", Where: namedBy(some)}, runner.Removal{Table: "audits", Where: namedBy(some)})
	}
	return removals
}

// Inserts implements [runner.ClickHouseBatch].
func (b *anvilHistoryBatch) Inserts() []runner.Insert {
	return []runner.Insert{
		insertRows("sweeps", b.sweeps, "consortium, started_at, sweep_id, completed, milliseconds, models, scoped, covered, calls, retries, observed, unseen",
			func(r *sweepRow) placed { return r.placed }, sweepColumns),
		insertRows("audits", b.audits, "consortium, model, audited_at, sweep_id, audited, verified, errors, beyond, unknown, not_in_app, ignored, unlisted",
			func(r *auditRow) placed { return r.placed }, auditColumns),
	}
}

func sweepColumns(rows []sweepRow) []any {
	number := func(value func(*sweepRow) int) []int64 {
		return column(rows, func(r *sweepRow) int64 { return int64(value(r)) })
	}
	return []any{
		column(rows, func(r *sweepRow) string { return r.consortium }), column(rows, func(r *sweepRow) time.Time { return r.started }),
		column(rows, func(r *sweepRow) uuid.UUID { return r.SweepID }), column(rows, func(r *sweepRow) bool { return r.completed }),
		column(rows, func(r *sweepRow) int64 { return max(0, r.CompletedAt.Sub(r.StartedAt).Milliseconds()) }),
		number(func(r *sweepRow) int { return len(r.Models) }),
		column(rows, func(r *sweepRow) bool { return len(r.Groups)+len(r.Workspaces) > 0 }),
		number(func(r *sweepRow) int {
			covered := 0
			for _, n := range r.Covered {
				covered += n
			}
			return covered
		}),
		number(func(r *sweepRow) int { return r.Calls }), number(func(r *sweepRow) int { return r.Retries }),
		number(func(r *sweepRow) int { return r.Observed }), number(func(r *sweepRow) int { return r.UnseenCount }),
	}
}

func auditColumns(rows []auditRow) []any {
	number := func(value func(*auditRow) int) []int64 {
		return column(rows, func(r *auditRow) int64 { return int64(value(r)) })
	}
	return []any{
		column(rows, func(r *auditRow) string { return r.consortium }), column(rows, func(r *auditRow) string { return string(r.Model) }),
		column(rows, func(r *auditRow) time.Time { return r.at }), column(rows, func(r *auditRow) uuid.UUID { return r.sweep }),
		number(func(r *auditRow) int { return r.Audited }), number(func(r *auditRow) int { return r.Verified }), number(func(r *auditRow) int { return r.Errors }),
		number(func(r *auditRow) int { return r.Beyond }), number(func(r *auditRow) int { return r.Unknown }), number(func(r *auditRow) int { return r.NotInApp }),
		number(func(r *auditRow) int { return r.Ignored }), number(func(r *auditRow) int { return r.Unlisted }),
	}
}
