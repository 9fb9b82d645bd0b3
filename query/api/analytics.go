package api

import (
	"context"
	"slices"
	"time"
	_ "time/tzdata" // time zones are part of the answer, not of the machine

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// defaultRange is how far back figures go if it is not said.
const defaultRange = 30 * 24 * time.Hour

// WalletAnalytics are figures of wallets over time.
type WalletAnalytics struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Interval string          `json:"interval"`
	TZ       string          `json:"tz"`
	GroupBy  []string        `json:"group_by" nullable:"false"`
	Items    []WalletFigures `json:"items" nullable:"false"`
	RowsAt   []string        `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (a *WalletAnalytics) rows() any { return a.Items }

// WalletFigures are the figures of one group in one interval.
type WalletFigures struct {
	Start          time.Time `json:"start" doc:"Inclusive."`
	End            time.Time `json:"end" doc:"Exclusive."`
	CharacterID    *int64    `json:"character_id,omitempty" doc:"Only if grouped by character."`
	CorporationID  *int64    `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: the one at the time of the entry; 0 if none is known."`
	RefType        *string   `json:"ref_type,omitempty" doc:"Only if grouped by ref_type."`
	Direction      *string   `json:"direction,omitempty" enum:"income,expense" doc:"Only if grouped by direction."`
	CounterpartyID *int64    `json:"counterparty_id,omitempty" doc:"Only if grouped by counterparty: the party of the entry that is not the character; 0 for none."`
	Income         Money     `json:"income" doc:"What came in."`
	Expense        Money     `json:"expense" doc:"What went out, as a positive amount."`
	Net            Money     `json:"net" doc:"Income less expense."`
	Tax            Money     `json:"tax" doc:"What ESI says was taken from entries before their amounts."`
	Entries        int64     `json:"entries"`
	ClosingBalance *Money    `json:"closing_balance" doc:"What the wallets held at the end: by the last entry of each, or by the last balance seen where there is no entry. null before the first known balance, and if grouped by ref_type, direction or counterparty."`
}

type walletInput struct {
	ProvenanceInput

	From           time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To             time.Time `query:"to" doc:"Exclusive; now if left out."`
	AsOf           time.Time `query:"as_of" doc:"Count what Muster had seen by this moment; the range ends there at the latest. Leave it out for now."`
	Interval       string    `query:"interval" enum:"hour,day,week,month,quarter,year" default:"day" doc:"Weeks begin on Monday."`
	TZ             string    `query:"tz" default:"UTC" maxLength:"100" doc:"IANA name of the time zone whose calendar is meant, such as Europe/Berlin."`
	GroupBy        []string  `query:"group_by" enum:"character,corporation,ref_type,direction,counterparty" maxItems:"5" doc:"None, one or several, separated by commas."`
	CharacterID    []int64   `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID  []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: entries made while in one of them."`
	RefType        []string  `query:"ref_type" maxItems:"100" doc:"One or several, separated by commas. Closing balances are those of the whole wallet all the same."`
	CounterpartyID []int64   `query:"counterparty_id" maxItems:"1000" doc:"One or several, separated by commas. Closing balances are those of the whole wallet all the same."`
}

type walletOutput struct {
	Body *WalletAnalytics
}

func (s *Server) registerAnalytics() {
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-wallets", Path: "/v1/analytics/wallet", Tags: []string{tagAnalytics}, Summary: "Income, expense and balance over time",
		Description: "Any range, by the hour to by the year. Intervals without entries are there with zeros, the balance carried forward. The first and the last interval are cut to the range. For a user only the characters that he may open count.",
	}), s.analyseWallets)
	s.registerWalletAnalytics()
}

func (s *Server) analyseWallets(ctx context.Context, in *walletInput) (*walletOutput, error) {
	r, now, err := s.rangeAsOf(RangeInput{From: in.From, To: in.To, TZ: in.TZ}, in.AsOf)
	if err != nil {
		return nil, err
	}
	from, to, zone, err := r.bounds(now)
	if err != nil {
		return nil, err
	}
	q := clickhouse.WalletQuery{
		From: from, To: to, AsOf: in.AsOf, Interval: clickhouse.Interval(in.Interval), Zone: zone,
		CharacterIDs: in.CharacterID, CorporationIDs: in.CorporationID, RefTypes: in.RefType, CounterpartyIDs: in.CounterpartyID,
	}
	for _, d := range in.GroupBy {
		q.GroupBy = append(q.GroupBy, clickhouse.Dimension(d))
	}
	if q.CharacterIDs, err = s.analysed(ctx, eve.SectionWalletJournal, q.CharacterIDs); err != nil {
		return nil, err
	}
	figures, err := s.config.Wallets.Analyse(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &WalletAnalytics{
		From: from.UTC(), To: to.UTC(), Interval: in.Interval, TZ: zone.String(),
		GroupBy: append([]string{}, in.GroupBy...), Items: make([]WalletFigures, len(figures)),
		RowsAt: in.rowsAt("/v1/characters/{id}/wallet-journal", "/v1/characters/{id}/wallet/changes"),
	}
	for i := range figures {
		out.Items[i] = showFigures(&figures[i], q.GroupBy)
	}
	return &walletOutput{Body: out}, nil
}

func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, event.Errorf(event.CodeInvalid, "tz %q: must be the IANA name of a time zone, such as UTC or Europe/Berlin", name)
	}
	return zone, nil
}

func showFigures(f *clickhouse.WalletFigures, by []clickhouse.Dimension) WalletFigures {
	out := WalletFigures{
		Start: f.Start, End: f.End, Income: money(f.Income), Expense: money(f.Expense), Net: money(f.Net), Tax: money(f.Tax),
		Entries: f.Entries, ClosingBalance: optionalMoney(f.ClosingBalance),
	}
	if slices.Contains(by, clickhouse.ByCharacter) {
		out.CharacterID = &f.CharacterID
	}
	if slices.Contains(by, clickhouse.ByCorporation) {
		out.CorporationID = &f.CorporationID
	}
	if slices.Contains(by, clickhouse.ByRefType) {
		out.RefType = &f.RefType
	}
	if slices.Contains(by, clickhouse.ByDirection) {
		out.Direction = &f.Direction
	}
	if slices.Contains(by, clickhouse.ByCounterparty) {
		out.CounterpartyID = &f.CounterpartyID
	}
	return out
}
