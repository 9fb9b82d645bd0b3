package retention

import (
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Fact is what must be known of an event to tell whether it may go.
type Fact struct {
	ID   uuid.UUID
	Type event.Type
	// Subject is what it is about.
	eve.Subject
	// Time is when the fact held, UTC.
	Time time.Time
	// Offset is where it lies; facts are in order of it.
	Offset int64
}

// Reason says why an event goes.
type Reason string

// The reasons.
const (
	// ReasonAge: the day that it tells of lies before the cut-off.
	ReasonAge Reason = "older than the policy keeps"
	// ReasonSuperseded: what it says was replaced before the cut-off.
	ReasonSuperseded Reason = "replaced before the time that can be asked for"
	// ReasonThinned: it is not the last of its day.
	ReasonThinned Reason = "not the last observation of its day"
	// ReasonClosed: a later closing of the journal holds all that it does.
	ReasonClosed Reason = "held by a later closing"
	// ReasonForgotten: the character was forgotten after it.
	ReasonForgotten Reason = "its character was forgotten"
)

// Expired is an event that may go.
type Expired struct {
	Fact
	Class  Class
	CutOff time.Time
	Reason Reason
}

// Tombstone is what removes the event from the log.
func (x Expired) Tombstone(stream event.Stream, at time.Time) event.Event {
	return event.Tombstone(stream, x.ID, at, event.Expiry{Policy: string(x.Class), CutOff: x.CutOff})
}

// Expire tells which events of a character's stream may go, in the order of the log.
// facts are all records that the stream has, in that order, copies included. A
// tombstone removes all copies of an event, so one goes only if each of them may.
//
//   - What lies before the character was last forgotten goes, but for what was
//     observed again since under the same id.
//   - History goes by the UTC day that it tells of. All events of a record are of one
//     day, so a record goes as a whole. Of the closings of the journal the last stays.
//   - Of each section's observations the last never goes. Another one goes if it was
//     replaced before the cut-off: until then it is what the section was. Before that
//     it goes if it was replaced on its own day and longer ago than all are kept.
//     Observations of mails are not thinned out, for they alone tell the names of
//     mailing lists that were left.
//   - A full observation stays as long as a difference that names it does.
//
// What was told to go and is told again of the rest gives nothing, and time only
// adds.
func (p Policies) Expire(facts []Fact, now time.Time) []Expired {
	begin := 0
	for i, f := range facts {
		if f.Type == eve.TypeCharacterForgotten {
			begin = i
		}
	}
	reasons := make([]Reason, len(facts))
	for i := range begin {
		reasons[i] = ReasonForgotten
	}
	p.history(facts[begin:], now, reasons[begin:])
	p.state(facts[begin:], now, reasons[begin:])
	done := keptOf(facts, reasons)
	var expired []Expired
	for i, f := range facts {
		if done[f.ID] {
			continue
		}
		done[f.ID] = true
		class := ClassOf(f.Type)
		if reasons[i] == ReasonForgotten {
			class = ClassForgotten
		}
		expired = append(expired, Expired{f, class, p.CutOff(class, now), reasons[i]})
	}
	return expired
}

// keptOf are the events that stay: one of their copies has no reason to go, or a
// difference that stays names them.
func keptOf(facts []Fact, reasons []Reason) map[uuid.UUID]bool {
	kept := map[uuid.UUID]bool{}
	for i, f := range facts {
		if reasons[i] == "" {
			kept[f.ID] = true
		}
	}
	for _, f := range facts {
		if eve.Newest(f.Type) == eve.TypeSectionObserved && f.Encoding == eve.EncodingDelta && kept[f.ID] {
			kept[f.Base] = true
		}
	}
	return kept
}

// of is the UTC day that a fact tells of, or else that on which it held.
func (f Fact) of() time.Time {
	if at, err := time.Parse(time.DateOnly, f.Day); err == nil {
		return at
	}
	return f.Time.UTC().Truncate(day)
}

func (p Policies) history(facts []Fact, now time.Time, reasons []Reason) {
	cutOff := p.CutOff(ClassHistory, now)
	if cutOff.IsZero() {
		return
	}
	lastClosing := -1
	for i, f := range facts {
		switch {
		case ClassOf(f.Type) != ClassHistory:
			continue
		case f.Type == eve.TypeJournalClosed:
			if lastClosing >= 0 {
				reasons[lastClosing] = ReasonClosed
			}
			lastClosing = i
			continue
		case f.of().Before(cutOff):
			reasons[i] = ReasonAge
		}
	}
}

func (p Policies) state(facts []Fact, now time.Time, reasons []Reason) {
	cutOff := p.CutOff(ClassState, now)
	if cutOff.IsZero() {
		return
	}
	last := map[eve.Section]int{}
	for i, f := range facts {
		if eve.Newest(f.Type) != eve.TypeSectionObserved || f.Section == "" {
			continue
		}
		if before, is := last[f.Section]; is {
			reasons[before] = p.replaced(facts[before], f, cutOff, now)
		}
		last[f.Section] = i
	}
}

// replaced is why an observation goes that another one has replaced.
func (p Policies) replaced(f, by Fact, cutOff, now time.Time) Reason {
	switch {
	case by.Time.Before(cutOff):
		return ReasonSuperseded
	case p.StateAllDays > 0 && f.Section != eve.SectionMails && f.Time.UTC().Truncate(day).Equal(by.Time.UTC().Truncate(day)) &&
		by.Time.Before(now.Add(-time.Duration(p.StateAllDays)*day)):
		return ReasonThinned
	default:
		return ""
	}
}

// Aged is what a read model shows of a character that lies before a moment.
type Aged struct {
	CharacterID int64
	// Rows is how many rows there are.
	Rows int64
	// Partition and LastOffset are the place of the last event that told one.
	Partition  int32
	LastOffset int64
}
