package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/muster-sync/muster/query/api"
)

// metricsSettings say where a process shows its metrics and whether it is ready, apart from
// the API.
type metricsSettings struct {
	MetricsListen string `help:"Address of /metrics, /livez and /readyz; if it is set the API shows no metrics." env:"MUSTER_METRICS_LISTEN" placeholder:"HOST:PORT"`
}

// gatherer is what the API shows at /metrics: nothing when there is a listener for it, so
// that who can reach the API does not see how Muster fares.
func (m metricsSettings) gatherer(s *stores) prometheus.Gatherer {
	if m.MetricsListen != "" {
		return nil
	}
	return s.metrics
}

// serveMetrics shows the metrics of a process, and whether it lives and is ready, until ctx
// ends.
func (m metricsSettings) serveMetrics(ctx context.Context, logger *slog.Logger, s *stores) error {
	if m.MetricsListen == "" {
		return idle(ctx)
	}
	return listenAndServe(ctx, &http.Server{Addr: m.MetricsListen, Handler: watching(s.metrics, s.checks(logger)), ReadHeaderTimeout: 10 * time.Second}, nil)
}

// watching answers what those ask who watch a process.
func watching(metrics prometheus.Gatherer, checks []api.Check) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /readyz", api.Readyz(checks))
	return mux
}
