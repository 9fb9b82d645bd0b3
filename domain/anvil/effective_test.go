package anvil_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
)

const shared = "bp/ws"

// situation is what one consortium declares and what AnVIL answers about it.
type situation struct {
	t        *testing.T
	declared anvil.Declared
	answers  []anvil.Answer
}

// declaring starts a situation with a declaration in YAML. Its service account is
// app@example.com.
func declaring(t *testing.T, yaml string) *situation {
	t.Helper()
	d, err := anvil.DecodeDeclared(strings.NewReader("service_account: App@example.com\n" + yaml))
	require.NoError(t, err)
	return &situation{t: t, declared: d}
}

func (s *situation) answer(service, path string, status int, body any) *situation {
	data, err := json.Marshal(body)
	require.NoError(s.t, err)
	s.answers = append(s.answers, anvil.Answer{Service: service, Method: "GET", Path: path, Status: status, Body: data})
	return s
}

// listed has Sam list the service account's groups, as name:role.
func (s *situation) listed(groups ...string) *situation {
	rows := []map[string]string{}
	for _, g := range groups {
		name, role, _ := strings.Cut(g, ":")
		rows = append(rows, map[string]string{"groupName": name, "groupEmail": strings.ToUpper(name) + "@firecloud.org", "role": role})
	}
	return s.answer("sam", "/api/groups/v1", 200, rows)
}

// group has Sam list who is in a group; the service account is an admin.
func (s *situation) group(name string, members, admins []string) *situation {
	s.answer("sam", "/api/groups/v1/"+name+"/member", 200, append([]string{}, members...))
	return s.answer("sam", "/api/groups/v1/"+name+"/admin", 200, append([]string{"app@example.com"}, admins...))
}

// shares has Rawls list the workspace and its access list, as address:level,
// with an exclamation mark for invitations.
func (s *situation) shares(level string, domains []string, entries ...string) *situation {
	refs := []map[string]string{}
	for _, d := range domains {
		refs = append(refs, map[string]string{"membersGroupName": d})
	}
	s.answer("rawls", "/api/workspaces", 200, []any{map[string]any{
		"accessLevel": level, "workspace": map[string]any{"namespace": "bp", "name": "ws", "isLocked": false, "authorizationDomain": refs},
	}})
	acl := map[string]any{"app@example.com": map[string]any{"accessLevel": "OWNER", "canShare": true, "canCompute": true}}
	for _, e := range entries {
		e, pending := strings.CutSuffix(e, "!")
		address, level, _ := strings.Cut(e, ":")
		acl[address] = map[string]any{"accessLevel": level, "canShare": level == "OWNER", "canCompute": level != "READER", "pending": pending}
	}
	return s.answer("rawls", "/api/workspaces/bp/ws/acl", 200, map[string]any{"acl": acl})
}

func (s *situation) access() *anvil.EffectiveAccess {
	return anvil.NewEffectiveAccess(s.declared, observe(s.t, s.answers...))
}

// told words what a side says, a line for each address and opaque group; the
// service account is left out unless it is asked for.
func told(side *anvil.SideAccess, app bool) []string {
	lines := []string{}
	if side.Unknown != "" {
		lines = append(lines, "unknown: "+side.Unknown)
	}
	for _, a := range side.Addresses {
		if a.Address == "app@example.com" && !app {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s", a.Address, rights(a.Rights))
		if a.Admission != anvil.AdmissionIn {
			fmt.Fprintf(&b, " %s", a.Admission)
		}
		for _, d := range a.Lacks {
			b.WriteString(" -" + d)
		}
		for _, d := range a.Uncertain {
			b.WriteString(" ?" + d)
		}
		if a.Pending {
			b.WriteString(" pending")
		}
		for _, p := range a.Paths {
			b.WriteString(" | " + rights(p.Rights))
			for _, l := range p.Through {
				fmt.Fprintf(&b, " %s(%s)", l.Group, l.Role)
			}
		}
		lines = append(lines, b.String())
	}
	for _, o := range side.Opaque {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("opaque %s %s %s: %s", o.Group, rights(o.Rights), strings.Join(o.Domains, ","), o.Reason), " "))
	}
	return lines
}

func rights(r anvil.Rights) string {
	text := r.Level
	if r.CanShare {
		text += "+share"
	}
	if r.CanCompute {
		text += "+compute"
	}
	return text
}

// nested is a workspace that is shared with g1, in which g2 is, in which g3 is.
const nested = `
accounts: [{email: a@example.com}, {email: b@example.com}, {email: c@example.com, status: inactive}]
managed_groups: [{name: g1, email: G1@firecloud.org}, {name: g2, email: g2@firecloud.org}, {name: g3, email: g3@firecloud.org}, {name: dom, email: dom@firecloud.org}]
group_group_memberships: [{parent: g1, child: g2}, {parent: g2, child: g3, role: ADMIN}]
group_account_memberships: [{group: g3, account: a@example.com}, {group: g1, account: b@example.com, role: ADMIN}, {group: g1, account: c@example.com}, {group: dom, account: b@example.com, role: ADMIN}]
workspaces: [{billing_project: bp, name: ws, authorization_domains: [dom]}]
workspace_group_sharing: [{workspace: bp/ws, group: g1, access: WRITER, can_compute: true}, {workspace: bp/ws, group: g3}]
`

// one is a workspace that is shared with the one group g.
const one = `
accounts: [{email: a@example.com}]
managed_groups: [{name: g, email: g@firecloud.org}]
group_account_memberships: [{group: g, account: a@example.com}]
workspaces: [{billing_project: bp, name: ws}]
workspace_group_sharing: [{workspace: bp/ws, group: g}]
`

func TestDeclaredAccessFollowsNestedGroupsAndAuthorizationDomains(t *testing.T) {
	access := declaring(t, nested).access()
	w := access.Workspace(shared, anvil.SideDeclared)
	require.Nil(t, w.Observed)
	require.Equal(t, []string{
		"a@example.com WRITER+compute barred -dom | WRITER+compute g1(MEMBER) g2(ADMIN) g3(MEMBER) | READER g3(MEMBER)",
		"app@example.com OWNER+share+compute | OWNER+share+compute | WRITER+compute g1(ADMIN) | WRITER+compute g1(MEMBER) g2(ADMIN) | WRITER+compute g1(MEMBER) g2(ADMIN) g3(ADMIN) | READER g3(ADMIN)",
		"b@example.com WRITER+compute | WRITER+compute g1(ADMIN)",
		"c@example.com WRITER+compute barred -dom | WRITER+compute g1(MEMBER)",
	}, told(w.Declared, true))
	require.Equal(t, []string{"dom"}, w.Declared.AuthorizationDomains)
	marks := map[string][3]bool{}
	for _, c := range w.Addresses {
		require.Empty(t, c.Agreement, "one side has nothing to agree with")
		marks[c.Address] = [3]bool{c.IsApp, c.Known, c.Inactive}
	}
	require.Equal(t, map[string][3]bool{"a@example.com": {false, true, false}, "app@example.com": {true, false, false}, "b@example.com": {false, true, false}, "c@example.com": {false, true, true}}, marks)
}

func TestObservedAccess(t *testing.T) {
	f := func(name string, s *situation, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			require.Equal(t, want, told(s.access().Workspace(shared, anvil.SideObserved).Observed, false))
		})
	}
	all := []string{"g1:admin", "g2:admin", "g3:admin", "dom:admin"}
	f("nested three deep, past an authorization domain", declaring(t, nested).listed(all...).
		group("g1", []string{"G2@Firecloud.org"}, []string{"B@example.com"}).group("g2", nil, []string{"g3@firecloud.org"}).
		group("g3", []string{"a@example.com"}, nil).group("dom", []string{"g3@firecloud.org"}, nil).
		shares("OWNER", []string{"dom"}, "g1@firecloud.org:WRITER"),
		"a@example.com WRITER+compute | WRITER+compute g1(MEMBER) g2(ADMIN) g3(MEMBER)",
		"b@example.com WRITER+compute barred -dom | WRITER+compute g1(ADMIN)")
	f("two ways with two levels", declaring(t, nested).listed(all...).
		group("g1", []string{"a@example.com"}, nil).group("g2", []string{"a@example.com"}, []string{"a@example.com"}).group("g3", nil, nil).group("dom", nil, nil).
		shares("OWNER", nil, "g1@firecloud.org:READER", "g2@firecloud.org:WRITER", "A@example.com:READER"),
		"a@example.com WRITER+compute | WRITER+compute g2(ADMIN) | READER | READER g1(MEMBER)")
	f("groups that are in one another", declaring(t, nested).listed(all...).
		group("g1", []string{"g2@firecloud.org"}, nil).group("g2", []string{"g3@firecloud.org"}, nil).group("g3", []string{"g1@firecloud.org", "a@example.com"}, nil).group("dom", nil, nil).
		shares("OWNER", nil, "g1@firecloud.org:READER"),
		"a@example.com READER | READER g1(MEMBER) g2(MEMBER) g3(MEMBER)")
	f("every authorization domain counts", declaring(t, nested).listed(all...).
		group("g1", []string{"a@example.com"}, nil).group("g2", []string{"a@example.com"}, nil).group("g3", nil, nil).group("dom", nil, nil).
		shares("OWNER", []string{"g2", "g3", "dom"}, "g1@firecloud.org:READER"),
		"a@example.com READER barred -dom -g3 | READER g1(MEMBER)")
	f("an invitation", declaring(t, one).listed("g:admin").group("g", nil, nil).shares("OWNER", nil, "new@example.com:READER!"),
		"new@example.com READER pending | READER")
	f("who was invited and never signed in", declaring(t, one).listed("g:admin").group("g", []string{"a@example.com"}, nil).
		answer("sam", "/api/users/v1/a@example.com", 200, map[string]string{"userEmail": "a@example.com"}).shares("OWNER", nil, "g@firecloud.org:READER"),
		"a@example.com READER pending | READER g(MEMBER)")
	f("who is declared inactive is not asked for any more", declaring(t, strings.Replace(one, "a@example.com}", "a@example.com, status: inactive}", 1)).listed("g:admin").group("g", []string{"a@example.com"}, nil).
		answer("sam", "/api/users/v1/a@example.com", 200, map[string]string{"userEmail": "a@example.com"}).shares("OWNER", nil, "g@firecloud.org:READER"),
		"a@example.com READER | READER g(MEMBER)")
	f("levels that nobody knows are kept and come last", declaring(t, one).listed("g:admin").group("g", []string{"a@example.com"}, nil).
		shares("OWNER", nil, "a@example.com:ARCHIVIST", "g@firecloud.org:READER", "b@example.com:ARCHIVIST", "c@example.com:NO ACCESS"),
		"a@example.com READER+compute | READER g(MEMBER) | ARCHIVIST+compute",
		"b@example.com ARCHIVIST+compute | ARCHIVIST+compute")
	f("a group in which the service account is only a member", declaring(t, one).listed("g:member").shares("OWNER", nil, "g@firecloud.org:WRITER"),
		"opaque g WRITER+compute : the service account is no admin of it, so it cannot read who is in it")
	f("a group that the service account is not in", declaring(t, one).listed().shares("OWNER", []string{"g"}, "other@firecloud.org:WRITER", "a@example.com:READER"),
		"a@example.com READER unknown ?g | READER",
		"opaque g  g: the service account is not in it, so it cannot read who is",
		"opaque other WRITER+compute : the service account does not see this group")
	f("a group that nobody reads", declaring(t, one).listed("g:admin", "new:admin").group("g", []string{"NEW@firecloud.org"}, nil).shares("OWNER", nil, "g@firecloud.org:READER"),
		"opaque new READER : it is not declared as managed by the service account, so nobody reads who is in it")
	f("a list that could not be read", declaring(t, one).listed("g:admin").answer("sam", "/api/groups/v1/g/member", 200, []string{"a@example.com"}).
		answer("sam", "/api/groups/v1/g/admin", 500, map[string]string{"message": "oops"}).shares("OWNER", []string{"g"}, "g@firecloud.org:READER", "b@example.com:READER"),
		"a@example.com READER | READER g(MEMBER)",
		"b@example.com READER unknown ?g | READER",
		"opaque g READER g: its admins could not be read: status 500: oops")
	f("a group that Sam tells to be one", declaring(t, one).listed("g:admin").group("g", nil, nil).answer("sam", "/api/users/v1/team@elsewhere.org", 204, nil).
		shares("OWNER", nil, "Team@elsewhere.org:READER"),
		"opaque team@elsewhere.org READER : the service account does not see this group")
	f("an authorization domain with a group in it that nobody can read", declaring(t, nested).listed("g1:admin", "dom:admin", "g2:member").
		group("g1", []string{"a@example.com"}, nil).group("dom", []string{"g2@firecloud.org", "b@example.com"}, nil).
		shares("OWNER", []string{"dom"}, "g1@firecloud.org:READER", "b@example.com:READER"),
		"a@example.com READER unknown ?dom | READER g1(MEMBER)",
		"b@example.com READER | READER",
		"opaque g2  dom: the service account is no admin of it, so it cannot read who is in it")
	f("the list of groups is away", declaring(t, one).answer("sam", "/api/groups/v1", 503, nil).group("g", []string{"a@example.com"}, nil).shares("OWNER", nil, "g@firecloud.org:READER", "b@example.com:READER"),
		"b@example.com READER | READER",
		"opaque g READER : the list of the service account's groups could not be read: status 503")
	f("nothing was observed", declaring(t, one), "unknown: the list of workspaces: not observed")
	f("the workspace is not listed", declaring(t, one).answer("rawls", "/api/workspaces", 200, []any{}),
		"unknown: it is not in the list of workspaces: it does not exist, or the service account has no role in it")
	f("the service account is no owner any more", declaring(t, one).listed().shares("READER", nil, "a@example.com:READER"),
		"unknown: the access list is not asked for: the service account has access READER and only that of an OWNER is read")
	f("the workspace is not declared as owned", declaring(t, "workspaces: [{billing_project: bp, name: ws, app_access: LIMITED}]").listed().shares("OWNER", nil, "a@example.com:READER"),
		"unknown: the access list is not asked for: the workspace is not declared with app_access OWNER")
	f("the access list could not be read", declaring(t, one).listed().shares("OWNER", nil).answer("rawls", "/api/workspaces/bp/ws/acl", 403, nil),
		"unknown: the access list: status 403")
}

func TestTheServiceAccountIsSeenWithItsOwnGroups(t *testing.T) {
	s := declaring(t, "billing_projects: [{name: bp}]\n"+one).listed("g:member").shares("NO ACCESS", []string{"g", "dom"}, "g@firecloud.org:WRITER").
		answer("rawls", "/api/billing/v2/bp", 200, map[string]any{"projectName": "bp", "roles": []string{"Owner"}})
	side := s.access().Workspace(shared, anvil.SideObserved).Observed
	require.Equal(t, []string{
		"app@example.com PROJECT_OWNER+share+compute barred -dom | PROJECT_OWNER+share+compute | WRITER+compute g(MEMBER)",
		"opaque dom  dom: the service account is not in it, so it cannot read who is",
		"opaque g WRITER+compute g: the service account is no admin of it, so it cannot read who is in it",
	}, told(side, true))
	require.Equal(t, []string{"app@example.com"}, side.ProjectOwners)

	of := s.access().Of("App@Example.com", shared, anvil.SideObserved)
	require.Len(t, of.Addresses, 1)
	require.True(t, of.Addresses[0].IsApp)
	require.Empty(t, of.Observed.Opaque, "Sam lists all of its groups")
}

func TestAProjectOwnerIsKnownThoughTheAccessListIsNot(t *testing.T) {
	side := declaring(t, one).listed().shares("PROJECT_OWNER", nil).access().Workspace(shared, anvil.SideObserved).Observed
	require.NotEmpty(t, side.Unknown)
	require.Equal(t, []string{"app@example.com"}, side.ProjectOwners)
}

func TestTheTwoSidesAreCompared(t *testing.T) {
	f := func(name string, s *situation, want map[string]anvil.Agreement) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			got := map[string]anvil.Agreement{}
			for _, c := range s.access().Workspace(shared, anvil.SideDeclared, anvil.SideObserved).Addresses {
				got[c.Address] = c.Agreement
			}
			require.Equal(t, want, got)
		})
	}
	f("as declared", declaring(t, one).listed("g:admin").group("g", []string{"a@example.com"}, nil).shares("OWNER", nil, "g@firecloud.org:READER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.Agrees})
	f("one is missing, one is there without being declared", declaring(t, one).listed("g:admin").group("g", nil, nil).shares("OWNER", nil, "g@firecloud.org:READER", "b@example.com:READER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.DeclaredOnly, "b@example.com": anvil.ObservedOnly})
	f("another level", declaring(t, one).listed("g:admin").group("g", []string{"a@example.com"}, nil).shares("OWNER", nil, "g@firecloud.org:WRITER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.LevelDiffers})
	f("another permission", declaring(t, strings.Replace(one, "group: g}]\n", "group: g, access: WRITER}]\n", 1)).listed("g:admin").group("g", []string{"a@example.com"}, nil).shares("OWNER", nil, "g@firecloud.org:WRITER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.RightsDiffer})
	f("an authorization domain that is not declared", declaring(t, one).listed("g:admin").group("g", []string{"a@example.com"}, nil).shares("OWNER", []string{"g", "dom"}, "g@firecloud.org:READER"),
		map[string]anvil.Agreement{"app@example.com": anvil.AdmissionDiffers, "a@example.com": anvil.AgreementUnknown})
	f("who may be in a group that nobody can read", declaring(t, one).listed("g:member").shares("OWNER", nil, "g@firecloud.org:READER", "b@example.com:WRITER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.AgreementUnknown, "b@example.com": anvil.ObservedOnly})
	f("more than a group that nobody can read could give", declaring(t, strings.Replace(one, "group: g}]\n", "group: g, access: WRITER}]\n", 1)).listed("g:member").shares("OWNER", nil, "g@firecloud.org:READER"),
		map[string]anvil.Agreement{"app@example.com": anvil.Agrees, "a@example.com": anvil.DeclaredOnly})
	f("nothing was observed", declaring(t, one), map[string]anvil.Agreement{"app@example.com": anvil.AgreementUnknown, "a@example.com": anvil.AgreementUnknown})
	f("limited access of the service account that it surely has not", declaring(t, "workspaces: [{billing_project: bp, name: ws, app_access: LIMITED}]").listed().shares("NO ACCESS", nil).
		answer("rawls", "/api/workspaces/bp/ws/acl", 200, map[string]any{"acl": map[string]any{"other@firecloud.org": map[string]any{"accessLevel": "READER"}}}),
		map[string]anvil.Agreement{"app@example.com": anvil.DeclaredOnly})
	f("limited access of the service account", declaring(t, "workspaces: [{billing_project: bp, name: ws, app_access: LIMITED}]").listed().shares("NO ACCESS", nil),
		map[string]anvil.Agreement{"app@example.com": anvil.LevelDiffers})
}

func TestAWorkspaceThatNobodyDeclaresIsAbsentThere(t *testing.T) {
	s := declaring(t, "accounts: []").listed().shares("NO ACCESS", nil, "a@example.com:READER")
	require.Equal(t, []string{shared}, s.access().Workspaces())
	w := s.access().Workspace(shared, anvil.SideDeclared, anvil.SideObserved)
	require.True(t, w.Declared.Absent)
	require.Equal(t, anvil.ObservedOnly, w.Addresses[0].Agreement)
}

func TestCrosswiseNestedGroupsDoNotTakeForEver(t *testing.T) {
	var groups, memberships []string
	for i := range 30 {
		groups = append(groups, fmt.Sprintf("{name: g%d, email: g%d@firecloud.org}", i, i))
		for j := range i {
			memberships = append(memberships, fmt.Sprintf("{parent: g%d, child: g%d}", j, i))
		}
	}
	d := declaring(t, fmt.Sprintf("accounts: [{email: a@example.com}]\nmanaged_groups: [%s]\ngroup_group_memberships: [%s]\n"+
		"group_account_memberships: [{group: g29, account: a@example.com}]\nworkspaces: [{billing_project: bp, name: ws}]\nworkspace_group_sharing: [{workspace: bp/ws, group: g0}]\n",
		strings.Join(groups, ","), strings.Join(memberships, ",")))
	w := d.access().Of("a@example.com", shared, anvil.SideDeclared)
	require.Len(t, w.Addresses, 1)
	require.True(t, w.Declared.Addresses[0].MorePaths)
	require.Len(t, w.Declared.Addresses[0].Paths, 100)
}

// TestEffectiveAccessIsReachability holds drawn declarations, and an AnVIL that
// is just so, against a naive search forwards from the workspace.
func TestEffectiveAccessIsReachability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDeclared(t, "declared")
		for i := range d.ManagedGroups {
			d.ManagedGroups[i].IsManagedByApp = true
		}
		for i := range d.Workspaces {
			d.Workspaces[i].AppAccess = anvil.AppOwner
		}
		o, err := anvil.ObserveAnswers(agreeing(d))
		require.NoError(t, err)
		access := anvil.NewEffectiveAccess(d, o)
		everybody := map[string]bool{strings.ToLower(d.ServiceAccount): true}
		for _, a := range d.Accounts {
			everybody[a.Email] = true
		}
		for _, ws := range d.Workspaces {
			levels := reachable(d, ws)
			in := map[string]bool{}
			for address := range everybody {
				in[address] = true
				for _, domain := range ws.AuthorizationDomains {
					in[address] = in[address] && inGroup(d, domain)[address]
				}
			}
			w := access.Workspace(ws.Key(), anvil.SideDeclared, anvil.SideObserved)
			for _, side := range []*anvil.SideAccess{w.Declared, w.Observed} {
				got, admitted := map[string]string{}, map[string]bool{}
				for _, a := range side.Addresses {
					got[a.Address], admitted[a.Address] = a.Level, a.Admission == anvil.AdmissionIn
					require.Equal(t, in[a.Address], admitted[a.Address], a.Address)
					require.Equal(t, a.Level, a.Paths[0].Level, "the highest level has a path, and comes first")
				}
				require.Equal(t, levels, got)
				require.Empty(t, side.Opaque)
			}
			for _, c := range w.Addresses {
				require.Equal(t, anvil.Agrees, c.Agreement, c.Address)
				one := access.Of(strings.ToUpper(c.Address), ws.Key(), anvil.SideDeclared, anvil.SideObserved)
				require.Equal(t, []anvil.ComparedAccess{c}, one.Addresses)
			}
		}
	})
}

// TestObservedAccessIsReachabilityAlsoInCircles draws groups that are in one
// another in any way, and compares with what follows from going over all
// memberships until nothing changes.
func TestObservedAccessIsReachabilityAlsoInCircles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"g0", "g1", "g2", "g3", "g4"}
		people := []string{"a@example.com", "b@example.com", "c@example.com"}
		s := declaring(t, "managed_groups: [{name: g0, email: g0@firecloud.org}, {name: g1, email: g1@firecloud.org}, {name: g2, email: g2@firecloud.org}, "+
			"{name: g3, email: g3@firecloud.org}, {name: g4, email: g4@firecloud.org}]\nworkspaces: [{billing_project: bp, name: ws}]\n")
		var listed []string
		in := map[string]map[string]bool{}
		for _, g := range names {
			listed = append(listed, g+":admin")
			lists := [2][]string{}
			in[g] = map[string]bool{}
			for _, other := range append(append([]string{}, names...), people...) {
				switch where := rapid.IntRange(0, 5).Draw(rt, g+" has "+other); where {
				case 0, 1:
					in[g][other] = true
					if !strings.Contains(other, "@") {
						other += "@firecloud.org"
					}
					lists[where] = append(lists[where], other)
				}
			}
			s.group(g, lists[0], lists[1])
		}
		for changed := true; changed; {
			changed = false
			for _, g := range names {
				for _, child := range names {
					for member := range in[child] {
						if in[g][child] && !in[g][member] {
							in[g][member], changed = true, true
						}
					}
				}
			}
		}
		access := s.listed(listed...).shares("OWNER", []string{"g1", "g2"}, "g0@firecloud.org:READER", "g3@firecloud.org:WRITER").access()
		want := map[string]string{"app@example.com": "OWNER in"}
		for _, p := range people {
			admission := " barred"
			if in["g1"][p] && in["g2"][p] {
				admission = " in"
			}
			switch {
			case in["g3"][p]:
				want[p] = "WRITER" + admission
			case in["g0"][p]:
				want[p] = "READER" + admission
			}
		}
		got := map[string]string{}
		for _, a := range access.Workspace(shared, anvil.SideObserved).Observed.Addresses {
			got[a.Address] = a.Level + " " + string(a.Admission)
			if a.Address == "app@example.com" {
				continue // an admin of every group
			}
			for _, p := range a.Paths {
				for i, link := range p.Through {
					require.True(rt, in[link.Group][a.Address], "each group of a path has the address in it")
					if i > 0 {
						require.True(rt, in[p.Through[i-1].Group][link.Group], "each group of a path is in the one before")
					}
				}
			}
		}
		require.Equal(rt, want, got)
	})
}

// reachable is the oracle: the highest level of each address that can be reached
// from the workspace.
func reachable(d anvil.Declared, ws anvil.Workspace) map[string]string {
	levels := map[string]string{}
	order := []string{"READER", "WRITER", "OWNER"}
	give := func(address, level string) {
		if slices.Index(order, level) > slices.Index(order, levels[address]) {
			levels[address] = level
		}
	}
	for _, s := range d.WorkspaceGroupSharing {
		if s.Workspace == ws.Key() {
			for address := range inGroup(d, s.Group) {
				give(address, string(s.Access))
			}
		}
	}
	give(strings.ToLower(d.ServiceAccount), "OWNER")
	return levels
}

// inGroup is who is in a group, by going down from it.
func inGroup(d anvil.Declared, group string) map[string]bool {
	in := map[string]bool{strings.ToLower(d.ServiceAccount): true}
	for _, m := range d.GroupAccountMemberships {
		if m.Group == group {
			in[m.Account] = true
		}
	}
	for _, m := range d.GroupGroupMemberships {
		if m.Parent == group {
			maps.Copy(in, inGroup(d, m.Child))
		}
	}
	return in
}
