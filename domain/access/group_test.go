package access_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

var groupCause = access.GroupCause{Cause: access.TypeListed, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}

func TestWhoHasRegisteredAllCharactersIsInAComplianceGroup(t *testing.T) {
	unregistered := access.GroupReason{Reason: access.Reason{CharacterID: 7, Fault: access.FaultNeverRegistered}, Since: new(groupCause.Since)}
	f := func(s access.GroupStanding, states []string, want ...access.GroupReason) {
		t.Helper()
		require.Equal(t, want, access.ComplianceGroup{Name: "Registered", States: states}.Lacking(s))
	}
	f(access.GroupStanding{State: "Member", BasicAccess: true, Registered: 2}, nil)
	f(access.GroupStanding{State: "Member", BasicAccess: true, Registered: 2}, []string{"Blue", "Member"})
	f(access.GroupStanding{State: "Guest", BasicAccess: true, Registered: 2}, []string{"Member"}, access.GroupReason{Reason: access.Reason{Fault: access.FaultState}})
	f(access.GroupStanding{Registered: 2}, nil, access.GroupReason{Reason: access.Reason{Fault: access.FaultNoBasicAccess}})
	f(access.GroupStanding{BasicAccess: true}, nil, access.GroupReason{Reason: access.Reason{Fault: access.FaultNoCharacters}})
	f(access.GroupStanding{BasicAccess: true, Registered: 2, Unregistered: []access.GroupReason{unregistered}}, nil, unregistered)
	f(access.GroupStanding{Unregistered: []access.GroupReason{unregistered}}, []string{"Member"},
		access.GroupReason{Reason: access.Reason{Fault: access.FaultNoBasicAccess}}, access.GroupReason{Reason: access.Reason{Fault: access.FaultState}}, unregistered)
}

func TestGainsAndLossesAreToldWithTheirReasons(t *testing.T) {
	all, blues, gone := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	groups := access.NewComplianceGroups()
	groups.Apply(access.GroupDefined{GroupID: all, ComplianceGroup: access.ComplianceGroup{Name: "all"}})
	groups.Apply(access.GroupDefined{GroupID: blues, ComplianceGroup: access.ComplianceGroup{Name: "blues", States: []string{"Blue"}}})
	standing := access.GroupStanding{UserID: "ada", State: "Member", BasicAccess: true, Registered: 2}
	events, after := groups.DecideMemberships(map[uuid.UUID]string{blues: "blues", gone: "gone"}, standing, groupCause)
	require.Equal(t, []event.Payload{
		access.GroupsLost{UserID: "ada", GroupCause: groupCause, Groups: []access.LostGroup{
			{GroupID: blues, Name: "blues", Reasons: []access.GroupReason{{Reason: access.Reason{Fault: access.FaultState}}}},
			{GroupID: gone, Name: "gone", Reasons: []access.GroupReason{{Reason: access.Reason{Fault: access.FaultGroupRemoved}}}},
		}},
		access.GroupsGained{UserID: "ada", GroupCause: groupCause, Characters: 2, Groups: []access.GainedGroup{{GroupID: all, Name: "all"}}},
	}, events)
	require.Equal(t, map[uuid.UUID]string{all: "all"}, after)
	require.False(t, groupCause.Designated())
	require.True(t, access.GroupCause{Cause: access.TypeGroupRemoved}.Designated())
}

// The memberships that are told are those of the rule in one sentence, whatever was
// before, and are told once.
func TestMembershipsAreThoseOfTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := []string{"Member", "Blue", "Guest"}
		groups, before, member := access.NewComplianceGroups(), map[uuid.UUID]string{}, map[uuid.UUID]string{}
		s := access.GroupStanding{
			UserID: "ada", State: rapid.SampledFrom(states).Draw(t, "state"), BasicAccess: rapid.Bool().Draw(t, "basic access"), Registered: rapid.IntRange(0, 2).Draw(t, "registered"),
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "unregistered") {
			s.Unregistered = append(s.Unregistered, access.GroupReason{Reason: access.Reason{CharacterID: int64(i + 1), Fault: access.FaultNeverRegistered}})
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "groups") {
			id := uuid.UUID{byte(i + 1)}
			group := access.ComplianceGroup{Name: id.String(), States: rapid.SliceOfDistinct(rapid.SampledFrom(states), rapid.ID[string]).Draw(t, "open to")}
			if rapid.Bool().Draw(t, "before") {
				before[id] = group.Name
			}
			if rapid.IntRange(0, 3).Draw(t, "removed") == 0 {
				continue
			}
			groups.Apply(access.GroupDefined{GroupID: id, ComplianceGroup: group})
			open := len(group.States) == 0 || strings.Contains(strings.Join(group.States, " "), s.State)
			if s.BasicAccess && open && s.Registered > 0 && len(s.Unregistered) == 0 {
				member[id] = group.Name
			}
		}
		events, after := groups.DecideMemberships(before, s, groupCause)
		require.Equal(t, member, after)
		folded := maps.Clone(before)
		for _, p := range events {
			switch p := p.(type) {
			case access.GroupsGained:
				for _, g := range p.Groups {
					require.NotContains(t, folded, g.GroupID)
					folded[g.GroupID] = g.Name
				}
			case access.GroupsLost:
				for _, g := range p.Groups {
					require.Contains(t, folded, g.GroupID)
					require.NotEmpty(t, g.Reasons)
					delete(folded, g.GroupID)
				}
			}
		}
		require.Equal(t, member, folded)
		events, _ = groups.DecideMemberships(after, s, groupCause)
		require.Empty(t, events)
	})
}

func TestComplianceGroupsAreDefinedByTheirNames(t *testing.T) {
	known, roles := access.NewComplianceGroups(), access.NewRoles()
	apply := func(events []event.Payload, err error) []event.Payload {
		t.Helper()
		require.NoError(t, err)
		for _, p := range events {
			known.Apply(p)
		}
		return events
	}
	first, second := uuid.UUID{1}, uuid.UUID{2}
	require.Equal(t, []event.Payload{access.GroupDefined{GroupID: first, ComplianceGroup: access.ComplianceGroup{Name: "Registered", States: []string{"Blue", "Member"}}}},
		apply(known.DecideDefine(first, access.ComplianceGroup{Name: " Registered ", States: []string{"Member", "Blue", "Member"}})))
	require.Empty(t, apply(known.DecideDefine(second, access.ComplianceGroup{Name: "Registered", States: []string{"Blue", "Member"}})))
	require.Equal(t, []event.Payload{access.GroupDefined{GroupID: first, ComplianceGroup: access.ComplianceGroup{Name: "registered"}}},
		apply(known.DecideDefine(second, access.ComplianceGroup{Name: "registered"})), "it stays the group that users are in")

	role, err := access.Role{Name: "Pilot", Groups: []string{"REGISTERED"}}.WithGroups(known)
	require.NoError(t, err)
	require.Equal(t, []string{"registered"}, role.Groups)
	_, err = access.Role{Name: "Pilot", Groups: []string{"other"}}.WithGroups(known)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, `no compliance group "other": define it first; there are: registered`)

	roles.Apply(access.RoleDefined{RoleID: second, Role: role})
	_, err = known.DecideRemove("registered", "", roles)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "role Pilot")
	roles.Apply(access.RoleRemoved{RoleID: second})
	require.Equal(t, []event.Payload{access.GroupRemoved{GroupID: first, Name: "registered", Reason: "over"}}, apply(known.DecideRemove("REGISTERED", "over", roles)))
	_, err = known.DecideRemove("registered", "", roles)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestComplianceGroupsThatCannotBeAreRefused(t *testing.T) {
	full := access.NewComplianceGroups()
	for i := range 100 {
		full.Apply(access.GroupDefined{GroupID: uuid.UUID{byte(i + 1)}, ComplianceGroup: access.ComplianceGroup{Name: uuid.UUID{byte(i + 1)}.String()}})
	}
	f := func(known *access.ComplianceGroups, group access.ComplianceGroup, want string) {
		t.Helper()
		_, err := known.DecideDefine(uuid.UUID{200}, group)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
	none := access.NewComplianceGroups()
	f(none, access.ComplianceGroup{}, "1 to 100")
	f(none, access.ComplianceGroup{Name: "a/b"}, "a/b")
	f(none, access.ComplianceGroup{Name: "a", States: []string{" "}}, "state")
	f(none, access.ComplianceGroup{Name: "a", Description: strings.Repeat("a", 2001)}, "2000")
	f(full, access.ComplianceGroup{Name: "a"}, "100 groups already")
	_, err := access.NewRoles().DecideDefine(uuid.UUID{1}, access.Role{Name: "a", Groups: []string{"/"}})
	require.ErrorContains(t, err, "compliance group")
}

func TestWhatAComplianceGroupGivesIsToldAsThat(t *testing.T) {
	holdings := []access.Holding{{Role: access.Role{Name: "Pilot", Permissions: []string{"finder_access"}}, Group: "Registered"}}
	require.Equal(t, []access.PermissionSource{{Permission: "finder_access", From: []string{"role Pilot of compliance group Registered"}}},
		access.SourcesOf(access.UserRegistered{UserID: "ada"}, holdings))
}
