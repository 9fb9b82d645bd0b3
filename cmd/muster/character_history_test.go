package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const lies = `"event_id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "topic": "muster.eve.v1", "partition": 3, "offset": 41`

func TestTheHistoryOfACharacterIsShownAsAsked(t *testing.T) {
	answers := map[string][]string{
		"GET /v1/characters/7/timeline":       {`{"items": [{"at": "2026-05-01T12:00:00Z", "kind": "ship_changed", "section": "ship", "words": "Ship changed from Rifter to Stabber.", ` + lies + `}], "next_cursor": "n"}`, `{"items": [{"at": "2026-04-01T12:00:00Z", "kind": "registered", "words": "=1+1", "actor": "ada", ` + lies + `}]}`},
		"GET /v1/characters/7/assets/changes": {`{"items": [{"observed_at": "2026-05-01T12:00:00Z", ` + lies + `, "added_count": 1, "changed_count": 2, "removed_count": 3, "added": [], "changed": [], "removed": []}]}`},
		"GET /v1/characters/7/wallet":         {`{"value": {"balance": "1.00"}, "as_of": "2026-05-01T12:00:00Z"}`},
	}
	run := func(args ...string) (*characterAPI, string) {
		api := &characterAPI{answers: map[string][]string{}}
		for path, pages := range answers {
			api.answers[path] = append([]string{}, pages...)
		}
		stdout, stderr, exit := api.run(t, append([]string{"history", "7"}, args...)...)
		require.Equal(t, exitOK, exit, stderr)
		return api, stdout
	}
	api, stdout := run("--kind", "ship_changed", "--kind", "registered", "--since", "2026-01-01T00:00:00Z")
	require.Regexp(t, `2026-05-01T12:00:00Z +ship_changed +Ship changed from Rifter to Stabber\. +0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11 +muster\.eve\.v1/3@41`, stdout)
	require.Equal(t, "ship_changed,registered", api.asked[0].query.Get("kind"))
	require.Equal(t, "2026-01-01T00:00:00Z", api.asked[0].query.Get("since"))
	require.Equal(t, "n", api.asked[1].query.Get("cursor"))
	_, stdout = run("--output", "csv")
	require.Contains(t, stdout, "registered,'=1+1,ada,")
	_, stdout = run("--section", "assets")
	require.Regexp(t, `2026-05-01T12:00:00Z +1 +2 +3 +0b0e7f6e`, stdout)
	api, stdout = run("--section", "wallet", "--as-of", "2026-05-01T12:00:00Z")
	require.Contains(t, stdout, `"balance": "1.00"`)
	require.Equal(t, "2026-05-01T12:00:00Z", api.asked[0].query.Get("as_of"))

	_, stderr, exit := (&characterAPI{}).run(t, "history", "7", "--section", "assets", "--kind", "registered")
	require.NotEqual(t, exitOK, exit)
	require.Contains(t, stderr, "--kind")
}

func TestEventsAreListedAndShown(t *testing.T) {
	const one = `{"id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "stream": "eve:character:7", "world": "eve", "type": "muster.eve.section.observed.v1", "stream_version": null,
		"time": "2026-05-01T12:00:00Z", "recorded": "2026-05-01T12:00:01Z", "source": "s", "actor": "", "correlation_id": "", "causation_id": "", "character_id": 7, "consortium": null,
		"section": "wallet", "content_hash": "h", "size": 12, "topic": "muster.eve.v1", "partition": 3, "offset": 41}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, `{"items": [`+one+`]}`, "events", "list", "--character", "7", "--section", "wallet", "--type", "a", "--limit", "5")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/events", asked[0].path)
	require.Regexp(t, `2026-05-01T12:00:00Z +muster\.eve\.section\.observed\.v1 +eve:character:7 +wallet +12 +0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11 +muster\.eve\.v1/3@41`, stdout)
	_, stdout, _, exit = declaring(t, http.StatusOK, `{"items": [`+one+`]}`, "events", "list", "--output", "json")
	require.Equal(t, exitOK, exit)
	require.JSONEq(t, "["+one+"]", stdout)
	asked, stdout, _, exit = declaring(t, http.StatusOK, `{"id": "x", "data": {"n": 1}}`, "events", "show", "a b")
	require.Equal(t, exitOK, exit)
	require.Equal(t, "/v1/events/a%20b", asked[0].path)
	require.Contains(t, stdout, `"n": 1`)
	_, stdout, _, exit = declaring(t, http.StatusOK, `{"items": []}`, "events", "list", "--limit", "0")
	require.NotEqual(t, exitOK, exit)
	require.Empty(t, stdout)
}
