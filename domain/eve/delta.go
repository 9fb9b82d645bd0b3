package eve

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// Delta is how a section's value differs from a full observation of it.
type Delta struct {
	// Head replaces the head of the value; absent if it is the same.
	Head json.RawMessage `json:"head,omitempty"`
	// Lists are those that differ.
	Lists []ListDelta `json:"lists,omitempty"`
}

// ListDelta is how a list differs.
type ListDelta struct {
	// Path is that of the [List].
	Path    string            `json:"path"`
	Added   []json.RawMessage `json:"added,omitempty"`
	Changed []json.RawMessage `json:"changed,omitempty"`
	// Removed are natural keys, as in [Item].
	Removed []string `json:"removed,omitempty"`
}

// DecodeDelta reads the value of an observation with [EncodingDelta]. It fails
// with [event.CodeInvalid] for anything else.
func DecodeDelta(value []byte) (Delta, error) {
	var d Delta
	if trimmed := bytes.TrimSpace(value); len(trimmed) == 0 || trimmed[0] != '{' {
		return Delta{}, event.Errorf(event.CodeInvalid, "a delta must be a JSON object")
	}
	if err := json.Unmarshal(value, &d); err != nil {
		return Delta{}, event.Errorf(event.CodeInvalid, "reading a delta: %w", err)
	}
	return d, nil
}

// Items are the elements of a list that a delta adds and changes, by their keys
// in the section's shape. It fails with [event.CodeInvalid] for a list that the
// section does not have, or an element without its key.
func (d ListDelta) Items(s Section) (added, changed []Item, err error) {
	shape, _ := ShapeOf(s)
	i := slices.IndexFunc(shape.Lists, func(l List) bool { return l.Path == d.Path })
	if i < 0 {
		return nil, nil, event.Errorf(event.CodeInvalid, "section %s: a delta of the list %q, which it does not have", s, d.Path)
	}
	if added, err = keyed(s, shape.Lists[i], d.Added); err != nil {
		return nil, nil, err
	}
	changed, err = keyed(s, shape.Lists[i], d.Changed)
	return added, changed, err
}

func keyed(s Section, list List, elements []json.RawMessage) ([]Item, error) {
	items := make([]Item, 0, len(elements))
	var scratch []member
	for n, element := range elements {
		var key string
		var err error
		if key, scratch, err = list.keyOf(bytes.TrimSpace(element), scratch); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s: element %d of a delta: %w", s, n+1, err)
		}
		items = append(items, Item{Key: key, Raw: element})
	}
	return sortItems(items), nil
}

// Apply is the content that a delta makes of the full one that it was made
// against, which is not changed. It fails with [event.CodeInvalid] if the delta does
// not fit: it adds what is there, or changes or removes what is not.
func (c Content) Apply(d Delta) (Content, error) {
	next := Content{Section: c.Section, Head: c.Head, Lists: slices.Clone(c.Lists)}
	if d.Head != nil {
		next.Head = d.Head
	}
	for _, list := range d.Lists {
		i := slices.IndexFunc(next.Lists, func(l ListContent) bool { return l.Path == list.Path })
		added, changed, err := list.Items(c.Section)
		if err != nil {
			return Content{}, err
		}
		if i < 0 {
			return Content{}, event.Errorf(event.CodeInvalid, "section %s: a delta of the list %q, which it does not have", c.Section, list.Path)
		}
		items, err := merge(c.Section, next.Lists[i].Items, added, changed, list.Removed)
		if err != nil {
			return Content{}, err
		}
		next.Lists[i].Items = items
	}
	return next, nil
}

func merge(s Section, base, added, changed []Item, removed []string) ([]Item, error) {
	byKey := make(map[string]int, len(base))
	for i, item := range base {
		byKey[item.Key] = i
	}
	items := slices.Clone(base)
	gone := make(map[string]struct{}, len(removed))
	for _, key := range removed {
		if _, there := byKey[key]; !there {
			return nil, event.Errorf(event.CodeInvalid, "section %s: a delta removes %s, which is not in its base", s, key)
		}
		gone[key] = struct{}{}
	}
	for _, item := range changed {
		i, there := byKey[item.Key]
		if !there {
			return nil, event.Errorf(event.CodeInvalid, "section %s: a delta changes %s, which is not in its base", s, item.Key)
		}
		items[i] = item
	}
	items = slices.DeleteFunc(items, func(item Item) bool { _, is := gone[item.Key]; return is })
	for _, item := range added {
		if _, there := byKey[item.Key]; there {
			return nil, event.Errorf(event.CodeInvalid, "section %s: a delta adds %s, which is in its base", s, item.Key)
		}
	}
	return sortItems(append(items, added...)), nil
}
