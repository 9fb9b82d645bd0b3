package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/runner"
)

type skillSetRow struct {
	eve.SkillSetDefined
	at time.Time
	by string
	place
}

// skillSetSkill is the key of a skill in a set.
type skillSetSkill struct {
	set    uuid.UUID
	typeID int64
}

type skillSetSkillRow struct {
	skillSetSkill
	eve.SetSkill
	place
}

type skillSetGroupRow struct {
	eve.SkillSetGroupDefined
	at time.Time
	by string
	place
}

// membership is a set in a group.
type membership struct{ group, set uuid.UUID }

type membershipRow struct {
	membership
	place
}

// skillSets folds events of skill sets and their groups.
type skillSets struct {
	sets    table[uuid.UUID, skillSetRow]
	skills  table[skillSetSkill, skillSetSkillRow]
	groups  table[uuid.UUID, skillSetGroupRow]
	members table[membership, membershipRow]

	// removedSets and removedGroups have the places of the events before which nothing
	// of them counts any more.
	removedSets, removedGroups map[uuid.UUID]place
}

func newSkillSets() skillSets {
	level := func(l eve.SkillLevel) *int {
		if l == 0 {
			return nil
		}
		return new(int(l))
	}
	return skillSets{
		sets: newTable[uuid.UUID]("skill_sets", []string{"skill_set_id"}, func(r *skillSetRow) place { return r.place },
			col("skill_set_id", "uuid[]", func(r *skillSetRow) uuid.UUID { return r.SkillSetID }),
			col("name", "text[]", func(r *skillSetRow) string { return r.Name }),
			col("description", "text[]", func(r *skillSetRow) string { return r.Description }),
			col("ship_type_id", "bigint[]", func(r *skillSetRow) *int64 {
				if r.ShipTypeID == 0 {
					return nil
				}
				return &r.ShipTypeID
			}),
			col("visible", "boolean[]", func(r *skillSetRow) bool { return r.Visible }),
			col("defined_at", "timestamptz[]", func(r *skillSetRow) time.Time { return r.at }),
			col("defined_by", "text[]", func(r *skillSetRow) string { return r.by })),
		skills: newTable[skillSetSkill]("skill_set_skills", []string{"skill_set_id", "type_id"}, func(r *skillSetSkillRow) place { return r.place },
			col("skill_set_id", "uuid[]", func(r *skillSetSkillRow) uuid.UUID { return r.set }),
			col("type_id", "bigint[]", func(r *skillSetSkillRow) int64 { return r.typeID }),
			col("required", "integer[]", func(r *skillSetSkillRow) *int { return level(r.Required) }),
			col("recommended", "integer[]", func(r *skillSetSkillRow) *int { return level(r.Recommended) })),
		groups: newTable[uuid.UUID]("skill_set_groups", []string{"skill_set_group_id"}, func(r *skillSetGroupRow) place { return r.place },
			col("skill_set_group_id", "uuid[]", func(r *skillSetGroupRow) uuid.UUID { return r.SkillSetGroupID }),
			col("name", "text[]", func(r *skillSetGroupRow) string { return r.Name }),
			col("description", "text[]", func(r *skillSetGroupRow) string { return r.Description }),
			col("doctrine", "boolean[]", func(r *skillSetGroupRow) bool { return r.Doctrine }),
			col("active", "boolean[]", func(r *skillSetGroupRow) bool { return r.Active }),
			col("defined_at", "timestamptz[]", func(r *skillSetGroupRow) time.Time { return r.at }),
			col("defined_by", "text[]", func(r *skillSetGroupRow) string { return r.by })),
		members: newTable[membership]("skill_set_memberships", []string{"skill_set_group_id", "skill_set_id"}, func(r *membershipRow) place { return r.place },
			col("skill_set_group_id", "uuid[]", func(r *membershipRow) uuid.UUID { return r.group }),
			col("skill_set_id", "uuid[]", func(r *membershipRow) uuid.UUID { return r.set })),
	}
}

func (s *skillSets) empty() skillSets {
	return skillSets{
		sets: s.sets.empty(), skills: s.skills.empty(), groups: s.groups.empty(), members: s.members.empty(),
		removedSets: map[uuid.UUID]place{}, removedGroups: map[uuid.UUID]place{},
	}
}

// add takes an event; those of other kinds are passed over.
func (s *skillSets) add(e runner.Event) {
	at := placeOf(e)
	switch p := e.Payload.(type) {
	case eve.SkillSetDefined:
		s.sets.put(p.SkillSetID, skillSetRow{p, e.Time, e.Actor, at})
		s.skills.drop(func(k skillSetSkill) bool { return k.set == p.SkillSetID })
		for _, skill := range p.Skills {
			key := skillSetSkill{p.SkillSetID, skill.TypeID}
			s.skills.put(key, skillSetSkillRow{key, skill, at})
		}
	case eve.SkillSetRemoved:
		s.sets.drop(func(id uuid.UUID) bool { return id == p.SkillSetID })
		s.skills.drop(func(k skillSetSkill) bool { return k.set == p.SkillSetID })
		s.members.drop(func(m membership) bool { return m.set == p.SkillSetID })
		s.removedSets[p.SkillSetID] = at
	case eve.SkillSetGroupDefined:
		s.groups.put(p.SkillSetGroupID, skillSetGroupRow{p, e.Time, e.Actor, at})
		s.members.drop(func(m membership) bool { return m.group == p.SkillSetGroupID })
		for _, set := range p.SkillSetIDs {
			key := membership{p.SkillSetGroupID, set}
			s.members.put(key, membershipRow{key, at})
		}
	case eve.SkillSetGroupRemoved:
		s.groups.drop(func(id uuid.UUID) bool { return id == p.SkillSetGroupID })
		s.members.drop(func(m membership) bool { return m.group == p.SkillSetGroupID })
		s.removedGroups[p.SkillSetGroupID] = at
	}
}

// queue implements queuer. What belonged to an earlier definition of a set or a group
// goes with it.
func (s *skillSets) queue(b *pgx.Batch) {
	s.sets.queue(b)
	s.groups.queue(b)
	s.skills.queue(b)
	s.members.queue(b)
	replace := func(parts, whole, key string, ids []uuid.UUID) {
		if len(ids) > 0 {
			b.Queue(fmt.Sprintf(`DELETE FROM %s p USING %s w WHERE w.%[3]s = ANY($1) AND p.%[3]s = w.%[3]s AND p.log_offset < w.log_offset`, parts, whole, key), ids)
		}
	}
	replace("skill_set_skills", "skill_sets", "skill_set_id", slices.Collect(maps.Keys(s.sets.index)))
	replace("skill_set_memberships", "skill_set_groups", "skill_set_group_id", slices.Collect(maps.Keys(s.groups.index)))
}

// writeRemoved deletes what came before sets and groups were removed.
func (s *skillSets) writeRemoved(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	remove := func(gone map[uuid.UUID]place, key string, tables ...string) {
		if len(gone) == 0 {
			return
		}
		ids, offsets := make([]uuid.UUID, 0, len(gone)), make([]int64, 0, len(gone))
		for id, at := range gone {
			ids, offsets = append(ids, id), append(offsets, at.offset)
		}
		for _, name := range tables {
			batch.Queue(fmt.Sprintf(`DELETE FROM %s t USING unnest($1::uuid[], $2::bigint[]) AS g(id, log_offset) WHERE t.%s = g.id AND t.log_offset < g.log_offset`, name, key), ids, offsets)
		}
	}
	remove(s.removedSets, "skill_set_id", "skill_sets", "skill_set_skills", "skill_set_memberships")
	remove(s.removedGroups, "skill_set_group_id", "skill_set_groups", "skill_set_memberships")
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("deleting skill sets and groups that were removed: %w", err)
	}
	return nil
}
