package esi

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Reset has sections of a character read anew and in full, all of them if none is
// named, within the caller's transaction: nothing that was kept of ESI's answers is
// relied on any more. Values are then recorded once more, in full and in the same
// chain. Records stay known, so that none is recorded twice. Nothing is asked for
// before its cache expires. A sync that is under way is repeated. It fails with
// [event.CodeInvalid] for a section that does not exist.
func Reset(ctx context.Context, tx pgx.Tx, character int64, sections ...eve.Section) error {
	names, pages := []string{}, []string{}
	for _, section := range Sections(Options{}) {
		if len(sections) > 0 && !slices.Contains(sections, section.Name) {
			continue
		}
		names = append(names, string(section.Name))
		for part := range section.Parts {
			pages = append(pages, section.part(part))
		}
	}
	for _, section := range sections {
		if !slices.Contains(names, string(section)) {
			return event.Errorf(event.CodeInvalid, "section %q: there is no such section", section)
		}
	}
	batch := &pgx.Batch{}
	// The revision has a sync that is under way find out. Its begun append stays,
	// and is finished by the next one.
	batch.Queue(`
		UPDATE ingest.section_state SET revision = revision + 1, content_hash = '', parts_complete = '{}',
		    base_id = NULL, base_at = NULL, base_keys = NULL
		WHERE character_id = $1 AND section = ANY ($2)`, character, names)
	batch.Queue(`DELETE FROM ingest.page_etag WHERE character_id = $1 AND section = ANY ($2)`, character, pages)
	// The hash stays: the same body is not worth a second event.
	batch.Queue(`
		UPDATE ingest.follow_up SET etag = '', due_at = coalesce(not_before, 'epoch'::timestamptz)
		WHERE character_id = $1 AND section = ANY ($2)`, character, names)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("resetting sections of character %d: %w", character, err)
	}
	return nil
}
