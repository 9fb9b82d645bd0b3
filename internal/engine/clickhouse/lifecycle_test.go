package clickhouse_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRestartKeepsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	s := start(t, dir)
	for _, sql := range []string{
		"CREATE DATABASE kept",
		"CREATE TABLE kept.t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10",
		"CREATE TABLE d (n UInt64) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO kept.t SETTINGS insert_deduplication_token = 'a' VALUES (1), (2)",
		"INSERT INTO d SELECT number FROM numbers(10)",
	} {
		got := s.post(t, url.Values{}, sql)
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	require.NoError(t, s.stop())
	require.NotContains(t, s.stderr.String(), testPassword)

	s = start(t, dir)
	require.Equal(t, "2\t10\n", s.post(t, url.Values{}, "SELECT (SELECT count() FROM kept.t), (SELECT count() FROM d)").body)
	require.Equal(t, 200, s.post(t, url.Values{}, "INSERT INTO kept.t SETTINGS insert_deduplication_token = 'a' VALUES (1), (2)").status)
	require.Equal(t, "2\n", s.post(t, url.Values{}, "SELECT count() FROM kept.t").body, "tokens are remembered too")
	require.NoError(t, s.stop())
}

func TestKilledServerKeepsAcknowledgedInserts(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	require.Equal(t, 200, s.post(t, url.Values{}, "CREATE TABLE k (n UInt64) ENGINE = MergeTree ORDER BY n").status)
	var acknowledged atomic.Int64
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			body := fmt.Sprintf("INSERT INTO k VALUES (%d)", i)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr, strings.NewReader(body))
			if err != nil {
				return
			}
			req.SetBasicAuth(testUser, testPassword)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return
			}
			acknowledged.Store(int64(i + 1))
		}
	}()
	require.Eventually(t, func() bool { return acknowledged.Load() >= 50 }, 20*time.Second, time.Millisecond)
	s.kill()
	<-stopped

	s = start(t, dir)
	n := acknowledged.Load()
	require.Equal(t, fmt.Sprintln(n), s.post(t, url.Values{}, fmt.Sprintf("SELECT uniqExact(n) FROM k WHERE n < %d", n)).body)
	require.NoError(t, s.stop())
}

func TestFolderInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	_, err := launch(t, dir)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, fmt.Sprintf("in use by process %d", s.cmd.Process.Pid))
	require.NoError(t, s.stop())
	require.NoError(t, start(t, dir).stop(), "and is free again after a stop")
}

func TestAddressInUseIsRefused(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, err = launch(t, t.TempDir(), "-listen", l.Addr().String())
	require.ErrorContains(t, err, "address already in use")
}

func TestMissingLibraryIsRefusedWithItsRemedy(t *testing.T) {
	_, err := launch(t, t.TempDir(), "-library", filepath.Join(t.TempDir(), "libchdb.so"))
	require.ErrorContains(t, err, "make engines")
}

func TestStopLetsStatementsFinish(t *testing.T) {
	s := start(t, t.TempDir())
	answered := make(chan response, 1)
	go func() {
		answered <- s.post(t, url.Values{}, "SELECT sleep(1.5), 'finished'") //nolint:testifylint // a failure there shows as no answer here
	}()
	require.Eventually(t, func() bool {
		return s.post(t, url.Values{}, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep%'").body == "1\n"
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, s.stop())
	got := <-answered
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "0\tfinished\n", got.body)
}

func TestStopCancelsStatementsThatTakeTooLong(t *testing.T) {
	s := start(t, t.TempDir(), "-stop-timeout", "200ms")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr, strings.NewReader("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"))
		if err != nil {
			return
		}
		req.SetBasicAuth(testUser, testPassword)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	require.Eventually(t, func() bool {
		return s.post(t, url.Values{}, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sip%'").body == "1\n"
	}, 10*time.Second, 10*time.Millisecond)
	started := time.Now()
	require.NoError(t, s.stop())
	require.Less(t, time.Since(started), 5*time.Second)
	<-ended
}

func TestSignalsOfTheEngineDoNotReplaceThoseOfGo(t *testing.T) {
	s := start(t, t.TempDir())
	require.Equal(t, "1\n", s.post(t, url.Values{}, "SELECT 1").body)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, s.wait(), "an interrupt is an ordered stop")
}

func TestMemoryIsBounded(t *testing.T) {
	s := start(t, t.TempDir(), "-max-memory", strconv.Itoa(600<<20))
	got := s.post(t, url.Values{}, "SELECT length(groupArray(number)) FROM numbers(200000000)")
	require.Equal(t, "241", got.header.Get("X-ClickHouse-Exception-Code"), got.body)
	require.Equal(t, "1\n", s.post(t, url.Values{}, "SELECT 1").body, "and the server goes on")
	require.NoError(t, s.stop())
}

func TestStatementsBeyondTheBoundWaitTheirTurn(t *testing.T) {
	s := start(t, t.TempDir(), "-max-queries", "1")
	answers := make(chan string, 4)
	for range cap(answers) {
		go func() {
			answers <- s.post(t, url.Values{}, "SELECT sleep(0.05), (SELECT count() FROM system.processes)").body //nolint:testifylint // a failure there shows as no answer here
		}()
	}
	for range cap(answers) {
		require.Equal(t, "0\t1\n", <-answers)
	}
	require.NoError(t, s.stop())
}

func TestConfigurationLyingAroundIsIgnored(t *testing.T) {
	child(t) // is built in the folder of its source
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.xml"), []byte("<clickhouse><default_database>elsewhere</default_database></clickhouse>"), 0o600))
	t.Chdir(dir)
	s := start(t, t.TempDir())
	require.Equal(t, "default\n", s.post(t, url.Values{}, "SELECT currentDatabase()").body)
	require.NoError(t, s.stop())
}
