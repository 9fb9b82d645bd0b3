package esi

import (
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cents reads a JSON number of ISK without passing through a float.
func cents(t require.TestingT, n json.Number) int64 {
	r, ok := new(big.Rat).SetString(n.String())
	require.True(t, ok, "number %q", n)
	// Two decimals, rounded half away from zero.
	rounded, ok := new(big.Int).SetString(dropPoint(r.FloatString(2)), 10)
	require.True(t, ok)
	return rounded.Int64()
}

func dropPoint(s string) string { return s[:len(s)-3] + s[len(s)-2:] }

func TestBalanceIsTheSumOfAllAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Uint64().Draw(t, "seed"), 200, rapid.SampledFrom([]float64{0.5, 1, 30}).Draw(t, "activity"))
		id := FirstCharacter + rapid.Int64Range(0, 199).Draw(t, "character")
		at := start.Add(time.Duration(rapid.Int64Range(0, int64(365*day)).Draw(t, "after")))
		j := w.journalOf(id)
		lo, hi := j.window(at)
		if j.length == 0 {
			require.Less(t, hi, lo)
			require.Equal(t, j.balanceAt(at), j.balanceAt(at.Add(journalWindow)))
			return
		}
		lo = max(lo, hi-300)
		var newer *entry
		j.each(lo-1, hi, func(e *entry) {
			if newer == nil {
				require.Equal(t, hi, e.index)
				require.Equal(t, e.balance, j.balanceAt(at))
			} else {
				require.Equal(t, newer.index-1, e.index)
				require.Equal(t, newer.balance-newer.amount, e.balance, "of entry %d", e.index)
				require.Greater(t, newer.id, e.id)
				require.Greater(t, newer.at, e.at)
			}
			require.LessOrEqual(t, e.at, at.UnixMilli())
			require.GreaterOrEqual(t, e.balance, int64(0))
			copied := *e
			newer = &copied
		})
	})
}

func TestTheWindowHoldsThirtyDays(t *testing.T) {
	w := newWorld(1, 500, 1)
	sizes := 0
	for id := FirstCharacter; id < FirstCharacter+500; id++ {
		j := w.journalOf(id)
		lo, hi := j.window(start)
		j.each(lo-1, hi+1, func(e *entry) {
			inside := e.at <= start.UnixMilli() && e.at > start.Add(-journalWindow).UnixMilli()
			require.Equal(t, inside, e.index >= lo && e.index <= hi)
		})
		if hi >= lo {
			sizes++
		}
	}
	// A bit over half of the characters have any journal.
	require.InDelta(t, 260, sizes, 50)
}

func TestEntriesStayAsTheyWereWhenTimeMoves(t *testing.T) {
	w := newWorld(9, 50, 1)
	for id := FirstCharacter; id < FirstCharacter+50; id++ {
		j := w.journalOf(id)
		lo, hi := j.window(start)
		later, newest := j.window(start.Add(10 * day))
		require.GreaterOrEqual(t, newest, hi)
		require.GreaterOrEqual(t, later, lo)
		var before, after []entry
		j.each(later, hi, func(e *entry) { before = append(before, *e) })
		j.each(later, newest, func(e *entry) {
			if e.index <= hi {
				after = append(after, *e)
			}
		})
		require.Equal(t, before, after)
	}
}

// Some amounts are written with the long tail of a double; to the cent they
// are still exact.
func TestAmountsAreExactToTheCent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Int64Range(-1e15, 1e15).Draw(t, "cents")
		tail := rapid.Bool().Draw(t, "long tail")
		text := appendISK(nil, want, tail)
		require.True(t, json.Valid(text), "%s", text)
		require.Equal(t, want, cents(t, json.Number(text)), "%s", text)
	})
	require.Equal(t, "243877.49999999997", string(appendISK(nil, 24387750, true)))
	require.Equal(t, "-3.05", string(appendISK(nil, -305, false)))
	require.Equal(t, "0.0", string(appendISK(nil, 0, true)))
}
