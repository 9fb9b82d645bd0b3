package sso

import (
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/sealing"
)

// KeySize is the length of the key that seals tokens.
const KeySize = sealing.KeySize

// sealFormat is the first byte of a sealed token, so that another way of sealing
// can be told from this one.
const sealFormat = 1

// sealer seals secrets with the secret key. What is sealed for one character and
// purpose cannot be opened for another. It is safe for concurrent use.
type sealer struct{ keys sealing.Keys }

func newSealer(key []byte, former [][]byte) (sealer, error) {
	keys, err := sealing.NewKeys(key, former...)
	return sealer{keys}, err
}

// SealedColumns are those of the tables that hold what a [Vault] seals.
func SealedColumns() []sealing.Column {
	token := func(name string, p purpose) sealing.Column {
		return sealing.Column{
			Table: "ingest.token", Name: name, Key: "character_id", KeyType: "bigint", Character: "character_id", Prefix: []byte{sealFormat},
			Binding: func(_ string, character int64) ([]byte, error) { return binding(character, p), nil },
		}
	}
	verifier := func(table string) sealing.Column {
		return sealing.Column{
			Table: table, Name: "verifier_sealed", Key: "id", KeyType: "uuid", Prefix: []byte{sealFormat},
			Binding: func(key string, _ int64) ([]byte, error) {
				id, err := uuid.Parse(key)
				return bindingOf(id), err
			},
		}
	}
	return []sealing.Column{token("refresh_sealed", forRefresh), token("access_sealed", forAccess), verifier("ingest.sign_in"), verifier("ingest.person_sign_in")}
}

// bindingOf is what a PKCE verifier is sealed with: the sign-in that it belongs to.
func bindingOf(signIn uuid.UUID) []byte {
	return fmt.Appendf(nil, "muster/sign-in/verifier/%s", signIn)
}

func (s sealer) sealVerifier(signIn uuid.UUID, verifier string) []byte {
	return s.keys.Seal([]byte{sealFormat}, []byte(verifier), bindingOf(signIn))
}

func (s sealer) openVerifier(signIn uuid.UUID, sealed []byte) (string, error) {
	if len(sealed) > 0 && sealed[0] == sealFormat {
		if verifier, _, err := s.keys.Open(sealed[1:], bindingOf(signIn)); err == nil {
			return string(verifier), nil
		}
	}
	return "", event.Errorf(event.CodeInternal, "what was kept of sign-in %s cannot be opened: it was sealed with another MUSTER_SECRET_KEY; begin again", signIn)
}

// purpose keeps access tokens and refresh tokens apart.
type purpose string

const (
	forRefresh purpose = "refresh"
	forAccess  purpose = "access"
)

func binding(character int64, p purpose) []byte {
	return fmt.Appendf(nil, "muster/token/%s/%d", p, character)
}

func (s sealer) seal(character int64, p purpose, secret string) []byte {
	return s.keys.Seal([]byte{sealFormat}, []byte(secret), binding(character, p))
}

func (s sealer) open(character int64, p purpose, sealed []byte) (string, error) {
	if len(sealed) == 0 || sealed[0] != sealFormat {
		return "", event.Errorf(event.CodeInternal, "the %s token of character %d is sealed in a way this Muster does not know", p, character)
	}
	secret, _, err := s.keys.Open(sealed[1:], binding(character, p))
	if err != nil {
		return "", event.Errorf(event.CodeInternal, "the %s token of character %d cannot be opened: it was sealed with another key; set that one as MUSTER_SECRET_KEY_PREVIOUS or register the character again", p, character)
	}
	return string(secret), nil
}

// NewKey makes a random key.
func NewKey() []byte {
	key := make([]byte, KeySize)
	// Read never fails; it ends the program instead.
	_, _ = rand.Read(key)
	return key
}
