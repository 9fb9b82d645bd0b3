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
	measure(b, f, tables...)
}

// measure tells how many bytes a row of each table takes once it is merged.
func measure(b *testing.B, f *factTables, tables ...string) {
	b.Helper()
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

// BenchmarkHistorySize does the same for what tells how the organisation and AnVIL stood:
// two thousand users whose compliance changes fifty times, a year of looks, a year of
// skills of which every twentieth observation is a full one of 400 skills, and four years
// of hourly sweeps of one consortium.
func BenchmarkHistorySize(b *testing.B) {
	organisation, audits := newFactTables(b, clickhouse.Organisation()), newFactTables(b, clickhouse.AnVILHistory())
	const start = "toDateTime64('2026-01-01 00:00:00', 3, 'UTC')"
	for _, statement := range []string{
		`INSERT INTO %s.compliance SELECT concat('user-', toString(number %% 2000)), ` + start + ` + number * 300 + rand(1) %% 1000 / 1000, generateUUIDv4(), true, intDiv(number, 2000) %% 2 = 0, rand(2) %% 5 = 0, rand(3) %% 2, rand(4) %% 4 = 0, 1 + rand(5) %% 9, rand(6) %% 3, number %% 8, number FROM numbers(100000)`,
		`INSERT INTO %s.looks SELECT concat('user-', toString(rand(1) %% 2000)), ` + start + ` + number * 63 + rand(2) %% 1000 / 1000, generateUUIDv4(), ` + start + ` + number * 63, concat('user:user-', toString(rand(3) %% 200)), concat('user-', toString(rand(3) %% 200)), 90000000 + rand(1) %% 2000, ['wallet', 'skills', 'assets', 'mails', 'character'][1 + rand(4) %% 5], 'same_corporation', 1 + rand(5) %% 9, number %% 8, number FROM numbers(500000)`,
		`INSERT INTO %s.skill_levels SELECT 90000000 + number %% 500, ` + start + ` + intDiv(number, 500) * 315360 + rand(1) %% 1000 / 1000, generateUUIDv4(),
			intDiv(number, 500) %% 20 = 0 ? arrayMap(x -> toInt64(3300 + x * 7), range(400)) : arrayMap(x -> toInt64(3300 + x * 7 + rand(2) %% 400 * 7), range(1 + rand(3) %% 10)) AS ids,
			arrayMap(x -> toInt8(1 + (x + rand(4)) %% 5), ids), [], generateUUIDv4(), number %% 8, number FROM numbers(50000)`,
	} {
		require.NoError(b, organisation.conn.Exec(b.Context(), fmt.Sprintf(statement, organisation.name)))
	}
	for _, statement := range []string{
		`INSERT INTO %s.sweeps SELECT 'acme', ` + start + ` + number * 3600, generateUUIDv4(), true, 60000 + rand(1) %% 60000, 4, false, 5000 + rand(2) %% 100, 6000 + rand(3) %% 100, rand(4) %% 10, rand(5) %% 20, rand(6) %% 3, generateUUIDv4(), 0, number FROM numbers(35000)`,
		`INSERT INTO %s.audits SELECT 'acme', ['accounts', 'billing_projects', 'managed_groups', 'managed_group_memberships', 'workspaces', 'workspace_sharing'][1 + number %% 6], ` + start + ` + intDiv(number, 6) * 3600,
			reinterpretAsUUID(sipHash128(intDiv(number, 6))), reinterpretAsUUID(sipHash128(intDiv(number, 6), 1)), 1000 + rand(1) %% 50, 950 + rand(2) %% 50, rand(3) %% 50, rand(4) %% 9, rand(5) %% 9, rand(6) %% 9, 5, 0, 0, intDiv(number, 6) FROM numbers(210000)`,
	} {
		require.NoError(b, audits.conn.Exec(b.Context(), fmt.Sprintf(statement, audits.name)))
	}
	measure(b, organisation, "compliance", "looks", "skill_levels")
	measure(b, audits, "sweeps", "audits")
}
