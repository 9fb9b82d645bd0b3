package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/runner"
)

// factTables is a database with the tables of one projection.
type factTables struct {
	projection runner.Projection
	conn       driver.Conn
	name       string
	offset     int64
}

func newFactTables(t testing.TB, p runner.Projection) *factTables {
	t.Helper()
	conn, name := newTables(t, p)
	return &factTables{projection: p, conn: conn, name: name}
}

// told is an event of a stream.
type told struct {
	stream  event.Stream
	at      time.Time
	id      uuid.UUID
	payload event.Payload
}

// fill replaces all rows by those of the events, each part inserted as often as said.
func (f *factTables) fill(t require.TestingT, ctx testing.TB, copies int, events ...told) {
	for _, table := range f.projection.Tables {
		require.NoError(t, f.conn.Exec(ctx.Context(), "TRUNCATE TABLE "+f.name+"."+table.Name+ofShard()))
	}
	again := chgo.Context(ctx.Context(), chgo.WithSettings(chgo.Settings{"insert_deduplicate": 0}))
	for part := range slices.Chunk(events, 7) {
		batch := f.projection.NewBatch()
		for _, e := range part {
			f.offset++
			if e.id == uuid.Nil {
				e.id = uuid.New()
			}
			require.NoError(t, batch.Add(runner.Event{
				Recorded: event.Recorded{Event: event.Event{ID: e.id, Type: e.payload.EventType(), Time: e.at, Stream: e.stream}, Position: event.Position{Offset: f.offset}}, Payload: e.payload,
			}))
		}
		for range copies {
			for _, in := range batch.(runner.ClickHouseBatch).Inserts() {
				if in.Rows == 0 {
					continue
				}
				b, err := f.conn.PrepareBatch(again, fmt.Sprintf("INSERT INTO %s.%s (%s)", f.name, in.Table, in.Columns))
				require.NoError(t, err)
				require.NoError(t, in.Fill(b))
				require.NoError(t, b.Send())
				require.NoError(t, b.Close())
			}
		}
	}
}

func (f *factTables) facts() *clickhouse.FactReader {
	return clickhouse.NewFactReader(f.conn, live.New(place(f.name)), clickhouse.DefaultBudget())
}

// question draws a question about days on which clocks change.
func question(rt *rapid.T, t *testing.T, intervals []clickhouse.Interval, dimensions ...clickhouse.Dimension) (origin time.Time, q clickhouse.FactQuery) {
	origin = rapid.SampledFrom([]time.Time{utc(t, "2026-03-27T00:00:00Z"), utc(t, "2026-10-23T00:00:00Z"), utc(t, "2017-10-13T00:00:00Z")}).Draw(rt, "origin")
	q = clickhouse.FactQuery{
		From: origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "from")) * time.Minute), Interval: rapid.SampledFrom(intervals).Draw(rt, "interval"),
		Zone:    zone(t, rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"}).Draw(rt, "zone")),
		GroupBy: rapid.SliceOfNDistinct(rapid.SampledFrom(dimensions), 0, 3, rapid.ID).Draw(rt, "group"),
	}
	q.To = q.From.Add(time.Duration(rapid.IntRange(1, 4*24*3600).Draw(rt, "length")) * time.Second)
	if rapid.Bool().Draw(rt, "filter characters") {
		q.CharacterIDs = []int64{1, 3}
	}
	if rapid.Bool().Draw(rt, "filter corporations") {
		q.CorporationIDs = []int64{10, 11}
	}
	return origin, q
}

// moves draws where characters were.
func moves(rt *rapid.T, origin time.Time) (events []told, corporation func(character int64, at time.Time) int64) {
	type move struct {
		character, corporation int64
		at                     time.Time
	}
	var all []move
	for i := range rapid.IntRange(0, 5).Draw(rt, "moves") {
		m := move{
			rapid.Int64Range(1, 3).Draw(rt, "character"), rapid.Int64Range(10, 12).Draw(rt, "corporation"),
			origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "moved"))*time.Minute + time.Duration(i+1)*time.Millisecond),
		}
		all = append(all, m)
		events = append(events, told{stream: event.Character(m.character), payload: joined(m.character, m.corporation, m.at)})
	}
	slices.SortStableFunc(all, func(a, b move) int { return a.at.Compare(b.at) })
	return events, func(character int64, at time.Time) int64 {
		var now int64
		for _, m := range all {
			if m.character == character && (now == 0 || !m.at.After(at)) {
				now = m.corporation
			}
		}
		return now
	}
}

func grouped(by []clickhouse.Dimension, character, corporation, kind, place int64) clickhouse.FactGroup {
	var g clickhouse.FactGroup
	if slices.Contains(by, clickhouse.ByCharacter) {
		g.CharacterID = character
	}
	if slices.Contains(by, clickhouse.ByCorporation) {
		g.CorporationID = corporation
	}
	if slices.Contains(by, clickhouse.ByType) {
		g.TypeID = kind
	}
	if slices.Contains(by, clickhouse.ByLocation) || slices.Contains(by, clickhouse.BySolarSystem) {
		g.PlaceID = place
	}
	return g
}

// selected tells whether a character of a corporation is asked for.
func selected(q clickhouse.FactQuery, character, corporation int64) bool {
	return (len(q.CharacterIDs) == 0 || slices.Contains(q.CharacterIDs, character)) && (len(q.CorporationIDs) == 0 || slices.Contains(q.CorporationIDs, corporation))
}

func TestMarketFiguresAgreeWithAFoldOfTheTrades(t *testing.T) {
	f := newFactTables(t, clickhouse.Facts())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := question(rt, t, clickhouse.Intervals(), clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.ByType, clickhouse.ByLocation)
		events, corporation := moves(rt, origin)
		type trade struct {
			eve.Transaction
			character int64
		}
		var trades []trade
		for id := range int64(rapid.IntRange(0, 30).Draw(rt, "trades")) {
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "date")) * time.Minute)
			tr := trade{eve.Transaction{
				ID: id + 1, Date: at, TypeID: rapid.Int64Range(34, 35).Draw(rt, "type"), Quantity: rapid.Int64Range(1, 6).Draw(rt, "quantity"),
				UnitPrice: eve.ISK(rapid.Int64Range(0, 5e14).Draw(rt, "price")), IsBuy: rapid.Bool().Draw(rt, "buys"), LocationID: rapid.Int64Range(1, 2).Draw(rt, "location"),
			}, rapid.Int64Range(1, 3).Draw(rt, "character")}
			trades = append(trades, tr)
			item := fmt.Sprintf(`{"transaction_id":%d,"date":%q,"type_id":%d,"quantity":%d,"unit_price":%s,"is_buy":%t,"location_id":%d}`,
				tr.ID, at.Format(time.RFC3339), tr.TypeID, tr.Quantity, tr.UnitPrice, tr.IsBuy, tr.LocationID)
			facts := eve.Facts{CharacterID: tr.character, Section: eve.SectionWalletTransactions, Day: at.Format(time.DateOnly), Items: []json.RawMessage{json.RawMessage(item)}}
			if rapid.Bool().Draw(rt, "recorded wrongly first") {
				wrong := facts
				wrong.Items = []json.RawMessage{json.RawMessage(strings.Replace(item, fmt.Sprintf(`"quantity":%d`, tr.Quantity), `"quantity":99`, 1))}
				events = append(events, told{payload: eve.TransactionsRecorded{Facts: wrong}}, told{payload: eve.TransactionsChanged{Facts: facts}})
				// An amendment of nothing that counts leaves the trade.
				note := facts
				note.Items = []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"transaction_id":%d,"note":1}`, tr.ID))}
				events = append(events, told{payload: eve.TransactionsChanged{Facts: note}})
				continue
			}
			events = append(events, told{payload: eve.TransactionsRecorded{Facts: facts}})
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		if rapid.Bool().Draw(rt, "filter types") {
			q.TypeIDs = []int64{34}
		}
		if rapid.Bool().Draw(rt, "filter locations") {
			q.PlaceIDs = []int64{2}
		}
		figures, err := f.facts().Market(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, m := range figures {
			got[fmt.Sprintln(m.FactGroup, m.Start)] = fmt.Sprintln(m.Trades, m.BoughtQuantity, m.SoldQuantity, m.KnownQuantity, m.UnknownQuantity,
				m.BoughtValue.StringFixed(2), m.SoldValue.StringFixed(2), m.KnownValue.StringFixed(2), m.CostFIFO.StringFixed(2), m.ProfitFIFO.StringFixed(2), m.End)
			require.Equal(rt, m.KnownValue.Sub(m.CostAverage), m.ProfitAverage)
		}

		// One unit after the other.
		type sum struct{ trades, bought, sold, known, boughtValue, soldValue, knownValue, cost int64 }
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		groups := map[clickhouse.FactGroup][]sum{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.FactGroup{}] = make([]sum, len(bounds)-1)
		}
		slices.SortStableFunc(trades, func(a, b trade) int { return a.Date.Compare(b.Date) })
		stock := map[[2]int64][]int64{}
		for _, tr := range trades {
			key := [2]int64{tr.character, tr.TypeID}
			var s sum
			s.trades = 1
			for range tr.Quantity {
				price := int64(tr.UnitPrice)
				switch {
				case tr.IsBuy:
					stock[key] = append(stock[key], price)
					s.bought, s.boughtValue = s.bought+1, s.boughtValue+price
				default:
					s.sold, s.soldValue = s.sold+1, s.soldValue+price
					if held := stock[key]; len(held) > 0 {
						s.known, s.knownValue, s.cost = s.known+1, s.knownValue+price, s.cost+held[0]
						stock[key] = held[1:]
					}
				}
			}
			in := corporation(tr.character, tr.Date)
			if !selected(q, tr.character, in) || len(q.TypeIDs) > 0 && tr.TypeID != 34 || len(q.PlaceIDs) > 0 && tr.LocationID != 2 {
				continue
			}
			for i := range len(bounds) - 1 {
				if tr.Date.Before(bounds[i]) || !tr.Date.Before(bounds[i+1]) {
					continue
				}
				g := grouped(q.GroupBy, tr.character, in, tr.TypeID, tr.LocationID)
				if groups[g] == nil {
					groups[g] = make([]sum, len(bounds)-1)
				}
				have := &groups[g][i]
				*have = sum{have.trades + s.trades, have.bought + s.bought, have.sold + s.sold, have.known + s.known, have.boughtValue + s.boughtValue, have.soldValue + s.soldValue, have.knownValue + s.knownValue, have.cost + s.cost}
			}
		}
		want := map[string]string{}
		for g, sums := range groups {
			for i, s := range sums {
				want[fmt.Sprintln(g, bounds[i])] = fmt.Sprintln(s.trades, s.bought, s.sold, s.known, s.sold-s.known,
					eve.ISK(s.boughtValue), eve.ISK(s.soldValue), eve.ISK(s.knownValue), eve.ISK(s.cost), eve.ISK(s.knownValue-s.cost), bounds[i+1])
			}
		}
		require.Equal(rt, want, got)
	})
}

func TestMiningFiguresAgreeWithAFoldOfTheLines(t *testing.T) {
	f := newFactTables(t, clickhouse.Facts())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := question(rt, t, clickhouse.Intervals()[1:], clickhouse.ByCharacter, clickhouse.ByCorporation, clickhouse.ByType, clickhouse.BySolarSystem)
		events, corporation := moves(rt, origin)
		type line struct {
			character, system, kind int64
			day                     time.Time
		}
		lines := map[line]int64{}
		for range rapid.IntRange(0, 20).Draw(rt, "lines") {
			l := line{rapid.Int64Range(1, 3).Draw(rt, "character"), rapid.Int64Range(1, 2).Draw(rt, "system"), rapid.Int64Range(34, 36).Draw(rt, "type"), origin.AddDate(0, 0, rapid.IntRange(0, 5).Draw(rt, "day"))}
			// Mined again: the line says what it is in all.
			lines[l] = rapid.Int64Range(0, 1e9).Draw(rt, "quantity")
			item := fmt.Sprintf(`{"date":%q,"solar_system_id":%d,"type_id":%d,"quantity":%d}`, l.day.Format(time.DateOnly), l.system, l.kind, lines[l])
			events = append(events, told{payload: eve.MiningChanged{Facts: eve.Facts{CharacterID: l.character, Section: eve.SectionMining, Day: l.day.Format(time.DateOnly), Items: []json.RawMessage{json.RawMessage(item)}}}})
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		prices := map[int64]decimal.Decimal{34: decimal.RequireFromString("5.09"), 35: decimal.RequireFromString("1000000")}
		figures, err := f.facts().Mining(t.Context(), q, prices)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, m := range figures {
			got[fmt.Sprintln(m.FactGroup, m.Start)] = fmt.Sprintln(m.Quantity, m.UnpricedQuantity, m.Value.StringFixed(2), m.End)
		}
		type sum struct{ quantity, unpriced, value int64 }
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, time.UTC)
		require.NoError(rt, err)
		groups := map[clickhouse.FactGroup][]sum{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.FactGroup{}] = make([]sum, len(bounds)-1)
		}
		for l, quantity := range lines {
			in := corporation(l.character, l.day)
			for i := range len(bounds) - 1 {
				if l.day.Before(bounds[i]) || !l.day.Before(bounds[i+1]) || !selected(q, l.character, in) {
					continue
				}
				g := grouped(q.GroupBy, l.character, in, l.kind, l.system)
				if groups[g] == nil {
					groups[g] = make([]sum, len(bounds)-1)
				}
				s := &groups[g][i]
				s.quantity += quantity
				switch l.kind {
				case 34:
					s.value += 509 * quantity
				case 35:
					s.value += 1e8 * quantity
				default:
					s.unpriced += quantity
				}
			}
		}
		want := map[string]string{}
		for g, sums := range groups {
			for i, s := range sums {
				want[fmt.Sprintln(g, bounds[i])] = fmt.Sprintln(s.quantity, s.unpriced, eve.ISK(s.value), bounds[i+1])
			}
		}
		require.Equal(rt, want, got)
	})
}

func TestSkillFiguresAgreeWithAFoldOfTheObservations(t *testing.T) {
	f := newFactTables(t, clickhouse.Facts())
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, q := question(rt, t, clickhouse.Intervals(), clickhouse.ByCharacter, clickhouse.ByCorporation)
		events, corporation := moves(rt, origin)
		type observation struct {
			at    time.Time
			total int64
		}
		seen := map[int64][]observation{}
		for character := range int64(4) {
			var at []time.Time
			for i := range rapid.IntRange(0, 8).Draw(rt, "observations") {
				at = append(at, origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at"))*time.Minute+time.Duration(i+1)*time.Millisecond))
			}
			slices.SortFunc(at, time.Time.Compare)
			var base uuid.UUID
			var full int64
			for _, at := range at {
				total := rapid.Int64Range(0, 1e9).Draw(rt, "total")
				p := eve.SectionObserved{CharacterID: character, Section: eve.SectionSkills, Encoding: eve.EncodingFull, FetchedAt: at, Value: json.RawMessage(fmt.Sprintf(`{"total_sp":%d,"unallocated_sp":1,"skills":[]}`, total))}
				e := told{id: uuid.New()}
				switch how := rapid.IntRange(0, 3).Draw(rt, "how"); {
				case how == 0 && base != uuid.Nil:
					p.Encoding, p.Base, p.Value, total = eve.EncodingDelta, new(base), json.RawMessage(`{"lists":[]}`), full
				case how == 1 && base != uuid.Nil:
					p.Encoding, p.Base, p.Value = eve.EncodingDelta, new(base), json.RawMessage(fmt.Sprintf(`{"head":{"total_sp":%d,"unallocated_sp":1}}`, total))
				default:
					base, full = e.id, total
				}
				e.payload = p
				events = append(events, e)
				seen[character] = append(seen[character], observation{at, total})
			}
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := f.facts().SkillPoints(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, s := range figures {
			total, unallocated := int64(-1), int64(-1)
			if s.Total != nil {
				total, unallocated = *s.Total, *s.Unallocated
			}
			got[fmt.Sprintln(s.FactGroup, s.Start)] = fmt.Sprintln(s.Characters, total, unallocated, s.Gained, s.End)
		}
		before := func(character int64, at time.Time) int64 {
			total := int64(-1)
			for _, o := range seen[character] {
				if o.at.Before(at) {
					total = o.total
				}
			}
			return total
		}
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		type sum struct{ characters, total, gained int64 }
		groups := map[clickhouse.FactGroup][]sum{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.FactGroup{}] = make([]sum, len(bounds)-1)
		}
		for i := range len(bounds) - 1 {
			for character := range int64(4) {
				start, end := before(character, bounds[i]), before(character, bounds[i+1])
				in := corporation(character, bounds[i+1].Add(-time.Nanosecond))
				if end < 0 || !selected(q, character, in) {
					continue
				}
				g := grouped(q.GroupBy, character, in, 0, 0)
				if groups[g] == nil {
					groups[g] = make([]sum, len(bounds)-1)
				}
				s := &groups[g][i]
				s.characters, s.total = s.characters+1, s.total+end
				if start >= 0 {
					s.gained += end - start
				}
			}
		}
		want := map[string]string{}
		for g, sums := range groups {
			for i, s := range sums {
				total, unallocated := int64(-1), int64(-1)
				if s.characters > 0 {
					total, unallocated = s.total, s.characters
				}
				want[fmt.Sprintln(g, bounds[i])] = fmt.Sprintln(s.characters, total, unallocated, s.gained, bounds[i+1])
			}
		}
		require.Equal(rt, want, got)
	})
}

func TestFindingFiguresAgreeWithAFoldOfTheSteps(t *testing.T) {
	f := newFactTables(t, clickhouse.FindingSteps())
	reader := clickhouse.NewFindingTrendReader(f.conn, live.New(place(f.name)), clickhouse.DefaultBudget())
	dimensions := []clickhouse.Dimension{clickhouse.ByConsortium, clickhouse.ByModel, clickhouse.ByScope, clickhouse.ByKind, clickhouse.BySeverity}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, asked := question(rt, t, clickhouse.Intervals(), dimensions...)
		q := clickhouse.FindingQuery{From: asked.From, To: asked.To, Interval: asked.Interval, Zone: asked.Zone, GroupBy: asked.GroupBy}
		if rapid.Bool().Draw(rt, "filter severities") {
			q.Severities = []string{"high"}
		}
		if rapid.Bool().Draw(rt, "filter models") {
			q.Models = []string{"accounts"}
		}
		// A finding is open or not, and has been since.
		type step struct {
			clickhouse.FindingGroup
			at   time.Time
			what string
			open time.Duration
		}
		var all [][]step
		var events []told
		for n := range rapid.IntRange(0, 6).Draw(rt, "findings") {
			g := clickhouse.FindingGroup{Consortium: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "consortium"), Model: rapid.SampledFrom([]string{"accounts", "memberships"}).Draw(rt, "model"), Scope: rapid.SampledFrom([]string{"", "g"}).Draw(rt, "scope"), Kind: "x"}
			at := origin.Add(time.Duration(rapid.IntRange(0, 3*24*60).Draw(rt, "first")) * time.Minute)
			var steps []step
			var opened time.Time
			for range rapid.IntRange(1, 6).Draw(rt, "steps") {
				g.Severity = rapid.SampledFrom([]string{"high", "low"}).Draw(rt, "severity")
				finding := anvil.Finding{ID: uuid.UUID{byte(n + 1)}, Model: anvil.Model(g.Model), Scope: g.Scope, Record: "r", Kind: g.Kind, Severity: anvil.Severity(g.Severity), OpenedAt: opened}
				s := step{FindingGroup: g, at: at}
				var p event.Payload
				switch {
				case opened.IsZero():
					opened, finding.OpenedAt = at, at
					s.what, p = "opened", anvil.FindingOpened{Finding: finding}
				case rapid.Bool().Draw(rt, "changes"):
					s.what, p = "changed", anvil.FindingChanged{Finding: finding}
				default:
					s.what, s.open, p = "resolved", at.Sub(opened), anvil.FindingResolved{Finding: finding, ResolvedAt: at}
					opened = time.Time{}
				}
				steps = append(steps, s)
				events = append(events, told{stream: event.Consortium(g.Consortium), at: at, payload: p})
				at = at.Add(time.Duration(rapid.IntRange(1, 24*60).Draw(rt, "later")) * time.Minute)
			}
			all = append(all, steps)
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		figures, err := reader.Trend(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, s := range figures {
			median, mean := int64(-1), int64(-1)
			if s.MedianSeconds != nil {
				median, mean = *s.MedianSeconds, *s.MeanSeconds
			}
			got[fmt.Sprintln(s.FindingGroup, s.Start)] = fmt.Sprintln(s.Opened, s.Changed, s.Resolved, s.Open, median, mean, shown(s.P90Seconds), s.End)
		}
		group := func(s step) (clickhouse.FindingGroup, bool) {
			g := s.FindingGroup
			counts := (len(q.Severities) == 0 || g.Severity == "high") && (len(q.Models) == 0 || g.Model == "accounts")
			for d, field := range map[clickhouse.Dimension]*string{clickhouse.ByConsortium: &g.Consortium, clickhouse.ByModel: &g.Model, clickhouse.ByScope: &g.Scope, clickhouse.ByKind: &g.Kind, clickhouse.BySeverity: &g.Severity} {
				if !slices.Contains(q.GroupBy, d) {
					*field = ""
				}
			}
			return g, counts
		}
		type sum struct {
			opened, changed, resolved, open int64
			took                            []int64
		}
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		groups := map[clickhouse.FindingGroup][]sum{}
		if len(q.GroupBy) == 0 {
			groups[clickhouse.FindingGroup{}] = make([]sum, len(bounds)-1)
		}
		of := func(g clickhouse.FindingGroup) []sum {
			if groups[g] == nil {
				groups[g] = make([]sum, len(bounds)-1)
			}
			return groups[g]
		}
		for _, steps := range all {
			for _, s := range steps {
				if g, counts := group(s); counts && s.at.Before(bounds[len(bounds)-1]) {
					of(g)
				}
			}
			for i := range len(bounds) - 1 {
				var last *step
				for n, s := range steps {
					if !s.at.Before(bounds[i+1]) {
						break
					}
					last = &steps[n]
					g, counts := group(s)
					if s.at.Before(bounds[i]) || !counts {
						continue
					}
					in := &of(g)[i]
					switch s.what {
					case "opened":
						in.opened++
					case "changed":
						in.changed++
					default:
						in.resolved++
						in.took = append(in.took, int64(s.open/time.Second))
					}
				}
				if last == nil || last.what == "resolved" {
					continue
				}
				if g, counts := group(*last); counts {
					of(g)[i].open++
				}
			}
		}
		want := map[string]string{}
		for g, sums := range groups {
			for i, s := range sums {
				median, mean := int64(-1), int64(-1)
				if n := int64(len(s.took)); n > 0 {
					slices.Sort(s.took)
					median, mean = s.took[(n-1)/2], 0
					for _, took := range s.took {
						mean += took
					}
					mean /= n
				}
				want[fmt.Sprintln(g, bounds[i])] = fmt.Sprintln(s.opened, s.changed, s.resolved, s.open, median, mean, percentile(s.took, 90), bounds[i+1])
			}
		}
		require.Equal(rt, want, got)
	})
}

func TestQuestionsAboutFactsThatCannotBeAnsweredAreRefused(t *testing.T) {
	f := newFactTables(t, clickhouse.Facts())
	var items []json.RawMessage
	for i := range 40 {
		items = append(items, json.RawMessage(fmt.Sprintf(`{"transaction_id":%d,"date":"2026-01-02T00:00:00Z","type_id":%d,"quantity":1,"unit_price":1,"is_buy":true}`, i+1, i+1)))
	}
	items = append(items, json.RawMessage(`{"transaction_id":99,"date":"2026-01-02T00:00:00Z","type_id":7}`))
	facts := eve.Facts{CharacterID: 1, Section: eve.SectionWalletTransactions, Day: "2026-01-02", Items: items}
	mined := eve.Facts{CharacterID: 1, Section: eve.SectionMining, Day: "2026-01-02", Items: []json.RawMessage{json.RawMessage(`{"date":"2026-01-02","solar_system_id":1,"type_id":2}`)}}
	f.fill(t, t, 1, told{payload: eve.TransactionsRecorded{Facts: facts}}, told{payload: eve.MiningRecorded{Facts: mined}})
	q := clickhouse.FactQuery{From: utc(t, "2026-01-01T00:00:00Z"), To: utc(t, "2026-02-01T00:00:00Z"), Interval: clickhouse.Month}
	figures, err := f.facts().Market(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 1, figures[0].Unreadable)
	require.EqualValues(t, 40, figures[0].Trades)

	refused := func(budget clickhouse.Budget, change func(*clickhouse.FactQuery), why string) {
		t.Helper()
		q := q
		change(&q)
		reader := clickhouse.NewFactReader(f.conn, live.New(place(f.name)), budget)
		_, err := reader.Market(t.Context(), q)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, why)
	}
	budget := clickhouse.DefaultBudget()
	refused(budget, func(q *clickhouse.FactQuery) { q.GroupBy = []clickhouse.Dimension{clickhouse.ByModel} }, "model")
	refused(budget, func(q *clickhouse.FactQuery) { q.To = q.From }, "not before")
	refused(budget, func(q *clickhouse.FactQuery) {
		q.GroupBy, q.Interval, q.To = []clickhouse.Dimension{clickhouse.ByType}, clickhouse.Hour, q.From.Add(9000*time.Hour)
	}, "figures")
	small := budget
	small.Facts = 10
	refused(small, func(*clickhouse.FactQuery) {}, "filter, such as by character")
	small = budget
	small.Rows = 10
	refused(small, func(*clickhouse.FactQuery) {}, "reads more than 10 rows: choose a shorter range")
	_, err = f.facts().Mining(t.Context(), clickhouse.FactQuery{From: q.From, To: q.To, Interval: clickhouse.Hour}, nil)
	require.ErrorContains(t, err, "days and nothing finer")

	gone := clickhouse.NewFactReader(f.conn, live.New(place("dropped_a_moment_ago")), budget)
	_, err = gone.SkillPoints(t.Context(), q)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)
}

func TestFactsThatNoFoldCanTakeArePoison(t *testing.T) {
	for name, p := range map[string]event.Payload{
		"a day that is none":     eve.TransactionsRecorded{Facts: eve.Facts{CharacterID: 1, Section: eve.SectionWalletTransactions, Day: "yesterday"}},
		"a riddle":               eve.SectionObserved{CharacterID: 1, Section: eve.SectionSkills, Encoding: "riddle", Value: json.RawMessage(`{}`)},
		"details that are none":  eve.SectionObserved{CharacterID: 1, Section: eve.SectionDetails, Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)},
		"a difference from none": eve.SectionObserved{CharacterID: 1, Section: eve.SectionSkills, Encoding: eve.EncodingDelta, Value: json.RawMessage(`{}`)},
	} {
		batch := clickhouse.Facts().NewBatch()
		require.Error(t, batch.Add(runner.Event{Payload: p}), name)
		for _, in := range batch.(runner.ClickHouseBatch).Inserts() {
			require.Zero(t, in.Rows, name)
		}
	}
}
