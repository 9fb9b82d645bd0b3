package access

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Way is by which right somebody has come to see data: what has let him through.
type Way string

// The ways to data.
const (
	// ByOwnership: it is his own. Nobody is told of that.
	ByOwnership Way = "own"
	// ByEverything: he holds [ViewEverything].
	ByEverything Way = "view_everything"
	// ByAlliance: the owner's main is in his main's alliance.
	ByAlliance Way = "same_alliance"
	// ByCorporation: the owner's main is in his main's corporation.
	ByCorporation Way = "same_corporation"
	// BySharing: its owner shares it.
	BySharing Way = "shared"
	// ByLink: its owner has given away a link to it, see [Link].
	ByLink Way = "share_link"
	// ByToken: a program with a token of its own, such as the administrator's, which
	// no view bounds.
	ByToken Way = "token"
)

// DataViewed says that somebody was shown data of others: the answer was ready and was
// given to him. Repeated looks at the same thing are one event with a count.
//
// That of one character lies in the character's stream, so that it goes with the
// character; that of a list lies in the viewer's, or in [event.Org] for a program.
type DataViewed struct {
	// ViewerID is who looked, as a principal, see [Principal]; ViewerUserID is the user
	// who he is, empty for a program.
	ViewerID     string `json:"viewer_id"`
	ViewerUserID string `json:"viewer_user_id,omitempty"`
	// OwnerID is the user who owned the character then; empty for an orphan and for a
	// list.
	OwnerID string `json:"owner_id,omitempty"`
	// CharacterID is zero for a list.
	CharacterID int64 `json:"character_id,omitempty"`
	// Section is what of the character was looked at, by the path below it; "character"
	// is the character itself. Of a list it is the id of the operation.
	Section string `json:"section"`
	// Way is by which right; of a list the widest that bounds it.
	Way Way `json:"way"`
	// LinkID is the link by which, with [ByLink].
	LinkID *uuid.UUID `json:"link_id,omitempty"`
	// FirstAt and LastAt are when the looks began and ended, UTC.
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	// Count is how many looks there were.
	Count int64 `json:"count"`
	// Rows is how many rows of lists were shown in all; zero if that was not known when
	// the answer began, as of an export.
	Rows int64 `json:"rows,omitempty"`
}

// EventType implements [event.Payload].
func (DataViewed) EventType() event.Type { return TypeDataViewed }

// Stream is the stream that the event lies in.
func (d DataViewed) Stream() event.Stream {
	switch {
	case d.CharacterID != 0:
		return event.Character(d.CharacterID)
	case d.ViewerUserID != "":
		return event.User(d.ViewerUserID)
	default:
		return event.Org
	}
}

// Subject is a registered character as views ask for it.
type Subject struct {
	// Owner is empty for an orphan, Home is where the owner's main is.
	Owner string
	Home  Home
	// Shared tells that its owner shares it, and may.
	Shared bool
}

// Way is by which right the view opens a character, the narrowest first; empty if it
// does not.
func (v View) Way(s Subject) Way {
	switch {
	case s.Owner != "" && s.Owner == v.Owner:
		return ByOwnership
	case v.Everything:
		return ByEverything
	case s.Owner == "":
		return ""
	case v.Scope.AllianceID != 0 && v.Scope.Contains(s.Home):
		return ByAlliance
	case v.Scope.CorporationID != 0 && v.Scope.Contains(s.Home):
		return ByCorporation
	case v.Shared && s.Shared:
		return BySharing
	default:
		return ""
	}
}

// Widest is by which right a list that is bounded by the view goes furthest; empty for
// a view that opens nothing.
func (v View) Widest() Way {
	switch {
	case v.Everything:
		return ByEverything
	case v.Scope.AllianceID != 0:
		return ByAlliance
	case v.Scope.CorporationID != 0:
		return ByCorporation
	case v.Shared:
		return BySharing
	case v.Owner != "":
		return ByOwnership
	default:
		return ""
	}
}

// Way is by which right a report that is bounded by the audience goes furthest; empty for
// one of nobody.
func (a Audience) Way() Way {
	switch {
	case a.Everybody:
		return ByEverything
	case a.Scope.AllianceID != 0:
		return ByAlliance
	case a.Scope.CorporationID != 0:
		return ByCorporation
	case a.User != "":
		return ByOwnership
	default:
		return ""
	}
}
