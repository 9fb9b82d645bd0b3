package eve_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// plainCanonical is the canonical form made by decoding everything.
func plainCanonical(value []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows")
	}
	return json.Marshal(v)
}

func FuzzSpellingOfCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"b":1.0,"a":[1,2,{"z":null,"y":"\u00e4<&\u2028"}],"a":2}`, ` [ ] `, `{"":{}}`, `"\ud800"`, `1e3`, `[1,]`, `{"a":1}{}`, "\"\x80\"", `{"\u0061":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want, wantErr := plainCanonical(value)
		got, err := eve.Canonical(value)
		if wantErr != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}

func FuzzDissect(f *testing.F) {
	f.Add("assets", []byte(`[{"item_id":2,"name":"a"},{"item_id":1},{"item_id":2}]`))
	f.Add("skills", []byte(`{"total_sp":5,"skills":[{"skill_id":3}]}`))
	f.Add("roles", []byte(`{"roles":["Director"],"roles_at_hq":null}`))
	f.Fuzz(func(t *testing.T, section string, value []byte) {
		content, err := eve.Dissect(eve.Section(section), value)
		if err != nil {
			return
		}
		again, err := eve.Dissect(eve.Section(section), content.Value())
		require.NoError(t, err, "what was put together can be taken apart")
		require.Equal(t, content.Hash(), again.Hash())
	})
}

func FuzzDecodeDelta(f *testing.F) {
	f.Add([]byte(`{"lists":[{"path":"","added":[{"item_id":9}],"changed":[{"item_id":1,"quantity":2}],"removed":["2"]}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := eve.DecodeDelta(value)
		if err != nil {
			return
		}
		base, err := eve.Dissect(eve.SectionAssets, []byte(`[{"item_id":1},{"item_id":2}]`))
		require.NoError(t, err)
		if content, err := base.Apply(d); err == nil {
			_ = content.Hash()
		}
	})
}

func FuzzKnownRecords(f *testing.F) {
	f.Add([]byte{1, 0, 2, 'a', 'b', 4, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, stored []byte) {
		var known eve.KnownRecords
		if known.UnmarshalBinary(stored) != nil {
			return
		}
		written, err := known.MarshalBinary()
		require.NoError(t, err)
		var again eve.KnownRecords
		require.NoError(t, again.UnmarshalBinary(written))
		require.Equal(t, known.Len(), again.Len())
	})
}

func TestSectionsAreTakenApartByTheirShape(t *testing.T) {
	for name, c := range map[string]struct {
		section eve.Section
		value   string
		head    string
		keys    []string
	}{
		"a list":               {eve.SectionAssets, ` [{"item_id":2},{"item_id":10},{"item_id":2,"quantity":5}] `, "", []string{":10", ":2"}},
		"bare elements":        {eve.SectionImplants, `[9899,9941,9899]`, "", []string{":9899", ":9941"}},
		"lists in an object":   {eve.SectionContacts, `{"labels":[{"label_id":1}],"contacts":[{"contact_id":5,"standing":1.0}]}`, `{}`, []string{"contacts:5", "labels:1"}},
		"a list and a head":    {eve.SectionSkills, `{"unallocated_sp":0,"total_sp":7,"skills":null}`, `{"total_sp":7,"unallocated_sp":0}`, nil},
		"missing lists":        {eve.SectionRoles, `{"roles":["Director"]}`, `{}`, []string{"roles:Director"}},
		"a key of many fields": {eve.SectionStandings, `[{"from_id":500001,"from_type":"faction","standing":9.9}]`, "", []string{":faction/500001"}},
		"no list":              {eve.SectionWallet, `1.5`, `1.5`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := eve.Dissect(c.section, []byte(c.value))
			require.NoError(t, err)
			require.Equal(t, c.head, string(content.Head))
			var keys []string
			for _, list := range content.Lists {
				for _, item := range list.Items {
					keys = append(keys, list.Path+":"+item.Key)
				}
			}
			require.Equal(t, c.keys, keys)
		})
	}
	for value, says := range map[string]string{
		`{"a":1}`:                 "must be a JSON list",
		`[{"type_id":1}]`:         "element 1: lacks item_id",
		`[{"item_id":null}]`:      "lacks item_id",
		`[{"item_id":{}}]`:        "must be a number or a text",
		`[5]`:                     "must be a JSON object",
		`[{"item_id":1}`:          "not a JSON value",
		`[{"item_id":1}] trailer`: "not a JSON value",
	} {
		_, err := eve.Dissect(eve.SectionAssets, []byte(value))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), value)
		require.ErrorContains(t, err, says)
	}
	_, err := eve.Dissect("bookmarks", []byte(`[]`))
	require.ErrorContains(t, err, "bookmarks")
}

// assetList draws a list of assets large enough to be written as a difference.
func assetList(t *rapid.T, label string) []byte {
	ids := rapid.SliceOfNDistinct(rapid.IntRange(1, 150), 60, 120, rapid.ID[int]).Draw(t, label)
	elements := make([]string, len(ids))
	for i, id := range ids {
		elements[i] = fmt.Sprintf(`{"is_singleton":false,"item_id":%d,"location_id":60003760,"location_flag":"Hangar","location_type":"station","quantity":%d,"type_id":34}`,
			1_000_000_000_000+id, rapid.IntRange(1, 3).Draw(t, "quantity"))
	}
	return []byte("[" + strings.Join(elements, ",") + "]")
}

func TestAnySequenceOfSnapshotsFoldsToTheLastOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := eve.NewModel()
		var series eve.Series
		var value []byte
		at := fetched
		deltas := 0
		for range rapid.IntRange(1, 8).Draw(t, "snapshots") {
			value = assetList(t, "assets")
			if rapid.Bool().Draw(t, "a little") {
				value = bytes.Replace(value, []byte(`"quantity":1`), []byte(`"quantity":9`), 2)
			}
			at = at.Add(time.Duration(rapid.IntRange(1, 20*24).Draw(t, "hours")) * time.Hour)
			e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: pilot, Section: eve.SectionAssets, FetchedAt: at, Value: value})
			require.NoError(t, err)
			series = next
			if e == nil {
				continue
			}
			p := decodeEvent(t, *e)
			if p.(eve.SectionObserved).Encoding == eve.EncodingDelta {
				deltas++
				require.Less(t, at.Sub(series.Base.At), 30*24*time.Hour, "a base does not grow old")
			}
			require.NoError(t, model.Apply(*e, p))
		}
		want, err := eve.ContentHash(eve.SectionAssets, value)
		require.NoError(t, err)
		got, err := eve.ContentHash(eve.SectionAssets, model.Character(pilot).Sections[eve.SectionAssets].Value)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, series.ContentHash, got)
	})
}

func decodeEvent(t require.TestingT, e event.Event) event.Payload {
	registry := event.NewRegistry()
	eve.Register(registry)
	p, err := registry.Decode(e)
	require.NoError(t, err)
	return p
}

// grown is a list of n assets, of which the first has the given quantity.
func grown(n, quantity int) []byte {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		q := 1
		if i == 0 {
			q = quantity
		}
		fmt.Fprintf(&b, `{"item_id":%d,"location_id":60003760,"location_flag":"Hangar","quantity":%d,"type_id":34}`, 1_000_000_000_000+i, q)
	}
	return []byte("[" + b.String() + "]")
}

func TestADifferenceNamesTheLastFullObservationAndNeverAnotherDifference(t *testing.T) {
	var series eve.Series
	observe := func(value []byte, at time.Time) eve.SectionObserved {
		e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: pilot, Section: eve.SectionAssets, FetchedAt: at, Value: value})
		require.NoError(t, err)
		require.NotNil(t, e)
		series = next
		return decodeEvent(t, *e).(eve.SectionObserved)
	}
	require.Equal(t, eve.EncodingFull, observe(grown(200, 1), fetched).Encoding)
	full := series.LastID
	for quantity := 2; quantity < 5; quantity++ {
		p := observe(grown(200, quantity), fetched.Add(time.Hour))
		require.Equal(t, eve.EncodingDelta, p.Encoding)
		require.Equal(t, full, *p.Base)
		require.Less(t, len(p.Value), 300)
	}
	require.Equal(t, eve.EncodingFull, observe(grown(500, 1), fetched.Add(2*time.Hour)).Encoding, "more than half differs")
	require.Equal(t, eve.EncodingFull, observe(grown(500, 2), fetched.Add(40*24*time.Hour)).Encoding, "the base is older than 30 days")
	require.Equal(t, eve.EncodingFull, observe(grown(3, 2), fetched.Add(41*24*time.Hour)).Encoding)
	require.Equal(t, eve.EncodingFull, observe(grown(4, 2), fetched.Add(41*24*time.Hour)).Encoding, "small values are written in full")
}

func TestADifferenceThatDoesNotFitIsPoison(t *testing.T) {
	var series eve.Series
	apply := func(m *eve.Model, value []byte) error {
		e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: pilot, Section: eve.SectionAssets, FetchedAt: fetched, Value: value})
		require.NoError(t, err)
		series = next
		return m.Apply(*e, decodeEvent(t, *e))
	}
	m := eve.NewModel()
	require.NoError(t, apply(m, grown(200, 1)))
	require.NoError(t, apply(m, grown(200, 2)))
	other := eve.NewModel()
	err := apply(other, grown(200, 3))
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
	require.ErrorContains(t, err, "not the last full observation")
	require.Nil(t, other.Character(pilot))
}

func mail(id int, fields string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"mail_id":%d,"timestamp":"2026-08-%02dT10:00:00Z"%s}`, id, 1+id%28, fields))
}

func TestRecordsAreToldOnceAndAgainWhenTheyChange(t *testing.T) {
	known, last := &eve.KnownRecords{}, uuid.Nil
	read := func(items ...json.RawMessage) eve.FactsResult {
		r, err := eve.NewFacts("test", eve.FactsReading{CharacterID: pilot, Section: eve.SectionMails, FetchedAt: fetched, Items: items}, known, last)
		require.NoError(t, err)
		known, last = r.Known, r.LastID
		return r
	}
	first := read(mail(1, `,"is_read":true,"labels":[1]`), mail(2, ``), mail(1, `,"is_read":true,"labels":[1]`))
	require.Len(t, first.Events, 2, "one for each day")
	require.Equal(t, eve.TypeMailRecorded, first.Events[0].Type)
	require.Empty(t, read(mail(1, `,"labels":[1], "is_read":true`), mail(2, ``)).Events)
	second := read(mail(1, ``), mail(2, `,"is_read":true`))
	require.Empty(t, second.New)
	require.Len(t, second.Changed, 2)

	m := eve.NewModel()
	for _, e := range append(first.Events, second.Events...) {
		require.NoError(t, m.Apply(e, decodeEvent(t, e)))
	}
	records := m.Character(pilot).Records[eve.SectionMails]
	require.Equal(t, "false", string(records["1"]["is_read"]), "what ESI leaves out when it is false is told as false")
	require.Equal(t, "[]", string(records["1"]["labels"]))
	require.Equal(t, "true", string(records["2"]["is_read"]))

	require.Empty(t, read().Events, "what is not listed any more is no news")
	require.True(t, known.Has("1"))
	require.ErrorContains(t, func() error {
		_, err := eve.NewFacts("test", eve.FactsReading{Section: eve.SectionMails, Items: []json.RawMessage{json.RawMessage(`{"mail_id":1,"timestamp":"soon"}`)}}, known, last)
		return err
	}(), "neither a time nor a date")
}

func TestAmendmentsAreLaidOverARecord(t *testing.T) {
	m := eve.NewModel()
	amend := func(item string, last uuid.UUID) event.Event {
		e, err := eve.Amend("test", eve.Amendment{CharacterID: pilot, Section: eve.SectionContracts, FetchedAt: fetched, Moment: fetched, Item: json.RawMessage(item)}, last)
		require.NoError(t, err)
		require.NoError(t, m.Apply(e, decodeEvent(t, e)))
		return e
	}
	first := amend(`{"contract_id":7,"bids":[{"bid_id":1}]}`, uuid.Nil)
	second := amend(`{"contract_id":7,"bids":[]}`, first.ID)
	third := amend(`{"contract_id":7,"bids":[{"bid_id":1}]}`, second.ID)
	require.NotEqual(t, first.ID, third.ID, "what was taken back and said again is told again")
	amend(`{"contract_id":7,"items":[]}`, uuid.Nil)
	record := m.Character(pilot).Records[eve.SectionContracts]["7"]
	require.Equal(t, `[{"bid_id":1}]`, string(record["bids"]))
	require.Equal(t, `[]`, string(record["items"]))
	_, err := eve.Amend("test", eve.Amendment{Section: eve.SectionContracts, Item: json.RawMessage(`{"items":[]}`)}, uuid.Nil)
	require.ErrorContains(t, err, "lacks contract_id")
}

func TestKnownRecordsForgetWhatIsOldUnlessItIsListed(t *testing.T) {
	line := func(date string) json.RawMessage {
		return json.RawMessage(`{"date":"` + date + `","solar_system_id":1,"type_id":2,"quantity":3}`)
	}
	read := func(known *eve.KnownRecords, at time.Time, items ...json.RawMessage) *eve.KnownRecords {
		r, err := eve.NewFacts("test", eve.FactsReading{CharacterID: pilot, Section: eve.SectionMining, FetchedAt: at, Items: items}, known, uuid.Nil)
		require.NoError(t, err)
		stored, err := r.Known.MarshalBinary()
		require.NoError(t, err)
		again := &eve.KnownRecords{}
		require.NoError(t, again.UnmarshalBinary(stored))
		return again
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	known := read(&eve.KnownRecords{}, start, line("2025-12-31"), line("2025-12-30"))
	known = read(known, start.AddDate(0, 6, 0), line("2025-12-30"))
	require.False(t, known.Has("2025-12-31/1/2"))
	require.True(t, known.Has("2025-12-30/1/2"))
}

func TestForgettingACharacterLeavesNothingOfIt(t *testing.T) {
	m := eve.NewModel()
	e, _, err := eve.Compare("test", eve.Series{}, eve.Snapshot{CharacterID: pilot, Section: eve.SectionAssets, FetchedAt: fetched, Value: grown(3, 1)})
	require.NoError(t, err)
	require.NoError(t, m.Apply(*e, decodeEvent(t, *e)))
	gone, err := event.New(uuid.New(), event.Character(pilot), "test", fetched, eve.CharacterForgotten{CharacterID: pilot, Reason: "asked for"})
	require.NoError(t, err)
	require.NoError(t, m.Apply(gone, decodeEvent(t, gone)))
	require.Nil(t, m.Character(pilot))
}

func TestEveryShapeNamesASectionOnce(t *testing.T) {
	var names []eve.Section
	for _, shape := range eve.Shapes() {
		names = append(names, shape.Section)
		require.True(t, shape.Valued || shape.Records != nil || shape.Section == eve.SectionWalletJournal, shape.Section)
		if shape.Delta {
			require.NotEmpty(t, shape.Lists, shape.Section)
		}
	}
	require.Len(t, names, 34)
	sorted := slices.Sorted(slices.Values(names))
	require.Equal(t, sorted, slices.Compact(slices.Clone(sorted)))
}

func BenchmarkCompareTwentyThousandAssets(b *testing.B) {
	value, changed := grown(20_000, 1), grown(20_000, 2)
	_, series, err := eve.Compare("bench", eve.Series{}, eve.Snapshot{Section: eve.SectionAssets, FetchedAt: fetched, Value: value})
	require.NoError(b, err)
	for name, value := range map[string][]byte{"unchanged": value, "changed": changed} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := eve.Compare("bench", series, eve.Snapshot{Section: eve.SectionAssets, FetchedAt: fetched, Value: value}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("decoding", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			var v []struct {
				ItemID int64 `json:"item_id"`
			}
			if err := json.Unmarshal(value, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
