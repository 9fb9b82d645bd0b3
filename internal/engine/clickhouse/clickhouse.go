// Package clickhouse serves the embedded ClickHouse: it loads the engine as a library (libchdb) into this process and
// speaks ClickHouse's HTTP interface on a loopback address, so that clickhouse-go, curl and any other HTTP client use it
// as they would use a ClickHouse server.
//
// The engine is native code with threads of its own. It belongs in a child process: a crash then costs a restart of the
// child and not of Muster. Serve is what that child runs. The library is bound without cgo; build the child with
// CGO_ENABLED=0 and without the race detector.
//
// Differences from a ClickHouse server:
//
//   - One user. Its credentials come from Config, over basic authentication, X-ClickHouse-User and X-ClickHouse-Key, or
//     the user and password parameters.
//   - No sessions. Every request runs in a session of its own: settings, parameters, the current database, temporary
//     tables never reach another request. A session_id is refused.
//   - One statement a request.
//   - Results stream, with flat memory, in the formats whose chunks can be joined: Native, RowBinary, the CSV and
//     TabSeparated families without header rows, and the JSON lines formats. The others (JSON, Parquet, CSVWithNames,
//     Arrow and so on) are built in the engine's memory first. Inserted data always streams.
//   - The query_id is answered in X-ClickHouse-Query-Id; in system.processes the engine shows an id of its own.
//   - INSERT ... SELECT ... FROM input(...) and external tables (multipart requests) are refused.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Config says what to serve and where.
type Config struct {
	// Library is the path of libchdb.so.
	Library string
	// DataDir is the folder of the data. It is created if absent, and refused while another process uses it or when
	// another version of the library wrote it.
	DataDir string
	// Listen is the TCP address to serve on; port 0 takes a free one. Keep it on loopback: the interface is plain HTTP.
	Listen string
	// User and Password are the only credentials accepted. An empty User means "default"; an empty Password lets any
	// request of that user in.
	User, Password string
	// MaxMemory bounds the engine's memory in bytes; 0 leaves the engine's own rule (0.9 of the machine's memory).
	MaxMemory uint64
	// MaxQueries bounds how many statements run at once; further ones wait. 0 means 32.
	MaxQueries int
	// LocalShards has the engine know a cluster [LocalCluster] of that many shards, all of which are this engine: a
	// distributed table over it reads and writes the same local table once for each. It is for trying what a cluster is
	// told, without one. 0 is no cluster.
	LocalShards int
	// StopTimeout bounds how long a stop waits for running statements before it cancels them; 0 means 10 seconds.
	StopTimeout time.Duration
	// Logger receives the server's log lines; nil discards them. Statements and their values are never logged.
	Logger *slog.Logger
	// Ready, if not nil, is called once with the bound address when requests are served.
	Ready func(addr net.Addr)
}

// LocalCluster is the name of the cluster of Config.LocalShards.
const LocalCluster = "local"

// Defaults of Config.
const (
	defaultUser        = "default"
	defaultMaxQueries  = 32
	defaultStopTimeout = 10 * time.Second
	// cancelTimeout bounds the wait for statements that were told to stop.
	cancelTimeout = 5 * time.Second
)

// withDefaults fills in the defaults and says what is missing.
func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("serving ClickHouse: no data folder given")
	}
	if c.Listen == "" {
		return c, errors.New("serving ClickHouse: no address to listen on given")
	}
	if c.User == "" {
		c.User = defaultUser
	}
	if c.MaxQueries <= 0 {
		c.MaxQueries = defaultMaxQueries
	}
	if c.StopTimeout <= 0 {
		c.StopTimeout = defaultStopTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Serve runs the embedded ClickHouse until ctx is done, then stops it: it takes no new requests, waits for the running
// statements (StopTimeout), cancels those that remain, closes the engine and releases the data folder. It returns nil
// after such a stop. The engine can be started once in the life of a process.
func Serve(ctx context.Context, cfg Config) (err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return err
	}
	lib, err := loadLibrary(cfg.Library)
	if err != nil {
		return err
	}
	folder, err := openFolder(cfg.DataDir, lib.version())
	if err != nil {
		return err
	}
	defer func() {
		// An engine that could not be closed may still write; its folder stays locked until the process ends.
		if !errors.Is(err, errStillRunning) {
			err = errors.Join(err, folder.close())
		}
	}()

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("serving ClickHouse: %w", err)
	}
	defer func() { _ = listener.Close() }()

	started := time.Now()
	db, err := openEngine(lib, folder, cfg)
	if err != nil {
		return err
	}
	cfg.Logger.InfoContext(ctx, "clickhouse: ready", "library", lib.version(), "addr", listener.Addr().String(), "took", time.Since(started))
	return serveHTTP(ctx, cfg, db, listener)
}

// serveHTTP serves until ctx is done and owns the end of the engine.
func serveHTTP(ctx context.Context, cfg Config, db *engine, listener net.Listener) error {
	running, cancelRunning := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRunning()
	server := &http.Server{
		Handler:           newHandler(cfg, db),
		BaseContext:       func(net.Listener) context.Context { return running },
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if cfg.Ready != nil {
		cfg.Ready(listener.Addr())
	}

	var failure error
	select {
	case <-ctx.Done():
	case err := <-served:
		failure = fmt.Errorf("serving ClickHouse: %w", err)
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.StopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		cfg.Logger.WarnContext(ctx, "clickhouse: cancelling the statements that still run", "waited", cfg.StopTimeout)
		cancelRunning()
		_ = server.Close()
	}
	return errors.Join(failure, db.close(cancelTimeout))
}
