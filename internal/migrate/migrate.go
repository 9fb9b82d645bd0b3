// Package migrate brings the tables that a package owns in Postgres to the
// newest version of their schema, forward only.
package migrate

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// closeTimeout bounds how long letting go of the lock may take.
const closeTimeout = 5 * time.Second

// Postgres applies the .sql files at the root of files, in order, to a Postgres
// schema of its own, which is created when it is not there. The names in the
// files are written without a schema: the search path is set to it. Which files
// were applied is kept in the schema's table "migrations". Several processes
// may call it at once: an advisory lock lets one of them work.
func Postgres(ctx context.Context, pool *pgxpool.Pool, schema string, files fs.FS) error {
	unlock, err := lockSchema(ctx, pool, schema)
	if err != nil {
		return fmt.Errorf("taking turns to migrate schema %s: %w", schema, err)
	}
	defer unlock()
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("creating schema %s: %w", schema, err)
	}
	config := pool.Config().ConnConfig.Copy()
	if config.RuntimeParams == nil {
		config.RuntimeParams = map[string]string{}
	}
	config.RuntimeParams["search_path"] = schema
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()

	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("migrations"))
	if err != nil {
		return fmt.Errorf("reading the migrations of schema %s: %w", schema, err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema %s: %w", schema, err)
	}
	return nil
}

// lockSchema waits until nobody else migrates the schema. IF NOT EXISTS alone
// fails for the slower of two processes that look at the same moment, and the
// migration library's own lock is looked at every five seconds only. The lock
// has a connection of its own, so that a small pool cannot be exhausted by those
// who wait, and ends with it.
func lockSchema(ctx context.Context, pool *pgxpool.Pool, schema string) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	unlock = func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = conn.Close(closing)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 78))", "schema "+schema); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
