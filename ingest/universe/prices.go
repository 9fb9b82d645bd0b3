package universe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// marketPrice is what ESI tells of a type's price, in ISK. It may lack either.
type marketPrice struct {
	TypeID   int64           `json:"type_id"`
	Average  json.RawMessage `json:"average_price"`
	Adjusted json.RawMessage `json:"adjusted_price"`
}

// prices are columns of the table of prices; empty texts are nulls.
type prices struct {
	types             []int64
	averages, adjusts []string
	// unreadable counts what was left out.
	unreadable int
}

// decodePrices reads ESI's list of prices. Lines that cannot be read are left out and
// counted; a list of which none can be read is none.
func decodePrices(body []byte) (prices, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return prices{}, event.Errorf(event.CodeInvalid, "prices must be a list: %w", err)
	}
	var p prices
	seen := make(map[int64]bool, len(list))
	for _, line := range list {
		var m marketPrice
		average, ok1 := "", true
		adjusted, ok2 := "", true
		err := json.Unmarshal(line, &m)
		if err == nil {
			average, ok1 = isk(m.Average)
			adjusted, ok2 = isk(m.Adjusted)
		}
		if err != nil || !ok1 || !ok2 || m.TypeID <= 0 || seen[m.TypeID] {
			p.unreadable++
			continue
		}
		seen[m.TypeID] = true
		p.types, p.averages, p.adjusts = append(p.types, m.TypeID), append(p.averages, average), append(p.adjusts, adjusted)
	}
	if len(p.types) == 0 && len(list) > 0 {
		return p, event.Errorf(event.CodeInvalid, "none of the %d prices can be read", len(list))
	}
	return p, nil
}

// isk is an amount as a decimal number; empty if there is none.
func isk(number json.RawMessage) (string, bool) {
	if len(number) == 0 || string(number) == "null" {
		return "", true
	}
	if len(number) > 40 {
		return "", false
	}
	d, err := decimal.NewFromString(string(number))
	// An exponent could make a number of a gigabyte.
	if err != nil || d.Exponent() > 30 || d.Exponent() < -60 {
		return "", false
	}
	return d.String(), true
}

// prices asks for the prices of the market when they are old.
func (r *Resolver) prices(ctx context.Context) (time.Time, error) {
	now := r.config.Now().UTC()
	var checked, expires time.Time
	var etag string
	err := r.config.Pool.QueryRow(ctx, `SELECT checked_at, expires_at, etag FROM universe.price_state`).Scan(&checked, &expires, &etag)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fmt.Errorf("reading how the prices stand: %w", err)
	}
	due := checked.Add(r.config.Settings.Prices)
	if expires.After(due) {
		due = expires
	}
	if now.Before(due) {
		return due.UTC(), nil
	}
	request := transport.Request{Route: catalogue.MarketPrices()}
	if etag != "" {
		request.Prior, request.Complete = []transport.Page{{ETag: etag}}, 1
	}
	answer, failure, later, err := r.ask(ctx, request)
	switch {
	case err != nil || !later.IsZero():
		return later, err
	case failure != nil:
		r.odd(ctx, failure)
		return now.Add(10 * time.Minute), nil
	case answer.NotModified:
		_, err := r.config.Pool.Exec(ctx, `UPDATE universe.price_state SET checked_at = $1, expires_at = $2`, now, answer.ExpiresAt)
		return time.Time{}, err
	}
	list, err := decodePrices(answer.Pages[0].Body)
	if err != nil {
		r.config.Logger.WarnContext(ctx, "ESI's prices cannot be read; the old ones stay", "error", err)
		return latest(now.Add(time.Hour), answer.ExpiresAt), nil
	}
	if list.unreadable > 0 {
		r.config.Logger.WarnContext(ctx, "some of ESI's prices cannot be read and are left out", "prices", list.unreadable)
	}
	return time.Time{}, r.takePrices(ctx, list, answer, now)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// takePrices replaces the prices, in one transaction.
func (r *Resolver) takePrices(ctx context.Context, list prices, answer transport.Answer, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO universe.price AS t (type_id, average, adjusted)
		SELECT type_id, nullif(average, '')::numeric, nullif(adjusted, '')::numeric FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (type_id, average, adjusted)
		ON CONFLICT (type_id) DO UPDATE SET average = excluded.average, adjusted = excluded.adjusted
		WHERE (t.average, t.adjusted) IS DISTINCT FROM (excluded.average, excluded.adjusted)`, list.types, list.averages, list.adjusts)
	batch.Queue(`DELETE FROM universe.price WHERE NOT type_id = ANY ($1)`, list.types)
	batch.Queue(`INSERT INTO universe.price_state (changed_at, checked_at, expires_at, etag) VALUES ($1, $1, $2, $3)
		ON CONFLICT (one) DO UPDATE SET changed_at = $1, checked_at = $1, expires_at = $2, etag = $3`, now, answer.ExpiresAt, printable(answer.Pages[0].ETag))
	if err := pgx.BeginFunc(ctx, r.config.Pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return fmt.Errorf("keeping the prices of the market: %w", err)
	}
	return nil
}
