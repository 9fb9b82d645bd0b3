package anvil_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

func TestARecordIsCountedOnceAndSubAuditsTogether(t *testing.T) {
	r := anvil.Result{
		Accounts: &anvil.Outcome{
			Verified: []string{"a", "b"}, Errors: map[string][]string{"c": {"x"}, "d": {"x", "y"}}, Beyond: map[string][]string{"d": {"z"}, "e": {"z"}},
			Unknown: map[string]string{"c": "status 500", "f": "status 500", anvil.Everything: "status 500"}, NotInApp: []string{"g"}, Ignored: []string{"h", "i"},
		},
		BillingProjects: &anvil.Outcome{Aborted: "KeyError: x"},
		Memberships: map[string]*anvil.Outcome{
			"one": {Verified: []string{"a"}}, "two": {Verified: []string{"a"}, Errors: map[string][]string{"b": {"x"}}, NotInApp: []string{"c"}},
		},
	}
	require.Equal(t, []anvil.ModelAudited{
		{Model: anvil.ModelAccounts, Audited: 6, Verified: 2, Errors: 2, Beyond: 2, Unknown: 2, NotInApp: 1, Ignored: 2, Unlisted: 1},
		{Model: anvil.ModelMemberships, Audited: 3, Verified: 2, Errors: 1, NotInApp: 1},
	}, r.Counts())
}

func TestWhatAnAuditCameToIsToldOnceInEffectAndChangesNothing(t *testing.T) {
	stream := event.Consortium("acme")
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := anvil.NewState(stream)
	apply := func(p event.Payload, at time.Time) event.Event {
		e, err := event.New(uuid.New(), stream, "test", at, p)
		require.NoError(t, err)
		require.NoError(t, s.Apply(e, p))
		return e
	}
	apply(anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.com", Status: anvil.StatusActive}}, at.Add(time.Minute))
	sweep := anvil.SweepCompleted{SweepID: uuid.New(), CompletedAt: at}
	cause := apply(sweep, at)
	_, result, err := s.Reaction("test", cause, sweep)
	require.NoError(t, err)
	first, err := s.AuditEvent("test", cause, sweep, result)
	require.NoError(t, err)
	var told anvil.AuditCompleted
	require.NoError(t, json.Unmarshal(first.Data, &told))
	require.Equal(t, &sweep.SweepID, told.SweepID)
	require.Equal(t, at.Add(time.Minute), told.AuditedAt, "that of the newest fact")
	require.Contains(t, told.Models, anvil.ModelAudited{Model: anvil.ModelAccounts, Audited: 1, Unknown: 1})
	require.Equal(t, cause.ID.String(), first.CausationID)

	require.NoError(t, s.Apply(first, told))
	again, err := s.AuditEvent("test", cause, sweep, result)
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	plan := anvil.PlanApplied{Added: 1}
	other, err := s.AuditEvent("test", apply(plan, at), plan, result)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, other.ID)
	require.NotContains(t, string(other.Data), "sweep_id")
}
