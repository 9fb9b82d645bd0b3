package anvil_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
)

func TestAnAnVILThatIsAsDeclaredIsOKButForInactiveAccounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDeclared(t, "world")
		for i := range d.Accounts {
			d.Accounts[i].Status = anvil.StatusActive
		}
		o, err := anvil.ObserveAnswers(agreeing(d))
		require.NoError(t, err)
		for _, compat := range []bool{true, false} {
			r := anvil.Audit(d, o, anvil.Options{Compat: compat})
			require.Empty(t, r.Discrepancies())
			require.True(t, r.OK())
		}
	})
}

// Whatever answers are missing, each audited record is in exactly one of the
// lists that it can be in, and nothing is found that the full answers do not
// show.
func TestMissingAnswersMakeUnknownAndNeverFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, other := drawDeclared(t, "declared"), drawDeclared(t, "real")
		answers := agreeing(other)
		full, err := anvil.ObserveAnswers(answers)
		require.NoError(t, err)
		kept := slices.DeleteFunc(slices.Clone(answers), func(a anvil.Answer) bool { return rapid.IntRange(0, 3).Draw(t, a.Path) == 0 })
		part, err := anvil.ObserveAnswers(kept)
		require.NoError(t, err)

		type point struct{ model, scope, record, kind string }
		known := map[point]bool{}
		for _, x := range anvil.Audit(d, full, anvil.Options{}).Discrepancies() {
			known[point{string(x.Model), x.Scope, x.Record, x.Kind}] = true
		}
		r := anvil.Audit(d, part, anvil.Options{})
		for _, x := range r.Discrepancies() {
			require.True(t, known[point{string(x.Model), x.Scope, x.Record, x.Kind}], "%+v", x)
		}
		for _, a := range r.All() {
			require.Empty(t, a.Outcome.Aborted)
			for _, key := range a.Outcome.Verified {
				require.NotContains(t, a.Outcome.Errors, key)
				require.NotContains(t, a.Outcome.Unknown, key)
			}
		}
		for _, g := range d.ManagedGroups {
			_, wrong := r.ManagedGroups.Errors[g.Name]
			_, unknown := r.ManagedGroups.Unknown[g.Name]
			require.True(t, wrong || unknown || slices.Contains(r.ManagedGroups.Verified, g.Name), g.Name)
		}
	})
}

// otherRole is the key of an address in a group with its role swapped.
func otherRole(record string) string {
	role, email, _ := strings.Cut(record, ": ")
	other := map[string]string{"ADMIN": "MEMBER", "MEMBER": "ADMIN"}[role]
	return other + ": " + strings.ToLower(email)
}

func TestTwoSpellingsOfAnUnknownAddressAreOneResultOutsideCompatMode(t *testing.T) {
	d := readers()
	o := oneGroup(t, `["a@example.com", "X@example.com", "x@Example.com"]`)
	r := anvil.Audit(d, o, anvil.Options{})
	require.Equal(t, []string{"MEMBER: x@example.com"}, r.Memberships["readers"].NotInApp)
	require.Equal(t, "MEMBER, as X@example.com, MEMBER, as x@Example.com", r.Memberships["readers"].Discrepancies[0].Observed)
	require.Equal(t, "ValueError: Already added a result for MEMBER: x@example.com.", anvil.Audit(d, o, anvil.Options{Compat: true}).ManagedGroups.Aborted)
}

func TestOutcomeOfDefaultModeSaysWhatIsUnknown(t *testing.T) {
	d := readers()
	r := anvil.Audit(d, observe(t, sam("/api/groups/v1", 200, ourGroup), sam("/api/groups/v1/readers/admin", 200, appIn),
		sam("/api/groups/v1/readers/member", 503, `{"message":"busy"}`)), anvil.Options{Models: []anvil.Model{anvil.ModelManagedGroups}})
	data, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, `{"managed_groups": {"ok": false, "verified": [], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "beyond": {},
			"unknown": {"readers": "*: status 503: busy"}},
		"managed_group_memberships": {"readers": {"ok": false, "verified": [], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": [], "beyond": {},
			"unknown": {"*": "status 503: busy", "MEMBER: a@example.com": "status 503: busy"}}}}`, string(data))
	require.False(t, r.OK())
}

func TestCompatModeAbortsAsThePeerDoes(t *testing.T) {
	d := readers()
	for name, f := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"own class":    {409, `{"message":"conflict"}`, "AnVILAPIError409: conflict"},
		"other status": {429, `{"message":"slow down"}`, "AnVILAPIError: slow down"},
		"no body":      {502, ``, "AnVILAPIError: other error"},
		"HTML":         {500, `<html>`, "AnVILAPIError500: other error"},
		"malformed":    {200, `{}`, `NoAnswer: malformed answer: object where slice is due in field ""`},
	} {
		t.Run(name, func(t *testing.T) {
			o := observe(t, sam("/api/groups/v1", f.status, f.body))
			require.Equal(t, f.want, anvil.Audit(d, o, anvil.Options{Compat: true}).ManagedGroups.Aborted)
		})
	}
	require.Equal(t, "NoAnswer: not observed", anvil.Audit(d, anvil.NewObserved(), anvil.Options{Compat: true}).ManagedGroups.Aborted)
}

// bigWorld is 2,000 accounts, 500 groups of 20 and 400 workspaces shared with
// 10 groups each.
func bigWorld(tb testing.TB) (anvil.Declared, *anvil.Observed) {
	d := anvil.Declared{ServiceAccount: "app@example.com", BillingProjects: []anvil.BillingProject{{Name: "bp", HasAppAsUser: true}}}
	for i := range 2000 {
		d.Accounts = append(d.Accounts, anvil.Account{Email: fmt.Sprintf("user-%d@example.com", i), Status: anvil.StatusActive})
	}
	for i := range 500 {
		name := fmt.Sprintf("group-%d", i)
		d.ManagedGroups = append(d.ManagedGroups, anvil.ManagedGroup{Name: name, Email: name + "@firecloud.org", IsManagedByApp: true})
		for j := range 20 {
			d.GroupAccountMemberships = append(d.GroupAccountMemberships,
				anvil.AccountMembership{Group: name, Account: d.Accounts[(i*7+j)%2000].Email, Role: anvil.RoleMember})
		}
	}
	for i := range 400 {
		w := anvil.Workspace{BillingProject: "bp", Name: fmt.Sprintf("ws-%d", i), AppAccess: anvil.AppOwner, AuthorizationDomains: []string{d.ManagedGroups[i].Name}}
		d.Workspaces = append(d.Workspaces, w)
		for j := range 10 {
			d.WorkspaceGroupSharing = append(d.WorkspaceGroupSharing,
				anvil.Sharing{Workspace: w.Key(), Group: d.ManagedGroups[(i+j)%500].Name, Access: anvil.AccessReader})
		}
	}
	d.Normalise()
	require.NoError(tb, d.Validate(anvil.Strict))
	o, err := anvil.ObserveAnswers(agreeing(d))
	require.NoError(tb, err)
	return d, o
}

func BenchmarkAudit(b *testing.B) {
	d, o := bigWorld(b)
	// A tenth of the world has drifted, so that the way of findings is timed, too.
	for i := range 50 {
		name := d.ManagedGroups[i*10].Name
		r := o.GroupMembers[name]
		r.Value = append(slices.Clone(r.Value[1:]), "stranger@example.com")
		o.GroupMembers[name] = r
	}
	for name, compat := range map[string]bool{"default": false, "compat": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if anvil.Audit(d, o, anvil.Options{Compat: compat}).OK() {
					b.Fatal("the drift went unseen")
				}
			}
		})
	}
}
