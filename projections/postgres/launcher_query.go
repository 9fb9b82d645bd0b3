package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
)

// LauncherFigures are what a card of the launcher shows of a character beside what the
// finder does.
type LauncherFigures struct {
	CharacterID int64
	// Balance is what is in the wallet, nil if it was not read.
	Balance *decimal.Decimal
	// SkillPoints are all, nil if they were not read.
	SkillPoints *int64
	// Mined is what was mined since a moment at average prices, in ISK; nil if there are
	// no prices. What has no price counts as nothing.
	Mined *decimal.Decimal
	// Failing are the sections that cannot be read, LoginLost those of them for want of a
	// login although the owner has consented to them.
	Failing, LoginLost []string
	// Unread counts the sections that the owner has consented to and that were not read
	// so far.
	Unread int
}

// LauncherFigures reads the figures of characters, by their ids. since is from when on
// what was mined counts. It fails with [event.CodeUnavailable] if the projection or the
// database is not there.
func (r *CharacterReader) LauncherFigures(ctx context.Context, characters []int64, since time.Time) (map[int64]LauncherFigures, error) {
	figures := map[int64]LauncherFigures{}
	if len(characters) == 0 {
		return figures, nil
	}
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	mined := `NULL::text`
	priced, err := r.there(ctx, "universe.price")
	if err != nil {
		return nil, err
	}
	if priced {
		mined = fmt.Sprintf(`(SELECT coalesce(sum(%[1]s.number_of(m.value, 'quantity') * coalesce(p.average, p.adjusted)), 0)::text FROM %[1]s.records m
			JOIN universe.price p ON p.type_id = %[1]s.number_of(m.value, 'type_id') WHERE m.character_id = c.character_id AND m.section = '%[2]s' AND m.at >= $4)`, schema, eve.SectionMining)
	}
	var names, scopes []string
	for _, s := range sections() {
		names, scopes = append(names, string(s.name)), append(scopes, s.scope)
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT c.character_id,
			(SELECT w.balance::text FROM %[1]s.wallet w WHERE w.character_id = c.character_id),
			(SELECT %[1]s.number_of(s.value, 'total_sp') FROM %[1]s.sections s WHERE s.character_id = c.character_id AND s.section = '%[2]s'),
			%[3]s, x.failing, x.lost, x.unread
		FROM %[1]s.characters c
		CROSS JOIN LATERAL (SELECT
				coalesce(array_agg(n.section ORDER BY n.place) FILTER (WHERE f.failing AND (f.class <> '%[4]s' OR n.consented)), '{}') AS failing,
				coalesce(array_agg(n.section ORDER BY n.place) FILTER (WHERE f.failing AND f.class = '%[4]s' AND n.consented), '{}') AS lost,
				count(*) FILTER (WHERE n.consented AND NOT coalesce(f.failing, false) AND s.section IS NULL AND d.section IS NULL) AS unread
			FROM (SELECT a.section, a.place, a.scope = '' OR a.scope = ANY(coalesce(c.scopes, '{}')) AS consented
				FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS a(section, scope, place)) n
			LEFT JOIN %[1]s.failures f ON f.character_id = c.character_id AND f.section = n.section
			LEFT JOIN %[1]s.sections s ON s.character_id = c.character_id AND s.section = n.section
			LEFT JOIN %[1]s.recorded d ON d.character_id = c.character_id AND d.section = n.section) x
		WHERE c.character_id = ANY($1) AND $4::timestamptz IS NOT NULL`, schema, eve.SectionSkills, mined, eve.FailureToken), characters, names, scopes, since)
	if err != nil {
		return nil, queryError("reading the figures of characters", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (LauncherFigures, error) {
		var f LauncherFigures
		var balance, mined *string
		err := row.Scan(&f.CharacterID, &balance, &f.SkillPoints, &mined, &f.Failing, &f.LoginLost, &f.Unread)
		if err == nil {
			f.Balance, err = decimalOf(balance)
		}
		if err == nil {
			f.Mined, err = decimalOf(mined)
		}
		return f, err
	})
	if err != nil {
		return nil, queryError("reading the figures of characters", err)
	}
	for _, f := range list {
		figures[f.CharacterID] = f
	}
	return figures, nil
}

// decimalOf is an amount that Postgres has written as text; nil for none.
func decimalOf(text *string) (*decimal.Decimal, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // none is none
	}
	amount, err := decimal.NewFromString(*text)
	if err != nil {
		return nil, err
	}
	return &amount, nil
}
