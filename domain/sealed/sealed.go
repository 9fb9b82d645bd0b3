// Package sealed seals personal texts within the values of events, so that the log
// and all its copies hold nothing that can be read without a key, and what is
// destroyed with the key stays destroyed wherever a copy lies.
//
// In place of a text a value has the object
//
//	{"$sealed":"v1.<key id>.<base64url of nonce and ciphertext>"}
//
// of AES-256-GCM. What is sealed is the JSON of the field. It is bound to the stream,
// type and id of the event, the field's name and its number among the sealed fields of
// the value, so that it can be moved nowhere. The nonce follows from the key, all of
// these and the text: an event that is made again is the same to the letter, and no two
// texts of a key share a nonce.
//
// It is pure: it knows nothing of where keys are kept.
package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// KeySize is the length of a key's secret.
const KeySize = 32

// format is the version of the way of sealing.
const format = "v1"

// ErrDestroyed says that a key was destroyed: what it sealed can never be read again.
var ErrDestroyed = errors.New("the key was destroyed")

// Forgotten is what the name of the field ends in that marks a text whose key was
// destroyed: "body" is null then, and "body_forgotten" is true beside it.
const Forgotten = "_forgotten"

// Key seals and opens texts. It is safe for concurrent use.
type Key struct {
	id    uuid.UUID
	aead  cipher.AEAD
	nonce []byte
}

// NewKey makes a key of its id and secret. It fails with [event.CodeInvalid] for a
// secret of another length than [KeySize].
func NewKey(id uuid.UUID, secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, event.Errorf(event.CodeInvalid, "the secret of text key %s has %d bytes: must have %d", id, len(secret), KeySize)
	}
	k := Key{id: id}
	text, err := hkdf.Expand(sha256.New, secret, "muster/text/seal", KeySize)
	if err == nil {
		k.nonce, err = hkdf.Expand(sha256.New, secret, "muster/text/nonce", sha256.Size)
	}
	var block cipher.Block
	if err == nil {
		block, err = aes.NewCipher(text)
	}
	if err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return Key{}, fmt.Errorf("preparing text key %s: %w", id, err)
	}
	return k, nil
}

// ID names the key. It is no secret.
func (k Key) ID() uuid.UUID { return k.id }

// String keeps the secret out of texts.
func (k Key) String() string { return "text key " + k.id.String() }

// GoString keeps the secret out of texts.
func (k Key) GoString() string { return k.String() }

// place is what a sealed text is bound to.
func place(e event.Event, field string, n int) []byte {
	return []byte(strings.Join([]string{"muster/text/" + format, string(e.Stream), string(e.Type), e.ID.String(), field, strconv.Itoa(n)}, "\x00"))
}

// seal is deterministic: the nonce is a pseudo-random function of all that goes in.
func (k Key) seal(at, text []byte) []byte {
	mac := hmac.New(sha256.New, k.nonce)
	_, _ = mac.Write(at)
	_, _ = mac.Write([]byte{0})
	_, _ = mac.Write(text)
	nonce := mac.Sum(nil)[:k.aead.NonceSize()]
	return k.aead.Seal(nonce, nonce, text, at)
}

func (k Key) open(at, box []byte) ([]byte, error) {
	if len(box) < k.aead.NonceSize() {
		return nil, errors.New("it is cut off")
	}
	return k.aead.Open(nil, box[:k.aead.NonceSize()], box[k.aead.NonceSize():], at)
}

// Seal seals the fields of an event's value that have one of the names, however deep
// they lie. What is null or an empty text, and what is sealed already, stays. It tells
// whether there was anything to seal, and changes nothing of e itself.
func Seal(e event.Event, key Key, names map[string]bool) (event.Event, bool) {
	fields := fieldsOf(e.Data, names)
	if len(fields) == 0 {
		return e, false
	}
	var out bytes.Buffer
	out.Grow(len(e.Data) + len(fields)*160)
	from := 0
	for n, f := range fields {
		out.Write(e.Data[from:f.start])
		out.WriteString(`{"` + event.SealMark + `":"` + format + "." + key.id.String() + ".")
		out.WriteString(base64.RawURLEncoding.EncodeToString(key.seal(place(e, f.name, n), e.Data[f.start:f.end])))
		out.WriteString(`"}`)
		from = f.end
	}
	out.Write(e.Data[from:])
	e.Data = out.Bytes()
	return e, true
}

// Has tells whether the names are of fields that [Seal] would seal.
func Has(data []byte, names map[string]bool) bool { return len(fieldsOf(data, names)) > 0 }

// Open opens all that is sealed in an event's value. find gives the key of an id; of
// what it answers with [ErrDestroyed] the text is null, and marked as [Forgotten]. It
// fails with find's error, and with [event.CodePoisoned] for what was not sealed here.
func Open(e event.Event, find func(uuid.UUID) (Key, error)) (event.Event, error) {
	boxes := boxesOf(e.Data)
	if len(boxes) == 0 {
		return e, nil
	}
	var out bytes.Buffer
	out.Grow(len(e.Data))
	from := 0
	for n, b := range boxes {
		out.Write(e.Data[from:b.start])
		text, err := b.open(e, n, find)
		switch {
		case errors.Is(err, ErrDestroyed):
			out.WriteString(`null,"` + b.field + Forgotten + `":true`)
		case err != nil:
			return e, fmt.Errorf("opening %q: %w", b.field, err)
		default:
			out.Write(text)
		}
		from = b.end
	}
	out.Write(e.Data[from:])
	e.Data = out.Bytes()
	return e, nil
}

// KeyIDs are the keys that an event's value was sealed with, each once.
func KeyIDs(data []byte) []uuid.UUID {
	var ids []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, b := range boxesOf(data) {
		if id, _, err := b.parts(); err == nil && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// box is a sealed text as it lies in a value.
type box struct {
	field      string
	start, end int
	// text is what stands for the text.
	text string
}

// parts takes a box apart.
func (b box) parts() (id uuid.UUID, content []byte, err error) {
	version, rest, _ := strings.Cut(b.text, ".")
	name, packed, _ := strings.Cut(rest, ".")
	if version != format {
		return id, nil, event.Errorf(event.CodePoisoned, "it is sealed as %.10q: this Muster knows %s", version, format)
	}
	if id, err = uuid.Parse(name); err == nil {
		content, err = base64.RawURLEncoding.DecodeString(packed)
	}
	if err != nil {
		return id, nil, event.Errorf(event.CodePoisoned, "it is not sealed as it should be: %w", err)
	}
	return id, content, nil
}

func (b box) open(e event.Event, n int, find func(uuid.UUID) (Key, error)) ([]byte, error) {
	id, content, err := b.parts()
	if err != nil {
		return nil, err
	}
	key, err := find(id)
	if err != nil {
		return nil, err
	}
	text, err := key.open(place(e, b.field, n), content)
	if err != nil || !json.Valid(text) {
		return nil, event.Errorf(event.CodePoisoned, "it does not belong here, or was changed: text key %s does not open it", id)
	}
	return text, nil
}
