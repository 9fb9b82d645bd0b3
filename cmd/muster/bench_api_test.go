//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/projections/runner"
)

const (
	defaultAPICharacters = 10_000
	// defaultAPIRate is how many requests a second are sent, whatever becomes of them.
	defaultAPIRate = 100
	// apiConnections bounds the connections of the client that are kept.
	apiConnections = 100
	// The two sides take turns, each for a block, so that what else the machine does
	// hits both alike.
	apiBlockSeconds = 2
	apiBlocks       = 30
	apiRequests     = 600
	apiBar          = 1.2
)

// apiRig is the API of an organisation, and the engines beside it.
type apiRig struct {
	*benchRig

	characters int
	// rate is how many requests a second are sent.
	rate    int
	heard   *listener
	direct  *pgxpool.Pool
	engines bareEngines
	url     string
	api     http.Handler
	roles   []apiRole
	client  *http.Client
}

func newAPIRig(b *testing.B, characters int) *apiRig {
	b.Helper()
	require.Zero(b, characters%patternCharacters, "MUSTER_BENCH_API_CHARACTERS has to be a multiple of %d", patternCharacters)
	r := &apiRig{benchRig: newBenchRig(b, 1), characters: characters, rate: int(benchSetting(b, "MUSTER_BENCH_API_RATE", defaultAPIRate)), heard: &listener{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: apiConnections}}}
	b.Cleanup(r.client.CloseIdleConnections)
	r.env.settings.Listen = "127.0.0.1:8080"
	r.direct = r.stores.pool
	r.engines = bareEngines{r.direct, r.stores.clickhouse}
	config := r.direct.Config()
	config.ConnConfig.Tracer = r.heard
	heard, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(heard.Close)
	r.stores.pool, r.stores.clickhouse = heard, heardConn{r.stores.clickhouse, r.heard}
	r.stores.control, err = runner.NewControl(b.Context(), heard)
	require.NoError(b, err)
	const forever = "none"
	roles, err := r.env.newRoles(b.Context(), r.stores, worlds{Retention: retentionSettings{Days: forever, StateDays: forever, StateAllDays: forever, AccessDays: forever}})
	require.NoError(b, err)
	r.populate(roles.appender)
	r.roles = r.appoint(b, roles)
	looks, err := roles.newViewlog()
	require.NoError(b, err)
	server, err := roles.newAPI(looks, newRebuilds(roles), roles.metrics)
	require.NoError(b, err)
	r.api = server.Handler()
	listening := httptest.NewServer(r.api)
	b.Cleanup(listening.Close)
	r.url = listening.URL
	return r
}

// request is one that is sent to the API, with what it has the engines do.
type request struct {
	route, path, token string
	statements         []statement
}

// apiRoute is something that people ask for, and how often among others.
type apiRoute struct {
	name   string
	weight int
	path   func(as apiRole, character int64, random *rand.Rand) string
	// reports is for those who see reports.
	reports bool
}

// apiRoutes are what people look at.
func (r *apiRig) apiRoutes() []apiRoute {
	section := func(name, path string, weight int) apiRoute {
		return apiRoute{name: name, weight: weight, path: func(_ apiRole, character int64, _ *rand.Rand) string {
			return fmt.Sprintf("/v1/characters/%d%s", character, path)
		}}
	}
	// number is that of a character in its name.
	number := func(character int64) string { return fmt.Sprintf("%06d", character-firstAPICharacter) }
	f := func(name string, weight int, path func(character int64, random *rand.Rand) string) apiRoute {
		return apiRoute{name: name, weight: weight, path: func(_ apiRole, character int64, random *rand.Rand) string { return path(character, random) }}
	}
	report := func(name string, weight int, path func(character int64) string) apiRoute {
		return apiRoute{name: name, weight: weight, reports: true, path: func(_ apiRole, character int64, _ *rand.Rand) string { return path(character) }}
	}
	corporation := func(character int64) int64 { return apiCorporation(int(character - firstAPICharacter)) }
	return []apiRoute{
		f("launcher", 5, func(int64, *rand.Rand) string { return "/v1/launcher" }),
		f("finder, all", 5, func(int64, *rand.Rand) string { return "/v1/finder?limit=50" }),
		f("finder, of a corporation", 5, func(c int64, _ *rand.Rand) string {
			return fmt.Sprintf("/v1/finder?corporation_id=%d&limit=50", corporation(c))
		}),
		f("finder, by the beginning of a name", 5, func(c int64, _ *rand.Rand) string { return "/v1/finder?limit=50&prefix=Pilot%20" + number(c)[:5] }),
		f("finder, by a part of a name", 3, func(c int64, _ *rand.Rand) string { return "/v1/finder?limit=50&search=" + number(c)[1:] }),
		f("characters, all", 3, func(int64, *rand.Rand) string { return "/v1/characters?limit=50" }),
		f("characters, by the beginning of a name", 3, func(c int64, _ *rand.Rand) string { return "/v1/characters?name_prefix=Pilot%20" + number(c)[:4] }),
		section("one character", "", 12),
		section("assets", "/assets?limit=100", 10),
		section("skills", "/skills", 8),
		section("wallet", "/wallet", 6),
		section("wallet journal", "/wallet-journal?limit=50", 6),
		section("mails", "/mails?limit=50", 6),
		section("contracts", "/contracts?limit=50", 5),
		section("contacts", "/contacts", 4),
		section("location", "/location", 5),
		f("search in assets", 5, func(_ int64, random *rand.Rand) string {
			return fmt.Sprintf("/v1/search/assets?limit=50&type_id=%d", 587+random.IntN(900))
		}),
		report("compliance of users", 2, func(int64) string { return "/v1/reports/compliance/users?limit=50" }),
		report("compliance of corporations", 1, func(int64) string { return "/v1/reports/compliance/corporations" }),
		report("skill sets of a corporation", 1, func(c int64) string { return fmt.Sprintf("/v1/reports/skill-sets?corporation_id=%d", corporation(c)) }),
	}
}

// opened is a character that a role may open.
func (r *apiRig) opened(as apiRole, random *rand.Rand) int64 {
	i := random.IntN(r.characters)
	const perCorporation = patternCharacters / apiCorporations
	switch as.name {
	case "alliance auditor":
		// The corporations of his alliance are each seventh.
		i -= i / perCorporation % apiAlliances * perCorporation
	case "corporation recruiter":
		i %= perCorporation
	case "shared viewer":
		i = i/apiPerUser*apiPerUser + 1
	case "member":
		i = 5*apiPerUser + i%apiPerUser
	}
	return firstAPICharacter + int64(i)
}

// requests are a mix of what people look at, with the statements that each comes to.
func (r *apiRig) requests() []request {
	r.b.Helper()
	random := rand.New(rand.NewPCG(benchSeed, 0))
	routes := r.apiRoutes()
	total := 0
	for _, route := range routes {
		total += route.weight
	}
	var requests []request
	for _, route := range routes {
		for n := range max(apiRequests*route.weight/total, len(r.roles)) {
			as := r.roles[n%len(r.roles)]
			if route.reports && as.name == "member" {
				continue
			}
			q := request{route: route.name, path: route.path(as, r.opened(as, random), random), token: as.token}
			// What is looked up once in a while is looked up now.
			require.NoError(r.b, r.get(r.b.Context(), q), as.name)
			q.statements = r.heard.during(func() { require.NoError(r.b, r.get(r.b.Context(), q)) })
			require.NotEmpty(r.b, q.statements, q.path)
			requests = append(requests, q)
		}
	}
	random.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return requests
}

func (r *apiRig) get(ctx context.Context, q request) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+q.path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+q.token)
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", q.path, response.StatusCode, body.String())
	}
	return err
}

// straight sends the statements of a request straight to the engines.
func (r *apiRig) straight(ctx context.Context, q request) error {
	return r.engines.send(ctx, q.statements)
}

// load sends requests at a steady rate, and returns how long each took in milliseconds,
// counted from the moment at which it was to be sent.
func (r *apiRig) load(requests []request, send func(context.Context, request) error) []float64 {
	r.b.Helper()
	took := make([]float64, len(requests))
	group, ctx := errgroup.WithContext(r.b.Context())
	start := time.Now()
	for i, q := range requests {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(r.rate))
		if err := pause(ctx, time.Until(due)); err != nil {
			break
		}
		group.Go(func() error {
			err := send(ctx, q)
			took[i] = float64(time.Since(due).Microseconds()) / 1000
			return err
		})
	}
	require.NoError(r.b, group.Wait())
	return took
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apiTimes are what requests took on both sides, in milliseconds.
type apiTimes struct {
	Route string
	// Statements is how many a request came to, on average.
	Statements  float64
	api, direct []float64
}

func quantile(values []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(part*float64(len(sorted)-1))]
}

func (t apiTimes) Requests() int         { return len(t.api) }
func (t apiTimes) Median() float64       { return quantile(t.api, 0.5) }
func (t apiTimes) Worst() float64        { return quantile(t.api, 0.99) }
func (t apiTimes) DirectMedian() float64 { return quantile(t.direct, 0.5) }
func (t apiTimes) DirectWorst() float64  { return quantile(t.direct, 0.99) }
func (t apiTimes) MedianRatio() float64  { return t.Median() / t.DirectMedian() }
func (t apiTimes) WorstRatio() float64   { return t.Worst() / t.DirectWorst() }

// apiSpeed is what requests took.
type apiSpeed struct {
	Date, Machine, Go, Load string
	Characters, Assets      int
	Rate, Seconds, Blocks   int
	Bar                     float64
	All                     apiTimes
	Routes                  []apiTimes
}

func (s apiSpeed) Verdict(ratio float64) string {
	if ratio <= s.Bar {
		return "reached"
	}
	return "missed"
}

// compare sends requests to both sides in turns, block by block; the one that begins
// changes.
func (r *apiRig) compare(requests []request) apiSpeed {
	r.b.Helper()
	s := apiSpeed{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Characters: r.characters, Assets: r.characters * apiAssets,
		Rate: r.rate, Seconds: apiBlockSeconds, Blocks: int(benchSetting(r.b, "MUSTER_BENCH_API_BLOCKS", apiBlocks)), Bar: apiBar, All: apiTimes{Route: "all"},
	}
	routes := map[string]*apiTimes{}
	size := r.rate * apiBlockSeconds
	for block := range s.Blocks {
		sent := make([]request, size)
		for i := range sent {
			sent[i] = requests[(block*size+i)%len(requests)]
		}
		sides := []bool{block%2 == 0, block%2 != 0}
		for _, api := range sides {
			send := r.straight
			if api {
				send = r.get
			}
			for i, took := range r.load(sent, send) {
				t := routes[sent[i].route]
				if t == nil {
					t = &apiTimes{Route: sent[i].route}
					routes[sent[i].route] = t
				}
				for _, into := range []*apiTimes{t, &s.All} {
					if api {
						into.api = append(into.api, took)
						into.Statements += float64(len(sent[i].statements))
					} else {
						into.direct = append(into.direct, took)
					}
				}
			}
		}
	}
	for _, t := range routes {
		t.Statements /= float64(len(t.api))
		s.Routes = append(s.Routes, *t)
	}
	s.All.Statements /= float64(len(s.All.api))
	slices.SortFunc(s.Routes, func(a, b apiTimes) int { return cmp.Compare(a.Route, b.Route) })
	s.Load = loadAverage()
	return s
}

// BenchmarkAPIBesideTheSameSQL asks the API for a mix of what people look at, of 10,000
// characters with 2,000,000 assets, a hundred times a second, as users with different
// roles, and sends the same statements straight to the engines at the same rate, in
// turns. MUSTER_BENCH_API_CHARACTERS, _BLOCKS and _RATE size it,
// MUSTER_BENCH_API_STATEMENTS tells what each statement costs.
func BenchmarkAPIBesideTheSameSQL(b *testing.B) {
	r := newAPIRig(b, int(benchSetting(b, "MUSTER_BENCH_API_CHARACTERS", defaultAPICharacters)))
	requests := r.requests()
	if os.Getenv("MUSTER_BENCH_API_STATEMENTS") != "" {
		r.logCosts(requests)
	}
	for b.Loop() {
		s := r.compare(requests)
		for _, t := range append(s.Routes, s.All) {
			b.Logf("%-40s %5d requests %5.1f statements  API %7.2f %8.2f  direct %7.2f %8.2f  ratio %5.2f %5.2f",
				t.Route, t.Requests(), t.Statements, t.Median(), t.Worst(), t.DirectMedian(), t.DirectWorst(), t.MedianRatio(), t.WorstRatio())
		}
		b.Logf("load %s, bar %.1f", s.Load, s.Bar)
		b.ReportMetric(s.All.MedianRatio(), "API-median-ratio")
		b.ReportMetric(s.All.WorstRatio(), "API-p99-ratio")
		if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
			s.write(b, folder)
		}
	}
}

const apiPage = `# The API beside the same SQL, {{.Date}}

` + "`MUSTER_BENCH_REPORT=$PWD/docs/benchmarks MUSTER_TEST_BINARY=$PWD/bin/muster go test -run '^$' -bench APIBesideTheSameSQL -benchtime 1x -timeout 30m -v ./cmd/muster`" + ` makes this page.

{{.Characters}} characters with {{.Assets}} assets: a pattern of characters is folded by the projectors, and what they left is repeated in the tables. {{.Rate}} requests a second are sent, whatever
becomes of the requests before, by users of the organisation with different roles (superuser, who sees everything, alliance auditor, recruiter of a corporation, who sees what is shared, member) with
tokens of their own. Beside it all statements that the API sent to Postgres and ClickHouse for each of these requests, those by which it finds out who asks and what he may see and those that
note who looked included, go straight to the engines with the same arguments, in the same order and the same round trips, over pools of the same size, and all rows are read. The sides take turns every
{{.Seconds}} seconds, {{.Blocks}} times, with the same requests. Client and API are one process; times count from the moment at which a request was to be sent.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

| all requests | API | the same SQL | ratio | bar |
| --- | ---: | ---: | ---: | --- |
| median | {{printf "%.2f" .All.Median}} ms | {{printf "%.2f" .All.DirectMedian}} ms | {{printf "%.2f" .All.MedianRatio}} | {{.Bar}}, {{.Verdict .All.MedianRatio}} |
| 99 of 100 | {{printf "%.2f" .All.Worst}} ms | {{printf "%.2f" .All.DirectWorst}} ms | {{printf "%.2f" .All.WorstRatio}} | {{.Bar}}, {{.Verdict .All.WorstRatio}} |

| route | requests | statements each | API median | SQL median | ratio | API 99 of 100 | SQL 99 of 100 | ratio |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{{range .Routes}}| {{.Route}} | {{.Requests}} | {{printf "%.1f" .Statements}} | {{printf "%.2f" .Median}} ms | {{printf "%.2f" .DirectMedian}} ms | {{printf "%.2f" .MedianRatio}} | {{printf "%.2f" .Worst}} ms | {{printf "%.2f" .DirectWorst}} ms | {{printf "%.2f" .WorstRatio}} |
{{end}}`

func (s apiSpeed) write(b *testing.B, folder string) {
	b.Helper()
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("api").Parse(apiPage)).Execute(&page, s))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, s.Date+"-api.md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
