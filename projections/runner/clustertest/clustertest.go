// Package clustertest gives tests a ClickHouse cluster of two shards within the embedded
// engine. Distributed tables, the way in which inserts and questions are spread over the
// shards and what comes back of them are ClickHouse's own. Not tried by it are what needs
// ClickHouse Keeper: replication, statements ON CLUSTER, and deduplication by tokens.
package clustertest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/projections/runner"
)

// Cluster is the cluster that the connections of [Open] are of.
func Cluster() runner.Cluster { return runner.Cluster{Name: "local"} }

// generations are those of each projection for which there are settings.
const generations = 3

// Open connects to a new, empty database, whose name it answers and which is dropped when
// the test ends. The tables of the projections may lie there, or in databases of the
// projections' first generations whose names begin with that name.
//
// Both shards are the same engine, so a local table has the rows of both. Each shard
// is made to see its own by a condition in the settings of the connection.
func Open(t testing.TB, projections ...runner.Projection) (conn driver.Conn, database string) {
	t.Helper()
	options, err := clickhouse.ParseDSN(enginetest.ClickHouseShards(t))
	require.NoError(t, err)
	database = options.Auth.Database
	var filters []string
	for _, p := range projections {
		names := []string{database}
		for g := range generations {
			names = append(names, fmt.Sprintf("%s_%s_g%d", database, p.Name, g+1))
		}
		for _, name := range names {
			filters = append(filters, filtersOf(t, p.Schema, name)...)
		}
	}
	options.Settings = maps.Clone(Cluster().Settings())
	// Nobody listens: what is local must not be asked over the network.
	options.Settings["prefer_localhost_replica"] = 1
	options.Settings["additional_table_filters"] = "{" + strings.Join(slices.Compact(slices.Sorted(slices.Values(filters))), ", ") + "}"
	inner, err := clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inner.Close()) })
	return &shards{inner}, database
}

// What says of a statement that makes a distributed table where its rows are.
var distributed = regexp.MustCompile(`ENGINE = Distributed\('local', '(\w+)', '(\w+)', (.*)\)$`)

func filtersOf(t testing.TB, schema, database string) []string {
	t.Helper()
	statements, err := Cluster().Statements(schema, database, enginetest.LocalShards)
	require.NoError(t, err)
	var filters []string
	for _, s := range statements {
		if m := distributed.FindStringSubmatch(s); m != nil {
			filters = append(filters, fmt.Sprintf("'%s.%s': '%s = shardNum() - 1'", m[1], m[2], m[3]))
		}
	}
	require.NotEmpty(t, filters)
	return filters
}

// shards is a connection that leaves out of statements what needs ClickHouse Keeper.
type shards struct{ driver.Conn }

var window = regexp.MustCompile(`replicated_deduplication_window_seconds = \d+, replicated_deduplication_window = \d+`)

// Exec implements [driver.Conn].
func (s *shards) Exec(ctx context.Context, statement string, arguments ...any) error {
	statement = strings.ReplaceAll(statement, " ON CLUSTER `local`", "")
	statement = strings.Replace(statement, "ENGINE = Replicated", "ENGINE = ", 1)
	// What has the same token in another shard is no copy, but both shards are one table here.
	statement = window.ReplaceAllString(statement, "non_replicated_deduplication_window = 0")
	return s.Conn.Exec(ctx, statement, arguments...)
}

// variable has the tests of a package take [Open] instead of one server.
const variable = "MUSTER_TEST_CLICKHOUSE_SHARDS"

// Asked says whether tests that can are to run over the shards.
func Asked() bool { return os.Getenv(variable) != "" }

// Connect is [Open] with its cluster if that is [Asked], and else one server.
func Connect(t testing.TB, projections ...runner.Projection) (conn driver.Conn, database string, cluster runner.Cluster) {
	t.Helper()
	if Asked() {
		conn, database = Open(t, projections...)
		return conn, database, Cluster()
	}
	options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
	require.NoError(t, err)
	conn, err = clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn, options.Auth.Database, cluster
}

// Again runs the tests of this binary that match once more, over the shards. The
// properties among them are tried few times, for the engine is what differs.
func Again(t *testing.T, tests string) {
	t.Helper()
	if Asked() {
		t.Skip("this is the run over the shards")
	}
	_ = enginetest.ClickHouseShards(t) // It skips without an engine.
	binary, err := os.Executable()
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), binary, "-test.run="+tests, "-rapid.checks=5") //nolint:gosec // It is this binary.
	run.Env = append(os.Environ(), variable+"=1")
	output, err := run.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.NotContains(t, string(output), "no tests to run")
}
