package doctor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/doctor"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/migrate"
)

const (
	gib = uint64(1) << 30
	mib = uint64(1) << 20
)

func sound() doctor.Settings {
	return doctor.Settings{
		Partitions: 12, Replication: 1, Listen: "127.0.0.1:8080",
		ESIURL: "https://esi.evetech.net", SSOURL: "https://login.eveonline.com", SamURL: "https://sam.example.edu", RawlsURL: "https://rawls.example.edu",
		SSOClientID: "ours", Contact: "ops@corporation.eu",
	}
}

func with(change func(*doctor.Settings)) doctor.Settings {
	s := sound()
	change(&s)
	return s
}

func TestSettingsMustNotContradict(t *testing.T) {
	of := func(name string, v doctor.Verdict, says string, change func(*doctor.Settings)) judged {
		return judged{name, doctor.Contradictions(with(change)), v, says}
	}
	requireJudged(t, []judged{
		of("sound", doctor.OK, "", func(*doctor.Settings) {}),
		of("cluster without servers", doctor.Failed, "MUSTER_CLICKHOUSE_DSN", func(s *doctor.Settings) { s.ClickHouseCluster = "main" }),
		of("cluster of one's own", doctor.OK, "", func(s *doctor.Settings) { s.ClickHouseCluster, s.OwnClickHouse = "main", true }),
		of("no partitions", doctor.Failed, "MUSTER_KAFKA_PARTITIONS is 0", func(s *doctor.Settings) { s.Partitions = 0 }),
		of("copies on one broker", doctor.Failed, "one broker", func(s *doctor.Settings) { s.Replication = 3 }),
		of("copies on one's own", doctor.OK, "", func(s *doctor.Settings) { s.Replication, s.OwnKafka = 3, true }),
		of("listen", doctor.Failed, "host:port", func(s *doctor.Settings) { s.Listen = "8080" }),
		of("no contact", doctor.Failed, "MUSTER_CONTACT", func(s *doctor.Settings) { s.Contact = "" }),
		of("nothing to contact about", doctor.OK, "", func(s *doctor.Settings) { s.Contact, s.SSOClientID = "", "" }),
		of("secret without id", doctor.Warning, "MUSTER_SSO_CLIENT_ID", func(s *doctor.Settings) { s.SSOClientID, s.SSOClientSecret = "", "hush" }),
		of("one application for both", doctor.Failed, "one application", func(s *doctor.Settings) { s.SignInClient = "ours" }),
		of("callback", doctor.Failed, "MUSTER_SSO_CALLBACK_URL", func(s *doctor.Settings) { s.SSOCallbackURL = "/sso/callback" }),
		of("two keys", doctor.Warning, "the file is not looked at", func(s *doctor.Settings) { s.TwoKeys = true }),
		of("two former keys", doctor.Warning, "PREVIOUS_FILE", func(s *doctor.Settings) { s.TwoFormerKeys = true }),
		of("refused", doctor.Failed, "--retention-days: x", func(s *doctor.Settings) { s.Refused = []string{"--retention-days: x"} }),
	})
}

func TestTheSimulatedAndTheRealWorldAreKeptApart(t *testing.T) {
	const local = "http://127.0.0.1:8085"
	of := func(name string, v doctor.Verdict, says string, change func(*doctor.Settings)) judged {
		return judged{name, doctor.Worlds(with(change)), v, says}
	}
	simulated := func(s *doctor.Settings) {
		s.ESIURL, s.SSOURL, s.SamURL, s.RawlsURL, s.NoCredentials = local, local, local, "http://localhost:1", true
		s.SSOClientID, s.Contact, s.DemoData = "muster-simulated", "demo@example.org", true
	}
	requireJudged(t, []judged{
		of("real", doctor.OK, "", func(*doctor.Settings) {}),
		of("simulated", doctor.OK, "", simulated),
		of("tokens of another world", doctor.Failed, "MUSTER_SSO_URL", func(s *doctor.Settings) { s.ESIURL = local }),
		of("half of AnVIL", doctor.Failed, "MUSTER_RAWLS_URL", func(s *doctor.Settings) { s.RawlsURL = local }),
		of("no credentials", doctor.Failed, "MUSTER_ANVIL_CREDENTIALS", func(s *doctor.Settings) { s.NoCredentials = true }),
		of("simulated application", doctor.Failed, "client id", func(s *doctor.Settings) { s.SSOClientID = "muster-simulated" }),
		of("simulated sign-in", doctor.Failed, "client id", func(s *doctor.Settings) { s.SignInClient = "muster-simulated-sign-in" }),
		of("example contact", doctor.Failed, "MUSTER_CONTACT", func(s *doctor.Settings) { s.Contact = "demo@mail.example.org" }),
		of("no example", doctor.OK, "", func(s *doctor.Settings) { s.Contact = "a@notexample.org" }),
		of("made-up data", doctor.Warning, "data folder of its own", func(s *doctor.Settings) { s.DemoData = true }),
	})
}

func TestNamesOfSettingsAreKnown(t *testing.T) {
	requireJudged(t, []judged{
		{"no file", doctor.Known(doctor.Document{}), doctor.OK, ""},
		{"unknown key", doctor.Known(doctor.Document{There: true, Unknown: []string{"kafka-borkers"}}), doctor.Warning, "kafka-borkers"},
		{"list", doctor.Known(doctor.Document{There: true, Lists: []string{"kafka-brokers"}}), doctor.Failed, "one text"},
		{"variable", doctor.Known(doctor.Document{Variables: []string{"MUSTER_LISTN"}}), doctor.Warning, "MUSTER_LISTN"},
	})
}

func TestEnginesAreOfSupportedVersions(t *testing.T) {
	kafka := func(brokers int, versions ...string) eventlog.Cluster {
		return eventlog.Cluster{Brokers: brokers, Versions: versions}
	}
	good := doctor.Server{Number: 170002, Encoding: "UTF8", Fsync: true, FullPageWrites: true, SyncCommit: "on"}
	postgres := func(change func(*doctor.Server)) doctor.Outcome {
		s := good
		change(&s)
		return doctor.Postgres(s, false)
	}
	requireJudged(t, []judged{
		{"Kafka 4", doctor.Kafka(kafka(3, "v4.1"), 3, false), doctor.OK, ""},
		{"Kafka to come", doctor.Kafka(kafka(3, "at least v4.1"), 3, false), doctor.OK, ""},
		{"Kafka 3", doctor.Kafka(kafka(1, "v3.9"), 1, false), doctor.Failed, "v3.9"},
		{"Kafka between", doctor.Kafka(kafka(1, "between v3.8 and v3.9"), 1, false), doctor.Failed, "v3.8"},
		{"unknown Kafka", doctor.Kafka(kafka(1, "unknown custom version"), 1, false), doctor.Warning, "cannot be told"},
		{"embedded Kafka", doctor.Kafka(kafka(1, "v2.0"), 1, true), doctor.OK, ""},
		{"few brokers", doctor.Kafka(kafka(2, "v4.0"), 3, false), doctor.Failed, "MUSTER_KAFKA_REPLICATION to 2"},
		{"Postgres 17", postgres(func(*doctor.Server) {}), doctor.OK, ""},
		{"Postgres 15", postgres(func(s *doctor.Server) { s.Number = 150000 }), doctor.OK, ""},
		{"Postgres 14", postgres(func(s *doctor.Server) { s.Number = 140012 }), doctor.Failed, "Postgres 14"},
		{"encoding", postgres(func(s *doctor.Server) { s.Encoding = "SQL_ASCII" }), doctor.Failed, "SQL_ASCII"},
		{"standby", postgres(func(s *doctor.Server) { s.Standby = true }), doctor.Failed, "primary"},
		{"fsync", postgres(func(s *doctor.Server) { s.Fsync = false }), doctor.Failed, "fsync"},
		{"torn pages", postgres(func(s *doctor.Server) { s.FullPageWrites = false }), doctor.Warning, "full_page_writes"},
		{"commits", postgres(func(s *doctor.Server) { s.SyncCommit = "off" }), doctor.Failed, "synchronous_commit"},
		{"recycled", postgres(func(s *doctor.Server) { s.WALRecycle = true }), doctor.Warning, "wal_recycle"},
		{"ClickHouse as tried", doctor.ClickHouse("26.7.3.1", "26.7.3-stable.1", false), doctor.OK, ""},
		{"newer ClickHouse", doctor.ClickHouse("27.1.1.1", "26.7.3-stable.1", false), doctor.OK, ""},
		{"older ClickHouse", doctor.ClickHouse("25.12.1.1", "26.7.3-stable.1", false), doctor.Warning, "older"},
		{"unreadable", doctor.ClickHouse("head", "26.7.3-stable.1", false), doctor.Warning, "cannot be read"},
		{"away", doctor.Unreached("kafka", "no answer in time", "start it"), doctor.Failed, "no answer in time / start it"},
	})
}

func TestTheLogIsAsTheManifestStates(t *testing.T) {
	at := []eventlog.Partition{{Topic: "muster.eve.v1", ID: 3}}
	requireJudged(t, []judged{
		{"good", doctor.Topics(eventlog.Inspection{Topics: 4}), doctor.OK, ""},
		{"missing", doctor.Topics(eventlog.Inspection{Missing: []string{"muster.eve.v1"}}), doctor.Failed, "muster migrate"},
		{"deviates", doctor.Topics(eventlog.Inspection{Deviations: []eventlog.Deviation{{Topic: "muster.eve.v1", Setting: "retention.ms", Have: "1", Want: "-1", Remedy: "alter it"}}}), doctor.Failed, `retention.ms is "1", must be "-1" / alter it`},
		{"in step", doctor.Replicas(eventlog.Inspection{Partitions: 12}), doctor.OK, ""},
		{"no leader", doctor.Replicas(eventlog.Inspection{Leaderless: at}), doctor.Failed, "no leader"},
		{"refused", doctor.Replicas(eventlog.Inspection{BelowMinimum: at}), doctor.Failed, "min.insync.replicas"},
		{"lags", doctor.Replicas(eventlog.Inspection{OutOfStep: at}), doctor.Warning, "not in step"},
	})
}

func TestPostgresHasRoomRightsAndTables(t *testing.T) {
	requireJudged(t, []judged{
		{"room", doctor.Room(doctor.Connections{Most: 97, InUse: 40, Process: 69}), doctor.OK, ""},
		{"too few", doctor.Room(doctor.Connections{Most: 60, InUse: 4, Process: 69}), doctor.Failed, "max_connections"},
		{"nearly all", doctor.Room(doctor.Connections{Most: 100, InUse: 90, Process: 69}), doctor.Warning, "90 of 100"},
		{"rights", doctor.MayWork(doctor.Rights{Create: true, Rewrite: true}), doctor.OK, ""},
		{"no schemas", doctor.MayWork(doctor.Rights{Rewrite: true}), doctor.Failed, "GRANT CREATE"},
		{"foreign", doctor.MayWork(doctor.Rights{Create: true, Rewrite: true, Foreign: []string{"ingest.token"}}), doctor.Failed, "ingest.token"},
		{"no checkpoint", doctor.MayWork(doctor.Rights{Create: true}), doctor.Warning, "pg_checkpoint"},
		{"migrated", doctor.Migrations([]migrate.Standing{{Schema: "ingest"}}), doctor.OK, ""},
		{"behind", doctor.Migrations([]migrate.Standing{{Schema: "ingest", Pending: []int64{7, 9}}}), doctor.Failed, "lacks 2 migrations, the first is 7"},
		{"ahead", doctor.Migrations([]migrate.Standing{{Schema: "ingest", Unknown: []int64{7, 9}}}), doctor.Failed, "the last is 9"},
	})
}

func TestReadModelsAreLiveAndKeepUp(t *testing.T) {
	v := doctor.View{Name: "characters", Live: true, Generation: 2, Version: 5, Want: 5, Owned: true}
	view := func(change func(*doctor.View)) []doctor.View {
		changed := v
		change(&changed)
		return []doctor.View{v, changed}
	}
	lag := func(before, after, moved int64, behind time.Duration) doctor.Outcome {
		return doctor.Lags([]doctor.Lag{{Name: "characters", Before: before, After: after, Moved: moved, Behind: behind}})
	}
	requireJudged(t, []judged{
		{"live", doctor.Views([]doctor.View{v}), doctor.OK, ""},
		{"none", doctor.Views(view(func(v *doctor.View) { v.Live = false })), doctor.Failed, "no live generation"},
		{"older", doctor.Views(view(func(v *doctor.View) { v.Version = 4 })), doctor.Warning, "version 4"},
		{"newer", doctor.Views(view(func(v *doctor.View) { v.Version = 6 })), doctor.Failed, "newer version of Muster"},
		{"nobody", doctor.Views(view(func(v *doctor.View) { v.Owned = false })), doctor.Warning, "no process folds characters"},
		{"tables", doctor.Tables([]doctor.View{v}), doctor.OK, ""},
		{"tables missing", doctor.Tables(view(func(v *doctor.View) { v.Missing = []string{"users"} })), doctor.Failed, "muster replay characters"},
		{"nothing waits", lag(0, 0, 0, 0), doctor.OK, ""},
		{"just appended to a quiet partition", lag(0, 1, 0, 72*time.Hour), doctor.OK, ""},
		{"caught up in between", lag(9, 0, 9, 0), doctor.OK, ""},
		{"a moment behind", lag(9, 9, 0, time.Second), doctor.OK, ""},
		{"moves", lag(9000, 8000, 1000, time.Hour), doctor.Warning, "catches up"},
		{"rests", lag(9, 9, 0, 2*time.Minute), doctor.Warning, "did not move"},
		{"stands still", lag(9, 9, 0, time.Hour), doctor.Failed, "stands still"},
		{"parked", doctor.Parked(map[string]int{"wallet": 2}), doctor.Failed, "wallet has set 2 events aside"},
		{"none parked", doctor.Parked(nil), doctor.OK, ""},
	})
}

func TestLoginsAreCountedAndNeverNamed(t *testing.T) {
	requireJudged(t, []judged{
		{"none", doctor.Consent(doctor.Logins{}), doctor.OK, ""},
		{"good", doctor.Consent(doctor.Logins{Configured: true, Active: 3, Known: 3, NotConsented: map[string]int{"mails": 2}}), doctor.OK, ""},
		{"ended", doctor.Consent(doctor.Logins{Configured: true, Active: 3, Known: 3, Ended: 1}), doctor.Warning, "1 of 4 logins have ended"},
		{"nobody consents", doctor.Consent(doctor.Logins{Configured: true, Active: 3, Known: 2, NotConsented: map[string]int{"mails": 2, "assets": 1}}), doctor.Warning, "nobody has consented to: mails /"},
		{"no application", doctor.Consent(doctor.Logins{Active: 3, Known: 3}), doctor.Warning, "MUSTER_SSO_CLIENT_ID"},
		{"key", doctor.Opens(doctor.Sealed{Current: 4}), doctor.OK, ""},
		{"former key", doctor.Opens(doctor.Sealed{Current: 4, Former: 1}), doctor.Warning, "muster secret rotate"},
		{"another key", doctor.Opens(doctor.Sealed{Current: 4, Unopened: 2}), doctor.Failed, "2 of 6 secrets"},
	})
}

func TestClocksAgreeWithinAFewSeconds(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	clock := func(off, took, grain time.Duration) doctor.Outcome {
		told := now.Add(took/2 + off)
		if grain > 0 {
			told = told.Truncate(grain)
		}
		return doctor.Clocks([]doctor.Clock{doctor.NewClock("Postgres", told, now, now.Add(took), grain)})
	}
	requireJudged(t, []judged{
		{"same", clock(0, time.Millisecond, 0), doctor.OK, ""},
		{"near", clock(-2900*time.Millisecond, 0, 0), doctor.OK, ""},
		{"behind", clock(-4*time.Second, 0, 0), doctor.Failed, "4s behind this machine's"},
		{"before", clock(time.Hour, 0, 0), doctor.Failed, "1h0m0s before this machine's"},
		{"slow answer", clock(4*time.Second, 3*time.Second, 0), doctor.OK, ""},
		{"whole seconds", clock(0, 10*time.Millisecond, time.Second), doctor.OK, ""},
		{"whole seconds behind", clock(-10*time.Second, 10*time.Millisecond, time.Second), doctor.Failed, "behind"},
	})
	exact := doctor.NewClock("ESI", now.Add(time.Second), now, now.Add(2*time.Second), 0)
	require.Zero(t, exact.Ahead)
	require.Equal(t, time.Second, exact.Within)
}

func TestTheMachineHasRoom(t *testing.T) {
	disk := func(free, total uint64) doctor.Outcome {
		return doctor.Disks([]doctor.Disk{{Name: "data folder", Free: free, Total: total}})
	}
	requireJudged(t, []judged{
		{"disk", disk(30*gib, 250*gib), doctor.OK, ""},
		{"a tenth of a small one", disk(4*gib, 30*gib), doctor.OK, ""},
		{"less", disk(2*gib, 30*gib), doctor.Warning, "2048 MiB"},
		{"a hundredth", disk(9*gib, 900*gib), doctor.Failed, "make room"},
		{"full", disk(900*mib, 3*gib), doctor.Failed, "make room"},
		{"not told", disk(0, 0), doctor.OK, ""},
		{"memory", doctor.Memories(doctor.Memory{Machine: 8 * gib, Available: 4 * gib, Embedded: true}), doctor.OK, ""},
		{"small role", doctor.Memories(doctor.Memory{Machine: 8 * gib, Group: 512 * mib, Available: 4 * gib}), doctor.OK, ""},
		{"small with engines", doctor.Memories(doctor.Memory{Machine: 8 * gib, Group: 512 * mib, Available: 4 * gib, Embedded: true}), doctor.Warning, "512 MiB"},
		{"limit above the bound", doctor.Memories(doctor.Memory{Machine: 8 * gib, Group: 512 * mib, Limit: gib, Available: gib}), doctor.Warning, "GOMEMLIMIT"},
		{"taken", doctor.Memories(doctor.Memory{Machine: 8 * gib, Available: 100 * mib}), doctor.Warning, "only 100 MiB"},
	})
}

func TestSecretsAreForTheirOwner(t *testing.T) {
	file := func(f doctor.File) doctor.Outcome {
		f.Path, f.What = "/data/secret-key", "the key"
		return doctor.Files([]doctor.File{f})
	}
	requireJudged(t, []judged{
		{"owner", file(doctor.File{Mode: 0o600}), doctor.OK, ""},
		{"group", file(doctor.File{Mode: 0o640}), doctor.Warning, "chmod 600 /data/secret-key"},
		{"group writes", file(doctor.File{Mode: 0o660}), doctor.Failed, "written by its group"},
		{"everybody", file(doctor.File{Mode: 0o644}), doctor.Failed, "open to everybody (mode 0644)"},
		{"missing", file(doctor.File{Missing: true, Unreadable: true}), doctor.Failed, "not there"},
		{"unreadable", file(doctor.File{Mode: 0o600, Unreadable: true}), doctor.Failed, "cannot be read"},
	})
}

func TestServicesAnswer(t *testing.T) {
	answer := func(status int, reason string) doctor.Outcome {
		return doctor.Services([]doctor.Service{{Name: "ESI", Setting: "MUSTER_ESI_URL", Status: status, Reason: reason}})
	}
	requireJudged(t, []judged{
		{"good", answer(200, ""), doctor.OK, ""},
		{"no such route", answer(404, ""), doctor.OK, ""},
		{"down", answer(503, ""), doctor.Warning, "status 503"},
		{"away", answer(0, "its host name is not known"), doctor.Failed, "its host name is not known / look at MUSTER_ESI_URL"},
	})
	for address, want := range map[string]bool{"http://127.0.0.1:1": true, "http://localhost/x": true, "http://[::1]:1": true, "https://esi.evetech.net": false, "": false, "http://127.0.0.1.example.org": false} {
		require.Equal(t, want, doctor.IsLoopback(address), address)
	}
}
