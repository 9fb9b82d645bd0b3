package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func (w *world) Finder(ctx context.Context, f postgres.FinderFilter) ([]postgres.FinderRow, error) {
	w.find = f
	main := &postgres.Main{CharacterID: 90000001, Name: "Bruce", CorporationID: 98000001, AllianceID: 99000001}
	return []postgres.FinderRow{
		{
			CharacterID: 90000001, Name: "Bruce", CorporationID: 98000001, AllianceID: 99000001, UserID: "ada", Status: postgres.CharacterActive, Since: moment, Shared: true, State: "Member", Main: main,
			Location: postgres.Location{SystemID: 30000142, LocationID: 60003760, System: "Jita", Region: "The Forge", Security: new(0.95)}, FailingSections: 2,
		},
		{CharacterID: 7, Name: "Alt", CorporationID: 5, UserID: "ada", Status: postgres.CharacterUnregistered, Since: moment, State: "Member", Main: main},
	}, w.enter(ctx)
}

func (w *world) FinderTotal(ctx context.Context, _ postgres.FinderFilter) (int, error) {
	return 2, w.enter(ctx)
}

func (w *world) FinderFacets(ctx context.Context, f postgres.FinderFilter) (postgres.FinderFacets, error) {
	w.find = f
	return postgres.FinderFacets{
		Corporations: []postgres.Facet{{ID: 98000001, Characters: 1}}, Systems: []postgres.Facet{{ID: 30000142, Name: "Jita", Characters: 1}}, States: []postgres.Facet{{Name: "Member", Characters: 2}},
	}, w.enter(ctx)
}

func TestTheFinderShowsEveryColumn(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/finder?search=bru&main_alliance_id=99000001&region=The%20Forge&system_id=30000142&status=active&is_main=true&registered=true&main_name=Bruce&state=Member&sort=-main,name,main&total=true")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, postgres.FinderFilter{
		Search: "bru", MainAllianceID: 99000001, Region: "The Forge", SystemID: 30000142, Status: postgres.CharacterActive, IsMain: new(true), Registered: new(true), MainName: "Bruce", State: "Member",
		Order: []postgres.FinderOrder{{Column: "main", Down: true}, {Column: "name"}}, Limit: 101,
	}, c.world.find)
	require.JSONEq(t, `{"total": 2, "items": [
		{"character_id": 90000001, "name": "Bruce", "registered": true, "status": "active", "shared": true, "is_main": true, "corporation_id": 98000001, "corporation_name": "Wayne Enterprises",
			"alliance_id": 99000001, "system_id": 30000142, "system_name": "Jita", "security_status": 0.95, "region": "The Forge", "location_id": 60003760, "location_name": "Jita IV - Moon 4",
			"user_id": "ada", "state": "Member", "main_id": 90000001, "main_name": "Bruce", "main_corporation_id": 98000001, "main_corporation_name": "Wayne Enterprises", "main_alliance_id": 99000001,
			"since": "2026-05-01T12:00:00Z", "failing_sections": 2},
		{"character_id": 7, "name": "Alt", "registered": false, "status": "unregistered", "shared": false, "is_main": false, "corporation_id": 5, "alliance_id": null,
			"system_id": null, "security_status": null, "location_id": null, "user_id": "ada", "state": "Member",
			"main_id": 90000001, "main_name": "Bruce", "main_corporation_id": 98000001, "main_corporation_name": "Wayne Enterprises", "main_alliance_id": 99000001,
			"since": "2026-05-01T12:00:00Z", "failing_sections": 0}]}`, a.text)
	a = c.get("/v1/finder?limit=1&sort=-name")
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	c.get("/v1/finder?sort=-name&cursor=" + page.NextCursor)
	require.Equal(t, int64(90000001), c.world.find.After.ID)
	c.requireProblem(c.get("/v1/finder?sort=name&cursor="+page.NextCursor), http.StatusUnprocessableEntity, "cursor")
	require.Contains(t, c.get("/v1/finder", "Accept", "text/csv").text, "character_id,name,registered,status,shared,is_main,corporation_id")
	require.Equal(t, http.StatusOK, c.get("/v1/finder", "Accept", "application/vnd.apache.parquet").StatusCode)

	facets := c.get("/v1/finder/facets?state=Member")
	require.JSONEq(t, `{"corporations": [{"id": 98000001, "name": "Wayne Enterprises", "characters": 1}], "alliances": [], "main_corporations": [], "main_alliances": [], "regions": [],
		"systems": [{"id": 30000142, "name": "Jita", "characters": 1}], "states": [{"name": "Member", "characters": 2}], "statuses": []}`, facets.text)
	require.Equal(t, http.StatusNotModified, c.get("/v1/finder/facets", "If-None-Match", facets.Header.Get("ETag")).StatusCode)
}

func TestTheFinderIsForThoseWhoMayUseIt(t *testing.T) {
	c := newClient(t)
	for _, path := range []string{"/v1/finder", "/v1/finder/facets"} {
		c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "characters_access", "view_everything"}}
		c.requireProblem(c.get(path, as("ada")...), http.StatusForbidden, "finder_access")
		c.world.grants = access.Grants{Active: true, Permissions: []string{"finder_access"}}
		c.requireProblem(c.get(path, as("ada")...), http.StatusForbidden, "basic_access")
		c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "finder_access", "view_shared_characters"}}
		require.Equal(t, http.StatusOK, c.get(path, as("ada")...).StatusCode)
		require.Equal(t, &access.View{Owner: "ada", Shared: true, At: moment}, c.world.find.View)
		c.get(path)
		require.Nil(t, c.world.find.View, "a program is bounded by its actions")
	}
}

func TestTheFinderFindsInTheRealStores(t *testing.T) {
	s := newStores(t)
	org := access.Organisation{
		Users: []access.OrganisationUser{{ID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access", "finder_access"}, Main: new(int64(1))}},
		Characters: []access.OrganisationCharacter{
			{ID: 1, CorporationID: 5, Registered: true, Owner: new("ada")}, {ID: 2, CorporationID: 6, Owner: new("ada")}, {ID: 3, CorporationID: 7, Registered: true},
		},
	}
	s.appendOrganisation(org)
	s.eventually("/v1/finder?total=true", func(b map[string]any) bool { return b["total"] == 3.0 })
	s.eventually("/v1/finder?main_corporation_id=5", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 2 })
	require.Contains(t, s.get("/v1/finder?registered=false").text, `"corporation_id":6`)
	require.NotContains(t, s.get("/v1/finder", as("ada")...).text, `"character_id":3`)
	require.Contains(t, s.get("/v1/finder/facets", as("ada")...).text, `"states":[{"name":"Member","characters":2}]`)
	s.requireProblem(s.get("/v1/finder?sort=colour"), http.StatusUnprocessableEntity, `there is no column`)
	s.append(event.User("ada"), moment.Add(time.Hour), access.UserRegistered{UserID: "ada", State: "Member", Permissions: []string{"basic_access", "finder_access"}})
	require.Eventually(t, func() bool { return s.get("/v1/finder", as("ada")...).StatusCode == http.StatusForbidden }, 30*time.Second, 50*time.Millisecond)
}
