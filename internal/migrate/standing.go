package migrate

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
)

// Set is the migrations of one schema.
type Set struct {
	Schema string
	// Files has them in its folder "migrations".
	Files fs.FS
}

// Standing is how far a schema has come.
type Standing struct {
	Schema string
	// Pending are the versions that are still to be applied, Unknown those that were
	// applied by a newer program; both rise.
	Pending, Unknown []int64
}

// Standing compares the files with what the schema's table "migrations" says was
// applied. It writes nothing; of a schema that is not there everything is pending.
func (s Set) Standing(ctx context.Context, pool *pgxpool.Pool) (Standing, error) {
	standing := Standing{Schema: s.Schema}
	files, err := fs.Glob(s.Files, "migrations/*.sql")
	if err != nil {
		return standing, fmt.Errorf("listing the migrations of schema %s: %w", s.Schema, err)
	}
	var known []int64
	for _, file := range files {
		version, err := goose.NumericComponent(path.Base(file))
		if err != nil {
			return standing, fmt.Errorf("reading the version of migration %s: %w", file, err)
		}
		known = append(known, version)
	}
	applied, err := s.applied(ctx, pool)
	if err != nil {
		return standing, err
	}
	for _, version := range known {
		if !slices.Contains(applied, version) {
			standing.Pending = append(standing.Pending, version)
		}
	}
	for _, version := range applied {
		if !slices.Contains(known, version) {
			standing.Unknown = append(standing.Unknown, version)
		}
	}
	slices.Sort(standing.Pending)
	return standing, nil
}

func (s Set) applied(ctx context.Context, pool *pgxpool.Pool) ([]int64, error) {
	table := pgx.Identifier{s.Schema, "migrations"}.Sanitize()
	var there bool
	if err := pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		return nil, fmt.Errorf("looking for the migrations of schema %s: %w", s.Schema, err)
	}
	if !there {
		return nil, nil
	}
	// Version 0 is a row that the migration library begins with.
	rows, err := pool.Query(ctx, "SELECT version_id FROM "+table+" WHERE is_applied AND version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of schema %s: %w", s.Schema, err)
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of schema %s: %w", s.Schema, err)
	}
	return versions, nil
}
