package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// declaredRows is how many declared records one page has.
const declaredRows = 200

// declaredData is what the pages of the declared state show.
type declaredData struct {
	Head  consortiumHead
	Facts []fact
	// Kinds are the kinds of records, with how many there are.
	Kinds []navLink
	Table *table
	// Kind is the one that is shown; New is where one declares another.
	Kind, New    string
	Search, AsOf string
	Action       string
	File, Import string
}

// declaredHead is what all pages of the declared state have.
func (v *visit) declaredHead(here string, declared row) declaredData {
	name := v.path("consortium")
	data := declaredData{
		Head: v.consortiumHead("declared"), Search: v.param("q"), AsOf: v.param("as_of"), Action: v.r.URL.Path, Kind: here,
		File: consortiumPath(name, "declaration"), Import: consortiumPath(name, "import"),
	}
	keep := url.Values{}
	for _, parameter := range []string{"q", "as_of"} {
		if value := v.param(parameter); value != "" {
			keep.Set(parameter, value)
		}
	}
	for _, k := range recordKinds() {
		n := 0
		for _, r := range declared.Rows(k.List) {
			if data.Search == "" || k.matches(r, data.Search) {
				n++
			}
		}
		link := navLink{Text: v.T("anvil.records."+k.List) + " (" + v.Number(n) + ")", Href: consortiumPath(name, "declared", k.List), Here: k.List == here}
		if len(keep) > 0 {
			link.Href += "?" + keep.Encode()
		}
		data.Kinds = append(data.Kinds, link)
	}
	data.Facts = v.facts(declared, column{Name: "anvil.service-account", Field: "service_account"})
	return data
}

// declared shows what is declared, kind by kind: the first that has what is looked for.
func (s *Site) declared(v *visit) error {
	return s.showDeclared(v, "")
}

// declaredOfKind shows the declared records of a kind.
func (s *Site) declaredOfKind(v *visit) error {
	return s.showDeclared(v, v.path("kind"))
}

func (s *Site) showDeclared(v *visit, list string) error {
	if err := v.whoami(); err != nil {
		return err
	}
	declared, err := v.get(consortiumAPI(v.path("consortium"), "declared"), v.momentQuery())
	if err != nil {
		return err
	}
	if list == "" {
		list = firstWith(declared, v.param("q"))
	}
	kind, ok := recordKindOf(list)
	if !ok {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.declared.no-kind", "Kind", list)}
	}
	data := v.declaredHead(list, declared)
	if data.Head.MayDeclare && data.AsOf == "" {
		data.New = consortiumPath(v.path("consortium"), "declared", list, "record")
	}
	data.Table = v.declaredTable(kind, declared, data)
	return v.show("anvil_declared", v.T("anvil.declared.title"), data)
}

// firstWith is the first kind that has a record with a text.
func firstWith(declared row, text string) string {
	for _, k := range recordKinds() {
		if slices.ContainsFunc(declared.Rows(k.List), func(r row) bool { return k.matches(r, text) }) {
			return k.List
		}
	}
	return recordKinds()[0].List
}

// declaredTable lists the declared records of a kind, as they are looked for.
func (v *visit) declaredTable(kind recordKind, declared row, data declaredData) *table {
	name := v.path("consortium")
	var rows []any
	for _, r := range declared.Rows(kind.List) {
		if data.Search == "" || kind.matches(r, data.Search) {
			rows = append(rows, map[string]any(r))
		}
	}
	from, _ := strconv.Atoi(v.param("from_row"))
	from = max(0, min(from, len(rows)))
	until := min(len(rows), from+declaredRows)
	var columns []column
	for _, f := range kind.Fields {
		columns = append(columns, column{Name: "anvil.field." + f.Field, Cell: func(v *visit, r row) cell {
			made := v.fieldCell(f, r)
			made.Href = recordHref(name, kind.List, f.Field, r)
			return made
		}})
	}
	if data.New != "" {
		columns = append(columns, column{Name: "anvil.edit", Cell: func(v *visit, r row) cell {
			return cell{Text: v.T("anvil.declared.change"), Href: recordPath(name, kind, r)}
		}})
	}
	t := v.tableOf(list{ID: "anvil-declared", NoFiles: true, Columns: columns}, row{"items": rows[from:until]})
	t.Caption, t.Total = v.T("anvil.records."+kind.List), v.Number(len(rows))
	t.Sortable = len(rows) == until-from
	if until < len(rows) {
		t.Next = v.address("from_row", strconv.Itoa(until))
	}
	if from > 0 {
		t.First = v.address("from_row", "")
	}
	return t
}

// recordHref leads from a field of a declared record to what is known of it.
func recordHref(name, list, field string, r row) string {
	switch {
	case list == "accounts" && field == "email":
		return consortiumPath(name, "access", "accounts", r.Text("email"))
	case list == "managed_groups" && field == "name":
		return consortiumPath(name, "audits", "managed_groups", r.Text("name"))
	case list == "workspaces" && field == "name":
		return workspacePath(consortiumPath(name, "access", "workspaces"), r.Text("billing_project")+"/"+r.Text("name"))
	default:
		return ""
	}
}

// recordPath is the form of one declared record.
func recordPath(name string, kind recordKind, r row) string {
	query := url.Values{}
	for _, key := range kind.keys() {
		query.Set(key, r.Text(key))
	}
	return consortiumPath(name, "declared", kind.List, "record") + "?" + query.Encode()
}

// recordForm is the form of a declared record.
type recordForm struct {
	Head   consortiumHead
	Action string
	// New: the record is not declared yet.
	New    bool
	Fields []recordInput
	// Decide is where one withdraws, deactivates and activates; Account tells how an account
	// stands, for those two.
	Decide, Account string
	Keys            []option
	Problem         *refusal
}

// recordInput is a field of a form.
type recordInput struct {
	recordField
	Label, Help, Value string
	Checked, Fixed     bool
	Options            []option
	Among              []string
}

// declaredRecord shows the form of a declared record, or that of a new one.
func (s *Site) declaredRecord(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	return s.showRecord(v, v.param, false, nil)
}

// showRecord shows the form of a record. value is what its fields have been given; unless all of
// them were sent, they have what is declared.
func (s *Site) showRecord(v *visit, value func(string) string, sent bool, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	kind, ok := recordKindOf(v.path("kind"))
	if !ok {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.declared.no-kind", "Kind", v.path("kind"))}
	}
	declared, err := v.get(consortiumAPI(name, "declared"), nil)
	if err != nil {
		return err
	}
	data := recordForm{Head: v.consortiumHead("declared"), Action: consortiumPath(name, "declared", kind.List, "record"), New: true, Problem: problem}
	data.Head.Up = navLink{Text: v.T("anvil.records." + kind.List), Href: consortiumPath(name, "declared", kind.List)}
	var here row
	for _, r := range declared.Rows(kind.List) {
		if kind.is(r, value) {
			here, data.New = r, false
		}
	}
	if !data.New {
		data.Decide = consortiumPath(name, "declared", kind.List, "decide")
		if kind.List == "accounts" {
			data.Account = here.Text("status")
		}
		for _, key := range kind.keys() {
			data.Keys = append(data.Keys, option{Value: here.Text(key), Text: key})
		}
	}
	for _, f := range kind.Fields {
		data.Fields = append(data.Fields, v.recordInput(f, here, declared, sent, value))
	}
	title := v.T("anvil.declare.new", "Kind", v.T("anvil.records."+kind.List))
	if !data.New {
		title = kind.Name(here)
	}
	return v.formPage("anvil_record", title, data, problem)
}

// recordInput is a field with what is in it: what was sent, what is declared, or the default.
func (v *visit) recordInput(f recordField, here, declared row, sent bool, value func(string) string) recordInput {
	in := recordInput{recordField: f, Label: v.T("column.anvil.field." + f.Field), Among: recordsIn(declared, f.Among), Fixed: here != nil && f.Key}
	if help := "anvil.help." + f.Field; v.T(help) != help {
		in.Help = v.T(help)
	}
	switch {
	case sent:
		in.Value = value(f.Field)
	case here != nil && f.Kind == "list":
		in.Value = strings.Join(here.Texts(f.Field), ", ")
	case here != nil && f.Kind == "until":
		in.Value = strings.TrimSuffix(here.Text(f.Field), "Z")
	case here != nil:
		in.Value = here.Text(f.Field)
	default:
		in.Value = value(f.Field)
		if in.Value == "" {
			in.Value = f.Default
		}
	}
	in.Checked = in.Value == "true"
	for _, choice := range f.Choices {
		one := option{Value: choice, Text: v.Term(choice), Chosen: choice == in.Value}
		if choice == "" {
			one.Text = v.T("filter.any")
		}
		in.Options = append(in.Options, one)
	}
	return in
}

// record is the record that a form has sent.
func (k recordKind) record(value func(string) string) map[string]any {
	made := map[string]any{}
	for _, f := range k.Fields {
		text := value(f.Field)
		switch f.Kind {
		case "yes":
			made[f.Field] = text == "true"
		case "list":
			made[f.Field] = namesIn(text)
			if text == "" {
				made[f.Field] = []string{}
			}
		case "until":
			if text != "" {
				made[f.Field] = instant(text)
			}
		default:
			if text != "" || !f.Optional {
				made[f.Field] = text
			}
		}
	}
	return made
}

// planRecord shows what declaring the record of a form would change.
func (s *Site) planRecord(v *visit) (string, error) {
	kind, ok := recordKindOf(v.path("kind"))
	if !ok {
		return "", &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.declared.no-kind", "Kind", v.path("kind"))}
	}
	patch := map[string]any{"declare": map[string]any{kind.List: []any{kind.record(v.posted)}}}
	err := s.showPlan(v, planned{What: "patch", Patch: patch, Back: consortiumPath(v.path("consortium"), "declared", kind.List)}, nil)
	if problem := atForm(err); problem != nil {
		return "", s.showRecord(v, v.posted, true, problem)
	}
	return "", err
}

// planDecision shows what withdrawing a record would change, or deactivating or activating an
// account.
func (s *Site) planDecision(v *visit) (string, error) {
	kind, ok := recordKindOf(v.path("kind"))
	if !ok {
		return "", &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.declared.no-kind", "Kind", v.path("kind"))}
	}
	patch := map[string]any{}
	switch do := v.posted("do"); {
	case do == "withdraw":
		record := map[string]any{}
		for _, key := range kind.keys() {
			record[key] = v.posted(key)
		}
		patch["withdraw"] = map[string]any{kind.List: []any{record}}
	case (do == "activate" || do == "deactivate") && kind.List == "accounts":
		patch[do] = []string{v.posted("email")}
	default:
		return "", v.complained("problem.unknown-decision", "Decision", do)
	}
	err := s.showPlan(v, planned{What: "patch", Patch: patch, Back: consortiumPath(v.path("consortium"), "declared", kind.List)}, nil)
	if problem := atForm(err); problem != nil {
		return "", s.showRecord(v, v.posted, false, problem)
	}
	return "", err
}
