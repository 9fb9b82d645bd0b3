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
	// leastStop is how long everything stops after a 420, whatever its headers
	// say.
	leastStop = 5 * time.Second
)

// ErrorLimit is what is known of the errors that ESI counts for all programs behind
// one address. Spans are used for moments, so that the clocks of several machines
// need not agree.
type ErrorLimit struct {
	// Left is how many errors ESI said are left, and Reset how long until it counts
	// anew; a Reset of zero means that it said nothing.
	Left  int
	Reset time.Duration
	// Silent counts errors whose answers did not say how many are left.
	Silent int
	// Stop is for how long nothing at all is to be asked, after a 420.
	Stop time.Duration
	// Incidents counts answers of 420.
	Incidents int
}

// budget is the error limit that all routes without a bucket share. When it is
// used up ESI answers 420 on every route, those with a bucket too.
//
// It is safe for concurrent use.
type budget struct {
	now func() time.Time
	// changed has something in it when there is news for other programs.
	changed chan struct{}

	mu        sync.Mutex
	left      int
	resetAt   time.Time
	paused    bool
	stopUntil time.Time
	// inFlight counts requests on their way that may turn out errors.
	inFlight int
	// freed is closed when one of them ends; nil if nobody waits.
	freed chan struct{}
	// news is what happened since other programs were last told.
	news ErrorLimit
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, left: errorsPerMinute, changed: make(chan struct{}, 1)}
}

// begin lets a request begin, or tells until when it must wait. Each that begins is
// followed by end. If only others on their way keep it from beginning it gives a
// channel: when that is closed, ask again.
//
// Each request on its way may turn out an error before its answer tells how many
// are left. So that the limit is never used up, all programs together have no more
// of them on their way than are left when everybody pauses.
func (b *budget) begin(bucketed bool, programs int) (until time.Time, busy <-chan struct{}) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	switch {
	case b.stopUntil.After(now):
		return b.stopUntil, nil
	case bucketed:
		return time.Time{}, nil
	case b.paused:
		return b.resetAt, nil
	case b.inFlight >= max(1, pauseAt/max(1, programs)):
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		return time.Time{}, b.freed
	default:
		b.inFlight++
		return time.Time{}, nil
	}
}

// end is told when a request that was begun has been answered.
func (b *budget) end(bucketed bool) {
	if bucketed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// stopped tells until when everything waits; the past if nothing does.
func (b *budget) stopped() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopUntil
}

// roll begins a new window when the old one is over.
func (b *budget) roll(now time.Time) {
	if !now.Before(b.resetAt) {
		b.left, b.paused, b.resetAt = errorsPerMinute, false, now.Add(errorWindow)
	}
}

// report takes over the server's count. Whether it was an error that it came with
// decides whether other programs are told.
func (b *budget) report(left int, reset time.Duration, failed bool) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.resetAt = left, now.Add(reset)
	b.settle()
	if failed {
		b.news.Left, b.news.Reset = left, reset
		b.tell()
	}
}

// count counts an error whose answer did not say how many are left.
func (b *budget) count() {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	b.left--
	b.settle()
	b.news.Silent++
	b.tell()
}

func (b *budget) settle() {
	switch {
	case b.left <= pauseAt:
		b.paused = true
	case b.left >= resumeAt:
		b.paused = false
	}
}

// stop halts every route after a 420.
func (b *budget) stop(d time.Duration) {
	d = max(d, leastStop)
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := now.Add(d); until.After(b.stopUntil) {
		b.stopUntil = until
	}
	b.news.Stop = max(b.news.Stop, d)
	b.news.Incidents++
	b.tell()
}

// tell has somebody take the news; b.mu is held.
func (b *budget) tell() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// takeNews is what happened since it was last called; false if nothing did.
func (b *budget) takeNews() (ErrorLimit, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := b.news
	b.news = ErrorLimit{}
	return news, news != ErrorLimit{}
}

// putBack takes news back that could not be told.
func (b *budget) putBack(news ErrorLimit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news.Silent += news.Silent
	b.news.Incidents += news.Incidents
	b.news.Stop = max(b.news.Stop, news.Stop)
	if b.news.Reset == 0 {
		b.news.Left, b.news.Reset = news.Left, news.Reset
	}
}

// adopt takes over what other programs found out: of two counts the lower one
// holds.
func (b *budget) adopt(told ErrorLimit) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	if told.Stop > 0 && now.Add(told.Stop).After(b.stopUntil) {
		b.stopUntil = now.Add(told.Stop)
	}
	if told.Reset <= 0 {
		return
	}
	resetAt := now.Add(told.Reset)
	switch {
	case b.left == errorsPerMinute:
		// Nothing was counted here yet, so it is not known when the window ends.
		b.left, b.resetAt = told.Left, resetAt
	case told.Left < b.left:
		b.left, b.resetAt = told.Left, later(b.resetAt, resetAt)
	}
	b.settle()
}

// remaining is how many errors are left, as far as is known.
func (b *budget) remaining() int {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roll(now)
	return b.left
}
