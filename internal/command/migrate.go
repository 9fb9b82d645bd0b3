package command

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/internal/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables of commands.
func Migrations() migrate.Set { return migrate.Set{Schema: "command", Files: migrations} }

// Migrate brings the Postgres schema "command" to its newest version. Several
// processes may call it at once.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("opening the migrations of commands: %w", err)
	}
	return migrate.Postgres(ctx, pool, "command", files)
}
