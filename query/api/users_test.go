package api_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

func TestUsersAreListedAsAskedFor(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/users?name=wayne&state=Member&role=Recruiter&permission=basic_access&active=true&superuser=false&limit=5")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, postgres.UserFilter{
		Name: "wayne", State: "Member", Role: "Recruiter", Permission: access.BasicAccess, Active: new(true), Superuser: new(false), Limit: 6,
	}, c.world.users)
	require.JSONEq(t, `{"items": [{"user_id": "ada", "name": "Ada", "active": true, "superuser": false, "state": "Member", "main_id": 90000001, "main_name": "Bruce Wayne",
		"main_corporation_id": 98000001, "main_alliance_id": null, "registered_characters": 1, "unregistered_characters": 1, "roles": ["Recruiter"]}]}`, a.text)
	c.get("/v1/users")
	require.Equal(t, postgres.UserFilter{Limit: 101}, c.world.users)
	lines, err := csv.NewReader(strings.NewReader(c.get("/v1/users", "Accept", "text/csv").text)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, "user_id", lines[0][0])
	require.Equal(t, "ada", lines[1][0])
	for query, want := range map[string]string{"permission=fly": "no permission", "active=perhaps": "active", "cursor=x": "cursor"} {
		c.requireProblem(c.get("/v1/users?"+query), http.StatusUnprocessableEntity, want)
	}
}

func TestAUserIsShownWithWhatHeMayDoAndWhy(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/users/ada")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	for _, want := range []string{
		`"held_roles":[{"name":"Recruiter","sections":["skills"]},{"name":"Recruiter","state":"Member","sections":["skills"]}]`,
		`{"permission":"basic_access","from":["import"]}`,
		`{"permission":"characters_access","from":["role Recruiter","role Recruiter of state Member"],"sections":["skills"]}`,
		`{"action":"characters.read","reach":"seen"}`, `{"action":"characters.remove","reach":"own"}`,
		`{"character_id":90000001,"name":"Bruce Wayne","corporation_id":98000001,"alliance_id":null,"main":true,"registered":true,"shared":true}`,
		`{"character_id":90000003,"name":"Alt","corporation_id":0,"alliance_id":null,"main":false,"registered":false,"shared":false}`,
	} {
		require.Contains(t, a.text, want)
	}
	require.Contains(t, a.text, `"compliance_groups":[{"name":"Registered","since":"`)
	c.requireProblem(c.get("/v1/users/nobody"), http.StatusNotFound, `no user \"nobody\"`)
}

func TestAUserSeesHimselfWithWhatHeMayDoAndWhy(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/me/user", as("ada")...)
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, "ada", c.world.users.ID, "himself and nobody else")
	require.Empty(t, c.world.looked, "that is no look at data of others")
	require.Contains(t, a.text, `{"permission":"basic_access","from":["import"]}`)
	require.Contains(t, a.text, `"compliance_groups":[{"name":"Registered","since":"`)
	c.requireProblem(c.get("/v1/me/user"), http.StatusForbidden, "only users")
}

func TestUsersAreChangedAndGrantedRoles(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPatch, "/v1/users/ada?expected_version=5", `{"active": false, "state": "Guest"}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.JSONEq(t, `{"changed": true, "version": 6}`, a.text)
	require.Equal(t, api.UserChange{Actor: "token:admin", UserID: "ada", Active: new(false), State: new("Guest"), ExpectedVersion: new(int64(5))}, c.world.changed)
	require.Equal(t, http.StatusCreated, c.do(http.MethodPut, "/v1/users/ada/roles/Night%20Watch", "").StatusCode)
	require.Equal(t, api.RoleGrant{Actor: "token:admin", UserID: "ada", Role: "Night Watch"}, c.world.granted)
	c.world.shown = false
	require.Equal(t, http.StatusAccepted, c.do(http.MethodDelete, "/v1/users/ada/roles/Recruiter?reason=left&expected_version=0", "").StatusCode)
	require.Equal(t, api.RoleGrant{Actor: "token:admin", UserID: "ada", Role: "Recruiter", Revoke: true, Reason: "left", ExpectedVersion: new(int64(0))}, c.world.granted)
	c.requireProblem(c.do(http.MethodPatch, "/v1/users/ada", `{"permissions": []}`), http.StatusUnprocessableEntity, "permissions")
}

func TestRolesAreDefinedAndRemoved(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPut, "/v1/roles/Pilot?expected_version=2", `{"description": "d", "permissions": ["basic_access"], "states": ["Member"]}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, api.RoleDefinition{
		Actor: "token:admin", Role: access.Role{Name: "Pilot", Description: "d", Permissions: []string{"basic_access"}, States: []string{"Member"}}, ExpectedVersion: new(int64(2)),
	}, c.world.role)
	require.Equal(t, http.StatusCreated, c.do(http.MethodDelete, "/v1/roles/Pilot?reason=over", "").StatusCode)
	require.Equal(t, api.RoleRemoval{Actor: "token:admin", Name: "Pilot", Reason: "over"}, c.world.roleRemoved)
	require.Contains(t, c.get("/v1/roles").text, `"name":"Recruiter","description":"","permissions":["characters_access","view_everything"],"states":["Member"],"compliance_groups":[],"sections":["skills"],"granted":1,"holders":2`)
	require.Equal(t, http.StatusOK, c.get("/v1/roles/RECRUITER").StatusCode)
	c.requireProblem(c.get("/v1/roles/Pilot"), http.StatusNotFound, `no role \"Pilot\"`)
}

func TestRolesAreLimitedToSectionsOnlyIfThatIsSwitchedOn(t *testing.T) {
	const body = `{"permissions": ["characters_access"], "sections": ["skills"]}`
	c := newClient(t)
	c.requireProblem(c.do(http.MethodPut, "/v1/roles/Recruiter", body), http.StatusUnprocessableEntity, "MUSTER_SECTION_PERMISSIONS")
	c = newClient(t, func(config *api.Config) { config.SectionPermissions = true })
	require.Equal(t, http.StatusCreated, c.do(http.MethodPut, "/v1/roles/Recruiter", body).StatusCode)
	require.Equal(t, []string{"skills"}, c.world.role.Role.Sections)
	c.requireProblem(c.do(http.MethodPut, "/v1/roles/Recruiter", `{"permissions": [], "sections": ["moon"]}`), http.StatusUnprocessableEntity, `no section \"moon\"`)
}
