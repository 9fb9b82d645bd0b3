// Package sealing seals what is secret in Postgres with the secret key of the installation,
// and replaces that key by another while everything runs.
//
// What is sealed does not say by which key: it is authenticated, so only the key that
// sealed it opens it, and a few are tried.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// KeySize is the length of a secret key.
const KeySize = 32

// ErrOtherKey says that something was sealed with none of the keys.
var ErrOtherKey = errors.New("it was sealed with another key")

// Keys are the secret key and those that it has replaced: AES-256-GCM with random nonces.
// The first one seals, all of them open. They are safe for concurrent use.
type Keys struct {
	aeads []cipher.AEAD
	ids   []string
}

// NewKeys are the current key and further ones that open. It fails with
// [event.CodeInvalid] for one of another length than [KeySize], and for one that is there
// twice.
func NewKeys(current []byte, former ...[]byte) (Keys, error) {
	var k Keys
	for i, key := range append([][]byte{current}, former...) {
		name := "MUSTER_SECRET_KEY or MUSTER_SECRET_KEY_FILE"
		if i > 0 {
			name = "MUSTER_SECRET_KEY_PREVIOUS or MUSTER_SECRET_KEY_PREVIOUS_FILE"
		}
		if len(key) != KeySize {
			return Keys{}, event.Errorf(event.CodeInvalid, "the key that seals tokens has %d bytes: must have %d (%s)", len(key), KeySize, name)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return Keys{}, fmt.Errorf("preparing the key that seals tokens: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Keys{}, fmt.Errorf("preparing the key that seals tokens: %w", err)
		}
		id := Fingerprint(key)
		if slices.Contains(k.ids, id) {
			return Keys{}, event.Errorf(event.CodeInvalid, "the key with fingerprint %s is given twice: MUSTER_SECRET_KEY_PREVIOUS must have other keys than MUSTER_SECRET_KEY", id)
		}
		k.aeads, k.ids = append(k.aeads, aead), append(k.ids, id)
	}
	return k, nil
}

// Fingerprint names a key without telling it, as backups do.
func Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("muster backup: which key"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Fingerprints are the names of the keys, that of the current one first.
func (k Keys) Fingerprints() []string { return append([]string{}, k.ids...) }

// Seal seals a secret with the current key, bound to what it is of, and puts it behind
// the prefix.
func (k Keys) Seal(prefix, secret, binding []byte) []byte {
	return k.aeads[0].Seal(append([]byte{}, prefix...), nil, secret, binding)
}

// Open opens what stands behind the prefix, and tells by which key: 0 for the current one.
// It fails with [ErrOtherKey].
func (k Keys) Open(sealed, binding []byte) (secret []byte, by int, err error) {
	for i, aead := range k.aeads {
		if secret, err := aead.Open(nil, nil, sealed, binding); err == nil {
			return secret, i, nil
		}
	}
	return nil, 0, ErrOtherKey
}
