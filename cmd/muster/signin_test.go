//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/query/api"
)

// browser is somebody who goes where he is sent and keeps his cookies.
type browser struct {
	t    *testing.T
	at   string
	http *http.Client
}

func newBrowser(t *testing.T, at string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, at: at, http: &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
}

func (b *browser) ask(method, address, body string, header ...string) (status int, text string, last *url.URL) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	require.NoError(b.t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := b.http.Do(request)
	require.NoError(b.t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return response.StatusCode, string(read), response.Request.URL
}

// signIn signs in and chooses a character at the simulated sign-on.
func (b *browser) signIn(character int64, returnTo string) (status int, text string, last *url.URL) {
	b.t.Helper()
	status, text, last = b.ask(http.MethodGet, b.at+"/auth/sign-in?return="+url.QueryEscape(returnTo), "")
	require.Equal(b.t, http.StatusOK, status, text)
	require.Contains(b.t, text, "Choose a character to log in with")
	q := last.Query()
	q.Set("character_id", strconv.FormatInt(character, 10))
	last.RawQuery = q.Encode()
	return b.ask(http.MethodGet, last.String(), "")
}

func TestAnybodyOfTheDemoSignsInAndSeesWhatIsHis(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	s := oneProcess(t, "MUSTER_LOG_LEVEL=DEBUG")
	l := &life{demoRun: startDemo(t, s, "up"), t: t}
	require.Contains(t, l.up.tail(), s.apiURL+"/auth/sign-in")

	// Somebody who is no superuser.
	var all []characterLine
	require.NoError(t, json.Unmarshal([]byte(l.ok("character", "list", "--status", "active", "--output", "json")), &all))
	var pilot, foreign characterLine
	for _, c := range all {
		switch {
		case *c.UserID == "u1":
			foreign = c
		case pilot.ID == 0:
			pilot = c
		}
	}
	require.NotZero(t, pilot.ID)
	b := newBrowser(t, s.apiURL)
	status, text, last := b.signIn(pilot.ID, "/v1/me")
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, "/v1/me", last.Path)
	require.Contains(t, text, `"id":"user:`+*pilot.UserID+`"`)
	home, err := url.Parse(s.apiURL)
	require.NoError(t, err)
	require.Len(t, b.http.Jar.Cookies(home), 1, "what tied the sign-in to the browser is gone")
	session := b.http.Jar.Cookies(home)[0]
	require.Equal(t, "muster_session", session.Name)

	character := func(id int64) string { return fmt.Sprintf("%s/v1/characters/%d", s.apiURL, id) }
	status, _, _ = b.ask(http.MethodGet, character(pilot.ID), "")
	require.Equal(t, http.StatusOK, status)
	status, _, _ = b.ask(http.MethodGet, character(foreign.ID), "")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "active", l.show(pilot.ID).Login.State, "to sign in costs no login")
	l.ok("character", "update", strconv.FormatInt(pilot.ID, 10), "--section", "wallet")

	// He issues himself a token, from Muster's own pages alone.
	const wanted = `{"name": "script", "scope": ["characters.read"]}`
	status, text, _ = b.ask(http.MethodPost, s.apiURL+"/v1/tokens", wanted, "Origin", "https://evil.example.org")
	require.Equal(t, http.StatusForbidden, status, text)
	status, text, _ = b.ask(http.MethodPost, s.apiURL+"/v1/tokens", wanted, "Origin", s.apiURL)
	require.Equal(t, http.StatusCreated, status, text)
	var issued api.NewlyIssued
	require.NoError(t, json.Unmarshal([]byte(text), &issued))
	script := newBrowser(t, s.apiURL)
	bearer := []string{"Authorization", "Bearer " + issued.Secret}
	status, _, _ = script.ask(http.MethodGet, character(pilot.ID), "", bearer...)
	require.Equal(t, http.StatusOK, status)
	status, _, _ = script.ask(http.MethodGet, character(foreign.ID), "", bearer...)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, l.ok("token", "list"), "script")

	// Who is deactivated is out at once, with his tokens.
	l.ok("import", "-f", written(t, "org.json", fmt.Sprintf(`{"users": [{"id": %q, "active": false, "state": "Guest"}], "characters": []}`, *pilot.UserID)))
	status, _, _ = b.ask(http.MethodGet, s.apiURL+"/v1/me", "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = script.ask(http.MethodGet, s.apiURL+"/v1/me", "", bearer...)
	require.Equal(t, http.StatusUnauthorized, status)
	status, text, _ = b.signIn(pilot.ID, "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "is not active")

	// Another one signs in, and out; a revoked token is good for nothing.
	status, text, _ = b.signIn(foreign.ID, "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, "You are the user u1")
	status, _, _ = b.ask(http.MethodPost, s.apiURL+"/auth/sign-out", "", "Origin", s.apiURL)
	require.Equal(t, http.StatusNoContent, status)
	require.Empty(t, b.http.Jar.Cookies(home))
	program := strings.Fields(strings.Split(l.ok("token", "issue", "night", "--program", "--action", "exports.read"), "\n")[1])
	l.ok("token", "revoke", program[1])
	status, _, _ = script.ask(http.MethodGet, s.apiURL+"/v1/exports", "", "Authorization", "Bearer "+program[0])
	require.Equal(t, http.StatusUnauthorized, status)

	require.Contains(t, l.run("verify"), ", 0 differ")
	log, err := os.ReadFile(l.up.path)
	require.NoError(t, err)
	require.Contains(t, string(log), "signed in")
	for _, secret := range []string{issued.Secret, program[0], session.Value} {
		require.NotContains(t, string(log), secret)
	}
	l.interrupt(t)
}
