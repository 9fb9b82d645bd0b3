package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// namespaces are where the tables of all generations are or were, those of scratches
// among them.
func (s *stores) namespaces(ctx context.Context) ([]string, error) {
	generations, err := s.control.Generations(ctx, "")
	if err != nil {
		return nil, err
	}
	all := make([]string, len(generations))
	for i, g := range generations {
		all[i] = g.Namespace
	}
	return all, nil
}

// beside are the generations that have tables and are not live: those that are kept for a
// rollback, are being built or have failed, and those of scratches.
func (s *stores) beside(ctx context.Context) ([]worker.Applied, error) {
	var all []worker.Applied
	err := s.eachBeside(ctx, func(g runner.Generation, checkpoints []runner.Checkpoint) error {
		a := worker.Applied{Name: g.Namespace, Next: map[eventlog.Partition]int64{}}
		for _, cp := range checkpoints {
			a.Next[cp.Partition] = cp.Next
		}
		all = append(all, a)
		return nil
	})
	return all, err
}

// eachBeside calls fn with each generation that is not live and holds something, and how far
// it has come.
func (s *stores) eachBeside(ctx context.Context, fn func(runner.Generation, []runner.Checkpoint) error) error {
	generations, err := s.control.Generations(ctx, "")
	if err != nil {
		return err
	}
	for _, g := range generations {
		if g.Status == runner.StatusLive || g.Status == runner.StatusDropped {
			continue
		}
		holds, err := s.control.Holds(ctx, g)
		if err != nil {
			return err
		}
		if !holds {
			continue
		}
		checkpoints, err := s.control.Checkpoints(ctx, g)
		if err != nil {
			return err
		}
		if err := fn(g, checkpoints); err != nil {
			return err
		}
	}
	return nil
}

// only is the one generation of its projection that [live.Generations] is to know.
type only runner.Generation

// Live implements [live.Source].
func (o only) Live(_ context.Context, projection string) (runner.Generation, error) {
	if projection != o.Projection {
		return runner.Generation{}, event.Errorf(event.CodeNotFound, "%s has no tables of projection %q", o.Namespace, projection)
	}
	return runner.Generation(o), nil
}

// agedBeside are the characters of which tables that are not live still show history from
// before a moment.
func (s *stores) agedBeside(ctx context.Context, before time.Time) ([]retention.Aged, error) {
	var all []retention.Aged
	err := s.eachBeside(ctx, func(g runner.Generation, _ []runner.Checkpoint) error {
		generations := live.New(only(g))
		var aged []retention.Aged
		var err error
		switch g.Projection {
		case pgviews.CharactersName:
			aged, err = pgviews.RecordsBefore(ctx, s.pool, g, before)
		case chviews.WalletName:
			aged, err = chviews.NewWalletReader(s.clickhouse, generations).EntriesBefore(ctx, before)
		case chviews.FactsName:
			aged, err = chviews.NewFactReader(s.clickhouse, generations, chviews.DefaultBudget()).RecordsBefore(ctx, before)
		case chviews.RecordsName:
			aged, err = chviews.NewRecordReader(s.clickhouse, generations, chviews.DefaultBudget()).RecordsBefore(ctx, before)
		}
		if err != nil && s.stillThere(ctx, g) {
			return fmt.Errorf("looking into %s: %w", g.Namespace, err)
		}
		all = append(all, aged...)
		return nil
	})
	return all, err
}

// stillThere tells whether a generation has not been dropped while it was looked into.
func (s *stores) stillThere(ctx context.Context, g runner.Generation) bool {
	generations, err := s.control.Generations(ctx, g.Projection)
	return err != nil || slices.ContainsFunc(generations, func(now runner.Generation) bool { return now.Number == g.Number && now.Status == g.Status })
}
