package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/internal/eventlog"
)

// ClickHouse is the store whose rows lie in ClickHouse and whose checkpoints
// lie in Postgres. The range of a batch is noted before it is inserted and
// cleared afterwards; after a crash the same range is inserted again under the
// same deduplication token, so every event counts once in effect.
type ClickHouse struct {
	pool    *pgxpool.Pool
	conn    driver.Conn
	names   string
	cluster Cluster
}

// NewClickHouse is a store on the connection, with its checkpoints behind pool.
// The names of its databases begin with names, so that several organisations
// can share a server.
func NewClickHouse(pool *pgxpool.Pool, conn driver.Conn, names string) *ClickHouse {
	return &ClickHouse{pool: pool, conn: conn, names: names}
}

// On has the generations that are made from now on lie on a cluster. The connection
// must have its [Cluster.Settings].
func (s *ClickHouse) On(c Cluster) *ClickHouse {
	on := *s
	on.cluster = c
	return &on
}

func (s *ClickHouse) prefix() string { return s.names }

func (s *ClickHouse) prepare(ctx context.Context, p Projection, g Generation) error {
	slots, err := s.cluster.slots(ctx, s.conn)
	if err != nil {
		return err
	}
	statements, err := s.cluster.Statements(p.Schema, g.Namespace, slots)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := s.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("making the tables of %s: %w", g.Namespace, err)
		}
	}
	return nil
}

func (s *ClickHouse) drop(ctx context.Context, g Generation) error {
	if err := s.conn.Exec(ctx, s.cluster.drop(g.Namespace)); err != nil {
		return fmt.Errorf("dropping %s: %w", g.Namespace, err)
	}
	return nil
}

// recover inserts once more what was pending when the process ended. Every
// batch in doubt is repeated over exactly its own range.
func (s *ClickHouse) recover(ctx context.Context, f *fold, read readRange) error {
	rows, err := s.pool.Query(ctx, `SELECT topic, partition, next_offset, pending_to, pending_token FROM runner.checkpoints
		WHERE name = $1 AND generation = $2 AND pending_to IS NOT NULL ORDER BY topic, partition`, f.generation.Projection, f.generation.Number)
	if err != nil {
		return fmt.Errorf("reading what is pending for %s: %w", f.generation.Namespace, err)
	}
	type pending struct {
		Topic, Token string
		Number       int32
		From, To     int64
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pending, error) {
		var p pending
		return p, row.Scan(&p.Topic, &p.Number, &p.From, &p.To, &p.Token)
	})
	if err != nil {
		return fmt.Errorf("reading what is pending for %s: %w", f.generation.Namespace, err)
	}
	if len(list) == 0 {
		return nil
	}
	batch := f.begin()
	for _, p := range list {
		at := eventlog.Partition{Topic: p.Topic, ID: p.Number}
		for from := p.From; from < p.To; from += foldedAtOnce {
			part, err := read(ctx, at, from, min(from+foldedAtOnce, p.To))
			if err != nil {
				return fmt.Errorf("reading the pending range %s@%d-%d again: %w", at, p.From, p.To, err)
			}
			if err := f.extend(batch, part); err != nil {
				return err
			}
		}
	}
	for _, p := range list {
		// Compaction may have emptied the range or its end since.
		at := eventlog.Partition{Topic: p.Topic, ID: p.Number}
		sp := batch.spans[at]
		sp.from, sp.to = p.From, p.To
		batch.spans[at] = sp
		f.next[at] = p.To
	}
	if err := s.insert(ctx, f, batch, list[0].Token); err != nil {
		return err
	}
	return s.done(ctx, f, batch)
}

func (s *ClickHouse) commit(ctx context.Context, f *fold, p *prepared) error {
	token := batchToken(f.generation, p)
	if err := s.begin(ctx, f, p, token); err != nil {
		return err
	}
	f.step("batch.noted")
	if err := s.insert(ctx, f, p, token); err != nil {
		return err
	}
	f.step("batch.inserted")
	if err := s.done(ctx, f, p); err != nil {
		return err
	}
	f.step("batch.committed")
	return nil
}

// begin notes the range that is about to be inserted.
func (s *ClickHouse) begin(ctx context.Context, f *fold, p *prepared, token string) error {
	list := p.partitions()
	topics, numbers := make([]string, len(list)), make([]int32, len(list))
	from, to := make([]int64, len(list)), make([]int64, len(list))
	for i, at := range list {
		topics[i], numbers[i], from[i], to[i] = at.Topic, at.ID, p.spans[at].from, p.spans[at].to
	}
	tag, err := s.pool.Exec(ctx, `UPDATE runner.checkpoints c SET pending_to = b.upto, pending_token = $7
		FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[]) AS b(topic, partition, since, upto)
		WHERE c.name = $1 AND c.generation = $2 AND c.topic = b.topic AND c.partition = b.partition
			AND c.next_offset = b.since AND c.pending_to IS NULL`,
		f.generation.Projection, f.generation.Number, topics, numbers, from, to, token)
	if err != nil {
		return fmt.Errorf("noting the pending range of %s: %w", f.generation.Namespace, err)
	}
	if int(tag.RowsAffected()) != len(list) {
		return errFenced
	}
	return nil
}

func (s *ClickHouse) insert(ctx context.Context, f *fold, p *prepared, token string) error {
	batch, ok := p.batch.(ClickHouseBatch)
	if !ok {
		return fmt.Errorf("BUG: projection %s makes %T, which is no batch for ClickHouse", f.projection.Name, p.batch)
	}
	if removing, ok := p.batch.(ClickHouseRemover); ok {
		removals := removing.Removals()
		if err := s.remove(ctx, f.generation, removals); err != nil {
			return err
		}
		if len(removals) > 0 {
			f.step("batch.removed")
		}
	}
	for _, in := range batch.Inserts() {
		if in.Rows == 0 {
			continue
		}
		if err := s.send(ctx, f.generation, in, token); err != nil {
			return fmt.Errorf("inserting %d rows into %s.%s: %w", in.Rows, f.generation.Namespace, in.Table, err)
		}
	}
	return nil
}

// remove deletes rows, and returns when nobody sees them any more.
func (s *ClickHouse) remove(ctx context.Context, g Generation, removals []Removal) error {
	if len(removals) == 0 {
		return nil
	}
	spread, err := s.cluster.spread(ctx, s.conn, g.Namespace)
	if err != nil {
		return err
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"lightweight_deletes_sync": 2}))
	for _, r := range removals {
		if err := s.conn.Exec(ctx, s.cluster.remove(g.Namespace, r, spread)); err != nil {
			return fmt.Errorf("removing rows of %s.%s: %w", g.Namespace, r.Table, err)
		}
	}
	return nil
}

func (s *ClickHouse) send(ctx context.Context, g Generation, in Insert, token string) (err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token": token + "/" + in.Table,
		// Mails and contracts of many years may come at once, and tables have a part for each month.
		"max_partitions_per_insert_block": 0,
	}))
	b, err := s.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s.%s (%s)", quote(g.Namespace), quote(in.Table), in.Columns))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := in.Fill(b); err != nil {
		_ = b.Abort()
		return err
	}
	return b.Send()
}

// done moves the checkpoints past the inserted range.
func (s *ClickHouse) done(ctx context.Context, f *fold, p *prepared) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return advance(ctx, tx, f, p, true) })
}

func (s *ClickHouse) sums(ctx context.Context, g Generation, t Table) (TableSums, error) {
	final := ""
	if t.Replacing {
		final = "FINAL"
	}
	// A tuple has a hash also where one of its columns is null.
	hashed := fmt.Sprintf("SELECT cityHash64(%s) AS place, cityHash64(tuple(* EXCEPT log_offset)) AS content FROM %s.%s %s", t.Key, quote(g.Namespace), quote(t.Name), final)
	if t.Copies != "" {
		hashed = fmt.Sprintf(`SELECT argMax(cityHash64(%s), log_offset) AS place, argMax(cityHash64(tuple(*)), log_offset) AS content FROM %s.%s %s GROUP BY %s
			SETTINGS max_bytes_before_external_group_by = 268435456`, t.Key, quote(g.Namespace), quote(t.Name), final, t.Copies)
	}
	rows, err := s.conn.Query(ctx, fmt.Sprintf(`SELECT toInt32(bitAnd(place, %d)) AS range, toInt64(count()) AS n, toString(sum(toUInt256(content))) AS total
		FROM (%s) GROUP BY range ORDER BY range`, ranges-1, hashed))
	if err != nil {
		return nil, fmt.Errorf("summing %s.%s: %w", g.Namespace, t.Name, err)
	}
	defer func() { _ = rows.Close() }()
	var out TableSums
	for rows.Next() {
		var r RangeSum
		if err := rows.Scan(&r.Range, &r.Rows, &r.Sum); err != nil {
			return nil, fmt.Errorf("summing %s.%s: %w", g.Namespace, t.Name, err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("summing %s.%s: %w", g.Namespace, t.Name, err)
	}
	return out, nil
}

// batchToken is the deduplication token of a batch: it depends on nothing but
// the generation and the ranges, for after a compaction the same range may hold
// fewer records.
func batchToken(g Generation, p *prepared) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", g.Namespace)
	for _, at := range slices.SortedFunc(maps.Keys(p.spans), comparePartitions) {
		fmt.Fprintf(h, "%s %d-%d\n", at, p.spans[at].from, p.spans[at].to)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func quote(identifier string) string { return "`" + strings.ReplaceAll(identifier, "`", "``") + "`" }
