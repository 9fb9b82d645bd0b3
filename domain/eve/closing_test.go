package eve_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// What is left of a journal and its closing balance add up to what there was, in
// whatever steps the books are closed and whatever is recorded twice.
func TestAClosedLedgerStillAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		const days = 20
		m, whole := eve.NewModel(), eve.NewModel()
		var recorded []eve.JournalRecorded
		put := func(day int, entries []eve.JournalEntry) {
			p := eve.JournalRecorded{CharacterID: pilot, Day: first.AddDate(0, 0, day).Format(time.DateOnly), FetchedAt: fetched, Entries: entries}
			e, err := event.New(uuid.New(), event.Character(pilot), "test", fetched, p)
			require.NoError(t, err)
			require.NoError(t, m.Apply(e, p))
			require.NoError(t, whole.Apply(e, p))
			recorded = append(recorded, p)
		}
		id := int64(0)
		for day := range days {
			var entries []eve.JournalEntry
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				id++
				entries = append(entries, eve.JournalEntry{
					ID: id, Date: first.AddDate(0, 0, day).Add(time.Duration(rapid.IntRange(0, 86399).Draw(t, "second")) * time.Second),
					Amount: json.Number(fmt.Sprintf("%d.%02d", rapid.IntRange(-1000, 1000).Draw(t, "isk"), rapid.IntRange(0, 99).Draw(t, "cents"))),
				})
			}
			if len(entries) > 0 {
				put(day, entries)
				if rapid.Bool().Draw(t, "twice") {
					put(day, entries)
				}
			}
		}
		if whole.Character(pilot) == nil {
			return
		}
		want, err := whole.Character(pilot).Ledger()
		require.NoError(t, err)
		var last eve.JournalClosed
		lastID := uuid.Nil
		for _, upTo := range []int{rapid.IntRange(0, days/2).Draw(t, "first"), rapid.IntRange(days/2, days).Draw(t, "second")} {
			before := first.AddDate(0, 0, upTo)
			closing, err := eve.NewClosing(pilot, before, fetched, last)
			require.NoError(t, err)
			for _, p := range recorded {
				if p.Day < before.Format(time.DateOnly) && p.Day >= last.Before {
					require.NoError(t, closing.Add(p.Entries))
				}
			}
			e, err := closing.Event("test", lastID, fetched)
			require.NoError(t, err)
			again, err := closing.Event("test", lastID, fetched.Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, e.ID, again.ID)
			last, lastID = eve.JournalClosed{}, e.ID
			require.NoError(t, json.Unmarshal(e.Data, &last))
			require.NoError(t, m.Apply(e, last))
			sum, err := m.Character(pilot).Ledger()
			require.NoError(t, err)
			require.Equal(t, want, sum, "before the entries go")
			m.ExpireHistory(pilot, before)
			sum, err = m.Character(pilot).Ledger()
			require.NoError(t, err)
			require.Equal(t, want, sum, "after the entries went")
		}
	})
}

func TestAClosingThatCannotBeReadIsSaid(t *testing.T) {
	_, err := eve.NewClosing(pilot, fetched, fetched, eve.JournalClosed{Before: "2026-01-01", Sum: "many"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	closing, err := eve.NewClosing(pilot, fetched, fetched, eve.JournalClosed{})
	require.NoError(t, err)
	require.Error(t, closing.Add([]eve.JournalEntry{{ID: 1, Amount: "much"}}))
}

func TestWhatATombstoneOfHistoryNamesIsNoMoreInTheModel(t *testing.T) {
	m := eve.NewModel()
	for day, key := range map[string]string{"2026-01-01": "1", "2026-01-02": "2"} {
		p := eve.MailRecorded{Facts: eve.Facts{CharacterID: pilot, Section: eve.SectionMails, Day: day, FetchedAt: fetched, Items: []json.RawMessage{json.RawMessage(`{"mail_id":` + key + `}`)}}}
		e, err := event.New(uuid.New(), event.Character(pilot), "test", fetched, p)
		require.NoError(t, err)
		require.NoError(t, m.Apply(e, p))
	}
	m.ExpireHistory(pilot, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	m.ExpireHistory(pilot+1, fetched)
	records := m.Character(pilot).Records[eve.SectionMails]
	require.Len(t, records, 1)
	require.Contains(t, records, "2")
}
