package eve

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// JournalClosed is the closing balance of the older part of a wallet's journal: it
// is recorded before the events of that part are removed, so that what is left and
// the closing balance together still add up. A later one holds all that an earlier
// one did.
type JournalClosed struct {
	CharacterID int64 `json:"character_id"`
	// Before is the UTC day, YYYY-MM-DD, before which the books are closed.
	Before string `json:"before"`
	// ReadAt is when the journal was last found to have something new, UTC.
	ReadAt time.Time `json:"read_at"`
	// Entries is how many entries there were, Sum the sum of their amounts in ISK.
	Entries int64       `json:"entries"`
	Sum     json.Number `json:"sum"`
	// LastEntryID, LastAt and Balance are those of the last entry, in order of
	// time and id; Balance is empty when ESI sent none.
	LastEntryID int64       `json:"last_entry_id"`
	LastAt      time.Time   `json:"last_at"`
	Balance     json.Number `json:"balance,omitempty"`
}

// EventType implements [event.Payload].
func (JournalClosed) EventType() event.Type { return TypeJournalClosed }

// Closing adds entries up to a [JournalClosed]. It is not safe for concurrent use.
type Closing struct {
	last   JournalClosed
	before time.Time
	sum    ISK
	seen   map[int64]struct{}
	closed JournalClosed
}

// NewClosing begins the closing of a character's journal before a UTC day. read is
// when the last event of the journal was fetched, last the closing before; its zero
// value is none. It fails with [event.CodeInvalid] for a last one that cannot be read.
func NewClosing(character int64, before, read time.Time, last JournalClosed) (*Closing, error) {
	c := &Closing{last: last, before: before.UTC().Truncate(24 * time.Hour), seen: map[int64]struct{}{}, closed: last}
	c.closed.CharacterID, c.closed.Before, c.closed.ReadAt = character, max(last.Before, c.before.Format(dayLayout)), read.UTC()
	if last.Before != "" {
		sum, err := ParseISK(last.Sum)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "the closing of character %d before %s: %w", character, last.Before, err)
		}
		c.sum = sum
	}
	return c, nil
}

// Add counts the entries that the last closing does not hold and that lie before
// the day. An entry that was recorded twice counts once. It fails with
// [event.CodeInvalid] for an amount that is none, and then has counted nothing.
func (c *Closing) Add(entries []JournalEntry) error {
	lines := make([]JournalLine, len(entries))
	for i, entry := range entries {
		line, err := entry.line()
		if err != nil {
			return err
		}
		lines[i] = line
	}
	for i, entry := range entries {
		day := entry.Date.UTC().Format(dayLayout)
		if day < c.last.Before || !entry.Date.Before(c.before) {
			continue
		}
		if _, twice := c.seen[entry.ID]; twice {
			continue
		}
		c.seen[entry.ID] = struct{}{}
		c.closed.Entries++
		c.sum += lines[i].Amount
		if entry.Date.After(c.closed.LastAt) || (entry.Date.Equal(c.closed.LastAt) && entry.ID > c.closed.LastEntryID) {
			c.closed.LastEntryID, c.closed.LastAt, c.closed.Balance = entry.ID, entry.Date.UTC(), entry.Balance
		}
	}
	return nil
}

// Adds tells whether an entry was counted that the closing before does not hold.
func (c *Closing) Adds() bool { return len(c.seen) > 0 }

// Event is the closing as an event that follows on the closing with the id last. The
// same entries after the same closing give the same event.
func (c *Closing) Event(source string, last uuid.UUID, at time.Time) (event.Event, error) {
	c.closed.Sum = json.Number(c.sum.String())
	content, err := json.Marshal(c.closed)
	if err != nil {
		return event.Event{}, event.Errorf(event.CodeInvalid, "writing the closing of a journal: %w", err)
	}
	stream := event.Character(c.closed.CharacterID)
	id := event.ObservationID(stream, TypeJournalClosed, last, hashOf(string(SectionWalletJournal)+"/closed", content))
	return event.New(id, stream, source, at, c.closed)
}

// HistorySections are the sections whose records the retention of history removes,
// in a fixed order. The entries of the journal are among them.
func HistorySections() []Section {
	return []Section{SectionMails, SectionContracts, SectionWalletJournal, SectionWalletTransactions, SectionMining}
}

// ExpireHistory takes the records of a character's history that are of UTC days
// before the cut-off out of the model, as a tombstone of that policy says of all
// that was told before it. What is told later counts again.
func (m *Model) ExpireHistory(character int64, cutOff time.Time) {
	c := m.characters[character]
	if c == nil {
		return
	}
	day := cutOff.UTC().Format(dayLayout)
	for _, s := range HistorySections() {
		for key, of := range c.days[s] {
			if of < day {
				delete(c.days[s], key)
				delete(c.Records[s], key)
			}
		}
	}
	for id, line := range c.Journal {
		if line.Date.UTC().Format(dayLayout) < day {
			delete(c.Journal, id)
		}
	}
}

// Expire takes out of the model what a single event of a character left behind:
// the names of mailing lists that it was the last to tell.
func (m *Model) Expire(character int64, id uuid.UUID) {
	// What is observed again later has the same id, and counts again.
	delete(m.applied[character], id)
	c := m.characters[character]
	if c == nil {
		return
	}
	for list, told := range c.listTold {
		if told == id {
			delete(c.listTold, list)
			delete(c.MailingLists, list)
		}
	}
}

// Ledger is what the entries that are left and the closing balance add up to.
func (c *Character) Ledger() (ISK, error) {
	sum := ISK(0)
	if c.Closed.Before != "" {
		closed, err := ParseISK(c.Closed.Sum)
		if err != nil {
			return 0, event.Errorf(event.CodePoisoned, "the closing of character %d before %s: %w", c.ID, c.Closed.Before, err)
		}
		sum = closed
	}
	for _, line := range c.Journal {
		if line.Date.UTC().Format(dayLayout) >= c.Closed.Before {
			sum += line.Amount
		}
	}
	return sum, nil
}

// IsHistory tells whether records of a section are history.
func IsHistory(s Section) bool { return slices.Contains(HistorySections(), s) }
