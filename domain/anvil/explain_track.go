package anvil

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// verdict is what a comparison says of one finding.
type verdict string

const (
	agreed    verdict = "yes"
	disagreed verdict = "no"
	// unclear: it could not be looked at.
	unclear verdict = "unknown"
)

// tracker follows one finding through a story. It folds the records that bear on
// it into a state of their own.
type tracker struct {
	*life

	stream event.Stream
	story  *story
	state  *State
	// scope is the group or workspace whose records bear on the finding.
	scope string
	// email is the address that it is about, in lower case, and groups are those
	// that ever had it.
	email  string
	groups []string

	// at is the time of the fact that is looked at: ignore rows end.
	at      time.Time
	verdict verdict
	why     string // of an unclear verdict
	turns   []turn
	looks   []look
	// current has what was observed last of the records that concern the finding.
	// known is how that was at the end of the last sweep that could tell; nil
	// before.
	current, known map[Slot]observation
	knownAt        int
	// said has what was declared last of the records that concern the finding.
	said map[Slot]observation
	// declared is what the state declares, and changed whether it has changed since
	// the last comparison; nil and true after an event.
	declared *Declared
	changed  bool
	// sweeps are those that are under way, with what was declared when they began.
	sweeps map[uuid.UUID]*Declared

	// shown is the finding as it is at this place of the story.
	shown    Finding
	moments  []Moment
	episodes []episode
}

// observation is what was observed or declared of a record, and its place in the
// story.
type observation struct {
	folded

	at int
}

// turn is a place in the story at which the verdict changed.
type turn struct {
	at       int
	from, to verdict
	// held is what the verdict would be if the world still were as the last sweep
	// saw it that could tell, and deciding the place of the observation without
	// which the verdict would be another.
	held     verdict
	deciding int
	// declared is the place of the declaration that decided, if the world was held
	// to be the same; -1 if none did.
	declared int
	// lapsed is the place of the ignore row whose end decided; -1 if none did.
	lapsed int
}

// look is a completed sweep and what it made of the finding.
type look struct {
	at       int
	sweep    SweepCompleted
	verdict  verdict
	why      string
	asked    []RecordKey
	standing string
}

// episode is one time that the finding was open.
type episode struct {
	opened, resolved int // places; resolved is -1 while it is open
	cause            Cause
	resolution       *Cause
	deciding         int // the place of the event that decided; -1 for none
	settling         int
}

func newTracker(stream event.Stream, s *story, l *life) *tracker {
	t := &tracker{
		life: l, stream: stream, story: s, state: NewState(stream), verdict: unclear, why: "nothing was observed yet",
		current: map[Slot]observation{}, said: map[Slot]observation{}, knownAt: -1, sweeps: map[uuid.UUID]*Declared{},
	}
	t.scope = l.last.Scope
	if t.scope == "" {
		t.scope = l.last.Record
	}
	if l.last.Scope != "" {
		_, t.email, _ = strings.Cut(l.last.Record, ": ")
		t.email = lower(t.email)
		t.groups = s.named[t.email]
	}
	return t
}

func lower(s string) string { return strings.ToLower(s) }

// rollUp tells whether the finding sums up others.
func (t *tracker) rollUp() bool {
	_, _, ok := summedUp(t.last)
	return ok
}

// concerns tells whether the audit of the finding's scope reads a record.
func (t *tracker) concerns(slot Slot) bool {
	key := slot.Key
	within := strings.HasPrefix(key.Name, t.scope+"/")
	switch t.last.Model {
	case ModelBillingProjects:
		return key.Kind == KindConsortium || key.Kind == KindBillingProject && key.Name == t.scope
	case ModelAccounts:
		return key.Kind == KindConsortium || key.Kind == KindAccount && key.Name == t.scope
	case ModelManagedGroups, ModelMemberships:
		switch key.Kind {
		case KindConsortium, KindGroupList:
			return true
		case KindGroup:
			return key.Name == t.scope || slot.Side == SideDeclared && t.named(key.Name)
		case KindAccount:
			return slot.Side == SideDeclared && t.named(key.Name)
		case KindAccountMembership, KindGroupMembership:
			return within
		case KindIgnoredMembership:
			return within || strings.HasPrefix(key.Name, Anywhere+"/")
		case KindGroupRole, KindGroupMembers, KindGroupAdmins:
			return key.Name == t.scope
		}
	case ModelWorkspaces, ModelSharing:
		switch key.Kind {
		case KindConsortium, KindWorkspaceList:
			return true
		case KindGroup:
			return slot.Side == SideDeclared && t.named(key.Name)
		case KindSharing:
			return within
		case KindIgnoredSharing:
			return within || strings.HasPrefix(key.Name, Anywhere+"/")
		case KindWorkspace, KindAccessList, KindSettings:
			return key.Name == t.scope
		}
	}
	return false
}

// named tells whether an account or a group was ever declared within the scope, or
// has the address that the finding is about.
func (t *tracker) named(name string) bool {
	return t.story.rows[t.scope][name] || name == t.email || slices.Contains(t.groups, name)
}

// bears tells whether a record can decide the finding itself: the verdict is
// asked for anew after each of its events.
func (t *tracker) bears(slot Slot) bool {
	if !t.concerns(slot) {
		return false
	}
	key := slot.Key
	if t.rollUp() {
		return key.Kind != KindSettings
	}
	row := strings.TrimPrefix(strings.TrimPrefix(key.Name, t.scope+"/"), Anywhere+"/")
	switch key.Kind {
	case KindAccount:
		return key.Name == t.scope || key.Name == t.email
	case KindGroup:
		return key.Name == t.scope || slices.Contains(t.groups, key.Name)
	case KindAccountMembership, KindIgnoredMembership, KindIgnoredSharing:
		return row == t.email
	case KindGroupMembership, KindSharing:
		return slices.Contains(t.groups, row)
	case KindGroupMembers, KindGroupAdmins:
		return t.last.Scope != ""
	case KindAccessList:
		return t.last.Scope != "" || !slices.Contains([]string{ErrDifferentAuthDomains, ErrDifferentLock}, t.last.Kind)
	case KindSettings:
		return t.last.Kind == ErrDifferentRequesterPay
	default:
		return true
	}
}

// take follows the story by one fact.
func (t *tracker) take(i int) error {
	f := t.story.facts[i]
	if t.at.Before(f.Time) {
		t.at = f.Time
	}
	if f.Stream != t.stream {
		return event.Errorf(event.CodeInvalid, "event %s: it belongs to another stream than %s", f.Key(), t.stream)
	}
	slot, fills := t.story.slot(i)
	concerned := fills && t.concerns(slot)
	bearing := fills && t.bears(slot)
	if concerned {
		if err := t.apply(i, slot); err != nil {
			return err
		}
	}
	switch p := f.Payload.(type) {
	case PlanApplied:
		t.compare(i)
	case SweepStarted:
		t.sweeps[p.SweepID] = t.declaration()
	case SweepCompleted:
		t.look(i, p)
	case FindingOpened:
		if p.ID == t.last.ID && slices.Contains(t.opened, i) {
			t.shown = p.Finding
			t.open(i)
		}
	case FindingResolved:
		if p.ID == t.last.ID && slices.Contains(t.resolved, i) {
			t.settle(i)
		}
	default:
		if bearing || concerned && slot.Side == SideObserved {
			t.compare(i)
		}
	}
	t.note(i, slot, bearing)
	return nil
}

func (t *tracker) apply(i int, slot Slot) error {
	f := t.story.facts[i]
	if err := t.state.Apply(f.Event, f.Payload); err != nil {
		return err
	}
	t.changed = true
	p, ok := f.Payload.(folded)
	switch {
	case ok && slot.Side == SideObserved:
		t.current[slot] = observation{p, i}
	case ok:
		t.said[slot] = observation{p, i}
		t.declared = nil
	}
	return nil
}

// declaration is what the state declares.
func (t *tracker) declaration() *Declared {
	if t.declared == nil {
		d := t.state.Declared()
		t.declared = &d
	}
	return t.declared
}

// compare asks for the verdict anew.
func (t *tracker) compare(i int) {
	if !t.changed {
		return
	}
	t.changed = false
	now, why := t.judge(*t.declaration(), t.state.Observed())
	t.why = why
	if now == t.verdict {
		return
	}
	n := turn{at: i, from: t.verdict, to: now, held: unclear, deciding: i, declared: -1, lapsed: -1}
	if t.verdict == agreed && now == disagreed {
		n.lapsed = t.lapsed(i)
	}
	if t.verdict == unclear && t.known != nil {
		n.held = t.suppose(t.known)
		if n.held == now {
			n.declared = t.declarer(i, now)
		} else {
			n.deciding = t.decider(i, now)
		}
	}
	t.verdict = now
	t.turns = append(t.turns, n)
}

// lapsed is the place of the ignore row that covered the finding until its time was
// over, if nothing but that has made the two sides disagree; -1 if none has. It is
// the one that ended last.
func (t *tracker) lapsed(i int) int {
	if slot, fills := t.story.slot(i); fills && slot.Side == SideDeclared || t.known == nil || t.suppose(t.known) != disagreed {
		return -1
	}
	at, newest := -1, time.Time{}
	for slot, d := range t.said {
		if ends := endOf(d.folded); t.bears(slot) && !ends.IsZero() && !t.at.Before(ends) && ends.After(newest) {
			at, newest = d.at, ends
		}
	}
	return at
}

// endOf is when a declared ignore row ends; zero if it does not, or for another
// payload.
func endOf(p any) time.Time {
	switch p := p.(type) {
	case IgnoredMembershipDeclared:
		return p.ExpiresAt
	case IgnoredSharingDeclared:
		return p.ExpiresAt
	default:
		return time.Time{}
	}
}

// suppose is what the verdict would be if AnVIL were observed to be so.
func (t *tracker) suppose(world map[Slot]observation) verdict {
	past := NewState(t.stream)
	for _, o := range world {
		o.fold(past, Mark{})
	}
	v, _ := t.judge(*t.declaration(), past.Observed())
	return v
}

// decider is the place of the observation that made the verdict what it is now:
// the newest since the last sweep that could tell without which it would be
// another. The event at i is preferred to none alone: often it only made it
// possible to tell.
func (t *tracker) decider(i int, now verdict) int {
	newest := i
	for slot, o := range t.current {
		before, known := t.known[slot]
		if known && before.at == o.at || o.at == i && newest != i {
			continue
		}
		world := maps.Clone(t.current)
		delete(world, slot)
		if known {
			world[slot] = before
		}
		if v := t.suppose(world); v == now || v == unclear {
			continue
		}
		if newest == i || o.at > newest {
			newest = o.at
		}
	}
	return newest
}

// declarer is the place of the declaration that made the verdict what it is now:
// the newest since the last sweep that could tell without which it would be
// another; if each of several would have been enough, the newest. It is -1 if
// nothing was declared since.
func (t *tracker) declarer(i int, now verdict) int {
	newest := -1
	for at := i - 1; at > t.knownAt; at-- {
		slot, fills := t.story.slot(at)
		if !fills || slot.Side != SideDeclared || !t.bears(slot) || t.said[slot].at != at {
			continue
		}
		if newest < 0 {
			newest = at
		}
		other := NewState(t.stream)
		for s, d := range t.said {
			if s != slot {
				d.fold(other, Mark{Seq: int64(d.at)})
			}
		}
		before := t.story.before[at]
		for before > t.knownAt {
			before = t.story.before[before]
		}
		if before >= 0 {
			if p, ok := t.story.facts[before].Payload.(folded); ok {
				p.fold(other, Mark{Seq: int64(before)})
			}
		}
		if v, _ := t.judge(other.Declared(), t.state.Observed()); v != now {
			return at
		}
	}
	return newest
}

// judge compares the two sides as far as the finding goes; why says what kept it
// from being clear.
func (t *tracker) judge(d Declared, o *Observed) (v verdict, why string) {
	model := t.last.Model
	switch model {
	case ModelMemberships:
		model = ModelManagedGroups
	case ModelSharing:
		model = ModelWorkspaces
	}
	result := Audit(d, o, Options{Models: []Model{model}, At: t.at})
	for _, found := range result.Discrepancies() {
		if found.Model == t.last.Model && found.Scope == t.last.Scope && found.Record == t.last.Record && found.Kind == t.last.Kind {
			return disagreed, ""
		}
	}
	c := Comparison{Stream: t.stream, Declared: d, Result: result, Marks: t.state}
	if c.settled(t.last, c.index()) {
		return agreed, ""
	}
	outcome := result.outcome(t.last.Model, t.last.Scope)
	if outcome == nil {
		return unclear, "the service account may not look into " + t.scope
	}
	for _, key := range []string{t.last.Record, Everything} {
		if outcome.Unknown[key] != "" {
			return unclear, outcome.Unknown[key]
		}
	}
	return unclear, outcome.Aborted
}

// look notes what a completed sweep made of the finding.
func (t *tracker) look(i int, sweep SweepCompleted) {
	t.compare(i)
	l := look{at: i, sweep: sweep, verdict: t.verdict, why: t.why, standing: t.stands(t.state)}
	declared, ok := t.sweeps[sweep.SweepID]
	if !ok {
		declared = t.declaration()
	}
	delete(t.sweeps, sweep.SweepID)
	for _, q := range append(FirstRequests(*declared, sweep.Models, sweep.Scope), NextRequests(*declared, t.state.Observed(), sweep.Models, sweep.Scope)...) {
		if q.Record.Name == "" || q.Record.Name == t.scope {
			l.asked = append(l.asked, q.Record)
		}
	}
	t.looks = append(t.looks, l)
	if t.verdict != unclear {
		t.known, t.knownAt = maps.Clone(t.current), i
	}
}

// asking is the question that brings an observed record.
func asking(key RecordKey) RecordKey {
	switch key.Kind {
	case KindGroupRole, KindGroup:
		return RecordKey{Kind: KindGroupList}
	case KindWorkspace:
		return RecordKey{Kind: KindWorkspaceList}
	default:
		return key
	}
}

func (t *tracker) open(i int) {
	e := episode{opened: i, resolved: -1, settling: -1}
	e.cause, e.deciding = t.cause(i, disagreed)
	t.episodes = append(t.episodes, e)
}

func (t *tracker) settle(i int) {
	e := &t.episodes[len(t.episodes)-1]
	cause, at := t.cause(i, agreed)
	e.resolved, e.resolution, e.settling = i, &cause, at
}

// cause finds what made the verdict the one that the finding's event at i tells,
// and the place of the deciding event; -1 for none.
func (t *tracker) cause(i int, to verdict) (cause Cause, deciding int) {
	if t.verdict != to {
		t.changed = true
		t.compare(i)
	}
	n := len(t.turns) - 1
	for n >= 0 && t.turns[n].to != to {
		n--
	}
	if n < 0 || t.verdict != to && n < len(t.turns)-2 {
		return t.unclear(i, to), -1
	}
	turned := t.turns[n]
	if turned.lapsed >= 0 {
		return t.byEnd(turned.lapsed, to), turned.lapsed
	}
	slot, fills := t.story.slot(turned.at)
	_, plan := t.story.facts[turned.at].Payload.(PlanApplied)
	switch {
	case fills && slot.Side == SideDeclared, plan:
		return t.byDeclaration(turned.at, to), turned.at
	case !fills:
		return t.unclear(i, to), -1
	}
	switch {
	case turned.declared >= 0:
		return t.byDeclaration(turned.declared, to), turned.declared
	case turned.from == unclear && turned.held == unclear:
		return t.firstSeen(turned, to), turned.at
	}
	return t.byObservation(turned, to), turned.deciding
}

// ownDeclaration is the place of the last declaration before the given place that
// the finding itself rests on; -1 for none.
func (t *tracker) ownDeclaration(before int) int {
	for i := before - 1; i >= 0; i-- {
		slot, fills := t.story.slot(i)
		if fills && slot.Side == SideDeclared && slices.Contains(t.shown.keys(SideDeclared), slot.Key) {
			return i
		}
	}
	return -1
}

// unclear is the cause of what nothing decides that the story holds.
func (t *tracker) unclear(i int, to verdict) Cause {
	f := t.story.facts[i]
	return Cause{Side: CauseUnclear, At: f.Time, Records: []CauseRecord{}, Words: fmt.Sprintf(
		"At %s it was found that %s, but nothing that the log still holds decides it: the event that did was removed, or something was declared for a time that is over.",
		moment(f.Time), t.outcomeWords(to))}
}

func (t *tracker) byDeclaration(at int, to verdict) Cause {
	f := t.story.facts[at]
	c := Cause{Side: CauseDeclared, At: f.Time, Actor: f.Actor, Reason: reasonOf(f.Payload), Records: []CauseRecord{}}
	c.Records = t.together(at, t.story.planned[t.endOfPlan(at)])
	c.Words = t.declarationWords(c, to)
	return c
}

// byEnd is the end of the ignore row that was declared at the place.
func (t *tracker) byEnd(at int, to verdict) Cause {
	f := t.story.facts[at]
	slot, _ := t.story.slot(at)
	ends := endOf(f.Payload)
	c := Cause{Side: CauseDeclared, At: ends, Actor: f.Actor, Reason: reasonOf(f.Payload), Records: []CauseRecord{t.record(at, slot)}}
	c.Words = t.endWords(c, to, f.Time)
	return c
}

// endOfPlan is the end of the plan of the declaration at the place, which may be
// that end itself; -1 for none.
func (t *tracker) endOfPlan(at int) int {
	if _, end := t.story.facts[at].Payload.(PlanApplied); end {
		return at
	}
	return t.story.plan[at]
}

// together lists the record that decided, and those of the others that bear on
// the finding.
func (t *tracker) together(deciding int, others []int) []CauseRecord {
	records := []CauseRecord{}
	if slot, ok := t.story.slot(deciding); ok {
		records = append(records, t.record(deciding, slot))
	}
	for _, i := range others {
		if slot, ok := t.story.slot(i); ok && i != deciding && t.bears(slot) {
			records = append(records, t.record(i, slot))
		}
	}
	return records
}

func (t *tracker) record(i int, slot Slot) CauseRecord {
	return CauseRecord{Side: slot.Side, Kind: slot.Key.Kind, Name: slot.Key.Name, Change: t.story.words(i), EventID: t.story.facts[i].ID}
}

func (t *tracker) firstSeen(n turn, to verdict) Cause {
	f := t.story.facts[n.at]
	c := Cause{Side: CauseNeverAgreed, At: f.Time, SweepID: sweepOf(f)}
	c.Records = t.together(n.at, t.story.swept[f.CorrelationID])
	if at := t.ownDeclaration(n.at); at >= 0 {
		slot, _ := t.story.slot(at)
		d := t.story.facts[at]
		c.Records = append(c.Records, t.record(at, slot))
		c.Actor, c.Reason = d.Actor, reasonOf(d.Payload)
	}
	c.Words = t.firstSeenWords(c, to)
	return c
}

func sweepOf(f Fact) *uuid.UUID {
	id, err := uuid.Parse(f.CorrelationID)
	if err != nil {
		return nil
	}
	return &id
}

// byObservation is a change of the world: it happened between the last look that
// still saw the state before and the first reading of the state after.
func (t *tracker) byObservation(n turn, to verdict) Cause {
	f := t.story.facts[n.deciding]
	slot, _ := t.story.slot(n.deciding)
	w := Window{To: f.Time}
	if id := sweepOf(f); id != nil {
		w.ToSweep = *id
	}
	before := agreed
	if to == agreed {
		before = disagreed
	}
	question, found := asking(slot.Key), -1
	for k, l := range slices.Backward(t.looks) {
		if l.at > n.deciding || l.sweep.SweepID == w.ToSweep {
			continue
		}
		if l.verdict == before && slices.Contains(l.asked, question) {
			found = k
			break
		}
		w.Unseen++
		if w.Why == "" {
			w.Why = l.why
			if l.verdict != unclear {
				w.Why = "it was not asked for"
			}
		}
	}
	if found < 0 {
		return t.firstSeen(n, to)
	}
	l := t.looks[found]
	w.From, w.FromSweep = l.sweep.StartedAt, l.sweep.SweepID
	if last := t.story.before[n.deciding]; last >= 0 && t.story.facts[last].CorrelationID == l.sweep.SweepID.String() {
		w.From = t.story.facts[last].Time
	}
	c := Cause{Side: CauseObserved, At: f.Time, Window: &w, SweepID: sweepOf(f)}
	c.Records = t.together(n.deciding, t.story.swept[f.CorrelationID])
	c.Words = t.observationWords(c, l.standing, t.stands(t.state), to)
	return c
}

// note adds what happened to the timeline.
func (t *tracker) note(i int, slot Slot, bearing bool) {
	f := t.story.facts[i]
	m := Moment{At: f.Time, Actor: f.Actor, Reason: reasonOf(f.Payload), Agreed: string(t.verdict), Proof: f.proof()}
	switch p := f.Payload.(type) {
	case FindingOpened:
		if p.ID != t.last.ID {
			return
		}
		m.Mark, m.What = "opened", p.Kind+": expected "+p.Expected+", observed "+p.Observed
	case FindingChanged:
		if p.ID != t.last.ID {
			return
		}
		m.Mark, m.What = "changed", beforeAfter("expected", p.ExpectedBefore, p.Expected)+beforeAfter("observed", p.ObservedBefore, p.Observed)
	case FindingResolved:
		if p.ID != t.last.ID {
			return
		}
		m.Mark, m.What = "resolved", p.Kind+" does not hold any more"
	case AcceptanceDeclared:
		if p.FindingID != t.last.ID {
			return
		}
		m.Side, m.Mark, m.Reason, m.What = SideDeclared, "accepted", p.Reason, "accepted as it is: expected "+p.Expected+", observed "+p.Observed
		if !p.Until.IsZero() {
			m.What += ", until " + moment(p.Until)
		}
	case AcceptanceWithdrawn:
		if p.FindingID != t.last.ID {
			return
		}
		m.Side, m.Mark, m.Reason, m.What = SideDeclared, "unaccepted", p.Reason, "not accepted any more"
	default:
		if !bearing {
			return
		}
		m.Side, m.Kind, m.Name, m.What = slot.Side, slot.Key.Kind, slot.Key.Name, t.story.words(i)
	}
	t.moments = append(t.moments, m)
}

func beforeAfter(what, before, after string) string {
	if before == after {
		return ""
	}
	return fmt.Sprintf("%s %s -> %s; ", what, before, after)
}

func (t *tracker) explanation() Explanation {
	x := Explanation{Finding: t.last, Open: t.life.open(), Reopened: t.reopened, ChangedAt: t.life.at}
	for k, e := range t.episodes {
		shown := Episode{OpenedAt: t.story.facts[e.opened].Time, Cause: e.cause, Resolution: e.resolution}
		if e.resolved >= 0 {
			shown.ResolvedAt = t.resolvedAt(e.resolved)
		}
		if k < len(t.episodes)-1 {
			x.Earlier = append(x.Earlier, shown)
			continue
		}
		x.Cause, x.Resolution, x.ResolvedAt = shown.Cause, shown.Resolution, shown.ResolvedAt
	}
	x.Timeline = t.moments
	if n := len(x.Timeline) - MaxMoments; n > 0 {
		x.Timeline, x.Omitted = x.Timeline[n:], n
	}
	x.Evidence = t.evidence()
	return x
}

func (t *tracker) resolvedAt(i int) *time.Time {
	if p, ok := t.story.facts[i].Payload.(FindingResolved); ok {
		return &p.ResolvedAt
	}
	return nil
}

// evidence are the events that the finding names, those of its causes, and its
// own.
func (t *tracker) evidence() []Proof {
	named := map[uuid.UUID]bool{}
	for _, e := range t.last.Evidence {
		named[e.EventID] = true
	}
	for _, e := range t.episodes {
		for _, c := range []*Cause{&e.cause, e.resolution} {
			if c == nil {
				continue
			}
			for _, r := range c.Records {
				named[r.EventID] = true
			}
		}
	}
	for _, own := range [][]int{t.opened, t.resolved} {
		for _, i := range own {
			named[t.story.facts[i].ID] = true
		}
	}
	proofs := []Proof{}
	for _, f := range t.story.facts {
		if named[f.ID] {
			proofs = append(proofs, f.proof())
		}
	}
	return proofs
}

func (t *tracker) part() Part {
	p := Part{FindingID: t.last.ID, Record: t.last.Record, Kind: t.last.Kind, Open: t.life.open()}
	if n := len(t.episodes); n > 0 {
		p.OpenedAt, p.Cause = t.story.facts[t.episodes[n-1].opened].Time, t.episodes[n-1].cause
	}
	return p
}

// touched lists what else changed in the sweep or the plan that decided.
func (t *tracker) touched() ([]Touched, int) {
	list, count := []Touched{}, 0
	if len(t.episodes) == 0 {
		return list, 0
	}
	e := t.episodes[len(t.episodes)-1]
	at := e.deciding
	if at < 0 {
		return list, 0
	}
	own := map[uuid.UUID]bool{}
	for _, r := range e.cause.Records {
		own[r.EventID] = true
	}
	together := t.story.planned[t.endOfPlan(at)]
	if t.story.slots[at].Side == SideObserved {
		together = t.story.swept[t.story.facts[at].CorrelationID]
	}
	for _, i := range together {
		f, slot := t.story.facts[i], t.story.slots[i]
		if own[f.ID] {
			continue
		}
		count++
		if len(list) < MaxTouched {
			list = append(list, Touched{Side: slot.Side, Kind: slot.Key.Kind, Name: slot.Key.Name, At: f.Time, Change: t.story.words(i), EventID: f.ID})
		}
	}
	return list, count
}
