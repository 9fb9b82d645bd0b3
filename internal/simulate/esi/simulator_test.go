package esi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wallClock is a wall clock that a test moves.
type wallClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *wallClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *wallClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start is a moment at the beginning of a window of a quarter of an hour.
var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// client is a well-behaved client of one simulator, which a test can make
// misbehave.
type client struct {
	t       *testing.T
	sim     *Simulator
	clock   *wallClock
	handler http.Handler
	tokens  map[int64]string
	// spread is how much time passes before each request of a walk.
	spread time.Duration
}

func newClient(t *testing.T, config Config) *client {
	clock := &wallClock{now: start}
	if config.Clock == nil {
		config.Clock = clock.time
	}
	sim, err := New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	return &client{t: t, sim: sim, clock: clock, handler: sim.Handler(), tokens: map[int64]string{}}
}

func (c *client) do(r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	return rec.Result()
}

func request(method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.Header.Set("User-Agent", "Muster/1.0 (ops@example.org)")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Compatibility-Date", "2026-08-04")
	return r
}

// get asks for a path with the token of the character, if it is not zero.
func (c *client) get(path string, character int64, change ...func(*http.Request)) *http.Response {
	r := request(http.MethodGet, path, nil)
	if character != 0 {
		r.Header.Set("Authorization", "Bearer "+c.token(character))
	}
	for _, f := range change {
		f(r)
	}
	return c.do(r)
}

func (c *client) token(character int64) string {
	if c.tokens[character] == "" {
		access, _, status := c.refresh(c.sim.tokens.refreshToken(character, 0, 0))
		require.Equal(c.t, http.StatusOK, status)
		c.tokens[character] = access
	}
	return c.tokens[character]
}

func (c *client) refresh(token string) (access, next string, status int) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	r := httptest.NewRequest(http.MethodPost, "/v2/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("muster-simulated", "simulated-secret")
	resp := c.do(r)
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer.Access, answer.Refresh, resp.StatusCode
}

func (c *client) rules() []string {
	rules := []string{}
	for _, v := range c.sim.Violations() {
		rules = append(rules, v.Rule)
	}
	return rules
}

func body(t *testing.T, r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func etag(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("If-None-Match", value) }
}

func path(character int64, rest string) string {
	return "/characters/" + strconv.FormatInt(character, 10) + rest
}

// busy is a character of the world with at least n entries in its journal.
func (c *client) busy(n int64) int64 {
	for i := range int64(c.sim.config.Characters) {
		lo, hi := c.sim.world.journalOf(FirstCharacter + i).window(c.sim.clock.World())
		if hi-lo+1 >= n {
			return FirstCharacter + i
		}
	}
	c.t.Fatalf("no character with %d journal entries", n)
	return 0
}

func TestWellBehavedClientBreaksNoRule(t *testing.T) {
	c := newClient(t, Config{Seed: 1})
	id := FirstCharacter
	for _, rest := range []string{"", "/location", "/wallet", "/wallet/journal"} {
		first := c.get(path(id, rest), id)
		require.Equal(t, 200, first.StatusCode, rest)
		require.NotEmpty(t, first.Header.Get("ETag"))
		require.NotEmpty(t, first.Header.Get("Last-Modified"))
		require.True(t, json.Valid([]byte(body(t, first))), rest)
		again := c.get(path(id, rest), id, etag(first.Header.Get("ETag")))
		require.Equal(t, 304, again.StatusCode, rest)
		require.Empty(t, body(t, again))
	}
	require.Equal(t, []string{RuleEarlyRequest, RuleEarlyRequest, RuleEarlyRequest, RuleEarlyRequest}, c.rules())
}

func TestFaultKindsAreCheckedWhenConfigured(t *testing.T) {
	_, err := New(Config{Faults: []fault.Fault{{Kind: "earthquake"}}})
	require.ErrorContains(t, err, "earthquake")
}
