package transport_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/ingesttest"
)

const (
	locationPath = "/characters/90000001/location"
	walletPath   = "/characters/90000001/wallet"
)

func TestAnotherDateThanAskedForIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(c *transport.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	r.world.Handle(locationPath, answer(200, `{}`, "X-Compatibility-Date", "2026-07-21"))
	r.world.Handle(walletPath, answer(200, `1`, "X-Compatibility-Date", catalogue.CompatibilityDate))
	for range 3 {
		_, err := r.get(catalogue.CharacterLocation())
		require.NoError(t, err)
		_, err = r.get(catalogue.CharacterWallet())
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(log.String(), "another compatibility date"))
	require.Contains(t, log.String(), "2026-07-21")
}

func TestASetIsNotBegunWhenItsFirstPageIsAboutToBeMadeAnew(t *testing.T) {
	r := newRig(t)
	made := r.world.Clock.Now()
	page := func(age time.Duration) http.HandlerFunc {
		at := made.Add(age)
		return answer(200, `[1]`, "X-Pages", "2", "Date", at.Format(http.TimeFormat), "Last-Modified", made.Format(http.TimeFormat),
			"Expires", made.Add(time.Hour).Format(http.TimeFormat), "Cache-Control", "public")
	}
	r.world.Handle(journalPath, page(time.Hour-3*time.Second))
	failure := r.failure(t, catalogue.CharacterWalletJournal())
	require.True(t, failure.Deferred)
	require.Equal(t, r.world.Clock.Now().Add(3*time.Second), failure.RetryAt)
	require.Len(t, r.world.Requests(journalPath), 1, "the second page would be of another making")
	require.Len(t, failure.Kept, 2, "the first page is paid for, and its ETag worth keeping")

	r.world.Handle(journalPath, page(time.Hour-10*time.Second))
	_, err := r.get(catalogue.CharacterWalletJournal())
	require.NoError(t, err, "ten seconds are enough")
}

func TestTheNumberOfPagesIsKeptWhereA304DoesNotTellIt(t *testing.T) {
	kept := []transport.Page{{ETag: `"1"`, Body: []byte(`[1]`)}, {ETag: `"2"`, Body: []byte(`[2]`)}, {ETag: `"3"`, Body: []byte(`[3]`)}}
	unchanged := map[string]http.HandlerFunc{"1": answer(304, ""), "2": answer(304, ""), "3": answer(304, "")}
	t.Run("after a set that was taken over", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, pageHandler(unchanged))
		got, err := r.get(catalogue.CharacterWalletJournal(), kept...)
		require.NoError(t, err)
		require.True(t, got.NotModified)
		require.Len(t, r.world.Requests(journalPath), 3)
	})
	t.Run("after a set that failed", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, pageHandler(unchanged))
		got, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterWalletJournal(), Character: pilot, Prior: kept})
		require.NoError(t, err)
		require.Len(t, got.Pages, 3, "what is kept of it tells how many pages there were")
	})
}

func TestPagesAreNotBelievedGoneBecauseXPagesIsMissing(t *testing.T) {
	kept := []transport.Page{{ETag: `"1"`, Body: []byte(`[1]`)}, {ETag: `"2"`, Body: []byte(`[2]`)}}
	t.Run("if there is a second one", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, pageHandler(map[string]http.HandlerFunc{"1": answer(200, `[0,1]`), "2": answer(200, `[2]`)}))
		require.Equal(t, eve.FailureTorn, r.failure(t, catalogue.CharacterWalletJournal(), kept...).Class)
	})
	t.Run("but if there is none", func(t *testing.T) {
		r := newRig(t)
		r.world.Handle(journalPath, pageHandler(map[string]http.HandlerFunc{"1": answer(200, `[0,1]`), "2": answer(404, `{"error":"Requested page does not exist!"}`)}))
		got, err := r.get(catalogue.CharacterWalletJournal(), kept...)
		require.NoError(t, err)
		require.Len(t, got.Pages, 1)
	})
}

func TestA401IsTheEndOfALoginOnlyIfItGoesOn(t *testing.T) {
	r := newRig(t)
	r.world.Handle(locationPath, answer(401, `{"error":"token is not valid"}`))
	for refusal := 1; refusal < 5; refusal++ {
		failure := r.failure(t, catalogue.CharacterLocation())
		require.Equal(t, eve.FailureServer, failure.Class, "the sign-on has just given the token")
		require.True(t, failure.RetryAt.After(r.world.Clock.Now()))
		r.world.Clock.Advance(failure.RetryAt.Sub(r.world.Clock.Now()))
	}
	require.Equal(t, eve.FailureToken, r.failure(t, catalogue.CharacterLocation()).Class)
	require.Len(t, r.world.Requests(locationPath), 10, "each time with another token")
}

func TestWhatIsRefusedAgainAndAgainIsLeftAloneForEverLongerSpans(t *testing.T) {
	for _, status := range []int{403, 404} {
		r := newRig(t)
		r.world.Handle(locationPath, answer(status, `{"error":"no"}`))
		r.world.Serve(walletPath, time.Second, `1`)
		for range 5 {
			require.Equal(t, status, r.failure(t, catalogue.CharacterLocation()).Status)
		}
		before := time.Duration(0)
		for range 12 {
			failure := r.failure(t, catalogue.CharacterLocation())
			require.True(t, failure.Deferred, "it is not asked for")
			wait := failure.RetryAt.Sub(r.world.Clock.Now())
			require.Greater(t, wait, min(before, 24*time.Hour-1))
			require.LessOrEqual(t, wait, 24*time.Hour)
			before = wait
			_, err := r.get(catalogue.CharacterWallet())
			require.NoError(t, err, "other routes of the character go on")
			r.world.Clock.Advance(wait)
			require.Equal(t, status, r.failure(t, catalogue.CharacterLocation()).Status)
		}
		r.world.Clock.Advance(24 * time.Hour)
		r.world.Handle(locationPath, answer(200, `{"solar_system_id":1}`))
		_, err := r.get(catalogue.CharacterLocation())
		require.NoError(t, err)
		_, err = r.get(catalogue.CharacterLocation())
		require.NoError(t, err, "a good answer forgets it")
	}
}

func TestRefusalsOutliveARestart(t *testing.T) {
	r := newRig(t)
	r.world.Handle(locationPath, answer(403, `{"error":"no"}`))
	for range 5 {
		r.failure(t, catalogue.CharacterLocation())
	}
	remembered := r.client.TakeRefusals()
	require.Len(t, remembered, 1)
	require.Equal(t, transport.Refusal{Operation: catalogue.CharacterLocation().Operation, Path: locationPath, Character: pilot, Count: 5, For: 5 * time.Minute}, remembered[0])
	require.Empty(t, r.client.TakeRefusals())

	again := newRig(t)
	again.world.Serve(locationPath, time.Second, `{"solar_system_id":1}`)
	again.client.AdoptRefusals(remembered)
	require.True(t, again.failure(t, catalogue.CharacterLocation()).Deferred)
	again.world.Clock.Advance(5 * time.Minute)
	_, err := again.get(catalogue.CharacterLocation())
	require.NoError(t, err)
	require.Equal(t, []transport.Refusal{{Operation: catalogue.CharacterLocation().Operation, Path: locationPath, Character: pilot}}, again.client.TakeRefusals(),
		"that it is over has to be remembered, too")
}

func TestRefusalsOfManyCharactersAtOnceAreAFaultOfESI(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := newRig(t)
			var refusing atomic.Bool
			refusing.Store(true)
			for character := range int64(20) {
				r.world.Handle(fmt.Sprintf("/characters/%d/location", pilot+character), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if refusing.Load() {
						ingesttest.JSON(w, status, `{"error":"no"}`)
						return
					}
					ingesttest.JSON(w, 200, `{"solar_system_id":1}`)
				}))
			}
			r.world.Serve(walletPath, time.Second, `1`)
			ask := func(character int64) *transport.Failure {
				_, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterLocation(), Character: pilot + character})
				if err == nil {
					return nil
				}
				var failure *transport.Failure
				require.ErrorAs(t, err, &failure)
				return failure
			}
			for character := range int64(4) {
				require.NotNil(t, ask(character))
			}
			storm := ask(4)
			require.Equal(t, eve.FailureServer, storm.Class, "nothing is taken for gone or forbidden")
			asked := len(r.world.Requests("/characters"))
			require.True(t, ask(5).Deferred, "the route rests")
			require.Len(t, r.world.Requests("/characters"), asked)
			_, err := r.get(catalogue.CharacterWallet())
			require.NoError(t, err, "other routes go on")

			r.world.Clock.Advance(time.Minute)
			require.Equal(t, eve.FailureServer, ask(6).Class, "now a single refusal is enough")
			require.Equal(t, r.world.Clock.Now().Add(2*time.Minute), ask(7).RetryAt, "and it rests longer")

			refusing.Store(false)
			r.world.Clock.Advance(2 * time.Minute)
			for character := range int64(20) {
				require.Nil(t, ask(character), "no character is held to have been refused")
			}
			require.Empty(t, r.client.TakeRefusals())
		})
	}
}

func TestAFewRefusalsAmongManyAnswersAreNoStorm(t *testing.T) {
	r := newRig(t)
	for character := range int64(30) {
		handler := answer(200, `{"solar_system_id":1}`)
		if character%3 == 0 {
			handler = answer(404, `{"error":"gone"}`)
		}
		r.world.Handle(fmt.Sprintf("/characters/%d/location", pilot+character), handler)
	}
	for character := range int64(30) {
		_, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterLocation(), Character: pilot + character})
		var failure *transport.Failure
		if character%3 == 0 && character > 0 {
			require.ErrorAs(t, err, &failure)
			require.Equal(t, eve.FailureNotFound, failure.Class)
		}
	}
}

func TestWhatIsKnownToBeRefusedMakesNoStorm(t *testing.T) {
	r := newRig(t)
	for character := range int64(8) {
		r.world.Handle(fmt.Sprintf("/characters/%d/location", pilot+character), answer(404, `{"error":"gone"}`))
	}
	ask := func(character int64) eve.FailureClass {
		_, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterLocation(), Character: pilot + character})
		var failure *transport.Failure
		require.ErrorAs(t, err, &failure)
		return failure.Class
	}
	for character := range int64(8) {
		require.Equal(t, eve.FailureNotFound, ask(character))
		r.world.Clock.Advance(time.Minute)
	}
	for character := range int64(8) {
		require.Equal(t, eve.FailureNotFound, ask(character), "all within a minute, but none for the first time")
	}
}

func TestAThrottledRouteRestsForItsCharacterAlone(t *testing.T) {
	r := newRig(t)
	r.logins.scopes = append(r.logins.scopes, "esi-contracts.read_character_contracts.v1")
	r.world.Handle("/characters/90000001/contracts/7/items", answer(520, `{"error":"ConStopSpamming, details: {\"remainingTime\": 9876543}"}`))
	items := func(character int64) error {
		_, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterContractItems(), Character: character, Params: map[string]string{"contract_id": "7"}})
		return err
	}
	r.world.Handle("/characters/90000002/contracts/7/items", answer(200, `[]`))
	var failure *transport.Failure
	require.ErrorAs(t, items(pilot), &failure)
	require.Equal(t, r.world.Clock.Now().Add(10*time.Second), failure.RetryAt)
	require.ErrorAs(t, items(pilot), &failure)
	require.True(t, failure.Deferred)
	require.NoError(t, items(pilot+1))
}

func TestARouteThatIsDownIsNotAsked(t *testing.T) {
	r := newRig(t)
	status := `{"routes":[
		{"method":"GET","path":"/characters/{character_id}/wallet","status":"Down"},
		{"method":"GET","path":"/characters/{character_id}/location","status":"Degraded"},
		{"method":"GET","path":"/meta/status","status":"Down"}]}`
	r.world.Serve("/meta/status", 10*time.Minute, status)
	r.world.Handle(walletPath, answer(200, `1`))
	r.world.Handle(locationPath, answer(200, `{}`))
	read, err := r.client.ReadHealth(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, r.world.Clock.Now().Add(10*time.Minute), read.ExpiresAt)
	health, err := transport.ParseHealth(read.Pages[0].Body)
	require.NoError(t, err)
	r.client.SetHealth(health, 10*time.Minute)

	failure := r.failure(t, catalogue.CharacterWallet())
	require.True(t, failure.Deferred)
	require.Equal(t, r.world.Clock.Now().Add(10*time.Minute), failure.RetryAt, "until the next reading")
	require.Empty(t, r.world.Requests(walletPath))
	_, err = r.get(catalogue.CharacterLocation())
	require.NoError(t, err, "one that is degraded is asked")

	r.world.Clock.Advance(10 * time.Minute)
	_, err = r.get(catalogue.CharacterWallet())
	require.NoError(t, err, "a reading that was not renewed holds nothing back")
	again, err := r.client.ReadHealth(t.Context(), read.Pages[0].ETag)
	require.NoError(t, err, "the reading itself never is held back")
	require.True(t, again.NotModified)
}

// tenure is as a test says.
type tenure struct {
	mu       sync.Mutex
	since    map[int64]time.Time
	programs int
}

func (t *tenure) Since(character int64) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, mine := t.since[character]
	return since, mine
}

func (t *tenure) Programs() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.programs
}

func TestCharactersOfAnotherProgramAreNotAskedFor(t *testing.T) {
	owners := &tenure{since: map[int64]time.Time{}, programs: 2}
	r := newRig(t, func(c *transport.Config) { c.Tenure = owners })
	r.world.Handle(walletPath, answer(200, `1`))
	require.True(t, r.failure(t, catalogue.CharacterWallet()).Deferred)
	require.Empty(t, r.world.Requests("/"))
	owners.since[pilot] = r.world.Clock.Now()
	_, err := r.get(catalogue.CharacterWallet())
	require.NoError(t, err)
}

func TestTheBucketsOfACharacterThatIsTakenOverAreUnknownUntilTheFirstAnswer(t *testing.T) {
	owners := &tenure{since: map[int64]time.Time{}, programs: 2}
	r := newRig(t, func(c *transport.Config) { c.Tenure = owners })
	owners.since[pilot] = r.world.Clock.Now()
	var atOnce, most atomic.Int32
	arrived, proceed := make(chan struct{}, 8), make(chan struct{})
	r.world.Handle(walletPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), atOnce.Add(1)))
		arrived <- struct{}{}
		<-proceed
		atOnce.Add(-1)
		w.Header().Set("X-Ratelimit-Group", "char-wallet")
		w.Header().Set("X-Ratelimit-Limit", "150/15m")
		w.Header().Set("X-Ratelimit-Remaining", "4")
		ingesttest.JSON(w, 200, `1`)
	}))
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := r.get(catalogue.CharacterWallet())
			results <- err
		}()
	}
	<-arrived
	close(proceed)
	deferred := 0
	for range 3 {
		var failure *transport.Failure
		if err := <-results; err != nil {
			require.ErrorAs(t, err, &failure)
			require.True(t, failure.Deferred)
			deferred++
		}
	}
	require.Equal(t, 2, deferred, "who asked before has left four tokens, which are not enough for a second request")
	require.EqualValues(t, 1, most.Load())
}

func TestLimitsOfTheAddressAreDividedAmongPrograms(t *testing.T) {
	owners := &tenure{since: map[int64]time.Time{pilot: {}}, programs: 3}
	r := newRig(t, func(c *transport.Config) { c.Tenure = owners })
	r.world.Handle("/characters/90000001/corporationhistory", answer(200, `[]`))
	ask := func() bool {
		_, err := r.get(catalogue.CharacterCorporationHistory())
		return err == nil
	}
	calls := 0
	for ask() {
		calls++
	}
	require.Equal(t, 45, calls, "a third of half of 300, and a little room")
}

func TestALimitOfACharacterThatIsTakenOverIsUsedUpAtFirst(t *testing.T) {
	owners := &tenure{since: map[int64]time.Time{}, programs: 2}
	r := newRig(t, func(c *transport.Config) { c.Tenure = owners })
	r.logins.scopes = append(r.logins.scopes, "esi-contracts.read_character_contracts.v1")
	owners.since[pilot] = r.world.Clock.Now()
	r.world.Handle("/characters/90000001/contracts/7/items", answer(200, `[]`))
	items := func() error {
		_, err := r.client.Get(t.Context(), transport.Request{Route: catalogue.CharacterContractItems(), Character: pilot, Params: map[string]string{"contract_id": "7"}})
		return err
	}
	var failure *transport.Failure
	require.ErrorAs(t, items(), &failure)
	require.Equal(t, r.world.Clock.Now().Add(10*time.Second), failure.RetryAt)
	r.world.Clock.Advance(10 * time.Second)
	require.NoError(t, items())
}

func TestWhatAnotherProgramFoundOutAboutTheErrorLimitHolds(t *testing.T) {
	r := newRig(t)
	r.world.Handle("/characters/90000001", answer(200, `{}`))
	r.world.Handle(locationPath, answer(200, `{}`))
	r.client.AdoptErrors(transport.ErrorLimit{Left: 15, Reset: 30 * time.Second})
	require.Equal(t, r.world.Clock.Now().Add(30*time.Second), r.failure(t, catalogue.CharacterDetails()).RetryAt)
	_, err := r.get(catalogue.CharacterLocation())
	require.NoError(t, err)
	r.client.AdoptErrors(transport.ErrorLimit{Stop: 20 * time.Second})
	require.True(t, r.failure(t, catalogue.CharacterLocation()).Deferred)
	r.world.Clock.Advance(30 * time.Second)
	_, err = r.get(catalogue.CharacterDetails())
	require.NoError(t, err)
}

func TestA420IsAnIncident(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	r := newRig(t, func(c *transport.Config) {
		c.Logger, c.Registerer = slog.New(slog.NewTextHandler(&log, nil)), registry
	})
	r.world.Handle("/characters/90000001", answer(420, `{"error":"error limited"}`, "X-ESI-Error-Limit-Remain", "0", "X-ESI-Error-Limit-Reset", "0"))
	r.world.Handle(locationPath, answer(200, `{}`))
	require.Equal(t, 420, r.failure(t, catalogue.CharacterDetails()).Status)
	require.True(t, r.failure(t, catalogue.CharacterLocation()).Deferred, "nothing left is never taken for fine, whatever the reset says")
	require.Contains(t, log.String(), "level=ERROR")
	count, err := testutil.GatherAndCount(registry, "muster_esi_error_limit_incidents_total")
	require.NoError(t, err)
	require.Equal(t, 1, count)
	<-r.client.ErrorNews()
	news, ok := r.client.TakeErrors()
	require.True(t, ok)
	require.Equal(t, 1, news.Incidents)
	require.Positive(t, news.Stop)
	require.Zero(t, news.Left)
	_, ok = r.client.TakeErrors()
	require.False(t, ok)
}

func TestFurtherPagesOfAWalkAreConditionalIfTheirAddressIsTheSame(t *testing.T) {
	r := newRig(t)
	transactions := "/characters/90000001/wallet/transactions"
	pages := map[string]*ingesttest.Resource{
		"":  ingesttest.Page(r.world, time.Minute, `[{"transaction_id":9},{"transaction_id":8}]`),
		"8": ingesttest.Page(r.world, time.Minute, `[{"transaction_id":7},{"transaction_id":6}]`),
		"6": ingesttest.Page(r.world, time.Minute, `[{"transaction_id":5}]`),
		"5": ingesttest.Page(r.world, time.Minute, `[]`),
	}
	r.world.Handle(transactions, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		pages[request.URL.Query().Get("from_id")].ServeHTTP(w, request)
	}))
	walk := transport.WalkRequest{Request: transport.Request{Route: catalogue.CharacterWalletTransactions(), Character: pilot}, ID: "transaction_id", Full: true}
	got, err := r.client.Walk(t.Context(), walk)
	require.NoError(t, err)
	require.Len(t, got.Pages, 4)

	r.world.Clock.Advance(time.Hour)
	walk.Prior, walk.Complete = got.Pages, 1
	pages["6"].Set(`[{"transaction_id":5,"quantity":2}]`)
	again, err := r.client.Walk(t.Context(), walk)
	require.NoError(t, err)
	var statuses []int
	for _, request := range r.world.Requests(transactions)[4:] {
		statuses = append(statuses, request.Status)
	}
	require.Equal(t, []int{304, 304, 200, 304}, statuses)
	require.Equal(t, got.Pages[1].Body, again.Pages[1].Body, "what is kept stands for a page that did not change")
	require.Contains(t, string(again.Pages[2].Body), "quantity")

	t.Run("but not if something new moved it", func(t *testing.T) {
		r.world.Clock.Advance(time.Hour)
		pages[""].Set(`[{"transaction_id":10},{"transaction_id":9}]`)
		pages["9"] = ingesttest.Page(r.world, time.Minute, `[{"transaction_id":8},{"transaction_id":7}]`)
		pages["7"] = ingesttest.Page(r.world, time.Minute, `[]`)
		walk.Prior = again.Pages
		moved, err := r.client.Walk(t.Context(), walk)
		require.NoError(t, err)
		require.Len(t, moved.Pages, 3)
		for _, request := range r.world.Requests(transactions)[9:] {
			require.Empty(t, request.Header.Get("If-None-Match"))
		}
	})
}
