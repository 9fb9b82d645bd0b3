package clickhouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/projections/runner"
)

// DeletedRows are rows that read models have deleted and that still lie in the parts of
// their tables: nobody sees them any more, but ClickHouse takes them out only when it
// merges the part. It is safe for concurrent use.
type DeletedRows struct {
	conn      driver.Conn
	cluster   runner.Cluster
	databases func(context.Context) ([]string, error)
}

// NewDeletedRows looks into the databases that are named when it looks, on all servers of
// a cluster if there is one.
func NewDeletedRows(conn driver.Conn, cluster runner.Cluster, databases func(context.Context) ([]string, error)) *DeletedRows {
	return &DeletedRows{conn: conn, cluster: cluster, databases: databases}
}

// partTable is a table with deleted rows.
type partTable struct{ database, name string }

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
	for _, t := range tables {
		work.Go(func() error {
			if err := d.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s.%s%s APPLY DELETED MASK", quote(t.database), quote(t.name), d.cluster.OnAll(t.name))); err != nil {
				return fmt.Errorf("taking deleted rows out of the parts of %s.%s: %w", t.database, t.name, err)
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
	for _, t := range tables {
		from := d.cluster.FromAll(t.database, t.name)
		var stored, seen uint64
		if err := d.conn.QueryRow(all, "SELECT count() FROM "+from).Scan(&stored); err != nil {
			return 0, fmt.Errorf("counting the rows in the parts of %s: %w", from, err)
		}
		if err := d.conn.QueryRow(ctx, "SELECT count() FROM "+from).Scan(&seen); err != nil {
			return 0, fmt.Errorf("counting the rows of %s: %w", from, err)
		}
		left += int64(stored) - int64(seen)
	}
	return left, nil
}

// tables are those with such rows.
func (d *DeletedRows) tables(ctx context.Context) ([]partTable, error) {
	databases, err := d.databases(ctx)
	if err != nil || len(databases) == 0 {
		return nil, err
	}
	rows, err := d.conn.Query(ctx, `SELECT DISTINCT database, table FROM `+d.cluster.FromAll("system", "parts")+`
		WHERE active AND has_lightweight_delete AND database IN (?) ORDER BY database, table`, databases)
	if err != nil {
		return nil, fmt.Errorf("looking for parts with deleted rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var tables []partTable
	for rows.Next() {
		var t partTable
		if err := rows.Scan(&t.database, &t.name); err != nil {
			return nil, fmt.Errorf("looking for parts with deleted rows: %w", err)
		}
		tables = append(tables, t)
	}
	return tables, rows.Err() //nolint:wrapcheck // It says what it is about.
}
