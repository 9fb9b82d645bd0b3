package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Progress tells how far a rebuild is.
type Progress struct {
	// Done and Total count offsets of the log.
	Done, Total int64
	// Phase is "reading", "catching up", "comparing" or "switching".
	Phase string
}

// ReplayOptions steer a rebuild.
type ReplayOptions struct {
	// Restart throws an unfinished rebuild away instead of going on with it.
	Restart bool
	// KeepDifferent promotes the new generation even if it differs from the
	// live one, for instance because the fold was corrected on purpose.
	KeepDifferent bool
	// Progress is called now and then; may be nil. Calls do not overlap.
	Progress func(Progress)
}

// ReplayResult is the outcome of a rebuild.
type ReplayResult struct {
	Projection string          `json:"projection"`
	Generation int             `json:"generation"`
	Previous   int             `json:"previous"`
	Records    int64           `json:"records"`
	Took       time.Duration   `json:"took_ns"`
	Tables     []TableEvidence `json:"tables"`
	Equal      bool            `json:"equal"`
	Promoted   bool            `json:"promoted"`
}

// holdFor is how long a comparison may keep the live generation waiting; it is
// renewed meanwhile, so a command that dies stops nothing for longer.
const holdFor = 30 * time.Second

// Replay builds a new generation of a projection from the log beside the live
// one, brings it to exactly the position of the live one, compares the two by
// counts and checksums of key ranges, and makes it the live one if they are
// equal. The old one is kept for [Runner.Rollback]. It can be interrupted: the
// next call goes on where this one stopped. A poisoned event stops it.
func (r *Runner) Replay(ctx context.Context, b Bound, o ReplayOptions) (ReplayResult, error) {
	started := time.Now()
	live, err := r.Control.Live(ctx, b.Name)
	if err != nil {
		return ReplayResult{}, err
	}
	g, release, err := r.building(ctx, b, o.Restart)
	if err != nil {
		return ReplayResult{}, err
	}
	defer release()
	result := ReplayResult{Projection: b.Name, Generation: g.Number, Previous: live.Number}
	if err := r.build(ctx, b, g, o.Progress); err != nil {
		return result, err
	}
	r.Step("replay.built")
	resume, err := r.takeOver(ctx, b)
	if err != nil {
		return result, err
	}
	defer resume()
	r.Step("replay.held")
	if err := r.align(ctx, b, live, g, o.Progress); err != nil {
		return result, err
	}
	r.Step("replay.aligned")
	report(o.Progress, Progress{Phase: "comparing"})
	if live.Version == g.Version {
		result.Tables, err = compare(ctx, b, live, g)
		if err != nil {
			return result, err
		}
	}
	result.Equal = !slices.ContainsFunc(result.Tables, func(t TableEvidence) bool { return !t.Equal })
	checkpoints, err := r.Control.Checkpoints(ctx, g)
	if err != nil {
		return result, err
	}
	for _, cp := range checkpoints {
		result.Records += cp.Records
	}
	result.Took = time.Since(started)
	if !result.Equal && !o.KeepDifferent {
		reason := "differs from the live generation"
		return result, r.Control.setStatus(ctx, g, StatusFailed, reason)
	}
	report(o.Progress, Progress{Phase: "switching"})
	if err := r.switchTo(ctx, b, g, result); err != nil {
		return result, err
	}
	result.Promoted = true
	return result, nil
}

// upgrade replaces tables of another version. There is nothing to compare them
// with; the old ones stay readable until the new ones are there.
func (r *Runner) upgrade(ctx context.Context, b Bound) error {
	g, release, err := r.building(ctx, b, false)
	if err != nil {
		return err
	}
	defer release()
	if err := r.build(ctx, b, g, nil); err != nil {
		return err
	}
	return r.switchTo(ctx, b, g, ReplayResult{Projection: b.Name, Generation: g.Number, Equal: true})
}

func (r *Runner) switchTo(ctx context.Context, b Bound, g Generation, result ReplayResult) error {
	evidence, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the evidence: %w", err)
	}
	if err := r.Control.promote(ctx, g, evidence); err != nil {
		return err
	}
	r.Step("replay.promoted")
	// Before anything is dropped that they may still read.
	r.switched(ctx, b)
	return r.dropOld(ctx, b)
}

// dropOld removes the tables of retired generations beyond those kept for a
// rollback, and of failed ones.
func (r *Runner) dropOld(ctx context.Context, b Bound) error {
	all, err := r.Control.Generations(ctx, b.Name)
	if err != nil {
		return err
	}
	lock, err := r.ownAside(ctx, b)
	if event.CodeOf(err) == event.CodeConflict {
		r.Logger.InfoContext(ctx, "old generations are dropped at the next switch, for another process looks after them", "projection", b.Name)
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.release(ctx)
	retired := 0
	for _, g := range all {
		switch g.Status {
		case StatusRetired:
			if retired++; retired <= r.KeepRetired {
				continue
			}
		case StatusFailed:
		default:
			continue
		}
		if err := r.dropGeneration(ctx, b, g, g.Reason); err != nil {
			return err
		}
	}
	return nil
}

// Rollback makes the generation live again that was retired last.
func (r *Runner) Rollback(ctx context.Context, b Bound) (Generation, error) {
	lock, err := r.ownAside(ctx, b)
	if err != nil {
		return Generation{}, err
	}
	defer lock.release(ctx)
	all, err := r.Control.Generations(ctx, b.Name)
	if err != nil {
		return Generation{}, err
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Status == StatusRetired && g.Version == b.Version })
	if i < 0 {
		why := ""
		if k := slices.IndexFunc(all, func(g Generation) bool { return g.Reason == reasonPurged }); k >= 0 {
			why = fmt.Sprintf(" (generation %d of version %d is gone: %s)", all[k].Number, all[k].Version, reasonPurged)
		}
		return Generation{}, event.Errorf(event.CodeNotFound, "projection %q has no retired generation of version %d to go back to%s: rebuild it with `muster replay %s`", b.Name, b.Version, why, b.Name)
	}
	if err := r.Control.promote(ctx, all[i], nil); err != nil {
		return Generation{}, err
	}
	r.Step("replay.rolled-back")
	r.switched(ctx, b)
	return all[i], nil
}

// building finds the unfinished generation to go on with, or makes one, and
// sees to it that nobody else builds it.
func (r *Runner) building(ctx context.Context, b Bound, restart bool) (Generation, func(), error) {
	lock, err := r.Control.own(ctx, "rebuild "+b.Name)
	if err != nil {
		return Generation{}, nil, err
	}
	if lock == nil {
		return Generation{}, nil, event.Errorf(event.CodeConflict, "projection %q is being rebuilt by another process: wait for it to end", b.Name)
	}
	g, err := r.pickBuilding(ctx, b, restart)
	if err != nil {
		lock.release(ctx)
		return Generation{}, nil, err
	}
	return g, func() { lock.release(ctx) }, nil
}

func (r *Runner) pickBuilding(ctx context.Context, b Bound, restart bool) (Generation, error) {
	all, err := r.Control.Generations(ctx, b.Name)
	if err != nil {
		return Generation{}, err
	}
	for _, g := range all {
		if g.Status != StatusBuilding {
			continue
		}
		if !restart && g.Version == b.Version {
			return g, b.prepare(ctx, b.Projection, g)
		}
		if err := r.dropGeneration(ctx, b, g, "thrown away unfinished"); err != nil {
			return Generation{}, err
		}
	}
	g, err := r.Control.create(ctx, b)
	if err != nil {
		return Generation{}, err
	}
	r.Step("replay.created")
	if err := b.prepare(ctx, b.Projection, g); err != nil {
		return Generation{}, err
	}
	r.Step("replay.prepared")
	return g, nil
}

// build applies the log up to where it ended when the build began.
func (r *Runner) build(ctx context.Context, b Bound, g Generation, progress func(Progress)) error {
	ends, err := r.Log.Ends(ctx, b.Topics...)
	if err != nil {
		return fmt.Errorf("reading the ends of the log: %w", err)
	}
	goal := map[eventlog.Partition]int64{}
	for at, e := range ends {
		goal[at] = e.End
	}
	return r.advanceTo(ctx, b, g, goal, "reading", progress)
}

// advanceTo applies the log to a building generation up to exactly the goal.
func (r *Runner) advanceTo(ctx context.Context, b Bound, g Generation, goal map[eventlog.Partition]int64, phase string, progress func(Progress)) error {
	f, err := r.open(ctx, b, g, true)
	if err != nil {
		return err
	}
	ends, err := r.Log.Ends(ctx, b.Topics...)
	if err != nil {
		return fmt.Errorf("reading the ends of the log: %w", err)
	}
	// What was written counts, not what was read: several batches are under way.
	next := maps.Clone(f.next)
	reached := func() {
		done, total := int64(0), int64(0)
		for at, to := range goal {
			from := min(ends[at].Start, to)
			done, total = done+min(max(next[at], from), to)-from, total+to-from
		}
		if total > 0 {
			r.metrics.progress.WithLabelValues(b.Name).Set(float64(done) / float64(total))
		}
		report(progress, Progress{Done: done, Total: total, Phase: phase})
	}
	reached()
	if err := r.pumpTo(ctx, b, f, goal, func(p *prepared) {
		for at, s := range p.spans {
			next[at] = s.to
		}
		reached()
	}); err != nil {
		return fmt.Errorf("building generation %d of %s: %w", g.Number, b.Name, err)
	}
	return nil
}

// Hold makes the live generation of a projection stand still, so that it can be
// compared with the log. The function returned lets it go on.
func (r *Runner) Hold(ctx context.Context, b Bound) (func(), error) { return r.takeOver(ctx, b) }

// takeOver makes the owner of the live generation let go of it, so that its
// position stands still. The function returned gives it back.
func (r *Runner) takeOver(ctx context.Context, b Bound) (func(), error) {
	deadline := time.Now().Add(holdFor)
	for {
		if err := r.Control.hold(ctx, b.Name, "comparison", holdFor); err != nil {
			return nil, err
		}
		lock, err := r.Control.own(ctx, "projection "+b.Name)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			resume := r.keepHold(ctx, b, lock)
			if err := r.settle(ctx, b); err != nil {
				resume()
				return nil, err
			}
			return resume, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(r.Control.unhold(ctx, b.Name),
				event.Errorf(event.CodeUnavailable, "the process that owns projection %q did not let go of it within %s: look at its log", b.Name, holdFor))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), r.Control.unhold(ctx, b.Name))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// settle finishes what the owner before was about to write when it let go, so that the
// rows are those of the position.
func (r *Runner) settle(ctx context.Context, b Bound) error {
	g, err := r.Control.Live(ctx, b.Name)
	switch {
	case event.CodeOf(err) == event.CodeUnavailable, err == nil && g.Version != b.Version:
		return nil
	case err != nil:
		return err
	}
	_, err = r.open(ctx, b, g, false)
	return err
}

// keepHold renews a hold until the returned function ends it.
func (r *Runner) keepHold(ctx context.Context, b Bound, lock *owner) func() {
	holding, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		renew := time.NewTicker(holdFor / 3)
		defer renew.Stop()
		for {
			select {
			case <-holding.Done():
				return
			case <-renew.C:
				if err := r.Control.hold(holding, b.Name, "comparison", holdFor); err != nil && holding.Err() == nil {
					r.Logger.WarnContext(holding, "renewing the hold", "projection", b.Name, "error", err)
				}
			}
		}
	}()
	return func() {
		stop()
		<-stopped
		lock.release(ctx)
		if err := r.Control.unhold(ctx, b.Name); err != nil {
			r.Logger.WarnContext(ctx, "ending the hold; it ends by itself", "projection", b.Name, "after", holdFor, "error", err)
		}
	}
}

// align brings both generations to the same position, whichever is behind. The
// live one stands still and is owned by the caller.
func (r *Runner) align(ctx context.Context, b Bound, live, g Generation, progress func(Progress)) error {
	goal := map[eventlog.Partition]int64{}
	for _, generation := range []Generation{live, g} {
		checkpoints, err := r.Control.Checkpoints(ctx, generation)
		if err != nil {
			return err
		}
		for _, cp := range checkpoints {
			goal[cp.Partition] = max(goal[cp.Partition], cp.Next)
		}
	}
	if live.Version == g.Version {
		f, err := r.open(ctx, b, live, false)
		if err != nil {
			return err
		}
		if err := r.pumpTo(ctx, b, f, goal, func(*prepared) {}); err != nil {
			return fmt.Errorf("bringing the live generation of %s to the same position: %w", b.Name, err)
		}
	}
	return r.advanceTo(ctx, b, g, goal, "catching up", progress)
}

// foldedAtOnce is how many records are read before they are folded, so that values are
// not held for longer than they are needed.
const foldedAtOnce = 1_000

// pumpTo applies the log up to exactly the goal of each partition. written is
// called after each batch.
func (r *Runner) pumpTo(ctx context.Context, b Bound, f *fold, goal map[eventlog.Partition]int64, written func(*prepared)) error {
	return r.pump(ctx, b, f, written, func(ctx context.Context, send func(*prepared) error) error {
		g := gathering{fold: f, limits: b.rebuild(), batch: f.begin(), send: send}
		for _, at := range slices.SortedFunc(maps.Keys(goal), comparePartitions) {
			if err := g.readTo(ctx, r.Log, at, goal[at]); err != nil {
				return err
			}
		}
		return g.flush()
	})
}

// gathering makes batches of what is read of one partition after the other. A batch may
// go beyond the end of a partition, so that there are not more than it takes.
type gathering struct {
	fold   *fold
	limits Limits
	batch  *prepared
	send   func(*prepared) error
}

// readTo reads and folds one partition up to the goal.
func (g *gathering) readTo(ctx context.Context, log Log, at eventlog.Partition, goal int64) error {
	f := g.fold
	if f.next[at] >= goal {
		return nil
	}
	var records []eventlog.Record
	size := 0
	err := log.ReadRange(ctx, at, f.next[at], goal, func(rec eventlog.Record) error {
		records, size = append(records, rec), size+len(rec.Value)
		if len(records) < min(foldedAtOnce, g.limits.Records-g.batch.records) && size < g.limits.bytes() {
			return nil
		}
		some := records
		records, size = records[:0], 0
		return g.add(some)
	})
	if err != nil {
		return fmt.Errorf("reading %s up to %d: %w", at, goal, err)
	}
	if err := g.add(records); err != nil {
		return err
	}
	if f.next[at] < goal {
		// What lies between the last record and the goal is gone.
		s, ok := g.batch.spans[at]
		if !ok {
			s.from = f.next[at]
		}
		s.to = goal
		g.batch.spans[at], f.next[at] = s, goal
	}
	return nil
}

// add folds records, and sends the batch if it is full.
func (g *gathering) add(records []eventlog.Record) error {
	if err := g.fold.extend(g.batch, records); err != nil {
		return err
	}
	if g.batch.records < g.limits.Records && g.batch.bytes < g.limits.bytes() {
		return nil
	}
	return g.flush()
}

// flush sends the batch, if there is anything in it, and begins the next.
func (g *gathering) flush() error {
	if len(g.batch.spans) == 0 {
		return nil
	}
	batch := g.batch
	g.batch = g.fold.begin()
	return g.send(batch)
}

func report(progress func(Progress), p Progress) {
	if progress != nil {
		progress(p)
	}
}
