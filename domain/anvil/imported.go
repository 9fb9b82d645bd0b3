package anvil

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// firecloud is the domain of the addresses of AnVIL's own groups.
const firecloud = "@firecloud.org"

// serviceAccounts is how the addresses of Google's service accounts end.
const serviceAccounts = ".gserviceaccount.com"

// Import makes declarations of what AnVIL has already, by the rules of the
// peer's own imports (ACM v0.35.2, imports of managed groups and workspaces):
//
//   - A listed group gets its address in lower case; it is managed if any row has
//     the role admin. One that is named by an authorization domain and not listed
//     is looked up by name, and is unmanaged.
//   - Of managed groups come the memberships of accounts and groups that are
//     known; who is both admin and member is an admin.
//   - A workspace comes if the service account owns it, also from outside its
//     authorization domain, with its lock, its domains, and what it is shared with
//     among the known groups.
//
// Beyond the peer it takes over who pays, declares billing projects that are
// missing, and may declare accounts. It adds and updates, and withdraws nothing.
// What an ignore row covers is accepted as it is, and neither imported nor
// reported.
type Import struct {
	// ServiceAccount is who asks AnVIL; empty means the declared one.
	ServiceAccount string
	// WithAccounts declares the addresses in managed groups that Sam knows as
	// accounts.
	WithAccounts bool
}

// LeftOut is something on AnVIL that an import did not declare, and why.
type LeftOut struct {
	// Kind is the kind of the declared record that it would have become, or of
	// the answer that could not be used.
	Kind  Kind   `json:"kind"`
	Name  string `json:"name,omitempty"`
	Cause string `json:"cause"`
}

// Requests are the questions that are still open: those that follow from the
// declaration and the answers in o, and whose answers are not in o. The first
// ones are the two lists. Asking until there are none is asking everything.
func (im Import) Requests(current Declared, o *Observed) []Request {
	lists := make([]Request, 0, 2)
	if o.GroupList.Response == (Response{}) {
		lists = append(lists, ListRequest(ServiceSam))
	}
	if o.WorkspaceList.Response == (Response{}) {
		lists = append(lists, ListRequest(ServiceRawls))
	}
	if len(lists) > 0 {
		return lists
	}
	i := im.begin(current, o)
	for _, name := range i.managed() {
		i.ask(RecordKey{KindGroupMembers, name}, ServiceSam, "groups", "v1", name, "member")
		i.ask(RecordKey{KindGroupAdmins, name}, ServiceSam, "groups", "v1", name, "admin")
	}
	for _, row := range i.rows() {
		i.askWorkspace(row)
	}
	if im.WithAccounts {
		i.imported()
		for _, email := range slices.Sorted(maps.Keys(i.strangers)) {
			i.ask(RecordKey{KindAccount, email}, ServiceSam, "users", "v1", email)
		}
	}
	return i.requests
}

// Apply is the current declaration with what the answers in o add and update,
// and a list of what was left out, in a fixed order. current must be normalised
// and stays as it is; the result keeps every rule that current keeps. It fails
// as [Patch.Apply] does, which of a valid current declaration does not happen.
func (im Import) Apply(current Declared, o *Observed) (Declared, []LeftOut, error) {
	i := im.begin(current, o)
	i.imported()
	next, err := Patch{Declare: i.declare}.Apply(current)
	if err != nil {
		return Declared{}, nil, fmt.Errorf("importing: %w", err)
	}
	next.Normalise()
	slices.SortStableFunc(i.leftOut, func(a, b LeftOut) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return next, slices.Compact(i.leftOut), nil
}

// importing is one import while it looks at the answers.
type importing struct {
	Import
	o        *Observed
	requests []Request
	declare  Declared
	leftOut  []LeftOut

	roles    map[string][]string
	projects map[string]bool
	accounts map[string]Account
	// groups are those known so far, by name; addresses are their names by
	// address in lower case, spellings by address as it is.
	groups    map[string]ManagedGroup
	addresses map[string][]string
	spellings map[string]string
	workspace map[string]Workspace
	children  map[string][]string
	// ignored are the addresses that ignore rows cover, after the name of the
	// group or workspace and a blank.
	ignored map[string]bool
	// strangers are the addresses in managed groups that nothing is known of.
	strangers map[string]bool
}

func (im Import) begin(current Declared, o *Observed) *importing {
	im.ServiceAccount = cmp.Or(im.ServiceAccount, current.ServiceAccount)
	i := &importing{
		Import: im, o: o, declare: Declared{ServiceAccount: im.ServiceAccount},
		projects: map[string]bool{}, accounts: map[string]Account{}, groups: map[string]ManagedGroup{}, addresses: map[string][]string{},
		spellings: map[string]string{}, workspace: map[string]Workspace{}, children: map[string][]string{}, ignored: map[string]bool{}, strangers: map[string]bool{},
	}
	_, i.roles = groupRoles(o.GroupList.Value)
	for _, b := range current.BillingProjects {
		i.projects[b.Name] = true
	}
	for _, a := range current.Accounts {
		i.accounts[a.Email] = a
	}
	for _, g := range current.ManagedGroups {
		i.know(g)
	}
	for _, w := range current.Workspaces {
		i.workspace[w.Key()] = w
	}
	for _, m := range current.GroupGroupMemberships {
		i.children[m.Parent] = append(i.children[m.Parent], m.Child)
	}
	for _, r := range current.IgnoredGroupMemberships {
		i.ignored[r.Group+" "+r.Email] = true
	}
	for _, r := range current.IgnoredWorkspaceSharing {
		i.ignored[r.Workspace+" "+r.Email] = true
	}
	return i
}

func (i *importing) know(g ManagedGroup) {
	lower := strings.ToLower(g.Email)
	if before, known := i.groups[g.Name]; known {
		delete(i.spellings, before.Email)
		old := strings.ToLower(before.Email)
		i.addresses[old] = slices.DeleteFunc(i.addresses[old], func(name string) bool { return name == g.Name })
	}
	i.groups[g.Name] = g
	i.addresses[lower] = append(i.addresses[lower], g.Name)
	i.spellings[g.Email] = g.Name
}

func (i *importing) leave(kind Kind, name, format string, args ...any) {
	i.leftOut = append(i.leftOut, LeftOut{kind, name, fmt.Sprintf(format, args...)})
}

// ask asks for a record unless its answer is there.
func (i *importing) ask(key RecordKey, service string, segments ...string) {
	if i.o.response(key) == (Response{}) {
		i.requests = append(i.requests, Request{key, service, append([]string{"api"}, segments...), ""})
	}
}

// response is how a question was answered; zero if it was not asked.
func (o *Observed) response(key RecordKey) Response {
	switch key.Kind {
	case KindBillingProject:
		return o.BillingProjects[key.Name].Response
	case KindAccount:
		return o.Accounts[key.Name].Response
	case KindGroup:
		return o.Groups[key.Name].Response
	case KindGroupMembers:
		return o.GroupMembers[key.Name].Response
	case KindGroupAdmins:
		return o.GroupAdmins[key.Name].Response
	case KindAccessList:
		return o.AccessLists[key.Name].Response
	case KindSettings:
		return o.Settings[key.Name].Response
	case KindGroupList:
		return o.GroupList.Response
	case KindWorkspaceList:
		return o.WorkspaceList.Response
	default:
		return Response{}
	}
}

// managed are the groups that the service account is an admin of and that can be
// declared, in order.
func (i *importing) managed() []string {
	names := slices.Sorted(maps.Keys(i.roles))
	return slices.DeleteFunc(names, func(name string) bool { return !isAdmin(i.roles[name]) || nameFault(name, maxGroupName) != "" })
}

// rows are the entries of the list of workspaces that can be declared and may be
// owned, in order and each once.
func (i *importing) rows() []WorkspaceRow {
	rows := slices.SortedStableFunc(slices.Values(i.o.WorkspaceList.Value), func(a, b WorkspaceRow) int { return cmp.Compare(a.Key(), b.Key()) })
	rows = slices.CompactFunc(rows, func(a, b WorkspaceRow) bool { return a.Key() == b.Key() })
	return slices.DeleteFunc(rows, func(row WorkspaceRow) bool {
		return row.AccessLevel != levelOwner && row.AccessLevel != levelNoAccess || workspaceFault(row) != ""
	})
}

// askWorkspace asks what is not known of a workspace: its access list first,
// for of one with no access the rest only matters once that could be read.
func (i *importing) askWorkspace(row WorkspaceRow) {
	key := row.Key()
	i.ask(RecordKey{KindAccessList, key}, ServiceRawls, "workspaces", row.Namespace, row.Name, "acl")
	if row.AccessLevel == levelNoAccess && !i.o.AccessLists[key].Found() {
		return
	}
	i.ask(RecordKey{KindSettings, key}, ServiceRawls, "workspaces", "v2", row.Namespace, row.Name, "settings")
	if project := (RecordKey{KindBillingProject, row.Namespace}); !i.projects[row.Namespace] && !i.waiting(project) {
		i.ask(project, ServiceRawls, "billing", "v2", row.Namespace)
	}
	for _, name := range row.AuthorizationDomains {
		if domain := (RecordKey{KindGroup, name}); i.unlisted(name) && nameFault(name, maxGroupName) == "" && !i.waiting(domain) {
			i.ask(domain, ServiceSam, "groups", "v1", name)
		}
	}
}

// waiting tells whether a question is among those that are about to be asked.
func (i *importing) waiting(key RecordKey) bool {
	return slices.ContainsFunc(i.requests, func(q Request) bool { return q.Record == key })
}

// unlisted tells whether a group is neither declared nor listed, by a list that
// could be read.
func (i *importing) unlisted(name string) bool {
	_, known := i.groups[name]
	return !known && i.roles[name] == nil && i.o.GroupList.Found()
}

// imported looks at all answers: groups first, then the workspaces, which may
// bring further groups, then what connects them.
func (i *importing) imported() {
	i.importGroups()
	owned := i.importWorkspaces()
	i.importMemberships()
	for _, row := range owned {
		i.importSharing(row.Key())
	}
}

// nameFault says why a name cannot be declared; empty if it can.
func nameFault(name string, longest int) string {
	switch {
	case !slug.MatchString(name):
		return "its name may hold only letters, digits, hyphens and underscores"
	case len(name) > longest:
		return fmt.Sprintf("its name has %d characters, at most %d are allowed", len(name), longest)
	}
	return ""
}

func workspaceFault(row WorkspaceRow) string {
	if fault := nameFault(row.Name, maxWorkspaceName); fault != "" {
		return fault
	}
	if fault := nameFault(row.Namespace, maxBillingProjectName); fault != "" {
		return "its billing project cannot be declared: " + fault
	}
	return ""
}

// emailFault says why an address cannot be declared; empty if it can.
func emailFault(email string) string {
	v := validation{strict: true}
	v.email("", 0, "", email)
	if len(v.problems) == 0 {
		return ""
	}
	return "its address cannot be declared: it is no e-mail address"
}

func (i *importing) importGroups() {
	if !i.o.GroupList.Found() {
		i.leave(KindGroupList, "", "the list of groups could not be read: %s", i.o.GroupList.cause())
		return
	}
	emails := map[string]string{}
	for _, row := range i.o.GroupList.Value {
		if _, again := emails[row.Name]; !again || row.Email < emails[row.Name] {
			emails[row.Name] = row.Email
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.roles)) {
		if fault := nameFault(name, maxGroupName); fault != "" {
			i.leave(KindGroup, name, "%s", fault)
			continue
		}
		i.importGroup(ManagedGroup{Name: name, Email: strings.ToLower(emails[name]), IsManagedByApp: isAdmin(i.roles[name])})
	}
}

// importGroup declares a group unless its address forbids it. A declared address
// that is the same but for the case of letters stays.
func (i *importing) importGroup(g ManagedGroup) bool {
	if declared, ok := i.groups[g.Name]; ok && strings.EqualFold(declared.Email, g.Email) {
		g.Email = declared.Email
	}
	if fault := emailFault(g.Email); fault != "" {
		i.leave(KindGroup, g.Name, "%s", fault)
		return false
	}
	if other, taken := i.spellings[g.Email]; taken && other != g.Name {
		i.leave(KindGroup, g.Name, "its address is that of group %q already", other)
		return false
	}
	i.know(g)
	i.declare.ManagedGroups = append(i.declare.ManagedGroups, g)
	return true
}

// importWorkspaces declares the workspaces that are owned and whose every field
// is known, and gives them back.
func (i *importing) importWorkspaces() []WorkspaceRow {
	if !i.o.WorkspaceList.Found() {
		i.leave(KindWorkspaceList, "", "the list of workspaces could not be read: %s", i.o.WorkspaceList.cause())
		return nil
	}
	for _, row := range i.o.WorkspaceList.Value {
		if fault := workspaceFault(row); fault != "" {
			i.leave(KindWorkspace, row.Key(), "%s", fault)
		} else if row.AccessLevel != levelOwner && row.AccessLevel != levelNoAccess {
			i.leave(KindWorkspace, row.Key(), "the service account is %s there, no OWNER", row.AccessLevel)
		}
	}
	var owned []WorkspaceRow
	for _, row := range i.rows() {
		if cause := i.importWorkspace(row); cause != "" {
			i.leave(KindWorkspace, row.Key(), "%s", cause)
			continue
		}
		owned = append(owned, row)
	}
	return owned
}

// importWorkspace declares one workspace, with what it refers to; else it says
// why not.
func (i *importing) importWorkspace(row WorkspaceRow) string {
	key := row.Key()
	if row.AccessLevel == levelNoAccess {
		switch r := i.o.AccessLists[key]; {
		case r.Found():
		case (r.Status == 403 || r.Status == 404) && r.Unknown == "":
			return "the service account has no access and may not read the access list, so it is no owner"
		default:
			return "the service account has no access, and whether it owns it could not be read: " + r.cause()
		}
	}
	settings := i.o.Settings[key]
	if !settings.Found() {
		return "its settings could not be read, so it is not known who pays: " + settings.cause()
	}
	project := i.o.BillingProjects[row.Namespace]
	missing := project.Status == 404 && project.Unknown == ""
	if !i.projects[row.Namespace] && !project.Found() && !missing {
		return fmt.Sprintf("billing project %q could not be read: %s", row.Namespace, project.cause())
	}
	domains := nameSet(row.AuthorizationDomains)
	for _, name := range domains {
		if cause := i.importDomain(name); cause != "" {
			return cause
		}
	}
	if !i.projects[row.Namespace] {
		i.projects[row.Namespace] = true
		i.declare.BillingProjects = append(i.declare.BillingProjects, BillingProject{Name: row.Namespace, HasAppAsUser: !missing})
	}
	w := Workspace{
		BillingProject: row.Namespace, Name: row.Name, AuthorizationDomains: domains, IsLocked: row.IsLocked,
		IsRequesterPays: settings.Value.RequesterPays, AppAccess: AppOwner,
	}
	if declared, ok := i.workspace[key]; ok && slices.Equal(nameSet(declared.AuthorizationDomains), domains) {
		w.AuthorizationDomains = declared.AuthorizationDomains
	}
	i.declare.Workspaces = append(i.declare.Workspaces, w)
	return ""
}

// importDomain makes a group of an authorization domain known. One that is not
// listed is declared unmanaged, with its address as Sam gives it.
func (i *importing) importDomain(name string) string {
	if _, known := i.groups[name]; known {
		return ""
	}
	about := fmt.Sprintf("group %q of its authorization domain ", name)
	if fault := nameFault(name, maxGroupName); fault != "" {
		return about + "cannot be declared: " + fault
	}
	r := i.o.Groups[name]
	switch {
	case i.roles[name] != nil:
		return about + "was left out"
	case !i.o.GroupList.Found():
		return about + "is not declared, and the list of groups could not be read"
	case r.Status == 404 && r.Unknown == "":
		return about + "does not exist"
	case !r.Found():
		return about + "could not be read: " + r.cause()
	case !i.importGroup(ManagedGroup{Name: name, Email: r.Value}):
		return about + "was left out"
	}
	return ""
}

func (i *importing) importMemberships() {
	for _, group := range i.managed() {
		if _, known := i.groups[group]; !known {
			continue
		}
		members, admins := i.o.GroupMembers[group], i.o.GroupAdmins[group]
		if !members.Found() {
			i.leave(KindGroupMembers, group, "its members could not be read: %s", members.cause())
		}
		if !admins.Found() {
			i.leave(KindGroupAdmins, group, "its admins could not be read: %s", admins.cause())
		}
		if !members.Found() || !admins.Found() {
			continue
		}
		roles := map[string]Role{}
		for _, email := range members.Value {
			roles[strings.ToLower(email)] = RoleMember
		}
		for _, email := range admins.Value {
			roles[strings.ToLower(email)] = RoleAdmin
		}
		delete(roles, strings.ToLower(i.ServiceAccount))
		for _, email := range slices.Sorted(maps.Keys(roles)) {
			if !i.ignored[group+" "+email] {
				i.importMembership(group, email, roles[email])
			}
		}
	}
}

func (i *importing) importMembership(group, email string, role Role) {
	name := group + "/" + email
	groups := i.addresses[email]
	account, known := i.accounts[email]
	if !known && len(groups) == 0 {
		i.strangers[email] = true
		var cause string
		if account, cause = i.stranger(email); cause != "" {
			i.leave(KindAccountMembership, name, "%s", cause)
			return
		}
		i.accounts[email] = account
		i.declare.Accounts = append(i.declare.Accounts, account)
		known = true
	}
	switch {
	case known && len(groups) > 0, len(groups) > 1:
		i.leave(KindAccountMembership, name, "the address is that of several declared records")
	case known && account.Status != StatusActive:
		i.leave(KindAccountMembership, name, "the account is declared inactive")
	case known:
		i.declare.GroupAccountMemberships = append(i.declare.GroupAccountMemberships, AccountMembership{Group: group, Account: email, Role: role})
	case i.contains(groups[0], group):
		i.leave(KindGroupMembership, group+"/"+groups[0], "the groups would contain one another in a circle")
	default:
		i.children[group] = append(i.children[group], groups[0])
		i.declare.GroupGroupMemberships = append(i.declare.GroupGroupMemberships, GroupMembership{Parent: group, Child: groups[0], Role: role})
	}
}

// stranger is the account behind an address that is not declared; else it says
// why there is none.
func (i *importing) stranger(email string) (Account, string) {
	r := i.o.Accounts[email]
	switch {
	case !i.WithAccounts:
		return Account{}, "the address is neither a declared account nor a known group: declare it, or import accounts as well"
	case emailFault(email) != "":
		return Account{}, emailFault(email)
	case r.Status == 204 && r.Unknown == "":
		return Account{}, "the address is that of a group that is not known"
	case r.Status == 404 && r.Unknown == "":
		return Account{}, "Sam knows no account of that address"
	case !r.Found():
		return Account{}, "the account could not be read: " + r.cause()
	}
	return Account{Email: email, IsServiceAccount: strings.HasSuffix(email, serviceAccounts), Status: StatusActive}, ""
}

// contains tells whether a group is another, or holds it at any depth.
func (i *importing) contains(group, other string) bool {
	seen := map[string]bool{group: true}
	for next := []string{group}; len(next) > 0; {
		name := next[len(next)-1]
		next = next[:len(next)-1]
		if name == other {
			return true
		}
		for _, child := range i.children[name] {
			if !seen[child] {
				seen[child] = true
				next = append(next, child)
			}
		}
	}
	return false
}

func (i *importing) importSharing(workspace string) {
	r := i.o.AccessLists[workspace]
	if !r.Found() {
		i.leave(KindAccessList, workspace, "what it is shared with could not be read: %s", r.cause())
		return
	}
	for _, email := range slices.Sorted(maps.Keys(r.Value)) {
		if strings.EqualFold(email, i.ServiceAccount) || i.ignored[workspace+" "+email] {
			continue
		}
		entry := r.Value[email]
		group, cause := i.sharedWith(email)
		s := Sharing{Workspace: workspace, Group: group, Access: Access(entry.AccessLevel), CanCompute: entry.CanCompute}
		switch {
		case cause != "":
		case s.Access != AccessReader && s.Access != AccessWriter && s.Access != AccessOwner:
			cause = entry.AccessLevel + " is no level that can be declared"
		case s.Access == AccessReader && s.CanCompute:
			cause = "a READER that can compute cannot be declared"
		case s.Access == AccessOwner && !s.CanCompute:
			cause = "an OWNER that cannot compute cannot be declared"
		}
		if cause != "" {
			i.leave(KindSharing, workspace+"/"+email, "%s", cause)
			continue
		}
		i.declare.WorkspaceGroupSharing = append(i.declare.WorkspaceGroupSharing, s)
	}
}

// sharedWith is the known group behind an address of an access list, which comes
// in lower case: its local part must be the name of the group, as for the peer,
// and the group's address must be the same, for that is what audits compare.
func (i *importing) sharedWith(email string) (group, cause string) {
	local, ok := strings.CutSuffix(email, firecloud)
	names := i.addresses[email]
	switch {
	case !ok && len(names) == 0:
		return "", "only groups can be declared as shared with: accept it with an ignore row, or end it"
	case !ok:
		return "", fmt.Sprintf("the address of group %q is not at %s", names[0], firecloud[1:])
	case len(names) == 0:
		return "", "the address is that of no known group"
	case len(names) > 1:
		return "", "the address is that of several declared groups"
	case !strings.EqualFold(local, names[0]):
		return "", fmt.Sprintf("the address is that of group %q, but not its name", names[0])
	}
	return names[0], ""
}
