package web

import (
	"cmp"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is how a value is shown.
type kind int

const (
	kindText kind = iota
	kindNumber
	kindISK
	kindTime
	kindDay
	kindPercent
	// kindBool is a mark for true, nothing for false.
	kindBool
	// kindWord is a value of a closed set, such as a status, in the reader's language.
	kindWord
	// kindBadge is a word with a colour that says whether it is good.
	kindBadge
	// kindHTML is text that the API has sanitised; see [column.Field].
	kindHTML
	// kindWords is a list of words.
	kindWords
	// kindSpan is how long something takes or took, in seconds.
	kindSpan
)

// column is one column of a list.
type column struct {
	// Name is the heading's text: "column.<Name>" of the catalogue.
	Name string
	// Field is where the value stands in a row, Else where it stands if there is none, such
	// as an id without a name. Of [kindHTML] it must be a field that ends in _html: the only
	// texts that the API vouches for.
	Field, Else string
	Kind        kind
	// Sort is what the API sorts by, if it can.
	Sort string
	// Href is where the value leads to; empty for nowhere.
	Href func(row) string
	// Cell makes the cell, if the other fields cannot say how.
	Cell func(*visit, row) cell
}

// cell is what stands in one place of a table.
type cell struct {
	Text, Title, Href, Class string
	// Badge is a colour: good, warn, bad, info or neutral.
	Badge string
	// Time is the machine's form of a time.
	Time string
	// Value is the number behind the text, for charts and for sorting.
	Value string
	HTML  template.HTML
	// Span is how many columns the cell takes, if more than one.
	Span int
}

// heading is a column as a template shows it.
type heading struct {
	Text, Class, Href, Sorted string
}

// line is one row of a table.
type line struct {
	Cells []cell
	Class string
	// ID is an anchor.
	ID string
}

// table is a list as a template shows it.
type table struct {
	ID, Caption string
	Headings    []heading
	Lines       []line
	Foot        []line
	// Empty is said instead of no lines.
	Empty string
	// Next and First are the addresses of other pages; empty for none.
	Next, First string
	// Downloads are the same as files.
	Downloads []navLink
	Filters   *filterForm
	// Sortable: the page has all lines, so that the browser may sort them.
	Sortable bool
	// Quiet: a heading says already what the table is; only screen readers need the caption.
	Quiet bool
	// Total is how many there are on all pages, if that is known.
	Total string
}

// filter is a field by which a list is filtered: a parameter of the API.
type filter struct {
	// Name is the parameter; its label is Label of the catalogue, "filter.<Name>" if that is empty.
	Name, Label string
	// Kind is the field's: text, number, date, month, datetime or, with Options, a choice.
	Kind    string
	Options func(*visit) []option
	// Any is the text of the choice that filters nothing; default "filter.any".
	Any string
	// Wide fields take more room.
	Wide bool
	// Match tells whether a row has the value, of a filter that the API does not have: it
	// is looked for in the rows of the page, which should be all.
	Match func(r row, value string) bool
	// Must fields always have one of the options: the first, if none is chosen.
	Must bool
}

// option is one choice of a filter.
type option struct {
	Value, Text string
	Chosen      bool
}

// filterForm is a list's filters as a template shows them.
type filterForm struct {
	Action, Target string
	Fields         []filterField
	Hidden         []option
	Active         bool
	Reset          string
}

type filterField struct {
	Name, Label, Kind, Value string
	Options                  []option
	Choice, Wide             bool
}

// list says how a list of the API is shown.
type list struct {
	// ID names the list: its caption is "list.<ID>" of the catalogue, what is said of no rows
	// "list.<ID>-empty" if there is such a text.
	ID string
	// Path is the API's, Query what is always asked.
	Path    string
	Query   url.Values
	Columns []column
	Filters []filter
	// Keep are parameters of the page that stay while it is filtered, such as as_of, and are
	// sent on to the API unless they begin with an underscore.
	Keep []string
	// Items is where the rows stand; default "items".
	Items string
	// Limit is how many rows a page has; default 100.
	Limit int
	// Class gives a line its class.
	Class func(row) string
	// Order sorts the rows of the page, if the API's order is not what a reader wants.
	Order func(a, b row) int
	// Lines makes lines of the rows, if there is more than one for each, such as groups.
	Lines func(*visit, []row) []line
	// NoFiles: the API has no CSV of it.
	NoFiles bool
	// Quiet: a heading says already what the table is.
	Quiet bool
}

// pageRows is how many rows a page of a list has.
const pageRows = 100

// list asks for a list, as the page's own parameters filter, sort and page it. What the API
// answered is returned beside it.
func (v *visit) list(l list) (*table, row, error) {
	query := v.queryOf(l)
	if format := v.param("format"); format != "" && !l.NoFiles {
		return nil, nil, v.file(l.Path, query, format, l.ID)
	}
	answered, err := v.get(l.Path, query)
	if err != nil {
		return nil, nil, err
	}
	return v.tableOf(l, answered), answered, nil
}

// queryOf is what a list asks the API for.
func (v *visit) queryOf(l list) url.Values {
	query := url.Values{}
	maps.Copy(query, l.Query)
	limit := l.Limit
	if limit == 0 {
		limit = pageRows
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	names := []string{"cursor"}
	for _, f := range l.Filters {
		if f.Match == nil {
			names = append(names, f.Name)
		}
	}
	for _, name := range l.Keep {
		if !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
	}
	for _, c := range l.Columns {
		if c.Sort != "" {
			names = append(names, "sort")
			break
		}
	}
	for _, name := range names {
		value := v.param(name)
		if value == "" {
			continue
		}
		for _, f := range l.Filters {
			if f.Name == name && (f.Kind == "datetime" || f.Kind == "time" || f.Kind == "date") {
				value = instant(value)
			}
		}
		if name == "as_of" {
			value = instant(value)
		}
		query.Set(name, value)
	}
	return query
}

// instant makes the API's form of what a browser's field for a time has: a day, or a minute,
// in UTC. Anything else stays as it is, for the API to refuse.
func instant(text string) string {
	switch len(text) {
	case len("2006-01-02"):
		return text + "T00:00:00Z"
	case len("2006-01-02T15:04"):
		return text + ":00Z"
	case len("2006-01-02T15:04:05"):
		return text + "Z"
	default:
		return text
	}
}

// tableOf makes a table of what the API answered.
func (v *visit) tableOf(l list, answered row) *table {
	items := l.Items
	if items == "" {
		items = "items"
	}
	rows, files := v.matching(l, answered.Rows(items))
	t := &table{ID: l.ID, Caption: v.T("list." + l.ID), Headings: v.headings(l.Columns), Quiet: l.Quiet}
	if t.Empty = v.T("list." + l.ID + "-empty"); strings.HasPrefix(t.Empty, "list.") {
		t.Empty = v.T("list.empty")
	}
	if l.Lines != nil {
		t.Lines = l.Lines(v, rows)
	} else {
		for _, r := range rows {
			one := line{Cells: v.cells(l.Columns, r)}
			if l.Class != nil {
				one.Class = l.Class(r)
			}
			t.Lines = append(t.Lines, one)
		}
	}
	if next := answered.Text("next_cursor"); next != "" {
		t.Next = v.address("cursor", next)
	}
	if v.param("cursor") != "" {
		t.First = v.address("cursor", "")
	}
	t.Sortable = t.Next == "" && t.First == "" && l.Lines == nil && len(rows) > 1
	if answered.Has("total") {
		t.Total = v.Number(answered.Text("total"))
	}
	if !l.NoFiles && len(rows) > 0 {
		for _, format := range []struct{ text, name string }{{"CSV", "csv"}, {"Parquet", "parquet"}} {
			t.Downloads = append(t.Downloads, navLink{Text: format.text, Href: v.address(append(files, "format", format.name)...)})
		}
	}
	t.Filters = v.form(l)
	return t
}

// matching are the rows that the filters let through which the API does not have, in the
// list's order, and what takes these filters out of an address.
func (v *visit) matching(l list, rows []row) (matching []row, without []string) {
	for _, f := range l.Filters {
		value := v.param(f.Name)
		if f.Match == nil || value == "" {
			continue
		}
		without = append(without, f.Name, "")
		rows = slices.DeleteFunc(rows, func(r row) bool { return !f.Match(r, value) })
	}
	if l.Order != nil {
		slices.SortStableFunc(rows, l.Order)
	}
	return rows, without
}

// headings are those of columns, with links that sort where the API can.
func (v *visit) headings(columns []column) []heading {
	headings := make([]heading, 0, len(columns))
	for _, c := range columns {
		h := heading{Class: c.Kind.class()}
		if c.Name != "" {
			h.Text = v.T("column." + c.Name)
		}
		if c.Sort != "" {
			h.Href = v.address("sort", c.Sort, "cursor", "")
			switch v.param("sort") {
			case c.Sort:
				h.Sorted, h.Href = "ascending", v.address("sort", "-"+c.Sort, "cursor", "")
			case "-" + c.Sort:
				h.Sorted, h.Href = "descending", v.address("sort", "", "cursor", "")
			}
		}
		headings = append(headings, h)
	}
	return headings
}

// class is how cells of the kind are aligned.
func (k kind) class() string {
	switch k {
	case kindNumber, kindISK, kindPercent, kindSpan:
		return "num"
	case kindTime, kindDay:
		return "when"
	default:
		return ""
	}
}

// cells are those of a row.
func (v *visit) cells(columns []column, r row) []cell {
	cells := make([]cell, 0, len(columns))
	for _, c := range columns {
		cells = append(cells, v.cell(c, r))
	}
	return cells
}

// cell is what a column has of a row.
func (v *visit) cell(c column, r row) cell {
	if c.Cell != nil {
		return c.Cell(v, r)
	}
	text := r.Text(c.Field)
	if text == "" && c.Else != "" {
		text = r.Text(c.Else)
	}
	made := cell{Class: c.Kind.class()}
	switch c.Kind {
	case kindNumber:
		made.Text, made.Value = v.Number(text), text
	case kindISK:
		made.Text, made.Value = v.ISK(text), text
		if strings.HasPrefix(text, "-") {
			made.Class += " negative"
		}
	case kindPercent:
		made.Text, made.Value = v.Percent(text), text
	case kindSpan:
		if text != "" {
			made.Text, made.Value = v.Span(time.Duration(r.Int(c.Field))*time.Second), text
		}
	case kindTime:
		made.Text, made.Time = v.Time(text), text
	case kindDay:
		made.Text, made.Time = v.Day(text), text
	case kindBool:
		if text == "true" {
			made.Text = v.T("word.yes")
		}
	case kindWord:
		made.Text = v.Word(text)
	case kindBadge:
		made.Text, made.Badge = v.Word(text), badgeOf(text)
	case kindHTML:
		if strings.HasSuffix(c.Field, "_html") {
			made.HTML = template.HTML(text) //nolint:gosec // the API has sanitised what ends in _html
		}
	case kindWords:
		var words []string
		for _, word := range r.Texts(c.Field) {
			words = append(words, v.Word(word))
		}
		made.Text = strings.Join(words, ", ")
	default:
		made.Text = text
	}
	if c.Href != nil && made.Text != "" {
		made.Href = c.Href(r)
	}
	return made
}

// badgeOf is the colour of a word: what is well is good, what needs somebody is bad.
func badgeOf(word string) string {
	switch strings.ToLower(word) {
	case "ok", "active", "compliant", "verified", "resolved", "passed", "met", "completed", "live", "true", "accounted_for", "success", "ready":
		return "good"
	case "incomplete", "in_progress", "partly", "limited_token", "pending", "disabled", "medium", "outstanding", "catching_up", "accepted", "not_yet", "parked":
		return "warn"
	case "failing", "error", "orphaned", "unregistered", "open", "failed", "high", "critical", "not_compliant", "not_met", "no_longer_met", "never_met", "differs", "gone", "false", "aborted":
		return "bad"
	case "low", "shared", "info":
		return "info"
	default:
		return "neutral"
	}
}

// address is the page's own with other parameters: pairs of a name and a value; empty ones
// are left out.
func (v *visit) address(pairs ...string) string {
	query := v.r.URL.Query()
	query.Del("done")
	query.Del("format")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			query.Del(pairs[i])
		} else {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	for name, values := range query {
		if len(values) == 1 && values[0] == "" {
			query.Del(name)
		}
	}
	if len(query) == 0 {
		return v.r.URL.Path
	}
	return v.r.URL.Path + "?" + query.Encode()
}

// form is a list's filters, with what is in them now.
func (v *visit) form(l list) *filterForm {
	if len(l.Filters) == 0 {
		return nil
	}
	f := &filterForm{Action: v.r.URL.Path, Target: "list-" + l.ID}
	reset := []string{"cursor", ""}
	for _, field := range l.Filters {
		label := field.Label
		if label == "" {
			label = "filter." + field.Name
		}
		shown := filterField{Name: field.Name, Label: v.T(label), Kind: field.Kind, Value: v.param(field.Name), Wide: field.Wide}
		if shown.Kind == "" {
			shown.Kind = "text"
		}
		if shown.Kind == "datetime" {
			shown.Kind = "datetime-local"
		}
		if field.Options != nil {
			shown.Choice = true
			shown.Options = v.options(field)
			for i := range shown.Options {
				shown.Options[i].Chosen = shown.Options[i].Value == shown.Value
			}
		}
		f.Active = f.Active || shown.Value != ""
		f.Fields = append(f.Fields, shown)
		reset = append(reset, field.Name, "")
	}
	for _, name := range append([]string{"sort"}, l.Keep...) {
		if value := v.param(name); value != "" {
			f.Hidden = append(f.Hidden, option{Value: value, Text: name})
		}
	}
	f.Reset = v.address(reset...)
	return f
}

// options are a filter's, with that of none before them unless it must have one.
func (v *visit) options(f filter) []option {
	if f.Must {
		return f.Options(v)
	}
	return append([]option{{Text: v.T(cmp.Or(f.Any, "filter.any"))}}, f.Options(v)...)
}

// words makes options of words in the reader's language.
func words(values ...string) func(*visit) []option {
	return func(v *visit) []option {
		options := make([]option, 0, len(values))
		for _, value := range values {
			options = append(options, option{Value: value, Text: v.Word(value)})
		}
		return options
	}
}

// yesNo are the options of a truth value.
func yesNo(v *visit) []option {
	return []option{{Value: "true", Text: v.T("word.yes")}, {Value: "false", Text: v.T("word.no")}}
}

// file answers with a list as a file, as the API makes it.
func (v *visit) file(path string, query url.Values, format, name string) error {
	media, ending := "text/csv", "csv"
	if format == "parquet" {
		media, ending = "application/vnd.apache.parquet", "parquet"
	}
	// Figures have no pages.
	if query.Has("limit") {
		query.Set("limit", "1000")
	}
	a, err := v.site.askFor(v.ctx(), v.r, http.MethodGet, path, query, nil, media)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", a.header.Get("Content-Type"))
	h.Set("Content-Disposition", `attachment; filename="`+name+"."+ending+`"`)
	h.Set("Cache-Control", "no-store")
	_, _ = v.w.Write(a.body.Bytes())
	return errAnswered
}
