package access_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

func TestRolesAreDefinedByTheirNames(t *testing.T) {
	known := access.NewRoles()
	apply := func(events []event.Payload, err error) []event.Payload {
		t.Helper()
		require.NoError(t, err)
		for _, p := range events {
			known.Apply(p)
		}
		return events
	}
	first, second := uuid.UUID{1}, uuid.UUID{2}
	require.Equal(t, []event.Payload{access.RoleDefined{RoleID: first, Role: access.Role{Name: "Recruiter", Permissions: []string{"basic_access", "characters_access"}}}},
		apply(known.DecideDefine(first, access.Role{Name: " Recruiter ", Permissions: []string{"characters_access", "basic_access", "basic_access"}, States: []string{}})))
	require.Empty(t, apply(known.DecideDefine(second, access.Role{Name: "Recruiter", Permissions: []string{"basic_access", "characters_access"}})))
	require.Equal(t, []event.Payload{access.RoleDefined{RoleID: first, Role: access.Role{Name: "recruiter"}}},
		apply(known.DecideDefine(second, access.Role{Name: "recruiter"})), "it stays the role that was granted")
	require.Equal(t, []event.Payload{access.RoleRemoved{RoleID: first, Name: "recruiter", Reason: "over"}}, apply(known.DecideRemove("RECRUITER", "over")))
	require.Equal(t, []event.Payload{access.RoleDefined{RoleID: second, Role: access.Role{Name: "Recruiter"}}},
		apply(known.DecideDefine(second, access.Role{Name: "Recruiter"})), "nobody was granted it")
	_, err := known.DecideRemove("Pilot", "")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "Pilot")
}

func TestRolesThatCannotBeAreRefused(t *testing.T) {
	f := func(role access.Role, want string) {
		t.Helper()
		_, err := access.NewRoles().DecideDefine(uuid.UUID{1}, role)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
	f(access.Role{}, "1 to 100")
	f(access.Role{Name: strings.Repeat("a", 101)}, "1 to 100")
	f(access.Role{Name: "a/b"}, "a/b")
	f(access.Role{Name: "a", Permissions: []string{"fly"}}, `"fly": choose from basic_access`)
	f(access.Role{Name: "a", States: []string{" "}}, "state")
	f(access.Role{Name: "a", Description: strings.Repeat("a", 2001)}, "2000")
}

func TestWhatRolesGiveIsToldWithWhereItComesFrom(t *testing.T) {
	u := access.UserRegistered{UserID: "ada", Active: true, Permissions: []string{"basic_access"}}
	recruiter := access.Role{Name: "Recruiter", Permissions: []string{"basic_access", "characters_access", "finder_access"}, Sections: []string{"skills"}}
	holdings := []access.Holding{{Role: recruiter}, {Role: access.Role{Name: "Pilot", Permissions: []string{"basic_access"}}, State: "Member"}}
	require.Equal(t, []access.PermissionSource{
		{Permission: "basic_access", From: []string{"import", "role Recruiter", "role Pilot of state Member"}},
		{Permission: "characters_access", From: []string{"role Recruiter"}, Sections: []string{"skills"}},
		{Permission: "finder_access", From: []string{"role Recruiter"}},
	}, access.SourcesOf(u, holdings))
	g := access.GrantsOf(u, holdings)
	require.True(t, g.Can(access.CharactersAccess))
	require.True(t, g.For("skills").Can(access.CharactersAccess))
	require.False(t, g.For("mails").Can(access.CharactersAccess))
}

// Whatever is decided, no two roles have a name, and what was decided can be decided
// again without an event.
func TestDecisionsOnRolesKeepTheirRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := access.NewRoles()
		for i := range rapid.IntRange(0, 20).Draw(t, "decisions") {
			name := rapid.SampledFrom([]string{"a", "A", "b", "b ", "c"}).Draw(t, "name")
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				events, err := known.DecideRemove(name, "")
				if err == nil {
					known.Apply(events[0])
				}
				continue
			}
			role := access.Role{Name: name, States: rapid.SliceOf(rapid.SampledFrom([]string{"Member", "Blue"})).Draw(t, "states")}
			events, err := known.DecideDefine(uuid.UUID{byte(i + 1)}, role)
			require.NoError(t, err)
			for _, p := range events {
				known.Apply(p)
			}
			events, err = known.DecideDefine(uuid.UUID{99}, role)
			require.NoError(t, err)
			require.Empty(t, events)
			seen := map[string]bool{}
			for _, r := range known.ByID {
				require.False(t, seen[strings.ToLower(r.Name)], r.Name)
				seen[strings.ToLower(r.Name)] = true
			}
		}
	})
}
