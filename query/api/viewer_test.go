package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// as are the headers of a user's request.
func as(user string) []string { return []string{"Authorization", "Bearer " + userToken + user} }

// Every route that is about one character, whatever of it, is closed for a user who
// may not open it, as if there were no such character.
func TestNoRouteShowsAUserACharacterThatHeMayNotOpen(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "finder_access", "view_shared_characters"}}
	asked := 0
	for path, item := range c.server.OpenAPI().Paths {
		for method, op := range operations(item) {
			if !strings.Contains(path, "/characters/{id}") {
				continue
			}
			asked++
			c.world.opens = []int64{90000002}
			target := parameters.Replace(path)
			reach := access.ReachOf(c.world.grants, access.Action(op.Extensions["x-muster-action"].(string)))
			if reach == access.ReachNone {
				c.requireProblem(c.do(method, target, bodies[op.OperationID], as("ada")...), http.StatusForbidden, "may not do")
				continue
			}
			c.requireProblem(c.do(method, target, bodies[op.OperationID], as("ada")...), http.StatusNotFound, postgres.NoCharacter(90000001).Error())
			c.world.opens = []int64{90000001}
			c.world.owned, c.world.subject.Owner = nil, "ada"
			require.Less(t, c.do(method, target, bodies[op.OperationID], as("ada")...).StatusCode, 300, target)
			c.world.owned, c.world.subject.Owner = []int64{}, "owner"
			a := c.do(method, target, bodies[op.OperationID], as("ada")...)
			switch {
			case reach == access.ReachOwn:
				c.requireProblem(a, http.StatusForbidden, "that is for its owner")
			case strings.Contains(path, "{id}/skill-sets"):
				c.requireProblem(a, http.StatusForbidden, "view_skill_sets")
			default:
				require.Equal(t, http.StatusOK, a.StatusCode, target)
			}
		}
	}
	require.Greater(t, asked, 40)
}

// ownersAlone tells whether only the owner of a character may do it.
func ownersAlone(a access.Action) bool {
	return a == access.ActionRemoveCharacter || a == access.ActionShareCharacter || a == access.ActionUnshareCharacter
}

// What a superuser of the organisation may do is what the administrator's token may,
// but for what is the owner's.
func TestSuperusersWhoAreUsersAdministerWhileTheyAreActive(t *testing.T) {
	for _, active := range []bool{true, false} {
		c := newClient(t)
		c.world.grants = access.Grants{Active: active, Superuser: true}
		c.world.owned, c.world.opens = []int64{}, []int64{90000001}
		for path, item := range c.server.OpenAPI().Paths {
			for method, op := range operations(item) {
				a := c.do(method, parameters.Replace(path), bodies[op.OperationID], as("root")...)
				switch {
				case op.OperationID == "get-myself":
					c.requireProblem(a, http.StatusNotFound, "there is no user")
				case op.OperationID == "get-me":
					require.Equal(t, http.StatusOK, a.StatusCode, "who somebody is is no secret from himself")
				case !active:
					c.requireProblem(a, http.StatusForbidden, "may not do")
				case ownersAlone(access.Action(op.Extensions["x-muster-action"].(string))):
					c.requireProblem(a, http.StatusForbidden, "that is for its owner")
				default:
					require.Less(t, a.StatusCode, 300, "%s %s: %s", method, path, a.text)
				}
			}
		}
	}
}

// An action that only superusers may do is closed for a user who was given everything.
func TestNoPermissionAdministers(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true}
	for _, p := range access.Permissions() {
		c.world.grants.Permissions = append(c.world.grants.Permissions, string(p))
	}
	closed := 0
	for path, item := range c.server.OpenAPI().Paths {
		for method, op := range operations(item) {
			if access.ReachOf(c.world.grants, access.Action(op.Extensions["x-muster-action"].(string))) == access.ReachNone {
				c.requireProblem(c.do(method, parameters.Replace(path), bodies[op.OperationID], as("ada")...), http.StatusForbidden, "that is for active superusers")
				closed++
			}
		}
	}
	require.Greater(t, closed, 40)
}

func TestListsOfCharactersHaveTheUsersView(t *testing.T) {
	f := func(user string, grants access.Grants, want *access.View) {
		t.Helper()
		c := newClient(t)
		c.world.grants = grants
		a := c.get("/v1/characters?corporation_id=7", as(user)...)
		if want == nil {
			c.requireProblem(a, http.StatusForbidden, "basic_access")
			c.requireProblem(c.get("/v1/characters/90000001", as(user)...), http.StatusForbidden, "basic_access")
			c.requireProblem(c.get("/v1/universe/names?types=1", as(user)...), http.StatusForbidden, "basic_access")
			return
		}
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Equal(t, want, c.world.filter.View)
		require.Equal(t, int64(7), c.world.filter.CorporationID)
	}
	may := func(permissions ...string) access.Grants {
		return access.Grants{Active: true, Permissions: permissions}
	}
	f("ada", may(), nil)
	f("ada", may("finder_access", "view_everything", "characters_access"), nil)
	f("ada", access.Grants{Superuser: true}, nil)
	f("root", access.Grants{Superuser: true}, nil)
	f("root", may("basic_access"), &access.View{Owner: "root"})
	f("ada", may("basic_access", "view_everything", "characters_access"), &access.View{Owner: "ada"})
	f("ada", may("basic_access", "finder_access", "view_shared_characters"), &access.View{Owner: "ada", Shared: true, At: moment})
	f("ada", access.Grants{Active: true, Superuser: true}, &access.View{Everything: true})

	c := newClient(t)
	c.get("/v1/characters")
	require.Nil(t, c.world.filter.View, "a program is bounded by its actions")
	c.world.grants = may("basic_access")
	for _, id := range []string{"x", "99999999999999999999", "0"} {
		c.requireProblem(c.get("/v1/characters/"+id, as("ada")...), http.StatusUnprocessableEntity, "path.id")
	}
}

// The same over real stores: what Ada shares, Bob opens, until she has it no more.
func TestUsersSeeWhatTheRulesLetThemSee(t *testing.T) {
	s := newStores(t)
	register := func(id int64, user string) eve.CharacterRegistered {
		return eve.CharacterRegistered{CharacterID: id, Name: "Pilot", UserID: user, CorporationID: 7}
	}
	s.append(event.User("ada"), moment, access.UserRegistered{UserID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access", "share_characters"}})
	s.append(event.User("bob"), moment, access.UserRegistered{UserID: "bob", Active: true, State: "Member", Permissions: []string{"basic_access", "finder_access", "view_shared_characters"}})
	s.append(event.Character(1), moment, register(1, "ada"), eve.CharacterShared{CharacterID: 1, UserID: "ada"})
	s.append(event.Character(2), moment, register(2, "ada"))
	s.append(event.Character(3), moment, register(3, "bob"))
	sees := func(user string, want ...int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			a := s.get("/v1/characters?sort=id", as(user)...)
			var got []int64
			for _, line := range strings.Split(a.text, `"character_id":`)[1:] {
				got = append(got, int64(line[0]-'0'))
			}
			return a.StatusCode == http.StatusOK && slices.Equal(want, got)
		}, 30*time.Second, 50*time.Millisecond)
		for id := int64(1); id <= 3; id++ {
			path := "/v1/characters/" + string(rune('0'+id))
			status := http.StatusNotFound
			if slices.Contains(want, id) {
				status = http.StatusOK
			}
			require.Equal(t, status, s.get(path, as(user)...).StatusCode, path)
			require.Equal(t, status, s.get(path+"/wallet", as(user)...).StatusCode, path)
		}
	}
	sees("ada", 1, 2)
	sees("bob", 1, 3)
	s.append(event.Character(1), moment, eve.CharacterOrphaned{CharacterID: 1, Reason: "sold"}, eve.CharacterReclaimed{CharacterID: 1, UserID: "cy"})
	sees("ada", 2)
	sees("bob", 3)
}
