package transport

import (
	"sync"
	"time"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// calls keeps to the limits of the game's own servers, which have no headers and
// answer 520 to who asks too fast. It is safe for concurrent use.
type calls struct {
	now func() time.Time

	mu sync.Mutex
	// made has the moments of the calls that still count.
	made map[callsKey][]time.Time
}

type callsKey struct {
	operation string
	// character is 0 for a limit that all share.
	character int64
}

func newCalls(now func() time.Time) *calls {
	return &calls{now: now, made: map[callsKey][]time.Time{}}
}

// take counts a call of a route, or tells until when it must wait.
func (c *calls) take(route catalogue.Route, character int64) time.Time {
	if route.Calls == 0 {
		return time.Time{}
	}
	key := callsKey{operation: route.Operation, character: character}
	if route.CallsShared {
		key.character = 0
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.made[key]
	for len(made) > 0 && now.Sub(made[0]) >= route.CallsPer {
		made = made[1:]
	}
	// Two clocks that differ and answers that overtake one another need a little
	// room.
	if len(made) >= max(1, route.Calls*9/10) {
		c.made[key] = made
		return made[0].Add(route.CallsPer)
	}
	if len(made) == 0 {
		c.forget(now)
	}
	c.made[key] = append(made, now)
	return time.Time{}
}

// forgetAbove is how many keys are kept before old ones are looked for.
const forgetAbove = 1000

// forget drops what does not count any more.
func (c *calls) forget(now time.Time) {
	if len(c.made) < forgetAbove {
		return
	}
	for key, made := range c.made {
		if len(made) == 0 || now.Sub(made[len(made)-1]) > time.Hour {
			delete(c.made, key)
		}
	}
}
