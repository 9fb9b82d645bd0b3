package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	domainanvil "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/compliance"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/fleet"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/ingest/universe"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/eventlog"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/query/viewlog"
)

// worlds are the settings of the outside worlds.
type worlds struct {
	ESIURL          string `name:"esi-url" env:"MUSTER_ESI_URL" default:"https://esi.evetech.net" help:"Where ESI is."`
	SSOURL          string `name:"sso-url" env:"MUSTER_SSO_URL" default:"https://login.eveonline.com" help:"Where EVE's sign-on is."`
	SSOClientID     string `name:"sso-client-id" env:"MUSTER_SSO_CLIENT_ID" help:"Client id of the EVE application; empty syncs no characters." placeholder:"ID"`
	SSOClientSecret string `name:"sso-client-secret" env:"MUSTER_SSO_CLIENT_SECRET" help:"Client secret of the EVE application." file:"MUSTER_SSO_CLIENT_SECRET_FILE" placeholder:"SECRET"`
	SSOCallbackURL  string `name:"sso-callback-url" env:"MUSTER_SSO_CALLBACK_URL" help:"Where browsers come back from EVE's sign-on, as in the EVE application's settings; default is /sso/callback of the listen address." placeholder:"URL"`
	Contact         string `env:"MUSTER_CONTACT" help:"E-mail address that ESI's operators can reach; needed to sync characters." placeholder:"EMAIL"`
	Downtime        bool   `env:"MUSTER_ESI_DOWNTIME" default:"true" negatable:"" help:"Ask ESI nothing during its daily downtime from 11:00 UTC."`

	Images             bool `name:"images" env:"MUSTER_IMAGES" help:"Let pages load portraits, logos and icons from the game's image server. Without it browsers ask no other host, and pages show drawings."`
	SectionPermissions bool `name:"section-permissions" env:"MUSTER_SECTION_PERMISSIONS" help:"Let roles be limited to sections of others' characters. Limits that were defined hold also without it."`

	GroupsEvery time.Duration `env:"MUSTER_COMPLIANCE_GROUPS_EVERY" default:"1h" help:"Time between two looks at all users for the compliance groups in which they should be, beside what events tell at once."`

	SamURL           string `name:"sam-url" env:"MUSTER_SAM_URL" help:"Where Sam is; default is Terra's." placeholder:"URL"`
	RawlsURL         string `name:"rawls-url" env:"MUSTER_RAWLS_URL" help:"Where Rawls is; default is Terra's." placeholder:"URL"`
	AnvilCredentials string `name:"anvil-credentials" env:"MUSTER_ANVIL_CREDENTIALS" help:"Google service-account key file; empty is the application default, none sends no token." placeholder:"FILE"`

	Intervals  map[string]time.Duration `name:"interval" env:"MUSTER_INTERVALS" help:"Time between two readings of a section, such as location=55m." placeholder:"SECTION=DURATION"`
	SpareIdle  bool                     `env:"MUSTER_SPARE_IDLE" default:"true" negatable:"" help:"Leave out readings that cannot bring anything new because the character has not logged in since."`
	SweepEvery time.Duration            `env:"MUSTER_SWEEP_EVERY" default:"1h" help:"Time between two sweeps of a consortium."`
	MaxMails   int                      `env:"MUSTER_MAX_MAILS" default:"250" help:"Headers of mails that are read of each character, rounded up to pages of 50."`
	Workers    int                      `env:"MUSTER_INGEST_WORKERS" default:"16" help:"Sections that are read at once."`

	Door     doorSettings     `embed:""`
	Notify   notices          `embed:"" prefix:"notify-"`
	Universe universeSettings `embed:"" prefix:"universe-"`
	Sharing  sharingSettings  `embed:""`

	Retention retentionSettings `embed:"" prefix:"retention-"`
}

// ingestCommand runs the ingest workers alone.
type ingestCommand struct {
	worlds
	metricsSettings
}

// Run implements the subcommand.
func (c *ingestCommand) Run(ctx context.Context, env *environment) error {
	limitMemory(ingestMemory)
	letGarbageLie(ingestGarbage)
	return env.withStores(ctx, func(s *stores) error {
		r, err := env.newRoles(ctx, s, c.worlds)
		if err != nil {
			return err
		}
		return runAll(ctx,
			r.ingest,
			func(ctx context.Context) error { return c.serveMetrics(ctx, env.logger, s) },
			func(ctx context.Context) error { return announce(ctx, s.checks(env.logger)) })
	})
}

// migrateAll brings the tables of all parts up to date.
func (e *environment) migrateAll(ctx context.Context, s *stores) error {
	if err := schema.Migrate(ctx, s.pool); err != nil {
		return err
	}
	if err := command.Migrate(ctx, s.pool); err != nil {
		return err
	}
	if err := universe.Migrate(ctx, s.pool); err != nil {
		return err
	}
	if err := viewlog.Migrate(ctx, s.pool); err != nil {
		return err
	}
	_, err := anvil.NewPostgresStore(ctx, s.pool)
	return err
}

// roles is what the processes share that read the outside worlds or decide on
// commands.
type roles struct {
	*environment
	*stores
	worlds   worlds
	appender *eventlog.Appender
	bus      *command.Bus
	// registered tells the schedule of this process, if it runs one, that there
	// are new characters.
	registered chan struct{}
	// vault is nil without an EVE application.
	vault *sso.Vault
	// keeper decides on single characters.
	keeper *registration.Keeper
	// sweeper is nil when AnVIL cannot be asked; noSweeps says why.
	sweeper  *anvil.Sweeper
	noSweeps error
	// retention is the one worker of this process.
	retention func() (*worker.Worker, error)
}

func (e *environment) newRoles(ctx context.Context, s *stores, w worlds) (*roles, error) {
	if err := e.migrateAll(ctx, s); err != nil {
		return nil, err
	}
	r := &roles{environment: e, stores: s, worlds: w, registered: make(chan struct{}, 1)}
	var err error
	r.appender, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: s.addresses.KafkaBrokers, Security: s.security, Logger: e.logger, Metrics: s.metrics, Tracer: s.tracer})
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, func() { _ = r.appender.Close() })
	r.retention = sync.OnceValues(func() (*worker.Worker, error) { return e.newRetention(s, r.appender, w.Retention) })
	if r.bus, err = r.newBus(); err != nil {
		return nil, err
	}
	if err := r.openVault(); err != nil {
		return nil, err
	}
	if r.keeper, err = r.newKeeper(); err != nil {
		return nil, err
	}
	r.sweeper, err = r.newSweeper(ctx)
	if event.CodeOf(err) == event.CodeInvalid && w.AnvilCredentials == "" {
		r.noSweeps = err
		return r, nil
	}
	return r, err
}

// openVault opens the place where logins are kept.
func (r *roles) openVault() error {
	if r.worlds.SSOClientID == "" {
		return nil
	}
	key, err := r.settings.secretKey(true)
	if err != nil {
		return err
	}
	former, err := r.settings.formerKeys()
	if err != nil {
		return err
	}
	r.vault, err = sso.NewVault(sso.Config{
		Pool: r.pool, Key: key, FormerKeys: former, URL: r.worlds.SSOURL, ClientID: r.worlds.SSOClientID, ClientSecret: r.worlds.SSOClientSecret, Logger: r.logger,
	})
	if err != nil {
		return err
	}
	r.stores.close = append(r.stores.close, r.vault.Close)
	return nil
}

func (r *roles) newSweeper(ctx context.Context) (*anvil.Sweeper, error) {
	client, err := anvil.NewClient(ctx, anvil.ClientConfig{
		SamURL: r.worlds.SamURL, RawlsURL: r.worlds.RawlsURL, Credentials: r.worlds.AnvilCredentials, UserAgent: "Muster/" + version,
	}, r.logger, r.metrics)
	if err != nil {
		return nil, err
	}
	store, err := anvil.NewPostgresStore(ctx, r.pool)
	if err != nil {
		return nil, err
	}
	return anvil.NewSweeper(anvil.SweeperConfig{
		Asker: client, Store: store, Appender: r.appender, Logger: r.logger, Registerer: r.metrics,
		Quarantine: &anvil.Folder{Dir: filepath.Join(r.settings.DataDir, "quarantine", "anvil")},
	})
}

// ingest reads the outside worlds and audits after sweeps, until ctx ends.
func (r *roles) ingest(ctx context.Context) error {
	characters, err := r.characterSync(ctx)
	if err != nil {
		return err
	}
	react, err := r.reactors()
	if err != nil {
		return err
	}
	keep, err := r.retention()
	if err != nil {
		return err
	}
	return runAll(ctx, characters, react, r.sweeps, r.endSharings, keep.Keep)
}

// wakeSchedule tells the schedule of this process, if it runs one, that there is
// something new.
func (r *roles) wakeSchedule() {
	select {
	case r.registered <- struct{}{}:
	default:
	}
}

func idle(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// characterSync reads the sections of characters when they are due.
func (r *roles) characterSync(ctx context.Context) (func(context.Context) error, error) {
	if r.vault == nil {
		r.logger.InfoContext(ctx, "no EVE application is configured (MUSTER_SSO_CLIENT_ID): characters are not synced")
		return idle, nil
	}
	member, err := fleet.New(fleet.Config{Pool: r.pool, Logger: r.logger, Registerer: r.metrics})
	if err != nil {
		return nil, err
	}
	client, err := r.newESIClient(member)
	if err != nil {
		return nil, err
	}
	resolver, finder, err := r.newResolver(client)
	if err != nil {
		return nil, err
	}
	relaxed, err := r.openRelaxed(ctx)
	if err != nil {
		return nil, err
	}
	syncer, err := esi.NewSyncer(esi.Config{
		Pool: r.pool, Relaxed: relaxed, Client: client, Appender: finder.Watch(r.appender), Sealer: r.keys, Logins: r.vault, Registerer: r.metrics, Logger: r.logger, Tracer: r.tracer,
		Options: esi.Options{Mails: r.worlds.MaxMails, Intervals: schedule.Intervals(sectionIntervals(r.worlds.Intervals)), SpareIdle: r.worlds.SpareIdle},
	})
	if err != nil {
		return nil, err
	}
	scheduler, err := schedule.New(schedule.Config{
		Pool: r.pool, Syncer: syncer, Characters: characters{r.stores}, Registerer: r.metrics, Logger: r.logger,
		Intervals: sectionIntervals(r.worlds.Intervals), Workers: r.worlds.Workers, Member: member,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer client.Close()
		shared := fleet.NewShared(r.pool, client, r.logger)
		if err := shared.Prime(ctx); err != nil {
			return err
		}
		usage := schedule.NewUsage(r.pool, spending{client}, time.Now)
		return runAll(ctx,
			scheduler.Run,
			finder.Run,
			resolver.Run,
			shared.Run,
			func(ctx context.Context) error { return r.wake(ctx, scheduler) },
			func(ctx context.Context) error { usage.Run(ctx, r.logger); return nil })
	}, nil
}

// newESIClient makes the client through which all of a process' requests to ESI go.
// tenure says which characters it may ask for; nil for one that stands alone.
func (r *roles) newESIClient(tenure transport.Tenure) (*transport.Client, error) {
	if r.worlds.Contact == "" {
		return nil, event.Errorf(event.CodeInvalid, "ESI bans programs without a contact: set MUSTER_CONTACT to an e-mail address")
	}
	downtime := transport.Downtime{}
	if r.worlds.Downtime {
		downtime = transport.Daily()
	}
	return transport.New(transport.Config{
		BaseURL: r.worlds.ESIURL, UserAgent: fmt.Sprintf("Muster/%s (%s; +https://github.com/muster-sync/muster)", version, r.worlds.Contact),
		Tokens: r.vault, Registerer: r.metrics, Logger: r.logger, Tracer: r.tracer, Downtime: downtime, Tenure: tenure,
	})
}

// spending tells what was asked of ESI.
type spending struct{ client *transport.Client }

// Spent implements [schedule.Meter].
func (s spending) Spent() []schedule.Spent {
	var spent []schedule.Spent
	for _, u := range s.client.Usage() {
		spent = append(spent, schedule.Spent{Group: u.Group, Route: u.Operation, Requests: u.Requests, NotModified: u.NotModified, Tokens: u.Tokens})
	}
	return spent
}

// wake has characters found at once that this process has registered.
func (r *roles) wake(ctx context.Context, scheduler *schedule.Scheduler) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.registered:
			scheduler.Wake()
		}
	}
}

// characters tells the schedule who is to be synced.
type characters struct{ *stores }

// Syncable implements [schedule.Characters].
func (c characters) Syncable(ctx context.Context) ([]int64, error) {
	g, err := c.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.SyncableCharacters(ctx, c.pool, g)
}

// sweeps asks AnVIL about every consortium again and again.
func (r *roles) sweeps(ctx context.Context) error {
	if r.sweeper == nil {
		r.logger.InfoContext(ctx, "AnVIL cannot be asked: consortia are not swept", "reason", r.noSweeps)
		return idle(ctx)
	}
	rounds := &anvil.Rounds{
		Sweeper: r.sweeper, Every: r.worlds.SweepEvery, Logger: r.logger, Load: r.loadState,
		Consortia: func(ctx context.Context) ([]string, error) {
			g, err := r.control.Live(ctx, pgviews.AnVILName)
			if err != nil {
				return nil, err
			}
			return pgviews.Consortia(ctx, r.pool, g)
		},
	}
	return rounds.Run(ctx)
}

// loadState reads a consortium from the live generation.
func (s *stores) loadState(ctx context.Context, stream event.Stream) (*domainanvil.State, error) {
	g, err := s.control.Live(ctx, pgviews.AnVILName)
	if err != nil {
		return nil, err
	}
	return pgviews.LoadState(ctx, s.pool, g, s.registry, stream)
}

// latestState reads a consortium once the read model shows all that the log
// holds now.
func (s *stores) latestState(ctx context.Context, stream event.Stream) (*domainanvil.State, error) {
	ends, err := s.reader.Ends(ctx, event.TopicAnVIL)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "reading the ends of the log: %w", err)
	}
	at := eventlog.Partition{Topic: event.TopicAnVIL, ID: eventlog.PartitionOf(stream, int32(len(ends)))}
	if err := waitFor(ctx, s.control, pgviews.AnVILName, at, ends[at].End); err != nil {
		return nil, err
	}
	return s.loadState(ctx, stream)
}

// reactors run what follows from events: audits after sweeps and declarations, and
// notices.
func (r *roles) reactors() (func(context.Context) error, error) {
	auditor, err := anvil.NewAuditor(anvil.AuditorConfig{
		Latest: r.latestState, Appender: r.appender, Registry: r.registry, Logger: r.logger, Registerer: r.metrics,
	})
	if err != nil {
		return nil, err
	}
	reactors, err := eventlog.NewReactors(eventlog.ReactorsConfig{
		Brokers: r.addresses.KafkaBrokers, Security: r.security, Registry: r.registry, Logger: r.logger, Metrics: r.metrics,
	})
	if err != nil {
		return nil, err
	}
	if err := reactors.Handle("audit", event.TopicAnVIL, auditor.React); err != nil {
		return nil, err
	}
	watcher, err := r.newComplianceWatcher()
	if err != nil {
		return nil, err
	}
	for _, topic := range []string{event.TopicEVE, event.TopicAccess} {
		if err := reactors.Handle("compliance", topic, watcher.React, compliance.Watches); err != nil {
			return nil, err
		}
	}
	groups, err := r.newGroupWatcher()
	if err != nil {
		return nil, err
	}
	for _, topic := range []string{event.TopicEVE, event.TopicAccess} {
		if err := reactors.Handle("compliance-groups", topic, groups.React, compliance.ConcernsGroups); err != nil {
			return nil, err
		}
	}
	noticer, deliverer, err := r.newNotices()
	if err != nil {
		return nil, err
	}
	if err := reactors.Handle("notify", event.TopicEVE, noticer.React, notify.Watches); err != nil {
		return nil, err
	}
	for _, topic := range []string{event.TopicAnVIL, event.TopicAccess} {
		if err := reactors.Handle("notify", topic, noticer.React); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		defer func() { _ = reactors.Close() }()
		return runAll(ctx, reactors.Run, func(ctx context.Context) error { groups.Run(ctx); return nil }, func(ctx context.Context) error { deliverer.Run(ctx); return nil })
	}, nil
}
