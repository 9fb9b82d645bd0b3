package clickhouse_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func schemas() []runner.Projection {
	return []runner.Projection{
		clickhouse.Wallet(), clickhouse.EventIndex(), clickhouse.Facts(), clickhouse.FindingSteps(), clickhouse.Records(), clickhouse.Organisation(), clickhouse.AnVILHistory(),
	}
}

func TestStatementsOfAClusterAreAsWrittenDown(t *testing.T) {
	for _, p := range schemas() {
		statements, err := runner.Cluster{Name: "muster"}.Statements(p.Schema, "muster_"+p.Name+"_g1", 3)
		require.NoError(t, err)
		got := strings.Join(statements, ";\n\n") + ";\n"
		golden := filepath.Join("testdata", "cluster", p.Name+".sql")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "go test ./projections/clickhouse -run %s -update writes it anew", t.Name())
	}
}

func TestOneServerIsToldTheSchemaAsItIs(t *testing.T) {
	for _, p := range schemas() {
		statements, err := runner.Cluster{}.Statements(p.Schema, "d", 0)
		require.NoError(t, err)
		require.Equal(t, "CREATE DATABASE IF NOT EXISTS `d`", statements[0])
		var whole []string
		for s := range strings.SplitSeq(strings.ReplaceAll(p.Schema, "{database}", "`d`"), ";") {
			if s = strings.TrimSpace(s); s != "" {
				whole = append(whole, s)
			}
		}
		require.Equal(t, whole, statements[1:])
	}
}

// Every table that is compared, read with FINAL or removed from has its rows of one key in
// one shard: the column by which rows are spread is part of what they are replaced by.
func TestRowsThatReplaceOneAnotherLieInOneShard(t *testing.T) {
	for _, p := range schemas() {
		for statement := range strings.SplitSeq(p.Schema, ";") {
			if !strings.Contains(statement, "ENGINE") {
				continue
			}
			statements, err := runner.Cluster{Name: "c"}.Statements(statement, "d", 2)
			require.NoError(t, err)
			require.Len(t, statements, 3)
			_, after, _ := strings.Cut(statements[2], "sipHash64(")
			column, _, _ := strings.Cut(after, ")")
			_, order, _ := strings.Cut(statement, "ORDER BY ")
			order, _, _ = strings.Cut(order, "\n")
			require.Contains(t, strings.FieldsFunc(order, func(r rune) bool { return strings.ContainsRune("(), ", r) }), column, statement)
		}
	}
}

// The tests of this package ask the readers what they know of rows that they put there.
func TestAnswersOverShardsAreThoseOfOneServer(t *testing.T) { clustertest.Again(t, "^Test") }
