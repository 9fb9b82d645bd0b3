package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Remnants are the bytes of rows that were deleted or replaced. Postgres' vacuum lets their
// place be used again, and leaves what is written there until it is. Only a table that is
// written anew is without them. It is safe for concurrent use.
type Remnants struct {
	pool   *pgxpool.Pool
	limit  int64
	logger *slog.Logger

	mu sync.Mutex
	// clean is how tables stood when they were last written anew.
	clean map[uint32]standing
}

// standing changes with each rewrite of a table and each row of it that is replaced or
// deleted.
type standing struct {
	File    uint32
	Changes int64
}

// NewRemnants looks after all tables that belong to the user of the pool and are, with their
// indexes, no larger than limit, in bytes.
func NewRemnants(pool *pgxpool.Pool, limit int64, logger *slog.Logger) *Remnants {
	return &Remnants{pool: pool, limit: limit, logger: logger, clean: map[uint32]standing{}}
}

const (
	// rewriteLockWait bounds how long a rewrite waits for a table, and others behind it.
	rewriteLockWait = 2 * time.Second
	// rewriteWithin bounds the rewrite of one table, during which nobody reads it.
	rewriteWithin = time.Minute
)

// Clean writes tables anew of which rows were replaced or deleted since it last did, and the
// statistics of their columns, which hold values of them. Then it closes the present segment
// of the write-ahead log and has those removed that are not needed any more, if the user may.
// Each table is held for as long as it takes to write it, and left to the next call if
// others hold it.
func (r *Remnants) Clean(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release()
	tables, err := r.tables(ctx, conn.Conn())
	if err != nil {
		return err
	}
	if err := bound(ctx, conn.Conn(), rewriteLockWait, rewriteWithin); err != nil {
		return err
	}
	defer func() {
		// The next one who gets the connection is not bounded.
		if err := bound(context.WithoutCancel(ctx), conn.Conn(), 0, 0); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx))
		}
	}()
	rewritten := 0
	for _, t := range tables {
		switch done, err := r.rewrite(ctx, conn.Conn(), t); {
		case err != nil:
			return err
		case done:
			rewritten++
		}
	}
	if rewritten == 0 {
		return nil
	}
	for _, sql := range []string{"VACUUM (FULL) pg_catalog.pg_statistic", "SELECT pg_switch_wal()", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil && !passes(err) {
			return fmt.Errorf("%s: %w", sql, err)
		} else if err != nil {
			r.logger.DebugContext(ctx, "Postgres keeps old bytes for longer", "statement", sql, "error", err)
		}
	}
	return nil
}

// bound sets how long statements of a session may wait for locks and take; zero is for ever.
func bound(ctx context.Context, conn *pgx.Conn, wait, within time.Duration) error {
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	_, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false)`, milliseconds(wait), milliseconds(within))
	if err != nil {
		return fmt.Errorf("bounding how long tables are held: %w", err)
	}
	return nil
}

// remnantTable is one to look after.
type remnantTable struct {
	ID        uint32
	Namespace string
	Name      string
	Size      int64
	standing
}

func (r *Remnants) tables(ctx context.Context, conn *pgx.Conn) ([]remnantTable, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, n.nspname::text, c.relname::text, pg_total_relation_size(c.oid), c.relfilenode,
			coalesce(pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid), 0)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
			AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
		ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, fmt.Errorf("looking for tables to write anew: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t remnantTable, err error) {
		var size *int64 // Null for a table that has just been dropped.
		err = row.Scan(&t.ID, &t.Namespace, &t.Name, &size, &t.File, &t.Changes)
		if size != nil {
			t.Size = *size
		}
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for tables to write anew: %w", err)
	}
	return tables, nil
}

// rewrite writes a table anew unless nothing of it has changed, and tells whether it did.
func (r *Remnants) rewrite(ctx context.Context, conn *pgx.Conn, t remnantTable) (bool, error) {
	before, known := r.clean[t.ID]
	if known && before == t.standing || t.Size == 0 {
		return false, nil
	}
	name := pgx.Identifier{t.Namespace, t.Name}.Sanitize()
	if t.Size > r.limit {
		r.logger.InfoContext(ctx, "a table is too large to be written anew while others wait: what was deleted of it is overwritten in time; a replay of its projection makes it anew",
			"table", name, "bytes", t.Size, "limit", r.limit)
		return false, nil
	}
	if _, err := conn.Exec(ctx, "VACUUM (FULL, ANALYZE) "+name); err != nil {
		if passes(err) {
			r.logger.InfoContext(ctx, "a table was not written anew; the next run of retention does it", "table", name, "error", err)
			return false, nil
		}
		return false, fmt.Errorf("writing %s anew: %w", name, err)
	}
	err := conn.QueryRow(ctx, `SELECT relfilenode FROM pg_class WHERE oid = $1`, t.ID).Scan(&t.File)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return true, fmt.Errorf("looking at %s: %w", name, err)
	}
	r.clean[t.ID] = t.standing
	return true, nil
}

// passes tells whether an error is none to worry about: others hold the table, it was dropped
// meanwhile, or the user may not.
func passes(err error) bool {
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "55P03", "57014", "40P01", "42P01", "42501":
		return true
	default:
		return false
	}
}
