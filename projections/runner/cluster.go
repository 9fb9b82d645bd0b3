package runner

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/muster-sync/muster/domain/event"
)

// Cluster is the ClickHouse cluster over which the tables of generations lie, by the
// name that its servers have for it in remote_servers. The zero value is one server.
//
// On a cluster each table of a schema becomes two on every server: a replicated one
// that holds the rows of its shard, and a distributed one of the name that is asked.
// All rows of a stream lie in one shard, so what replaces one another meets there.
type Cluster struct{ Name string }

// localSuffix is what the names of the tables that hold rows end with.
const localSuffix = "_local"

// Spread says whether there is a cluster.
func (c Cluster) Spread() bool { return c.Name != "" }

// Settings are those that every connection to a cluster needs: an insert is
// acknowledged when all shards have it, what a question asks beside its table is asked
// of all shards and not of the own one, and writers and readers take the same replica
// of a shard while it is there, so that nobody reads what is older than a checkpoint.
func (c Cluster) Settings() clickhouse.Settings {
	if !c.Spread() {
		return nil
	}
	return clickhouse.Settings{
		"distributed_foreground_insert": 1,
		"async_insert":                  0,
		"distributed_product_mode":      "global",
		"optimize_skip_unused_shards":   1,
		"load_balancing":                "in_order",
		"prefer_localhost_replica":      0,
		"distributed_ddl_output_mode":   "none",
		"distributed_ddl_task_timeout":  600,
	}
}

// on is the clause that has a statement run on all servers.
func (c Cluster) on() string {
	if !c.Spread() {
		return ""
	}
	return " ON CLUSTER " + quote(c.Name)
}

// LocalTable tells from the name of a table whether it holds the rows of a shard.
func (c Cluster) LocalTable(name string) bool {
	return c.Spread() && strings.HasSuffix(name, localSuffix)
}

// OnAll is the clause for a statement about a table: on all servers for one that holds
// the rows of a shard, none for others.
func (c Cluster) OnAll(table string) string {
	if !c.LocalTable(table) {
		return ""
	}
	return c.on()
}

// FromAll is what to select from to read a table of the database of all replicas.
// A table of ClickHouse's own is in the database system.
func (c Cluster) FromAll(database, table string) string {
	if c.Spread() && (database == "system" || c.LocalTable(table)) {
		return fmt.Sprintf("clusterAllReplicas(%s, %s.%s)", literal(c.Name), quote(database), quote(table))
	}
	return quote(database) + "." + quote(table)
}

// slots are the shards of the cluster, each counted by its weight.
func (c Cluster) slots(ctx context.Context, conn driver.Conn) (int, error) {
	if !c.Spread() {
		return 0, nil
	}
	var names []string
	var slots uint64
	if err := conn.QueryRow(ctx, "SELECT groupUniqArray(cluster), sumIf(weight, cluster = "+literal(c.Name)+
		") FROM (SELECT DISTINCT cluster, shard_num, shard_weight AS weight FROM system.clusters)").Scan(&names, &slots); err != nil {
		return 0, fmt.Errorf("looking for the shards of cluster %s: %w", c.Name, err)
	}
	if slots == 0 {
		return 0, event.Errorf(event.CodeInvalid, "ClickHouse has no cluster %q in its remote_servers, but %q: set MUSTER_CLICKHOUSE_CLUSTER to one of them, or leave it out for one server", c.Name, names)
	}
	return int(slots), nil
}

// Statements make the database of a generation and its tables. slots is the number of
// shards, each counted by its weight; without a cluster it means nothing.
func (c Cluster) Statements(schema, database string, slots int) ([]string, error) {
	out := []string{"CREATE DATABASE IF NOT EXISTS " + quote(database) + c.on()}
	for statement := range strings.SplitSeq(schema, ";") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		tables := []string{statement}
		if c.Spread() {
			var err error
			if tables, err = c.table(statement, slots); err != nil {
				return nil, err
			}
		}
		for _, t := range tables {
			out = append(out, strings.ReplaceAll(strings.ReplaceAll(t, "{database}", quote(database)), "{name}", literal(database)))
		}
	}
	return out, nil
}

// What of the statement of a table is another on a cluster.
var (
	createClause = regexp.MustCompile(`CREATE TABLE IF NOT EXISTS \{database\}\.(\w+)`)
	engineClause = regexp.MustCompile(`\bENGINE = (\w*MergeTree)\b`)
	orderClause  = regexp.MustCompile(`\bORDER BY \(?(\w+(?:, \w+)*)\)?`)
)

// table are the two statements for one of a schema.
//
// A row's shard goes by the hash of the character where the key has one, and of the
// key's first column else: the user, the consortium or whatever has a stream of its
// own. The number of slots is written into it. Shards that come later therefore move
// nothing in tables that are there, and get their part when the next generation is built.
func (c Cluster) table(statement string, slots int) ([]string, error) {
	create, engine, order := createClause.FindStringSubmatch(statement), engineClause.FindStringSubmatch(statement), orderClause.FindStringSubmatch(statement)
	if create == nil || engine == nil || order == nil || len(engineClause.FindAllString(statement, -1)) > 1 {
		return nil, fmt.Errorf("BUG: this is no statement that makes one MergeTree with a key: %s", statement)
	}
	name, column := create[1], "character_id"
	columns := strings.Split(order[1], ", ")
	if !slices.Contains(columns, column) {
		column = columns[0]
	}
	local := strings.Replace(statement, create[0], create[0]+localSuffix+c.on(), 1)
	local = strings.Replace(local, engine[0], "ENGINE = Replicated"+engine[1], 1)
	// A batch is repeated when Muster is started again, and that may take a while.
	local = strings.Replace(local, "non_replicated_deduplication_window =", "replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window =", 1)
	return []string{local, fmt.Sprintf("CREATE TABLE IF NOT EXISTS {database}.%[1]s%[2]s AS {database}.%[1]s%[3]s\nENGINE = Distributed(%[4]s, {name}, %[5]s, sipHash64(%[6]s) %% %[7]d)",
		name, c.on(), localSuffix, literal(c.Name), literal(name+localSuffix), column, slots)}, nil
}

// drop removes the database of a generation.
func (c Cluster) drop(database string) string {
	return "DROP DATABASE IF EXISTS " + quote(database) + c.on() + " SYNC"
}

// remove deletes rows of a table of a generation. spread says that it was made for a
// cluster.
func (c Cluster) remove(database string, r Removal, spread bool) string {
	if !spread {
		return fmt.Sprintf("DELETE FROM %s.%s WHERE %s", quote(database), quote(r.Table), r.Where)
	}
	return fmt.Sprintf("DELETE FROM %s.%s%s WHERE %s", quote(database), quote(r.Table+localSuffix), c.on(), r.Where)
}

// spread tells whether the tables of a generation were made for a cluster. One that
// was not stays on its server until the next generation replaces it.
func (c Cluster) spread(ctx context.Context, conn driver.Conn, database string) (bool, error) {
	var distributed uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = "+literal(database)+" AND engine = 'Distributed'").Scan(&distributed); err != nil {
		return false, fmt.Errorf("looking how the tables of %s lie: %w", database, err)
	}
	if distributed > 0 && !c.Spread() {
		return false, event.Errorf(event.CodeInvalid, "the tables of %s lie on a cluster: set MUSTER_CLICKHOUSE_CLUSTER to its name until another generation is live", database)
	}
	return distributed > 0, nil
}

// literal is a text as ClickHouse reads it.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
