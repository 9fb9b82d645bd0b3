package anvil

import (
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Slot is the place in a consortium's state that an event fills: the newest
// event of each slot, applied in the order of the stream, gives the state.
type Slot struct {
	Side Side
	Key  RecordKey
}

// SlotOf is the slot that a payload fills. It is false for events of sweeps,
// plans and findings, which stand for themselves.
func SlotOf(p event.Payload) (Slot, bool) {
	if s, ok := declarationSlot(p); ok {
		return s, true
	}
	return observationSlot(p)
}

func declarationSlot(p event.Payload) (Slot, bool) {
	slot := func(kind Kind, name string) (Slot, bool) {
		return Slot{SideDeclared, RecordKey{kind, name}}, true
	}
	switch p := p.(type) {
	case ConsortiumDeclared:
		return slot(KindConsortium, "")
	case BillingProjectDeclared:
		return slot(KindBillingProject, p.Name)
	case BillingProjectWithdrawn:
		return slot(KindBillingProject, p.Name)
	case AccountDeclared:
		return slot(KindAccount, p.Email)
	case AccountWithdrawn:
		return slot(KindAccount, p.Email)
	case GroupDeclared:
		return slot(KindGroup, p.Name)
	case GroupWithdrawn:
		return slot(KindGroup, p.Name)
	case GroupMembershipDeclared:
		return slot(KindGroupMembership, p.Parent+"/"+p.Child)
	case GroupMembershipWithdrawn:
		return slot(KindGroupMembership, p.Parent+"/"+p.Child)
	case AccountMembershipDeclared:
		return slot(KindAccountMembership, p.Group+"/"+p.AccountMembership.Account)
	case AccountMembershipWithdrawn:
		return slot(KindAccountMembership, p.Group+"/"+p.Account)
	case WorkspaceDeclared:
		return slot(KindWorkspace, p.Key())
	case WorkspaceWithdrawn:
		return slot(KindWorkspace, p.BillingProject+"/"+p.Name)
	case SharingDeclared:
		return slot(KindSharing, p.Workspace+"/"+p.Group)
	case SharingWithdrawn:
		return slot(KindSharing, p.Workspace+"/"+p.Group)
	case IgnoredMembershipDeclared:
		return slot(KindIgnoredMembership, p.Group+"/"+p.Email)
	case IgnoredMembershipWithdrawn:
		return slot(KindIgnoredMembership, p.Group+"/"+p.Email)
	case IgnoredSharingDeclared:
		return slot(KindIgnoredSharing, p.Workspace+"/"+p.Email)
	case IgnoredSharingWithdrawn:
		return slot(KindIgnoredSharing, p.Workspace+"/"+p.Email)
	case AcceptanceDeclared:
		return slot(KindAcceptance, p.FindingID.String())
	case AcceptanceWithdrawn:
		return slot(KindAcceptance, p.FindingID.String())
	}
	return Slot{}, false
}

func observationSlot(p event.Payload) (Slot, bool) {
	slot := func(kind Kind, name string) (Slot, bool) {
		return Slot{SideObserved, RecordKey{kind, name}}, true
	}
	switch p := p.(type) {
	case BillingProjectObserved:
		return slot(KindBillingProject, p.Name)
	case AccountObserved:
		return slot(KindAccount, p.Email)
	case GroupListObserved:
		return slot(KindGroupList, "")
	case GroupRoleObserved:
		return slot(KindGroupRole, p.Name)
	case GroupObserved:
		return slot(KindGroup, p.Name)
	case GroupMembersObserved:
		return slot(KindGroupMembers, p.Group)
	case GroupAdminsObserved:
		return slot(KindGroupAdmins, p.Group)
	case WorkspaceListObserved:
		return slot(KindWorkspaceList, "")
	case WorkspaceObserved:
		return slot(KindWorkspace, p.Key())
	case AccessListObserved:
		return slot(KindAccessList, p.Workspace)
	case SettingsObserved:
		return slot(KindSettings, p.Workspace)
	}
	return Slot{}, false
}

// RestoreFinding sets what is known of a finding when the state is loaded from
// a read model instead of being folded from the stream: how it was last,
// whether it is open, and how often it was resolved before.
func (s *State) RestoreFinding(f Finding, open bool, resolved int) {
	if open {
		s.open[f.ID] = f
	}
	if resolved > 0 {
		s.reopened[f.ID] = resolved
	}
}

// SequenceOf names what an event must be kept in order with when it cannot be
// applied: its record, its finding or its sweep. Other records of the
// consortium do not wait for it.
func SequenceOf(stream event.Stream, p event.Payload) string {
	prefix := string(stream) + "#"
	if s, ok := SlotOf(p); ok {
		return prefix + string(s.Side) + ":" + s.Key.String()
	}
	var id uuid.UUID
	switch p := p.(type) {
	case SweepStarted:
		id = p.SweepID
	case SweepCompleted:
		id = p.SweepID
	case FindingOpened:
		id = p.ID
	case FindingChanged:
		id = p.ID
	case FindingResolved:
		id = p.ID
	}
	return prefix + id.String()
}
