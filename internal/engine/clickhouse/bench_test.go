package clickhouse_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

// BenchmarkInsertMillionRows inserts rows of the shape of a wallet journal, column by column, through clickhouse-go.
// "rows/s" counts all of the client's work; "sent-rows/s" only from Send to the acknowledgement.
func BenchmarkInsertMillionRows(b *testing.B) {
	s := sharedServer(b)
	conn := open(b, s, database(b, s), func(o *chgo.Options) { o.Compression = &chgo.Compression{Method: chgo.CompressionLZ4} })
	require.NoError(b, conn.Exec(b.Context(), `CREATE TABLE j (id UInt64, character UInt64, at DateTime64(3, 'UTC'), amount Decimal(20, 2), kind LowCardinality(String), reason String, log_offset UInt64)
		ENGINE = MergeTree ORDER BY (character, at, id)`))
	const rows = 1_000_000
	ids, characters, times := make([]uint64, rows), make([]uint64, rows), make([]time.Time, rows)
	amounts, kinds, reasons := make([]decimal.Decimal, rows), make([]string, rows), make([]string, rows)
	for i := range rows {
		ids[i], characters[i] = uint64(i), 90_000_000+uint64(i%1000)
		times[i] = time.Unix(1_770_000_000+int64(i), 0).UTC()
		amounts[i] = decimal.New(int64(i*37), -2)
		kinds[i] = [...]string{"bounty_prizes", "market_transaction", "player_donation"}[i%3]
		reasons[i] = fmt.Sprint("reason ", i%5000)
	}
	var sending time.Duration
	for b.Loop() {
		batch, err := conn.PrepareBatch(b.Context(), "INSERT INTO j")
		require.NoError(b, err)
		for i, column := range []any{ids, characters, times, amounts, kinds, reasons, ids} {
			require.NoError(b, batch.Column(i).Append(column))
		}
		started := time.Now()
		require.NoError(b, batch.Send())
		sending += time.Since(started)
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*rows/sending.Seconds(), "sent-rows/s")
}

// BenchmarkSmallestQuery is what the interface costs: connection, session, parsing, answer.
func BenchmarkSmallestQuery(b *testing.B) {
	s := sharedServer(b)
	for b.Loop() {
		if got := s.post(b, url.Values{}, "SELECT 1"); got.body != "1\n" {
			b.Fatal(got.body)
		}
	}
}

// BenchmarkQueryWithSettings is the same with a database, settings and a parameter, as the read models' queries have.
func BenchmarkQueryWithSettings(b *testing.B) {
	s := sharedServer(b)
	conn := open(b, s, database(b, s))
	ctx := chgo.Context(b.Context(), chgo.WithSettings(chgo.Settings{"max_execution_time": 10}), chgo.WithParameters(chgo.Parameters{"x": "7"}))
	for b.Loop() {
		var x uint32
		require.NoError(b, conn.QueryRow(ctx, "SELECT {x:UInt32}").Scan(&x))
	}
}

// BenchmarkStreamedResult reads a long result through clickhouse-go.
func BenchmarkStreamedResult(b *testing.B) {
	s := sharedServer(b)
	conn := open(b, s, "default")
	const rows = 2_000_000
	for b.Loop() {
		got, err := conn.Query(b.Context(), "SELECT number, toString(number) FROM numbers({n:UInt64})", chgo.Named("n", fmt.Sprint(rows)))
		require.NoError(b, err)
		n := 0
		for got.Next() {
			n++
		}
		require.NoError(b, got.Err())
		require.Equal(b, rows, n)
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkStart is the time from starting the child on an empty folder to its first answer, and its memory then.
func BenchmarkStart(b *testing.B) {
	var memory int64
	for b.Loop() {
		s := start(b, b.TempDir())
		require.Equal(b, "1\n", s.post(b, url.Values{}, "SELECT 1").body)
		memory = s.resident(b)
		require.NoError(b, s.stop())
	}
	b.ReportMetric(float64(memory>>20), "MiB-resident")
}
