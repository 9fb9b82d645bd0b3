// Package access is the domain of the people who use Muster: users, their mains
// and what they may see.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP.
package access

import (
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Types of the events of this domain.
const (
	TypeUserRegistered event.Type = "muster.access.user.registered.v1"
	TypeMainSet        event.Type = "muster.access.main.set.v1"
	TypeListed         event.Type = "muster.access.characters.listed.v1"
	TypeTokenIssued    event.Type = "muster.access.token.issued.v1"
	TypeTokenRevoked   event.Type = "muster.access.token.revoked.v1"
	TypeDataViewed     event.Type = "muster.access.data.viewed.v1"
	TypeRoleDefined    event.Type = "muster.access.role.defined.v1"
	TypeRoleRemoved    event.Type = "muster.access.role.removed.v1"
	TypeRoleGranted    event.Type = "muster.access.role.granted.v1"
	TypeRoleRevoked    event.Type = "muster.access.role.revoked.v1"
	TypeGroupDefined   event.Type = "muster.access.compliancegroup.defined.v1"
	TypeGroupRemoved   event.Type = "muster.access.compliancegroup.removed.v1"
	// These are no decisions but what follows from the others.
	TypeComplianceChanged event.Type = "muster.access.compliance.changed.v1"
	TypeGroupsGained      event.Type = "muster.access.compliancegroups.gained.v1"
	TypeGroupsLost        event.Type = "muster.access.compliancegroups.lost.v1"
)

// Register makes every version of this domain's events readable.
func Register(r *event.Registry) {
	event.Register[UserRegistered](r)
	event.Register[MainSet](r)
	event.Register[CharactersListed](r)
	event.Register[TokenIssued](r)
	event.Register[TokenRevoked](r)
	event.Register[DataViewed](r)
	event.Register[RoleDefined](r)
	event.Register[RoleRemoved](r)
	event.Register[RoleGranted](r)
	event.Register[RoleRevoked](r)
	event.Register[ComplianceChanged](r)
	event.Register[GroupDefined](r)
	event.Register[GroupRemoved](r)
	event.Register[GroupsGained](r)
	event.Register[GroupsLost](r)
}

// UserRegistered says who a user is and what he was given. It replaces what was
// known of him before, except his main.
type UserRegistered struct {
	UserID    string `json:"user_id"`
	Name      string `json:"name,omitempty"`
	Superuser bool   `json:"superuser,omitempty"`
	Active    bool   `json:"active"`
	// State is Member, Blue or Guest, or another state of the host application.
	State string `json:"state,omitempty"`
	// Permissions is the union of what was given to the user himself, through
	// his groups and through his state.
	Permissions []string `json:"permissions,omitempty"`
}

// EventType implements [event.Payload].
func (UserRegistered) EventType() event.Type { return TypeUserRegistered }

// MainSet says which of his characters is a user's main; nil for none.
type MainSet struct {
	UserID      string `json:"user_id"`
	CharacterID *int64 `json:"character_id"`
}

// EventType implements [event.Payload].
func (MainSet) EventType() event.Type { return TypeMainSet }

// CharactersListed says which characters a user owns that are not registered, by the
// word of the application that users come from. It replaces the list before it. One
// that is registered later is what its own stream says, listed or not.
type CharactersListed struct {
	UserID     string            `json:"user_id"`
	Characters []ListedCharacter `json:"characters,omitempty"`
}

// EventType implements [event.Payload].
func (CharactersListed) EventType() event.Type { return TypeListed }

// ListedCharacter is a character that is owned and not registered. Where it is
// matters if it is a main.
type ListedCharacter struct {
	CharacterID   int64  `json:"character_id"`
	Name          string `json:"name,omitempty"`
	CorporationID int64  `json:"corporation_id,omitempty"`
	// AllianceID is zero for none.
	AllianceID int64 `json:"alliance_id,omitempty"`
}

// ComplianceChanged says that a user has become compliant, or is so no more, or that
// reports consider him from now on, or no more, or that what there is to be put right is
// of other kinds; see [Roster.Compliance]. It is an
// observation of the organisation, made so that its history can be drawn.
type ComplianceChanged struct {
	UserID string `json:"user_id"`
	// Considered: he holds [BasicAccess] and is no guest. One who is not considered is
	// not compliant either.
	Considered bool `json:"considered"`
	Compliant  bool `json:"compliant"`
	// Total counts the characters he owns, Unregistered those of them that are not
	// registered.
	Total        int `json:"total"`
	Unregistered int `json:"unregistered"`
	// Reasons are what there is to be put right.
	Reasons []Reason `json:"reasons,omitempty"`
	// Since is the time of the event that it follows from, UTC.
	Since time.Time `json:"since"`
}

// EventType implements [event.Payload].
func (ComplianceChanged) EventType() event.Type { return TypeComplianceChanged }
