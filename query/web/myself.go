package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// registerMyself adds the pages about who looks, and about who has looked at what is his.
func (s *Site) registerMyself() {
	s.router.Get("/me", s.page(s.myself))
	s.router.Get("/me/tokens", s.page(s.tokens))
	s.router.Post("/me/tokens", s.decision(s.issueToken))
	s.router.Post("/me/tokens/{id}/revoke", s.decision(s.revokeToken))
	s.router.Get("/access-log", s.page(s.accessLog))
	s.router.Get("/access-log/trend", s.page(s.analyse(looksTrend)))
}

func myTabs(v *visit) []navLink {
	return v.besidePages("myself.tab-", "me", "/me", "tokens", "/me/tokens", "looks", "/access-log", "trend", "/access-log/trend")
}

// permitted is a permission with where it comes from.
type permitted struct {
	Name string
	From []string
	// Sections bound it; none is all.
	Sections []string
}

// myPage is what the page about oneself shows.
type myPage struct {
	Tabs        []navLink
	Facts       []fact
	Permissions []permitted
	// Actions are what somebody may do, by how far.
	Actions    []permitted
	Groups     *table
	Roles      *table
	Characters *table
	Looks      *table
	Superuser  bool
}

// myself shows who looks: what he may do and why, and who has looked at what is his.
func (s *Site) myself(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	looks := looksList(v)
	looks.Filters, looks.NoFiles, looks.Limit = nil, true, 10
	var user, seen row
	err := v.gather(
		want{path: "/v1/me/user", into: &user, optional: true},
		want{path: looks.Path, query: url.Values{"limit": {"10"}, "user_id": {v.Me.Text("user_id")}}, into: &seen, optional: true},
	)
	if err != nil {
		return err
	}
	data := myPage{Tabs: myTabs(v), Superuser: v.Me.Bool("superuser")}
	data.Facts = v.facts(user,
		column{Name: "user", Field: "user_id"}, column{Name: "main", Field: "main_name", Else: "main_id", Href: toCharacter("main_id")}, column{Name: "state", Field: "state"},
		column{Name: "registered", Cell: func(v *visit, r row) cell {
			all := r.Int("registered_characters") + r.Int("unregistered_characters")
			return cell{Text: v.T("compliance.of", "Part", v.Number(r.Text("registered_characters")), "All", v.Number(all))}
		}},
	)
	data.Facts = append(data.Facts, v.facts(v.Me.row, column{Name: "superuser", Field: "superuser", Kind: kindBool}, column{Name: "session_until", Field: "expires_at", Kind: kindTime})...)
	for _, p := range user.Rows("permissions") {
		from := p.Texts("from")
		for i := range from {
			if from[i] == "import" {
				from[i] = v.T("myself.from-import")
			}
		}
		data.Permissions = append(data.Permissions, permitted{Name: v.T("permission." + p.Text("permission")), From: from, Sections: p.Texts("sections")})
	}
	for _, reach := range []string{"own", "seen", "all"} {
		may := permitted{Name: v.Word("reach_" + reach)}
		for _, a := range user.Rows("actions") {
			if a.Text("reach") == reach {
				may.From = append(may.From, v.T("action."+a.Text("action")))
			}
		}
		if len(may.From) > 0 {
			data.Actions = append(data.Actions, may)
		}
	}
	data.Groups = v.tableOf(list{ID: "my-groups", Items: "compliance_groups", NoFiles: true, Columns: []column{{Name: "group", Field: "name"}, {Name: "since", Field: "since", Kind: kindTime}}}, user)
	data.Roles = v.tableOf(list{ID: "my-roles", Items: "held_roles", NoFiles: true, Columns: []column{
		{Name: "role", Field: "name"},
		{Name: "held_through", Cell: func(v *visit, r row) cell {
			switch {
			case r.Has("state"):
				return cell{Text: v.T("myself.through-state", "State", r.Text("state"))}
			case r.Has("compliance_group"):
				return cell{Text: v.T("myself.through-group", "Group", r.Text("compliance_group"))}
			default:
				return cell{Text: v.T("myself.granted")}
			}
		}},
		{Name: "only_sections", Field: "sections", Kind: kindWords},
	}}, user)
	data.Looks = v.tableOf(looks, row{"items": seen["items"]})
	return v.show("me", v.T("myself.title"), data)
}

// tokenForm is what is typed into the form that issues a token.
type tokenForm struct {
	Name, Days string
	Scope      []option
	// Program: it is for a program, which MayPrograms says whoever looks may issue it for.
	Program, MayPrograms bool
	Problem              *refusal
}

// tokensPage is what the page of tokens shows.
type tokensPage struct {
	Tabs   []navLink
	Table  *table
	Tokens []tokenLine
	Form   tokenForm
	// Issued is a token that was just issued: it is told this once.
	Issued row
}

// tokenLine is a token of the list.
type tokenLine struct {
	row
	Cells []cell
}

// tokens lists tokens, and has a form for another one.
func (s *Site) tokens(v *visit) error {
	return s.showTokens(v, tokenForm{Days: "90", Scope: v.tokenScopes([]string{"characters.read"})}, nil)
}

// tokenScopes are the actions that a token may be bounded by.
func (v *visit) tokenScopes(chosen []string) []option {
	if err := v.whoami(); err != nil {
		return nil
	}
	var options []option
	for _, action := range v.Me.Texts("actions") {
		if action == "tokens.manage" {
			continue // a token issues no tokens
		}
		options = append(options, option{Value: action, Text: v.T("action." + action), Chosen: slices.Contains(chosen, action)})
	}
	return options
}

func (s *Site) showTokens(v *visit, form tokenForm, issued row) error {
	if err := v.whoami(); err != nil {
		return err
	}
	columns := []column{
		{Name: "name", Field: "name"},
		{Name: "status", Field: "status", Kind: kindBadge},
		{Name: "scope", Cell: func(v *visit, r row) cell {
			var words []string
			for _, action := range r.Texts("scope") {
				words = append(words, v.T("action."+action))
			}
			if len(words) == 0 {
				return cell{Text: v.T("myself.whole-scope")}
			}
			const shown = 3
			if len(words) > shown {
				return cell{Text: strings.Join(words[:shown], ", ") + " +" + v.Number(len(words)-shown), Title: strings.Join(words, ", ")}
			}
			return cell{Text: strings.Join(words, ", ")}
		}},
		{Name: "user", Field: "user_id"},
		{Name: "issued_at", Field: "issued_at", Kind: kindTime},
		{Name: "expires_at", Field: "expires_at", Kind: kindTime},
		{Name: "last_used_at", Field: "last_used_at", Kind: kindTime},
	}
	t, answered, err := v.list(list{ID: "tokens", Path: "/v1/tokens", Columns: columns, NoFiles: true})
	if err != nil {
		return err
	}
	form.MayPrograms = v.Me.Bool("superuser")
	data := tokensPage{Tabs: myTabs(v), Table: t, Form: form, Issued: issued}
	for i, r := range answered.Rows("items") {
		data.Tokens = append(data.Tokens, tokenLine{row: r, Cells: t.Lines[i].Cells})
	}
	return v.showTo(statusOf(form.Problem), "tokens", v.T("myself.tokens"), data)
}

// issueToken issues a token, and shows it this once.
func (s *Site) issueToken(v *visit) (string, error) {
	f := v.r.Form
	form := tokenForm{Name: strings.TrimSpace(f.Get("name")), Days: strings.TrimSpace(f.Get("days")), Scope: v.tokenScopes(f["scope"])}
	body := map[string]any{"name": form.Name, "scope": append([]string{}, f["scope"]...)}
	if form.Program = f.Get("program") != ""; form.Program {
		body["program"] = true
	}
	if days := (row{"n": form.Days}).Int("n"); days > 0 {
		body["expires_at"] = s.config.Now().Add(time.Duration(min(days, 36500)) * 24 * time.Hour).UTC().Format(time.RFC3339)
	}
	issued, err := v.send(http.MethodPost, "/v1/tokens", nil, body)
	if err != nil {
		if form.Problem = atForm(err); form.Problem == nil {
			return "", err
		}
		return "", s.showTokens(v, form, nil)
	}
	return "", s.showTokens(v, tokenForm{Days: "90", Scope: v.tokenScopes([]string{"characters.read"})}, issued)
}

// revokeToken revokes a token.
func (s *Site) revokeToken(v *visit) (string, error) {
	_, err := v.send(http.MethodDelete, "/v1/tokens/"+url.PathEscape(v.path("id")), nil, nil)
	return "/me/tokens?done=token-revoked", err
}

// looksList lists who looked at data of others: at one's own, and for those who may at all.
func looksList(*visit) list {
	return list{
		ID: "access-log", Path: "/v1/access-log",
		Filters: []filter{
			{Name: "user_id"}, {Name: "viewer"}, {Name: "section"}, {Name: "character_id", Kind: "number"}, {Name: "since", Kind: "datetime"}, {Name: "until", Kind: "datetime"},
		},
		Columns: []column{
			{Name: "last_at", Field: "last_at", Kind: kindTime},
			{Name: "viewer", Field: "viewer_name", Else: "viewer_id"},
			{Name: "looked_at", Cell: func(v *visit, r row) cell {
				return cell{Text: v.lookedAt(r.Text("section"))}
			}},
			{Name: "character", Cell: func(_ *visit, r row) cell {
				return cell{Text: nameOf(r, "character_name", "character_id"), Href: toCharacter("character_id")(r)}
			}},
			{Name: "owner", Field: "user_name", Else: "user_id"},
			{Name: "way", Cell: func(v *visit, r row) cell { return cell{Text: v.T("way." + r.Text("way"))} }},
			{Name: "times", Field: "count", Kind: kindNumber},
			{Name: "rows_shown", Cell: func(v *visit, r row) cell {
				if r.Int("rows") == 0 {
					return cell{}
				}
				return cell{Text: v.Number(r.Text("rows")), Value: r.Text("rows"), Class: "num"}
			}},
		},
	}
}

// lookedAt says in words what was looked at: a section of a character, or what an operation
// answers.
func (v *visit) lookedAt(section string) string {
	for _, prefix := range []string{"looked.", "section."} {
		if text := v.T(prefix + section); text != prefix+section {
			return text
		}
	}
	return v.Word(strings.ReplaceAll(section, "-", "_"))
}

// accessLog shows who looked at what.
func (s *Site) accessLog(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	l := looksList(v)
	intro := "myself.looks-text"
	if v.Me.Bool("superuser") || v.Me.Text("kind") != "user" {
		intro = "myself.all-looks-text"
	} else {
		// Nobody else's is shown to him.
		l.Filters = l.Filters[1:]
	}
	t, _, err := v.list(l)
	if err != nil {
		return err
	}
	return v.show("tabbed", v.T("myself.looks"), tabbedPage{Tabs: myTabs(v), Intro: v.T(intro), Table: t})
}

// looksTrend is who looked over time.
func looksTrend(v *visit) *analysis {
	_ = v.whoami()
	a := &analysis{
		ID: "looks", Path: "/v1/analytics/access-log", Groups: []string{"section", "viewer", "way"}, Intervals: intervals(), AsOf: true, Tabs: myTabs,
		Measures: []measure{
			{Name: "looks", Kind: kindNumber}, {Name: "viewers", Kind: kindNumber, Over: apart}, {Name: "owners", Kind: kindNumber, Over: apart}, {Name: "characters", Kind: kindNumber, Over: apart},
		},
		Charts:  []drawn{{Name: "looks", Kind: "bars", Measures: []string{"looks"}}, {Name: "who", Kind: "lines", Measures: []string{"viewers", "owners"}}},
		Filters: []filter{{Name: "viewer"}, {Name: "section"}, {Name: "character_id", Kind: "number"}},
	}
	if v.Me.Bool("superuser") {
		a.Groups = append(a.Groups, "owner")
		a.Filters = append(a.Filters, filter{Name: "user_id"})
	}
	return a
}
