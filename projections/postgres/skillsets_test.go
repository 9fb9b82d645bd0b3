package postgres_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// TestSkillSetsInPostgresAreThoseOfTheDomain folds any history of sets and groups in
// batches of any size, and holds the rows against the plainest fold.
func TestSkillSetsInPostgresAreThoseOfTheDomain(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	model := eve.NewSkillSets()
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) uuid.UUID { return uuid.UUID{rapid.ByteRange(1, 4).Draw(t, "id")} })
		name := rapid.StringMatching(`[a-c]{1,2}`)
		var batch []event.Payload
		for range rapid.IntRange(1, 12).Draw(rt, "events") {
			var p event.Payload
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0, 1:
				set := eve.SkillSet{Name: name.Draw(rt, "name"), Description: name.Draw(rt, "text"), ShipTypeID: rapid.Int64Range(0, 2).Draw(rt, "ship"), Visible: rapid.Bool().Draw(rt, "visible"), Skills: []eve.SetSkill{}}
				for _, skill := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 6), 0, 4, rapid.ID[int64]).Draw(rt, "skills") {
					set.Skills = append(set.Skills, eve.SetSkill{TypeID: skill, Required: eve.SkillLevel(rapid.IntRange(0, 5).Draw(rt, "required")), Recommended: eve.SkillLevel(rapid.IntRange(0, 5).Draw(rt, "recommended"))})
				}
				set.Normalise()
				p = eve.SkillSetDefined{SkillSetID: id.Draw(rt, "id"), SkillSet: set}
			case 2:
				p = eve.SkillSetRemoved{SkillSetID: id.Draw(rt, "id")}
			case 3:
				group := eve.SkillSetGroup{Name: name.Draw(rt, "name"), Doctrine: rapid.Bool().Draw(rt, "doctrine"), Active: rapid.Bool().Draw(rt, "active"), SkillSetIDs: rapid.SliceOfNDistinct(id, 0, 4, rapid.ID[uuid.UUID]).Draw(rt, "sets")}
				group.Normalise()
				p = eve.SkillSetGroupDefined{SkillSetGroupID: id.Draw(rt, "id"), SkillSetGroup: group}
			default:
				p = eve.SkillSetGroupRemoved{SkillSetGroupID: id.Draw(rt, "id")}
			}
			batch = append(batch, p)
			model.Apply(p)
		}
		v.fold(event.Org, at(1), batch...)
		found, err := reader.SkillSets(t.Context())
		require.NoError(rt, err)
		require.Equal(rt, model, found.State())
	})
	loaded, err := postgres.LoadSkillSets(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, model, loaded.State())
	_, err = postgres.LoadSkillSets(t.Context(), v.pool, runner.Generation{Namespace: "gone"})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
}

func TestSkillSetsAreListedByNameWithTheirGroups(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	b, a, g, h := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}, uuid.UUID{4}
	for i, p := range []event.Payload{
		eve.SkillSetDefined{SkillSetID: b, SkillSet: eve.SkillSet{Name: "Beta", Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}},
		eve.SkillSetDefined{SkillSetID: a, SkillSet: eve.SkillSet{Name: "alpha", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Recommended: 5}}}},
		eve.SkillSetGroupDefined{SkillSetGroupID: h, SkillSetGroup: eve.SkillSetGroup{Name: "Hulls", SkillSetIDs: []uuid.UUID{b}}},
		eve.SkillSetGroupDefined{SkillSetGroupID: g, SkillSetGroup: eve.SkillSetGroup{Name: "guns", Doctrine: true, SkillSetIDs: []uuid.UUID{b, a}}},
	} {
		v.foldAt(event.Org, at(i), int64(i+1), p)
	}
	definedAt := func(offset int64) event.Origin {
		return event.Origin{Stream: event.Org, Position: event.Position{Topic: event.TopicEVE, Offset: offset}}
	}
	found, err := reader.SkillSets(t.Context())
	require.NoError(t, err)
	require.Equal(t, postgres.SkillSets{
		Sets: []postgres.SkillSet{
			{ID: a, SkillSet: eve.SkillSet{Name: "alpha", Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Recommended: 5}}}, DefinedAt: at(1), DefinedBy: "user:ada", GroupIDs: []uuid.UUID{g}, Origin: definedAt(2)},
			{ID: b, SkillSet: eve.SkillSet{Name: "Beta", Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}, DefinedAt: at(0), DefinedBy: "user:ada", GroupIDs: []uuid.UUID{g, h}, Origin: definedAt(1)},
		},
		Groups: []postgres.SkillSetGroup{
			{ID: g, SkillSetGroup: eve.SkillSetGroup{Name: "guns", Doctrine: true, SkillSetIDs: []uuid.UUID{b, a}}, DefinedAt: at(3), DefinedBy: "user:ada", Origin: definedAt(4)},
			{ID: h, SkillSetGroup: eve.SkillSetGroup{Name: "Hulls", SkillSetIDs: []uuid.UUID{b}}, DefinedAt: at(2), DefinedBy: "user:ada", Origin: definedAt(3)},
		},
	}, found)
}

func TestSkillsAreReadOfThoseWhoHaveAnOwner(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	v.fold(event.User("u1"), at(4), access.UserRegistered{UserID: "u1", Active: true, State: "Member"}, access.MainSet{UserID: "u1", CharacterID: new(int64(3))})
	v.fold(event.Character(5), at(4),
		observed(eve.SectionSkills, `{"skills": [{"skill_id": 3300, "active_skill_level": 2, "trained_skill_level": 5, "skillpoints_in_skill": 256000}, {"skill_id": 3301, "active_skill_level": 1, "trained_skill_level": 1, "skillpoints_in_skill": 250}], "total_sp": 5}`),
		observed(eve.SectionAttributes, `{"charisma": 17, "intelligence": 20, "memory": 21, "perception": 27, "willpower": 24}`))
	holders, err := reader.SkillHolders(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3, 5}, slices.Collect(func(yield func(int64) bool) {
		for _, h := range holders {
			if !yield(h.CharacterID) {
				return
			}
		}
	}), "orphans are nobody's")
	require.Equal(t, postgres.SkillHolder{
		CharacterID: 5, Name: holders[3].Name, CorporationID: holders[3].CorporationID, AllianceID: holders[3].AllianceID, UserID: "u1", UserState: "Member", MainID: 3, MainName: "Alfred 100%_\\",
		Attributes: &eve.Attributes{Charisma: 17, Intelligence: 20, Memory: 21, Perception: 27, Willpower: 24}, Synced: true,
	}, holders[3])
	require.Nil(t, holders[0].Attributes)
	require.False(t, holders[0].Synced)

	skills, err := reader.SkillsOf(t.Context(), []int64{3, 5}, []int64{3300, 3302})
	require.NoError(t, err)
	require.Equal(t, map[int64]eve.Skills{5: {3300: {Active: 2, Trained: 5, Points: 256000}}}, skills)
	skills, err = reader.SkillsOf(t.Context(), nil, []int64{3300})
	require.NoError(t, err)
	require.Empty(t, skills)
}

func TestWhatTypesNeedComesFromReferenceDataOnceItIsThere(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	types, err := reader.TypesNamed(t.Context(), []string{"Rifter"})
	require.NoError(t, err)
	require.Empty(t, types)
	natures, err := reader.SkillNatures(t.Context(), []int64{3302})
	require.NoError(t, err)
	require.Empty(t, natures)

	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA universe;
			CREATE TABLE universe.type_group (group_id bigint, category_id bigint); INSERT INTO universe.type_group VALUES (255, 16), (25, 6);
			CREATE TABLE universe.type (type_id bigint, name text, group_id bigint, published boolean, source text);
			INSERT INTO universe.type VALUES (587, 'Rifter', 25, true, 'static'), (100, 'RIFTER', 25, false, 'static'), (700, 'Rifter', 25, true, 'static'), (3300, 'Gunnery', 255, true, 'static'), (9, 'Novelty', 25, true, 'esi'), (34, 'Tritanium', NULL, true, 'static');
			CREATE TABLE universe.requirement (type_id bigint, skill_id bigint, level integer); INSERT INTO universe.requirement VALUES (587, 3329, 1), (587, 3300, 2), (3302, 3300, 1), (3300, 3299, 4);
			CREATE TABLE universe.skill (type_id bigint, rank integer, primary_attribute bigint, secondary_attribute bigint);
			INSERT INTO universe.skill VALUES (3302, 1, 167, 168), (3300, 2, 167, 168), (3299, 3, NULL, NULL), (1, 1, 164, 165)`)
		return err
	})
	types, err = reader.TypesNamed(t.Context(), []string{"RIFTER", "gunnery", "Novelty", "Tritanium", "nothing", "a\x00b"})
	require.NoError(t, err)
	require.Equal(t, eve.TypesByName{
		"rifter":    {TypeID: 587, Needs: []eve.SetSkill{{TypeID: 3300, Required: 2}, {TypeID: 3329, Required: 1}}},
		"gunnery":   {TypeID: 3300, Skill: true, Needs: []eve.SetSkill{{TypeID: 3299, Required: 4}}},
		"novelty":   {TypeID: 9, NeedsUnknown: true},
		"tritanium": {TypeID: 34},
	}, types)

	natures, err = reader.SkillNatures(t.Context(), []int64{3302})
	require.NoError(t, err)
	require.ElementsMatch(t, []int64{3302, 3300, 3299}, slices.Collect(maps.Keys(natures)), "what is needed is known all the way")
	require.Equal(t, eve.SkillNature{Rank: 2, Primary: 167, Secondary: 168, Needs: []eve.SetSkill{{TypeID: 3299, Required: 4}}}, natures[3300])
	require.Equal(t, eve.SkillNature{Rank: 3}, natures[3299])
}

func TestTextsOfSkillSetsThatPostgresCannotHoldDoNotStopTheProjection(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.fold(event.Org, at(0), eve.SkillSetDefined{SkillSetID: uuid.UUID{1}, SkillSet: eve.SkillSet{Name: "a\x00b"}})
	var kept json.RawMessage
	v.rows("SELECT to_json(name) FROM skill_sets", &kept)
	require.JSONEq(t, `"a\ufffdb"`, string(kept))
}
