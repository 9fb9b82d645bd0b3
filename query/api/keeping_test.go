package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

func TestARegistrationIsBegunAndAskedFor(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/characters/registrations", `{"user_id": "ada", "character_id": 7, "sections": ["wallet", "mails"]}`)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, api.BeginRegistration{Actor: "token:admin", UserID: "ada", CharacterID: 7, Sections: []eve.Section{eve.SectionWallet, eve.SectionMails}}, c.world.begun)
	var r api.Registration
	require.NoError(t, json.Unmarshal([]byte(a.text), &r))
	require.Equal(t, "https://login.example.org/?state=s3cret", r.AuthorizeURL)
	require.NotContains(t, c.log.String(), "s3cret")

	a = c.get("/v1/characters/registrations/" + signInID.String())
	require.Contains(t, a.text, `"outcome":"registered"`)
	require.NotContains(t, a.text, "authorize_url", "the address is only in the first answer")
	c.requireProblem(c.get("/v1/characters/registrations/"+sweepID.String()), http.StatusNotFound, sweepID.String())
	c.requireProblem(c.get("/v1/characters/registrations/7"), http.StatusUnprocessableEntity, "UUID")
	c.requireProblem(c.do(http.MethodPost, "/v1/characters/registrations", `{"sections": []}`), http.StatusUnprocessableEntity, "user_id")
	c.requireProblem(c.do(http.MethodPost, "/v1/characters/registrations", `{"user_id": "ada", "section": []}`), http.StatusUnprocessableEntity, "section")
}

func TestDecisionsOnCharactersAreHandedOn(t *testing.T) {
	for _, verb := range []api.CharacterVerb{api.VerbDisable, api.VerbEnable, api.VerbRemove, api.VerbForget} {
		c := newClient(t)
		target := "/v1/characters/90000001/" + string(verb)
		a := c.do(http.MethodPost, target+"?expected_version=3", `{"reason": "asked for"}`)
		require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
		require.JSONEq(t, `{"character_id": 90000001, "changed": true, "version": 7}`, a.text)
		require.Equal(t, api.CharacterDecision{Actor: "token:admin", CharacterID: 90000001, Verb: verb, Reason: "asked for", ExpectedVersion: new(int64(3))}, c.world.decided)
		c.world.shown = false
		require.Equal(t, http.StatusAccepted, c.do(http.MethodPost, target, `{"reason": "asked for"}`).StatusCode)
		require.Nil(t, c.world.decided.ExpectedVersion)
	}
	c := newClient(t)
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, "/v1/characters/90000001/enable", "").StatusCode, "enabling needs no body")
	c.requireProblem(c.do(http.MethodPost, "/v1/characters/90000001/forget", ""), http.StatusUnprocessableEntity, "reason")
	c.requireProblem(c.do(http.MethodPost, "/v1/characters/0/enable", ""), http.StatusUnprocessableEntity, "id")
}

func TestSectionsAreAskedForAndReset(t *testing.T) {
	c := newClient(t)
	a := c.do(http.MethodPost, "/v1/characters/90000001/update", `{"sections": ["wallet"]}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
	require.JSONEq(t, `{"character_id": 90000001, "sections": ["details", "wallet"]}`, a.text)
	require.Equal(t, []eve.Section{eve.SectionWallet}, c.world.requested)
	require.False(t, c.world.reset)
	require.Equal(t, http.StatusAccepted, c.do(http.MethodPost, "/v1/characters/90000001/reset", "").StatusCode)
	require.Empty(t, c.world.requested)
	require.True(t, c.world.reset)
}

func TestTheStateOfALoginIsShown(t *testing.T) {
	c := newClient(t)
	require.Contains(t, c.get("/v1/characters/90000001").text, `"login":{"state":"parked","reason":"EVE says so","registered_at":"2026-05-01T12:00:00Z"}`)
}

func TestOnlyAGoodStateFinishesARegistration(t *testing.T) {
	c := newClient(t)
	c.world.came = api.Registration{Status: "completed", CharacterName: `<script>alert("x")</script>`, UserID: "ada&co"}
	page := func(target string, status int) string {
		t.Helper()
		a := c.get(target, "Authorization", "")
		require.Equal(t, status, a.StatusCode, a.text)
		require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", a.Header.Get("Referrer-Policy"))
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", a.Header.Get("X-Frame-Options"))
		require.Equal(t, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", a.Header.Get("Content-Security-Policy"))
		require.NotContains(t, a.text, "s3cret")
		require.NotContains(t, c.log.String(), "s3cret")
		return a.text
	}
	text := page("/sso/callback?state=good&code=s3cret&iss=x", http.StatusOK)
	require.Equal(t, api.SignOnAnswer{State: "good", Code: "s3cret"}, c.world.back)
	require.Contains(t, text, "&lt;script&gt;")
	require.NotContains(t, text, "<script>")
	require.Contains(t, text, "ada&amp;co")

	c.world.came = api.Registration{Status: "failed", Failure: "the player has declined"}
	require.Contains(t, page("/sso/callback?state=good&error=access_denied", http.StatusUnprocessableEntity), "declined")
	require.Equal(t, "access_denied", c.world.back.Error)

	c.world.err = event.Errorf(event.CodeInternal, "the s3cret of a defect")
	a := c.get("/sso/callback?state=good&code=x", "Authorization", "")
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	require.NotContains(t, a.text, "defect")
	c.world.err = nil

	// Guessing is slowed down, for the guesser alone, and says the same each time.
	c = newClient(t)
	first := page("/sso/callback?state=s3cret&code=x", http.StatusBadRequest)
	for range 9 {
		require.Equal(t, first, page("/sso/callback", http.StatusBadRequest))
	}
	page("/sso/callback?state=bad", http.StatusTooManyRequests)
	c.world.came = api.Registration{Status: "completed"}
	page("/sso/callback?state=good&code=x", http.StatusOK)
	require.Equal(t, http.StatusMethodNotAllowed, c.do(http.MethodPost, "/sso/callback?state=good&code=x", "", "Authorization", "").StatusCode)
}
