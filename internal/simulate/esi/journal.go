package esi

import (
	"math"
	"strconv"
	"time"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// blockSize is how many journal entries are made at a time. Within a block the
// amounts are drawn freely but for the last, which leads to the balance at
// which the next block begins: so any block can be made on its own, and still
// balance and amounts agree over a character's whole life.
const blockSize = 64

// journalDays is how far back ESI shows the journal.
const journalWindow = 30 * day

// genesis is when all journals begin.
var genesis = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// entry is one line of a journal.
type entry struct {
	index   int64
	id      int64
	at      int64 // Unix milliseconds
	kind    uint8
	flags   uint8
	amount  int64 // hundredths of ISK
	balance int64
	party   uint32
}

const (
	flagUnknownType = 1 << iota
	flagExtraField
	flagLongTail
	flagReason
)

// kinds are the kinds of entries; sign 0 is only used to close a block.
var kinds = [...]struct {
	refType string
	sign    int64
	median  float64 // ISK
	sigma   float64
	weight  int
	context string
	text    string
}{
	{"player_donation", 0, 0, 0, 0, "", "Deposited cash into account"},
	{"bounty_prizes", 1, 9e6, 0.9, 26, "system_id", "Bounty prizes for killing pirates"},
	{"market_transaction", 1, 4e6, 1.9, 16, "market_transaction_id", "Market: items sold"},
	{"market_transaction", -1, 3e6, 1.9, 14, "market_transaction_id", "Market: items bought"},
	{"transaction_tax", -1, 2e5, 1.5, 12, "", "Market: transaction tax"},
	{"brokers_fee", -1, 1.5e5, 1.5, 8, "", "Market: broker's fee"},
	{"market_escrow", -1, 2e7, 1.4, 5, "", "Market: escrow"},
	{"contract_price", -1, 3e7, 1.6, 3, "contract_id", "Contract: price"},
	{"contract_reward", 1, 1.2e7, 1.0, 3, "contract_id", "Contract: reward"},
	{"agent_mission_reward", 1, 4e5, 0.7, 4, "", "Mission reward"},
	{"insurance", 1, 2e7, 1.1, 2, "type_id", "Insurance paid"},
	{"jump_clone_activation_fee", -1, 9e5, 0.3, 2, "structure_id", "Clone jump"},
	{"industry_job_tax", -1, 8e4, 1.2, 3, "industry_job_id", "Industry job tax"},
	{"planetary_export_tax", -1, 1e5, 0.8, 2, "planet_id", "Planetary export tax"},
}

// kindWheel repeats the number of each kind as often as its weight says.
var kindWheel = func() (wheel []uint8) {
	for k := range kinds {
		for range kinds[k].weight {
			wheel = append(wheel, uint8(k))
		}
	}
	return wheel
}()

// unknownRefType is one that no specification names, as ESI sends now and then.
const unknownRefType = "cosmic_signature_royalty"

// journal is the wallet of one character: a sequence of entries that has
// neither beginning nor end, of which a window can be looked at. It holds no
// state; its methods are pure.
type journal struct {
	seed   uint64
	id     int64
	lane   int64
	level  float64       // usual balance in ISK
	length time.Duration // of a block; zero if nothing ever happens
	phase  time.Duration
}

func (w *world) journalOf(id int64) journal {
	t := w.traitsOf(id)
	j := journal{seed: w.seed, id: id, lane: (id - FirstCharacter) % 10000, level: t.level, phase: t.blockPhase}
	if t.perDay > 0 {
		j.length = time.Duration(blockSize / t.perDay * float64(day))
	}
	return j
}

// opening is the balance at the beginning of a block, in hundredths.
func (j journal) opening(block int64) int64 {
	d := dice.New(j.seed, drawJournalLevel, uint64(j.id), uint64(block))
	return int64(d.LogNormal(j.level, 0.4) * 100)
}

// start is when a block begins, in Unix milliseconds.
func (j journal) start(block int64) float64 {
	return float64(genesis.UnixMilli()) + (float64(block)*float64(j.length)-float64(j.phase))/float64(time.Millisecond)
}

// blockAt is the number of the block that a time lies in.
func (j journal) blockAt(at time.Time) int64 {
	since := float64(at.Sub(genesis)) + float64(j.phase)
	return int64(math.Floor(since / float64(j.length)))
}

// times fills in when the entries of a block happen. They are crowded at the
// beginning of the block more or less, as real days of play are.
func (j journal) times(block int64, times *[blockSize]int64) {
	d := dice.New(j.seed, drawJournalBlock, uint64(j.id), uint64(block), 1)
	crowding := d.IntN(3)
	start, length := j.start(block), float64(j.length)/float64(time.Millisecond)
	for i := range times {
		x := (float64(i) + d.Float()*0.8) / blockSize
		switch crowding {
		case 1:
			x *= math.Sqrt(x)
		case 2:
			x *= x
		}
		times[i] = int64(start + x*length)
	}
}

// last is the index of the newest entry not after the given time.
func (j journal) last(at time.Time) int64 {
	block := j.blockAt(at)
	var times [blockSize]int64
	j.times(block, &times)
	ms := at.UnixMilli()
	n := int64(0)
	for n < blockSize && times[n] <= ms {
		n++
	}
	return block*blockSize + n - 1
}

// window is the range of entries that ESI shows at a time; hi < lo if none.
func (j journal) window(at time.Time) (lo, hi int64) {
	if j.length == 0 {
		return 0, -1
	}
	return j.last(at.Add(-journalWindow)) + 1, j.last(at)
}

// balanceAt is the balance at a time, in hundredths.
func (j journal) balanceAt(at time.Time) int64 {
	if j.length == 0 {
		return j.opening(0)
	}
	last := j.last(at)
	var balance int64
	j.each(last, last, func(e *entry) { balance = e.balance })
	return balance
}

// each calls f with the entries lo to hi, the newest first. The entry is only
// valid during the call.
func (j journal) each(lo, hi int64, f func(*entry)) {
	if hi < lo {
		return
	}
	var entries [blockSize]entry
	for block := floorDiv(hi, blockSize); block >= floorDiv(lo, blockSize); block-- {
		j.fill(block, &entries)
		for i := blockSize - 1; i >= 0; i-- {
			if e := &entries[i]; e.index >= lo && e.index <= hi {
				f(e)
			}
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// fill makes the entries of a block.
func (j journal) fill(block int64, entries *[blockSize]entry) {
	var times [blockSize]int64
	j.times(block, &times)
	d := dice.New(j.seed, drawJournalBlock, uint64(j.id), uint64(block), 2)
	balance, next := j.opening(block), j.opening(block+1)
	for i := range entries {
		e := &entries[i]
		*e = entry{
			index: block*blockSize + int64(i),
			at:    times[i],
			// Grows with time and differs between characters.
			id:    (times[i]-1262304000000)*10000 + j.lane,
			kind:  kindWheel[d.IntN(len(kindWheel))],
			party: uint32(d.Uint64()),
		}
		odd := d.Uint64()
		if odd%101 == 0 {
			e.flags |= flagUnknownType
		}
		if odd%97 == 0 {
			e.flags |= flagExtraField
		}
		if odd%16 == 1 {
			e.flags |= flagLongTail
		}
		k := &kinds[e.kind]
		e.amount = k.sign * int64(1+min(d.LogNormal(k.median, k.sigma), 5e11)*100)
		// A wallet is never overdrawn by spending: then the money comes in.
		if balance+e.amount < 0 {
			e.amount = -e.amount
			e.kind = 0
		}
		if i == blockSize-1 {
			e.kind, e.amount = 0, next-balance
			e.flags |= flagReason
		}
		balance += e.amount
		e.balance = balance
	}
}

// appendJournal appends the entries lo to hi as ESI's JSON, the newest first.
func (j journal) appendJournal(b []byte, lo, hi int64) []byte {
	b = append(b, '[')
	first := true
	j.each(lo, hi, func(e *entry) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = j.appendEntry(b, e)
	})
	return append(b, ']')
}

func (j journal) appendEntry(b []byte, e *entry) []byte {
	k := &kinds[e.kind]
	longTail := e.flags&flagLongTail != 0
	b = append(b, `{"amount":`...)
	b = appendISK(b, e.amount, longTail)
	b = append(b, `,"balance":`...)
	b = appendISK(b, e.balance, longTail)
	if k.context != "" {
		b = append(b, `,"context_id":`...)
		b = strconv.AppendInt(b, contextID(k.context, e), 10)
		b = append(b, `,"context_id_type":"`...)
		b = append(b, k.context...)
		b = append(b, '"')
	}
	b = append(b, `,"date":"`...)
	b = time.UnixMilli(e.at).UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	b = append(b, `","description":"`...)
	b = append(b, k.text...)
	b = append(b, `","first_party_id":`...)
	b = strconv.AppendInt(b, j.id, 10)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, e.id, 10)
	if e.flags&flagReason != 0 {
		b = append(b, `,"reason":"DESC: settling “accounts”\nthanks"`...)
	}
	b = append(b, `,"ref_type":"`...)
	if e.flags&flagUnknownType != 0 {
		b = append(b, unknownRefType...)
	} else {
		b = append(b, k.refType...)
	}
	b = append(b, `","second_party_id":`...)
	b = strconv.AppendInt(b, 1000125+int64(e.party%30), 10)
	if e.flags&flagExtraField != 0 {
		b = append(b, `,"ledger_tags":["auto",3]`...)
	}
	return append(b, '}')
}

// contextID is an id in the range of its kind.
func contextID(kind string, e *entry) int64 {
	switch kind {
	case "system_id":
		return places[int(e.party)%len(places)].system
	case "structure_id":
		return firstStructure + places[int(e.party)%len(places)].system
	case "type_id":
		return 587 + int64(e.party%40)
	case "planet_id":
		return 40000000 + int64(e.party%300000)
	default:
		return 6000000000 + int64(e.party)
	}
}

// appendISK appends hundredths of ISK as a JSON number. With a long tail it is
// the double next to the true one, such as 243877.49999999997 for 243877.50,
// as a computation in doubles leaves behind; rounded to hundredths it is the
// same.
func appendISK(b []byte, cents int64, longTail bool) []byte {
	if longTail && cents > -1e11 && cents < 1e11 && cents != 0 {
		return strconv.AppendFloat(b, math.Nextafter(float64(cents)/100, 0), 'f', -1, 64)
	}
	if cents < 0 {
		b = append(b, '-')
		cents = -cents
	}
	b = strconv.AppendInt(b, cents/100, 10)
	switch rest := cents % 100; {
	case rest == 0:
		// ESI writes whole amounts with one decimal.
		return append(b, '.', '0')
	case rest%10 == 0:
		return append(b, '.', byte('0'+rest/10))
	default:
		return append(b, '.', byte('0'+rest/10), byte('0'+rest%10))
	}
}
