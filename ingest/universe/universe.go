// Package universe keeps reference data of EVE: types, places, prices, and the
// names of whoever and whatever is mentioned. Most of it is static data that is
// loaded from CCP's export; what that lacks is asked of ESI, sparingly.
//
// It lies in the Postgres schema [Name]. It is no part of the log: nothing in it is
// a fact about a character, and all of it can be loaded or asked for again.
package universe

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/internal/migrate"
)

// Name is the Postgres schema of the reference data.
const Name = "universe"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables of the reference data.
func Migrations() migrate.Set { return migrate.Set{Schema: Name, Files: migrations} }

// Migrate makes or updates the tables, and fills empty ones with the built-in
// static data. Several processes may call it at once.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	if err := migrateTables(ctx, pool); err != nil {
		return err
	}
	return loadBuiltin(ctx, pool)
}

func migrateTables(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations of the reference data: %w", err)
	}
	return migrate.Postgres(ctx, pool, Name, files)
}
