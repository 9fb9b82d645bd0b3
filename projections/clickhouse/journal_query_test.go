package clickhouse_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/clickhouse"
)

func TestJournalsOfManyAreReadByDateWithoutDoubles(t *testing.T) {
	w := newWallets(t)
	at := utc(t, "2026-01-31T23:59:59Z")
	full := entry(30, at, "bounty_prizes", "-10.10", "5")
	full.Tax, full.FirstPartyID, full.SecondPartyID, full.TaxReceiverID, full.ContextID, full.ContextIDType, full.Description, full.Reason = "0.05", 1, 2, 3, 4, "type_id", "d", "r"
	w.put(3, journal(7, full, entry(1, at.Add(time.Second), "x", "1", "")), journal(6, entry(40, at, "x", "1", "0")))

	var all []clickhouse.OwnedEntry
	read := func(filter clickhouse.EntryFilter) []string {
		t.Helper()
		all = nil
		var keys []string
		require.NoError(t, w.reader.EachEntry(t.Context(), filter, func(e clickhouse.OwnedEntry) error {
			all = append(all, e)
			keys = append(keys, fmt.Sprintf("%d/%d", e.CharacterID, e.ID))
			return nil
		}))
		return keys
	}
	require.Equal(t, []string{"6/40", "7/30", "7/1"}, read(clickhouse.EntryFilter{}))
	e := all[1]
	require.Equal(t, at, e.Date)
	require.Equal(t, []string{"-10.10", "5.00", "0.05"}, []string{e.Amount.StringFixed(2), e.Balance.StringFixed(2), e.Tax.StringFixed(2)})
	require.Equal(t, []int64{1, 2, 3, 4}, []int64{e.FirstPartyID, e.SecondPartyID, e.TaxReceiverID, e.ContextID})
	require.Equal(t, []string{"bounty_prizes", "type_id", "d", "r"}, []string{e.Type, e.ContextIDType, e.Description, e.Reason})
	require.Nil(t, all[2].Balance, "a row keeps nothing of another")

	require.Equal(t, []string{"6/40"}, read(clickhouse.EntryFilter{CharacterIDs: []int64{6, 9}}))
	require.Empty(t, read(clickhouse.EntryFilter{CharacterIDs: []int64{}}), "nobody, and not everybody")
	require.Equal(t, []string{"7/1"}, read(clickhouse.EntryFilter{From: at.Add(time.Second)}))
	require.Equal(t, []string{"6/40", "7/30"}, read(clickhouse.EntryFilter{To: at.Add(time.Second)}))
}

func TestReadingJournalsEndsWhenTheReaderHasGone(t *testing.T) {
	w := newWallets(t)
	var entries []eve.JournalEntry
	for i := range int64(20_000) {
		entries = append(entries, entry(i+1, utc(t, "2026-01-31T23:59:59Z").Add(time.Duration(i)*time.Second), "x", "1", "1"))
	}
	w.put(1, journal(7, entries...))
	gone, rows := errors.New("gone"), 0
	require.Equal(t, gone, w.reader.EachEntry(t.Context(), clickhouse.EntryFilter{}, func(clickhouse.OwnedEntry) error {
		if rows++; rows == 10_000 {
			return gone
		}
		return nil
	}))
	rows = 0
	require.NoError(t, w.reader.EachEntry(t.Context(), clickhouse.EntryFilter{}, func(clickhouse.OwnedEntry) error {
		rows++
		return nil
	}))
	require.Equal(t, 20_000, rows)
}
