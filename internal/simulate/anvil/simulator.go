// Package anvil simulates what a consortium's application sees of AnVIL: the
// services Sam and Rawls over a world of accounts, groups and workspaces that
// drifts away from what was declared, behind a server that is strict about
// requests and keeps its own books.
//
// The world is a pure function of a seed and the time, so a simulator that is
// killed and started again goes on exactly where it would have been. It shares
// no code with the client that it judges.
package anvil

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
	"github.com/muster-sync/muster/internal/simulate/judge"
	"github.com/muster-sync/muster/internal/simulate/statefile"
	"github.com/muster-sync/muster/internal/simulate/worldclock"
)

// Rules of the services, as they appear in violations.
const (
	// RuleUnknownPath: only known paths are asked for.
	RuleUnknownPath = "unknown-path"
	// RuleMethod: an audit only reads.
	RuleMethod = "method"
	// RuleEscaping: each segment of a path is escaped by itself, and no more
	// than it must be or may be; no segment is empty or a dot.
	RuleEscaping = "escaping"
	// RuleQuery: only known parameters, and only where there are any.
	RuleQuery = "query"
	// RuleToken: every request carries a bearer token.
	RuleToken = "token"
	// RuleConcurrency: no more requests at a time than were agreed.
	RuleConcurrency = "concurrency"
	// RuleUnlisted: a request that the served vector does not need.
	RuleUnlisted = "unlisted-request"
)

// Config says what consortium is simulated and how strictly. The zero value of
// each field is a sensible choice.
type Config struct {
	// Seed chooses the world.
	Seed uint64
	// Consortium is its name; empty is "demo".
	Consortium string
	// Accounts, Groups and Workspaces are how many there are; 0 is 60, 20, 15.
	Accounts, Groups, Workspaces int
	// ServiceAccount is the application's own address.
	ServiceAccount string
	// Drift is the share of things in the world that come and go; 0 is 0.03,
	// negative is none.
	Drift float64
	// WideDrift is the share of things that change in further ways, see
	// [ChangeKind]; 0 is none, which is the world as it was before there were any.
	WideDrift float64
	// DriftEvery is how long, in the time of the world, they stay as they are; 0
	// is six hours.
	DriftEvery time.Duration

	// Epoch, Start, Speed and Clock move the world; see [worldclock.New]. Zero
	// is a world that began 30 days ago and keeps up with the wall clock.
	Epoch, Start time.Time
	Speed        float64
	Clock        func() time.Time

	// StateDir is a folder that remembers the time of the world and what was
	// served; empty keeps that in memory alone.
	StateDir string

	// Latency is how long each answer takes.
	Latency time.Duration
	// NoToken lets requests without a bearer token pass.
	NoToken bool
	// MaxInFlight is how many requests at a time are allowed; 0 is any number.
	MaxInFlight int

	// Faults happen from the start.
	Faults []fault.Fault
	// Logger may be nil.
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Start.IsZero() {
		c.Start = c.Clock()
	}
	if c.Epoch.IsZero() {
		c.Epoch = c.Start.Add(-30 * 24 * time.Hour)
	}
	c.Consortium = orDefault(c.Consortium, "demo")
	c.Accounts = orDefault(c.Accounts, 60)
	c.Groups = orDefault(c.Groups, 20)
	c.Workspaces = orDefault(c.Workspaces, 15)
	c.ServiceAccount = orDefault(c.ServiceAccount, "Muster-App@"+strings.ToLower(c.Consortium)+".iam.gserviceaccount.com")
	c.Drift = max(0, orDefault(c.Drift, 0.03))
	c.DriftEvery = orDefault(c.DriftEvery, 6*time.Hour)
	c.Speed = orDefault(c.Speed, 1)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (c *Config) validate() error {
	switch {
	case c.Accounts < 1 || c.Groups < 1 || c.Workspaces < 1:
		return fmt.Errorf("%d accounts, %d groups and %d workspaces: a simulated consortium needs at least one of each", c.Accounts, c.Groups, c.Workspaces)
	case c.Drift > 1:
		return fmt.Errorf("drift %v: a share is at most 1", c.Drift)
	case c.WideDrift < 0 || c.WideDrift > 1:
		return fmt.Errorf("wide drift %v: a share is between 0 and 1", c.WideDrift)
	case c.DriftEvery < time.Second:
		return fmt.Errorf("drift every %s: must be at least a second", c.DriftEvery)
	}
	return nil
}

// source answers requests: a world or a vector.
type source interface {
	// answer is nil if the source does not know the request.
	answer(c call, path, query string, at time.Time) *reply
}

// answer implements source.
func (w *world) answer(c call, _, query string, at time.Time) *reply {
	r := w.reply(c, query, at)
	return &r
}

// Simulator is a running simulated Sam and Rawls. It is safe for concurrent
// use.
type Simulator struct {
	config Config
	source source
	world  *world // nil if a vector is served
	clock  *worldclock.Clock
	faults *fault.Injector
	book   *judge.Book
	state  *statefile.Log[record]

	inFlight    atomic.Int64
	maxInFlight atomic.Int64

	servedMu sync.Mutex
	served   map[string]Answer

	broken failures
}

// New is a simulator of a seeded consortium. With a state folder it goes on with
// the world that the folder remembers; it fails if that is another world than
// the configured one. Close it to release the folder.
func New(config Config) (*Simulator, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	old, err := config.load()
	if err != nil {
		return nil, err
	}
	w := newWorld(&config)
	s, err := newSimulator(config, w)
	if err != nil {
		return nil, err
	}
	s.world = w
	if err := s.resume(old); err != nil {
		return nil, err
	}
	return s, nil
}

// Close releases the state folder.
func (s *Simulator) Close() error { return s.state.Close() }

func newSimulator(config Config, from source) (*Simulator, error) {
	clock, err := worldclock.New(config.Epoch, config.Start, config.Speed, config.Clock)
	if err != nil {
		return nil, err
	}
	faults, err := fault.NewInjector(config.Seed, config.Clock, config.Faults...)
	if err != nil {
		return nil, err
	}
	return &Simulator{
		config: config, source: from, clock: clock, faults: faults,
		book: &judge.Book{}, served: map[string]Answer{},
	}, nil
}

// vector serves a fixed list of answers.
type vector map[string]reply

// answer implements source.
func (v vector) answer(_ call, path, query string, _ time.Time) *reply {
	r, ok := v[path+"?"+query]
	if !ok {
		return nil
	}
	return &r
}

// NewFromVector is a simulator that gives exactly the listed answers. Any other
// request is a violation and answered with 500. Of the configuration only the
// strictness, the latency, the clock and the faults matter.
func NewFromVector(config Config, answers []Answer) (*Simulator, error) {
	config.setDefaults()
	v := vector{}
	for _, a := range answers {
		r := reply{status: a.Status}
		if len(a.Body) > 0 && string(a.Body) != "null" {
			r.body = a.Body
		}
		v[a.Path+"?"+a.Query] = r
	}
	return newSimulator(config, v)
}

// Declared is what the consortium has declared; it agrees with most of the
// world. It is empty if a vector is served.
func (s *Simulator) Declared() Declared {
	if s.world == nil {
		return Declared{}
	}
	return s.world.declared()
}

// Answers are the answers to all requests that an audit of the declaration can
// need, as the world is now; nil if a vector is served.
func (s *Simulator) Answers() []Answer {
	if s.world == nil {
		return nil
	}
	return s.world.answersFor(s.world.declared(), s.clock.World())
}

// Violations are the rules that the client broke, oldest first, at most a
// thousand.
func (s *Simulator) Violations() []judge.Violation { return s.book.Violations() }

// Faults injects faults while the simulator runs.
func (s *Simulator) Faults() *fault.Injector { return s.faults }

// WorldTime is the time in the simulated world, UTC.
func (s *Simulator) WorldTime() time.Time { return s.clock.World() }

// Freeze lets nothing more happen in the world after the given time of its own;
// also after a restart; the zero time lets it go on.
func (s *Simulator) Freeze(at time.Time) error {
	if at.IsZero() {
		s.clock.Thaw()
	} else {
		s.clock.Freeze(at)
	}
	at = at.UTC()
	return s.state.Append(record{Frozen: &at})
}

// Served are the last answers that were given whole and well-formed, one for
// each request, in the order of their paths.
func (s *Simulator) Served() []Answer {
	s.servedMu.Lock()
	defer s.servedMu.Unlock()
	all := make([]Answer, 0, len(s.served))
	for _, a := range s.served {
		all = append(all, a)
	}
	sortAnswers(all)
	return all
}

func (s *Simulator) report(rule string, r *http.Request, format string, args ...any) {
	v := judge.Violation{Rule: rule, Request: r.Method + " " + r.URL.RequestURI(), When: s.clock.Wall(), Detail: fmt.Sprintf(format, args...)}
	s.book.Report(v)
	s.config.Logger.LogAttrs(context.Background(), slog.LevelDebug, "the client broke a rule",
		slog.String("rule", v.Rule), slog.String("request", v.Request), slog.String("detail", v.Detail))
}

// encode is the JSON of a reply; empty for a reply without body.
func (r reply) encode() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	body, err := json.Marshal(r.body)
	if err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	return body, nil
}
