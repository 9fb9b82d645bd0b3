package eve

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// FactsReading is one complete listing of a section's records.
type FactsReading struct {
	CharacterID int64
	Section     Section
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time
	// Items are the records as ESI lists them. One may be there twice; the last
	// stands.
	Items []json.RawMessage
}

// FactsResult is what a listing adds.
type FactsResult struct {
	// Events record what was not known and amend what changed, in order of their
	// days.
	Events []event.Event
	// LastID is the id to go on from.
	LastID uuid.UUID
	// New and Changed are the records told, with what ESI leaves out filled in.
	New, Changed []json.RawMessage
	// Known is to be remembered in place of what was known, once the events are
	// recorded.
	Known *KnownRecords
}

// record is a record while it is compared.
type record struct {
	key  string
	day  int64
	hash fingerprint
	raw  json.RawMessage
}

// NewFacts finds the records of a listing that are not known, or known otherwise,
// and makes one event for each UTC day of them (several for a day of thousands).
// The events' ids form a chain that starts at last, the id of the character's last
// event of the section's records. known is not changed. A record that is not listed
// any more is no event: it stays what it was. It fails with [event.CodeInvalid] if
// a record lacks its key, its moment is none, or the section has no records.
func NewFacts(source string, r FactsReading, known *KnownRecords, last uuid.UUID) (FactsResult, error) {
	shape, ok := ShapeOf(r.Section)
	if !ok || shape.Records == nil {
		return FactsResult{}, event.Errorf(event.CodeInvalid, "section %q has no records", r.Section)
	}
	records, err := shape.recordsOf(r.Items, r.FetchedAt)
	if err != nil {
		return FactsResult{}, err
	}
	var added, changed []record
	next := known.clone()
	for _, record := range records {
		was, is := known.records[record.key]
		switch {
		case !is:
			added = append(added, record)
		case was.hash != record.hash:
			changed = append(changed, record)
		}
		next.records[record.key] = knownRecord{day: record.day, hash: record.hash}
	}
	next.prune(records, r.FetchedAt.Add(-shape.Records.Keep))
	result := FactsResult{LastID: last, New: raws(added), Changed: raws(changed), Known: next}
	for _, told := range []struct {
		t       event.Type
		records []record
	}{{shape.Records.Recorded, added}, {shape.Records.Changed, changed}} {
		for _, part := range byDayOf(told.records) {
			e, err := newFactsEvent(source, told.t, r.CharacterID, r.Section, r.FetchedAt, part[0].day, raws(part), result.LastID)
			if err != nil {
				return FactsResult{}, err
			}
			result.Events, result.LastID = append(result.Events, e), e.ID
		}
	}
	return result, nil
}

// RecordHash is the hash of what an item says of a record, however its JSON is
// written. It fails with [event.CodeInvalid] for what is no JSON.
func RecordHash(s Section, item json.RawMessage) (string, error) {
	canonical, err := Canonical(item)
	if err != nil {
		return "", event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
	}
	return hashOf(string(s), canonical), nil
}

// Amendment is what is to be added to a record: some of its fields.
type Amendment struct {
	CharacterID int64
	Section     Section
	FetchedAt   time.Time
	// Moment is that of the record; its day is the event's.
	Moment time.Time
	// Item is a JSON object with the record's key and the fields to lay over it.
	Item json.RawMessage
}

// Amend makes the event that amends a record. last is the id of the last event
// about the same fields of the record, none (zero) if there was none: with it an
// amendment that takes back another has an id of its own. It fails with
// [event.CodeInvalid] if the item lacks the key, or the section has no records.
func Amend(source string, a Amendment, last uuid.UUID) (event.Event, error) {
	return tell(source, a, last, func(r *Records) event.Type { return r.Changed })
}

// Record makes the event that records a single record whose content is fetched
// apart, such as a killmail. It fails like [Amend].
func Record(source string, a Amendment, last uuid.UUID) (event.Event, error) {
	return tell(source, a, last, func(r *Records) event.Type { return r.Recorded })
}

func tell(source string, a Amendment, last uuid.UUID, typeOf func(*Records) event.Type) (event.Event, error) {
	shape, ok := ShapeOf(a.Section)
	if !ok || shape.Records == nil {
		return event.Event{}, event.Errorf(event.CodeInvalid, "section %q has no records", a.Section)
	}
	if err := checkJSON(a.Item); err != nil {
		return event.Event{}, event.Errorf(event.CodeInvalid, "section %s: %w", a.Section, err)
	}
	item := bytes.TrimSpace(a.Item)
	if _, _, err := keyOf(shape.Records.Key, item, nil); err != nil {
		return event.Event{}, event.Errorf(event.CodeInvalid, "section %s: a record %w", a.Section, err)
	}
	return newFactsEvent(source, typeOf(shape.Records), a.CharacterID, a.Section, a.FetchedAt, dayNumber(a.Moment), []json.RawMessage{item}, last)
}

// newFactsEvent makes one event of records of one day.
func newFactsEvent(source string, t event.Type, character int64, s Section, fetched time.Time, day int64, items []json.RawMessage, last uuid.UUID) (event.Event, error) {
	facts := Facts{
		CharacterID: character,
		Section:     s,
		Day:         time.Unix(day*24*60*60, 0).UTC().Format(dayLayout),
		FetchedAt:   fetched.UTC(),
		Items:       items,
	}
	canonical := canonicalizer{}
	for _, item := range items {
		canonical.value("", item)
		canonical.out = append(canonical.out, 0)
	}
	stream := event.Character(character)
	// What was recorded counts, not when it was fetched.
	id := event.ObservationID(stream, t, last, hashOf(string(s)+"/"+facts.Day, canonical.out))
	return event.New(id, stream, source, fetched, payloadOf(t, facts))
}

// recordsOf reads a listing, in order of day and key. A record without its moment
// counts as of the day on which it was fetched.
func (s Shape) recordsOf(items []json.RawMessage, fetched time.Time) ([]record, error) {
	byKey := make(map[string]int, len(items))
	var records []record
	var f fingerprinter
	var scratch []member
	for i, item := range items {
		item = bytes.TrimSpace(item)
		if err := checkJSON(item); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s, record %d: %w", s.Section, i+1, err)
		}
		var key string
		var err error
		if key, scratch, err = keyOf(s.Records.Key, item, scratch); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s, record %d: %w", s.Section, i+1, err)
		}
		moment, err := fetched, error(nil)
		if at := memberOf(scratch, s.Records.Time); !isNull(at) {
			moment, err = momentOf(at)
		}
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "section %s, record %s: %s: %w", s.Section, key, s.Records.Time, err)
		}
		raw := s.Records.fill(item, scratch)
		r := record{key: key, day: dayNumber(moment), hash: f.of(raw), raw: raw}
		if at, twice := byKey[key]; twice {
			records[at] = r
			continue
		}
		byKey[key] = len(records)
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b record) int {
		switch {
		case a.day != b.day:
			return int(a.day - b.day)
		case len(a.key) != len(b.key):
			// So that ids are in the order of numbers.
			return len(a.key) - len(b.key)
		case a.key < b.key:
			return -1
		default:
			return 1
		}
	})
	return records, nil
}

// momentOf reads the moment of a record: a time or a date.
func momentOf(value []byte) (time.Time, error) {
	text := ""
	if value[0] == '"' {
		text = textOf(value)
	}
	for _, layout := range []string{time.RFC3339, dayLayout} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, event.Errorf(event.CodeInvalid, "%.40q is neither a time nor a date", string(value))
}

// fill adds the fields that ESI left out.
func (r *Records) fill(item []byte, members []member) json.RawMessage {
	filled := item
	for _, omitted := range r.Omitted {
		if slices.ContainsFunc(members, func(m member) bool { return string(m.name) == omitted.Field }) {
			continue
		}
		filled = slices.Clone(filled[:len(filled)-1])
		filled = append(appendText(append(filled, ','), []byte(omitted.Field)), ':')
		filled = append(append(filled, omitted.Value...), '}')
	}
	return filled
}

func raws(records []record) []json.RawMessage {
	out := make([]json.RawMessage, len(records))
	for i, r := range records {
		out[i] = r.raw
	}
	return out
}

// maxFactsBytes bounds the items of one event, far below the size that the log
// accepts.
const maxFactsBytes = 4 << 20

// byDayOf splits records that are in order of their days, and long days further.
func byDayOf(records []record) [][]record {
	var days [][]record
	for start := 0; start < len(records); {
		end, size := start+1, len(records[start].raw)
		for end < len(records) && end-start < maxEntries && size < maxFactsBytes && records[end].day == records[start].day {
			size += len(records[end].raw)
			end++
		}
		days = append(days, records[start:end])
		start = end
	}
	return days
}

// KnownRecords remembers which records of one section of a character were told,
// and as what. Its zero value is empty and ready. It is not safe for concurrent
// use.
type KnownRecords struct {
	records map[string]knownRecord
}

type knownRecord struct {
	// day is counted from 1970.
	day  int64
	hash fingerprint
}

func (k *KnownRecords) clone() *KnownRecords {
	next := &KnownRecords{records: make(map[string]knownRecord, len(k.records))}
	maps.Copy(next.records, k.records)
	return next
}

// prune forgets records of before a moment, unless they are listed.
func (k *KnownRecords) prune(listed []record, before time.Time) {
	old := dayNumber(before)
	for key, r := range k.records {
		if r.day < old {
			delete(k.records, key)
		}
	}
	for _, r := range listed {
		k.records[r.key] = knownRecord{day: r.day, hash: r.hash}
	}
}

// Has tells whether a record was told. key is the natural key, its parts joined by
// slashes.
func (k *KnownRecords) Has(key string) bool {
	_, is := k.records[key]
	return is
}

// Len is the number of records remembered.
func (k *KnownRecords) Len() int { return len(k.records) }

// All are the keys of the records remembered with the beginning of their days, in
// no order.
func (k *KnownRecords) All() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		for key, r := range k.records {
			if !yield(key, time.Unix(r.day*24*60*60, 0).UTC()) {
				return
			}
		}
	}
}

// Note remembers a record as told though no listing told it, such as a killmail
// whose content is fetched apart.
func (k *KnownRecords) Note(key string, moment time.Time) {
	if k.records == nil {
		k.records = map[string]knownRecord{}
	}
	k.records[key] = knownRecord{day: dayNumber(moment)}
}

// Forget has a record told anew when it is listed again.
func (k *KnownRecords) Forget(key string) { delete(k.records, key) }

// knownRecordsFormat is the first byte of the binary form of [KnownRecords].
const knownRecordsFormat = 1

// MarshalBinary writes the records in a compact form. It never fails.
func (k *KnownRecords) MarshalBinary() ([]byte, error) {
	keys := slices.Sorted(maps.Keys(k.records))
	out := []byte{knownRecordsFormat}
	previous := ""
	for _, key := range keys {
		out = appendKey(out, previous, key)
		out = binary.AppendVarint(out, k.records[key].day)
		out = binary.LittleEndian.AppendUint64(out, uint64(k.records[key].hash))
		previous = key
	}
	return out, nil
}

// UnmarshalBinary reads what [KnownRecords.MarshalBinary] wrote; nothing at all is
// the empty set. It fails with [event.CodeInvalid] for anything else.
func (k *KnownRecords) UnmarshalBinary(b []byte) error {
	k.records = map[string]knownRecord{}
	if len(b) == 0 {
		return nil
	}
	if b[0] != knownRecordsFormat {
		return event.Errorf(event.CodeInvalid, "known records: format %d is not known to this Muster", b[0])
	}
	p := packed{rest: b[1:]}
	previous := ""
	for len(p.rest) > 0 {
		key := p.key(previous)
		r := knownRecord{day: p.varint(), hash: p.fingerprint()}
		if p.failed {
			return event.Errorf(event.CodeInvalid, "known records: the stored form is cut off")
		}
		k.records[key] = r
		previous = key
	}
	return nil
}
