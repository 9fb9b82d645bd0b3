package esi

import (
	"encoding/json"
	"io"
	"strconv"
	"time"
)

// Served is what a character's client was served, complete and well-formed: the
// oracle for what it must know.
type Served struct {
	CharacterID int64 `json:"character_id"`
	// Sections holds the content of each section that was told last, with 200 or
	// confirmed by 304. Sections of several parts are put together once all parts
	// were served: contacts and orders with their labels and history, mails with
	// labels and lists, assets with the names that were served.
	Sections map[string]json.RawMessage `json:"sections"`
	// Records holds what was served of sections that are made of records.
	Records map[string][]ServedRecord `json:"records"`
	// Journal are the entries that were served, in ascending order of ids.
	Journal []ServedEntry `json:"journal"`
	// JournalSum is the sum of their amounts in hundredths of ISK.
	JournalSum int64 `json:"journal_sum"`
}

// ServedRecord is one record that was served.
type ServedRecord struct {
	// Key is the natural key, its fields joined by a slash.
	Key string `json:"key"`
	// Item is the record as it was listed last, with the fields of the details
	// that were served: a mail's body, a contract's items and bids, all of a
	// killmail and of a calendar event.
	Item json.RawMessage `json:"item"`
	// Details names the details that were served: body, items, bids or details.
	Details []string `json:"details"`
	// Due names those that the world has now and that were never served: a client
	// that forgot them has not got everything. Items are those of item exchanges
	// and auctions, bids those of auctions.
	Due []string `json:"due"`
}

// ServedEntry is one journal entry that was served.
type ServedEntry struct {
	ID   int64     `json:"id"`
	Date time.Time `json:"date"`
	// Amount and Balance are in hundredths of ISK.
	Amount  int64  `json:"amount"`
	Balance int64  `json:"balance"`
	RefType string `json:"ref_type"`
}

// Served is what was served of a character; false if there is none of that id.
func (s *Simulator) Served(id int64) (Served, bool) {
	c := s.character(id)
	if c == nil {
		return Served{}, false
	}
	out := Served{CharacterID: id, Sections: map[string]json.RawMessage{}, Records: map[string][]ServedRecord{}, Journal: []ServedEntry{}}
	b := s.booksOf(c)
	if err := s.compose(&out, b); err != nil {
		// The content is the simulator's own; only a defect makes it unreadable.
		s.config.Logger.Error("what was served cannot be read", "character", id, "error", err)
		return Served{}, false
	}
	j := s.world.journalOf(id)
	for _, x := range b.journal {
		begin := len(out.Journal)
		j.each(x.lo, x.hi, func(e *entry) {
			out.Journal = append(out.Journal, e.served())
			out.JournalSum += e.amount
		})
		reverse(out.Journal[begin:])
	}
	return out, true
}

func reverse(entries []ServedEntry) {
	for i, k := 0, len(entries)-1; i < k; i, k = i+1, k-1 {
		entries[i], entries[k] = entries[k], entries[i]
	}
}

func (e *entry) served() ServedEntry {
	refType := kinds[e.kind].refType
	if e.flags&flagUnknownType != 0 {
		refType = unknownRefType
	}
	// ESI's dates have whole seconds.
	date := time.UnixMilli(e.at).UTC().Truncate(time.Second)
	return ServedEntry{ID: e.id, Date: date, Amount: e.amount, Balance: e.balance, RefType: refType}
}

// ServedSummary counts what was served of all characters.
type ServedSummary struct {
	Characters int `json:"characters"`
	// Sections counts the characters of which each section was served.
	Sections map[string]int `json:"sections"`
	// Details counts what was fetched apart, by route.
	Details        map[string]int `json:"details"`
	JournalEntries int64          `json:"journal_entries"`
	JournalSum     int64          `json:"journal_sum"`
}

// ServedSummary adds up what was served of all characters.
func (s *Simulator) ServedSummary() ServedSummary {
	sum := ServedSummary{Sections: map[string]int{}, Details: map[string]int{}}
	s.sharedMu.Lock()
	if n := len(s.killmails); n > 0 {
		sum.Details[routeKillmail] = n
	}
	s.sharedMu.Unlock()
	for i := range s.characters {
		id := FirstCharacter + int64(i)
		c := &s.characters[i]
		c.mu.Lock()
		ranges, any := c.journal, c.served != [sectionCount]int64{} || len(c.journal) > 0
		for i, at := range c.served {
			if at != 0 {
				sum.Sections[sectionNames[i]]++
			}
		}
		for _, d := range c.details {
			sum.Details[s.detailRoute(d.kind())]++
		}
		c.mu.Unlock()
		if any {
			sum.Characters++
		}
		j := s.world.journalOf(id)
		for _, x := range ranges {
			j.each(x.lo, x.hi, func(e *entry) {
				sum.JournalEntries++
				sum.JournalSum += e.amount
			})
		}
	}
	return sum
}

// WriteServed writes what was served of all characters that were asked for, as
// one JSON object with the ids as keys, without holding it in memory.
func (s *Simulator) WriteServed(w io.Writer) error {
	separator := `{"characters":{`
	for i := range s.characters {
		served, _ := s.Served(FirstCharacter + int64(i))
		if len(served.Sections) == 0 && len(served.Journal) == 0 {
			continue
		}
		body, err := json.Marshal(served)
		if err != nil {
			return err
		}
		line := append([]byte(separator+"\n\""+strconv.FormatInt(served.CharacterID, 10)+`":`), body...)
		if _, err := w.Write(line); err != nil {
			return err
		}
		separator = ","
	}
	if separator != "," {
		if _, err := io.WriteString(w, separator); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "}}\n")
	return err
}
