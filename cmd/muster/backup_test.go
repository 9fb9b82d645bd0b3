//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/projections/runner"
)

// notBackedUp are the tables that a backup leaves out, and why. A table that is in
// neither list fails the test: somebody has to decide.
var notBackedUp = map[string]string{
	"anvil_ingest.pending":         "a sweep that was on its way; the next one is in full",
	"anvil_ingest.pending_records": "as above",
	"anvil_ingest.records":         "what the last sweep saw; behind the log it would hide changes",
	"ingest.esi_errors":            "ESI's limit of this minute",
	"ingest.esi_health":            "how ESI is now",
	"ingest.esi_refusal":           "what ESI refuses now",
	"ingest.follow_up":             "what is to be fetched apart; a reading in full finds it again",
	"ingest.held_append":           "readings that wait for the log; they are read again",
	"ingest.member":                "processes that run",
	"ingest.page_etag":             "copies of ESI's answers",
	"ingest.person_sign_in":        "sign-ins under way",
	"ingest.presence":              "who plays; asked again",
	"ingest.quarantine":            "answers of ESI for whoever looks for a fault",
	"ingest.section_state":         "what was read last; ahead of the log it would hide what the log has not",
	"ingest.session":               "who is signed in; they sign in again",
	"ingest.shard":                 "who reads which characters",
	"ingest.shared_answer":         "copies of ESI's answers",
	"ingest.sign_in":               "registrations under way",
	"runner.checkpoints":           "of read models, which are built anew",
	"runner.generations":           "as above",
	"runner.parked":                "as above; what cannot be applied is parked again",
	"runner.stream_versions":       "as above",
	"universe.bloodline":           "CCP's static data, loaded again",
	"universe.category":            "as above",
	"universe.faction":             "as above",
	"universe.load":                "as above",
	"universe.npc_corporation":     "as above",
	"universe.race":                "as above",
	"universe.rejected_row":        "as above",
	"universe.requirement":         "as above",
	"universe.skill":               "as above",
	"universe.station":             "as above",
	"universe.system":              "as above",
	"universe.type":                "as above",
	"universe.type_group":          "as above",
	"universe.named":               "asked of ESI again",
	"universe.price":               "asked of ESI again",
	"universe.price_state":         "asked of ESI again",
	"universe.swept":               "which events were looked through for names; they are again",
	"universe.wanted":              "found again in the events",
}

func TestEveryTableIsBackedUpOrLeftOutForAReason(t *testing.T) {
	pool := enginetest.Postgres(t)
	_, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)
	require.NoError(t, (&environment{}).migrateAll(t.Context(), &stores{pool: pool}))
	rows, err := pool.Query(t.Context(), `SELECT table_schema || '.' || table_name FROM information_schema.tables
		WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
		  AND table_name <> 'migrations' AND table_name NOT LIKE 'river\_%' ORDER BY 1`)
	require.NoError(t, err)
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	var kept []string
	for _, table := range backedUp() {
		kept = append(kept, table.String())
		require.NotContains(t, notBackedUp, table.String())
		require.Contains(t, there, table.String())
	}
	for _, name := range there {
		if !slices.Contains(kept, name) {
			require.NotEmpty(t, notBackedUp[name], "table %s is neither backed up nor left out for a reason: add it to backedUp or to notBackedUp", name)
		}
	}
	for name := range notBackedUp {
		require.Contains(t, there, name)
	}
}

func TestPlacesAreFoldersOrBuckets(t *testing.T) {
	for address, want := range map[string]string{"/srv/backup/": "/srv/backup", "file:///srv/backup": "/srv/backup", "backups": "backups", "s3://bucket/of/muster": "s3://bucket/of/muster"} {
		at, err := openPlace(address)
		require.NoError(t, err)
		require.Equal(t, want, at.String())
	}
	for _, address := range []string{"ftp://x/y", "file://relative", "s3://"} {
		_, err := openPlace(address)
		require.Error(t, err, address)
	}
}

// emptyStack is a data folder where nothing was started yet.
func emptyStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	t.Cleanup(s.requireNothingLeft)
	port, err := freeport.One(t.Context())
	require.NoError(t, err)
	s.apiURL = "http://127.0.0.1:" + strconv.Itoa(port)
	s.env = cleanEnvironment("MUSTER_DATA_DIR="+s.data, "MUSTER_LISTEN=127.0.0.1:"+strconv.Itoa(port), "MUSTER_BACKUP_PASSPHRASE=four words are enough")
	return s
}

// verified waits until the read models have what the log has, and gives how many
// rows equal it.
func (s *stack) verified(args ...string) int64 {
	s.t.Helper()
	var rows int64
	s.eventually("the read models equal the log", func(ctx context.Context) error {
		stdout, stderr, status, err := runProgram(ctx, s.binary, s.env, append(args, "--output", "json")...)
		if err != nil || status != exitOK {
			return fmt.Errorf("%w: exit status %d: %s%s", err, status, stdout, stderr)
		}
		var report struct {
			Rows  map[string]int64 `json:"rows"`
			Count int64            `json:"count"`
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			return err
		}
		rows = 0
		for _, n := range report.Rows {
			rows += n
		}
		if report.Rows["characters"] == 0 || report.Rows["wallet"] == 0 {
			return fmt.Errorf("not built yet: %v", report.Rows)
		}
		return nil
	})
	return rows
}

func TestARunningMusterIsBackedUpAndRestoredElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything twice")
	}
	requireEngines(t)
	from, dest := emptyStack(t), filepath.Join(t.TempDir(), "backups")
	d := startDemo(t, from, "up")
	d.requireBothWorlds(t, 1)
	from.run("backup", dest)
	var characters []struct {
		ID int64 `json:"character_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(from.run("character", "list", "--output", "json")), &characters))
	gone := strconv.FormatInt(characters[0].ID, 10)
	from.run("character", "forget", gone, "--reason", "its owner has asked for it")
	require.Contains(t, from.run("backup", dest, "--with-secret-key"), "it goes on from")
	from.verified("backup", "verify", dest)
	d.interrupt(t)

	to := emptyStack(t)
	key := filepath.Join(to.files, "secret-key")
	require.Contains(t, to.run("restore", dest, "--secret-key-to", key), "every record has the offset it had")
	want, err := os.ReadFile(filepath.Join(from.data, "secret-key"))
	require.NoError(t, err)
	got, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), strings.TrimSpace(string(got)))

	to.env = append(to.env, "MUSTER_SECRET_KEY_FILE="+key)
	up := startService(t, to.binary, to.files, "up-restored", to.env, "up")
	to.eventually("it is ready", func(ctx context.Context) error { return to.get(ctx, to.apiURL+"/readyz", nil) })
	rows := to.verified("backup", "verify", dest)
	require.Positive(t, rows)
	require.Equal(t, rows, to.verified("verify"), "nothing has come since")
	require.NotContains(t, to.run("character", "list"), gone, "what was forgotten stays forgotten")
	up.endWith(syscall.SIGINT)
	require.NoError(t, up.stop())
}

