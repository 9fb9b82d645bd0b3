package esi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/ingesttest"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

const pilot = int64(90000001)

const (
	scopeLocation = "esi-location.read_location.v1"
	scopeWallet   = "esi-wallet.read_character_wallet.v1"
)

// journal is a log that keeps what is appended, and fails when told to.
type journal struct {
	mu     sync.Mutex
	events []event.Event
	// before, if set, decides about an append; an error from after comes once
	// the events are kept.
	before, after func() error
}

func (l *journal) Append(_ context.Context, events ...event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil {
		if err := l.before(); err != nil {
			return err
		}
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return err
		}
	}
	l.events = append(l.events, events...)
	if l.after != nil {
		return l.after()
	}
	return nil
}

func (l *journal) types() []event.Type {
	l.mu.Lock()
	defer l.mu.Unlock()
	var types []event.Type
	for _, e := range l.events {
		types = append(types, e.Type)
	}
	return types
}

// rig is a syncer with everything around it.
type rig struct {
	world  *ingesttest.World
	pool   *pgxpool.Pool
	vault  *sso.Vault
	client *transport.Client
	log    *journal
	syncer *esi.Syncer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{world: ingesttest.New(t), pool: enginetest.Postgres(t), log: &journal{}}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	var err error
	r.vault, err = sso.NewVault(sso.Config{
		Pool: r.pool, Key: sso.NewKey(), URL: r.world.URL, ClientID: ingesttest.ClientID, ClientSecret: ingesttest.ClientSecret,
		Now: r.world.Clock.Now, Timeout: 5 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(r.vault.Close)
	r.client, err = transport.New(transport.Config{
		BaseURL: r.world.URL, UserAgent: ingesttest.UserAgent, Tokens: r.vault, Registerer: prometheus.NewRegistry(),
		Backoff: time.Millisecond, Timeout: 5 * time.Second, Now: r.world.Clock.Now,
	})
	require.NoError(t, err)
	t.Cleanup(r.client.Close)
	r.syncer = r.newSyncer(t)
	var scopes []string
	for _, section := range esi.Sections(esi.Options{}) {
		scopes = append(scopes, section.Scopes()...)
	}
	r.login(t, scopes...)
	return r
}

func (r *rig) newSyncer(t *testing.T) *esi.Syncer {
	t.Helper()
	s, err := esi.NewSyncer(esi.Config{
		Pool: r.pool, Client: r.client, Appender: r.log, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now,
	})
	require.NoError(t, err)
	return s
}

func (r *rig) login(t *testing.T, scopes ...string) {
	t.Helper()
	grant := r.world.Grant(pilot, scopes...)
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.PutTx(t.Context(), tx, grant) }))
}

func (r *rig) sync(t *testing.T, section eve.Section) esi.Outcome {
	t.Helper()
	outcome, err := r.syncer.Sync(t.Context(), pilot, section)
	require.NoError(t, err)
	return outcome
}

// fold is the model of all that was appended.
func (r *rig) fold(t *testing.T) *eve.Model {
	t.Helper()
	registry := event.NewRegistry()
	eve.Register(registry)
	model := eve.NewModel()
	for _, e := range r.log.events {
		p, err := registry.Decode(e)
		require.NoError(t, err)
		require.NoError(t, model.Apply(e, p))
	}
	return model
}

func path(rest string) string { return fmt.Sprintf("/characters/%d%s", pilot, rest) }

func entry(id int64, day, amount string) string {
	return fmt.Sprintf(`{"id":%d,"date":"%sT10:00:00Z","ref_type":"player_donation","amount":%s,"balance":1000.5,"description":"d"}`, id, day, amount)
}

const details = `{"name":"Pilot","corporation_id":98000001,"birthday":"2015-03-24T11:37:00Z","bloodline_id":3,"gender":"male","race_id":2,"achievement_score":7}`

func TestSyncTurnsFourSectionsIntoEvents(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path(""), 24*time.Hour, details)
	r.world.Serve(path("/location"), 5*time.Second, `{"solar_system_id":30000142,"station_id":60003760}`)
	r.world.Serve(path("/wallet"), 2*time.Minute, `243877.49999999997`)
	r.world.Serve(path("/wallet/journal"), time.Hour,
		"["+entry(12, "2026-08-31", "5.25")+","+entry(11, "2026-08-30", "-2")+"]",
		"["+entry(10, "2026-08-30", "1.10")+"]")

	for _, section := range []eve.Section{eve.SectionDetails, eve.SectionLocation, eve.SectionWallet, eve.SectionWalletJournal} {
		require.Equal(t, esi.Changed, r.sync(t, section).Result, section)
	}

	require.Equal(t, []event.Type{
		eve.TypeSectionObserved, eve.TypeSectionObserved, eve.TypeSectionObserved, eve.TypeJournalRecorded, eve.TypeJournalRecorded,
	}, r.log.types())
	c := r.fold(t).Character(pilot)
	require.Equal(t, "Pilot", c.Name)
	require.Len(t, c.Journal, 3)
	require.Equal(t, eve.ISK(435), c.JournalSum())
	balance, err := eve.DecodeWallet(c.Sections[eve.SectionWallet].Value)
	require.NoError(t, err)
	require.Equal(t, eve.ISK(24387750), balance)
}

func TestNothingIsAskedBeforeTheCacheExpires(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	first := r.sync(t, eve.SectionWallet)
	r.world.Clock.Advance(119 * time.Second)

	again := r.sync(t, eve.SectionWallet)

	require.Equal(t, esi.NotDue, again.Result)
	require.Equal(t, first.NotBefore, again.NotBefore)
	require.Len(t, r.world.Requests(path("/wallet")), 1)
}

func TestConfirmedContentMovesOnlyTheClock(t *testing.T) {
	r := newRig(t)
	wallet := r.world.Serve(path("/wallet"), 2*time.Minute, `1.5`)
	first := r.sync(t, eve.SectionWallet)

	t.Run("by 304", func(t *testing.T) {
		r.world.Clock.Advance(2 * time.Minute)
		again := r.sync(t, eve.SectionWallet)
		require.Equal(t, esi.Unchanged, again.Result)
		require.True(t, again.ValidatedAt.After(first.ValidatedAt))
		requests := r.world.Requests(path("/wallet"))
		require.Equal(t, 304, requests[len(requests)-1].Status)
	})
	t.Run("by equal content with another ETag", func(t *testing.T) {
		r.world.Clock.Advance(2 * time.Minute)
		wallet.Set(` 1.5 `)
		require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWallet).Result)
		requests := r.world.Requests(path("/wallet"))
		require.Equal(t, 200, requests[len(requests)-1].Status)
	})
	require.Len(t, r.log.types(), 1)
}

func TestEachChangeContinuesTheSeries(t *testing.T) {
	r := newRig(t)
	wallet := r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	for _, balance := range []string{"1", "2", "1"} {
		wallet.Set(balance)
		require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
		r.world.Clock.Advance(2 * time.Minute)
	}
	// The first and the third say the same, and still are two facts.
	ids := map[uuid.UUID]bool{}
	for _, e := range r.log.events {
		ids[e.ID] = true
	}
	require.Len(t, ids, 3)
}

func TestJournalRecordsEachEntryOnce(t *testing.T) {
	r := newRig(t)
	journal := r.world.Serve(path("/wallet/journal"), time.Hour, "["+entry(11, "2026-08-30", "1")+","+entry(10, "2026-08-30", "1")+"]")
	r.sync(t, eve.SectionWalletJournal)
	r.world.Clock.Advance(time.Hour)
	journal.Set("[" + entry(12, "2026-08-31", "1") + "," + entry(11, "2026-08-30", "1") + "]")

	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletJournal).Result)

	require.Len(t, r.log.types(), 2)
	require.Len(t, r.fold(t).Character(pilot).Journal, 3)
	r.world.Clock.Advance(time.Hour)
	// Older entries fall out of the answer; that is no news.
	journal.Set("[" + entry(12, "2026-08-31", "1") + "]")
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWalletJournal).Result)
}

func TestCrashBetweenAppendAndCommitRepeatsTheSameEvents(t *testing.T) {
	for name, crash := range map[string]func(r *rig){
		"the log did not get them": func(r *rig) { r.log.before = func() error { return errors.New("crash") } },
		"the log has them":         func(r *rig) { r.log.after = func() error { return errors.New("crash") } },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			journal := r.world.Serve(path("/wallet/journal"), time.Hour, "["+entry(10, "2026-08-30", "1")+"]")
			crash(r)
			_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWalletJournal)
			require.ErrorContains(t, err, "crash")
			r.log.before, r.log.after = nil, nil
			// By the time it is repeated ESI says more.
			r.world.Clock.Advance(2 * time.Hour)
			journal.Set("[" + entry(11, "2026-08-30", "1") + "," + entry(10, "2026-08-30", "1") + "]")
			r.syncer = r.newSyncer(t)

			r.sync(t, eve.SectionWalletJournal)

			recorded := map[uuid.UUID]int{}
			for _, e := range r.log.events {
				var p eve.JournalRecorded
				require.NoError(t, json.Unmarshal(e.Data, &p))
				recorded[e.ID] = len(p.Entries)
			}
			require.Len(t, recorded, 2, "the entry of the crash and the one after it, each in one event")
			require.Len(t, r.fold(t).Character(pilot).Journal, 2)
		})
	}
}

func TestStateIsNotTakenOverBeforeTheLogHasTheEvents(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	r.log.before = func() error { return errors.New("the log is away") }
	_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWallet)
	require.ErrorContains(t, err, "the log is away")

	var hash string
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT content_hash FROM ingest.section_state").Scan(&hash))
	require.Empty(t, hash)
}

// away has the log take nothing, and ends the context at the first try.
func (r *rig) away(t *testing.T) context.Context {
	ctx, stop := context.WithCancel(t.Context())
	r.log.before = func() error {
		stop()
		return event.Errorf(event.CodeUnavailable, "no broker answers")
	}
	return ctx
}

func TestWhatWasReadWhileTheLogIsAwayIsNotAskedForAgain(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	_, err := r.syncer.Sync(r.away(t), pilot, eve.SectionWallet)
	require.ErrorIs(t, err, context.Canceled)
	r.log.before = nil
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
	require.Equal(t, []event.Type{eve.TypeSectionObserved}, r.log.types())
	r.world.Clock.Advance(2 * time.Minute)

	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWallet).Result)

	requests := r.world.Requests(path("/wallet"))
	require.Len(t, requests, 2)
	require.Equal(t, 304, requests[1].Status)
	require.Len(t, r.log.types(), 1)
}

func TestNothingIsReadWhileTheLogIsAway(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	r.world.Serve(path("/location"), 5*time.Second, `{"solar_system_id":30000142}`)
	_, err := r.syncer.Sync(r.away(t), pilot, eve.SectionWallet)
	require.ErrorIs(t, err, context.Canceled)

	outcome := r.sync(t, eve.SectionLocation)

	require.Equal(t, esi.Deferred, outcome.Result)
	require.Contains(t, outcome.Failure.Message, "the log takes no events")
	require.Empty(t, r.world.Requests(path("/location")))
	r.log.before = nil
	r.sync(t, eve.SectionWallet)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionLocation).Result)
}

func TestWhatTheLogRefusesForGoodIsPutAside(t *testing.T) {
	refuse := func(r *rig) {
		r.log.before = func() error {
			// The failure that follows is taken.
			r.log.before = nil
			return event.Errorf(event.CodeInvalid, "too large")
		}
	}
	t.Run("when it is appended", func(t *testing.T) {
		r := newRig(t)
		r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
		refuse(r)
		outcome := r.sync(t, eve.SectionWallet)
		require.Equal(t, eve.FailureMalformed, outcome.Failure.Class)
		require.Contains(t, outcome.Failure.Message, "too large")
		require.Equal(t, []event.Type{eve.TypeSectionFailed}, r.log.types())
	})
	t.Run("when it is appended again after a crash", func(t *testing.T) {
		r := newRig(t)
		r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
		r.log.before = func() error { return errors.New("crash") }
		_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWallet)
		require.Error(t, err)
		refuse(r)
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
		require.Equal(t, []event.Type{eve.TypeSectionObserved}, r.log.types())
	})
}

func TestASpellOfFailuresIsReportedOnceAndItsEndOnce(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, esi.Failed, r.sync(t, eve.SectionWallet).Result)
	}
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	r.world.Clock.Advance(time.Hour)
	r.sync(t, eve.SectionWallet)
	r.world.Clock.Advance(time.Hour)
	r.sync(t, eve.SectionWallet)

	require.Equal(t, []event.Type{eve.TypeSectionFailed, eve.TypeSectionObserved, eve.TypeSectionRecovered}, r.log.types())
	require.Empty(t, r.fold(t).Character(pilot).Failing)
}

func TestASingleServerErrorIsNoFact(t *testing.T) {
	r := newRig(t)
	r.world.Handle(path("/wallet"), statusHandler(503))
	require.Equal(t, eve.FailureServer, r.sync(t, eve.SectionWallet).Failure.Class)
	require.Empty(t, r.log.types())
	require.Equal(t, 2, r.sync(t, eve.SectionWallet).Failures)
	require.Equal(t, []event.Type{eve.TypeSectionFailed}, r.log.types())
}

func TestUnreadableAnswersAreKeptAsideAndChangeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		section eve.Section
		path    string
		body    string
		reason  string
	}{
		"HTML":                 {eve.SectionWallet, "/wallet", `<html><body>Down</body></html>`, "HTML"},
		"truncated JSON":       {eve.SectionWalletJournal, "/wallet/journal", `[{"id":1,"date":"2026-`, "cut off"},
		"empty":                {eve.SectionWallet, "/wallet", ``, "empty"},
		"object for a number":  {eve.SectionWallet, "/wallet", `{"balance":1}`, "wallet"},
		"text for a number":    {eve.SectionWallet, "/wallet", `"12"`, "number"},
		"null":                 {eve.SectionWallet, "/wallet", `null`, "null"},
		"list for an object":   {eve.SectionLocation, "/location", `[]`, "object"},
		"text for an id":       {eve.SectionLocation, "/location", `{"solar_system_id":"Jita"}`, "solar_system_id"},
		"missing field":        {eve.SectionLocation, "/location", `{"station_id":1}`, "lacks solar_system_id"},
		"details lack a name":  {eve.SectionDetails, "", `{"corporation_id":1}`, "lacks name"},
		"entry without an id":  {eve.SectionWalletJournal, "/wallet/journal", `[{"date":"2026-08-30T10:00:00Z","ref_type":"x"}]`, "lacks id"},
		"entry of wrong type":  {eve.SectionWalletJournal, "/wallet/journal", `[{"id":"7"}]`, "entry 1"},
		"absurd amount":        {eve.SectionWalletJournal, "/wallet/journal", `[{"id":7,"date":"2026-08-30T10:00:00Z","ref_type":"x","amount":1e300}]`, "1e300"},
		"journal of one entry": {eve.SectionWalletJournal, "/wallet/journal", `{"id":7}`, "list"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			resource := r.world.Serve(path(c.path), time.Hour, c.body)

			outcome := r.sync(t, c.section)

			require.Equal(t, esi.Failed, outcome.Result)
			require.Equal(t, eve.FailureMalformed, outcome.Failure.Class)
			require.Contains(t, outcome.Failure.Message, c.reason)
			if json.Valid([]byte(c.body)) {
				require.Equal(t, r.world.Clock.Now().Add(time.Hour), outcome.NotBefore, "what ESI means to say stays in its cache until it expires")
			}
			require.Equal(t, []event.Type{eve.TypeSectionFailed}, r.log.types())
			var kept, reason string
			require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT convert_from(body, 'UTF8'), reason FROM ingest.quarantine").Scan(&kept, &reason))
			require.Equal(t, c.body, strings.TrimSpace(kept))
			require.Contains(t, reason, c.reason)

			good := map[eve.Section]string{
				eve.SectionDetails: details, eve.SectionLocation: `{"solar_system_id":30000142}`, eve.SectionWallet: `1`,
				eve.SectionWalletJournal: "[" + entry(1, "2026-08-30", "1") + "]",
			}
			r.world.Clock.Advance(time.Hour)
			resource.Set(good[c.section])
			require.Equal(t, esi.Changed, r.sync(t, c.section).Result)
		})
	}
}

func TestQuarantineKeepsTheNewestFew(t *testing.T) {
	r := newRig(t)
	resource := r.world.Serve(path("/wallet"), time.Second)
	for i := range 6 {
		resource.Set(fmt.Sprintf("<%d>", i))
		r.sync(t, eve.SectionWallet)
		r.world.Clock.Advance(time.Minute)
	}
	rows, err := r.pool.Query(t.Context(), "SELECT convert_from(body, 'UTF8') FROM ingest.quarantine ORDER BY id")
	require.NoError(t, err)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"<3>", "<4>", "<5>"}, bodies)
}

func TestAMissingScopeIsNotFoundOutByAsking(t *testing.T) {
	r := newRig(t)
	r.login(t, scopeLocation)
	r.world.Serve(path("/wallet"), time.Minute, `1`)

	outcome := r.sync(t, eve.SectionWallet)

	require.Equal(t, eve.FailureToken, outcome.Failure.Class)
	require.Contains(t, outcome.Failure.Message, scopeWallet)
	require.Empty(t, r.world.Requests(path("/wallet")))
}

func TestAChangedOwnerOrphansTheCharacterOnce(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), time.Minute, `1`)
	r.world.Transfer(pilot, "somebody-else")

	require.Equal(t, eve.FailureToken, r.sync(t, eve.SectionWallet).Failure.Class)
	require.Equal(t, eve.FailureToken, r.sync(t, eve.SectionWallet).Failure.Class)

	require.Equal(t, []event.Type{eve.TypeSectionFailed, eve.TypeCharacterOrphaned}, r.log.types())
	require.True(t, r.fold(t).Character(pilot).Orphaned)
	require.Empty(t, r.world.Requests(path("/wallet")), "the new owner's wallet is not read")
	logins, err := r.vault.Logins(t.Context())
	require.NoError(t, err)
	require.True(t, logins[0].Parked)
}

func TestALostLoginIsReportedForEachSectionAndEndsWhenItIsGivenAgain(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), time.Minute, `1`)
	r.world.Revoke(pilot)
	require.Equal(t, eve.FailureToken, r.sync(t, eve.SectionWallet).Failure.Class)
	r.login(t, scopeWallet)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
	require.Equal(t, []event.Type{eve.TypeSectionFailed, eve.TypeSectionObserved, eve.TypeSectionRecovered}, r.log.types())
}

func TestOfTwoProgramsOneTakesOverTheState(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	other := r.newSyncer(t)
	r.log.before = func() error {
		r.log.before = nil
		// While the first program appends, another one comes and finishes what
		// the first has begun.
		r.log.mu.Unlock()
		defer r.log.mu.Lock()
		_, err := other.Sync(t.Context(), pilot, eve.SectionWallet)
		return err
	}
	_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWallet)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))

	require.Equal(t, esi.NotDue, r.sync(t, eve.SectionWallet).Result)
	require.Len(t, r.log.events, 2)
	require.Equal(t, r.log.events[0].ID, r.log.events[1].ID)
}

func TestCallsForOneSectionAtOnceAskOnce(t *testing.T) {
	r := newRig(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	r.world.Handle(path("/wallet"), blockingHandler(arrived, answer))
	var group sync.WaitGroup
	results := make(chan esi.Outcome, 5)
	call := func() {
		outcome, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWallet)
		if err == nil {
			results <- outcome
		}
	}
	group.Go(call)
	<-arrived
	for range 4 {
		group.Go(call)
	}
	close(answer)
	group.Wait()

	require.Len(t, results, 5)
	require.Len(t, r.world.Requests(path("/wallet")), 1)
	require.Len(t, r.log.types(), 1)
}

func TestUnknownSectionIsNamed(t *testing.T) {
	r := newRig(t)
	_, err := r.syncer.Sync(t.Context(), pilot, "bookmarks")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "bookmarks")
}

func TestForgettingACharacterBeginsAnew(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	r.sync(t, eve.SectionWallet)
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return esi.Forget(t.Context(), tx, pilot) }))
	r.world.Clock.Advance(time.Hour)
	_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionWallet)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "it is not synced until it is registered anew")
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return esi.Remember(t.Context(), tx, pilot) }))
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWallet).Result)
}

func TestWhatIsUnderWayWhenACharacterIsForgottenComesToNothing(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet"), 2*time.Minute, `1`)
	r.sync(t, eve.SectionWallet)
	told := len(r.log.types())
	forget := func() {
		require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return esi.Forget(t.Context(), tx, pilot) }))
	}
	for name, answer := range map[string]string{"a change": `2`, "what cannot be read": `"odd"`} {
		for _, section := range []struct {
			name eve.Section
			path string
		}{{eve.SectionWallet, "/wallet"}, {eve.SectionWalletJournal, "/wallet/journal"}} {
			r.world.Clock.Advance(time.Hour)
			r.world.Handle(path(section.path), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				// Forgotten between the question and its answer.
				forget()
				ingesttest.JSON(w, 200, answer)
			}))
			_, err := r.syncer.Sync(t.Context(), pilot, section.name)
			require.Error(t, err, name)
			require.Len(t, r.log.types(), told, "nothing of a forgotten character is appended")
			for _, table := range []string{"section_state", "page_etag", "quarantine"} {
				var rows int
				require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest."+table).Scan(&rows))
				require.Zero(t, rows, "%s: %s", name, table)
			}
			require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return esi.Remember(t.Context(), tx, pilot) }))
		}
	}
}

func TestPagesOfAReadingThatFailedAreNotSentAgain(t *testing.T) {
	r := newRig(t)
	pages := r.world.Serve(path("/wallet/journal"), time.Hour, "["+entry(12, "2026-08-31", "1")+"]", "["+entry(11, "2026-08-30", "1")+"]", "["+entry(10, "2026-08-29", "1")+"]")
	broken := true
	r.world.Handle(path("/wallet/journal"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if broken && request.URL.Query().Get("page") == "3" {
			ingesttest.JSON(w, 500, `{"error":"oops"}`)
			return
		}
		pages.ServeHTTP(w, request)
	}))
	failed := r.sync(t, eve.SectionWalletJournal)
	require.Equal(t, eve.FailureServer, failed.Failure.Class)
	require.Equal(t, r.world.Clock.Now().Add(time.Hour), failed.NotBefore, "the pages that came are not asked for before they expire")
	require.Empty(t, r.log.types())

	broken = false
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletJournal).Result)

	require.Len(t, r.fold(t).Character(pilot).Journal, 3)
	statuses := map[string]int{}
	for _, request := range r.world.Requests(path("/wallet/journal")) {
		statuses[request.Path[len(path("/wallet/journal")):]] = request.Status
	}
	require.Equal(t, map[string]int{"?page=1": 304, "?page=2": 304, "?page=3": 200}, statuses)

	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWalletJournal).Result, "from now on 304 on all means that nothing changed")
}

func TestOfAnUnreadableReadingTheGoodPagesAreNotSentAgain(t *testing.T) {
	r := newRig(t)
	good := []string{"[" + entry(12, "2026-08-31", "1") + "]", "[" + entry(11, "2026-08-30", "1") + "]"}
	pages := r.world.Serve(path("/wallet/journal"), time.Hour, good[0], `{"wrong":"type"}`)
	require.Equal(t, eve.FailureMalformed, r.sync(t, eve.SectionWalletJournal).Failure.Class)
	r.world.Clock.Advance(time.Hour)
	pages.Set(good...)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletJournal).Result)
	requests := r.world.Requests(path("/wallet/journal?page=1"))
	require.Equal(t, 304, requests[1].Status)
	require.Empty(t, r.world.Requests(path("/wallet/journal?page=2"))[1].Header.Get("If-None-Match"))
	require.Len(t, r.fold(t).Character(pilot).Journal, 2)
}

func TestASetThatKeepsTearingIsReadWithoutConditions(t *testing.T) {
	r := newRig(t)
	// A server whose 304 never says when the page was made.
	r.world.Handle(path("/wallet/journal"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("X-Pages", "2")
		w.Header().Set("ETag", `"same"`)
		w.Header().Set("Cache-Control", "max-age=60")
		second := request.URL.Query().Get("page") == "2"
		if second && request.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", r.world.Clock.Now().Format(http.TimeFormat))
		id := r.world.Clock.Now().Unix()
		if second {
			id = 1
		}
		ingesttest.JSON(w, 200, "["+entry(id, "2026-08-30", "1")+"]")
	}))
	var results []esi.Result
	for range 4 {
		results = append(results, r.sync(t, eve.SectionWalletJournal).Result)
		r.world.Clock.Advance(time.Minute)
	}
	require.Equal(t, []esi.Result{esi.Changed, esi.Failed, esi.Changed, esi.Failed}, results)
}
