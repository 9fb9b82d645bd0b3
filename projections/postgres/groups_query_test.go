package postgres_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

var registeredGroup, bluesGroup = uuid.UUID{21}, uuid.UUID{22}

func gained(user string, hour int, groups ...access.GainedGroup) access.GroupsGained {
	return access.GroupsGained{UserID: user, Groups: groups, Characters: 1, GroupCause: access.GroupCause{Since: at(hour)}}
}

// withGroups is an organisation with two compliance groups. Members of the first hold a
// role through it.
func withGroups(t *testing.T) (*views, *postgres.CharacterReader) {
	v := newViews(t, postgres.Characters())
	basic := []string{"basic_access"}
	v.fold(event.Roles, at(1),
		access.GroupDefined{GroupID: registeredGroup, ComplianceGroup: access.ComplianceGroup{Name: "Registered", Description: "d"}},
		access.GroupDefined{GroupID: bluesGroup, ComplianceGroup: access.ComplianceGroup{Name: "blues", States: []string{"Blue"}}},
		access.RoleDefined{RoleID: uuid.UUID{1}, Role: access.Role{Name: "Pilot", Permissions: []string{"basic_access", "finder_access"}, Groups: []string{"registered"}}},
		access.RoleDefined{RoleID: uuid.UUID{2}, Role: access.Role{Name: "Newcomer", Permissions: basic}})
	v.fold(event.User("ada"), at(2), access.UserRegistered{UserID: "ada", Name: "Ada", Active: true, State: "Member", Permissions: basic}, access.MainSet{UserID: "ada", CharacterID: new(int64(1))},
		gained("ada", 3, access.GainedGroup{GroupID: registeredGroup, Name: "Registered"}))
	v.fold(event.User("bob"), at(2), access.UserRegistered{UserID: "bob", Active: true, State: "Blue", Permissions: basic},
		access.CharactersListed{UserID: "bob", Characters: []access.ListedCharacter{{CharacterID: 5}, {CharacterID: 6}, {CharacterID: 7}}},
		gained("bob", 3, access.GainedGroup{GroupID: registeredGroup, Name: "Registered"}, access.GainedGroup{GroupID: bluesGroup, Name: "blues"}),
		access.GroupsLost{UserID: "bob", Groups: []access.LostGroup{{GroupID: registeredGroup, Name: "Registered"}}, GroupCause: access.GroupCause{Since: at(4)}})
	v.fold(event.User("cy"), at(2), access.UserRegistered{UserID: "cy", State: "Guest"}, access.RoleGranted{UserID: "cy", RoleID: uuid.UUID{2}, Name: "Newcomer"})
	v.fold(event.User("dan"), at(2), access.UserRegistered{UserID: "dan", State: "Member"})
	v.fold(event.Character(1), at(3), register(1, "One", "ada", 7, 0), register(2, "Two", "bob", 8, 0))
	v.fold(event.Character(6), at(3), register(6, "Six", "bob", 8, 0))
	v.fold(event.Character(7), at(3), register(7, "Seven", "bob", 8, 0), eve.CharacterOrphaned{CharacterID: 7, Reason: "sold"})
	return v, postgres.NewCharacterReader(v.pool, v.live())
}

func TestComplianceGroupsAreListedWithTheMembersThatOneMaySee(t *testing.T) {
	v, reader := withGroups(t)
	everybody := access.Audience{Everybody: true}
	counts := func(a access.Audience) map[string]int64 {
		t.Helper()
		list, err := reader.ComplianceGroups(t.Context(), a)
		require.NoError(t, err)
		of := map[string]int64{}
		for _, g := range list {
			of[g.Name] = g.Members
		}
		return of
	}
	list, err := reader.ComplianceGroups(t.Context(), everybody)
	require.NoError(t, err)
	require.Equal(t, "blues", list[0].Name)
	require.Equal(t, postgres.ComplianceGroup{
		ID: registeredGroup, ComplianceGroup: access.ComplianceGroup{Name: "Registered", Description: "d", States: []string{}}, DefinedAt: at(1), DefinedBy: list[1].DefinedBy, Members: 1,
		Origin: list[1].Origin,
	}, list[1])
	require.Equal(t, event.Roles, list[1].Origin.Stream)
	require.Equal(t, map[string]int64{"Registered": 1, "blues": 1}, counts(everybody))
	require.Equal(t, map[string]int64{"Registered": 1, "blues": 0}, counts(access.Audience{Scope: access.Scope{CorporationID: 7}}))
	require.Equal(t, map[string]int64{"Registered": 0, "blues": 1}, counts(access.Audience{User: "bob"}))
	require.Equal(t, map[string]int64{"Registered": 0, "blues": 0}, counts(access.Audience{}))

	members := func(f postgres.GroupMemberFilter) []string {
		t.Helper()
		f.GroupID, f.Limit = registeredGroup, 10
		found, err := reader.GroupMembers(t.Context(), f)
		require.NoError(t, err)
		ids := []string{}
		for _, m := range found {
			ids = append(ids, m.UserID)
		}
		return ids
	}
	found, err := reader.GroupMembers(t.Context(), postgres.GroupMemberFilter{GroupID: registeredGroup, Audience: everybody, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []postgres.GroupMember{{UserID: "ada", Name: "Ada", State: "Member", Main: &postgres.Main{CharacterID: 1, Name: "One", CorporationID: 7}, Since: at(3), Origin: found[0].Origin}}, found)
	require.Equal(t, event.User("ada"), found[0].Origin.Stream)
	require.Equal(t, []string{"ada"}, members(postgres.GroupMemberFilter{Audience: everybody, State: "Member", CorporationID: 7}))
	require.Empty(t, members(postgres.GroupMemberFilter{Audience: everybody, State: "Blue"}))
	require.Empty(t, members(postgres.GroupMemberFilter{Audience: everybody, AfterUser: "ada"}))
	require.Empty(t, members(postgres.GroupMemberFilter{Audience: access.Audience{User: "bob"}}))
	require.Empty(t, members(postgres.GroupMemberFilter{}))

	of := func(user string) []postgres.Membership {
		t.Helper()
		mine, err := reader.GroupsOf(t.Context(), user)
		require.NoError(t, err)
		return mine
	}
	require.Equal(t, []postgres.Membership{{GroupID: registeredGroup, Name: "Registered", Description: "d", Since: at(3)}}, of("ada"))
	require.Len(t, of("bob"), 1)
	require.Empty(t, of("cy"))
	require.Empty(t, of("nobody"))
	// Looks are told with the names of those who looked, of the owners and of the characters.
	look := looked("bob", "ada", 1, "wallet", 4)
	v.fold(look.Stream(), at(4), look)
	looks, err := reader.Looks(t.Context(), postgres.LookFilter{Limit: 9})
	require.NoError(t, err)
	require.Equal(t, [3]string{"", "One", "One"}, [3]string{looks[0].ViewerName, looks[0].OwnerName, looks[0].CharacterName}, "bob has no main")

	v.fold(event.Roles, at(5), access.GroupRemoved{GroupID: registeredGroup, Name: "Registered"})
	require.Empty(t, of("ada"))
	require.Equal(t, map[string]int64{"blues": 1}, counts(everybody))
	require.Empty(t, members(postgres.GroupMemberFilter{Audience: everybody}))
}

func TestMembersOfAComplianceGroupHoldItsRoles(t *testing.T) {
	v, reader := withGroups(t)
	f := func(user string, want bool) {
		t.Helper()
		viewer, err := reader.Viewer(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, want, viewer.Can(access.FinderAccess), user)
	}
	f("ada", true)
	f("bob", false)
	users, err := reader.Users(t.Context(), postgres.UserFilter{Role: "pilot", Limit: 10})
	require.NoError(t, err)
	require.Len(t, users, 1)
	require.Equal(t, []access.Holding{{Role: access.Role{Name: "Pilot", Permissions: []string{"basic_access", "finder_access"}, Sections: []string{}}, Group: "Registered"}}, users[0].Holdings)
	roles, err := reader.Roles(t.Context())
	require.NoError(t, err)
	require.Equal(t, [2]int64{0, 1}, [2]int64{roles[1].Granted, roles[1].Holders})
	require.Equal(t, []string{"registered"}, roles[1].Groups)
	known, err := postgres.LoadRoles(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, []string{"registered"}, known.ByID[uuid.UUID{1}].Groups)
	groups, err := postgres.LoadComplianceGroups(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]access.ComplianceGroup{registeredGroup: {Name: "Registered", Description: "d"}, bluesGroup: {Name: "blues", States: []string{"Blue"}}}, groups.ByID)

	v.fold(event.User("ada"), at(5), access.GroupsLost{UserID: "ada", Groups: []access.LostGroup{{GroupID: registeredGroup, Name: "Registered"}}, GroupCause: access.GroupCause{Since: at(5)}})
	f("ada", false)
}

func TestWhatComplianceGroupsAskOfUsersIsRead(t *testing.T) {
	v, reader := withGroups(t)
	all, err := reader.GroupStandings(t.Context(), nil, "", 10)
	require.NoError(t, err)
	want := []access.GroupStanding{
		{UserID: "ada", State: "Member", BasicAccess: true, Registered: 1},
		{UserID: "bob", State: "Blue", BasicAccess: true, Registered: 2, Unregistered: []access.GroupReason{
			{Reason: access.Reason{CharacterID: 5, Fault: access.FaultNeverRegistered}, Since: new(at(2))},
			{Reason: access.Reason{CharacterID: 7, Fault: access.FaultLoginLost}, Since: new(at(3))},
		}},
		{UserID: "cy", State: "Guest", BasicAccess: true},
		{UserID: "dan", State: "Member"},
	}
	require.Equal(t, want, all)
	page, err := reader.GroupStandings(t.Context(), nil, "ada", 2)
	require.NoError(t, err)
	require.Equal(t, want[1:3], page)
	some, err := reader.GroupStandings(t.Context(), []string{"dan", "nobody", "ada"}, "", 1)
	require.NoError(t, err)
	require.Equal(t, []access.GroupStanding{want[0], want[3]}, some)
	none, err := reader.GroupStandings(t.Context(), []string{"nobody"}, "", 1)
	require.NoError(t, err)
	require.Empty(t, none)

	// What the group gives does not keep him in it.
	v.fold(event.User("ada"), at(5), access.UserRegistered{UserID: "ada", Active: true, State: "Member"})
	some, err = reader.GroupStandings(t.Context(), []string{"ada"}, "", 1)
	require.NoError(t, err)
	require.False(t, some[0].BasicAccess)
	viewer, err := reader.Viewer(t.Context(), "ada")
	require.NoError(t, err)
	require.True(t, viewer.Can(access.BasicAccess))
}

func TestACharacterConcernsItsOwnersAndWhoMayHaveOwnedIt(t *testing.T) {
	v, reader := withGroups(t)
	f := func(character int64, want ...string) {
		t.Helper()
		found, err := reader.GroupCandidates(t.Context(), character)
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
	f(1, "ada")
	f(7, "bob")
	f(5, "bob")
	v.fold(event.Character(1), at(5), eve.CharacterReclaimed{CharacterID: 1, UserID: "dan"})
	f(1, "ada", "dan")
}

// What groups ask of users is the same over the tables and over the organisation that
// was folded into them.
func TestWhatComplianceGroupsAskOfUsersIsThatOfTheOrganisation(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	rapid.Check(t, func(rt *rapid.T) {
		v.empty()
		org := accesstest.Organisation(rt)
		v.foldOrganisation(rt, org)
		lost := v.foldLosses(rt, org)
		roster := access.NewRoster(org)
		want := map[string]access.GroupStanding{}
		for _, u := range org.Users {
			want[u.ID] = access.GroupStanding{UserID: u.ID, State: u.State, BasicAccess: roster.Grants(u.ID).Holds(access.BasicAccess)}
		}
		for _, c := range org.Characters {
			if c.Owner == nil {
				continue
			}
			s, known := want[*c.Owner]
			switch {
			case !known:
				continue
			case c.Registered:
				s.Registered++
			case lost[c.ID]:
				s.Unregistered = append(s.Unregistered, access.GroupReason{Reason: access.Reason{CharacterID: c.ID, Fault: access.FaultLoginLost}})
			default:
				s.Unregistered = append(s.Unregistered, access.GroupReason{Reason: access.Reason{CharacterID: c.ID, Fault: access.FaultNeverRegistered}})
			}
			want[*c.Owner] = s
		}
		seen := 0
		for after := ""; ; seen++ {
			page, err := reader.GroupStandings(rt.Context(), nil, after, 1)
			require.NoError(rt, err)
			if len(page) == 0 {
				break
			}
			got, expected := page[0], want[page[0].UserID]
			for i := range got.Unregistered {
				require.NotNil(rt, got.Unregistered[i].Since)
				got.Unregistered[i].Since = nil
			}
			slices.SortFunc(expected.Unregistered, func(a, b access.GroupReason) int { return cmp.Compare(a.CharacterID, b.CharacterID) })
			require.Equal(rt, expected, got)
			after = got.UserID
		}
		require.Equal(rt, len(want), seen)
	})
}
