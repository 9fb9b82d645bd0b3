// Package schema brings the Postgres tables of ingest to their newest version:
// the state of sections, kept pages, unreadable answers, sealed tokens, and the
// jobs of the schedule. All lie in the schema [Name].
package schema

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/muster-sync/muster/internal/migrate"
)

// Name is the Postgres schema of all tables of ingest.
const Name = "ingest"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables of ingest, those of the schedule left out.
func Migrations() migrate.Set { return migrate.Set{Schema: Name, Files: migrations} }

// Migrate makes or updates the tables. Several processes may call it at once.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations of ingest: %w", err)
	}
	if err := migrate.Postgres(ctx, pool, Name, files); err != nil {
		return err
	}
	jobs, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Name})
	if err != nil {
		return fmt.Errorf("preparing the migrations of the schedule: %w", err)
	}
	// River has no lock of its own, so one is held beside it.
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrating the schedule: %w", err)
	}
	defer lock.Release()
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended('muster/ingest/schema', 0))"); err != nil {
		return fmt.Errorf("waiting for the lock of the schedule's migrations: %w", err)
	}
	defer func() {
		// Were this to fail, the connection would be broken and the lock with it.
		_, _ = lock.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(hashtextextended('muster/ingest/schema', 0))")
	}()
	if _, err := jobs.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the schedule: %w", err)
	}
	return nil
}

// PendingJobs tells whether tables of the schedule are still to be made or brought
// forward. It writes nothing.
func PendingJobs(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	jobs, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return false, fmt.Errorf("preparing the migrations of the schedule: %w", err)
	}
	result, err := jobs.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("reading the migrations of the schedule: %w", err)
	}
	return !result.OK, nil
}
