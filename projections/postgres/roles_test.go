package postgres_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// withRoles is an organisation with an auditor by a role, and pilots by their state.
func withRoles(t *testing.T) (*views, *postgres.CharacterReader) {
	v := newViews(t, postgres.Characters())
	auditor, pilot, gone := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	v.fold(event.Roles, at(1),
		access.RoleDefined{RoleID: auditor, Role: access.Role{Name: "Auditor", Permissions: []string{"characters_access", "notified_on_character_removal", "view_same_corporation"}, Sections: []string{"skills"}}},
		access.RoleDefined{RoleID: pilot, Role: access.Role{Name: "pilot", Permissions: []string{"basic_access", "share_characters"}, States: []string{"Member"}}},
		access.RoleDefined{RoleID: gone, Role: access.Role{Name: "gone", Permissions: []string{"view_everything", "notified_on_character_removal"}}})
	v.fold(event.Roles, at(2), access.RoleRemoved{RoleID: gone, Name: "gone"})
	v.fold(event.User("ada"), at(2), access.UserRegistered{UserID: "ada", Name: "Ada", Active: true, State: "Member", Permissions: []string{"finder_access"}}, access.MainSet{UserID: "ada", CharacterID: new(int64(1))},
		access.RoleGranted{UserID: "ada", RoleID: auditor, Name: "Auditor"}, access.RoleGranted{UserID: "ada", RoleID: gone, Name: "gone"})
	v.fold(event.User("bob"), at(2), access.UserRegistered{UserID: "bob", Active: true, State: "Blue"}, access.MainSet{UserID: "bob", CharacterID: new(int64(2))},
		access.CharactersListed{UserID: "bob", Characters: []access.ListedCharacter{{CharacterID: 9, Name: "Alt", CorporationID: 8}}},
		access.RoleGranted{UserID: "bob", RoleID: auditor, Name: "Auditor"}, access.RoleRevoked{UserID: "bob", RoleID: auditor, Name: "Auditor"})
	v.fold(event.User("cy"), at(2), access.UserRegistered{UserID: "cy", State: "Member"}, access.MainSet{UserID: "cy", CharacterID: new(int64(3))})
	v.fold(event.Character(1), at(3), register(1, "One", "ada", 7, 0), register(2, "Two", "bob", 7, 0), register(3, "Three", "cy", 5, 0),
		eve.CharacterShared{CharacterID: 3, UserID: "cy"})
	return v, postgres.NewCharacterReader(v.pool, v.live())
}

func TestUsersAreListedWithWhatTheyHold(t *testing.T) {
	_, reader := withRoles(t)
	f := func(filter postgres.UserFilter, want ...string) {
		t.Helper()
		filter.Limit = 10
		list, err := reader.Users(t.Context(), filter)
		require.NoError(t, err)
		ids := []string{}
		for _, u := range list {
			ids = append(ids, u.UserID)
		}
		require.Equal(t, append([]string{}, want...), ids)
	}
	f(postgres.UserFilter{}, "ada", "bob", "cy")
	f(postgres.UserFilter{After: "ada"}, "bob", "cy")
	f(postgres.UserFilter{Name: "TWO"}, "bob")
	f(postgres.UserFilter{Name: "%"})
	f(postgres.UserFilter{State: "Member"}, "ada", "cy")
	f(postgres.UserFilter{Role: "auditor"}, "ada")
	f(postgres.UserFilter{Role: "Pilot"}, "ada", "cy")
	f(postgres.UserFilter{Role: "gone"})
	f(postgres.UserFilter{Permission: access.ShareCharacters, Active: new(true)}, "ada")
	f(postgres.UserFilter{Active: new(false)}, "cy")
	f(postgres.UserFilter{Superuser: new(true)})

	list, err := reader.Users(t.Context(), postgres.UserFilter{ID: "ada", Limit: 1})
	require.NoError(t, err)
	require.Equal(t, &postgres.Main{CharacterID: 1, Name: "One", CorporationID: 7}, list[0].Main)
	require.EqualValues(t, 1, list[0].Registered)
	require.Equal(t, []access.PermissionSource{
		{Permission: "basic_access", From: []string{"role pilot of state Member"}},
		{Permission: "characters_access", From: []string{"role Auditor"}, Sections: []string{"skills"}},
		{Permission: "finder_access", From: []string{"import"}},
		{Permission: "notified_on_character_removal", From: []string{"role Auditor"}},
		{Permission: "share_characters", From: []string{"role pilot of state Member"}},
		{Permission: "view_same_corporation", From: []string{"role Auditor"}, Sections: []string{"skills"}},
	}, list[0].Sources())
	viewer, err := reader.Viewer(t.Context(), "ada")
	require.NoError(t, err)
	require.ElementsMatch(t, list[0].Grants().Permissions, viewer.Permissions)
	require.Equal(t, list[0].Grants().Limited, viewer.Limited)

	owned, err := reader.OwnedBy(t.Context(), "bob")
	require.NoError(t, err)
	require.Equal(t, []postgres.OwnedCharacter{{CharacterID: 2, Name: "Two", CorporationID: 7, Registered: true}, {CharacterID: 9, Name: "Alt", CorporationID: 8}}, owned)
}

func TestRolesAreListedWithTheirHolders(t *testing.T) {
	v, reader := withRoles(t)
	list, err := reader.Roles(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "Auditor", list[0].Name)
	require.Equal(t, [2]int64{1, 1}, [2]int64{list[0].Granted, list[0].Holders})
	require.Equal(t, "pilot", list[1].Name)
	require.Equal(t, [2]int64{0, 2}, [2]int64{list[1].Granted, list[1].Holders})

	known, err := postgres.LoadRoles(t.Context(), v.pool, v.generation())
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]access.Role{
		{1}: {Name: "Auditor", Permissions: []string{"characters_access", "notified_on_character_removal", "view_same_corporation"}, Sections: []string{"skills"}},
		{2}: {Name: "pilot", Permissions: []string{"basic_access", "share_characters"}, States: []string{"Member"}},
	}, known.ByID)
	granted, err := postgres.GrantedRoles(t.Context(), v.pool, v.generation(), "bob")
	require.NoError(t, err)
	require.Empty(t, granted)
}

// Who may still share does so through a role and through his state, too.
func TestASharedCharacterIsOpenWhileItsOwnerHoldsThePermissionThroughARole(t *testing.T) {
	v, reader := withRoles(t)
	view := access.View{Owner: "bob", Shared: true}
	f := func(want bool) {
		t.Helper()
		opened, err := reader.Opened(t.Context(), view)
		require.NoError(t, err)
		if want {
			require.Equal(t, []int64{2, 3}, opened)
		} else {
			require.Equal(t, []int64{2}, opened)
		}
	}
	f(true)
	v.fold(event.User("cy"), at(4), access.UserRegistered{UserID: "cy", State: "Guest"})
	f(false)
	v.fold(event.User("cy"), at(5), access.RoleGranted{UserID: "cy", RoleID: uuid.UUID{2}, Name: "pilot"})
	f(true)
	v.fold(event.Roles, at(6), access.RoleRemoved{RoleID: uuid.UUID{2}, Name: "pilot"})
	f(false)
}

func TestThoseWhoHearOfARemovalHaveTheCharacterInScope(t *testing.T) {
	v, reader := withRoles(t)
	f := func(character int64, want ...string) {
		t.Helper()
		told, err := reader.RemovalRecipients(t.Context(), character)
		require.NoError(t, err)
		require.Equal(t, append([]string{}, want...), told)
	}
	f(1, "ada")
	f(2, "ada")
	f(3)
	v.fold(event.Character(2), at(4), eve.CharacterOrphaned{CharacterID: 2, Reason: "sold"})
	f(2, "ada")
	v.fold(event.User("root"), at(4), access.UserRegistered{UserID: "root", Active: true, Superuser: true})
	f(3, "root")
	f(12345, "root")
}
