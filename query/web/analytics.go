package web

import (
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// registerAnalytics adds the pages with figures of what characters do.
func (s *Site) registerAnalytics() {
	s.router.Get("/analytics", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/analytics/wallet", http.StatusSeeOther)
	})
	for _, a := range topics() {
		s.router.Get("/analytics/"+a.ID, s.page(s.analyse(func(v *visit) *analysis {
			made := a
			made.Tabs, made.Choices = topicTabs, []choices{ofCorporations()}
			return &made
		})))
	}
	s.router.Get("/analytics/wallet/top", s.page(s.walletTop))
	s.router.Get("/analytics/wallet/distribution", s.page(s.walletDistribution))
	s.router.Get("/analytics/wallet/comparison", s.page(s.walletComparison))
	s.router.Get("/analytics/activity", s.page(s.activity))
}

// topicNames are the pages of figures in their order.
func topicNames() []string {
	return []string{"wallet", "market", "mining", "contracts", "skills", "killmails", "activity", "mails", "notifications", "sync"}
}

func topicTabs(v *visit) []navLink {
	var tabs []navLink
	for _, name := range topicNames() {
		href := "/analytics/" + name
		tabs = append(tabs, navLink{Text: v.T("analysis." + name), Href: href, Here: v.r.URL.Path == href || strings.HasPrefix(v.r.URL.Path, href+"/")})
	}
	return tabs
}

// whose are the filters by character and corporation that all figures take.
func whose(more ...filter) []filter {
	return append([]filter{{Name: "corporation_id", Kind: "number"}, {Name: "character_id", Kind: "number"}}, more...)
}

// topics are the figures over time of what characters do.
func topics() []analysis { return append(topicsOfMoney(), topicsOfDoings()...) }

// topicsOfMoney are those of what comes in and goes out.
func topicsOfMoney() []analysis {
	return []analysis{
		{
			ID: "wallet", Path: "/v1/analytics/wallet", Groups: []string{"ref_type", "corporation", "character", "counterparty", "direction"}, Intervals: intervals(),
			Measures: []measure{
				{Name: "income", Kind: kindISK},
				{Name: "expense", Kind: kindISK},
				{Name: "net", Kind: kindISK},
				{Name: "closing_balance", Kind: kindISK, Over: atItsEnd},
				{Name: "tax", Kind: kindISK},
				{Name: "entries", Kind: kindNumber},
			},
			Charts:  []drawn{{Name: "flow", Kind: "lines", Measures: []string{"income", "expense", "net"}}, {Name: "balance", Kind: "lines", Measures: []string{"closing_balance"}}},
			Filters: whose(filter{Name: "counterparty_id", Kind: "number"}, filter{Name: "ref_type"}),
		},
		{
			ID: "market", Path: "/v1/analytics/market", Groups: []string{"type", "location", "corporation", "character"}, Intervals: intervals(),
			Measures: []measure{
				{Name: "sold_value", Kind: kindISK},
				{Name: "bought_value", Kind: kindISK},
				{Name: "profit_fifo", Kind: kindISK},
				{Name: "profit_average", Kind: kindISK},
				{Name: "cost_fifo", Kind: kindISK},
				{Name: "trades", Kind: kindNumber},
				{Name: "sold_quantity", Kind: kindNumber},
				{Name: "bought_quantity", Kind: kindNumber},
			},
			Charts:  []drawn{{Name: "trade", Kind: "lines", Measures: []string{"sold_value", "bought_value"}}, {Name: "profit", Kind: "lines", Measures: []string{"profit_fifo", "profit_average"}}},
			Filters: whose(filter{Name: "type_id", Kind: "number"}, filter{Name: "location_id", Kind: "number"}),
		},
		{
			ID: "mining", Path: "/v1/analytics/mining", Groups: []string{"type", "solar_system", "corporation", "character"}, Intervals: intervals()[1:], NoZone: true,
			Measures: []measure{{Name: "value", Kind: kindISK}, {Name: "quantity", Kind: kindNumber}},
			Charts:   []drawn{{Name: "value", Kind: "bars", Measures: []string{"value"}}, {Name: "quantity", Kind: "bars", Measures: []string{"quantity"}}},
			Filters:  whose(filter{Name: "type_id", Kind: "number"}, filter{Name: "solar_system_id", Kind: "number"}),
		},
		{
			ID: "contracts", Path: "/v1/analytics/contracts", Groups: []string{"type", "status", "role", "counterparty", "corporation", "character"}, Intervals: intervals(), AsOf: true,
			Measures: []measure{
				{Name: "issued", Kind: kindNumber},
				{Name: "accepted", Kind: kindNumber},
				{Name: "finished", Kind: kindNumber},
				{Name: "unfinished", Kind: kindNumber},
				{Name: "finished_price", Kind: kindISK},
				{Name: "finished_reward", Kind: kindISK},
				{Name: "issued_collateral", Kind: kindISK},
				{Name: "median_seconds", Kind: kindSpan, Over: apart},
			},
			Charts: []drawn{{Name: "steps", Kind: "lines", Measures: []string{"issued", "accepted", "finished", "unfinished"}}, {Name: "worth", Kind: "lines", Measures: []string{"finished_price", "finished_reward"}}},
			Filters: whose(filter{Name: "counterparty_id", Kind: "number"}, filter{Name: "type", Options: words("item_exchange", "auction", "courier", "loan")},
				filter{Name: "role", Options: contractRoles}),
		},
	}
}

// topicsOfDoings are those of what characters learn, do and are told.
func topicsOfDoings() []analysis {
	return []analysis{
		{
			ID: "skills", Path: "/v1/analytics/skills/points", Groups: []string{"corporation", "character"}, Intervals: intervals(),
			Measures: []measure{
				{Name: "total", Kind: kindNumber, Over: atItsEnd}, {Name: "gained", Kind: kindNumber}, {Name: "unallocated", Kind: kindNumber, Over: atItsEnd}, {Name: "characters", Kind: kindNumber, Over: atItsEnd},
			},
			Charts:  []drawn{{Name: "total", Kind: "lines", Measures: []string{"total"}}, {Name: "gained", Kind: "bars", Measures: []string{"gained"}}},
			Filters: whose(),
		},
		{
			ID: "killmails", Path: "/v1/analytics/killmails", Groups: []string{"ship_type", "solar_system", "outcome", "corporation", "character"}, Intervals: intervals(),
			Measures: []measure{
				{Name: "kills", Kind: kindNumber},
				{Name: "losses", Kind: kindNumber},
				{Name: "destroyed_value", Kind: kindISK},
				{Name: "lost_value", Kind: kindISK},
				{Name: "final_blows", Kind: kindNumber},
				{Name: "solo", Kind: kindNumber},
			},
			Charts:  []drawn{{Name: "kills", Kind: "lines", Measures: []string{"kills", "losses"}}, {Name: "worth", Kind: "lines", Measures: []string{"destroyed_value", "lost_value"}}},
			Filters: whose(filter{Name: "outcome", Options: words("kill", "loss")}, filter{Name: "ship_type_id", Kind: "number"}, filter{Name: "solar_system_id", Kind: "number"}),
		},
		{
			ID: "mails", Path: "/v1/analytics/mails", Groups: []string{"direction", "counterparty", "corporation", "character"}, Intervals: intervals(),
			Measures: []measure{{Name: "sent", Kind: kindNumber}, {Name: "received", Kind: kindNumber}},
			Charts:   []drawn{{Name: "mails", Kind: "lines", Measures: []string{"sent", "received"}}},
			Filters:  whose(filter{Name: "counterparty_id", Kind: "number"}, filter{Name: "direction", Options: words("sent", "received")}),
		},
		{
			ID: "notifications", Path: "/v1/analytics/notifications", Groups: []string{"type", "sender", "corporation", "character"}, Intervals: intervals(),
			Measures: []measure{{Name: "notifications", Kind: kindNumber}},
			Charts:   []drawn{{Name: "notifications", Kind: "bars", Measures: []string{"notifications"}}},
			Filters:  whose(filter{Name: "type"}, filter{Name: "sender_id", Kind: "number"}),
		},
		{
			ID: "sync", Path: "/v1/analytics/sync", Groups: []string{"section", "class", "corporation", "character"}, Intervals: intervals(),
			Measures: []measure{
				{Name: "told", Kind: kindNumber},
				{Name: "failed", Kind: kindNumber},
				{Name: "recovered", Kind: kindNumber},
				{Name: "failing", Kind: kindNumber, Over: atItsEnd},
				{Name: "sections", Kind: kindNumber, Over: atItsEnd},
				{Name: "median_unchanged_seconds", Kind: kindSpan, Over: apart},
				{Name: "p95_unchanged_seconds", Kind: kindSpan, Over: apart},
			},
			Charts:  []drawn{{Name: "told", Kind: "bars", Measures: []string{"told"}}, {Name: "failures", Kind: "lines", Measures: []string{"failed", "recovered", "failing"}}},
			Filters: whose(filter{Name: "section"}, filter{Name: "class", Options: words("token", "forbidden", "not_found", "rate_limited", "server", "network", "malformed", "torn")}),
		},
	}
}

// contractRoles are what a character may be in a contract.
func contractRoles(v *visit) []option {
	var options []option
	for _, role := range []string{"issuer", "acceptor", "assignee", "other"} {
		options = append(options, option{Value: role, Text: v.T("contract-role.as-" + role)})
	}
	return options
}

// walletViews are the pages about wallets.
func walletViews(v *visit) []navLink {
	var tabs []navLink
	for _, view := range []struct{ name, below string }{{"time", ""}, {"top", "/top"}, {"distribution", "/distribution"}, {"comparison", "/comparison"}} {
		href := "/analytics/wallet" + view.below
		tabs = append(tabs, navLink{Text: v.T("wallet-view." + view.name), Href: href, Here: v.r.URL.Path == href})
	}
	return tabs
}

// whole asks for figures of a whole range, and shows them by what then makes of the answer.
func (s *Site) whole(v *visit, a *analysis, more url.Values, show func(*figuresPage, row, timeSpan) error) error {
	if err := v.whoami(); err != nil {
		return err
	}
	a.Tabs = topicTabs
	a.Choices = []choices{ofCorporations()}
	data, answered, over, err := v.figuresOf(a, more)
	if data == nil {
		return err
	}
	if err != nil {
		return v.showFigures(a, data, err)
	}
	data.Range, data.Files = v.told(answered, over), v.files()
	if err := show(data, answered, over); err != nil {
		return err
	}
	return v.showFigures(a, data, nil)
}

// bars are the largest of something, each with its share of all.
type bars struct {
	Caption, Name, Value string
	Lines                []bar
}

type bar struct {
	Rank, Name, Href, Value, Share string
	// Width is from 0 to 100.
	Width string
}

// walletMeasures are those by which wallets are compared over whole ranges.
func walletMeasures() []measure {
	return []measure{{Name: "income", Kind: kindISK}, {Name: "expense", Kind: kindISK}, {Name: "net", Kind: kindISK}, {Name: "tax", Kind: kindISK}, {Name: "entries", Kind: kindNumber}}
}

// walletFilters are the filters of figures of wallets over whole ranges.
func walletFilters() []filter {
	return whose(filter{Name: "counterparty_id", Kind: "number"}, filter{Name: "ref_type"})
}

// walletTop shows who or what has the most of a measure.
func (s *Site) walletTop(v *visit) error {
	a := &analysis{
		ID: "wallet-top", Path: "/v1/analytics/wallet/top", Groups: []string{"ref_type", "corporation", "character", "counterparty"}, NoZone: true, Measures: walletMeasures(),
		Filters: append(walletFilters(), filter{Name: "limit", Kind: "number"}), By: "ref_type",
	}
	m, by := v.measure(a), a.by(v)
	return s.whole(v, a, url.Values{"measure": {m.Name}}, func(data *figuresPage, answered row, _ timeSpan) error {
		items := answered.Rows("items")
		field := groupFields(by, nil)
		groups := groupsOf(items, []string{field})
		names, err := v.namesOf([]string{field}, groups[:min(len(groups), maxGroups)])
		if err != nil {
			return err
		}
		all := answered.Row("total")
		for _, one := range a.Measures {
			made := v.figure(one, all.Text(one.Name))
			made.Class = strings.TrimPrefix(made.Class, "num")
			data.Facts = append(data.Facts, fact{Name: v.T("measure." + one.Name), Cell: made})
		}
		total, _ := number(all.Text(m.Name))
		b := &bars{Caption: v.T("figures.largest", "Measure", v.T("measure."+m.Name)), Name: v.T("groupby." + by), Value: v.T("measure." + m.Name)}
		for _, g := range groups {
			item := g.Items[0]
			one := bar{Rank: v.Number(item.Text("rank")), Name: v.nameOfGroup(a, []string{field}, names, g), Value: v.figure(m, item.Text(m.Name)).Text}
			if a.filters(field) && g.IDs[0] != "0" {
				one.Href = "/analytics/wallet?" + url.Values{field: {g.IDs[0]}}.Encode()
			}
			one.Share, one.Width = v.share(item.Text(m.Name), total)
			b.Lines = append(b.Lines, one)
		}
		data.Bars = b
		return nil
	})
}

// share is what part of all something is, in words and from 0 to 100; empty where that
// says nothing, as of balances of both signs.
func (v *visit) share(text string, total *big.Rat) (words, width string) {
	n, ok := number(text)
	if !ok || total == nil || total.Sign() <= 0 || n.Sign() < 0 || n.Cmp(total) > 0 {
		return "", "0"
	}
	part := new(big.Rat).Mul(new(big.Rat).Quo(n, total), big.NewRat(100, 1))
	// Cut, never rounded: 99.96 is not all.
	tenths := new(big.Int).Quo(new(big.Int).Mul(part.Num(), big.NewInt(10)), part.Denom())
	return v.Percent(new(big.Rat).SetFrac(tenths, big.NewInt(10)).FloatString(1)), part.FloatString(2)
}

// walletDistribution shows how large entries are.
func (s *Site) walletDistribution(v *visit) error {
	a := &analysis{ID: "wallet-distribution", Path: "/v1/analytics/wallet/distribution", Groups: []string{"ref_type", "corporation", "character", "counterparty"}, NoZone: true, Filters: walletFilters()}
	measures := []measure{{Name: "entries", Kind: kindNumber}}
	for _, name := range []string{"sum", "min", "p25", "median", "p75", "p95", "max"} {
		measures = append(measures, measure{Name: name, Kind: kindISK})
	}
	return s.whole(v, a, nil, func(data *figuresPage, answered row, _ timeSpan) error {
		return v.tableOfGroups(a, data, answered, measures, []string{"direction"})
	})
}

// walletComparison shows a time against the one before.
func (s *Site) walletComparison(v *visit) error {
	a := &analysis{
		ID: "wallet-comparison", Path: "/v1/analytics/wallet/comparison", Groups: []string{"ref_type", "corporation", "character", "counterparty", "direction"},
		Filters: append(walletFilters(), filter{Name: "with", Options: words("previous", "year_before"), Must: true}),
	}
	var measures []measure
	for _, name := range []string{"income", "expense", "net"} {
		for _, of := range []string{"", "_before", "_change"} {
			measures = append(measures, measure{Name: name + of, Kind: kindISK})
		}
	}
	measures = append(measures, measure{Name: "entries"}, measure{Name: "entries_before"})
	return s.whole(v, a, nil, func(data *figuresPage, answered row, over timeSpan) error {
		before := row{"from": answered.Text("before_from"), "to": answered.Text("before_to")}
		data.Range = v.T("figures.against", "This", data.Range, "Before", v.told(before, over))
		return v.tableOfGroups(a, data, answered, measures, nil)
	})
}

// tableOfGroups shows figures of a whole range, a line for each group.
func (v *visit) tableOfGroups(a *analysis, data *figuresPage, answered row, measures []measure, more []string) error {
	items := answered.Rows("items")
	var fields, title []string
	for _, by := range append(answered.Texts("group_by"), more...) {
		if title = append(title, v.T("groupby."+by)); len(items) > 0 {
			by = groupFields(by, items[0])
		}
		fields = append(fields, by)
	}
	groups := largest(groupsOf(items, fields), measures[0])
	shown := groups[:min(len(groups), maxGroups)]
	names, err := v.namesOf(fields, shown)
	if err != nil {
		return err
	}
	t := &table{ID: a.ID, Caption: v.T("analysis." + a.ID), Sortable: true, Empty: v.T("figures.nothing"), Headings: []heading{{Text: strings.Join(title, " · ")}}}
	for _, m := range measures {
		t.Headings = append(t.Headings, heading{Text: v.T("measure." + m.Name), Class: "num"})
	}
	for _, g := range shown {
		name := v.nameOfGroup(a, fields, names, g)
		if len(fields) == 0 {
			name = v.T("figures.everything")
		}
		one := line{Cells: []cell{{Text: name}}}
		for _, m := range measures {
			one.Cells = append(one.Cells, v.figure(m, g.Items[0].Text(m.Name)))
		}
		t.Lines = append(t.Lines, one)
	}
	if len(groups) > len(shown) {
		data.Notes = append(data.Notes, v.T("figures.first-groups", "Shown", v.Number(len(shown)), "All", v.Number(len(groups))))
	}
	data.Table = t
	return nil
}

// heat is how much there is at each hour of the week.
type heat struct {
	Caption string
	Hours   []string
	Days    []heatDay
}

type heatDay struct {
	Name  string
	Cells []heatCell
}

// heatCell is an hour of a day of the week; Level is from 0 (nothing) to 5 (the most).
type heatCell struct {
	Text, Title string
	Level       int
}

// heatLevels are how many shades there are beside that of nothing.
const heatLevels = 5

// activity shows at which hours of the week characters are online.
func (s *Site) activity(v *visit) error {
	a := &analysis{ID: "activity", Path: "/v1/analytics/activity", Filters: whose()}
	return s.whole(v, a, nil, func(data *figuresPage, answered row, _ timeSpan) error {
		for _, name := range []string{"sessions", "open_sessions", "missed_logins"} {
			data.Facts = append(data.Facts, fact{Name: v.T("measure." + name), Cell: cell{Text: v.Number(answered.Text(name))}})
		}
		data.Heat = v.heatOf(answered.Rows("items"))
		return nil
	})
}

// heatOf makes the week of its hours.
func (v *visit) heatOf(items []row) *heat {
	h := &heat{Caption: v.T("figures.heat")}
	for hour := range 24 {
		h.Hours = append(h.Hours, strconv.Itoa(hour))
	}
	most := int64(0)
	for _, item := range items {
		most = max(most, item.Int("seconds"))
	}
	for day := range int64(7) {
		h.Days = append(h.Days, heatDay{Name: v.T("weekday." + strconv.FormatInt(day+1, 10)), Cells: make([]heatCell, 24)})
	}
	for _, item := range items {
		day, hour, seconds := item.Int("weekday")-1, item.Int("hour"), item.Int("seconds")
		if day < 0 || day > 6 || hour < 0 || hour > 23 {
			continue
		}
		c := heatCell{Title: v.T("figures.heat-cell", "Hours", v.hours(seconds), "Characters", v.Number(item.Text("characters")), "Logins", v.Number(item.Text("logins")))}
		if seconds > 0 {
			c.Text, c.Level = v.hours(seconds), int((seconds*heatLevels+most-1)/most)
		}
		h.Days[day].Cells[hour] = c
	}
	if most == 0 {
		return nil
	}
	return h
}

// hours writes seconds as hours with one digit, cut.
func (v *visit) hours(seconds int64) string {
	tenths := seconds / 360
	return v.Number(strconv.FormatInt(tenths/10, 10) + "." + strconv.FormatInt(tenths%10, 10))
}
