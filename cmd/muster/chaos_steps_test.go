//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// stepped is Muster without worlds: the log is written by the test, so that what has to
// come of it is known.
type stepped struct {
	*stack

	watch    *stores
	appender *eventlog.Appender
	dice     *rand.Rand
	rounds   int
	// labels say what events of characters are, by key.
	labels map[string]string
	next   int64
	// now is the moment from which days are counted back.
	now    time.Time
	traces int
}

// A process that is killed by kill -9 after any of the things that it writes down, in a run of
// retention, while it forgets a character, certifies, folds, rebuilds, switches, drops, goes
// back, or folds into a schema of its own, leaves a state from which the same is done again
// with the same end as if nothing had happened. The steps are not listed here: an
// undisturbed run tells them. MUSTER_CHAOS_STEPS says how often to go through all of them;
// rounds after the first kill at a later time that a process comes by a step. Without it only
// folding is gone through: all of it takes ten minutes. MUSTER_CHAOS_PARTS names those of the parts after
// folding, which the others rest on, to go through, with commas.
func TestChaosAtEveryStepComesToTheSameEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for minutes")
	}
	seed := fromEnvironment(t, "MUSTER_CHAOS_SEED", uint64(time.Now().UnixNano())%1_000_000)
	t.Logf("MUSTER_CHAOS_SEED=%d repeats this order", seed)
	s := startStepped(t, seed)
	rounds := fromEnvironment(t, "MUSTER_CHAOS_STEPS", 0)
	s.rounds = max(int(rounds), 1)
	parts := []struct {
		name string
		run  func()
	}{
		{"folding", s.killFolding}, {"retention", s.killRetention}, {"replay", s.killReplay}, {"schemas", s.killScratch}, {"certificates", s.killCertificates}, {"forgetting", s.killForgetting},
	}
	if rounds == 0 {
		parts = parts[:1]
	}
	only := os.Getenv("MUSTER_CHAOS_PARTS")
	for i, part := range parts {
		if i > 0 && only != "" && !slices.Contains(strings.Split(only, ","), part.name) {
			continue
		}
		began := time.Now()
		part.run()
		require.Contains(t, s.run("verify"), ", 0 differ", "after %s", part.name)
		t.Logf("%s: %s", part.name, time.Since(began).Round(time.Second))
	}
}

func startStepped(t *testing.T, seed uint64) *stepped {
	t.Helper()
	requireEngines(t)
	s := &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	t.Cleanup(s.requireNothingLeft)
	ports, err := freeport.Find(t.Context(), 5)
	require.NoError(t, err)
	port := func(i int) string { return strconv.Itoa(ports[i]) }
	s.apiURL = "http://127.0.0.1:" + port(3)
	nobody := "http://127.0.0.1:" + port(4)
	s.env = cleanEnvironment(
		"MUSTER_DATA_DIR="+s.data, "MUSTER_LISTEN=127.0.0.1:"+port(3), "MUSTER_KAFKA_PARTITIONS=4", "MUSTER_ESI_URL="+nobody, "MUSTER_SSO_URL="+nobody,
		"MUSTER_SSO_CLIENT_ID=muster-simulated", "MUSTER_SSO_CLIENT_SECRET=simulated-secret", "MUSTER_CONTACT=chaos@example.org", "MUSTER_ANVIL_CREDENTIALS=none", "MUSTER_SAM_URL="+nobody, "MUSTER_RAWLS_URL="+nobody,
		"MUSTER_RETENTION_DAYS=360", "MUSTER_RETENTION_STATE_DAYS=360", "MUSTER_RETENTION_STATE_ALL_DAYS=30",
		"MUSTER_RETENTION_REWRITE_MIB=0", // A rewrite is one statement, and has a test of its own.
	)
	start := func(name string, args ...string) *service {
		return startService(t, s.binary, s.files, name, s.env, args...)
	}
	s.kafka = start("kafka", "engine", "kafka", "--port", port(0))
	s.postgres = start("postgres", "engine", "postgres", "--port", port(1))
	s.clickhouse = start("clickhouse", "engine", "clickhouse", "--port", port(2))
	s.eventually("the engines answer", func(context.Context) error {
		_, err := engine.Running(s.data, engine.Addresses{}, nil)
		return err
	})
	s.run("migrate")
	k := &stepped{stack: s, watch: s.stores(), dice: rand.New(rand.NewPCG(seed, 2)), rounds: 1, labels: map[string]string{}, next: 90_000_000, now: time.Now().UTC().Truncate(time.Second)}
	k.appender, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: k.watch.addresses.KafkaBrokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.appender.Close()) })
	return k
}

// with is an environment that follows a process through its steps.
func (s *stepped) with(setting string) []string {
	return append(slices.Clone(s.env), testSteps+"="+setting)
}

// trace runs a command undisturbed and returns the steps that it came by, with how often.
func (s *stepped) trace(args ...string) map[string]int {
	s.t.Helper()
	s.traces++
	file := s.file(fmt.Sprintf("steps-%d", s.traces))
	s.eventually("muster "+strings.Join(args, " "), func(ctx context.Context) error {
		_ = os.Remove(file)
		stdout, stderr, status, err := runProgram(ctx, s.binary, s.with(file), args...)
		if err == nil && status != exitOK {
			err = fmt.Errorf("exit status %d: %s%s", status, stdout, stderr)
		}
		return err
	})
	return s.read(file)
}

func (s *stepped) read(file string) map[string]int {
	s.t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(s.t, err)
	seen := map[string]int{}
	for name := range strings.Lines(string(content)) {
		seen[strings.TrimSpace(name)]++
	}
	require.NotEmpty(s.t, seen)
	return seen
}

// each calls fn with each step that was seen, as often as there are rounds: in the first with
// the first time that it is come by, later with any.
func (s *stepped) each(seen map[string]int, fn func(step string)) {
	s.t.Helper()
	for round := range s.rounds {
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			n := 1
			if round > 0 {
				n += s.dice.IntN(seen[name])
			}
			fn(name + "#" + strconv.Itoa(n))
		}
	}
}

// killed runs the program until it is killed after a step. Short ways that it may end by
// before are tried again: another process may be at work, or stop just now.
func (s *stepped) killed(step string, args ...string) {
	s.t.Helper()
	s.traces++
	began, file := time.Now(), s.file(fmt.Sprintf("steps-%d", s.traces))
	defer func() {
		s.t.Logf("muster %v was killed after %s: %s", args, step, time.Since(began).Round(100*time.Millisecond))
	}()
	s.eventually(fmt.Sprintf("muster %v is killed after %s", args, step), func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, s.binary, args...)
		var output bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = s.with(file+","+step), &output, &output
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		// What it was at when time was up is worth knowing.
		cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }, 5*time.Second
		err := cmd.Run()
		if cmd.ProcessState != nil && ctx.Err() == nil {
			if ended, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); ended.Signaled() && ended.Signal() == syscall.SIGKILL {
				return nil
			}
		}
		return fmt.Errorf("it ended otherwise: %w: %s", err, output.String())
	})
}

// told appends what retention is about of a new character, partly old. The character was
// forgotten if told so.
func (s *stepped) told(forgotten bool) int64 {
	s.t.Helper()
	s.next++
	id, now := s.next, s.now
	var events []event.Event
	put := func(label string, at time.Time, p event.Payload) uuid.UUID {
		e, err := event.New(uuid.New(), event.Character(id), "test", at, p)
		require.NoError(s.t, err)
		s.labels[e.Key()] = label
		events = append(events, e)
		return e.ID
	}
	facts := func(section eve.Section, at time.Time, item string) eve.Facts {
		return eve.Facts{CharacterID: id, Section: section, Day: at.Format(time.DateOnly), FetchedAt: at, Items: []json.RawMessage{json.RawMessage(item)}}
	}
	put("registered", now.AddDate(0, 0, -900), eve.CharacterRegistered{CharacterID: id, Name: "Pilot", UserID: "u1"})
	last := uuid.Nil
	for i, days := range []int{700, 400, 10} {
		n, at := i+1, now.AddDate(0, 0, -days)
		stamp, label := at.Format(time.RFC3339), func(what string) string { return fmt.Sprintf("%s %d days ago", what, days) }
		put(label("mail"), at, eve.MailRecorded{Facts: facts(eve.SectionMails, at, fmt.Sprintf(`{"mail_id":%d,"timestamp":%q,"subject":"s"}`, n, stamp))})
		put(label("body"), at, eve.MailChanged{Facts: facts(eve.SectionMails, at, fmt.Sprintf(`{"mail_id":%d,"body":"secret"}`, n))})
		put(label("contract"), at, eve.ContractRecorded{Facts: facts(eve.SectionContracts, at, fmt.Sprintf(`{"contract_id":%d,"date_issued":%q}`, n, stamp))})
		put(label("trade"), at, eve.TransactionsRecorded{Facts: facts(eve.SectionWalletTransactions, at, fmt.Sprintf(`{"transaction_id":%d,"date":%q}`, n, stamp))})
		journal, _, head, err := eve.NewJournalFacts("test", eve.JournalReading{
			CharacterID: id, FetchedAt: at, Pages: [][]byte{fmt.Appendf(nil, `[{"id":%d,"date":%q,"ref_type":"bounty_prizes","amount":%d.25,"balance":%d.25}]`, n, stamp, n*100, n*100)},
		}, &eve.KnownEntries{}, last)
		require.NoError(s.t, err)
		last = head
		for _, e := range journal {
			s.labels[e.Key()] = label("journal")
		}
		events = append(events, journal...)
		for _, ship := range []string{"a", "b"} {
			value := fmt.Sprintf(`{"ship_item_id":%d,"ship_name":%q,"ship_type_id":587}`, n, ship)
			e, _, err := eve.Compare("test", eve.Series{}, eve.Snapshot{CharacterID: id, Section: eve.SectionShip, FetchedAt: at, Value: json.RawMessage(value)})
			require.NoError(s.t, err)
			s.labels[e.Key()] = label("ship " + ship)
			events = append(events, *e)
			at = at.Add(time.Minute)
		}
	}
	if forgotten {
		put("forgotten", now, eve.CharacterForgotten{CharacterID: id, Reason: "asked for", KeyIDs: []uuid.UUID{uuid.New()}})
	}
	require.NoError(s.t, s.appender.Append(s.t.Context(), events...))
	return id
}

// ending is what there is of a character in the end.
type ending struct {
	// Left is what the log has of it that no tombstone names, Gone is what they name.
	Left, Gone map[string]bool
	// Rows are how many rows there are of it by table.
	Rows map[string]int64
}

// ending reads it, without what differs between characters.
func (s *stepped) ending(id int64) ending {
	s.t.Helper()
	e := ending{Left: map[string]bool{}, Gone: map[string]bool{}, Rows: map[string]int64{}}
	ends, err := s.watch.reader.Ends(s.t.Context(), event.TopicEVE)
	require.NoError(s.t, err)
	at := eventlog.Partition{Topic: event.TopicEVE, ID: eventlog.PartitionOf(event.Character(id), int32(len(ends)))}
	prefix, sweep := string(event.Character(id))+"/", uuid.NewSHA1(event.Namespace, []byte("retention sweep")).String()
	require.NoError(s.t, s.watch.reader.ReadRange(s.t.Context(), at, ends[at].Start, ends[at].End, func(rec eventlog.Record) error {
		if !strings.HasPrefix(rec.Key, prefix) {
			return nil
		}
		told, err := rec.Event()
		if err != nil {
			return err
		}
		label, known := s.labels[rec.Key]
		if strings.HasSuffix(rec.Key, sweep) {
			// A read model still had rows that the run before the kill has named.
			return nil
		}
		if told.IsTombstone() {
			require.True(s.t, known, "a tombstone for %s, which never was", rec.Key)
			e.Gone[label] = true
			delete(e.Left, label)
			return nil
		}
		if !known {
			label = strings.ReplaceAll(string(told.Type)+string(told.Data), strconv.FormatInt(id, 10), "ID")
			if told.Type != eve.TypeJournalClosed {
				label = string(told.Type)
			}
		}
		e.Left[label] = true
		return nil
	}))
	for _, name := range []string{pgviews.CharactersName, chviews.WalletName, chviews.FactsName, chviews.RecordsName, chviews.EventIndexName} {
		g, err := s.watch.control.Live(s.t.Context(), name)
		require.NoError(s.t, err)
		maps.Copy(e.Rows, s.rowsIn(g, id))
	}
	return e
}

// rowsIn counts the rows of a character in the tables of a generation.
func (s *stepped) rowsIn(g runner.Generation, id int64) map[string]int64 {
	s.t.Helper()
	ctx, counts := s.t.Context(), map[string]int64{}
	var tables []string
	if g.Projection == pgviews.CharactersName {
		rows, err := s.watch.pool.Query(ctx, `SELECT DISTINCT c.table_name::text FROM information_schema.columns c JOIN information_schema.tables USING (table_schema, table_name)
			WHERE table_schema = $1 AND table_type = 'BASE TABLE' AND column_name = 'character_id'`, g.Namespace)
		require.NoError(s.t, err)
		tables, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(s.t, err)
	} else {
		require.NoError(s.t, s.watch.clickhouse.QueryRow(ctx, `SELECT groupUniqArray(table) FROM system.columns WHERE database = ? AND name = 'character_id'`, g.Namespace).Scan(&tables))
	}
	require.NotEmpty(s.t, tables)
	for _, table := range tables {
		var n int64
		if g.Projection == pgviews.CharactersName {
			require.NoError(s.t, s.watch.pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{g.Namespace, table}.Sanitize()+" WHERE character_id = $1", id).Scan(&n))
		} else {
			what := "count()"
			if g.Projection == chviews.EventIndexName {
				what = "uniqExact(event_id)" // Of an event that was told twice there may be two, until the log is compacted.
			}
			require.NoError(s.t, s.watch.clickhouse.QueryRow(ctx, fmt.Sprintf("SELECT toInt64(%s) FROM `%s`.`%s` FINAL WHERE character_id = %d", what, g.Namespace, table, id)).Scan(&n))
		}
		counts[g.Projection+"."+table] = n
	}
	return counts
}

// settled waits until the read models have come to the end of the log.
func (s *stepped) settled() {
	s.t.Helper()
	s.eventually("the read models come to the end of the log", func(ctx context.Context) error {
		for _, b := range s.watch.projections() {
			g, err := s.watch.control.Live(ctx, b.Name)
			if err != nil {
				return err
			}
			checkpoints, err := s.watch.control.Checkpoints(ctx, g)
			if err != nil {
				return err
			}
			lag, err := s.watch.folder.Lag(ctx, g, b.Topics)
			if err == nil && (lag.Records > 0 || len(checkpoints) == 0) {
				err = fmt.Errorf("%s is %d records behind", b.Name, lag.Records)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// killFolding kills the projectors, which are started again with the next thing that kills
// them, while they make their first tables and take in facts and what takes them away.
func (s *stepped) killFolding() {
	s.t.Helper()
	for _, step := range []string{"replay.created", "replay.prepared", "replay.promoted"} {
		s.killed(step, "project")
	}
	for range s.rounds {
		for _, step := range []string{"batch.noted", "batch.inserted", "batch.removed", "batch.committed"} {
			s.told(false)
			s.told(true)
			s.killed(step, "project")
		}
	}
	s.project = startService(s.t, s.binary, s.files, "project", s.env, "project")
	s.settled()
}

func (s *stepped) killRetention() {
	s.t.Helper()
	var stays, gone int64
	seen := map[string]int{}
	// On a machine that is busy a run may leave the disks to the next one.
	for range 3 {
		if stays, gone = s.told(false), s.told(true); seen["retention.cleaned"] == 0 {
			s.settled()
			seen = s.trace("retention", "run")
		}
	}
	for _, step := range []string{"retention.started", "retention.closed", "retention.tombstones", "retention.keys-destroyed", "retention.compacting", "retention.completed", "retention.purged", "retention.cleaned"} {
		require.Contains(s.t, seen, step)
	}
	s.run("retention", "run")
	s.settled()
	want, wantGone := s.ending(stays), s.ending(gone)
	require.Contains(s.t, want.Gone, "mail 700 days ago")
	require.Contains(s.t, want.Left, "mail 10 days ago")
	require.Equal(s.t, map[string]bool{"forgotten": true}, wantGone.Left)
	s.each(seen, func(step string) {
		stays, gone := s.told(false), s.told(true)
		s.killed(step, "retention", "run")
		s.run("retention", "run")
		s.settled()
		require.Equal(s.t, want, s.ending(stays), "killed after %s", step)
		require.Equal(s.t, wantGone, s.ending(gone), "killed after %s", step)
	})
}

// killForgetting kills the API and the ingest process while they forget characters.
func (s *stepped) killForgetting() {
	s.t.Helper()
	var ids []int64
	for range s.rounds {
		ids = append(ids, s.told(false))
	}
	s.settled()
	for _, id := range ids {
		serve := startService(s.t, s.binary, s.files, "serve-that-dies", s.with(s.file("serve-steps")+",outbox.appended"), "serve")
		s.eventually("the API is ready", func(ctx context.Context) error { return s.get(ctx, s.apiURL+"/readyz", nil) })
		// The answer is lost with the process, and the decision may not be.
		_, _, _, err := runProgram(s.t.Context(), s.binary, s.env, "character", "forget", strconv.FormatInt(id, 10), "--reason", "asked for")
		require.NoError(s.t, err)
		s.eventually("the API is killed", func(context.Context) error {
			if serve.started() < 2 {
				return fmt.Errorf("it is still there")
			}
			return nil
		})
		_ = serve.stop()
		serve = startService(s.t, s.binary, s.files, "serve", s.env, "serve")
		s.eventually("the decision is in the log", func(context.Context) error {
			if e := s.ending(id); !e.Left[string(eve.TypeCharacterForgotten)] {
				return fmt.Errorf("the log has %v", e.Left)
			}
			return nil
		})
		s.settled()
		// Each of these is come by again, whatever the one before had done.
		for _, step := range []string{"retention.tombstones", "retention.pulsed", "retention.compacting", "retention.purged", "retention.cleaned", "retention.forgotten"} {
			s.killed(step, "ingest")
		}
		s.ingest = startService(s.t, s.binary, s.files, "ingest", s.env, "ingest")
		s.eventually("it is forgotten", func(ctx context.Context) error {
			waiting, err := s.watch.keys.Waiting(ctx)
			if err == nil && len(waiting) > 0 {
				err = fmt.Errorf("%v wait", waiting)
			}
			return err
		})
		// Nothing may have been left to do, and it may still be starting.
		_ = s.ingest.stop()
		require.NoError(s.t, serve.stop())
		s.settled()
		end := s.ending(id)
		require.Equal(s.t, map[string]bool{string(eve.TypeCharacterForgotten): true}, end.Left)
		require.Len(s.t, end.Gone, 1+3*7)
	}
}

// strays fails if there are tables that no generation has, or more generations than the
// live one and the one before it.
func (s *stepped) strays(ctx context.Context) error {
	generations, err := s.watch.control.Generations(ctx, "")
	if err != nil {
		return err
	}
	known, retired := map[string]bool{}, map[string]int{}
	for _, g := range generations {
		switch g.Status {
		case runner.StatusDropped:
			continue
		case runner.StatusLive:
		case runner.StatusRetired:
			if retired[g.Projection]++; retired[g.Projection] > 1 {
				return fmt.Errorf("%d retired generations of %s", retired[g.Projection], g.Projection)
			}
		default:
			return fmt.Errorf("%s is %s", g.Namespace, g.Status)
		}
		known[g.Namespace] = true
	}
	rows, err := s.watch.pool.Query(ctx, `SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'muster\_%' OR nspname = 'audit'`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var databases []string
	if err := s.watch.clickhouse.QueryRow(ctx, `SELECT groupArray(name) FROM system.databases WHERE name LIKE 'muster\\_%'`).Scan(&databases); err != nil {
		return err
	}
	for _, name := range append(names, databases...) {
		if !known[name] {
			return fmt.Errorf("%s belongs to nothing", name)
		}
	}
	if len(names)+len(databases) != len(known) {
		return fmt.Errorf("%v and %v are there, and %v should be", names, databases, slices.Sorted(maps.Keys(known)))
	}
	return nil
}

func (s *stepped) killReplay() {
	s.t.Helper()
	for _, name := range []string{chviews.WalletName, pgviews.CharactersName} {
		s.run("replay", name) // From the next one on there is one to drop.
		s.told(true)
		seen := s.trace("replay", name)
		for _, step := range []string{"replay.created", "replay.prepared", "batch.committed", "replay.built", "replay.held", "replay.aligned", "replay.promoted", "replay.condemned", "replay.tables-dropped"} {
			require.Contains(s.t, seen, step)
		}
		s.each(seen, func(step string) {
			s.told(true)
			s.killed(step, "replay", name)
			require.Contains(s.t, s.run("replay", name), "equal, switched", "killed after %s", step)
			require.NoError(s.t, s.strays(s.t.Context()), "killed after %s", step)
		})
		before, err := s.watch.control.Live(s.t.Context(), name)
		require.NoError(s.t, err)
		s.killed("replay.rolled-back", "replay", name, "--rollback")
		now, err := s.watch.control.Live(s.t.Context(), name)
		require.NoError(s.t, err)
		require.Less(s.t, now.Number, before.Number)
		require.NoError(s.t, s.strays(s.t.Context()))
		s.told(true)
		s.settled()
	}
}

// killScratch kills the making and the dropping of a schema of its own.
func (s *stepped) killScratch() {
	s.t.Helper()
	into := []string{"replay", "--to", time.Now().UTC().Add(-time.Second).Format(time.RFC3339), "--into", "audit"}
	made := s.trace(into...)
	dropped := s.trace("replay", "drop", "audit")
	require.Contains(s.t, made, "scratch.folded")
	require.Contains(s.t, dropped, "scratch.tables-dropped")
	s.each(made, func(step string) {
		s.killed(step, into...)
		// The projectors may have gone on with it by now, which comes to the same.
		s.run(into...)
		require.Contains(s.t, s.run("replay", "list"), "ready")
		s.run("replay", "drop", "audit")
		require.NoError(s.t, s.strays(s.t.Context()), "killed after %s", step)
	})
	s.each(dropped, func(step string) {
		s.run(into...)
		s.killed(step, "replay", "drop", "audit")
		s.run("replay", "drop", "audit")
		require.NoError(s.t, s.strays(s.t.Context()), "killed after %s", step)
	})
}

// killCertificates kills searches: each certificate that is recorded is there in the end,
// the chain has no hole, and nothing is found.
func (s *stepped) killCertificates() {
	s.t.Helper()
	s.run("retention", "run")
	s.settled()
	seen := s.trace("retention", "prove")
	s.each(seen, func(step string) { s.killed(step, "retention", "prove") })
	s.run("retention", "prove")
	folder := filepath.Join(s.data, "certificates")
	pending, err := filepath.Glob(filepath.Join(folder, "pending", "*"))
	require.NoError(s.t, err)
	require.Empty(s.t, pending)
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	require.NoError(s.t, err)
	byHash := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(s.t, err)
		c, err := retention.ReadCertificate(text)
		require.NoError(s.t, err)
		require.Zero(s.t, c.Found, "%+v", c.Stores)
		byHash[c.Hash] = file
	}
	var standing retentionStanding
	require.NoError(s.t, json.Unmarshal([]byte(s.run("retention", "status", "-o", "json")), &standing))
	require.Len(s.t, byHash, len(standing.Certificates))
	check := []string{"retention", "prove"}
	for _, c := range standing.Certificates {
		check = append(check, "--check", byHash[c.Hash])
	}
	require.Equal(s.t, len(files), strings.Count(s.run(check...), "sound, made at"))
}
