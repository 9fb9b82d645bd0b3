package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/live"
)

// Dimensions of figures other than those of wallets.
const (
	ByType        Dimension = "type"
	ByLocation    Dimension = "location"
	BySolarSystem Dimension = "solar_system"
	ByConsortium  Dimension = "consortium"
	ByModel       Dimension = "model"
	ByScope       Dimension = "scope"
	ByKind        Dimension = "kind"
	BySeverity    Dimension = "severity"
)

// Budget is what one question may cost, so that nobody keeps ClickHouse from
// everybody else.
type Budget struct {
	// Rows is the most rows that ClickHouse may read, Time the longest it may take.
	Rows uint64
	Time time.Duration
	// Facts is the most rows that are folded for one answer.
	Facts int
}

// DefaultBudget lets a question read years of ten thousand characters.
func DefaultBudget() Budget {
	return Budget{Rows: 100_000_000, Time: 30 * time.Second, Facts: 2_000_000}
}

// within holds the queries of ctx to the budget.
func (b Budget) within(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_rows_to_read": strconv.FormatUint(b.Rows, 10), "read_overflow_mode": "throw",
		"max_execution_time": strconv.FormatFloat(b.Time.Seconds(), 'f', -1, 64), "timeout_overflow_mode": "throw",
	}))
}

// error says what was being done; of a question that went over the budget, how to
// stay within it.
func (b Budget) error(doing string, err error) error {
	if refused, ok := errors.AsType[*clickhouse.Exception](err); ok {
		const tooManyRows, timeout = 158, 159
		switch refused.Code {
		case tooManyRows:
			return event.Errorf(event.CodeInvalid, "%s: the question reads more than %d rows: choose a shorter range, or filter, such as by character, type, corporation or consortium", doing, b.Rows)
		case timeout:
			return event.Errorf(event.CodeInvalid, "%s: the question takes longer than %s: choose a shorter range, a coarser interval, or filter, such as by character, type, corporation or consortium", doing, b.Time)
		}
	}
	return queryError(doing, err)
}

// tooMany is the error of a question that needs more facts than may be folded.
func (b Budget) tooMany(what string) error {
	return event.Errorf(event.CodeInvalid, "the answer rests on more than %d %s: choose an earlier end of the range, or filter, such as by character, type, corporation or consortium", b.Facts, what)
}

// FactReader answers questions about what characters traded, mined and learned. It is
// safe for concurrent use.
type FactReader struct {
	conn   driver.Conn
	live   *live.Generations
	budget Budget
}

// NewFactReader reads the projection [FactsName] behind the connection; no question may
// cost more than the budget.
func NewFactReader(conn driver.Conn, generations *live.Generations, budget Budget) *FactReader {
	return &FactReader{conn: conn, live: generations, budget: budget}
}

func (r *FactReader) database(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, FactsName)
	if err != nil {
		return "", queryError("finding the facts", err)
	}
	return quote(name), nil
}

// FactQuery says which figures to make. Zero fields do not filter.
type FactQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension

	// CorporationIDs are where the character was at that moment.
	CharacterIDs, CorporationIDs, TypeIDs []int64
	// PlaceIDs are stations and structures, or solar systems.
	PlaceIDs []int64
}

// FactGroup is what figures are of. Fields of dimensions that were not asked for are
// zero.
type FactGroup struct {
	CharacterID int64
	// CorporationID is zero if none is known.
	CorporationID int64
	TypeID        int64
	// PlaceID is a station, a structure or a solar system.
	PlaceID int64
}

func compareFactGroups(a, b FactGroup) int {
	return cmp.Or(cmp.Compare(a.CharacterID, b.CharacterID), cmp.Compare(a.CorporationID, b.CorporationID), cmp.Compare(a.TypeID, b.TypeID), cmp.Compare(a.PlaceID, b.PlaceID))
}

// periods checks a question and gives the periods that it asks for.
func (q *FactQuery) periods(dimensions ...Dimension) ([]time.Time, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, dimensions); err != nil {
		return nil, err
	}
	return Bounds(q.From, q.To, q.Interval, q.Zone)
}

func checkDimensions(by, dimensions []Dimension) error {
	for i, d := range by {
		if !slices.Contains(dimensions, d) {
			return event.Errorf(event.CodeInvalid, "group_by %q: must be one or several of %v", d, dimensions)
		}
		if slices.Contains(by[:i], d) {
			return event.Errorf(event.CodeInvalid, "group_by names %q twice", d)
		}
	}
	return nil
}

// group is the group of a fact.
func (q *FactQuery) group(character, corporation, kind, place int64) FactGroup {
	var g FactGroup
	for _, d := range q.GroupBy {
		switch d {
		case ByCharacter:
			g.CharacterID = character
		case ByCorporation:
			g.CorporationID = corporation
		case ByType:
			g.TypeID = kind
		case ByLocation, BySolarSystem:
			g.PlaceID = place
		}
	}
	return g
}

// counts tells whether a fact of that corporation and place is asked for.
func (q *FactQuery) counts(corporation, place int64) bool {
	return (len(q.CorporationIDs) == 0 || slices.Contains(q.CorporationIDs, corporation)) && (len(q.PlaceIDs) == 0 || slices.Contains(q.PlaceIDs, place))
}

// periodOf is the number of the period that a moment lies in; -1 for one before the
// first.
func periodOf(bounds []time.Time, at time.Time) int {
	return sort.Search(len(bounds), func(i int) bool { return bounds[i].After(at) }) - 1
}

// table gathers figures by group and period.
type table[G comparable, F any] struct {
	periods int
	groups  map[G][]F
}

// newTable is a table with one group of everything if nothing is grouped by.
func newTable[G comparable, F any](periods int, by []Dimension) *table[G, F] {
	t := &table[G, F]{periods: periods, groups: map[G][]F{}}
	if len(by) == 0 {
		var everything G
		t.groups[everything] = make([]F, periods)
	}
	return t
}

// of are the figures of a group. It fails with [event.CodeInvalid] if they become too
// many.
func (t *table[G, F]) of(g G) ([]F, error) {
	if figures, known := t.groups[g]; known {
		return figures, nil
	}
	if (len(t.groups)+1)*t.periods > MaxFigures {
		return nil, event.Errorf(event.CodeInvalid, "the answer would have more than %d figures (%d groups or more, %d intervals): choose a coarser interval, a shorter range, fewer dimensions or a filter", MaxFigures, len(t.groups)+1, t.periods)
	}
	t.groups[g] = make([]F, t.periods)
	return t.groups[g], nil
}

// inOrder are the groups in order.
func (t *table[G, F]) inOrder(compare func(a, b G) int) []G {
	order := make([]G, 0, len(t.groups))
	for g := range t.groups {
		order = append(order, g)
	}
	slices.SortFunc(order, compare)
	return order
}

// stay is where a character was since when.
type stay struct {
	since       time.Time
	corporation int64
}

// memberships are the stays of characters, in the order of time.
type memberships map[int64][]stay

// at is the corporation of a character at a moment: before the first known one it is
// taken to be that one; zero if none is known.
func (m memberships) at(character int64, at time.Time) int64 {
	stays := m[character]
	if len(stays) == 0 {
		return 0
	}
	return stays[max(0, sort.Search(len(stays), func(i int) bool { return stays[i].since.After(at) })-1)].corporation
}

// memberships reads where characters were, if the question needs it.
func (r *FactReader) memberships(ctx context.Context, database string, q *FactQuery) (memberships, error) {
	if !slices.Contains(q.GroupBy, ByCorporation) && len(q.CorporationIDs) == 0 {
		return nil, nil //nolint:nilnil // nobody asks where they were
	}
	p := &query{}
	where := "true"
	if len(q.CharacterIDs) > 0 {
		where = "character_id IN " + p.integers(q.CharacterIDs)
	}
	m := memberships{}
	err := r.each(ctx, "reading where characters were", fmt.Sprintf("SELECT character_id, since, corporation_id FROM %s.affiliations FINAL WHERE %s ORDER BY character_id, since", database, where), p, func(rows driver.Rows) error {
		var id int64
		var s stay
		err := rows.Scan(&id, &s.since, &s.corporation)
		m[id] = append(m[id], s)
		return err
	})
	return m, err
}

// each hands over row by row, within the budget.
func (r *FactReader) each(ctx context.Context, doing, sql string, q *query, scan func(driver.Rows) error) error {
	return eachRow(ctx, r.conn, r.budget, doing, sql, q, scan)
}

func eachRow(ctx context.Context, conn driver.Conn, budget Budget, doing, sql string, q *query, scan func(driver.Rows) error) error {
	rows, err := conn.Query(budget.within(ctx), sql, q.arguments...)
	if err != nil {
		return budget.error(doing, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return budget.error(doing, err)
	}
	return nil
}

// begin makes out what every question needs: the bounds of its periods, the database of
// the facts, and where the characters were. It completes the question, which may group
// by the dimensions given.
func (r *FactReader) begin(ctx context.Context, q *FactQuery, dimensions ...Dimension) ([]time.Time, string, memberships, error) {
	bounds, err := q.periods(dimensions...)
	if err != nil {
		return nil, "", nil, err
	}
	database, err := r.database(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	where, err := r.memberships(ctx, database, q)
	return bounds, database, where, err
}

// filters are the conditions of a question that the rows can be chosen by.
func (q *FactQuery) filters(p *query, types bool) string {
	var where []string
	if len(q.CharacterIDs) > 0 {
		where = append(where, " AND character_id IN "+p.integers(q.CharacterIDs))
	}
	if types && len(q.TypeIDs) > 0 {
		where = append(where, " AND type_id IN "+p.integers(q.TypeIDs))
	}
	return strings.Join(where, "")
}

// MarketFigures are what one group traded in one period. Amounts are ISK, exact to
// hundredths, and without fees and taxes, which the journal has.
type MarketFigures struct {
	FactGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End                     time.Time
	Trades                         int64
	BoughtQuantity, SoldQuantity   int64
	BoughtValue, SoldValue         decimal.Decimal
	KnownQuantity, UnknownQuantity int64
	// KnownValue is what of the sales' value is of the known quantity: of what was
	// bought before, by the same character. CostFIFO and CostAverage are what that had
	// cost, ProfitFIFO and ProfitAverage what is left.
	KnownValue, CostFIFO, CostAverage, ProfitFIFO, ProfitAverage decimal.Decimal
	// Unreadable counts transactions that are no trades that can be counted.
	Unreadable int64
}

// marketSums are sums in hundredths of ISK.
type marketSums struct {
	trades, unreadable, bought, sold, known                   int64
	boughtValue, soldValue, knownValue, costFIFO, costAverage big.Int
}

// Market adds up market transactions by group and period. Groups come in order, each
// with all its periods. What was sold is held against what the same character bought of
// the type before, since the first transaction that is known: by [eve.Holding].
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projection or ClickHouse is not
// there.
func (r *FactReader) Market(ctx context.Context, q FactQuery) ([]MarketFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByType, ByLocation)
	if err != nil {
		return nil, err
	}
	figures := newTable[FactGroup, marketSums](len(bounds)-1, q.GroupBy)
	p := &query{}
	sql := fmt.Sprintf(`SELECT character_id, type_id, date, readable, quantity, unit_price, is_buy, location_id
		FROM %s.transactions FINAL WHERE date < %s%s ORDER BY character_id, type_id, date, transaction_id LIMIT %d`,
		database, p.moment(bounds[len(bounds)-1]), q.filters(p, true), r.budget.Facts+1)
	var holding *eve.Holding
	var of [2]int64
	n := 0
	err = r.each(ctx, "reading market transactions", sql, p, func(rows driver.Rows) error {
		var character, kind, quantity, location int64
		var date time.Time
		var readable, buy bool
		var price decimal.Decimal
		if err := rows.Scan(&character, &kind, &date, &readable, &quantity, &price, &buy, &location); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("transactions")
		}
		if holding == nil || of != [2]int64{character, kind} {
			holding, of = &eve.Holding{}, [2]int64{character, kind}
		}
		unit := eve.ISK(price.Shift(2).IntPart())
		var cost eve.Cost
		switch {
		case !readable:
		case buy:
			holding.Buy(quantity, unit)
		default:
			cost = holding.Sell(quantity)
		}
		corporation, period := where.at(character, date), periodOf(bounds, date)
		if period < 0 || !q.counts(corporation, location) {
			return nil
		}
		list, err := figures.of(q.group(character, corporation, kind, location))
		if err != nil {
			return err
		}
		s := &list[period]
		if !readable {
			s.unreadable++
			return nil
		}
		s.trades++
		worth := eve.Worth(quantity, unit)
		if buy {
			s.bought += quantity
			s.boughtValue.Add(&s.boughtValue, worth)
			return nil
		}
		s.sold += quantity
		s.known += cost.Known
		s.soldValue.Add(&s.soldValue, worth)
		s.knownValue.Add(&s.knownValue, eve.Worth(cost.Known, unit))
		s.costFIFO.Add(&s.costFIFO, cost.FIFO)
		s.costAverage.Add(&s.costAverage, cost.Average)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return marketFigures(figures, bounds), nil
}

// marketFigures are the sums of each group, period by period.
func marketFigures(figures *table[FactGroup, marketSums], bounds []time.Time) []MarketFigures {
	var out []MarketFigures
	for _, g := range figures.inOrder(compareFactGroups) {
		for i := range figures.groups[g] {
			s := &figures.groups[g][i]
			f := MarketFigures{
				FactGroup: g, Start: bounds[i], End: bounds[i+1], Trades: s.trades, Unreadable: s.unreadable,
				BoughtQuantity: s.bought, SoldQuantity: s.sold, KnownQuantity: s.known, UnknownQuantity: s.sold - s.known,
				BoughtValue: ofHundredths(&s.boughtValue), SoldValue: ofHundredths(&s.soldValue), KnownValue: ofHundredths(&s.knownValue),
				CostFIFO: ofHundredths(&s.costFIFO), CostAverage: ofHundredths(&s.costAverage),
			}
			f.ProfitFIFO, f.ProfitAverage = f.KnownValue.Sub(f.CostFIFO), f.KnownValue.Sub(f.CostAverage)
			out = append(out, f)
		}
	}
	return out
}

func ofHundredths(v *big.Int) decimal.Decimal { return decimal.NewFromBigInt(v, -2) }

// MiningFigures are what one group mined in one period.
type MiningFigures struct {
	FactGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	Quantity   int64
	// Value is the quantity at the prices given, in ISK; UnpricedQuantity has none.
	Value            decimal.Decimal
	UnpricedQuantity int64
}

// Mining adds up the mining ledger by group and period, at a price for each type. ESI
// tells days in UTC and nothing finer, so the calendar is that of UTC and an interval of
// hours is refused. It fails like [FactReader.Market].
func (r *FactReader) Mining(ctx context.Context, q FactQuery, prices map[int64]decimal.Decimal) ([]MiningFigures, error) {
	if q.Interval == Hour {
		return nil, event.Errorf(event.CodeInvalid, "interval %q: the mining ledger has days and nothing finer: choose one of %v", q.Interval, Intervals()[1:])
	}
	q.Zone = time.UTC
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByType, BySolarSystem)
	if err != nil {
		return nil, err
	}
	figures := newTable[FactGroup, MiningFigures](len(bounds)-1, q.GroupBy)
	p := &query{}
	// A day is the moment at which it begins.
	sql := fmt.Sprintf(`SELECT character_id, toDateTime(day, 'UTC') AS at, solar_system_id, type_id, quantity
		FROM %s.mining FINAL WHERE at >= %s AND at < %s%s LIMIT %d`+finalByPartition,
		database, p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]), q.filters(p, true), r.budget.Facts+1)
	n := 0
	err = r.each(ctx, "reading the mining ledger", sql, p, func(rows driver.Rows) error {
		var character, system, kind, quantity int64
		var at time.Time
		if err := rows.Scan(&character, &at, &system, &kind, &quantity); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("lines of mining ledgers")
		}
		corporation := where.at(character, at)
		if !q.counts(corporation, system) {
			return nil
		}
		list, err := figures.of(q.group(character, corporation, kind, system))
		if err != nil {
			return err
		}
		f := &list[periodOf(bounds, at)]
		f.Quantity += quantity
		if price, known := prices[kind]; known {
			f.Value = f.Value.Add(price.Mul(decimal.NewFromInt(quantity)))
		} else {
			f.UnpricedQuantity += quantity
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []MiningFigures
	for _, g := range figures.inOrder(compareFactGroups) {
		for i, f := range figures.groups[g] {
			f.FactGroup, f.Start, f.End = g, bounds[i], bounds[i+1]
			out = append(out, f)
		}
	}
	return out, nil
}

// SkillFigures are the skill points of one group at the end of one period.
type SkillFigures struct {
	FactGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Characters counts those whose points are known at the end; Total and Unallocated
	// are theirs together, nil if there are none.
	Characters         int64
	Total, Unallocated *int64
	// Gained is by how much the points of those grew that were known at the start, too.
	Gained int64
}

// SkillPoints adds up skill points as they stood at the end of each period: the last
// ones observed before it are carried forward. In groups of corporations a character
// counts for the one it is in at that end. It fails like [FactReader.Market].
func (r *FactReader) SkillPoints(ctx context.Context, q FactQuery) ([]SkillFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation)
	if err != nil {
		return nil, err
	}
	periods := len(bounds) - 1
	figures := newTable[FactGroup, SkillFigures](periods, q.GroupBy)
	p := &query{}
	sql := r.skillPointsSQL(q, p, database, bounds)
	type points struct{ total, unallocated int64 }
	var character int64
	line := make([]*points, periods+1)
	flush := func() error {
		var last *points
		for i, at := range line {
			before := last
			if at != nil {
				last = at
			}
			if i == 0 || last == nil {
				continue
			}
			corporation := where.at(character, bounds[i].Add(-time.Nanosecond))
			if !q.counts(corporation, 0) {
				continue
			}
			list, err := figures.of(q.group(character, corporation, 0, 0))
			if err != nil {
				return err
			}
			f := &list[i-1]
			if f.Total == nil {
				f.Total, f.Unallocated = new(int64), new(int64)
			}
			f.Characters++
			*f.Total += last.total
			*f.Unallocated += last.unallocated
			if before != nil {
				f.Gained += last.total - before.total
			}
		}
		clear(line)
		return nil
	}
	n := 0
	err = r.each(ctx, "reading skill points", sql, p, func(rows driver.Rows) error {
		var id int64
		var bucket uint32
		var at points
		if err := rows.Scan(&id, &bucket, &at.total, &at.unallocated); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("observations of skill points")
		}
		if id != character {
			if err := flush(); err != nil {
				return err
			}
			character = id
		}
		line[periodOf(bounds, time.Unix(int64(bucket), 0))+1] = &at
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, err
	}
	return skillFigures(figures, bounds), nil
}

// skillFigures are the figures of each group, period by period.
func skillFigures(figures *table[FactGroup, SkillFigures], bounds []time.Time) []SkillFigures {
	var out []SkillFigures
	for _, g := range figures.inOrder(compareFactGroups) {
		for i, f := range figures.groups[g] {
			f.FactGroup, f.Start, f.End = g, bounds[i], bounds[i+1]
			out = append(out, f)
		}
	}
	return out
}

// skillPointsSQL takes the last skill points of each character in each period.
func (r *FactReader) skillPointsSQL(q FactQuery, p *query, database string, bounds []time.Time) string {
	// What was observed before the range has a bucket of its own, that begins with time.
	starts := startsOf(append([]time.Time{firstMoment()}, bounds[:len(bounds)-1]...))
	return fmt.Sprintf(`SELECT character_id, roundDown(toUInt32(toUnixTimestamp(observed_at)), %[1]s) AS bucket, argMax(total, observed_at) AS t, argMax(unallocated, observed_at) AS u
		FROM (SELECT p.character_id AS character_id, p.observed_at AS observed_at, p.told OR b.told AS known,
				if(p.told, p.total, b.total) AS total, if(p.told, p.unallocated, b.unallocated) AS unallocated
			FROM (SELECT * FROM %[2]s.skill_points FINAL WHERE observed_at < toDateTime64(%[3]s, 3, 'UTC')%[4]s) AS p
			LEFT ANY JOIN (SELECT event_id, told, total, unallocated FROM %[2]s.skill_points WHERE told) AS b ON b.event_id = p.base_id)
		WHERE known GROUP BY character_id, bucket ORDER BY character_id, bucket LIMIT %[5]d`, starts, database, p.moment(bounds[len(bounds)-1]), q.filters(p, false), r.budget.Facts+1)
}

// startsOf are moments as a list for roundDown. It is written out because it may be too
// long for a parameter; it holds nothing but numbers.
func startsOf(moments []time.Time) string {
	texts := make([]string, len(moments))
	for i, at := range moments {
		texts[i] = strconv.FormatInt(at.Unix(), 10)
	}
	return "CAST([" + strings.Join(texts, ",") + "], 'Array(UInt32)')"
}
