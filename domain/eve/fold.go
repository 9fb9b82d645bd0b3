package eve

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Model is the state of all characters that follows from their events: the
// plainest possible read model, against which the real ones are checked. An event
// applied twice counts once. It is not safe for concurrent use.
type Model struct {
	characters map[int64]*Character
	// applied has the events that were applied, by character.
	applied map[int64]map[uuid.UUID]struct{}
}

// Character is what the events of one character add up to.
type Character struct {
	ID     int64
	Name   string
	UserID string
	// OwnerHash is EVE's, as of the registration.
	OwnerHash string
	Scopes    []string
	// Registered is false for a character of which only observations exist.
	Registered bool
	Orphaned   bool
	Disabled   bool
	// SharedBy is the owner who has shared it; empty for none. See
	// [Character.Shared].
	SharedBy string
	// SharedUntil is when the sharing ends; nil for never.
	SharedUntil *time.Time
	// Links are the links that were issued and neither revoked nor ended with an
	// ownership, by their ids. Another owner
	// ends them too, see [LinkIssued].
	Links    map[uuid.UUID]LinkIssued
	Sections map[Section]SectionState
	// Records has the fields of each record, by section and natural key.
	Records map[Section]map[string]map[string]json.RawMessage
	// Failing has the spell of failures that each section is in.
	Failing map[Section]SectionFailed
	// Journal has the entries by their ids.
	Journal map[int64]JournalLine
	// MailingLists are the names of the mailing lists that the character is or was
	// subscribed to, by their ids, each as it was last called.
	MailingLists map[int64]string
	// Closed is the last closing of the journal; its Before is empty if there was
	// none.
	Closed JournalClosed

	// days has the UTC day of the event that told of each record last.
	days map[Section]map[string]string
	// listTold has the event that told the name of each mailing list last.
	listTold map[int64]uuid.UUID
}

// SectionState is the last observation of a section.
type SectionState struct {
	EventID     uuid.UUID
	ContentHash string
	ObservedAt  time.Time
	// Value is the whole section, also where a difference was observed.
	Value json.RawMessage

	// base is the last full observation, for the differences that name it.
	baseID uuid.UUID
	base   Content
}

// JournalLine is what matters of a journal entry to sums.
type JournalLine struct {
	Date    time.Time
	RefType string
	// Amount is zero if ESI sent none.
	Amount ISK
	// Balance is nil if ESI sent none.
	Balance *ISK
}

// NewModel is the model of no events.
func NewModel() *Model {
	return &Model{characters: map[int64]*Character{}, applied: map[int64]map[uuid.UUID]struct{}{}}
}

// Character is the character with the id; nil if no event was about it. The
// model keeps owning it.
func (m *Model) Character(id int64) *Character { return m.characters[id] }

// IDs are the ids of all characters, ascending.
func (m *Model) IDs() []int64 { return slices.Sorted(maps.Keys(m.characters)) }

// Apply folds the next event of a character's stream; p is its decoded payload.
// Payloads of other kinds of streams are passed over. It fails with
// [event.CodePoisoned] for what cannot be folded, and then has changed nothing.
func (m *Model) Apply(e event.Event, p event.Payload) error {
	id, ok := e.Stream.CharacterID()
	if !ok {
		return nil
	}
	if _, twice := m.applied[id][e.ID]; twice {
		return nil
	}
	c := m.characters[id]
	if c == nil {
		c = &Character{
			ID:       id,
			Sections: map[Section]SectionState{},
			Records:  map[Section]map[string]map[string]json.RawMessage{},
			Failing:  map[Section]SectionFailed{},
			Journal:  map[int64]JournalLine{},

			MailingLists: map[int64]string{},
		}
	}
	if err := c.apply(e, p); err != nil {
		return err
	}
	if _, forgotten := p.(CharacterForgotten); forgotten {
		// What is observed from now on begins new chains, whose ids may be those
		// of events that count no more.
		delete(m.characters, id)
		delete(m.applied, id)
		return nil
	}
	m.characters[id] = c
	if m.applied[id] == nil {
		m.applied[id] = map[uuid.UUID]struct{}{}
	}
	m.applied[id][e.ID] = struct{}{}
	return nil
}

// Shared tells whether the character's present owner has shared it, be it for a time
// that is over.
func (c *Character) Shared() bool { return c.SharedBy != "" && c.SharedBy == c.UserID }

func (c *Character) apply(e event.Event, p event.Payload) error {
	switch p := p.(type) {
	case CharacterRegistered:
		c.Registered, c.Orphaned = true, false
		c.UserID, c.OwnerHash, c.Scopes = p.UserID, p.OwnerHash, p.Scopes
		if p.Name != "" {
			c.Name = p.Name
		}
	case CharacterReclaimed:
		c.Registered, c.Orphaned = true, false
		c.UserID, c.OwnerHash, c.Scopes = p.UserID, p.OwnerHash, p.Scopes
	case CharacterOrphaned:
		c.Orphaned, c.UserID, c.SharedBy, c.SharedUntil = true, "", "", nil
		clear(c.Links)
	case CharacterDisabled:
		c.Disabled = true
	case CharacterEnabled:
		c.Disabled = false
	case CharacterShared:
		c.SharedBy, c.SharedUntil = p.UserID, p.Until
	case CharacterUnshared:
		c.SharedBy, c.SharedUntil = "", nil
	case LinkIssued:
		if c.Links == nil {
			c.Links = map[uuid.UUID]LinkIssued{}
		}
		c.Links[p.LinkID] = p
	case LinkRevoked:
		delete(c.Links, p.LinkID)
	case SectionFailed:
		c.Failing[p.Section] = p
	case SectionRecovered:
		delete(c.Failing, p.Section)
	case SectionObserved:
		return c.observe(e, p)
	case JournalRecorded:
		return c.record(e, p)
	case JournalClosed:
		c.Closed = p
	case FactsEvent:
		return c.amend(e, p.Content())
	}
	return nil
}

// amend lays facts over what is known of the records.
func (c *Character) amend(e event.Event, f Facts) error {
	items, err := f.Keyed()
	if err != nil {
		return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
	}
	records := c.Records[f.Section]
	if records == nil {
		records = map[string]map[string]json.RawMessage{}
		c.Records[f.Section] = records
	}
	if c.days == nil {
		c.days = map[Section]map[string]string{}
	}
	if c.days[f.Section] == nil {
		c.days[f.Section] = map[string]string{}
	}
	for _, item := range items {
		c.days[f.Section][item.Key] = f.Day
		record := records[item.Key]
		if record == nil {
			record = map[string]json.RawMessage{}
			records[item.Key] = record
		}
		for _, field := range membersOf(item.Raw) {
			record[string(field.name)] = field.value
		}
	}
	return nil
}

func (c *Character) observe(e event.Event, p SectionObserved) error {
	state := SectionState{EventID: e.ID, ContentHash: p.ContentHash, ObservedAt: p.FetchedAt}
	switch p.Encoding {
	case EncodingFull:
		content, err := Dissect(p.Section, p.Value)
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		state.Value, state.baseID, state.base = p.Value, e.ID, content
	case EncodingDelta:
		last := c.Sections[p.Section]
		content, err := last.differ(p)
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		state.Value, state.baseID, state.base = content.Value(), last.baseID, last.base
	default:
		return event.Errorf(event.CodePoisoned, "event %s: encoding %q of section %s cannot be read by this Muster: upgrade it", e.Key(), p.Encoding, p.Section)
	}
	if p.Section == SectionDetails {
		details, err := DecodeDetails(p.Value)
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		c.Name = details.Name
	}
	if p.Section == SectionMails {
		if c.listTold == nil {
			c.listTold = map[int64]uuid.UUID{}
		}
		for id, name := range MailingLists(state.Value) {
			c.MailingLists[id], c.listTold[id] = name, e.ID
		}
	}
	c.Sections[p.Section] = state
	return nil
}

// differ is the content that a difference makes of the last full observation.
func (s SectionState) differ(p SectionObserved) (Content, error) {
	if p.Base == nil || *p.Base != s.baseID || s.baseID == uuid.Nil {
		return Content{}, event.Errorf(event.CodeInvalid, "section %s: a difference from %v, which is not the last full observation %s", p.Section, p.Base, s.baseID)
	}
	d, err := DecodeDelta(p.Value)
	if err != nil {
		return Content{}, err
	}
	content, err := s.base.Apply(d)
	if err != nil {
		return Content{}, err
	}
	if hash := content.Hash(); hash != p.ContentHash {
		return Content{}, event.Errorf(event.CodeInvalid, "section %s: the difference gives content %s, but was made of %s", p.Section, hash, p.ContentHash)
	}
	return content, nil
}

func (c *Character) record(e event.Event, p JournalRecorded) error {
	lines := make([]JournalLine, len(p.Entries))
	for i, entry := range p.Entries {
		line, err := entry.line()
		if err != nil {
			return event.Errorf(event.CodePoisoned, "event %s: %w", e.Key(), err)
		}
		lines[i] = line
	}
	for i, entry := range p.Entries {
		// An entry never changes, so the first record of it stands.
		if _, known := c.Journal[entry.ID]; !known {
			c.Journal[entry.ID] = lines[i]
		}
	}
	return nil
}

func (j JournalEntry) line() (JournalLine, error) {
	line := JournalLine{Date: j.Date, RefType: j.RefType}
	if j.Amount != "" {
		amount, err := ParseISK(j.Amount)
		if err != nil {
			return line, event.Errorf(event.CodeInvalid, "amount of journal entry %d: %w", j.ID, err)
		}
		line.Amount = amount
	}
	if j.Balance != "" {
		balance, err := ParseISK(j.Balance)
		if err != nil {
			return line, event.Errorf(event.CodeInvalid, "balance of journal entry %d: %w", j.ID, err)
		}
		line.Balance = &balance
	}
	return line, nil
}

// JournalSum is the sum of the amounts of all journal entries.
func (c *Character) JournalSum() ISK {
	var sum ISK
	for _, line := range c.Journal {
		sum += line.Amount
	}
	return sum
}
