package esi

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// specification loads ESI's own description, or skips the test.
func specification(t *testing.T) *openapi3.T {
	dir := os.Getenv("MUSTER_SHARED_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(dir, "data", "esi", "openapi-2026-08-04.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%v: set MUSTER_SHARED_DIR to the folder with the specifications", err)
	}
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(data)
	require.NoError(t, err)
	return doc
}

// operation finds a route of the table in the specification.
func operation(t *testing.T, doc *openapi3.T, rt *route) *openapi3.Operation {
	path := strings.ReplaceAll("/"+strings.Join(rt.path, "/"), "{id}", "{character_id}")
	item := doc.Paths.Value(path)
	require.NotNil(t, item, path)
	op := item.GetOperation(rt.method)
	require.NotNil(t, op, "%s %s", rt.method, path)
	return op
}

// The table is written by hand; here it is held against the specification.
func TestTheTableOfRoutesIsThatOfTheSpecification(t *testing.T) {
	doc := specification(t)
	for _, rt := range newRoutes() {
		t.Run(rt.name, func(t *testing.T) {
			op := operation(t, doc, rt)
			limit, _ := op.Extensions["x-rate-limit"].(map[string]any)
			group, _ := limit["group"].(string)
			require.Equal(t, group, rt.group)
			tokens, _ := limit["max-tokens"].(float64)
			require.Equal(t, int(tokens), rt.tokens)
			if rt.group != "" {
				require.Equal(t, "15m", limit["window-size"])
			}
			ttl, _ := op.Extensions["x-client-cache-ttl"].(float64)
			require.Equal(t, time.Duration(ttl)*time.Second, rt.ttl)
			require.Equal(t, op.Extensions["x-compatibility-date"], rt.since)
			scope := ""
			if op.Security != nil {
				for _, requirement := range *op.Security {
					require.Len(t, requirement["OAuth2"], 1)
					scope = requirement["OAuth2"][0]
				}
			}
			require.Equal(t, scope, rt.scope)
			paged := false
			for _, p := range op.Parameters {
				paged = paged || p.Value.In == "query" && p.Value.Name == "page"
			}
			require.Equal(t, paged, rt.paged)
		})
	}
}

// Unknown values of open lists are served on purpose; everything else follows
// the specification.
func TestAnswersFollowTheSpecification(t *testing.T) {
	doc := specification(t)
	c := newClient(t, Config{Seed: 2, Characters: 60, PageSize: 100})
	for _, rt := range newRoutes() {
		schema := operation(t, doc, rt).Responses.Value("200").Value.Content.Get("application/json").Schema.Value
		for _, data := range c.samples(rt) {
			data = strings.ReplaceAll(data, unknownRefType, "bounty_prizes")
			var v any
			require.NoError(t, json.Unmarshal([]byte(data), &v))
			require.NoError(t, schema.VisitJSON(v), "%s: %s", rt.name, data)
		}
	}
}

// samples are answers of a route, for many characters if it is one of theirs.
func (c *client) samples(rt *route) (all []string) {
	if rt.method == http.MethodPost {
		r := request(rt.method, "/"+strings.Join(rt.path, "/"), strings.NewReader("[90000001,90000002,90000003]"))
		return []string{body(c.t, c.do(r))}
	}
	characters := 1
	if rt.section != sectionNone {
		characters = c.sim.config.Characters
	}
	for id := FirstCharacter; id < FirstCharacter+int64(characters); id++ {
		target := strings.ReplaceAll("/"+strings.Join(rt.path, "/"), "{id}", strconv.FormatInt(id, 10))
		resp := c.get(target, id)
		require.Equal(c.t, http.StatusOK, resp.StatusCode)
		all = append(all, body(c.t, resp))
	}
	return all
}
