package web

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// viewerData is what the pages about a character have in common, and what the viewer shows.
type viewerData struct {
	ID        string
	Character row
	Portrait  portrait
	Facts     []fact
	Status    cell
	// Elsewhere are pages of others about the character.
	Elsewhere []navLink
	// Siblings are the owner's other characters.
	Siblings []navLink
	// Groups and Tabs are the two rows of tabs, Places the pages beside them.
	Groups, Tabs, Places []tabLink
	Own, MayManage       bool
	// Section is what is shown, Standing how it stands.
	Section  string
	Standing *standing
	Past     *past
	// Problem is why what was asked for cannot be shown.
	Problem *refusal

	// What a tab consists of: links that choose what is shown, values, a text, a table.
	Pills  []navLink
	Sums   []fact
	Values []fact
	Prose  template.HTML
	Table  *table
	// Extra is what single pages show beside that.
	Extra any
}

// tabLink is a tab, with a mark if its section does not stand well.
type tabLink struct {
	navLink
	Mark, Title string
}

// standing is how a section stands: what was read when, and why not.
type standing struct {
	Badge                cell
	Observed, Validated  string
	Outstanding          string
	Class, Message       string
	Since                string
	NotConsented, NotYet bool
	// Again is the character that its owner can register again, to consent to the section.
	Again string
	// Changes leads to what changed in the section, Origin to the same page with or without the
	// events that rows come from; Traced tells that it has them.
	Changes, Origin string
	Traced          bool
}

// asked is something that a page asks the API for, and what came of it.
type asked struct {
	path  string
	query url.Values
	got   row
	err   error
}

// together asks for several things at once.
func (v *visit) together(all ...*asked) {
	var group sync.WaitGroup
	for _, a := range all {
		group.Go(func() { a.got, a.err = v.get(a.path, a.query) })
	}
	group.Wait()
}

// apiOf is where the API has a character.
func apiOf(id string) string { return "/v1/characters/" + url.PathEscape(id) }

// frame asks who the character is, together with what else a page needs, and makes what its
// pages have in common. Of a moment at which there is nothing, it has the problem.
func (v *visit) frame(section string, others ...*asked) (*viewerData, error) {
	if err := v.whoami(); err != nil {
		return nil, err
	}
	d := &viewerData{ID: v.path("id"), Section: section}
	at := url.Values{}
	if moment := v.param("as_of"); moment != "" {
		at.Set("as_of", instant(moment))
	}
	character := &asked{path: apiOf(d.ID), query: at}
	v.together(append(others, character)...)
	if errors.As(character.err, &d.Problem) && len(at) > 0 && d.Problem.Status != http.StatusUnauthorized {
		// Nothing is known of that moment; of now, there may be.
		character.query = nil
		v.together(character)
	}
	if character.err != nil {
		return nil, character.err
	}
	d.Character = character.got
	if user := d.Character.Text("user_id"); user != "" {
		siblings := &asked{path: "/v1/characters", query: url.Values{"user_id": {user}, "limit": {"100"}}}
		v.together(siblings)
		for _, r := range siblings.got.Rows("items") {
			d.Siblings = append(d.Siblings, navLink{Text: r.Text("name"), Href: characterPath(r.Text("character_id")) + "/" + section, Here: r.Text("character_id") == d.ID})
		}
	}
	v.about(d)
	return d, nil
}

// about fills in what is known of the character itself.
func (v *visit) about(d *viewerData) {
	c := d.Character
	d.Own = c.Text("user_id") != "" && c.Text("user_id") == v.Me.Text("user_id")
	d.MayManage = d.Own || v.Me.Bool("superuser")
	d.Portrait = v.portrait("characters", d.ID, 64)
	d.Status = cell{Text: v.Word(c.Text("status")), Badge: badgeOf(c.Text("status"))}
	d.Facts = v.facts(c,
		named("corporation", "corporation"), named("alliance", "alliance"),
		column{Name: "main", Cell: func(v *visit, r row) cell {
			if r.Bool("is_main") || r.Text("main_id") == r.Text("character_id") {
				return cell{Text: v.T("viewer.is-main")}
			}
			return cell{Text: cmp.Or(r.Text("main_name"), r.Text("main_id")), Href: toCharacter("main_id")(r)}
		}},
		as(kindDay, "registered_at", "registered_at"),
		column{Name: "login", Cell: func(v *visit, r row) cell {
			state := r.Text("login.state")
			if state == "" || state == "active" || v.param("as_of") != "" {
				return cell{}
			}
			return cell{Text: v.Word("login_" + state), Badge: "warn", Title: r.Text("login.reason")}
		}},
	)
	name := url.PathEscape(c.Text("name"))
	d.Elsewhere = []navLink{
		{Text: "zKillboard", Href: "https://zkillboard.com/character/" + url.PathEscape(d.ID) + "/"},
		{Text: "EveWho", Href: "https://evewho.com/character/" + url.PathEscape(d.ID)},
		{Text: v.T("viewer.forums"), Href: "https://forums.eveonline.com/u/" + strings.ReplaceAll(name, "%20", "_") + "/summary"},
		{Text: "eve-search", Href: "https://eve-search.com/search/author/" + name},
	}
	v.tabs(d)
	d.Past = v.past(d)
}

// tabs are the rows of tabs, with those marked whose section does not stand well.
func (v *visit) tabs(d *viewerData) {
	states := map[string]row{}
	for _, r := range d.Character.Rows("sections") {
		states[r.Text("section")] = r
	}
	for _, g := range tabGroups() {
		first := tabLink{navLink: navLink{Text: v.T("group." + g.Name), Href: v.tabHref(g.Tabs[0].Section)}}
		var tabs []tabLink
		for _, t := range g.Tabs {
			link := tabLink{navLink: navLink{Text: v.T("section." + t.Section), Href: v.tabHref(t.Section), Here: t.Section == d.Section}}
			if status := states[t.Section].Text("status"); status != "" && status != "ok" {
				link.Mark, link.Title = badgeOf(status), v.Word(status)
			}
			first.Here = first.Here || link.Here
			tabs = append(tabs, link)
		}
		if first.Here {
			d.Tabs = tabs
		}
		d.Groups = append(d.Groups, first)
	}
	for _, place := range []struct{ name, path string }{{"timeline", "/timeline"}, {"ledger", "/ledger"}} {
		d.Groups = append(d.Groups, tabLink{navLink: navLink{Text: v.T("group." + place.name), Href: characterPath(d.ID) + place.path, Here: d.Section == place.name}})
	}
	if d.MayManage {
		d.Groups = append(d.Groups, tabLink{navLink: navLink{Text: v.T("group.manage"), Href: characterPath(d.ID) + "/manage", Here: d.Section == "manage"}})
	}
}

// tabHref is where a tab leads, at the moment that is shown.
func (v *visit) tabHref(section string) string {
	if section == sectionOverview {
		return v.within("")
	}
	return v.within("/" + section)
}

// standingOf says how a section stands, as its answer has it.
func (v *visit) standingOf(section string, answered row) *standing {
	status := answered.Text("status")
	made := &standing{
		Badge: cell{Text: v.Word(status), Badge: badgeOf(status)}, Observed: answered.Text("observed_at"), Validated: answered.Text("validated_at"),
		Outstanding: answered.Text("outstanding"), Class: answered.Text("failure.class"), Message: answered.Text("failure.message"), Since: answered.Text("failure.since"),
		NotConsented: status == "not_consented", NotYet: status == "not_yet",
	}
	if section != "skill-sets" {
		// How characters stand to skill sets follows from other sections.
		made.Changes = characterPath(v.path("id")) + "/" + section + "/changes"
	}
	return made
}

// viewer shows one section of a character.
func (s *Site) viewer(v *visit) error {
	section := cmp.Or(v.path("section"), sectionOverview)
	if section == sectionOverview {
		return v.overview()
	}
	if err := v.whoami(); err != nil {
		return err
	}
	t := tabOf(section)
	if t == nil {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("viewer.no-section", "Section", section)}
	}
	if v.param("_against") != "" {
		return v.comparison(t)
	}
	l := v.listOf(t)
	query := v.queryOf(l)
	if format := v.param("format"); format != "" && len(l.Columns) > 0 && !l.NoFiles {
		return v.file(l.Path, query, format, section)
	}
	content := &asked{path: l.Path, query: query}
	d, err := v.frame(section, content)
	if err != nil {
		return err
	}
	if d.Problem == nil && content.err != nil && !errors.As(content.err, &d.Problem) {
		return content.err
	}
	switch {
	case d.Problem == nil:
		v.fill(d, t, l, content.got)
	case d.Problem.Status == http.StatusUnauthorized:
		return d.Problem
	case len(l.Filters) > 0:
		// What was typed stays, to be put right.
		d.Table = &table{ID: l.ID, Filters: v.form(l), Empty: v.T("list.empty")}
	}
	return v.showTo(d.status(), "viewer", d.Character.Text("name"), d)
}

// status is that of a page: of the problem, if there is one.
func (d *viewerData) status() int {
	if d.Problem != nil {
		return d.Problem.Status
	}
	return http.StatusOK
}

// listOf is what a tab asks the API for, as a list also where it has values alone.
func (v *visit) listOf(t *tab) list {
	l := t.List
	l.ID, l.Path, l.Keep = cmp.Or(l.ID, t.Section), apiOf(v.path("id"))+"/"+t.Section, append([]string{"as_of"}, l.Keep...)
	if len(l.Columns) == 0 {
		l.Limit = -1
	}
	if t.Ready != nil {
		t.Ready(v, &l)
	}
	if v.tracesRows() {
		l.Query, l.Lines, l.Keep = url.Values{"provenance": {"true"}}, nil, append(l.Keep, originParam)
		if len(l.Columns) > 0 {
			l.Columns = append(slices.Clone(l.Columns), column{Name: "origin", Cell: origin})
		}
	}
	return l
}

// originParam has each row lead to the event that it comes from.
const originParam = "_origin"

// tracesRows tells whether rows lead to the events that they come from.
func (v *visit) tracesRows() bool { return v.param(originParam) != "" && v.Me.May("events.read") }

// origin leads to the event that a row comes from.
func origin(v *visit, r row) cell {
	id := r.Text("provenance.event_id")
	if id == "" {
		return cell{}
	}
	return cell{Text: v.T("story.event"), Title: r.Text("provenance.type"), Href: v.event(id)}
}

// fill makes what a tab shows of what the API answered.
func (v *visit) fill(d *viewerData, t *tab, l list, answered row) {
	d.Standing = v.standingOf(t.Section, answered)
	if d.Own && d.Standing.NotConsented {
		d.Standing.Again = d.ID
	}
	value := answered.Row("value")
	d.Values = v.facts(value, t.Facts...)
	if strings.HasSuffix(t.Text, "_html") {
		d.Prose = v.cell(as(kindHTML, "", t.Text), value).HTML
	}
	if len(l.Columns) > 0 {
		d.Table = v.tableOf(l, answered)
	}
	if t.More != nil {
		t.More(v, d, answered)
	}
	if v.tracesRows() && answered.Has("provenance") {
		d.Values = append(d.Values, fact{Name: v.T("column.origin"), Cell: origin(v, answered)})
	}
	if v.Me.May("events.read") {
		d.Standing.Origin = v.address(originParam, v.otherOrigin(), "cursor", "")
		d.Standing.Traced = v.tracesRows()
	}
}

// otherOrigin is what [originParam] is on the page that it leads to.
func (v *visit) otherOrigin() string {
	if v.tracesRows() {
		return ""
	}
	return "1"
}
