package main

import (
	"io"
	"net/http"
	"net/http/httptest"
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

func TestTheAccessLogIsAskedForByItsFilters(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		body := `{"items":[{"event_id":"7d444840-9dc0-11d1-b245-5ffdce74fad2","last_at":"2026-05-01T12:00:00Z","count":3,"viewer_id":"user:bob","user_id":"ada","character_id":7,"section":"wallet","way":"shared"}],"next_cursor":"next"}`
		if r.URL.Query().Get("cursor") != "" {
			body = `{"items":[{"last_at":"2026-05-01T11:00:00Z","count":1,"viewer_id":"token:admin","section":"list-characters","way":"token","rows":9}]}`
		}
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	stdout, stderr, status := muster(t, "access", "log", "--url", server.URL, "--token", "t", "--user", "ada", "--character", "7", "--since", "2026-05-01T10:00:00Z", "--output", "csv")
	require.Equal(t, exitOK, status, stderr)
	require.Equal(t, "last,viewer,user,character,section,way,count,rows\n2026-05-01T12:00:00Z,user:bob,ada,7,wallet,shared,3,0\n2026-05-01T11:00:00Z,token:admin,,,list-characters,token,1,9\n", stdout)
	require.Equal(t, []string{
		"/v1/access-log?character_id=7&limit=100&since=2026-05-01T10%3A00%3A00Z&user_id=ada",
		"/v1/access-log?character_id=7&cursor=next&limit=100&since=2026-05-01T10%3A00%3A00Z&user_id=ada",
	}, asked)
	stdout, _, status = muster(t, "access", "log", "--url", server.URL, "--token", "t", "--limit", "1", "--output", "csv")
	require.Equal(t, exitOK, status)
	require.Equal(t, 2, strings.Count(stdout, "\n"))
}

func TestACharacterIsSharedByItsOwnersToken(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path+" "+string(body))
		_, _ = w.Write([]byte(`{"character_id":7,"changed":true,"version":3}`))
	}))
	defer server.Close()
	stdout, stderr, status := muster(t, "character", "share", "7", "--url", server.URL, "--token", "t", "--until", "2026-12-24T00:00:00Z")
	require.Equal(t, exitOK, status, stderr)
	require.Equal(t, "character 7 is shared (version 3)\n", stdout)
	stdout, stderr, status = muster(t, "character", "unshare", "7", "--url", server.URL, "--token", "t")
	require.Equal(t, exitOK, status, stderr)
	require.Equal(t, "character 7 is not shared (version 3)\n", stdout)
	require.Equal(t, []string{`PUT /v1/characters/7/share {"until":"2026-12-24T00:00:00Z"}`, "DELETE /v1/characters/7/share "}, asked)
}
