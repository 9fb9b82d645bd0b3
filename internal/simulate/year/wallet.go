package year

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/simulate/dice"
)

// hash is the hash of what a section holds.
func hash(s eve.Section, value []byte) string {
	h, err := eve.ContentHash(s, value)
	if err != nil {
		panic(fmt.Errorf("BUG: section %s of the simulated year cannot be read: %w", s, err))
	}
	return h
}

// kind is a kind of journal entries.
type kind struct {
	refType string
	// sign is that of amounts, median theirs in hundredths.
	sign   int64
	median float64
	// weight is how often it is among others.
	weight int
	// party is the other party; 0 is some player.
	party int64
	// context is what the entry hangs on; says is the description.
	context, says string
	taxed         bool
}

// Concord is who pays bounties.
const Concord = 1_000_125

// scc is who takes taxes.
const scc = 1_000_132

func kinds() []kind {
	return []kind{
		{refType: "bounty_prizes", sign: 1, median: 4e8, weight: 24, party: Concord, context: "system_id", says: "got bounty prizes for killing pirates in", taxed: true},
		{refType: "ess_escrow_transfer", sign: 1, median: 9e8, weight: 4, party: Concord, context: "system_id", says: "ESS escrow of", taxed: true},
		{refType: "market_transaction", sign: 1, median: 3e8, weight: 16, context: "market_transaction_id", says: "Market: bought stuff from"},
		{refType: "market_transaction", sign: -1, median: 3e8, weight: 16, context: "market_transaction_id", says: "Market: sold stuff to"},
		{refType: "transaction_tax", sign: -1, median: 9e6, weight: 14, party: scc, says: "Sales tax paid to the SCC"},
		{refType: "brokers_fee", sign: -1, median: 6e6, weight: 8, party: scc, says: "Market order commission to broker authorized by"},
		{refType: "market_escrow", sign: -1, median: 2e8, weight: 6, says: "Market escrow release"},
		{refType: "contract_price", sign: -1, median: 2e9, weight: 1, context: "contract_id", says: "Contract price"},
		{refType: "contract_reward", sign: 1, median: 5e8, weight: 1, context: "contract_id", says: "Contract reward"},
		{refType: "player_donation", sign: 1, median: 1e9, weight: 2, says: "deposited cash into the account of"},
		{refType: "player_donation", sign: -1, median: 1e9, weight: 2, says: "deposited cash into the account of"},
		{refType: "industry_job_tax", sign: -1, median: 3e7, weight: 3, context: "industry_job_id", says: "Industry job tax"},
		{refType: "agent_mission_reward", sign: 1, median: 6e7, weight: 3, context: "character_id", says: "Mission reward", taxed: true},
		{refType: "insurance", sign: 1, median: 9e8, weight: 1, party: scc, context: "type_id", says: "Insurance paid for loss of"},
		{refType: "asset_safety_recovery_tax", sign: -1, median: 0, weight: 1, party: scc, says: "Recovery of assets"},
	}
}

// Players is how many players there are whom characters have to do with.
const Players = 400

// FirstPlayer is the id of the first of them.
const FirstPlayer = 95_000_001

// wheel has each kind as often as it weighs.
func wheel() []kind {
	var all []kind
	for _, k := range kinds() {
		for range k.weight {
			all = append(all, k)
		}
	}
	return all
}

// perEvent is how many entries are read at once, on average.
const perEvent = 10

// journal has the entries of a day, in as many readings as it takes.
func (c *character) journal(day time.Time) {
	if c.silent {
		return
	}
	n := count(&c.dice, c.mean(shareJournal))
	readings := (n + perEvent - 1) / perEvent
	for r := range readings {
		size := n / readings
		if r < n%readings {
			size++
		}
		const second = time.Second
		window := 24 * time.Hour / time.Duration(readings)
		c.reading(day.Add(window*time.Duration(r)).Truncate(second), window.Truncate(second)-second, size)
	}
}

// reading is one reading of the journal, of entries within a time.
func (c *character) reading(from time.Time, window time.Duration, size int) {
	d := &c.dice
	seconds := make([]int, size)
	for i := range seconds {
		seconds[i] = d.IntN(int(window / time.Second))
	}
	slices.Sort(seconds)
	at := from.Add(window).Add(time.Duration(d.IntN(1000)) * time.Millisecond)
	p := eve.JournalRecorded{CharacterID: c.id, Day: from.Format(time.DateOnly), FetchedAt: at, Entries: make([]eve.JournalEntry, 0, size+1)}
	const again = 0.02
	if c.previous != nil && c.previous.Date.Format(time.DateOnly) == p.Day && d.Chance(again) {
		// ESI's pages overlap.
		p.Entries = append(p.Entries, *c.previous)
	}
	for _, s := range seconds {
		p.Entries = append(p.Entries, c.entry(from.Add(time.Duration(s)*time.Second)))
	}
	if size > 0 {
		c.previous = &p.Entries[len(p.Entries)-1]
		c.told(eve.SectionWalletJournal, at)
		c.add(at, p)
	}
}

// entry makes an entry.
func (c *character) entry(at time.Time) eve.JournalEntry {
	d := &c.dice
	k := pick(d, c.g.wheel)
	amount := k.sign * int64(d.LogNormal(k.median, 1.2))
	if amount < 0 && c.balance+amount < 0 {
		amount = 0
	}
	// The game gives out some hundred ids a second.
	const ids = 300
	id := max(c.lastEntry+1, 20_000_000_000+(at.Unix()-Start().Unix())*ids+int64(d.IntN(ids)))
	c.lastEntry = id
	c.balance += amount
	other := k.party
	if other == 0 {
		other = FirstPlayer + int64(d.IntN(Players))
	}
	fact := Entry{Character: c.id, ID: id, At: at.Unix(), RefType: k.refType, Amount: amount, Balance: c.balance, HasBalance: true, Counterparty: other}
	e := eve.JournalEntry{ID: id, Date: at, RefType: k.refType, FirstPartyID: other, SecondPartyID: c.id, Description: k.says}
	if amount < 0 {
		e.FirstPartyID, e.SecondPartyID = c.id, other
	}
	const bare, taxed = 0.002, 0.9
	if d.Chance(bare) {
		fact.HasBalance = false
	}
	if k.taxed && d.Chance(taxed) {
		fact.Tax = amount / 9
		e.Tax, e.TaxReceiverID = json.Number(isk(d, fact.Tax)), max(c.corporation, FirstCorporation)
	}
	c.decorate(&e, &k, other)
	e.Amount = json.Number(isk(d, amount))
	if fact.HasBalance {
		e.Balance = json.Number(isk(d, c.balance))
	}
	c.g.tell(&fact)
	return e
}

// decorate adds what nobody sums up.
func (c *character) decorate(e *eve.JournalEntry, k *kind, other int64) {
	const systems = 300
	switch k.context {
	case "":
	case "system_id":
		system := c.dice.IntN(systems)
		e.ContextID, e.ContextIDType = 30_000_000+int64(system), k.context
		e.Description = fmt.Sprintf("%s %s System-%03d", c.name(), k.says, system)
	default:
		e.ContextID, e.ContextIDType = e.ID-14_000_000_000+int64(c.dice.IntN(50)), k.context
		e.Description = fmt.Sprintf("%s Player %d", k.says, other-FirstPlayer)
	}
}

// seeWallet sees the balance every third day, often from a stale cache.
func (c *character) seeWallet(n int, day time.Time) {
	const every = 3
	if n%every != c.index%every {
		return
	}
	at := day.Add(24*time.Hour - time.Second + time.Duration(c.dice.IntN(900))*time.Millisecond)
	amount := c.balance
	if c.silent {
		amount = int64(c.dice.LogNormal(5e10, 1))
	}
	c.g.tell(&Balance{Character: c.id, At: at, Amount: amount})
	c.observe(eve.SectionWallet, at, []byte(isk(&c.dice, amount)))
}

// facts are records of a section.
func (c *character) facts(s eve.Section, day, at time.Time, items []json.RawMessage) eve.Facts {
	return eve.Facts{CharacterID: c.id, Section: s, Day: day.Format(time.DateOnly), FetchedAt: at, Items: items}
}

// seconds are moments within a day, in order.
func seconds(d *dice.Stream, n int) []int {
	const all = 24*60*60 - 60
	list := make([]int, n)
	for i := range list {
		list[i] = d.IntN(all)
	}
	slices.Sort(list)
	return list
}

// lateOn is a moment just before a day ends, at which it is read what has happened.
func (c *character) lateOn(day time.Time) time.Time {
	const last = 50_000
	return day.Add(24*time.Hour - time.Minute + time.Duration(c.dice.IntN(last))*time.Millisecond)
}

// nextID is the next id of things that the character has.
func (c *character) nextID() int64 {
	c.ids += 1 + int64(c.dice.IntN(9))
	const room = 100_000_000
	return 1_000_000_000 + int64(c.index)*room + c.ids
}

// trade buys and sells.
func (c *character) trade(day time.Time) {
	d := &c.dice
	n := count(d, c.mean(shareTrades))
	if n == 0 {
		return
	}
	items := make([]json.RawMessage, 0, n)
	const broken, locations, kinds = 0.0005, 8, 6
	for _, s := range seconds(d, n) {
		t := Trade{Character: c.id, ID: c.nextID(), At: day.Add(time.Duration(s) * time.Second)}
		if d.Chance(broken) {
			t.At = day
			c.g.tell(&t)
			items = append(items, fmt.Appendf(nil, `{"transaction_id":%d}`, t.ID))
			continue
		}
		t.Readable, t.Buy, t.Type, t.Location = true, d.Chance(0.5), FirstType+int64((c.index*7+d.IntN(kinds))%Types), 60_003_760+int64(d.IntN(locations))
		t.Quantity, t.Price = int64(d.LogNormal(40, 1.5))+1, int64(d.LogNormal(8e6, 2))
		c.g.tell(&t)
		items = append(items, fmt.Appendf(nil, `{"client_id":%d,"date":%q,"is_buy":%t,"is_personal":true,"journal_ref_id":%d,"location_id":%d,"quantity":%d,"transaction_id":%d,"type_id":%d,"unit_price":%s}`,
			FirstPlayer+d.IntN(Players), t.At.Format(time.RFC3339), t.Buy, t.ID+5_000_000_000, t.Location, t.Quantity, t.ID, t.Type, isk(d, t.Price)))
	}
	at := c.lateOn(day)
	c.told(eve.SectionWalletTransactions, at)
	c.add(at, eve.TransactionsRecorded{Facts: c.facts(eve.SectionWalletTransactions, day, at, items)})
}

// mine has lines of the mining ledger, of which some grow in the evening.
func (c *character) mine(day time.Time) {
	d := &c.dice
	n := count(d, c.mean(shareMining))
	if n == 0 {
		return
	}
	const systems, ores, grows = 6, 9, 0.3
	lines := map[[2]int64]*Mined{}
	item := func(m *Mined) json.RawMessage {
		return fmt.Appendf(nil, `{"date":%q,"quantity":%d,"solar_system_id":%d,"type_id":%d}`, day.Format(time.DateOnly), m.Quantity, m.System, m.Type)
	}
	var order []*Mined
	for range n {
		m := Mined{Character: c.id, Day: day, System: 30_000_100 + int64(d.IntN(systems)), Type: FirstType + int64(Types-ores+d.IntN(ores)), Quantity: int64(d.LogNormal(5000, 1))}
		if lines[[2]int64{m.System, m.Type}] == nil {
			lines[[2]int64{m.System, m.Type}] = &m
			order = append(order, &m)
		}
	}
	var recorded, changed []json.RawMessage
	for _, m := range order {
		recorded = append(recorded, item(m))
		if d.Chance(grows) {
			m.Quantity += int64(d.IntN(4000))
			changed = append(changed, item(m))
		}
		c.g.tell(m)
	}
	at := day.Add(12*time.Hour + time.Duration(d.IntN(1000))*time.Millisecond)
	c.told(eve.SectionMining, at)
	c.add(at, eve.MiningRecorded{Facts: c.facts(eve.SectionMining, day, at, recorded)})
	if len(changed) > 0 {
		at := c.lateOn(day)
		c.told(eve.SectionMining, at)
		c.add(at, eve.MiningChanged{Facts: c.facts(eve.SectionMining, day, at, changed)})
	}
}
