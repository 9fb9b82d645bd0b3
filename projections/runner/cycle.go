package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/tracing"
)

// Limits bound one batch.
type Limits struct {
	// Records is the most records of a batch.
	Records int
	// Bytes closes a batch whose values are that large together; 0 is
	// [DefaultBytes].
	Bytes int
	// Linger is how long a batch that is not full waits for more.
	Linger time.Duration
}

// DefaultBytes bounds a batch where nothing else is said. A batch takes several
// times its size in memory, and up to three are under way at once.
const DefaultBytes = 4 << 20

func (l Limits) bytes() int { return cmp.Or(l.Bytes, DefaultBytes) }

// span is a range of offsets of one partition: what a batch has read.
type span struct {
	// from is the checkpoint before the batch, to the one after it.
	from, to   int64
	recordTime time.Time
	records    int64
}

// prepared is a batch that was read, decoded and folded, but not yet written.
type prepared struct {
	spans    map[eventlog.Partition]span
	batch    Batch
	versions map[string]int64
	parked   []parkedEvent
	// gone are the tombstones among the records.
	gone    []Event
	records int
	folded  int
	// bytes is the size of the values that were decoded: what a batch holds grows with it.
	bytes    int
	foldTime time.Duration
	// begun is when folding began, origins are the traces that events come from.
	begun   time.Time
	origins tracing.Origins
}

// errPoisoned stops a rebuild at an event that cannot be applied.
var errPoisoned = errors.New("poisoned event")

// fold is the state of one run over one generation. It is rebuilt from the
// control tables whenever the run starts, so whatever goes wrong, the remedy is
// to start again.
type fold struct {
	projection Projection
	generation Generation
	registry   *event.Registry
	metrics    *metrics
	// next is the offset after the last prepared record of each partition.
	next map[eventlog.Partition]int64
	// versions are the last applied decisions by stream.
	versions map[string]int64
	// waiting are the sequences that wait behind a poisoned event.
	waiting map[string]struct{}
	skipped map[event.Position]struct{}
	// stopOnPoison is set while rebuilding.
	stopOnPoison bool
	// until leaves out what happened after it, for a scratch; zero is no bound.
	until time.Time
	// retrying is set while parked events are tried again: later decisions of
	// their stream may have been applied meanwhile.
	retrying bool
	// traces has the traces noted that events come from.
	traces bool
	// step is [Config.Step].
	step func(name string)
}

// prepare decodes and folds records into a new batch.
func (f *fold) prepare(records []eventlog.Record) (*prepared, error) {
	p := f.begin()
	return p, f.extend(p, records)
}

// begin is an empty batch.
func (f *fold) begin() *prepared {
	return &prepared{spans: map[eventlog.Partition]span{}, batch: f.projection.NewBatch(), versions: map[string]int64{}, begun: time.Now()}
}

// extend decodes and folds more records into a batch.
func (f *fold) extend(p *prepared, records []eventlog.Record) error {
	started := time.Now()
	p.records += len(records)
	for i := range records {
		r := &records[i]
		if err := f.add(p, r); err != nil {
			return err
		}
		at := r.Partition()
		s, ok := p.spans[at]
		if !ok {
			s.from = f.next[at]
		}
		s.to, s.recordTime = r.Offset+1, r.Timestamp
		s.records++
		p.spans[at] = s
		f.next[at] = s.to
	}
	p.foldTime += time.Since(started)
	return nil
}

func (f *fold) add(p *prepared, r *eventlog.Record) error {
	position := r.Position
	if _, skip := f.skipped[position]; skip {
		return nil
	}
	e, err := r.Event()
	if err != nil {
		return f.park(p, Event{Recorded: event.Recorded{Event: unreadable(r), Position: position}}, err)
	}
	if f.traces {
		p.origins.Add(e.TraceParent)
	}
	recorded := Event{Recorded: event.Recorded{Event: e, Position: position}}
	if e.IsTombstone() {
		f.metrics.tombstones.WithLabelValues(f.projection.Name).Inc()
		p.gone = append(p.gone, recorded)
		if !f.projection.Envelopes && !f.projection.Tombstones {
			return nil
		}
	}
	if e.Version > 0 && e.Version <= f.versions[string(e.Stream)] && !f.retrying && !f.projection.Envelopes {
		// A second copy of a decision: the forwarder repeats after a crash. Who looks at records
		// sees it all the same: it is the one that compaction keeps.
		f.metrics.duplicates.WithLabelValues(f.projection.Name).Inc()
		return nil
	}
	if f.beyond(e) {
		f.decided(p, e)
		return nil
	}
	bare := f.projection.Envelopes || e.IsTombstone()
	if !bare && !f.registry.Knows(e.Type) {
		f.metrics.unknown.WithLabelValues(f.projection.Name, string(e.Type)).Inc()
		f.decided(p, e)
		return nil
	}
	if !bare && !slices.Contains(f.projection.Bare, e.Type) {
		recorded.Payload, err = f.registry.Decode(e)
		if event.CodeOf(err) == event.CodeUnavailable {
			// The keys of its texts cannot be had now: the event is good, and is read again.
			return fmt.Errorf("reading the event at %s: %w", position, err)
		}
		if err != nil {
			return f.park(p, recorded, err)
		}
		p.bytes += len(r.Value)
	}
	sequence := f.projection.sequence(recorded)
	if _, wait := f.waiting[sequence]; wait {
		p.parked = append(p.parked, parkedEvent{event: recorded, sequence: sequence})
		return nil
	}
	if err := p.batch.Add(recorded); err != nil {
		return f.park(p, recorded, err)
	}
	f.decided(p, e)
	p.folded++
	return nil
}

// beyond tells whether an event is after the moment of a scratch. What takes rows
// away counts whenever it happened: of what was removed or forgotten since, a scratch
// says no more than the log does.
func (f *fold) beyond(e event.Event) bool {
	return !f.until.IsZero() && e.Time.After(f.until) && !e.IsTombstone() && e.Type != eve.TypeCharacterForgotten
}

// decided notes that a decision of a stream has been applied.
func (f *fold) decided(p *prepared, e event.Event) {
	if e.Version <= f.versions[string(e.Stream)] {
		return
	}
	f.versions[string(e.Stream)] = e.Version
	p.versions[string(e.Stream)] = e.Version
}

// park sets an event aside that can never be applied, and with it all later
// ones of its sequence; a rebuild stops instead.
func (f *fold) park(p *prepared, e Event, cause error) error {
	if f.stopOnPoison {
		return fmt.Errorf("%w: %s of stream %q at %s cannot be applied: %w; correct the cause, or take it out with `muster poison skip --projection %s %s`",
			errPoisoned, e.Type, e.Stream, e.Position, cause, f.projection.Name, e.Position)
	}
	sequence := string(e.Stream)
	if e.Payload != nil || f.projection.Envelopes {
		sequence = f.projection.sequence(e)
	}
	if sequence != "" {
		f.waiting[sequence] = struct{}{}
	}
	p.parked = append(p.parked, parkedEvent{event: e, sequence: sequence, reason: cause.Error()})
	return nil
}

// unreadable is what can be said of a record that is no event: nothing but its
// stream, if its key or headers tell. Its stream waits as for any other one.
func unreadable(r *eventlog.Record) event.Event {
	e := event.Event{Data: r.Value}
	for _, h := range r.Headers {
		switch h.Name {
		case event.HeaderSubject:
			e.Stream = event.Stream(h.Value)
		case event.HeaderType:
			e.Type = event.Type(h.Value)
		}
	}
	if e.Stream.Validate() != nil {
		e.Stream = ""
		if stream, _, err := event.ParseKey(r.Key); err == nil && stream.Validate() == nil {
			e.Stream = stream
		}
	}
	return e
}

// feed yields records in order, from the checkpoints on.
type feed interface {
	Poll(ctx context.Context, limit int) ([]eventlog.Record, error)
	Close()
}

// polled bounds how many records are asked for at once, so that a batch is not
// far beyond its bound of bytes.
const polled = 1000

// grasp is how long is waited for what has piled up already.
const grasp = 20 * time.Millisecond

// gather reads one batch: it waits for the first record and then lingers until
// there are live.Records or the time is up. What has piled up beyond that is
// taken, too, up to the bounds of bulk.
func gather(ctx context.Context, source feed, live, bulk Limits) ([]eventlog.Record, error) {
	records, err := source.Poll(ctx, min(polled, bulk.Records))
	if err != nil {
		return records, err
	}
	size, until := sizeOf(records), time.Now().Add(live.Linger)
	for len(records) < bulk.Records && size < bulk.bytes() {
		if len(records) >= live.Records {
			until = time.Now().Add(grasp)
		}
		waiting, cancel := context.WithDeadline(ctx, until)
		more, err := source.Poll(waiting, min(polled, bulk.Records-len(records)))
		over := waiting.Err() != nil
		cancel()
		records, size = append(records, more...), size+sizeOf(more)
		switch {
		case over:
			return records, ctx.Err()
		case err != nil:
			return records, err
		}
	}
	return records, nil
}

func sizeOf(records []eventlog.Record) int {
	size := 0
	for i := range records {
		size += len(records[i].Value)
	}
	return size
}

// partitions are the partitions of the batch in a fixed order.
func (p *prepared) partitions() []eventlog.Partition {
	list := make([]eventlog.Partition, 0, len(p.spans))
	for at := range p.spans {
		list = append(list, at)
	}
	slices.SortFunc(list, comparePartitions)
	return list
}
