//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/eve"
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
	all := int64(0)
	for _, end := range r.ends {
		all += end
	}
	return r.consumeRecords(all)
}

// consumeRecords reads so many records of the log with franz-go.
func (r *benchRig) consumeRecords(left int64) time.Duration {
	r.b.Helper()
	from := map[string]map[int32]kgo.Offset{}
	for at := range r.ends {
		if from[at.Topic] == nil {
			from[at.Topic] = map[int32]kgo.Offset{}
		}
		from[at.Topic][at.ID] = kgo.NewOffset().At(0)
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

// each decodes the whole log and calls fn with every event.
func (r *benchRig) each(fn func(e runner.Event) error) {
	r.b.Helper()
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
			return fn(runner.Event{Recorded: event.Recorded{Event: e, Position: record.Position}, Payload: payload})
		}))
	}
}

// blocks folds the whole log in memory, in batches as large as those that a
// projection writes while it catches up.
func (r *benchRig) blocks(p runner.Projection, limits runner.Limits) []runner.Batch {
	r.b.Helper()
	var blocks []runner.Batch
	batch, records, size := p.NewBatch(), 0, 0
	r.each(func(e runner.Event) error {
		if err := batch.Add(e); err != nil {
			return err
		}
		records, size = records+1, size+len(e.Data)
		if records == limits.Records || size >= runner.DefaultBytes {
			blocks = append(blocks, batch)
			batch, records, size = p.NewBatch(), 0, 0
		}
		return nil
	})
	return append(blocks, batch)
}

// sectionRow is the row that an event leaves in the table of sections.
type sectionRow []any

// sectionRows are the rows of all observations, one for each: what Postgres would
// have to take if nothing were folded before.
func (r *benchRig) sectionRows() []sectionRow {
	r.b.Helper()
	var rows []sectionRow
	r.each(func(e runner.Event) error {
		row := sectionRow{int64(0), "", "", e.Time, nil, e.ID, e.Partition, e.Offset}
		switch p := e.Payload.(type) {
		case eve.SectionObserved:
			row[0], row[1], row[2], row[3], row[4] = p.CharacterID, string(p.Section), p.ContentHash, p.FetchedAt, string(p.Value)
		case eve.JournalRecorded:
			row[0], row[1], row[3] = p.CharacterID, string(eve.SectionWalletJournal), p.FetchedAt
		default:
			return nil
		}
		rows = append(rows, row)
		return nil
	})
	return rows
}

// copyBare copies a row for each observation into a table of the same kind, with
// one COPY for each block. The table has no key: it holds what a fold keeps only
// the last of.
func (r *benchRig) copyBare(rows []sectionRow, block int) time.Duration {
	r.b.Helper()
	ctx, pool := r.b.Context(), r.stores.pool
	columns := []string{"character_id", "section", "content_hash", "observed_at", "value", "event_id", "log_partition", "log_offset"}
	_, err := pool.Exec(ctx, `CREATE TABLE bare_copy (character_id bigint NOT NULL, section text NOT NULL, content_hash text NOT NULL,
		observed_at timestamptz NOT NULL, value json, event_id uuid NOT NULL, log_partition integer NOT NULL, log_offset bigint NOT NULL)`)
	require.NoError(r.b, err)
	started := time.Now()
	for part := range slices.Chunk(rows, block) {
		_, err := pool.CopyFrom(ctx, pgx.Identifier{"bare_copy"}, columns, pgx.CopyFromSlice(len(part), func(i int) ([]any, error) { return part[i], nil }))
		require.NoError(r.b, err)
	}
	took := time.Since(started)
	_, err = pool.Exec(ctx, `DROP TABLE bare_copy`)
	require.NoError(r.b, err)
	return took
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
				err = r.stores.clickhouse.Exec(ctx, "DROP DATABASE IF EXISTS "+g.Namespace+" SYNC")
			} else {
				_, err = r.stores.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+g.Namespace+" CASCADE")
			}
			require.NoError(r.b, err)
		}
	}
}
