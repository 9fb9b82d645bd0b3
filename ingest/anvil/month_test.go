package anvil_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	simulator "github.com/muster-sync/muster/internal/simulate/anvil"
	"github.com/muster-sync/muster/internal/simulate/dice"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

// month is a consortium that is watched for a month of its world's time: its
// log, what its people declared, and a strict AnVIL that knows what it changed.
type month struct {
	t   *testing.T
	sim *simulator.Simulator

	mu  sync.Mutex
	now time.Time

	sweeper *anvil.Sweeper
	log     *memoryLog
	read    int // how many events of the log are folded
	state   *domain.State
	story   []domain.Fact
	first   uuid.UUID // the first sweep
	// declared are the declarations that were made after the first sweep.
	declared map[uuid.UUID]domain.Fact
}

func (m *month) time() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *month) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

// paced is a client for whom each question takes some of the world's time, so
// that the world moves while it is read.
type paced struct {
	*anvil.Client

	month *month
}

func (p paced) Ask(ctx context.Context, q domain.Request) (anvil.Reply, error) {
	p.month.advance(3 * time.Second)
	reply, err := p.Client.Ask(ctx, q)
	p.month.advance(time.Second)
	reply.At = p.month.time()
	return reply, err
}

func newMonth(t *testing.T, config simulator.Config) *month {
	m := &month{
		t: t, now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), log: &memoryLog{failAfter: -1},
		state: domain.NewState(stream), declared: map[uuid.UUID]domain.Fact{},
	}
	config.NoToken, config.Clock, config.Epoch, config.Start = true, m.time, m.now, m.now
	var err error
	m.sim, err = simulator.New(config)
	require.NoError(t, err)
	server := httptest.NewServer(m.sim.Handler())
	t.Cleanup(server.Close)
	client := newClient(t, anvil.ClientConfig{
		SamURL: server.URL, RawlsURL: server.URL, Credentials: anvil.NoCredentials, FirstPause: time.Microsecond, Attempts: 2,
	})
	// One question after the other, so that each run of the test is the same.
	m.sweeper, err = anvil.NewSweeper(anvil.SweeperConfig{
		Asker: paced{client, m}, Store: &memoryStore{}, Appender: m.log, Quarantine: &samples{},
		Logger: quiet(), Registerer: prometheus.NewRegistry(), Now: m.time, Concurrency: 1,
	})
	require.NoError(t, err)
	return m
}

// fold applies what the log has got to the state, and appends what follows.
func (m *month) fold() {
	types := registry()
	for ; m.read < len(m.log.events); m.read++ {
		e := m.log.events[m.read]
		p, err := types.Decode(e)
		require.NoError(m.t, err)
		require.NoError(m.t, m.state.Apply(e, p))
		m.story = append(m.story, domain.Fact{
			Recorded: event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAnVIL, Offset: int64(m.read)}}, Payload: p,
		})
		events, _, err := m.state.Reaction("test", e, p)
		require.NoError(m.t, err)
		require.NoError(m.t, m.log.Append(m.t.Context(), events...))
	}
}

func (m *month) sweep(models ...domain.Model) {
	summary, err := m.sweeper.Run(m.t.Context(), consortium, m.state.Declared(), models)
	require.NoError(m.t, err)
	if m.first == uuid.Nil {
		m.first = summary.SweepID
	}
	m.fold()
}

// declare brings the declaration to what is wanted.
func (m *month) declare(actor, reason string, wanted domain.Declared) {
	plan, err := domain.Plan(m.state.Declared(), wanted, domain.Literal)
	require.NoError(m.t, err)
	from := len(m.log.events)
	for _, p := range domain.PlanEvents(plan, reason) {
		e, err := event.New(uuid.New(), stream, "test", m.time(), p)
		require.NoError(m.t, err)
		e.Actor = actor
		require.NoError(m.t, m.log.Append(m.t.Context(), e))
	}
	m.fold()
	for _, f := range m.story[from:] {
		if slot, ok := domain.SlotOf(f.Payload); ok && slot.Side == domain.SideDeclared && m.first != uuid.Nil {
			m.declared[f.ID] = f
		}
	}
}

// decide changes one thing of the declaration by chance.
func (m *month) decide(n int) {
	d := m.state.Declared()
	draw := dice.New(99, uint64(n))
	i := func(length int) int { return draw.IntN(max(length, 1)) }
	account, sharing, workspace := i(len(d.GroupAccountMemberships)), i(len(d.WorkspaceGroupSharing)), i(len(d.Workspaces))
	switch n % 7 {
	case 0:
		d.GroupAccountMemberships = slices.Delete(d.GroupAccountMemberships, account, account+1)
	case 1:
		d.WorkspaceGroupSharing = slices.Delete(d.WorkspaceGroupSharing, sharing, sharing+1)
	case 2:
		d.GroupAccountMemberships[account].Role = domain.RoleAdmin
	case 3:
		d.Workspaces[workspace].IsLocked = !d.Workspaces[workspace].IsLocked
	case 4:
		email := fmt.Sprintf("new.%d@example.org", n)
		d.Accounts = append(d.Accounts, domain.Account{Email: email, Status: domain.StatusActive})
		d.GroupAccountMemberships = append(d.GroupAccountMemberships, domain.AccountMembership{Group: d.ManagedGroups[0].Name, Account: email, Role: domain.RoleMember})
	case 5:
		// What is there and not declared is accepted.
		for _, f := range m.state.OpenFindings() {
			_, email, _ := strings.Cut(f.Record, ": ")
			again := slices.ContainsFunc(d.IgnoredGroupMemberships, func(r domain.IgnoredMembership) bool { return r.Group == f.Scope && r.Email == email })
			if f.Model == domain.ModelMemberships && f.Kind == domain.NotInApp && !again {
				d.IgnoredGroupMemberships = append(d.IgnoredGroupMemberships, domain.IgnoredMembership{Group: f.Scope, Email: email})
				break
			}
		}
	case 6:
		// What was declared at first is declared again.
		d.GroupAccountMemberships = append(d.GroupAccountMemberships, m.withdrawn(d)...)
	}
	m.declare("ada", fmt.Sprintf("decision %d", n), d)
}

// withdrawn are memberships that were withdrawn, and whose account is declared
// still.
func (m *month) withdrawn(d domain.Declared) []domain.AccountMembership {
	for _, f := range m.story {
		p, ok := f.Payload.(domain.AccountMembershipDeclared)
		again := slices.ContainsFunc(d.GroupAccountMemberships, func(a domain.AccountMembership) bool {
			return a.Group == p.Group && a.Account == p.AccountMembership.Account
		})
		if ok && !again {
			return []domain.AccountMembership{p.AccountMembership}
		}
	}
	return nil
}

func TestEveryFindingOfASimulatedMonthIsExplainedByWhatReallyHappened(t *testing.T) {
	kinds := map[simulator.ChangeKind]int{}
	for _, seed := range []uint64{20, 27} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newMonth(t, simulator.Config{Seed: seed, Accounts: 50, Groups: 14, Workspaces: 24, Drift: 0.06, WideDrift: 0.25, DriftEvery: 54 * time.Hour})
			begin := m.sim.WorldTime()
			m.pass(begin)
			j := &judgement{month: m, changes: m.sim.Changes(begin, m.sim.WorldTime()), sides: map[domain.CauseSide]int{}, kinds: kinds}
			require.GreaterOrEqual(t, len(j.changes), 200)
			j.all()
			t.Logf("%d changes of the world, %d findings, opened %d times, by side %v, by kind of change so far %v", len(j.changes), len(j.explained), j.episodes, j.sides, kinds)
			require.Empty(t, j.wrong[:min(len(j.wrong), 5)], "%d of %d are explained wrongly", len(j.wrong), j.episodes)
			require.Greater(t, j.sides[domain.CauseObserved], 200)
			require.Greater(t, j.sides[domain.CauseDeclared], 20)
			require.Greater(t, j.sides[domain.CauseNeverAgreed], 20)
			require.Zero(t, j.sides[domain.CauseUnclear])
		})
	}
	require.Len(t, kinds, 9, "every kind of change explains something")
}

// pass lets a month pass: AnVIL is asked every six hours, sometimes in vain or in
// part, and every third time something is decided.
func (m *month) pass(begin time.Time) {
	data, err := json.Marshal(m.sim.Declared())
	require.NoError(m.t, err)
	m.declare("import", "as it was", declared(m.t, string(data)))
	for n := range 120 {
		switch {
		case n%17 == 5:
			require.NoError(m.t, m.sim.Faults().Add(fault.Fault{Kind: fault.ServerError, Rate: 0.5}))
		case n%23 == 7:
			require.NoError(m.t, m.sim.Faults().Add(fault.Fault{Kind: fault.ServerError, Route: "groups"}, fault.Fault{Kind: fault.ServerError, Route: "workspaces"}))
		}
		if n%13 == 9 {
			m.sweep(domain.ModelAccounts, domain.ModelWorkspaces)
		} else {
			m.sweep()
		}
		m.sim.Faults().Clear()
		m.advance(2 * time.Hour)
		if n%3 == 1 {
			m.decide(n / 3)
		}
		m.advance(begin.Add(time.Duration(n+1) * 6 * time.Hour).Sub(m.sim.WorldTime()))
	}
	require.Empty(m.t, m.sim.Violations())
}

// judgement holds explanations against what the simulator knows.
type judgement struct {
	*month

	changes   []simulator.Change
	explained map[uuid.UUID]domain.Explanation
	episodes  int
	sides     map[domain.CauseSide]int
	kinds     map[simulator.ChangeKind]int
	wrong     []string
}

// all explains every finding that was ever opened.
func (j *judgement) all() {
	j.explained = map[uuid.UUID]domain.Explanation{}
	for _, f := range j.story {
		p, ok := f.Payload.(domain.FindingOpened)
		if _, again := j.explained[p.ID]; !ok || again {
			continue
		}
		x, err := domain.Explain(stream, j.story, p.ID)
		require.NoError(j.t, err)
		j.explained[p.ID] = x
		j.explanation(x)
	}
	for _, x := range j.explained {
		for _, p := range x.Parts {
			require.Equal(j.t, j.explained[p.FindingID].Cause, p.Cause, "a part is explained as the finding itself is")
		}
	}
}

func (j *judgement) fail(x domain.Explanation, c domain.Cause, format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf("%s %s %s %q: ", x.Finding.Model, x.Finding.Scope, x.Finding.Record, x.Finding.Kind)+fmt.Sprintf(format, args...)+": "+c.Words)
}

func (j *judgement) explanation(x domain.Explanation) {
	episodes := append(slices.Clone(x.Earlier), domain.Episode{OpenedAt: x.Finding.OpenedAt, Cause: x.Cause, ResolvedAt: x.ResolvedAt, Resolution: x.Resolution})
	require.NotEmpty(j.t, x.Narrative)
	require.NotEmpty(j.t, x.Evidence)
	for n, e := range episodes {
		j.episodes++
		j.sides[e.Cause.Side]++
		j.cause(x, e.Cause, n == 0 && j.openedByFirst(x.Finding.ID), false)
		if e.Resolution != nil {
			j.cause(x, *e.Resolution, false, true)
		}
	}
	sums := x.Finding.Kind == domain.ErrGroupMembership || x.Finding.Kind == domain.ErrWorkspaceSharing
	require.Equal(j.t, sums, len(x.Parts) > 0, "%s of %s", x.Finding.Kind, x.Finding.Record)
}

// openedByFirst tells whether the finding was there from the first sweep.
func (j *judgement) openedByFirst(id uuid.UUID) bool {
	for _, f := range j.story {
		if p, ok := f.Payload.(domain.FindingOpened); ok && p.ID == id {
			return f.CorrelationID == j.first.String()
		}
	}
	return false
}

func (j *judgement) cause(x domain.Explanation, c domain.Cause, first, resolved bool) {
	switch {
	case first && c.Side != domain.CauseNeverAgreed:
		j.fail(x, c, "it was there from the first sweep")
	case c.Side == domain.CauseObserved:
		j.observed(x, c, resolved)
	case c.Side == domain.CauseDeclared:
		j.declaration(x, c)
	case c.Side == domain.CauseNeverAgreed && !first:
		j.firstLook(x, c)
	case c.Side == domain.CauseUnclear:
		j.fail(x, c, "nothing explains it")
	}
}

// observed: the simulator changed the record within the window, to what was seen.
func (j *judgement) observed(x domain.Explanation, c domain.Cause, resolved bool) {
	var last *simulator.Change
	for _, change := range j.changes {
		if !change.At.After(c.Window.From) || change.At.After(c.Window.To) || !explains(change, x.Finding, c.Records[0]) {
			continue
		}
		// That the record itself changed says more than that it came to be seen.
		if last == nil || last.Kind == simulator.ChangedAccess || change.Kind != simulator.ChangedAccess {
			last = &change
		}
	}
	switch {
	case last == nil:
		j.fail(x, c, "nothing changed in the window")
	case !resolved && !shows(*last, x.Finding):
		j.fail(x, c, "the change was another: %+v", *last)
	case c.Window.Unseen == 0 && c.Window.To.Sub(c.Window.From) > 7*time.Hour:
		j.fail(x, c, "the window is wider than two sweeps")
	default:
		j.kinds[last.Kind]++
	}
}

// explains tells whether a change of the world is one of the record that is said
// to have changed, and can open or settle the finding.
func explains(c simulator.Change, f domain.Finding, r domain.CauseRecord) bool {
	_, email, _ := strings.Cut(f.Record, ": ")
	switch r.Kind {
	case domain.KindBillingProject:
		return c.Kind == simulator.ChangedBillingProject && c.Record == f.Record
	case domain.KindAccount:
		return c.Kind == simulator.ChangedAccount && c.Record == f.Record
	case domain.KindGroupRole, domain.KindGroup:
		return c.Kind == simulator.ChangedAppRole && c.Record == r.Name && r.Name == cmp.Or(f.Scope, f.Record)
	case domain.KindGroupMembers, domain.KindGroupAdmins:
		if f.Scope == "" {
			return c.Kind == simulator.ChangedMembership && r.Name == f.Record && strings.HasPrefix(c.Record, f.Record+"/")
		}
		return c.Kind == simulator.ChangedMembership && r.Name == f.Scope && c.Record == f.Scope+"/"+strings.ToLower(email)
	case domain.KindAccessList:
		if strings.Contains(r.Change, "the service account may not read it") && c.Kind == simulator.ChangedAccess {
			// It was shut out, or let in, between the list of workspaces and this.
			return c.Record == r.Name && r.Name == cmp.Or(f.Scope, f.Record)
		}
		if f.Scope == "" {
			return c.Kind == simulator.ChangedSharing && r.Name == f.Record && strings.HasPrefix(c.Record, f.Record+"/")
		}
		return c.Kind == simulator.ChangedSharing && r.Name == f.Scope && c.Record == f.Scope+"/"+strings.ToLower(email)
	case domain.KindSettings:
		return c.Kind == simulator.ChangedRequesterPays && c.Record == f.Record
	case domain.KindWorkspace:
		own := map[string]simulator.ChangeKind{domain.ErrDifferentLock: simulator.ChangedLock, domain.ErrDifferentAuthDomains: simulator.ChangedDomains}[f.Kind]
		return c.Record == f.Record && (c.Kind == simulator.ChangedAccess || c.Kind == own)
	default:
		return false
	}
}

// shows tells whether a finding is what a change leads to.
func shows(c simulator.Change, f domain.Finding) bool {
	role, _, _ := strings.Cut(f.Record, ": ")
	switch f.Kind {
	case domain.NotInApp:
		return f.Scope == "" && c.After != "" || c.After == role
	case domain.ErrAccountMemberMissing, domain.ErrGroupMemberMissing, domain.ErrAccountAdminMissing, domain.ErrGroupAdminMissing:
		return c.After != role
	case domain.ErrNotShared, domain.ErrWorkspaceNotInAnVIL:
		return c.After == ""
	case domain.ErrDifferentAccess:
		return c.After != "" && c.After != role
	case domain.ErrNotInAnVIL:
		return c.After == ""
	default:
		return true
	}
}

// declaration: one of those that were made, on a record that the finding is
// about.
func (j *judgement) declaration(x domain.Explanation, c domain.Cause) {
	f := x.Finding
	fact, made := j.declared[c.Records[0].EventID]
	_, email, _ := strings.Cut(f.Record, ": ")
	local, _, _ := strings.Cut(email, "@")
	about := cmp.Or(f.Scope, f.Record)
	name := c.Records[0].Name
	switch {
	case !made || !fact.Time.Equal(c.At) || c.Actor != "ada" || !strings.HasPrefix(c.Reason, "decision"):
		j.fail(x, c, "nobody declared that")
	case f.Scope == "" && name != about && !strings.HasPrefix(name, about+"/"),
		f.Model == domain.ModelMemberships && name != about+"/"+email,
		f.Model == domain.ModelSharing && !strings.EqualFold(name, about+"/"+local):
		j.fail(x, c, "the declaration is about something else: %s", name)
	}
}

// firstLook: AnVIL could not tell before, because the record was not declared
// yet or the service account was kept out.
func (j *judgement) firstLook(x domain.Explanation, c domain.Cause) {
	about := cmp.Or(x.Finding.Scope, x.Finding.Record)
	for _, f := range j.declared {
		slot, _ := domain.SlotOf(f.Payload)
		if (slot.Key.Name == about || strings.HasPrefix(slot.Key.Name, about+"/")) && f.Time.Before(c.At) {
			return
		}
	}
	for _, change := range j.changes {
		kept := change.Kind == simulator.ChangedAppRole || change.Kind == simulator.ChangedAccess
		if kept && change.Record == about && !change.At.After(c.At) {
			return
		}
	}
	j.fail(x, c, "it could be looked at before")
}
