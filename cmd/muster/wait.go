package main

import (
	"context"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// waitPause is the pause between two looks at a checkpoint.
const waitPause = 25 * time.Millisecond

// waitFor waits until the live generation of a projection has applied a
// partition up to an offset. It fails with [event.CodeUnavailable] when ctx ends
// first.
func waitFor(ctx context.Context, control *runner.Control, projection string, at eventlog.Partition, offset int64) error {
	ticker := time.NewTicker(waitPause)
	defer ticker.Stop()
	for {
		g, err := control.Live(ctx, projection)
		if err != nil {
			return err
		}
		checkpoints, err := control.Checkpoints(ctx, g)
		if err != nil {
			return err
		}
		for _, cp := range checkpoints {
			if cp.Partition == at && cp.Next >= offset {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return event.Errorf(event.CodeUnavailable, "waiting for projection %s to reach %s@%d: %w", projection, at, offset, ctx.Err())
		case <-ticker.C:
		}
	}
}
