package clickhouse

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed event_index.sql
var eventIndexSchema string

// EventIndexName is the name of the projection that finds events in the log.
const EventIndexName = "event_index"

// EventIndex is the projection of where every event lies in the log, of all topics
// and all types, those included that this Muster does not know. It holds no value of
// an event: what somebody wrote or owns stays in the log alone. A row is one record;
// of an event that was appended twice there are two, see [EventIndexReader].
func EventIndex() runner.Projection {
	return runner.Projection{
		Name:      EventIndexName,
		Version:   3,
		Topics:    event.Topics(),
		Schema:    eventIndexSchema,
		Envelopes: true,
		Tables: []runner.Table{
			{Name: "event_index", Key: "stream, topic, log_offset", Replacing: true, Copies: "stream, topic, event_id"},
			{Name: "forgotten", Key: "stream, topic, log_offset", Replacing: true, Copies: "stream, topic, event_id"},
		},
		NewBatch: func() runner.Batch { return &eventIndexBatch{} },
	}
}

// eventIndexBatch gathers where events lie, and which are gone.
type eventIndexBatch struct {
	events []runner.Event
	gone   []runner.Event
}

// Add implements [runner.Batch].
func (b *eventIndexBatch) Add(e runner.Event) error {
	if !e.IsTombstone() {
		b.events = append(b.events, e)
		return nil
	}
	// What is removed of earlier batches is removed before the rows of this one
	// come, so those that went before the tombstone must not come at all.
	b.events = slices.DeleteFunc(b.events, func(other runner.Event) bool { return other.Stream == e.Stream && other.ID == e.ID })
	b.gone = append(b.gone, e)
	return nil
}

// Removals implements [runner.ClickHouseRemover].
func (b *eventIndexBatch) Removals() []runner.Removal {
	var removals []runner.Removal
	for _, topic := range event.Topics() {
		of := slices.DeleteFunc(slices.Clone(b.gone), func(e runner.Event) bool { return e.Topic != topic })
		for gone := range slices.Chunk(of, namedAtOnce) {
			names := map[string]bool{}
			for _, e := range gone {
				// A stream's name is written in digits, so that it can be no SQL.
				names["unhex('"+hex.EncodeToString([]byte(e.Stream))+"')"] = true
			}
			where := "topic = '" + topic + "' AND stream IN (" + strings.Join(slices.Sorted(maps.Keys(names)), ", ") + ") AND " + namedBy(gone)
			removals = append(removals, runner.Removal{Table: "event_index", Where: where}, runner.Removal{Table: "forgotten", Where: where})
		}
	}
	return removals
}

// namedAtOnce is how many tombstones one statement is about: a server takes
// statements of a bounded length, and each takes its time whatever it removes.
const namedAtOnce = 2000

// namedBy is the condition of rows of earlier batches that tombstones name.
func namedBy(gone []runner.Event) string {
	ids := make([]string, len(gone))
	for i, e := range gone {
		ids[i] = "'" + e.ID.String() + "'"
	}
	return earlier(gone) + " AND event_id IN (" + strings.Join(ids, ", ") + ")"
}

// earlier is the condition of rows of earlier batches, of the partitions of the
// events, which are of one topic: those lie before the first of the events in their
// partition. What a batch has itself was dropped when the tombstone was met, or was
// told after it.
func earlier(events []runner.Event) string {
	first := map[int32]int64{}
	for _, e := range events {
		if offset, known := first[e.Partition]; !known || e.Offset < offset {
			first[e.Partition] = e.Offset
		}
	}
	var places []string
	for _, partition := range slices.Sorted(maps.Keys(first)) {
		places = append(places, fmt.Sprintf("(log_partition = %d AND log_offset < %d)", partition, first[partition]))
	}
	return "(" + strings.Join(places, " OR ") + ")"
}

// indexable is a time as the index holds it: in microseconds, and between years that
// ClickHouse can hold with them. The log keeps it to the letter.
func indexable(t time.Time) time.Time {
	earliest, latest := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 12, 31, 0, 0, 0, 0, time.UTC)
	switch t = t.UTC(); {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	default:
		return t.Truncate(time.Microsecond)
	}
}

// indexableDay is a day as the index holds it. What is no day is the first of 1970.
func indexableDay(text string) time.Time {
	// The zero time is before all that can be indexed.
	day, _ := time.Parse(time.DateOnly, text)
	return indexable(day)
}

// columnOf is a column of the events.
func columnOf[T any](events []runner.Event, value func(*runner.Event) T) []T {
	column := make([]T, len(events))
	for i := range events {
		column[i] = value(&events[i])
	}
	return column
}

// Inserts implements [runner.ClickHouseBatch].
func (b *eventIndexBatch) Inserts() []runner.Insert {
	forgotten := slices.DeleteFunc(slices.Clone(b.events), func(e runner.Event) bool { return e.Type != eve.TypeCharacterForgotten })
	return []runner.Insert{
		{
			Table: "event_index", Rows: len(b.events),
			Columns: "stream, log_offset, log_partition, topic, world, event_id, type, stream_version, time, recorded, source, actor, correlation_id, causation_id, " +
				"character_id, consortium, section, content_hash, day, encoding, base, size",
			Fill: func(batch driver.Batch) error { return fill(batch, indexColumns(b.events)) },
		},
		{
			Table: "forgotten", Rows: len(forgotten), Columns: "stream, topic, log_offset, log_partition, time, event_id",
			Fill: func(batch driver.Batch) error { return fill(batch, placeColumns(forgotten)) },
		},
	}
}

func fill(batch driver.Batch, columns []any) error {
	for i, c := range columns {
		if err := batch.Column(i).Append(c); err != nil {
			return err
		}
	}
	return nil
}

func placeColumns(events []runner.Event) []any {
	return []any{
		columnOf(events, func(e *runner.Event) string { return string(e.Stream) }),
		columnOf(events, func(e *runner.Event) string { return e.Topic }),
		columnOf(events, func(e *runner.Event) int64 { return e.Offset }),
		columnOf(events, func(e *runner.Event) int32 { return e.Partition }),
		columnOf(events, func(e *runner.Event) time.Time { return indexable(e.Time) }),
		columnOf(events, func(e *runner.Event) uuid.UUID { return e.ID }),
	}
}

func indexColumns(events []runner.Event) []any {
	sections, hashes, encodings := make([]string, len(events)), make([]string, len(events)), make([]string, len(events))
	days, bases := make([]time.Time, len(events)), make([]uuid.UUID, len(events))
	for i := range events {
		e := &events[i]
		if _, is := e.Stream.CharacterID(); is {
			about := eve.About(e.Type, e.Data)
			sections[i], hashes[i], encodings[i], bases[i] = string(about.Section), about.ContentHash, string(about.Encoding), about.Base
			days[i] = indexableDay(about.Day)
		} else {
			days[i] = indexableDay("")
		}
	}
	text := func(value func(*runner.Event) string) []string { return columnOf(events, value) }
	return []any{
		text(func(e *runner.Event) string { return string(e.Stream) }),
		columnOf(events, func(e *runner.Event) int64 { return e.Offset }),
		columnOf(events, func(e *runner.Event) int32 { return e.Partition }),
		text(func(e *runner.Event) string { return e.Topic }),
		text(func(e *runner.Event) string { return e.Type.World() }),
		columnOf(events, func(e *runner.Event) uuid.UUID { return e.ID }),
		text(func(e *runner.Event) string { return string(e.Type) }),
		columnOf(events, func(e *runner.Event) int64 { return e.Version }),
		columnOf(events, func(e *runner.Event) time.Time { return indexable(e.Time) }),
		columnOf(events, func(e *runner.Event) time.Time { return indexable(e.Event.Recorded) }),
		text(func(e *runner.Event) string { return e.Source }),
		text(func(e *runner.Event) string { return e.Actor }),
		text(func(e *runner.Event) string { return e.CorrelationID }),
		text(func(e *runner.Event) string { return e.CausationID }),
		columnOf(events, func(e *runner.Event) int64 { id, _ := e.Stream.CharacterID(); return id }),
		text(func(e *runner.Event) string { name, _ := e.Stream.ConsortiumName(); return name }),
		sections, hashes, days, encodings, bases,
		columnOf(events, func(e *runner.Event) uint64 { return uint64(len(e.Data)) }),
	}
}
