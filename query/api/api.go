// Package api is Muster's face to programs: an HTTP API under /v1, described by
// an OpenAPI document that is made from the code that serves it.
//
// It only reads, and hands commands on. Every resource passes through
// [access.Authorize]: a route cannot be registered without saying which action
// it is.
package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// Times and sizes that bound requests.
const (
	// DefaultTimeout bounds the work for one request.
	DefaultTimeout = 60 * time.Second

	headerTimeout = 10 * time.Second
	bodyTimeout   = 2 * time.Minute
	idleTimeout   = 2 * time.Minute

	maxHeaderBytes      = 64 << 10
	maxImportBytes      = 64 << 20
	maxDeclarationBytes = 64 << 20
)

// Config is what a server works with. Fields without a default must be set.
type Config struct {
	// Version is Muster's, for the OpenAPI document.
	Version       string
	Authenticator access.Authenticator
	// SignIns signs people in; Tokens issues and revokes tokens.
	SignIns SignIns
	Tokens  Tokens
	// Origin is where browsers reach Muster, such as https://muster.example.org: what is
	// asked from there is Muster's own. Default http://localhost.
	Origin string
	// Rate is how many requests a second somebody may send, Burst how many at once;
	// default [DefaultRate] and [DefaultBurst], below zero as many as he likes. The
	// administrator's token is not bounded.
	Rate  float64
	Burst int

	Characters Characters
	Wallets    Wallets
	// Compliance reports on users and their characters.
	Compliance Compliance
	// Finder finds characters, registered or not.
	Finder Finder
	// Searcher searches in sections of many characters.
	Searcher Searcher
	// Figures know what the launcher shows.
	Figures LauncherFigures
	// Exports writes whole collections.
	Exports Exports
	// SkillSets are what there is of skill sets, SkillSetDefiner decides on them.
	SkillSets       SkillSets
	SkillSetDefiner SkillSetDefiner
	Importer        Importer
	Keeper          Keeper
	// Users are users and roles, RoleKeeper decides on them.
	Users      Users
	RoleKeeper RoleKeeper
	// SectionPermissions lets roles be limited to sections.
	SectionPermissions bool
	Consortia          Consortia
	Past               Past
	// Events is the index of all events, Records reads their values from the log.
	Events    EventIndex
	Records   Records
	Explainer Explainer
	// Facts and FindingTrends are figures over time, Prices what mined ore is worth.
	Facts         Facts
	FindingTrends FindingTrends
	// RecordFigures are those of contracts, killmails, mails, notifications, presence and
	// the sync.
	RecordFigures RecordFigures
	Prices        Prices
	// OrganisationTrends tell how the organisation stood over time.
	OrganisationTrends OrganisationTrends
	// AnVILTrends tell how sweeps and audits went over time.
	AnVILTrends AnVILTrends
	Declarer    Declarer
	// ConsortiumImporter declares what AnVIL has already.
	ConsortiumImporter ConsortiumImporter
	Sweeper            Sweeper
	Operations         Operations
	// Rebuilder rebuilds read models.
	Rebuilder Rebuilder
	// Retention removes what is older than the policies keep.
	Retention Retention
	// Looks notes who looks at data of others, AccessLog tells it.
	Looks     Looks
	AccessLog AccessLog
	// Sharer decides on what owners show of their characters, Links are the links that
	// they gave away.
	Sharer Sharer
	Links  Links

	// Checks say whether what Muster needs is there; /readyz runs them all.
	Checks []Check
	// Gatherer has the metrics that /metrics shows; nil if they are shown elsewhere, and not
	// to everybody who can ask the API.
	Gatherer prometheus.Gatherer
	// Registerer takes the metrics of the API itself.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Tracer makes a span of each request below /v1; nil for none.
	Tracer oteltrace.Tracer
	// TrustTraceParent has a request belong to the trace that its headers name. It is for
	// a proxy in front that sets them: else anybody could have his requests recorded.
	TrustTraceParent bool
	// Timeout bounds the work for one request; default [DefaultTimeout].
	Timeout time.Duration
	// ExportTimeout bounds that for one export; default [DefaultExportTimeout].
	ExportTimeout time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// validate sets defaults and fails with [event.CodeInvalid] for what is missing.
func (c *Config) validate() error {
	for name, missing := range map[string]bool{
		"Authenticator": c.Authenticator == nil, "Characters": c.Characters == nil, "Wallets": c.Wallets == nil, "Exports": c.Exports == nil, "Importer": c.Importer == nil,
		"Keeper": c.Keeper == nil, "Compliance": c.Compliance == nil, "Finder": c.Finder == nil, "Searcher": c.Searcher == nil, "Figures": c.Figures == nil,
		"SignIns": c.SignIns == nil, "Tokens": c.Tokens == nil,
		"Users": c.Users == nil, "RoleKeeper": c.RoleKeeper == nil,
		"SkillSets": c.SkillSets == nil, "SkillSetDefiner": c.SkillSetDefiner == nil,
		"Consortia": c.Consortia == nil, "Past": c.Past == nil, "Events": c.Events == nil, "Records": c.Records == nil, "Explainer": c.Explainer == nil, "Declarer": c.Declarer == nil, "ConsortiumImporter": c.ConsortiumImporter == nil, "Sweeper": c.Sweeper == nil, "Operations": c.Operations == nil,
		"Looks": c.Looks == nil, "AccessLog": c.AccessLog == nil, "Sharer": c.Sharer == nil, "Links": c.Links == nil,
		"Facts": c.Facts == nil, "FindingTrends": c.FindingTrends == nil, "RecordFigures": c.RecordFigures == nil, "Prices": c.Prices == nil,
		"OrganisationTrends": c.OrganisationTrends == nil, "AnVILTrends": c.AnVILTrends == nil,
		"Retention": c.Retention == nil, "Rebuilder": c.Rebuilder == nil,
		"Registerer": c.Registerer == nil,
	} {
		if missing {
			return event.Errorf(event.CodeInvalid, "the API needs Config.%s", name)
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.ExportTimeout <= 0 {
		c.ExportTimeout = DefaultExportTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Origin == "" {
		c.Origin = "http://localhost"
	}
	if c.Rate == 0 {
		c.Rate = DefaultRate
	}
	if c.Burst == 0 {
		c.Burst = DefaultBurst
	}
	if c.Version == "" {
		c.Version = "development"
	}
	return nil
}

// Server answers the API's requests. It is safe for concurrent use.
type Server struct {
	config   Config
	router   *chi.Mux
	api      huma.API
	failures *failures
	// begun bounds the sign-ins that are begun from an address.
	begun *limiters
	// pace bounds how fast somebody asks; nil does not.
	pace        *limiters
	site        site
	crossOrigin *http.CrossOriginProtection
	metrics     *metrics
	sanitiser   sanitiser
	// kinds are those of the fields of each section; see [Server.kindsOf].
	kinds map[eve.Section]map[string]postgres.FieldKind
	// derives has the sections to whose items something is added.
	derives map[eve.Section]bool
	// exporting holds a place for each export that is being written.
	exporting chan struct{}
}

// New makes a server. It fails with [event.CodeInvalid] if something is missing
// in the configuration.
func New(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Server{config: config, router: chi.NewRouter(), failures: newFailures(config.Now), sanitiser: newSanitiser(), kinds: allKinds(), derives: derivedSections(), exporting: make(chan struct{}, exportsAtOnce)}
	if err := s.prepareSignIn(); err != nil {
		return nil, err
	}
	var err error
	if s.metrics, err = newMetrics(config.Registerer); err != nil {
		return nil, err
	}
	s.router.Use(s.observe, s.recover, s.limit, s.authenticate)
	s.router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, event.CodeNotFound, "there is no such resource: see /docs for all of them"))
	})
	s.router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusMethodNotAllowed, event.CodeInvalid, r.Method+" is not possible here: see /docs for what is"))
	})
	s.api = humachi.New(s.router, s.describe())
	s.api.UseMiddleware(s.authorize, s.ofMoments, s.negotiate)

	s.registerCharacters()
	s.registerCompliance()
	s.registerComplianceGroups()
	s.registerFinder()
	s.registerSearch()
	s.registerLauncher()
	s.registerPast()
	s.registerLedger()
	s.registerCharacterExplanations()
	s.registerComplianceExplanation()
	s.registerKeeping()
	s.registerSignIn()
	s.registerTokens()
	s.registerLooks()
	s.registerSharing()
	s.registerSkillSets()
	s.registerUniverse()
	s.registerAnalytics()
	s.registerRecordAnalytics()
	s.registerFactAnalytics()
	s.registerOrganisationAnalytics()
	s.registerAnVILAnalytics()
	s.registerExports()
	s.registerOrganisation()
	s.registerUsers()
	s.registerAnvil()
	s.registerAcceptances()
	s.registerExplain()
	s.registerEvents()
	s.registerOperations()
	s.registerRetention()
	s.registerProbes()
	s.registerDocs()
	if config.Gatherer != nil {
		s.router.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(config.Gatherer, promhttp.HandlerOpts{Timeout: headerTimeout}))
	}
	return s, nil
}

// Handler answers all requests of the API.
func (s *Server) Handler() http.Handler { return s.router }

// OpenAPI is the description of the API. It must not be changed.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.api.OpenAPI() }

// describe is the API's description, to which registering adds the operations.
func (s *Server) describe() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Muster", Version: s.config.Version,
				Description: "What was true then, what changed, and why two records disagree: EVE Online characters and AnVIL consortia. " +
					"Ids are numbers, money is a decimal string of ISK, times are RFC 3339 in UTC. Lists answer `items` and, unless they are at their end, `next_cursor`. " +
					"Errors are problems as of RFC 9457.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearer:        {Type: "http", Scheme: "bearer", Description: "A token of Muster."},
					sessionScheme: {Type: "apiKey", In: "cookie", Name: s.site.sessionCookie(), Description: "Somebody who has signed in at " + signInPath + "."},
				},
			},
			Tags: []*huma.Tag{
				{Name: tagCharacters, Description: "Characters of EVE Online as they are now."},
				{Name: tagAccess, Description: "Who you are, tokens, what owners show of their characters, and who looked at what."},
				{Name: tagSearch, Description: "What all characters have that one may open."},
				{Name: tagReports, Description: "Who has done what the organisation asks for."},
				{Name: tagSkillSets, Description: "What characters need to be able to do, and who can."},
				{Name: tagAnalytics, Description: "Figures over time."},
				{Name: tagExports, Description: "Whole collections as files."},
				{Name: tagOrganisation, Description: "Bringing an organisation in."},
				{Name: tagUsers, Description: "Who uses Muster, and what they may do."},
				{Name: tagAnvil, Description: "Consortia: what is declared, what was observed, and where they differ."},
				{Name: tagEvents, Description: "The log itself: all events, where they lie, and what they say."},
				{Name: tagOperations, Description: "How Muster itself fares."},
			},
		},
		OpenAPIPath:   "/openapi",
		Formats:       formats(),
		DefaultFormat: mediaJSON,
		// A misspelt filter must not silently filter nothing.
		RejectUnknownQueryParameters: true,
	}
}

// Tags of operations.
const (
	tagCharacters   = "characters"
	tagAccess       = "access"
	tagSearch       = "search"
	tagReports      = "reports"
	tagSkillSets    = "skill sets"
	tagAnalytics    = "analytics"
	tagExports      = "exports"
	tagOrganisation = "organisation"
	tagUsers        = "users"
	tagAnvil        = "anvil"
	tagEvents       = "events"
	tagOperations   = "operations"

	bearer        = "token"
	sessionScheme = "session"
)

// guard is the key of an operation's metadata that holds its [access.Action].
const guard = "action"

// register adds an operation that only those may use who may do the action. What
// the handler returns as an error becomes a problem.
func register[I, O any](s *Server, action access.Action, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[guard] = action
	op.Security = []map[string][]string{{bearer: {}}, {sessionScheme: {}}}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable)
	if op.Method == "" {
		op.Method = http.MethodGet
	}
	op.Extensions = map[string]any{"x-muster-action": string(action)}
	huma.Register(s.api, op, func(ctx context.Context, input *I) (*O, error) {
		err := s.bound(ctx, action)
		var output *O
		if err == nil {
			output, err = handler(ctx, input)
			err = s.note(ctx, output, err)
		}
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		return output, nil
	})
	if op.SkipValidateBody {
		// The operation reads its file itself; what it holds is an object all the same.
		for _, m := range op.RequestBody.Content {
			m.Schema = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: op.Description}
		}
	}
	// What an operation answers it answers with each status of success.
	if decided := op.Responses["201"]; decided != nil {
		for _, status := range []string{"200", "202"} {
			if r := op.Responses[status]; r != nil {
				r.Content = decided.Content
			}
		}
	}
}

// HTTPServer is a server of the API for the address, with time limits. Its
// requests' contexts descend from ctx. The caller starts and stops it.
func (s *Server) HTTPServer(ctx context.Context, address string) *http.Server {
	return &http.Server{
		Addr:              address,
		Handler:           s.router,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		// The body has to be read, the work done and the answer sent.
		WriteTimeout:   2*bodyTimeout + s.config.Timeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
	}
}

// guarded tells whether a path needs a token.
func guarded(path string) bool { return path == "/v1" || strings.HasPrefix(path, "/v1/") }
