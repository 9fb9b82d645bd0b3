package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// AccessQuestion asks who could come to a workspace over a span of time, or to which
// workspaces an address could.
type AccessQuestion struct {
	Consortium string
	// Workspace is billing-project/name. One of it and Address is empty.
	Workspace string
	Address   string
	Sides     []anvil.Side
	// From and To are the first and the last moment. A zero From is the beginning.
	From, To time.Time
}

// AccessStep is a change of how an address stands in a workspace on one side.
type AccessStep struct {
	At            time.Time
	Workspace     string
	Address       string
	Side          anvil.Side
	Change        anvil.AccessChange
	Before, After anvil.Standing
	// Facts are what came at that moment and can have changed it, in the order of the
	// log; none for what was held when the span began.
	Facts []Fact
}

// AccessStory is how access changed over a span.
type AccessStory struct {
	// Steps are in the order of time, at one moment by workspace, address and side.
	Steps []AccessStep
	// LastSweep is the last one completed by the end of the span; nil before the first.
	LastSweep *anvil.SweepCompleted
}

// MaxAccessMoments are the most moments at which access is looked at for one answer.
const MaxAccessMoments = 20_000

// Access tells how access changed, from the log: at each moment it is what
// [anvil.EffectiveAccess] says of the consortium as [Reader.At] has it. It fails with
// [event.CodeNotFound] if nothing was known of the consortium or the workspace in that
// time, with [event.CodeInvalid] if more happened than one answer can tell, and with
// [event.CodeUnavailable] if the log cannot be read.
func (r *Reader) Access(ctx context.Context, q AccessQuestion) (AccessStory, error) {
	stream := event.Consortium(q.Consortium)
	if err := stream.Validate(); err != nil {
		return AccessStory{}, err
	}
	story, err := r.Read(ctx, event.TopicAnVIL, stream, q.To)
	if err != nil {
		return AccessStory{}, err
	}
	if len(story.Facts) == 0 {
		return AccessStory{}, event.Errorf(event.CodeNotFound, "nothing was known of consortium %q by %s: choose a later time, or declare it with `muster declare --consortium %s -f FILE`",
			q.Consortium, q.To.UTC().Format(time.RFC3339), q.Consortium)
	}
	t := &accessTeller{question: q, past: &unfolding{stream: stream}, seen: map[string]bool{}, standings: map[accessPlace]anvil.Standing{}}
	for _, f := range story.Facts {
		if _, touches := anvil.TouchesAccess(f.Payload); touches {
			t.past.facts = append(t.past.facts, f)
		}
	}
	if err := t.tell(ctx); err != nil {
		return AccessStory{}, err
	}
	if q.Workspace != "" && !t.known {
		return AccessStory{}, event.Errorf(event.CodeNotFound, "consortium %q had no workspace %q in that time: it was neither declared nor in AnVIL's list; the case of letters counts", q.Consortium, q.Workspace)
	}
	out := AccessStory{Steps: t.steps}
	if sweep, ok := t.past.state.LastSweep(); ok {
		out.LastSweep = &sweep
	}
	return out, nil
}

// unfolding is the state of a consortium as time goes on.
type unfolding struct {
	stream event.Stream
	// facts are in the order of the log.
	facts []Fact
	state *anvil.State
	// applied is how many facts from the first on have been looked at.
	applied int
}

// to brings the state to a moment; moments only go forward. The facts that came since
// the one before are its places in facts. What happened before something that lies before
// it in the log is folded in its place: the fold begins anew then.
func (u *unfolding) to(at time.Time, came []int) error {
	if u.state == nil || len(came) > 0 && came[0] < u.applied {
		u.state, u.applied = anvil.NewState(u.stream), 0
		came = nil
		for i, f := range u.facts {
			if !f.Time.After(at) {
				came = append(came, i)
			}
		}
	}
	for _, i := range came {
		if err := u.state.Apply(u.facts[i].Event, u.facts[i].Payload); err != nil {
			return fmt.Errorf("folding the event at %s: %w", u.facts[i].Position, err)
		}
		u.applied = i + 1
	}
	return nil
}

// accessPlace is what a standing is of.
type accessPlace struct {
	workspace, address string
	side               anvil.Side
}

// accessTeller gathers the steps of one question.
type accessTeller struct {
	question AccessQuestion
	past     *unfolding
	steps    []AccessStep
	// seen are the addresses of whom something was known.
	seen map[string]bool
	// standings are how they stand; who is not in it cannot come in.
	standings map[accessPlace]anvil.Standing
	// before is what was known of the workspace at the moment before, by side.
	before map[anvil.Side]*anvil.SideAccess
	known  bool
}

// nowhere is how somebody stands who cannot come in.
func nowhere() anvil.Standing { return anvil.Standing{Reach: anvil.ReachNo} }

func (t *accessTeller) tell(ctx context.Context) error {
	came := map[time.Time][]int{}
	for i, f := range t.past.facts {
		if f.Time.After(t.question.From) {
			at := f.Time.UTC()
			came[at] = append(came[at], i)
		}
	}
	if err := t.past.to(t.question.From, nil); err != nil {
		return err
	}
	if !t.question.From.IsZero() {
		t.look(t.question.From, nil, nil)
	}
	looked := 0
	for _, at := range slices.SortedFunc(maps.Keys(came), time.Time.Compare) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("following access: %w", err)
		}
		if err := t.past.to(at, came[at]); err != nil {
			return err
		}
		facts, only, concerns := t.concerned(came[at])
		if !concerns {
			continue
		}
		if looked++; looked > MaxAccessMoments {
			return event.Errorf(event.CodeInvalid, "more than %d things happened in that time, the last that was looked at on %s: choose a shorter span", MaxAccessMoments, at.Format(time.RFC3339))
		}
		t.look(at, facts, only)
	}
	return nil
}

// concerned are those of the facts that can matter to the question, and the workspaces that
// they are about; nil if they can be about any.
func (t *accessTeller) concerned(came []int) (facts []Fact, only map[string]bool, concerns bool) {
	only = map[string]bool{}
	for _, i := range came {
		f := t.past.facts[i]
		workspace, _ := anvil.TouchesAccess(f.Payload)
		if t.question.Workspace != "" && workspace != "" && workspace != t.question.Workspace {
			continue
		}
		facts = append(facts, f)
		if workspace == "" {
			only = nil
		} else if only != nil {
			only[workspace] = true
		}
	}
	return facts, only, len(facts) > 0
}

// look compares how everybody stands with the moment before. Without facts it is the
// beginning of the span.
func (t *accessTeller) look(at time.Time, facts []Fact, only map[string]bool) {
	effective := anvil.NewEffectiveAccess(t.past.state.Declared(), t.past.state.Observed())
	if t.question.Workspace != "" {
		t.lookAtWorkspace(at, facts, effective)
		return
	}
	workspaces := map[string]bool{}
	for _, key := range effective.Workspaces() {
		workspaces[key] = true
	}
	// What is there no more was left.
	for place := range t.standings {
		workspaces[place.workspace] = true
	}
	for _, key := range slices.Sorted(maps.Keys(workspaces)) {
		if only != nil && !only[key] {
			continue
		}
		w := effective.Of(t.question.Address, key, t.question.Sides...)
		for _, side := range sidesIn(w) {
			t.step(at, facts, accessPlace{key, t.question.Address, side.name}, nowhere(), side.Standing(t.question.Address))
		}
	}
}

// lookAtWorkspace is look at everybody of whom the workspace was ever said to let him in.
// Who is named for the first time stood as unknown before if others than the known could
// come in.
func (t *accessTeller) lookAtWorkspace(at time.Time, facts []Fact, effective *anvil.EffectiveAccess) {
	key := t.question.Workspace
	t.known = t.known || effective.Knows(key)
	w := effective.Workspace(key, t.question.Sides...)
	for _, c := range w.Addresses {
		t.seen[c.Address] = true
	}
	now := map[anvil.Side]*anvil.SideAccess{}
	for _, address := range slices.Sorted(maps.Keys(t.seen)) {
		for _, side := range sidesIn(w) {
			first := nowhere()
			if before := t.before[side.name]; before != nil {
				first = before.Standing(address)
			}
			t.step(at, facts, accessPlace{key, address, side.name}, first, side.Standing(address))
		}
	}
	for _, side := range sidesIn(w) {
		now[side.name] = side.SideAccess
	}
	t.before = now
}

// step notes a change; first is how the address stood if it was not looked at before.
// What was so before it was looked at is held.
func (t *accessTeller) step(at time.Time, facts []Fact, place accessPlace, first, after anvil.Standing) {
	before, looked := t.standings[place]
	if !looked {
		before = first
	}
	t.standings[place] = after
	change, changed := before.ChangeTo(after)
	if !looked && after != nowhere() && (facts == nil || !changed) {
		change, changed, before, facts = anvil.AccessHeld, true, after, nil
	}
	if changed {
		t.steps = append(t.steps, AccessStep{At: at.UTC(), Workspace: place.workspace, Address: place.address, Side: place.side, Change: change, Before: before, After: after, Facts: facts})
	}
}

// namedSide is a side with its name.
type namedSide struct {
	*anvil.SideAccess

	name anvil.Side
}

func sidesIn(w anvil.WorkspaceAccess) []namedSide {
	var sides []namedSide
	if w.Declared != nil {
		sides = append(sides, namedSide{w.Declared, anvil.SideDeclared})
	}
	if w.Observed != nil {
		sides = append(sides, namedSide{w.Observed, anvil.SideObserved})
	}
	return sides
}
