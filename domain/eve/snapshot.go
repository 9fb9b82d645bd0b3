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
// continued. It returns no event for equal content. source is that of the event. It fails with
// [event.CodeInvalid] if the value is not JSON.
func Compare(source string, last Series, s Snapshot) (*event.Event, Series, error) {
	hash, err := ContentHash(s.Section, s.Value)
	if err != nil {
		return nil, last, err
	}
	if hash == last.ContentHash {
		return nil, last, nil
	}
	stream := event.Character(s.CharacterID)
	id := event.ObservationID(stream, TypeSectionObserved, last.LastID, hash)
	e, err := event.New(id, stream, source, s.FetchedAt, SectionObserved{
		CharacterID:  s.CharacterID,
		Section:      s.Section,
		ContentHash:  hash,
		Encoding:     EncodingFull,
		FetchedAt:    s.FetchedAt.UTC(),
		ETag:         s.ETag,
		LastModified: s.LastModified,
		Value:        s.Value,
	})
	if err != nil {
		return nil, last, err
	}
	return &e, Series{LastID: id, ContentHash: hash}, nil
}
