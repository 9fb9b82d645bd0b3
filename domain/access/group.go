package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// maxGroups bounds how many compliance groups there are.
const maxGroups = 100

// ComplianceGroup is a group of the users who have registered all their characters, as
// Member Audit keeps them since 1.10. Nobody is put into it or taken out of it by hand.
type ComplianceGroup struct {
	// Name is unique, without regard to case.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// States are the only ones whose users are let in; none for all.
	States []string `json:"states,omitempty"`
}

// Normalise brings the states into order, without doubles, and the texts without blanks
// around them.
func (g *ComplianceGroup) Normalise() {
	g.Name, g.Description = strings.TrimSpace(g.Name), strings.TrimSpace(g.Description)
	g.States = slices.Clone(g.States)
	slices.Sort(g.States)
	if g.States = slices.Compact(g.States); len(g.States) == 0 {
		g.States = nil
	}
}

// Validate fails with [event.CodeInvalid] for a group that cannot be, such as one whose
// name does not do as a part of an address.
func (g ComplianceGroup) Validate() error {
	if !validName(g.Name) {
		return event.Errorf(event.CodeInvalid, "compliance group %.40q: its name must have 1 to %d letters from a to z, digits, blanks, '-' and '_'", g.Name, maxRoleName)
	}
	if len(g.Description) > maxRoleDescription {
		return event.Errorf(event.CodeInvalid, "compliance group %q: its description is %d bytes long, at most %d are allowed", g.Name, len(g.Description), maxRoleDescription)
	}
	for _, state := range g.States {
		if !validState(state) {
			return event.Errorf(event.CodeInvalid, "compliance group %q: state %.40q: must be the name of a state, such as Member", g.Name, state)
		}
	}
	return nil
}

func (g ComplianceGroup) equal(other ComplianceGroup) bool {
	return g.Name == other.Name && g.Description == other.Description && slices.Equal(g.States, other.States)
}

// GroupDefined says what a compliance group is from now on. It lies in the stream
// [event.Roles], because roles name groups: one order for both lets nobody remove a
// group that a role names.
type GroupDefined struct {
	// GroupID is what memberships refer to: a group that is removed and defined again is
	// another one.
	GroupID uuid.UUID `json:"group_id"`
	ComplianceGroup
}

// EventType implements [event.Payload].
func (GroupDefined) EventType() event.Type { return TypeGroupDefined }

// GroupRemoved says that there is a compliance group no more. Nobody is in it any more.
type GroupRemoved struct {
	GroupID uuid.UUID `json:"group_id"`
	Name    string    `json:"name"`
	Reason  string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (GroupRemoved) EventType() event.Type { return TypeGroupRemoved }

// GroupCause is the event that memberships follow from.
type GroupCause struct {
	// Cause is its type; empty if a periodic run found it.
	Cause event.Type `json:"cause,omitempty"`
	// CharacterID is the character that it is about; zero for none.
	CharacterID int64 `json:"character_id,omitempty"`
	// Since is its time, UTC.
	Since time.Time `json:"since"`
}

// Designated tells whether somebody has defined or removed a group. What follows from
// that is not the doing of the user.
func (c GroupCause) Designated() bool {
	return c.Cause == TypeGroupDefined || c.Cause == TypeGroupRemoved
}

// GroupsGained says that a user is in compliance groups from now on. It lies in his
// stream, and is no decision but what follows from others.
type GroupsGained struct {
	UserID string        `json:"user_id"`
	Groups []GainedGroup `json:"groups"`
	// Characters counts what he owns; all of them are registered.
	Characters int `json:"characters"`
	GroupCause
}

// GainedGroup is a group that a user is in.
type GainedGroup struct {
	GroupID uuid.UUID `json:"group_id"`
	// Name is the group's at that time.
	Name string `json:"name"`
}

// EventType implements [event.Payload].
func (GroupsGained) EventType() event.Type { return TypeGroupsGained }

// GroupsLost says that a user is in compliance groups no more, and why. It lies in his
// stream, and is no decision but what follows from others.
type GroupsLost struct {
	UserID string      `json:"user_id"`
	Groups []LostGroup `json:"groups"`
	GroupCause
}

// LostGroup is a group that a user is in no more.
type LostGroup struct {
	GroupID uuid.UUID     `json:"group_id"`
	Name    string        `json:"name"`
	Reasons []GroupReason `json:"reasons"`
}

// EventType implements [event.Payload].
func (GroupsLost) EventType() event.Type { return TypeGroupsLost }

// The faults that keep users out of compliance groups, beside [FaultNeverRegistered] and
// [FaultLoginLost] of a character that is not registered.
const (
	// FaultNoBasicAccess: the user does not hold [BasicAccess], or only through roles of
	// compliance groups.
	FaultNoBasicAccess Fault = "no_basic_access"
	// FaultState: the group is not open to the user's state.
	FaultState Fault = "state_not_open"
	// FaultNoCharacters: the user owns no character.
	FaultNoCharacters Fault = "no_characters"
	// FaultGroupRemoved: there is no such group any more.
	FaultGroupRemoved Fault = "group_removed"
)

// GroupReason is one thing that keeps a user out of a group.
type GroupReason struct {
	Reason
	// Since is when it began, UTC; nil if that is not known.
	Since *time.Time `json:"since,omitempty"`
}

// GroupStanding is what compliance groups ask of a user.
type GroupStanding struct {
	UserID, State string
	// BasicAccess tells whether he holds [BasicAccess] otherwise than through a
	// compliance group: nobody stays in a group by what the group gives him.
	BasicAccess bool
	// Registered counts the characters he owns that are registered.
	Registered int
	// Unregistered are the others, by their ids.
	Unregistered []GroupReason
}

// Lacking is what keeps a user out of the group; nothing if he is in it: he holds
// [BasicAccess], the group is open to his state, and all characters that he owns are
// registered. Whether a login still works, or a character is disabled, plays no part,
// and neither does his main. Somebody who owns no character has registered nothing and
// is not let in. (Member Audit lets him in; so would Muster let in whoever has just been
// made known, until his characters are.)
func (g ComplianceGroup) Lacking(s GroupStanding) []GroupReason {
	var lacking []GroupReason
	if !s.BasicAccess {
		lacking = append(lacking, GroupReason{Reason: Reason{Fault: FaultNoBasicAccess}})
	}
	if len(g.States) > 0 && !slices.Contains(g.States, s.State) {
		lacking = append(lacking, GroupReason{Reason: Reason{Fault: FaultState}})
	}
	if s.Registered == 0 && len(s.Unregistered) == 0 {
		lacking = append(lacking, GroupReason{Reason: Reason{Fault: FaultNoCharacters}})
	}
	return append(lacking, s.Unregistered...)
}

// ComplianceGroups are all compliance groups. The zero value is not ready; see
// [NewComplianceGroups]. It is not safe for concurrent use.
type ComplianceGroups struct {
	// ByID must only be read.
	ByID map[uuid.UUID]ComplianceGroup
}

// NewComplianceGroups are no groups.
func NewComplianceGroups() *ComplianceGroups {
	return &ComplianceGroups{ByID: map[uuid.UUID]ComplianceGroup{}}
}

// Apply folds an event; those of other kinds are passed over.
func (g *ComplianceGroups) Apply(p event.Payload) {
	switch p := p.(type) {
	case GroupDefined:
		g.ByID[p.GroupID] = p.ComplianceGroup
	case GroupRemoved:
		delete(g.ByID, p.GroupID)
	}
}

// Named is the group of a name, in any case. It fails with [event.CodeNotFound] if there
// is none.
func (g *ComplianceGroups) Named(name string) (uuid.UUID, ComplianceGroup, error) {
	for id, group := range g.ByID {
		if strings.EqualFold(group.Name, strings.TrimSpace(name)) {
			return id, group, nil
		}
	}
	return uuid.UUID{}, ComplianceGroup{}, NoGroup(name)
}

// NoGroup is the error for a compliance group that there is none of.
func NoGroup(name string) error {
	return event.Errorf(event.CodeNotFound, "there is no compliance group %.100q: it was never defined, or it was removed", name)
}

// DecideDefine is what has to happen so that there is such a group: the one of its name
// becomes so, or there is a new one with the id fresh. Nothing if it is so. It fails
// with [event.CodeInvalid] for a group that cannot be, or one too many.
func (g *ComplianceGroups) DecideDefine(fresh uuid.UUID, group ComplianceGroup) ([]event.Payload, error) {
	group.Normalise()
	if err := group.Validate(); err != nil {
		return nil, err
	}
	id, known, err := g.Named(group.Name)
	switch {
	case err != nil && len(g.ByID) >= maxGroups:
		return nil, event.Errorf(event.CodeInvalid, "compliance group %q: there are %d groups already: remove one first", group.Name, maxGroups)
	case err != nil:
		return []event.Payload{GroupDefined{GroupID: fresh, ComplianceGroup: group}}, nil //nolint:nilerr // There is none of this name yet.
	case known.equal(group):
		return nil, nil
	default:
		return []event.Payload{GroupDefined{GroupID: id, ComplianceGroup: group}}, nil
	}
}

// DecideRemove is what has to happen so that there is no such group. It fails with
// [event.CodeNotFound] if there is none, and with [event.CodeInvalid] if a role names it:
// else a group that is later defined by the same name would hold the role.
func (g *ComplianceGroups) DecideRemove(name, reason string, roles *Roles) ([]event.Payload, error) {
	id, group, err := g.Named(name)
	if err != nil {
		return nil, err
	}
	if held := roles.heldBy(group.Name); len(held) > 0 {
		return nil, event.Errorf(event.CodeInvalid, "compliance group %q: its members hold %s: define or remove that first, without the group", group.Name, strings.Join(held, ", "))
	}
	return []event.Payload{GroupRemoved{GroupID: id, Name: group.Name, Reason: reason}}, nil
}

// DecideMemberships is what has to be told of a user who was in some groups before, by
// their ids and names, and stands as he does now: at most one [GroupsGained] and one
// [GroupsLost], the groups of each by name. After are the groups that he is in then.
func (g *ComplianceGroups) DecideMemberships(before map[uuid.UUID]string, s GroupStanding, cause GroupCause) (events []event.Payload, after map[uuid.UUID]string) {
	gained := GroupsGained{UserID: s.UserID, Characters: s.Registered, GroupCause: cause}
	lost := GroupsLost{UserID: s.UserID, GroupCause: cause}
	after = map[uuid.UUID]string{}
	for id, group := range g.ByID {
		_, was := before[id]
		lacking := group.Lacking(s)
		switch {
		case len(lacking) == 0:
			after[id] = group.Name
			if !was {
				gained.Groups = append(gained.Groups, GainedGroup{id, group.Name})
			}
		case was:
			lost.Groups = append(lost.Groups, LostGroup{id, group.Name, lacking})
		}
	}
	for id, name := range before {
		if _, there := g.ByID[id]; !there {
			lost.Groups = append(lost.Groups, LostGroup{id, name, []GroupReason{{Reason: Reason{Fault: FaultGroupRemoved}}}})
		}
	}
	slices.SortFunc(lost.Groups, func(a, b LostGroup) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.GroupID[:], b.GroupID[:]))
	})
	slices.SortFunc(gained.Groups, func(a, b GainedGroup) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.GroupID[:], b.GroupID[:]))
	})
	if len(lost.Groups) > 0 {
		events = append(events, lost)
	}
	if len(gained.Groups) > 0 {
		events = append(events, gained)
	}
	return events, after
}

// heldBy are the roles that name a compliance group, in words and in order.
func (r *Roles) heldBy(group string) []string {
	var names []string
	for _, role := range r.ByID {
		if slices.ContainsFunc(role.Groups, func(g string) bool { return strings.EqualFold(g, group) }) {
			names = append(names, "role "+role.Name)
		}
	}
	slices.Sort(names)
	return names
}

// WithGroups is the role with the compliance groups that it names spelt as they are. It
// fails with [event.CodeInvalid] for one that there is none of.
func (r Role) WithGroups(known *ComplianceGroups) (Role, error) {
	groups := make([]string, len(r.Groups))
	for i, name := range r.Groups {
		_, group, err := known.Named(name)
		if err != nil {
			names := slices.Sorted(maps.Values(namesOf(known.ByID)))
			return r, event.Errorf(event.CodeInvalid, "role %q: there is no compliance group %.100q: define it first; there are: %s", r.Name, name, cmp.Or(strings.Join(names, ", "), "none"))
		}
		groups[i] = group.Name
	}
	if len(groups) > 0 {
		r.Groups = groups
	}
	return r, nil
}

func namesOf(groups map[uuid.UUID]ComplianceGroup) map[uuid.UUID]string {
	names := make(map[uuid.UUID]string, len(groups))
	for id, g := range groups {
		names[id] = g.Name
	}
	return names
}
