package esi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// Parts of the section mails.
const (
	mailLists = iota
	mailLabels
	mailHeaders
)

// rewalkMails is how long the older headers are trusted to be as they were while
// nothing hints at a change.
const rewalkMails = 24 * time.Hour

// mails are the headers of a mailbox, its labels and its mailing lists; bodies are
// fetched apart. The headers beyond the first page are read again when the labels
// (which count what is unread) or the first page changed, or after a day.
func mails(most int) Section {
	return Section{
		Name: eve.SectionMails,
		Parts: []Part{
			mailLists:  {Name: "lists", Route: catalogue.CharacterMailLists()},
			mailLabels: {Name: "labels", Route: catalogue.CharacterMailLabels()},
			mailHeaders: {
				Route: catalogue.CharacterMailHeaders(),
				Walk: &Walk{
					ID: "mail_id", Max: most,
					Again: func(r Reading) bool { return !r.Parts[mailLabels].NotModified || walkedBefore(r, rewalkMails) },
				},
			},
		},
		Changes: mailChanges,
	}
}

func mailChanges(r Reading) (Changes, error) {
	// Nothing of the headers is known to have changed if their part did not.
	changes, err := records(eve.SectionMails, mailHeaders, followMail)(r)
	if event.CodeOf(err) == event.CodeInvalid {
		err = badPart(mailHeaders, err)
	}
	if err != nil {
		return changes, err
	}
	if !r.Parts[mailHeaders].NotModified {
		var cursor recordsCursor
		known, err := cursor.read(changes.Cursor)
		if err != nil {
			return Changes{}, err
		}
		cursor.WalkedAt = r.FetchedAt
		if changes.Cursor, err = cursor.write(known); err != nil {
			return Changes{}, err
		}
	}
	lists, err := r.list(mailLists)
	if err != nil {
		return Changes{}, badPart(mailLists, err)
	}
	box, err := mailboxValue(r.body(mailLabels), lists)
	if err != nil {
		return Changes{}, err
	}
	observed, series, err := observe(eve.SectionMails, r, box)
	if event.CodeOf(err) == event.CodeInvalid {
		part := mailLabels
		if eve.Check(eve.SectionMails, object(field{"lists", lists})) != nil {
			part = mailLists
		}
		err = badPart(part, err)
	}
	if err != nil {
		return Changes{}, err
	}
	changes.Series = series
	if observed != nil {
		changes.Events = append(changes.Events, *observed)
	}
	return changes, nil
}

// followMail asks for the body of a mail once: it does not change.
func followMail(isNew bool, record json.RawMessage) (add, settle []FollowUp) {
	var m struct {
		ID        int64     `json:"mail_id"`
		Timestamp time.Time `json:"timestamp"`
	}
	if !isNew || readFields(record, &m) != nil {
		return nil, nil
	}
	return []FollowUp{{Kind: followMailBody, ItemID: m.ID, Moment: m.Timestamp}}, nil
}

// goneRecord is a record that is not listed any more.
type goneRecord struct {
	key string
	day time.Time
}

// unlisted are the known records of a day or later that are not listed, in order.
func unlisted(known *eve.KnownRecords, listed map[string]bool, from time.Time) []goneRecord {
	var gone []goneRecord
	for key, day := range known.All() {
		if !listed[key] && !day.Before(from) {
			gone = append(gone, goneRecord{key, day})
		}
	}
	slices.SortFunc(gone, func(a, b goneRecord) int {
		return cmp.Or(a.day.Compare(b.day), strings.Compare(a.key, b.key))
	})
	return gone
}

func idOf(key string) int64 {
	id, _ := strconv.ParseInt(key, 10, 64) // The keys of these records are numbers.
	return id
}
