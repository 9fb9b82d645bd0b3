package web

import (
	"net/url"
)

// finder finds characters of all whom one may find.
func (s *Site) finder(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	var facets row
	query := url.Values{}
	l := finderList()
	asked := v.queryOf(l)
	for _, name := range []string{"search", "corporation_id", "alliance_id", "main_corporation_id", "main_alliance_id", "state", "region", "status"} {
		if value := asked.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	if v.param("format") == "" {
		if err := v.gather(want{path: "/v1/finder/facets", query: query, into: &facets, optional: true}); err != nil {
			return err
		}
	}
	l.Filters = finderFilters(facets)
	t, _, err := v.list(l)
	if err != nil {
		return err
	}
	return v.show("list", v.T("finder.title"), listPage{Table: t})
}

// listPage is a page that is a list.
type listPage struct {
	Intro string
	Table *table
}

func finderList() list {
	return list{
		ID: "finder", Path: "/v1/finder", Query: url.Values{"total": {"true"}},
		Filters: finderFilters(nil),
		Columns: []column{
			{Name: "character", Sort: "name", Cell: func(v *visit, r row) cell {
				made := cell{Text: r.Text("name"), Href: toCharacter("character_id")(r)}
				switch {
				case r.Bool("is_main"):
					made.Text, made.Title = "♛ "+made.Text, v.T("column.main")
				case r.Bool("shared"):
					made.Text, made.Title = "◉ "+made.Text, v.Word("shared")
				}
				return made
			}},
			{Name: "status", Field: "status", Kind: kindBadge, Sort: "status"},
			{Name: "corporation", Field: "corporation_name", Else: "corporation_id", Sort: "corporation"},
			{Name: "alliance", Field: "alliance_name", Else: "alliance_id", Sort: "alliance"},
			{Name: "system", Field: "system_name", Else: "system_id", Sort: "system"},
			{Name: "region", Field: "region", Sort: "region"},
			{Name: "main", Field: "main_name", Else: "main_id", Sort: "main"},
			{Name: "main_corporation", Field: "main_corporation_name", Else: "main_corporation_id", Sort: "main_corporation"},
			{Name: "state", Field: "state", Sort: "state"},
			{Name: "failing", Field: "failing_sections", Kind: kindNumber},
		},
	}
}

// finderFilters are the finder's, with the choices that there are.
func finderFilters(facets row) []filter {
	choices := func(name, value string) func(*visit) []option {
		return func(v *visit) []option {
			var options []option
			for _, f := range facets.Rows(name) {
				shown := f.Text("name")
				if shown == "" {
					shown = f.Text(value)
				}
				options = append(options, option{Value: f.Text(value), Text: shown + " (" + v.Number(f.Text("characters")) + ")"})
			}
			return options
		}
	}
	return []filter{
		{Name: "search", Kind: "search", Wide: true},
		{Name: "corporation_id", Options: choices("corporations", "id")},
		{Name: "alliance_id", Options: choices("alliances", "id")},
		{Name: "main_corporation_id", Options: choices("main_corporations", "id")},
		{Name: "main_alliance_id", Options: choices("main_alliances", "id")},
		{Name: "region", Options: choices("regions", "name")},
		{Name: "state", Options: choices("states", "name")},
		{Name: "status", Options: words("active", "disabled", "orphaned", "unregistered")},
		{Name: "is_main", Options: yesNo},
	}
}
