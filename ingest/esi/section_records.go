package esi

import (
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// mining is the ledger of what was mined in the last 30 days.
func mining() Section {
	return Section{Name: eve.SectionMining, Parts: []Part{{Route: catalogue.CharacterMining()}}, Changes: records(eve.SectionMining, 0, nil)}
}

// notifications are what the game told a character.
func notifications() Section {
	return Section{
		Name: eve.SectionNotifications, Parts: []Part{{Route: catalogue.CharacterNotifications()}},
		Changes: records(eve.SectionNotifications, 0, nil),
	}
}

// transactions are what was bought and sold on the market. ESI lists the newest;
// the older ones are walked back to those that are known.
func transactions() Section {
	return Section{
		Name: eve.SectionWalletTransactions,
		Parts: []Part{{
			Route: catalogue.CharacterWalletTransactions(),
			Walk:  &Walk{ID: "transaction_id", Known: knownIDs},
		}},
		Changes: records(eve.SectionWalletTransactions, 0, nil),
	}
}

// knownIDs tells which records of a reading's section are known.
func knownIDs(r Reading) (func(id int64) bool, error) {
	var cursor recordsCursor
	known, err := cursor.read(r.Cursor)
	if err != nil {
		return nil, err
	}
	return func(id int64) bool { return known.Has(recordKey(id)) }, nil
}

// contracts are those of the last 30 days and those in progress. What is in them
// and what is bid on them is fetched apart.
func contracts() Section {
	return Section{
		Name: eve.SectionContracts, Parts: []Part{{Route: catalogue.CharacterContracts()}},
		Changes: records(eve.SectionContracts, 0, followContract),
	}
}

// followContract asks once for the items of contracts that have some, and for the
// bids of auctions for as long as they can be bid on (Member Audit 5.1.0, section
// contracts).
func followContract(isNew bool, record json.RawMessage) (add, settle []FollowUp) {
	var c struct {
		ID     int64     `json:"contract_id"`
		Type   string    `json:"type"`
		Status string    `json:"status"`
		Issued time.Time `json:"date_issued"`
	}
	if readFields(record, &c) != nil {
		return nil, nil
	}
	if isNew && (c.Type == "item_exchange" || c.Type == "auction") {
		add = append(add, FollowUp{Kind: followContractItems, ItemID: c.ID, Moment: c.Issued})
	}
	if c.Type != "auction" {
		return add, nil
	}
	// The last bids may have come after the last look, so that there is one more
	// once the auction is over.
	bids := FollowUp{Kind: followContractBids, ItemID: c.ID, Moment: c.Issued, Once: c.Status != "outstanding"}
	return append(add, bids), nil
}

// killmails are the kills and losses of the last 90 days. ESI lists only their ids
// and hashes; a killmail is recorded when its details have come. Its cursor
// remembers which ones are being followed up or recorded.
func killmails() Section {
	return Section{Name: eve.SectionKillmails, Parts: []Part{{Route: catalogue.CharacterRecentKillmails()}}, Changes: killmailChanges}
}

// forgetKillmails is how long a killmail is remembered that is not listed any more.
const forgetKillmails = 400 * 24 * time.Hour

func killmailChanges(r Reading) (Changes, error) {
	changes := Changes{Series: r.Series, Cursor: r.Cursor}
	items, err := elements(eve.SectionKillmails, r, 0)
	if err != nil {
		return changes, err
	}
	var cursor recordsCursor
	known, err := cursor.read(r.Cursor)
	if err != nil {
		return Changes{}, err
	}
	listed := map[string]bool{}
	for _, item := range items {
		var k struct {
			ID   int64  `json:"killmail_id"`
			Hash string `json:"killmail_hash"`
		}
		if err := readFields(item, &k); err != nil {
			return Changes{}, err
		}
		listed[recordKey(k.ID)] = true
		if known.Has(recordKey(k.ID)) {
			continue
		}
		known.Note(recordKey(k.ID), r.FetchedAt)
		changes.FollowUps = append(changes.FollowUps, FollowUp{Kind: followKillmail, ItemID: k.ID, Extra: k.Hash, Moment: r.FetchedAt})
	}
	// ESI lists 90 days; what was noted long before cannot come again.
	for key, day := range known.All() {
		if !listed[key] && r.FetchedAt.Sub(day) > forgetKillmails {
			known.Forget(key)
		}
	}
	changes.Cursor, err = cursor.write(known)
	return changes, err
}

// calendar is what is to come. What is not listed any more before its day was
// called off, or the character was taken off the list.
func calendar() Section {
	return Section{
		Name: eve.SectionCalendar,
		Parts: []Part{{
			Route: catalogue.CharacterCalendar(),
			Walk: &Walk{
				ID: "event_id",
				// The first page tells nothing of the events on the later ones.
				Again: func(r Reading) bool { return walkedBefore(r, rewalkCalendar) },
			},
		}},
		Changes: calendarChanges,
	}
}

// rewalkCalendar is how long the events beyond the first page are trusted to be as
// they were while that stays the same.
const rewalkCalendar = 24 * time.Hour

// settleWithin is for how long after its day an event that is not listed any more
// is looked for among those whose details are fetched.
const settleWithin = 60 * 24 * time.Hour

func calendarChanges(r Reading) (Changes, error) {
	changes, err := records(eve.SectionCalendar, 0, followCalendar)(r)
	if err != nil {
		return changes, err
	}
	var cursor recordsCursor
	known, err := cursor.read(changes.Cursor)
	if err != nil {
		return Changes{}, err
	}
	listed := map[string]bool{}
	items, err := elements(eve.SectionCalendar, r, 0)
	if err != nil {
		return Changes{}, err
	}
	for _, item := range items {
		var e struct {
			ID int64 `json:"event_id"`
		}
		if err := readFields(item, &e); err != nil {
			return Changes{}, err
		}
		listed[recordKey(e.ID)] = true
	}
	cursor.WalkedAt = r.FetchedAt
	today := r.FetchedAt.UTC().Truncate(24 * time.Hour)
	for _, gone := range unlisted(known, listed, today.Add(-settleWithin)) {
		changes.Settled = append(changes.Settled, FollowUp{Kind: followCalendarEvent, ItemID: idOf(gone.key)})
		if !gone.day.After(today) {
			continue // it is over, or may be
		}
		e, err := eve.Amend(source, eve.Amendment{
			CharacterID: r.CharacterID, Section: eve.SectionCalendar, FetchedAt: r.FetchedAt, Moment: gone.day,
			Item: object(field{"event_id", []byte(gone.key)}, field{"listed", []byte("false")}),
		}, cursor.Last)
		if err != nil {
			return Changes{}, err
		}
		changes.Events, cursor.Last = append(changes.Events, e), e.ID
		// Should it come back, it is told anew.
		known.Forget(gone.key)
	}
	changes.Cursor, err = cursor.write(known)
	return changes, err
}

func followCalendar(_ bool, record json.RawMessage) (add, settle []FollowUp) {
	var e struct {
		ID   int64     `json:"event_id"`
		Date time.Time `json:"event_date"`
	}
	if readFields(record, &e) != nil {
		return nil, nil
	}
	return []FollowUp{{Kind: followCalendarEvent, ItemID: e.ID, Moment: e.Date}}, nil
}
