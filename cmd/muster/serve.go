package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/doctor"
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
		listening := make(chan struct{})
		return runAll(ctx,
			func(ctx context.Context) error {
				return r.serve(ctx, c.gatherer(s), func(at net.Addr) {
					fmt.Fprintf(env.stdout, "API ready at http://%s\n", at)
					close(listening)
				})
			},
			func(ctx context.Context) error { return c.serveMetrics(ctx, env.logger, s) },
			func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return nil
				case <-listening:
					return announce(ctx, s.checks(env.logger))
				}
			})
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
func (s *stores) checks(logger *slog.Logger) []api.Check {
	return []api.Check{
		{Name: "kafka", Ready: worded(logger, "kafka", s.reader.Ping)},
		{Name: "postgres", Ready: worded(logger, "postgres", s.pool.Ping)},
		{Name: "clickhouse", Ready: worded(logger, "clickhouse", s.clickhouse.Ping)},
		{Name: "projections", Ready: func(ctx context.Context) error { return s.projectionsLive(ctx, logger) }},
	}
}

// worded words why an engine is not there for anybody to read. What its driver says, which
// names hosts and users, is for those who read the log.
func worded(logger *slog.Logger, engine string, ping func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := ping(ctx)
		if err == nil {
			return nil
		}
		logger.DebugContext(ctx, "not ready", "engine", engine, "error", err)
		return event.Errorf(event.CodeUnavailable, "%s", doctor.Reason(err))
	}
}

// projectionsLive fails while a read model has no tables yet, and names all of them.
func (s *stores) projectionsLive(ctx context.Context, logger *slog.Logger) error {
	var building []string
	for _, b := range s.projections() {
		_, err := s.control.Live(ctx, b.Name)
		switch {
		case err == nil:
		case event.CodeOf(err) == event.CodeUnavailable:
			building = append(building, b.Name)
		default:
			logger.DebugContext(ctx, "not ready", "projection", b.Name, "error", err)
			return event.Errorf(event.CodeUnavailable, "it cannot be told: %s", doctor.Reason(err))
		}
	}
	if len(building) > 0 {
		return event.Errorf(event.CodeUnavailable, "no live generation yet of %s: start muster project, or wait for the first build", strings.Join(building, ", "))
	}
	return nil
}
