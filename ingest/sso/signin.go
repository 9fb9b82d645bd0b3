package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"github.com/muster-sync/muster/domain/event"
)

// SignIn is one way of a player through EVE's sign-on that was begun: an
// authorization code request with PKCE.
type SignIn struct {
	// URL is where the player's browser has to go.
	URL string
	// VerifierSealed proves, at the end, that it was begun here. It is sealed for
	// the id that the sign-in was begun with.
	VerifierSealed []byte
}

// BeginSignIn prepares a sign-in with the scopes, which ends at redirect. state
// comes back from the browser and must be unguessable.
func (v *Vault) BeginSignIn(id uuid.UUID, state, redirect string, scopes []string) SignIn {
	verifier := oauth2.GenerateVerifier()
	config := v.oauth
	config.RedirectURL, config.Scopes = redirect, scopes
	return SignIn{
		URL:            config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)),
		VerifierSealed: v.sealer.sealVerifier(id, verifier),
	}
}

// FinishSignIn exchanges the code that EVE has sent the player back with, and
// verifies what comes. The login's refresh token is empty if no scope was asked
// for. Errors are coded: [event.CodeInvalid] if EVE refuses the code,
// [event.CodeUnavailable] if EVE's sign-on cannot be used now; a code is good once,
// so that the sign-in has to be begun again after either. No error holds a secret.
func (v *Vault) FinishSignIn(ctx context.Context, id uuid.UUID, verifierSealed []byte, redirect, code string) (Claims, Grant, error) {
	verifier, err := v.sealer.openVerifier(id, verifierSealed)
	if err != nil {
		return Claims{}, Grant{}, err
	}
	config := v.oauth
	config.RedirectURL = redirect
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, v.http), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Claims{}, Grant{}, refusedCode(err, code, verifier)
	}
	claims, err := v.verifier.verify(ctx, token.AccessToken, 0)
	if err != nil {
		return Claims{}, Grant{}, err
	}
	return claims, Grant{CharacterID: claims.CharacterID, RefreshToken: token.RefreshToken, OwnerHash: claims.Owner, Scopes: claims.Scopes}, nil
}

// refusedCode judges why there are no tokens for a code.
func refusedCode(err error, code, verifier string) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return event.Errorf(event.CodeUnavailable, "EVE's sign-on gives no tokens: %s", hide(hide(err.Error(), code), verifier))
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	said := hide(hide(fmt.Sprintf("%.40s %.120s", answer.ErrorCode, answer.ErrorDescription), code), verifier)
	if status == http.StatusBadRequest && answer.ErrorCode == "invalid_grant" {
		return event.Errorf(event.CodeInvalid, "EVE's sign-on refuses the code of this sign-in (%s): it was used before, is too old, or is not of this sign-in", said)
	}
	return event.Errorf(event.CodeUnavailable, "EVE's sign-on gives no tokens (%d %s); if it stays so, check MUSTER_SSO_CLIENT_ID and MUSTER_SSO_CLIENT_SECRET", status, said)
}

// TakeTx removes a login, within the caller's transaction, and returns it, so that
// it can be given back to EVE with [Vault.Revoke] once the transaction is
// committed. Without a login it returns an empty one.
func (v *Vault) TakeTx(ctx context.Context, tx pgx.Tx, character int64) (Grant, error) {
	defer v.recent.drop(character)
	g := Grant{CharacterID: character}
	var sealed []byte
	err := tx.QueryRow(ctx, "DELETE FROM ingest.token WHERE character_id = $1 RETURNING owner_hash, scopes, refresh_sealed", character).
		Scan(&g.OwnerHash, &g.Scopes, &sealed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return g, nil
	case err != nil:
		return g, fmt.Errorf("removing the login of character %d: %w", character, err)
	}
	// One that was sealed with another key goes all the same; it only cannot be
	// given back.
	g.RefreshToken, _ = v.sealer.open(character, forRefresh, sealed)
	return g, nil
}

// Revoke gives a login back to EVE, which then takes it from nobody any more. It
// fails with [event.CodeUnavailable] if EVE cannot be told now; Muster has no use
// for the login either way.
func (v *Vault) Revoke(ctx context.Context, g Grant) error {
	if g.RefreshToken == "" {
		return nil
	}
	form := url.Values{"token": {g.RefreshToken}, "token_type_hint": {"refresh_token"}}
	if v.config.ClientSecret == "" {
		form.Set("client_id", v.config.ClientID)
	}
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.revokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return event.Errorf(event.CodeInternal, "giving back the login of character %d: %s", g.CharacterID, hide(err.Error(), g.RefreshToken))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.config.ClientSecret != "" {
		request.SetBasicAuth(url.QueryEscape(v.config.ClientID), url.QueryEscape(v.config.ClientSecret))
	}
	response, err := v.http.Do(request)
	if err != nil {
		return event.Errorf(event.CodeUnavailable, "giving back the login of character %d: %s", g.CharacterID, hide(err.Error(), g.RefreshToken))
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return event.Errorf(event.CodeUnavailable, "giving back the login of character %d: EVE's sign-on answers %d", g.CharacterID, response.StatusCode)
	}
	return nil
}
