// Package enginetest gives tests the engines that Muster runs on: a Postgres database, a ClickHouse database and a Kafka of a test's own.
//
// A package that uses it calls [Main] from TestMain. Servers are started when a test first asks for them, shared by the tests of one binary
// (each with a database of its own), and stopped by Main. Where an engine was not fetched its tests are skipped with the reason; with
// MUSTER_REQUIRE_ENGINES=1 (and MUSTER_REQUIRE_KAFKA=1 for [RealKafka]) they fail instead.
//
// All functions may be called from parallel tests.
package enginetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine"
)

// startTimeout bounds the start of one engine, on a machine that is busy with other tests.
const startTimeout = 2 * time.Minute

// shared is what the tests of this binary have in common. It is a variable of the package because a test binary has one TestMain and the
// engines are its own.
var shared servers

type servers struct {
	mu      sync.Mutex
	running bool
	dir     string
	stops   []func() error

	postgres          lazy[*postgresServer]
	clickhouse        lazy[*clickhouseServer]
	shards            lazy[*clickhouseServer]
	clickhouseCommand lazy[[]string]
	kafka             lazy[[]string]
	sequence          int
}

// lazy is a value made on first use; a failure is remembered too, so that each test reports it without trying again.
type lazy[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (l *lazy[T]) get(start func() (T, error)) (T, error) {
	l.once.Do(func() { l.value, l.err = start() })
	return l.value, l.err
}

// Main runs a package's tests, stops the engines they used, checks that no goroutine was left running, and exits. It is all that TestMain
// needs to do:
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
func Main(m *testing.M, opts ...goleak.Option) {
	os.Exit(run(m, opts)) //nolint:forbidigo // it stands for TestMain, which ends the test binary
}

func run(m *testing.M, opts []goleak.Option) int {
	removeAbandoned()
	shared.running = true
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "enginetest: stopping the engines:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "enginetest: goroutines left running after the tests:", err)
			return 1
		}
	}
	return code
}

// stop ends the engines, the last started first, and removes their data.
func (s *servers) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// atEnd has Main call stop after the tests.
func (s *servers) atEnd(stop func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, stop)
}

// next numbers databases within this binary.
func (s *servers) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	return s.sequence
}

// folder is this binary's place for the engines' data. Its name holds the process id, so that a later run can remove what a killed one
// left.
func (s *servers) folder(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return "", errors.New(`enginetest is not set up: add "func TestMain(m *testing.M) { enginetest.Main(m) }" to the package's tests`)
	}
	if s.dir == "" {
		s.dir = filepath.Join(os.TempDir(), folderPrefix+strconv.Itoa(os.Getpid()))
	}
	dir := filepath.Join(s.dir, name)
	// Other users may pass through: root's Postgres runs as one of them.
	if err := os.MkdirAll(dir, passable); err != nil {
		return "", fmt.Errorf("making a folder for the test's engines: %w", err)
	}
	return dir, nil
}

// passable lets other users pass through a folder without reading it.
const passable = 0o711

const folderPrefix = "muster-enginetest-"

// removeAbandoned removes the folders of test binaries that did not come to their end. It is housekeeping: what cannot be removed stays.
func removeAbandoned() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), folderPrefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// need ends the test unless err is nil: skipped if an engine is missing and not required, failed otherwise.
func need(t testing.TB, err error, require string) {
	t.Helper()
	if err == nil {
		return
	}
	var missing *engine.NotFetchedError
	if errors.As(err, &missing) && os.Getenv(require) != "1" {
		t.Skipf("%v (%s=1 makes this a failure)", err, require)
	}
	t.Fatal(err)
}

const (
	requireEngines = "MUSTER_REQUIRE_ENGINES"
	requireKafka   = "MUSTER_REQUIRE_KAFKA"
)
