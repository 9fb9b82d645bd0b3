package universe

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// builtin is the built-in static data: what makes a fresh Muster readable. It is made
// by the generator beside it; builtin/NOTICE.md says how, and whose it is.
//
//go:embed builtin/*.jsonl.zst
var builtin embed.FS

// loadBuiltin fills the tables if nothing was loaded, and brings them up to date if
// an older Muster filled them.
func loadBuiltin(ctx context.Context, pool *pgxpool.Pool) error {
	digest, err := builtinDigest()
	if err != nil {
		return err
	}
	due, err := builtinDue(ctx, pool, digest)
	if err != nil || !due {
		return err
	}
	e, err := readExport(builtin, "the program itself", func() error { return nil })
	if err != nil {
		return err
	}
	l := &loader{
		export: e, progress: func(Progress) {}, now: time.Now().UTC(), digest: digest,
		report: LoadReport{Source: sourceBuiltin, Origin: "built in"},
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, loadLock); err != nil {
			return fmt.Errorf("waiting for other loads of static data: %w", err)
		}
		// Another process may have been faster.
		if due, err := builtinDue(ctx, tx, digest); err != nil || !due {
			return err
		}
		return l.load(ctx, tx)
	})
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// builtinDue tells whether the built-in data is to be loaded. A load of CCP's export
// is never replaced by it.
func builtinDue(ctx context.Context, q querier, digest string) (bool, error) {
	var source, last string
	err := q.QueryRow(ctx, `SELECT source, digest FROM universe.load ORDER BY source = '`+sourceStatic+`' DESC, load_id DESC LIMIT 1`).Scan(&source, &last)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("looking for the last load of static data: %w", err)
	default:
		return source == sourceBuiltin && last != digest, nil
	}
}

// builtinDigest tells one built-in set from another.
func builtinDigest() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(builtin, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := builtin.ReadFile(file)
		h.Write([]byte(file))
		h.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the built-in static data: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
