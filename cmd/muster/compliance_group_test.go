package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const oneComplianceGroup = `{"group_id": "7d444840-9dc0-11d1-b245-5ffdce74fae1", "name": "Registered", "description": "d", "states": ["Blue", "Member"], "members": 2,
	"defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"}`

func TestComplianceGroupsAreListedDefinedAndRemovedByCommand(t *testing.T) {
	f := func(answer, method, path, body, stdout string, args ...string) {
		t.Helper()
		asked, out, stderr, exit := declaring(t, http.StatusOK, answer, append([]string{"compliance"}, args...)...)
		require.Equal(t, exitOK, exit, stderr)
		require.Equal(t, method, asked[0].method)
		require.Equal(t, path, asked[0].path)
		if body != "" {
			require.JSONEq(t, body, asked[0].body)
		}
		require.Regexp(t, stdout, out)
	}
	const changed = `{"changed": true, "version": 7}`
	f(`{"items": [`+oneComplianceGroup+`]}`, http.MethodGet, "/v1/compliance-groups", "", `(?m)^Registered +Blue, Member +2 +d +2026-05-01 +token:admin$`, "groups")
	f(oneComplianceGroup, http.MethodGet, "/v1/compliance-groups/Registered", "", `(?m)^open to states: Blue, Member$`, "group", "show", "Registered")
	f(oneComplianceGroup, http.MethodGet, "/v1/compliance-groups/Registered", "", `"group_id": "7d444840`, "group", "show", "Registered", "-o", "json")
	f(changed, http.MethodPut, "/v1/compliance-groups/All%20done", `{"description": "d", "states": ["Member", "Blue"]}`, `^compliance group All done is defined \(version 7\)\n$`,
		"group", "define", "All done", "--description", "d", "--state", "Member", "--state", "Blue")
	f(`{"changed": false, "version": 7}`, http.MethodDelete, "/v1/compliance-groups/Registered", "", `^was so already: compliance group Registered is removed`, "group", "remove", "Registered")
	f(`{"items": [{"user": "ada", "name": "Ada", "state": "Member", "main": 7, "main_name": "Bruce", "corporation_id": 9, "alliance_id": null, "since": "2026-05-01T12:00:00Z"},
		{"user": "bob", "name": "", "state": "", "main": null, "corporation_id": null, "alliance_id": null, "since": "2026-05-02T12:00:00Z"}]}`,
		http.MethodGet, "/v1/compliance-groups/Registered/members", "", `(?m)^ada +Ada +Member +Bruce +9 +2026-05-01\nbob +- +- +2026-05-02$`, "group", "members", "Registered")
	asked, _, _, exit := declaring(t, http.StatusOK, `{"items": []}`, "compliance", "group", "members", "Registered", "--state", "Member", "--alliance", "8")
	require.Equal(t, exitOK, exit)
	require.Equal(t, map[string][]string{"state": {"Member"}, "alliance_id": {"8"}, "limit": {"1000"}}, map[string][]string(asked[0].query))
	asked, _, _, exit = declaring(t, http.StatusOK, changed, "compliance", "group", "remove", "Registered", "--reason", "over", "--expected-version", "3")
	require.Equal(t, exitOK, exit)
	require.Equal(t, map[string][]string{"reason": {"over"}, "expected_version": {"3"}}, map[string][]string(asked[0].query))
	asked, _, _, exit = declaring(t, http.StatusOK, `{"items": []}`, "compliance", "users", "--user", "ada")
	require.Equal(t, exitOK, exit)
	require.Equal(t, []string{"ada"}, asked[0].query["user_id"])
}

func TestADumpBringsComplianceGroupsInBeforeTheirUsers(t *testing.T) {
	folder := t.TempDir()
	for file, content := range map[string]string{
		"auth_user.csv":                              "id,username,is_superuser,is_active\n1,one,f,t\n",
		"auth_user_groups.csv":                       "user_id,group_id\n1,3\n",
		"auth_user_user_permissions.csv":             "user_id,permission_id\n",
		"auth_group.csv":                             "id,name\n3,Registered\n",
		"auth_group_permissions.csv":                 "group_id,permission_id\n3,21\n",
		"auth_permission.csv":                        "id,codename,content_type_id\n21,finder_access,8\n",
		"django_content_type.csv":                    "id,app_label\n8,memberaudit\n",
		"authentication_state.csv":                   "id,name\n2,Member\n",
		"authentication_state_permissions.csv":       "state_id,permission_id\n",
		"authentication_userprofile.csv":             "id,user_id,main_character_id,state_id\n8,1,,2\n",
		"authentication_characterownership.csv":      "id,character_id,owner_hash,user_id\n",
		"eveonline_evecharacter.csv":                 "id,character_id,character_name,corporation_id,alliance_id\n",
		"memberaudit_character.csv":                  "id,is_shared\n",
		"groupmanagement_authgroup_states.csv":       "authgroup_id,state_id\n3,2\n",
		"memberaudit_compliancegroupdesignation.csv": "id,group_id\n11,3\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600))
	}
	asked, stdout, stderr, exit := importing(t, "--from-alliance-auth", folder)
	require.Equal(t, exitOK, exit, stderr)
	require.Len(t, asked, 3)
	require.Equal(t, "/v1/compliance-groups/Registered", asked[0].path)
	require.JSONEq(t, `{"description": "Designated in Member Audit.", "states": ["Member"]}`, asked[0].body)
	require.Equal(t, "/v1/roles/Compliance%20Registered", asked[1].path)
	require.JSONEq(t, `{"description": "What the compliance group has given in Member Audit.", "permissions": ["finder_access"], "compliance_groups": ["Registered"]}`, asked[1].body)
	require.Equal(t, "/v1/import", asked[2].path)
	require.NotContains(t, asked[2].body, "finder_access")
	require.Contains(t, stdout, "2 compliance groups, and roles of theirs, are new or changed\n")
	_, stdout, _, exit = importing(t, "--from-alliance-auth", folder, "--dry-run")
	require.Equal(t, exitOK, exit)
	require.Regexp(t, `(?m)^compliance group +Registered +open to Member, members may finder_access$`, stdout)
}
