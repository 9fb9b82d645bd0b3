package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/domain/retention"
)

// registerOperations adds the pages about how Muster itself fares, and who uses it.
func (s *Site) registerOperations() {
	s.router.Get("/sync", s.page(s.syncHealth))
	s.router.Get("/projections", s.page(s.projections))
	s.router.Post("/projections", s.decision(s.rebuild))
	s.router.Get("/parked", s.page(s.parked))
	s.router.Post("/parked", s.decision(s.decideParked))
	s.router.Get("/retention", s.page(s.retention))
	s.router.Get("/retention/plan", s.page(s.retentionPlan))
	s.router.Post("/retention", s.decision(s.runRetention))
	s.router.Get("/users", s.page(s.users))
	s.router.Get("/users/{id}", s.page(s.user))
	s.router.Post("/users/{id}", s.decision(s.decideOnUser))
	s.router.Get("/roles", s.page(s.roles))
	s.router.Get("/roles/{name}", s.page(s.role))
	s.router.Post("/roles/{name}", s.decision(s.decideOnRole))
	s.router.Post("/roles", s.decision(s.decideOnRole))
	s.router.Get("/events", s.page(s.events))
	s.router.Get("/events/{id}", s.page(s.event))
	s.router.Get("/streams/{stream}", s.page(s.stream))
	s.router.Get("/live/{topic}", s.live)
}

// operationsPlaces are those of the navigation.
func operationsPlaces() []place {
	return []place{
		{"nav.sync", "/sync", "operations.read"},
		{"nav.projections", "/projections", "operations.read"},
		{"nav.parked", "/parked", "operations.read"},
		{"nav.retention", "/retention", "operations.read"},
		{"nav.events", "/events", "events.read"},
		{"nav.users", "/users", "users.read"},
		{"nav.roles", "/roles", "users.read"},
	}
}

// syncData is what the page about the sync shows.
type syncData struct {
	Figures  []fact
	Models   *table
	Sections *table
	Failures *table
}

// syncHealth shows how far everything has got, and what fails.
func (s *Site) syncHealth(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	data, err := v.syncData()
	if err != nil {
		return err
	}
	now := s.config.Now().UTC()
	var failures row
	err = v.gather(want{path: "/v1/analytics/sync", optional: true, into: &failures, query: url.Values{
		"from": {now.AddDate(0, 0, -7).Format("2006-01-02T15:04:05Z")}, "to": {now.Format("2006-01-02T15:04:05Z")}, "interval": {"week"}, "group_by": {"section,class"},
	}})
	if err != nil {
		return err
	}
	data.Failures = v.failureTable(failures.Rows("items"))
	return v.show("sync", v.T("sync.title"), data)
}

// failureTable adds up over the intervals what failed and recovered, by section and kind.
func (v *visit) failureTable(rows []row) *table {
	columns := []column{
		{Name: "section", Cell: sectionCell},
		{Name: "class", Field: "class", Kind: kindWord},
		{Name: "failures", Field: "failed", Kind: kindNumber},
		{Name: "recoveries", Field: "recovered", Kind: kindNumber},
	}
	sums := map[[2]string]*[2]int64{}
	var order [][2]string
	for _, r := range rows {
		if r.Int("failed") == 0 && r.Int("recovered") == 0 {
			continue
		}
		key := [2]string{r.Text("section"), r.Text("class")}
		if sums[key] == nil {
			sums[key] = &[2]int64{}
			order = append(order, key)
		}
		sums[key][0] += r.Int("failed")
		sums[key][1] += r.Int("recovered")
	}
	items := make([]any, 0, len(order))
	for _, key := range order {
		items = append(items, map[string]any{
			"section": key[0], "class": key[1], "failed": strconv.FormatInt(sums[key][0], 10), "recovered": strconv.FormatInt(sums[key][1], 10),
		})
	}
	return v.tableOf(list{ID: "sync-failures", NoFiles: true, Quiet: true, Columns: columns}, row{"items": items})
}

// sectionCell is the name of a section.
func sectionCell(v *visit, r row) cell { return cell{Text: v.section(r.Text("section"))} }

// section is what the reader calls a section.
func (v *visit) section(name string) string {
	if text := v.T("section." + name); text != "section."+name {
		return text
	}
	return name
}

func (v *visit) syncData() (syncData, error) {
	answered, err := v.get("/v1/sync", nil)
	if err != nil {
		return syncData{}, err
	}
	data := syncData{Models: v.lagTable(answered.Rows("projections")), Sections: v.sectionTable(answered.Rows("sections"))}
	var characters, failing, behind int64
	for _, r := range answered.Rows("sections") {
		if r.Text("status") == "failing" {
			failing += r.Int("characters")
		}
		if r.Text("section") == "details" {
			characters += r.Int("characters")
		}
	}
	for _, r := range answered.Rows("projections") {
		behind = max(behind, r.Int("lag_records"))
	}
	data.Figures = []fact{
		{v.T("column.characters"), cell{Text: v.Number(strconv.FormatInt(characters, 10))}},
		{v.T("column.failing"), cell{Text: v.Number(strconv.FormatInt(failing, 10))}},
		{v.T("column.lag_records"), cell{Text: v.Number(strconv.FormatInt(behind, 10))}},
	}
	return data, nil
}

// lagTable shows how far read models are behind the log.
func (v *visit) lagTable(rows []row) *table {
	return v.tableOf(list{
		ID: "lag", NoFiles: true, Quiet: true,
		Lines: func(v *visit, _ []row) []line {
			var lines []line
			for _, r := range rows {
				lines = append(lines, line{Cells: v.cells(lagColumns(), r)})
			}
			return lines
		},
		Columns: lagColumns(),
	}, row{})
}

func lagColumns() []column {
	return []column{
		{Name: "projection", Field: "name"},
		{Name: "generation", Field: "generation", Kind: kindNumber},
		{Name: "lag_records", Field: "lag_records", Kind: kindNumber},
		{Name: "lag_seconds", Cell: secondsCell("lag_seconds")},
		{Name: "parked", Field: "parked", Kind: kindNumber, Href: func(r row) string {
			if r.Int("parked") == 0 {
				return ""
			}
			return "/parked?projection=" + url.QueryEscape(r.Text("name"))
		}},
	}
}

// secondsCell is a number of seconds, to the second.
func secondsCell(field string) func(*visit, row) cell {
	return func(v *visit, r row) cell {
		whole, _, _ := strings.Cut(r.Text(field), ".")
		return cell{Text: v.Number(whole), Value: whole, Class: "num"}
	}
}

// sectionTable is a line for each section, with how many characters have it in which status.
func (v *visit) sectionTable(rows []row) *table {
	statuses := []string{"ok", "incomplete", "failing", "not_yet", "not_consented"}
	t := &table{ID: "section-status", Quiet: true, Caption: v.T("list.section-status"), Empty: v.T("list.empty"), Sortable: true}
	t.Headings = []heading{{Text: v.T("column.section")}}
	for _, status := range statuses {
		t.Headings = append(t.Headings, heading{Text: v.Word(status), Class: "num"})
	}
	t.Headings = append(t.Headings, heading{Text: v.T("column.outstanding"), Class: "num"}, heading{Text: v.T("column.oldest"), Class: "when"})
	at := map[string]int{}
	for _, r := range rows {
		name := r.Text("section")
		i, ok := at[name]
		if !ok {
			i = len(t.Lines)
			at[name] = i
			t.Lines = append(t.Lines, line{Cells: append([]cell{{Text: v.section(name)}}, make([]cell, len(statuses)+2)...)})
		}
		cells := t.Lines[i].Cells
		for j, status := range statuses {
			if r.Text("status") != status {
				continue
			}
			cells[j+1] = cell{Text: v.Number(r.Text("characters")), Value: r.Text("characters"), Class: "num"}
			if status == "failing" && r.Int("characters") > 0 {
				cells[j+1].Badge = "bad"
			}
		}
		if n := r.Int("outstanding"); n > 0 {
			cells[len(statuses)+1] = cell{Text: v.Number(r.Text("outstanding")), Value: r.Text("outstanding"), Class: "num"}
		}
		if oldest := r.Text("oldest_validated_at"); oldest != "" && (cells[len(statuses)+2].Time == "" || oldest < cells[len(statuses)+2].Time) {
			cells[len(statuses)+2] = cell{Text: v.Time(oldest), Time: oldest, Class: "when"}
		}
	}
	return t
}

// projections shows the read models with their generations, as they are built.
func (s *Site) projections(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, err := v.generations()
	if err != nil {
		return err
	}
	return v.show("projections", v.T("projections.title"), projectionsData{Generations: t, May: v.Me.May("operations.change")})
}

// projectionsData is what the page of read models shows.
type projectionsData struct {
	Generations []generation
	May         bool
}

// Names are the read models that can be rebuilt.
func (d projectionsData) Names() []string {
	var names []string
	for _, g := range d.Generations {
		if g.Text("status") == "live" {
			names = append(names, g.Projection.Text)
		}
	}
	return names
}

// rebuild begins to rebuild a read model.
func (s *Site) rebuild(v *visit) (string, error) {
	_, err := v.send(http.MethodPost, "/v1/projections/"+url.PathEscape(v.r.PostFormValue("projection"))+"/rebuilds", nil, nil)
	return v.back("/projections", "rebuild"), err
}

// generation is one build of a read model as the page shows it.
type generation struct {
	row
	Projection, Status cell
	Version            string
	Created, Promoted  string
	Lag, Lagging       string
	// Done is how much of the log a build has read, of a hundred; empty if it is not being
	// built.
	Done, Read, All string
}

func (v *visit) generations() ([]generation, error) {
	answered, err := v.get("/v1/projections", nil)
	if err != nil {
		return nil, err
	}
	var shown []generation
	for _, p := range answered.Rows("items") {
		for _, g := range p.Rows("generations") {
			one := generation{
				row: g, Projection: cell{Text: p.Text("name")}, Status: cell{Text: v.Word(g.Text("status")), Badge: badgeOf(g.Text("status"))},
				Version: g.Text("version"), Created: g.Text("created_at"), Promoted: g.Text("promoted_at"),
			}
			if g.Text("status") == "live" {
				one.Lag = v.Number(p.Text("lag_records"))
				one.Lagging = secondsCell("lag_seconds")(v, p).Text
			}
			if g.Has("progress") {
				one.Done, one.Read, one.All = g.Text("progress.percent"), v.Number(g.Text("progress.read")), v.Number(g.Text("progress.records"))
			}
			shown = append(shown, one)
		}
	}
	return shown, nil
}

// parked lists events that read models have set aside.
func (s *Site) parked(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, answered, err := v.list(list{
		ID: "parked", Path: "/v1/poison", Limit: -1, Filters: []filter{{Name: "projection"}},
		Columns: []column{
			{Name: "projection", Field: "projection"},
			{Name: "log_position", Cell: positionCell},
			{Name: "stream", Field: "stream", Href: toStream},
			{Name: "event", Field: "type", Href: toEvent("event_id")},
			{Name: "state", Field: "state", Kind: kindBadge},
			{Name: "reason", Field: "reason"},
			{Name: "parked_at", Field: "parked_at", Kind: kindTime},
		},
	})
	if err != nil {
		return err
	}
	var poisoned []row
	for _, r := range answered.Rows("items") {
		if r.Text("state") == "poisoned" {
			poisoned = append(poisoned, r)
		}
	}
	return v.show("parked", v.T("parked.title"), struct {
		Table    *table
		Poisoned []row
		May      bool
	}{t, poisoned, v.Me.May("operations.change")})
}

// positionCell is a place in the log.
func positionCell(_ *visit, r row) cell {
	return cell{Text: r.Text("topic") + " " + r.Text("partition") + "/" + r.Text("offset"), Class: "when"}
}

func toStream(r row) string {
	if r.Text("stream") == "" {
		return ""
	}
	return "/streams/" + url.PathEscape(r.Text("stream"))
}

func toEvent(field string) func(row) string {
	return func(r row) string {
		if r.Text(field) == "" {
			return ""
		}
		return "/events/" + url.PathEscape(r.Text(field))
	}
}

// decideParked tries an event again, or takes it out of a read model.
func (s *Site) decideParked(v *visit) (string, error) {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(v.r.PostFormValue(name), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	do := v.r.PostFormValue("do")
	body := map[string]any{
		"action": do, "projection": v.r.PostFormValue("projection"), "topic": v.r.PostFormValue("topic"),
		"partition": number("partition"), "offset": number("offset"),
	}
	if reason := strings.TrimSpace(v.r.PostFormValue("reason")); reason != "" {
		body["reason"] = reason
	}
	_, err := v.send(http.MethodPost, "/v1/poison", nil, body)
	return v.back("/parked", "parked-"+do), err
}

// retention shows how long data are kept, what was removed, and the searches for what should
// be gone.
func (s *Site) retention(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	answered, err := v.get("/v1/retention", nil)
	if err != nil {
		return err
	}
	days := func(field string) func(*visit, row) cell {
		return func(v *visit, r row) cell {
			if r.Int(field) == 0 {
				return cell{Text: v.T("retention.for-ever")}
			}
			return cell{Text: v.T("retention.days", "Days", r.Int(field))}
		}
	}
	runs := v.tableOf(list{
		ID: "retention-runs", Items: "runs", NoFiles: true, Quiet: true,
		Columns: []column{
			{Name: "at", Field: "at", Kind: kindTime},
			{Name: "streams", Field: "streams", Kind: kindNumber},
			{Name: "touched", Field: "touched", Kind: kindNumber},
			{Name: "tombstones", Cell: func(v *visit, r row) cell {
				var total int64
				for _, class := range []string{"history", "state", "access", "forgotten"} {
					total += r.Int("tombstones." + class)
				}
				return cell{Text: v.Number(strconv.FormatInt(total, 10)), Class: "num"}
			}},
			{Name: "closings", Field: "closings", Kind: kindNumber},
			{Name: "swept", Field: "swept", Kind: kindNumber},
		},
	}, answered)
	certificates := v.tableOf(list{
		ID: "certificates", Items: "certificates", NoFiles: true, Quiet: true,
		Columns: []column{
			{Name: "at", Field: "at", Kind: kindTime}, {Name: "keys", Field: "keys", Kind: kindNumber}, {Name: "found", Field: "found", Kind: kindNumber}, {Name: "digest", Cell: func(_ *visit, r row) cell {
				hash := r.Text("hash")
				return cell{Text: hash[:min(12, len(hash))], Title: hash}
			}},
		},
	}, answered)
	latestFirst(runs)
	latestFirst(certificates)
	return v.show("retention", v.T("retention.title"), struct {
		Policies   []fact
		Runs       *table
		Proofs     *table
		Unfinished []string
		May        bool
	}{
		v.facts(answered.Row("policies"), column{Name: "history_days", Cell: days("history_days")}, column{Name: "state_days", Cell: days("state_days")}, column{Name: "state_all_days", Cell: days("state_all_days")},
			column{Name: "access_days", Cell: days("access_days")}),
		runs, certificates, answered.Texts("unfinished"), v.Me.May("operations.change"),
	})
}

// latestFirst turns a list around that the API has in the order of time.
func latestFirst(t *table) {
	for i, j := 0, len(t.Lines)-1; i < j; i, j = i+1, j-1 {
		t.Lines[i], t.Lines[j] = t.Lines[j], t.Lines[i]
	}
}

// runRetention removes what is older than the policies keep.
// retentionPlan shows what a run would remove now.
func (s *Site) retentionPlan(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	answered, err := v.get("/v1/retention/plan", nil)
	if err != nil {
		return err
	}
	planned := v.tableOf(list{
		ID: "retention-plan", Items: "items", NoFiles: true, Quiet: true,
		Columns: []column{
			{Name: "retention_class", Field: "class", Kind: kindWord},
			{Name: "retention_reason", Cell: func(v *visit, r row) cell {
				return cell{Text: v.T(reasonToGo(retention.Reason(r.Text("reason"))))}
			}},
			{Name: "characters", Field: "characters", Kind: kindNumber},
			{Name: "events", Field: "events", Kind: kindNumber},
			{Name: "earliest", Field: "oldest", Kind: kindTime},
		},
	}, answered)
	return v.show("retention_plan", v.T("retention.plan"), struct {
		Planned *table
		May     bool
	}{planned, v.Me.May("operations.change") && len(planned.Lines) > 0})
}

// reasonToGo is the message that says why events go.
func reasonToGo(reason retention.Reason) string {
	switch reason {
	case retention.ReasonAge:
		return "retention.aged"
	case retention.ReasonSuperseded:
		return "retention.superseded"
	case retention.ReasonThinned:
		return "retention.thinned"
	case retention.ReasonClosed:
		return "retention.closed"
	default:
		return "retention.forgotten"
	}
}

func (s *Site) runRetention(v *visit) (string, error) {
	_, err := v.send(http.MethodPost, "/v1/retention/runs", nil, nil)
	return v.back("/retention", "retention"), err
}
