//go:build linux

package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// yearRange is the time that a question is about. Its calendar is made out by walking
// through it, a quarter of an hour at a time.
type yearRange struct {
	from, to       time.Time
	interval, zone string
	// bounds are where intervals begin, and the end, in milliseconds.
	bounds []int64
}

func newYearRange(t testing.TB, from, to, interval, zone string) *yearRange {
	t.Helper()
	moment := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return at
	}
	r := &yearRange{from: moment(from), to: moment(to), interval: interval, zone: zone}
	where, err := time.LoadLocation(zone)
	require.NoError(t, err)
	const step = 15 * time.Minute
	r.bounds = []int64{r.from.UnixMilli()}
	for at := r.from.Truncate(step).Add(step); at.Before(r.to) && interval != ""; at = at.Add(step) {
		if page(at.In(where), interval) != page(at.Add(-time.Second).In(where), interval) {
			r.bounds = append(r.bounds, at.UnixMilli())
		}
	}
	r.bounds = append(r.bounds, r.to.UnixMilli())
	return r
}

// page names the page of a calendar that a moment is on.
func page(at time.Time, interval string) string {
	switch interval {
	case "hour":
		return at.Format("2006-01-02 15 -0700")
	case "day":
		return at.Format(time.DateOnly)
	case "week":
		for at.Weekday() != time.Monday {
			at = at.AddDate(0, 0, -1)
		}
		return at.Format(time.DateOnly)
	case "month":
		return at.Format("2006-01")
	case "quarter":
		return fmt.Sprint(at.Year(), (int(at.Month())+2)/3)
	default:
		return at.Format("2006")
	}
}

func (r *yearRange) periods() int { return len(r.bounds) - 1 }

// period is the number of the interval that a moment is in; -1 for one before the range,
// and the number of intervals for one after it.
func (r *yearRange) period(at int64) int {
	return sort.Search(len(r.bounds), func(i int) bool { return r.bounds[i] > at }) - 1
}

// within tells whether a moment is in the range.
func (r *yearRange) within(at int64) bool {
	return at >= r.bounds[0] && at < r.bounds[len(r.bounds)-1]
}

func (r *yearRange) end(period int) int64 { return r.bounds[period+1] }

// edges are the fields that say which interval it is.
func (r *yearRange) edges(period int) yearFields {
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	return yearFields{"start": at(r.bounds[period]), "end": at(r.bounds[period+1])}
}

// values are what the API is asked.
func (r *yearRange) values() url.Values {
	v := url.Values{"from": {r.from.Format(time.RFC3339)}, "to": {r.to.Format(time.RFC3339)}}
	if r.interval != "" {
		v.Set("interval", r.interval)
	}
	if r.zone != "" {
		v.Set("tz", r.zone)
	}
	return v
}

// yearFields are the fields of one figure.
type yearFields map[string]any

// and are the fields with others.
func (f yearFields) and(others yearFields) yearFields {
	all := maps.Clone(f)
	maps.Copy(all, others)
	return all
}

// line writes fields in an order of their own.
func (f yearFields) line() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(f)) {
		switch v := f[key].(type) {
		case nil:
			fmt.Fprintf(&b, "%s=null ", key)
		case *int64:
			if v == nil {
				fmt.Fprintf(&b, "%s=null ", key)
			} else {
				fmt.Fprintf(&b, "%s=%d ", key, *v)
			}
		default:
			fmt.Fprintf(&b, "%s=%v ", key, v)
		}
	}
	return b.String()
}

// yearISK is an amount of hundredths as the API writes it.
func yearISK(hundredths int64) string {
	sign := ""
	if hundredths < 0 {
		sign, hundredths = "-", -hundredths
	}
	return sign + strconv.FormatInt(hundredths/100, 10) + "." + strconv.Itoa(int(hundredths/10%10)) + strconv.Itoa(int(hundredths%10))
}

// yearQuestion is one that the API is asked, with what it has to answer.
type yearQuestion struct {
	path string
	// want are the items that must come, in any order; heads the other fields of the answer
	// that are looked at.
	want  []string
	heads yearFields
}

// yearFilter is a filter of a question; an empty one lets everything pass.
type yearFilter[T comparable] map[T]bool

func lettingPass[T comparable](values ...T) yearFilter[T] {
	f := yearFilter[T]{}
	for _, v := range values {
		f[v] = true
	}
	return f
}

func (f yearFilter[T]) passes(v T) bool { return len(f) == 0 || f[v] }

// set asks for the filter.
func (f yearFilter[T]) set(values url.Values, name string) {
	var texts []string
	for v := range f {
		texts = append(texts, fmt.Sprint(v))
	}
	slices.Sort(texts)
	if len(texts) > 0 {
		values.Set(name, strings.Join(texts, ","))
	}
}

// yearStays is where characters were since when, in milliseconds, in order.
type yearStays map[int64][]yearStay

type yearStay struct{ since, corporation int64 }

// at is the corporation of a character at a moment: before the first known one, that one.
func (s yearStays) at(character, at int64) int64 {
	corporation := int64(0)
	for i, stay := range s[character] {
		if i == 0 || stay.since <= at {
			corporation = stay.corporation
		}
	}
	return corporation
}

// rank is the percentile of values by nearest rank.
func yearRank(values []int64, percent int) *int64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	for i, v := range values {
		if 100*(i+1) >= percent*len(values) {
			return &v
		}
	}
	return nil
}

// yearMiddle are the lower one of the middle, and the mean.
func yearMiddle(values []int64) (median, mean *int64) {
	if len(values) == 0 {
		return nil, nil
	}
	sum := int64(0)
	for _, v := range values {
		sum += v
	}
	sum /= int64(len(values))
	return yearRank(values, 50), &sum
}

// yearTable gathers figures by group and interval. Without groups there is one of
// everything.
type yearTable[F any] struct {
	r  *yearRange
	by []string
	// cells are figures by the fields of the group, written out.
	cells  map[string][]F
	groups map[string]yearFields
}

func newYearTable[F any](r *yearRange, by []string) *yearTable[F] {
	t := &yearTable[F]{r: r, by: by, cells: map[string][]F{}, groups: map[string]yearFields{}}
	if len(by) == 0 {
		t.of(yearFields{})
	}
	return t
}

// of are the figures of the group that the fields belong to.
func (t *yearTable[F]) of(all yearFields) []F {
	group := yearFields{}
	for _, name := range t.by {
		group[name] = all[name]
	}
	key := group.line()
	if t.cells[key] == nil {
		t.cells[key], t.groups[key] = make([]F, t.r.periods()), group
	}
	return t.cells[key]
}

// lines are all figures; names are those of the fields of groups.
func (t *yearTable[F]) lines(names map[string]string, show func(f *F) yearFields) []string {
	var lines []string
	for key, cells := range t.cells {
		group := yearFields{}
		for by, value := range t.groups[key] {
			group[names[by]] = value
		}
		for i := range cells {
			lines = append(lines, group.and(t.r.edges(i)).and(show(&cells[i])).line())
		}
	}
	return lines
}
