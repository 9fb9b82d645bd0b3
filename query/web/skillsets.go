package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// registerSkillSets adds the pages about what characters can do.
func (s *Site) registerSkillSets() {
	s.router.Get("/skill-sets", s.page(s.skillSets))
	s.router.Get("/skill-sets/new", s.page(s.newSkillSet))
	s.router.Post("/skill-sets/new", s.decision(s.saveSkillSet))
	s.router.Get("/skill-sets/import", s.page(s.importPage))
	s.router.Post("/skill-sets/import", s.decision(s.importSkills))
	s.router.Get("/skill-sets/report", s.page(s.skillSetReport))
	s.router.Get("/skill-sets/readiness", s.page(s.analyse(readiness)))
	s.router.Get("/skill-sets/groups", s.page(s.skillSetGroups))
	s.router.Post("/skill-sets/groups", s.decision(s.saveSkillSetGroup))
	s.router.Get("/skill-sets/groups/{id}", s.page(s.skillSetGroup))
	s.router.Post("/skill-sets/groups/{id}", s.decision(s.saveSkillSetGroup))
	s.router.Get("/skill-sets/{id}", s.page(s.skillSet))
	s.router.Get("/skill-sets/{id}/edit", s.page(s.editSkillSet))
	s.router.Post("/skill-sets/{id}/edit", s.decision(s.saveSkillSet))
	s.router.Post("/skill-sets/{id}/remove", s.decision(s.removeSkillSet))
	s.router.Get("/skill-sets/{id}/missing", s.page(s.missingSkills))
}

func skillSetTabs(v *visit) []navLink {
	tabs := v.besidePages("skillsets.tab-", "sets", "/skill-sets", "groups", "/skill-sets/groups")
	if v.Me.May("reports.read") {
		tabs = append(tabs, v.besidePages("skillsets.tab-", "report", "/skill-sets/report", "readiness", "/skill-sets/readiness")...)
	}
	return tabs
}

// skillSetPath is the page of a skill set.
func skillSetPath(id string) string { return "/skill-sets/" + url.PathEscape(id) }

func toSkillSet(r row) string { return skillSetPath(r.Text("skill_set_id")) }

// roman writes a level as the game does.
func roman(level string) string {
	switch level {
	case "1":
		return "I"
	case "2":
		return "II"
	case "3":
		return "III"
	case "4":
		return "IV"
	case "5":
		return "V"
	default:
		return level
	}
}

// nameOf is what stands in the first of the fields that has something.
func nameOf(r row, fields ...string) string {
	for _, field := range fields {
		if text := r.Text(field); text != "" {
			return text
		}
	}
	return ""
}

// levels are skills with the levels that somebody lacks, such as "Gunnery IV".
func levels(failed []row, atMost int) string {
	var words []string
	for _, f := range failed[:min(atMost, len(failed))] {
		words = append(words, nameOf(f, "type_name", "type_id")+" "+roman(f.Text("level")))
	}
	if more := len(failed) - atMost; more > 0 {
		words = append(words, "+"+strconv.Itoa(more))
	}
	return strings.Join(words, ", ")
}

// skillSetsPage is a list about skill sets.
type skillSetsPage struct {
	tabbedPage

	// MayDefine tells whether who looks may define skill sets.
	MayDefine bool
	// Form is a group's, nil for none.
	Form *setGroupForm
}

// labels are the groups that a skill set is in.
func labels(r row) string {
	var words []string
	for _, g := range r.Rows("groups") {
		words = append(words, g.Text("label"))
	}
	return strings.Join(words, ", ")
}

// skillSets lists skill sets.
func (s *Site) skillSets(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	var groups, answered row
	l := list{
		ID: "skill-sets", Path: "/v1/skill-sets",
		Columns: []column{
			{Name: "skill_set", Field: "name", Href: toSkillSet},
			{Name: "groups", Cell: func(_ *visit, r row) cell { return cell{Text: labels(r)} }},
			{Name: "ship", Field: "ship_type_name", Else: "ship_type_id"},
			{Name: "skills", Cell: func(v *visit, r row) cell {
				n := len(r.Rows("skills"))
				return cell{Text: v.Number(n), Value: strconv.Itoa(n), Class: "num"}
			}},
			{Name: "visible", Cell: func(v *visit, r row) cell {
				if r.Bool("visible") {
					return cell{Text: v.T("word.yes")}
				}
				return cell{Text: v.T("skillsets.audit-only"), Badge: "neutral"}
			}},
			{Name: "text", Field: "description"},
			{Name: "defined_at", Field: "defined_at", Kind: kindTime},
		},
	}
	filters := func(groups row) []filter {
		return []filter{{Name: "name"}, {Name: "group_id", Options: groupChoices(groups)}}
	}
	l.Filters = filters(nil)
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	if err := v.gather(want{path: l.Path, query: v.queryOf(l), into: &answered}, want{path: "/v1/skill-set-groups", query: url.Values{"limit": {"1000"}}, into: &groups}); err != nil {
		return err
	}
	l.Filters = filters(groups)
	return v.show("skillsets", v.T("skillsets.title"), skillSetsPage{
		tabbedPage: tabbedPage{Tabs: skillSetTabs(v), Intro: v.T("skillsets.text"), Table: v.tableOf(l, answered)}, MayDefine: v.Me.May("skill-sets.define"),
	})
}

// groupChoices are groups of skill sets as the choices of a filter.
func groupChoices(groups row) func(*visit) []option {
	return func(*visit) []option {
		var options []option
		for _, g := range groups.Rows("items") {
			options = append(options, option{Value: g.Text("skill_set_group_id"), Text: g.Text("label")})
		}
		return options
	}
}

// skillSetPage is what the page of a skill set shows.
type skillSetPage struct {
	Tabs      []navLink
	Set       row
	Facts     []fact
	Skills    *table
	MayDefine bool
	// Report is who has it, nil if who looks may not know.
	Report  *table
	Passed  string
	Closest *table
	Own     []option
}

// Path is the set's page.
func (p skillSetPage) Path() string { return toSkillSet(p.Set) }

// skillSet shows a skill set: what it needs, who has it and who comes closest.
func (s *Site) skillSet(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	id := v.path("id")
	var set, report, launcher row
	err := v.gather(
		want{path: "/v1/skill-sets/" + url.PathEscape(id), into: &set},
		want{path: "/v1/reports/skill-sets", query: url.Values{"skill_set_id": {id}, "closest": {"10"}}, into: &report, optional: true},
		want{path: "/v1/launcher", into: &launcher, optional: true},
	)
	if err != nil {
		return err
	}
	data := skillSetPage{Tabs: skillSetTabs(v), Set: set, MayDefine: v.Me.May("skill-sets.define")}
	data.Facts = v.facts(set,
		column{Name: "ship", Field: "ship_type_name", Else: "ship_type_id"}, column{Name: "groups", Cell: func(_ *visit, r row) cell { return cell{Text: labels(r)} }},
		column{Name: "visible", Cell: func(v *visit, r row) cell {
			if r.Bool("visible") {
				return cell{Text: v.T("word.yes")}
			}
			return cell{Text: v.T("skillsets.audit-only")}
		}},
		column{Name: "defined_at", Field: "defined_at", Kind: kindTime}, column{Name: "defined_by", Field: "defined_by"},
	)
	data.Skills = v.tableOf(list{ID: "skill-set-skills", Items: "skills", NoFiles: true, Columns: []column{
		{Name: "skill", Field: "type_name", Else: "type_id"},
		{Name: "required", Cell: func(_ *visit, r row) cell { return cell{Text: roman(r.Text("required"))} }},
		{Name: "recommended", Cell: func(_ *visit, r row) cell { return cell{Text: roman(r.Text("recommended"))} }},
	}}, set)
	for _, c := range launcher.Rows("cards") {
		data.Own = append(data.Own, option{Value: c.Text("character_id"), Text: c.Text("name")})
	}
	if reports := report.Rows("items"); len(reports) == 1 {
		r := reports[0]
		data.Passed = v.T("skillsets.passed", "Passed", v.Number(r.Text("passed")), "Characters", v.Number(r.Text("characters")))
		if n := r.Int("unread"); n > 0 {
			data.Passed += " " + v.T("skillsets.unread", "Count", n)
		}
		data.Report = v.tableOf(list{ID: "skill-set-who", Items: "who", NoFiles: true, Columns: holderColumns()}, r)
		data.Closest = v.tableOf(list{ID: "skill-set-closest", Items: "closest", NoFiles: true, Columns: append(holderColumns(),
			column{Name: "training_time", Cell: trainingOf}, column{Name: "missing_skills", Cell: func(_ *visit, c row) cell {
				return cell{Text: levels(c.Rows("failed_required"), 8), Href: missingPath(id, c.Text("character_id")), Class: "long"}
			}})}, r)
	}
	return v.show("skillset", set.Text("name"), data)
}

// missingPath is the page of what a character lacks for a skill set.
func missingPath(set, character string) string {
	return skillSetPath(set) + "/missing?" + url.Values{"character_id": {character}}.Encode()
}

// trainingOf is how long training takes; points where no time can be told.
func trainingOf(v *visit, r row) cell {
	if r.Has("seconds") {
		return cell{Text: v.Span(time.Duration(r.Int("seconds")) * time.Second), Value: r.Text("seconds"), Class: "num"}
	}
	return cell{Text: v.T("skillsets.points", "Points", v.Number(r.Text("skill_points"))), Class: "num"}
}

func holderColumns() []column {
	return []column{{Name: "character", Field: "name", Href: toCharacter("character_id")}, {Name: "main", Field: "main_name", Else: "main_id"}, {Name: "state", Field: "state"}}
}

// skillSetReport shows for each skill set who has it, and who comes closest.
func (s *Site) skillSetReport(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	const who, closest = 5, 3
	l := list{
		ID: "skill-set-report", Path: "/v1/reports/skill-sets", Query: url.Values{"who": {strconv.Itoa(who)}, "closest": {strconv.Itoa(closest)}}, Limit: 50,
		Columns: []column{
			{Name: "skill_set", Field: "name", Href: toSkillSet},
			{Name: "groups", Cell: func(_ *visit, r row) cell { return cell{Text: labels(r)} }},
			{Name: "passed", Cell: func(v *visit, r row) cell {
				badge := "warn"
				switch r.Text("passed") {
				case "0":
					badge = "bad"
				case r.Text("characters"):
					badge = "good"
				}
				return cell{Text: v.T("compliance.of", "Part", v.Number(r.Text("passed")), "All", v.Number(r.Text("characters"))), Badge: badge}
			}},
			{Name: "who", Cell: func(v *visit, r row) cell {
				var names []string
				for _, h := range r.Rows("who") {
					names = append(names, h.Text("name"))
				}
				if more := r.Int("passed") - int64(len(names)); more > 0 && len(names) > 0 {
					names = append(names, v.T("compliance.more", "Count", more))
				}
				return cell{Text: strings.Join(names, ", ")}
			}},
			{Name: "closest", Cell: func(v *visit, r row) cell {
				var names []string
				for _, h := range r.Rows("closest") {
					names = append(names, h.Text("name")+" ("+trainingOf(v, h).Text+")")
				}
				return cell{Text: strings.Join(names, ", ")}
			}},
			{Name: "unread", Field: "unread", Kind: kindNumber},
		},
	}
	filters := func(groups, corporations row) []filter {
		return []filter{{Name: "group_id", Options: groupChoices(groups)}, {Name: "corporation_id", Options: corporationChoices(corporations)}, {Name: "alliance_id", Kind: "number"}}
	}
	l.Filters = filters(nil, nil)
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	var answered, groups, corporations row
	err := v.gather(
		want{path: l.Path, query: v.queryOf(l), into: &answered},
		want{path: "/v1/skill-set-groups", query: url.Values{"limit": {"1000"}}, into: &groups, optional: true},
		want{path: "/v1/reports/compliance/corporations", query: url.Values{"limit": {"1000"}}, into: &corporations, optional: true},
	)
	if err != nil {
		return err
	}
	l.Filters = filters(groups, corporations)
	return v.show("tabbed", v.T("skillsets.title"), tabbedPage{Tabs: skillSetTabs(v), Intro: v.T("skillsets.report-text"), Table: v.tableOf(l, answered)})
}

// readiness is how many characters met each skill set over time.
func readiness(*visit) *analysis {
	return &analysis{
		ID: "readiness", Path: "/v1/analytics/skill-sets", Groups: []string{"group", "corporation", "character"}, Each: []string{"skill_set_id"}, EachName: "skill_set_name",
		Intervals: intervals(), AsOf: true, Tabs: skillSetTabs,
		Measures: []measure{
			{Name: "passed", Kind: kindNumber, Over: atItsEnd},
			{Name: "recommended", Kind: kindNumber, Over: atItsEnd},
			{Name: "characters", Kind: kindNumber, Over: atItsEnd},
			{Name: "gained_by_character", Kind: kindNumber},
			{Name: "lost_by_character", Kind: kindNumber},
			{Name: "gained_by_skill_set", Kind: kindNumber},
			{Name: "lost_by_skill_set", Kind: kindNumber},
		},
		Filters: []filter{{Name: "skill_set_id"}, {Name: "group_id"}, {Name: "corporation_id", Kind: "number"}},
		Choices: []choices{
			{Filter: "skill_set_id", Path: "/v1/skill-sets", Items: "items", Value: "skill_set_id", Text: "name"},
			{Filter: "group_id", Path: "/v1/skill-set-groups", Items: "items", Value: "skill_set_group_id", Text: "label"},
			ofCorporations(),
		},
	}
}

// missingPage is what a character lacks for a skill set.
type missingPage struct {
	Tabs         []navLink
	Answer       row
	Character    string
	CharacterURL string
	SetURL       string
	Verdict      cell
	Facts        []fact
	Skills       *table
	Rows         int
}

// missingSkills shows how a character stands to a skill set.
func (s *Site) missingSkills(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	id, character := v.path("id"), v.param("character_id")
	var answered, who row
	err := v.gather(
		want{path: "/v1/skill-sets/" + url.PathEscape(id) + "/missing", query: url.Values{"character_id": {character}}, into: &answered},
		want{path: "/v1/universe/names", query: url.Values{"entities": {character}}, into: &who, optional: true},
	)
	if err != nil {
		return err
	}
	data := missingPage{Tabs: skillSetTabs(v), Answer: answered, Character: nameOf(who.Row("entities"), character), CharacterURL: characterPath(character), SetURL: skillSetPath(id)}
	if data.Character == "" {
		data.Character = character
	}
	switch {
	case answered.Bool("has_required") && answered.Bool("has_recommended"):
		data.Verdict = cell{Text: v.T("skillsets.has-all"), Badge: "good"}
	case answered.Bool("has_required"):
		data.Verdict = cell{Text: v.T("skillsets.has-required"), Badge: "good"}
	default:
		data.Verdict = cell{Text: v.T("skillsets.has-not"), Badge: "bad"}
	}
	training := answered.Row("training")
	data.Facts = v.facts(training, column{Name: "training_time", Cell: trainingOf}, column{Name: "points_left", Field: "skill_points", Kind: kindNumber})
	data.Facts = append(data.Facts, v.facts(answered, column{Name: "read_at", Field: "observed_at", Kind: kindTime})...)
	data.Skills = v.tableOf(list{
		ID: "skill-set-standing", Items: "skills", NoFiles: true,
		Class: func(r row) string {
			return map[string]string{"full": "good", "partial": "warn", "none": "bad"}[r.Text("met")]
		},
		Columns: []column{
			{Name: "skill", Field: "type_name", Else: "type_id"},
			{Name: "required", Cell: func(_ *visit, r row) cell { return cell{Text: roman(r.Text("required"))} }},
			{Name: "recommended", Cell: func(_ *visit, r row) cell { return cell{Text: roman(r.Text("recommended"))} }},
			{Name: "has", Cell: func(v *visit, r row) cell {
				text := roman(r.Text("active_skill_level"))
				if text == "0" {
					text = "–"
				}
				if trained := r.Text("trained_skill_level"); trained != r.Text("active_skill_level") {
					text += " " + v.T("skillsets.trained", "Level", roman(trained))
				}
				return cell{Text: text}
			}},
			{Name: "met", Cell: func(v *visit, r row) cell {
				met := r.Text("met")
				return cell{Text: v.Word("met_" + met), Badge: map[string]string{"full": "good", "partial": "warn", "none": "bad"}[met]}
			}},
		},
	}, answered)
	data.Rows = min(20, max(3, strings.Count(answered.Text("text"), "\n")+1))
	return v.show("skillset_missing", v.T("skillsets.missing-of", "Character", data.Character, "Set", answered.Text("name")), data)
}

// setGroupForm is what is typed into the form of a group of skill sets.
type setGroupForm struct {
	ID, Name, Description string
	Doctrine, Active      bool
	Sets                  []option
	Problem               *refusal
}

// Path is where the form goes.
func (f setGroupForm) Path() string {
	if f.ID == "" {
		return "/skill-sets/groups"
	}
	return "/skill-sets/groups/" + url.PathEscape(f.ID)
}

// skillSetGroups lists groups of skill sets.
func (s *Site) skillSetGroups(v *visit) error {
	return s.showSkillSetGroups(v, &setGroupForm{Active: true}, nil)
}

func (s *Site) showSkillSetGroups(v *visit, form *setGroupForm, chosen []string) error {
	if err := v.whoami(); err != nil {
		return err
	}
	l := list{
		ID: "skill-set-groups", Path: "/v1/skill-set-groups",
		Columns: []column{
			{Name: "group", Field: "label", Href: func(r row) string { return "/skill-sets/groups/" + url.PathEscape(r.Text("skill_set_group_id")) }},
			{Name: "doctrine", Field: "doctrine", Kind: kindBool},
			{Name: "active", Field: "active", Kind: kindBool},
			{Name: "skill_sets", Cell: func(v *visit, r row) cell {
				n := len(r.Texts("skill_set_ids"))
				return cell{Text: v.Number(n), Value: strconv.Itoa(n), Class: "num", Href: "/skill-sets?group_id=" + url.QueryEscape(r.Text("skill_set_group_id"))}
			}},
			{Name: "text", Field: "description"},
			{Name: "defined_at", Field: "defined_at", Kind: kindTime},
		},
	}
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	var answered, sets row
	if err := v.gather(want{path: l.Path, query: v.queryOf(l), into: &answered}, want{path: "/v1/skill-sets", query: url.Values{"limit": {"1000"}}, into: &sets}); err != nil {
		return err
	}
	data := skillSetsPage{tabbedPage: tabbedPage{Tabs: skillSetTabs(v), Intro: v.T("skillsets.groups-text"), Table: v.tableOf(l, answered)}, MayDefine: v.Me.May("skill-sets.define")}
	if data.MayDefine {
		data.Form = form
		form.Sets = setChoices(sets, chosen)
	}
	return v.showTo(statusOf(form.Problem), "skillset_groups", v.T("skillsets.title"), data)
}

// setChoices are skill sets to choose from.
func setChoices(sets row, chosen []string) []option {
	var options []option
	for _, set := range sets.Rows("items") {
		id := set.Text("skill_set_id")
		options = append(options, option{Value: id, Text: set.Text("name"), Chosen: slices.Contains(chosen, id)})
	}
	return options
}

// skillSetGroup shows a group of skill sets.
func (s *Site) skillSetGroup(v *visit) error { return s.showSkillSetGroup(v, nil, nil) }

func (s *Site) showSkillSetGroup(v *visit, form *setGroupForm, chosen []string) error {
	if err := v.whoami(); err != nil {
		return err
	}
	id := v.path("id")
	var g, all row
	if err := v.gather(want{path: "/v1/skill-set-groups/" + url.PathEscape(id), into: &g}, want{path: "/v1/skill-sets", query: url.Values{"limit": {"1000"}}, into: &all}); err != nil {
		return err
	}
	in := g.Texts("skill_set_ids")
	if form == nil {
		form, chosen = &setGroupForm{ID: id, Name: g.Text("name"), Description: g.Text("description"), Doctrine: g.Bool("doctrine"), Active: g.Bool("active")}, in
	}
	form.Sets = setChoices(all, chosen)
	members := []any{}
	for _, set := range all.Rows("items") {
		if slices.Contains(in, set.Text("skill_set_id")) {
			members = append(members, map[string]any(set))
		}
	}
	data := skillSetsPage{MayDefine: v.Me.May("skill-sets.define"), tabbedPage: tabbedPage{Tabs: skillSetTabs(v), Intro: g.Text("description")}}
	data.Table = v.tableOf(list{ID: "group-sets", NoFiles: true, Columns: []column{{Name: "skill_set", Field: "name", Href: toSkillSet}, {Name: "ship", Field: "ship_type_name"}, {Name: "text", Field: "description"}}}, row{"items": members})
	if data.MayDefine {
		data.Form = form
	}
	return v.showTo(statusOf(form.Problem), "skillset_groups", g.Text("label"), data)
}

// saveSkillSetGroup defines a group, changes one, or removes it.
func (s *Site) saveSkillSetGroup(v *visit) (string, error) {
	f := v.r.Form
	form := &setGroupForm{ID: v.path("id"), Name: strings.TrimSpace(f.Get("name")), Description: strings.TrimSpace(f.Get("description")), Doctrine: f.Get("doctrine") != "", Active: f.Get("active") != ""}
	chosen := f["skill_set_ids"]
	const path = "/v1/skill-set-groups"
	var err error
	done := "set-group-defined"
	body := map[string]any{"name": form.Name, "description": form.Description, "doctrine": form.Doctrine, "active": form.Active, "skill_set_ids": append([]string{}, chosen...)}
	switch {
	case form.ID == "":
		_, err = v.send(http.MethodPost, path, nil, body)
	case f.Get("do") == "remove":
		done = "set-group-removed"
		_, err = v.send(http.MethodDelete, path+"/"+url.PathEscape(form.ID), nil, nil)
	default:
		_, err = v.send(http.MethodPut, path+"/"+url.PathEscape(form.ID), nil, body)
	}
	if err == nil {
		return "/skill-sets/groups?done=" + done, nil
	}
	if form.Problem = atForm(err); form.Problem == nil {
		return "", err
	}
	if form.ID == "" {
		return "", s.showSkillSetGroups(v, form, chosen)
	}
	return "", s.showSkillSetGroup(v, form, chosen)
}
