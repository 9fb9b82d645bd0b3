package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/muster-sync/muster/domain/event"
)

// subjectPrefix comes before the character's id in a token's subject.
const subjectPrefix = "CHARACTER:EVE:"

// Claims are what a verified access token says.
type Claims struct {
	CharacterID int64
	Name        string
	// Owner is EVE's owner hash: it changes when the character is transferred.
	Owner     string
	Scopes    []string
	ExpiresAt time.Time
}

// verifier verifies access tokens with the keys that EVE's single sign-on
// publishes. It is safe for concurrent use.
type verifier struct {
	keys     keyfunc.Keyfunc
	clientID string
	issuers  []string
	now      func() time.Time
}

// newVerifier reads the keys and reads them again every hour, until the context
// ends. That they cannot be read now is no error: it is tried again on use.
func newVerifier(ctx context.Context, base *url.URL, client *http.Client, c Config) (*verifier, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{base.JoinPath("oauth", "jwks").String()}, keyfunc.Override{
		Client:            client,
		HTTPTimeout:       c.Timeout,
		RateLimitWaitMax:  time.Second,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(10*time.Second), 2),
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				c.Logger.WarnContext(ctx, "the keys of EVE's sign-on cannot be read", "url", u, "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the keys of EVE's sign-on: %w", err)
	}
	host := base.Host
	return &verifier{
		keys:     keys,
		clientID: c.ClientID,
		// EVE has used all of these; a stand-in uses its own address.
		issuers: []string{
			"login.eveonline.com", "https://login.eveonline.com", "https://login.eveonline.com/",
			host, base.Scheme + "://" + host, base.Scheme + "://" + host + "/",
		},
		now: c.Now,
	}, nil
}

// tokenClaims are the claims as EVE writes them.
type tokenClaims struct {
	jwt.RegisteredClaims

	Name   string `json:"name"`
	Owner  string `json:"owner"`
	Scopes scopes `json:"scp"`
}

// scopes is a list, or a bare string if there is but one.
type scopes []string

// UnmarshalJSON reads both forms.
func (s *scopes) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*s = scopes{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("claim scp: %w", err)
	}
	*s = list
	return nil
}

// verify checks signature, issuer, audience, lifetime and subject, which must be
// the character unless it is 0: then whoever it is. Its errors hold no part of the
// token. They are [event.CodeUnavailable]: a token that EVE has just made and that
// does not verify is a trouble of the sign-on or of the configuration, not of the
// player.
func (v *verifier) verify(ctx context.Context, token string, character int64) (Claims, error) {
	var c tokenClaims
	_, err := jwt.ParseWithClaims(token, &c, v.keys.KeyfuncCtx(ctx),
		jwt.WithValidMethods([]string{"RS256", "ES256"}),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(time.Minute),
		jwt.WithTimeFunc(v.now),
	)
	switch {
	case errors.Is(err, jwkset.ErrKeyNotFound):
		return Claims{}, event.Errorf(event.CodeUnavailable, "the key that signed the access token of character %d is not among those that EVE's sign-on publishes, or they cannot be read", character)
	case err != nil:
		return Claims{}, event.Errorf(event.CodeUnavailable, "the access token of character %d does not verify: %w", character, err)
	case !slices.Contains(v.issuers, c.Issuer):
		return Claims{}, event.Errorf(event.CodeUnavailable, "the access token of character %d was issued by %q, not by the sign-on at MUSTER_SSO_URL", character, c.Issuer)
	case !slices.Contains(c.Audience, v.clientID) || !slices.Contains(c.Audience, "EVE Online"):
		return Claims{}, event.Errorf(event.CodeUnavailable, "the access token of character %d is for %q, not for this application: check MUSTER_SSO_CLIENT_ID", character, c.Audience)
	}
	if c.Owner == "" {
		return Claims{}, event.Errorf(event.CodeUnavailable, "the access token of character %d names no owner", character)
	}
	id, ok := strings.CutPrefix(c.Subject, subjectPrefix)
	subject, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil || subject <= 0 || (character != 0 && subject != character) {
		return Claims{}, event.Errorf(event.CodeUnavailable, "the access token got for character %d belongs to %q", character, c.Subject)
	}
	return Claims{
		CharacterID: subject,
		Name:        c.Name,
		Owner:       c.Owner,
		Scopes:      c.Scopes,
		ExpiresAt:   c.ExpiresAt.UTC(),
	}, nil
}

var _ slog.LogValuer = Access{}

// LogValue keeps the token out of logs.
func (a Access) LogValue() slog.Value { return slog.StringValue("[access token]") }

// String keeps the token out of texts.
func (a Access) String() string { return "[access token]" }

// GoString keeps the token out of texts.
func (a Access) GoString() string { return a.String() }
