// Package esi simulates EVE Online's API (ESI) and its single sign-on: a world
// of characters whose wallets, journals and places move in time, behind a
// server that is as strict as the real one and keeps its own books.
//
// The world is a pure function of a seed and the time, so a simulator that is
// killed and started again goes on exactly where it would have been. The
// simulator judges the client that talks to it; it shares no code with one, and
// takes all requests for those of a single client.
package esi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
	"github.com/muster-sync/muster/internal/simulate/judge"
	"github.com/muster-sync/muster/internal/simulate/statefile"
	"github.com/muster-sync/muster/internal/simulate/worldclock"
)

// CacheHeaders says how lifetimes are announced.
type CacheHeaders string

const (
	// CacheHeadersLive announces each route as the live service does.
	CacheHeadersLive CacheHeaders = "live"
	// CacheHeadersMaxAge announces all by Cache-Control: max-age.
	CacheHeadersMaxAge CacheHeaders = "max-age"
	// CacheHeadersExpires announces all by Expires alone.
	CacheHeadersExpires CacheHeaders = "expires"
)

// Config says what world is simulated and how strictly. The zero value of each
// field is a sensible choice.
type Config struct {
	// Seed chooses the world.
	Seed uint64
	// Characters is how many there are, from [FirstCharacter] on; 0 is 100.
	Characters int
	// Activity multiplies how much happens; 0 is 1, at most 100.
	Activity float64
	// Assets is how many assets each character has; 0 draws a number for each, as
	// among real players.
	Assets int
	// Epoch is the time of the world at Start; zero is 30 days before Start.
	Epoch time.Time
	// Start is the wall time at which the world begins to move; zero is now. A
	// state folder remembers Epoch, Start and Speed of its world.
	Start time.Time
	// Speed is how many times faster than the wall clock the world moves until
	// it has caught up with the present. Lifetimes of answers are divided by it,
	// to at least a second. 0 is 1.
	Speed float64
	// Clock is the wall clock; nil is [time.Now].
	Clock func() time.Time
	// StateDir is a folder that remembers what was served and which refresh
	// tokens were used; empty keeps that in memory alone.
	StateDir string

	// PageSize is the most elements on a page, where a route has no smaller
	// limit; 0 is each route's own. Below about 250 the bucket can no longer pay
	// for all pages of the busiest journals at once.
	PageSize int
	// ExclusiveFromID leaves the element out that from_id names; otherwise the
	// page begins with it. ESI's documents contradict each other.
	ExclusiveFromID bool
	// Downtime is how long the world's servers are down each day from 11:00 of
	// the world on; 0 is not at all.
	Downtime time.Duration
	// Window and Shape describe the token buckets; the defaults are 15 minutes
	// of the world and [WindowFloating].
	Window time.Duration
	Shape  WindowShape
	// CacheHeaders defaults to [CacheHeadersLive].
	CacheHeaders CacheHeaders
	// PartialScopes is the share of characters that did not grant access to
	// their wallet.
	PartialScopes float64
	// Unregistered is the share of characters in the organisation that nobody
	// has registered.
	Unregistered float64

	// ClientID and ClientSecret are the application's; empty are
	// "muster-simulated" and "simulated-secret".
	ClientID, ClientSecret string
	// PublicClientID is that of an application without a secret, which proves
	// itself by PKCE; empty is "muster-simulated-public".
	PublicClientID string
	// SignInClientID is that of an application without a secret that only asks who
	// somebody is, so that no login of the others ends; empty is
	// "muster-simulated-sign-in".
	SignInClientID string
	// Issuer is that of access tokens; empty is the real one.
	Issuer string
	// TokenLifetime is how long access tokens are good; 0 is 20 minutes of the
	// world, but at least 10 seconds.
	TokenLifetime time.Duration

	// Faults happen from the start.
	Faults []fault.Fault
	// Logger may be nil.
	Logger *slog.Logger
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Characters = orDefault(c.Characters, 100)
	c.Activity = orDefault(c.Activity, 1)
	c.Speed = orDefault(c.Speed, 1)
	if c.Start.IsZero() {
		c.Start = c.Clock()
	}
	if c.Epoch.IsZero() {
		c.Epoch = c.Start.Add(-30 * day)
	}
	c.Shape = orDefault(c.Shape, WindowFloating)
	c.CacheHeaders = orDefault(c.CacheHeaders, CacheHeadersLive)
	c.ClientID = orDefault(c.ClientID, "muster-simulated")
	c.ClientSecret = orDefault(c.ClientSecret, "simulated-secret")
	c.Issuer = orDefault(c.Issuer, "https://login.eveonline.com")
	c.PublicClientID = orDefault(c.PublicClientID, "muster-simulated-public")
	c.SignInClientID = orDefault(c.SignInClientID, "muster-simulated-sign-in")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// setPeriods chooses what follows from the speed.
func (c *Config) setPeriods() {
	c.Window = orDefault(c.Window, c.shorten(15*time.Minute))
	c.TokenLifetime = orDefault(c.TokenLifetime, max(10*time.Second, c.shorten(20*time.Minute)))
}

// shorten is how long a span of the world lasts on the wall clock.
func (c *Config) shorten(d time.Duration) time.Duration { return worldclock.Shorten(d, c.Speed) }

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (c *Config) validate() error {
	switch {
	case c.Characters < 1 || c.Characters > 1_000_000:
		return fmt.Errorf("%d simulated characters: choose between 1 and 1000000", c.Characters)
	case c.Activity < 0 || c.Activity > 100:
		return fmt.Errorf("activity %v of the simulated world: choose between 0 and 100", c.Activity)
	case c.Assets < 0 || c.Assets > mostAssets:
		return fmt.Errorf("%d assets of each character: choose between 0, which draws a number, and %d", c.Assets, mostAssets)
	case c.PageSize < 0 || c.PageSize > 2500:
		return fmt.Errorf("page size %d: ESI has at most 2500 elements on a page", c.PageSize)
	case c.Downtime < 0 || c.Downtime > 12*time.Hour:
		return fmt.Errorf("downtime of %s: must be between nothing and 12 hours", c.Downtime)
	case c.Window != 0 && c.Window < time.Second:
		return fmt.Errorf("window %s of the token buckets: must be at least a second", c.Window)
	case c.Shape != WindowFloating && c.Shape != WindowQuarter:
		return fmt.Errorf("window shape %q: use %q or %q", c.Shape, WindowFloating, WindowQuarter)
	case c.CacheHeaders != CacheHeadersLive && c.CacheHeaders != CacheHeadersMaxAge && c.CacheHeaders != CacheHeadersExpires:
		return fmt.Errorf("cache headers %q: use %q, %q or %q", c.CacheHeaders, CacheHeadersLive, CacheHeadersMaxAge, CacheHeadersExpires)
	case c.PartialScopes < 0 || c.PartialScopes > 1 || c.Unregistered < 0 || c.Unregistered > 1:
		return errors.New("shares of partial scopes and of unregistered characters: must be between 0 and 1")
	}
	return nil
}

// Simulator is a running simulated ESI and SSO. It is safe for concurrent use.
type Simulator struct {
	config Config
	world  *world
	clock  *worldclock.Clock
	routes []*route
	faults *fault.Injector
	book   *judge.Book
	ledger *ledger
	tokens *issuer
	state  *statefile.Log[record]

	characters []character

	sharedMu  sync.Mutex
	shared    map[sharedKey]sharedTold // of routes that belong to no character
	killmails map[int64]struct{}       // whose details were served
	health    map[string]Health        // of routes that are not well

	codesMu sync.Mutex
	codes   map[string]*code // of logins that are not finished
}

// New is a simulator. With a state folder it goes on with the world that the
// folder remembers; it fails if that is another world than the configured one.
// Close it to release the folder.
func New(config Config) (*Simulator, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Simulator{
		config:     config,
		routes:     newRoutes(),
		book:       &judge.Book{},
		characters: make([]character, config.Characters),
		shared:     map[sharedKey]sharedTold{},
		killmails:  map[int64]struct{}{},
		health:     map[string]Health{},
		codes:      map[string]*code{},
	}
	var frozen time.Time
	if config.StateDir != "" {
		var err error
		if frozen, err = s.load(); err != nil {
			return nil, err
		}
	}
	var err error
	s.config.setPeriods()
	s.ledger = newLedger(s.config.Window, config.Shape, s.config.shorten)
	if s.clock, err = worldclock.New(s.config.Epoch, s.config.Start, s.config.Speed, config.Clock); err != nil {
		return nil, err
	}
	if !frozen.IsZero() {
		s.clock.Freeze(frozen)
	}
	s.world = newWorld(config.Seed, config.Characters, config.Activity)
	s.world.assets = config.Assets
	if s.faults, err = fault.NewInjector(config.Seed, config.Clock, config.Faults...); err != nil {
		return nil, err
	}
	if s.tokens, err = newIssuer(&s.config, s.world); err != nil {
		return nil, err
	}
	if config.StateDir != "" {
		if s.state, err = statefile.Rewrite(config.StateDir, stateFile, s.dump); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close releases the state folder.
func (s *Simulator) Close() error { return s.state.Close() }

// load takes over what the state folder remembers.
func (s *Simulator) load() (frozen time.Time, err error) {
	c := &s.config
	err = statefile.Read(c.StateDir, stateFile, func(r record) error {
		switch {
		case r.World != nil:
			w := r.World
			if w.Seed != c.Seed || w.Characters != c.Characters || w.Activity != c.Activity || w.Assets != c.Assets {
				return fmt.Errorf("the folder belongs to the world of seed %d with %d characters, activity %v and %d assets, not to seed %d with %d, %v and %d: choose another folder or the same world",
					w.Seed, w.Characters, w.Activity, w.Assets, c.Seed, c.Characters, c.Activity, c.Assets)
			}
			c.Epoch, c.Start, c.Speed = w.Epoch, w.Start, w.Speed
			return nil
		case r.Frozen != nil:
			frozen = *r.Frozen
			return nil
		}
		return s.loadCharacter(r)
	})
	return frozen, err
}

// dump writes all that has to be remembered, in its shortest form.
func (s *Simulator) dump(l *statefile.Log[record]) error {
	c := &s.config
	first := record{World: &worldRecord{
		Seed: c.Seed, Characters: c.Characters, Activity: c.Activity, Assets: c.Assets,
		Epoch: c.Epoch.UTC(), Start: c.Start.UTC(), Speed: c.Speed,
	}}
	if err := l.Append(first); err != nil {
		return err
	}
	if frozen := s.clock.Frozen(); !frozen.IsZero() {
		if err := l.Append(record{Frozen: &frozen}); err != nil {
			return err
		}
	}
	for id := range s.killmails {
		if err := l.Append(record{Detail: routeKillmail, ID: id}); err != nil {
			return err
		}
	}
	for i := range s.characters {
		if err := s.dumpCharacter(l, FirstCharacter+int64(i), &s.characters[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Simulator) character(id int64) *character {
	i := id - FirstCharacter
	if i < 0 || i >= int64(len(s.characters)) {
		return nil
	}
	return &s.characters[i]
}

// Violations are the rules that the client broke, oldest first, at most a
// thousand.
func (s *Simulator) Violations() []judge.Violation { return s.book.Violations() }

// Faults injects faults while the simulator runs.
func (s *Simulator) Faults() *fault.Injector { return s.faults }

// WorldTime is the time in the simulated world, UTC.
func (s *Simulator) WorldTime() time.Time { return s.clock.World() }

// Freeze lets nothing more happen in the world after the given time of its own,
// also after a restart, so that a client can catch up with it; the zero time
// lets it go on.
func (s *Simulator) Freeze(at time.Time) error {
	if at.IsZero() {
		s.clock.Thaw()
	} else {
		s.clock.Freeze(at)
	}
	at = at.UTC()
	return s.state.Append(record{Frozen: &at})
}

// Forgive drops what the client is expected to remember of earlier answers:
// call it when a client was killed, so that asking again is no breach.
func (s *Simulator) Forgive() {
	for i := range s.characters {
		c := &s.characters[i]
		c.mu.Lock()
		c.told = nil
		for k := range c.details {
			c.details[k].when &^= detailExpiry
		}
		c.mu.Unlock()
	}
	s.sharedMu.Lock()
	clear(s.shared)
	s.sharedMu.Unlock()
}

// report notes that a request broke a rule.
func (s *Simulator) report(rule string, r *http.Request, now time.Time, format string, args ...any) {
	v := judge.Violation{Rule: rule, Request: r.Method + " " + r.URL.RequestURI(), When: now, Detail: fmt.Sprintf(format, args...)}
	s.book.Report(v)
	s.config.Logger.LogAttrs(context.Background(), slog.LevelDebug, "the client broke a rule",
		slog.String("rule", v.Rule), slog.String("request", v.Request), slog.String("detail", v.Detail))
}
