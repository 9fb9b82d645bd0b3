package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// setForm is what is typed into the editor of a skill set.
type setForm struct {
	// ID is the set's that is changed; empty for a new one.
	ID, Name, Description, Ship string
	Visible                     bool
	Skills                      []skillLine
	Problem                     *refusal
}

// skillLine is a line of the editor; an empty name is an empty line.
type skillLine struct {
	Name                  string
	Required, Recommended []option
}

// setEditor is what the page of the editor shows.
type setEditor struct {
	Tabs []navLink
	Form setForm
}

// Path is where the form goes.
func (f setForm) Path() string {
	if f.ID == "" {
		return "/skill-sets/new"
	}
	return skillSetPath(f.ID) + "/edit"
}

// Back is where somebody goes who changes nothing.
func (f setForm) Back() string {
	if f.ID == "" {
		return "/skill-sets"
	}
	return skillSetPath(f.ID)
}

// emptyLines are how many lines the editor adds for more skills.
const emptyLines = 5

// levelChoices are the levels of a skill, or none.
func levelChoices(chosen string) []option {
	options := []option{{Text: "–", Chosen: chosen == ""}}
	for level := 1; level <= 5; level++ {
		text := strconv.Itoa(level)
		options = append(options, option{Value: text, Text: roman(text), Chosen: text == chosen})
	}
	return options
}

func skillLineOf(name, required, recommended string) skillLine {
	return skillLine{Name: name, Required: levelChoices(required), Recommended: levelChoices(recommended)}
}

// more adds empty lines.
func (f *setForm) more() {
	for range emptyLines {
		f.Skills = append(f.Skills, skillLineOf("", "", ""))
	}
}

// formOf fills the editor with a skill set.
func formOf(set row) setForm {
	form := setForm{ID: set.Text("skill_set_id"), Name: set.Text("name"), Description: set.Text("description"), Ship: nameOf(set, "ship_type_id"), Visible: set.Bool("visible")}
	for _, skill := range set.Rows("skills") {
		form.Skills = append(form.Skills, skillLineOf(nameOf(skill, "type_name", "type_id"), skill.Text("required"), skill.Text("recommended")))
	}
	form.more()
	return form
}

// newSkillSet shows the empty editor, or a copy of the set that "of" names.
func (s *Site) newSkillSet(v *visit) error {
	form := setForm{Visible: true}
	if of := v.param("of"); of != "" {
		set, err := v.get("/v1/skill-sets/"+url.PathEscape(of), nil)
		if err != nil {
			return err
		}
		form = formOf(set)
		form.ID, form.Name = "", v.T("skillsets.copy-of", "Name", form.Name)
	} else {
		form.more()
	}
	return s.showEditor(v, form)
}

// editSkillSet shows the editor with a skill set.
func (s *Site) editSkillSet(v *visit) error {
	set, err := v.get("/v1/skill-sets/"+url.PathEscape(v.path("id")), nil)
	if err != nil {
		return err
	}
	return s.showEditor(v, formOf(set))
}

func (s *Site) showEditor(v *visit, form setForm) error {
	if err := v.whoami(); err != nil {
		return err
	}
	if !v.Me.May("skill-sets.define") {
		return &refusal{Status: http.StatusForbidden, Detail: v.T("skillsets.may-not-define")}
	}
	title := v.T("skillsets.new")
	if form.ID != "" {
		title = v.T("skillsets.edit", "Name", form.Name)
	}
	return v.showTo(statusOf(form.Problem), "skillset_edit", title, setEditor{Tabs: skillSetTabs(v), Form: form})
}

// typedSet reads what was typed into the editor, and what the API is asked for by it. A line
// without a name is no skill.
func typedSet(f url.Values, id string) (setForm, map[string]any) {
	form := setForm{ID: id, Name: strings.TrimSpace(f.Get("name")), Description: strings.TrimSpace(f.Get("description")), Ship: strings.TrimSpace(f.Get("ship_type_id")), Visible: f.Get("visible") != ""}
	at := func(name string, i int) string {
		if i < len(f[name]) {
			return strings.TrimSpace(f[name][i])
		}
		return ""
	}
	skills := []map[string]any{}
	for i := range f["skill"] {
		name, required, recommended := at("skill", i), at("required", i), at("recommended", i)
		if name == "" {
			continue
		}
		form.Skills = append(form.Skills, skillLineOf(name, required, recommended))
		skill := map[string]any{"type_name": name}
		if id, err := strconv.ParseInt(name, 10, 64); err == nil {
			skill = map[string]any{"type_id": id}
		}
		for field, text := range map[string]string{"required": required, "recommended": recommended} {
			if level, err := strconv.Atoi(text); err == nil {
				skill[field] = level
			}
		}
		skills = append(skills, skill)
	}
	form.more()
	body := map[string]any{"name": form.Name, "description": form.Description, "visible": form.Visible, "skills": skills}
	if ship, err := strconv.ParseInt(form.Ship, 10, 64); err == nil {
		body["ship_type_id"] = ship
	}
	return form, body
}

// saveSkillSet defines a skill set, or gives one another definition.
func (s *Site) saveSkillSet(v *visit) (string, error) {
	form, body := typedSet(v.r.Form, v.path("id"))
	if v.r.PostFormValue("do") == "more" {
		return "", s.showEditor(v, form)
	}
	var saved row
	var err error
	if form.ID == "" {
		saved, err = v.send(http.MethodPost, "/v1/skill-sets", nil, body)
	} else {
		saved, err = v.send(http.MethodPut, "/v1/skill-sets/"+url.PathEscape(form.ID), nil, body)
	}
	if err != nil {
		if form.Problem = atForm(err); form.Problem == nil {
			return "", err
		}
		return "", s.showEditor(v, form)
	}
	return skillSetPath(nameOf(saved, "skill_set_id")) + "?done=set-saved", nil
}

// removeSkillSet removes a skill set.
func (s *Site) removeSkillSet(v *visit) (string, error) {
	query := url.Values{}
	if reason := v.r.PostFormValue("reason"); reason != "" {
		query.Set("reason", reason)
	}
	_, err := v.send(http.MethodDelete, "/v1/skill-sets/"+url.PathEscape(v.path("id")), query, nil)
	return "/skill-sets?done=set-removed", err
}

// importForm is what is typed into the form that makes a skill set of a text.
type importForm struct {
	Kind, Text, Name, Description string
	Visible, Overwrite            bool
	Problem                       *refusal
}

// importData is what the page of the import shows.
type importData struct {
	Tabs []navLink
	Form importForm
	// Read is what the text says; nil before it was read.
	Read    row
	Skills  *table
	Ignored *table
}

// importPage asks for a fitting or a skill plan.
func (s *Site) importPage(v *visit) error {
	form := importForm{Kind: v.param("kind"), Visible: true}
	if form.Kind != "plan" {
		form.Kind = "fitting"
	}
	return s.showImport(v, form, nil)
}

func (s *Site) showImport(v *visit, form importForm, read row) error {
	if err := v.whoami(); err != nil {
		return err
	}
	if !v.Me.May("skill-sets.define") {
		return &refusal{Status: http.StatusForbidden, Detail: v.T("skillsets.may-not-define")}
	}
	data := importData{Tabs: skillSetTabs(v), Form: form, Read: read}
	if read != nil {
		data.Skills = v.tableOf(list{ID: "import-skills", Items: "skills", NoFiles: true, Columns: []column{
			{Name: "skill", Field: "type_name", Else: "type_id"}, {Name: "required", Cell: func(_ *visit, r row) cell { return cell{Text: roman(r.Text("required"))} }},
		}}, read)
		if len(read.Rows("ignored")) > 0 {
			data.Ignored = v.tableOf(list{ID: "import-ignored", Items: "ignored", NoFiles: true, Columns: []column{
				{Name: "line", Field: "line", Kind: kindNumber}, {Name: "read_text", Field: "text"}, {Name: "why", Field: "reason"},
			}}, read)
		}
	}
	return v.showTo(statusOf(form.Problem), "skillset_import", v.T("skillsets.import"), data)
}

// importSkills reads a fitting or a skill plan, and makes a skill set of it once it was seen
// what comes of it.
func (s *Site) importSkills(v *visit) (string, error) {
	f := v.r.Form
	form := importForm{Kind: f.Get("kind"), Text: f.Get("text"), Name: strings.TrimSpace(f.Get("name")), Description: strings.TrimSpace(f.Get("description")), Visible: f.Get("visible") != "", Overwrite: f.Get("overwrite") != ""}
	path := "/v1/skill-sets/import-fitting"
	if form.Kind == "plan" {
		path = "/v1/skill-sets/import-plan"
	}
	body := map[string]any{"text": form.Text, "visible": form.Visible, "overwrite": form.Overwrite, "dry_run": f.Get("do") != "make"}
	if form.Name != "" {
		body["name"] = form.Name
	}
	if form.Description != "" {
		body["description"] = form.Description
	}
	read, err := v.send(http.MethodPost, path, nil, body)
	if err != nil {
		if form.Problem = atForm(err); form.Problem == nil {
			return "", err
		}
		return "", s.showImport(v, form, nil)
	}
	if f.Get("do") == "make" {
		return skillSetPath(read.Text("skill_set_id")) + "?done=set-saved", nil
	}
	if form.Name == "" {
		form.Name = read.Text("name")
	}
	return "", s.showImport(v, form, read)
}
