package enginetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/postgres"
)

type postgresServer struct{ dsn string }

// Postgres gives the test a pool on a new, empty database, closed and dropped when the test ends.
func Postgres(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), PostgresDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// PostgresDSN gives the test the DSN of a new, empty database, dropped when the test ends. The server does not wait for the disk:
// what it keeps does not outlive a crash of the machine, which no test survives either.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	server, err := shared.postgres.get(startPostgres)
	need(t, err, requireEngines)
	name := fmt.Sprintf("test_%d", shared.next())
	// template0 is as initdb left it; copying its files is three times as fast as logging its pages.
	if err := server.exec("create database " + name + " template template0 strategy file_copy"); err != nil {
		t.Fatalf("making a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := server.exec("drop database " + name + " with (force)"); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	dsn, err := url.Parse(server.dsn)
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + name
	return dsn.String()
}

func (s *postgresServer) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func startPostgres() (*postgresServer, error) {
	install, err := engine.Locate()
	if err != nil {
		return nil, err
	}
	dir, err := shared.folder("postgres")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := copyTemplate(ctx, install, dir); err != nil {
		return nil, err
	}
	server, err := postgres.Start(ctx, postgres.Config{Install: install.Postgres, DataDir: dir, Unsafe: true})
	if err != nil {
		return nil, err
	}
	shared.atEnd(server.Stop)
	return &postgresServer{dsn: server.DSN()}, nil
}

// copyTemplate fills dir with a cluster made once and kept beside the engines: copying one takes a tenth of the time of making one.
// Where the cache cannot be written nothing is copied, and the server makes its cluster itself.
func copyTemplate(ctx context.Context, install engine.Installation, dir string) error {
	template := filepath.Join(install.Dir, fmt.Sprintf("test-cluster-%d", os.Getuid()))
	if _, err := os.Stat(template); err != nil {
		if err := makeTemplate(ctx, install, template); err != nil {
			if errors.Is(err, os.ErrPermission) {
				return nil
			}
			return fmt.Errorf("making the template of test clusters: %w", err)
		}
	}
	// cp keeps owner and mode, which Postgres insists on.
	copying := exec.CommandContext(ctx, "cp", "-Rp", template+"/.", dir) //nolint:gosec // both folders are our own
	if output, err := copying.CombinedOutput(); err != nil {
		return fmt.Errorf("copying the template of test clusters: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

func makeTemplate(ctx context.Context, install engine.Installation, template string) error {
	staging, err := os.MkdirTemp(filepath.Dir(template), "test-cluster.staging.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staging)
	if err := os.Chmod(staging, passable); err != nil {
		return err
	}
	server, err := postgres.Start(ctx, postgres.Config{Install: install.Postgres, DataDir: staging, Unsafe: true})
	if err != nil {
		return err
	}
	if err := server.Stop(); err != nil {
		return err
	}
	err = os.Rename(staging, template)
	if _, statErr := os.Stat(template); statErr == nil {
		return nil // made by us, or by another test binary in the meantime
	}
	return err
}
