// Package transport reads ESI's routes by ESI's rules: it never asks before a
// cache expires, keeps account of rate buckets and the shared error limit,
// checks scopes before it sends, reads pages as one set or not at all, and turns
// whatever goes wrong into a [Failure] of a known class.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/sso"
)

// Tokens gives access tokens of characters. Errors are coded:
// [event.CodeUnauthenticated] if the login is gone, [event.CodeUnavailable] if
// it may work later; any other is a trouble of Muster's own.
type Tokens interface {
	// Access is a valid access token with its scopes.
	Access(ctx context.Context, character int64) (sso.Access, error)
	// Reject says that ESI took a token for expired, so that the next Access
	// gives another one.
	Reject(ctx context.Context, character int64, token string) error
}

// Config is how ESI is reached. Zero values mean the defaults named.
type Config struct {
	// BaseURL is ESI's, such as https://esi.evetech.net.
	BaseURL string
	// UserAgent names the program with its version and, in parentheses, a
	// contact; ESI bans the nameless.
	UserAgent string
	// Tokens gives the access tokens.
	Tokens Tokens
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Logger takes a line when a route is cut off or comes back.
	Logger *slog.Logger
	// Tracer makes a span of each request; nil for none. ESI is told nothing of it.
	Tracer trace.Tracer

	// Tenure tells which characters are this program's where several share them:
	// all of them.
	Tenure Tenure
	// Downtime is when not to ask; none by default, [Daily] for the real ESI.
	Downtime Downtime
	// Timeout bounds one request with its answer: 20 s.
	Timeout time.Duration
	// Attempts is how often a request is sent that meets a 5xx or no answer: 3.
	Attempts int
	// Backoff is the wait before the second attempt, doubled for each further
	// one: 500 ms.
	Backoff time.Duration
	// MaxBody bounds a page, unpacked: 16 MiB.
	MaxBody int64
	// ParallelPages bounds how many pages of one reading are asked for at once: 4.
	ParallelPages int
	// BreakAfter is how many failures in a row cut a route off: 10.
	BreakAfter uint32
	// BreakFor is how long a route stays cut off: 30 s.
	BreakFor time.Duration
	// Now is the clock: time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	setDefault(&c.Timeout, 20*time.Second)
	setDefault(&c.Attempts, 3)
	setDefault(&c.Backoff, 500*time.Millisecond)
	setDefault(&c.MaxBody, 16<<20)
	setDefault(&c.ParallelPages, 4)
	setDefault(&c.BreakAfter, 10)
	setDefault(&c.BreakFor, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tenure == nil {
		c.Tenure = alwaysAlone{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

func (c *Config) validate() error {
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https"):
		return event.Errorf(event.CodeInvalid, "ESI's URL %q: must be an http or https URL such as https://esi.evetech.net (MUSTER_ESI_URL)", c.BaseURL)
	case !strings.Contains(c.UserAgent, "/") || !strings.Contains(c.UserAgent, "(") || !strings.Contains(c.UserAgent, "@"):
		return event.Errorf(event.CodeInvalid, "User-Agent %q: must name program, version and contact, as in Muster/1.0 (admin@example.org): ESI bans programs without a contact", c.UserAgent)
	case c.Tokens == nil:
		return event.Errorf(event.CodeInvalid, "no source of access tokens")
	case c.Registerer == nil:
		return event.Errorf(event.CodeInvalid, "no registerer for metrics")
	case c.Attempts < 1 || c.ParallelPages < 1 || c.MaxBody < 1:
		return event.Errorf(event.CodeInvalid, "attempts, parallel pages and the size limit must be at least 1")
	}
	return nil
}

// Client reads routes of ESI. It is safe for concurrent use; all of a program's
// requests must go through one client, since it keeps the accounts.
type Client struct {
	config  Config
	http    *http.Client
	ledger  *ledger
	budget  *budget
	metrics *metrics
	usage   usage
	calls   *calls
	// refusals, health and echoes are what was learnt from answers.
	refusals *refusals
	health   health
	echoes   echoes

	mu       sync.Mutex
	breakers map[string]*gobreaker.TwoStepCircuitBreaker[any]
	// groups has the rate group of operations for which the server named one.
	groups map[string]string
}

// New makes a client. It fails with [event.CodeInvalid] for a configuration that
// cannot work. Close it when it is not needed any more.
func New(config Config) (*Client, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.BaseURL = strings.TrimSuffix(config.BaseURL, "/")
	budget := newBudget(config.Now)
	metrics, err := newMetrics(config.Registerer, budget)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of ESI: %w", err)
	}
	return &Client{
		config: config,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
				TLSHandshakeTimeout: 5 * time.Second,
				TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
				ForceAttemptHTTP2:   true,
				// No bound on connections: a request that waited for one, while others
				// hang, would be sent long after its accounts were looked at.
				MaxIdleConnsPerHost:    64,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: 64 << 10,
			},
			// A redirect could carry the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ledger:   newLedger(config.Now),
		budget:   budget,
		metrics:  metrics,
		calls:    newCalls(config.Now),
		refusals: newRefusals(config.Now),
		usage:    usage{counts: map[[2]string]*Usage{}},
		breakers: map[string]*gobreaker.TwoStepCircuitBreaker[any]{},
		groups:   map[string]string{},
	}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// group is the rate group of a route: the one that the server named last, else
// the catalogue's; empty for a route under the shared error limit.
func (c *Client) group(route catalogue.Route) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if named, ok := c.groups[route.Operation]; ok {
		return named
	}
	return route.Group
}

func (c *Client) nameGroup(route catalogue.Route, named string) {
	if named == "" || len(named) > 64 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[route.Operation] = named
}

// What breakers are told: errServer counts as a failure, errNoVerdict not at all.
var (
	errServer    = errors.New("server failed")
	errNoVerdict = errors.New("given up before there was an answer")
)

func (c *Client) breaker(route catalogue.Route) *gobreaker.TwoStepCircuitBreaker[any] {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.breakers[route.Operation]
	if b == nil {
		b = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Name:        route.Operation,
			Timeout:     c.config.BreakFor,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= c.config.BreakAfter },
			IsExcluded:  func(err error) bool { return errors.Is(err, errNoVerdict) },
			OnStateChange: func(name string, from, to gobreaker.State) {
				c.config.Logger.Warn("route of ESI changed its state", "operation", name, "from", from.String(), "to", to.String())
			},
		})
		c.breakers[route.Operation] = b
	}
	return b
}
