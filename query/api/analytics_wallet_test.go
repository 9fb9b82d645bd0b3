package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/clickhouse"
)

func TestWalletsOverAWholeRangeAreAskedAsSaid(t *testing.T) {
	c := newClient(t)
	const span = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"
	const head = `"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"`
	from, to := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	const filters = "&character_id=1&corporation_id=2&counterparty_id=3&ref_type=r"
	asked := clickhouse.WalletQuery{From: from, To: to, CharacterIDs: []int64{1}, CorporationIDs: []int64{2}, CounterpartyIDs: []int64{3}, RefTypes: []string{"r"}}

	require.JSONEq(t, `{`+head+`, "group_by": ["ref_type", "character"], "measure": "expense", "total": {"income": "0.00", "expense": "0.00", "net": "0.00", "tax": "0.00", "entries": 9},
		"items": [{"rank": 1, "ref_type": "r", "character_id": 5, "income": "1.00", "expense": "2.50", "net": "-1.50", "tax": "0.00", "entries": 3}]}`,
		c.get("/v1/analytics/wallet/top?group_by=ref_type,character&measure=expense&limit=7&"+span+filters).text)
	want := asked
	want.GroupBy = []clickhouse.Dimension{clickhouse.ByRefType, clickhouse.ByCharacter}
	require.Equal(t, want, c.world.wallet)
	require.Equal(t, clickhouse.MeasureExpense, c.world.measure)
	require.Equal(t, 7, c.world.limit)

	require.JSONEq(t, `{`+head+`, "group_by": ["counterparty"], "items": [{"counterparty_id": 7, "direction": "income", "entries": 2, "sum": "3.00", "min": "1.00", "p25": "0.00", "median": "0.00", "p75": "0.00", "p95": "0.00", "max": "2.00"}]}`,
		c.get("/v1/analytics/wallet/distribution?group_by=counterparty&"+span+filters).text)
	want.GroupBy = []clickhouse.Dimension{clickhouse.ByCounterparty}
	require.Equal(t, want, c.world.wallet)

	const now = `{"ref_type": "r", "income": "1.00", "expense": "2.50", "net": "-1.50", "tax": "0.00", "entries": 3, "income_before": "0.00", "expense_before": "0.00", "net_before": "0.00", "tax_before": "0.00", "entries_before": 0,
		"income_change": "1.00", "expense_change": "2.50", "net_change": "-1.50", "tax_change": "0.00"}`
	const gone = `{"ref_type": "gone", "income": "0.00", "expense": "0.00", "net": "0.00", "tax": "0.00", "entries": 0, "income_before": "0.05", "expense_before": "0.00", "net_before": "0.05", "tax_before": "0.00", "entries_before": 1,
		"income_change": "-0.05", "expense_change": "0.00", "net_change": "-0.05", "tax_change": "0.00"}`
	require.JSONEq(t, `{`+head+`, "before_from": "2026-01-29T00:00:00Z", "before_to": "2026-03-01T00:00:00Z", "group_by": ["ref_type"], "items": [`+now+`, `+gone+`]}`,
		c.get("/v1/analytics/wallet/comparison?group_by=ref_type&"+span+filters).text)
	want.GroupBy = []clickhouse.Dimension{clickhouse.ByRefType}
	require.Equal(t, want, c.world.wallets[0])
	want.From, want.To = time.Date(2026, 1, 29, 0, 0, 0, 0, time.UTC), from
	require.Equal(t, want, c.world.wallets[1])
	// A month of Berlin against that of the year before, in which clocks changed on another day.
	berlin := c.get("/v1/analytics/wallet/comparison?with=year_before&tz=Europe/Berlin&from=2026-03-29T00:00:00Z&to=2026-03-30T22:00:00Z").text
	require.Contains(t, berlin, `"before_from":"2025-03-29T00:00:00Z","before_to":"2025-03-30T22:00:00Z"`)

	// As of a moment the range ends there at the latest.
	then := moment.Add(-time.Hour)
	for _, target := range []string{"wallet?", "wallet/top?group_by=character&", "wallet/distribution?", "wallet/comparison?"} {
		for _, until := range []string{"", "to=" + moment.Format(time.RFC3339) + "&"} {
			c.world.wallets = nil
			require.Equal(t, http.StatusOK, c.get("/v1/analytics/"+target+until+"as_of="+then.Format(time.RFC3339)).StatusCode, target)
			asked := append([]clickhouse.WalletQuery{c.world.wallet}, c.world.wallets...)[min(1, len(c.world.wallets))]
			require.Equal(t, []time.Time{then.Add(-30 * 24 * time.Hour), then, then}, []time.Time{asked.From, asked.To, asked.AsOf}, target)
		}
	}

	for target, why := range map[string]string{
		"top": "group_by", "top?group_by=moon": "group_by", "top?group_by=character&measure=moon": "measure", "top?group_by=character&limit=1001": "limit", "distribution?group_by=direction": "group_by",
		"comparison?with=moon": "with", "comparison?tz=Moon/Crater": "IANA", "comparison?interval=day": "interval",
	} {
		c.requireProblem(c.get("/v1/analytics/wallet/"+target), http.StatusUnprocessableEntity, why)
	}
	for target, columns := range map[string]string{
		"top?group_by=character&": "rank,character_id,corporation_id,ref_type,direction,counterparty_id,income,", "distribution?": "character_id,corporation_id,ref_type,direction,counterparty_id,entries,sum,", "comparison?": "character_id,corporation_id,ref_type,direction,counterparty_id,income,expense,",
	} {
		lines := c.get("/v1/analytics/wallet/"+target+span, "Accept", "text/csv").text
		require.True(t, strings.HasPrefix(lines, columns), lines)
		require.True(t, strings.HasPrefix(c.get("/v1/analytics/wallet/"+target+span, "Accept", "application/vnd.apache.parquet").text, "PAR1"), target)
	}
}

func TestWalletsOverAWholeRangeAreThoseThatOneMayOpen(t *testing.T) {
	for _, target := range []string{"top?group_by=counterparty", "distribution?group_by=character", "comparison?group_by=character"} {
		path := "/v1/analytics/wallet/" + target
		c := newClient(t)
		asked := func() []int64 {
			if len(c.world.wallets) > 0 {
				require.Equal(t, c.world.wallets[len(c.world.wallets)-1].CharacterIDs, c.world.wallets[len(c.world.wallets)-2].CharacterIDs)
				return c.world.wallets[len(c.world.wallets)-1].CharacterIDs
			}
			return c.world.wallet.CharacterIDs
		}
		c.world.grants, c.world.opens = access.Grants{Active: true, Permissions: []string{"basic_access"}}, []int64{90000001, 90000002}
		c.world.subject.Owner = "ada"
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{90000001, 90000002}, asked())
		c.requireProblem(c.get(path+"&character_id=90000003", as("ada")...), http.StatusNotFound, "90000003")
		c.world.opens = nil
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, []int64{0}, asked(), "nobody's")
		require.Equal(t, http.StatusOK, c.get(path).StatusCode)
		require.Empty(t, asked(), "a program is bounded by its actions")
	}
}
