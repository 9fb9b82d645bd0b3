package anvil

import (
	"maps"
	"slices"
	"strings"
)

// terraDomain is the domain of the addresses of AnVIL's own groups.
const terraDomain = "@firecloud.org"

// undeclaredMembers is why a declared group that others manage is opaque.
const undeclaredMembers = "it is not declared as managed by the service account, so the declaration does not say who else is in it"

// declaredSide is who is to come to which workspace.
type declaredSide struct {
	*nesting
	workspaces map[string]Workspace
	entries    map[string]map[node]entry
}

func newDeclaredSide(d Declared) *declaredSide {
	s := &declaredSide{nesting: newNesting(), workspaces: make(map[string]Workspace, len(d.Workspaces)), entries: map[string]map[node]entry{}}
	known := make(map[string]bool, len(d.ManagedGroups))
	for _, g := range d.ManagedGroups {
		known[g.Name] = true
		if g.IsManagedByApp {
			s.put(g.Name, addressNode(d.ServiceAccount), RoleAdmin)
		} else {
			s.opaque[g.Name] = undeclaredMembers
		}
	}
	for _, m := range d.GroupGroupMemberships {
		s.put(m.Parent, groupNode(m.Child), m.Role)
	}
	for _, m := range d.GroupAccountMemberships {
		s.put(m.Group, addressNode(m.Account), m.Role)
	}
	missing := func(name string) {
		if !known[name] {
			s.opaque[name] = "it is not declared"
		}
	}
	for _, w := range d.Workspaces {
		s.workspaces[w.Key()] = w
		s.entries[w.Key()] = map[node]entry{}
		for _, name := range w.AuthorizationDomains {
			missing(name)
		}
		// The service account's limited access is reader or writer; it is kept as
		// declared.
		switch w.AppAccess {
		case AppOwner:
			s.grant(w.Key(), addressNode(d.ServiceAccount), Rights{levelOwner, true, true})
		case AppLimited:
			s.grant(w.Key(), addressNode(d.ServiceAccount), Rights{Level: string(AppLimited)})
		case AppNoAccess:
		}
	}
	for _, row := range d.WorkspaceGroupSharing {
		missing(row.Group)
		owner := row.Access == AccessOwner
		// Rawls lets owners share and compute whatever was asked for.
		s.grant(row.Workspace, groupNode(row.Group), Rights{string(row.Access), owner, owner || row.CanCompute})
	}
	s.close()
	return s
}

func (s *declaredSide) grant(workspace string, to node, r Rights) {
	if entries := s.entries[workspace]; entries != nil {
		entries[to] = entry{Rights: entries[to].join(r)}
	}
}

func (s *declaredSide) workspace(key string, only *string) *SideAccess {
	w, ok := s.workspaces[key]
	if !ok {
		none := newSideAccess(nil)
		none.Absent = true
		return none
	}
	return s.access(s.entries[key], w.AuthorizationDomains, only)
}

// observedSide is who can come to which workspace, by what AnVIL answered last.
// Only answers that the sweeps still ask for count: others may be long out of
// date.
type observedSide struct {
	*nesting
	o *Observed
	// app is the service account, names are groups by address in lower case.
	app   string
	names map[string]string
	// groupRoles are those of the service account, by group.
	groupRoles map[string][]string
	rows       map[string]WorkspaceRow
	// billed are the billing projects that sweeps ask for, asked the workspaces
	// of which they ask for the access list.
	billed, asked map[string]bool
	// entries are those of the access lists that were read.
	entries map[string]map[node]entry
}

func newObservedSide(d Declared, o *Observed) *observedSide {
	s := &observedSide{
		nesting: newNesting(), o: o, app: strings.ToLower(d.ServiceAccount), names: groupNames(d, o),
		rows: make(map[string]WorkspaceRow, len(o.WorkspaceList.Value)), billed: map[string]bool{}, asked: map[string]bool{}, entries: map[string]map[node]entry{},
	}
	_, s.groupRoles = groupRoles(o.GroupList.Value)
	for _, b := range d.BillingProjects {
		s.billed[b.Name] = b.HasAppAsUser
	}
	s.groups(d)
	s.workspaces(d)
	s.itself()
	for _, a := range d.Accounts {
		// Only active accounts are asked for.
		if r := o.Accounts[a.Email]; a.Status == StatusActive && r.Found() && !r.Value.Registered {
			s.pending[a.Email] = true
		}
	}
	s.close()
	return s
}

// groupNames are the names of groups by their address, in lower case: as AnVIL
// lists them, as it answered by name, as they are declared, and at last by the
// rule that AnVIL makes the address of the name.
func groupNames(d Declared, o *Observed) map[string]string {
	names := map[string]string{}
	name := func(address, group string) {
		address = strings.ToLower(address)
		if _, taken := names[address]; !taken && address != "" {
			names[address] = group
		}
	}
	var all []string
	for _, row := range o.GroupList.Value {
		name(row.Email, row.Name)
		all = append(all, row.Name)
	}
	for _, group := range slices.Sorted(maps.Keys(o.Groups)) {
		if r := o.Groups[group]; r.Found() {
			name(r.Value, group)
		}
	}
	for _, g := range d.ManagedGroups {
		name(g.Email, g.Name)
		all = append(all, g.Name)
	}
	for _, group := range all {
		name(group+terraDomain, group)
	}
	return names
}

// groups reads who is in the groups that are declared as managed and that the
// service account is an admin of; all others are opaque.
func (s *observedSide) groups(d Declared) {
	managed := make(map[string]bool, len(d.ManagedGroups))
	for _, g := range d.ManagedGroups {
		managed[g.Name] = g.IsManagedByApp
	}
	for _, name := range nameSet(slices.Collect(maps.Values(s.names))) {
		if s.o.GroupList.Found() && isAdmin(s.groupRoles[name]) && managed[name] {
			s.roster(name, RoleMember, s.o.GroupMembers[name])
			s.roster(name, RoleAdmin, s.o.GroupAdmins[name])
		} else {
			s.hide(name)
		}
	}
}

// hide makes opaque a group of which nobody reads who is in it.
func (s *observedSide) hide(name string) {
	switch roles := s.groupRoles[name]; {
	case !s.o.GroupList.Found():
		s.opaque[name] = "the list of the service account's groups could not be read: " + s.o.GroupList.cause()
	case roles == nil:
		s.opaque[name] = "the service account is not in it, so it cannot read who is"
	case !isAdmin(roles):
		s.opaque[name] = "the service account is no admin of it, so it cannot read who is in it"
	default:
		s.opaque[name] = "it is not declared as managed by the service account, so nobody reads who is in it"
	}
}

// workspaces reads the access lists that sweeps ask for.
func (s *observedSide) workspaces(d Declared) {
	if !s.o.WorkspaceList.Found() {
		return
	}
	for _, row := range slices.Backward(s.o.WorkspaceList.Value) {
		s.rows[row.Key()] = row
	}
	for _, r := range workspaceRequests(d, s.o, nil) {
		if r.Record.Kind == KindAccessList {
			s.asked[r.Record.Name] = true
		}
	}
	known := map[string]bool{}
	for _, name := range s.names {
		known[name] = true
	}
	for key := range s.asked {
		for _, domain := range s.rows[key].AuthorizationDomains {
			if !known[domain] {
				s.hide(domain)
			}
		}
		acl := s.o.AccessLists[key]
		if !acl.Found() {
			continue
		}
		entries := make(map[node]entry, len(acl.Value))
		for address, e := range acl.Value {
			if e.AccessLevel != levelNoAccess {
				to := s.resolve(address)
				entries[to] = entry{entries[to].join(Rights{e.AccessLevel, e.CanShare, e.CanCompute}), e.Pending}
			}
		}
		for _, address := range s.projectOwners(key) {
			to := addressNode(address)
			entries[to] = entry{entries[to].join(Rights{LevelProjectOwner, true, true}), entries[to].pending}
		}
		s.entries[key] = entries
	}
}

// itself puts the service account into its groups. Sam's list of them holds
// roles by nested groups, too: it says all that there is to know.
func (s *observedSide) itself() {
	if !s.o.GroupList.Found() {
		return
	}
	s.surely[s.app] = true
	in := s.closure(addressNode(s.app))
	for _, name := range slices.Sorted(maps.Keys(s.groupRoles)) {
		switch {
		case in[name]:
		case isAdmin(s.groupRoles[name]):
			s.put(name, addressNode(s.app), RoleAdmin)
		default:
			s.put(name, addressNode(s.app), RoleMember)
		}
	}
}

// roster puts into a group who is in one of its two lists.
func (s *observedSide) roster(group string, role Role, r Reading[[]string]) {
	if !r.Found() {
		reason := "its " + strings.ToLower(string(role)) + "s could not be read: " + r.cause()
		if before := s.opaque[group]; before != "" {
			reason = before + "; " + reason
		}
		s.opaque[group] = reason
		return
	}
	for _, address := range r.Value {
		s.put(group, s.resolve(address), role)
	}
}

// resolve tells whether an address is a group's.
func (s *observedSide) resolve(address string) node {
	address = strings.ToLower(address)
	if name, ok := s.names[address]; ok {
		return groupNode(name)
	}
	name, terra := strings.CutSuffix(address, terraDomain)
	r := s.o.Accounts[address]
	if terra && name != "" || r.Status == 204 && r.Unknown == "" {
		// Sam answers 204 for the address of a group. It is one that nobody
		// knows the name of.
		if !terra {
			name = address
		}
		if _, said := s.opaque[name]; !said {
			s.opaque[name] = "the service account does not see this group"
		}
		return groupNode(name)
	}
	return addressNode(address)
}

func (s *observedSide) workspace(key string, only *string) *SideAccess {
	unknown := newSideAccess(nil)
	unknown.ProjectOwners = s.projectOwners(key)
	row, listed := s.rows[key]
	acl := s.o.AccessLists[key]
	switch {
	case !s.o.WorkspaceList.Found():
		unknown.Unknown = "the list of workspaces: " + s.o.WorkspaceList.cause()
	case !listed:
		unknown.Unknown = "it is not in the list of workspaces: it does not exist, or the service account has no role in it"
	case !s.asked[key] && row.AccessLevel != levelOwner && row.AccessLevel != levelNoAccess:
		unknown.Unknown = "the access list is not asked for: the service account has access " + row.AccessLevel + " and only that of an OWNER is read"
	case !s.asked[key]:
		unknown.Unknown = "the access list is not asked for: the workspace is not declared with app_access OWNER"
	case !acl.Found():
		unknown.Unknown = "the access list: " + acl.cause()
	default:
		known := s.access(s.entries[key], row.AuthorizationDomains, only)
		known.ProjectOwners = unknown.ProjectOwners
		return known
	}
	return unknown
}

// projectOwners are the known owners of a workspace's billing project: Rawls
// tells of the service account alone.
func (s *observedSide) projectOwners(key string) []string {
	project, _, _ := strings.Cut(key, "/")
	billing := s.o.BillingProjects[project]
	owner := func(role string) bool { return strings.EqualFold(role, "owner") }
	if s.rows[key].AccessLevel == LevelProjectOwner || s.billed[project] && billing.Found() && slices.ContainsFunc(billing.Value.Roles, owner) {
		return []string{s.app}
	}
	return []string{}
}
