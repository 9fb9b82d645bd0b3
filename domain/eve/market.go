package eve

import (
	"encoding/json"
	"math/big"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// maxQuantity bounds what one record may count of a thing: ESI sends whole numbers of
// 32 bits, and the bound keeps every product of a price and a quantity countable.
const maxQuantity = 1_000_000_000_000

// Transaction is what a market transaction says of a trade: ESI's
// GET /characters/{id}/wallet/transactions at compatibility date 2026-06-09.
type Transaction struct {
	ID       int64
	Date     time.Time
	TypeID   int64
	Quantity int64
	// UnitPrice is before fees and taxes, which the journal has.
	UnitPrice ISK
	IsBuy     bool
	// IsPersonal is false for a trade in the name of the corporation.
	IsPersonal   bool
	ClientID     int64
	LocationID   int64
	JournalRefID int64
}

// DecodeTransaction reads a record of the section wallet-transactions as it was
// recorded as a whole. It fails with [event.CodeInvalid] for one that is no trade:
// without id, moment, type, a quantity above zero, or a price.
func DecodeTransaction(item json.RawMessage) (Transaction, error) {
	var t struct {
		ID           int64       `json:"transaction_id"`
		Date         time.Time   `json:"date"`
		TypeID       int64       `json:"type_id"`
		Quantity     int64       `json:"quantity"`
		UnitPrice    json.Number `json:"unit_price"`
		IsBuy        *bool       `json:"is_buy"`
		IsPersonal   bool        `json:"is_personal"`
		ClientID     int64       `json:"client_id"`
		LocationID   int64       `json:"location_id"`
		JournalRefID int64       `json:"journal_ref_id"`
	}
	if err := decodeObject(SectionWalletTransactions, item, &t); err != nil {
		return Transaction{}, err
	}
	switch {
	case t.ID <= 0:
		return Transaction{}, lacks(SectionWalletTransactions, "transaction_id")
	case t.Date.IsZero():
		return Transaction{}, lacks(SectionWalletTransactions, "date")
	case t.TypeID <= 0:
		return Transaction{}, lacks(SectionWalletTransactions, "type_id")
	case t.Quantity <= 0 || t.Quantity > maxQuantity:
		return Transaction{}, event.Errorf(event.CodeInvalid, "section %s: transaction %d has the quantity %d: must be between 1 and %d", SectionWalletTransactions, t.ID, t.Quantity, int64(maxQuantity))
	case t.IsBuy == nil:
		return Transaction{}, lacks(SectionWalletTransactions, "is_buy")
	case t.UnitPrice == "":
		return Transaction{}, lacks(SectionWalletTransactions, "unit_price")
	}
	price, err := ParseISK(t.UnitPrice)
	if err == nil && price < 0 {
		err = event.Errorf(event.CodeInvalid, "amount %s: a price is never below zero", price)
	}
	if err != nil {
		return Transaction{}, event.Errorf(event.CodeInvalid, "section %s: transaction %d: %w", SectionWalletTransactions, t.ID, err)
	}
	return Transaction{
		ID: t.ID, Date: t.Date.UTC(), TypeID: t.TypeID, Quantity: t.Quantity, UnitPrice: price, IsBuy: *t.IsBuy, IsPersonal: t.IsPersonal,
		ClientID: t.ClientID, LocationID: t.LocationID, JournalRefID: t.JournalRefID,
	}, nil
}

// Holding is what trades have left of one type in one pair of hands, and what it cost:
// bought first is sold first (FIFO), and beside that at the average cost. Its zero
// value is empty. It is not safe for concurrent use.
//
// What was never bought, because it was mined, looted, built or bought before Muster
// knew of it, has no cost that anybody knows, and is told apart.
type Holding struct {
	lots []lot
	// quantity is that of all lots, value what they cost by the average, in
	// hundredths of ISK.
	quantity int64
	value    big.Int
}

type lot struct {
	quantity int64
	price    ISK
}

// Cost is what was sold has cost.
type Cost struct {
	// Known is how much of what was sold had been bought before.
	Known int64
	// FIFO and Average are what that had cost, in hundredths of ISK. By the average
	// every sale takes its share of the cost of all that is there, rounded to
	// hundredths, halves up; the last one takes what is left, so that nothing is lost.
	FIFO, Average *big.Int
}

// Quantity is how much is there of what was bought.
func (h *Holding) Quantity() int64 { return h.quantity }

// Buy adds a purchase. The quantity must be above zero, the price not below.
func (h *Holding) Buy(quantity int64, price ISK) {
	h.lots = append(h.lots, lot{quantity, price})
	h.quantity += quantity
	h.value.Add(&h.value, Worth(quantity, price))
}

// Sell takes out what is sold and tells what it cost. The quantity must be above zero.
func (h *Holding) Sell(quantity int64) Cost {
	cost := Cost{Known: min(quantity, h.quantity), FIFO: new(big.Int), Average: new(big.Int)}
	if cost.Known == 0 {
		return cost
	}
	// Twice the share, so that adding the divisor rounds halves up.
	cost.Average.Mul(&h.value, big.NewInt(2*cost.Known))
	cost.Average.Add(cost.Average, big.NewInt(h.quantity))
	cost.Average.Quo(cost.Average, big.NewInt(2*h.quantity))
	if cost.Known == h.quantity {
		cost.Average.Set(&h.value)
	}
	h.value.Sub(&h.value, cost.Average)
	h.quantity -= cost.Known
	for left := cost.Known; left > 0; {
		first := &h.lots[0]
		taken := min(left, first.quantity)
		cost.FIFO.Add(cost.FIFO, Worth(taken, first.price))
		left -= taken
		if first.quantity -= taken; first.quantity == 0 {
			h.lots = h.lots[1:]
		}
	}
	return cost
}

// Worth is what a quantity is worth at a price, in hundredths of ISK.
func Worth(quantity int64, price ISK) *big.Int {
	return new(big.Int).Mul(big.NewInt(quantity), big.NewInt(int64(price)))
}

// Mined is a line of the mining ledger: what was mined of one ore in one system on
// one day.
type Mined struct {
	// Day is midnight in UTC.
	Day           time.Time
	SolarSystemID int64
	TypeID        int64
	Quantity      int64
}

// DecodeMined reads a record of the section mining as it was recorded as a whole. It
// fails with [event.CodeInvalid] for one without day, system, type, or a quantity.
func DecodeMined(item json.RawMessage) (Mined, error) {
	var m struct {
		Date          string `json:"date"`
		SolarSystemID int64  `json:"solar_system_id"`
		TypeID        int64  `json:"type_id"`
		Quantity      *int64 `json:"quantity"`
	}
	if err := decodeObject(SectionMining, item, &m); err != nil {
		return Mined{}, err
	}
	if len(m.Date) > len(dayLayout) {
		// ESI has sent times here before.
		m.Date = m.Date[:len(dayLayout)]
	}
	day, err := time.Parse(dayLayout, m.Date)
	switch {
	case err != nil:
		return Mined{}, event.Errorf(event.CodeInvalid, "section %s: date: %w", SectionMining, err)
	case m.SolarSystemID <= 0:
		return Mined{}, lacks(SectionMining, "solar_system_id")
	case m.TypeID <= 0:
		return Mined{}, lacks(SectionMining, "type_id")
	case m.Quantity == nil:
		return Mined{}, lacks(SectionMining, "quantity")
	case *m.Quantity < 0 || *m.Quantity > maxQuantity:
		return Mined{}, event.Errorf(event.CodeInvalid, "section %s: the quantity is %d: must be between 0 and %d", SectionMining, *m.Quantity, int64(maxQuantity))
	}
	return Mined{Day: day, SolarSystemID: m.SolarSystemID, TypeID: m.TypeID, Quantity: *m.Quantity}, nil
}

// SkillTotals are what an observation of the section skills says of skill points.
type SkillTotals struct {
	// Known is false for a difference from a full observation, its base, that leaves
	// them as they are there, and for a value that does not tell.
	Known              bool
	Total, Unallocated int64
}

// DecodeSkillTotals reads the skill points of an observation of the section skills,
// full or a difference. It fails with [event.CodeInvalid] for a value that is none.
func DecodeSkillTotals(p SectionObserved) (SkillTotals, error) {
	head := p.Value
	if p.Encoding == EncodingDelta {
		d, err := DecodeDelta(p.Value)
		if err != nil {
			return SkillTotals{}, err
		}
		if d.Head == nil {
			return SkillTotals{}, nil
		}
		head = d.Head
	}
	var points struct {
		Total       json.RawMessage `json:"total_sp"`
		Unallocated json.RawMessage `json:"unallocated_sp"`
	}
	if err := decodeObject(SectionSkills, head, &points); err != nil {
		return SkillTotals{}, err
	}
	total, err := strconv.ParseInt(string(points.Total), 10, 64)
	if err != nil || total < 0 {
		return SkillTotals{}, nil //nolint:nilerr // ESI does not tell, which is what is answered.
	}
	unallocated, err := strconv.ParseInt(string(points.Unallocated), 10, 64)
	if err != nil || unallocated < 0 {
		unallocated = 0
	}
	return SkillTotals{Known: true, Total: total, Unallocated: unallocated}, nil
}
