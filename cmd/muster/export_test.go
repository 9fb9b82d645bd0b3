package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exportAPI answers with an export, as the API does.
type exportAPI struct {
	// torn has the answer break off.
	torn   bool
	accept string
	query  url.Values
}

func (a *exportAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.accept, a.query = r.Header.Get("Accept"), r.URL.Query()
	switch r.URL.Path {
	case "/v1/exports":
		_, _ = io.WriteString(w, `{"items": [{"topic": "contract", "title": "Contract", "description": "All of them.", "columns": [{"name": "status", "type": "text"}], "formats": ["text/csv"]}]}`)
	case "/v1/exports/contract":
		_, _ = io.WriteString(w, "status\r\nfinished\r\n")
		if a.torn {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	default:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"detail": "there is no export \"moon\": choose from contract"}`)
	}
}

func (a *exportAPI) run(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	server := httptest.NewServer(a)
	defer server.Close()
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = p.run(t.Context(), append(append([]string{"export"}, args...), "--url", server.URL, "--token", "let-me-in"))
	return out.String(), errs.String(), exit
}

func TestAnExportBecomesAFileWhenItIsWhole(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	api := &exportAPI{}
	_, stderr, exit := api.run(t, "contract", "--character", "5", "--corporation", "6", "--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00+02:00")
	require.Equal(t, exitOK, exit, stderr)
	content, err := os.ReadFile(filepath.Join(folder, "muster_contract.csv"))
	require.NoError(t, err)
	require.Equal(t, "status\r\nfinished\r\n", string(content))
	require.Contains(t, stderr, "muster_contract.csv: 18 bytes")
	require.Equal(t, "text/csv", api.accept)
	require.Equal(t, url.Values{"character_id": {"5"}, "corporation_id": {"6"}, "from": {"2026-01-01T00:00:00Z"}, "to": {"2026-02-01T00:00:00+02:00"}}, api.query)

	stdout, stderr, exit := api.run(t, "contract", "--format", "parquet", "-o", "-")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "status\r\nfinished\r\n", stdout)
	require.Equal(t, "application/vnd.apache.parquet", api.accept)
	require.Empty(t, api.query)
}

func TestATornExportLeavesWhatWasThere(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "contracts.csv")
	require.NoError(t, os.WriteFile(name, []byte("of yesterday"), 0o600))
	api := &exportAPI{torn: true}
	_, stderr, exit := api.run(t, "contract", "-o", name)
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "broke off")
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "of yesterday", string(content))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left beside it")

	_, stderr, exit = api.run(t, "contract", "-o", "-")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "broke off")
}

func TestAnExportThatDoesNotExistLeavesNoFile(t *testing.T) {
	folder := t.TempDir()
	_, stderr, exit := (&exportAPI{}).run(t, "moon", "-o", filepath.Join(folder, "moon.csv"))
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "choose from contract")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
	_, stderr, exit = (&exportAPI{}).run(t, "contract", "-o", filepath.Join(folder, "none", "x.csv"))
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "making a file")
}

func TestExportsAreListedByCommand(t *testing.T) {
	stdout, stderr, exit := (&exportAPI{}).run(t, "list")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, "contract  1        All of them.")
	stdout, _, _ = (&exportAPI{}).run(t, "list", "--output", "json")
	require.Contains(t, stdout, `"status"`)
}
