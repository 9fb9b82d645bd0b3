package transport

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

const quarter = 15 * time.Minute

// start is the beginning of a quarter of an hour.
var start = time.Date(2026, 9, 1, 18, 0, 0, 0, time.UTC)

// books is a ledger with a clock to set.
type books struct {
	*ledger

	now time.Time
}

func newBooks() *books {
	b := &books{now: start}
	b.ledger = newLedger(func() time.Time { return b.now })
	return b
}

// take reserves in a bucket that no other program has drawn from.
func (b *books) take(key bucketKey, limit int) (*reservation, time.Time) {
	if b.buckets[key] == nil {
		b.buckets[key] = &bucket{limit: limit, window: quarter, told: true}
	}
	r, until, _ := b.reserve(key, route(limit), alone())
	return r, until
}

func route(limit int) catalogue.Route {
	return catalogue.Route{Operation: "Get", Group: "g", MaxTokens: limit, Window: quarter}
}

var key = bucketKey{group: "g", character: 1}

func (b *books) spend(t require.TestingT, limit, cost int) {
	r, until := b.take(key, limit)
	require.NotNil(t, r, "blocked until %s", until)
	r.settle(cost, nil)
}

func TestLedgerReservesTheWorstCost(t *testing.T) {
	b := newBooks()
	var open []*reservation
	for range 3 {
		r, _ := b.take(key, 15)
		require.NotNil(t, r)
		open = append(open, r)
	}
	r, _ := b.take(key, 15)
	require.Nil(t, r, "three requests on their way may cost all 15 tokens")
	open[0].settle(costNotModified, nil)
	r, _ = b.take(key, 15)
	require.Nil(t, r, "1 spent and 10 set aside leave 4")
	open[1].settle(0, nil)
	r, _ = b.take(key, 15)
	require.NotNil(t, r, "1 spent and 5 set aside leave 9")
}

func TestLedgerKeepsBucketsApart(t *testing.T) {
	b := newBooks()
	b.spend(t, 5, 5)
	r, _ := b.take(key, 5)
	require.Nil(t, r)
	r, _ = b.take(bucketKey{group: "g", character: 2}, 5)
	require.NotNil(t, r)
	r, _ = b.take(bucketKey{group: "other", character: 1}, 5)
	require.NotNil(t, r)
}

func TestLedgerBelievesTheServer(t *testing.T) {
	t.Run("that more is used", func(t *testing.T) {
		b := newBooks()
		r, _ := b.take(key, 150)
		r.settle(costOK, &report{limit: 150, remaining: 4, window: quarter})
		r, until := b.take(key, 150)
		require.Nil(t, r)
		require.True(t, until.After(b.now))
	})
	t.Run("that less is used", func(t *testing.T) {
		b := newBooks()
		for range 30 {
			b.spend(t, 155, 5)
		}
		r, _ := b.take(key, 155)
		require.NotNil(t, r)
		r.settle(costOK, &report{limit: 155, remaining: 150, window: quarter})
		r, _ = b.take(key, 155)
		require.NotNil(t, r)
	})
	t.Run("that the limit is another", func(t *testing.T) {
		b := newBooks()
		r, _ := b.take(key, 150)
		r.settle(costOK, &report{limit: 6, remaining: 4, window: quarter})
		r, _ = b.take(key, 150)
		require.Nil(t, r)
	})
	t.Run("but not an answer that was overtaken", func(t *testing.T) {
		b := newBooks()
		first, _ := b.take(key, 20)
		second, _ := b.take(key, 20)
		// The server counted the first request first; its answer comes last.
		second.settle(costRefused, &report{limit: 20, remaining: 4, window: quarter})
		first.settle(costRefused, &report{limit: 20, remaining: 9, window: quarter})
		r, _ := b.take(key, 20)
		require.Nil(t, r)
	})
}

func TestLedgerBlocksABucketUntilTold(t *testing.T) {
	b := newBooks()
	r, _ := b.take(key, 150)
	r.settle(0, nil)
	r.block(start.Add(90 * time.Second))
	_, until := b.take(key, 150)
	require.Equal(t, start.Add(90*time.Second), until)
	b.now = start.Add(90 * time.Second)
	r, _ = b.take(key, 150)
	require.NotNil(t, r)
}

func TestChargesWeighByWhicheverWindowCountsMore(t *testing.T) {
	// A charge of 10 at the tenth minute of a quarter.
	at := start.Add(10 * time.Minute)
	for after, want := range map[time.Duration]int{
		0:                10,
		4 * time.Minute:  10, // its own quarter
		14 * time.Minute: 10, // the floating window
		15 * time.Minute: 4,  // gone by the floating window; 10/15 into the next quarter
		16 * time.Minute: 3,  // four fifteenths of 10, as a whole token
		20 * time.Minute: 0,
	} {
		b := &bucket{limit: 100, window: quarter, charges: []charge{{at: at, cost: 10}}}
		require.Equal(t, want, b.weight(at.Add(after)), "after %s", after)
	}
}

// server counts as ESI may: in a floating window, or by quarters.
type server struct {
	limit   int
	byClock bool
	charges []charge
}

func (s *server) used(now time.Time) float64 {
	used := 0.0
	for _, c := range s.charges {
		share := floating(c.at, now, quarter)
		if s.byClock {
			share = sliding(c.at, now, quarter)
		}
		used += share * float64(c.cost)
	}
	return used
}

// TestNoWindowShapeIsEverOverdrawn sends requests of any cost at any pace and
// has a server of either shape count them, with and without its headers.
func TestNoWindowShapeIsEverOverdrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBooks()
		s := &server{limit: rapid.IntRange(5, 60).Draw(t, "limit"), byClock: rapid.Bool().Draw(t, "by clock")}
		silent := rapid.Bool().Draw(t, "silent")
		for range rapid.IntRange(1, 80).Draw(t, "requests") {
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 240).Draw(t, "pause")) * time.Second)
			r, until := b.take(key, s.limit)
			if r == nil {
				require.True(t, until.After(b.now))
				if rapid.Bool().Draw(t, "wait") {
					b.now = until
				}
				continue
			}
			cost := rapid.SampledFrom([]int{0, costNotModified, costOK, costRefused}).Draw(t, "cost")
			require.LessOrEqual(t, s.used(b.now)+float64(cost), float64(s.limit)+1e-9, "the server would answer 429")
			s.charges = append(s.charges, charge{at: b.now, cost: cost})
			if silent {
				r.settle(cost, nil)
				continue
			}
			remaining := max(0, s.limit-int(s.used(b.now)+0.999999))
			r.settle(cost, &report{limit: s.limit, remaining: remaining, window: quarter})
		}
	})
}

func TestABlockedBucketComesFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBooks()
		limit := rapid.IntRange(1, 30).Draw(t, "limit")
		for {
			r, until := b.take(key, limit)
			if r == nil {
				require.False(t, until.After(b.now.Add(2*quarter+time.Minute)))
				b.now = until
				r, _ = b.take(key, limit)
				require.NotNil(t, r)
				return
			}
			r.settle(rapid.IntRange(1, 5).Draw(t, "cost"), nil)
		}
	})
}

// asks has one request begin and end.
func (b *budget) asks(bucketed bool) time.Time {
	until, _ := b.begin(bucketed, 1)
	if until.IsZero() {
		b.end(bucketed)
	}
	return until
}

func TestBudget(t *testing.T) {
	now := start
	b := newBudget(func() time.Time { return now })
	require.Zero(t, b.asks(false))

	b.report(21, 40*time.Second, true)
	require.Zero(t, b.asks(false))
	b.report(20, 40*time.Second, true)
	require.Equal(t, start.Add(40*time.Second), b.asks(false), "routes without a bucket wait for the reset")
	require.Zero(t, b.asks(true), "routes with a bucket do not")
	b.report(59, 40*time.Second, true)
	require.NotZero(t, b.asks(false), "they go on at 60")
	b.report(60, 40*time.Second, true)
	require.Zero(t, b.asks(false))

	b.report(10, 40*time.Second, true)
	now = now.Add(40 * time.Second)
	require.Zero(t, b.asks(false), "a new minute, a new budget")

	b.stop(time.Minute)
	require.Equal(t, now.Add(time.Minute), b.asks(true), "420 stops all")
	now = now.Add(time.Minute)
	require.Zero(t, b.asks(true))
}

func TestBudgetCountsByItselfWhereTheServerDoesNot(t *testing.T) {
	now := start
	b := newBudget(func() time.Time { return now })
	for range errorsPerMinute - pauseAt {
		require.Zero(t, b.asks(false))
		b.count()
	}
	require.NotZero(t, b.asks(false))
}

func TestDowntime(t *testing.T) {
	day := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	for at, down := range map[time.Duration]bool{
		10*time.Hour + 59*time.Minute: false,
		11 * time.Hour:                true,
		11*time.Hour + 14*time.Minute: true,
		11*time.Hour + 15*time.Minute: false,
	} {
		end, got := Daily().until(day.Add(at))
		require.Equal(t, down, got, at)
		if down {
			require.Equal(t, day.Add(11*time.Hour+15*time.Minute), end)
		}
	}
	_, down := Downtime{}.until(day.Add(11 * time.Hour))
	require.False(t, down)
}

func TestIdleBucketsAreForgotten(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	l := newLedger(func() time.Time { return now })
	route := catalogue.Route{MaxTokens: 15, Window: 15 * time.Minute}
	ask := func(character int64) {
		r, _, _ := l.reserve(bucketKey{group: "char-notification", character: character}, route, alone())
		require.NotNil(t, r)
		r.settle(costOK, nil)
	}
	for character := range int64(forgetFrom) {
		ask(character)
	}
	now = now.Add(10 * time.Minute)
	ask(forgetFrom)
	require.Len(t, l.buckets, forgetFrom+1, "what still weighs is kept")
	now = now.Add(time.Hour)
	for character := range int64(2 * forgetFrom) {
		ask(1<<20 + character)
	}
	require.Less(t, len(l.buckets), 3*forgetFrom)
}
