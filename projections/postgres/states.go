package postgres

import (
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// What follows is for those who tell of characters as they were: they fold the log
// in memory, and answer in the words of this package.

// SectionStates are the states of all sections of a character in the order in which
// they are shown, of each what of tells; its name and its status are set here.
func SectionStates(c Character, of func(eve.Section) SectionState) []SectionState {
	all := sections()
	states := make([]SectionState, len(all))
	for i, s := range all {
		states[i] = of(s.name)
		states[i].Section = s.name
		states[i].Status = statusOf(states[i], c, s.scope)
	}
	return states
}

// MisfitSince is the failure of a section whose last difference, observed then,
// refers to an observation that is not here.
func MisfitSince(observedAt time.Time) *SectionFailure {
	return &SectionFailure{Class: FailureMisfit, Since: observedAt.UTC(), Message: "the last difference refers to an observation that is not here: " +
		"what is shown is older until the section is next observed as a whole, or rebuild with `muster replay characters`"}
}

// NoSection says that characters have no section of a name, with
// [event.CodeNotFound].
func NoSection(name eve.Section) error {
	return event.Errorf(event.CodeNotFound, "characters have no section %q", name)
}

// NoRecord says that a section has no record with a key, with [event.CodeNotFound].
func NoRecord(id int64, s eve.Section, key string) error {
	return event.Errorf(event.CodeNotFound, "character %d has nothing with the id %s among its %s", id, key, s)
}

// Stored is JSON as the read model shows it: what Postgres cannot hold in a text is
// replaced, everything else is as it was.
func Stored(raw json.RawMessage) json.RawMessage { return json.RawMessage(storable(raw)) }

// StoredKey is a natural key as the read model shows it.
func StoredKey(key string) string { return storableKey(key) }

// StoredRecord is the JSON of a record of the fields given.
func StoredRecord(fields map[string]json.RawMessage) (json.RawMessage, error) {
	text, err := objectOf(fields)
	return json.RawMessage(text), err
}

// RecordMoment is the moment of a record of a section with the fields given, of
// which an event of the UTC day told last.
func RecordMoment(s eve.Section, fields map[string]json.RawMessage, day time.Time) time.Time {
	shape, _ := eve.ShapeOf(s)
	return momentOf(shape, fields, day)
}
