package esi_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/ingesttest"
)

// idler is a character whose sections are spared while it is not played.
type idler struct {
	*rig
	online, location *ingesttest.Resource
}

func onlineSaid(online bool, login, logout time.Time) string {
	return fmt.Sprintf(`{"online":%t,"last_login":%q,"last_logout":%q,"logins":7}`, online, login.Format(time.RFC3339), logout.Format(time.RFC3339))
}

func newIdler(t *testing.T) idler {
	t.Helper()
	r := newRig(t)
	var err error
	r.syncer, err = esi.NewSyncer(esi.Config{
		Pool: r.pool, Client: r.client, Appender: r.log, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now,
		Options: esi.Options{SpareIdle: true, Intervals: map[eve.Section]time.Duration{eve.SectionOnline: time.Hour, eve.SectionLocation: time.Hour}},
	})
	require.NoError(t, err)
	logout := r.world.Clock.Now().Add(-24 * time.Hour)
	i := idler{
		rig:      r,
		online:   r.world.Serve(path("/online"), time.Minute, onlineSaid(false, logout.Add(-time.Hour), logout)),
		location: r.world.Serve(path("/location"), 5*time.Second, `{"solar_system_id":30000142}`),
	}
	require.Equal(t, esi.Changed, i.sync(t, eve.SectionOnline).Result)
	require.Equal(t, esi.Changed, i.sync(t, eve.SectionLocation).Result)
	return i
}

// hour lets an hour go by, in which the section online is read.
func (i idler) hour(t *testing.T) {
	t.Helper()
	i.world.Clock.Advance(time.Hour)
	require.NotEqual(t, esi.Failed, i.sync(t, eve.SectionOnline).Result)
}

func TestWhereSomebodyIsIsNotAskedForWhileNobodyPlays(t *testing.T) {
	i := newIdler(t)
	for range 7 {
		i.hour(t)
		outcome := i.sync(t, eve.SectionLocation)
		require.Equal(t, esi.Spared, outcome.Result)
		require.False(t, outcome.NotBefore.After(i.world.Clock.Now().Add(time.Hour)))
	}
	require.Len(t, i.world.Requests(path("/location")), 1)
	i.hour(t)
	require.Equal(t, esi.Unchanged, i.sync(t, eve.SectionLocation).Result, "after eight intervals it is read all the same")
}

func TestALoginEndsTheSparing(t *testing.T) {
	i := newIdler(t)
	i.hour(t)
	require.Equal(t, esi.Spared, i.sync(t, eve.SectionLocation).Result)
	login := i.world.Clock.Now().Add(10 * time.Minute)
	i.online.Set(onlineSaid(true, login, login.Add(-30*time.Hour)))
	i.location.Set(`{"solar_system_id":30000144}`)
	i.hour(t)
	require.Equal(t, esi.Changed, i.sync(t, eve.SectionLocation).Result)

	logout := i.world.Clock.Now().Add(50 * time.Minute)
	i.online.Set(onlineSaid(false, login, logout))
	i.hour(t)
	require.Equal(t, esi.Unchanged, i.sync(t, eve.SectionLocation).Result, "its ship may still be in space")
	i.hour(t)
	require.Equal(t, esi.Unchanged, i.sync(t, eve.SectionLocation).Result, "the last reading was too near to the logout")
	i.hour(t)
	require.Equal(t, esi.Spared, i.sync(t, eve.SectionLocation).Result)
}

func TestNothingIsSparedForWhoAsksOrWhenNobodyKnows(t *testing.T) {
	i := newIdler(t)
	i.hour(t)
	outcome, err := i.syncer.Refresh(t.Context(), pilot, eve.SectionLocation)
	require.NoError(t, err)
	require.Equal(t, esi.Unchanged, outcome.Result)

	i.world.Clock.Advance(3 * time.Hour)
	require.Equal(t, esi.Unchanged, i.sync(t, eve.SectionLocation).Result, "online was not read for hours")

	i.online.Set(`{"online":false}`)
	i.hour(t)
	require.Equal(t, esi.Unchanged, i.sync(t, eve.SectionLocation).Result, "it was never online, as far as ESI says")
}

func TestWhatChangesWithoutItsCharacterIsNeverSpared(t *testing.T) {
	i := newIdler(t)
	wallet := i.world.Serve(path("/wallet"), 2*time.Minute, "1.00")
	require.Equal(t, esi.Changed, i.sync(t, eve.SectionWallet).Result)
	i.hour(t)
	wallet.Set("2.00")
	require.Equal(t, esi.Changed, i.sync(t, eve.SectionWallet).Result)
	for _, section := range esi.Sections(esi.Options{}) {
		switch section.Name {
		case eve.SectionAssets, eve.SectionBlueprints, eve.SectionContracts, eve.SectionMails, eve.SectionWalletJournal, eve.SectionWalletTransactions,
			eve.SectionOrders, eve.SectionIndustryJobs, eve.SectionKillmails, eve.SectionNotifications, eve.SectionCalendar, eve.SectionRoles,
			eve.SectionTitles, eve.SectionMedals, eve.SectionFWStats, eve.SectionOnline, eve.SectionDetails, eve.SectionCorporationHistory:
			require.False(t, section.Played, section.Name)
		default:
		}
	}
}

func TestWhatTheOwnerLeftOutIsNoTrouble(t *testing.T) {
	r := newRig(t)
	r.login(t, "esi-wallet.read_character_wallet.v1")
	outcome := r.sync(t, eve.SectionLocation)
	require.Equal(t, esi.Failed, outcome.Result)
	require.True(t, outcome.Failure.NotConsented)
	require.Empty(t, r.log.types(), "nobody has to be told")
	require.Empty(t, r.world.Requests(path("/location")))
}

func TestLongListsDoNotHoldUpAllWorkers(t *testing.T) {
	r := newRig(t)
	release, began := make(chan struct{}), make(chan struct{}, 16)
	const line = 8
	var group errgroup.Group
	for id := int64(90000100); id < 90000100+line; id++ {
		grant := r.world.Grant(id, "esi-assets.read_assets.v1")
		require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.PutTx(t.Context(), tx, grant) }))
		list := ingesttest.Page(r.world, time.Hour, `[]`)
		r.world.Handle(fmt.Sprintf("/characters/%d/assets", id), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			began <- struct{}{}
			<-release
			list.ServeHTTP(w, request)
		}))
		group.Go(func() error {
			outcome, err := r.syncer.Sync(t.Context(), id, eve.SectionAssets)
			if err == nil && outcome.Result != esi.Changed {
				err = fmt.Errorf("%d: %s", id, outcome.Result)
			}
			return err
		})
	}
	for range 3 {
		<-began
	}
	require.Eventually(t, func() bool {
		// It takes its place in the line only if there is one.
		limited, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		outcome, err := r.syncer.Sync(limited, pilot, eve.SectionAssets)
		return err == nil && outcome.Result == esi.Deferred && outcome.NotBefore.After(r.world.Clock.Now())
	}, 10*time.Second, 10*time.Millisecond)
	r.world.Serve(path("/location"), 5*time.Second, `{"solar_system_id":30000142}`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionLocation).Result, "short ones are read meanwhile")
	close(release)
	require.NoError(t, group.Wait())
}
