package web

import (
	"net/url"
	"strings"
	"time"
)

// findingColumns are columns of findings, by their names; of no consortium, of all.
func findingColumns(consortium string, chosen ...string) []column {
	of := func(r row) string {
		if consortium == "" {
			return r.Text("consortium")
		}
		return consortium
	}
	all := map[string]column{
		"opened_at":  {Name: "opened_at", Field: "opened_at", Kind: kindTime},
		"consortium": {Name: "consortium", Field: "consortium", Href: func(r row) string { return consortiumPath(r.Text("consortium")) }},
		"model":      term("model", "model"),
		"record": {Name: "record", Cell: func(_ *visit, r row) cell {
			made := cell{Text: r.Text("record"), Href: consortiumPath(of(r), "findings", r.Text("finding_id"))}
			if scope := r.Text("scope"); scope != "" {
				made.Text = scope + ": " + made.Text
			}
			return made
		}},
		"kind": {Name: "wrong", Cell: func(v *visit, r row) cell {
			made := cell{Text: v.Term(r.Text("kind"))}
			if r.Bool("role_swap") {
				made.Text += " (" + v.T("anvil.role-swap") + ")"
			}
			return made
		}},
		"severity": {Name: "severity", Field: "severity", Kind: kindBadge},
		"state": {Name: "anvil.state", Cell: func(v *visit, r row) cell {
			made := cell{Text: v.Word(r.Text("state")), Badge: badgeOf(r.Text("state"))}
			if r.Has("accepted") {
				made = cell{Text: v.T("anvil.accepted-by", "Name", r.Text("accepted.by")), Badge: "warn", Title: r.Text("accepted.reason")}
			}
			return made
		}},
		"expected": {Name: "expected", Field: "expected"}, "observed": {Name: "observed", Field: "observed"},
	}
	columns := make([]column, 0, len(chosen))
	for _, name := range chosen {
		columns = append(columns, all[name])
	}
	return columns
}

// findingFilters are those of lists of findings.
func findingFilters() []filter {
	return []filter{
		{Name: "state", Label: "anvil.filter.state", Options: words("open", "resolved", "all")},
		{Name: "model", Options: terms(anvilModels()...)},
		{Name: "severity", Options: words("high", "medium", "low")},
		{Name: "accepted", Options: yesNo},
	}
}

// findings lists where what is declared and what was observed differ, in all consortia.
func (s *Site) findings(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "findings", Path: "/v1/findings", Filters: findingFilters(),
		Columns: findingColumns("", "opened_at", "consortium", "model", "record", "kind", "severity", "state", "expected", "observed"),
	})
	if err != nil {
		return err
	}
	return v.show("list", v.T("findings.title"), listPage{Intro: v.T("anvil.findings.intro"), Table: t})
}

// anyFinding leads to a finding of whichever consortium.
func (s *Site) anyFinding(v *visit) error {
	found, err := v.get("/v1/findings/"+url.PathEscape(v.path("id")), nil)
	if err != nil {
		return err
	}
	v.goTo(consortiumPath(found.Text("consortium"), "findings", found.Text("finding_id")))
	return nil
}

// consortiumList is a page about a consortium that is a list.
type consortiumList struct {
	Head  consortiumHead
	Intro string
	Table *table
}

// consortiumFindings lists the findings of a consortium.
func (s *Site) consortiumFindings(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	t, _, err := v.list(list{
		ID: "findings", Path: consortiumAPI(name, "findings"), Filters: append(findingFilters(), filter{Name: "as_of", Label: "anvil.filter.as-of", Kind: "datetime"}),
		Columns: findingColumns(name, "opened_at", "model", "record", "kind", "severity", "state", "expected", "observed"),
	})
	if err != nil {
		return err
	}
	return v.show("anvil_list", v.T("findings.title"), consortiumList{Head: v.consortiumHead("findings"), Intro: v.T("anvil.findings.intro"), Table: t})
}

// findingData is what the page of a finding shows.
type findingData struct {
	Head    consortiumHead
	Finding row
	Facts   []fact
	// Declared and Observed are the two sides, in words.
	Declared, Observed string
	Cause, Resolution  *causeShown
	Narrative          []string
	Story              []storyStep
	Omitted            string
	Parts, Touched     *table
	Evidence, Checks   *table
	Verified           bool
	Unreadable         string
	Accepted           row
	// Acceptance is the form, Problem what is wrong with what was sent.
	Acceptance struct {
		Action, Reason, Until string
		Open                  bool
		Problem               *refusal
	}
}

// causeShown is what opened or settled a finding.
type causeShown struct {
	Side        cell
	Words       string
	Facts       []fact
	Window, Why string
}

// storyStep is one event of the story of a finding.
type storyStep struct {
	// Class is declared, observed, mark or window: whose step it is.
	Class, Side        string
	Time, Machine      string
	Kind, Name, What   string
	Who, Reason        string
	Mark               string
	Agreed             cell
	Event, EventType   string
	From, Until, Unsee string
}

// finding shows one finding with its story.
func (s *Site) finding(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	return s.showFinding(v, nil)
}

// showFinding shows a finding, and what is wrong with an acceptance that was sent.
func (s *Site) showFinding(v *visit, problem *refusal) error {
	name, id := v.path("consortium"), v.path("id")
	data := findingData{Head: v.consortiumHead("findings")}
	var explained, found row
	err := v.gather(
		want{path: consortiumAPI(name, "findings", id, "explain"), into: &explained},
		want{path: consortiumAPI(name, "findings", id), into: &found},
	)
	if err != nil {
		return err
	}
	data.Finding = found
	data.Head.Up = navLink{Text: v.T("findings.title"), Href: consortiumPath(name, "findings")}
	data.Declared, data.Observed = found.Text("expected"), found.Text("observed")
	data.Facts = v.findingFacts(name, found)
	data.Cause = v.causeOf(explained.Row("cause"))
	if r := explained.Row("resolution"); r != nil {
		data.Resolution = v.causeOf(r)
	}
	data.Narrative = explained.Texts("narrative")
	data.Story = v.storyOf(explained)
	if n := explained.Int("timeline_omitted"); n > 0 {
		data.Omitted = v.T("anvil.story.omitted", "Count", n)
	}
	v.findingTables(name, explained, &data)
	data.Verified = explained.Bool("verified")
	if n := explained.Int("unreadable"); n > 0 {
		data.Unreadable = v.T("anvil.story.unreadable", "Count", n)
	}
	data.Accepted = found.Row("accepted")
	form := &data.Acceptance
	form.Action, form.Problem = consortiumPath(name, "findings", id, "acceptance"), problem
	form.Reason, form.Until, form.Open = v.posted("reason"), v.posted("until"), found.Text("state") == "open"
	title := found.Text("record")
	if scope := found.Text("scope"); scope != "" {
		title = scope + ": " + title
	}
	return v.formPage("anvil_finding", title, data, problem)
}

// findingFacts are what one wants to know of a finding first.
func (v *visit) findingFacts(name string, found row) []fact {
	age := func(v *visit, r row) cell {
		opened, ok := moment(r.Text("opened_at"))
		if !ok {
			return cell{}
		}
		until := v.site.config.Now()
		if at, done := moment(r.Text("resolved_at")); done {
			until = at
		}
		return cell{Text: v.Span(until.Sub(opened))}
	}
	return v.facts(found,
		column{Name: "anvil.state", Field: "state", Kind: kindBadge},
		column{Name: "severity", Field: "severity", Kind: kindBadge},
		column{Name: "model", Cell: func(v *visit, r row) cell {
			return cell{Text: v.Term(r.Text("model")), Href: auditPath(name, r.Text("model"))}
		}},
		column{Name: "anvil.scope", Cell: func(_ *visit, r row) cell {
			made := cell{Text: r.Text("scope")}
			if r.Text("model") == "managed_group_memberships" {
				made.Href = consortiumPath(name, "audits", "managed_groups", made.Text)
			} else if made.Text != "" {
				made.Href = workspacePath(consortiumPath(name, "audits", "workspaces"), made.Text)
			}
			return made
		}},
		column{Name: "opened_at", Field: "opened_at", Kind: kindTime},
		column{Name: "anvil.resolved-at", Field: "resolved_at", Kind: kindTime},
		column{Name: "anvil.open-for", Cell: age},
		column{Name: "anvil.reopened", Cell: func(v *visit, r row) cell {
			if r.Int("reopened") == 0 {
				return cell{}
			}
			return cell{Text: v.Number(r.Text("reopened"))}
		}},
		column{Name: "anvil.beyond-peer", Field: "beyond", Kind: kindBool},
		column{Name: "anvil.role-swap", Field: "role_swap", Kind: kindBool},
	)
}

// causeOf tells what opened or settled a finding.
func (v *visit) causeOf(r row) *causeShown {
	c := &causeShown{Side: cell{Text: v.Term(r.Text("side")), Badge: "neutral"}, Words: r.Text("words")}
	c.Facts = v.facts(r,
		column{Name: "anvil.by", Field: "actor"}, column{Name: "anvil.why", Field: "reason"}, column{Name: "anvil.at", Cell: func(v *visit, r row) cell { return cell{Text: v.toSecond(r.Text("at")), Time: r.Text("at")} }},
	)
	if w := r.Row("window"); w != nil {
		c.Window = v.T("anvil.story.window", "From", v.toSecond(w.Text("from")), "To", v.toSecond(w.Text("to")))
		c.Why = v.unseenBetween(w)
	}
	return c
}

// unseenBetween says why a window is not narrower; empty if it could not be.
func (v *visit) unseenBetween(window row) string {
	if window.Int("unseen") == 0 {
		return ""
	}
	return v.T("anvil.story.unseen", "Count", window.Int("unseen"), "Why", window.Text("why"))
}

// storyOf is what bears on a finding, one event after the other, with the windows in which
// the world changed before the readings that showed it.
func (v *visit) storyOf(explained row) []storyStep {
	windows := map[string]row{}
	for _, cause := range append([]row{explained.Row("cause"), explained.Row("resolution")}, causesOf(explained.Rows("earlier"))...) {
		if records := cause.Rows("records"); len(records) > 0 && cause.Row("window") != nil {
			windows[records[0].Text("event_id")] = cause.Row("window")
		}
	}
	var steps []storyStep
	for _, m := range explained.Rows("timeline") {
		if w := windows[m.Text("event_id")]; w != nil {
			steps = append(steps, storyStep{
				Class: "window", What: v.T("anvil.story.window", "From", v.toSecond(w.Text("from")), "To", v.toSecond(w.Text("to"))), Reason: v.unseenBetween(w),
			})
		}
		one := storyStep{
			Class: m.Text("side"), Side: v.Term(m.Text("side")), Time: v.toSecond(m.Text("at")), Machine: m.Text("at"), Kind: v.Term(m.Text("kind")), Name: m.Text("name"), What: m.Text("what"),
			Who: m.Text("actor"), Reason: m.Text("reason"), Event: "/events/" + url.PathEscape(m.Text("event_id")), EventType: m.Text("type"),
		}
		if mark := m.Text("mark"); mark != "" {
			one.Class, one.Mark = "mark", v.T("anvil.mark."+mark)
		}
		switch m.Text("agreed") {
		case "yes":
			one.Agreed = cell{Text: v.T("anvil.agreed.both"), Badge: "good"}
		case "no":
			one.Agreed = cell{Text: v.T("anvil.agreed.differ"), Badge: "bad"}
		default:
			one.Agreed = cell{Text: v.T("anvil.agreed.unknown"), Badge: "neutral"}
		}
		steps = append(steps, one)
	}
	return steps
}

// toSecond writes a time to the second: the steps of a story often follow within one minute.
func (v *visit) toSecond(text string) string {
	at, ok := moment(text)
	if !ok {
		return text
	}
	return at.Format("2006-01-02 15:04:05")
}

// causesOf are the causes of the times that a finding was open before.
func causesOf(episodes []row) []row {
	var causes []row
	for _, e := range episodes {
		causes = append(causes, e.Row("cause"), e.Row("resolution"))
	}
	return causes
}

// eventCell leads to an event.
func eventCell(id string) cell {
	if id == "" {
		return cell{}
	}
	short, _, _ := strings.Cut(id, "-")
	return cell{Text: short, Title: id, Href: "/events/" + url.PathEscape(id)}
}

// findingTables makes the tables of a finding's page.
func (v *visit) findingTables(name string, explained row, data *findingData) {
	event := column{Name: "anvil.event", Cell: func(_ *visit, r row) cell { return eventCell(r.Text("event_id")) }}
	side := column{Name: "anvil.side", Cell: func(v *visit, r row) cell {
		return cell{Text: v.Term(r.Text("side")), Badge: "side-" + r.Text("side")}
	}}
	make := func(id, items string, columns ...column) *table {
		if len(explained.Rows(items)) == 0 {
			return nil
		}
		return v.tableOf(list{ID: id, NoFiles: true, Items: items, Columns: columns}, explained)
	}
	data.Parts = make("anvil-parts", "parts",
		column{Name: "record", Cell: func(_ *visit, r row) cell {
			return cell{Text: r.Text("record"), Href: consortiumPath(name, "findings", r.Text("finding_id"))}
		}},
		term("kind", "kind"), column{Name: "opened_at", Field: "opened_at", Kind: kindTime}, column{Name: "anvil.cause", Field: "cause.words"})
	data.Touched = make("anvil-touched", "touched", side, term("anvil.record-kind", "kind"), column{Name: "record", Field: "name"},
		column{Name: "anvil.change", Field: "change"}, column{Name: "anvil.at", Field: "at", Kind: kindTime}, event)
	data.Evidence = make("anvil-evidence", "evidence", event, column{Name: "anvil.event-type", Field: "type"}, column{Name: "anvil.place", Cell: func(_ *visit, r row) cell {
		return cell{Text: r.Text("topic") + "/" + r.Text("partition") + "@" + r.Text("offset")}
	}})
	data.Checks = make("anvil-checks", "checks", column{Name: "anvil.check", Field: "what"}, column{Name: "anvil.holds", Cell: func(v *visit, r row) cell {
		if r.Bool("verified") {
			return cell{Text: v.T("word.yes"), Badge: "good"}
		}
		return cell{Text: v.T("word.no"), Badge: "bad"}
	}}, column{Name: "anvil.differs", Field: "differs"}, column{Name: "anvil.place", Field: "position"}, event)
}

// acceptFinding accepts a finding as it is, or ends that.
func (s *Site) acceptFinding(v *visit) (string, error) {
	name, id := v.path("consortium"), v.path("id")
	path := consortiumAPI(name, "findings", id, "acceptance")
	var err error
	done := "anvil-accepted"
	if v.posted("do") == "end" {
		done = "anvil-unaccepted"
		_, err = v.send("DELETE", path, url.Values{"reason": {v.posted("reason")}}, nil)
	} else {
		body := map[string]any{"reason": v.posted("reason")}
		if until := v.posted("until"); until != "" {
			body["until"] = endOf(until)
		}
		_, err = v.send("POST", path, nil, body)
	}
	if problem := atForm(err); problem != nil {
		if err := v.whoami(); err != nil {
			return "", err
		}
		return "", s.showFinding(v, problem)
	}
	return consortiumPath(name, "findings", id) + "?done=" + done, err
}

// endOf is the moment at which a day ends, in UTC; anything else is left as it is.
func endOf(day string) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return instant(day)
	}
	return at.AddDate(0, 0, 1).Format(time.RFC3339)
}
