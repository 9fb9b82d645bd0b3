package esi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// recordsCursor is what a section of records remembers.
type recordsCursor struct {
	// Last is the id of the last event of the records.
	Last uuid.UUID `json:"last"`
	// Known is the binary form of [eve.KnownRecords].
	Known []byte `json:"known,omitempty"`
	// WalkedAt is when the whole list was last walked.
	WalkedAt time.Time `json:"walked_at,omitzero"`
}

func (c *recordsCursor) read(stored []byte) (*eve.KnownRecords, error) {
	*c = recordsCursor{}
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, c); err != nil {
			return nil, fmt.Errorf("reading what is known of records: %w", err)
		}
	}
	known := &eve.KnownRecords{}
	err := known.UnmarshalBinary(c.Known)
	return known, err
}

func (c *recordsCursor) write(known *eve.KnownRecords) ([]byte, error) {
	var err error
	if c.Known, err = known.MarshalBinary(); err != nil {
		return nil, fmt.Errorf("writing down what is known of records: %w", err)
	}
	stored, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing down what is known of records: %w", err)
	}
	return stored, nil
}

// walkedBefore tells whether the whole list was last walked so long before the
// reading, or nobody knows when.
func walkedBefore(r Reading, long time.Duration) bool {
	var cursor recordsCursor
	_, err := cursor.read(r.Cursor)
	return err != nil || r.FetchedAt.Sub(cursor.WalkedAt) >= long
}

// elements are the records of a part, each checked.
func elements(name eve.Section, r Reading, part int) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for i, page := range r.Parts[part].Pages {
		if page.Body == nil {
			// It did not change, so that what it lists is known.
			continue
		}
		records, err := eve.RecordsOf(name, page.Body)
		if err != nil {
			return nil, badPart(part, eve.BadPage(i+1, err))
		}
		all = append(all, records...)
	}
	return all, nil
}

// records makes the Changes of a section whose records lie in one part. follow
// tells what is to be fetched apart for records that are new or changed; nil if
// nothing is.
func records(name eve.Section, part int, follow func(isNew bool, record json.RawMessage) (add, settle []FollowUp)) func(Reading) (Changes, error) {
	return func(r Reading) (Changes, error) {
		changes := Changes{Series: r.Series, Cursor: r.Cursor}
		items, err := elements(name, r, part)
		if err != nil || len(items) == 0 {
			return changes, err
		}
		var cursor recordsCursor
		known, err := cursor.read(r.Cursor)
		if err != nil {
			return Changes{}, err
		}
		facts, err := eve.NewFacts(source, eve.FactsReading{CharacterID: r.CharacterID, Section: name, FetchedAt: r.FetchedAt, Items: items}, known, cursor.Last)
		if err != nil {
			return Changes{}, err
		}
		cursor.Last = facts.LastID
		changes.Events = facts.Events
		if follow != nil {
			changes.follow(true, facts.New, follow)
			changes.follow(false, facts.Changed, follow)
		}
		changes.Cursor, err = cursor.write(facts.Known)
		return changes, err
	}
}

func (c *Changes) follow(isNew bool, records []json.RawMessage, follow func(isNew bool, record json.RawMessage) (add, settle []FollowUp)) {
	for _, record := range records {
		add, settle := follow(isNew, record)
		c.FollowUps, c.Settled = append(c.FollowUps, add...), append(c.Settled, settle...)
	}
}

// recordKey is the natural key of records with a single number.
func recordKey(id int64) string { return strconv.FormatInt(id, 10) }

// readFields reads some fields of a record that was checked.
func readFields(record json.RawMessage, into any) error {
	if err := json.Unmarshal(record, into); err != nil {
		return event.Errorf(event.CodeInvalid, "reading a record: %w", err)
	}
	return nil
}
