// Package signin lets people sign in by EVE's sign-on: who proves that a character is
// his is the user who owns it here.
//
// It needs an EVE application of its own. At EVE a sign-in without scopes ends what
// the same application was granted before for the same character, so that with the
// application that reads characters every sign-in would cost a login.
package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/session"
	"github.com/muster-sync/muster/ingest/sso"
)

const (
	// Lifetime is how long a sign-in that was begun can be finished.
	Lifetime = 10 * time.Minute
	// secretSize is the number of random bytes in a state.
	secretSize = 32
	// maxReturn bounds the path that somebody comes back to.
	maxReturn = 2000
	// StatePrefix begins the state of a sign-in, so that one address can take back
	// those who sign in and those who register characters: an application of EVE may
	// have but one.
	StatePrefix = "in."
)

// SignOn brings players through EVE's sign-on; [*sso.Vault] does.
type SignOn interface {
	BeginSignIn(id uuid.UUID, state, redirect string, scopes []string) sso.SignIn
	FinishSignIn(ctx context.Context, id uuid.UUID, verifierSealed []byte, redirect, code string) (sso.Claims, sso.Grant, error)
	Revoke(ctx context.Context, g sso.Grant) error
}

// Owner is who owns a character here.
type Owner struct {
	// UserID is empty if nobody does.
	UserID string
	// Active tells whether the user is.
	Active bool
	// OwnerHash is EVE's; empty if it is not known.
	OwnerHash string
}

// Owners tells whose a character is; the zero value for one that is not known.
type Owners interface {
	Owner(ctx context.Context, character int64) (Owner, error)
}

// Sessions are begun here; [*session.Sessions] keeps them.
type Sessions interface {
	Begin(ctx context.Context, user string, character int64) (session.Begun, error)
}

// Config is what a [Desk] works with. SignOn, Logger and Now have defaults; the rest
// must be set.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool     *pgxpool.Pool
	Owners   Owners
	Sessions Sessions
	// SignOn is nil without an EVE application to sign in by: nobody can then.
	SignOn SignOn
	// CallbackURL is where EVE sends browsers back to.
	CallbackURL string
	Logger      *slog.Logger
	Now         func() time.Time
}

// Desk lets people sign in. It is safe for concurrent use, also by several processes
// on one database.
type Desk struct{ config Config }

// New is a desk. It fails with [event.CodeInvalid] for a configuration that cannot
// work.
func New(c Config) (*Desk, error) {
	if c.Pool == nil || c.Owners == nil || c.Sessions == nil {
		return nil, event.Errorf(event.CodeInvalid, "signing in needs a pool, owners and sessions")
	}
	if u, err := url.Parse(c.CallbackURL); c.SignOn != nil && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Fragment != "") {
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_SIGN_IN_CALLBACK_URL %q: must be the complete http or https address under which browsers reach /auth/callback, as in the EVE application's settings", c.CallbackURL)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Desk{config: c}, nil
}

// Begun is a sign-in that was begun. It is a secret until the player is back.
type Begun struct {
	// AuthorizeURL is where his browser has to go.
	AuthorizeURL string
	// Browser is what his browser has to show again.
	Browser string
	// ExpiresAt is until when it can be finished, UTC.
	ExpiresAt time.Time
}

// String keeps the secrets out of texts.
func (Begun) String() string { return "[sign-in]" }

// GoString keeps the secrets out of texts.
func (b Begun) GoString() string { return b.String() }

// LocalPath is a path, with its query, of this very server: what a browser is sent to
// afterwards must not lead anywhere else. It fails with [event.CodeInvalid].
func LocalPath(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	bad := event.Errorf(event.CodeInvalid, "return: must be a path of Muster such as /v1/me, without a host")
	if len(text) > maxReturn || text[0] != '/' || strings.HasPrefix(text, "//") || strings.ContainsFunc(text, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return "", bad
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, "\\") {
		return "", bad
	}
	return u.String(), nil
}

// Begin begins to sign somebody in, who is to come back to returnTo, see [LocalPath].
// It fails with [event.CodeInvalid] for another address, and with
// [event.CodeConflict] if there is no EVE application to sign in by.
func (d *Desk) Begin(ctx context.Context, returnTo string) (Begun, error) {
	if d.config.SignOn == nil {
		return Begun{}, event.Errorf(event.CodeConflict, "this Muster has no EVE application to sign in by: set MUSTER_SIGN_IN_CLIENT_ID to one of its own, not to the one that reads characters")
	}
	local, err := LocalPath(returnTo)
	if err != nil {
		return Begun{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Begun{}, event.Errorf(event.CodeInternal, "making the id of a sign-in: %w", err)
	}
	now := d.config.Now().UTC()
	state := StatePrefix + secret()
	begun := Begun{Browser: secret(), ExpiresAt: now.Add(Lifetime)}
	signIn := d.config.SignOn.BeginSignIn(id, state, d.config.CallbackURL, nil)
	begun.AuthorizeURL = signIn.URL
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM ingest.person_sign_in WHERE expires_at <= $1`, now)
	batch.Queue(`
		INSERT INTO ingest.person_sign_in (id, state_hash, browser_hash, verifier_sealed, redirect_uri, return_to, begun_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, hash(state), hash(begun.Browser), signIn.VerifierSealed, d.config.CallbackURL, local, now, begun.ExpiresAt)
	if err := d.config.Pool.SendBatch(ctx, batch).Close(); err != nil {
		return Begun{}, event.Errorf(event.CodeUnavailable, "beginning a sign-in: %w", err)
	}
	return begun, nil
}

func secret() string {
	b := make([]byte, secretSize)
	// Read never fails; it ends the program instead.
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Answer is what a browser brings back from EVE's sign-on.
type Answer struct {
	// State, Code and Browser are secrets; Browser is that of [Begun].
	State, Code, Browser string
	// Error is EVE's, such as access_denied; empty if there is none.
	Error string
}

// Signed is somebody who has signed in.
type Signed struct {
	session.Begun

	UserID        string
	CharacterID   int64
	CharacterName string
	// ReturnTo is where he wanted to; empty for nowhere.
	ReturnTo string
}

// Finish signs somebody in. It fails with [event.CodeNotFound], and says no more, if
// the state is that of no sign-in, of another browser, was used before or is too old;
// with [event.CodeForbidden] if the character is nobody's here, has another owner than
// it had, or its user is not active; with [event.CodeUnavailable] if EVE's sign-on
// gives no answer. A state is good once, whatever comes of it.
func (d *Desk) Finish(ctx context.Context, in Answer) (Signed, error) {
	if d.config.SignOn == nil || in.State == "" || in.Browser == "" {
		return Signed{}, errNoSignIn()
	}
	var id uuid.UUID
	var sealed []byte
	var redirect string
	var signed Signed
	err := d.config.Pool.QueryRow(ctx, `DELETE FROM ingest.person_sign_in WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > $3
		RETURNING id, verifier_sealed, redirect_uri, return_to`, hash(in.State), hash(in.Browser), d.config.Now().UTC()).
		Scan(&id, &sealed, &redirect, &signed.ReturnTo)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Signed{}, errNoSignIn()
	case err != nil:
		return Signed{}, event.Errorf(event.CodeUnavailable, "looking for a sign-in: %w", err)
	}
	if err := refusal(in); err != nil {
		return Signed{}, err
	}
	claims, grant, err := d.config.SignOn.FinishSignIn(ctx, id, sealed, redirect, in.Code)
	if err != nil {
		return Signed{}, err
	}
	// Nothing was asked for that lasts; should EVE have given it, it goes back.
	if err := d.config.SignOn.Revoke(ctx, grant); err != nil {
		d.config.Logger.WarnContext(ctx, "a login that nobody needs was not given back", "character", claims.CharacterID, "error", err)
	}
	signed.CharacterID, signed.CharacterName = claims.CharacterID, claims.Name
	if signed.UserID, err = d.user(ctx, claims); err != nil {
		d.config.Logger.WarnContext(ctx, "a sign-in was refused", "character", claims.CharacterID, "error", err)
		return Signed{}, err
	}
	if signed.Begun, err = d.config.Sessions.Begin(ctx, signed.UserID, signed.CharacterID); err != nil {
		return Signed{}, err
	}
	d.config.Logger.InfoContext(ctx, "signed in", "user", signed.UserID, "character", signed.CharacterID)
	return signed, nil
}

func errNoSignIn() error {
	return event.Errorf(event.CodeNotFound, "this sign-in is not known, was begun in another browser, was used already, or is too old: sign in again")
}

// printableError is what an error of OAuth 2.0 looks like; another is not shown.
var printableError = regexp.MustCompile(`^[a-z_]{1,40}$`)

// refusal is what EVE's sign-on has said instead of sending a code; nil if it has sent
// one.
func refusal(in Answer) error {
	switch {
	case in.Error == "access_denied":
		return event.Errorf(event.CodeForbidden, "you have declined at EVE's sign-on")
	case printableError.MatchString(in.Error):
		return event.Errorf(event.CodeForbidden, "EVE's sign-on has ended with the error %s", in.Error)
	case in.Error != "" || in.Code == "":
		return event.Errorf(event.CodeForbidden, "EVE's sign-on has sent you back without a code")
	default:
		return nil
	}
}

// user is whose the character is. No user is invented for one that is nobody's.
func (d *Desk) user(ctx context.Context, claims sso.Claims) (string, error) {
	owner, err := d.config.Owners.Owner(ctx, claims.CharacterID)
	if err != nil {
		return "", fmt.Errorf("looking up whose the character is: %w", err)
	}
	switch {
	case owner.UserID == "":
		return "", event.Errorf(event.CodeForbidden, "character %d belongs to no user of this Muster: ask an administrator to register it, or sign in with a character that is registered", claims.CharacterID)
	case owner.OwnerHash != "" && owner.OwnerHash != claims.Owner:
		return "", event.Errorf(event.CodeForbidden, "character %d has another owner at EVE than when it was registered: its new owner has to register it first", claims.CharacterID)
	case !owner.Active:
		return "", event.Errorf(event.CodeForbidden, "the user of character %d is not active: ask an administrator", claims.CharacterID)
	default:
		return owner.UserID, nil
	}
}
