package main

import "context"

// projectCommand runs the projectors alone.
type projectCommand struct {
	metricsSettings
}

// Run implements the subcommand.
func (c *projectCommand) Run(ctx context.Context, env *environment) error {
	limitMemory(projectorMemory)
	return env.withStores(ctx, func(s *stores) error {
		return runAll(ctx,
			func(ctx context.Context) error { return env.project(ctx, s) },
			func(ctx context.Context) error { return env.serveMetrics(ctx, s, c.metricsSettings) })
	})
}

// project folds the log into all read models until ctx ends.
func (e *environment) project(ctx context.Context, s *stores) error {
	return s.folder.Run(ctx, s.projections()...)
}
