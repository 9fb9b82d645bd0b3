// Package catalogue says how each ESI route is to be used: its path, scope,
// cache lifetime, rate group and paging. The table is generated from ESI's OpenAPI
// document; what the server says in its headers wins at run time.
package catalogue

import (
	"strconv"
	"strings"
	"time"
)

//go:generate go run ./gen -out routes_gen.go

// CacheMode says when the answer of a route can change.
type CacheMode string

const (
	// TTLBased: the answer is fixed until its lifetime is over.
	TTLBased CacheMode = "ttl-based"
	// EventBased: the answer changes when its subject does; the lifetime is
	// only a hint when to ask again.
	EventBased CacheMode = "event-based"
	// NotCached: each request is answered anew.
	NotCached CacheMode = "not-cached"
)

// Paging says how a route splits a long answer.
type Paging string

const (
	// Single: there is only one answer.
	Single Paging = "single"
	// Pages: numbered pages; the header X-Pages says how many.
	Pages Paging = "x-pages"
)

// Route is one operation of ESI on a character.
type Route struct {
	// Operation is the operation's id in the OpenAPI document.
	Operation string
	Method    string
	// Template is the path with {character_id} in it.
	Template string
	// Scopes are what the token must have been granted, all of them; none for a
	// public route, which is sent without a token.
	Scopes []string
	// Group is the rate group, whose bucket of MaxTokens fills again over
	// Window. It is empty for routes under the shared error limit.
	Group     string
	MaxTokens int
	Window    time.Duration
	// TTL is how long an answer is fresh if its headers do not say.
	TTL    time.Duration
	Cache  CacheMode
	Paging Paging
	// Since is the compatibility date from which the route has this shape.
	Since string
}

// Path is the path of the route for one character.
func (r Route) Path(character int64) string {
	return strings.ReplaceAll(r.Template, "{character_id}", strconv.FormatInt(character, 10))
}

// Public tells whether the route is used without a token.
func (r Route) Public() bool { return len(r.Scopes) == 0 }
