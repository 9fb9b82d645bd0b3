package esi

import (
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// contract is a contract as it is once and for all; what has become of it by
// now follows from the time.
type contract struct {
	id, issued, expires   int64
	kind                  string
	issuer, assignee      int64
	issuerCorp            int64
	availability          string
	outcome               string // what it comes to in the end
	taken, completed      int64  // zero for never
	acceptor              int64
	price, reward, pledge float64
	from, to              int64
	odd                   uint64
}

func (w *world) contractsOf(p *profile) series {
	return w.seriesOf(drawContract, p, true, min(p.contracts*w.activity, 1000), 30)
}

func (w *world) contractsCount(id int64, at time.Time) int {
	p := w.profileOf(id)
	s := w.contractsOf(&p)
	lo, hi := s.window(at, 30, 5000)
	return int(hi - lo + 1)
}

func (w *world) appendContractsRange(b []byte, id int64, at time.Time, lo, hi int) []byte {
	p := w.profileOf(id)
	t := w.traitsOf(id)
	s := w.contractsOf(&p)
	_, newest := s.window(at, 30, 5000)
	var c contract
	return appendRows(b, lo, hi, func(b []byte, i int) []byte {
		w.contract(&p, t, s.second(newest-int64(i)), &c)
		return c.append(b, at.Unix())
	})
}

// contract makes the contract that was issued at a second.
func (w *world) contract(p *profile, t traits, second int64, c *contract) {
	d := dice.New(w.seed, drawContract, uint64(p.id), uint64(second))
	*c = contract{id: idAt(second, p.number), issued: second, odd: d.Uint64()}
	c.expires = second + [...]int64{1, 3, 7, 14, 14}[d.IntN(5)]*86400
	c.kind = [...]string{"item_exchange", "item_exchange", "item_exchange", "item_exchange", "courier", "courier", "auction", "item_exchange", "courier", "loan"}[d.IntN(10)]
	other := w.anybody(&d)
	corporation := w.corporationOf(p.id, t, time.Unix(second, 0))
	c.availability, c.issuer, c.issuerCorp = "public", p.id, corporation
	switch d.IntN(4) {
	case 0:
		c.availability, c.assignee = "personal", other
	case 1:
		c.availability, c.assignee = "corporation", corporation
	case 2:
		// Issued by somebody else to the character.
		c.availability, c.issuer, c.assignee = "personal", other, p.id
		c.issuerCorp = firstCorporation + int64(d.IntN(w.corporations))
	}
	c.from, _ = stationOrStructure(&d)
	c.to, _ = stationOrStructure(&d)
	c.price, c.reward, c.pledge = d.LogNormal(3e7, 1.6), d.LogNormal(1.2e7, 1), d.LogNormal(5e8, 1)
	c.settle(&d, w.anybody(&d), p.id)
}

// settle draws what comes of a contract.
func (c *contract) settle(d *dice.Stream, other, self int64) {
	taken := c.issued + int64(d.Float()*float64(c.expires-c.issued))
	c.outcome = "outstanding" // until it is gone
	f := d.Float()
	switch {
	case f < 0.12:
		c.outcome, c.completed = [...]string{"cancelled", "rejected", "deleted", "reversed"}[d.IntN(4)], taken
		return
	case f < 0.4:
		return
	}
	c.taken, c.outcome, c.acceptor = taken, "finished", other
	if c.issuer != self {
		c.acceptor = self
	}
	c.completed = taken
	switch c.kind {
	case "courier":
		c.completed += int64(d.Float() * 3 * 86400)
		if f > 0.93 {
			c.outcome = "failed"
		}
	case "auction":
		c.taken, c.completed = c.expires, c.expires+int64(d.Float()*86400)
	}
}

func (c *contract) append(b []byte, now int64) []byte {
	status, acceptor := "outstanding", int64(0)
	if c.taken != 0 && now >= c.taken {
		status, acceptor = "in_progress", c.acceptor
	}
	if c.completed != 0 && now >= c.completed {
		status = c.outcome
	}
	b = appendInt(b, `{"acceptor_id":`, acceptor)
	b = appendInt(b, `,"assignee_id":`, c.assignee)
	b = appendPlain(b, `,"availability":`, c.availability)
	switch c.kind {
	case "auction":
		b = appendMoney(b, `,"buyout":`, c.price*3, c.odd)
	case "courier":
		b = appendMoney(b, `,"collateral":`, c.pledge, c.odd)
	}
	b = appendInt(b, `,"contract_id":`, c.id)
	if acceptor != 0 {
		b = appendTime(b, `,"date_accepted":`, c.taken)
	}
	if c.completed != 0 && now >= c.completed {
		b = appendTime(b, `,"date_completed":`, c.completed)
	}
	b = appendTime(b, `,"date_expired":`, c.expires)
	b = appendTime(b, `,"date_issued":`, c.issued)
	if c.kind == "courier" {
		b = appendInt(b, `,"days_to_complete":`, 1+int64(c.odd%14))
	}
	if c.kind == "courier" || c.odd%5 == 0 {
		b = appendInt(b, `,"end_location_id":`, c.to)
	}
	b = appendBool(b, `,"for_corporation":`, c.odd%13 == 0)
	b = appendInt(b, `,"issuer_corporation_id":`, c.issuerCorp)
	b = appendInt(b, `,"issuer_id":`, c.issuer)
	if c.kind != "courier" {
		b = appendMoney(b, `,"price":`, c.price, c.odd>>8)
	}
	if c.kind == "courier" {
		b = appendMoney(b, `,"reward":`, c.reward, c.odd>>12)
	}
	b = appendInt(b, `,"start_location_id":`, c.from)
	b = appendPlain(b, `,"status":`, status)
	b = appendText(b, `,"title":`, [...]string{"", "", "WTS “Rifter” fit", "Überführung Jita → 1DQ1-A", "buyback & more"}[c.odd>>16%5])
	b = appendPlain(b, `,"type":`, c.kind)
	b = appendFloat(b, `,"volume":`, round2(float64(c.odd>>20%32000000)/100))
	return append(appendOdd(b, c.odd>>40), '}')
}

// contractBy is the contract of an id; false if the character never had it or
// has it not yet.
func (w *world) contractBy(id, contractID int64, at time.Time, c *contract) bool {
	second, lane := secondOf(contractID)
	p := w.profileOf(id)
	s := w.contractsOf(&p)
	if !s.has(second) || lane != p.number%lanes || second > at.Unix() {
		return false
	}
	w.contract(&p, w.traitsOf(id), second, c)
	return true
}

// appendContractItems appends what is exchanged, which never changes.
func (w *world) appendContractItems(b []byte, id, contractID int64, at time.Time) ([]byte, bool) {
	var c contract
	if !w.contractBy(id, contractID, at, &c) {
		return b, false
	}
	d := dice.New(w.seed, drawContract, 1, uint64(contractID))
	count := 0
	if c.kind != "courier" {
		count = int(min(1+d.LogNormal(3, 1.5), 500))
	}
	return appendList(b, count, func(b []byte, i int) []byte {
		odd := d.Uint64()
		single := odd%4 == 0
		kind, quantity := goodTypes[odd>>8%uint64(len(goodTypes))], int64(1)
		if single {
			kind = shipTypes[odd>>8%uint64(len(shipTypes))]
		} else {
			quantity += int64(odd >> 16 % 100000)
		}
		copied := odd>>40%11 == 0
		if copied {
			kind, single, quantity = blueprintTypes[odd>>8%uint64(len(blueprintTypes))], true, 1
		}
		b = appendBool(b, `{"is_included":`, odd>>44%12 != 0)
		b = appendBool(b, `,"is_singleton":`, single)
		b = appendInt(b, `,"quantity":`, quantity)
		if copied {
			b = append(b, `,"raw_quantity":-2`...)
		} else if single {
			b = append(b, `,"raw_quantity":-1`...)
		}
		b = appendInt(b, `,"record_id":`, contractID*8+int64(i))
		return append(appendInt(b, `,"type_id":`, kind), '}')
	}), true
}

// appendContractBids appends the bids of an auction; there are more and higher
// ones until it ends.
func (w *world) appendContractBids(b []byte, id, contractID int64, at time.Time) ([]byte, bool) {
	var c contract
	if !w.contractBy(id, contractID, at, &c) || c.kind != "auction" {
		return b, false
	}
	d := dice.New(w.seed, drawBid, uint64(contractID))
	all := 0
	if c.taken != 0 {
		all = 1 + d.IntN(20)
	}
	amount, step := c.price, (c.expires-c.issued)/int64(all+1)
	shown := 0
	for shown < all && c.issued+int64(shown+1)*step <= at.Unix() {
		shown++
	}
	return appendList(b, shown, func(b []byte, i int) []byte {
		amount *= 1 + d.Float()/5
		b = appendMoney(b, `{"amount":`, amount, d.Uint64())
		b = appendInt(b, `,"bid_id":`, contractID*4+int64(i))
		b = appendInt(b, `,"bidder_id":`, w.anybody(&d))
		return append(appendTime(b, `,"date_bid":`, c.issued+int64(i+1)*step), '}')
	}), true
}
