package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// past is what chooses the moment that is shown.
type past struct {
	Action string
	// Field is what the field of the moment has, At the moment itself; empty for now.
	Field, At string
	// Moment is At as the API writes it.
	Moment string
	// From is the moment at which the slider begins, Step how many seconds one step is, Max and
	// Value how many steps there are and where it stands. Without a life of some minutes there
	// is none.
	From             string
	Step, Max, Value int64
	Hidden           []option
	Now, Compare     string
	// Against is the other moment of a comparison.
	Against string
	// Comparable: what is shown can be held against another moment.
	Comparable bool
}

// sliderSteps is about how many steps a slider has at most that counts no days.
const sliderSteps = 120

// past chooses the moment of what the page shows, from when the character was registered.
func (v *visit) past(d *viewerData) *past {
	p := &past{
		Action: v.r.URL.Path, Field: strings.TrimSuffix(v.param("as_of"), ":00Z"), At: v.param("as_of"), Moment: instant(v.param("as_of")), Now: v.address("as_of", "", "_against", "", "cursor", ""),
		Compare: v.address("_against", "now", "cursor", ""), Against: v.param("_against"), Comparable: tabOf(d.Section) != nil && d.Section != sectionOverview,
	}
	for name, values := range v.r.URL.Query() {
		if name != "as_of" && name != "cursor" && name != "done" && name != "_against" && values[0] != "" {
			p.Hidden = append(p.Hidden, option{Text: name, Value: values[0]})
		}
	}
	from, ok := moment(d.Character.Text("registered_at"))
	now := v.site.config.Now().UTC()
	if !ok || !now.After(from) {
		return p
	}
	life := now.Sub(from)
	step := 24 * time.Hour
	for _, finer := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour} {
		if life < sliderSteps*finer {
			step = finer
			break
		}
	}
	// A day stands for its last minute.
	begin := from.Truncate(step).Add(step - time.Minute)
	p.From, p.Step, p.Max = begin.Format(time.RFC3339), int64(step/time.Second), int64(now.Sub(begin)/step)+1
	p.Value = p.Max
	if at, ok := moment(instant(p.At)); ok && p.At != "" {
		p.Value = min(max(int64(at.Sub(begin)/step), 0), p.Max)
	}
	return p
}

// compared is how two moments of a section differ.
type compared struct {
	From, To                string
	Added, Changed, Removed int
	Values                  *table
	// Cut tells that a list was too long to be compared as a whole.
	Cut bool
}

// Pages of a thousand rows, or changes, that are compared at most, and how many lines are
// shown of what differs.
const (
	comparedPages = 5
	comparedLines = 1000
)

// comparison shows how two moments of a section differ.
func (v *visit) comparison(t *tab) error {
	l := v.listOf(t)
	from, to := v.param("as_of"), v.param("_against")
	if to == "now" {
		to = ""
	}
	if from == "" || to != "" && instant(to) < instant(from) {
		from, to = to, from
	}
	d, err := v.frame(t.Section)
	if err != nil {
		return err
	}
	if d.Problem != nil {
		return v.showTo(d.status(), "compare", d.Character.Text("name"), d)
	}
	c := compared{From: instant(from), To: instant(to)}
	before, after, told, err := v.netChanges(t, l, c.From, c.To)
	d.Standing = v.standingOf(t.Section, row{})
	if err == nil && !told {
		earlier, later := &rowsAt{at: from}, &rowsAt{at: to}
		var group sync.WaitGroup
		group.Go(func() { later.read(v, l) })
		earlier.read(v, l)
		group.Wait()
		err = cmp.Or(earlier.err, later.err)
		before, after, c.Cut = earlier.rows, later.rows, earlier.cut || later.cut
		if len(t.Facts) > 0 && err == nil {
			c.Values = v.differingFacts(t, earlier.first.Row("value"), later.first.Row("value"))
		}
	}
	if err != nil && !asRefusal(err, &d.Problem) {
		return err
	}
	if len(l.Columns) > 0 && d.Problem == nil {
		d.Table = v.differingRows(t, l, before, after, &c)
	}
	d.Extra = c
	return v.showTo(d.status(), "compare", d.Character.Text("name"), d)
}

// netChanges are the rows of a list that changes between two moments are about, as they were
// before the first of these and after the last one. It is false if that cannot be told from
// changes: of what is no list, of a time in which the list was read for the first time, and of
// very many changes.
func (v *visit) netChanges(t *tab, l list, from, to string) (before, after []row, told bool, err error) {
	if len(t.Facts) > 0 || l.Items != "" || t.Section == "skill-sets" {
		return nil, nil, false, nil
	}
	query := url.Values{"since": {from}, "order": {"oldest"}, "limit": {"1000"}}
	if to != "" {
		query.Set("until", to)
	}
	was, is := map[string]row{}, map[string]row{}
	var keys []string
	note := func(old, now row) {
		key := t.keyOf(now)
		if now == nil {
			key = t.keyOf(old)
		}
		if _, known := is[key]; !known {
			keys, was[key] = append(keys, key), old
		}
		is[key] = now
	}
	for range comparedPages {
		answered, err := v.get(l.Path+"/changes", query)
		if err != nil {
			return nil, nil, false, err
		}
		for _, change := range answered.Rows("items") {
			if change.Bool("first") {
				return nil, nil, false, nil
			}
			for _, there := range change.Rows("added") {
				note(nil, there.Row("item"))
			}
			for _, differs := range change.Rows("changed") {
				note(differs.Row("before"), differs.Row("after"))
			}
			for _, there := range change.Rows("removed") {
				note(there.Row("item"), nil)
			}
		}
		next := answered.Text("next_cursor")
		if next == "" {
			for _, key := range slices.Backward(keys) {
				// What has no key of this list is of another one of the section, such as labels.
				if strings.Trim(key, "/") == "" {
					continue
				}
				if was[key] != nil {
					before = append(before, was[key])
				}
				if is[key] != nil {
					after = append(after, is[key])
				}
			}
			return before, after, true, nil
		}
		query.Set("cursor", next)
	}
	return nil, nil, false, nil
}

// rowsAt are the rows of a section at a moment.
type rowsAt struct {
	at    string
	first row
	rows  []row
	cut   bool
	err   error
}

// read reads all pages, but for those of a list that is very long.
func (a *rowsAt) read(v *visit, l list) {
	query := url.Values{}
	if a.at != "" {
		query.Set("as_of", instant(a.at))
	}
	if l.Limit >= 0 {
		query.Set("limit", "1000")
	}
	for page := range comparedPages {
		answered, err := v.get(l.Path, query)
		if err != nil {
			a.err = err
			return
		}
		if page == 0 {
			a.first = answered
		}
		a.rows = append(a.rows, answered.Rows(cmp.Or(l.Items, "items"))...)
		next := answered.Text("next_cursor")
		if next == "" {
			return
		}
		query.Set("cursor", next)
	}
	a.cut = true
}

// keyOf tells rows of a tab apart.
func (t *tab) keyOf(r row) string {
	parts := make([]string, len(t.Keys))
	for i, field := range t.Keys {
		parts[i] = r.Text(field)
	}
	return strings.Join(parts, "/")
}

// passing are columns that differ because time passes, or because nothing is known of them in
// the past: prices are not in the log.
func passing(name string) bool {
	return slices.Contains([]string{"price", "sum", "percent", "remaining", "time_left", "asset_value"}, name)
}

// differingRows is a table of the rows that one of two moments has and the other has not, or
// has otherwise.
func (v *visit) differingRows(t *tab, l list, earlier, later []row, c *compared) *table {
	var columns []column
	for _, one := range l.Columns {
		if !passing(one.Name) {
			columns = append(columns, one)
		}
	}
	before := make(map[string]row, len(earlier))
	for _, r := range earlier {
		before[t.keyOf(r)] = r
	}
	shown := &table{ID: "compared", Caption: v.T("list.compared"), Empty: v.T("list.compared-empty"), Headings: append([]heading{{Text: v.T("column.change")}}, v.headings(columns)...)}
	add := func(kind string, cells []cell) {
		if len(shown.Lines) >= comparedLines {
			c.Cut = true
			return
		}
		shown.Lines = append(shown.Lines, line{Class: kind, Cells: append([]cell{{Text: v.Word(kind), Badge: map[string]string{"added": "good", "changed": "warn", "removed": "bad"}[kind]}}, cells...)})
	}
	for _, r := range later {
		key := t.keyOf(r)
		old, known := before[key]
		delete(before, key)
		cells := v.cells(columns, r)
		switch {
		case !known:
			c.Added++
			add("added", cells)
		case differ(cells, v.cells(columns, old)):
			c.Changed++
			add("changed", fromTo(v, v.cells(columns, old), cells))
		}
	}
	for _, r := range earlier {
		if _, gone := before[t.keyOf(r)]; gone {
			c.Removed++
			add("removed", v.cells(columns, r))
		}
	}
	return shown
}

// differ tells whether one of the cells says something else.
func differ(a, b []cell) bool {
	return !slices.EqualFunc(a, b, func(a, b cell) bool { return a.Text == b.Text && a.HTML == b.HTML })
}

// fromTo are cells that say what there was, and what there is.
func fromTo(v *visit, before, after []cell) []cell {
	made := slices.Clone(after)
	for i := range made {
		if before[i].Text != after[i].Text {
			made[i] = cell{Text: v.T("viewer.from-to", "Before", cmp.Or(before[i].Text, "–"), "After", cmp.Or(after[i].Text, "–")), Class: after[i].Class}
		}
	}
	return made
}

// differingFacts is a table of the values that two moments do not have in common.
func (v *visit) differingFacts(t *tab, before, after row) *table {
	shown := &table{ID: "compared-values", Caption: v.T("list.compared-values"), Empty: v.T("list.compared-empty"), Headings: []heading{{Text: v.T("column.value")}, {Text: v.T("column.before")}, {Text: v.T("column.after")}}}
	for _, c := range t.Facts {
		was, is := v.cell(c, before), v.cell(c, after)
		if was.Text != is.Text || was.HTML != is.HTML {
			shown.Lines = append(shown.Lines, line{Cells: []cell{{Text: v.T("column." + c.Name)}, {Text: was.Text, HTML: was.HTML}, {Text: is.Text, HTML: is.HTML}}})
		}
	}
	return shown
}

// story is a list of things that happened, one after the other.
type story struct {
	Title   string
	Items   []happening
	Filters *filterForm
	ID      string
	Empty   string
	Next    string
	First   string
}

// happening is one of them.
type happening struct {
	At, Class, Kind, Badge, Words, Section, Href string
	// Event leads to the event that it rests on, for those who may see events.
	Event string
	// Amount is by how much a wallet changed.
	Amount string
	// Notes are what else there is to say, each a sentence.
	Notes []string
	Table *table
}

// event leads to an event, if who looks may see events.
func (v *visit) event(id string) string {
	if id == "" || !v.Me.May("events.read") {
		return ""
	}
	return "/events/" + url.PathEscape(id)
}

// orderFilter chooses what comes first of what happened.
func orderFilter() filter {
	return filter{Name: "order", Any: "filter.newest", Options: words("oldest")}
}

// changesList is how the changes of a section are asked for.
func changesList(base, section string) list {
	return list{
		ID: "changes", Path: base + "/" + section + "/changes", Limit: 25,
		Filters: []filter{{Name: "since", Kind: "datetime"}, {Name: "until", Kind: "datetime"}, orderFilter()},
		Columns: []column{{Name: "changed_at", Field: "observed_at", Kind: kindTime}},
	}
}

// sectionChanges shows what changed in a section, event by event.
func (s *Site) sectionChanges(section string) func(*visit) error {
	return func(v *visit) error {
		l := changesList(apiOf(v.path("id")), section)
		query := v.queryOf(l)
		if format := v.param("format"); format != "" {
			return v.file(l.Path, query, format, section+"-changes")
		}
		content := &asked{path: l.Path, query: query}
		d, err := v.frame(section, content)
		if err != nil {
			return err
		}
		if content.err != nil && !errors.As(content.err, &d.Problem) {
			return content.err
		}
		t := v.tableOf(l, content.got)
		d.Past = nil
		told := story{Title: v.T("viewer.changes-of", "Section", v.T("section."+section)), ID: t.ID, Filters: t.Filters, Empty: v.T("list.changes-empty"), Next: t.Next, First: t.First}
		for _, r := range content.got.Rows("items") {
			told.Items = append(told.Items, v.changeOf(tabOf(section), r))
		}
		d.Extra = told
		return v.showTo(d.status(), "told", told.Title, d)
	}
}

// changeOf tells what one event changed of a section.
func (v *visit) changeOf(t *tab, r row) happening {
	h := happening{At: r.Text("observed_at"), Class: "observed", Event: v.event(r.Text("event_id"))}
	if r.Bool("first") {
		h.Words = v.T("viewer.first-reading", "Rows", v.Number(r.Text("added_count")))
		return h
	}
	var counts []string
	for _, kind := range []string{"added", "changed", "removed"} {
		if r.Int(kind+"_count") > 0 {
			counts = append(counts, v.T("viewer.count", "Rows", v.Number(r.Text(kind+"_count")), "Change", v.Word(kind)))
		}
	}
	h.Words = strings.Join(counts, ", ")
	shown := &table{ID: "change-" + r.Text("offset"), Caption: h.Words, Headings: []heading{{Text: v.T("column.change")}, {Text: v.T("column.what")}, {Text: v.T("column.value")}, {Text: v.T("column.before")}, {Text: v.T("column.after")}}}
	if value := r.Row("value"); value != nil {
		h.Words = v.T("viewer.value-changed")
		shown.Caption = h.Words
		v.addValue(shown, t, value)
	}
	for _, kind := range []string{"added", "removed"} {
		for _, item := range r.Rows(kind) {
			label := v.labelOf(t, item.Row("item"))
			shown.Lines = append(shown.Lines, line{Class: kind, Cells: []cell{changeBadge(v, kind), {Text: cmp.Or(label, item.Text("key")), Span: 4}}})
		}
	}
	for _, item := range r.Rows("changed") {
		v.addFields(shown, "changed", cmp.Or(v.labelOf(t, item.Row("after")), item.Text("key")), item)
	}
	if len(shown.Lines) > noted {
		h.Table = shown
		return h
	}
	for _, l := range shown.Lines {
		h.Notes = append(h.Notes, v.noteOf(l))
	}
	return h
}

// noted is how many details of a change are told as sentences; more are a table.
const noted = 5

// noteOf tells a detail of a change as a sentence.
func (v *visit) noteOf(l line) string {
	note := cmp.Or(l.Cells[1].Text, l.Cells[0].Text)
	if len(l.Cells) < fieldCells {
		return v.T("story.note", "What", l.Cells[0].Text, "Note", note)
	}
	if l.Cells[1].Text == "" {
		note = l.Cells[2].Text
	} else {
		note = v.T("story.note", "What", note, "Note", l.Cells[2].Text)
	}
	if l.Cells[3].Text == "" && l.Cells[4].Text == "" {
		return note
	}
	return v.T("story.note", "What", note, "Note", v.T("viewer.from-to", "Before", cmp.Or(l.Cells[3].Text, "–"), "After", cmp.Or(l.Cells[4].Text, "–")))
}

// fieldCells is how many cells a line has that is about a field.
const fieldCells = 5

// addValue adds a line for each value that changed of what a section says beside its lists.
func (v *visit) addValue(shown *table, t *tab, changed row) {
	if t != nil {
		for _, one := range v.differingFacts(t, changed.Row("before"), changed.Row("after")).Lines {
			shown.Lines = append(shown.Lines, line{Cells: append([]cell{changeBadge(v, "changed"), {}}, one.Cells...)})
		}
	}
	if len(shown.Lines) == 0 {
		v.addFields(shown, "changed", "", changed)
	}
}

func changeBadge(v *visit, kind string) cell {
	return cell{Text: v.Word(kind), Badge: map[string]string{"added": "good", "changed": "warn", "removed": "bad"}[kind]}
}

// addFields adds a line for each field that changed, by ESI's names. Where there is a name
// beside an id, it is the name that is told.
func (v *visit) addFields(t *table, kind, label string, changed row) {
	before, after := changed.Row("before"), changed.Row("after")
	fields := changed.Texts("fields")
	for name := range after {
		added := strings.HasSuffix(name, "_name") || strings.HasSuffix(name, "_plain") || strings.HasSuffix(name, "_html")
		if len(changed.Texts("fields")) == 0 && !added && v.fieldOf(before, name) != v.fieldOf(after, name) {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	for _, field := range fields {
		t.Lines = append(t.Lines, line{Cells: []cell{
			changeBadge(v, kind), {Text: label}, {Text: strings.ReplaceAll(field, "_", " ")}, {Text: v.fieldOf(before, field)}, {Text: v.fieldOf(after, field)},
		}})
	}
}

// fieldOf is the text of a field: its name rather than its id, a time or a number as they are
// written.
func (v *visit) fieldOf(r row, field string) string {
	for _, better := range []string{strings.TrimSuffix(field, "_id") + "_name", field + "_name", field + "_plain"} {
		if text := r.Text(better); text != "" {
			return text
		}
	}
	switch value := r[field].(type) {
	case nil:
		return ""
	case json.Number:
		if strings.HasSuffix(field, "_id") {
			return value.String()
		}
		return v.Number(value)
	case string:
		if _, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return v.Time(value)
		}
		return value
	case bool:
		if value {
			return v.T("word.yes")
		}
		return v.T("word.no")
	default:
		text, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		return string(text)
	}
}

// labelled is how many columns a row is called by.
const labelled = 4

// labelOf is what a row is called: what its first columns say.
func (v *visit) labelOf(t *tab, r row) string {
	if t == nil || r == nil {
		return ""
	}
	var parts []string
	for _, c := range t.List.Columns {
		if text := v.cell(c, r).Text; text != "" && len(parts) < labelled {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " · ")
}
