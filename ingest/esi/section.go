package esi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// source is the source of the events of this package.
const source = "muster/ingest/esi"

// Section is how one section of a character is read and turned into events. Each
// has a line in [Sections].
type Section struct {
	Name eve.Section
	// Parts are the answers that it is made of, in the order in which they are
	// asked for.
	Parts []Part
	// Played tells that it changes only while the character is being played.
	Played bool
	// Heavy tells that its answers can be megabytes long, so that few are read at
	// once.
	Heavy bool
	// Enrich asks for what has to be known beside the parts; nil for most. It is
	// called when a part changed, or when it is due by itself.
	Enrich *Enrichment
	// Changes tells what a reading adds to what is known. An error means that
	// the answer cannot be read. It must be a pure function.
	Changes func(Reading) (Changes, error)
}

// Part is one conditional answer of ESI.
type Part struct {
	// Name is empty for the only or main part of a section.
	Name  string
	Route catalogue.Route
	Query url.Values
	// Walk says how a list that is paged by ids is walked; nil for others.
	Walk *Walk
}

// Walk says how far a list that is paged by ids is walked.
type Walk struct {
	// ID is the field with the id that pages go by.
	ID string
	// Max is how many records are read at most, rounded up to whole pages; 0 is
	// all.
	Max int
	// Again tells whether the whole list has to be walked again though its first
	// page says nothing new.
	Again func(Reading) bool
	// Known tells the ids that need not be read again.
	Known func(Reading) (func(id int64) bool, error)
}

// Enrichment is what is asked beside the parts.
type Enrichment struct {
	// Due tells whether it is to be asked though no part changed.
	Due func(Reading) bool
	// Ask asks, and adds to the reading. Its error may be a [*transport.Failure].
	Ask func(ctx context.Context, ask Asker, r *Reading) error
}

// Asker asks ESI once in the name of a reading's character.
type Asker func(ctx context.Context, route catalogue.Route, body []byte) ([]byte, error)

// Scopes are all scopes that the section's parts need.
func (s Section) Scopes() []string {
	var scopes []string
	for _, part := range s.Parts {
		for _, scope := range part.Route.Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

// route is the route that failures of the whole section are told of.
func (s Section) route() catalogue.Route { return s.Parts[len(s.Parts)-1].Route }

// keepsBodies tells whether the content of a part is needed again when another
// part, or another page of it, changed.
func (s Section) keepsBodies(pages int) bool {
	return pages > 1 || len(s.Parts) > 1 || s.Enrich != nil
}

// Reading is a complete reading of a section, with what is known of it.
type Reading struct {
	CharacterID int64
	// Parts are in the order of the section's.
	Parts []PartReading
	// FetchedAt is when the last answer was received.
	FetchedAt time.Time
	// Series and Cursor are what [Changes] of the last reading said.
	Series eve.Series
	Cursor []byte
	// Extra is what was asked beside the parts.
	Extra any
}

// PartReading is the answer of one part.
type PartReading struct {
	// NotModified tells that ESI confirmed what was taken over before. Pages then
	// are those that were kept, which may lack their bodies if the section is of
	// one page.
	NotModified bool
	Pages       []transport.Page
}

// unchanged tells whether ESI confirmed every part.
func (r Reading) unchanged() bool {
	return !slices.ContainsFunc(r.Parts, func(p PartReading) bool { return !p.NotModified })
}

// body is the body of the only page of a part.
func (r Reading) body(part int) []byte {
	if len(r.Parts[part].Pages) == 0 {
		return nil
	}
	return r.Parts[part].Pages[0].Body
}

// list joins the pages of a part, each a JSON list, to one list.
func (r Reading) list(part int) ([]byte, error) {
	pages := r.Parts[part].Pages
	if len(pages) == 1 {
		if _, err := elementsOf(pages[0].Body); err != nil {
			return nil, badPart(part, err)
		}
		return pages[0].Body, nil
	}
	joined := []byte{'['}
	for i, page := range pages {
		inner, err := elementsOf(page.Body)
		if err != nil {
			return nil, badPart(part, eve.BadPage(i+1, err))
		}
		if len(inner) == 0 {
			continue
		}
		if len(joined) > 1 {
			joined = append(joined, ',')
		}
		joined = append(joined, inner...)
	}
	return append(joined, ']'), nil
}

// Changes is what a reading adds.
type Changes struct {
	// Events are in the order in which they are to be appended; none if the
	// reading says nothing new.
	Events []event.Event
	// Series and Cursor are to be remembered once the events are appended.
	Series eve.Series
	Cursor []byte
	// FollowUps is what has to be fetched apart from now on, Settled what need
	// not be any more.
	FollowUps []FollowUp
	Settled   []FollowUp
}

// value makes the Changes of a section whose value is observed as a whole.
// compose makes the value of the parts.
func value(name eve.Section, compose func(Reading) (json.RawMessage, error)) func(Reading) (Changes, error) {
	return func(r Reading) (Changes, error) {
		composed, err := compose(r)
		if err != nil {
			return Changes{}, err
		}
		observed, series, err := observe(name, r, composed)
		if err != nil {
			return Changes{}, err
		}
		changes := Changes{Series: series, Cursor: r.Cursor}
		if observed != nil {
			changes.Events = []event.Event{*observed}
		}
		return changes, nil
	}
}

// observe compares a value with the last one.
func observe(name eve.Section, r Reading, value json.RawMessage) (*event.Event, eve.Series, error) {
	if err := eve.Check(name, value); err != nil {
		return nil, r.Series, err
	}
	page := transport.Page{}
	if main := r.Parts[0]; len(main.Pages) > 0 {
		page = main.Pages[0]
	}
	observed, series, err := eve.Compare(source, r.Series, eve.Snapshot{
		CharacterID:  r.CharacterID,
		Section:      name,
		FetchedAt:    r.FetchedAt,
		ETag:         page.ETag,
		LastModified: lastModified(page),
		Value:        value,
	})
	if err != nil {
		return nil, r.Series, fmt.Errorf("comparing with the last observation: %w", err)
	}
	return observed, series, nil
}

// only is the value of a section with a single answer.
func only(r Reading) (json.RawMessage, error) {
	if len(r.Parts[0].Pages) == 1 {
		// It may be an object or a number.
		return r.body(0), nil
	}
	return r.list(0)
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
