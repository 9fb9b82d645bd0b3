package anvil_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

func sortBy[T any](list []T, key func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// sorted puts the lists of a declaration in order.
func sorted(d anvil.Declared) anvil.Declared {
	sortBy(d.BillingProjects, func(b anvil.BillingProject) string { return b.Name })
	sortBy(d.Accounts, func(a anvil.Account) string { return a.Email })
	sortBy(d.ManagedGroups, func(g anvil.ManagedGroup) string { return g.Name })
	sortBy(d.GroupGroupMemberships, func(m anvil.GroupMembership) string { return m.Parent + "/" + m.Child })
	sortBy(d.GroupAccountMemberships, func(m anvil.AccountMembership) string { return m.Group + "/" + m.Account })
	sortBy(d.Workspaces, anvil.Workspace.Key)
	sortBy(d.WorkspaceGroupSharing, func(s anvil.Sharing) string { return s.Workspace + "/" + s.Group })
	sortBy(d.IgnoredGroupMemberships, func(r anvil.IgnoredMembership) string { return r.Group + "/" + r.Email })
	sortBy(d.IgnoredWorkspaceSharing, func(r anvil.IgnoredSharing) string { return r.Workspace + "/" + r.Email })
	return d
}

func TestAppliedPlanGivesWhatWasWantedAndThenIsEmpty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		for _, label := range []string{"first", "second", "third"} {
			wanted := drawDeclared(rt, label)
			require.NoError(rt, wanted.Validate(anvil.Strict))
			plan, err := anvil.Plan(w.state.Declared(), wanted, anvil.Strict)
			require.NoError(rt, err)
			payloads := anvil.PlanEvents(plan, "because")
			for _, p := range payloads {
				w.apply(p)
			}
			require.Equal(rt, sorted(wanted), sorted(w.state.Declared()))
			requireCounted(rt, plan, payloads)
			again, err := anvil.Plan(w.state.Declared(), wanted, anvil.Strict)
			require.NoError(rt, err)
			require.Empty(rt, again)
			require.Empty(rt, anvil.PlanEvents(again, "because"))
		}
	})
}

func requireCounted(t *rapid.T, plan []anvil.Change, payloads []event.Payload) {
	if len(plan) == 0 {
		return
	}
	applied := payloads[len(payloads)-1].(anvil.PlanApplied)
	require.Equal(t, "because", applied.Reason)
	require.Equal(t, len(plan), applied.Added+applied.Changed+applied.Withdrawn)
}

func TestPlanWithdrawsMembershipsBeforeGroupsAndDeclaresThemAfter(t *testing.T) {
	none := anvil.Declared{ServiceAccount: "app@example.com"}
	none.Normalise()
	in, err := anvil.Plan(none, readers(), anvil.Strict)
	require.NoError(t, err)
	require.Equal(t, []string{"added account a@example.com", "added group readers", "added account_membership readers/a@example.com"}, words(in))
	out, err := anvil.Plan(readers(), none, anvil.Strict)
	require.NoError(t, err)
	require.Equal(t, []string{"withdrawn account_membership readers/a@example.com", "withdrawn group readers", "withdrawn account a@example.com"}, words(out))

	admin := readers()
	admin.GroupAccountMemberships[0].Role = anvil.RoleAdmin
	changed, err := anvil.Plan(readers(), admin, anvil.Strict)
	require.NoError(t, err)
	require.Equal(t, []string{"changed account_membership readers/a@example.com"}, words(changed), "a pair has one role")
}

func words(plan []anvil.Change) []string {
	var list []string
	for _, c := range plan {
		list = append(list, c.String())
	}
	return list
}

func TestPlanRefusesAnInvalidDeclaration(t *testing.T) {
	bad := readers()
	bad.GroupAccountMemberships[0].Group = "writers"
	_, err := anvil.Plan(anvil.Declared{}, bad, anvil.Strict)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, `group_account_memberships[0]: group "writers" is not declared in managed_groups`)
}
