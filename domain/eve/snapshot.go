package eve

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Series is what must be remembered of a series of observations in order to
// continue it. Its zero value is a series that has not begun.
type Series struct {
	// LastID is the id of the last event of the series.
	LastID uuid.UUID
	// ContentHash is the [ContentHash] of the last content.
	ContentHash string
	// Base is the last full observation of a section that is written as
	// differences; zero for others.
	Base Base
}

// Snapshot is one complete reading of a section.
type Snapshot struct {
	CharacterID int64
	Section     Section
	// FetchedAt is when the answer was received, UTC.
	FetchedAt time.Time
	// ETag and LastModified are ESI's, of the first page; empty when not sent.
	ETag         string
	LastModified *time.Time
	Value        json.RawMessage
}

// Compare tells what a snapshot adds to a series: an event of type
// [TypeSectionObserved] if its content differs from the last one, and the series
// continued. It returns no event for equal content. Big keyed sections are written
// as a difference from the last full observation, but in full at least every 30
// days, or when the difference is more than half of the whole. source is that of
// the event. It fails with [event.CodeInvalid] if the value is no JSON, or not of
// the section's [Shape].
func Compare(source string, last Series, s Snapshot) (*event.Event, Series, error) {
	content, err := Dissect(s.Section, s.Value)
	if err != nil {
		return nil, last, err
	}
	hash := content.Hash()
	if hash == last.ContentHash {
		return nil, last, nil
	}
	shape, _ := ShapeOf(s.Section)
	stream := event.Character(s.CharacterID)
	id := event.ObservationID(stream, TypeSectionObserved, last.LastID, hash)
	observed := SectionObserved{
		CharacterID:  s.CharacterID,
		Section:      s.Section,
		ContentHash:  hash,
		Encoding:     EncodingFull,
		FetchedAt:    s.FetchedAt.UTC(),
		ETag:         s.ETag,
		LastModified: s.LastModified,
		Value:        s.Value,
	}
	next := Series{LastID: id, ContentHash: hash, Base: last.Base}
	if shape.Delta {
		value, smaller, err := last.Base.encodeDelta(content, len(s.Value), s.FetchedAt)
		if err != nil {
			return nil, last, err
		}
		if smaller {
			base := last.Base.ID
			observed.Encoding, observed.Base, observed.Value = EncodingDelta, &base, value
		} else {
			next.Base = newBase(id, s.FetchedAt, content)
		}
	}
	e, err := event.New(id, stream, source, s.FetchedAt, observed)
	if err != nil {
		return nil, last, err
	}
	return &e, next, nil
}
