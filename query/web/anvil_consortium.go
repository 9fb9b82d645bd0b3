package web

import (
	"fmt"
	"net/http"
	"net/url"
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
	return v.show("anvil_consortia", v.T("anvil.consortia.title"), struct {
		Table      *table
		MayDeclare bool
	}{t, v.Me.May("anvil.declare")})
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
	return []anvilTrend{{"day", "hour", 24 * time.Hour}, {"month", "day", 30 * 24 * time.Hour}, {"year", "week", 365 * 24 * time.Hour}}
}

// query asks for figures of a consortium over the trend.
func (t anvilTrend) query(consortium string, now time.Time) url.Values {
	return url.Values{"consortium": {consortium}, "interval": {t.interval}, "from": {now.Add(-t.back).Truncate(time.Hour).UTC().Format(time.RFC3339)}}
}

// consortium shows how a consortium stands, and how that came.
func (s *Site) consortium(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	name := v.path("consortium")
	data := consortiumOverview{Head: v.consortiumHead("")}
	over := anvilTrends()[1]
	for _, t := range anvilTrends() {
		if t.name == v.param("span") {
			over = t
		}
	}
	now := s.config.Now()
	var consortia, runs, sweeps, rates, findings, newest row
	figures := func(t anvilTrend) error {
		query := t.query(name, now)
		return v.gather(
			want{path: "/v1/analytics/anvil/audits", query: query, into: &rates},
			want{path: "/v1/analytics/anvil/findings", query: query, into: &findings, optional: true},
		)
	}
	query := over.query(name, now)
	err := v.gather(
		want{path: "/v1/anvil", query: url.Values{"consortium": {name}}, into: &consortia},
		want{path: "/v1/analytics/anvil/audits/runs", query: url.Values{"consortium": {name}, "limit": {"6"}}, into: &runs},
		want{path: consortiumAPI(name, "sweeps"), query: url.Values{"limit": {"20"}}, into: &sweeps},
		want{path: consortiumAPI(name, "findings"), query: url.Values{"limit": {"8"}, "accepted": {"false"}, "severity": {"high"}}, into: &newest},
		want{path: "/v1/analytics/anvil/audits", query: query, into: &rates},
		want{path: "/v1/analytics/anvil/findings", query: query, into: &findings, optional: true},
	)
	if err != nil {
		return err
	}
	all := consortia.Rows("items")
	if len(all) == 0 {
		return &refusal{Status: http.StatusNotFound, Detail: v.T("anvil.none", "Consortium", name)}
	}
	// A consortium that is new has its whole past in one day.
	if v.param("span") == "" && toldIn(rates.Rows("items")) < 3 {
		over = anvilTrends()[0]
		if err := figures(over); err != nil {
			return err
		}
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
		data.Spans = append(data.Spans, navLink{Text: v.T("anvil.span." + t.name), Href: v.address("span", t.name), Here: t.name == over.name})
	}
	data.Charts = []trendChart{
		v.trendChart("share", "anvil-rate", rates.Rows("items"), column{Name: "anvil.verified-percent", Field: "verified_percent_floor_2", Kind: kindPercent},
			column{Name: "anvil.verified", Field: "verified", Kind: kindNumber}, column{Name: "anvil.audited", Field: "audited", Kind: kindNumber}),
		v.trendChart("lines", "anvil-findings", findings.Rows("items"), column{Name: "anvil.opened", Field: "opened", Kind: kindNumber},
			column{Name: "anvil.resolved", Field: "resolved", Kind: kindNumber}, column{Name: "anvil.still-open", Field: "open", Kind: kindNumber}),
	}
	return v.show("anvil_consortium", name, data)
}

// toldIn counts the intervals of which something is known.
func toldIn(items []row) int {
	n := 0
	for _, r := range items {
		if r.Has("audited") {
			n++
		}
	}
	return n
}

// trendChart makes a chart of intervals, from the first of which anything is known on.
func (v *visit) trendChart(kind, id string, items []row, columns ...column) trendChart {
	c := trendChart{Kind: kind, Caption: v.T("anvil.chart." + id), Headings: v.headings(append([]column{{Name: "anvil.from", Kind: kindTime}}, columns...))}
	for _, r := range items {
		begun := len(c.Lines) > 0
		for _, col := range columns {
			text := r.Text(col.Field)
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
		for key, value := range by[m] {
			r[key] = value
		}
		for severity, n := range open[m] {
			r[severity] = n
		}
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
		{Name: "anvil.denominator", Cell: func(v *visit, r row) cell {
			if !r.Has("audited") {
				return cell{Class: "num"}
			}
			return cell{Text: v.T("anvil.of", "Part", v.Number(r.Text("verified")), "Whole", v.Number(r.Text("audited"))), Value: r.Text("verified"), Class: "num"}
		}},
		{Name: "anvil.errors", Field: "errors", Kind: kindNumber}, {Name: "anvil.not-in-app", Field: "not_in_app", Kind: kindNumber},
		{Name: "anvil.beyond", Field: "beyond", Kind: kindNumber}, {Name: "anvil.unknown", Field: "unknown", Kind: kindNumber}, {Name: "anvil.ignored", Field: "ignored", Kind: kindNumber},
		severity("high"), severity("medium"), severity("low"),
	}}, row{"items": rows})
	t.Sortable = false
	return t
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
