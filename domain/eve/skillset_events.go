package eve

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events of skill sets and their groups. They lie in the stream
// [event.Org]: names are unique in the organisation, so that there is one order of
// all decisions on them.
const (
	TypeSkillSetDefined      event.Type = "muster.eve.skillset.defined.v1"
	TypeSkillSetRemoved      event.Type = "muster.eve.skillset.removed.v1"
	TypeSkillSetGroupDefined event.Type = "muster.eve.skillsetgroup.defined.v1"
	TypeSkillSetGroupRemoved event.Type = "muster.eve.skillsetgroup.removed.v1"
)

func registerSkillSets(r *event.Registry) {
	event.Register[SkillSetDefined](r)
	event.Register[SkillSetRemoved](r)
	event.Register[SkillSetGroupDefined](r)
	event.Register[SkillSetGroupRemoved](r)
}

// SkillSetDefined says what a skill set is from now on. It replaces what it was.
type SkillSetDefined struct {
	SkillSetID uuid.UUID `json:"skill_set_id"`
	SkillSet
}

// EventType implements [event.Payload].
func (SkillSetDefined) EventType() event.Type { return TypeSkillSetDefined }

// SkillSetRemoved says that a skill set is no more. It leaves all groups.
type SkillSetRemoved struct {
	SkillSetID uuid.UUID `json:"skill_set_id"`
	Reason     string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (SkillSetRemoved) EventType() event.Type { return TypeSkillSetRemoved }

// SkillSetGroupDefined says what a group is from now on. It replaces what it was.
type SkillSetGroupDefined struct {
	SkillSetGroupID uuid.UUID `json:"skill_set_group_id"`
	SkillSetGroup
}

// EventType implements [event.Payload].
func (SkillSetGroupDefined) EventType() event.Type { return TypeSkillSetGroupDefined }

// SkillSetGroupRemoved says that a group is no more. Its sets stay.
type SkillSetGroupRemoved struct {
	SkillSetGroupID uuid.UUID `json:"skill_set_group_id"`
	Reason          string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (SkillSetGroupRemoved) EventType() event.Type { return TypeSkillSetGroupRemoved }

// SkillSets are all skill sets and groups: what their events add up to, and what
// decisions on them rest on. It is not safe for concurrent use.
type SkillSets struct {
	Sets   map[uuid.UUID]SkillSet
	Groups map[uuid.UUID]SkillSetGroup
}

// NewSkillSets are no sets and no groups.
func NewSkillSets() *SkillSets {
	return &SkillSets{Sets: map[uuid.UUID]SkillSet{}, Groups: map[uuid.UUID]SkillSetGroup{}}
}

// Apply folds the next event. Payloads of other kinds are passed over. A set leaves
// its groups when it is removed, and does not come back into them by being defined
// again.
func (s *SkillSets) Apply(p event.Payload) {
	switch p := p.(type) {
	case SkillSetDefined:
		s.Sets[p.SkillSetID] = p.SkillSet
	case SkillSetRemoved:
		delete(s.Sets, p.SkillSetID)
		for id, group := range s.Groups {
			kept := []uuid.UUID{}
			for _, set := range group.SkillSetIDs {
				if set != p.SkillSetID {
					kept = append(kept, set)
				}
			}
			group.SkillSetIDs = kept
			s.Groups[id] = group
		}
	case SkillSetGroupDefined:
		s.Groups[p.SkillSetGroupID] = p.SkillSetGroup
	case SkillSetGroupRemoved:
		delete(s.Groups, p.SkillSetGroupID)
	}
}

// SkillSetNamed is the id of the set with a name, without regard to case; false if
// there is none.
func (s *SkillSets) SkillSetNamed(name string) (uuid.UUID, bool) {
	for id, set := range s.Sets {
		if sameName(set.Name, name) {
			return id, true
		}
	}
	return uuid.Nil, false
}

// GroupNamed is the id of the group with a name, likewise.
func (s *SkillSets) GroupNamed(name string) (uuid.UUID, bool) {
	for id, group := range s.Groups {
		if sameName(group.Name, name) {
			return id, true
		}
	}
	return uuid.Nil, false
}

func sameName(a, b string) bool { return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) }

// DecideCreateSkillSet defines a new set under a fresh id. If there is one with its
// name already, that one is replaced if overwrite says so (as Member Audit does if it
// is ticked). It returns the id of the set; no events if it is so already. It fails
// with [event.CodeConflict] if the name is taken, and with [event.CodeInvalid].
func (s *SkillSets) DecideCreateSkillSet(fresh uuid.UUID, set SkillSet, overwrite bool) (uuid.UUID, []event.Payload, error) {
	set.Normalise()
	if err := set.Validate(); err != nil {
		return uuid.Nil, nil, err
	}
	id, taken := s.SkillSetNamed(set.Name)
	switch {
	case !taken:
		return fresh, []event.Payload{SkillSetDefined{fresh, set}}, nil
	case !overwrite:
		return uuid.Nil, nil, event.Errorf(event.CodeConflict, "there is a skill set %q already (%s), and names are unique: give another name, replace that one, or say that it may be overwritten", s.Sets[id].Name, id)
	}
	events, err := s.DecideReplaceSkillSet(id, set)
	return id, events, err
}

// DecideReplaceSkillSet gives a set another definition; no events if it is so
// already. It fails with [event.CodeNotFound], with [event.CodeConflict] if another
// set has the name, and with [event.CodeInvalid].
func (s *SkillSets) DecideReplaceSkillSet(id uuid.UUID, set SkillSet) ([]event.Payload, error) {
	set.Normalise()
	if err := set.Validate(); err != nil {
		return nil, err
	}
	before, there := s.Sets[id]
	if !there {
		return nil, noSkillSet(id)
	}
	if other, taken := s.SkillSetNamed(set.Name); taken && other != id {
		return nil, event.Errorf(event.CodeConflict, "there is another skill set %q already (%s), and names are unique: give another name", s.Sets[other].Name, other)
	}
	if len(DiffSkillSets(before, set)) == 0 {
		return nil, nil
	}
	return []event.Payload{SkillSetDefined{id, set}}, nil
}

// DecideRemoveSkillSet removes a set, from its groups too. It fails with
// [event.CodeNotFound], and with [event.CodeInvalid] for a reason that is too long.
func (s *SkillSets) DecideRemoveSkillSet(id uuid.UUID, reason string) ([]event.Payload, error) {
	if _, there := s.Sets[id]; !there {
		return nil, noSkillSet(id)
	}
	reason, err := optionalReason(reason)
	if err != nil {
		return nil, err
	}
	return []event.Payload{SkillSetRemoved{id, reason}}, nil
}

// DecideCreateGroup defines a new group under a fresh id. It fails with
// [event.CodeConflict] if the name is taken, with [event.CodeNotFound] for a set that
// is not there, and with [event.CodeInvalid].
func (s *SkillSets) DecideCreateGroup(fresh uuid.UUID, group SkillSetGroup) ([]event.Payload, error) {
	return s.decideGroup(fresh, group)
}

// DecideReplaceGroup gives a group another definition; no events if it is so already.
// It fails like [SkillSets.DecideCreateGroup], and with [event.CodeNotFound] for a
// group that is not there.
func (s *SkillSets) DecideReplaceGroup(id uuid.UUID, group SkillSetGroup) ([]event.Payload, error) {
	if _, there := s.Groups[id]; !there {
		return nil, noGroup(id)
	}
	return s.decideGroup(id, group)
}

func (s *SkillSets) decideGroup(id uuid.UUID, group SkillSetGroup) ([]event.Payload, error) {
	group.Normalise()
	if err := group.Validate(); err != nil {
		return nil, err
	}
	if other, taken := s.GroupNamed(group.Name); taken && other != id {
		return nil, event.Errorf(event.CodeConflict, "there is a skill set group %q already (%s), and names are unique: give another name", s.Groups[other].Name, other)
	}
	for _, set := range group.SkillSetIDs {
		if _, there := s.Sets[set]; !there {
			return nil, fmt.Errorf("skill set group %q: %w", group.Name, noSkillSet(set))
		}
	}
	if before, there := s.Groups[id]; there && before.equal(group) {
		return nil, nil
	}
	return []event.Payload{SkillSetGroupDefined{id, group}}, nil
}

// DecideRemoveGroup removes a group; its sets stay. It fails with
// [event.CodeNotFound], and with [event.CodeInvalid] for a reason that is too long.
func (s *SkillSets) DecideRemoveGroup(id uuid.UUID, reason string) ([]event.Payload, error) {
	if _, there := s.Groups[id]; !there {
		return nil, noGroup(id)
	}
	reason, err := optionalReason(reason)
	if err != nil {
		return nil, err
	}
	return []event.Payload{SkillSetGroupRemoved{id, reason}}, nil
}

func noSkillSet(id uuid.UUID) error {
	return event.Errorf(event.CodeNotFound, "there is no skill set %s: it was never defined, or it was removed", id)
}

func noGroup(id uuid.UUID) error {
	return event.Errorf(event.CodeNotFound, "there is no skill set group %s: it was never defined, or it was removed", id)
}

func optionalReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if len(reason) > maxReason {
		return "", event.Errorf(event.CodeInvalid, "the reason is %d bytes long, at most %d are kept: say it in short", len(reason), maxReason)
	}
	return reason, nil
}
