package eve

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/muster-sync/muster/domain/event"
)

// SkillLevels are the active levels that an observation of the section skills tells.
// Those of a difference are to be laid over those of its base.
type SkillLevels struct {
	// Active are levels by skill, without those of 0.
	Active map[int64]int
	// Gone are skills that are no more, or active at 0, ascending. A full observation has
	// none.
	Gone []int64
}

// DecodeSkillLevels reads the active levels of an observation of the section skills,
// full or a difference. A skill whose level ESI does not tell is taken to be active at
// 0, as checks take it. It fails with [event.CodeInvalid] for a value that is none.
func DecodeSkillLevels(p SectionObserved) (SkillLevels, error) {
	levels := SkillLevels{Active: map[int64]int{}}
	if p.Encoding != EncodingDelta {
		content, err := Dissect(SectionSkills, p.Value)
		if err != nil {
			return SkillLevels{}, err
		}
		for _, list := range content.Lists {
			if err := levels.take(list.Items, false); err != nil {
				return SkillLevels{}, err
			}
		}
		return levels, nil
	}
	d, err := DecodeDelta(p.Value)
	if err != nil {
		return SkillLevels{}, err
	}
	for _, list := range d.Lists {
		added, changed, err := list.Items(SectionSkills)
		if err != nil {
			return SkillLevels{}, err
		}
		if err := levels.take(slices.Concat(added, changed), true); err != nil {
			return SkillLevels{}, err
		}
		for _, key := range list.Removed {
			if id, err := strconv.ParseInt(key, 10, 64); err == nil {
				levels.Gone = append(levels.Gone, id)
			}
		}
	}
	slices.Sort(levels.Gone)
	return levels, nil
}

// take notes skills; of a difference also those that are active no more.
func (l *SkillLevels) take(items []Item, difference bool) error {
	for _, item := range items {
		var skill struct {
			ID     int64    `json:"skill_id"`
			Active *float64 `json:"active_skill_level"`
		}
		if err := json.Unmarshal(item.Raw, &skill); err != nil {
			return event.Errorf(event.CodeInvalid, "section %s: skill %s: %w", SectionSkills, item.Key, err)
		}
		switch {
		case skill.Active != nil && *skill.Active >= 1 && *skill.Active <= MaxSkillLevel:
			l.Active[skill.ID] = int(*skill.Active)
		case skill.Active != nil && *skill.Active > MaxSkillLevel:
			l.Active[skill.ID] = MaxSkillLevel
		case difference:
			l.Gone = append(l.Gone, skill.ID)
		}
	}
	return nil
}
