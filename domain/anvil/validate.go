package anvil

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Strictness says which of the peer's rules a declaration has to keep.
type Strictness int

const (
	// Literal holds a declaration only to what an audit needs: known values,
	// references that lead somewhere, one record a key. Rows that the peer would
	// refuse today, but that older versions of it stored, are accepted.
	Literal Strictness = iota
	// Strict holds a declaration to every rule that the peer has for new records.
	Strict
)

const (
	maxGroupName          = 60
	maxBillingProjectName = 64
	maxWorkspaceName      = 254
	maxProblems           = 20
)

var slug = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)

// Validate reports every rule that the declaration breaks, at most 20, joined
// into one error with [event.CodeInvalid]. The declaration must be normalised.
func (d Declared) Validate(s Strictness) error {
	v := validation{d: d, strict: s == Strict}
	v.serviceAccount()
	v.billingProjects()
	v.accounts()
	v.groups()
	v.accountMemberships()
	v.groupMemberships()
	v.workspaces()
	v.sharing()
	v.ignored()
	if len(v.problems) == 0 {
		return nil
	}
	return event.Errorf(event.CodeInvalid, "declaration: %w", joined(v.problems))
}

// joined is a list of problems as one error, with at most 20 of them.
func joined(problems []error) error {
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(slices.Clip(problems[:maxProblems]), fmt.Errorf("and %d more", more))
	}
	return errors.Join(problems...)
}

type validation struct {
	d        Declared
	strict   bool
	problems []error

	billing, account, group, workspace map[string]bool
}

func (v *validation) fail(list string, i int, format string, args ...any) {
	v.problems = append(v.problems, fmt.Errorf("%s[%d]: %s", list, i, fmt.Sprintf(format, args...)))
}

func (v *validation) serviceAccount() {
	if v.d.ServiceAccount == "" {
		v.problems = append(v.problems, errors.New("service_account is empty: name the address of the account that asks AnVIL, "+
			"it has to be left out of every comparison"))
	}
}

// name checks what must be a slug; the peer's lengths count for new records only.
func (v *validation) name(list string, i int, field, name string, longest int) {
	switch {
	case name == "":
		v.fail(list, i, "%s is empty: every record needs one", field)
	case strings.Contains(name, "/") || hasControl(name):
		v.fail(list, i, "%s %q holds a slash or a control character", field, name)
	case v.strict && !slug.MatchString(name):
		v.fail(list, i, "%s %q may hold only letters, digits, hyphens and underscores", field, name)
	case v.strict && len(name) > longest:
		v.fail(list, i, "%s %q has %d characters, at most %d are allowed", field, name, len(name), longest)
	}
}

func (v *validation) email(list string, i int, field, email string) {
	switch {
	case email == "":
		v.fail(list, i, "%s is empty: every record needs an address", field)
	case hasControl(email):
		v.fail(list, i, "%s %q holds a control character", field, email)
	case v.strict && (strings.Count(email, "@") != 1 || strings.HasPrefix(email, "@") || strings.HasSuffix(email, "@") ||
		strings.Contains(email, " ")):
		v.fail(list, i, "%s %q is no e-mail address", field, email)
	}
}

func (v *validation) unique(seen map[string]bool, list string, i int, what, key string) {
	if seen[key] {
		v.fail(list, i, "%s %q is declared twice: keep one", what, key)
	}
	seen[key] = true
}

func (v *validation) known(in map[string]bool, list string, i int, field, name, where string) {
	if !in[name] {
		v.fail(list, i, "%s %q is not declared in %s: declare it there or correct the spelling", field, name, where)
	}
}

func oneOf[T ~string](v *validation, list string, i int, field string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		v.fail(list, i, "%s is %q, must be one of %v", field, value, allowed)
	}
}

func (v *validation) billingProjects() {
	v.billing = map[string]bool{}
	for i, b := range v.d.BillingProjects {
		v.name("billing_projects", i, "name", b.Name, maxBillingProjectName)
		v.unique(v.billing, "billing_projects", i, "billing project", b.Name)
	}
}

func (v *validation) accounts() {
	v.account = map[string]bool{}
	for i, a := range v.d.Accounts {
		v.email("accounts", i, "email", a.Email)
		v.unique(v.account, "accounts", i, "account", a.Email)
		oneOf(v, "accounts", i, "status", a.Status, StatusActive, StatusInactive)
	}
}

func (v *validation) groups() {
	v.group = map[string]bool{}
	emails := map[string]bool{}
	for i, g := range v.d.ManagedGroups {
		v.name("managed_groups", i, "name", g.Name, maxGroupName)
		v.email("managed_groups", i, "email", g.Email)
		v.unique(v.group, "managed_groups", i, "group", g.Name)
		v.unique(emails, "managed_groups", i, "address", g.Email)
	}
}

func (v *validation) accountMemberships() {
	const list = "group_account_memberships"
	pairs := map[[2]string]bool{}
	for i, m := range v.d.GroupAccountMemberships {
		v.known(v.group, list, i, "group", m.Group, "managed_groups")
		v.known(v.account, list, i, "account", m.Account, "accounts")
		oneOf(v, list, i, "role", m.Role, RoleMember, RoleAdmin)
		if pairs[[2]string{m.Group, m.Account}] {
			v.fail(list, i, "account %q is declared twice in group %q: an account has one role in a group", m.Account, m.Group)
		}
		pairs[[2]string{m.Group, m.Account}] = true
	}
}

func (v *validation) groupMemberships() {
	const list = "group_group_memberships"
	pairs := map[[2]string]bool{}
	children := map[string][]string{}
	for i, m := range v.d.GroupGroupMemberships {
		v.known(v.group, list, i, "parent", m.Parent, "managed_groups")
		v.known(v.group, list, i, "child", m.Child, "managed_groups")
		oneOf(v, list, i, "role", m.Role, RoleMember, RoleAdmin)
		if pairs[[2]string{m.Parent, m.Child}] {
			v.fail(list, i, "group %q is declared twice in group %q: a group has one role in a group", m.Child, m.Parent)
		}
		pairs[[2]string{m.Parent, m.Child}] = true
		if !v.strict {
			continue
		}
		if m.Parent == m.Child {
			v.fail(list, i, "group %q cannot be a member of itself", m.Parent)
			continue
		}
		children[m.Parent] = append(children[m.Parent], m.Child)
	}
	if cycle := findCycle(v.d.ManagedGroups, children); cycle != nil {
		v.problems = append(v.problems, fmt.Errorf("%s: the groups %s contain one another in a circle: remove one of these memberships",
			list, strings.Join(cycle, " > ")))
	}
}

// findCycle is one circle of groups, its first name repeated at the end; nil if
// there is none. It walks depth first without recursion: chains may be long.
func findCycle(groups []ManagedGroup, children map[string][]string) []string {
	const (
		untouched = iota
		onPath
		done
	)
	state := map[string]int{}
	for _, g := range groups {
		if state[g.Name] != untouched {
			continue
		}
		path, next := []string{g.Name}, []int{0}
		state[g.Name] = onPath
		for len(path) > 0 {
			top := len(path) - 1
			name := path[top]
			if next[top] == len(children[name]) {
				state[name] = done
				path, next = path[:top], next[:top]
				continue
			}
			child := children[name][next[top]]
			next[top]++
			switch state[child] {
			case onPath:
				return append(slices.Clone(path[slices.Index(path, child):]), child)
			case untouched:
				state[child] = onPath
				path, next = append(path, child), append(next, 0)
			}
		}
	}
	return nil
}

func (v *validation) workspaces() {
	const list = "workspaces"
	v.workspace = map[string]bool{}
	for i, w := range v.d.Workspaces {
		v.name(list, i, "name", w.Name, maxWorkspaceName)
		v.known(v.billing, list, i, "billing_project", w.BillingProject, "billing_projects")
		v.unique(v.workspace, list, i, "workspace", w.Key())
		oneOf(v, list, i, "app_access", w.AppAccess, AppOwner, AppLimited, AppNoAccess)
		domains := map[string]bool{}
		for _, name := range w.AuthorizationDomains {
			v.known(v.group, list, i, "authorization domain", name, "managed_groups")
			v.unique(domains, list, i, "authorization domain", name)
		}
	}
}

func (v *validation) sharing() {
	const list = "workspace_group_sharing"
	pairs := map[[2]string]bool{}
	for i, s := range v.d.WorkspaceGroupSharing {
		v.known(v.workspace, list, i, "workspace", s.Workspace, "workspaces")
		v.known(v.group, list, i, "group", s.Group, "managed_groups")
		oneOf(v, list, i, "access", s.Access, AccessReader, AccessWriter, AccessOwner)
		if pairs[[2]string{s.Workspace, s.Group}] {
			v.fail(list, i, "workspace %q is shared with group %q twice: keep one row", s.Workspace, s.Group)
		}
		pairs[[2]string{s.Workspace, s.Group}] = true
		switch {
		case v.strict && s.Access == AccessReader && s.CanCompute:
			v.fail(list, i, "a READER cannot compute: set can_compute to false or access to WRITER")
		case v.strict && s.Access == AccessOwner && !s.CanCompute:
			v.fail(list, i, "an OWNER can always compute: set can_compute to true")
		}
	}
}

func (v *validation) ignored() {
	pairs := map[[2]string]bool{}
	for i, row := range v.d.IgnoredGroupMemberships {
		const list = "ignored_group_memberships"
		if row.Group != Anywhere {
			v.known(v.group, list, i, "group", row.Group, "managed_groups")
		}
		if row.Role != "" {
			oneOf(v, list, i, "role", row.Role, RoleMember, RoleAdmin)
		}
		v.ignoreRow(list, i, row.Email, row.Note)
		if pairs[[2]string{row.Group, row.Email}] {
			v.fail(list, i, "%q is ignored twice in group %q: keep one row", row.Email, row.Group)
		}
		pairs[[2]string{row.Group, row.Email}] = true
	}
	clear(pairs)
	for i, row := range v.d.IgnoredWorkspaceSharing {
		const list = "ignored_workspace_sharing"
		if row.Workspace != Anywhere {
			v.known(v.workspace, list, i, "workspace", row.Workspace, "workspaces")
		}
		if row.Access != "" {
			oneOf(v, list, i, "access", row.Access, AccessReader, AccessWriter, AccessOwner)
		}
		v.ignoreRow(list, i, row.Email, row.Note)
		if pairs[[2]string{row.Workspace, row.Email}] {
			v.fail(list, i, "%q is ignored twice in workspace %q: keep one row", row.Email, row.Workspace)
		}
		pairs[[2]string{row.Workspace, row.Email}] = true
	}
}

func (v *validation) ignoreRow(list string, i int, email, note string) {
	v.email(list, i, "email", email)
	if v.strict && note == "" {
		v.fail(list, i, "note is empty: say why %q is accepted", email)
	}
}
