package migrate_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/migrate"
)

func TestTheStandingOfASchemaIsReadAndNotChanged(t *testing.T) {
	pool := enginetest.Postgres(t)
	set := func(names ...string) migrate.Set {
		files := fstest.MapFS{}
		for _, name := range names {
			files["migrations/"+name] = &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;\n")}
		}
		return migrate.Set{Schema: "standing", Files: files}
	}
	two := set("00001_one.sql", "00020_two.sql")
	s, err := two.Standing(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, migrate.Standing{Schema: "standing", Pending: []int64{1, 20}}, s)
	var there bool
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'standing')").Scan(&there))
	require.False(t, there)

	files, err := fs.Sub(two.Files, "migrations")
	require.NoError(t, err)
	require.NoError(t, migrate.Postgres(t.Context(), pool, "standing", files))
	s, err = two.Standing(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, migrate.Standing{Schema: "standing"}, s)
	s, err = set("00001_one.sql", "00003_between.sql").Standing(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, migrate.Standing{Schema: "standing", Pending: []int64{3}, Unknown: []int64{20}}, s)
}
