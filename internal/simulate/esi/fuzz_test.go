package esi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the simulator did not issue is no refresh token, and what is one reads
// back to itself.
func FuzzReadRefreshToken(f *testing.F) {
	config := Config{Seed: 1}
	config.setDefaults()
	tokens, err := newIssuer(&config, newWorld(1, 10, 1))
	require.NoError(f, err)
	f.Add(tokens.refreshToken(FirstCharacter, 0, 0))
	f.Add(tokens.refreshToken(FirstCharacter, 2, 17))
	f.Add("bm90IG9uZSBvZiBvdXJzIGF0IGFsbA==")
	f.Fuzz(func(t *testing.T, token string) {
		g, ok := tokens.readRefreshToken(token)
		if ok {
			require.Equal(t, token, tokens.loginToken(g.character, g.transfers, g.login, g.generation))
		}
	})
}

// No request line makes the simulator fail or answer with anything but JSON.
func FuzzRequestLine(f *testing.F) {
	sim, err := New(Config{Clock: (&wallClock{now: start}).time})
	require.NoError(f, err)
	for _, line := range []string{"/characters/90000001", "/characters/%39/wallet", "/characters/90000001/wallet/journal?page=1", "//", "/status?x", "/v3"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		target, err := url.ParseRequestURI(line)
		if err != nil {
			t.Skip() // no server would let it through
		}
		r := &http.Request{Method: http.MethodGet, URL: target, RequestURI: line, Header: http.Header{}}
		rec := httptest.NewRecorder()
		path, _, _ := strings.Cut(line, "?")
		sim.serveESI(rec, r, path)
		require.True(t, json.Valid(rec.Body.Bytes()), "%s", rec.Body)
		require.Less(t, rec.Code, 500)
		sim.Handler().ServeHTTP(httptest.NewRecorder(), r)
	})
}
