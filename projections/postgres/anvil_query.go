package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/live"
)

// Audit is what an audit of the present state came to.
type Audit struct {
	Result *anvil.Result
	// Sweep is the last completed sweep, which the audit rests on; nil before
	// the first one.
	Sweep *anvil.SweepCompleted
}

// Finding is a discrepancy and what has become of it.
type Finding struct {
	anvil.Finding

	Open bool
	// Reopened is how often it had been resolved when it was last opened.
	Reopened int
	// ChangedAt is when it was opened, changed or resolved last, UTC.
	ChangedAt time.Time
	// ResolvedAt is nil while it is open.
	ResolvedAt *time.Time
	// Accepted is the acceptance that holds for it now; nil if there is none.
	Accepted *anvil.Accepted
	// Origin is the event that it was opened, changed or resolved by last.
	Origin event.Origin
	// listed is OpenedAt as Postgres keeps it, to the microsecond.
	listed time.Time
}

// FindingState is a filter of findings.
type FindingState string

// The states of findings that can be asked for.
const (
	FindingsOpen     FindingState = "open"
	FindingsResolved FindingState = "resolved"
	FindingsAll      FindingState = "all"
)

// FindingFilter says which findings to list, the newest first. Zero fields do
// not filter.
type FindingFilter struct {
	Consortium string
	// State is [FindingsAll] if empty.
	State    FindingState
	Models   []anvil.Model
	Severity anvil.Severity
	// Accepted lists only those that are accepted, or only those that are not; nil
	// lists both.
	Accepted *bool
	// Before is the last finding of the page before; nil for the first page.
	Before *FindingCursor
	// Limit is the most findings to list; it must be positive.
	Limit int
}

// FindingCursor is a place in a list of findings.
type FindingCursor struct {
	OpenedAt time.Time `json:"t"`
	ID       uuid.UUID `json:"i"`
}

// Cursor is the place of the finding in a list.
func (f Finding) Cursor() FindingCursor { return FindingCursor{OpenedAt: f.listed, ID: f.ID} }

// Sweep is one reading of AnVIL.
type Sweep struct {
	ID        uuid.UUID
	StartedAt time.Time
	// Completed is what came of it; nil while it is under way, and for good if
	// it was interrupted.
	Completed *anvil.SweepCompleted
	// Origin is the event that it began or ended by.
	Origin event.Origin
}

// SweepCursor is a place in a list of sweeps.
type SweepCursor struct {
	StartedAt time.Time `json:"t"`
	ID        uuid.UUID `json:"i"`
}

// Cursor is the place of the sweep in a list.
func (s Sweep) Cursor() SweepCursor { return SweepCursor{StartedAt: s.StartedAt, ID: s.ID} }

// AnVILReader answers questions about consortia as they are now. It is safe for
// concurrent use.
type AnVILReader struct {
	pool     *pgxpool.Pool
	live     *live.Generations
	registry *event.Registry
}

// NewAnVILReader reads from the database that holds the projection [AnVILName].
// The registry must know the events of AnVIL.
func NewAnVILReader(pool *pgxpool.Pool, generations *live.Generations, registry *event.Registry) *AnVILReader {
	return &AnVILReader{pool: pool, live: generations, registry: registry}
}

// State is the state of a consortium. It fails with [event.CodeNotFound] for one
// that nobody has declared.
func (r *AnVILReader) State(ctx context.Context, consortium string) (*anvil.State, error) {
	stream := event.Consortium(consortium)
	if _, err := r.schemaOf(ctx, consortium); err != nil {
		return nil, err
	}
	generation, err := r.live.Generation(ctx, AnVILName)
	if err != nil {
		return nil, queryError("finding the consortia", err)
	}
	state, err := LoadState(ctx, r.pool, generation, r.registry, stream)
	if err != nil {
		return nil, queryError("reading consortium "+consortium, err)
	}
	return state, nil
}

// Audit audits what is declared against what was observed, as of now.
func (r *AnVILReader) Audit(ctx context.Context, consortium string, options anvil.Options) (Audit, error) {
	state, err := r.State(ctx, consortium)
	if err != nil {
		return Audit{}, err
	}
	audit := Audit{Result: state.Audit(options)}
	if sweep, ok := state.LastSweep(); ok {
		audit.Sweep = &sweep
	}
	return audit, nil
}

// schemaOf is the quoted schema of the live generation, if it knows the
// consortium.
func (r *AnVILReader) schemaOf(ctx context.Context, consortium string) (string, error) {
	name, err := r.live.Namespace(ctx, AnVILName)
	if err != nil {
		return "", queryError("finding the consortia", err)
	}
	schema := pgx.Identifier{name}.Sanitize()
	var known bool
	err = r.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+schema+`.records WHERE stream = $1) OR EXISTS (SELECT 1 FROM `+schema+`.sweeps WHERE stream = $1)`,
		string(event.Consortium(consortium))).Scan(&known)
	if err != nil {
		return "", queryError("looking for consortium "+consortium, err)
	}
	if !known {
		return "", event.Errorf(event.CodeNotFound, "there is no consortium %q: declare it with `muster declare --consortium %s -f FILE`", consortium, consortium)
	}
	return schema, nil
}

// findingColumns are what [scannedFinding] takes of findingTables. The condition of
// an acceptance is that of [anvil.Accepted.Covers].
const (
	findingColumns = `f.finding::text, f.open, coalesce(o.reopened, 0), f.changed_at, f.resolved_at, f.opened_at, a.payload::text, a.actor, a.event_time, f.stream, f.log_partition, f.log_offset`
	findingTables  = `%[1]s.findings f LEFT JOIN %[1]s.openings o USING (finding_id)
	LEFT JOIN %[1]s.records a ON a.stream = f.stream AND a.side = 'declared' AND a.kind = 'acceptance' AND a.name = f.finding_id::text
		AND a.type = '` + string(anvil.TypeAcceptanceDeclared) + `' AND f.open AND a.event_time >= f.opened_at
		AND a.payload->>'expected' = f.finding->>'expected' AND a.payload->>'observed' = f.finding->>'observed'
		AND coalesce((a.payload->>'until')::timestamptz > now(), true)`
	selectFindings = `SELECT ` + findingColumns + ` FROM ` + findingTables + ` WHERE f.stream = $1`
)

// scannedFinding is a row of findingColumns.
type scannedFinding struct {
	Finding

	text              string
	acceptance, actor *string
	acceptedAt        *time.Time
	stream            event.Stream
	place             origin
}

// columns are where the columns go, in order.
func (f *scannedFinding) columns() []any {
	return []any{&f.text, &f.Open, &f.Reopened, &f.ChangedAt, &f.ResolvedAt, &f.listed, &f.acceptance, &f.actor, &f.acceptedAt, &f.stream, &f.place.partition, &f.place.offset}
}

// decoded is the finding with what its last event and its acceptance say.
func (f *scannedFinding) decoded() (Finding, error) {
	f.ChangedAt, f.ResolvedAt = f.ChangedAt.UTC(), utc(f.ResolvedAt)
	f.Origin = f.place.of(f.stream, event.TopicAnVIL)
	if err := json.Unmarshal([]byte(f.text), &f.Finding.Finding); err != nil {
		return f.Finding, fmt.Errorf("decoding a finding: %w", err)
	}
	if f.acceptance == nil || f.actor == nil || f.acceptedAt == nil {
		return f.Finding, nil
	}
	f.Accepted = &anvil.Accepted{By: *f.actor, At: f.acceptedAt.UTC()}
	if err := json.Unmarshal([]byte(*f.acceptance), &f.Accepted.Acceptance); err != nil {
		return f.Finding, fmt.Errorf("decoding the acceptance of a finding: %w", err)
	}
	return f.Finding, nil
}

func scanFinding(row pgx.CollectableRow) (Finding, error) {
	var f scannedFinding
	if err := row.Scan(f.columns()...); err != nil {
		return f.Finding, err
	}
	return f.decoded()
}

// complete completes a selection of findings f with what the filter says beside
// the consortium.
func (filter FindingFilter) complete(selection string, args ...any) (string, []any) {
	var sql strings.Builder
	sql.WriteString(selection)
	add := func(condition string, values ...any) {
		places := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			places[i] = len(args)
		}
		fmt.Fprintf(&sql, condition, places...)
	}
	switch filter.State {
	case FindingsOpen:
		add(` AND f.open`)
	case FindingsResolved:
		add(` AND NOT f.open`)
	case FindingsAll:
	}
	if len(filter.Models) > 0 {
		names := make([]string, len(filter.Models))
		for i, m := range filter.Models {
			names[i] = string(m)
		}
		add(` AND f.model = ANY($%d)`, names)
	}
	if filter.Severity != "" {
		add(` AND f.severity = $%d`, string(filter.Severity))
	}
	if filter.Accepted != nil {
		add(` AND (a.name IS NOT NULL) = $%d`, *filter.Accepted)
	}
	if filter.Before != nil {
		add(` AND (f.opened_at, f.finding_id) < ($%d, $%d)`, filter.Before.OpenedAt, filter.Before.ID)
	}
	add(` ORDER BY f.opened_at DESC, f.finding_id DESC LIMIT $%d`, filter.Limit)
	return sql.String(), args
}

// Findings lists findings of a consortium, at most filter.Limit. It fails with
// [event.CodeNotFound] for a consortium that nobody has declared.
func (r *AnVILReader) Findings(ctx context.Context, filter FindingFilter) ([]Finding, error) {
	schema, err := r.schemaOf(ctx, filter.Consortium)
	if err != nil {
		return nil, err
	}
	sql, args := filter.complete(fmt.Sprintf(selectFindings, schema), string(event.Consortium(filter.Consortium)))
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("listing findings", err)
	}
	list, err := pgx.CollectRows(rows, scanFinding)
	if err != nil {
		return nil, queryError("listing findings", err)
	}
	return list, nil
}

// Finding is one finding of a consortium. It fails with [event.CodeNotFound] if
// there is none of that id.
func (r *AnVILReader) Finding(ctx context.Context, consortium string, id uuid.UUID) (Finding, error) {
	schema, err := r.schemaOf(ctx, consortium)
	if err != nil {
		return Finding{}, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(selectFindings, schema)+` AND f.finding_id = $2`, string(event.Consortium(consortium)), id)
	if err != nil {
		return Finding{}, queryError("reading a finding", err)
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFinding)
	if errors.Is(err, pgx.ErrNoRows) {
		return Finding{}, event.Errorf(event.CodeNotFound, "consortium %q has no finding %s", consortium, id)
	}
	if err != nil {
		return Finding{}, queryError("reading a finding", err)
	}
	return f, nil
}

// Sweeps lists the sweeps of a consortium, the newest first, at most limit.
// before is the last sweep of the page before; nil for the first page. It fails
// with [event.CodeNotFound] for a consortium that nobody has declared.
func (r *AnVILReader) Sweeps(ctx context.Context, consortium string, before *SweepCursor, limit int) ([]Sweep, error) {
	schema, err := r.schemaOf(ctx, consortium)
	if err != nil {
		return nil, err
	}
	args := []any{string(event.Consortium(consortium)), limit}
	page := ""
	if before != nil {
		page = ` AND (started_at, sweep_id) < ($3, $4)`
		args = append(args, before.StartedAt, before.ID)
	}
	rows, err := r.pool.Query(ctx, `SELECT sweep_id, started_at, summary::text, log_partition, log_offset FROM `+schema+`.sweeps
		WHERE stream = $1`+page+` ORDER BY started_at DESC, sweep_id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, queryError("listing sweeps", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Sweep, error) {
		var s Sweep
		var text *string
		var o origin
		if err := row.Scan(append([]any{&s.ID, &s.StartedAt, &text}, o.columns()...)...); err != nil {
			return s, err
		}
		s.Origin = o.of(event.Consortium(consortium), event.TopicAnVIL)
		s.StartedAt = s.StartedAt.UTC()
		if text == nil {
			return s, nil
		}
		s.Completed = new(anvil.SweepCompleted)
		return s, json.Unmarshal([]byte(*text), s.Completed)
	})
	if err != nil {
		return nil, queryError("listing sweeps", err)
	}
	return list, nil
}

// OpenFindings counts the open findings of each consortium that has any.
func (r *AnVILReader) OpenFindings(ctx context.Context) (map[string]int64, error) {
	name, err := r.live.Namespace(ctx, AnVILName)
	if err != nil {
		return nil, queryError("finding the consortia", err)
	}
	rows, err := r.pool.Query(ctx, `SELECT stream, count(*) FROM `+pgx.Identifier{name}.Sanitize()+`.findings WHERE open GROUP BY stream`)
	if err != nil {
		return nil, queryError("counting findings", err)
	}
	counts := map[string]int64{}
	var stream event.Stream
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &n}, func() error {
		consortium, _ := stream.ConsortiumName()
		counts[consortium] = n
		return nil
	})
	if err != nil {
		return nil, queryError("counting findings", err)
	}
	return counts, nil
}
