package verify

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// EventIndex is the oracle of the index of events: it compares where every event
// lies and what its envelope says.
type EventIndex struct {
	conn driver.Conn
	// rows are the events by where they lie.
	rows map[event.Position]event.Event
	// forgotten is where and when characters were last forgotten. What lies before may be
	// gone from one of both: a backup leaves it out, and an earlier one has it.
	forgotten map[event.Stream]event.Recorded
	// last is where the last copy of each event lies: compaction takes the others away.
	last map[uuid.UUID]event.Position
}

// NewEventIndex is an oracle for the rows behind conn.
func NewEventIndex(conn driver.Conn) *EventIndex { return &EventIndex{conn: conn} }

// Projection implements [Oracle].
func (o *EventIndex) Projection() string { return "event_index" }

// Topics implements [Oracle].
func (o *EventIndex) Topics() []string { return event.Topics() }

// Begin implements [Oracle].
func (o *EventIndex) Begin() {
	o.rows, o.forgotten, o.last = map[event.Position]event.Event{}, map[event.Stream]event.Recorded{}, map[uuid.UUID]event.Position{}
}

// copied tells whether the log has a later copy of an event.
func (o *EventIndex) copied(id uuid.UUID, at event.Position) bool {
	last, there := o.last[id]
	return there && last.Topic == at.Topic && last.Offset > at.Offset
}

// gone tells whether an event that is not in the log was forgotten.
func (o *EventIndex) gone(stream event.Stream, at event.Position, occurred time.Time) bool {
	f, was := o.forgotten[stream]
	if !was || at.Topic != f.Topic {
		return was && !occurred.After(f.Time)
	}
	return at.Offset < f.Offset
}

// Apply implements [Oracle]. An envelope is all that it looks at.
func (o *EventIndex) Apply(e event.Recorded, _ event.Payload) error { return o.ApplyEnvelope(e) }

// ApplyEnvelope implements [EnvelopeOracle].
func (o *EventIndex) ApplyEnvelope(e event.Recorded) error {
	if !e.IsTombstone() {
		kept := e.Event
		kept.Data = make([]byte, 0)
		// Of the value nothing but its size and what it is about.
		kept.TraceParent = strconv.Itoa(len(e.Data)) + about(e.Event)
		o.rows[e.Position], o.last[e.ID] = kept, e.Position
		if e.Type == eve.TypeCharacterForgotten {
			o.forgotten[e.Stream] = e
		}
		return nil
	}
	for at, row := range o.rows {
		if at.Topic == e.Topic && row.Stream == e.Stream && row.ID == e.ID {
			delete(o.rows, at)
		}
	}
	return nil
}

// Compare implements [Oracle].
func (o *EventIndex) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT stream, topic, log_offset, event_id, type, stream_version, time, recorded, source, actor, correlation_id, causation_id, size, toString(day), encoding, base FROM `%s`.event_index FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	seen := map[event.Position]bool{}
	for rows.Next() {
		var (
			stream, topic, kind, source, actor, correlation, causation string
			offset, version                                            int64
			id                                                         uuid.UUID
			occurred, recorded                                         time.Time
			size                                                       uint64
			day, encoding                                              string
			base                                                       uuid.UUID
		)
		if err := rows.Scan(&stream, &topic, &offset, &id, &kind, &version, &occurred, &recorded, &source, &actor, &correlation, &causation, &size, &day, &encoding, &base); err != nil {
			return err
		}
		if !wanted(event.Stream(stream)) {
			continue
		}
		place := event.Position{Topic: topic, Partition: at.ID, Offset: offset}
		if _, there := o.rows[place]; !there && (o.gone(event.Stream(stream), place, occurred) || o.copied(id, place)) {
			continue
		}
		r.Rows[o.Projection()]++
		seen[place] = true
		live := event.Event{
			ID: id, Type: event.Type(kind), Source: source, Stream: event.Stream(stream), Time: occurred.UTC(), Recorded: recorded.UTC(), Actor: actor,
			CorrelationID: correlation, CausationID: causation, Version: version, TraceParent: strconv.FormatUint(size, 10) + subject(day, encoding, base),
		}
		r.same(o.Projection(), live.Stream, place.String(), o.words(place), envelope(live))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for place, e := range o.rows {
		// What was forgotten is told no more, be it there or not.
		if !seen[place] && !o.gone(e.Stream, place, e.Time) {
			r.differ(Difference{o.Projection(), string(e.Stream), place.String(), envelope(e), "missing"})
		}
	}
	return nil
}

// about is what the value of a character's event says for retention.
func about(e event.Event) string {
	if _, is := e.Stream.CharacterID(); !is {
		return subject("1970-01-01", "", uuid.Nil)
	}
	a := eve.About(e.Type, e.Data)
	day := a.Day
	if _, err := time.Parse(time.DateOnly, day); err != nil || day < "1970-01-01" {
		day = "1970-01-01"
	}
	return subject(min(day, "2199-12-31"), string(a.Encoding), a.Base)
}

func subject(day, encoding string, base uuid.UUID) string {
	return fmt.Sprintf(" of %s %s %s in", day, encoding, base)
}

func (o *EventIndex) words(at event.Position) string {
	e, ok := o.rows[at]
	if !ok {
		return "missing"
	}
	return envelope(e)
}

func envelope(e event.Event) string {
	at := func(t time.Time) string { return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) }
	return fmt.Sprintf("%s of %s, %s, version %d, at %s, recorded %s by %s for %q, with %q, from %q, %s bytes",
		e.Type, e.Stream, e.ID, e.Version, at(e.Time), at(e.Recorded), e.Source, e.Actor, e.CorrelationID, e.CausationID, e.TraceParent)
}
