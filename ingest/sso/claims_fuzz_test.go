package sso

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

// FuzzClaims signs whatever claims with the right key: what is in them must be read,
// or refused, all the same.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"login.eveonline.com","aud":["app","EVE Online"],"sub":"CHARACTER:EVE:7","owner":"o","scp":["a","b"],"exp":4102444800}`,
		`{"iss":"login.eveonline.com","aud":"app","sub":"CHARACTER:EVE:7","owner":"o","scp":"a","exp":4102444800}`,
		`{"iss":7,"aud":[7],"sub":"CHARACTER:EVE:","scp":{},"exp":"soon"}`,
		`{"exp":1e300}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(f, err)
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "EC", "alg": "ES256", "use": "sig", "kid": "k", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
	require.NoError(f, err)
	keys, err := keyfunc.NewJWKSetJSON(set)
	require.NoError(f, err)
	v := &verifier{keys: keys, clientID: "app", issuers: []string{"login.eveonline.com"}, now: time.Now}
	head := b64([]byte(`{"alg":"ES256","kid":"k","typ":"JWT"}`))

	f.Fuzz(func(t *testing.T, claims []byte) {
		signed := head + "." + b64(claims)
		signature, err := jwt.SigningMethodES256.Sign(signed, key)
		require.NoError(t, err)
		token := signed + "." + b64(signature)
		got, err := v.verify(t.Context(), token, 7)
		if err != nil {
			require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "no login ends because of what is in a token")
			require.NotContains(t, err.Error(), token)
			return
		}
		require.EqualValues(t, 7, got.CharacterID)
		require.NotEmpty(t, got.Owner)
		require.True(t, got.ExpiresAt.After(time.Now().Add(-2*time.Minute)))
	})
}
