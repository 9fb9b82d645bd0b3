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
	benchmarkSize(b, newFactTables(b, clickhouse.Facts()), []string{"transactions", "mining", "skill_points"},
		`INSERT INTO %s.transactions SELECT 90000000 + number %% 1000, 6000000000 + number * 37 + rand(1) %% 37, toDate(date), toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 500) AS date, true,
			34 + rand(2) %% 400, 1 + rand(3) %% 1000, toDecimal64(rand(4) %% 100000000, 2) / 100, rand(5) %% 2, true, 90000000 + rand(6) %% 100000, 60003760 + rand(7) %% 20, 20000000000 + number * 91, generateUUIDv4(), number %% 8, intDiv(number, 20) FROM numbers(%d)`,
		`INSERT INTO %s.mining SELECT 90000000 + number %% 1000, toDate('2026-01-01') + intDiv(number, 1400), 30000142 + rand(1) %% 30, 1224 + rand(2) %% 60, rand(3) %% 100000, generateUUIDv4(), number %% 8, intDiv(number, 4) FROM numbers(%d)`,
		`INSERT INTO %s.skill_points SELECT 90000000 + number %% 1000, toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + intDiv(number * 31536, 500) + rand(1) %% 1000 / 1000, number %% 4 > 0, number %% 4 > 0 ? 50000000 + number * 7 + rand(2) %% 1000 : 0, 0, generateUUIDv4(), generateUUIDv4(), number %% 8, number FROM numbers(%d)`,
	)
}

// BenchmarkRecordsSize tells the same of the tables of [clickhouse.Records].
func BenchmarkRecordsSize(b *testing.B) {
	const year = "toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 500)"
	benchmarkSize(b, newFactTables(b, clickhouse.Records()), []string{"contracts", "killmails", "presence", "mails", "notifications", "sync_steps"},
		`INSERT INTO %s.contracts SELECT 90000000 + intDiv(number, 3) %% 1000, 200000000 + intDiv(number, 3) * 7, generateUUIDv4(), toDate(issued), issued + number %% 3 * 90000, 2047, ['courier', 'item_exchange'][1 + intDiv(number, 3) %% 2],
			['outstanding', 'in_progress', 'finished'][1 + number %% 3], 90000000 + intDiv(number, 3) %% 1000, 90000000 + cityHash64(intDiv(number, 3)) %% 100000, number %% 3 = 0 ? 0 : 90000000 + cityHash64(intDiv(number, 3)) %% 100000,
			`+year+` AS issued, number %% 3 = 0 ? toDateTime(0, 'UTC') : issued + 40000, number %% 3 < 2 ? toDateTime(0, 'UTC') : issued + 80000, 0, toDecimal64(cityHash64(intDiv(number, 3), 1) %% 10000000000, 2) / 100, 1000000000, number %% 8, intDiv(number, 2) FROM numbers(%d)`,
		`INSERT INTO %s.killmails SELECT 90000000 + number %% 1000, 120000000 + number * 11, toDate(date), `+year+` AS date, true, rand(1) %% 4 = 0, rand(2) %% 3 = 0, 1 + rand(3) %% 30, 580 + rand(4) %% 200, 30000142 + rand(5) %% 500, 90000000 + rand(6) %% 100000,
			arrayMap(i -> 2000 + cityHash64(number, i) %% 3000, range(15)), arrayMap(i -> 1 + cityHash64(number, i) %% 5, range(15)), generateUUIDv4(), number %% 8, number FROM numbers(%d)`,
		`INSERT INTO %s.presence SELECT 90000000 + number %% 1000, `+year+` + rand(1) %% 3000, number %% 2, toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 500) - 3600, toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number * 31536, 500) - number %% 2 * 70000, 500 + intDiv(number, 2000), generateUUIDv4(), number %% 8, number FROM numbers(%d)`,
		`INSERT INTO %s.mails SELECT 90000000 + number %% 1000, 300000000 + number * 5, toDate(date), `+year+` AS date, true, 90000000 + rand(1) %% 100000, [90000000 + number %% 1000], generateUUIDv4(), number %% 8, intDiv(number, 3) FROM numbers(%d)`,
		`INSERT INTO %s.notifications SELECT 90000000 + number %% 1000, 900000000 + number * 5, toDate(date), `+year+` AS date, true, concat('Type', toString(rand(1) %% 60)), 98000000 + rand(2) %% 3000, generateUUIDv4(), number %% 8, intDiv(number, 5) FROM numbers(%d)`,
		`INSERT INTO %s.sync_steps SELECT concat('section-', toString(number %% 34)), 90000000 + intDiv(number, 34) %% 1000, `+year+` + rand(1) %% 1000, generateUUIDv4(), 'told', '', number %% 8, number FROM numbers(%d)`,
	)
}

func benchmarkSize(b *testing.B, f *factTables, tables []string, statements ...string) {
	const rows = 500_000
	for _, statement := range statements {
		require.NoError(b, f.conn.Exec(b.Context(), fmt.Sprintf(statement, f.name, rows)))
	}
	for _, table := range tables {
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
