package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// consortia lists the consortia.
func (s *Site) consortia(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	if name := v.param("declare"); name != "" {
		v.goTo(consortiumPath(name, "declaration"))
		return nil
	}
	t, _, err := v.list(list{
		ID: "anvil-consortia", Path: "/v1/anvil",
		Columns: []column{
			{Name: "consortium", Field: "consortium", Href: func(r row) string { return consortiumPath(r.Text("consortium")) }},
			{Name: "anvil.high", Field: "high", Kind: kindNumber, Href: openFindings("high")},
			{Name: "anvil.medium", Field: "medium", Kind: kindNumber, Href: openFindings("medium")},
			{Name: "anvil.low", Field: "low", Kind: kindNumber, Href: openFindings("low")},
			{Name: "anvil.accepted", Field: "accepted", Kind: kindNumber},
			{Name: "anvil.swept-at", Cell: func(v *visit, r row) cell {
				if !r.Has("swept_at") {
					return cell{Text: v.T("anvil.never-swept"), Badge: "warn"}
				}
				return cell{Text: v.Time(r.Text("swept_at")), Time: r.Text("swept_at"), Class: "when"}
			}},
			{Name: "anvil.unseen", Field: "unseen_count", Kind: kindNumber},
			{Name: "anvil.declared-records", Field: "declared_total", Kind: kindNumber, Href: func(r row) string { return consortiumPath(r.Text("consortium"), "declared") }},
		},
	})
	if err != nil {
		return err
	}
	newest, err := v.newestFindings()
	if err != nil {
		return err
	}
	return v.show("anvil_consortia", v.T("anvil.consortia.title"), struct {
		Table, Newest *table
		MayDeclare    bool
	}{t, newest, v.Me.May("anvil.declare")})
}

// newestAtOnce is how many findings are shown as they come.
const newestAtOnce = 5

// newestFindings are the open findings of all consortia that came last.
func (v *visit) newestFindings() (*table, error) {
	answered, err := v.get("/v1/findings", url.Values{"state": {"open"}, "limit": {strconv.Itoa(newestAtOnce)}})
	if err != nil {
		return nil, err
	}
	t := v.tableOf(list{
		ID: "anvil-latest", NoFiles: true, Quiet: true, Columns: findingColumns("", "opened_at", "consortium", "record", "kind", "severity"),
	}, answered)
	if t.Next != "" {
		t.Next = "/findings"
	}
	return t, nil
}

// openFindings leads to the open findings of a severity.
func openFindings(severity string) func(row) string {
	return func(r row) string {
		return consortiumPath(r.Text("consortium"), "findings") + "?severity=" + severity
	}
}

// consortiumOverview is what the overview of a consortium shows.
type consortiumOverview struct {
	Head    consortiumHead
	Figures []fact
	// Never: AnVIL was never asked.
	Never  bool
	Audits *table
	Newest *table
	Unseen *table
	Spans  []navLink
	Charts []trendChart
	Sweep  []fact
}

// trendChart is figures over time, with the table that they are drawn from.
type trendChart struct {
	Kind, Label, Caption string
	// Zone is that of its times, Note what is said beneath it; empty for UTC and for nothing.
	Zone, Note string
	Headings   []heading
	Lines      []line
}

// anvilTrend is how far back charts look, and by which intervals.
type anvilTrend struct {
	name, interval string
	back           time.Duration
}

func anvilTrends() []anvilTrend {
	return []anvilTrend{{"hour", "", time.Hour}, {"day", "hour", 24 * time.Hour}, {"month", "day", 30 * 24 * time.Hour}, {"year", "week", 365 * 24 * time.Hour}}
}

// pastOfConsortium is what charts are made of.
type pastOfConsortium struct {
	over anvilTrend
	// rates and findings are by intervals; runs are single audits, of the last hour.
	rates, findings, runs row
}

// wants are what the past of a consortium is asked for.
func (p *pastOfConsortium) wants(consortium string, now time.Time) []want {
	query := url.Values{"consortium": {consortium}, "from": {now.Add(-p.over.back).Truncate(time.Minute).UTC().Format(time.RFC3339)}}
	if p.over.interval == "" {
		query.Set("limit", "1000")
		return []want{{path: "/v1/analytics/anvil/audits/runs", query: query, into: &p.runs}}
	}
	query.Set("interval", p.over.interval)
	return []want{
		{path: "/v1/analytics/anvil/audits", query: query, into: &p.rates},
		{path: "/v1/analytics/anvil/findings", query: query, into: &p.findings, optional: true},
	}
}

// told counts the intervals of which something is known.
func (p *pastOfConsortium) told() int {
	n := 0
	for _, r := range p.rates.Rows("items") {
		if r.Has("audited") {
			n++
		}
	}
	return n
}

// minIntervals is how many intervals make a chart.
const minIntervals = 3

// younger asks again for a shorter past, if nobody has chosen one and a chart of this one would
// be empty: that of a consortium which is new.
func (v *visit) younger(p *pastOfConsortium, consortium string, now time.Time) error {
	if v.param("span") != "" || p.told() >= minIntervals {
		return nil
	}
	day, hour := &pastOfConsortium{over: anvilTrends()[1]}, &pastOfConsortium{over: anvilTrends()[0]}
	if err := v.gather(append(day.wants(consortium, now), hour.wants(consortium, now)...)...); err != nil {
		return err
	}
	switch {
	case day.told() >= minIntervals:
		*p = *day
	case len(hour.runs.Rows("items")) > 0:
		*p = *hour
	}
	return nil
}

// consortiumCharts draw the past of a consortium.
func (v *visit) consortiumCharts(p *pastOfConsortium) []trendChart {
	// Of what it is a share stands beside it in the table, and is not drawn.
	rate := []column{{Name: "anvil.verified-percent", Field: "verified_percent_floor_2", Kind: kindPercent}, {Name: "anvil.denominator", Kind: kindNumber, Cell: denominator}}
	if p.over.interval == "" {
		items := auditsIn(p.runs)
		return []trendChart{
			v.trendChart("share", "anvil-rate", items, rate...),
			v.trendChart("lines", "anvil-audits", items, column{Name: "anvil.errors", Field: "errors", Kind: kindNumber}, column{Name: "anvil.not-in-app", Field: "not_in_app", Kind: kindNumber},
				column{Name: "anvil.beyond", Field: "beyond", Kind: kindNumber}, column{Name: "anvil.unknown", Field: "unknown", Kind: kindNumber}),
		}
	}
	return []trendChart{
		v.trendChart("share", "anvil-rate", p.rates.Rows("items"), rate...),
		v.trendChart("lines", "anvil-findings", p.findings.Rows("items"), column{Name: "anvil.opened", Field: "opened", Kind: kindNumber},
			column{Name: "anvil.resolved", Field: "resolved", Kind: kindNumber}, column{Name: "anvil.still-open", Field: "open", Kind: kindNumber}),
	}
}

// auditsIn are single audits with all their models together, the oldest first. The last one of a
// page may lack some models, so it is left out if there are more.
func auditsIn(runs row) []row {
	var all []row
	sums := []string{"audited", "verified", "errors", "not_in_app", "beyond", "unknown"}
	for _, r := range runs.Rows("items") {
		if len(all) == 0 || all[len(all)-1].Text("start") != r.Text("audited_at") {
			all = append(all, row{"start": r.Text("audited_at")})
		}
		here := all[len(all)-1]
		for _, name := range sums {
			here[name] = countOf(here.Int(name) + r.Int(name))
		}
	}
	if runs.Has("next_cursor") && len(all) > 0 {
		all = all[:len(all)-1]
	}
	slices.Reverse(all)
	for _, r := range all {
		if whole := r.Int("audited"); whole > 0 {
			r["verified_percent_floor_2"] = percentOf(r.Int("verified"), whole)
		}
	}
	return all
}

// consortium shows how a consortium stands, and how that came.
func (s *Site) consortium(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	data := consortiumOverview{Head: v.consortiumHead("")}
	past := &pastOfConsortium{over: anvilTrends()[2]}
	for _, t := range anvilTrends() {
		if t.name == v.param("span") {
			past.over = t
		}
	}
	now := s.config.Now()
	var consortia, runs, sweeps, newest row
	err := v.gather(append(past.wants(name, now),
		want{path: "/v1/anvil", query: url.Values{"consortium": {name}}, into: &consortia},
		want{path: "/v1/analytics/anvil/audits/runs", query: url.Values{"consortium": {name}, "limit": {"6"}}, into: &runs},
		want{path: consortiumAPI(name, "sweeps"), query: url.Values{"limit": {"20"}}, into: &sweeps, optional: true},
		want{path: consortiumAPI(name, "findings"), query: url.Values{"limit": {"5"}, "accepted": {"false"}, "severity": {"high"}}, into: &newest, optional: true},
	)...)
	if err != nil {
		return err
	}
	all := consortia.Rows("items")
	if len(all) == 0 {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.none", "Consortium", name)}
	}
	if err := v.younger(past, name, now); err != nil {
		return err
	}
	here := all[0]
	data.Never = !here.Has("swept_at")
	data.Figures = v.overviewFigures(here, runs.Rows("items"))
	data.Audits = v.overviewAudits(here, runs.Rows("items"))
	data.Sweep, data.Unseen = v.lastSweep(sweeps.Rows("items"))
	if found := newest.Rows("items"); len(found) > 0 {
		data.Newest = v.tableOf(list{ID: "anvil-newest", NoFiles: true, Columns: findingColumns(name, "opened_at", "record", "kind", "severity", "expected", "observed")}, row{"items": newest.at("items")})
	}
	for _, t := range anvilTrends() {
		data.Spans = append(data.Spans, navLink{Text: v.T("anvil.span." + t.name), Href: v.address("span", t.name), Here: t.name == past.over.name})
	}
	data.Charts = v.consortiumCharts(past)
	return v.show("anvil_consortium", name, data)
}

// trendChart makes a chart of intervals, from the first of which anything is known on.
func (v *visit) trendChart(kind, id string, items []row, columns ...column) trendChart {
	c := trendChart{Kind: kind, Caption: v.T("anvil.chart." + id), Headings: v.headings(append([]column{{Name: "anvil.from", Kind: kindTime}}, columns...))}
	for _, r := range items {
		begun := len(c.Lines) > 0
		for _, col := range columns {
			text := ""
			if col.Field != "" {
				text = r.Text(col.Field)
			}
			begun = begun || text != "" && text != "0"
		}
		if begun {
			c.Lines = append(c.Lines, line{Cells: append([]cell{{Text: v.Time(r.Text("start")), Time: r.Text("start"), Class: "when"}}, v.cells(columns, r)...)})
		}
	}
	return c
}

// overviewFigures are what one wants to know first.
func (v *visit) overviewFigures(here row, runs []row) []fact {
	var audited, verified int64
	for _, r := range latestRuns(runs) {
		audited += r.Int("audited")
		verified += r.Int("verified")
	}
	rate := cell{Text: v.T("anvil.no-audit")}
	if audited > 0 {
		rate.Text = v.Percent(percentOf(verified, audited))
		rate.Title = v.T("anvil.of-records", "Verified", v.Number(verified), "Audited", v.Number(audited))
	}
	swept := cell{Text: v.T("anvil.never-swept")}
	if at := here.Text("swept_at"); at != "" {
		swept = cell{Text: v.Time(at), Time: at}
	}
	facts := []fact{{Name: v.T("column.anvil.verified-percent"), Cell: rate}}
	if audited > 0 {
		facts = append(facts, fact{Name: v.T("column.anvil.denominator"), Cell: cell{Text: v.T("anvil.of", "Part", v.Number(verified), "Whole", v.Number(audited))}})
	}
	return append(facts, v.facts(here,
		column{Name: "anvil.open-findings", Field: "open_findings", Kind: kindNumber, Href: func(row) string { return consortiumPath(here.Text("consortium"), "findings") }},
		column{Name: "anvil.high", Field: "high", Kind: kindNumber, Href: func(row) string { return openFindings("high")(here) }},
		column{Name: "anvil.accepted", Field: "accepted", Kind: kindNumber},
		column{Name: "anvil.swept-at", Cell: func(*visit, row) cell { return swept }},
		column{Name: "anvil.unseen", Field: "unseen_count", Kind: kindNumber},
	)...)
}

// percentOf is a share with two decimals, cut.
func percentOf(part, whole int64) string {
	hundredths := 10_000 * part / whole
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// latestRuns are the newest runs of each model: those of one moment.
func latestRuns(runs []row) []row {
	var newest []row
	for _, r := range runs {
		if len(newest) > 0 && r.Text("audited_at") != newest[0].Text("audited_at") {
			break
		}
		newest = append(newest, r)
	}
	return newest
}

// overviewAudits says of each model how much of it is verified, and what is open.
func (v *visit) overviewAudits(here row, runs []row) *table {
	name := here.Text("consortium")
	by := map[string]row{}
	for _, r := range latestRuns(runs) {
		by[r.Text("model")] = r
	}
	open := map[string]row{}
	for _, f := range here.Rows("findings") {
		if open[f.Text("model")] == nil {
			open[f.Text("model")] = row{}
		}
		open[f.Text("model")][f.Text("severity")] = f.at("findings")
	}
	var rows []any
	for _, m := range anvilModels() {
		r := row{"model": m}
		maps.Copy(r, by[m])
		maps.Copy(r, open[m])
		rows = append(rows, map[string]any(r))
	}
	severity := func(s string) column {
		return column{Name: "anvil." + s, Field: s, Kind: kindNumber, Href: func(r row) string {
			return consortiumPath(name, "findings") + "?" + url.Values{"model": {r.Text("model")}, "severity": {s}}.Encode()
		}}
	}
	t := v.tableOf(list{ID: "anvil-audits", NoFiles: true, Columns: []column{
		{Name: "model", Cell: func(v *visit, r row) cell {
			return cell{Text: v.Term(r.Text("model")), Href: auditPath(name, r.Text("model"))}
		}},
		{Name: "anvil.verified-percent", Field: "verified_percent_floor_2", Kind: kindPercent},
		{Name: "anvil.denominator", Kind: kindNumber, Cell: denominator},
		{Name: "anvil.errors", Field: "errors", Kind: kindNumber},
		{Name: "anvil.not-in-app", Field: "not_in_app", Kind: kindNumber},
		{Name: "anvil.beyond", Field: "beyond", Kind: kindNumber},
		{Name: "anvil.unknown", Field: "unknown", Kind: kindNumber},
		{Name: "anvil.ignored", Field: "ignored", Kind: kindNumber},
		severity("high"), severity("medium"), severity("low"),
	}}, row{"items": rows})
	t.Sortable = false
	return t
}

// denominator says how many records are verified of how many.
func denominator(v *visit, r row) cell {
	if !r.Has("audited") {
		return cell{Class: "num"}
	}
	return cell{Text: v.T("anvil.of", "Part", v.Number(r.Text("verified")), "Whole", v.Number(r.Text("audited"))), Class: "num"}
}

// auditPath is where the audit of a model is shown.
func auditPath(consortium, model string) string {
	switch model {
	case "managed_group_memberships":
		model = "managed_groups"
	case "workspace_sharing":
		model = "workspaces"
	}
	return consortiumPath(consortium, "audits", model)
}

// lastSweep tells of the last sweep of whole models, and what it could not see.
func (v *visit) lastSweep(sweeps []row) ([]fact, *table) {
	for _, sweep := range sweeps {
		if !sweep.Has("completed_at") || sweep.Has("groups") || sweep.Has("workspaces") {
			continue
		}
		return v.facts(sweep, sweepFacts()...), v.unseen(sweep)
	}
	return nil, nil
}
