package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// users lists who uses Muster.
func (s *Site) users(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "users", Path: "/v1/users",
		Filters: []filter{{Name: "name"}, {Name: "state"}, {Name: "role"}, {Name: "permission", Options: words(permissions()...)}, {Name: "active", Options: yesNo}, {Name: "superuser", Options: yesNo}},
		Columns: []column{
			{Name: "user", Field: "name", Else: "user_id", Href: func(r row) string { return "/users/" + url.PathEscape(r.Text("user_id")) }},
			{Name: "main", Field: "main_name", Else: "main_id", Href: toCharacter("main_id")},
			{Name: "state", Field: "state"},
			{Name: "active", Field: "active", Kind: kindBool},
			{Name: "superuser", Field: "superuser", Kind: kindBool},
			{Name: "characters", Field: "registered_characters", Kind: kindNumber},
			{Name: "unregistered", Field: "unregistered_characters", Kind: kindNumber},
			{Name: "roles", Field: "roles", Kind: kindWords},
		},
	})
	if err != nil {
		return err
	}
	return v.show("list", v.T("users.title"), listPage{Table: t})
}

// permissions are those that a role may give, as Member Audit names them.
func permissions() []string {
	return []string{
		"basic_access", "share_characters", "finder_access", "reports_access", "exports_access", "scoped_exports_access", "characters_access",
		"view_shared_characters", "view_same_corporation", "view_same_alliance", "view_everything", "view_skill_sets", "notified_on_character_removal",
	}
}

// userData is what the page of a user shows.
type userData struct {
	User        row
	Facts       []fact
	Roles       []string
	Others      []string
	Permissions *table
	Actions     *table
	Characters  *table
	May         bool
}

// user shows what somebody may do, and where that comes from.
func (s *Site) user(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	var one, all row
	err := v.gather(want{path: "/v1/users/" + url.PathEscape(v.path("id")), into: &one}, want{path: "/v1/roles", query: url.Values{"limit": {"1000"}}, into: &all, optional: true})
	if err != nil {
		return err
	}
	data := userData{User: one, Roles: one.Texts("roles"), May: v.Me.May("users.change")}
	for _, r := range all.Rows("items") {
		if name := r.Text("name"); !slices.Contains(data.Roles, name) {
			data.Others = append(data.Others, name)
		}
	}
	data.Facts = v.facts(one,
		column{Name: "main", Field: "main_name", Else: "main_id", Href: toCharacter("main_id")}, column{Name: "state", Field: "state"},
		column{Name: "active", Field: "active", Kind: kindBadge}, column{Name: "superuser", Field: "superuser", Kind: kindBool}, column{Name: "held_roles", Field: "held_roles", Kind: kindWords},
	)
	data.Permissions = v.tableOf(list{ID: "permissions", Items: "permissions", NoFiles: true, Quiet: true, Columns: []column{
		{Name: "permission", Field: "permission", Kind: kindWord}, {Name: "comes_from", Field: "from", Kind: kindWords},
	}}, one)
	data.Actions = v.tableOf(list{ID: "actions", Items: "actions", NoFiles: true, Quiet: true, Columns: []column{
		{Name: "action", Field: "action"}, {Name: "reach", Field: "reach", Kind: kindWord},
	}}, one)
	data.Characters = v.tableOf(list{ID: "owned", Items: "characters", NoFiles: true, Quiet: true, Columns: []column{
		{Name: "character", Field: "name", Else: "character_id", Href: func(r row) string {
			if !r.Bool("registered") {
				return ""
			}
			return characterPath(r.Text("character_id"))
		}},
		{Name: "main", Field: "main", Kind: kindBool},
		{Name: "registered", Field: "registered", Kind: kindBool},
		{Name: "shared", Field: "shared", Kind: kindBool},
	}}, one)
	title := one.Text("name")
	for _, field := range []string{"main_name", "user_id"} {
		if title == "" {
			title = one.Text(field)
		}
	}
	return v.show("user", title, data)
}

// decideOnUser carries out what an administrator has decided about somebody.
func (s *Site) decideOnUser(v *visit) (string, error) {
	path := "/v1/users/" + url.PathEscape(v.path("id"))
	role := url.PathEscape(v.r.PostFormValue("role"))
	do := v.r.PostFormValue("do")
	var err error
	switch do {
	case "activate", "deactivate":
		_, err = v.send(http.MethodPatch, path, nil, map[string]any{"active": do == "activate"})
	case "promote", "demote":
		_, err = v.send(http.MethodPatch, path, nil, map[string]any{"superuser": do == "promote"})
	case "move":
		_, err = v.send(http.MethodPatch, path, nil, map[string]any{"state": strings.TrimSpace(v.r.PostFormValue("state"))})
	case "grant":
		_, err = v.send(http.MethodPut, path+"/roles/"+role, nil, nil)
	case "revoke":
		_, err = v.send(http.MethodDelete, path+"/roles/"+role, nil, nil)
	default:
		return "", &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("problem.unknown-decision", "Decision", do)}
	}
	return v.back("/users/"+url.PathEscape(v.path("id")), "user"), err
}

// roles lists what roles there are.
func (s *Site) roles(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "roles", Path: "/v1/roles",
		Columns: []column{
			{Name: "role", Field: "name", Href: func(r row) string { return "/roles/" + url.PathEscape(r.Text("name")) }},
			{Name: "text", Field: "description"},
			{Name: "permissions", Field: "permissions", Kind: kindWords},
			{Name: "states", Field: "states", Kind: kindWords},
			{Name: "groups", Field: "compliance_groups", Kind: kindWords},
		},
	})
	if err != nil {
		return err
	}
	return v.show("roles", v.T("roles.title"), roleData{Table: t, Form: v.roleForm(row{}), May: v.Me.May("users.change")})
}

// roleData is what the pages of roles show.
type roleData struct {
	Table *table
	Form  roleForm
	May   bool
	// Problem is why what was typed was refused.
	Problem *refusal
}

// roleForm is a role as a form shows it.
type roleForm struct {
	Name, Text, States, Groups, Sections string
	Permissions                          []option
	New                                  bool
}

func (v *visit) roleForm(r row) roleForm {
	f := roleForm{
		Name: r.Text("name"), Text: r.Text("description"), States: strings.Join(r.Texts("states"), ", "), Groups: strings.Join(r.Texts("compliance_groups"), ", "),
		Sections: strings.Join(r.Texts("sections"), ", "), New: r.Text("name") == "",
	}
	held := r.Texts("permissions")
	for _, p := range permissions() {
		f.Permissions = append(f.Permissions, option{Value: p, Text: v.Word(p), Chosen: slices.Contains(held, p)})
	}
	return f
}

// role shows a role to change it.
func (s *Site) role(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	one, err := v.get("/v1/roles/"+url.PathEscape(v.path("name")), nil)
	if err != nil {
		return err
	}
	return v.show("roles", one.Text("name"), roleData{Form: v.roleForm(one), May: v.Me.May("users.change")})
}

// decideOnRole defines a role, or removes it. What was typed stays if it is refused.
func (s *Site) decideOnRole(v *visit) (string, error) {
	name := v.path("name")
	if name == "" {
		name = strings.TrimSpace(v.r.PostFormValue("name"))
	}
	path := "/v1/roles/" + url.PathEscape(name)
	if v.r.PostFormValue("do") == "remove" {
		_, err := v.send(http.MethodDelete, path, nil, nil)
		return "/roles?done=role-removed", err
	}
	body := map[string]any{"permissions": append([]string{}, v.r.Form["permissions"]...), "description": strings.TrimSpace(v.r.PostFormValue("text"))}
	typed := row{"name": name, "description": body["description"], "permissions": anyOf(v.r.Form["permissions"])}
	for field, key := range map[string]string{"states": "states", "groups": "compliance_groups", "sections": "sections"} {
		if listed := parts(v.r.PostFormValue(field)); len(listed) > 0 {
			body[key] = listed
			typed[key] = anyOf(listed)
		}
	}
	if name == "" {
		return "", &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("roles.needs-name")}
	}
	_, err := v.send(http.MethodPut, path, nil, body)
	if refused := atForm(err); refused != nil {
		if err := v.whoami(); err != nil {
			return "", err
		}
		form := v.roleForm(typed)
		form.New = v.path("name") == ""
		return "", v.showTo(refused.Status, "roles", v.T("roles.title"), roleData{Form: form, May: true, Problem: refused})
	}
	return "/roles/" + url.PathEscape(name) + "?done=role", err
}

// anyOf makes a list of a row of texts.
func anyOf(texts []string) []any {
	list := make([]any, 0, len(texts))
	for _, t := range texts {
		list = append(list, t)
	}
	return list
}

// parts are what stands between commas and at line ends, without blanks.
func parts(text string) []string {
	var found []string
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if part = strings.TrimSpace(part); part != "" {
			found = append(found, part)
		}
	}
	return found
}
