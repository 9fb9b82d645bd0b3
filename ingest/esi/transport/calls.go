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
	// blocked are those that were told off, until when.
	blocked map[callsKey]time.Time
}

type callsKey struct {
	operation string
	// character is 0 for a limit that all share.
	character int64
}

func newCalls(now func() time.Time) *calls {
	return &calls{now: now, made: map[callsKey][]time.Time{}, blocked: map[callsKey]time.Time{}}
}

// take counts a call of a route, or tells until when it must wait. Since when a payer
// asks counts as the moment of the last calls of who asked before.
//
// What all share is halved and divided by the number of programs: nobody knows what
// one that was just killed, or counted fewer others, has asked of late.
func (c *calls) take(route catalogue.Route, character int64, p payer) time.Time {
	if route.Calls == 0 {
		return time.Time{}
	}
	key, most := callsKey{operation: route.Operation, character: character}, route.Calls
	if route.CallsShared {
		key.character, most = 0, most/2/max(1, p.programs)
	}
	now := c.now()
	if quiet := p.since.Add(route.CallsPer); !p.since.IsZero() && quiet.After(now) {
		return quiet
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.blocked[key]; until.After(now) {
		return until
	}
	made := c.made[key]
	for len(made) > 0 && now.Sub(made[0]) >= route.CallsPer {
		made = made[1:]
	}
	// Two clocks that differ and answers that overtake one another need a little
	// room.
	if len(made) >= max(1, most*9/10) {
		c.made[key] = made
		return made[0].Add(route.CallsPer)
	}
	if len(made) == 0 {
		c.forget(now)
	}
	c.made[key] = append(made, now)
	return time.Time{}
}

// throttleFor is how long a route rests for a character after the game's own
// servers said that it asks too fast, if the route has no known limit. The answer
// tells a time too, but in a unit that is not agreed upon.
const throttleFor = 10 * time.Second

// throttled is told of a 520. It gives the moment at which to go on.
func (c *calls) throttled(route catalogue.Route, character int64) time.Time {
	key := callsKey{operation: route.Operation, character: character}
	if route.CallsShared {
		key.character = 0
	}
	now := c.now()
	until := now.Add(max(route.CallsPer, throttleFor))
	if route.Calls == 0 {
		return until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.blocked) >= forgetAbove {
		for key, at := range c.blocked {
			if !at.After(now) {
				delete(c.blocked, key)
			}
		}
	}
	c.blocked[key] = until
	return until
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
