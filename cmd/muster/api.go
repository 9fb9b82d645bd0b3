package main

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/history"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/explain"
	"github.com/muster-sync/muster/query/export"
	"github.com/muster-sync/muster/query/viewlog"
	"github.com/muster-sync/muster/query/web"
)

// serve answers the API's requests and forwards decisions, until ctx ends. shown are the
// metrics that the API shows; nil for none.
func (r *roles) serve(ctx context.Context, shown prometheus.Gatherer, ready func(net.Addr)) error {
	looks, err := r.newViewlog()
	if err != nil {
		return err
	}
	rebuilds := newRebuilds(r)
	server, err := r.newAPI(looks, rebuilds, shown)
	if err != nil {
		return err
	}
	pages, err := web.New(web.Config{API: server.Handler(), Version: version, Images: r.worlds.Images, Logger: r.logger})
	if err != nil {
		return err
	}
	httpServer := server.HTTPServer(context.WithoutCancel(ctx), r.settings.Listen)
	httpServer.Handler = pages.Handler()
	return runAll(ctx, r.forward, looks.Run, rebuilds.run, func(ctx context.Context) error { return listenAndServe(ctx, httpServer, ready) })
}

func (r *roles) newAPI(looks *viewlog.Recorder, rebuilds *rebuilds, shown prometheus.Gatherer) (*api.Server, error) {
	token, err := r.settings.adminToken()
	if err != nil {
		return nil, err
	}
	admin, err := access.NewAdminToken(token)
	if err != nil {
		return nil, err
	}
	door, err := r.newDoors()
	if err != nil {
		return nil, err
	}
	sharing, err := r.newSharer()
	if err != nil {
		return nil, err
	}
	generations := live.New(r.control)
	characters := pgviews.NewCharacterReader(r.pool, generations)
	wallets := chviews.NewWalletReader(r.clickhouse, generations)
	consortia := pgviews.NewAnVILReader(r.pool, generations, r.registry)
	index := chviews.NewEventIndexReader(r.clickhouse, generations, r.control)
	keep, err := r.retention()
	if err != nil {
		return nil, err
	}
	past := history.New(history.NewIndexed(r.reader, index), r.registry)
	return api.New(api.Config{
		Version: version, Authenticator: access.Authenticators{admin, api.NewLinkTokens(characters, time.Now), door.tokens},
		SignIns: door.signIns, Tokens: tokens{door.tokens}, Origin: door.origin, Rate: r.worlds.Door.RateLimit, Burst: r.worlds.Door.RateBurst,
		Looks: looks, AccessLog: characters, Sharer: sharer{sharing}, Links: characters,
		Users: characters, RoleKeeper: r.newRoleKeeper(), SectionPermissions: r.worlds.SectionPermissions,
		SkillSets: characters, SkillSetDefiner: r.newSkillSetDefiner(),
		Characters: characters, Compliance: characters, Finder: characters, Searcher: characters, Figures: characters, Wallets: wallets, Exports: export.New(characters, wallets), Consortia: consortia, Past: past, Events: index, Records: opened{r.stores},
		Explainer: explain.New(consortia, past), Prices: characters,
		Facts: chviews.NewFactReader(r.clickhouse, generations, chviews.DefaultBudget()), FindingTrends: chviews.NewFindingTrendReader(r.clickhouse, generations, chviews.DefaultBudget()),
		RecordFigures:      chviews.NewRecordReader(r.clickhouse, generations, chviews.DefaultBudget()),
		OrganisationTrends: chviews.NewOrganisationReader(r.clickhouse, generations, chviews.DefaultBudget()), AnVILTrends: chviews.NewAnVILHistoryReader(r.clickhouse, generations, chviews.DefaultBudget()),
		Importer: importer{r}, Keeper: keeper{r.keeper}, Declarer: declarer{r.declarer()}, ConsortiumImporter: consortiumImporter{r}, Sweeper: &sweeper{roles: r, consortia: consortia},
		Operations: api.NewStanding(r.control, r.reader, characters, wallets, consortia).Reporting(r.syncReport()),
		Rebuilder:  rebuilds,
		Retention:  enforcer{r, keep},
		Checks:     r.checks(r.logger), Gatherer: shown, Registerer: r.metrics, Logger: r.logger,
		Tracer: r.tracer, TrustTraceParent: r.settings.Traces.TrustIncoming,
	})
}

// importer brings organisations in for the API.
type importer struct{ *roles }

// Import implements [api.Importer].
func (i importer) Import(ctx context.Context, actor string, org access.Organisation) (api.ImportResult, error) {
	result, err := i.register(ctx, actor, org)
	registered := 0
	for _, c := range org.Characters {
		if c.Registered {
			registered++
		}
	}
	return api.ImportResult{
		Users: result.Users, Characters: result.Characters, Shown: result.Shown,
		Unchanged: len(org.Users) - result.Users + registered - result.Characters,
	}, err
}

// declarer changes declarations for the API.
type declarer struct{ *ingestanvil.Declarer }

// Declare implements [api.Declarer].
func (d declarer) Declare(ctx context.Context, in api.DeclareInput) (api.DeclareResult, error) {
	result, err := d.Declarer.Declare(ctx, ingestanvil.DeclareInput(in))
	return api.DeclareResult(result), err
}

// Patch implements [api.Declarer].
func (d declarer) Patch(ctx context.Context, in api.PatchInput) (api.DeclareResult, error) {
	result, err := d.Declarer.Patch(ctx, ingestanvil.PatchInput(in))
	return api.DeclareResult(result), err
}

// Accept implements [api.Declarer].
func (d declarer) Accept(ctx context.Context, in api.AcceptInput) (bool, error) {
	return d.Declarer.Accept(ctx, ingestanvil.AcceptInput(in))
}

// sweepTimeout bounds a sweep that somebody asked for.
const sweepTimeout = 30 * time.Minute

// sweeper has AnVIL asked for the API. Who asks while a sweep of the same
// consortium is under way joins it.
type sweeper struct {
	*roles
	consortia *pgviews.AnVILReader
	flights   singleflight.Group
}

// Sweep implements [api.Sweeper].
func (s *sweeper) Sweep(ctx context.Context, actor, consortium string, models []anvil.Model, scope anvil.Scope) (pgviews.Sweep, error) {
	if s.roles.sweeper == nil {
		return pgviews.Sweep{}, event.Errorf(event.CodeUnavailable, "this Muster cannot ask AnVIL: %w", s.noSweeps)
	}
	flight := consortium
	if !scope.Whole() {
		flight += ": " + scope.Words()
	}
	done := s.flights.DoChan(flight, func() (any, error) {
		// A sweep goes on when the one who asked for it has left.
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTimeout)
		defer cancel()
		s.logger.InfoContext(detached, "sweep asked for", "actor", actor, "consortium", consortium, "scope", scope.Words())
		return s.sweep(detached, consortium, models, scope)
	})
	select {
	case <-ctx.Done():
		return s.underWay(context.WithoutCancel(ctx), consortium)
	case result := <-done:
		if result.Err != nil {
			return pgviews.Sweep{}, result.Err
		}
		swept, ok := result.Val.(pgviews.Sweep)
		if !ok {
			return pgviews.Sweep{}, event.Errorf(event.CodeInternal, "BUG: a sweep came to a %T", result.Val)
		}
		return swept, nil
	}
}

// underWay is the sweep that was started last, as it stands.
func (s *sweeper) underWay(ctx context.Context, consortium string) (pgviews.Sweep, error) {
	newest, err := s.consortia.Sweeps(ctx, consortium, nil, 1)
	if err != nil {
		return pgviews.Sweep{}, err
	}
	if len(newest) == 0 {
		return pgviews.Sweep{}, event.Errorf(event.CodeUnavailable, "the sweep of %s goes on, but does not show yet: see GET /v1/anvil/%s/sweeps", consortium, consortium)
	}
	return newest[0], nil
}

// sweep asks AnVIL and waits until the read model shows the answers.
func (s *sweeper) sweep(ctx context.Context, consortium string, models []anvil.Model, scope anvil.Scope) (pgviews.Sweep, error) {
	stream := event.Consortium(consortium)
	state, err := s.loadState(ctx, stream)
	if err != nil {
		return pgviews.Sweep{}, err
	}
	declared := state.Declared()
	if declared.ServiceAccount == "" {
		return pgviews.Sweep{}, event.Errorf(event.CodeNotFound, "nothing is declared of consortium %q: declare it first, at least its service_account", consortium)
	}
	run := func() (ingestanvil.Summary, error) { return s.roles.sweeper.Run(ctx, consortium, declared, models) }
	if !scope.Whole() {
		run = func() (ingestanvil.Summary, error) { return s.roles.sweeper.RunPart(ctx, consortium, declared, scope) }
	}
	summary, err := run()
	if err != nil {
		return pgviews.Sweep{}, err
	}
	if _, err := s.latestState(ctx, stream); err != nil {
		return pgviews.Sweep{}, err
	}
	return pgviews.Sweep{ID: summary.SweepID, StartedAt: summary.StartedAt, Completed: &summary.SweepCompleted}, nil
}
