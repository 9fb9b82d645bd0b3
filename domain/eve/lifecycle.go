package eve

import (
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Standing is what decisions about a character rest on: what the events so far
// add up to. The zero value is a character that Muster does not know, because it
// never did or because it was asked to forget it.
type Standing struct {
	// Known tells that the character was registered and not forgotten since.
	Known bool
	// UserID is the owner; empty for an orphan.
	UserID string
	// OwnerHash is EVE's, as of the last registration; empty if none was given.
	OwnerHash string
	// Disabled tells that somebody has switched the sync off. An owner who comes or
	// goes does not change it.
	Disabled bool
}

// Claim is what somebody has proved at EVE's sign-on, in the name of a user.
type Claim struct {
	CharacterID int64
	Name        string
	UserID      string
	OwnerHash   string
	Scopes      []string
}

// Registration says what a claim came to.
type Registration string

const (
	// RegisteredNew: Muster did not know the character.
	RegisteredNew Registration = "registered"
	// RegisteredAgain: the same owner has given a new login.
	RegisteredAgain Registration = "renewed"
	// RegisteredOrphan: nobody owned the character.
	RegisteredOrphan Registration = "reclaimed"
	// RegisteredTransfer: another user, or by EVE's owner hash another player,
	// owned the character.
	RegisteredTransfer Registration = "transferred"
)

// Reasons that a decision gives by itself.
const (
	ReasonOwnerHash = "transferred: EVE's owner hash is another one"
	ReasonOtherUser = "transferred: another user has registered it"
)

// DecideRegistration decides on a claim. A claim is always told, also if it says
// what is known already: that an owner has come back is a fact of its own. A
// transfer is told as the end of one ownership and the beginning of another, so
// that the log says where the one ends. It fails with [event.CodeInvalid] for a
// claim that proves nothing.
func DecideRegistration(s Standing, c Claim) ([]event.Payload, Registration, error) {
	switch {
	case c.CharacterID <= 0 || c.UserID == "":
		return nil, "", event.Errorf(event.CodeInvalid, "registering character %d for user %q: both must be named", c.CharacterID, c.UserID)
	case c.OwnerHash == "":
		return nil, "", event.Errorf(event.CodeInvalid, "registering character %d: EVE names no owner, so nobody has proved to own it", c.CharacterID)
	}
	claimed := CharacterReclaimed{CharacterID: c.CharacterID, UserID: c.UserID, OwnerHash: c.OwnerHash, Scopes: c.Scopes}
	ended := func(reason string) ([]event.Payload, Registration, error) {
		return []event.Payload{CharacterOrphaned{CharacterID: c.CharacterID, Reason: reason}, claimed}, RegisteredTransfer, nil
	}
	switch {
	case !s.Known:
		return []event.Payload{CharacterRegistered{
			CharacterID: c.CharacterID, Name: c.Name, UserID: c.UserID, OwnerHash: c.OwnerHash, Scopes: c.Scopes,
		}}, RegisteredNew, nil
	case s.UserID == "":
		return []event.Payload{claimed}, RegisteredOrphan, nil
	case s.OwnerHash != "" && s.OwnerHash != c.OwnerHash:
		return ended(ReasonOwnerHash)
	case s.UserID != c.UserID:
		return ended(ReasonOtherUser)
	default:
		return []event.Payload{claimed}, RegisteredAgain, nil
	}
}

// DecideDisable switches the sync of a character off. One that is off already
// stays as it is. It fails with [event.CodeNotFound] for an unknown character and
// with [event.CodeInvalid] without a reason.
func DecideDisable(s Standing, id int64, reason string) ([]event.Payload, error) {
	if err := s.check(id); err != nil {
		return nil, err
	}
	reason, err := because("disabling", id, reason)
	if err != nil || s.Disabled {
		return nil, err
	}
	return []event.Payload{CharacterDisabled{CharacterID: id, Reason: reason}}, nil
}

// DecideEnable switches the sync of a character on again. One that is on already
// stays as it is. It fails with [event.CodeNotFound] for an unknown character.
func DecideEnable(s Standing, id int64, reason string) ([]event.Payload, error) {
	if err := s.check(id); err != nil || !s.Disabled {
		return nil, err
	}
	return []event.Payload{CharacterEnabled{CharacterID: id, Reason: strings.TrimSpace(reason)}}, nil
}

// DecideRemove ends the ownership of a character: its owner gives it up, and what
// is known of it stays. An orphan stays as it is. It fails with
// [event.CodeNotFound] for an unknown character and with [event.CodeInvalid]
// without a reason.
func DecideRemove(s Standing, id int64, reason string) ([]event.Payload, error) {
	if err := s.check(id); err != nil {
		return nil, err
	}
	reason, err := because("removing", id, reason)
	if err != nil || s.UserID == "" {
		return nil, err
	}
	return []event.Payload{CharacterOrphaned{CharacterID: id, Reason: reason}}, nil
}

// DecideForget takes everything about a character out of what Muster shows. It
// cannot be undone. It fails with [event.CodeNotFound] for an unknown character,
// which a forgotten one is, and with [event.CodeInvalid] without a reason.
func DecideForget(s Standing, id int64, reason string) ([]event.Payload, error) {
	if err := s.check(id); err != nil {
		return nil, err
	}
	reason, err := because("forgetting", id, reason)
	if err != nil {
		return nil, err
	}
	return []event.Payload{CharacterForgotten{CharacterID: id, Reason: reason}}, nil
}

// CheckSynced fails with [event.CodeNotFound] for an unknown character and with
// [event.CodeConflict] for one that is not synced, so that reading it now would be
// against what was decided.
func CheckSynced(s Standing, id int64) error {
	switch err := s.check(id); {
	case err != nil:
		return err
	case s.UserID == "":
		return event.Errorf(event.CodeConflict, "character %d has no owner, and without one it is not read: its owner has to register it", id)
	case s.Disabled:
		return event.Errorf(event.CodeConflict, "character %d is disabled, so it is not read: enable it first", id)
	default:
		return nil
	}
}

func (s Standing) check(id int64) error {
	if s.Known {
		return nil
	}
	return event.Errorf(event.CodeNotFound, "there is no character %d: it was never registered, or it was forgotten", id)
}

// maxReason bounds reasons, in bytes.
const maxReason = 2000

// because checks the reason that a decision needs. People will ask for it when
// nobody remembers any more.
func because(doing string, id int64, reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", event.Errorf(event.CodeInvalid, "%s character %d needs a reason: it is kept in the log, for those who will ask", doing, id)
	case len(reason) > maxReason:
		return "", event.Errorf(event.CodeInvalid, "%s character %d: the reason is %d bytes long, at most %d are kept: say it in short", doing, id, len(reason), maxReason)
	}
	return reason, nil
}
