package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	engines "github.com/muster-sync/muster/deploy/engines"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/universe"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/doctor"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/migrate"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/viewlog"
)

// examination is one look at everything. What several checks need is opened once, when
// the first of them asks, and only to be read.
type examination struct {
	env     *environment
	command *doctorCommand
	model   *kong.Application

	pool       func() (*pgxpool.Pool, error)
	clickhouse func() (driver.Conn, error)
	cluster    func() (eventlog.Cluster, error)
	topics     func() (eventlog.Inspection, error)
	views      func() ([]view, error)
	services   func() []serviceAnswer

	mu      sync.Mutex
	closing []func()
}

func newExamination(ctx context.Context, env *environment, c *doctorCommand, model *kong.Application) *examination {
	x := &examination{env: env, command: c, model: model}
	// What is shared has less time than each check, which has to say how it went.
	shared := c.Timeout * 2 / 3
	x.pool = once(ctx, shared, x.openPool)
	x.clickhouse = once(ctx, shared, x.openClickHouse)
	x.cluster = once(ctx, shared, func(ctx context.Context) (eventlog.Cluster, error) {
		at, err := x.locate(engine.Kafka)
		if err != nil {
			return eventlog.Cluster{}, err
		}
		security, err := env.settings.kafkaSecurity()
		if err != nil {
			return eventlog.Cluster{}, err
		}
		return eventlog.DescribeCluster(ctx, at.KafkaBrokers, security)
	})
	x.topics = once(ctx, shared, func(ctx context.Context) (eventlog.Inspection, error) {
		at, err := x.locate(engine.Kafka)
		if err != nil {
			return eventlog.Inspection{}, err
		}
		security, err := env.settings.kafkaSecurity()
		if err != nil {
			return eventlog.Inspection{}, err
		}
		manifest := eventlog.DefaultManifest()
		manifest.Partitions, manifest.Replication = env.settings.KafkaPartitions, env.settings.KafkaReplication
		return manifest.Inspect(ctx, at.KafkaBrokers, security)
	})
	x.views = once(ctx, shared, x.lookAtViews)
	x.services = sync.OnceValue(func() []serviceAnswer {
		ctx, cancel := context.WithTimeout(ctx, shared)
		defer cancel()
		return x.askServices(ctx)
	})
	return x
}

// once calls open when the first one asks, within a time of its own.
func once[T any](ctx context.Context, limit time.Duration, open func(context.Context) (T, error)) func() (T, error) {
	return sync.OnceValues(func() (T, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return open(ctx)
	})
}

// atEnd has close call fn.
func (x *examination) atEnd(fn func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closing = append(x.closing, fn)
}

func (x *examination) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, fn := range x.closing {
		fn()
	}
}

// checks are all of them, in the order in which they are shown.
func (x *examination) checks() []doctor.Check {
	all := x.settingsChecks()
	all = append(all,
		doctor.Check{Name: "kafka", Look: x.lookAtKafka},
		doctor.Check{Name: "kafka.topics", Look: x.ofTopics(doctor.Topics)},
		doctor.Check{Name: "kafka.replicas", Look: x.ofTopics(doctor.Replicas)},
		doctor.Check{Name: "postgres", Look: x.lookAtPostgres},
		doctor.Check{Name: "postgres.migrations", Look: x.inPostgres(x.lookAtMigrations)},
		doctor.Check{Name: "postgres.connections", Look: x.inPostgres(x.lookAtConnections)},
		doctor.Check{Name: "postgres.rights", Look: x.inPostgres(lookAtRights)},
		doctor.Check{Name: "secret-key.opens", Look: x.inPostgres(x.lookAtSealed)},
		doctor.Check{Name: "clickhouse", Look: x.lookAtClickHouse},
	)
	if x.env.settings.ClickhouseDSN != "" {
		all = append(all, doctor.Check{Name: "clickhouse.disks", Look: x.lookAtClickHouseDisks})
	}
	return append(all, x.workChecks()...)
}

// embedded tells whether an engine is one of Muster's own.
func (x *examination) embedded(name engine.Name) bool {
	s := x.env.settings
	switch name {
	case engine.Kafka:
		return len(s.KafkaBrokers) == 0
	case engine.Postgres:
		return s.PostgresDSN == ""
	default:
		return s.ClickhouseDSN == ""
	}
}

func (x *examination) embedsDatabase() bool {
	return x.embedded(engine.Postgres) || x.embedded(engine.ClickHouse)
}

func (x *examination) locate(name engine.Name) (engine.Addresses, error) {
	return engine.Running(x.env.settings.DataDir, x.env.settings.external(), []engine.Name{name})
}

// unreached words why an engine is not there.
func unreached(name engine.Name, setting string, err error) doctor.Outcome {
	if down, ok := errors.AsType[*engine.NotRunningError](err); ok {
		return doctor.Unreached(string(name), "no embedded one runs on the data folder "+down.Dir, "start muster up, or muster engine "+string(name)+", on it, or set "+setting+" to your own")
	}
	return doctor.Unreached(string(name), doctor.Reason(err), "look at "+setting+", at the engine's own log and at the network between")
}

// missing is why a check of an engine that is not there was not made.
func missing(name engine.Name) error {
	return doctor.NotLooked{Why: string(name) + " is not reached", Remedy: "see the line of " + string(name)}
}

func (x *examination) lookAtKafka(context.Context) (doctor.Outcome, error) {
	seen, err := x.cluster()
	if err != nil {
		return unreached(engine.Kafka, "MUSTER_KAFKA_BROKERS", err), nil
	}
	return doctor.Kafka(seen, x.env.settings.KafkaReplication, x.embedded(engine.Kafka)), nil
}

func (x *examination) ofTopics(judge func(eventlog.Inspection) doctor.Outcome) func(context.Context) (doctor.Outcome, error) {
	return func(context.Context) (doctor.Outcome, error) {
		if _, err := x.cluster(); err != nil {
			return doctor.Outcome{}, missing(engine.Kafka)
		}
		seen, err := x.topics()
		if err != nil {
			return doctor.Outcome{}, err
		}
		return judge(seen), nil
	}
}

// openPool connects to Postgres for reading alone: the server refuses all else.
func (x *examination) openPool(ctx context.Context) (*pgxpool.Pool, error) {
	at, err := x.locate(engine.Postgres)
	if err != nil {
		return nil, err
	}
	pool, err := openPostgres(ctx, at.PostgresDSN, "default_transaction_read_only", "on")
	if err == nil {
		x.atEnd(pool.Close)
	}
	return pool, err
}

// inPostgres makes a check that reads from Postgres.
func (x *examination) inPostgres(look func(context.Context, *pgxpool.Pool) (doctor.Outcome, error)) func(context.Context) (doctor.Outcome, error) {
	return func(ctx context.Context) (doctor.Outcome, error) {
		pool, err := x.pool()
		if err != nil {
			return doctor.Outcome{}, missing(engine.Postgres)
		}
		return look(ctx, pool)
	}
}

func (x *examination) lookAtPostgres(ctx context.Context) (doctor.Outcome, error) {
	pool, err := x.pool()
	if err != nil {
		return unreached(engine.Postgres, "MUSTER_POSTGRES_DSN", err), nil
	}
	var s doctor.Server
	err = pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),
		current_setting('fsync')::bool, current_setting('full_page_writes')::bool, current_setting('wal_recycle')::bool, current_setting('synchronous_commit')`,
	).Scan(&s.Number, &s.Encoding, &s.Standby, &s.Fsync, &s.FullPageWrites, &s.WALRecycle, &s.SyncCommit)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("reading Postgres' settings: %w", err)
	}
	return doctor.Postgres(s, x.embedded(engine.Postgres)), nil
}

func (x *examination) lookAtMigrations(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	var all []migrate.Standing
	for _, set := range migrationSets() {
		standing, err := set.Standing(ctx, pool)
		if err != nil {
			return doctor.Outcome{}, err
		}
		all = append(all, standing)
	}
	pending, err := schema.PendingJobs(ctx, pool)
	if err != nil {
		return doctor.Outcome{}, err
	}
	o := doctor.Migrations(all)
	if pending {
		o.Problems = append(o.Problems, doctor.Problem{Verdict: doctor.Failed, Seen: "the tables of the schedule are not up to date", Remedy: "run muster migrate, or start Muster: it brings tables up to date"})
	}
	return o, nil
}

// migrationSets are those that migrateAll and openStores apply.
func migrationSets() []migrate.Set {
	return []migrate.Set{runner.Migrations(), schema.Migrations(), command.Migrations(), universe.Migrations(), viewlog.Migrations(), ingestanvil.Migrations()}
}

// aside is how many connections a process holds beside its pools and the locks of its
// projections: for the forwarder, retention, sweeps and migrations.
const aside = 4

func (x *examination) lookAtConnections(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	var c doctor.Connections
	// Postgres 16 came with reserved_connections.
	err := pool.QueryRow(ctx, `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
			- coalesce(current_setting('reserved_connections', true)::int, 0),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`).Scan(&c.Most, &c.InUse)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("counting Postgres' connections: %w", err)
	}
	pools := 1
	if x.command.SSOClientID != "" {
		pools = 2 // What is read of characters has one that does not wait for the disk.
	}
	c.Process = pools*int(pool.Config().MaxConns) + len((&stores{}).projections()) + aside
	return doctor.Room(c), nil
}

// lookAtRights asks what the user may do. Tables of read models are in schemas that begin
// with muster_.
func lookAtRights(ctx context.Context, pool *pgxpool.Pool) (doctor.Outcome, error) {
	var names []string
	for _, set := range migrationSets() {
		names = append(names, set.Schema)
	}
	var r doctor.Rights
	err := pool.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE'),
		has_function_privilege('pg_switch_wal()', 'EXECUTE') AND pg_has_role('pg_checkpoint', 'USAGE')`).Scan(&r.Create, &r.Rewrite)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking for rights: %w", err)
	}
	rows, err := pool.Query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND (n.nspname = ANY($1) OR n.nspname LIKE 'muster\_%') AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1`, names)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking whose tables are: %w", err)
	}
	if r.Foreign, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking whose tables are: %w", err)
	}
	return doctor.MayWork(r), nil
}

func (x *examination) openClickHouse(ctx context.Context) (driver.Conn, error) {
	at, err := x.locate(engine.ClickHouse)
	if err != nil {
		return nil, err
	}
	cluster, err := x.env.settings.cluster()
	if err != nil {
		return nil, err
	}
	conn, err := openClickHouse(ctx, at.ClickHouseDSN, cluster)
	if err == nil {
		x.atEnd(func() { _ = conn.Close() })
	}
	return conn, err
}

func (x *examination) lookAtClickHouse(ctx context.Context) (doctor.Outcome, error) {
	conn, err := x.clickhouse()
	if err != nil {
		return unreached(engine.ClickHouse, "MUSTER_CLICKHOUSE_DSN", err), nil
	}
	var have string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&have); err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking ClickHouse for its version: %w", err)
	}
	pinned, err := engines.Pinned()
	if err != nil {
		return doctor.Outcome{}, err
	}
	return doctor.ClickHouse(have, pinned.ClickHouse, x.embedded(engine.ClickHouse)), nil
}

func (x *examination) lookAtClickHouseDisks(ctx context.Context) (doctor.Outcome, error) {
	conn, err := x.clickhouse()
	if err != nil {
		return doctor.Outcome{}, missing(engine.ClickHouse)
	}
	rows, err := conn.Query(ctx, "SELECT name, toUInt64(free_space), toUInt64(total_space) FROM system.disks ORDER BY name")
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking ClickHouse for its disks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var disks []doctor.Disk
	for rows.Next() {
		var d doctor.Disk
		if err := rows.Scan(&d.Name, &d.Free, &d.Total); err != nil {
			return doctor.Outcome{}, fmt.Errorf("asking ClickHouse for its disks: %w", err)
		}
		disks = append(disks, d)
	}
	if err := rows.Err(); err != nil {
		return doctor.Outcome{}, fmt.Errorf("asking ClickHouse for its disks: %w", err)
	}
	return doctor.Disks(disks), nil
}
