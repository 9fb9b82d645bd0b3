// Package postgres runs the embedded Postgres: a real server, as a child process, on loopback, with a password of its own.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

// passable lets the user that root becomes pass through a folder, and nobody read it.
const passable = 0o711

const (
	// name is what everything about Postgres is called: its system user, its URL scheme, the database that is always there.
	name = "postgres"
	off  = "off"
)

const (
	// User is the superuser of the cluster and the one in the DSN.
	User = "muster"
	// Database is the database of the DSN, made on first start.
	Database = "muster"
)

// Config says which Postgres to run and where.
type Config struct {
	// Install is the folder with bin, lib and share.
	Install string
	// DataDir holds the cluster and its password; it is made if it is missing. Whoever starts Postgres must have made sure that nobody
	// else uses it.
	DataDir string
	// Port on 127.0.0.1; 0 takes a free one, which stays the same while the server lives.
	Port int
	// Unsafe gives up durability for speed. For tests.
	Unsafe bool
	// Settings override the server's settings, by name.
	Settings map[string]string
	// Backoff is the pause before a server that died is started again.
	Backoff supervise.Backoff
	// Logger and Metrics may be nil.
	Logger  *slog.Logger
	Metrics *supervise.Metrics
	// Started, if not nil, is told the server's process id at each start.
	Started func(pid int)
}

// Server is a running Postgres. Its methods may be called from several goroutines at once.
type Server struct {
	child *supervise.Child
	dsn   string
}

// Start makes the cluster if there is none, starts the server and returns when it answers. ctx bounds the start, not the server's life.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("starting Postgres: %w", err)
	}
	cfg.DataDir = dir
	if err := os.MkdirAll(dir, passable); err != nil {
		return nil, fmt.Errorf("making the folder of Postgres: %w", err)
	}
	acct, err := chooseAccount(cfg.cluster(), cfg.Install)
	if err != nil {
		return nil, err
	}
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	if err := cfg.initialise(ctx, acct, password); err != nil {
		return nil, err
	}
	if cfg.Port == 0 {
		if cfg.Port, err = freeport.One(ctx); err != nil {
			return nil, err
		}
	}
	dsn := cfg.dsn(password, Database)
	child := supervise.New(cfg.spec(acct, dsn), supervise.Options{
		Logger:  cfg.Logger,
		Metrics: cfg.Metrics,
		Backoff: cfg.Backoff,
		Started: cfg.Started,
	})
	if err := child.Start(ctx); err != nil {
		return nil, err
	}
	return &Server{child: child, dsn: dsn}, nil
}

// DSN is the server's address with user and password: a secret.
func (s *Server) DSN() string { return s.dsn }

// PID is the server's process id, or 0 while it is down.
func (s *Server) PID() int { return s.child.PID() }

// Signal sends the running server a signal. It fails while the server is down.
func (s *Server) Signal(signal syscall.Signal) error { return s.child.Signal(signal) }

// Restarts is how often the server was started again after it died.
func (s *Server) Restarts() int { return s.child.Restarts() }

// Stop ends sessions, writes everything out and returns when the server is gone. It may be called more than once.
func (s *Server) Stop() error { return s.child.Stop() }

func (cfg Config) cluster() string { return filepath.Join(cfg.DataDir, "cluster") }

func (cfg Config) program(name string) string { return filepath.Join(cfg.Install, "bin", name) }

func (cfg Config) dsn(password, database string) string {
	address := url.URL{
		Scheme:   name,
		User:     url.UserPassword(User, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

func (cfg Config) spec(acct account, dsn string) supervise.Spec {
	return supervise.Spec{
		Name:        name,
		Path:        cfg.program("postgres"),
		Args:        append([]string{"-D", cfg.cluster()}, cfg.settings()...),
		Env:         environment(),
		SysProcAttr: acct.attributes(),
		Prepare: func(ctx context.Context) error {
			return clearOrphan(ctx, cfg.cluster(), cfg.Logger)
		},
		Ready:        func(ctx context.Context) error { return ensureDatabase(ctx, dsn) },
		ReadyTimeout: 2 * time.Minute, // recovery after a crash replays the log first
		Passing:      leftByOthers,
		StopSignal:   syscall.SIGINT, // "fast": end the sessions, write a checkpoint
		StopTimeout:  time.Minute,
		OrphanSignal: syscall.SIGQUIT, // "immediate": take the sessions' processes along
		Level:        level,
	}
}

// settings are passed as arguments and not written to a file, so that the cluster's folder holds data only and a newer Muster brings
// newer settings.
func (cfg Config) settings() []string {
	values := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(cfg.Port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		// Sized for a machine of two cores that also runs everything else.
		"shared_buffers":               "128MB",
		"effective_cache_size":         "512MB",
		"work_mem":                     "8MB",
		"maintenance_work_mem":         "64MB",
		"max_parallel_workers":         "2",
		"max_worker_processes":         "4",
		"io_workers":                   "2",
		"random_page_cost":             "1.1",
		"jit":                          off,
		"huge_pages":                   off,
		"autovacuum_max_workers":       "2",
		"autovacuum_worker_slots":      "4",
		"checkpoint_timeout":           "15min",
		"checkpoint_completion_target": "0.9",
		"max_wal_size":                 "1GB",
		// A segment that is used again holds what was written to it before.
		"wal_recycle": off,
		// Nobody replicates from or to an embedded server.
		"wal_level":                       "minimal",
		"max_wal_senders":                 "0",
		"max_logical_replication_workers": "0",
		"wal_compression":                 "on",
		"fsync":                           "on",
		"synchronous_commit":              "on",
		"full_page_writes":                "on",
		"timezone":                        "UTC",
		"log_timezone":                    "UTC",
		"log_destination":                 "stderr",
		"logging_collector":               off,
		"log_line_prefix":                 "",
		// Statements and details can hold what must not be logged; whoever sent them gets the error anyway.
		"log_error_verbosity":     "terse",
		"log_min_error_statement": "panic",
		"log_statement":           "none",
	}
	if cfg.Unsafe {
		values["fsync"] = off
		values["synchronous_commit"] = off
		values["full_page_writes"] = off
		values["max_wal_size"] = "256MB"
	}
	maps.Copy(values, cfg.Settings)
	flags := make([]string, 0, 2*len(values))
	for _, setting := range slices.Sorted(maps.Keys(values)) {
		flags = append(flags, "-c", setting+"="+values[setting])
	}
	return flags
}

// ensureDatabase is the readiness probe: the server is ready when it lets us into our database, which it makes the first time.
func ensureDatabase(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err == nil {
		return conn.Close(ctx)
	}
	const invalidCatalogName = "3D000"
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != invalidCatalogName {
		return err
	}
	maintenance, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	maintenance.Database = name
	conn, err = pgx.ConnectConfig(ctx, maintenance)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{Database}.Sanitize())
	return errors.Join(err, conn.Close(ctx))
}

// leftByOthers recognises a start that failed because sessions of a killed server had not ended yet. They notice its death by themselves.
func leftByOthers(lastLines string) bool {
	return strings.Contains(lastLines, "pre-existing shared memory block") && strings.Contains(lastLines, "is still in use")
}

// level maps what the server writes to our levels. Errors of statements are Debug: they are answers to whoever sent the statement.
func level(line string) slog.Level {
	// What the readiness probe meets while the server starts is no trouble.
	for _, expected := range []string{"the database system is", `database "` + Database + `" does not exist`} {
		if strings.Contains(line, "FATAL:") && strings.Contains(line, expected) {
			return slog.LevelDebug
		}
	}
	severity, _, _ := strings.Cut(line, ":")
	switch severity {
	case "PANIC":
		return slog.LevelError
	case "FATAL", "WARNING":
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}
