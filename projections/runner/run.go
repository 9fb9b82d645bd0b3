package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Config is what a Runner needs.
type Config struct {
	Pool     *pgxpool.Pool
	Control  *Control
	Log      Log
	Registry *event.Registry
	Logger   *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
	// KeepRetired is how many generations are kept for a rollback after the one
	// that replaced them was promoted.
	KeepRetired int
	// Readers are told which generations are live. May be nil.
	Readers Readers
	// Tracer makes a span of each batch of a live generation, with links to the traces
	// that its events come from; nil for none. A rebuild makes none: it folds what was
	// traced long ago.
	Tracer trace.Tracer
	// Step is called after each thing that is written down on the way, with the name of
	// it; for tests that end the process there. May be nil.
	Step func(name string)
}

// Readers is what has to know where the tables of a projection lie without asking for
// every question, such as views of stable names.
type Readers interface {
	// Follow is called when another generation of the projection may be live: after
	// each switch, and when a process takes the projection over. It is called again after
	// it failed, and must do nothing if there is nothing to do.
	Follow(ctx context.Context, projection string) error
}

// Bound ties a projection to the store that holds it.
type Bound struct {
	Projection
	Store
	// Live bounds a batch while the projection is up to date: it is closed when
	// that many records are there or the time is up.
	Live Limits
	// Bulk is the most that is taken at once when more is waiting already.
	Bulk Limits
	// Rebuild bounds the batches of a rebuild. Only values that are decoded count for its
	// bytes. Zero: as Bulk.
	Rebuild Limits
}

// rebuild bounds the batches of a rebuild.
func (b Bound) rebuild() Limits {
	if b.Rebuild.Records == 0 {
		return b.Bulk
	}
	return b.Rebuild
}

// Runner runs projections. Its methods are safe for concurrent use.
type Runner struct {
	Config
	metrics *metrics
}

// New is a runner.
func New(c Config) *Runner {
	if c.Step == nil {
		c.Step = func(string) {}
	}
	return &Runner{Config: c, metrics: newMetrics(c.Metrics)}
}

const (
	standingInterval = time.Second
	lagInterval      = 5 * time.Second
	idleInterval     = 500 * time.Millisecond
)

// Run keeps the projections up to date until ctx ends. Whatever goes wrong with
// one of them is logged and tried again with back-off; the others go on. It
// returns when all have stopped, with nil if ctx ended.
func (r *Runner) Run(ctx context.Context, projections ...Bound) error {
	var all sync.WaitGroup
	for _, b := range projections {
		all.Go(func() { r.keep(ctx, b) })
	}
	all.Go(func() { r.keepScratches(ctx, projections) })
	all.Wait()
	return nil
}

// keep runs one projection for ever.
func (r *Runner) keep(ctx context.Context, b Bound) {
	logger := r.Logger.With("projection", b.Name)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 10*time.Second
	for ctx.Err() == nil {
		started := time.Now()
		err := r.live(ctx, b)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > time.Minute {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		switch {
		case err == nil:
			wait.Reset()
			pause = idleInterval
		case errors.Is(err, errFenced):
			logger.InfoContext(ctx, "checkpoint was moved by another process, reading it again")
		default:
			r.metrics.restarts.WithLabelValues(b.Name).Inc()
			logger.WarnContext(ctx, "projection stopped, starting again", "error", err, "pause", pause.Round(time.Millisecond))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// live owns the projection and applies what is appended, until there is a
// reason to look again: another live generation, a hold, an error. It returns
// nil when somebody else owns the projection or asks for it.
func (r *Runner) live(ctx context.Context, b Bound) error {
	s, err := r.Control.standing(ctx, b.Name)
	if err != nil || s.held {
		return err
	}
	lock, err := r.Control.own(ctx, "projection "+b.Name)
	if err != nil {
		return err
	}
	if lock == nil {
		r.metrics.left(b.Name)
		return nil
	}
	defer lock.release(ctx)
	g, err := r.Control.Live(ctx, b.Name)
	switch {
	case event.CodeOf(err) == event.CodeUnavailable:
		return r.first(ctx, b)
	case err != nil:
		return err
	case g.Version != b.Version:
		r.Logger.InfoContext(ctx, "the fold has another version than its tables, building a new generation",
			"projection", b.Name, "tables", g.Version, "fold", b.Version)
		return r.upgrade(ctx, b)
	}
	r.metrics.generation.WithLabelValues(b.Name).Set(float64(g.Number))
	return r.follow(ctx, b, g, lock)
}

// first makes the first generation and declares it live at once: there is
// nothing to compare it with, and queries may watch it fill.
func (r *Runner) first(ctx context.Context, b Bound) error {
	// One that was begun and never promoted is gone on with.
	g, release, err := r.building(ctx, b, false)
	if err != nil {
		return err
	}
	defer release()
	if err := r.Control.promote(ctx, g, nil); err != nil {
		return err
	}
	r.Step("replay.promoted")
	r.switched(ctx, b)
	return nil
}

// switched tells the readers that another generation is live. Those that do not follow
// now are told again by whoever runs the projection.
func (r *Runner) switched(ctx context.Context, b Bound) {
	if err := r.tellReaders(ctx, b); err != nil {
		r.Logger.WarnContext(ctx, "readers of the live generation were not told of the switch; the projector tries again", "projection", b.Name, "error", err)
	}
}

func (r *Runner) tellReaders(ctx context.Context, b Bound) error {
	if r.Readers == nil {
		return nil
	}
	return r.Readers.Follow(ctx, b.Name)
}

// open loads the state of a generation and settles what a crash left in doubt.
func (r *Runner) open(ctx context.Context, b Bound, g Generation, rebuilding bool) (*fold, error) {
	ends, err := r.Log.Ends(ctx, b.Topics...)
	if err != nil {
		return nil, fmt.Errorf("reading the ends of the log: %w", err)
	}
	if err := r.Control.ensureCheckpoints(ctx, g, ends); err != nil {
		return nil, err
	}
	f := &fold{
		projection: b.Projection, generation: g, registry: r.Registry, metrics: r.metrics,
		next: map[eventlog.Partition]int64{}, versions: map[string]int64{},
		waiting: map[string]struct{}{}, skipped: map[event.Position]struct{}{},
		stopOnPoison: rebuilding, until: g.Until, step: r.Step,
	}
	if err := r.Control.load(ctx, f); err != nil {
		return nil, err
	}
	if err := b.recover(ctx, f, r.readRange); err != nil {
		return nil, err
	}
	return f, nil
}

func (r *Runner) readRange(ctx context.Context, at eventlog.Partition, from, to int64) ([]eventlog.Record, error) {
	var records []eventlog.Record
	err := r.Log.ReadRange(ctx, at, from, to, func(rec eventlog.Record) error {
		records = append(records, rec)
		return nil
	})
	return records, err
}

// follow applies the log to a live generation.
func (r *Runner) follow(ctx context.Context, b Bound, g Generation, lock *owner) error {
	f, err := r.open(ctx, b, g, false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return r.watch(workCtx, b, f, lock) })
	work.Go(func() error { return r.tail(workCtx, b, f) })
	err = work.Wait()
	if errors.Is(err, errLookAgain) || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// errLookAgain ends a run that has to look at its standing again.
var errLookAgain = errors.New("looking again")

// watch ends the run when another generation is live, when somebody asks for
// the projection or when the lock is lost, and keeps the lag up to date.
func (r *Runner) watch(ctx context.Context, b Bound, f *fold, lock *owner) error {
	looks, lags := time.NewTicker(standingInterval), time.NewTicker(lagInterval)
	defer looks.Stop()
	defer lags.Stop()
	// A process may have been killed between a switch and telling the readers.
	told := r.toldReaders(ctx, b)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-looks.C:
			if err := lock.check(ctx); err != nil {
				return err
			}
			s, err := r.Control.standing(ctx, b.Name)
			if err != nil {
				return err
			}
			if s.held || s.retry || s.live != f.generation.Number {
				return errLookAgain
			}
		case <-lags.C:
			told = told || r.toldReaders(ctx, b)
			lag, err := r.Lag(ctx, f.generation, b.Topics)
			if err != nil {
				return err
			}
			r.metrics.lagRecords.WithLabelValues(b.Name).Set(float64(lag.Records))
			r.metrics.lagSeconds.WithLabelValues(b.Name).Set(lag.Behind.Seconds())
			if err := r.measureParked(ctx, f.generation); err != nil {
				return err
			}
		}
	}
}

// measureParked counts what a live generation has set aside.
func (r *Runner) measureParked(ctx context.Context, g Generation) error {
	var poisoned, waiting, retry int64
	err := r.Pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'poisoned'), count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'retry')
		FROM runner.parked WHERE name = $1 AND generation = $2`, g.Projection, g.Number).Scan(&poisoned, &waiting, &retry)
	if err != nil {
		return fmt.Errorf("counting what %s has set aside: %w", g.Namespace, err)
	}
	for state, n := range map[string]int64{"poisoned": poisoned, "waiting": waiting, "retry": retry} {
		r.metrics.aside.WithLabelValues(g.Projection, state).Set(float64(n))
	}
	return nil
}

// toldReaders tells the readers which generation is live, and whether that worked.
func (r *Runner) toldReaders(ctx context.Context, b Bound) bool {
	err := r.tellReaders(ctx, b)
	if err != nil && ctx.Err() == nil {
		r.Logger.WarnContext(ctx, "readers of the live generation do not follow, trying again", "projection", b.Name, "pause", lagInterval, "error", err)
	}
	return err == nil
}

// tail applies what is in the log and what is appended, until ctx ends.
func (r *Runner) tail(ctx context.Context, b Bound, f *fold) error {
	if err := r.retryIfAsked(ctx, b, f); err != nil {
		return err
	}
	f.traces = r.Tracer != nil
	source, err := r.Log.Consume(ctx, f.next)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer source.Close()
	return r.pump(ctx, b, f, func(*prepared) {}, func(ctx context.Context, send func(*prepared) error) error {
		for {
			records, err := gather(ctx, source, b.Live, b.Bulk)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				continue
			}
			p, err := f.prepare(records)
			if err != nil {
				return err
			}
			if err := send(p); err != nil {
				return err
			}
		}
	})
}

// pump writes what produce sends, and calls written with each batch that it has
// written. The next batch is read and folded while one is being written.
func (r *Runner) pump(ctx context.Context, b Bound, f *fold, written func(*prepared), produce func(ctx context.Context, send func(*prepared) error) error) error {
	work, ctx := errgroup.WithContext(ctx)
	batches := make(chan *prepared, 1)
	work.Go(func() error {
		defer close(batches)
		return produce(ctx, func(p *prepared) error {
			select {
			case batches <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	work.Go(func() error {
		for p := range batches {
			started := time.Now()
			if err := r.commitTraced(ctx, b, f, p); err != nil {
				return err
			}
			r.settled(b.Name, p, time.Since(started))
			written(p)
		}
		return nil
	})
	return work.Wait()
}

func (r *Runner) retryIfAsked(ctx context.Context, b Bound, f *fold) error {
	s, err := r.Control.standing(ctx, b.Name)
	if err != nil || !s.retry || f.stopOnPoison {
		return err
	}
	retrier, ok := b.Store.(retrier)
	if !ok {
		return fmt.Errorf("BUG: store %T cannot retry parked events", b.Store)
	}
	return retryParked(ctx, r.Pool, retrier, f, r.readRange)
}

func (r *Runner) settled(name string, p *prepared, took time.Duration) {
	r.metrics.batch.WithLabelValues(name).Observe(float64(p.records))
	r.metrics.fold.WithLabelValues(name).Observe(p.foldTime.Seconds())
	r.metrics.commit.WithLabelValues(name).Observe(took.Seconds())
	r.metrics.records.WithLabelValues(name).Add(float64(p.records))
	r.metrics.events.WithLabelValues(name).Add(float64(p.folded))
	for _, k := range p.parked {
		if k.reason != "" {
			r.Logger.Error("event cannot be applied; it and the later ones of its sequence are parked, see `muster poison list`",
				"projection", name, "position", k.event.Position.String(), "type", string(k.event.Type), "sequence", k.sequence, "reason", k.reason)
		}
	}
}

// Lag is how far a generation is behind the log.
type Lag struct {
	// Records counts offsets, holes left by compaction included.
	Records int64
	// Behind is the time since the last applied record of the partition that is
	// furthest behind; zero when nothing waits.
	Behind time.Duration
	// Waiting lists the partitions that are behind.
	Waiting []eventlog.Partition
}

// Lag tells how far a generation is behind the log.
func (r *Runner) Lag(ctx context.Context, g Generation, topics []string) (Lag, error) {
	ends, err := r.Log.Ends(ctx, topics...)
	if err != nil {
		return Lag{}, fmt.Errorf("reading the ends of the log: %w", err)
	}
	checkpoints, err := r.Control.Checkpoints(ctx, g)
	if err != nil {
		return Lag{}, err
	}
	var lag Lag
	now := time.Now()
	for _, cp := range checkpoints {
		end, ok := ends[cp.Partition]
		behind := end.End - max(cp.Next, end.Start)
		if !ok || behind <= 0 {
			continue
		}
		lag.Records += behind
		lag.Waiting = append(lag.Waiting, cp.Partition)
		if !cp.RecordTime.IsZero() {
			lag.Behind = max(lag.Behind, now.Sub(cp.RecordTime))
		}
	}
	return lag, nil
}

// ensureCheckpoints adds a checkpoint at the start of the log for each
// partition that has none.
func (c *Control) ensureCheckpoints(ctx context.Context, g Generation, ends map[eventlog.Partition]eventlog.Span) error {
	batch := &pgx.Batch{}
	for at, r := range ends {
		batch.Queue(`INSERT INTO runner.checkpoints (name, generation, topic, partition, next_offset) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			g.Projection, g.Number, at.Topic, at.ID, r.Start)
	}
	if err := c.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("making the checkpoints of %s: %w", g.Namespace, err)
	}
	return nil
}

// load reads what a fold has to know from the control tables.
func (c *Control) load(ctx context.Context, f *fold) error {
	name, number := f.generation.Projection, f.generation.Number
	checkpoints, err := c.Checkpoints(ctx, f.generation)
	if err != nil {
		return err
	}
	for _, cp := range checkpoints {
		f.next[cp.Partition] = cp.Next
	}
	var key, topic string
	var partition int32
	var n int64
	each := func(what, sql string, args, into []any, fn func()) error {
		rows, err := c.pool.Query(ctx, sql, args...)
		if err == nil {
			_, err = pgx.ForEachRow(rows, into, func() error { fn(); return nil })
		}
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", what, f.generation.Namespace, err)
		}
		return nil
	}
	return errors.Join(
		each("the applied versions", `SELECT stream, version FROM runner.stream_versions WHERE name = $1 AND generation = $2`,
			[]any{name, number}, []any{&key, &n}, func() { f.versions[key] = n }),
		each("the parked sequences", `SELECT DISTINCT sequence FROM runner.parked WHERE name = $1 AND generation = $2 AND sequence <> ''`,
			[]any{name, number}, []any{&key}, func() { f.waiting[key] = struct{}{} }),
		each("the skipped events", `SELECT topic, partition, log_offset FROM runner.skipped WHERE name = $1`,
			[]any{name}, []any{&topic, &partition, &n}, func() { f.skipped[event.Position{Topic: topic, Partition: partition, Offset: n}] = struct{}{} }),
	)
}
