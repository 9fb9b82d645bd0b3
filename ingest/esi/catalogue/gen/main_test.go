package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// specification is ESI's OpenAPI document, which is not part of the repository.
func specification(t *testing.T) []byte {
	t.Helper()
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "data", "esi", "openapi-2026-08-04.json"))
	if os.IsNotExist(err) {
		t.Skip("ESI's OpenAPI document is not there; set MUSTER_SHARED_DIR")
	}
	require.NoError(t, err)
	return data
}

func TestTheCommittedCatalogueIsTheDocuments(t *testing.T) {
	spec := specification(t)
	require.Empty(t, drift(t, catalogue.Routes(), spec), "ESI's document and the catalogue differ; run go generate ./ingest/esi/catalogue")
	code, err := Generate(spec)
	require.NoError(t, err)
	committed, err := os.ReadFile(filepath.Join("..", "routes_gen.go"))
	require.NoError(t, err)
	require.Equal(t, string(committed), string(code), "run go generate ./ingest/esi/catalogue")
}

func TestDocumentsThatCannotBeUsedAreRefused(t *testing.T) {
	spec := string(specification(t))
	for want, document := range map[string]string{
		"not an OpenAPI document": "<html>",
		"no compatibility date":   `{"paths":{}}`,
		"is not in the document":  strings.Replace(spec, `"/characters/{character_id}/wallet/journal"`, `"/characters/{character_id}/diary"`, 1),
		"window":                  strings.ReplaceAll(spec, `"15m"`, `"a while"`),
	} {
		_, err := Generate([]byte(document))
		require.ErrorContains(t, err, want)
	}
}

// drift tells what a document says differently of the routes, one line each.
func drift(t *testing.T, committed []catalogue.Route, spec []byte) []string {
	t.Helper()
	var doc document
	require.NoError(t, json.Unmarshal(spec, &doc))
	lines := []string{}
	if now := doc.Components.Parameters.CompatibilityDate.Schema.Enum[0]; now != catalogue.CompatibilityDate {
		lines = append(lines, fmt.Sprintf("compatibility date: %s, was %s", now, catalogue.CompatibilityDate))
	}
	before := map[string]catalogue.Route{}
	for _, route := range committed {
		before[route.Method+" "+route.Template] = route
	}
	for _, o := range wanted() {
		name := cmp.Or(o.Method, http.MethodGet) + " " + o.Path
		route, known := before[name]
		delete(before, name)
		if err := o.fill(doc); err != nil {
			lines = append(lines, err.Error())
			continue
		}
		if !known {
			lines = append(lines, name+": is not in the catalogue")
			continue
		}
		for field, values := range map[string][2]any{
			"operation": {route.Operation, o.ID}, "scopes": {route.Scopes, o.Scopes}, "query": {route.Query, o.Query},
			"rate group": {route.Group, o.Group}, "tokens": {route.MaxTokens, o.MaxTokens}, "window": {route.Window, o.Window},
			"lifetime": {route.TTL, o.TTL}, "daily": {route.Daily, o.Daily}, "since": {route.Since, o.Since},
			"cache":  {strings.ReplaceAll(string(route.Cache), "-", ""), strings.ToLower(o.CacheMode)},
			"paging": {string(route.Paging), paging(o.Paging)},
			"list":   {route.List, o.List},
			"calls":  {fmt.Sprint(route.Calls, route.CallsPer, route.CallsShared), fmt.Sprint(o.Calls, o.CallsPer, o.CallsShared)},
		} {
			if was, now := fmt.Sprint(values[0]), fmt.Sprint(values[1]); was != now {
				lines = append(lines, fmt.Sprintf("%s: %s: %s, was %s", name, field, now, was))
			}
		}
	}
	for name := range before {
		lines = append(lines, name+": is not wanted any more")
	}
	slices.Sort(lines)
	return lines
}

func paging(name string) string {
	return string(map[string]catalogue.Paging{
		"Single": catalogue.Single, "Pages": catalogue.Pages, "FromID": catalogue.FromID,
		"LastMailID": catalogue.LastMailID, "FromEvent": catalogue.FromEvent, "Cursor": catalogue.Cursor,
	}[name])
}

func TestDriftIsToldByRouteAndField(t *testing.T) {
	spec := string(specification(t))
	spec = strings.ReplaceAll(spec, `"2026-08-04"`, `"2027-01-01"`)
	spec = strings.ReplaceAll(spec, `"esi-fittings.read_fittings.v1"`, `"esi-fittings.read.v2"`)
	spec = strings.Replace(spec, `"/characters/{character_id}/mail/lists"`, `"/characters/{character_id}/lists"`, 1)
	got := drift(t, catalogue.Routes(), []byte(spec))
	require.Contains(t, got, "compatibility date: 2027-01-01, was 2026-08-04")
	require.Contains(t, got, "GET /characters/{character_id}/fittings: scopes: [esi-fittings.read.v2], was [esi-fittings.read_fittings.v1]")
	require.Contains(t, got, "GET /characters/{character_id}/mail/lists is not in the document")
	require.Len(t, got, 3)
}

// Whatever the document says of a route that Muster goes by is compared.
func TestDriftOfEachFieldOfARouteIsTold(t *testing.T) {
	const path, name = "/characters/{character_id}/fittings", "GET /characters/{character_id}/fittings: "
	limit := func(field string, value any) func(map[string]any) {
		return func(get map[string]any) { get["x-rate-limit"].(map[string]any)[field] = value }
	}
	set := func(field string, value any) func(map[string]any) {
		return func(get map[string]any) { get[field] = value }
	}
	query := func(parameter string) func(map[string]any) {
		return func(get map[string]any) {
			parameters, _ := get["parameters"].([]any)
			get["parameters"] = append(parameters, map[string]any{"in": "query", "name": parameter})
		}
	}
	for want, change := range map[string]func(map[string]any){
		"lifetime: 10m0s, was 5m0s":                                    set("x-client-cache-ttl", 600),
		"cache: eventbased, was ttlbased":                              set("x-server-cache-mode", "event-based"),
		"cache: notcached, was ttlbased":                               set("x-server-cache-mode", "not-cached"),
		"since: 2026-07-21, was 2020-01-01":                            set("x-compatibility-date", "2026-07-21"),
		"operation: GetFittings, was GetCharactersCharacterIdFittings": set("operationId", "GetFittings"),
		"scopes: [], was [esi-fittings.read_fittings.v1]":              set("security", []any{}),
		"rate group: fittings, was fitting":                            limit("group", "fittings"),
		"tokens: 15, was 150":                                          limit("max-tokens", 15),
		"window: 1m0s, was 15m0s":                                      limit("window-size", "1m"),
		"paging: cursor, was single":                                   set("x-pagination", "cursor"),
		"paging: from-id, was single":                                  query("from_id"),
		"paging: x-pages, was single": func(get map[string]any) {
			ok := get["responses"].(map[string]any)["200"].(map[string]any)
			headers, _ := ok["headers"].(map[string]any)
			if headers == nil {
				headers = map[string]any{}
				ok["headers"] = headers
			}
			headers["X-Pages"] = map[string]any{}
		},
		"query: [ship], was []": query("ship"),
	} {
		var doc map[string]any
		require.NoError(t, json.Unmarshal(specification(t), &doc))
		change(doc["paths"].(map[string]any)[path].(map[string]any)["get"].(map[string]any))
		changed, err := json.Marshal(doc)
		require.NoError(t, err)
		require.Equal(t, []string{name + want}, drift(t, catalogue.Routes(), changed))
	}

	t.Run("a route that is gone, or has another method", func(t *testing.T) {
		for _, change := range []func(map[string]any){
			func(paths map[string]any) { delete(paths, path) },
			func(paths map[string]any) {
				item := paths[path].(map[string]any)
				item["post"] = item["get"]
				delete(item, "get")
			},
		} {
			var doc map[string]any
			require.NoError(t, json.Unmarshal(specification(t), &doc))
			change(doc["paths"].(map[string]any))
			changed, err := json.Marshal(doc)
			require.NoError(t, err)
			require.Equal(t, []string{"GET " + path + " is not in the document"}, drift(t, catalogue.Routes(), changed))
			_, err = Generate(changed)
			require.ErrorContains(t, err, path)
		}
	})
	t.Run("a route that is called and was never generated", func(t *testing.T) {
		routes := catalogue.Routes()
		gone := routes[3]
		require.Equal(t, []string{gone.Method + " " + gone.Template + ": is not in the catalogue"}, drift(t, slices.Delete(routes, 3, 4), specification(t)))
	})
	t.Run("a limit that only we know", func(t *testing.T) {
		routes := catalogue.Routes()
		i := slices.IndexFunc(routes, func(r catalogue.Route) bool { return r.Calls == 20 })
		routes[i].Calls = 30
		require.Equal(t, []string{routes[i].Method + " " + routes[i].Template + ": calls: 20 10s false, was 30 10s false"}, drift(t, routes, specification(t)))
	})
}

func TestEveryRouteOfACharacterIsCalledOrHasAReason(t *testing.T) {
	var doc document
	require.NoError(t, json.Unmarshal(specification(t), &doc))
	called, excused := map[string]bool{}, catalogue.NotCalled()
	for _, route := range catalogue.Routes() {
		if route.Method == http.MethodGet {
			called[route.Template] = true
		}
	}
	for path, item := range doc.Paths {
		if item.Get == nil || !strings.HasPrefix(path, "/characters/{character_id}") {
			continue
		}
		require.NotEqual(t, called[path], excused[path] != "", "%s is either called or not, with a reason", path)
		delete(excused, path)
	}
	require.Empty(t, excused, "these are not in the document")
}

func TestCursorsAreRecognised(t *testing.T) {
	var doc document
	require.NoError(t, json.Unmarshal(specification(t), &doc))
	o := operation{Path: "/characters/{character_id}/military-campaigns/objectives"}
	require.NoError(t, o.fill(doc))
	require.Equal(t, "Cursor", o.Paging)
	require.Empty(t, o.Query)
}

func TestUnknownCacheModesAreTheStrictest(t *testing.T) {
	code, err := Generate([]byte(strings.ReplaceAll(string(specification(t)), `"ttl-based"`, `"moon-phase"`)))
	require.NoError(t, err)
	require.Contains(t, string(code), "TTLBased")
}
