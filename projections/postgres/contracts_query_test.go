package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func TestContractsOfAllCharactersAreReadByDateOfIssue(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	of := func(character int64, items ...string) {
		f := told(eve.SectionContracts, false, items...).(eve.ContractRecorded)
		f.CharacterID = character
		v.fold(event.Character(character), at(1), f)
	}
	of(5, `{"contract_id": 8, "type": "courier", "status": "in_progress", "availability": "public", "title": "t", "date_issued": "2026-05-02T00:00:00Z", "date_expired": "2026-05-09T00:00:00Z",
		"issuer_id": 1, "issuer_corporation_id": 2, "acceptor_id": 0, "assignee_id": 4, "start_location_id": 60003760, "end_location_id": 1000000000001,
		"reward": 1e3, "collateral": 0.005, "price": 243877.49999999997, "volume": 0.10, "days_to_complete": 3,
		"items": [{"record_id": 20, "type_id": 34, "quantity": 5, "is_included": true, "is_singleton": false}, {"record_id": 9, "type_id": 683, "quantity": 1, "raw_quantity": -2, "is_included": false, "is_singleton": true}]}`)
	of(3, `{"contract_id": 8, "date_issued": "2026-05-01T00:00:00Z", "items": [{"record_id": 1}]}`, `{"contract_id": 7, "date_issued": "2026-05-03T00:00:00Z"}`)

	var all []postgres.Contract
	collect := func(filter postgres.ContractFilter) []string {
		t.Helper()
		all = nil
		var keys []string
		require.NoError(t, reader.EachContract(t.Context(), filter, func(k postgres.Contract) error {
			all = append(all, k)
			keys = append(keys, fmt.Sprintf("%d/%d", k.CharacterID, k.ContractID))
			return nil
		}))
		return keys
	}
	require.Equal(t, []string{"3/8", "5/8", "3/7"}, collect(postgres.ContractFilter{}))
	k := all[1]
	require.Equal(t, []any{"courier", "in_progress", "public", "t"}, []any{k.Type, k.Status, k.Availability, k.Title})
	require.Equal(t, []int64{1, 2, 0, 4, 60003760, 1000000000001}, []int64{k.IssuerID, k.IssuerCorporationID, k.AcceptorID, k.AssigneeID, k.StartLocationID, k.EndLocationID})
	require.Equal(t, []eve.ISK{100000, 1, 24387750}, []eve.ISK{*k.Reward, *k.Collateral, *k.Price})
	require.Nil(t, k.BuyoutPrice)
	require.Equal(t, "0.10", *k.Volume)
	require.Equal(t, int64(3), *k.DaysToComplete)
	require.Equal(t, "2026-05-09T00:00:00Z", k.DateExpired.UTC().Format("2006-01-02T15:04:05Z"))
	require.Nil(t, k.DateAccepted)
	require.Nil(t, all[0].Reward, "a row keeps nothing of another")
	require.Nil(t, all[2].Reward)
	require.Equal(t, "2026-05-01", all[0].DateIssued.UTC().Format("2006-01-02"))

	require.Equal(t, []string{"5/8"}, collect(postgres.ContractFilter{CharacterID: 5}))
	require.Equal(t, []string{"5/8"}, collect(postgres.ContractFilter{CorporationID: 11}), "the corporation that he is in now")
	first, second := *all[0].DateIssued, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, []string{"5/8", "3/7"}, collect(postgres.ContractFilter{From: first}))
	require.Equal(t, []string{"3/8"}, collect(postgres.ContractFilter{From: second, To: first}))
	require.Empty(t, collect(postgres.ContractFilter{CharacterID: 5, CorporationID: 10}))
	require.Equal(t, []string{"5/8", "3/7"}, collect(postgres.ContractFilter{From: first, View: &access.View{Owner: "u1"}}))
	require.Equal(t, []string{"3/8", "5/8", "3/7"}, collect(postgres.ContractFilter{View: &access.View{Everything: true}}))
	require.Empty(t, collect(postgres.ContractFilter{From: second, View: &access.View{Owner: "u2", Shared: true}}))
	require.Empty(t, collect(postgres.ContractFilter{View: &access.View{}}))

	var items []postgres.ContractItem
	require.NoError(t, reader.EachContractItem(t.Context(), postgres.ContractFilter{}, func(i postgres.ContractItem) error {
		items = append(items, i)
		return nil
	}))
	require.Equal(t, []postgres.ContractItem{
		{CharacterID: 3, ContractID: 8, RecordID: 1},
		{CharacterID: 5, ContractID: 8, RecordID: 9, TypeID: 683, Quantity: new(int64(1)), RawQuantity: new(int64(-2)), IsSingleton: true},
		{CharacterID: 5, ContractID: 8, RecordID: 20, TypeID: 34, Quantity: new(int64(5)), IsIncluded: true},
	}, items)

	gone := errors.New("gone")
	for name, read := range map[string]func() error{
		"contracts": func() error {
			return reader.EachContract(t.Context(), postgres.ContractFilter{}, func(postgres.Contract) error { return gone })
		},
		"items": func() error {
			return reader.EachContractItem(t.Context(), postgres.ContractFilter{}, func(postgres.ContractItem) error { return gone })
		},
	} {
		require.Equal(t, gone, read(), name)
	}
	require.Zero(t, v.pool.Stat().AcquiredConns(), "a connection is given back")
}

func TestOwnersMembersAndBlueprintsAreLookedUp(t *testing.T) {
	v := organisation(t)
	reader := postgres.NewCharacterReader(v.pool, v.live())
	owners, err := reader.Owners(t.Context(), []int64{5, 3, 77})
	require.NoError(t, err)
	require.Equal(t, map[int64]postgres.Owner{5: {Name: "Bruce Wayne", CorporationID: 11}, 3: {Name: "Alfred 100%_\\", CorporationID: 10}}, owners)
	members, err := reader.Members(t.Context(), 20)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 4}, members)

	known, err := reader.Blueprints(t.Context(), []int64{34, 683})
	require.NoError(t, err)
	require.Empty(t, known, "there is no reference data")
	v.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `CREATE SCHEMA universe;
			CREATE TABLE universe.type_group (group_id bigint PRIMARY KEY, category_id bigint); INSERT INTO universe.type_group VALUES (1, 9), (2, 4), (3, NULL);
			CREATE TABLE universe.type (type_id bigint PRIMARY KEY, group_id bigint); INSERT INTO universe.type VALUES (683, 1), (34, 2), (5, 3), (6, NULL)`)
		return err
	})
	known, err = reader.Blueprints(t.Context(), []int64{34, 683, 5, 6, 7})
	require.NoError(t, err)
	require.Equal(t, map[int64]bool{683: true, 34: false}, known)
}
