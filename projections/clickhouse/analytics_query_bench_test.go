package clickhouse_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
)

// BenchmarkAnalyse asks for a year of a million entries of 10,000 characters.
func BenchmarkAnalyse(b *testing.B) {
	w := newWallets(b)
	for _, statement := range []string{
		`INSERT INTO %s.wallet_journal (character_id, id, date, ref_type, amount, balance, tax, event_id, log_offset)
			SELECT 90000000 + number %% 10000, number, toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 1000), ['bounty_prizes', 'market_escrow', 'player_donation'][number %% 3 + 1],
				toDecimal64(number %% 2001, 2) - 1000, toDecimal64(number, 2), 0, generateUUIDv4(), number FROM numbers(1000000)`,
		`INSERT INTO %s.affiliations (character_id, since, corporation_id, alliance_id, event_id, log_offset)
			SELECT 90000000 + number %% 10000, toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + number * 500, 98000000 + number %% 97, 0, generateUUIDv4(), number FROM numbers(30000)`,
	} {
		require.NoError(b, w.conn.Exec(b.Context(), fmt.Sprintf(statement, w.name)))
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := func(name string, interval clickhouse.Interval, by ...clickhouse.Dimension) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				figures, err := w.reader.Analyse(b.Context(), clickhouse.WalletQuery{From: from, To: from.AddDate(1, 0, 0), Interval: interval, GroupBy: by})
				require.NoError(b, err)
				require.NotEmpty(b, figures)
			}
		})
	}
	f("by day", clickhouse.Day)
	f("by hour", clickhouse.Hour)
	f("by month and corporation", clickhouse.Month, clickhouse.ByCorporation)
	f("by quarter and character", clickhouse.Quarter, clickhouse.ByCharacter)
	f("by month and ref type", clickhouse.Month, clickhouse.ByRefType)
	b.Run("a page of a journal", func(b *testing.B) {
		for b.Loop() {
			page, err := w.reader.Journal(b.Context(), clickhouse.JournalFilter{CharacterID: 90000001, Limit: 101})
			require.NoError(b, err)
			require.Len(b, page, 100)
		}
	})
}
