//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

func TestASchemaThatIsBeingBuiltDoesNotHoldRetentionUp(t *testing.T) {
	pool := enginetest.Postgres(t)
	control, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO runner.scratches (name, until_ns) VALUES ('audit', 1)`)
	require.NoError(t, err)
	for _, name := range []string{pgviews.CharactersName, chviews.WalletName, chviews.FactsName, chviews.RecordsName} {
		_, err = pool.Exec(t.Context(), `INSERT INTO runner.projections (name) VALUES ($1)`, name)
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), `INSERT INTO runner.generations (name, generation, version, namespace, status, scratch) VALUES ($1, 1, 1, 'muster_audit_' || $1, 'scratch', 'audit')`, name)
		require.NoError(t, err)
	}
	scratches, err := control.Scratches(t.Context())
	require.NoError(t, err)
	require.Len(t, scratches[0].Generations, 4)

	// Of no table of theirs is there one, and no ClickHouse.
	s := &stores{pool: pool, control: control}
	aged, err := s.agedBeside(t.Context(), time.Now())
	require.NoError(t, err)
	require.Empty(t, aged)

	_, err = pool.Exec(t.Context(), `INSERT INTO runner.checkpoints (name, generation, topic, partition, next_offset, records) VALUES ($1, 1, 't', 0, 1, 1)`, pgviews.CharactersName)
	require.NoError(t, err)
	_, err = s.agedBeside(t.Context(), time.Now())
	require.ErrorContains(t, err, "muster_audit_characters", "what was begun is looked into")
}
