package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/runner"
)

// Checkpoints know how far a generation has come; [runner.Control] does.
type Checkpoints interface {
	Checkpoints(context.Context, runner.Generation) ([]runner.Checkpoint, error)
}

// EventIndexReader finds events in the log. It is safe for concurrent use.
//
// What lies before a character was forgotten is not found, though it stays in the
// log until its tombstones come. Of an event that was appended more than once the
// first record is found, for that is the one that counts.
type EventIndexReader struct {
	conn        driver.Conn
	live        *live.Generations
	checkpoints Checkpoints
}

// NewEventIndexReader reads the projection [EventIndexName] behind the connection.
func NewEventIndexReader(conn driver.Conn, generations *live.Generations, checkpoints Checkpoints) *EventIndexReader {
	return &EventIndexReader{conn: conn, live: generations, checkpoints: checkpoints}
}

// IndexedEvent is an event without its value, and where it lies.
type IndexedEvent struct {
	Stream        string    `ch:"stream"`
	Offset        int64     `ch:"log_offset"`
	Partition     int32     `ch:"log_partition"`
	Topic         string    `ch:"topic"`
	World         string    `ch:"world"`
	ID            uuid.UUID `ch:"event_id"`
	Type          string    `ch:"type"`
	StreamVersion int64     `ch:"stream_version"`
	// Time is when the fact held, Recorded when it was handed to the log; UTC, in
	// microseconds.
	Time          time.Time `ch:"time"`
	Recorded      time.Time `ch:"recorded"`
	Source        string    `ch:"source"`
	Actor         string    `ch:"actor"`
	CorrelationID string    `ch:"correlation_id"`
	CausationID   string    `ch:"causation_id"`
	// CharacterID is zero, Consortium empty for streams of other kinds.
	CharacterID int64  `ch:"character_id"`
	Consortium  string `ch:"consortium"`
	Section     string `ch:"section"`
	ContentHash string `ch:"content_hash"`
	// Size is that of the value in bytes.
	Size uint64 `ch:"size"`
}

// Position is where the event lies.
func (e IndexedEvent) Position() event.Position {
	return event.Position{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}
}

// EventCursor is a place in a list of events.
type EventCursor struct {
	// Micros is the event's time in microseconds since 1970.
	Micros int64  `json:"t"`
	Stream string `json:"s"`
	// Topic is that of the event: a stream may lie in two, each with offsets of its own.
	Topic  string `json:"k"`
	Offset int64  `json:"o"`
}

// Cursor is the place of the event in a list.
func (e IndexedEvent) Cursor() EventCursor {
	return EventCursor{Micros: e.Time.UnixMicro(), Stream: e.Stream, Topic: e.Topic, Offset: e.Offset}
}

// EventFilter says which events to list. Zero fields do not filter.
type EventFilter struct {
	// Types are whole names, TypePrefix the beginning of one.
	Types      []string
	TypePrefix string
	Stream     event.Stream
	// CharacterID and Consortium choose a stream by what it is about.
	CharacterID   int64
	Consortium    string
	Actor         string
	Sections      []string
	CorrelationID string
	// Since is inclusive, Until exclusive; both are of the event's own time.
	Since, Until time.Time
	// OldestFirst lists in the order of time and, of one stream, of the log;
	// otherwise it is the other way round.
	OldestFirst bool
	// LogOrder lists in the order of the log, which is only one within a stream and a
	// topic; of a stream that lies in two it lists one after the other.
	LogOrder bool
	// After is the last event of the page before; nil for the first page.
	After *EventCursor
	// Limit is the most events to list; it must be positive.
	Limit int
}

const indexedColumns = `stream, log_offset, log_partition, topic, world, event_id, type, stream_version, time, recorded, source, actor, correlation_id, causation_id,
	character_id, consortium, section, content_hash, size`

// firstCopy and lastCopy are which of several copies of an event is told.
const (
	firstCopy = "log_offset"
	// lastCopy is the one that compaction keeps.
	lastCopy = "log_offset DESC"
)

// told is the index without what was forgotten and, of each event, without all
// copies but one among the rows that the conditions leave.
func told(database, where, copied string) string {
	return fmt.Sprintf(`(SELECT %[2]s FROM (SELECT %[2]s FROM %[1]s.event_index FINAL WHERE %[3]s) AS i
		LEFT ANY JOIN (SELECT stream, argMax(topic, log_offset) AS cut_topic, max(log_offset) AS cut, argMax(time, log_offset) AS cut_time FROM %[1]s.forgotten GROUP BY stream) AS f USING (stream)
		WHERE if(topic = f.cut_topic, log_offset >= f.cut, time >= f.cut_time) ORDER BY stream, topic, %[4]s LIMIT 1 BY stream, topic, event_id)`, database, indexedColumns, where, copied)
}

func (q *query) text(v string) string { return q.add("String", v) }

func (q *query) micros(v int64) string {
	return "fromUnixTimestamp64Micro(" + q.add("Int64", v) + ", 'UTC')"
}

// conditions are what the filter says of a row.
func (f EventFilter) conditions(q *query) []string {
	where := []string{"true"}
	add := func(condition string) { where = append(where, condition) }
	if len(f.Types) > 0 {
		add("type IN " + q.texts(f.Types))
	}
	if f.TypePrefix != "" {
		add("startsWith(type, " + q.text(f.TypePrefix) + ")")
	}
	// Streams are what the table is sorted by.
	if f.Stream != "" {
		add("stream = " + q.text(string(f.Stream)))
	}
	if f.CharacterID != 0 {
		add("stream = " + q.text(string(event.Character(f.CharacterID))))
	}
	if f.Consortium != "" {
		add("stream = " + q.text(string(event.Consortium(f.Consortium))))
	}
	if f.Actor != "" {
		add("actor = " + q.text(f.Actor))
	}
	if len(f.Sections) > 0 {
		add("section IN " + q.texts(f.Sections))
	}
	if f.CorrelationID != "" {
		add("correlation_id = " + q.text(f.CorrelationID))
	}
	if !f.Since.IsZero() {
		add("time >= " + q.micros(indexable(f.Since.Add(time.Microsecond-time.Nanosecond)).UnixMicro()))
	}
	if !f.Until.IsZero() {
		add("time < " + q.micros(indexable(f.Until.Add(time.Microsecond-time.Nanosecond)).UnixMicro()))
	}
	if c := f.After; c != nil {
		than := "<"
		if f.OldestFirst {
			than = ">"
		}
		if f.LogOrder {
			add("(topic, log_offset) " + than + " (" + q.text(c.Topic) + ", " + q.integer(c.Offset) + ")")
			return where
		}
		// The first condition has whole months passed over.
		at := q.micros(c.Micros)
		add("time " + than + "= " + at)
		add(fmt.Sprintf("(time, stream, topic, log_offset) %s (%s, %s, %s, %s)", than, at, q.text(c.Stream), q.text(c.Topic), q.integer(c.Offset)))
	}
	return where
}

// Events lists events, at most filter.Limit, the newest first unless the filter
// says otherwise. It fails with [event.CodeUnavailable] if the index or ClickHouse
// is not there.
func (r *EventIndexReader) Events(ctx context.Context, filter EventFilter) ([]IndexedEvent, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{}
	direction := "DESC"
	if filter.OldestFirst {
		direction = "ASC"
	}
	order := "time " + direction + ", stream " + direction + ", topic " + direction + ", "
	if filter.LogOrder {
		order = "topic " + direction + ", "
	}
	sql := fmt.Sprintf(`SELECT %s FROM %s ORDER BY %slog_offset %s LIMIT %s`+finalByPartition,
		indexedColumns, told(database, strings.Join(filter.conditions(q), " AND "), firstCopy), order, direction, q.integer(int64(filter.Limit)))
	return r.selectEvents(ctx, "listing events", sql, q)
}

func (r *EventIndexReader) selectEvents(ctx context.Context, doing, sql string, q *query) ([]IndexedEvent, error) {
	var events []IndexedEvent
	if err := r.conn.Select(ctx, &events, sql, q.arguments...); err != nil {
		return nil, queryError(doing, err)
	}
	for i := range events {
		events[i].Time, events[i].Recorded = events[i].Time.UTC(), events[i].Recorded.UTC()
	}
	return events, nil
}

// Event is the event with an id, where it lies in the log for good. It fails with [event.CodeNotFound] if the index
// has none.
func (r *EventIndexReader) Event(ctx context.Context, id uuid.UUID) (IndexedEvent, error) {
	database, err := r.database(ctx)
	if err != nil {
		return IndexedEvent{}, err
	}
	q := &query{}
	sql := fmt.Sprintf(`SELECT %s FROM %s ORDER BY stream, topic, log_offset LIMIT 1`+finalByPartition, indexedColumns, told(database, "event_id = "+q.add("UUID", id.String()), lastCopy))
	events, err := r.selectEvents(ctx, "finding an event", sql, q)
	if err != nil {
		return IndexedEvent{}, err
	}
	if len(events) == 0 {
		return IndexedEvent{}, event.Errorf(event.CodeNotFound,
			"there is no event %s: it was never recorded, it was removed or forgotten, or it is so new that the index has not come to it yet", id)
	}
	return events[0], nil
}

// Origins finds the events of origins, second copies and those of forgotten streams
// among them: it is the log that is asked. What the index has not come to yet, or what
// was removed, is missing. It fails with [event.CodeUnavailable] if the index or
// ClickHouse is not there.
func (r *EventIndexReader) Origins(ctx context.Context, origins []event.Origin) (map[event.Origin]IndexedEvent, error) {
	found := map[event.Origin]IndexedEvent{}
	if len(origins) == 0 {
		return found, nil
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	streams, topics, offsets := []string{}, []string{}, []int64{}
	for _, o := range origins {
		streams, topics, offsets = append(streams, string(o.Stream)), append(topics, o.Position.Topic), append(offsets, o.Position.Offset)
	}
	q := &query{}
	// Each column by itself, which is more than was asked for, but the order of the table
	// finds it; what is too much is left out below.
	sql := fmt.Sprintf(`SELECT %s FROM %s.event_index WHERE stream IN %s AND topic IN %s AND log_offset IN %s`,
		indexedColumns, database, q.texts(unique(streams)), q.texts(unique(topics)), q.integers(unique(offsets)))
	events, err := r.selectEvents(ctx, "finding the events that rows are from", sql, q)
	if err != nil {
		return nil, err
	}
	wanted := make(map[event.Origin]bool, len(origins))
	for _, o := range origins {
		wanted[o] = true
	}
	for _, e := range events {
		if o := (event.Origin{Stream: event.Stream(e.Stream), Position: e.Position()}); wanted[o] {
			found[o] = e
		}
	}
	return found, nil
}

func unique[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

// StreamSummary is what the index says of a stream.
type StreamSummary struct {
	// Events is how many there are, Bytes the size of their values.
	Events uint64 `ch:"events"`
	Bytes  uint64 `ch:"bytes"`
	// HeadVersion is the number of the last decision; zero for none.
	HeadVersion int64 `ch:"head"`
	// First and Last are the earliest and the latest time of an event, UTC.
	First time.Time `ch:"first"`
	Last  time.Time `ch:"last"`
	// Topic is that of the last event.
	Topic string `ch:"in_topic"`
	// Partition is where the stream lies, LastOffset the place of its last event.
	Partition  int32 `ch:"partition"`
	LastOffset int64 `ch:"last_offset"`
	// Types counts the events by their type.
	Types map[string]uint64 `ch:"types"`
}

// Stream sums up a stream. It fails with [event.CodeNotFound] if the index has no
// event of it.
func (r *EventIndexReader) Stream(ctx context.Context, stream event.Stream) (StreamSummary, error) {
	database, err := r.database(ctx)
	if err != nil {
		return StreamSummary{}, err
	}
	q := &query{}
	sql := fmt.Sprintf(`SELECT count() AS events, sum(size) AS bytes, max(stream_version) AS head, min(time) AS first, max(time) AS last, argMax(topic, (time, log_offset)) AS in_topic,
			argMax(log_partition, (time, log_offset)) AS partition, argMax(log_offset, (time, log_offset)) AS last_offset, sumMap(map(toString(type), toUInt64(1))) AS types
		FROM %s`+finalByPartition, told(database, "stream = "+q.text(string(stream)), firstCopy))
	var s StreamSummary
	if err := r.conn.QueryRow(ctx, sql, q.arguments...).ScanStruct(&s); err != nil {
		return StreamSummary{}, queryError("summing up a stream", err)
	}
	if s.Events == 0 {
		return StreamSummary{}, event.Errorf(event.CodeNotFound, "there is no event of stream %q: it does not exist, or all of it was removed or forgotten", stream)
	}
	s.First, s.Last = s.First.UTC(), s.Last.UTC()
	return s, nil
}

// Offsets are the offsets of the records of a stream that the index has come to,
// ascending, and the offset from which on it says nothing about the partition. With
// sections, those about other sections are left out, but for their failures; those
// about none stay. Also
// records before a character was forgotten are among them, and all copies, for it is
// the log that is asked. It fails with [event.CodeUnavailable] if the index or
// ClickHouse is not there.
func (r *EventIndexReader) Offsets(ctx context.Context, topic string, partition int32, stream event.Stream, sections []eve.Section) (offsets []int64, upTo int64, err error) {
	g, err := r.live.Generation(ctx, EventIndexName)
	if err != nil {
		return nil, 0, queryError("finding the index of events", err)
	}
	// Before the rows are read: what a checkpoint has passed is there.
	checkpoints, err := r.checkpoints.Checkpoints(ctx, g)
	if err != nil {
		return nil, 0, fmt.Errorf("reading how far the index of events has come: %w", err)
	}
	i := slices.IndexFunc(checkpoints, func(c runner.Checkpoint) bool { return c.Topic == topic && c.ID == partition })
	if i < 0 {
		return nil, 0, nil
	}
	upTo = checkpoints[i].Next
	q := &query{}
	where := "stream = " + q.text(string(stream)) + " AND topic = " + q.text(topic) + " AND log_offset < " + q.integer(upTo)
	if len(sections) > 0 {
		names := []string{""}
		for _, s := range sections {
			names = append(names, string(s))
		}
		// How sections fare is part of how a character stands.
		where += " AND (section IN " + q.texts(names) + " OR type IN " + q.texts([]string{string(eve.TypeSectionFailed), string(eve.TypeSectionRecovered)}) + ")"
	}
	sql := fmt.Sprintf(`SELECT groupUniqArray(log_offset) FROM %s.event_index WHERE %s`, quote(g.Namespace), where)
	if err := r.conn.QueryRow(ctx, sql, q.arguments...).Scan(&offsets); err != nil {
		return nil, 0, queryError("finding the events of a stream", err)
	}
	slices.Sort(offsets)
	return offsets, upTo, nil
}

func (r *EventIndexReader) database(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, EventIndexName)
	if err != nil {
		return "", queryError("finding the index of events", err)
	}
	return quote(name), nil
}
