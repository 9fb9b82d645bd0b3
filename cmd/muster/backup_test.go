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
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/reports"
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
	"ingest.to_expire":             "forgotten characters that wait for tombstones; the next run finds them",
	"runner.checkpoints":           "of read models, which are built anew",
	"runner.generations":           "as above",
	"runner.parked":                "as above; what cannot be applied is parked again",
	"runner.stream_versions":       "as above",
	"runner.scratches":             "the past in a schema of its own; made again from the log",
	"universe.bloodline":           "CCP's static data, loaded again",
	"universe.category":            "as above",
	"reports_state.settings":       "roles are the server's: `muster readers make` makes them and the views",
	"reports_state.made":           "as above",
	"universe.faction":             "as above",
	"universe.implant":             "as above",
	"universe.load":                "as above",
	"universe.npc_corporation":     "as above",
	"universe.planet":              "as above",
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
	"universe.server_status":       "asked of ESI again",
	"universe.swept":               "which events were looked through for names; they are again",
	"universe.wanted":              "found again in the events",
}

func TestEveryTableIsBackedUpOrLeftOutForAReason(t *testing.T) {
	pool := enginetest.Postgres(t)
	_, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)
	_, err = reports.New(t.Context(), reports.Config{Pool: pool})
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

func TestDecisionsThatHoldAgainDoToTheTablesWhatTheyDid(t *testing.T) {
	pool := enginetest.Postgres(t)
	require.NoError(t, (&environment{}).migrateAll(t.Context(), &stores{pool: pool}))
	token, user := uuid.New(), event.User("7")
	_, err := pool.Exec(t.Context(), `INSERT INTO ingest.token (character_id, refresh_sealed, registered_at, updated_at) VALUES (90000001, '\x01', now(), now()), (90000002, '\x02', now(), now())`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO ingest.api_token (token_id, secret_hash, name, user_id, issued_by, issued_by_user, issued_at, expires_at)
		VALUES ($1, '\x01', 'one', '7', 'x', 'x', now(), now() + interval '1 day'), ($2, '\x02', 'two', '7', 'x', 'x', now(), now() + interval '1 day')`, token, uuid.New())
	require.NoError(t, err)
	key := uuid.New()
	_, err = pool.Exec(t.Context(), `INSERT INTO ingest.text_key (key_id, character_id, wrapped) VALUES ($1, 90000001, '\x01'), ($2, 90000002, '\x02')`, key, uuid.New())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO command.stream_heads VALUES ('eve:character:90000001', 3), ('eve:user:7', 9)`)
	require.NoError(t, err)

	record := func(stream event.Stream, version int64, p event.Payload) eventlog.Record {
		e, err := event.New(uuid.New(), stream, "test", time.Now(), p)
		require.NoError(t, err)
		e.Version, e.Actor = version, "somebody"
		return eventlog.Record{Position: event.Position{Topic: event.TopicEVE}, Key: e.Key(), Headers: e.Headers(), Value: e.Data}
	}
	again := []eventlog.Record{
		record(event.Character(90000001), 5, eve.CharacterForgotten{CharacterID: 90000001, Reason: "asked for", KeyIDs: []uuid.UUID{key}}),
		record(user, 8, access.TokenRevoked{TokenID: token, UserID: "7"}),
	}
	require.False(t, holdsAgain(record(event.Character(90000001), 4, eve.CharacterDisabled{CharacterID: 90000001, Reason: "x"})))
	require.True(t, forgets(again[0]))
	require.False(t, forgets(again[1]))
	for _, rec := range again {
		require.True(t, holdsAgain(rec))
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return applyAgain(t.Context(), tx, newRegistry(), rec) }))
	}
	var text string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT concat_ws(' ',
		(SELECT string_agg(character_id::text, ',') FROM ingest.token), (SELECT string_agg(character_id::text, ',') FROM ingest.forgotten),
		(SELECT string_agg(name || ' ' || revoked_by, ',') FROM ingest.api_token WHERE revoked_at IS NOT NULL),
		(SELECT string_agg(version::text, ',' ORDER BY stream) FROM command.stream_heads),
		(SELECT string_agg(character_id::text, ',') FROM ingest.text_key WHERE wrapped IS NOT NULL))`).Scan(&text))
	require.Equal(t, "90000002 90000001 one somebody 5,9 90000002", text)
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
	s := oneProcess(t, "MUSTER_BACKUP_PASSPHRASE=four words are enough")
	s.partitions = 12
	return s
}

// caughtUp waits until the read models have applied the whole log.
func (s *stack) caughtUp() {
	s.t.Helper()
	watch := s.stores()
	s.eventually("the read models have caught up", func(ctx context.Context) error {
		for _, b := range watch.projections() {
			g, err := watch.control.Live(ctx, b.Name)
			if err != nil {
				return err
			}
			// A generation that has not begun has no lag yet.
			checkpoints, err := watch.control.Checkpoints(ctx, g)
			if err != nil {
				return err
			}
			if len(checkpoints) == 0 {
				return fmt.Errorf("%s has not begun", b.Name)
			}
			lag, err := watch.folder.Lag(ctx, g, b.Topics)
			if err != nil {
				return err
			}
			if lag.Records > 0 {
				return fmt.Errorf("%s is %d records behind", b.Name, lag.Records)
			}
		}
		return nil
	})
}

// verified compares and gives how many rows equal the log.
func (s *stack) verified(args ...string) map[string]int64 {
	s.t.Helper()
	var report struct {
		Rows  map[string]int64 `json:"rows"`
		Count int64            `json:"count"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.run(append(args, "--output", "json")...)), &report))
	require.Zero(s.t, report.Count)
	for _, projection := range []string{"characters", "anvil", "wallet"} {
		require.Positive(s.t, report.Rows[projection], projection)
	}
	return report.Rows
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
	to.caughtUp()
	require.Equal(t, to.verified("backup", "verify", dest), to.verified("verify"), "nothing has come since")
	require.NotContains(t, to.run("character", "list"), gone, "what was forgotten stays forgotten")
	up.endWith(syscall.SIGINT)
	require.NoError(t, up.stop())
}
