package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

func (w *world) Search(ctx context.Context, f postgres.SearchFilter) ([]postgres.Hit, error) {
	w.search = f
	values := map[eve.Section]string{
		eve.SectionAssets: `{"item_id":5,"type_id":34,"location_id":60003760,"quantity":2}`, eve.SectionImplants: `9899`,
		eve.SectionMails:     `{"mail_id":7,"from":98000001,"subject":"=fleet","body":"secret"}`,
		eve.SectionContracts: `{"contract_id":7,"price":12.5,"items":[{"type_id":34}],"bids":[]}`,
	}
	value, there := values[f.Section]
	if !there {
		value = `{"odd":1}`
	}
	return []postgres.Hit{
		{CharacterID: 90000001, Name: "Bruce", UserID: "ada", Key: "5", Value: json.RawMessage(value)},
		{CharacterID: 90000002, Name: "Orphan", Key: "5", Value: json.RawMessage(value)},
	}, w.enter(ctx)
}

func (w *world) Types(ctx context.Context, f postgres.TypeFilter) ([]int64, error) {
	if f.Name == "nothing" {
		return []int64{}, w.enter(ctx)
	}
	return []int64{34, 35}, w.enter(ctx)
}

func (w *world) Places(ctx context.Context, _ postgres.PlaceFilter) ([]int64, error) {
	return []int64{60003760, 30000142}, w.enter(ctx)
}

func (w *world) Entities(ctx context.Context, _ string) ([]int64, error) {
	return []int64{98000001}, w.enter(ctx)
}

func TestSearchesSayWhatIsMeant(t *testing.T) {
	c := newClient(t)
	f := func(target string, want postgres.SearchFilter) {
		t.Helper()
		a := c.get("/v1/search/" + target)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		got := c.world.search
		require.Equal(t, want.Section, got.Section)
		require.Equal(t, want.List, got.List)
		require.Equal(t, 101, got.Limit)
		same := func(want, got any) {
			t.Helper()
			w, err := json.Marshal(want)
			require.NoError(t, err)
			g, err := json.Marshal(got)
			require.NoError(t, err)
			if string(w) == "null" {
				w = []byte("{}")
			}
			if string(g) == "null" {
				g = []byte("{}")
			}
			require.JSONEq(t, string(w), string(g))
		}
		same(want.Numbers, got.Numbers)
		same(want.AnyNumber, got.AnyNumber)
		same(want.Holding, got.Holding)
		same(want.Texts, got.Texts)
		same(want.Parts, got.Parts)
		same(want.AtLeast, got.AtLeast)
		same(want.AtMost, got.AtMost)
		require.Equal(t, want.UserID, got.UserID)
		require.Equal(t, want.CharacterID, got.CharacterID)
		require.True(t, want.From.Equal(got.From) && want.To.Equal(got.To))
	}
	type numbers = map[string][]int64
	type texts = map[string]string
	type bounds = map[string]float64
	f("assets", postgres.SearchFilter{Section: eve.SectionAssets})
	f("assets?type_id=34&location_id=7&name=rif&location_flag=Hangar&user_id=ada&character_id=5", postgres.SearchFilter{
		Section: eve.SectionAssets, Numbers: numbers{"type_id": {34}, "location_id": {7}}, Parts: texts{"name": "rif"}, Texts: texts{"location_flag": "Hangar"}, UserID: "ada", CharacterID: 5,
	})
	f("assets?type=trit&region=The%20Forge", postgres.SearchFilter{Section: eve.SectionAssets, Numbers: numbers{"type_id": {34, 35}, "location_id": {60003760, 30000142}}})
	f("assets?type_id=35&group_id=18", postgres.SearchFilter{Section: eve.SectionAssets, Numbers: numbers{"type_id": {35}}})
	f("assets?type_id=99&group=Mineral", postgres.SearchFilter{Section: eve.SectionAssets, Numbers: numbers{"type_id": {}}})
	f("assets?type=nothing", postgres.SearchFilter{Section: eve.SectionAssets, Numbers: numbers{"type_id": {}}})
	f("contacts?name=wayne&contact_type=corporation&standing_at_most=-5", postgres.SearchFilter{
		Section: eve.SectionContacts, List: "contacts", Numbers: numbers{"contact_id": {98000001}}, Texts: texts{"contact_type": "corporation"}, AtMost: bounds{"standing": -5},
	})
	f("contracts?status=outstanding&type=courier&title=red&party_id=9&from=2026-05-01T12:00:00Z&to=2026-05-01T13:00:00Z", postgres.SearchFilter{
		Section: eve.SectionContracts, Texts: texts{"status": "outstanding", "type": "courier"}, Parts: texts{"title": "red"},
		AnyNumber: map[string]int64{"issuer_id,issuer_corporation_id,assignee_id,acceptor_id": 9}, From: moment, To: moment.Add(time.Hour),
	})
	f("mails?subject=fleet&from_name=wayne", postgres.SearchFilter{Section: eve.SectionMails, Parts: texts{"subject": "fleet"}, Numbers: numbers{"from": {98000001}}})
	f("skills?type=gunnery&level_at_least=4", postgres.SearchFilter{Section: eve.SectionSkills, List: "skills", Numbers: numbers{"skill_id": {34, 35}}, AtLeast: bounds{"active_skill_level": 4}})
	f("standings?from_id=500001&from_type=faction&standing_at_least=3.5", postgres.SearchFilter{
		Section: eve.SectionStandings, Numbers: numbers{"from_id": {500001}}, Texts: texts{"from_type": "faction"}, AtLeast: bounds{"standing": 3.5},
	})
	f("implants?type_id=9899", postgres.SearchFilter{Section: eve.SectionImplants, Numbers: numbers{"type_id": {9899}}})
	f("clones?location=jita&type=slave", postgres.SearchFilter{Section: eve.SectionClones, List: "jump_clones", Numbers: numbers{"location_id": {60003760, 30000142}}, Holding: numbers{"implants": {34, 35}}})
	c.requireProblem(c.get("/v1/search/skills?level_at_least=6"), http.StatusUnprocessableEntity, "level_at_least")
	c.requireProblem(c.get("/v1/search/secrets"), http.StatusNotFound, "no such resource")
}

func TestWhatIsFoundSaysWhoseItIs(t *testing.T) {
	c := newClient(t)
	require.JSONEq(t, `{"items": [
		{"character_id": 90000001, "character_name": "Bruce", "user_id": "ada", "item_id": 5, "type_id": 34, "type_name": "Tritanium", "location_id": 60003760, "location_name": "Jita IV - Moon 4", "quantity": 2},
		{"character_id": 90000002, "character_name": "Orphan", "item_id": 5, "type_id": 34, "type_name": "Tritanium", "location_id": 60003760, "location_name": "Jita IV - Moon 4", "quantity": 2}]}`,
		c.get("/v1/search/assets").text)
	mails := c.get("/v1/search/mails").text
	require.NotContains(t, mails, "secret")
	require.Contains(t, mails, `"from_name":"Wayne Enterprises"`)
	require.NotContains(t, c.get("/v1/search/contracts").text, `"items":[{"type_id"`)
	require.Contains(t, c.get("/v1/search/contracts").text, `"price":"12.50"`)
	require.Contains(t, c.get("/v1/search/implants").text, `"type_id":9899`)
	require.Contains(t, c.get("/v1/search/mails", "Accept", "text/csv").text, "'=fleet")
	require.Contains(t, c.get("/v1/search/assets", "Accept", "text/csv").text, "character_id,character_name,user_id,item_id,type_id,type_name")
	require.Equal(t, http.StatusOK, c.get("/v1/search/assets", "Accept", "application/vnd.apache.parquet").StatusCode)
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/search/assets?limit=1").text), &page))
	c.get("/v1/search/assets?limit=1&cursor=" + page.NextCursor)
	require.Equal(t, &postgres.SearchCursor{ID: 90000001, Key: "5"}, c.world.search.After)
	c.requireProblem(c.get("/v1/search/skills?cursor="+page.NextCursor), http.StatusUnprocessableEntity, "cursor")
}

func TestASearchIsBoundedByWhatOneMayOpen(t *testing.T) {
	c := newClient(t)
	for _, kind := range []string{"assets", "contacts", "contracts", "mails", "skills", "standings", "implants", "clones"} {
		c.world.grants = access.Grants{Active: true, Permissions: []string{"finder_access", "view_everything", "characters_access"}}
		c.requireProblem(c.get("/v1/search/"+kind, as("ada")...), http.StatusForbidden, "basic_access")
		c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "view_shared_characters"}}
		require.Equal(t, http.StatusOK, c.get("/v1/search/"+kind, as("ada")...).StatusCode)
		require.Equal(t, &access.View{Owner: "ada", Shared: true, At: moment}, c.world.search.View)
	}
}

func TestASearchFindsInTheRealStores(t *testing.T) {
	s := newStores(t)
	s.appendOrganisation(access.Organisation{
		Users:      []access.OrganisationUser{{ID: "ada", Active: true, State: "Member", Permissions: []string{"basic_access"}}},
		Characters: []access.OrganisationCharacter{{ID: 1, CorporationID: 5, Registered: true, Owner: new("ada")}, {ID: 3, CorporationID: 7, Registered: true}},
	})
	for _, id := range []int64{1, 3} {
		s.append(event.Character(id), moment, eve.SectionObserved{
			CharacterID: id, Section: eve.SectionAssets, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: moment, Value: json.RawMessage(`[{"item_id":11,"type_id":34,"location_id":60003760}]`),
		})
	}
	s.eventually("/v1/search/assets?type_id=34", func(b map[string]any) bool { items, _ := b["items"].([]any); return len(items) == 2 })
	text := s.get("/v1/search/assets", as("ada")...).text
	require.Contains(t, text, `"character_id":1`)
	require.NotContains(t, text, `"character_id":3`)
	require.JSONEq(t, `{"items": []}`, s.get("/v1/search/assets?type=Tritanium").text, "nothing has a name without reference data")
}
