//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// The floors do the same work with the same rows and nothing else: the rows lie
// in memory already, in blocks of the size that a catching-up projection writes.

// consume reads the whole log with franz-go and looks at nothing.
func (r *benchRig) consume() time.Duration {
	r.b.Helper()
	from := map[string]map[int32]kgo.Offset{}
	left := int64(0)
	for at, end := range r.ends {
		if from[at.Topic] == nil {
			from[at.Topic] = map[int32]kgo.Offset{}
		}
		from[at.Topic][at.ID] = kgo.NewOffset().At(0)
		left += end
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.stores.addresses.KafkaBrokers...), kgo.ConsumePartitions(from))
	require.NoError(r.b, err)
	defer client.Close()
	started := time.Now()
	for left > 0 {
		fetches := client.PollFetches(r.b.Context())
		require.NoError(r.b, fetches.Err())
		left -= int64(fetches.NumRecords())
	}
	return time.Since(started)
}

// blocks folds the whole log in memory, in batches of the size given.
func (r *benchRig) blocks(p runner.Projection, size int) []runner.Batch {
	r.b.Helper()
	var blocks []runner.Batch
	batch, n := p.NewBatch(), 0
	flush := func() {
		if n > 0 {
			blocks = append(blocks, batch)
			batch, n = p.NewBatch(), 0
		}
	}
	for at, end := range r.ends {
		require.NoError(r.b, r.stores.reader.ReadRange(r.b.Context(), at, 0, end, func(record eventlog.Record) error {
			e, err := record.Event()
			if err != nil {
				return err
			}
			payload, err := r.stores.registry.Decode(e)
			if err != nil {
				return err
			}
			if err := batch.Add(runner.Event{Recorded: event.Recorded{Event: e, Position: record.Position}, Payload: payload}); err != nil {
				return err
			}
			if n++; n == size {
				flush()
			}
			return nil
		}))
	}
	flush()
	return blocks
}

// clickhouseRows counts the rows of the blocks.
func clickhouseRows(blocks []runner.Batch) int {
	rows := 0
	for _, block := range blocks {
		for _, insert := range block.(runner.ClickHouseBatch).Inserts() {
			rows += insert.Rows
		}
	}
	return rows
}

// insertBare inserts the blocks into tables of the same kind: clickhouse-go's
// columnar batches and nothing else.
func (r *benchRig) insertBare(blocks []runner.Batch, repetition int) time.Duration {
	r.b.Helper()
	ctx, conn := r.b.Context(), r.stores.clickhouse
	database := fmt.Sprintf("bare_%d", repetition)
	require.NoError(r.b, conn.Exec(ctx, "CREATE DATABASE "+database))
	for statement := range strings.SplitSeq(chviews.Wallet().Schema, ";") {
		if statement = strings.TrimSpace(strings.ReplaceAll(statement, "{database}", database)); statement != "" {
			require.NoError(r.b, conn.Exec(ctx, statement))
		}
	}
	started := time.Now()
	for _, block := range blocks {
		for _, insert := range block.(runner.ClickHouseBatch).Inserts() {
			if insert.Rows == 0 {
				continue
			}
			batch, err := conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s.%s (%s)", database, insert.Table, insert.Columns))
			require.NoError(r.b, err)
			require.NoError(r.b, insert.Fill(batch))
			require.NoError(r.b, batch.Send())
		}
	}
	return time.Since(started)
}

// upsertBare upserts the blocks into tables of the same kind, one transaction
// each, with unnest and one round trip.
func (r *benchRig) upsertBare(blocks []runner.Batch, repetition int) time.Duration {
	r.b.Helper()
	ctx, pool := r.b.Context(), r.stores.pool
	schema := fmt.Sprintf("bare_%d", repetition)
	enter := func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL search_path TO "+schema)
		return err
	}
	require.NoError(r.b, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
		if err := enter(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, pgviews.Characters().Schema)
		return err
	}))
	started := time.Now()
	for _, block := range blocks {
		require.NoError(r.b, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := enter(tx); err != nil {
				return err
			}
			return block.(runner.PostgresBatch).Write(ctx, tx)
		}))
	}
	return time.Since(started)
}

// forget drops what a repetition has made, so that all find the same engines.
func (r *benchRig) forget(ctx context.Context, repetition int) {
	r.b.Helper()
	require.NoError(r.b, r.stores.clickhouse.Exec(ctx, fmt.Sprintf("DROP DATABASE bare_%d SYNC", repetition)))
	_, err := r.stores.pool.Exec(ctx, fmt.Sprintf("DROP SCHEMA bare_%d CASCADE", repetition))
	require.NoError(r.b, err)
	for _, name := range []string{chviews.WalletName, pgviews.CharactersName} {
		generations, err := r.stores.control.Generations(ctx, fmt.Sprintf("%s_bench_%d", name, repetition))
		require.NoError(r.b, err)
		for _, g := range generations {
			if name == chviews.WalletName {
				err = r.stores.clickhouse.Exec(ctx, "DROP DATABASE "+g.Namespace+" SYNC")
			} else {
				_, err = r.stores.pool.Exec(ctx, "DROP SCHEMA "+g.Namespace+" CASCADE")
			}
			require.NoError(r.b, err)
		}
	}
}
