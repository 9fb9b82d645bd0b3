//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// statement is one that the API sent to an engine.
type statement struct {
	sql  string
	args []any
	// overTime tells that it went to ClickHouse.
	overTime bool
	// batch numbers what was sent to Postgres in one round trip; zero for what was not.
	batch int
}

// listener keeps the statements that connections send while it listens.
type listener struct {
	mu         sync.Mutex
	listening  bool
	statements []statement
	batches    int
}

func (l *listener) hear(s statement) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listening {
		l.statements = append(l.statements, s)
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	l.hear(statement{sql: data.SQL, args: data.Args})
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type batchKey struct{}

// TraceBatchStart implements [pgx.BatchTracer].
func (l *listener) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches++
	return context.WithValue(ctx, batchKey{}, l.batches)
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (l *listener) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	batch, _ := ctx.Value(batchKey{}).(int)
	l.hear(statement{sql: data.SQL, args: data.Args, batch: batch})
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (l *listener) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// during are the statements that are sent while f runs.
func (l *listener) during(f func()) []statement {
	l.mu.Lock()
	l.listening, l.statements = true, nil
	l.mu.Unlock()
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listening = false
	return l.statements
}

// heardConn is a connection to ClickHouse that is listened to.
type heardConn struct {
	driver.Conn

	listener *listener
}

// Query implements [driver.Conn].
func (c heardConn) Query(ctx context.Context, sql string, args ...any) (driver.Rows, error) {
	c.listener.hear(statement{sql: sql, args: args, overTime: true})
	return c.Conn.Query(ctx, sql, args...)
}

// QueryRow implements [driver.Conn].
func (c heardConn) QueryRow(ctx context.Context, sql string, args ...any) driver.Row {
	c.listener.hear(statement{sql: sql, args: args, overTime: true})
	return c.Conn.QueryRow(ctx, sql, args...)
}

// Select implements [driver.Conn].
func (c heardConn) Select(ctx context.Context, into any, sql string, args ...any) error {
	c.listener.hear(statement{sql: sql, args: args, overTime: true})
	return c.Conn.Select(ctx, into, sql, args...)
}

// bareEngines are the connections that statements are sent over without the API.
type bareEngines struct {
	postgres   *pgxpool.Pool
	clickhouse driver.Conn
}

// send sends statements one after the other as the API did, those of a round trip
// together, and reads all rows to their end.
func (e bareEngines) send(ctx context.Context, statements []statement) error {
	for len(statements) > 0 {
		n := 1
		for statements[0].batch != 0 && n < len(statements) && statements[n].batch == statements[0].batch {
			n++
		}
		var err error
		switch s := statements[0]; {
		case s.overTime:
			err = e.overTime(ctx, s)
		case s.batch == 0:
			err = readAll(e.postgres.Query(ctx, s.sql, s.args...))
		default:
			err = e.together(ctx, statements[:n])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statements[0].sql, err)
		}
		statements = statements[n:]
	}
	return nil
}

func (e bareEngines) together(ctx context.Context, statements []statement) error {
	var batch pgx.Batch
	for _, s := range statements {
		batch.Queue(s.sql, s.args...)
	}
	results := e.postgres.SendBatch(ctx, &batch)
	for range statements {
		if err := readAll(results.Query()); err != nil {
			_ = results.Close()
			return err
		}
	}
	return results.Close()
}

func readAll(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
		_ = rows.RawValues()
	}
	return rows.Err()
}

func (e bareEngines) overTime(ctx context.Context, s statement) error {
	rows, err := e.clickhouse.Query(ctx, s.sql, s.args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		// Rows lie in columns, which were read with their block.
		_ = rows.Columns()
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

// logCosts tells what each statement of a mix costs, the costliest of the mix first.
func (r *apiRig) logCosts(requests []request) {
	r.b.Helper()
	type cost struct {
		sql, route string
		count      int
		took       time.Duration
	}
	costs := map[string]*cost{}
	for _, q := range requests {
		for _, s := range q.statements {
			s.batch = 0
			started := time.Now()
			require.NoError(r.b, r.engines.send(r.b.Context(), []statement{s}))
			c := costs[s.sql]
			if c == nil {
				c = &cost{sql: s.sql, route: q.route}
				costs[s.sql] = c
			}
			c.count++
			c.took += time.Since(started)
		}
	}
	for _, c := range slices.SortedFunc(maps.Values(costs), func(a, b *cost) int { return cmp.Compare(b.took, a.took) }) {
		r.b.Logf("%5d times, %8.2f ms each, first of %q: %.300s", c.count, float64(c.took.Microseconds())/1000/float64(c.count), c.route, strings.Join(strings.Fields(c.sql), " "))
	}
}
