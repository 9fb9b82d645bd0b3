package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bytedance/sonic"
)

// Registry knows how to read every version of every event type that was ever
// written. It is filled once while a program is wired and is then safe for
// concurrent use.
type Registry struct {
	readers map[Type]reader
	opener  Opener
}

// SealMark is the only field of an object that stands for a sealed text.
const SealMark = "$sealed"

// Opener opens what is sealed in an event's value. It fails with [CodeUnavailable] for
// what may be opened later, and with [CodePoisoned] for what never can be.
type Opener func(Event) (Event, error)

// OpenWith has sealed values opened before they are decoded. It belongs to the wiring
// and must be called before the registry is used.
func (r *Registry) OpenWith(o Opener) { r.opener = o }

// Open is the event with what was sealed in its value opened; see [Opener]. Most
// values have nothing sealed, and are returned as they are. It fails with
// [CodeUnavailable] if nobody has the keys.
func (r *Registry) Open(e Event) (Event, error) {
	if !bytes.Contains(e.Data, []byte(`"`+SealMark+`"`)) {
		return e, nil
	}
	if r.opener == nil {
		return e, Errorf(CodeUnavailable, "event %s: it has sealed texts, and there are no keys here", e.Key())
	}
	opened, err := r.opener(e)
	if err != nil {
		return e, fmt.Errorf("event %s: %w", e.Key(), err)
	}
	return opened, nil
}

// reader decodes one version of a type into the payload of its current version.
type reader struct {
	current bool
	decode  func([]byte) (Payload, error)
}

// NewRegistry is an empty registry. Fill it with [Register] and [Upcast].
func NewRegistry() *Registry { return &Registry{readers: map[Type]reader{}} }

// Register makes the current version of a type readable. It panics if the type
// was registered before or its name is invalid: that is a defect of the wiring.
func Register[P Payload](r *Registry) {
	var zero P
	t := zero.EventType()
	r.add(t, reader{current: true, decode: func(data []byte) (Payload, error) {
		p, err := decodeAs[P](data)
		if err != nil {
			return nil, err
		}
		return p, nil
	}})
}

// Upcast makes the version before the current one readable: old values are
// decoded as O and turned into N, the current payload, by a pure function.
func Upcast[O any, N Payload](r *Registry, oldType Type, f func(O) (N, error)) {
	r.add(oldType, reader{decode: func(data []byte) (Payload, error) {
		o, err := decodeAs[O](data)
		if err != nil {
			return nil, err
		}
		return f(o)
	}})
}

// Chain makes an old version readable whose successor nextType is old, too: the
// value made by f is encoded and read again as nextType.
func Chain[O, N any](r *Registry, oldType, nextType Type, f func(O) (N, error)) {
	r.add(oldType, reader{decode: func(data []byte) (Payload, error) {
		o, err := decodeAs[O](data)
		if err != nil {
			return nil, err
		}
		n, err := f(o)
		if err != nil {
			return nil, err
		}
		next, err := json.Marshal(n)
		if err != nil {
			return nil, fmt.Errorf("encoding as %s: %w", nextType, err)
		}
		return r.decode(nextType, next)
	}})
}

// decodeAs reads JSON by the rules of encoding/json. Decoding is most of the work
// of a replay, and sonic does it three times as fast; what sonic refuses is for
// encoding/json to judge, which also says what is wrong in one line.
func decodeAs[T any](data []byte) (T, error) {
	var fast T
	if plainEscapes(data) && sonic.ConfigStd.Unmarshal(data, &fast) == nil {
		return fast, nil
	}
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

// plainEscapes tells whether all that follows a backslash is what may: sonic does not
// look into texts that it passes over.
func plainEscapes(data []byte) bool {
	for {
		at := bytes.IndexByte(data, '\\')
		if at < 0 {
			return true
		}
		data = data[at+1:]
		if len(data) == 0 || !strings.ContainsRune(`"\/bfnrtu`, rune(data[0])) {
			return false
		}
		if data[0] == 'u' && (len(data) < 5 || !isHex(data[1:5])) {
			return false
		}
		data = data[1:]
	}
}

func isHex(digits []byte) bool {
	for _, d := range digits {
		if !('0' <= d && d <= '9' || 'a' <= d && d <= 'f' || 'A' <= d && d <= 'F') {
			return false
		}
	}
	return true
}

func (r *Registry) add(t Type, d reader) {
	if err := t.Validate(); err != nil {
		panic("BUG: " + err.Error())
	}
	if _, twice := r.readers[t]; twice {
		panic("BUG: event type " + string(t) + " registered twice")
	}
	r.readers[t] = d
}

// Types lists the registered types, old ones included, in order of their names.
func (r *Registry) Types() []Type {
	types := make([]Type, 0, len(r.readers))
	for t := range r.readers {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// IsCurrent tells whether t is the newest version of a registered type.
func (r *Registry) IsCurrent(t Type) bool { return r.readers[t].current }

// Knows tells whether events of the type can be read.
func (r *Registry) Knows(t Type) bool {
	_, ok := r.readers[t]
	return ok
}

// Decode reads the value of an event in its current version, opened. It fails with
// [CodeNotFound] for a type that is not registered, with [CodePoisoned] for
// a value that cannot be read or a tombstone, which has none, and with
// [CodeUnavailable] while the keys of sealed texts cannot be had.
func (r *Registry) Decode(e Event) (Payload, error) {
	if e.IsTombstone() {
		return nil, Errorf(CodePoisoned, "event %s: a tombstone has no value to decode", e.Key())
	}
	if r.Knows(e.Type) {
		var err error
		if e, err = r.Open(e); err != nil {
			return nil, err
		}
	}
	p, err := r.decode(e.Type, e.Data)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Key(), err)
	}
	return p, nil
}

func (r *Registry) decode(t Type, data []byte) (Payload, error) {
	d, ok := r.readers[t]
	if !ok {
		return nil, Errorf(CodeNotFound, "no reader for event type %s: it was written by a newer Muster or is misspelt", t)
	}
	p, err := d.decode(data)
	if err != nil {
		return nil, Errorf(CodePoisoned, "reading a value of type %s: %w", t, err)
	}
	return p, nil
}
