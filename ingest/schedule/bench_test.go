package schedule_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

// busy answers after the time of a quick answer of ESI, and counts.
type busy struct{ done atomic.Int64 }

func (s *busy) Refresh(ctx context.Context, character int64, section eve.Section) (esi.Outcome, error) {
	return s.Sync(ctx, character, section)
}

func (s *busy) Sync(context.Context, int64, eve.Section) (esi.Outcome, error) {
	<-time.After(20 * time.Millisecond)
	s.done.Add(1)
	return esi.Outcome{Result: esi.Unchanged, ValidatedAt: time.Now()}, nil
}

func (*busy) FollowUp(context.Context, int64, eve.Section) (esi.FollowOutcome, error) {
	return esi.FollowOutcome{}, nil
}

// BenchmarkSchedule works off jobs that are all due, those of many characters, with
// 64 syncs of 20 ms at once.
func BenchmarkSchedule(b *testing.B) {
	pool := enginetest.Postgres(b)
	require.NoError(b, schema.Migrate(b.Context(), pool))
	const jobs = 20_000
	var ids characters
	for id := range int64(jobs / len(fourSections())) {
		ids = append(ids, 90_000_000+id)
	}
	_, err := pool.Exec(b.Context(), `
		INSERT INTO ingest.token (character_id, refresh_sealed, registered_at, updated_at) SELECT id, '\x01', now(), now() FROM unnest($1::bigint[]) id`, []int64(ids))
	require.NoError(b, err)
	s := &busy{}
	scheduler, err := schedule.New(schedule.Config{
		Pool: pool, Syncer: s, Characters: ids, Registerer: prometheus.NewRegistry(), Sections: fourSections(), Workers: 64, StopTimeout: 5 * time.Second,
	})
	require.NoError(b, err)
	_, err = scheduler.Sweep(b.Context())
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	started := time.Now()
	go func() { done <- scheduler.Run(ctx) }()
	require.Eventually(b, func() bool { return s.done.Load() >= jobs }, 2*time.Minute, 10*time.Millisecond)
	b.ReportMetric(jobs/time.Since(started).Seconds(), "jobs/s")
	b.ReportMetric(0, "ns/op")
	cancel()
	require.NoError(b, <-done)
}
