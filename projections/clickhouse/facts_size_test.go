package clickhouse_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
)

// BenchmarkFactsSize tells how many bytes a row of each table takes on disk: half a
// million rows of a thousand characters over a year, merged.
func BenchmarkFactsSize(b *testing.B) {
	f := newFactTables(b, clickhouse.Facts())
	const rows = 500_000
	for _, statement := range []string{
		`INSERT INTO %s.transactions SELECT 90000000 + number %% 1000, 6000000000 + number * 37 + rand(1) %% 37, toDate(date), toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 500) AS date, true,
			34 + rand(2) %% 400, 1 + rand(3) %% 1000, toDecimal64(rand(4) %% 100000000, 2) / 100, rand(5) %% 2, true, 90000000 + rand(6) %% 100000, 60003760 + rand(7) %% 20, 20000000000 + number * 91, generateUUIDv4(), number %% 8, intDiv(number, 20) FROM numbers(%d)`,
		`INSERT INTO %s.mining SELECT 90000000 + number %% 1000, toDate('2026-01-01') + intDiv(number, 1400), 30000142 + rand(1) %% 30, 1224 + rand(2) %% 60, rand(3) %% 100000, generateUUIDv4(), number %% 8, intDiv(number, 4) FROM numbers(%d)`,
		`INSERT INTO %s.skill_points SELECT 90000000 + number %% 1000, toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + intDiv(number * 31536, 500) + rand(1) %% 1000 / 1000, number %% 4 > 0, number %% 4 > 0 ? 50000000 + number * 7 + rand(2) %% 1000 : 0, 0, generateUUIDv4(), generateUUIDv4(), number %% 8, number FROM numbers(%d)`,
	} {
		require.NoError(b, f.conn.Exec(b.Context(), fmt.Sprintf(statement, f.name, rows)))
	}
	for _, table := range []string{"transactions", "mining", "skill_points"} {
		b.Run(table, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, f.conn.Exec(b.Context(), "OPTIMIZE TABLE "+f.name+"."+table+" FINAL"))
			}
			var bytes, there uint64
			require.NoError(b, f.conn.QueryRow(b.Context(), "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = '"+f.name+"' AND table = '"+table+"'").Scan(&bytes, &there))
			require.NotZero(b, there)
			b.ReportMetric(float64(bytes)/float64(there), "bytes/row")
		})
	}
}
