package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schema"
)

// requested is how a job for a character is put on the schedule that a person asked
// for.
func requested(character int64) *river.InsertOpts {
	return &river.InsertOpts{Queue: queueOf(character), Priority: priorityRequested, UniqueOpts: unique(), MaxAttempts: 3}
}

// Requests puts what people ask for on the schedule, whichever program runs it.
// It is safe for concurrent use.
type Requests struct {
	client *river.Client[pgx.Tx]
}

// NewRequests writes to the schedule in the database, which has the tables of
// package schema.
func NewRequests(pool *pgxpool.Pool, logger *slog.Logger) (*Requests, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema.Name, Logger: slog.New(&quiet{Handler: logger.Handler()})})
	if err != nil {
		return nil, fmt.Errorf("preparing requests to the schedule: %w", err)
	}
	return &Requests{client: client}, nil
}

// RefreshTx has sections of a character read before all that is merely due, once
// the caller's transaction is committed; each only if its cache has expired. With
// no section named these are all that its owner has consented to and that do not
// wait. It returns the sections. It fails with [event.CodeInvalid] for a section
// that does not exist, and with [event.CodeConflict] for one that cannot be read
// at present.
func (r *Requests) RefreshTx(ctx context.Context, tx pgx.Tx, character int64, sections ...eve.Section) ([]eve.Section, error) {
	all := esi.Sections(esi.Options{})
	for _, section := range sections {
		if !slices.ContainsFunc(all, func(known esi.Section) bool { return known.Name == section }) {
			return nil, event.Errorf(event.CodeInvalid, "section %q: there is no such section", section)
		}
	}
	public, login, scopes := byLogin(all)
	rows, err := tx.Query(ctx, `SELECT section FROM (`+wanted+`) w ORDER BY section`, []int64{character}, public, login, scopes)
	if err != nil {
		return nil, fmt.Errorf("looking for the sections of character %d: %w", character, err)
	}
	ready, err := pgx.CollectRows(rows, pgx.RowTo[eve.Section])
	if err != nil {
		return nil, fmt.Errorf("looking for the sections of character %d: %w", character, err)
	}
	if len(sections) > 0 {
		var waiting []string
		for _, section := range sections {
			if !slices.Contains(ready, section) {
				waiting = append(waiting, string(section))
			}
		}
		if len(waiting) > 0 {
			return nil, event.Errorf(event.CodeConflict, "of character %d these cannot be read at present: %s; they are paused, or its owner has not consented to them or has to register it again", character, strings.Join(waiting, ", "))
		}
		ready = slices.Compact(slices.Sorted(slices.Values(sections)))
	}
	for _, section := range ready {
		if _, err := r.client.InsertTx(ctx, tx, refreshArgs{CharacterID: character, Section: section}, requested(character)); err != nil {
			return nil, fmt.Errorf("asking for section %s of character %d: %w", section, character, err)
		}
	}
	return ready, nil
}

// DropTx takes a character off the schedule, within the caller's transaction, and
// tells how much of it is being read at this moment: that comes to its end within
// seconds. The next sweep puts the character back if it is still to be synced.
func (r *Requests) DropTx(ctx context.Context, tx pgx.Tx, character int64) (running int, err error) {
	kinds := []string{syncKind, followKind, refreshArgs{}.Kind()}
	// One statement sees one moment: a job that ends between two would be neither
	// running nor deleted.
	err = tx.QueryRow(ctx, `
		WITH dropped AS (
		    DELETE FROM ingest.river_job WHERE kind = ANY ($1) AND (args->>'character_id')::bigint = $2 AND state <> 'running')
		SELECT count(*) FROM ingest.river_job WHERE kind = ANY ($1) AND (args->>'character_id')::bigint = $2 AND state = 'running'`,
		kinds, character).Scan(&running)
	if err != nil {
		return 0, fmt.Errorf("taking character %d off the schedule: %w", character, err)
	}
	return running, nil
}
