package retention_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/engine/kafka"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
	"github.com/muster-sync/muster/projections/verify"
)

func TestMain(m *testing.M) {
	// The metrics library of the Kafka client starts this one for good.
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// organisation is a log with its read models.
type organisation struct {
	*testing.T

	// compact asks the broker to compact; nil if it does so by itself.
	compact  func(context.Context) error
	pool     *pgxpool.Pool
	conn     driver.Conn
	cluster  runner.Cluster
	appender *eventlog.Appender
	reader   *eventlog.Reader
	registry *event.Registry
	control  *runner.Control
	runner   *runner.Runner
	bound    []runner.Bound
	live     *live.Generations
	now      time.Time
	series   map[string]eve.Series
	last     map[string]uuid.UUID
}

func newOrganisation(t *testing.T, more ...runner.Projection) *organisation {
	t.Helper()
	broker, err := kafka.Start(t.Context(), kafka.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Stop()) })
	o := newOrganisationOn(t, broker.Brokers(), eventlog.DefaultManifest(), more...)
	o.compact = func(context.Context) error {
		broker.Compact()
		return nil
	}
	return o
}

func newOrganisationOn(t *testing.T, brokers []string, manifest eventlog.Manifest, more ...runner.Projection) *organisation {
	t.Helper()
	manifest.Partitions = 3
	err := manifest.Ensure(t.Context(), brokers, eventlog.Security{})
	require.NoError(t, err)
	o := &organisation{
		T: t, pool: enginetest.Postgres(t), registry: event.NewRegistry(), now: time.Now().UTC(),
		series: map[string]eve.Series{}, last: map[string]uuid.UUID{},
	}
	eve.Register(o.registry)
	anvil.Register(o.registry)
	access.Register(o.registry)
	retention.Register(o.registry)
	o.appender, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.appender.Close()) })
	o.reader, err = eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(o.reader.Close)
	overTime := append([]runner.Projection{chviews.Wallet(), chviews.Facts(), chviews.Records(), chviews.EventIndex()}, more...)
	conn, database, cluster := clustertest.Connect(t, overTime...)
	o.conn, o.cluster = conn, cluster
	o.control, err = runner.NewControl(t.Context(), o.pool)
	require.NoError(t, err)
	o.live = live.New(o.control)
	o.runner = runner.New(runner.Config{
		Pool: o.pool, Control: o.control, Registry: o.registry, Logger: slog.New(slog.DiscardHandler), KeepRetired: 1,
		Log: runner.Kafka{Reader: o.reader, Consumer: eventlog.ConsumerConfig{Brokers: brokers}},
	})
	limits := runner.Limits{Records: 1000, Linger: 20 * time.Millisecond}
	pg, ch := runner.NewPostgres(o.pool), runner.NewClickHouse(o.pool, o.conn, database).On(cluster)
	for _, p := range []runner.Projection{pgviews.Characters(), pgviews.AnVIL()} {
		o.bound = append(o.bound, runner.Bound{Projection: p, Store: pg, Live: limits, Bulk: limits})
	}
	for _, p := range overTime {
		o.bound = append(o.bound, runner.Bound{Projection: p, Store: ch, Live: limits, Bulk: limits})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = o.runner.Run(ctx, o.bound...)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	// What a view shows can only be asked once there is one.
	require.Eventually(t, func() bool {
		for _, b := range o.bound {
			if _, err := o.control.Live(t.Context(), b.Name); err != nil {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
	return o
}

// settle waits until all read models have applied the whole log.
func (o *organisation) settle() {
	o.Helper()
	require.Eventually(o, func() bool {
		for _, b := range o.bound {
			g, err := o.control.Live(o.Context(), b.Name)
			if err != nil {
				return false
			}
			checkpoints, err := o.control.Checkpoints(o.Context(), g)
			require.NoError(o, err)
			lag, err := o.runner.Lag(o.Context(), g, b.Topics)
			require.NoError(o, err)
			if len(checkpoints) == 0 || lag.Records > 0 {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
}

// verified folds the log in memory and finds the read models equal to that.
func (o *organisation) verified() {
	o.Helper()
	o.settle()
	var releases []func()
	defer func() {
		for _, release := range releases {
			release()
		}
	}()
	for _, b := range o.bound {
		release, err := o.runner.Hold(o.Context(), b)
		require.NoError(o, err)
		releases = append(releases, release)
	}
	report, err := verify.Run(o.Context(), verify.Config{
		Pool: o.pool, ClickHouse: o.conn, Log: o.reader, Registry: o.registry, Control: o.control, Percent: 100,
	}, verify.NewCharacters(o.pool), verify.NewAnVIL(o.pool, o.registry, pgviews.LoadState), verify.NewWallet(o.conn), verify.NewFacts(o.conn), verify.NewRecords(o.conn), verify.NewEventIndex(o.conn))
	require.NoError(o, err)
	require.Zero(o, report.Count, "%+v", report.Differences)
}

// replayed builds everything from the log again and finds it equal.
func (o *organisation) replayed() {
	o.Helper()
	o.settle()
	for _, b := range o.bound {
		result, err := o.runner.Replay(o.Context(), b, runner.ReplayOptions{})
		require.NoError(o, err)
		require.True(o, result.Equal, "%s: %+v", b.Name, result.Tables)
	}
}

func (o *organisation) config(days int) worker.Config {
	policies := retention.DefaultPolicies()
	policies.HistoryDays = days
	generation := func(ctx context.Context, name string) runner.Generation {
		g, err := o.control.Live(ctx, name)
		require.NoError(o, err)
		return g
	}
	wallet := chviews.NewWalletReader(o.conn, live.New(o.control))
	return worker.Config{
		Policies: policies, Pool: o.pool, Log: o.reader, Registry: o.registry, Appender: o.appender,
		Index:   chviews.NewEventIndexReader(o.conn, live.New(o.control), o.control),
		Control: o.control, IndexName: chviews.EventIndexName, ViewNames: o.viewNames(),
		Views: []worker.View{
			{Name: "postgres: records", Before: func(ctx context.Context, at time.Time) ([]retention.Aged, error) {
				return pgviews.RecordsBefore(ctx, o.pool, generation(ctx, pgviews.CharactersName), at)
			}},
			{Name: "clickhouse: wallet_journal", Before: wallet.EntriesBefore},
			{Name: "clickhouse: transactions and mining", Before: chviews.NewFactReader(o.conn, live.New(o.control), chviews.DefaultBudget()).RecordsBefore},
			{Name: "clickhouse: contracts and mails", Before: chviews.NewRecordReader(o.conn, live.New(o.control), chviews.DefaultBudget()).RecordsBefore},
		},
		Disks:   []worker.Disk{{Name: "clickhouse: deleted rows in parts", Clean: o.parts().Clean, Left: o.parts().Left}},
		Compact: o.compact,
		Purge:   func(ctx context.Context) error { return o.runner.Purge(ctx, o.bound) },
		Beside:  o.beside,
	}
}

// viewNames are the read models that rows are removed from, beside the index.
func (o *organisation) viewNames() []string {
	var names []string
	for _, b := range o.bound {
		if b.Name != chviews.EventIndexName && b.Name != pgviews.AnVILName {
			names = append(names, b.Name)
		}
	}
	return names
}

// beside are the generations that are not live, and how far they have come.
func (o *organisation) beside(ctx context.Context) ([]worker.Applied, error) {
	generations, err := o.control.Generations(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []worker.Applied
	for _, g := range generations {
		if g.Status == runner.StatusLive || g.Status == runner.StatusDropped {
			continue
		}
		checkpoints, err := o.control.Checkpoints(ctx, g)
		if err != nil {
			return nil, err
		}
		a := worker.Applied{Name: g.Namespace, Next: map[eventlog.Partition]int64{}}
		for _, cp := range checkpoints {
			a.Next[cp.Partition] = cp.Next
		}
		all = append(all, a)
	}
	return all, nil
}

// parts are those of ClickHouse with rows that are deleted.
func (o *organisation) parts() *chviews.DeletedRows {
	return chviews.NewDeletedRows(o.conn, o.cluster, func(ctx context.Context) ([]string, error) {
		var all []string
		for _, b := range o.bound {
			generations, err := o.control.Generations(ctx, b.Name)
			if err != nil {
				return nil, err
			}
			for _, g := range generations {
				all = append(all, g.Namespace)
			}
		}
		return all, nil
	})
}

func (o *organisation) ago(days int) time.Time { return o.now.AddDate(0, 0, -days) }

func (o *organisation) put(id int64, at time.Time, p event.Payload) event.Event {
	o.Helper()
	e, err := event.New(uuid.New(), event.Character(id), "test", at, p)
	require.NoError(o, err)
	require.NoError(o, o.appender.Append(o.Context(), e))
	return e
}

// observe tells a reading of a section as ingest does.
func (o *organisation) observe(id int64, s eve.Section, at time.Time, value string) {
	o.Helper()
	key := fmt.Sprint(id, s)
	e, next, err := eve.Compare("test", o.series[key], eve.Snapshot{CharacterID: id, Section: s, FetchedAt: at, Value: json.RawMessage(value)})
	require.NoError(o, err)
	require.NotNil(o, e)
	require.NoError(o, o.appender.Append(o.Context(), *e))
	o.series[key] = next
}

func (o *organisation) journal(id int64, at time.Time, entry int64, amount string) {
	o.Helper()
	page := fmt.Sprintf(`[{"id":%d,"date":%q,"ref_type":"bounty_prizes","amount":%s,"balance":%s}]`, entry, at.Format(time.RFC3339), amount, amount)
	key := fmt.Sprint(id, "journal")
	events, _, last, err := eve.NewJournalFacts("test", eve.JournalReading{CharacterID: id, FetchedAt: at, Pages: [][]byte{[]byte(page)}}, &eve.KnownEntries{}, o.last[key])
	require.NoError(o, err)
	require.NoError(o, o.appender.Append(o.Context(), events...))
	o.last[key] = last
}

func records(id int64, s eve.Section, day, fetched time.Time, item string) eve.Facts {
	return eve.Facts{CharacterID: id, Section: s, Day: day.Format(time.DateOnly), FetchedAt: fetched, Items: []json.RawMessage{json.RawMessage(item)}}
}

// told has everything told of a character that retention is about, partly old.
func (o *organisation) told(id int64) {
	o.Helper()
	o.put(id, o.ago(900), eve.CharacterRegistered{CharacterID: id, Name: fmt.Sprint("Pilot ", id), UserID: "u1"})
	for i, days := range []int{700, 400, 10} {
		at, n := o.ago(days), i+1
		stamp := at.Format(time.RFC3339)
		o.put(id, at, eve.MailRecorded{Facts: records(id, eve.SectionMails, at, at, fmt.Sprintf(`{"mail_id":%d,"timestamp":%q,"subject":"s"}`, n, stamp))})
		o.put(id, o.ago(5), eve.MailChanged{Facts: records(id, eve.SectionMails, at, o.ago(5), fmt.Sprintf(`{"mail_id":%d,"body":"secret"}`, n))})
		o.put(id, at, eve.ContractRecorded{Facts: records(id, eve.SectionContracts, at, at, fmt.Sprintf(`{"contract_id":%d,"date_issued":%q}`, n, stamp))})
		o.put(id, at, eve.TransactionsRecorded{Facts: records(id, eve.SectionWalletTransactions, at, at, fmt.Sprintf(`{"transaction_id":%d,"date":%q}`, n, stamp))})
		o.put(id, at, eve.MiningRecorded{Facts: records(id, eve.SectionMining, at, at, fmt.Sprintf(`{"date":%q,"solar_system_id":30000142,"type_id":%d,"quantity":1}`, at.Format(time.DateOnly), n))})
		o.put(id, at, eve.NotificationRecorded{Facts: records(id, eve.SectionNotifications, at, at, fmt.Sprintf(`{"notification_id":%d,"timestamp":%q}`, n, stamp))})
		o.journal(id, at, int64(n), fmt.Sprintf("%d.25", n*100))
		o.observe(id, eve.SectionWallet, at, fmt.Sprintf("%d.5", n))
		o.observe(id, eve.SectionShip, at, fmt.Sprintf(`{"ship_item_id":%d,"ship_name":"a","ship_type_id":587}`, n))
		o.observe(id, eve.SectionShip, at.Add(time.Minute), fmt.Sprintf(`{"ship_item_id":%d,"ship_name":"b","ship_type_id":587}`, n))
		o.observe(id, eve.SectionMails, at, fmt.Sprintf(`{"labels":[],"lists":[{"mailing_list_id":%d,"name":"list %d"}]}`, n, n))
		o.observe(id, eve.SectionSkills, at, fmt.Sprintf(`{"total_sp":%d,"unallocated_sp":0,"skills":[]}`, n))
		o.observe(id, eve.SectionContacts, at, contacts(100, n))
		o.observe(id, eve.SectionContacts, at.Add(time.Hour), contacts(101, n))
	}
}

func contacts(n, standing int) string {
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = map[string]any{"contact_id": i + 1, "contact_type": "character", "standing": 5, "note": "so that a difference is worth it"}
	}
	list[0]["standing"] = standing
	raw, err := json.Marshal(map[string]any{"contacts": list, "labels": []int{}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// scan reads the log: the tombstones by key with their offsets, and the records that
// have a value.
func (o *organisation) scan() (tombstones map[string]int64, values map[string][]int64) {
	o.Helper()
	tombstones, values = map[string]int64{}, map[string][]int64{}
	ends, err := o.reader.Ends(o.Context(), event.TopicEVE, event.TopicPoison)
	require.NoError(o, err)
	for at, span := range ends {
		require.NoError(o, o.reader.ReadRange(o.Context(), at, 0, span.End, func(rec eventlog.Record) error {
			e, err := rec.Event()
			if err != nil {
				return err
			}
			if e.IsTombstone() {
				tombstones[rec.Key] = rec.Offset
			} else {
				values[rec.Key] = append(values[rec.Key], rec.Offset)
			}
			return nil
		}))
	}
	return tombstones, values
}

func (o *organisation) count(sql string, args ...any) int {
	o.Helper()
	g, err := o.control.Live(o.Context(), pgviews.CharactersName)
	require.NoError(o, err)
	var n int
	require.NoError(o, o.pool.QueryRow(o.Context(), fmt.Sprintf(sql, g.Namespace), args...).Scan(&n))
	return n
}

func (o *organisation) rows(projection, sql string) int {
	o.Helper()
	g, err := o.control.Live(o.Context(), projection)
	require.NoError(o, err)
	var n uint64
	require.NoError(o, o.conn.QueryRow(o.Context(), fmt.Sprintf(sql, "`"+g.Namespace+"`")).Scan(&n))
	return int(n)
}

// Old data of characters goes whether they changed or not, and also if they are
// disabled or have no owner (defect 11 of Member Audit: retention not applied when
// unchanged). Afterwards neither the log nor a read model holds it, what is left adds
// up, and a replay of the compacted log is equal to the live read models.
func TestRetentionReachesUnchangedDisabledAndOrphanedCharacters(t *testing.T) {
	o := newOrganisation(t)
	const unchanged, disabled, orphaned, young = 1, 2, 3, 4
	for _, id := range []int64{unchanged, disabled, orphaned} {
		o.told(id)
	}
	o.put(disabled, o.ago(390), eve.CharacterDisabled{CharacterID: disabled, Reason: "asked for"})
	o.put(orphaned, o.ago(390), eve.CharacterOrphaned{CharacterID: orphaned, Reason: "sold"})
	o.put(young, o.ago(3), eve.CharacterRegistered{CharacterID: young, Name: "Young", UserID: "u1"})
	o.put(young, o.ago(2), eve.MailRecorded{Facts: records(young, eve.SectionMails, o.ago(2), o.ago(2), `{"mail_id":9,"timestamp":"2026-01-01T00:00:00Z"}`)})
	o.verified()
	require.Equal(t, 9, o.rows(chviews.WalletName, "SELECT count() FROM %s.wallet_journal FINAL"))
	for _, table := range []string{"transactions", "mining", "skill_points"} {
		require.Equal(t, 9, o.rows(chviews.FactsName, "SELECT count() FROM %s."+table+" FINAL"), table)
	}
	for table, want := range map[string]int{"contracts": 9, "mails": 9 + 1, "notifications": 9} {
		require.Equal(t, want, o.rows(chviews.RecordsName, "SELECT count() FROM %s."+table+" FINAL"), table)
	}
	_, before := o.scan()

	metrics := prometheus.NewRegistry()
	config := o.config(360)
	config.Metrics = metrics
	w := worker.New(config)
	var planned int
	require.NoError(t, w.Plan(t.Context(), func(p worker.Planned) error {
		planned += len(p.Expired)
		require.NotEqual(t, event.Character(young), p.Stream)
		return nil
	}))
	done, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, done.Streams)
	require.Equal(t, 3, done.Touched)
	require.Equal(t, 3, done.Closings)
	require.Equal(t, planned, done.Tombstones[retention.ClassHistory]+done.Tombstones[retention.ClassState])
	require.Equal(t, 3*2*6, done.Tombstones[retention.ClassHistory], "of two old days five kinds of events, and the amendments of mails")
	require.NotZero(t, done.Tombstones[retention.ClassState])
	require.Zero(t, done.Swept)

	// The log: what tombstones name has no value any more, everything else has.
	tombstones, after := o.scan()
	gone := 0
	for key := range before {
		_, named := tombstones[key]
		require.NotEqual(t, named, len(after[key]) > 0, key)
		if named {
			gone++
		}
	}
	require.Equal(t, planned, gone)

	// The read models: nothing old, everything young.
	o.settle()
	cutOff := done.CutOffs[0].At
	require.Zero(t, o.count("SELECT count(*) FROM %s.records WHERE day < $1 AND section <> 'notifications'", cutOff))
	require.Equal(t, 3*4+1, o.count("SELECT count(*) FROM %s.records WHERE section <> 'notifications'"))
	require.Equal(t, 3*3, o.count("SELECT count(*) FROM %s.records WHERE section = 'notifications'"), "what the policy does not name stays")
	require.Equal(t, 3*2, o.count("SELECT count(*) FROM %s.mailing_list_names"), "a list goes with the last observation that named it")
	require.Equal(t, 3, o.rows(chviews.WalletName, "SELECT count() FROM %s.wallet_journal FINAL"))
	require.Equal(t, 3, o.rows(chviews.WalletName, "SELECT count() FROM %s.closings FINAL WHERE entries = 2 AND total = 300.5 AND last_entry_id = 2"))
	require.Equal(t, 3, o.rows(chviews.FactsName, "SELECT count() FROM %s.transactions FINAL"))
	require.Equal(t, 3, o.rows(chviews.FactsName, "SELECT count() FROM %s.mining FINAL"))
	require.Equal(t, 6, o.rows(chviews.FactsName, "SELECT count() FROM %s.skill_points FINAL"), "what was replaced within the time that is kept stays")
	for table, want := range map[string]int{"contracts": 3, "mails": 3 + 1, "notifications": 9} {
		require.Equal(t, want, o.rows(chviews.RecordsName, "SELECT count() FROM %s."+table+" FINAL"), table)
	}
	o.verified()
	o.replayed()
	o.verified()

	// What was searched is certified, each certificate on top of the one before.
	clean, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Zero(t, clean.Found, "%+v", clean)
	require.Equal(t, int64(planned), clean.Keys)
	require.Len(t, clean.Partitions, 3*4)
	require.Equal(t, done.RunID, clean.RunID)
	second, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Equal(t, clean.Hash, second.Previous)
	require.Equal(t, clean.KeysHash, second.KeysHash)
	backlogs, err := w.Backlogs(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, backlogs)
	for _, b := range backlogs {
		require.NotZero(t, b.Tombstones)
		require.Zero(t, b.Waiting)
	}

	// There is nothing more to do, and that is recorded, too.
	again, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, again.Tombstones)
	require.Zero(t, again.Touched)
	all, err := w.Records(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 6)
	require.Equal(t, done.Tombstones, all[1].Payload.(retention.Completed).Tombstones)

	// A read model that shows what it should not is told so.
	g, err := o.control.Live(t.Context(), pgviews.CharactersName)
	require.NoError(t, err)
	_, err = o.pool.Exec(t.Context(), `INSERT INTO `+g.Namespace+`.records VALUES ($1, 'mails', '77', now(), '2020-01-01', '{}', now(), $2, 0, 1)`, young, uuid.New())
	require.NoError(t, err)
	swept, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, swept.Swept)
	o.settle()
	require.Zero(t, o.count("SELECT count(*) FROM %s.records WHERE key = '77'"))
	o.verified()
}

// failing appends until it fails, as a process that is killed.
type failing struct {
	worker.Appender

	left atomic.Int32
}

func (f *failing) Expire(ctx context.Context, topic string, tombstones ...event.Event) error {
	if f.left.Add(-1) < 0 {
		return errors.New("killed")
	}
	return f.Appender.Expire(ctx, topic, tombstones...)
}

// A run that was interrupted is gone on with: the books are closed once in effect.
func TestAnInterruptedRunIsGoneOnWith(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	o.told(2)
	config := o.config(360)
	dying := &failing{Appender: o.appender}
	dying.left.Store(1)
	config.Appender = dying
	_, err := worker.New(config).Run(t.Context())
	require.ErrorContains(t, err, "killed")
	// A read model that still shows what is on its way out would be told again.
	o.settle()
	done, err := worker.New(o.config(360)).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, done.Touched)
	o.settle()
	require.Equal(t, 2, o.rows(chviews.WalletName, "SELECT count() FROM %s.closings FINAL WHERE entries = 2 AND total = 300.5"))
	o.verified()
	o.replayed()
}

func TestCopiesThatCompactionTakesAwayMakeNoDifference(t *testing.T) {
	o := newOrganisation(t)
	o.put(1, o.ago(9), eve.CharacterRegistered{CharacterID: 1, Name: "One", UserID: "u1"})
	again := o.put(1, o.ago(8), eve.SectionObserved{CharacterID: 1, Section: eve.SectionWallet, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: o.ago(8), Value: json.RawMessage(`1.5`)})
	require.NoError(t, o.appender.Append(t.Context(), again))
	// A decision and entries of a journal, whose rows name the first event that told them.
	disabled, err := event.New(uuid.New(), event.Character(1), "test", o.ago(7), eve.CharacterDisabled{CharacterID: 1, Reason: "asked"})
	require.NoError(t, err)
	disabled.Version = 1
	journal, _, _, err := eve.NewJournalFacts("test", eve.JournalReading{CharacterID: 1, FetchedAt: o.ago(6), Pages: [][]byte{[]byte(`[{"id":1,"date":"2026-05-01T00:00:00Z","ref_type":"bounty_prizes","amount":1,"balance":1}]`)}}, &eve.KnownEntries{}, uuid.Nil)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, o.appender.Append(t.Context(), append(journal, disabled)...))
	}
	o.put(1, o.ago(5), eve.CharacterEnabled{CharacterID: 1, Reason: "asked"})
	o.settle()
	rows := func() (n uint64) {
		g, err := o.control.Live(t.Context(), chviews.EventIndexName)
		require.NoError(t, err)
		require.NoError(t, o.conn.QueryRow(t.Context(), "SELECT count() FROM `"+g.Namespace+"`.event_index FINAL").Scan(&n))
		return n
	}
	require.EqualValues(t, 8, rows())

	require.NoError(t, o.compact(t.Context()))

	o.verified()
	o.replayed()
	require.EqualValues(t, 5, rows(), "the earlier copies are in the log no more")
}

// keptKeys are a keyring without keys.
type keptKeys struct{ worker.Keyring }

// DestroyAgain implements [worker.Keyring].
func (keptKeys) DestroyAgain(context.Context, int64, []uuid.UUID) (int, error) { return 0, nil }

// A process that is killed after it has appended a decision appends it again, and compaction
// takes the earlier copy away.
func TestADecisionThatWasAppendedTwiceIsFoundWhereCompactionLeavesIt(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	forgotten, err := event.New(uuid.New(), event.Character(1), "test", o.ago(1), eve.CharacterForgotten{CharacterID: 1, Reason: "asked for", KeyIDs: []uuid.UUID{uuid.New()}})
	require.NoError(t, err)
	forgotten.Version = 1
	for range 2 {
		require.NoError(t, o.appender.Append(t.Context(), forgotten))
	}
	o.settle()
	require.NoError(t, o.compact(t.Context()))
	found, err := chviews.NewEventIndexReader(o.conn, live.New(o.control), o.control).Event(t.Context(), forgotten.ID)
	require.NoError(t, err)
	records, err := o.reader.ReadAt(t.Context(), []event.Position{found.Position()})
	require.NoError(t, err)
	require.Len(t, records, 1, "what the index says of it is true")

	config := o.config(0)
	config.Keys = keptKeys{}
	done, err := worker.New(config).Run(t.Context())
	require.NoError(t, err)
	require.Positive(t, done.Tombstones[retention.ClassForgotten])
	o.verified()
	o.replayed()
}

func TestOneProcessAtATimeEnforcesRetention(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	config := o.config(360)
	config.Compact = func(ctx context.Context) error {
		_, err := worker.New(o.config(360)).Run(ctx)
		require.Equal(t, event.CodeConflict, event.CodeOf(err))
		return nil
	}
	_, err := worker.New(config).Run(t.Context())
	require.NoError(t, err)
}

func TestAForgottenCharacterGoesFromTheLog(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	o.told(2)
	o.put(1, o.ago(1), eve.CharacterForgotten{CharacterID: 1, Reason: "asked for"})
	config := o.config(0)
	config.Policies.StateDays = 0
	done, err := worker.New(config).Run(t.Context())
	require.NoError(t, err)
	_, values := o.scan()
	left := 0
	for key := range values {
		if stream, _, err := event.ParseKey(key); err == nil && stream == event.Character(1) {
			left++
		}
	}
	require.Equal(t, 1, left, "that it was forgotten, and nothing else")
	require.Equal(t, map[retention.Class]int{retention.ClassForgotten: done.Tombstones[retention.ClassForgotten]}, done.Tombstones)
	o.verified()
	o.replayed()
}

// A search that finds something says where: in the log before it was compacted, and
// in a read model that holds what it should not.
func TestWhatIsStillThereIsFound(t *testing.T) {
	o := newOrganisation(t)
	o.told(1)
	config := o.config(360)
	config.Compact = nil
	w := worker.New(config)
	_, err := w.Prove(t.Context())
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	done, err := w.Run(t.Context())
	require.NoError(t, err)
	o.settle()
	g, err := o.control.Live(t.Context(), pgviews.CharactersName)
	require.NoError(t, err)
	_, err = o.pool.Exec(t.Context(), `INSERT INTO `+g.Namespace+`.records VALUES (1, 'mails', '77', now(), '2020-01-01', '{}', now(), $1, (SELECT max(log_partition) FROM `+g.Namespace+`.records), 0)`, uuid.New())
	require.NoError(t, err)
	found, err := w.Prove(t.Context())
	require.NoError(t, err)
	removed := int64(done.Tombstones[retention.ClassHistory] + done.Tombstones[retention.ClassState])
	require.Equal(t, removed+1, found.Found)
	backlogs, err := w.Backlogs(t.Context())
	require.NoError(t, err)
	require.Len(t, backlogs, 1)
	require.Equal(t, removed, backlogs[0].Waiting)
	require.NotNil(t, backlogs[0].Oldest)
	all, err := w.Records(t.Context())
	require.NoError(t, err)
	require.False(t, all[len(all)-1].Payload.(retention.Certified).Clean)

	// Compaction and the next run put it right.
	require.NoError(t, o.compact(t.Context()))
	next, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, next.Swept)
	clean, err := w.Prove(t.Context())
	require.NoError(t, err)
	require.Zero(t, clean.Found, "%+v", clean)
	require.Equal(t, found.Hash, clean.Previous)

	// A run that says of itself that it removed more than it did is found out.
	lie := next
	lie.RunID, lie.At, lie.Policies.HistoryDays = uuid.NewString(), time.Now(), 7
	e, err := event.New(uuid.New(), event.Org, "test", time.Now(), lie)
	require.NoError(t, err)
	require.NoError(t, o.appender.Append(t.Context(), e))
	out, err := w.Prove(t.Context())
	require.NoError(t, err)
	notExpired := int64(0)
	for _, p := range out.Partitions {
		notExpired += p.NotExpired
	}
	require.Equal(t, int64(6), notExpired, "of a day of ten days ago five kinds of events, and the amendment of the mail")
	require.Equal(t, notExpired+4+1+2+2, out.Found, "and the rows that came from them: records, an entry, a trade and a line of mining, a contract and a mail")
}
