package allianceauth

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/domain/access"
)

// ComplianceGroup is a group that Member Audit (1.10) keeps, and what its members are
// given for it.
type ComplianceGroup struct {
	access.ComplianceGroup

	// Permissions are those of Member Audit that the group gives, without its name, in
	// order. [access.BasicAccess] is not among them: who is in such a group has to hold it
	// otherwise, so it stays with those whom the group has given it.
	Permissions []string `json:"permissions,omitempty"`
}

// Role is the role that the members of the group hold for what it gives.
func (g ComplianceGroup) Role() access.Role {
	return access.Role{
		Name: "Compliance " + g.Name, Description: "What the compliance group has given in Member Audit.", Permissions: g.Permissions, Groups: []string{g.Name},
	}
}

func (t *tables) takeDesignation(r row) error {
	f := &fields{row: r}
	id, group := f.id(idColumn), f.id("group_id")
	return once(t.designations, id, group, f.err)
}

// complianceGroups takes the designated groups over; known are the names of Member
// Audit's permissions by their numbers. A group that cannot be taken over is one as all
// others: what it gives is its members' own.
func (b *builder) complianceGroups(known map[int64]string) {
	names := map[string]int64{}
	for _, number := range sorted(b.designations) {
		of := b.designations[number]
		name, there := b.tables.groups[of]
		group := ComplianceGroup{ComplianceGroup: access.ComplianceGroup{Name: name}}
		fault := ""
		if !there {
			fault = "its group " + strconv.FormatInt(of, 10) + " is not in " + tableGroup
		}
		for _, s := range b.groupStates[of] {
			state, there := b.states[s]
			if !there {
				// Without it, the group might be open to all.
				fault = "its group is open to state " + strconv.FormatInt(s, 10) + ", which is not in " + tableState
			}
			group.States = append(group.States, state)
		}
		group.Normalise()
		other, twice := names[strings.ToLower(group.Name)]
		switch err := cmp.Or(group.Validate(), group.Role().Validate()); {
		case fault != "":
		case err != nil:
			fault = err.Error() + "; define a group and a role for it in Muster: until then what it gives is taken over as its members' own"
		case twice:
			fault = "its name is that of id " + strconv.FormatInt(other, 10) + ": names are unique without regard to case"
		}
		if fault != "" {
			b.skip(tableDesignation, number, fault)
			continue
		}
		names[strings.ToLower(group.Name)] = number
		for _, p := range b.groupPermissions[of] {
			if permission := known[p]; permission != "" && permission != string(access.BasicAccess) {
				group.Permissions = append(group.Permissions, permission)
			}
		}
		slices.Sort(group.Permissions)
		b.designated[of] = true
		b.result.ComplianceGroups = append(b.result.ComplianceGroups, group)
	}
	slices.SortFunc(b.result.ComplianceGroups, func(a, b ComplianceGroup) int { return strings.Compare(a.Name, b.Name) })
}
