// Package anvil asks AnVIL's two services, Sam and Rawls, what is there, and
// records what differs from the last time: a sweep.
package anvil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/oauth2"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// The addresses of AnVIL's services.
const (
	DefaultSamURL   = "https://sam.dsde-prod.broadinstitute.org"
	DefaultRawlsURL = "https://rawls.dsde-prod.broadinstitute.org"
)

// ClientConfig says how AnVIL is asked. The zero value asks the real services
// with the machine's own Google account.
type ClientConfig struct {
	// SamURL and RawlsURL are the services; empty means the real ones. What
	// does not run on this machine must be https.
	SamURL, RawlsURL string
	// Credentials is the path of a Google service account's key file; empty
	// means the application default credentials, "none" means no token, which
	// is for services on this machine only.
	Credentials string
	// Timeout bounds one attempt; default 30 s. The list of workspaces of a big
	// consortium takes Rawls several seconds.
	Timeout time.Duration
	// Patience bounds one question with all its retries; default 2 min. A
	// service that asks to wait longer is not waited for.
	Patience time.Duration
	// FirstPause is the pause before the first retry, default 500 ms. Later ones
	// are longer, all vary by chance.
	FirstPause time.Duration
	// Attempts bounds how often a question is asked; default 5.
	Attempts int
	// MaxBody bounds an answer's size in bytes; default 64 MiB.
	MaxBody int64
	// UserAgent is sent with each question; default "muster".
	UserAgent string
	// Transport sends requests; nil means a transport of the client's own.
	Transport http.RoundTripper
	// Tokens overrides the credentials, for programs that have tokens from
	// elsewhere.
	Tokens oauth2.TokenSource
}

// Validate reports the first setting that cannot work, as [event.CodeInvalid],
// with the remedy.
func (c ClientConfig) Validate() error {
	for _, service := range []struct{ variable, address string }{{"MUSTER_SAM_URL", c.SamURL}, {"MUSTER_RAWLS_URL", c.RawlsURL}} {
		if service.address == "" {
			if c.Credentials == NoCredentials {
				return event.Errorf(event.CodeInvalid, "MUSTER_ANVIL_CREDENTIALS is %q, but %s is not set: "+
					"without a token only services on this machine are asked; set %s to a loopback address or name a key file", NoCredentials, service.variable, service.variable)
			}
			continue
		}
		u, err := url.Parse(service.address)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return event.Errorf(event.CodeInvalid, "%s: must be an http or https address without user, query and fragment, such as %s", service.variable, DefaultSamURL)
		}
		switch local := isLoopback(u.Hostname()); {
		case c.Credentials == NoCredentials && !local:
			return event.Errorf(event.CodeInvalid, "MUSTER_ANVIL_CREDENTIALS is %q, but %s is %s: without a token only services on this machine are asked; "+
				"use a loopback address or name a key file", NoCredentials, service.variable, u.Host)
		case u.Scheme == "http" && !local:
			return event.Errorf(event.CodeInvalid, "%s is %s over http: the token would travel in the open; use https", service.variable, u.Host)
		}
	}
	if c.Timeout < 0 || c.Patience < 0 || c.FirstPause < 0 || c.Attempts < 0 || c.MaxBody < 0 {
		return event.Errorf(event.CodeInvalid, "time limits, attempts and sizes of the AnVIL client must not be negative")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c ClientConfig) withDefaults() ClientConfig {
	setDefault(&c.SamURL, DefaultSamURL)
	setDefault(&c.RawlsURL, DefaultRawlsURL)
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.Patience, 2*time.Minute)
	setDefault(&c.FirstPause, 500*time.Millisecond)
	setDefault(&c.Attempts, 5)
	setDefault(&c.MaxBody, 64<<20)
	setDefault(&c.UserAgent, "muster")
	return c
}

func setDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

// Client asks AnVIL. It is safe for concurrent use.
type Client struct {
	config ClientConfig
	bases  map[string]*url.URL
	http   *http.Client
	// tokens is nil if none are sent.
	tokens  oauth2.TokenSource
	metrics clientMetrics
	log     *slog.Logger
}

type clientMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  *prometheus.CounterVec
}

// NewClient makes a client. It reads the credentials but does not ask for a
// token yet. Close it when it is not needed any more.
func NewClient(ctx context.Context, config ClientConfig, log *slog.Logger, metrics prometheus.Registerer) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	c := &Client{config: config, bases: map[string]*url.URL{}, log: log}
	for service, address := range map[string]string{domain.ServiceSam: config.SamURL, domain.ServiceRawls: config.RawlsURL} {
		base, err := url.Parse(strings.TrimRight(address, "/"))
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "address of %s: %w", service, err)
		}
		c.bases[service] = base
	}
	transport := config.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   10 * time.Second,
			ExpectContinueTimeout: time.Second,
		}
	}
	c.http = &http.Client{
		Transport: transport,
		Timeout:   config.Timeout,
		// A redirect is no answer, and must not carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if config.Credentials != NoCredentials {
		tokens, err := tokenSource(ctx, config)
		if err != nil {
			return nil, err
		}
		c.tokens = tokens
	}
	c.metrics = clientMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_anvil_requests_total",
			Help: "Requests to AnVIL by service and status; status 0 means that no answer came.",
		}, []string{"service", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_anvil_request_seconds",
			Help: "Time of one request to AnVIL.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"service"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_anvil_retries_total",
			Help: "Requests to AnVIL that repeated an earlier one.",
		}, []string{"service"}),
	}
	for _, collector := range []prometheus.Collector{c.metrics.requests, c.metrics.seconds, c.metrics.retries} {
		if err := metrics.Register(collector); err != nil {
			return nil, fmt.Errorf("registering metrics of the AnVIL client: %w", err)
		}
	}
	return c, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Reply is what became of a question.
type Reply struct {
	// Status is the HTTP status of the last attempt; zero if it had none.
	Status int
	Body   []byte
	// Failure says why there is no answer that can be used; empty if there is
	// one. It is the same text for the same trouble and holds no secret.
	Failure string
	// Calls counts the attempts.
	Calls int
	// At is when the last attempt ended, UTC.
	At time.Time
}

// CheckToken gets an access token, so that a sweep fails at once, and with the
// reason, if there is none. It fails with [event.CodeUnavailable].
func (c *Client) CheckToken() error {
	if c.tokens == nil {
		return nil
	}
	if _, err := c.tokens.Token(); err != nil {
		return event.Errorf(event.CodeUnavailable, "getting an access token for AnVIL: %s: check MUSTER_ANVIL_CREDENTIALS and that the account is registered with Terra", tokenTrouble(err))
	}
	return nil
}

// Ask asks one question, again while the service is busy or out of reach. It
// fails only when ctx ends: all other trouble is in the reply.
func (c *Client) Ask(ctx context.Context, q domain.Request) (Reply, error) {
	var reply Reply
	if slices.ContainsFunc(q.Segments, func(s string) bool { return s == "" || s == "." || s == ".." }) {
		return Reply{Failure: "cannot be asked: its name is no part of a path", At: time.Now().UTC()}, nil
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = c.config.FirstPause
	calls := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		calls++
		if calls > 1 {
			c.metrics.retries.WithLabelValues(q.Service).Inc()
		}
		var again error
		reply, again = c.attempt(ctx, q)
		return struct{}{}, again
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(uint(c.config.Attempts)), backoff.WithMaxElapsedTime(c.config.Patience))
	reply.Calls, reply.At = calls, time.Now().UTC()
	if cause := context.Cause(ctx); cause != nil {
		return reply, fmt.Errorf("asking %s for %s: %w", q.Service, q.Record.Kind, cause)
	}
	if err != nil {
		c.log.DebugContext(ctx, "AnVIL did not answer", "service", q.Service, "kind", q.Record.Kind, "status", reply.Status, "calls", calls)
	}
	return reply, nil
}

// attempt sends the question once. An error means that it is worth asking
// again; the reply holds what came all the same.
func (c *Client) attempt(ctx context.Context, q domain.Request) (Reply, error) {
	request, failure := c.request(ctx, q)
	if failure != "" {
		return Reply{Failure: failure}, nil
	}
	start := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		c.count(q.Service, 0, start)
		return Reply{Failure: networkTrouble(err)}, errors.New("no answer")
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, c.config.MaxBody+1))
	c.count(q.Service, response.StatusCode, start)
	switch {
	case err != nil:
		return Reply{Status: response.StatusCode, Failure: networkTrouble(err)}, errors.New("the answer was cut off")
	case int64(len(body)) > c.config.MaxBody:
		return Reply{Status: response.StatusCode, Failure: fmt.Sprintf("malformed answer: it is larger than %d bytes", c.config.MaxBody)}, nil
	}
	reply := Reply{Status: response.StatusCode, Body: body}
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500 {
		if wait, ok := retryAfter(response.Header.Get("Retry-After"), time.Now()); ok {
			return reply, &backoff.RetryAfterError{Duration: wait}
		}
		return reply, fmt.Errorf("status %d", response.StatusCode)
	}
	return reply, nil
}

// request builds the request. Each segment of the path is escaped on its own:
// an address may hold a slash or a question mark.
func (c *Client) request(ctx context.Context, q domain.Request) (*http.Request, string) {
	base, ok := c.bases[q.Service]
	if !ok {
		panic("BUG: no service " + q.Service)
	}
	u := *base
	escaped := make([]string, len(q.Segments))
	for i, segment := range q.Segments {
		escaped[i] = url.PathEscape(segment)
	}
	u.Path += "/" + strings.Join(q.Segments, "/")
	u.RawPath = base.EscapedPath() + "/" + strings.Join(escaped, "/")
	u.RawQuery = q.Query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "cannot be asked: its name makes no address"
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.config.UserAgent)
	if c.tokens != nil {
		token, err := c.tokens.Token()
		if err != nil {
			return nil, "no access token: " + tokenTrouble(err)
		}
		token.SetAuthHeader(request)
	}
	return request, ""
}

func (c *Client) count(service string, status int, start time.Time) {
	c.metrics.requests.WithLabelValues(service, strconv.Itoa(status)).Inc()
	c.metrics.seconds.WithLabelValues(service).Observe(time.Since(start).Seconds())
}

// retryAfter reads the header, which holds seconds or a date.
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*3600)) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// networkTrouble words a failed request the same for the same kind of trouble,
// and without addresses or the request itself.
func networkTrouble(err error) string {
	var dns *net.DNSError
	var operation *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer: time-out"
	case errors.As(err, &dns):
		return "no answer: the service's host name is not known"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "no answer: no connection to the service"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "no answer: the answer was cut off"
	default:
		return "no answer: the connection failed"
	}
}
