package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/query/api"
)

// asking runs `muster ready`.
func asking(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = p.run(t.Context(), append([]string{"ready"}, args...))
	return out.String(), errs.String(), exit
}

func TestAProcessIsAskedWhetherItIsReady(t *testing.T) {
	var away atomic.Bool
	server := httptest.NewServer(watching(prometheus.NewRegistry(), []api.Check{
		{Name: "kafka", Ready: func(context.Context) error {
			if away.Load() {
				return errors.New("no broker answers")
			}
			return nil
		}},
		{Name: "postgres", Ready: func(context.Context) error { return nil }},
	}, false))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")

	for _, args := range [][]string{{"--url", server.URL}, {"--metrics-listen", at}, {"--listen", at}, {"--metrics-listen", at, "--listen", "127.0.0.1:1"}} {
		stdout, stderr, exit := asking(t, args...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, "ready\n", stdout)
	}
	_, port, err := net.SplitHostPort(at)
	require.NoError(t, err)
	t.Setenv("MUSTER_METRICS_LISTEN", ":"+port)
	_, stderr, exit := asking(t)
	require.Equal(t, exitOK, exit, "every address of the machine is asked at loopback: %s", stderr)

	away.Store(true)
	_, stderr, exit = asking(t)
	require.Equal(t, exitFindings, exit)
	require.Contains(t, stderr, "is not ready: kafka: no broker answers\n")
	require.NotContains(t, stderr, "postgres")
}

func TestWhoIsNotThereIsNotReady(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, stderr, exit := asking(t, "--listen", at, "--wait", "120ms")
	require.Equal(t, exitFindings, exit)
	require.Contains(t, stderr, "nobody answers")

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	_, stderr, exit = asking(t, "--url", other.URL)
	require.Equal(t, exitFindings, exit)
	require.Contains(t, stderr, "it answers 404 Not Found")

	_, _, exit = asking(t, "--wait", "soon")
	require.Equal(t, exitError, exit)
}

func TestReadinessIsWaitedFor(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || asked.Add(1) < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	_, stderr, exit := asking(t, "--url", server.URL, "--wait", "1m")
	require.Equal(t, exitOK, exit, stderr)
	require.EqualValues(t, 4, asked.Load())
}

func TestThoseWhoWatchAProcessSeeItsMetricsAndThatItLives(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "muster_test_total"})
	registry.MustRegister(counter)
	handler := watching(registry, nil, false)
	for path, want := range map[string]string{"/metrics": "muster_test_total 0", "/livez": "", "/readyz": `"ready":true`} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, answer.Code, path)
		require.Contains(t, answer.Body.String(), want)
	}
}

func TestTheAPIShowsNoMetricsBesideAListenerForThem(t *testing.T) {
	s := &stores{metrics: prometheus.NewRegistry()}
	require.NotNil(t, metricsSettings{}.gatherer(s))
	require.Nil(t, metricsSettings{MetricsListen: ":9090"}.gatherer(s))
}
