package command

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
)

// Refusal is an event that the log will not take. Its stream stands still until
// somebody calls [Bus.Retry] or [Bus.Withdraw].
type Refusal struct {
	Stream  event.Stream
	Version int64
	EventID uuid.UUID
	Type    event.Type
	// Reason is what the log said.
	Reason string
	// Decided is when the command was decided, UTC.
	Decided time.Time
	// Waiting counts the entries of the stream that wait behind this one.
	Waiting int64
}

// Refusals lists what the log has refused, by stream.
func (b *Bus) Refusals(ctx context.Context) ([]Refusal, error) {
	rows, err := b.config.Pool.Query(ctx, `SELECT stream, version, id, type, refusal, decided_at,
			(SELECT count(*) FROM command.outbox w WHERE w.stream = r.stream AND w.version > r.version)
		FROM command.outbox r WHERE refusal IS NOT NULL ORDER BY stream`)
	if err != nil {
		return nil, storeError("reading the refused commands", err)
	}
	refusals, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Refusal, error) {
		var r Refusal
		err := row.Scan((*string)(&r.Stream), &r.Version, &r.EventID, (*string)(&r.Type), &r.Reason, &r.Decided, &r.Waiting)
		r.Decided = r.Decided.UTC()
		return r, err
	})
	if err != nil {
		return nil, storeError("reading the refused commands", err)
	}
	return refusals, nil
}

// Retry has the forwarder offer a refused event to the log again, for example
// after the topic was allowed larger records. It fails with
// [event.CodeNotFound] if nothing of the stream was refused.
func (b *Bus) Retry(ctx context.Context, stream event.Stream) error {
	return b.onRefused(ctx, stream, func(tx pgx.Tx, _ int64) error {
		_, err := tx.Exec(ctx, `UPDATE command.outbox SET refusal = NULL WHERE stream = $1 AND refusal IS NOT NULL`, string(stream))
		return err
	})
}

// Withdraw takes back a refused event and those of its stream that were decided
// after it, as if their commands had failed: none of them has reached the log.
// What the commands wrote elsewhere in their transactions stays. It fails with
// [event.CodeNotFound] if nothing of the stream was refused.
func (b *Bus) Withdraw(ctx context.Context, stream event.Stream) error {
	return b.onRefused(ctx, stream, func(tx pgx.Tx, version int64) error {
		if _, err := tx.Exec(ctx, `DELETE FROM command.outbox WHERE stream = $1 AND version >= $2`, string(stream), version); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE command.stream_heads SET version = $2 - 1 WHERE stream = $1`, string(stream), version)
		return err
	})
}

// onRefused calls change with the version that was refused, under the lock of the
// stream, and wakes the forwarder.
func (b *Bus) onRefused(ctx context.Context, stream event.Stream, change func(tx pgx.Tx, version int64) error) error {
	err := pgx.BeginFunc(ctx, b.config.Pool, func(tx pgx.Tx) error {
		if _, err := lockHeads(ctx, tx, []event.Stream{stream}); err != nil {
			return err
		}
		var version *int64
		err := tx.QueryRow(ctx, `SELECT min(version) FROM command.outbox WHERE stream = $1 AND refusal IS NOT NULL`, string(stream)).Scan(&version)
		if err != nil {
			return fmt.Errorf("reading what was refused: %w", err)
		}
		if version == nil {
			return event.Errorf(event.CodeNotFound, "no event of %s was refused by the log", stream)
		}
		if err := change(tx, *version); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT pg_notify($1, '')`, channel)
		return err
	})
	if err != nil {
		return storeError("releasing "+string(stream), err)
	}
	return nil
}
