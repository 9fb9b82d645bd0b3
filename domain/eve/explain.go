package eve

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Fact is an event with what it says and where it lies in the log.
type Fact struct {
	event.Recorded

	Payload event.Payload
}

// Step is one thing that an explanation rests on, and the event that shows it.
type Step struct {
	// At is when it was, UTC: when ESI was asked, something was decided, or the record
	// itself says that it happened.
	At time.Time
	// Kind is a word for programs; which there are is said with each explanation.
	Kind string
	// Section is the one that it shows in; empty for what concerns the character as a
	// whole, or no character.
	Section Section
	// Words say what it was, as one sentence.
	Words []Part
	// Actor is who decided it; empty for observations.
	Actor    string
	EventID  uuid.UUID
	Position event.Position
}

// step is a step that rests on a fact.
func (f Fact) step(kind string, section Section, at time.Time, said []Part) Step {
	return Step{At: at.UTC(), Kind: kind, Section: section, Words: said, Actor: f.Actor, EventID: f.ID, Position: f.Position}
}

// sentence puts texts and parts together; what is neither is said as it prints.
func sentence(said ...any) []Part {
	parts := make([]Part, len(said))
	for i, s := range said {
		switch s := s.(type) {
		case Part:
			parts[i] = s
		default:
			parts[i] = Part{Text: fmt.Sprint(s)}
		}
	}
	return parts
}

// ofType is a type, said by its name.
func ofType(id int64) Part { return Part{Kind: FieldType, ID: id} }

// MostSteps bounds the steps of an explanation; those in the middle are left out.
const MostSteps = 500

// bounded are the steps without those that go over the bound, and how many those are. The
// first ones say how it began, the last ones how it is.
func bounded(steps []Step) ([]Step, int) {
	over := len(steps) - MostSteps
	if over <= 0 {
		return steps, 0
	}
	return slices.Delete(slices.Clone(steps), MostSteps/2, MostSteps/2+over), over
}

// factsByID are facts by the ids of their events.
func factsByID(facts []Fact) map[uuid.UUID]Fact {
	by := make(map[uuid.UUID]Fact, len(facts))
	for _, f := range facts {
		if _, twice := by[f.ID]; !twice {
			by[f.ID] = f
		}
	}
	return by
}
