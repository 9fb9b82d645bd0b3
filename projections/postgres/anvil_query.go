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

const selectFindings = `SELECT f.finding::text, f.open, coalesce(o.reopened, 0), f.changed_at, f.resolved_at, f.opened_at
	FROM %[1]s.findings f LEFT JOIN %[1]s.openings o USING (finding_id) WHERE f.stream = $1`

func scanFinding(row pgx.CollectableRow) (Finding, error) {
	var f Finding
	var text string
	if err := row.Scan(&text, &f.Open, &f.Reopened, &f.ChangedAt, &f.ResolvedAt, &f.listed); err != nil {
		return f, err
	}
	return f, f.decode(text)
}

// decode completes a scanned finding with what its last event says.
func (f *Finding) decode(text string) error {
	f.ChangedAt, f.ResolvedAt = f.ChangedAt.UTC(), utc(f.ResolvedAt)
	if err := json.Unmarshal([]byte(text), &f.Finding); err != nil {
		return fmt.Errorf("decoding a finding: %w", err)
	}
	return nil
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
	rows, err := r.pool.Query(ctx, `SELECT sweep_id, started_at, summary::text FROM `+schema+`.sweeps
		WHERE stream = $1`+page+` ORDER BY started_at DESC, sweep_id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, queryError("listing sweeps", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Sweep, error) {
		var s Sweep
		var text *string
		if err := row.Scan(&s.ID, &s.StartedAt, &text); err != nil {
			return s, err
		}
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
