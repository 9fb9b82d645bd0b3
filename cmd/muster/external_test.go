//go:build linux

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestUpRunsOnARealKafkaBrokerAndAPostgresOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	requireEngines(t)
	brokers, postgres := enginetest.RealKafka(t), enginetest.PostgresDSN(t)
	s := oneProcess(t, "MUSTER_KAFKA_BROKERS="+strings.Join(brokers, ","), "MUSTER_POSTGRES_DSN="+postgres)

	d := startDemo(t, s, "up")
	d.requireBothWorlds(t, 1)
	require.NoDirExists(t, filepath.Join(s.data, "kafka"), "no broker of its own")
	require.NoDirExists(t, filepath.Join(s.data, "postgres"), "no Postgres of its own")
	require.Contains(t, d.run("verify"), ", 0 differ")
	require.Contains(t, d.run("replay"), "equal, switched")
	d.interrupt(t)
}
