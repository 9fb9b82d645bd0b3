package eve

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// SkillSetStanding is what an explanation of a skill set comes to.
type SkillSetStanding string

// The verdicts.
const (
	// SkillSetMet: the character has all that the set requires.
	SkillSetMet SkillSetStanding = "met"
	// SkillSetNoLongerMet: it had once, while both were known.
	SkillSetNoLongerMet SkillSetStanding = "no_longer_met"
	// SkillSetNeverMet: it never had.
	SkillSetNeverMet SkillSetStanding = "never_met"
	// SkillSetUnknown: the skills of the character were never read.
	SkillSetUnknown SkillSetStanding = "unknown"
)

// LackCause is why a character lacks a skill of a set.
type LackCause string

// The causes.
const (
	// LackNotInjected: the character never had the skill.
	LackNotInjected LackCause = "not_injected"
	// LackNotTrained: it was never trained so far.
	LackNotTrained LackCause = "not_trained"
	// LackLost: it was trained so far, and is no more: extracted, for example.
	LackLost LackCause = "lost"
	// LackInactive: it is trained so far, and the clone may not use it: an Alpha clone.
	LackInactive LackCause = "inactive"
	// LackSetChanged: it was enough until the set asked for more.
	LackSetChanged LackCause = "set_changed"
)

// SkillLack is a skill of a set that a character lacks.
type SkillLack struct {
	TypeID   int64
	Required SkillLevel
	// State is how the skill stands; the zero value if it is not there.
	State SkillState
	Cause LackCause
	// Since is since when it is lacking, UTC.
	Since time.Time
	// Step is what the skill is lacking by.
	Step Step
}

// The kinds of the steps of a skill set.
const (
	StepSetDefined  = "set_defined"
	StepSetChanged  = "set_changed"
	StepSetRemoved  = "set_removed"
	StepSkillsRead  = "skills_read"
	StepSkillGained = "skill_gained"
	StepSkillLost   = "skill_lost"
	StepActivated   = "skill_activated"
	StepInactive    = "skill_inactive"
	StepMet         = "met"
	StepNotMet      = "not_met"
)

// SkillSetExplanation is why a character meets a skill set or does not.
type SkillSetExplanation struct {
	Verdict SkillSetStanding
	// Since is since when it is so, UTC; zero for [SkillSetUnknown].
	Since time.Time
	Words []Part
	Set   SkillSet
	// Lacks are by ascending id.
	Lacks []SkillLack
	// Steps are what changed of the set and of the skills that it asks for, in the order of
	// time; Omitted counts those left out.
	Steps   []Step
	Omitted int
}

// ExplainSkillSet tells why a character meets the required levels of a skill set or not,
// since when, and by what: skills that it lost or may not use any more, or a set that asks
// for more. definitions are the facts of the stream that skill sets lie in, life those of
// the character, both in the order of the log; between the two streams the times of the
// events decide, so that of two that are as old the definition comes first. It fails with
// [event.CodePoisoned] for an event that cannot be read, and with [event.CodeNotFound] if
// there is no such set.
func ExplainSkillSet(id uuid.UUID, definitions, life []Fact) (SkillSetExplanation, error) {
	t := skillTrack{id: id, skills: Chronicle{Section: SectionSkills}, now: Skills{}, best: map[int64]int{}, lacks: map[int64]SkillLack{}}
	for _, f := range merged(definitions, life) {
		if err := t.follow(f); err != nil {
			return SkillSetExplanation{}, err
		}
	}
	if t.set == nil {
		return SkillSetExplanation{}, noSkillSet(id)
	}
	return t.conclude(), nil
}

// merged are two lists of facts in the order of their times, each in its own order.
func merged(first, second []Fact) []Fact {
	all := make([]Fact, 0, len(first)+len(second))
	for len(first) > 0 || len(second) > 0 {
		if len(second) == 0 || len(first) > 0 && !first[0].Time.After(second[0].Time) {
			all, first = append(all, first[0]), first[1:]
			continue
		}
		all, second = append(all, second[0]), second[1:]
	}
	return all
}

// skillTrack follows a set and a character's skills.
type skillTrack struct {
	id     uuid.UUID
	set    *SkillSet
	skills Chronicle
	now    Skills
	// best are the highest levels that were ever trained.
	best map[int64]int
	read bool
	// checked tells that the two were held against each other, met how they stand, once
	// that they were met.
	checked, met, once bool
	since              time.Time
	lacks              map[int64]SkillLack
	steps              []Step
}

func (t *skillTrack) follow(f Fact) error {
	switch p := f.Payload.(type) {
	case SkillSetDefined:
		if p.SkillSetID == t.id {
			t.define(f, p.SkillSet)
		}
	case SkillSetRemoved:
		if p.SkillSetID == t.id && t.set != nil {
			t.set, t.checked = nil, false
			clear(t.lacks)
			t.steps = append(t.steps, f.step(StepSetRemoved, "", f.Time, words("The skill set was removed.")))
		}
	case SectionObserved:
		if p.Section == SectionSkills {
			return t.observe(f, p)
		}
	}
	return nil
}

func (t *skillTrack) define(f Fact, set SkillSet) {
	before := t.set
	t.set = &set
	if before == nil {
		t.steps = append(t.steps, f.step(StepSetDefined, "", f.Time, words(fmt.Sprintf("The skill set %s was defined.", set.Name))))
		t.check(f, f.Time, nil)
		return
	}
	byType := map[int64]Step{}
	for _, c := range DiffSkillSets(*before, set) {
		if c.Field != "skill" {
			continue
		}
		step := f.step(StepSetChanged, "", f.Time, flat("The skill set asks for ", ofType(c.TypeID), " at "+cmp.Or(c.After, "no level")+" instead of "+cmp.Or(c.Before, "no level")+"."))
		byType[c.TypeID] = step
		t.steps = append(t.steps, step)
	}
	t.check(f, f.Time, byType)
}

func (t *skillTrack) observe(f Fact, p SectionObserved) error {
	changes, first, err := t.skills.Follow(f.Event, f.Payload)
	if err != nil {
		return err
	}
	at := p.FetchedAt.UTC()
	byType := map[int64]Step{}
	for _, c := range changes {
		id, err := strconv.ParseInt(c.Key, 10, 64)
		if c.Head || c.List != "skills" || err != nil {
			continue
		}
		before := t.now[id]
		after := SkillState{Active: int(numberIn(c.After, "active_skill_level")), Trained: int(numberIn(c.After, "trained_skill_level")), Points: numberIn(c.After, "skillpoints_in_skill")}
		t.now[id] = after
		if c.Kind == ChangeRemoved {
			delete(t.now, id)
		}
		t.best[id] = max(t.best[id], after.Trained)
		if first {
			continue
		}
		if kind, said := skillStep(c, id, before, after); kind != "" {
			byType[id] = f.step(kind, SectionSkills, at, said)
			if t.asksFor(id) {
				t.steps = append(t.steps, byType[id])
			}
		}
	}
	if first {
		t.read = true
		t.steps = append(t.steps, f.step(StepSkillsRead, SectionSkills, at, words("The skills were read for the first time.")))
	}
	t.check(f, at, byType)
	return nil
}

func (t *skillTrack) asksFor(id int64) bool {
	return t.set != nil && slices.ContainsFunc(t.set.Skills, func(s SetSkill) bool { return s.TypeID == id })
}

// skillStep says what happened to a skill; the kind is empty if nothing did that counts.
func skillStep(c Change, id int64, before, after SkillState) (string, []Part) {
	switch {
	case c.Kind == ChangeRemoved:
		return StepSkillLost, flat("The skill ", ofType(id), fmt.Sprintf(", trained to level %d, is gone.", before.Trained))
	case after.Trained < before.Trained:
		return StepSkillLost, flat("The skill ", ofType(id), fmt.Sprintf(" fell from trained level %d to %d and by %d skill points, as it does when skill points are extracted.", before.Trained, after.Trained, before.Points-after.Points))
	case after.Active < before.Active:
		return StepInactive, flat("The active level of ", ofType(id), fmt.Sprintf(" fell from %d to %d while %d stayed trained, as it does when an Omega clone becomes an Alpha clone.", before.Active, after.Active, after.Trained))
	case after.Trained > before.Trained:
		return StepSkillGained, flat("The skill ", ofType(id), fmt.Sprintf(" was trained from level %d to %d.", before.Trained, after.Trained))
	case after.Active > before.Active:
		return StepActivated, flat("The active level of ", ofType(id), fmt.Sprintf(" rose from %d to %d.", before.Active, after.Active))
	case c.Kind == ChangeAdded:
		return StepSkillGained, flat("The skill ", ofType(id), " was injected.")
	default:
		return "", nil
	}
}

// check holds the skills against the set and notes what turned by a fact. byType has what
// it changed of each skill.
func (t *skillTrack) check(f Fact, at time.Time, byType map[int64]Step) {
	if t.set == nil || !t.read {
		return
	}
	failed := CheckSkills(t.now, *t.set).FailedRequired
	lacking := map[int64]SkillLack{}
	for _, s := range failed {
		lack, held := t.lacks[s.TypeID]
		turned, changed := byType[s.TypeID]
		if !held {
			lack = SkillLack{TypeID: s.TypeID, Since: at.UTC()}
		}
		lack.Required, lack.State = s.Required, t.now[s.TypeID]
		_, definition := f.Payload.(SkillSetDefined)
		if !held || changed {
			if !changed {
				turned = f.step(StepNotMet, "", at, flat("The skill ", ofType(s.TypeID), fmt.Sprintf(" is at active level %d, and %d is required.", lack.State.Active, s.Required)))
			}
			lack.Step = turned
			lack.Cause = t.why(s, !held && definition && t.checked)
		}
		lacking[s.TypeID] = lack
	}
	t.lacks = lacking
	met := len(failed) == 0
	if !t.checked || met != t.met {
		kind, said := StepMet, "From here on the character has all that the set requires."
		if !met {
			kind, said = StepNotMet, fmt.Sprintf("From here on %d required skills are lacking.", len(failed))
		}
		t.steps = append(t.steps, f.step(kind, "", at, words(said)))
		t.since = at.UTC()
	}
	t.checked, t.met, t.once = true, met, t.once || met
}

// why says why a skill is lacking.
func (t *skillTrack) why(s SetSkill, setChanged bool) LackCause {
	state, there := t.now[s.TypeID]
	best, known := t.best[s.TypeID]
	switch {
	case SkillLevel(state.Trained) >= s.Required:
		return LackInactive
	case known && SkillLevel(best) >= s.Required:
		return LackLost
	case setChanged:
		return LackSetChanged
	case !there && !known:
		return LackNotInjected
	default:
		return LackNotTrained
	}
}

func (t *skillTrack) conclude() SkillSetExplanation {
	x := SkillSetExplanation{Set: *t.set, Since: t.since}
	for _, lack := range t.lacks {
		x.Lacks = append(x.Lacks, lack)
	}
	slices.SortFunc(x.Lacks, func(a, b SkillLack) int { return cmp.Compare(a.TypeID, b.TypeID) })
	x.Steps, x.Omitted = bounded(t.steps)
	switch {
	case !t.checked:
		x.Verdict, x.Since = SkillSetUnknown, time.Time{}
		x.Words = words("The skills of the character were never read, so nobody can tell whether they meet the set.")
	case t.met:
		x.Verdict = SkillSetMet
		x.Words = words(fmt.Sprintf("The character has had all that %s requires since %s.", x.Set.Name, said(x.Since)))
	case t.once:
		x.Verdict = SkillSetNoLongerMet
		x.Words = words(fmt.Sprintf("The character does not meet %s any more since %s: %d required skills are lacking.", x.Set.Name, said(x.Since), len(x.Lacks)))
	default:
		x.Verdict = SkillSetNeverMet
		x.Words = words(fmt.Sprintf("The character has not met %s so far; that is known since %s. %d required skills are lacking.", x.Set.Name, said(x.Since), len(x.Lacks)))
	}
	return x
}
