package esi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestTheSameSeedAndTimeGiveTheSameBytes(t *testing.T) {
	first, second := newClient(t, Config{Seed: 4}), newClient(t, Config{Seed: 4})
	other := newClient(t, Config{Seed: 5})
	differ := 0
	for id := FirstCharacter; id < FirstCharacter+20; id++ {
		for _, rest := range []string{"", "/location", "/wallet", "/wallet/journal"} {
			a, b := first.get(path(id, rest), id), second.get(path(id, rest), id)
			require.Equal(t, a.Header, b.Header)
			bytes := body(t, a)
			require.Equal(t, bytes, body(t, b))
			if body(t, other.get(path(id, rest), id)) != bytes {
				differ++
			}
		}
	}
	require.Greater(t, differ, 60)
}

func TestAnAnswerIsHeldUntilItExpires(t *testing.T) {
	// Two weeks a minute: everything happens fast, but never within a second.
	c := newClient(t, Config{Seed: 1, Speed: 20160, Epoch: start.Add(-300 * day)})
	id := c.busy(1000)
	location := path(id, "/wallet")
	first := c.get(location, id)
	require.Equal(t, "Sat, 21 Nov 2026 12:00:01 GMT", first.Header.Get("Expires"), "120 s, sped up, are the least of 1 s")
	before := body(t, first)
	c.clock.advance(999 * time.Millisecond)
	require.Equal(t, before, body(t, c.get(location, id)), "too early: the old bytes")
	c.clock.advance(time.Millisecond)
	after := c.get(location, id)
	require.NotEqual(t, before, body(t, after), "on time: one jump")
	require.NotEqual(t, first.Header.Get("ETag"), after.Header.Get("ETag"))
	require.Equal(t, "Sat, 21 Nov 2026 12:00:01 GMT", after.Header.Get("Last-Modified"))
}

func TestTheWorldCatchesUpWithThePresentAndStaysThere(t *testing.T) {
	c := newClient(t, Config{Speed: 1000, Epoch: start.Add(-10 * day)})
	require.Equal(t, start.Add(-10*day), c.sim.WorldTime())
	c.clock.advance(time.Minute)
	require.Equal(t, start.Add(-10*day).Add(1000*time.Minute), c.sim.WorldTime())
	c.clock.advance(time.Hour)
	require.Equal(t, c.clock.time(), c.sim.WorldTime())
}

func TestLifetimesAreAnnouncedInBothShapes(t *testing.T) {
	const id = FirstCharacter
	cacheControl := func(shape CacheHeaders, rest string) string {
		c := newClient(t, Config{CacheHeaders: shape})
		return c.get(path(id, rest), id).Header.Get("Cache-Control")
	}
	require.Equal(t, "public, max-age=86400, must-revalidate, stale-if-error=900", cacheControl(CacheHeadersLive, ""))
	require.Equal(t, "private", cacheControl(CacheHeadersLive, "/location"))
	require.Equal(t, "private, max-age=5, must-revalidate, stale-if-error=900", cacheControl(CacheHeadersMaxAge, "/location"))
	require.Equal(t, "public", cacheControl(CacheHeadersExpires, ""))
}

type journalRow struct {
	ID      int64
	Date    time.Time
	RefType string `json:"ref_type"`
	Amount  json.Number
	Balance json.Number
}

// readJournal reads all pages of a journal.
func readJournal(t *testing.T, c *client, id int64) (rows []journalRow, modified []string) {
	for page, pages := 1, 1; page <= pages; page++ {
		resp := c.get(path(id, "/wallet/journal?page="+strconv.Itoa(page)), id)
		require.Equal(t, 200, resp.StatusCode)
		if x := resp.Header.Get("X-Pages"); x != "" {
			pages, _ = strconv.Atoi(x)
		}
		var more []journalRow
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&more))
		rows = append(rows, more...)
		modified = append(modified, resp.Header.Get("Last-Modified"))
	}
	return rows, modified
}

func TestPagesOfAJournalBelongTogether(t *testing.T) {
	c := newClient(t, Config{Seed: 2, PageSize: 100})
	id := c.busy(450)
	rows, modified := readJournal(t, c, id)
	require.Greater(t, len(modified), 4)
	for i := range rows {
		if i > 0 {
			require.Greater(t, rows[i-1].ID, rows[i].ID)
			require.Equal(t, cents(t, rows[i-1].Balance)-cents(t, rows[i-1].Amount), cents(t, rows[i].Balance))
		}
	}
	for _, m := range modified {
		require.Equal(t, modified[0], m)
	}
	require.Empty(t, c.rules())
	var wallet json.Number
	require.NoError(t, json.NewDecoder(c.get(path(id, "/wallet"), id).Body).Decode(&wallet))
	require.Equal(t, cents(t, rows[0].Balance), cents(t, wallet))
}

func TestATornSetCanBeToldByLastModifiedAndIsNotServed(t *testing.T) {
	c := newClient(t, Config{Seed: 2, PageSize: 100, Faults: []fault.Fault{{Kind: fault.Torn, Route: "character-wallet-journal", Count: 1}}})
	id := c.busy(250)
	_, modified := readJournal(t, c, id)
	require.NotEqual(t, modified[0], modified[1])
	served, _ := c.sim.Served(id)
	require.Empty(t, served.Journal, "a correct client throws all of a torn set away")
	c.clock.advance(time.Hour)
	c.tokens = map[int64]string{}
	_, modified = readJournal(t, c, id)
	require.Equal(t, modified[0], modified[1])
	require.Empty(t, c.rules(), "a torn set is read again without ETags")
}

func TestServedIsWhatWasServed(t *testing.T) {
	dir := t.TempDir()
	config := Config{Seed: 2, PageSize: 500, StateDir: dir, Faults: []fault.Fault{{Kind: fault.Truncated, Route: "character-location", Count: 1}}}
	c := newClient(t, config)
	id := c.busy(600)
	c.get(path(id, "/location"), id) // spoilt
	details := body(t, c.get(path(id, ""), 0))
	rows, _ := readJournal(t, c, id)
	check := func(s *Simulator) {
		served, ok := s.Served(id)
		require.True(t, ok)
		require.Len(t, served.Sections, 1)
		require.Equal(t, details, string(served.Sections["details"]))
		require.Len(t, served.Journal, len(rows))
		sum := int64(0)
		for i, got := range served.Journal {
			row := rows[len(rows)-1-i]
			want := ServedEntry{ID: row.ID, Date: row.Date, Amount: cents(t, row.Amount), Balance: cents(t, row.Balance), RefType: row.RefType}
			require.Equal(t, want, got)
			sum += got.Amount
		}
		require.Equal(t, sum, served.JournalSum)
		require.Equal(t, ServedSummary{Characters: 1, Sections: map[string]int{"details": 1}, Details: map[string]int{}, JournalEntries: int64(len(rows)), JournalSum: sum}, s.ServedSummary())
	}
	check(c.sim)

	// The same after a restart, and after one in the midst of writing a line.
	again := newClient(t, config)
	check(again.sim)
	file := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(data, `{"c":900`...), 0o644))
	check(newClient(t, config).sim)

	rec := httptest.NewRecorder()
	again.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/_simulator/served", nil))
	var all struct{ Characters map[string]Served }
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &all))
	require.Len(t, all.Characters, 1)
	require.Len(t, all.Characters[strconv.FormatInt(id, 10)].Journal, len(rows))
}

func TestAConfirmedAnswerCountsAsServedLast(t *testing.T) {
	c := newClient(t, Config{Seed: 1, Speed: 20160, Epoch: start.Add(-300 * day)})
	id := c.busy(1000)
	wallet := path(id, "/wallet")
	first := c.get(wallet, id)
	old := body(t, first)
	c.clock.advance(2 * time.Second)
	require.NoError(t, c.sim.Freeze(c.sim.WorldTime()))
	second := c.get(wallet, id, etag(first.Header.Get("ETag")))
	require.Equal(t, 200, second.StatusCode)
	c.clock.advance(2 * time.Second)
	third := c.get(wallet, id, etag(second.Header.Get("ETag")))
	require.Equal(t, 304, third.StatusCode)
	served, _ := c.sim.Served(id)
	require.Equal(t, body(t, second), string(served.Sections["wallet"]))
	require.NotEqual(t, old, string(served.Sections["wallet"]))
}

func TestAStateFolderKeepsItsWorld(t *testing.T) {
	dir := t.TempDir()
	config := Config{Seed: 2, StateDir: dir, Speed: 60, Epoch: start.Add(-100 * day)}
	c := newClient(t, config)
	c.clock.advance(time.Hour)
	at := c.sim.WorldTime()

	restarted := config
	restarted.Clock, restarted.Epoch, restarted.Speed = c.clock.time, time.Time{}, 1
	again, err := New(restarted)
	require.NoError(t, err)
	require.Equal(t, at, again.WorldTime())
	require.NoError(t, again.Freeze(again.WorldTime()))
	require.NoError(t, again.Close())

	c.clock.advance(time.Hour)
	again, err = New(restarted)
	require.NoError(t, err)
	require.Equal(t, at, again.WorldTime(), "it stays frozen")
	require.NoError(t, again.Freeze(time.Time{}))
	require.Equal(t, at.Add(60*time.Hour), again.WorldTime())
	require.NoError(t, again.Close())

	_, err = New(Config{Seed: 3, StateDir: dir})
	require.ErrorContains(t, err, "seed 2")
}

func TestUnknownFieldsAndTypesOccur(t *testing.T) {
	c := newClient(t, Config{Seed: 2, Characters: 300})
	rows, details := "", ""
	for id := FirstCharacter; id < FirstCharacter+300; id++ {
		details += body(t, c.get(path(id, ""), 0))
		rows += body(t, c.get(path(id, "/wallet/journal"), id))
	}
	for text, all := range map[string]string{unknownRefType: rows, "ledger_tags": rows, "portrait_frame": details, "\\n": rows} {
		require.Positive(t, strings.Count(all, text), text)
	}
	require.Greater(t, strings.Count(rows, unknownRefType), strings.Count(rows, `"id"`)/200)
}

func TestControlsOverHTTP(t *testing.T) {
	c := newClient(t, Config{})
	call := func(method, target, body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		c.handler.ServeHTTP(rec, httptest.NewRequest(method, target, strings.NewReader(body)))
		return rec
	}
	require.Equal(t, 200, call("POST", "/_simulator/faults", `[{"kind":"server-error","rate":0.5,"for":"30s"}]`).Code)
	require.Contains(t, call("GET", "/_simulator/faults", "").Body.String(), "server-error")
	c.clock.advance(31 * time.Second)
	require.JSONEq(t, "[]", call("GET", "/_simulator/faults", "").Body.String())
	require.Equal(t, 400, call("POST", "/_simulator/faults", `[{"kind":"flood"}]`).Code)
	require.Equal(t, 400, call("POST", "/_simulator/faults", `[{"kind":"hang","often":true}]`).Code)
	require.Equal(t, 204, call("DELETE", "/_simulator/faults", "").Code)
	c.get("/nowhere", 0)
	require.Contains(t, call("GET", "/_simulator/violations", "").Body.String(), RuleUnknownRoute)
	require.Contains(t, call("GET", "/_simulator/ledger", "").Body.String(), `"unknown","status":404,"count":1`)
	require.Equal(t, 204, call("DELETE", "/_simulator/violations", "").Code)
	require.Empty(t, c.rules())
	require.Equal(t, 200, call("POST", "/_simulator/freeze", "").Code)
	require.Equal(t, 204, call("POST", "/_simulator/forgive", "").Code)
	require.Equal(t, 404, call("GET", "/_simulator/served?character=5", "").Code)
	require.Equal(t, 404, call("POST", "/_simulator/characters/5", `{"revoke":true}`).Code)
	require.Contains(t, call("GET", "/_simulator/served", "").Body.String(), "{}")
}
