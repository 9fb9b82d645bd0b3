package esi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unhurried is a world as fast as the wall clock.
func unhurried(d time.Duration) time.Duration { return d }

var key = bucketKey{group: "char-wallet", application: "app", character: FirstCharacter}

func TestCostsOfAnswers(t *testing.T) {
	for status, want := range map[int]int{200: 2, 204: 2, 304: 1, 400: 5, 401: 5, 403: 5, 404: 5, 420: 5, 429: 0, 500: 0, 503: 0} {
		require.Equal(t, want, cost(status), status)
	}
}

func TestAFloatingWindowGivesEachChargeBackAfterItsOwnWindow(t *testing.T) {
	l := newLedger(15*time.Minute, WindowFloating, unhurried)
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	require.Equal(t, 8, l.charge(key, 10, 2, at(0)))
	require.Equal(t, 3, l.charge(key, 10, 5, at(5)))
	require.Equal(t, 1, l.charge(key, 10, 2, at(14.9)))
	// The first two tokens come back at minute 15.
	require.Equal(t, 3, l.charge(key, 10, 0, at(15)))
	require.Equal(t, 0, l.charge(key, 10, 5, at(16)))
	require.Equal(t, admission{retryAfter: 4 * time.Minute}, l.admit(key, 10, at(16)))
	require.True(t, l.admit(key, 10, at(20)).ok)
	require.Equal(t, 3, l.charge(key, 10, 0, at(20)), "5 of minute 5 are back; 2 of 14.9 and 5 of 16 weigh")
	other := key
	other.character++
	require.Equal(t, 10, l.charge(other, 10, 0, at(20)))
	require.Equal(t, map[string]int64{"char-wallet": 14}, l.totals())
}

func TestAQuarterWindowWeighsThePreviousOne(t *testing.T) {
	l := newLedger(15*time.Minute, WindowQuarter, unhurried)
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	require.Equal(t, 0, l.charge(key, 10, 10, at(1)))
	require.Equal(t, 0, l.charge(key, 10, 0, at(14.9)), "nothing comes back before the quarter ends")
	require.Equal(t, 0, l.charge(key, 10, 0, at(15)), "then it decays linearly")
	require.Equal(t, 2, l.charge(key, 10, 0, at(18)), "a fifth of the next quarter is over")
	require.Equal(t, 3, l.charge(key, 10, 2, at(22.5)), "half of 10, and 2 of this quarter")
	require.Equal(t, 8, l.charge(key, 10, 0, at(30)), "2 of the previous quarter weigh in full")
	require.Equal(t, 10, l.charge(key, 10, 0, at(61)))
}

func TestAnEmptyQuarterWindowSaysWhenToComeBack(t *testing.T) {
	l := newLedger(15*time.Minute, WindowQuarter, unhurried)
	require.Equal(t, 0, l.charge(key, 10, 10, start.Add(time.Minute)))
	a := l.admit(key, 10, start.Add(5*time.Minute))
	// 10 tokens weigh in full at 15:00, and 9 from a tenth of the quarter on.
	require.Equal(t, 11*time.Minute+30*time.Second, a.retryAfter)
	require.True(t, l.admit(key, 10, start.Add(5*time.Minute+a.retryAfter)).ok)
}

func TestComingBackTooEarlyIsIgnoringRetryAfter(t *testing.T) {
	l := newLedger(15*time.Minute, WindowFloating, unhurried)
	l.charge(key, 10, 10, start)
	require.False(t, l.admit(key, 10, start).ignored, "the first refusal tells")
	require.False(t, l.admit(key, 10, start.Add(500*time.Millisecond)).ignored, "it may have been on its way")
	require.True(t, l.admit(key, 10, start.Add(2*time.Second)).ignored)
	require.True(t, l.admit(key, 10, start.Add(15*time.Minute)).ok)
}

func TestTheErrorLimitIsResetEveryMinute(t *testing.T) {
	l := newLedger(15*time.Minute, WindowFloating, unhurried)
	remain, reset, exhausted := l.countError(200, start)
	require.Equal(t, 100, remain)
	require.Equal(t, time.Minute, reset)
	require.False(t, exhausted)
	for n := 1; n < 100; n++ {
		remain, reset, exhausted = l.countError(404, start.Add(20*time.Second))
		require.Equal(t, 100-n, remain)
		require.Equal(t, 40*time.Second, reset)
		require.False(t, exhausted)
	}
	_, _, exhausted = l.countError(500, start.Add(30*time.Second))
	require.True(t, exhausted)
	left, ignored, storming := l.blocked(start.Add(30 * time.Second))
	require.Equal(t, 30*time.Second, left)
	require.True(t, storming)
	require.False(t, ignored)
	_, ignored, _ = l.blocked(start.Add(40 * time.Second))
	require.True(t, ignored)
	_, _, storming = l.blocked(start.Add(time.Minute))
	require.False(t, storming)
	remain, _, _ = l.countError(404, start.Add(time.Minute))
	require.Equal(t, 99, remain)
}

func TestLimitsAreWrittenAsTheServiceDoes(t *testing.T) {
	require.Equal(t, "150/15m", limitText(150, 15*time.Minute))
	require.Equal(t, "15/90s", limitText(15, 90*time.Second))
}
