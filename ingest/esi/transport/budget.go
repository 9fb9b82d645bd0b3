package transport

import (
	"sync"
	"time"
)

const (
	// errorsPerMinute is how many errors ESI allows on all routes without a
	// bucket together.
	errorsPerMinute = 100
	// pauseAt and resumeAt are the errors left at which those routes are paused
	// and taken up again. All programs behind one address share the count, so a
	// good part is left to the others.
	pauseAt, resumeAt = 20, 60
	errorWindow       = time.Minute
)

// budget is the error limit that all routes without a bucket share. When it is
// used up ESI answers 420 on every route, those with a bucket too.
//
// It is safe for concurrent use.
type budget struct {
	now func() time.Time

	mu        sync.Mutex
	left      int
	resetAt   time.Time
	paused    bool
	stopUntil time.Time
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, left: errorsPerMinute}
}

// allow tells until when a request must wait; the zero time if it need not.
func (b *budget) allow(bucketed bool) time.Time {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	switch {
	case b.stopUntil.After(now):
		return b.stopUntil
	case b.paused && !bucketed:
		return b.resetAt
	default:
		return time.Time{}
	}
}

// roll begins a new window when the old one is over.
func (b *budget) roll(now time.Time) {
	if !now.Before(b.resetAt) {
		b.left, b.paused, b.resetAt = errorsPerMinute, false, now.Add(errorWindow)
	}
}

// report takes over the server's count.
func (b *budget) report(left int, reset time.Duration) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.resetAt = left, now.Add(reset)
	b.settle()
}

// count counts an error whose answer did not say how many are left.
func (b *budget) count() {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	b.left--
	b.settle()
}

func (b *budget) settle() {
	switch {
	case b.left <= pauseAt:
		b.paused = true
	case b.left >= resumeAt:
		b.paused = false
	}
}

// stop halts every route.
func (b *budget) stop(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.stopUntil) {
		b.stopUntil = until
	}
}
