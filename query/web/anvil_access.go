package web

import (
	"strings"
)

// accessSearchData is what the page shows on which one chooses whose access to look at.
type accessSearchData struct {
	Head                consortiumHead
	Action, AsOf        string
	Workspace, Address  string
	Workspaces, Account []string
}

// accessSearch lets one choose a workspace or an address.
func (s *Site) accessSearch(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	at := ""
	if day := v.param("as_of"); day != "" {
		at = "?" + v.momentQuery().Encode()
	}
	if workspace := v.param("workspace"); workspace != "" {
		v.goTo(workspacePath(consortiumPath(name, "access", "workspaces"), workspace) + at)
		return nil
	}
	if address := v.param("address"); address != "" {
		v.goTo(consortiumPath(name, "access", "accounts", address) + at)
		return nil
	}
	declared, err := v.get(consortiumAPI(name, "declared"), v.momentQuery())
	if err != nil {
		return err
	}
	return v.show("anvil_access_search", v.T("anvil.access.title"), accessSearchData{
		Head: v.consortiumHead("access"), Action: consortiumPath(name, "access"), AsOf: v.param("as_of"), Workspaces: recordsIn(declared, "workspaces"), Account: recordsIn(declared, "accounts"),
	})
}

// accessData is what a page of effective access shows.
type accessData struct {
	Head         consortiumHead
	Action, AsOf string
	Facts        []fact
	// Declared and Observed say what is to be known of the two sides beside who has access.
	Declared, Observed *sideShown
	Table              *table
	Audit              string
}

// sideShown is one side of a workspace.
type sideShown struct {
	Unknown string
	Absent  bool
	Facts   []fact
	Opaque  []string
}

// sideOf tells of one side of a workspace; nil for a side that says nothing.
func (v *visit) sideOf(r row) *sideShown {
	if r == nil {
		return nil
	}
	side := &sideShown{Unknown: r.Text("unknown"), Absent: r.Bool("absent")}
	add := func(name string, texts []string) {
		if len(texts) > 0 {
			side.Facts = append(side.Facts, fact{Name: v.T("column." + name), Cell: cell{Text: strings.Join(texts, ", ")}})
		}
	}
	add("anvil.field.authorization_domains", r.Texts("authorization_domains"))
	add("anvil.project-owners", r.Texts("project_owners"))
	for _, o := range r.Rows("opaque") {
		side.Opaque = append(side.Opaque, v.opaque(o))
	}
	return side
}

// opaque says of a group whose members cannot be known why, and what it gives.
func (v *visit) opaque(o row) string {
	text := o.Text("group") + ": " + o.Text("reason")
	if level := v.rights(o); level != "" {
		text += " (" + level + ")"
	}
	return text
}

// rights words a level with what comes with it.
func (v *visit) rights(r row) string {
	if r.Text("level") == "" {
		return ""
	}
	words := []string{v.Term(r.Text("level"))}
	if r.Bool("can_share") {
		words = append(words, v.T("anvil.access.share"))
	}
	if r.Bool("can_compute") {
		words = append(words, v.T("anvil.access.compute"))
	}
	return strings.Join(words, " · ")
}

// shownWays is how many ways to a workspace are shown at once.
const shownWays = 3

// ways words how an address comes to a workspace.
func (v *visit) ways(side row) cell {
	var all []string
	for _, p := range side.Rows("paths") {
		var through []string
		for _, link := range p.Rows("through") {
			group := link.Text("group")
			if link.Text("role") == "ADMIN" {
				group += " (" + v.Term("admin") + ")"
			}
			through = append(through, group)
		}
		way := v.T("anvil.access.directly")
		if len(through) > 0 {
			way = strings.Join(through, " › ")
		}
		if p.Text("level") != side.Text("level") {
			way = v.Term(p.Text("level")) + ": " + way
		}
		all = append(all, way)
	}
	if side.Bool("more_paths") {
		all = append(all, "…")
	}
	made := cell{Text: strings.Join(all, "; "), Class: "ways"}
	if len(all) > shownWays {
		made.Text, made.Title = strings.Join(all[:shownWays], "; ")+"; "+v.T("anvil.access.more-ways", "Count", len(all)-shownWays), made.Text
	}
	return made
}

// sideColumns are the columns of one side: what it gives, and by which ways.
func sideColumns(side string) []column {
	return []column{
		{Name: "anvil." + side, Cell: func(v *visit, r row) cell {
			s := r.Row(side)
			made := cell{Text: v.rights(s)}
			if s == nil {
				return cell{Text: v.T("anvil.access.none"), Class: "faint"}
			}
			switch s.Text("admission") {
			case "barred":
				made.Text += " · " + v.T("anvil.access.barred", "Groups", strings.Join(s.Texts("lacks"), ", "))
			case "unknown":
				made.Text += " · " + v.T("anvil.access.uncertain", "Groups", strings.Join(s.Texts("uncertain"), ", "))
			}
			if s.Bool("pending") {
				made.Text += " · " + v.T("anvil.access.pending")
			}
			return made
		}},
		{Name: "anvil." + side + "-ways", Cell: func(v *visit, r row) cell {
			made := v.ways(r.Row(side))
			if side == "observed" && made.Text != "" && made.Text == v.ways(r.Row("declared")).Text {
				return cell{Text: v.T("anvil.access.same"), Class: "faint"}
			}
			return made
		}},
	}
}

// agreementColumn is the column that says how the two sides agree.
func agreementColumn() column {
	return column{Name: "anvil.agreement", Cell: func(v *visit, r row) cell {
		word := r.Text("agreement")
		made := cell{Text: v.T("anvil.agreement." + word), Badge: "bad"}
		switch word {
		case "agrees":
			made.Badge = "good"
		case "unknown":
			made.Badge = "neutral"
		case "":
			return cell{}
		}
		return made
	}}
}

// accessFacts say on what an answer about access rests.
func (v *visit) accessFacts(answered row, more ...column) []fact {
	return v.facts(answered, append(more, column{Name: "anvil.swept-at", Cell: func(v *visit, r row) cell {
		if !r.Has("swept_at") {
			return cell{Text: v.T("anvil.never-swept"), Badge: "warn"}
		}
		return cell{Text: v.Time(r.Text("swept_at")), Time: r.Text("swept_at")}
	}})...)
}

// accountCell is how an address is declared.
func accountCell(v *visit, r row) cell {
	made := cell{Text: v.Term(r.Text("account"))}
	if r.Bool("is_app") {
		made.Text = v.T("anvil.access.app")
	} else if r.Bool("is_service_account") {
		made.Text += " · " + v.T("anvil.access.service-account")
	}
	return made
}

// atMoment adds the moment of a page to an address.
func (v *visit) atMoment(address string) string {
	if query := v.momentQuery(); len(query) > 0 {
		return address + "?" + query.Encode()
	}
	return address
}

// accessToWorkspace shows who can come to a workspace.
func (s *Site) accessToWorkspace(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name, project, workspace := v.path("consortium"), v.path("project"), v.path("name")
	columns := []column{
		{Name: "anvil.address", Cell: func(v *visit, r row) cell {
			return cell{Text: r.Text("address"), Href: v.atMoment(consortiumPath(name, "access", "accounts", r.Text("address")))}
		}},
		{Name: "anvil.account", Cell: accountCell},
		agreementColumn(),
	}
	t, answered, err := v.list(list{
		ID: "anvil-access", Path: consortiumAPI(name, "workspaces", project, workspace, "access"), Keep: []string{"as_of"},
		Columns: append(append(columns, sideColumns("declared")...), sideColumns("observed")...),
	})
	if err != nil {
		return err
	}
	data := accessData{
		Head: v.consortiumHead("access"), Action: v.r.URL.Path, AsOf: v.param("as_of"), Facts: v.accessFacts(answered), Table: t,
		Declared: v.sideOf(answered.Row("declared")), Observed: v.sideOf(answered.Row("observed")), Audit: v.atMoment(consortiumPath(name, "audits", "workspaces", project, workspace)),
	}
	data.Head.Up = navLink{Text: v.T("anvil.access.title"), Href: consortiumPath(name, "access")}
	return v.show("anvil_access", v.T("anvil.access.to", "Workspace", project+"/"+workspace), data)
}

// accessOfAccount shows to which workspaces an address can come.
func (s *Site) accessOfAccount(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name, email := v.path("consortium"), v.path("email")
	columns := []column{
		{Name: "anvil.workspace", Cell: func(v *visit, r row) cell {
			return cell{Text: r.Text("workspace"), Class: "when", Href: v.atMoment(workspacePath(consortiumPath(name, "access", "workspaces"), r.Text("workspace")))}
		}}, agreementColumn(),
	}
	doubt := column{Name: "anvil.doubt", Cell: func(v *visit, r row) cell {
		var doubts []string
		for _, side := range []string{"declared", "observed"} {
			about := r.Row(side + "_side")
			if text := about.Text("unknown"); text != "" {
				doubts = append(doubts, v.Term(side)+": "+text)
			}
			var groups []string
			for _, o := range about.Rows("opaque") {
				groups = append(groups, o.Text("group"))
			}
			if len(groups) > 0 {
				doubts = append(doubts, v.Term(side)+": "+v.T("anvil.access.through", "Groups", strings.Join(groups, ", ")))
			}
		}
		return cell{Text: strings.Join(doubts, "; "), Class: "ways"}
	}}
	t, answered, err := v.list(list{
		ID: "anvil-access-of", Path: consortiumAPI(name, "accounts", email, "access"), Keep: []string{"as_of"},
		Columns: append(append(append(columns, sideColumns("declared")...), sideColumns("observed")...), doubt),
	})
	if err != nil {
		return err
	}
	data := accessData{
		Head: v.consortiumHead("access"), Action: v.r.URL.Path, AsOf: v.param("as_of"), Table: t,
		Facts: v.accessFacts(answered, column{Name: "anvil.account", Cell: accountCell}),
	}
	data.Head.Up = navLink{Text: v.T("anvil.access.title"), Href: consortiumPath(name, "access")}
	return v.show("anvil_access", v.T("anvil.access.of", "Address", email), data)
}
