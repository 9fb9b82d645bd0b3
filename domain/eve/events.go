// Package eve is the domain of EVE Online characters: their events, their
// sections, money, and the pure rules that turn what ESI answers into facts.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP.
package eve

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events of this world.
const (
	TypeCharacterRegistered event.Type = "muster.eve.character.registered.v1"
	TypeCharacterOrphaned   event.Type = "muster.eve.character.orphaned.v1"
	TypeCharacterReclaimed  event.Type = "muster.eve.character.reclaimed.v1"
	TypeCharacterDisabled   event.Type = "muster.eve.character.disabled.v1"
	TypeCharacterEnabled    event.Type = "muster.eve.character.enabled.v1"
	TypeCharacterForgotten  event.Type = "muster.eve.character.forgotten.v1"
	TypeCharacterShared     event.Type = "muster.eve.character.shared.v2"
	TypeCharacterUnshared   event.Type = "muster.eve.character.unshared.v1"
	TypeSectionObserved     event.Type = "muster.eve.section.observed.v2"
	TypeSectionFailed       event.Type = "muster.eve.section.failed.v1"
	TypeSectionRecovered    event.Type = "muster.eve.section.recovered.v1"
	TypeJournalRecorded     event.Type = "muster.eve.journal.recorded.v1"
	TypeJournalClosed       event.Type = "muster.eve.journal.closed.v1"
)

// Register makes every version of this world's events readable.
func Register(r *event.Registry) {
	event.Register[CharacterRegistered](r)
	event.Register[CharacterOrphaned](r)
	event.Register[CharacterReclaimed](r)
	event.Register[CharacterDisabled](r)
	event.Register[CharacterEnabled](r)
	event.Register[CharacterForgotten](r)
	event.Register[CharacterShared](r)
	event.Register[CharacterUnshared](r)
	event.Register[SectionObserved](r)
	event.Register[SectionFailed](r)
	event.Register[SectionRecovered](r)
	event.Register[JournalRecorded](r)
	event.Register[JournalClosed](r)
	registerFacts(r)
	registerSkillSets(r)
	registerSharing(r)
	registerPlain(r)
}

// Section names a part of a character that is observed on its own, as in paths
// and events.
type Section string

// The sections that ESI fills.
const (
	SectionDetails            Section = "details"
	SectionCorporationHistory Section = "corporation-history"
	SectionAssets             Section = "assets"
	SectionAttributes         Section = "attributes"
	SectionContacts           Section = "contacts"
	SectionContracts          Section = "contracts"
	SectionImplants           Section = "implants"
	SectionClones             Section = "clones"
	SectionLocation           Section = "location"
	SectionLoyalty            Section = "loyalty"
	SectionMails              Section = "mails"
	SectionOnline             Section = "online"
	SectionShip               Section = "ship"
	SectionSkills             Section = "skills"
	SectionSkillQueue         Section = "skill-queue"
	SectionWallet             Section = "wallet"
	SectionWalletJournal      Section = "wallet-journal"
	SectionWalletTransactions Section = "wallet-transactions"
	SectionFWStats            Section = "fw-stats"
	SectionMining             Section = "mining"
	SectionPlanets            Section = "planets"
	SectionRoles              Section = "roles"
	SectionStandings          Section = "standings"
	SectionTitles             Section = "titles"
	SectionOrders             Section = "orders"
	SectionIndustryJobs       Section = "industry-jobs"
	SectionBlueprints         Section = "blueprints"
	SectionKillmails          Section = "killmails"
	SectionNotifications      Section = "notifications"
	SectionCalendar           Section = "calendar"
	SectionFatigue            Section = "fatigue"
	SectionMedals             Section = "medals"
	SectionResearch           Section = "research"
	SectionFittings           Section = "fittings"
)

// CharacterRegistered says that a user has put a character under Muster's care.
type CharacterRegistered struct {
	CharacterID int64    `json:"character_id"`
	Name        string   `json:"name,omitempty"`
	UserID      string   `json:"user_id"`
	OwnerHash   string   `json:"owner_hash,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
	// CorporationID and AllianceID are what the registering side knew; zero
	// when it knew nothing. The details section replaces them.
	CorporationID int64 `json:"corporation_id,omitempty"`
	AllianceID    int64 `json:"alliance_id,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterRegistered) EventType() event.Type { return TypeCharacterRegistered }

// CharacterOrphaned says that a character has no owner any more, for example
// because its owner hash changed. Its history is kept.
type CharacterOrphaned struct {
	CharacterID int64  `json:"character_id"`
	Reason      string `json:"reason"`
}

// EventType implements [event.Payload].
func (CharacterOrphaned) EventType() event.Type { return TypeCharacterOrphaned }

// CharacterReclaimed says that an orphan has an owner again.
type CharacterReclaimed struct {
	CharacterID int64    `json:"character_id"`
	UserID      string   `json:"user_id"`
	OwnerHash   string   `json:"owner_hash,omitempty"`
	Scopes      []string `json:"scopes,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterReclaimed) EventType() event.Type { return TypeCharacterReclaimed }

// CharacterDisabled says that a character is not synced for the time being.
type CharacterDisabled struct {
	CharacterID int64  `json:"character_id"`
	Reason      string `json:"reason"`
}

// EventType implements [event.Payload].
func (CharacterDisabled) EventType() event.Type { return TypeCharacterDisabled }

// CharacterEnabled says that a disabled character is synced again.
type CharacterEnabled struct {
	CharacterID int64  `json:"character_id"`
	Reason      string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterEnabled) EventType() event.Type { return TypeCharacterEnabled }

// CharacterForgotten says that everything about a character was removed because
// somebody asked for it. What came before it in the stream counts no more.
type CharacterForgotten struct {
	CharacterID int64  `json:"character_id"`
	Reason      string `json:"reason"`
	// KeyIDs are the keys of its personal texts that were destroyed with it, so that
	// they can be destroyed again where a copy of them comes back.
	KeyIDs []uuid.UUID `json:"key_ids,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterForgotten) EventType() event.Type { return TypeCharacterForgotten }

// CharacterShared says that its owner has marked a character as shared. It holds for
// as long as he owns it, and until it ends: another owner has not shared it.
type CharacterShared struct {
	CharacterID int64  `json:"character_id"`
	UserID      string `json:"user_id"`
	// Until is the moment at which the sharing has ended, UTC; nil for none.
	Until *time.Time `json:"until,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterShared) EventType() event.Type { return TypeCharacterShared }

// CharacterUnshared says that a character is shared no more.
type CharacterUnshared struct {
	CharacterID int64  `json:"character_id"`
	Reason      string `json:"reason,omitempty"`
}

// EventType implements [event.Payload].
func (CharacterUnshared) EventType() event.Type { return TypeCharacterUnshared }

// Encoding says how the value of a section observation is written.
type Encoding string

const (
	// EncodingFull: the value is the whole section.
	EncodingFull Encoding = "full"
	// EncodingDelta: the value is the difference from a full observation.
	EncodingDelta Encoding = "delta"
)

// SectionObserved says that the content of a section differs from the last
// observation.
type SectionObserved struct {
	CharacterID int64   `json:"character_id"`
	Section     Section `json:"section"`
	// ContentHash is the hash of the canonical content, see [ContentHash].
	ContentHash string   `json:"content_hash"`
	Encoding    Encoding `json:"encoding"`
	// Base is the id of the full observation that a delta refers to.
	Base *uuid.UUID `json:"base,omitempty"`
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time `json:"fetched_at"`
	// ETag and LastModified are ESI's, of the first page; empty when not sent.
	ETag         string     `json:"etag,omitempty"`
	LastModified *time.Time `json:"last_modified,omitempty"`
	// Value is ESI's own JSON: fields and values unknown to Muster are kept. Of
	// a section that several routes fill it is an object with the answer of each.
	// With [EncodingDelta] it is a [Delta].
	Value json.RawMessage `json:"value"`
}

// EventType implements [event.Payload].
func (SectionObserved) EventType() event.Type { return TypeSectionObserved }

// FailureClass says of what kind a failure is; what is done next follows from
// it.
type FailureClass string

// The classes of failures of a section.
const (
	// FailureToken: the login is gone or lacks the scope; waits for the owner.
	FailureToken FailureClass = "token"
	// FailureForbidden: refused though the token is good.
	FailureForbidden FailureClass = "forbidden"
	// FailureNotFound: ESI knows no such thing, which proves nothing.
	FailureNotFound FailureClass = "not_found"
	// FailureRateLimited: a bucket or the error budget is used up.
	FailureRateLimited FailureClass = "rate_limited"
	// FailureServer: ESI answered with a 5xx.
	FailureServer FailureClass = "server"
	// FailureNetwork: no answer, or not in time.
	FailureNetwork FailureClass = "network"
	// FailureMalformed: an answer that cannot be read; it is kept aside.
	FailureMalformed FailureClass = "malformed"
	// FailureTorn: pages of one read do not belong together.
	FailureTorn FailureClass = "torn"
)

// SectionFailed says that a section can no longer be read. It is appended once
// when a spell of failures begins or its class changes, not on every attempt.
type SectionFailed struct {
	CharacterID int64        `json:"character_id"`
	Section     Section      `json:"section"`
	Class       FailureClass `json:"class"`
	// Status is the HTTP status; zero when there was no answer.
	Status int `json:"status,omitempty"`
	// Message says what failed and what to do about it. It holds no secret.
	Message string `json:"message"`
	// Since is when the spell of failures began, UTC.
	Since time.Time `json:"since"`
}

// EventType implements [event.Payload].
func (SectionFailed) EventType() event.Type { return TypeSectionFailed }

// SectionRecovered says that a section can be read again.
type SectionRecovered struct {
	CharacterID int64     `json:"character_id"`
	Section     Section   `json:"section"`
	Since       time.Time `json:"since"`
}

// EventType implements [event.Payload].
func (SectionRecovered) EventType() event.Type { return TypeSectionRecovered }

// JournalRecorded holds entries of a character's wallet journal that were not
// recorded before, all of one UTC day.
type JournalRecorded struct {
	CharacterID int64 `json:"character_id"`
	// Day is the UTC day of all entries, YYYY-MM-DD.
	Day string `json:"day"`
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time `json:"fetched_at"`
	// Entries are in ascending order of their ids.
	Entries []JournalEntry `json:"entries"`
}

// EventType implements [event.Payload].
func (JournalRecorded) EventType() event.Type { return TypeJournalRecorded }

// JournalEntry is one entry of a wallet journal. Its natural key is the
// character with the id: both sides of a donation have the same id.
type JournalEntry struct {
	ID   int64     `json:"id"`
	Date time.Time `json:"date"`
	// RefType is ESI's; values unknown to Muster are kept.
	RefType string `json:"ref_type"`
	// Amount and Balance are the JSON numbers as ESI sent them, long tails
	// included; read them with [ParseISK]. Empty when ESI sent none.
	Amount        json.Number `json:"amount,omitempty"`
	Balance       json.Number `json:"balance,omitempty"`
	FirstPartyID  int64       `json:"first_party_id,omitempty"`
	SecondPartyID int64       `json:"second_party_id,omitempty"`
	Description   string      `json:"description,omitempty"`
	Reason        string      `json:"reason,omitempty"`
	ContextID     int64       `json:"context_id,omitempty"`
	ContextIDType string      `json:"context_id_type,omitempty"`
	Tax           json.Number `json:"tax,omitempty"`
	TaxReceiverID int64       `json:"tax_receiver_id,omitempty"`
	// Extra holds fields that Muster does not know, as ESI sent them.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}
