package web

import (
	"cmp"
	"maps"
	"net/url"
)

// overviewData is what is worth knowing of a character at a glance.
type overviewData struct {
	Blocks []factBlock
	// Sections are all, Troubled those that do not stand well; Standing says how many do.
	Sections, Troubled *table
	Standing           string
}

// factBlock is a group of facts under a heading.
type factBlock struct {
	Title string
	Facts []fact
}

// overview shows a character at a glance: who it is, where, what it has, and how its sections
// stand. What who looks may not see, or what was not read yet, is left out.
func (v *visit) overview() error {
	at := url.Values{}
	if moment := v.param("as_of"); moment != "" {
		at.Set("as_of", instant(moment))
	}
	base := apiOf(v.path("id")) + "/"
	ask := func(section string, limited bool) *asked {
		query := url.Values{}
		maps.Copy(query, at)
		if limited {
			query.Set("limit", "1")
		}
		return &asked{path: base + section, query: query}
	}
	details, skills, wallet, location := ask("details", false), ask("skills", false), ask("wallet", false), ask("location", false)
	ship, online, clones, assets := ask("ship", false), ask("online", false), ask("clones", false), ask("assets", true)
	queue := &asked{path: base + "skill-queue", query: at}
	d, err := v.frame(sectionOverview, details, skills, wallet, location, ship, online, clones, assets, queue)
	if err != nil {
		return err
	}
	if d.Problem != nil {
		return v.showTo(d.status(), "overview", d.Character.Text("name"), d)
	}
	value := func(a *asked) row { return a.got.Row("value") }
	training := row{}
	for _, r := range queue.got.Rows("items") {
		if r.Text("training_state") == "training" {
			training = r
		}
	}
	merged := row{"place": v.cell(column{Cell: whereabouts}, value(location)).Text, "ship": value(ship).Text("ship_type_name"), "ship_name": value(ship).Text("ship_name")}
	data := overviewData{Blocks: []factBlock{
		{v.T("overview.person"), v.facts(value(details),
			column{Name: "race", Field: "race_name"}, column{Name: "bloodline", Field: "bloodline_name"}, named("faction", "faction"), column{Name: "birthday", Cell: birthday},
			as(kindNumber, "security_status", "security_status"), column{Name: "corporation_title", Field: "corporation_title_plain"})},
		{v.T("overview.whereabouts"), append(append(append(v.facts(value(online), column{Name: "online", Cell: presence}, as(kindTime, "last_login", "last_login")),
			v.facts(merged, column{Name: "place", Field: "place"})...),
			v.facts(value(location), named("system", "solar_system"), column{Name: "security", Kind: kindNumber, Cell: security}, column{Name: "region", Field: "region"})...),
			v.facts(row{"ship": merged["ship"], "ship_name": merged["ship_name"], "home": cmp.Or(value(clones).Text("home_location.location_name"), value(clones).Text("home_location.location_id"))},
				column{Name: "ship", Field: "ship"}, column{Name: "ship_name", Field: "ship_name"}, column{Name: "home", Field: "home"})...)},
		{v.T("overview.means"), append(append(v.facts(value(wallet), as(kindISK, "balance_isk", "balance")),
			v.facts(worth(assets.got), as(kindISK, "asset_value", "total_value"))...),
			append(v.facts(value(skills), as(kindNumber, "skill_points", "total_sp"), as(kindNumber, "unallocated", "unallocated_sp")),
				v.facts(training, column{Name: "training", Cell: trainingNow}, as(kindTime, "finish", "finish_date"))...)...)},
	}}
	var troubled []any
	all := d.Character.Rows("sections")
	for _, r := range all {
		if r.Text("status") != "ok" {
			troubled = append(troubled, map[string]any(r))
		}
	}
	data.Sections, data.Standing = v.sections("sections", d.Character), v.T("overview.standing", "OK", len(all)-len(troubled), "All", len(all))
	if len(troubled) > 0 {
		data.Troubled = v.sections("troubled", row{"sections": troubled})
	}
	d.Extra = data
	return v.show("overview", d.Character.Text("name"), d)
}

// worth is an answer about assets, or nothing while they were not read.
func worth(assets row) row {
	if !assets.Has("observed_at") {
		return nil
	}
	return assets
}

// trainingNow is the skill that is trained.
func trainingNow(v *visit, r row) cell {
	if !r.Has("skill_id") {
		return cell{}
	}
	return queued(v, r)
}

// sections are how sections of a character stand.
func (v *visit) sections(name string, of row) *table {
	return v.tableOf(list{
		ID: name, Items: "sections", NoFiles: true,
		Columns: []column{
			{Name: "section", Cell: func(v *visit, r row) cell {
				return cell{Text: v.T("section." + r.Text("section")), Href: v.tabHref(r.Text("section"))}
			}},
			as(kindBadge, "status", "status"), as(kindTime, "changed_at", "observed_at"), as(kindTime, "confirmed_at", "validated_at"), as(kindNumber, "outstanding", "outstanding"),
			{Name: "why", Cell: func(v *visit, r row) cell {
				if class := r.Text("failure.class"); class != "" {
					return cell{Text: v.T("viewer.failure", "Class", v.Word(class), "Message", r.Text("failure.message")), Title: v.Time(r.Text("failure.since"))}
				}
				return cell{}
			}},
			as(kindTime, "next_at", "not_before"),
		},
	}, of)
}
