package history

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Moment is a consortium as it was at a moment, told from the log. It answers
// what [postgres.AnVILReader] answers about now, in the same words; the names of
// consortia that it is given do not matter, for it knows one alone. It is safe
// for concurrent use.
//
// An event counts from the time on that it bears: a declaration from when it was
// decided, an observation from when AnVIL was asked. While a sweep was under way
// some answers are of that sweep and some of the one before. The events of
// findings bear the time of the newest fact that they rest on, so no finding
// that shows rests on what was not known yet; it shows as long after its fact as
// the audit took.
type Moment struct {
	name string
	// at is the moment; zero means now.
	at       time.Time
	state    *anvil.State
	findings map[uuid.UUID]postgres.Finding
	sweeps   map[uuid.UUID]postgres.Sweep
}

// At is a consortium as it was at a moment; the zero time means now. It fails
// with [event.CodeNotFound] if nothing was known of it then, and with
// [event.CodeUnavailable] if the log cannot be read.
func (r *Reader) At(ctx context.Context, name string, at time.Time) (*Moment, error) {
	stream := event.Consortium(name)
	if err := stream.Validate(); err != nil {
		return nil, err
	}
	story, err := r.Read(ctx, event.TopicAnVIL, stream, time.Time{})
	if err != nil {
		return nil, err
	}
	if len(story.Facts) == 0 {
		return nil, event.Errorf(event.CodeNotFound, "there is no consortium %q: declare it with `muster declare --consortium %s -f FILE`", name, name)
	}
	m := &Moment{name: name, at: at, state: anvil.NewState(stream), findings: map[uuid.UUID]postgres.Finding{}, sweeps: map[uuid.UUID]postgres.Sweep{}}
	first, known := story.Facts[0].Time, false
	for _, f := range story.Facts {
		if f.Time.Before(first) {
			first = f.Time
		}
		if !at.IsZero() && f.Time.After(at) {
			continue
		}
		known = true
		if err := m.apply(f); err != nil {
			return nil, fmt.Errorf("folding the event at %s: %w", f.Position, err)
		}
	}
	if !known {
		return nil, event.Errorf(event.CodeNotFound, "nothing was known of consortium %q at %s: choose a time from %s on",
			name, at.UTC().Format(time.RFC3339Nano), first.UTC().Format(time.RFC3339Nano))
	}
	return m, nil
}

// apply folds one event: the state, and what the state does not keep.
func (m *Moment) apply(f Fact) error {
	if err := m.state.Apply(f.Event, f.Payload); err != nil {
		return err
	}
	switch p := f.Payload.(type) {
	case anvil.FindingOpened:
		m.find(f, p.Finding, nil)
		found := m.findings[p.ID]
		found.Reopened = p.Reopened
		m.findings[p.ID] = found
	case anvil.FindingChanged:
		m.find(f, p.Finding, nil)
	case anvil.FindingResolved:
		m.find(f, p.Finding, new(inPostgres(p.ResolvedAt)))
	case anvil.SweepStarted:
		m.sweeps[p.SweepID] = postgres.Sweep{ID: p.SweepID, StartedAt: inPostgres(p.StartedAt), Origin: event.OriginOf(f.Recorded)}
	case anvil.SweepCompleted:
		m.sweeps[p.SweepID] = postgres.Sweep{ID: p.SweepID, StartedAt: inPostgres(p.StartedAt), Completed: &p, Origin: event.OriginOf(f.Recorded)}
	}
	return nil
}

func (m *Moment) find(f Fact, found anvil.Finding, resolvedAt *time.Time) {
	m.findings[found.ID] = postgres.Finding{
		Finding: found, Open: resolvedAt == nil, Reopened: m.findings[found.ID].Reopened, ChangedAt: inPostgres(f.Time), ResolvedAt: resolvedAt,
		Origin: event.OriginOf(f.Recorded),
	}
}

// inPostgres is a time as Postgres keeps it, so that both answer the same.
func inPostgres(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// State is the state of the consortium.
func (m *Moment) State(context.Context, string) (*anvil.State, error) { return m.state, nil }

// Audit audits what was declared then against what had been observed.
func (m *Moment) Audit(_ context.Context, _ string, options anvil.Options) (postgres.Audit, error) {
	audit := postgres.Audit{Result: m.state.Audit(options)}
	if sweep, ok := m.state.LastSweep(); ok {
		audit.Sweep = &sweep
	}
	return audit, nil
}

// FindingCursor is the place of a finding in the lists of a moment.
func FindingCursor(f postgres.Finding) postgres.FindingCursor {
	return postgres.FindingCursor{OpenedAt: inPostgres(f.OpenedAt), ID: f.ID}
}

// Findings lists findings as they stood then, at most filter.Limit, the newest
// first.
func (m *Moment) Findings(_ context.Context, filter postgres.FindingFilter) ([]postgres.Finding, error) {
	list := make([]postgres.Finding, 0, len(m.findings))
	for _, f := range m.findings {
		f.Accepted = m.acceptance(f)
		switch {
		case filter.State == postgres.FindingsOpen && !f.Open, filter.State == postgres.FindingsResolved && f.Open:
		case len(filter.Models) > 0 && !slices.Contains(filter.Models, f.Model):
		case filter.Severity != "" && f.Severity != filter.Severity:
		case filter.Accepted != nil && *filter.Accepted != (f.Accepted != nil):
		case filter.Before != nil && !follows(FindingCursor(f), *filter.Before):
		default:
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b postgres.Finding) int {
		return -place(FindingCursor(a).OpenedAt, a.ID, FindingCursor(b).OpenedAt, b.ID)
	})
	return list[:min(len(list), filter.Limit)], nil
}

// acceptance is the one that held for a finding; nil if there was none.
func (m *Moment) acceptance(f postgres.Finding) *anvil.Accepted {
	a, ok := m.state.AcceptanceOf(f.ID, m.at)
	if !ok {
		return nil
	}
	a.At = inPostgres(a.At)
	return &a
}

func follows(c, before postgres.FindingCursor) bool {
	return place(c.OpenedAt, c.ID, before.OpenedAt, before.ID) < 0
}

// place compares two places in a list by time, and those of one time by id.
func place(a time.Time, aID uuid.UUID, b time.Time, bID uuid.UUID) int {
	return cmp.Or(a.Compare(b), bytes.Compare(aID[:], bID[:]))
}

// Finding is one finding as it stood then. It fails with [event.CodeNotFound] if
// it had never been opened.
func (m *Moment) Finding(_ context.Context, _ string, id uuid.UUID) (postgres.Finding, error) {
	f, ok := m.findings[id]
	if !ok {
		return postgres.Finding{}, event.Errorf(event.CodeNotFound, "consortium %q had no finding %s then: choose a later time, or see the findings of now", m.name, id)
	}
	f.Accepted = m.acceptance(f)
	return f, nil
}

// Sweeps lists the sweeps that had begun, the newest first, at most limit; one
// that was under way is not completed. before is the last sweep of the page
// before; nil for the first page.
func (m *Moment) Sweeps(_ context.Context, _ string, before *postgres.SweepCursor, limit int) ([]postgres.Sweep, error) {
	list := make([]postgres.Sweep, 0, len(m.sweeps))
	for _, s := range m.sweeps {
		if before == nil || place(s.StartedAt, s.ID, before.StartedAt, before.ID) < 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b postgres.Sweep) int { return -place(a.StartedAt, a.ID, b.StartedAt, b.ID) })
	return list[:min(len(list), limit)], nil
}
