package eve

import (
	"encoding/json"

	"github.com/muster-sync/muster/domain/event"
)

// About tells which section of a character an event is about and, of an
// observation, the hash of its content, without reading its value into anything.
// Both are empty for an event that is about none, or whose value cannot be read:
// that is for those to say who decode it.
func About(t event.Type, data []byte) (section Section, contentHash string) {
	switch t {
	case TypeJournalRecorded:
		return SectionWalletJournal, ""
	case TypeCharacterRegistered, TypeCharacterOrphaned, TypeCharacterReclaimed, TypeCharacterDisabled, TypeCharacterEnabled,
		TypeCharacterForgotten, TypeCharacterShared, TypeCharacterUnshared:
		return "", ""
	}
	var about struct {
		Section     Section `json:"section"`
		ContentHash string  `json:"content_hash"`
	}
	if json.Unmarshal(data, &about) != nil {
		return "", ""
	}
	return about.Section, about.ContentHash
}
