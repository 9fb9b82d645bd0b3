// Package access is the domain of the people who use Muster: users, their mains
// and what they may see.
//
// It is pure: it knows nothing of Kafka, SQL or HTTP.
package access

import "github.com/muster-sync/muster/domain/event"

// Types of the events of this domain.
const (
	TypeUserRegistered event.Type = "muster.access.user.registered.v1"
	TypeMainSet        event.Type = "muster.access.main.set.v1"
)

// Register makes every version of this domain's events readable.
func Register(r *event.Registry) {
	event.Register[UserRegistered](r)
	event.Register[MainSet](r)
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
