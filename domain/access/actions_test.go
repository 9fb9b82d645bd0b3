package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// The table of Member Audit's permissions, row by row: what each lets a user do who
// holds nothing else, and with basic access.
func TestWhatUsersMayDoIsWhatTheirPermissionsSay(t *testing.T) {
	basic := []access.Action{
		access.ActionReadCharacters, access.ActionReadAnalytics, access.ActionRegisterCharacter, access.ActionUpdateCharacter, access.ActionDisableCharacter,
		access.ActionEnableCharacter, access.ActionRemoveCharacter, access.ActionUnshareCharacter, access.ActionReadAccessLog,
	}
	alone := map[access.Permission][]access.Action{
		access.BasicAccess:         basic,
		access.ReportsAccess:       {access.ActionReadReports},
		access.ExportsAccess:       {access.ActionExport},
		access.ScopedExportsAccess: {access.ActionExport},
	}
	beside := map[access.Permission][]access.Action{
		access.ReportsAccess:       {access.ActionReadReports},
		access.ExportsAccess:       {access.ActionExport},
		access.ScopedExportsAccess: {access.ActionExport},
		access.ShareCharacters:     {access.ActionShareCharacter},
	}
	everybody := []access.Action{access.ActionReadSelf, access.ActionManageTokens}
	basic = append(basic, everybody...)
	for _, p := range access.Permissions() {
		g := access.Grants{Active: true, Permissions: []string{string(p)}}
		want := append(append([]access.Action{}, everybody...), alone[p]...)
		require.ElementsMatch(t, want, access.ActionsOf(g), p)
		g.Permissions = append(g.Permissions, "basic_access")
		require.ElementsMatch(t, append(append([]access.Action{}, basic...), beside[p]...), access.ActionsOf(g), "%s with basic access", p)
		g.Active = false
		require.Empty(t, access.ActionsOf(g))
	}
	require.ElementsMatch(t, everybody, access.ActionsOf(access.Grants{Active: true, Permissions: []string{"of_another_application"}}))
}

func TestWhatIsTheOwnersIsNotTheSuperusers(t *testing.T) {
	root := access.Grants{Active: true, Superuser: true}
	for _, a := range access.Actions() {
		switch a {
		case access.ActionShareCharacter, access.ActionUnshareCharacter, access.ActionRemoveCharacter:
			require.Equal(t, access.ReachOwn, access.ReachOf(root, a), a)
		default:
			require.Equal(t, access.ReachAll, access.ReachOf(root, a), a)
		}
		require.Equal(t, access.ReachNone, access.ReachOf(access.Grants{Superuser: true}, a), a)
	}
}

func TestARefusalNamesThePermissionsThatAreNeeded(t *testing.T) {
	f := func(a access.Action, want string) {
		t.Helper()
		err := access.AuthorizeUser(access.Principal{ID: "user:ada", UserID: "ada"}, access.Grants{Active: true}, a)
		require.Equal(t, event.CodeForbidden, event.CodeOf(err))
		require.EqualError(t, err, want)
	}
	f(access.ActionReadCharacters, `user:ada may not do "characters.read": that needs basic_access, and a user who is active`)
	f(access.ActionShareCharacter, `user:ada may not do "characters.share": that needs basic_access and share_characters, and a user who is active`)
	f(access.ActionExport, `user:ada may not do "exports.read": that needs exports_access, or scoped_exports_access, and a user who is active`)
	f(access.ActionDeclare, `user:ada may not do "anvil.declare": that is for active superusers`)
}

// Of a removed character those hear who have it in their scope, without
// characters_access; that it was shared plays no part.
func TestWhoHearsOfARemovalHasTheCharacterInScope(t *testing.T) {
	f := func(want bool, owner string, home access.Home, permissions ...string) {
		t.Helper()
		g := access.Grants{Active: true, Permissions: permissions}
		mine := access.Home{CorporationID: 1, AllianceID: 2}
		require.Equal(t, want, access.RemovalViewOf("ada", g, mine).Tells(owner, home))
		g.Active = false
		require.False(t, access.RemovalViewOf("ada", g, mine).Tells(owner, home))
	}
	const told = "notified_on_character_removal"
	f(false, "ada", access.Home{CorporationID: 1})
	f(true, "ada", access.Home{}, told)
	f(false, "bob", access.Home{CorporationID: 1}, told)
	f(true, "bob", access.Home{CorporationID: 1}, told, "view_same_corporation")
	f(false, "bob", access.Home{CorporationID: 3}, told, "view_same_corporation")
	f(true, "bob", access.Home{CorporationID: 3, AllianceID: 2}, told, "view_same_alliance")
	f(true, "", access.Home{}, told, "view_everything")
	f(false, "", access.Home{}, told, "view_shared_characters", "view_same_alliance")
	f(false, "bob", access.Home{CorporationID: 1, AllianceID: 2}, "view_everything", "characters_access")
}

// What a role is limited to is never more than without the limit, and what anything
// gives without a limit stays.
func TestALimitTakesAwayAndNeverGives(t *testing.T) {
	permission := rapid.SampledFrom(access.Permissions())
	names := rapid.Custom(func(t *rapid.T) []string {
		list := []string{}
		for _, p := range rapid.SliceOfN(permission, 0, 6).Draw(t, "permissions") {
			list = append(list, string(p))
		}
		return list
	})
	rapid.Check(t, func(t *rapid.T) {
		u := access.UserRegistered{UserID: "ada", Active: true, Permissions: names.Draw(t, "imported")}
		var holdings []access.Holding
		for range rapid.IntRange(0, 3).Draw(t, "roles") {
			holdings = append(holdings, access.Holding{Role: access.Role{
				Name: "r", Permissions: names.Draw(t, "permissions of a role"), Sections: rapid.SliceOfN(rapid.SampledFrom([]string{"skills", "mails"}), 0, 2).Draw(t, "sections"),
			}})
		}
		full := access.GrantsOf(u, holdings)
		for _, section := range []string{"skills", "mails", "wallet", ""} {
			left := full.For(section)
			for _, p := range access.Permissions() {
				// Said once more, pair by pair.
				want := access.Grants{Permissions: u.Permissions}.Holds(p)
				for _, h := range holdings {
					counts := len(h.Sections) == 0 || section != "" && access.Grants{Permissions: h.Sections}.Holds(access.Permission(section))
					switch p {
					case access.BasicAccess, access.ShareCharacters, access.FinderAccess, access.ReportsAccess, access.NotifiedOnRemoval:
						counts = true
					}
					want = want || counts && access.Grants{Permissions: h.Permissions}.Holds(p)
				}
				require.Equal(t, want, left.Holds(p), "%s for %q", p, section)
				require.True(t, full.Holds(p) || !left.Holds(p))
			}
		}
	})
}
