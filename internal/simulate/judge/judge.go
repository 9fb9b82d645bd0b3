// Package judge keeps the books of a simulator: what was asked of it, and each
// rule of the simulated service that the client broke.
package judge

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxKept bounds how many violations are kept in full; all are counted.
const maxKept = 1000

// Violation is one breach of a rule of the simulated service.
type Violation struct {
	// Rule names the rule, such as "early-request".
	Rule string `json:"rule"`
	// Request is the method and the target of the request.
	Request string `json:"request"`
	// Detail says what was expected and what came. It holds no secret.
	Detail string `json:"detail,omitempty"`
	// When is the wall time, UTC.
	When time.Time `json:"when"`
}

// RouteCount is how often a route answered with a status.
type RouteCount struct {
	Route  string `json:"route"`
	Status int    `json:"status"`
	Count  int64  `json:"count"`
}

// Book collects violations and counts requests. It is safe for concurrent use;
// the zero Book is empty and ready.
type Book struct {
	mu       sync.Mutex
	kept     []Violation
	byRule   map[string]int64
	requests map[routeStatus]int64
}

type routeStatus struct {
	route  string
	status int
}

// Report notes a violation.
func (b *Book) Report(v Violation) {
	v.When = v.When.UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byRule == nil {
		b.byRule = map[string]int64{}
	}
	b.byRule[v.Rule]++
	if len(b.kept) < maxKept {
		b.kept = append(b.kept, v)
	}
}

// Count notes an answered request. A status of 0 stands for a connection that
// was cut without an answer.
func (b *Book) Count(route string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests == nil {
		b.requests = map[routeStatus]int64{}
	}
	b.requests[routeStatus{route, status}]++
}

// Violations are the first thousand violations, oldest first.
func (b *Book) Violations() []Violation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}

// ByRule counts all violations by their rule.
func (b *Book) ByRule() map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := make(map[string]int64, len(b.byRule))
	maps.Copy(counts, b.byRule)
	return counts
}

// Clear forgets all violations, so that a new run can be judged on its own.
func (b *Book) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.byRule = nil, nil
}

// Requests counts the requests by route and status, in that order.
func (b *Book) Requests() []RouteCount {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := make([]RouteCount, 0, len(b.requests))
	for k, n := range b.requests {
		counts = append(counts, RouteCount{Route: k.route, Status: k.status, Count: n})
	}
	slices.SortFunc(counts, func(x, y RouteCount) int {
		return cmp.Or(cmp.Compare(x.Route, y.Route), cmp.Compare(x.Status, y.Status))
	})
	return counts
}
