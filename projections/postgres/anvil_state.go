package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// LoadState reads the state of a consortium from a generation of the AnVIL
// projection, all of it as of one moment. The state of a consortium of which
// nothing is known is empty.
func LoadState(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, registry *event.Registry, stream event.Stream) (*anvil.State, error) {
	state := anvil.NewState(stream)
	l := stateLoader{registry: registry, state: state, schema: pgx.Identifier{g.Namespace}.Sanitize()}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := l.records(ctx, tx); err != nil {
			return err
		}
		if err := l.findings(ctx, tx); err != nil {
			return err
		}
		return l.lastSweep(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("loading the state of %s: %w", stream, err)
	}
	return state, nil
}

type stateLoader struct {
	registry *event.Registry
	state    *anvil.State
	schema   string
}

// records applies the newest event of each record in the order of the stream.
func (l stateLoader) records(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT event_id, type, event_time, actor, payload::text FROM `+l.schema+`.records WHERE stream = $1 ORDER BY log_offset`, string(l.state.Stream()))
	if err != nil {
		return err
	}
	e := event.Event{Stream: l.state.Stream()}
	var payload string
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.Type, &e.Time, &e.Actor, &payload}, func() error {
		e.Data = []byte(payload)
		p, err := l.registry.Decode(e)
		if err != nil {
			return err
		}
		return l.state.Apply(e, p)
	})
	return err
}

func (l stateLoader) findings(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT f.finding_id, f.open, coalesce(o.reopened, 0), f.finding::text
		FROM `+l.schema+`.findings f LEFT JOIN `+l.schema+`.openings o USING (finding_id) WHERE f.stream = $1`, string(l.state.Stream()))
	if err != nil {
		return err
	}
	var (
		id       uuid.UUID
		open     bool
		resolved int
		text     string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &open, &resolved, &text}, func() error {
		var f anvil.Finding
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return fmt.Errorf("reading finding %s: %w", id, err)
		}
		if !open {
			resolved++
		}
		l.state.RestoreFinding(f, open, resolved)
		return nil
	})
	return err
}

// lastSweep applies the last sweep that was limited to no groups and workspaces.
func (l stateLoader) lastSweep(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT event_id, summary::text FROM `+l.schema+`.sweeps
		WHERE stream = $1 AND summary IS NOT NULL AND summary->'groups' IS NULL AND summary->'workspaces' IS NULL ORDER BY log_offset DESC LIMIT 1`, string(l.state.Stream()))
	if err != nil {
		return err
	}
	var (
		id   uuid.UUID
		text string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &text}, func() error {
		var completed anvil.SweepCompleted
		if err := json.Unmarshal([]byte(text), &completed); err != nil {
			return fmt.Errorf("reading the last sweep: %w", err)
		}
		return l.state.Apply(event.Event{ID: id, Stream: l.state.Stream(), Time: completed.CompletedAt}, completed)
	})
	return err
}

// Consortia lists the names of the consortia that a generation of the AnVIL
// projection knows, in order.
func Consortia(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) ([]string, error) {
	rows, err := pool.Query(ctx, `SELECT stream FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.records
		WHERE side = 'declared' AND kind = $1 ORDER BY stream`, string(anvil.KindConsortium))
	if err != nil {
		return nil, fmt.Errorf("listing consortia: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var stream event.Stream
		err := row.Scan(&stream)
		name, _ := stream.ConsortiumName()
		return name, err
	})
}
