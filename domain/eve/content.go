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

// Content is the value of a section taken apart by its [Shape]. It refers to the
// bytes it was made of, which must not change.
type Content struct {
	Section Section
	// Head is the value without its lists; nil if the value is a list itself.
	Head json.RawMessage
	// Lists are in the order of the shape; each is there, be it empty.
	Lists []ListContent
}

// ListContent is one list of a section's value.
type ListContent struct {
	// Path is the field that holds the list; empty if the value is the list.
	Path string
	// Items are in ascending order of their keys, which differ.
	Items []Item
}

// Item is one element of a list.
type Item struct {
	// Key is the natural key: the values of the key fields as JSON writes them,
	// texts without quotes, joined by slashes.
	Key string
	Raw json.RawMessage
}

// Dissect takes a section's value apart. A list that is missing or null is empty;
// of several elements with one key the last stands. It fails with
// [event.CodeInvalid] if the value is no JSON, of another kind, or an element lacks
// a field of its key.
func Dissect(s Section, value []byte) (Content, error) {
	shape, ok := ShapeOf(s)
	if !ok || !shape.Valued {
		return Content{}, event.Errorf(event.CodeInvalid, "section %q has no value that this Muster knows", s)
	}
	if err := checkJSON(value); err != nil {
		return Content{}, event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
	}
	value = bytes.TrimSpace(value)
	content := Content{Section: s}
	if len(shape.Lists) == 0 {
		content.Head = value
		return content, nil
	}
	if shape.Lists[0].Path == "" {
		items, err := itemsOf(s, shape.Lists[0], value)
		content.Lists = []ListContent{{Items: items}}
		return content, err
	}
	if value[0] != '{' {
		return Content{}, event.Errorf(event.CodeInvalid, "section %s: must be a JSON object", s)
	}
	members := membersOf(value)
	for _, list := range shape.Lists {
		items, err := itemsOf(s, list, memberOf(members, list.Path))
		if err != nil {
			return Content{}, err
		}
		content.Lists = append(content.Lists, ListContent{Path: list.Path, Items: items})
	}
	head := slices.DeleteFunc(members, func(m member) bool {
		return slices.ContainsFunc(shape.Lists, func(l List) bool { return l.Path == string(m.name) })
	})
	content.Head = appendObject(nil, head)
	return content, nil
}

func itemsOf(s Section, list List, value []byte) ([]Item, error) {
	if isNull(value) {
		return nil, nil
	}
	if value[0] != '[' {
		return nil, event.Errorf(event.CodeInvalid, "section %s: %s must be a JSON list", s, list.name())
	}
	elements := appendElements(nil, value)
	items := make([]Item, 0, len(elements))
	var scratch []member
	for i, element := range elements {
		var key string
		var err error
		if key, scratch, err = list.keyOf(element, scratch); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s: %s, element %d: %w", s, list.name(), i+1, err)
		}
		items = append(items, Item{Key: key, Raw: element})
	}
	return sortItems(items), nil
}

func (l List) name() string {
	if l.Path == "" {
		return "the list"
	}
	return l.Path
}

// keyOf is the natural key of an element. scratch is used again from call to call.
func (l List) keyOf(element []byte, scratch []member) (string, []member, error) {
	if len(l.Key) == 0 {
		key, err := scalar(element)
		return key, scratch, err
	}
	return keyOf(l.Key, element, scratch)
}

func keyOf(fields []string, element []byte, scratch []member) (string, []member, error) {
	if len(element) == 0 || element[0] != '{' {
		return "", scratch, event.Errorf(event.CodeInvalid, "must be a JSON object")
	}
	scratch = appendMembers(scratch[:0], element)
	var key strings.Builder
	for i, field := range fields {
		// Of repeated fields the last stands.
		at := -1
		for j, m := range scratch {
			if string(m.name) == field {
				at = j
			}
		}
		if at < 0 || isNull(scratch[at].value) {
			return "", scratch, event.Errorf(event.CodeInvalid, "lacks %s", field)
		}
		part, err := scalar(scratch[at].value)
		if err != nil {
			return "", scratch, event.Errorf(event.CodeInvalid, "%s %w", field, err)
		}
		if i > 0 {
			key.WriteByte('/')
		}
		key.WriteString(part)
	}
	return key.String(), scratch, nil
}

// scalar is a number, a text or a truth value as text.
func scalar(value []byte) (string, error) {
	switch {
	case isNull(value) || value[0] == '{' || value[0] == '[':
		return "", event.Errorf(event.CodeInvalid, "must be a number or a text")
	case value[0] == '"':
		return textOf(value), nil
	default:
		return string(value), nil
	}
}

// sortItems sorts by key and keeps the last of each.
func sortItems(items []Item) []Item {
	slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	kept := items[:0]
	for i, item := range items {
		if i+1 == len(items) || items[i+1].Key != item.Key {
			kept = append(kept, item)
		}
	}
	return kept
}

// Value puts the content together again: the head's fields and all lists. It is
// the same for all values that say the same, up to the way their elements are
// written.
func (c Content) Value() json.RawMessage {
	if len(c.Lists) == 0 {
		return c.Head
	}
	if c.Head == nil {
		return appendList(nil, c.Lists[0].Items)
	}
	members := membersOf(c.Head)
	for _, list := range c.Lists {
		members = append(members, member{name: []byte(list.Path), value: appendList(nil, list.Items)})
	}
	return appendObject(nil, settle(members))
}

func appendList(to []byte, items []Item) []byte {
	to = append(to, '[')
	for i, item := range items {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, item.Raw...)
	}
	return append(to, ']')
}

// Hash is the [ContentHash] of the content's value.
func (c Content) Hash() string {
	if len(c.Lists) == 0 {
		canonical := canonicalizer{unordered: unorderedLists(c.Section)}
		canonical.value("", c.Head)
		return hashOf(string(c.Section), canonical.out)
	}
	h := sha256.New()
	h.Write([]byte(c.Section))
	h.Write([]byte{0})
	canonical := canonicalizer{}
	if c.Head != nil {
		canonical.value("", c.Head)
		h.Write(canonical.out)
	}
	for _, list := range c.Lists {
		h.Write([]byte{0})
		h.Write([]byte(list.Path))
		for _, item := range list.Items {
			canonical.out = append(canonical.out[:0], 0)
			canonical.value("", item.Raw)
			h.Write(canonical.out)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
