package migrate_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/migrate"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func files() fstest.MapFS {
	return fstest.MapFS{
		"00001_first.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE things (id bigint PRIMARY KEY);\nINSERT INTO things VALUES (1);\n")},
		"00002_second.sql": {Data: []byte("-- +goose Up\nINSERT INTO things VALUES (2);\n")},
	}
}

func TestProcessesThatStartTogetherMigrateOnce(t *testing.T) {
	pool := enginetest.Postgres(t)
	for _, schema := range []string{"one", "two", "three", "four", "five"} {
		var together errgroup.Group
		for range 8 {
			together.Go(func() error { return migrate.Postgres(t.Context(), pool, schema, files()) })
		}
		require.NoError(t, together.Wait())
		var n, sum int
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*), sum(id) FROM "+schema+".things").Scan(&n, &sum))
		require.Equal(t, []int{2, 3}, []int{n, sum})
	}
}

func TestMigratingAgainChangesNothing(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, migrate.Postgres(t.Context(), pool, "again", files()))
	require.NoError(t, migrate.Postgres(t.Context(), pool, "again", files()))
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM again.things").Scan(&n))
	require.Equal(t, 2, n)
}

func TestABrokenMigrationNamesItsSchema(t *testing.T) {
	broken := fstest.MapFS{"00001_broken.sql": {Data: []byte("-- +goose Up\nCREATE TABLE (;\n")}}
	require.ErrorContains(t, migrate.Postgres(t.Context(), enginetest.Postgres(t), "broken", broken), "migrating schema broken")
}
