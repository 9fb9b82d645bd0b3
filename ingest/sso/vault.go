package sso

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/muster-sync/muster/domain/event"
)

const (
	// renewBefore is how long before its end an access token is replaced.
	renewBefore = time.Minute
	// parallelRenewals bounds renewals under way, since each holds a database
	// connection while it talks to EVE.
	parallelRenewals = 4
)

// Config is what a [Vault] works with. Zero values mean the defaults named.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool *pgxpool.Pool
	// Key seals the tokens; [KeySize] bytes.
	Key []byte
	// FormerKeys open what was sealed before Key, until it was sealed anew.
	FormerKeys [][]byte
	// URL is that of the sign-on, such as https://login.eveonline.com.
	URL string
	// ClientID and ClientSecret are those of the EVE application; one without a
	// secret proves its sign-ins by PKCE alone.
	ClientID, ClientSecret string
	// Timeout bounds one request to the sign-on: 10 s.
	Timeout time.Duration
	// Logger: none.
	Logger *slog.Logger
	// Now is the clock: time.Now.
	Now func() time.Time
}

// Vault keeps the logins of characters in Postgres, sealed, and gives access
// tokens, which it renews when they run out. It is safe for concurrent use, also
// by several programs on one database: a row lock lets one at a time renew a
// login.
type Vault struct {
	config Config
	sealer sealer
	oauth  oauth2.Config
	// revokeURL is where logins are given back.
	revokeURL string
	http      *http.Client
	verifier  *verifier
	stop      context.CancelFunc
	flights   singleflight.Group
	renewals  chan struct{}
	recent    *recent
}

// NewVault makes a vault. It fails with [event.CodeInvalid] for a configuration
// that cannot work. Close it when it is not needed any more.
func NewVault(config Config) (*Vault, error) {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	base, err := url.Parse(config.URL)
	switch {
	case err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https"):
		return nil, event.Errorf(event.CodeInvalid, "URL of the sign-on %q: must be an http or https URL such as https://login.eveonline.com (MUSTER_SSO_URL)", config.URL)
	case config.ClientID == "":
		return nil, event.Errorf(event.CodeInvalid, "no client id for EVE's sign-on: set MUSTER_SSO_CLIENT_ID")
	case config.Pool == nil:
		return nil, event.Errorf(event.CodeInvalid, "a vault needs a database")
	}
	seal, err := newSealer(config.Key, config.FormerKeys)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       config.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 8, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// An application without a secret names itself in the form, and has PKCE.
	style := oauth2.AuthStyleInHeader
	if config.ClientSecret == "" {
		style = oauth2.AuthStyleInParams
	}
	ctx, stop := context.WithCancel(context.Background())
	verifier, err := newVerifier(ctx, base, client, config)
	if err != nil {
		stop()
		return nil, err
	}
	return &Vault{
		config: config,
		sealer: seal,
		oauth: oauth2.Config{
			ClientID:     config.ClientID,
			ClientSecret: config.ClientSecret,
			Endpoint: oauth2.Endpoint{
				AuthURL:   base.JoinPath("v2", "oauth", "authorize").String(),
				TokenURL:  base.JoinPath("v2", "oauth", "token").String(),
				AuthStyle: style,
			},
		},
		revokeURL: base.JoinPath("v2", "oauth", "revoke").String(),
		http:      client,
		verifier:  verifier,
		stop:      stop,
		renewals:  make(chan struct{}, parallelRenewals),
		recent:    newRecent(),
	}, nil
}

// Close ends the reading of keys. A renewal under way still comes to its end.
func (v *Vault) Close() {
	v.stop()
	v.http.CloseIdleConnections()
}

// Grant is a login that an owner has given.
type Grant struct {
	CharacterID int64
	// RefreshToken is a secret.
	RefreshToken string
	// OwnerHash is EVE's; empty if it is not known, then the first one seen
	// counts.
	OwnerHash string
	Scopes    []string
}

// String keeps the token out of texts.
func (g Grant) String() string { return fmt.Sprintf("login of character %d", g.CharacterID) }

// GoString keeps the token out of texts.
func (g Grant) GoString() string { return g.String() }

// PutTx keeps a login, within the caller's transaction, in place of any that the
// character had. A parked login is active again.
func (v *Vault) PutTx(ctx context.Context, tx pgx.Tx, g Grant) error {
	defer v.recent.drop(g.CharacterID)
	if g.CharacterID <= 0 || g.RefreshToken == "" {
		return event.Errorf(event.CodeInvalid, "login of character %d: needs a character and a refresh token", g.CharacterID)
	}
	if g.Scopes == nil {
		g.Scopes = []string{}
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO ingest.token (character_id, owner_hash, scopes, refresh_sealed, registered_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (character_id) DO UPDATE SET owner_hash = $2, scopes = $3, refresh_sealed = $4, registered_at = $5, updated_at = $5,
		    access_sealed = NULL, access_expires_at = NULL, access_verified = false, state = 'active', parked_reason = ''`,
		g.CharacterID, g.OwnerHash, g.Scopes, v.sealer.seal(g.CharacterID, forRefresh, g.RefreshToken), v.config.Now().UTC())
	if err != nil {
		return fmt.Errorf("keeping the login of character %d: %w", g.CharacterID, err)
	}
	return nil
}

// DeleteTx is [DeleteTx].
func (v *Vault) DeleteTx(ctx context.Context, tx pgx.Tx, character int64) error {
	defer v.recent.drop(character)
	return DeleteTx(ctx, tx, character)
}

// DeleteTx removes a login, within the caller's transaction. It needs no key.
func DeleteTx(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, "DELETE FROM ingest.token WHERE character_id = $1", character); err != nil {
		return fmt.Errorf("removing the login of character %d: %w", character, err)
	}
	return nil
}

// Park keeps a login from being used until its character is registered again.
func (v *Vault) Park(ctx context.Context, character int64, reason string) error {
	defer v.recent.drop(character)
	_, err := v.config.Pool.Exec(ctx, `
		UPDATE ingest.token SET state = 'parked', parked_reason = $2, access_sealed = NULL, access_expires_at = NULL,
		    access_verified = false, updated_at = $3 WHERE character_id = $1`,
		character, reason, v.config.Now().UTC())
	if err != nil {
		return fmt.Errorf("parking the login of character %d: %w", character, err)
	}
	return nil
}

// Login is the state of a login, without its secrets.
type Login struct {
	CharacterID int64
	Scopes      []string
	// Parked tells that the login waits until its owner registers the character
	// again, for the reason ParkedReason.
	Parked       bool
	ParkedReason string
	UpdatedAt    time.Time
}

// Logins lists the state of all logins, by character.
func (v *Vault) Logins(ctx context.Context) ([]Login, error) {
	rows, err := v.config.Pool.Query(ctx, `
		SELECT character_id, scopes, state = 'parked', parked_reason, updated_at FROM ingest.token ORDER BY character_id`)
	if err != nil {
		return nil, fmt.Errorf("listing logins: %w", err)
	}
	logins, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Login])
	if err != nil {
		return nil, fmt.Errorf("listing logins: %w", err)
	}
	return logins, nil
}

// Access is a verified access token of a character that is good for another
// minute at least. Errors are coded: [event.CodeUnauthenticated] if the login is
// gone until its owner registers the character again (wrapping an
// [*OwnerChangedError] if there is another owner now), [event.CodeUnavailable] if
// it may work later. No error holds a secret.
func (v *Vault) Access(ctx context.Context, character int64) (Access, error) {
	if access, ok := v.recent.get(character, v.config.Now()); ok {
		return access, nil
	}
	row, err := v.read(ctx, v.config.Pool, character, "")
	if err != nil {
		return Access{}, err
	}
	if access, ok, err := v.ready(row); err != nil || ok {
		if ok {
			v.recent.put(character, access, v.config.Now())
		}
		return access, err
	}
	// Once a refresh token is sent its successor must not be lost, whoever has
	// stopped waiting for it.
	result := v.flights.DoChan(strconv.FormatInt(character, 10), func() (any, error) {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*v.config.Timeout)
		defer cancel()
		return v.renew(detached, character)
	})
	select {
	case r := <-result:
		access, _ := r.Val.(Access)
		return access, r.Err
	case <-ctx.Done():
		return Access{}, fmt.Errorf("renewing the login of character %d: %w", character, context.Cause(ctx))
	}
}

// Reject says that a token was refused as expired, so that the next
// [Vault.Access] gives another one.
func (v *Vault) Reject(ctx context.Context, character int64, token string) error {
	v.recent.drop(character)
	row, err := v.read(ctx, v.config.Pool, character, "")
	if err != nil {
		return err
	}
	if row.accessSealed == nil {
		return nil
	}
	current, err := v.sealer.open(character, forAccess, row.accessSealed)
	if err != nil || current != token {
		return err
	}
	_, err = v.config.Pool.Exec(ctx, `
		UPDATE ingest.token SET access_sealed = NULL, access_expires_at = NULL, access_verified = false
		WHERE character_id = $1 AND access_sealed = $2`, character, row.accessSealed)
	if err != nil {
		return fmt.Errorf("dropping the refused token of character %d: %w", character, err)
	}
	return nil
}

// tokenRow is a row of the table.
type tokenRow struct {
	character     int64
	ownerHash     string
	scopes        []string
	refreshSealed []byte
	accessSealed  []byte
	expiresAt     *time.Time
	verified      bool
	state         string
	parkedReason  string
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (v *Vault) read(ctx context.Context, q querier, character int64, lock string) (tokenRow, error) {
	row := tokenRow{character: character}
	err := q.QueryRow(ctx, `
		SELECT owner_hash, scopes, refresh_sealed, access_sealed, access_expires_at, access_verified, state, parked_reason
		FROM ingest.token WHERE character_id = $1 `+lock, character,
	).Scan(&row.ownerHash, &row.scopes, &row.refreshSealed, &row.accessSealed, &row.expiresAt, &row.verified, &row.state, &row.parkedReason)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return row, event.Errorf(event.CodeUnauthenticated, "no login is kept for character %d: register it", character)
	case err != nil:
		return row, fmt.Errorf("reading the login of character %d: %w", character, err)
	case row.state == "parked":
		return row, event.Errorf(event.CodeUnauthenticated, "the login of character %d is parked (%s): its owner has to register it again", character, row.parkedReason)
	}
	return row, nil
}

// ready is the row's access token if it is verified and good for a while.
func (v *Vault) ready(row tokenRow) (Access, bool, error) {
	if !row.verified || !v.fresh(row) {
		return Access{}, false, nil
	}
	token, err := v.sealer.open(row.character, forAccess, row.accessSealed)
	if err != nil {
		return Access{}, false, err
	}
	return Access{Token: token, Scopes: row.scopes, ExpiresAt: row.expiresAt.UTC()}, true, nil
}

func (v *Vault) fresh(row tokenRow) bool {
	return row.accessSealed != nil && row.expiresAt != nil && row.expiresAt.Sub(v.config.Now()) > renewBefore
}

// renew gets a new access token, stores what came with it, and only then
// verifies and gives it out.
func (v *Vault) renew(ctx context.Context, character int64) (Access, error) {
	select {
	case v.renewals <- struct{}{}:
		defer func() { <-v.renewals }()
	case <-ctx.Done():
		return Access{}, event.Errorf(event.CodeUnavailable, "too many logins are being renewed: character %d has to wait", character)
	}
	row, err := v.exchange(ctx, character)
	if err != nil {
		return Access{}, err
	}
	if access, ok, err := v.ready(row); err != nil || ok {
		// Another program was faster.
		return access, err
	}
	token, err := v.sealer.open(character, forAccess, row.accessSealed)
	if err != nil {
		return Access{}, err
	}
	claims, err := v.verifier.verify(ctx, token, character)
	if err != nil {
		return Access{}, err
	}
	if row.ownerHash != "" && claims.Owner != row.ownerHash {
		if now, err := v.read(ctx, v.config.Pool, character, ""); err != nil || now.ownerHash != row.ownerHash {
			// The new owner has registered the character while this was under way.
			return Access{}, event.Errorf(event.CodeUnavailable, "the login of character %d was replaced while it was renewed", character)
		}
		changed := &OwnerChangedError{CharacterID: character, Was: row.ownerHash, Is: claims.Owner}
		return Access{}, event.Errorf(event.CodeUnauthenticated, "%w", changed)
	}
	if claims.Scopes == nil {
		claims.Scopes = []string{}
	}
	_, err = v.config.Pool.Exec(ctx, `
		UPDATE ingest.token SET access_verified = true, scopes = $3, owner_hash = $4, access_expires_at = $5
		WHERE character_id = $1 AND access_sealed = $2`, character, row.accessSealed, claims.Scopes, claims.Owner, claims.ExpiresAt)
	if err != nil {
		return Access{}, fmt.Errorf("keeping the verified token of character %d: %w", character, err)
	}
	return Access{Token: token, Scopes: claims.Scopes, ExpiresAt: claims.ExpiresAt}, nil
}

// exchange replaces the tokens of a row by new ones, unless another program has
// done so meanwhile. The row is locked all the while, and committed before any of
// the new tokens is used.
func (v *Vault) exchange(ctx context.Context, character int64) (tokenRow, error) {
	tx, err := v.config.Pool.Begin(ctx)
	if err != nil {
		return tokenRow{}, fmt.Errorf("renewing the login of character %d: %w", character, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	row, err := v.read(ctx, tx, character, "FOR UPDATE")
	if err != nil || v.fresh(row) {
		return row, err
	}
	refresh, err := v.sealer.open(character, forRefresh, row.refreshSealed)
	if err != nil {
		return row, err
	}
	token, err := v.oauth.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, v.http), &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return row, v.refused(ctx, tx, character, refresh, err)
	}
	expires := v.config.Now().Add(time.Duration(token.ExpiresIn) * time.Second).UTC()
	row.accessSealed, row.expiresAt, row.verified = v.sealer.seal(character, forAccess, token.AccessToken), &expires, false
	// The library keeps the old refresh token if no new one came.
	row.refreshSealed = v.sealer.seal(character, forRefresh, token.RefreshToken)
	_, err = tx.Exec(ctx, `
		UPDATE ingest.token SET refresh_sealed = $2, access_sealed = $3, access_expires_at = $4, access_verified = false, updated_at = $5
		WHERE character_id = $1`, character, row.refreshSealed, row.accessSealed, expires, v.config.Now().UTC())
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return row, fmt.Errorf("keeping the renewed login of character %d: %w", character, err)
	}
	return row, nil
}

// refused judges why there is no new token. Where EVE says that the login is
// gone, it is parked: asking again cannot help.
func (v *Vault) refused(ctx context.Context, tx pgx.Tx, character int64, refresh string, err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		// The error of a request that got no answer, or none that makes sense;
		// neither holds what was sent.
		return event.Errorf(event.CodeUnavailable, "EVE's sign-on gives no token for character %d: %s", character, hide(err.Error(), refresh))
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	said := hide(fmt.Sprintf("%.40s %.120s", answer.ErrorCode, answer.ErrorDescription), refresh)
	gone := status == http.StatusBadRequest && (answer.ErrorCode == "invalid_grant" || answer.ErrorCode == "invalid_token")
	if !gone {
		return event.Errorf(event.CodeUnavailable, "EVE's sign-on refuses a token for character %d for now (%d %s); if it stays so, check MUSTER_SSO_CLIENT_ID and MUSTER_SSO_CLIENT_SECRET", character, status, said)
	}
	_, err = tx.Exec(ctx, `
		UPDATE ingest.token SET state = 'parked', parked_reason = $2, access_sealed = NULL, access_expires_at = NULL, updated_at = $3
		WHERE character_id = $1`, character, "EVE's sign-on says: "+said, v.config.Now().UTC())
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return fmt.Errorf("parking the login of character %d: %w", character, err)
	}
	return event.Errorf(event.CodeUnauthenticated, "the login of character %d is gone (%s): its owner has to register it again", character, said)
}

// hide takes a secret out of a foreign text, and what Postgres could not keep.
func hide(text, secret string) string {
	text = strings.ReplaceAll(text, secret, "[token]")
	text = strings.ReplaceAll(text, url.QueryEscape(secret), "[token]")
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
}
