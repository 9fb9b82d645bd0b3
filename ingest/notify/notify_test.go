package notify_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

const pilot = int64(90000001)

// fake is a channel in memory that fails as often as it is told.
type fake struct {
	mu    sync.Mutex
	sent  []notify.Notice
	fails int
}

func (*fake) Name() string { return "fake" }

func (f *fake) Send(_ context.Context, n notify.Notice) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return errors.New("the line is busy")
	}
	f.sent = append(f.sent, n)
	return nil
}

// rig is a noticer and a deliverer on a real database.
type rig struct {
	t         *testing.T
	pool      *pgxpool.Pool
	now       time.Time
	fake      *fake
	noticer   *notify.Noticer
	deliverer *notify.Deliverer
	metrics   *prometheus.Registry
	out       *bytes.Buffer
	known     bool
	standing  notify.Standing
	offset    int64
	lookErr   error
}

func newRig(t *testing.T, change ...func(*notify.Config, *notify.DelivererConfig)) *rig {
	t.Helper()
	r := &rig{
		t: t, pool: enginetest.Postgres(t), now: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), fake: &fake{}, metrics: prometheus.NewRegistry(), out: &bytes.Buffer{},
		known: true, standing: notify.Standing{Name: "Bruce Wayne", UserID: "ada"},
	}
	require.NoError(t, schema.Migrate(t.Context(), r.pool))
	registry := event.NewRegistry()
	eve.Register(registry)
	logger, clock := slog.New(slog.NewTextHandler(r.out, nil)), func() time.Time { return r.now }
	noticing := notify.Config{
		Pool: r.pool, Registry: registry, Channels: []string{"fake"}, TokenErrors: true, Registerer: r.metrics, Logger: logger, Now: clock,
		Look: func(context.Context, int64) (notify.Standing, bool, error) { return r.standing, r.known, r.lookErr },
	}
	delivering := notify.DelivererConfig{Pool: r.pool, Channels: []notify.Channel{r.fake}, Registerer: r.metrics, Logger: logger, Now: clock}
	for _, f := range change {
		f(&noticing, &delivering)
	}
	var err error
	r.noticer, err = notify.NewNoticer(noticing)
	require.NoError(t, err)
	r.deliverer, err = notify.NewDeliverer(delivering)
	require.NoError(t, err)
	return r
}

func (r *rig) event(p event.Payload) event.Recorded {
	r.t.Helper()
	e, err := event.New(uuid.New(), event.Character(pilot), "test", r.now, p)
	require.NoError(r.t, err)
	r.offset++
	return event.Recorded{Event: e, Position: event.Position{Topic: event.TopicEVE, Offset: r.offset}}
}

// say reacts to an event, and to its second copy.
func (r *rig) say(p event.Payload) event.Recorded {
	r.t.Helper()
	e := r.event(p)
	for range 2 {
		require.NoError(r.t, r.noticer.React(r.t.Context(), e))
	}
	return e
}

// toldLater are the kinds of what was delivered once lost logins are told of.
func (r *rig) toldLater() []notify.Kind {
	r.t.Helper()
	now := r.now
	r.now = now.Add(notify.DefaultReconsider)
	defer func() { r.now = now }()
	return r.told()
}

// told are the kinds of what was delivered.
func (r *rig) told() (kinds []notify.Kind) {
	r.t.Helper()
	require.NoError(r.t, r.deliverer.Deliver(r.t.Context()))
	for _, n := range r.fake.sent {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

func failing(section eve.Section, class eve.FailureClass) eve.SectionFailed {
	return eve.SectionFailed{CharacterID: pilot, Section: section, Class: class, Message: "the login is gone", Since: time.Unix(1, 0)}
}

func TestALostLoginIsToldOnceUntilTheCharacterIsRegisteredAgain(t *testing.T) {
	r := newRig(t)
	first := r.say(failing(eve.SectionWallet, eve.FailureToken))
	r.say(failing(eve.SectionMails, eve.FailureToken))
	r.say(failing(eve.SectionShip, eve.FailureServer))
	require.Equal(t, []notify.Kind{notify.KindTokenError}, r.toldLater())
	require.Equal(t, notify.Notice{
		EventID: first.ID, Kind: notify.KindTokenError, CharacterID: pilot, CharacterName: "Bruce Wayne", UserID: "ada", Reason: "the login is gone", OccurredAt: r.now,
	}, r.fake.sent[0])
	require.Contains(t, r.fake.sent[0].Text(), "muster character register --user ada --character 90000001")

	r.say(eve.CharacterReclaimed{CharacterID: pilot, UserID: "ada"})
	require.Len(t, r.toldLater(), 1)
	r.say(failing(eve.SectionWallet, eve.FailureToken))
	r.say(failing(eve.SectionMails, eve.FailureToken))
	require.Len(t, r.toldLater(), 2)

	// Kafka gives all of it again.
	require.NoError(t, r.noticer.React(t.Context(), first))
	require.Len(t, r.toldLater(), 2)
}

func TestRemovedAndDisabledCharactersAreTold(t *testing.T) {
	r := newRig(t)
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "on leave"})
	r.say(eve.CharacterOrphaned{CharacterID: pilot, Reason: eve.ReasonOwnerHash})
	r.say(eve.CharacterEnabled{CharacterID: pilot})
	require.Equal(t, []notify.Kind{notify.KindDisabled, notify.KindRemoved}, r.toldLater())
	require.Equal(t, eve.ReasonOwnerHash, r.fake.sent[1].Reason)

	r.standing, r.known = notify.Standing{Orphaned: true}, true
	r.say(failing(eve.SectionWallet, eve.FailureToken))
	require.Len(t, r.toldLater(), 2, "an orphan's owner is not waited for")
}

func TestALoginThatARemovalEndedIsNotTold(t *testing.T) {
	for name, then := range map[string]event.Payload{
		"removed":          eve.CharacterOrphaned{CharacterID: pilot, Reason: eve.ReasonOwnerHash},
		"registered again": eve.CharacterReclaimed{CharacterID: pilot, UserID: "ada"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			lost := r.say(failing(eve.SectionWallet, eve.FailureToken))
			require.NoError(t, r.deliverer.Deliver(t.Context()))
			require.Empty(t, r.fake.sent, "somebody may be removing it")
			r.say(then)
			require.NoError(t, r.noticer.React(t.Context(), lost), "Kafka may give all of it again")
			require.NotContains(t, r.toldLater(), notify.KindTokenError)
		})
	}
}

func TestTokenErrorsAreNotToldIfNobodyWantsToKnow(t *testing.T) {
	r := newRig(t, func(c *notify.Config, _ *notify.DelivererConfig) { c.TokenErrors = false })
	r.say(failing(eve.SectionWallet, eve.FailureToken))
	require.Empty(t, r.toldLater())
}

func TestOldEventsAreNoNews(t *testing.T) {
	r := newRig(t)
	old := r.event(eve.CharacterDisabled{CharacterID: pilot, Reason: "long ago"})
	lost := r.event(failing(eve.SectionWallet, eve.FailureToken))
	r.now = r.now.Add(notify.DefaultMaxAge + time.Second)
	require.NoError(t, r.noticer.React(t.Context(), old))
	require.NoError(t, r.noticer.React(t.Context(), lost))
	require.Empty(t, r.toldLater())
	require.Contains(t, r.out.String(), "too old to be news")
	r.say(failing(eve.SectionMails, eve.FailureToken))
	require.Empty(t, r.toldLater(), "it was lost long ago")
}

func TestWhatIsForgottenIsNotToldAnyMore(t *testing.T) {
	r := newRig(t)
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	r.say(failing(eve.SectionWallet, eve.FailureToken))
	r.say(eve.CharacterForgotten{CharacterID: pilot, Reason: "asked for"})
	require.Empty(t, r.toldLater())
	for _, table := range []string{"notice", "notice_login"} {
		var n int
		require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest."+table).Scan(&n))
		require.Zero(t, n)
	}
}

func TestAnEventIsNotParkedBecauseSomethingIsAway(t *testing.T) {
	r := newRig(t)
	r.lookErr = errors.New("the read model is away")
	err := r.noticer.React(t.Context(), r.event(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"}))
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	broken := r.event(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	broken.Data = []byte("{")
	require.Error(t, r.noticer.React(t.Context(), broken))
}

func TestWhatCannotBeDeliveredIsTriedAgainAndThenReported(t *testing.T) {
	r := newRig(t, func(_ *notify.Config, d *notify.DelivererConfig) { d.Attempts = 3 })
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	r.fake.fails = 1
	require.Empty(t, r.told())
	require.Empty(t, r.told(), "not before its pause is over")
	r.now = r.now.Add(10 * time.Second)
	require.Len(t, r.told(), 1)

	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	r.fake.fails = 99
	for range 5 {
		r.told()
		r.now = r.now.Add(6 * time.Hour)
	}
	require.Equal(t, 96, r.fake.fails, "it is given up after three attempts")
	require.Contains(t, r.out.String(), "is given up")
	require.NoError(t, testutil.GatherAndCompare(r.metrics, strings.NewReader(`
# HELP muster_notice_attempts_total Attempts to deliver notices: delivered, retried, or failed for good.
# TYPE muster_notice_attempts_total counter
muster_notice_attempts_total{channel="fake",result="delivered"} 1
muster_notice_attempts_total{channel="fake",result="failed"} 1
muster_notice_attempts_total{channel="fake",result="retried"} 3
# HELP muster_notices Notices that wait to be delivered, and those that were given up.
# TYPE muster_notices gauge
muster_notices{channel="fake",state="due"} 0
muster_notices{channel="fake",state="failed"} 1
`), "muster_notice_attempts_total", "muster_notices"))

	r.now = r.now.Add(31 * 24 * time.Hour)
	r.told()
	var n int
	require.NoError(t, r.pool.QueryRow(t.Context(), "SELECT count(*) FROM ingest.notice").Scan(&n))
	require.Zero(t, n, "what is settled is not kept for ever")
}

func TestTwoDeliverersSendANoticeOnce(t *testing.T) {
	r := newRig(t)
	other, err := notify.NewDeliverer(notify.DelivererConfig{
		Pool: r.pool, Channels: []notify.Channel{r.fake}, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return r.now },
	})
	require.NoError(t, err)
	for range 30 {
		r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	}
	var group sync.WaitGroup
	for _, d := range []*notify.Deliverer{r.deliverer, other} {
		group.Go(func() {
			if err := d.Deliver(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, r.fake.sent, 30)
}

func TestARunningDelivererIsWoken(t *testing.T) {
	r := newRig(t, func(_ *notify.Config, d *notify.DelivererConfig) { d.Poll = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.deliverer.Run(ctx) }()
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	r.deliverer.Wake()
	require.Eventually(t, func() bool {
		r.fake.mu.Lock()
		defer r.fake.mu.Unlock()
		return len(r.fake.sent) == 1
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	<-done
}

func notice() notify.Notice {
	return notify.Notice{
		EventID: uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"), Kind: notify.KindRemoved, CharacterID: pilot, CharacterName: "Bruce\r\nBcc: all@example.org",
		UserID: "ada", Reason: "sold", OccurredAt: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
	}
}

const secret = "a-secret-of-at-least-sixteen"

func TestAWebhookGetsASignedNotice(t *testing.T) {
	type got struct {
		header http.Header
		body   []byte
	}
	received := make(chan got, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- got{r.Header, body}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	w, err := notify.NewWebhook(server.URL, secret, 5*time.Second)
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.Send(t.Context(), notice()))
	g := <-received
	require.Equal(t, notify.Signature([]byte(secret), g.header.Get(notify.HeaderTimestamp), g.body), g.header.Get(notify.HeaderSignature))
	require.Regexp(t, `^sha256=[0-9a-f]{64}$`, g.header.Get(notify.HeaderSignature))
	require.Equal(t, notice().EventID.String(), g.header.Get(notify.HeaderEventID))
	var body map[string]any
	require.NoError(t, json.Unmarshal(g.body, &body))
	require.Equal(t, "removed", body["kind"])
	require.InDelta(t, float64(pilot), body["character_id"], 0)
	require.NotContains(t, string(g.body)+fmt.Sprint(g.header), secret)
}

func TestAWebhookThatDoesNotTakeItIsAFailure(t *testing.T) {
	followed := false
	var status int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			followed = true
			return
		}
		w.Header().Set("Location", "/other")
		w.WriteHeader(status)
	}))
	defer server.Close()
	w, err := notify.NewWebhook(server.URL+"/hook?key=in-the-address", secret, 5*time.Second)
	require.NoError(t, err)
	defer w.Close()
	for _, status = range []int{302, 307, 400, 404, 500} {
		require.ErrorContains(t, w.Send(t.Context(), notice()), "answers "+strconv.Itoa(status))
	}
	require.False(t, followed, "no redirect is followed")
	server.Close()
	err = w.Send(t.Context(), notice())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "in-the-address")
}

func TestAWebhookHasItsTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	w, err := notify.NewWebhook(server.URL, secret, 50*time.Millisecond)
	require.NoError(t, err)
	defer w.Close()
	require.Error(t, w.Send(t.Context(), notice()))
}

func TestWebhooksThatCannotWorkAreRefused(t *testing.T) {
	for _, address := range []string{"", "example.org/hook", "file:///etc/passwd", "ftp://example.org", "http://", "https://user:pass@example.org"} {
		_, err := notify.NewWebhook(address, secret, time.Second)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), address)
		require.NotContains(t, err.Error(), "pass@")
	}
	_, err := notify.NewWebhook("https://example.org", "short", time.Second)
	require.ErrorContains(t, err, "MUSTER_NOTIFY_WEBHOOK_SECRET")
	require.NotContains(t, err.Error(), "short")
}

// sink is a mail server that keeps what it is sent.
type sink struct {
	listener net.Listener
	mails    chan string
	refuse   string
}

func newSink(t *testing.T, refuse string) *sink {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &sink{listener: listener, mails: make(chan string, 9), refuse: refuse}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	return s
}

func (s *sink) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

func (s *sink) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewScanner(conn)
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 sink")
	var envelope, body strings.Builder
	for in.Scan() {
		line := in.Text()
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		switch verb {
		case "EHLO":
			say("250-sink")
			say("250 8BITMIME")
		case "MAIL", "RCPT":
			envelope.WriteString(line + "\n")
			if s.refuse != "" && verb == "RCPT" {
				say(s.refuse)
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			for in.Scan() && in.Text() != "." {
				body.WriteString(in.Text() + "\n")
			}
			s.mails <- envelope.String() + body.String()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *sink) config() notify.EmailConfig {
	return notify.EmailConfig{
		Host: "127.0.0.1", Port: s.port(), From: "muster@example.org", To: []string{"a@example.org", "Admins <b@example.org>"}, TLS: notify.TLSNone, Timeout: 5 * time.Second,
	}
}

func TestAnEmailReachesAllRecipients(t *testing.T) {
	s := newSink(t, "")
	e, err := notify.NewEmail(s.config())
	require.NoError(t, err)
	require.NoError(t, e.Send(t.Context(), notice()))
	got := <-s.mails
	require.Contains(t, got, "RCPT TO:<a@example.org>")
	require.Contains(t, got, "RCPT TO:<b@example.org>")
	require.Contains(t, got, "Message-ID: <7d444840-9dc0-11d1-b245-5ffdce74fad2@muster>")
	require.Contains(t, got, "Auto-Submitted: auto-generated")
	require.Contains(t, got, "Why: sold")
	require.NotContains(t, got, "\nBcc:", "a name cannot add a header")
}

func TestAnEmailThatIsRefusedIsAFailure(t *testing.T) {
	s := newSink(t, "550 nobody here")
	e, err := notify.NewEmail(s.config())
	require.NoError(t, err)
	require.ErrorContains(t, e.Send(t.Context(), notice()), "nobody here")

	s = newSink(t, "")
	c := s.config()
	c.TLS = notify.TLSMandatory
	e, err = notify.NewEmail(c)
	require.NoError(t, err)
	require.Error(t, e.Send(t.Context(), notice()), "the server has no STARTTLS")
	require.Empty(t, s.mails, "nothing is sent in the clear")
}

func TestEmailSettingsThatCannotWorkAreRefused(t *testing.T) {
	good := notify.EmailConfig{Host: "mail.example.org", Port: 587, From: "muster@example.org", To: []string{"a@example.org"}, TLS: notify.TLSMandatory, Timeout: time.Second}
	for want, change := range map[string]func(*notify.EmailConfig){
		"MUSTER_NOTIFY_EMAIL_HOST":      func(c *notify.EmailConfig) { c.Host = "" },
		"MUSTER_NOTIFY_EMAIL_FROM":      func(c *notify.EmailConfig) { c.From = "nobody" },
		"MUSTER_NOTIFY_EMAIL_TO":        func(c *notify.EmailConfig) { c.To = nil },
		`_EMAIL_TO "a@example.org,b"`:   func(c *notify.EmailConfig) { c.To = append(c.To, "b") },
		"in the clear":                  func(c *notify.EmailConfig) { c.TLS, c.User, c.Password = notify.TLSNone, "u", "s3cret" },
		"MUSTER_NOTIFY_EMAIL_TLS \"x\"": func(c *notify.EmailConfig) { c.TLS = "x" },
		"mail server":                   func(c *notify.EmailConfig) { c.Port = 70000 },
	} {
		config := good
		change(&config)
		_, err := notify.NewEmail(config)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), want)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := notify.NewEmail(good)
	require.NoError(t, err)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	_, err := notify.NewNoticer(notify.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = notify.NewDeliverer(notify.DelivererConfig{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, err = notify.NewDeliverer(notify.DelivererConfig{
		Pool: &pgxpool.Pool{}, Channels: []notify.Channel{&fake{}, &fake{}}, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	require.ErrorContains(t, err, "two channels")
}

func TestTheLogIsAChannel(t *testing.T) {
	var out bytes.Buffer
	l := notify.Log{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	require.NoError(t, l.Send(t.Context(), notice()))
	require.Contains(t, out.String(), "kind=removed")
	require.Contains(t, out.String(), "character=90000001")
}

func TestForgettingIsPartOfTheCallersTransaction(t *testing.T) {
	r := newRig(t)
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "r"})
	undone := errors.New("undone")
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
		return errors.Join(notify.Forget(t.Context(), tx, pilot), undone)
	}), undone)
	require.Len(t, r.told(), 1)
}

// Who is to hear of a removal is asked when it happens, and stands in the notice.
func TestANoticeOfARemovalNamesWhomItConcerns(t *testing.T) {
	var asked []int64
	r := newRig(t, func(c *notify.Config, _ *notify.DelivererConfig) {
		c.Recipients = func(_ context.Context, character int64) ([]string, error) {
			asked = append(asked, character)
			return []string{"auditor", "ceo"}, nil
		}
	})
	r.say(eve.CharacterDisabled{CharacterID: pilot, Reason: "asked"})
	require.Empty(t, asked)
	r.say(eve.CharacterOrphaned{CharacterID: pilot, Reason: "sold"})
	require.Equal(t, []int64{pilot, pilot}, asked)
	require.Equal(t, []notify.Kind{notify.KindDisabled, notify.KindRemoved}, r.told())
	require.Empty(t, r.fake.sent[0].Recipients)
	require.Equal(t, []string{"auditor", "ceo"}, r.fake.sent[1].Recipients)
	require.Contains(t, r.fake.sent[1].Text(), "\nFor: auditor, ceo\n")
}
