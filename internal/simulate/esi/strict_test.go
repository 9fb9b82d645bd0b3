package esi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestEachBreachIsNoted(t *testing.T) {
	const id = FirstCharacter
	tests := map[string]struct {
		path   string
		token  int64
		change func(*http.Request)
		status int
		rule   string
	}{
		"unknown route":        {"/characters/90000001/shoes", id, nil, 404, RuleUnknownRoute},
		"trailing slash":       {"/characters/90000001/", id, nil, 404, RuleUnknownRoute},
		"needless escape":      {"/characters/9000000%31", id, nil, 404, RuleUnknownRoute},
		"version prefix":       {"/latest/characters/90000001", id, nil, 404, RuleUnknownRoute},
		"method":               {"/status", 0, func(r *http.Request) { r.Method = http.MethodPut }, 405, RuleMethod},
		"no date":              {path(id, ""), 0, func(r *http.Request) { r.Header.Del("X-Compatibility-Date") }, 404, RuleCompatibilityDate},
		"no date, old route":   {"/status", 0, func(r *http.Request) { r.Header.Del("X-Compatibility-Date") }, 200, RuleCompatibilityDate},
		"future date":          {"/status", 0, header("X-Compatibility-Date", "2026-11-22"), 400, RuleCompatibilityDate},
		"no date at all":       {"/status", 0, header("X-Compatibility-Date", "today"), 400, RuleCompatibilityDate},
		"date before route":    {path(id, ""), 0, header("X-Compatibility-Date", "2026-06-08"), 404, RuleCompatibilityDate},
		"agent":                {"/status", 0, header("User-Agent", "Go-http-client/1.1"), 200, RuleUserAgent},
		"accept":               {"/status", 0, header("Accept", "text/html"), 200, RuleAccept},
		"unknown parameter":    {path(id, "/wallet/journal?pages=1"), id, nil, 400, RuleQuery},
		"page without paging":  {path(id, "/wallet?page=1"), id, nil, 400, RuleQuery},
		"page zero":            {path(id, "/wallet/journal?page=0"), id, nil, 400, RuleQuery},
		"page beyond the last": {path(id, "/wallet/journal?page=7"), id, nil, 404, RuleQuery},
		"no token":             {path(id, "/wallet"), 0, nil, 401, RuleToken},
		"foreign token":        {path(id, "/wallet"), 0, header("Authorization", "Bearer x.y.z"), 401, RuleToken},
		"refresh token":        {path(id, "/wallet"), 0, header("Authorization", "Bearer MTIz"), 401, RuleToken},
		"other character":      {path(id, "/wallet"), id + 1, nil, 403, RuleSubject},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Config{})
			if test.change == nil {
				test.change = func(*http.Request) {}
			}
			require.Equal(t, test.status, c.get(test.path, test.token, test.change).StatusCode)
			require.Equal(t, []string{test.rule}, c.rules())
		})
	}
}

func TestAMissingScopeIsABreach(t *testing.T) {
	c := newClient(t, Config{PartialScopes: 1})
	require.Equal(t, 200, c.get(path(FirstCharacter, "/location"), FirstCharacter).StatusCode)
	require.Empty(t, c.rules())
	require.Equal(t, 403, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
	require.Equal(t, []string{RuleScope}, c.rules())
}

func TestAnExpiredTokenIsABreach(t *testing.T) {
	c := newClient(t, Config{})
	token := c.token(FirstCharacter)
	c.clock.advance(20*time.Minute - time.Second)
	require.Equal(t, 200, c.get(path(FirstCharacter, "/wallet"), FirstCharacter).StatusCode)
	c.clock.advance(time.Second)
	resp := c.get(path(FirstCharacter, "/wallet"), 0, header("Authorization", "Bearer "+token))
	require.Equal(t, 403, resp.StatusCode)
	require.Contains(t, c.rules(), RuleToken)
}

func TestAskingAgainBeforeExpiryIsABreach(t *testing.T) {
	c := newClient(t, Config{})
	wallet := path(FirstCharacter, "/wallet")
	first := c.get(wallet, FirstCharacter)
	tag := first.Header.Get("ETag")
	c.clock.advance(2*time.Minute - time.Second)
	c.get(wallet, FirstCharacter, etag(tag))
	require.Equal(t, []string{RuleEarlyRequest}, c.rules())
	c.clock.advance(time.Second)
	c.get(wallet, FirstCharacter, etag(tag))
	require.Len(t, c.rules(), 1, "at the announced moment it is right")
	c.sim.Forgive()
	c.get(wallet, FirstCharacter)
	require.Len(t, c.rules(), 1, "a client that was killed cannot know")
}

func TestAskingWithoutTheKnownETagIsABreach(t *testing.T) {
	c := newClient(t, Config{})
	c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	c.clock.advance(2 * time.Minute)
	c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	require.Equal(t, []string{RuleUnconditional}, c.rules())
}

func TestTheLaterPagesOfAWalkNeedNoETagButTheirTime(t *testing.T) {
	c := newClient(t, Config{Seed: 2, Characters: 100})
	id := c.someone(sectionMails, 120)
	first := c.get(path(id, "/mail"), id)
	var mails []struct {
		ID int64 `json:"mail_id"`
	}
	require.NoError(t, json.NewDecoder(first.Body).Decode(&mails))
	later := path(id, "/mail?last_mail_id="+strconv.FormatInt(mails[49].ID, 10))
	require.Equal(t, 200, c.get(later, id).StatusCode)
	c.clock.advance(30 * time.Second)
	require.Equal(t, 200, c.get(later, id).StatusCode)
	require.Empty(t, c.rules())
	c.get(later, id)
	require.Equal(t, []string{RuleEarlyRequest}, c.rules())
	c.get(path(id, "/mail"), id)
	require.Equal(t, []string{RuleEarlyRequest, RuleUnconditional}, c.rules())
}

func TestAnEmptyBucketRefusesAndIsABreach(t *testing.T) {
	c := newClient(t, Config{TokenLifetime: time.Hour})
	wallet := path(FirstCharacter, "/wallet")
	for n := 1; n <= 75; n++ {
		resp := c.get(wallet, FirstCharacter)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "char-wallet", resp.Header.Get("X-Ratelimit-Group"))
		require.Equal(t, "150/15m", resp.Header.Get("X-Ratelimit-Limit"))
		require.Equal(t, "2", resp.Header.Get("X-Ratelimit-Used"))
		require.Empty(t, resp.Header.Get("X-Esi-Error-Limit-Remain"))
	}
	refused := c.get(wallet, FirstCharacter)
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, "900", refused.Header.Get("Retry-After"))
	require.Contains(t, c.rules(), RuleBucket)
	require.NotContains(t, c.rules(), RuleRetryAfter)
	c.clock.advance(time.Minute)
	c.get(path(FirstCharacter, "/wallet/journal"), FirstCharacter)
	require.Contains(t, c.rules(), RuleRetryAfter, "the journal shares the bucket")
	require.Equal(t, 200, c.get(path(FirstCharacter+1, "/wallet"), FirstCharacter+1).StatusCode, "another character has his own")
	c.clock.advance(14 * time.Minute)
	require.Equal(t, 200, c.get(wallet, FirstCharacter).StatusCode)
}

func TestTooManyErrorsStopEveryRoute(t *testing.T) {
	c := newClient(t, Config{})
	for n := 1; n <= 100; n++ {
		resp := c.get("/characters/1", 0)
		require.Equal(t, 404, resp.StatusCode)
		require.Empty(t, resp.Header.Get("X-Ratelimit-Group"))
	}
	require.Equal(t, []string{RuleErrorLimit}, c.rules())
	blocked := c.get(path(FirstCharacter, "/wallet"), FirstCharacter)
	require.Equal(t, 420, blocked.StatusCode)
	require.Equal(t, "0", blocked.Header.Get("X-Esi-Error-Limit-Remain"))
	require.Equal(t, "60", blocked.Header.Get("X-Esi-Error-Limit-Reset"))
	c.clock.advance(2 * time.Second)
	c.get("/status", 0)
	require.Equal(t, []string{RuleErrorLimit, RuleIgnored420}, c.rules())
	c.clock.advance(time.Minute)
	require.Equal(t, 200, c.get("/status", 0).StatusCode)
}

func TestErrorsOfBucketedRoutesDoNotTouchTheErrorLimit(t *testing.T) {
	c := newClient(t, Config{})
	for range 20 {
		c.get(path(FirstCharacter, "/wallet"), 0)
	}
	require.Equal(t, "100", c.get(path(FirstCharacter, ""), 0).Header.Get("X-Esi-Error-Limit-Remain"))
	require.Equal(t, int64(100), c.sim.Ledger().Tokens["char-wallet"])
}

func TestIDsAreResolvedInBatches(t *testing.T) {
	c := newClient(t, Config{})
	post := func(target, body string) *http.Response {
		return c.do(request(http.MethodPost, target, strings.NewReader(body)))
	}
	names := post("/universe/names", "[90000001,98000001,99000001]")
	require.Equal(t, 200, names.StatusCode)
	var rows []struct {
		ID       int64
		Category string
	}
	require.NoError(t, json.NewDecoder(names.Body).Decode(&rows))
	require.Equal(t, "alliance", rows[2].Category)
	require.Equal(t, 200, post("/characters/affiliation", "[90000001,90000002]").StatusCode)
	require.Empty(t, c.rules())
	require.Equal(t, 404, post("/universe/names", "[90000001,9999999999]").StatusCode)
	require.Empty(t, c.rules(), "one bad id fails the batch, but nobody could know")
	for _, bad := range []string{"[]", "[1,1]", "{}", "[90000001"} {
		require.Equal(t, 400, post("/universe/names", bad).StatusCode, bad)
	}
	require.Equal(t, []string{RuleBody, RuleBody, RuleBody, RuleBody}, c.rules())
}

func TestFaultsAreServedAndCanBeTold(t *testing.T) {
	const id = FirstCharacter
	sections := map[string]string{"": "character", "/location": "character-location", "/wallet": "character-wallet", "/wallet/journal": "character-wallet-journal"}
	for _, kind := range []fault.Kind{fault.Truncated, fault.HTML, fault.WrongTypes} {
		for rest, name := range sections {
			c := newClient(t, Config{Faults: []fault.Fault{{Kind: kind, Route: name, Count: 1}}})
			spoilt := body(t, c.get(path(id, rest), id))
			good := body(t, c.get(path(id, rest), id))
			require.Empty(t, c.rules(), "a spoilt answer may be asked for again at once")
			require.False(t, sameShape(spoilt, good), "%s %s: %s", kind, name, spoilt)
		}
	}
}

// sameShape tells whether a lenient reader could take one for the other.
func sameShape(spoilt, good string) bool {
	var a, b any
	if json.Unmarshal([]byte(spoilt), &a) != nil {
		return false
	}
	if err := json.Unmarshal([]byte(good), &b); err != nil {
		return true
	}
	switch want := b.(type) {
	case float64:
		_, same := a.(float64)
		return same
	case []any:
		_, same := a.([]any)
		return same
	case map[string]any:
		got, same := a.(map[string]any)
		if !same {
			return false
		}
		for name, value := range want {
			if _, number := value.(float64); number && strings.HasSuffix(name, "_id") {
				if _, number := got[name].(float64); !number {
					return false
				}
			}
		}
		return true
	}
	return true
}

func TestStatusFaults(t *testing.T) {
	const id = FirstCharacter
	tests := map[string]struct {
		fault  fault.Fault
		status int
		retry  string
	}{
		"server error":        {fault.Fault{Kind: fault.ServerError, Status: 503}, 503, ""},
		"rate limited":        {fault.Fault{Kind: fault.RateLimited}, 429, "5"},
		"rate limited, bare":  {fault.Fault{Kind: fault.RateLimitedBare}, 429, ""},
		"error limited":       {fault.Fault{Kind: fault.ErrorLimited}, 420, ""},
		"maintenance":         {fault.Fault{Kind: fault.Maintenance}, 404, ""},
		"downtime":            {fault.Fault{Kind: fault.Downtime}, 503, "5"},
		"default server code": {fault.Fault{Kind: fault.ServerError}, 502, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.fault.Count = 1
			c := newClient(t, Config{Faults: []fault.Fault{test.fault}})
			// The sign-on comes first, and faults are for all routes.
			test.fault.Route = "character-wallet"
			c.sim.Faults().Clear()
			c.token(id)
			require.NoError(t, c.sim.Faults().Add(test.fault))
			resp := c.get(path(id, "/wallet"), id)
			require.Equal(t, test.status, resp.StatusCode)
			require.Equal(t, test.retry, resp.Header.Get("Retry-After"))
			require.Empty(t, c.rules(), "it is not the client's doing")
		})
	}
}
