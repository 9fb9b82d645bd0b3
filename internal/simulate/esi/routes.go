package esi

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// route is a line of the simulator's own table of ESI. It is written by hand
// from the published rules and shares nothing with a client, so that it can
// judge one; a test compares it with the specification.
type route struct {
	name   string
	method string
	// path has segments; {id} stands for a character's id.
	path []string
	// ttl is how long an answer is held; zero means it is made anew each time.
	ttl time.Duration
	// group and tokens are the bucket that pays; without a group the shared
	// error limit applies.
	group  string
	tokens int
	// scope is what the bearer must hold; empty for public routes.
	scope string
	// since is the first compatibility date at which the route exists.
	since string
	// maxAge: the lifetime is announced by Cache-Control, as converted routes
	// do; otherwise by Expires alone.
	maxAge bool
	// section numbers the cached content of a character.
	section section
	paged   bool
}

const (
	scopeLocation = "esi-location.read_location.v1"
	scopeWallet   = "esi-wallet.read_character_wallet.v1"
)

// Scopes lists the scopes that the simulated routes ask for; every character
// of the simulated organisation has granted them all.
func Scopes() []string { return []string{scopeLocation, scopeWallet} }

// newRoutes is the table of the simulated routes.
func newRoutes() []*route {
	return []*route{
		{
			name: "character", method: http.MethodGet, path: []string{"characters", "{id}"},
			ttl: 24 * time.Hour, since: "2026-06-09", maxAge: true, section: sectionDetails,
		},
		{
			name: "character-location", method: http.MethodGet, path: []string{"characters", "{id}", "location"},
			ttl: 5 * time.Second, group: "char-location", tokens: 1200, scope: scopeLocation,
			since: "2020-01-01", section: sectionLocation,
		},
		{
			name: "character-wallet", method: http.MethodGet, path: []string{"characters", "{id}", "wallet"},
			ttl: 2 * time.Minute, group: "char-wallet", tokens: 150, scope: scopeWallet,
			since: "2020-01-01", section: sectionWallet,
		},
		{
			name: "character-wallet-journal", method: http.MethodGet, path: []string{"characters", "{id}", "wallet", "journal"},
			ttl: time.Hour, group: "char-wallet", tokens: 150, scope: scopeWallet,
			since: "2020-01-01", section: sectionJournal, paged: true,
		},
		{
			name: "affiliation", method: http.MethodPost, path: []string{"characters", "affiliation"},
			ttl: time.Hour, since: "2020-01-01", section: sectionNone,
		},
		{
			name: "universe-names", method: http.MethodPost, path: []string{"universe", "names"},
			since: "2020-01-01", section: sectionNone,
		},
		{
			name: "status", method: http.MethodGet, path: []string{"status"},
			ttl: 30 * time.Second, group: "status", tokens: 600, since: "2020-01-01", maxAge: true, section: sectionNone,
		},
		{
			name: "meta-status", method: http.MethodGet, path: []string{"meta", "status"},
			group: "meta", tokens: 150, since: "2025-11-06", maxAge: true, section: sectionNone,
		},
	}
}

// find is the route of a path and the character in it. The path is matched as
// it was sent: a doubled or trailing slash or a needless escape is no route.
// methodWrong tells that the path exists with another method.
func find(routes []*route, method, path string) (found *route, character int64, methodWrong bool) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, rt := range routes {
		id, ok := rt.match(segments)
		if !ok {
			continue
		}
		if rt.method == method {
			return rt, id, false
		}
		methodWrong = true
	}
	return nil, 0, methodWrong
}

func (rt *route) match(segments []string) (character int64, ok bool) {
	if len(segments) != len(rt.path) {
		return 0, false
	}
	for i, want := range rt.path {
		got := segments[i]
		if want != "{id}" {
			if got != want {
				return 0, false
			}
			continue
		}
		id, err := strconv.ParseInt(got, 10, 64)
		if err != nil || id < 1 || strconv.FormatInt(id, 10) != got {
			return 0, false
		}
		character = id
	}
	return character, true
}
