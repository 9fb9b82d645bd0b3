package allianceauth_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/ingest/registration/allianceauth"
)

// designated is a dump whose user is in groups 3 and 4; group 3 is a compliance group.
func designated(lines ...string) fstest.MapFS {
	return small(append([]string{
		`{"model": "auth.user", "pk": 1, "fields": {"username": "one", "is_superuser": false, "is_active": true, "groups": [3, 4], "user_permissions": []}}`,
		`{"model": "auth.group", "pk": 3, "fields": {"name": "Registered", "permissions": [21, 22]}}`,
		`{"model": "auth.group", "pk": 4, "fields": {"name": "Others", "permissions": [23]}}`,
		`{"model": "groupmanagement.authgroup", "pk": 3, "fields": {"internal": true, "states": [2]}}`,
		`{"model": "groupmanagement.authgroup", "pk": 4, "fields": {"internal": false, "states": []}}`,
		`{"model": "auth.permission", "pk": 21, "fields": {"codename": "basic_access", "content_type": 8}}`,
		`{"model": "auth.permission", "pk": 22, "fields": {"codename": "finder_access", "content_type": 8}}`,
		`{"model": "auth.permission", "pk": 23, "fields": {"codename": "reports_access", "content_type": 8}}`,
		`{"model": "contenttypes.contenttype", "pk": 8, "fields": {"app_label": "memberaudit", "model": "general"}}`,
		`{"model": "memberaudit.compliancegroupdesignation", "pk": 11, "fields": {"group": 3}}`,
	}, lines...)...)
}

func TestDesignatedGroupsAreTakenOverWithWhatTheyGive(t *testing.T) {
	read, err := allianceauth.Read(designated(), allianceauth.Options{})
	require.NoError(t, err)
	require.Empty(t, read.LeftOut)
	require.Equal(t, []allianceauth.ComplianceGroup{{ComplianceGroup: access.ComplianceGroup{Name: "Registered", States: []string{"Member"}}, Permissions: []string{"finder_access"}}}, read.ComplianceGroups)
	require.Equal(t, []string{"basic_access", "reports_access"}, read.Organisation.Users[0].Permissions, "what the group gives is lost with it, but for what it asks for")
	require.Equal(t, access.Role{Name: "Compliance Registered", Description: "What the compliance group has given in Member Audit.", Permissions: []string{"finder_access"}, Groups: []string{"Registered"}}, read.ComplianceGroups[0].Role())

	// Without designations all groups are as others.
	dump := designated()
	dump["dump.json"].Data = []byte(strings.ReplaceAll(string(dump["dump.json"].Data), "compliancegroupdesignation", "other"))
	read, err = allianceauth.Read(dump, allianceauth.Options{})
	require.NoError(t, err)
	require.Empty(t, read.ComplianceGroups)
	require.Equal(t, []string{"basic_access", "finder_access", "reports_access"}, read.Organisation.Users[0].Permissions)
}

func TestADesignatedGroupThatCannotBeTakenOverIsAsAllOthers(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		read, err := allianceauth.Read(designated(lines...), allianceauth.Options{})
		require.NoError(t, err)
		require.Empty(t, read.ComplianceGroups)
		require.Len(t, read.LeftOut, 1)
		require.Equal(t, "memberaudit_compliancegroupdesignation", read.LeftOut[0].Table)
		require.Equal(t, "id 11", read.LeftOut[0].Row)
		require.Contains(t, read.LeftOut[0].Reason, want)
		require.Equal(t, []string{"basic_access", "finder_access", "reports_access"}, read.Organisation.Users[0].Permissions)
	}
	f("1 to 100 letters", `{"model": "auth.group", "pk": 3, "fields": {"name": "Registered & fine", "permissions": [21, 22]}}`)
	f("1 to 100 letters", `{"model": "auth.group", "pk": 3, "fields": {"name": "`+strings.Repeat("a", 95)+`", "permissions": [21, 22]}}`)
	f("open to state 5", `{"model": "groupmanagement.authgroup", "pk": 3, "fields": {"internal": true, "states": [2, 5]}}`)
	f("group 9 is not in auth_group", `{"model": "memberaudit.compliancegroupdesignation", "pk": 11, "fields": {"group": 9}}`)
}

func TestWhichStatesADesignatedGroupIsOpenToHasToBeInTheDump(t *testing.T) {
	dump := designated()
	dump["dump.json"].Data = []byte(strings.ReplaceAll(string(dump["dump.json"].Data), "groupmanagement.authgroup", "other"))
	_, err := allianceauth.Read(dump, allianceauth.Options{})
	require.ErrorContains(t, err, "groupmanagement_authgroup_states: `python manage.py dumpdata groupmanagement.authgroup")
	dump["groupmanagement_authgroup_states.csv"] = &fstest.MapFile{Data: []byte("id,authgroup_id,state_id\n1,3,2\n")}
	dump["groupmanagement_authgroup.csv"] = &fstest.MapFile{Data: []byte("group_id,internal\n3,t\n")}
	read, err := allianceauth.Read(dump, allianceauth.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"Member"}, read.ComplianceGroups[0].States)
}
