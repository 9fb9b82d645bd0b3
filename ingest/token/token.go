// Package token issues and revokes the bearer tokens of the API, and tells who holds
// one. The log has that they were issued and revoked; only the hash of a token is
// kept, in Postgres alone.
package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

const (
	// DefaultLifetime is how long a token is good that says nothing else.
	DefaultLifetime = 90 * 24 * time.Hour
	// noted is how exactly it is known when a token was last used: each use within it is
	// one write less.
	noted = time.Minute
	// maxGood is how many tokens of one user, or of programs, may be good at a time.
	maxGood = 100
)

// Bus decides on a stream; [*command.Bus] does.
type Bus interface {
	Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error)
	Await(ctx context.Context, receipts ...command.Receipt) (bool, error)
}

// Users tells what a user of the organisation was given; false for one who is not
// known.
type Users interface {
	Grants(ctx context.Context, user string) (access.Grants, bool, error)
}

// Config is what [Tokens] works with. All but Now must be set.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool  *pgxpool.Pool
	Bus   Bus
	Users Users
	Now   func() time.Time
}

// Tokens issues, revokes and knows tokens. It is safe for concurrent use, also by
// several processes on one database.
type Tokens struct{ config Config }

// New knows the tokens of a database. It fails with [event.CodeInvalid] for a
// configuration that cannot work.
func New(c Config) (*Tokens, error) {
	if c.Pool == nil || c.Bus == nil || c.Users == nil {
		return nil, event.Errorf(event.CodeInvalid, "tokens need a pool, a bus and users")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Tokens{config: c}, nil
}

// Token is a token as it is listed. It holds no secret.
type Token struct {
	access.TokenIssued

	IssuedAt time.Time
	// RevokedAt is nil if it was not revoked, RevokedBy then empty.
	RevokedAt *time.Time
	RevokedBy string
	// LastUsedAt is nil if it was never used, else right to the minute.
	LastUsedAt *time.Time
}

// Issued is a token that was issued.
type Issued struct {
	Token

	// Secret is the token itself. It is told once and cannot be had again.
	Secret string
	// Shown is false when the log did not have it in time: it will.
	Shown bool
}

// String keeps the secret out of texts.
func (i Issued) String() string { return "token " + i.TokenID.String() }

// GoString keeps the secret out of texts.
func (i Issued) GoString() string { return i.String() }

// streamOf is the stream that is decided on. Tokens of programs are decided on with
// roles: decisions on one stream lie in one topic, or a reader of two could take an
// earlier one for a copy.
func streamOf(user string) event.Stream {
	if user == "" {
		return event.Roles
	}
	return event.User(user)
}

// Issue issues a token. It fails like [access.DecideToken], with [event.CodeInvalid] for
// a user who is not there or not active, and with [event.CodeConflict] if he, or all
// programs together, have a hundred that are good.
func (t *Tokens) Issue(ctx context.Context, by access.Principal, wanted access.NewToken) (Issued, error) {
	if wanted.Lifetime == 0 {
		wanted.Lifetime = DefaultLifetime
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Issued{}, event.Errorf(event.CodeInternal, "making the id of a token: %w", err)
	}
	var issued Issued
	receipt, err := t.config.Bus.Do(ctx, streamOf(wanted.UserID), command.Input{Actor: by.ID}, func(ctx context.Context, tx pgx.Tx, _ int64) ([]event.Payload, error) {
		issuer, err := t.actor(ctx, by)
		if err != nil {
			return nil, err
		}
		grants, known, err := t.given(ctx, wanted.UserID)
		if err != nil {
			return nil, err
		}
		if err := access.DecideToken(issuer, wanted, grants); err != nil {
			return nil, err
		}
		if err := checkUser(wanted.UserID, grants, known); err != nil {
			return nil, err
		}
		// To the microsecond, as it is kept.
		now := t.config.Now().UTC().Truncate(time.Microsecond)
		if err := checkCount(ctx, tx, wanted.UserID, now); err != nil {
			return nil, err
		}
		issued = Issued{Secret: newSecret(), Token: Token{IssuedAt: now, TokenIssued: access.TokenIssued{
			TokenID: id, Name: wanted.Name, UserID: wanted.UserID, IssuedBy: by.ID, IssuedByUser: by.UserID, Scope: wanted.Scope, ExpiresAt: now.Add(wanted.Lifetime).Truncate(time.Microsecond),
		}}}
		_, err = tx.Exec(ctx, `INSERT INTO ingest.api_token (token_id, secret_hash, name, user_id, scope, issued_by, issued_by_user, issued_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, hashOf(issued.Secret), wanted.Name, wanted.UserID, namesOf(wanted.Scope), by.ID, by.UserID, now, issued.ExpiresAt)
		if err != nil {
			return nil, fmt.Errorf("keeping a token: %w", err)
		}
		return []event.Payload{issued.TokenIssued}, nil
	})
	if err != nil {
		return Issued{}, err
	}
	issued.Shown, err = t.config.Bus.Await(ctx, receipt)
	return issued, err
}

// checkCount fails with [event.CodeConflict] if somebody has enough tokens.
func checkCount(ctx context.Context, tx pgx.Tx, user string, now time.Time) error {
	var good int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM ingest.api_token WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2`, user, now).Scan(&good)
	switch {
	case err != nil:
		return fmt.Errorf("counting tokens: %w", err)
	case good >= maxGood:
		return event.Errorf(event.CodeConflict, "there are %d tokens that are good already: revoke some first", good)
	default:
		return nil
	}
}

// namesOf are actions as Postgres keeps them; null for none.
func namesOf(scope []access.Action) []string {
	var names []string
	for _, action := range scope {
		names = append(names, string(action))
	}
	return names
}

// actor is somebody with what he was given.
func (t *Tokens) actor(ctx context.Context, p access.Principal) (access.Actor, error) {
	actor := access.Actor{Principal: p}
	if p.UserID == "" {
		return actor, nil
	}
	var err error
	actor.Grants, _, err = t.config.Users.Grants(ctx, p.UserID)
	return actor, err
}

// given is what a user was given, and whether he is known; for a program nothing.
func (t *Tokens) given(ctx context.Context, user string) (access.Grants, bool, error) {
	if user == "" {
		return access.Grants{}, false, nil
	}
	return t.config.Users.Grants(ctx, user)
}

func checkUser(user string, grants access.Grants, known bool) error {
	switch {
	case user == "":
		return nil
	case !known:
		return event.Errorf(event.CodeInvalid, "there is no user %q: bring users in with `muster import` first", user)
	case !grants.Active:
		return event.Errorf(event.CodeInvalid, "user %q is not active: only active users have tokens", user)
	default:
		return nil
	}
}

// Revocation is what revoking a token came to.
type Revocation struct {
	TokenID uuid.UUID
	// Changed is false if it was revoked already.
	Changed bool
	// Version is that of the stream of its user, or of the organisation's.
	Version int64
	// Shown is false when the log did not have it in time: it will.
	Shown bool
}

// Revoke makes a token good for nothing, from this moment. A user revokes his own, a
// superuser and a program any. It fails with [event.CodeNotFound] if there is none
// that he may know of.
func (t *Tokens) Revoke(ctx context.Context, by access.Principal, id uuid.UUID) (Revocation, error) {
	missing := event.Errorf(event.CodeNotFound, "there is no token %s", id)
	all, err := t.manages(ctx, by)
	if err != nil {
		return Revocation{}, err
	}
	var user string
	err = t.config.Pool.QueryRow(ctx, `SELECT user_id FROM ingest.api_token WHERE token_id = $1`, id).Scan(&user)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !all && user != by.UserID:
		return Revocation{}, missing
	case err != nil:
		return Revocation{}, event.Errorf(event.CodeUnavailable, "looking for a token: %w", err)
	}
	revoked := Revocation{TokenID: id}
	receipt, err := t.config.Bus.Do(ctx, streamOf(user), command.Input{Actor: by.ID}, func(ctx context.Context, tx pgx.Tx, _ int64) ([]event.Payload, error) {
		tag, err := tx.Exec(ctx, `UPDATE ingest.api_token SET revoked_at = $2, revoked_by = $3 WHERE token_id = $1 AND revoked_at IS NULL`, id, t.config.Now().UTC(), by.ID)
		if err != nil {
			return nil, fmt.Errorf("revoking a token: %w", err)
		}
		if revoked.Changed = tag.RowsAffected() > 0; !revoked.Changed {
			return nil, nil
		}
		return []event.Payload{access.TokenRevoked{TokenID: id, UserID: user}}, nil
	})
	if err != nil {
		return Revocation{}, err
	}
	revoked.Version = receipt.Version
	revoked.Shown, err = t.config.Bus.Await(ctx, receipt)
	return revoked, err
}

// manages tells whether somebody sees and revokes the tokens of all.
func (t *Tokens) manages(ctx context.Context, p access.Principal) (bool, error) {
	if p.UserID == "" {
		return true, nil
	}
	actor, err := t.actor(ctx, p)
	return actor.Administers(), err
}

const columns = `token_id, name, user_id, scope, issued_by, issued_by_user, issued_at, expires_at, revoked_at, revoked_by, last_used_at`

func scan(row pgx.CollectableRow) (Token, error) {
	var t Token
	var scope []string
	err := row.Scan(&t.TokenID, &t.Name, &t.UserID, &scope, &t.IssuedBy, &t.IssuedByUser, &t.IssuedAt, &t.ExpiresAt, &t.RevokedAt, &t.RevokedBy, &t.LastUsedAt)
	for _, action := range scope {
		t.Scope = append(t.Scope, access.Action(action))
	}
	t.IssuedAt, t.ExpiresAt = t.IssuedAt.UTC(), t.ExpiresAt.UTC()
	for _, at := range []*time.Time{t.RevokedAt, t.LastUsedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return t, err
}

// List lists tokens, the newest first, also those that are good no more: a user's own,
// or all for a superuser and for a program. Those issued before the one with the id
// after, unless that is the zero id; at most limit.
func (t *Tokens) List(ctx context.Context, by access.Principal, after uuid.UUID, limit int) ([]Token, error) {
	all, err := t.manages(ctx, by)
	if err != nil {
		return nil, err
	}
	// The ids are in the order of time.
	rows, err := t.config.Pool.Query(ctx, `SELECT `+columns+` FROM ingest.api_token
		WHERE ($1 OR user_id = $2) AND ($3::uuid = '00000000-0000-0000-0000-000000000000' OR token_id < $3) ORDER BY token_id DESC LIMIT $4`, all, by.UserID, after, limit)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "listing tokens: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "listing tokens: %w", err)
	}
	return list, nil
}

// Authenticate implements [access.Authenticator]: it tells who holds a token, bounded
// by what its issuer may do now. It says the same of every token that is no good:
// never issued, expired, revoked, of a user who is not active, or issued by somebody
// who may not issue it any more.
func (t *Tokens) Authenticate(ctx context.Context, text string) (access.Principal, error) {
	if !WellFormed(text) {
		return access.Principal{}, errNoToken()
	}
	rows, err := t.config.Pool.Query(ctx, `SELECT `+columns+` FROM ingest.api_token WHERE secret_hash = $1`, hashOf(text))
	if err != nil {
		return access.Principal{}, event.Errorf(event.CodeUnavailable, "looking for a token: %w", err)
	}
	held, err := pgx.CollectExactlyOneRow(rows, scan)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return access.Principal{}, errNoToken()
	case err != nil:
		return access.Principal{}, event.Errorf(event.CodeUnavailable, "looking for a token: %w", err)
	}
	now := t.config.Now().UTC()
	if held.RevokedAt != nil || !now.Before(held.ExpiresAt) {
		return access.Principal{}, errNoToken()
	}
	issuer, err := t.issuer(ctx, held.TokenIssued)
	if err != nil {
		return access.Principal{}, err
	}
	if held.LastUsedAt == nil || now.Sub(*held.LastUsedAt) >= noted {
		_, err := t.config.Pool.Exec(ctx, `UPDATE ingest.api_token SET last_used_at = $2 WHERE token_id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`, held.TokenID, now)
		if err != nil {
			return access.Principal{}, event.Errorf(event.CodeUnavailable, "noting that a token is used: %w", err)
		}
	}
	return access.TokenPrincipal(held.TokenIssued, issuer), nil
}

func errNoToken() error {
	return event.Errorf(event.CodeUnauthenticated, "nobody holds this token, or it is good no more: get another one with `muster token issue`, or use the one in the file admin-token of the data folder")
}

// issuer is who has issued a token as he may act now. It fails with
// [event.CodeUnauthenticated] if the token is good no more for what has become of him
// or of its user.
func (t *Tokens) issuer(ctx context.Context, held access.TokenIssued) (access.Actor, error) {
	var grants access.Grants
	if held.UserID != "" {
		var err error
		if grants, _, err = t.config.Users.Grants(ctx, held.UserID); err != nil {
			return access.Actor{}, err
		}
		if !grants.Active {
			return access.Actor{}, errNoToken()
		}
	}
	if held.IssuedByUser == "" {
		// The administrator, who stays what he is.
		return access.Actor{Principal: access.Principal{ID: held.IssuedBy, Superuser: true}}, nil
	}
	if held.IssuedByUser == held.UserID {
		// His own, as most are: he was just asked for.
		return access.Actor{Principal: access.UserPrincipal(held.UserID), Grants: grants}, nil
	}
	issuer, err := t.actor(ctx, access.UserPrincipal(held.IssuedByUser))
	if err != nil {
		return access.Actor{}, err
	}
	if !issuer.Administers() {
		return access.Actor{}, errNoToken()
	}
	return issuer, nil
}
