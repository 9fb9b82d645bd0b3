package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// LinkPrefix begins the secret of every link, so that it is known when it is found
// somewhere.
const LinkPrefix = "musterlink_"

// Link is what an owner has given away: one character of his, or some sections of it,
// for some time, to be read.
type Link struct {
	ID          uuid.UUID
	CharacterID int64
	// OwnerID is the user who made it.
	OwnerID string
	// Sections are the sections that it shows; none means all.
	Sections  []string
	ExpiresAt time.Time
}

// sectionCharacter and sectionDetails are two names of what a character is at its
// outside.
const (
	sectionCharacter = "character"
	sectionDetails   = "details"
)

// Shows tells whether the link shows a section of a character. The character itself, as
// it stands, goes with its details.
func (l Link) Shows(character int64, section string) bool {
	if character != l.CharacterID {
		return false
	}
	if section == sectionCharacter {
		section = sectionDetails
	}
	return len(l.Sections) == 0 || slices.Contains(l.Sections, section)
}

// HashSecret is what is kept of a secret that has enough random bits: its SHA-256 in
// hexadecimal.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Authenticators asks one after the other who holds a token. The first who knows it
// answers. It fails with [event.CodeUnauthenticated] if nobody does, in the words of the
// last one, and with any other error as soon as it meets it.
type Authenticators []Authenticator

// Authenticate implements [Authenticator].
func (a Authenticators) Authenticate(ctx context.Context, token string) (Principal, error) {
	unknown := error(event.Errorf(event.CodeUnauthenticated, "nobody holds this token"))
	for _, each := range a {
		p, err := each.Authenticate(ctx, token)
		if err == nil || event.CodeOf(err) != event.CodeUnauthenticated {
			return p, err
		}
		unknown = err
	}
	return Principal{}, unknown
}
