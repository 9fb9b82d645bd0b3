package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// DestroyTx destroys the keys of a character within the caller's transaction and
// returns their ids, for the log to remember. It needs no secret.
func DestroyTx(ctx context.Context, tx pgx.Tx, character int64) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE ingest.text_key SET wrapped = NULL, destroyed_at = now() WHERE character_id = $1 AND wrapped IS NOT NULL RETURNING key_id`, character)
	if err != nil {
		return nil, fmt.Errorf("destroying the text key of character %d: %w", character, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("destroying the text key of character %d: %w", character, err)
	}
	return ids, nil
}

// execer is a pool or a transaction.
type execer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// DestroyAgain destroys keys that the log says were destroyed, and tells how many had
// come back, such as with a copy of the database from before. Those that are not there
// are noted as destroyed.
func DestroyAgain(ctx context.Context, on execer, character int64, ids []uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	rows, err := on.Query(ctx, `
		WITH back AS (
			UPDATE ingest.text_key SET wrapped = NULL, destroyed_at = now() WHERE key_id = ANY ($2) AND wrapped IS NOT NULL RETURNING key_id),
		unknown AS (
			INSERT INTO ingest.text_key (key_id, character_id, destroyed_at) SELECT id, $1, now() FROM unnest($2::uuid[]) AS u(id)
			ON CONFLICT (key_id) DO NOTHING)
		SELECT key_id FROM back`, character, ids)
	if err != nil {
		return 0, fmt.Errorf("destroying text keys of character %d again: %w", character, err)
	}
	back, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return 0, fmt.Errorf("destroying text keys of character %d again: %w", character, err)
	}
	return len(back), nil
}

// DestroyAgain is [DestroyAgain] on the keyring's database.
func (k *Keyring) DestroyAgain(ctx context.Context, character int64, ids []uuid.UUID) (int, error) {
	return DestroyAgain(ctx, k.config.Pool, character, ids)
}

// Alive is how many of some keys are there and were not destroyed.
func (k *Keyring) Alive(ctx context.Context, ids []uuid.UUID) (int64, error) {
	var n int64
	if err := k.config.Pool.QueryRow(ctx, `SELECT count(*) FROM ingest.text_key WHERE key_id = ANY ($1) AND wrapped IS NOT NULL`, ids).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting text keys: %w", err)
	}
	return n, nil
}

// ExpireTx has the events of a forgotten character get their tombstones at once, after
// the caller's transaction.
func ExpireTx(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, `INSERT INTO ingest.to_expire (character_id, at) VALUES ($1, now()) ON CONFLICT (character_id) DO UPDATE SET at = now()`, character); err != nil {
		return fmt.Errorf("having the events of character %d removed: %w", character, err)
	}
	return nil
}

// Waiting are the characters that were forgotten and whose events wait for their
// tombstones, with the moment at which they were forgotten.
func (k *Keyring) Waiting(ctx context.Context) (map[int64]time.Time, error) {
	waiting := map[int64]time.Time{}
	var character int64
	var at time.Time
	rows, err := k.config.Pool.Query(ctx, `SELECT character_id, at FROM ingest.to_expire`)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&character, &at}, func() error {
			waiting[character] = at
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose events wait for tombstones: %w", err)
	}
	return waiting, nil
}

// Expired says that the events of characters that were forgotten at those moments have
// their tombstones.
func (k *Keyring) Expired(ctx context.Context, done map[int64]time.Time) error {
	batch := &pgx.Batch{}
	for character, at := range done {
		batch.Queue(`DELETE FROM ingest.to_expire WHERE character_id = $1 AND at = $2`, character, at)
	}
	if err := k.config.Pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("noting whose events have tombstones: %w", err)
	}
	return nil
}
