package eve_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// ledgerDay is the first day of the ledgers of these tests.
var ledgerDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ledgerOf(t require.TestingT, history ...event.Payload) eve.LedgerReport {
	var l eve.Ledger
	for _, p := range history {
		at := ledgerDay
		switch p := p.(type) {
		case eve.JournalRecorded:
			at = p.FetchedAt
		case eve.SectionObserved:
			at = p.FetchedAt
		case eve.SectionFailed:
			at = p.Since
		case eve.SectionRecovered:
			at = p.Since
		case timed:
			require.NoError(t, l.Follow(event.Event{ID: uuid.New(), Stream: event.Character(7), Time: p.at}, p.Payload))
			continue
		}
		require.NoError(t, l.Follow(event.Event{ID: uuid.New(), Stream: event.Character(7), Time: at}, p))
	}
	return l.Report()
}

// timed is a payload with the moment of its event.
type timed struct {
	event.Payload
	at time.Time
}

func read(at time.Time, entries ...eve.JournalEntry) eve.JournalRecorded {
	return eve.JournalRecorded{CharacterID: 7, FetchedAt: at, Entries: entries}
}

func line(id int64, at time.Time, amount, balance string) eve.JournalEntry {
	return eve.JournalEntry{ID: id, Date: at, RefType: "x", Amount: json.Number(amount), Balance: json.Number(balance)}
}

func seen(at time.Time, balance string) eve.SectionObserved {
	return eve.SectionObserved{CharacterID: 7, Section: eve.SectionWallet, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(balance)}
}

// A wallet is read at random moments, and what no reading saw within 30 days is lost:
// exactly that is told, and nothing else.
func TestALedgerTellsExactlyWhatWasLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type entry struct {
			eve.JournalEntry
			before, after int64
			amount        int64
			fetched       time.Time
		}
		var all []entry
		at, balance, id := ledgerDay, rapid.Int64Range(0, 1e12).Draw(rt, "opening"), int64(0)
		for n := range rapid.IntRange(1, 25).Draw(rt, "seconds") {
			at = at.Add(time.Duration(rapid.IntRange(1, 20*24*3600).Draw(rt, "pause")) * time.Second)
			// The ids of one second need not be in the order of the entries. No amounts of
			// one second cancel one another out.
			size := 1
			if n > 0 {
				size = rapid.IntRange(1, 4).Draw(rt, "size")
			}
			ids := make([]int64, size)
			for i := range ids {
				id++
				ids[i] = id
			}
			for i, id := range rapid.Permutation(ids).Draw(rt, "ids") {
				amount := []int64{1, 1000, 1_000_000, 1_000_000_000}[i] + rapid.Int64Range(0, 99).Draw(rt, "amount")
				if rapid.Bool().Draw(rt, "spent") {
					amount = -amount
				}
				e := entry{JournalEntry: line(id, at, eve.ISK(amount).String(), eve.ISK(balance+amount).String()), before: balance, after: balance + amount, amount: amount}
				balance += amount
				all = append(all, e)
			}
		}
		var readings []time.Time
		for range rapid.IntRange(1, 20).Draw(rt, "readings") {
			readings = append(readings, ledgerDay.Add(time.Duration(rapid.Int64Range(0, int64(at.Sub(ledgerDay)/time.Second)+40*24*3600).Draw(rt, "reading"))*time.Second+time.Millisecond))
		}
		slices.SortFunc(readings, time.Time.Compare)
		var history []event.Payload
		var kept []entry
		for _, reading := range readings {
			var fresh []eve.JournalEntry
			held := int64(-1)
			for i := range all {
				if all[i].Date.After(reading) {
					continue
				}
				held = all[i].after
				if all[i].fetched.IsZero() && !all[i].Date.Before(reading.Add(-eve.JournalKept)) {
					all[i].fetched = reading
					fresh = append(fresh, all[i].JournalEntry)
				}
			}
			if held >= 0 {
				history = append(history, seen(reading, eve.ISK(held).String()))
			}
			if len(fresh) > 0 {
				history = append(history, read(reading, fresh...))
			}
		}
		for _, e := range all {
			if !e.fetched.IsZero() {
				kept = append(kept, e)
			}
		}
		report := ledgerOf(rt, history...)
		require.Equal(rt, len(kept), report.Entries)
		if len(kept) == 0 {
			require.Nil(rt, report.Opening)
			return
		}
		require.Equal(rt, eve.ISK(kept[0].before), *report.Opening)
		require.Equal(rt, eve.ISK(kept[len(kept)-1].after), *report.Closing)
		var want, got []string
		for i := 1; i < len(kept); i++ {
			if lost := kept[i].before - kept[i-1].after; lost != 0 {
				want = append(want, kept[i-1].Date.String()+" gap "+eve.ISK(lost).String())
			}
		}
		for _, b := range report.Breaks {
			got = append(got, b.From.String()+" "+string(b.Kind)+" "+b.Difference.String())
			require.Equal(rt, eve.CauseExpired, b.Causes[0].Kind)
			require.NotEmpty(rt, b.Words)
		}
		require.Equal(rt, want, got)
		require.Equal(rt, *report.Opening+report.Income-report.Expense+report.Missing, *report.Closing)
	})
}

func TestALedgerSaysWhyEntriesAreMissing(t *testing.T) {
	day := func(n int) time.Time { return ledgerDay.AddDate(0, 0, n) }
	first, next := read(day(1), line(1, day(1).Add(-time.Hour), "10", "110")), read(day(80), line(9, day(79), "1", "151"))
	f := func(want []eve.CauseKind, between ...event.Payload) {
		t.Helper()
		report := ledgerOf(t, slices.Concat([]event.Payload{timed{eve.CharacterRegistered{CharacterID: 7, UserID: "u"}, day(0)}, first}, between, []event.Payload{next})...)
		require.Len(t, report.Breaks, 1)
		b := report.Breaks[0]
		require.Equal(t, eve.BreakGap, b.Kind)
		require.Equal(t, "40.00", b.Difference.String())
		require.Equal(t, []int64{1, 9}, []int64{b.Before, b.After})
		var kinds []eve.CauseKind
		for _, c := range b.Causes {
			kinds = append(kinds, c.Kind)
			require.True(t, strings.HasSuffix(c.Words, "."), c.Words)
			require.Contains(t, b.Words, c.Words)
		}
		require.Equal(t, append([]eve.CauseKind{eve.CauseExpired}, want...), kinds)
	}
	failed := func(class eve.FailureClass, at time.Time) event.Payload {
		return eve.SectionFailed{CharacterID: 7, Section: eve.SectionWalletJournal, Class: class, Message: "m", Since: at}
	}
	recovered := func(at time.Time) event.Payload {
		return eve.SectionRecovered{CharacterID: 7, Section: eve.SectionWalletJournal, Since: at}
	}
	f([]eve.CauseKind{eve.CauseUnknown})
	f([]eve.CauseKind{eve.CauseToken}, failed(eve.FailureToken, day(3)))
	f([]eve.CauseKind{eve.CauseToken}, failed(eve.FailureForbidden, day(3)), recovered(day(70)))
	// The class changes: two spells, the longer one first.
	f([]eve.CauseKind{eve.CauseUnreadable, eve.CauseOutage}, failed(eve.FailureServer, day(3)), failed(eve.FailureMalformed, day(4)))
	f([]eve.CauseKind{eve.CauseDowntime}, failed(eve.FailureServer, day(3).Add(11*time.Hour)), recovered(day(3).Add(12*time.Hour)))
	f([]eve.CauseKind{eve.CauseOutage}, failed(eve.FailureNetwork, day(3).Add(15*time.Hour)), recovered(day(3).Add(16*time.Hour)))
	// A downtime is not worth telling beside what is graver.
	f([]eve.CauseKind{eve.CauseDisabled}, failed(eve.FailureServer, day(3).Add(11*time.Hour)), recovered(day(3).Add(12*time.Hour)),
		timed{eve.CharacterDisabled{CharacterID: 7, Reason: "asked"}, day(5)}, timed{eve.CharacterEnabled{CharacterID: 7}, day(70)})
	f([]eve.CauseKind{eve.CauseNoOwner}, timed{eve.CharacterOrphaned{CharacterID: 7, Reason: "sold"}, day(5)}, timed{eve.CharacterReclaimed{CharacterID: 7, UserID: "v"}, day(70)})
	// Failures of other sections, and from other times, are no reason.
	f([]eve.CauseKind{eve.CauseUnknown}, eve.SectionFailed{CharacterID: 7, Section: eve.SectionAssets, Class: eve.FailureToken, Since: day(3)}, failed(eve.FailureToken, day(0)), recovered(day(0).Add(time.Hour)))
}

func TestALedgerTellsWhatDoesNotAddUp(t *testing.T) {
	at := ledgerDay.AddDate(0, 0, 5)
	hour := func(n int) time.Time { return at.Add(time.Duration(n) * time.Hour) }
	report := ledgerOf(t,
		timed{eve.CharacterRegistered{CharacterID: 7, UserID: "u"}, at},
		read(hour(10), line(1, hour(-1), "5", ""), line(2, hour(1), "10", "110"), line(3, hour(2), "-1", "100"), line(4, hour(3), "1", ""), line(5, hour(4), "1", "102")),
		// Recorded again, once the same and once not.
		read(hour(11), line(2, hour(1), "10", "110")), read(hour(12), line(3, hour(2), "-2", "100")),
		seen(hour(-2), "1"), seen(hour(6), "102.5"), seen(hour(7), "103"), seen(hour(20), "102"), seen(hour(31), "3"),
		read(hour(30), line(6, hour(29), "0", "102")))
	require.False(t, report.Continuous())
	require.Equal(t, 6, report.Entries)
	require.Equal(t, 2, report.Unbalanced)
	require.Equal(t, 1, report.Repeated)
	require.Nil(t, report.Opening)
	require.Equal(t, "102.00", report.Closing.String())
	require.Equal(t, "17.00", report.Income.String())
	require.Equal(t, "1.00", report.Expense.String())
	require.Equal(t, "-9.00", report.Missing.String())
	require.Equal(t, "3.00", report.Seen.String())
	require.Equal(t, eve.CauseNotRegistered, report.Before[0].Kind)
	var got []string
	for _, b := range report.Breaks {
		got = append(got, string(b.Kind)+" "+b.Difference.String())
	}
	require.Equal(t, []string{"unknown_opening 0.00", "mismatch -9.00", "conflict -1.00", "balance 0.50"}, got)
	require.Equal(t, 2, report.Breaks[3].Readings)
	require.Contains(t, report.Breaks[1].Words, "do not add up")
	require.Contains(t, report.Breaks[2].Words, "The first one stands")

	require.True(t, ledgerOf(t).Continuous())
}

func TestALedgerRefusesWhatItCannotRead(t *testing.T) {
	var l eve.Ledger
	e := event.Event{ID: uuid.New(), Stream: event.Character(7)}
	require.Equal(t, event.CodePoisoned, event.CodeOf(l.Follow(e, read(ledgerDay, line(1, ledgerDay, "1", "2"), line(2, ledgerDay, "riddle", "3")))))
	require.Equal(t, event.CodePoisoned, event.CodeOf(l.Follow(e, seen(ledgerDay, `"riddle"`))))
	require.Zero(t, l.Report().Entries)
	for _, p := range []eve.JournalClosed{
		closed("someday", 1, 1, ledgerDay, "1", "1"), closed("2026-01-01", 1, 1, ledgerDay, "riddle", "1"), closed("2026-01-01", 1, 1, ledgerDay, "1", "riddle"),
	} {
		require.Equal(t, event.CodePoisoned, event.CodeOf(l.Follow(e, p)))
	}
	require.Nil(t, l.Report().Closing)
}

func closed(before string, entries, lastID int64, lastAt time.Time, sum, balance string) eve.JournalClosed {
	return eve.JournalClosed{CharacterID: 7, Before: before, ReadAt: lastAt, Entries: entries, Sum: json.Number(sum), LastEntryID: lastID, LastAt: lastAt, Balance: json.Number(balance)}
}

func TestALedgerBeginsWithWhatRetentionClosed(t *testing.T) {
	day := func(n int) time.Time { return ledgerDay.AddDate(0, 0, n) }
	f := func(opening, closing string, breaks []string, history ...event.Payload) eve.LedgerReport {
		t.Helper()
		report := ledgerOf(t, history...)
		text := func(a *eve.ISK) string {
			if a == nil {
				return ""
			}
			return a.String()
		}
		require.Equal(t, opening, text(report.Opening))
		require.Equal(t, closing, text(report.Closing))
		var got []string
		for _, b := range report.Breaks {
			got = append(got, string(b.Kind)+" "+b.Difference.String())
		}
		require.Equal(t, breaks, got)
		require.Equal(t, eve.CauseRetention, report.Before[0].Kind)
		require.Contains(t, report.Before[0].Words, "are kept no longer")
		require.Len(t, report.Before[0].Events, 1)
		if report.Opening != nil && report.Closing != nil {
			require.Equal(t, *report.Opening+report.Income-report.Expense+report.Missing, *report.Closing)
		}
		return report
	}
	books := closed("2026-01-11", 3, 3, day(9), "30", "130")
	next := read(day(12), line(4, day(11), "5", "135"))
	f("130.00", "135.00", nil, books, next)
	// An earlier closing that is told later does not count.
	f("130.00", "135.00", nil, books, closed("2026-01-05", 1, 1, day(1), "10", "110"), next)
	f("130.00", "135.00", nil, closed("2026-01-05", 1, 1, day(1), "10", "110"), books, next)
	// The first entry that is left has no balance, and the opening is known all the same.
	f("130.00", "136.00", nil, books, read(day(12), line(4, day(11), "5", ""), line(5, day(11).Add(time.Hour), "1", "136")))
	// What does not follow on the closing is a break between both.
	report := f("130.00", "136.00", []string{"mismatch 1.00"}, books, read(day(12), line(4, day(11), "5", "136")))
	require.Equal(t, []int64{3, 4}, []int64{report.Breaks[0].Before, report.Breaks[0].After})
	require.Len(t, report.Breaks[0].Events, 2)
	f("130.00", "150.00", []string{"gap 10.00"}, books, read(day(80), line(9, day(79), "10", "150")))
	// Nothing is left but the closing; and one without a balance says only that there was something.
	f("130.00", "130.00", nil, books)
	f("", "", []string{"unknown_opening 0.00"}, closed("2026-01-11", 3, 3, day(9), "30", ""), read(day(12), line(4, day(11), "5", "")))
	f("130.00", "135.00", nil, closed("2026-01-11", 3, 3, day(9), "30", ""), next)
	// Some of what was closed is gone already: the rest has holes that are nobody's fault.
	f("130.00", "135.00", nil, read(day(2), line(1, day(1), "10", "110")), read(day(10), line(3, day(9), "10", "130")), books, next)
}

func TestALedgerWhoseOlderEntriesAreStillThereIsAsItWas(t *testing.T) {
	day := func(n int) time.Time { return ledgerDay.AddDate(0, 0, n) }
	old := read(day(10), line(1, day(1), "10", "110"), line(2, day(5), "10", "120"), line(3, day(9), "10", "130"))
	next := read(day(12), line(4, day(11), "5", "135"))
	require.Equal(t, ledgerOf(t, old, next), ledgerOf(t, old, closed("2026-01-11", 3, 3, day(9), "30", "130"), next))
}

// Whenever the books are closed and their entries are removed, the balance that the ledger
// comes to and its breaks after that day are those of the whole journal.
func TestAClosedLedgerComesToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, balance := ledgerDay, int64(100_000)
		var whole []event.Payload
		var entries []eve.JournalEntry
		for id := range int64(rapid.IntRange(2, 15).Draw(t, "entries")) {
			at = at.Add(time.Duration(rapid.IntRange(1, 40*24).Draw(t, "pause")) * time.Hour)
			if rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
				balance += 77
			}
			amount := rapid.Int64Range(-500, 500).Draw(t, "amount")
			balance += amount
			entry := line(id+1, at, eve.ISK(amount).String(), eve.ISK(balance).String())
			entries = append(entries, entry)
			whole = append(whole, read(at.Add(time.Hour), entry))
		}
		n := rapid.IntRange(1, len(entries)-1).Draw(t, "closed")
		before := entries[n].Date.Truncate(24 * time.Hour)
		if !entries[n-1].Date.Before(before) {
			return
		}
		closing, err := eve.NewClosing(7, before, at, eve.JournalClosed{})
		require.NoError(t, err)
		require.NoError(t, closing.Add(entries[:n]))
		e, err := closing.Event("test", uuid.Nil, at)
		require.NoError(t, err)
		var p eve.JournalClosed
		require.NoError(t, json.Unmarshal(e.Data, &p))
		want, got := ledgerOf(t, whole...), ledgerOf(t, append([]event.Payload{timed{p, at}}, whole[n:]...)...)
		require.Equal(t, want.Closing, got.Closing)
		later := func(r eve.LedgerReport) (breaks []string) {
			for _, b := range r.Breaks {
				if !b.To.Before(before) {
					breaks = append(breaks, string(b.Kind)+b.To.String()+b.Difference.String())
				}
			}
			return breaks
		}
		require.Equal(t, later(want), later(got))
	})
}
