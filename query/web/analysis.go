package web

import (
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// analysis says how figures over time are shown: which question the API answers, and how it can
// be put.
type analysis struct {
	// ID names the analysis: its title is "analysis.<ID>" of the catalogue, and what the
	// figures mean "analysis.<ID>-text".
	ID string
	// Path is the API's.
	Path string
	// Groups are what the API groups by; "groupby.<name>" is each in words.
	Groups []string
	// Each are fields that tell items apart whatever they are grouped by, EachName has the
	// name of what they are about.
	Each     []string
	EachName string
	Measures []measure
	// Charts are the measures that are drawn together while nothing is grouped.
	Charts []drawn
	// Filters are the API's other parameters.
	Filters []filter
	// Choices are asked for beside the figures, so that somebody can choose by name.
	Choices []choices
	// By is what is grouped by if nothing else is asked for.
	By string
	// Intervals are the API's; none is hours to years.
	Intervals []string
	// AsOf: it can be asked as of a moment. NoZone: days are those of UTC.
	AsOf, NoZone bool
	// Tabs are the pages beside it.
	Tabs func(*visit) []navLink
}

// choices are what a filter can be: the items of a list of the API.
type choices struct {
	Filter, Path, Items, Value, Text string
}

// ofCorporations are the corporations of characters that who looks may find.
func ofCorporations() choices {
	return choices{Filter: "corporation_id", Path: "/v1/finder/facets", Items: "corporations", Value: "id", Text: "name"}
}

// ask asks for the figures and, meanwhile, for the choices of the filters. A filter whose
// choices cannot be had is typed into.
func (a *analysis) ask(v *visit, query url.Values) (row, error) {
	var waiting sync.WaitGroup
	found := make([][]option, len(a.Choices))
	for i, c := range a.Choices {
		waiting.Go(func() {
			query := url.Values{}
			if c.Items == "items" {
				query.Set("limit", "1000")
			}
			answered, err := v.get(c.Path, query)
			if err != nil {
				return
			}
			for _, item := range answered.Rows(c.Items) {
				found[i] = append(found[i], option{Value: item.Text(c.Value), Text: nameOf(item, c.Text, c.Value)})
			}
		})
	}
	var answered row
	var err error
	if query != nil {
		answered, err = v.get(a.Path, query)
	}
	waiting.Wait()
	filters := slices.Clone(a.Filters)
	for i, c := range a.Choices {
		for j := range filters {
			if filters[j].Name == c.Filter && len(found[i]) > 0 {
				filters[j].Options = func(v *visit) []option {
					if here := v.param(c.Filter); here != "" && !slices.ContainsFunc(found[i], func(o option) bool { return o.Value == here }) {
						return append(slices.Clone(found[i]), option{Value: here, Text: here})
					}
					return found[i]
				}
			}
		}
	}
	a.Filters = filters
	return answered, err
}

// by is what the figures are grouped by; empty for nothing.
func (a *analysis) by(v *visit) string {
	if by := v.param("group_by"); by != "" {
		return by
	}
	return a.By
}

// drawn is a chart of measures that have one scale.
type drawn struct {
	Name, Kind string
	Measures   []string
}

// figuresPage is what the page of an analysis shows.
type figuresPage struct {
	Text    string
	Tabs    []navLink
	More    []navLink
	Presets []navLink
	Form    *filterForm
	// Problem is why there are no figures.
	Problem *refusal
	// Range says which time the figures are about.
	Range  string
	Facts  []fact
	Charts []*chart
	Table  *table
	Files  []navLink
	// Notes say what there is to know about the figures.
	Notes []string
	// Bars are the largest, and Heat the hours of a week.
	Bars *bars
	Heat *heat
}

// groupFields are the fields in which the API says what an item is grouped by.
func groupFields(group string, item row) string {
	switch group {
	case "character", "corporation", "counterparty", "sender", "ship_type", "solar_system", "location":
		return group + "_id"
	case "type":
		if item.Has("type_id") {
			return "type_id"
		}
		return "type"
	case "group":
		return "group_name"
	default:
		return group
	}
}

// intervals are those of the API, from the finest on.
func intervals() []string { return []string{"hour", "day", "week", "month", "quarter", "year"} }

// presets are the ranges that are offered, in days.
func presets() []string { return []string{"1", "7", "30", "90", "365"} }

// zones are the time zones that are offered.
func zones() []string {
	return []string{
		"UTC", "America/Los_Angeles", "America/Denver", "America/Chicago", "America/New_York", "America/Sao_Paulo", "Europe/London", "Europe/Berlin", "Europe/Moscow",
		"Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
	}
}

// timeSpan is the time that a page about figures is about.
type timeSpan struct {
	From, To time.Time
	// Preset is how many days back it goes, if it was asked for so.
	Preset string
	Zone   *time.Location
}

// span reads the time from the page's address: a number of days back from now, or days in the
// calendar of the zone, the last one included.
func (v *visit) span(zoned bool) (timeSpan, error) {
	s := timeSpan{Zone: time.UTC, To: v.site.config.Now().UTC().Truncate(time.Second)}
	if name := v.param("tz"); zoned && name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			return s, &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("figures.no-zone", "Zone", name)}
		}
		s.Zone = zone
	}
	day := func(name string) (time.Time, error) {
		at, err := time.ParseInLocation(time.DateOnly, v.param(name), s.Zone)
		if err != nil {
			return at, &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("figures.no-day", "Day", v.param(name))}
		}
		return at, nil
	}
	if v.param("to") != "" {
		last, err := day("to")
		if err != nil {
			return s, err
		}
		if next := last.AddDate(0, 0, 1); next.Before(s.To) {
			s.To = next
		}
	}
	if v.param("from") != "" {
		from, err := day("from")
		s.From = from
		return s, err
	}
	s.Preset = v.param("range")
	if !slices.Contains(presets(), s.Preset) {
		s.Preset = "30"
	}
	s.From = s.To.Add(-time.Duration(row{"n": s.Preset}.Int("n")) * 24 * time.Hour)
	return s, nil
}

// interval is the finest that does not make too many points, of those that there are.
func (s timeSpan) interval(of []string) string {
	chosen := "month"
	switch days := s.To.Sub(s.From) / (24 * time.Hour); {
	case days <= 2:
		chosen = "hour"
	case days <= 62:
		chosen = "day"
	case days <= 400:
		chosen = "week"
	}
	if !slices.Contains(of, chosen) {
		return of[0]
	}
	return chosen
}

// asked is what the page asks the API for.
func (v *visit) asked(a *analysis, s timeSpan) url.Values {
	query := url.Values{"from": {s.From.UTC().Format(time.RFC3339)}, "to": {s.To.UTC().Format(time.RFC3339)}}
	if len(a.Intervals) > 0 {
		query.Set("interval", v.param("interval"))
		if v.param("interval") == "" {
			query.Set("interval", s.interval(a.Intervals))
		}
	}
	if !a.NoZone {
		query.Set("tz", s.Zone.String())
	}
	if by := a.by(v); by != "" {
		query.Set("group_by", by)
	}
	for _, f := range a.Filters {
		if text := v.param(f.Name); text != "" {
			query.Set(f.Name, text)
		}
	}
	if at := v.param("as_of"); a.AsOf && at != "" {
		query.Set("as_of", instant(at))
		if moment, ok := moment(instant(at)); ok && moment.Before(s.To) {
			query.Set("to", instant(at))
			if v.param("from") == "" {
				query.Set("from", moment.Add(-s.To.Sub(s.From)).UTC().Format(time.RFC3339))
			}
		}
	}
	return query
}

// analysisForm is the form by which figures are asked for.
func (v *visit) analysisForm(a *analysis, s timeSpan) *filterForm {
	f := &filterForm{Action: v.r.URL.Path, Target: "figures"}
	choice := func(name, chosen string, options ...option) {
		for i := range options {
			options[i].Chosen = options[i].Value == chosen
		}
		f.Fields = append(f.Fields, filterField{Name: name, Label: v.T("filter." + name), Choice: true, Options: options, Value: chosen})
		f.Active = f.Active || v.param(name) != ""
	}
	worded := func(prefix string, values ...string) []option {
		options := make([]option, 0, len(values))
		for _, value := range values {
			options = append(options, option{Value: value, Text: v.T(prefix + value)})
		}
		return options
	}
	for _, name := range []string{"from", "to"} {
		f.Fields = append(f.Fields, filterField{Name: name, Label: v.T("figures." + name), Kind: "date", Value: v.param(name)})
		f.Active = f.Active || v.param(name) != ""
	}
	if len(a.Intervals) > 0 {
		choice("interval", v.param("interval"), append([]option{{Text: v.T("interval.auto")}}, worded("interval.", a.Intervals...)...)...)
	}
	if len(a.Groups) > 0 {
		groups := worded("groupby.", a.Groups...)
		if a.By == "" {
			groups = append([]option{{Text: v.T("groupby.none")}}, groups...)
		}
		choice("group_by", a.by(v), groups...)
	}
	if len(a.Measures) > 1 && (len(a.Groups) > 0 || a.Each != nil) {
		names := make([]string, 0, len(a.Measures))
		for _, m := range a.Measures {
			names = append(names, m.Name)
		}
		choice("measure", v.measure(a).Name, worded("measure.", names...)...)
	}
	for _, field := range a.Filters {
		shown := filterField{Name: field.Name, Label: v.T("filter." + field.Name), Kind: field.Kind, Value: v.param(field.Name), Wide: field.Wide}
		if field.Options != nil {
			choice(field.Name, v.param(field.Name), v.options(field)...)
			continue
		}
		if shown.Kind == "" {
			shown.Kind = "text"
		}
		f.Fields = append(f.Fields, shown)
		f.Active = f.Active || shown.Value != ""
	}
	if !a.NoZone {
		names := zones()
		if here := s.Zone.String(); !slices.Contains(names, here) {
			names = append(names, here)
		}
		var options []option
		for _, name := range names {
			options = append(options, option{Value: name, Text: strings.ReplaceAll(name, "_", " ")})
		}
		choice("tz", s.Zone.String(), options...)
	}
	if a.AsOf {
		f.Fields = append(f.Fields, filterField{Name: "as_of", Label: v.T("figures.as_of"), Kind: "datetime-local", Value: v.param("as_of")})
		f.Active = f.Active || v.param("as_of") != ""
	}
	if text := v.param("range"); text != "" {
		f.Hidden = append(f.Hidden, option{Value: text, Text: "range"})
	}
	f.Reset = v.r.URL.Path
	return f
}

// measure is the one that is drawn while figures are grouped, and by which groups are in order.
func (v *visit) measure(a *analysis) measure {
	for _, m := range a.Measures {
		if m.Name == v.param("measure") {
			return m
		}
	}
	return a.Measures[0]
}

// begin makes what every page of figures has, whatever the API answers.
func (v *visit) begin(a *analysis) (*figuresPage, timeSpan, error) {
	data := &figuresPage{Text: v.T("analysis." + a.ID + "-text")}
	if a.Tabs != nil {
		data.Tabs = a.Tabs(v)
	}
	if strings.HasPrefix(a.ID, "wallet") {
		data.More = walletViews(v)
	}
	s, err := v.span(!a.NoZone)
	for _, days := range presets() {
		if days == "1" && len(a.Intervals) > 0 && a.Intervals[0] != "hour" {
			continue
		}
		data.Presets = append(data.Presets, navLink{Text: v.T("range.days-" + days), Href: v.address("range", days, "from", "", "to", ""), Here: s.Preset == days && v.param("to") == ""})
	}
	return data, s, err
}

// told says which time figures are about.
func (v *visit) told(answered row, s timeSpan) string {
	write := func(text string) string {
		at, ok := moment(text)
		if !ok {
			return text
		}
		return at.In(s.Zone).Format(timeFormat)
	}
	return v.T("figures.about", "From", write(answered.Text("from")), "To", write(answered.Text("to")), "Zone", s.Zone.String())
}

// figuresOf asks for the figures of a page, with more parameters than those of the page. Without
// a page it has failed, or a file was answered.
func (v *visit) figuresOf(a *analysis, more url.Values) (*figuresPage, row, timeSpan, error) {
	data, over, err := v.begin(a)
	var query url.Values
	if err == nil {
		query = v.asked(a, over)
		maps.Copy(query, more)
		if format := v.param("format"); format != "" {
			return nil, nil, over, v.file(a.Path, query, format, a.ID)
		}
	}
	answered, refused := a.ask(v, query)
	if err == nil {
		err = refused
	}
	data.Form = v.analysisForm(a, over)
	return data, answered, over, err
}

// analyse serves the page of an analysis.
func (s *Site) analyse(of func(*visit) *analysis) func(*visit) error {
	return func(v *visit) error {
		if err := v.whoami(); err != nil {
			return err
		}
		a := of(v)
		data, answered, over, err := v.figuresOf(a, nil)
		if data == nil {
			return err
		}
		if err != nil {
			return v.showFigures(a, data, err)
		}
		data.Range = v.told(answered, over)
		data.Files = v.files()
		if a.by(v) == "" && a.Each == nil {
			v.showWhole(a, data, answered, over.Zone)
		} else if err := v.showGroups(a, data, answered, over.Zone); err != nil {
			return err
		}
		v.note(data, answered)
		return v.showFigures(a, data, nil)
	}
}

// showFigures writes the page; what was refused because of how it was asked is said at the form.
func (v *visit) showFigures(a *analysis, data *figuresPage, err error) error {
	status := http.StatusOK
	if err != nil {
		if data.Problem = atForm(err); data.Problem == nil {
			return err
		}
		// A part of a page is not exchanged for what is no success.
		if v.r.Header.Get("Hx-Request") == "" {
			status = data.Problem.Status
		}
	}
	return v.showTo(status, "figures", v.T("analysis."+a.ID), data)
}

// files are what the page shows as files.
func (v *visit) files() []navLink {
	// The address leaves the format out of what it is made of, so it comes last.
	join := "?"
	here := v.address()
	if strings.Contains(here, "?") {
		join = "&"
	}
	return []navLink{{Text: "CSV", Href: here + join + "format=csv"}, {Text: "Parquet", Href: here + join + "format=parquet"}}
}

// note says what the figures leave out.
func (v *visit) note(data *figuresPage, answered row) {
	for _, name := range []string{"unreadable", "unpriced", "unpriced_quantity", "unknown_quantity"} {
		total := new(big.Rat)
		for _, item := range answered.Rows("items") {
			if n, ok := number(item.Text(name)); ok {
				total.Add(total, n)
			}
		}
		if total.Sign() > 0 {
			data.Notes = append(data.Notes, v.T("figures.note-"+name, "Number", v.Number(decimal(total, kindNumber))))
		}
	}
}

// showWhole shows figures that are not grouped: what they come to, charts, and all of them.
func (v *visit) showWhole(a *analysis, data *figuresPage, answered row, zone *time.Location) {
	items := answered.Rows("items")
	by := map[string]measure{}
	t := &table{ID: a.ID, Caption: v.T("figures.all"), Sortable: true, Headings: []heading{{Text: v.T("figures.period")}}, Empty: v.T("list.empty")}
	for _, m := range a.Measures {
		by[m.Name] = m
		t.Headings = append(t.Headings, heading{Text: v.T("measure." + m.Name), Class: "num"})
		if text := m.over(items); text != "" {
			made := v.figure(m, text)
			made.Class = strings.TrimPrefix(made.Class, "num")
			data.Facts = append(data.Facts, fact{Name: v.T("measure." + m.Name), Cell: made})
		}
	}
	for _, d := range a.Charts {
		measures := make([]measure, 0, len(d.Measures))
		for _, name := range d.Measures {
			measures = append(measures, by[name])
		}
		data.Charts = append(data.Charts, v.chartOfMeasures(v.T("chart."+a.ID+"-"+d.Name), d.Kind, answered, zone, measures))
	}
	for _, item := range slices.Backward(items) {
		one := line{Cells: []cell{when(item, answered.Text("interval"), zone)}}
		for _, m := range a.Measures {
			one.Cells = append(one.Cells, v.figure(m, item.Text(m.Name)))
		}
		t.Lines = append(t.Lines, one)
	}
	data.Table = t
}

// maxGroups is how many groups the table of a page has at most; a file has all.
const maxGroups = 200

// showGroups shows figures that are grouped: a chart of the largest, and what each comes to.
func (v *visit) showGroups(a *analysis, data *figuresPage, answered row, zone *time.Location) error {
	m := v.measure(a)
	items := answered.Rows("items")
	fields := slices.Clone(a.Each)
	asked := answered.Texts("group_by")
	for _, by := range asked {
		field := by
		if len(items) > 0 {
			field = groupFields(by, items[0])
		}
		fields = append(fields, field)
	}
	sorted := largest(groupsOf(items, fields), m)
	shown := sorted[:min(len(sorted), maxGroups)]
	names, err := v.namesOf(fields, shown)
	if err != nil {
		return err
	}
	name := func(g *group) string { return v.nameOfGroup(a, fields, names, g) }
	if len(sorted) > 0 {
		data.Charts = append(data.Charts, v.chartOfGroups(answered, zone, m, sorted, name))
	}
	title := make([]string, 0, len(asked)+1)
	if a.EachName != "" {
		title = append(title, v.T("groupby."+a.EachName))
	}
	for _, by := range asked {
		title = append(title, v.T("groupby."+by))
	}
	t := &table{ID: a.ID, Caption: v.T("figures.groups"), Sortable: true, Empty: v.T("list.empty"), Headings: []heading{{Text: strings.Join(title, " · ")}}}
	for _, other := range a.Measures {
		if other.Over != apart {
			t.Headings = append(t.Headings, heading{Text: v.T("measure." + other.Name), Class: "num"})
		}
	}
	for _, g := range shown {
		first := cell{Text: name(g)}
		if len(fields) == 1 && a.filters(fields[0]) && g.IDs[0] != "" && g.IDs[0] != "0" {
			first.Href = v.address(fields[0], g.IDs[0], "group_by", "")
		}
		one := line{Cells: []cell{first}}
		for _, other := range a.Measures {
			if other.Over != apart {
				one.Cells = append(one.Cells, v.figure(other, other.over(g.Items)))
			}
		}
		t.Lines = append(t.Lines, one)
	}
	if len(sorted) > len(shown) {
		data.Notes = append(data.Notes, v.T("figures.first-groups", "Shown", v.Number(len(shown)), "All", v.Number(len(sorted))))
	}
	data.Table = t
	return nil
}

// filters tells whether figures can be asked for by what stands in a field.
func (a *analysis) filters(field string) bool {
	return slices.ContainsFunc(a.Filters, func(f filter) bool { return f.Name == field })
}

// namesOf are the names of what groups are about, by the fields that have the ids.
func (v *visit) namesOf(fields []string, groups []*group) (row, error) {
	query := url.Values{}
	for i, field := range fields {
		kind := nameKind(field)
		if kind == "" {
			continue
		}
		var ids []string
		for _, g := range groups {
			if id := g.IDs[i]; id != "" && id != "0" && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			if before := query.Get(kind); before != "" {
				ids = append(strings.Split(before, ","), ids...)
			}
			query.Set(kind, strings.Join(ids, ","))
		}
	}
	if len(query) == 0 {
		return nil, nil
	}
	var names row
	err := v.gather(want{path: "/v1/universe/names", query: query, into: &names, optional: true})
	return names, err
}

// nameKind is where the API has the names of what a field has the ids of; empty for none.
func nameKind(field string) string {
	switch field {
	case "character_id", "corporation_id", "counterparty_id", "sender_id":
		return "entities"
	case "type_id", "ship_type_id":
		return "types"
	case "location_id", "solar_system_id":
		return "locations"
	default:
		return ""
	}
}

// nameOfGroup says what a group is about.
func (v *visit) nameOfGroup(a *analysis, fields []string, names row, g *group) string {
	parts := make([]string, 0, len(fields))
	for i, field := range fields {
		id := g.IDs[i]
		if slices.Contains(a.Each, field) {
			if id = g.Items[0].Text(a.EachName); id == "" {
				id = g.IDs[i]
			}
			parts = append(parts, id)
			continue
		}
		switch {
		case id == "" || id == "0":
			parts = append(parts, v.T("figures.none-known"))
		case nameKind(field) != "":
			if text := names.Row(nameKind(field)).Text(id); text != "" {
				id = text
			}
			parts = append(parts, id)
		case field == "role":
			parts = append(parts, v.T("contract-role.as-"+id))
		case field == "way":
			parts = append(parts, v.T("way."+id))
		case field == "section" && a.ID == "looks":
			parts = append(parts, v.lookedAt(id))
		case field == "viewer" || field == "owner" || field == "group_name":
			parts = append(parts, id)
		default:
			parts = append(parts, v.Word(id))
		}
	}
	return strings.Join(parts, " · ")
}
