package sso

import (
	"sync"
	"time"
)

const (
	// recentFor is how long a token is given out again without a look at the
	// database: the sections of a character are often read one after the other. A
	// login that is parked, replaced or removed by another program may be used for as
	// long.
	recentFor = 10 * time.Second
	// recentMost bounds how many are remembered.
	recentMost = 2048
)

// recent remembers access tokens that were given out lately. It is safe for
// concurrent use.
type recent struct {
	mu     sync.Mutex
	tokens map[int64]recentAccess
}

type recentAccess struct {
	access Access
	until  time.Time
}

func newRecent() *recent { return &recent{tokens: map[int64]recentAccess{}} }

func (r *recent) get(character int64, now time.Time) (Access, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.tokens[character]
	return known.access, ok && now.Before(known.until)
}

// put remembers a token that is good for longer than it is remembered.
func (r *recent) put(character int64, access Access, now time.Time) {
	until := now.Add(recentFor)
	if !access.ExpiresAt.After(until.Add(renewBefore)) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tokens) >= recentMost {
		clear(r.tokens)
	}
	r.tokens[character] = recentAccess{access: access, until: until}
}

func (r *recent) drop(character int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tokens, character)
}
