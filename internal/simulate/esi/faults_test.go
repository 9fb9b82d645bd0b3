package esi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestWhatHasNotChangedMaySayNothingElse(t *testing.T) {
	for speed, lifetime := range map[float64]bool{1: false, 50: true} {
		c := newClient(t, Config{Seed: 2, Characters: 100, Speed: speed, Epoch: start.Add(-100 * day), TokenLifetime: 100 * day})
		c.sim.config.Speed = speed
		id := c.someone(sectionContracts, 1)
		id += id % 2 // one whose 304s are talkative otherwise
		contracts := path(id, "/contracts")
		first := c.get(contracts, id)
		require.NotEmpty(t, first.Header.Get("X-Pages"))
		require.NoError(t, c.sim.Freeze(c.sim.WorldTime()))
		require.NoError(t, c.sim.Faults().Add(fault.Fault{Kind: fault.BareNotModified}))
		c.clock.advance(time.Hour)
		again := c.get(contracts, id, etag(first.Header.Get("ETag")))
		require.Equal(t, http.StatusNotModified, again.StatusCode)
		require.Empty(t, again.Header.Get("X-Pages"))
		require.NotEmpty(t, again.Header.Get("Last-Modified"), "without it no set of pages could be told from a torn one")
		require.Equal(t, lifetime, again.Header.Get("Expires") != "", "at %v times the clock", speed)
		require.Equal(t, lifetime, again.Header.Get("Cache-Control") != "")
		c.clock.advance(5 * time.Minute)
		c.get(contracts, id, etag(first.Header.Get("ETag")))
		require.Empty(t, c.rules(), "who goes by the lifetime of the specification asks in time")
		require.Equal(t, http.StatusOK, c.get(path(id, "/wallet"), id).StatusCode, "what was never told cannot be unchanged")
	}
}

func TestATornSetIsTornInEveryWay(t *testing.T) {
	c := newClient(t, Config{Seed: 2, PageSize: 40, TokenLifetime: 1000 * time.Hour})
	id := c.someone(sectionAssets, 300)
	require.NoError(t, c.sim.Faults().Add(fault.Fault{Kind: fault.Torn}))
	ways := map[string]bool{}
	list := path(id, "/assets?page=")
	first := c.get(list+"1", id)
	when, err := http.ParseTime(first.Header.Get("Last-Modified"))
	require.NoError(t, err)
	c.clock.advance(10 * time.Second)
	pages, err := strconv.Atoi(first.Header.Get("X-Pages"))
	require.NoError(t, err)
	for page := 2; page <= pages; page++ {
		resp := c.get(list+strconv.Itoa(page), id)
		if resp.StatusCode == http.StatusNotFound {
			continue // there were fewer then
		}
		at, err := http.ParseTime(resp.Header.Get("Last-Modified"))
		switch {
		case resp.Header.Get("Last-Modified") == "":
			ways["undated"] = true
		case err == nil && at.After(when):
			ways["newer"] = true
		case err == nil && at.Before(when):
			ways["older"] = true
		}
	}
	require.Equal(t, map[string]bool{"undated": true, "newer": true, "older": true}, ways)
	served, _ := c.sim.Served(id)
	require.NotContains(t, served.Sections, "assets")
}

func TestErrorsMayBePagesForPeople(t *testing.T) {
	c := newClient(t, Config{})
	c.token(FirstCharacter)
	require.NoError(t, c.sim.Faults().Add(fault.Fault{Kind: fault.HTML, Status: 502, Count: 2}))
	resp := c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	require.Equal(t, 502, resp.StatusCode)
	require.Equal(t, "0", resp.Header.Get("X-Ratelimit-Used"))
	require.Contains(t, body(t, resp), "<html>")
	require.Equal(t, "99", c.get("/markets/prices", 0).Header.Get("X-Esi-Error-Limit-Remain"))
	require.Empty(t, c.rules())
}

func TestARevokedLoginIsRefusedInBothWords(t *testing.T) {
	words := map[string]bool{}
	c := newClient(t, Config{})
	for id := FirstCharacter; id < FirstCharacter+3; id++ {
		require.NoError(t, c.sim.Revoke(id))
		form := "grant_type=refresh_token&refresh_token=" + strings.NewReplacer("+", "%2B", "=", "%3D").Replace(c.sim.tokens.refreshToken(id, 0, 0))
		r := request(http.MethodPost, "/v2/oauth/token", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("muster-simulated", "simulated-secret")
		resp := c.do(r)
		require.Equal(t, 400, resp.StatusCode)
		var answer struct{ Error string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		words[answer.Error] = true
	}
	require.Equal(t, map[string]bool{"invalid_grant": true, "invalid_token": true}, words)
	require.Empty(t, c.rules())
}

func TestAShipInSpaceIsNotListedThoughWhatIsInItIs(t *testing.T) {
	w := newWorld(5, 300, 1)
	at := start
	flown, lying := 0, 0
	for id := FirstCharacter; id < FirstCharacter+300; id++ {
		var ship struct {
			ID int64 `json:"ship_item_id"`
		}
		require.NoError(t, json.Unmarshal(w.appendShip(nil, id, at), &ship))
		var assets []struct {
			ID int64 `json:"item_id"`
		}
		require.NoError(t, json.Unmarshal(w.contentAt(nil, sectionAssets, id, at), &assets))
		require.Len(t, assets, w.assetsCount(id, at))
		listed, ids := false, map[int64]bool{}
		for _, a := range assets {
			require.False(t, ids[a.ID], "%d is listed twice", a.ID)
			ids[a.ID] = true
			listed = listed || a.ID == ship.ID
			_, named := w.assetName(id, a.ID, at)
			require.True(t, named)
		}
		s := w.stockOf(id, at)
		_, station, structure := w.place(id, s.t, s.p.play.seen(at))
		require.Equal(t, station != 0 || structure != 0, listed)
		if listed {
			lying++
			continue
		}
		flown++
		_, named := w.assetName(id, ship.ID, at)
		require.False(t, named, "one bad id fails the whole batch of names")
	}
	require.Greater(t, flown, 30)
	require.Greater(t, lying, 30)
}

// New values of open lists come without notice, in any section.
func TestValuesThatNoSpecificationNamesOccur(t *testing.T) {
	doc := specification(t)
	schemas := map[string]*openapi3.Schema{}
	for _, rt := range newRoutes() {
		schemas[rt.name] = operation(t, doc, rt).Responses.Value("200").Value.Content.Get("application/json").Schema.Value
	}
	c := newClient(t, Config{Seed: 2, Characters: 60, PageSize: 100, Window: time.Second, TokenLifetime: 100 * time.Hour})
	c.spread = 2 * time.Second
	seen := map[string]bool{}
	for id := FirstCharacter; id < FirstCharacter+60; id += 5 {
		c.walk(id, func(rt *route, data string) {
			var v any
			require.NoError(t, json.Unmarshal([]byte(data), &v))
			var many openapi3.MultiError
			if !errors.As(schemas[rt.name].VisitJSON(v, openapi3.MultiErrors()), &many) {
				return
			}
			for _, one := range many {
				var wrong *openapi3.SchemaError
				if errors.As(one, &wrong) && wrong.SchemaField == "enum" {
					seen[rt.name] = true
				}
			}
		})
	}
	require.Equal(t, map[string]bool{"character-assets": true, "character-notifications": true, "character-roles": true, "character-wallet-journal": true}, seen)
}
