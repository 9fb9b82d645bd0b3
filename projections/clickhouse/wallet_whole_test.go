package clickhouse_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
)

// Totals, top lists and distributions agree with a count of all entries.
func TestWalletsOverAWholeRangeAgreeWithACountOfTheEntries(t *testing.T) {
	f := newFactTables(t, clickhouse.Wallet())
	reader := clickhouse.NewWalletReader(f.conn, live.New(place(f.name)))
	type drawn struct {
		character, corporation, other, amount, tax int64
		kind, direction                            string
	}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, asked := question(rt, t, clickhouse.Intervals(), clickhouse.Dimensions()...)
		q := clickhouse.WalletQuery{From: asked.From, To: asked.To, GroupBy: asked.GroupBy, CharacterIDs: asked.CharacterIDs, CorporationIDs: asked.CorporationIDs}
		if rapid.Bool().Draw(rt, "filter counterparties") {
			q.CounterpartyIDs = []int64{2, 8}
		}
		if len(q.CorporationIDs) == 0 && !slices.Contains(q.GroupBy, clickhouse.ByCorporation) && rapid.Bool().Draw(rt, "as of a moment") {
			q.AsOf = origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "moment")) * time.Minute)
		}
		events, corporation := moves(rt, origin)
		var counted []drawn
		for id := range int64(rapid.IntRange(0, 30).Draw(rt, "entries")) {
			at := origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "at")) * time.Minute)
			d := drawn{
				character: rapid.Int64Range(1, 3).Draw(rt, "character"), other: rapid.SampledFrom([]int64{2, 8, 9, 0}).Draw(rt, "other"), kind: rapid.SampledFrom([]string{"bounty_prizes", "player_donation"}).Draw(rt, "kind"),
				amount: rapid.Int64Range(-5e15, 5e15).Draw(rt, "amount"), tax: rapid.Int64Range(0, 1e9).Draw(rt, "tax"), direction: "income",
			}
			if d.amount < 0 {
				d.direction = "expense"
			}
			e := entry(id+1, at, d.kind, eve.ISK(d.amount).String(), "")
			e.Tax = json.Number(eve.ISK(d.tax).String())
			e.FirstPartyID, e.SecondPartyID = d.character, d.other
			if rapid.Bool().Draw(rt, "second") {
				e.FirstPartyID, e.SecondPartyID = d.other, d.character
			}
			recorded := journal(d.character, e)
			recorded.FetchedAt = at.Add(time.Duration(rapid.IntRange(0, 2*24*60).Draw(rt, "seen after")) * time.Minute)
			events = append(events, told{stream: event.Character(d.character), at: at, payload: recorded})
			d.corporation = corporation(d.character, at)
			known := q.AsOf.IsZero() || !recorded.FetchedAt.After(q.AsOf)
			if known && !at.Before(q.From) && at.Before(q.To) && selected(asked, d.character, d.corporation) && pass(q.CounterpartyIDs, d.other) {
				counted = append(counted, d)
			}
		}
		f.fill(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), events...)
		groupOf := func(d drawn, direction bool) (g clickhouse.WalletGroup) {
			for _, by := range q.GroupBy {
				switch by {
				case clickhouse.ByCharacter:
					g.CharacterID = d.character
				case clickhouse.ByCorporation:
					g.CorporationID = d.corporation
				case clickhouse.ByRefType:
					g.RefType = d.kind
				case clickhouse.ByCounterparty:
					g.CounterpartyID = d.other
				default:
					g.Direction = d.direction
				}
			}
			if direction {
				g.Direction = d.direction
			}
			return g
		}
		type sum struct{ income, expense, tax, entries int64 }
		sums, amounts, all := map[clickhouse.WalletGroup]sum{}, map[clickhouse.WalletGroup][]int64{}, sum{}
		plus := func(s sum, d drawn) sum {
			return sum{s.income + max(0, d.amount), s.expense + max(0, -d.amount), s.tax + d.tax, s.entries + 1}
		}
		for _, d := range counted {
			sums[groupOf(d, false)], all = plus(sums[groupOf(d, false)], d), plus(all, d)
			amounts[groupOf(d, true)] = append(amounts[groupOf(d, true)], max(d.amount, -d.amount))
		}
		words := func(w clickhouse.WalletFigures) sum {
			require.True(rt, w.Net.Equal(w.Income.Sub(w.Expense)))
			return sum{isk(w.Income), isk(w.Expense), isk(w.Tax), w.Entries}
		}
		totals, err := reader.Totals(t.Context(), q)
		require.NoError(rt, err)
		got := map[clickhouse.WalletGroup]sum{}
		for _, w := range totals {
			got[w.WalletGroup] = words(w)
		}
		require.Equal(rt, sums, got)

		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		for measure, value := range map[clickhouse.Measure]func(sum) int64{
			clickhouse.MeasureIncome: func(s sum) int64 { return s.income }, clickhouse.MeasureExpense: func(s sum) int64 { return s.expense }, clickhouse.MeasureNet: func(s sum) int64 { return s.income - s.expense },
			clickhouse.MeasureTax: func(s sum) int64 { return s.tax }, clickhouse.MeasureEntries: func(s sum) int64 { return s.entries },
		} {
			var want []int64
			for _, s := range sums {
				if v := value(s); v != 0 {
					want = append(want, v)
				}
			}
			slices.SortFunc(want, func(a, b int64) int { return cmp.Compare(b, a) })
			top, total, err := reader.Top(t.Context(), q, measure, limit)
			require.NoError(rt, err)
			require.Equal(rt, all, words(total))
			var got []int64
			for _, w := range top {
				require.Equal(rt, sums[w.WalletGroup], words(w))
				got = append(got, value(words(w)))
			}
			require.Equal(rt, want[:min(limit, len(want))], append([]int64(nil), got...), measure)
		}

		distributions, err := reader.Distribution(t.Context(), q)
		require.NoError(rt, err)
		spread, wanted := map[clickhouse.WalletGroup]string{}, map[clickhouse.WalletGroup]string{}
		for _, d := range distributions {
			spread[d.WalletGroup] = fmt.Sprint(d.Entries, isk(d.Sum), isk(d.Min), isk(d.P25), isk(d.Median), isk(d.P75), isk(d.P95), isk(d.Most))
		}
		for g, list := range amounts {
			slices.Sort(list)
			// The first amount that so many of a hundred are not above.
			at := func(percent int) int64 {
				for i, amount := range list {
					if 100*(i+1) >= percent*len(list) {
						return amount
					}
				}
				return list[len(list)-1]
			}
			var sum int64
			for _, amount := range list {
				sum += amount
			}
			wanted[g] = fmt.Sprint(len(list), sum, list[0], at(25), at(50), at(75), at(95), list[len(list)-1])
		}
		require.Equal(rt, wanted, spread)
	})

	q := clickhouse.WalletQuery{From: utc(t, "2026-01-01T00:00:00Z"), To: utc(t, "2026-02-01T00:00:00Z")}
	_, _, err := reader.Top(t.Context(), q, "moon", 1)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	_, _, err = reader.Top(t.Context(), q, clickhouse.MeasureTax, clickhouse.MaxTop+1)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
	_, err = reader.Totals(t.Context(), clickhouse.WalletQuery{From: q.To, To: q.From})
	require.ErrorContains(t, err, "not before")
	q.GroupBy = []clickhouse.Dimension{clickhouse.ByModel}
	_, err = reader.Distribution(t.Context(), q)
	require.ErrorContains(t, err, "model")
}
