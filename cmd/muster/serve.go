package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/internal/command"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// serveCommand runs the API and the forwarder of commands.
type serveCommand struct {
	worlds
	metricsSettings
}

// Run implements the subcommand.
func (c *serveCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		r, err := env.newRoles(ctx, s, c.worlds)
		if err != nil {
			return err
		}
		return runAll(ctx,
			func(ctx context.Context) error {
				return r.serve(ctx, func(at net.Addr) { fmt.Fprintf(env.stdout, "API ready at http://%s\n", at) })
			},
			func(ctx context.Context) error { return env.serveProfiles(ctx, s, c.metricsSettings) })
	})
}

// viewOf is the projection in which decisions on a stream show.
func viewOf(stream event.Stream) string {
	if _, ok := stream.ConsortiumName(); ok {
		return pgviews.AnVILName
	}
	return pgviews.CharactersName
}

// newBus decides on commands.
func (r *roles) newBus() (*command.Bus, error) {
	return command.New(command.Config{
		Pool: r.pool, Logger: r.logger,
		View: command.ViewFunc(func(ctx context.Context, stream event.Stream) (int64, error) {
			return r.control.Applied(ctx, viewOf(stream), stream)
		}),
	})
}

// forward appends decisions to the log until ctx ends.
func (r *roles) forward(ctx context.Context) error {
	forwarder, err := command.NewForwarder(command.ForwarderConfig{Pool: r.pool, Log: stepping{r.appender, r.step}, Logger: r.logger, Registerer: r.metrics})
	if err != nil {
		return err
	}
	return forwarder.Run(ctx)
}

// register brings an organisation in and has new characters synced at once.
func (r *roles) register(ctx context.Context, actor string, org access.Organisation) (registration.Result, error) {
	var vault registration.Vault
	if r.vault != nil {
		vault = r.vault
	}
	result, err := r.registrar(vault, esi.Remember).Import(ctx, actor, org)
	r.wakeSchedule()
	return result, err
}

// declarer changes what is declared.
func (r *roles) declarer() *anvil.Declarer { return anvil.NewDeclarer(r.bus, r.loadState) }

// known looks users and characters up for decisions.
type known struct{ *stores }

// Users implements [registration.View].
func (k known) Users(ctx context.Context, ids []string) (map[string]registration.KnownUser, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	rows, err := pgviews.KnownUsers(ctx, k.pool, g, ids)
	if err != nil {
		return nil, err
	}
	users := make(map[string]registration.KnownUser, len(rows))
	for id, u := range rows {
		users[id] = registration.KnownUser(u)
	}
	return users, nil
}

// Characters implements [registration.View].
func (k known) Characters(ctx context.Context, ids []int64) (map[int64]registration.KnownCharacter, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	rows, err := pgviews.KnownCharacters(ctx, k.pool, g, ids)
	if err != nil {
		return nil, err
	}
	characters := make(map[int64]registration.KnownCharacter, len(rows))
	for id, c := range rows {
		characters[id] = registration.KnownCharacter(c)
	}
	return characters, nil
}

// Mains implements [registration.View].
func (k known) Mains(ctx context.Context, character int64) ([]string, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.KnownMains(ctx, k.pool, g, character)
}

// checks say whether the process can do its work.
func (r *roles) checks() []api.Check {
	return []api.Check{
		{Name: "kafka", Ready: r.reader.Ping},
		{Name: "postgres", Ready: r.pool.Ping},
		{Name: "clickhouse", Ready: r.clickhouse.Ping},
		{Name: "projections", Ready: r.projectionsLive},
	}
}

// projectionsLive fails while a read model has no tables yet.
func (r *roles) projectionsLive(ctx context.Context) error {
	for _, b := range r.projections() {
		if _, err := r.control.Live(ctx, b.Name); err != nil {
			return err
		}
	}
	return nil
}

// readyPause is the pause between two looks whether all is ready.
const readyPause = 50 * time.Millisecond

// waitReady waits until every check passes.
func (r *roles) waitReady(ctx context.Context) error {
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		ready := true
		for _, c := range r.checks() {
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
