// Package session keeps who is signed in: a random id in his browser, and its hash in
// Postgres.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// Defaults of [Config].
const (
	DefaultLifetime = 7 * 24 * time.Hour
	DefaultIdle     = 12 * time.Hour
)

const (
	// idSize is the number of random bytes of a session's id.
	idSize = 32
	// noted is how exactly it is known when a session was last used: each use within it
	// is one write less.
	noted = time.Minute
)

// Users tells whether a user of the organisation is there and active now.
type Users interface {
	Active(ctx context.Context, user string) (bool, error)
}

// Config is what sessions work with. Pool and Users must be set.
type Config struct {
	// Pool is on a database with the tables of package schema.
	Pool  *pgxpool.Pool
	Users Users
	// Lifetime is how long a session lasts at most; Idle how long it lasts unused.
	Lifetime, Idle time.Duration
	Now            func() time.Time
}

// Sessions keeps who is signed in. It is safe for concurrent use, also by several
// processes on one database.
type Sessions struct{ config Config }

// New keeps sessions. It fails with [event.CodeInvalid] for a configuration that
// cannot work.
func New(c Config) (*Sessions, error) {
	if c.Pool == nil || c.Users == nil {
		return nil, event.Errorf(event.CodeInvalid, "sessions need a pool and users")
	}
	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	if c.Lifetime < noted || c.Idle < 2*noted {
		return nil, event.Errorf(event.CodeInvalid, "sessions last %s and %s unused: both must be some minutes at least (MUSTER_SESSION_LIFETIME, MUSTER_SESSION_IDLE)", c.Lifetime, c.Idle)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sessions{config: c}, nil
}

// Begun is a session that was begun.
type Begun struct {
	// ID is a secret: it goes into a cookie, and nowhere else.
	ID string
	// EndsAt is when it ends at the latest, UTC.
	EndsAt time.Time
}

// String keeps the id out of texts.
func (Begun) String() string { return "[session]" }

// GoString keeps the id out of texts.
func (b Begun) GoString() string { return b.String() }

// Begin signs a user in who has proved that a character is his.
func (s *Sessions) Begin(ctx context.Context, user string, character int64) (Begun, error) {
	secret := make([]byte, idSize)
	// Read never fails; it ends the program instead.
	_, _ = rand.Read(secret)
	now := s.config.Now().UTC()
	begun := Begun{ID: base64.RawURLEncoding.EncodeToString(secret), EndsAt: now.Add(s.config.Lifetime)}
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM ingest.session WHERE ends_at <= $1 OR seen_at <= $2`, now, now.Add(-s.config.Idle))
	batch.Queue(`INSERT INTO ingest.session (id_hash, user_id, character_id, begun_at, seen_at, ends_at) VALUES ($1, $2, $3, $4, $4, $5)`,
		hash(begun.ID), user, character, now, begun.EndsAt)
	if err := s.config.Pool.SendBatch(ctx, batch).Close(); err != nil {
		return Begun{}, fmt.Errorf("beginning a session: %w", err)
	}
	return begun, nil
}

func hash(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}

// Principal is who is signed in. It fails with [event.CodeUnauthenticated] for an id
// that was never given, for a session that is over, and for a user who is not active
// any more: all his sessions end with it.
func (s *Sessions) Principal(ctx context.Context, id string) (access.Principal, error) {
	var user string
	var seen, ends time.Time
	err := s.config.Pool.QueryRow(ctx, `SELECT user_id, seen_at, ends_at FROM ingest.session WHERE id_hash = $1`, hash(id)).Scan(&user, &seen, &ends)
	if errors.Is(err, pgx.ErrNoRows) {
		return access.Principal{}, errOver()
	}
	if err != nil {
		return access.Principal{}, event.Errorf(event.CodeUnavailable, "looking for a session: %w", err)
	}
	now := s.config.Now().UTC()
	if !now.Before(ends) || now.Sub(seen) >= s.config.Idle {
		return access.Principal{}, errOver()
	}
	active, err := s.config.Users.Active(ctx, user)
	if err != nil {
		return access.Principal{}, err
	}
	if !active {
		if err := endAll(ctx, s.config.Pool, []string{user}); err != nil {
			return access.Principal{}, err
		}
		return access.Principal{}, errOver()
	}
	if now.Sub(seen) >= noted {
		if _, err := s.config.Pool.Exec(ctx, `UPDATE ingest.session SET seen_at = $2 WHERE id_hash = $1 AND seen_at < $2`, hash(id), now); err != nil {
			return access.Principal{}, event.Errorf(event.CodeUnavailable, "noting that a session is used: %w", err)
		}
	}
	p := access.UserPrincipal(user)
	p.Expires = ends.UTC()
	return p, nil
}

func errOver() error {
	return event.Errorf(event.CodeUnauthenticated, "this session is over: sign in again at /auth/sign-in")
}

// End ends a session, if there is one with this id.
func (s *Sessions) End(ctx context.Context, id string) error {
	if _, err := s.config.Pool.Exec(ctx, `DELETE FROM ingest.session WHERE id_hash = $1`, hash(id)); err != nil {
		return event.Errorf(event.CodeUnavailable, "ending a session: %w", err)
	}
	return nil
}

// EndAllTx ends all sessions of users, within the transaction that decides that they are
// not active any more.
func EndAllTx(ctx context.Context, tx pgx.Tx, users ...string) error {
	return endAll(ctx, tx, users)
}

// executor is a pool or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func endAll(ctx context.Context, db executor, users []string) error {
	if _, err := db.Exec(ctx, `DELETE FROM ingest.session WHERE user_id = ANY($1)`, users); err != nil {
		return event.Errorf(event.CodeUnavailable, "ending the sessions of users: %w", err)
	}
	return nil
}
