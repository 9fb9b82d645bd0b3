package eve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// dayLayout is how a UTC day is written in events.
const dayLayout = time.DateOnly

// maxEntries bounds the entries of one event, so that even long descriptions
// stay far below the size that the log accepts. A longer day has several events.
const maxEntries = 2000

// JournalReading is one complete reading of a character's wallet journal.
type JournalReading struct {
	CharacterID int64
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time
	// Pages are the bodies of all pages, each a JSON list of entries. An entry
	// may be on two pages; it counts once.
	Pages [][]byte
}

// NewJournalFacts finds the entries of a reading that are not known yet and
// makes one event of type [TypeJournalRecorded] for each UTC day of them
// (several for a day of thousands), in order of the days. The events' ids form a chain that starts at last, the id of
// the character's last such event; the id to go on from is returned. known is
// not changed: add the events' entries to it with [KnownEntries.Add] once they
// are recorded. It fails with [event.CodeInvalid], wrapping a [*PageError], if a
// page cannot be read; then no page counts.
func NewJournalFacts(source string, r JournalReading, known *KnownEntries, last uuid.UUID) ([]event.Event, []JournalEntry, uuid.UUID, error) {
	entries, err := newEntries(r.Pages, known)
	if err != nil {
		return nil, nil, last, err
	}
	var events []event.Event
	stream := event.Character(r.CharacterID)
	for day := range slices.Values(byDay(entries)) {
		payload := JournalRecorded{
			CharacterID: r.CharacterID,
			Day:         day[0].Date.Format(dayLayout),
			FetchedAt:   r.FetchedAt.UTC(),
			Entries:     day,
		}
		hash, err := journalHash(payload)
		if err != nil {
			return nil, nil, last, err
		}
		id := event.ObservationID(stream, TypeJournalRecorded, last, hash)
		e, err := event.New(id, stream, source, r.FetchedAt, payload)
		if err != nil {
			return nil, nil, last, err
		}
		events, last = append(events, e), id
	}
	return events, entries, last, nil
}

// journalHash hashes what was recorded, not when it was fetched.
func journalHash(p JournalRecorded) (string, error) {
	content, err := json.Marshal(p.Entries)
	if err != nil {
		return "", event.Errorf(event.CodeInvalid, "hashing journal entries of %s: %w", p.Day, err)
	}
	return hashOf(string(SectionWalletJournal)+"/"+p.Day, content), nil
}

// newEntries reads the entries that are not known, in order of day and id.
func newEntries(pages [][]byte, known *KnownEntries) ([]JournalEntry, error) {
	var entries []JournalEntry
	seen := map[int64]bool{}
	for i, page := range pages {
		raws, err := Elements(page)
		if err != nil {
			return nil, badPage(i, err)
		}
		for n, raw := range raws {
			id, err := entryID(raw)
			if err != nil {
				return nil, badPage(i, fmt.Errorf("entry %d: %w", n+1, err))
			}
			if seen[id] || known.Has(id) {
				continue
			}
			entry, err := DecodeJournalEntry(raw)
			if err != nil {
				return nil, badPage(i, fmt.Errorf("entry %d: %w", n+1, err))
			}
			seen[entry.ID] = true
			entries = append(entries, entry)
		}
	}
	slices.SortFunc(entries, func(a, b JournalEntry) int {
		if c := dayOf(a.Date).Compare(dayOf(b.Date)); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return entries, nil
}

// entryID is the id of an entry. Most entries of a page are known, so that it is all
// that is read of them.
func entryID(entry []byte) (int64, error) {
	if id, err := strconv.ParseInt(string(fieldOf(entry, "id")), 10, 64); err == nil {
		return id, nil
	}
	var head struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(entry, &head); err != nil {
		return 0, err //nolint:wrapcheck // The caller says which entry.
	}
	return head.ID, nil
}

// PageError says which page of a reading cannot be read.
type PageError struct {
	// Page counts from 1.
	Page int

	err error
}

// Error implements error.
func (e *PageError) Error() string { return fmt.Sprintf("page %d: %v", e.Page, e.err) }

// Unwrap is what is wrong with the page.
func (e *PageError) Unwrap() error { return e.err }

func badPage(i int, err error) error { return BadPage(i+1, err) }

// BadPage is an error with [event.CodeInvalid] that wraps a [*PageError]; pages
// count from 1.
func BadPage(page int, err error) error {
	return event.Errorf(event.CodeInvalid, "%w", &PageError{Page: page, err: err})
}

// byDay splits entries that are in order of their days, and long days further.
func byDay(entries []JournalEntry) [][]JournalEntry {
	var days [][]JournalEntry
	for start := 0; start < len(entries); {
		end := start + 1
		for end < len(entries) && end-start < maxEntries && dayOf(entries[end].Date).Equal(dayOf(entries[start].Date)) {
			end++
		}
		days = append(days, entries[start:end])
		start = end
	}
	return days
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// DecodeJournalEntry reads one entry as ESI sends it. Fields that Muster does
// not know are kept in Extra. It fails with [event.CodeInvalid] if the id, the date or the
// ref type is missing, or a field is of another type.
func DecodeJournalEntry(raw []byte) (JournalEntry, error) {
	var entry JournalEntry
	if err := json.Unmarshal(raw, &entry); err != nil {
		return JournalEntry{}, event.Errorf(event.CodeInvalid, "reading a journal entry: %w", err)
	}
	switch {
	case entry.ID <= 0:
		return JournalEntry{}, lacks(SectionWalletJournal, "id")
	case entry.Date.IsZero():
		return JournalEntry{}, lacks(SectionWalletJournal, "date")
	case entry.RefType == "":
		return JournalEntry{}, lacks(SectionWalletJournal, "ref_type")
	}
	entry.Date = entry.Date.UTC()
	for _, amount := range []json.Number{entry.Amount, entry.Balance, entry.Tax} {
		if amount == "" {
			continue
		}
		if _, err := ParseISK(amount); err != nil {
			return JournalEntry{}, event.Errorf(event.CodeInvalid, "journal entry %d: %w", entry.ID, err)
		}
	}
	entry.Extra = unknownFields(raw)
	return entry, nil
}

// unknownFields are the fields of an entry, a valid object, that [JournalEntry] has no
// place for; nil if there are none, as usual.
func unknownFields(raw []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	for _, m := range appendMembers(make([]member, 0, 16), raw) {
		switch string(m.name) {
		case "id", "date", "ref_type", "amount", "balance", "first_party_id", "second_party_id",
			"description", "reason", "context_id", "context_id_type", "tax", "tax_receiver_id":
		default:
			if fields == nil {
				fields = map[string]json.RawMessage{}
			}
			fields[string(m.name)] = bytes.Clone(m.value)
		}
	}
	return fields
}
