package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/notify"
)

// toldOfFindings is a rig whose people want to know of findings.
func toldOfFindings(t *testing.T, threshold anvil.Severity) *rig {
	t.Helper()
	return newRig(t, func(c *notify.Config, _ *notify.DelivererConfig) {
		anvil.Register(c.Registry)
		c.Findings = threshold
	})
}

// audit is what an audit found, as it comes from the log.
type audit struct {
	rig   *rig
	cause event.Event
}

// audited is an audit after a sweep that ends now.
func (r *rig) audited() audit {
	r.t.Helper()
	cause, err := event.New(uuid.New(), event.Consortium("primed"), "test", r.now, anvil.SweepCompleted{SweepID: uuid.New()})
	require.NoError(r.t, err)
	return audit{r, cause}
}

// events are those of the audit in their order.
func (a audit) events(payloads ...event.Payload) []event.Recorded {
	a.rig.t.Helper()
	events, err := anvil.FindingEvents(event.Consortium("primed"), "test", a.cause, a.rig.now, payloads)
	require.NoError(a.rig.t, err)
	recorded := make([]event.Recorded, len(events))
	for i, e := range events {
		a.rig.offset++
		recorded[i] = event.Recorded{Event: e, Position: event.Position{Topic: event.TopicAnVIL, Offset: a.rig.offset}}
	}
	return recorded
}

// say reacts to what the audit found.
func (a audit) say(payloads ...event.Payload) []event.Recorded {
	a.rig.t.Helper()
	events := a.events(payloads...)
	for _, e := range events {
		require.NoError(a.rig.t, a.rig.noticer.React(a.rig.t.Context(), e))
	}
	return events
}

// settled has so much time pass that an audit's findings are told, and is what was
// told so far.
func (r *rig) settled() []notify.Notice {
	r.t.Helper()
	r.now = r.now.Add(notify.DefaultSettle)
	r.told()
	return r.fake.sent
}

func finding(record string, s anvil.Severity) anvil.Finding {
	return anvil.Finding{
		ID:    anvil.FindingID(event.Consortium("primed"), anvil.ModelMemberships, "readers", record, anvil.NotInApp),
		Model: anvil.ModelMemberships, Scope: "readers", Record: record, Kind: anvil.NotInApp, Severity: s, Expected: "not declared", Observed: "MEMBER",
	}
}

func TestTheFindingsOfAnAuditAreOneNotice(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityMedium)
	a := r.audited()
	at := r.now
	a.say(anvil.FindingOpened{Finding: finding("MEMBER: m@example.com", anvil.SeverityMedium)})
	require.Empty(t, r.told(), "there may be more")
	r.now = r.now.Add(notify.DefaultSettle - time.Second)
	a.say(
		anvil.FindingOpened{Finding: finding("ADMIN: h@example.com", anvil.SeverityHigh), Reopened: 2},
		anvil.FindingChanged{Finding: finding("ADMIN: c@example.com", anvil.SeverityHigh), ExpectedBefore: "not declared", ObservedBefore: "ADMIN"},
		anvil.FindingResolved{Finding: finding("MEMBER: r@example.com", anvil.SeverityHigh), ResolvedAt: r.now})
	r.now = r.now.Add(notify.DefaultSettle - time.Second)
	require.Empty(t, r.told(), "it waits from the last one on")
	sent := r.settled()
	require.Len(t, sent, 1)
	n := sent[0]
	require.Equal(t, a.cause.ID, n.EventID)
	require.Equal(t, notify.KindFindings, n.Kind)
	require.Equal(t, "primed", n.Consortium)
	require.Equal(t, at, n.OccurredAt)
	require.Equal(t, [4]int{2, 1, 1, 0}, [4]int{n.Findings.Opened, n.Findings.Changed, n.Findings.Resolved, n.Findings.LeftOut})
	require.Equal(t, []string{"ADMIN: c@example.com", "ADMIN: h@example.com", "MEMBER: r@example.com", "MEMBER: m@example.com"}, records(n), "the gravest first")
	require.Equal(t, "AnVIL consortium primed: 2 findings opened, 1 changed, 1 resolved", n.Subject())
	text := n.Text()
	require.Contains(t, text, "[high] managed_group_memberships readers, ADMIN: h@example.com: not_in_app, again: it was resolved 2 times\n    expected: not declared\n    observed: MEMBER\n")
	require.Contains(t, text, "observed: MEMBER (before: ADMIN)")
	require.Contains(t, text, finding("ADMIN: h@example.com", anvil.SeverityHigh).ID.String())
	require.Contains(t, text, "muster finding list --consortium primed\n")
	require.Len(t, r.settled(), 1)
}

func records(n notify.Notice) (list []string) {
	for _, f := range n.Findings.List {
		list = append(list, f.Record)
	}
	return list
}

func TestTwoAuditsAreTwoNotices(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	r.audited().say(anvil.FindingOpened{Finding: finding("a", anvil.SeverityLow)})
	r.audited().say(anvil.FindingResolved{Finding: finding("a", anvil.SeverityLow)})
	require.Len(t, r.settled(), 2)
}

func TestFindingsAreToldFromASeverityOn(t *testing.T) {
	for threshold, want := range map[anvil.Severity][]string{
		"": nil, anvil.SeverityHigh: {"high"}, anvil.SeverityMedium: {"high", "medium"}, anvil.SeverityLow: {"high", "medium", "low"},
	} {
		r := toldOfFindings(t, threshold)
		a := r.audited()
		for _, s := range []anvil.Severity{anvil.SeverityLow, anvil.SeverityMedium, anvil.SeverityHigh} {
			a.say(anvil.FindingOpened{Finding: finding(string(s), s)})
		}
		sent := r.settled()
		if want == nil {
			require.Empty(t, sent)
			continue
		}
		require.Len(t, sent, 1)
		require.Equal(t, want, records(sent[0]))
	}
}

func TestWhatIsToldOfFindingsIsNotToldAgain(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityMedium)
	a := r.audited()
	events := a.say(anvil.FindingOpened{Finding: finding("a", anvil.SeverityHigh)}, anvil.FindingOpened{Finding: finding("b", anvil.SeverityHigh)})
	again := func() {
		for _, e := range events {
			require.NoError(t, r.noticer.React(t.Context(), e))
		}
	}
	again()
	sent := r.settled()
	require.Len(t, sent, 1)
	require.Equal(t, 2, sent[0].Findings.Opened)
	again()
	require.Len(t, r.settled(), 1)

	// The audit was halted in the middle and goes on when the first half is told.
	a.say(anvil.FindingOpened{Finding: finding("c", anvil.SeverityHigh)}, anvil.FindingOpened{Finding: finding("d", anvil.SeverityHigh)})
	again()
	sent = r.settled()
	require.Len(t, sent, 2, "the rest is told by a notice of its own")
	require.NotEqual(t, sent[0].EventID, sent[1].EventID)
	require.Equal(t, []string{"c", "d"}, records(sent[1]))
}

func TestANoticeThatIsTriedAgainSaysTheSame(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityMedium)
	a := r.audited()
	a.say(anvil.FindingOpened{Finding: finding("a", anvil.SeverityHigh)})
	r.fake.fails = 1
	require.Empty(t, r.settled())
	a.say(anvil.FindingOpened{Finding: finding("b", anvil.SeverityHigh)})
	r.now = r.now.Add(time.Minute)
	sent := r.settled()
	require.Len(t, sent, 2)
	var told []string
	for _, n := range sent {
		require.Equal(t, 1, n.Findings.Opened)
		told = append(told, records(n)...)
	}
	require.ElementsMatch(t, []string{"a", "b"}, told)
}

func TestOldFindingsAreNoNews(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	events := r.audited().events(anvil.FindingOpened{Finding: finding("a@example.com", anvil.SeverityHigh)}, anvil.FindingOpened{Finding: finding("b@example.com", anvil.SeverityHigh)})
	r.now = r.now.Add(notify.DefaultMaxAge + time.Second)
	for _, e := range events {
		require.NoError(t, r.noticer.React(t.Context(), e))
	}
	require.Empty(t, r.settled())
	require.Equal(t, 1, strings.Count(r.out.String(), "too old to be news"), "it is said once for an audit")
	require.NotContains(t, r.out.String(), "example.com")
}

func TestWhatOldNoticesToldIsNotKept(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	r.audited().say(anvil.FindingOpened{Finding: finding("a", anvil.SeverityHigh)})
	require.Len(t, r.settled(), 1)
	r.now = r.now.Add(31 * 24 * time.Hour)
	r.told()
	for _, table := range []string{"notice", "notice_finding"} {
		var n int
		require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest."+table).Scan(&n))
		require.Zero(t, n, table)
	}
}

func TestANoticeOfManyFindingsListsTheGravest(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	var payloads []event.Payload
	for i := range notify.MaxListed + 1 {
		payloads = append(payloads, anvil.FindingOpened{Finding: finding(fmt.Sprintf("r%03d", i), anvil.SeverityLow)})
	}
	r.audited().say(append(payloads, anvil.FindingOpened{Finding: finding("z", anvil.SeverityHigh)})...)
	sent := r.settled()
	require.Len(t, sent, 1)
	require.Equal(t, notify.MaxListed+2, sent[0].Findings.Opened)
	require.Len(t, sent[0].Findings.List, notify.MaxListed)
	require.Equal(t, "z", sent[0].Findings.List[0].Record)
	require.Equal(t, 2, sent[0].Findings.LeftOut)
	require.Contains(t, sent[0].Text(), "2 more are not listed here")
}

func TestOtherEventsOfAConsortiumAreNoNews(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	a := r.audited()
	require.NoError(t, r.noticer.React(t.Context(), event.Recorded{Event: a.cause}))
	require.Empty(t, r.settled())
	broken := a.events(anvil.FindingOpened{Finding: finding("a", anvil.SeverityHigh)})[0]
	broken.Data = []byte("{")
	require.Error(t, r.noticer.React(t.Context(), broken))
}

// newsOfFindings is a notice with texts that mean harm.
func newsOfFindings() notify.Notice {
	change := notify.FindingChange{
		FindingID: uuid.MustParse("0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11"), Change: "opened", Severity: anvil.SeverityHigh, Model: anvil.ModelSharing, Scope: "bp/ws",
		Record: "m@example.com\r\nBcc: all@example.org", Kind: anvil.NotInApp, Expected: "not declared", Observed: "OWNER",
	}
	return notify.Notice{
		EventID: uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"), Kind: notify.KindFindings, Consortium: "it's\r\nBcc: all@example.org",
		Findings: &notify.FindingNews{Opened: 1, List: []notify.FindingChange{change}}, OccurredAt: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
	}
}

func TestTheLogHoldsNoAddressesOfFindings(t *testing.T) {
	var out bytes.Buffer
	n := newsOfFindings()
	n.Consortium = "primed"
	require.NoError(t, notify.Log{Logger: slog.New(slog.NewTextHandler(&out, nil))}.Send(t.Context(), n))
	require.Contains(t, out.String(), "consortium=primed opened=1 changed=0 resolved=0")
	require.Contains(t, out.String(), n.Findings.List[0].FindingID.String())
	require.NotContains(t, out.String(), "example.com")
}

func TestAnEmailOfFindingsStaysWithinItsLines(t *testing.T) {
	s := newSink(t, "")
	e, err := notify.NewEmail(s.config())
	require.NoError(t, err)
	require.NoError(t, e.Send(t.Context(), newsOfFindings()))
	got := <-s.mails
	require.Contains(t, got, "m@example.com")
	require.NotContains(t, got, "\nBcc:")
	require.Contains(t, newsOfFindings().Text(), `--consortium 'it'\''s Bcc: all@example.org'`)
}

func TestAWebhookGetsFindingsInFull(t *testing.T) {
	received := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- body
	}))
	defer server.Close()
	w, err := notify.NewWebhook(server.URL, secret, 5*time.Second)
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.Send(t.Context(), newsOfFindings()))
	var body map[string]any
	require.NoError(t, json.Unmarshal(<-received, &body))
	require.NotContains(t, body, "character_id")
	require.Equal(t, "findings", body["kind"])
	require.Equal(t, map[string]any{"opened": 1., "changed": 0., "resolved": 0., "list": []any{map[string]any{
		"finding_id": "0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11", "change": "opened", "severity": "high", "model": "workspace_sharing", "scope": "bp/ws",
		"record": "m@example.com\r\nBcc: all@example.org", "kind": "not_in_app", "expected": "not declared", "observed": "OWNER",
	}}}, body["findings"])
}

func TestEveryFindingOfAnAuditIsToldOnce(t *testing.T) {
	r := toldOfFindings(t, anvil.SeverityLow)
	rapid.Check(t, func(rt *rapid.T) {
		before := len(r.fake.sent)
		a := r.audited()
		want := map[string]int{}
		var events []event.Recorded
		for i := range rapid.IntRange(1, 5).Draw(rt, "findings") {
			record := fmt.Sprintf("r%d", i)
			events = append(events, a.events(anvil.FindingOpened{Finding: finding(record, anvil.SeverityHigh)})...)
			want[record] = 1
		}
		// The log gives them in order, and begins again from anywhere; in between
		// notices are sent, or fail to be.
		next := 0
		for next < len(events) {
			require.NoError(rt, r.noticer.React(t.Context(), events[next]))
			next++
			switch rapid.IntRange(0, 4).Draw(rt, "then") {
			case 0:
				next = rapid.IntRange(max(0, next-2), next).Draw(rt, "back to")
			case 1:
				r.fake.fails = rapid.IntRange(0, 1).Draw(rt, "fails")
				r.settled()
			}
		}
		r.fake.fails = 0
		r.now = r.now.Add(time.Hour)
		r.settled()
		got := map[string]int{}
		for _, n := range r.fake.sent[before:] {
			for _, record := range records(n) {
				got[record]++
			}
		}
		require.Equal(rt, want, got)
	})
}
