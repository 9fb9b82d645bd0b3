package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// projectCommand runs the projectors alone.
type projectCommand struct {
	MetricsListen string `help:"Address of the metrics; empty shows none." env:"MUSTER_METRICS_LISTEN" placeholder:"HOST:PORT"`
}

// Run implements the subcommand.
func (c *projectCommand) Run(ctx context.Context, env *environment) error {
	limitMemory(projectorMemory)
	return env.withStores(ctx, func(s *stores) error {
		return runAll(ctx,
			func(ctx context.Context) error { return env.project(ctx, s) },
			func(ctx context.Context) error { return env.serveMetrics(ctx, s, c.MetricsListen) })
	})
}

// project folds the log into all read models until ctx ends.
func (e *environment) project(ctx context.Context, s *stores) error {
	return s.folder.Run(ctx, s.projections()...)
}

// serveMetrics shows the metrics of a process that has no API.
func (e *environment) serveMetrics(ctx context.Context, s *stores, listen string) error {
	if listen == "" {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return listenAndServe(ctx, &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}, nil)
}
