package clickhouse_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestClientInsertsColumnsAndReadsThemBack(t *testing.T) {
	s := sharedServer(t)
	conn := open(t, s, database(t, s))
	ctx := t.Context()
	require.NoError(t, conn.Exec(ctx, `CREATE TABLE journal (
		id UInt64, character Int64, at DateTime64(3, 'UTC'), amount Decimal(20, 2), kind LowCardinality(String),
		reason Nullable(String), tags Array(String), names Map(String, UInt32), event UUID, ok Bool,
		state Enum8('open' = 1, 'closed' = 2), day Date, plain DateTime
	) ENGINE = MergeTree ORDER BY id`))

	const rows = 100_000
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO journal")
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	event := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	ids := make([]uint64, rows)
	for i := range ids {
		ids[i] = uint64(i)
	}
	require.NoError(t, batch.Column(0).Append(ids))
	for range rows {
		reason := "x"
		require.NoError(t, batch.Column(1).AppendRow(int64(-7)))
		require.NoError(t, batch.Column(2).AppendRow(at))
		require.NoError(t, batch.Column(3).AppendRow(decimal.New(-123456, -2)))
		require.NoError(t, batch.Column(4).AppendRow("bounty"))
		require.NoError(t, batch.Column(5).AppendRow(&reason))
		require.NoError(t, batch.Column(6).AppendRow([]string{"a", "b"}))
		require.NoError(t, batch.Column(7).AppendRow(map[string]uint32{"k": 3}))
		require.NoError(t, batch.Column(8).AppendRow(event))
		require.NoError(t, batch.Column(9).AppendRow(true))
		require.NoError(t, batch.Column(10).AppendRow("closed"))
		require.NoError(t, batch.Column(11).AppendRow(at))
		require.NoError(t, batch.Column(12).AppendRow(at))
	}
	require.NoError(t, batch.Send())

	var count, sum uint64
	require.NoError(t, conn.QueryRow(ctx, "SELECT count(), sum(id) FROM journal").Scan(&count, &sum))
	require.Equal(t, uint64(rows), count)
	require.Equal(t, uint64(rows)*(rows-1)/2, sum)

	var row struct {
		ID        uint64            `ch:"id"`
		Character int64             `ch:"character"`
		At        time.Time         `ch:"at"`
		Amount    decimal.Decimal   `ch:"amount"`
		Kind      string            `ch:"kind"`
		Reason    *string           `ch:"reason"`
		Tags      []string          `ch:"tags"`
		Names     map[string]uint32 `ch:"names"`
		Event     uuid.UUID         `ch:"event"`
		OK        bool              `ch:"ok"`
		State     string            `ch:"state"`
		Day       time.Time         `ch:"day"`
		Plain     time.Time         `ch:"plain"`
	}
	require.NoError(t, conn.QueryRow(ctx, "SELECT * FROM journal WHERE id = 99999").ScanStruct(&row))
	require.Equal(t, uint64(99999), row.ID)
	require.Equal(t, int64(-7), row.Character)
	require.True(t, at.Equal(row.At))
	require.Equal(t, "-1234.56", row.Amount.String())
	require.Equal(t, "bounty", row.Kind)
	require.Equal(t, "x", *row.Reason)
	require.Equal(t, []string{"a", "b"}, row.Tags)
	require.Equal(t, map[string]uint32{"k": 3}, row.Names)
	require.Equal(t, event, row.Event)
	require.True(t, row.OK)
	require.Equal(t, "closed", row.State)
	require.Equal(t, at.Truncate(24*time.Hour), row.Day.UTC())
	require.Equal(t, at.Truncate(time.Second), row.Plain.UTC())

	// Every block of a long result arrives.
	got, err := conn.Query(ctx, "SELECT id FROM journal ORDER BY id")
	require.NoError(t, err)
	next := uint64(0)
	for got.Next() {
		var id uint64
		require.NoError(t, got.Scan(&id))
		require.Equal(t, next, id)
		next++
	}
	require.NoError(t, got.Err())
	require.NoError(t, got.Close())
	require.Equal(t, uint64(rows), next)
}

func TestClientReadsAnEmptyResult(t *testing.T) {
	conn := open(t, sharedServer(t), "default")
	rows, err := conn.Query(t.Context(), "SELECT number FROM numbers(0)")
	require.NoError(t, err)
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
}

func TestClientLearnsVersionAndZone(t *testing.T) {
	version, err := open(t, sharedServer(t), "default").ServerVersion()
	require.NoError(t, err)
	require.Equal(t, "UTC", version.Timezone.String())
	require.GreaterOrEqual(t, version.Version.Major, uint64(26))
}

func TestCompressionWorksBothWays(t *testing.T) {
	s := sharedServer(t)
	db := database(t, s)
	for _, method := range []chgo.CompressionMethod{chgo.CompressionNone, chgo.CompressionLZ4, chgo.CompressionZSTD, chgo.CompressionGZIP, chgo.CompressionDeflate, chgo.CompressionBrotli} {
		t.Run(method.String(), func(t *testing.T) {
			ctx := t.Context()
			conn := open(t, s, db, func(o *chgo.Options) { o.Compression = &chgo.Compression{Method: method, Level: 3} })
			table := "c_" + method.String()
			require.NoError(t, conn.Exec(ctx, "CREATE TABLE "+table+" (n UInt64, s String) ENGINE = MergeTree ORDER BY n"))
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+table)
			require.NoError(t, err)
			for i := range 50_000 {
				require.NoError(t, batch.Append(uint64(i), fmt.Sprint("text ", i)))
			}
			require.NoError(t, batch.Send())
			rows, err := conn.Query(ctx, "SELECT n, s FROM "+table+" ORDER BY n")
			require.NoError(t, err)
			count := uint64(0)
			for rows.Next() {
				var n uint64
				var text string
				require.NoError(t, rows.Scan(&n, &text))
				require.Equal(t, count, n)
				require.Equal(t, fmt.Sprint("text ", n), text)
				count++
			}
			require.NoError(t, rows.Err())
			require.Equal(t, uint64(50_000), count)

			var failure *chgo.Exception
			require.ErrorAs(t, conn.QueryRow(ctx, "SELECT * FROM nope").Err(), &failure)
			require.Equal(t, int32(60), failure.Code)
		})
	}
}

func TestParametersAreValuesAndNeverSQL(t *testing.T) {
	conn := open(t, sharedServer(t), "default")
	hostile := `x'; DROP TABLE t; -- \ {y:String} ` + "\t\n`"
	for name, query := range map[string]func(ctx context.Context, dest any) error{
		"server side": func(ctx context.Context, dest any) error {
			ctx = chgo.Context(ctx, chgo.WithParameters(chgo.Parameters{"v": `x\'; DROP TABLE t; -- \\ {y:String} \t\n` + "`"}))
			return conn.QueryRow(ctx, "SELECT {v:String}").Scan(dest)
		},
		"named": func(ctx context.Context, dest any) error {
			return conn.QueryRow(ctx, "SELECT @v", chgo.Named("v", hostile)).Scan(dest)
		},
		"positional": func(ctx context.Context, dest any) error {
			return conn.QueryRow(ctx, "SELECT ?", hostile).Scan(dest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			require.NoError(t, query(t.Context(), &got))
			require.Equal(t, hostile, got)
		})
	}
	var (
		sum   uint64
		names []string
	)
	ctx := chgo.Context(t.Context(), chgo.WithParameters(chgo.Parameters{"n": "10", "list": "['a','b\\'c']", "id": "number"}))
	require.NoError(t, conn.QueryRow(ctx, "SELECT sum({id:Identifier}), {list:Array(String)} FROM numbers({n:UInt32})").Scan(&sum, &names))
	require.Equal(t, uint64(45), sum)
	require.Equal(t, []string{"a", "b'c"}, names)

	var failure *chgo.Exception
	ctx = chgo.Context(t.Context(), chgo.WithParameters(chgo.Parameters{"n": "1 OR 1"}))
	require.ErrorAs(t, conn.QueryRow(ctx, "SELECT {n:UInt32}").Err(), &failure)
	require.Equal(t, int32(457), failure.Code, "a value that does not fit its type is refused")
}

func TestSettingsHoldForTheirQueryAlone(t *testing.T) {
	s := sharedServer(t)
	conn := open(t, s, "default")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				want := uint64(100 + i*20 + j)
				ctx := chgo.Context(context.Background(), chgo.WithSettings(chgo.Settings{"max_block_size": want}))
				var got, plain uint64
				if err := conn.QueryRow(ctx, "SELECT toUInt64(getSetting('max_block_size'))").Scan(&got); err != nil || got != want {
					t.Errorf("with the setting: got %d, want %d, error %v", got, want, err)
				}
				if err := conn.QueryRow(context.Background(), "SELECT toUInt64(getSetting('max_block_size'))").Scan(&plain); err != nil || plain != 65409 {
					t.Errorf("without the setting: got %d, error %v", plain, err)
				}
			}
		})
	}
	wg.Wait()

	// A statement that changes its session changes no other.
	require.Equal(t, 200, s.post(t, url.Values{}, "SET max_block_size = 7").status)
	require.Equal(t, 200, s.post(t, url.Values{}, "USE system").status)
	require.Equal(t, 200, s.post(t, url.Values{}, "CREATE TEMPORARY TABLE mine (x Int8)").status)
	require.Equal(t, "65409\tdefault\t0\n", s.post(t, url.Values{}, "SELECT getSetting('max_block_size'), currentDatabase(), (SELECT count() FROM system.tables WHERE name = 'mine')").body)
}

func TestSessionIsUsedAgainOnlyAsItWas(t *testing.T) {
	s := start(t, t.TempDir())
	session := func(params url.Values, clause string) string {
		got := s.post(t, params, "SELECT getSetting('log_comment')"+clause)
		require.Equal(t, 200, got.status, got.body)
		return got.body
	}
	run := func(sql string) { require.Equal(t, 200, s.post(t, url.Values{}, sql).status) }
	limited := url.Values{"max_execution_time": {"10"}}

	first := session(url.Values{}, "")
	require.Equal(t, first, session(url.Values{}, ""), "the next request of the same state has the same session")
	require.Equal(t, first, session(url.Values{"database": {"default"}}, ""))
	require.NotEqual(t, first, session(limited, ""))
	again := session(limited, "")
	require.Equal(t, again, session(limited, ""))
	require.NotEqual(t, session(limited, ""), session(url.Values{"max_execution_time": {"11"}}, ""))
	require.NotEqual(t, first, session(url.Values{"database": {"system"}}, ""))
	require.Equal(t, first, session(url.Values{}, ""))

	// Whatever may change a session takes it out of use.
	for _, sql := range []string{"SELECT 1 SETTINGS max_threads = 1", "SET max_threads = 1", "USE system", "CREATE TEMPORARY TABLE mine (n Int8)", "CREATE TABLE t (n Int8) ENGINE = Memory"} {
		before := session(url.Values{}, "")
		run(sql)
		require.NotEqual(t, before, session(url.Values{}, ""), sql)
	}
	before := session(url.Values{}, "")
	require.Equal(t, 400, s.post(t, url.Values{}, "SELECT toUInt8('x')").status)
	require.NotEqual(t, before, session(url.Values{}, ""), "after an error")
	before = session(url.Values{}, "")
	run("INSERT INTO t VALUES (1)")
	require.Equal(t, before, session(url.Values{}, ""), "an insert leaves its session as it was")

	// Many states do not pile up.
	for i := range 50 {
		session(url.Values{"max_execution_time": {fmt.Sprint(100 + i)}}, "")
	}
	require.Equal(t, "default\n", s.post(t, url.Values{}, "SELECT currentDatabase()").body)
	require.NoError(t, s.stop())
}

func TestEightQueriesAtOnceKeepTheirResults(t *testing.T) {
	conn := open(t, sharedServer(t), "default")
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for range 5 {
				rows, err := conn.Query(context.Background(), "SELECT number * 8 + {i:UInt64} FROM numbers(100000)", chgo.Named("i", fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
					return
				}
				if err := checkSeries(rows, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func checkSeries(rows driver.Rows, remainder uint64) error {
	defer func() { _ = rows.Close() }()
	n := uint64(0)
	for rows.Next() {
		var got uint64
		if err := rows.Scan(&got); err != nil {
			return err
		}
		if got != n*8+remainder {
			return fmt.Errorf("row %d of query %d is %d", n, remainder, got)
		}
		n++
	}
	if n != 100_000 {
		return fmt.Errorf("query %d has %d rows", remainder, n)
	}
	return rows.Err()
}

func TestStatementsRunSideBySide(t *testing.T) {
	s := sharedServer(t)
	const together = 8
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn := open(t, s, "default")
	for range together {
		wg.Go(func() {
			var x uint64
			_ = conn.QueryRow(ctx, "SELECT sum(sleepEachRow(0.1)) /* side by side */ FROM numbers(200) SETTINGS max_block_size = 1").Scan(&x)
		})
	}
	require.Eventually(t, func() bool {
		return s.post(t, url.Values{}, "SELECT count() FROM system.processes WHERE query LIKE '%side by side%' AND query NOT LIKE '%system.processes%'").body == fmt.Sprintln(together)
	}, 10*time.Second, 20*time.Millisecond)
}

func TestTokenMakesARepeatedInsertANoOp(t *testing.T) {
	s := sharedServer(t)
	conn := open(t, s, database(t, s))
	require.NoError(t, conn.Exec(t.Context(), "CREATE TABLE d (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"))
	insert := func(token string, values ...uint64) {
		ctx := chgo.Context(t.Context(), chgo.WithSettings(chgo.Settings{"insert_deduplication_token": token}))
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO d")
		require.NoError(t, err)
		for _, v := range values {
			require.NoError(t, batch.Append(v))
		}
		require.NoError(t, batch.Send())
	}
	insert("events:0:1-2", 1, 2)
	insert("events:0:1-2", 1, 2)
	insert("events:0:3-3", 3)
	insert("events:0:1-2", 1, 2)
	var count, sum uint64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(), sum(n) FROM d").Scan(&count, &sum))
	require.Equal(t, uint64(3), count)
	require.Equal(t, uint64(6), sum)
}

func TestErrorsCarryTheEnginesCode(t *testing.T) {
	s := sharedServer(t)
	conn := open(t, s, database(t, s))
	require.NoError(t, conn.Exec(t.Context(), "CREATE TABLE e (n UInt64) ENGINE = MergeTree ORDER BY n"))
	for _, c := range []struct {
		sql  string
		code int32
	}{
		{"SELECT * FROM nope", 60},
		{"SELEKT 1", 62},
		{"SELECT nope FROM e", 47},
		{"SELECT nope(1)", 46},
		{"CREATE TABLE e (n UInt8) ENGINE = Memory", 57},
		{"DROP TABLE nope", 60},
		{"SELECT 1 SETTINGS nope = 1", 115},
		{"SELECT * FROM nope.e", 81},
		{"INSERT INTO nope VALUES (1)", 60},
		{"INSERT INTO e (nope) VALUES (1)", 16},
		{"SELECT throwIf(1)", 395},
	} {
		t.Run(c.sql, func(t *testing.T) {
			var failure *chgo.Exception
			require.ErrorAs(t, conn.Exec(t.Context(), c.sql), &failure)
			require.Equal(t, c.code, failure.Code, failure.Message)
			require.Equal(t, "DB::Exception", failure.Name)
		})
	}
}

func TestErrorInTheMiddleOfAResultIsNotAnEnd(t *testing.T) {
	s := sharedServer(t)
	for _, compression := range []chgo.CompressionMethod{chgo.CompressionNone, chgo.CompressionLZ4, chgo.CompressionGZIP} {
		t.Run(compression.String(), func(t *testing.T) {
			conn := open(t, s, "default", func(o *chgo.Options) { o.Compression = &chgo.Compression{Method: compression} })
			rows, err := conn.Query(t.Context(), "SELECT throwIf(number = 3000000), number FROM numbers(4000000)")
			require.NoError(t, err)
			for rows.Next() {
			}
			require.Error(t, rows.Err())
			if compression == chgo.CompressionNone {
				var failure *chgo.Exception
				require.ErrorAs(t, rows.Err(), &failure)
				require.Equal(t, int32(395), failure.Code)
			}
		})
	}
}
