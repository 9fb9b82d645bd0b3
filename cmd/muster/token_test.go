package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/signin"
	"github.com/muster-sync/muster/query/api"
)

const (
	oneToken = `{"token_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "name": "night export", "scope": ["exports.read"], "status": "active", "issued_by": "token:admin",
		"issued_at": "2026-05-01T12:00:00Z", "expires_at": "2026-07-30T12:00:00Z", "revoked_at": null, "last_used_at": "2026-05-02T01:00:00Z"`
	adasToken = `{"token_id": "7d444840-9dc0-11d1-b245-5ffdce74fad6", "name": "script", "user_id": "ada", "scope": null, "status": "revoked", "issued_by": "user:ada",
		"issued_at": "2026-05-01T12:00:00Z", "expires_at": "2026-07-30T12:00:00Z", "revoked_at": "2026-05-02T12:00:00Z", "revoked_by": "user:ada", "last_used_at": null}`
)

func TestATokenIsIssuedByCommand(t *testing.T) {
	answer := oneToken + `, "token": "muster_tok_S3CRET"}`
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, answer, "token", "issue", "night export", "--program", "--action", "exports.read", "--days", "30")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, http.MethodPost, asked[0].method)
	require.Equal(t, "/v1/tokens", asked[0].path)
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(asked[0].body), &body))
	expires, err := time.Parse(time.RFC3339Nano, body["expires_at"].(string))
	require.NoError(t, err)
	require.InDelta(t, 30*24, time.Until(expires).Hours(), 1)
	delete(body, "expires_at")
	require.Equal(t, map[string]any{"name": "night export", "program": true, "scope": []any{"exports.read"}}, body)
	require.Regexp(t, `(?m)^muster_tok_S3CRET +7d444840-\S+ +night export +a program +exports.read +2026-07-30T12:00:00Z$`, stdout)
	require.NotContains(t, stderr, "S3CRET")

	asked, stdout, _, _ = declaring(t, http.StatusCreated, answer, "token", "issue", "x", "--user", "ada", "-o", "csv")
	require.Len(t, asked, 1)
	require.True(t, strings.HasPrefix(stdout, "token,id,name,for,scope,expires\nmuster_tok_S3CRET,"), stdout)
	asked, stdout, _, _ = declaring(t, http.StatusCreated, answer, "token", "issue", "x", "-o", "json")
	require.Len(t, asked, 1)
	require.JSONEq(t, answer, stdout)
	_, _, stderr, exit = declaring(t, http.StatusCreated, answer, "token", "issue", "x", "--user", "ada", "--program")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, "--user and --program can't be used together")
}

func TestTokensAreListedAndRevokedByCommand(t *testing.T) {
	list := `{"items": [` + oneToken + `}, ` + adasToken + `]}`
	_, stdout, stderr, exit := declaring(t, http.StatusOK, list, "token", "list")
	require.Equal(t, exitOK, exit, stderr)
	require.Regexp(t, `(?m)^\S+fad5 +night export +a program +exports.read +active +token:admin +2026-05-01 +2026-07-30 +2026-05-02T01:00:00Z$`, stdout)
	require.Regexp(t, `(?m)^\S+fad6 +script +ada +all +revoked +user:ada +2026-05-01 +2026-07-30 +never$`, stdout)
	_, stdout, _, exit = declaring(t, http.StatusOK, list, "token", "list", "-o", "json")
	require.Equal(t, exitOK, exit)
	require.JSONEq(t, `[`+oneToken+`}, `+adasToken+`]`, stdout)

	answer := `{"token_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "changed": true, "version": 7}`
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, answer, "token", "revoke", "7d444840-9dc0-11d1-b245-5ffdce74fad5")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, http.MethodDelete, asked[0].method)
	require.Equal(t, "/v1/tokens/7d444840-9dc0-11d1-b245-5ffdce74fad5", asked[0].path)
	require.Equal(t, "token 7d444840-9dc0-11d1-b245-5ffdce74fad5 is revoked\n", stdout)
	_, stdout, _, exit = declaring(t, http.StatusCreated, strings.Replace(answer, "true", "false", 1), "token", "revoke", "x")
	require.Equal(t, exitOK, exit)
	require.Contains(t, stdout, "was revoked already")
	_, stdout, _, exit = declaring(t, http.StatusCreated, answer, "token", "revoke", "x", "-o", "csv")
	require.Equal(t, exitOK, exit)
	require.Equal(t, "id,changed,version\n7d444840-9dc0-11d1-b245-5ffdce74fad5,yes,7\n", stdout)
}

func TestPeopleComeBackToWhereMusterIs(t *testing.T) {
	f := func(set doorSettings, registration, listen, callback, origin string) {
		t.Helper()
		got := set.callbackURL(registration, listen)
		require.Equal(t, callback, got)
		at, err := originOf(got)
		require.NoError(t, err)
		require.Equal(t, origin, at)
	}
	f(doorSettings{}, "", "127.0.0.1:8080", "http://127.0.0.1:8080/auth/callback", "http://127.0.0.1:8080")
	f(doorSettings{}, "", "0.0.0.0:8080", "http://127.0.0.1:8080/auth/callback", "http://127.0.0.1:8080")
	f(doorSettings{}, "https://muster.example.org/sso/callback", ":8080", "https://muster.example.org/auth/callback", "https://muster.example.org")
	f(doorSettings{SignInCallbackURL: "https://m.example.org/sso/callback"}, "https://muster.example.org/sso/callback", ":8080", "https://m.example.org/sso/callback", "https://m.example.org")
	_, err := originOf("/auth/callback")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestOneAddressTellsSignInsFromRegistrations(t *testing.T) {
	require.Equal(t, signin.StatePrefix, api.SignInStatePrefix)
}

func TestTheAdministratorsTokenComesFirst(t *testing.T) {
	admin, err := access.NewAdminToken(strings.Repeat("a", 32))
	require.NoError(t, err)
	other, err := access.NewAdminToken(strings.Repeat("b", 32))
	require.NoError(t, err)
	both := access.Authenticators{admin, other}
	for _, good := range []string{strings.Repeat("a", 32), strings.Repeat("b", 32)} {
		p, err := both.Authenticate(t.Context(), good)
		require.NoError(t, err)
		require.True(t, p.Superuser)
	}
	_, err = both.Authenticate(t.Context(), "c")
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
}
