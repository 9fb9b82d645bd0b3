package clickhouse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine"
)

// The engine runs in a child process built without cgo, as in production; the test binary itself may be built with the
// race detector.
const (
	testUser     = "muster"
	testPassword = "p'w:d@1/%"
)

var (
	// childOnce builds the child once for the test binary; shared is a server that most tests use together.
	childOnce sync.Once
	childPath string
	childErr  error

	sharedOnce sync.Once
	shared     *server
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := shared.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the shared server:", err)
			code = 1
		}
		_ = os.RemoveAll(shared.dir)
	}
	if childPath != "" {
		_ = os.RemoveAll(filepath.Dir(childPath))
	}
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code) //nolint:forbidigo // the end of TestMain
}

// library finds libchdb, or skips the test (fails it when the engines are required).
func library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MUSTER_LIBCHDB"); path != "" {
		return path
	}
	found, err := engine.Locate()
	if err == nil && found.ClickHouseLibrary != "" {
		return found.ClickHouseLibrary
	}
	reason := fmt.Sprintf("libchdb is not there: set MUSTER_LIBCHDB or fetch the engines (%v)", err)
	if os.Getenv("MUSTER_REQUIRE_ENGINES") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

func child(t testing.TB) string {
	t.Helper()
	childOnce.Do(func() {
		dir, err := os.MkdirTemp("", "clickhousechild") //nolint:usetesting // it outlives the test that builds it
		if err != nil {
			childErr = err
			return
		}
		childPath = filepath.Join(dir, "clickhousechild")
		build := exec.Command("go", "build", "-o", childPath, "./clickhousechild")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			childErr = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, childErr)
	return childPath
}

// server is a running child.
type server struct {
	dir    string
	addr   string
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	exited chan error
}

// launch starts a child on dir and waits until it is ready, or has ended.
func launch(t testing.TB, dir string, args ...string) (*server, error) {
	t.Helper()
	s := &server{dir: dir, stderr: new(bytes.Buffer), exited: make(chan error, 1)}
	s.cmd = exec.Command(child(t), append([]string{"-library", library(t), "-data", dir}, args...)...)
	s.cmd.Env = append(os.Environ(), "MUSTER_CLICKHOUSE_USER="+testUser, "MUSTER_CLICKHOUSE_PASSWORD="+testPassword)
	s.cmd.Stderr = s.stderr
	s.cmd.SysProcAttr = childAttributes()
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	ready := make(chan string, 1)
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			if addr, ok := strings.CutPrefix(scanner.Text(), "ready "); ok {
				ready <- addr
			}
		}
		close(ready)
		s.exited <- s.cmd.Wait()
	}()
	select {
	case addr, ok := <-ready:
		if !ok {
			err := <-s.exited
			return nil, fmt.Errorf("%w: %s", err, s.stderr)
		}
		s.addr = addr
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return nil, fmt.Errorf("not ready in time: %s", s.stderr)
	}
	return s, nil
}

// start is launch for a child that must come up and is stopped with the test.
func start(t testing.TB, dir string, args ...string) *server {
	t.Helper()
	s, err := launch(t, dir, args...)
	require.NoError(t, err)
	t.Cleanup(func() { s.kill() })
	return s
}

// sharedServer is the server of all tests that do not stop theirs.
func sharedServer(t testing.TB) *server {
	t.Helper()
	path := library(t)
	require.NotEmpty(t, path)
	sharedOnce.Do(func() {
		dir, err := os.MkdirTemp("", "clickhouse") //nolint:usetesting // it outlives the test that starts it
		require.NoError(t, err)
		shared, err = launch(t, dir)
		require.NoError(t, err)
	})
	if shared == nil {
		t.Fatal("the shared server did not start")
	}
	return shared
}

// stop ends the child in order.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.wait()
}

func (s *server) wait() error {
	select {
	case err := <-s.exited:
		s.exited <- err
		if err != nil {
			return fmt.Errorf("%w: %s", err, s.stderr)
		}
		return nil
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		return errors.New("the child did not end")
	}
}

// kill ends the child as a crash would. It does nothing to one that has ended.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	err := <-s.exited
	s.exited <- err
}

// database makes a database for one test and answers its name.
func database(t testing.TB, s *server) string {
	t.Helper()
	name := "t_" + strings.ToLower(strings.NewReplacer("/", "_", "-", "_", " ", "_", "#", "_").Replace(t.Name()))
	require.Equal(t, http.StatusOK, s.post(t, url.Values{}, "CREATE DATABASE "+name).status)
	t.Cleanup(func() { s.post(t, url.Values{}, "DROP DATABASE "+name+" SYNC") })
	return name
}

// open opens clickhouse-go on a database.
func open(t testing.TB, s *server, db string, change ...func(*chgo.Options)) driver.Conn {
	t.Helper()
	opts := &chgo.Options{
		Protocol:     chgo.HTTP,
		Addr:         []string{s.addr},
		Auth:         chgo.Auth{Database: db, Username: testUser, Password: testPassword},
		MaxOpenConns: 16,
	}
	for _, c := range change {
		c(opts)
	}
	conn, err := chgo.Open(opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// response is an HTTP answer read whole.
type response struct {
	status int
	header http.Header
	body   string
	// broken is the error of reading the body.
	broken error
}

// post sends a statement, or data for the statement in the query parameter.
func (s *server) post(t testing.TB, params url.Values, body string) response {
	t.Helper()
	return s.send(t, http.MethodPost, params, strings.NewReader(body), nil)
}

func (s *server) send(t testing.TB, method string, params url.Values, body io.Reader, header http.Header) response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.addr+"/?"+params.Encode(), body)
	require.NoError(t, err)
	req.SetBasicAuth(testUser, testPassword)
	maps.Copy(req.Header, header)
	return do(t, req)
}

func do(t testing.TB, req *http.Request) response {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	content, broken := io.ReadAll(res.Body)
	return response{status: res.StatusCode, header: res.Header, body: string(content), broken: broken}
}
