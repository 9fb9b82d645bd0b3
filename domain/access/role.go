package access

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Bounds of roles.
const (
	maxRoleName        = 100
	maxRoleDescription = 2000
	maxRoles           = 1000
)

// Role is a named group of permissions.
type Role struct {
	// Name is unique, without regard to case.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Permissions are those that who holds the role has.
	Permissions []string `json:"permissions,omitempty"`
	// States are those whose users all hold the role, as Alliance Auth gives permissions
	// to states.
	States []string `json:"states,omitempty"`
	// Groups are the names of the compliance groups whose members all hold the role.
	Groups []string `json:"groups,omitempty"`
	// Sections are the only sections of others' characters that the role opens; none for
	// all of them. What it gives beside opening characters is not limited.
	Sections []string `json:"sections,omitempty"`
}

// Normalise brings the lists into order, without doubles, and the texts without blanks
// around them.
func (r *Role) Normalise() {
	r.Name, r.Description = strings.TrimSpace(r.Name), strings.TrimSpace(r.Description)
	for _, list := range []*[]string{&r.Permissions, &r.States, &r.Groups, &r.Sections} {
		*list = slices.Clone(*list)
		slices.Sort(*list)
		*list = slices.Compact(*list)
		if len(*list) == 0 {
			*list = nil
		}
	}
}

// Validate fails with [event.CodeInvalid] for a role that cannot be: a name that does
// not do as a part of an address, or a permission that there is none of. Which sections
// there are is for others to know.
func (r Role) Validate() error {
	if err := validRoleName(r.Name); err != nil {
		return err
	}
	if len(r.Description) > maxRoleDescription {
		return event.Errorf(event.CodeInvalid, "role %q: its description is %d bytes long, at most %d are allowed", r.Name, len(r.Description), maxRoleDescription)
	}
	for _, p := range r.Permissions {
		if !slices.Contains(Permissions(), Permission(p)) {
			return event.Errorf(event.CodeInvalid, "role %q: there is no permission %q: choose from %s", r.Name, p, permissionNames())
		}
	}
	for _, state := range r.States {
		if !validState(state) {
			return event.Errorf(event.CodeInvalid, "role %q: state %.40q: must be the name of a state, such as Member", r.Name, state)
		}
	}
	for _, group := range r.Groups {
		if !validName(group) {
			return event.Errorf(event.CodeInvalid, "role %q: compliance group %.40q: must be the name of one", r.Name, group)
		}
	}
	return nil
}

func validState(name string) bool { return strings.TrimSpace(name) != "" && len(name) <= maxRoleName }

func validRoleName(name string) error {
	if !validName(name) {
		return event.Errorf(event.CodeInvalid, "role %.40q: its name must have 1 to %d letters from a to z, digits, blanks, '-' and '_'", name, maxRoleName)
	}
	return nil
}

// validName tells whether a name does as a part of an address.
func validName(name string) bool {
	return name != "" && len(name) <= maxRoleName && strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(" _-", c)
	}) < 0
}

func permissionNames() string {
	names := make([]string, len(Permissions()))
	for i, p := range Permissions() {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

func (r Role) equal(other Role) bool {
	return r.Name == other.Name && r.Description == other.Description && slices.Equal(r.Permissions, other.Permissions) &&
		slices.Equal(r.States, other.States) && slices.Equal(r.Groups, other.Groups) && slices.Equal(r.Sections, other.Sections)
}

// RoleDefined says what a role is from now on. It lies in the stream [event.Roles].
type RoleDefined struct {
	// RoleID is what grants refer to: a role that is removed and defined again is
	// another one, which nobody was granted.
	RoleID uuid.UUID `json:"role_id"`
	Role
}

// EventType implements [event.Payload].
func (RoleDefined) EventType() event.Type { return TypeRoleDefined }

// RoleRemoved says that there is a role no more. Whoever was granted it has it no more.
type RoleRemoved struct {
	RoleID uuid.UUID `json:"role_id"`
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (RoleRemoved) EventType() event.Type { return TypeRoleRemoved }

// RoleGranted says that a user holds a role. It lies in his stream; who granted it is
// the event's actor.
type RoleGranted struct {
	UserID string    `json:"user_id"`
	RoleID uuid.UUID `json:"role_id"`
	// Name is the role's at that time.
	Name string `json:"name"`
}

// EventType implements [event.Payload].
func (RoleGranted) EventType() event.Type { return TypeRoleGranted }

// RoleRevoked says that a user was granted a role no more. Through his state or a
// compliance group he may hold it still.
type RoleRevoked struct {
	UserID string    `json:"user_id"`
	RoleID uuid.UUID `json:"role_id"`
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (RoleRevoked) EventType() event.Type { return TypeRoleRevoked }

// Roles are all roles. The zero value is not ready; see [NewRoles]. It is not safe for
// concurrent use.
type Roles struct {
	// ByID must only be read.
	ByID map[uuid.UUID]Role
}

// NewRoles are no roles.
func NewRoles() *Roles { return &Roles{ByID: map[uuid.UUID]Role{}} }

// Apply folds an event; those of other kinds are passed over.
func (r *Roles) Apply(p event.Payload) {
	switch p := p.(type) {
	case RoleDefined:
		r.ByID[p.RoleID] = p.Role
	case RoleRemoved:
		delete(r.ByID, p.RoleID)
	}
}

// Named is the role of a name, in any case. It fails with [event.CodeNotFound] if there
// is none.
func (r *Roles) Named(name string) (uuid.UUID, Role, error) {
	for id, role := range r.ByID {
		if strings.EqualFold(role.Name, strings.TrimSpace(name)) {
			return id, role, nil
		}
	}
	return uuid.UUID{}, Role{}, event.Errorf(event.CodeNotFound, "there is no role %.100q: it was never defined, or it was removed", name)
}

// DecideDefine is what has to happen so that there is such a role: the one of its name
// becomes so, or there is a new one with the id fresh. Nothing if it is so. It fails
// with [event.CodeInvalid] for a role that cannot be, or one too many.
func (r *Roles) DecideDefine(fresh uuid.UUID, role Role) ([]event.Payload, error) {
	role.Normalise()
	if err := role.Validate(); err != nil {
		return nil, err
	}
	id, known, err := r.Named(role.Name)
	switch {
	case err != nil && len(r.ByID) >= maxRoles:
		return nil, event.Errorf(event.CodeInvalid, "role %q: there are %d roles already: remove one first", role.Name, maxRoles)
	case err != nil:
		return []event.Payload{RoleDefined{RoleID: fresh, Role: role}}, nil //nolint:nilerr // There is none of this name yet.
	case known.equal(role):
		return nil, nil
	default:
		return []event.Payload{RoleDefined{RoleID: id, Role: role}}, nil
	}
}

// DecideRemove is what has to happen so that there is no such role. It fails with
// [event.CodeNotFound] if there is none.
func (r *Roles) DecideRemove(name, reason string) ([]event.Payload, error) {
	id, role, err := r.Named(name)
	if err != nil {
		return nil, err
	}
	return []event.Payload{RoleRemoved{RoleID: id, Name: role.Name, Reason: reason}}, nil
}

// Holding is a role that a user holds.
type Holding struct {
	Role
	// State is the one through which he holds it, Group the compliance group; both are
	// empty if it was granted to him.
	State, Group string
}

// opening tells whether a permission lets see something of others. These are what a
// limited role gives for its sections alone: were scopes not among them, the scope of
// one role would widen what another one opens.
func opening(p Permission) bool {
	switch p { //nolint:exhaustive // the others are not about what is seen of others
	case CharactersAccess, ViewSharedCharacters, ViewSameCorporation, ViewSameAlliance, ViewEverything, ExportsAccess, ScopedExportsAccess, ViewSkillSets:
		return true
	default:
		return false
	}
}

// LimitsOf are the limits of somebody who was given permissions directly and holds
// roles, see [Grants]: a permission that anything gives without a limit has none.
func LimitsOf(given []string, holdings []Holding) map[Permission][]string {
	free, limited := map[Permission]bool{}, map[Permission][]string{}
	for _, p := range given {
		free[Permission(p)] = true
	}
	for _, h := range holdings {
		for _, p := range h.Permissions {
			switch {
			case len(h.Sections) == 0 || !opening(Permission(p)):
				free[Permission(p)] = true
			default:
				limited[Permission(p)] = append(limited[Permission(p)], h.Sections...)
			}
		}
	}
	maps.DeleteFunc(limited, func(p Permission, _ []string) bool { return free[p] })
	if len(limited) == 0 {
		return nil
	}
	for p, sections := range limited {
		slices.Sort(sections)
		limited[p] = slices.Compact(sections)
	}
	return limited
}

// GrantsOf are the grants of a user with the roles that he holds.
func GrantsOf(u UserRegistered, holdings []Holding) Grants {
	g := Grants{Superuser: u.Superuser, Active: u.Active, Limited: LimitsOf(u.Permissions, holdings)}
	for _, source := range SourcesOf(u, holdings) {
		g.Permissions = append(g.Permissions, source.Permission)
	}
	return g
}

// PermissionSource is a permission that a user was given, and where it comes from.
type PermissionSource struct {
	Permission string
	// From are the ways, such as "import", "role Recruiter", "role Pilot of state Member"
	// or "role Pilot of compliance group Registered".
	From []string
	// Sections are the only sections of others' characters for which it counts; none for
	// all.
	Sections []string
}

// SourcesOf tells where a user's permissions come from, by their names. That he is a
// superuser, who holds them all, is told apart.
func SourcesOf(u UserRegistered, holdings []Holding) []PermissionSource {
	from := map[string][]string{}
	add := func(p, way string) {
		if !slices.Contains(from[p], way) {
			from[p] = append(from[p], way)
		}
	}
	for _, p := range u.Permissions {
		add(p, "import")
	}
	for _, h := range holdings {
		way := "role " + h.Name
		switch {
		case h.State != "":
			way = fmt.Sprintf("role %s of state %s", h.Name, h.State)
		case h.Group != "":
			way = fmt.Sprintf("role %s of compliance group %s", h.Name, h.Group)
		}
		for _, p := range h.Permissions {
			add(p, way)
		}
	}
	limits := LimitsOf(u.Permissions, holdings)
	sources := []PermissionSource{}
	for p, ways := range from {
		sources = append(sources, PermissionSource{Permission: p, From: ways, Sections: limits[Permission(p)]})
	}
	slices.SortFunc(sources, func(a, b PermissionSource) int { return cmp.Compare(a.Permission, b.Permission) })
	return sources
}
