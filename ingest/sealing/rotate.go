package sealing

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
)

// Column is a column of a table that holds what is sealed with the secret key. The names
// are those of the program's own tables and become part of statements as they are.
type Column struct {
	Table, Name string
	// Key is the primary key's column, KeyType its type, uuid or bigint.
	Key, KeyType string
	// Prefix is what stands before what is sealed.
	Prefix []byte
	// Character is the column of the character in whose name it is sealed; empty for none.
	Character string
	// Binding is what a row's secret is bound to, given its key as text, and its character.
	Binding func(key string, character int64) ([]byte, error)
}

// String is the column's name.
func (c Column) String() string { return c.Table + "." + c.Name }

// Tally is what was found in a column, and what was done.
type Tally struct {
	Column string `json:"column"`
	// Current are the rows under the current key, Former those that are under a former one.
	Current int64 `json:"current"`
	Former  int64 `json:"former"`
	// Resealed are rows that were under a former key and are under the current one now.
	Resealed int64 `json:"resealed"`
	// Unopened are those that no key opens; Examples are the keys of the first of them.
	Unopened int64    `json:"unopened"`
	Examples []string `json:"examples"`
}

// Rotation goes through all columns and seals with the current key what a former one has
// sealed. It may run beside programs that read and write the rows: a row that changed
// meanwhile is left to them and looked at again. What was done stays done when it ends
// early, and the next one goes on.
type Rotation struct {
	Pool    *pgxpool.Pool
	Keys    Keys
	Columns []Column
	// Batch is the number of rows of a statement: 500.
	Batch int
	// DryRun only looks.
	DryRun bool
	// Progress is called after each batch with the column and how many of its rows were
	// looked at; nil for nobody.
	Progress func(column string, looked int64)
}

// mostPasses bounds how often what programs have sealed meanwhile is gone after.
const mostPasses = 5

// examples is how many rows are named that cannot be opened.
const examples = 5

// Run rotates, and answers what the last look at every row has found: after one that did
// not fail no row was under a former key, unless it was dry. It fails with
// [event.CodeConflict] if programs go on sealing with a former key.
func (r Rotation) Run(ctx context.Context) ([]Tally, error) {
	resealed := map[string]int64{}
	for pass := 1; ; pass++ {
		tallies := make([]Tally, len(r.Columns))
		var former int64
		for i, c := range r.Columns {
			t, err := r.column(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("sealing %s anew: %w", c, err)
			}
			resealed[t.Column] += t.Resealed
			former += t.Former
			t.Resealed = resealed[t.Column]
			tallies[i] = t
		}
		switch {
		case r.DryRun || former == 0:
			return tallies, nil
		case pass == mostPasses:
			return tallies, event.Errorf(event.CodeConflict, "%d rows were under a former key again after %d looks: a running process still seals with it; start all of them with the new MUSTER_SECRET_KEY, then call this again", former, pass)
		}
	}
}

// sealedRow is a row of a column.
type sealedRow struct {
	key       string
	character int64
	sealed    []byte
}

// column goes through one column, in the order of its key.
func (r Rotation) column(ctx context.Context, c Column) (Tally, error) {
	t := Tally{Column: c.String(), Examples: []string{}}
	var after *string
	var looked int64
	for {
		rows, err := r.read(ctx, c, after)
		if err != nil {
			return t, err
		}
		if len(rows) == 0 {
			return t, nil
		}
		if err := r.batch(ctx, c, rows, &t); err != nil {
			return t, err
		}
		after = &rows[len(rows)-1].key
		looked += int64(len(rows))
		if r.Progress != nil {
			r.Progress(t.Column, looked)
		}
	}
}

func (r Rotation) read(ctx context.Context, c Column, after *string) ([]sealedRow, error) {
	batch := r.Batch
	if batch == 0 {
		batch = 500
	}
	character := "0::bigint"
	if c.Character != "" {
		character = c.Character
	}
	rows, err := r.Pool.Query(ctx, fmt.Sprintf(`SELECT t.%[1]s::text, %[2]s, t.%[3]s FROM %[4]s t
		WHERE t.%[3]s IS NOT NULL AND ($1::text IS NULL OR t.%[1]s > $1::text::%[5]s) ORDER BY t.%[1]s LIMIT $2`, c.Key, character, c.Name, c.Table, c.KeyType), after, batch)
	if err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sealedRow, err error) {
		return s, row.Scan(&s.key, &s.character, &s.sealed)
	})
	if err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	return list, nil
}

// batch seals anew what of the rows is under a former key, if it is still the same.
func (r Rotation) batch(ctx context.Context, c Column, rows []sealedRow, t *Tally) error {
	var keys []string
	var before, after [][]byte
	for _, row := range rows {
		binding, err := c.Binding(row.key, row.character)
		if err != nil {
			return err
		}
		var secret []byte
		by, open := 0, bytes.HasPrefix(row.sealed, c.Prefix)
		if open {
			secret, by, err = r.Keys.Open(row.sealed[len(c.Prefix):], binding)
			open = err == nil
		}
		switch {
		case !open:
			if t.Unopened++; t.Unopened <= examples {
				t.Examples = append(t.Examples, row.key)
			}
		case by == 0:
			t.Current++
		default:
			t.Former++
			keys, before, after = append(keys, row.key), append(before, row.sealed), append(after, r.Keys.Seal(c.Prefix, secret, binding))
		}
	}
	if r.DryRun || len(keys) == 0 {
		return nil
	}
	tag, err := r.Pool.Exec(ctx, fmt.Sprintf(`UPDATE %[1]s SET %[2]s = u.after FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS u(key, before, after)
		WHERE %[1]s.%[3]s = u.key::%[4]s AND %[1]s.%[2]s = u.before`, c.Table, c.Name, c.Key, c.KeyType), keys, before, after)
	if err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	t.Resealed += tag.RowsAffected()
	return nil
}
