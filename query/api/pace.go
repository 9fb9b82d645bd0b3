package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// Defaults of how fast somebody may ask.
const (
	DefaultRate  = 50
	DefaultBurst = 200
)

// limiters bounds how often something may happen, by whom it happens to. It is safe for
// concurrent use.
type limiters struct {
	mu      sync.Mutex
	now     func() time.Time
	limit   rate.Limit
	burst   int
	by      map[string]*rate.Limiter
	cleaned time.Time
}

// limitersKept bounds how many are remembered.
const limitersKept = 10_000

func newLimiters(now func() time.Time, limit rate.Limit, burst int) *limiters {
	return &limiters{now: now, limit: limit, burst: burst, by: map[string]*rate.Limiter{}, cleaned: now()}
}

// take counts once for somebody. It returns zero if he may, else how long he has to
// wait.
func (l *limiters) take(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.clean(now)
	limiter := l.by[key]
	if limiter == nil {
		limiter = rate.NewLimiter(l.limit, l.burst)
		l.by[key] = limiter
	}
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) / float64(l.limit) * float64(time.Second))
}

// clean forgets those who have kept quiet for long enough to have their burst again.
func (l *limiters) clean(now time.Time) {
	full := time.Duration(float64(l.burst) / float64(l.limit) * float64(time.Second))
	if len(l.by) < limitersKept && now.Sub(l.cleaned) <= full+time.Second {
		return
	}
	for key, limiter := range l.by {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.by, key)
		}
	}
	l.cleaned = now
	if len(l.by) >= limitersKept {
		l.by = map[string]*rate.Limiter{}
	}
}

// paceKey is whom the pace of a principal is counted for: all tokens of a user are the
// user's. It is empty for the administrator, who is never kept waiting.
func paceKey(p access.Principal) string {
	switch {
	case p.UserID != "":
		return access.UserPrincipal(p.UserID).ID
	case p.TokenID == "" && p.Superuser:
		return ""
	default:
		return p.ID
	}
}

// paced tells whether somebody may ask now, and answers him if not.
func (s *Server) paced(w http.ResponseWriter, p access.Principal) bool {
	key := paceKey(p)
	if key == "" || s.pace == nil {
		return true
	}
	wait := s.pace.take(key)
	if wait == 0 {
		return true
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	writeProblem(w, problem(http.StatusTooManyRequests, event.CodeUnavailable,
		fmt.Sprintf("too many requests: %g a second are possible, %d at once; wait as long as Retry-After says", s.config.Rate, s.config.Burst)))
	return false
}
