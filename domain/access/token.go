package access

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// TokenIssued says that somebody was given a token. The token itself is nowhere in
// the log, nor is anything that it follows from.
type TokenIssued struct {
	TokenID uuid.UUID `json:"token_id"`
	// Name says what it is for.
	Name string `json:"name,omitempty"`
	// UserID is the user whom it lets act; empty for a program.
	UserID string `json:"user_id,omitempty"`
	// IssuedBy is the principal who has issued it; IssuedByUser the user who he is,
	// empty for the administrator. The token never does more than he may.
	IssuedBy     string `json:"issued_by"`
	IssuedByUser string `json:"issued_by_user,omitempty"`
	// Scope are the actions that it is for; none for all that its user may do.
	Scope     []Action  `json:"scope,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// EventType implements [event.Payload].
func (TokenIssued) EventType() event.Type { return TypeTokenIssued }

// TokenRevoked says that a token is good for nothing any more.
type TokenRevoked struct {
	TokenID uuid.UUID `json:"token_id"`
	// UserID is the user whom it let act; empty for a program.
	UserID string `json:"user_id,omitempty"`
}

// EventType implements [event.Payload].
func (TokenRevoked) EventType() event.Type { return TypeTokenRevoked }

// Limits of tokens.
const (
	// MaxTokenName is the most bytes of a token's name.
	MaxTokenName = 100
	// MaxTokenLifetime is how long a token may be good.
	MaxTokenLifetime = 366 * 24 * time.Hour
)

// NewToken is what somebody wants a token to be.
type NewToken struct {
	Name string
	// UserID is the user whom it lets act; empty for a program.
	UserID string
	// Scope are the actions that it is for; nil for all that its user may do.
	Scope []Action
	// Lifetime is how long it is good.
	Lifetime time.Duration
}

// DecideToken tells whether somebody may issue such a token. It fails with
// [event.CodeInvalid] for one that cannot be, and with [event.CodeForbidden] for one
// that its issuer may not give: a token for somebody else or for a program is a
// superuser's to give, with what he may do himself; and a token issues no tokens, else
// a stolen one would outlive its revocation. user is what its user was given.
func DecideToken(by Actor, t NewToken, user Grants) error {
	if err := t.validate(); err != nil {
		return err
	}
	switch {
	case by.TokenID != "":
		return event.Errorf(event.CodeForbidden, "%s is a token, and tokens issue no tokens: sign in, or use the administrator's token", by.ID)
	case t.UserID == "" && !by.Administers():
		return event.Errorf(event.CodeForbidden, "%s may not issue a token for a program: only superusers may", by.ID)
	case t.UserID != by.UserID && !by.Administers():
		return event.Errorf(event.CodeForbidden, "%s may not issue a token for user %q: only superusers may issue tokens for others", by.ID, t.UserID)
	}
	for _, action := range t.Scope {
		if by.May(action) != nil || t.UserID != "" && AuthorizeUser(UserPrincipal(t.UserID), user, action) != nil {
			return event.Errorf(event.CodeForbidden, "the token cannot be for %q: a token may do only what its issuer and its user may", action)
		}
	}
	return nil
}

func (t NewToken) validate() error {
	switch {
	case strings.TrimSpace(t.Name) == "":
		return event.Errorf(event.CodeInvalid, "a token needs a name: say what it is for")
	case len(t.Name) > MaxTokenName:
		return event.Errorf(event.CodeInvalid, "the name of the token is %d bytes long: at most %d are allowed", len(t.Name), MaxTokenName)
	case t.Lifetime <= 0 || t.Lifetime > MaxTokenLifetime:
		return event.Errorf(event.CodeInvalid, "a token must end after now and within %d days: give another lifetime", MaxTokenLifetime/(24*time.Hour))
	case t.UserID == "" && len(t.Scope) == 0:
		return event.Errorf(event.CodeInvalid, "a token of a program needs a scope: name the actions that it is for, such as %q", ActionReadCharacters)
	case t.Scope != nil && len(t.Scope) == 0:
		return event.Errorf(event.CodeInvalid, "the scope names no action: leave it out for all that the user may do")
	}
	for i, action := range t.Scope {
		if !slices.Contains(Actions(), action) {
			return event.Errorf(event.CodeInvalid, "scope: there is no action %q: choose from %s", action, join(Actions()))
		}
		if slices.Contains(t.Scope[:i], action) {
			return event.Errorf(event.CodeInvalid, "scope: action %q is there twice", action)
		}
	}
	return nil
}

func join(actions []Action) string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

// TokenPrincipal is who holds a token at the time of its use. issuer is who has issued
// it, as he may act now: what he may not do himself any more, the token may not
// either.
func TokenPrincipal(t TokenIssued, issuer Actor) Principal {
	p := Principal{ID: "token:" + t.TokenID.String(), UserID: t.UserID, TokenID: t.TokenID.String(), Expires: t.ExpiresAt}
	scope := t.Scope
	if t.UserID != "" {
		// The user's name comes first: it is he who acts.
		p.ID = UserPrincipal(t.UserID).ID + "/" + p.ID
		if len(scope) == 0 {
			scope = Actions()
			if issuer.Scope == nil && (t.UserID == issuer.UserID || issuer.Administers()) {
				return p
			}
		}
	}
	p.Scope = []Action{}
	for _, action := range scope {
		if issuer.May(action) == nil {
			p.Scope = append(p.Scope, action)
		}
	}
	return p
}
