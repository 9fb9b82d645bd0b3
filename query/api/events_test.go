package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/query/api"
)

// eventID is the event that the world's index knows.
var eventID = uuid.MustParse("5b9dcb28-05a6-4a4c-b0a5-1fdc9d5ec001")

// indexed is the world as it knows events.
type indexed struct{ *world }

func (w indexed) one() clickhouse.IndexedEvent {
	return clickhouse.IndexedEvent{
		Stream: "eve:character:90000001", Offset: 7, Partition: 1, Topic: event.TopicEVE, World: "eve", ID: eventID, Type: string(eve.TypeCharacterDisabled),
		StreamVersion: 3, Time: moment, Recorded: moment, Source: "test", Actor: "user:ada", CharacterID: 90000001, Size: 2,
	}
}

func (w indexed) Events(ctx context.Context, f clickhouse.EventFilter) ([]clickhouse.IndexedEvent, error) {
	w.world.events = f
	return []clickhouse.IndexedEvent{w.one()}, w.enter(ctx)
}

func (w indexed) Event(ctx context.Context, id uuid.UUID) (clickhouse.IndexedEvent, error) {
	if id != eventID {
		return clickhouse.IndexedEvent{}, event.Errorf(event.CodeNotFound, "there is no event %s", id)
	}
	return w.one(), w.enter(ctx)
}

// Origins knows every origin that it is asked for.
func (w indexed) Origins(ctx context.Context, origins []event.Origin) (map[event.Origin]clickhouse.IndexedEvent, error) {
	found := map[event.Origin]clickhouse.IndexedEvent{}
	for _, o := range origins {
		e := w.one()
		e.Stream, e.Topic, e.Partition, e.Offset = string(o.Stream), o.Position.Topic, o.Position.Partition, o.Position.Offset
		found[o] = e
	}
	return found, w.enter(ctx)
}

func (w indexed) Stream(ctx context.Context, _ event.Stream) (clickhouse.StreamSummary, error) {
	return clickhouse.StreamSummary{Events: 1, Types: map[string]uint64{string(eve.TypeCharacterDisabled): 1}, First: moment, Last: moment, Topic: event.TopicEVE}, w.enter(ctx)
}

func (w indexed) ReadAt(ctx context.Context, positions []event.Position) (map[event.Position]eventlog.Record, error) {
	e := event.Event{ID: w.lies, Type: eve.TypeCharacterDisabled, Stream: event.Character(90000001), Time: moment, Recorded: moment, Data: []byte(`{"n":12345678901234567890}`)}
	if w.lies == uuid.Nil {
		return nil, w.enter(ctx)
	}
	return map[event.Position]eventlog.Record{positions[0]: {Position: positions[0], Key: e.Key(), Headers: e.Headers(), Value: e.Data}}, w.enter(ctx)
}

func TestEventsAreListedByFilters(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/events?type=a,b&type_prefix=muster.eve&stream=eve:org&character_id=7&consortium=acme&actor=ada&section=wallet,mails&correlation_id=c&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&limit=5")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `"id":"`+eventID.String()+`"`)
	require.Contains(t, a.text, `"stream_version":3`)
	require.Equal(t, clickhouse.EventFilter{
		Types: []string{"a", "b"}, TypePrefix: "muster.eve", Stream: "eve:org", CharacterID: 7, Consortium: "acme", Actor: "ada", Sections: []string{"wallet", "mails"}, CorrelationID: "c",
		Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Limit: 6,
	}, c.world.events)
	require.Contains(t, c.get("/v1/events", "Accept", "text/csv").text, eventID.String())
}

func TestAnEventHasTheValueThatTheLogHasAtItsPlace(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/events/" + eventID.String())
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Contains(t, a.text, `"data":{"n":12345678901234567890}`)
	c.requireProblem(c.get("/v1/events/"+sweepID.String()), http.StatusNotFound, sweepID.String())
	c.world.lies = sweepID
	require.Equal(t, http.StatusInternalServerError, c.get("/v1/events/"+eventID.String()).StatusCode)
	c.world.lies = uuid.Nil
	c.requireProblem(c.get("/v1/events/"+eventID.String()), http.StatusNotFound, "not in the log any more")
}

func TestAStreamIsSummedUpAndListedInTheOrderOfTheLog(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/streams/eve:character:90000001")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var stream api.StreamEvents
	require.NoError(t, json.Unmarshal([]byte(a.text), &stream))
	require.Equal(t, map[string]uint64{string(eve.TypeCharacterDisabled): 1}, stream.Types)
	require.Len(t, stream.Items, 1)
	require.Equal(t, clickhouse.EventFilter{Stream: "eve:character:90000001", LogOrder: true, OldestFirst: true, Limit: 101}, c.world.events)
	c.requireProblem(c.get("/v1/streams/nonsense"), http.StatusUnprocessableEntity, "eve:character:<id>")
}
