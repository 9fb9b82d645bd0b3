package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// secretsOf reads the settings of a role from an environment and returns those that are secret, by the
// variables that name their files.
func secretsOf(t *testing.T, env map[string]string, args ...string) (map[string]string, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	var cli commandLine
	parser, err := kong.New(&cli, kong.Vars{"version": version, "data_dir": t.TempDir()}, kong.Resolvers(secretFiles(os.LookupEnv)))
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"ingest"}, args...))
	w := cli.Ingest.worlds
	return map[string]string{
		"MUSTER_POSTGRES_DSN_FILE": cli.PostgresDSN, "MUSTER_CLICKHOUSE_DSN_FILE": cli.ClickhouseDSN, "MUSTER_TOKEN_FILE": cli.settings.Token,
		"MUSTER_SSO_CLIENT_SECRET_FILE": w.SSOClientSecret, "MUSTER_SIGN_IN_CLIENT_SECRET_FILE": w.Door.SignInClientSecret,
		"MUSTER_NOTIFY_EMAIL_PASSWORD_FILE": w.Notify.EmailPassword,
		"MUSTER_NOTIFY_WEBHOOK_URL_FILE":    w.Notify.WebhookURL, "MUSTER_NOTIFY_WEBHOOK_SECRET_FILE": w.Notify.WebhookSecret,
	}, err
}

func TestSecretsAreReadFromTheFilesThatAreNamed(t *testing.T) {
	dir, env, want := t.TempDir(), map[string]string{}, map[string]string{}
	all, err := secretsOf(t, nil)
	require.NoError(t, err)
	for _, variable := range slices.Sorted(maps.Keys(all)) {
		env[variable], want[variable] = filepath.Join(dir, variable), "-of "+variable
		require.NoError(t, os.WriteFile(env[variable], []byte("  "+want[variable]+"\n"), 0o600))
	}
	got, err := secretsOf(t, env)
	require.NoError(t, err)
	require.Equal(t, want, got)

	// What is given itself goes before.
	got, err = secretsOf(t, map[string]string{"MUSTER_POSTGRES_DSN": "postgres://itself"}, "--token", "mine", "--sso-client-secret", "ours")
	require.NoError(t, err)
	want["MUSTER_POSTGRES_DSN_FILE"], want["MUSTER_TOKEN_FILE"], want["MUSTER_SSO_CLIENT_SECRET_FILE"] = "postgres://itself", "mine", "ours"
	require.Equal(t, want, got)
}

func TestAFileOfASecretThatSaysNothingIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := secretsOf(t, map[string]string{"MUSTER_POSTGRES_DSN_FILE": filepath.Join(dir, "none")})
	require.ErrorContains(t, err, "MUSTER_POSTGRES_DSN_FILE")
	require.ErrorContains(t, err, "no such file")

	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	_, err = secretsOf(t, map[string]string{"MUSTER_POSTGRES_DSN_FILE": empty})
	require.ErrorContains(t, err, "is empty")

	_, err = secretsOf(t, map[string]string{"MUSTER_POSTGRES_DSN_FILE": ""})
	require.NoError(t, err, "a variable without a value names no file")
}

func TestTheAdministratorsTokenIsMadeOnlyInTheDataFolder(t *testing.T) {
	dir := t.TempDir()
	made, err := (&settings{DataDir: dir}).adminToken()
	require.NoError(t, err)
	again, err := (&settings{DataDir: dir}).adminToken()
	require.NoError(t, err)
	require.Equal(t, made, again)

	given := &settings{DataDir: dir, AdminTokenFile: filepath.Join(dir, "given")}
	_, err = given.adminToken()
	require.ErrorContains(t, err, "MUSTER_ADMIN_TOKEN_FILE")
	require.NoFileExists(t, given.AdminTokenFile)
	require.NoError(t, os.WriteFile(given.AdminTokenFile, []byte("a token of everybody\n"), 0o600))
	token, err := given.adminToken()
	require.NoError(t, err)
	require.Equal(t, "a token of everybody", token)
	asks, err := given.client()
	require.NoError(t, err)
	require.Equal(t, token, asks.token)
}
