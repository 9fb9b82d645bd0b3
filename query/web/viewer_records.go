package web

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

// recordData is what the page of one record shows.
type recordData struct {
	Title  string
	Back   navLink
	Facts  []fact
	Prose  template.HTML
	Tables []*table
	// Note is said of the record, if something must be.
	Note string
	// Text is shown as it is, under Caption.
	Text, Caption string
	Story         *story
}

// showRecord shows one record of a section: what the API answers at the path, in full.
func (v *visit) showRecord(section, name string, make func(*viewerData, row) recordData) error {
	query := url.Values{}
	if at := v.param("as_of"); at != "" {
		query.Set("as_of", instant(at))
	}
	content := &asked{path: apiOf(v.path("id")) + "/" + section + "/" + url.PathEscape(v.path(name)), query: query}
	d, err := v.frame(section, content)
	if err != nil {
		return err
	}
	if content.err != nil && (!errors.As(content.err, &d.Problem) || d.Problem.Status == http.StatusUnauthorized) {
		return content.err
	}
	if d.Problem != nil {
		return v.showTo(d.status(), "record", d.Character.Text("name"), d)
	}
	made := make(d, content.got)
	made.Back = navLink{Text: v.T("viewer.back-to", "Section", v.T("section."+section)), Href: v.tabHref(section)}
	d.Extra = made
	return v.show("record", made.Title, d)
}

// mail shows a mail with its text.
func (s *Site) mail(v *visit) error {
	return v.showRecord("mails", "record", func(_ *viewerData, answered row) recordData {
		r := answered.Row("value")
		made := recordData{
			Title: cmp.Or(r.Text("subject"), v.T("viewer.no-subject")), Prose: v.cell(as(kindHTML, "", "body_html"), r).HTML,
			Facts: v.facts(r, column{Name: "from", Field: "from_name", Else: "from"}, column{Name: "to", Cell: recipients}, as(kindTime, "sent", "timestamp"), column{Name: "labels", Field: "label_names", Kind: kindWords}),
		}
		switch {
		case r.Bool("body_forgotten"):
			made.Note = v.T("viewer.body-forgotten")
		case made.Prose == "" && r.Text("body_plain") != "":
			made.Text = r.Text("body_plain")
		case made.Prose == "":
			made.Note = v.T("viewer.no-body")
		}
		return made
	})
}

// contract shows a contract with what is in it and what was bid.
func (s *Site) contract(v *visit) error {
	return v.showRecord("contracts", "record", func(_ *viewerData, answered row) recordData {
		r := answered.Row("value")
		made := recordData{
			Title: cmp.Or(r.Text("title"), r.Text("summary"), v.T("viewer.contract", "ID", r.Text("contract_id"))),
			Facts: v.facts(r,
				as(kindWord, "type", "type"), column{Name: "status", Cell: contractStatus}, as(kindWord, "availability", "availability"), column{Name: "summary", Field: "summary"},
				column{Name: "from", Field: "issuer_name", Else: "issuer_id"}, named("corporation", "issuer_corporation"),
				column{Name: "assignee", Field: "assignee_name"}, column{Name: "acceptor", Field: "acceptor_name"},
				named("place", "start_location"), named("destination", "end_location"),
				as(kindTime, "issued", "date_issued"), as(kindTime, "until", "date_expired"), as(kindTime, "accepted_at", "date_accepted"), as(kindTime, "completed_at", "date_completed"),
				as(kindNumber, "days", "days_to_complete"), as(kindNumber, "volume", "volume"), as(kindISK, "price", "price"), as(kindISK, "reward", "reward"), as(kindISK, "collateral", "collateral"),
				as(kindISK, "buyout", "buyout"), as(kindISK, "current_bid", "current_bid"), as(kindNumber, "bids", "bids_count")),
		}
		columns := []column{
			named("type", "type"), as(kindNumber, "quantity", "quantity"),
			{Name: "group", Field: "group_name"},
			{Name: "blueprint", Cell: func(v *visit, r row) cell {
				if r.Bool("is_blueprint_copy") {
					return cell{Text: v.Word("copy")}
				}
				return cell{}
			}},
			as(kindISK, "price", "price"), as(kindISK, "sum", "total"),
		}
		for _, side := range []struct{ id, included string }{{"contract-included", "true"}, {"contract-requested", "false"}} {
			var items []any
			for _, item := range r.Rows("items") {
				if item.Text("is_included") == side.included {
					items = append(items, map[string]any(item))
				}
			}
			if len(items) > 0 {
				made.Tables = append(made.Tables, v.tableOf(list{ID: side.id, NoFiles: true, Columns: columns}, row{"items": items}))
			}
		}
		if len(r.Rows("bids")) > 0 {
			made.Tables = append(made.Tables, v.tableOf(list{ID: "bids", Items: "bids", NoFiles: true, Order: byNumber("amount", ""), Columns: []column{
				as(kindTime, "date", "date_bid"), named("bidder", "bidder"), as(kindISK, "amount", "amount"),
			}}, r))
		}
		if len(made.Tables) == 0 && r.Text("type") != "courier" {
			made.Note = v.T("viewer.no-items")
		}
		return made
	})
}

// killmail shows a killmail with who attacked, and what was lost.
func (s *Site) killmail(v *visit) error {
	return v.showRecord("killmails", "record", func(d *viewerData, answered row) recordData {
		r := answered.Row("value")
		outcome := "kill"
		if r.Text("victim.character_id") == d.ID {
			outcome = "loss"
		}
		return recordData{
			Title: v.T("viewer."+outcome, "Ship", cmp.Or(r.Text("victim.ship_type_name"), r.Text("victim.ship_type_id")), "System", cmp.Or(r.Text("solar_system_name"), r.Text("solar_system_id"))),
			Facts: v.facts(r, as(kindTime, "date", "killmail_time"), named("victim", "victim.character"), named("corporation", "victim.corporation"), named("alliance", "victim.alliance"),
				named("ship", "victim.ship_type"), named("system", "solar_system"), as(kindNumber, "damage", "victim.damage_taken")),
			Tables: []*table{
				v.tableOf(list{ID: "attackers", Items: "attackers", NoFiles: true, Order: byNumber("damage_done", ""), Columns: []column{
					named("attacker", "character"), named("corporation", "corporation"), named("alliance", "alliance"), named("ship", "ship_type"), named("weapon", "weapon_type"),
					as(kindNumber, "damage", "damage_done"), as(kindBool, "final_blow", "final_blow"),
					{Name: "security_status", Kind: kindNumber, Cell: security},
				}}, r),
				v.tableOf(list{ID: "victim-items", Items: "victim.items", NoFiles: true, Columns: []column{
					named("type", "item_type"), as(kindNumber, "destroyed", "quantity_destroyed"), as(kindNumber, "dropped", "quantity_dropped"),
				}}, r),
			},
		}
	})
}

// asset shows what lies in an asset, and what became of it.
func (s *Site) asset(v *visit) error {
	query := url.Values{"location_id": {v.path("item")}, "limit": {"1000"}}
	if at := v.param("as_of"); at != "" {
		query.Set("as_of", instant(at))
	}
	if cursor := v.param("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	base := apiOf(v.path("id")) + "/assets"
	inside := &asked{path: base, query: query}
	why := &asked{path: base + "/" + url.PathEscape(v.path("item")) + "/explain"}
	d, err := v.frame("assets", inside, why)
	if err != nil {
		return err
	}
	for _, a := range []*asked{why, inside} {
		if a.err != nil && (!errors.As(a.err, &d.Problem) || d.Problem.Status == http.StatusUnauthorized) {
			return a.err
		}
	}
	if d.Problem != nil {
		return v.showTo(d.status(), "record", d.Character.Text("name"), d)
	}
	r := why.got
	verdict := r.Text("verdict")
	made := recordData{
		Title: cmp.Or(r.Text("type_name"), r.Text("type_id")), Back: navLink{Text: v.T("viewer.back-to", "Section", v.T("section.assets")), Href: v.tabHref("assets")},
		Facts: append([]fact{{Name: v.T("column.state"), Cell: cell{Text: v.Word("asset_" + verdict), Badge: badgeOf(verdict)}}},
			v.facts(r, as(kindTime, "since", "since"), named("place", "last_place.location"), column{Name: "hangar", Field: "last_place.location_flag"}, as(kindNumber, "quantity", "last_place.quantity"),
				as(kindTime, "last_seen", "last_seen_at"), column{Name: "item", Field: "item_id"})...),
		Story: v.explained(r),
	}
	for _, loss := range r.Rows("losses") {
		for _, match := range loss.Rows("matches") {
			made.Story.Items = append(made.Story.Items, happening{
				At: match.Text("at"), Kind: v.T("asset.match-" + certainty(match)), Badge: "info",
				Words: match.Text("words"), Event: v.event(match.Text("event_id")), Class: "declared",
			})
		}
	}
	if len(inside.got.Rows("items")) > 0 {
		made.Tables = append(made.Tables, v.tableOf(list{ID: "container", NoFiles: true, Columns: assetColumns(), Order: ascending("type_name", "item_id")}, inside.got))
	}
	d.Extra = made
	return v.show("record", made.Title, d)
}

// certainty is how sure it is that something happened to the asset itself.
func certainty(match row) string {
	if match.Bool("certain") {
		return "certain"
	}
	return "possible"
}

// explained is an explanation of the API as a story: what it comes to in sentences, and the
// steps that lead there.
func (v *visit) explained(r row) *story {
	told := &story{Title: v.T("explain.title"), Empty: v.T("explain.no-steps")}
	for _, sentence := range r.Texts("narrative") {
		told.Items = append(told.Items, happening{Words: sentence, Class: "verdict"})
	}
	for _, step := range r.Rows("steps") {
		told.Items = append(told.Items, happening{At: step.Text("at"), Words: step.Text("words"), Class: "observed", Event: v.event(step.Text("event_id"))})
	}
	if left := r.Int("steps_omitted"); left > 0 {
		told.Items = append(told.Items, happening{Words: v.T("explain.omitted", "Steps", v.Number(left)), Class: "verdict"})
	}
	return told
}

// characterSkillSet shows how a character stands to a skill set: each skill, what is missing, how long
// it takes to train, and why it is so.
func (s *Site) characterSkillSet(v *visit) error {
	id, set := v.path("id"), url.PathEscape(v.path("record"))
	missing := &asked{path: "/v1/skill-sets/" + set + "/missing", query: url.Values{"character_id": {id}}}
	why := &asked{path: apiOf(id) + "/skill-sets/" + set + "/explain"}
	d, err := v.frame("skill-sets", missing, why)
	if err != nil {
		return err
	}
	for _, a := range []*asked{missing, why} {
		if a.err != nil && (!errors.As(a.err, &d.Problem) || d.Problem.Status == http.StatusUnauthorized) {
			return a.err
		}
	}
	if d.Problem != nil {
		return v.showTo(d.status(), "record", d.Character.Text("name"), d)
	}
	r := missing.got
	verdict := why.got.Text("verdict")
	made := recordData{
		Title: r.Text("name"), Back: navLink{Text: v.T("viewer.back-to", "Section", v.T("section.skill-sets")), Href: v.tabHref("skill-sets")},
		Facts: []fact{{Name: v.T("column.state"), Cell: cell{Text: v.Word(verdict), Badge: badgeOf(verdict)}}},
		Text:  r.Text("text"), Caption: v.T("viewer.missing-text"), Story: v.explained(why.got),
	}
	if r.Has("training.seconds") && r.Int("training.seconds") > 0 {
		made.Facts = append(made.Facts, fact{Name: v.T("column.training_time"), Cell: cell{Text: v.Span(time.Duration(r.Int("training.seconds")) * time.Second)}})
	}
	made.Facts = append(made.Facts, v.facts(r, as(kindNumber, "points_missing", "training.skill_points"))...)
	made.Tables = []*table{v.tableOf(list{ID: "skill-set", Items: "skills", NoFiles: true, Columns: []column{
		named("skill", "type"), as(kindNumber, "required_level", "required"), as(kindNumber, "recommended_level", "recommended"), as(kindNumber, "level_active", "active_skill_level"),
		as(kindNumber, "level_trained", "trained_skill_level"),
		{Name: "state", Cell: func(v *visit, r row) cell {
			met := r.Text("met")
			return cell{Text: v.Word("met_" + met), Badge: map[string]string{"full": "good", "partial": "warn", "none": "bad"}[met]}
		}},
	}}, r)}
	d.Extra = made
	return v.show("record", made.Title, d)
}
