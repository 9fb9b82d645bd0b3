//go:build linux

package main

import (
	"cmp"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"github.com/muster-sync/muster/internal/simulate/year"
)

// yearNames are the fields of groups by what they are grouped by.
func yearNames() map[string]string {
	return map[string]string{
		"character": "character_id", "corporation": "corporation_id", "type": "type_id", "location": "location_id", "solar_system": "solar_system_id",
		"counterparty": "counterparty_id", "status": "status", "role": "role", "outcome": "outcome", "ship_type": "ship_type_id", "direction": "direction",
		"sender": "sender_id", "section": "section", "class": "class", "kind": "type", "viewer": "viewer", "owner": "owner", "way": "way", "cause": "cause",
	}
}

// yearAsk is a question about figures that are made of facts which are kept.
type yearAsk struct {
	path string
	r    *yearRange
	by   []string
	more url.Values

	characters, corporations, types, places, others yearFilter[int64]
}

// question puts the question into words.
func (a *yearAsk) question(names map[string]string, want []string) yearQuestion {
	v := a.r.values()
	if len(a.by) > 0 {
		v.Set("group_by", strings.Join(a.by, ","))
	}
	a.characters.set(v, "character_id")
	a.corporations.set(v, "corporation_id")
	a.types.set(v, names["types"])
	a.places.set(v, names["places"])
	a.others.set(v, names["others"])
	maps.Copy(v, a.more)
	return yearQuestion{path: a.path + "?" + v.Encode(), want: want}
}

// yearTrade is a trade with what was sold had cost.
type yearTrade struct {
	year.Trade

	known         int64
	fifo, average big.Int
}

// yearHold is what a character has of a type: purchases that are left, oldest first, and
// what all of it cost by the average.
type yearHold struct {
	lots  [][2]int64
	cost  big.Int
	count int64
}

// yearMarket knows all trades.
type yearMarket struct {
	trades []yearTrade
	holds  map[[2]int64]*yearHold
}

// trade takes a trade; they come in order for each character.
func (m *yearMarket) trade(t *year.Trade) {
	m.trades = append(m.trades, yearTrade{Trade: *t})
	if !t.Readable {
		return
	}
	key := [2]int64{t.Character, t.Type}
	h := m.holds[key]
	if h == nil {
		h = &yearHold{}
		m.holds[key] = h
	}
	if t.Buy {
		h.lots = append(h.lots, [2]int64{t.Quantity, t.Price})
		h.count += t.Quantity
		h.cost.Add(&h.cost, times(t.Quantity, t.Price))
		return
	}
	h.sell(&m.trades[len(m.trades)-1])
}

func times(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }

// sell takes what is sold out of what is there.
func (h *yearHold) sell(t *yearTrade) {
	t.known = min(t.Quantity, h.count)
	for left := t.known; left > 0; {
		n := min(left, h.lots[0][0])
		t.fifo.Add(&t.fifo, times(n, h.lots[0][1]))
		left -= n
		if h.lots[0][0] -= n; h.lots[0][0] == 0 {
			h.lots = h.lots[1:]
		}
	}
	if t.known == 0 {
		return
	}
	// A share of the cost, rounded to hundredths, halves up.
	share, rest := new(big.Int).QuoRem(new(big.Int).Mul(&h.cost, big.NewInt(t.known)), big.NewInt(h.count), new(big.Int))
	if rest.Lsh(rest, 1).Cmp(big.NewInt(h.count)) >= 0 {
		share.Add(share, big.NewInt(1))
	}
	t.average.Set(share)
	h.cost.Sub(&h.cost, share)
	h.count -= t.known
}

// yearMarketSums are big, for what they hold may not fit.
type yearMarketSums struct {
	trades, unreadable, bought, sold, known           int64
	boughtValue, soldValue, knownValue, fifo, average big.Int
}

func (m *yearMarket) ask(a *yearAsk, stays yearStays) yearQuestion {
	table := newYearTable[yearMarketSums](a.r, a.by)
	for i := range m.trades {
		t := &m.trades[i]
		at := t.At.UnixMilli()
		if !a.r.within(at) || !a.characters.passes(t.Character) || !a.types.passes(t.Type) || !a.places.passes(t.Location) {
			continue
		}
		corporation := stays.at(t.Character, at)
		if !a.corporations.passes(corporation) {
			continue
		}
		s := &table.of(yearFields{"character": t.Character, "corporation": corporation, "type": t.Type, "location": t.Location})[a.r.period(at)]
		switch {
		case !t.Readable:
			s.unreadable++
		case t.Buy:
			s.trades++
			s.bought += t.Quantity
			s.boughtValue.Add(&s.boughtValue, times(t.Quantity, t.Price))
		default:
			s.trades++
			s.sold += t.Quantity
			s.known += t.known
			s.soldValue.Add(&s.soldValue, times(t.Quantity, t.Price))
			s.knownValue.Add(&s.knownValue, times(t.known, t.Price))
			s.fifo.Add(&s.fifo, &t.fifo)
			s.average.Add(&s.average, &t.average)
		}
	}
	isk := func(v *big.Int) string { return yearISK(v.Int64()) }
	less := func(a, b *big.Int) string { return yearISK(new(big.Int).Sub(a, b).Int64()) }
	return a.question(map[string]string{"types": "type_id", "places": "location_id"}, table.lines(yearNames(), func(s *yearMarketSums) yearFields {
		return yearFields{
			"trades": s.trades, "unreadable": s.unreadable, "bought_quantity": s.bought, "bought_value": isk(&s.boughtValue), "sold_quantity": s.sold, "sold_value": isk(&s.soldValue),
			"known_quantity": s.known, "unknown_quantity": s.sold - s.known, "known_value": isk(&s.knownValue), "cost_fifo": isk(&s.fifo), "profit_fifo": less(&s.knownValue, &s.fifo),
			"cost_average": isk(&s.average), "profit_average": less(&s.knownValue, &s.average),
		}
	}))
}

// yearPrices are the prices of types in hundredths; the last type has none.
func yearPrices() map[int64]int64 {
	prices := map[int64]int64{}
	for i := range int64(year.Types - 1) {
		prices[year.FirstType+i] = 1_007 + i*i*733
	}
	return prices
}

func yearMining(a *yearAsk, mined []year.Mined, stays yearStays) yearQuestion {
	type sums struct{ quantity, value, unpriced int64 }
	table := newYearTable[sums](a.r, a.by)
	prices := yearPrices()
	for _, m := range mined {
		at := m.Day.UnixMilli()
		corporation := stays.at(m.Character, at)
		if !a.r.within(at) || !a.characters.passes(m.Character) || !a.types.passes(m.Type) || !a.places.passes(m.System) || !a.corporations.passes(corporation) {
			continue
		}
		s := &table.of(yearFields{"character": m.Character, "corporation": corporation, "type": m.Type, "solar_system": m.System})[a.r.period(at)]
		s.quantity += m.Quantity
		if price, known := prices[m.Type]; known {
			s.value += price * m.Quantity
		} else {
			s.unpriced += m.Quantity
		}
	}
	q := a.question(map[string]string{"types": "type_id", "places": "solar_system_id"}, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{"quantity": s.quantity, "value": yearISK(s.value), "unpriced_quantity": s.unpriced}
	}))
	q.path = strings.Replace(q.path, "&tz=UTC", "", 1)
	return q
}

func yearSkillPoints(a *yearAsk, points []year.Points, stays yearStays) yearQuestion {
	type sums struct {
		characters, total, unallocated, gained int64
	}
	table := newYearTable[sums](a.r, a.by)
	of := map[int64][]year.Points{}
	for _, p := range points {
		of[p.Character] = append(of[p.Character], p)
	}
	for id, list := range of {
		slices.SortFunc(list, func(a, b year.Points) int { return cmp.Compare(a.At.UnixMilli(), b.At.UnixMilli()) })
		// before is what was known at a moment.
		before := func(at int64) *year.Points {
			var known *year.Points
			for i := range list {
				if list[i].At.UnixMilli() < at {
					known = &list[i]
				}
			}
			return known
		}
		for i := range a.r.periods() {
			end := a.r.end(i)
			now, was := before(end), before(a.r.bounds[i])
			corporation := stays.at(id, end-1)
			if now == nil || !a.characters.passes(id) || !a.corporations.passes(corporation) {
				continue
			}
			s := &table.of(yearFields{"character": id, "corporation": corporation})[i]
			s.characters++
			s.total += now.Total
			s.unallocated += now.Unallocated
			if was != nil {
				s.gained += now.Total - was.Total
			}
		}
	}
	return a.question(nil, table.lines(yearNames(), func(s *sums) yearFields {
		f := yearFields{"characters": s.characters, "total": s.total, "unallocated": s.unallocated, "gained": s.gained}
		if s.characters == 0 {
			f["total"], f["unallocated"] = nil, nil
		}
		return f
	}))
}
