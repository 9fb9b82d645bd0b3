package anvil

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events that accept findings.
const (
	TypeAcceptanceDeclared  event.Type = "muster.anvil.acceptance.declared.v1"
	TypeAcceptanceWithdrawn event.Type = "muster.anvil.acceptance.withdrawn.v1"
)

// KindAcceptance is the kind of the declared record that accepts a finding; its
// name is the finding's id.
const KindAcceptance Kind = "acceptance"

// Acceptance says that an open finding is known and may stay as it is. Ignore
// rows do the same for what nobody declared, before it becomes a finding; an
// acceptance is for any finding, errors included, and holds only for the values
// that were looked at.
type Acceptance struct {
	FindingID uuid.UUID `json:"finding_id"`
	// Reason is why, in the words of who accepted it.
	Reason string `json:"reason"`
	// Until is when the acceptance ends, UTC; zero means never.
	Until time.Time `json:"until,omitzero"`
	// Expected and Observed are the finding's values when it was accepted.
	Expected string `json:"expected"`
	Observed string `json:"observed"`
}

// Accepted is an acceptance with who gave it, and when.
type Accepted struct {
	Acceptance

	// By is the actor.
	By string
	// At is when it was given, UTC.
	At time.Time
}

// Covers tells whether the acceptance holds for a finding at a moment: it was
// given since the finding was last opened, for the values that the finding has,
// and has not ended.
func (a Accepted) Covers(f Finding, at time.Time) bool {
	return a.FindingID == f.ID && !a.At.Before(f.OpenedAt) && a.Expected == f.Expected && a.Observed == f.Observed &&
		(a.Until.IsZero() || at.Before(a.Until))
}

// AcceptanceDeclared accepts a finding. A later one of the same finding replaces
// it.
type AcceptanceDeclared struct{ Acceptance }

// EventType implements [event.Payload].
func (AcceptanceDeclared) EventType() event.Type { return TypeAcceptanceDeclared }

// AcceptanceWithdrawn ends the acceptance of a finding.
type AcceptanceWithdrawn struct {
	FindingID uuid.UUID `json:"finding_id"`
	Reason    string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (AcceptanceWithdrawn) EventType() event.Type { return TypeAcceptanceWithdrawn }

func (p AcceptanceDeclared) fold(s *State, _ Mark) {
	s.accepted[p.FindingID] = Accepted{Acceptance: p.Acceptance, By: s.applying.Actor, At: s.applying.Time}
}

func (p AcceptanceWithdrawn) fold(s *State, _ Mark) { delete(s.accepted, p.FindingID) }

// OpenFinding is a finding that is open; false if it is not.
func (s *State) OpenFinding(id uuid.UUID) (Finding, bool) {
	f, ok := s.open[id]
	return f, ok
}

// AcceptanceOf is the acceptance that holds for an open finding at a moment;
// false if there is none.
func (s *State) AcceptanceOf(id uuid.UUID, at time.Time) (Accepted, bool) {
	f, open := s.open[id]
	a, ok := s.accepted[id]
	return a, open && ok && a.Covers(f, at)
}

// Accept is the event that accepts an open finding at a moment, as it is now; nil
// if it is accepted so already. It fails with [event.CodeNotFound] if the finding
// is not open, and with [event.CodeInvalid] without a reason or for a time that is
// over.
func (s *State) Accept(id uuid.UUID, reason string, until, at time.Time) (event.Payload, error) {
	f, open := s.open[id]
	switch {
	case !open:
		return nil, event.Errorf(event.CodeNotFound, "there is no open finding %s: what is resolved needs no acceptance", id)
	case reason == "":
		return nil, event.Errorf(event.CodeInvalid, "the acceptance of finding %s has no reason: say why it may stay, auditors will ask", id)
	case !until.IsZero() && !until.After(at):
		return nil, event.Errorf(event.CodeInvalid, "the acceptance of finding %s would end at %s, which is over: choose a later time or none", id, until.UTC().Format(time.RFC3339))
	}
	wanted := Acceptance{FindingID: id, Reason: reason, Until: until.UTC(), Expected: f.Expected, Observed: f.Observed}
	if now, ok := s.AcceptanceOf(id, at); ok && now.Acceptance == wanted {
		return nil, nil
	}
	return AcceptanceDeclared{wanted}, nil
}

// Unaccept is the event that ends the acceptance of a finding. It fails with
// [event.CodeNotFound] if there is none.
func (s *State) Unaccept(id uuid.UUID, reason string) (event.Payload, error) {
	if _, ok := s.accepted[id]; !ok {
		return nil, event.Errorf(event.CodeNotFound, "finding %s is not accepted: there is nothing to withdraw", id)
	}
	return AcceptanceWithdrawn{FindingID: id, Reason: reason}, nil
}
