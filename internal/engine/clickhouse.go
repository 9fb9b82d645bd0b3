package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

// clickHouseUser is the one user of the embedded ClickHouse.
const clickHouseUser = "muster"

// ClickHouseChild is the embedded ClickHouse as a child process: a program that serves libchdb on an address, such as "muster engine
// clickhouse". The program is called with --library, --data, --listen and --max-memory, and finds its user and password in
// MUSTER_CLICKHOUSE_USER and MUSTER_CLICKHOUSE_PASSWORD.
type ClickHouseChild struct {
	// Command is the program and its first arguments. Empty is this executable with "engine clickhouse".
	Command []string
	// Library is the path of libchdb.
	Library string
	// DataDir is the folder of the data.
	DataDir string
	// Port on 127.0.0.1; 0 takes a free one, which stays the same while the child is supervised.
	Port int
	// MaxMemory bounds the engine's memory in bytes; 0 leaves it to the engine.
	MaxMemory uint64
	// LocalShards has the engine know the cluster "local" of that many shards, all of which are itself. It is for tests.
	LocalShards int
}

// ClickHouseServer is a running embedded ClickHouse. Its methods may be called from several goroutines at once.
type ClickHouseServer struct {
	child *supervise.Child
	dsn   string
}

// StartClickHouse starts the child and returns when it answers. The password is made on the first start and kept in the folder of the data,
// so that who knows the address of a fixed port is still welcome after this process was killed and started again. The child gets it in its
// environment.
func StartClickHouse(ctx context.Context, cfg ClickHouseChild, opts supervise.Options) (*ClickHouseServer, error) {
	if cfg.Library == "" {
		return nil, fmt.Errorf("starting ClickHouse: there is no embedded ClickHouse for %s: run your own and set MUSTER_CLICKHOUSE_DSN", platform())
	}
	if cfg.Port == 0 {
		port, err := freeport.One(ctx)
		if err != nil {
			return nil, fmt.Errorf("starting ClickHouse: %w", err)
		}
		cfg.Port = port
	}
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	spec, err := cfg.spec(password)
	if err != nil {
		return nil, err
	}
	child := supervise.New(spec, opts)
	if err := child.Start(ctx); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "http", User: url.UserPassword(clickHouseUser, password), Host: cfg.address(), Path: "/default"}
	return &ClickHouseServer{child: child, dsn: dsn.String()}, nil
}

// DSN is the server's address with user and password, in clickhouse-go's form for HTTP: a secret.
func (s *ClickHouseServer) DSN() string { return s.dsn }

// PID is the server's process id, or 0 while it is down.
func (s *ClickHouseServer) PID() int { return s.child.PID() }

// Signal sends the running server a signal. It fails while the server is down.
func (s *ClickHouseServer) Signal(signal syscall.Signal) error { return s.child.Signal(signal) }

// Restarts is how often the server was started again after it died.
func (s *ClickHouseServer) Restarts() int { return s.child.Restarts() }

// Stop lets running statements finish and returns when the server is gone. It may be called more than once.
func (s *ClickHouseServer) Stop() error { return s.child.Stop() }

func (cfg ClickHouseChild) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port))
}

// password reads the engine's password, or makes one that only the folder's owner can read.
func (cfg ClickHouseChild) password() (string, error) {
	path := filepath.Join(cfg.DataDir, "password")
	content, err := os.ReadFile(path)
	if kept := strings.TrimSpace(string(content)); err == nil && kept != "" {
		return kept, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the ClickHouse password: %w", err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of ClickHouse: %w", err)
	}
	// Nothing is sealed with it: if a crash leaves the file empty, another one is as good.
	made := rand.Text()
	if err := os.WriteFile(path, []byte(made+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the ClickHouse password: %w", err)
	}
	return made, nil
}

func (cfg ClickHouseChild) spec(password string) (supervise.Spec, error) {
	command := cfg.Command
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return supervise.Spec{}, fmt.Errorf("starting ClickHouse: finding this program: %w", err)
		}
		command = []string{self, "engine", "clickhouse"}
	}
	args := append([]string{}, command[1:]...)
	args = append(args, "--library="+cfg.Library, "--data="+cfg.DataDir, "--listen="+cfg.address(), "--max-memory="+strconv.FormatUint(cfg.MaxMemory, 10))
	if cfg.LocalShards > 0 {
		args = append(args, "--local-shards="+strconv.Itoa(cfg.LocalShards))
	}
	// One client for the life of the spec, without idle connections that would keep a stopping child waiting.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return supervise.Spec{
		Name: "clickhouse",
		Path: command[0],
		Args: args,
		Env: []string{
			"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + os.Getenv("HOME"),
			"MUSTER_CLICKHOUSE_USER=" + clickHouseUser, "MUSTER_CLICKHOUSE_PASSWORD=" + password,
		},
		Prepare:      cfg.awaitOrphan,
		Ready:        func(ctx context.Context) error { return ping(ctx, client, "http://"+cfg.address()+"/ping") },
		ReadyTimeout: 2 * time.Minute,
		StopTimeout:  30 * time.Second,
		Level:        clickHouseLevel,
	}, nil
}

// awaitOrphan gives a child that a killed predecessor left a moment to be gone; the kernel has already told it to. If it stays, the new child
// says who holds the folder.
func (cfg ClickHouseChild) awaitOrphan(ctx context.Context) error {
	lock := filepath.Join(cfg.DataDir, "lock")
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		busy, err := held(lock)
		if err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return nil
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking ClickHouse whether it is ready: %s", response.Status)
	}
	return nil
}

// clickHouseLevel reads the level from the child's slog lines, text or JSON. What it says in ordinary times is Debug here.
func clickHouseLevel(line string) slog.Level {
	switch {
	case strings.Contains(line, "level=ERROR"), strings.Contains(line, `"level":"ERROR"`):
		return slog.LevelError
	case strings.Contains(line, "level=WARN"), strings.Contains(line, `"level":"WARN"`):
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}
