// Package anvil is the domain of AnVIL consortia: what a consortium declares,
// what AnVIL's two services Sam and Rawls answer, the audits that compare the
// two, and the findings that follow from them over time.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP, and reads no clock.
//
// The audits follow django-anvil-consortium-manager ("the peer") version
// 0.35.2: exactly in compat mode; otherwise what could not be read is unknown
// instead of ending the audit.
package anvil

import (
	"strings"
	"time"
)

// AccountStatus says whether an account takes part in the audits.
type AccountStatus string

// The statuses of an account.
const (
	StatusActive   AccountStatus = "active"
	StatusInactive AccountStatus = "inactive"
)

// Role is what an account or group is in a group, by declaration.
type Role string

// The roles of a membership.
const (
	RoleMember Role = "MEMBER"
	RoleAdmin  Role = "ADMIN"
)

// Access is what a group may do in a workspace, by declaration.
type Access string

// The levels at which a workspace is shared with a group.
const (
	AccessReader Access = "READER"
	AccessWriter Access = "WRITER"
	AccessOwner  Access = "OWNER"
)

// AppAccess is what the consortium's service account may do in a workspace, by
// declaration.
type AppAccess string

// The levels of access that a service account can be declared to have.
const (
	AppOwner    AppAccess = "OWNER"
	AppLimited  AppAccess = "LIMITED"
	AppNoAccess AppAccess = "NO_ACCESS"
)

// Declared is everything that a consortium declares: what AnVIL ought to look
// like. The order of the lists is the order of declaration; audits in compat
// mode stop at the first record that cannot be audited. Records refer to one
// another by name or address.
type Declared struct {
	// ServiceAccount is the address of the account that asks AnVIL. It is taken
	// out of every list of AnVIL before comparing.
	ServiceAccount          string              `json:"service_account"`
	BillingProjects         []BillingProject    `json:"billing_projects"`
	Accounts                []Account           `json:"accounts"`
	ManagedGroups           []ManagedGroup      `json:"managed_groups"`
	GroupGroupMemberships   []GroupMembership   `json:"group_group_memberships"`
	GroupAccountMemberships []AccountMembership `json:"group_account_memberships"`
	Workspaces              []Workspace         `json:"workspaces"`
	WorkspaceGroupSharing   []Sharing           `json:"workspace_group_sharing"`
	IgnoredGroupMemberships []IgnoredMembership `json:"ignored_group_memberships"`
	IgnoredWorkspaceSharing []IgnoredSharing    `json:"ignored_workspace_sharing"`
}

// BillingProject pays for workspaces. Only those that have the service account
// as a user are audited.
type BillingProject struct {
	Name string `json:"name"`
	// HasAppAsUser: the service account is a user of it. A file that does not
	// say means yes.
	HasAppAsUser bool `json:"has_app_as_user"`
}

// Account is a person or a service account on AnVIL. Only active accounts are
// audited.
type Account struct {
	// Email is kept in lower case.
	Email            string `json:"email"`
	IsServiceAccount bool   `json:"is_service_account"`
	// Status is active when a file does not say.
	Status AccountStatus `json:"status"`
}

// ManagedGroup is a group on AnVIL that the consortium knows of.
type ManagedGroup struct {
	Name string `json:"name"`
	// Email is kept as it was written; it is compared without regard to case.
	Email string `json:"email"`
	// IsManagedByApp: the service account is an admin of it. A file that does
	// not say means yes.
	IsManagedByApp bool `json:"is_managed_by_app"`
}

// GroupMembership declares that a group is in a group.
type GroupMembership struct {
	// Parent and Child are names of groups.
	Parent string `json:"parent"`
	Child  string `json:"child"`
	// Role is MEMBER when a file does not say.
	Role Role `json:"role"`
}

// AccountMembership declares that an account is in a group.
type AccountMembership struct {
	Group string `json:"group"`
	// Account is the address of the account, in lower case.
	Account string `json:"account"`
	// Role is MEMBER when a file does not say.
	Role Role `json:"role"`
}

// Workspace is a workspace on AnVIL that the consortium knows of.
type Workspace struct {
	BillingProject string `json:"billing_project"`
	Name           string `json:"name"`
	// AuthorizationDomains are the names of the groups whose members alone may
	// read the workspace.
	AuthorizationDomains []string `json:"authorization_domains"`
	IsLocked             bool     `json:"is_locked"`
	IsRequesterPays      bool     `json:"is_requester_pays"`
	// AppAccess is OWNER when a file does not say.
	AppAccess AppAccess `json:"app_access"`
}

// Key is how the workspace is called in results: billing-project/name.
func (w Workspace) Key() string { return w.BillingProject + "/" + w.Name }

// Sharing declares that a workspace is shared with a group.
type Sharing struct {
	// Workspace is billing-project/name.
	Workspace string `json:"workspace"`
	// Group is the name of the group.
	Group string `json:"group"`
	// Access is READER when a file does not say.
	Access     Access `json:"access"`
	CanCompute bool   `json:"can_compute"`
}

// Anywhere is the group or workspace of an ignore row that holds in all of them.
const Anywhere = "*"

// IgnoredMembership says that an address is known to be in a group without
// being declared, and accepted.
type IgnoredMembership struct {
	// Group is the name of the group, or [Anywhere].
	Group string `json:"group"`
	// Email is kept in lower case.
	Email string `json:"email"`
	// Note says why it is accepted.
	Note string `json:"note"`
	// AddedBy is who accepted it, for rows that come from elsewhere; else that is
	// the actor of the event.
	AddedBy string `json:"added_by,omitempty"`
	// Role is the role that is accepted; empty accepts any. The peer goes on
	// ignoring an address that rises from member to admin.
	Role Role `json:"role,omitempty"`
	// ExpiresAt is when the acceptance ends, UTC; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// IgnoredSharing says that a workspace is known to be shared with an address
// without that being declared, and accepted.
type IgnoredSharing struct {
	// Workspace is billing-project/name, or [Anywhere].
	Workspace string `json:"workspace"`
	// Email is kept in lower case.
	Email string `json:"email"`
	// Note says why it is accepted.
	Note string `json:"note"`
	// AddedBy is who accepted it, for rows that come from elsewhere; else that is
	// the actor of the event.
	AddedBy string `json:"added_by,omitempty"`
	// Access is the level that is accepted; empty accepts any.
	Access Access `json:"access,omitempty"`
	// ExpiresAt is when the acceptance ends, UTC; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Normalise puts the addresses of accounts and of ignore rows into lower case,
// as the peer does when it stores them, and times into UTC. Addresses of groups
// stay as written.
// Empty lists become empty, not nil. It changes d's own lists.
func (d *Declared) Normalise() {
	for i := range d.Accounts {
		d.Accounts[i].Email = strings.ToLower(d.Accounts[i].Email)
	}
	for i := range d.GroupAccountMemberships {
		d.GroupAccountMemberships[i].Account = strings.ToLower(d.GroupAccountMemberships[i].Account)
	}
	for i := range d.IgnoredGroupMemberships {
		d.IgnoredGroupMemberships[i].Email = strings.ToLower(d.IgnoredGroupMemberships[i].Email)
		d.IgnoredGroupMemberships[i].ExpiresAt = d.IgnoredGroupMemberships[i].ExpiresAt.UTC()
	}
	for i := range d.IgnoredWorkspaceSharing {
		d.IgnoredWorkspaceSharing[i].Email = strings.ToLower(d.IgnoredWorkspaceSharing[i].Email)
		d.IgnoredWorkspaceSharing[i].ExpiresAt = d.IgnoredWorkspaceSharing[i].ExpiresAt.UTC()
	}
	for i := range d.Workspaces {
		d.Workspaces[i].AuthorizationDomains = notNil(d.Workspaces[i].AuthorizationDomains)
	}
	d.BillingProjects = notNil(d.BillingProjects)
	d.Accounts = notNil(d.Accounts)
	d.ManagedGroups = notNil(d.ManagedGroups)
	d.GroupGroupMemberships = notNil(d.GroupGroupMemberships)
	d.GroupAccountMemberships = notNil(d.GroupAccountMemberships)
	d.Workspaces = notNil(d.Workspaces)
	d.WorkspaceGroupSharing = notNil(d.WorkspaceGroupSharing)
	d.IgnoredGroupMemberships = notNil(d.IgnoredGroupMemberships)
	d.IgnoredWorkspaceSharing = notNil(d.IgnoredWorkspaceSharing)
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
