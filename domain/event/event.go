// Package event holds the envelope every fact of Muster travels in, the names
// of streams and types, and the registry that decodes any version of a value
// ever written.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Namespace is the UUIDv5 namespace of deterministic event ids. It must never
// change: the same observation published twice has to get the same id.
var Namespace = uuid.MustParse("6f1d6c1e-7a53-5c0a-9d0e-3b2f4a1f9d10")

// Event is one fact: the CloudEvents attributes and the JSON of one domain
// value. Events are values; nothing changes one after it was appended.
type Event struct {
	// ID identifies the event within its stream and is unique overall. Of an
	// observation it is deterministic (see [ObservationID]).
	ID uuid.UUID
	// Type names the kind of fact and the version of its value.
	Type Type
	// Source says which part of Muster recorded it, such as "muster/ingest/esi".
	Source string
	// Stream is what the event is about. All events of a stream are ordered.
	Stream Stream
	// Time is when the fact held in the outside world or was decided, UTC.
	Time time.Time
	// Recorded is when the event was handed to the log, UTC.
	Recorded time.Time
	// Actor is the user or part of the system that caused the event; may be
	// empty for observations.
	Actor string
	// CorrelationID groups events of one run, request or sweep; may be empty.
	CorrelationID string
	// CausationID is the id of the event that led to this one; may be empty.
	CausationID string
	// Version numbers the decisions of a stream: commands have a single writer,
	// who counts from 1. It is zero for observations.
	Version int64
	// TraceParent is the W3C trace context of the append; may be empty.
	TraceParent string
	// Data is the JSON of the value. It is nil for a tombstone and only there.
	Data []byte
	// Expiry explains a tombstone; nil for every other event.
	Expiry *Expiry
}

// Expiry says by which rule a tombstone removes an event.
type Expiry struct {
	// Policy is the name of the retention policy, such as "history".
	Policy string
	// CutOff is the moment before which the policy removes, UTC.
	CutOff time.Time
}

// Payload is the value of a current event type. Its EventType method must not
// depend on the value's content.
type Payload interface {
	EventType() Type
}

// New makes an event of a payload. Time is kept in UTC; Recorded is left for
// the log to fill in. It fails with [CodeInvalid] if the payload is no JSON.
func New(id uuid.UUID, stream Stream, source string, at time.Time, p Payload) (Event, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return Event{}, Errorf(CodeInvalid, "encoding %s of %s: %w", p.EventType(), stream, err)
	}
	return Event{
		ID:     id,
		Type:   p.EventType(),
		Source: source,
		Stream: stream,
		Time:   at.UTC(),
		Data:   data,
	}, nil
}

// Tombstone is the event that removes the event with the given id from the log
// at the next compaction.
func Tombstone(stream Stream, id uuid.UUID, at time.Time, why Expiry) Event {
	why.CutOff = why.CutOff.UTC()
	return Event{
		ID:     id,
		Type:   TypeExpired,
		Source: "muster/retention",
		Stream: stream,
		Time:   at.UTC(),
		Expiry: &why,
	}
}

// IsTombstone tells whether the event removes another one.
func (e Event) IsTombstone() bool { return e.Data == nil }

// Key is the record key of the event: unique for each event, so that
// compaction never merges two facts. A tombstone has the key of the event it
// removes.
func (e Event) Key() string { return Key(e.Stream, e.ID) }

// Validate reports the first rule of the envelope that the event breaks, as
// [CodeInvalid].
func (e Event) Validate() error {
	switch {
	case e.ID == uuid.Nil:
		return Errorf(CodeInvalid, "event %s of %q has no id: give it one with ObservationID or a random UUID", e.Type, e.Stream)
	case e.Stream.Validate() != nil:
		return e.Stream.Validate()
	case e.Type.Validate() != nil:
		return e.Type.Validate()
	case e.Time.IsZero():
		return Errorf(CodeInvalid, "event %s of %q has no time: set when the fact held", e.Type, e.Stream)
	case !writable(e.Time) || !writable(e.Recorded) || (e.Expiry != nil && !writable(e.Expiry.CutOff)):
		return Errorf(CodeInvalid, "event %s of %q has a time outside of the years 0 to 9999: it could not be written", e.Type, e.Stream)
	case e.Version < 0:
		return Errorf(CodeInvalid, "event %s of %q has version %d: versions are counted from 1, and 0 is none", e.Type, e.Stream, e.Version)
	case e.Data == nil && e.Expiry == nil:
		return Errorf(CodeInvalid, "event %s of %q has no value: only tombstones have none", e.Type, e.Stream)
	case e.Data != nil && e.Expiry != nil:
		return Errorf(CodeInvalid, "tombstone for %q carries a value: a tombstone has none", e.Key())
	case e.Data != nil && !ValidJSON(e.Data):
		return Errorf(CodeInvalid, "event %s of %q: its value is not JSON", e.Type, e.Stream)
	}
	return nil
}

// Position is where an event lies in the log.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String prints the position as topic/partition@offset.
func (p Position) String() string {
	return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset)
}

// Recorded is an event together with where it lies in the log.
type Recorded struct {
	Event
	Position
}

// Key is the record key of an event.
func Key(s Stream, id uuid.UUID) string { return string(s) + "/" + id.String() }

// ObservationID is the deterministic id of an observation: the same content
// seen after the same previous observation has the same id, so that an append
// repeated after a crash can be recognised. previous is the id of the
// observation before it in the same series, [uuid.Nil] for the first.
func ObservationID(s Stream, t Type, previous uuid.UUID, contentHash string) uuid.UUID {
	name := string(s) + "\x00" + string(t) + "\x00" + previous.String() + "\x00" + contentHash
	return uuid.NewSHA1(Namespace, []byte(name))
}
