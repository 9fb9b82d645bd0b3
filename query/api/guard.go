package api

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"golang.org/x/time/rate"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

type principalKey struct{}

// knownByKey is the key of what ends the memory of who asks.
type knownByKey struct{}

// principalOf is who calls; nobody outside of guarded paths.
func principalOf(ctx context.Context) access.Principal {
	p, _ := ctx.Value(principalKey{}).(access.Principal)
	return p
}

// authenticate finds out who calls. Nothing below /v1 is reached by nobody,
// whether there is a resource or not.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !guarded(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		// Who asks is read once: to know him and, by [Server.admit], what he may do.
		ctx, over := postgres.RememberViewer(r.Context())
		r = r.WithContext(context.WithValue(ctx, knownByKey{}, over))
		principal, err := s.principal(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if seen := requestOf(r.Context()); seen != nil {
			seen.principal = principal.ID
		}
		if !s.paced(w, principal) {
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal)))
	})
}

// refuse answers somebody whose token is no good. Those who try too often are
// told to wait; a good token is never kept waiting, so nobody can lock others
// out.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if event.CodeOf(err) != event.CodeUnauthenticated {
		answerError(w, s.explain(r.Context(), err))
		return
	}
	s.metrics.refused.Inc()
	// Besides who guesses, the token counts that is tried again and again from
	// everywhere.
	if !s.failures.allow(r.RemoteAddr) || !s.failures.allow(tokenKey(r)) {
		w.Header().Set("Retry-After", "60")
		writeProblem(w, problem(http.StatusTooManyRequests, event.CodeUnauthenticated, "too many attempts without a valid token: wait a minute"))
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="muster"`)
	writeProblem(w, problem(http.StatusUnauthorized, event.CodeUnauthenticated, err.Error()))
}

// authorize lets those through who may do the operation's action. An operation
// without an action is nobody's.
func (s *Server) authorize(ctx huma.Context, next func(huma.Context)) {
	action, ok := ctx.Operation().Metadata[guard].(access.Action)
	err := error(event.Errorf(event.CodeForbidden, "nobody may do this: it is not said who may"))
	admitted := ctx.Context()
	if ok {
		admitted, err = s.admit(admitted, action)
	}
	if err == nil {
		next(ofCharacter(huma.WithContext(ctx, admitted)))
		return
	}
	_, w := humachi.Unwrap(ctx)
	answerError(w, s.explain(ctx.Context(), err))
}

// How often an address may fail to sign in: a burst at first, then one every
// few seconds.
const (
	failuresBurst = 10
	failuresEvery = 6 * time.Second
	// failuresKept bounds how many addresses are remembered.
	failuresKept = 10_000
)

// failures counts failed attempts by address. It is safe for concurrent use.
type failures struct {
	mu      sync.Mutex
	now     func() time.Time
	by      map[string]*rate.Limiter
	cleaned time.Time
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, by: map[string]*rate.Limiter{}, cleaned: now()}
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// allow counts a failure of an address, or of another key, and tells whether it is not
// one too many. An empty key has none.
func (f *failures) allow(address string) bool {
	if address == "" {
		return true
	}
	host := hostOf(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if len(f.by) >= failuresKept || now.Sub(f.cleaned) > failuresBurst*failuresEvery {
		// Those who have kept quiet for long enough have their burst again anyway.
		for key, l := range f.by {
			if l.TokensAt(now) >= failuresBurst {
				delete(f.by, key)
			}
		}
		f.cleaned = now
		if len(f.by) >= failuresKept {
			f.by = map[string]*rate.Limiter{}
		}
	}
	limiter := f.by[host]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(failuresEvery), failuresBurst)
		f.by[host] = limiter
	}
	return limiter.AllowN(now, 1)
}
