package eve

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Subject is what an event of a character is about, as far as it can be told
// without reading its value into anything. Fields that do not apply are empty.
type Subject struct {
	Section Section
	// ContentHash is the hash of an observation's content.
	ContentHash string
	// Day is the UTC day of the records that the event tells of, YYYY-MM-DD.
	Day string
	// Encoding is that of an observation, Base the full one that a difference
	// refers to.
	Encoding Encoding
	Base     uuid.UUID
}

// About tells what an event of a character is about. All is empty for an event that
// is about no section, or whose value cannot be read: that is for those to say who
// decode it.
func About(t event.Type, data []byte) Subject {
	switch t {
	case TypeCharacterRegistered, TypeCharacterOrphaned, TypeCharacterReclaimed, TypeCharacterDisabled, TypeCharacterEnabled,
		TypeCharacterForgotten, TypeCharacterShared, TypeCharacterUnshared:
		return Subject{}
	}
	var about struct {
		Section     Section   `json:"section"`
		ContentHash string    `json:"content_hash"`
		Day         string    `json:"day"`
		Encoding    Encoding  `json:"encoding"`
		Base        uuid.UUID `json:"base"`
	}
	err := json.Unmarshal(data, &about)
	if t == TypeJournalRecorded || t == TypeJournalClosed {
		about.Section = SectionWalletJournal
	} else if err != nil {
		return Subject{}
	}
	if err != nil {
		about.Day = ""
	}
	return Subject{about.Section, about.ContentHash, about.Day, about.Encoding, about.Base}
}
