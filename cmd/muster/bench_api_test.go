//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

const (
	defaultAPICharacters = 10_000
	// apiAssets is how many assets a character has: two millions in all.
	apiAssets = 200
	// apiRate is how many requests a second are sent, whatever becomes of them.
	apiRate    = 100
	apiSeconds = 20
	apiRounds  = 3
	apiBar     = 1.2
	// firstAPICharacter is the least id of a character.
	firstAPICharacter = 90_000_001
)

// statement is one that the API sent to Postgres.
type statement struct {
	sql  string
	args []any
}

// listener keeps the statements that a pool sends while it listens.
type listener struct {
	mu         sync.Mutex
	listening  bool
	statements []statement
}

func (l *listener) hear(sql string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listening {
		l.statements = append(l.statements, statement{sql, args})
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	l.hear(data.SQL, data.Args)
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements [pgx.BatchTracer].
func (l *listener) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (l *listener) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	l.hear(data.SQL, data.Args)
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (l *listener) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// during are the statements that are sent while f runs.
func (l *listener) during(f func()) []statement {
	l.mu.Lock()
	l.listening, l.statements = true, nil
	l.mu.Unlock()
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listening = false
	return l.statements
}

// apiRig is the API of an organisation, and Postgres beside it.
type apiRig struct {
	*benchRig

	characters int
	heard      *listener
	direct     *pgxpool.Pool
	url, token string
	client     *http.Client
}

func newAPIRig(b *testing.B, characters int) *apiRig {
	b.Helper()
	r := &apiRig{benchRig: newBenchRig(b, 1), characters: characters, heard: &listener{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: apiRate}}}
	b.Cleanup(r.client.CloseIdleConnections)
	r.direct = r.stores.pool
	config := r.direct.Config()
	config.ConnConfig.Tracer = r.heard
	heard, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(heard.Close)

	roles, err := r.env.newRoles(b.Context(), r.stores, worlds{})
	require.NoError(b, err)
	r.populate(roles.appender)
	projection := r.bound("characters", 0)
	projection.Name = "characters"
	b.Logf("%d characters with %d assets each folded within %s", characters, apiAssets, r.catchUp(projection).Round(time.Second))
	_, err = r.direct.Exec(b.Context(), "ANALYZE")
	require.NoError(b, err)

	r.stores.pool = heard
	looks, err := roles.newViewlog()
	require.NoError(b, err)
	server, err := roles.newAPI(looks)
	require.NoError(b, err)
	r.token, err = r.env.settings.adminToken()
	require.NoError(b, err)
	listening := httptest.NewServer(server.Handler())
	b.Cleanup(listening.Close)
	r.url = listening.URL
	return r
}

// appender is what takes the organisation's events.
type apiAppender interface {
	Append(ctx context.Context, events ...event.Event) error
}

func (r *apiRig) populate(to apiAppender) {
	r.b.Helper()
	const atOnce = 32
	group, ctx := errgroup.WithContext(r.b.Context())
	group.SetLimit(atOnce)
	for i := range r.characters {
		group.Go(func() error { return to.Append(ctx, apiCharacter(i)...) })
	}
	require.NoError(r.b, group.Wait())
	for _, topic := range []string{event.TopicEVE, event.TopicAccess} {
		ends, err := r.stores.reader.Ends(r.b.Context(), topic)
		require.NoError(r.b, err)
		for at, span := range ends {
			if at.Topic == event.TopicEVE {
				r.ends[at] = span.End
			}
		}
	}
}

// apiCharacter is what is known of a character; three share an owner.
func apiCharacter(i int) []event.Event {
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	id, corporation := int64(firstAPICharacter+i), int64(98_000_001+i/60)
	user := fmt.Sprintf("user-%d", i/3)
	var events []event.Event
	add := func(stream event.Stream, p event.Payload) {
		e, err := event.New(uuid.NewSHA1(event.Namespace, fmt.Appendf(nil, "%s %d %d", stream, i, len(events))), stream, "bench", at, p)
		if err != nil {
			panic(err)
		}
		events = append(events, e)
	}
	if i%3 == 0 {
		add(event.User(user), access.UserRegistered{UserID: user, Name: user, Active: true, State: "Member", Permissions: []string{"basic_access"}})
		add(event.User(user), access.MainSet{UserID: user, CharacterID: &id})
	}
	add(event.Character(id), eve.CharacterRegistered{
		CharacterID: id, Name: fmt.Sprintf("Pilot %05d of the Fleet", i), UserID: user, CorporationID: corporation, AllianceID: 99_000_001 + corporation%7,
		Scopes: []string{"esi-assets.read_assets.v1", "esi-wallet.read_character_wallet.v1", "esi-skills.read_skills.v1"},
	})
	section := func(name eve.Section, value string) {
		add(event.Character(id), eve.SectionObserved{
			CharacterID: id, Section: name, Encoding: eve.EncodingFull, ContentHash: fmt.Sprintf("%s-%d", name, i), FetchedAt: at, Value: json.RawMessage(value),
		})
	}
	var assets, skills []string
	for n := range apiAssets {
		assets = append(assets, fmt.Sprintf(`{"is_singleton":false,"item_id":%d,"location_flag":"Hangar","location_id":%d,"location_type":"station","quantity":%d,"type_id":%d}`,
			1_000_000_000_000+int64(i)*1000+int64(n), 60_000_004+n%40, n+1, 587+(i*7+n*13)%900))
	}
	for n := range 40 {
		skills = append(skills, fmt.Sprintf(`{"active_skill_level":%d,"skill_id":%d,"skillpoints_in_skill":%d,"trained_skill_level":%d}`, n%6, 3300+n, 1000*n, n%6))
	}
	section(eve.SectionAssets, "["+strings.Join(assets, ",")+"]")
	section(eve.SectionSkills, `{"skills":[`+strings.Join(skills, ",")+`],"total_sp":5000000,"unallocated_sp":0}`)
	section(eve.SectionWallet, fmt.Sprintf("%d.50", 1_000_000+i))
	section(eve.SectionLocation, `{"solar_system_id":30000142,"station_id":60003760}`)
	return events
}

// request is one that is sent to the API, with what it has Postgres do.
type request struct {
	path       string
	statements []statement
}

// requests are a mix of what people look at.
func (r *apiRig) requests() []request {
	r.b.Helper()
	random := rand.New(rand.NewPCG(benchSeed, 0))
	var requests []request
	for range 40 {
		i := random.IntN(r.characters)
		id := firstAPICharacter + i
		for _, path := range []string{
			"/v1/characters?limit=50",
			fmt.Sprintf("/v1/characters?corporation_id=%d&limit=50", 98_000_001+i/60),
			fmt.Sprintf("/v1/characters?name_prefix=Pilot%%20%03d", i/100),
			fmt.Sprintf("/v1/characters/%d", id),
			fmt.Sprintf("/v1/characters/%d/assets?limit=100", id),
			fmt.Sprintf("/v1/characters/%d/skills", id),
			fmt.Sprintf("/v1/characters/%d/wallet", id),
			fmt.Sprintf("/v1/characters/%d/location", id),
		} {
			q := request{path: path}
			q.statements = r.heard.during(func() { require.NoError(r.b, r.get(r.b.Context(), path)) })
			require.NotEmpty(r.b, q.statements, path)
			requests = append(requests, q)
		}
	}
	random.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return requests
}

func (r *apiRig) get(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
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
		err = fmt.Errorf("%s answered %d: %s", path, response.StatusCode, body.String())
	}
	return err
}

// straight sends the statements of a request straight to Postgres and reads all rows.
func (r *apiRig) straight(ctx context.Context, q request) error {
	for _, s := range q.statements {
		rows, err := r.direct.Query(ctx, s.sql, s.args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			_ = rows.RawValues()
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("%s: %w", s.sql, err)
		}
	}
	return nil
}

// load sends requests at a steady rate for a while, and returns how long each took,
// counted from the moment at which it was to be sent.
func (r *apiRig) load(requests []request, send func(context.Context, request) error) []time.Duration {
	r.b.Helper()
	took := make([]time.Duration, apiRate*apiSeconds)
	group, ctx := errgroup.WithContext(r.b.Context())
	start := time.Now()
	for i := range took {
		due := start.Add(time.Duration(i) * time.Second / apiRate)
		if err := pause(ctx, time.Until(due)); err != nil {
			break
		}
		group.Go(func() error {
			err := send(ctx, requests[i%len(requests)])
			took[i] = time.Since(due)
			return err
		})
	}
	require.NoError(r.b, group.Wait())
	slices.Sort(took)
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

// apiSpeed is what requests took.
type apiSpeed struct {
	Date, Machine, Go, Load string
	Characters, Assets      int
	Rate, Seconds, Rounds   int
	// Median and Worst, the 99th of a hundred, are of the API and of the same SQL, in
	// milliseconds: medians of the rounds.
	Median, Worst, DirectMedian, DirectWorst float64
	Bar                                      float64
}

func (s apiSpeed) MedianRatio() float64 { return s.Median / s.DirectMedian }
func (s apiSpeed) WorstRatio() float64  { return s.Worst / s.DirectWorst }
func (s apiSpeed) Verdict(ratio float64) string {
	if ratio <= s.Bar {
		return "reached"
	}
	return "missed"
}

// BenchmarkAPIBesideTheSameSQL asks the API for lists, characters and sections of
// 10,000 characters with 2,000,000 assets, a hundred times a second, and sends the same
// statements straight to Postgres at the same rate, in turns.
// MUSTER_BENCH_API_CHARACTERS sizes it.
func BenchmarkAPIBesideTheSameSQL(b *testing.B) {
	r := newAPIRig(b, int(benchSetting(b, "MUSTER_BENCH_API_CHARACTERS", defaultAPICharacters)))
	requests := r.requests()
	for b.Loop() {
		s := apiSpeed{
			Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Characters: r.characters, Assets: r.characters * apiAssets,
			Rate: apiRate, Seconds: apiSeconds, Rounds: apiRounds, Bar: apiBar,
		}
		var medians, worsts, directMedians, directWorsts []float64
		add := func(took []time.Duration, median, worst *[]float64) {
			at := func(part float64) float64 { return float64(took[int(part*float64(len(took)-1))].Microseconds()) / 1000 }
			*median, *worst = append(*median, at(0.5)), append(*worst, at(0.99))
		}
		for range apiRounds {
			add(r.load(requests, r.straight), &directMedians, &directWorsts)
			add(r.load(requests, func(ctx context.Context, q request) error { return r.get(ctx, q.path) }), &medians, &worsts)
		}
		s.Median, s.Worst, s.DirectMedian, s.DirectWorst = median(medians), median(worsts), median(directMedians), median(directWorsts)
		s.Load = loadAverage()
		b.Logf("API: median %.2f ms, p99 %.2f ms; the same SQL: %.2f ms, %.2f ms; ratios %.2f and %.2f; bar %.1f",
			s.Median, s.Worst, s.DirectMedian, s.DirectWorst, s.MedianRatio(), s.WorstRatio(), s.Bar)
		b.ReportMetric(s.MedianRatio(), "API-median-ratio")
		b.ReportMetric(s.WorstRatio(), "API-p99-ratio")
		if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
			s.write(b, folder)
		}
	}
}

const apiPage = `# The API beside the same SQL, {{.Date}}

Made by ` + "`make bench`" + `: {{.Characters}} characters with {{.Assets}} assets in Postgres; {{.Rate}} requests a second for {{.Seconds}} seconds, {{.Rounds}} times in turns, whatever
becomes of the requests before. The requests are lists of characters (all, of a corporation, by the beginning of a name), headers, and the sections assets, skills, wallet and
location. Beside it the statements that the API sent for each of them go straight to Postgres at the same rate over a pool of the same size, and all rows are read. Client and API
are one process; times count from the moment at which a request was to be sent.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

| | API | the same SQL | ratio | bar |
| --- | ---: | ---: | ---: | --- |
| median | {{printf "%.2f" .Median}} ms | {{printf "%.2f" .DirectMedian}} ms | {{printf "%.2f" .MedianRatio}} | {{.Bar}}, {{.Verdict .MedianRatio}} |
| 99 of 100 | {{printf "%.2f" .Worst}} ms | {{printf "%.2f" .DirectWorst}} ms | {{printf "%.2f" .WorstRatio}} | {{.Bar}}, {{.Verdict .WorstRatio}} |
`

func (s apiSpeed) write(b *testing.B, folder string) {
	b.Helper()
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("api").Parse(apiPage)).Execute(&page, s))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, s.Date+"-api.md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
