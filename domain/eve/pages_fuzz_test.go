package eve_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// FuzzJournalPages reads any two pages of a journal: events that encode, or an error
// that names the page.
func FuzzJournalPages(f *testing.F) {
	f.Add([]byte(`[{"id":1,"date":"2026-08-31T12:00:00Z","ref_type":"player_trading","amount":1.5,"balance":243877.49999999997}]`), []byte(`[]`))
	f.Add([]byte(`[{"id":1}]`), []byte(`{}`))
	f.Add([]byte(``), []byte(`null`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		reading := eve.JournalReading{CharacterID: 7, FetchedAt: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), Pages: [][]byte{first, second}}
		events, entries, _, err := eve.NewJournalFacts("test", reading, &eve.KnownEntries{}, uuid.Nil)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			if bad, ok := errors.AsType[*eve.PageError](err); ok {
				require.Contains(t, []int{1, 2}, bad.Page)
			}
			return
		}
		require.LessOrEqual(t, len(events), len(entries))
		seen := map[int64]bool{}
		for _, entry := range entries {
			require.False(t, seen[entry.ID], "entry %d counts once", entry.ID)
			seen[entry.ID] = true
		}
	})
}

// FuzzCheck gives every section any value: one that is taken has a hash, and a
// comparison with nothing makes an event of it.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`[{"item_id":1,"type_id":2,"location_id":3,"quantity":1,"location_flag":"Hangar","location_type":"station","is_singleton":true}]`,
		`{"total_sp":5,"skills":[{"skill_id":3}]}`, `{"online":true}`, `{"solar_system_id":30000142}`, `7.5`, `[]`, `{}`, `null`, `[1,2]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, shape := range eve.Shapes() {
			if err := eve.Check(shape.Section, value); err != nil {
				require.Equal(t, event.CodeInvalid, event.CodeOf(err), shape.Section)
				continue
			}
			require.True(t, json.Valid(value), shape.Section)
			_, err := eve.ContentHash(shape.Section, value)
			require.NoError(t, err, shape.Section)
		}
	})
}

// FuzzFacts lists any record in every section that has records.
func FuzzFacts(f *testing.F) {
	for _, seed := range []string{
		`{"mail_id":7,"timestamp":"2026-08-31T12:00:00Z","is_read":true,"labels":[1]}`,
		`{"contract_id":7,"date_issued":"2026-08-31T12:00:00Z","status":"outstanding"}`,
		`{"transaction_id":7,"date":"2026-08-31T12:00:00Z"}`, `{"date":"2026-08-31","solar_system_id":1,"type_id":2,"quantity":3}`, `{}`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		for _, shape := range eve.Shapes() {
			if shape.Records == nil || eve.CheckRecord(shape.Section, item) != nil {
				continue
			}
			reading := eve.FactsReading{CharacterID: 7, Section: shape.Section, FetchedAt: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), Items: []json.RawMessage{item, item}}
			facts, err := eve.NewFacts("test", reading, &eve.KnownRecords{}, uuid.Nil)
			if err != nil {
				require.Equal(t, event.CodeInvalid, event.CodeOf(err), shape.Section)
				continue
			}
			require.LessOrEqual(t, len(facts.Events), 1, "%s: the same record twice is one", shape.Section)
		}
	})
}
