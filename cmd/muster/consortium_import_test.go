package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// importedAnswer is what the API says of an import that left something out.
const importedAnswer = `{"consortium": "primed", "dry_run": false, "version": 7,
	"changes": [{"action": "added", "kind": "account", "name": "a@example.com", "after": {"email": "a@example.com"}}],
	"left_out": [{"kind": "workspace", "name": "bp/ws", "cause": "the service account is READER there, no OWNER"}]}`

func TestWhatAnVILHasIsImportedByCommand(t *testing.T) {
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, importedAnswer, "declare", "--consortium", "a b", "--from-anvil",
		"--with-accounts", "--service-account", "app@example.com", "--reason", "the start")
	require.Equal(t, exitFindings, exit, stderr)
	require.Len(t, asked, 1)
	require.Equal(t, http.MethodPost, asked[0].method)
	require.Equal(t, "/v1/anvil/a%20b/imports", asked[0].path)
	require.Equal(t, url.Values{"reason": {"the start"}, "with_accounts": {"true"}, "service_account": {"app@example.com"}}, asked[0].query)
	require.Empty(t, asked[0].body)
	require.Contains(t, stdout, "1 changes applied\n  left out: workspace bp/ws: the service account is READER there, no OWNER\n1 left out\n")

	asked, stdout, _, exit = declaring(t, http.StatusOK, plannedAnswer, "declare", "file", "--consortium", "primed", "--from-anvil", "--dry-run")
	require.Equal(t, exitOK, exit)
	require.Equal(t, url.Values{"dry_run": {"true"}}, asked[0].query)
	require.Contains(t, stdout, "1 changes planned, nothing changed\n")

	_, stdout, _, exit = declaring(t, http.StatusCreated, importedAnswer, "declare", "--consortium", "primed", "--from-anvil", "--output", "json")
	require.Equal(t, exitFindings, exit)
	require.JSONEq(t, importedAnswer, stdout)

	_, stdout, stderr, exit = declaring(t, http.StatusCreated, importedAnswer, "declare", "--consortium", "primed", "--from-anvil", "--output", "csv")
	require.Equal(t, exitFindings, exit)
	require.NotContains(t, stdout, "left out")
	require.Contains(t, stderr, "left out: workspace bp/ws")
}

func TestAFileAndAnImportExcludeEachOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "declared.yaml")
	require.NoError(t, os.WriteFile(file, []byte("service_account: app@example.com\n"), 0o600))
	for _, f := range []struct {
		args []string
		want string
	}{
		{[]string{"-f", file, "--from-anvil"}, "--file and --from-anvil can't be used together"},
		{[]string{"-f", file, "--with-accounts"}, "--with-accounts and --service-account go with --from-anvil"},
		{nil, "--file=FILE or --from-anvil"},
	} {
		asked, _, stderr, exit := declaring(t, http.StatusCreated, plannedAnswer, append([]string{"declare", "--consortium", "primed"}, f.args...)...)
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, f.want)
		require.Empty(t, asked)
	}
}
