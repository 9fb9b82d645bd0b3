package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/runner"
)

// KnownUser is a user with his main, as decisions need him.
type KnownUser struct {
	access.UserRegistered
	// Granted are all his permissions, those of his roles included.
	Granted []string
	Main    *int64
	// HasMain tells whether a main was ever set, be it to none.
	HasMain bool
	// Listed are the characters that he was last said to own without their being
	// registered, by id.
	Listed []access.ListedCharacter
}

// KnownUsers are those of the ids that a generation of the characters
// projection knows.
func KnownUsers(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, ids []string) (map[string]KnownUser, error) {
	schema := pgx.Identifier{g.Namespace}.Sanitize()
	rows, err := pool.Query(ctx, `SELECT u.user_id, u.name, u.superuser, u.active, u.state, u.permissions, g.permissions, m.character_id, m.user_id IS NOT NULL
		FROM `+schema+`.users u JOIN `+schema+`.grants g USING (user_id) LEFT JOIN `+schema+`.mains m USING (user_id) WHERE u.user_id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("looking users up: %w", err)
	}
	known := map[string]KnownUser{}
	var u KnownUser
	_, err = pgx.ForEachRow(rows, []any{&u.UserID, &u.Name, &u.Superuser, &u.Active, &u.State, &u.Permissions, &u.Granted, &u.Main, &u.HasMain}, func() error {
		known[u.UserID] = u
		u = KnownUser{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking users up: %w", err)
	}
	rows, err = pool.Query(ctx, `SELECT user_id, character_id, name, corporation_id, alliance_id FROM `+schema+`.listed WHERE user_id = ANY($1) ORDER BY user_id, character_id`, ids)
	if err != nil {
		return nil, fmt.Errorf("looking up what users have not registered: %w", err)
	}
	var id string
	var l access.ListedCharacter
	_, err = pgx.ForEachRow(rows, []any{&id, &l.CharacterID, &l.Name, &l.CorporationID, &l.AllianceID}, func() error {
		if u, there := known[id]; there {
			u.Listed = append(u.Listed, l)
			known[id] = u
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up what users have not registered: %w", err)
	}
	return known, nil
}

// KnownMains are the ids of the users whose main a character is, in order.
func KnownMains(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, character int64) ([]string, error) {
	rows, err := pool.Query(ctx, `SELECT user_id FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.mains WHERE character_id = $1 ORDER BY user_id`, character)
	if err != nil {
		return nil, fmt.Errorf("looking up whose main character %d is: %w", character, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// KnownCharacter is who owns a character; UserID is empty for an orphan.
type KnownCharacter struct {
	Name      string
	UserID    string
	OwnerHash string
	Scopes    []string
	// Disabled tells that it is not synced though it may have an owner.
	Disabled bool
	// Shared tells that its present owner has shared it, be it for a time that is over
	// by now; SharedUntil is when that ends, nil for never.
	Shared      bool
	SharedUntil *time.Time
}

// KnownCharacters are those of the ids that a generation of the characters
// projection knows.
func KnownCharacters(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, ids []int64) (map[int64]KnownCharacter, error) {
	schema := pgx.Identifier{g.Namespace}.Sanitize()
	rows, err := pool.Query(ctx, `SELECT v.character_id, v.name, coalesce(v.user_id, ''), coalesce(w.owner_hash, ''), coalesce(w.scopes, '{}'), v.disabled, v.shared, v.shared_until
		FROM `+schema+`.characters v LEFT JOIN `+schema+`.owners w USING (character_id) WHERE v.character_id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("looking characters up: %w", err)
	}
	known := map[int64]KnownCharacter{}
	var id int64
	var c KnownCharacter
	_, err = pgx.ForEachRow(rows, []any{&id, &c.Name, &c.UserID, &c.OwnerHash, &c.Scopes, &c.Disabled, &c.Shared, &c.SharedUntil}, func() error {
		known[id] = c
		c = KnownCharacter{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking characters up: %w", err)
	}
	return known, nil
}

// SyncableCharacters are the ids of the characters that are registered, have an
// owner and are not disabled, in order.
func SyncableCharacters(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) ([]int64, error) {
	rows, err := pool.Query(ctx, `SELECT character_id FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.characters
		WHERE NOT orphaned AND NOT disabled ORDER BY character_id`)
	if err != nil {
		return nil, fmt.Errorf("listing the characters to sync: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// AllCharacters are the ids of all characters, in order.
func AllCharacters(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) ([]int64, error) {
	rows, err := pool.Query(ctx, `SELECT character_id FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.registrations ORDER BY character_id`)
	if err != nil {
		return nil, fmt.Errorf("listing characters: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// SectionContents calls each for all JSON that a generation of the characters
// projection keeps of the sections of a character: values, elements and records, in
// no order. The JSON is valid during the call.
func SectionContents(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, character int64, each func(section eve.Section, value []byte)) error {
	schema := pgx.Identifier{g.Namespace}.Sanitize()
	rows, err := pool.Query(ctx, fmt.Sprintf(`SELECT section, value::text FROM %[1]s.sections WHERE character_id = $1 AND value IS NOT NULL
		UNION ALL SELECT section, CASE WHEN section = '`+string(eve.SectionImplants)+`' THEN '[' || value::text || ']' ELSE value::text END FROM %[1]s.elements WHERE character_id = $1
		UNION ALL SELECT section, value::text FROM %[1]s.records WHERE character_id = $1`, schema), character)
	if err != nil {
		return fmt.Errorf("reading the sections of character %d: %w", character, err)
	}
	defer rows.Close()
	for rows.Next() {
		// The bytes as they came: of thousands of values none is copied.
		raw := rows.RawValues()
		each(eve.Section(raw[0]), raw[1])
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the sections of character %d: %w", character, err)
	}
	return nil
}
