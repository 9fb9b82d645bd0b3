package esi

import (
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// WindowShape says how a bucket forgets what was spent.
type WindowShape string

const (
	// WindowFloating gives each charge back one window after it was made, as
	// the documentation says.
	WindowFloating WindowShape = "floating"
	// WindowQuarter counts over fixed windows of the wall clock and weighs the
	// previous one by how much of it still overlaps, as was measured: a charge
	// can weigh for nearly two windows.
	WindowQuarter WindowShape = "quarter"
)

// cost is what an answer takes from a bucket.
func cost(status int) int {
	switch {
	case status == http.StatusTooManyRequests || status >= 500:
		return 0
	case status >= 400:
		return 5
	case status >= 300:
		return 1
	default:
		return 2
	}
}

// bucketKey names a bucket; character 0 stands for callers without a token.
type bucketKey struct {
	group       string
	application string
	character   int64
}

// bucket is what one key has spent. Which of the fields count depends on the
// shape of the window.
type bucket struct {
	charges []charge // floating: oldest first

	window   int64 // quarter: number of the current window
	current  int
	previous int

	refusedUntil time.Time // what the last Retry-After said
	refusedAt    time.Time
	injected     bool // it was closed though it had tokens left
}

type charge struct {
	at     int64 // Unix nanoseconds
	tokens int32
}

// ledger is the simulator's own account of all buckets and of the error limit.
// It is safe for concurrent use.
type ledger struct {
	window time.Duration
	shape  WindowShape

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	spent   map[string]int64

	errorStart  time.Time
	errorCount  int
	stormUntil  time.Time // 420 on every route until then
	stormSince  time.Time
	errorPeriod time.Duration
	errorMax    int

	hidden      map[string]*hiddenCount
	items       map[int64][]time.Time
	itemsPeriod time.Duration
}

// hiddenCount counts the requests of a route within a period.
type hiddenCount struct {
	start, refusedAt time.Time
	count            int
}

// itemsMax is how many contracts' items a character may ask for within the
// period of the game server's own throttle.
const itemsMax = 20

// inFlight is how long after a refusal requests still count as sent before it
// was received.
const inFlight = time.Second

// newLedger is a ledger whose periods are shortened from those of the world by
// shorten; the window is what it is.
func newLedger(window time.Duration, shape WindowShape, shorten func(time.Duration) time.Duration) *ledger {
	return &ledger{
		window: window, shape: shape,
		buckets: map[bucketKey]*bucket{}, spent: map[string]int64{},
		errorPeriod: shorten(time.Minute), errorMax: 100,
		hidden: map[string]*hiddenCount{}, items: map[int64][]time.Time{}, itemsPeriod: shorten(10 * time.Second),
	}
}

// admission is the answer to whether a bucket can pay for a request.
type admission struct {
	ok         bool
	retryAfter time.Duration
	// ignored: an earlier Retry-After had already forbidden the request.
	ignored bool
	// injected: the bucket was closed though it had tokens left, so that the
	// client could not know.
	injected bool
}

// admit asks whether a bucket with max tokens has any left.
func (l *ledger) admit(key bucketKey, maxTokens int, now time.Time) admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key)
	if now.Before(b.refusedUntil) {
		return admission{retryAfter: b.refusedUntil.Sub(now), ignored: now.Sub(b.refusedAt) > inFlight, injected: b.injected}
	}
	if l.used(b, now) < maxTokens {
		return admission{ok: true}
	}
	wait := l.untilFree(b, maxTokens, now)
	b.refusedAt, b.refusedUntil, b.injected = now, now.Add(wait), false
	return admission{retryAfter: wait}
}

// refuse closes a bucket for a while though it has tokens left.
func (l *ledger) refuse(key bucketKey, now time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key)
	b.refusedAt, b.refusedUntil, b.injected = now, now.Add(wait), true
}

// charge takes tokens and returns what is left.
func (l *ledger) charge(key bucketKey, maxTokens, tokens int, now time.Time) (remaining int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key)
	used := l.used(b, now) + tokens
	if tokens > 0 {
		l.spent[key.group] += int64(tokens)
		if l.shape == WindowQuarter {
			b.current += tokens
		} else {
			b.charges = append(b.charges, charge{now.UnixNano(), int32(tokens)})
		}
	}
	return max(0, maxTokens-used)
}

func (l *ledger) bucket(key bucketKey) *bucket {
	b := l.buckets[key]
	if b == nil {
		b = &bucket{}
		l.buckets[key] = b
	}
	return b
}

// used is what weighs on a bucket at a moment; it forgets what no longer does.
func (l *ledger) used(b *bucket, now time.Time) int {
	if l.shape == WindowQuarter {
		n := now.UnixNano() / int64(l.window)
		switch n - b.window {
		case 0:
		case 1:
			b.previous, b.current = b.current, 0
		default:
			b.previous, b.current = 0, 0
		}
		b.window = n
		return b.current + l.weighPrevious(b, now)
	}
	expired := 0
	for expired < len(b.charges) && now.UnixNano()-b.charges[expired].at >= int64(l.window) {
		expired++
	}
	b.charges = b.charges[expired:]
	sum := 0
	for _, c := range b.charges {
		sum += int(c.tokens)
	}
	return sum
}

// weighPrevious is the share of the previous window's tokens that still counts.
func (l *ledger) weighPrevious(b *bucket, now time.Time) int {
	into := now.UnixNano() % int64(l.window)
	left := 1 - float64(into)/float64(l.window)
	return int(math.Ceil(float64(b.previous) * left))
}

// untilFree is how long it takes until at least one token is left, in whole
// seconds.
func (l *ledger) untilFree(b *bucket, maxTokens int, now time.Time) time.Duration {
	if l.shape == WindowFloating {
		sum := 0
		for _, c := range b.charges {
			sum += int(c.tokens)
		}
		for _, c := range b.charges {
			if sum -= int(c.tokens); sum < maxTokens {
				return wholeSeconds(time.Duration(c.at-now.UnixNano()) + l.window)
			}
		}
		return wholeSeconds(l.window)
	}
	// In the window of the calendar the wait can reach into the next one; a
	// search by seconds is exact and rare.
	for wait := time.Second; wait < 2*l.window; wait += time.Second {
		copied := *b
		if l.used(&copied, now.Add(wait)) < maxTokens {
			return wait
		}
	}
	return wholeSeconds(2 * l.window)
}

func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

// blocked tells whether every route answers 420 now, for how long still, and
// whether the caller must have known.
func (l *ledger) blocked(now time.Time) (left time.Duration, ignored, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.stormUntil) {
		return 0, false, false
	}
	return l.stormUntil.Sub(now), now.Sub(l.stormSince) > inFlight, true
}

// storm makes every route answer 420 until the running minute of errors ends.
func (l *ledger) storm(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.startStorm(now)
}

func (l *ledger) startStorm(now time.Time) {
	l.rollErrors(now)
	l.stormSince, l.stormUntil = now, l.errorStart.Add(l.errorPeriod)
}

func (l *ledger) rollErrors(now time.Time) {
	if now.Sub(l.errorStart) >= l.errorPeriod {
		l.errorStart, l.errorCount = now.Truncate(l.errorPeriod), 0
	}
}

// countError notes an answer of a route without a bucket. It returns what is
// left of the error limit, the seconds until it is reset, and whether this
// answer used it up.
func (l *ledger) countError(status int, now time.Time) (remain int, reset time.Duration, exhausted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rollErrors(now)
	if status >= 400 {
		l.errorCount++
		if l.errorCount == l.errorMax {
			l.startStorm(now)
			exhausted = true
		}
	}
	return max(0, l.errorMax-l.errorCount), wholeSeconds(l.errorStart.Add(l.errorPeriod).Sub(now)), exhausted
}

// countHidden notes a request of a route with a limit that nobody tells. It
// returns how long the route is closed, zero if it is open, and whether the
// caller must have known.
func (l *ledger) countHidden(route string, most int, now time.Time) (wait time.Duration, ignored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hidden[route]
	if h == nil || now.Sub(h.start) >= l.errorPeriod {
		h = &hiddenCount{start: now}
		l.hidden[route] = h
	}
	if h.count++; h.count <= most {
		return 0, false
	}
	if h.refusedAt.IsZero() {
		h.refusedAt = now
	}
	return wholeSeconds(h.start.Add(l.errorPeriod).Sub(now)), now.Sub(h.refusedAt) > inFlight
}

// countItems notes that a character asks for a contract's items. It returns how
// long it has to wait, zero if it need not; plain tells that no jitter on the
// way explains it.
func (l *ledger) countItems(character int64, now time.Time) (wait time.Duration, plain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	recent := l.items[character]
	for len(recent) > 0 && now.Sub(recent[0]) >= l.itemsPeriod {
		recent = recent[1:]
	}
	if len(recent) < itemsMax {
		l.items[character] = append(recent, now)
		return 0, false
	}
	l.items[character] = recent
	return recent[0].Add(l.itemsPeriod).Sub(now), now.Sub(recent[0]) < l.itemsPeriod*9/10
}

// totals are the tokens spent by group since the simulator started.
func (l *ledger) totals() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.spent)
}

// limitText is a bucket's size as the headers say it, such as "150/15m".
func limitText(maxTokens int, window time.Duration) string {
	text := strconv.Itoa(maxTokens) + "/"
	if window%time.Minute == 0 {
		return text + strconv.Itoa(int(window/time.Minute)) + "m"
	}
	return text + strconv.Itoa(int(window/time.Second)) + "s"
}
