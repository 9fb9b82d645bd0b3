package web

import (
	"net/http"
	"net/url"
	"strings"
)

// registerCompliance adds the pages about who has registered his characters.
func (s *Site) registerCompliance() {
	s.router.Get("/compliance", s.page(s.complianceUsers))
	s.router.Get("/compliance/corporations", s.page(s.complianceCorporations))
	s.router.Get("/compliance/open", s.page(s.complianceOpen))
	s.router.Get("/compliance/trend", s.page(s.analyse(complianceTrend)))
	s.router.Get("/compliance/users/{id}", s.page(s.complianceUser))
	s.router.Get("/compliance/groups", s.page(s.complianceGroups))
	s.router.Get("/compliance/groups/{name}", s.page(s.complianceGroup))
	s.router.Post("/compliance/groups", s.decision(s.defineComplianceGroup))
	s.router.Post("/compliance/groups/{name}", s.decision(s.defineComplianceGroup))
}

// besidePages are tabs: pairs of a key below a prefix and an address.
func (v *visit) besidePages(prefix string, pairs ...string) []navLink {
	var tabs []navLink
	for i := 0; i+1 < len(pairs); i += 2 {
		tabs = append(tabs, navLink{Text: v.T(prefix + pairs[i]), Href: pairs[i+1], Here: v.r.URL.Path == pairs[i+1]})
	}
	return tabs
}

func complianceTabs(v *visit) []navLink {
	return v.besidePages("compliance.tab-", "users", "/compliance", "corporations", "/compliance/corporations", "open", "/compliance/open", "trend", "/compliance/trend", "groups", "/compliance/groups")
}

// tabbedPage is a list among other pages of its kind.
type tabbedPage struct {
	Tabs  []navLink
	Intro string
	Facts []fact
	Table *table
}

// toComplianceOf leads to why a user stands as he does.
func toComplianceOf(field string) func(row) string {
	return func(r row) string {
		if r.Text(field) == "" {
			return ""
		}
		return "/compliance/users/" + url.PathEscape(r.Text(field))
	}
}

// userName is what a user is called: by his main, else by his name, else by his id.
func userName(r row) string {
	for _, field := range []string{"main_name", "name", "user", "user_id"} {
		if text := r.Text(field); text != "" {
			return text
		}
	}
	return ""
}

// verdictOf is how a user of the report stands, and the colour of his line.
func verdictOf(r row) (word, class string) {
	switch {
	case r.Bool("compliant"):
		return "compliant", "good"
	case r.Bool("registered"):
		return "partly_registered", "warn"
	default:
		return "not_compliant", "bad"
	}
}

// reasonsOf are what there is to be put right, in words.
func (v *visit) reasonsOf(r row) cell {
	const shown = 3
	reasons := r.Rows("reasons")
	var words []string
	for _, reason := range reasons[:min(shown, len(reasons))] {
		text := v.Word(reason.Text("fault"))
		if who := reason.Text("character_name"); who != "" {
			text = who + ": " + text
		} else if id := reason.Text("character_id"); id != "" {
			text = id + ": " + text
		}
		if since := reason.Text("since"); since != "" {
			text += v.T("compliance.since", "Day", v.Day(since))
		}
		words = append(words, text)
	}
	if more := len(reasons) - shown; more > 0 {
		words = append(words, v.T("compliance.more", "Count", more))
	}
	return cell{Text: strings.Join(words, "; "), Class: longClass(words)}
}

// longClass gives room to a cell that has something to say.
func longClass(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "long"
}

// corporations asks for those of the report, for the choices of a filter and what all
// come to.
func corporationChoices(report row) func(*visit) []option {
	return func(*visit) []option {
		var options []option
		for _, c := range report.Rows("items") {
			name := c.Text("corporation_name")
			if name == "" {
				name = c.Text("corporation_id")
			}
			options = append(options, option{Value: c.Text("corporation_id"), Text: name})
		}
		return options
	}
}

// complianceUsers reports on users and their characters.
func (s *Site) complianceUsers(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	// Both at once: the choices of the filter are those of the other report.
	var report, answered row
	l := list{
		ID: "compliance-users", Path: "/v1/reports/compliance/users",
		Class: func(r row) string { _, class := verdictOf(r); return class },
		Columns: []column{
			{Name: "user", Cell: func(_ *visit, r row) cell { return cell{Text: userName(r), Href: toComplianceOf("user")(r)} }},
			{Name: "status", Cell: func(v *visit, r row) cell {
				word, class := verdictOf(r)
				return cell{Text: v.Word(word), Badge: class}
			}},
			{Name: "state", Field: "state"},
			{Name: "corporation", Field: "corporation_name", Else: "corporation_id"},
			{Name: "alliance", Field: "alliance_name", Else: "alliance_id"},
			{Name: "characters", Field: "total", Kind: kindNumber},
			{Name: "unregistered", Field: "unregistered", Kind: kindNumber},
			{Name: "reasons", Cell: (*visit).reasonsOf},
		},
	}
	filters := func(report row) []filter {
		return []filter{
			{Name: "corporation_id", Options: corporationChoices(report)},
			{Name: "alliance_id", Kind: "number"},
			{Name: "state"},
			{Name: "registered", Options: yesNo},
			{Name: "compliant", Options: yesNo},
		}
	}
	l.Filters = filters(nil)
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	err := v.gather(
		want{path: l.Path, query: v.queryOf(l), into: &answered},
		want{path: "/v1/reports/compliance/corporations", query: url.Values{"limit": {"1000"}}, into: &report, optional: true},
	)
	if err != nil {
		return err
	}
	l.Filters = filters(report)
	data := tabbedPage{Tabs: complianceTabs(v), Intro: v.T("compliance.users-text"), Table: v.tableOf(l, answered)}
	if !report.Has("next_cursor") {
		var mains, characters, missing, good int64
		corporations := report.Rows("items")
		for _, c := range corporations {
			mains += c.Int("mains")
			characters += c.Int("characters")
			missing += c.Int("unregistered")
			if c.Bool("compliant") {
				good++
			}
		}
		for _, f := range []struct {
			name  string
			value string
		}{
			{"mains", v.Number(mains)},
			{"characters", v.Number(characters)},
			{"unregistered", v.Number(missing)},
			{"compliant_corporations", v.T("compliance.of", "Part", v.Number(good), "All", v.Number(len(corporations)))},
		} {
			data.Facts = append(data.Facts, fact{Name: v.T("column." + f.name), Cell: cell{Text: f.value}})
		}
	}
	return v.show("tabbed", v.T("compliance.title"), data)
}

// complianceCorporations reports on corporations, by the mains in them.
func (s *Site) complianceCorporations(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "compliance-corporations", Path: "/v1/reports/compliance/corporations",
		Filters: []filter{{Name: "corporation_id", Kind: "number"}, {Name: "alliance_id", Kind: "number"}, {Name: "state"}, {Name: "compliant", Options: yesNo}, {Name: "partly", Options: yesNo}},
		Class: func(r row) string {
			switch {
			case r.Bool("compliant"):
				return "good"
			case r.Bool("partly"):
				return "warn"
			default:
				return "bad"
			}
		},
		Columns: []column{
			{Name: "corporation", Cell: func(_ *visit, r row) cell {
				name := r.Text("corporation_name")
				if name == "" {
					name = r.Text("corporation_id")
				}
				return cell{Text: name, Href: "/compliance?corporation_id=" + url.QueryEscape(r.Text("corporation_id"))}
			}},
			{Name: "status", Cell: func(v *visit, r row) cell {
				switch {
				case r.Bool("compliant"):
					return cell{Text: v.Word("compliant"), Badge: "good"}
				case r.Bool("partly"):
					return cell{Text: v.Word("partly"), Badge: "warn"}
				default:
					return cell{Text: v.Word("not_compliant"), Badge: "bad"}
				}
			}},
			{Name: "share_registered", Field: "percent_floor_2", Kind: kindPercent},
			{Name: "mains", Field: "mains", Kind: kindNumber},
			{Name: "characters", Field: "characters", Kind: kindNumber},
			{Name: "unregistered", Field: "unregistered", Kind: kindNumber},
		},
	})
	if err != nil {
		return err
	}
	return v.show("tabbed", v.T("compliance.title"), tabbedPage{Tabs: complianceTabs(v), Intro: v.T("compliance.corporations-text"), Table: t})
}

// complianceOpen lists who has not been compliant for longest.
func (s *Site) complianceOpen(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	l := list{
		ID: "compliance-open", Path: "/v1/analytics/compliance/open",
		Filters: []filter{{Name: "as_of", Kind: "datetime"}, {Name: "corporation_id", Kind: "number"}},
	}
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	// The report knows what the users are called.
	var answered, report row
	err := v.gather(
		want{path: l.Path, query: v.queryOf(l), into: &answered},
		want{path: "/v1/reports/compliance/users", query: url.Values{"compliant": {"false"}, "limit": {"1000"}}, into: &report, optional: true},
	)
	if err != nil {
		return err
	}
	users := map[string]row{}
	for _, u := range report.Rows("items") {
		users[u.Text("user")] = u
	}
	l.Columns = []column{
		{Name: "user", Cell: func(_ *visit, r row) cell {
			name := r.Text("user")
			if known := users[name]; known != nil {
				name = userName(known)
			}
			return cell{Text: name, Href: toComplianceOf("user")(r)}
		}},
		{Name: "since", Field: "since", Kind: kindTime},
		{Name: "for", Field: "seconds", Kind: kindSpan},
		{Name: "reasons", Cell: func(v *visit, r row) cell {
			var words []string
			for cause := range strings.SplitSeq(r.Text("causes"), ",") {
				words = append(words, v.Word(cause))
			}
			return cell{Text: strings.Join(words, ", ")}
		}},
		{Name: "corporation", Cell: func(_ *visit, r row) cell {
			text := r.Text("corporation_id")
			if name := users[r.Text("user")].Text("corporation_name"); name != "" {
				text = name
			}
			if text == "0" {
				text = ""
			}
			return cell{Text: text}
		}},
		{Name: "characters", Field: "total", Kind: kindNumber},
		{Name: "unregistered", Field: "unregistered", Kind: kindNumber},
	}
	return v.show("tabbed", v.T("compliance.title"), tabbedPage{Tabs: complianceTabs(v), Intro: v.T("compliance.open-text"), Table: v.tableOf(l, answered)})
}

// complianceTrend is how compliance came along.
func complianceTrend(*visit) *analysis {
	return &analysis{
		ID: "compliance", Path: "/v1/analytics/compliance", Groups: []string{"corporation", "cause"}, Intervals: intervals(), AsOf: true, Tabs: complianceTabs,
		Measures: []measure{
			{Name: "users", Kind: kindNumber, Over: atItsEnd},
			{Name: "compliant", Kind: kindNumber, Over: atItsEnd},
			{Name: "non_compliant", Kind: kindNumber, Over: atItsEnd},
			{Name: "without_main", Kind: kindNumber, Over: atItsEnd},
			{Name: "never_registered", Kind: kindNumber, Over: atItsEnd},
			{Name: "login_lost", Kind: kindNumber, Over: atItsEnd},
			{Name: "became_compliant", Kind: kindNumber},
			{Name: "became_non_compliant", Kind: kindNumber},
			{Name: "arrived", Kind: kindNumber},
			{Name: "left", Kind: kindNumber},
			{Name: "median_seconds", Kind: kindSpan, Over: apart},
			{Name: "p90_seconds", Kind: kindSpan, Over: apart},
		},
		Charts: []drawn{
			{Name: "users", Kind: "lines", Measures: []string{"compliant", "non_compliant"}},
			{Name: "causes", Kind: "lines", Measures: []string{"without_main", "never_registered", "login_lost"}},
			{Name: "changes", Kind: "bars", Measures: []string{"became_compliant", "became_non_compliant"}},
		},
		Filters: []filter{{Name: "corporation_id", Kind: "number"}},
		Choices: []choices{{Filter: "corporation_id", Path: "/v1/reports/compliance/corporations", Items: "items", Value: "corporation_id", Text: "corporation_name"}},
	}
}

// complianceUserPage is why a user stands as he does.
type complianceUserPage struct {
	Tabs    []navLink
	User    string
	Verdict cell
	Since   string
	For     string
	Facts   []fact
	Why     row
	Reasons *table
}

// complianceUser shows why a user is compliant or not, from the log.
func (s *Site) complianceUser(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	id := v.path("id")
	var why, report row
	err := v.gather(
		want{path: "/v1/reports/compliance/users/" + url.PathEscape(id) + "/explain", into: &why},
		want{path: "/v1/reports/compliance/users", query: url.Values{"user_id": {id}}, into: &report, optional: true},
	)
	if err != nil {
		return err
	}
	data := complianceUserPage{Tabs: complianceTabs(v), User: id, Why: why, Since: why.Text("since")}
	data.Verdict = cell{Text: v.Word(why.Text("verdict")), Badge: badgeOf(why.Text("verdict"))}
	if at, ok := moment(data.Since); ok {
		data.For = v.Span(s.config.Now().Sub(at))
	}
	title := id
	if users := report.Rows("items"); len(users) == 1 {
		title = userName(users[0])
		data.Facts = v.facts(users[0],
			column{Name: "main", Field: "main_name", Else: "main", Href: toCharacter("main")}, column{Name: "state", Field: "state"},
			column{Name: "corporation", Field: "corporation_name", Else: "corporation_id"}, column{Name: "alliance", Field: "alliance_name", Else: "alliance_id"},
			column{Name: "characters", Field: "total", Kind: kindNumber}, column{Name: "unregistered", Field: "unregistered", Kind: kindNumber},
		)
	}
	l := list{ID: "compliance-reasons", Items: "reasons", NoFiles: true, Class: func(r row) string {
		if r.Bool("decides") {
			return "bad"
		}
		return "warn"
	}, Columns: []column{
		{Name: "character", Field: "character_name", Else: "character_id", Href: func(r row) string {
			if r.Text("fault") == "never_registered" {
				return "" // there is nothing to open
			}
			return toCharacter("character_id")(r)
		}},
		{Name: "cause", Field: "cause", Kind: kindWord},
		{Name: "since", Field: "since", Kind: kindTime},
		{Name: "decides", Cell: func(v *visit, r row) cell {
			if r.Bool("decides") {
				return cell{Text: v.T("compliance.decides"), Badge: "bad"}
			}
			return cell{Text: v.T("compliance.decides-not"), Badge: "neutral"}
		}},
		{Name: "text", Field: "words"},
	}}
	if len(why.Rows("reasons")) > 0 {
		data.Reasons = v.tableOf(l, why)
	}
	return v.show("compliance_user", v.T("compliance.of-user", "User", title), data)
}

// complianceGroupsPage are the groups, and the form for another one.
type complianceGroupsPage struct {
	Tabs      []navLink
	Intro     string
	Table     *table
	MayChange bool
	Form      groupForm
	// Group is the one that is shown; nil for all.
	Group row
	Facts []fact
}

// groupForm is what is typed into the form of a compliance group.
type groupForm struct {
	Name, Description, States string
	Problem                   *refusal
}

// Path is the group's page.
func (f groupForm) Path() string { return "/compliance/groups/" + url.PathEscape(f.Name) }

// complianceGroups lists compliance groups.
func (s *Site) complianceGroups(v *visit) error { return s.showComplianceGroups(v, groupForm{}) }

func (s *Site) showComplianceGroups(v *visit, form groupForm) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "compliance-groups", Path: "/v1/compliance-groups",
		Columns: []column{
			{Name: "group", Field: "name", Href: func(r row) string { return "/compliance/groups/" + url.PathEscape(r.Text("name")) }},
			{Name: "members", Field: "members", Kind: kindNumber},
			{Name: "open_to", Cell: func(v *visit, r row) cell {
				if states := r.Texts("states"); len(states) > 0 {
					return cell{Text: strings.Join(states, ", ")}
				}
				return cell{Text: v.T("compliance.all-states")}
			}},
			{Name: "text", Field: "description"},
			{Name: "defined_at", Field: "defined_at", Kind: kindTime},
			{Name: "defined_by", Field: "defined_by"},
		},
	})
	if err != nil {
		return err
	}
	return v.showTo(statusOf(form.Problem), "compliance_groups", v.T("compliance.title"), complianceGroupsPage{
		Tabs: complianceTabs(v), Intro: v.T("compliance.groups-text"), Table: t, MayChange: v.Me.May("users.change"), Form: form,
	})
}

// complianceGroup shows who is in a compliance group.
func (s *Site) complianceGroup(v *visit) error { return s.showComplianceGroup(v, nil) }

func (s *Site) showComplianceGroup(v *visit, form *groupForm) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("name")
	path := "/v1/compliance-groups/" + url.PathEscape(name)
	l := list{
		ID: "compliance-members", Path: path + "/members",
		Filters: []filter{{Name: "state"}, {Name: "corporation_id", Kind: "number"}, {Name: "alliance_id", Kind: "number"}},
		Columns: []column{
			{Name: "user", Cell: func(_ *visit, r row) cell { return cell{Text: userName(r), Href: toComplianceOf("user")(r)} }},
			{Name: "state", Field: "state"},
			{Name: "corporation", Field: "corporation_name", Else: "corporation_id"},
			{Name: "alliance", Field: "alliance_name", Else: "alliance_id"},
			{Name: "since", Field: "since", Kind: kindTime},
		},
	}
	if v.param("format") != "" {
		_, _, err := v.list(l)
		return err
	}
	var g, members row
	if err := v.gather(want{path: path, into: &g}, want{path: l.Path, query: v.queryOf(l), into: &members}); err != nil {
		return err
	}
	data := complianceGroupsPage{Tabs: complianceTabs(v), Intro: g.Text("description"), Group: g, Table: v.tableOf(l, members), MayChange: v.Me.May("users.change")}
	states := strings.Join(g.Texts("states"), ", ")
	if data.Form = (groupForm{Name: name, Description: g.Text("description"), States: states}); form != nil {
		data.Form = *form
	}
	if states == "" {
		states = v.T("compliance.all-states")
	}
	data.Facts = []fact{
		{Name: v.T("column.members"), Cell: cell{Text: v.Number(g.Text("members"))}},
		{Name: v.T("column.open_to"), Cell: cell{Text: states}},
		{Name: v.T("column.defined_at"), Cell: cell{Text: v.Time(g.Text("defined_at"))}},
		{Name: v.T("column.defined_by"), Cell: cell{Text: g.Text("defined_by")}},
	}
	return v.showTo(statusOf(data.Form.Problem), "compliance_groups", v.T("compliance.of-group", "Group", name), data)
}

// defineComplianceGroup defines a group, changes one, or removes it.
func (s *Site) defineComplianceGroup(v *visit) (string, error) {
	form := groupForm{Name: v.path("name"), Description: strings.TrimSpace(v.r.PostFormValue("description")), States: strings.TrimSpace(v.r.PostFormValue("states"))}
	made := form.Name == ""
	if made {
		form.Name = strings.TrimSpace(v.r.PostFormValue("name"))
	}
	again := func(err error) (string, error) {
		if form.Problem = atForm(err); form.Problem == nil {
			return "", err
		}
		if made {
			return "", s.showComplianceGroups(v, form)
		}
		return "", s.showComplianceGroup(v, &form)
	}
	if form.Name == "" {
		return again(&refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("compliance.no-name")})
	}
	path := "/v1/compliance-groups/" + url.PathEscape(form.Name)
	if v.r.PostFormValue("do") == "remove" {
		query := url.Values{}
		if reason := v.r.PostFormValue("reason"); reason != "" {
			query.Set("reason", reason)
		}
		if _, err := v.send(http.MethodDelete, path, query, nil); err != nil {
			return again(err)
		}
		return "/compliance/groups?done=group-removed", nil
	}
	states := []string{}
	for state := range strings.SplitSeq(form.States, ",") {
		if state = strings.TrimSpace(state); state != "" {
			states = append(states, state)
		}
	}
	if _, err := v.send(http.MethodPut, path, nil, map[string]any{"description": form.Description, "states": states}); err != nil {
		return again(err)
	}
	return form.Path() + "?done=group-defined", nil
}
