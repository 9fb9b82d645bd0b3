package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// planned is a change of the declaration that somebody has in mind.
type planned struct {
	// What it is: a patch of single records, or a whole file.
	What string
	// Patch is what the API is sent for a patch, Text the same as JSON, or the file.
	Patch any
	Text  string
	// Back is where one comes from, and back to.
	Back string
	// LeftOut is what an import does not declare.
	LeftOut []row
	// Imported: it was read from AnVIL.
	Imported bool
	Reason   string
}

// planData is what the page of a plan shows.
type planData struct {
	Head    consortiumHead
	Plan    planned
	Action  string
	Changes *table
	LeftOut *table
	Counts  []fact
	// Seen names the changes that are shown: others are not carried out.
	Seen    string
	Problem *refusal
}

// planOf reads what a plan's page sends back.
func (v *visit) planOf() planned {
	p := planned{What: v.posted("what"), Text: v.r.PostFormValue("body"), Back: v.posted("back"), Reason: v.posted("reason"), Imported: v.posted("imported") == "true"}
	if p.What == "patch" {
		p.Patch = json.RawMessage(p.Text)
		if !json.Valid([]byte(p.Text)) {
			p.Patch = map[string]any{}
		}
	}
	return p
}

// carryOut has the API carry a plan out, or only say what it would change.
func (v *visit) carryOut(p planned, dry bool) (row, error) {
	query := url.Values{}
	if dry {
		query.Set("dry_run", "true")
	} else {
		query.Set("reason", p.Reason)
	}
	path := consortiumAPI(v.path("consortium"), "declarations")
	if p.What == "patch" {
		return v.send(http.MethodPatch, path, query, p.Patch)
	}
	return v.send(http.MethodPost, path, query, rawBody{"application/yaml", p.Text})
}

// showPlan shows what a change would come to.
func (s *Site) showPlan(v *visit, p planned, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	dry, err := v.carryOut(p, true)
	if err != nil {
		return err
	}
	return v.writePlan(p, dry, problem)
}

// writePlan writes the page of a plan that the API has made.
func (v *visit) writePlan(p planned, dry row, problem *refusal) error {
	if p.What == "patch" && p.Text == "" {
		text, err := json.Marshal(p.Patch)
		if err != nil {
			return fmt.Errorf("writing a patch: %w", err)
		}
		p.Text = string(text)
	}
	name := v.path("consortium")
	data := planData{Head: v.consortiumHead("declared"), Plan: p, Action: consortiumPath(name, "apply"), Seen: planSeen(dry), Problem: problem}
	data.Head.Up = navLink{Text: v.T("anvil.declared.title"), Href: consortiumPath(name, "declared")}
	counts := map[string]int{}
	for _, c := range dry.Rows("changes") {
		counts[c.Text("action")]++
	}
	for _, action := range []string{"added", "changed", "withdrawn"} {
		data.Counts = append(data.Counts, fact{Name: v.Term(action), Cell: cell{Text: v.Number(counts[action])}})
	}
	if len(dry.Rows("changes")) > 0 {
		data.Changes = v.tableOf(list{ID: "anvil-plan", NoFiles: true, Items: "changes", Class: func(r row) string { return changeClass(r.Text("action")) }, Columns: []column{
			{Name: "anvil.action", Cell: func(v *visit, r row) cell {
				return cell{Text: v.Term(r.Text("action")), Badge: map[string]string{"added": "good", "changed": "warn", "withdrawn": "bad"}[r.Text("action")]}
			}},
			term("anvil.record-kind", "kind"),
			{Name: "record", Field: "name"},
			{Name: "anvil.before", Cell: func(v *visit, r row) cell { return cell{Text: v.changedFields(r.at("before"), r.at("after"))} }},
			{Name: "anvil.after", Cell: func(v *visit, r row) cell { return cell{Text: v.changedFields(r.at("after"), r.at("before"))} }},
		}}, dry)
	}
	if len(p.LeftOut) > 0 {
		var rows []any
		for _, r := range p.LeftOut {
			rows = append(rows, map[string]any(r))
		}
		data.LeftOut = v.tableOf(list{ID: "anvil-left-out", NoFiles: true, Columns: []column{
			term("anvil.record-kind", "kind"), {Name: "record", Field: "name"}, {Name: "anvil.why", Field: "cause"},
		}}, row{"items": rows})
	}
	return v.formPage("anvil_plan", v.T("anvil.plan.title"), data, problem)
}

// changeClass is how a line of a plan is shown.
func changeClass(action string) string {
	if action == "withdrawn" {
		return "going"
	}
	return ""
}

// planSeen names the changes of a plan.
func planSeen(plan row) string {
	text, err := json.Marshal(plan.at("changes"))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// changedFields words what a record has that another one has not; all of it if there is no other.
func (v *visit) changedFields(record, other any) string {
	fields, ok := record.(map[string]any)
	if !ok {
		return textOf(record)
	}
	beside, _ := other.(map[string]any)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		one, err1 := json.Marshal(fields[name])
		two, err2 := json.Marshal(beside[name])
		if beside != nil && err1 == nil && err2 == nil && bytes.Equal(one, two) {
			continue
		}
		text := v.Term(textOf(fields[name]))
		switch value := fields[name].(type) {
		case bool:
			text = v.T("word.no")
			if value {
				text = v.T("word.yes")
			}
		case []any:
			text = strings.Join(row{"list": value}.Texts("list"), ", ")
		case string:
			if fieldKind(name) != "choice" {
				text = value
			}
		}
		if text != "" {
			parts = append(parts, v.T("column.anvil.field."+name)+": "+text)
		}
	}
	return strings.Join(parts, "; ")
}

// fieldKind is how a field of declared records is filled in; text if none has it.
func fieldKind(name string) string {
	for _, k := range recordKinds() {
		for _, f := range k.Fields {
			if f.Field == name {
				return f.Kind
			}
		}
	}
	return "text"
}

// applyPlan carries out what a plan's page has shown, and nothing else: if the declaration has
// changed meanwhile, the plan is shown again.
func (s *Site) applyPlan(v *visit) (string, error) {
	p := v.planOf()
	if err := v.whoami(); err != nil {
		return "", err
	}
	dry, err := v.carryOut(p, true)
	if err != nil {
		return "", err
	}
	switch {
	case p.Reason == "":
		return "", v.writePlan(p, dry, v.complained("anvil.plan.no-reason"))
	case planSeen(dry) != v.posted("seen"):
		problem := v.complained("anvil.plan.other-now")
		problem.Status = http.StatusConflict
		return "", v.writePlan(p, dry, problem)
	}
	_, err = v.carryOut(p, false)
	if problem := atForm(err); problem != nil {
		return "", v.writePlan(p, dry, problem)
	}
	return v.back(consortiumPath(v.path("consortium"), "declared"), "anvil-declared"), err
}

// fileForm is the form of a whole declaration.
type fileForm struct {
	Head         consortiumHead
	Action, Text string
	Import       string
	Current      []navLink
	Problem      *refusal
}

// declaration shows the form of a whole declaration.
func (s *Site) declaration(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	return v.showFile("", nil)
}

// showFile shows the form of a whole declaration, with what was typed.
func (v *visit) showFile(text string, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	data := fileForm{
		Head: v.consortiumHead("declared"), Action: consortiumPath(name, "declaration"), Text: text, Import: consortiumPath(name, "import"), Problem: problem,
		Current: []navLink{{Text: v.T("anvil.file.current"), Href: consortiumAPI(name, "declared")}},
	}
	data.Head.Up = navLink{Text: v.T("anvil.declared.title"), Href: consortiumPath(name, "declared")}
	return v.formPage("anvil_file", v.T("anvil.file.title"), data, problem)
}

// planDeclaration shows what a whole declaration would change.
func (s *Site) planDeclaration(v *visit) (string, error) {
	text := v.r.PostFormValue("text")
	if strings.TrimSpace(text) == "" {
		return "", v.showFile("", v.complained("anvil.file.empty"))
	}
	err := s.showPlan(v, planned{What: "file", Text: text, Back: consortiumPath(v.path("consortium"), "declared")}, nil)
	if problem := atForm(err); problem != nil {
		return "", v.showFile(text, problem)
	}
	return "", err
}

// anvilImportForm is the form of an import from AnVIL.
type anvilImportForm struct {
	Head                   consortiumHead
	Action, ServiceAccount string
	WithAccounts           bool
	Problem                *refusal
}

// anvilImport shows the form of an import.
func (s *Site) anvilImport(v *visit) error {
	return s.showAnvilImport(v, nil)
}

func (s *Site) showAnvilImport(v *visit, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	data := anvilImportForm{Head: v.consortiumHead("declared"), Action: consortiumPath(name, "import"), ServiceAccount: v.posted("service_account"), WithAccounts: v.posted("with_accounts") == "true", Problem: problem}
	data.Head.Up = navLink{Text: v.T("anvil.declared.title"), Href: consortiumPath(name, "declared")}
	return v.formPage("anvil_import", v.T("anvil.import.title"), data, problem)
}

// planImport asks AnVIL what there is, and shows what declaring that would change. What is
// then carried out is what was shown: AnVIL is not asked again.
func (s *Site) planImport(v *visit) (string, error) {
	name := v.path("consortium")
	query := url.Values{"dry_run": {"true"}}
	for _, parameter := range []string{"service_account", "with_accounts"} {
		if value := v.posted(parameter); value != "" {
			query.Set(parameter, value)
		}
	}
	if err := v.whoami(); err != nil {
		return "", err
	}
	dry, err := v.send(http.MethodPost, consortiumAPI(name, "imports"), query, nil)
	if problem := atForm(err); problem != nil {
		return "", s.showAnvilImport(v, problem)
	}
	if err != nil {
		return "", err
	}
	p := planned{What: "patch", Patch: map[string]any{"declare": declaring(dry)}, Back: consortiumPath(name, "declared"), LeftOut: dry.Rows("left_out"), Imported: true, Reason: v.T("anvil.import.reason")}
	return "", v.writePlan(p, dry, nil)
}

// declaring are the records that the changes of an import add or replace.
func declaring(plan row) map[string]any {
	lists := map[string]string{
		"billing_project": "billing_projects", "account": "accounts", "group": "managed_groups", "workspace": "workspaces", "account_membership": "group_account_memberships",
		"group_membership": "group_group_memberships", "sharing": "workspace_group_sharing", "ignored_membership": "ignored_group_memberships", "ignored_sharing": "ignored_workspace_sharing",
	}
	records := map[string][]any{}
	made := map[string]any{}
	for _, c := range plan.Rows("changes") {
		if c.Text("kind") == "consortium" {
			made["service_account"] = c.at("after")
		} else if list := lists[c.Text("kind")]; list != "" && c.Has("after") {
			records[list] = append(records[list], c.at("after"))
		}
	}
	for list, all := range records {
		made[list] = all
	}
	return made
}
