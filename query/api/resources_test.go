package api_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// town answers who may see what of an organisation in memory; views it evaluates pair
// by pair.
type town struct {
	*world

	says    accesstest.Statement
	limited map[string][]access.Role
}

func (o *town) user(id string) access.OrganisationUser {
	for _, u := range o.says.Users {
		if u.ID == id {
			return u
		}
	}
	return access.OrganisationUser{}
}

func (o *town) home(u access.OrganisationUser) access.Home {
	for _, c := range o.says.Characters {
		if u.Main == nil || c.ID != *u.Main {
			continue
		}
		home := access.Home{CorporationID: c.CorporationID}
		if c.AllianceID != nil {
			home.AllianceID = *c.AllianceID
		}
		return home
	}
	return access.Home{}
}

func (o *town) Viewer(_ context.Context, id string) (postgres.Viewer, error) {
	u := o.user(id)
	var holdings []access.Holding
	for _, role := range o.limited[id] {
		holdings = append(holdings, access.Holding{Role: role})
	}
	given := access.UserRegistered{UserID: id, Superuser: u.Superuser, Active: u.Active, Permissions: u.Permissions}
	return postgres.Viewer{UserID: id, Grants: access.GrantsOf(given, holdings), Home: o.home(u)}, nil
}

func (o *town) MayOpen(ctx context.Context, view access.View, character int64) (bool, error) {
	opened, err := o.Opened(ctx, view)
	return slices.Contains(opened, character), err
}

func (o *town) Opened(_ context.Context, view access.View) ([]int64, error) {
	ids := []int64{}
	for _, c := range o.says.Characters {
		owner := o.says.OwnerOf(c)
		if c.Registered && (view.Everything || owner != nil && (view.Owner == owner.ID || view.Scope.Contains(o.home(*owner)) ||
			view.Shared && c.Shared && o.says.Holds(*owner, "share_characters"))) {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

func (o *town) AccessibleUsers(_ context.Context, a access.Audience) ([]string, error) {
	ids := []string{}
	for _, u := range o.says.Users {
		if a.User == u.ID || o.says.Holds(u, "basic_access") && (a.Everybody || a.Scope.Contains(o.home(u))) {
			ids = append(ids, u.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (o *town) SkillHolders(context.Context) ([]postgres.SkillHolder, error) {
	var holders []postgres.SkillHolder
	for _, c := range o.says.Characters {
		if owner := o.says.OwnerOf(c); owner != nil && c.Registered {
			holders = append(holders, postgres.SkillHolder{CharacterID: c.ID, UserID: owner.ID, UserState: owner.State})
		}
	}
	return holders, nil
}

func (o *town) Character(context.Context, int64) (postgres.Character, []postgres.SectionState, error) {
	return o.characters[0], nil, nil
}

// neighbours is an organisation with a character for each way to come to one: ada's own
// ones; those of her corporation, her alliance and of elsewhere; shared ones, of an owner
// who may share and of one who may not; an orphan; and one that is not registered.
func neighbours(permissions []string, superuser bool) access.Organisation {
	of := func(id, corporation int64, alliance *int64, owner string) access.OrganisationCharacter {
		return access.OrganisationCharacter{ID: id, CorporationID: corporation, AllianceID: alliance, Registered: true, Owner: &owner}
	}
	user := func(id, state string, main int64, permissions ...string) access.OrganisationUser {
		return access.OrganisationUser{ID: id, Active: true, State: state, Main: &main, Characters: []int64{main}, Permissions: append(permissions, "basic_access")}
	}
	ada := user("ada", "Member", 1)
	ada.Permissions, ada.Superuser, ada.Characters = permissions, superuser, []int64{1, 8}
	org := access.Organisation{
		Users: []access.OrganisationUser{
			ada, user("bob", "Member", 2), user("cy", "Guest", 3), user("dee", "Blue", 4), user("eve", "Member", 5, "share_characters"), user("fay", "Member", 6),
		},
		Characters: []access.OrganisationCharacter{
			of(1, 10, new(int64(20)), "ada"), of(2, 10, new(int64(20)), "bob"), of(3, 11, new(int64(20)), "cy"), of(4, 12, nil, "dee"), of(5, 12, nil, "eve"), of(6, 12, nil, "fay"),
			{ID: 7, CorporationID: 10, AllianceID: new(int64(20)), Registered: true},
			of(8, 12, nil, "ada"),
		},
	}
	org.Characters[4].Shared, org.Characters[5].Shared, org.Characters[7].Registered = true, true, false
	return org
}

// permissionSets are each permission alone and with basic access, each pair with what opens
// others' characters, all but each, none and all.
func permissionSets() [][]string {
	var all []string
	for _, p := range access.Permissions() {
		all = append(all, string(p))
	}
	sets := [][]string{{}, all}
	for i, p := range all {
		sets = append(sets, []string{p}, []string{"basic_access", p}, slices.Delete(slices.Clone(all), i, i+1))
		for _, q := range all[:i] {
			if p != "characters_access" && q != "characters_access" {
				sets = append(sets, []string{"basic_access", "characters_access", p, q})
			}
		}
	}
	return sets
}

// forSection is the statement about a section: what ada holds through limited roles that
// do not name it lets her see nothing of others.
func (o *town) forSection(section string) accesstest.Statement {
	says := accesstest.Statement{Organisation: access.Organisation{Characters: o.says.Characters, Users: slices.Clone(o.says.Users)}}
	for i, u := range says.Users {
		permissions := slices.Clone(u.Permissions)
		for _, role := range o.limited[u.ID] {
			for _, p := range role.Permissions {
				about := slices.Contains([]string{"basic_access", "share_characters", "finder_access", "reports_access", "notified_on_character_removal"}, p)
				if about || len(role.Sections) == 0 || slices.Contains(role.Sections, section) {
					permissions = append(permissions, p)
				}
			}
		}
		says.Users[i].Permissions = permissions
	}
	return says
}

// all is the statement with everything that was given.
func (o *town) all() accesstest.Statement {
	says := o.forSection("")
	for i, u := range says.Users {
		for _, role := range o.limited[u.ID] {
			says.Users[i].Permissions = append(says.Users[i].Permissions, role.Permissions...)
		}
	}
	return says
}

// wanted is the status that the statement asks for, of an operation about a character.
func (o *town) wanted(action access.Action, path string, id int64) int {
	full, mine := o.all(), o.all().Users[0]
	i := slices.IndexFunc(full.Characters, func(c access.OrganisationCharacter) bool { return c.ID == id })
	there := i >= 0 && full.Opens(mine, full.Characters[i])
	own := there && full.Characters[i].Owner != nil && *full.Characters[i].Owner == mine.ID
	switch action {
	case access.ActionReadCharacters:
		_, part, _ := strings.Cut(strings.TrimPrefix(path, "/v1/characters/{id}"), "/")
		part, _, _ = strings.Cut(part, "/")
		section := part
		if part == "skill-sets" {
			section = "skills"
		}
		of := o.forSection(section)
		switch {
		case !full.Can(mine, "basic_access"):
			return http.StatusForbidden
		case !there:
			return http.StatusNotFound
		case own || part == "":
			return http.StatusOK
		case !of.Opens(of.Users[0], of.Characters[i]), part == "skill-sets" && !of.Can(of.Users[0], "view_skill_sets"):
			return http.StatusForbidden
		default:
			return http.StatusOK
		}
	case access.ActionUpdateCharacter, access.ActionDisableCharacter, access.ActionEnableCharacter, access.ActionRemoveCharacter, access.ActionReadAccessLog,
		access.ActionShareCharacter, access.ActionUnshareCharacter:
		superuser := mine.Superuser && !ownersAlone(action)
		switch {
		case !full.Can(mine, "basic_access"), action == access.ActionShareCharacter && !full.Can(mine, "share_characters"):
			return http.StatusForbidden
		case !there:
			return http.StatusNotFound
		case own || superuser:
			return http.StatusOK
		default:
			return http.StatusForbidden
		}
	default:
		switch {
		case !mine.Superuser:
			return http.StatusForbidden
		case !there:
			return http.StatusNotFound
		default:
			return http.StatusOK
		}
	}
}

// requireResources asks each route about a character, each character, the lists, the
// report, the figures and the exports, and holds the answers against the statement.
func requireResources(t *testing.T, c *client, o *town) {
	t.Helper()
	for path, item := range c.server.OpenAPI().Paths {
		if !strings.HasPrefix(path, "/v1/characters/{id}") {
			continue
		}
		for method, op := range operations(item) {
			for id := int64(1); id <= 9; id++ {
				target := parameters.Replace(strings.Replace(path, "{id}", fmt.Sprint(id), 1))
				o.world.subject.Owner = "ada"
				a := c.do(method, target, bodies[op.OperationID], as("ada")...)
				status := a.StatusCode
				if status == http.StatusCreated || status == http.StatusAccepted {
					status = http.StatusOK
				}
				require.Equal(t, o.wanted(access.Action(op.Extensions["x-muster-action"].(string)), path, id), status,
					"%s %s of user with %v and roles %v: %s", method, target, o.says.Users[0].Permissions, o.limited, a.text)
			}
		}
	}
	full := o.all()
	ada := full.Users[0]
	requireView := func(view *access.View, opens func(access.OrganisationCharacter) bool) {
		t.Helper()
		want := []int64{}
		for _, c := range full.Characters {
			if c.Registered && opens(c) {
				want = append(want, c.ID)
			}
		}
		require.NotNil(t, view)
		got, err := o.Opened(t.Context(), *view)
		require.NoError(t, err)
		require.Equal(t, want, got, "user with %v and roles %v", ada.Permissions, o.limited)
	}
	a := c.get("/v1/characters", as("ada")...)
	if full.Can(ada, "basic_access") {
		require.Equal(t, http.StatusOK, a.StatusCode)
		requireView(o.filter.View, func(c access.OrganisationCharacter) bool {
			owned := c.Owner != nil && *c.Owner == "ada"
			return owned || full.Can(ada, "finder_access") && full.Opens(ada, c)
		})
	} else {
		c.requireProblem(a, http.StatusForbidden, "basic_access")
	}
	for topic, section := range map[string]string{"wallet-journal": "wallet-journal", "contract": "contracts", "contract-item": "contracts"} {
		of := o.forSection(section)
		a = c.get("/v1/exports/"+topic, as("ada")...)
		all, scoped := of.Can(of.Users[0], "exports_access"), of.Can(of.Users[0], "scoped_exports_access")
		if !all && !scoped {
			require.Equal(t, http.StatusForbidden, a.StatusCode, a.text)
			continue
		}
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		requireView(o.export.View, func(c access.OrganisationCharacter) bool { return all || of.Opens(of.Users[0], c) })
	}
	of := o.forSection("skills")
	a = c.get("/v1/reports/skill-sets?closest=0&skill_set_id="+gunnersID.String(), as("ada")...)
	if !full.Can(ada, "reports_access") {
		c.requireProblem(a, http.StatusForbidden, "reports_access")
	} else {
		shown := 0
		for _, ch := range full.Characters {
			if owner := full.OwnerOf(ch); ch.Registered && owner != nil && owner.State != "Guest" && of.Reports(of.Users[0], *owner) {
				shown++
			}
		}
		require.Contains(t, a.text, fmt.Sprintf(`"characters":%d`, shown), "user with %v and roles %v", ada.Permissions, o.limited)
	}
	of = o.forSection("wallet-journal")
	a = c.get("/v1/analytics/wallet", as("ada")...)
	if !full.Can(ada, "basic_access") {
		c.requireProblem(a, http.StatusForbidden, "basic_access")
		return
	}
	want := []int64{}
	for _, ch := range of.Characters {
		if of.Opens(of.Users[0], ch) {
			want = append(want, ch.ID)
		}
	}
	switch {
	case of.Can(of.Users[0], "characters_access") && of.Can(of.Users[0], "view_everything"):
		require.Empty(t, o.wallet.CharacterIDs, "everybody's")
	default:
		require.Equal(t, want, o.wallet.CharacterIDs)
	}
}

// townPast tells of each character what is told of one.
type townPast struct{ *town }

func (p townPast) Life(ctx context.Context, _ int64, sections ...eve.Section) (history.Life, error) {
	return p.world.Life(ctx, 90000001, sections...)
}

// townLog knows whose characters are that somebody looks at.
type townLog struct{ town *town }

func (l townLog) Looks(ctx context.Context, f postgres.LookFilter) ([]postgres.Look, error) {
	return accessLog{l.town.world}.Looks(ctx, f)
}

func (l townLog) Subject(_ context.Context, character int64, _ time.Time) (access.Subject, error) {
	for _, c := range l.town.says.Characters {
		if c.ID != character || c.Owner == nil {
			continue
		}
		owner := l.town.user(*c.Owner)
		return access.Subject{Owner: owner.ID, Home: l.town.home(owner), Shared: c.Shared && l.town.says.Holds(owner, "share_characters")}, nil
	}
	return access.Subject{}, nil
}

func newTown(t *testing.T, org access.Organisation, limited ...access.Role) (*client, *town) {
	o := &town{says: accesstest.Statement{Organisation: org}, limited: map[string][]access.Role{"ada": limited}}
	c := newClient(t, func(config *api.Config) {
		config.Characters, config.SkillSets, config.AccessLog, config.Past = o, o, townLog{o}, townPast{o}
	})
	o.world = c.world
	return c, o
}

// Each set of permissions against each resource: what the statement says, no more and no
// less.
func TestEachPermissionOpensTheResourcesThatItIsFor(t *testing.T) {
	c, o := newTown(t, neighbours(nil, false))
	for _, set := range permissionSets() {
		o.says.Organisation = neighbours(set, false)
		requireResources(t, c, o)
	}
	o.says.Organisation = neighbours(nil, true)
	requireResources(t, c, o)
}

// The same with roles that are limited to sections: a recruiter sees skills and no mails.
func TestLimitedRolesOpenTheirSectionsAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	c, o := newTown(t, neighbours(nil, false))
	o.limited["ada"] = []access.Role{{Name: "Recruiter", Permissions: []string{"characters_access", "view_everything", "view_skill_sets"}, Sections: []string{"skills"}}}
	o.says.Organisation = neighbours([]string{"basic_access", "finder_access"}, false)
	requireResources(t, c, o)
	c.requireProblem(c.get("/v1/characters/4/mails", as("ada")...), http.StatusForbidden, "user ada may open character 4, but not its mails: the roles that open it are limited to other sections")
	require.Equal(t, http.StatusOK, c.get("/v1/characters/4/skills", as("ada")...).StatusCode)
	require.Equal(t, http.StatusOK, c.get("/v1/characters/1/mails", as("ada")...).StatusCode, "one's own are never limited")

	sections := []string{"skills", "mails", "wallet-journal", "contracts", "assets"}
	some := func() []string {
		set := []string{}
		for _, p := range access.Permissions() {
			if random.IntN(3) == 0 {
				set = append(set, string(p))
			}
		}
		return set
	}
	for range 60 {
		o.says.Organisation = neighbours(append(some(), "basic_access"), false)
		o.limited["ada"] = nil
		for range 1 + random.IntN(2) {
			role := access.Role{Name: "r", Permissions: append(some(), "characters_access")}
			for _, s := range sections {
				if random.IntN(2) == 0 {
					role.Sections = append(role.Sections, s)
				}
			}
			o.limited["ada"] = append(o.limited["ada"], role)
		}
		requireResources(t, c, o)
	}
}

// Member Audit raises an exception for a viewer without a main who holds a permission for
// a corporation or an alliance.
func TestAViewerWithoutAMainSeesHisOwnAndNothingBreaks(t *testing.T) {
	org := neighbours([]string{"basic_access", "finder_access", "reports_access", "characters_access", "view_same_corporation", "view_same_alliance"}, false)
	org.Users[0].Main = nil
	c, o := newTown(t, org)
	requireResources(t, c, o)
	require.Equal(t, &access.View{Owner: "ada"}, o.filter.View)
	c.requireProblem(c.get("/v1/characters/2", as("ada")...), http.StatusNotFound, "no character 2")
}

// Member Audit since 1.11 shows everybody's characters in the report of skill sets.
func TestTheReportOfSkillSetsShowsAccessibleUsersAloneAndNoGuests(t *testing.T) {
	f := func(characters int, permissions ...string) {
		t.Helper()
		c, _ := newTown(t, neighbours(append(permissions, "reports_access"), false))
		a := c.get("/v1/reports/skill-sets?skill_set_id="+gunnersID.String(), as("ada")...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		require.Contains(t, a.text, fmt.Sprintf(`"characters":%d`, characters))
	}
	f(1)
	f(1, "view_same_corporation")
	f(2, "basic_access", "view_same_corporation")
	f(2, "basic_access", "view_same_alliance")
	f(5, "basic_access", "view_everything")
	c, _ := newTown(t, neighbours(nil, false))
	require.Contains(t, c.get("/v1/reports/skill-sets?skill_set_id="+gunnersID.String()).text, `"characters":5`, "a program sees all but guests")
}

// Sets that are not visible to members are there for nobody else, by their ids neither.
func TestASkillSetThatIsNotVisibleIsNotReachedByItsID(t *testing.T) {
	c, o := newTown(t, neighbours([]string{"basic_access", "view_skill_sets"}, false))
	hidden := slices.IndexFunc(o.skillSets.Sets, func(s postgres.SkillSet) bool { return !s.Visible })
	if hidden < 0 {
		o.skillSets.Sets[0].Visible, hidden = false, 0
	}
	id := o.skillSets.Sets[hidden].ID.String()
	for _, target := range []string{"/v1/skill-sets/" + id, "/v1/skill-sets/" + id + "/missing?character_id=1"} {
		c.requireProblem(c.get(target, as("ada")...), http.StatusNotFound, id)
		require.Equal(t, http.StatusOK, c.get(target).StatusCode)
	}
	require.NotContains(t, c.get("/v1/skill-sets", as("ada")...).text, id)
	require.NotContains(t, c.get("/v1/characters/1/skill-sets", as("ada")...).text, id)
}

// What a character lacks for a set is about a character that is not in the path.
func TestWhatACharacterLacksIsShownOnlyOfThoseOneMayOpen(t *testing.T) {
	f := func(status, character int, permissions ...string) {
		t.Helper()
		c, o := newTown(t, neighbours(append(permissions, "basic_access"), false))
		o.skillSets.Sets[0].Visible = true
		a := c.get(fmt.Sprintf("/v1/skill-sets/%s/missing?character_id=%d", o.skillSets.Sets[0].ID, character), as("ada")...)
		require.Equal(t, status, a.StatusCode, a.text)
	}
	f(http.StatusOK, 1)
	f(http.StatusNotFound, 2)
	f(http.StatusForbidden, 2, "characters_access", "view_same_corporation")
	f(http.StatusOK, 2, "characters_access", "view_same_corporation", "view_skill_sets")
}

func TestUsersRegisterCharactersForThemselvesAlone(t *testing.T) {
	c, o := newTown(t, neighbours([]string{"basic_access"}, false))
	const path = "/v1/characters/registrations"
	a := c.do(http.MethodPost, path, `{"user_id": "ada"}`, as("ada")...)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, "ada", c.world.begun.UserID)
	c.requireProblem(c.do(http.MethodPost, path, `{"user_id": "bob"}`, as("ada")...), http.StatusForbidden, "for himself alone")
	require.Equal(t, http.StatusOK, c.get(path+"/"+signInID.String(), as("ada")...).StatusCode)
	o.says.Organisation.Users[1].Permissions = []string{"basic_access"}
	c.requireProblem(c.get(path+"/"+signInID.String(), as("bob")...), http.StatusNotFound, "of user bob")
	o.says.Organisation = neighbours(nil, true)
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, path, `{"user_id": "bob"}`, as("ada")...).StatusCode)
}
