package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/event"
)

// whole is a question about a range as one period, whatever its interval.
func (r *WalletReader) whole(ctx context.Context, q WalletQuery) (analysis, error) {
	q.Interval = Year
	a, err := r.begin(ctx, q)
	if err == nil {
		a.bounds = []time.Time{a.bounds[0], a.bounds[len(a.bounds)-1]}
	}
	return a, err
}

func (r *WalletReader) flows(ctx context.Context, a analysis, ending string) ([]WalletFigures, error) {
	var flows []sums
	p := &query{}
	sql := a.flowsSQL(p, ending)
	if err := r.conn.Select(r.budget.within(ctx), &flows, sql, p.arguments...); err != nil {
		return nil, r.budget.error("summing up wallet journals", err)
	}
	if len(flows) > MaxFigures {
		return nil, event.Errorf(event.CodeInvalid, "the answer would have more than %d groups: choose a shorter range, fewer dimensions or a filter", MaxFigures)
	}
	out := make([]WalletFigures, len(flows))
	for i, f := range flows {
		out[i] = WalletFigures{WalletGroup: f.group(), Start: a.bounds[0], End: a.bounds[1]}
		f.into(&out[i])
	}
	return out, nil
}

// Totals sums up wallet journals by group over the whole range, without balances. Groups
// without entries are left out. The interval means nothing. It fails like
// [WalletReader.Analyse].
func (r *WalletReader) Totals(ctx context.Context, q WalletQuery) ([]WalletFigures, error) {
	a, err := r.whole(ctx, q)
	if err != nil {
		return nil, err
	}
	out, err := r.flows(ctx, a, fmt.Sprintf("LIMIT %d", MaxFigures+1))
	slices.SortFunc(out, func(a, b WalletFigures) int { return compareGroups(a.WalletGroup, b.WalletGroup) })
	return out, err
}

// Measure is what top lists are ordered by.
type Measure string

// The measures.
const (
	MeasureIncome  Measure = "income"
	MeasureExpense Measure = "expense"
	MeasureNet     Measure = "net"
	MeasureTax     Measure = "tax"
	MeasureEntries Measure = "entries"
)

// MaxTop is the longest top list.
const MaxTop = 1000

// Top are the groups with the most of a measure over the whole range, at most limit,
// those with as much in the order of groups; and all entries together. Groups of which
// the measure is zero are left out. It fails like [WalletReader.Analyse], and with
// [event.CodeInvalid] for a measure or limit that cannot be.
func (r *WalletReader) Top(ctx context.Context, q WalletQuery, by Measure, limit int) (top []WalletFigures, total WalletFigures, err error) {
	expression := map[Measure]string{MeasureIncome: "income", MeasureExpense: "expense", MeasureNet: "income - expense", MeasureTax: "tax_sum", MeasureEntries: "entries"}[by]
	if expression == "" {
		return nil, total, event.Errorf(event.CodeInvalid, "measure %q: must be income, expense, net, tax or entries", by)
	}
	if limit < 1 || limit > MaxTop {
		return nil, total, event.Errorf(event.CodeInvalid, "limit %d: must be between 1 and %d", limit, MaxTop)
	}
	a, err := r.whole(ctx, q)
	if err != nil {
		return nil, total, err
	}
	top, err = r.flows(ctx, a, fmt.Sprintf("HAVING %[1]s != 0 ORDER BY %[1]s DESC, character_id, corporation_id, ref_type, direction DESC, counterparty_id LIMIT %[2]d", expression, limit))
	if err != nil {
		return nil, total, err
	}
	a.GroupBy = nil
	all, err := r.flows(ctx, a, "LIMIT 1")
	total = WalletFigures{Start: a.bounds[0], End: a.bounds[1]}
	if len(all) > 0 {
		total = all[0]
	}
	return top, total, err
}

// WalletDistribution is how the amounts of entries of one group in one direction are
// distributed. Amounts are positive, and percentiles amounts of entries (nearest rank).
type WalletDistribution struct {
	WalletGroup

	Entries                          int64
	Sum                              decimal.Decimal
	Min, P25, Median, P75, P95, Most decimal.Decimal
}

// Distribution tells how amounts are distributed over the whole range, always by
// direction. Groups come in order. It fails like [WalletReader.Analyse].
func (r *WalletReader) Distribution(ctx context.Context, q WalletQuery) ([]WalletDistribution, error) {
	q.GroupBy = slices.Clone(q.GroupBy)
	if !slices.Contains(q.GroupBy, ByDirection) {
		q.GroupBy = append(q.GroupBy, ByDirection)
	}
	a, err := r.whole(ctx, q)
	if err != nil {
		return nil, err
	}
	amounts := map[WalletGroup][]decimal.Decimal{}
	p := &query{}
	sql := fmt.Sprintf("SELECT character_id, corporation_id, ref_type, direction, counterparty_id, abs(amount) FROM (%s) LIMIT %d"+finalByPartition, a.entriesSQL(p), r.budget.Facts+1)
	n := 0
	err = eachRow(ctx, r.conn, r.budget, "reading the amounts of wallet journals", sql, p, func(rows driver.Rows) error {
		var g WalletGroup
		var amount decimal.Decimal
		if err := rows.Scan(&g.CharacterID, &g.CorporationID, &g.RefType, &g.Direction, &g.CounterpartyID, &amount); err != nil {
			return err
		}
		if n++; n > r.budget.Facts {
			return r.budget.tooMany("entries of wallet journals")
		}
		amounts[g] = append(amounts[g], amount)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(amounts) > MaxFigures {
		return nil, event.Errorf(event.CodeInvalid, "the answer would have %d groups, more than %d: choose a shorter range, fewer dimensions or a filter", len(amounts), MaxFigures)
	}
	out := make([]WalletDistribution, 0, len(amounts))
	for g, list := range amounts {
		out = append(out, distributionOf(g, list))
	}
	slices.SortFunc(out, func(a, b WalletDistribution) int { return compareGroups(a.WalletGroup, b.WalletGroup) })
	return out, nil
}

func distributionOf(g WalletGroup, amounts []decimal.Decimal) WalletDistribution {
	slices.SortFunc(amounts, decimal.Decimal.Cmp)
	at := func(percent int) decimal.Decimal { return amounts[max(0, (len(amounts)*percent+99)/100-1)] }
	d := WalletDistribution{WalletGroup: g, Entries: int64(len(amounts)), Min: at(0), P25: at(25), Median: at(50), P75: at(75), P95: at(95), Most: at(100)}
	for _, amount := range amounts {
		d.Sum = d.Sum.Add(amount)
	}
	return d
}
