//go:build linux

package main

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/engine/freeport"
)

func TestUpRunsOnARealKafkaBrokerAndAPostgresOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	requireEngines(t)
	brokers, postgres := enginetest.RealKafka(t), enginetest.PostgresDSN(t)
	s := &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	t.Cleanup(s.requireNothingLeft)
	port, err := freeport.One(t.Context())
	require.NoError(t, err)
	s.apiURL = "http://127.0.0.1:" + strconv.Itoa(port)
	s.env = cleanEnvironment("MUSTER_DATA_DIR="+s.data, "MUSTER_LISTEN=127.0.0.1:"+strconv.Itoa(port),
		"MUSTER_KAFKA_BROKERS="+strings.Join(brokers, ","), "MUSTER_POSTGRES_DSN="+postgres)

	d := startDemo(t, s, "up")
	d.requireBothWorlds(t, 1)
	require.NoDirExists(t, filepath.Join(s.data, "kafka"), "no broker of its own")
	require.NoDirExists(t, filepath.Join(s.data, "postgres"), "no Postgres of its own")
	require.Contains(t, d.run("verify"), ", 0 differ")
	require.Contains(t, d.run("replay"), "equal, switched")
	d.interrupt(t)
}
