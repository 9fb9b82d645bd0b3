package esi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
	// durable is where that is written which must outlive a crash of the database.
	durable *pgxpool.Pool
	// loads reads what several syncs ask for at about the same time.
	loads *together[wanted, kept]
	// begins and commits write what several syncs have come to.
	begins  *together[beginning, struct{}]
	commits *together[taking, struct{}]
	// pruned is when old answers for all characters were last dropped, in Unix
	// seconds.
	pruned *atomic.Int64
}

func newStore(pool, durable *pgxpool.Pool) store {
	s := store{pool: pool, durable: durable, pruned: &atomic.Int64{}}
	s.loads = &together[wanted, kept]{run: s.loadAll}
	s.begins = &together[beginning, struct{}]{run: s.beginAll}
	s.commits = &together[taking, struct{}]{run: s.commitAll}
	return s
}

// errOvertaken means that another program wrote the section's state meanwhile.
var errOvertaken = event.Errorf(event.CodeConflict, "another program synced the section at the same time")

// errForgotten ends what was on its way to a character when it was forgotten.
func errForgotten(character int64) error {
	return event.Errorf(event.CodeNotFound, "character %d was forgotten: it is not synced", character)
}

// kept is what is known of a section of a character from earlier syncs.
type kept struct {
	state
	// parts are the pages of each part.
	parts [][]transport.Page
	// presence is when the character was last played; nil if nobody knows.
	presence *presence
}

// wanted asks for what is known of a section of a character.
type wanted struct {
	character int64
	section   Section
}

// load reads the state and the kept pages of each part, and when the character was
// last played if the section depends on it. A section that was never read has an empty
// state.
func (s store) load(ctx context.Context, character int64, section Section) (kept, error) {
	known, err := s.loads.do(ctx, wanted{character, section})
	if err != nil && event.CodeOf(err) != event.CodeNotFound {
		err = fmt.Errorf("reading the state of section %s of character %d: %w", section.Name, character, err)
	}
	return known, err
}

// loadAll reads what is known of several sections in one round trip.
func (s store) loadAll(ctx context.Context, asked []*call[wanted, kept]) error {
	characters, sections := make([]int64, len(asked)), make([]string, len(asked))
	var owners []int64
	var names []string
	var places []place
	var played []int64
	for n, c := range asked {
		characters[n], sections[n] = c.ask.character, string(c.ask.section.Name)
		c.result.parts = make([][]transport.Page, len(c.ask.section.Parts))
		for part := range c.ask.section.Parts {
			owners, names, places = append(owners, c.ask.character), append(names, c.ask.section.part(part)), append(places, place{n, part})
		}
		if c.ask.section.Played {
			played = append(played, c.ask.character)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT character_id FROM ingest.forgotten WHERE character_id = ANY ($1)`, characters).Query(func(rows pgx.Rows) error {
		var character int64
		_, err := pgx.ForEachRow(rows, []any{&character}, func() error {
			for _, c := range asked {
				if c.ask.character == character {
					c.err = errForgotten(character)
				}
			}
			return nil
		})
		return err //nolint:wrapcheck // The caller says what was read.
	})
	batch.Queue(`
		SELECT a.n, revision, content_hash, last_event_id, base_id, base_at, base_keys, cursor, fetched_at, changed_at, validated_at, not_before,
		       failure_class, failure_status, failure_message, failing_since, failed_at, failures, failure_reported, failure_known,
		       last_spell_id, parts_complete, run_started_at, run_finished_at, pending
		FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS a (character_id, section, n)
		JOIN ingest.section_state s ON s.character_id = a.character_id AND s.section = a.section`, characters, sections,
	).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			var st state
			n, bad, err := st.scan(rows)
			if err != nil {
				return err
			}
			c := asked[n-1]
			if c.result.state = st; c.err == nil {
				c.err = bad
			}
		}
		return rows.Err() //nolint:wrapcheck // The caller says what was read.
	})
	batch.Queue(`
		SELECT a.n, p.page, p.etag, p.last_modified, p.body, p.from_id
		FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS a (character_id, section, n)
		JOIN ingest.page_etag p ON p.character_id = a.character_id AND p.section = a.section ORDER BY a.n, p.page`, owners, names,
	).Query(func(rows pgx.Rows) error { return collectPages(rows, asked, places) })
	queryPresence(batch, played, asked)
	return s.pool.SendBatch(ctx, batch).Close() //nolint:wrapcheck // The caller says what was read.
}

// place is where pages belong: a part of what was asked as one of several.
type place struct{ asked, part int }

// collectPages puts kept pages in their places, in order.
func collectPages(rows pgx.Rows, asked []*call[wanted, kept], places []place) error {
	defer rows.Close()
	for rows.Next() {
		var n, number int
		var page transport.Page
		var packed []byte
		if err := rows.Scan(&n, &number, &page.ETag, &page.LastModified, &packed, &page.From); err != nil {
			return err //nolint:wrapcheck // The caller says what was read.
		}
		c := asked[places[n-1].asked]
		pages := &c.result.parts[places[n-1].part]
		if number != len(*pages)+1 {
			continue
		}
		if packed != nil {
			body, err := decompress(packed)
			if err != nil && c.err == nil {
				c.err = err
			}
			page.Body = body
		}
		*pages = append(*pages, page)
	}
	return rows.Err() //nolint:wrapcheck // The caller says what was read.
}

// part is the name under which the pages of a part are kept.
func (s Section) part(i int) string {
	if s.Parts[i].Name == "" {
		return string(s.Name)
	}
	return string(s.Name) + "/" + s.Parts[i].Name
}

// scan reads a row. n is the number of what was asked for; bad is what is wrong with
// this row alone.
func (s *state) scan(row pgx.Row) (n int, bad, err error) {
	var (
		lastID, spellID, baseID               *uuid.UUID
		baseAt                                *time.Time
		fetched, changed, validated, notUntil *time.Time
		class                                 *string
		since, failedAt                       *time.Time
		runStarted, runFinished               *time.Time
		sp                                    spell
		begun                                 []byte
	)
	err = row.Scan(&n, &s.revision, &s.Series.ContentHash, &lastID, &baseID, &baseAt, &s.Series.Base.Keys, &s.Cursor, &fetched, &changed, &validated, &notUntil,
		&class, &sp.Status, &sp.Message, &since, &failedAt, &sp.Failures, &sp.Reported, &sp.Known, &spellID, &s.PartsComplete, &runStarted, &runFinished, &begun)
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // The caller says what was read.
	}
	s.Series.LastID, s.LastSpellID = orNil(lastID), orNil(spellID)
	s.Series.Base.ID, s.Series.Base.At = orNil(baseID), orZero(baseAt)
	s.FetchedAt, s.ChangedAt, s.ValidatedAt, s.NotBefore = orZero(fetched), orZero(changed), orZero(validated), orZero(notUntil)
	s.RunStartedAt, s.RunFinishedAt = orZero(runStarted), orZero(runFinished)
	if class != nil {
		sp.Class, sp.Since, sp.LastAt = eve.FailureClass(*class), orZero(since), orZero(failedAt)
		s.Spell = &sp
	}
	if begun != nil {
		s.pending, bad = decodePending(begun)
	}
	return n, bad, nil
}

// beginning is an append that is to be written down before it is made.
type beginning struct {
	character int64
	section   eve.Section
	revision  int64
	encoded   []byte
}

// begin writes down an append before it is made.
func (s store) begin(ctx context.Context, character int64, section eve.Section, st *state, begun *pending) error {
	encoded, err := begun.encode()
	if err != nil {
		return err
	}
	_, err = s.begins.do(ctx, beginning{character, section, st.revision, encoded})
	switch {
	case errors.Is(err, errOvertaken):
		return err
	case err != nil:
		return fmt.Errorf("writing down what is to be appended for section %s of character %d: %w", section, character, err)
	}
	st.revision++
	return nil
}

// beginAll writes several appends down in one round trip; the disk is waited for once.
func (s store) beginAll(ctx context.Context, asked []*call[beginning, struct{}]) error {
	batch := &pgx.Batch{}
	for _, c := range asked {
		// Nothing of a character that was forgotten meanwhile may still be appended.
		batch.Queue(`
			INSERT INTO ingest.section_state AS s (character_id, section, revision, pending)
			SELECT $1, $2, $3 + 1, $4 WHERE NOT EXISTS (SELECT FROM ingest.forgotten WHERE character_id = $1)
			ON CONFLICT (character_id, section) DO UPDATE SET revision = $3 + 1, pending = $4 WHERE s.revision = $3`,
			c.ask.character, string(c.ask.section), c.ask.revision, c.ask.encoded,
		).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != 1 {
				c.err = errOvertaken
			}
			return nil
		})
	}
	return s.durable.SendBatch(ctx, batch).Close() //nolint:wrapcheck // The caller says what was written.
}

// dormant is when a follow-up is due that is settled.
const dormant = "9999-01-01T00:00:00Z"

// dormantAt is the moment of [dormant].
func dormantAt() time.Time { return time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC) }

// queueFollowUps adds follow-ups and puts those to rest that are settled. One that is
// there already is due at once.
func queueFollowUps(batch *pgx.Batch, character int64, section eve.Section, add, settled []FollowUp) {
	if len(settled) > 0 {
		kinds, ids := make([]string, len(settled)), make([]int64, len(settled))
		for i, f := range settled {
			kinds[i], ids[i] = f.Kind, f.ItemID
		}
		// The row stays for its ETag: what is settled may come back.
		batch.Queue(`
			UPDATE ingest.follow_up f SET due_at = '`+dormant+`', fetched_at = coalesce(f.fetched_at, now()), failures = 0, class = '', status = 0, message = '', since = NULL
			FROM unnest($3::text[], $4::bigint[]) AS s (kind, item_id)
			WHERE f.character_id = $1 AND f.section = $2 AND f.kind = s.kind AND f.item_id = s.item_id`, character, string(section), kinds, ids)
	}
	if len(add) == 0 {
		return
	}
	kinds, ids, extras, moments, once := make([]string, len(add)), make([]int64, len(add)), make([]string, len(add)), make([]time.Time, len(add)), make([]bool, len(add))
	for i, f := range add {
		kinds[i], ids[i], extras[i], moments[i], once[i] = f.Kind, f.ItemID, f.Extra, f.Moment, f.Once
	}
	batch.Queue(`
		INSERT INTO ingest.follow_up AS f (character_id, section, kind, item_id, extra, moment, once, due_at)
		SELECT DISTINCT ON (kind, item_id) $1, $2, kind, item_id, extra, moment, once, 'epoch'::timestamptz
		FROM unnest($3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::boolean[]) AS n (kind, item_id, extra, moment, once)
		ON CONFLICT (character_id, section, kind, item_id) DO UPDATE SET extra = excluded.extra, moment = excluded.moment, once = excluded.once,
		    due_at = CASE WHEN f.failures = 0 THEN coalesce(f.not_before, 'epoch'::timestamptz) ELSE f.due_at END`,
		character, string(section), kinds, ids, extras, moments, once)
}

// nextFollowUps are the follow-ups of a section that come next, the longest due
// first; some may not be due yet. held are the events of earlier ones that the log did
// not take; nil if it has all.
func (s store) nextFollowUps(ctx context.Context, character int64, section eve.Section, most int) (due []followUp, held *pending, err error) {
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT kind, item_id, extra, moment, once, etag, content_hash, last_event_id, failures, class, since, due_at FROM ingest.follow_up
		WHERE character_id = $1 AND section = $2 AND due_at < '`+dormant+`' ORDER BY due_at, moment DESC, item_id DESC LIMIT $3`, character, string(section), most,
	).Query(func(rows pgx.Rows) (err error) {
		due, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (followUp, error) {
			var f followUp
			var last *uuid.UUID
			var since *time.Time
			err := row.Scan(&f.Kind, &f.ItemID, &f.Extra, &f.Moment, &f.Once, &f.etag, &f.contentHash, &last, &f.failures, &f.class, &since, &f.due)
			f.Moment, f.lastEventID, f.since = f.Moment.UTC(), orNil(last), orZero(since)
			return f, err
		})
		return err //nolint:wrapcheck // Wrapped below.
	})
	batch.Queue(`SELECT events FROM ingest.held_append WHERE character_id = $1 AND section = $2`, character, string(section)).
		QueryRow(func(row pgx.Row) error {
			var stored []byte
			err := row.Scan(&stored)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err == nil {
				held, err = decodePending(stored)
			}
			return err //nolint:wrapcheck // Wrapped below.
		})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("reading the follow-ups of section %s of character %d: %w", section, character, err)
	}
	return due, held, nil
}

// released tells that the log has the events that were held back.
func (s store) released(ctx context.Context, character int64, section eve.Section) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM ingest.held_append WHERE character_id = $1 AND section = $2`, character, string(section)); err != nil {
		return fmt.Errorf("dropping events of section %s of character %d that were held back: %w", section, character, err)
	}
	return nil
}

// followedUp writes down what became of follow-ups, and tells when the next one of
// the section is due; zero if there is none. waiting are those that were not tried,
// held the events of those done which the log did not take; nil if it has them.
func (s store) followedUp(ctx context.Context, character int64, section eve.Section, done []followed, waiting []followUp, held *pending) (time.Time, error) {
	batch := &pgx.Batch{}
	if held != nil {
		encoded, err := held.encode()
		if err != nil {
			return time.Time{}, err
		}
		// Those that were held back before are in the log: nothing is fetched else.
		batch.Queue(`
			INSERT INTO ingest.held_append AS h (character_id, section, events)
			SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM ingest.forgotten WHERE character_id = $1)
			ON CONFLICT (character_id, section) DO UPDATE SET events = $3`, character, string(section), encoded)
	}
	var next *time.Time
	consider := func(due time.Time) {
		if due.Before(dormantAt()) && (next == nil || due.Before(*next)) {
			next = &due
		}
	}
	for _, f := range waiting {
		consider(f.due)
	}
	var overKinds []string
	var overIDs []int64
	for _, f := range done {
		if f.over {
			overKinds, overIDs = append(overKinds, f.Kind), append(overIDs, f.ItemID)
			continue
		}
		consider(f.dueAt)
		batch.Queue(`
			UPDATE ingest.follow_up SET etag = $5, content_hash = $6, last_event_id = $7, due_at = $8, failures = $9, class = $10, status = $11,
			    message = $12, since = $13, fetched_at = CASE WHEN $9 = 0 THEN now() ELSE fetched_at END, not_before = $14
			WHERE character_id = $1 AND section = $2 AND kind = $3 AND item_id = $4`,
			character, string(section), f.Kind, f.ItemID, f.etag, f.contentHash, orNull(f.lastEventID), f.dueAt, f.failures, string(f.class), f.status,
			printable(f.message), timeOrNull(f.since), timeOrNull(f.notBefore))
	}
	if len(overIDs) > 0 {
		batch.Queue(`
			DELETE FROM ingest.follow_up f USING unnest($3::text[], $4::bigint[]) AS o (kind, item_id)
			WHERE f.character_id = $1 AND f.section = $2 AND f.kind = o.kind AND f.item_id = o.item_id`, character, string(section), overKinds, overIDs)
	}
	if next == nil {
		// The list may have named more meanwhile.
		batch.Queue(`SELECT min(due_at) FROM ingest.follow_up WHERE character_id = $1 AND section = $2 AND due_at < '`+dormant+`'`, character, string(section)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&next) })
	}
	if batch.Len() == 0 {
		return orZero(next), nil
	}
	// A batch is one transaction.
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return time.Time{}, fmt.Errorf("writing down the follow-ups of section %s of character %d: %w", section, character, err)
	}
	return orZero(next), nil
}

// taken is what goes with a state when it is taken over.
type taken struct {
	next state
	// parts are the pages of each part; nil leaves those that are kept.
	parts [][]transport.Page
	// followUps are to be fetched apart, settled need not be any more.
	followUps, settled []FollowUp
}

// taking is a state that is to be taken over.
type taking struct {
	character int64
	section   Section
	revision  int64
	taken     taken
}

// commit takes over a state after its events are in the log. A section whose row
// was overtaken changes nothing.
func (s store) commit(ctx context.Context, character int64, section Section, revision int64, t taken) error {
	_, err := s.commits.do(ctx, taking{character, section, revision, t})
	switch {
	case isOvertaken(err):
		return errOvertaken
	case err != nil:
		return fmt.Errorf("writing the state of section %s of character %d: %w", section.Name, character, err)
	}
	return nil
}

// commitAll takes several states over in one round trip. If one of them cannot be,
// each is by itself.
func (s store) commitAll(ctx context.Context, asked []*call[taking, struct{}]) error {
	err := s.take(ctx, asked...)
	if err == nil || len(asked) == 1 {
		return err
	}
	for _, c := range asked {
		c.err = s.take(ctx, c)
	}
	return nil
}

// take takes states over, all or none: a batch is one transaction.
func (s store) take(ctx context.Context, asked ...*call[taking, struct{}]) error {
	batch := &pgx.Batch{}
	for _, c := range asked {
		t := c.ask.taken
		t.next.queue(batch, c.ask.character, c.ask.section.Name, c.ask.revision)
		for i, pages := range t.parts {
			complete := i < len(t.next.PartsComplete) && t.next.PartsComplete[i] > 0
			c.ask.section.queuePages(batch, c.ask.character, i, pages, complete)
		}
		queueFollowUps(batch, c.ask.character, c.ask.section.Name, t.followUps, t.settled)
		if t.next.Spell == nil {
			queuePresence(batch, c.ask.character, c.ask.section.Name, t.parts)
		}
	}
	return s.pool.SendBatch(ctx, batch).Close() //nolint:wrapcheck // The caller says what was written.
}

// divisionByZero is Postgres' code of that error.
const divisionByZero = "22012"

// isOvertaken tells whether a state was not taken over because its row is another
// one's: the statement divides by the number of rows that it wrote.
func isOvertaken(err error) bool {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failed.Code == divisionByZero
}

// keepPages keeps the pages of parts without taking them over, unless another program
// was faster.
func (s store) keepPages(ctx context.Context, character int64, section Section, revision int64, parts [][]transport.Page) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var ours bool
		err := tx.QueryRow(ctx, `
			SELECT count(*) > 0 FROM (SELECT FROM ingest.section_state WHERE character_id = $1 AND section = $2 AND revision = $3 FOR UPDATE) AS ours`,
			character, string(section.Name), revision).Scan(&ours)
		if err != nil || !ours {
			return err //nolint:wrapcheck // Wrapped below.
		}
		batch := &pgx.Batch{}
		for i, pages := range parts {
			section.queuePages(batch, character, i, pages, false)
		}
		if batch.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("keeping the pages of section %s of character %d: %w", section.Name, character, err)
	}
	return nil
}

// queue replaces a state. It fails, and all of its transaction with it, if the row was
// overtaken or its character forgotten.
func (s *state) queue(batch *pgx.Batch, character int64, section eve.Section, revision int64) {
	var sp spell
	var class *string
	var since, failedAt *time.Time
	if s.Spell != nil {
		sp = *s.Spell
		class, since, failedAt = (*string)(&sp.Class), &sp.Since, &sp.LastAt
	}
	complete := s.PartsComplete
	if complete == nil {
		complete = []int{}
	}
	batch.Queue(`
		WITH written AS (
		INSERT INTO ingest.section_state AS s (character_id, section, revision, content_hash, last_event_id, cursor,
		    fetched_at, changed_at, validated_at, not_before, failure_class, failure_status, failure_message,
		    failing_since, failures, failure_reported, failure_known, last_spell_id, failed_at, parts_complete,
		    base_id, base_at, base_keys, run_started_at, run_finished_at, pending)
		SELECT $1, $2, $3 + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19::timestamptz, $20, $21, $22, $23, $24::timestamptz, $25::timestamptz, NULL
		WHERE NOT EXISTS (SELECT FROM ingest.forgotten WHERE character_id = $1)
		ON CONFLICT (character_id, section) DO UPDATE SET revision = $3 + 1, content_hash = $4, last_event_id = $5,
		    cursor = $6, fetched_at = $7, changed_at = $8, validated_at = $9, not_before = $10, failure_class = $11,
		    failure_status = $12, failure_message = $13, failing_since = $14, failures = $15, failure_reported = $16,
		    failure_known = $17, last_spell_id = $18, failed_at = $19, parts_complete = $20,
		    base_id = $21, base_at = $22, base_keys = CASE WHEN s.base_id = $21 THEN s.base_keys ELSE $23 END,
		    run_started_at = $24, run_finished_at = $25, pending = NULL
		WHERE s.revision = $3
		RETURNING 1)
		SELECT 1 / count(*) FROM written`,
		character, string(section), revision, s.Series.ContentHash, orNull(s.Series.LastID), s.Cursor,
		timeOrNull(s.FetchedAt), timeOrNull(s.ChangedAt), timeOrNull(s.ValidatedAt), timeOrNull(s.NotBefore),
		class, sp.Status, sp.Message, since, sp.Failures, sp.Reported, sp.Known, orNull(s.LastSpellID), failedAt, complete,
		orNull(s.Series.Base.ID), timeOrNull(s.Series.Base.At), s.Series.Base.Keys, timeOrNull(s.RunStartedAt), timeOrNull(s.RunFinishedAt),
	)
}

// queuePages replaces the kept pages of a part. Their content is only needed where
// something else of the section may change and they do not, or where they were not
// taken over because the rest did not come. Pages that are gone
// stay: they come back when there is more to list.
func (s Section) queuePages(batch *pgx.Batch, character int64, part int, pages []transport.Page, complete bool) {
	keep := s.keepsBodies(len(pages)) || !complete
	if walk := s.Parts[part].Walk; walk != nil && walk.Known != nil && complete && len(pages) > 1 {
		// What is known is not asked for again.
		pages = pages[:1]
	}
	for i, page := range pages {
		var packed []byte
		if keep && page.Body != nil {
			packed = compress(page.Body)
		}
		batch.Queue(`
			INSERT INTO ingest.page_etag AS p (character_id, section, page, etag, last_modified, body, from_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (character_id, section, page) DO UPDATE SET etag = $4, last_modified = $5, body = $6, from_id = $7
			WHERE p.etag <> $4 OR p.last_modified <> $5 OR p.from_id <> $7 OR (p.body IS NULL) <> ($6::bytea IS NULL)`,
			character, s.part(part), i+1, page.ETag, page.LastModified, packed, page.From)
	}
}

// shared is an answer that is the same for all characters and still fresh; false if
// there is none.
func (s store) shared(ctx context.Context, path string, now time.Time) (transport.Answer, bool, error) {
	var answer transport.Answer
	var page transport.Page
	var packed []byte
	err := s.pool.QueryRow(ctx, `SELECT etag, body, fetched_at, expires_at FROM ingest.shared_answer WHERE path = $1 AND expires_at > $2`, path, now).
		Scan(&page.ETag, &packed, &answer.FetchedAt, &answer.ExpiresAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return answer, false, nil
	case err != nil:
		return answer, false, fmt.Errorf("looking for a kept answer of %s: %w", path, err)
	}
	if page.Body, err = decompress(packed); err != nil {
		return answer, false, fmt.Errorf("reading the kept answer of %s: %w", path, err)
	}
	answer.FetchedAt, answer.ExpiresAt, answer.Pages = answer.FetchedAt.UTC(), answer.ExpiresAt.UTC(), []transport.Page{page}
	return answer, true, nil
}

// pruneEvery is how often answers for all characters are dropped that are not fresh
// any more.
const pruneEvery = 10 * time.Minute

// share keeps an answer for all characters.
func (s store) share(ctx context.Context, path string, answer transport.Answer) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO ingest.shared_answer (path, etag, body, fetched_at, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (path) DO UPDATE SET etag = $2, body = $3, fetched_at = $4, expires_at = $5`,
		path, answer.Pages[0].ETag, compress(answer.Pages[0].Body), answer.FetchedAt, answer.ExpiresAt)
	last := s.pruned.Load()
	if at := answer.FetchedAt.Unix(); at-last >= int64(pruneEvery/time.Second) && s.pruned.CompareAndSwap(last, at) {
		batch.Queue(`DELETE FROM ingest.shared_answer WHERE expires_at <= $1`, answer.FetchedAt)
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("keeping the answer of %s: %w", path, err)
	}
	return nil
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
		SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT FROM ingest.forgotten WHERE character_id = $2)`,
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
// caller's transaction, and has syncs that are under way come to nothing. Until
// [Remember] the character is not synced.
func Forget(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, `INSERT INTO ingest.forgotten (character_id, at) VALUES ($1, now()) ON CONFLICT (character_id) DO UPDATE SET at = now()`, character); err != nil {
		return fmt.Errorf("forgetting character %d: %w", character, err)
	}
	for _, table := range []string{"section_state", "page_etag", "follow_up", "held_append", "quarantine", "pause", "presence"} {
		if _, err := tx.Exec(ctx, "DELETE FROM ingest."+table+" WHERE character_id = $1", character); err != nil {
			return fmt.Errorf("forgetting character %d in %s: %w", character, table, err)
		}
	}
	return nil
}

// Remember has characters synced again that were forgotten, within the caller's
// transaction: they are registered anew.
func Remember(ctx context.Context, tx pgx.Tx, characters ...int64) error {
	if _, err := tx.Exec(ctx, "DELETE FROM ingest.forgotten WHERE character_id = ANY ($1)", characters); err != nil {
		return fmt.Errorf("remembering characters: %w", err)
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
