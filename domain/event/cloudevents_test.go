package event_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
)

var writeGolden = flag.Bool("write-golden", false, "write golden files that are missing; those that are there are never changed")

func full(t testing.TB) event.Event {
	e := sample(t)
	e.Recorded = someTime.Add(time.Second)
	e.Actor, e.CorrelationID, e.CausationID = "user:ada", "run-7", "0192d3c4-2222-7abc-8def-0123456789ab"
	e.Version = 12
	e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	return e
}

// text writes a record as a golden file has it.
func text(e event.Event) string {
	var b strings.Builder
	b.WriteString("key: " + e.Key() + "\n")
	for _, h := range e.Headers() {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	if !e.IsTombstone() {
		b.WriteString("\n" + string(e.Data) + "\n")
	}
	return b.String()
}

// parse reads what text wrote.
func parse(t *testing.T, golden string) (key string, headers []event.Header, value []byte) {
	t.Helper()
	head, body, hasBody := strings.Cut(golden, "\n\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(head, "\n"), "\n") {
		name, v, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		if name == "key" {
			key = v
			continue
		}
		headers = append(headers, event.Header{Name: name, Value: v})
	}
	if hasBody {
		value = []byte(strings.TrimSuffix(body, "\n"))
	}
	return key, headers, value
}

func TestTheEnvelopeOfRecordsNeverChanges(t *testing.T) {
	stone := event.Tombstone(event.Character(90000001), someID, someTime, event.Expiry{Policy: "history", CutOff: someTime.AddDate(-1, 0, 0)})
	stone.Recorded = someTime
	for name, e := range map[string]event.Event{"observation": sample(t), "decision": full(t), "tombstone": stone} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "golden", name+".txt")
			if _, err := os.Stat(path); *writeGolden && os.IsNotExist(err) {
				require.NoError(t, os.WriteFile(path, []byte(text(e)), 0o600))
			}
			golden, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(golden), text(e))
			read, err := event.FromRecord(parse(t, string(golden)))
			require.NoError(t, err)
			require.Equal(t, e, read)
		})
	}
}

func drawID(t *rapid.T) uuid.UUID {
	id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	if id == uuid.Nil {
		id[0] = 1
	}
	return id
}

func drawStream(t *rapid.T) event.Stream {
	name := rapid.StringMatching(`[^/\x00\n\r]{1,20}`)
	return rapid.OneOf(
		rapid.Just(event.Org),
		rapid.Map(rapid.Int64Min(1), event.Character),
		rapid.Map(name, event.User),
		rapid.Map(name, event.Consortium),
	).Draw(t, "stream")
}

func drawTime(t *rapid.T, label string) time.Time {
	seconds := rapid.Int64Range(-62135596799, 253402300799).Draw(t, label)
	return time.Unix(seconds, rapid.Int64Range(0, 999999999).Draw(t, label+" ns")).UTC()
}

func drawEvent(t *rapid.T) event.Event {
	word := func(label string) string { return rapid.String().Draw(t, label) }
	e := event.Event{ID: drawID(t), Stream: drawStream(t), Time: drawTime(t, "time"), Source: word("source")}
	e.Actor, e.CorrelationID, e.CausationID, e.TraceParent = word("actor"), word("correlation"), word("causation"), word("trace")
	e.Version = rapid.Int64Min(0).Draw(t, "version")
	if rapid.Bool().Draw(t, "was recorded") {
		e.Recorded = drawTime(t, "recorded")
	}
	if rapid.Bool().Draw(t, "tombstone") {
		e.Type = event.TypeExpired
		e.Expiry = &event.Expiry{Policy: word("policy"), CutOff: drawTime(t, "cut-off")}
		return e
	}
	e.Type = rapid.SampledFrom([]event.Type{"muster.eve.ship.painted.v3", "muster.anvil.a.b.v1", "muster.access.a.b.c.v20"}).Draw(t, "type")
	e.Data = []byte(`{"colour":"red"}`)
	return e
}

func TestRecordsAreReadBackAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		require.NoError(t, e.Validate())
		read, err := event.FromRecord(e.Key(), e.Headers(), e.Data)
		require.NoError(t, err)
		require.Equal(t, e, read)
	})
}

func TestHeadersOfAnyCaseAreReadAndUnknownOnesIgnored(t *testing.T) {
	e := full(t)
	headers := []event.Header{{Name: "ce_somebodyelses", Value: "x"}}
	for _, h := range e.Headers() {
		headers = append(headers, event.Header{Name: strings.ToUpper(h.Name), Value: h.Value})
	}
	read, err := event.FromRecord(e.Key(), headers, e.Data)
	require.NoError(t, err)
	require.Equal(t, e, read)
}

func TestRecordsThatAreNoEventsArePoisoned(t *testing.T) {
	e := full(t)
	f := func(name, value, wantText string) {
		t.Helper()
		headers := []event.Header{}
		for _, h := range e.Headers() {
			if h.Name == name {
				if h.Value = value; value == "" {
					continue
				}
			}
			headers = append(headers, h)
		}
		_, err := event.FromRecord(e.Key(), headers, e.Data)
		require.Equal(t, event.CodePoisoned, event.CodeOf(err))
		require.ErrorContains(t, err, `record "eve:character:90000001/0192d3c4-1111-7abc-8def-0123456789ab": `+wantText)
	}
	f(event.HeaderSpecVersion, "", `header ce_specversion is "", must be "1.0"`)
	f(event.HeaderSpecVersion, "0.3", `header ce_specversion is "0.3", must be "1.0"`)
	f(event.HeaderID, "7", `header ce_id is "7": invalid UUID length`)
	f(event.HeaderID, "", "its headers say stream")
	f(event.HeaderSubject, "eve:org", `its headers say stream "eve:org" and id`)
	f(event.HeaderSubject, "", "its headers say stream")
	f(event.HeaderType, "", `event type ""`)
	f(event.HeaderType, "muster.mars.rover.landed.v1", `event type "muster.mars.rover.landed.v1": world "mars" has no topic`)
	f(event.HeaderTime, "", "headers ce_id and ce_time must be there")
	f(event.HeaderTime, "yesterday", `header ce_time is "yesterday"`)
	f(event.HeaderTime, "9999-12-31T23:59:59-01:00", `header ce_time is "9999-12-31T23:59:59-01:00": in UTC its year is not one of 0 to 9999`)
	f(event.HeaderRecorded, "1", `header ce_recorded is "1"`)
	f(event.HeaderVersion, "one", `header ce_streamversion is "one"`)
	f(event.HeaderVersion, "-1", `header ce_streamversion is "-1": versions are counted from 1`)

	nowhere := event.Event{ID: someID, Stream: "eve:ship:1", Type: e.Type, Time: someTime, Data: []byte("{}")}
	_, err := event.FromRecord(nowhere.Key(), nowhere.Headers(), nowhere.Data)
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
	require.ErrorContains(t, err, `stream "eve:ship:1"`)

	stone := event.Tombstone(e.Stream, e.ID, someTime, event.Expiry{})
	_, err = event.FromRecord(stone.Key(), append(stone.Headers(), event.Header{Name: event.HeaderCutOff, Value: "never"}), nil)
	require.ErrorContains(t, err, `header ce_retentioncutoff is "never"`)
}

func FuzzFromRecord(f *testing.F) {
	e := full(f)
	for _, e := range []event.Event{e, event.Tombstone(e.Stream, e.ID, someTime, event.Expiry{Policy: "history", CutOff: someTime})} {
		var lines []string
		for _, h := range e.Headers() {
			lines = append(lines, h.Name+"="+h.Value)
		}
		f.Add(e.Key(), strings.Join(lines, "\n"), e.Data, e.IsTombstone())
	}
	f.Fuzz(func(t *testing.T, key, lines string, value []byte, none bool) {
		var headers []event.Header
		for line := range strings.SplitSeq(lines, "\n") {
			name, v, _ := strings.Cut(line, "=")
			headers = append(headers, event.Header{Name: name, Value: v})
		}
		switch {
		case none:
			value = nil
		case value == nil:
			value = []byte{}
		}
		read, err := event.FromRecord(key, headers, value)
		if err != nil {
			require.Equal(t, event.CodePoisoned, event.CodeOf(err))
			return
		}
		require.Equal(t, key, read.Key())
		again, err := event.FromRecord(read.Key(), read.Headers(), read.Data)
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}
