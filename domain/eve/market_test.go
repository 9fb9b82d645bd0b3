package eve_test

import (
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Bought one by one and sold one by one, by the plainest means.
func TestWhatWasBoughtFirstIsSoldFirst(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var holding eve.Holding
		var units []int64
		bought, sold := new(big.Int), new(big.Int)
		for range rapid.IntRange(0, 30).Draw(rt, "trades") {
			quantity := rapid.Int64Range(1, 9).Draw(rt, "quantity")
			if rapid.Bool().Draw(rt, "buys") {
				price := rapid.Int64Range(0, 1e15).Draw(rt, "price")
				holding.Buy(quantity, eve.ISK(price))
				for range quantity {
					units = append(units, price)
				}
				bought.Add(bought, big.NewInt(quantity*price))
				continue
			}
			known := min(quantity, int64(len(units)))
			want := new(big.Int)
			for _, price := range units[:known] {
				want.Add(want, big.NewInt(price))
			}
			units = units[known:]
			cost := holding.Sell(quantity)
			require.Equal(rt, known, cost.Known)
			require.Zero(rt, want.Cmp(cost.FIFO), "%s, not %s", want, cost.FIFO)
			sold.Add(sold, cost.Average)
			require.GreaterOrEqual(rt, cost.Average.Sign(), 0)
		}
		require.EqualValues(rt, len(units), holding.Quantity())
		// What is left takes what it cost with it: by the average nothing is lost.
		if left := holding.Quantity(); left > 0 {
			sold.Add(sold, holding.Sell(left).Average)
		}
		require.Zero(rt, bought.Cmp(sold), "%s bought, %s sold", bought, sold)
		require.Zero(rt, holding.Sell(1).Known)
	})
}

func TestTheAverageIsThatOfAllThatIsThere(t *testing.T) {
	var h eve.Holding
	h.Buy(1, 100)
	h.Buy(2, 200)
	// 500 hundredths for three: 166.67 for one of them.
	require.EqualValues(t, 167, h.Sell(1).Average.Int64())
	h.Buy(1, 67)
	cost := h.Sell(5)
	require.EqualValues(t, 3, cost.Known)
	require.EqualValues(t, 400, cost.Average.Int64())
	require.EqualValues(t, 467, cost.FIFO.Int64())
}

func TestTradesAreReadOrRefused(t *testing.T) {
	const good = `{"transaction_id":7,"date":"2026-08-30T01:00:00Z","type_id":34,"quantity":3,"unit_price":5.0900000000000007,"is_buy":true,"is_personal":true,"client_id":1,"journal_ref_id":2,"location_id":60003760,"odd":[]}`
	got, err := eve.DecodeTransaction(json.RawMessage(good))
	require.NoError(t, err)
	require.Equal(t, eve.Transaction{
		ID: 7, Date: time.Date(2026, 8, 30, 1, 0, 0, 0, time.UTC), TypeID: 34, Quantity: 3, UnitPrice: 509, IsBuy: true, IsPersonal: true, ClientID: 1, LocationID: 60003760, JournalRefID: 2,
	}, got)
	for field, why := range map[string]string{
		`"transaction_id":0`: "transaction_id", `"date":"0001-01-01T00:00:00Z"`: "date", `"type_id":0`: "type_id", `"quantity":0`: "quantity 0", `"quantity":1000000000001`: "quantity",
		`"is_buy":null`: "is_buy", `"unit_price":-1`: "below zero", `"unit_price":1e99`: "between", `"quantity":"x"`: "quantity",
	} {
		// Of repeated fields the last stands.
		_, err := eve.DecodeTransaction(json.RawMessage(good[:len(good)-1] + "," + field + "}"))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), field)
		require.ErrorContains(t, err, why, field)
	}
	_, err = eve.DecodeTransaction(json.RawMessage(`{"transaction_id":7,"note":"an amendment of nothing that counts"}`))
	require.ErrorContains(t, err, "lacks date")
}

func TestMinedLinesAreReadOrRefused(t *testing.T) {
	got, err := eve.DecodeMined(json.RawMessage(`{"date":"2026-08-30","solar_system_id":30000142,"type_id":1230,"quantity":5}`))
	require.NoError(t, err)
	require.Equal(t, eve.Mined{Day: time.Date(2026, 8, 30, 0, 0, 0, 0, time.UTC), SolarSystemID: 30000142, TypeID: 1230, Quantity: 5}, got)
	for item, why := range map[string]string{
		`[]`: "object", `{"date":"yesterday"}`: "date", `{"date":"2026-08-30"}`: "solar_system_id", `{"date":"2026-08-30","solar_system_id":1}`: "type_id",
		`{"date":"2026-08-30","solar_system_id":1,"type_id":2}`: "quantity", `{"date":"2026-08-30","solar_system_id":1,"type_id":2,"quantity":-1}`: "-1",
	} {
		_, err := eve.DecodeMined(json.RawMessage(item))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), item)
		require.ErrorContains(t, err, why)
	}
}

func TestSkillTotalsOfADifferenceAreThoseOfItsBaseUnlessItSaysSo(t *testing.T) {
	f := func(encoding eve.Encoding, value string, want eve.SkillTotals) {
		t.Helper()
		got, err := eve.DecodeSkillTotals(eve.SectionObserved{Section: eve.SectionSkills, Encoding: encoding, Base: &uuid.UUID{}, Value: json.RawMessage(value)})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(eve.EncodingFull, `{"total_sp":5,"unallocated_sp":2,"skills":[]}`, eve.SkillTotals{Known: true, Total: 5, Unallocated: 2})
	f(eve.EncodingFull, `{"total_sp":5}`, eve.SkillTotals{Known: true, Total: 5})
	f(eve.EncodingFull, `{"skills":[]}`, eve.SkillTotals{})
	f(eve.EncodingFull, `{"total_sp":"many"}`, eve.SkillTotals{})
	f(eve.EncodingDelta, `{"head":{"total_sp":6}}`, eve.SkillTotals{Known: true, Total: 6})
	f(eve.EncodingDelta, `{"lists":[]}`, eve.SkillTotals{})
	_, err := eve.DecodeSkillTotals(eve.SectionObserved{Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

// FuzzFiguresOfFacts reads anything as a trade, a line of the mining ledger and skill points: what
// is read is in bounds, and what is not says so.
func FuzzFiguresOfFacts(f *testing.F) {
	for _, seed := range []string{
		`{"transaction_id":7,"date":"2026-08-30T01:00:00Z","type_id":34,"quantity":3,"unit_price":5.09,"is_buy":true}`,
		`{"date":"2026-08-30","solar_system_id":30000142,"type_id":1230,"quantity":5}`, `{"total_sp":5}`, `{"head":{"total_sp":6}}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		if trade, err := eve.DecodeTransaction(item); err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		} else {
			require.Positive(t, trade.Quantity)
			require.GreaterOrEqual(t, eve.Worth(trade.Quantity, trade.UnitPrice).Sign(), 0)
		}
		if line, err := eve.DecodeMined(item); err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		} else {
			require.GreaterOrEqual(t, line.Quantity, int64(0))
		}
		for _, encoding := range []eve.Encoding{eve.EncodingFull, eve.EncodingDelta} {
			points, err := eve.DecodeSkillTotals(eve.SectionObserved{Encoding: encoding, Value: item})
			if err != nil {
				require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			}
			require.GreaterOrEqual(t, points.Total, int64(0))
			require.GreaterOrEqual(t, points.Unallocated, int64(0))
		}
	})
}
