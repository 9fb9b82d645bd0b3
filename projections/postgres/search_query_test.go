package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// searchable is a small organisation whose characters have something in every section
// that is searched.
func searchable(t *testing.T) (*views, *postgres.CharacterReader) {
	t.Helper()
	v := organisation(t)
	section := func(id int64, s eve.Section, value string) {
		v.fold(event.Character(id), at(5), eve.SectionObserved{CharacterID: id, Section: s, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at(5), Value: json.RawMessage(value)})
	}
	section(1, eve.SectionAssets, `[{"item_id":11,"type_id":34,"location_id":60003760,"location_flag":"Hangar","quantity":5},{"item_id":12,"type_id":587,"location_id":60003760,"name":"My Rifter"}]`)
	section(3, eve.SectionAssets, `[{"item_id":9,"type_id":34,"location_id":11}]`)
	section(3, eve.SectionShip, `{"ship_item_id":77,"ship_type_id":587,"ship_name":"Flown"}`)
	section(1, eve.SectionContacts, `{"contacts":[{"contact_id":501,"contact_type":"alliance","standing":-10},{"contact_id":502,"contact_type":"character","standing":5.5}],"labels":[]}`)
	section(5, eve.SectionSkills, `{"skills":[{"skill_id":3300,"active_skill_level":4,"trained_skill_level":5,"skillpoints_in_skill":1}],"total_sp":1}`)
	section(3, eve.SectionSkills, `{"skills":[{"skill_id":3300,"active_skill_level":2,"trained_skill_level":2,"skillpoints_in_skill":1}],"total_sp":1}`)
	section(5, eve.SectionImplants, `[9899, 10]`)
	section(5, eve.SectionClones, `{"jump_clones":[{"jump_clone_id":1,"location_id":60003760,"implants":[9899]},{"jump_clone_id":2,"location_id":1,"implants":[]}]}`)
	section(5, eve.SectionStandings, `[{"from_id":500001,"from_type":"faction","standing":3.5}]`)
	mail := func(id, key int64, subject string, hour int) {
		v.fold(event.Character(id), at(hour), eve.MailRecorded{Facts: eve.Facts{
			CharacterID: id, Section: eve.SectionMails, Day: at(hour).Format("2006-01-02"), FetchedAt: at(hour),
			Items: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"mail_id":%d,"from":%d,"subject":%q,"timestamp":%q}`, key, 500+id, subject, at(hour).Format("2006-01-02T15:04:05Z")))},
		}})
	}
	mail(1, 7, "Fleet 100%", 1)
	mail(3, 7, "fleet", 2)
	mail(3, 8, "Trade", 3)
	return v, postgres.NewCharacterReader(v.pool, v.live())
}

func TestASearchFindsWhatAllCharactersHave(t *testing.T) {
	_, reader := searchable(t)
	f := func(filter postgres.SearchFilter, want ...string) {
		t.Helper()
		var all []string
		filter.Limit = 1
		for {
			hits, err := reader.Search(t.Context(), filter)
			require.NoError(t, err)
			if len(hits) == 0 {
				break
			}
			all, filter.After = append(all, fmt.Sprint(hits[0].CharacterID, "/", hits[0].Key)), new(hits[0].Cursor())
		}
		require.Equal(t, want, all)
	}
	type numbers = map[string][]int64
	type texts = map[string]string
	assets := func(filter postgres.SearchFilter, want ...string) {
		t.Helper()
		filter.Section = eve.SectionAssets
		f(filter, want...)
	}
	assets(postgres.SearchFilter{}, "1/11", "1/12", "3/9", "3/77")
	assets(postgres.SearchFilter{Numbers: numbers{"type_id": {34}}}, "1/11", "3/9")
	assets(postgres.SearchFilter{Numbers: numbers{"type_id": {587}}}, "1/12", "3/77")
	assets(postgres.SearchFilter{Numbers: numbers{"type_id": {}}})
	assets(postgres.SearchFilter{Numbers: numbers{"type_id": {34}, "location_id": {60003760}}}, "1/11")
	assets(postgres.SearchFilter{Parts: texts{"name": "rif"}}, "1/12")
	assets(postgres.SearchFilter{Parts: texts{"name": "r%f"}})
	assets(postgres.SearchFilter{Texts: texts{"location_flag": "Hangar"}}, "1/11", "3/77")
	assets(postgres.SearchFilter{UserID: "u1"}, "3/9", "3/77")
	assets(postgres.SearchFilter{CharacterID: 1}, "1/11", "1/12")
	assets(postgres.SearchFilter{View: &access.View{Owner: "u2"}}, "1/11", "1/12")
	assets(postgres.SearchFilter{View: &access.View{Owner: "u2"}, UserID: "u1"})
	assets(postgres.SearchFilter{View: &access.View{}})
	assets(postgres.SearchFilter{View: &access.View{Everything: true}, CharacterID: 3}, "3/9", "3/77")
	f(postgres.SearchFilter{Section: eve.SectionContacts, List: "contacts", AtMost: map[string]float64{"standing": 0}}, "1/501")
	f(postgres.SearchFilter{Section: eve.SectionContacts, List: "contacts", Numbers: numbers{"contact_id": {502}}}, "1/502")
	f(postgres.SearchFilter{Section: eve.SectionSkills, List: "skills", Numbers: numbers{"skill_id": {3300}}, AtLeast: map[string]float64{"active_skill_level": 3}}, "5/3300")
	f(postgres.SearchFilter{Section: eve.SectionSkills, List: "skills", AtLeast: map[string]float64{"active_skill_level": 5}})
	f(postgres.SearchFilter{Section: eve.SectionImplants, Numbers: numbers{"type_id": {9899}}}, "5/9899")
	f(postgres.SearchFilter{Section: eve.SectionClones, List: "jump_clones", Holding: numbers{"implants": {9899, 1}}}, "5/1")
	f(postgres.SearchFilter{Section: eve.SectionClones, List: "jump_clones", Numbers: numbers{"location_id": {1}}}, "5/2")
	f(postgres.SearchFilter{Section: eve.SectionStandings, Numbers: numbers{"from_id": {500001}}, AtLeast: map[string]float64{"standing": 3}}, "5/faction/500001")
	f(postgres.SearchFilter{Section: eve.SectionMails}, "3/8", "3/7", "1/7")
	f(postgres.SearchFilter{Section: eve.SectionMails, Parts: texts{"subject": "FLEET"}, From: at(2)}, "3/7")
	f(postgres.SearchFilter{Section: eve.SectionMails, Parts: texts{"subject": "100%"}}, "1/7")
	f(postgres.SearchFilter{Section: eve.SectionMails, Numbers: numbers{"from": {501}}, To: at(2)}, "1/7")
	f(postgres.SearchFilter{Section: eve.SectionMails, AnyNumber: map[string]int64{"to,from": 503}}, "3/8", "3/7")
	hits, err := reader.Search(t.Context(), postgres.SearchFilter{Section: eve.SectionImplants, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "u1", hits[0].UserID)
	require.NotEmpty(t, hits[0].Name)
	_, err = reader.Search(t.Context(), postgres.SearchFilter{Section: "soul", Limit: 1})
	require.Equal(t, event.CodeInternal, event.CodeOf(err))
}

func TestASearchSeesWhatHasChangedSinceTheLastFullObservation(t *testing.T) {
	v, reader := searchable(t)
	v.enter(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO changes VALUES (1, 'assets', '', '11', true, NULL, 0, 99), (1, 'assets', '', '12', false, '{"item_id":12,"type_id":35}', 0, 99), (3, 'assets', '', '10', false, '{"item_id":10,"type_id":35}', 0, 99)`)
		return err
	})
	keys := func(ids ...int64) []string {
		hits, err := reader.Search(t.Context(), postgres.SearchFilter{Section: eve.SectionAssets, Numbers: map[string][]int64{"type_id": ids}, Limit: 10})
		require.NoError(t, err)
		found := []string{}
		for _, h := range hits {
			found = append(found, h.Key)
		}
		return found
	}
	require.Equal(t, []string{"9"}, keys(34))
	require.Equal(t, []string{"12", "10"}, keys(35))
}

// However it is found, what is found is what somebody may see of the types he asks for.
func TestASearchForTypesIsBoundedLikeOneForAll(t *testing.T) {
	v, reader := searchable(t)
	v.fold(event.User("u1"), at(6), access.MainSet{UserID: "u1", CharacterID: new(int64(5))}, access.UserRegistered{UserID: "u1", Active: true, Permissions: []string{"share_characters"}})
	v.fold(event.User("u2"), at(6), access.MainSet{UserID: "u2", CharacterID: new(int64(1))}, access.UserRegistered{UserID: "u2", Active: true})
	v.fold(event.Character(3), at(6), eve.CharacterShared{CharacterID: 3, UserID: "u1"})
	v.fold(event.Character(1), at(6), eve.SectionObserved{
		CharacterID: 1, Section: eve.SectionDetails, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: at(6), Value: json.RawMessage(`{"name":"Zed","corporation_id":20,"alliance_id":77}`),
	})
	search := func(view access.View, numbers map[string][]int64) []string {
		hits, err := reader.Search(t.Context(), postgres.SearchFilter{View: &view, Section: eve.SectionAssets, Numbers: numbers, Limit: 100})
		require.NoError(t, err)
		found := []string{}
		for _, h := range hits {
			found = append(found, fmt.Sprint(h.CharacterID, "/", h.Key))
		}
		return found
	}
	// Character 3 flies a ship that ESI does not list.
	f := func(view access.View, all, typed []string) {
		t.Helper()
		require.Equal(t, all, search(view, nil))
		require.Equal(t, typed, search(view, map[string][]int64{"type_id": {587}}))
	}
	f(access.View{Everything: true}, []string{"1/11", "1/12", "3/9", "3/77"}, []string{"1/12", "3/77"})
	f(access.View{Scope: access.Scope{AllianceID: 77}}, []string{"1/11", "1/12"}, []string{"1/12"})
	f(access.View{Scope: access.Scope{AllianceID: 78}}, []string{}, []string{})
	f(access.View{Owner: "u1", Scope: access.Scope{AllianceID: 77}}, []string{"1/11", "1/12", "3/9", "3/77"}, []string{"1/12", "3/77"})
	f(access.View{Shared: true}, []string{"3/9", "3/77"}, []string{"3/77"})
	f(access.View{Owner: "u2"}, []string{"1/11", "1/12"}, []string{"1/12"})
}

// Of 300,000 assets those of a type or at a place are found by indexes, whoever asks.
func TestASearchAmongManyAssetsIsAnsweredByIndexes(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.bigOrganisation()
	v.enter(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO items SELECT 5 + n % 50000, 'assets', '', (1000000 + n)::text, json_build_object('item_id', 1000000 + n, 'type_id', n % 3000, 'location_id', 60000000 + n % 5000), 0, n FROM generate_series(1, 300000) n;
			INSERT INTO changes SELECT 5 + n % 50000, 'assets', '', (9000000 + n)::text, false, json_build_object('item_id', 9000000 + n, 'type_id', n % 3000, 'location_id', 60000000 + n % 5000), 0, n FROM generate_series(1, 30000) n`)
		return err
	})
	_, err := v.pool.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	schema := pgx.Identifier{v.schema}.Sanitize()
	f := func(filter postgres.SearchFilter, want ...string) {
		t.Helper()
		filter.Section, filter.Limit = eve.SectionAssets, 101
		sql, args := postgres.SearchSQL(schema, filter)
		indexes := map[string]bool{}
		v.plan(sql, args...).walk(func(n node) {
			indexes[n.Index] = true
			if n.Relation == "items" {
				require.NotEqual(t, "Seq Scan", n.Type, "all assets are read")
			}
		})
		for _, index := range want {
			require.True(t, indexes[index], "%s is not used, but %v", index, indexes)
		}
	}
	f(postgres.SearchFilter{Numbers: map[string][]int64{"type_id": {34, 35}}}, "items_asset_type", "changes_asset_type")
	f(postgres.SearchFilter{Numbers: map[string][]int64{"location_id": {60003760}}}, "items_asset_location", "changes_asset_location")
	f(postgres.SearchFilter{View: &access.View{Owner: "u77", Scope: access.Scope{AllianceID: 3077}}}, "items_key", "owners_user", "identities_alliance")
	f(postgres.SearchFilter{View: &access.View{Owner: "u77", Scope: access.Scope{AllianceID: 3077}}, Numbers: map[string][]int64{"type_id": {34}}}, "items_asset_type", "changes_asset_type", "identities_alliance")
	f(postgres.SearchFilter{View: &access.View{Owner: "u77", Shared: true}, Numbers: map[string][]int64{"location_id": {60003760}}}, "items_asset_location", "changes_asset_location", "sharings_shared")
	f(postgres.SearchFilter{UserID: "u77"}, "items_key")
	f(postgres.SearchFilter{}, "items_key")
	f(postgres.SearchFilter{After: &postgres.SearchCursor{ID: 40000, Key: uuid.Nil.String()}}, "items_key")
}
