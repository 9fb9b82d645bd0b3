package schedule

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
)

// Pause is what is not synced for the time being.
type Pause struct {
	// CharacterID is 0 for all characters, Section empty for all sections.
	CharacterID int64
	Section     eve.Section
	Reason      string
}

// SetPause holds syncs back until [Unpause], over restarts too. Schedulers heed it
// with their next sweep; what is under way comes to its end. It fails with
// [event.CodeInvalid] for a section that does not exist.
func SetPause(ctx context.Context, pool *pgxpool.Pool, p Pause) error {
	if p.Section != "" && !slices.ContainsFunc(esi.Sections(esi.Options{}), func(known esi.Section) bool { return known.Name == p.Section }) {
		return event.Errorf(event.CodeInvalid, "section %q: there is no such section", p.Section)
	}
	_, err := pool.Exec(ctx, `
		INSERT INTO ingest.pause (character_id, section, reason, since) VALUES ($1, $2, $3, now())
		ON CONFLICT (character_id, section) DO UPDATE SET reason = $3`, p.CharacterID, string(p.Section), p.Reason)
	if err != nil {
		return fmt.Errorf("pausing syncs: %w", err)
	}
	return nil
}

// Unpause takes back a pause; it is no error if there is none.
func Unpause(ctx context.Context, pool *pgxpool.Pool, p Pause) error {
	_, err := pool.Exec(ctx, `DELETE FROM ingest.pause WHERE character_id = $1 AND section = $2`, p.CharacterID, string(p.Section))
	if err != nil {
		return fmt.Errorf("resuming syncs: %w", err)
	}
	return nil
}

// Pauses lists what is paused.
func Pauses(ctx context.Context, pool *pgxpool.Pool) ([]Pause, error) {
	rows, err := pool.Query(ctx, `SELECT character_id, section, reason FROM ingest.pause ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("listing pauses: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Pause, error) {
		var p Pause
		err := row.Scan(&p.CharacterID, &p.Section, &p.Reason)
		return p, err
	})
}
