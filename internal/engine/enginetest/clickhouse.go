package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

type clickhouseServer struct{ dsn string }

// ClickHouse gives the test the DSN, for clickhouse-go over HTTP, of a new, empty database, dropped when the test ends.
//
// The server is a child process: a build of internal/engine/clickhouse/clickhousechild without cgo, kept beside the engines, or the program that
// MUSTER_TEST_BINARY names, called as "PROGRAM engine clickhouse". The test binary cannot serve by itself: the library is loaded without
// cgo, which the race detector needs.
func ClickHouse(t testing.TB) string {
	t.Helper()
	server, err := shared.clickhouse.get(func() (*clickhouseServer, error) { return startClickHouse("clickhouse", 0) })
	need(t, err, requireEngines)
	return server.database(t)
}

// LocalShards is the number of shards of [ClickHouseShards].
const LocalShards = 2

// ClickHouseShards is like [ClickHouse] on a server that knows the cluster "local" of [LocalShards] shards, all of which are itself.
func ClickHouseShards(t testing.TB) string {
	t.Helper()
	server, err := shared.shards.get(func() (*clickhouseServer, error) { return startClickHouse("shards", LocalShards) })
	need(t, err, requireEngines)
	return server.database(t)
}

func (s *clickhouseServer) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", shared.next())
	if err := s.exec("create database " + name); err != nil {
		t.Fatalf("making a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec("drop database " + name); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	dsn, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + name
	return dsn.String()
}

func (s *clickhouseServer) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dsn, err := url.Parse(s.dsn)
	if err != nil {
		return err
	}
	dsn.Path = "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, dsn.String(), strings.NewReader(sql))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}

func startClickHouse(name string, shards int) (*clickhouseServer, error) {
	install, err := engine.Locate()
	if err != nil {
		return nil, err
	}
	command, err := shared.clickhouseCommand.get(buildClickHouse)
	if err != nil {
		return nil, err
	}
	dir, err := shared.folder(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := engine.StartClickHouse(ctx, engine.ClickHouseChild{
		Command: command,
		Library: install.ClickHouseLibrary,
		DataDir: filepath.Join(dir, "data"), LocalShards: shards,
	}, supervise.Options{})
	if err != nil {
		return nil, err
	}
	shared.atEnd(server.Stop)
	return &clickhouseServer{dsn: server.DSN()}, nil
}

// ClickHouseCommand is the program that serves the embedded ClickHouse in tests, for engine.Config.ClickHouseCommand: see [ClickHouse].
func ClickHouseCommand(t testing.TB) []string {
	t.Helper()
	command, err := shared.clickhouseCommand.get(buildClickHouse)
	need(t, err, requireEngines)
	return command
}

const clickhouseChild = "github.com/muster-sync/muster/internal/engine/clickhouse/clickhousechild"

// buildClickHouse links the child, in one place for all test binaries, so that it is linked only when its source changed.
func buildClickHouse() ([]string, error) {
	if program := os.Getenv("MUSTER_TEST_BINARY"); program != "" {
		return []string{program, "engine", "clickhouse"}, nil
	}
	install, err := engine.Locate()
	if err != nil {
		return nil, err
	}
	if install.ClickHouseLibrary == "" {
		return nil, &engine.NotFetchedError{What: "the embedded ClickHouse (there is none for this platform)", Dir: install.Dir, Remedy: "make engines"}
	}
	dir, err := shared.folder("bin")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	program := filepath.Join(install.Dir, fmt.Sprintf("test-clickhousechild-%d", os.Getuid()))
	lock, err := os.OpenFile(program+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		// The cache cannot be written: this binary links one of its own.
		program = filepath.Join(dir, "clickhousechild")
	} else {
		defer lock.Close()
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			return nil, fmt.Errorf("waiting for another test to build the ClickHouse child: %w", err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, clickhouseChild) //nolint:gosec // the program's place is the engines cache
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the ClickHouse child: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return []string{program}, nil
}
