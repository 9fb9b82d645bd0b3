package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sweepsData is what the page of sweeps shows.
type sweepsData struct {
	Head  consortiumHead
	Table *table
	// Shown is a sweep as a whole: the one that was asked for, or that the address names.
	Shown  []fact
	Unseen *table
	Form   sweepForm
}

// sweepForm has AnVIL asked.
type sweepForm struct {
	Action             string
	Models             []option
	Groups, Workspaces string
	Problem            *refusal
}

// sweepFacts are what is said of one sweep.
func sweepFacts() []column {
	return []column{
		{Name: "anvil.started-at", Field: "started_at", Kind: kindTime},
		{Name: "anvil.took", Cell: tookCell},
		{Name: "anvil.about", Cell: sweepAbout},
		{Name: "anvil.covered", Kind: kindNumber, Cell: coveredCell},
		{Name: "anvil.calls", Field: "calls", Kind: kindNumber},
		{Name: "anvil.retries", Field: "retries", Kind: kindNumber},
		{Name: "anvil.news", Field: "observed", Kind: kindNumber},
		{Name: "anvil.unseen", Field: "unseen_count", Kind: kindNumber},
	}
}

// tookCell is how long a sweep took; else that it has not come to its end.
func tookCell(v *visit, r row) cell {
	from, ok := moment(r.Text("started_at"))
	until, done := moment(r.Text("completed_at"))
	if !ok || !done {
		return cell{Text: v.T("anvil.sweep.not-ended"), Badge: "warn"}
	}
	return cell{Text: v.Span(until.Sub(from).Round(time.Second))}
}

// sweepAbout is what a sweep was about.
func sweepAbout(v *visit, r row) cell {
	if some := append(r.Texts("groups"), r.Texts("workspaces")...); len(some) > 0 {
		return cell{Text: v.T("anvil.sweep.only", "Names", strings.Join(some, ", "))}
	}
	of := r.Texts("models")
	if len(of) == 0 {
		return cell{}
	}
	if len(of) == 4 {
		return cell{Text: v.T("anvil.sweep.whole")}
	}
	var texts []string
	for _, m := range of {
		texts = append(texts, v.Term(m))
	}
	return cell{Text: strings.Join(texts, ", ")}
}

// coveredCell is how many records of which kinds a sweep has read.
func coveredCell(v *visit, r row) cell {
	kinds := r.Row("covered")
	var sum int64
	var texts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		sum += kinds.Int(kind)
		texts = append(texts, v.Term(kind)+" "+v.Number(textOf(kinds[kind])))
	}
	if sum == 0 {
		return cell{Class: "num"}
	}
	return cell{Text: v.Number(sum), Title: strings.Join(texts, ", "), Class: "num"}
}

// unseen lists what a sweep could not read; nil if it read everything.
func (v *visit) unseen(sweep row) *table {
	if len(sweep.Rows("unseen")) == 0 {
		return nil
	}
	return v.tableOf(list{ID: "anvil-unseen", NoFiles: true, Items: "unseen", Columns: []column{
		term("anvil.record-kind", "kind"), {Name: "record", Field: "name"}, {Name: "anvil.why", Field: "cause"},
	}}, sweep)
}

// sweeps lists the sweeps of a consortium.
func (s *Site) sweeps(v *visit) error { return s.showSweeps(v, nil) }

// showSweeps shows the sweeps, and what is wrong with what was asked for.
func (s *Site) showSweeps(v *visit, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	data := sweepsData{Head: v.consortiumHead("sweeps")}
	shown := v.param("sweep")
	var rows []row
	l := list{ID: "anvil-sweeps", Path: consortiumAPI(name, "sweeps"), Limit: 50, Class: func(r row) string {
		if r.Text("sweep_id") == shown {
			return "group"
		}
		return ""
	}, Columns: append([]column{{Name: "anvil.started-at", Cell: func(v *visit, r row) cell {
		return cell{Text: v.Time(r.Text("started_at")), Href: v.address("sweep", r.Text("sweep_id")), Class: "when"}
	}}}, sweepFacts()[1:]...)}
	t, answered, err := v.list(l)
	if err != nil {
		return err
	}
	data.Table, rows = t, answered.Rows("items")
	for _, r := range rows {
		if r.Text("sweep_id") == shown {
			data.Shown, data.Unseen = v.facts(r, sweepFacts()...), v.unseen(r)
			data.Shown = append(data.Shown, v.coverage(r)...)
		}
	}
	data.Form = sweepForm{Action: consortiumPath(name, "sweeps"), Problem: problem, Groups: v.posted("groups"), Workspaces: v.posted("workspaces")}
	for _, m := range []string{"billing_projects", "accounts", "managed_groups", "workspaces"} {
		data.Form.Models = append(data.Form.Models, option{Value: m, Text: v.Term(m), Chosen: slices.Contains(v.r.Form["models"], m)})
	}
	return v.formPage("anvil_sweeps", v.T("anvil.sweep.title"), data, problem)
}

// coverage are the records that a sweep has read, kind by kind.
func (v *visit) coverage(sweep row) []fact {
	kinds := sweep.Row("covered")
	var facts []fact
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		facts = append(facts, fact{Name: v.Term(kind), Cell: cell{Text: v.Number(textOf(kinds[kind]))}})
	}
	return facts
}

// sweepNow has AnVIL asked, and shows what came of it.
func (s *Site) sweepNow(v *visit) (string, error) {
	name := v.path("consortium")
	query := url.Values{}
	for field, values := range map[string][]string{"models": v.r.Form["models"], "groups": namesIn(v.posted("groups")), "workspaces": namesIn(v.posted("workspaces"))} {
		if len(values) > 0 {
			query.Set(field, strings.Join(values, ","))
		}
	}
	swept, err := v.send(http.MethodPost, consortiumAPI(name, "sweeps"), query, nil)
	if problem := atForm(err); problem != nil {
		return "", s.showSweeps(v, problem)
	}
	if err != nil {
		return "", err
	}
	done := "anvil-swept"
	if !swept.Has("completed_at") {
		done = "anvil-sweeping"
	}
	return consortiumPath(name, "sweeps") + "?sweep=" + url.QueryEscape(swept.Text("sweep_id")) + "&done=" + done, nil
}
