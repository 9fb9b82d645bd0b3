package anvil_test

import (
	"encoding/json"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
)

// drawDeclared draws a declaration that keeps every rule.
func drawDeclared(t *rapid.T, label string) anvil.Declared {
	draw := func(what string, most int) int { return rapid.IntRange(0, most).Draw(t, label+" "+what) }
	flip := func(what string) bool { return rapid.Bool().Draw(t, label+" "+what) }
	role := func() anvil.Role {
		return rapid.SampledFrom([]anvil.Role{anvil.RoleMember, anvil.RoleAdmin}).Draw(t, label+" role")
	}
	d := anvil.Declared{ServiceAccount: rapid.SampledFrom([]string{"App@example.com", "app2@example.com"}).Draw(t, label+" service account")}
	for i := range draw("billing projects", 3) {
		d.BillingProjects = append(d.BillingProjects, anvil.BillingProject{Name: fmt.Sprintf("bp-%d", i), HasAppAsUser: flip("user")})
	}
	for i := range draw("accounts", 4) {
		status := rapid.SampledFrom([]anvil.AccountStatus{anvil.StatusActive, anvil.StatusInactive}).Draw(t, label+" status")
		d.Accounts = append(d.Accounts, anvil.Account{Email: fmt.Sprintf("u%d@example.com", i), Status: status})
	}
	for i := range draw("groups", 5) {
		d.ManagedGroups = append(d.ManagedGroups, anvil.ManagedGroup{
			Name:  fmt.Sprintf("g%d", i),
			Email: fmt.Sprintf("G%d@firecloud.org", i), IsManagedByApp: flip("managed"),
		})
	}
	for i, g := range d.ManagedGroups {
		for _, child := range d.ManagedGroups[i+1:] {
			if flip("nested") {
				d.GroupGroupMemberships = append(d.GroupGroupMemberships, anvil.GroupMembership{Parent: g.Name, Child: child.Name, Role: role()})
			}
		}
		for _, a := range d.Accounts {
			if flip("member") {
				d.GroupAccountMemberships = append(d.GroupAccountMemberships, anvil.AccountMembership{Group: g.Name, Account: a.Email, Role: role()})
			}
		}
		if flip("ignored") {
			d.IgnoredGroupMemberships = append(d.IgnoredGroupMemberships, anvil.IgnoredMembership{Group: g.Name, Email: "known@example.com", Note: "robot"})
		}
	}
	for _, b := range d.BillingProjects {
		w := anvil.Workspace{
			BillingProject: b.Name, Name: "ws", IsLocked: flip("locked"), IsRequesterPays: flip("pays"),
			AppAccess: rapid.SampledFrom([]anvil.AppAccess{anvil.AppOwner, anvil.AppLimited, anvil.AppNoAccess}).Draw(t, label+" access"),
		}
		for _, g := range d.ManagedGroups {
			if flip("domain") {
				w.AuthorizationDomains = append(w.AuthorizationDomains, g.Name)
			}
			if access := rapid.SampledFrom([]anvil.Access{"", anvil.AccessReader, anvil.AccessWriter, anvil.AccessOwner}).Draw(t, label+" sharing"); access != "" {
				compute := access == anvil.AccessOwner || access == anvil.AccessWriter && flip("compute")
				d.WorkspaceGroupSharing = append(d.WorkspaceGroupSharing, anvil.Sharing{Workspace: w.Key(), Group: g.Name, Access: access, CanCompute: compute})
			}
		}
		d.Workspaces = append(d.Workspaces, w)
		d.IgnoredWorkspaceSharing = append(d.IgnoredWorkspaceSharing, anvil.IgnoredSharing{Workspace: w.Key(), Email: "known@example.com", Note: "robot"})
	}
	d.Normalise()
	return d
}

// agreeing are the answers of an AnVIL that is just as declared.
func agreeing(d anvil.Declared) []anvil.Answer {
	var answers []anvil.Answer
	add := func(service, path string, status int, body any) {
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		answers = append(answers, anvil.Answer{Service: service, Method: "GET", Path: path, Status: status, Body: data})
	}
	for _, b := range d.BillingProjects {
		add("rawls", "/api/billing/v2/"+b.Name, 200, map[string]any{"projectName": b.Name})
	}
	for _, a := range d.Accounts {
		add("sam", "/api/users/v1/"+a.Email, 200, map[string]string{"userEmail": a.Email, "googleSubjectId": "1"})
	}
	emails := map[string]string{}
	for _, g := range d.ManagedGroups {
		emails[g.Name] = g.Email
	}
	rows := []map[string]string{}
	for _, g := range d.ManagedGroups {
		lists := map[anvil.Role][]string{anvil.RoleAdmin: {d.ServiceAccount}, anvil.RoleMember: {}}
		for _, m := range d.GroupAccountMemberships {
			if m.Group == g.Name {
				lists[m.Role] = append(lists[m.Role], m.Account)
			}
		}
		for _, m := range d.GroupGroupMemberships {
			if m.Parent == g.Name {
				lists[m.Role] = append(lists[m.Role], emails[m.Child])
			}
		}
		role := "member"
		if g.IsManagedByApp {
			role = "admin"
		}
		rows = append(rows, map[string]string{"groupName": g.Name, "groupEmail": g.Email, "role": role})
		add("sam", "/api/groups/v1/"+g.Name+"/member", 200, lists[anvil.RoleMember])
		add("sam", "/api/groups/v1/"+g.Name+"/admin", 200, lists[anvil.RoleAdmin])
	}
	add("sam", "/api/groups/v1", 200, rows)
	levels := map[anvil.AppAccess]string{anvil.AppOwner: "OWNER", anvil.AppLimited: "READER", anvil.AppNoAccess: "NO ACCESS"}
	workspaces := []any{}
	for _, w := range d.Workspaces {
		domains := []map[string]string{}
		for _, name := range slices.Backward(w.AuthorizationDomains) {
			domains = append(domains, map[string]string{"membersGroupName": name})
		}
		workspaces = append(workspaces, map[string]any{"accessLevel": levels[w.AppAccess], "workspace": map[string]any{
			"namespace": w.BillingProject, "name": w.Name, "isLocked": w.IsLocked, "authorizationDomain": domains,
		}})
		entry := func(access anvil.Access, compute bool) map[string]any {
			return map[string]any{"accessLevel": access, "pending": false, "canCompute": compute, "canShare": access == anvil.AccessOwner}
		}
		acl := map[string]any{d.ServiceAccount: entry(anvil.AccessOwner, true)}
		for _, s := range d.WorkspaceGroupSharing {
			if s.Workspace == w.Key() {
				acl[emails[s.Group]] = entry(s.Access, s.CanCompute)
			}
		}
		if w.AppAccess == anvil.AppNoAccess {
			add("rawls", "/api/workspaces/"+w.Key()+"/acl", 404, nil)
		} else {
			add("rawls", "/api/workspaces/"+w.Key()+"/acl", 200, map[string]any{"acl": acl})
		}
		add("rawls", "/api/workspaces/v2/"+w.Key()+"/settings", 200,
			[]any{map[string]any{"settingType": "GcpBucketRequesterPays", "config": map[string]bool{"enabled": w.IsRequesterPays}}})
	}
	add("rawls", "/api/workspaces", 200, workspaces)
	return answers
}
