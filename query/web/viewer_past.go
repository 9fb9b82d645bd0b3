package web

import (
	"cmp"
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
	if err != nil && !worthShowing(err, &d.Problem) {
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
