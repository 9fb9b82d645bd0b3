package main

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/muster-sync/muster/domain/event"
)

// metricsSettings say where a process is looked into by those who run it.
type metricsSettings struct {
	MetricsListen string `help:"Address of the metrics; empty shows none." env:"MUSTER_METRICS_LISTEN" placeholder:"HOST:PORT"`
	Profiles      bool   `help:"Show profiles of the running process beside the metrics, to the machine itself alone." env:"MUSTER_PROFILES"`
}

// serveMetrics shows the metrics of a process that has no API, and its profiles if
// they are asked for.
func (e *environment) serveMetrics(ctx context.Context, s *stores, c metricsSettings) error {
	if c.MetricsListen == "" {
		if c.Profiles {
			return event.Errorf(event.CodeInvalid, "MUSTER_PROFILES shows profiles beside the metrics, which are shown nowhere: set MUSTER_METRICS_LISTEN, such as to 127.0.0.1:9090, or leave the profiles out")
		}
		return idle(ctx)
	}
	return listenAndServe(ctx, &http.Server{Addr: c.MetricsListen, Handler: observed(s, c.Profiles), ReadHeaderTimeout: 10 * time.Second}, nil)
}

// serveProfiles shows the profiles of a process that has an API: there, where anybody
// may come, they are not.
func (e *environment) serveProfiles(ctx context.Context, s *stores, c metricsSettings) error {
	if !c.Profiles {
		return idle(ctx)
	}
	return e.serveMetrics(ctx, s, c)
}

func observed(s *stores, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	if profiles {
		// Without that of the command line, which may hold secrets.
		mux.Handle("GET /debug/pprof/", near(pprof.Index))
		mux.Handle("GET /debug/pprof/cmdline", near(http.NotFound))
		mux.Handle("GET /debug/pprof/profile", near(pprof.Profile))
		mux.Handle("GET /debug/pprof/symbol", near(pprof.Symbol))
		mux.Handle("GET /debug/pprof/trace", near(pprof.Trace))
	}
	return mux
}

// near answers who asks from the machine itself, by its loopback address and name:
// metrics may be scraped from elsewhere, while a profile takes the process' time and
// tells how it is made. A page in a browser comes with a name of its own.
func near(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "profiles are shown to the machine itself alone: ask 127.0.0.1 there, or through a tunnel", http.StatusForbidden)
			return
		}
		next(w, r)
	})
}

// loopback tells whether an address, with a port or without, is one of the machine's own.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
