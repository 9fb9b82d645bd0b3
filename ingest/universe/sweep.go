package universe

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
)

// Bounds of a sweep: so many characters at a time, with a pause between.
const (
	sweepAtOnce = 20
	sweepPause  = 5 * time.Second
	sweepLook   = 10 * time.Minute
)

// sweep looks through what the read model keeps of some characters that were not
// looked through for long, for ids that were appended when nobody looked, or that
// did not fit into memory.
func (r *Resolver) sweep(ctx context.Context) (time.Time, error) {
	characters, err := r.unswept(ctx)
	if err != nil {
		return time.Time{}, err
	}
	more := len(characters) > sweepAtOnce
	for _, character := range characters[:min(len(characters), sweepAtOnce)] {
		if err := r.sweepOne(ctx, character); err != nil {
			return time.Time{}, err
		}
	}
	pause := sweepLook
	if more {
		pause = sweepPause
	}
	return r.config.Now().Add(pause), nil
}

// sweepAll looks through all characters that are due.
func (r *Resolver) sweepAll(ctx context.Context, progress func(phase string, left int64)) error {
	characters, err := r.unswept(ctx)
	if err != nil {
		return err
	}
	for i, character := range characters {
		progress("looking for ids", int64(len(characters)-i))
		if err := r.sweepOne(ctx, character); err != nil {
			return err
		}
	}
	return nil
}

// unswept are the characters that are due.
func (r *Resolver) unswept(ctx context.Context) ([]int64, error) {
	if r.config.Views == nil {
		return nil, nil
	}
	characters, err := r.config.Views.CharacterIDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the characters to look through for ids: %w", err)
	}
	rows, err := r.config.Pool.Query(ctx, `SELECT c.id FROM unnest($1::bigint[]) AS c (id) LEFT JOIN universe.swept s ON s.character_id = c.id
		WHERE s.swept_at IS NULL OR s.swept_at <= $2 ORDER BY s.swept_at NULLS FIRST, c.id`, characters, r.config.Now().UTC().Add(-r.config.Settings.Sweep))
	if err != nil {
		return nil, fmt.Errorf("listing the characters to look through for ids: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("listing the characters to look through for ids: %w", err)
	}
	return due, nil
}

func (r *Resolver) sweepOne(ctx context.Context, character int64) error {
	f := r.config.Finder
	f.mu.Lock()
	f.add(character, eve.Mention{Kind: eve.FieldEntity, ID: character})
	f.mu.Unlock()
	err := r.config.Views.Contents(ctx, character, func(section eve.Section, value []byte) { f.SeeSection(character, section, value) })
	if err != nil {
		return fmt.Errorf("looking through character %d for ids: %w", character, err)
	}
	if err := f.Flush(ctx); err != nil {
		return err
	}
	_, err = r.config.Pool.Exec(ctx, `INSERT INTO universe.swept (character_id, swept_at) VALUES ($1, $2)
		ON CONFLICT (character_id) DO UPDATE SET swept_at = excluded.swept_at`, character, r.config.Now().UTC())
	if err != nil {
		return fmt.Errorf("writing down that character %d was looked through: %w", character, err)
	}
	return nil
}
