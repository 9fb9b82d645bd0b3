package eve

import (
	"strconv"

	"github.com/muster-sync/muster/domain/event"
)

// Mention is an id that something says, and that may have a name.
type Mention struct {
	// Kind is [FieldType], [FieldLocation] or [FieldEntity].
	Kind FieldKind
	ID   int64
}

// Mentions finds the ids with names in events and in what is kept of sections. It
// looks at JSON as it is written, without decoding it. It is not safe for
// concurrent use.
type Mentions struct {
	kinds map[Section]map[string]FieldKind
	// members are used again, one list for each depth.
	members [][]member
}

// NewMentions makes a finder.
func NewMentions() *Mentions { return &Mentions{kinds: map[Section]map[string]FieldKind{}} }

// OfEvent calls found for each id that an event mentions, which may be several
// times for one. Events of other worlds and tombstones mention nothing.
func (m *Mentions) OfEvent(e event.Event, found func(Mention)) {
	var content string
	switch Newest(e.Type) {
	case TypeSectionObserved:
		content = "value"
	case TypeJournalRecorded:
		content = "entries"
	case TypeTransactionsRecorded, TypeTransactionsChanged, TypeMiningRecorded, TypeMiningChanged, TypeMailRecorded, TypeMailChanged,
		TypeContractRecorded, TypeContractChanged, TypeKillmailRecorded, TypeKillmailChanged, TypeNotificationRecorded, TypeNotificationChanged,
		TypeCalendarRecorded, TypeCalendarChanged:
		content = "items"
	default:
		return
	}
	i := skipSpace(e.Data, 0)
	if i >= len(e.Data) || e.Data[i] != '{' {
		return
	}
	head := appendMembers(nil, e.Data)
	section := SectionWalletJournal
	if e.Type != TypeJournalRecorded {
		section = Section(textOfMember(head, "section"))
	}
	if id, ok := wholeNumber(memberOf(head, "character_id")); ok {
		found(Mention{FieldEntity, id})
	}
	m.OfSection(section, memberOf(head, content), found)
}

// OfSection calls found for each id that JSON of a section mentions: its value, a
// difference, elements or records.
func (m *Mentions) OfSection(s Section, value []byte, found func(Mention)) {
	kinds, known := m.kinds[s]
	if !known {
		if kinds = KindsOf(s); len(kinds) == 0 {
			return
		}
		m.kinds[s] = kinds
	}
	w := mentionWalk{finder: m, section: s, kinds: kinds, found: found}
	if s == SectionImplants {
		w.bare = FieldType
	}
	w.value(value, 0)
}

// mentionWalk is one walk through a value.
type mentionWalk struct {
	finder  *Mentions
	section Section
	kinds   map[string]FieldKind
	// bare is the kind of numbers in lists of numbers; empty for none.
	bare  FieldKind
	found func(Mention)
}

// deepest is how deep objects are looked into; ESI's lie three deep.
const deepest = 16

func (w *mentionWalk) value(value []byte, depth int) {
	i := skipSpace(value, 0)
	if i >= len(value) || depth > deepest {
		return
	}
	switch value[i] {
	case '[':
		w.list(value[i:], depth)
	case '{':
		w.object(value[i:], depth)
	}
}

// list looks at the elements one by one; a list may have tens of thousands.
func (w *mentionWalk) list(list []byte, depth int) {
	for i := 1; ; {
		i = skipSpace(list, i)
		if i >= len(list) || list[i] == ']' {
			return
		}
		if list[i] == ',' {
			i++
			continue
		}
		end := skipValue(list, i)
		if end <= i {
			return
		}
		if id, ok := wholeNumber(list[i:end]); ok && w.bare != "" {
			w.found(Mention{w.bare, id})
		} else {
			w.value(list[i:end], depth+1)
		}
		i = end
	}
}

func (w *mentionWalk) object(object []byte, depth int) {
	for len(w.finder.members) <= depth {
		w.finder.members = append(w.finder.members, nil)
	}
	members := appendMembers(w.finder.members[depth][:0], object)
	w.finder.members[depth] = members
	for _, field := range members {
		kind := w.kinds[string(field.name)]
		switch {
		case kind == FieldType || kind == FieldLocation || kind == FieldEntity:
			if id, ok := wholeNumber(field.value); ok && w.counts(members, string(field.name), kind, id) {
				w.found(Mention{kind, id})
				continue
			}
		case w.section == SectionWalletJournal && string(field.name) == "context_id":
			if id, ok := wholeNumber(field.value); ok {
				w.context(textOfMember(members, "context_id_type"), id)
			}
			continue
		}
		if len(field.value) == 0 || field.value[0] != '{' && field.value[0] != '[' {
			continue
		}
		bare := w.bare
		if w.section == SectionClones && string(field.name) == "implants" {
			w.bare = FieldType
		}
		w.value(field.value, depth+1)
		w.bare = bare
	}
}

// context tells what a journal entry's context is the id of. Types of contexts that
// are not listed have no names.
func (w *mentionWalk) context(kind string, id int64) {
	switch kind {
	case "structure_id", "station_id", "system_id", "eve_system":
		w.found(Mention{FieldLocation, id})
	case "character_id", "corporation_id", "alliance_id":
		w.found(Mention{FieldEntity, id})
	case "type_id":
		w.found(Mention{FieldType, id})
	}
}

// ContextKind is the kind of the id that a journal entry has as its context;
// [FieldID] if it has no name.
func ContextKind(contextType string) FieldKind {
	kind := FieldID
	w := mentionWalk{found: func(m Mention) { kind = m.Kind }}
	w.context(contextType, 1)
	return kind
}

// counts tells whether an id is what the name of its field says.
func (w *mentionWalk) counts(members []member, name string, kind FieldKind, id int64) bool {
	switch {
	case name == "recipient_id":
		// Mailing lists have ids like characters, and names only for who is in them.
		return textOfMember(members, "recipient_type") != "mailing_list"
	case kind == FieldLocation && RangeOf(id) == RangeItem:
		return w.structure(members, name)
	default:
		return true
	}
}

// structure tells whether what has the id of an item as its place lies in a
// structure, and not in a ship or a container. ESI calls both places items.
func (w *mentionWalk) structure(members []member, name string) bool {
	switch w.section { //nolint:exhaustive // All others name stations and structures alone.
	case SectionAssets, SectionBlueprints:
		switch textOfMember(members, "location_flag") {
		case "Hangar", "Deliveries", "CorpDeliveries", "HangarAll":
			return true
		default:
			return textOfMember(members, "location_type") == "structure"
		}
	case SectionIndustryJobs:
		// Blueprints and products may lie in containers.
		return name == "facility_id" || name == "station_id"
	case SectionClones:
		return textOfMember(members, "location_type") != "station"
	default:
		return true
	}
}

func textOfMember(members []member, name string) string {
	value := memberOf(members, name)
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	return textOf(value)
}

// wholeNumber reads an id.
func wholeNumber(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 19 || value[0] < '0' || value[0] > '9' {
		return 0, false
	}
	id, err := strconv.ParseInt(string(value), 10, 64)
	return id, err == nil && id > 0
}
