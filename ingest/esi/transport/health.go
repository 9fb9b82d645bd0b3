package transport

import (
	"context"
	"encoding/json"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// Health is how the routes of ESI fare, as ESI itself says. It is not changed once
// it is made.
type Health struct {
	// down are the routes that do not work, by method and path without the names
	// of its parameters.
	down map[string]bool
	// known counts the routes that it tells of.
	known int
}

// Down is how many routes do not work, of how many that are told of.
func (h Health) Down() (down, of int) { return len(h.down), h.known }

// works tells whether a route may be asked: one that is degraded, recovers or is
// not told of may.
func (h Health) works(route catalogue.Route) bool {
	return len(h.down) == 0 || !h.down[healthKey(route.Method, route.Template)]
}

// param is a parameter in a path.
var param = regexp.MustCompile(`\{[^}]*\}`)

func healthKey(method, path string) string {
	return method + " " + param.ReplaceAllString(path, "{}")
}

// ParseHealth reads the answer of ESI's route /meta/status. It fails with
// [event.CodeInvalid] if it is none, such as the JSON of an error.
func ParseHealth(body []byte) (Health, error) {
	var told struct {
		Routes []struct {
			Method string `json:"method"`
			Path   string `json:"path"`
			Status string `json:"status"`
		} `json:"routes"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return Health{}, event.Errorf(event.CodeInvalid, "the status of ESI's routes: %w", err)
	}
	h := Health{down: map[string]bool{}}
	for _, route := range told.Routes {
		if route.Method == "" || route.Path == "" || route.Status == "" {
			continue
		}
		h.known++
		if route.Status == "Down" {
			h.down[healthKey(route.Method, route.Path)] = true
		}
	}
	if h.known == 0 {
		return Health{}, event.Errorf(event.CodeInvalid, "the status of ESI's routes: must list routes with method, path and status")
	}
	return h, nil
}

// reading of the health that holds until a moment.
type heldHealth struct {
	Health

	until time.Time
}

// health is what is known now. It is safe for concurrent use.
type health struct {
	held atomic.Pointer[heldHealth]
}

// downUntil is until when a route is not asked; false if it may be. What is not
// known, or was read too long ago, holds nothing back.
func (h *health) downUntil(route catalogue.Route, now time.Time) (time.Time, bool) {
	held := h.held.Load()
	if held == nil || !held.until.After(now) || held.works(route) || route.Operation == catalogue.MetaStatus().Operation {
		return time.Time{}, false
	}
	return held.until, true
}

// SetHealth has routes that are down not be asked for a while, until the next
// reading is due.
func (c *Client) SetHealth(h Health, holdsFor time.Duration) {
	c.health.held.Store(&heldHealth{Health: h, until: c.config.Now().Add(holdsFor)})
}

// ReadHealth asks ESI how its routes fare. One of all programs should do so, and not
// before the last answer expired. The answer's page has the body, unless it is not
// modified; see [ParseHealth]. Errors are as of [Client.Get].
func (c *Client) ReadHealth(ctx context.Context, etag string) (Answer, error) {
	request := Request{Route: catalogue.MetaStatus()}
	if etag != "" {
		request.Prior, request.Complete = []Page{{ETag: etag}}, 1
	}
	return c.Get(ctx, request)
}
