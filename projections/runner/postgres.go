package runner

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Postgres is the store whose rows and checkpoints are written in one
// transaction: every event counts exactly once.
type Postgres struct {
	pool *pgxpool.Pool
}

// NewPostgres is a store on the pool, which must reach the database that holds
// the control tables.
func NewPostgres(pool *pgxpool.Pool) *Postgres { return &Postgres{pool: pool} }

func (s *Postgres) prefix() string { return "muster" }

func (s *Postgres) prepare(ctx context.Context, p Projection, g Generation) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, g.Namespace).Scan(&exists); err != nil || exists {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{g.Namespace}.Sanitize()); err != nil {
			return err
		}
		if err := enter(ctx, tx, g); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, p.Schema)
		return err
	})
	if err != nil {
		return fmt.Errorf("making the tables of %s: %w", g.Namespace, err)
	}
	return nil
}

func (s *Postgres) drop(ctx context.Context, g Generation) error {
	if _, err := s.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{g.Namespace}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("dropping %s: %w", g.Namespace, err)
	}
	return nil
}

// enter puts the generation's tables first in the transaction's search path.
func enter(ctx context.Context, tx pgx.Tx, g Generation) error {
	_, err := tx.Exec(ctx, "SET LOCAL search_path TO "+pgx.Identifier{g.Namespace}.Sanitize())
	return err
}

// recover has nothing to settle: a batch is there with its checkpoint, or not.
func (s *Postgres) recover(context.Context, *fold, readRange) error { return nil }

func (s *Postgres) commit(ctx context.Context, f *fold, p *prepared) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The checkpoints first: a second owner is stopped before it writes.
		if err := advance(ctx, tx, f, p, false); err != nil {
			return err
		}
		return s.write(ctx, tx, f, p.batch)
	})
	if err == nil {
		f.step("batch.committed")
	}
	return err
}

func (s *Postgres) write(ctx context.Context, tx pgx.Tx, f *fold, b Batch) error {
	batch, ok := b.(PostgresBatch)
	if !ok {
		return fmt.Errorf("BUG: projection %s makes %T, which is no batch for Postgres", f.projection.Name, b)
	}
	if err := enter(ctx, tx, f.generation); err != nil {
		return fmt.Errorf("entering %s: %w", f.generation.Namespace, err)
	}
	if err := batch.Write(ctx, tx); err != nil {
		return fmt.Errorf("writing a batch to %s: %w", f.generation.Namespace, err)
	}
	return nil
}

func (s *Postgres) sums(ctx context.Context, g Generation, t Table) (TableSums, error) {
	var out TableSums
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := enter(ctx, tx, g); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL timezone TO 'UTC'"); err != nil {
			return err
		}
		table := pgx.Identifier{t.Name}.Sanitize()
		var columns string
		if err := tx.QueryRow(ctx, `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'log_offset'`, table).Scan(&columns); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT (hashtextextended(concat_ws('|', %s), 0) & %d)::int AS range, count(*),
				sum(hashtextextended(t::text, 1)::numeric)::text
			FROM (SELECT %s FROM %s) t GROUP BY 1 ORDER BY 1`, t.Key, ranges-1, columns, table))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[RangeSum])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("summing %s.%s: %w", g.Namespace, t.Name, err)
	}
	return out, nil
}
