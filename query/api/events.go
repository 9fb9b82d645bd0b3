package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// EventIndex finds events in the log; [clickhouse.EventIndexReader] does.
type EventIndex interface {
	Events(context.Context, clickhouse.EventFilter) ([]clickhouse.IndexedEvent, error)
	// Event fails with [event.CodeNotFound] if there is none with the id.
	Event(ctx context.Context, id uuid.UUID) (clickhouse.IndexedEvent, error)
	// Origins finds the events of origins; those that it does not know yet, or no more,
	// are missing.
	Origins(context.Context, []event.Origin) (map[event.Origin]clickhouse.IndexedEvent, error)
	// Stream fails with [event.CodeNotFound] if there is no event of it.
	Stream(context.Context, event.Stream) (clickhouse.StreamSummary, error)
}

// Records reads the log at places; [*eventlog.Reader] does.
type Records interface {
	ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error)
}

// Event is an event without its value.
type Event struct {
	ID            uuid.UUID `json:"id"`
	Stream        string    `json:"stream"`
	World         string    `json:"world"`
	Type          string    `json:"type"`
	StreamVersion *int64    `json:"stream_version" doc:"The number of a decision in its stream; null for observations."`
	Time          time.Time `json:"time" doc:"When the fact held in the outside world, or was decided."`
	Recorded      time.Time `json:"recorded" doc:"When it was handed to the log."`
	Source        string    `json:"source" doc:"The part of Muster that recorded it."`
	Actor         string    `json:"actor" doc:"Who or what caused it; may be empty for observations."`
	CorrelationID string    `json:"correlation_id" doc:"What it was recorded together with, such as a sweep; may be empty."`
	CausationID   string    `json:"causation_id" doc:"The event that led to it; may be empty."`
	CharacterID   *int64    `json:"character_id" doc:"Of a character's stream."`
	Consortium    *string   `json:"consortium" doc:"Of a consortium's stream."`
	Section       *string   `json:"section" doc:"Of what is about a section."`
	ContentHash   *string   `json:"content_hash" doc:"Of an observation of a section."`
	Size          uint64    `json:"size" doc:"Of its value, in bytes."`
	Topic         string    `json:"topic"`
	Partition     int32     `json:"partition"`
	Offset        int64     `json:"offset"`
}

// consortiumOf is the consortium whose stream it is; nil for streams of other kinds.
func consortiumOf(stream event.Stream) *string {
	name, ok := stream.ConsortiumName()
	if !ok {
		return nil
	}
	return &name
}

// EventDetail is an event with its value.
type EventDetail struct {
	Event

	Data any `json:"data" doc:"The value, read from the log again at the event's place."`
}

// StreamEvents are the events of a stream, one page of them.
type StreamEvents struct {
	Stream      string            `json:"stream"`
	Topic       string            `json:"topic"`
	Partition   int32             `json:"partition"`
	LastOffset  int64             `json:"last_offset"`
	Events      uint64            `json:"events" doc:"How many there are."`
	Bytes       uint64            `json:"bytes" doc:"The size of their values."`
	HeadVersion int64             `json:"head_version" doc:"The number of the last decision; 0 for none."`
	FirstAt     time.Time         `json:"first_at"`
	LastAt      time.Time         `json:"last_at"`
	Types       map[string]uint64 `json:"types" doc:"How many of each type."`
	Page[Event]
}

func showEvent(e clickhouse.IndexedEvent) Event {
	return Event{
		ID: e.ID, Stream: e.Stream, World: e.World, Type: e.Type, StreamVersion: optional(e.StreamVersion), Time: e.Time, Recorded: e.Recorded, Source: e.Source,
		Actor: e.Actor, CorrelationID: e.CorrelationID, CausationID: e.CausationID, CharacterID: optional(e.CharacterID), Consortium: consortiumOf(event.Stream(e.Stream)),
		Section: optional(e.Section), ContentHash: optional(e.ContentHash), Size: e.Size, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset,
	}
}

type eventsInput struct {
	PageInput

	Type          []string  `query:"type" maxItems:"50" doc:"One or several whole types, separated by commas."`
	TypePrefix    string    `query:"type_prefix" maxLength:"200" doc:"The beginning of a type, such as muster.eve.character."`
	Stream        string    `query:"stream" maxLength:"200" doc:"Such as eve:character:90000001."`
	CharacterID   int64     `query:"character_id" minimum:"1"`
	Consortium    string    `query:"consortium" maxLength:"200"`
	Actor         string    `query:"actor" maxLength:"200"`
	Section       []string  `query:"section" maxItems:"50" doc:"One or several sections of characters, separated by commas."`
	CorrelationID string    `query:"correlation_id" maxLength:"200"`
	Since         time.Time `query:"since" doc:"Of facts at this moment or later."`
	Until         time.Time `query:"until" doc:"Of facts before this moment."`
}

type eventInput struct {
	Conditional

	ID uuid.UUID `path:"id" format:"uuid" doc:"The event's id."`
}

type streamInput struct {
	PageInput

	Stream string `path:"stream" maxLength:"200" doc:"Such as eve:character:90000001."`
	Order  string `query:"order" enum:"newest,oldest" default:"oldest" doc:"Which comes first, in the order of the log."`
}

type streamOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *StreamEvents
}

// registerEvents serves the index of all events.
func (s *Server) registerEvents() {
	tags := []string{tagEvents}
	register(s, access.ActionReadEvents, asTable(huma.Operation{
		OperationID: "list-events", Path: "/v1/events", Tags: tags, Summary: "Events of the log without their values, the newest first",
	}), s.listEvents)
	register(s, access.ActionReadEvents, notModified(huma.Operation{
		OperationID: "get-event", Path: "/v1/events/{id}", Tags: tags, Summary: "An event with its value", Errors: []int{http.StatusNotFound},
	}), s.getEvent)
	register(s, access.ActionReadEvents, asTable(huma.Operation{
		OperationID: "get-stream", Path: "/v1/streams/{stream}", Tags: tags, Summary: "A stream: what there is of it, and its events in the order of the log", Errors: []int{http.StatusNotFound},
	}), s.getStream)
}

func (s *Server) listEvents(ctx context.Context, in *eventsInput) (*pageOutput[Event], error) {
	const list = "events"
	after, err := cursorOf[clickhouse.EventCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Events.Events(ctx, clickhouse.EventFilter{
		Types: in.Type, TypePrefix: in.TypePrefix, Stream: event.Stream(in.Stream), CharacterID: in.CharacterID, Consortium: in.Consortium, Actor: in.Actor,
		Sections: in.Section, CorrelationID: in.CorrelationID, Since: in.Since, Until: in.Until, After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return pageOf(in.PageInput, list, found, showEvent, clickhouse.IndexedEvent.Cursor)
}

func (s *Server) getEvent(ctx context.Context, in *eventInput) (*single[EventDetail], error) {
	found, err := s.config.Events.Event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	at := found.Position()
	records, err := s.config.Records.ReadAt(ctx, []event.Position{at})
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	record, there := records[at]
	if !there {
		return nil, event.Errorf(event.CodeNotFound, "event %s is not in the log any more: it was removed from %s", in.ID, at)
	}
	e, err := record.Event()
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", internal(err))
	}
	if e.ID != in.ID {
		return nil, event.Errorf(event.CodeInternal, "the index says that event %s is at %s, where event %s is: build it anew with `muster replay %s`", in.ID, at, e.ID, clickhouse.EventIndexName)
	}
	return singleOf(in.Conditional, &EventDetail{Event: showEvent(found), Data: valueOf(e.Data)})
}

// valueOf is the value of an event, its numbers as they are; a text if it is no JSON.
func valueOf(data []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return string(data)
	}
	return v
}

func (s *Server) getStream(ctx context.Context, in *streamInput) (*streamOutput, error) {
	stream := event.Stream(in.Stream)
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	list := "stream/" + in.Stream + "/" + in.Order
	after, err := cursorOf[clickhouse.EventCursor](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	summary, err := s.config.Events.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Events.Events(ctx, clickhouse.EventFilter{Stream: stream, LogOrder: true, OldestFirst: in.Order == "oldest", After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	page, err := pageOf(in.PageInput, list, found, showEvent, clickhouse.IndexedEvent.Cursor)
	if err != nil {
		return nil, err
	}
	return &streamOutput{Link: page.Link, Body: &StreamEvents{
		Stream: in.Stream, Topic: summary.Topic, Partition: summary.Partition, LastOffset: summary.LastOffset, Events: summary.Events, Bytes: summary.Bytes,
		HeadVersion: summary.HeadVersion, FirstAt: summary.First, LastAt: summary.Last, Types: summary.Types, Page: *page.Body,
	}}, nil
}
