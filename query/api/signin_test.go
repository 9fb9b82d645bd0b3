package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// signedIn are the headers of a browser that shows the session.
func signedIn(more ...string) []string {
	return append([]string{"Authorization", "", "Cookie", "muster_session=sess10n"}, more...)
}

func cookies(a answer) map[string]*http.Cookie {
	found := map[string]*http.Cookie{}
	for _, c := range a.Cookies() {
		found[c.Name] = c
	}
	return found
}

func TestSomebodySignsInAndOutAgain(t *testing.T) {
	c := newClient(t)
	a := c.get("/auth/sign-in?return=/docs", "Authorization", "")
	require.Equal(t, http.StatusFound, a.StatusCode)
	require.Equal(t, "https://login.example.org/?state=in.s3cret", a.Header.Get("Location"))
	require.Equal(t, "/docs", c.world.returnTo)
	tied := cookies(a)["muster_sign_in"]
	require.Equal(t, "br0wser", tied.Value)
	require.Equal(t, 600, tied.MaxAge)

	a = c.get("/auth/callback?state=in.good&code=c0de", "Authorization", "", "Cookie", "muster_sign_in=br0wser")
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.text)
	require.Equal(t, "/docs", a.Header.Get("Location"))
	require.Equal(t, api.SignInAnswer{State: "in.good", Code: "c0de", Browser: "br0wser"}, c.world.answered)
	got := cookies(a)
	require.Negative(t, got["muster_sign_in"].MaxAge, "it has served")
	session := got["muster_session"]
	require.Equal(t, "sess10n", session.Value)
	require.Equal(t, 3600, session.MaxAge)
	require.True(t, session.HttpOnly)
	require.False(t, session.Secure, "on one's own machine")
	require.Equal(t, http.SameSiteLaxMode, session.SameSite)
	require.Equal(t, "/", session.Path)
	require.Empty(t, session.Domain)

	require.Contains(t, c.get("/v1/me", signedIn()...).text, `"id":"user:ada","kind":"user"`)
	a = c.do(http.MethodPost, "/auth/sign-out", "", signedIn("Sec-Fetch-Site", "same-origin")...)
	require.Equal(t, http.StatusNoContent, a.StatusCode)
	require.Negative(t, cookies(a)["muster_session"].MaxAge)
	c.requireProblem(c.get("/v1/me", signedIn()...), http.StatusUnauthorized, "over")
	require.Equal(t, http.StatusNoContent, c.do(http.MethodPost, "/auth/sign-out", "", "Authorization", "").StatusCode, "nobody is signed out")
	for _, secret := range []string{"sess10n", "br0wser", "c0de", "s3cret", "in.good"} {
		require.NotContains(t, c.log.String(), secret)
		require.NotContains(t, c.get("/metrics", "Authorization", "").text, secret)
	}
}

func TestBrowsersTakeTheSessionFromHTTPSAlone(t *testing.T) {
	c := newClient(t, func(config *api.Config) { config.Origin = "https://muster.example.org" })
	c.world.returnTo = ""
	a := c.get("/sso/callback?state=in.good&code=c0de", "Authorization", "", "Cookie", "__Host-muster-sign-in=br0wser")
	require.Equal(t, http.StatusOK, a.StatusCode, "an application with a single address has all come back to it")
	require.Contains(t, a.text, "Ada &lt;b&gt;")
	session := cookies(a)["__Host-muster"]
	require.True(t, session.Secure)
	require.True(t, session.HttpOnly)
	require.Equal(t, http.StatusOK, c.get("/v1/me", "Authorization", "", "Cookie", "__Host-muster=sess10n").StatusCode)
	c.requireProblem(c.get("/v1/me", signedIn()...), http.StatusUnauthorized, "token")

	c = newClient(t, func(config *api.Config) { config.Origin = "http://muster.example.org" })
	a = c.get("/auth/sign-in", "Authorization", "")
	require.Equal(t, http.StatusConflict, a.StatusCode)
	require.Contains(t, a.text, "https")
	require.Empty(t, a.Cookies())
}

func TestAnOriginThatIsNoneIsRefused(t *testing.T) {
	for _, origin := range []string{"muster.example.org", "ftp://muster.example.org", "https://muster.example.org/", "https://a@muster.example.org", "https://"} {
		_, err := api.New(configOf(t, func(c *api.Config) { c.Origin = origin }))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), origin)
		require.ErrorContains(t, err, "Config.Origin")
	}
}

func TestAnotherSiteCannotMakeUseOfASession(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true}
	c.world.session = "sess10n"
	post := func(header ...string) answer {
		t.Helper()
		return c.do(http.MethodPost, "/v1/tokens", `{"name": "x"}`, append([]string{"Content-Type", "application/json"}, header...)...)
	}
	for _, from := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example.org"},
		{"Origin", "null"},
	} {
		c.requireProblem(post(signedIn(from...)...), http.StatusForbidden, "another site")
		c.requireProblem(c.do(http.MethodDelete, "/v1/tokens/"+tokenID.String(), "", signedIn(from...)...), http.StatusForbidden, "another site")
		c.requireProblem(c.do(http.MethodPost, "/auth/sign-out", "", signedIn(from...)...), http.StatusForbidden, "another site")
		require.Equal(t, http.StatusCreated, post(append(from, "Authorization", "Bearer "+userToken+"ada")...).StatusCode, "nobody's browser has a bearer token")
	}
	require.Equal(t, "sess10n", c.world.session)
	for _, from := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", "http://example.com"}, {"Origin", "http://localhost"}} {
		require.Equal(t, http.StatusCreated, post(signedIn(from...)...).StatusCode, "%v", from)
	}
	require.Equal(t, http.StatusOK, c.get("/v1/tokens", signedIn("Sec-Fetch-Site", "cross-site")...).StatusCode, "to follow a link changes nothing")
}

func TestATokenThatIsNoGoodIsNoReasonToLookForASession(t *testing.T) {
	c := newClient(t)
	c.world.session = "sess10n"
	for _, authorization := range []string{"Bearer wrong", "Bearer ", "Basic x"} {
		c.requireProblem(c.get("/v1/me", signedIn("Authorization", authorization)...), http.StatusUnauthorized, "token")
	}
	require.Contains(t, c.get("/v1/me", signedIn("Authorization", "Bearer "+token)...).text, `"kind":"administrator"`)
}

func TestWhoCannotSignInIsToldWhyAndKeptWaiting(t *testing.T) {
	now := moment
	c := newClient(t, func(config *api.Config) { config.Now = func() time.Time { return now } })
	refused := func(status int, text string) {
		t.Helper()
		a := c.get("/auth/callback?state=in.s3cret&code=c0de", "Authorization", "")
		require.Equal(t, status, a.StatusCode, a.text)
		require.Contains(t, a.text, text)
		require.NotContains(t, a.text+c.log.String(), "c0de")
		require.NotContains(t, cookies(a), "muster_session")
	}
	for range 10 {
		refused(http.StatusBadRequest, "not known")
	}
	refused(http.StatusTooManyRequests, "Wait a minute")
	require.Equal(t, http.StatusOK, c.get("/auth/callback?state=in.good", "Authorization", "", "Cookie", "muster_sign_in=br0wser").StatusCode, "a good one is not kept waiting")
	now = now.Add(time.Minute)
	refused(http.StatusBadRequest, "not known")
	for range 60 {
		require.Equal(t, http.StatusFound, c.get("/auth/sign-in", "Authorization", "").StatusCode)
	}
	a := c.get("/auth/sign-in", "Authorization", "")
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
	require.Equal(t, "60", a.Header.Get("Retry-After"))
	now = now.Add(time.Minute)
	c.world.err = event.Errorf(event.CodeConflict, "no application")
	require.Contains(t, c.get("/auth/sign-in", "Authorization", "").text, "no application")
	c.world.err = event.Errorf(event.CodeInternal, "the s3cret of a defect")
	a = c.get("/auth/sign-in", "Authorization", "")
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	require.NotContains(t, a.text, "s3cret")
}

func TestATokenTriedFromEverywhereIsKeptWaiting(t *testing.T) {
	c := newClient(t)
	from := func(i int) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer the-same-that-was-revoked")
		r.RemoteAddr = "192.0.2." + string(rune('0'+i%10)) + string(rune('0'+i/10)) + ":1"
		return c.send(r)
	}
	for i := range 10 {
		require.Equal(t, http.StatusUnauthorized, from(i).StatusCode)
	}
	require.Equal(t, http.StatusTooManyRequests, from(11).StatusCode)
}

func TestNobodyAsksFasterThanHeMay(t *testing.T) {
	now := moment
	c := newClient(t, func(config *api.Config) {
		config.Rate, config.Burst, config.Now = 2, 3, func() time.Time { return now }
	})
	for range 3 {
		require.Equal(t, http.StatusOK, c.get("/v1/me", as("ada")...).StatusCode)
	}
	a := c.get("/v1/me", as("ada")...)
	c.requireProblem(a, http.StatusTooManyRequests, "too many requests")
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	c.world.session = "sess10n"
	c.requireProblem(c.get("/v1/me", signedIn()...), http.StatusTooManyRequests, "too many requests")
	require.Equal(t, http.StatusOK, c.get("/v1/me", as("bob")...).StatusCode, "others are not kept waiting")
	for range 10 {
		require.Equal(t, http.StatusOK, c.get("/v1/me").StatusCode, "nor is the administrator")
	}
	now = now.Add(500 * time.Millisecond)
	require.Equal(t, http.StatusOK, c.get("/v1/me", as("ada")...).StatusCode)
	c.requireProblem(c.get("/v1/me", as("ada")...), http.StatusTooManyRequests, "2 a second")
}

func TestWhoAmI(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access", "finder_access", "other.permission"}}
	require.JSONEq(t, `{"id": "user:ada", "kind": "user", "user_id": "ada", "main_id": 90000001, "main_name": "Bruce Wayne", "superuser": false, "permissions": ["basic_access", "finder_access"],
		"actions": ["characters.read", "access-log.read", "analytics.read", "characters.register", "characters.update", "characters.disable", "characters.enable",
			"characters.remove", "characters.unshare", "me.read", "tokens.manage"], "scope": null, "expires_at": null,
		"compliance_groups": [{"group_id": "7d444840-9dc0-11d1-b245-5ffdce74fae1", "name": "Registered", "description": "d", "since": "2026-05-01T12:00:00Z"}]}`, c.get("/v1/me", as("ada")...).text)
	c.world.grants = access.Grants{Active: true}
	require.Contains(t, c.get("/v1/me", as("ada")...).text, `"actions":["me.read","tokens.manage"]`)
	require.Contains(t, c.get("/v1/me", "Authorization", "Bearer "+limited).text, `"kind":"program"`)

	program := access.Principal{ID: "token:" + tokenID.String(), TokenID: tokenID.String(), Scope: []access.Action{access.ActionExport}, Expires: moment.Add(time.Hour)}
	c.world.session, c.world.signedIn = "sess10n", program
	require.JSONEq(t, `{"id": "token:`+tokenID.String()+`", "kind": "program", "main_id": null, "token_id": "`+tokenID.String()+`", "superuser": false, "permissions": [],
		"actions": ["exports.read", "me.read"], "scope": ["exports.read"], "expires_at": "2026-05-01T13:00:00Z", "compliance_groups": []}`, c.get("/v1/me", signedIn()...).text)
	c.requireProblem(c.get("/v1/characters", signedIn()...), http.StatusForbidden, "its token is not for that")

	var admin api.Me
	require.NoError(t, json.Unmarshal([]byte(c.get("/v1/me").text), &admin))
	require.Len(t, admin.Actions, len(access.Actions()))
}

func TestTokensAreIssuedListedAndRevoked(t *testing.T) {
	c := newClient(t)
	c.world.grants = access.Grants{Active: true, Permissions: []string{"basic_access"}}
	a := c.do(http.MethodPost, "/v1/tokens", `{"name": "night export", "scope": ["characters.read"], "expires_at": "2026-05-02T12:00:00Z"}`, as("ada")...)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.text)
	require.Equal(t, "user:ada", c.world.by.ID)
	require.Equal(t, access.NewToken{Name: "night export", UserID: "ada", Scope: []access.Action{access.ActionReadCharacters}, Lifetime: 24 * time.Hour}, c.world.wanted)
	require.Contains(t, a.text, `"token":"muster_tok_S3CRET"`)
	require.NotContains(t, c.log.String(), "S3CRET")
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, "/v1/tokens", `{"name": "sync", "program": true, "scope": ["exports.read"]}`).StatusCode)
	require.Equal(t, access.NewToken{Name: "sync", Scope: []access.Action{access.ActionExport}}, c.world.wanted)
	require.Equal(t, http.StatusCreated, c.do(http.MethodPost, "/v1/tokens", `{"name": "all", "user_id": "bob"}`).StatusCode)
	require.Equal(t, access.NewToken{Name: "all", UserID: "bob"}, c.world.wanted)
	for body, why := range map[string]string{
		`{"name": "x"}`: "say for whom", `{"name": "x", "program": true, "user_id": "ada"}`: "leave program or user_id out",
		`{"name": "x", "user_id": "ada", "expires_at": "2026-05-01T12:00:00Z"}`: "in the future", `{"program": true}`: "name",
	} {
		c.requireProblem(c.do(http.MethodPost, "/v1/tokens", body), http.StatusUnprocessableEntity, why)
	}

	a = c.get("/v1/tokens?limit=2")
	require.NotContains(t, a.text, "S3CRET")
	var page api.Page[api.Token]
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	require.Equal(t, "active", page.Items[0].Status)
	require.Equal(t, []string{"characters.read"}, page.Items[0].Scope)
	require.Equal(t, "expired", page.Items[1].Status)
	require.Nil(t, page.Items[1].Scope)
	require.Contains(t, c.get("/v1/tokens?limit=2&cursor="+page.NextCursor).text, `"status":"revoked"`)

	a = c.do(http.MethodDelete, "/v1/tokens/"+tokenID.String(), "")
	require.Equal(t, http.StatusCreated, a.StatusCode)
	require.JSONEq(t, `{"token_id": "`+tokenID.String()+`", "changed": true, "version": 3}`, a.text)
	c.requireProblem(c.do(http.MethodDelete, "/v1/tokens/"+signInID.String(), ""), http.StatusNotFound, signInID.String())
}

// Every route below /v1 is an operation that says which action it is, so that it passes
// by the rules of access; what lies outside is on the list of
// TestNoRouteAnswersWithoutAValidToken.
func TestEveryRouteBelowV1AsksTheRulesOfAccess(t *testing.T) {
	c := newClient(t)
	asked := 0
	for route, methods := range routes(t, c) {
		if !strings.HasPrefix(route, "/v1/") {
			continue
		}
		item := c.server.OpenAPI().Paths[route]
		require.NotNil(t, item, "%s is served and is no operation", route)
		for _, method := range methods {
			op := operations(item)[method]
			require.NotNil(t, op, "%s %s is served and is no operation", method, route)
			action, _ := op.Metadata["action"].(access.Action)
			require.Contains(t, access.Actions(), action, "%s %s", method, route)
			asked++
		}
	}
	operationsServed := 0
	for _, item := range c.server.OpenAPI().Paths {
		operationsServed += len(operations(item))
	}
	require.Equal(t, operationsServed, asked)
}

func TestAnOperationWithoutAnActionIsNobodys(t *testing.T) {
	c := newClient(t)
	item := c.server.OpenAPI().Paths["/v1/stats"]
	require.NotNil(t, item)
	// The operation is the one that is served.
	delete(item.Get.Metadata, "action")
	c.requireProblem(c.get("/v1/stats"), http.StatusForbidden, "it is not said who may")
}
