package export_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/export"
)

// Defect 14 of Member Audit: of an item of a contract "is singleton" holds whether it is
// a blueprint and "is blueprint" whether it is an original, an entry without an amount
// or a balance ends the export, and nothing keeps a spreadsheet from taking a text for
// a formula.
func TestDefect14EachColumnOfAnExportHoldsWhatItsNameSays(t *testing.T) {
	cells := func(f *facts, topic string) []map[string]string {
		t.Helper()
		rows, err := csv.NewReader(strings.NewReader(csvOf(t, f, topic, export.Filter{}))).ReadAll()
		require.NoError(t, err)
		var named []map[string]string
		for _, row := range rows[1:] {
			cell := map[string]string{}
			for i, name := range rows[0] {
				cell[name] = row[i]
			}
			named = append(named, cell)
		}
		return named
	}
	const blueprint, mineral = 683, 34
	item := func(typeID int64, singleton bool, raw int64) postgres.ContractItem {
		return postgres.ContractItem{CharacterID: 1, ContractID: 7, RecordID: 1, TypeID: typeID, Quantity: new(int64(1)), IsSingleton: singleton, RawQuantity: &raw}
	}
	for _, c := range []struct {
		item                                   postgres.ContractItem
		singleton, blueprint, original, copied string
	}{
		{item(blueprint, true, -1), "yes", "yes", "yes", "no"},
		{item(blueprint, true, -2), "yes", "yes", "no", "yes"},
		{item(blueprint, false, -2), "no", "yes", "no", "yes"},
		{item(mineral, true, -1), "yes", "no", "no", "no"},
		{item(mineral, false, 5), "no", "no", "no", "no"},
	} {
		f := &facts{categories: map[int64]bool{mineral: false, blueprint: true}, items: []postgres.ContractItem{c.item}}
		got := cells(f, "contract-item")[0]
		require.Equal(t, []string{c.singleton, c.blueprint, c.original, c.copied},
			[]string{got["is singleton"], got["is blueprint"], got["is blueprint_original"], got["is blueprint_copy"]})
	}

	f := &facts{entries: []clickhouse.OwnedEntry{
		entry(1, 7, func(e *clickhouse.OwnedEntry) { e.Balance, e.Reason = nil, `=cmd|' /c calc'!A1` }), entry(1, 8, nil),
	}}
	rows := cells(f, "wallet-journal")
	require.Len(t, rows, 2, "an entry without a balance ends nothing")
	require.Empty(t, rows[0]["balance"])
	require.Equal(t, `'=cmd|' /c calc'!A1`, rows[0]["reason"])

	rows = cells(&facts{contracts: []postgres.Contract{{CharacterID: 1, ContractID: 5}}}, "contract")
	for _, amount := range []string{"reward", "collateral", "price", "buyout"} {
		require.Empty(t, rows[0][amount], "an amount that there is none of is none")
	}
}
