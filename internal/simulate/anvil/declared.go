package anvil

// Declared is what a consortium's application has declared, in the form that
// commands and audits read.
type Declared struct {
	ServiceAccount          string              `json:"service_account"`
	BillingProjects         []BillingProject    `json:"billing_projects"`
	Accounts                []Account           `json:"accounts"`
	ManagedGroups           []ManagedGroup      `json:"managed_groups"`
	GroupGroupMemberships   []GroupMembership   `json:"group_group_memberships"`
	GroupAccountMemberships []AccountMembership `json:"group_account_memberships"`
	Workspaces              []Workspace         `json:"workspaces"`
	WorkspaceGroupSharing   []WorkspaceSharing  `json:"workspace_group_sharing"`
	IgnoredGroupMemberships []IgnoredMembership `json:"ignored_group_memberships"`
	IgnoredWorkspaceSharing []IgnoredSharing    `json:"ignored_workspace_sharing"`
}

// BillingProject is a declared billing project.
type BillingProject struct {
	Name         string `json:"name"`
	HasAppAsUser bool   `json:"has_app_as_user"`
}

// Account is a declared account. Status is active or inactive.
type Account struct {
	Email            string `json:"email"`
	IsServiceAccount bool   `json:"is_service_account"`
	Status           string `json:"status"`
}

// ManagedGroup is a declared group.
type ManagedGroup struct {
	Name           string `json:"name"`
	Email          string `json:"email"`
	IsManagedByApp bool   `json:"is_managed_by_app"`
}

// GroupMembership is a declared membership of a group in a group. Role is
// MEMBER or ADMIN.
type GroupMembership struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Role   string `json:"role"`
}

// AccountMembership is a declared membership of an account in a group.
type AccountMembership struct {
	Group   string `json:"group"`
	Account string `json:"account"`
	Role    string `json:"role"`
}

// Workspace is a declared workspace. AppAccess is OWNER, LIMITED or NO_ACCESS.
type Workspace struct {
	BillingProject       string   `json:"billing_project"`
	Name                 string   `json:"name"`
	AuthorizationDomains []string `json:"authorization_domains"`
	IsLocked             bool     `json:"is_locked"`
	IsRequesterPays      bool     `json:"is_requester_pays"`
	AppAccess            string   `json:"app_access"`
}

// WorkspaceSharing is a declared share of a workspace with a group. Access is
// READER, WRITER or OWNER.
type WorkspaceSharing struct {
	Workspace  string `json:"workspace"`
	Group      string `json:"group"`
	Access     string `json:"access"`
	CanCompute bool   `json:"can_compute"`
}

// IgnoredMembership covers an address in a group that is known not to be
// declared.
type IgnoredMembership struct {
	Group string `json:"group"`
	Email string `json:"email"`
	Note  string `json:"note"`
}

// IgnoredSharing covers an address that a workspace is shared with.
type IgnoredSharing struct {
	Workspace string `json:"workspace"`
	Email     string `json:"email"`
	Note      string `json:"note"`
}

// Declared is the consortium's declaration: it agrees with the world at most
// points and disagrees at some on purpose, and does not change in time.
func (w *world) declared() Declared {
	d := Declared{
		ServiceAccount: w.app, BillingProjects: []BillingProject{}, Accounts: []Account{},
		ManagedGroups: []ManagedGroup{}, GroupGroupMemberships: []GroupMembership{},
		GroupAccountMemberships: []AccountMembership{}, Workspaces: []Workspace{},
		WorkspaceGroupSharing: []WorkspaceSharing{}, IgnoredGroupMemberships: []IgnoredMembership{},
		IgnoredWorkspaceSharing: []IgnoredSharing{},
	}
	for i := range w.projects {
		d.BillingProjects = append(d.BillingProjects, BillingProject{w.projects[i].name, w.projects[i].hasApp})
	}
	for i := range w.accounts {
		a := &w.accounts[i]
		if !a.declared {
			continue
		}
		status := "active"
		if a.inactive {
			status = "inactive"
		}
		d.Accounts = append(d.Accounts, Account{a.email, a.service, status})
	}
	for i := range w.groups {
		w.declareGroup(&d, &w.groups[i])
	}
	for i := range w.workspaces {
		w.declareWorkspace(&d, &w.workspaces[i])
	}
	return d
}

func (w *world) declareGroup(d *Declared, g *group) {
	if !g.declared {
		return
	}
	d.ManagedGroups = append(d.ManagedGroups, ManagedGroup{g.name, g.email, g.declaredManaged})
	for _, m := range g.members {
		if m.ignored {
			d.IgnoredGroupMemberships = append(d.IgnoredGroupMemberships, IgnoredMembership{g.name, w.addressOf(m), "known and accepted"})
		}
		switch {
		case m.declaredRole == "":
		case m.group >= 0 && w.groups[m.group].declared:
			d.GroupGroupMemberships = append(d.GroupGroupMemberships, GroupMembership{g.name, w.groups[m.group].name, m.declaredRole})
		case m.group < 0 && w.accounts[m.account].declared:
			d.GroupAccountMemberships = append(d.GroupAccountMemberships, AccountMembership{g.name, w.accounts[m.account].email, m.declaredRole})
		}
	}
}

func (w *world) declareWorkspace(d *Declared, ws *workspace) {
	if !ws.declared {
		return
	}
	name := ws.project + "/" + ws.name
	domains := []string{}
	for _, g := range ws.declaredDomains {
		domains = append(domains, w.groups[g].name)
	}
	d.Workspaces = append(d.Workspaces, Workspace{ws.project, ws.name, domains, ws.locked, ws.declaredPays, ws.declaredAccess})
	for _, s := range ws.shares {
		if s.ignored {
			d.IgnoredWorkspaceSharing = append(d.IgnoredWorkspaceSharing, IgnoredSharing{name, w.shareAddress(s), "known and accepted"})
		}
		if s.declaredLevel != "" && s.group >= 0 {
			compute := s.declaredLevel != "READER" && s.compute || s.declaredLevel == "OWNER"
			d.WorkspaceGroupSharing = append(d.WorkspaceGroupSharing, WorkspaceSharing{name, w.groups[s.group].name, s.declaredLevel, compute})
		}
	}
}
