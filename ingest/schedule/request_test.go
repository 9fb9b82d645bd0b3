package schedule_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schedule"
)

func (r *rig) requests(t *testing.T) *schedule.Requests {
	t.Helper()
	requests, err := schedule.NewRequests(r.pool, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return requests
}

func (r *rig) consent(t *testing.T, character int64, scopes ...string) {
	t.Helper()
	_, err := r.pool.Exec(t.Context(), `INSERT INTO ingest.token (character_id, scopes, refresh_sealed, registered_at, updated_at)
		VALUES ($1, $2, 'x', now(), now())`, character, append([]string{}, scopes...))
	require.NoError(t, err)
}

func (r *rig) refresh(t *testing.T, character int64, sections ...eve.Section) (asked []eve.Section, err error) {
	t.Helper()
	requests := r.requests(t)
	err = pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
		asked, err = requests.RefreshTx(t.Context(), tx, character, sections...)
		return err
	})
	return asked, err
}

func TestARequestIsDoneByWhicheverProgramRunsTheSchedule(t *testing.T) {
	r := newRig(t)
	r.consent(t, 7, "esi-wallet.read_character_wallet.v1")
	asked, err := r.refresh(t, 7)
	require.NoError(t, err)
	require.Equal(t, []eve.Section{
		eve.SectionCorporationHistory, eve.SectionDetails, eve.SectionWallet, eve.SectionWalletJournal, eve.SectionWalletTransactions,
	}, asked, "what its owner has consented to")
	asked, err = r.refresh(t, 7, eve.SectionWallet)
	require.NoError(t, err)
	require.Equal(t, []eve.Section{eve.SectionWallet}, asked)

	run(t, r.scheduler(t))
	require.Eventually(t, func() bool { return r.syncer.count(order{7, eve.SectionWallet}) == 1 }, 10*time.Second, 10*time.Millisecond)
}

func TestARequestThatCannotBeDoneIsRefused(t *testing.T) {
	r := newRig(t)
	r.consent(t, 7, "esi-wallet.read_character_wallet.v1")
	_, err := r.refresh(t, 7, "bookmarks")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = r.refresh(t, 7, eve.SectionWallet, eve.SectionMails)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, "mails")

	require.NoError(t, schedule.SetPause(t.Context(), r.pool, schedule.Pause{Section: eve.SectionWallet}))
	_, err = r.refresh(t, 7, eve.SectionWallet)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
}

func TestARequestWaitsForESIsCache(t *testing.T) {
	r := newRig(t)
	asked := make(chan struct{}, 2)
	soon := time.Now().Add(time.Second)
	r.syncer.answer = func(context.Context, order) (esi.Outcome, error) {
		asked <- struct{}{}
		if time.Now().Before(soon) {
			return esi.Outcome{Result: esi.NotDue, NotBefore: soon}, nil
		}
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
	_, err := r.refresh(t, 7, eve.SectionDetails)
	require.NoError(t, err)
	run(t, r.scheduler(t))
	<-asked
	<-asked
	require.False(t, time.Now().Before(soon), "it was read once the cache had expired")
}

func TestADroppedCharacterIsOffTheScheduleOnceNothingIsUnderWay(t *testing.T) {
	r := newRig(t, 1, 2)
	begun, release := make(chan struct{}, 1), make(chan struct{})
	r.syncer.answer = func(_ context.Context, o order) (esi.Outcome, error) {
		if o.character == 1 {
			begun <- struct{}{}
			<-release
		}
		return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
	}
	run(t, r.scheduler(t))
	<-begun
	requests := r.requests(t)
	drop := func() (running int) {
		require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) (err error) {
			require.NoError(t, esi.Forget(t.Context(), tx, 1))
			running, err = requests.DropTx(t.Context(), tx, 1)
			return err
		}))
		return running
	}
	require.Equal(t, 1, drop())
	close(release)
	require.Eventually(t, func() bool { return drop() == 0 }, 10*time.Second, 10*time.Millisecond)
	jobs := func(character int64) (n int) {
		require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest.river_job WHERE (args->>'character_id')::bigint = $1", character).Scan(&n))
		return n
	}
	require.Zero(t, jobs(1))
	require.Positive(t, jobs(2), "the others stay")

	// The list of characters may show it a moment longer.
	_, err := r.scheduler(t).Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, jobs(1), "what is forgotten is not put back")
}
