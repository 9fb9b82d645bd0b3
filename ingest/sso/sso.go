// Package sso keeps the logins of EVE characters: it seals their tokens, renews
// them at EVE's single sign-on, and verifies what it gets.
package sso

import (
	"fmt"
	"time"
)

// Access is an access token that was verified and is valid for a while yet.
type Access struct {
	// Token is a secret: it must not reach a log, an error or a metric.
	Token string
	// Scopes are what the token was granted.
	Scopes    []string
	ExpiresAt time.Time
}

// OwnerChangedError says that a character has another owner than when it was
// registered: it was sold or transferred. Its login must not be used any more.
type OwnerChangedError struct {
	CharacterID int64
	// Was and Is are EVE's owner hashes, which are no secrets.
	Was, Is string
}

// Error implements error.
func (e *OwnerChangedError) Error() string {
	return fmt.Sprintf("character %d has another owner than when it was registered: the new owner has to register it", e.CharacterID)
}
