package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"github.com/muster-sync/muster/domain/event"
)

// Table is a table that cannot be made anew from the log.
type Table struct {
	Schema, Name string
	// Columns limits it to some; empty is all.
	Columns []string
	// As replaces columns by expressions of SQL, such as NULL for what must not
	// leave the database. $cut stands for the moment at which the log was cut.
	As map[string]string
}

// String is its name with its schema.
func (t Table) String() string { return t.Schema + "." + t.Name }

func (t Table) identifier() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// columns lists the columns of the table that can be written.
func (t Table) columns(ctx context.Context, tx pgx.Tx) ([]string, error) {
	if len(t.Columns) > 0 {
		return t.Columns, nil
	}
	rows, err := tx.Query(ctx, `SELECT column_name FROM information_schema.columns
		WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' ORDER BY ordinal_position`, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(columns) == 0 {
		err = event.Errorf(event.CodeNotFound, "there is no table %s: run `muster migrate` first", t)
	}
	return columns, err
}

// query selects the rows as they are to be kept.
func (t Table) query(columns []string, cut time.Time) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = pgx.Identifier{c}.Sanitize()
		if as, ok := t.As[c]; ok {
			moment := "'" + cut.UTC().Format("2006-01-02T15:04:05.999999Z07:00") + "'::timestamptz"
			list[i] = strings.ReplaceAll(as, "$cut", moment) + " AS " + list[i]
		}
	}
	return "COPY (SELECT " + strings.Join(list, ", ") + " FROM " + t.identifier() + ") TO STDOUT"
}

// copyTables writes all tables as they are at one moment.
func copyTables(ctx context.Context, pool *pgxpool.Pool, at Place, id string, cut time.Time, tables []Table) ([]TablePart, error) {
	var parts []TablePart
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, t := range tables {
			part, err := copyTable(ctx, tx, at, id, cut, t)
			if err != nil {
				return fmt.Errorf("copying table %s: %w", t, err)
			}
			parts = append(parts, part)
		}
		return nil
	})
	return parts, err
}

func copyTable(ctx context.Context, tx pgx.Tx, at Place, id string, cut time.Time, t Table) (TablePart, error) {
	columns, err := t.columns(ctx, tx)
	if err != nil {
		return TablePart{}, err
	}
	part := TablePart{
		Object: Object{Name: id + "/tables/" + t.String() + ".copy.zst"}, Schema: t.Schema, Table: t.Name, Columns: columns,
	}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		zip, err := zstd.NewWriter(in, zstd.WithEncoderConcurrency(1))
		if err == nil {
			tag, copyErr := tx.Conn().PgConn().CopyTo(ctx, zip, t.query(columns, cut))
			part.Rows = tag.RowsAffected()
			err = errors.Join(copyErr, zip.Close())
		}
		in.CloseWithError(err)
		done <- err
	}()
	sum := sha256.New()
	counted := &counter{from: io.TeeReader(out, sum)}
	err = at.Put(ctx, part.Name, counted)
	// Lets go of a copy that nobody takes any more.
	out.CloseWithError(errors.New("the object could not be written"))
	if copyErr := <-done; err == nil {
		err = copyErr
	}
	part.Size, part.SHA256 = counted.n, hex.EncodeToString(sum.Sum(nil))
	return part, err
}

// counter counts what is read.
type counter struct {
	from io.Reader
	n    int64
}

// Read implements [io.Reader].
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += int64(n)
	return n, err
}

// restoreTable fills an empty table.
func restoreTable(ctx context.Context, tx pgx.Tx, at Place, part TablePart) error {
	t := Table{Schema: part.Schema, Name: part.Table}
	var some bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.identifier()+")").Scan(&some); err != nil {
		return err
	}
	if some {
		return event.Errorf(event.CodeConflict, "table %s has rows already: restore into an empty database", t)
	}
	in, err := at.Open(ctx, part.Name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	sum := sha256.New()
	packed := io.TeeReader(in, sum)
	unzip, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(decoderMemory))
	if err != nil {
		return err
	}
	defer unzip.Close()
	columns := make([]string, len(part.Columns))
	for i, c := range part.Columns {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, unzip, "COPY "+t.identifier()+" ("+strings.Join(columns, ", ")+") FROM STDIN")
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return err
	}
	// The transaction ends without effect if it is not what was written.
	if got := hex.EncodeToString(sum.Sum(nil)); got != part.SHA256 || tag.RowsAffected() != part.Rows {
		return event.Errorf(event.CodePoisoned, "%s is damaged: %d rows with hash %s, not %d with %s", part.Name, tag.RowsAffected(), got, part.Rows, part.SHA256)
	}
	return countOn(ctx, tx, t)
}

// countOn lets the columns that count themselves go on behind what was restored.
func countOn(ctx context.Context, tx pgx.Tx, t Table) error {
	rows, err := tx.Query(ctx, `SELECT column_name FROM information_schema.columns
		WHERE table_schema = $1 AND table_name = $2 AND is_identity = 'YES'`, t.Schema, t.Name)
	if err != nil {
		return err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, c := range columns {
		quoted := pgx.Identifier{c}.Sanitize()
		if _, err := tx.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, $2), (SELECT coalesce(max("+quoted+"), 0) + 1 FROM "+t.identifier()+"), false)", t.identifier(), c); err != nil {
			return fmt.Errorf("counting on in column %s: %w", c, err)
		}
	}
	return nil
}
