package auditreport

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
)

//go:embed report.html.tmpl mail.html.tmpl
var templates embed.FS

// pages are the templates; a set that has been parsed is safe for concurrent use.
var pages = template.Must(template.New("").Funcs(template.FuncMap{"line": OneLine, "title": title}).ParseFS(templates, "*.tmpl"))

// view is a report as the templates show it.
type view struct {
	Title string
	OK    bool
	Facts []fact
	// Ignored counts what was ignored in all of the report.
	Ignored    int
	Total      Count
	Counts     []Count
	Severities []severityCount
	Groups     []viewGroup
}

// fact is what the report is about, in words.
type fact struct{ Name, Value string }

// viewGroup is a family of audits.
type viewGroup struct {
	Model anvil.Model
	Title string
	Count Count
	// Failing are the audits of the family that are not ok; Passed are the others.
	Failing, Passed []viewAudit
}

// viewAudit is one audit.
type viewAudit struct {
	// ID is that of its heading within the page.
	ID    string
	Model anvil.Model
	Scope string
	OK    bool
	Count Count
	// Findings are tables of what keeps it from being ok, Others lists of the rest.
	Findings, Others []viewPart
}

// viewPart is a table or a list of rows of one kind.
type viewPart struct {
	Title string
	// Label is the title with what it is of, for those who cannot see where it is.
	Label string
	// Values says whether the rows have values, or only a cause.
	Values bool
	Rows   []Row
}

// all are the audits of a view, in order.
func (v view) all() []viewAudit {
	var all []viewAudit
	for _, g := range v.Groups {
		all = append(append(all, g.Failing...), g.Passed...)
	}
	return all
}

// PassedSubAudits is how many sub-audits are ok.
func (v view) PassedSubAudits() int {
	n := 0
	for _, a := range v.all() {
		if a.OK && a.Scope != "" {
			n++
		}
	}
	return n
}

// ignoredOf is how many records are said to be ignored: at the head of an e-mail
// all of them, sub-audits included, as ignore rows are of sub-audits alone.
func (v view) ignoredOf(place int, a viewAudit) int {
	if place == 0 {
		return v.Ignored
	}
	return a.Count.Ignored
}

// verdicts are all verdicts in the order in which they are shown.
func verdicts() []Verdict {
	return []Verdict{Aborted, Wrong, NotInApp, Beyond, Unknown, Ignored, UnmatchedIgnore, Verified}
}

// heading names the part of an audit that holds the rows of a verdict.
func heading(v Verdict) string {
	switch v {
	case Aborted:
		return "Aborted"
	case Wrong:
		return "Errors"
	case NotInApp:
		return "Not in app"
	case Beyond:
		return "To question, though django-anvil-consortium-manager passes it"
	case Unknown:
		return "Unknown"
	case Ignored:
		return "Ignored"
	case UnmatchedIgnore:
		return "Ignore rows that match nothing"
	default:
		return "Verified"
	}
}

func viewOf(r Report) view {
	v := view{
		Title: "AnVIL audit of " + OneLine(r.Subject), OK: r.Result.OK(), Total: r.Total(), Counts: r.Counts(), Severities: r.bySeverity(),
		Facts: []fact{{"Audited", r.Subject}},
	}
	if !r.SweptAt.IsZero() {
		v.Facts = append(v.Facts, fact{"AnVIL as of", r.SweptAt.UTC().Format(time.RFC3339)})
	}
	if !r.AuditedAt.IsZero() {
		v.Facts = append(v.Facts, fact{"Audited at", r.AuditedAt.UTC().Format(time.RFC3339)})
	}
	mode := "Muster's: what could not be seen is unknown, and no error"
	if r.Compat {
		mode = "results exactly as those of django-anvil-consortium-manager"
	}
	v.Facts = append(v.Facts, fact{"Mode", mode})
	for i, a := range r.Result.All() {
		if len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].Model != a.Model {
			v.Groups = append(v.Groups, viewGroup{Model: a.Model, Title: title(a.Model)})
		}
		group := &v.Groups[len(v.Groups)-1]
		shown := viewAuditOf(a, fmt.Sprintf("audit-%d", i+1))
		group.Count.add(shown.Count)
		if shown.OK {
			group.Passed = append(group.Passed, shown)
		} else {
			group.Failing = append(group.Failing, shown)
		}
	}
	return v
}

func viewAuditOf(a anvil.Audited, id string) viewAudit {
	shown := viewAudit{ID: id, Model: a.Model, Scope: a.Scope, OK: a.Outcome.OK(), Count: countOf(a)}
	rows := map[Verdict][]Row{}
	for _, row := range rowsOf(a) {
		rows[row.Verdict] = append(rows[row.Verdict], row)
	}
	for _, verdict := range verdicts() {
		part := viewPart{Title: heading(verdict), Label: heading(verdict) + " of " + nameOf(a.Model, a.Scope), Values: verdict == Wrong || verdict == NotInApp || verdict == Beyond, Rows: rows[verdict]}
		switch {
		case len(part.Rows) == 0:
		case verdict.notOK():
			shown.Findings = append(shown.Findings, part)
		default:
			shown.Others = append(shown.Others, part)
		}
	}
	return shown
}

// HTML writes the report as one page that needs no other: it loads nothing, runs
// no script, and suits light and dark screens, paper, and readers that read aloud.
func (r Report) HTML(w io.Writer) error {
	if err := pages.ExecuteTemplate(w, "report.html.tmpl", viewOf(r)); err != nil {
		return fmt.Errorf("writing the page of an audit: %w", err)
	}
	return nil
}
