package esi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/ingesttest"
)

// follow works off what is due of a section.
func (r *rig) follow(t *testing.T, section eve.Section) esi.FollowOutcome {
	t.Helper()
	outcome, err := r.syncer.FollowUp(t.Context(), pilot, section)
	require.NoError(t, err)
	return outcome
}

func (r *rig) record(t *testing.T, section eve.Section, key string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for name, value := range r.fold(t).Character(pilot).Records[section][key] {
		fields[name] = string(value)
	}
	return fields
}

func TestEverySectionHasAShapeAndAllScopesOfItsRoutes(t *testing.T) {
	sections := esi.Sections(esi.Options{})
	require.Len(t, sections, len(eve.Shapes()))
	for _, section := range sections {
		_, known := eve.ShapeOf(section.Name)
		require.True(t, known, section.Name)
	}
}

func asset(id, location int64, more string) string {
	return fmt.Sprintf(`{"is_singleton":true,"item_id":%d,"location_flag":"Hangar","location_id":%d,"location_type":"station","quantity":1,"type_id":587%s}`, id, location, more)
}

// names answers like ESI: one id that it does not know fails all.
func (r *rig) names(known map[int64]string) {
	r.world.Handle(path("/assets/names"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var ids []int64
		if json.NewDecoder(request.Body).Decode(&ids) != nil || len(ids) == 0 || len(ids) > 1000 {
			ingesttest.JSON(w, http.StatusBadRequest, `{"error":"bad body"}`)
			return
		}
		var said []string
		for _, id := range ids {
			name, is := known[id]
			if !is {
				ingesttest.JSON(w, http.StatusNotFound, `{"error":"Invalid IDs in the request"}`)
				return
			}
			said = append(said, fmt.Sprintf(`{"item_id":%d,"name":%q}`, id, name))
		}
		ingesttest.JSON(w, http.StatusOK, "["+strings.Join(said, ",")+"]")
	}))
}

func TestAssetsCarryTheNamesThatTheirOwnerGaveThem(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/assets"), time.Hour, "["+asset(1, 60003760, "")+","+asset(2, 60003760, "")+","+asset(3, 1, "")+"]")
	names := map[int64]string{1: "Old Faithful", 2: "None"}
	r.names(names)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result)
	content, err := eve.Dissect(eve.SectionAssets, r.fold(t).Character(pilot).Sections[eve.SectionAssets].Value)
	require.NoError(t, err)
	items := content.Lists[0].Items
	require.Contains(t, string(items[0].Raw), `"name":"Old Faithful"`)
	require.NotContains(t, string(items[1].Raw), "name", "None is ESI's word for no name")
	require.NotContains(t, string(items[2].Raw), "name", "an id that ESI does not know fails nothing else")

	asked := len(r.world.Requests(path("/assets/names")))
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionAssets).Result)
	require.Len(t, r.world.Requests(path("/assets/names")), asked, "names are not asked for again within a day")
	names[1] = "New Hope"
	r.world.Clock.Advance(24 * time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result, "a ship can be renamed while the list stays the same")
}

func TestAListOfAssetsThatCannotBeReadIsNotReliedOn(t *testing.T) {
	r := newRig(t)
	list := r.world.Serve(path("/assets"), time.Hour, `{"items":"none"}`)
	r.names(map[int64]string{1: "Old Faithful"})
	for range 2 {
		outcome := r.sync(t, eve.SectionAssets)
		require.Equal(t, esi.Failed, outcome.Result)
		require.Equal(t, eve.FailureMalformed, outcome.Failure.Class)
		r.world.Clock.Advance(time.Hour)
	}
	require.Equal(t, []string{"", ""}, r.conditional(path("/assets")))
	list.Set("[" + asset(1, 60003760, "") + "]")
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result)
}

func TestNamesOfAssetsAreNotAskedForOneByOneOfAnESIThatKnowsNothing(t *testing.T) {
	r := newRig(t)
	var list []string
	for id := range int64(500) {
		list = append(list, asset(id+1, 60003760, ""))
	}
	r.world.Serve(path("/assets"), time.Hour, "["+strings.Join(list, ",")+"]")
	r.names(nil)
	outcome := r.sync(t, eve.SectionAssets)
	require.Equal(t, esi.Failed, outcome.Result)
	require.Equal(t, eve.FailureNotFound, outcome.Failure.Class)
	require.Len(t, r.world.Requests(path("/assets/names")), 11+1)
	known := map[int64]string{}
	for id := range int64(500) {
		known[id+1] = "None"
	}
	delete(known, 77)
	known[78] = "Old Faithful"
	r.names(known)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result)
	require.Contains(t, string(r.fold(t).Character(pilot).Sections[eve.SectionAssets].Value), "Old Faithful")
}

func TestDefect1TheHashIsNotTakenOverBeforeTheData(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/assets"), time.Hour, "["+asset(1, 60003760, "")+"]")
	r.names(map[int64]string{1: "None"})
	r.log.before = func() error { return errors.New("the log is away") }
	_, err := r.syncer.Sync(t.Context(), pilot, eve.SectionAssets)
	require.Error(t, err)
	r.log.before = nil
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result)
	require.Len(t, r.fold(t).Character(pilot).Sections, 1)
}

func TestDefect6AContactThatLosesItsLastLabelHasNone(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/contacts/labels"), 5*time.Minute, `[{"label_id":1,"label_name":"Friends"}]`)
	contacts := r.world.Serve(path("/contacts"), 5*time.Minute, `[{"contact_id":9,"contact_type":"character","standing":10.0,"label_ids":[1]}]`)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionContacts).Result)
	contacts.Set(`[{"contact_id":9,"contact_type":"character","standing":10.0}]`)
	r.world.Clock.Advance(5 * time.Minute)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionContacts).Result)
	value := string(r.fold(t).Character(pilot).Sections[eve.SectionContacts].Value)
	require.NotContains(t, value, "label_ids")
	require.Contains(t, value, "Friends", "the labels did not change and are still there")
	statuses := map[string]int{}
	for _, request := range r.world.Requests(path("/contacts")) {
		statuses[request.Path] = request.Status
	}
	require.Equal(t, 304, statuses[path("/contacts/labels")])
}

// mailbox serves a mailbox of n mails in ESI's way.
type mailbox struct {
	rig    *rig
	mails  []string // newest first
	unread int
}

func (r *rig) mailbox(t *testing.T, n int) *mailbox {
	t.Helper()
	m := &mailbox{rig: r}
	for i := n; i > 0; i-- {
		m.mails = append(m.mails, mailHeader(i, true))
	}
	r.world.Serve(path("/mail/lists"), 2*time.Minute, `[{"mailing_list_id":145,"name":"Fleets"}]`)
	m.serve()
	return m
}

func mailHeader(id int, read bool) string {
	return fmt.Sprintf(`{"mail_id":%d,"timestamp":"2026-08-%02dT00:00:00Z","subject":"s","from":5,"is_read":%t}`, id, 1+id%28, read)
}

func (m *mailbox) serve() {
	m.rig.world.Serve(path("/mail/labels"), 30*time.Second, fmt.Sprintf(`{"labels":[{"label_id":1,"name":"Inbox","unread_count":%d}],"total_unread_count":%d}`, m.unread, m.unread))
	pages := map[string]http.Handler{}
	m.rig.world.Handle(path("/mail"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		after := request.URL.Query().Get("last_mail_id")
		handler := pages[after]
		if handler == nil {
			from := 0
			if after != "" {
				for i, mail := range m.mails {
					if strings.Contains(mail, `"mail_id":`+after+`,`) {
						from = i + 1
					}
				}
			}
			page := m.mails[from:min(from+50, len(m.mails))]
			handler = ingesttest.Page(m.rig.world, 30*time.Second, "["+strings.Join(page, ",")+"]")
			pages[after] = handler
		}
		handler.ServeHTTP(w, request)
	}))
}

func TestMailsAreReadToTheLimitAndThenOnlyWhenSomethingHintsAtAChange(t *testing.T) {
	r := newRig(t)
	box := r.mailbox(t, 320)
	require.True(t, r.sync(t, eve.SectionMails).FollowUps)
	require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionMails], 250, "250 mails, rounded up to pages of 50")
	walked := len(r.world.Requests(path("/mail?")))

	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionMails).Result)
	require.Len(t, r.world.Requests(path("/mail?")), walked, "nothing hints at a change beyond the first page")

	// The hundredth mail is marked unread: only the labels tell.
	box.mails[99], box.unread = mailHeader(221, false), 1
	box.serve()
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)
	require.Equal(t, "false", r.record(t, eve.SectionMails, "221")["is_read"])

	t.Run("pages that did not change are not sent again", func(t *testing.T) {
		statuses := map[int]int{}
		for _, request := range r.world.Requests(path("/mail?"))[walked:] {
			statuses[request.Status]++
		}
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusNotModified: 3}, statuses)
	})

	t.Run("defect 7: no unread mails are a count too", func(t *testing.T) {
		box.mails[99], box.unread = mailHeader(221, true), 0
		box.serve()
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)
		require.Contains(t, string(r.fold(t).Character(pilot).Sections[eve.SectionMails].Value), `"total_unread_count":0`)
	})
}

// conditional are the headers If-None-Match of the requests for an address.
func (r *rig) conditional(address string) []string {
	var sent []string
	for _, request := range r.world.Requests(address) {
		sent = append(sent, request.Header.Get("If-None-Match"))
	}
	return sent
}

func TestAPartThatCannotBeReadLeavesTheOthersAsTheyCame(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 120)
	lists := r.world.Serve(path("/mail/lists"), 2*time.Minute, `{"items":"none"}`)
	outcome := r.sync(t, eve.SectionMails)
	require.Equal(t, esi.Failed, outcome.Result)
	require.Equal(t, eve.FailureMalformed, outcome.Failure.Class)
	lists.Set(`[{"mailing_list_id":145,"name":"Fleets"}]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)
	require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionMails], 120)
	for _, address := range []string{path("/mail/labels"), path("/mail"), path("/mail?last_mail_id=71"), path("/mail?last_mail_id=21")} {
		sent := r.conditional(address)
		require.NotEmpty(t, sent[len(sent)-1], address)
	}
	sent := r.conditional(path("/mail/lists"))
	require.Empty(t, sent[len(sent)-1], "what could not be read is not relied on")
}

func TestABadPartThatWasKeptBecauseAnotherFailedIsAskedForAnew(t *testing.T) {
	r := newRig(t)
	box := r.mailbox(t, 2)
	r.world.Serve(path("/mail/labels"), 30*time.Second, `["what",42,null]`)
	r.world.Handle(path("/mail"), statusHandler(http.StatusBadGateway))
	require.Equal(t, eve.FailureServer, r.sync(t, eve.SectionMails).Failure.Class)
	box.serve()
	r.world.Serve(path("/mail/labels"), 30*time.Second, `["what",42,null]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, eve.FailureMalformed, r.sync(t, eve.SectionMails).Failure.Class)
	box.serve()
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)
	sent := r.conditional(path("/mail/labels"))
	require.NotEmpty(t, sent[1])
	require.Empty(t, sent[2])
}

func TestAWalkThatIsCutShortGoesOnFromThePagesThatCame(t *testing.T) {
	r := newRig(t)
	box := r.mailbox(t, 120)
	whole := box.mails
	box.mails = append(append([]string{}, whole[:100]...), `{"mail_id":"what"}`)
	box.serve()
	require.Equal(t, esi.Failed, r.sync(t, eve.SectionMails).Result)
	box.mails = whole
	box.serve()
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)
	require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionMails], 120)
	require.NotEmpty(t, r.conditional(path("/mail?last_mail_id=71"))[1])
}

func TestAWalkThatCannotBeReadAtAllLeavesWhatWasKept(t *testing.T) {
	r := newRig(t)
	said := "[" + transaction(7) + "]"
	list := r.world.Serve(path("/wallet/transactions"), time.Hour, said)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletTransactions).Result)
	list.Set(`{"items":"none"}`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Failed, r.sync(t, eve.SectionWalletTransactions).Result)
	list.Set(said)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionWalletTransactions).Result)
	sent := r.conditional(path("/wallet/transactions"))
	require.Len(t, sent, 4, "the first reading looked for older ones, too")
	require.Equal(t, sent[2], sent[3])
	require.NotEmpty(t, sent[3])
}

func TestTheFirstPageOfAWalkThatWasCutShortIsNotSentAgain(t *testing.T) {
	r := newRig(t)
	second := `{"items":"none"}`
	var first []string
	for id := 80; id > 40; id-- {
		first = append(first, transaction(id))
	}
	r.world.Handle(path("/wallet/transactions"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		page := second
		if request.URL.RawQuery == "" {
			page = "[" + strings.Join(first, ",") + "]"
		}
		ingesttest.Page(r.world, time.Hour, page).ServeHTTP(w, request)
	}))
	require.Equal(t, esi.Failed, r.sync(t, eve.SectionWalletTransactions).Result)
	second = "[" + transaction(41) + "]"
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletTransactions).Result)
	require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionWalletTransactions], 40)
	requests := r.world.Requests(path("/wallet/transactions"))
	require.Equal(t, http.StatusNotModified, requests[2].Status)
}

func TestDefect8AFailedBodyIsFetchedAgain(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 2)
	r.world.Handle(path("/mail/2"), statusHandler(http.StatusBadGateway))
	r.world.Serve(path("/mail/1"), 30*time.Second, `{"subject":"s","body":"<b>hello</b>"}`)
	require.True(t, r.sync(t, eve.SectionMails).FollowUps)
	outcome := r.follow(t, eve.SectionMails)
	require.Equal(t, 1, outcome.Failed)
	require.Equal(t, 1, outcome.Events)
	require.False(t, outcome.NextAt.IsZero())
	require.Equal(t, `"\u003cb\u003ehello\u003c/b\u003e"`, r.record(t, eve.SectionMails, "1")["body"])

	t.Run("defect 9: an empty body is a body", func(t *testing.T) {
		r.world.Serve(path("/mail/2"), 30*time.Second, `{"subject":"s"}`)
		r.world.Clock.Advance(time.Hour)
		require.Equal(t, 1, r.follow(t, eve.SectionMails).Events)
		require.Equal(t, `""`, r.record(t, eve.SectionMails, "2")["body"])
		require.True(t, r.follow(t, eve.SectionMails).NextAt.IsZero())
		require.Len(t, r.world.Requests(path("/mail/1")), 1, "bodies do not change")
	})
}

func TestWhatWasFetchedApartBeforeTheProgramStopsIsNotAskedForAgain(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 2)
	r.sync(t, eve.SectionMails)
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	body := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if asked++; asked == 2 {
			stop()
			<-request.Context().Done()
			return
		}
		ingesttest.Page(r.world, 30*time.Second, `{"body":"b"}`).ServeHTTP(w, request)
	})
	r.world.Handle(path("/mail/1"), body)
	r.world.Handle(path("/mail/2"), body)
	_, err := r.syncer.FollowUp(ctx, pilot, eve.SectionMails)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, r.follow(t, eve.SectionMails).Events)
	require.Equal(t, 3, asked)
	for _, id := range []string{"1", "2"} {
		require.Equal(t, `"b"`, r.record(t, eve.SectionMails, id)["body"])
	}
}

func TestWhatWasFetchedApartWhileTheLogIsAwayIsNotAskedForAgain(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 2)
	r.sync(t, eve.SectionMails)
	r.world.Serve(path("/mail/1"), 30*time.Second, `{"body":"one"}`)
	r.world.Serve(path("/mail/2"), 30*time.Second, `{"body":"two"}`)
	_, err := r.syncer.FollowUp(r.away(t), pilot, eve.SectionMails)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, r.record(t, eve.SectionMails, "1")["body"])
	r.log.before = nil

	require.True(t, r.follow(t, eve.SectionMails).NextAt.IsZero())

	require.Equal(t, `"one"`, r.record(t, eve.SectionMails, "1")["body"])
	require.Equal(t, `"two"`, r.record(t, eve.SectionMails, "2")["body"])
	for _, id := range []string{"1", "2"} {
		require.Len(t, r.world.Requests(path("/mail/"+id)), 1)
	}
	events := len(r.log.types())
	r.follow(t, eve.SectionMails)
	require.Len(t, r.log.types(), events, "they are appended once")
}

func TestABodyThatESIDoesNotHaveIsToldOnlyAfterItSaidSoOftenEnough(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 1)
	r.world.Handle(path("/mail/1"), statusHandler(http.StatusNotFound))
	r.sync(t, eve.SectionMails)
	for i := range 3 {
		require.Empty(t, r.record(t, eve.SectionMails, "1")["body_missing"], i)
		r.follow(t, eve.SectionMails)
		r.world.Clock.Advance(24 * time.Hour)
	}
	require.Equal(t, "true", r.record(t, eve.SectionMails, "1")["body_missing"])
	require.Equal(t, `"s"`, r.record(t, eve.SectionMails, "1")["subject"], "the header stays")
	require.True(t, r.follow(t, eve.SectionMails).NextAt.IsZero())
}

func TestABodyIsNotToldToBeGoneByWhatIsInFrontOfESI(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 1)
	r.world.Handle(path("/mail/1"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusNotFound, "<html>Nothing here</html>")
	}))
	r.sync(t, eve.SectionMails)
	for range 5 {
		require.Equal(t, 1, r.follow(t, eve.SectionMails).Failed)
		r.world.Clock.Advance(24 * time.Hour)
	}
	require.Empty(t, r.record(t, eve.SectionMails, "1")["body_missing"])
}

func TestDefect10AServerErrorIsNoSuccess(t *testing.T) {
	r := newRig(t)
	r.world.Handle(path("/loyalty/points"), statusHandler(http.StatusInternalServerError))
	outcome := r.sync(t, eve.SectionLoyalty)
	require.Equal(t, esi.Failed, outcome.Result)
	require.True(t, outcome.ValidatedAt.IsZero())
}

func transaction(id int) string {
	return fmt.Sprintf(`{"transaction_id":%d,"date":"2026-08-30T00:00:00Z","type_id":34,"quantity":1,"unit_price":1.5,"is_buy":true,"is_personal":true,"client_id":1,"journal_ref_id":2,"location_id":60003760}`, id)
}

func TestDefect12TransactionsAreWalkedBackToWhatIsKnown(t *testing.T) {
	for name, inclusive := range map[string]bool{"a server that sends the record again": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			newest := 95
			r.world.Handle(path("/wallet/transactions"), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				from := newest
				if id := request.URL.Query().Get("from_id"); id != "" {
					from, _ = strconv.Atoi(id)
					if !inclusive {
						from--
					}
				}
				var page []string
				for id := from; id > max(0, from-40); id-- {
					page = append(page, transaction(id))
				}
				ingesttest.Page(r.world, time.Hour, "["+strings.Join(page, ",")+"]").ServeHTTP(w, request)
			}))
			r.sync(t, eve.SectionWalletTransactions)
			require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionWalletTransactions], 95)
			before := len(r.world.Requests(path("/wallet/transactions")))
			newest = 100
			r.world.Clock.Advance(time.Hour)
			require.Equal(t, esi.Changed, r.sync(t, eve.SectionWalletTransactions).Result)
			require.Len(t, r.fold(t).Character(pilot).Records[eve.SectionWalletTransactions], 100)
			require.Len(t, r.world.Requests(path("/wallet/transactions")), before+1, "the first page reaches what is known")
		})
	}
}

func contract(id int, kind, status string) string {
	return fmt.Sprintf(`{"contract_id":%d,"type":%q,"status":%q,"date_issued":"2026-08-20T00:00:00Z","date_expired":"2026-09-20T00:00:00Z","issuer_id":1,"issuer_corporation_id":2,"acceptor_id":0,"assignee_id":0,"availability":"public","for_corporation":false}`, id, kind, status)
}

func TestDefect16ItemsAndBidsOfContractsAreTriedAgainAndAskedForOnce(t *testing.T) {
	r := newRig(t)
	contracts := r.world.Serve(path("/contracts"), 5*time.Minute, "["+contract(1, "item_exchange", "outstanding")+","+contract(2, "auction", "outstanding")+","+contract(3, "courier", "outstanding")+"]")
	r.world.Handle(path("/contracts/1/items"), statusHandler(http.StatusServiceUnavailable))
	r.world.Serve(path("/contracts/2/items"), time.Hour, `[]`)
	bids := r.world.Serve(path("/contracts/2/bids"), 5*time.Minute, `[]`)
	r.sync(t, eve.SectionContracts)
	require.Equal(t, 1, r.follow(t, eve.SectionContracts).Failed, "an error in the items is seen")
	require.Equal(t, `[]`, r.record(t, eve.SectionContracts, "2")["items"])

	r.world.Serve(path("/contracts/1/items"), time.Hour, `[{"record_id":1,"type_id":34,"quantity":5,"is_included":true,"is_singleton":false}]`)
	bids.Set(`[{"bid_id":7,"amount":100.5,"bidder_id":3,"date_bid":"2026-08-21T00:00:00Z"}]`)
	r.world.Clock.Advance(4 * time.Hour)
	require.Equal(t, 2, r.follow(t, eve.SectionContracts).Events)
	require.Contains(t, r.record(t, eve.SectionContracts, "1")["items"], `"record_id":1`)
	require.Contains(t, r.record(t, eve.SectionContracts, "2")["bids"], "100.5")
	require.Len(t, r.world.Requests(path("/contracts/2/items")), 1, "an empty list of items is a list")

	t.Run("what ESI does not list any more stays", func(t *testing.T) {
		contracts.Set("[" + contract(2, "auction", "finished") + "]")
		r.world.Clock.Advance(4 * time.Hour)
		require.True(t, r.sync(t, eve.SectionContracts).FollowUps)
		require.Equal(t, `"finished"`, r.record(t, eve.SectionContracts, "2")["status"])
		require.Equal(t, `"outstanding"`, r.record(t, eve.SectionContracts, "1")["status"])
		r.follow(t, eve.SectionContracts)
		require.True(t, r.follow(t, eve.SectionContracts).NextAt.IsZero(), "nobody can bid any more")
		require.NotContains(t, r.conditional(path("/contracts/2/bids"))[1:], "", "what is settled keeps its ETag")
	})
}

func TestKillmailsAreRecordedWithTheirDetails(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/killmails/recent"), 5*time.Minute, `[{"killmail_id":77,"killmail_hash":"abc"}]`)
	r.world.Serve("/killmails/77/abc", 30*24*time.Hour, `{"killmail_id":77,"killmail_time":"2026-08-25T12:00:00Z","solar_system_id":30000142,"attackers":[],"victim":{"ship_type_id":587,"damage_taken":1}}`)
	require.True(t, r.sync(t, eve.SectionKillmails).FollowUps)
	require.Empty(t, r.log.types(), "an id and a hash are no killmail")
	require.Equal(t, 1, r.follow(t, eve.SectionKillmails).Events)
	require.Equal(t, []event.Type{eve.TypeKillmailRecorded}, r.log.types())
	record := r.record(t, eve.SectionKillmails, "77")
	require.Equal(t, `"abc"`, record["killmail_hash"])
	require.Contains(t, record["victim"], "587")
	r.world.Clock.Advance(time.Hour)
	require.False(t, r.sync(t, eve.SectionKillmails).FollowUps)
}

func TestACalendarEventThatIsNotListedAnyMoreBeforeItsDayIsCalledOff(t *testing.T) {
	r := newRig(t)
	planned := func(id int, date string) string {
		return fmt.Sprintf(`{"event_id":%d,"event_date":%q,"title":"Op","event_response":"accepted","importance":0}`, id, date)
	}
	list := r.world.Serve(path("/calendar"), 5*time.Second, "["+planned(1, "2026-09-02T00:00:00Z")+","+planned(2, "2026-09-20T00:00:00Z")+"]")
	r.world.Serve(path("/calendar/1"), 5*time.Second, `{"date":"2026-09-02T00:00:00Z","duration":60,"event_id":1,"importance":0,"owner_id":1,"owner_name":"x","owner_type":"corporation","response":"accepted","text":"t","title":"Op"}`)
	r.world.Serve(path("/calendar/2"), 5*time.Second, `{"date":"2026-09-20T00:00:00Z","duration":60,"event_id":2,"importance":0,"owner_id":1,"owner_name":"x","owner_type":"corporation","response":"accepted","text":"u","title":"Op"}`)
	r.sync(t, eve.SectionCalendar)
	require.Equal(t, 2, r.follow(t, eve.SectionCalendar).Events)
	require.Equal(t, `"u"`, r.record(t, eve.SectionCalendar, "2")["text"])
	list.Set(`[]`)
	r.world.Clock.Advance(36 * time.Hour)
	r.sync(t, eve.SectionCalendar)
	require.Equal(t, "true", r.record(t, eve.SectionCalendar, "1")["listed"], "it is over")
	require.Equal(t, "false", r.record(t, eve.SectionCalendar, "2")["listed"])
	list.Set("[" + planned(2, "2026-09-20T00:00:00Z") + "]")
	r.world.Clock.Advance(time.Hour)
	r.sync(t, eve.SectionCalendar)
	require.Equal(t, "true", r.record(t, eve.SectionCalendar, "2")["listed"])
}

func TestACrashBetweenAppendAndCommitOfAFollowUpRepeatsTheSameEvent(t *testing.T) {
	r := newRig(t)
	r.mailbox(t, 1)
	r.world.Serve(path("/mail/1"), 30*time.Second, `{"body":"b"}`)
	r.sync(t, eve.SectionMails)
	before := len(r.log.events)
	_, err := r.pool.Exec(t.Context(), "CREATE RULE crash AS ON DELETE TO ingest.follow_up DO INSTEAD NOTHING")
	require.NoError(t, err)
	r.follow(t, eve.SectionMails)
	_, err = r.pool.Exec(t.Context(), "DROP RULE crash ON ingest.follow_up")
	require.NoError(t, err)
	r.world.Clock.Advance(time.Minute)
	r.follow(t, eve.SectionMails)
	require.Len(t, r.log.events, before+2)
	require.Equal(t, r.log.events[before].ID, r.log.events[before+1].ID)
}
