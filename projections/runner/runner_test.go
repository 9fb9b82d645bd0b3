package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

func TestMain(m *testing.M) {
	// The metrics library of the Kafka client starts this one for good.
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const typeCounted event.Type = "muster.eve.test.counted.v1"

// counted is the only fact of the projections under test.
type counted struct {
	N int64 `json:"n"`
}

func (counted) EventType() event.Type { return typeCounted }

// bad is the number that the fold under test cannot digest.
const bad = -1

type row struct {
	stream  string
	n, at   int64
	part    int32
	eventID string
}

// tally keeps every event as a row of its own, without any protection against
// being written twice: what is applied twice shows.
type tally struct {
	rows []row
	fail *atomic.Int32
}

func (b *tally) Add(e runner.Event) error {
	p := e.Payload.(counted)
	if p.N == bad {
		return errors.New("minus one cannot be counted")
	}
	b.rows = append(b.rows, row{string(e.Stream), p.N, e.Offset, e.Partition, e.ID.String()})
	return nil
}

func (b *tally) Write(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"tally"}, []string{"stream", "n", "log_partition", "log_offset", "event_id"},
		pgx.CopyFromSlice(len(b.rows), func(i int) ([]any, error) {
			r := b.rows[i]
			return []any{r.stream, r.n, r.part, r.at, r.eventID}, nil
		}))
	if err == nil && b.fail != nil && b.fail.Add(-1) >= 0 {
		err = errors.New("the store went away after writing")
	}
	return err
}

func (b *tally) Inserts() []runner.Insert {
	return []runner.Insert{{
		Table: "tally", Columns: "stream, n, log_partition, log_offset, event_id", Rows: len(b.rows),
		Fill: func(batch driver.Batch) error {
			for _, r := range b.rows {
				if err := batch.Append(r.stream, r.n, r.part, r.at, r.eventID); err != nil {
					return err
				}
			}
			if b.fail != nil && b.fail.Add(-1) >= 0 {
				return errors.New("the store went away before the insert")
			}
			return nil
		},
	}}
}

const postgresTally = `CREATE TABLE tally (stream text NOT NULL, n bigint NOT NULL, log_partition integer, log_offset bigint, event_id text NOT NULL)`

// Nothing is ever noted: a row with a null is compared like any other.
const clickhouseTally = `CREATE TABLE IF NOT EXISTS {database}.tally (stream String, n Int64, log_partition Int32, log_offset Int64, event_id String, note Nullable(String))
	ENGINE = MergeTree ORDER BY (stream, log_offset) SETTINGS non_replicated_deduplication_window = 1000`

// world is everything a run needs, of the test's own.
type world struct {
	pool     *pgxpool.Pool
	conn     driver.Conn
	appender *eventlog.Appender
	log      runner.Kafka
	registry *event.Registry
	control  *runner.Control
	names    string
	// tracer is that of runners; nil traces nothing.
	tracer trace.Tracer
	fail   atomic.Int32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	brokers := enginetest.Kafka(t)
	w := &world{pool: enginetest.Postgres(t), registry: event.NewRegistry()}
	event.Register[counted](w.registry)
	manifest := eventlog.DefaultManifest()
	manifest.Partitions = 3
	require.NoError(t, manifest.Ensure(t.Context(), brokers, eventlog.Security{}))
	var err error
	w.appender, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.appender.Close()) })
	reader, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(reader.Close)
	w.log = runner.Kafka{Reader: reader, Consumer: eventlog.ConsumerConfig{Brokers: brokers}}
	w.control, err = runner.NewControl(t.Context(), w.pool)
	require.NoError(t, err)
	options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
	require.NoError(t, err)
	w.names = options.Auth.Database
	w.conn, err = clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.conn.Close()) })
	return w
}

func (w *world) bound(store string) runner.Bound {
	p := runner.Projection{
		Name: "tally", Version: 1, Topics: []string{event.TopicEVE},
		Tables:   []runner.Table{{Name: "tally", Key: "event_id"}},
		NewBatch: func() runner.Batch { return &tally{fail: &w.fail} },
	}
	limits := runner.Limits{Records: 50, Linger: 5 * time.Millisecond}
	b := runner.Bound{Live: limits, Bulk: limits}
	if store == "postgres" {
		p.Schema, b.Store = postgresTally, runner.NewPostgres(w.pool)
	} else {
		p.Schema, b.Store = clickhouseTally, runner.NewClickHouse(w.pool, w.conn, w.names)
	}
	b.Projection = p
	return b
}

func (w *world) runner() *runner.Runner {
	return runner.New(runner.Config{
		Pool: w.pool, Control: w.control, Log: w.log, Registry: w.registry,
		Logger: slog.New(slog.DiscardHandler), KeepRetired: 1, Tracer: w.tracer,
	})
}

// run starts a runner; the function returned stops it and waits for its end.
func (w *world) run(t *testing.T, b runner.Bound) (*runner.Runner, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r := w.runner()
	go func() {
		defer close(done)
		_ = r.Run(ctx, b)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return r, stop
}

func (w *world) append(t *testing.T, stream event.Stream, numbers ...int64) []event.Event {
	t.Helper()
	events := make([]event.Event, len(numbers))
	for i, n := range numbers {
		e, err := event.New(uuid.New(), stream, "test", time.Now(), counted{N: n})
		require.NoError(t, err)
		events[i] = e
	}
	require.NoError(t, w.appender.Append(t.Context(), events...))
	return events
}

// total is what the live generation says: rows, and the sum of their numbers.
func (w *world) total(t *testing.T, store string) (rows, sum int64) {
	t.Helper()
	g, err := w.control.Live(t.Context(), "tally")
	if event.CodeOf(err) == event.CodeUnavailable {
		return 0, 0
	}
	require.NoError(t, err)
	if store == "postgres" {
		require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT count(*), coalesce(sum(n), 0)::bigint FROM "+g.Namespace+".tally").Scan(&rows, &sum))
		return rows, sum
	}
	var count uint64
	require.NoError(t, w.conn.QueryRow(t.Context(), "SELECT count(), sum(n) FROM "+g.Namespace+".tally").Scan(&count, &sum))
	return int64(count), sum
}

func (w *world) eventually(t *testing.T, store string, rows, sum int64) {
	t.Helper()
	var gotRows, gotSum int64
	require.Eventually(t, func() bool {
		gotRows, gotSum = w.total(t, store)
		return gotRows == rows && gotSum == sum
	}, 20*time.Second, 20*time.Millisecond, "want %d rows and sum %d", rows, sum)
}

func inBothStores(t *testing.T, f func(t *testing.T, w *world, store string)) {
	for _, store := range []string{"postgres", "clickhouse"} {
		t.Run(store, func(t *testing.T) { f(t, newWorld(t), store) })
	}
}

func TestAppliesEachEventOnceWhileTheStoreFailsAndRunnersAreKilled(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		var rows, sum int64
		for round := range 5 {
			w.fail.Store(int32(round))
			_, stop := w.run(t, b)
			for s := range 7 {
				var numbers []int64
				for n := range int64(40) {
					numbers = append(numbers, n)
					rows, sum = rows+1, sum+n
				}
				w.append(t, event.Character(int64(s+1)), numbers...)
			}
			if round%2 == 0 {
				w.eventually(t, store, rows, sum)
			}
			stop()
		}
		w.run(t, b)
		w.eventually(t, store, rows, sum)
	})
}

func TestTwoRunnersNeverApplyAnEventTwice(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		_, stop := w.run(t, b)
		w.run(t, b)
		w.append(t, event.Character(1), 1, 2, 3)
		w.eventually(t, store, 3, 6)
		stop()
		w.append(t, event.Character(1), 4, 5, 6)
		w.eventually(t, store, 6, 21)
	})
}

func TestParksAPoisonedEventWithTheRestOfItsStreamAndGoesOnWithOthers(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		w.run(t, b)
		w.append(t, event.Character(1), 1, bad, 2, 3)
		w.append(t, event.Character(2), 10, 20)
		w.eventually(t, store, 3, 31)
		var parked []runner.Parked
		require.Eventually(t, func() bool {
			var err error
			parked, err = w.control.ParkedEvents(t.Context(), "tally")
			require.NoError(t, err)
			return len(parked) == 3
		}, 10*time.Second, 20*time.Millisecond)
		require.Equal(t, "poisoned", parked[0].State)
		require.Contains(t, parked[0].Reason, "minus one cannot be counted")
		require.Equal(t, []string{"waiting", "waiting"}, []string{parked[1].State, parked[2].State})

		// Trying again changes nothing as long as the cause is there.
		require.NoError(t, w.control.Retry(t.Context(), "tally", parked[0].Position))
		require.Eventually(t, func() bool {
			again, err := w.control.ParkedEvents(t.Context(), "tally")
			require.NoError(t, err)
			return len(again) == 3 && again[0].State == "poisoned" && !again[0].ParkedAt.Equal(parked[0].ParkedAt)
		}, 10*time.Second, 20*time.Millisecond)

		require.Error(t, w.control.Skip(t.Context(), "tally", parked[0].Position, "auditor", ""))
		require.NoError(t, w.control.Skip(t.Context(), "tally", parked[0].Position, "auditor", "written by a test"))
		w.eventually(t, store, 5, 36)
		// The rows are there before the checkpoint and the list are settled.
		require.Eventually(t, func() bool {
			left, err := w.control.ParkedEvents(t.Context(), "tally")
			require.NoError(t, err)
			return len(left) == 0
		}, 10*time.Second, 20*time.Millisecond)
		w.append(t, event.Character(1), 4)
		w.eventually(t, store, 6, 40)
	})
}

func TestParksARecordThatIsNoEvent(t *testing.T) {
	w := newWorld(t)
	w.run(t, w.bound("postgres"))
	e, err := event.New(uuid.New(), event.Character(5), "test", time.Now(), counted{N: 5})
	require.NoError(t, err)
	e.Data = []byte(`{"n":"five"}`)
	require.NoError(t, w.appender.Append(t.Context(), e))
	w.append(t, event.Character(6), 6)
	w.eventually(t, "postgres", 1, 6)
	parked, err := w.control.ParkedEvents(t.Context(), "tally")
	require.NoError(t, err)
	require.Len(t, parked, 1)
	require.Equal(t, "eve:character:5", parked[0].Stream)
	require.Contains(t, parked[0].Reason, string(typeCounted))
}

// That keys are away for a while is no fault of an event: it waits, and is not parked.
func TestASealedEventWaitsForItsKey(t *testing.T) {
	w := newWorld(t)
	var away atomic.Int32
	away.Store(3)
	w.registry.OpenWith(func(e event.Event) (event.Event, error) {
		if away.Add(-1) >= 0 {
			return e, event.Errorf(event.CodeUnavailable, "the keys are away")
		}
		e.Data = []byte(`{"n":5}`)
		return e, nil
	})
	w.run(t, w.bound("postgres"))
	e, err := event.New(uuid.New(), event.Character(5), "test", time.Now(), counted{})
	require.NoError(t, err)
	e.Data = []byte(`{"n":{"$sealed":"x"}}`)
	require.NoError(t, w.appender.Append(t.Context(), e))
	w.append(t, event.Character(5), 6)
	w.eventually(t, "postgres", 2, 11)
	require.Negative(t, away.Load())
	parked, err := w.control.ParkedEvents(t.Context(), "tally")
	require.NoError(t, err)
	require.Empty(t, parked)
}

func TestUnknownTypesArePassedOver(t *testing.T) {
	w := newWorld(t)
	w.run(t, w.bound("postgres"))
	future := event.Event{ID: uuid.New(), Type: "muster.eve.test.invented.v9", Source: "test", Stream: event.Character(1), Time: time.Now(), Data: json.RawMessage(`{}`)}
	require.NoError(t, w.appender.Append(t.Context(), future))
	w.append(t, event.Character(1), 7)
	w.eventually(t, "postgres", 1, 7)
}

func TestASecondCopyOfADecisionCountsOnce(t *testing.T) {
	w := newWorld(t)
	b := w.bound("postgres")
	_, stop := w.run(t, b)
	decide := func(version, n int64) event.Event {
		e, err := event.New(uuid.New(), event.User("u"), "test", time.Now(), counted{N: n})
		require.NoError(t, err)
		e.Version = version
		return e
	}
	first, second := decide(1, 1), decide(2, 2)
	require.NoError(t, w.appender.Append(t.Context(), first, second, first, second))
	w.eventually(t, "postgres", 2, 3)
	applied, err := w.control.Applied(t.Context(), "tally", event.User("u"))
	require.NoError(t, err)
	require.EqualValues(t, 2, applied)
	stop()
	w.run(t, b)
	require.NoError(t, w.appender.Append(t.Context(), second, decide(3, 3)))
	w.eventually(t, "postgres", 3, 6)
}

func TestReplayBuildsAnEqualGenerationAndSwitches(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		r, _ := w.run(t, b)
		var rows, sum int64
		for s := range int64(10) {
			for n := range int64(30) {
				w.append(t, event.Character(s+1), n)
				rows, sum = rows+1, sum+n
			}
		}
		w.eventually(t, store, rows, sum)
		var phases []string
		result, err := r.Replay(t.Context(), b, runner.ReplayOptions{Progress: func(p runner.Progress) {
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
		}})
		require.NoError(t, err)
		require.True(t, result.Equal)
		require.True(t, result.Promoted)
		require.Equal(t, 2, result.Generation)
		require.Equal(t, rows, result.Records)
		require.Equal(t, rows, result.Tables[0].LiveRows)
		require.Equal(t, rows, result.Tables[0].NewRows)
		require.Contains(t, phases, "reading")
		require.Contains(t, phases, "comparing")

		// The new generation is the one that goes on.
		w.append(t, event.Character(1), 1000)
		w.eventually(t, store, rows+1, sum+1000)
		back, err := r.Rollback(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, 1, back.Number)
		w.eventually(t, store, rows+1, sum+1000)
	})
}

func TestARebuildMakesBatchesOverTheEndsOfPartitionsAndCountsWhatIsWritten(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		r, _ := w.run(t, b)
		var rows, sum int64
		for s := range int64(6) {
			for n := range int64(20) {
				w.append(t, event.Character(s+1), n)
				rows, sum = rows+1, sum+n
			}
		}
		w.eventually(t, store, rows, sum)
		batches := func(records int) []int64 {
			b := b
			b.Rebuild = runner.Limits{Records: records}
			var done []int64
			result, err := r.Replay(t.Context(), b, runner.ReplayOptions{Progress: func(p runner.Progress) {
				if p.Phase == "reading" {
					require.Equal(t, rows, p.Total)
					done = append(done, p.Done)
				}
			}})
			require.NoError(t, err)
			require.True(t, result.Equal)
			require.Equal(t, rows, result.Records)
			return done
		}
		require.Equal(t, []int64{0, rows}, batches(10_000), "three partitions are one batch")
		require.Equal(t, []int64{0, 50, 100, rows}, batches(50))
	})
}

func TestABatchMayHaveRowsOfManyPartitionsOfATable(t *testing.T) {
	w := newWorld(t)
	b := w.bound("clickhouse")
	b.Schema = strings.Replace(b.Schema, "ORDER BY", "PARTITION BY n ORDER BY", 1)
	const partitions = 150
	b.Live = runner.Limits{Records: 10 * partitions, Linger: time.Second}
	b.Bulk = b.Live
	numbers := make([]int64, partitions)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	w.append(t, event.Character(1), numbers...)
	w.run(t, b)
	w.eventually(t, "clickhouse", partitions, partitions*(partitions-1)/2)
}

func TestReplayFindsARowThatWasTamperedWith(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		r, _ := w.run(t, b)
		w.append(t, event.Character(1), 1, 2, 3)
		w.eventually(t, store, 3, 6)
		g, err := w.control.Live(t.Context(), "tally")
		require.NoError(t, err)
		if store == "postgres" {
			_, err = w.pool.Exec(t.Context(), "UPDATE "+g.Namespace+".tally SET n = 4 WHERE n = 3")
		} else {
			err = w.conn.Exec(t.Context(), "ALTER TABLE "+g.Namespace+".tally UPDATE n = 4 WHERE n = 3 SETTINGS mutations_sync = 2")
		}
		require.NoError(t, err)
		result, err := r.Replay(t.Context(), b, runner.ReplayOptions{})
		require.NoError(t, err)
		require.False(t, result.Equal)
		require.False(t, result.Promoted)
		require.Len(t, result.Tables[0].Different, 1)
		live, err := w.control.Live(t.Context(), "tally")
		require.NoError(t, err)
		require.Equal(t, 1, live.Number)
	})
}

func TestReplayStopsAtAPoisonedEventAndSaysHowToGoOn(t *testing.T) {
	w := newWorld(t)
	b := w.bound("postgres")
	r, _ := w.run(t, b)
	w.append(t, event.Character(1), 1, bad)
	w.eventually(t, "postgres", 1, 1)
	_, err := r.Replay(t.Context(), b, runner.ReplayOptions{})
	require.ErrorContains(t, err, "minus one cannot be counted")
	require.ErrorContains(t, err, "muster poison skip --projection tally")
}

func TestAnotherVersionOfTheFoldBuildsANewGeneration(t *testing.T) {
	w := newWorld(t)
	b := w.bound("postgres")
	_, stop := w.run(t, b)
	w.append(t, event.Character(1), 1, 2)
	w.eventually(t, "postgres", 2, 3)
	stop()
	b.Version = 2
	b.Schema = strings.Replace(postgresTally, "event_id text", "note text, event_id text", 1)
	w.run(t, b)
	require.Eventually(t, func() bool {
		g, err := w.control.Live(t.Context(), "tally")
		require.NoError(t, err)
		return g.Version == 2 && g.Number == 2
	}, 10*time.Second, 20*time.Millisecond)
	w.append(t, event.Character(1), 3)
	w.eventually(t, "postgres", 3, 6)
}

func TestProjectionNameIsUsedInNamespaces(t *testing.T) {
	w := newWorld(t)
	w.run(t, w.bound("clickhouse"))
	require.Eventually(t, func() bool {
		g, err := w.control.Live(t.Context(), "tally")
		return err == nil && g.Namespace == fmt.Sprintf("%s_tally_g1", w.names)
	}, 10*time.Second, 20*time.Millisecond)
}

// followers note which generation is live whenever they are told.
type followers struct {
	control *runner.Control
	failing atomic.Int32
	told    chan int
}

func (f *followers) Follow(ctx context.Context, projection string) error {
	if f.failing.Add(-1) >= 0 {
		return errors.New("somebody is reading")
	}
	g, err := f.control.Live(ctx, projection)
	if err == nil {
		f.told <- g.Number
	}
	return err
}

func TestReadersAreToldOfEachSwitch(t *testing.T) {
	w := newWorld(t)
	w.append(t, "eve:character:1", 1, 2, 3)
	b := w.bound("postgres")
	readers := &followers{control: w.control, told: make(chan int, 100)}
	last := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			select {
			case got := <-readers.told:
				return got == want
			default:
				return false
			}
		}, time.Minute, 10*time.Millisecond)
	}
	// A projector is told when it takes the projection over, also after that failed once.
	readers.failing.Store(2)
	ctx, cancel := context.WithCancel(t.Context())
	r := runner.New(runner.Config{
		Pool: w.pool, Control: w.control, Log: w.log, Registry: w.registry, Logger: slog.New(slog.DiscardHandler), KeepRetired: 1, Readers: readers,
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx, b)
	}()
	last(1)
	cancel()
	<-done
	require.Negative(t, readers.failing.Load())

	// Nobody runs it now: what switches tells.
	_, err := r.Replay(t.Context(), b, runner.ReplayOptions{})
	require.NoError(t, err)
	last(2)
	g, err := r.Rollback(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 1, g.Number)
	last(1)
}
