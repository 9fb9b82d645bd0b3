package universe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

// serverStatus is what the game's server says of itself.
type serverStatus struct {
	Players   *int64     `json:"players"`
	Version   string     `json:"server_version"`
	StartTime *time.Time `json:"start_time"`
	VIP       bool       `json:"vip"`
}

// decodeServer reads ESI's status of the server.
func decodeServer(body []byte) (serverStatus, error) {
	var s serverStatus
	if err := json.Unmarshal(body, &s); err != nil {
		return s, event.Errorf(event.CodeInvalid, "the server's status must be an object with a count of players: %w", err)
	}
	if s.Players == nil || *s.Players < 0 {
		return s, event.Errorf(event.CodeInvalid, "the server's status must have a count of players that is not negative")
	}
	s.Version = printable(s.Version)
	return s, nil
}

// players asks how many characters are online when what is known of that is old.
// ESI keeps an answer for 30 seconds, and Member Audit one for a minute; what it is for,
// a figure on a page, does not need it as often.
func (r *Resolver) players(ctx context.Context) (time.Time, error) {
	now := r.config.Now().UTC()
	var read, expires time.Time
	var etag string
	err := r.config.Pool.QueryRow(ctx, `SELECT read_at, expires_at, etag FROM universe.server_status`).Scan(&read, &expires, &etag)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fmt.Errorf("reading what is known of the server: %w", err)
	}
	if due := latest(read.Add(r.config.Settings.Players), expires); now.Before(due) {
		return due.UTC(), nil
	}
	request := transport.Request{Route: catalogue.Status()}
	if etag != "" {
		request.Prior, request.Complete = []transport.Page{{ETag: etag}}, 1
	}
	answer, failure, later, err := r.ask(ctx, request)
	switch {
	case err != nil || !later.IsZero():
		return later, err
	case failure != nil:
		r.odd(ctx, failure)
		return now.Add(10 * time.Minute), nil
	case answer.NotModified:
		_, err := r.config.Pool.Exec(ctx, `UPDATE universe.server_status SET read_at = $1, expires_at = $2`, now, answer.ExpiresAt)
		return time.Time{}, err
	}
	status, err := decodeServer(answer.Pages[0].Body)
	if err != nil {
		r.config.Logger.WarnContext(ctx, "what ESI says of the server cannot be read", "error", err)
		return latest(now.Add(time.Hour), answer.ExpiresAt), nil
	}
	_, err = r.config.Pool.Exec(ctx, `INSERT INTO universe.server_status (players, started_at, version, vip, read_at, expires_at, etag) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (one) DO UPDATE SET players = $1, started_at = $2, version = $3, vip = $4, read_at = $5, expires_at = $6, etag = $7`,
		*status.Players, status.StartTime, status.Version, status.VIP, now, answer.ExpiresAt, printable(answer.Pages[0].ETag))
	if err != nil {
		return time.Time{}, fmt.Errorf("keeping what ESI says of the server: %w", err)
	}
	return time.Time{}, nil
}
