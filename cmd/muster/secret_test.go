package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sealing"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/backup"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestTheSecretKeyIsReplacedByCommand(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, schema.Migrate(t.Context(), pool))
	dir := t.TempDir()
	key := func(fill byte) []byte { return bytes.Repeat([]byte{fill}, sealing.KeySize) }
	text := func(fill byte) string { return base64.StdEncoding.EncodeToString(key(fill)) }
	former, err := sealing.NewKeys(key(1))
	require.NoError(t, err)
	refresh := sso.SealedColumns()[0]
	binding, err := refresh.Binding("", 7)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "INSERT INTO ingest.token (character_id, refresh_sealed, registered_at, updated_at) VALUES (7, $1, now(), now())", former.Seal(refresh.Prefix, []byte("the login"), binding))
	require.NoError(t, err)
	rotate := func(args ...string) (string, string, int) {
		t.Helper()
		var out, errs bytes.Buffer
		p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
		exit := p.run(t.Context(), append([]string{"secret", "rotate", "--data-dir", dir, "--postgres-dsn", pool.Config().ConnString()}, args...))
		require.NotContains(t, out.String()+errs.String(), text(1))
		require.NotContains(t, out.String()+errs.String(), "the login")
		return out.String(), errs.String(), exit
	}
	_, stderr, exit := rotate("--secret-key", text(2))
	require.NotEqual(t, exitOK, exit)
	require.Contains(t, stderr, "MUSTER_SECRET_KEY_PREVIOUS")
	stdout, stderr, exit := rotate("--secret-key", text(2), "--dry-run")
	require.NotEqual(t, exitOK, exit, stdout)
	require.Contains(t, stderr, "1 rows open with none of the keys")

	file := filepath.Join(dir, "former")
	require.NoError(t, os.WriteFile(file, []byte(text(3)+"\n"+text(1)+"\n"), 0o600))
	stdout, stderr, exit = rotate("--secret-key", text(2), "--secret-key-previous-file", file, "--dry-run")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, "1 rows need a former key ("+sealing.Fingerprint(key(3))+", "+sealing.Fingerprint(key(1))+")")
	stdout, stderr, exit = rotate("--secret-key", text(2), "--secret-key-previous", text(3)+","+text(1))
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, "no row is under a former key")
	stdout, stderr, exit = rotate("--secret-key", text(2), "--dry-run", "--output", "json")
	require.Equal(t, exitOK, exit, stderr)
	require.Contains(t, stdout, sealing.Fingerprint(key(2)))
	require.Equal(t, backup.Fingerprint(key(2)), sealing.Fingerprint(key(2)), "a key has one name")

	_, stderr, exit = rotate("--secret-key", text(2), "--secret-key-previous", "short")
	require.NotEqual(t, exitOK, exit)
	require.Contains(t, stderr, "the key in MUSTER_SECRET_KEY_PREVIOUS is not 32 bytes")
}

func TestAClusterIsOfOnesOwnServers(t *testing.T) {
	_, err := (&settings{ClickhouseCluster: "main"}).cluster()
	require.ErrorContains(t, err, "set MUSTER_CLICKHOUSE_DSN")
	c, err := (&settings{ClickhouseCluster: "main", ClickhouseDSN: "clickhouse://ch1:9000"}).cluster()
	require.NoError(t, err)
	require.True(t, c.Spread())
}
