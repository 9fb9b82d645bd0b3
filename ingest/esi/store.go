package esi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// store keeps the state of sections in Postgres. Writes are compare-and-set on a
// row's revision, so that of two programs that sync the same section one finds
// out.
type store struct {
	pool *pgxpool.Pool
}

// errOvertaken means that another program wrote the section's state meanwhile.
var errOvertaken = event.Errorf(event.CodeConflict, "another program synced the section at the same time")

// load reads the state and the kept pages in one round trip. A section that was
// never read has an empty state.
func (s store) load(ctx context.Context, character int64, section eve.Section) (state, []transport.Page, error) {
	batch := &pgx.Batch{}
	var st state
	batch.Queue(`
		SELECT revision, content_hash, last_event_id, cursor, fetched_at, changed_at, validated_at, not_before,
		       failure_class, failure_status, failure_message, failing_since, failed_at, failures, failure_reported, failure_known,
		       last_spell_id, pages_complete, pending
		FROM ingest.section_state WHERE character_id = $1 AND section = $2`, character, string(section),
	).QueryRow(func(row pgx.Row) error {
		err := st.scan(row)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	var pages []transport.Page
	batch.Queue(`
		SELECT etag, last_modified, body FROM ingest.page_etag
		WHERE character_id = $1 AND section = $2 ORDER BY page`, character, string(section),
	).Query(func(rows pgx.Rows) error {
		var err error
		pages, err = pgx.CollectRows(rows, scanPage)
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return state{}, nil, fmt.Errorf("reading the state of section %s of character %d: %w", section, character, err)
	}
	return st, pages, nil
}

func (s *state) scan(row pgx.Row) error {
	var (
		lastID, spellID                       *uuid.UUID
		fetched, changed, validated, notUntil *time.Time
		class                                 *string
		since, failedAt                       *time.Time
		sp                                    spell
		begun                                 []byte
	)
	err := row.Scan(&s.revision, &s.Series.ContentHash, &lastID, &s.Cursor, &fetched, &changed, &validated, &notUntil,
		&class, &sp.Status, &sp.Message, &since, &failedAt, &sp.Failures, &sp.Reported, &sp.Known, &spellID, &s.PagesComplete, &begun)
	if err != nil {
		return err //nolint:wrapcheck // The caller says what was read.
	}
	s.Series.LastID, s.LastSpellID = orNil(lastID), orNil(spellID)
	s.FetchedAt, s.ChangedAt, s.ValidatedAt, s.NotBefore = orZero(fetched), orZero(changed), orZero(validated), orZero(notUntil)
	if class != nil {
		sp.Class, sp.Since, sp.LastAt = eve.FailureClass(*class), orZero(since), orZero(failedAt)
		s.Spell = &sp
	}
	if begun != nil {
		s.pending, err = decodePending(begun)
	}
	return err
}

func scanPage(row pgx.CollectableRow) (transport.Page, error) {
	var p transport.Page
	var packed []byte
	if err := row.Scan(&p.ETag, &p.LastModified, &packed); err != nil {
		return p, err //nolint:wrapcheck // The caller says what was read.
	}
	if packed == nil {
		return p, nil
	}
	var err error
	p.Body, err = decompress(packed)
	return p, err
}

// begin writes down an append before it is made.
func (s store) begin(ctx context.Context, character int64, section eve.Section, st *state, begun *pending) error {
	encoded, err := begun.encode()
	if err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, `
		INSERT INTO ingest.section_state AS s (character_id, section, revision, pending) VALUES ($1, $2, $3 + 1, $4)
		ON CONFLICT (character_id, section) DO UPDATE SET revision = $3 + 1, pending = $4 WHERE s.revision = $3`,
		character, string(section), st.revision, encoded)
	switch {
	case err != nil:
		return fmt.Errorf("writing down what is to be appended for section %s of character %d: %w", section, character, err)
	case tag.RowsAffected() != 1:
		return errOvertaken
	}
	st.revision++
	return nil
}

// batcher is a pool or a transaction.
type batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// commit takes over a state after its events are in the log, with the pages of
// the reading it came from; nil pages leave those that are kept.
func (s store) commit(ctx context.Context, character int64, section eve.Section, revision int64, next state, pages []transport.Page) error {
	var sp spell
	var class *string
	var since, failedAt *time.Time
	if next.Spell != nil {
		sp = *next.Spell
		class, since, failedAt = (*string)(&sp.Class), &sp.Since, &sp.LastAt
	}
	write := func(ctx context.Context, q batcher) error {
		batch := &pgx.Batch{}
		var written int64
		batch.Queue(`
			INSERT INTO ingest.section_state AS s (character_id, section, revision, content_hash, last_event_id, cursor,
			    fetched_at, changed_at, validated_at, not_before, failure_class, failure_status, failure_message,
			    failing_since, failures, failure_reported, failure_known, last_spell_id, failed_at, pages_complete, pending)
			VALUES ($1, $2, $3 + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, NULL)
			ON CONFLICT (character_id, section) DO UPDATE SET revision = $3 + 1, content_hash = $4, last_event_id = $5,
			    cursor = $6, fetched_at = $7, changed_at = $8, validated_at = $9, not_before = $10, failure_class = $11,
			    failure_status = $12, failure_message = $13, failing_since = $14, failures = $15, failure_reported = $16,
			    failure_known = $17, last_spell_id = $18, failed_at = $19, pages_complete = $20, pending = NULL
			WHERE s.revision = $3`,
			character, string(section), revision, next.Series.ContentHash, orNull(next.Series.LastID), next.Cursor,
			timeOrNull(next.FetchedAt), timeOrNull(next.ChangedAt), timeOrNull(next.ValidatedAt), timeOrNull(next.NotBefore),
			class, sp.Status, sp.Message, since, sp.Failures, sp.Reported, sp.Known, orNull(next.LastSpellID), failedAt, next.PagesComplete,
		).Exec(func(tag pgconn.CommandTag) error {
			written = tag.RowsAffected()
			return nil
		})
		queuePages(batch, character, section, pages)
		if err := q.SendBatch(ctx, batch).Close(); err != nil {
			return err //nolint:wrapcheck // Wrapped below.
		}
		if written != 1 {
			return errOvertaken
		}
		return nil
	}
	// A batch is one transaction of its own; only to roll the pages back does it
	// need another around it.
	var err error
	if pages == nil {
		err = write(ctx, s.pool)
	} else {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return write(ctx, tx) })
	}
	if err != nil && !errors.Is(err, errOvertaken) {
		return fmt.Errorf("writing the state of section %s of character %d: %w", section, character, err)
	}
	return err
}

// queuePages replaces the kept pages. Their content is only needed where there
// are several, of which some may change and others not. Pages that are gone stay:
// they come back when there is more to list.
func queuePages(batch *pgx.Batch, character int64, section eve.Section, pages []transport.Page) {
	for i, page := range pages {
		var packed []byte
		if len(pages) > 1 && page.Body != nil {
			packed = compress(page.Body)
		}
		batch.Queue(`
			INSERT INTO ingest.page_etag AS p (character_id, section, page, etag, last_modified, body)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (character_id, section, page) DO UPDATE SET etag = $4, last_modified = $5, body = $6
			WHERE p.etag <> $4 OR p.last_modified <> $5 OR (p.body IS NULL) <> ($6::bytea IS NULL)`,
			character, string(section), i+1, page.ETag, page.LastModified, packed)
	}
}

// Bounds of the quarantine.
const (
	keepSamplesEach = 3
	keepSamples     = 10_000
)

// keep puts an unreadable answer aside. Of each route and character the newest
// few are kept, and of all a bounded number.
func (s store) keep(ctx context.Context, sample transport.Sample) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO ingest.quarantine (at, character_id, operation, path, status, content_type, reason, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		sample.At, sample.CharacterID, sample.Operation, sample.Path, sample.Status,
		printable(sample.ContentType), printable(sample.Reason), sample.Body)
	batch.Queue(`
		DELETE FROM ingest.quarantine WHERE character_id = $1 AND operation = $2 AND id NOT IN (
		    SELECT id FROM ingest.quarantine WHERE character_id = $1 AND operation = $2 ORDER BY id DESC LIMIT $3)`,
		sample.CharacterID, sample.Operation, keepSamplesEach)
	batch.Queue(`
		DELETE FROM ingest.quarantine WHERE id <= (SELECT id FROM ingest.quarantine ORDER BY id DESC OFFSET $1 LIMIT 1)`,
		keepSamples)
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("keeping an unreadable answer of character %d aside: %w", sample.CharacterID, err)
	}
	return nil
}

// Forget removes all that is remembered of a character's sections, within the
// caller's transaction. Its next sync begins anew.
func Forget(ctx context.Context, tx pgx.Tx, character int64) error {
	for _, table := range []string{"section_state", "page_etag", "quarantine"} {
		if _, err := tx.Exec(ctx, "DELETE FROM ingest."+table+" WHERE character_id = $1", character); err != nil {
			return fmt.Errorf("forgetting character %d in %s: %w", character, table, err)
		}
	}
	return nil
}

func orNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
