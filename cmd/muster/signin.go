package main

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/ingest/session"
	"github.com/muster-sync/muster/ingest/signin"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/ingest/token"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// doorSettings say how people come in, and how fast anybody may ask.
type doorSettings struct {
	SignInClientID     string        `env:"MUSTER_SIGN_IN_CLIENT_ID" help:"Client id of the EVE application that people sign in by, which must not be the one that reads characters; empty lets nobody sign in." placeholder:"ID"`
	SignInClientSecret string        `env:"MUSTER_SIGN_IN_CLIENT_SECRET" help:"Its client secret." file:"MUSTER_SIGN_IN_CLIENT_SECRET_FILE" placeholder:"SECRET"`
	SignInCallbackURL  string        `name:"sign-in-callback-url" env:"MUSTER_SIGN_IN_CALLBACK_URL" help:"Where browsers come back from signing in, as in that application's settings; default is /auth/callback beside MUSTER_SSO_CALLBACK_URL, or of the listen address." placeholder:"URL"`
	SessionLifetime    time.Duration `env:"MUSTER_SESSION_LIFETIME" default:"168h" help:"How long a session lasts at most."`
	SessionIdle        time.Duration `env:"MUSTER_SESSION_IDLE" default:"12h" help:"How long a session lasts unused."`
	RateLimit          float64       `env:"MUSTER_RATE_LIMIT" default:"50" help:"Requests a second that a user or a program may send; below zero is no limit. The administrator's token has none."`
	RateBurst          int           `env:"MUSTER_RATE_BURST" default:"200" help:"Requests that one may send at once."`
}

// callbackURL is where browsers come back from signing in.
func (d doorSettings) callbackURL(beside, listen string) string {
	origin := "http://" + reachable(listen)
	if u, err := url.Parse(beside); err == nil && u.Host != "" {
		origin = u.Scheme + "://" + u.Host
	}
	return cmp.Or(d.SignInCallbackURL, origin+"/auth/callback")
}

// originOf is the scheme and host of an address.
func originOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", event.Errorf(event.CodeInvalid, "MUSTER_SIGN_IN_CALLBACK_URL %q: must be a complete http or https address", address)
	}
	return u.Scheme + "://" + u.Host, nil
}

// doors are the ways in.
type doors struct {
	signIns signIns
	tokens  *token.Tokens
	origin  string
}

// newDoors prepares the ways in.
func (r *roles) newDoors() (doors, error) {
	set, who := r.worlds.Door, people{known{r.stores}, pgviews.NewCharacterReader(r.pool, live.New(r.control))}
	d := doors{}
	var err error
	if d.tokens, err = token.New(token.Config{Pool: r.pool, Bus: r.bus, Users: who}); err != nil {
		return d, err
	}
	if d.signIns.Sessions, err = session.New(session.Config{Pool: r.pool, Users: who, Lifetime: set.SessionLifetime, Idle: set.SessionIdle}); err != nil {
		return d, err
	}
	callback := set.callbackURL(r.worlds.SSOCallbackURL, r.settings.Listen)
	if d.origin, err = originOf(callback); err != nil {
		return d, err
	}
	signOn, err := r.openSignOn()
	if err != nil {
		return d, err
	}
	d.signIns.desk, err = signin.New(signin.Config{Pool: r.pool, Owners: who, Sessions: d.signIns.Sessions, SignOn: signOn, CallbackURL: callback, Logger: r.logger})
	return d, err
}

// openSignOn is EVE's sign-on for people; nil without an application for it.
func (r *roles) openSignOn() (signin.SignOn, error) {
	set := r.worlds.Door
	switch set.SignInClientID {
	case "":
		return nil, nil
	case r.worlds.SSOClientID:
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_SIGN_IN_CLIENT_ID and MUSTER_SSO_CLIENT_ID are one EVE application: who signs in by it would end the login by which his character is read; make another application, without scopes, for signing in")
	}
	key, err := r.settings.secretKey(true)
	if err != nil {
		return nil, err
	}
	former, err := r.settings.formerKeys()
	if err != nil {
		return nil, err
	}
	vault, err := sso.NewVault(sso.Config{
		Pool: r.pool, Key: key, FormerKeys: former, URL: r.worlds.SSOURL, ClientID: set.SignInClientID, ClientSecret: set.SignInClientSecret, Logger: r.logger,
	})
	if err != nil {
		return nil, err
	}
	r.stores.close = append(r.stores.close, vault.Close)
	return vault, nil
}

// people tells who users are, what they were given, and whose characters are, for those
// who come in.
type people struct {
	known

	characters *pgviews.CharacterReader
}

// Grants implements [token.Users].
func (p people) Grants(ctx context.Context, user string) (access.Grants, bool, error) {
	viewer, known, err := p.characters.KnownViewer(ctx, user)
	return viewer.Grants, known, err
}

// Active implements [session.Users].
func (p people) Active(ctx context.Context, user string) (bool, error) {
	grants, _, err := p.Grants(ctx, user)
	return grants.Active, err
}

// Owner implements [signin.Owners].
func (p people) Owner(ctx context.Context, character int64) (signin.Owner, error) {
	characters, err := p.Characters(ctx, []int64{character})
	c := characters[character]
	if err != nil || c.UserID == "" {
		return signin.Owner{}, err
	}
	active, err := p.Active(ctx, c.UserID)
	return signin.Owner{UserID: c.UserID, Active: active, OwnerHash: c.OwnerHash}, err
}

// registrar brings organisations in, and ends the sessions of those who are not active
// any more.
func (r *roles) registrar(vault registration.Vault, anew registration.Anew) *registration.Registrar {
	return registration.New(r.bus, vault, known{r.stores}, anew).OnDeactivation(session.EndAllTx)
}

// signIns signs people in for the API.
type signIns struct {
	*session.Sessions
	desk *signin.Desk
}

// BeginSignIn implements [api.SignIns].
func (s signIns) BeginSignIn(ctx context.Context, returnTo string) (api.BegunSignIn, error) {
	begun, err := s.desk.Begin(ctx, returnTo)
	return api.BegunSignIn(begun), err
}

// FinishSignIn implements [api.SignIns].
func (s signIns) FinishSignIn(ctx context.Context, back api.SignInAnswer) (api.SignedIn, error) {
	signed, err := s.desk.Finish(ctx, signin.Answer(back))
	return api.SignedIn{Session: signed.ID, EndsAt: signed.EndsAt, UserID: signed.UserID, CharacterName: signed.CharacterName, ReturnTo: signed.ReturnTo}, err
}

// SignedIn implements [api.SignIns].
func (s signIns) SignedIn(ctx context.Context, id string) (access.Principal, error) {
	return s.Principal(ctx, id)
}

// SignOut implements [api.SignIns].
func (s signIns) SignOut(ctx context.Context, id string) error { return s.End(ctx, id) }

// tokens issues and revokes tokens for the API.
type tokens struct{ *token.Tokens }

// Issue implements [api.Tokens].
func (t tokens) Issue(ctx context.Context, by access.Principal, wanted access.NewToken) (api.IssuedToken, error) {
	issued, err := t.Tokens.Issue(ctx, by, wanted)
	return api.IssuedToken{HeldToken: api.HeldToken(issued.Token), Secret: issued.Secret, Shown: issued.Shown}, err
}

// List implements [api.Tokens].
func (t tokens) List(ctx context.Context, by access.Principal, after uuid.UUID, limit int) ([]api.HeldToken, error) {
	found, err := t.Tokens.List(ctx, by, after, limit)
	held := make([]api.HeldToken, len(found))
	for i, one := range found {
		held[i] = api.HeldToken(one)
	}
	return held, err
}

// Revoke implements [api.Tokens].
func (t tokens) Revoke(ctx context.Context, by access.Principal, id uuid.UUID) (api.TokenRevocation, error) {
	revoked, err := t.Tokens.Revoke(ctx, by, id)
	return api.TokenRevocation(revoked), err
}
