package esi

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// gather is how long a call waits for others like it before they are done in one
	// round trip. A request to ESI takes many times as long.
	gather = 2 * time.Millisecond
	// gatherMost bounds how many are done in one, gatherAtOnce how many round trips are
	// under way at once.
	gatherMost, gatherAtOnce = 64, 4
	// gatherWithin bounds a round trip, whoever still waits for it.
	gatherWithin = 30 * time.Second
)

// together has calls that come about the same time done in one go: many syncs begin at
// once, and each round trip costs both sides more than what is asked in it. It is safe
// for concurrent use.
type together[Q, R any] struct {
	// run does all that is asked. It sets the result or the error of each, and returns
	// an error that holds for all of them.
	run func(ctx context.Context, asked []*call[Q, R]) error

	mu      sync.Mutex
	waiting []*call[Q, R]
	// gathering tells that one of those waiting has the lead and waits for others.
	gathering bool
	running   int
}

type call[Q, R any] struct {
	ask    Q
	result R
	err    error
	// turn says whether the call is to take the lead; else it is done.
	turn chan bool
}

// do asks, and waits for what it comes to.
func (t *together[Q, R]) do(ctx context.Context, ask Q) (R, error) {
	own := &call[Q, R]{ask: ask, turn: make(chan bool, 1)}
	if !t.join(own) {
		select {
		case lead := <-own.turn:
			if !lead {
				return own.result, own.err
			}
		case <-ctx.Done():
			t.leave(own)
			var none R
			return none, context.Cause(ctx) //nolint:wrapcheck // The caller says what was asked.
		}
	}
	t.lead(ctx)
	return own.result, own.err
}

// join waits in line; true if this call has the lead.
func (t *together[Q, R]) join(own *call[Q, R]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, own)
	if t.gathering || t.running >= gatherAtOnce {
		return false
	}
	t.gathering = true
	return true
}

// leave gives up a place in line, and the lead with it.
func (t *together[Q, R]) leave(own *call[Q, R]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, own)
	if i < 0 {
		return // It is being done.
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	select {
	case <-own.turn:
		t.gathering = false
		t.appoint()
	default:
	}
}

// appoint gives the lead to the first in line.
func (t *together[Q, R]) appoint() {
	if len(t.waiting) > 0 && !t.gathering && t.running < gatherAtOnce {
		t.gathering = true
		t.waiting[0].turn <- true
	}
}

// lead waits for others and does what all have asked, this call's own first. That the
// caller gives up does not concern the others.
func (t *together[Q, R]) lead(ctx context.Context) {
	time.Sleep(gather) //nolint:forbidigo // two milliseconds, which are the point; who gives up meanwhile has still asked
	t.mu.Lock()
	asked := slices.Clone(t.waiting[:min(len(t.waiting), gatherMost)])
	t.waiting = slices.Delete(t.waiting, 0, len(asked))
	t.gathering = false
	t.running++
	t.appoint()
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherWithin)
	defer cancel()
	if err := t.run(ctx, asked); err != nil {
		for _, c := range asked {
			c.err = err
		}
	}
	t.mu.Lock()
	t.running--
	t.appoint()
	t.mu.Unlock()
	for _, c := range asked {
		c.turn <- false
	}
}
