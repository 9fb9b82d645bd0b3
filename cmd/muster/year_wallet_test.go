//go:build linux

package main

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/internal/simulate/year"
)

// yearFlows adds up journals for one question while the year is made: there are too many
// entries to keep them.
type yearFlows struct {
	r                                *yearRange
	by                               []string
	characters, corporations, others yearFilter[int64]
	refTypes                         yearFilter[string]
	// amounts keeps those of distributions.
	amounts bool

	stays yearStays
	cells map[yearFlow][]yearSums
	// journal and seen are the last balances of each character in each interval; what was
	// before the range is in the first.
	journal, seen map[int64][]*int64
}

// yearFlow is the group of an entry. Fields that are not grouped by are zero.
type yearFlow struct {
	character, corporation, other int64
	refType                       string
	expense                       bool
}

type yearSums struct {
	income, expense, tax, entries int64
	amounts                       []int64
}

func (f *yearFlows) grouped(by string) bool { return slices.Contains(f.by, by) }

// entry counts an entry.
func (f *yearFlows) entry(e *year.Entry) {
	at := e.At * 1000
	if !f.characters.passes(e.Character) || at >= f.r.bounds[len(f.r.bounds)-1] {
		return
	}
	period := f.r.period(at)
	if e.HasBalance && f.journal != nil {
		noteBalance(f.journal, e.Character, f.r.periods(), period, e.Balance)
	}
	if period < 0 || !f.refTypes.passes(e.RefType) || !f.others.passes(e.Counterparty) {
		return
	}
	var g yearFlow
	if f.grouped("corporation") || len(f.corporations) > 0 {
		corporation := f.stays.at(e.Character, at)
		if !f.corporations.passes(corporation) {
			return
		}
		if f.grouped("corporation") {
			g.corporation = corporation
		}
	}
	if f.grouped("character") {
		g.character = e.Character
	}
	if f.grouped("ref_type") {
		g.refType = e.RefType
	}
	if f.grouped("counterparty") {
		g.other = e.Counterparty
	}
	if f.grouped("direction") {
		g.expense = e.Amount < 0
	}
	cells := f.cells[g]
	if cells == nil {
		cells = make([]yearSums, f.r.periods())
		f.cells[g] = cells
	}
	s := &cells[period]
	s.income += max(e.Amount, 0)
	s.expense += max(-e.Amount, 0)
	s.tax += e.Tax
	s.entries++
	if f.amounts {
		s.amounts = append(s.amounts, max(e.Amount, -e.Amount))
	}
}

// noteBalance keeps the last balance of an interval.
func noteBalance(into map[int64][]*int64, character int64, periods, period int, balance int64) {
	if into[character] == nil {
		into[character] = make([]*int64, periods)
	}
	into[character][max(period, 0)] = &balance
}

// balance notes a balance that was seen.
func (f *yearFlows) balance(b *year.Balance) {
	if at := b.At.UnixMilli(); f.seen != nil && f.characters.passes(b.Character) && at < f.r.bounds[len(f.r.bounds)-1] {
		noteBalance(f.seen, b.Character, f.r.periods(), f.r.period(at), b.Amount)
	}
}

// group are the fields of a group.
func (f *yearFlows) group(g yearFlow) yearFields {
	fields := yearFields{}
	for _, by := range f.by {
		switch by {
		case "character":
			fields["character_id"] = g.character
		case "corporation":
			fields["corporation_id"] = g.corporation
		case "ref_type":
			fields["ref_type"] = g.refType
		case "counterparty":
			fields["counterparty_id"] = g.other
		case "direction":
			fields["direction"] = "income"
			if g.expense {
				fields["direction"] = "expense"
			}
		}
	}
	return fields
}

func (s *yearSums) fields() yearFields {
	return yearFields{"income": yearISK(s.income), "expense": yearISK(s.expense), "net": yearISK(s.income - s.expense), "tax": yearISK(s.tax), "entries": s.entries}
}

// closings are what the wallets of each group held at the end of each interval; nil where
// nothing was known yet.
func (f *yearFlows) closings() map[yearFlow][]*int64 {
	all := map[yearFlow][]*int64{}
	characters := map[int64]bool{}
	for id := range f.journal {
		characters[id] = true
	}
	for id := range f.seen {
		characters[id] = true
	}
	was := map[yearFlow]bool{}
	for period := range f.r.periods() {
		sums := map[yearFlow]int64{}
		for id := range characters {
			balance := last(f.journal[id], period)
			if balance == nil {
				balance = last(f.seen[id], period)
			}
			corporation := f.stays.at(id, f.r.end(period)-1)
			if balance == nil || !f.corporations.passes(corporation) {
				continue
			}
			var g yearFlow
			if f.grouped("character") {
				g.character = id
			}
			if f.grouped("corporation") {
				g.corporation = corporation
			}
			sums[g] += *balance
			was[g] = true
		}
		for g := range was {
			if all[g] == nil {
				all[g] = make([]*int64, f.r.periods())
			}
			sum := sums[g]
			all[g][period] = &sum
		}
	}
	return all
}

// last is the last balance until the end of an interval.
func last(balances []*int64, period int) *int64 {
	for i := min(period, len(balances)-1); i >= 0; i-- {
		if balances[i] != nil {
			return balances[i]
		}
	}
	return nil
}

// series are the figures by interval.
func (f *yearFlows) series() []string {
	if len(f.by) == 0 && f.cells[yearFlow{}] == nil {
		f.cells[yearFlow{}] = make([]yearSums, f.r.periods())
	}
	var closings map[yearFlow][]*int64
	if f.journal != nil {
		closings = f.closings()
	}
	for g := range closings {
		if f.cells[g] == nil {
			f.cells[g] = make([]yearSums, f.r.periods())
		}
	}
	var lines []string
	for g, cells := range f.cells {
		for i := range cells {
			closing := yearFields{"closing_balance": nil}
			if c := closings[g]; len(c) > i && c[i] != nil {
				closing["closing_balance"] = yearISK(*c[i])
			}
			lines = append(lines, f.group(g).and(f.r.edges(i)).and(cells[i].fields()).and(closing).line())
		}
	}
	return lines
}

// distribution are the percentiles of amounts.
func (f *yearFlows) distribution() []string {
	var lines []string
	for g, cells := range f.cells {
		amounts := cells[0].amounts
		rank := func(percent int) string { return yearISK(*yearRank(amounts, percent)) }
		sum := int64(0)
		for _, a := range amounts {
			sum += a
		}
		lines = append(lines, f.group(g).and(yearFields{
			"entries": len(amounts), "sum": yearISK(sum), "min": yearISK(slices.Min(amounts)), "max": yearISK(slices.Max(amounts)),
			"p25": rank(25), "median": rank(50), "p75": rank(75), "p95": rank(95),
		}).line())
	}
	return lines
}

// top are those that have the most of a measure, and the sums of all.
func (f *yearFlows) top(measure string, limit int) (lines []string, total yearFields) {
	of := func(s *yearSums) int64 {
		return map[string]int64{"income": s.income, "expense": s.expense, "net": s.income - s.expense, "tax": s.tax, "entries": s.entries}[measure]
	}
	var all yearSums
	var order []yearFlow
	for g, cells := range f.cells {
		s := &cells[0]
		all.income, all.expense, all.tax, all.entries = all.income+s.income, all.expense+s.expense, all.tax+s.tax, all.entries+s.entries
		if of(s) != 0 {
			order = append(order, g)
		}
	}
	slices.SortFunc(order, func(a, b yearFlow) int {
		return cmp.Or(cmp.Compare(of(&f.cells[b][0]), of(&f.cells[a][0])), cmp.Compare(a.character, b.character), cmp.Compare(a.corporation, b.corporation), strings.Compare(a.refType, b.refType), cmp.Compare(a.other, b.other))
	})
	for i, g := range order[:min(limit, len(order))] {
		lines = append(lines, f.group(g).and(f.cells[g][0].fields()).and(yearFields{"rank": i + 1}).line())
	}
	return lines, all.fields()
}

// against are the groups of two times held against each other.
func (f *yearFlows) against(before *yearFlows) []string {
	groups := map[yearFlow]bool{}
	for g := range f.cells {
		groups[g] = true
	}
	for g := range before.cells {
		groups[g] = true
	}
	of := func(f *yearFlows, g yearFlow) yearSums {
		if cells := f.cells[g]; cells != nil {
			return cells[0]
		}
		return yearSums{}
	}
	var lines []string
	for g := range groups {
		now, then := of(f, g), of(before, g)
		lines = append(lines, f.group(g).and(now.fields()).and(yearFields{
			"income_before": yearISK(then.income), "expense_before": yearISK(then.expense), "net_before": yearISK(then.income - then.expense), "tax_before": yearISK(then.tax), "entries_before": then.entries,
			"income_change": yearISK(now.income - then.income), "expense_change": yearISK(now.expense - then.expense), "net_change": yearISK(now.income - now.expense - then.income + then.expense), "tax_change": yearISK(now.tax - then.tax),
		}).line())
	}
	return lines
}

// ask asks for what the flows are of.
func (f *yearFlows) ask(path string, more url.Values) string {
	v := f.r.values()
	if len(f.by) > 0 {
		v.Set("group_by", strings.Join(f.by, ","))
	}
	f.characters.set(v, "character_id")
	f.corporations.set(v, "corporation_id")
	f.others.set(v, "counterparty_id")
	f.refTypes.set(v, "ref_type")
	maps.Copy(v, more)
	return path + "?" + v.Encode()
}

// yearWallets are all questions about wallets.
type yearWallets struct {
	stays yearStays
	flows []*yearFlows
	// answers are what each question is to be answered with, when the year is over.
	answers []func() yearQuestion
}

func (w *yearWallets) add(f *yearFlows) *yearFlows {
	f.stays, f.cells = w.stays, map[yearFlow][]yearSums{}
	w.flows = append(w.flows, f)
	return f
}

// series asks for figures by interval.
func (w *yearWallets) series(f *yearFlows) {
	w.add(f)
	if !f.grouped("ref_type") && !f.grouped("direction") && !f.grouped("counterparty") {
		f.journal, f.seen = map[int64][]*int64{}, map[int64][]*int64{}
	}
	w.answers = append(w.answers, func() yearQuestion {
		return yearQuestion{path: f.ask("/v1/analytics/wallet", nil), want: f.series()}
	})
}

func (w *yearWallets) top(f *yearFlows, measure string, limit int) {
	w.add(f)
	w.answers = append(w.answers, func() yearQuestion {
		lines, total := f.top(measure, limit)
		return yearQuestion{path: f.ask("/v1/analytics/wallet/top", url.Values{"measure": {measure}, "limit": {strconv.Itoa(limit)}}), want: lines, heads: yearFields{"total": total}}
	})
}

func (w *yearWallets) distribution(f *yearFlows) {
	w.add(f)
	f.amounts = true
	asked := f.by
	f.by = append(slices.Clone(f.by), "direction")
	w.answers = append(w.answers, func() yearQuestion {
		ask := *f
		ask.by = asked
		return yearQuestion{path: ask.ask("/v1/analytics/wallet/distribution", nil), want: f.distribution()}
	})
}

// comparison asks for a time against another, which before is about.
func (w *yearWallets) comparison(f, before *yearFlows, more url.Values) {
	w.add(f)
	w.add(before)
	w.answers = append(w.answers, func() yearQuestion {
		return yearQuestion{path: f.ask("/v1/analytics/wallet/comparison", more), want: f.against(before)}
	})
}
