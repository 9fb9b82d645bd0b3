// Package postgres holds the read models of what is true now: the folds that
// fill them and the queries that read them.
package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/projections/runner"
)

// column is one column of an upserted table.
type column[R any] struct {
	name string
	// array is the Postgres type of the array that carries the column's values
	// of all rows, such as "bigint[]".
	array string
	// read is a format that turns the carried value into the column's.
	read   string
	values func([]R) any
}

// col is a column whose values are carried as they are, but for NUL, which JSON
// can hold and Postgres cannot: one such text must not stop a projection.
func col[R, V any](name, array string, value func(*R) V) column[R] {
	return column[R]{name: name, array: array, read: "%s", values: func(rows []R) any {
		out := make([]V, len(rows))
		for i := range rows {
			out[i] = value(&rows[i])
		}
		if texts, ok := any(out).([]string); ok {
			for i, text := range texts {
				texts[i] = storableText(text)
			}
		}
		return out
	}}
}

// storableText is a text as Postgres can hold it.
func storableText(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// separator parts the items of a list that is carried as one text, because
// unnest would flatten a list of lists.
const separator = "\x1f"

// list is a column of type text[]. Each item is carried behind a separator, so
// that a list of one empty text is not taken for an empty list.
func list[R any](name string, value func(*R) []string) column[R] {
	c := col(name, "text[]", func(r *R) string {
		var carried strings.Builder
		for _, item := range value(r) {
			carried.WriteString(separator)
			carried.WriteString(strings.ReplaceAll(item, separator, "\uFFFD"))
		}
		return carried.String()
	})
	c.read = "(string_to_array(%s, E'\\x1f'))[2:]"
	return c
}

// place is where a row comes from; every table carries it.
type place struct {
	eventID   uuid.UUID
	partition int32
	offset    int64
}

func placeOf(e runner.Event) place {
	return place{eventID: e.ID, partition: e.Partition, offset: e.Offset}
}

// table gathers the last row of each key in a batch and writes them with one
// statement. A row is only replaced by one of a higher offset.
type table[K comparable, R any] struct {
	columns   []column[R]
	statement string
	index     map[K]int
	rows      []R
}

func newTable[K comparable, R any](name string, key []string, at func(*R) place, columns ...column[R]) table[K, R] {
	columns = append(columns,
		col("event_id", "uuid[]", func(r *R) uuid.UUID { return at(r).eventID }),
		col("log_partition", "integer[]", func(r *R) int32 { return at(r).partition }),
		col("log_offset", "bigint[]", func(r *R) int64 { return at(r).offset }),
	)
	return table[K, R]{columns: columns, statement: upsert(name, key, columns), index: map[K]int{}}
}

func upsert[R any](name string, key []string, columns []column[R]) string {
	var names, carried, reads, arrays, sets []string
	for i, c := range columns {
		v := fmt.Sprintf("c%d", i)
		names, carried = append(names, c.name), append(carried, v)
		reads = append(reads, fmt.Sprintf(c.read, "b."+v))
		arrays = append(arrays, fmt.Sprintf("$%d::%s", i+1, c.array))
		if !slices.Contains(key, c.name) {
			sets = append(sets, c.name+" = excluded."+c.name)
		}
	}
	comma := func(s []string) string { return strings.Join(s, ", ") }
	return fmt.Sprintf(`INSERT INTO %s AS t (%s) SELECT %s FROM unnest(%s) AS b(%s) ON CONFLICT (%s) DO UPDATE SET %s WHERE t.log_offset < excluded.log_offset`,
		name, comma(names), comma(reads), comma(arrays), comma(carried), comma(key), comma(sets))
}

// empty is the same table without rows.
func (t table[K, R]) empty() table[K, R] {
	t.index, t.rows = map[K]int{}, nil
	return t
}

// put takes a row; it replaces an earlier one of the same key.
func (t *table[K, R]) put(key K, row R) {
	if i, known := t.index[key]; known {
		t.rows[i] = row
		return
	}
	t.index[key] = len(t.rows)
	t.rows = append(t.rows, row)
}

// drop takes back the rows whose keys match.
func (t *table[K, R]) drop(match func(K) bool) {
	if len(t.rows) == 0 {
		return
	}
	keys := make([]K, len(t.rows))
	for key, i := range t.index {
		keys[i] = key
	}
	rows := t.rows
	t.rows, t.index = nil, map[K]int{}
	for i, key := range keys {
		if !match(key) {
			t.put(key, rows[i])
		}
	}
}

func (t *table[K, R]) queue(b *pgx.Batch) {
	if len(t.rows) == 0 {
		return
	}
	args := make([]any, len(t.columns))
	for i, c := range t.columns {
		args[i] = c.values(t.rows)
	}
	b.Queue(t.statement, args...)
}

// queuer is a table that may have something to write.
type queuer interface{ queue(b *pgx.Batch) }

// send writes all tables in one round trip.
func send(ctx context.Context, tx pgx.Tx, tables ...queuer) error {
	b := &pgx.Batch{}
	for _, t := range tables {
		t.queue(b)
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("upserting: %w", err)
	}
	return nil
}
