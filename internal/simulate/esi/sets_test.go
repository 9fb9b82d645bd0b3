package esi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// readSet reads all pages of a list.
func (c *client) readSet(id int64, rest string) (elements []json.RawMessage, modified []string) {
	for page, pages := 1, 1; page <= pages; page++ {
		resp := c.get(path(id, rest+"?page="+strconv.Itoa(page)), id)
		require.Equal(c.t, 200, resp.StatusCode)
		if x := resp.Header.Get("X-Pages"); x != "" {
			pages, _ = strconv.Atoi(x)
		}
		var more []json.RawMessage
		require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&more))
		elements = append(elements, more...)
		modified = append(modified, resp.Header.Get("Last-Modified"))
	}
	return elements, modified
}

func TestOnlyACompleteSetOfPagesIsServed(t *testing.T) {
	c := newClient(t, Config{Seed: 2, PageSize: 40, TokenLifetime: 10 * time.Hour, Faults: []fault.Fault{{Kind: fault.Torn, Route: "character-assets", Count: 1}}})
	id := c.someone(sectionAssets, 130)
	_, modified := c.readSet(id, "/assets")
	require.Greater(t, len(modified), 3)
	require.NotEqual(t, modified[0], modified[1])
	served, _ := c.sim.Served(id)
	require.NotContains(t, served.Sections, "assets")
	c.clock.advance(time.Hour)
	assets, modified := c.readSet(id, "/assets")
	for _, m := range modified {
		require.Equal(t, modified[0], m)
	}
	want, err := json.Marshal(assets)
	require.NoError(t, err)
	served, _ = c.sim.Served(id)
	require.JSONEq(t, string(want), string(served.Sections["assets"]))
	require.Empty(t, c.rules(), "a torn set is read again without ETags")
}

func TestSkillsAreStaleUntilTheNextLogin(t *testing.T) {
	c := newClient(t, Config{Seed: 2, Characters: 30, TokenLifetime: 1000 * time.Hour})
	kept, changed := 0, 0
	for id := FirstCharacter; id < FirstCharacter+30; id++ {
		before, tag := time.Time{}, ""
		for range 12 {
			login := c.sim.world.lastLogin(id, c.sim.WorldTime())
			resp := c.get(path(id, "/skillqueue"), id, etag(tag))
			require.Contains(t, resp.Header.Get("Cache-Control"), "max-age=60")
			if login.Equal(before) {
				require.Equal(t, 304, resp.StatusCode, "nobody logged in")
				kept++
			} else if resp.StatusCode == http.StatusOK {
				changed++
			}
			before, tag = login, resp.Header.Get("ETag")
			c.clock.advance(3 * time.Hour)
		}
	}
	require.Positive(t, kept)
	require.Greater(t, changed, 30)
	require.Empty(t, c.rules())
}
