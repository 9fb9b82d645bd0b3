package anvil

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// Fact is an event of a consortium's stream: what it says, and where it lies in
// the log.
type Fact struct {
	event.Recorded

	Payload event.Payload
}

// CauseSide says on which side a finding came to be.
type CauseSide string

// The sides on which a finding can come to be, or be settled.
const (
	// CauseDeclared: the declaration changed.
	CauseDeclared CauseSide = "declared"
	// CauseObserved: the world changed.
	CauseObserved CauseSide = "observed"
	// CauseNeverAgreed: it was so when it was first looked at.
	CauseNeverAgreed CauseSide = "never_agreed"
	// CauseUnclear: nothing that the stream still holds decides it. The event that
	// did was removed, or something was declared for a time that is over.
	CauseUnclear CauseSide = "unclear"
)

// Explanation says why a finding is there, or why it is not any more.
type Explanation struct {
	// Finding is as it was last.
	Finding Finding
	Open    bool
	// Reopened is how often it had been resolved when it was last opened.
	Reopened int
	// ChangedAt is when it was opened, changed or resolved last, UTC.
	ChangedAt time.Time
	// ResolvedAt is nil while it is open.
	ResolvedAt *time.Time
	// Cause is why it was opened the last time, Resolution why it was resolved;
	// nil while it is open.
	Cause      Cause
	Resolution *Cause
	// Earlier are the times that it was opened and resolved before, in order.
	Earlier []Episode
	// Parts are the findings that it sums up, at most [MaxParts]; PartCount
	// counts them all. Other findings have none.
	Parts     []Part
	PartCount int
	// Narrative tells it in sentences.
	Narrative []string
	// Timeline is what bears on it, in the order of the stream: the newest
	// [MaxMoments]. Omitted counts the older ones.
	Timeline []Moment
	Omitted  int
	// Touched are other records that changed together with what decided it, at
	// most [MaxTouched]; TouchedCount counts them all.
	Touched      []Touched
	TouchedCount int
	// Evidence are the events that the explanation rests on, in the order of the
	// stream.
	Evidence []Proof
}

// Bounds of the lists of an [Explanation].
const (
	MaxMoments = 500
	MaxTouched = 50
	MaxParts   = 50
)

// Episode is one time that a finding was open.
type Episode struct {
	OpenedAt time.Time `json:"opened_at"`
	Cause    Cause     `json:"cause"`
	// ResolvedAt and Resolution are nil while it is open.
	ResolvedAt *time.Time `json:"resolved_at"`
	Resolution *Cause     `json:"resolution,omitempty"`
}

// Cause is the change that opened or settled a finding.
type Cause struct {
	Side CauseSide `json:"side"`
	// Records are what changed: first the record that decided it, then others of
	// the same side that bear on it and changed together with it.
	Records []CauseRecord `json:"records" nullable:"false"`
	// At, Actor and Reason are the deciding event's: of a declaration when, by
	// whom and why it was decided, of an observation when it was made.
	At     time.Time `json:"at"`
	Actor  string    `json:"actor,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// Window is when the world changed; nil if the declaration did, or if it was
	// never otherwise.
	Window *Window `json:"window,omitempty"`
	// SweepID is the sweep that made the deciding observation.
	SweepID *uuid.UUID `json:"sweep_id,omitempty"`
	// Words tells the cause in one sentence.
	Words string `json:"words"`
}

// CauseRecord is a record that changed, by which event.
type CauseRecord struct {
	Side    Side      `json:"side"`
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name,omitempty"`
	Change  string    `json:"change"`
	EventID uuid.UUID `json:"event_id"`
}

// Window bounds the time in which the world changed. The change happened after
// From and not after To.
type Window struct {
	// From is when the record was last read in the state before: its own time if
	// that reading was new, else the start of the sweep, for what is read again
	// unchanged leaves no time of its own.
	From time.Time `json:"from"`
	// To is when the first reading of the state after was made.
	To        time.Time `json:"to"`
	FromSweep uuid.UUID `json:"from_sweep"`
	ToSweep   uuid.UUID `json:"to_sweep"`
	// Unseen counts the sweeps in between that asked and could not tell, or did
	// not ask; Why is the last one's reason. Without them the window would be
	// narrower.
	Unseen int    `json:"unseen,omitempty"`
	Why    string `json:"why,omitempty"`
}

// Part is a finding that a roll-up sums up.
type Part struct {
	FindingID uuid.UUID `json:"finding_id"`
	Record    string    `json:"record"`
	Kind      string    `json:"kind"`
	Open      bool      `json:"open"`
	OpenedAt  time.Time `json:"opened_at"`
	Cause     Cause     `json:"cause"`
}

// Moment is one event that bears on a finding.
type Moment struct {
	At    time.Time `json:"at"`
	Side  Side      `json:"side,omitempty"`
	Kind  Kind      `json:"kind,omitempty"`
	Name  string    `json:"name,omitempty"`
	Actor string    `json:"actor,omitempty"`
	// Reason is a declaration's.
	Reason string `json:"reason,omitempty"`
	// What says what changed, before and after.
	What string `json:"what"`
	// Mark is set where the finding itself was opened, changed or resolved, and where
	// it was accepted or that was withdrawn.
	Mark string `json:"mark,omitempty"`
	// Agreed says whether the two sides agreed after it: "yes", "no" or
	// "unknown".
	Agreed string `json:"agreed"`
	Proof
}

// Touched is a record that changed together with the one that decided.
type Touched struct {
	Side    Side      `json:"side"`
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name,omitempty"`
	At      time.Time `json:"at"`
	Change  string    `json:"change"`
	EventID uuid.UUID `json:"event_id"`
}

// Proof names an event and where it lies in the log.
type Proof struct {
	EventID   uuid.UUID  `json:"event_id"`
	Type      event.Type `json:"type"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
}

func (f Fact) proof() Proof {
	return Proof{EventID: f.ID, Type: f.Type, Topic: f.Topic, Partition: f.Partition, Offset: f.Offset}
}

// Explain explains a finding by all that its consortium's stream says, in the
// order of the stream. Second copies of an event are passed over. It changes
// nothing; the same story gives the same explanation. It fails with
// [event.CodeNotFound] if the story does not know the finding, and with
// [event.CodeInvalid] if an event of it does not belong to the stream.
//
// To find what decided, the records that bear on the finding are folded by
// themselves, and compared anew after each of their events: the two sides are
// compared a few dozen times for a month of sweeps, and each time only as far
// as the finding goes.
func Explain(stream event.Stream, story []Fact, id uuid.UUID) (Explanation, error) {
	s := newStory(story)
	life, ok := s.lives[id]
	if !ok {
		name, _ := stream.ConsortiumName()
		return Explanation{}, event.Errorf(event.CodeNotFound, "consortium %q has no finding %s", name, id)
	}
	all := []*tracker{newTracker(stream, s, life)}
	parts := s.parts(life)
	for _, part := range parts[:min(len(parts), MaxParts)] {
		all = append(all, newTracker(stream, s, part))
	}
	for i := range s.facts {
		for _, t := range all {
			if err := t.take(i); err != nil {
				return Explanation{}, err
			}
		}
	}
	x := all[0].explanation()
	x.PartCount = len(parts)
	for _, t := range all[1:] {
		x.Parts = append(x.Parts, t.part())
	}
	x.Narrative = all[0].narrative(x)
	x.Touched, x.TouchedCount = all[0].touched()
	return x, nil
}

// story is a stream without its second copies, with the lives of its findings.
type story struct {
	facts []Fact
	// slots are what the facts fill; without a side if they fill none.
	slots []Slot
	lives map[uuid.UUID]*life
	// before is, for each fact that fills a slot, the fact that filled it before;
	// -1 for none.
	before []int
	// named are the groups that ever had an address, by the address in lower
	// case.
	named map[string][]string
	// plan is, for each fact that declares something, the end of its plan; -1
	// for none.
	plan []int
	// swept and planned are the facts that fill slots, by the sweep that they
	// belong to and by the end of their plan.
	swept   map[string][]int
	planned map[int][]int
	// rows are the accounts and groups that were ever declared to be in a group,
	// and the groups that a workspace was ever declared to be shared with.
	rows map[string]map[string]bool
}

// life is what became of one finding, by the places of its events in the story.
type life struct {
	last   Finding
	opened []int
	// resolved has the place of the resolution of each opening; it is one shorter
	// while the finding is open.
	resolved []int
	reopened int
	// at is when it was opened, changed or resolved last.
	at time.Time
}

func (l *life) open() bool { return len(l.resolved) < len(l.opened) }

func newStory(facts []Fact) *story {
	s := &story{
		lives: map[uuid.UUID]*life{}, named: map[string][]string{}, swept: map[string][]int{}, planned: map[int][]int{},
		rows: map[string]map[string]bool{},
	}
	known := make(map[uuid.UUID]bool, len(facts))
	for _, f := range facts {
		if !known[f.ID] {
			known[f.ID] = true
			s.facts = append(s.facts, f)
		}
	}
	s.before, s.plan, s.slots = make([]int, len(s.facts)), make([]int, len(s.facts)), make([]Slot, len(s.facts))
	filled := map[Slot]int{}
	var declared []int
	for i, f := range s.facts {
		s.before[i], s.plan[i] = -1, -1
		if slot, ok := SlotOf(f.Payload); ok {
			if last, again := filled[slot]; again {
				s.before[i] = last
			}
			filled[slot], s.slots[i] = i, slot
			if slot.Side == SideDeclared {
				declared = append(declared, i)
			} else if f.CorrelationID != "" {
				s.swept[f.CorrelationID] = append(s.swept[f.CorrelationID], i)
			}
		}
		if _, end := f.Payload.(PlanApplied); end {
			for _, d := range declared {
				s.plan[d] = i
			}
			s.planned[i], declared = declared, nil
		}
		s.name(f.Payload)
		s.live(i)
	}
	return s
}

// name notes whom a declaration names where.
func (s *story) name(p event.Payload) {
	switch p := p.(type) {
	case GroupMembershipDeclared:
		s.row(p.Parent, p.Child)
	case AccountMembershipDeclared:
		s.row(p.Group, p.AccountMembership.Account)
	case SharingDeclared:
		s.row(p.Workspace, p.Group)
	case GroupDeclared:
		address := lower(p.Email)
		if !slices.Contains(s.named[address], p.Name) {
			s.named[address] = append(s.named[address], p.Name)
		}
	}
}

// live notes what the fact at i makes of a finding.
func (s *story) live(i int) {
	at := s.facts[i].Time
	switch p := s.facts[i].Payload.(type) {
	case FindingOpened:
		l := s.lives[p.ID]
		if l == nil {
			l = &life{}
			s.lives[p.ID] = l
		}
		if !l.open() {
			l.opened = append(l.opened, i)
		}
		l.last, l.reopened, l.at = p.Finding, p.Reopened, at
	case FindingChanged:
		if l := s.lives[p.ID]; l != nil {
			l.last, l.at = p.Finding, at
		}
	case FindingResolved:
		if l := s.lives[p.ID]; l != nil && l.open() {
			l.last, l.at = p.Finding, at
			l.resolved = append(l.resolved, i)
		}
	}
}

func (s *story) row(scope, name string) {
	if s.rows[scope] == nil {
		s.rows[scope] = map[string]bool{}
	}
	s.rows[scope][name] = true
}

// slot is what the fact at i fills.
func (s *story) slot(i int) (Slot, bool) { return s.slots[i], s.slots[i].Side != "" }

// parts are the findings that a roll-up summed up the last time it was open, in
// the order in which they were opened.
func (s *story) parts(of *life) []*life {
	sub, scope, ok := summedUp(of.last)
	if !ok {
		return nil
	}
	n := len(of.opened) - 1
	from, to := of.opened[n], len(s.facts)
	if !of.open() {
		from, to = of.opened[n], of.resolved[n]
	}
	// The audit that opened the roll-up opened its parts beside it, in the order
	// of their names.
	to = s.audit(to)
	from = s.audit(from)
	var parts []*life
	for _, l := range s.lives {
		if l.last.Model != sub || l.last.Scope != scope {
			continue
		}
		for k, opened := range l.opened {
			ended := k < len(l.resolved) && l.resolved[k] < from
			if opened < to && !ended {
				parts = append(parts, l)
				break
			}
		}
	}
	slices.SortFunc(parts, func(a, b *life) int { return a.opened[len(a.opened)-1] - b.opened[len(b.opened)-1] })
	return parts
}

// audit is the place of the first event that the audit made that made the event
// at i.
func (s *story) audit(i int) int {
	if i >= len(s.facts) {
		return i
	}
	for i > 0 && s.facts[i].CausationID != "" && s.facts[i-1].CausationID == s.facts[i].CausationID {
		i--
	}
	return i
}

// summedUp is what a roll-up sums up: the audits of the model of the scope.
func summedUp(f Finding) (model Model, scope string, ok bool) {
	switch f.Kind {
	case ErrGroupMembership:
		return ModelMemberships, f.Record, f.Model == ModelManagedGroups
	case ErrWorkspaceSharing:
		return ModelSharing, f.Record, f.Model == ModelWorkspaces
	default:
		return "", "", false
	}
}
