package web

import (
	"net/http"
	"net/url"
	"strings"
)

// registerAnvil adds the pages about consortia.
func (s *Site) registerAnvil() {
	const one = "/anvil/{consortium}"
	get := func(path string, show func(*visit) error) { s.router.Get(path, s.page(show)) }
	post := func(path string, do func(*visit) (string, error)) { s.router.Post(path, s.decision(do)) }

	get("/anvil", s.consortia)
	get(one, s.consortium)
	get("/findings", s.findings)
	get("/findings/{id}", s.anyFinding)
	get(one+"/findings", s.consortiumFindings)
	get(one+"/findings/{id}", s.finding)
	post(one+"/findings/{id}/acceptance", s.acceptFinding)
	get(one+"/audits", s.audits)
	post(one+"/audits", s.auditNow)
	get(one+"/audits/runs", s.auditRuns)
	get(one+"/audits/{model}", s.auditOfModel)
	get(one+"/audits/managed_groups/{group}", s.auditOfGroup)
	get(one+"/audits/workspaces/{project}/{name}", s.auditOfWorkspace)
	get(one+"/sweeps", s.sweeps)
	post(one+"/sweeps", s.sweepNow)
	get(one+"/declared", s.declared)
	get(one+"/declared/{kind}", s.declaredOfKind)
	get(one+"/declared/{kind}/record", s.declaredRecord)
	post(one+"/declared/{kind}/record", s.planRecord)
	post(one+"/declared/{kind}/decide", s.planDecision)
	get(one+"/declaration", s.declaration)
	post(one+"/declaration", s.planDeclaration)
	get(one+"/import", s.anvilImport)
	post(one+"/import", s.planImport)
	post(one+"/apply", s.applyPlan)
	get(one+"/access", s.accessSearch)
	get(one+"/access/workspaces/{project}/{name}", s.accessToWorkspace)
	get(one+"/access/accounts/{email}", s.accessOfAccount)
}

// anvilPlaces are those of the navigation.
func anvilPlaces() []place {
	return []place{{"nav.anvil-consortia", "/anvil", "anvil.read"}, {"nav.findings", "/findings", "anvil.read"}}
}

// anvilModels are the audits, with those of memberships and of sharing apart.
func anvilModels() []string {
	return []string{"billing_projects", "accounts", "managed_groups", "managed_group_memberships", "workspaces", "workspace_sharing"}
}

// consortiumPath is the path of a page about a consortium.
func consortiumPath(consortium string, parts ...string) string {
	var b strings.Builder
	b.WriteString("/anvil/" + url.PathEscape(consortium))
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}

// consortiumAPI is the path of the API about a consortium.
func consortiumAPI(consortium string, parts ...string) string {
	return "/v1" + consortiumPath(consortium, parts...)
}

// workspacePath is a path that ends in the name of a workspace, billing-project/name.
func workspacePath(path, workspace string) string {
	project, name, _ := strings.Cut(workspace, "/")
	return path + "/" + url.PathEscape(project) + "/" + url.PathEscape(name)
}

// consortiumHead is what each page about a consortium begins with.
type consortiumHead struct {
	Consortium, Home string
	Tabs             []navLink
	// Up leads to what the page is a part of; without a text to nothing.
	Up navLink
	// MayDeclare and MaySweep: who looks may change the declaration, have AnVIL asked.
	MayDeclare, MaySweep bool
}

// consortiumHead is the head of a page about the consortium that the path names; here is its tab.
func (v *visit) consortiumHead(here string) consortiumHead {
	name := v.path("consortium")
	h := consortiumHead{
		Consortium: name, Home: consortiumPath(name), MayDeclare: v.Me.May("anvil.declare"), MaySweep: v.Me.May("anvil.sweep"),
		Tabs: []navLink{{Text: v.T("anvil.tab.overview"), Href: consortiumPath(name), Here: here == ""}},
	}
	for _, tab := range []string{"findings", "audits", "sweeps", "declared", "access"} {
		h.Tabs = append(h.Tabs, navLink{Text: v.T("anvil.tab." + tab), Href: consortiumPath(name, tab), Here: here == tab})
	}
	return h
}

// Term is the text of a value of AnVIL's pages, such as a kind of record.
func (t *tongue) Term(value string) string {
	// The peer's texts stay as they are.
	if value == "" || strings.Contains(value, " ") {
		return value
	}
	id := "anvil.term." + strings.ToLower(value)
	if text := t.T(id); text != id {
		return text
	}
	return t.Word(value)
}

// terms makes options of terms in the reader's language.
func terms(values ...string) func(*visit) []option {
	return func(v *visit) []option {
		options := make([]option, 0, len(values))
		for _, value := range values {
			options = append(options, option{Value: value, Text: v.Term(value)})
		}
		return options
	}
}

// term is a column of a value that has a term.
func term(name, field string) column {
	return column{Name: name, Cell: func(v *visit, r row) cell { return cell{Text: v.Term(r.Text(field))} }}
}

// complained is a complaint of the page itself.
func (v *visit) complained(id string, pairs ...any) *refusal {
	return &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T(id, pairs...)}
}

// formPage shows a form again, with what is wrong with what was sent; or for the first time.
func (v *visit) formPage(name, title string, data any, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	return v.showTo(statusOf(problem), name, title, data)
}

// posted is a field of the form that was sent.
func (v *visit) posted(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// namesIn reads a list of names as one types it: separated by commas, blanks or lines.
func namesIn(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == ';' })
}

// momentQuery is a query about the moment that the page's address names; empty for now.
func (v *visit) momentQuery() url.Values {
	query := url.Values{}
	if at := v.param("as_of"); at != "" {
		query.Set("as_of", instant(at))
	}
	return query
}
