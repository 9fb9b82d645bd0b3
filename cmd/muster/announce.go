package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/muster-sync/muster/query/api"
)

// readyPause is the pause between two looks whether all is ready.
const readyPause = 50 * time.Millisecond

// waitReady waits until every check passes, or ctx ends.
func waitReady(ctx context.Context, checks []api.Check) error {
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		ready := true
		for _, c := range checks {
			ready = ready && c.Ready(ctx) == nil
		}
		if ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// announce tells the service manager that has started the process, if it is one that
// listens, as soon as every check passes. It returns then.
func announce(ctx context.Context, checks []api.Check) error {
	if err := waitReady(ctx, checks); err != nil {
		return err
	}
	// The variable is left: what says who may speak is the unit, by the process.
	const forget = false
	if _, err := daemon.SdNotify(forget, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("telling the service manager that Muster is ready: %w", err)
	}
	return nil
}
