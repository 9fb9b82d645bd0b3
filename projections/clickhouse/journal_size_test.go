package clickhouse_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
)

// BenchmarkJournalSize tells how many bytes a row of the wallet journal takes on disk, and
// how many of them say which event it is from: half a million entries of a thousand
// characters in a month, ten in an event, with descriptions like those of the game, merged.
func BenchmarkJournalSize(b *testing.B) {
	f := newFactTables(b, clickhouse.Wallet())
	const rows = 500_000
	require.NoError(b, f.conn.Exec(b.Context(), fmt.Sprintf(`INSERT INTO %s.wallet_journal (character_id, id, date, ref_type, amount, balance, tax, first_party_id, second_party_id, tax_receiver_id,
			context_id, context_id_type, description, reason, observed_at, event_id, log_partition, log_offset)
		SELECT 90000000 + intDiv(number, 500), 20000000000 + number * 91 + rand(1) %% 91, toDateTime('2026-03-01 00:00:00', 'UTC') + (number %% 500) * 5000 + rand(2) %% 5000,
			['bounty_prizes', 'market_escrow', 'market_transaction', 'transaction_tax'][1 + rand(3) %% 4], toDecimal64(rand(4) %% 100000000, 2) / 100, toDecimal64(rand(5) %% 1000000000, 2) / 100, 0,
			90000000 + intDiv(number, 500), 1000000 + rand(6) %% 1000, 0, rand(3) %% 4 = 0 ? 30000000 + rand(7) %% 300 : 6000000000 + number * 3 + rand(7) %% 3, rand(3) %% 4 = 0 ? 'system_id' : 'market_transaction_id',
			['Pilot ' || toString(intDiv(number, 500)) || ' got bounty prizes for killing pirates in System-' || toString(rand(7) %% 300), 'Market escrow release', 'Market: Pilot ' || toString(rand(6) %% 1000) || ' bought stuff from Pilot ' || toString(intDiv(number, 500)), 'Sales tax paid to the SCC'][1 + rand(3) %% 4],
			'', toDateTime64('2026-03-01 01:00:00', 3, 'UTC') + intDiv(number %% 500, 10) * 50000 + cityHash64(intDiv(number, 10)) %% 3600 + (cityHash64(intDiv(number, 10)) %% 1000) / 1000, reinterpret(MD5(toString(intDiv(number, 10))), 'UUID'), cityHash64(intDiv(number, 500)) %% 12,
			intDiv(number %% 500, 10) * 40000 + intDiv(number, 500) * 37
		FROM numbers(%d)`, f.name, rows)))
	for b.Loop() {
		require.NoError(b, f.conn.Exec(b.Context(), "OPTIMIZE TABLE "+f.name+".wallet_journal FINAL"))
	}
	of := func(columns string) float64 {
		var bytes, there uint64
		require.NoError(b, f.conn.QueryRow(b.Context(), "SELECT sum(column_data_compressed_bytes), max(rows) FROM system.parts_columns WHERE active AND database = '"+f.name+"' AND table = 'wallet_journal'"+columns).Scan(&bytes, &there))
		require.NotZero(b, there)
		return float64(bytes) / float64(there)
	}
	b.ReportMetric(of(""), "bytes/row")
	b.ReportMetric(of(" AND column IN ('event_id', 'log_partition', 'log_offset', 'precedence')"), "provenance-bytes/row")
	b.ReportMetric(of(" AND column = 'observed_at'"), "observed-bytes/row")
}
