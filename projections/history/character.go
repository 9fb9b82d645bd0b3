package history

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

// sectionLog is a [Log] that can leave records about other sections out.
type sectionLog interface {
	ReadSections(ctx context.Context, topic string, stream event.Stream, sections []eve.Section, fn func(eventlog.Record) error) error
}

// Life is what the log tells of a character.
type Life struct {
	// Facts are in the order of the log, without second copies, without what
	// tombstones have removed, and without what lies before the character was last
	// forgotten.
	Facts []Fact
	// Forgotten is the event that it was last forgotten by; nil if it never was.
	Forgotten *Fact
}

// Registered fails with [event.CodeNotFound] if what is told is of no character: it
// was never registered, or it was forgotten.
func (l Life) Registered(id int64) error {
	for _, f := range l.Facts {
		if _, is := f.Payload.(eve.CharacterRegistered); is {
			return nil
		}
	}
	if f := l.Forgotten; f != nil {
		return event.Errorf(event.CodeNotFound, "character %d was forgotten at %s, and has not been registered since", id, f.Time.UTC().Format(time.RFC3339Nano))
	}
	return postgres.NoCharacter(id)
}

// Life reads what the log tells of a character; with sections, only of those, of the
// failures of all, and of the character itself. Types that this Muster does not know are passed over, as
// the read models do. It fails with [event.CodePoisoned] for an event that cannot be
// read: what comes after it could be told wrongly.
func (r *Reader) Life(ctx context.Context, id int64, sections ...eve.Section) (Life, error) {
	var life Life
	seen, removed := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	var decided int64
	stream := event.Character(id)
	read := func(fn func(eventlog.Record) error) error {
		return r.log.ReadStream(ctx, event.TopicEVE, stream, 0, fn)
	}
	if l, can := r.log.(sectionLog); can && len(sections) > 0 {
		read = func(fn func(eventlog.Record) error) error {
			return l.ReadSections(ctx, event.TopicEVE, stream, sections, fn)
		}
	}
	err := read(func(rec eventlog.Record) error {
		e, err := rec.Recorded()
		switch {
		case err != nil:
			return err
		case e.IsTombstone():
			removed[e.ID] = true
			// What is observed again later has the same id, and counts again.
			delete(seen, e.ID)
			life.Facts = slices.DeleteFunc(life.Facts, func(f Fact) bool { return f.ID == e.ID })
			return nil
		case e.Version > 0 && e.Version <= decided, seen[e.ID], !r.registry.Knows(e.Type):
			decided = max(decided, e.Version)
			return nil
		}
		decided, seen[e.ID] = max(decided, e.Version), true
		if section := eve.About(e.Type, e.Data).Section; section != "" && len(sections) > 0 && !slices.Contains(sections, section) &&
			e.Type != eve.TypeSectionFailed && e.Type != eve.TypeSectionRecovered {
			return nil
		}
		payload, err := r.registry.Decode(e.Event)
		if err != nil {
			return fmt.Errorf("reading the event at %s: %w", e.Position, err)
		}
		fact := Fact{Recorded: e, Payload: payload}
		if _, forgotten := payload.(eve.CharacterForgotten); forgotten {
			// What is observed from now on begins new chains, whose ids may be those
			// of events that count no more.
			clear(seen)
			life.Facts, life.Forgotten = nil, &fact
			return nil
		}
		life.Facts = append(life.Facts, fact)
		return nil
	})
	if err != nil {
		return Life{}, fmt.Errorf("reading %s from the log: %w", stream, err)
	}
	return life, nil
}

// Character is a character as it was at a moment, told from the log. It answers
// what [postgres.CharacterReader] answers about now, in the same words; the ids that
// it is given do not matter, for it knows one character alone. It is safe for
// concurrent use.
//
// An event counts from the time on that it bears: an observation from when ESI was
// asked, a decision from when it was taken. What is not in the log is not known of
// the past: when a section was last confirmed, how the login stood, and what
// somebody's assets were worth.
type Character struct {
	id int64
	at time.Time
	// model is the domain's fold; the rest is what it does not keep.
	model *eve.Model

	registration, identity *identity
	owner                  *owner
	orphaned, disabled     bool
	recorded               map[eve.Section]time.Time
	bases                  map[eve.Section]uuid.UUID
	misfits                map[eve.Section]time.Time
	records                map[eve.Section]map[string]*record
	lists                  map[int64]string
	journal                map[journalKey]clickhouse.JournalEntry
	// told is the last event about the character itself, seen and lastTold are the last
	// observation and the last records of each section.
	told           event.Origin
	seen, lastTold map[eve.Section]event.Origin
	// whole is the last whole observation of each section, which differences refer to.
	whole map[eve.Section]whole
}

// whole is an observation that is no difference.
type whole struct {
	value  json.RawMessage
	origin event.Origin
}

type identity struct {
	name                  string
	corporation, alliance int64
}

type owner struct {
	user   string
	scopes []string
	since  time.Time
}

// record is what the events so far say of a record.
type record struct {
	fields         map[string]json.RawMessage
	at, observedAt time.Time
	origin         event.Origin
}

type journalKey struct {
	date int64
	id   int64
}

// SectionsFor are the sections whose events are needed to answer about one.
func SectionsFor(section eve.Section) []eve.Section {
	if section == eve.SectionAssets {
		// The ship that the character is in is shown among them.
		return []eve.Section{section, eve.SectionShip, eve.SectionLocation}
	}
	if section == eve.SectionStandings {
		// Skills make standings better.
		return []eve.Section{section, eve.SectionSkills}
	}
	return []eve.Section{section}
}

// CharacterAt is a character as it was at a moment. With sections it can only
// answer about those, and has fewer events to read. It fails with
// [event.CodeNotFound] if there was no such character then, or if it was forgotten
// since, and with [event.CodeUnavailable] if the log cannot be read.
func (r *Reader) CharacterAt(ctx context.Context, id int64, at time.Time, sections ...eve.Section) (*Character, error) {
	life, err := r.Life(ctx, id, sections...)
	if err != nil {
		return nil, err
	}
	moment := at.UTC().Format(time.RFC3339Nano)
	if f := life.Forgotten; f != nil && at.Before(f.Time) {
		return nil, event.Errorf(event.CodeNotFound, "character %d was forgotten at %s: what came before that, such as %s, is told no more", id, f.Time.UTC().Format(time.RFC3339Nano), moment)
	}
	c := newCharacter(id, at)
	var first time.Time
	for _, f := range life.Facts {
		if _, is := f.Payload.(eve.CharacterRegistered); is && (first.IsZero() || f.Time.Before(first)) {
			first = f.Time
		}
		if f.Time.After(at) {
			continue
		}
		if err := c.apply(f); err != nil {
			return nil, fmt.Errorf("folding the event at %s: %w", f.Position, err)
		}
	}
	switch {
	case c.registration != nil:
		return c, nil
	case !first.IsZero():
		return nil, event.Errorf(event.CodeNotFound, "character %d was not registered at %s: choose a time from %s on", id, moment, first.UTC().Format(time.RFC3339Nano))
	default:
		return nil, life.Registered(id)
	}
}

func newCharacter(id int64, at time.Time) *Character {
	return &Character{
		id: id, at: at, model: eve.NewModel(),
		recorded: map[eve.Section]time.Time{}, bases: map[eve.Section]uuid.UUID{}, misfits: map[eve.Section]time.Time{},
		records: map[eve.Section]map[string]*record{}, lists: map[int64]string{}, journal: map[journalKey]clickhouse.JournalEntry{},
		seen: map[eve.Section]event.Origin{}, lastTold: map[eve.Section]event.Origin{}, whole: map[eve.Section]whole{},
	}
}

// apply folds an event.
func (c *Character) apply(f Fact) error {
	if p, is := f.Payload.(eve.SectionObserved); is && p.Encoding == eve.EncodingDelta && (p.Base == nil || c.bases[p.Section] != *p.Base) {
		c.misfits[p.Section] = inPostgres(p.FetchedAt)
		return nil
	}
	if err := c.model.Apply(f.Event, f.Payload); err != nil {
		return err
	}
	switch p := f.Payload.(type) {
	case eve.CharacterRegistered, eve.CharacterReclaimed, eve.CharacterOrphaned, eve.CharacterDisabled, eve.CharacterEnabled, eve.CharacterShared, eve.CharacterUnshared:
		c.told = event.OriginOf(f.Recorded)
	case eve.JournalRecorded:
		c.lastTold[eve.SectionWalletJournal] = event.OriginOf(f.Recorded)
	case eve.JournalClosed:
		c.lastTold[eve.SectionWalletJournal] = event.OriginOf(f.Recorded)
	case eve.FactsEvent:
		c.lastTold[p.Content().Section] = event.OriginOf(f.Recorded)
	}
	switch p := f.Payload.(type) {
	case eve.CharacterRegistered:
		c.registration = &identity{p.Name, p.CorporationID, p.AllianceID}
		c.own(f, p.UserID, p.Scopes)
	case eve.CharacterReclaimed:
		c.own(f, p.UserID, p.Scopes)
	case eve.CharacterOrphaned:
		c.orphaned = true
	case eve.CharacterDisabled:
		c.disabled = true
	case eve.CharacterEnabled:
		c.disabled = false
	case eve.SectionObserved:
		return c.observe(f, p)
	case eve.JournalRecorded:
		return c.enter(f, p)
	case eve.JournalClosed:
		c.recorded[eve.SectionWalletJournal] = inPostgres(p.ReadAt)
	case eve.FactsEvent:
		return c.record(f, p.Content())
	}
	return nil
}

func (c *Character) own(f Fact, user string, scopes []string) {
	c.owner = &owner{user: user, scopes: scopes, since: inPostgres(f.Time)}
	c.orphaned = false
}

func (c *Character) observe(f Fact, p eve.SectionObserved) error {
	delete(c.misfits, p.Section)
	origin := event.OriginOf(f.Recorded)
	c.seen[p.Section] = origin
	if p.Encoding == eve.EncodingFull {
		c.bases[p.Section] = f.ID
		c.whole[p.Section] = whole{p.Value, origin}
	}
	switch p.Section {
	case eve.SectionDetails:
		d, err := eve.DecodeDetails(p.Value)
		if err != nil {
			return err
		}
		c.identity = &identity{d.Name, d.CorporationID, d.AllianceID}
		c.told = origin
	case eve.SectionMails:
		maps.Copy(c.lists, eve.MailingLists(p.Value))
	default:
	}
	return nil
}

func (c *Character) enter(f Fact, p eve.JournalRecorded) error {
	c.recorded[eve.SectionWalletJournal] = inPostgres(f.Time)
	for _, entry := range p.Entries {
		shown, err := clickhouse.EntryOf(entry)
		if err != nil {
			return err
		}
		// An entry never changes, so the first record of it stands.
		key := journalKey{shown.Date.Unix(), shown.ID}
		if _, known := c.journal[key]; !known {
			shown.Origin = event.OriginOf(f.Recorded)
			c.journal[key] = shown
		}
	}
	return nil
}

func (c *Character) record(fact Fact, f eve.Facts) error {
	items, err := f.Keyed()
	if err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, f.Day)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "facts of section %s: their day %q is none", f.Section, f.Day)
	}
	c.recorded[f.Section] = inPostgres(f.FetchedAt)
	records := c.records[f.Section]
	if records == nil {
		records = map[string]*record{}
		c.records[f.Section] = records
	}
	for _, item := range items {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(postgres.Stored(item.Raw), &fields); err != nil {
			return event.Errorf(event.CodePoisoned, "section %s: record %s: %w", f.Section, item.Key, err)
		}
		key := postgres.StoredKey(item.Key)
		known := records[key]
		if known == nil {
			known = &record{fields: map[string]json.RawMessage{}}
			records[key] = known
		}
		maps.Copy(known.fields, fields)
		known.observedAt, known.origin = inPostgres(f.FetchedAt), event.OriginOf(fact.Recorded)
		known.at = inPostgres(postgres.RecordMoment(f.Section, known.fields, day))
	}
	return nil
}
