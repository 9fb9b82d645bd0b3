package api

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// WalletRange is what every question about wallets over a whole range takes.
type WalletRange struct {
	ProvenanceInput

	From           time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To             time.Time `query:"to" doc:"Exclusive; now if left out."`
	AsOf           time.Time `query:"as_of" doc:"Count what Muster had seen by this moment; the range ends there at the latest. Leave it out for now."`
	CharacterID    []int64   `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID  []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: entries made while in one of them."`
	CounterpartyID []int64   `query:"counterparty_id" maxItems:"1000" doc:"One or several, separated by commas."`
	RefType        []string  `query:"ref_type" maxItems:"100" doc:"One or several, separated by commas."`
}

// walletRows says where the entries are that figures of wallets are made of.
func (in ProvenanceInput) walletRows() []string {
	return in.rowsAt("/v1/characters/{id}/wallet-journal")
}

// walletQuery is the question, about the characters that the caller may open.
func (s *Server) walletQuery(ctx context.Context, in *WalletRange, by []string) (clickhouse.WalletQuery, error) {
	r, now, err := s.rangeAsOf(RangeInput{From: in.From, To: in.To, TZ: "UTC"}, in.AsOf)
	if err != nil {
		return clickhouse.WalletQuery{}, err
	}
	from, to, _, err := r.bounds(now)
	if err != nil {
		return clickhouse.WalletQuery{}, err
	}
	characters, err := s.analysed(ctx, eve.SectionWalletJournal, in.CharacterID)
	return clickhouse.WalletQuery{
		From: from, To: to, AsOf: in.AsOf, GroupBy: dimensions(by), CharacterIDs: characters, CorporationIDs: in.CorporationID, CounterpartyIDs: in.CounterpartyID, RefTypes: in.RefType,
	}, err
}

// WalletOf is what figures of wallets over a whole range are of.
type WalletOf struct {
	CharacterID    *int64  `json:"character_id,omitempty" doc:"Only if grouped by character."`
	CorporationID  *int64  `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: the one at the time of the entry; 0 if none is known."`
	RefType        *string `json:"ref_type,omitempty" doc:"Only if grouped by ref_type."`
	Direction      *string `json:"direction,omitempty" enum:"income,expense" doc:"Only if grouped by direction."`
	CounterpartyID *int64  `json:"counterparty_id,omitempty" doc:"Only if grouped by counterparty: the party of the entry that is not the character; 0 for none."`
}

func showWalletOf(g *clickhouse.WalletGroup, by []string) WalletOf {
	return WalletOf{
		CharacterID: shown(by, "character", &g.CharacterID), CorporationID: shown(by, "corporation", &g.CorporationID), RefType: shown(by, "ref_type", &g.RefType),
		Direction: shown(by, "direction", &g.Direction), CounterpartyID: shown(by, "counterparty", &g.CounterpartyID),
	}
}

// WalletSums are figures over a whole range.
type WalletSums struct {
	Income  Money `json:"income"`
	Expense Money `json:"expense" doc:"As a positive amount."`
	Net     Money `json:"net"`
	Tax     Money `json:"tax"`
	Entries int64 `json:"entries"`
}

func showSums(f *clickhouse.WalletFigures) WalletSums {
	return WalletSums{Income: money(f.Income), Expense: money(f.Expense), Net: money(f.Net), Tax: money(f.Tax), Entries: f.Entries}
}

// WalletTop is who or what has the most.
type WalletTop struct {
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	GroupBy []string        `json:"group_by" nullable:"false"`
	Measure string          `json:"measure"`
	Total   WalletSums      `json:"total" doc:"Of all entries, those of others included."`
	Items   []WalletTopItem `json:"items" nullable:"false"`
	RowsAt  []string        `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (t *WalletTop) rows() any { return t.Items }

// WalletTopItem is one of those that have the most.
type WalletTopItem struct {
	Rank int64 `json:"rank" doc:"From 1."`
	WalletOf
	WalletSums
}

type walletTopInput struct {
	WalletRange
	GroupBy []string `query:"group_by" enum:"character,corporation,ref_type,direction,counterparty" minItems:"1" maxItems:"5" required:"true" doc:"What is ranked: one or several, separated by commas."`
	Measure string   `query:"measure" enum:"income,expense,net,tax,entries" default:"income" doc:"By what."`
	Limit   int      `query:"limit" minimum:"1" maximum:"1000" default:"10"`
}

type walletTopOutput struct{ Body *WalletTop }

// WalletDistribution is how amounts of entries are distributed.
type WalletDistribution struct {
	WalletOf
	Entries int64 `json:"entries"`
	Sum     Money `json:"sum"`
	Min     Money `json:"min"`
	P25     Money `json:"p25"`
	Median  Money `json:"median"`
	P75     Money `json:"p75"`
	P95     Money `json:"p95"`
	Max     Money `json:"max"`
}

// WalletDistributions are how amounts are distributed over a range.
type WalletDistributions struct {
	From    time.Time            `json:"from"`
	To      time.Time            `json:"to"`
	GroupBy []string             `json:"group_by" nullable:"false"`
	Items   []WalletDistribution `json:"items" nullable:"false"`
	RowsAt  []string             `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (d *WalletDistributions) rows() any { return d.Items }

type walletDistributionInput struct {
	WalletRange
	GroupBy []string `query:"group_by" enum:"character,corporation,ref_type,counterparty" maxItems:"4" doc:"None, one or several, separated by commas; income and expense are told apart in any case."`
}

type walletDistributionOutput struct{ Body *WalletDistributions }

// WalletComparison holds a range against one before it.
type WalletComparison struct {
	From       time.Time              `json:"from"`
	To         time.Time              `json:"to"`
	BeforeFrom time.Time              `json:"before_from"`
	BeforeTo   time.Time              `json:"before_to"`
	GroupBy    []string               `json:"group_by" nullable:"false"`
	Items      []WalletComparisonItem `json:"items" nullable:"false"`
	RowsAt     []string               `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (c *WalletComparison) rows() any { return c.Items }

// WalletComparisonItem is a group in both ranges.
type WalletComparisonItem struct {
	WalletOf
	WalletSums
	IncomeBefore  Money `json:"income_before"`
	ExpenseBefore Money `json:"expense_before"`
	NetBefore     Money `json:"net_before"`
	TaxBefore     Money `json:"tax_before"`
	EntriesBefore int64 `json:"entries_before"`
	IncomeChange  Money `json:"income_change" doc:"By how much it is more than before."`
	ExpenseChange Money `json:"expense_change"`
	NetChange     Money `json:"net_change"`
	TaxChange     Money `json:"tax_change"`
}

type walletComparisonInput struct {
	WalletRange
	TZ      string   `query:"tz" default:"UTC" maxLength:"100" doc:"IANA name of the time zone whose calendar says when a year before was."`
	With    string   `query:"with" enum:"previous,year_before" default:"previous" doc:"previous is as long a time just before; year_before the same days of the year before."`
	GroupBy []string `query:"group_by" enum:"character,corporation,ref_type,direction,counterparty" maxItems:"5" doc:"None, one or several, separated by commas."`
}

type walletComparisonOutput struct{ Body *WalletComparison }

func (s *Server) registerWalletAnalytics() {
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "rank-wallets", Path: "/v1/analytics/wallet/top", Tags: []string{tagAnalytics}, Summary: "Who or what brought in or took the most",
	}), s.rankWallets)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "distribute-wallets", Path: "/v1/analytics/wallet/distribution", Tags: []string{tagAnalytics}, Summary: "How the amounts of entries are distributed",
		Description: "Percentiles are amounts of entries (nearest rank), so that each is one that there was.",
	}), s.distributeWallets)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "compare-wallets", Path: "/v1/analytics/wallet/comparison", Tags: []string{tagAnalytics}, Summary: "A time against the one before, or a year before",
	}), s.compareWallets)
}

func (s *Server) rankWallets(ctx context.Context, in *walletTopInput) (*walletTopOutput, error) {
	q, err := s.walletQuery(ctx, &in.WalletRange, in.GroupBy)
	if err != nil {
		return nil, err
	}
	top, total, err := s.config.Wallets.Top(ctx, q, clickhouse.Measure(in.Measure), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &WalletTop{From: q.From.UTC(), To: q.To.UTC(), GroupBy: in.GroupBy, Measure: in.Measure, Total: showSums(&total), RowsAt: in.walletRows(), Items: make([]WalletTopItem, len(top))}
	for i := range top {
		out.Items[i] = WalletTopItem{Rank: int64(i + 1), WalletOf: showWalletOf(&top[i].WalletGroup, in.GroupBy), WalletSums: showSums(&top[i])}
	}
	return &walletTopOutput{Body: out}, nil
}

func (s *Server) distributeWallets(ctx context.Context, in *walletDistributionInput) (*walletDistributionOutput, error) {
	q, err := s.walletQuery(ctx, &in.WalletRange, in.GroupBy)
	if err != nil {
		return nil, err
	}
	all, err := s.config.Wallets.Distribution(ctx, q)
	if err != nil {
		return nil, err
	}
	by := append(slices.Clone(in.GroupBy), "direction")
	out := &WalletDistributions{From: q.From.UTC(), To: q.To.UTC(), GroupBy: append([]string{}, in.GroupBy...), RowsAt: in.walletRows(), Items: make([]WalletDistribution, len(all))}
	for i := range all {
		d := &all[i]
		out.Items[i] = WalletDistribution{
			WalletOf: showWalletOf(&d.WalletGroup, by), Entries: d.Entries, Sum: money(d.Sum),
			Min: money(d.Min), P25: money(d.P25), Median: money(d.Median), P75: money(d.P75), P95: money(d.P95), Max: money(d.Most),
		}
	}
	return &walletDistributionOutput{Body: out}, nil
}

func (s *Server) compareWallets(ctx context.Context, in *walletComparisonInput) (*walletComparisonOutput, error) {
	zone, err := zoneOf(in.TZ)
	if err != nil {
		return nil, err
	}
	q, err := s.walletQuery(ctx, &in.WalletRange, in.GroupBy)
	if err != nil {
		return nil, err
	}
	before := q
	if in.With == "year_before" {
		before.From, before.To = q.From.In(zone).AddDate(-1, 0, 0).UTC(), q.To.In(zone).AddDate(-1, 0, 0).UTC()
	} else {
		before.From, before.To = q.From.Add(-q.To.Sub(q.From)), q.From
	}
	now, err := s.config.Wallets.Totals(ctx, q)
	if err != nil {
		return nil, err
	}
	then, err := s.config.Wallets.Totals(ctx, before)
	if err != nil {
		return nil, err
	}
	return &walletComparisonOutput{Body: &WalletComparison{
		RowsAt: in.walletRows(),
		From:   q.From.UTC(), To: q.To.UTC(), BeforeFrom: before.From.UTC(), BeforeTo: before.To.UTC(), GroupBy: append([]string{}, in.GroupBy...), Items: comparison(now, then, in.GroupBy),
	}}, nil
}

// comparison holds groups of one time against those of another: first those that are
// there now, in their order, then those that are gone.
func comparison(now, then []clickhouse.WalletFigures, by []string) []WalletComparisonItem {
	earlier := map[clickhouse.WalletGroup]clickhouse.WalletFigures{}
	for _, f := range then {
		earlier[f.WalletGroup] = f
	}
	items := []WalletComparisonItem{}
	add := func(f, was *clickhouse.WalletFigures) {
		change := func(now, then decimal.Decimal) Money { return money(now.Sub(then)) }
		items = append(items, WalletComparisonItem{
			WalletOf: showWalletOf(&f.WalletGroup, by), WalletSums: showSums(f),
			IncomeBefore: money(was.Income), ExpenseBefore: money(was.Expense), NetBefore: money(was.Net), TaxBefore: money(was.Tax), EntriesBefore: was.Entries,
			IncomeChange: change(f.Income, was.Income), ExpenseChange: change(f.Expense, was.Expense), NetChange: change(f.Net, was.Net), TaxChange: change(f.Tax, was.Tax),
		})
	}
	for i := range now {
		was := earlier[now[i].WalletGroup]
		delete(earlier, now[i].WalletGroup)
		add(&now[i], &was)
	}
	for i := range then {
		if _, gone := earlier[then[i].WalletGroup]; gone {
			add(&clickhouse.WalletFigures{WalletGroup: then[i].WalletGroup}, &then[i])
		}
	}
	return items
}
