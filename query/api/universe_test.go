package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

func TestNamesAreLookedUpByID(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/universe/names?types=34,35&locations=60003760&entities=98000001,7")
	require.JSONEq(t, `{"types": {"34": "Tritanium"}, "locations": {"60003760": "Jita IV - Moon 4"}, "entities": {"98000001": "Wayne Enterprises"}}`, a.text)
	require.Equal(t, postgres.NameRequest{Types: []int64{34, 35}, Locations: []int64{60003760}, Entities: []int64{98000001, 7}}, c.world.named)
	require.JSONEq(t, `{"types": {"34": "Tritanium"}, "locations": {"60003760": "Jita IV - Moon 4"}, "entities": {"98000001": "Wayne Enterprises"}}`, c.get("/v1/universe/names").text)
	c.requireProblem(c.get("/v1/universe/names?types="+strings.Repeat("1,", 1000)+"1"), http.StatusUnprocessableEntity, "at most 1000")
}

// Two defects of Member Audit: the structure of an entry and the receiver of its tax
// were lost.
func TestEntriesOfTheJournalCarryNames(t *testing.T) {
	c := newClient(t)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c.world.entries = []clickhouse.JournalEntry{
		{ID: 3, Date: at, Type: "clone", FirstPartyID: 98000001, SecondPartyID: 5, TaxReceiverID: 98000001, ContextID: 60003760, ContextIDType: "station_id", Tax: decimal.New(5, 0)},
		{ID: 2, Date: at, Type: "insurance", ContextID: 34, ContextIDType: "type_id"},
		{ID: 1, Date: at, Type: "contract", ContextID: 98000001, ContextIDType: "contract_id"},
	}
	text := c.get("/v1/characters/90000001/wallet-journal").text
	require.Contains(t, text, `"first_party_id":98000001,"first_party_name":"Wayne Enterprises","second_party_id":5,"description"`)
	require.Contains(t, text, `"context_id":60003760,"context_id_type":"station_id","context_name":"Jita IV - Moon 4"`)
	require.Contains(t, text, `"tax_receiver_id":98000001,"tax_receiver_name":"Wayne Enterprises"`)
	require.Contains(t, text, `"context_id":34,"context_id_type":"type_id","context_name":"Tritanium"`)
	require.Contains(t, text, `"context_id":98000001,"context_id_type":"contract_id","tax"`)
	require.Equal(t, postgres.NameRequest{Types: []int64{34}, Locations: []int64{60003760}, Entities: []int64{98000001, 5, 98000001}}, c.world.named)
}
