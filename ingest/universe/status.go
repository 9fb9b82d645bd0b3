package universe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TableStatus counts the rows of a table by where they came from.
type TableStatus struct {
	Table  string `json:"table"`
	Source string `json:"source"`
	Rows   int64  `json:"rows"`
}

// WantedStatus counts what ESI is asked about.
type WantedStatus struct {
	// Lookup is name, type or structure.
	Lookup string `json:"lookup"`
	// Waiting have no name yet and were not refused; Refused have none and were,
	// Known have one and are asked for again when it is old.
	Waiting int64 `json:"waiting"`
	Refused int64 `json:"refused"`
	Known   int64 `json:"known"`
}

// Refusal is an id of which ESI knows nothing.
type Refusal struct {
	Lookup   string    `json:"lookup"`
	ID       int64     `json:"id"`
	Refusals int       `json:"refusals"`
	Reason   string    `json:"reason"`
	DueAt    time.Time `json:"due_at"`
}

// Standing is how the reference data stands.
type Standing struct {
	Tables []TableStatus `json:"tables"`
	// Load is the last load that tells; nil if there was none.
	Load *LoadReport `json:"load"`
	// PricesCheckedAt is when ESI last confirmed the prices; nil if never.
	PricesCheckedAt *time.Time     `json:"prices_checked_at"`
	PricesChangedAt *time.Time     `json:"prices_changed_at"`
	Wanted          []WantedStatus `json:"wanted"`
	// Refused are the last of the ids without a name that were refused.
	Refused []Refusal `json:"refused"`
}

// listRefused bounds the refusals in a [Standing].
const listRefused = 100

// Status tells how the reference data of a database stands.
func Status(ctx context.Context, pool *pgxpool.Pool) (Standing, error) {
	var s Standing
	failed := func(err error) (Standing, error) {
		return Standing{}, fmt.Errorf("reading how the reference data stands: %w", err)
	}
	rows, err := pool.Query(ctx, `
		SELECT 'category', source, count(*) FROM universe.category GROUP BY source UNION ALL SELECT 'type_group', source, count(*) FROM universe.type_group GROUP BY source
		UNION ALL SELECT 'type', source, count(*) FROM universe.type GROUP BY source UNION ALL SELECT 'skill', source, count(*) FROM universe.skill GROUP BY source
		UNION ALL SELECT 'requirement', source, count(*) FROM universe.requirement GROUP BY source UNION ALL SELECT 'system', source, count(*) FROM universe.system GROUP BY source
		UNION ALL SELECT 'station', source, count(*) FROM universe.station GROUP BY source UNION ALL SELECT 'faction', source, count(*) FROM universe.faction GROUP BY source
		UNION ALL SELECT 'race', source, count(*) FROM universe.race GROUP BY source UNION ALL SELECT 'bloodline', source, count(*) FROM universe.bloodline GROUP BY source
		UNION ALL SELECT 'implant', source, count(*) FROM universe.implant GROUP BY source UNION ALL SELECT 'planet', source, count(*) FROM universe.planet GROUP BY source
		UNION ALL SELECT 'npc_corporation', source, count(*) FROM universe.npc_corporation GROUP BY source
		UNION ALL SELECT 'structure', 'esi', count(*) FROM universe.structure UNION ALL SELECT 'named', 'esi', count(*) FROM universe.named
		UNION ALL SELECT 'price', 'esi', count(*) FROM universe.price ORDER BY 1, 2`)
	if err != nil {
		return failed(err)
	}
	if s.Tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[TableStatus]); err != nil {
		return failed(err)
	}
	var report LoadReport
	switch err := pool.QueryRow(ctx, `SELECT report FROM universe.load ORDER BY load_id DESC LIMIT 1`).Scan(&report); {
	case err == nil:
		s.Load = &report
	case !errors.Is(err, pgx.ErrNoRows):
		return failed(err)
	}
	var checked, changed time.Time
	switch err := pool.QueryRow(ctx, `SELECT checked_at, changed_at FROM universe.price_state`).Scan(&checked, &changed); {
	case err == nil:
		checked, changed = checked.UTC(), changed.UTC()
		s.PricesCheckedAt, s.PricesChangedAt = &checked, &changed
	case !errors.Is(err, pgx.ErrNoRows):
		return failed(err)
	}
	if s.Wanted, err = wanted(ctx, pool); err != nil {
		return failed(err)
	}
	rows, err = pool.Query(ctx, `SELECT lookup, id, refusals, reason, due_at FROM universe.wanted WHERE answered_at IS NULL AND reason <> ''
		ORDER BY due_at DESC, lookup, id LIMIT $1`, listRefused)
	if err != nil {
		return failed(err)
	}
	s.Refused, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Refusal, error) {
		r, err := pgx.RowToStructByPos[Refusal](row)
		r.DueAt = r.DueAt.UTC()
		return r, err
	})
	if err != nil {
		return failed(err)
	}
	return s, nil
}

func wanted(ctx context.Context, pool *pgxpool.Pool) ([]WantedStatus, error) {
	rows, err := pool.Query(ctx, `SELECT k.lookup, count(w.id) FILTER (WHERE answered_at IS NULL AND reason = ''), count(w.id) FILTER (WHERE answered_at IS NULL AND reason <> ''),
		count(w.id) FILTER (WHERE answered_at IS NOT NULL) FROM unnest(ARRAY['name', 'structure', 'type']) AS k (lookup) LEFT JOIN universe.wanted w USING (lookup) GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[WantedStatus])
}

// measure shows what is wanted as metrics.
func (r *Resolver) measure(ctx context.Context) (time.Time, error) {
	counts, err := wanted(ctx, r.config.Pool)
	if err != nil {
		return time.Time{}, fmt.Errorf("counting what is wanted: %w", err)
	}
	for _, c := range counts {
		r.gauges.WithLabelValues(c.Lookup, "waiting").Set(float64(c.Waiting))
		r.gauges.WithLabelValues(c.Lookup, "refused").Set(float64(c.Refused))
		r.gauges.WithLabelValues(c.Lookup, "known").Set(float64(c.Known))
	}
	return r.config.Now().Add(gaugeEvery), nil
}
