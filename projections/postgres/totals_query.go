package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// CharacterTotals are the totals that Member Audit 1.9.4 counts.
type CharacterTotals struct {
	// Users own at least one registered character.
	Users int64
	// Characters are all that are known, disabled and orphaned ones too.
	Characters                int64
	SkillSets, SkillSetGroups int64
	// Assets and Contacts are those of the last readings, Mails and Contracts all that
	// were recorded.
	Assets, Contacts, Mails, Contracts int64
}

// Totals counts what there is of everybody.
func (r *CharacterReader) Totals(ctx context.Context) (CharacterTotals, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return CharacterTotals{}, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT
			(SELECT count(DISTINCT user_id) FROM %[1]s.characters WHERE user_id <> '') AS users,
			(SELECT count(*) FROM %[1]s.registrations) AS characters,
			(SELECT count(*) FROM %[1]s.skill_sets) AS skill_sets,
			(SELECT count(*) FROM %[1]s.skill_set_groups) AS skill_set_groups,
			(SELECT count(*) FROM %[1]s.elements WHERE section = $1 AND list = '') AS assets,
			(SELECT count(*) FROM %[1]s.elements WHERE section = $2 AND list = 'contacts') AS contacts,
			(SELECT count(*) FROM %[1]s.records WHERE section = $3) AS mails,
			(SELECT count(*) FROM %[1]s.records WHERE section = $4) AS contracts`, schema),
		string(eve.SectionAssets), string(eve.SectionContacts), string(eve.SectionMails), string(eve.SectionContracts))
	if err != nil {
		return CharacterTotals{}, queryError("counting what there is of everybody", err)
	}
	totals, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[CharacterTotals])
	if err != nil {
		return CharacterTotals{}, queryError("counting what there is of everybody", err)
	}
	return totals, nil
}

// ConsortiumTotals are how much there is of a consortium.
type ConsortiumTotals struct {
	// Declared and Observed are the records of either side, by kind.
	Declared, Observed map[string]int64
	// Sweeps are all that were started, Completed those that came to their end.
	Sweeps, Completed int64
}

// Totals counts what there is, by consortium.
func (r *AnVILReader) Totals(ctx context.Context) (map[string]ConsortiumTotals, error) {
	schema, err := r.anvilSchema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT stream, side, kind, count(*), 0 FROM %[1]s.records GROUP BY 1, 2, 3
		UNION ALL SELECT stream, 'sweeps', '', count(*), count(completed_at) FROM %[1]s.sweeps GROUP BY 1`, schema))
	if err != nil {
		return nil, queryError("counting what there is of the consortia", err)
	}
	totals := map[string]ConsortiumTotals{}
	var stream event.Stream
	var side, kind string
	var n, completed int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &side, &kind, &n, &completed}, func() error {
		name, _ := stream.ConsortiumName()
		t, there := totals[name]
		if !there {
			t = ConsortiumTotals{Declared: map[string]int64{}, Observed: map[string]int64{}}
		}
		switch side {
		case "sweeps":
			t.Sweeps, t.Completed = n, completed
		case string(anvil.SideDeclared):
			t.Declared[kind] = n
		default:
			t.Observed[kind] = n
		}
		totals[name] = t
		return nil
	})
	if err != nil {
		return nil, queryError("counting what there is of the consortia", err)
	}
	return totals, nil
}
