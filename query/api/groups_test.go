package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

var groupID = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fae1")

func (w *world) ComplianceGroups(ctx context.Context, audience access.Audience) ([]postgres.ComplianceGroup, error) {
	w.audience = audience
	return []postgres.ComplianceGroup{
		{ID: uuid.UUID{1}, ComplianceGroup: access.ComplianceGroup{Name: "Blues", Description: "d", States: []string{"Blue"}}, DefinedAt: moment, DefinedBy: "token:admin"},
		{ID: groupID, ComplianceGroup: access.ComplianceGroup{Name: "Registered"}, DefinedAt: moment, DefinedBy: "token:admin", Members: 2},
	}, w.enter(ctx)
}

func (w *world) GroupMembers(ctx context.Context, f postgres.GroupMemberFilter) ([]postgres.GroupMember, error) {
	w.members = f
	return []postgres.GroupMember{
		{UserID: "ada", Name: "Ada", State: "Member", Main: &postgres.Main{CharacterID: 90000001, Name: "Bruce", CorporationID: 98000001}, Since: moment},
		{UserID: "bob", Since: moment},
	}, w.enter(ctx)
}

func (w *world) GroupsOf(ctx context.Context, user string) ([]postgres.Membership, error) {
	if user != "ada" {
		return nil, w.enter(ctx)
	}
	return []postgres.Membership{{GroupID: groupID, Name: "Registered", Description: "d", Since: moment}}, w.enter(ctx)
}

func (w *world) DefineGroup(ctx context.Context, in api.GroupDefinition) (api.RoleDecision, error) {
	w.group = in
	return api.RoleDecision{Changed: true, Version: 7, Shown: w.shown}, w.enter(ctx)
}

func (w *world) RemoveGroup(ctx context.Context, in api.GroupRemoval) (api.RoleDecision, error) {
	w.groupGone = in
	return api.RoleDecision{Changed: true, Version: 8, Shown: w.shown}, w.enter(ctx)
}

func TestComplianceGroupsAreShownWithTheirMembers(t *testing.T) {
	c := newClient(t)
	require.JSONEq(t, `{"items": [
		{"group_id": "01000000-0000-0000-0000-000000000000", "name": "Blues", "description": "d", "states": ["Blue"], "members": 0, "defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"},
		{"group_id": "7d444840-9dc0-11d1-b245-5ffdce74fae1", "name": "Registered", "description": "", "states": [], "members": 2, "defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"}
	]}`, c.get("/v1/compliance-groups").text)
	require.Equal(t, access.Audience{Everybody: true}, c.world.audience)
	require.Contains(t, c.get("/v1/compliance-groups/REGISTERED").text, `"name":"Registered"`)
	c.requireProblem(c.get("/v1/compliance-groups/other"), http.StatusNotFound, `no compliance group \"other\"`)
	c.requireProblem(c.get("/v1/compliance-groups/other/members"), http.StatusNotFound, `no compliance group \"other\"`)

	a := c.get("/v1/compliance-groups/registered/members?state=Member&corporation_id=9&alliance_id=8&limit=1")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, postgres.GroupMemberFilter{GroupID: groupID, Audience: access.Audience{Everybody: true}, State: "Member", CorporationID: 9, AllianceID: 8, Limit: 2}, c.world.members)
	require.Contains(t, a.text, `{"user":"ada","name":"Ada","state":"Member","main":90000001,"main_name":"Bruce","corporation_id":98000001,"corporation_name":"Wayne Enterprises","alliance_id":null,"since":"2026-05-01T12:00:00Z"}`)
	require.Contains(t, c.get("/v1/compliance-groups/registered/members", "Accept", "text/csv").text, "bob,,,,,,,,,2026-05-01T12:00:00Z")
}

func TestMembersOfComplianceGroupsAreShownLikeReports(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"/v1/compliance-groups", "/v1/compliance-groups/registered", "/v1/compliance-groups/registered/members"} {
		c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "view_everything"}}
		c.requireProblem(c.get(path, as("ada")...), http.StatusForbidden, "reports_access")
		c.world.grants = access.Grants{Active: true, Permissions: []string{"reports_access"}}
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, access.Audience{User: "ada"}, c.world.audience)
	}
	require.Equal(t, access.Audience{User: "ada"}, c.world.members.Audience)
	// To see them is not to define them.
	c.requireProblem(c.do(http.MethodPut, "/v1/compliance-groups/registered", `{}`, as("ada")...), http.StatusForbidden, "superusers")
	c.requireProblem(c.do(http.MethodDelete, "/v1/compliance-groups/registered", "", as("ada")...), http.StatusForbidden, "superusers")
}

func TestComplianceGroupsAreDefinedAndRemoved(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPut, "/v1/compliance-groups/Registered?expected_version=2", `{"description": "d", "states": ["Member"]}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.JSONEq(t, `{"changed": true, "version": 7}`, a.text)
	require.Equal(t, api.GroupDefinition{
		Actor: "token:admin", Group: access.ComplianceGroup{Name: "Registered", Description: "d", States: []string{"Member"}}, ExpectedVersion: new(int64(2)),
	}, c.world.group)
	c.world.shown = false
	require.Equal(t, http.StatusAccepted, c.do(http.MethodDelete, "/v1/compliance-groups/Registered?reason=over", "").StatusCode)
	require.Equal(t, api.GroupRemoval{Actor: "token:admin", Name: "Registered", Reason: "over"}, c.world.groupGone)
	c.requireProblem(c.do(http.MethodPut, "/v1/compliance-groups/Registered", `{"members": ["ada"]}`), http.StatusUnprocessableEntity, "members")
	require.Equal(t, http.StatusCreated, newClient(t).do(http.MethodPut, "/v1/roles/Pilot", `{"permissions": ["finder_access"], "compliance_groups": ["Registered"]}`).StatusCode)
}
