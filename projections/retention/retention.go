// Package retention removes what is older than the policies keep: it finds what may
// go by the index of events, carries forward what is needed of it, and appends a
// tombstone for each event. The read models let go of what tombstones name, and
// compaction then takes the events out of the log.
//
// It is a reactor, not a fold: it appends, and never runs in a replay.
package retention

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// source is that of the events that a run appends.
const source = "muster/retention"

// Index knows what is recorded of each character; the clickhouse.EventIndexReader
// does.
type Index interface {
	// CharacterStreams are all streams of characters.
	CharacterStreams(ctx context.Context) ([]event.Stream, error)
	// Facts are all records of some streams, of each in order of the log.
	Facts(ctx context.Context, streams []event.Stream) (map[event.Stream][]retention.Fact, error)
	// EachLook calls fn with all looks at data of others, and when the character was last
	// forgotten, the zero time if it was not.
	EachLook(ctx context.Context, fn func(l retention.Look, forgotten time.Time) error) error
	// Indexed is how many rows it has of the ids that lie before an offset.
	Indexed(ctx context.Context, partition eventlog.Partition, ids []uuid.UUID, before int64) (int64, error)
}

// Control knows how far read models have come; [*runner.Control] does.
type Control interface {
	Live(ctx context.Context, projection string) (runner.Generation, error)
	Checkpoints(ctx context.Context, g runner.Generation) ([]runner.Checkpoint, error)
}

// Log is what is read of the log; [*eventlog.Reader] does.
type Log interface {
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
	ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error
	ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error)
}

// Appender appends to the log; [*eventlog.Appender] does.
type Appender interface {
	Append(ctx context.Context, events ...event.Event) error
	Expire(ctx context.Context, topic string, tombstones ...event.Event) error
	Pulse(ctx context.Context, topic string, partitions int32) error
}

// View is a read model that shows history.
type View struct {
	// Name says where it is, such as "postgres: records".
	Name string
	// Before are the characters of which it shows something before a moment.
	Before func(ctx context.Context, at time.Time) ([]retention.Aged, error)
}

// Copies are kept beside the log and the read models, such as answers that could
// not be read.
type Copies struct {
	Name string
	// Class is the policy by which they go; empty is the history's.
	Class retention.Class
	// Remove removes what is from before a moment, and tells how much that was.
	Remove func(ctx context.Context, before time.Time) (int64, error)
	// Count is how much is from before a moment.
	Count func(ctx context.Context, before time.Time) (int64, error)
}

func (c Copies) class() retention.Class { return cmp.Or(c.Class, retention.ClassHistory) }

// Disk is where a store keeps rows for a while that read models have deleted and nobody
// sees any more.
type Disk struct {
	Name string
	// Clean takes them out.
	Clean func(ctx context.Context) error
	// Left is how many there are; nil if nobody can tell.
	Left func(ctx context.Context) (int64, error)
}

// Applied is how far tables that are not live have come in the log.
type Applied struct {
	// Name says which they are.
	Name string
	// Next is the offset to apply next, of each partition that they are of.
	Next map[eventlog.Partition]int64
}

// Keyring keeps the keys of personal texts; [*keyring.Keyring] does.
type Keyring interface {
	// DestroyAgain destroys keys that the log says were destroyed, and tells how many
	// had come back.
	DestroyAgain(ctx context.Context, character int64, ids []uuid.UUID) (int, error)
	// Alive is how many of some keys were not destroyed.
	Alive(ctx context.Context, ids []uuid.UUID) (int64, error)
	// Waiting are forgotten characters whose events wait for their tombstones, with the
	// moment at which they were forgotten, Expired says that they have them.
	Waiting(ctx context.Context) (map[int64]time.Time, error)
	Expired(ctx context.Context, done map[int64]time.Time) error
}

// Config is what a [Worker] needs.
type Config struct {
	Policies retention.Policies
	Pool     *pgxpool.Pool
	Index    Index
	Control  Control
	// IndexName is the projection behind Index, ViewNames are those behind Views.
	IndexName string
	ViewNames []string
	Log       Log
	Registry  *event.Registry
	Appender  Appender
	Views     []View
	Copies    []Copies
	Disks     []Disk
	// Purge takes what tombstones name out of tables that are not live, such as those
	// that are kept for a rollback; nil if there are none.
	Purge func(context.Context) error
	// Beside are the tables that are not live and what they have applied; nil if there
	// are none.
	Beside func(context.Context) ([]Applied, error)
	// Keys may be nil where no texts are sealed.
	Keys Keyring
	// Compact asks the log for a compaction; nil where it does that by itself.
	Compact func(context.Context) error
	// PerSecond bounds the tombstones of a second; 0 is 2000.
	PerSecond int
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Every is the pause between two runs of [Worker.Keep]; 0 is six hours, so that
	// each partition has its pulse twice a segment.
	Every time.Duration
	// Look is the pause between two looks of [Worker.Keep] for characters that were
	// forgotten; 0 is two seconds.
	Look   time.Duration
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
	// Save has a certificate in a safe place before it is recorded; may be nil.
	Save func(retention.Certificate) error
	// Step is called after each thing that is written down on the way, with the name of
	// it; for tests that end the process there. May be nil.
	Step func(name string)
}

// Worker enforces the policies. Its methods are safe for concurrent use; of several
// processes one at a time runs.
type Worker struct {
	Config

	limit   *rate.Limiter
	metrics *metrics
	// compacted tells that a run of this process has asked for a compaction.
	compacted atomic.Bool
}

// New is a worker. Policies shorter than the least there is are lengthened, with a
// warning.
func New(c Config) *Worker {
	if c.PerSecond == 0 {
		c.PerSecond = 2000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Every == 0 {
		c.Every = 6 * time.Hour
	}
	if c.Look == 0 {
		c.Look = 2 * time.Second
	}
	if c.Step == nil {
		c.Step = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var warnings []string
	c.Policies, warnings = c.Policies.Bounded()
	for _, w := range warnings {
		c.Logger.Warn("retention is not as it was set", "reason", w)
	}
	return &Worker{Config: c, limit: rate.NewLimiter(rate.Limit(c.PerSecond), atOnce), metrics: newMetrics(c.Metrics)}
}

// atOnce is how many tombstones are appended at once.
const atOnce = 500

// Keep runs now and then until ctx ends, and looks after characters that are forgotten
// at once. What goes wrong is logged, and tried again at the next run, which goes on
// with what this one left.
func (w *Worker) Keep(ctx context.Context) error {
	pause := time.Minute
	for {
		if !w.rest(ctx, pause) {
			return nil
		}
		pause = w.Every
		done, err := w.Run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // It was told to end.
		case event.CodeOf(err) == event.CodeConflict:
			w.Logger.DebugContext(ctx, "another process enforces retention")
		case err != nil:
			pause = min(w.Every, 10*time.Minute)
			w.Logger.WarnContext(ctx, "enforcing retention; it is tried again", "after", pause, "error", err)
		default:
			w.Logger.InfoContext(ctx, "retention enforced", "run", done.RunID, "streams", done.Streams, "touched", done.Touched, "tombstones", done.Tombstones)
		}
	}
}

// rest lets a pause pass, in which it looks after characters that are forgotten. It is
// false if ctx ended.
func (w *Worker) rest(ctx context.Context, pause time.Duration) bool {
	timer, look := time.NewTimer(pause), time.NewTicker(w.Look)
	defer timer.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-look.C:
		}
		removed, err := w.Forget(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case event.CodeOf(err) == event.CodeConflict:
			// A run is under way elsewhere.
		case err != nil:
			w.Logger.WarnContext(ctx, "removing the events of forgotten characters; it is tried again", "error", err)
			look.Reset(min(pause, time.Minute))
			continue
		case removed > 0:
			w.Logger.InfoContext(ctx, "the events of forgotten characters have tombstones", "tombstones", removed)
		}
		look.Reset(w.Look)
	}
}

// Planned is what would go of a stream.
type Planned struct {
	Stream  event.Stream
	Expired []retention.Expired
}

// Plan calls each with what would go now, stream by stream, without removing it. It
// fails with [event.CodeUnavailable] if the index has not come to the end of the log
// in good time.
func (w *Worker) Plan(ctx context.Context, each func(Planned) error) error {
	if err := w.settled(ctx, w.IndexName); err != nil {
		return err
	}
	now := w.Now()
	return w.each(ctx, func(stream event.Stream, facts []retention.Fact) error {
		if expired := w.Policies.Expire(facts, now); len(expired) > 0 {
			return each(Planned{stream, expired})
		}
		return nil
	})
}

// streamsAtOnce is how many streams are asked for at once: their facts are held
// together.
const streamsAtOnce = 100

// each calls fn with the facts of each character's stream.
func (w *Worker) each(ctx context.Context, fn func(event.Stream, []retention.Fact) error) error {
	return w.chunks(ctx, func(streams []event.Stream, facts map[event.Stream][]retention.Fact) error {
		for _, stream := range streams {
			if err := fn(stream, facts[stream]); err != nil {
				return err
			}
		}
		return nil
	})
}

// chunks calls fn with the facts of some characters' streams after the other.
func (w *Worker) chunks(ctx context.Context, fn func([]event.Stream, map[event.Stream][]retention.Fact) error) error {
	streams, err := w.Index.CharacterStreams(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(streams, streamsAtOnce) {
		facts, err := w.Index.Facts(ctx, some)
		if err != nil {
			return err
		}
		if err := fn(some, facts); err != nil {
			return err
		}
	}
	return nil
}

// expiringAtOnce is of how many streams tombstones are appended at the same time: those of
// one stream are written one after the other, each when the one before is acknowledged.
const expiringAtOnce = 32

// expireAll removes what may go of all streams.
func (w *Worker) expireAll(ctx context.Context, now time.Time, aged map[event.Stream]bool, done *retention.Completed) error {
	var mu sync.Mutex
	return w.chunks(ctx, func(streams []event.Stream, facts map[event.Stream][]retention.Fact) error {
		// One that fails does not break off the others, whose tombstones may be written.
		var group errgroup.Group
		group.SetLimit(expiringAtOnce)
		for _, stream := range streams {
			group.Go(func() error {
				part := retention.Completed{Tombstones: map[retention.Class]int{}}
				err := w.expire(ctx, stream, facts[stream], now, aged, &part)
				mu.Lock()
				defer mu.Unlock()
				done.Streams, done.Touched, done.Closings, done.Swept = done.Streams+part.Streams, done.Touched+part.Touched, done.Closings+part.Closings, done.Swept+part.Swept
				for class, n := range part.Tombstones {
					done.Tombstones[class] += n
				}
				if err != nil {
					return fmt.Errorf("removing what has expired of %s: %w", stream, err)
				}
				return nil
			})
		}
		return group.Wait()
	})
}

// Run removes what may go now, and records what it did. It looks at every character:
// also those that are disabled, have no owner or did not change. A run that is
// interrupted leaves nothing half: the next one goes on where it stopped. It fails
// with [event.CodeConflict] while another process runs.
func (w *Worker) Run(ctx context.Context) (retention.Completed, error) {
	done, err := w.locked(ctx)
	if err != nil {
		return done, err
	}
	return done, w.clean(ctx)
}

// locked is a run while no other is under way.
func (w *Worker) locked(ctx context.Context) (retention.Completed, error) {
	unlock, err := w.lock(ctx)
	if err != nil {
		return retention.Completed{}, err
	}
	defer unlock()
	done, err := w.run(ctx)
	w.metrics.ran(err, w.Now())
	return done, err
}

func (w *Worker) run(ctx context.Context) (retention.Completed, error) {
	now := w.Now().UTC()
	done := retention.Completed{
		RunID: uuid.NewString(), At: now, Policies: w.Policies, CutOffs: w.Policies.CutOffs(now), Tombstones: map[retention.Class]int{},
	}
	// What the index does not know yet could be the closing of a journal, or what
	// replaced an observation.
	if err := w.settled(ctx, w.IndexName); err != nil {
		return done, err
	}
	if err := w.tell(ctx, retention.Started{RunID: done.RunID, At: now, Policies: done.Policies, CutOffs: done.CutOffs}); err != nil {
		return done, err
	}
	w.Step("retention.started")
	aged, err := w.aged(ctx, now)
	if err != nil {
		return done, err
	}
	if err := w.expireAll(ctx, now, aged, &done); err != nil {
		return done, err
	}
	if err := w.expireLooks(ctx, now, &done); err != nil {
		return done, fmt.Errorf("removing old looks at data of others: %w", err)
	}
	for _, c := range w.Copies {
		if before := w.Policies.CutOff(c.class(), now); !before.IsZero() {
			if _, err := c.Remove(ctx, before); err != nil {
				return done, fmt.Errorf("removing old copies from %s: %w", c.Name, err)
			}
			w.Step("retention.copies-removed")
		}
	}
	removed := 0
	for _, n := range done.Tombstones {
		removed += n
	}
	// The first run of a process does not know what the one before it had come to.
	if err := w.pulse(ctx, removed > 0 || !w.compacted.Load()); err != nil {
		return done, err
	}
	w.compacted.Store(true)
	if err := w.tell(ctx, done); err != nil {
		return done, err
	}
	w.Step("retention.completed")
	return done, nil
}

// clean takes out of the disks what the read models have deleted. What they have not come
// to in good time is left to the next run. Nobody else need wait for it: to do it twice at
// once does no harm.
func (w *Worker) clean(ctx context.Context) error {
	if w.Purge != nil {
		if err := w.Purge(ctx); err != nil {
			return fmt.Errorf("taking what was removed out of tables that are not live: %w", err)
		}
		w.Step("retention.purged")
	}
	if len(w.Disks) == 0 {
		return nil
	}
	if err := w.settled(ctx, append([]string{w.IndexName}, w.ViewNames...)...); err != nil {
		w.Logger.WarnContext(ctx, "the read models have not deleted all that was removed; the next run cleans the disks", "error", err)
		return nil
	}
	for _, d := range w.Disks {
		if err := d.Clean(ctx); err != nil {
			return fmt.Errorf("cleaning %s: %w", d.Name, err)
		}
		w.Step("retention.cleaned")
	}
	return nil
}

// aged are the characters of which a read model shows history that should be gone.
func (w *Worker) aged(ctx context.Context, now time.Time) (map[event.Stream]bool, error) {
	aged := map[event.Stream]bool{}
	before := w.Policies.CutOff(retention.ClassHistory, now)
	if before.IsZero() {
		return aged, nil
	}
	for _, v := range w.Views {
		list, err := v.Before(ctx, before)
		if err != nil {
			return nil, fmt.Errorf("looking into %s: %w", v.Name, err)
		}
		for _, a := range list {
			aged[event.Character(a.CharacterID)] = true
		}
	}
	return aged, nil
}

// sweepID is the id of an event that never was. A tombstone for it removes no event;
// its cut-off has read models let go of what is too old, wherever they have it from:
// one that was rebuilt for so long that it met an event, but not the tombstone, which
// compaction had removed by then.
func sweepID() uuid.UUID { return uuid.NewSHA1(event.Namespace, []byte("retention sweep")) }

// expire removes what may go of a stream.
func (w *Worker) expire(ctx context.Context, stream event.Stream, facts []retention.Fact, now time.Time, aged map[event.Stream]bool, done *retention.Completed) error {
	done.Streams++
	if err := w.destroyKeys(ctx, stream, facts); err != nil {
		return err
	}
	expired := w.Policies.Expire(facts, now)
	var tombstones []event.Event
	var journal []retention.Fact
	history := false
	for _, x := range expired {
		tombstones = append(tombstones, x.Tombstone(stream, now))
		done.Tombstones[x.Class]++
		history = history || x.Class == retention.ClassHistory && x.Type != eve.TypeJournalClosed
		if x.Class == retention.ClassHistory && x.Type == eve.TypeJournalRecorded {
			journal = append(journal, x.Fact)
		}
	}
	if aged[stream] && !history {
		cutOff := w.Policies.CutOff(retention.ClassHistory, now)
		tombstones = append(tombstones, event.Tombstone(stream, sweepID(), now, event.Expiry{Policy: string(retention.ClassHistory), CutOff: cutOff}))
		done.Swept++
	}
	if len(tombstones) == 0 {
		return nil
	}
	done.Touched++
	if len(journal) > 0 {
		if err := w.closeBooks(ctx, stream, facts, journal, now); err != nil {
			return fmt.Errorf("closing the journal: %w", err)
		}
		done.Closings++
	}
	return w.remove(ctx, event.TopicEVE, tombstones)
}

// remove appends tombstones.
func (w *Worker) remove(ctx context.Context, topic string, tombstones []event.Event) error {
	for some := range slices.Chunk(tombstones, atOnce) {
		if err := w.limit.WaitN(ctx, len(some)); err != nil {
			return err
		}
		if err := w.Appender.Expire(ctx, topic, some...); err != nil {
			return err
		}
		w.Step("retention.tombstones")
		for _, t := range some {
			w.metrics.tombstones.WithLabelValues(t.Expiry.Policy).Inc()
		}
	}
	return nil
}

// expireLooks removes looks at data of others that are too old, or from before their
// character was forgotten.
func (w *Worker) expireLooks(ctx context.Context, now time.Time, done *retention.Completed) error {
	var tombstones []event.Event
	flush := func() error {
		some := tombstones
		tombstones = nil
		return w.remove(ctx, event.TopicAccess, some)
	}
	err := w.Index.EachLook(ctx, func(l retention.Look, forgotten time.Time) error {
		class, cutOff, goes := w.Policies.ExpireLook(l, forgotten, now)
		if !goes {
			return nil
		}
		tombstones = append(tombstones, event.Tombstone(l.Stream, l.ID, now, event.Expiry{Policy: string(class), CutOff: cutOff}))
		done.Tombstones[class]++
		if len(tombstones) < atOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// lastCopies leaves of each event that was appended more than once the copy that compaction
// keeps. The facts are those of one stream, in the order of the log.
func lastCopies(facts []retention.Fact) []retention.Fact {
	last := make(map[uuid.UUID]int64, len(facts))
	for _, f := range facts {
		last[f.ID] = f.Offset
	}
	return slices.DeleteFunc(slices.Clone(facts), func(f retention.Fact) bool { return f.Offset != last[f.ID] })
}

// readAtOnce is how many events of a journal are held at once.
const readAtOnce = 64

// closeBooks records the closing balance of the entries that go, before they go.
func (w *Worker) closeBooks(ctx context.Context, stream event.Stream, facts, journal []retention.Fact, now time.Time) error {
	partition, err := w.partitionOf(ctx, stream)
	if err != nil {
		return err
	}
	id, _ := stream.CharacterID()
	var last eve.JournalClosed
	var lastID uuid.UUID
	var read time.Time
	for _, f := range lastCopies(facts) {
		switch f.Type {
		case eve.TypeCharacterForgotten:
			last, lastID = eve.JournalClosed{}, uuid.Nil
		case eve.TypeJournalRecorded:
			read = f.Time
		case eve.TypeJournalClosed:
			err := w.read(ctx, partition, []retention.Fact{f}, func(e event.Event, p event.Payload) error {
				last, _ = p.(eve.JournalClosed)
				lastID = e.ID
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	closing, err := eve.NewClosing(id, w.Policies.CutOff(retention.ClassHistory, now), read, last)
	if err != nil {
		return err
	}
	for journal = lastCopies(journal); len(journal) > 0; {
		some := journal[:min(readAtOnce, len(journal))]
		journal = journal[len(some):]
		err := w.read(ctx, partition, some, func(_ event.Event, p event.Payload) error {
			if told, is := p.(eve.JournalRecorded); is {
				return closing.Add(told.Entries)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !closing.Adds() {
		return nil // A run that was interrupted has closed them already.
	}
	e, err := closing.Event(source, lastID, now)
	if err != nil {
		return err
	}
	if err := w.Appender.Append(ctx, e); err != nil {
		return err
	}
	w.Step("retention.closed")
	return nil
}

// read reads the events of facts, in their order.
func (w *Worker) read(ctx context.Context, at eventlog.Partition, facts []retention.Fact, fn func(event.Event, event.Payload) error) error {
	positions := make([]event.Position, len(facts))
	for i, f := range facts {
		positions[i] = event.Position{Topic: at.Topic, Partition: at.ID, Offset: f.Offset}
	}
	records, err := w.Log.ReadAt(ctx, positions)
	if err != nil {
		return err
	}
	for _, position := range positions {
		rec, there := records[position]
		if !there {
			return event.Errorf(event.CodeUnavailable, "the event at %s is in the index but not in the log: rebuild the index with `muster replay event_index`", position)
		}
		e, err := rec.Event()
		if err != nil {
			return err
		}
		p, err := w.Registry.Decode(e)
		if err != nil {
			return err
		}
		if err := fn(e, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) partitionOf(ctx context.Context, stream event.Stream) (eventlog.Partition, error) {
	ends, err := w.Log.Ends(ctx, event.TopicEVE)
	if err != nil {
		return eventlog.Partition{}, err
	}
	if len(ends) == 0 {
		return eventlog.Partition{}, event.Errorf(event.CodeUnavailable, "topic %s has no partitions", event.TopicEVE)
	}
	return eventlog.Partition{Topic: event.TopicEVE, ID: eventlog.PartitionOf(stream, int32(len(ends)))}, nil
}

// pulse has every partition close its segments, and asks for a compaction if there is
// something new to remove: the embedded broker serves nothing meanwhile.
func (w *Worker) pulse(ctx context.Context, compact bool) error {
	for _, topic := range event.Topics() {
		ends, err := w.Log.Ends(ctx, topic)
		if err != nil {
			return err
		}
		if err := w.Appender.Pulse(ctx, topic, int32(len(ends))); err != nil {
			return fmt.Errorf("giving %s its pulse: %w", topic, err)
		}
	}
	w.Step("retention.pulsed")
	if w.Compact == nil || !compact {
		return nil
	}
	if err := w.Compact(ctx); err != nil {
		return fmt.Errorf("asking the log for a compaction: %w", err)
	}
	w.Step("retention.compacting")
	return nil
}

// tell appends an event about retention itself.
func (w *Worker) tell(ctx context.Context, p event.Payload) error {
	e, err := event.New(uuid.New(), event.Org, source, w.Now(), p)
	if err != nil {
		return err
	}
	return w.Appender.Append(ctx, e)
}

// patience is how long is waited for the index to come to the end of the log.
const patience = time.Minute

// settled waits until read models have come to where the log ends now.
func (w *Worker) settled(ctx context.Context, projections ...string) error {
	ends, err := w.Log.Ends(ctx, event.TopicEVE, event.TopicAccess)
	if err != nil {
		return err
	}
	until := time.NewTimer(patience)
	defer until.Stop()
	for _, name := range projections {
		for {
			caughtUp, err := w.caughtUp(ctx, name, ends)
			// One that is not there yet is on its way.
			if err != nil && event.CodeOf(err) != event.CodeUnavailable {
				return err
			}
			if caughtUp {
				break
			}
			look := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
				look.Stop()
				return ctx.Err()
			case <-until.C:
				look.Stop()
				if err != nil {
					return err
				}
				return event.Errorf(event.CodeUnavailable, "projection %q did not come to the end of the log within %s: start `muster project`, or wait", name, patience)
			case <-look.C:
			}
		}
	}
	return nil
}

func (w *Worker) caughtUp(ctx context.Context, projection string, to map[eventlog.Partition]eventlog.Span) (bool, error) {
	g, err := w.Control.Live(ctx, projection)
	if err != nil {
		return false, err
	}
	checkpoints, err := w.Control.Checkpoints(ctx, g)
	if err != nil {
		return false, err
	}
	next, reads := map[eventlog.Partition]int64{}, map[string]bool{}
	for _, c := range checkpoints {
		next[c.Partition], reads[c.Topic] = c.Next, true
	}
	for at, span := range to {
		if reads[at.Topic] && next[at] < span.End && span.End > span.Start {
			return false, nil
		}
	}
	return len(checkpoints) > 0, nil
}

// lock makes this process the only one that runs.
func (w *Worker) lock(ctx context.Context) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, w.Pool.Config().ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("becoming the only one to enforce retention: %w", err)
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// The end of the session gives the lock back, too, but a little later.
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended('retention', 77))`)
		_ = conn.Close(ctx)
	}
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('retention', 77))`).Scan(&got); err != nil {
		unlock()
		return nil, fmt.Errorf("becoming the only one to enforce retention: %w", err)
	}
	if !got {
		unlock()
		return nil, event.Errorf(event.CodeConflict, "another process enforces retention now: wait for it to end")
	}
	return unlock, nil
}

// Record is an event about retention itself.
type Record struct {
	event.Recorded

	Payload event.Payload
}

// Records are the events about retention itself, in order of the log.
func (w *Worker) Records(ctx context.Context) ([]Record, error) {
	at, err := w.partitionOf(ctx, event.Org)
	if err != nil {
		return nil, err
	}
	ends, err := w.Log.Ends(ctx, event.TopicEVE)
	if err != nil {
		return nil, err
	}
	registry := event.NewRegistry()
	retention.Register(registry)
	var all []Record
	prefix := string(event.Org) + "/"
	err = w.Log.ReadRange(ctx, at, 0, ends[at].End, func(rec eventlog.Record) error {
		if !strings.HasPrefix(rec.Key, prefix) {
			return nil
		}
		e, err := rec.Recorded()
		if err != nil || !registry.Knows(e.Type) {
			return nil //nolint:nilerr // It is parked and reported elsewhere.
		}
		p, err := registry.Decode(e.Event)
		if err != nil {
			return err
		}
		all = append(all, Record{e, p})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the record of retention: %w", err)
	}
	return all, nil
}
