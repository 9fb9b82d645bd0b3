package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// Whoever is looked at after each login and each logout has every second counted: minute
// by minute it comes to the same.
func TestHeatMapsAgreeWithACountOfTheMinutes(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := recordQuestion(rt, t, clickhouse.ByCharacter, clickhouse.ByCorporation)
		q.From, q.To = q.From.Truncate(time.Minute), q.To.Truncate(time.Minute).Add(time.Minute)
		events, corporation := moves(rt, origin)
		type cell struct{ seconds, logins, characters int64 }
		want := map[clickhouse.RecordGroup]*[168]cell{}
		of := func(g clickhouse.RecordGroup) *[168]cell {
			if want[g] == nil {
				want[g] = &[168]cell{}
			}
			return want[g]
		}
		if len(q.GroupBy) == 0 {
			of(clickhouse.RecordGroup{})
		}
		sessions := int64(0)
		for character := int64(1); character <= 3; character++ {
			seen := map[clickhouse.RecordGroup]map[int]bool{}
			at := origin.Add(-24 * time.Hour)
			for n := range rapid.IntRange(0, 8).Draw(rt, "sessions") {
				login := at.Add(time.Duration(rapid.IntRange(2, 24*60).Draw(rt, "away")) * time.Minute)
				logout := login.Add(time.Duration(rapid.IntRange(2, 20*60).Draw(rt, "online")) * time.Minute)
				look := func(after time.Time, online bool, lastLogout time.Time) {
					value := fmt.Sprintf(`{"online":%t,"last_login":%q,"last_logout":%q,"logins":%d}`, online, login.Format(time.RFC3339), lastLogout.Format(time.RFC3339), n+1)
					events = append(events, told{payload: eve.SectionObserved{CharacterID: character, Section: eve.SectionOnline, Encoding: eve.EncodingFull, FetchedAt: after.Add(time.Minute), Value: json.RawMessage(value)}})
				}
				look(login, true, at)
				look(logout, false, logout)
				at = logout
				g := clickhouse.RecordGroup{FactGroup: clickhouse.FactGroup{CharacterID: character, CorporationID: corporation(character, login)}}
				if !selected(q.FactQuery, g.CharacterID, g.CorporationID) || !login.Before(q.To) || !logout.After(q.From) {
					continue
				}
				sessions++
				g = masked(q.GroupBy, g)
				for m := login; m.Before(logout); m = m.Add(time.Minute) {
					if m.Before(q.From) || !m.Before(q.To) {
						continue
					}
					local := m.In(q.Zone)
					hour := (int(local.Weekday())+6)%7*24 + local.Hour()
					c := &of(g)[hour]
					c.seconds += 60
					if m.Equal(login) {
						c.logins++
					}
					if seen[g] == nil {
						seen[g] = map[int]bool{}
					}
					if !seen[g][hour] {
						seen[g][hour] = true
						c.characters++
					}
				}
				of(g)
			}
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		heat, err := f.records().Presence(t.Context(), q)
		require.NoError(rt, err)
		require.Equal(rt, []int64{sessions, 0, 0}, []int64{heat.Sessions, heat.Open, heat.Missed})
		got := map[clickhouse.RecordGroup]*[168]cell{}
		for _, c := range heat.Cells {
			if got[c.RecordGroup] == nil {
				got[c.RecordGroup] = &[168]cell{}
			}
			got[c.RecordGroup][(c.Weekday-1)*24+c.Hour] = cell{c.Seconds, c.Logins, c.Characters}
		}
		require.Equal(rt, want, got)
	})
}

// What lies between two observations is not made up.
func TestHeatMapsSayWhatNobodySaw(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	day := utc(t, "2026-05-04T00:00:00Z") // a Monday
	seen := func(hour int, value string) told {
		return told{payload: eve.SectionObserved{CharacterID: 1, Section: eve.SectionOnline, Encoding: eve.EncodingFull, FetchedAt: day.Add(time.Duration(hour) * time.Hour), Value: json.RawMessage(value)}}
	}
	f.fill(t, t, 1,
		seen(2, `{"online":true,"last_login":"2026-05-04T01:00:00Z","logins":5}`),
		seen(9, `{"online":true,"last_login":"2026-05-04T08:30:00Z","last_logout":"2026-05-04T07:00:00Z","logins":8}`),
		seen(12, `{"online":false}`))
	heat, err := f.records().Presence(t.Context(), clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{From: day, To: day.AddDate(0, 0, 1)}})
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2, 2}, []int64{heat.Sessions, heat.Open, heat.Missed})
	require.Len(t, heat.Cells, 168)

	// As of a moment what was seen later is not known: the second login was not, and that the
	// first session had ended neither.
	for hours, want := range map[int][]int64{1: {0, 0, 0}, 2: {1, 1, 0}, 8: {1, 1, 0}, 9: {2, 2, 2}} {
		asOf := day.Add(time.Duration(hours) * time.Hour)
		heat, err := f.records().Presence(t.Context(), clickhouse.RecordQuery{AsOf: asOf, FactQuery: clickhouse.FactQuery{From: day, To: asOf}})
		require.NoError(t, err)
		require.Equal(t, want, []int64{heat.Sessions, heat.Open, heat.Missed}, "%d o'clock", hours)
	}
	cells := slices.DeleteFunc(heat.Cells, func(c clickhouse.HeatCell) bool { return c.Seconds+c.Logins+c.Characters == 0 })
	require.Equal(t, []clickhouse.HeatCell{
		{Weekday: 1, Hour: 1, Seconds: 3600, Logins: 1, Characters: 1}, {Weekday: 1, Hour: 8, Seconds: 1800, Logins: 1, Characters: 1},
	}, cells)
}

// The login of a session that reaches out of the range is seen after its end, and its logout
// later still: the session is not an open one.
func TestALogoutIsKnownAlthoughTheLoginWasSeenAfterTheRange(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	day := utc(t, "2026-05-04T00:00:00Z")
	seen := func(minute int, value string) told {
		return told{payload: eve.SectionObserved{CharacterID: 1, Section: eve.SectionOnline, Encoding: eve.EncodingFull, FetchedAt: day.Add(time.Duration(minute) * time.Minute), Value: json.RawMessage(value)}}
	}
	f.fill(t, t, 1,
		seen(60, `{"online":true,"last_login":"2026-05-04T00:59:00Z","logins":1}`),
		seen(70, `{"online":true,"last_login":"2026-05-04T00:59:00Z","logins":1}`),
		seen(91, `{"online":false,"last_login":"2026-05-04T00:59:00Z","last_logout":"2026-05-04T01:30:00Z","logins":1}`))
	for _, hours := range []int{1, 24} {
		heat, err := f.records().Presence(t.Context(), clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{From: day, To: day.Add(time.Duration(hours) * time.Hour)}})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 0, 0}, []int64{heat.Sessions, heat.Open, heat.Missed}, "%d hours", hours)
	}
}

func TestSyncFiguresAgreeWithAFoldOfTheEvents(t *testing.T) {
	f := newFactTables(t, clickhouse.Records())
	type happening struct {
		at          time.Time
		step, class string
	}
	type pair struct {
		character int64
		section   eve.Section
	}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := recordQuestion(rt, t, clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.BySection, clickhouse.ByClass)
		switch rapid.IntRange(0, 2).Draw(rt, "filter") {
		case 1:
			q.Kinds = []string{"assets"}
		case 2:
			q.Statuses = []string{"token"}
		}
		events, corporation := moves(rt, origin)
		all := map[pair][]happening{}
		// Where characters were is told by the details.
		for _, e := range events {
			p := e.payload.(eve.SectionObserved)
			at := pair{p.CharacterID, p.Section}
			all[at] = append(all[at], happening{p.FetchedAt, "told", ""})
		}
		for character := int64(1); character <= 3; character++ {
			for _, s := range []eve.Section{eve.SectionAssets, eve.SectionMining, eve.SectionWalletJournal} {
				at := origin
				for range rapid.IntRange(0, 5).Draw(rt, "happenings") {
					at = at.Add(time.Duration(rapid.IntRange(1, 24*60).Draw(rt, "later")) * time.Minute)
					h := happening{at: at, step: rapid.SampledFrom([]string{"told", "failed", "recovered"}).Draw(rt, "step")}
					var p []event.Payload
					switch {
					case h.step == "failed":
						h.class = rapid.SampledFrom([]string{"token", "server"}).Draw(rt, "class")
						p = []event.Payload{eve.SectionFailed{CharacterID: character, Section: s, Class: eve.FailureClass(h.class), Since: at}}
					case h.step == "recovered":
						p = []event.Payload{eve.SectionRecovered{CharacterID: character, Section: s}}
					case s == eve.SectionAssets:
						p = []event.Payload{eve.SectionObserved{CharacterID: character, Section: s, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(`[]`)}}
					case s == eve.SectionMining:
						// One reading tells of several days.
						p = []event.Payload{eve.MiningRecorded{Facts: factsOf(character, s, at, at)}, eve.MiningRecorded{Facts: factsOf(character, s, at.AddDate(0, 0, -1), at)}}
					default:
						p = []event.Payload{eve.JournalRecorded{CharacterID: character, FetchedAt: at}}
					}
					for _, p := range p {
						events = append(events, told{stream: event.Character(character), at: at, payload: p})
					}
					all[pair{character, s}] = append(all[pair{character, s}], h)
				}
			}
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := f.records().Sync(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, s := range figures {
			median, p95 := int64(-1), int64(-1)
			if s.MedianAge != nil {
				median, p95 = *s.MedianAge, *s.P95Age
			}
			got[fmt.Sprintln(s.RecordGroup, s.Start, s.End)] = fmt.Sprint([]int64{s.Told, s.Failed, s.Recovered, s.Sections, s.Failing}, median, p95)
		}
		want, ages := newGrid(rt, q, 5), map[string][]int64{}
		for p, steps := range all {
			slices.SortStableFunc(steps, func(a, b happening) int { return a.at.Compare(b.at) })
			for i := range len(want.bounds) - 1 {
				start, end := want.bounds[i], want.bounds[i+1]
				in := end.Add(-time.Nanosecond)
				g := clickhouse.RecordGroup{FactGroup: clickhouse.FactGroup{CharacterID: p.character, CorporationID: corporation(p.character, in)}, Kind: string(p.section)}
				var last time.Time
				known, class := false, ""
				for _, h := range steps {
					if !h.at.Before(end) {
						break
					}
					known = true
					if h.step == "told" {
						last = h.at
					} else {
						class = h.class
					}
					if h.at.Before(start) {
						continue
					}
					g.Status = h.class
					want.add(in, g, map[int]int64{slices.Index([]string{"told", "failed", "recovered"}, h.step): 1})
				}
				if !known {
					continue
				}
				g.Status = class
				failing := int64(0)
				if class != "" {
					failing = 1
				}
				want.add(in, g, map[int]int64{3: 1, 4: failing})
				if !last.IsZero() && selected(q.FactQuery, g.CharacterID, g.CorporationID) && pass(q.Kinds, g.Kind) && pass(q.Statuses, class) {
					key := fmt.Sprintln(masked(q.GroupBy, g), start, end)
					ages[key] = append(ages[key], int64(end.Sub(last)/time.Second))
				}
			}
		}
		lines := want.lines()
		for key, line := range lines {
			median, p95 := int64(-1), int64(-1)
			if list := ages[key]; len(list) > 0 {
				slices.Sort(list)
				for i, age := range list {
					// The first that half, and nineteen of twenty, are not above.
					if median < 0 && 2*(i+1) >= len(list) {
						median = age
					}
					if p95 < 0 && 20*(i+1) >= 19*len(list) {
						p95 = age
					}
				}
			}
			lines[key] = line + fmt.Sprintf(" %d %d", median, p95)
		}
		require.Equal(rt, lines, got)
	})
}
