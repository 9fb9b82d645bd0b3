package postgres_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/postgres"
)

// A vacuum leaves the bytes of what was deleted where they are. What writes tables anew, and
// takes away what the log and the statistics have of it, does not.
func TestNothingOfADeletedRowIsLeftInTheFilesOfPostgres(t *testing.T) {
	pool := enginetest.Postgres(t)
	exec := func(sql string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	const private, edited, young = "told in confidence 7141", "told first in confidence 7141", "keep this letter 7141"
	exec(`CREATE TABLE letters (id bigint PRIMARY KEY, body text)`)
	exec(`CREATE INDEX ON letters (body)`)
	exec(`INSERT INTO letters SELECT n, CASE WHEN n % 3 = 0 THEN '` + edited + `' ELSE '` + young + `' END FROM generate_series(1, 3000) n`)
	exec(`UPDATE letters SET body = '` + private + `' WHERE id % 3 = 0`)
	exec(`ANALYZE letters`)
	exec(`CHECKPOINT`)
	for _, text := range []string{private, edited, young} {
		require.NotEmpty(t, enginetest.PostgresFilesWith(t, pool, text), text)
	}
	exec(`DELETE FROM letters WHERE id % 3 = 0`)
	exec(`VACUUM letters`)
	exec(`CHECKPOINT`)
	require.NotEmpty(t, enginetest.PostgresFilesWith(t, pool, private), "a vacuum does not overwrite it")

	// Postgres counts what a session changed some time after it did.
	counted := func(changes int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			var n int64
			require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_stat_force_next_flush() IS NULL OR true,
				pg_stat_get_tuples_updated('letters'::regclass) + pg_stat_get_tuples_deleted('letters'::regclass)`).Scan(new(bool), &n))
			return n == changes
		}, 20*time.Second, 50*time.Millisecond)
	}
	counted(2000)
	remnants := postgres.NewRemnants(pool, 64<<20, slog.New(slog.DiscardHandler))
	require.NoError(t, remnants.Clean(t.Context()))
	require.Empty(t, enginetest.PostgresFilesWith(t, pool, private))
	require.Empty(t, enginetest.PostgresFilesWith(t, pool, edited))
	require.NotEmpty(t, enginetest.PostgresFilesWith(t, pool, young))

	// What has not changed is not written again, what others hold is left to the next
	// call, and so is what is too large.
	file := func() (n uint32) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT relfilenode FROM pg_class WHERE relname = 'letters'`).Scan(&n))
		return n
	}
	before := file()
	require.NoError(t, remnants.Clean(t.Context()))
	require.Equal(t, before, file())
	exec(`DELETE FROM letters WHERE id = 1`)
	counted(2001)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT count(*) FROM letters`)
	require.NoError(t, err)
	require.NoError(t, remnants.Clean(t.Context()))
	require.Equal(t, before, file())
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, postgres.NewRemnants(pool, 8192, slog.New(slog.DiscardHandler)).Clean(t.Context()))
	require.Equal(t, before, file())
	require.NoError(t, remnants.Clean(t.Context()))
	require.NotEqual(t, before, file())
}
