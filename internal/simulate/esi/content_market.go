package esi

import (
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

func (w *world) transactionsOf(p *profile) series {
	return w.seriesOf(drawTransaction, p, true, min(p.transactions*w.activity, 20000), 30)
}

func (w *world) transactionsCount(id int64, at time.Time) int {
	p := w.profileOf(id)
	s := w.transactionsOf(&p)
	lo, hi := s.window(at, 30, 40000)
	return int(hi - lo + 1)
}

// appendTransactionsRange appends what was bought and sold, the newest first.
func (w *world) appendTransactionsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	p := w.profileOf(id)
	s := w.transactionsOf(&p)
	_, newest := s.window(at, 30, 40000)
	return appendRows(b, lo, hi, func(b []byte, i int) []byte {
		second := s.second(newest - int64(i))
		d := dice.New(w.seed, drawTransaction, uint64(id), uint64(second))
		location, _ := stationOrStructure(&d)
		kind := goodTypes[d.IntN(len(goodTypes))]
		odd := d.Uint64()
		b = appendInt(b, `{"client_id":`, w.anybody(&d))
		b = appendTime(b, `,"date":`, second)
		b = appendBool(b, `,"is_buy":`, odd>>8%2 == 0)
		b = appendBool(b, `,"is_personal":`, odd>>9%20 != 0)
		b = appendInt(b, `,"journal_ref_id":`, (second-idsBegin)*10000000+p.number%10000)
		b = appendInt(b, `,"location_id":`, location)
		b = appendInt(b, `,"quantity":`, 1+int64(odd>>16%1000))
		b = appendInt(b, `,"transaction_id":`, idAt(second, p.number))
		b = appendInt(b, `,"type_id":`, kind)
		b = appendMoney(b, `,"unit_price":`, w.priceOf(kind)*(0.9+d.Float()/5), odd>>32)
		return append(appendOdd(b, odd>>40), '}')
	})
}

// order is a market order. A character has a number of slots, in each of which
// one order follows another.
type order struct {
	id, issued, end       int64
	state                 string // empty if it was filled, which ESI does not tell
	kind, location, total int64
	remain                int64
	buy                   bool
	price                 float64
	days                  int64
	odd                   uint64
}

const orderHistoryDays = 90

// slotOf is the span of the orders of a slot, and the number of the one at a
// second.
func (w *world) slotOf(p *profile, slot int, second int64) (begin, every, version int64) {
	d := dice.New(w.seed, drawOrder, uint64(p.id), uint64(slot))
	every = 86400 * int64(max(10, (15+75*d.Float())/w.activity))
	phase := int64(d.Float() * float64(every))
	version = floorDiv(second+phase, every)
	return version*every - phase, every, version
}

// order makes an order as it is at a second, not after its end.
func (w *world) order(p *profile, slot int, begin, every, version, second int64, o *order) {
	d := dice.New(w.seed, drawOrder, uint64(p.id), uint64(slot), uint64(version))
	*o = order{
		id:     6_000_000_000 + (p.number*512+int64(slot))*1024 + version&1023,
		issued: begin, odd: d.Uint64(), days: [...]int64{1, 3, 7, 14, 30, 90, 90, 365}[d.IntN(8)],
	}
	o.kind = goodTypes[d.IntN(len(goodTypes))]
	o.location, _ = stationOrStructure(&d)
	o.buy = d.Chance(0.35)
	o.price = w.priceOf(o.kind) * (0.9 + d.Float()/5)
	o.total = 1 + int64(d.LogNormal(100, 2))
	share := 0.98
	switch f := d.Float(); {
	case f < 0.3:
		o.state = "expired"
	case f < 0.5:
		o.state, share = "cancelled", 0.4+d.Float()/2
	default:
		share = 0.6 + d.Float()/3
	}
	o.end = begin + int64(share*float64(every))
	// It is bought or sold bit by bit, and a last bit is left.
	sold := float64(min(second, o.end)-begin) / float64(every) * 16
	o.remain = max(1, o.total-o.total*int64(sold)/16)
}

func (o *order) append(b []byte, state bool) []byte {
	b = appendInt(b, `{"duration":`, o.days)
	if o.buy {
		b = appendMoney(b, `,"escrow":`, o.price*float64(o.remain), o.odd)
		b = append(b, `,"is_buy_order":true`...)
	}
	b = appendBool(b, `,"is_corporation":`, o.odd%31 == 0)
	b = appendTime(b, `,"issued":`, o.issued)
	b = appendInt(b, `,"location_id":`, o.location)
	if o.buy {
		b = append(b, `,"min_volume":1`...)
	}
	b = appendInt(b, `,"order_id":`, o.id)
	b = appendMoney(b, `,"price":`, o.price, o.odd>>8)
	reach := "region"
	if o.buy {
		reach = [...]string{"station", "solarsystem", "region", "1", "5", "10", "40"}[o.odd>>16%7]
	}
	b = appendPlain(b, `,"range":`, reach)
	b = appendInt(b, `,"region_id":`, 10000002)
	if state {
		b = appendPlain(b, `,"state":`, o.state)
	}
	b = appendInt(b, `,"type_id":`, o.kind)
	b = appendInt(b, `,"volume_remain":`, o.remain)
	b = appendInt(b, `,"volume_total":`, o.total)
	return append(appendOdd(b, o.odd>>32), '}')
}

// appendOrders appends the orders that are open.
func (w *world) appendOrders(b []byte, id int64, at time.Time) []byte {
	p := w.profileOf(id)
	now, first := at.Unix(), true
	var o order
	b = append(b, '[')
	for slot := range p.orders {
		begin, every, version := w.slotOf(&p, slot, now)
		if w.order(&p, slot, begin, every, version, now, &o); o.end <= now {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = o.append(b, false)
	}
	return append(b, ']')
}

// eachClosed calls f with the orders that expired or were cancelled lately.
func (w *world) eachClosed(id int64, at time.Time, f func(o *order)) {
	p := w.profileOf(id)
	now := at.Unix()
	var o order
	for slot := range p.orders {
		begin, every, version := w.slotOf(&p, slot, now)
		for begin+every > now-orderHistoryDays*86400 {
			w.order(&p, slot, begin, every, version, now, &o)
			if o.state != "" && o.end <= now && o.end > now-orderHistoryDays*86400 {
				f(&o)
			}
			begin, version = begin-every, version-1
		}
	}
}

func (w *world) orderHistoryCount(id int64, at time.Time) int {
	n := 0
	w.eachClosed(id, at, func(*order) { n++ })
	return n
}

func (w *world) appendOrderHistoryRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	n := 0
	b = append(b, '[')
	w.eachClosed(id, at, func(o *order) {
		if n >= lo && n < hi {
			if n > lo {
				b = append(b, ',')
			}
			b = o.append(b, true)
		}
		n++
	})
	return append(b, ']')
}
