package sso

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// KeySize is the length of the key that seals tokens.
const KeySize = 32

// sealFormat is the first byte of a sealed token, so that another way of sealing
// can be told from this one.
const sealFormat = 1

// sealer seals secrets with AES-256-GCM. What is sealed for one character and
// purpose cannot be opened for another. It is safe for concurrent use.
type sealer struct {
	aead cipher.AEAD
}

func newSealer(key []byte) (sealer, error) {
	if len(key) != KeySize {
		return sealer{}, event.Errorf(event.CodeInvalid, "the key that seals tokens has %d bytes: must have %d (MUSTER_SECRET_KEY or MUSTER_SECRET_KEY_FILE)", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("preparing the key that seals tokens: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("preparing the key that seals tokens: %w", err)
	}
	return sealer{aead: aead}, nil
}

// bindingOf is what a PKCE verifier is sealed with: the sign-in that it belongs to.
func bindingOf(signIn uuid.UUID) []byte {
	return fmt.Appendf(nil, "muster/sign-in/verifier/%s", signIn)
}

func (s sealer) sealVerifier(signIn uuid.UUID, verifier string) []byte {
	return s.aead.Seal([]byte{sealFormat}, nil, []byte(verifier), bindingOf(signIn))
}

func (s sealer) openVerifier(signIn uuid.UUID, sealed []byte) (string, error) {
	if len(sealed) > 0 && sealed[0] == sealFormat {
		if verifier, err := s.aead.Open(nil, nil, sealed[1:], bindingOf(signIn)); err == nil {
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
	return s.aead.Seal([]byte{sealFormat}, nil, []byte(secret), binding(character, p))
}

func (s sealer) open(character int64, p purpose, sealed []byte) (string, error) {
	if len(sealed) == 0 || sealed[0] != sealFormat {
		return "", event.Errorf(event.CodeInternal, "the %s token of character %d is sealed in a way this Muster does not know", p, character)
	}
	secret, err := s.aead.Open(nil, nil, sealed[1:], binding(character, p))
	if err != nil {
		return "", event.Errorf(event.CodeInternal, "the %s token of character %d cannot be opened: it was sealed with another key; set the former MUSTER_SECRET_KEY or register the character again", p, character)
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
