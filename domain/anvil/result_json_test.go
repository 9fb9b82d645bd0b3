package anvil_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// drawOutcome draws what an audit may come to.
func drawOutcome(t *rapid.T, label string, m anvil.Model, scope string) *anvil.Outcome {
	records := rapid.SliceOfN(rapid.StringMatching(`[a-z*]{1,3}`), 0, 3)
	o := &anvil.Outcome{
		Errors: map[string][]string{}, Verified: records.Draw(t, label+" verified"), NotInApp: records.Draw(t, label+" not in app"),
		Ignored: records.Draw(t, label+" ignored"), IgnoredUnmatched: records.Draw(t, label+" unmatched"),
	}
	if rapid.Bool().Draw(t, label+" default mode") {
		o.Unknown = rapid.MapOfN(rapid.StringMatching(`[a-z]{1,3}`), rapid.StringMatching(`[ -~]{0,9}`), 0, 2).Draw(t, label+" unknown")
	} else if rapid.Bool().Draw(t, label+" aborted") {
		return &anvil.Outcome{Aborted: "AnVILAPIError500: down"}
	}
	for _, record := range records.Draw(t, label+" wrong") {
		o.Errors[record] = append(o.Errors[record], anvil.ErrNotInAnVIL)
		o.Discrepancies = append(o.Discrepancies, anvil.Discrepancy{Model: m, Scope: scope, Record: record, Kind: anvil.ErrNotInAnVIL, Expected: "e", Observed: "o"})
	}
	return o
}

func drawResult(t *rapid.T) *anvil.Result {
	r := &anvil.Result{}
	if rapid.Bool().Draw(t, "accounts are audited") {
		r.Accounts = drawOutcome(t, "accounts", anvil.ModelAccounts, "")
	}
	if rapid.Bool().Draw(t, "groups are audited") {
		r.ManagedGroups = drawOutcome(t, "groups", anvil.ModelManagedGroups, "")
		r.Memberships = map[string]*anvil.Outcome{}
		for _, scope := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,2}`), 0, 3, rapid.ID[string]).Draw(t, "scopes") {
			r.Memberships[scope] = drawOutcome(t, "members of "+scope, anvil.ModelMemberships, scope)
		}
	}
	return r
}

func TestAResultThatWasWrittenCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawResult(t)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		var again anvil.Result
		require.NoError(t, json.Unmarshal(text, &again))
		again.Explain(r.Discrepancies())
		require.Equal(t, r.Discrepancies(), again.Discrepancies())
		require.Equal(t, r.OK(), again.OK())
		twice, err := json.Marshal(&again)
		require.NoError(t, err)
		require.JSONEq(t, string(text), string(twice))
	})
}

func TestWhatFailsIsTheRestOfWhatDoesNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawResult(t)
		failing := r.Failing()
		require.Equal(t, r.OK(), len(failing.All()) == 0)
		kept := 0
		for _, a := range r.All() {
			if !a.Outcome.OK() {
				require.Equal(t, a, failing.All()[kept], "in the same order")
				kept++
			}
		}
		require.Len(t, failing.All(), kept)
		var parts []anvil.Audited
		for _, m := range r.Models() {
			parts = append(parts, r.Of(m).All()...)
		}
		require.Equal(t, r.All(), parts, "its audits are the whole of a result")
	})
}

func FuzzReadingAnOutcome(f *testing.F) {
	f.Add([]byte(`{"ok": true, "verified": ["a"], "errors": {}, "not_in_app": [], "ignored": [], "ignored_unmatched": []}`))
	f.Add([]byte(`{"aborted": "AnVILAPIError500: down"}`))
	f.Add([]byte(`{"errors": {"a": ["x", "x"]}, "unknown": {"*": "not observed"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o anvil.Outcome
		if json.Unmarshal(data, &o) != nil {
			return
		}
		text, err := json.Marshal(&o)
		require.NoError(t, err)
		var again anvil.Outcome
		require.NoError(t, json.Unmarshal(text, &again))
		require.Equal(t, o.OK(), again.OK())
	})
}

func TestSeveritiesAreRanked(t *testing.T) {
	all := anvil.Severities()
	for i, s := range all {
		for j, threshold := range all {
			require.Equal(t, i <= j, s.AtLeast(threshold), "%s of %s", s, threshold)
		}
		require.False(t, s.AtLeast(""))
		require.False(t, anvil.Severity("").AtLeast(s))
		parsed, err := anvil.ParseSeverity(string(s))
		require.NoError(t, err)
		require.Equal(t, s, parsed)
	}
	_, err := anvil.ParseSeverity("grave")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "high medium low")
	require.Equal(t, anvil.SeverityHigh, anvil.Discrepancy{Model: anvil.ModelSharing, Kind: anvil.NotInApp}.Severity())
}

func TestModelsHaveTheNamesOfThePeer(t *testing.T) {
	models, err := anvil.ParseModels([]string{"Workspace", "BillingProject", "workspaces", "Account", "ManagedGroup"})
	require.NoError(t, err)
	require.Equal(t, []anvil.Model{anvil.ModelWorkspaces, anvil.ModelBillingProjects, anvil.ModelAccounts, anvil.ModelManagedGroups}, models)
	for _, name := range []string{"", "workspace", "Workspaces", "ManagedGroupMembership"} {
		_, err := anvil.ParseModels([]string{name})
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), name)
	}
}
