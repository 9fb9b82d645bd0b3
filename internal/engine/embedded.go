package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/internal/engine/kafka"
	"github.com/muster-sync/muster/internal/engine/postgres"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

// Name is one of the engines. It is also the name of its folder in the data folder.
type Name string

// The engines, in the order in which they are started.
const (
	Kafka      Name = "kafka"
	Postgres   Name = "postgres"
	ClickHouse Name = "clickhouse"
)

// Addresses say where the engines are. The DSNs hold passwords.
type Addresses struct {
	KafkaBrokers  []string
	PostgresDSN   string
	ClickHouseDSN string
}

// Config says which engines to embed and how.
type Config struct {
	// DataDir is the data folder. It is made if it is missing, and needed only if an engine is embedded.
	DataDir string
	// External are the engines that run elsewhere: what has an address here is not embedded.
	External Addresses
	// Only limits what is embedded to these engines; nil is all that are not external.
	Only []Name

	// KafkaPort, PostgresPort and ClickHousePort are ports on 127.0.0.1; 0 takes a free one.
	KafkaPort, PostgresPort, ClickHousePort int
	// KafkaPartitions is the default of new topics; 0 is kafka.DefaultPartitions.
	KafkaPartitions int
	// KafkaSyncWrites waits for the disk at each batch appended to the log.
	KafkaSyncWrites bool
	// KafkaCompactEvery is the pause between two runs of the log cleaner; 0 is a day.
	KafkaCompactEvery time.Duration
	// ClickHouseCommand is the program that serves libchdb; see ClickHouseChild.
	ClickHouseCommand []string
	// ClickHouseMaxMemory bounds ClickHouse's memory in bytes; 0 leaves it to the engine.
	ClickHouseMaxMemory uint64

	// Backoff is the pause before a child that died is started again.
	Backoff supervise.Backoff
	// Logger may be nil.
	Logger *slog.Logger
	// Registerer receives the metrics of the engines; nil exposes none.
	Registerer prometheus.Registerer
}

// Embedded are the running engines. Its methods may be called from several goroutines at once.
type Embedded struct {
	dir       *dataDir // nil if nothing is embedded
	addresses Addresses
	log       *slog.Logger

	mu       sync.Mutex
	running  map[Name]runningEngine
	stopping bool // from here on engines.json has no more entries of ours

	stops []func() error

	broker   *kafka.Broker
	stopOnce sync.Once
	stopErr  error
}

// Open guards the data folder, then starts Kafka, Postgres and ClickHouse, those that are to be embedded, and returns when all answer.
// On an error nothing is left running. ctx bounds the start, not the engines' life.
func Open(ctx context.Context, cfg Config) (*Embedded, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Embedded{addresses: cfg.External, log: cfg.Logger, running: make(map[Name]runningEngine)}
	names := cfg.embedded()
	if len(names) == 0 {
		return e, nil
	}
	var install Installation
	if slices.Contains(names, Postgres) || slices.Contains(names, ClickHouse) {
		var err error
		if install, err = Locate(); err != nil {
			return nil, err
		}
	}
	if cfg.DataDir == "" {
		return nil, errors.New("starting the embedded engines: no data folder is given: set MUSTER_DATA_DIR")
	}
	dir, err := openDataDir(cfg.DataDir, names, formats(install.Versions.ClickHouse))
	if err != nil {
		return nil, err
	}
	e.dir = dir
	e.stops = append(e.stops, dir.close)
	metrics := supervise.NewMetrics(cfg.Registerer)
	starts := map[Name]func() error{
		Kafka:      func() error { return e.startKafka(ctx, cfg) },
		Postgres:   func() error { return e.startPostgres(ctx, cfg, install, metrics) },
		ClickHouse: func() error { return e.startClickHouse(ctx, cfg, install, metrics) },
	}
	for _, name := range names {
		if err := starts[name](); err != nil {
			return nil, errors.Join(err, e.Stop())
		}
	}
	return e, nil
}

// embedded are the engines to start, in order.
func (cfg Config) embedded() []Name {
	var names []Name
	add := func(name Name, external bool) {
		if !external && (cfg.Only == nil || slices.Contains(cfg.Only, name)) {
			names = append(names, name)
		}
	}
	add(Kafka, len(cfg.External.KafkaBrokers) > 0)
	add(Postgres, cfg.External.PostgresDSN != "")
	add(ClickHouse, cfg.External.ClickHouseDSN != "")
	return names
}

// Addresses say where the engines are, embedded and external.
func (e *Embedded) Addresses() Addresses { return e.addresses }

// Compact runs the embedded Kafka's log cleaner now, if Kafka is embedded.
func (e *Embedded) Compact() {
	if e.broker != nil {
		e.broker.Compact()
	}
}

// Stop stops the engines, the last started first, each in order, and returns when all are gone and the data folder is free. Further calls
// return the same.
func (e *Embedded) Stop() error {
	e.stopOnce.Do(func() {
		var errs []error
		if e.dir != nil {
			errs = append(errs, e.forget())
		}
		for _, stop := range slices.Backward(e.stops) {
			errs = append(errs, stop())
		}
		e.stopErr = errors.Join(errs...)
	})
	return e.stopErr
}

func (e *Embedded) startKafka(ctx context.Context, cfg Config) error {
	broker, err := kafka.Start(ctx, kafka.Config{
		DataDir:      e.dir.folder(Kafka),
		Port:         cfg.KafkaPort,
		Partitions:   cfg.KafkaPartitions,
		SyncWrites:   cfg.KafkaSyncWrites,
		CompactEvery: cfg.KafkaCompactEvery,
		Logger:       cfg.Logger,
	})
	if err != nil {
		return err
	}
	e.broker = broker
	e.stops = append(e.stops, broker.Stop, e.listenForCompaction())
	e.addresses.KafkaBrokers = broker.Brokers()
	return e.note(Kafka, runningEngine{PID: os.Getpid(), Brokers: broker.Brokers()})
}

func (e *Embedded) startPostgres(ctx context.Context, cfg Config, install Installation, metrics *supervise.Metrics) error {
	server, err := postgres.Start(ctx, postgres.Config{
		Install: install.Postgres,
		DataDir: e.dir.folder(Postgres),
		Port:    cfg.PostgresPort,
		Backoff: cfg.Backoff,
		Logger:  cfg.Logger,
		Metrics: metrics,
		Started: func(pid int) { e.notePID(Postgres, pid) },
	})
	if err != nil {
		return err
	}
	e.stops = append(e.stops, server.Stop)
	e.addresses.PostgresDSN = server.DSN()
	return e.note(Postgres, runningEngine{DSN: server.DSN()})
}

func (e *Embedded) startClickHouse(ctx context.Context, cfg Config, install Installation, metrics *supervise.Metrics) error {
	server, err := StartClickHouse(ctx, ClickHouseChild{
		Command:   cfg.ClickHouseCommand,
		Library:   install.ClickHouseLibrary,
		DataDir:   e.dir.folder(ClickHouse),
		Port:      cfg.ClickHousePort,
		MaxMemory: cfg.ClickHouseMaxMemory,
	}, supervise.Options{
		Logger:  cfg.Logger,
		Metrics: metrics,
		Backoff: cfg.Backoff,
		Started: func(pid int) { e.notePID(ClickHouse, pid) },
	})
	if err != nil {
		return err
	}
	e.stops = append(e.stops, server.Stop)
	e.addresses.ClickHouseDSN = server.DSN()
	return e.note(ClickHouse, runningEngine{DSN: server.DSN()})
}

// addressesName is the file in the data folder that tells other commands where the embedded engines are.
const addressesName = "engines.json"

// runningEngine is an engine's entry in engines.json. It holds a password: the file is readable by its owner alone.
type runningEngine struct {
	PID     int      `json:"pid"`
	Brokers []string `json:"brokers,omitempty"`
	DSN     string   `json:"dsn,omitempty"`
}

// note puts an engine's entry into engines.json.
func (e *Embedded) note(name Name, entry runningEngine) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	// A child may have died and come back since it told its address.
	if known := e.running[name].PID; known != 0 {
		entry.PID = known
	}
	e.running[name] = entry
	return e.update(func(file map[Name]runningEngine) { file[name] = entry })
}

// notePID notes the process id of a child that was started, again if it has an entry already: note makes it, with the address.
func (e *Embedded) notePID(name Name, pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry := e.running[name]
	entry.PID = pid
	e.running[name] = entry
	if entry.DSN == "" || e.stopping {
		return
	}
	if err := e.update(func(file map[Name]runningEngine) { file[name] = entry }); err != nil {
		e.log.Warn("the engine's new process id could not be noted", "engine", string(name), "error", err)
	}
}

// forget removes this process's entries from engines.json.
func (e *Embedded) forget() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopping = true
	return e.update(func(file map[Name]runningEngine) {
		for name := range e.running {
			delete(file, name)
		}
	})
}

// update changes engines.json, which processes that run single engines of one folder share.
func (e *Embedded) update(change func(map[Name]runningEngine)) error {
	path := filepath.Join(e.dir.path, addressesName)
	return e.dir.guarded(func() error {
		entries, err := readEntries(path)
		if err != nil {
			entries = map[Name]runningEngine{} // ours to write anew: it says nothing that outlives the engines
		}
		change(entries)
		if len(entries) > 0 {
			return writeJSON(path, entries)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", path, err)
		}
		return nil
	})
}

func readEntries(path string) (map[Name]runningEngine, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[Name]runningEngine{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where the embedded engines are: %w", err)
	}
	entries := map[Name]runningEngine{}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return entries, nil
}

// NotRunningError says that nobody runs an embedded engine of a data folder.
type NotRunningError struct {
	Dir    string
	Engine Name
}

// Error names the engine, the folder and the remedy.
func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no embedded %s runs on the data folder %s: start \"muster up\" (or \"muster engine %s\") on it, or set the address of your own engine", e.Engine, e.Dir, e.Engine)
}

// Running finds the engines that another process, such as "muster up", runs on a data folder. Engines with an external address are taken as
// they are. Each other engine must run, else the error is a *NotRunningError; only limits which are needed, nil is all.
func Running(dataDir string, external Addresses, only []Name) (Addresses, error) {
	entries, err := readEntries(filepath.Join(dataDir, addressesName))
	if err != nil {
		return Addresses{}, err
	}
	found := external
	for _, name := range (Config{External: external, Only: only}).embedded() {
		// After a crash the file is still there; the lock is not.
		running, err := held(filepath.Join(dataDir, lockName(name)))
		if err != nil {
			return Addresses{}, fmt.Errorf("asking whether %s runs on %s: %w", name, dataDir, err)
		}
		entry, noted := entries[name]
		if !running || !noted {
			return Addresses{}, &NotRunningError{Dir: dataDir, Engine: name}
		}
		switch name {
		case Kafka:
			found.KafkaBrokers = entry.Brokers
		case Postgres:
			found.PostgresDSN = entry.DSN
		case ClickHouse:
			found.ClickHouseDSN = entry.DSN
		}
	}
	return found, nil
}
