package anvil

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events of this world.
const (
	TypeConsortiumDeclared         event.Type = "muster.anvil.consortium.declared.v1"
	TypeBillingProjectDeclared     event.Type = "muster.anvil.billingproject.declared.v1"
	TypeBillingProjectWithdrawn    event.Type = "muster.anvil.billingproject.withdrawn.v1"
	TypeAccountDeclared            event.Type = "muster.anvil.account.declared.v1"
	TypeAccountWithdrawn           event.Type = "muster.anvil.account.withdrawn.v1"
	TypeGroupDeclared              event.Type = "muster.anvil.managedgroup.declared.v1"
	TypeGroupWithdrawn             event.Type = "muster.anvil.managedgroup.withdrawn.v1"
	TypeGroupMembershipDeclared    event.Type = "muster.anvil.groupmembership.declared.v1"
	TypeGroupMembershipWithdrawn   event.Type = "muster.anvil.groupmembership.withdrawn.v1"
	TypeAccountMembershipDeclared  event.Type = "muster.anvil.accountmembership.declared.v1"
	TypeAccountMembershipWithdrawn event.Type = "muster.anvil.accountmembership.withdrawn.v1"
	TypeWorkspaceDeclared          event.Type = "muster.anvil.workspace.declared.v1"
	TypeWorkspaceWithdrawn         event.Type = "muster.anvil.workspace.withdrawn.v1"
	TypeSharingDeclared            event.Type = "muster.anvil.sharing.declared.v1"
	TypeSharingWithdrawn           event.Type = "muster.anvil.sharing.withdrawn.v1"
	TypeIgnoredMembershipDeclared  event.Type = "muster.anvil.ignoredmembership.declared.v1"
	TypeIgnoredMembershipWithdrawn event.Type = "muster.anvil.ignoredmembership.withdrawn.v1"
	TypeIgnoredSharingDeclared     event.Type = "muster.anvil.ignoredsharing.declared.v1"
	TypeIgnoredSharingWithdrawn    event.Type = "muster.anvil.ignoredsharing.withdrawn.v1"
	TypePlanApplied                event.Type = "muster.anvil.plan.applied.v1"

	TypeSweepStarted           event.Type = "muster.anvil.sweep.started.v2"
	TypeSweepCompleted         event.Type = "muster.anvil.sweep.completed.v2"
	TypeBillingProjectObserved event.Type = "muster.anvil.billingproject.observed.v1"
	TypeAccountObserved        event.Type = "muster.anvil.account.observed.v1"
	TypeGroupListObserved      event.Type = "muster.anvil.grouplist.observed.v1"
	TypeGroupRoleObserved      event.Type = "muster.anvil.grouprole.observed.v1"
	TypeGroupObserved          event.Type = "muster.anvil.group.observed.v1"
	TypeGroupMembersObserved   event.Type = "muster.anvil.groupmembers.observed.v1"
	TypeGroupAdminsObserved    event.Type = "muster.anvil.groupadmins.observed.v1"
	TypeWorkspaceListObserved  event.Type = "muster.anvil.workspacelist.observed.v1"
	TypeWorkspaceObserved      event.Type = "muster.anvil.workspace.observed.v1"
	TypeAccessListObserved     event.Type = "muster.anvil.accesslist.observed.v1"
	TypeSettingsObserved       event.Type = "muster.anvil.settings.observed.v1"
	TypeFindingOpened          event.Type = "muster.anvil.finding.opened.v1"
	TypeFindingChanged         event.Type = "muster.anvil.finding.changed.v1"
	TypeFindingResolved        event.Type = "muster.anvil.finding.resolved.v1"
)

// Register makes every version of this world's events readable.
func Register(r *event.Registry) {
	registerDeclarations(r)
	event.Register[SweepStarted](r)
	event.Register[SweepCompleted](r)
	registerOldSweeps(r)
	event.Register[BillingProjectObserved](r)
	event.Register[AccountObserved](r)
	event.Register[GroupListObserved](r)
	event.Register[GroupRoleObserved](r)
	event.Register[GroupObserved](r)
	event.Register[GroupMembersObserved](r)
	event.Register[GroupAdminsObserved](r)
	event.Register[WorkspaceListObserved](r)
	event.Register[WorkspaceObserved](r)
	event.Register[AccessListObserved](r)
	event.Register[SettingsObserved](r)
	event.Register[FindingOpened](r)
	event.Register[FindingChanged](r)
	event.Register[FindingResolved](r)
	event.Register[AuditCompleted](r)
}

func registerDeclarations(r *event.Registry) {
	event.Register[ConsortiumDeclared](r)
	event.Register[BillingProjectDeclared](r)
	event.Register[BillingProjectWithdrawn](r)
	event.Register[AccountDeclared](r)
	event.Register[AccountWithdrawn](r)
	event.Register[GroupDeclared](r)
	event.Register[GroupWithdrawn](r)
	event.Register[GroupMembershipDeclared](r)
	event.Register[GroupMembershipWithdrawn](r)
	event.Register[AccountMembershipDeclared](r)
	event.Register[AccountMembershipWithdrawn](r)
	event.Register[WorkspaceDeclared](r)
	event.Register[WorkspaceWithdrawn](r)
	event.Register[SharingDeclared](r)
	event.Register[SharingWithdrawn](r)
	event.Register[IgnoredMembershipDeclared](r)
	event.Register[IgnoredMembershipWithdrawn](r)
	event.Register[IgnoredSharingDeclared](r)
	event.Register[IgnoredSharingWithdrawn](r)
	event.Register[PlanApplied](r)
	event.Register[AcceptanceDeclared](r)
	event.Register[AcceptanceWithdrawn](r)
}

// ConsortiumDeclared says as whom AnVIL is asked. A later one replaces it.
type ConsortiumDeclared struct {
	ServiceAccount string `json:"service_account"`
	// Reason is why it was declared, in the words of who did; may be empty. Who
	// is the event's actor. So it is in all declarations.
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (ConsortiumDeclared) EventType() event.Type { return TypeConsortiumDeclared }

// BillingProjectDeclared says that a billing project ought to exist as it says.
// A later one of the same name replaces it; so it is in all declarations of
// records.
type BillingProjectDeclared struct {
	BillingProject
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (BillingProjectDeclared) EventType() event.Type { return TypeBillingProjectDeclared }

// BillingProjectWithdrawn says that a billing project is not declared any more.
type BillingProjectWithdrawn struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (BillingProjectWithdrawn) EventType() event.Type { return TypeBillingProjectWithdrawn }

// AccountDeclared says that an account ought to exist. Its natural key is the
// address.
type AccountDeclared struct {
	Account
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (AccountDeclared) EventType() event.Type { return TypeAccountDeclared }

// AccountWithdrawn says that an account is not declared any more.
type AccountWithdrawn struct {
	Email  string `json:"email"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (AccountWithdrawn) EventType() event.Type { return TypeAccountWithdrawn }

// GroupDeclared says that a group ought to exist. Its natural key is the name.
type GroupDeclared struct {
	ManagedGroup
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (GroupDeclared) EventType() event.Type { return TypeGroupDeclared }

// GroupWithdrawn says that a group is not declared any more. Its memberships
// are withdrawn before it.
type GroupWithdrawn struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (GroupWithdrawn) EventType() event.Type { return TypeGroupWithdrawn }

// GroupMembershipDeclared says that a group ought to be in a group. Its natural
// key is the pair: a later role replaces the one before.
type GroupMembershipDeclared struct {
	GroupMembership
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (GroupMembershipDeclared) EventType() event.Type { return TypeGroupMembershipDeclared }

// GroupMembershipWithdrawn says that a group need not be in a group any more.
type GroupMembershipWithdrawn struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (GroupMembershipWithdrawn) EventType() event.Type { return TypeGroupMembershipWithdrawn }

// AccountMembershipDeclared says that an account ought to be in a group. Its
// natural key is the pair.
type AccountMembershipDeclared struct {
	AccountMembership
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (AccountMembershipDeclared) EventType() event.Type { return TypeAccountMembershipDeclared }

// AccountMembershipWithdrawn says that an account need not be in a group any
// more.
type AccountMembershipWithdrawn struct {
	Group   string `json:"group"`
	Account string `json:"account"`
	Reason  string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (AccountMembershipWithdrawn) EventType() event.Type { return TypeAccountMembershipWithdrawn }

// WorkspaceDeclared says that a workspace ought to be as it says. Its natural
// key is the billing project with the name.
type WorkspaceDeclared struct {
	Workspace
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (WorkspaceDeclared) EventType() event.Type { return TypeWorkspaceDeclared }

// WorkspaceWithdrawn says that a workspace is not declared any more.
type WorkspaceWithdrawn struct {
	BillingProject string `json:"billing_project"`
	Name           string `json:"name"`
	Reason         string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (WorkspaceWithdrawn) EventType() event.Type { return TypeWorkspaceWithdrawn }

// SharingDeclared says that a workspace ought to be shared with a group. Its
// natural key is the pair.
type SharingDeclared struct {
	Sharing
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (SharingDeclared) EventType() event.Type { return TypeSharingDeclared }

// SharingWithdrawn says that a workspace need not be shared with a group any
// more.
type SharingWithdrawn struct {
	Workspace string `json:"workspace"`
	Group     string `json:"group"`
	Reason    string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (SharingWithdrawn) EventType() event.Type { return TypeSharingWithdrawn }

// IgnoredMembershipDeclared accepts an undeclared address in a group. Its
// natural key is the group with the address.
type IgnoredMembershipDeclared struct {
	IgnoredMembership
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (IgnoredMembershipDeclared) EventType() event.Type { return TypeIgnoredMembershipDeclared }

// IgnoredMembershipWithdrawn ends the acceptance of an address in a group.
type IgnoredMembershipWithdrawn struct {
	Group  string `json:"group"`
	Email  string `json:"email"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (IgnoredMembershipWithdrawn) EventType() event.Type { return TypeIgnoredMembershipWithdrawn }

// IgnoredSharingDeclared accepts that a workspace is shared with an address
// without declaration. Its natural key is the workspace with the address.
type IgnoredSharingDeclared struct {
	IgnoredSharing
	Reason string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (IgnoredSharingDeclared) EventType() event.Type { return TypeIgnoredSharingDeclared }

// IgnoredSharingWithdrawn ends the acceptance of an address in a workspace.
type IgnoredSharingWithdrawn struct {
	Workspace string `json:"workspace"`
	Email     string `json:"email"`
	Reason    string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (IgnoredSharingWithdrawn) EventType() event.Type { return TypeIgnoredSharingWithdrawn }

// PlanApplied ends a batch of declarations: what came before it belongs
// together, and audits look at the whole of it. Who applied it is the event's
// actor.
type PlanApplied struct {
	Reason    string `json:"reason,omitempty"`
	Added     int    `json:"added"`
	Changed   int    `json:"changed"`
	Withdrawn int    `json:"withdrawn"`
}

// EventType implements [event.Payload].
func (PlanApplied) EventType() event.Type { return TypePlanApplied }

// SweepStarted says that AnVIL is being asked. A sweep that was started and not
// completed was interrupted; it has observed nothing.
type SweepStarted struct {
	SweepID uuid.UUID `json:"sweep_id"`
	Models  []Model   `json:"models"`
	// Scope limits the sweep; the zero value means that it is of whole models. So
	// it is in [SweepCompleted].
	Scope
	// ServiceAccount is who asks: AnVIL answers by what that account may see.
	ServiceAccount string    `json:"service_account"`
	StartedAt      time.Time `json:"started_at"`
}

// EventType implements [event.Payload].
func (SweepStarted) EventType() event.Type { return TypeSweepStarted }

// SweepCompleted says that everything was asked, and what came of it. The
// observations of the sweep, those that differ from the last ones, lie before
// it and have its id as their correlation id.
type SweepCompleted struct {
	SweepID uuid.UUID `json:"sweep_id"`
	Models  []Model   `json:"models"`
	Scope
	ServiceAccount string `json:"service_account"`
	// StartedAt and CompletedAt bound the time in which AnVIL was asked, UTC.
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at"`
	// Covered is how many records of each kind were read.
	Covered map[Kind]int `json:"covered"`
	// Calls counts the requests that were sent, retries included.
	Calls   int `json:"calls"`
	Retries int `json:"retries,omitempty"`
	// Observed is how many records differed from the last observation.
	Observed int `json:"observed"`
	// UnseenCount is how many records could not be read. Unseen names them, not
	// more than [MaxUnseen].
	UnseenCount int      `json:"unseen_count"`
	Unseen      []Unseen `json:"unseen,omitempty"`
}

// MaxUnseen bounds the list of records in [SweepCompleted]: each has an
// observation that says the same.
const MaxUnseen = 200

// EventType implements [event.Payload].
func (SweepCompleted) EventType() event.Type { return TypeSweepCompleted }

// Unseen is a record that a sweep could not read, and why.
type Unseen struct {
	Kind  Kind   `json:"kind"`
	Name  string `json:"name,omitempty"`
	Cause string `json:"cause"`
}

// BillingProjectObserved says how Rawls answers for a billing project.
type BillingProjectObserved struct {
	Name string `json:"name"`
	Reading[BillingInfo]
}

// EventType implements [event.Payload].
func (BillingProjectObserved) EventType() event.Type { return TypeBillingProjectObserved }

// AccountObserved says how Sam answers for an address.
type AccountObserved struct {
	// Email is in lower case.
	Email string `json:"email"`
	Reading[AccountInfo]
}

// EventType implements [event.Payload].
func (AccountObserved) EventType() event.Type { return TypeAccountObserved }

// GroupListObserved says whether the list of groups can be read. What it holds
// is in the observations of the groups' roles, which are there for as long as
// nothing else was observed.
type GroupListObserved struct{ Response }

// EventType implements [event.Payload].
func (GroupListObserved) EventType() event.Type { return TypeGroupListObserved }

// GroupRoleObserved says how a group is listed among those of the service
// account.
type GroupRoleObserved struct {
	Name string `json:"name"`
	// Listed is false once the group is in a complete list no more.
	Listed bool   `json:"listed"`
	Email  string `json:"email,omitempty"`
	// Roles are as Sam writes them, in order.
	Roles []string `json:"roles,omitempty"`
}

// EventType implements [event.Payload].
func (GroupRoleObserved) EventType() event.Type { return TypeGroupRoleObserved }

// GroupObserved says how Sam answers for a group that is not in the list.
type GroupObserved struct {
	Name string `json:"name"`
	// The value is the group's address.
	Reading[string]
}

// EventType implements [event.Payload].
func (GroupObserved) EventType() event.Type { return TypeGroupObserved }

// GroupMembersObserved says who the direct members of a group are.
type GroupMembersObserved struct {
	Group string `json:"group"`
	// The value holds addresses as AnVIL spells them, in order.
	Reading[[]string]
}

// EventType implements [event.Payload].
func (GroupMembersObserved) EventType() event.Type { return TypeGroupMembersObserved }

// GroupAdminsObserved says who the direct admins of a group are.
type GroupAdminsObserved struct {
	Group string `json:"group"`
	// The value holds addresses as AnVIL spells them, in order.
	Reading[[]string]
}

// EventType implements [event.Payload].
func (GroupAdminsObserved) EventType() event.Type { return TypeGroupAdminsObserved }

// WorkspaceListObserved says whether the list of workspaces can be read; what
// it holds is in the observations of the workspaces.
type WorkspaceListObserved struct{ Response }

// EventType implements [event.Payload].
func (WorkspaceListObserved) EventType() event.Type { return TypeWorkspaceListObserved }

// WorkspaceObserved says how a workspace is listed.
type WorkspaceObserved struct {
	WorkspaceRow
	// Listed is false once the workspace is in a complete list no more.
	Listed bool `json:"listed"`
}

// EventType implements [event.Payload].
func (WorkspaceObserved) EventType() event.Type { return TypeWorkspaceObserved }

// AccessListObserved says with whom a workspace is shared.
type AccessListObserved struct {
	// Workspace is billing-project/name.
	Workspace string `json:"workspace"`
	// The value holds entries by address in lower case.
	Reading[map[string]AccessEntry]
}

// EventType implements [event.Payload].
func (AccessListObserved) EventType() event.Type { return TypeAccessListObserved }

// SettingsObserved says how a workspace is set.
type SettingsObserved struct {
	// Workspace is billing-project/name.
	Workspace string `json:"workspace"`
	Reading[Settings]
}

// EventType implements [event.Payload].
func (SettingsObserved) EventType() event.Type { return TypeSettingsObserved }

// FindingOpened says that a record and AnVIL disagree in a point in which they
// agreed before, or of which nothing was known.
type FindingOpened struct {
	Finding
	// Reopened counts how often the same finding was resolved before.
	Reopened int `json:"reopened,omitempty"`
}

// EventType implements [event.Payload].
func (FindingOpened) EventType() event.Type { return TypeFindingOpened }

// FindingChanged says that an open finding still stands, but with other values.
type FindingChanged struct {
	Finding
	// ExpectedBefore and ObservedBefore are the values until now.
	ExpectedBefore string `json:"expected_before"`
	ObservedBefore string `json:"observed_before"`
}

// EventType implements [event.Payload].
func (FindingChanged) EventType() event.Type { return TypeFindingChanged }

// FindingResolved says that the point of a finding is settled: it was looked at
// and the two agree, or the record is not declared any more. What could not be
// seen resolves nothing.
type FindingResolved struct {
	// Finding is as it was last, with the evidence and the side of the
	// resolution.
	Finding
	ResolvedAt time.Time `json:"resolved_at"`
}

// EventType implements [event.Payload].
func (FindingResolved) EventType() event.Type { return TypeFindingResolved }
