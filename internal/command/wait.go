package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/event"
)

// The view is asked again after firstPoll, then after twice as long, up to longestPoll:
// it usually follows within milliseconds, and each question costs one indexed
// row.
const (
	firstPoll   = 2 * time.Millisecond
	longestPoll = 50 * time.Millisecond
	// askers bounds how many questions of one command are asked at once.
	askers = 4
)

// Await waits until the view shows what the receipts promise, or until
// [Config.Answer] is over. It tells which of the two: false means that the
// decision stands and will be shown later, not that it failed.
func (b *Bus) Await(ctx context.Context, receipts ...Receipt) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, b.config.Answer)
	defer cancel()
	for _, r := range receipts {
		if _, err := b.shows(waiting, r.Stream, r.Version); err != nil {
			if errors.Is(waiting.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// caughtUp waits until the view shows every decision made on the streams so far,
// and returns what it shows.
func (b *Bus) caughtUp(ctx context.Context, streams []event.Stream) (map[event.Stream]int64, error) {
	heads, err := readHeads(ctx, b.config.Pool, streams)
	if err != nil {
		return nil, storeError("reading the versions of streams", err)
	}
	shown := make([]int64, len(streams))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(askers)
	for i, s := range streams {
		group.Go(func() error {
			var err error
			shown[i], err = b.shows(groupCtx, s, heads[s])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	applied := make(map[event.Stream]int64, len(streams))
	for i, s := range streams {
		applied[s] = shown[i]
	}
	return applied, nil
}

// shows waits until the view shows at least the given version of a stream, and
// returns the version that it shows.
func (b *Bus) shows(ctx context.Context, stream event.Stream, version int64) (int64, error) {
	pause := firstPoll
	for {
		applied, err := b.config.View.Applied(ctx, stream)
		if err != nil && ctx.Err() == nil {
			return 0, fmt.Errorf("asking the view how far %s has come: %w", stream, err)
		}
		if err == nil && applied >= version {
			return applied, nil
		}
		if pauseErr := sleep(ctx, pause); pauseErr != nil {
			return 0, event.Errorf(event.CodeUnavailable,
				"the view of %s shows version %d of %d: it lags or has parked the stream; see the lag of the projections and 'muster poison list', then try again: %w",
				stream, applied, version, pauseErr)
		}
		pause = min(2*pause, longestPoll)
	}
}

// sleep waits for d or the end of ctx, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
