package clickhouse_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
)

func TestDeletedRowsAreTakenOutOfTheParts(t *testing.T) {
	f := newFactTables(t, clickhouse.Facts())
	var cluster runner.Cluster
	if clustertest.Asked() {
		cluster = clustertest.Cluster()
	}
	rows := func() uint64 {
		t.Helper()
		var n uint64
		require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT count() FROM "+f.name+".mining SETTINGS apply_deleted_mask = 0").Scan(&n))
		return n
	}
	require.NoError(t, f.conn.Exec(t.Context(), "INSERT INTO "+f.name+".mining SELECT number, toDate('2026-01-01'), 30000142, 1224, 1, generateUUIDv4(), 0, number FROM numbers(10)"))
	require.NoError(t, f.conn.Exec(t.Context(), "DELETE FROM "+f.name+".mining"+ofShard()+" WHERE character_id IN (3, 4) SETTINGS lightweight_deletes_sync = 2"))
	require.EqualValues(t, 10, rows(), "nobody sees them, and they are there")

	for what, databases := range map[string][]string{"of nothing": nil, "of others": {"elsewhere"}} {
		other := clickhouse.NewDeletedRows(f.conn, cluster, func(context.Context) ([]string, error) { return databases, nil })
		left, err := other.Left(t.Context())
		require.NoError(t, err)
		require.Zero(t, left, what)
		require.NoError(t, other.Clean(t.Context()))
	}
	require.EqualValues(t, 10, rows())

	d := clickhouse.NewDeletedRows(f.conn, cluster, func(context.Context) ([]string, error) { return []string{"elsewhere", f.name}, nil })
	left, err := d.Left(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, left)
	require.NoError(t, d.Clean(t.Context()))
	require.EqualValues(t, 8, rows())
	left, err = d.Left(t.Context())
	require.NoError(t, err)
	require.Zero(t, left)
}
