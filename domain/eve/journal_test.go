package eve_test

import (
	"encoding/json"
	"fmt"
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

const pilot = int64(90000001)

var fetched = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// fact is one journal entry of the imagined world.
type fact struct {
	id, day, cents int64
}

func (f fact) json() string {
	date := time.Unix(0, 0).UTC().AddDate(0, 0, int(f.day)).Add(time.Duration(f.id%86400) * time.Second)
	return fmt.Sprintf(`{"id":%d,"date":%q,"ref_type":"bounty_prizes","amount":%s}`, f.id, date.Format(time.RFC3339), eve.ISK(f.cents))
}

func page(facts ...fact) []byte {
	var entries []string
	for _, f := range facts {
		entries = append(entries, f.json())
	}
	return []byte("[" + strings.Join(entries, ",") + "]")
}

func reading(pages ...[]byte) eve.JournalReading {
	return eve.JournalReading{CharacterID: pilot, FetchedAt: fetched, Pages: pages}
}

func recorded(t require.TestingT, events []event.Event) []eve.JournalRecorded {
	var all []eve.JournalRecorded
	for _, e := range events {
		var p eve.JournalRecorded
		require.NoError(t, json.Unmarshal(e.Data, &p))
		require.NoError(t, e.Validate())
		all = append(all, p)
	}
	return all
}

func TestNewJournalFactsAreGroupedByDay(t *testing.T) {
	var known eve.KnownEntries
	known.Add([]eve.JournalEntry{{ID: 2, Date: fetched}})

	events, entries, last, err := eve.NewJournalFacts("test", reading(
		page(fact{5, 101, 1}, fact{4, 100, -250}, fact{3, 100, 1}), page(fact{3, 100, 1}, fact{2, 100, 1}, fact{1, 99, 7})), &known, uuid.Nil)

	require.NoError(t, err)
	require.Len(t, entries, 4)
	require.Equal(t, events[2].ID, last)
	got := recorded(t, events)
	require.Equal(t, []string{"1970-04-10", "1970-04-11", "1970-04-12"}, []string{got[0].Day, got[1].Day, got[2].Day})
	require.Equal(t, int64(3), got[1].Entries[0].ID)
	require.Equal(t, int64(4), got[1].Entries[1].ID)
	require.Equal(t, json.Number("-2.50"), got[1].Entries[1].Amount)
	require.Equal(t, 1, known.Len(), "known is the caller's to change")
}

func TestJournalEventsHaveTheSameIDsWhenMadeAgain(t *testing.T) {
	in := reading(page(fact{2, 101, 1}, fact{1, 100, 1}))
	first, _, _, err := eve.NewJournalFacts("test", in, &eve.KnownEntries{}, uuid.Nil)
	require.NoError(t, err)
	in.FetchedAt = fetched.Add(time.Hour)
	second, _, _, err := eve.NewJournalFacts("test", in, &eve.KnownEntries{}, uuid.Nil)
	require.NoError(t, err)
	for i := range first {
		require.Equal(t, first[i].ID, second[i].ID)
	}
	other, _, _, err := eve.NewJournalFacts("test", in, &eve.KnownEntries{}, uuid.New())
	require.NoError(t, err)
	require.NotEqual(t, first[0].ID, other[0].ID, "the chain goes on from the last id")
}

func TestALongDayIsSplit(t *testing.T) {
	var facts []fact
	for id := range int64(4500) {
		facts = append(facts, fact{id + 1, 100, 1})
	}
	events, entries, _, err := eve.NewJournalFacts("test", reading(page(facts...)), &eve.KnownEntries{}, uuid.Nil)
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.Len(t, entries, 4500)
}

func TestUnknownFieldsAndRefTypesAreKept(t *testing.T) {
	entry, err := eve.DecodeJournalEntry([]byte(`{"id":1,"date":"2026-08-30T23:59:59+02:00","ref_type":"unheard_of","amount":243877.49999999997,"shiny":{"a":[1]},"tax":null}`))
	require.NoError(t, err)
	require.Equal(t, "unheard_of", entry.RefType)
	require.Equal(t, json.Number("243877.49999999997"), entry.Amount)
	require.JSONEq(t, `{"a":[1]}`, string(entry.Extra["shiny"]))
	require.Len(t, entry.Extra, 1)
	require.Equal(t, time.Date(2026, 8, 30, 21, 59, 59, 0, time.UTC), entry.Date)

	again, err := json.Marshal(entry)
	require.NoError(t, err)
	var decoded eve.JournalEntry
	require.NoError(t, json.Unmarshal(again, &decoded))
	require.Equal(t, entry, decoded)
}

func TestAnUnreadablePageRecordsNothing(t *testing.T) {
	for name, bad := range map[string]string{
		"cut off": `[{"id":1`, "object": `{}`, "null": `null`, "number in list": `[1]`, "no date": `[{"id":1,"ref_type":"x"}]`,
		"id zero": `[{"id":0,"date":"2026-08-30T10:00:00Z","ref_type":"x"}]`, "bad date": `[{"id":1,"date":"yesterday","ref_type":"x"}]`,
		"no ref type": `[{"id":1,"date":"2026-08-30T10:00:00Z"}]`, "amount as text": `[{"id":1,"date":"2026-08-30T10:00:00Z","ref_type":"x","amount":"lots"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			events, entries, last, err := eve.NewJournalFacts("test", reading(page(fact{9, 100, 1}), []byte(bad)), &eve.KnownEntries{}, uuid.Nil)
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, "page 2")
			require.Empty(t, events)
			require.Empty(t, entries)
			require.Equal(t, uuid.Nil, last)
		})
	}
}

// TestEveryEntryIsRecordedExactlyOnce reads a moving window of a growing journal
// again and again and compares with the whole of it.
func TestEveryEntryIsRecordedExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []fact
		var known eve.KnownEntries
		last := uuid.Nil
		seen := map[int64]int{}
		ids := map[uuid.UUID]bool{}
		today, nextID := int64(20000), int64(1)
		for range rapid.IntRange(1, 8).Draw(t, "readings") {
			today += int64(rapid.IntRange(0, 20).Draw(t, "days"))
			for range rapid.IntRange(0, 12).Draw(t, "new") {
				all = append(all, fact{nextID, today - int64(rapid.IntRange(0, 2).Draw(t, "age")), rapid.Int64Range(-1e9, 1e9).Draw(t, "cents")})
				nextID += int64(rapid.IntRange(1, 1000).Draw(t, "step"))
			}
			window := slices.DeleteFunc(slices.Clone(all), func(f fact) bool { return f.day < today-30 })
			slices.Reverse(window)
			cut := rapid.IntRange(0, len(window)).Draw(t, "cut")
			overlap := min(len(window), cut+rapid.IntRange(0, 3).Draw(t, "overlap"))
			events, entries, id, err := eve.NewJournalFacts("test", reading(page(window[:overlap]...), page(window[cut:]...)), &known, last)
			require.NoError(t, err)
			for _, p := range recorded(t, events) {
				for _, entry := range p.Entries {
					require.Equal(t, p.Day, entry.Date.Format(time.DateOnly))
					seen[entry.ID]++
				}
			}
			for _, e := range events {
				require.False(t, ids[e.ID])
				ids[e.ID] = true
			}
			known.Add(entries)
			last = id
			stored, err := known.MarshalBinary()
			require.NoError(t, err)
			known = eve.KnownEntries{}
			require.NoError(t, known.UnmarshalBinary(stored))
		}
		for _, f := range all {
			require.Equal(t, 1, seen[f.id], "entry %d of day %d", f.id, f.day)
		}
	})
}

func TestKnownEntriesForgetOnlyWhatCannotComeAgain(t *testing.T) {
	var known eve.KnownEntries
	day := func(n int) time.Time { return fetched.AddDate(0, 0, n) }
	known.Add([]eve.JournalEntry{{ID: 1, Date: day(-60)}, {ID: 2, Date: day(-31)}})
	require.True(t, known.Has(1))
	known.Add([]eve.JournalEntry{{ID: 3, Date: day(0)}})
	require.False(t, known.Has(1))
	require.True(t, known.Has(2))
	require.Equal(t, 2, known.Len())
}

func FuzzKnownEntries(f *testing.F) {
	var known eve.KnownEntries
	known.Add([]eve.JournalEntry{{ID: 1 << 40, Date: fetched}, {ID: 7, Date: fetched.AddDate(0, 0, -3)}})
	stored, err := known.MarshalBinary()
	require.NoError(f, err)
	f.Add(stored)
	f.Add([]byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, stored []byte) {
		var known eve.KnownEntries
		if err := known.UnmarshalBinary(stored); err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		again, err := known.MarshalBinary()
		require.NoError(t, err)
		var second eve.KnownEntries
		require.NoError(t, second.UnmarshalBinary(again))
		require.Equal(t, known.Len(), second.Len())
	})
}

func FuzzDecodeJournalEntry(f *testing.F) {
	f.Add([]byte(fact{1, 100, 1}.json()))
	f.Add([]byte(`{"id":1,"date":"2026-08-30T10:00:00Z","ref_type":"x","Amount":1,"extra":{"y":[1,2]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entry, err := eve.DecodeJournalEntry(raw)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		encoded, err := json.Marshal(entry)
		require.NoError(t, err)
		var again eve.JournalEntry
		require.NoError(t, json.Unmarshal(encoded, &again))
		require.Equal(t, entry.ID, again.ID)
		require.Equal(t, entry.Amount, again.Amount)
	})
}
