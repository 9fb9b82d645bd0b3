package clickhouse_test

import (
	"fmt"
	"net/url"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
)

// The read models rely on these; the embedded engine must do them as a server does.
func TestEngineDoesWhatReadModelsNeed(t *testing.T) {
	s := sharedServer(t)
	in := url.Values{"database": {database(t, s)}}
	run := func(sql, want string) {
		t.Helper()
		got := s.post(t, in, sql)
		require.Equal(t, 200, got.status, "%s: %s", sql, got.body)
		require.Equal(t, want, got.body, sql)
	}
	run("CREATE TABLE r (k UInt32, v String, version UInt64) ENGINE = ReplacingMergeTree(version) PARTITION BY k % 2 ORDER BY k", "")
	run("INSERT INTO r VALUES (1, 'old', 1), (2, 'only', 1)", "")
	run("INSERT INTO r VALUES (1, 'new', 2)", "")
	run("SELECT v FROM r FINAL ORDER BY k", "new\nonly\n")
	run("OPTIMIZE TABLE r FINAL", "")
	run("SELECT count() FROM r", "2\n")
	run("DELETE FROM r WHERE k = 2", "")
	run("SELECT count() FROM r", "1\n")
	run("ALTER TABLE r UPDATE v = 'changed' WHERE k = 1 SETTINGS mutations_sync = 1", "")
	run("SELECT v FROM r", "changed\n")
	run("ALTER TABLE r DROP PARTITION 1", "")
	run("SELECT count() FROM r", "0\n")
	run("CREATE TABLE live (n Int8) ENGINE = MergeTree ORDER BY n", "")
	run("CREATE TABLE next (n Int8) ENGINE = MergeTree ORDER BY n", "")
	run("INSERT INTO next VALUES (1)", "")
	run("EXCHANGE TABLES live AND next", "")
	run("SELECT n FROM live", "1\n")
	run("DROP TABLE next SYNC", "")
	run("CREATE TABLE ttl (at DateTime, n Int8) ENGINE = MergeTree ORDER BY n TTL at + INTERVAL 1 DAY", "")
	run("INSERT INTO ttl VALUES ('2020-01-01 00:00:00', 1), (now(), 2)", "")
	run("OPTIMIZE TABLE ttl FINAL", "")
	run("SELECT n FROM ttl", "2\n")
	run("CREATE VIEW w AS SELECT n + {d:Int8} AS m FROM live", "")
	run("SELECT m FROM w(d = 4)", "5\n")
	run("SELECT toDateTime('2026-01-02 03:04:05')::UInt32, timezone()", "1767323045\tUTC\n")
}

// Columns that are mostly zero are stored sparsely, which the client must not notice.
func TestSparseColumnsReachTheClient(t *testing.T) {
	s := sharedServer(t)
	conn := open(t, s, database(t, s))
	require.NoError(t, conn.Exec(t.Context(), "CREATE TABLE z (n UInt64, v UInt64, s String, l LowCardinality(String)) ENGINE = MergeTree ORDER BY n"))
	require.NoError(t, conn.Exec(t.Context(), "INSERT INTO z SELECT number, number % 1000 = 7 ? 5 : 0, number % 1000 = 7 ? 'x' : '', toString(number % 3) FROM numbers(200000)"))
	require.NoError(t, conn.Exec(t.Context(), "OPTIMIZE TABLE z FINAL"))
	var kind string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT any(serialization_kind) FROM system.parts_columns WHERE database = currentDatabase() AND table = 'z' AND column = 'v' AND active").Scan(&kind))
	require.Equal(t, "Sparse", kind)
	rows, err := conn.Query(t.Context(), "SELECT n, v, s, l FROM z ORDER BY n")
	require.NoError(t, err)
	next := uint64(0)
	for rows.Next() {
		var n, v uint64
		var text, low string
		require.NoError(t, rows.Scan(&n, &v, &text, &low))
		require.Equal(t, next, n)
		require.Equal(t, n%1000 == 7, v == 5)
		require.Equal(t, n%1000 == 7, text == "x")
		require.Equal(t, fmt.Sprint(n%3), low)
		next++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, uint64(200_000), next)
}

func TestDatabaseSQLWorksForMigrations(t *testing.T) {
	s := sharedServer(t)
	db := chgo.OpenDB(&chgo.Options{
		Protocol: chgo.HTTP,
		Addr:     []string{s.addr},
		Auth:     chgo.Auth{Database: database(t, s), Username: testUser, Password: testPassword},
	})
	defer func() { require.NoError(t, db.Close()) }()
	_, err := db.ExecContext(t.Context(), "CREATE TABLE versions (version_id Int64, is_applied UInt8, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY at")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO versions (version_id, is_applied) VALUES ($1, $2)", 7, true)
	require.NoError(t, err)
	var version int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT version_id FROM versions WHERE version_id = $1", 7).Scan(&version))
	require.Equal(t, int64(7), version)
}

func TestDSNOfTheSupervisorOpens(t *testing.T) {
	s := sharedServer(t)
	dsn := url.URL{Scheme: "http", User: url.UserPassword(testUser, testPassword), Host: s.addr, Path: "/default"}
	opts, err := chgo.ParseDSN(dsn.String())
	require.NoError(t, err)
	conn, err := chgo.Open(opts)
	require.NoError(t, err)
	require.NoError(t, conn.Ping(t.Context()))
	require.NoError(t, conn.Close())
}
