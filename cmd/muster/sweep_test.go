package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sweptAnswer is what the API says of a sweep of a part.
const sweptAnswer = `{"sweep_id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "models": ["managed_groups"], "groups": ["g"], "calls": 3, "observed": 1,
	"unseen_count": 1, "unseen": [{"kind": "group_members", "name": "g", "cause": "status 500"}]}`

func TestAPartIsSweptByCommand(t *testing.T) {
	for args, want := range map[string]url.Values{
		"":                                  {},
		"--models accounts":                 {"models": {"accounts"}},
		"--group g --group h":               {"groups": {"g,h"}},
		"--workspace bp/ws":                 {"workspaces": {"bp/ws"}},
		"--group g --workspace bp/ws":       {"groups": {"g"}, "workspaces": {"bp/ws"}},
		"--workspace a/b --workspace=c/d-e": {"workspaces": {"a/b,c/d-e"}},
	} {
		asked, stdout, stderr, exit := declaring(t, http.StatusCreated, sweptAnswer, append([]string{"sweep", "--consortium", "primed"}, strings.Fields(args)...)...)
		require.Equal(t, exitOK, exit, stderr)
		require.Len(t, asked, 1)
		require.Equal(t, http.MethodPost, asked[0].method)
		require.Equal(t, "/v1/anvil/primed/sweeps", asked[0].path)
		require.Equal(t, want, asked[0].query, args)
		require.Contains(t, stdout, "3 calls, 1 records differ from the last sweep, 1 could not be read\n  unknown: group_members g: status 500\n")
	}
	_, stdout, stderr, exit := declaring(t, http.StatusCreated, sweptAnswer, "sweep", "--consortium", "primed", "--group", "g", "--output", "json")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, `"groups": [`)
	for _, args := range []string{"--models accounts --group g", "--models accounts --workspace bp/ws"} {
		asked, _, stderr, exit := declaring(t, http.StatusCreated, sweptAnswer, append([]string{"sweep", "--consortium", "primed"}, strings.Fields(args)...)...)
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, "can't be used together")
		require.Empty(t, asked)
	}
}
