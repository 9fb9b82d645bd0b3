package esi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/ingesttest"
)

// The tests of this file are named after the defects of Member Audit, the program
// that Muster stands in for, by their numbers in a study of its code. Those of
// sections with tests of their own are beside these.

func TestDefect2NoErrorsLeftIsNotFine(t *testing.T) {
	r := newRig(t)
	r.world.Handle(path("/orders/history"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ESI-Error-Limit-Remain", "0")
		w.Header().Set("X-ESI-Error-Limit-Reset", "40")
		w.Header().Set("Cache-Control", "max-age=3600")
		ingesttest.JSON(w, http.StatusOK, `[]`)
	}))
	r.world.Serve(path("/orders"), 20*time.Minute, `[]`)
	r.world.Serve(path("/corporationhistory"), 24*time.Hour, `[]`)

	orders := r.sync(t, eve.SectionOrders)
	history := r.sync(t, eve.SectionCorporationHistory)

	require.Equal(t, esi.Deferred, orders.Result, "of the section's own second part, too")
	require.Equal(t, esi.Deferred, history.Result)
	require.Empty(t, r.world.Requests(path("/orders?")))
	require.Empty(t, r.world.Requests(path("/corporationhistory")))
	require.False(t, history.NotBefore.Before(r.world.Clock.Now().Add(40*time.Second)))
	r.world.Clock.Advance(time.Minute)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionCorporationHistory).Result)
}

func TestDefect3TheLimitOfMailsIsReadAndCanBeRaisedAtWill(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 320)
	held := func() int { return len(r.fold(t).Character(pilot).Records[eve.SectionMails]) }
	with := func(mails int) {
		t.Helper()
		var err error
		r.syncer, err = esi.NewSyncer(esi.Config{
			Pool: r.pool, Client: r.client, Appender: r.log, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now,
			Options: esi.Options{Mails: mails},
		})
		require.NoError(t, err)
		r.world.Clock.Advance(25 * time.Hour)
		r.sync(t, eve.SectionMails)
	}
	with(60)
	require.Equal(t, 100, held(), "rounded up to whole pages")
	with(300)
	require.Equal(t, 300, held())
	with(10_000)
	require.Equal(t, 320, held())
	with(1)
	require.Equal(t, 320, held(), "what was told stays")
}

// Until version 5.0 the peer lost who got the tax, and the context of an entry that
// was a structure.
func TestDefect13TheContextAndTheTaxReceiverOfAnEntryAreKept(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/wallet/journal"), time.Hour, `[
		{"id":1,"date":"2026-08-30T10:00:00Z","ref_type":"structure_gate_jump","amount":-5,"balance":1,"description":"d","context_id":1000000000001,"context_id_type":"structure_id","tax":0.1,"tax_receiver_id":98000001},
		{"id":2,"date":"2026-08-30T10:00:00Z","ref_type":"made_up_yesterday","description":"d","context_id":7,"context_id_type":"odd_id","ledger":{"page":3}}]`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletJournal).Result)
	registry := event.NewRegistry()
	eve.Register(registry)
	p, err := registry.Decode(r.log.events[0])
	require.NoError(t, err)
	entries := p.(eve.JournalRecorded).Entries
	require.Len(t, entries, 2)
	require.Equal(t, int64(1000000000001), entries[0].ContextID)
	require.Equal(t, "structure_id", entries[0].ContextIDType)
	require.Equal(t, int64(98000001), entries[0].TaxReceiverID)
	require.Equal(t, "made_up_yesterday", entries[1].RefType)
	require.Equal(t, "odd_id", entries[1].ContextIDType)
	require.JSONEq(t, `{"page":3}`, string(entries[1].Extra["ledger"]))
}

func TestDefect18AttributesThatAreTheSameAreNotToldAgain(t *testing.T) {
	r := newRig(t)
	attributes := r.world.Serve(path("/attributes"), 2*time.Minute, `{"charisma":20,"intelligence":21,"memory":22,"perception":23,"willpower":24}`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAttributes).Result)
	for _, spelt := range []string{`{"charisma":20,"intelligence":21,"memory":22,"perception":23,"willpower":24}`, `{"willpower":24, "perception":23,"memory":22,"intelligence":21,"charisma":20}`} {
		attributes.Set(spelt)
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionAttributes).Result)
	}
	require.Len(t, r.log.types(), 1)
	attributes.Set(`{"charisma":21,"intelligence":20,"memory":22,"perception":23,"willpower":24}`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAttributes).Result)
}

func TestDefect21WhatKeepsFailingIsTriedEverMoreSeldom(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 1)
	r.world.Serve(path("/mail/1"), 30*time.Second, `"no mail"`)
	r.sync(t, eve.SectionMails)
	var waits []time.Duration
	for range 14 {
		outcome := r.follow(t, eve.SectionMails)
		require.Equal(t, 1, outcome.Failed)
		wait := outcome.NextAt.Sub(r.world.Clock.Now())
		r.world.Clock.Advance(wait - time.Second)
		require.Zero(t, r.follow(t, eve.SectionMails).Failed, "it is not due yet")
		r.world.Clock.Advance(time.Second)
		waits = append(waits, wait)
	}
	for i := range waits[1:] {
		require.GreaterOrEqual(t, waits[i+1], waits[i])
	}
	require.Greater(t, waits[3], 4*waits[0])
	require.Equal(t, 6*235*time.Minute, waits[len(waits)-1], "about once a day, and never given up")
}

// A mail, a contract or a killmail that came as something else once is not lost.
func TestWhatWasFetchedApartAndCannotBeReadIsFetchedAgain(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 1)
	r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(1, "item_exchange", "outstanding")+"]")
	r.world.Serve(path("/killmails/recent"), 5*time.Minute, `[{"killmail_id":77,"killmail_hash":"abc"}]`)
	apart := map[eve.Section]struct {
		resource  *ingesttest.Resource
		good, key string
		field     string
	}{
		eve.SectionMails:     {r.world.Serve(path("/mail/1"), 30*time.Second, `["what",42,null]`), `{"body":"b"}`, "1", "body"},
		eve.SectionContracts: {r.world.Serve(path("/contracts/1/items"), time.Hour, `{"items":"none"}`), `[{"record_id":1}]`, "1", "items"},
		eve.SectionKillmails: {r.world.Serve("/killmails/77/abc", 30*24*time.Hour, `{"killmail_id":"77"}`), `{"killmail_id":77,"killmail_time":"2026-08-25T12:00:00Z","victim":{}}`, "77", "victim"},
	}
	for section, a := range apart {
		require.True(t, r.sync(t, section).FollowUps)
		failed := r.follow(t, section)
		require.Equal(t, 1, failed.Failed, section)
		require.Equal(t, eve.FailureMalformed, failed.Failure.Class)
		require.False(t, failed.NextAt.IsZero(), "%s: it is tried again", section)
		require.LessOrEqual(t, failed.NextAt.Sub(r.world.Clock.Now()), time.Minute, "%s: what never changes is not waited for", section)
		a.resource.Set(a.good)
	}
	r.world.Clock.Advance(31 * 24 * time.Hour)
	for section, a := range apart {
		require.Equal(t, 1, r.follow(t, section).Events, section)
		require.NotEmpty(t, r.record(t, section, a.key)[a.field], section)
	}
}

func TestBidsAreLookedAtAsOftenAsContracts(t *testing.T) {
	r := newRig(t)
	var err error
	r.syncer, err = esi.NewSyncer(esi.Config{
		Pool: r.pool, Client: r.client, Appender: r.log, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now,
		Options: esi.Options{Intervals: map[eve.Section]time.Duration{eve.SectionContracts: time.Hour}},
	})
	require.NoError(t, err)
	r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(2, "auction", "outstanding")+"]")
	r.world.Serve(path("/contracts/2/items"), time.Hour, `[]`)
	r.world.Serve(path("/contracts/2/bids"), 5*time.Minute, `[]`)
	r.sync(t, eve.SectionContracts)
	require.Equal(t, r.world.Clock.Now().Add(time.Hour), r.follow(t, eve.SectionContracts).NextAt.UTC())
}

func TestBidsOfAnAuctionThatIsListedNoMoreAreNotAskedForEver(t *testing.T) {
	r := newRig(t)
	contracts := r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(2, "auction", "outstanding")+"]")
	r.world.Serve(path("/contracts/2/items"), time.Hour, `[]`)
	r.world.Serve(path("/contracts/2/bids"), 5*time.Minute, `[]`)
	r.sync(t, eve.SectionContracts)
	r.follow(t, eve.SectionContracts)
	contracts.Set(`[]`)
	r.world.Clock.Advance(5 * time.Hour)
	r.sync(t, eve.SectionContracts)
	require.False(t, r.follow(t, eve.SectionContracts).NextAt.IsZero(), "ESI may just have forgotten it")
	r.world.Clock.Advance(30 * 24 * time.Hour)
	require.True(t, r.follow(t, eve.SectionContracts).NextAt.IsZero())
}

func TestAKillmailIsAskedForOnceForAllWhoWereThere(t *testing.T) {
	r := newRig(t)
	const other = pilot + 1
	grant := r.world.Grant(other, "esi-killmails.read_killmails.v1")
	require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error { return r.vault.PutTx(t.Context(), tx, grant) }))
	for _, who := range []int64{pilot, other} {
		r.world.Serve(fmt.Sprintf("/characters/%d/killmails/recent", who), 5*time.Minute, `[{"killmail_id":77,"killmail_hash":"abc"}]`)
	}
	killmail := r.world.Serve("/killmails/77/abc", 30*24*time.Hour, `{"killmail_id":77,"killmail_time":"2026-08-25T12:00:00Z","solar_system_id":30000142,"attackers":[],"victim":{"ship_type_id":587,"damage_taken":1}}`)
	for _, who := range []int64{pilot, other} {
		outcome, err := r.syncer.Sync(t.Context(), who, eve.SectionKillmails)
		require.NoError(t, err)
		require.True(t, outcome.FollowUps)
		follow, err := r.syncer.FollowUp(t.Context(), who, eve.SectionKillmails)
		require.NoError(t, err)
		require.Equal(t, 1, follow.Events)
		require.Contains(t, string(r.fold(t).Character(who).Records[eve.SectionKillmails]["77"]["victim"]), "587")
		r.syncer = r.newSyncer(t) // it is kept, not remembered
	}
	require.Len(t, r.world.Requests("/killmails/77"), 1)

	t.Run("until it expires", func(t *testing.T) {
		r.world.Clock.Advance(31 * 24 * time.Hour)
		killmail.Set(`{"killmail_id":77,"killmail_time":"2026-08-25T12:00:00Z","victim":{"ship_type_id":670}}`)
		require.NoError(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
			return errors.Join(esi.Forget(t.Context(), tx, other), esi.Remember(t.Context(), tx, other))
		}))
		_, err := r.syncer.Sync(t.Context(), other, eve.SectionKillmails)
		require.NoError(t, err)
		_, err = r.syncer.FollowUp(t.Context(), other, eve.SectionKillmails)
		require.NoError(t, err)
		require.Len(t, r.world.Requests("/killmails/77"), 2)
	})
}

func TestEventsBeyondTheFirstPageOfTheCalendarAreLookedAtDaily(t *testing.T) {
	r := newRig(t)
	planned := func(ids ...int) string {
		var events []string
		for _, id := range ids {
			events = append(events, fmt.Sprintf(`{"event_id":%d,"event_date":"2026-10-%02dT00:00:00Z","title":"Op"}`, id, 1+id/2))
		}
		return "[" + strings.Join(events, ",") + "]"
	}
	var first []int
	for id := 1; id <= 50; id++ {
		first = append(first, id)
	}
	pages := map[string]*ingesttest.Resource{"": ingesttest.Page(r.world, 5*time.Second, planned(first...)), "50": ingesttest.Page(r.world, 5*time.Second, planned(51, 52))}
	r.world.Handle(path("/calendar"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		pages[request.URL.Query().Get("from_event")].ServeHTTP(w, request)
	}))
	r.sync(t, eve.SectionCalendar)
	require.Equal(t, "true", r.record(t, eve.SectionCalendar, "52")["listed"])
	pages["50"].Set(planned(51))
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionCalendar).Result)
	r.world.Clock.Advance(24 * time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionCalendar).Result)
	require.Equal(t, "false", r.record(t, eve.SectionCalendar, "52")["listed"], "it was called off")
	require.Equal(t, "true", r.record(t, eve.SectionCalendar, "50")["listed"])
}
