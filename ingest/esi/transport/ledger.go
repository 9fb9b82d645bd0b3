package transport

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// What a request costs, by its answer.
const (
	costOK          = 2
	costNotModified = 1
	costRefused     = 5
	// worstCost is what is set aside before the answer is known.
	worstCost = costRefused
)

// costOf is what ESI charges for an answer. A request without one may have been
// charged anything, so the worst is assumed.
func costOf(status int) int {
	switch {
	case status == 0:
		return worstCost
	case status == 429 || status >= 500:
		return 0
	case status >= 400:
		return costRefused
	case status >= 300:
		return costNotModified
	default:
		return costOK
	}
}

// ledger keeps account of the token buckets, one for each rate group and
// character (there is one application to a client). It sets the worst cost aside
// before a request, settles on the answer, and believes the server's count
// wherever there is one.
//
// How charges come back is not known for sure: ESI's documentation describes an
// exact floating window, while measurements show a counter over quarters of an
// hour on the clock, by which a charge can weigh for up to two windows. The
// ledger lets a charge weigh as much as either would.
//
// It is safe for concurrent use.
type ledger struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	// forgetAt is how many buckets there may be before idle ones are dropped.
	forgetAt int
}

// forgetFrom is the least number of buckets at which idle ones are dropped.
const forgetFrom = 1 << 14

// forget drops buckets in which nothing weighs any more. It is called when their
// number has doubled, so that it costs little for each.
func (l *ledger) forget(now time.Time) {
	if l.forgetAt == 0 {
		l.forgetAt = forgetFrom
	}
	if len(l.buckets) < l.forgetAt {
		return
	}
	for key, b := range l.buckets {
		idle := b.reserved == 0 && !b.blockedUntil.After(now)
		if last := len(b.charges) - 1; idle && b.probe == nil && (last < 0 || now.Sub(b.charges[last].at) > 2*b.window) {
			delete(l.buckets, key)
		}
	}
	l.forgetAt = max(forgetFrom, 2*len(l.buckets))
}

type bucketKey struct {
	group     string
	character int64
}

type bucket struct {
	limit   int
	window  time.Duration
	charges []charge
	// reserved counts requests on their way.
	reserved int
	// settled counts answers, to tell whether one overtook another.
	settled      uint64
	blockedUntil time.Time
	// since is from when on this program asks. Before ESI has said what is left
	// since then, told is false and one request at a time is sent: who asked before
	// may have left nothing.
	since time.Time
	told  bool
	// probe is closed when that one request is settled; nil if there is none.
	probe chan struct{}
}

type charge struct {
	at   time.Time
	cost int
}

// report is what the server said of a bucket.
type report struct {
	limit, remaining int
	window           time.Duration
}

func newLedger(now func() time.Time) *ledger {
	return &ledger{now: now, buckets: map[bucketKey]*bucket{}}
}

// reservation is the worst cost of one request, set aside.
type reservation struct {
	ledger  *ledger
	bucket  *bucket
	settled uint64
}

// payer is on whose account a request goes: that of a character that this program
// alone asks for since a moment, or that of the address, which some programs share.
type payer struct {
	since    time.Time
	programs int
}

// alone is a payer that shares with nobody.
func alone() payer { return payer{programs: 1} }

// reserve sets the worst cost aside. If the bucket does not hold it, it tells from
// when on it will. As long as ESI has not said what is left, it gives a channel
// instead while another request is on its way: when that is closed, ask again.
func (l *ledger) reserve(key bucketKey, route catalogue.Route, p payer) (*reservation, time.Time, <-chan struct{}) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		l.forget(now)
		b = &bucket{limit: route.MaxTokens, window: route.Window, since: p.since}
		l.buckets[key] = b
	}
	if !b.since.Equal(p.since) {
		// Another program asked in between.
		b.since, b.told, b.charges = p.since, false, nil
	}
	if !b.told && b.reserved > 0 {
		if b.probe == nil {
			b.probe = make(chan struct{})
		}
		return nil, time.Time{}, b.probe
	}
	if until := b.freeAt(now, worstCost, p.programs); until.After(now) {
		return nil, until, nil
	}
	b.reserved++
	return &reservation{ledger: l, bucket: b, settled: b.settled}, time.Time{}, nil
}

// room tells whether a set of requests with good answers fits into a bucket now,
// with the worst set aside for those on their way at once. It gives the moment at
// which it will, and false if it never can.
func (l *ledger) room(key bucketKey, requests, atOnce int, p payer) (time.Time, bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		return now, true
	}
	need := requests*costOK + min(requests, atOnce)*(worstCost-costOK)
	return b.freeAt(now, need, p.programs), need <= b.limit
}

// settle replaces what was set aside by the actual cost, or by the server's own
// count where it sent one.
func (r *reservation) settle(cost int, said *report) {
	now := r.ledger.now()
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	b := r.bucket
	b.reserved--
	if b.probe != nil {
		close(b.probe)
		b.probe = nil
	}
	if said == nil {
		b.add(now, cost)
		b.settled++
		return
	}
	b.limit, b.window, b.told = said.limit, said.window, true
	used := said.limit - said.remaining
	if b.settled != r.settled {
		// Another answer came while this one was on its way, and the server may
		// have counted either first: the higher count is the later one.
		used = max(used, b.weight(now))
	}
	b.settled++
	b.charges = b.charges[:0]
	b.add(now, used)
}

// block closes the bucket until a moment.
func (r *reservation) block(until time.Time) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	if until.After(r.bucket.blockedUntil) {
		r.bucket.blockedUntil = until
	}
}

func (b *bucket) add(now time.Time, cost int) {
	if cost <= 0 {
		return
	}
	b.charges = slices.DeleteFunc(b.charges, func(c charge) bool { return now.Sub(c.at) > 2*b.window })
	if last := len(b.charges) - 1; last >= 0 && now.Sub(b.charges[last].at) < time.Second {
		b.charges[last].cost += cost
		return
	}
	b.charges = append(b.charges, charge{at: now, cost: cost})
}

// freeAt is the earliest moment at which the bucket holds a number of tokens, or
// all that it can hold. Of several programs that share it each takes the others to
// do as it does.
func (b *bucket) freeAt(now time.Time, tokens, programs int) time.Time {
	at := now
	if b.blockedUntil.After(at) {
		at = b.blockedUntil
	}
	need := min(tokens*programs, b.limit) + b.reserved*worstCost*programs
	// Every charge is forgotten after two windows; what is reserved is settled
	// long before that.
	const steps = 60
	step := max(2*b.window/steps, time.Millisecond)
	for range steps {
		if b.weight(at)+need <= b.limit {
			return at
		}
		at = at.Add(step)
	}
	return at
}

// weight is how much of the bucket is used at a moment, by whichever shape of
// the window counts more.
func (b *bucket) weight(at time.Time) int {
	used := 0.0
	for _, c := range b.charges {
		used += max(floating(c.at, at, b.window), sliding(c.at, at, b.window)) * float64(c.cost)
	}
	// Parts of a token count as whole ones.
	return int(math.Ceil(used))
}

// floating is the share of a charge that weighs in an exact floating window.
func floating(charged, at time.Time, window time.Duration) float64 {
	if at.Sub(charged) < window {
		return 1
	}
	return 0
}

// sliding is the share of a charge that weighs in a counter over windows fixed
// on the clock: all of it in its own window, then evenly less in the next.
func sliding(charged, at time.Time, window time.Duration) float64 {
	if window <= 0 {
		return 0
	}
	own, current := charged.Truncate(window), at.Truncate(window)
	switch current.Sub(own) {
	case 0:
		return 1
	case window:
		return 1 - float64(at.Sub(current))/float64(window)
	default:
		return 0
	}
}
