package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"
)

// DeletedRows are rows that read models have deleted and that still lie in the parts of
// their tables: nobody sees them any more, but ClickHouse takes them out only when it
// merges the part. It is safe for concurrent use.
type DeletedRows struct {
	conn      driver.Conn
	databases func(context.Context) ([]string, error)
}

// NewDeletedRows looks into the databases that are named when it looks.
func NewDeletedRows(conn driver.Conn, databases func(context.Context) ([]string, error)) *DeletedRows {
	return &DeletedRows{conn: conn, databases: databases}
}

// Clean writes the parts anew that hold such rows. ClickHouse removes the old ones from
// the disk within some minutes (its setting old_parts_lifetime).
func (d *DeletedRows) Clean(ctx context.Context) error {
	tables, err := d.tables(ctx)
	if err != nil {
		return err
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2}))
	// Most of the time of each passes until ClickHouse gets round to it.
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(cleanAtOnce)
	for _, table := range tables {
		work.Go(func() error {
			if err := d.conn.Exec(ctx, "ALTER TABLE "+table+" APPLY DELETED MASK"); err != nil {
				return fmt.Errorf("taking deleted rows out of the parts of %s: %w", table, err)
			}
			return nil
		})
	}
	return work.Wait() //nolint:wrapcheck // They say what they are about.
}

// cleanAtOnce bounds the tables that are written anew at once.
const cleanAtOnce = 8

// Left is how many such rows there are.
func (d *DeletedRows) Left(ctx context.Context) (int64, error) {
	tables, err := d.tables(ctx)
	if err != nil {
		return 0, err
	}
	all := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"apply_deleted_mask": 0}))
	var left int64
	for _, table := range tables {
		var stored, seen uint64
		if err := d.conn.QueryRow(all, "SELECT count() FROM "+table).Scan(&stored); err != nil {
			return 0, fmt.Errorf("counting the rows in the parts of %s: %w", table, err)
		}
		if err := d.conn.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&seen); err != nil {
			return 0, fmt.Errorf("counting the rows of %s: %w", table, err)
		}
		left += int64(stored) - int64(seen)
	}
	return left, nil
}

// tables are those with such rows, quoted.
func (d *DeletedRows) tables(ctx context.Context) ([]string, error) {
	databases, err := d.databases(ctx)
	if err != nil || len(databases) == 0 {
		return nil, err
	}
	rows, err := d.conn.Query(ctx, `SELECT DISTINCT concat('`+"`', database, '`.`', table, '`"+`') AS name FROM system.parts
		WHERE active AND has_lightweight_delete AND database IN (?) ORDER BY name`, databases)
	if err != nil {
		return nil, fmt.Errorf("looking for parts with deleted rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("looking for parts with deleted rows: %w", err)
		}
		tables = append(tables, name)
	}
	return tables, rows.Err() //nolint:wrapcheck // It says what it is about.
}
