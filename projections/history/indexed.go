package history

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Places is a log that can be read at single places; [*eventlog.Reader] can.
type Places interface {
	Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error)
	ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error
	ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error)
}

// Index knows where the records of a stream lie, up to the offset that it has come
// to; the clickhouse.EventIndexReader does.
type Index interface {
	// Offsets are the offsets of the records of a stream, ascending, and the offset
	// from which on nothing is said about the partition. With sections, records about
	// other sections may be left out.
	Offsets(ctx context.Context, topic string, partition int32, stream event.Stream, sections []eve.Section) (offsets []int64, upTo int64, err error)
}

// Indexed reads streams by an index of where their records lie. What the index has
// not come to yet is read through, as a whole if there is no index: an answer takes
// longer then, and is never less than all. It is safe for concurrent use.
type Indexed struct {
	log   Places
	index Index
}

// NewIndexed reads the log by the index.
func NewIndexed(log Places, index Index) *Indexed { return &Indexed{log: log, index: index} }

// readAtOnce is how many records are held while they are put in order.
const readAtOnce = 256

// ReadStream implements [Log].
func (l *Indexed) ReadStream(ctx context.Context, topic string, stream event.Stream, from int64, fn func(eventlog.Record) error) error {
	return l.read(ctx, topic, stream, nil, from, fn)
}

// ReadSections calls fn with every record of a character's stream that is about one
// of the sections or about none, in order. There may be others among them.
func (l *Indexed) ReadSections(ctx context.Context, topic string, stream event.Stream, sections []eve.Section, fn func(eventlog.Record) error) error {
	return l.read(ctx, topic, stream, sections, 0, fn)
}

func (l *Indexed) read(ctx context.Context, topic string, stream event.Stream, sections []eve.Section, from int64, fn func(eventlog.Record) error) error {
	ends, err := l.log.Ends(ctx, topic)
	if err != nil {
		return err
	}
	if len(ends) == 0 {
		return event.Errorf(event.CodeUnavailable, "topic %s has no partitions", topic)
	}
	at := eventlog.Partition{Topic: topic, ID: eventlog.PartitionOf(stream, int32(len(ends)))}
	offsets, upTo, err := l.index.Offsets(ctx, topic, at.ID, stream, sections)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		// The index is a help, not a source.
		offsets, upTo = nil, 0
	}
	for some := range slices.Chunk(offsets, readAtOnce) {
		if err := l.readAt(ctx, at, slices.DeleteFunc(some, func(o int64) bool { return o < from }), fn); err != nil {
			return err
		}
	}
	prefix := string(stream) + "/"
	return l.log.ReadRange(ctx, at, max(from, upTo), ends[at].End, func(rec eventlog.Record) error {
		if !strings.HasPrefix(rec.Key, prefix) {
			return nil
		}
		return fn(rec)
	})
}

func (l *Indexed) readAt(ctx context.Context, at eventlog.Partition, offsets []int64, fn func(eventlog.Record) error) error {
	positions := make([]event.Position, len(offsets))
	for i, offset := range offsets {
		positions[i] = event.Position{Topic: at.Topic, Partition: at.ID, Offset: offset}
	}
	records, err := l.log.ReadAt(ctx, positions)
	if err != nil {
		return fmt.Errorf("reading what the index names: %w", err)
	}
	for _, position := range positions {
		// What compaction has removed since is gone.
		if rec, there := records[position]; there {
			if err := fn(rec); err != nil {
				return err
			}
		}
	}
	return nil
}
