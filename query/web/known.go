package web

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How long it is remembered who somebody is. It decides on what is offered to him alone:
// what he asks for is judged by the API each time.
const (
	knownFor = 10 * time.Second
	maxKnown = 4096
)

// me is who looks at a page, as /v1/me tells.
type me struct {
	row
}

// May tells whether somebody may do an action, such as "reports.read", or holds a permission,
// such as "finder_access".
func (m me) May(action string) bool {
	return slices.Contains(m.Texts("actions"), action) || slices.Contains(m.Texts("permissions"), action)
}

// Name is what a page calls him.
func (m me) Name() string {
	for _, path := range []string{"main_name", "user_id", "id"} {
		if name := m.Text(path); name != "" {
			return name
		}
	}
	return ""
}

// known remembers for some seconds who has which session. It is safe for concurrent use.
type known struct {
	now func() time.Time

	mu sync.Mutex
	by map[[sha256.Size]byte]knownAt
}

type knownAt struct {
	me    me
	until time.Time
}

func newKnown(now func() time.Time) *known {
	return &known{now: now, by: map[[sha256.Size]byte]knownAt{}}
}

// keyOf is what a session or a token is remembered by: never the thing itself.
func keyOf(r *http.Request) [sha256.Size]byte {
	return sha256.Sum256([]byte(r.Header.Get("Cookie") + "\n" + r.Header.Get("Authorization")))
}

func (k *known) get(r *http.Request) (me, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.by[keyOf(r)]
	if !ok || k.now().After(at.until) {
		return me{}, false
	}
	return at.me, true
}

func (k *known) put(r *http.Request, m me) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if len(k.by) >= maxKnown {
		for key, at := range k.by {
			if now.After(at.until) {
				delete(k.by, key)
			}
		}
		if len(k.by) >= maxKnown {
			clear(k.by)
		}
	}
	k.by[keyOf(r)] = knownAt{me: m, until: now.Add(knownFor)}
}

func (k *known) forget(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.by, keyOf(r))
}
