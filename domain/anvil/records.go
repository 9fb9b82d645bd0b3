package anvil

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

// PeerName is how the peer's command names the audit, ACM v0.35.2,
// run_anvil_audit; empty for sub-audits, which it cannot run alone.
func (m Model) PeerName() string {
	switch m {
	case ModelBillingProjects:
		return "BillingProject"
	case ModelAccounts:
		return "Account"
	case ModelManagedGroups:
		return "ManagedGroup"
	case ModelWorkspaces:
		return "Workspace"
	default:
		return ""
	}
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

// Kinds of declared records that AnVIL has no record of their own for.
const (
	KindConsortium        Kind = "consortium"
	KindGroupMembership   Kind = "group_membership"
	KindAccountMembership Kind = "account_membership"
	KindSharing           Kind = "sharing"
	KindIgnoredMembership Kind = "ignored_membership"
	KindIgnoredSharing    Kind = "ignored_sharing"
)

// keyed is a declared record with the name that it alone has among the records
// of its kind.
type keyed interface{ key() string }

func (b BillingProject) key() string    { return b.Name }
func (a Account) key() string           { return a.Email }
func (g ManagedGroup) key() string      { return g.Name }
func (w Workspace) key() string         { return w.Key() }
func (m AccountMembership) key() string { return m.Group + "/" + m.Account }
func (m GroupMembership) key() string   { return m.Parent + "/" + m.Child }
func (s Sharing) key() string           { return s.Workspace + "/" + s.Group }
func (r IgnoredMembership) key() string { return r.Group + "/" + r.Email }
func (r IgnoredSharing) key() string    { return r.Workspace + "/" + r.Email }
