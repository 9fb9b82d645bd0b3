package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/postgres"
	"github.com/muster-sync/muster/internal/engine/supervise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// install finds the fetched Postgres, or skips the test.
func install(t *testing.T) string {
	t.Helper()
	found, err := engine.Locate()
	var missing *engine.NotFetchedError
	if errors.As(err, &missing) && os.Getenv("MUSTER_REQUIRE_ENGINES") != "1" {
		t.Skip(err)
	}
	require.NoError(t, err)
	return found.Postgres
}

// start starts a durable server that is stopped when the test ends.
func start(t *testing.T, dir string) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), postgres.Config{
		Install: install(t),
		DataDir: dir,
		Backoff: supervise.Backoff{Initial: 10 * time.Millisecond},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func exec(t *testing.T, server *postgres.Server, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func count(ctx context.Context, server *postgres.Server) (rows int, err error) {
	conn, err := pgx.Connect(ctx, server.DSN())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, "select count(*) from kept").Scan(&rows)
	return rows, err
}

func requireCount(t *testing.T, server *postgres.Server, want int) {
	t.Helper()
	rows, err := count(t.Context(), server)
	require.NoError(t, err)
	require.Equal(t, want, rows)
}

func processGone(pid int) func() bool {
	return func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
}

// openDir is a folder that every user can enter; t.TempDir's parent is its owner's alone.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "muster-postgres-test-") //nolint:usetesting // the parent of t.TempDir lets nobody else in
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711))
	return filepath.Join(dir, "postgres")
}

func TestDataSurvivesAnOrderlyStop(t *testing.T) {
	for name, dir := range map[string]string{"in a folder all may enter": openDir(t), "in a folder of the owner alone": filepath.Join(t.TempDir(), "postgres")} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			server := start(t, dir)
			t.Logf("first start: %s", time.Since(begun))
			exec(t, server, "create table kept as select generate_series(1, 1000) as id")
			pid := server.PID()
			require.NoError(t, server.Stop())
			require.True(t, processGone(pid)())

			begun = time.Now()
			server = start(t, dir)
			t.Logf("later start: %s", time.Since(begun))
			requireCount(t, server, 1000)
		})
	}
}

func TestServerThatIsKilledComesBackWithItsDataAtTheSameAddress(t *testing.T) {
	server := start(t, openDir(t))
	exec(t, server, "create table kept (id bigint primary key)")
	for round := 1; round <= 3; round++ {
		exec(t, server, "insert into kept values ($1)", round)
		require.NoError(t, server.Signal(syscall.SIGKILL))
		require.Eventually(t, func() bool {
			return server.Restarts() == round && server.PID() != 0
		}, 20*time.Second, 10*time.Millisecond, "round %d", round)
		requireCount(t, server, round)
	}
}

func TestWhatAKilledProcessLeftDoesNotStopTheNextStart(t *testing.T) {
	dir := openDir(t)
	server := start(t, dir)
	exec(t, server, "create table kept as select 1 as id")
	pidFile := filepath.Join(dir, "cluster", "postmaster.pid")
	left, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.NoError(t, server.Stop())

	f := func(name, pid string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			_, rest, _ := strings.Cut(string(left), "\n")
			require.NoError(t, os.WriteFile(pidFile, []byte(pid+"\n"+rest), 0o644))
			server := start(t, dir)
			requireCount(t, server, 1)
			require.NoError(t, server.Stop())
		})
	}
	f("its number is nobody's now", "4194303")
	f("its number is somebody else's now", strconv.Itoa(os.Getpid()))
	f("its file was cut short", "")
}

func TestOrphanedServerMakesRoom(t *testing.T) {
	dir := openDir(t)
	// The orphan's supervisor, which in life is dead, must not start it again within this test.
	orphan, err := postgres.Start(t.Context(), postgres.Config{Install: install(t), DataDir: dir, Backoff: supervise.Backoff{Initial: time.Hour}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, orphan.Stop()) })
	exec(t, orphan, "create table kept as select 1 as id")
	pid := orphan.PID()

	server := start(t, dir)
	require.Eventually(t, processGone(pid), 5*time.Second, 10*time.Millisecond)
	requireCount(t, server, 1)
}

func TestUnfinishedClusterIsMadeAnew(t *testing.T) {
	dir := openDir(t)
	// What a kill during the very first start leaves.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cluster.initdb", "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster.initdb", "PG_VERSION"), []byte("18\n"), 0o600))
	server := start(t, dir)
	exec(t, server, "create table kept as select 1 as id")
	requireCount(t, server, 1)
}

func TestClusterThatCannotBeOpenedIsRefusedWithTheRemedy(t *testing.T) {
	refuse := func(name string, damage func(t *testing.T, dir string), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "cluster"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster", "PG_VERSION"), []byte(postgres.Major+"\n"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("secret\n"), 0o600))
			damage(t, dir)
			_, err := postgres.Start(t.Context(), postgres.Config{Install: install(t), DataDir: dir})
			require.Error(t, err)
			for _, part := range append(want, dir) {
				require.ErrorContains(t, err, part)
			}
			require.NotContains(t, err.Error(), "secret\n")
		})
	}
	refuse("another major version", func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster", "PG_VERSION"), []byte("15\n"), 0o600))
	}, "written by Postgres 15", "this is Postgres 18", "remove it and rebuild")
	refuse("no password", func(t *testing.T, dir string) {
		require.NoError(t, os.Remove(filepath.Join(dir, "password")))
	}, "password", "is missing although its cluster exists")
}

func TestOnlyThePasswordLetsIn(t *testing.T) {
	dir := openDir(t)
	server := start(t, dir)
	secret := filepath.Join(dir, "password")
	info, err := os.Stat(secret)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	password, err := os.ReadFile(secret)
	require.NoError(t, err)
	wrong := strings.Replace(server.DSN(), strings.TrimSpace(string(password)), "guessed", 1)
	require.NotEqual(t, server.DSN(), wrong)
	_, err = pgx.Connect(t.Context(), wrong)
	require.ErrorContains(t, err, "password authentication failed")
}

func TestDurabilityIsOnUnlessGivenUp(t *testing.T) {
	f := func(unsafe bool, want string) {
		t.Helper()
		t.Run(fmt.Sprintf("unsafe %t", unsafe), func(t *testing.T) {
			server, err := postgres.Start(t.Context(), postgres.Config{Install: install(t), DataDir: openDir(t), Unsafe: unsafe})
			require.NoError(t, err)
			defer func() { require.NoError(t, server.Stop()) }()
			conn, err := pgx.Connect(t.Context(), server.DSN())
			require.NoError(t, err)
			defer conn.Close(t.Context())
			for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
				var value string
				require.NoError(t, conn.QueryRow(t.Context(), "show "+setting).Scan(&value))
				require.Equal(t, want, value, setting)
			}
		})
	}
	f(false, "on")
	f(true, "off")
}
