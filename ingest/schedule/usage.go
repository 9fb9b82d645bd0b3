package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Spent is what one route cost.
type Spent struct {
	// Group is the route's rate group, empty if it has none.
	Group string
	// Route is the operation's id in ESI's document.
	Route string
	// Requests counts those that were sent, NotModified those of them that were
	// answered with 304.
	Requests, NotModified int64
	Tokens                int64
}

// Meter counts what was asked of ESI.
type Meter interface {
	// Spent is what each route cost since the program began. It is called by one
	// goroutine at a time.
	Spent() []Spent
}

// flushEvery is how often the counts are written down. A program that is killed
// loses those of this long.
const flushEvery = time.Minute

// lastFlush bounds the last one, when all else has ended.
const lastFlush = 5 * time.Second

// Usage writes down what a meter counts, day by day. Several programs may do so on
// one database. It is for one goroutine.
type Usage struct {
	pool  *pgxpool.Pool
	meter Meter
	now   func() time.Time
	// written is what was written down of each route.
	written map[usageKey]Spent
}

type usageKey struct{ group, route string }

// NewUsage makes the writer of a meter's counts. now is the clock: time.Now if nil.
func NewUsage(pool *pgxpool.Pool, meter Meter, now func() time.Time) *Usage {
	if now == nil {
		now = time.Now
	}
	return &Usage{pool: pool, meter: meter, now: now, written: map[usageKey]Spent{}}
}

// Run writes the counts down every minute, and once more when the context ends.
func (u *Usage) Run(ctx context.Context, logger *slog.Logger) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			u.last(ctx, logger)
			return
		case <-ticker.C:
			if err := u.Flush(ctx); err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "the counts of requests were not written down; trying again", "error", err)
			}
		}
	}
}

// last writes the counts down when all else has ended.
func (u *Usage) last(ctx context.Context, logger *slog.Logger) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	if err := u.Flush(last); err != nil {
		logger.WarnContext(last, "the last counts of requests were not written down", "error", err)
	}
}

// Flush adds what was counted since the last flush to the present day (UTC). What
// it fails to write is written by the next one.
func (u *Usage) Flush(ctx context.Context) error {
	day := u.now().UTC().Truncate(24 * time.Hour)
	batch := &pgx.Batch{}
	next := map[usageKey]Spent{}
	for _, spent := range u.meter.Spent() {
		key := usageKey{spent.Group, spent.Route}
		last := u.written[key]
		next[key] = spent
		if spent == last {
			continue
		}
		batch.Queue(`
			INSERT INTO ingest.usage AS u (day, rate_group, route, requests, not_modified, tokens) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (day, rate_group, route) DO UPDATE SET requests = u.requests + excluded.requests,
			    not_modified = u.not_modified + excluded.not_modified, tokens = u.tokens + excluded.tokens`,
			day, spent.Group, spent.Route, spent.Requests-last.Requests, spent.NotModified-last.NotModified, spent.Tokens-last.Tokens)
	}
	if batch.Len() == 0 {
		return nil
	}
	// A batch is one transaction: all of it is written, or nothing.
	if err := u.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing down what ESI was asked: %w", err)
	}
	u.written = next
	return nil
}
