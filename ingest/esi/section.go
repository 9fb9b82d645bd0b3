package esi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// source is the source of the events of this package.
const source = "muster/ingest/esi"

// Section is how one section of a character is read and turned into events.
// Each has a file of its own and a line in [Sections].
type Section struct {
	Name  eve.Section
	Route catalogue.Route
	// Changes tells what a reading adds to what is known. An error means that
	// the answer cannot be read. It must be a pure function.
	Changes func(Reading) (Changes, error)
}

// Sections lists the sections that are synced.
func Sections() []Section {
	return []Section{
		details(),
		location(),
		wallet(),
		walletJournal(),
	}
}

// Reading is a complete reading of a section, with what is known of it.
type Reading struct {
	CharacterID int64
	Answer      transport.Answer
	// Series and Cursor are what [Changes] of the last reading said.
	Series eve.Series
	Cursor []byte
}

// Changes is what a reading adds.
type Changes struct {
	// Events are in the order in which they are to be appended; none if the
	// reading says nothing new.
	Events []event.Event
	// Series and Cursor are to be remembered once the events are appended.
	Series eve.Series
	Cursor []byte
}

// snapshot makes the Changes of a section with a single page whose content is
// observed as a whole. check refuses a value that cannot be what it should be.
func snapshot(name eve.Section, check func(value []byte) error) func(Reading) (Changes, error) {
	return func(r Reading) (Changes, error) {
		page := r.Answer.Pages[0]
		if err := check(page.Body); err != nil {
			return Changes{}, err
		}
		observed, series, err := eve.Compare(source, r.Series, eve.Snapshot{
			CharacterID:  r.CharacterID,
			Section:      name,
			FetchedAt:    r.Answer.FetchedAt,
			ETag:         page.ETag,
			LastModified: lastModified(page),
			Value:        page.Body,
		})
		if err != nil {
			return Changes{}, fmt.Errorf("comparing with the last observation: %w", err)
		}
		changes := Changes{Series: series, Cursor: r.Cursor}
		if observed != nil {
			changes.Events = []event.Event{*observed}
		}
		return changes, nil
	}
}

// lastModified is nil if ESI sent none or none that can be read.
func lastModified(page transport.Page) *time.Time {
	t, err := http.ParseTime(page.LastModified)
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}
