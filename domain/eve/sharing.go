package eve

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events about what owners show of their characters.
const (
	// TypeCharacterSharedV1 had no end.
	TypeCharacterSharedV1 event.Type = "muster.eve.character.shared.v1"
	TypeLinkIssued        event.Type = "muster.eve.link.issued.v1"
	TypeLinkRevoked       event.Type = "muster.eve.link.revoked.v1"
)

// characterSharedV1 is what the first version of [CharacterShared] said.
type characterSharedV1 struct {
	CharacterID int64  `json:"character_id"`
	UserID      string `json:"user_id"`
}

func registerSharing(r *event.Registry) {
	event.Upcast(r, TypeCharacterSharedV1, func(old characterSharedV1) (CharacterShared, error) {
		return CharacterShared{CharacterID: old.CharacterID, UserID: old.UserID}, nil
	})
	event.Register[LinkIssued](r)
	event.Register[LinkRevoked](r)
}

// LinkIssued says that its owner has made a link to a character: who has the secret
// reads the character until the link expires, is revoked, or somebody else owns the
// character. Whether the owner may still share is asked when the link is used.
type LinkIssued struct {
	CharacterID int64     `json:"character_id"`
	LinkID      uuid.UUID `json:"link_id"`
	// UserID is the owner who made it.
	UserID string `json:"user_id"`
	// SecretHash is the SHA-256 of the secret, in hexadecimal. The secret has 256
	// random bits, so nothing leads from here to it.
	SecretHash string `json:"secret_hash"`
	// Sections are those that it shows; none means all.
	Sections []Section `json:"sections,omitempty"`
	// Note is the owner's own, such as whom it is for.
	Note string `json:"note,omitempty"`
	// ExpiresAt is the moment from which it shows nothing, UTC.
	ExpiresAt time.Time `json:"expires_at"`
}

// EventType implements [event.Payload].
func (LinkIssued) EventType() event.Type { return TypeLinkIssued }

// LinkRevoked says that a link shows nothing any more.
type LinkRevoked struct {
	CharacterID int64     `json:"character_id"`
	LinkID      uuid.UUID `json:"link_id"`
	Reason      string    `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (LinkRevoked) EventType() event.Type { return TypeLinkRevoked }

// Sharing is how the sharing of a character by its present owner stands. The zero
// value is a character that is not shared.
type Sharing struct {
	Shared bool
	// Until is when it ends; nil for never.
	Until *time.Time
}

// Over tells whether a sharing has run out by then: it has at its last moment.
func (s Sharing) Over(now time.Time) bool {
	return s.Shared && s.Until != nil && !now.Before(*s.Until)
}

// Reasons of sharings that nobody took back.
const (
	ReasonTimeout        = "timeout"
	ReasonPermissionLost = "permission lost"
)

// checkOwned fails with [event.CodeNotFound] for an unknown character, and with
// [event.CodeForbidden] for everybody but its owner.
func (s Standing) checkOwned(id int64, user, doing string) error {
	if err := s.check(id); err != nil {
		return err
	}
	if user == "" || s.UserID != user {
		return event.Errorf(event.CodeForbidden, "only the owner of character %d may %s, superusers included", id, doing)
	}
	return nil
}

// DecideShare has a character shared by its owner until the moment, or without an end.
// What is so already stays as it is. It fails with [event.CodeNotFound] for an unknown
// character, with [event.CodeForbidden] for everybody but its owner, and with
// [event.CodeInvalid] for an end that is over.
func DecideShare(s Standing, before Sharing, id int64, user string, until *time.Time, now time.Time) ([]event.Payload, error) {
	if err := s.checkOwned(id, user, "share it"); err != nil {
		return nil, err
	}
	if until != nil && !now.Before(*until) {
		return nil, event.Errorf(event.CodeInvalid, "sharing character %d until %s: that is over; give a later moment, or none", id, until.UTC().Format(time.RFC3339))
	}
	same := before.Until == nil && until == nil || before.Until != nil && until != nil && before.Until.Equal(*until)
	if before.Shared && same {
		return nil, nil
	}
	if until != nil {
		until = new(until.UTC())
	}
	return []event.Payload{CharacterShared{CharacterID: id, UserID: user, Until: until}}, nil
}

// DecideUnshare ends the sharing of a character by its owner. One that is not shared
// stays as it is. It fails as [DecideShare] does.
func DecideUnshare(s Standing, before Sharing, id int64, user, reason string) ([]event.Payload, error) {
	if err := s.checkOwned(id, user, "unshare it"); err != nil || !before.Shared {
		return nil, err
	}
	return []event.Payload{CharacterUnshared{CharacterID: id, Reason: strings.TrimSpace(reason)}}, nil
}

// DecideLapsed ends a sharing that gives nothing any more, because it is over or
// because its owner may not share. (Member Audit 5.1.0 does so periodically.)
func DecideLapsed(before Sharing, id int64, mayShare bool, now time.Time) []event.Payload {
	switch {
	case !before.Shared:
		return nil
	case before.Over(now):
		return []event.Payload{CharacterUnshared{CharacterID: id, Reason: ReasonTimeout}}
	case !mayShare:
		return []event.Payload{CharacterUnshared{CharacterID: id, Reason: ReasonPermissionLost}}
	default:
		return nil
	}
}

// maxNote bounds the notes of links, in bytes.
const maxNote = 500

// DecideLink makes a link, whose UserID asks for it. The longest that it may hold is
// longest. It fails as [DecideShare] does, and with [event.CodeInvalid] for a link that
// has no end, ends too late, or names a section that there is none of.
func DecideLink(s Standing, l LinkIssued, longest time.Duration, now time.Time) ([]event.Payload, error) {
	if err := s.checkOwned(l.CharacterID, l.UserID, "make links to it"); err != nil {
		return nil, err
	}
	switch {
	case !now.Before(l.ExpiresAt):
		return nil, event.Errorf(event.CodeInvalid, "a link to character %d that expires at %s: that is over; give a later moment", l.CharacterID, l.ExpiresAt.UTC().Format(time.RFC3339))
	case l.ExpiresAt.Sub(now) > longest:
		return nil, event.Errorf(event.CodeInvalid, "a link to character %d that expires at %s: it may hold for %s at most; give an earlier moment", l.CharacterID, l.ExpiresAt.UTC().Format(time.RFC3339), longest)
	case len(l.Note) > maxNote:
		return nil, event.Errorf(event.CodeInvalid, "a link to character %d: its note is %d bytes long, at most %d are kept: say it in short", l.CharacterID, len(l.Note), maxNote)
	}
	for _, section := range l.Sections {
		if !slices.Contains(LinkSections(), section) {
			return nil, event.Errorf(event.CodeInvalid, "a link to character %d: there is no section %q; see GET /v1/characters/{id} for all", l.CharacterID, section)
		}
	}
	l.ExpiresAt, l.Note = l.ExpiresAt.UTC(), strings.TrimSpace(l.Note)
	return []event.Payload{l}, nil
}

// LinkSections are what a link can show: the sections that ESI fills, and what follows
// from them.
func LinkSections() []Section {
	return []Section{
		SectionDetails, SectionCorporationHistory, SectionAssets, SectionAttributes, SectionContacts, SectionContracts, SectionImplants, SectionClones,
		SectionLocation, SectionLoyalty, SectionMails, SectionOnline, SectionShip, SectionSkills, SectionSkillQueue, "skill-sets", SectionWallet,
		SectionWalletJournal, SectionWalletTransactions, SectionFWStats, SectionMining, SectionPlanets, SectionRoles, SectionStandings, SectionTitles,
		SectionOrders, SectionIndustryJobs, SectionBlueprints, SectionKillmails, SectionNotifications, SectionCalendar, SectionFatigue, SectionMedals,
		SectionResearch, SectionFittings,
	}
}

// DecideRevoke takes a link back that the owner's links hold. It fails as [DecideShare]
// does, and with [event.CodeNotFound] for a link that is not among them.
func DecideRevoke(s Standing, links []uuid.UUID, id int64, user string, link uuid.UUID, reason string) ([]event.Payload, error) {
	if err := s.checkOwned(id, user, "revoke links to it"); err != nil {
		return nil, err
	}
	if !slices.Contains(links, link) {
		return nil, event.Errorf(event.CodeNotFound, "there is no link %s to character %d that holds: see GET /v1/characters/%d/share-links", link, id, id)
	}
	return []event.Payload{LinkRevoked{CharacterID: id, LinkID: link, Reason: strings.TrimSpace(reason)}}, nil
}
