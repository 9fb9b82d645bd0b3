package sso_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const (
	odd  = int64(90000001) // tokens signed with RS256
	even = int64(90000002) // tokens signed with ES256
)

type rig struct {
	world *ingesttest.World
	pool  *pgxpool.Pool
	key   []byte
	vault *sso.Vault
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{world: ingesttest.New(t), pool: enginetest.Postgres(t), key: sso.NewKey()}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	r.vault = r.newVault(t)
	return r
}

func (r *rig) newVault(t *testing.T, change ...func(*sso.Config)) *sso.Vault {
	t.Helper()
	config := sso.Config{
		Pool: r.pool, Key: r.key, URL: r.world.URL, ClientID: ingesttest.ClientID, ClientSecret: ingesttest.ClientSecret,
		Timeout: 5 * time.Second, Now: r.world.Clock.Now,
	}
	for _, f := range change {
		f(&config)
	}
	v, err := sso.NewVault(config)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

func (r *rig) put(t *testing.T, g sso.Grant) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.PutTx(t.Context(), tx, g) }))
}

func (r *rig) renewals() int { return len(r.world.Requests("/v2/oauth/token")) }

func TestAccessTokensAreRenewedOnlyWhenTheyRunOut(t *testing.T) {
	for _, character := range []int64{odd, even} {
		t.Run(fmt.Sprint(character), func(t *testing.T) {
			r := newRig(t)
			r.put(t, r.world.Grant(character, "one", "two"))

			first, err := r.vault.Access(t.Context(), character)
			require.NoError(t, err)
			require.Equal(t, []string{"one", "two"}, first.Scopes)
			require.Equal(t, r.world.Clock.Now().Add(ingesttest.TokenLifetime), first.ExpiresAt)

			r.world.Clock.Advance(ingesttest.TokenLifetime - 2*time.Minute)
			second, err := r.vault.Access(t.Context(), character)
			require.NoError(t, err)
			require.Equal(t, first.Token, second.Token)
			require.Equal(t, 1, r.renewals())

			r.world.Clock.Advance(time.Minute + time.Second)
			third, err := r.vault.Access(t.Context(), character)
			require.NoError(t, err)
			require.NotEqual(t, first.Token, third.Token)
			require.Equal(t, 2, r.renewals())
		})
	}
}

func TestASingleScopeMayBeBareText(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd, "only"))
	access, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	require.Equal(t, []string{"only"}, access.Scopes)
}

func TestTheNewRefreshTokenIsKeptBeforeTheAccessTokenIsUsed(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	// The token cannot be verified, so it is not used; but the refresh token
	// that came with it must not be lost, since the old one is dead.
	r.world.SetClaims(map[string]any{"iss": "https://evil.example.org"})
	_, err := r.vault.Access(t.Context(), odd)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	r.world.SetClaims(nil)
	r.world.Clock.Advance(ingesttest.TokenLifetime)
	_, err = r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
}

func TestAnUnverifiedTokenIsVerifiedLaterWithoutAnotherRenewal(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	_, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	_, err = r.pool.Exec(t.Context(), "UPDATE ingest.token SET access_verified = false")
	require.NoError(t, err)
	_, err = r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	require.Equal(t, 1, r.renewals())
}

func TestTokensThatDoNotVerifyAreNotUsed(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		says   string
	}{
		"issuer":      {map[string]any{"iss": "https://evil.example.org"}, "MUSTER_SSO_URL"},
		"audience":    {map[string]any{"aud": []string{"another", "EVE Online"}}, "MUSTER_SSO_CLIENT_ID"},
		"not EVE":     {map[string]any{"aud": ingesttest.ClientID}, "MUSTER_SSO_CLIENT_ID"},
		"subject":     {map[string]any{"sub": "CHARACTER:EVE:90000009"}, "belongs to"},
		"no subject":  {map[string]any{"sub": "90000001"}, "belongs to"},
		"expired":     {map[string]any{"exp": 1}, "expired"},
		"no expiry":   {map[string]any{"exp": nil}, "exp"},
		"no owner":    {map[string]any{"owner": ""}, "names no owner"},
		"wrong types": {map[string]any{"scp": 7}, "scp"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			grant := r.world.Grant(odd)
			r.put(t, grant)
			r.world.SetClaims(c.claims)
			_, err := r.vault.Access(t.Context(), odd)
			require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), r.world.RefreshToken(odd))
			require.NotContains(t, err.Error(), "eyJ")
		})
	}
}

func TestATokenOfAForeignKeyIsNotUsed(t *testing.T) {
	r, stranger := newRig(t), ingesttest.New(t)
	r.put(t, r.world.Grant(odd))
	grant := stranger.Grant(odd)
	r.world.HandleToken(func(w http.ResponseWriter, request *http.Request) {
		// A stranger's key with the name of a known one.
		if request.ParseForm() != nil {
			return
		}
		request.Form.Set("refresh_token", grant.RefreshToken)
		request.PostForm.Set("refresh_token", grant.RefreshToken)
		stranger.ServeHTTP(w, request)
	})
	_, err := r.vault.Access(t.Context(), odd)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.ErrorContains(t, err, "signature is invalid")
}

func TestAChangedOwnerIsToldEachTimeUntilTheLoginIsParked(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	_, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	r.world.Transfer(odd, "new-owner")
	r.world.Clock.Advance(ingesttest.TokenLifetime)

	for range 2 {
		_, err = r.vault.Access(t.Context(), odd)
		require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
		var changed *sso.OwnerChangedError
		require.ErrorAs(t, err, &changed)
		require.Equal(t, sso.OwnerChangedError{CharacterID: odd, Was: "owner-of-90000001", Is: "new-owner"}, *changed)
	}
	require.Equal(t, 2, r.renewals())

	require.NoError(t, r.vault.Park(t.Context(), odd, "sold"))
	_, err = r.vault.Access(t.Context(), odd)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
	require.ErrorContains(t, err, "sold")
}

func TestTheFirstOwnerSeenCountsWhereNoneWasGiven(t *testing.T) {
	r := newRig(t)
	grant := r.world.Grant(odd)
	grant.OwnerHash = ""
	r.put(t, grant)
	_, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	r.world.Transfer(odd, "new-owner")
	r.world.Clock.Advance(ingesttest.TokenLifetime)
	_, err = r.vault.Access(t.Context(), odd)
	var changed *sso.OwnerChangedError
	require.ErrorAs(t, err, &changed)
}

func TestALostLoginWaitsUntilItIsGivenAgain(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	r.world.Revoke(odd)
	for range 3 {
		_, err := r.vault.Access(t.Context(), odd)
		require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
		require.ErrorContains(t, err, "register it again")
	}
	require.Equal(t, 1, r.renewals(), "EVE is not asked again")
	logins, err := r.vault.Logins(t.Context())
	require.NoError(t, err)
	require.True(t, logins[0].Parked)
	require.Contains(t, logins[0].ParkedReason, "invalid_grant")

	r.put(t, r.world.Grant(odd, "scope"))
	_, err = r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
}

func TestTroublesOfTheSignOnParkNobody(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"503":             func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 503, `{"error":"server_error"}`) },
		"429":             func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 429, `{"error":"slow"}`) },
		"HTML":            func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 200, `<html>`) },
		"no token":        func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 200, `{}`) },
		"our own secret":  func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 401, `{"error":"invalid_client"}`) },
		"another 400":     func(w http.ResponseWriter, _ *http.Request) { ingesttest.JSON(w, 400, `{"error":"invalid_request"}`) },
		"gone on the way": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/x")
			w.WriteHeader(http.StatusFound)
		},
		"echo": func(w http.ResponseWriter, r *http.Request) {
			ingesttest.JSON(w, 500, `{"error":"x","error_description":"bad `+r.PostFormValue("refresh_token")+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.put(t, r.world.Grant(odd))
			r.world.HandleToken(handler)
			_, err := r.vault.Access(t.Context(), odd)
			require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "%v", err)
			require.NotContains(t, err.Error(), r.world.RefreshToken(odd))

			r.world.HandleToken(nil)
			_, err = r.vault.Access(t.Context(), odd)
			require.NoError(t, err)
		})
	}
}

func TestOneRenewalServesAllWhoWaitAlsoInOtherPrograms(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	vaults := []*sso.Vault{r.vault, r.newVault(t), r.newVault(t)}
	var group sync.WaitGroup
	tokens := make(chan string, 30)
	for i := range cap(tokens) {
		group.Go(func() {
			if access, err := vaults[i%len(vaults)].Access(t.Context(), odd); err == nil {
				tokens <- access.Token
			}
		})
	}
	group.Wait()
	close(tokens)
	different := map[string]bool{}
	for token := range tokens {
		different[token] = true
	}
	require.Len(t, different, 1)
	require.Equal(t, 1, r.renewals())
}

func TestARenewalOutlivesItsCaller(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	ctx, cancel := context.WithCancel(t.Context())
	r.world.HandleToken(func(w http.ResponseWriter, request *http.Request) {
		cancel()
		r.world.HandleToken(nil)
		r.world.ServeHTTP(w, request)
	})
	_, err := r.vault.Access(ctx, odd)
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Eventually(t, func() bool {
		var kept bool
		err := r.pool.QueryRow(t.Context(), "SELECT access_sealed IS NOT NULL FROM ingest.token").Scan(&kept)
		return err == nil && kept
	}, 5*time.Second, 10*time.Millisecond)
}

func TestARefusedTokenIsReplaced(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	first, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	require.NoError(t, r.vault.Reject(t.Context(), odd, "some older token"))
	same, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	require.Equal(t, first.Token, same.Token)
	require.NoError(t, r.vault.Reject(t.Context(), odd, first.Token))
	second, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	require.NotEqual(t, first.Token, second.Token)
}

func TestTokensAreSealed(t *testing.T) {
	r := newRig(t)
	grant := r.world.Grant(odd)
	r.put(t, grant)
	access, err := r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	var row string
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT encode(refresh_sealed, 'escape') || encode(access_sealed, 'escape') || t::text FROM ingest.token t").Scan(&row))
	for _, secret := range []string{grant.RefreshToken, r.world.RefreshToken(odd), access.Token} {
		require.NotContains(t, row, secret)
	}

	t.Run("for one character", func(t *testing.T) {
		r.put(t, r.world.Grant(even))
		_, err := r.pool.Exec(t.Context(), "UPDATE ingest.token SET refresh_sealed = (SELECT refresh_sealed FROM ingest.token WHERE character_id = $1)", odd)
		require.NoError(t, err)
		_, err = r.vault.Access(t.Context(), even)
		require.ErrorContains(t, err, "cannot be opened")
	})
	t.Run("with one key", func(t *testing.T) {
		other := r.newVault(t, func(c *sso.Config) { c.Key = sso.NewKey() })
		_, err := other.Access(t.Context(), odd)
		require.ErrorContains(t, err, "MUSTER_SECRET_KEY")
	})
}

func TestSecretsDoNotPrint(t *testing.T) {
	access, grant := sso.Access{Token: "s3cret"}, sso.Grant{CharacterID: odd, RefreshToken: "s3cret"}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "access", access, "grant", grant)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", access, access, access, access, grant, grant, grant, grant)+logged.String(), "s3cret")
}

func TestAnUnknownCharacterHasToBeRegistered(t *testing.T) {
	r := newRig(t)
	_, err := r.vault.Access(t.Context(), 7)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
	r.put(t, r.world.Grant(odd))
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.DeleteTx(t.Context(), tx, odd) }))
	_, err = r.vault.Access(t.Context(), odd)
	require.Equal(t, event.CodeUnauthenticated, event.CodeOf(err))
}

func TestAGrantIsKeptWithTheTransactionOrNotAtAll(t *testing.T) {
	r := newRig(t)
	undone := errors.New("undone")
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
		return errors.Join(r.vault.PutTx(t.Context(), tx, r.world.Grant(odd)), undone)
	}), undone)
	logins, err := r.vault.Logins(t.Context())
	require.NoError(t, err)
	require.Empty(t, logins)
	require.Equal(t, event.CodeInvalid, event.CodeOf(pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
		return r.vault.PutTx(t.Context(), tx, sso.Grant{CharacterID: odd})
	})))
}

func TestTheSignOnMayBeAwayWhenTheVaultIsMade(t *testing.T) {
	r := newRig(t)
	// The keys could not be read at first.
	var back atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !back.Load() {
			panic(http.ErrAbortHandler)
		}
		r.world.ServeHTTP(w, request)
	}))
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	vault := r.newVault(t, func(c *sso.Config) { c.URL = front.URL })
	back.Store(true)
	r.put(t, r.world.Grant(odd))
	_, err := vault.Access(t.Context(), odd)
	require.NoError(t, err)
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	good := sso.Config{Pool: &pgxpool.Pool{}, Key: sso.NewKey(), URL: "https://login.eveonline.com", ClientID: "x"}
	for want, change := range map[string]func(*sso.Config){
		"MUSTER_SSO_URL":       func(c *sso.Config) { c.URL = "login.eveonline.com" },
		"MUSTER_SSO_CLIENT_ID": func(c *sso.Config) { c.ClientID = "" },
		"MUSTER_SECRET_KEY":    func(c *sso.Config) { c.Key = []byte("short") },
		"database":             func(c *sso.Config) { c.Pool = nil },
	} {
		config := good
		change(&config)
		_, err := sso.NewVault(config)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), want)
		require.ErrorContains(t, err, want)
	}
}

func TestATokenIsGivenOutAgainForSecondsWithoutALook(t *testing.T) {
	r := newRig(t)
	r.put(t, r.world.Grant(odd))
	_, err := r.vault.Access(t.Context(), odd) // renewed
	require.NoError(t, err)
	_, err = r.vault.Access(t.Context(), odd) // looked up
	require.NoError(t, err)
	other := r.newVault(t)
	require.NoError(t, other.Park(t.Context(), odd, "sold"))
	_, err = r.vault.Access(t.Context(), odd)
	require.NoError(t, err)
	r.world.Clock.Advance(10 * time.Second)
	_, err = r.vault.Access(t.Context(), odd)
	require.ErrorContains(t, err, "sold")

	t.Run("but not what this program itself has parked", func(t *testing.T) {
		r.put(t, r.world.Grant(odd))
		for range 2 {
			_, err := r.vault.Access(t.Context(), odd)
			require.NoError(t, err)
		}
		require.NoError(t, r.vault.Park(t.Context(), odd, "sold again"))
		_, err := r.vault.Access(t.Context(), odd)
		require.ErrorContains(t, err, "sold again")
	})
}
