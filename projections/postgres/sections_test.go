package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/verify"
)

// history makes the events of characters as ingest does.
type history struct {
	t      *rapid.T
	clock  int
	events []runner.Event
	series map[string]eve.Series
	known  map[string]*eve.KnownRecords
	last   map[string]uuid.UUID
}

func (h *history) now() time.Time { return at(0).Add(time.Duration(h.clock) * time.Minute) }

func (h *history) take(e event.Event) {
	h.clock++
	read, err := worlds().Decode(e)
	require.NoError(h.t, err)
	h.events = append(h.events, runner.Event{Recorded: event.Recorded{Event: e, Position: event.Position{Offset: int64(h.clock)}}, Payload: read})
}

func (h *history) observe(id int64, s eve.Section, value string) {
	key := fmt.Sprint(id, s)
	e, next, err := eve.Compare("test", h.series[key], eve.Snapshot{CharacterID: id, Section: s, FetchedAt: h.now(), Value: json.RawMessage(value)})
	require.NoError(h.t, err)
	if e != nil {
		h.series[key] = next
		h.take(*e)
	}
}

func (h *history) list(id int64, s eve.Section, items ...string) {
	key := fmt.Sprint(id, s)
	if h.known[key] == nil {
		h.known[key] = &eve.KnownRecords{}
	}
	raw := make([]json.RawMessage, len(items))
	for i, item := range items {
		raw[i] = json.RawMessage(item)
	}
	result, err := eve.NewFacts("test", eve.FactsReading{CharacterID: id, Section: s, FetchedAt: h.now(), Items: raw}, h.known[key], h.last[key])
	require.NoError(h.t, err)
	h.known[key], h.last[key] = result.Known, result.LastID
	for _, e := range result.Events {
		h.take(e)
	}
}

func (h *history) say(id int64, p event.Payload) {
	e, err := event.New(uuid.New(), event.Character(id), "test", h.now(), p)
	require.NoError(h.t, err)
	h.take(e)
}

func (h *history) forget(id int64) {
	h.say(id, eve.CharacterForgotten{CharacterID: id, Reason: "asked"})
	// What comes again must not have the ids of before.
	for _, shape := range eve.Shapes() {
		key := fmt.Sprint(id, shape.Section)
		h.series[key] = eve.Series{LastID: h.events[len(h.events)-1].ID}
		h.known[key], h.last[key] = nil, h.series[key].LastID
	}
}

// drawText draws what JSON can hold, the awkward included.
func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"x"`, `"a\u0000b"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\\u0000"`, `"<é>"`, `1e3`, `243877.49999999997`, `9223372036854775807`, `1.50`, `null`, `{"a": [1, 2.0]}`}).Draw(t, "text")
}

// drawList draws elements with some of many keys, so that differences pay.
func drawList(t *rapid.T, format string) string {
	n := rapid.IntRange(0, 40).Draw(t, "elements")
	odd := rapid.IntRange(0, 40).Draw(t, "odd")
	var elements []string
	for i := range n {
		// Small values are never told as differences.
		more := `"` + strings.Repeat("same ", 100) + `"`
		if i == odd {
			more = drawText(t)
		} else if rapid.IntRange(0, 20).Draw(t, "gone") == 0 {
			continue
		}
		elements = append(elements, fmt.Sprintf(format, i*3, more))
	}
	return "[" + strings.Join(elements, ",") + "]"
}

func (h *history) step() {
	t := h.t
	id := int64(rapid.IntRange(1, 2).Draw(t, "character"))
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		h.say(id, register(id, "x", "u", 1, 0))
	case 1:
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			h.forget(id)
		}
	case 2, 3:
		h.observe(id, eve.SectionAssets, drawList(t, `{"item_id": %d, "type_id": 34, "more": %s}`))
	case 4:
		h.observe(id, eve.SectionContacts, fmt.Sprintf(`{"contacts": %s, "labels": %s}`, drawList(t, `{"contact_id": %d, "standing": %s}`), drawList(t, `{"label_id": %d, "label_name": %s}`)))
	case 5, 6:
		h.observe(id, eve.SectionSkills, fmt.Sprintf(`{"skills": %s, "total_sp": %s}`, drawList(t, `{"skill_id": %d, "x": %s}`), drawText(t)))
	case 7:
		h.observe(id, eve.SectionImplants, rapid.SampledFrom([]string{"[]", "[1,2,3]", "[3]", "[22,1]"}).Draw(t, "implants"))
	case 8:
		h.observe(id, eve.SectionWallet, rapid.SampledFrom([]string{"1.50", "1e3", "243877.49999999997"}).Draw(t, "wallet"))
	case 9:
		h.observe(id, eve.SectionMails, fmt.Sprintf(`{"labels": %s, "lists": null, "total_unread_count": %s}`, drawList(t, `{"label_id": %d, "name": %s}`), drawText(t)))
		mails := []string{}
		for i := range rapid.IntRange(0, 5).Draw(t, "mails") {
			mails = append(mails, fmt.Sprintf(`{"mail_id": %d, "timestamp": "2026-05-0%dT10:00:00Z", "subject": %s}`, i, i%3+1, drawText(t)))
		}
		h.list(id, eve.SectionMails, mails...)
	case 10:
		h.list(id, eve.SectionMining, fmt.Sprintf(`{"date": "2026-05-01", "solar_system_id": 30000142, "type_id": 34, "quantity": %d}`, h.clock))
	default:
		item := fmt.Sprintf(`{"contract_id": %d, "items": [%s]}`, rapid.IntRange(1, 2).Draw(t, "contract"), drawText(t))
		e, err := eve.Amend("test", eve.Amendment{CharacterID: id, Section: eve.SectionContracts, FetchedAt: h.now(), Moment: at(1), Item: json.RawMessage(item)}, uuid.New())
		require.NoError(t, err)
		h.take(e)
	}
}

// Whatever is observed, in whatever batches it is folded: the rows are what the log
// says, and what another division into batches makes of it.
func TestSectionsFoldedInAnyBatchesEqualTheModel(t *testing.T) {
	one, two := newViews(t, postgres.Characters()), newViews(t, postgres.Characters())
	differences := 0
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{t: rt, series: map[string]eve.Series{}, known: map[string]*eve.KnownRecords{}, last: map[string]uuid.UUID{}}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			h.step()
		}
		for _, v := range []*views{one, two} {
			v.clear()
			batch := v.projection.NewBatch()
			for _, e := range h.events {
				require.NoError(rt, batch.Add(e))
				if rapid.IntRange(0, 3).Draw(rt, "batch ends") == 0 {
					v.enter(batch.(runner.PostgresBatch).Write)
					batch = v.projection.NewBatch()
				}
			}
			v.enter(batch.(runner.PostgresBatch).Write)
		}
		oracle := verify.NewCharacters(one.pool)
		oracle.Begin()
		for _, e := range h.events {
			if p, is := e.Payload.(eve.SectionObserved); is && p.Encoding == eve.EncodingDelta {
				differences++
			}
			require.NoError(rt, oracle.Apply(e.Recorded, e.Payload))
		}
		report := verify.Report{Rows: map[string]int64{}}
		require.NoError(rt, oracle.Compare(t.Context(), one.generation(), eventlog.Partition{}, func(event.Stream) bool { return true }, &report))
		require.Empty(rt, report.Differences)
		require.Equal(rt, one.all(), two.all())
	})
	require.Greater(t, differences, 5)
}

// clear empties all tables.
func (v *views) clear() {
	v.t.Helper()
	names := []string{}
	for _, table := range v.projection.Tables {
		names = append(names, table.Name)
	}
	_, err := v.pool.Exec(v.t.Context(), `SET search_path TO "muster ""x"" g1"; DELETE FROM `+strings.Join(names, "; DELETE FROM "))
	require.NoError(v.t, err)
}
