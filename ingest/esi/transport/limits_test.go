package transport

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

func TestTheDateThatIsSentIsNeverInESIsFuture(t *testing.T) {
	for at, want := range map[string]string{
		"2026-08-04T10:59:59Z": "2026-08-03",
		"2026-08-04T11:00:00Z": "2026-08-04",
		"2027-01-01T00:00:00Z": catalogue.CompatibilityDate,
	} {
		now, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		require.Equal(t, want, compatibilityDate(now), at)
	}
}

func TestMadNumbersDoNotOverflow(t *testing.T) {
	const mad = "9223372036854775807"
	require.Equal(t, maxLifetime, lifetime(header("Cache-Control", "max-age="+mad), time.Minute))
	require.Equal(t, maxLifetime, lifetime(header("Cache-Control", "max-age=99999999999999999999999"), time.Minute))
	wait, ok := retryAfter(header("Retry-After", mad), start)
	require.True(t, ok)
	require.Equal(t, maxRetryAfter, wait)
	wait, ok = retryAfter(header("Retry-After", start.AddDate(100, 0, 0).Format(http.TimeFormat)), start)
	require.True(t, ok)
	require.Equal(t, maxRetryAfter, wait)
	_, ok = retryAfter(header("Retry-After", "-1"), start)
	require.False(t, ok)
	left, reset, ok := errorReport(header("X-ESI-Error-Limit-Remain", "-3", "X-ESI-Error-Limit-Reset", "0"))
	require.True(t, ok)
	require.Zero(t, left)
	require.Equal(t, time.Second, reset)
}

func TestAnAnswerNearItsEndIsToldByItsWholeLifetime(t *testing.T) {
	made := start
	dated := func(age time.Duration) http.Header {
		return header("Date", made.Add(age).Format(http.TimeFormat), "Last-Modified", made.Format(http.TimeFormat))
	}
	require.True(t, nearEnd(dated(time.Hour-4*time.Second), 4*time.Second, time.Hour))
	require.False(t, nearEnd(dated(time.Hour-5*time.Second), 5*time.Second, time.Hour))
	require.False(t, nearEnd(dated(0), 2*time.Second, time.Hour), "it was just made and lives for two seconds")
	require.False(t, nearEnd(dated(18*time.Second), 2*time.Second, time.Hour), "two of twenty seconds are left")
	require.True(t, nearEnd(dated(28*time.Second), 2*time.Second, time.Hour))
	require.True(t, nearEnd(header(), 4*time.Second, time.Hour), "it cannot have been made long ago and be fresh")
}

func TestNothingLeftIsNeverFine(t *testing.T) {
	now := start
	b := newBudget(func() time.Time { return now })
	b.report(0, time.Second, true)
	require.NotZero(t, b.asks(false))
	now = now.Add(500 * time.Millisecond)
	require.NotZero(t, b.asks(false))
	now = now.Add(500 * time.Millisecond)
	require.Zero(t, b.asks(false))
}

// begins tells whether a request may begin.
func (b *budget) begins(bucketed bool, programs int) bool {
	until, busy := b.begin(bucketed, programs)
	return until.IsZero() && busy == nil
}

func TestErrorsOnTheirWayCannotUseUpTheLimit(t *testing.T) {
	for _, programs := range []int{1, 3} {
		b := newBudget(func() time.Time { return start })
		begun := 0
		for b.begins(false, programs) {
			begun++
		}
		require.Equal(t, pauseAt/programs, begun)
		_, busy := b.begin(false, programs)
		b.end(false)
		<-busy
		require.True(t, b.begins(false, programs))
		require.True(t, b.begins(true, programs), "those of buckets do not count")
	}
}

func TestErrorsThatWereNotToldAreToldLater(t *testing.T) {
	b := newBudget(func() time.Time { return start })
	b.report(50, 30*time.Second, true)
	b.count()
	news, ok := b.takeNews()
	require.True(t, ok)
	require.Equal(t, ErrorLimit{Left: 50, Reset: 30 * time.Second, Silent: 1}, news)
	b.putBack(news)
	b.count()
	news, ok = b.takeNews()
	require.True(t, ok)
	require.Equal(t, ErrorLimit{Left: 50, Reset: 30 * time.Second, Silent: 2}, news)
}

func TestGoodAnswersAreNoNews(t *testing.T) {
	b := newBudget(func() time.Time { return start })
	b.report(50, 30*time.Second, false)
	_, ok := b.takeNews()
	require.False(t, ok)
}

// TestManyProgramsNeverUseUpTheErrorLimit has programs ask whose answers are all
// errors, and hear of one another now and then.
func TestManyProgramsNeverUseUpTheErrorLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		programs := rapid.IntRange(1, 4).Draw(t, "programs")
		budgets := make([]*budget, programs)
		for i := range budgets {
			budgets[i] = newBudget(func() time.Time { return now })
		}
		left, reset := errorsPerMinute, start.Add(time.Minute)
		flying := make([]int, programs)
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			i := rapid.IntRange(0, programs-1).Draw(t, "who")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				if budgets[i].begins(false, programs) {
					flying[i]++
				}
			case 2:
				if flying[i] == 0 {
					continue
				}
				flying[i]--
				budgets[i].end(false)
				left--
				require.GreaterOrEqual(t, left, 0, "ESI would answer 420")
				budgets[i].report(left, reset.Sub(now), true)
			default:
				// The news of one reach all.
				if news, ok := budgets[i].takeNews(); ok {
					for _, other := range budgets {
						other.adopt(news)
					}
				}
			}
		}
	})
}

func TestAnUnknownBucketSendsOneRequestAtATime(t *testing.T) {
	b := newBooks()
	first, _, busy := b.reserve(key, route(150), alone())
	require.NotNil(t, first)
	require.Nil(t, busy)
	second, _, busy := b.reserve(key, route(150), alone())
	require.Nil(t, second)
	select {
	case <-busy:
		t.Fatal("the first is not answered")
	default:
	}
	first.settle(costOK, nil)
	<-busy
	second, _, _ = b.reserve(key, route(150), alone())
	require.NotNil(t, second)
	_, _, busy = b.reserve(key, route(150), alone())
	require.NotNil(t, busy, "the answer did not say what is left")
	second.settle(costOK, &report{limit: 150, remaining: 140, window: quarter})
	for range 3 {
		r, _, _ := b.reserve(key, route(150), alone())
		require.NotNil(t, r, "now it is known")
	}
}

func TestABucketIsUnknownAgainAfterAnotherProgramHadIt(t *testing.T) {
	b := newBooks()
	r, _ := b.take(key, 150)
	r.settle(costOK, &report{limit: 150, remaining: 2, window: quarter})
	_, until := b.take(key, 150)
	require.True(t, until.After(b.now))
	later := payer{since: b.now, programs: 1}
	r, _, _ = b.reserve(key, route(150), later)
	require.NotNil(t, r, "what was known is too old to count")
	_, _, busy := b.reserve(key, route(150), later)
	require.NotNil(t, busy)
}

func TestABucketOfTheAddressIsNotOverdrawnByManyPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		programs := rapid.IntRange(1, 4).Draw(t, "programs")
		limit := rapid.IntRange(30, 100).Draw(t, "limit")
		shared := bucketKey{group: "killmail"}
		all := make([]*books, programs)
		for i := range all {
			all[i] = newBooks()
		}
		used := 0
		type flight struct {
			who int
			res *reservation
		}
		var flights []flight
		answer := func() {
			f := flights[0]
			flights = flights[1:]
			used += costRefused
			require.LessOrEqual(t, used, limit, "ESI would answer 429")
			f.res.settle(costRefused, &report{limit: limit, remaining: limit - used, window: quarter})
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(flights) > 0 && rapid.Bool().Draw(t, "answer") {
				answer()
				continue
			}
			// All ask as eagerly as one another.
			for i, b := range all {
				if r, _, _ := b.reserve(shared, catalogue.Route{MaxTokens: limit, Window: quarter}, payer{programs: programs}); r != nil {
					flights = append(flights, flight{i, r})
				}
			}
			for len(flights) > 0 {
				answer()
			}
		}
	})
}

func TestRefusalsAreBoundedInMemory(t *testing.T) {
	now := start
	r := newRefusals(func() time.Time { return now })
	structure := catalogue.UniverseStructure()
	for i := range maxRefusals + 5000 {
		now = now.Add(time.Second)
		r.refused(structure, refusalKey{operation: structure.Operation, path: strconv.Itoa(i)})
	}
	require.LessOrEqual(t, len(r.entries), maxRefusals)
	_, newest := r.entries[refusalKey{operation: structure.Operation, path: strconv.Itoa(maxRefusals + 4999)}]
	require.True(t, newest)
}

// BenchmarkWalkedPage takes a page of transactions for the ids to go on from.
func BenchmarkWalkedPage(b *testing.B) {
	var page strings.Builder
	page.WriteByte('[')
	for i := range 2500 {
		if i > 0 {
			page.WriteByte(',')
		}
		fmt.Fprintf(&page, `{"client_id":54321,"date":"2026-08-31T12:00:00Z","is_buy":true,"is_personal":true,"journal_ref_id":%d,"location_id":60014719,"quantity":1,"transaction_id":%d,"type_id":587,"unit_price":1.5}`, 67890+i, 1234567890-i)
	}
	page.WriteByte(']')
	body := []byte(page.String())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		w := walker{WalkRequest: WalkRequest{Request: Request{Route: catalogue.CharacterWalletTransactions()}, ID: "transaction_id"}, seen: map[int64]bool{}}
		if next, err := w.after(body); err != nil || next == 0 {
			b.Fatal(next, err)
		}
	}
}

// BenchmarkAccounts is what the accounts cost a request that is answered.
func BenchmarkAccounts(b *testing.B) {
	l := newLedger(time.Now)
	budget := newBudget(time.Now)
	r := newRefusals(time.Now)
	route := catalogue.CharacterWallet()
	path := route.Path(90000001)
	var character atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := 90000000 + character.Add(1)%10_000
			key := refusalKey{route.Operation, path, id}
			r.closed(key)
			reserved, _, busy := l.reserve(bucketKey{route.Group, id}, route, alone())
			if busy != nil {
				continue
			}
			budget.begin(true, 1)
			reserved.settle(costOK, &report{limit: 1 << 20, remaining: 1 << 19, window: quarter})
			budget.end(true)
			r.answered(key)
		}
	})
}
