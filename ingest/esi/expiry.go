package esi

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// RemoveQuarantined removes answers that were kept aside before a moment, and tells
// how many that were. They hold what retention removes elsewhere.
func RemoveQuarantined(ctx context.Context, pool *pgxpool.Pool, before time.Time) (int64, error) {
	tag, err := pool.Exec(ctx, `DELETE FROM ingest.quarantine WHERE at < $1`, before)
	if err != nil {
		return 0, fmt.Errorf("removing old answers that could not be read: %w", err)
	}
	return tag.RowsAffected(), nil
}

// CountQuarantined is how many answers were kept aside before a moment.
func CountQuarantined(ctx context.Context, pool *pgxpool.Pool, before time.Time) (int64, error) {
	var n int64
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM ingest.quarantine WHERE at < $1`, before).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting old answers that could not be read: %w", err)
	}
	return n, nil
}
