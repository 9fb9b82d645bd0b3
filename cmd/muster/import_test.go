package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
)

// importing runs an import against a Muster that takes everything, and notes what it was
// sent.
func importing(t *testing.T, args ...string) (asked []sent, stdout, stderr string, exit int) {
	t.Helper()
	sets := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, sent{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body), r.URL.Query()})
		switch {
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"items": [{"skill_set_group_id": "7d444840-9dc0-11d1-b245-5ffdce74fad7", "name": "SHIELD", "skill_set_ids": []}]}`)
		case r.URL.Path == "/v1/import":
			_, _ = io.WriteString(w, `{"users": 4, "characters": 2, "unchanged": 1, "rejections": []}`)
		case strings.HasPrefix(r.URL.Path, skillSetsPath):
			sets++
			_, _ = io.WriteString(w, `{"skill_set_id": "7d444840-9dc0-11d1-b245-5ffdce74fa0`+strconv.Itoa(sets)+`", "changed": true, "version": 7}`)
		default:
			_, _ = io.WriteString(w, `{"changed": true, "version": 7}`)
		}
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = p.run(t.Context(), append(append([]string{"import"}, args...), "--url", server.URL, "--token", "let-me-in"))
	return asked, out.String(), errs.String(), exit
}

const allianceAuthData = "../../ingest/registration/allianceauth/testdata/"

func TestADumpOfAllianceAuthIsBroughtInThroughTheSameRequestsAsByHand(t *testing.T) {
	asked, stdout, stderr, exit := importing(t, "--from-alliance-auth", allianceAuthData+"5.1.0/mysqldump")
	require.Equal(t, exitFindings, exit, stderr)
	var calls []string
	for _, a := range asked {
		calls = append(calls, a.method+" "+a.path)
	}
	require.Equal(t, []string{
		"POST /v1/import", "POST /v1/characters/90000003/disable", "POST /v1/skill-sets", "POST /v1/skill-sets",
		"GET /v1/skill-set-groups", "POST /v1/skill-set-groups", "PUT /v1/skill-set-groups/7d444840-9dc0-11d1-b245-5ffdce74fad7",
	}, calls)

	byHand, err := os.ReadFile(allianceAuthData + "organisation-5.1.0.json")
	require.NoError(t, err)
	var want struct {
		Organisation access.Organisation `json:"organisation"`
	}
	require.NoError(t, json.Unmarshal(byHand, &want))
	organisation, err := json.Marshal(want.Organisation)
	require.NoError(t, err)
	require.JSONEq(t, string(organisation), asked[0].body)
	require.JSONEq(t, `{"name": "Recruits", "visible": false, "skills": [{"type_id": 3300, "required": 1}]}`, asked[2].body)
	require.Equal(t, []string{"true"}, asked[2].query["overwrite"])
	require.JSONEq(t, `{"name": "Shield", "doctrine": true, "active": true, "skill_set_ids": ["7d444840-9dc0-11d1-b245-5ffdce74fa01", "7d444840-9dc0-11d1-b245-5ffdce74fa02"]}`, asked[6].body)

	require.Equal(t, "4 users and 2 characters are new or changed, 1 were so already\n4 skill sets and groups are new or changed, 0 were so already\n1 characters are newly disabled\n",
		strings.ReplaceAll(stdout, "2 skill sets and 2 groups of them", "4 skill sets and groups"))
	require.Equal(t, "left out: auth_permission id 26: Muster has no permission manage_charts: it gives nothing\n1 rows were left out, wholly or in part\n", stderr)

	asked, stdout, stderr, exit = importing(t, "--from-alliance-auth", allianceAuthData+"1.9.4/json", "--output", "json")
	require.Equal(t, exitOK, exit, stderr)
	require.Len(t, asked, 6, "nobody is disabled in 1.9.4")
	require.JSONEq(t, `{"users": 4, "characters": 2, "unchanged": 1, "rejections": [], "skill_sets": 2, "skill_set_groups": 2, "defined_already": 0, "disabled": 0, "left_out": []}`, stdout)
}

func TestADryRunSaysWhatWouldBeDoneAndAsksNothing(t *testing.T) {
	asked, stdout, stderr, exit := importing(t, "--from-alliance-auth", allianceAuthData+"5.1.0/json", "--with-tokens", allianceAuthData+"tokens/tokens.json", "--dry-run")
	require.Equal(t, exitFindings, exit, stderr)
	require.Empty(t, asked)
	for _, line := range []string{
		`user +aa-1 +root +state Guest, superuser`,
		`user +aa-2 +Bruce_Alpha +state Member, main 90000001, may basic_access characters_access finder_access share_characters view_same_corporation`,
		`user +aa-3 +Clark_Beta +state Guest, not active, main 90000003`,
		`character +90000001 +Bruce Alpha +registered, owned by aa-2, shared`,
		`character +90000002 +Bruce Alt +listed, owned by aa-2`,
		`character +90000003 +Clark Beta +registered, owned by aa-3, disabled`,
		`character +90000005 +Nobody Left +registered, owned by nobody`,
		`skill set +Recruits +not visible, 1 skills`,
		`group +Doctrine: Shield +of Recruits, Shield Logistics`,
		`group +Old \[Not active\] +of no sets`,
	} {
		require.Regexp(t, "(?m)^"+line+"$", stdout)
	}
	require.Contains(t, stdout, "4 users, 3 of them with a main; 3 registered characters, 1 of them without an owner, 1 shared, 1 disabled, 1 with a login; 2 characters that are owned and not registered; 2 skill sets, 2 groups\n")
	require.Contains(t, stderr, "left out: esi_token character_id 90000003: there is no login")

	_, stdout, _, exit = importing(t, "--from-alliance-auth", allianceAuthData+"5.1.0/json", "--with-tokens", allianceAuthData+"tokens-csv", "--dry-run", "--output", "json")
	require.Equal(t, exitFindings, exit)
	require.NotContains(t, stdout, "refresh")
	require.Contains(t, stdout, `"logins": 1`)

	_, stdout, stderr, exit = importing(t, "-f", written(t, "org.json", `{"users": [{"id": "u1", "superuser": false, "active": true, "state": "Member", "permissions": [], "main": null, "characters": [7]}, {"id": "", "superuser": false, "active": true, "state": "", "permissions": [], "main": null, "characters": []}],
		"characters": [{"id": 7, "corporation_id": 1, "alliance_id": null, "registered": true, "shared": false, "owner": "u1", "refresh_token": "r"}]}`), "--dry-run")
	require.Equal(t, exitFindings, exit)
	require.Regexp(t, `(?m)^character +7 +registered, owned by u1$`, stdout)
	require.Contains(t, stderr, "its id \"\" cannot be used")
}

func TestLoginsGoToMusterOnlyWhenAskedFor(t *testing.T) {
	asked, stdout, stderr, exit := importing(t, "--from-alliance-auth", allianceAuthData+"1.9.4/csv", "--with-tokens", allianceAuthData+"tokens-csv", "--log-level", "DEBUG")
	require.Equal(t, exitFindings, exit)
	require.Contains(t, asked[0].body, `"refresh_token":"refresh-bruce"`)
	require.Equal(t, 1, strings.Count(asked[0].body, "refresh_token"))
	require.NotContains(t, stdout+stderr, "refresh-")
	asked, _, _, exit = importing(t, "--from-alliance-auth", allianceAuthData+"1.9.4/csv")
	require.Equal(t, exitOK, exit)
	require.NotContains(t, asked[0].body, "refresh_token")
}

func TestAnImportNeedsOneSource(t *testing.T) {
	for want, args := range map[string][]string{
		"say what to bring in":                     {},
		"can't be used together":                   {"-f", written(t, "o.json", "{}"), "--from-alliance-auth", t.TempDir()},
		"--with-tokens goes with":                  {"-f", written(t, "o.json", "{}"), "--with-tokens", "x"},
		"reading the logins":                       {"--from-alliance-auth", allianceAuthData + "1.9.4/csv", "--with-tokens", filepath.Join(t.TempDir(), "none")},
		"the dump is not whole, there is no file":  {"--from-alliance-auth", t.TempDir()},
		"`python manage.py dumpdata auth.user -o ": {"--from-alliance-auth", t.TempDir()},
	} {
		_, _, stderr, exit := importing(t, args...)
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, want)
	}
}

func TestAnOrganisationIsBroughtInByPartsThatHoldWholeUsers(t *testing.T) {
	var org access.Organisation
	for i := range int64(10) {
		id := "u" + strconv.FormatInt(i, 10)
		org.Users = append(org.Users, access.OrganisationUser{ID: id, Characters: []int64{2*i + 1, 2*i + 2}})
		org.Characters = append(org.Characters, access.OrganisationCharacter{ID: 2*i + 1, Owner: &id}, access.OrganisationCharacter{ID: 2*i + 2, Owner: &id})
	}
	org.Characters = append(org.Characters, access.OrganisationCharacter{ID: 100, Registered: true})
	parts := partsOf(org, 7)
	require.Len(t, parts, 4)
	users, characters := 0, 0
	for _, part := range parts {
		data, err := json.Marshal(part)
		require.NoError(t, err)
		_, rejections, err := access.ReadOrganisation(bytes.NewReader(data))
		require.NoError(t, err)
		require.Empty(t, rejections, "each part stands alone")
		users, characters = users+len(part.Users), characters+len(part.Characters)
		require.LessOrEqual(t, len(part.Users)+len(part.Characters), 9)
	}
	require.Equal(t, []int{10, 21}, []int{users, characters})
	require.Empty(t, partsOf(access.Organisation{}, 7))
}
