package transport

import (
	"net/http"
	"sync"
	"time"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// rollsAt is when ESI's day begins, after midnight UTC.
const rollsAt = 11 * time.Hour

// compatibilityDate is the date that is sent: the catalogue's, or ESI's present
// day if that is earlier, since ESI refuses a date in the future. Its day begins at
// 11:00 UTC.
func compatibilityDate(now time.Time) string {
	return min(catalogue.CompatibilityDate, now.UTC().Add(-rollsAt).Format(time.DateOnly))
}

// echoes remembers which routes answered by another date than was asked for. It is
// safe for concurrent use.
type echoes struct {
	mu   sync.Mutex
	seen map[[2]string]bool
}

// maxEchoes bounds what is remembered: a few dates for each route.
const maxEchoes = 1000

// foreign tells whether an answer is the first of its route that says it was made
// for another date than was asked for. One that does not say is of no concern.
func (e *echoes) foreign(route catalogue.Route, asked string, h http.Header) (string, bool) {
	said := h.Get("X-Compatibility-Date")
	if said == "" || said == asked {
		return "", false
	}
	key := [2]string{route.Operation, said}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen == nil {
		e.seen = map[[2]string]bool{}
	}
	if e.seen[key] || len(e.seen) >= maxEchoes {
		return said, false
	}
	e.seen[key] = true
	return said, true
}
