package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/event"
)

// Dimension is something that wallet figures can be grouped by.
type Dimension string

// The dimensions. The corporation is the one that the character was in at the
// time of the entry; before the first known one it is taken to be that one.
const (
	ByCharacter   Dimension = "character"
	ByCorporation Dimension = "corporation"
	ByRefType     Dimension = "ref_type"
	ByDirection   Dimension = "direction"
)

// Dimensions lists the dimensions, in the order in which they are shown.
func Dimensions() []Dimension {
	return []Dimension{ByCharacter, ByCorporation, ByRefType, ByDirection, ByCounterparty}
}

// Directions of an entry: one of a negative amount is an expense, any other an
// income.
const (
	DirectionIncome  = "income"
	DirectionExpense = "expense"
)

// MaxFigures is the largest number of figures, which is groups times periods, of
// one answer.
const MaxFigures = 100_000

// WalletQuery says which figures to compute. Zero fields do not filter.
type WalletQuery struct {
	// From is inclusive, To exclusive.
	From, To time.Time
	Interval Interval
	// Zone is the time zone of the calendar; UTC if nil.
	Zone    *time.Location
	GroupBy []Dimension
	// AsOf leaves out what Muster saw later; zero for nothing. What retention has removed
	// since is not known of that time either.
	AsOf time.Time

	// CounterpartyIDs are the parties of entries that are not the character.
	CharacterIDs, CorporationIDs, CounterpartyIDs []int64
	RefTypes                                      []string
}

// WalletGroup is what figures are of. Fields of dimensions that were not asked
// for are zero.
type WalletGroup struct {
	CharacterID int64
	// CorporationID is zero if none is known.
	CorporationID int64
	RefType       string
	Direction     string
	// CounterpartyID is the party of an entry that is not the character; zero for none.
	CounterpartyID int64
}

// WalletFigures are the figures of one group in one period. Amounts are ISK with
// two decimals, and exact.
type WalletFigures struct {
	WalletGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Income is the sum of what came in, Expense of what went out; both are
	// positive. Net is their difference. Amounts are after tax, as ESI has them.
	Income, Expense, Net decimal.Decimal
	// Tax is what ESI says was taken from entries before their amounts.
	Tax     decimal.Decimal
	Entries int64
	// ClosingBalance is what the wallets of the group held at the end of the
	// period; nil before the first known balance, and when grouped by ref type,
	// direction or counterparty, which have no balance. See [WalletReader.Analyse].
	ClosingBalance *decimal.Decimal
}

// sums are the figures of a group in a period, as ClickHouse answers.
type sums struct {
	Bucket         uint32          `ch:"bucket"`
	CharacterID    int64           `ch:"character_id"`
	CorporationID  int64           `ch:"corporation_id"`
	RefType        string          `ch:"ref_type"`
	Direction      string          `ch:"direction"`
	CounterpartyID int64           `ch:"counterparty_id"`
	Income         decimal.Decimal `ch:"income"`
	Expense        decimal.Decimal `ch:"expense"`
	Tax            decimal.Decimal `ch:"tax_sum"`
	Entries        uint64          `ch:"entries"`
}

// change is by how much the balance of a group differs from the period before.
type change struct {
	Bucket        uint32          `ch:"bucket"`
	CharacterID   int64           `ch:"character_id"`
	CorporationID int64           `ch:"corporation_id"`
	Delta         decimal.Decimal `ch:"delta"`
}

// Analyse sums up wallet journals by group and period. Groups come in order,
// each with all its periods: those without entries are there with zeros and the
// balance carried forward. Without any group there is one that holds everything.
//
// A closing balance is the sum, over characters, of the balance that the last
// entry before the end of the period left. A character with no entry until then
// counts with the last balance seen in its wallet, because ESI keeps journals
// for 30 days only. Where there is an entry it is preferred even if a balance was
// seen later: ESI serves balances from a cache of its own, so only the journal
// fits its entries exactly. In groups of corporations a character counts for the
// one it is in at the end of the period; the filters of ref types and counterparties
// do not touch balances.
//
// It fails with [event.CodeInvalid] for a range, interval or dimension that
// cannot be, or if the answer would have more than [MaxBuckets] periods or
// [MaxFigures] figures or go over the [DefaultBudget], and with [event.CodeUnavailable] if the projection or
// ClickHouse is not there.
func (r *WalletReader) Analyse(ctx context.Context, q WalletQuery) ([]WalletFigures, error) {
	a, err := r.begin(ctx, q)
	if err != nil {
		return nil, err
	}
	ctx = r.budget.within(ctx)

	var flows []sums
	parameters := &query{}
	sql := a.flowsSQL(parameters, fmt.Sprintf("LIMIT %d", MaxFigures+1))
	if err := r.conn.Select(ctx, &flows, sql, parameters.arguments...); err != nil {
		return nil, r.budget.error("summing up wallet journals", err)
	}
	var changes []change
	if a.hasBalance() {
		parameters = &query{}
		sql = a.balancesSQL(parameters)
		if err := r.conn.Select(ctx, &changes, sql, parameters.arguments...); err != nil {
			return nil, r.budget.error("reading closing balances", err)
		}
	}
	return a.figures(flows, changes)
}

// begin checks a question and makes out its periods.
func (r *WalletReader) begin(ctx context.Context, q WalletQuery) (analysis, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	if err := checkDimensions(q.GroupBy, Dimensions()); err != nil {
		return analysis{}, err
	}
	bounds, err := Bounds(q.From, q.To, q.Interval, q.Zone)
	if err != nil {
		return analysis{}, err
	}
	database, err := r.database(ctx)
	return analysis{WalletQuery: q, bounds: bounds, database: database}, err
}

// analysis is one question with its periods.
type analysis struct {
	WalletQuery

	bounds   []time.Time
	database string
}

// hasBalance tells whether the groups have a balance of their own.
func (a analysis) hasBalance() bool {
	return !a.by(ByRefType) && !a.by(ByDirection) && !a.by(ByCounterparty)
}

func (a analysis) by(d Dimension) bool { return slices.Contains(a.GroupBy, d) }

// needsCorporation tells whether entries have to be matched with corporations.
func (a analysis) needsCorporation() bool { return a.by(ByCorporation) || len(a.CorporationIDs) > 0 }

// starts are the periods' first moments as a list for roundDown. It is written
// out because it may be too long for a parameter; it holds nothing but numbers.
func (a analysis) starts() string {
	var b strings.Builder
	b.WriteString("CAST([")
	for i, at := range a.bounds[:len(a.bounds)-1] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(at.Unix(), 10))
	}
	b.WriteString("], 'Array(UInt32)')")
	return b.String()
}

// known is a condition that a moment is not after that of the question.
func (a analysis) known(q *query, column string) string {
	if a.AsOf.IsZero() {
		return "true"
	}
	return column + " <= fromUnixTimestamp64Milli(" + q.integer(a.AsOf.UnixMilli()) + ", 'UTC')"
}

// memberships is a subquery of who was in which corporation since when. The
// first known one counts from the beginning of time.
func (a analysis) memberships(q *query) string {
	return fmt.Sprintf(`(SELECT character_id, corporation_id,
			if(row_number() OVER (PARTITION BY character_id ORDER BY since) = 1, toDateTime64(0, 3, 'UTC'), since) AS since
		FROM %s.affiliations AS f FINAL WHERE %s)`, a.database, a.known(q, "f.since"))
}

// dimension is the expression of a dimension if it was asked for, else one that
// is the same for all rows.
func (a analysis) dimension(d Dimension, expression, neutral string) string {
	if a.by(d) {
		return expression
	}
	return neutral
}

// counterparty is the party of an entry that is not the character.
const counterparty = "if(first_party_id = character_id, second_party_id, first_party_id)"

// flowsSQL sums up entries by group and period; ending orders and bounds the sums.
func (a analysis) flowsSQL(q *query, ending string) string {
	entries := a.entriesSQL(q)
	return fmt.Sprintf(`SELECT roundDown(toUnixTimestamp(date), %s) AS bucket, character_id, corporation_id, ref_type, direction, counterparty_id,
			sumIf(amount, amount > 0) AS income, -sumIf(amount, amount < 0) AS expense, sum(tax) AS tax_sum, toUInt64(count()) AS entries
		FROM (%s) GROUP BY bucket, character_id, corporation_id, ref_type, direction, counterparty_id %s`+finalByPartition, a.starts(), entries, ending)
}

// entriesSQL are the entries that a question is about, with the fields that it groups by.
func (a analysis) entriesSQL(q *query) string {
	where := []string{"date >= " + q.moment(a.bounds[0]), "date < " + q.moment(a.bounds[len(a.bounds)-1]), a.known(q, "observed_at")}
	if len(a.CharacterIDs) > 0 {
		where = append(where, "character_id IN "+q.integers(a.CharacterIDs))
	}
	if len(a.RefTypes) > 0 {
		where = append(where, "ref_type IN "+q.texts(a.RefTypes))
	}
	if len(a.CounterpartyIDs) > 0 {
		where = append(where, counterparty+" IN "+q.integers(a.CounterpartyIDs))
	}
	join, filter, corporation := "", "", "toInt64(0)"
	if a.needsCorporation() {
		join = "ASOF LEFT JOIN " + a.memberships(q) + " AS m ON m.character_id = j.character_id AND m.since <= j.at"
		corporation = "m.corporation_id"
		if len(a.CorporationIDs) > 0 {
			filter = "WHERE m.corporation_id IN " + q.integers(a.CorporationIDs)
		}
	}
	return fmt.Sprintf(`SELECT j.date AS date, j.amount AS amount, j.tax AS tax, %s AS character_id, %s AS corporation_id, %s AS ref_type, %s AS direction, %s AS counterparty_id
		FROM (SELECT character_id, date, toDateTime64(date, 3, 'UTC') AS at, ref_type, amount, tax, %s AS other FROM %s.wallet_journal FINAL WHERE %s) AS j
		%s %s`,
		a.dimension(ByCharacter, "j.character_id", "toInt64(0)"),
		a.dimension(ByCorporation, corporation, "toInt64(0)"),
		a.dimension(ByRefType, "toString(j.ref_type)", "''"),
		a.dimension(ByDirection, "if(j.amount < 0, '"+DirectionExpense+"', '"+DirectionIncome+"')", "''"),
		a.dimension(ByCounterparty, "j.other", "toInt64(0)"),
		counterparty, a.database, strings.Join(where, " AND "), join, filter)
}

// balancesSQL asks for the changes of balances between periods. Everything
// before the first period is part of it, because roundDown gives the first
// element for what is below it. For each character the balances by the journal,
// those seen, and the corporations are put on one line of periods and carried
// forward; where the balance or the corporation differs from the period before,
// the old balance is taken from the old group and the new one given to the new.
func (a analysis) balancesSQL(q *query) string {
	end := q.moment(a.bounds[len(a.bounds)-1])
	starts := a.starts()
	character, known := "", " AND "+a.known(q, "observed_at")
	if len(a.CharacterIDs) > 0 {
		character = " AND character_id IN " + q.integers(a.CharacterIDs)
	}
	points := fmt.Sprintf(`SELECT character_id, roundDown(toUnixTimestamp(date), %[1]s) AS bucket,
				argMax(balance, (date, id)) AS journal, CAST(NULL, 'Nullable(Decimal(20, 2))') AS seen, CAST(NULL, 'Nullable(Int64)') AS corporation
			FROM %[2]s.wallet_journal FINAL WHERE date < %[3]s AND balance IS NOT NULL%[4]s%[5]s GROUP BY character_id, bucket
		UNION ALL SELECT character_id, roundDown(toUInt32(toUnixTimestamp(observed_at)), %[1]s) AS bucket,
				CAST(NULL, 'Nullable(Decimal(20, 2))'), CAST(argMax(balance, observed_at), 'Nullable(Decimal(20, 2))'), CAST(NULL, 'Nullable(Int64)')
			FROM %[2]s.balances FINAL WHERE observed_at < toDateTime64(%[3]s, 3, 'UTC')%[4]s%[5]s GROUP BY character_id, bucket`, starts, a.database, end, character, known)
	keep, corporation := "", "toInt64(0)"
	if a.needsCorporation() {
		points += fmt.Sprintf(`
		UNION ALL SELECT character_id, roundDown(toUInt32(toUnixTimestamp(since)), %[1]s) AS bucket,
				CAST(NULL, 'Nullable(Decimal(20, 2))'), CAST(NULL, 'Nullable(Decimal(20, 2))'), CAST(argMax(corporation_id, since), 'Nullable(Int64)')
			FROM %[2]s WHERE since < toDateTime64(%[3]s, 3, 'UTC')%[4]s GROUP BY character_id, bucket`, starts, a.memberships(q), end, character)
		corporation = "ifNull(anyLast(corporation) OVER w, 0)"
		if len(a.CorporationIDs) > 0 {
			keep = "WHERE part.1 IN " + q.integers(a.CorporationIDs)
		}
	}
	return fmt.Sprintf(`SELECT bucket, %s AS character_id, %s AS corporation_id, sum(part.2) AS delta
		FROM (
			SELECT character_id, bucket, arrayJoin(if(known,
					if(was_known, [(corporation, balance), (old_corporation, -old_balance)], [(corporation, balance)]), [])) AS part
			FROM (
				SELECT character_id, bucket, corporation, balance, known,
					lagInFrame(corporation) OVER l AS old_corporation, lagInFrame(balance) OVER l AS old_balance, lagInFrame(known) OVER l AS was_known
				FROM (
					SELECT character_id, bucket, %s AS corporation,
						coalesce(anyLast(journal) OVER w, anyLast(seen) OVER w) AS carried,
						isNotNull(carried) AS known, ifNull(carried, toDecimal64(0, 2)) AS balance
					FROM (SELECT character_id, bucket, any(journal) AS journal, any(seen) AS seen, any(corporation) AS corporation
						FROM (%s) GROUP BY character_id, bucket)
					WINDOW w AS (PARTITION BY character_id ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
				)
				WINDOW l AS (PARTITION BY character_id ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
			)
		)
		%s GROUP BY bucket, character_id, corporation_id ORDER BY bucket LIMIT %d`+finalByPartition,
		a.dimension(ByCharacter, "character_id", "toInt64(0)"), a.dimension(ByCorporation, "part.1", "toInt64(0)"),
		corporation, points, keep, MaxFigures+1)
}

// figures puts the answers together, and fills the gaps.
func (a analysis) figures(flows []sums, changes []change) ([]WalletFigures, error) {
	periods := len(a.bounds) - 1
	index := make(map[uint32]int, periods)
	for i, at := range a.bounds[:periods] {
		index[uint32(at.Unix())] = i
	}
	groups := map[WalletGroup]int{}
	if len(a.GroupBy) == 0 {
		groups[WalletGroup{}] = 0
	}
	for _, f := range flows {
		groups[f.group()] = 0
	}
	for _, c := range changes {
		groups[c.group()] = 0
	}
	if len(groups)*periods > MaxFigures || len(flows) > MaxFigures || len(changes) > MaxFigures {
		return nil, event.Errorf(event.CodeInvalid, "the answer would have more than %d figures (%d groups or more, %d intervals): choose a coarser interval, a shorter range, fewer dimensions or a filter", MaxFigures, len(groups), periods)
	}
	order := make([]WalletGroup, 0, len(groups))
	for g := range groups {
		order = append(order, g)
	}
	slices.SortFunc(order, compareGroups)
	out := make([]WalletFigures, len(order)*periods)
	for n, g := range order {
		groups[g] = n * periods
		for i := range periods {
			out[n*periods+i] = WalletFigures{WalletGroup: g, Start: a.bounds[i], End: a.bounds[i+1]}
		}
	}
	for _, f := range flows {
		at, ok := index[f.Bucket]
		if !ok {
			return nil, fmt.Errorf("BUG: ClickHouse answered with a period that begins at %d, which was not asked for", f.Bucket)
		}
		w := &out[groups[f.group()]+at]
		f.into(w)
	}
	for _, c := range changes {
		at, ok := index[c.Bucket]
		if !ok {
			return nil, fmt.Errorf("BUG: ClickHouse answered with a period that begins at %d, which was not asked for", c.Bucket)
		}
		out[groups[c.group()]+at].ClosingBalance = &c.Delta
	}
	if len(changes) > 0 {
		carry(out, periods)
	}
	return out, nil
}

// carry makes balances of their changes.
func carry(out []WalletFigures, periods int) {
	for first := 0; first < len(out); first += periods {
		var balance *decimal.Decimal
		for i := first; i < first+periods; i++ {
			if delta := out[i].ClosingBalance; delta != nil {
				sum := *delta
				if balance != nil {
					sum = balance.Add(*delta)
				}
				balance = &sum
			}
			out[i].ClosingBalance = balance
		}
	}
}

func (s sums) group() WalletGroup {
	return WalletGroup{CharacterID: s.CharacterID, CorporationID: s.CorporationID, RefType: s.RefType, Direction: s.Direction, CounterpartyID: s.CounterpartyID}
}

func (s sums) into(w *WalletFigures) {
	w.Income, w.Expense, w.Net, w.Tax, w.Entries = s.Income, s.Expense, s.Income.Sub(s.Expense), s.Tax, int64(s.Entries)
}

func (c change) group() WalletGroup {
	return WalletGroup{CharacterID: c.CharacterID, CorporationID: c.CorporationID}
}

func compareGroups(a, b WalletGroup) int {
	return cmp.Or(cmp.Compare(a.CharacterID, b.CharacterID), cmp.Compare(a.CorporationID, b.CorporationID),
		cmp.Compare(a.RefType, b.RefType), cmp.Compare(b.Direction, a.Direction), cmp.Compare(a.CounterpartyID, b.CounterpartyID))
}
