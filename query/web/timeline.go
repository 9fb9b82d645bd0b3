package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// happenings are the kinds of what happens to characters, in the order of a filter.
func happenings() []string {
	return []string{
		"registered", "renewed", "reclaimed", "transferred", "orphaned", "disabled", "enabled", "shared", "unshared", "section_failed", "section_recovered",
		"name_changed", "corporation_changed", "alliance_changed", "location_changed", "ship_changed", "skill_trained", "skill_lost", "implants_changed", "home_changed", "jump_clones_changed",
		"wallet_changed", "contract_recorded", "contract_changed", "killmail_recorded", "roles_changed",
	}
}

// decided tells whether somebody decided something, or whether it was observed.
func decided(kind string) bool {
	switch kind {
	case "registered", "renewed", "reclaimed", "transferred", "orphaned", "disabled", "enabled", "shared", "unshared":
		return true
	default:
		return false
	}
}

// timeline tells what happened to a character, across its sections.
func (s *Site) timeline(v *visit) error {
	l := list{
		ID: "timeline", Path: apiOf(v.path("id")) + "/timeline", Limit: 50,
		Filters: []filter{
			{Name: "kind", Options: func(v *visit) []option {
				var options []option
				for _, kind := range happenings() {
					options = append(options, option{Value: kind, Text: v.Word("happened_" + kind)})
				}
				return options
			}},
			{Name: "since", Kind: "datetime"},
			{Name: "until", Kind: "datetime"},
			{Name: "min_amount"},
			orderFilter(),
		},
		Columns: []column{as(kindTime, "date", "at")},
	}
	query := v.queryOf(l)
	if format := v.param("format"); format != "" {
		return v.file(l.Path, query, format, "timeline")
	}
	content := &asked{path: l.Path, query: query}
	d, err := v.frame("timeline", content)
	if err != nil {
		return err
	}
	if content.err != nil && (!errors.As(content.err, &d.Problem) || d.Problem.Status == http.StatusUnauthorized) {
		return content.err
	}
	t := v.tableOf(l, content.got)
	d.Past, d.Table = nil, &table{Downloads: t.Downloads}
	told := story{Title: v.T("timeline.title"), ID: t.ID, Filters: t.Filters, Empty: t.Empty, Next: t.Next, First: t.First}
	for _, r := range content.got.Rows("items") {
		told.Items = append(told.Items, v.happened(r))
	}
	d.Extra = told
	return v.showTo(d.status(), "told", v.T("timeline.of", "Name", d.Character.Text("name")), d)
}

// happened is an item of the timeline.
func (v *visit) happened(r row) happening {
	kind := r.Text("kind")
	h := happening{At: r.Text("at"), Class: "observed", Kind: v.Word("happened_" + kind), Badge: badgeOfHappening(kind), Words: r.Text("words"), Event: v.event(r.Text("event_id"))}
	if decided(kind) {
		h.Class = "declared"
	}
	if section := r.Text("section"); tabOf(section) != nil {
		h.Section, h.Href = v.T("section."+section), characterPath(v.path("id"))+"/"+section
	}
	if amount := r.Text("amount"); amount != "" {
		h.Amount = v.ISK(amount)
	}
	return h
}

// badgeOfHappening is the colour of a kind.
func badgeOfHappening(kind string) string {
	switch {
	case kind == "section_failed" || kind == "orphaned" || kind == "skill_lost":
		return "bad"
	case kind == "disabled" || kind == "transferred":
		return "warn"
	case kind == "section_recovered" || kind == "enabled" || kind == "registered" || kind == "skill_trained":
		return "good"
	case strings.HasSuffix(kind, "_changed") || strings.HasSuffix(kind, "_recorded"):
		return "info"
	default:
		return "neutral"
	}
}

// ledgerData is what the page of the ledger shows.
type ledgerData struct {
	Facts   []fact
	Verdict cell
	Before  []string
	Breaks  story
	// Why is the explanation that was asked for; Since and Until are the fields of its form.
	Why          *story
	WhyTable     *table
	WhyFacts     []fact
	WhyVerdict   cell
	Since, Until string
	WhyProblem   *refusal
}

// ledger tells whether the wallet's journal accounts for the balance, where it does not and why;
// and explains the balance between two moments, or at a break.
func (s *Site) ledger(v *visit) error {
	l := list{
		ID: "ledger", Path: apiOf(v.path("id")) + "/ledger", Limit: 50, NoFiles: true,
		Filters: []filter{orderFilter()}, Keep: []string{"_since", "_until", "_entry"}, Columns: []column{as(kindTime, "date", "from")},
	}
	content := &asked{path: l.Path, query: v.queryOf(l)}
	all := []*asked{content}
	var why *asked
	if v.param("_since") != "" || v.param("_until") != "" || v.param("_entry") != "" {
		query := url.Values{}
		for _, name := range []string{"since", "until", "entry"} {
			if value := v.param("_" + name); value != "" {
				query.Set(name, instant(value))
			}
		}
		why = &asked{path: l.Path + "/explain", query: query}
		all = append(all, why)
	}
	d, err := v.frame("ledger", all...)
	if err != nil {
		return err
	}
	if content.err != nil && (!errors.As(content.err, &d.Problem) || d.Problem.Status == http.StatusUnauthorized) {
		return content.err
	}
	d.Past = nil
	r := content.got
	data := ledgerData{Since: v.param("_since"), Until: v.param("_until"), Verdict: cell{Text: v.T("ledger.continuous"), Badge: "good"}}
	if !r.Bool("continuous") {
		data.Verdict = cell{Text: v.T("ledger.broken"), Badge: "bad"}
	}
	if r.Int("entries") == 0 {
		data.Verdict = cell{Text: v.T("ledger.no-entries"), Badge: "neutral"}
	}
	data.Facts = v.facts(r, as(kindNumber, "entries", "entries"), as(kindTime, "first_entry", "first"), as(kindTime, "last_entry", "last"), as(kindISK, "opening_balance", "opening_balance"),
		as(kindISK, "income", "income"), as(kindISK, "expense", "expense"), as(kindISK, "missing_amount", "missing"), as(kindISK, "closing_balance", "closing_balance"), as(kindISK, "seen_balance", "seen_balance"), as(kindTime, "seen_at", "seen_at"))
	for _, cause := range r.Rows("before") {
		data.Before = append(data.Before, cause.Text("words"))
	}
	t := v.tableOf(l, r)
	data.Breaks = story{Title: v.T("ledger.breaks"), ID: t.ID, Filters: t.Filters, Empty: t.Empty, Next: t.Next, First: t.First}
	for _, b := range r.Rows("items") {
		data.Breaks.Items = append(data.Breaks.Items, v.breakOf(b))
	}
	if why != nil {
		if why.err != nil && !errors.As(why.err, &data.WhyProblem) {
			return why.err
		}
		v.explainBalance(&data, why.got)
	}
	d.Extra = data
	return v.showTo(d.status(), "ledger", v.T("ledger.of", "Name", d.Character.Text("name")), d)
}

// breakOf tells a break of the ledger, with its causes.
func (v *visit) breakOf(r row) happening {
	h := happening{At: r.Text("from"), Class: "observed", Kind: v.Word("break_" + r.Text("kind")), Badge: "bad", Words: r.Text("words"), Amount: v.ISK(r.Text("difference"))}
	for _, cause := range r.Rows("causes") {
		h.Notes = append(h.Notes, cause.Text("words"))
	}
	if entry := r.Text("entry_after"); entry != "" {
		h.Section, h.Href = v.T("ledger.explain-break"), v.address("_entry", entry, "_since", "", "_until", "", "cursor", "")+"#why"
	}
	return h
}

// explainBalance fills in why the balance is what it is.
func (v *visit) explainBalance(data *ledgerData, r row) {
	if data.WhyProblem != nil {
		return
	}
	verdict := r.Text("verdict")
	data.WhyVerdict = cell{Text: v.Word(verdict), Badge: badgeOf(verdict)}
	data.Why = v.explained(r)
	data.WhyFacts = v.facts(r, as(kindISK, "opening_balance", "opening_balance"), as(kindISK, "income", "income"), as(kindISK, "expense", "expense"), as(kindISK, "missing_amount", "missing"), as(kindISK, "closing_balance", "closing_balance"))
	if len(r.Rows("types")) > 0 {
		data.WhyTable = v.tableOf(list{ID: "ledger-types", Items: "types", NoFiles: true, Columns: []column{as(kindWord, "ref_type", "ref_type"), as(kindNumber, "entries", "entries"), as(kindISK, "sum", "sum")}}, r)
	}
}
