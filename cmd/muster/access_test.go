package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVectorsOfOrganisationsEndAsScriptsExpect(t *testing.T) {
	const org = `"org":{"users":[{"id":"u1","superuser":false,"active":true,"state":"Member","permissions":["basic_access"],"main":1,"characters":[1]}],` +
		`"characters":[{"id":1,"corporation_id":2,"alliance_id":null,"registered":true,"shared":false,"owner":"u1"}]}`
	good := map[string]string{
		"access": `{"kind":"access","name":"alone","note":"",` + org + `,"expected":{"viewer":{"u1":[1]},"accessible_users":{"u1":[]},"finder":{"u1":[]},"exports":{"u1":false},"can_share":{"u1":false}}}`,
		"compliance": `{"kind":"compliance","name":"alone","note":"",` + org + `,"expected":{"users":[{"user":"u1","main":1,"total":1,"unregistered":0,"registered":true,"compliant":true}],` +
			`"corporations":[{"corporation_id":2,"mains":1,"characters":1,"unregistered":0,"percent_floor_2":"100.00","compliant":true,"partly":false}]}}`,
	}
	write := func(content string) string {
		path := filepath.Join(t.TempDir(), "cases.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for command, other := range map[string]string{"access": "compliance", "compliance": "access"} {
		stdout, stderr, status := muster(t, command, "--vectors", write(good[command]))
		require.Equal(t, exitOK, status, stderr)
		require.Equal(t, "1 cases, 0 differ\n", stdout)

		wrong := strings.NewReplacer(`"viewer":{"u1":[1]}`, `"viewer":{"u1":[]}`, `"100.00"`, `"99.99"`).Replace(good[command])
		stdout, stderr, status = muster(t, command, "--vectors", write(good[command]+"\n"+wrong))
		require.Equal(t, exitFindings, status, stderr)
		require.Regexp(t, `^alone: result\..+\n2 cases, 1 differ\n$`, stdout)
		require.Empty(t, stderr)

		stdout, stderr, status = muster(t, command, "--vectors", write(good[other]))
		require.Equal(t, exitError, status)
		require.Contains(t, stdout, "0 cases, 0 differ\n")
		require.Contains(t, stderr, "is it the right file?")

		_, stderr, status = muster(t, command)
		require.Equal(t, exitError, status)
		require.Contains(t, stderr, "--vectors")
		_, stderr, status = muster(t, command, "--vectors", filepath.Join(t.TempDir(), "gone"))
		require.Equal(t, exitError, status)
		require.Contains(t, stderr, "gone")
	}
}
