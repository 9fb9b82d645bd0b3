package event_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
)

var (
	someID   = uuid.MustParse("0192d3c4-1111-7abc-8def-0123456789ab")
	someTime = time.Date(2026, 5, 1, 12, 30, 0, 123456789, time.UTC)
)

// painted is a made-up payload.
type painted struct {
	Colour string `json:"colour"`
	Coats  int    `json:"coats,omitempty"`
}

func (painted) EventType() event.Type { return "muster.eve.ship.painted.v3" }

func sample(t testing.TB) event.Event {
	t.Helper()
	e, err := event.New(someID, event.Character(90000001), "muster/test", someTime, painted{"red", 2})
	require.NoError(t, err)
	return e
}

func TestNewKeepsTimesInUTC(t *testing.T) {
	e, err := event.New(someID, event.Org, "muster/test", someTime.In(time.FixedZone("", 3600)), painted{Colour: "red"})
	require.NoError(t, err)
	require.Equal(t, someTime, e.Time)
	require.Equal(t, event.Type("muster.eve.ship.painted.v3"), e.Type)
	require.JSONEq(t, `{"colour":"red"}`, string(e.Data))
	require.NoError(t, e.Validate())
	require.False(t, e.IsTombstone())
}

type weighed struct{ Tonnes float64 }

func (weighed) EventType() event.Type { return "muster.eve.ship.weighed.v1" }

func TestNewRefusesWhatIsNoJSON(t *testing.T) {
	_, err := event.New(someID, event.Org, "muster/test", someTime, weighed{math.Inf(1)})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "encoding muster.eve.ship.weighed.v1 of eve:org")
}

func TestValidateNamesTheRuleThatIsBroken(t *testing.T) {
	f := func(spoil func(e *event.Event), want string) {
		t.Helper()
		e := sample(t)
		spoil(&e)
		err := e.Validate()
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.EqualError(t, err, want)
	}
	const about = `event muster.eve.ship.painted.v3 of "eve:character:90000001"`
	f(func(e *event.Event) { e.ID = uuid.Nil }, about+" has no id: give it one with ObservationID or a random UUID")
	f(func(e *event.Event) { e.Stream = "eve:ship:1" }, `stream "eve:ship:1": must be eve:character:<id>, eve:user:<id>, eve:org, eve:roles or anvil:<consortium>`)
	f(func(e *event.Event) { e.Type = "painted" }, `event type "painted": must be muster.<world>.<thing>.<happened>.v<N>`)
	f(func(e *event.Event) { e.Time = time.Time{} }, about+" has no time: set when the fact held")
	f(func(e *event.Event) { e.Recorded = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, about+" has a time outside of the years 0 to 9999: it could not be written")
	f(func(e *event.Event) { e.Version = -1 }, about+" has version -1: versions are counted from 1, and 0 is none")
	f(func(e *event.Event) { e.Data = nil }, about+" has no value: only tombstones have none")
	f(func(e *event.Event) { e.Expiry = &event.Expiry{Policy: "history"} }, `tombstone for "eve:character:90000001/0192d3c4-1111-7abc-8def-0123456789ab" carries a value: a tombstone has none`)
	f(func(e *event.Event) { e.Data = []byte(`{"colour":`) }, about+": its value is not JSON")
}

func TestTombstoneHasTheKeyOfWhatItRemoves(t *testing.T) {
	e := sample(t)
	stone := event.Tombstone(e.Stream, e.ID, someTime, event.Expiry{Policy: "history", CutOff: someTime.In(time.FixedZone("", -7200))})
	require.NoError(t, stone.Validate())
	require.True(t, stone.IsTombstone())
	require.Equal(t, e.Key(), stone.Key())
	require.Equal(t, someTime, stone.Expiry.CutOff)
}

func TestStreamsOfEachKindAreReadBack(t *testing.T) {
	id, ok := event.Character(90000001).CharacterID()
	require.True(t, ok)
	require.Equal(t, int64(90000001), id)
	user, ok := event.User("ada:1").UserID()
	require.True(t, ok)
	require.Equal(t, "ada:1", user)
	name, ok := event.Consortium("gregor").ConsortiumName()
	require.True(t, ok)
	require.Equal(t, "gregor", name)

	_, ok = event.Org.CharacterID()
	require.False(t, ok)
	_, ok = event.Org.UserID()
	require.False(t, ok)
	_, ok = event.Org.ConsortiumName()
	require.False(t, ok)
}

func TestStreamNames(t *testing.T) {
	f := func(s event.Stream, wantText string) {
		t.Helper()
		err := s.Validate()
		if wantText == "" {
			require.NoError(t, err)
			return
		}
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, wantText)
	}
	f(event.Org, "")
	f(event.Character(1), "")
	f(event.User("a b"), "")
	f(event.Consortium("gregor"), "")
	f(event.Consortium(strings.Repeat("x", 194)), "")

	const must = "must be eve:character:<id>"
	f("", must)
	f("eve", must)
	f(event.Character(0), must)
	f(event.Character(-5), must)
	f("eve:character:", must)
	f("eve:character:x", must)
	f("eve:character:007", must)
	f("eve:character:+7", must)
	f("eve:character:9223372036854775808", must)
	f(event.User(""), must)
	f(event.Consortium(""), must)
	f("eve:org:1", must)
	const not = "are not allowed in a stream's name"
	f(event.User("a/b"), not)
	f(event.Consortium("a\nb"), not)
	f(event.Consortium("a\x00"), not)
	f(event.Consortium(strings.Repeat("x", 195)), "is 201 bytes long: at most 200 are allowed")
}

func TestTypeNames(t *testing.T) {
	f := func(name event.Type, version int, topic, wantText string) {
		t.Helper()
		require.Equal(t, version, name.Version())
		if wantText != "" {
			err := name.Validate()
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, wantText)
			return
		}
		require.NoError(t, name.Validate())
		got, err := name.Topic()
		require.NoError(t, err)
		require.Equal(t, topic, got)
	}
	f("muster.eve.character.registered.v1", 1, event.TopicEVE, "")
	f("muster.anvil.group.declared.v12", 12, event.TopicAnVIL, "")
	f("muster.access.user.first.seen.v2", 2, event.TopicAccess, "")

	const must = "must be muster.<world>.<thing>.<happened>.v<N>"
	f("", 0, "", must)
	f("muster.eve.character.registered", 0, "", must)
	f("muster.eve.character.registered.v0", 0, "", must)
	f("muster.eve.character.registered.v01", 0, "", must)
	f("muster.eve.character.registered.v+1", 0, "", must)
	f("muster.eve.character.registered.v1x", 0, "", must)
	f("muster.eve.registered.v1", 1, "", must)
	f("muster.eve..registered.v1", 1, "", must)
	f("other.eve.character.registered.v1", 1, "", must)
	f("muster.mars.rover.landed.v1", 1, "", `world "mars" has no topic; known are eve, anvil, access`)

	require.NoError(t, event.TypeExpired.Validate())
	_, err := event.TypeExpired.Topic()
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "a tombstone's topic follows from what it removes")
	require.Empty(t, event.Type("muster").World())
}

func TestTheTopicsOfFactsDoNotHoldPoison(t *testing.T) {
	require.Equal(t, []string{event.TopicEVE, event.TopicAnVIL, event.TopicAccess}, event.Topics())
	require.NotContains(t, event.Topics(), event.TopicPoison)
}

func TestKeysAreSplitWhereTheyWereJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, id := drawStream(t), drawID(t)
		stream, text, err := event.ParseKey(event.Key(s, id))
		require.NoError(t, err)
		require.Equal(t, s, stream)
		require.Equal(t, id.String(), text)
	})
	_, _, err := event.ParseKey("eve:org")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, `record key "eve:org": must be <stream>/<event id>`)
}

func TestObservationIDIsDeterministicAndTellsSeriesApart(t *testing.T) {
	base := event.ObservationID(event.Character(1), "muster.eve.ship.painted.v3", uuid.Nil, "hash")
	// This value is in logs: another one would append every observation anew.
	require.Equal(t, "934dd045-e774-5a46-8201-e6ccd60a1edc", base.String())
	for _, other := range []uuid.UUID{
		event.ObservationID(event.Character(2), "muster.eve.ship.painted.v3", uuid.Nil, "hash"),
		event.ObservationID(event.Character(1), "muster.eve.ship.painted.v4", uuid.Nil, "hash"),
		event.ObservationID(event.Character(1), "muster.eve.ship.painted.v3", base, "hash"),
		event.ObservationID(event.Character(1), "muster.eve.ship.painted.v3", uuid.Nil, "other"),
	} {
		require.NotEqual(t, base, other)
	}
}

func TestPositionIsPrinted(t *testing.T) {
	require.Equal(t, "muster.eve.v1/3@42", event.Position{Topic: event.TopicEVE, Partition: 3, Offset: 42}.String())
}
