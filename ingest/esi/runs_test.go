package esi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
)

func TestTheBoundsOfTheLastGoodReadingAreKept(t *testing.T) {
	r := newRig(t)
	bounds := func() (began, done time.Time) {
		t.Helper()
		require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT run_started_at, run_finished_at FROM ingest.section_state WHERE section = 'wallet'").Scan(&began, &done))
		return began.UTC(), done.UTC()
	}
	r.world.Serve(path("/wallet"), 2*time.Minute, `1.5`)
	before := r.world.Clock.Now().UTC().Truncate(time.Microsecond)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
	began, done := bounds()
	require.False(t, began.Before(before))
	require.False(t, done.Before(began))

	r.world.Clock.Advance(2 * time.Minute)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWallet).Result)
	confirmed, _ := bounds()
	require.True(t, confirmed.After(began), "a reading that brings nothing new is one too")

	r.world.Clock.Advance(2 * time.Minute)
	r.world.Handle(path("/wallet"), statusHandler(http.StatusBadGateway))
	require.Equal(t, esi.Failed, r.sync(t, eve.SectionWallet).Result)
	failed, _ := bounds()
	require.Equal(t, confirmed, failed, "one that failed is none")
}
