package eve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// unorderedLists names the lists of a section's value whose order means
// nothing, as paths of field names: "" is the value itself. ESI does not promise
// an order for them, so another order must not look like a change.
func unorderedLists(s Section) []string {
	switch s {
	case SectionWalletJournal:
		return []string{""}
	default:
		return nil
	}
}

// ContentHash is the hash of a section's content: equal for two values that say
// the same, however their JSON is spaced, escaped or ordered. Numbers count as
// they are written: 1.0 differs from 1. In the lists of a section's [Shape] the
// order does not count, of several elements with one key the last does, and a list
// that is not there is an empty one. The section's name is hashed too, so
// that two sections that are both empty differ. It is 128 bits of SHA-256 in
// hex. It fails with [event.CodeInvalid] for what is not one JSON value.
func ContentHash(s Section, value []byte) (string, error) {
	if shape, ok := ShapeOf(s); ok && len(shape.Lists) > 0 {
		content, err := Dissect(s, value)
		if err != nil {
			return "", err
		}
		return content.Hash(), nil
	}
	canonical, err := Canonical(value, unorderedLists(s)...)
	if err != nil {
		return "", event.Errorf(event.CodeInvalid, "hashing section %s: %w", s, err)
	}
	return hashOf(string(s), canonical), nil
}

// hashOf hashes content under a name that keeps different kinds of content
// apart.
func hashOf(name string, content []byte) string {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Canonical writes a JSON value in one agreed form: no spaces, keys sorted,
// strings escaped in one way, the last of several equal keys kept, numbers as
// they were written. The lists at the given paths are sorted. It fails with
// [event.CodeInvalid] for what is not exactly one JSON value.
func Canonical(value []byte, unordered ...string) ([]byte, error) {
	if err := checkJSON(value); err != nil {
		return nil, err
	}
	c := canonicalizer{unordered: unordered, out: make([]byte, 0, len(value))}
	c.value("", bytes.TrimSpace(value))
	return c.out, nil
}

func checkJSON(value []byte) error {
	if event.ValidJSON(value) {
		return nil
	}
	var v json.RawMessage
	if err := json.Unmarshal(value, &v); err != nil {
		return event.Errorf(event.CodeInvalid, "not a JSON value: %w", err)
	}
	return event.Errorf(event.CodeInvalid, "not a JSON value")
}

// canonicalizer writes values that are valid JSON. It may be used again after its
// out was taken.
type canonicalizer struct {
	out       []byte
	unordered []string
	// stack holds the fields of the objects that are being written.
	stack []member
}

func (c *canonicalizer) value(path string, v []byte) {
	switch v[0] {
	case '{':
		c.object(path, v)
	case '[':
		c.list(path, v)
	case '"':
		if plain(v[1 : len(v)-1]) {
			c.out = append(c.out, v...)
			return
		}
		c.out = appendText(c.out, []byte(textOf(v)))
	default:
		c.out = append(c.out, v...)
	}
}

func (c *canonicalizer) object(path string, object []byte) {
	base := len(c.stack)
	c.stack = appendMembers(c.stack, object)
	members := settle(c.stack[base:])
	end := base + len(members)
	c.stack = c.stack[:end]
	c.out = append(c.out, '{')
	for i := base; i < end; i++ {
		if i > base {
			c.out = append(c.out, ',')
		}
		m := c.stack[i]
		c.out = appendText(c.out, m.name)
		c.out = append(c.out, ':')
		inner := ""
		if len(c.unordered) > 0 {
			inner = strings.TrimPrefix(path+"."+string(m.name), ".")
		}
		c.value(inner, m.value)
	}
	c.out = append(c.out, '}')
	c.stack = c.stack[:base]
}

func (c *canonicalizer) list(path string, list []byte) {
	elements := appendElements(nil, list)
	start := len(c.out)
	if !slices.Contains(c.unordered, path) {
		c.out = append(c.out, '[')
		for i, element := range elements {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.value(path, element)
		}
		c.out = append(c.out, ']')
		return
	}
	// The elements are written behind one another and then put in the order of
	// their texts.
	ends := make([]int, len(elements))
	for i, element := range elements {
		c.value(path, element)
		ends[i] = len(c.out) - start
	}
	written := bytes.Clone(c.out[start:])
	texts := make([][]byte, len(elements))
	for i, end := range ends {
		from := 0
		if i > 0 {
			from = ends[i-1]
		}
		texts[i] = written[from:end]
	}
	slices.SortFunc(texts, bytes.Compare)
	c.out = append(append(append(c.out[:start], '['), bytes.Join(texts, []byte{','})...), ']')
}
