package backup

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/muster-sync/muster/domain/event"
)

// MinPassphrase is how many characters a passphrase must have.
const MinPassphrase = 12

// maxSealedKey bounds what is read of a sealed key.
const maxSealedKey = 64 << 10

// Fingerprint tells keys apart and gives nothing of them away.
func Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("muster backup: which key"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// sealKey keeps the fingerprint of a key and, with a passphrase, the key.
func sealKey(ctx context.Context, at Place, id string, key []byte, passphrase string) (*SecretKeyPart, error) {
	if key == nil {
		if passphrase != "" {
			return nil, event.Errorf(event.CodeInvalid, "there is no secret key to put into the backup: set MUSTER_SECRET_KEY or MUSTER_SECRET_KEY_FILE")
		}
		return nil, nil
	}
	part := &SecretKeyPart{Fingerprint: Fingerprint(key)}
	if passphrase == "" {
		return part, nil
	}
	if len(passphrase) < MinPassphrase {
		return nil, event.Errorf(event.CodeInvalid, "the passphrase has %d characters, must have at least %d", len(passphrase), MinPassphrase)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("encrypting the secret key: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err == nil {
		_, err = w.Write(key)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("encrypting the secret key: %w", err)
	}
	part.Sealed = &Object{Name: id + "/secret-key.age", Size: int64(sealed.Len()), SHA256: hashOf(sealed.Bytes())}
	return part, at.Put(ctx, part.Sealed.Name, bytes.NewReader(sealed.Bytes()))
}

// SecretKey gives the key that a backup holds. It fails with [event.CodeNotFound]
// if it holds none and with [event.CodeForbidden] for the wrong passphrase.
func (b *Backup) SecretKey(ctx context.Context, passphrase string) ([]byte, error) {
	part := b.newest().SecretKey
	if part == nil || part.Sealed == nil {
		return nil, event.Errorf(event.CodeNotFound, "backup %s does not hold the secret key: it was taken without --with-secret-key", b.newest().ID)
	}
	if part.Sealed.Size > maxSealedKey {
		return nil, event.Errorf(event.CodePoisoned, "the secret key of backup %s has %d bytes", b.newest().ID, part.Sealed.Size)
	}
	sealed, err := readObject(ctx, b.place, *part.Sealed)
	if err != nil {
		return nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "decrypting the secret key: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, event.Errorf(event.CodeForbidden, "decrypting the secret key: the passphrase is not the one it was encrypted with: %w", err)
	}
	key, err := io.ReadAll(io.LimitReader(r, maxSealedKey))
	if err == nil && Fingerprint(key) != part.Fingerprint {
		err = errors.New("it is not the key that sealed the tables")
	}
	if err != nil {
		return nil, event.Errorf(event.CodePoisoned, "decrypting the secret key: %w", err)
	}
	return key, nil
}
