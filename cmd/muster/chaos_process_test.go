//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine"
)

const (
	// restartPause is how long a supervisor waits before it starts a process again.
	restartPause = 300 * time.Millisecond
	// poll is the pause between two looks at a condition.
	poll = 50 * time.Millisecond
	// stopWithin is how long a process may take to stop in order.
	stopWithin = 45 * time.Second
	// tailBytes is how much of a process's output is shown when a test fails.
	tailBytes = 6 << 10
)

// requireEngines skips a test, or fails it where engines are required, if the
// embedded engines were not fetched.
func requireEngines(t testing.TB) {
	t.Helper()
	_, err := engine.Locate()
	if missing := (*engine.NotFetchedError)(nil); errors.As(err, &missing) && os.Getenv("MUSTER_REQUIRE_ENGINES") != "1" {
		t.Skipf("%v (MUSTER_REQUIRE_ENGINES=1 makes this a failure)", err)
	}
	require.NoError(t, err)
}

// testBinary is the program under test: the one that MUSTER_TEST_BINARY names, or
// one that is built now.
func testBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MUSTER_TEST_BINARY"); path != "" {
		require.FileExists(t, path, "MUSTER_TEST_BINARY names a program that is not there: run make build")
		return path
	}
	path := filepath.Join(t.TempDir(), "muster")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "building the program: %s", output)
	return path
}

// passableTempDir is a folder of the test's own that other users may pass
// through: root's Postgres runs as one of them.
func passableTempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	const passable = 0o711
	for _, path := range []string{filepath.Dir(dir), dir} {
		require.NoError(t, os.Chmod(path, passable))
	}
	return dir
}

// service is a process that is started again whenever it ends, as an init system
// would do it, until it is stopped. Its methods may be called concurrently.
type service struct {
	name   string
	binary string
	args   []string
	env    []string
	path   string // of the file that holds its output

	stopping chan struct{}
	done     chan struct{}
	stopOnce sync.Once

	mu      sync.Mutex
	asked   syscall.Signal // asks it to stop
	cmd     *exec.Cmd      // nil while it does not run
	starts  int
	lastErr error // how it ended last
}

// startService starts a process and keeps it running until the test ends.
func startService(t testing.TB, binary, logs, name string, env []string, args ...string) *service {
	t.Helper()
	s := &service{
		name: name, binary: binary, args: args, env: env, path: filepath.Join(logs, name+".log"),
		stopping: make(chan struct{}), done: make(chan struct{}), asked: syscall.SIGTERM,
	}
	output, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	go s.keep(output)
	t.Cleanup(func() {
		if err := s.stop(); err != nil && !t.Failed() {
			t.Errorf("%s did not stop in order: %v", name, err)
		}
		if t.Failed() {
			t.Logf("---- %s, %d starts\n%s", name, s.started(), s.tail())
		}
	})
	return s
}

// keep runs the process again and again. It stays on one thread, because the
// kernel ends the process when the thread that started it ends: nothing is left
// running if the test itself is killed.
func (s *service) keep(output *os.File) {
	runtime.LockOSThread()
	defer close(s.done)
	defer func() { _ = output.Close() }()
	for {
		fmt.Fprintf(output, "---- start %d\n", s.started()+1)
		err := s.runOnce(output)
		fmt.Fprintf(output, "---- ended: %v\n", err)
		pause := time.NewTimer(restartPause)
		select {
		case <-s.stopping:
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func (s *service) runOnce(output *os.File) error {
	cmd := exec.Command(s.binary, s.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.mu.Lock()
	select {
	case <-s.stopping:
		s.mu.Unlock()
		return nil
	default:
	}
	err := cmd.Start()
	if err == nil {
		s.cmd = cmd
		s.starts++
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	err = cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.lastErr = nil, err
	return err
}

// signal sends the running process a signal; false if it does not run now.
func (s *service) signal(signal os.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Process knows whether it was waited for, so no other process can be hit.
	return s.cmd != nil && s.cmd.Process.Signal(signal) == nil
}

// started counts the starts.
func (s *service) started() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

func (s *service) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
}

// stop asks the process to end, waits for it, and tells how it ended. One that
// does not go is killed with its whole group.
func (s *service) stop() error {
	s.stopOnce.Do(func() {
		s.mu.Lock()
		close(s.stopping)
		asked := s.asked
		s.mu.Unlock()
		s.signal(asked)
		late := time.NewTimer(stopWithin)
		defer late.Stop()
		select {
		case <-s.done:
			return
		case <-late.C:
		}
		s.killGroup()
		<-s.done
		s.mu.Lock()
		s.lastErr = fmt.Errorf("still there %s after it was asked to stop, killed", stopWithin)
		s.mu.Unlock()
	})
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// endWith chooses the signal that asks the process to stop.
func (s *service) endWith(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = signal
}

func (s *service) killGroup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil && s.cmd.Process.Pid > 1 {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// tail is the end of what the process has written.
func (s *service) tail() string {
	content, err := os.ReadFile(s.path)
	if err != nil {
		return err.Error()
	}
	if len(content) > tailBytes {
		content = content[len(content)-tailBytes:]
	}
	return string(content)
}

// runProgram runs the program once and returns what it printed.
func runProgram(ctx context.Context, binary string, env []string, args ...string) (stdout, stderr string, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, problems bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return out.String(), problems.String(), ended.ExitCode(), nil
	}
	return out.String(), problems.String(), 0, err
}

// processesOf lists the processes that work on a data folder: those that name it
// in their arguments or environment, or that run inside it.
func processesOf(dir string) map[int]string {
	found := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		base := "/proc/" + entry.Name()
		arguments, _ := os.ReadFile(filepath.Join(base, "cmdline"))
		environment, _ := os.ReadFile(filepath.Join(base, "environ"))
		folder, _ := os.Readlink(filepath.Join(base, "cwd"))
		if len(arguments) == 0 { // a zombie holds nothing any more
			continue
		}
		if bytes.Contains(arguments, []byte(dir)) || bytes.Contains(environment, []byte("MUSTER_DATA_DIR="+dir+"\x00")) || strings.HasPrefix(folder, dir) {
			found[pid] = strings.TrimSpace(string(bytes.ReplaceAll(arguments, []byte{0}, []byte{' '})))
		}
	}
	return found
}
