package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childOf) != "" {
		os.Exit(child()) //nolint:forbidigo // It is a process of its own.
	}
	enginetest.Main(m)
}

// order is one sync that was asked for.
type order struct {
	character int64
	section   eve.Section
}

// syncer answers syncs as the test says, by default as unchanged.
type syncer struct {
	mu     sync.Mutex
	orders []order
	// followed are the orders of follow-ups.
	followed []order
	answer   func(ctx context.Context, o order) (esi.Outcome, error)
}

func (s *syncer) Refresh(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error) {
	return s.Sync(ctx, character, section)
}

func (s *syncer) Sync(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error) {
	s.mu.Lock()
	s.orders = append(s.orders, order{character, section})
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		return answer(ctx, order{character, section})
	}
	return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
}

func (s *syncer) FollowUp(_ context.Context, character int64, section eve.Section) (esi.FollowOutcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followed = append(s.followed, order{character, section})
	return esi.FollowOutcome{}, nil
}

func (s *syncer) count(o order) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, other := range s.orders {
		if other == o {
			n++
		}
	}
	return n
}

type characters []int64

func (c characters) Syncable(context.Context) ([]int64, error) { return c, nil }

type rig struct {
	pool   *pgxpool.Pool
	syncer *syncer
	config schedule.Config
}

// fourSections are one without a login and three with.
func fourSections() []esi.Section {
	return slices.DeleteFunc(esi.Sections(esi.Options{}), func(s esi.Section) bool {
		return !slices.Contains([]eve.Section{eve.SectionDetails, eve.SectionLocation, eve.SectionWallet, eve.SectionWalletJournal}, s.Name)
	})
}

func newRig(t *testing.T, ids ...int64) *rig {
	t.Helper()
	r := &rig{pool: enginetest.Postgres(t), syncer: &syncer{}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	r.config = schedule.Config{
		Pool: r.pool, Syncer: r.syncer, Characters: characters(ids), StopTimeout: 5 * time.Second,
		Intervals: map[eve.Section]time.Duration{}, Workers: 8, Sections: fourSections(), SweepEvery: time.Second,
	}
	return r
}

func (r *rig) scheduler(t *testing.T) *schedule.Scheduler {
	t.Helper()
	r.config.Registerer = prometheus.NewRegistry()
	s, err := schedule.New(r.config)
	require.NoError(t, err)
	return s
}

// run runs a scheduler until the function that it gives is called.
func run(t *testing.T, s *schedule.Scheduler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func (r *rig) login(t *testing.T, ids ...int64) {
	t.Helper()
	_, err := r.pool.Exec(t.Context(), `
		INSERT INTO ingest.token (character_id, refresh_sealed, registered_at, updated_at) SELECT id, '\x01', now(), now() FROM unnest($1::bigint[]) id
		ON CONFLICT (character_id) DO UPDATE SET registered_at = now(), state = 'active'`, ids)
	require.NoError(t, err)
}

// jobs are the live jobs as "character/section".
func (r *rig) jobs(t *testing.T) []string {
	t.Helper()
	rows, err := r.pool.Query(t.Context(), `
		SELECT (args->>'character_id') || '/' || (args->>'section') FROM ingest.river_job
		WHERE kind = 'eve_sync' AND finalized_at IS NULL`)
	require.NoError(t, err)
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	slices.Sort(jobs)
	return jobs
}

func (r *rig) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := r.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

const patience = 20 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, what)
}

func TestSweepMakesJobsAgreeWithTheCharacters(t *testing.T) {
	r := newRig(t, 1, 2)
	r.login(t, 2, 3)
	s := r.scheduler(t)

	swept, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, schedule.Swept{Added: 5}, swept)
	require.Equal(t, []string{"1/details", "2/details", "2/location", "2/wallet", "2/wallet-journal"}, r.jobs(t),
		"a character without a login has its public section; one that is not listed has none")

	swept, err = s.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, swept, "there is nothing to do twice")

	t.Run("when a login is parked", func(t *testing.T) {
		r.exec(t, "UPDATE ingest.token SET state = 'parked' WHERE character_id = 2")
		swept, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, schedule.Swept{Removed: 3}, swept)
		require.Equal(t, []string{"1/details", "2/details"}, r.jobs(t))
	})
	t.Run("when it is given again", func(t *testing.T) {
		r.login(t, 2)
		swept, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, schedule.Swept{Added: 3}, swept)
	})
	t.Run("when a scope is missing", func(t *testing.T) {
		r.exec(t, `INSERT INTO ingest.section_state (character_id, section, revision, failure_class, failing_since, failed_at)
			VALUES (2, 'wallet', 1, 'token', now(), now())`)
		swept, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, schedule.Swept{Removed: 1}, swept)
		require.NotContains(t, r.jobs(t), "2/wallet")
		r.login(t, 2)
		swept, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, schedule.Swept{Added: 1}, swept)
	})
	t.Run("when characters go", func(t *testing.T) {
		r.config.Characters = characters{2}
		swept, err = r.scheduler(t).Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, schedule.Swept{Removed: 1}, swept)
	})
}

func TestSectionsWithoutConsentAreNotAskedFor(t *testing.T) {
	r := newRig(t, 1)
	r.login(t, 1)
	r.exec(t, "UPDATE ingest.token SET scopes = '{esi-location.read_location.v1}'")
	s := r.scheduler(t)
	_, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"1/details", "1/location"}, r.jobs(t))
	r.exec(t, "UPDATE ingest.token SET scopes = '{esi-location.read_location.v1,esi-wallet.read_character_wallet.v1}'")
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	require.Len(t, r.jobs(t), 4)
}

func TestWhatIsPausedWaitsUntilItIsResumed(t *testing.T) {
	r := newRig(t, 1, 2)
	r.login(t, 1, 2)
	s := r.scheduler(t)
	for _, c := range []struct {
		pause schedule.Pause
		jobs  int
	}{
		{schedule.Pause{}, 0},
		{schedule.Pause{CharacterID: 2, Reason: "asked for"}, 4},
		{schedule.Pause{Section: eve.SectionWallet}, 6},
		{schedule.Pause{CharacterID: 1, Section: eve.SectionDetails}, 7},
	} {
		require.NoError(t, schedule.SetPause(t.Context(), r.pool, c.pause))
		_, err := s.Sweep(t.Context())
		require.NoError(t, err)
		require.Len(t, r.jobs(t), c.jobs, c.pause)
		pauses, err := schedule.Pauses(t.Context(), r.pool)
		require.NoError(t, err)
		require.Equal(t, []schedule.Pause{c.pause}, pauses)
		require.NoError(t, schedule.Unpause(t.Context(), r.pool, c.pause))
		_, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.Len(t, r.jobs(t), 8)
	}
	require.Equal(t, event.CodeInvalid, event.CodeOf(schedule.SetPause(t.Context(), r.pool, schedule.Pause{Section: "wallets"})))
}

func TestFollowUpsAreAJobOfTheirOwn(t *testing.T) {
	r := newRig(t, 1)
	r.login(t, 1)
	r.syncer.answer = func(_ context.Context, o order) (esi.Outcome, error) {
		return esi.Outcome{Result: esi.Changed, ValidatedAt: time.Now(), FollowUps: o.section == eve.SectionWallet}, nil
	}
	run(t, r.scheduler(t))
	eventually(t, "they are fetched", func() bool {
		r.syncer.mu.Lock()
		defer r.syncer.mu.Unlock()
		return slices.Equal(r.syncer.followed, []order{{1, eve.SectionWallet}})
	})
}

func TestFollowUpsThatLostTheirJobGetAnother(t *testing.T) {
	r := newRig(t, 1)
	r.login(t, 1)
	r.exec(t, `INSERT INTO ingest.follow_up (character_id, section, kind, item_id, moment, once, due_at) VALUES (1, 'mails', 'mail-body', 7, now(), true, 'epoch')`)
	run(t, r.scheduler(t))
	eventually(t, "they are fetched", func() bool {
		r.syncer.mu.Lock()
		defer r.syncer.mu.Unlock()
		return slices.Contains(r.syncer.followed, order{1, eve.SectionMails})
	})
}

func TestSweepTakesUpWhatWasReadBefore(t *testing.T) {
	r := newRig(t, 1)
	r.exec(t, `INSERT INTO ingest.section_state (character_id, section, revision, validated_at, not_before) VALUES (1, 'details', 1, now() - interval '1 minute', now() + interval '10 hours')`)
	_, err := r.scheduler(t).Sweep(t.Context())
	require.NoError(t, err)
	var wait time.Duration
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT scheduled_at - now() FROM ingest.river_job").Scan(&wait))
	require.Greater(t, wait, 9*time.Hour, "not before the cache expires")
}

func TestSectionsAreSyncedAgainAndAgain(t *testing.T) {
	r := newRig(t, 1, 2)
	r.login(t, 1, 2)
	for _, section := range r.config.Sections {
		r.config.Intervals[section.Name] = time.Second
	}
	stop := run(t, r.scheduler(t))
	eventually(t, "each section is synced three times", func() bool {
		for _, section := range r.config.Sections {
			if r.syncer.count(order{1, section.Name}) < 3 || r.syncer.count(order{2, section.Name}) < 3 {
				return false
			}
		}
		return true
	})
	stop()
	require.Len(t, r.jobs(t), 8, "jobs are standing orders")
}

// everyLogin has all characters synced that have a login.
type everyLogin struct{ pool *pgxpool.Pool }

func (e everyLogin) Syncable(ctx context.Context) ([]int64, error) {
	rows, err := e.pool.Query(ctx, "SELECT character_id FROM ingest.token ORDER BY character_id")
	if err != nil {
		return nil, fmt.Errorf("listing logins: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func TestWokenSchedulerFindsNewCharactersAtOnce(t *testing.T) {
	r := newRig(t)
	r.config.Characters = everyLogin{r.pool}
	r.config.SweepEvery = time.Hour
	s := r.scheduler(t)
	run(t, s)
	r.login(t, 7)
	s.Wake()
	eventually(t, "the new character is synced", func() bool { return r.syncer.count(order{7, eve.SectionWallet}) == 1 })
}

func TestALostLoginWaitsForItsOwner(t *testing.T) {
	r := newRig(t, 1)
	r.login(t, 1)
	r.config.SweepEvery = 50 * time.Millisecond
	r.syncer.answer = func(ctx context.Context, o order) (esi.Outcome, error) {
		if o.section == eve.SectionWallet {
			// As the real one does, before it answers.
			_, err := r.pool.Exec(ctx, `INSERT INTO ingest.section_state (character_id, section, revision, failure_class, failing_since, failed_at)
				VALUES (1, 'wallet', 1, 'token', now(), now()) ON CONFLICT (character_id, section) DO UPDATE SET failed_at = now()`)
			return esi.Outcome{Result: esi.Failed, Failure: &transport.Failure{Class: eve.FailureToken}, Failures: 1}, err
		}
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
	run(t, r.scheduler(t))
	wallet := order{1, eve.SectionWallet}
	eventually(t, "the wallet's job ends", func() bool { return r.syncer.count(wallet) == 1 && !slices.Contains(r.jobs(t), "1/wallet") })
	r.login(t, 1)
	eventually(t, "it comes back with the login", func() bool { return r.syncer.count(wallet) == 2 })
	require.Equal(t, 1, r.syncer.count(order{1, eve.SectionDetails}), "the others are not disturbed")
}

func TestASyncThatCouldNotEndIsRepeated(t *testing.T) {
	r := newRig(t, 1)
	var once sync.Once
	r.syncer.answer = func(context.Context, order) (esi.Outcome, error) {
		err := error(nil)
		once.Do(func() { err = errors.New("the log is away") })
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, err
	}
	run(t, r.scheduler(t))
	eventually(t, "it is repeated", func() bool { return r.syncer.count(order{1, eve.SectionDetails}) == 2 })
}

func TestASectionThatIsNotSyncedAnyMoreIsDropped(t *testing.T) {
	r := newRig(t, 1)
	r.syncer.answer = func(context.Context, order) (esi.Outcome, error) {
		return esi.Outcome{}, event.Errorf(event.CodeNotFound, "no such section")
	}
	run(t, r.scheduler(t))
	eventually(t, "the job is gone", func() bool {
		return r.syncer.count(order{1, eve.SectionDetails}) >= 1 && len(r.jobs(t)) == 0
	})
}

func TestWhatADeadProgramLeftRunningIsTakenOver(t *testing.T) {
	r := newRig(t, 1)
	s := r.scheduler(t)
	_, err := s.Sweep(t.Context())
	require.NoError(t, err)
	r.exec(t, "UPDATE ingest.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY['killed']")
	r.exec(t, "INSERT INTO ingest.river_leader (elected_at, expires_at, leader_id, name) VALUES (now(), now() + interval '1 hour', 'killed', 'default')")

	run(t, s)

	eventually(t, "the job runs again", func() bool { return r.syncer.count(order{1, eve.SectionDetails}) == 1 })
	eventually(t, "somebody else leads", func() bool {
		var leader string
		return r.pool.QueryRow(t.Context(), "SELECT leader_id FROM ingest.river_leader").Scan(&leader) == nil && leader != "killed"
	})
}

func TestAJobOfWhichNobodyWroteDownWhatBecameOfItRunsAgain(t *testing.T) {
	r := newRig(t, 1)
	s := r.scheduler(t)
	run(t, s)
	eventually(t, "the job has run", func() bool {
		var waiting int
		return r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest.river_job WHERE state = 'scheduled' AND cardinality(attempted_by) > 0").Scan(&waiting) == nil && waiting == 1
	})

	r.exec(t, "UPDATE ingest.river_job SET state = 'running', attempted_at = now() - interval '2 minutes'")
	_, err := s.Sweep(t.Context())
	require.NoError(t, err)

	eventually(t, "the job runs again", func() bool { return r.syncer.count(order{1, eve.SectionDetails}) == 2 })
}

func TestAJobRemembersOnlyWhoWorkedOnItLast(t *testing.T) {
	r := newRig(t, 1)
	s := r.scheduler(t)
	_, err := s.Sweep(t.Context())
	require.NoError(t, err)
	r.exec(t, "UPDATE ingest.river_job SET attempted_by = array_fill('long gone'::text, ARRAY[100])")

	run(t, s)

	eventually(t, "the job has run", func() bool {
		var remembered int
		err := r.pool.QueryRow(t.Context(), "SELECT cardinality(attempted_by) FROM ingest.river_job WHERE state = 'scheduled'").Scan(&remembered)
		return err == nil && remembered == 2
	})
}

func TestWhatALiveProgramRunsIsLeftToIt(t *testing.T) {
	r := newRig(t, 1)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	r.syncer.answer = func(context.Context, order) (esi.Outcome, error) {
		close(arrived)
		<-proceed
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
	run(t, r.scheduler(t))
	<-arrived
	swept, err := r.scheduler(t).Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, swept)
	close(proceed)
}

func TestStoppingLetsASyncComeToItsEnd(t *testing.T) {
	r := newRig(t, 1)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	var ended bool
	r.syncer.answer = func(ctx context.Context, _ order) (esi.Outcome, error) {
		close(arrived)
		<-proceed
		ended = ctx.Err() == nil
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
	stop := run(t, r.scheduler(t))
	<-arrived
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(proceed)
	<-stopped
	require.True(t, ended)
	require.Equal(t, []string{"1/details"}, r.jobs(t))
}

func TestStoppingCutsShortWhatDoesNotEnd(t *testing.T) {
	r := newRig(t, 1)
	r.config.StopTimeout = 50 * time.Millisecond
	arrived := make(chan struct{})
	r.syncer.answer = func(ctx context.Context, _ order) (esi.Outcome, error) {
		close(arrived)
		<-ctx.Done()
		return esi.Outcome{}, fmt.Errorf("cut short: %w", ctx.Err())
	}
	stop := run(t, r.scheduler(t))
	<-arrived
	stop()
	var state string
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT state::text FROM ingest.river_job").Scan(&state))
	require.Equal(t, "available", state, "the next program goes on at once")
}

func TestARequestedSectionIsSyncedThoughItIsNotDue(t *testing.T) {
	r := newRig(t, 1)
	r.exec(t, `INSERT INTO ingest.section_state (character_id, section, revision, validated_at) VALUES (1, 'details', 1, now())`)
	s := r.scheduler(t)
	run(t, s)
	require.NoError(t, s.Refresh(t.Context(), 1, eve.SectionDetails))
	require.NoError(t, s.Refresh(t.Context(), 1, eve.SectionDetails))
	eventually(t, "it is synced", func() bool { return r.syncer.count(order{1, eve.SectionDetails}) >= 1 })
}

func TestTenThousandCharactersAreScheduledInBulk(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 340,000 jobs")
	}
	r := newRig(t)
	var ids []int64
	for id := range int64(10_000) {
		ids = append(ids, 90_000_000+id)
	}
	r.config.Characters, r.config.Sections = characters(ids), nil
	r.login(t, ids...)
	s := r.scheduler(t)
	started := time.Now()
	swept, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 340_000, swept.Added)
	first := time.Since(started)
	started = time.Now()
	swept, err = s.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, swept)
	t.Logf("340,000 jobs made in %s, checked in %s", first, time.Since(started))
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	r := newRig(t, 1)
	r.config.Registerer = prometheus.NewRegistry()
	for want, change := range map[string]func(*schedule.Config){
		"at least a second": func(c *schedule.Config) { c.Intervals = map[eve.Section]time.Duration{"wallet": time.Millisecond} },
		"no such section":   func(c *schedule.Config) { c.Intervals = map[eve.Section]time.Duration{"wallets": time.Minute} },
		"needs a pool":      func(c *schedule.Config) { c.Pool = nil },
	} {
		config := r.config
		change(&config)
		_, err := schedule.New(config)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
}
