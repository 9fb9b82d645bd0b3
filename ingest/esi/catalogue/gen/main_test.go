package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	code, err := Generate(specification(t))
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

func TestUnknownCacheModesAreTheStrictest(t *testing.T) {
	code, err := Generate([]byte(strings.ReplaceAll(string(specification(t)), `"ttl-based"`, `"moon-phase"`)))
	require.NoError(t, err)
	require.Contains(t, string(code), "TTLBased")
}
