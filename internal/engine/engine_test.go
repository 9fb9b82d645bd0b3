package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

// roleVariable makes this test binary run the engines of a folder until it is killed, instead of the tests.
const roleVariable = "ENGINE_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "muster" {
		runUntilKilled()
		return
	}
	enginetest.Main(m)
}

func runUntilKilled() {
	_, err := engine.Open(context.Background(), engine.Config{
		DataDir:           os.Getenv("FOLDER"),
		ClickHouseCommand: strings.Fields(os.Getenv("CLICKHOUSE_COMMAND")),
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "running")
	select {}
}

func open(t *testing.T, dir string) *engine.Embedded {
	t.Helper()
	engines, err := engine.Open(t.Context(), engine.Config{
		DataDir:           dir,
		ClickHouseCommand: enginetest.ClickHouseCommand(t),
		Backoff:           supervise.Backoff{Initial: 10 * time.Millisecond},
		Registerer:        prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engines.Stop()) })
	return engines
}

// entry is what a test reads of engines.json.
type entry struct {
	PID int `json:"pid"`
}

func entries(t *testing.T, dir string) map[string]entry {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "engines.json"))
	require.NoError(t, err)
	var found map[string]entry
	require.NoError(t, json.Unmarshal(content, &found))
	return found
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// write leaves a trace in each engine.
func write(t *testing.T, addresses engine.Addresses) {
	t.Helper()
	ctx := t.Context()
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses.KafkaBrokers...))
	require.NoError(t, err)
	defer client.Close()
	forever := "-1"
	compact := "compact"
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": &compact, "retention.ms": &forever}, "kept")
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: "kept", Key: []byte("k"), Value: []byte("v")}).FirstErr())

	conn, err := pgx.Connect(ctx, addresses.PostgresDSN)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "create table kept as select 1 as id")
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))

	store := openClickHouse(t, addresses)
	require.NoError(t, store.Exec(ctx, "create table kept (id UInt64) engine = MergeTree order by id"))
	require.NoError(t, store.Exec(ctx, "insert into kept values (1)"))
	require.NoError(t, store.Close())
}

func openClickHouse(t *testing.T, addresses engine.Addresses) clickhouse.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(addresses.ClickHouseDSN)
	require.NoError(t, err)
	conn, err := clickhouse.Open(options)
	require.NoError(t, err)
	return conn
}

// requireKept finds the traces again.
func requireKept(t *testing.T, addresses engine.Addresses) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses.KafkaBrokers...), kgo.ConsumeTopics("kept"))
	require.NoError(t, err)
	defer client.Close()
	fetches := client.PollFetches(ctx)
	require.NoError(t, fetches.Err())
	require.Equal(t, "v", string(fetches.Records()[0].Value))

	conn, err := pgx.Connect(ctx, addresses.PostgresDSN)
	require.NoError(t, err)
	var rows uint64
	require.NoError(t, conn.QueryRow(ctx, "select count(*) from kept").Scan(&rows))
	require.NoError(t, conn.Close(ctx))
	require.Equal(t, uint64(1), rows)

	store := openClickHouse(t, addresses)
	require.NoError(t, store.QueryRow(ctx, "select count() from kept").Scan(&rows))
	require.NoError(t, store.Close())
	require.Equal(t, uint64(1), rows)
}

func TestEnginesKeepTheirDataAcrossAStop(t *testing.T) {
	dir := t.TempDir()
	begun := time.Now()
	engines := open(t, dir)
	t.Logf("first start of all: %s", time.Since(begun))
	write(t, engines.Addresses())
	before := engines.Addresses()
	running := entries(t, dir)
	require.Len(t, running, 3)

	begun = time.Now()
	require.NoError(t, engines.Stop())
	t.Logf("stop of all: %s", time.Since(begun))
	require.NoError(t, engines.Stop(), "a second stop changes nothing")
	require.True(t, gone(running["postgres"].PID))
	require.True(t, gone(running["clickhouse"].PID))
	require.NoFileExists(t, filepath.Join(dir, "engines.json"))

	begun = time.Now()
	engines = open(t, dir)
	t.Logf("later start of all: %s", time.Since(begun))
	requireKept(t, engines.Addresses())
	require.Equal(t, userOf(t, before.PostgresDSN), userOf(t, engines.Addresses().PostgresDSN), "who is connected stays welcome")
	require.Equal(t, userOf(t, before.ClickHouseDSN), userOf(t, engines.Addresses().ClickHouseDSN), "who is connected stays welcome")
}

// userOf is the user and the password of a DSN.
func userOf(t *testing.T, dsn string) string {
	t.Helper()
	address, err := url.Parse(dsn)
	require.NoError(t, err)
	return address.User.String()
}

func TestChildThatIsKilledIsBackAndItsNewNumberNoted(t *testing.T) {
	dir := t.TempDir()
	engines := open(t, dir)
	write(t, engines.Addresses())
	for _, name := range []string{"postgres", "clickhouse"} {
		before := entries(t, dir)[name].PID
		require.Positive(t, before)
		require.NoError(t, syscall.Kill(before, syscall.SIGKILL))
		require.Eventually(t, func() bool { return entries(t, dir)[name].PID != before }, 30*time.Second, 10*time.Millisecond, name)
	}
	requireKept(t, engines.Addresses())
}

func TestNothingRunsOnAfterAKillAndNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=muster", "FOLDER="+dir, "CLICKHOUSE_COMMAND="+strings.Join(enginetest.ClickHouseCommand(t), " "))
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "running\n", line)
	addresses, err := engine.Running(dir, engine.Addresses{}, nil)
	require.NoError(t, err)
	write(t, addresses)
	_, err = engine.Open(t.Context(), engine.Config{DataDir: dir, ClickHouseCommand: enginetest.ClickHouseCommand(t)})
	var inUse *engine.FolderInUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, cmd.Process.Pid, inUse.PID)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "choose another folder with MUSTER_DATA_DIR")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	_, err = engine.Running(dir, engine.Addresses{}, nil)
	var notRunning *engine.NotRunningError
	require.ErrorAs(t, err, &notRunning, "what the killed process noted must not be believed")
	// At once: the children may still be on their way out.
	left := entries(t, dir)
	engines := open(t, dir)
	requireKept(t, engines.Addresses())
	for name := range map[string]bool{"postgres": true, "clickhouse": true} {
		require.Eventually(t, func() bool { return gone(left[name].PID) }, 10*time.Second, 10*time.Millisecond, name)
	}
}

func TestAnotherProcessCanAskForACompaction(t *testing.T) {
	dir := t.TempDir()
	var missing *engine.NotRunningError
	require.ErrorAs(t, engine.RequestCompaction(dir), &missing)
	engines, err := engine.Open(t.Context(), engine.Config{DataDir: dir, Only: []engine.Name{engine.Kafka}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engines.Stop()) })
	client, err := kgo.NewClient(kgo.SeedBrokers(engines.Addresses().KafkaBrokers...), kgo.DefaultProduceTopic("t"))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": new("compact"), "retention.ms": new("-1")}, "t")
	require.NoError(t, err)
	for _, value := range []string{"first", "second", "third"} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Key: []byte("k"), Value: []byte(value)}).FirstErr())
	}
	require.NoError(t, engine.RequestCompaction(dir))
	// The embedded broker begins its log at the first record that is left.
	require.Eventually(t, func() bool {
		starts, err := admin.ListStartOffsets(t.Context(), "t")
		require.NoError(t, err)
		start, _ := starts.Lookup("t", 0)
		return start.Offset > 0
	}, 30*time.Second, 10*time.Millisecond)
}

func TestExternalEnginesAreNotEmbedded(t *testing.T) {
	external := engine.Addresses{KafkaBrokers: []string{"kafka.example:9092"}, PostgresDSN: "postgres://db.example/muster", ClickHouseDSN: "clickhouse://ch.example:9000/muster"}
	engines, err := engine.Open(t.Context(), engine.Config{External: external})
	require.NoError(t, err)
	require.Equal(t, external, engines.Addresses())
	require.NoError(t, engines.Stop())

	dir := t.TempDir()
	external.KafkaBrokers = nil
	engines, err = engine.Open(t.Context(), engine.Config{External: external, DataDir: dir})
	require.NoError(t, err)
	require.NotEmpty(t, engines.Addresses().KafkaBrokers)
	require.Equal(t, external.PostgresDSN, engines.Addresses().PostgresDSN)
	found, err := engine.Running(dir, external, nil)
	require.NoError(t, err)
	require.Equal(t, engines.Addresses(), found)
	require.NoDirExists(t, filepath.Join(dir, "postgres"))
	require.NoError(t, engines.Stop())
}

func TestSingleEnginesOfOneFolderCanBeRunByDifferentOwners(t *testing.T) {
	dir := t.TempDir()
	only := func(names ...engine.Name) (*engine.Embedded, error) {
		return engine.Open(t.Context(), engine.Config{DataDir: dir, Only: names})
	}
	broker, err := only(engine.Kafka)
	require.NoError(t, err)
	store, err := only(engine.Postgres)
	if errors.As(err, new(*engine.NotFetchedError)) && os.Getenv("MUSTER_REQUIRE_ENGINES") != "1" {
		t.Skip(err)
	}
	require.NoError(t, err)
	_, err = only(engine.Kafka)
	require.ErrorContains(t, err, "its kafka is run by process")

	found, err := engine.Running(dir, engine.Addresses{ClickHouseDSN: "elsewhere"}, nil)
	require.NoError(t, err)
	require.Equal(t, broker.Addresses().KafkaBrokers, found.KafkaBrokers)
	require.Equal(t, store.Addresses().PostgresDSN, found.PostgresDSN)
	require.NoError(t, broker.Stop())
	require.Len(t, entries(t, dir), 1, "the other owner's entry stays")
	require.NoError(t, store.Stop())
}

func TestFolderOfAnotherVersionIsRefusedUnchanged(t *testing.T) {
	refuse := func(name, manifest string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "kafka"), 0o700))
			if manifest != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "muster-data.json"), []byte(manifest), 0o600))
			}
			_, err := engine.Open(t.Context(), engine.Config{DataDir: dir, Only: []engine.Name{engine.Kafka}})
			require.Error(t, err)
			for _, part := range append(want, dir) {
				require.ErrorContains(t, err, part)
			}
			inside, err := os.ReadDir(filepath.Join(dir, "kafka"))
			require.NoError(t, err)
			require.Empty(t, inside)
			if manifest != "" {
				kept, err := os.ReadFile(filepath.Join(dir, "muster-data.json"))
				require.NoError(t, err)
				require.Equal(t, manifest, string(kept))
			}
		})
	}
	refuse("a newer layout", `{"layout": 2}`, "layout 2", "reads layout 1 only", "MUSTER_DATA_DIR")
	refuse("another format of the log", `{"layout": 1, "versions": {"kafka": "kfake 7"}}`, "kafka kfake 7", "reads kafka kfake 1 only", "run the Muster that wrote it")
	refuse("no version at all", "", "has kafka but no muster-data.json")
	refuse("a damaged version file", `{"layout":`, "muster-data.json", "put it back from a backup")
}

func TestVersionOfAnEngineThatWasMovedAwayDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "muster-data.json"), []byte(`{"layout": 1, "versions": {"kafka": "kfake 7", "clickhouse": "1.2.3"}}`), 0o600))
	engines, err := engine.Open(t.Context(), engine.Config{DataDir: dir, Only: []engine.Name{engine.Kafka}})
	require.NoError(t, err)
	require.NoError(t, engines.Stop())
	content, err := os.ReadFile(filepath.Join(dir, "muster-data.json"))
	require.NoError(t, err)
	require.JSONEq(t, `{"layout": 1, "versions": {"kafka": "kfake 1", "clickhouse": "1.2.3"}}`, string(content), "the versions of engines that were not opened stay")
}

func TestFolderFilesAreForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	engines, err := engine.Open(t.Context(), engine.Config{DataDir: dir, Only: []engine.Name{engine.Kafka}})
	require.NoError(t, err)
	defer func() { require.NoError(t, engines.Stop()) }()
	for _, name := range []string{"engines.json", "muster-data.json", "kafka.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o066, "nobody else may list or change the folder")
}

func TestFailedStartLeavesNothingRunning(t *testing.T) {
	dir := t.TempDir()
	command := enginetest.ClickHouseCommand(t) // also skips where there are no engines
	_, err := engine.Open(t.Context(), engine.Config{DataDir: dir, ClickHouseCommand: []string{"/bin/sh", "-c", "echo no library >&2; exit 4", "sh"}})
	require.ErrorContains(t, err, "starting clickhouse: it ended before it was ready (exit status 4)")
	require.ErrorContains(t, err, "no library")
	require.NoFileExists(t, filepath.Join(dir, "engines.json"))
	require.NoFileExists(t, filepath.Join(dir, "postgres", "cluster", "postmaster.pid"))
	// Everything is free again.
	engines, err := engine.Open(t.Context(), engine.Config{DataDir: dir, ClickHouseCommand: command})
	require.NoError(t, err)
	require.NoError(t, engines.Stop())
}

func TestEmbeddedClickHouseAsksForItsPassword(t *testing.T) {
	dsn := enginetest.ClickHouse(t)
	_, host, _ := strings.Cut(dsn, "@")
	host, _, _ = strings.Cut(host, "/")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + host + "/?query=select+1")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.GreaterOrEqual(t, response.StatusCode, 400)
}

func TestMissingEnginesAreReportedWithTheRemedy(t *testing.T) {
	t.Setenv("MUSTER_ENGINES_DIR", t.TempDir())
	_, err := engine.Locate()
	var missing *engine.NotFetchedError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, `run "make engines"`)
	_, err = engine.LocateKafka()
	require.ErrorContains(t, err, `run "deploy/engines/fetch.sh kafka"`)
	_, err = engine.Open(t.Context(), engine.Config{DataDir: t.TempDir()})
	require.ErrorAs(t, err, &missing)
}
