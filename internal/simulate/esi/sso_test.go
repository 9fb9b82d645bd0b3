package esi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// published reads the public keys from the server.
func published(t *testing.T, c *client) map[string]any {
	var set struct {
		Keys []struct{ Kid, Kty, N, E, X, Y string }
	}
	resp := c.do(httptest.NewRequest(http.MethodGet, "/oauth/jwks", nil))
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&set))
	number := func(s string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		require.NoError(t, err)
		return new(big.Int).SetBytes(raw)
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		if k.Kty == "RSA" {
			keys[k.Kid] = &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
			continue
		}
		point := append(number(k.X).FillBytes(make([]byte, 32)), number(k.Y).FillBytes(make([]byte, 32))...)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, point...))
		require.NoError(t, err)
		keys[k.Kid] = key
	}
	return keys
}

func TestAccessTokensAreSignedWithThePublishedKeys(t *testing.T) {
	c := newClient(t, Config{})
	keys := published(t, c)
	require.Len(t, keys, 2)
	algorithms := map[string]bool{}
	for id := FirstCharacter; id < FirstCharacter+4; id++ {
		claims := jwt.MapClaims{}
		parsed, err := jwt.ParseWithClaims(c.token(id), claims,
			func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil },
			jwt.WithTimeFunc(c.clock.time), jwt.WithAudience("EVE Online"), jwt.WithIssuer("https://login.eveonline.com"), jwt.WithExpirationRequired())
		require.NoError(t, err)
		algorithms[parsed.Method.Alg()] = true
		subject, err := claims.GetSubject()
		require.NoError(t, err)
		require.Equal(t, strings.TrimPrefix(path(id, ""), "/characters/"), strings.TrimPrefix(subject, "CHARACTER:EVE:"))
		require.NotEmpty(t, claims["owner"])
	}
	require.Equal(t, map[string]bool{"RS256": true, "ES256": true}, algorithms)
}

func TestRefreshTokensRotate(t *testing.T) {
	c := newClient(t, Config{})
	first := c.sim.tokens.refreshToken(FirstCharacter, 0, 0)
	_, second, status := c.refresh(first)
	require.Equal(t, 200, status)
	require.NotEqual(t, first, second)
	_, same, status := c.refresh(first)
	require.Equal(t, 200, status, "the answer may have been lost: the old one is good until the new one is used")
	require.Equal(t, second, same)
	_, third, status := c.refresh(second)
	require.Equal(t, 200, status)
	require.Empty(t, c.rules())
	_, _, status = c.refresh(first)
	require.Equal(t, 400, status)
	require.Equal(t, []string{RuleSupersededToken}, c.rules())
	_, _, status = c.refresh(third)
	require.Equal(t, 200, status)
}

func TestTokensOutliveARestart(t *testing.T) {
	config := Config{Seed: 3, StateDir: t.TempDir()}
	c := newClient(t, config)
	access, second, _ := c.refresh(c.sim.tokens.refreshToken(FirstCharacter, 0, 0))
	_, third, _ := c.refresh(second)

	again := newClient(t, config)
	resp := again.get(path(FirstCharacter, "/wallet"), 0, header("Authorization", "Bearer "+access))
	require.Equal(t, 200, resp.StatusCode)
	_, _, status := again.refresh(second)
	require.Equal(t, 200, status)
	_, _, status = again.refresh(third)
	require.Equal(t, 200, status)
	_, _, status = again.refresh(second)
	require.Equal(t, 400, status)
}

func TestRevokedAndTransferredCharacters(t *testing.T) {
	c := newClient(t, Config{})
	owner := func(access string) any {
		claims := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(access, claims)
		require.NoError(t, err)
		return claims["owner"]
	}
	first, next, _ := c.refresh(c.sim.tokens.refreshToken(FirstCharacter, 0, 0))
	require.NoError(t, c.sim.Transfer(FirstCharacter))
	second, next, _ := c.refresh(next)
	require.NotEqual(t, owner(first), owner(second))
	require.NoError(t, c.sim.Revoke(FirstCharacter))
	_, _, status := c.refresh(next)
	require.Equal(t, 400, status)
	require.Empty(t, c.rules(), "a revocation is not the client's doing")
}

func TestTheTokenEndpointIsStrict(t *testing.T) {
	c := newClient(t, Config{})
	good := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.sim.tokens.refreshToken(FirstCharacter, 0, 0)}}
	post := func(form url.Values, change func(*http.Request)) int {
		r := httptest.NewRequest(http.MethodPost, "/v2/oauth/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("muster-simulated", "simulated-secret")
		change(r)
		return c.do(r).StatusCode
	}
	nothing := func(*http.Request) {}
	require.Equal(t, 200, post(good, nothing))
	require.Empty(t, c.rules())
	require.Equal(t, 400, post(good, header("Content-Type", "application/json")))
	require.Equal(t, 401, post(good, func(r *http.Request) { r.SetBasicAuth("muster-simulated", "guess") }))
	require.Equal(t, 400, post(url.Values{"grant_type": {"password"}}, nothing))
	require.Equal(t, 400, post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"bm90IG9uZSBvZiBvdXJzIGF0IGFsbA=="}}, nothing))
	require.Len(t, c.rules(), 4)
	for _, v := range c.sim.Violations() {
		require.Equal(t, RuleTokenRequest, v.Rule)
		require.NotContains(t, v.Detail, good.Get("refresh_token"))
	}
}

func TestTheOrganisationCanBeImported(t *testing.T) {
	c := newClient(t, Config{Seed: 8, Characters: 400, Unregistered: 0.1, PartialScopes: 0.05})
	org := c.sim.Organisation()
	require.Equal(t, org, c.sim.Organisation())
	require.Len(t, org.Characters, 400)
	owners := map[string]User{}
	for _, u := range org.Users {
		require.True(t, slices.IsSorted(u.Permissions))
		if u.Main != nil {
			require.Contains(t, u.Characters, *u.Main)
		}
		if !u.Active {
			require.Equal(t, "Guest", u.State)
		}
		owners[u.ID] = u
	}
	alliances := map[int64]*int64{}
	registered := 0
	for _, character := range org.Characters {
		require.Contains(t, owners[*character.Owner].Characters, character.ID)
		if known, ok := alliances[character.CorporationID]; ok {
			require.Equal(t, known, character.AllianceID)
		}
		alliances[character.CorporationID] = character.AllianceID
		if !character.Registered {
			require.False(t, character.Shared)
			require.Empty(t, character.RefreshToken)
			continue
		}
		registered++
		access, _, status := c.refresh(character.RefreshToken)
		require.Equal(t, 200, status)
		b, err := c.sim.tokens.parse(access)
		require.NoError(t, err)
		require.Equal(t, character.OwnerHash, b.owner)
		require.Equal(t, character.Scopes, b.scopes)
		require.Equal(t, start.Add(20*time.Minute), b.expires.UTC())
	}
	require.InDelta(t, 360, registered, 25)
	require.Empty(t, c.rules())
}
