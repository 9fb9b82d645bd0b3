package anvil_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
)

func rawls(path string, status int, body string) anvil.Answer {
	return anvil.Answer{Service: "rawls", Method: "GET", Path: path, Status: status, Body: json.RawMessage(body)}
}

func noGroups() anvil.Answer { return sam("/api/groups/v1", 200, `[]`) }

// listed is a list of workspaces with one in it.
func listed(level string) anvil.Answer {
	return rawls("/api/workspaces", 200, `[{"accessLevel":"`+level+`","workspace":{"namespace":"bp","name":"ws","isLocked":false,"authorizationDomain":[]}}]`)
}

// oneWorkspace declares a workspace, if access says so.
func oneWorkspace(access anvil.AppAccess) anvil.Declared {
	d := anvil.Declared{ServiceAccount: "app@example.com", BillingProjects: []anvil.BillingProject{{Name: "bp"}}}
	if access != "" {
		d.Workspaces = []anvil.Workspace{{BillingProject: "bp", Name: "ws", AppAccess: access}}
	}
	d.Normalise()
	return d
}

// The cells of the peer's role matrix that its reference calls gaps (ACM v0.35.2,
// workspace audit), and those beside them that are none.
func TestWorkspacesThatThePeerPassesWronglyAreQuestioned(t *testing.T) {
	acl := func(status int) anvil.Answer { return rawls("/api/workspaces/bp/ws/acl", status, `{"acl":{}}`) }
	for _, c := range []struct {
		name     string
		declared anvil.AppAccess
		answers  []anvil.Answer
		want     map[string][]string
	}{
		{"limited, project owner", anvil.AppLimited, []anvil.Answer{listed("PROJECT_OWNER")}, map[string][]string{"bp/ws": {anvil.ErrProjectOwner}}},
		{"no access, project owner", anvil.AppNoAccess, []anvil.Answer{listed("PROJECT_OWNER")}, map[string][]string{"bp/ws": {anvil.ErrProjectOwner}}},
		{"undeclared, project owner", "", []anvil.Answer{listed("PROJECT_OWNER")}, map[string][]string{"bp/ws": {anvil.ErrProjectOwner}}},
		{"no access, hidden owner", anvil.AppNoAccess, []anvil.Answer{listed("NO ACCESS"), acl(200)}, map[string][]string{"bp/ws": {anvil.ErrHiddenOwner}}},
		{"no access, none", anvil.AppNoAccess, []anvil.Answer{listed("NO ACCESS"), acl(404)}, map[string][]string{}},
		{"no access, not asked yet", anvil.AppNoAccess, []anvil.Answer{listed("NO ACCESS")}, map[string][]string{}},
		{"limited, none", anvil.AppLimited, []anvil.Answer{listed("NO ACCESS"), acl(403)}, map[string][]string{"bp/ws": {anvil.ErrNoAccess}}},
		{"limited, writer", anvil.AppLimited, []anvil.Answer{listed("WRITER")}, map[string][]string{}},
		{"limited, cannot be told", anvil.AppLimited, []anvil.Answer{listed("NO ACCESS"), acl(500)}, map[string][]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observe(t, append(c.answers, noGroups())...)
			r := anvil.Audit(oneWorkspace(c.declared), o, anvil.Options{})
			require.Equal(t, c.want, r.Workspaces.Beyond)
			require.Empty(t, r.Workspaces.Errors)
			require.Empty(t, r.Workspaces.NotInApp)
			require.Equal(t, len(c.want) == 0 && len(r.Workspaces.Unknown) == 0, r.Workspaces.OK())
			for _, d := range r.Workspaces.Discrepancies {
				require.True(t, d.Beyond)
			}
			peer := anvil.Audit(oneWorkspace(c.declared), o, anvil.Options{Compat: true})
			require.Empty(t, peer.Workspaces.Discrepancies)
			require.Nil(t, peer.Workspaces.Beyond)
		})
	}
}

func TestAccountsThatNobodyCanUseAreQuestioned(t *testing.T) {
	for body, want := range map[string][]string{
		`{"userSubjectId":"1","userEmail":"a@example.com","googleSubjectId":"2"}`:                 nil,
		`{"userSubjectId":"1","userEmail":"a@example.com"}`:                                       {anvil.ErrNeverRegistered},
		`{"userSubjectId":"1","userEmail":"a@example.com","googleSubjectId":"2","enabled":false}`: {anvil.ErrDisabled},
		`{"userSubjectId":"1","userEmail":"a@example.com","googleSubjectId":"2","enabled":true}`:  nil,
	} {
		d := anvil.Declared{ServiceAccount: "app@example.com", Accounts: []anvil.Account{{Email: "a@example.com", Status: anvil.StatusActive}}}
		d.Normalise()
		o := observe(t, sam("/api/users/v1/a@example.com", 200, body))
		r := anvil.Audit(d, o, anvil.Options{Models: []anvil.Model{anvil.ModelAccounts}})
		require.Equal(t, want, r.Accounts.Beyond["a@example.com"], body)
		require.Equal(t, want == nil, r.OK(), body)
		peer := anvil.Audit(d, o, anvil.Options{Compat: true, Models: []anvil.Model{anvil.ModelAccounts}})
		require.Equal(t, []string{"a@example.com"}, peer.Accounts.Verified)
	}
}

func TestAPendingInvitationIsQuestionedAndSummedUp(t *testing.T) {
	d := oneWorkspace(anvil.AppOwner)
	d.ManagedGroups = []anvil.ManagedGroup{{Name: "readers", Email: "readers@firecloud.org"}}
	d.WorkspaceGroupSharing = []anvil.Sharing{{Workspace: "bp/ws", Group: "readers", Access: anvil.AccessReader}}
	o := observe(t, noGroups(), sam("/api/groups/v1/readers", 200, `"readers@firecloud.org"`), listed("OWNER"),
		rawls("/api/workspaces/bp/ws/acl", 200, `{"acl":{"readers@firecloud.org":{"accessLevel":"READER","pending":true,"canShare":false,"canCompute":false}}}`),
		rawls("/api/workspaces/v2/bp/ws/settings", 200, `[]`))
	r := anvil.Audit(d, o, anvil.Options{})
	require.Equal(t, map[string][]string{"READER: readers@firecloud.org": {anvil.ErrPending}}, r.Sharing["bp/ws"].Beyond)
	require.Equal(t, map[string][]string{"bp/ws": {anvil.ErrWorkspaceSharing}}, r.Workspaces.Beyond)
	require.Equal(t, []string{"bp/ws"}, anvil.Audit(d, o, anvil.Options{Compat: true}).Workspaces.Verified)
}

func TestASwappedRoleIsOneDiscrepancyAndStaysTwoResults(t *testing.T) {
	for _, c := range []struct {
		name, members, admins, record, observed string
		declared                                anvil.Role
		severity                                anvil.Severity
	}{
		{"admin instead of member", `[]`, `["app@example.com","A@example.com"]`, "MEMBER: a@example.com", "ADMIN", anvil.RoleMember, anvil.SeverityHigh},
		{"member instead of admin", `["a@example.com"]`, appIn, "ADMIN: a@example.com", "MEMBER", anvil.RoleAdmin, anvil.SeverityMedium},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := readers()
			d.GroupAccountMemberships[0].Role = c.declared
			o := observe(t, sam("/api/groups/v1", 200, ourGroup), sam("/api/groups/v1/readers/member", 200, c.members), sam("/api/groups/v1/readers/admin", 200, c.admins))
			sub := anvil.Audit(d, o, anvil.Options{}).Memberships["readers"]
			require.Len(t, sub.Discrepancies, 1)
			got := sub.Discrepancies[0]
			require.Equal(t, c.record, got.Record)
			require.Equal(t, c.observed, got.Observed)
			require.True(t, got.RoleSwap)
			peer := anvil.Audit(d, o, anvil.Options{Compat: true}).Memberships["readers"]
			require.Equal(t, peer.Errors, sub.Errors)
			require.Equal(t, peer.NotInApp, sub.NotInApp)
			require.Len(t, peer.Discrepancies, 2)

			w := newWorld(t)
			w.declare(d)
			w.sweep(o)
			for _, f := range w.state.OpenFindings() {
				if f.Model == anvil.ModelMemberships {
					require.Equal(t, c.severity, f.Severity)
				}
			}
		})
	}
}

func TestIgnoreRowsHoldForTheirRoleTheirTimeAndTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name    string
		row     anvil.IgnoredMembership
		ignored []string
		peer    []string
	}{
		{"any role", anvil.IgnoredMembership{Group: "readers"}, []string{"MEMBER: x@example.com"}, []string{"MEMBER: x@example.com"}},
		{"its role", anvil.IgnoredMembership{Group: "readers", Role: anvil.RoleMember}, []string{"MEMBER: x@example.com"}, []string{"MEMBER: x@example.com"}},
		{"another role", anvil.IgnoredMembership{Group: "readers", Role: anvil.RoleAdmin}, nil, []string{"MEMBER: x@example.com"}},
		{"not over yet", anvil.IgnoredMembership{Group: "readers", ExpiresAt: noon.Add(time.Second)}, []string{"MEMBER: x@example.com"}, []string{"MEMBER: x@example.com"}},
		{"over", anvil.IgnoredMembership{Group: "readers", ExpiresAt: noon}, nil, []string{"MEMBER: x@example.com"}},
		{"in every group", anvil.IgnoredMembership{Group: anvil.Anywhere}, []string{"MEMBER: x@example.com"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := readers()
			c.row.Email, c.row.Note = "x@example.com", "a robot"
			d.IgnoredGroupMemberships = []anvil.IgnoredMembership{c.row}
			require.NoError(t, d.Validate(anvil.Strict))
			o := oneGroup(t, `["a@example.com","X@example.com"]`)
			for _, mode := range []struct {
				compat bool
				want   []string
			}{{false, c.ignored}, {true, c.peer}} {
				sub := anvil.Audit(d, o, anvil.Options{At: noon, Compat: mode.compat}).Memberships["readers"]
				require.Equal(t, mode.want, sub.Ignored, "compat %v", mode.compat)
				require.Equal(t, mode.want == nil, len(sub.NotInApp) == 1)
			}
		})
	}
}

func TestIgnoredSharingHoldsForItsLevelItsTimeAndItsPlace(t *testing.T) {
	o := observe(t, noGroups(), listed("OWNER"), rawls("/api/workspaces/v2/bp/ws/settings", 200, `[]`),
		rawls("/api/workspaces/bp/ws/acl", 200, `{"acl":{"X@example.com":{"accessLevel":"OWNER","pending":false,"canShare":true,"canCompute":true}}}`))
	for _, c := range []struct {
		row    anvil.IgnoredSharing
		covers bool
	}{
		{anvil.IgnoredSharing{Workspace: "bp/ws"}, true},
		{anvil.IgnoredSharing{Workspace: "bp/ws", Access: anvil.AccessOwner}, true},
		{anvil.IgnoredSharing{Workspace: "bp/ws", Access: anvil.AccessReader}, false},
		{anvil.IgnoredSharing{Workspace: "bp/ws", ExpiresAt: noon}, false},
		{anvil.IgnoredSharing{Workspace: anvil.Anywhere, ExpiresAt: noon.Add(time.Hour)}, true},
	} {
		d := oneWorkspace(anvil.AppOwner)
		c.row.Email, c.row.Note = "x@example.com", "a robot"
		d.IgnoredWorkspaceSharing = []anvil.IgnoredSharing{c.row}
		require.NoError(t, d.Validate(anvil.Literal))
		sub := anvil.Audit(d, o, anvil.Options{At: noon}).Sharing["bp/ws"]
		require.Equal(t, c.covers, sub.OK(), "%+v", c.row)
		require.Equal(t, c.covers, len(sub.Ignored) == 1, "%+v", c.row)
	}
}

func TestAnIgnoreRowThatEndsOpensTheFindingWithTheNextAudit(t *testing.T) {
	w := newWorld(t)
	d := readers()
	d.IgnoredGroupMemberships = []anvil.IgnoredMembership{{Group: "readers", Email: "x@example.com", Note: "until then", ExpiresAt: noon.Add(time.Minute)}}
	d.Normalise()
	w.declare(d)
	require.Empty(t, w.sweep(oneGroup(t, `["a@example.com","x@example.com"]`)))
	w.now = noon.Add(time.Hour)
	require.Equal(t, []string{"opened readers: Group membership does not match in AnVIL", "opened MEMBER: x@example.com: not_in_app"},
		kinds(w.sweep(oneGroup(t, `["a@example.com","x@example.com"]`))))
}

func TestARoleBesideOneThatCannotBeReadIsNoFindingYet(t *testing.T) {
	w := newWorld(t)
	w.declare(readers())
	admins := sam("/api/groups/v1/readers/admin", 200, `["app@example.com","a@example.com"]`)
	opened := kinds(w.sweep(observe(t, sam("/api/groups/v1", 200, ourGroup), admins, sam("/api/groups/v1/readers/member", 200, `[]`))))
	require.Contains(t, opened, "opened MEMBER: a@example.com: "+anvil.ErrAccountMemberMissing)
	require.Len(t, opened, 2, "the finding and its sum")
	require.Empty(t, w.sweep(observe(t, sam("/api/groups/v1", 200, ourGroup), admins, sam("/api/groups/v1/readers/member", 503, ``))))
	r := w.state.Audit(anvil.Options{}).Memberships["readers"]
	require.Equal(t, "status 503", r.Unknown["ADMIN: a@example.com"])
	require.Empty(t, r.NotInApp)
}
