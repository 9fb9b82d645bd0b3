package esi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// sharedKey names a URL that belongs to no character.
type sharedKey struct {
	kind detailKind
	sub  int64
}

// sharedTold is what the client knows of one.
type sharedTold struct {
	etag    uint64
	expires int64
}

// serveShared answers the routes that belong to no character, and the lists of
// ids.
func (x *exchange) serveShared() {
	if x.r.URL.RawQuery != "" {
		x.report(RuleQuery, "the route has no parameters")
	}
	w := x.sim.world
	switch x.rt.detail {
	case detailAssetNames:
		x.serveAssetNames()
	case detailAffiliation:
		x.serveIDs(x.affiliations)
	case detailNames:
		x.serveIDs(x.names)
	case detailStatus:
		x.serveFixed(status)
	case detailPrices:
		x.serveFixed(func(at time.Time) ([]byte, bool) { return w.appendMarketPrices(nil, at), true })
	case detailType:
		x.serveFixed(func(time.Time) ([]byte, bool) { return w.appendType(nil, x.sub) })
	case detailKillmail:
		x.serveFixed(func(time.Time) ([]byte, bool) { return w.appendKillmail(nil, x.sub, x.hash) })
	default:
		body, err := x.sim.routeStatus()
		if err != nil {
			x.sim.fail(x.w, err)
			return
		}
		x.serveFixed(func(time.Time) ([]byte, bool) { return body, true })
	}
}

// status is what the server says of itself.
func status(at time.Time) ([]byte, bool) {
	start := at.Truncate(day).Add(11*time.Hour + 5*time.Minute)
	if start.After(at) {
		start = start.Add(-day)
	}
	return fmt.Appendf(nil, `{"players":%d,"server_version":"3561556","start_time":"%s"}`,
		20000+at.Unix()/30%5000, start.Format(time.RFC3339)), true
}

// serveFixed answers with the same body for everybody, from a cache if the
// route has a lifetime.
func (x *exchange) serveFixed(body func(at time.Time) ([]byte, bool)) {
	s := x.sim
	made := x.now.Unix()
	answer := content{modified: made}
	switch {
	case x.rt.daily:
		answer.expires = made + int64(s.lifetime(x.rt, x.now)/time.Second)
	case x.rt.ttl > 0:
		// The cache is renewed on the multiples of the lifetime.
		ttl := int64(s.clock.Shorten(x.rt.ttl) / time.Second)
		answer.modified = made / ttl * ttl
		answer.expires = answer.modified + ttl
	}
	data, ok := body(s.clock.At(time.Unix(answer.modified, 0)))
	if !ok {
		x.refuse(http.StatusNotFound, "Not found")
		return
	}
	answer.etag, answer.data = hashOf(data), data
	if err := x.acceptShared(answer); err != nil {
		s.fail(x.w, err)
		return
	}
	x.send(answer)
}

func (x *exchange) acceptShared(answer content) error {
	s, key := x.sim, sharedKey{x.rt.detail, x.sub}
	s.sharedMu.Lock()
	defer s.sharedMu.Unlock()
	if known, ok := s.shared[key]; ok && known.expires > 0 {
		x.judgeRepeat(known.expires, known.etag)
	}
	if x.flawed() {
		return nil
	}
	s.shared[key] = sharedTold{answer.etag, answer.expires}
	if _, served := s.killmails[x.sub]; x.rt.detail == detailKillmail && !served {
		s.killmails[x.sub] = struct{}{}
		return s.state.Append(record{Detail: x.rt.name, ID: x.sub})
	}
	return nil
}

// Health says how a route fares, as /meta/status tells.
type Health string

// The kinds of health.
const (
	HealthOK         Health = "OK"
	HealthDegraded   Health = "Degraded"
	HealthDown       Health = "Down"
	HealthRecovering Health = "Recovering"
)

// SetHealth makes a route well or ill; the name "*" means all. A route that is
// down answers 503 until it recovers.
func (s *Simulator) SetHealth(route string, health Health) error {
	switch health {
	case HealthOK, HealthDegraded, HealthDown, HealthRecovering:
	default:
		return fmt.Errorf("health %q of route %s: use %s, %s, %s or %s", health, route, HealthOK, HealthDegraded, HealthDown, HealthRecovering)
	}
	known := false
	s.sharedMu.Lock()
	defer s.sharedMu.Unlock()
	for _, rt := range s.routes {
		if route == "*" || route == rt.name {
			known = true
			s.health[rt.name] = health
		}
	}
	if !known {
		return fmt.Errorf("no route has the name %q", route)
	}
	return nil
}

// down tells whether a route is out of service.
func (s *Simulator) down(rt *route) bool {
	s.sharedMu.Lock()
	defer s.sharedMu.Unlock()
	return s.health[rt.name] == HealthDown && rt.detail != detailMetaStatus
}

// routeStatus says how all simulated routes fare.
func (s *Simulator) routeStatus() ([]byte, error) {
	type status struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Status Health `json:"status"`
	}
	s.sharedMu.Lock()
	defer s.sharedMu.Unlock()
	var all []status
	for _, rt := range s.routes {
		all = append(all, status{rt.method, "/" + strings.Join(rt.path, "/"), orDefault(s.health[rt.name], HealthOK)})
	}
	return json.Marshal(map[string][]status{"routes": all})
}

// serveIDs reads a list of ids and answers for all of them.
func (x *exchange) serveIDs(answer func(ids []int64) ([]byte, bool)) {
	ids, ok := x.readIDs(1000)
	if !ok {
		return
	}
	data, ok := answer(ids)
	if !ok {
		x.refuse(http.StatusNotFound, "Ensure all IDs are valid before resolving.")
		return
	}
	c := content{etag: hashOf(data), modified: x.now.Unix(), data: data}
	if x.rt.ttl > 0 {
		c.expires = x.now.Unix() + int64(x.sim.clock.Shorten(x.rt.ttl)/time.Second)
	}
	x.send(c)
}

func (x *exchange) affiliations(ids []int64) ([]byte, bool) {
	type affiliation struct {
		Alliance    int64 `json:"alliance_id,omitempty"`
		Character   int64 `json:"character_id"`
		Corporation int64 `json:"corporation_id"`
	}
	w, at := x.sim.world, x.sim.clock.At(x.now)
	all := []affiliation{}
	for _, id := range ids {
		if !w.has(id) {
			return nil, false
		}
		corporation := w.corporationOf(id, w.traitsOf(id), at)
		all = append(all, affiliation{w.allianceOf(corporation), id, corporation})
	}
	data, err := json.Marshal(all)
	return data, err == nil
}

func (x *exchange) names(ids []int64) ([]byte, bool) {
	type name struct {
		Category string `json:"category"`
		ID       int64  `json:"id"`
		Name     string `json:"name"`
	}
	all := []name{}
	for _, id := range ids {
		category, text, ok := x.sim.world.resolve(id)
		if !ok {
			// One bad id fails the whole batch.
			return nil, false
		}
		all = append(all, name{category, id, text})
	}
	data, err := json.Marshal(all)
	return data, err == nil
}

// resolve is the kind and the name of an id of /universe/names.
func (w *world) resolve(id int64) (category, name string, ok bool) {
	switch {
	case w.has(id):
		return "character", w.traitsOf(id).name, true
	case w.hasCorporation(id):
		return "corporation", w.corporationName(id), true
	case w.hasAlliance(id):
		return "alliance", allianceName(id), true
	default:
		return w.nameOf(id)
	}
}
