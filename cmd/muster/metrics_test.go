package main

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/engine/supervise"
	"github.com/muster-sync/muster/internal/eventlog"
)

// parsed is what `muster up` is told on a command line, the engines of a test among it.
func parsed(t *testing.T, args ...string) *commandLine {
	t.Helper()
	var cli commandLine
	parser, err := kong.New(&cli, kong.Vars{"version": version, "data_dir": t.TempDir()}, kong.Name("muster"))
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"up"}, args...))
	require.NoError(t, err)
	return &cli
}

// wired makes all parts of all processes, as `muster up` does, on engines of the test's
// own. None of them runs.
func wired(t *testing.T, args ...string) *roles {
	t.Helper()
	requireEngines(t)
	eventlog.LogSarama(slog.New(slog.DiscardHandler))
	cli := parsed(t, append([]string{
		"--kafka-brokers", strings.Join(enginetest.Kafka(t), ","), "--postgres-dsn", enginetest.PostgresDSN(t), "--clickhouse-dsn", enginetest.ClickHouse(t),
		"--sso-client-id", "test", "--contact", "test@example.org", "--anvil-credentials", "none", "--sam-url", "http://127.0.0.1:1", "--rawls-url", "http://127.0.0.1:1",
	}, args...)...)
	env := &environment{
		program: program{stdout: io.Discard, stderr: io.Discard}, logger: slog.New(slog.DiscardHandler), settings: &cli.settings,
		steps: &steps{seen: map[string]int{}}, engines: prometheus.NewRegistry(),
	}
	supervise.NewMetrics(env.engines)
	s, err := env.openStores(t.Context(), cli.external())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	r, err := env.newRoles(t.Context(), s, cli.Up.worlds)
	require.NoError(t, err)
	return r
}

// metricsOf are the names of all metrics that are registered, also of those that have no
// value yet, but for those of Go and of the operating system.
func metricsOf(r *prometheus.Registry) map[string]bool {
	described := make(chan *prometheus.Desc)
	go func() {
		r.Describe(described)
		close(described)
	}()
	names := map[string]bool{}
	for d := range described {
		if name := regexp.MustCompile(`fqName: "(muster_[^"]*)"`).FindStringSubmatch(d.String()); name != nil {
			names[name[1]] = true
		}
	}
	return names
}

// told are the metrics that the page has a row for, each with how many.
func told(t *testing.T) map[string]int {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	rows, within := map[string]int{}, false
	for line := range strings.Lines(string(page)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			within = false
		case strings.TrimSpace(first) == "metric":
			within = true
		case within:
			for _, name := range regexp.MustCompile("`(muster_[a-z_]+)`").FindAllStringSubmatch(first, -1) {
				rows[name[1]]++
			}
		}
	}
	return rows
}

func TestThePageAboutOperationsHasARowForEachMetric(t *testing.T) {
	r := wired(t)
	looks, err := r.newViewlog()
	require.NoError(t, err)
	_, err = r.newAPI(looks, newRebuilds(r), r.metrics)
	require.NoError(t, err)
	_, err = r.characterSync(t.Context())
	require.NoError(t, err)
	_, err = r.retention()
	require.NoError(t, err)
	react, err := r.reactors()
	require.NoError(t, err)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, react(stopped))
	require.NoError(t, r.forward(stopped))

	rows, registered := told(t), metricsOf(r.metrics)
	require.Greater(t, len(registered), 50)
	require.Equal(t, slices.Sorted(maps.Keys(registered)), slices.Sorted(maps.Keys(rows)))
	for name, times := range rows {
		require.Equal(t, 1, times, name)
	}
}

func TestEachSettingIsOnThePageAboutOperations(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	told := regexp.MustCompile("`(MUSTER_[A-Z_]+)`").FindAllString(string(page), -1)
	variables, _ := binary(t)
	require.NotEmpty(t, variables)
	for _, name := range variables {
		require.Contains(t, told, "`"+name+"`")
	}
}

func TestProfilesAreShownToTheMachineItselfAndOnlyIfTheyAreAskedFor(t *testing.T) {
	s := &stores{metrics: newMetrics()}
	f := func(profiles bool, path, from, host string, status int) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+path, http.NoBody)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		watching(s.metrics, nil, profiles).ServeHTTP(w, r)
		require.Equal(t, status, w.Code, "%s from %s", path, from)
	}
	const near, far = "127.0.0.1:5000", "192.0.2.1:5000"
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/symbol", "/debug/pprof/trace?seconds=0.01"} {
		f(false, path, near, "127.0.0.1:9090", http.StatusNotFound)
		f(true, path, near, "127.0.0.1:9090", http.StatusOK)
		f(true, path, "[::1]:5000", "localhost", http.StatusOK)
		f(true, path, far, "127.0.0.1:9090", http.StatusForbidden)
		f(true, path, near, "rebound.example.org", http.StatusForbidden)
	}
	f(true, "/debug/pprof/cmdline", near, "localhost", http.StatusNotFound)
	f(true, "/metrics", far, "192.0.2.2:9090", http.StatusOK)
	f(true, "/livez", far, "192.0.2.2:9090", http.StatusOK)
}

func TestProfilesNeedAnAddress(t *testing.T) {
	logger, s := slog.New(slog.DiscardHandler), &stores{metrics: newMetrics()}
	require.ErrorContains(t, metricsSettings{Profiles: true}.serveMetrics(t.Context(), logger, s), "MUSTER_METRICS_LISTEN")
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, metricsSettings{}.serveMetrics(stopped, logger, s))
}
