package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// auditQuery is what an audit's page asks for by its own parameters.
func (v *visit) auditQuery(models ...string) url.Values {
	query := v.momentQuery()
	if v.param("compat") == "true" {
		query.Set("compat", "true")
	}
	if len(models) > 0 {
		query.Set("models", strings.Join(models, ","))
	}
	return query
}

// auditForm lets one choose how and of when to audit.
type auditForm struct {
	Action, AsOf string
	Compat       bool
	// Reports are the same as a document.
	Reports []navLink
	// Run is what a sweep is asked for, before it is audited again.
	Run []option
	// RunAction is where that goes to, Back where one comes back to.
	RunAction, Back string
}

// auditForm makes the form of an audit's page; run is what is to be asked of AnVIL.
func (v *visit) auditForm(query url.Values, run ...option) auditForm {
	name := v.path("consortium")
	report := consortiumAPI(name, "audits")
	if len(query) > 0 {
		report += "?" + query.Encode()
	}
	return auditForm{
		Action: v.r.URL.Path, AsOf: v.param("as_of"), Compat: v.param("compat") == "true", Reports: []navLink{{Text: v.T("anvil.audit.report"), Href: report}},
		Run: run, RunAction: consortiumPath(name, "audits"), Back: v.r.URL.Path,
	}
}

// auditsData is what the page of all audits shows.
type auditsData struct {
	Head    consortiumHead
	Form    auditForm
	Facts   []fact
	Table   *table
	RunsURL string
}

// outcomesOf are an audit's outcomes of one model, one for each group or workspace of
// memberships and sharing.
func outcomesOf(result row, model string) map[string]row {
	if model != "managed_group_memberships" && model != "workspace_sharing" {
		if o := result.Row(model); o != nil {
			return map[string]row{"": o}
		}
		return nil
	}
	all := map[string]row{}
	for scope := range result.Row(model) {
		object, _ := result.Row(model)[scope].(map[string]any)
		all[scope] = object
	}
	return all
}

// countOf is a count as the API has it.
func countOf(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// tally counts what outcomes hold.
func tally(all map[string]row) row {
	n := map[string]int64{}
	ok, aborted := true, ""
	for _, scope := range slices.Sorted(maps.Keys(all)) {
		o := all[scope]
		if text := o.Text("aborted"); text != "" {
			aborted, ok = text, false
			continue
		}
		ok = ok && o.Bool("ok")
		for _, part := range []string{"verified", "not_in_app", "ignored", "ignored_unmatched"} {
			n[part] += int64(len(o.Texts(part)))
		}
		for _, part := range []string{"errors", "beyond", "unknown"} {
			n[part] += int64(len(o.Row(part)))
		}
	}
	made := row{"ok": ok, "aborted": aborted}
	for part, count := range n {
		made[part] = countOf(count)
	}
	return made
}

// tallyColumns are the counts of an audit in the peer's terms.
func tallyColumns() []column {
	return []column{
		{Name: "anvil.outcome", Cell: func(v *visit, r row) cell {
			switch {
			case r.Text("aborted") != "":
				return cell{Text: v.T("anvil.outcome.aborted"), Title: r.Text("aborted"), Badge: "bad"}
			case r.Bool("ok"):
				return cell{Text: v.T("anvil.outcome.ok"), Badge: "good"}
			default:
				return cell{Text: v.T("anvil.outcome.problems"), Badge: "bad"}
			}
		}},
		{Name: "anvil.verified", Field: "verified", Kind: kindNumber},
		{Name: "anvil.errors", Field: "errors", Kind: kindNumber},
		{Name: "anvil.not-in-app", Field: "not_in_app", Kind: kindNumber},
		{Name: "anvil.beyond", Field: "beyond", Kind: kindNumber},
		{Name: "anvil.unknown", Field: "unknown", Kind: kindNumber},
		{Name: "anvil.ignored", Field: "ignored", Kind: kindNumber},
	}
}

// auditFacts say on what an audit rests.
func (v *visit) auditFacts(answered row) []fact {
	return v.facts(answered,
		column{Name: "anvil.outcome", Cell: func(v *visit, r row) cell {
			if r.Bool("ok") {
				return cell{Text: v.T("anvil.outcome.ok"), Badge: "good"}
			}
			return cell{Text: v.T("anvil.outcome.problems"), Badge: "bad"}
		}},
		column{Name: "anvil.swept-at", Cell: func(v *visit, r row) cell {
			if !r.Has("swept_at") {
				return cell{Text: v.T("anvil.never-swept"), Badge: "warn"}
			}
			return cell{Text: v.Time(r.Text("swept_at")), Time: r.Text("swept_at")}
		}},
	)
}

// audits shows what all audits come to.
func (s *Site) audits(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	query := v.auditQuery()
	answered, err := v.get(consortiumAPI(name, "audits"), query)
	if err != nil {
		return err
	}
	var rows []any
	for _, m := range anvilModels() {
		all := outcomesOf(answered.Row("result"), m)
		if len(all) == 0 {
			continue
		}
		r := tally(all)
		r["model"] = m
		rows = append(rows, map[string]any(r))
	}
	keep := ""
	if v.r.URL.RawQuery != "" {
		keep = "?" + v.auditQuery().Encode()
	}
	columns := append([]column{{Name: "model", Cell: func(v *visit, r row) cell {
		return cell{Text: v.Term(r.Text("model")), Href: auditPath(name, r.Text("model")) + keep}
	}}}, tallyColumns()...)
	t := v.tableOf(list{ID: "anvil-outcomes", NoFiles: true, Columns: columns}, row{"items": rows})
	t.Sortable = false
	return v.show("anvil_audits", v.T("anvil.audit.title"), auditsData{
		Head: v.consortiumHead("audits"), Form: v.auditForm(query, option{Value: "", Text: v.T("anvil.audit.run-all")}), Facts: v.auditFacts(answered), Table: t, RunsURL: consortiumPath(name, "audits", "runs"),
	})
}

// outcomeData is what the page of one audit shows.
type outcomeData struct {
	Head      consortiumHead
	Form      auditForm
	Facts     []fact
	Aborted   string
	Tables    []*table
	Verified  *table
	Scopes    *table
	AccessURL string
}

// auditOfModel shows one audit of all records of a model.
func (s *Site) auditOfModel(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name, model := v.path("consortium"), v.path("model")
	sub := map[string]string{"managed_groups": "managed_group_memberships", "workspaces": "workspace_sharing"}[model]
	query := v.auditQuery(model)
	answered, err := v.get(consortiumAPI(name, "audits"), query)
	if err != nil {
		return err
	}
	outcome := answered.Row("result").Row(model)
	if outcome == nil {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.audit.no-model", "Model", model)}
	}
	data := v.outcome(answered, model, "", outcome)
	data.Form = v.auditForm(query, option{Value: "models=" + model, Text: v.T("anvil.audit.run")})
	if scopes := outcomesOf(answered.Row("result"), sub); len(scopes) > 0 {
		data.Scopes = v.scopes(name, model, sub, scopes)
	}
	return v.show("anvil_outcome", v.T("anvil.audit.of", "Model", v.Term(model)), data)
}

// scopes is a table of the memberships of each group, or of the sharing of each workspace:
// those first with which something is wrong.
func (v *visit) scopes(name, model, sub string, all map[string]row) *table {
	var wrong, right []any
	for _, scope := range slices.Sorted(maps.Keys(all)) {
		r := tally(map[string]row{"": all[scope]})
		r["scope"] = scope
		if r.Bool("ok") {
			right = append(right, map[string]any(r))
		} else {
			wrong = append(wrong, map[string]any(r))
		}
	}
	keep := ""
	if query := v.auditQuery(); len(query) > 0 {
		keep = "?" + query.Encode()
	}
	columns := append([]column{{Name: "anvil.scope", Cell: func(_ *visit, r row) cell {
		made := cell{Text: r.Text("scope"), Href: consortiumPath(name, "audits", model, r.Text("scope")) + keep}
		if model == "workspaces" {
			made.Href = workspacePath(consortiumPath(name, "audits", model), r.Text("scope")) + keep
		}
		return made
	}}}, tallyColumns()...)
	return v.tableOf(list{ID: "anvil-" + sub, NoFiles: true, Columns: columns}, row{"items": append(wrong, right...)})
}

// auditOfGroup shows the audit of who is in one group.
func (s *Site) auditOfGroup(v *visit) error {
	group := v.path("group")
	return s.auditOfScope(v, "managed_groups", "managed_group_memberships", group, option{Value: "groups=" + group, Text: v.T("anvil.audit.run-group")})
}

// auditOfWorkspace shows the audit of with whom one workspace is shared.
func (s *Site) auditOfWorkspace(v *visit) error {
	key := v.path("project") + "/" + v.path("name")
	return s.auditOfScope(v, "workspaces", "workspace_sharing", key, option{Value: "workspaces=" + key, Text: v.T("anvil.audit.run-workspace")})
}

func (s *Site) auditOfScope(v *visit, model, sub, scope string, run option) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	query := v.auditQuery(model)
	answered, err := v.get(consortiumAPI(name, "audits"), query)
	if err != nil {
		return err
	}
	outcome := outcomesOf(answered.Row("result"), sub)[scope]
	whole := answered.Row("result").Row(model)
	if outcome == nil {
		// Not audited by itself: the service account may not read it, or nobody declared it.
		outcome = row{"ok": false, "unknown": map[string]any{scope: v.T("anvil.audit.not-by-itself")}}
	}
	data := v.outcome(answered, sub, scope, outcome)
	data.Head.Up = navLink{Text: v.T("anvil.audit.of", "Model", v.Term(model)), Href: consortiumPath(name, "audits", model)}
	data.Form = v.auditForm(query, run)
	// What is wrong with the group or workspace itself stands before who is in it.
	own := v.outcome(answered, model, "", only(whole, scope))
	for _, t := range own.Tables {
		t.Caption = v.T("anvil.audit.itself", "What", t.Caption)
		t.ID += "-itself"
	}
	data.Tables = append(own.Tables, data.Tables...)
	if model == "workspaces" {
		data.AccessURL = workspacePath(consortiumPath(name, "access", "workspaces"), scope)
	}
	return v.show("anvil_outcome", scope, data)
}

// only is the part of an outcome that is of one record.
func only(outcome row, record string) row {
	part := row{}
	for _, name := range []string{"errors", "beyond", "unknown"} {
		if value := outcome.Row(name)[record]; value != nil {
			part[name] = map[string]any{record: value}
		}
	}
	return part
}

// outcome shows the outcome of one audit in the peer's terms.
func (v *visit) outcome(answered row, model, scope string, outcome row) outcomeData {
	name := v.path("consortium")
	data := outcomeData{Head: v.consortiumHead("audits"), Aborted: outcome.Text("aborted")}
	data.Head.Up = navLink{Text: v.T("anvil.audit.title"), Href: consortiumPath(name, "audits")}
	summed := tally(map[string]row{"": outcome})
	data.Facts = append(v.facts(summed, tallyColumns()...), v.auditFacts(answered)[1:]...)
	differences := map[string][]row{}
	for _, d := range answered.Rows("discrepancies") {
		if d.Text("model") == model && d.Text("scope") == scope {
			differences[d.Text("record")] = append(differences[d.Text("record")], d)
		}
	}
	// What explains a text of a record: expected, observed, severity and the finding.
	explain := func(record, kind string) row {
		for _, d := range differences[record] {
			if d.Text("kind") == kind {
				return d
			}
		}
		return row{"record": record, "kind": kind}
	}
	texts := func(part string) []any {
		var rows []any
		for _, record := range slices.Sorted(maps.Keys(outcome.Row(part))) {
			for _, text := range (row{"texts": outcome.Row(part)[record]}).Texts("texts") {
				rows = append(rows, map[string]any(explain(record, text)))
			}
		}
		return rows
	}
	plain := func(part string) []any {
		var rows []any
		for _, record := range outcome.Texts(part) {
			rows = append(rows, map[string]any{"record": record})
		}
		return rows
	}
	var strangers, unknown []any
	for _, record := range outcome.Texts("not_in_app") {
		strangers = append(strangers, map[string]any(explain(record, "not_in_app")))
	}
	for _, record := range slices.Sorted(maps.Keys(outcome.Row("unknown"))) {
		unknown = append(unknown, map[string]any{"record": record, "cause": textOf(outcome.Row("unknown")[record])})
	}
	record := v.auditRecord(name, model)
	severity := column{Name: "severity", Field: "severity", Kind: kindBadge}
	sides := []column{{Name: "expected", Field: "expected"}, {Name: "observed", Field: "observed"}}
	add := func(id string, rows []any, columns ...column) {
		if len(rows) > 0 {
			data.Tables = append(data.Tables, v.tableOf(list{ID: id, NoFiles: true, Columns: columns}, row{"items": rows}))
		}
	}
	add("anvil-errors", texts("errors"), append([]column{record, {Name: "wrong", Field: "kind"}, severity}, sides...)...)
	add("anvil-not-in-app", strangers, append([]column{record, severity}, sides...)...)
	add("anvil-beyond", texts("beyond"), append([]column{record, {Name: "wrong", Field: "kind"}, severity}, sides...)...)
	add("anvil-unknown", unknown, record, column{Name: "anvil.why", Field: "cause"})
	add("anvil-ignored", plain("ignored"), record)
	add("anvil-ignored-unmatched", plain("ignored_unmatched"), record)
	if rows := plain("verified"); len(rows) > 0 {
		data.Verified = v.tableOf(list{ID: "anvil-verified", NoFiles: true, Columns: []column{record}}, row{"items": rows})
	}
	return data
}

// auditRecord is the column of the record of an audit, which leads to its finding, or to what
// it is about.
func (v *visit) auditRecord(name, model string) column {
	return column{Name: "record", Cell: func(_ *visit, r row) cell {
		made := cell{Text: r.Text("record")}
		switch {
		case r.Text("finding_id") != "" && v.param("as_of") == "":
			made.Href = consortiumPath(name, "findings", r.Text("finding_id"))
		case model == "managed_groups":
			made.Href = consortiumPath(name, "audits", "managed_groups", made.Text)
		case model == "workspaces" && strings.Contains(made.Text, "/"):
			made.Href = workspacePath(consortiumPath(name, "audits", "workspaces"), made.Text)
		case model == "accounts":
			made.Href = consortiumPath(name, "access", "accounts", made.Text)
		}
		return made
	}}
}

// auditNow has AnVIL asked about what an audit's page shows, and comes back to it.
func (s *Site) auditNow(v *visit) (string, error) {
	name := v.path("consortium")
	query, err := url.ParseQuery(v.posted("run"))
	if err != nil {
		return "", err
	}
	if _, err := v.send(http.MethodPost, consortiumAPI(name, "sweeps"), query, nil); err != nil {
		return "", err
	}
	return v.back(consortiumPath(name, "audits"), "anvil-audited"), nil
}

// auditRuns lists what each audit came to.
func (s *Site) auditRuns(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	t, _, err := v.list(list{
		ID: "anvil-runs", Path: "/v1/analytics/anvil/audits/runs", Query: url.Values{"consortium": {name}},
		Filters: []filter{{Name: "model", Options: terms(anvilModels()...)}, {Name: "from", Label: "anvil.filter.from", Kind: "datetime"}, {Name: "to", Label: "anvil.filter.to", Kind: "datetime"}},
		Columns: []column{
			{Name: "anvil.at", Field: "audited_at", Kind: kindTime},
			term("model", "model"),
			{Name: "anvil.because", Cell: func(v *visit, r row) cell {
				if id := r.Text("sweep_id"); id != "" {
					return cell{Text: v.T("anvil.because.sweep"), Href: consortiumPath(name, "sweeps") + "?sweep=" + url.QueryEscape(id)}
				}
				return cell{Text: v.T("anvil.because.declared")}
			}},
			{Name: "anvil.verified-percent", Field: "verified_percent_floor_2", Kind: kindPercent},
			{Name: "anvil.verified", Field: "verified", Kind: kindNumber},
			{Name: "anvil.audited", Field: "audited", Kind: kindNumber},
			{Name: "anvil.errors", Field: "errors", Kind: kindNumber},
			{Name: "anvil.not-in-app", Field: "not_in_app", Kind: kindNumber},
			{Name: "anvil.beyond", Field: "beyond", Kind: kindNumber},
			{Name: "anvil.unknown", Field: "unknown", Kind: kindNumber},
			{Name: "anvil.ignored", Field: "ignored", Kind: kindNumber},
			{Name: "anvil.event", Cell: func(_ *visit, r row) cell { return eventCell(r.Text("event_id")) }},
		},
	})
	if err != nil {
		return err
	}
	head := v.consortiumHead("audits")
	head.Up = navLink{Text: v.T("anvil.audit.title"), Href: consortiumPath(name, "audits")}
	return v.show("anvil_list", v.T("anvil.runs.title"), consortiumList{Head: head, Intro: v.T("anvil.runs.intro"), Table: t})
}
