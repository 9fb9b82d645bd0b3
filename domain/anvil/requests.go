package anvil

import "slices"

// Model names a family of audits.
type Model string

// The families of audits. Those of managed groups and of workspaces include
// the audits of each one's memberships and sharing.
const (
	ModelBillingProjects Model = "billing_projects"
	ModelAccounts        Model = "accounts"
	ModelManagedGroups   Model = "managed_groups"
	ModelMemberships     Model = "managed_group_memberships"
	ModelWorkspaces      Model = "workspaces"
	ModelSharing         Model = "workspace_sharing"
)

// Models lists the families that can be asked for, in the order in which they
// are audited.
func Models() []Model {
	return []Model{ModelBillingProjects, ModelAccounts, ModelManagedGroups, ModelWorkspaces}
}

// Kind is a kind of record that is observed on its own.
type Kind string

// The kinds of observed records. A group's roles and an entry of the list of
// workspaces are records of their own: they change one by one, though AnVIL
// answers with all of them at once.
const (
	KindBillingProject Kind = "billing_project"
	KindAccount        Kind = "account"
	KindGroupList      Kind = "group_list"
	KindGroupRole      Kind = "group_role"
	KindGroup          Kind = "group"
	KindGroupMembers   Kind = "group_members"
	KindGroupAdmins    Kind = "group_admins"
	KindWorkspaceList  Kind = "workspace_list"
	KindWorkspace      Kind = "workspace"
	KindAccessList     Kind = "access_list"
	KindSettings       Kind = "settings"
)

// RecordKey names one observed record of a consortium.
type RecordKey struct {
	Kind Kind
	// Name is the name, the address in lower case, or billing-project/name;
	// empty for the two lists.
	Name string
}

// String is the key as one text, for stores.
func (k RecordKey) String() string { return string(k.Kind) + ":" + k.Name }

// FirstRequests is what has to be asked without knowing anything of AnVIL:
// the declared billing projects and accounts that are audited, and the lists.
func FirstRequests(d Declared, models []Model) []Request {
	var requests []Request
	if slices.Contains(models, ModelManagedGroups) {
		requests = append(requests, Request{RecordKey{Kind: KindGroupList}, ServiceSam, []string{"api", "groups", "v1"}, ""})
	}
	if slices.Contains(models, ModelWorkspaces) {
		requests = append(requests, Request{RecordKey{Kind: KindWorkspaceList}, ServiceRawls, []string{"api", "workspaces"}, WorkspaceFields})
	}
	if slices.Contains(models, ModelBillingProjects) {
		for _, b := range d.BillingProjects {
			if b.HasAppAsUser {
				requests = append(requests, Request{RecordKey{KindBillingProject, b.Name}, ServiceRawls, []string{"api", "billing", "v2", b.Name}, ""})
			}
		}
	}
	if slices.Contains(models, ModelAccounts) {
		for _, a := range d.Accounts {
			if a.Status == StatusActive {
				requests = append(requests, Request{RecordKey{KindAccount, a.Email}, ServiceSam, []string{"api", "users", "v1", a.Email}, ""})
			}
		}
	}
	return requests
}

// NextRequests is what has to be asked once the answers to [FirstRequests] are
// in o: what a list leaves open. Of an unreadable list nothing follows.
func NextRequests(d Declared, o *Observed, models []Model) []Request {
	var requests []Request
	if slices.Contains(models, ModelManagedGroups) && o.GroupList.Found() {
		requests = groupRequests(d, o, requests)
	}
	if slices.Contains(models, ModelWorkspaces) && o.WorkspaceList.Found() {
		requests = workspaceRequests(d, o, requests)
	}
	return requests
}

func groupRequests(d Declared, o *Observed, requests []Request) []Request {
	_, roles := groupRoles(o.GroupList.Value)
	for _, g := range d.ManagedGroups {
		path := []string{"api", "groups", "v1", g.Name}
		if roles[g.Name] == nil {
			requests = append(requests, Request{RecordKey{KindGroup, g.Name}, ServiceSam, path, ""})
		} else if g.IsManagedByApp && isAdmin(roles[g.Name]) {
			requests = append(requests,
				Request{RecordKey{KindGroupMembers, g.Name}, ServiceSam, append(slices.Clone(path), "member"), ""},
				Request{RecordKey{KindGroupAdmins, g.Name}, ServiceSam, append(slices.Clone(path), "admin"), ""})
		}
	}
	return requests
}

func workspaceRequests(d Declared, o *Observed, requests []Request) []Request {
	declared := make(map[string]Workspace, len(d.Workspaces))
	for _, w := range d.Workspaces {
		declared[w.Key()] = w
	}
	asked := map[string]bool{}
	for _, row := range o.WorkspaceList.Value {
		key := row.Key()
		w, known := declared[key]
		if asked[key] {
			continue
		}
		asked[key] = true
		owned := known && w.AppAccess == AppOwner
		probe := row.AccessLevel == levelNoAccess && (!known || w.AppAccess != AppNoAccess)
		if probe || owned && row.AccessLevel == levelOwner {
			requests = append(requests, Request{RecordKey{KindAccessList, key}, ServiceRawls,
				[]string{"api", "workspaces", row.Namespace, row.Name, "acl"}, ""})
		}
		if owned && (row.AccessLevel == levelOwner || row.AccessLevel == levelNoAccess) {
			requests = append(requests, Request{RecordKey{KindSettings, key}, ServiceRawls,
				[]string{"api", "workspaces", "v2", row.Namespace, row.Name, "settings"}, ""})
		}
	}
	return requests
}

// Kinds of declared records that AnVIL has no record of their own for.
const (
	KindConsortium        Kind = "consortium"
	KindGroupMembership   Kind = "group_membership"
	KindAccountMembership Kind = "account_membership"
	KindSharing           Kind = "sharing"
	KindIgnoredMembership Kind = "ignored_membership"
	KindIgnoredSharing    Kind = "ignored_sharing"
)
