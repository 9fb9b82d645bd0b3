package web

import (
	"cmp"
	"math/big"
	"net/url"
	"strings"
	"unicode"
)

// descending orders rows by the text at a field, such as a time, the latest first.
func descending(field string) func(a, b row) int {
	return func(a, b row) int { return cmp.Compare(b.Text(field), a.Text(field)) }
}

// ascending orders rows by texts at fields.
func ascending(fields ...string) func(a, b row) int {
	return func(a, b row) int {
		for _, field := range fields {
			if c := cmp.Compare(a.Text(field), b.Text(field)); c != 0 {
				return c
			}
		}
		return 0
	}
}

// byNumber orders rows by the number at a field, or at another if there is none, the greatest
// first.
func byNumber(field, otherwise string) func(a, b row) int {
	number := func(r row) *big.Rat {
		for _, name := range []string{field, otherwise} {
			if n, ok := new(big.Rat).SetString(r.Text(name)); ok {
				return n
			}
		}
		return new(big.Rat)
	}
	return func(a, b row) int { return number(b).Cmp(number(a)) }
}

// tenth is the security of a system as the game shows it: rounded to a tenth, and never to zero
// where it is above.
func tenth(number string) string {
	exact, ok := new(big.Rat).SetString(number)
	if !ok {
		return number
	}
	rounded := exact.FloatString(1)
	switch {
	case rounded == "0.0" && exact.Sign() > 0:
		return "0.1"
	case rounded == "-0.0":
		return "0.0"
	default:
		return rounded
	}
}

// spaced parts a word such as CorpAppAcceptMsg.
func spaced(word string) string {
	var b strings.Builder
	for i, letter := range word {
		if i > 0 && unicode.IsUpper(letter) && !unicode.IsUpper(rune(word[i-1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(letter)
	}
	return b.String()
}

// level is a level of a skill as the game writes it.
func level(number string) string {
	if written, ok := map[string]string{"0": "0", "1": "I", "2": "II", "3": "III", "4": "IV", "5": "V"}[number]; ok {
		return written
	}
	return number
}

// record is the page of one record of a section of the character that is shown, as of the
// moment that is shown.
func (v *visit) record(section, id string) string {
	if id == "" {
		return ""
	}
	return v.within("/" + section + "/" + url.PathEscape(id))
}

// within is a page of the character that is shown, as of the moment that is shown.
func (v *visit) within(path string) string {
	made := characterPath(v.path("id")) + path
	if at := v.param("as_of"); at != "" {
		made += "?as_of=" + url.QueryEscape(at)
	}
	return made
}

func assetsTab() tab {
	return tab{Section: "assets", Keys: []string{"item_id"}, Ready: func(v *visit, l *list) {
		if !listsItems(v) {
			l.Limit = 1
		}
	}, More: assetPlaces, List: list{
		Limit: wholeList, Keep: []string{"_view", "location_id"}, Columns: assetColumns(), Order: ascending("place_name", "type_name", "item_id"),
		Filters: []filter{
			{Name: "region", Match: contains("region")},
			{Name: "system", Match: contains("system_name")},
			{Name: "type", Match: contains("type_name")},
			{Name: "is_ship", Options: yesNo, Match: flagged("is_ship")},
		},
		Lines: inGroups(assetColumns(), func(_ *visit, r row) string { return cmp.Or(r.Text("place_name"), r.Text("place_id")) }),
	}}
}

// contains matches rows that have the value as a part of a text, without regard to case.
func contains(field string) func(row, string) bool {
	return func(r row, value string) bool {
		return strings.Contains(strings.ToLower(r.Text(field)), strings.ToLower(value))
	}
}

func assetColumns() []column {
	return []column{
		{Name: "asset", Cell: func(v *visit, r row) cell {
			made := cell{Text: cmp.Or(r.Text("type_name"), r.Text("type_id")), Href: v.record("assets", r.Text("item_id"))}
			if name := r.Text("name"); name != "" {
				made.Text = v.T("viewer.asset-named", "Type", made.Text, "Name", name)
			}
			if r.Bool("is_blueprint_copy") {
				made.Text = v.T("viewer.copy-of", "Name", made.Text)
			}
			return made
		}},
		{Name: "quantity", Kind: kindNumber, Cell: func(v *visit, r row) cell {
			if r.Bool("is_singleton") {
				return cell{Class: "num"}
			}
			return cell{Text: v.Number(r.Text("quantity")), Value: r.Text("quantity"), Class: "num"}
		}},
		{Name: "group", Field: "group_name"},
		{Name: "within", Kind: kindNumber, Cell: func(v *visit, r row) cell {
			n := r.Int("within")
			if n == 0 {
				return cell{Class: "num"}
			}
			return cell{Text: v.Number(n), Value: r.Text("within"), Href: v.record("assets", r.Text("item_id")), Class: "num"}
		}},
		as(kindNumber, "volume", "volume"), as(kindISK, "price", "price"), as(kindISK, "sum", "total"),
	}
}

// listsItems tells whether one asks for assets, not for the places where they lie.
func listsItems(v *visit) bool {
	for _, name := range []string{"_view", "location_id", "is_ship", "type", "cursor"} {
		if v.param(name) != "" {
			return true
		}
	}
	return false
}

// assetPlaces shows where assets lie, unless one asks for the assets themselves: a table of
// places with what they hold.
func assetPlaces(v *visit, d *viewerData, answered row) {
	if total := answered.Text("total_value"); total != "" {
		d.Sums = append(d.Sums, fact{Name: v.T("column.asset_value"), Cell: cell{Text: v.ISK(total)}})
	}
	items := listsItems(v)
	places := answered.Rows("places")
	d.Pills = append(d.Pills,
		navLink{Text: v.T("viewer.by-place"), Href: v.address("_view", "", "location_id", "", "cursor", "", "is_ship", "", "type", ""), Here: !items},
		navLink{Text: v.T("viewer.all-items"), Href: v.address("_view", "items", "location_id", "", "cursor", ""), Here: items && v.param("location_id") == ""})
	if place := v.param("location_id"); place != "" && len(answered.Rows("items")) > 0 {
		d.Pills = append(d.Pills, navLink{Text: cmp.Or(answered.Rows("items")[0].Text("location_name"), place), Href: v.address(), Here: true})
	}
	if items || len(places) == 0 {
		return
	}
	files := d.Table.Downloads
	d.Table = v.tableOf(list{
		ID: "places", Items: "places", NoFiles: true, Order: byNumber("total_value", "items"), Keep: []string{"as_of"},
		Filters: []filter{{Name: "region", Match: contains("region")}, {Name: "system", Match: contains("system_name")}},
		Columns: []column{
			{Name: "place", Cell: func(v *visit, r row) cell {
				return cell{Text: cmp.Or(r.Text("place_name"), r.Text("place_id")), Href: v.address("location_id", r.Text("place_id"), "region", "", "system", "")}
			}},
			{Name: "system", Field: "system_name"},
			{Name: "security", Kind: kindNumber, Cell: security},
			{Name: "region", Field: "region"},
			as(kindNumber, "items", "items"), as(kindISK, "sum", "total_value"),
		},
	}, row{"places": answered.at("places")})
	d.Table.Downloads = files
}

func ordersTab() tab {
	return tab{Section: "orders", Keys: []string{"order_id"}, List: list{
		Order: descending("issued"), Limit: wholeList,
		Filters: []filter{{Name: "history", Any: "word.no", Options: words("true")}, {Name: "is_buy", Options: yesNo, Match: flagged("is_buy_order")}},
		Columns: []column{
			named("type", "type"),
			{Name: "trade", Cell: trade("is_buy_order")},
			as(kindISK, "price", "price"), as(kindNumber, "left", "volume_remain"), as(kindNumber, "quantity", "volume_total"),
			named("place", "location"), as(kindTime, "issued", "issued"), as(kindNumber, "days", "duration"), as(kindWord, "range", "range"), as(kindISK, "escrow", "escrow"), as(kindWord, "state", "state"),
		},
	}}
}

// trade tells whether something was bought or sold.
func trade(field string) func(*visit, row) cell {
	return func(v *visit, r row) cell {
		if r.Bool(field) {
			return cell{Text: v.Word("buy"), Badge: "info"}
		}
		return cell{Text: v.Word("sell"), Badge: "neutral"}
	}
}

func blueprintsTab() tab {
	return tab{Section: "blueprints", Keys: []string{"item_id"}, List: list{
		Limit: wholeList, Order: ascending("type_name"), Filters: []filter{{Name: "is_copy", Options: yesNo, Match: func(r row, value string) bool { return (r.Text("quantity") == "-2") == (value == "true") }}},
		Columns: []column{
			named("type", "type"),
			{Name: "blueprint", Cell: func(v *visit, r row) cell {
				if r.Text("quantity") == "-2" {
					return cell{Text: v.Word("copy"), Badge: "neutral"}
				}
				return cell{Text: v.Word("original"), Badge: "info"}
			}},
			{Name: "runs", Kind: kindNumber, Cell: func(v *visit, r row) cell {
				if r.Text("runs") == "-1" {
					return cell{Text: "∞", Class: "num"}
				}
				return cell{Text: v.Number(r.Text("runs")), Value: r.Text("runs"), Class: "num"}
			}},
			as(kindNumber, "material_efficiency", "material_efficiency"), as(kindNumber, "time_efficiency", "time_efficiency"), named("place", "location"),
		},
	}}
}

func fittingsTab() tab {
	return tab{Section: "fittings", Keys: []string{"fitting_id"}, List: list{
		Limit: wholeList, Order: ascending("ship_type_name", "name"),
		Columns: []column{
			named("ship", "ship_type"),
			{Name: "name", Field: "name"},
			{Name: "text", Field: "description_html", Kind: kindHTML},
			{Name: "modules", Cell: func(_ *visit, r row) cell {
				counts, order := map[string]int64{}, []string{}
				for _, item := range r.Rows("items") {
					name := cmp.Or(item.Text("type_name"), item.Text("type_id"))
					if _, ok := counts[name]; !ok {
						order = append(order, name)
					}
					counts[name] += item.Int("quantity")
				}
				for i, name := range order {
					if counts[name] > 1 {
						order[i] = big.NewInt(counts[name]).String() + "× " + name
					}
				}
				return cell{Text: strings.Join(order, ", ")}
			}},
		},
	}}
}

func journalTab() tab {
	return tab{Section: "wallet-journal", Keys: []string{"id"}, List: list{
		Filters: append(span(), filter{Name: "ref_type"}),
		Columns: []column{
			as(kindTime, "date", "date"), as(kindWord, "ref_type", "ref_type"), named("first_party", "first_party"), named("second_party", "second_party"),
			as(kindISK, "amount", "amount"), as(kindISK, "balance", "balance"),
			{Name: "text", Cell: func(_ *visit, r row) cell {
				return cell{Text: strings.Trim(r.Text("description")+" – "+r.Text("reason"), " –")}
			}},
		},
	}, More: func(v *visit, d *viewerData, _ row) {
		d.Pills = append(d.Pills, navLink{Text: v.T("ledger.link"), Href: characterPath(d.ID) + "/ledger"})
	}}
}

func transactionsTab() tab {
	return tab{Section: "wallet-transactions", Keys: []string{"transaction_id"}, List: list{
		Filters: append(span(), filter{Name: "is_buy", Options: yesNo, Match: flagged("is_buy")}), Limit: wholeList / 2,
		Columns: []column{
			as(kindTime, "date", "date"),
			{Name: "trade", Cell: trade("is_buy")},
			as(kindNumber, "quantity", "quantity"), named("type", "type"), as(kindISK, "unit_price", "unit_price"),
			{Name: "sum", Kind: kindISK, Cell: func(v *visit, r row) cell {
				total := r.Text("total")
				if r.Bool("is_buy") && total != "" && !strings.HasPrefix(total, "-") {
					total = "-" + total
				}
				return v.cell(as(kindISK, "sum", "total"), row{"total": total})
			}},
			named("client", "client"), named("place", "location"),
			{Name: "system", Field: "system_name"},
		},
	}}
}

func contractsTab() tab {
	return tab{Section: "contracts", Keys: []string{"contract_id"}, List: list{
		Filters: append(span(),
			filter{Name: "type", Options: words("item_exchange", "auction", "courier", "loan")},
			filter{Name: "status", Options: contractStatuses}),
		Columns: []column{
			{Name: "summary", Cell: func(v *visit, r row) cell {
				return cell{Text: cmp.Or(r.Text("summary"), r.Text("contract_id")), Href: v.record("contracts", r.Text("contract_id"))}
			}},
			as(kindWord, "type", "type"),
			{Name: "from", Field: "issuer_name", Else: "issuer_id"},
			{Name: "to", Cell: func(_ *visit, r row) cell {
				return cell{Text: cmp.Or(r.Text("acceptor_name"), r.Text("assignee_name"), strings.TrimPrefix(r.Text("assignee_id"), "0"))}
			}},
			{Name: "status", Cell: contractStatus},
			as(kindTime, "issued", "date_issued"),
			{Name: "time_left", Cell: timeLeft},
			as(kindISK, "price", "price"), as(kindISK, "reward", "reward"),
			{Name: "title", Field: "title"},
		},
	}}
}

// contractStatuses are the choices of how contracts stand.
func contractStatuses(v *visit) []option {
	options := []option{{Value: "in_progress", Text: v.Word("contract_in_progress")}}
	return append(options, words("outstanding", "finished", "finished_issuer", "finished_contractor", "cancelled", "rejected", "failed", "deleted", "reversed")(v)...)
}

// contractStatus is how a contract stands.
func contractStatus(v *visit, r row) cell {
	status := r.Text("status")
	if status == "in_progress" {
		return cell{Text: v.Word("contract_in_progress"), Badge: "info"}
	}
	return cell{Text: v.Word(status), Badge: badgeOf(status)}
}

// timeLeft is how long a contract that nobody has accepted is still on offer.
func timeLeft(v *visit, r row) cell {
	until, ok := moment(r.Text("date_expired"))
	left := until.Sub(v.site.config.Now())
	if !ok || r.Text("status") != "outstanding" {
		return cell{}
	}
	if left <= 0 {
		return cell{Text: v.Word("expired")}
	}
	return cell{Text: v.Span(left), Title: v.Time(r.Text("date_expired"))}
}

func loyaltyTab() tab {
	return tab{Section: "loyalty", Keys: []string{"corporation_id"}, List: list{
		Limit: wholeList, Order: byNumber("loyalty_points", ""), Columns: []column{named("corporation", "corporation"), as(kindNumber, "points", "loyalty_points")},
	}}
}

func mailsTab() tab {
	return tab{Section: "mails", Keys: []string{"mail_id"}, More: mailboxes, List: list{
		Keep:  []string{"label_id", "to_id"},
		Class: unread, Filters: append(span(), filter{Name: "unread", Options: words("true")}),
		Columns: []column{
			as(kindTime, "sent", "timestamp"),
			{Name: "from", Field: "from_name", Else: "from"},
			{Name: "to", Cell: recipients},
			{Name: "subject", Cell: func(v *visit, r row) cell {
				return cell{Text: cmp.Or(r.Text("subject"), v.T("viewer.no-subject")), Href: v.record("mails", r.Text("mail_id"))}
			}},
			{Name: "labels", Field: "label_names", Kind: kindWords},
		},
	}}
}

// recipients are those whom a mail was sent to.
func recipients(_ *visit, r row) cell {
	var names []string
	for _, to := range r.Rows("recipients") {
		names = append(names, cmp.Or(to.Text("recipient_name"), to.Text("recipient_id")))
	}
	return cell{Text: strings.Join(names, ", ")}
}

// mailboxes leads to the mails of a label or of a mailing list.
func mailboxes(v *visit, d *viewerData, answered row) {
	pill := func(text, unread, label, list string) {
		if unread != "" && unread != "0" {
			text = v.T("list.group", "Name", text, "Rows", v.Number(unread))
		}
		d.Pills = append(d.Pills, navLink{Text: text, Href: v.address("label_id", label, "to_id", list, "cursor", ""), Here: v.param("label_id") == label && v.param("to_id") == list})
	}
	pill(v.T("viewer.all-mails"), answered.Text("total_unread_count"), "", "")
	for _, label := range answered.Rows("labels") {
		pill(cmp.Or(label.Text("name"), label.Text("label_id")), label.Text("unread_count"), label.Text("label_id"), "")
	}
	for _, list := range answered.Rows("lists") {
		pill(cmp.Or(list.Text("name"), list.Text("mailing_list_id")), list.Text("unread_count"), "", list.Text("mailing_list_id"))
	}
}

func jobsTab() tab {
	return tab{Section: "industry-jobs", Keys: []string{"job_id"}, List: list{
		Limit: wholeList, Order: descending("start_date"), Filters: []filter{{Name: "status", Options: words("active", "paused", "ready", "delivered", "cancelled", "reverted")}},
		Columns: []column{
			{Name: "activity", Cell: func(v *visit, r row) cell { return cell{Text: v.Word("activity_" + r.Text("activity_id"))} }},
			named("blueprint", "blueprint_type"), named("product", "product_type"), as(kindNumber, "runs", "runs"), as(kindBadge, "status", "status"),
			as(kindTime, "start", "start_date"), as(kindTime, "end", "end_date"), named("place", "facility"), as(kindISK, "cost", "cost"), named("installer", "installer"),
		},
	}}
}

func miningTab() tab {
	return tab{Section: "mining", Keys: []string{"date", "solar_system_id", "type_id"}, List: list{
		Filters: append(span(), filter{Name: "system", Match: contains("solar_system_name")}, filter{Name: "type", Match: contains("type_name")}), Limit: wholeList,
		Columns: []column{
			as(kindDay, "date", "date"), named("type", "type"), as(kindNumber, "quantity", "quantity"), as(kindISK, "price", "price"), as(kindISK, "sum", "total"),
			named("system", "solar_system"),
			{Name: "region", Field: "region"},
		},
	}}
}

func planetsTab() tab {
	return tab{Section: "planets", Keys: []string{"planet_id"}, List: list{
		Limit: wholeList, Columns: []column{
			{Name: "region", Field: "region"},
			named("system", "solar_system"), named("planet", "planet"), as(kindWord, "type", "planet_type"),
			as(kindNumber, "pins", "num_pins"), as(kindNumber, "level", "upgrade_level"), as(kindTime, "updated", "last_update"),
		},
	}}
}

func researchTab() tab {
	return tab{Section: "research", Keys: []string{"agent_id"}, List: list{
		Limit: wholeList, Columns: []column{
			named("agent", "agent"), named("skill", "skill_type"), as(kindNumber, "points_per_day", "points_per_day"), as(kindNumber, "remainder", "remainder_points"), as(kindTime, "since", "started_at"),
		},
	}}
}
