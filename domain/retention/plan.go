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
// facts are all that the stream has, in that order; of an event that was appended
// twice the first copy counts.
//
//   - What lies before the character was last forgotten goes.
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
	facts = firstCopies(facts)
	begin := 0
	for i, f := range facts {
		if f.Type == eve.TypeCharacterForgotten {
			begin = i
		}
	}
	var expired []Expired
	for _, f := range facts[:begin] {
		expired = append(expired, Expired{f, ClassForgotten, p.CutOff(ClassForgotten, now), ReasonForgotten})
	}
	facts = facts[begin:]
	reasons := make([]Reason, len(facts))
	p.history(facts, now, reasons)
	p.state(facts, now, reasons)
	for i, reason := range reasons {
		if reason == "" {
			continue
		}
		class := ClassOf(facts[i].Type)
		expired = append(expired, Expired{facts[i], class, p.CutOff(class, now), reason})
	}
	return expired
}

// firstCopies leaves one copy of each event.
func firstCopies(facts []Fact) []Fact {
	seen := make(map[uuid.UUID]struct{}, len(facts))
	kept := make([]Fact, 0, len(facts))
	for _, f := range facts {
		if _, twice := seen[f.ID]; !twice {
			seen[f.ID] = struct{}{}
			kept = append(kept, f)
		}
		if f.Type == eve.TypeCharacterForgotten {
			// What comes after it begins new chains, whose ids may be the same.
			clear(seen)
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
		if f.Type != eve.TypeSectionObserved || f.Section == "" {
			continue
		}
		if before, is := last[f.Section]; is {
			reasons[before] = p.replaced(facts[before], f, cutOff, now)
		}
		last[f.Section] = i
	}
	needed := map[uuid.UUID]bool{}
	for i, f := range facts {
		if f.Type == eve.TypeSectionObserved && reasons[i] == "" && f.Encoding == eve.EncodingDelta {
			needed[f.Base] = true
		}
	}
	for i, f := range facts {
		if f.Type == eve.TypeSectionObserved && needed[f.ID] {
			reasons[i] = ""
		}
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
