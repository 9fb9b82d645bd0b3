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

// Facts know what characters traded, mined and learned; [clickhouse.FactReader] does.
type Facts interface {
	Market(ctx context.Context, q clickhouse.FactQuery) ([]clickhouse.MarketFigures, error)
	Mining(ctx context.Context, q clickhouse.FactQuery, prices map[int64]decimal.Decimal) ([]clickhouse.MiningFigures, error)
	SkillPoints(ctx context.Context, q clickhouse.FactQuery) ([]clickhouse.SkillFigures, error)
}

// Prices know the prices of the market, in ISK by type; [postgres.CharacterReader]
// does.
type Prices interface {
	Prices(ctx context.Context) (map[int64]decimal.Decimal, error)
}

// FindingTrends know how findings came and went; [clickhouse.FindingTrendReader] does.
type FindingTrends interface {
	Trend(ctx context.Context, q clickhouse.FindingQuery) ([]clickhouse.FindingFigures, error)
}

// RangeInput is what every question about figures over time takes.
type RangeInput struct {
	ProvenanceInput

	From     time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To       time.Time `query:"to" doc:"Exclusive; now if left out."`
	Interval string    `query:"interval" enum:"hour,day,week,month,quarter,year" default:"day" doc:"Weeks begin on Monday."`
	TZ       string    `query:"tz" default:"UTC" maxLength:"100" doc:"IANA name of the time zone whose calendar is meant, such as Europe/Berlin."`
}

// bounds are the range and its zone, with what was left out.
func (in *RangeInput) bounds(now time.Time) (from, to time.Time, zone *time.Location, err error) {
	if zone, err = zoneOf(in.TZ); err != nil {
		return from, to, nil, err
	}
	from, to = in.From, in.To
	if to.IsZero() {
		to = now.Truncate(time.Second)
	}
	if from.IsZero() {
		from = to.Add(-defaultRange)
	}
	return from, to, zone, nil
}

// Figures are figures over time.
type Figures[F any] struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Interval string    `json:"interval"`
	TZ       string    `json:"tz"`
	GroupBy  []string  `json:"group_by" nullable:"false"`
	Items    []F       `json:"items" nullable:"false"`
	RowsAt   []string  `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (f *Figures[F]) rows() any { return f.Items }

type figuresOutput[F any] struct{ Body *Figures[F] }

// of says where the rows are that the figures are made of.
func (o *figuresOutput[F]) of(rows []string) *figuresOutput[F] {
	o.Body.RowsAt = rows
	return o
}

// showAll shows figures with the range that they are of.
func showAll[R, F any](from, to time.Time, zone *time.Location, interval string, by []string, figures []R, show func(*R) F) *figuresOutput[F] {
	out := &Figures[F]{From: from.UTC(), To: to.UTC(), Interval: interval, TZ: zone.String(), GroupBy: append([]string{}, by...), Items: make([]F, len(figures))}
	for i := range figures {
		out.Items[i] = show(&figures[i])
	}
	return &figuresOutput[F]{Body: out}
}

// FactGroup is what figures are of.
type FactGroup struct {
	Start         time.Time `json:"start" doc:"Inclusive."`
	End           time.Time `json:"end" doc:"Exclusive."`
	CharacterID   *int64    `json:"character_id,omitempty" doc:"Only if grouped by character."`
	CorporationID *int64    `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: the one at that moment; 0 if none is known."`
	TypeID        *int64    `json:"type_id,omitempty" doc:"Only if grouped by type."`
	LocationID    *int64    `json:"location_id,omitempty" doc:"Only if grouped by location."`
	SolarSystemID *int64    `json:"solar_system_id,omitempty" doc:"Only if grouped by solar_system."`
}

func showFactGroup(start, end time.Time, g clickhouse.FactGroup, by []string) FactGroup {
	out := FactGroup{Start: start, End: end}
	for dimension, field := range map[clickhouse.Dimension]struct {
		to   **int64
		from int64
	}{
		clickhouse.ByCharacter: {&out.CharacterID, g.CharacterID}, clickhouse.ByCorporation: {&out.CorporationID, g.CorporationID}, clickhouse.ByType: {&out.TypeID, g.TypeID},
		clickhouse.ByLocation: {&out.LocationID, g.PlaceID}, clickhouse.BySolarSystem: {&out.SolarSystemID, g.PlaceID},
	} {
		if slices.Contains(by, string(dimension)) {
			*field.to = &field.from
		}
	}
	return out
}

func dimensions(by []string) []clickhouse.Dimension {
	var out []clickhouse.Dimension
	for _, d := range by {
		out = append(out, clickhouse.Dimension(d))
	}
	return out
}

// MarketFigures are what a group traded in an interval.
type MarketFigures struct {
	FactGroup

	Trades          int64 `json:"trades"`
	BoughtQuantity  int64 `json:"bought_quantity"`
	BoughtValue     Money `json:"bought_value"`
	SoldQuantity    int64 `json:"sold_quantity"`
	SoldValue       Money `json:"sold_value"`
	KnownQuantity   int64 `json:"known_quantity" doc:"How much of what was sold the same character had bought before: only of that the cost is known."`
	UnknownQuantity int64 `json:"unknown_quantity" doc:"The rest: mined, looted, built, or bought before Muster knew."`
	KnownValue      Money `json:"known_value" doc:"What the known quantity was sold for."`
	CostFIFO        Money `json:"cost_fifo" doc:"What it had cost, if bought first is sold first."`
	ProfitFIFO      Money `json:"profit_fifo"`
	CostAverage     Money `json:"cost_average" doc:"What it had cost by the average of all that was there."`
	ProfitAverage   Money `json:"profit_average"`
	Unreadable      int64 `json:"unreadable" doc:"Transactions that ESI told in a way that nobody can count."`
}

type marketInput struct {
	RangeInput
	GroupBy       []string `query:"group_by" enum:"character,corporation,type,location" maxItems:"4" doc:"None, one or several, separated by commas."`
	CharacterID   []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: trades made while in one of them."`
	TypeID        []int64  `query:"type_id" maxItems:"1000" doc:"One or several, separated by commas."`
	LocationID    []int64  `query:"location_id" maxItems:"1000" doc:"One or several stations and structures, separated by commas."`
}

// MiningFigures are what a group mined in an interval.
type MiningFigures struct {
	FactGroup

	Quantity         int64 `json:"quantity" doc:"In units."`
	Value            Money `json:"value" doc:"At the prices that are known now: the log has no prices of the past."`
	UnpricedQuantity int64 `json:"unpriced_quantity" doc:"Units of types without a price."`
}

type miningInput struct {
	ProvenanceInput

	From          time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To            time.Time `query:"to" doc:"Exclusive; now if left out."`
	Interval      string    `query:"interval" enum:"day,week,month,quarter,year" default:"day" doc:"In UTC, in which ESI tells the days. Weeks begin on Monday."`
	GroupBy       []string  `query:"group_by" enum:"character,corporation,type,solar_system" maxItems:"4" doc:"None, one or several, separated by commas."`
	CharacterID   []int64   `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: mined while in one of them, by where the character was when the day began."`
	TypeID        []int64   `query:"type_id" maxItems:"1000" doc:"One or several, separated by commas."`
	SolarSystemID []int64   `query:"solar_system_id" maxItems:"1000" doc:"One or several, separated by commas."`
}

// SkillFigures are the skill points of a group at the end of an interval.
type SkillFigures struct {
	FactGroup

	Characters  int64  `json:"characters" doc:"Those whose skill points are known at the end."`
	Total       *int64 `json:"total" doc:"Their skill points together; null if none are known."`
	Unallocated *int64 `json:"unallocated"`
	Gained      int64  `json:"gained" doc:"By how much those grew that were known at the start, too."`
}

type skillPointsInput struct {
	PastRangeInput
	GroupBy       []string `query:"group_by" enum:"character,corporation" maxItems:"2" doc:"None, one or both, separated by commas."`
	CharacterID   []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: characters that are in one of them at the end of the interval."`
}

// FindingFigures are how findings came and went in an interval.
type FindingFigures struct {
	Start         time.Time `json:"start" doc:"Inclusive."`
	End           time.Time `json:"end" doc:"Exclusive."`
	Consortium    *string   `json:"consortium,omitempty" doc:"Only if grouped by consortium."`
	Model         *string   `json:"model,omitempty" doc:"Only if grouped by model."`
	Scope         *string   `json:"scope,omitempty" doc:"Only if grouped by scope: the group of memberships, the workspace of sharing, else empty."`
	Kind          *string   `json:"kind,omitempty" doc:"Only if grouped by kind."`
	Severity      *string   `json:"severity,omitempty" doc:"Only if grouped by severity."`
	Opened        int64     `json:"opened"`
	Changed       int64     `json:"changed"`
	Resolved      int64     `json:"resolved"`
	Open          int64     `json:"open" doc:"At the end of the interval."`
	MedianSeconds *int64    `json:"median_seconds" doc:"How long those that were resolved had been open; null if none was."`
	P90Seconds    *int64    `json:"p90_seconds" doc:"How long nine of ten of them had been open at most."`
	MeanSeconds   *int64    `json:"mean_seconds"`
}

type findingTrendInput struct {
	PastRangeInput

	GroupBy    []string `query:"group_by" enum:"consortium,model,scope,kind,severity" maxItems:"5" doc:"None, one or several, separated by commas."`
	Consortium []string `query:"consortium" maxItems:"100" doc:"One or several, separated by commas."`
	Model      []string `query:"model" maxItems:"100" doc:"One or several, separated by commas."`
	Scope      []string `query:"scope" maxItems:"100" doc:"One or several groups or workspaces, separated by commas."`
	Kind       []string `query:"kind" maxItems:"100" doc:"One or several, separated by commas."`
	Severity   []string `query:"severity" enum:"high,medium,low" maxItems:"3" doc:"One or several, separated by commas."`
}

func (s *Server) registerFactAnalytics() {
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-market", Path: "/v1/analytics/market", Tags: []string{tagAnalytics}, Summary: "What was bought and sold, and the profit, over time",
		Description: "Without fees and taxes, which the wallet's journal has. What is sold is held against what the same character bought of the type before, since the first transaction that is known.",
	}), func(ctx context.Context, in *marketInput) (*figuresOutput[MarketFigures], error) {
		from, to, zone, err := in.bounds(s.config.Now())
		if err != nil {
			return nil, err
		}
		if in.CharacterID, err = s.analysed(ctx, eve.SectionWalletTransactions, in.CharacterID); err != nil {
			return nil, err
		}
		figures, err := s.config.Facts.Market(ctx, clickhouse.FactQuery{
			From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy),
			CharacterIDs: in.CharacterID, CorporationIDs: in.CorporationID, TypeIDs: in.TypeID, PlaceIDs: in.LocationID,
		})
		if err != nil {
			return nil, err
		}
		return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.MarketFigures) MarketFigures {
			return MarketFigures{
				FactGroup: showFactGroup(f.Start, f.End, f.FactGroup, in.GroupBy), Trades: f.Trades, Unreadable: f.Unreadable,
				BoughtQuantity: f.BoughtQuantity, BoughtValue: money(f.BoughtValue), SoldQuantity: f.SoldQuantity, SoldValue: money(f.SoldValue),
				KnownQuantity: f.KnownQuantity, UnknownQuantity: f.UnknownQuantity, KnownValue: money(f.KnownValue),
				CostFIFO: money(f.CostFIFO), ProfitFIFO: money(f.ProfitFIFO), CostAverage: money(f.CostAverage), ProfitAverage: money(f.ProfitAverage),
			}
		}).of(in.rowsAt("/v1/characters/{id}/wallet-transactions")), nil
	})
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-mining", Path: "/v1/analytics/mining", Tags: []string{tagAnalytics}, Summary: "What was mined, and its value, over time",
	}), func(ctx context.Context, in *miningInput) (*figuresOutput[MiningFigures], error) {
		r := RangeInput{From: in.From, To: in.To, TZ: "UTC"}
		from, to, zone, err := r.bounds(s.config.Now())
		if err != nil {
			return nil, err
		}
		if in.CharacterID, err = s.analysed(ctx, eve.SectionMining, in.CharacterID); err != nil {
			return nil, err
		}
		prices, err := s.config.Prices.Prices(ctx)
		if err != nil {
			return nil, err
		}
		figures, err := s.config.Facts.Mining(ctx, clickhouse.FactQuery{
			From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy),
			CharacterIDs: in.CharacterID, CorporationIDs: in.CorporationID, TypeIDs: in.TypeID, PlaceIDs: in.SolarSystemID,
		}, prices)
		if err != nil {
			return nil, err
		}
		return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.MiningFigures) MiningFigures {
			return MiningFigures{FactGroup: showFactGroup(f.Start, f.End, f.FactGroup, in.GroupBy), Quantity: f.Quantity, Value: money(f.Value), UnpricedQuantity: f.UnpricedQuantity}
		}).of(in.rowsAt("/v1/characters/{id}/mining")), nil
	})
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-skill-points", Path: "/v1/analytics/skills/points", Tags: []string{tagAnalytics}, Summary: "Skill points over time",
		Description: "At the end of each interval; the last ones observed are carried forward.",
	}), func(ctx context.Context, in *skillPointsInput) (*figuresOutput[SkillFigures], error) {
		from, to, zone, err := s.past(&in.PastRangeInput)
		if err != nil {
			return nil, err
		}
		if in.CharacterID, err = s.analysed(ctx, eve.SectionSkills, in.CharacterID); err != nil {
			return nil, err
		}
		figures, err := s.config.Facts.SkillPoints(ctx, clickhouse.FactQuery{
			From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy), CharacterIDs: in.CharacterID, CorporationIDs: in.CorporationID,
		})
		if err != nil {
			return nil, err
		}
		return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.SkillFigures) SkillFigures {
			return SkillFigures{FactGroup: showFactGroup(f.Start, f.End, f.FactGroup, in.GroupBy), Characters: f.Characters, Total: f.Total, Unallocated: f.Unallocated, Gained: f.Gained}
		}).of(in.rowsAt("/v1/characters/{id}/skills", "/v1/characters/{id}/skills/changes")), nil
	})
	register(s, access.ActionReadAnvil, asTable(huma.Operation{
		OperationID: "analyse-findings", Path: "/v1/analytics/anvil/findings", Tags: []string{tagAnalytics}, Summary: "How findings of AnVIL came and went, and how long they stayed",
	}), s.analyseFindings)
}

func (s *Server) analyseFindings(ctx context.Context, in *findingTrendInput) (*figuresOutput[FindingFigures], error) {
	from, to, zone, err := s.past(&in.PastRangeInput)
	if err != nil {
		return nil, err
	}
	figures, err := s.config.FindingTrends.Trend(ctx, clickhouse.FindingQuery{
		From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(in.GroupBy),
		Consortia: in.Consortium, Models: in.Model, Scopes: in.Scope, Kinds: in.Kind, Severities: in.Severity,
	})
	if err != nil {
		return nil, err
	}
	return showAll(from, to, zone, in.Interval, in.GroupBy, figures, func(f *clickhouse.FindingFigures) FindingFigures {
		out := FindingFigures{
			Start: f.Start, End: f.End, Opened: f.Opened, Changed: f.Changed, Resolved: f.Resolved, Open: f.Open, MedianSeconds: f.MedianSeconds, P90Seconds: f.P90Seconds, MeanSeconds: f.MeanSeconds,
		}
		for _, d := range []struct {
			dimension clickhouse.Dimension
			to        **string
			from      *string
		}{
			{clickhouse.ByConsortium, &out.Consortium, &f.Consortium},
			{clickhouse.ByModel, &out.Model, &f.Model},
			{clickhouse.ByScope, &out.Scope, &f.Scope},
			{clickhouse.ByKind, &out.Kind, &f.Kind},
			{clickhouse.BySeverity, &out.Severity, &f.Severity},
		} {
			if slices.Contains(in.GroupBy, string(d.dimension)) {
				*d.to = d.from
			}
		}
		return out
	}).of(in.rowsAt("/v1/findings")), nil
}
