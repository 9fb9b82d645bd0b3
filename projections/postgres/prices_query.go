package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// Prices are the prices of the market as they are known now, in ISK by type: the
// average one, or the adjusted one where there is no average. There are none before
// they were first asked of ESI. The log has no prices, so there are none of the past.
func (r *CharacterReader) Prices(ctx context.Context) (map[int64]decimal.Decimal, error) {
	prices := map[int64]decimal.Decimal{}
	if there, err := r.there(ctx, "universe.price"); err != nil || !there {
		return prices, err
	}
	rows, err := r.pool.Query(ctx, `SELECT type_id, coalesce(average, adjusted)::text FROM universe.price WHERE coalesce(average, adjusted) IS NOT NULL`)
	if err != nil {
		return nil, queryError("reading prices", err)
	}
	var id int64
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error {
		price, err := decimal.NewFromString(text)
		prices[id] = price
		return err
	}); err != nil {
		return nil, queryError("reading prices", err)
	}
	return prices, nil
}
