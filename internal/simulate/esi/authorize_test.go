package esi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const verifier = "a-verifier-of-more-than-forty-three-characters-0123456789"

// authorize logs a character in; it returns the code.
func (c *client) authorize(character int64, scopes []string, change func(url.Values)) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"muster-simulated-public"}, "redirect_uri": {"http://127.0.0.1:8080/callback?keep=1"},
		"state": {"s 1"}, "scope": {strings.Join(scopes, " ")}, "character_id": {strings.TrimPrefix(path(character, ""), "/characters/")},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	change(q)
	resp := c.do(httptest.NewRequest(http.MethodGet, "/v2/oauth/authorize?"+q.Encode(), nil))
	if resp.StatusCode != http.StatusFound {
		return ""
	}
	back, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(c.t, err)
	require.Equal(c.t, "s 1", back.Query().Get("state"))
	require.Equal(c.t, "1", back.Query().Get("keep"))
	return back.Query().Get("code")
}

type tokenAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	status  int
}

func (c *client) tokenForm(form url.Values, basic bool) tokenAnswer {
	r := httptest.NewRequest(http.MethodPost, "/v2/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth("muster-simulated", "simulated-secret")
	}
	resp := c.do(r)
	answer := tokenAnswer{status: resp.StatusCode}
	require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer
}

func (c *client) exchange(code string) tokenAnswer {
	return c.tokenForm(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"muster-simulated-public"}, "code_verifier": {verifier},
	}, false)
}

func (c *client) renew(refresh string) tokenAnswer {
	return c.tokenForm(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"muster-simulated-public"}}, false)
}

func asIs(url.Values) {}

func TestALoginWithPKCEGrantsTheScopesThatWereAskedFor(t *testing.T) {
	c := newClient(t, Config{StateDir: t.TempDir()})
	answer := c.exchange(c.authorize(FirstCharacter, []string{scopeWallet, scopeAssets}, asIs))
	require.Equal(t, 200, answer.status)
	b, err := c.sim.tokens.parse(answer.Access)
	require.NoError(t, err)
	require.Equal(t, "muster-simulated-public", b.application)
	require.Equal(t, []string{scopeAssets, scopeWallet}, b.scopes)
	require.Equal(t, 200, c.get(path(FirstCharacter, "/wallet"), 0, header("Authorization", "Bearer "+answer.Access)).StatusCode)
	require.Empty(t, c.rules())
	renewed := c.renew(answer.Refresh)
	require.Equal(t, 200, renewed.status)
	require.NotEqual(t, answer.Refresh, renewed.Refresh)
	again, err := c.sim.tokens.parse(renewed.Access)
	require.NoError(t, err)
	require.Equal(t, b.scopes, again.scopes)
}

func TestALoginWithASecretNeedsNoPKCE(t *testing.T) {
	c := newClient(t, Config{})
	code := c.authorize(FirstCharacter, Scopes(), func(q url.Values) {
		q.Set("client_id", "muster-simulated")
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	})
	answer := c.tokenForm(url.Values{"grant_type": {"authorization_code"}, "code": {code}}, true)
	require.Equal(t, 200, answer.status)
	require.Empty(t, c.rules())
}

func TestAPlayerWhoDeclinesIsSentBackWithoutACode(t *testing.T) {
	c := newClient(t, Config{})
	q := url.Values{
		"response_type": {"code"}, "client_id": {"muster-simulated"}, "redirect_uri": {"http://127.0.0.1:8080/callback?keep=1"}, "state": {"s 1"}, "decline": {"1"},
	}
	resp := c.do(httptest.NewRequest(http.MethodGet, "/v2/oauth/authorize?"+q.Encode(), nil))
	require.Equal(t, http.StatusFound, resp.StatusCode)
	back, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, url.Values{"error": {"access_denied"}, "state": {"s 1"}, "keep": {"1"}}, back.Query())
	require.Empty(t, c.rules())
}

func TestWithoutScopesThereIsNoRefreshToken(t *testing.T) {
	c := newClient(t, Config{})
	answer := c.exchange(c.authorize(FirstCharacter, nil, asIs))
	require.Equal(t, 200, answer.status)
	require.Empty(t, answer.Refresh)
}

func TestACodeIsGoodOnceAndForFiveMinutes(t *testing.T) {
	c := newClient(t, Config{})
	code := c.authorize(FirstCharacter, Scopes(), asIs)
	c.clock.advance(5*time.Minute - time.Second)
	require.Equal(t, 200, c.exchange(code).status)
	require.Equal(t, "invalid_grant", c.exchange(code).Error)
	late := c.authorize(FirstCharacter, Scopes(), asIs)
	c.clock.advance(5 * time.Minute)
	require.Equal(t, "invalid_grant", c.exchange(late).Error)
	require.Equal(t, []string{RuleTokenRequest, RuleTokenRequest}, c.rules())
}

func TestTheVerifierMustBeThatOfTheChallenge(t *testing.T) {
	c := newClient(t, Config{})
	code := c.authorize(FirstCharacter, Scopes(), func(q url.Values) { q.Set("code_challenge", challengeOf("another")) })
	require.Equal(t, 400, c.exchange(code).status)
}

func TestABrowserMustBeSentWithAllThatIsNeeded(t *testing.T) {
	for name, change := range map[string]func(url.Values){
		"unknown client":    func(q url.Values) { q.Set("client_id", "other") },
		"no redirect":       func(q url.Values) { q.Del("redirect_uri") },
		"another response":  func(q url.Values) { q.Set("response_type", "token") },
		"no state":          func(q url.Values) { q.Del("state") },
		"unknown scope":     func(q url.Values) { q.Set("scope", "esi-bookmarks.read_character_bookmarks.v1") },
		"no challenge":      func(q url.Values) { q.Del("code_challenge") },
		"a plain challenge": func(q url.Values) { q.Set("code_challenge_method", "plain") },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Config{})
			require.Empty(t, c.authorize(FirstCharacter, Scopes(), change))
			require.Equal(t, []string{RuleAuthorize}, c.rules())
		})
	}
}

func TestAPersonChoosesACharacter(t *testing.T) {
	c := newClient(t, Config{})
	q := "response_type=code&client_id=muster-simulated&redirect_uri=http%3A%2F%2Flocalhost%2Fback&state=x&scope=publicData+esi-shoes.read_shoes.v1"
	require.Equal(t, 400, c.do(httptest.NewRequest(http.MethodGet, "/v2/oauth/authorize?"+q, nil)).StatusCode)
	resp := c.do(httptest.NewRequest(http.MethodGet, "/v2/oauth/authorize?"+strings.TrimSuffix(q, "+esi-shoes.read_shoes.v1"), nil))
	page := body(t, resp)
	require.Equal(t, 200, resp.StatusCode)
	require.Contains(t, page, "character_id=90000001")
	require.Equal(t, 100, strings.Count(page, "<li>"))
}

func TestALoginWithOtherScopesEndsTheEarlierOnes(t *testing.T) {
	dir := t.TempDir()
	c := newClient(t, Config{StateDir: dir})
	first := c.exchange(c.authorize(FirstCharacter, []string{scopeWallet}, asIs))
	same := c.exchange(c.authorize(FirstCharacter, []string{scopeWallet}, asIs))
	require.Equal(t, 200, c.renew(first.Refresh).status, "the same set twice coexists")
	imported, _, status := c.refresh(c.sim.tokens.refreshToken(FirstCharacter, 0, 0))
	require.Equal(t, 400, status, "the first login had all scopes")
	require.Empty(t, imported)
	other := c.exchange(c.authorize(FirstCharacter, []string{scopeWallet, scopeMail}, asIs))
	require.Equal(t, "invalid_grant", c.renew(same.Refresh).Error)
	require.Equal(t, 200, c.renew(other.Refresh).status)
	again := newClient(t, Config{StateDir: dir})
	require.Equal(t, 400, again.renew(same.Refresh).status, "also after a restart")
	require.Equal(t, 200, again.renew(other.Refresh).status)
	require.Empty(t, c.rules(), "none of it is the client's doing")
	require.Equal(t, []string{scopeWallet, scopeMail}, again.sim.Organisation().Characters[0].Scopes)
}

func TestARevokedLoginIsRefused(t *testing.T) {
	c := newClient(t, Config{})
	answer := c.exchange(c.authorize(FirstCharacter, Scopes(), asIs))
	for _, token := range []string{answer.Refresh, "nonsense", answer.Refresh} {
		form := url.Values{"token": {token}, "token_type_hint": {"refresh_token"}, "client_id": {"muster-simulated-public"}}
		r := httptest.NewRequest(http.MethodPost, "/v2/oauth/revoke", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, 200, c.do(r).StatusCode)
	}
	refused := c.renew(answer.Refresh)
	require.Equal(t, 400, refused.status)
	require.Equal(t, "invalid_grant", refused.Error)
	require.Empty(t, c.rules())
}

func TestWhoSignsInAtAnotherApplicationKeepsHisLogins(t *testing.T) {
	c := newClient(t, Config{})
	login := c.exchange(c.authorize(FirstCharacter, []string{scopeWallet}, asIs))
	signsIn := func(q url.Values) { q.Set("client_id", "muster-simulated-sign-in") }
	answer := c.tokenForm(url.Values{
		"grant_type": {"authorization_code"}, "code": {c.authorize(FirstCharacter, nil, signsIn)}, "client_id": {"muster-simulated-sign-in"}, "code_verifier": {verifier},
	}, false)
	require.Equal(t, 200, answer.status)
	require.NotEmpty(t, answer.Access)
	require.Empty(t, answer.Refresh)
	require.Equal(t, 200, c.renew(login.Refresh).status)
	require.Empty(t, c.rules())
	require.Empty(t, c.authorize(FirstCharacter, []string{scopeWallet}, signsIn))
	require.Equal(t, []string{RuleAuthorize}, c.rules())
}
