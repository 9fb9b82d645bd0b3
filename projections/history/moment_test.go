package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/live"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// drawn is the life of a consortium that chance has written: declarations,
// sweeps, and the findings that the audits after them lead to.
type drawn struct {
	t     *rapid.T
	log   written
	facts []history.Fact
	state *anvil.State
	now   time.Time
	// audited are the moments that findings bear after each audit.
	audited []time.Time
	ids     int
}

// id is the next id: the same draws have to give the same ones.
func (d *drawn) id() uuid.UUID {
	d.ids++
	return uuid.NewSHA1(event.Namespace, fmt.Append(nil, d.ids))
}

func (d *drawn) append(e event.Event) {
	p, err := registry().Decode(e)
	require.NoError(d.t, err)
	at := event.Position{Topic: event.TopicAnVIL, Offset: int64(len(d.log))}
	d.log = append(d.log, eventlog.Record{Position: at, Key: e.Key(), Headers: e.Headers(), Value: e.Data})
	d.facts = append(d.facts, history.Fact{Recorded: event.Recorded{Event: e, Position: at}, Payload: p})
	require.NoError(d.t, d.state.Apply(e, p))
}

// happen appends an event, and the findings that it leads to.
func (d *drawn) happen(at time.Time, p event.Payload) {
	e, err := event.New(d.id(), d.state.Stream(), "test", at, p)
	require.NoError(d.t, err)
	d.append(e)
	found, result, err := d.state.Reaction("test", e, p)
	require.NoError(d.t, err)
	for _, f := range found {
		d.append(f)
		d.now = f.Time
	}
	if result != nil {
		d.audited = append(d.audited, d.latest())
	}
}

// latest is the time of the newest fact.
func (d *drawn) latest() time.Time {
	var at time.Time
	for _, f := range d.facts {
		if f.Time.After(at) {
			at = f.Time
		}
	}
	return at
}

func answered[T any](v T) anvil.Reading[T] {
	return anvil.Reading[T]{Response: anvil.Response{Status: 200}, Value: v}
}

// draw draws the life of a consortium. Late are events that happened up to that
// long before others that lie before them in the log.
func draw(t *rapid.T, late time.Duration) *drawn {
	d := &drawn{t: t, state: anvil.NewState(event.Consortium("primed")), now: noon}
	people := []string{"a@example.com", "b@example.com", "c@example.com"}
	some := func(what string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(people), 0, 3, rapid.ID).Draw(t, what)
	}
	pass := func() time.Time {
		// Whole microseconds: in which order two things happened within one of them
		// Postgres does not know.
		micros := func(least int64, most time.Duration, what string) time.Duration {
			return time.Duration(rapid.Int64Range(least, most.Microseconds()).Draw(t, what)) * time.Microsecond
		}
		d.now = d.now.Add(micros(1, 3*time.Hour, "passes"))
		return d.now.Add(-micros(0, late, "late"))
	}
	d.happen(noon, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"})
	d.happen(pass(), anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: "readers", Email: "readers@firecloud.org", IsManagedByApp: true}})
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"account", "in", "out", "plan", "sweep", "interrupted", "accept"}).Draw(t, "step") {
		case "accept":
			if open := d.state.OpenFindings(); len(open) > 0 {
				at := pass()
				f := rapid.SampledFrom(open).Draw(t, "finding")
				p, err := d.state.Accept(f.ID, "known", time.Time{}, at)
				require.NoError(t, err)
				if p == nil {
					p, err = d.state.Unaccept(f.ID, "known no more")
					require.NoError(t, err)
				}
				d.happen(at, p)
			}
		case "account":
			status := rapid.SampledFrom([]anvil.AccountStatus{anvil.StatusActive, anvil.StatusInactive}).Draw(t, "status")
			d.happen(pass(), anvil.AccountDeclared{Account: anvil.Account{Email: rapid.SampledFrom(people).Draw(t, "who"), Status: status}})
		case "in":
			for _, who := range some("in") {
				d.happen(pass(), anvil.AccountMembershipDeclared{AccountMembership: anvil.AccountMembership{Group: "readers", Account: who, Role: anvil.RoleMember}})
			}
		case "out":
			for _, who := range some("out") {
				d.happen(pass(), anvil.AccountMembershipWithdrawn{Group: "readers", Account: who})
			}
		case "plan":
			d.happen(pass(), anvil.PlanApplied{Reason: "drawn"})
		case "interrupted":
			d.happen(pass(), anvil.SweepStarted{SweepID: d.id(), StartedAt: d.now})
		case "sweep":
			sweep := anvil.SweepCompleted{SweepID: d.id(), Models: anvil.Models(), StartedAt: pass()}
			d.happen(sweep.StartedAt, anvil.SweepStarted{SweepID: sweep.SweepID, Models: sweep.Models, StartedAt: sweep.StartedAt})
			d.happen(pass(), anvil.GroupListObserved{Response: anvil.Response{Status: 200}})
			d.happen(d.now, anvil.GroupRoleObserved{Name: "readers", Email: "readers@firecloud.org", Roles: []string{"admin"}, Listed: true})
			d.happen(pass(), anvil.GroupMembersObserved{Group: "readers", Reading: answered(some("members"))})
			d.happen(pass(), anvil.GroupAdminsObserved{Group: "readers", Reading: answered([]string{"app@example.com"})})
			for _, who := range people {
				if rapid.Bool().Draw(t, "exists") {
					d.happen(pass(), anvil.AccountObserved{Email: who, Reading: answered(anvil.AccountInfo{Email: who, Registered: true})})
				} else {
					d.happen(pass(), anvil.AccountObserved{Email: who, Reading: anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 404}}})
				}
			}
			d.happen(pass(), anvil.WorkspaceListObserved{Response: anvil.Response{Status: 200}})
			sweep.CompletedAt = pass()
			d.happen(sweep.CompletedAt, sweep)
		}
	}
	return d
}

// moment draws a moment of the consortium's life.
func (d *drawn) moment() time.Time {
	around := rapid.SampledFrom(d.facts).Draw(d.t, "around").Time
	return around.Add(time.Duration(rapid.Int64Range(-1, 1).Draw(d.t, "beside")))
}

func told(t require.TestingT, v any, err error) string {
	require.NoError(t, err)
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestAMomentIsTheFoldOfWhatHadHappened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t, 2*time.Hour)
		at := d.moment()
		want := anvil.NewState(d.state.Stream())
		happened := map[uuid.UUID]bool{}
		open, seen := map[uuid.UUID]string{}, map[uuid.UUID]bool{}
		for _, f := range d.facts {
			if f.Time.After(at) {
				continue
			}
			happened[f.ID] = true
			require.NoError(t, want.Apply(f.Event, f.Payload))
			switch p := f.Payload.(type) {
			case anvil.FindingOpened:
				open[p.ID], seen[p.ID] = p.Observed, true
			case anvil.FindingChanged:
				open[p.ID], seen[p.ID] = p.Observed, true
			case anvil.FindingResolved:
				delete(open, p.ID)
				seen[p.ID] = true
			}
		}
		m, err := history.New(&d.log, registry()).At(t.Context(), "primed", at)
		if len(happened) == 0 {
			require.Equal(t, event.CodeNotFound, event.CodeOf(err))
			require.ErrorContains(t, err, "choose a time from ")
			return
		}
		require.NoError(t, err)
		got, err := m.State(t.Context(), "primed")
		require.NoError(t, err)
		require.Equal(t, want.Declared(), got.Declared())
		require.Equal(t, want.Observed(), got.Observed())
		require.Equal(t, want.OpenFindings(), got.OpenFindings())
		audit, err := m.Audit(t.Context(), "primed", anvil.Options{})
		require.NoError(t, err)
		require.Equal(t, want.Audit(anvil.Options{}), audit.Result)

		found, err := m.Findings(t.Context(), postgres.FindingFilter{State: postgres.FindingsOpen, Limit: 1000})
		require.NoError(t, err)
		listed := map[uuid.UUID]string{}
		for _, f := range found {
			listed[f.ID] = f.Observed
			_, accepted := want.AcceptanceOf(f.ID, at)
			require.Equal(t, accepted, f.Accepted != nil)
			require.False(t, f.ChangedAt.After(at))
			for _, e := range f.Evidence {
				require.True(t, happened[e.EventID], "a finding rests on what had happened")
			}
		}
		require.Equal(t, open, listed)
		all, err := m.Findings(t.Context(), postgres.FindingFilter{State: postgres.FindingsAll, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, all, len(seen))
	})
}

// What is open after an audit is what an audit as of then finds, if all that had
// happened had come in.
func TestFindingsAgreeWithTheAuditOfTheirMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t, 0)
		reader := history.New(&d.log, registry())
		for _, at := range d.audited {
			m, err := reader.At(t.Context(), "primed", at)
			require.NoError(t, err)
			audit, err := m.Audit(t.Context(), "primed", anvil.Options{})
			require.NoError(t, err)
			state, err := m.State(t.Context(), "primed")
			require.NoError(t, err)
			open := map[string]bool{}
			for _, f := range state.OpenFindings() {
				open[string(f.Model)+f.Scope+f.Record+f.Kind] = true
			}
			for _, d := range audit.Result.Discrepancies() {
				require.True(t, open[string(d.Model)+d.Scope+d.Record+d.Kind], "%s %s is found and not open", d.Record, d.Kind)
				delete(open, string(d.Model)+d.Scope+d.Record+d.Kind)
			}
			if audit.Result.Accounts.OK() && audit.Result.ManagedGroups.OK() {
				require.Empty(t, open, "nothing is open where all was seen and is well")
			}
		}
	})
}

// generation is the only generation of a read model.
type generation string

func (g generation) Live(context.Context, string) (runner.Generation, error) {
	return runner.Generation{Namespace: string(g)}, nil
}

func TestNowIsToldTheSameFromTheLogAndFromTheReadModel(t *testing.T) {
	pool := enginetest.Postgres(t)
	lives := rapid.Custom(func(t *rapid.T) *drawn { return draw(t, time.Hour) })
	seen := 0
	for n := range 25 {
		d := lives.Example(n)
		seen += len(findings(d))
		name := fmt.Sprintf("anvil_%d", n)
		batch := postgres.AnVIL().NewBatch()
		for _, f := range d.facts {
			require.NoError(t, batch.Add(runner.Event{Recorded: f.Recorded, Payload: f.Payload}))
		}
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			for _, sql := range []string{"CREATE SCHEMA " + name, "SET LOCAL search_path TO " + name, postgres.AnVIL().Schema} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			return batch.(runner.PostgresBatch).Write(t.Context(), tx)
		}))
		now := postgres.NewAnVILReader(pool, live.New(generation(name)), registry())
		then, err := history.New(&d.log, registry()).At(t.Context(), "primed", d.now.Add(time.Hour))
		require.NoError(t, err)

		state, err := now.State(t.Context(), "primed")
		require.NoError(t, err)
		past, err := then.State(t.Context(), "primed")
		require.NoError(t, err)
		require.Equal(t, told(t, state.Declared().Ordered(), nil), told(t, past.Declared().Ordered(), nil))
		require.Equal(t, told(t, state.Observed(), nil), told(t, past.Observed(), nil))
		audit, err := now.Audit(t.Context(), "primed", anvil.Options{})
		require.NoError(t, err)
		pastAudit, err := then.Audit(t.Context(), "primed", anvil.Options{})
		require.Equal(t, told(t, audit, nil), told(t, pastAudit, err))

		for _, filter := range []postgres.FindingFilter{
			{State: postgres.FindingsAll},
			{State: postgres.FindingsOpen},
			{State: postgres.FindingsResolved},
			{},
			{Models: []anvil.Model{anvil.ModelMemberships, anvil.ModelWorkspaces}},
			{Severity: anvil.SeverityHigh},
			{Accepted: new(true)},
			{Accepted: new(false)},
		} {
			filter.Consortium, filter.Limit = "primed", 2
			inNow, inPast := filter, filter
			for {
				list, err := now.Findings(t.Context(), inNow)
				require.NoError(t, err)
				past, err := then.Findings(t.Context(), inPast)
				require.Equal(t, told(t, list, nil), told(t, past, err))
				if len(list) < filter.Limit {
					break
				}
				inNow.Before, inPast.Before = new(list[1].Cursor()), new(history.FindingCursor(past[1]))
				require.True(t, inNow.Before.OpenedAt.Equal(inPast.Before.OpenedAt))
			}
		}
		for id := range findings(d) {
			one, err := now.Finding(t.Context(), "primed", id)
			require.NoError(t, err)
			past, err := then.Finding(t.Context(), "primed", id)
			require.Equal(t, told(t, one, nil), told(t, past, err))
		}
		var before *postgres.SweepCursor
		for {
			list, err := now.Sweeps(t.Context(), "primed", before, 2)
			require.NoError(t, err)
			past, err := then.Sweeps(t.Context(), "primed", before, 2)
			require.Equal(t, told(t, list, nil), told(t, past, err))
			if len(list) < 2 {
				break
			}
			before = new(list[1].Cursor())
		}
	}
	require.Positive(t, seen, "lives without findings would compare nothing")
}

// findings are the ids of all that were ever found.
func findings(d *drawn) map[uuid.UUID]bool {
	ids := map[uuid.UUID]bool{}
	for _, f := range d.facts {
		if p, ok := f.Payload.(anvil.FindingOpened); ok {
			ids[p.ID] = true
		}
	}
	return ids
}

func TestAFindingTellsHowOftenItHadBeenResolved(t *testing.T) {
	found := anvil.Finding{ID: uuid.New(), Model: anvil.ModelAccounts, Record: "a@example.com", Kind: anvil.ErrNotInAnVIL, OpenedAt: noon}
	var log written
	log.add(t, fact(t, 0, anvil.FindingOpened{Finding: found}))
	log.add(t, fact(t, 1, anvil.FindingResolved{Finding: found, ResolvedAt: noon.Add(time.Hour)}))
	log.add(t, fact(t, 2, anvil.FindingOpened{Finding: found, Reopened: 1}))
	log.add(t, fact(t, 3, anvil.FindingChanged{Finding: found}))
	for hours, want := range []struct {
		open     bool
		reopened int
	}{{true, 0}, {false, 0}, {true, 1}, {true, 1}} {
		m, err := history.New(&log, registry()).At(t.Context(), "primed", noon.Add(time.Duration(hours)*time.Hour))
		require.NoError(t, err)
		f, err := m.Finding(t.Context(), "primed", found.ID)
		require.NoError(t, err)
		require.Equal(t, want.open, f.Open)
		require.Equal(t, want.reopened, f.Reopened)
		require.Equal(t, noon.Add(time.Duration(hours)*time.Hour), f.ChangedAt)
	}
}

func TestASecondCopyOfADecisionBehindNewerOnesChangesNothing(t *testing.T) {
	var log written
	first, second := fact(t, 0, anvil.ConsortiumDeclared{ServiceAccount: "old@example.com"}), fact(t, 1, anvil.ConsortiumDeclared{ServiceAccount: "new@example.com"})
	first.Version, second.Version = 1, 2
	log.add(t, first)
	log.add(t, second)
	log.add(t, first)
	m, err := history.New(&log, registry()).At(t.Context(), "primed", time.Time{})
	require.NoError(t, err)
	state, err := m.State(t.Context(), "primed")
	require.NoError(t, err)
	require.Equal(t, "new@example.com", state.Declared().ServiceAccount)
}
