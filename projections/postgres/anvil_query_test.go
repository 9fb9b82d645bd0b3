package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func consortium(t *testing.T) (*views, *postgres.AnVILReader) {
	v := newViews(t, postgres.AnVIL())
	registry := event.NewRegistry()
	anvil.Register(registry)
	v.fold(event.Consortium("acme"), at(0), anvil.ConsortiumDeclared{ServiceAccount: "sa@example.com"},
		anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com", Status: anvil.StatusActive}})
	v.fold(event.Consortium("other"), at(0), anvil.ConsortiumDeclared{ServiceAccount: "sb@example.com"})
	return v, postgres.NewAnVILReader(v.pool, v.live(), registry)
}

func finding(n int, opened time.Time) anvil.Finding {
	record := fmt.Sprintf("record %d", n)
	return anvil.Finding{
		ID: anvil.FindingID(event.Consortium("acme"), anvil.ModelAccounts, "", record, anvil.NotInApp), Model: anvil.ModelAccounts, Record: record,
		Kind: anvil.NotInApp, Severity: anvil.SeverityMedium, Expected: "a", Observed: "b", OpenedAt: opened, ChangedSide: anvil.SideObserved,
	}
}

func TestFindingsAreListedNewestFirstEachOnce(t *testing.T) {
	v, reader := consortium(t)
	for n := range 25 {
		// Several are opened by one sweep, at a moment finer than Postgres keeps.
		v.fold(event.Consortium("acme"), at(1), anvil.FindingOpened{Finding: finding(n, at(1).Add(time.Duration(n/4)*time.Second+1234*time.Nanosecond))})
	}
	v.fold(event.Consortium("other"), at(1), anvil.FindingOpened{Finding: anvil.Finding{ID: uuid.New(), OpenedAt: at(2)}})
	for n := range 5 {
		v.fold(event.Consortium("acme"), at(2), anvil.FindingResolved{Finding: finding(n, at(1)), ResolvedAt: at(2)})
	}
	count := func(filter postgres.FindingFilter) int {
		t.Helper()
		filter.Consortium, filter.Limit = "acme", 4
		seen := map[uuid.UUID]bool{}
		last := at(23)
		for {
			page, err := reader.Findings(t.Context(), filter)
			require.NoError(t, err)
			for _, f := range page {
				require.False(t, seen[f.ID])
				require.False(t, f.Cursor().OpenedAt.After(last))
				seen[f.ID], last = true, f.Cursor().OpenedAt
				require.Equal(t, f.ResolvedAt == nil, f.Open)
			}
			if len(page) < filter.Limit {
				return len(seen)
			}
			filter.Before = new(page[len(page)-1].Cursor())
		}
	}
	require.Equal(t, 25, count(postgres.FindingFilter{}))
	require.Equal(t, 20, count(postgres.FindingFilter{State: postgres.FindingsOpen}))
	require.Equal(t, 5, count(postgres.FindingFilter{State: postgres.FindingsResolved}))
	require.Equal(t, 25, count(postgres.FindingFilter{Models: []anvil.Model{anvil.ModelAccounts, anvil.ModelSharing}, Severity: anvil.SeverityMedium}))
	require.Zero(t, count(postgres.FindingFilter{Models: []anvil.Model{anvil.ModelSharing}}))
	require.Zero(t, count(postgres.FindingFilter{Severity: anvil.SeverityHigh}))

	f, err := reader.Finding(t.Context(), "acme", finding(1, at(1)).ID)
	require.NoError(t, err)
	require.Equal(t, at(2), *f.ResolvedAt)
	_, err = reader.Finding(t.Context(), "other", finding(1, at(1)).ID)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "a finding belongs to one consortium")

	counts, err := reader.OpenFindings(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"acme": 20, "other": 1}, counts)
}

func TestSweepsAreListedNewestFirstAlsoInterruptedOnes(t *testing.T) {
	v, reader := consortium(t)
	var want []uuid.UUID
	for n := range 9 {
		id := uuid.New()
		want = append([]uuid.UUID{id}, want...)
		started := at(1).Add(time.Duration(n) * time.Minute)
		v.fold(event.Consortium("acme"), at(1), anvil.SweepStarted{SweepID: id, StartedAt: started})
		if n != 3 {
			v.fold(event.Consortium("acme"), at(1), anvil.SweepCompleted{SweepID: id, StartedAt: started, CompletedAt: started.Add(time.Second), Calls: n})
		}
	}
	var got []uuid.UUID
	var before *postgres.SweepCursor
	for {
		page, err := reader.Sweeps(t.Context(), "acme", before, 2)
		require.NoError(t, err)
		for _, s := range page {
			got = append(got, s.ID)
			require.Equal(t, s.ID == want[5], s.Completed == nil)
		}
		if len(page) < 2 {
			break
		}
		before = new(page[1].Cursor())
	}
	require.Equal(t, want, got)
}

func TestAnAuditRestsOnTheLastSweep(t *testing.T) {
	v, reader := consortium(t)
	audit, err := reader.Audit(t.Context(), "acme", anvil.Options{Models: []anvil.Model{anvil.ModelAccounts}})
	require.NoError(t, err)
	require.Nil(t, audit.Sweep)
	require.Equal(t, map[string]string{"a@example.com": "not observed"}, audit.Result.Accounts.Unknown)

	id := uuid.New()
	v.fold(event.Consortium("acme"), at(1),
		anvil.AccountObserved{Email: "a@example.com", Reading: anvil.Reading[anvil.AccountInfo]{Response: anvil.Response{Status: 200}, Value: anvil.AccountInfo{Registered: true}}},
		anvil.SweepCompleted{SweepID: id, StartedAt: at(1), CompletedAt: at(2)})
	audit, err = reader.Audit(t.Context(), "acme", anvil.Options{Models: []anvil.Model{anvil.ModelAccounts}})
	require.NoError(t, err)
	require.Equal(t, []string{"a@example.com"}, audit.Result.Accounts.Verified)
	require.Equal(t, id, audit.Sweep.SweepID)

	part := uuid.New()
	v.fold(event.Consortium("acme"), at(3), anvil.SweepCompleted{SweepID: part, Scope: anvil.Scope{Workspaces: []string{"bp/ws"}}, StartedAt: at(3), CompletedAt: at(4)})
	audit, err = reader.Audit(t.Context(), "acme", anvil.Options{})
	require.NoError(t, err)
	require.Equal(t, id, audit.Sweep.SweepID, "a sweep of single workspaces does not say how old the rest is")
	sweeps, err := reader.Sweeps(t.Context(), "acme", nil, 1)
	require.NoError(t, err)
	require.Equal(t, part, sweeps[0].ID, "but it is listed")
	require.Equal(t, []string{"bp/ws"}, sweeps[0].Completed.Workspaces)

	_, err = reader.Audit(t.Context(), "nobody", anvil.Options{})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "muster declare")
}

// What Postgres calls accepted is what the domain does, in every case.
func TestAcceptedFindingsAreThoseThatTheDomainCallsSo(t *testing.T) {
	v, reader := consortium(t)
	f := finding(1, at(2))
	accept := func(expected, observed string, until time.Time) event.Payload {
		return anvil.AcceptanceDeclared{Acceptance: anvil.Acceptance{FindingID: f.ID, Reason: "known", Expected: expected, Observed: observed, Until: until}}
	}
	future, past := time.Now().Add(time.Hour).UTC(), time.Now().Add(-time.Hour).UTC()
	v.fold(event.Consortium("acme"), at(2), anvil.FindingOpened{Finding: f})
	for _, c := range []struct {
		name     string
		at       time.Time
		payload  event.Payload
		accepted bool
	}{
		{"before it was opened", at(1), accept("a", "b", time.Time{}), false},
		{"as it is", at(3), accept("a", "b", time.Time{}), true},
		{"for a while", at(4), accept("a", "b", future), true},
		{"until it was over", at(5), accept("a", "b", past), false},
		{"with another expectation", at(6), accept("x", "b", time.Time{}), false},
		{"with another observation", at(7), accept("a", "x", time.Time{}), false},
		{"as it is, again", at(8), accept("a", "b", time.Time{}), true},
		{"withdrawn", at(9), anvil.AcceptanceWithdrawn{FindingID: f.ID}, false},
	} {
		v.fold(event.Consortium("acme"), c.at, c.payload)
		got, err := reader.Finding(t.Context(), "acme", f.ID)
		require.NoError(t, err)
		require.Equal(t, c.accepted, got.Accepted != nil, c.name)
		if c.accepted {
			require.Equal(t, "known", got.Accepted.Reason)
			require.Equal(t, c.at, got.Accepted.At)
		}
		state, err := reader.State(t.Context(), "acme")
		require.NoError(t, err)
		_, domain := state.AcceptanceOf(f.ID, time.Now())
		require.Equal(t, c.accepted, domain, c.name)
		for _, wanted := range []bool{true, false} {
			list, err := reader.Findings(t.Context(), postgres.FindingFilter{Consortium: "acme", Accepted: &wanted, Limit: 9})
			require.NoError(t, err)
			require.Len(t, list, map[bool]int{true: 1}[wanted == c.accepted], c.name)
		}
	}
}
