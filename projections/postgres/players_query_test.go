package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/postgres"
)

func TestPlayersAreWhatESISaidLast(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	said := func() *postgres.Players {
		t.Helper()
		players, err := reader.Players(t.Context())
		require.NoError(t, err)
		return players
	}
	require.Nil(t, said(), "there is no reference data")
	_, err := v.pool.Exec(t.Context(), `CREATE SCHEMA universe; CREATE TABLE universe.server_status (players bigint, read_at timestamptz, vip boolean)`)
	require.NoError(t, err)
	require.Nil(t, said(), "nobody has asked")
	_, err = v.pool.Exec(t.Context(), `INSERT INTO universe.server_status (players, vip, read_at) VALUES (21345, true, $1)`, at(7))
	require.NoError(t, err)
	require.Equal(t, &postgres.Players{Online: 21345, ReadAt: at(7), VIP: true}, said())
}
