package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	oneRole = `{"role_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "name": "Recruiter", "description": "", "permissions": ["characters_access", "view_everything"], "states": ["Member"],
		"compliance_groups": ["Registered"], "sections": ["skills"], "granted": 1, "holders": 2, "defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"}`
	oneUser = `{"user_id": "ada", "name": "Ada", "active": true, "superuser": false, "state": "Member", "main_id": 7, "main_name": "Bruce Wayne", "main_corporation_id": 9, "main_alliance_id": null,
		"registered_characters": 1, "unregistered_characters": 2, "roles": ["Recruiter"], "held_roles": [], "permissions": [{"permission": "basic_access", "from": ["import", "role Pilot"]}],
		"actions": [{"action": "characters.read", "reach": "seen"}],
		"characters": [{"character_id": 7, "name": "Bruce Wayne", "corporation_id": 9, "alliance_id": null, "main": true, "registered": true, "shared": false}]}`
)

func TestRolesAreListedDefinedAndGrantedByCommand(t *testing.T) {
	f := func(answer, method, path, body, stdout string, args ...string) {
		t.Helper()
		asked, out, stderr, exit := declaring(t, http.StatusOK, answer, args...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, method, asked[0].method)
		require.Equal(t, path, asked[0].path)
		if body != "" {
			require.JSONEq(t, body, asked[0].body)
		}
		require.Regexp(t, stdout, out)
	}
	const changed = `{"changed": true, "version": 7}`
	f(`{"items": [`+oneRole+`]}`, http.MethodGet, "/v1/roles", "", `(?m)^Recruiter +characters_access view_everything +Member +Registered +skills +2 +2026-05-01 +token:admin$`, "role", "list")
	f(changed, http.MethodPut, "/v1/roles/Night%20Watch", `{"description": "d", "permissions": ["basic_access", "finder_access"], "states": ["Member"], "compliance_groups": ["Registered"], "sections": ["skills"]}`,
		`^role Night Watch is defined \(version 7\)\n$`, "role", "define", "Night Watch", "--description", "d", "--permission", "basic_access", "--permission", "finder_access", "--state", "Member", "--group", "Registered", "--section", "skills")
	f(changed, http.MethodDelete, "/v1/roles/Recruiter", "", `^role Recruiter is removed`, "role", "remove", "Recruiter")
	f(changed, http.MethodPut, "/v1/users/ada/roles/Recruiter", "", `^user ada was granted role Recruiter`, "role", "grant", "Recruiter", "ada")
	f(`{"changed": false, "version": 7}`, http.MethodDelete, "/v1/users/ada/roles/Recruiter", "", `^was so already: user ada was revoked role Recruiter`, "role", "revoke", "Recruiter", "ada", "--reason", "left")
	asked, _, _, exit := declaring(t, http.StatusOK, changed, "role", "revoke", "Recruiter", "ada", "--reason", "left", "--expected-version", "3")
	require.Equal(t, exitOK, exit)
	require.Equal(t, []string{"left"}, asked[0].query["reason"])
	require.Equal(t, []string{"3"}, asked[0].query["expected_version"])
	asked, _, _, exit = declaring(t, http.StatusOK, changed, "role", "grant", "Recruiter", "ada")
	require.Equal(t, exitOK, exit)
	require.Empty(t, asked[0].query)
}

func TestUsersAreListedShownAndChangedByCommand(t *testing.T) {
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, `{"items": [`+oneUser+`]}`, "user", "list", "--role", "Recruiter", "--inactive", "--superusers")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, map[string][]string{"role": {"Recruiter"}, "active": {"false"}, "superuser": {"true"}}, map[string][]string(asked[0].query))
	require.Regexp(t, `(?m)^ada +Ada +Member +yes +no +Bruce Wayne +1 of 3 +Recruiter$`, stdout)
	_, stdout, stderr, exit = declaring(t, http.StatusOK, oneUser, "user", "show", "ada")
	require.Equal(t, exitOK, exit, stderr)
	require.Regexp(t, `(?m)^basic_access +import, role Pilot +all$`, stdout)
	require.Regexp(t, `(?m)^characters.read +seen$`, stdout)
	require.Regexp(t, `(?m)^7 +Bruce Wayne +9 +yes +yes +no$`, stdout)
	for command, body := range map[string]string{
		"activate": `{"active": true}`, "deactivate": `{"active": false}`, "promote": `{"superuser": true}`, "promote --demote": `{"superuser": false}`,
	} {
		args := []string{"user", "promote", "ada", "--demote"}
		if command != "promote --demote" {
			args = []string{"user", command, "ada"}
		}
		asked, _, stderr, exit = declaring(t, http.StatusCreated, `{"changed": true, "version": 2}`, args...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, http.MethodPatch, asked[0].method)
		require.JSONEq(t, body, asked[0].body)
	}
}
