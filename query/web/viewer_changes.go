package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

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
