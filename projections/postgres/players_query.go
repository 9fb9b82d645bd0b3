package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// Players is how many characters were online in the whole game.
type Players struct {
	Online int64
	// ReadAt is when ESI said so, UTC.
	ReadAt time.Time
	// VIP tells that only CCP's people and their guests may log in.
	VIP bool
}

// Players is what ESI said last of who is online; nil before it was asked. It fails with
// [event.CodeUnavailable] if the database is not there.
func (r *CharacterReader) Players(ctx context.Context) (*Players, error) {
	const table = "universe.server_status"
	if there, err := r.there(ctx, table); err != nil || !there {
		return nil, err
	}
	var p Players
	err := r.pool.QueryRow(ctx, `SELECT players, read_at, vip FROM `+table).Scan(&p.Online, &p.ReadAt, &p.VIP)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is none
	}
	if err != nil {
		return nil, queryError("reading how many players are online", err)
	}
	p.ReadAt = p.ReadAt.UTC()
	return &p, nil
}
