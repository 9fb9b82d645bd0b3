package runner

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// controlSchema is the Postgres schema that holds checkpoints and generations.
const controlSchema = "runner"

// Migrations are those of the tables of the bookkeeping.
func Migrations() migrate.Set { return migrate.Set{Schema: controlSchema, Files: migrations} }

// Status is the state of a generation.
type Status string

// The states of a generation, in the order in which it passes through them.
const (
	StatusBuilding Status = "building"
	StatusLive     Status = "live"
	StatusRetired  Status = "retired"
	StatusFailed   Status = "failed"
	StatusDropped  Status = "dropped"
	// StatusScratch is that of the generations of a [Scratch], from first to last.
	StatusScratch Status = "scratch"
)

// Generation is one build of a projection's tables.
type Generation struct {
	Projection string
	Number     int
	Version    int
	// Namespace is the Postgres schema or ClickHouse database of its tables.
	Namespace  string
	Status     Status
	Reason     string
	CreatedAt  time.Time
	PromotedAt *time.Time
	// Until is the moment of the scratch that it belongs to: nothing that happened
	// later is folded. Zero for all others.
	Until time.Time
}

// Control is the bookkeeping of all projections, kept in Postgres. It is safe
// for concurrent use.
type Control struct {
	pool *pgxpool.Pool
}

// NewControl brings the bookkeeping's tables up to date.
func NewControl(ctx context.Context, pool *pgxpool.Pool) (*Control, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reading the runner's migrations: %w", err)
	}
	if err := migrate.Postgres(ctx, pool, controlSchema, files); err != nil {
		return nil, err
	}
	return &Control{pool: pool}, nil
}

// LookControl reads bookkeeping as it is, and makes no tables: for those who only look.
func LookControl(pool *pgxpool.Pool) *Control { return &Control{pool: pool} }

// Owned tells whether some process folds a projection or builds it anew right now.
func (c *Control) Owned(ctx context.Context, projection string) (bool, error) {
	var owned bool
	// Postgres keeps the two halves of a lock's number apart.
	err := c.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = current_database()
		  AND ((l.classid::bigint << 32) | l.objid::bigint) IN (hashtextextended($1, 77), hashtextextended($2, 77)))`,
		"projection "+projection, "rebuild "+projection).Scan(&owned)
	if err != nil {
		return false, fmt.Errorf("asking who folds %s: %w", projection, err)
	}
	return owned, nil
}

// Live is the generation that queries read. It fails with [event.CodeUnavailable]
// while the first one is not there yet.
func (c *Control) Live(ctx context.Context, projection string) (Generation, error) {
	g, err := c.scanGeneration(c.pool.QueryRow(ctx, selectGeneration+`
		JOIN runner.projections p ON p.name = g.name AND p.live_generation = g.generation
		WHERE g.name = $1`, projection))
	if errors.Is(err, pgx.ErrNoRows) {
		return Generation{}, event.Errorf(event.CodeUnavailable, "projection %q has no live generation yet: start `muster project` or wait for the first build", projection)
	}
	if err != nil {
		return Generation{}, fmt.Errorf("reading the live generation of %s: %w", projection, err)
	}
	return g, nil
}

const selectGeneration = `SELECT g.name, g.generation, g.version, g.namespace, g.status, g.reason, g.created_at, g.promoted_at,
		(SELECT s.until_ns FROM runner.scratches s WHERE s.name = g.scratch)
	FROM runner.generations g`

func (c *Control) scanGeneration(row pgx.Row) (Generation, error) {
	var g Generation
	var until *int64
	err := row.Scan(&g.Projection, &g.Number, &g.Version, &g.Namespace, &g.Status, &g.Reason, &g.CreatedAt, &g.PromotedAt, &until)
	if until != nil {
		g.Until = time.Unix(0, *until).UTC()
	}
	return g, err
}

// Generations lists all generations of a projection, or of all of them for an
// empty name, newest first.
func (c *Control) Generations(ctx context.Context, projection string) ([]Generation, error) {
	rows, err := c.pool.Query(ctx, selectGeneration+`
		WHERE $1 = '' OR g.name = $1 ORDER BY g.name, g.generation DESC`, projection)
	if err != nil {
		return nil, fmt.Errorf("listing generations: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Generation, error) { return c.scanGeneration(row) })
}

// create makes the next generation of a projection, in state building.
func (c *Control) create(ctx context.Context, b Bound) (Generation, error) {
	p := b.Projection
	var g Generation
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO runner.projections (name) VALUES ($1) ON CONFLICT DO NOTHING`, p.Name); err != nil {
			return err
		}
		var number int
		if err := tx.QueryRow(ctx, `SELECT name FROM runner.projections WHERE name = $1 FOR UPDATE`, p.Name).Scan(new(string)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(generation), 0) + 1 FROM runner.generations WHERE name = $1`, p.Name).Scan(&number); err != nil {
			return err
		}
		g = Generation{Projection: p.Name, Number: number, Version: p.Version, Namespace: fmt.Sprintf("%s_%s_g%d", b.prefix(), p.Name, number), Status: StatusBuilding}
		_, err := tx.Exec(ctx, `INSERT INTO runner.generations (name, generation, version, namespace, status) VALUES ($1, $2, $3, $4, 'building')`,
			g.Projection, g.Number, g.Version, g.Namespace)
		return err
	})
	if err != nil {
		return Generation{}, fmt.Errorf("creating a generation of %s: %w", p.Name, err)
	}
	return g, nil
}

// promote makes a generation the live one in one transaction and retires the
// one before it. evidence is JSON.
func (c *Control) promote(ctx context.Context, g Generation, evidence []byte) error {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		var live *int
		if err := tx.QueryRow(ctx, `SELECT live_generation FROM runner.projections WHERE name = $1 FOR UPDATE`, g.Projection).Scan(&live); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE runner.generations SET status = 'retired', retired_at = now()
			WHERE name = $1 AND status = 'live'`, g.Projection); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE runner.generations SET status = 'live', promoted_at = now(), retired_at = NULL, reason = '', evidence = coalesce($3, evidence)
			WHERE name = $1 AND generation = $2`, g.Projection, g.Number, evidence); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE runner.projections SET live_generation = $2, hold_until = NULL, hold_by = NULL WHERE name = $1`, g.Projection, g.Number)
		return err
	})
	if err != nil {
		return fmt.Errorf("promoting generation %d of %s: %w", g.Number, g.Projection, err)
	}
	return nil
}

func (c *Control) setStatus(ctx context.Context, g Generation, status Status, reason string) error {
	_, err := c.pool.Exec(ctx, `UPDATE runner.generations SET status = $3, reason = $4 WHERE name = $1 AND generation = $2`,
		g.Projection, g.Number, status, reason)
	if err != nil {
		return fmt.Errorf("marking generation %d of %s as %s: %w", g.Number, g.Projection, status, err)
	}
	return nil
}

// Applied is the version of a stream's last decision that the live generation
// of a projection shows; zero before the first.
func (c *Control) Applied(ctx context.Context, projection string, stream event.Stream) (int64, error) {
	var version int64
	err := c.pool.QueryRow(ctx, `SELECT v.version FROM runner.stream_versions v
		JOIN runner.projections p ON p.name = v.name AND p.live_generation = v.generation
		WHERE v.name = $1 AND v.stream = $2`, projection, string(stream)).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading how far %s has applied %s: %w", projection, stream, err)
	}
	return version, nil
}

// Checkpoint is how far a generation has come in one partition.
type Checkpoint struct {
	eventlog.Partition
	// Next is the offset to read next.
	Next int64
	// RecordTime is the timestamp of the last applied record; zero if none.
	RecordTime time.Time
	// Records counts what was applied since the generation was created.
	Records int64
}

// Checkpoints lists how far a generation has come, by partition.
func (c *Control) Checkpoints(ctx context.Context, g Generation) ([]Checkpoint, error) {
	rows, err := c.pool.Query(ctx, `SELECT topic, partition, next_offset, record_time, records FROM runner.checkpoints
		WHERE name = $1 AND generation = $2 ORDER BY topic, partition`, g.Projection, g.Number)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoints of %s: %w", g.Namespace, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Checkpoint, error) {
		var cp Checkpoint
		var at *time.Time
		err := row.Scan(&cp.Topic, &cp.ID, &cp.Next, &at, &cp.Records)
		if at != nil {
			cp.RecordTime = at.UTC()
		}
		return cp, err
	})
}

// owner is the session-level lock that makes one process the only one to work
// on something. It has a connection of its own, outside of the pool, which it
// would otherwise exhaust. Losing the connection loses the lock.
type owner struct {
	conn *pgx.Conn
	name string
}

// own takes the lock of that name; nil if another process has it.
func (c *Control) own(ctx context.Context, name string) (*owner, error) {
	conn, err := pgx.ConnectConfig(ctx, c.pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("taking ownership of %s: %w", name, err)
	}
	o := &owner{conn: conn, name: name}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 77))`, name).Scan(&got); err != nil {
		o.release(ctx)
		return nil, fmt.Errorf("taking ownership of %s: %w", name, err)
	}
	if !got {
		o.release(ctx)
		return nil, nil
	}
	return o, nil
}

// check fails when the lock may be lost.
func (o *owner) check(ctx context.Context) error {
	if err := o.conn.Ping(ctx); err != nil {
		return fmt.Errorf("holding ownership of %s: %w", o.name, err)
	}
	return nil
}

// releaseTimeout bounds how long letting go of a lock may take.
const releaseTimeout = 5 * time.Second

// release gives the lock back with its connection. It works also when ctx has
// ended.
func (o *owner) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	// Whatever the state of the connection, closing it ends the session and so
	// the lock, but some time after Close returns: whoever comes next may come now.
	_, _ = o.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
	_ = o.conn.Close(ctx)
}

// hold asks the owner of a projection to let go of it until the moment given.
func (c *Control) hold(ctx context.Context, projection, by string, until time.Duration) error {
	_, err := c.pool.Exec(ctx, `UPDATE runner.projections SET hold_until = now() + $2, hold_by = $3 WHERE name = $1`, projection, until, by)
	if err != nil {
		return fmt.Errorf("holding %s: %w", projection, err)
	}
	return nil
}

func (c *Control) unhold(ctx context.Context, projection string) error {
	_, err := c.pool.Exec(context.WithoutCancel(ctx), `UPDATE runner.projections SET hold_until = NULL, hold_by = NULL WHERE name = $1`, projection)
	if err != nil {
		return fmt.Errorf("resuming %s: %w", projection, err)
	}
	return nil
}

// standing is what an owner looks at between batches.
type standing struct {
	live  int
	held  bool
	retry bool
}

func (c *Control) standing(ctx context.Context, projection string) (standing, error) {
	var s standing
	err := c.pool.QueryRow(ctx, `SELECT coalesce(p.live_generation, 0), coalesce(p.hold_until > now(), false),
			EXISTS (SELECT 1 FROM runner.parked k WHERE k.name = p.name AND k.generation = p.live_generation AND k.state = 'retry')
		FROM runner.projections p WHERE p.name = $1`, projection).Scan(&s.live, &s.held, &s.retry)
	if errors.Is(err, pgx.ErrNoRows) {
		return standing{}, nil
	}
	if err != nil {
		return standing{}, fmt.Errorf("reading the standing of %s: %w", projection, err)
	}
	return s, nil
}
