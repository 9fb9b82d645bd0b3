package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
)

// Versions 1 and 2 of the made-up payload: first a number of a palette, then a
// colour under another name.
const (
	paintedV1 event.Type = "muster.eve.ship.painted.v1"
	paintedV2 event.Type = "muster.eve.ship.painted.v2"
)

type firstPainted struct {
	Palette int `json:"palette"`
}

type secondPainted struct {
	Color string `json:"color"`
}

// unwritable cannot be encoded.
type unwritable struct{}

func (unwritable) MarshalJSON() ([]byte, error) { return nil, errors.New("it is wet") }

func history() *event.Registry {
	r := event.NewRegistry()
	event.Register[painted](r)
	event.Upcast(r, paintedV2, func(o secondPainted) (painted, error) { return painted{Colour: o.Color, Coats: 1}, nil })
	event.Chain(r, paintedV1, paintedV2, func(o firstPainted) (secondPainted, error) {
		palette := []string{"red", "blue"}
		if o.Palette < 0 || o.Palette >= len(palette) {
			return secondPainted{}, fmt.Errorf("palette has no colour %d", o.Palette)
		}
		return secondPainted{palette[o.Palette]}, nil
	})
	return r
}

func written(t event.Type, value string) event.Event {
	return event.Event{ID: someID, Stream: event.Org, Type: t, Time: someTime, Data: []byte(value)}
}

func TestEveryVersionEverWrittenIsRead(t *testing.T) {
	r := history()
	f := func(typ event.Type, value string, want painted) {
		t.Helper()
		got, err := r.Decode(written(typ, value))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("muster.eve.ship.painted.v3", `{"colour":"red","coats":3,"unknown":[1]}`, painted{"red", 3})
	f(paintedV2, `{"color":"green"}`, painted{"green", 1})
	f(paintedV1, `{"palette":1}`, painted{"blue", 1})

	require.Equal(t, []event.Type{paintedV1, paintedV2, "muster.eve.ship.painted.v3"}, r.Types())
	require.True(t, r.IsCurrent("muster.eve.ship.painted.v3"))
	require.False(t, r.IsCurrent(paintedV2))
	require.True(t, r.Knows(paintedV1))
	require.False(t, r.Knows("muster.eve.ship.sunk.v1"))
	require.False(t, r.IsCurrent("muster.eve.ship.sunk.v1"))
}

func TestWhatCannotBeDecodedSaysWhy(t *testing.T) {
	r := history()
	event.Chain(r, "muster.eve.ship.dipped.v1", paintedV2, func(firstPainted) (unwritable, error) { return unwritable{}, nil })
	event.Chain(r, "muster.eve.ship.lost.v1", "muster.eve.ship.lost.v2", func(o firstPainted) (firstPainted, error) { return o, nil })
	f := func(e event.Event, code event.Code, wantText string) {
		t.Helper()
		_, err := r.Decode(e)
		require.Equal(t, code, event.CodeOf(err))
		require.ErrorContains(t, err, "event eve:org/0192d3c4-1111-7abc-8def-0123456789ab: ")
		require.ErrorContains(t, err, wantText)
	}
	f(written("muster.eve.ship.sunk.v1", `{}`), event.CodeNotFound, "no reader for event type muster.eve.ship.sunk.v1: it was written by a newer Muster or is misspelt")
	f(event.Tombstone(event.Org, someID, someTime, event.Expiry{}), event.CodePoisoned, "a tombstone has no value to decode")
	for _, typ := range []event.Type{"muster.eve.ship.painted.v3", paintedV2, paintedV1} {
		f(written(typ, `[]`), event.CodePoisoned, "reading a value of type "+string(typ))
		f(written(typ, `{"a":`), event.CodePoisoned, "reading a value of type "+string(typ))
		f(written(typ, ``), event.CodePoisoned, "reading a value of type "+string(typ))
		f(written(typ, `{} {}`), event.CodePoisoned, "reading a value of type "+string(typ))
	}
	f(written("muster.eve.ship.painted.v3", `{"coats":"two"}`), event.CodePoisoned, "coats")
	f(written(paintedV1, `{"palette":7}`), event.CodePoisoned, "palette has no colour 7")
	f(written("muster.eve.ship.dipped.v1", `{}`), event.CodePoisoned, "encoding as muster.eve.ship.painted.v2")
	f(written("muster.eve.ship.lost.v1", `{}`), event.CodePoisoned, "no reader for event type muster.eve.ship.lost.v2")
}

func TestWiringDefectsAreFoundAtOnce(t *testing.T) {
	r := history()
	require.PanicsWithValue(t, "BUG: event type muster.eve.ship.painted.v3 registered twice", func() { event.Register[painted](r) })
	require.PanicsWithValue(t, `BUG: event type "painted": must be muster.<world>.<thing>.<happened>.v<N>`, func() {
		event.Upcast(r, "painted", func(o secondPainted) (painted, error) { return painted{}, nil })
	})
}

func TestPayloadsAreReadBackAsTheyWereWritten(t *testing.T) {
	r := history()
	rapid.Check(t, func(t *rapid.T) {
		want := painted{rapid.String().Draw(t, "colour"), rapid.Int().Draw(t, "coats")}
		e, err := event.New(someID, event.Org, "muster/test", someTime, want)
		require.NoError(t, err)
		got, err := r.Decode(e)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// FuzzDecode holds the decoder against encoding/json, whose rules are those of
// the log.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"colour":"red","coats":3}`, `{"COLOUR":"\ud800"}`, `{"coats":1e2}`, `{"coats":1.0}`, `null`, `{"colour":"a","colour":null}`, "\"\\u0000\"", `{"colour":"` + "\xff" + `"}`} {
		f.Add([]byte(seed))
	}
	r := history()
	f.Fuzz(func(t *testing.T, data []byte) {
		if data == nil {
			data = []byte{}
		}
		var want painted
		wantErr := json.Unmarshal(data, &want)
		got, err := r.Decode(written("muster.eve.ship.painted.v3", string(data)))
		if wantErr != nil {
			require.Equal(t, event.CodePoisoned, event.CodeOf(err))
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
		for _, typ := range []event.Type{paintedV2, paintedV1} {
			if _, err := r.Decode(written(typ, string(data))); err != nil {
				require.Equal(t, event.CodePoisoned, event.CodeOf(err))
			}
		}
	})
}
