package transport

import (
	"net/http"
	"sync"
	"time"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// A refusal costs more than an answer, and asking again seldom helps. What is
// refused a number of times in a row is therefore left alone, for ever longer
// spans. But that ESI refuses many characters at once tells something about ESI and
// nothing about them.

const (
	// refuseAfter is how many refusals in a row close what is asked for.
	refuseAfter = 5
	// refuseFor is how long it is closed first, doubled with every further
	// refusal up to refuseForMost.
	refuseFor, refuseForMost = 5 * time.Minute, 24 * time.Hour
	// maxRefusals bounds how many are remembered. When there are more, those of the
	// longest ago are forgotten.
	maxRefusals = 20_000

	// stormOf characters that are refused what they were not refused before, within
	// stormWithin and more often than others are answered, are a fault of ESI.
	stormOf     = 5
	stormWithin = time.Minute
	// stormFor is how long the route then rests first, doubled for every further
	// storm without an answer in between up to stormForMost.
	stormFor, stormForMost = time.Minute, 15 * time.Minute
)

// Refusal is what ESI refused at least five times in a row.
type Refusal struct {
	// Operation is ESI's name of the route, Path what was asked for and Character
	// for whom.
	Operation, Path string
	Character       int64
	// Count is how many times in a row it was refused; 0 if it is not any more.
	Count int
	// For is how long it is still left alone.
	For time.Duration
}

type refusalKey struct {
	operation, path string
	character       int64
}

type refusal struct {
	count int
	// last is when it was refused last.
	last, until time.Time
}

// refusals remembers what is refused. It is safe for concurrent use.
type refusals struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[refusalKey]refusal
	routes  map[string]*routeRefusals
	// news are the keys that other programs have to be told of.
	news map[refusalKey]struct{}
}

// routeRefusals is what happened on one route of late.
type routeRefusals struct {
	// begun is when the present window began, answers counts what came since.
	begun   time.Time
	answers int
	// fresh are the first refusals of the window, by character.
	fresh map[int64][]refusalKey
	// storms counts storms since the last good answer.
	storms int
	until  time.Time
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, entries: map[refusalKey]refusal{}, routes: map[string]*routeRefusals{}, news: map[refusalKey]struct{}{}}
}

// closed tells until when something is not asked, and whether that is because of a
// storm.
func (r *refusals) closed(key refusalKey) (until time.Time, storm bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if route := r.routes[key.operation]; route != nil && route.until.After(now) {
		return route.until, true
	}
	if len(r.entries) == 0 {
		return time.Time{}, false
	}
	if entry := r.entries[key]; entry.until.After(now) {
		return entry.until, false
	}
	return time.Time{}, false
}

func (r *refusals) route(operation string, now time.Time) *routeRefusals {
	route := r.routes[operation]
	if route == nil {
		route = &routeRefusals{}
		r.routes[operation] = route
	}
	if now.Sub(route.begun) >= stormWithin {
		route.begun, route.answers, route.fresh = now, 0, nil
	}
	return route
}

// answered is told of a good answer.
func (r *refusals) answered(key refusalKey) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	route := r.route(key.operation, now)
	route.answers++
	route.storms = 0
	if len(r.entries) == 0 {
		return
	}
	if entry, there := r.entries[key]; there {
		delete(r.entries, key)
		if entry.count >= refuseAfter {
			r.news[key] = struct{}{}
		}
	}
}

// refused is told of a refusal. It gives how many there were in a row and until when
// to leave it alone; and whether it is part of a storm, in which case nothing is
// remembered of it.
func (r *refusals) refused(of catalogue.Route, key refusalKey) (count int, until time.Time, storm bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	route := r.route(key.operation, now)
	route.answers++
	entry, before := r.entries[key]
	// What names no character is refused for what it is.
	if !before && of.OfCharacter() && r.storms(route, key, now) {
		return 0, route.until, true
	}
	if !before {
		r.makeRoom()
	}
	entry.count++
	entry.last = now
	if over := entry.count - refuseAfter; over >= 0 {
		wait := min(refuseFor<<min(over, 20), refuseForMost)
		entry.until = now.Add(wait)
		r.news[key] = struct{}{}
	}
	r.entries[key] = entry
	return entry.count, entry.until, false
}

// storms counts a fresh refusal, and tells whether it makes a storm.
func (r *refusals) storms(route *routeRefusals, key refusalKey, now time.Time) bool {
	if route.fresh == nil {
		route.fresh = map[int64][]refusalKey{}
	}
	route.fresh[key.character] = append(route.fresh[key.character], key)
	refusals := 0
	for _, keys := range route.fresh {
		refusals += len(keys)
	}
	// When a storm has passed and there was no good answer yet, one refusal is
	// enough.
	if route.storms == 0 && (len(route.fresh) < stormOf || 2*refusals <= route.answers) {
		return false
	}
	route.until = now.Add(min(stormFor<<min(route.storms, 10), stormForMost))
	route.storms++
	for _, keys := range route.fresh {
		for _, key := range keys {
			delete(r.entries, key)
			delete(r.news, key)
		}
	}
	route.fresh = nil
	return true
}

// makeRoom forgets an old entry if there are too many; r.mu is held.
func (r *refusals) makeRoom() {
	if len(r.entries) < maxRefusals {
		return
	}
	// The order of a map is random: the oldest of a few is old enough.
	const sample = 32
	var oldest refusalKey
	var at time.Time
	looked := 0
	for key, entry := range r.entries {
		if at.IsZero() || entry.last.Before(at) {
			oldest, at = key, entry.last
		}
		if looked++; looked == sample {
			break
		}
	}
	delete(r.entries, oldest)
	delete(r.news, oldest)
}

// takeNews are the refusals that changed since it was last called.
func (r *refusals) takeNews() []Refusal {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var news []Refusal
	for key := range r.news {
		entry := r.entries[key]
		news = append(news, Refusal{
			Operation: key.operation, Path: key.path, Character: key.character, Count: entry.count, For: max(0, entry.until.Sub(now)),
		})
	}
	clear(r.news)
	return news
}

// adopt takes over what is refused, as it was remembered.
func (r *refusals) adopt(told []Refusal) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range told {
		key := refusalKey{one.Operation, one.Path, one.Character}
		if one.Count == 0 || one.Count < r.entries[key].count {
			continue
		}
		if _, there := r.entries[key]; !there {
			r.makeRoom()
		}
		r.entries[key] = refusal{count: one.Count, last: now, until: now.Add(min(one.For, refuseForMost))}
	}
}

// refuses tells whether a status is a refusal of what was asked for.
func refuses(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
}

// TakeRefusals are what is refused for a longer time, or is not any more, since it
// was last called: to be remembered over restarts.
func (c *Client) TakeRefusals() []Refusal { return c.refusals.takeNews() }

// AdoptRefusals takes over what was remembered.
func (c *Client) AdoptRefusals(refusals []Refusal) { c.refusals.adopt(refusals) }

// ErrorNews has something in it when [Client.TakeErrors] has.
func (c *Client) ErrorNews() <-chan struct{} { return c.budget.changed }

// TakeErrors is what happened to the shared error limit since it was last called;
// false if nothing did.
func (c *Client) TakeErrors() (ErrorLimit, bool) { return c.budget.takeNews() }

// PutBackErrors has what could not be told be part of the next [Client.TakeErrors].
func (c *Client) PutBackErrors(news ErrorLimit) { c.budget.putBack(news) }

// AdoptErrors takes over what other programs behind the same address found out.
func (c *Client) AdoptErrors(told ErrorLimit) { c.budget.adopt(told) }
