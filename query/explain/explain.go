// Package explain answers why a finding is there: it reads the consortium's
// story from the log, has the domain explain the finding, and holds what the
// read model says of it against the log.
package explain

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/postgres"
)

// Findings knows findings as the read model has them; [postgres.AnVILReader]
// does.
type Findings interface {
	FindingPlace(ctx context.Context, id uuid.UUID) (postgres.FindingPlace, error)
}

// Stories reads what a stream says from the log; [history.Reader] does.
type Stories interface {
	Read(ctx context.Context, topic string, stream event.Stream, until time.Time) (history.Story, error)
}

// Explainer explains findings. It is safe for concurrent use.
type Explainer struct {
	findings Findings
	stories  Stories
}

// New is an explainer.
func New(findings Findings, stories Stories) *Explainer { return &Explainer{findings, stories} }

// Explanation is why a finding is there, and whether the read model and the log
// say the same of it.
type Explanation struct {
	anvil.Explanation

	Consortium string
	// Verified tells whether all checks came out well.
	Verified bool
	Checks   []Check
	// Unreadable counts events of the stream that cannot be read; what they say
	// is missing in the explanation.
	Unreadable int
}

// Check is one thing that the read model says, held against the log.
type Check struct {
	// What says what was checked.
	What     string `json:"what"`
	Verified bool   `json:"verified"`
	// Differs says what differs; empty if nothing does.
	Differs string `json:"differs,omitempty"`
	// EventID and Position are those of the event in question, the position as
	// topic/partition@offset.
	EventID  *uuid.UUID `json:"event_id,omitempty"`
	Position string     `json:"position,omitempty"`
}

// Finding explains a finding. consortium is the one that it must belong to;
// empty means any. The log may know more than the read model: the explanation
// then tells what the log knows, and a check that the read model is behind.
//
// It fails with [event.CodeNotFound] if there is no such finding, and with
// [event.CodeUnavailable] if the log or the read model cannot be read.
func (e *Explainer) Finding(ctx context.Context, consortium string, id uuid.UUID) (Explanation, error) {
	known, err := e.findings.FindingPlace(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	if consortium != "" && known.Consortium != consortium {
		return Explanation{}, event.Errorf(event.CodeNotFound, "consortium %q has no finding %s", consortium, id)
	}
	stream := event.Consortium(known.Consortium)
	told, err := e.stories.Read(ctx, event.TopicAnVIL, stream, time.Time{})
	if err != nil {
		return Explanation{}, err
	}
	facts := make([]anvil.Fact, len(told.Facts))
	for i, f := range told.Facts {
		facts[i] = anvil.Fact(f)
	}
	x, err := anvil.Explain(stream, facts, id)
	if err != nil {
		return Explanation{}, fmt.Errorf("explaining finding %s from the log: %w", id, err)
	}
	out := Explanation{Explanation: x, Consortium: known.Consortium, Verified: true, Unreadable: len(told.Unreadable)}
	out.Checks = append(checkEvidence(known, facts), checkFinding(known, facts))
	for _, c := range out.Checks {
		out.Verified = out.Verified && c.Verified
	}
	return out, nil
}

// checkEvidence looks each event that the finding rests on up in the log.
func checkEvidence(known postgres.FindingPlace, facts []anvil.Fact) []Check {
	in := make(map[uuid.UUID]anvil.Fact, len(facts))
	for _, f := range facts {
		if _, again := in[f.ID]; !again {
			in[f.ID] = f
		}
	}
	var checks []Check
	for _, e := range known.Finding.Evidence {
		record := anvil.RecordKey{Kind: e.Kind, Name: e.Name}
		c := Check{What: fmt.Sprintf("the %s %s is in the log", e.Side, strings.TrimSuffix(record.String(), ":")), EventID: &e.EventID}
		f, found := in[e.EventID]
		at, placed := known.Evidence[e.EventID]
		slot, _ := anvil.SlotOf(f.Payload)
		switch {
		case !found:
			c.Differs = fmt.Sprintf("the log has no event %s", e.EventID)
		case slot.Side != e.Side || slot.Key != record:
			c.Differs = fmt.Sprintf("the event is about the %s %s", slot.Side, slot.Key)
		case placed && at != f.Position:
			c.Differs = fmt.Sprintf("the read model has it at %s", at)
		}
		if found {
			c.Position = f.Position.String()
		}
		c.Verified = c.Differs == ""
		checks = append(checks, c)
	}
	return checks
}

// folded is what the log says of a finding.
type folded struct {
	anvil.Finding

	open       bool
	reopened   int
	changedAt  time.Time
	resolvedAt *time.Time
}

// checkFinding folds the finding from the log, up to the event that the read
// model's row comes from, and compares the two.
func checkFinding(known postgres.FindingPlace, facts []anvil.Fact) Check {
	c := Check{What: "the finding in the read model is the one that the log leads to", EventID: &known.EventID, Position: known.At.String()}
	var state folded
	last, newer := -1, 0
	seen := map[uuid.UUID]bool{}
	for i, f := range facts {
		next, ok := state.apply(f, known.Finding.ID)
		if !ok || seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		if f.Offset > known.At.Offset {
			newer++
			continue
		}
		state, last = next, i
	}
	switch {
	case last < 0 || facts[last].ID != known.EventID:
		c.Differs = fmt.Sprintf("the log has no event %s of the finding at %s", known.EventID, known.At)
	case facts[last].Position != known.At:
		c.Differs = fmt.Sprintf("the event lies at %s", facts[last].Position)
	case newer > 0:
		c.Differs = fmt.Sprintf("the read model is behind: the log has %d newer events of the finding", newer)
	default:
		c.Differs = strings.Join(state.differences(known.Finding), "; ")
	}
	c.Verified = c.Differs == ""
	return c
}

// apply folds one event; ok is false if it is not about the finding.
func (s folded) apply(f anvil.Fact, id uuid.UUID) (next folded, ok bool) {
	next = s
	switch p := f.Payload.(type) {
	case anvil.FindingOpened:
		next.Finding, next.open, next.reopened, next.resolvedAt = p.Finding, true, p.Reopened, nil
	case anvil.FindingChanged:
		next.Finding, next.open, next.resolvedAt = p.Finding, true, nil
	case anvil.FindingResolved:
		next.Finding, next.open, next.resolvedAt = p.Finding, false, &p.ResolvedAt
	default:
		return s, false
	}
	next.changedAt = f.Time
	return next, next.ID == id
}

// differences lists what the read model has otherwise.
func (s folded) differences(known postgres.Finding) []string {
	var all []string
	for _, f := range []struct {
		what       string
		log, model any
	}{
		{"model", s.Model, known.Model},
		{"scope", s.Scope, known.Scope},
		{"record", s.Record, known.Record},
		{"kind", s.Kind, known.Kind},
		{"severity", s.Severity, known.Severity},
		{"expected", s.Expected, known.Expected},
		{"observed", s.Observed, known.Observed},
		{"opened_at", kept(&s.OpenedAt), kept(&known.OpenedAt)},
		{"changed_side", s.ChangedSide, known.ChangedSide},
		{"evidence", s.Evidence, known.Evidence},
		{"open", s.open, known.Open},
		{"reopened", s.reopened, known.Reopened},
		{"changed_at", kept(&s.changedAt), kept(&known.ChangedAt)},
		{"resolved_at", kept(s.resolvedAt), kept(known.ResolvedAt)},
	} {
		if log, model := fmt.Sprint(f.log), fmt.Sprint(f.model); log != model {
			all = append(all, fmt.Sprintf("%s is %q in the log and %q in the read model", f.what, log, model))
		}
	}
	return all
}

// kept is a time as Postgres keeps it, to the microsecond; empty for none.
func kept(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}
