package enginetest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// PostgresFilesWith are the files of the server behind a pool that hold a text, its log among
// them. The server runs on this machine.
func PostgresFilesWith(t testing.TB, pool *pgxpool.Pool, text string) []string {
	t.Helper()
	var dir string
	if err := pool.QueryRow(t.Context(), "SHOW data_directory").Scan(&dir); err != nil {
		t.Fatalf("asking where Postgres keeps its files: %v", err)
	}
	var found []string
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !d.Type().IsRegular()) {
			return nil // It has just been removed.
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // a folder of a test
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files++
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("reading the files of Postgres in %s: %d read, %v", dir, files, err)
	}
	return found
}
