package anvil_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// found is a consortium with a member in its group whom nobody declared, and the
// finding of that.
func found(t *testing.T) (*world, anvil.Finding) {
	t.Helper()
	w := newWorld(t)
	w.declare(readers())
	w.sweep(oneGroup(t, `["a@example.com","x@example.com"]`))
	for _, f := range w.state.OpenFindings() {
		if f.Kind == anvil.NotInApp {
			return w, f
		}
	}
	t.Fatal("there is no finding")
	return nil, anvil.Finding{}
}

func (w *world) accept(id uuid.UUID, until time.Time) {
	p, err := w.state.Accept(id, "a guest of the year", until, w.now)
	require.NoError(w.t, err)
	w.apply(p)
}

func TestAnAcceptanceHoldsForTheValuesThatWereLookedAt(t *testing.T) {
	w, f := found(t)
	w.accept(f.ID, time.Time{})
	a, ok := w.state.AcceptanceOf(f.ID, w.now)
	require.True(t, ok)
	require.Equal(t, "a guest of the year", a.Reason)
	require.Equal(t, f.Observed, a.Observed)
	again, err := w.state.Accept(f.ID, "a guest of the year", time.Time{}, w.now)
	require.NoError(t, err)
	require.Nil(t, again, "what is accepted so already is accepted once")

	w.sweep(oneGroup(t, `["a@example.com","X@Example.com"]`))
	changed, open := w.state.OpenFinding(f.ID)
	require.True(t, open)
	require.NotEqual(t, f.Observed, changed.Observed)
	_, ok = w.state.AcceptanceOf(f.ID, w.now)
	require.False(t, ok, "other values were not accepted")
}

func TestAnAcceptanceEndsWithItsTimeItsWithdrawalAndItsFinding(t *testing.T) {
	w, f := found(t)
	until := w.now.Add(time.Hour)
	w.accept(f.ID, until)
	_, ok := w.state.AcceptanceOf(f.ID, until.Add(-time.Nanosecond))
	require.True(t, ok)
	_, ok = w.state.AcceptanceOf(f.ID, until)
	require.False(t, ok)

	p, err := w.state.Unaccept(f.ID, "not any more")
	require.NoError(t, err)
	w.apply(p)
	_, ok = w.state.AcceptanceOf(f.ID, w.now)
	require.False(t, ok)
	_, err = w.state.Unaccept(f.ID, "twice")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))

	w.accept(f.ID, time.Time{})
	w.sweep(oneGroup(t, `["a@example.com"]`))
	w.sweep(oneGroup(t, `["a@example.com","x@example.com"]`))
	_, open := w.state.OpenFinding(f.ID)
	require.True(t, open, "it was opened again")
	_, ok = w.state.AcceptanceOf(f.ID, w.now)
	require.False(t, ok, "and is a new occurrence")
}

func TestWhatCannotBeAcceptedIsRefused(t *testing.T) {
	w, f := found(t)
	for _, c := range []struct {
		id     uuid.UUID
		reason string
		until  time.Time
		code   event.Code
		text   string
	}{
		{uuid.New(), "r", time.Time{}, event.CodeNotFound, "there is no open finding"},
		{f.ID, "", time.Time{}, event.CodeInvalid, "has no reason"},
		{f.ID, "r", w.now, event.CodeInvalid, "which is over"},
	} {
		_, err := w.state.Accept(c.id, c.reason, c.until, w.now)
		require.Equal(t, c.code, event.CodeOf(err))
		require.ErrorContains(t, err, c.text)
	}
}

func TestDeactivationTakesTheAccountOutOfItsGroups(t *testing.T) {
	d := readers()
	next, err := decodePatch(t, `{"deactivate": ["A@example.com"]}`).Apply(d)
	require.NoError(t, err)
	require.Equal(t, anvil.StatusInactive, next.Accounts[0].Status)
	require.Empty(t, next.GroupAccountMemberships)
	require.Len(t, d.GroupAccountMemberships, 1, "what was declared stays as it was")
	plan, err := anvil.Plan(d, next, anvil.Strict)
	require.NoError(t, err)
	require.Equal(t, []string{"withdrawn account_membership readers/a@example.com", "changed account a@example.com"}, words(plan))

	active, err := decodePatch(t, `{"activate": ["a@example.com"]}`).Apply(next)
	require.NoError(t, err)
	require.Equal(t, anvil.StatusActive, active.Accounts[0].Status)
	require.Empty(t, active.GroupAccountMemberships, "it comes back to no group by itself")

	for text, want := range map[string]string{
		`{"deactivate": ["b@example.com"]}`:                                                                                            `account "b@example.com" is not declared`,
		`{"deactivate": ["a@example.com"], "activate": ["a@example.com"]}`:                                                             "both activated and deactivated",
		`{"deactivate": ["a@example.com"], "declare": {"accounts": [{"email": "a@example.com"}]}}`:                                     "keep one",
		`{"deactivate": ["a@example.com"], "declare": {"group_account_memberships": [{"group":"readers","account":"a@example.com"}]}}`: "deactivated and declared in group",
	} {
		_, err := decodePatch(t, text).Apply(d)
		require.ErrorContains(t, err, want, text)
	}
}
