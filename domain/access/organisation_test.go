package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

func TestAnOrganisationIsReadWhole(t *testing.T) {
	org, rejected, err := access.ReadOrganisation(strings.NewReader(`{
		"users": [
			{"id": "ada", "name": "Ada", "superuser": true, "active": true, "state": "Member", "permissions": ["a.b"], "main": 1001, "characters": [1001, 1002]},
			{"id": "bob", "active": false, "state": "Guest", "permissions": [], "main": null, "characters": []}
		],
		"characters": [
			{"id": 1001, "name": "Adastra", "corporation_id": 7, "alliance_id": 8, "registered": true, "shared": true, "owner": "ada",
			 "refresh_token": "r", "owner_hash": "h", "scopes": ["s1", "s2"]},
			{"id": 1002, "corporation_id": 7, "alliance_id": null, "registered": false, "shared": false, "owner": "ada"},
			{"id": 1003, "corporation_id": 9, "alliance_id": null, "registered": true, "shared": false, "owner": null}
		]
	}`))
	require.NoError(t, err)
	require.Empty(t, rejected)
	require.Equal(t, access.Organisation{
		Users: []access.OrganisationUser{
			{ID: "ada", Name: "Ada", Superuser: true, Active: true, State: "Member", Permissions: []string{"a.b"}, Main: new(int64(1001)), Characters: []int64{1001, 1002}},
			{ID: "bob", State: "Guest", Permissions: []string{}, Characters: []int64{}},
		},
		Characters: []access.OrganisationCharacter{
			{
				ID: 1001, Name: "Adastra", CorporationID: 7, AllianceID: new(int64(8)), Registered: true, Shared: true, Owner: new("ada"),
				RefreshToken: "r", OwnerHash: "h", Scopes: []string{"s1", "s2"},
			},
			{ID: 1002, CorporationID: 7, Owner: new("ada")},
			{ID: 1003, CorporationID: 9, Registered: true},
		},
	}, org)
}

func TestRecordsThatBreakARuleAreLeftOutAndNamed(t *testing.T) {
	const org = `{"users": [
{"id": "ada", "main": 1001, "characters": [1001, 1002, 1009, 1010]},
{"id": "", "characters": []},
{"id": "a/b", "characters": []},

{"id": "ada", "characters": [1003]},
{"id": "bob", "main": 9, "characters": [1004]},
{"id": "cy", "favourite": "tea"},
{
  "id": "ada"
}, {"id": 7},
"dee"
], "characters": [
{"id": 1001, "registered": true, "owner": "ada"},
{"id": 1001, "registered": true, "owner": "ada"},
{"id": 0}, {"id": -4},
{"id": 1003, "registered": true, "owner": "ada"},
{"id": 1004, "registered": true, "owner": "bob"},
{"id": 1009, "registered": false, "owner": "ada", "refresh_token": "top-secret"},
{"id": 1010, "registered": true, "owner": "ada", "refresh_token": 70070},
{"id": 1.5},
{"id": 1002, "registered": true, "owner": "ada", "refresh_token": "top-secret"}
]}`
	got, rejected, err := access.ReadOrganisation(strings.NewReader(org))
	require.NoError(t, err)
	require.Equal(t, []access.Rejection{
		{Line: 3, Record: "user ", Reason: `its id "" cannot be used: it must not be empty, very long or contain '/' or line ends`},
		{Line: 4, Record: "user a/b", Reason: `its id "a/b" cannot be used: it must not be empty, very long or contain '/' or line ends`},
		{Line: 6, Record: "user ada", Reason: "its id is there twice: ids are unique"},
		{Line: 7, Record: "user bob", Reason: "its main 9 is not among its characters"},
		{Line: 8, Record: "user cy", Reason: `unknown field "favourite"`},
		{Line: 9, Record: "user ada", Reason: "its id is there twice: ids are unique"},
		{Line: 11, Record: "user ", Reason: "its id cannot be a JSON number"},
		{Line: 12, Record: "user ", Reason: "its record cannot be a JSON string"},
		{Line: 15, Record: "character 1001", Reason: "its id is there twice: ids are unique"},
		{Line: 16, Record: "character 0", Reason: "its id must be a positive number"},
		{Line: 16, Record: "character -4", Reason: "its id must be a positive number"},
		{Line: 17, Record: "character 1003", Reason: `its owner "ada" does not list it among its characters`},
		{Line: 18, Record: "character 1004", Reason: `its owner "bob" is no user of this file, or was rejected`},
		{Line: 19, Record: "character 1009", Reason: "it has a refresh token but is not registered"},
		{Line: 20, Record: "character 1010", Reason: "its refresh_token cannot be a JSON number"},
		{Line: 21, Record: "character 0", Reason: "its id cannot be a JSON number 1.5"},
	}, rejected)
	require.Len(t, got.Users, 1)
	require.Equal(t, []int64{1001, 1002}, []int64{got.Characters[0].ID, got.Characters[1].ID})
	require.Len(t, got.Characters, 2)
	for _, r := range rejected {
		require.NotContains(t, r.Reason, "top-secret")
		require.NotContains(t, r.Reason, "70070")
	}
}

func TestAFileThatCannotBeReadNamesTheLine(t *testing.T) {
	f := func(file, wantText string) {
		t.Helper()
		org, rejected, err := access.ReadOrganisation(strings.NewReader(file))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, wantText)
		require.ErrorContains(t, err, `must be one JSON object with the lists "users" and "characters"`)
		require.Empty(t, org)
		require.Empty(t, rejected)
	}
	f("", "line 1: the file ends too early")
	f("[]", "line 1: must be an object")
	f("7", "line 1: must be an object")
	f("users: []", "line 1: invalid character 'u'")
	f("{\n\"users\": {}\n}", "line 2: must be a list")
	f("{\n\"users\": null}", "line 2: must be a list")
	f("{\n\n\"user\": []}", `line 3: key "user" is not known`)
	f("{\n\"users\": [{\"id\": \"a\"}", "line 2: the file ends too early")
	f("{\n\"users\": [{\"id\": \"a\"", "line 2: the file ends too early")
	f("{\n\"users\": [],", "the file ends too early")
	f("{\n\"users\": []\n", "line 3: the file ends too early")
	f("{\n\"users\": []\n}\n{}", "line 4: something follows the end of the object")
	f("{\"users\": [\n{\"id\": \"a\"},\n{\"id\" \"b\"}]}", "line 3: invalid character")
	f("{\"users\": [\n{\"id\": \"a\"}]]", "line 2: ")
}

func TestAReaderThatBreaksIsReported(t *testing.T) {
	broken := errors.New("the disk is gone")
	_, _, err := access.ReadOrganisation(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestAnOrganisationWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want access.Organisation
		next := int64(1)
		for i := range rapid.IntRange(0, 4).Draw(t, "users") {
			u := access.OrganisationUser{
				ID: fmt.Sprintf("u%d", i), Name: rapid.String().Draw(t, "name"), Active: rapid.Bool().Draw(t, "active"),
				State: rapid.SampledFrom([]string{"Member", "Blue", "Guest"}).Draw(t, "state"), Permissions: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "permissions"),
			}
			for range rapid.IntRange(1, 3).Draw(t, "characters") {
				u.Characters = append(u.Characters, next)
				c := access.OrganisationCharacter{ID: next, Owner: new(u.ID), Registered: rapid.Bool().Draw(t, "registered"), CorporationID: 5}
				if c.Registered {
					c.RefreshToken = rapid.String().Draw(t, "token")
				}
				want.Characters = append(want.Characters, c)
				next++
			}
			if rapid.Bool().Draw(t, "has a main") {
				u.Main = new(rapid.SampledFrom(u.Characters).Draw(t, "main"))
			}
			want.Users = append(want.Users, u)
		}
		file, err := json.MarshalIndent(want, "", rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent"))
		require.NoError(t, err)
		if len(want.Users) == 0 {
			file = []byte(`{"users": [], "characters": []}`)
		}
		got, rejected, err := access.ReadOrganisation(bytes.NewReader(file))
		require.NoError(t, err)
		require.Empty(t, rejected)
		require.Equal(t, want, got)
	})
}

func FuzzReadOrganisation(f *testing.F) {
	f.Add([]byte(`{"users": [{"id": "a", "main": 1, "characters": [1]}], "characters": [{"id": 1, "owner": "a", "registered": true, "refresh_token": "t"}]}`))
	f.Add([]byte("{\n\"characters\": [{\"id\": 1}, null, {\"id\": 1}], \"users\": []}"))
	f.Add([]byte(`{"users": [`))
	f.Fuzz(func(t *testing.T, file []byte) {
		org, rejected, err := access.ReadOrganisation(bytes.NewReader(file))
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		lines := 1 + bytes.Count(file, []byte("\n"))
		for _, r := range rejected {
			require.NotEmpty(t, r.Reason)
			require.LessOrEqual(t, r.Line, lines)
			require.Positive(t, r.Line)
		}
		// What was taken breaks no rule: it is taken as a whole again.
		if org.Users == nil {
			org.Users = []access.OrganisationUser{}
		}
		if org.Characters == nil {
			org.Characters = []access.OrganisationCharacter{}
		}
		again, err := json.Marshal(org)
		require.NoError(t, err)
		read, rejected, err := access.ReadOrganisation(bytes.NewReader(again))
		require.NoError(t, err)
		require.Empty(t, rejected)
		require.Len(t, read.Users, len(org.Users))
		require.Len(t, read.Characters, len(org.Characters))
	})
}
