// Package fault makes a simulated service fail on purpose: scripted or at a
// rate, for one route or for all.
package fault

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind says how a request fails.
type Kind string

// The kinds of faults. A simulator answers a kind it does not know with an
// error when it is configured.
const (
	// ServerError answers with Status (502 if unset) instead of serving.
	ServerError Kind = "server-error"
	// RateLimited answers 429 with Retry-After.
	RateLimited Kind = "rate-limited"
	// RateLimitedBare answers 429 without any header that explains it.
	RateLimitedBare Kind = "rate-limited-bare"
	// ErrorLimited answers 420 on every route, as if the error budget of the
	// caller were used up. Only ESI knows it.
	ErrorLimited Kind = "error-limited"
	// Truncated sends half of the JSON as a complete answer.
	Truncated Kind = "truncated"
	// CutOff announces the whole answer, sends half and closes the connection.
	CutOff Kind = "cut-off"
	// HTML answers with a page for people, with Status (200 if unset).
	HTML Kind = "html"
	// WrongTypes answers 200 with well-formed JSON of another shape.
	WrongTypes Kind = "wrong-types"
	// Slow waits for Delay (2 s if unset) before serving normally.
	Slow Kind = "slow"
	// Hang never answers; it ends when the client gives up, or after Delay (60 s
	// if unset).
	Hang Kind = "hang"
	// Reset closes the connection without an answer.
	Reset Kind = "reset"
	// Maintenance answers 404 to everything, which proves nothing.
	Maintenance Kind = "maintenance"
	// Downtime answers 503 with a Retry-After.
	Downtime Kind = "downtime"
	// Torn serves pages of one listing from different moments. Only ESI knows it.
	Torn Kind = "torn"
	// Forbidden answers 403 though the caller may, as during trouble with the
	// sign-on. Only ESI knows it.
	Forbidden Kind = "forbidden"
	// Throttled answers 520, as the game server does to those who ask too fast.
	// Only ESI knows it.
	Throttled Kind = "throttled"
	// BareNotModified leaves out of a 304 what says how long the answer is good and
	// how many pages there are. Only ESI knows it.
	BareNotModified Kind = "bare-not-modified"
)

// Kinds lists all kinds of faults.
func Kinds() []Kind {
	return []Kind{
		ServerError, RateLimited, RateLimitedBare, ErrorLimited, Truncated, CutOff, HTML, WrongTypes,
		Slow, Hang, Reset, Maintenance, Downtime, Torn, Forbidden, Throttled, BareNotModified,
	}
}

// Fault is a rule by which requests fail.
type Fault struct {
	Kind Kind `json:"kind"`
	// Route limits the fault to the route of that name; empty or "*" means all.
	Route string `json:"route,omitempty"`
	// Rate is the share of matching requests that fail, up to 1; zero means 1.
	Rate float64 `json:"rate,omitempty"`
	// Count ends the fault after so many failures; zero means no end.
	Count int `json:"count,omitempty"`
	// Until ends the fault at a wall time; the zero time means no end.
	Until time.Time `json:"until,omitzero"`
	// For is another way to say Until, from when the fault is added, such as
	// "30s".
	For Duration `json:"for,omitempty"`
	// Burst is how many matching requests in a row fail each time that one is drawn;
	// zero means 1.
	Burst int `json:"burst,omitempty"`
	// Status is that of a server error, where zero means 502, or of a page for
	// people, where zero means 200.
	Status int `json:"status,omitempty"`
	// Delay is that of a slow or hanging answer, such as "2s".
	Delay Duration `json:"delay,omitempty"`
}

// Duration is a span of time written like "1m30s" in JSON.
type Duration time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: write it like 30s or 2m", text)
	}
	*d = Duration(v)
	return nil
}

// Validate reports the first rule that the fault breaks.
func (f Fault) Validate() error {
	switch {
	case !slices.Contains(Kinds(), f.Kind):
		names := make([]string, len(Kinds()))
		for i, k := range Kinds() {
			names[i] = string(k)
		}
		return fmt.Errorf("fault kind %q is not known: use one of %s", f.Kind, strings.Join(names, ", "))
	case f.Rate < 0 || f.Rate > 1:
		return fmt.Errorf("rate %v of fault %s: must be between 0 and 1", f.Rate, f.Kind)
	case f.Count < 0 || f.For < 0 || f.Delay < 0 || f.Burst < 0:
		return fmt.Errorf("fault %s: count, for, burst and delay must not be negative", f.Kind)
	case (f.Kind == ServerError || f.Kind == HTML) && f.Status != 0 && (f.Status < 500 || f.Status > 599):
		return fmt.Errorf("status %d of fault %s: must be between 500 and 599", f.Status, f.Kind)
	}
	return nil
}

// Injector decides which requests fail. It is safe for concurrent use.
type Injector struct {
	mu     sync.Mutex
	rng    *rand.Rand
	now    func() time.Time
	active []Fault
}

// NewInjector is an injector whose draws depend on the seed and the order of
// the requests. It fails if a fault is invalid.
func NewInjector(seed uint64, now func() time.Time, faults ...Fault) (*Injector, error) {
	i := &Injector{rng: rand.New(rand.NewPCG(seed, 0xfa)), now: now}
	if err := i.Add(faults...); err != nil {
		return nil, err
	}
	return i, nil
}

// Add makes the faults happen from now on, beside those already active. If one
// is invalid, none is added.
func (i *Injector) Add(faults ...Fault) error {
	for _, f := range faults {
		if err := f.Validate(); err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range faults {
		if f.For > 0 {
			f.Until, f.For = i.now().Add(time.Duration(f.For)).UTC(), 0
		}
		i.active = append(i.active, f)
	}
	return nil
}

// Clear ends all faults.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.active = nil
}

// Active lists the faults that may still happen.
func (i *Injector) Active() []Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expire()
	return append([]Fault{}, i.active...)
}

// Draw decides whether a request of the route fails, and how. The first fault
// that matches and is drawn wins; faults of the excepted kinds make no sense for
// this request and are left for another.
func (i *Injector) Draw(route string, except ...Kind) (Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.active) == 0 {
		return Fault{}, false
	}
	i.expire()
	for n := range i.active {
		f := &i.active[n]
		if f.Route != "" && f.Route != "*" && f.Route != route || slices.Contains(except, f.Kind) {
			continue
		}
		if f.Rate > 0 && i.rng.Float64() >= f.Rate {
			continue
		}
		drawn := *f
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				i.active = slices.Delete(i.active, n, n+1)
			}
		}
		if drawn.Burst > 1 {
			rest := drawn
			rest.Rate, rest.Burst, rest.Count = 0, 0, drawn.Burst-1
			i.active = slices.Insert(i.active, 0, rest)
		}
		return drawn, true
	}
	return Fault{}, false
}

func (i *Injector) expire() {
	now := i.now()
	i.active = slices.DeleteFunc(i.active, func(f Fault) bool { return !f.Until.IsZero() && !now.Before(f.Until) })
}
