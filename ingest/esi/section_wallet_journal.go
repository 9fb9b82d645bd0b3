package esi

import (
	"fmt"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// walletJournal is what went in and out of a character's wallet in the last 30
// days. Its cursor holds the ids of the entries recorded so far; its series is
// the chain of events.
func walletJournal() Section {
	return Section{
		Name:    eve.SectionWalletJournal,
		Parts:   []Part{{Route: catalogue.CharacterWalletJournal()}},
		Changes: journalChanges,
	}
}

func journalChanges(r Reading) (Changes, error) {
	var known eve.KnownEntries
	if err := known.UnmarshalBinary(r.Cursor); err != nil {
		return Changes{}, err
	}
	reading := eve.JournalReading{CharacterID: r.CharacterID, FetchedAt: r.FetchedAt}
	for _, page := range r.Parts[0].Pages {
		reading.Pages = append(reading.Pages, page.Body)
	}
	events, entries, last, err := eve.NewJournalFacts(source, reading, &known, r.Series.LastID)
	if err != nil {
		return Changes{}, err
	}
	if len(events) == 0 {
		return Changes{Series: r.Series, Cursor: r.Cursor}, nil
	}
	known.Add(entries)
	cursor, err := known.MarshalBinary()
	if err != nil {
		return Changes{}, fmt.Errorf("writing down the known journal entries: %w", err)
	}
	return Changes{Events: events, Series: eve.Series{LastID: last}, Cursor: cursor}, nil
}
