package postgres_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// requireUnregistered asks that the finder lists the unregistered characters of those
// whose registered ones it lists because of who they are.
func requireUnregistered(t *rapid.T, reader *postgres.CharacterReader, org access.Organisation, roster *access.Roster, user string, view access.View) {
	found, err := reader.Finder(t.Context(), postgres.FinderFilter{View: &view, Registered: new(false), Limit: 1000})
	require.NoError(t, err)
	want := []int64{}
	for _, c := range org.Characters {
		if c.Registered {
			continue
		}
		owner := org.Users[slices.IndexFunc(org.Users, func(u access.OrganisationUser) bool { return u.ID == *c.Owner })]
		var home access.Home
		for _, m := range org.Characters {
			if owner.Main != nil && m.ID == *owner.Main {
				home.CorporationID = m.CorporationID
				if m.AllianceID != nil {
					home.AllianceID = *m.AllianceID
				}
			}
		}
		if view.Everything || view.Owner == owner.ID || view.Scope.Contains(home) {
			want = append(want, c.ID)
		}
	}
	slices.Sort(want)
	ids := idsOf(found, func(f postgres.FinderRow) int64 { return f.CharacterID })
	slices.Sort(ids)
	require.Equal(t, want, ids)
	for _, row := range found {
		require.Equal(t, postgres.CharacterUnregistered, row.Status)
		require.False(t, row.Shared)
		require.Equal(t, at(2), row.Since)
	}
	if !roster.Grants(user).Can(access.FinderAccess) {
		require.Empty(t, found)
	}
}

// found is an organisation with everything that the finder tells apart.
func found(t *testing.T) (*views, *postgres.CharacterReader) {
	t.Helper()
	v := organisation(t)
	v.fold(event.User("u1"), at(6), access.UserRegistered{UserID: "u1", Active: true, State: "Member"}, access.MainSet{UserID: "u1", CharacterID: new(int64(5))})
	v.fold(event.User("u2"), at(6), access.UserRegistered{UserID: "u2", Active: true, State: "Blue"}, access.MainSet{UserID: "u2", CharacterID: new(int64(77))},
		access.CharactersListed{UserID: "u2", Characters: []access.ListedCharacter{{CharacterID: 77, Name: "Main 100%", CorporationID: 30, AllianceID: 98}}})
	v.fold(event.Character(1), at(6), eve.SectionObserved{
		CharacterID: 1, Section: eve.SectionLocation, Encoding: eve.EncodingFull, ContentHash: "l", FetchedAt: at(6), Value: json.RawMessage(`{"solar_system_id":30000142,"station_id":60003760}`),
	})
	return v, postgres.NewCharacterReader(v.pool, v.live())
}

func TestTheFinderFilters(t *testing.T) {
	_, reader := found(t)
	f := func(filter postgres.FinderFilter, want ...int64) {
		t.Helper()
		filter.Limit = 100
		list, err := reader.Finder(t.Context(), filter)
		require.NoError(t, err)
		require.Equal(t, append([]int64{}, want...), idsOf(list, func(f postgres.FinderRow) int64 { return f.CharacterID }))
		total, err := reader.FinderTotal(t.Context(), filter)
		require.NoError(t, err)
		require.Equal(t, len(want), total)
	}
	f(postgres.FinderFilter{}, 2, 3, 5, 77, 1, 4)
	f(postgres.FinderFilter{Registered: new(true)}, 2, 3, 5, 1, 4)
	f(postgres.FinderFilter{Registered: new(false)}, 77)
	f(postgres.FinderFilter{Status: postgres.CharacterUnregistered}, 77)
	f(postgres.FinderFilter{Search: "wayne", Registered: new(true)}, 3, 5)
	f(postgres.FinderFilter{Search: "100%"}, 2, 3, 77, 1)
	f(postgres.FinderFilter{Search: "00"}, 2, 3, 77, 1)
	f(postgres.FinderFilter{Prefix: "MAIN 1"}, 2, 77, 1)
	f(postgres.FinderFilter{Prefix: "100"})
	f(postgres.FinderFilter{UserID: "u2"}, 2, 77, 1)
	f(postgres.FinderFilter{CorporationID: 30}, 77)
	f(postgres.FinderFilter{MainCorporationID: 11}, 3, 5)
	f(postgres.FinderFilter{MainCorporationID: 10})
	f(postgres.FinderFilter{MainAllianceID: 98}, 2, 77, 1)
	f(postgres.FinderFilter{MainName: "main 100%"}, 2, 77, 1)
	f(postgres.FinderFilter{MainID: 5}, 3, 5)
	f(postgres.FinderFilter{State: "Blue"}, 2, 77, 1)
	f(postgres.FinderFilter{IsMain: new(true)}, 5, 77)
	f(postgres.FinderFilter{IsMain: new(false)}, 2, 3, 1, 4)
	f(postgres.FinderFilter{SystemID: 30000142}, 1)
	f(postgres.FinderFilter{Region: "Nowhere"})
	f(postgres.FinderFilter{Shared: new(true)})
	f(postgres.FinderFilter{CorporationID: 10, State: "Member"}, 3)
	f(postgres.FinderFilter{View: &access.View{}})
	f(postgres.FinderFilter{View: &access.View{Shared: true}})
	f(postgres.FinderFilter{View: &access.View{Owner: "u2"}}, 2, 77, 1)
	f(postgres.FinderFilter{View: &access.View{Owner: "u1", Scope: access.Scope{AllianceID: 98}}}, 2, 3, 5, 77, 1)
	f(postgres.FinderFilter{View: &access.View{Everything: true}, Status: postgres.CharacterOrphaned}, 4)
	_, err := reader.Finder(t.Context(), postgres.FinderFilter{Order: []postgres.FinderOrder{{Column: "colour"}}, Limit: 1})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestAListedOrphanIsFoundAsBoth(t *testing.T) {
	v, reader := found(t)
	v.fold(event.User("u1"), at(7), access.CharactersListed{UserID: "u1", Characters: []access.ListedCharacter{{CharacterID: 4, Name: "Was mine", CorporationID: 9}}})
	list, err := reader.Finder(t.Context(), postgres.FinderFilter{Prefix: "Was", Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1, "the orphan has its own name")
	require.Equal(t, "u1", list[0].UserID)
	list, err = reader.Finder(t.Context(), postgres.FinderFilter{Order: []postgres.FinderOrder{{Column: "status"}}, Limit: 10})
	require.NoError(t, err)
	var of []string
	for _, f := range list {
		if f.CharacterID == 4 {
			of = append(of, string(f.Status)+" "+f.UserID)
		}
	}
	require.Equal(t, []string{"orphaned ", "unregistered u1"}, of)
}

func TestTheFindersPagesHaveEachRowOnceInAnyOrder(t *testing.T) {
	v := newViews(t, postgres.Characters())
	reader := postgres.NewCharacterReader(v.pool, v.live())
	rapid.Check(t, func(rt *rapid.T) {
		v.empty()
		org := accesstest.Organisation(rt)
		v.foldOrganisation(rt, org)
		var order []postgres.FinderOrder
		for _, column := range rapid.SliceOfNDistinct(rapid.SampledFrom(postgres.FinderColumns()), 0, 3, rapid.ID).Draw(rt, "columns") {
			order = append(order, postgres.FinderOrder{Column: column, Down: rapid.Bool().Draw(rt, "down")})
		}
		whole, err := reader.Finder(rt.Context(), postgres.FinderFilter{Order: order, Limit: 1000})
		require.NoError(rt, err)
		require.Len(rt, whole, len(org.Characters))
		filter := postgres.FinderFilter{Order: order, Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
		var paged []postgres.FinderRow
		for {
			page, err := reader.Finder(rt.Context(), filter)
			require.NoError(rt, err)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			filter.After = new(page[len(page)-1].Cursor())
		}
		require.Len(rt, paged, len(whole))
		for i := range whole {
			require.Equal(rt, whole[i], paged[i])
		}
		if len(order) > 0 && order[0].Column == "state" {
			states := []string{}
			for _, f := range whole {
				states = append(states, strings.ToLower(f.State))
			}
			want := slices.Clone(states)
			slices.Sort(want)
			if order[0].Down {
				slices.Reverse(want)
			}
			require.Equal(rt, want, states)
		}
	})
}

// universe makes the tables of reference data that the finder reads.
func (v *views) universe() {
	v.t.Helper()
	_, err := v.pool.Exec(v.t.Context(), `CREATE SCHEMA IF NOT EXISTS universe;
		CREATE TABLE universe.system (system_id bigint PRIMARY KEY, name text, region text, security double precision);
		CREATE TABLE universe.entity (id bigint PRIMARY KEY, category text, name text);
		INSERT INTO universe.system VALUES (30000142, 'Jita', 'The Forge', 0.95), (30002187, 'Amarr', 'Domain', 1);
		INSERT INTO universe.entity VALUES (10, 'corporation', 'Zeta'), (11, 'corporation', 'alpha')`)
	require.NoError(v.t, err)
	v.t.Cleanup(func() {
		_, err := v.pool.Exec(context.Background(), `DROP SCHEMA universe CASCADE`)
		require.NoError(v.t, err)
	})
}

func TestTheFinderTellsWhereCharactersAre(t *testing.T) {
	v, _ := found(t)
	v.universe()
	reader := postgres.NewCharacterReader(v.pool, v.live())
	list, err := reader.Finder(t.Context(), postgres.FinderFilter{Region: "The Forge", Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, postgres.Location{SystemID: 30000142, LocationID: 60003760, System: "Jita", Region: "The Forge", Security: new(0.95)}, list[0].Location)
	list, err = reader.Finder(t.Context(), postgres.FinderFilter{Order: []postgres.FinderOrder{{Column: "system", Down: true}, {Column: "corporation", Down: true}}, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, int64(1), list[0].CharacterID)
	facets, err := reader.FinderFacets(t.Context(), postgres.FinderFilter{View: &access.View{Owner: "u2"}})
	require.NoError(t, err)
	require.Equal(t, []postgres.Facet{{ID: 30000142, Name: "Jita", Characters: 1}}, facets.Systems)
	require.Equal(t, []postgres.Facet{{Name: "The Forge", Characters: 1}}, facets.Regions)
	require.Equal(t, []postgres.Facet{{Name: "Blue", Characters: 3}}, facets.States)
	require.Equal(t, []postgres.Facet{{ID: 98, Characters: 3}}, facets.MainAlliances)
}

// A program that sees everything goes through 60,000 characters once, whatever it
// orders by: nothing is looked up for one after the other.
func TestAListOfAllCharactersIsMadeInOnePass(t *testing.T) {
	v := newViews(t, postgres.Characters())
	v.bigOrganisation()
	schema := pgx.Identifier{v.schema}.Sanitize()
	for _, column := range []string{"main", "state", "system"} {
		sql, args, err := postgres.FinderSQL(schema, false, postgres.FinderFilter{Order: []postgres.FinderOrder{{Column: column}}, Limit: 101})
		require.NoError(t, err)
		v.taken(sql, args...).walk(func(n node) {
			if n.Relation == "" {
				return
			}
			require.LessOrEqual(t, n.Loops, 101.0, "%s: %s of %s is done for each row", column, n.Type, n.Relation)
		})
		reader := postgres.NewCharacterReader(v.pool, v.live())
		list, err := reader.Finder(t.Context(), postgres.FinderFilter{Order: []postgres.FinderOrder{{Column: column}}, Limit: 101})
		require.NoError(t, err)
		require.Len(t, list, 101, column)
	}
}
