package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

var now = time.Date(2026, 9, 1, 18, 0, 0, 0, time.UTC)

func TestDefaultIntervalsAreMemberAuditsRings(t *testing.T) {
	require.Equal(t, 55*time.Minute, plan{}.interval(eve.SectionLocation))
	for _, section := range []eve.Section{eve.SectionDetails, eve.SectionWallet, eve.SectionWalletJournal} {
		require.Equal(t, 235*time.Minute, plan{}.interval(section))
	}
	set := plan{intervals: map[eve.Section]time.Duration{eve.SectionWallet: time.Minute}}
	require.Equal(t, time.Minute, set.interval(eve.SectionWallet))
}

func TestWhatWasNeverReadIsDueAtOnce(t *testing.T) {
	require.Equal(t, now, plan{}.due(1, eve.SectionWallet, time.Time{}, time.Time{}, now))
	for character := range int64(100) {
		after := plan{}.due(character, eve.SectionWallet, time.Time{}, now.Add(time.Hour), now).Sub(now.Add(time.Hour))
		require.GreaterOrEqual(t, after, 2*time.Second, "not before ESI allows it")
		require.LessOrEqual(t, after, 5*time.Second)
	}
}

func TestNextRunIsNeverInThePastNorBeforeTheCacheExpires(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan{intervals: map[eve.Section]time.Duration{eve.SectionWallet: time.Duration(rapid.Int64Range(1, 100_000).Draw(t, "interval")) * time.Second}}
		character := rapid.Int64().Draw(t, "character")
		validated := now.Add(-time.Duration(rapid.Int64Range(0, 1_000_000).Draw(t, "age")) * time.Second)
		expires := now.Add(time.Duration(rapid.Int64Range(-1000, 100_000).Draw(t, "cache")) * time.Second)
		interval := p.interval(eve.SectionWallet)

		due := p.due(character, eve.SectionWallet, validated, expires, now)

		require.False(t, due.Before(now))
		require.False(t, due.Before(expires))
		require.False(t, due.Before(validated.Add(interval)))
		require.False(t, due.After(later(later(now, expires.Add(slack+moreSlack)), validated.Add(interval+interval/10))))
		require.Equal(t, due, p.due(character, eve.SectionWallet, validated, expires, now), "the phase is a character's own")
	})
}

func TestPhasesSpreadCharacters(t *testing.T) {
	tenths := map[int64]int{}
	for character := range int64(10_000) {
		tenths[int64(plan{}.phase(90000000+character, eve.SectionWallet)*10/(235*time.Minute/10))]++
	}
	for tenth := range int64(10) {
		require.InDelta(t, 1000, tenths[tenth], 150)
	}
}

func TestFailuresAreTriedAgainByTheirClass(t *testing.T) {
	failed := func(class eve.FailureClass, failures int) esi.Outcome {
		return esi.Outcome{Result: esi.Failed, Failure: &transport.Failure{Class: class}, Failures: failures}
	}
	for class, c := range map[eve.FailureClass]struct{ first, later time.Duration }{
		eve.FailureTorn:        {5 * time.Second, 235 * time.Minute},
		eve.FailureServer:      {15 * time.Second, 235 * time.Minute},
		eve.FailureNetwork:     {15 * time.Second, 235 * time.Minute},
		eve.FailureRateLimited: {time.Minute, 235 * time.Minute},
		eve.FailureMalformed:   {235 * time.Minute / 8, 235 * time.Minute},
		eve.FailureForbidden:   {15 * time.Minute, 8 * 235 * time.Minute},
		eve.FailureNotFound:    {15 * time.Minute, 8 * 235 * time.Minute},
	} {
		for failures, want := range map[int]time.Duration{1: c.first, 2: 2 * c.first, 100: c.later} {
			at, again := plan{}.after(1, eve.SectionWallet, failed(class, failures), now)
			require.True(t, again)
			require.InDelta(t, want.Seconds(), at.Sub(now).Seconds(), slack.Seconds(), "%s after %d", class, failures)
		}
	}
	_, again := plan{}.after(1, eve.SectionWallet, failed(eve.FailureToken, 1), now)
	require.False(t, again, "a login waits for its owner")
}

func TestESIsOwnWordOnWhenToComeBackCounts(t *testing.T) {
	until := now.Add(time.Hour)
	for _, o := range []esi.Outcome{
		{Result: esi.Deferred, NotBefore: until},
		{Result: esi.Failed, NotBefore: until, Failure: &transport.Failure{Class: eve.FailureTorn}, Failures: 1},
		{Result: esi.NotDue, NotBefore: until},
		{Result: esi.Changed, NotBefore: until, ValidatedAt: now},
	} {
		at, again := plan{}.after(1, eve.SectionWallet, o, now)
		require.True(t, again)
		require.False(t, at.Before(until), o.Result)
	}
}

func TestWhatTheDowntimeHeldBackDoesNotComeBackAtOneMoment(t *testing.T) {
	end := now.Add(time.Second)
	held := esi.Outcome{Result: esi.Deferred, NotBefore: end, Failure: &transport.Failure{Deferred: true, RetryAt: end, Spread: 5 * time.Minute}}
	minutes := map[int]int{}
	for range 5000 {
		at, again := plan{}.after(1, eve.SectionWallet, held, now)
		require.True(t, again)
		require.False(t, at.Before(end))
		minutes[int(at.Sub(end)/time.Minute)]++
	}
	for minute := range 5 {
		require.InDelta(t, 1000, minutes[minute], 200, "minute %d", minute)
	}

	failed := esi.Outcome{Result: esi.Failed, Failures: 1, NotBefore: now.Add(10 * time.Minute), Failure: &transport.Failure{
		Class: eve.FailureServer, Spread: 200 * time.Second,
	}}
	latest := time.Time{}
	for range 200 {
		at, _ := plan{}.after(1, eve.SectionWallet, failed, now)
		require.False(t, at.Before(failed.NotBefore))
		latest = later(latest, at)
	}
	require.Greater(t, latest.Sub(failed.NotBefore), 100*time.Second, "what ESI told to wait is spread, too")
}
