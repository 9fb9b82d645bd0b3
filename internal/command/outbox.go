package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/muster-sync/muster/domain/event"
)

// channel is where a commit wakes the forwarder.
const channel = "muster_command_outbox"

// querier is what reads need of a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readHeads reads the versions of streams; those without decisions are left out.
func readHeads(ctx context.Context, q querier, streams []event.Stream) (map[event.Stream]int64, error) {
	return scanHeads(q.Query(ctx, `SELECT stream, version FROM command.stream_heads WHERE stream = ANY($1)`, names(streams)))
}

// lockHeads locks the heads of streams, which must be sorted, until the end of
// the transaction, and reads their versions. A stream's head is made when it is
// not there: a row is needed to hold the lock.
func lockHeads(ctx context.Context, tx pgx.Tx, streams []event.Stream) (map[event.Stream]int64, error) {
	_, err := tx.Exec(ctx, `INSERT INTO command.stream_heads (stream, version)
		SELECT stream, 0 FROM unnest($1::text[]) AS s (stream) ORDER BY stream COLLATE "C"
		ON CONFLICT DO NOTHING`, names(streams))
	if err != nil {
		return nil, fmt.Errorf("preparing the heads of streams: %w", err)
	}
	return scanHeads(tx.Query(ctx, `SELECT stream, version FROM command.stream_heads
		WHERE stream = ANY($1) ORDER BY stream FOR UPDATE`, names(streams)))
}

func scanHeads(rows pgx.Rows, err error) (map[event.Stream]int64, error) {
	if err != nil {
		return nil, fmt.Errorf("reading the heads of streams: %w", err)
	}
	heads := map[event.Stream]int64{}
	var stream string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &version}, func() error {
		heads[event.Stream(stream)] = version
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the heads of streams: %w", err)
	}
	return heads, nil
}

// writeOutbox keeps events for the forwarder, in their order, and the versions
// their streams have reached, and wakes the forwarder when the transaction
// commits.
func writeOutbox(ctx context.Context, tx pgx.Tx, events []event.Event, versions map[event.Stream]int64) error {
	if len(events) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	c := columnsOf(events)
	// The rows get their seq in the order in which they are listed.
	batch.Queue(`INSERT INTO command.outbox (stream, version, id, type, source, time, actor, correlation_id, trace_parent, data)
		SELECT stream, version, id, type, source, time, actor, correlation_id, trace_parent, data::json
		FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[])
			WITH ORDINALITY AS e (stream, version, id, type, source, time, actor, correlation_id, trace_parent, data, n)
		ORDER BY n`,
		c.streams, c.versions, c.ids, c.types, c.sources, c.times, c.actors, c.correlations, c.traces, c.data)
	streams := make([]string, 0, len(versions))
	reached := make([]int64, 0, len(versions))
	for s, v := range versions {
		streams = append(streams, string(s))
		reached = append(reached, v)
	}
	batch.Queue(`UPDATE command.stream_heads h SET version = u.version
		FROM unnest($1::text[], $2::bigint[]) AS u (stream, version)
		WHERE h.stream = u.stream`, streams, reached)
	batch.Queue(`SELECT pg_notify($1, '')`, channel)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("writing to the outbox: %w", err)
	}
	return nil
}

// columns are events turned on their side, as unnest wants them.
type columns struct {
	streams, types, sources, actors, correlations, traces, data []string
	versions                                                    []int64
	ids                                                         []uuid.UUID
	times                                                       []pgtype.Timestamptz
}

func columnsOf(events []event.Event) columns {
	var c columns
	for _, e := range events {
		c.streams = append(c.streams, string(e.Stream))
		c.versions = append(c.versions, e.Version)
		c.ids = append(c.ids, e.ID)
		c.types = append(c.types, string(e.Type))
		c.sources = append(c.sources, e.Source)
		c.times = append(c.times, pgtype.Timestamptz{Time: e.Time, Valid: true})
		c.actors = append(c.actors, e.Actor)
		c.correlations = append(c.correlations, e.CorrelationID)
		c.traces = append(c.traces, e.TraceParent)
		c.data = append(c.data, string(e.Data))
	}
	return c
}

// entry is a row of the outbox.
type entry struct {
	seq   int64
	event event.Event
}

// readPending reads what is to be appended next, in order: at most limit entries,
// and no more of them than fit into maxBytes, but at least one. Streams that
// stand still because of a refusal are left out.
func readPending(ctx context.Context, q querier, limit, maxBytes int) ([]entry, error) {
	rows, err := q.Query(ctx, `SELECT seq, stream, version, id, type, source, time, actor, correlation_id, trace_parent, data::text
		FROM command.outbox o
		WHERE appended_at IS NULL
			AND NOT EXISTS (SELECT FROM command.outbox r WHERE r.stream = o.stream AND r.refusal IS NOT NULL)
		ORDER BY seq LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer rows.Close()
	var entries []entry
	size := 0
	for rows.Next() {
		var n entry
		var stream, eventType string
		e := &n.event
		if err := rows.Scan(&n.seq, &stream, &e.Version, &e.ID, &eventType, &e.Source, &e.Time,
			&e.Actor, &e.CorrelationID, &e.TraceParent, &e.Data); err != nil {
			return nil, fmt.Errorf("reading an entry of the outbox: %w", err)
		}
		e.Stream, e.Type, e.Time = event.Stream(stream), event.Type(eventType), e.Time.UTC()
		size += len(e.Data)
		if size > maxBytes && len(entries) > 0 {
			break
		}
		entries = append(entries, n)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return entries, nil
}

func names(streams []event.Stream) []string {
	texts := make([]string, len(streams))
	for i, s := range streams {
		texts[i] = string(s)
	}
	return texts
}

// storeError says what was being done and gives the error the code that fits: an
// error with a code keeps it, a connection that failed is [event.CodeUnavailable],
// a statement that Postgres refused is a defect of ours.
func storeError(doing string, err error) error {
	if _, coded := errors.AsType[*event.Error](err); coded || errors.Is(err, errMoved) {
		return err
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && !isTransient(refused.Code) {
		return event.Errorf(event.CodeInternal, "%s: %w", doing, err)
	}
	return event.Errorf(event.CodeUnavailable, "%s: %w", doing, err)
}

// isOutcomeUnknown tells whether a failed commit may have been kept: it was not if
// Postgres itself says that it failed.
func isOutcomeUnknown(err error) bool {
	_, answered := errors.AsType[*pgconn.PgError](err)
	return !answered && !errors.Is(err, pgx.ErrTxCommitRollback)
}

// isTransient tells whether a SQLSTATE speaks of the server's state and not of
// the statement: connections, serialization and deadlocks, resources,
// intervention of an operator.
func isTransient(state string) bool {
	switch state[:min(2, len(state))] {
	case "08", "40", "53", "57":
		return true
	default:
		return false
	}
}
