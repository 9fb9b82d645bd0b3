package universe

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// Nearly every answer looks a few places up.
func TestAFewPlacesAreFoundWithoutReadingAll(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, Migrate(t.Context(), pool))
	_, err := pool.Exec(t.Context(), `ANALYZE universe.system; ANALYZE universe.station`)
	require.NoError(t, err)
	for view, key := range map[string]string{"location": "location_id", "entity": "id"} {
		rows, err := pool.Query(t.Context(), `EXPLAIN SELECT `+key+`, name FROM universe.`+view+` WHERE `+key+` = ANY($1)`, pgx.QueryExecModeExec, []int64{30000142, 60003760})
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := strings.Join(lines, "\n")
		for _, table := range []string{"system", "station", "named"} {
			require.NotContains(t, plan, "Seq Scan on "+table, plan)
		}
	}

	var place struct {
		Name, Kind string
	}
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT name, kind FROM universe.location WHERE location_id = 2004`).Scan(&place.Name, &place.Kind))
	require.Equal(t, "Asset Safety", place.Name)
	require.Equal(t, "asset safety", place.Kind)
}
