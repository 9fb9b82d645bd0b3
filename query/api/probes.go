package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// checkTimeout bounds one check of readiness.
const checkTimeout = 3 * time.Second

// Check is something that has to be there for Muster to be ready.
type Check struct {
	// Name names it, such as "postgres".
	Name string
	// Ready is nil when it is there; else the reason why not, which anybody may
	// read.
	Ready func(context.Context) error
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready bool `json:"ready"`
	// Checks are "ok" or the reason, by name.
	Checks map[string]string `json:"checks"`
}

func (s *Server) registerProbes() {
	s.router.Get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
	s.router.Method(http.MethodGet, "/readyz", Readyz(s.config.Checks))
}

// Readyz answers whether all checks pass: 200, or 503, with each check's reason as JSON. Processes
// without an API show it beside their metrics.
func Readyz(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := judge(r.Context(), checks)
		status := http.StatusOK
		if !state.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, state)
	})
}

// judge runs all checks at once.
func judge(ctx context.Context, checks []Check) readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	state := readiness{Ready: true, Checks: map[string]string{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range checks {
		wg.Go(func() {
			err := c.Ready(ctx)
			mu.Lock()
			defer mu.Unlock()
			state.Checks[c.Name] = "ok"
			if err != nil {
				state.Ready, state.Checks[c.Name] = false, err.Error()
			}
		})
	}
	wg.Wait()
	return state
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	write(w, status, mediaJSON, v)
}

// write answers outside of any operation.
func write(w http.ResponseWriter, status int, media string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer that cannot be written: " + err.Error())
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	// The client may have gone; there is nobody else to tell.
	_, _ = w.Write(append(text, '\n'))
}
