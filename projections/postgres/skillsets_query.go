package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// SkillSet is a skill set with who defined it last, and when.
type SkillSet struct {
	ID uuid.UUID
	eve.SkillSet
	DefinedAt time.Time
	DefinedBy string
	// GroupIDs are the groups it is in, in the order of their names.
	GroupIDs []uuid.UUID
	// Origin is its definition.
	Origin event.Origin
}

// SkillSetGroup is a group of skill sets with who defined it last, and when.
type SkillSetGroup struct {
	ID uuid.UUID
	eve.SkillSetGroup
	DefinedAt time.Time
	DefinedBy string
	// Origin is its definition.
	Origin event.Origin
}

// SkillSets are all skill sets and groups, each in the order of their names, without
// regard to case.
type SkillSets struct {
	Sets   []SkillSet
	Groups []SkillSetGroup
}

// State is what decisions need of them.
func (s SkillSets) State() *eve.SkillSets {
	state := eve.NewSkillSets()
	for _, set := range s.Sets {
		state.Sets[set.ID] = set.SkillSet
	}
	for _, group := range s.Groups {
		state.Groups[group.ID] = group.SkillSetGroup
	}
	return state
}

// LoadSkillSets reads all skill sets and groups of a generation of the characters
// projection, as of one moment.
func LoadSkillSets(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) (SkillSets, error) {
	return loadSkillSets(ctx, pool, pgx.Identifier{g.Namespace}.Sanitize())
}

// SkillSets reads all skill sets and groups: an organisation has some hundreds. It
// fails with [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) SkillSets(ctx context.Context) (SkillSets, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return SkillSets{}, err
	}
	return loadSkillSets(ctx, r.pool, schema)
}

func loadSkillSets(ctx context.Context, pool *pgxpool.Pool, schema string) (SkillSets, error) {
	var all SkillSets
	// One snapshot, so that groups name sets that are there.
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		all = SkillSets{}
		return all.load(ctx, tx, schema)
	})
	if err != nil {
		return SkillSets{}, queryError("reading skill sets", err)
	}
	return all, nil
}

func (s *SkillSets) load(ctx context.Context, tx pgx.Tx, schema string) error {
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT skill_set_id, name, description, coalesce(ship_type_id, 0), visible, defined_at, defined_by, log_partition, log_offset
		FROM %s.skill_sets ORDER BY lower(name), skill_set_id`, schema))
	if err != nil {
		return err
	}
	at := map[uuid.UUID]int{}
	s.Sets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (SkillSet, error) {
		set := SkillSet{SkillSet: eve.SkillSet{Skills: []eve.SetSkill{}}}
		var o origin
		err := row.Scan(append([]any{&set.ID, &set.Name, &set.Description, &set.ShipTypeID, &set.Visible, &set.DefinedAt, &set.DefinedBy}, o.columns()...)...)
		set.Origin = o.of(event.Org, event.TopicEVE)
		set.DefinedAt = set.DefinedAt.UTC()
		at[set.ID] = len(at)
		return set, err
	})
	if err != nil {
		return err
	}
	var id, group uuid.UUID
	var skill eve.SetSkill
	rows, err = tx.Query(ctx, fmt.Sprintf(`SELECT skill_set_id, type_id, coalesce(required, 0), coalesce(recommended, 0) FROM %s.skill_set_skills ORDER BY skill_set_id, type_id`, schema))
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&id, &skill.TypeID, (*int)(&skill.Required), (*int)(&skill.Recommended)}, func() error {
		if i, known := at[id]; known {
			s.Sets[i].Skills = append(s.Sets[i].Skills, skill)
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, fmt.Sprintf(`SELECT skill_set_group_id, name, description, doctrine, active, defined_at, defined_by, log_partition, log_offset
		FROM %s.skill_set_groups ORDER BY lower(name), skill_set_group_id`, schema))
	if err != nil {
		return err
	}
	groupAt := map[uuid.UUID]int{}
	s.Groups, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (SkillSetGroup, error) {
		g := SkillSetGroup{SkillSetGroup: eve.SkillSetGroup{SkillSetIDs: []uuid.UUID{}}}
		var o origin
		err := row.Scan(append([]any{&g.ID, &g.Name, &g.Description, &g.Doctrine, &g.Active, &g.DefinedAt, &g.DefinedBy}, o.columns()...)...)
		g.Origin = o.of(event.Org, event.TopicEVE)
		g.DefinedAt = g.DefinedAt.UTC()
		groupAt[g.ID] = len(groupAt)
		return g, err
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, fmt.Sprintf(`SELECT m.skill_set_group_id, m.skill_set_id FROM %[1]s.skill_set_memberships m JOIN %[1]s.skill_set_groups g USING (skill_set_group_id)
		ORDER BY lower(g.name), g.skill_set_group_id, m.skill_set_id`, schema))
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&group, &id}, func() error {
		g := &s.Groups[groupAt[group]]
		g.SkillSetIDs = append(g.SkillSetIDs, id)
		if i, known := at[id]; known {
			s.Sets[i].GroupIDs = append(s.Sets[i].GroupIDs, group)
		}
		return nil
	})
	return err
}

// SkillHolder is a character with what a report on skills says of it.
type SkillHolder struct {
	CharacterID   int64
	Name          string
	CorporationID int64
	// AllianceID is zero for none.
	AllianceID int64
	UserID     string
	// UserState is the state of the owner, such as Guest; empty if nothing is known of
	// him.
	UserState string
	// MainID is the owner's main; zero for none.
	MainID   int64
	MainName string
	// Attributes are nil if they were not read.
	Attributes *eve.Attributes
	// Synced tells whether its skills were read.
	Synced bool
}

// SkillHolders are all characters with an owner, by ascending id.
func (r *CharacterReader) SkillHolders(ctx context.Context) ([]SkillHolder, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT c.character_id, c.name, c.corporation_id, c.alliance_id, c.user_id, coalesce(u.state, ''), coalesce(m.character_id, 0), coalesce(mc.name, ''),
			%[1]s.number_of(a.value, 'charisma'), %[1]s.number_of(a.value, 'intelligence'), %[1]s.number_of(a.value, 'memory'), %[1]s.number_of(a.value, 'perception'), %[1]s.number_of(a.value, 'willpower'),
			s.character_id IS NOT NULL
		FROM %[1]s.characters c
		LEFT JOIN %[1]s.users u ON u.user_id = c.user_id
		LEFT JOIN %[1]s.mains m ON m.user_id = c.user_id
		LEFT JOIN %[1]s.characters mc ON mc.character_id = m.character_id
		LEFT JOIN %[1]s.sections a ON a.character_id = c.character_id AND a.section = '%[2]s'
		LEFT JOIN %[1]s.sections s ON s.character_id = c.character_id AND s.section = '%[3]s'
		WHERE NOT c.orphaned AND coalesce(c.user_id, '') <> '' ORDER BY c.character_id`, schema, eve.SectionAttributes, eve.SectionSkills))
	if err != nil {
		return nil, queryError("listing those who may have skills", err)
	}
	holders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SkillHolder, error) {
		var h SkillHolder
		var charisma, intelligence, memory, perception, willpower *int64
		err := row.Scan(&h.CharacterID, &h.Name, &h.CorporationID, &h.AllianceID, &h.UserID, &h.UserState, &h.MainID, &h.MainName,
			&charisma, &intelligence, &memory, &perception, &willpower, &h.Synced)
		if err == nil && charisma != nil && intelligence != nil && memory != nil && perception != nil && willpower != nil {
			h.Attributes = &eve.Attributes{Charisma: int(*charisma), Intelligence: int(*intelligence), Memory: int(*memory), Perception: int(*perception), Willpower: int(*willpower)}
		}
		return h, err
	})
	if err != nil {
		return nil, queryError("listing those who may have skills", err)
	}
	return holders, nil
}

// SkillsOf are the skills of characters as they were last read, of the given types
// alone. Characters without any of them are missing.
func (r *CharacterReader) SkillsOf(ctx context.Context, characters, types []int64) (map[int64]eve.Skills, error) {
	found := map[int64]eve.Skills{}
	if len(characters) == 0 || len(types) == 0 {
		return found, nil
	}
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(types))
	for i, id := range types {
		keys[i] = strconv.FormatInt(id, 10)
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT e.character_id, e.key::bigint, coalesce(%[1]s.number_of(e.value, 'active_skill_level'), 0),
			coalesce(%[1]s.number_of(e.value, 'trained_skill_level'), 0), coalesce(%[1]s.number_of(e.value, 'skillpoints_in_skill'), 0)
		FROM %[1]s.elements e WHERE e.character_id = ANY($1) AND e.section = '%[2]s' AND e.list = 'skills' AND e.key = ANY($2)`, schema, eve.SectionSkills), characters, keys)
	if err != nil {
		return nil, queryError("reading skills", err)
	}
	var character, id, active, trained, points int64
	_, err = pgx.ForEachRow(rows, []any{&character, &id, &active, &trained, &points}, func() error {
		if found[character] == nil {
			found[character] = eve.Skills{}
		}
		found[character][id] = eve.SkillState{Active: int(active), Trained: int(trained), Points: points}
		return nil
	})
	if err != nil {
		return nil, queryError("reading skills", err)
	}
	return found, nil
}

// SkillNatures are what static data says of skills, and of all that they need, and
// so on. There are none while there is no reference data.
func (r *CharacterReader) SkillNatures(ctx context.Context, types []int64) (map[int64]eve.SkillNature, error) {
	natures := map[int64]eve.SkillNature{}
	for _, table := range []string{"universe.skill", "universe.requirement"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return natures, err
		}
	}
	rows, err := r.pool.Query(ctx, `WITH RECURSIVE needed AS (
			SELECT unnest($1::bigint[]) AS type_id UNION SELECT q.skill_id FROM needed n JOIN universe.requirement q ON q.type_id = n.type_id)
		SELECT k.type_id, k.rank, coalesce(k.primary_attribute, 0), coalesce(k.secondary_attribute, 0), coalesce(q.skill_id, 0), coalesce(q.level, 0)
		FROM needed n JOIN universe.skill k USING (type_id) LEFT JOIN universe.requirement q USING (type_id) ORDER BY k.type_id, q.skill_id`, types)
	if err != nil {
		return nil, queryError("reading what skills need", err)
	}
	var id int64
	var nature eve.SkillNature
	var need eve.SetSkill
	_, err = pgx.ForEachRow(rows, []any{&id, &nature.Rank, &nature.Primary, &nature.Secondary, &need.TypeID, (*int)(&need.Required)}, func() error {
		n := nature
		n.Needs = natures[id].Needs
		if need.TypeID != 0 {
			n.Needs = append(n.Needs, need)
		}
		natures[id] = n
		return nil
	})
	if err != nil {
		return nil, queryError("reading what skills need", err)
	}
	return natures, nil
}

// categorySkill is EVE's id of the category of skills.
const categorySkill = 16

// TypesNamed looks types up by their English names, without regard to case, with the
// skills that they need. Of several types with one name a published one counts, then
// the one with the lowest id. There are none while there is no reference data.
func (r *CharacterReader) TypesNamed(ctx context.Context, names []string) (eve.TypesByName, error) {
	types := eve.TypesByName{}
	for _, table := range []string{"universe.type", "universe.type_group", "universe.requirement"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return types, err
		}
	}
	lower := make([]string, len(names))
	for i, name := range names {
		lower[i] = strings.ReplaceAll(strings.ToLower(name), "\x00", "")
	}
	rows, err := r.pool.Query(ctx, `SELECT t.called, t.type_id, t.skill, t.unknown, coalesce(q.skill_id, 0), coalesce(q.level, 0) FROM (
			SELECT DISTINCT ON (lower(t.name)) lower(t.name) AS called, t.type_id, coalesce(g.category_id = $2, false) AS skill, t.source = 'esi' AS unknown
			FROM universe.type t LEFT JOIN universe.type_group g USING (group_id) WHERE lower(t.name) = ANY($1)
			ORDER BY lower(t.name), t.published DESC, t.type_id) t
		LEFT JOIN universe.requirement q USING (type_id) ORDER BY t.type_id, q.skill_id`, lower, categorySkill)
	if err != nil {
		return nil, queryError("looking types up by name", err)
	}
	var called string
	var known eve.KnownType
	var need eve.SetSkill
	_, err = pgx.ForEachRow(rows, []any{&called, &known.TypeID, &known.Skill, &known.NeedsUnknown, &need.TypeID, (*int)(&need.Required)}, func() error {
		t := known
		t.Needs = types[called].Needs
		if need.TypeID != 0 {
			t.Needs, t.NeedsUnknown = append(t.Needs, need), false
		}
		types[called] = t
		return nil
	})
	if err != nil {
		return nil, queryError("looking types up by name", err)
	}
	return types, nil
}
