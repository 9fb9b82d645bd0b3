package anvil

import (
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Reach says whether an address can come into a workspace.
type Reach string

// The values of Reach. Nobody comes in whom an authorization domain bars, or who was
// invited and has not registered.
const (
	ReachYes     Reach = "yes"
	ReachNo      Reach = "no"
	ReachUnknown Reach = "unknown"
)

// Standing is how an address stands in a workspace on one side, without the ways by
// which it comes there. Standings can be compared.
type Standing struct {
	Reach Reach `json:"reach"`
	// Rights are those that are known of; the level is empty for none.
	Rights
	// Admission is empty without rights.
	Admission Admission `json:"admission,omitempty"`
	Pending   bool      `json:"pending,omitempty"`
}

// Standing tells how an address, in any case of letters, stands.
func (s *SideAccess) Standing(address string) Standing {
	address = strings.ToLower(address)
	if s.Unknown != "" {
		return Standing{Reach: ReachUnknown}
	}
	var known *AddressAccess
	for i := range s.Addresses {
		if s.Addresses[i].Address == address {
			known = &s.Addresses[i]
		}
	}
	if known == nil {
		if reachOf(address, nil, s).most.Level != "" {
			return Standing{Reach: ReachUnknown}
		}
		return Standing{Reach: ReachNo}
	}
	out := Standing{Reach: ReachUnknown, Rights: known.Rights, Admission: known.Admission, Pending: known.Pending}
	switch {
	case known.Pending || known.Admission == AdmissionBarred:
		out.Reach = ReachNo
	case known.Admission == AdmissionIn:
		out.Reach = ReachYes
	}
	return out
}

// AccessChange says in one word how a standing became another.
type AccessChange string

// The changes.
const (
	// AccessHeld: it stood so when the span began, or before anything named it.
	AccessHeld AccessChange = "held"
	// AccessGained: it can come in, and could not or was not known to.
	AccessGained AccessChange = "gained"
	// AccessLost: it could come in, and cannot any more.
	AccessLost AccessChange = "lost"
	// AccessDoubtful: it is not known any more whether it can.
	AccessDoubtful AccessChange = "doubtful"
	// AccessRuledOut: it was not known whether it could come in, and it cannot.
	AccessRuledOut AccessChange = "ruled_out"
	// AccessChanged: it can come in or not as before, with other rights.
	AccessChanged AccessChange = "changed"
)

// ChangeTo names the change from one standing to another, false if they are equal.
func (s Standing) ChangeTo(after Standing) (AccessChange, bool) {
	switch {
	case s == after:
		return "", false
	case s.Reach == after.Reach:
		return AccessChanged, true
	case after.Reach == ReachYes:
		return AccessGained, true
	case after.Reach == ReachUnknown:
		return AccessDoubtful, true
	case s.Reach == ReachYes:
		return AccessLost, true
	default:
		return AccessRuledOut, true
	}
}

// TouchesAccess tells which workspaces' access an event can change: none, the one that is
// named, or any, for which the name is empty.
func TouchesAccess(p event.Payload) (workspace string, touches bool) {
	switch p := p.(type) {
	case FindingOpened, FindingChanged, FindingResolved, AuditCompleted, PlanApplied, SweepStarted, SettingsObserved,
		AcceptanceDeclared, AcceptanceWithdrawn, IgnoredMembershipDeclared, IgnoredMembershipWithdrawn, IgnoredSharingDeclared, IgnoredSharingWithdrawn:
		return "", false
	case SharingDeclared:
		return p.Workspace, true
	case SharingWithdrawn:
		return p.Workspace, true
	case WorkspaceDeclared:
		return p.Key(), true
	case WorkspaceWithdrawn:
		return p.BillingProject + "/" + p.Name, true
	case WorkspaceObserved:
		return p.Key(), true
	case AccessListObserved:
		return p.Workspace, true
	default:
		return "", true
	}
}
