package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/sso"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pilot = int64(90000001)

const journalPath = "/characters/90000001/wallet/journal"

// logins gives tokens without a sign-on.
type logins struct {
	scopes   []string
	err      error
	rejected atomic.Int32
}

func (l *logins) Access(context.Context, int64) (sso.Access, error) {
	if l.err != nil {
		return sso.Access{}, l.err
	}
	return sso.Access{Token: fmt.Sprintf("secret-token-%d", l.rejected.Load()), Scopes: l.scopes}, nil
}

func (l *logins) Reject(context.Context, int64, string) error {
	l.rejected.Add(1)
	return nil
}

type rig struct {
	world  *ingesttest.World
	logins *logins
	client *transport.Client
}

func newRig(t *testing.T, change ...func(*transport.Config)) *rig {
	t.Helper()
	r := &rig{world: ingesttest.New(t), logins: &logins{scopes: []string{"esi-location.read_location.v1", "esi-wallet.read_character_wallet.v1"}}}
	r.world.TrustAnyToken()
	config := transport.Config{
		BaseURL: r.world.URL, UserAgent: ingesttest.UserAgent, Tokens: r.logins, Registerer: prometheus.NewRegistry(),
		Backoff: time.Millisecond, Timeout: 5 * time.Second, Now: r.world.Clock.Now,
	}
	for _, f := range change {
		f(&config)
	}
	var err error
	r.client, err = transport.New(config)
	require.NoError(t, err)
	t.Cleanup(r.client.Close)
	return r
}

func (r *rig) get(route catalogue.Route, prior ...transport.Page) (transport.Answer, error) {
	return r.client.Get(context.Background(), transport.Request{Route: route, Character: pilot, Prior: prior, Complete: len(prior)})
}

func (r *rig) failure(t *testing.T, route catalogue.Route, prior ...transport.Page) *transport.Failure {
	t.Helper()
	_, err := r.get(route, prior...)
	var failure *transport.Failure
	require.ErrorAs(t, err, &failure)
	require.NotContains(t, failure.Error(), "secret-token")
	return failure
}

// pageHandler answers each page from a table of handlers.
func pageHandler(pages map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages[r.URL.Query().Get("page")](w, r) })
}

// answer is a page with the headers given as name, value, ...
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		if body == "" {
			w.WriteHeader(status)
			return
		}
		ingesttest.JSON(w, status, body)
	}
}

func TestPagesAreReadAsOneSet(t *testing.T) {
	r := newRig(t)
	resource := r.world.Serve(journalPath, time.Hour, `[1]`, `[2]`, `[3]`, `[4]`, `[5]`, `[6]`)

	got, err := r.get(catalogue.CharacterWalletJournal())

	require.NoError(t, err)
	require.Len(t, got.Pages, 6)
	require.Equal(t, `[6]`, string(got.Pages[5].Body))
	require.Equal(t, r.world.Clock.Now().Add(time.Hour), got.ExpiresAt)

	t.Run("304 on all means nothing changed", func(t *testing.T) {
		r.world.Clock.Advance(time.Hour)
		again, err := r.get(catalogue.CharacterWalletJournal(), got.Pages...)
		require.NoError(t, err)
		require.True(t, again.NotModified)
		require.Empty(t, again.Pages)
	})
	t.Run("304 on some is joined with what is kept", func(t *testing.T) {
		r.world.Clock.Advance(time.Hour)
		resource.Set(`[0,1]`, `[2]`, `[3]`, `[4]`, `[5]`, `[6]`)
		again, err := r.get(catalogue.CharacterWalletJournal(), got.Pages...)
		require.NoError(t, err)
		require.False(t, again.NotModified)
		require.Equal(t, `[0,1]`, string(again.Pages[0].Body))
		require.Equal(t, `[2]`, string(again.Pages[1].Body))
		require.Equal(t, again.Pages[0].LastModified, again.Pages[1].LastModified)
	})
	t.Run("fewer pages are a change", func(t *testing.T) {
		r.world.Clock.Advance(time.Hour)
		resource.Set(`[0,1]`)
		again, err := r.get(catalogue.CharacterWalletJournal(), got.Pages...)
		require.NoError(t, err)
		require.Len(t, again.Pages, 1)
	})
}

func TestSetsThatMayBeTornAreDiscarded(t *testing.T) {
	const then, now = "Tue, 01 Sep 2026 17:00:00 GMT", "Tue, 01 Sep 2026 18:00:00 GMT"
	kept := []transport.Page{{ETag: `"1"`, LastModified: then, Body: []byte(`[1]`)}, {ETag: `"2"`, LastModified: then, Body: []byte(`[2]`)}}
	for name, pages := range map[string]map[string]http.HandlerFunc{
		"made at different moments": {
			"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", then, "Cache-Control", "max-age=60"),
			"2": answer(200, `[2]`, "X-Pages", "2", "Last-Modified", now, "Cache-Control", "max-age=120"),
		},
		"one without a moment": {
			"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", then),
			"2": answer(200, `[2]`, "X-Pages", "2"),
		},
		"page gone": {
			"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", then),
			"2": answer(404, `{"error":"Requested page does not exist!"}`),
		},
		"another number of pages": {
			"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", then),
			"2": answer(200, `[2]`, "X-Pages", "3", "Last-Modified", then),
		},
		"304 of another moment": {
			"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", now),
			"2": answer(304, "", "Last-Modified", then),
		},
		"304 that proves nothing": {
			"1": answer(200, `[1]`, "X-Pages", "2"),
			"2": answer(304, ""),
		},
		"change after a 304 that proves nothing": {
			"1": answer(304, ""),
			"2": answer(200, `[2]`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.world.Handle(journalPath, pageHandler(pages))
			failure := r.failure(t, catalogue.CharacterWalletJournal(), kept...)
			require.Equal(t, eve.FailureTorn, failure.Class)
			require.True(t, failure.RetryAt.After(r.world.Clock.Now()))
		})
	}
}

func TestATornSetIsReadAgainOnlyAfterAllItsPagesExpired(t *testing.T) {
	r := newRig(t)
	r.world.Handle(journalPath, pageHandler(map[string]http.HandlerFunc{
		"1": answer(200, `[1]`, "X-Pages", "2", "Last-Modified", "a", "Cache-Control", "max-age=60"),
		"2": answer(200, `[2]`, "X-Pages", "2", "Last-Modified", "b", "Cache-Control", "max-age=120"),
	}))
	require.Equal(t, r.world.Clock.Now().Add(2*time.Minute), r.failure(t, catalogue.CharacterWalletJournal()).RetryAt)
}

func TestPagesWithoutLastModifiedAreOneSetIfNoneHasIt(t *testing.T) {
	r := newRig(t)
	r.world.Handle(journalPath, pageHandler(map[string]http.HandlerFunc{"1": answer(200, `[1]`, "X-Pages", "2"), "2": answer(200, `[2]`)}))
	got, err := r.get(catalogue.CharacterWalletJournal())
	require.NoError(t, err)
	require.Len(t, got.Pages, 2)
}

func TestASetThatTheBucketCannotPayForIsNotBegun(t *testing.T) {
	manyPages := func(remaining int) http.Handler {
		return answer(200, `[1]`, "X-Pages", "40", "X-Ratelimit-Group", "char-wallet", "X-Ratelimit-Limit", "150/15m", "X-Ratelimit-Remaining", strconv.Itoa(remaining))
	}
	t.Run("now", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, manyPages(80))
		failure := r.failure(t, catalogue.CharacterWalletJournal())
		require.True(t, failure.Deferred)
		require.True(t, failure.RetryAt.After(r.world.Clock.Now()))
		require.Len(t, r.world.Requests(journalPath), 1)
	})
	t.Run("ever", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, answer(200, `[1]`, "X-Pages", "80"))
		failure := r.failure(t, catalogue.CharacterWalletJournal())
		require.False(t, failure.Deferred)
		require.Contains(t, failure.Message, "80 pages")
		require.Len(t, r.world.Requests(journalPath), 1)
	})
}

func TestAMissingXPagesMeansOnePage(t *testing.T) {
	r := newRig(t)
	r.world.Handle(journalPath, answer(200, `[1]`))
	got, err := r.get(catalogue.CharacterWalletJournal())
	require.NoError(t, err)
	require.Len(t, got.Pages, 1)
}

func TestAbsurdNumbersOfPagesAreRefused(t *testing.T) {
	for _, pages := range []string{"many", "-1", "1000000000"} {
		r := newRig(t)
		r.world.Handle(journalPath, answer(200, `[1]`, "X-Pages", pages))
		require.Equal(t, eve.FailureMalformed, r.failure(t, catalogue.CharacterWalletJournal()).Class)
	}
}

func TestAnswersAreClassified(t *testing.T) {
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		class    eve.FailureClass
		requests int
	}{
		"401 renews the token once":     {answer(401, `{"error":"token is not valid"}`), eve.FailureServer, 2},
		"403 that means an old token":   {answer(403, `{"error":"token is expired","sso_status":401}`), eve.FailureServer, 2},
		"403 of a sign-on that hiccups": {answer(403, `{"error":"unexpected end of JSON input","sso_status":401}`), eve.FailureServer, 2},
		"403 of clocks that differ":     {answer(403, `{"error":"token expiry is too far in the future"}`), eve.FailureServer, 2},
		"403 in HTML":                   {answer(403, `<html>Access denied</html>`), eve.FailureServer, 1},
		"404 in HTML":                   {answer(404, ` <html>Not here</html>`), eve.FailureServer, 1},
		"420 with a reset of nothing":   {answer(420, ``, "X-ESI-Error-Limit-Remain", "0", "X-ESI-Error-Limit-Reset", "0"), eve.FailureRateLimited, 1},
		"403":                           {answer(403, `{"error":"Forbidden"}`), eve.FailureForbidden, 1},
		"404":                           {answer(404, `{"error":"Not found"}`), eve.FailureNotFound, 1},
		"400":                           {answer(400, `{"error":"bad"}`), eve.FailureMalformed, 1},
		"204":                           {answer(204, ""), eve.FailureMalformed, 1},
		"redirect":                      {answer(302, "", "Location", "/elsewhere"), eve.FailureMalformed, 1},
		"500":                           {answer(500, `{"error":"oops"}`), eve.FailureServer, 3},
		"502 with HTML":                 {answer(502, `<html>bad gateway</html>`), eve.FailureServer, 3},
		"520 is not repeated":           {answer(520, `{"error":"ConStopSpamming, details: {}"}`), eve.FailureServer, 1},
		"429":                           {answer(429, `{"error":"slow down"}`, "Retry-After", "30"), eve.FailureRateLimited, 1},
		"429 without headers":           {answer(429, ""), eve.FailureRateLimited, 1},
		"420":                           {answer(420, `{"error":"error limited"}`, "X-ESI-Error-Limit-Remain", "0", "X-ESI-Error-Limit-Reset", "30"), eve.FailureRateLimited, 1},
		"HTML":                          {answer(200, `<!doctype html>`), eve.FailureMalformed, 1},
		"truncated":                     {answer(200, `{"solar_`), eve.FailureMalformed, 1},
		"empty":                         {answer(200, ""), eve.FailureMalformed, 1},
		"cut off on the way":            {cutOff, eve.FailureNetwork, 3},
		"no answer":                     {noAnswer, eve.FailureNetwork, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.world.Handle("/characters/90000001/location", c.handler)
			failure := r.failure(t, catalogue.CharacterLocation())
			require.Equal(t, c.class, failure.Class)
			require.False(t, failure.Deferred)
			require.Len(t, r.world.Requests("/characters/90000001/location"), c.requests)
			require.Equal(t, c.class == eve.FailureMalformed, failure.Sample != nil)
		})
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	w.WriteHeader(http.StatusOK)
	// The rest is never sent; the server closes the connection.
	_, _ = w.Write([]byte(`{"solar_system_id":`))
}

func noAnswer(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestServerErrorsThatPassAreNotNoticed(t *testing.T) {
	r := newRig(t)
	var calls atomic.Int32
	r.world.Handle("/characters/90000001/location", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			ingesttest.JSON(w, 503, `{"error":"later"}`)
			return
		}
		ingesttest.JSON(w, 200, `{"solar_system_id":1}`)
	}))
	got, err := r.get(catalogue.CharacterLocation())
	require.NoError(t, err)
	require.Equal(t, `{"solar_system_id":1}`, string(got.Pages[0].Body))
}

func TestATooLongRetryAfterIsLeftToTheSchedule(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001/location", answer(503, `{}`, "Retry-After", "600"))
	failure := r.failure(t, catalogue.CharacterLocation())
	require.Equal(t, r.world.Clock.Now().Add(10*time.Minute), failure.RetryAt)
	require.Len(t, r.world.Requests("/characters"), 1)
}

func Test429StopsTheBucketAndNoOther(t *testing.T) {
	for name, wait := range map[string]struct {
		headers []string
		until   time.Duration
	}{"with Retry-After": {[]string{"Retry-After", "30"}, 30 * time.Second}, "without": {nil, time.Minute}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.world.Handle("/characters/90000001/wallet", answer(429, `{"error":"slow down"}`, wait.headers...))
			r.world.Serve(journalPath, time.Hour, `[]`)
			r.world.Serve("/characters/90000001/location", time.Minute, `{"solar_system_id":1}`)
			require.Equal(t, 429, r.failure(t, catalogue.CharacterWallet()).Status)

			failure := r.failure(t, catalogue.CharacterWalletJournal())
			require.True(t, failure.Deferred, "the journal shares the wallet's bucket")
			require.Equal(t, r.world.Clock.Now().Add(wait.until), failure.RetryAt)
			_, err := r.get(catalogue.CharacterLocation())
			require.NoError(t, err)

			r.world.Clock.Advance(wait.until)
			_, err = r.get(catalogue.CharacterWalletJournal())
			require.NoError(t, err)
		})
	}
}

func TestALimitIsHeardOfThoughNobodyWaitsForTheAnswerAnyMore(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	refuse := answer(429, `{"error":"slow down"}`, "Retry-After", "30")
	r.world.Handle("/characters/90000001/wallet", http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		stop()
		refuse(w, request)
	}))
	_, err := r.client.Get(ctx, transport.Request{Route: catalogue.CharacterWallet(), Character: pilot})
	require.Error(t, err)
	require.True(t, r.failure(t, catalogue.CharacterWallet()).Deferred)
	require.Len(t, r.world.Requests("/characters"), 1)
}

func Test420StopsEverythingUntilTheReset(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001", answer(420, `{"error":"error limited"}`, "X-ESI-Error-Limit-Remain", "0", "X-ESI-Error-Limit-Reset", "45"))
	r.world.Serve("/characters/90000001/location", time.Minute, `{"solar_system_id":1}`)
	failure := r.failure(t, catalogue.CharacterDetails())
	require.Equal(t, r.world.Clock.Now().Add(45*time.Second), failure.RetryAt)
	require.True(t, r.failure(t, catalogue.CharacterLocation()).Deferred)
	require.Len(t, r.world.Requests("/characters"), 1)
	r.world.Clock.Advance(45 * time.Second)
	_, err := r.get(catalogue.CharacterLocation())
	require.NoError(t, err)
}

func TestRoutesWithoutABucketPauseBeforeTheErrorLimitIsUsedUp(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001", answer(404, `{"error":"gone"}`, "X-ESI-Error-Limit-Remain", "20", "X-ESI-Error-Limit-Reset", "45"))
	r.world.Serve("/characters/90000001/location", time.Minute, `{"solar_system_id":1}`)
	require.Equal(t, eve.FailureNotFound, r.failure(t, catalogue.CharacterDetails()).Class)
	failure := r.failure(t, catalogue.CharacterDetails())
	require.True(t, failure.Deferred)
	require.Equal(t, r.world.Clock.Now().Add(45*time.Second), failure.RetryAt)
	_, err := r.get(catalogue.CharacterLocation())
	require.NoError(t, err)
}

func TestTheServersCountOfABucketWins(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001/wallet", answer(200, `1`, "X-Ratelimit-Group", "char-wallet", "X-Ratelimit-Limit", "150/15m", "X-Ratelimit-Remaining", "3"))
	_, err := r.get(catalogue.CharacterWallet())
	require.NoError(t, err)
	require.True(t, r.failure(t, catalogue.CharacterWallet()).Deferred)
}

func TestAGroupThatOnlyTheServerKnowsIsKept(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001", answer(200, `{}`, "X-Ratelimit-Group", "char-public", "X-Ratelimit-Limit", "10/15m", "X-Ratelimit-Remaining", "8"))
	for range 2 {
		_, err := r.get(catalogue.CharacterDetails())
		require.NoError(t, err)
	}
	r.world.Handle("/characters/90000001", answer(200, `{}`, "X-Ratelimit-Group", "char-public", "X-Ratelimit-Limit", "10/15m", "X-Ratelimit-Remaining", "1"))
	_, err := r.get(catalogue.CharacterDetails())
	require.NoError(t, err)
	require.True(t, r.failure(t, catalogue.CharacterDetails()).Deferred)
}

func TestARouteThatKeepsFailingIsCutOffAlone(t *testing.T) {
	r := newRig(t, func(c *transport.Config) { c.BreakAfter = 3; c.BreakFor = time.Hour })
	r.world.Handle("/characters/90000001/location", answer(500, `{"error":"oops"}`))
	r.world.Serve("/characters/90000001/wallet", time.Minute, `1`)
	require.Equal(t, eve.FailureServer, r.failure(t, catalogue.CharacterLocation()).Class)
	require.True(t, r.failure(t, catalogue.CharacterLocation()).Deferred)
	require.Len(t, r.world.Requests("/characters/90000001/location"), 3)
	_, err := r.get(catalogue.CharacterWallet())
	require.NoError(t, err)
}

func TestNobodyIsAskedInDowntime(t *testing.T) {
	r := newRig(t, func(c *transport.Config) { c.Downtime = transport.Daily() })
	r.world.Clock.Advance(17*time.Hour + 5*time.Minute) // 11:05 UTC
	failure := r.failure(t, catalogue.CharacterDetails())
	require.True(t, failure.Deferred)
	require.Equal(t, time.Date(2026, 9, 2, 11, 15, 0, 0, time.UTC), failure.RetryAt)
	require.Equal(t, 5*time.Minute, failure.Spread, "all that waited come back over five minutes")
	require.Empty(t, r.world.Requests("/"))
}

func TestLoginTroublesAreClassified(t *testing.T) {
	r := newRig(t)
	r.logins.err = event.Errorf(event.CodeUnauthenticated, "login is gone")
	require.Equal(t, eve.FailureToken, r.failure(t, catalogue.CharacterWallet()).Class)
	r.logins.err = event.Errorf(event.CodeUnavailable, "the sign-on is away")
	require.Equal(t, eve.FailureNetwork, r.failure(t, catalogue.CharacterWallet()).Class)

	r.logins.err = errors.New("the database is away")
	_, err := r.get(catalogue.CharacterWallet())
	var failure *transport.Failure
	require.NotErrorAs(t, err, &failure, "a trouble of our own is none of the outside world")
	require.Empty(t, r.world.Requests("/"))
}

func TestPublicRoutesCarryNoToken(t *testing.T) {
	r := newRig(t)
	r.world.Serve("/characters/90000001", time.Hour, `{}`)
	_, err := r.get(catalogue.CharacterDetails())
	require.NoError(t, err)
	require.Empty(t, r.world.Requests("/")[0].Header.Get("Authorization"))
}

func TestTooLongAnswersAreNotRead(t *testing.T) {
	r := newRig(t, func(c *transport.Config) { c.MaxBody = 1000 })
	r.world.Handle("/characters/90000001/location", answer(200, strings.Repeat(" ", 2000)+`{}`))
	failure := r.failure(t, catalogue.CharacterLocation())
	require.Equal(t, eve.FailureMalformed, failure.Class)
	require.Contains(t, failure.Message, "1000 bytes")
}

func TestASlowAnswerIsGivenUp(t *testing.T) {
	r := newRig(t, func(c *transport.Config) { c.Timeout = 20 * time.Millisecond; c.Attempts = 1 })
	r.world.Handle("/characters/90000001/location", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	require.Equal(t, eve.FailureNetwork, r.failure(t, catalogue.CharacterLocation()).Class)
}

func TestGivingUpIsNoFailureOfESI(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.world.Handle("/characters/90000001/location", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	_, err := r.client.Get(ctx, transport.Request{Route: catalogue.CharacterLocation(), Character: pilot})
	require.ErrorIs(t, err, context.Canceled)
	var failure *transport.Failure
	require.NotErrorAs(t, err, &failure)
}

func TestNoSecretIsRepeated(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001/location", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ingesttest.JSON(w, 403, `{"error":"I saw `+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+`"}`)
	}))
	require.Contains(t, r.failure(t, catalogue.CharacterLocation()).Message, "[token]")
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	good := transport.Config{BaseURL: "https://esi.evetech.net", UserAgent: ingesttest.UserAgent, Tokens: &logins{}, Registerer: prometheus.NewRegistry()}
	for want, change := range map[string]func(*transport.Config){
		"MUSTER_ESI_URL": func(c *transport.Config) { c.BaseURL = "esi.evetech.net" },
		"contact":        func(c *transport.Config) { c.UserAgent = "Go-http-client/1.1" },
		"access tokens":  func(c *transport.Config) { c.Tokens = nil },
		"registerer":     func(c *transport.Config) { c.Registerer = nil },
		"at least 1":     func(c *transport.Config) { c.Attempts = -1 },
	} {
		config := good
		change(&config)
		_, err := transport.New(config)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), want)
		require.ErrorContains(t, err, want)
	}
}
