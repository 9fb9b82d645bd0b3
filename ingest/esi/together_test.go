package esi

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// doubled does what is asked by doubling it, and counts its runs; each takes a second.
func doubled(runs *atomic.Int64) *together[int, int] {
	return &together[int, int]{run: func(_ context.Context, asked []*call[int, int]) error {
		runs.Add(1)
		time.Sleep(time.Second) //nolint:forbidigo // the clock is that of a bubble
		for _, c := range asked {
			if c.ask < 0 {
				c.err = errors.New("negative")
			}
			c.result = 2 * c.ask
		}
		return nil
	}}
}

func TestCallsAtOnceAreDoneTogetherAndEachHasItsOwnResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		line := doubled(&runs)
		var all sync.WaitGroup
		for ask := -1; ask < gatherMost-1; ask++ {
			all.Go(func() {
				result, err := line.do(t.Context(), ask)
				require.Equal(t, ask < 0, err != nil, "one that fails leaves the others alone")
				require.Equal(t, 2*ask, result)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, runs.Load())
	})
}

func TestNoMoreRoundTripsAreUnderWayThanMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, under, most atomic.Int64
		line := &together[int, int]{run: func(_ context.Context, asked []*call[int, int]) error {
			runs.Add(1)
			if now := under.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer under.Add(-1)
			require.LessOrEqual(t, len(asked), gatherMost)
			time.Sleep(time.Second) //nolint:forbidigo // the clock is that of a bubble
			return nil
		}}
		var all sync.WaitGroup
		const calls = 10 * gatherMost
		for range calls {
			all.Go(func() {
				_, err := line.do(t.Context(), 1)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.EqualValues(t, 10, runs.Load())
		require.EqualValues(t, gatherAtOnce, most.Load())
	})
}

func TestWhoGivesUpHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		line := doubled(&runs)
		var all sync.WaitGroup
		// All that may be under way are, so that those who come now stand in line.
		for range gatherAtOnce {
			all.Go(func() {
				_, err := line.do(t.Context(), 1)
				require.NoError(t, err)
			})
			time.Sleep(2 * gather) //nolint:forbidigo // the clock is that of a bubble
		}
		impatient, cancel := context.WithCancel(t.Context())
		for range 3 {
			all.Go(func() {
				_, err := line.do(impatient, 1)
				require.ErrorIs(t, err, context.Canceled)
			})
		}
		synctest.Wait()
		all.Go(func() {
			result, err := line.do(t.Context(), 4)
			require.NoError(t, err)
			require.Equal(t, 8, result)
		})
		synctest.Wait()
		cancel()
		all.Wait()
		require.EqualValues(t, gatherAtOnce+1, runs.Load())
	})
}

func TestWhatFailsForAllFailsForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		line := &together[int, int]{run: func(context.Context, []*call[int, int]) error { return away }}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, err := line.do(t.Context(), 1)
				require.ErrorIs(t, err, away)
			})
		}
		all.Wait()
	})
}
