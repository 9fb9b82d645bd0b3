package eve

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// ChangeKind says in which way something differs.
type ChangeKind string

// The kinds of changes.
const (
	ChangeAdded   ChangeKind = "added"
	ChangeChanged ChangeKind = "changed"
	ChangeRemoved ChangeKind = "removed"
)

// Change is how one thing of a section differs between two readings: an element of
// one of its lists, a record, or what its value says beside its lists.
type Change struct {
	Kind ChangeKind
	// Head tells that it is what the value says beside its lists; it has no key then.
	Head bool
	// List is the path of the list, as in [List]; empty for records.
	List string
	// Key is the natural key, as in [Item].
	Key string
	// Before and After are the whole thing, ESI's own JSON; nil for what was added
	// and for what was removed.
	Before, After json.RawMessage
	// Fields are the names of the fields that differ, ascending; none if the thing is
	// no object.
	Fields []string
}

// Differences are the changes that make after of before: what the value says first,
// then list by list in the order of keys. A thing that is only written otherwise has
// not changed. A content without anything, such as the zero one, is what was before
// the first reading.
func Differences(before, after Content) []Change {
	var changes []Change
	var f fingerprinter
	if c, differs := f.change(before.Head, after.Head); differs {
		c.Head = true
		changes = append(changes, c)
	}
	for _, path := range paths(before, after) {
		changes = append(changes, f.changes(path, itemsAt(before, path), itemsAt(after, path))...)
	}
	return changes
}

func paths(contents ...Content) []string {
	var all []string
	for _, c := range contents {
		for _, l := range c.Lists {
			if !slices.Contains(all, l.Path) {
				all = append(all, l.Path)
			}
		}
	}
	return all
}

func itemsAt(c Content, path string) []Item {
	for _, l := range c.Lists {
		if l.Path == path {
			return l.Items
		}
	}
	return nil
}

// change compares two values of one thing; nil is none.
func (f *fingerprinter) change(before, after json.RawMessage) (Change, bool) {
	c := Change{Before: before, After: after}
	switch {
	case before == nil && after == nil:
		return c, false
	case before == nil:
		c.Kind = ChangeAdded
	case after == nil:
		c.Kind = ChangeRemoved
	case f.of(before) == f.of(after):
		return c, false
	default:
		c.Kind = ChangeChanged
		c.Fields = f.fields(before, after)
	}
	return c, true
}

// fields are the names of the fields in which two objects differ.
func (f *fingerprinter) fields(before, after json.RawMessage) []string {
	if before[0] != '{' || after[0] != '{' {
		return nil
	}
	was, is := membersOf(before), membersOf(after)
	var names []string
	for _, m := range was {
		if now := memberOf(is, string(m.name)); now == nil || f.of(m.value) != f.of(now) {
			names = append(names, string(m.name))
		}
	}
	for _, m := range is {
		if memberOf(was, string(m.name)) == nil {
			names = append(names, string(m.name))
		}
	}
	slices.Sort(names)
	return names
}

// changes compares two lists whose items are in the order of their keys.
func (f *fingerprinter) changes(path string, before, after []Item) []Change {
	var changes []Change
	add := func(key string, was, is json.RawMessage) {
		if c, differs := f.change(was, is); differs {
			c.List, c.Key = path, key
			changes = append(changes, c)
		}
	}
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || (len(before) > 0 && before[0].Key < after[0].Key):
			add(before[0].Key, before[0].Raw, nil)
			before = before[1:]
		case len(before) == 0 || after[0].Key < before[0].Key:
			add(after[0].Key, nil, after[0].Raw)
			after = after[1:]
		default:
			add(after[0].Key, before[0].Raw, after[0].Raw)
			before, after = before[1:], after[1:]
		}
	}
	return changes
}

// Change is the content that changes make of it, which is not changed itself: with
// the [Differences] to another content, that one. It fails with [event.CodeInvalid]
// for changes that do not fit: they add what is there, or change or remove what is not.
func (c Content) Change(changes []Change) (Content, error) {
	next := Content{Section: c.Section, Head: c.Head, Lists: slices.Clone(c.Lists)}
	for _, change := range changes {
		if change.Head {
			next.Head = change.After
			continue
		}
		at := slices.IndexFunc(next.Lists, func(l ListContent) bool { return l.Path == change.List })
		if at < 0 {
			next.Lists = append(next.Lists, ListContent{Path: change.List})
			at = len(next.Lists) - 1
		}
		items := slices.Clone(next.Lists[at].Items)
		i, there := slices.BinarySearchFunc(items, change.Key, func(item Item, key string) int { return strings.Compare(item.Key, key) })
		switch {
		case there == (change.Kind == ChangeAdded):
			return Content{}, event.Errorf(event.CodeInvalid, "section %s: %s of %q is said to be %s, which it cannot be", c.Section, change.Key, change.List, change.Kind)
		case change.Kind == ChangeAdded:
			items = slices.Insert(items, i, Item{Key: change.Key, Raw: change.After})
		case change.Kind == ChangeRemoved:
			items = slices.Delete(items, i, i+1)
		default:
			items[i].Raw = change.After
		}
		next.Lists[at].Items = items
	}
	return next, nil
}

// Chronicle follows one section of one character through its events and names what
// each of them changed. Its zero value knows nothing; it is not safe for concurrent
// use.
type Chronicle struct {
	// Section is what is followed. It must be set.
	Section Section

	seen    bool
	last    Content
	baseID  uuid.UUID
	base    Content
	records map[string]json.RawMessage
}

// Follow applies the next event of the character's stream and tells what it changed
// of the section; first tells that nothing was known of the section's value before.
// Events of other sections change nothing. It fails with [event.CodePoisoned] for an
// event that cannot be read, and then has changed nothing.
func (c *Chronicle) Follow(e event.Event, p event.Payload) (changes []Change, first bool, err error) {
	switch p := p.(type) {
	case SectionObserved:
		if p.Section == c.Section {
			return c.observe(e, p)
		}
	case JournalRecorded:
		if c.Section == SectionWalletJournal {
			changes, err = c.enter(p)
		}
	case FactsEvent:
		if f := p.Content(); f.Section == c.Section {
			changes, err = c.amend(f)
		}
	}
	if err != nil {
		return nil, false, event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
	}
	return changes, false, nil
}

func (c *Chronicle) observe(e event.Event, p SectionObserved) ([]Change, bool, error) {
	var content Content
	var err error
	switch p.Encoding {
	case EncodingFull:
		content, err = Dissect(p.Section, p.Value)
	case EncodingDelta:
		if p.Base == nil || *p.Base != c.baseID || c.baseID == uuid.Nil {
			// It cannot be told what it says; the next full one brings it right.
			return nil, false, nil
		}
		content, err = c.difference(p)
	default:
		err = event.Errorf(event.CodeInvalid, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	if err != nil {
		return nil, false, event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
	}
	changes, first := Differences(c.last, content), !c.seen
	if p.Encoding == EncodingFull {
		c.baseID, c.base = e.ID, content
	}
	c.last, c.seen = content, true
	return changes, first, nil
}

func (c *Chronicle) difference(p SectionObserved) (Content, error) {
	d, err := DecodeDelta(p.Value)
	if err != nil {
		return Content{}, err
	}
	return c.base.Apply(d)
}

func (c *Chronicle) enter(p JournalRecorded) ([]Change, error) {
	var changes []Change
	for _, entry := range p.Entries {
		key := strconv.FormatInt(entry.ID, 10)
		// An entry never changes, so the first record of it stands.
		if c.records[key] != nil {
			continue
		}
		raw, err := json.Marshal(entry)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "journal entry %d: %w", entry.ID, err)
		}
		changes = append(changes, Change{Kind: ChangeAdded, Key: key, After: raw})
	}
	c.keep(changes)
	return changes, nil
}

func (c *Chronicle) amend(f Facts) ([]Change, error) {
	items, err := f.Keyed()
	if err != nil {
		return nil, err
	}
	var changes []Change
	var g fingerprinter
	now := map[string]json.RawMessage{}
	for _, item := range items {
		was := c.records[item.Key]
		if earlier, twice := now[item.Key]; twice {
			was = earlier
		}
		is := lay(was, item.Raw)
		now[item.Key] = is
		if change, differs := g.change(was, is); differs {
			change.Key = item.Key
			changes = append(changes, change)
		}
	}
	c.keep(changes)
	return changes, nil
}

func (c *Chronicle) keep(changes []Change) {
	if c.records == nil {
		c.records = map[string]json.RawMessage{}
	}
	for _, change := range changes {
		c.records[change.Key] = change.After
	}
}

// lay lays the fields of one object over those of another, which may be nil.
func lay(under, over json.RawMessage) json.RawMessage {
	var members []member
	if under != nil {
		members = appendMembers(members, under)
	}
	return appendObject(nil, settle(appendMembers(members, over)))
}
