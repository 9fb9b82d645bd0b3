//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/doctor"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// lines are the results by the name of the check.
func lines(t *testing.T, output string) map[string]doctor.Result {
	t.Helper()
	var found diagnosis
	require.NoError(t, json.Unmarshal([]byte(output), &found), output)
	byName := map[string]doctor.Result{}
	for _, r := range found.Checks {
		byName[r.Name] = r
	}
	require.Len(t, byName, len(found.Checks), "each check has one line")
	require.Equal(t, doctor.Worst(found.Checks), found.Verdict)
	return byName
}

func kafkaAdmin(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func TestTheDoctorFindsASoundSetupSoundAndAWrongTopicWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	s := oneProcess(t, "MUSTER_KAFKA_PARTITIONS=4",
		"MUSTER_SECRET_KEY="+strings.Repeat("ab", 32))
	up := startService(t, s.binary, s.files, "up", s.env, "up")
	s.eventually("it is ready", func(ctx context.Context) error { return s.get(ctx, s.apiURL+"/readyz", nil) })
	examine := func(want int, more ...string) map[string]doctor.Result {
		t.Helper()
		stdout, stderr, status, err := runProgram(t.Context(), s.binary, append(s.env, more...), "doctor", "--offline", "--output", "json")
		require.NoError(t, err)
		require.Equal(t, want, status, "%s\n%s", stdout, stderr)
		require.NotContains(t, stdout+stderr, strings.Repeat("ab", 32))
		return lines(t, stdout)
	}

	var sound map[string]doctor.Result
	s.eventually("each read model is owned", func(context.Context) error {
		if sound = examine(exitOK); sound["projections"].Verdict != doctor.OK {
			return errors.New(sound["projections"].Seen)
		}
		return nil
	})
	for name, r := range sound {
		// How much room and memory the machine has is not the test's to say.
		if name != "disk" && name != "memory" {
			require.Equal(t, doctor.OK, r.Verdict, "%s: %s", name, r.Seen)
		}
	}

	at, err := engine.Running(s.data, engine.Addresses{}, nil)
	require.NoError(t, err)
	admin, one := kafkaAdmin(t, at.KafkaBrokers), "1"
	altered, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &one}}, event.TopicEVE)
	require.NoError(t, err)
	require.NoError(t, altered[0].Err)
	wrong := examine(exitFindings)
	require.Equal(t, doctor.Failed, wrong["kafka.topics"].Verdict)
	require.Equal(t, `topic muster.eve.v1: retention.ms is "1", must be "-1"`, wrong["kafka.topics"].Seen)
	require.Contains(t, wrong["kafka.topics"].Remedy, "--add-config retention.ms=-1")

	require.NoError(t, os.Chmod(filepath.Join(s.data, "admin-token"), 0o644))
	other := examine(exitFindings, "MUSTER_LISTN=x", "MUSTER_KAFKA_REPLICATION=3")
	require.Contains(t, other["files"].Seen, "admin-token")
	require.Equal(t, doctor.Warning, other["settings.names"].Verdict)
	require.Contains(t, other["settings"].Seen, "MUSTER_KAFKA_REPLICATION is 3")
	require.NoError(t, up.stop())

	gone := examine(exitFindings)
	for _, name := range []string{"kafka", "postgres", "clickhouse"} {
		require.Equal(t, doctor.Failed, gone[name].Verdict)
		require.Contains(t, gone[name].Remedy, "muster up")
	}
	require.Equal(t, "not looked at: postgres is not reached", gone["logins"].Seen)
}

func TestTheDoctorWritesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts engines")
	}
	pool, brokers := enginetest.Postgres(t), enginetest.Kafka(t)
	dir := filepath.Join(t.TempDir(), "data")
	var out, errs bytes.Buffer
	p := program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	status := p.run(t.Context(), []string{
		"doctor", "--data-dir", dir, "--postgres-dsn", pool.Config().ConnString(), "--kafka-brokers", strings.Join(brokers, ","),
		"--clickhouse-dsn", enginetest.ClickHouse(t), "--offline", "--output", "json",
	})
	require.Equal(t, exitFindings, status, errs.String())
	require.NotContains(t, out.String()+errs.String(), pool.Config().ConnConfig.Password)
	found := lines(t, out.String())
	require.Contains(t, found["kafka.topics"].Seen, "topic muster.eve.v1 does not exist")
	require.Contains(t, found["postgres.migrations"].Seen, "schema ingest lacks")
	require.Equal(t, "not looked at: tables are missing or of another version", found["projections"].Seen)

	topics, err := kafkaAdmin(t, brokers).ListTopics(t.Context())
	require.NoError(t, err)
	require.Empty(t, topics.Names())
	var schemas int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('public', 'information_schema')").Scan(&schemas))
	require.Zero(t, schemas)
	require.NoDirExists(t, dir)

	x := newExamination(t.Context(), &environment{settings: &settings{PostgresDSN: pool.Config().ConnString()}}, &doctorCommand{Timeout: time.Minute}, nil)
	defer x.close()
	only, err := x.pool()
	require.NoError(t, err)
	_, err = only.Exec(t.Context(), "CREATE TABLE public.never (n int)")
	require.ErrorContains(t, err, "read-only transaction")
}

func TestReasonsOfReadinessTellNothingOfAddresses(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	cause := fmt.Errorf("failed to connect to `user=ada database=x` at db.internal: %w", &pgconn.PgError{Code: "28P01", Message: "ada"})
	err := worded(logger, "postgres", func(context.Context) error { return cause })(t.Context())
	require.EqualError(t, err, "Postgres does not accept the user or the password")
	require.NoError(t, worded(logger, "postgres", func(context.Context) error { return nil })(t.Context()))
}
