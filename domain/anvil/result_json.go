package anvil

import (
	"encoding/json"
	"fmt"
	"slices"
)

// UnmarshalJSON reads what [Outcome.MarshalJSON] writes. What an outcome of
// default mode had to say about each error is not part of that; see
// [Result.Explain].
func (o *Outcome) UnmarshalJSON(data []byte) error {
	var read struct {
		Aborted          string              `json:"aborted"`
		Verified         []string            `json:"verified"`
		Errors           map[string][]string `json:"errors"`
		NotInApp         []string            `json:"not_in_app"`
		Ignored          []string            `json:"ignored"`
		IgnoredUnmatched []string            `json:"ignored_unmatched"`
		Beyond           map[string][]string `json:"beyond"`
		Unknown          map[string]string   `json:"unknown"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("reading the outcome of an audit: %w", err)
	}
	*o = Outcome{
		Aborted: read.Aborted, Verified: read.Verified, Errors: read.Errors, NotInApp: read.NotInApp,
		Ignored: read.Ignored, IgnoredUnmatched: read.IgnoredUnmatched, Beyond: read.Beyond, Unknown: read.Unknown,
	}
	return nil
}

// Explain gives a result that was read from JSON its discrepancies back, each to
// the outcome that it is of. Those of audits that the result does not hold are
// left out.
func (r *Result) Explain(discrepancies []Discrepancy) {
	for _, d := range discrepancies {
		if o := r.outcome(d.Model, d.Scope); o != nil {
			o.Discrepancies = append(o.Discrepancies, d)
		}
	}
}

// Failing is the part of the result that is not ok: the audits that found
// something wrong or did not see everything. The outcomes are shared with r.
func (r *Result) Failing() *Result {
	failing := func(o *Outcome) *Outcome {
		if o == nil || o.OK() {
			return nil
		}
		return o
	}
	scoped := func(all map[string]*Outcome) map[string]*Outcome {
		var some map[string]*Outcome
		for scope, o := range all {
			if failing(o) == nil {
				continue
			}
			if some == nil {
				some = map[string]*Outcome{}
			}
			some[scope] = o
		}
		return some
	}
	return &Result{
		BillingProjects: failing(r.BillingProjects), Accounts: failing(r.Accounts), ManagedGroups: failing(r.ManagedGroups), Workspaces: failing(r.Workspaces),
		Memberships: scoped(r.Memberships), Sharing: scoped(r.Sharing),
	}
}

// Of is the part of the result that is of one audit, with the sub-audits that
// belong to it. The outcomes are shared with r.
func (r *Result) Of(m Model) *Result {
	switch m {
	case ModelBillingProjects:
		return &Result{BillingProjects: r.BillingProjects}
	case ModelAccounts:
		return &Result{Accounts: r.Accounts}
	case ModelManagedGroups, ModelMemberships:
		return &Result{ManagedGroups: r.ManagedGroups, Memberships: r.Memberships}
	case ModelWorkspaces, ModelSharing:
		return &Result{Workspaces: r.Workspaces, Sharing: r.Sharing}
	default:
		return &Result{}
	}
}

// Models are the audits that the result holds, sub-audits aside, in the order of
// [Models].
func (r *Result) Models() []Model {
	return slices.DeleteFunc(slices.Clone(Models()), func(m Model) bool { return r.outcome(m, "") == nil })
}
