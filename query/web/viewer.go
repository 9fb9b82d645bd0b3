package web

import (
	"net/http"
	"net/url"
)

// tab is a section of a character as the viewer shows it.
type tab struct {
	// Section is the API's name of it, and the page's.
	Section string
	List    list
	// Show makes the tab, if it is no list.
	Show func(*visit, *viewerData) error
	// Template shows what Show has made; default "list".
	Template string
}

// viewerData is what the page of a character shows.
type viewerData struct {
	ID        string
	Character row
	Portrait  portrait
	Facts     []fact
	Tabs      []navLink
	// Section is what the tab shows, Status how it stands.
	Section string
	Status  row
	Sync    cell
	Table   *table
	Own     bool
	// Extra is what a tab that is no list has made.
	Extra any
	// AsOf is the moment that is shown; empty for now.
	AsOf string
}

// tabs are the sections of a character, in the order of the page.
func tabs() []tab {
	return []tab{
		{Section: "assets", List: list{
			Columns: []column{
				{Name: "asset", Field: "name", Else: "type_name"}, {Name: "type", Field: "type_name", Else: "type_id"}, {Name: "quantity", Field: "quantity", Kind: kindNumber},
				{Name: "group", Field: "group_name"}, {Name: "place", Field: "place_name", Else: "place_id"}, {Name: "region", Field: "region"},
				{Name: "volume", Field: "volume", Kind: kindNumber}, {Name: "price", Field: "price", Kind: kindISK}, {Name: "sum", Field: "total", Kind: kindISK},
			},
		}},
		{Section: "wallet-journal", List: list{
			Filters: []filter{{Name: "from", Kind: "date"}, {Name: "to", Kind: "date"}, {Name: "ref_type"}},
			Columns: []column{
				{Name: "date", Field: "date", Kind: kindTime}, {Name: "ref_type", Field: "ref_type", Kind: kindWord},
				{Name: "first_party", Field: "first_party_name", Else: "first_party_id"}, {Name: "second_party", Field: "second_party_name", Else: "second_party_id"},
				{Name: "amount", Field: "amount", Kind: kindISK}, {Name: "balance", Field: "balance", Kind: kindISK}, {Name: "text", Field: "description"},
			},
		}},
	}
}

// viewer shows one section of a character.
func (s *Site) viewer(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	data := viewerData{ID: v.path("id"), Section: v.path("section"), AsOf: v.param("as_of")}
	all := tabs()
	if data.Section == "" {
		data.Section = all[0].Section
	}
	var here *tab
	for i, t := range all {
		if t.Section == data.Section {
			here = &all[i]
		}
	}
	if here == nil {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("viewer.no-section", "Section", data.Section)}
	}
	base := "/v1/characters/" + url.PathEscape(data.ID)
	at := url.Values{}
	if data.AsOf != "" {
		at.Set("as_of", instant(data.AsOf))
	}
	var err error
	if data.Character, err = v.get(base, at); err != nil {
		return err
	}
	l := here.List
	l.ID, l.Path, l.Keep = data.Section, base+"/"+data.Section, []string{"as_of"}
	if data.Table, data.Status, err = v.list(l); err != nil {
		return err
	}
	data.Sync = cell{Text: v.Word(data.Status.Text("status")), Badge: badgeOf(data.Status.Text("status"))}
	data.Own = data.Character.Text("user_id") != "" && data.Character.Text("user_id") == v.Me.Text("user_id")
	data.Portrait = v.portrait("characters", data.ID, 96)
	data.Facts = v.facts(data.Character,
		column{Name: "corporation", Field: "corporation_name", Else: "corporation_id"},
		column{Name: "alliance", Field: "alliance_name", Else: "alliance_id"},
		column{Name: "main", Field: "main_name", Else: "main_id", Href: toCharacter("main_id")},
		column{Name: "registered_at", Field: "registered_at", Kind: kindTime},
	)
	for _, t := range all {
		link := navLink{Text: v.T("section." + t.Section), Href: characterPath(data.ID) + "/" + t.Section, Here: t.Section == data.Section}
		if data.AsOf != "" {
			link.Href += "?as_of=" + url.QueryEscape(data.AsOf)
		}
		data.Tabs = append(data.Tabs, link)
	}
	return v.show("viewer", data.Character.Text("name"), data)
}
