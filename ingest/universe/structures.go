package universe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// esiStructure is what ESI tells of a structure.
type esiStructure struct {
	Name     string `json:"name"`
	SystemID int64  `json:"solar_system_id"`
	OwnerID  int64  `json:"owner_id"`
	TypeID   *int64 `json:"type_id"`
}

func decodeStructure(body []byte, id int64) (esiStructure, error) {
	var s esiStructure
	if err := json.Unmarshal(body, &s); err != nil {
		return s, event.Errorf(event.CodeInvalid, "structure %d: %w", id, err)
	}
	if s.Name == "" {
		return s, event.Errorf(event.CodeInvalid, "structure %d: the answer has no name", id)
	}
	s.Name = printable(s.Name)
	return s, nil
}

// Forget removes which structures a character has seen, within the caller's
// transaction. What is known of a structure stays: it is about nobody.
func Forget(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM universe.structure_seen WHERE character_id = $1`, character); err != nil {
		return fmt.Errorf("forgetting which structures character %d has seen: %w", character, err)
	}
	return nil
}

// Waits of structures.
const (
	// noLogin is the wait where no character that knows a structure has a login
	// that may ask; looking costs no request.
	noLogin = time.Hour
)

// structures asks for one structure in the name of one character.
func (r *Resolver) structures(ctx context.Context) (time.Time, error) {
	now := r.config.Now().UTC()
	var id int64
	// Those without a name first.
	err := r.config.Pool.QueryRow(ctx, `SELECT coalesce((SELECT id FROM universe.wanted WHERE lookup = 'structure' AND due_at <= $1
		ORDER BY answered_at IS NOT NULL, due_at, id LIMIT 1), 0)`, now).Scan(&id)
	if err != nil || id == 0 {
		return now.Add(idle), err
	}
	asker, err := r.asker(ctx, id, now)
	if err != nil {
		return time.Time{}, err
	}
	if asker.character == 0 {
		return time.Time{}, r.postpone(ctx, id, now)
	}
	request := transport.Request{
		Route: catalogue.UniverseStructure(), Character: asker.character, Params: map[string]string{"structure_id": strconv.FormatInt(id, 10)},
	}
	if asker.etag != "" {
		request.Prior, request.Complete = []transport.Page{{ETag: asker.etag}}, 1
	}
	answer, failure, later, err := r.ask(ctx, request)
	switch {
	case err != nil || !later.IsZero():
		return later, err
	case failure != nil:
		return time.Time{}, r.structureRefused(ctx, id, asker.character, failure, now)
	case answer.NotModified:
		return time.Time{}, r.structureTaken(ctx, id, asker.character, nil, answer, now)
	}
	s, err := decodeStructure(answer.Pages[0].Body, id)
	if err != nil {
		return time.Time{}, r.refuse(ctx, eve.LookupStructure, []int64{id}, err.Error(), r.unsure)
	}
	return time.Time{}, r.structureTaken(ctx, id, asker.character, &s, answer, now)
}

// asker is a character in whose name to ask.
type asker struct {
	character int64
	etag      string
}

// asker picks a character that has something to do with the structure, has consented
// to reading structures, and was not refused lately: best one that was let in before.
// Its character is 0 if there is none.
func (r *Resolver) asker(ctx context.Context, id int64, now time.Time) (asker, error) {
	var a asker
	err := r.config.Pool.QueryRow(ctx, `
		SELECT s.character_id, CASE WHEN EXISTS (SELECT FROM universe.structure k WHERE k.structure_id = s.structure_id) THEN s.etag ELSE '' END
		FROM universe.structure_seen s JOIN ingest.token t USING (character_id)
		WHERE s.structure_id = $1 AND s.retry_at <= $2 AND t.state = 'active' AND $3 = ANY (t.scopes)
		ORDER BY s.allowed_at DESC NULLS LAST, s.refusals, s.refused_at NULLS FIRST, s.character_id LIMIT 1`,
		id, now, catalogue.UniverseStructure().Scopes[0]).Scan(&a.character, &a.etag)
	if errors.Is(err, pgx.ErrNoRows) {
		return asker{}, nil
	}
	if err != nil {
		return asker{}, fmt.Errorf("looking for a character that may ask for structure %d: %w", id, err)
	}
	return a, nil
}

// postpone puts a structure off until somebody may ask again.
func (r *Resolver) postpone(ctx context.Context, id int64, now time.Time) error {
	_, err := r.config.Pool.Exec(ctx, `
		UPDATE universe.wanted w SET due_at = coalesce(n.next, $2::timestamptz + $4::interval),
		    reason = CASE WHEN n.next IS NULL THEN 'no character that knows it has a login with the scope ' || $3 ELSE 'all characters that know it were refused' END
		FROM (SELECT min(s.retry_at) AS next FROM universe.structure_seen s JOIN ingest.token t USING (character_id)
		    WHERE s.structure_id = $1 AND s.retry_at > $2 AND t.state = 'active' AND $3 = ANY (t.scopes)) n
		WHERE w.lookup = 'structure' AND w.id = $1`, id, now, catalogue.UniverseStructure().Scopes[0], noLogin)
	if err != nil {
		return fmt.Errorf("putting structure %d off: %w", id, err)
	}
	return nil
}

// structureRefused remembers that a character was refused, so that it does not ask
// again for days. The next one is tried at the next step.
func (r *Resolver) structureRefused(ctx context.Context, id, character int64, f *transport.Failure, now time.Time) error {
	switch {
	case f.Status == 404:
		return r.refuse(ctx, eve.LookupStructure, []int64{id}, f.Message, r.unsure)
	case f.Class == eve.FailureToken && f.Status == 0:
		// ESI was not asked: the login does not work for now.
		_, err := r.config.Pool.Exec(ctx, `UPDATE universe.structure_seen SET retry_at = $3, reason = $4 WHERE structure_id = $1 AND character_id = $2`,
			id, character, now.Add(noLogin), printable(f.Message))
		if err != nil {
			return fmt.Errorf("remembering that character %d cannot ask for structure %d: %w", character, id, err)
		}
		return nil
	case f.Status != 401 && f.Status != 403:
		return r.refuse(ctx, eve.LookupStructure, []int64{id}, f.Message, r.unsure)
	}
	patience := r.after
	if f.Class == eve.FailureToken {
		// The sign-on has hiccups of its own.
		patience = r.unsure
	}
	var refusals int
	err := r.config.Pool.QueryRow(ctx, `SELECT refusals FROM universe.structure_seen WHERE structure_id = $1 AND character_id = $2`, id, character).Scan(&refusals)
	if err == nil {
		_, err = r.config.Pool.Exec(ctx, `UPDATE universe.structure_seen SET refusals = refusals + 1, refused_at = $3, retry_at = $4, reason = $5, allowed_at = NULL
			WHERE structure_id = $1 AND character_id = $2`, id, character, now, now.Add(patience(refusals+1)), printable(f.Message))
	}
	if err != nil {
		return fmt.Errorf("remembering that character %d was refused structure %d: %w", character, id, err)
	}
	r.lookups.WithLabelValues(string(eve.LookupStructure), "refused").Inc()
	return nil
}

// structureTaken keeps what a character was told; s is nil if that is what is known.
func (r *Resolver) structureTaken(ctx context.Context, id, character int64, s *esiStructure, answer transport.Answer, now time.Time) error {
	batch := &pgx.Batch{}
	etag := ""
	if s != nil {
		etag = answer.Pages[0].ETag
		batch.Queue(`INSERT INTO universe.structure AS t (structure_id, name, system_id, type_id, owner_id, fetched_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (structure_id) DO UPDATE SET name = $2, system_id = $3, type_id = coalesce($4, t.type_id), owner_id = $5, fetched_at = $6`,
			id, s.Name, s.SystemID, s.TypeID, s.OwnerID, now)
	} else {
		batch.Queue(`UPDATE universe.structure SET fetched_at = $2 WHERE structure_id = $1`, id, now)
	}
	batch.Queue(`UPDATE universe.structure_seen SET allowed_at = $3, refused_at = NULL, refusals = 0, reason = '', retry_at = $4, etag = CASE WHEN $5 = '' THEN etag ELSE $5 END
		WHERE structure_id = $1 AND character_id = $2`, id, character, now, answer.ExpiresAt, etag)
	next := now.Add(r.config.Settings.Structures)
	if answer.ExpiresAt.After(next) {
		next = answer.ExpiresAt
	}
	batch.Queue(`UPDATE universe.wanted SET answered_at = $2, due_at = $3, refusals = 0, reason = '' WHERE lookup = 'structure' AND id = $1`, id, now, next)
	if err := pgx.BeginFunc(ctx, r.config.Pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		return fmt.Errorf("keeping structure %d: %w", id, err)
	}
	r.lookups.WithLabelValues(string(eve.LookupStructure), "found").Inc()
	if s == nil {
		return nil
	}
	f := r.config.Finder
	f.mu.Lock()
	f.add(character, eve.Mention{Kind: eve.FieldEntity, ID: s.OwnerID})
	f.add(character, eve.Mention{Kind: eve.FieldLocation, ID: s.SystemID})
	if s.TypeID != nil {
		f.add(character, eve.Mention{Kind: eve.FieldType, ID: *s.TypeID})
	}
	f.mu.Unlock()
	return nil
}
