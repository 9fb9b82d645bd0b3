package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// parkedEvent is an event set aside: poisoned if it has a reason, else waiting
// behind a poisoned one of its sequence.
type parkedEvent struct {
	event    Event
	sequence string
	reason   string
}

func saveParked(ctx context.Context, tx pgx.Tx, f *fold, p *prepared) error {
	for _, k := range p.parked {
		state := "waiting"
		if k.reason != "" {
			state = "poisoned"
		}
		_, err := tx.Exec(ctx, `INSERT INTO runner.parked (name, generation, topic, partition, log_offset, stream, sequence, event_id, type, reason, state)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			f.generation.Projection, f.generation.Number, k.event.Topic, k.event.Partition, k.event.Offset,
			string(k.event.Stream), k.sequence, k.event.ID.String(), string(k.event.Type), k.reason, state)
		if err != nil {
			return fmt.Errorf("parking the event at %s: %w", k.event.Position, err)
		}
		f.metrics.parked.WithLabelValues(f.projection.Name, state).Inc()
	}
	return nil
}

// forgetParked takes parked events out for good that tombstones name: they cannot be
// applied any more, and the reason that was noted may say what they held. What waited
// behind them is tried again.
func forgetParked(ctx context.Context, tx pgx.Tx, f *fold, p *prepared) error {
	if len(p.gone) == 0 {
		return nil
	}
	ids, streams, topics := make([]string, len(p.gone)), make([]string, len(p.gone)), make([]string, len(p.gone))
	offsets := make([]int64, len(p.gone))
	for i, e := range p.gone {
		ids[i], streams[i], topics[i], offsets[i] = e.ID.String(), string(e.Stream), e.Topic, e.Offset
	}
	_, err := tx.Exec(ctx, `WITH gone AS (
			UPDATE runner.parked k SET state = 'retry', reason = '' FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) AS b(event_id, stream, topic, log_offset)
			WHERE k.name = $1 AND k.generation = $2 AND k.event_id = b.event_id AND k.stream = b.stream AND k.topic = b.topic AND k.log_offset < b.log_offset
			RETURNING k.topic, k.partition, k.log_offset, k.event_id)
		INSERT INTO runner.skipped (name, topic, partition, log_offset, event_id, reason, actor)
		SELECT $1, topic, partition, log_offset, event_id, 'a tombstone names it', 'muster/retention' FROM gone ON CONFLICT DO NOTHING`,
		f.generation.Projection, f.generation.Number, ids, streams, topics, offsets)
	if err != nil {
		return fmt.Errorf("letting go of parked events of %s: %w", f.generation.Namespace, err)
	}
	return nil
}

// Parked is an event that the live generation of a projection has set aside.
// It holds no copy of the event: that is read from the log when it is tried again.
type Parked struct {
	Projection string `json:"projection"`
	event.Position
	Stream   string    `json:"stream"`
	Sequence string    `json:"sequence"`
	EventID  string    `json:"event_id"`
	Type     string    `json:"type"`
	Reason   string    `json:"reason"`
	State    string    `json:"state"`
	ParkedAt time.Time `json:"parked_at"`
}

// ParkedEvents lists what is set aside in the live generations, oldest first.
func (c *Control) ParkedEvents(ctx context.Context, projection string) ([]Parked, error) {
	rows, err := c.pool.Query(ctx, `SELECT k.name, k.topic, k.partition, k.log_offset, k.stream, k.sequence, k.event_id, k.type, k.reason, k.state, k.parked_at
		FROM runner.parked k JOIN runner.projections p ON p.name = k.name AND p.live_generation = k.generation
		WHERE $1 = '' OR k.name = $1 ORDER BY k.name, k.sequence, k.topic, k.partition, k.log_offset`, projection)
	if err != nil {
		return nil, fmt.Errorf("listing parked events: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Parked, error) {
		var k Parked
		err := row.Scan(&k.Projection, &k.Topic, &k.Partition, &k.Offset, &k.Stream, &k.Sequence, &k.EventID, &k.Type, &k.Reason, &k.State, &k.ParkedAt)
		return k, err
	})
}

// Retry asks the owner of the projection to try a parked sequence again, for
// instance after an upgrade that can read the event. The owner does it between
// two batches.
func (c *Control) Retry(ctx context.Context, projection string, at event.Position) error {
	tag, err := c.pool.Exec(ctx, `UPDATE runner.parked k SET state = 'retry' FROM runner.projections p
		WHERE p.name = k.name AND p.live_generation = k.generation AND k.name = $1
			AND k.topic = $2 AND k.partition = $3 AND k.log_offset = $4`, projection, at.Topic, at.Partition, at.Offset)
	if err != nil {
		return fmt.Errorf("asking to retry %s: %w", at, err)
	}
	if tag.RowsAffected() == 0 {
		return event.Errorf(event.CodeNotFound, "projection %q has no parked event at %s: see `muster poison list`", projection, at)
	}
	return nil
}

// Skip takes an event out of a projection for good, in this generation and in
// every later one, and lets the events that wait behind it go on. The event
// stays in the log.
func (c *Control) Skip(ctx context.Context, projection string, at event.Position, actor, reason string) error {
	if reason == "" {
		return event.Errorf(event.CodeInvalid, "skipping %s: say why, auditors will ask (--reason)", at)
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO runner.skipped (name, topic, partition, log_offset, event_id, reason, actor)
			VALUES ($1, $2, $3, $4, coalesce((SELECT max(event_id) FROM runner.parked WHERE name = $1 AND topic = $2 AND partition = $3 AND log_offset = $4), ''), $5, $6)
			ON CONFLICT DO NOTHING`, projection, at.Topic, at.Partition, at.Offset, reason, actor)
		if err != nil {
			return fmt.Errorf("skipping %s in %s: %w", at, projection, err)
		}
		_, err = tx.Exec(ctx, `UPDATE runner.parked SET state = 'retry' WHERE name = $1 AND topic = $2 AND partition = $3 AND log_offset = $4`,
			projection, at.Topic, at.Partition, at.Offset)
		if err != nil {
			return fmt.Errorf("skipping %s in %s: %w", at, projection, err)
		}
		return nil
	})
}

// readRange yields the records of a partition from an offset up to, not
// including, another.
type readRange func(ctx context.Context, at eventlog.Partition, from, to int64) ([]eventlog.Record, error)

// retryParked tries the sequences marked for it again: every event of the
// sequence, in order, in one batch with no checkpoint of its own. What still
// cannot be applied stays parked.
func retryParked(ctx context.Context, pool txBeginner, s retrier, f *fold, read readRange) error {
	rows, err := pool.Query(ctx, `SELECT k.sequence, k.topic, k.partition, k.log_offset FROM runner.parked k
		WHERE k.name = $1 AND k.generation = $2 AND k.sequence IN
			(SELECT sequence FROM runner.parked WHERE name = $1 AND generation = $2 AND state = 'retry')
		ORDER BY k.topic, k.partition, k.log_offset`, f.generation.Projection, f.generation.Number)
	if err != nil {
		return fmt.Errorf("reading what to retry: %w", err)
	}
	type place struct {
		Sequence string
		event.Position
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (place, error) {
		var k place
		return k, row.Scan(&k.Sequence, &k.Topic, &k.Partition, &k.Offset)
	})
	if err != nil {
		return fmt.Errorf("reading what to retry: %w", err)
	}
	p := &prepared{batch: f.projection.NewBatch(), versions: map[string]int64{}}
	for _, k := range places {
		delete(f.waiting, k.Sequence)
	}
	f.retrying = true
	defer func() { f.retrying = false }()
	for _, k := range places {
		at := eventlog.Partition{Topic: k.Topic, ID: k.Partition}
		records, err := read(ctx, at, k.Offset, k.Offset+1)
		if err != nil {
			return fmt.Errorf("reading the parked event at %s: %w", k.Position, err)
		}
		for i := range records {
			if err := f.add(p, &records[i]); err != nil {
				return err
			}
		}
	}
	return s.retry(ctx, f, p, func(ctx context.Context, tx pgx.Tx) error {
		for _, k := range places {
			if _, err := tx.Exec(ctx, `DELETE FROM runner.parked WHERE name = $1 AND generation = $2 AND topic = $3 AND partition = $4 AND log_offset = $5`,
				f.generation.Projection, f.generation.Number, k.Topic, k.Partition, k.Offset); err != nil {
				return fmt.Errorf("releasing the parked event at %s: %w", k.Position, err)
			}
		}
		if err := saveVersions(ctx, tx, f, p); err != nil {
			return err
		}
		return saveParked(ctx, tx, f, p)
	})
}

// retrier writes a batch that moves no checkpoint.
type retrier interface {
	retry(ctx context.Context, f *fold, p *prepared, settle func(context.Context, pgx.Tx) error) error
}

// txBeginner is what retryParked reads from.
type txBeginner interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (s *Postgres) retry(ctx context.Context, f *fold, p *prepared, settle func(context.Context, pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return s.write(ctx, tx, f, p.batch)
	})
}

// retry inserts without a token of a range: rows carry their offsets, so a
// repetition after a crash replaces itself.
func (s *ClickHouse) retry(ctx context.Context, f *fold, p *prepared, settle func(context.Context, pgx.Tx) error) error {
	token := fmt.Sprintf("%s/retry/%d", f.generation.Namespace, time.Now().UnixNano())
	if err := s.insert(ctx, f, p, token); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return settle(ctx, tx) })
}

// Skipped lists the positions of the events that were taken out of a projection
// for good.
func (c *Control) Skipped(ctx context.Context, projection string) ([]event.Position, error) {
	rows, err := c.pool.Query(ctx, `SELECT topic, partition, log_offset FROM runner.skipped WHERE name = $1 ORDER BY 1, 2, 3`, projection)
	if err != nil {
		return nil, fmt.Errorf("listing skipped events: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[event.Position])
}
