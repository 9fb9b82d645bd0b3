package esi

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func TestAllPeriodsGoWithTheWorld(t *testing.T) {
	c := newClient(t, Config{Speed: 50, Epoch: start.Add(-100 * day)})
	const id = FirstCharacter
	wallet := c.get(path(id, "/wallet"), id)
	require.Equal(t, "150/18s", wallet.Header.Get("X-Ratelimit-Limit"))
	require.Equal(t, start.Add(3*time.Second).Format(http.TimeFormat), wallet.Header.Get("Expires"), "2 minutes of the world")
	require.Equal(t, "2", c.get(path(id, ""), 0).Header.Get("X-Esi-Error-Limit-Reset"), "a minute of the world")
	require.Equal(t, 24*time.Second, c.sim.config.TokenLifetime)
	require.Equal(t, time.Second, c.sim.ledger.itemsPeriod)
	c.clock.advance(24 * time.Second)
	require.Equal(t, 403, c.get(path(id, "/wallet"), id, etag("x")).StatusCode)
}

func TestServersAreDownAtElevenOfTheWorld(t *testing.T) {
	c := newClient(t, Config{Speed: 60, Epoch: start.Add(-time.Hour - 30*day - time.Minute), Downtime: 15 * time.Minute})
	require.Equal(t, 200, c.get("/status", 0).StatusCode)
	c.clock.advance(2 * time.Second)
	down := c.get("/status", 0, etag("x"))
	require.Equal(t, 503, down.StatusCode)
	require.NotEmpty(t, down.Header.Get("Retry-After"))
	c.clock.advance(14 * time.Second)
	require.Equal(t, 200, c.get("/status", 0, etag("x")).StatusCode)
	require.Empty(t, c.rules())
}

func TestARouteIsDownUntilItRecovers(t *testing.T) {
	c := newClient(t, Config{})
	require.NoError(t, c.sim.SetHealth("character-wallet", HealthDown))
	require.Equal(t, 503, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
	require.Equal(t, 200, c.get(path(FirstCharacter, "/location"), FirstCharacter).StatusCode)
	require.Contains(t, body(t, c.get("/meta/status", 0)), `{"method":"GET","path":"/characters/{character_id}/wallet","status":"Down"}`)
	require.NoError(t, c.sim.SetHealth("*", HealthRecovering))
	require.Equal(t, 200, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
	require.Contains(t, body(t, c.get("/meta/status", 0, etag("x"))), "Recovering")
	require.Empty(t, c.rules())
	require.ErrorContains(t, c.sim.SetHealth("shoes", HealthDown), "shoes")
	require.ErrorContains(t, c.sim.SetHealth("*", "Poorly"), "Poorly")
}

func TestRequestsInFlightWhenABucketIsClosedAreNoBreach(t *testing.T) {
	c := newClient(t, Config{})
	c.token(FirstCharacter)
	require.NoError(t, c.sim.Faults().Add(fault.Fault{Kind: fault.RateLimited, Count: 1}))
	for range 3 {
		require.Equal(t, 429, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
		c.clock.advance(300 * time.Millisecond)
	}
	require.Empty(t, c.rules())
	c.clock.advance(time.Second)
	c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	require.Equal(t, []string{RuleRetryAfter}, c.rules())
	c.clock.advance(5 * time.Second)
	require.Equal(t, 200, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
}

func TestContractItemsAreThrottledPerCharacter(t *testing.T) {
	c := newClient(t, Config{})
	items := func(id int64, n int) int {
		return c.get(path(id, "/contracts/"+strconv.Itoa(n)+"/items"), id).StatusCode
	}
	for n := 1; n <= 20; n++ {
		require.Equal(t, 404, items(FirstCharacter, n))
	}
	require.Equal(t, 404, items(FirstCharacter+1, 1))
	refused := c.get(path(FirstCharacter, "/contracts/21/items"), FirstCharacter)
	require.Equal(t, 520, refused.StatusCode)
	require.Equal(t, "0", refused.Header.Get("X-Ratelimit-Used"))
	require.Contains(t, body(t, refused), `ConStopSpamming, details: {\"remainingTime\": 100000000}`)
	require.Equal(t, []string{RuleSpamming}, c.rules())
	c.clock.advance(9500 * time.Millisecond)
	require.Equal(t, 520, items(FirstCharacter, 21))
	require.Len(t, c.rules(), 1, "jitter on the way is not the client's doing")
	c.clock.advance(500 * time.Millisecond)
	require.Equal(t, 404, items(FirstCharacter, 21))
}

func TestCorporationHistoryHasAHiddenLimit(t *testing.T) {
	c := newClient(t, Config{Characters: 400})
	history := func(n int) *http.Response { return c.get(path(FirstCharacter+int64(n), "/corporationhistory"), 0) }
	for n := range 300 {
		require.Equal(t, 200, history(n).StatusCode)
	}
	refused := history(300)
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, "60", refused.Header.Get("Retry-After"))
	require.Empty(t, c.rules())
	c.clock.advance(2 * time.Second)
	history(301)
	require.Equal(t, []string{RuleRetryAfter}, c.rules())
	c.clock.advance(time.Minute)
	require.Equal(t, 200, history(302).StatusCode)
}

func TestAllFaultsAreValidAndCanBeWritten(t *testing.T) {
	faults, err := ParseFaults("all", "server-error:character-assets,rate=0.05,status=503", "maintenance,for=30s")
	require.NoError(t, err)
	kinds := map[fault.Kind]bool{}
	for _, f := range faults {
		require.NoError(t, f.Validate())
		kinds[f.Kind] = true
	}
	require.Len(t, kinds, len(fault.Kinds()))
	n := len(AllFaults())
	require.Equal(t, fault.Fault{Kind: fault.ServerError, Route: "character-assets", Rate: 0.05, Status: 503}, faults[n])
	require.Equal(t, fault.Fault{Kind: fault.Maintenance, For: fault.Duration(30 * time.Second)}, faults[n+1])
	for _, bad := range []string{"flood", "hang,often=1", "hang,rate=much", "slow,delay=soon"} {
		_, err := ParseFaults(bad)
		require.Error(t, err, bad)
	}
}

func TestForbiddenAndThrottledOnCommand(t *testing.T) {
	c := newClient(t, Config{Faults: []fault.Fault{{Kind: fault.Forbidden, Route: "character-wallet"}, {Kind: fault.Throttled, Route: "character-mails"}}})
	storm := c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	require.Equal(t, 403, storm.StatusCode)
	require.Equal(t, "5", storm.Header.Get("X-Ratelimit-Used"))
	require.Equal(t, 520, c.get(path(FirstCharacter, "/mail"), FirstCharacter).StatusCode)
	require.Empty(t, c.rules())
}
