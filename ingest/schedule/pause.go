package schedule

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

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

// Pause holds syncs back until [Scheduler.Resume], over restarts too. What is under
// way comes to its end. It fails with [event.CodeInvalid] for a section that does
// not exist.
func (s *Scheduler) Pause(ctx context.Context, p Pause) error {
	if p.Section != "" && !slices.ContainsFunc(s.config.Sections, func(known esi.Section) bool { return known.Name == p.Section }) {
		return event.Errorf(event.CodeInvalid, "section %q: there is no such section", p.Section)
	}
	_, err := s.config.Pool.Exec(ctx, `
		INSERT INTO ingest.pause (character_id, section, reason, since) VALUES ($1, $2, $3, now())
		ON CONFLICT (character_id, section) DO UPDATE SET reason = $3`, p.CharacterID, string(p.Section), p.Reason)
	if err != nil {
		return fmt.Errorf("pausing syncs: %w", err)
	}
	s.Wake()
	return nil
}

// Resume takes back a pause; it is no error if there is none.
func (s *Scheduler) Resume(ctx context.Context, p Pause) error {
	_, err := s.config.Pool.Exec(ctx, `DELETE FROM ingest.pause WHERE character_id = $1 AND section = $2`, p.CharacterID, string(p.Section))
	if err != nil {
		return fmt.Errorf("resuming syncs: %w", err)
	}
	s.Wake()
	return nil
}

// Pauses lists what is paused.
func (s *Scheduler) Pauses(ctx context.Context) ([]Pause, error) {
	rows, err := s.config.Pool.Query(ctx, `SELECT character_id, section, reason FROM ingest.pause ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("listing pauses: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Pause, error) {
		var p Pause
		err := row.Scan(&p.CharacterID, &p.Section, &p.Reason)
		return p, err
	})
}
