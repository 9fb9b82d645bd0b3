package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/backup"
	"github.com/muster-sync/muster/internal/backup/place"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
)

func TestMain(m *testing.M) {
	// The metrics library of the Kafka client starts this one for good.
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const partitions = 3

const (
	observed  event.Type = "muster.eve.section.observed.v1"
	forgotten event.Type = "muster.eve.character.forgotten.v1"
)

// installation is a log with a database beside it.
type installation struct {
	t       *testing.T
	brokers []string
	reader  *eventlog.Reader
	pool    *pgxpool.Pool
	tables  []backup.Table
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	return newInstallationOn(t, enginetest.Kafka(t))
}

func newInstallationOn(t *testing.T, brokers []string) *installation {
	t.Helper()
	i := &installation{t: t, brokers: brokers, pool: enginetest.Postgres(t)}
	manifest := eventlog.DefaultManifest()
	manifest.Partitions = partitions
	require.NoError(t, manifest.Ensure(t.Context(), i.brokers, eventlog.Security{}))
	var err error
	i.reader, err = eventlog.NewReader(eventlog.ReaderConfig{Brokers: i.brokers})
	require.NoError(t, err)
	t.Cleanup(i.reader.Close)
	_, err = i.pool.Exec(t.Context(), `CREATE SCHEMA kept;
		CREATE TABLE kept.head (stream text PRIMARY KEY, version bigint NOT NULL);
		CREATE TABLE kept.login (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sealed bytea NOT NULL, access bytea,
			twice bigint GENERATED ALWAYS AS (2) STORED, at timestamptz)`)
	require.NoError(t, err)
	i.tables = []backup.Table{
		{Schema: "kept", Name: "head"},
		{Schema: "kept", Name: "login", As: map[string]string{"access": "NULL", "at": "CASE WHEN at < $cut THEN at END"}},
	}
	return i
}

// append appends events to the log.
func (i *installation) append(events ...event.Event) {
	i.t.Helper()
	a, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: i.brokers, Workers: 4})
	require.NoError(i.t, err)
	defer func() { require.NoError(i.t, a.Close()) }()
	for _, e := range events {
		if e.IsTombstone() {
			require.NoError(i.t, a.Expire(i.t.Context(), event.TopicEVE, e))
			continue
		}
		require.NoError(i.t, a.Append(i.t.Context(), e))
	}
}

func fact(character int64, n int) event.Event {
	return event.Event{
		ID: uuid.New(), Type: observed, Source: "test", Stream: event.Character(character), Time: time.Now(), Data: fmt.Appendf(nil, `{"n":%d,"text":"secret %d"}`, n, n),
	}
}

func forget(character int64) event.Event {
	e := fact(character, 0)
	e.Type = forgotten
	return e
}

func tombstone(e event.Event) event.Event {
	return event.Tombstone(e.Stream, e.ID, time.Now(), event.Expiry{Policy: "history", CutOff: time.Now()})
}

func facts(character int64, n int) []event.Event {
	all := make([]event.Event, n)
	for i := range all {
		all[i] = fact(character, i)
	}
	return all
}

func ofType(t event.Type) func(eventlog.Record) bool {
	return func(rec eventlog.Record) bool {
		e, err := rec.Event()
		return err == nil && e.Type == t
	}
}

// log reads all records, without pulses.
func (i *installation) log() []eventlog.Record {
	i.t.Helper()
	var all []eventlog.Record
	for _, topic := range append(event.Topics(), event.TopicPoison) {
		for id := range int32(partitions) {
			require.NoError(i.t, i.reader.ReadRange(i.t.Context(), eventlog.Partition{Topic: topic, ID: id}, 0, 1<<40, func(rec eventlog.Record) error {
				if e, err := rec.Event(); err == nil && e.Expiry != nil && e.Expiry.Policy == eventlog.PulsePolicy {
					return nil
				}
				all = append(all, rec)
				return nil
			}))
		}
	}
	return all
}

func (i *installation) takeConfig(at backup.Place) backup.TakeConfig {
	return backup.TakeConfig{
		Place: at, Log: i.reader, Pool: i.pool, Topics: event.Topics(), Copies: event.TopicPoison, Groups: "muster-",
		Tables: i.tables, Forgets: ofType(forgotten), Version: "test",
	}
}

func (i *installation) take(at backup.Place) backup.Manifest {
	i.t.Helper()
	m, err := backup.Take(i.t.Context(), i.takeConfig(at))
	require.NoError(i.t, err)
	return m
}

func (i *installation) restoreConfig() backup.RestoreConfig {
	i.t.Helper()
	target, err := eventlog.NewRestorer(i.t.Context(), eventlog.RestorerConfig{Brokers: i.brokers}, append(event.Topics(), event.TopicPoison)...)
	require.NoError(i.t, err)
	i.t.Cleanup(target.Close)
	return backup.RestoreConfig{
		Target: target, Log: i.reader, Pool: i.pool, Tables: i.tables, Copies: event.TopicPoison, Forgets: ofType(forgotten),
	}
}

func (i *installation) restore(at backup.Place, id string) backup.RestoreReport {
	i.t.Helper()
	b, err := backup.Open(i.t.Context(), at, id)
	require.NoError(i.t, err)
	report, err := b.Restore(i.t.Context(), i.restoreConfig())
	require.NoError(i.t, err)
	return report
}

func without(log []eventlog.Record, drop func(eventlog.Record) bool) []eventlog.Record {
	return slices.DeleteFunc(slices.Clone(log), drop)
}

func keyed(events ...event.Event) func(eventlog.Record) bool {
	return func(rec eventlog.Record) bool {
		return slices.ContainsFunc(events, func(e event.Event) bool { return e.Key() == rec.Key && rec.Value != nil })
	}
}

func folder(t *testing.T) *place.Folder {
	return place.NewFolder(filepath.Join(t.TempDir(), "backups"))
}

func TestARestoredLogEqualsTheOneThatWasBackedUp(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	for c := range int64(9) {
		from.append(facts(90000001+c, 20)...)
	}
	_, err := from.pool.Exec(t.Context(), `INSERT INTO kept.head VALUES ('eve:character:1', 7);
		INSERT INTO kept.login (sealed, access, at) VALUES ('\x0102', '\x03', '2024-01-01Z'), ('\x04', '\x05', clock_timestamp() + interval '1 hour')`)
	require.NoError(t, err)
	p := eventlog.Partition{Topic: event.TopicEVE, ID: 1}
	require.NoError(t, from.reader.CommitLag(t.Context(), "muster-notify", map[eventlog.Partition]int64{p: 11}))
	require.NoError(t, from.reader.CommitLag(t.Context(), "other", map[eventlog.Partition]int64{p: 3}))

	m := from.take(at)
	require.EqualValues(t, 180, m.Records())
	report := to.restore(at, "")
	require.EqualValues(t, 180, report.Records)
	require.Equal(t, from.log(), to.log(), "partition, offset, key, headers, value and time")
	fromEnds, err := from.reader.Ends(t.Context(), event.Topics()...)
	require.NoError(t, err)
	toEnds, err := to.reader.Ends(t.Context(), event.Topics()...)
	require.NoError(t, err)
	require.Equal(t, fromEnds, toEnds)

	groups, err := to.reader.Committed(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, map[string]map[eventlog.Partition]int64{"muster-notify": {p: 11}}, groups, "reactors go on where they were")

	type login struct {
		ID     int64
		Sealed []byte
		Access []byte
		Dated  bool
	}
	rows, err := to.pool.Query(t.Context(), "SELECT id, sealed, access, at IS NOT NULL AS dated FROM kept.login ORDER BY id")
	require.NoError(t, err)
	logins, err := pgx.CollectRows(rows, pgx.RowToStructByPos[login])
	require.NoError(t, err)
	require.Equal(t, []login{{1, []byte{1, 2}, nil, true}, {2, []byte{4}, nil, false}}, logins)
	var id int64
	require.NoError(t, to.pool.QueryRow(t.Context(), `INSERT INTO kept.login (sealed) VALUES ('\x06') RETURNING id`).Scan(&id))
	require.EqualValues(t, 3, id, "numbers are not given twice")
	var next int64
	require.NoError(t, to.pool.QueryRow(t.Context(), "SELECT next_offset FROM backup.restored WHERE topic = $1 AND partition = 1", event.TopicEVE).Scan(&next))
	require.Equal(t, fromEnds[p].End, next)
}

// emptyRealKafka is the broker that the tests of this binary share, without what
// an earlier run has left in the log's topics.
func emptyRealKafka(t *testing.T) []string {
	t.Helper()
	brokers := enginetest.RealKafka(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	topics := append(event.Topics(), event.TopicPoison)
	_, err = admin.DeleteTopics(t.Context(), topics...)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		there, err := admin.ListTopics(t.Context())
		return err == nil && !slices.ContainsFunc(topics, there.Has)
	}, time.Minute, 50*time.Millisecond)
	return brokers
}

func TestALogMovesFromTheEmbeddedBrokerToARealOneAndBack(t *testing.T) {
	from, apache, back := newInstallation(t), newInstallationOn(t, emptyRealKafka(t)), newInstallation(t)
	for c := range int64(5) {
		from.append(facts(90000001+c, 10)...)
	}
	removed := fact(90000003, 8)
	from.append(removed, tombstone(removed), fact(90000003, 9))
	there, again := folder(t), folder(t)
	from.take(there)
	apache.restore(there, "")
	want := without(from.log(), keyed(removed))
	require.Equal(t, want, apache.log())
	apache.append(fact(90000003, 10))
	apache.take(again)
	back.restore(again, "")
	require.Equal(t, apache.log(), back.log())
	require.Equal(t, want, without(back.log(), func(rec eventlog.Record) bool {
		return !slices.ContainsFunc(want, func(w eventlog.Record) bool { return w.Position == rec.Position })
	}))
}

func TestABackupHoldsOnlyWhatIsNewAndNeedsTheOneBefore(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	from.append(facts(90000001, 10)...)
	first := from.take(at)
	from.append(facts(90000001, 3)...)
	from.append(facts(90000002, 4)...)
	second := from.take(at)
	require.EqualValues(t, 7, second.Records())
	require.Equal(t, first.ID, second.Previous.ID)
	third := from.take(at)
	require.Zero(t, third.Records())
	to.restore(at, "")
	require.Equal(t, from.log(), to.log())

	older := newInstallation(t)
	older.restore(at, first.ID)
	require.Len(t, older.log(), 10)

	whole := from.takeConfig(at)
	whole.Whole = true
	m, err := backup.Take(t.Context(), whole)
	require.NoError(t, err)
	require.EqualValues(t, 17, m.Records())
	require.Nil(t, m.Previous)

	require.NoError(t, os.Remove(filepath.Join(at.String(), first.ID, "manifest.json")))
	_, err = backup.Open(t.Context(), at, third.ID)
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
	_, err = backup.Open(t.Context(), at, m.ID)
	require.NoError(t, err)
}

func TestWhatIsRemovedOrForgottenIsInNoBackup(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	kept, removed, gone := facts(90000001, 5), fact(90000001, 99), facts(90000002, 5)
	from.append(append(append(kept, removed), gone...)...)
	from.append(tombstone(removed), forget(90000002), fact(90000002, 77))
	m := from.take(at)
	require.EqualValues(t, 5+1+2, m.Records(), "the tombstone and what came after the forgetting are kept")
	to.restore(at, "")
	require.Equal(t, without(from.log(), keyed(append(gone, removed)...)), to.log(), "offsets stay")

	// Of an earlier backup it is left out when its chain is restored.
	from.append(tombstone(kept[0]))
	from.append(forget(90000001))
	from.take(at)
	later := newInstallation(t)
	report := later.restore(at, "")
	require.EqualValues(t, 5, report.LeftOut)
	require.Equal(t, without(from.log(), keyed(append(append(gone, removed), kept...)...)), later.log())
}

func TestCopiesOfWhatIsRemovedAreInNoBackup(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	kept, removed, gone := fact(90000001, 1), fact(90000001, 2), fact(90000002, 3)
	from.append(kept, removed, gone)
	client, err := kgo.NewClient(kgo.SeedBrokers(from.brokers...))
	require.NoError(t, err)
	defer client.Close()
	for _, e := range []event.Event{kept, removed, gone} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: event.TopicPoison, Key: []byte(e.Key()), Value: e.Data}).FirstErr())
	}
	from.append(tombstone(removed), forget(90000002))
	from.take(at)
	to.restore(at, "")
	require.Equal(t, without(from.log(), keyed(removed, gone)), to.log())
	require.Len(t, without(to.log(), func(rec eventlog.Record) bool { return rec.Topic != event.TopicPoison }), 1)
}

func TestARestoreAsksTheLogThatIsStillThere(t *testing.T) {
	from, at := newInstallation(t), folder(t)
	kept, gone := facts(90000001, 5), facts(90000002, 5)
	from.append(append(kept, gone...)...)
	from.take(at)
	again := forget(90000002)
	from.append(tombstone(kept[2]), again, fact(90000001, 1))

	to := newInstallation(t)
	b, err := backup.Open(t.Context(), at, "")
	require.NoError(t, err)
	config := to.restoreConfig()
	config.Since, config.Again = from.reader, ofType(forgotten)
	var applied []string
	config.Apply = func(_ context.Context, _ pgx.Tx, rec eventlog.Record) error {
		applied = append(applied, rec.Key)
		return nil
	}
	report, err := b.Restore(t.Context(), config)
	require.NoError(t, err)
	require.Equal(t, []string{again.Key()}, applied)
	require.EqualValues(t, 1, report.Again)
	require.EqualValues(t, 1, report.Lost)
	require.EqualValues(t, 6, report.LeftOut)
	log := to.log()
	require.Len(t, log, 4+1)
	require.False(t, slices.ContainsFunc(log, keyed(append(gone, kept[2])...)))
	require.True(t, slices.ContainsFunc(log, keyed(again)))

	other := newInstallation(t)
	other.append(facts(90000001, 9)...)
	other.append(facts(90000002, 9)...)
	fresh := newInstallation(t)
	config = fresh.restoreConfig()
	config.Since = other.reader
	_, err = b.Restore(t.Context(), config)
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "another log knows nothing of it")
}

// breaking is a place that fails after some objects.
type breaking struct {
	backup.Place
	left int
}

var errFull = errors.New("no space left")

func (b *breaking) Put(ctx context.Context, name string, content io.Reader) error {
	if b.left--; b.left < 0 {
		return errFull
	}
	return b.Place.Put(ctx, name, content)
}

func TestAnInterruptedBackupIsNoneAndIsGoneOnWith(t *testing.T) {
	from, at := newInstallation(t), folder(t)
	for c := range int64(9) {
		from.append(facts(90000001+c, 5)...)
	}
	for puts := range 6 { // begun, three segments, two tables
		dir := folder(t)
		_, err := backup.Take(t.Context(), from.takeConfig(&breaking{Place: dir, left: puts}))
		require.ErrorIs(t, err, errFull)
		_, err = backup.Open(t.Context(), dir, "")
		require.Equal(t, event.CodeNotFound, event.CodeOf(err), "after %d objects", puts)
		_, unfinished, err := backup.List(t.Context(), dir)
		require.NoError(t, err)
		m := from.take(dir)
		require.EqualValues(t, 45, m.Records())
		if puts > 0 {
			require.Equal(t, []string{m.ID}, unfinished, "it is gone on with")
		}
	}
	_, err := backup.Take(t.Context(), from.takeConfig(&breaking{Place: at, left: 3}))
	require.ErrorIs(t, err, errFull)
	from.append(facts(90000001, 5)...)
	from.take(at)
	to := newInstallation(t)
	to.restore(at, "")
	require.Equal(t, from.log(), to.log(), "also what came between the two calls")
}

// stopping is a target that fails after some writes.
type stopping struct {
	backup.Target
	left int
}

func (s *stopping) Put(ctx context.Context, p eventlog.Partition, records []eventlog.Record) error {
	if s.left--; s.left < 0 {
		// Half of it was written.
		return errors.Join(errFull, s.Target.Put(ctx, p, records[:len(records)/2]))
	}
	return s.Target.Put(ctx, p, records)
}

func TestAnInterruptedRestoreGoesOn(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	for c := range int64(9) {
		from.append(facts(90000001+c, 7)...)
	}
	removed := fact(90000003, 8)
	from.append(removed, tombstone(removed), fact(90000003, 9))
	from.take(at)
	b, err := backup.Open(t.Context(), at, "")
	require.NoError(t, err)
	for range 3 {
		config := to.restoreConfig()
		config.Target = &stopping{Target: config.Target, left: 0}
		_, err = b.Restore(t.Context(), config)
		require.ErrorIs(t, err, errFull)
	}
	report := to.restore(at, "")
	require.Positive(t, report.Found)
	require.Equal(t, without(from.log(), keyed(removed)), to.log())
	require.True(t, to.restore(at, "").TablesFound, "once more changes nothing")
	require.Equal(t, without(from.log(), keyed(removed)), to.log())
}

func TestNothingIsRestoredOverSomethingElse(t *testing.T) {
	from, at := newInstallation(t), folder(t)
	from.append(facts(90000001, 5)...)
	_, err := from.pool.Exec(t.Context(), "INSERT INTO kept.head VALUES ('a', 1)")
	require.NoError(t, err)
	from.take(at)
	b, err := backup.Open(t.Context(), at, "")
	require.NoError(t, err)

	other := newInstallation(t)
	other.append(facts(90000001, 3)...)
	_, err = b.Restore(t.Context(), other.restoreConfig())
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "empty log")
	require.Len(t, other.log(), 3)

	longer := newInstallation(t)
	longer.append(facts(90000001, 30)...)
	_, err = b.Restore(t.Context(), longer.restoreConfig())
	require.Equal(t, event.CodeConflict, event.CodeOf(err))

	filled := newInstallation(t)
	_, err = filled.pool.Exec(t.Context(), "INSERT INTO kept.head VALUES ('b', 2)")
	require.NoError(t, err)
	_, err = b.Restore(t.Context(), filled.restoreConfig())
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "kept.head")
}

func TestAnotherLogIsNotAddedToAChain(t *testing.T) {
	from, at := newInstallation(t), folder(t)
	from.append(facts(90000001, 5)...)
	from.take(at)
	for _, n := range []int{2, 9} {
		other := newInstallation(t)
		other.append(facts(90000001, n)...)
		_, err := backup.Take(t.Context(), other.takeConfig(at))
		require.Equal(t, event.CodeConflict, event.CodeOf(err), "%d events", n)
		require.ErrorContains(t, err, "--whole")
	}
	// One that was restored is the same log.
	to := newInstallation(t)
	to.restore(at, "")
	to.append(facts(90000001, 2)...)
	require.EqualValues(t, 2, to.take(at).Records())
}

func TestDamageIsFound(t *testing.T) {
	from, at := newInstallation(t), folder(t)
	from.append(facts(90000001, 50)...)
	m := from.take(at)
	objects, err := at.List(t.Context(), m.ID)
	require.NoError(t, err)
	checked := 0
	for _, name := range objects {
		if strings.HasSuffix(name, "begun.json") {
			continue
		}
		path := filepath.Join(at.String(), name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		damaged := [][]byte{whole[:len(whole)/2], append(slices.Clone(whole), 'x'), bytes.ReplaceAll(whole, whole[len(whole)/2:len(whole)/2+1], []byte{whole[len(whole)/2] ^ 1})}
		for _, content := range damaged {
			require.NoError(t, os.WriteFile(path, content, 0o600))
			b, err := backup.Open(t.Context(), at, m.ID)
			if err == nil {
				_, err = b.Check(t.Context(), nil, nil)
			}
			require.Equal(t, event.CodePoisoned, event.CodeOf(err), name)
			checked++
		}
		require.NoError(t, os.WriteFile(path, whole, 0o600))
	}
	require.Equal(t, 3*4, checked, "a segment, two tables, the manifest")
	b, err := backup.Open(t.Context(), at, m.ID)
	require.NoError(t, err)
	report, err := b.Check(t.Context(), nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, 50, report.Records)
}

func TestTheSecretKeyIsThereOnlyUnderItsPassphrase(t *testing.T) {
	from := newInstallation(t)
	key := []byte("0123456789abcdef0123456789abcdef")
	config := from.takeConfig(folder(t))
	config.SecretKey = key
	m, err := backup.Take(t.Context(), config)
	require.NoError(t, err)
	require.Nil(t, m.SecretKey.Sealed)
	b, err := backup.Open(t.Context(), config.Place, "")
	require.NoError(t, err)
	_, err = b.SecretKey(t.Context(), "a good long passphrase")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))

	config.Passphrase = "short"
	_, err = backup.Take(t.Context(), config)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	config.Passphrase = "a good long passphrase"
	_, err = backup.Take(t.Context(), config)
	require.NoError(t, err)
	b, err = backup.Open(t.Context(), config.Place, "")
	require.NoError(t, err)
	got, err := b.SecretKey(t.Context(), config.Passphrase)
	require.NoError(t, err)
	require.Equal(t, key, got)
	_, err = b.SecretKey(t.Context(), "another long passphrase")
	require.Equal(t, event.CodeForbidden, event.CodeOf(err))

	names, err := config.Place.List(t.Context(), "")
	require.NoError(t, err)
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(config.Place.String(), name))
		require.NoError(t, err)
		require.NotContains(t, string(content), string(key), name)
	}
}

func TestAManifestCannotFillOtherTables(t *testing.T) {
	from, to, at := newInstallation(t), newInstallation(t), folder(t)
	m := from.take(at)
	path := filepath.Join(at.String(), m.ID, "manifest.json")
	m.Tables[0].Table = "login; DROP TABLE kept.head"
	data, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	b, err := backup.Open(t.Context(), at, "")
	require.NoError(t, err)
	_, err = b.Restore(t.Context(), to.restoreConfig())
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}
