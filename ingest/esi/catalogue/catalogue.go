// Package catalogue says how each ESI route is to be used: its path, scope,
// cache lifetime, rate group and paging. The table is generated from ESI's OpenAPI
// document; what the server says in its headers wins at run time.
package catalogue

import (
	"fmt"
	"net/url"
	"slices"
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
	// FromID: the newest records first; those older than one are asked for with
	// the query parameter from_id. Whether the one named comes again is not sure.
	FromID Paging = "from-id"
	// LastMailID: the newest 50 first; those below an id are asked for with
	// last_mail_id.
	LastMailID Paging = "last-mail-id"
	// FromEvent: the next 50 events first; those after one are asked for with
	// from_event.
	FromEvent Paging = "from-event"
	// Cursor: records in the order of their last change, walked with the tokens
	// that each answer holds; the way of all new routes.
	Cursor Paging = "cursor"
)

// Route is one operation of ESI.
type Route struct {
	// Operation is the operation's id in the OpenAPI document.
	Operation string
	// Method is GET or POST.
	Method string
	// Template is the path with its parameters in braces, such as
	// {character_id}.
	Template string
	// Query are the names of the query parameters, without that of the paging.
	Query []string
	// Scopes are what the token must have been granted, all of them; none for a
	// public route, which is sent without a token.
	Scopes []string
	// Group is the rate group, whose bucket of MaxTokens fills again over
	// Window. It is empty for routes under the shared error limit.
	Group     string
	MaxTokens int
	Window    time.Duration
	// TTL is how long an answer is fresh if its headers do not say.
	TTL time.Duration
	// Daily is the offset from midnight UTC at which the answer becomes old each
	// day, for routes whose data is made at downtime; zero for all others. Like
	// TTL it only counts where headers are silent.
	Daily  time.Duration
	Cache  CacheMode
	Paging Paging
	// List tells that a good answer is a list.
	List bool
	// Calls is how many requests the game's own servers take in CallsPer, beside
	// the rate group; zero for no such limit. They are counted for each character
	// by itself unless CallsShared is set. ESI's document does not tell of these
	// limits; they are known from CCP's answers and other clients.
	Calls       int
	CallsPer    time.Duration
	CallsShared bool
	// Since is the compatibility date from which the route has this shape.
	Since string
}

// CharacterParam is the name of the path parameter for the character.
const CharacterParam = "character_id"

// Path is the path of the route for one character; other parameters stay as they
// are in the template, see [Route.Resolve].
func (r Route) Path(character int64) string {
	return strings.ReplaceAll(r.Template, "{"+CharacterParam+"}", strconv.FormatInt(character, 10))
}

// Params are the names of the path's parameters, in order.
func (r Route) Params() []string {
	var names []string
	for rest := r.Template; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return names
		}
		name, tail, _ := strings.Cut(after, "}")
		names, rest = append(names, name), tail
	}
}

// OfCharacter tells whether the path names a character.
func (r Route) OfCharacter() bool { return slices.Contains(r.Params(), CharacterParam) }

// Resolve is the path with all of its parameters filled in and escaped; the
// character's is taken from character, the others from params. It fails if one is
// missing, and for one that the route does not have.
func (r Route) Resolve(character int64, params map[string]string) (string, error) {
	path, names := r.Template, r.Params()
	for _, name := range names {
		value := params[name]
		if name == CharacterParam {
			if character <= 0 {
				return "", fmt.Errorf("%s needs a character", r.Operation)
			}
			value = strconv.FormatInt(character, 10)
		}
		if value == "" || value == "." || value == ".." {
			return "", fmt.Errorf("%s needs the path parameter %s", r.Operation, name)
		}
		path = strings.Replace(path, "{"+name+"}", url.PathEscape(value), 1)
	}
	for name := range params {
		if name == CharacterParam || !slices.Contains(names, name) {
			return "", fmt.Errorf("%s takes no path parameter %s", r.Operation, name)
		}
	}
	return path, nil
}

// Public tells whether the route is used without a token.
func (r Route) Public() bool { return len(r.Scopes) == 0 }
