package esi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/ingesttest"
)

// Of a section of several answers one that cannot be read spoils no other: those
// that are good are kept, and are asked for with their ETags.
func TestAnAnswerThatCannotBeReadSpoilsNoOther(t *testing.T) {
	const odd = `{"what":42}`
	header := "[" + mailHeader(1, true) + "]"
	for name, c := range map[string]struct {
		section eve.Section
		// bodies are what each path answers; bad is the one that answers oddly at
		// first, with odd.
		bodies   map[string]string
		bad, odd string
	}{
		"labels of contacts": {eve.SectionContacts, map[string]string{"/contacts/labels": `[]`, "/contacts": `[{"contact_id":9,"contact_type":"character","standing":1}]`}, "/contacts/labels", odd},
		"contacts":           {eve.SectionContacts, map[string]string{"/contacts/labels": `[]`, "/contacts": `[{"contact_id":9,"contact_type":"character","standing":1}]`}, "/contacts", odd},
		"a contact":          {eve.SectionContacts, map[string]string{"/contacts/labels": `[]`, "/contacts": `[{"contact_id":9,"contact_type":"character","standing":1}]`}, "/contacts", `[{"contact_id":9}]`},
		"a label":            {eve.SectionContacts, map[string]string{"/contacts/labels": `[{"label_id":1,"label_name":"x"}]`, "/contacts": `[]`}, "/contacts/labels", `[{"label_id":1}]`},
		"history of orders":  {eve.SectionOrders, map[string]string{"/orders/history": `[]`, "/orders": `[]`}, "/orders/history", odd},
		"mailing lists":      {eve.SectionMails, map[string]string{"/mail/lists": `[]`, "/mail/labels": `{"total_unread_count":0}`, "/mail": header}, "/mail/lists", odd},
		"a mailing list":     {eve.SectionMails, map[string]string{"/mail/lists": `[]`, "/mail/labels": `{"total_unread_count":0}`, "/mail": header}, "/mail/lists", `[{"name":"x"}]`},
		"labels of mails":    {eve.SectionMails, map[string]string{"/mail/lists": `[]`, "/mail/labels": `{"total_unread_count":0}`, "/mail": header}, "/mail/labels", `[]`},
		"a label of mails":   {eve.SectionMails, map[string]string{"/mail/lists": `[]`, "/mail/labels": `{"total_unread_count":0}`, "/mail": header}, "/mail/labels", `{"labels":[7]}`},
		"mails":              {eve.SectionMails, map[string]string{"/mail/lists": `[]`, "/mail/labels": `{"total_unread_count":0}`, "/mail": header}, "/mail", `[{"mail_id":"x","timestamp":7}]`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for rest, body := range c.bodies {
				r.world.Serve(path(rest), time.Hour, body)
			}
			spoilt := r.world.Serve(path(c.bad), time.Hour, c.odd)
			failed := r.sync(t, c.section)
			require.Equal(t, esi.Failed, failed.Result)
			require.Equal(t, eve.FailureMalformed, failed.Failure.Class)
			require.Equal(t, path(c.bad), failed.Failure.Sample.Path, "the one that cannot be read is named")
			require.Contains(t, string(failed.Failure.Sample.Body), c.odd)

			spoilt.Set(c.bodies[c.bad])
			r.world.Clock.Advance(time.Hour)
			require.Equal(t, esi.Changed, r.sync(t, c.section).Result)
			for rest := range c.bodies {
				var last ingesttest.Request
				for _, request := range r.world.Requests(path(rest)) {
					if request.Path == path(rest) || request.Path == path(rest)+"?page=1" {
						last = request
					}
				}
				want := http.StatusNotModified
				if rest == c.bad {
					want = http.StatusOK
				}
				require.Equal(t, want, last.Status, rest)
			}
		})
	}
}

func TestASpoiltAnswerBesideAFailureIsNotConfirmedLater(t *testing.T) {
	r := newRig(t)
	lists := r.world.Serve(path("/mail/lists"), time.Hour, `{"odd":true}`)
	r.world.Serve(path("/mail/labels"), time.Hour, `{"total_unread_count":0}`)
	r.world.Handle(path("/mail"), statusHandler(http.StatusInternalServerError))
	failed := r.sync(t, eve.SectionMails)
	require.Equal(t, eve.FailureServer, failed.Failure.Class, "the mails are what failed")

	lists.Set(`[]`)
	r.world.Serve(path("/mail"), 30*time.Second, `[]`)
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionMails).Result)

	last := func(rest string) int {
		requests := r.world.Requests(path(rest))
		return requests[len(requests)-1].Status
	}
	require.Equal(t, http.StatusOK, last("/mail/lists"), "asked for without the ETag of what was no list")
	require.Equal(t, http.StatusNotModified, last("/mail/labels"), "what was good is only confirmed")
}

func TestNamesThatCannotBeReadSpoilNoAssets(t *testing.T) {
	r := newRig(t)
	r.world.Serve(path("/assets"), time.Hour, "["+asset(1, 60003760, "")+"]")
	r.world.Handle(path("/assets/names"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ingesttest.JSON(w, http.StatusOK, `{"names":"none"}`)
	}))
	failed := r.sync(t, eve.SectionAssets)
	require.Equal(t, eve.FailureMalformed, failed.Failure.Class)
	require.Equal(t, path("/assets/names"), failed.Failure.Sample.Path)
	require.JSONEq(t, `{"names":"none"}`, string(failed.Failure.Sample.Body))
	r.names(map[int64]string{1: "Old Faithful"})
	r.world.Clock.Advance(time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionAssets).Result)
	require.Contains(t, r.value(t, eve.SectionAssets), "Old Faithful")
	requests := r.world.Requests(path("/assets?"))
	require.Equal(t, http.StatusNotModified, requests[len(requests)-1].Status)
}
