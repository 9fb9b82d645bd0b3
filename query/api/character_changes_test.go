package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/query/api"
)

func changesOf(t *testing.T, a answer) api.SectionChanges {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var page api.SectionChanges
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	return page
}

func TestChangesOfASectionSayWhatWasAddedAndRemovedWithNames(t *testing.T) {
	c := newClient(t)
	page := changesOf(t, c.get("/v1/characters/90000001/implants/changes"))
	require.Len(t, page.Items, 2)
	newest, first := page.Items[0], page.Items[1]
	require.True(t, first.First)
	require.Equal(t, 1, first.AddedCount)
	require.Empty(t, first.Added)
	require.Equal(t, 1, newest.AddedCount)
	require.Equal(t, "35", newest.Added[0].Key)
	require.Equal(t, moment.Add(-98*time.Hour), newest.ObservedAt)
	require.NotZero(t, newest.EventID)
	require.Greater(t, newest.Offset, first.Offset)

	wallet := changesOf(t, c.get("/v1/characters/90000001/wallet/changes?since="+moment.Add(-98*time.Hour).Format(time.RFC3339)))
	require.Len(t, wallet.Items, 1)
	require.Equal(t, &api.ItemChanged{Fields: []string{}, Before: api.Item{"balance": "-29500.01"}, After: api.Item{"balance": "2500000000.50"}}, wallet.Items[0].Value)
	details := changesOf(t, c.get("/v1/characters/90000001/details/changes?limit=1"))
	require.Equal(t, []string{"corporation_id"}, details.Items[0].Value.Fields)
	require.Equal(t, "Wayne Enterprises", details.Items[0].Value.Before["corporation_name"])
	journal := changesOf(t, c.get("/v1/characters/90000001/wallet-journal/changes"))
	require.Equal(t, "150.00", journal.Items[0].Added[0].Item["amount"])
	require.Equal(t, "Wayne Enterprises", journal.Items[0].Added[0].Item["first_party_name"])
	contracts := changesOf(t, c.get("/v1/characters/90000001/contracts/changes"))
	require.Equal(t, "7", contracts.Items[0].Added[0].Key)
	require.Empty(t, changesOf(t, c.get("/v1/characters/90000001/wallet/changes?until="+moment.Add(-99*time.Hour).Format(time.RFC3339))).Items)
}

func TestChangesCanBeReadInBothDirectionsPageByPage(t *testing.T) {
	c := newClient(t)
	for _, order := range []string{"newest", "oldest"} {
		target := "/v1/characters/90000001/wallet/changes?limit=1&order=" + order
		first := changesOf(t, c.get(target))
		second := changesOf(t, c.get(target+"&cursor="+first.NextCursor))
		require.Equal(t, order == "oldest", first.Items[0].ObservedAt.Before(second.Items[0].ObservedAt))
		require.Empty(t, second.NextCursor)
		c.requireProblem(c.get("/v1/characters/90000001/assets/changes?limit=1&order="+order+"&cursor="+first.NextCursor), http.StatusUnprocessableEntity, "cursor")
	}
}

func TestChangesAsATableHaveALineForEach(t *testing.T) {
	c := newClient(t)
	a := c.get("/v1/characters/90000001/assets/changes", "Accept", "text/csv")
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	lines := strings.Split(strings.TrimSpace(a.text), "\r\n")
	require.Len(t, lines, 3)
	require.Equal(t, "observed_at,event_id,topic,partition,offset,first,kind,list,key,fields,before,after", lines[0])
	require.Contains(t, lines[1], `added,,2,,,"{""item_id"":2,""type_id"":34,""type_name"":""Tritanium""}"`)
	require.Contains(t, lines[2], ",true,")
	require.Equal(t, http.StatusOK, c.get("/v1/characters/90000001/assets/changes", "Accept", "application/vnd.apache.parquet").StatusCode)
}

func TestTheTimelineSaysInWordsWhatHappened(t *testing.T) {
	c := newClient(t)
	ask := func(query string) []api.TimelineItem {
		a := c.get("/v1/characters/90000001/timeline" + query)
		require.Equal(t, http.StatusOK, a.StatusCode, a.text)
		var page api.Page[api.TimelineItem]
		require.NoError(t, json.Unmarshal([]byte(a.text), &page))
		return page.Items
	}
	oldest := ask("?order=oldest")
	require.Equal(t, "Registered by user u1.", oldest[0].Words)
	kinds := map[string]string{}
	for _, item := range oldest {
		kinds[item.Kind] = item.Words
		require.NotZero(t, item.EventID)
	}
	require.Equal(t, "Corporation changed from Wayne Enterprises to entity 98000002.", kinds["corporation_changed"])
	require.Equal(t, "Implants changed: +type 35.", kinds["implants_changed"])
	require.Contains(t, kinds["wallet_changed"], "by 2500029500.51 ISK")
	require.Len(t, ask("?kind=wallet_changed,registered"), 2)
	require.Empty(t, ask("?kind=wallet_changed&min_amount=2500029500.52"))
	require.Len(t, ask("?kind=wallet_changed&min_amount=2500029500.51"), 1)
	require.Equal(t, api.Money("2500029500.51"), *ask("?kind=wallet_changed")[0].Amount)
	require.Len(t, ask("?until="+moment.Add(-99*time.Hour).Format(time.RFC3339)), 1)
	c.requireProblem(c.get("/v1/characters/90000001/timeline?kind=odd"), http.StatusUnprocessableEntity, string(eve.HappenedShipChanged))
	c.requireProblem(c.get("/v1/characters/90000001/timeline?min_amount=much"), http.StatusUnprocessableEntity, "min_amount")
	c.requireProblem(c.get("/v1/characters/7/timeline"), http.StatusNotFound, "no character 7")
	c.requireProblem(c.get("/v1/characters/7/wallet/changes"), http.StatusNotFound, "no character 7")
}
