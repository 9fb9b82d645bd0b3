package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Purge has generations that are not live let go of what tombstones name, for nobody
// else takes it from them:
//
//   - one that is kept for a rollback is brought to the end of the log, as it would be
//     if it were live;
//   - one that was replaced by another version of the fold, that failed, or whose build
//     nobody goes on with, is dropped if there is a tombstone that it has not applied.
//
// What is being built by somebody comes to the tombstones by itself, and so do
// scratches. It can be interrupted, and run by several processes.
func (r *Runner) Purge(ctx context.Context, list []Bound) error {
	// Most of the time passes until a store has deleted what it was told to.
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(purgedAtOnce)
	for _, b := range list {
		work.Go(func() error {
			all, err := r.Control.Generations(ctx, b.Name)
			if err != nil {
				return err
			}
			for _, g := range all {
				if err := r.purge(ctx, b, g); err != nil {
					return fmt.Errorf("taking what was removed out of generation %d of %s: %w", g.Number, g.Projection, err)
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// purgedAtOnce bounds the projections whose generations let go of it at the same time; each
// holds a connection with its lock.
const purgedAtOnce = 4

func (r *Runner) purge(ctx context.Context, b Bound, g Generation) error {
	var lock *owner
	var err error
	switch g.Status {
	case StatusRetired, StatusFailed:
		lock, err = r.ownAside(ctx, b)
	case StatusBuilding:
		lock, err = r.Control.own(ctx, "rebuild "+b.Name)
	default:
		return nil
	}
	if err != nil || lock == nil {
		return err
	}
	defer lock.release(ctx)
	now, err := r.Control.generation(ctx, g)
	if err != nil || now.Status != g.Status {
		return err
	}
	if g.Status == StatusRetired && g.Version == b.Version {
		return r.follows(ctx, b, g)
	}
	if g.Reason == reasonPurged {
		return r.dropGeneration(ctx, b, g, reasonPurged) // This was begun, and interrupted.
	}
	behind, err := r.missesTombstone(ctx, g)
	if err != nil || !behind {
		return err
	}
	r.Logger.InfoContext(ctx, "a generation that is not live is dropped, for it holds what retention has removed",
		"projection", g.Projection, "generation", g.Number, "status", g.Status, "version", g.Version)
	return r.dropGeneration(ctx, b, g, reasonPurged)
}

// reasonPurged is why a generation is gone that could have been gone back to.
const reasonPurged = "it held what retention has removed since, and nobody could take it out"

// follows brings a retired generation to where the log ends now.
func (r *Runner) follows(ctx context.Context, b Bound, g Generation) error {
	for {
		reached, err := r.stride(ctx, b, g)
		if err != nil || reached {
			return err
		}
	}
}

// errMet ends a search.
var errMet = errors.New("met")

// Holds tells whether there may be rows in the tables of a generation: something was
// applied, or was about to be when it was interrupted. If not, the tables need not even be
// there.
func (c *Control) Holds(ctx context.Context, g Generation) (holds bool, err error) {
	err = c.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM runner.checkpoints WHERE name = $1 AND generation = $2 AND (records > 0 OR pending_to IS NOT NULL))`,
		g.Projection, g.Number).Scan(&holds)
	if err != nil {
		return false, fmt.Errorf("looking whether anything was applied to %s: %w", g.Namespace, err)
	}
	return holds, nil
}

// missesTombstone tells whether the log has a tombstone that a generation which holds
// something has not applied.
func (r *Runner) missesTombstone(ctx context.Context, g Generation) (bool, error) {
	holds, err := r.Control.Holds(ctx, g)
	if err != nil || !holds {
		return false, err
	}
	checkpoints, err := r.Control.Checkpoints(ctx, g)
	if err != nil {
		return false, err
	}
	for _, cp := range checkpoints {
		ends, err := r.Log.Ends(ctx, cp.Topic)
		if err != nil {
			return false, fmt.Errorf("reading the ends of the log: %w", err)
		}
		err = r.Log.ReadRange(ctx, cp.Partition, cp.Next, ends[cp.Partition].End, func(rec eventlog.Record) error {
			if e, err := rec.Event(); err == nil && e.IsTombstone() && e.Expiry.Policy != eventlog.PulsePolicy {
				return errMet
			}
			return nil
		})
		if errors.Is(err, errMet) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("looking for tombstones in %s from %d on: %w", cp.Partition, cp.Next, err)
		}
	}
	return false, nil
}

// ownAside takes the lock of the retired and failed generations of a projection, which
// others hold for seconds.
func (r *Runner) ownAside(ctx context.Context, b Bound) (*owner, error) {
	return r.ownSoon(ctx, "retired "+b.Name, "the generations of projection "+b.Name+" that are kept for a rollback are looked after by another process: wait for it to end")
}

// ownSoon takes a lock that others hold for a few seconds at a time. It fails with
// [event.CodeConflict] if it does not get it in good time.
func (r *Runner) ownSoon(ctx context.Context, name, busy string) (*owner, error) {
	deadline := time.Now().Add(scratchPatience)
	for {
		lock, err := r.Control.own(ctx, name)
		if err != nil || lock != nil {
			return lock, err
		}
		if time.Now().After(deadline) {
			return nil, event.Errorf(event.CodeConflict, "%s", busy)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// dropGeneration removes the tables of a generation and all that is known of it but that
// it was there. It is not gone back to from the first moment on, and if this is
// interrupted, whoever drops old generations next goes on with it.
func (r *Runner) dropGeneration(ctx context.Context, b Bound, g Generation, reason string) error {
	if err := r.Control.setStatus(ctx, g, StatusFailed, reason); err != nil {
		return err
	}
	r.Step("replay.condemned")
	if err := b.drop(ctx, g); err != nil {
		return err
	}
	r.Step("replay.tables-dropped")
	return r.Control.dropped(ctx, g)
}

// dropped says that the tables of a generation are gone. What was parked of it may say
// what events held.
func (c *Control) dropped(ctx context.Context, g Generation) error {
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`DELETE FROM runner.parked WHERE name = $1 AND generation = $2`,
			`DELETE FROM runner.stream_versions WHERE name = $1 AND generation = $2`,
			`DELETE FROM runner.checkpoints WHERE name = $1 AND generation = $2`,
			`UPDATE runner.generations SET status = 'dropped' WHERE name = $1 AND generation = $2`,
		} {
			if _, err := tx.Exec(ctx, sql, g.Projection, g.Number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("marking generation %d of %s as dropped: %w", g.Number, g.Projection, err)
	}
	return nil
}

// generation is how a generation stands now.
func (c *Control) generation(ctx context.Context, g Generation) (Generation, error) {
	now, err := c.scanGeneration(c.pool.QueryRow(ctx, selectGeneration+` WHERE g.name = $1 AND g.generation = $2`, g.Projection, g.Number))
	if err != nil {
		return now, fmt.Errorf("reading how generation %d of %s stands: %w", g.Number, g.Projection, err)
	}
	return now, nil
}
