package compliance

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// telling is how something about users is told to the log when it has changed. T is what was
// told of a user last. What is to be told is noted down before it is appended: after a crash
// in between the very same is appended again, whatever has changed meanwhile.
type telling[T any] struct {
	pool *pgxpool.Pool
	// lock tells it from other things that are told of the same user.
	lock string
	// last reads what was told last, waits says whether the log may not have it yet.
	last  func(ctx context.Context, q querier, user string) (T, error)
	waits func(T) bool
	// note writes down what is to be told after that; the zero value if there is nothing.
	note func(ctx context.Context, tx pgx.Tx, user string, before T) (T, error)
	// append appends what waits, and says that it does no more.
	append func(ctx context.Context, user string, told T) error
}

// of tells what has changed of a user, if anything has.
func (t telling[T]) of(ctx context.Context, user string) error {
	for {
		before, err := t.last(ctx, t.pool, user)
		if err != nil {
			return err
		}
		if err := t.append(ctx, user, before); err != nil {
			return err
		}
		var noted T
		busy := false
		err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
			// Events of two topics may concern one user at the same time.
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2, 0))`, t.lock, user); err != nil {
				return err
			}
			now, err := t.last(ctx, tx, user)
			if err != nil {
				return err
			}
			if busy = t.waits(now); busy {
				return nil
			}
			noted, err = t.note(ctx, tx, user, now)
			return err
		})
		if err != nil {
			return err
		}
		if !busy {
			return t.append(ctx, user, noted)
		}
	}
}
