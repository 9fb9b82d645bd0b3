package eve

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Base is what must be remembered of a full observation to write later ones as
// differences from it. Its zero value is no base.
type Base struct {
	// ID is the id of the full observation.
	ID uuid.UUID
	// At is when its answer was received, UTC.
	At time.Time
	// Keys has the key and a hash of each element, in a form of its own.
	Keys []byte
}

// baseFormat is the first byte of the form of [Base.Keys].
const baseFormat = 1

// fingerprint tells two elements apart.
type fingerprint uint64

// fingerprinter makes fingerprints of elements, however their JSON is written.
type fingerprinter struct{ canonicalizer }

func (f *fingerprinter) of(value []byte) fingerprint {
	f.out = f.out[:0]
	f.value("", value)
	sum := sha256.Sum256(f.out)
	return fingerprint(binary.LittleEndian.Uint64(sum[:]))
}

// newBase is the base that a full observation makes.
func newBase(id uuid.UUID, at time.Time, c Content) Base {
	var f fingerprinter
	keys := []byte{baseFormat}
	head := fingerprint(0)
	if c.Head != nil {
		head = f.of(c.Head)
	}
	keys = binary.LittleEndian.AppendUint64(keys, uint64(head))
	for _, list := range c.Lists {
		keys = binary.AppendUvarint(keys, uint64(len(list.Items)))
		previous := ""
		for _, item := range list.Items {
			keys = appendKey(keys, previous, item.Key)
			keys = binary.LittleEndian.AppendUint64(keys, uint64(f.of(item.Raw)))
			previous = item.Key
		}
	}
	return Base{ID: id, At: at.UTC(), Keys: keys}
}

// appendKey writes a key as what it has not in common with the one before.
func appendKey(to []byte, previous, key string) []byte {
	shared := 0
	for shared < len(previous) && shared < len(key) && previous[shared] == key[shared] {
		shared++
	}
	to = binary.AppendUvarint(to, uint64(shared))
	to = binary.AppendUvarint(to, uint64(len(key)-shared))
	return append(to, key[shared:]...)
}

// packed reads what appendKey and its like wrote. After a failure it reads zeros.
type packed struct {
	rest   []byte
	failed bool
}

func (p *packed) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.failed, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *packed) varint() int64 {
	v, n := binary.Varint(p.rest)
	if n <= 0 {
		p.failed, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *packed) bytes(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.failed, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *packed) fingerprint() fingerprint {
	b := p.bytes(8)
	if b == nil {
		return 0
	}
	return fingerprint(binary.LittleEndian.Uint64(b))
}

func (p *packed) key(previous string) string {
	shared := p.uvarint()
	rest := p.bytes(p.uvarint())
	if shared > uint64(len(previous)) {
		p.failed, p.rest = true, nil
		return ""
	}
	return previous[:shared] + string(rest)
}

// difference is the delta from a base to a content. It fails with
// [event.CodeInvalid] if the base's keys cannot be read.
func (b Base) difference(c Content) (Delta, error) {
	bad := event.Errorf(event.CodeInvalid, "the remembered keys of section %s cannot be read", c.Section)
	p := packed{rest: b.Keys}
	if format := p.bytes(1); len(format) == 0 || format[0] != baseFormat {
		return Delta{}, bad
	}
	var f fingerprinter
	var d Delta
	if head := p.fingerprint(); c.Head != nil && f.of(c.Head) != head {
		d.Head = c.Head
	}
	for _, list := range c.Lists {
		change := ListDelta{Path: list.Path}
		rest := list.Items
		previous := ""
		for range p.uvarint() {
			key, was := p.key(previous), p.fingerprint()
			if p.failed {
				return Delta{}, bad
			}
			previous = key
			for len(rest) > 0 && rest[0].Key < key {
				change.Added = append(change.Added, rest[0].Raw)
				rest = rest[1:]
			}
			if len(rest) == 0 || rest[0].Key != key {
				change.Removed = append(change.Removed, key)
				continue
			}
			if f.of(rest[0].Raw) != was {
				change.Changed = append(change.Changed, rest[0].Raw)
			}
			rest = rest[1:]
		}
		for _, item := range rest {
			change.Added = append(change.Added, item.Raw)
		}
		if len(change.Added)+len(change.Changed)+len(change.Removed) > 0 {
			d.Lists = append(d.Lists, change)
		}
	}
	if p.failed || len(p.rest) > 0 {
		return Delta{}, bad
	}
	return d, nil
}

// Rules of when an observation is written as a difference.
const (
	// fullEvery is how old a base may become.
	fullEvery = 30 * 24 * time.Hour
	// smallValue is the size in bytes below which a value is always written in
	// full.
	smallValue = 4 << 10
)

// encodeDelta writes a content as a difference from its base; false if it is
// better written in full.
func (b Base) encodeDelta(c Content, full int, at time.Time) (json.RawMessage, bool, error) {
	if b.ID == uuid.Nil || full < smallValue || at.Sub(b.At) >= fullEvery || at.Before(b.At) {
		return nil, false, nil
	}
	d, err := b.difference(c)
	if err != nil {
		return nil, false, err
	}
	value, err := json.Marshal(d)
	if err != nil {
		return nil, false, event.Errorf(event.CodeInvalid, "writing a delta of section %s: %w", c.Section, err)
	}
	return value, len(value) <= full/2, nil
}
