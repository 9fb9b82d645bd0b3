package main

import (
	"context"
	"time"

	"github.com/muster-sync/muster/domain/retention"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/query/api"
)

// enforcer enforces retention for the API.
type enforcer struct {
	*roles
	worker *worker.Worker
}

// enforceTimeout bounds a run that somebody asked for.
const enforceTimeout = time.Hour

// Standing implements [api.Retention].
func (e enforcer) Standing(ctx context.Context) (api.RetentionStanding, error) {
	records, err := e.worker.Records(ctx)
	if err != nil {
		return api.RetentionStanding{}, err
	}
	s := standingOf(e.worker.Policies, records)
	return api.RetentionStanding{Policies: s.Policies, Runs: s.Runs, Unfinished: s.Unfinished, Certificates: s.Certificates}, nil
}

// Plan implements [api.Retention].
func (e enforcer) Plan(ctx context.Context) ([]api.RetentionPlanned, error) {
	type kind struct {
		class  retention.Class
		reason retention.Reason
	}
	planned := []api.RetentionPlanned{}
	at := map[kind]int{}
	err := e.worker.Plan(ctx, func(p worker.Planned) error {
		for _, l := range summed(p) {
			i, known := at[kind{l.Class, l.Reason}]
			if !known {
				i = len(planned)
				at[kind{l.Class, l.Reason}] = i
				planned = append(planned, api.RetentionPlanned{Class: l.Class, Reason: l.Reason, Oldest: l.Oldest})
			}
			planned[i].Characters++
			planned[i].Events += l.Events
			if l.Oldest.Before(planned[i].Oldest) {
				planned[i].Oldest = l.Oldest
			}
		}
		return nil
	})
	return planned, err
}

// Enforce implements [api.Retention]. A run goes on when the one who asked for it has
// left.
func (e enforcer) Enforce(ctx context.Context, actor string) (retention.Completed, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enforceTimeout)
	defer cancel()
	e.logger.InfoContext(ctx, "retention asked for", "actor", actor)
	return e.worker.Run(ctx)
}
