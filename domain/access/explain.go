package access

import (
	"cmp"
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

// CharacterStory is what the log tells of a character, as far as it bears on the
// compliance of whoever owns it.
type CharacterStory struct {
	ID   int64
	Name string
	// Steps are in the order of the log.
	Steps []CharacterStep
	// Lacking are the sections that its owner has not consented to.
	Lacking []string
}

// CharacterChange is a kind of [CharacterStep].
type CharacterChange string

// What happens to characters.
const (
	// CharacterClaimed: its owner registered it, or gave a new login.
	CharacterClaimed CharacterChange = "registered"
	// CharacterRemoved: it has no owner any more.
	CharacterRemoved CharacterChange = "removed"
	// CharacterLoginLost: a section cannot be read because the login does not work.
	CharacterLoginLost CharacterChange = "login_lost"
	// CharacterLoginBack: the section can be read again.
	CharacterLoginBack CharacterChange = "login_back"
)

// CharacterStep is one thing that happened to a character.
type CharacterStep struct {
	Kind CharacterChange
	At   time.Time
	// UserID is the owner whom it is about: of a removal, the one before.
	UserID string
	// Section is the one that cannot be read, or can be again.
	Section  string
	Words    string
	Actor    string
	EventID  uuid.UUID
	Position event.Position
}

// ComplianceCause is why something keeps a user from being compliant.
type ComplianceCause string

// The causes.
const (
	// CauseNoMain: no main was chosen, or it was taken back.
	CauseNoMain ComplianceCause = "no_main"
	// CauseNeverRegistered: the character is on the list of what he owns, and was never
	// registered.
	CauseNeverRegistered ComplianceCause = "never_registered"
	// CauseRemoved: it was registered and has no owner any more.
	CauseRemoved ComplianceCause = "removed"
	// CauseToken: its login does not work any more. It still counts as registered.
	CauseToken ComplianceCause = "token"
	// CauseScopes: its login lacks scopes. It still counts as registered.
	CauseScopes ComplianceCause = "scopes"
	// CauseHidden: whoever asks may not open the character.
	CauseHidden ComplianceCause = "hidden"
)

// ExplainedReason is one thing to be put right, and by what it came to be so.
type ExplainedReason struct {
	// Reason has no fault for [CauseScopes], which no report counts.
	Reason

	Name  string
	Cause ComplianceCause
	// Decides tells that he is not compliant by it; the others are only worth knowing.
	Decides bool
	Since   time.Time
	Words   string
	// By is what it came to be so by; nil if the log does not tell, or not to everybody.
	By *ComplianceStep
}

// The kinds of steps of a user's compliance, beside those of [CharacterChange].
const (
	StepMainSet       = "main_set"
	StepMainTakenBack = "main_taken_back"
	StepListed        = "listed"
	StepUnlisted      = "unlisted"
	StepCompliant     = "compliant"
	StepNotCompliant  = "not_compliant"
)

// ComplianceStep is one thing that bears on a user's compliance.
type ComplianceStep struct {
	At   time.Time
	Kind string
	// CharacterID is zero for what is about no character.
	CharacterID int64
	Words       string
	Actor       string
	EventID     uuid.UUID
	Position    event.Position

	// owner is whom a step of a character is about; ofCharacter tells that the event lies in
	// the character's stream.
	owner       string
	ofCharacter bool
}

// ComplianceExplanation is why a user is compliant or is not.
type ComplianceExplanation struct {
	User      string
	Compliant bool
	// Since is since when it is so, UTC; zero if the log tells nothing of him.
	Since time.Time
	Words string
	// Reasons are by ascending character, one without a character first.
	Reasons []ExplainedReason
	// Steps are in the order of time; Omitted counts those left out.
	Steps   []ComplianceStep
	Omitted int
	// Hidden counts the characters whose own events are not told, see
	// [ComplianceExplanation.For].
	Hidden int
}

// mostComplianceSteps bounds the steps of an explanation.
const mostComplianceSteps = 500

// ExplainCompliance tells whether a user is compliant, since when, and what decided it:
// his main, the characters that he is said to own, and what happened to each of them. told
// are the facts of his stream in the order of the log; characters those that were ever on
// his list or are his. Between streams the times of the events decide.
//
// The rule is that of [Roster.Compliance]: he has a main, and each character on his list is
// registered, by whomever. Whether reports consider him at all is not asked here.
func ExplainCompliance(user string, told []Fact, characters []CharacterStory) ComplianceExplanation {
	t := complianceTrack{user: user, characters: map[int64]*trackedCharacter{}}
	for _, c := range characters {
		t.character(c.ID).story = c
	}
	for _, next := range t.moments(told, characters) {
		next.apply()
		t.turn(next)
	}
	return t.conclude()
}

// complianceTrack follows a user.
type complianceTrack struct {
	user string
	// main is nil for none; mainBy is what made it so.
	main       *int64
	mainBy     *ComplianceStep
	characters map[int64]*trackedCharacter
	known      bool
	compliant  bool
	since      time.Time
	steps      []ComplianceStep
}

// trackedCharacter is a character that may be the user's.
type trackedCharacter struct {
	story CharacterStory
	// listed is what put it on the list; nil if it is not on it.
	listed *ComplianceStep
	// claimed is what it was last registered by, removed what took its owner away.
	claimed, removed *ComplianceStep
	owner            string
	// lost are what its login was lost by, section by section.
	lost map[string]*ComplianceStep
}

// registered tells whether it has an owner.
func (c *trackedCharacter) registered() bool { return c.claimed != nil && c.removed == nil }

func (t *complianceTrack) character(id int64) *trackedCharacter {
	c := t.characters[id]
	if c == nil {
		c = &trackedCharacter{story: CharacterStory{ID: id}, lost: map[string]*ComplianceStep{}}
		t.characters[id] = c
	}
	return c
}

// complianceMoment is an event of one of the streams.
type complianceMoment struct {
	at       time.Time
	eventID  uuid.UUID
	position event.Position
	actor    string
	// character is the one whose stream it lies in, owner whom it is about.
	character int64
	owner     string
	apply     func()
}

// moments are the events of all streams in the order of their times, each stream in its own.
func (t *complianceTrack) moments(told []Fact, characters []CharacterStory) []complianceMoment {
	var all []complianceMoment
	add := func(m complianceMoment, latest *time.Time) {
		// The order of a stream is that of its log, whatever the clocks said.
		if m.at.Before(*latest) {
			m.at = *latest
		}
		*latest = m.at
		all = append(all, m)
	}
	var latest time.Time
	for _, f := range told {
		add(complianceMoment{at: f.Time.UTC(), eventID: f.ID, position: f.Position, actor: f.Actor, apply: func() { t.tell(f) }}, &latest)
	}
	for _, c := range characters {
		latest = time.Time{}
		for _, s := range c.Steps {
			add(complianceMoment{at: s.At.UTC(), eventID: s.EventID, position: s.Position, actor: s.Actor, character: c.ID, owner: s.UserID, apply: func() { t.happen(c.ID, s) }}, &latest)
		}
	}
	slices.SortStableFunc(all, func(a, b complianceMoment) int { return a.at.Compare(b.at) })
	return all
}

// tell follows an event of the user.
func (t *complianceTrack) tell(f Fact) {
	step := func(kind string, character int64, words string) *ComplianceStep {
		s := ComplianceStep{At: f.Time.UTC(), Kind: kind, CharacterID: character, Words: words, Actor: f.Actor, EventID: f.ID, Position: f.Position}
		t.steps = append(t.steps, s)
		return &s
	}
	switch p := f.Payload.(type) {
	case UserRegistered:
		t.known = true
	case MainSet:
		t.known = true
		if t.main = p.CharacterID; t.main == nil {
			t.mainBy = step(StepMainTakenBack, 0, "The user has no main from here on.")
			return
		}
		t.mainBy = step(StepMainSet, *t.main, fmt.Sprintf("Character %d became the main.", *t.main))
	case CharactersListed:
		t.known = true
		on := map[int64]bool{}
		for _, listed := range p.Characters {
			on[listed.CharacterID] = true
			c := t.character(listed.CharacterID)
			c.story.Name = cmp.Or(c.story.Name, listed.Name)
			if c.listed == nil {
				c.listed = step(StepListed, listed.CharacterID, c.called()+" is on the list of what the user owns.")
			}
		}
		for _, id := range t.ids() {
			if c := t.characters[id]; c.listed != nil && !on[id] {
				c.listed = nil
				step(StepUnlisted, id, c.called()+" is not on the list any more of what the user owns.")
			}
		}
	}
}

// called is the character by its name, if that is known.
func (c *trackedCharacter) called() string {
	if c.story.Name == "" {
		return fmt.Sprintf("Character %d", c.story.ID)
	}
	return fmt.Sprintf("Character %d (%s)", c.story.ID, c.story.Name)
}

func (t *complianceTrack) ids() []int64 {
	ids := make([]int64, 0, len(t.characters))
	for id := range t.characters {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// happen follows an event of a character.
func (t *complianceTrack) happen(id int64, s CharacterStep) {
	c := t.character(id)
	step := ComplianceStep{
		At: s.At.UTC(), Kind: string(s.Kind), CharacterID: id, Words: c.called() + ": " + s.Words, Actor: s.Actor, EventID: s.EventID, Position: s.Position, owner: s.UserID, ofCharacter: true,
	}
	t.steps = append(t.steps, step)
	switch s.Kind {
	case CharacterClaimed:
		c.claimed, c.removed, c.owner = &step, nil, s.UserID
	case CharacterRemoved:
		c.removed = &step
	case CharacterLoginLost:
		if c.lost[s.Section] == nil {
			c.lost[s.Section] = &step
		}
	case CharacterLoginBack:
		delete(c.lost, s.Section)
	}
}

// turn notes when the user becomes compliant or is so no more.
func (t *complianceTrack) turn(m complianceMoment) {
	compliant := t.main != nil
	for _, c := range t.characters {
		compliant = compliant && (c.listed == nil || c.registered())
	}
	if !t.known || !t.since.IsZero() && compliant == t.compliant {
		return
	}
	t.compliant, t.since = compliant, m.at
	kind, words := StepNotCompliant, "From here on the user is not compliant."
	if compliant {
		kind, words = StepCompliant, "From here on the user is compliant."
	}
	t.steps = append(t.steps, ComplianceStep{
		At: m.at, Kind: kind, Words: words, CharacterID: m.character, Actor: m.actor, EventID: m.eventID, Position: m.position, owner: m.owner, ofCharacter: m.character != 0,
	})
}

func (t *complianceTrack) conclude() ComplianceExplanation {
	x := ComplianceExplanation{User: t.user, Compliant: t.compliant, Since: t.since, Steps: t.steps}
	if t.main == nil {
		reason := ExplainedReason{Reason: Reason{Fault: FaultNoMain}, Cause: CauseNoMain, Decides: true, By: t.mainBy, Words: "The user never chose a main."}
		if t.mainBy != nil {
			reason.Since, reason.Words = t.mainBy.At, "The user has no main any more."
		}
		x.Reasons = append(x.Reasons, reason)
	}
	deciding := 0
	for _, id := range t.ids() {
		x.Reasons = append(x.Reasons, t.characters[id].reasons(t.user)...)
	}
	for _, r := range x.Reasons {
		if r.Decides {
			deciding++
		}
	}
	if over := len(x.Steps) - mostComplianceSteps; over > 0 {
		// The first ones say how it began, the last ones how it is.
		x.Steps, x.Omitted = slices.Delete(slices.Clone(x.Steps), mostComplianceSteps/2, mostComplianceSteps/2+over), over
	}
	switch {
	case t.since.IsZero():
		x.Words = fmt.Sprintf("The log tells nothing of user %s.", t.user)
	case t.compliant:
		x.Words = fmt.Sprintf("User %s is compliant since %s.", t.user, x.Since.Format(time.RFC3339))
	default:
		x.Words = fmt.Sprintf("User %s is not compliant since %s; %d things are to be put right for that.", t.user, x.Since.Format(time.RFC3339), deciding)
	}
	return x
}

// reasons are what there is to be put right with a character of a user.
func (c *trackedCharacter) reasons(user string) []ExplainedReason {
	reason := func(fault Fault, cause ComplianceCause, decides bool, by *ComplianceStep, words string) ExplainedReason {
		return ExplainedReason{Reason: Reason{CharacterID: c.story.ID, Fault: fault}, Name: c.story.Name, Cause: cause, Decides: decides, Since: by.At, By: by, Words: c.called() + words}
	}
	switch {
	case c.registered() && c.owner == user:
		var found []ExplainedReason
		var first *ComplianceStep
		for _, lost := range c.lost {
			if first == nil || lost.At.Before(first.At) || lost.At.Equal(first.At) && lost.Words < first.Words {
				first = lost
			}
		}
		if first != nil {
			found = append(found, reason(FaultLoginLost, CauseToken, false, first, " is registered, but its login does not work any more: its owner has to register it again."))
		}
		if n := len(c.story.Lacking); n > 0 {
			found = append(found, reason("", CauseScopes, false, c.claimed, fmt.Sprintf(" is registered, but its login lacks the scopes of %d sections.", n)))
		}
		return found
	case c.listed == nil || c.registered():
		return nil
	case c.removed != nil:
		r := reason(FaultLoginLost, CauseRemoved, true, c.removed, " was registered and has no owner any more: its owner has to register it again.")
		if c.listed.At.After(r.Since) {
			// It counts since it is on his list.
			r.Since, r.By = c.listed.At, c.listed
		}
		return []ExplainedReason{r}
	default:
		return []ExplainedReason{reason(FaultNeverRegistered, CauseNeverRegistered, true, c.listed, " was never registered.")}
	}
}

// For is the explanation as somebody may see it: of a character that he may not open he is
// told what a report of compliance says, but nothing of the character's own events, unless
// they are about himself as its owner. viewer is empty for a program, opens tells which
// characters he may open.
func (x ComplianceExplanation) For(viewer string, opens func(character int64) bool) ComplianceExplanation {
	hidden := map[int64]bool{}
	hides := func(s ComplianceStep) bool {
		if !s.ofCharacter || opens(s.CharacterID) || viewer != "" && s.owner == viewer {
			return false
		}
		hidden[s.CharacterID] = true
		return true
	}
	shown := x
	shown.Steps, shown.Reasons = nil, nil
	for _, s := range x.Steps {
		switch {
		case !hides(s):
			shown.Steps = append(shown.Steps, s)
		case s.Kind == StepCompliant || s.Kind == StepNotCompliant:
			// That he turned is his own; by which event is not.
			shown.Steps = append(shown.Steps, ComplianceStep{At: s.At, Kind: s.Kind, Words: s.Words})
		}
	}
	for _, r := range x.Reasons {
		if r.CharacterID != 0 && r.By != nil && hides(*r.By) {
			if r.Cause == CauseScopes {
				continue
			}
			r.Cause, r.By = CauseHidden, nil
			r.Words = fmt.Sprintf("Character %d has lost its login or its owner.", r.CharacterID)
		}
		shown.Reasons = append(shown.Reasons, r)
	}
	shown.Hidden = len(hidden)
	return shown
}
