//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/bytedance/sonic"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/internal/engine/freeport"
	"github.com/muster-sync/muster/internal/simulate/esi"
)

const (
	// defaultSyncCharacters and defaultSyncSpeed size the day that is measured.
	defaultSyncCharacters = 100
	defaultSyncSpeed      = 360
	// peerCalls are the data calls of Member Audit 1.9.4 for a character and day,
	// each of which costs it two tokens; peerStatusCalls come on top.
	peerCalls, peerStatusCalls = 220, 200
	syncBar                    = 3
)

// syncCost is what a day of sync cost.
type syncCost struct {
	Date, Machine, Go string
	Characters        int
	// Requests and Tokens are for a character and day; Requests includes those
	// without a price.
	Requests, NotModified, Tokens float64
	// CPU is what `muster ingest` used, Floor what a bare client uses for the same
	// answers, each for a character and day.
	CPU, Floor time.Duration
	Memory     float64
	// Steady is Tokens in the last half of the day, when all was read once.
	Steady float64
	// Load is how many processes wanted to run.
	Load string
}

func (c syncCost) Ratio() float64 { return float64(c.CPU) / float64(c.Floor) }

// Each is the processor time of one request in microseconds.
func (c syncCost) Each() float64 { return float64(c.CPU.Microseconds()) / c.Requests }

// BenchmarkSyncBesideABareClient keeps characters in step through a simulated day at
// Member Audit's intervals, the first reading included, and reports what it cost in
// requests, tokens and processor time, beside a bare client that gets the same
// answers and decodes them. MUSTER_BENCH_SYNC_CHARACTERS sizes it.
func BenchmarkSyncBesideABareClient(b *testing.B) {
	size := daySize{
		characters: int(benchSetting(b, "MUSTER_BENCH_SYNC_CHARACTERS", defaultSyncCharacters)), hours: 24,
		speed: float64(benchSetting(b, "MUSTER_BENCH_SYNC_SPEED", defaultSyncSpeed)),
	}
	for b.Loop() {
		d := startDay(b, size)
		steady := d.wait()
		cost := syncCost{
			Steady: steady, Load: loadAverage(),
			Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Characters: d.characters,
			CPU: d.ingest.spent(b) / time.Duration(d.characters), Memory: d.ingest.peakMemory(b),
		}
		// It writes down what it has asked when it stops.
		require.NoError(b, d.ingest.stop())
		answers := d.answers()
		floor := newBareClient(b, d.stack, d.characters)
		for _, a := range answers {
			cost.Requests += float64(a.whole + a.confirmed)
			cost.NotModified += float64(a.confirmed)
			cost.Tokens += float64(a.tokens)
			cost.Floor += floor.price(a)
		}
		characters := float64(d.characters)
		cost.Requests, cost.NotModified, cost.Tokens = cost.Requests/characters, cost.NotModified/characters, cost.Tokens/characters
		cost.Floor /= time.Duration(d.characters)
		d.requireNoBreach()
		d.stopDay()

		b.Logf("a character-day: %.0f requests, %.0f of them 304, %.0f tokens (Member Audit %d); CPU %s, of a bare client %s, ratio %.2f; %.0f us a request; %.0f MiB",
			cost.Requests, cost.NotModified, cost.Tokens, 2*peerCalls, cost.CPU, cost.Floor, cost.Ratio(), cost.Each(), cost.Memory)
		b.ReportMetric(cost.Ratio(), "sync-CPU-ratio")
		b.ReportMetric(cost.Requests, "requests/character-day")
		b.ReportMetric(cost.Tokens, "tokens/character-day")
		b.ReportMetric(cost.Steady, "steady-tokens/character-day")
		if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
			cost.write(b, folder)
		}
	}
}

// answered is what an operation of ESI answered: whole, or confirmed by 304.
type answered struct {
	operation                string
	whole, confirmed, tokens int64
}

// answers are what `muster ingest` wrote down of its requests.
func (d *day) answers() []answered {
	d.t.Helper()
	rows, err := d.stores.pool.Query(d.t.Context(), `SELECT route, sum(requests - not_modified)::bigint, sum(not_modified)::bigint, sum(tokens)::bigint FROM ingest.usage GROUP BY 1`)
	require.NoError(d.t, err)
	defer rows.Close()
	var all []answered
	for rows.Next() {
		var a answered
		require.NoError(d.t, rows.Scan(&a.operation, &a.whole, &a.confirmed, &a.tokens))
		all = append(all, a)
	}
	require.NoError(d.t, rows.Err())
	require.NotEmpty(d.t, all)
	return all
}

// bareClient asks with net/http and decodes with the fastest decoder, and does
// nothing else.
type bareClient struct {
	b       *testing.B
	url     string
	client  *http.Client
	tokens  map[int64]string
	whole   map[string]time.Duration
	confirm time.Duration
	// other is the price of what is fetched one by one.
	other time.Duration
}

// newBareClient measures a bare client against a world of its own, of the same size.
func newBareClient(b *testing.B, s *stack, characters int) *bareClient {
	b.Helper()
	ports, err := freeport.Find(b.Context(), 1)
	require.NoError(b, err)
	at := "127.0.0.1:" + strconv.Itoa(ports[0])
	organisation := filepath.Join(s.files, "bare.json")
	world := startService(b, s.binary, s.files, "bare", s.env, "simulate", "esi", "--address", at, "--characters", strconv.Itoa(characters),
		"--epoch", time.Now().Add(-60*24*time.Hour).UTC().Format(time.RFC3339), "--window", "1s", "--organisation", organisation)
	c := &bareClient{b: b, url: "http://" + at, client: &http.Client{}, tokens: map[int64]string{}, whole: map[string]time.Duration{}}
	s.eventually("the bare client's world answers", func(ctx context.Context) error { return s.get(ctx, c.url+"/_simulator/ledger", nil) })
	c.signOn(organisation)
	c.measure()
	require.NoError(b, world.stop())
	return c
}

func (c *bareClient) signOn(organisation string) {
	c.b.Helper()
	content, err := os.ReadFile(organisation)
	require.NoError(c.b, err)
	var org esi.Organisation
	require.NoError(c.b, json.Unmarshal(content, &org))
	for _, character := range org.Characters {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {character.RefreshToken}}
		request, err := http.NewRequestWithContext(c.b.Context(), http.MethodPost, c.url+"/v2/oauth/token", strings.NewReader(form.Encode()))
		require.NoError(c.b, err)
		request.SetBasicAuth("muster-simulated", "simulated-secret")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := c.client.Do(request)
		require.NoError(c.b, err)
		var answer struct {
			Token string `json:"access_token"`
		}
		require.NoError(c.b, json.NewDecoder(response.Body).Decode(&answer))
		require.NoError(c.b, response.Body.Close())
		require.NotEmpty(c.b, answer.Token)
		c.tokens[character.ID] = answer.Token
	}
}

// measure asks every route for every character, then once more with the ETags.
func (c *bareClient) measure() {
	c.b.Helper()
	type asked struct {
		character int64
		etag      string
	}
	confirmed, confirming := 0, time.Duration(0)
	for _, route := range catalogue.Routes() {
		if route.Method != http.MethodGet || len(route.Params()) != 1 || !route.OfCharacter() {
			continue
		}
		var all []asked
		began := processorTime(c.b)
		for id := range c.tokens {
			if etag, status := c.ask(route, id, ""); status == http.StatusOK {
				all = append(all, asked{id, etag})
			}
		}
		require.NotEmpty(c.b, all, route.Operation)
		c.whole[route.Operation] = (processorTime(c.b) - began) / time.Duration(len(all))
		began = processorTime(c.b)
		for _, a := range all {
			if _, status := c.ask(route, a.character, a.etag); status == http.StatusNotModified {
				confirmed++
			}
		}
		confirming += processorTime(c.b) - began
	}
	require.Positive(c.b, confirmed)
	c.confirm = confirming / time.Duration(confirmed)
	c.other = c.whole[catalogue.CharacterLocation().Operation]
}

// ask asks once and decodes what comes.
func (c *bareClient) ask(route catalogue.Route, character int64, etag string) (newTag string, status int) {
	request, err := http.NewRequestWithContext(c.b.Context(), http.MethodGet, c.url+route.Path(character), http.NoBody)
	require.NoError(c.b, err)
	request.Header.Set("Authorization", "Bearer "+c.tokens[character])
	request.Header.Set("X-Compatibility-Date", "2026-08-04")
	request.Header.Set("User-Agent", "bare/1.0 (bench@example.org)")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := c.client.Do(request)
	require.NoError(c.b, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(c.b, err)
	require.NoError(c.b, response.Body.Close())
	if response.StatusCode == http.StatusOK {
		var value any
		require.NoError(c.b, sonic.Unmarshal(body, &value))
	}
	return response.Header.Get("ETag"), response.StatusCode
}

// price is what a bare client would use for the answers of an operation.
func (c *bareClient) price(a answered) time.Duration {
	whole, known := c.whole[a.operation]
	if !known {
		whole = c.other
	}
	return time.Duration(a.whole)*whole + time.Duration(a.confirmed)*c.confirm
}

// processorTime is what this process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

const syncPage = `# Keeping characters in step, {{.Date}}

Made by ` + "`make bench`" + `: {{.Characters}} simulated characters through 24 hours of their world at Member Audit's intervals, all 34 sections, the first reading
included.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

| for a character and day | Muster | beside it | what that is | ratio | bar |
| --- | ---: | ---: | --- | ---: | --- |
| requests | {{printf "%.0f" .Requests}}, {{printf "%.0f" .NotModified}} of them answered 304 | {{.PeerCalls}} and {{.PeerStatus}} for the status | Member Audit 1.9.4, 19 sections, derived from its code | {{printf "%.2f" .RequestRatio}} | none |
| tokens | {{printf "%.0f" .Tokens}} | {{.PeerTokens}} | its data calls, 2 tokens each | {{printf "%.2f" .TokenRatio}} | none |
| tokens in the last half of the day, when all was read once | {{printf "%.0f" .Steady}} | {{.PeerTokens}} | the same | {{printf "%.2f" .SteadyRatio}} | 0.5 |
| the same | {{printf "%.0f" .Steady}} | {{.PeerAllTokens}} | its data calls and its status calls, 2 tokens each | {{printf "%.2f" .SteadyAllRatio}} | none |
| processor time of ` + "`muster ingest`" + ` | {{printf "%.0f" .Milliseconds}} ms | {{printf "%.0f" .FloorMilliseconds}} ms | a bare net/http client that gets the same answers and decodes them with sonic | {{printf "%.2f" .Ratio}} | {{.Bar}} |

One request costs ` + "`muster ingest`" + ` {{printf "%.0f" .Each}} µs with all that follows from it: the schedule, what is remembered in Postgres, and the log. It used at
most {{printf "%.0f" .Memory}} MiB.
`

func (c syncCost) PeerCalls() int             { return peerCalls }
func (c syncCost) PeerStatus() int            { return peerStatusCalls }
func (c syncCost) PeerTokens() int            { return 2 * peerCalls }
func (c syncCost) RequestRatio() float64      { return c.Requests / (peerCalls + peerStatusCalls) }
func (c syncCost) PeerAllTokens() int         { return 2 * (peerCalls + peerStatusCalls) }
func (c syncCost) TokenRatio() float64        { return c.Tokens / (2 * peerCalls) }
func (c syncCost) SteadyRatio() float64       { return c.Steady / (2 * peerCalls) }
func (c syncCost) SteadyAllRatio() float64    { return c.Steady / (2 * (peerCalls + peerStatusCalls)) }
func (c syncCost) Milliseconds() float64      { return float64(c.CPU.Microseconds()) / 1000 }
func (c syncCost) FloorMilliseconds() float64 { return float64(c.Floor.Microseconds()) / 1000 }
func (c syncCost) Bar() string                { return fmt.Sprintf("at most %d", syncBar) }

func (c syncCost) write(b *testing.B, folder string) {
	b.Helper()
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("sync").Parse(syncPage)).Execute(&page, c))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, c.Date+"-sync.md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
