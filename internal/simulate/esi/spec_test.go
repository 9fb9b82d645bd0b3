package esi

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
	path := "/" + strings.Join(rt.path, "/")
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
			paged, cursor := false, ""
			for _, p := range op.Parameters {
				paged = paged || p.Value.In == "query" && p.Value.Name == "page"
				switch p.Value.Name {
				case "from_id", "last_mail_id", "from_event":
					cursor = p.Value.Name
				}
			}
			require.Equal(t, paged, rt.paged)
			require.Equal(t, cursor, rt.cursor)
			if op.Extensions["x-cache-mode"] != nil {
				require.True(t, rt.maxAge, "converted routes say max-age")
			}
		})
	}
}

// Unknown values of open lists are served on purpose; everything else follows
// the specification.
func TestAnswersFollowTheSpecification(t *testing.T) {
	doc := specification(t)
	schemas := map[string]*openapi3.Schema{}
	for _, rt := range newRoutes() {
		schemas[rt.name] = operation(t, doc, rt).Responses.Value("200").Value.Content.Get("application/json").Schema.Value
	}
	c := newClient(t, Config{Seed: 2, Characters: 60, PageSize: 100, Window: time.Second})
	c.spread = 2 * time.Second
	seen := map[string]int{}
	for range 3 {
		for id := FirstCharacter; id < FirstCharacter+60; id += 7 {
			c.walk(id, func(rt *route, data string) {
				seen[rt.name]++
				var v any
				require.NoError(t, json.Unmarshal([]byte(data), &v))
				require.NoError(t, onlyOpen(schemas[rt.name].VisitJSON(v, openapi3.MultiErrors())), "%s: %.2000s", rt.name, data)
			})
		}
		c.clock.advance(9*day + 7*time.Hour)
		c.tokens = map[int64]string{}
	}
	for _, rt := range newRoutes() {
		require.Positive(t, seen[rt.name], "nothing was seen of %s", rt.name)
	}
}

// onlyOpen leaves out that a value is not in an open list.
func onlyOpen(err error) error {
	var many openapi3.MultiError
	if !errors.As(err, &many) {
		return err
	}
	var left []error
	for _, one := range many {
		var schema *openapi3.SchemaError
		if !errors.As(one, &schema) || schema.SchemaField != "enum" {
			left = append(left, one)
		}
	}
	return errors.Join(left...)
}
