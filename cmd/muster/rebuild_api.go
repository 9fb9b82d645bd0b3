package main

import (
	"context"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// rebuilds carries out the rebuilds that are asked for over the API, one at a time. It is
// safe for concurrent use.
type rebuilds struct {
	*roles
	// place is held while one is under way; asked hands it over to [rebuilds.run].
	place chan struct{}
	asked chan runner.Bound
}

func newRebuilds(r *roles) *rebuilds {
	return &rebuilds{roles: r, place: make(chan struct{}, 1), asked: make(chan runner.Bound, 1)}
}

// Rebuild implements [api.Rebuilder].
func (r *rebuilds) Rebuild(ctx context.Context, projection, actor string) error {
	b, err := r.projection(projection)
	if err != nil {
		return err
	}
	select {
	case r.place <- struct{}{}:
	default:
		return event.Errorf(event.CodeConflict, "a rebuild is under way: wait for its end, /v1/projections tells how far it is")
	}
	r.logger.InfoContext(ctx, "rebuild asked for", "projection", projection, "actor", actor)
	r.asked <- b
	return nil
}

// run rebuilds what is asked for until ctx ends. A rebuild that this interrupts is gone on
// with when it is asked for again.
func (r *rebuilds) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-r.asked:
			r.rebuild(ctx, b)
			<-r.place
		}
	}
}

func (r *rebuilds) rebuild(ctx context.Context, b runner.Bound) {
	result, err := r.folder.Replay(ctx, b, runner.ReplayOptions{})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.logger.ErrorContext(ctx, "a rebuild failed; what was built stays for the next one", "projection", b.Name, "error", err)
	default:
		r.logger.InfoContext(ctx, "rebuilt", "projection", b.Name, "generation", result.Generation, "records", result.Records, "took", result.Took, "equal", result.Equal, "switched", result.Promoted)
	}
}
