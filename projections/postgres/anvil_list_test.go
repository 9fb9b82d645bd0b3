package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func TestConsortiaAreListedWithTheirSweepFindingsAndRecords(t *testing.T) {
	v, reader := consortium(t)
	acme := event.Consortium("acme")
	v.fold(acme, at(1),
		anvil.AccountDeclared{Account: anvil.Account{Email: "b@example.com", Status: anvil.StatusActive}},
		anvil.AccountDeclared{Account: anvil.Account{Email: "c@example.com", Status: anvil.StatusActive}},
		anvil.GroupDeclared{ManagedGroup: anvil.ManagedGroup{Name: "g", Email: "g@firecloud.org"}})
	v.fold(acme, at(2), anvil.AccountWithdrawn{Email: "c@example.com"})
	whole := anvil.SweepCompleted{SweepID: uuid.New(), StartedAt: at(3), CompletedAt: at(3).Add(time.Minute), Calls: 7, UnseenCount: 2}
	v.fold(acme, at(3), anvil.SweepStarted{SweepID: whole.SweepID, StartedAt: at(3)}, whole)
	part := anvil.SweepCompleted{SweepID: uuid.New(), StartedAt: at(4), CompletedAt: at(4).Add(time.Minute), Scope: anvil.Scope{Groups: []string{"g"}}}
	v.fold(acme, at(4), anvil.SweepStarted{SweepID: part.SweepID, StartedAt: at(4)}, part, anvil.SweepStarted{SweepID: uuid.New(), StartedAt: at(5)})
	for n := range 3 {
		f := finding(n, at(3))
		if n == 2 {
			f.Severity = anvil.SeverityHigh
		}
		v.fold(acme, at(3), anvil.FindingOpened{Finding: f})
	}
	v.fold(acme, at(4), anvil.FindingResolved{Finding: finding(0, at(3)), ResolvedAt: at(4)})
	v.fold(acme, at(5), anvil.AcceptanceDeclared{Acceptance: anvil.Acceptance{FindingID: finding(1, at(3)).ID, Expected: "a", Observed: "b", Reason: "a guest"}})
	// One that was swept in part alone has no last sweep.
	v.fold(event.Consortium("other"), at(4), anvil.SweepStarted{SweepID: uuid.New(), StartedAt: at(4)})

	all, err := reader.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "acme", all[0].Name)
	require.Equal(t, map[string]int64{"account": 2, "group": 1}, all[0].Declared)
	require.NotNil(t, all[0].Sweep)
	require.Equal(t, whole.SweepID, all[0].Sweep.SweepID)
	require.Equal(t, 2, all[0].Sweep.UnseenCount)
	require.Equal(t, []postgres.OpenFindings{
		{Model: anvil.ModelAccounts, Severity: anvil.SeverityHigh, Findings: 1},
		{Model: anvil.ModelAccounts, Severity: anvil.SeverityMedium, Findings: 1, Accepted: 1},
	}, all[0].Open)
	require.Equal(t, postgres.ConsortiumOverview{Name: "other", Declared: map[string]int64{}}, all[1])
}
