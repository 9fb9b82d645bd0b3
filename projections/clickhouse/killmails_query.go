package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"
)

// Outcomes of a killmail for a character.
const (
	OutcomeKill = "kill"
	OutcomeLoss = "loss"
)

// KillmailFigures are what characters of one group destroyed and lost in one period.
type KillmailFigures struct {
	RecordGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End    time.Time
	Kills, Losses int64
	// FinalBlows and Solo count kills of which the character struck the last blow, and
	// that it made alone.
	FinalBlows, Solo int64
	// DestroyedValue is what the kills were worth, LostValue the losses: ship and things,
	// at the prices given. Amounts are ISK.
	DestroyedValue, LostValue decimal.Decimal
	// Unpriced counts killmails in which something has no price, so that more was lost.
	Unpriced int64
	// Unreadable counts records that are no killmails that can be counted.
	Unreadable int64
}

// Killmails adds up killmails by group and period, each once for each character on
// either side, at a price for each type. It fails like [RecordReader.Contracts].
func (r *RecordReader) Killmails(ctx context.Context, q RecordQuery, prices map[int64]decimal.Decimal) ([]KillmailFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByOutcome, ByShipType, BySolarSystem)
	if err != nil {
		return nil, err
	}
	figures := newPeriodFigures[KillmailFigures](&q, bounds)
	p := &query{}
	sql := fmt.Sprintf(`SELECT character_id, date, readable, loss, final_blow, attackers, ship_type_id, solar_system_id, item_types, item_quantities
		FROM %s.killmails FINAL WHERE date >= %s AND date < %s%s LIMIT %d`+finalByPartition,
		database, p.moment(bounds[0]), p.moment(bounds[len(bounds)-1]), q.filters(p, false), r.facts.budget.Facts+1)
	err = r.each(ctx, "killmails", sql, p, func(rows driver.Rows) error {
		var g RecordGroup
		var at time.Time
		var readable, loss, blow bool
		var attackers int64
		var types, quantities []int64
		if err := rows.Scan(&g.CharacterID, &at, &readable, &loss, &blow, &attackers, &g.TypeID, &g.PlaceID, &types, &quantities); err != nil {
			return err
		}
		g.CorporationID = where.at(g.CharacterID, at)
		switch {
		case !readable:
			return figures.add(at, g, func(f *KillmailFigures) { f.Unreadable++ })
		case loss:
			g.Role = OutcomeLoss
		default:
			g.Role = OutcomeKill
		}
		worth, complete := worthOf(append(types, g.TypeID), append(quantities, 1), prices)
		return figures.add(at, g, func(f *KillmailFigures) {
			if !complete {
				f.Unpriced++
			}
			if loss {
				f.Losses++
				f.LostValue = f.LostValue.Add(worth)
				return
			}
			f.Kills++
			f.DestroyedValue = f.DestroyedValue.Add(worth)
			if blow {
				f.FinalBlows++
			}
			if attackers == 1 {
				f.Solo++
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return figures.all(func(f *KillmailFigures, g RecordGroup, start, end time.Time) {
		f.RecordGroup, f.Start, f.End = g, start, end
	}), nil
}

// worthOf is what quantities of types are worth together; false if one has no price.
func worthOf(types, quantities []int64, prices map[int64]decimal.Decimal) (worth decimal.Decimal, complete bool) {
	complete = true
	for i, t := range types {
		price, known := prices[t]
		complete = complete && known
		worth = worth.Add(price.Mul(decimal.NewFromInt(quantities[i])))
	}
	return worth, complete
}
