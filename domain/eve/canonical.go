package eve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
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
// they are written: 1.0 differs from 1. The section's name is hashed too, so
// that two sections that are both empty differ. It is 128 bits of SHA-256 in
// hex. It fails with [event.CodeInvalid] for what is not one JSON value.
func ContentHash(s Section, value []byte) (string, error) {
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
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, event.Errorf(event.CodeInvalid, "not a JSON value: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, event.Errorf(event.CodeInvalid, "more follows the JSON value at byte %d", d.InputOffset())
	}
	c := canonicalizer{unordered: unordered}
	c.value("", v)
	return c.out.Bytes(), nil
}

type canonicalizer struct {
	out       bytes.Buffer
	unordered []string
}

func (c *canonicalizer) value(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		c.object(path, v)
	case []any:
		c.list(path, v)
	case json.Number:
		c.out.WriteString(v.String())
	case string:
		c.text(v)
	case bool:
		if v {
			c.out.WriteString("true")
		} else {
			c.out.WriteString("false")
		}
	default:
		c.out.WriteString("null")
	}
}

func (c *canonicalizer) object(path string, object map[string]any) {
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	c.out.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.text(k)
		c.out.WriteByte(':')
		c.value(strings.TrimPrefix(path+"."+k, "."), object[k])
	}
	c.out.WriteByte('}')
}

func (c *canonicalizer) list(path string, list []any) {
	// The elements are written behind one another and then, if their order
	// means nothing, put in the order of their texts.
	start := c.out.Len()
	ends := make([]int, len(list))
	for i, element := range list {
		c.value(path, element)
		ends[i] = c.out.Len()
	}
	written := bytes.Clone(c.out.Bytes()[start:])
	elements := make([][]byte, len(list))
	for i, end := range ends {
		from := 0
		if i > 0 {
			from = ends[i-1] - start
		}
		elements[i] = written[from : end-start]
	}
	if slices.Contains(c.unordered, path) {
		slices.SortFunc(elements, bytes.Compare)
	}
	c.out.Truncate(start)
	c.out.WriteByte('[')
	for i, element := range elements {
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.out.Write(element)
	}
	c.out.WriteByte(']')
}

func (c *canonicalizer) text(s string) {
	encoded, _ := json.Marshal(s) //nolint:errchkjson // A string always encodes.
	c.out.Write(encoded)
}
