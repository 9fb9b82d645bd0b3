package eventlog

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

// Record is one record of the log as it lies there: an event, a tombstone, or
// whatever a foreign client wrote.
type Record struct {
	event.Position

	// Key is the record key; empty if the record has none.
	Key string
	// Headers are the record's headers in their order.
	Headers []event.Header
	// Value is nil for a null value, which is not the same as an empty one. It
	// shares memory with the values of other records: copy what is kept for
	// long, and change nothing.
	Value []byte
	// Timestamp is the record's own time; of Muster's records it is when the
	// event was recorded, in milliseconds.
	Timestamp time.Time
}

// Partition is where the record lies.
func (r Record) Partition() Partition {
	return Partition{Topic: r.Topic, ID: r.Position.Partition}
}

// Event reads the record as an event. It fails with [event.CodePoisoned] if it
// is none; the error names the position.
func (r Record) Event() (event.Event, error) {
	e, err := event.FromRecord(r.Key, r.Headers, r.Value)
	if err != nil {
		return event.Event{}, event.Errorf(event.CodePoisoned, "record at %s is no event: %w", r.Position, err)
	}
	return e, nil
}

// Recorded reads the record as an event with its position; see [Record.Event].
func (r Record) Recorded() (event.Recorded, error) {
	e, err := r.Event()
	return event.Recorded{Event: e, Position: r.Position}, err
}

// recordMaker turns franz-go's records into ours with few allocations: one for
// all headers of a batch and one for all text of a record.
type recordMaker struct{ headers []event.Header }

func newRecordMaker(headers int) *recordMaker {
	return &recordMaker{headers: make([]event.Header, 0, headers)}
}

func (m *recordMaker) make(r *kgo.Record) Record {
	size := len(r.Key)
	for _, h := range r.Headers {
		size += len(h.Value)
	}
	var text strings.Builder
	text.Grow(size)
	text.Write(r.Key)
	for _, h := range r.Headers {
		text.Write(h.Value)
	}
	all := text.String()
	key, rest := all[:len(r.Key)], all[len(r.Key):]
	first := len(m.headers)
	for _, h := range r.Headers {
		m.headers = append(m.headers, event.Header{Name: h.Key, Value: rest[:len(h.Value)]})
		rest = rest[len(h.Value):]
	}
	return Record{
		Position:  event.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
		Key:       key,
		Headers:   m.headers[first:len(m.headers):len(m.headers)],
		Value:     r.Value,
		Timestamp: r.Timestamp.UTC(),
	}
}
