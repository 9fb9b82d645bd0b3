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

// Enforce implements [api.Retention]. A run goes on when the one who asked for it has
// left.
func (e enforcer) Enforce(ctx context.Context, actor string) (retention.Completed, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enforceTimeout)
	defer cancel()
	e.logger.InfoContext(ctx, "retention asked for", "actor", actor)
	return e.worker.Run(ctx)
}
