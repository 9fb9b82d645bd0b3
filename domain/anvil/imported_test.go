package anvil_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
)

// terra answers the questions of an import from a list; what is not in it gets
// no answer.
type terra map[string]anvil.Answer

func worldOf(answers ...anvil.Answer) terra {
	w := terra{}
	for _, a := range answers {
		w[a.Service+a.Path] = a
	}
	return w
}

// survey asks until nothing follows any more, as the importer does.
func (w terra) survey(t require.TestingT, im anvil.Import, current anvil.Declared) *anvil.Observed {
	o := anvil.NewObserved()
	asked := map[anvil.RecordKey]bool{}
	for questions := im.Requests(current, o); len(questions) > 0; questions = im.Requests(current, o) {
		for _, q := range questions {
			require.False(t, asked[q.Record], "%s is asked twice", q.Record)
			asked[q.Record] = true
			if a, ok := w[q.Service+q.Path()]; ok {
				o.Record(q.Record, a.Status, a.Body)
			} else {
				o.Fail(q.Record, 0, "no answer: time-out")
			}
		}
	}
	return o
}

func (w terra) imports(t require.TestingT, im anvil.Import, current anvil.Declared) (anvil.Declared, []anvil.LeftOut) {
	next, leftOut, err := im.Apply(current, w.survey(t, im, current))
	require.NoError(t, err)
	require.NoError(t, next.Validate(anvil.Strict))
	return next, leftOut
}

func samSays(path string, status int, body string) anvil.Answer {
	return anvil.Answer{Service: "sam", Method: "GET", Path: "/api/" + path, Status: status, Body: json.RawMessage(body)}
}

func rawlsSays(path string, status int, body string) anvil.Answer {
	a := samSays(path, status, body)
	a.Service = "rawls"
	return a
}

// groupRows is Sam's list, from texts like "name:address:role".
func groupRows(rows ...string) anvil.Answer {
	list := make([]map[string]string, len(rows))
	for i, row := range rows {
		part := strings.Split(row, ":")
		list[i] = map[string]string{"groupName": part[0], "groupEmail": part[1], "role": part[2]}
	}
	body, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return samSays("groups/v1", 200, string(body))
}

// spaceRows is Rawls' list, from texts like "project/name:LEVEL:domain,domain".
func spaceRows(rows ...string) anvil.Answer {
	var list []string
	for _, row := range rows {
		part := strings.Split(row, ":")
		project, name, _ := strings.Cut(part[0], "/")
		var domains []string
		for domain := range strings.SplitSeq(part[2], ",") {
			if domain != "" {
				domains = append(domains, fmt.Sprintf(`{"membersGroupName": %q}`, domain))
			}
		}
		list = append(list, fmt.Sprintf(`{"accessLevel": %q, "workspace": {"namespace": %q, "name": %q, "isLocked": true, "authorizationDomain": [%s]}}`,
			part[1], project, name, strings.Join(domains, ",")))
	}
	return rawlsSays("workspaces", 200, "["+strings.Join(list, ",")+"]")
}

// emptyWorld are the lists of an AnVIL that has nothing, and what a workspace bp/ws
// answers that is shared with nobody.
func emptyWorld() []anvil.Answer {
	return []anvil.Answer{
		groupRows(), spaceRows(), rawlsSays("billing/v2/bp", 200, `{"projectName": "bp"}`),
		rawlsSays("workspaces/bp/ws/acl", 200, `{"acl": {}}`), rawlsSays("workspaces/v2/bp/ws/settings", 200, `[]`),
		samSays("groups/v1/g/member", 200, `[]`), samSays("groups/v1/g/admin", 200, `["app@example.com"]`),
	}
}

// entries are an access list, from texts like "address:LEVEL" or
// "address:LEVEL:compute".
func entries(list ...string) anvil.Answer {
	all := map[string]any{"APP@example.com": map[string]any{"accessLevel": "OWNER", "canShare": true, "canCompute": true}}
	for _, e := range list {
		part := strings.Split(e, ":")
		all[part[0]] = map[string]any{"accessLevel": part[1], "canCompute": len(part) > 2, "canShare": part[1] == "OWNER"}
	}
	body, err := json.Marshal(map[string]any{"acl": all})
	if err != nil {
		panic(err)
	}
	return rawlsSays("workspaces/bp/ws/acl", 200, string(body))
}

func TestAnImportKeepsThePeersRulesAndGuessesNothing(t *testing.T) {
	group := func(name, email string, managed bool) anvil.ManagedGroup {
		return anvil.ManagedGroup{Name: name, Email: email, IsManagedByApp: managed}
	}
	owned := anvil.Workspace{BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{}, IsLocked: true, AppAccess: anvil.AppOwner}
	inBP := []anvil.BillingProject{{Name: "bp", HasAppAsUser: true}}
	active := func(email string) anvil.Account { return anvil.Account{Email: email, Status: anvil.StatusActive} }
	g := group("g", "g@firecloud.org", true)
	for name, f := range map[string]struct {
		current  anvil.Declared
		accounts bool
		answers  []anvil.Answer
		want     anvil.Declared
		// leftOut are "kind name: part of the cause".
		leftOut []string
	}{
		"groups: address in lower case, managed by any row of an admin in any case": {
			answers: []anvil.Answer{
				groupRows("G:G@Firecloud.org:member", "G:G@Firecloud.org:ADMIN", "h:H@firecloud.org:Member"),
				samSays("groups/v1/G/member", 200, `[]`), samSays("groups/v1/G/admin", 200, `[]`),
			},
			want: anvil.Declared{ManagedGroups: []anvil.ManagedGroup{group("G", "g@firecloud.org", true), group("h", "h@firecloud.org", false)}},
		},
		"groups: what the peer would refuse": {
			answers: []anvil.Answer{groupRows("a b:ab@firecloud.org:admin", strings.Repeat("x", 61)+":x@firecloud.org:admin", "n:none:member", "o:same@firecloud.org:member", "p:same@firecloud.org:member")},
			want:    anvil.Declared{ManagedGroups: []anvil.ManagedGroup{group("o", "same@firecloud.org", false)}},
			leftOut: []string{"group a b: only letters", "group n: no e-mail address", `group p: that of group "o"`, "group xxx: has 61 characters, at most 60"},
		},
		"groups: a declared one is updated, its spelling of the address stays": {
			current: anvil.Declared{ManagedGroups: []anvil.ManagedGroup{group("far", "far@firecloud.org", true), group("g", "G@firecloud.org", false), group("h", "old@firecloud.org", false)}},
			answers: []anvil.Answer{groupRows("g:g@firecloud.org:admin", "h:new@firecloud.org:member")},
			want:    anvil.Declared{ManagedGroups: []anvil.ManagedGroup{group("far", "far@firecloud.org", true), group("g", "G@firecloud.org", true), group("h", "new@firecloud.org", false)}},
		},
		"memberships: of known accounts and groups, an admin who is a member is an admin, the service account is left out": {
			current: anvil.Declared{Accounts: []anvil.Account{active("ann@example.com"), active("bob@example.com")}},
			answers: []anvil.Answer{
				groupRows("g:g@firecloud.org:admin", "sub:Sub@firecloud.org:member"),
				samSays("groups/v1/g/member", 200, `["Ann@example.com", "BOB@example.com", "sub@Firecloud.org", "App@Example.com"]`),
				samSays("groups/v1/g/admin", 200, `["app@example.com", "ann@Example.com"]`),
			},
			want: anvil.Declared{
				Accounts: []anvil.Account{active("ann@example.com"), active("bob@example.com")}, ManagedGroups: []anvil.ManagedGroup{g, group("sub", "sub@firecloud.org", false)},
				GroupAccountMemberships: []anvil.AccountMembership{{Group: "g", Account: "ann@example.com", Role: anvil.RoleAdmin}, {Group: "g", Account: "bob@example.com", Role: anvil.RoleMember}},
				GroupGroupMemberships:   []anvil.GroupMembership{{Parent: "g", Child: "sub", Role: anvil.RoleMember}},
			},
		},
		"memberships: what is not known, inactive, ignored or a circle": {
			current: anvil.Declared{
				Accounts: []anvil.Account{{Email: "off@example.com", Status: anvil.StatusInactive}}, ManagedGroups: []anvil.ManagedGroup{g},
				IgnoredGroupMemberships: []anvil.IgnoredMembership{{Group: "g", Email: "robot@example.com", Note: "known"}},
			},
			answers: []anvil.Answer{groupRows("g:g@firecloud.org:admin"), samSays("groups/v1/g/member", 200, `["new@example.com", "off@example.com", "robot@example.com", "G@firecloud.org"]`)},
			want: anvil.Declared{
				Accounts: []anvil.Account{{Email: "off@example.com", Status: anvil.StatusInactive}}, ManagedGroups: []anvil.ManagedGroup{g},
				IgnoredGroupMemberships: []anvil.IgnoredMembership{{Group: "g", Email: "robot@example.com", Note: "known"}},
			},
			leftOut: []string{"account_membership g/new@example.com: neither a declared account nor a known group", "account_membership g/off@example.com: declared inactive", "group_membership g/g: circle"},
		},
		"memberships: a list that cannot be read says nothing of either role": {
			current: anvil.Declared{Accounts: []anvil.Account{active("ann@example.com")}},
			answers: []anvil.Answer{groupRows("g:g@firecloud.org:admin"), samSays("groups/v1/g/member", 200, `["ann@example.com"]`), samSays("groups/v1/g/admin", 403, `{"message": "no"}`)},
			want:    anvil.Declared{Accounts: []anvil.Account{active("ann@example.com")}, ManagedGroups: []anvil.ManagedGroup{g}},
			leftOut: []string{"group_admins g: status 403: no"},
		},
		"accounts: those that Sam knows": {
			accounts: true,
			answers: []anvil.Answer{
				groupRows("g:g@firecloud.org:admin"),
				samSays("groups/v1/g/member", 200, `["Ann@example.com", "bot@x.iam.gserviceaccount.com", "team@firecloud.org", "gone@example.com", "odd@example.com", "no address"]`),
				samSays("users/v1/ann@example.com", 200, `{"userSubjectId": "1", "userEmail": "Ann@example.com"}`), samSays("users/v1/bot@x.iam.gserviceaccount.com", 200, `{"userSubjectId": "2"}`),
				samSays("users/v1/team@firecloud.org", 204, ``), samSays("users/v1/gone@example.com", 404, ``), samSays("users/v1/odd@example.com", 200, `<html>`),
			},
			want: anvil.Declared{
				Accounts:      []anvil.Account{active("ann@example.com"), {Email: "bot@x.iam.gserviceaccount.com", IsServiceAccount: true, Status: anvil.StatusActive}},
				ManagedGroups: []anvil.ManagedGroup{g},
				GroupAccountMemberships: []anvil.AccountMembership{
					{Group: "g", Account: "ann@example.com", Role: anvil.RoleMember}, {Group: "g", Account: "bot@x.iam.gserviceaccount.com", Role: anvil.RoleMember},
				},
			},
			leftOut: []string{
				"account_membership g/gone@example.com: knows no account", "account_membership g/no address: no e-mail address",
				"account_membership g/odd@example.com: malformed answer", "account_membership g/team@firecloud.org: that of a group",
			},
		},
		"workspaces: the owner's, with lock, payer and billing project": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:"), rawlsSays("workspaces/v2/bp/ws/settings", 200, `[{"settingType": "GcpBucketRequesterPays", "config": {"enabled": true}}]`)},
			want: anvil.Declared{BillingProjects: inBP, Workspaces: []anvil.Workspace{{
				BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{}, IsLocked: true, IsRequesterPays: true, AppAccess: anvil.AppOwner,
			}}},
		},
		"workspaces: no access and a readable access list is an owner; a billing project that Rawls does not show": {
			answers: []anvil.Answer{spaceRows("bp/ws:NO ACCESS:"), rawlsSays("billing/v2/bp", 404, ``)},
			want:    anvil.Declared{BillingProjects: []anvil.BillingProject{{Name: "bp"}}, Workspaces: []anvil.Workspace{owned}},
		},
		"workspaces: those that are not owned or cannot be told": {
			answers: []anvil.Answer{
				spaceRows("bp/a:READER:", "bp/b:WRITER:", "bp/c:PROJECT_OWNER:", "bp/d:NO ACCESS:", "bp/e:NO ACCESS:", "bp/f g:OWNER:", "b p/h:OWNER:"),
				rawlsSays("workspaces/bp/d/acl", 403, ``), rawlsSays("workspaces/bp/e/acl", 500, ``),
			},
			leftOut: []string{
				"workspace b p/h: billing project", "workspace bp/a: READER there", "workspace bp/b: WRITER there", "workspace bp/c: PROJECT_OWNER there",
				"workspace bp/d: no owner", "workspace bp/e: status 500", "workspace bp/f g: only letters",
			},
		},
		"workspaces: who pays is not known": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:"), rawlsSays("workspaces/v2/bp/ws/settings", 404, `{"message": "away"}`)},
			leftOut: []string{"workspace bp/ws: who pays: status 404: away"},
		},
		"workspaces: the billing project is not known": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:"), rawlsSays("billing/v2/bp", 500, ``)},
			leftOut: []string{`workspace bp/ws: "bp" could not be read: status 500`},
		},
		"workspaces: a declared billing project is not asked for and stays": {
			current: anvil.Declared{BillingProjects: []anvil.BillingProject{{Name: "bp"}}},
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:")},
			want:    anvil.Declared{BillingProjects: []anvil.BillingProject{{Name: "bp"}}, Workspaces: []anvil.Workspace{owned}},
		},
		"workspaces: a declared one is updated": {
			current: anvil.Declared{BillingProjects: inBP, Workspaces: []anvil.Workspace{{BillingProject: "bp", Name: "ws", IsRequesterPays: true, AppAccess: anvil.AppLimited}}},
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:")},
			want:    anvil.Declared{BillingProjects: inBP, Workspaces: []anvil.Workspace{owned}},
		},
		"domains: a missing group is looked up and keeps the spelling of its address": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:Dom"), samSays("groups/v1/Dom", 200, `"Dom@firecloud.org"`)},
			want: anvil.Declared{BillingProjects: inBP, ManagedGroups: []anvil.ManagedGroup{group("Dom", "Dom@firecloud.org", false)}, Workspaces: []anvil.Workspace{
				{BillingProject: "bp", Name: "ws", AuthorizationDomains: []string{"Dom"}, IsLocked: true, AppAccess: anvil.AppOwner},
			}},
		},
		"domains: a group that is not there or cannot be read": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:gone"), samSays("groups/v1/gone", 404, ``)},
			leftOut: []string{`workspace bp/ws: group "gone" of its authorization domain does not exist`},
		},
		"domains: without the list of groups nothing is known of a group": {
			answers: []anvil.Answer{samSays("groups/v1", 500, ``), spaceRows("bp/ws:OWNER:dom"), samSays("groups/v1/dom", 200, `"dom@firecloud.org"`)},
			leftOut: []string{"group_list : status 500", "workspace bp/ws: the list of groups could not be read"},
		},
		"sharing: with known groups by their names at firecloud.org, at levels that can be declared": {
			current: anvil.Declared{ManagedGroups: []anvil.ManagedGroup{
				group("Alien", "alien@example.com", false), group("G", "g@firecloud.org", false), group("h", "H@firecloud.org", false),
				group("k", "k@firecloud.org", false), group("other", "name@firecloud.org", false), group("q", "q@firecloud.org", false),
			}, IgnoredWorkspaceSharing: []anvil.IgnoredSharing{}},
			answers: []anvil.Answer{
				spaceRows("bp/ws:OWNER:"),
				entries("G@firecloud.org:WRITER:compute", "h@Firecloud.org:OWNER:compute", "k@firecloud.org:READER:compute", "q@firecloud.org:PROJECT_OWNER:compute",
					"alien@example.com:READER", "name@firecloud.org:READER", "none@firecloud.org:READER", "ann@example.com:READER"),
			},
			want: anvil.Declared{
				BillingProjects: inBP, ManagedGroups: []anvil.ManagedGroup{
					group("Alien", "alien@example.com", false), group("G", "g@firecloud.org", false), group("h", "H@firecloud.org", false),
					group("k", "k@firecloud.org", false), group("other", "name@firecloud.org", false), group("q", "q@firecloud.org", false),
				},
				Workspaces: []anvil.Workspace{owned}, WorkspaceGroupSharing: []anvil.Sharing{
					{Workspace: "bp/ws", Group: "G", Access: anvil.AccessWriter, CanCompute: true}, {Workspace: "bp/ws", Group: "h", Access: anvil.AccessOwner, CanCompute: true},
				},
			},
			leftOut: []string{
				"sharing bp/ws/alien@example.com: not at firecloud.org", "sharing bp/ws/ann@example.com: only groups can be declared", "sharing bp/ws/k@firecloud.org: READER that can compute",
				"sharing bp/ws/name@firecloud.org: but not its name", "sharing bp/ws/none@firecloud.org: no known group", "sharing bp/ws/q@firecloud.org: PROJECT_OWNER is no level",
			},
		},
		"sharing: of an owned workspace whose access list cannot be read": {
			answers: []anvil.Answer{spaceRows("bp/ws:OWNER:"), rawlsSays("workspaces/bp/ws/acl", 500, ``)},
			want:    anvil.Declared{BillingProjects: inBP, Workspaces: []anvil.Workspace{owned}},
			leftOut: []string{"access_list bp/ws: status 500"},
		},
		"nothing is withdrawn": {
			current: anvil.Declared{
				BillingProjects: inBP, Accounts: []anvil.Account{active("ann@example.com")}, ManagedGroups: []anvil.ManagedGroup{g}, Workspaces: []anvil.Workspace{owned},
				GroupAccountMemberships: []anvil.AccountMembership{{Group: "g", Account: "ann@example.com", Role: anvil.RoleMember}},
				WorkspaceGroupSharing:   []anvil.Sharing{{Workspace: "bp/ws", Group: "g", Access: anvil.AccessReader}},
			},
			want: anvil.Declared{
				BillingProjects: inBP, Accounts: []anvil.Account{active("ann@example.com")}, ManagedGroups: []anvil.ManagedGroup{g}, Workspaces: []anvil.Workspace{owned},
				GroupAccountMemberships: []anvil.AccountMembership{{Group: "g", Account: "ann@example.com", Role: anvil.RoleMember}},
				WorkspaceGroupSharing:   []anvil.Sharing{{Workspace: "bp/ws", Group: "g", Access: anvil.AccessReader}},
			},
		},
		"the lists cannot be read": {
			answers: []anvil.Answer{samSays("groups/v1", 200, `<html>`), rawlsSays("workspaces", 401, `{"message": "who are you"}`)},
			leftOut: []string{"group_list : malformed answer", "workspace_list : status 401: who are you"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.current.ServiceAccount, f.want.ServiceAccount = "app@example.com", "app@example.com"
			f.current.Normalise()
			f.want.Normalise()
			before, err := json.Marshal(f.current)
			require.NoError(t, err)
			next, leftOut := worldOf(append(emptyWorld(), f.answers...)...).imports(t, anvil.Import{WithAccounts: f.accounts}, f.current)
			require.Equal(t, f.want, next)
			require.Len(t, leftOut, len(f.leftOut), "%+v", leftOut)
			for i, l := range leftOut {
				about, part, _ := strings.Cut(f.leftOut[i], ": ")
				require.True(t, strings.HasPrefix(string(l.Kind)+" "+l.Name, strings.TrimSuffix(about, " ")), "%+v is not %s", l, about)
				require.Contains(t, l.Cause, part)
			}
			after, err := json.Marshal(f.current)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after), "what is declared is not changed in place")
		})
	}
}

func TestAServiceAccountOfTheImportReplacesTheDeclaredOne(t *testing.T) {
	current := anvil.Declared{ServiceAccount: "old@example.com"}
	current.Normalise()
	next, _ := worldOf(emptyWorld()...).imports(t, anvil.Import{ServiceAccount: "new@example.com"}, current)
	require.Equal(t, "new@example.com", next.ServiceAccount)
}

// A consortium that is imported from an AnVIL that was just as somebody declared
// it agrees with it, and so does the same import once more.
func TestAnImportAgreesWithTheWorldThatItWasMadeFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDeclared(t, "world")
		w := worldOf(agreeing(d)...)
		current := anvil.Declared{ServiceAccount: d.ServiceAccount}
		if rapid.Bool().Draw(t, "some is declared already") {
			current = drawDeclared(t, "declared")
			current.ServiceAccount = d.ServiceAccount
		}
		current.Normalise()
		im := anvil.Import{WithAccounts: true}
		next, _ := w.imports(t, im, current)
		plan, err := anvil.Plan(current, next, anvil.Strict)
		require.NoError(t, err)
		for _, c := range plan {
			require.NotEqual(t, anvil.Withdrawn, c.Action)
		}
		again, _ := w.imports(t, im, next)
		require.Equal(t, next, again)
		if len(current.ManagedGroups)+len(current.Accounts)+len(current.BillingProjects) > 0 {
			return
		}
		answers, err := json.Marshal(agreeing(d))
		require.NoError(t, err)
		decoded, err := anvil.DecodeAnswers(bytes.NewReader(answers))
		require.NoError(t, err)
		o, err := anvil.ObserveAnswers(decoded)
		require.NoError(t, err)
		for _, x := range anvil.Audit(next, o, anvil.Options{}).Discrepancies() {
			// Addresses that are nobody's stay undeclared.
			require.Equal(t, anvil.NotInApp, x.Kind, "%+v", x)
		}
		require.True(t, slices.IsSortedFunc(next.Workspaces, func(a, b anvil.Workspace) int { return strings.Compare(a.Key(), b.Key()) }))
	})
}
