package web

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// chart is figures as a picture, and the table beneath that it is drawn from, as the
// template "chart" shows them.
type chart struct {
	// Kind is lines or bars.
	Kind string
	// Label says what the figures are, Caption what the picture shows.
	Label, Caption string
	// Zone is the time zone of the axis; empty for UTC.
	Zone     string
	Headings []heading
	Lines    []line
	// Note says what is not drawn.
	Note string
}

// sums says what becomes of a measure over several intervals or groups.
type sums int

const (
	// added is what adds up, such as an income.
	added sums = iota
	// atItsEnd is how something stood at the end, such as a balance: the last one counts.
	atItsEnd
	// apart is what says something of one interval alone, such as a median.
	apart
)

// measure is a figure of an analytics answer.
type measure struct {
	// Name is the API's field; the heading is "measure.<Name>" of the catalogue.
	Name string
	Kind kind
	Over sums
}

// group is what figures belong to: the items of an analytics answer that are alike in what
// they are grouped by.
type group struct {
	// Key tells groups apart. IDs are what stands in the fields that they are grouped by.
	Key   string
	IDs   []string
	Items []row
}

// groupsOf sorts the items of an answer into groups, in the order in which they come.
func groupsOf(items []row, fields []string) []*group {
	var groups []*group
	by := map[string]*group{}
	for _, item := range items {
		ids := make([]string, len(fields))
		for i, field := range fields {
			ids[i] = item.Text(field)
		}
		key := strings.Join(ids, "\x00")
		g := by[key]
		if g == nil {
			g = &group{Key: key, IDs: ids}
			by[key] = g
			groups = append(groups, g)
		}
		g.Items = append(g.Items, item)
	}
	return groups
}

// number reads a decimal number exactly; false for what is none.
func number(text string) (*big.Rat, bool) {
	if text == "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// decimal writes a number as the API does: whole ones without a comma, others with two digits.
func decimal(n *big.Rat, k kind) string {
	if k == kindISK {
		return n.FloatString(2)
	}
	if n.IsInt() {
		return n.Num().String()
	}
	return n.FloatString(2)
}

// over is what a measure comes to over all intervals of a group; empty if that says nothing.
func (m measure) over(items []row) string {
	switch m.Over {
	case added:
		total := new(big.Rat)
		for _, item := range items {
			if n, ok := number(item.Text(m.Name)); ok {
				total.Add(total, n)
			}
		}
		return decimal(total, m.Kind)
	case atItsEnd:
		for _, item := range slices.Backward(items) {
			if text := item.Text(m.Name); text != "" {
				return text
			}
		}
		return ""
	case apart:
		return ""
	default:
		return ""
	}
}

// weight is how much a group counts for when the largest are looked for.
func (m measure) weight(g *group) *big.Rat {
	total := new(big.Rat)
	for _, item := range g.Items {
		if n, ok := number(item.Text(m.Name)); ok {
			if m.Over == atItsEnd {
				total.Abs(n)
			} else {
				total.Add(total, new(big.Rat).Abs(n))
			}
		}
	}
	return total
}

// largest puts groups in order by a measure, the largest first.
func largest(groups []*group, m measure) []*group {
	weights := make(map[string]*big.Rat, len(groups))
	for _, g := range groups {
		weights[g.Key] = m.weight(g)
	}
	sorted := slices.Clone(groups)
	slices.SortStableFunc(sorted, func(a, b *group) int {
		return cmp.Or(weights[b.Key].Cmp(weights[a.Key]), strings.Compare(a.Key, b.Key))
	})
	return sorted
}

// maxSeries is how many lines a chart has at most: more cannot be told apart.
const maxSeries = 8

// period names an interval by its beginning, in the calendar that was asked for.
func period(start, interval string, zone *time.Location) string {
	at, ok := moment(start)
	if !ok {
		return start
	}
	at = at.In(zone)
	switch interval {
	case "hour":
		return at.Format(timeFormat)
	case "month":
		return at.Format("2006-01")
	case "quarter":
		return at.Format("2006") + " Q" + strconv.Itoa(int(at.Month()+2)/3)
	case "year":
		return at.Format("2006")
	default:
		return at.Format(dayFormat)
	}
}

// when is the cell of an interval's beginning.
func when(item row, interval string, zone *time.Location) cell {
	return cell{Text: period(item.Text("start"), interval, zone), Time: item.Text("start"), Class: "when"}
}

// chartOfMeasures draws several measures of figures that are not grouped.
func (v *visit) chartOfMeasures(caption, kind string, answered row, zone *time.Location, measures []measure) *chart {
	c := &chart{Kind: kind, Label: caption, Caption: caption, Zone: zone.String(), Headings: []heading{{Text: v.T("figures.period")}}}
	for _, m := range measures {
		c.Headings = append(c.Headings, heading{Text: v.T("measure." + m.Name), Class: "num"})
	}
	for _, item := range answered.Rows("items") {
		one := line{Cells: []cell{when(item, answered.Text("interval"), zone)}}
		for _, m := range measures {
			one.Cells = append(one.Cells, v.figure(m, item.Text(m.Name)))
		}
		c.Lines = append(c.Lines, one)
	}
	return c
}

// together adds a measure of several groups up, by the beginnings of intervals.
func (m measure) together(groups []*group) map[string]*big.Rat {
	totals := map[string]*big.Rat{}
	for _, g := range groups {
		for _, item := range g.Items {
			n, ok := number(item.Text(m.Name))
			if !ok {
				continue
			}
			start := item.Text("start")
			if totals[start] == nil {
				totals[start] = new(big.Rat)
			}
			totals[start].Add(totals[start], n)
		}
	}
	return totals
}

// chartOfGroups draws one measure of figures that are grouped: the largest groups each by
// itself, the others together if they can be added up.
func (v *visit) chartOfGroups(answered row, zone *time.Location, m measure, sorted []*group, name func(*group) string) *chart {
	caption := v.T("measure." + m.Name)
	c := &chart{Kind: "lines", Label: caption, Caption: caption, Zone: zone.String(), Headings: []heading{{Text: v.T("figures.period")}}}
	shown, rest := sorted, []*group(nil)
	if len(sorted) > maxSeries {
		shown, rest = sorted[:maxSeries], sorted[maxSeries:]
	}
	byStart := make([]map[string]string, len(shown))
	starts := map[string]row{}
	for i, g := range shown {
		c.Headings = append(c.Headings, heading{Text: name(g), Class: "num"})
		byStart[i] = make(map[string]string, len(g.Items))
		for _, item := range g.Items {
			byStart[i][item.Text("start")] = item.Text(m.Name)
			starts[item.Text("start")] = item
		}
	}
	others := map[string]*big.Rat{}
	switch {
	case len(rest) > 0 && m.Over == added:
		c.Headings = append(c.Headings, heading{Text: v.T("figures.others", "Count", len(rest)), Class: "num"})
		others = m.together(rest)
	case len(rest) > 0:
		c.Note = v.T("figures.not-drawn", "Count", len(rest))
	}
	order := make([]string, 0, len(starts))
	for start := range starts {
		order = append(order, start)
	}
	slices.Sort(order)
	for _, start := range order {
		one := line{Cells: []cell{when(starts[start], answered.Text("interval"), zone)}}
		for i := range shown {
			one.Cells = append(one.Cells, v.figure(m, byStart[i][start]))
		}
		if len(rest) > 0 && m.Over == added {
			n := others[start]
			if n == nil {
				n = new(big.Rat)
			}
			one.Cells = append(one.Cells, v.figure(m, decimal(n, m.Kind)))
		}
		c.Lines = append(c.Lines, one)
	}
	return c
}

// figure is the cell of a measure.
func (v *visit) figure(m measure, text string) cell {
	made := cell{Class: "num", Value: text}
	switch {
	case text == "":
		made.Text = "–"
		if m.Over == atItsEnd {
			made.Title = v.T("figures.unknown")
		}
	case m.Kind == kindISK:
		made.Text = v.ISK(text)
	case m.Kind == kindSpan:
		made.Text = v.Span(time.Duration(row{"s": text}.Int("s")) * time.Second)
	default:
		made.Text = v.Number(text)
	}
	if strings.HasPrefix(text, "-") {
		made.Class += " negative"
	}
	return made
}
