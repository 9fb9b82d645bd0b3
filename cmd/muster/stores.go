package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/tracing"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/reports"
	"github.com/muster-sync/muster/projections/runner"
)

// poolSize bounds the connections of one process to Postgres. Each running
// projection keeps one for its lock.
const poolSize = 28

// stores are the connections of a process to the engines.
type stores struct {
	addresses  engine.Addresses
	security   eventlog.Security
	pool       *pgxpool.Pool
	clickhouse driver.Conn
	cluster    runner.Cluster
	reader     *eventlog.Reader
	registry   *event.Registry
	keys       *keyring.Keyring
	control    *runner.Control
	metrics    *prometheus.Registry
	// views are those of stable names for dashboards.
	views *reports.Views
	// tracer is nil when nothing is traced.
	tracer trace.Tracer
	folder *runner.Runner
	close  []func()
}

// newRegistry knows every event of every world.
func newRegistry() *event.Registry {
	r := event.NewRegistry()
	eve.Register(r)
	anvil.Register(r)
	access.Register(r)
	retention.Register(r)
	return r
}

// newMetrics is a registry with what every process shows.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// findEngines tells where the engines are: as configured, or those that another
// process runs on the data folder.
func (e *environment) findEngines() (engine.Addresses, error) {
	return engine.Running(e.settings.DataDir, e.settings.external(), nil)
}

// openStores connects to the engines and brings topics and tables up to date.
func (e *environment) openStores(ctx context.Context, at engine.Addresses) (_ *stores, err error) {
	s := &stores{addresses: at, registry: newRegistry(), metrics: newMetrics()}
	if e.engines != nil {
		s.metrics.MustRegister(e.engines)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.cluster, err = e.settings.cluster(); err != nil {
		return nil, err
	}
	if s.security, err = e.settings.kafkaSecurity(); err != nil {
		return nil, err
	}
	if err := e.trace(ctx, s); err != nil {
		return nil, err
	}
	manifest := eventlog.DefaultManifest()
	manifest.Partitions, manifest.Replication = e.settings.KafkaPartitions, e.settings.KafkaReplication
	if err := manifest.Ensure(ctx, at.KafkaBrokers, s.security); err != nil {
		return nil, err
	}
	if s.reader, err = eventlog.NewReader(eventlog.ReaderConfig{Brokers: at.KafkaBrokers, Security: s.security, Logger: e.logger}); err != nil {
		return nil, err
	}
	s.close = append(s.close, s.reader.Close)
	if s.pool, err = openTraced(ctx, s.tracer, at.PostgresDSN); err != nil {
		return nil, err
	}
	s.close = append(s.close, s.pool.Close)
	s.keys = keyring.New(keyring.Config{Pool: s.pool, Secret: func() ([]byte, error) { return e.settings.secretKey(false) }, FormerSecrets: e.settings.formerKeys})
	s.registry.OpenWith(s.keys.Open)
	if s.clickhouse, err = openClickHouse(ctx, at.ClickHouseDSN, s.cluster); err != nil {
		return nil, err
	}
	s.clickhouse = tracing.ClickHouse(s.clickhouse, s.tracer)
	s.close = append(s.close, func() { _ = s.clickhouse.Close() })
	if s.control, err = runner.NewControl(ctx, s.pool); err != nil {
		return nil, err
	}
	if s.views, err = reports.New(ctx, reports.Config{Pool: s.pool, ClickHouse: s.clickhouse, Cluster: s.cluster, Live: s.control}); err != nil {
		return nil, err
	}
	s.folder = e.newRunner(s)
	return s, nil
}

// Close disconnects in the reverse order.
func (s *stores) Close() {
	for _, v := range slices.Backward(s.close) {
		v()
	}
}

// openRelaxed connects to Postgres without waiting, at a commit, until the disk has
// it. It is for what is done again if it was lost.
func (s *stores) openRelaxed(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := openTraced(ctx, s.tracer, s.addresses.PostgresDSN, "synchronous_commit", "off")
	if err == nil {
		s.close = append(s.close, pool.Close)
	}
	return pool, err
}

// opened reads records with what is sealed in their values opened.
type opened struct{ *stores }

// ReadAt implements [api.Records].
func (o opened) ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error) {
	records, err := o.reader.ReadAt(ctx, positions)
	if err != nil {
		return nil, err
	}
	for at, rec := range records {
		e, err := rec.Event()
		if err != nil {
			continue // That it is none is for those to say who want an event.
		}
		if e, err = o.registry.Open(e); err != nil {
			return nil, err
		}
		rec.Value = e.Data
		records[at] = rec
	}
	return records, nil
}

// openPostgres connects with settings of the session, given as names and values, without
// tracing anything.
func openPostgres(ctx context.Context, dsn string, settings ...string) (*pgxpool.Pool, error) {
	return openTraced(ctx, nil, dsn, settings...)
}

// openTraced connects like openPostgres. Statements are traced where there is
// a tracer.
func openTraced(ctx context.Context, tracer trace.Tracer, dsn string, settings ...string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "the address of Postgres cannot be read; write it as postgres://user:password@host:port/database")
	}
	if tracer != nil {
		config.ConnConfig.Tracer = tracing.NewPostgres(tracer)
	}
	config.MaxConns = max(config.MaxConns, poolSize)
	config.ConnConfig.RuntimeParams["application_name"] = "muster"
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	for pair := range slices.Chunk(settings, 2) {
		config.ConnConfig.RuntimeParams[pair[0]] = pair[1]
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, event.Errorf(event.CodeUnavailable, "reaching Postgres: %w", err)
	}
	return pool, nil
}

func openClickHouse(ctx context.Context, dsn string, cluster runner.Cluster) (driver.Conn, error) {
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "the address of ClickHouse cannot be read; write it as clickhouse://user:password@host:9000/database or http://user:password@host:8123/database")
	}
	if cluster.Spread() {
		// What the address says goes before.
		options.Settings = merged(cluster.Settings(), options.Settings)
	}
	options.DialTimeout = 10 * time.Second
	options.MaxOpenConns, options.MaxIdleConns = 16, 8
	options.ClientInfo.Products = append(options.ClientInfo.Products, struct{ Name, Version string }{"muster", version})
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("connecting to ClickHouse: %w", err)
	}
	if err := conn.Ping(ctx); err != nil {
		return nil, errors.Join(event.Errorf(event.CodeUnavailable, "reaching ClickHouse: %w", err), conn.Close())
	}
	return conn, nil
}

// merged are settings with others put over them.
func merged(under, over clickhouse.Settings) clickhouse.Settings {
	all := maps.Clone(under)
	maps.Copy(all, over)
	return all
}

// Limits of batches. ClickHouse wants few, large inserts; Postgres is what people
// wait for.
const (
	postgresLinger   = 10 * time.Millisecond
	clickhouseLinger = 400 * time.Millisecond
	liveRecords      = 2_000
	bulkRecords      = 10_000
	clickhouseBulk   = 20_000
	clickhouseBytes  = 12 << 20
	// A rebuild makes fewer and larger inserts: each one makes a part for each month and
	// table that it has rows of.
	clickhouseRebuild = 50_000
)

// projections are all read models, bound to their stores.
func (s *stores) projections() []runner.Bound {
	pg, ch := runner.NewPostgres(s.pool), runner.NewClickHouse(s.pool, s.clickhouse, "muster").On(s.cluster)
	now := func(p runner.Projection) runner.Bound {
		return runner.Bound{
			Projection: p, Store: pg,
			Live: runner.Limits{Records: liveRecords, Linger: postgresLinger}, Bulk: runner.Limits{Records: bulkRecords},
		}
	}
	overTime := func(p runner.Projection) runner.Bound {
		return runner.Bound{
			Projection: p, Store: ch,
			Live: runner.Limits{Records: liveRecords, Linger: clickhouseLinger}, Bulk: runner.Limits{Records: clickhouseBulk, Bytes: clickhouseBytes},
			Rebuild: runner.Limits{Records: clickhouseRebuild, Bytes: clickhouseBytes},
		}
	}
	return []runner.Bound{
		now(pgviews.Characters()), now(pgviews.AnVIL()), overTime(chviews.Wallet()), overTime(chviews.EventIndex()), overTime(chviews.Facts()), overTime(chviews.FindingSteps()),
		overTime(chviews.Records()), overTime(chviews.Organisation()), overTime(chviews.AnVILHistory()),
	}
}

// projection is the read model of that name.
func (s *stores) projection(name string) (runner.Bound, error) {
	var names []string
	for _, b := range s.projections() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return runner.Bound{}, event.Errorf(event.CodeNotFound, "there is no projection %q: choose from %v", name, names)
}

// newRunner folds the log into the read models.
func (e *environment) newRunner(s *stores) *runner.Runner {
	return runner.New(runner.Config{
		Pool:    s.pool,
		Control: s.control,
		Log: runner.Kafka{Reader: s.reader, Consumer: eventlog.ConsumerConfig{
			Brokers: s.addresses.KafkaBrokers, Security: s.security, Logger: e.logger,
			OnSkip: func(p eventlog.Partition, skipped, resumed int64) {
				e.logger.Info("the log begins behind the position: what compaction removed is passed over", "partition", p.String(), "from", skipped, "to", resumed)
			},
		}},
		Registry:    s.registry,
		Logger:      e.logger,
		Metrics:     s.metrics,
		Tracer:      s.tracer,
		KeepRetired: 1,
		Readers:     s.views,
		Step:        e.step,
	})
}
