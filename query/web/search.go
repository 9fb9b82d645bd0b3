package web

import (
	"cmp"
	"net/http"
	"strconv"
)

// searches are the lists of things of all characters whom somebody may open.
func searches() []list {
	whose := column{Name: "character", Cell: func(_ *visit, r row) cell {
		return cell{Text: cmp.Or(r.Text("character_name"), r.Text("character_id")), Href: characterPath(r.Text("character_id"))}
	}}
	at := func(section, field, name string, text func(row) string) column {
		return column{Name: name, Cell: func(_ *visit, r row) cell {
			return cell{Text: cmp.Or(text(r), r.Text(field)), Href: characterPath(r.Text("character_id")) + "/" + section + "/" + r.Text(field)}
		}}
	}
	field := func(name string) func(row) string { return func(r row) string { return r.Text(name) } }
	number := func(name string) filter { return filter{Name: name, Kind: "number"} }
	return []list{
		{ID: "assets", Filters: []filter{{Name: "type"}, {Name: "group"}, {Name: "name"}, {Name: "location"}, {Name: "region"}, {Name: "location_flag"}, number("character_id")}, Columns: []column{
			whose, at("assets", "item_id", "asset", field("type_name")), {Name: "name", Field: "name"}, as(kindNumber, "quantity", "quantity"), named("place", "location"), {Name: "hangar", Field: "location_flag"},
		}},
		{ID: "contacts", Filters: []filter{{Name: "name"}, {Name: "contact_type", Options: words("character", "corporation", "alliance", "faction")}, number("standing_at_least"), number("standing_at_most"), number("character_id")}, Columns: []column{
			whose, named("contact", "contact"), as(kindWord, "kind", "contact_type"), as(kindNumber, "standing", "standing"), as(kindBool, "watched", "is_watched"), as(kindBool, "blocked", "is_blocked"),
		}},
		{ID: "contracts", Filters: []filter{
			{Name: "type", Options: words("item_exchange", "auction", "courier", "loan")},
			{Name: "status", Options: contractStatuses},
			{Name: "title"},
			number("party_id"),
			{Name: "from", Kind: "date"},
			{Name: "to", Kind: "date"},
			number("character_id"),
		}, Columns: []column{
			whose, at("contracts", "contract_id", "title", field("title")), as(kindWord, "type", "type"),
			{Name: "status", Cell: contractStatus},
			{Name: "from", Field: "issuer_name", Else: "issuer_id"},
			{Name: "to", Field: "assignee_name"},
			as(kindTime, "issued", "date_issued"), as(kindISK, "price", "price"), as(kindISK, "reward", "reward"), named("place", "start_location"),
		}},
		{ID: "mails", Filters: []filter{{Name: "subject"}, {Name: "from_name"}, number("from_id"), {Name: "from", Kind: "date"}, {Name: "to", Kind: "date"}, number("character_id")}, Columns: []column{
			whose, as(kindTime, "sent", "timestamp"), {Name: "from", Field: "from_name", Else: "from"}, {Name: "to", Cell: recipients}, at("mails", "mail_id", "subject", field("subject")),
		}},
		{ID: "skills", Filters: []filter{{Name: "type"}, {Name: "group"}, {Name: "level_at_least", Options: levelOptions}, {Name: "trained_at_least", Options: levelOptions}, number("character_id")}, Columns: []column{
			whose, named("skill", "skill"), as(kindNumber, "level_active", "active_skill_level"), as(kindNumber, "level_trained", "trained_skill_level"), as(kindNumber, "skill_points", "skillpoints_in_skill"),
		}},
		{ID: "standings", Filters: []filter{{Name: "name"}, {Name: "from_type", Options: words("agent", "npc_corp", "faction")}, number("standing_at_least"), number("standing_at_most"), number("character_id")}, Columns: []column{
			whose, {Name: "name", Field: "from_name", Else: "from_id"}, as(kindWord, "kind", "from_type"), as(kindNumber, "standing", "standing"),
		}},
		{ID: "implants", Filters: []filter{{Name: "type"}, {Name: "group"}, number("character_id")}, Columns: []column{whose, named("implant", "type")}},
		{ID: "clones", Filters: []filter{{Name: "location"}, {Name: "region"}, {Name: "type"}, {Name: "group"}, number("character_id")}, Columns: []column{
			whose, named("place", "location"), {Name: "name", Field: "name"}, {Name: "implants", Cell: func(v *visit, r row) cell {
				return cell{Text: v.Number(strconv.Itoa(len(r.Texts("implants")))), Class: "num"}
			}},
		}},
	}
}

// searchData is what a search shows.
type searchData struct {
	Tabs    []navLink
	Table   *table
	Problem *refusal
	// Waiting: nothing was looked for yet.
	Waiting bool
}

// search looks for things of all characters whom somebody may open. It looks for nothing
// before somebody has said what.
func (s *Site) search(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	kind := cmp.Or(v.path("kind"), "assets")
	var here *list
	data := searchData{}
	for _, l := range searches() {
		if l.ID == kind {
			here = &l
		}
		data.Tabs = append(data.Tabs, navLink{Text: v.T("section." + l.ID), Href: "/search/" + l.ID, Here: l.ID == kind})
	}
	if here == nil {
		return &refusal{Status: http.StatusNotFound}
	}
	l := *here
	l.Path, l.ID = "/v1/search/"+kind, "search-"+kind
	form := v.form(l)
	if !form.Active {
		// Rows of everybody are not shown unasked: each look at them is noted.
		data.Waiting, data.Table = true, &table{ID: l.ID, Filters: form, Empty: v.T("search.waiting")}
		return v.show("search", v.T("search.title"), data)
	}
	t, _, err := v.list(l)
	if err != nil {
		if !worthShowing(err, &data.Problem) {
			return err
		}
		data.Table = &table{ID: l.ID, Filters: form, Empty: v.T("list.empty")}
		return v.showTo(data.Problem.Status, "search", v.T("search.title"), data)
	}
	data.Table = t
	return v.show("search", v.T("search.title"), data)
}
