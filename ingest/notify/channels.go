package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/wneessen/go-mail"

	"github.com/muster-sync/muster/domain/event"
)

// Log is a channel that writes notices to the log. Of findings it names the ids and
// no more: their records and values are addresses of people, which do not belong
// there.
type Log struct{ Logger *slog.Logger }

// Name implements [Channel].
func (Log) Name() string { return "log" }

// Send implements [Channel].
func (l Log) Send(ctx context.Context, n Notice) error {
	if n.Kind == KindFindings {
		news := n.findings()
		ids := make([]string, len(news.List))
		for i, f := range news.List {
			ids[i] = f.FindingID.String()
		}
		l.Logger.WarnContext(ctx, "notice", "kind", string(n.Kind), "consortium", n.Consortium, "opened", news.Opened, "changed", news.Changed, "resolved", news.Resolved,
			"findings", ids, "not_listed", news.LeftOut, "occurred_at", n.OccurredAt, "event_id", n.EventID.String())
		return nil
	}
	if n.aboutUser() {
		l.Logger.WarnContext(ctx, "notice", "kind", string(n.Kind), "user", n.UserID, "groups", n.Groups, "reason", n.Reason, "occurred_at", n.OccurredAt, "event_id", n.EventID.String())
		return nil
	}
	l.Logger.WarnContext(ctx, "notice", "kind", string(n.Kind), "character", n.CharacterID, "name", n.CharacterName, "user", n.UserID,
		"reason", n.Reason, "occurred_at", n.OccurredAt, "event_id", n.EventID.String())
	return nil
}

// Webhook's headers.
const (
	// HeaderSignature is "sha256=" and the hexadecimal HMAC-SHA256, with the
	// webhook's secret, of the timestamp's header, a full stop and the body.
	HeaderSignature = "X-Muster-Signature"
	// HeaderTimestamp is when the request was sent, in seconds of Unix time.
	HeaderTimestamp = "X-Muster-Timestamp"
	// HeaderEventID is the event that the notice is about, as in its body.
	HeaderEventID = "X-Muster-Event-Id"
)

// Webhook is a channel that posts notices, as JSON and signed, to an address.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
	now    func() time.Time
}

// minSecret is the least number of bytes of a webhook's secret.
const minSecret = 16

// NewWebhook is a channel to an http or https address. It follows no redirect and
// does not read what is answered: 2xx is delivered, all else is not. It fails with
// [event.CodeInvalid] for an address that cannot be used or a secret that is too
// short.
func NewWebhook(address, secret string, timeout time.Duration) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		// The address may hold a secret, so it is not repeated.
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_WEBHOOK_URL must be a complete http or https address without a user in it")
	}
	if len(secret) < minSecret {
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_WEBHOOK_SECRET must be at least %d characters long: it signs what is posted; make one with `openssl rand -base64 32`", minSecret)
	}
	return &Webhook{
		url: address, secret: []byte(secret), now: time.Now,
		client: &http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close lets go of connections that are not in use.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// Name implements [Channel].
func (w *Webhook) Name() string { return "webhook" }

// posted is what a webhook gets.
type posted struct {
	Notice

	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// Send implements [Channel].
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	body, err := json.Marshal(posted{n, n.Subject(), n.Text()})
	if err != nil {
		return fmt.Errorf("writing a notice: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's address cannot be used")
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Muster")
	request.Header.Set(HeaderEventID, n.EventID.String())
	request.Header.Set(HeaderTimestamp, at)
	request.Header.Set(HeaderSignature, Signature(w.secret, at, body))
	response, err := w.client.Do(request)
	if err != nil {
		return fmt.Errorf("posting to the webhook: %w", withoutURL(err))
	}
	_ = response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the webhook answers %d", response.StatusCode)
	}
	return nil
}

// Signature is what [HeaderSignature] must be for a body sent at a time.
func Signature(secret []byte, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	// A hash never fails to write.
	_, _ = h.Write([]byte(timestamp + "."))
	_, _ = h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// withoutURL is what went wrong without the address, which may hold a secret.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// TLS says how a connection to a mail server is protected.
type TLS string

// The ways to protect a connection to a mail server.
const (
	// TLSMandatory: STARTTLS, or nothing is sent.
	TLSMandatory TLS = "mandatory"
	// TLSImplicit: TLS from the first byte, as on port 465.
	TLSImplicit TLS = "implicit"
	// TLSNone: in the clear; only for servers that are near.
	TLSNone TLS = "none"
)

// EmailConfig says how e-mail is sent.
type EmailConfig struct {
	Host string
	Port int
	// User and Password are those of the mail server; empty for none.
	User, Password string
	From           string
	To             []string
	TLS            TLS
	Timeout        time.Duration
}

// Email is a channel that sends notices by SMTP.
type Email struct {
	config EmailConfig
	client *mail.Client
}

// NewEmail is a channel to the recipients. It fails with [event.CodeInvalid] for a
// configuration that cannot work.
func NewEmail(c EmailConfig) (*Email, error) {
	probe := mail.NewMsg()
	switch {
	case c.Host == "":
		return nil, event.Errorf(event.CodeInvalid, "no mail server: set MUSTER_NOTIFY_EMAIL_HOST")
	case probe.From(c.From) != nil:
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_EMAIL_FROM %q is no e-mail address", c.From)
	case len(c.To) == 0 || probe.To(c.To...) != nil:
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_EMAIL_TO %q: must be e-mail addresses, separated by commas", strings.Join(c.To, ","))
	case c.TLS == TLSNone && c.User != "" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, c.Host):
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_EMAIL_TLS none would send the password to %s in the clear: use mandatory or implicit", c.Host)
	}
	options := []mail.Option{mail.WithPort(c.Port), mail.WithTimeout(c.Timeout)}
	switch c.TLS {
	case TLSImplicit:
		options = append(options, mail.WithSSL())
	case TLSNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case TLSMandatory:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_NOTIFY_EMAIL_TLS %q: must be mandatory, implicit or none", c.TLS)
	}
	if c.User != "" {
		auth := mail.SMTPAuthAutoDiscover
		if c.TLS == TLSNone {
			auth = mail.SMTPAuthPlainNoEnc
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(c.User), mail.WithPassword(c.Password))
	}
	client, err := mail.NewClient(c.Host, options...)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "mail server %s: %w", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), err)
	}
	return &Email{config: c, client: client}, nil
}

// Name implements [Channel].
func (e *Email) Name() string { return "email" }

// Send implements [Channel].
func (e *Email) Send(ctx context.Context, n Notice) error {
	// The same notice has the same id, so that a mailbox may know a second copy.
	return e.Mail(ctx, Message{ID: n.EventID, Date: n.OccurredAt, Subject: "[Muster] " + n.Subject(), Text: n.Text()})
}

// Message is an e-mail to the recipients of an [Email].
type Message struct {
	// ID tells messages apart: a second copy has the same.
	ID   uuid.UUID
	Date time.Time
	// Subject is a single line.
	Subject string
	// Text is what it says, and HTML the same for those who would rather have
	// that; without HTML there is only the text.
	Text, HTML string
}

// Mail sends an e-mail now, once: what cannot be sent is not tried again. Its
// errors do not hold the password.
func (e *Email) Mail(ctx context.Context, message Message) error {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := errors.Join(m.From(e.config.From), m.To(e.config.To...)); err != nil {
		return fmt.Errorf("writing an e-mail: %w", err)
	}
	m.SetMessageIDWithValue(message.ID.String() + "@muster")
	m.SetDateWithValue(message.Date)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.Subject(message.Subject)
	m.SetBodyString(mail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		m.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	}
	if err := e.client.DialAndSendWithContext(ctx, m); err != nil {
		return fmt.Errorf("sending an e-mail by %s: %s", e.config.Host, e.hide(err.Error()))
	}
	return nil
}

// hide takes the password out of a foreign text.
func (e *Email) hide(text string) string {
	if e.config.Password == "" {
		return text
	}
	return strings.ReplaceAll(text, e.config.Password, "[password]")
}
