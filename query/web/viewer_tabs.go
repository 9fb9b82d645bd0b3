package web

import "slices"

// tab is a section of a character as the viewer shows it: a list, the values of one object,
// or both.
type tab struct {
	// Section is the API's name of it, and the page's.
	Section string
	// List has the columns and filters of a list.
	List list
	// Keys are the fields that tell rows apart.
	Keys []string
	// Facts are the values of one object.
	Facts []column
	// Text is a field of [kindHTML] that stands below the facts.
	Text string
	// Ready changes the list to what this visit needs of it.
	Ready func(*visit, *list)
	// More adds what belongs to this section alone.
	More func(*visit, *viewerData, row)
}

// tabGroup is a row of tabs.
type tabGroup struct {
	Name string
	Tabs []tab
}

// sectionOverview is the page that a character opens with. It is no section of the API.
const sectionOverview = "overview"

// tabGroups are all sections of a character, in the order of the page.
func tabGroups() []tabGroup {
	return []tabGroup{
		{"overview", []tab{{Section: sectionOverview}, detailsTab(), locationTab(), shipTab(), onlineTab(), fatigueTab()}},
		{"assets", []tab{assetsTab(), ordersTab(), blueprintsTab(), fittingsTab()}},
		{"wallet", []tab{journalTab(), transactionsTab(), contractsTab(), walletTab(), loyaltyTab()}},
		{"skills", []tab{skillsTab(), queueTab(), skillSetsTab(), attributesTab(), implantsTab(), clonesTab()}},
		{"social", []tab{mailsTab(), contactsTab(), standingsTab(), notificationsTab(), calendarTab()}},
		{"service", []tab{employmentTab(), rolesTab(), titlesTab(), medalsTab()}},
		{"industry", []tab{jobsTab(), miningTab(), planetsTab(), researchTab()}},
		{"combat", []tab{killmailsTab(), warfareTab()}},
	}
}

// tabOf is the tab of a section; nil for none.
func tabOf(section string) *tab {
	for _, g := range tabGroups() {
		for i := range g.Tabs {
			if g.Tabs[i].Section == section {
				return &g.Tabs[i]
			}
		}
	}
	return nil
}

// named is a column with the name of something, or its id while the name is not known.
func named(name, field string) column {
	return column{Name: name, Field: field + "_name", Else: field + "_id"}
}

// as is a column of a kind.
func as(k kind, name, field string) column { return column{Name: name, Field: field, Kind: k} }

// equals matches rows that have the value at a field.
func equals(field string) func(row, string) bool {
	return func(r row, value string) bool { return r.Text(field) == value }
}

// flagged matches rows by a truth value that may be left out, as ESI does.
func flagged(field string) func(row, string) bool {
	return func(r row, value string) bool { return r.Bool(field) == (value == "true") }
}

// span are the filters of a list over time.
func span() []filter {
	return []filter{{Name: "from", Kind: "date"}, {Name: "to", Kind: "date"}}
}

func detailsTab() tab {
	return tab{
		Section: "details", Text: "description_html",
		Facts: []column{
			{Name: "name", Field: "name"},
			named("corporation", "corporation"), named("alliance", "alliance"), named("faction", "faction"),
			{Name: "race", Field: "race_name"},
			{Name: "bloodline", Field: "bloodline_name"},
			as(kindWord, "gender", "gender"),
			{Name: "birthday", Cell: birthday},
			as(kindNumber, "security_status", "security_status"),
			{Name: "corporation_title", Field: "corporation_title_plain"},
			as(kindNumber, "achievement_score", "achievement_score"),
		},
	}
}

// birthday is when a character was born, and how old it is.
func birthday(v *visit, r row) cell {
	text := r.Text("birthday")
	at, ok := moment(text)
	if !ok {
		return cell{Text: text}
	}
	days := int64(v.site.config.Now().Sub(at).Hours() / 24)
	return cell{Text: v.T("viewer.birthday", "Day", v.Day(text), "Age", v.T("viewer.age", "Years", days/365, "Days", days%365)), Time: text}
}

func locationTab() tab {
	return tab{Section: "location", Facts: []column{
		{Name: "place", Cell: whereabouts}, named("system", "solar_system"), {Name: "security", Kind: kindNumber, Cell: security}, {Name: "region", Field: "region"},
	}}
}

// whereabouts is the station or structure that somebody is in, or space.
func whereabouts(v *visit, r row) cell {
	for _, field := range []string{"station_name", "structure_name", "station_id", "structure_id"} {
		if text := r.Text(field); text != "" {
			return cell{Text: text}
		}
	}
	if r.Has("solar_system_id") {
		return cell{Text: v.T("viewer.in-space")}
	}
	return cell{}
}

// security is the security status of a system, to the tenth that the game shows.
func security(v *visit, r row) cell {
	text := r.Text("security_status")
	return cell{Text: v.Number(tenth(text)), Value: text, Class: "num"}
}

func shipTab() tab {
	return tab{Section: "ship", Facts: []column{
		{Name: "ship", Field: "ship_type_name", Else: "ship_type_id"}, {Name: "ship_name", Field: "ship_name"}, {Name: "group", Field: "group_name"}, {Name: "item", Field: "ship_item_id"},
	}}
}

func onlineTab() tab {
	return tab{Section: "online", Facts: []column{
		{Name: "online", Cell: presence}, as(kindTime, "last_login", "last_login"), as(kindTime, "last_logout", "last_logout"), as(kindNumber, "logins", "logins"),
	}}
}

// presence tells whether a character is online.
func presence(v *visit, r row) cell {
	switch r.Text("online") {
	case "true":
		return cell{Text: v.Word("online"), Badge: "good"}
	case "false":
		return cell{Text: v.Word("offline"), Badge: "neutral"}
	default:
		return cell{}
	}
}

func fatigueTab() tab {
	return tab{Section: "fatigue", Facts: []column{
		as(kindTime, "jump_fatigue_until", "jump_fatigue_expire_date"), as(kindTime, "last_jump", "last_jump_date"), as(kindTime, "fatigue_updated", "last_update_date"),
	}}
}

func attributesTab() tab {
	var facts []column
	for _, name := range []string{"intelligence", "memory", "perception", "willpower", "charisma"} {
		facts = append(facts, as(kindNumber, name, name))
	}
	return tab{Section: "attributes", Facts: append(facts,
		as(kindTime, "last_remap", "last_remap_date"), as(kindTime, "next_remap", "accrued_remap_cooldown_date"), as(kindNumber, "bonus_remaps", "bonus_remaps"))}
}

func walletTab() tab {
	return tab{Section: "wallet", Facts: []column{as(kindISK, "balance_isk", "balance")}}
}

func warfareTab() tab {
	return tab{Section: "fw-stats", Facts: []column{
		named("faction", "faction"), as(kindDay, "enlisted", "enlisted_on"),
		{Name: "rank", Field: "current_rank_name", Else: "current_rank"},
		{Name: "highest_rank", Field: "highest_rank_name", Else: "highest_rank"},
		as(kindNumber, "kills_yesterday", "kills.yesterday"), as(kindNumber, "kills_week", "kills.last_week"), as(kindNumber, "kills_total", "kills.total"),
		as(kindNumber, "points_yesterday", "victory_points.yesterday"), as(kindNumber, "points_week", "victory_points.last_week"), as(kindNumber, "points_total", "victory_points.total"),
	}}
}

func employmentTab() tab {
	return tab{Section: "corporation-history", Keys: []string{"record_id"}, List: list{
		Limit: wholeList, Order: descending("start_date"),
		Columns: []column{
			named("corporation", "corporation"),
			{Name: "closed", Cell: func(v *visit, r row) cell {
				if r.Bool("is_deleted") {
					return cell{Text: v.Word("closed"), Badge: "warn"}
				}
				return cell{}
			}},
			as(kindTime, "since", "start_date"), as(kindTime, "until", "end_date"),
			{Name: "days", Kind: kindNumber, Cell: func(v *visit, r row) cell {
				return cell{Text: v.Number(r.Text("days")), Value: r.Text("days"), Class: "num"}
			}},
		},
	}}
}

func rolesTab() tab {
	columns := []column{as(kindWord, "role", "role"), as(kindWord, "role_place", "place"), {Name: "granted", Cell: granted}}
	return tab{Section: "roles", Keys: []string{"group", "place", "role"}, List: list{
		Items: "value.duties", Limit: -1, NoFiles: true, Columns: columns,
		Filters: []filter{{Name: "granted", Options: yesNo, Match: flagged("granted")}},
		Lines:   inGroups(columns, func(v *visit, r row) string { return v.Word(r.Text("group")) }),
	}}
}

// granted is a mark for a role that is held.
func granted(v *visit, r row) cell {
	if r.Bool("granted") {
		return cell{Text: v.T("word.yes"), Badge: "good"}
	}
	return cell{Text: "–"}
}

func titlesTab() tab {
	return tab{Section: "titles", Keys: []string{"title_id"}, List: list{
		Limit: wholeList, Columns: []column{{Name: "title", Field: "name_plain", Else: "title_id"}},
	}}
}

func medalsTab() tab {
	return tab{Section: "medals", Keys: []string{"medal_id", "date", "issuer_id"}, List: list{
		Limit: wholeList, Order: descending("date"),
		Columns: []column{
			as(kindDay, "date", "date"),
			{Name: "medal", Field: "title"},
			{Name: "text", Field: "description_plain", Else: "description"},
			{Name: "reason", Field: "reason"},
			named("corporation", "corporation"), named("issuer", "issuer"), as(kindWord, "visibility", "status"),
		},
	}}
}

func standingsTab() tab {
	columns := []column{
		{Name: "name", Field: "from_name", Else: "from_id"},
		as(kindWord, "kind", "from_type"),
		{Name: "standing", Field: "effective_standing", Else: "standing", Kind: kindNumber},
		as(kindNumber, "standing_raw", "standing"),
	}
	return tab{Section: "standings", Keys: []string{"from_type", "from_id"}, List: list{
		Limit: wholeList, Columns: columns, Order: byNumber("effective_standing", "standing"),
		Filters: []filter{
			{Name: "level", Options: words(standingLevels()...), Match: equals("standing_level")}, {Name: "kind", Options: words("agent", "npc_corp", "faction"), Match: equals("from_type")},
		},
		Lines: inGroups(columns, levelOf),
	}}
}

// standingLevels are how standings are called, the best first.
func standingLevels() []string { return []string{"excellent", "good", "neutral", "bad", "terrible"} }

func levelOf(v *visit, r row) string { return v.Word("standing_" + r.Text("standing_level")) }

func contactsTab() tab {
	columns := []column{
		{Name: "name", Cell: func(v *visit, r row) cell {
			made := cell{Text: r.Text("contact_name")}
			if made.Text == "" {
				made.Text = r.Text("contact_id")
			}
			if r.Bool("is_npc") {
				made.Text = v.T("viewer.npc", "Name", made.Text)
			}
			return made
		}},
		as(kindWord, "kind", "contact_type"), as(kindNumber, "standing", "standing"), as(kindBool, "watched", "is_watched"), as(kindBool, "blocked", "is_blocked"),
		{Name: "labels", Field: "label_names", Kind: kindWords},
	}
	return tab{Section: "contacts", Keys: []string{"contact_id"}, List: list{
		Limit: wholeList, Columns: columns, Order: byNumber("standing", "standing"),
		Filters: []filter{
			{Name: "level", Options: words(standingLevels()...), Match: equals("standing_level")},
			{Name: "contact_type", Options: words("character", "corporation", "alliance", "faction")},
			{Name: "npc", Options: yesNo, Match: flagged("is_npc")},
			{Name: "watched", Options: yesNo, Match: flagged("is_watched")},
			{Name: "blocked", Options: yesNo, Match: flagged("is_blocked")},
		},
		Lines: inGroups(columns, levelOf),
	}}
}

func notificationsTab() tab {
	return tab{Section: "notifications", Keys: []string{"notification_id"}, List: list{
		Filters: append(span(), filter{Name: "type"}), Class: unread,
		Columns: []column{
			as(kindTime, "sent", "timestamp"),
			{Name: "type", Cell: func(_ *visit, r row) cell { return cell{Text: spaced(r.Text("type"))} }},
			named("sender", "sender"),
			{Name: "text", Field: "text"},
		},
	}}
}

// unread is the class of what nobody has read yet.
func unread(r row) string {
	if r.Has("is_read") && !r.Bool("is_read") {
		return "unread"
	}
	return ""
}

func calendarTab() tab {
	return tab{Section: "calendar", Keys: []string{"event_id"}, List: list{
		Filters: span(),
		Columns: []column{
			as(kindTime, "date", "event_date"),
			{Name: "title", Field: "title"},
			{Name: "organiser", Field: "owner_name", Else: "owner_id"},
			as(kindWord, "response", "event_response"),
			as(kindNumber, "minutes", "duration"),
			{Name: "important", Cell: func(v *visit, r row) cell {
				if r.Text("importance") == "1" {
					return cell{Text: v.T("word.yes"), Badge: "warn"}
				}
				return cell{}
			}},
			as(kindHTML, "text", "text_html"),
		},
	}}
}

func killmailsTab() tab {
	return tab{Section: "killmails", Keys: []string{"killmail_id"}, List: list{
		Filters: span(),
		Columns: []column{
			{Name: "date", Cell: func(v *visit, r row) cell {
				return cell{Text: v.Time(r.Text("killmail_time")), Href: v.record("killmails", r.Text("killmail_id")), Class: "when"}
			}},
			{Name: "outcome", Cell: func(v *visit, r row) cell {
				if r.Text("victim.character_id") == v.path("id") {
					return cell{Text: v.Word("loss"), Badge: "bad"}
				}
				return cell{Text: v.Word("kill"), Badge: "good"}
			}},
			named("ship", "victim.ship_type"), named("victim", "victim.character"), named("corporation", "victim.corporation"), named("alliance", "victim.alliance"),
			named("system", "solar_system"), as(kindNumber, "damage", "victim.damage_taken"),
		},
	}}
}

// wholeList is how many rows a list has that is shown as a whole where it can be: as many as
// the API gives at once.
const wholeList = 1000

// inGroups makes lines of rows in groups, with a line above each of them. The groups follow
// one another as their first rows do.
func inGroups(columns []column, of func(*visit, row) string) func(*visit, []row) []line {
	return func(v *visit, rows []row) []line {
		var names []string
		groups := map[string][]line{}
		for _, r := range rows {
			name := of(v, r)
			if _, ok := groups[name]; !ok {
				names = append(names, name)
			}
			groups[name] = append(groups[name], line{Cells: v.cells(columns, r)})
		}
		var lines []line
		for _, name := range names {
			lines = append(lines, line{Class: "group", Cells: []cell{{Text: v.T("list.group", "Name", name, "Rows", v.Number(len(groups[name]))), Span: len(columns)}}})
			lines = slices.Concat(lines, groups[name])
		}
		return lines
	}
}
