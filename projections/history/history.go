// Package history reads what a stream says from the log itself: its events in
// order, and the state that they lead to as of any moment. The log alone knows
// what was true then; the read models know what is true now.
//
// A stream's partition is read from its beginning for each question, the events
// of other streams in it are passed over.
package history

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Log reads the records of a stream in order; [*eventlog.Reader] does.
type Log interface {
	ReadStream(ctx context.Context, topic string, stream event.Stream, from int64, fn func(eventlog.Record) error) error
}

// Fact is an event of a stream with what it says.
type Fact struct {
	event.Recorded

	Payload event.Payload
}

// Story is what a stream says.
type Story struct {
	// Facts are in the order of the log, without those that a tombstone has
	// removed and without second copies of decisions: a forwarder that died may
	// append some again behind newer ones.
	Facts []Fact
	// Unreadable are the positions of records that are no events or cannot be
	// decoded. They are parked and reported elsewhere.
	Unreadable []event.Position
}

// Reader reads streams from the log. It is safe for concurrent use.
type Reader struct {
	log      Log
	registry *event.Registry
}

// New is a reader. The registry must know the events of the streams.
func New(log Log, registry *event.Registry) *Reader { return &Reader{log: log, registry: registry} }

// Read reads what a stream of a topic says. What happened later than until is
// left out; the zero time leaves nothing out. A stream that does not exist says
// nothing. It fails with [event.CodeUnavailable] if the log cannot be read.
func (r *Reader) Read(ctx context.Context, topic string, stream event.Stream, until time.Time) (Story, error) {
	var story Story
	removed := map[string]bool{}
	var decided int64
	err := r.log.ReadStream(ctx, topic, stream, 0, func(rec eventlog.Record) error {
		e, err := rec.Recorded()
		if err != nil {
			story.Unreadable = append(story.Unreadable, rec.Position)
			return nil //nolint:nilerr // It is reported, and the rest is told.
		}
		switch {
		case e.IsTombstone():
			removed[e.Key()] = true
			return nil
		case e.Version > 0 && e.Version <= decided:
			return nil
		}
		decided = max(decided, e.Version)
		if !until.IsZero() && e.Time.After(until) {
			return nil
		}
		payload, err := r.registry.Decode(e.Event)
		if err != nil {
			story.Unreadable = append(story.Unreadable, rec.Position)
			return nil //nolint:nilerr // It is reported, and the rest is told.
		}
		story.Facts = append(story.Facts, Fact{Recorded: e, Payload: payload})
		return nil
	})
	if err != nil {
		return Story{}, fmt.Errorf("reading %s from the log: %w", stream, err)
	}
	if len(removed) > 0 {
		kept := story.Facts[:0]
		for _, f := range story.Facts {
			if !removed[f.Key()] {
				kept = append(kept, f)
			}
		}
		story.Facts = kept
	}
	return story, nil
}

// Consortium is the state of a consortium as of a moment; the zero time means
// now. It fails with [event.CodeNotFound] if nothing was known of it then.
func (r *Reader) Consortium(ctx context.Context, name string, asOf time.Time) (*anvil.State, error) {
	m, err := r.At(ctx, name, asOf)
	if err != nil {
		return nil, err
	}
	return m.state, nil
}
