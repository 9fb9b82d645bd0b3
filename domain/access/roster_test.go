package access_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// guild is two corporations of an alliance: Ada leads, Bob has an unregistered alt,
// Cy has no main, Dee was deactivated, and nobody owns 900.
func guild() access.Organisation {
	character := func(id, corporation int64, owner string) access.OrganisationCharacter {
		return access.OrganisationCharacter{ID: id, CorporationID: corporation, AllianceID: new(int64(3000)), Registered: true, Owner: new(owner)}
	}
	unregistered, shared, orphan := character(201, 2001, "bob"), character(200, 2001, "bob"), character(900, 2001, "")
	unregistered.Registered, shared.Shared, orphan.Owner = false, true, nil
	return access.Organisation{
		Users: []access.OrganisationUser{
			{ID: "ada", Active: true, State: "Member", Main: new(int64(100)), Characters: []int64{100}, Permissions: []string{"basic_access", "characters_access", "view_same_alliance", "reports_access"}},
			{ID: "bob", Active: true, State: "Member", Main: new(int64(200)), Characters: []int64{200, 201}, Permissions: []string{"basic_access", "share_characters"}},
			{ID: "cy", Active: true, State: "Blue", Characters: []int64{300}, Permissions: []string{"basic_access", "view_same_corporation", "characters_access"}},
			{ID: "dee", State: "Guest", Main: new(int64(400)), Characters: []int64{400}, Superuser: true},
			{ID: "root", Active: true, State: "Member", Superuser: true},
		},
		Characters: []access.OrganisationCharacter{character(100, 2000, "ada"), shared, unregistered, character(300, 2000, "cy"), character(400, 2001, "dee"), orphan},
	}
}

func TestAnAllianceAuditorOpensTheCharactersOfItsMains(t *testing.T) {
	r := access.NewRoster(guild())
	require.Equal(t, []int64{100, 200, 400}, r.Viewer("ada"), "an owner who was deactivated stays; one without a main is nowhere; an orphan is nobody's")
	require.Empty(t, r.Finder("ada"), "without finder_access")
	require.Equal(t, []string{"ada", "bob", "dee"}, r.AccessibleUsers("ada"))
	require.Equal(t, []string{"ada", "bob"}, r.ReportUsers("ada"))
	require.Equal(t, []int64{100, 200}, r.ReportCharacters("ada"))
	require.Equal(t, []int64{100, 200, 300, 400, 900}, r.Viewer("root"))
	require.Equal(t, []int64{300}, r.Viewer("cy"), "without a main there is no scope")
	require.Empty(t, r.Viewer("dee"), "a superuser who is not active")
	require.Equal(t, []int64{900}, r.Orphans())
}

func TestAListWithoutTheFinderIsOfOnesOwn(t *testing.T) {
	f := func(want access.View, permissions ...string) {
		t.Helper()
		g := access.Grants{Active: true, Permissions: permissions}
		require.Equal(t, want, access.ListViewOf("ada", g, access.Home{CorporationID: 7}))
		g.Active = false
		require.Zero(t, access.ListViewOf("ada", g, access.Home{CorporationID: 7}))
	}
	f(access.View{})
	f(access.View{}, "finder_access")
	f(access.View{Owner: "ada"}, "basic_access", "view_shared_characters", "characters_access", "view_everything")
	f(access.View{Owner: "ada", Shared: true, Scope: access.Scope{CorporationID: 7}}, "basic_access", "finder_access", "view_shared_characters", "characters_access", "view_same_corporation")
	f(access.View{Everything: true}, "basic_access", "finder_access", "characters_access", "view_everything")
}

func TestNothingIsAnEmptyList(t *testing.T) {
	rights := access.NewRoster(access.Organisation{Users: []access.OrganisationUser{{ID: "root", Superuser: true, Active: true}, {ID: "out"}}}).Rights()
	empty := access.NewRoster(access.Organisation{})
	text, err := json.Marshal([]any{rights, empty.Users(), empty.Orphans(), empty.Everybody(), empty.Compliance(nil, nil)})
	require.NoError(t, err)
	require.JSONEq(t, `[{"viewer":{"out":[],"root":[]},"finder":{"out":[],"root":[]},"accessible_users":{"out":[],"root":["root"]},
		"exports":{"out":false,"root":true},"can_share":{"out":false,"root":true}},[],[],[],{"users":[],"corporations":[]}]`, string(text))
}

func TestSomebodyUnknownMayNothing(t *testing.T) {
	r := access.NewRoster(guild())
	for _, user := range []string{"nobody", ""} {
		require.Empty(t, r.Viewer(user))
		require.Empty(t, r.Finder(user))
		require.Empty(t, r.AccessibleUsers(user))
		require.False(t, r.MayOpen(user, 100))
		require.False(t, r.MayOpen(user, 900))
		require.Equal(t, event.CodeForbidden, event.CodeOf(r.CheckOwner(user, access.OwnerRemoves, 900)))
	}
}

func TestACorporationThatIsNotKnownIsNobodysScope(t *testing.T) {
	org := guild()
	for i := range org.Characters {
		org.Characters[i].CorporationID, org.Characters[i].AllianceID = 0, new(int64(0))
	}
	org.Users[0].Permissions = append(org.Users[0].Permissions, "view_same_corporation")
	r := access.NewRoster(org)
	require.Equal(t, []int64{100}, r.Viewer("ada"))
	require.Equal(t, []string{"ada"}, r.AccessibleUsers("ada"))
	require.Empty(t, r.Compliance(r.Everybody(), nil).Corporations)
}

func TestOnlyOwnersActOnTheirCharacters(t *testing.T) {
	r := access.NewRoster(guild())
	f := func(user string, action access.OwnerAction, character int64, want event.Code) {
		t.Helper()
		err := r.CheckOwner(user, action, character)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.Equal(t, want, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, string(action))
	}
	notFound := func(user string, character int64) {
		t.Helper()
		err := r.CheckOwner(user, access.OwnerRemoves, character)
		require.Equal(t, event.CodeNotFound, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, fmt.Sprint(character))
	}
	f("bob", access.OwnerShares, 200, "")
	f("bob", access.OwnerUnshares, 200, "")
	f("bob", access.OwnerRemoves, 200, "")
	f("cy", access.OwnerShares, 300, event.CodeForbidden)
	f("cy", access.OwnerUnshares, 300, "")
	f("ada", access.OwnerRemoves, 200, event.CodeForbidden)
	f("root", access.OwnerShares, 200, event.CodeForbidden)
	f("root", access.OwnerRemoves, 900, event.CodeForbidden)
	f("dee", access.OwnerUnshares, 400, event.CodeForbidden)
	f("bob", "sell", 200, event.CodeInvalid)
	notFound("bob", 201)
	notFound("bob", 100)
	notFound("root", 12345)
}

func TestACharacterOfAnUnknownOwnerGivesNobodyMore(t *testing.T) {
	org := guild()
	org.Characters[0].Owner = new("stranger")
	r := access.NewRoster(org)
	require.NotContains(t, r.Viewer("ada"), int64(100))
	require.NotContains(t, r.Orphans(), int64(100))
	require.Contains(t, r.Viewer("root"), int64(100))
}

func TestAnswersAreOnesOwnToChange(t *testing.T) {
	r := access.NewRoster(guild())
	for range 2 {
		require.Equal(t, []int64{100, 200, 300, 400, 900}, r.Viewer("root"))
		require.Equal(t, []int64{900}, r.Orphans())
		require.Equal(t, []string{"ada", "bob", "cy", "dee", "root"}, r.Users())
		clear(r.Viewer("root"))
		clear(r.Orphans())
		clear(r.Users())
		clear(r.Everybody())
	}
}

func TestComplianceSaysWhatIsToBePutRight(t *testing.T) {
	org := guild()
	r := access.NewRoster(org)
	lost := func(id int64) bool { return id == 100 || id == 201 || id == 400 }
	report := r.Compliance([]string{"root", "ada", "dee", "cy", "bob", "nobody", "ada"}, lost)
	require.Equal(t, []access.UserCompliance{
		{User: "ada", Main: new(int64(100)), Total: 1, Registered: true, Compliant: true, Reasons: []access.Reason{{CharacterID: 100, Fault: access.FaultLoginLost}}},
		{User: "bob", Main: new(int64(200)), Total: 2, Unregistered: 1, Registered: true, Reasons: []access.Reason{{CharacterID: 201, Fault: access.FaultLoginLost}}},
		{User: "cy", Total: 1, Registered: true, Reasons: []access.Reason{{Fault: access.FaultNoMain}}},
		{User: "root", Reasons: []access.Reason{{Fault: access.FaultNoMain}}},
	}, report.Users)
	require.Equal(t, []access.CorporationCompliance{
		{CorporationID: 2000, Mains: 1, Characters: 1, Percent: "100.00", Compliant: true},
		{CorporationID: 2001, Mains: 1, Characters: 2, Unregistered: 1, Percent: "50.00"},
	}, report.Corporations)
	never := r.Compliance([]string{"bob"}, nil)
	require.Equal(t, []access.Reason{{CharacterID: 201, Fault: access.FaultNeverRegistered}}, never.Users[0].Reasons)
}

// big is an organisation of 50,000 characters: 10,000 users with five each, in
// corporations of 100 users and alliances of 1,000.
func big() access.Organisation {
	var org access.Organisation
	for i := range int64(10_000) {
		u := access.OrganisationUser{
			ID: fmt.Sprintf("u%d", i), Active: true, State: "Member", Main: new(5*i + 1),
			Permissions: []string{"basic_access", "characters_access", "finder_access", "reports_access", "view_same_corporation"},
		}
		for j := range int64(5) {
			u.Characters = append(u.Characters, 5*i+1+j)
			org.Characters = append(org.Characters, access.OrganisationCharacter{
				ID: 5*i + 1 + j, CorporationID: 2000 + i/100, AllianceID: new(3000 + i/1000), Registered: j != 4, Owner: new(u.ID),
			})
		}
		org.Users = append(org.Users, u)
	}
	return org
}

// Every viewer of a big organisation: what is touched grows with what is listed.
func BenchmarkEveryViewerOf50000Characters(b *testing.B) {
	org := big()
	for b.Loop() {
		roster := access.NewRoster(org)
		for _, id := range roster.Users() {
			roster.Viewer(id)
		}
	}
}

// The compliance of everybody in a big organisation.
func BenchmarkComplianceOf50000Characters(b *testing.B) {
	org := big()
	for b.Loop() {
		roster := access.NewRoster(org)
		roster.Compliance(roster.Everybody(), nil)
	}
}
