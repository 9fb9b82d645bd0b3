package main

import (
	"net"
	"net/http"
	"net/http/pprof"
)

// showProfiles adds Go's profiles, without that of the command line, which may hold secrets.
func showProfiles(mux *http.ServeMux) {
	mux.Handle("GET /debug/pprof/", near(pprof.Index))
	mux.Handle("GET /debug/pprof/cmdline", near(http.NotFound))
	mux.Handle("GET /debug/pprof/profile", near(pprof.Profile))
	mux.Handle("GET /debug/pprof/symbol", near(pprof.Symbol))
	mux.Handle("GET /debug/pprof/trace", near(pprof.Trace))
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
