package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// metricsSettings say where a process is looked into by those who run it, apart from the API.
type metricsSettings struct {
	MetricsListen string `help:"Address of /metrics, /livez and /readyz; if it is set the API shows no metrics." env:"MUSTER_METRICS_LISTEN" placeholder:"HOST:PORT"`
	Profiles      bool   `help:"Show profiles of the running process beside the metrics, to the machine itself alone." env:"MUSTER_PROFILES"`
}

// gatherer is what the API shows at /metrics: nothing when there is a listener for it, so
// that who can reach the API does not see how Muster fares.
func (m metricsSettings) gatherer(s *stores) prometheus.Gatherer {
	if m.MetricsListen != "" {
		return nil
	}
	return s.metrics
}

// serveMetrics shows the metrics of a process, whether it lives and is ready, and its profiles
// if they are asked for, until ctx ends.
func (m metricsSettings) serveMetrics(ctx context.Context, logger *slog.Logger, s *stores) error {
	if m.MetricsListen == "" {
		if m.Profiles {
			return event.Errorf(event.CodeInvalid, "MUSTER_PROFILES shows profiles beside the metrics, which are shown nowhere: set MUSTER_METRICS_LISTEN, such as to 127.0.0.1:9090, or leave the profiles out")
		}
		return idle(ctx)
	}
	return listenAndServe(ctx, &http.Server{Addr: m.MetricsListen, Handler: watching(s.metrics, s.checks(logger), m.Profiles), ReadHeaderTimeout: 10 * time.Second}, nil)
}

// watching answers what those ask who watch a process.
func watching(metrics prometheus.Gatherer, checks []api.Check, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /readyz", api.Readyz(checks))
	if profiles {
		showProfiles(mux)
	}
	return mux
}
