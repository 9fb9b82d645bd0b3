package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/migrate"
)

// whose tells embedded engines from others.
func whose(embedded bool) string {
	if embedded {
		return "embedded"
	}
	return "your own"
}

// Unreached is the outcome of an engine that does not answer.
func Unreached(engine, reason, remedy string) (o Outcome) {
	o.fail(remedy, "%s: %s", engine, reason)
	return o
}

// leastKafka is the oldest major version of Kafka that is supported.
const leastKafka = 4

var release = regexp.MustCompile(`v?(\d+)\.(\d+)`)

// Kafka judges what brokers told of themselves. Replication is the setting.
func Kafka(seen eventlog.Cluster, replication int16, embedded bool) (o Outcome) {
	o.Seen = fmt.Sprintf("%d brokers, %s, %s", seen.Brokers, strings.Join(seen.Versions, ", "), whose(embedded))
	if embedded {
		// It is as new as this program, whatever its requests look like.
		o.Seen = "embedded"
	} else {
		for _, version := range seen.Versions {
			switch m := release.FindStringSubmatch(version); {
			case m == nil:
				o.warn("Kafka 4 is supported; look at the version of the broker", "a broker's version cannot be told from its requests: %s", version)
			case strings.HasPrefix(version, "not even"), atoi(m[1]) < leastKafka && !strings.HasPrefix(version, "at least"):
				o.fail("bring the brokers to Kafka 4", "a broker speaks as Kafka %s", version)
			}
		}
	}
	if seen.Brokers < int(replication) {
		o.fail(fmt.Sprintf("add brokers, or set MUSTER_KAFKA_REPLICATION to %d before the topics are made", seen.Brokers),
			"%d brokers cannot hold %d copies of a partition", seen.Brokers, replication)
	}
	return o
}

func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// Topics judges how the topics are set up.
func Topics(seen eventlog.Inspection) (o Outcome) {
	o.Seen = fmt.Sprintf("%d topics as the manifest states", seen.Topics)
	for _, name := range seen.Missing {
		o.fail("run muster migrate, or start Muster: it makes them", "topic %s does not exist", name)
	}
	for _, d := range seen.Deviations {
		o.fail(d.Remedy, "topic %s: %s is %q, must be %q", d.Topic, d.Setting, d.Have, d.Want)
	}
	return o
}

// Replicas judges whether all copies of all partitions are there.
func Replicas(seen eventlog.Inspection) (o Outcome) {
	o.Seen = fmt.Sprintf("%d partitions, all copies in step", seen.Partitions)
	if n := len(seen.Leaderless); n > 0 {
		o.fail("bring the missing brokers back", "%d partitions have no leader, such as %s: nothing can be read from or appended to them", n, seen.Leaderless[0])
	}
	if n := len(seen.BelowMinimum); n > 0 {
		o.fail("bring the missing brokers back, or lower min.insync.replicas to what there is", "%d partitions, such as %s, have fewer copies in step than min.insync.replicas: appends are refused", n, seen.BelowMinimum[0])
	}
	if n := len(seen.OutOfStep); n > 0 {
		o.warn("look at the brokers that lag or are away", "%d partitions, such as %s, have copies that are not in step", n, seen.OutOfStep[0])
	}
	return o
}

// leastPostgres is the oldest major version of Postgres that is supported.
const leastPostgres = 15

// Server is what Postgres tells of itself.
type Server struct {
	// Number is server_version_num, such as 170002.
	Number                            int
	Encoding                          string
	Standby                           bool
	Fsync, FullPageWrites, WALRecycle bool
	// SyncCommit is synchronous_commit as sessions get it.
	SyncCommit string
}

// Postgres judges the server and how safe what it confirms is.
func Postgres(s Server, embedded bool) (o Outcome) {
	o.Seen = fmt.Sprintf("Postgres %d.%d, %s", s.Number/10000, s.Number%10000, whose(embedded))
	if s.Number/10000 < leastPostgres {
		o.fail("bring the server to Postgres 15 or newer", "Postgres %d", s.Number/10000)
	}
	if s.Encoding != "UTF8" {
		o.fail("make a database with encoding UTF8 and move there", "the database's encoding is %s", s.Encoding)
	}
	if s.Standby {
		o.fail("set MUSTER_POSTGRES_DSN to the primary", "the server is a standby, which takes no writes")
	}
	if !s.Fsync {
		o.fail("set fsync = on", "fsync is off: a crash of the machine loses or breaks what was confirmed")
	}
	if !s.FullPageWrites {
		o.warn("set full_page_writes = on, unless the file system writes pages whole", "full_page_writes is off: a crash may leave torn pages")
	}
	if s.SyncCommit == "off" {
		o.fail("set synchronous_commit = on; Muster relaxes it by itself where nothing is lost", "synchronous_commit is off: a crash loses logins and commands that were confirmed")
	}
	if s.WALRecycle {
		o.warn("set wal_recycle = off, if what retention removes is to leave the disk", "wal_recycle is on: segments of the write-ahead log that are used again hold bytes of what was removed")
	}
	return o
}

// Connections is how many connections of Postgres there are and are needed.
type Connections struct {
	// Most is what is left to ordinary users, InUse how many are open, by whomever.
	Most, InUse int
	// Process is the most that one process with all roles opens.
	Process int
}

// Room judges whether connections suffice.
func Room(c Connections) (o Outcome) {
	o.Seen = fmt.Sprintf("%d of %d connections open; one process with all roles opens up to %d", c.InUse, c.Most, c.Process)
	switch remedy := "raise max_connections"; {
	case c.Most < c.Process:
		o.fail(remedy, "Postgres has %d connections, and one process with all roles opens up to %d", c.Most, c.Process)
	case c.InUse*10 >= c.Most*9:
		o.warn(remedy+", or close what else is connected", "%d of %d connections are open", c.InUse, c.Most)
	}
	return o
}

// Migrations judges whether tables are of this version.
func Migrations(all []migrate.Standing) (o Outcome) {
	o.Seen = fmt.Sprintf("%d schemas up to date", len(all))
	for _, s := range all {
		if n := len(s.Pending); n > 0 {
			o.fail("run muster migrate, or start Muster: it brings tables up to date", "schema %s lacks %d migrations, the first is %d", s.Schema, n, s.Pending[0])
		}
		if n := len(s.Unknown); n > 0 {
			o.fail("run the version of Muster that made them, or a newer one", "schema %s has %d migrations that this version does not know, the last is %d", s.Schema, n, s.Unknown[n-1])
		}
	}
	return o
}

// Rights are what Muster's user may do in Postgres.
type Rights struct {
	// Create says that schemas can be made.
	Create bool
	// Foreign are tables in Muster's schemas that belong to somebody else.
	Foreign []string
	// Rewrite says that a segment of the write-ahead log can be closed and a
	// checkpoint made.
	Rewrite bool
}

// MayWork judges rights.
func MayWork(r Rights) (o Outcome) {
	o.Seen = "schemas can be made, all tables are the user's own"
	if !r.Create {
		o.fail("GRANT CREATE ON DATABASE ... TO the user of MUSTER_POSTGRES_DSN", "the user may not make schemas in the database")
	}
	if n := len(r.Foreign); n > 0 {
		o.fail("ALTER TABLE ... OWNER TO the user of MUSTER_POSTGRES_DSN", "%d tables belong to somebody else, such as %s", n, r.Foreign[0])
	}
	if !r.Rewrite {
		o.warn("GRANT pg_checkpoint and EXECUTE ON FUNCTION pg_switch_wal() to the user, if what retention removes is to leave the disk at once", "the user may not make a checkpoint or close a segment of the write-ahead log")
	}
	return o
}

// ClickHouse judges the version of the server; tried is the one that tests run on.
func ClickHouse(version, tried string, embedded bool) (o Outcome) {
	o.Seen = fmt.Sprintf("ClickHouse %s, %s", version, whose(embedded))
	have, want := release.FindStringSubmatch(version), release.FindStringSubmatch(tried)
	switch {
	case embedded || want == nil:
	case have == nil:
		o.warn("a recent release is supported, "+tried+" is tried", "the version %q cannot be read", version)
	case atoi(have[1])*100+atoi(have[2]) < atoi(want[1])*100+atoi(want[2]):
		o.warn("bring the server to that release if questions fail", "ClickHouse %s is older than %s, which Muster is tried with", version, tried)
	}
	return o
}
