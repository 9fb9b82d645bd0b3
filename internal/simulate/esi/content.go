package esi

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// content is an answer that is ready to be sent.
type content struct {
	etag     uint64
	modified int64 // Unix seconds
	expires  int64 // Unix seconds; zero if it is not cached
	pages    int   // zero if the route has none
	body     func(b []byte) []byte
}

// bodies holds buffers for answers; the largest pages have about a megabyte.
var bodies sync.Pool

// borrow takes a buffer from bodies; the borrower puts it back.
func borrow() *[]byte {
	if b, ok := bodies.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

// serve makes the answer of a route and sends it.
func (x *exchange) serve() {
	switch x.rt.section {
	case sectionNone:
		x.serveShared()
	default:
		x.serveCharacter()
	}
}

// serveCharacter answers from the cache of a character, which is filled when it
// has expired.
func (x *exchange) serveCharacter() {
	s := x.sim
	c := s.character(x.id)
	page, ok := x.page()
	if !ok {
		return
	}
	if c == nil {
		x.refuse(http.StatusNotFound, "Character not found")
		return
	}
	answer, ok := x.fromCache(c, page)
	if ok {
		x.send(answer)
	}
}

// fromCache takes an answer from the character's cache and books that the
// client has it now; false if the request was answered otherwise. The lock is
// not held while the answer goes out: a slow reader holds up nobody.
func (x *exchange) fromCache(c *character, page int) (content, bool) {
	s := x.sim
	c.mu.Lock()
	defer c.mu.Unlock()
	snap := &c.cache[x.rt.section]
	if x.now.Unix() >= snap.expires {
		*snap = s.snapshot(x.now, x.rt.ttl)
	}
	shown := *snap
	if x.flaw.Kind == fault.Torn && page > 1 {
		// The page is still the one from before the last refresh.
		age := shown.expires - shown.made
		shown.world -= int64(float64(age*int64(time.Second/time.Millisecond)) * s.config.Speed)
		shown.made -= age
	}
	answer, ok := x.characterContent(shown, page)
	if !ok {
		if t := c.toldOf(x.rt.section, 1); t == nil || page > int(t.pages) {
			x.report(RuleQuery, "page %d of %d", page, answer.pages)
		}
		x.refuse(http.StatusNotFound, "Requested page does not exist!")
		return content{}, false
	}
	x.judgeRepeat(c.toldOf(x.rt.section, page))
	if x.flawed() {
		return answer, true
	}
	if err := x.accept(c, shown, answer, page); err != nil {
		s.fail(x.w, err)
		return content{}, false
	}
	return answer, true
}

// snapshot is what the cache holds of the present.
func (s *Simulator) snapshot(now time.Time, ttl time.Duration) snapshot {
	expires := now.Add(s.clock.Shorten(ttl)).Unix()
	if now.Nanosecond() > 0 {
		expires++ // the headers know whole seconds only
	}
	return snapshot{world: s.clock.At(now).UnixMilli(), made: now.Unix(), expires: expires}
}

// characterContent is a section of the character in the path at the moment of a
// snapshot; false if it has no such page.
func (x *exchange) characterContent(snap snapshot, page int) (content, bool) {
	w, at := x.sim.world, time.UnixMilli(snap.world).UTC()
	answer := content{modified: snap.made, expires: snap.expires}
	if x.rt.section != sectionJournal {
		answer.body = func(b []byte) []byte { return w.appendSection(b, x.rt.section, x.id, at) }
		buffer := borrow()
		*buffer = answer.body((*buffer)[:0])
		answer.etag = hashOf(*buffer)
		bodies.Put(buffer)
		return answer, true
	}
	j := w.journalOf(x.id)
	lo, hi, pages := x.sim.journalPage(j, at, page)
	answer.pages = pages
	if page > pages {
		return answer, false
	}
	answer.etag = hashOf(fmt.Appendf(nil, "%d %d %d %d", w.seed, x.id, lo, hi))
	answer.body = func(b []byte) []byte { return j.appendJournal(b, lo, hi) }
	return answer, true
}

// journalPage is the range of entries on a page, and the number of pages.
func (s *Simulator) journalPage(j journal, at time.Time, page int) (lo, hi int64, pages int) {
	lo, hi = j.window(at)
	size := int64(s.config.PageSize)
	pages = int(max(1, (hi-lo+size)/size))
	hi -= int64(page-1) * size
	return max(lo, hi-size+1), hi, pages
}

// appendSection appends the content of an unpaged section.
func (w *world) appendSection(b []byte, s section, id int64, at time.Time) []byte {
	switch s {
	case sectionDetails:
		return w.appendDetails(b, id, at)
	case sectionLocation:
		return w.appendLocation(b, id, at)
	default:
		return w.appendWallet(b, id, at)
	}
}

// page reads the page parameter; it answers itself if the query is wrong.
func (x *exchange) page() (int, bool) {
	page := 1
	for name, values := range x.r.URL.Query() {
		n, err := strconv.Atoi(values[0])
		if name == "datasource" || !x.rt.paged || name != "page" || len(values) != 1 || err != nil || n < 1 {
			x.report(RuleQuery, "parameter %s=%s", name, values[0])
			x.refuse(http.StatusBadRequest, "Invalid parameter "+name)
			return 0, false
		}
		page = n
	}
	return page, true
}

// judgeRepeat looks at what the client was told about the URL before.
func (x *exchange) judgeRepeat(known *told) {
	if known == nil {
		return
	}
	if now := x.now.Unix(); now < known.expires {
		x.report(RuleEarlyRequest, "it was told that the answer is good for another %d s", known.expires-now)
	}
	if x.r.Header.Get("If-None-Match") == "" {
		x.report(RuleUnconditional, "it was told the ETag %s", x.tag(known.etag))
	}
}

// accept books that the client has received a section: what it was told, and
// what it was served.
func (x *exchange) accept(c *character, snap snapshot, answer content, page int) error {
	s, section := x.sim, x.rt.section
	first := c.toldOf(section, 1)
	if page > 1 && (first == nil || first.made != snap.made) {
		// The set is torn: a correct client throws all of it away.
		c.forget(section)
		return nil
	}
	known := c.toldOf(section, page)
	unchanged := known != nil && known.etag == answer.etag
	c.tell(told{
		section: section, page: int32(page), pages: int32(answer.pages),
		etag: answer.etag, made: snap.made, expires: snap.expires,
	})
	if section == sectionJournal {
		lo, hi, _ := s.journalPage(s.world.journalOf(x.id), time.UnixMilli(snap.world), page)
		joined, grew := c.journal.add(lo, hi)
		if !grew {
			return nil
		}
		c.journal = joined
		return s.state.Append(record{Character: x.id, Section: sectionNames[section], Lo: &lo, Hi: &hi})
	}
	if unchanged && c.served[section] != 0 {
		return nil
	}
	c.served[section] = snap.world
	return s.state.Append(record{Character: x.id, Section: sectionNames[section], At: snap.world})
}

// tag is an ETag as the route writes it: converted ones are weak.
func (x *exchange) tag(etag uint64) string {
	text := `"` + strconv.FormatUint(etag, 16) + `"`
	if x.rt.maxAge {
		return "W/" + text
	}
	return text
}

// matches tells whether the client has the content already.
func (x *exchange) matches(etag uint64) bool {
	want := strings.TrimPrefix(x.tag(etag), "W/")
	for candidate := range strings.SplitSeq(x.r.Header.Get("If-None-Match"), ",") {
		if candidate = strings.TrimSpace(candidate); candidate == "*" || strings.TrimPrefix(candidate, "W/") == want {
			return true
		}
	}
	return false
}

// send answers with the content, or with 304 if the client has it, or with what
// the drawn flaw makes of it.
func (x *exchange) send(c content) {
	status := http.StatusOK
	if x.r.Header.Get("If-None-Match") != "" && x.matches(c.etag) {
		status = http.StatusNotModified
	}
	if x.flawed() {
		status = http.StatusOK
	}
	x.settle(status)
	x.describe(c, status)
	if status == http.StatusNotModified {
		x.w.WriteHeader(status)
		return
	}
	buffer := borrow()
	defer bodies.Put(buffer)
	*buffer = c.body((*buffer)[:0])
	if x.flawed() {
		x.sendFlawed(*buffer)
		return
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(*buffer))}
	x.w.WriteHeader(status)
	// The client is gone if this fails, and nobody is left to tell.
	_, _ = x.w.Write(*buffer)
}

// flawed tells whether the answer is spoilt on its way, so that the client
// cannot have it.
func (x *exchange) flawed() bool { return x.flaw.Kind != "" && x.flaw.Kind != fault.Torn }

// describe sets the headers about the content's age, lifetime and pages.
func (x *exchange) describe(c content, status int) {
	h := x.w.Header()
	h["Etag"] = []string{x.tag(c.etag)}
	h["Last-Modified"] = []string{time.Unix(c.modified, 0).UTC().Format(http.TimeFormat)}
	h["Date"] = []string{x.now.Format(http.TimeFormat)}
	if c.expires > 0 {
		x.describeLifetime(h, c.expires)
	} else {
		h["Cache-Control"] = []string{"no-cache"}
	}
	// A single page is announced or not; so are the pages of what has not
	// changed. A client must live with both.
	talkative := x.id%2 == 0
	if c.pages > 1 && (status == http.StatusOK || talkative) || c.pages == 1 && talkative {
		h["X-Pages"] = []string{strconv.Itoa(c.pages)}
	}
}

func (x *exchange) describeLifetime(h http.Header, expires int64) {
	maxAge := x.rt.maxAge
	switch x.sim.config.CacheHeaders {
	case CacheHeadersMaxAge:
		maxAge = true
	case CacheHeadersExpires:
		maxAge = false
	}
	visibility := "private"
	if x.rt.scope == "" {
		visibility = "public"
	}
	h["Expires"] = []string{time.Unix(expires, 0).UTC().Format(http.TimeFormat)}
	if maxAge {
		left := strconv.FormatInt(expires-x.now.Unix(), 10)
		visibility += ", max-age=" + left + ", must-revalidate, stale-if-error=900"
	}
	h["Cache-Control"] = []string{visibility}
}

// sendFlawed spoils a good answer. The client can tell each time.
func (x *exchange) sendFlawed(body []byte) {
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	switch x.flaw.Kind {
	case fault.Truncated:
		fault.WriteHalf(x.w, body)
	case fault.CutOff:
		fault.WriteCutOff(x.w, body)
	case fault.HTML:
		fault.WriteHTML(x.w, http.StatusOK)
	default:
		spoilt := `["what", 42, null]`
		switch {
		case body[0] == '[':
			spoilt = `{"items":"none"}`
		case body[0] == '{':
			spoilt = `{"name":42,"solar_system_id":"somewhere","corporation_id":[],"birthday":false}`
		}
		_, _ = io.WriteString(x.w, spoilt)
	}
}

// serveShared answers the routes that belong to no character.
func (x *exchange) serveShared() {
	if len(x.r.URL.RawQuery) > 0 {
		x.report(RuleQuery, "the route has no parameters")
	}
	switch x.rt.name {
	case "affiliation":
		x.servePost(1000, x.affiliations)
	case "universe-names":
		x.servePost(1000, x.names)
	case "status":
		x.serveFixed(func(at time.Time) []byte {
			start := at.Truncate(day).Add(11*time.Hour + 5*time.Minute)
			if start.After(at) {
				start = start.Add(-day)
			}
			return fmt.Appendf(nil, `{"players":%d,"server_version":"3561556","start_time":"%s"}`,
				20000+at.Unix()/30%5000, start.Format(time.RFC3339))
		})
	default:
		body, err := x.sim.routeStatus()
		if err != nil {
			x.sim.fail(x.w, err)
			return
		}
		x.serveFixed(func(time.Time) []byte { return body })
	}
}

// serveFixed answers with the same body for everybody, from a cache if the
// route has a lifetime.
func (x *exchange) serveFixed(body func(at time.Time) []byte) {
	s := x.sim
	s.sharedMu.Lock()
	known, ok := s.shared[x.rt.name]
	s.sharedMu.Unlock()
	made := x.now.Unix()
	answer := content{modified: made}
	if x.rt.ttl > 0 {
		if ok {
			x.judgeRepeat(&known)
		}
		// The cache is renewed on the multiples of the lifetime.
		ttl := int64(s.clock.Shorten(x.rt.ttl) / time.Second)
		answer.modified = made / ttl * ttl
		answer.expires = answer.modified + ttl
	}
	data := body(s.clock.At(time.Unix(answer.modified, 0)))
	answer.etag = hashOf(data)
	answer.body = func(b []byte) []byte { return append(b, data...) }
	if !x.flawed() {
		s.sharedMu.Lock()
		s.shared[x.rt.name] = told{etag: answer.etag, expires: answer.expires}
		s.sharedMu.Unlock()
	}
	x.send(answer)
}

// routeStatus says that every simulated route is well.
func (s *Simulator) routeStatus() ([]byte, error) {
	type status struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Status string `json:"status"`
	}
	var all []status
	for _, rt := range s.routes {
		path := strings.ReplaceAll("/"+strings.Join(rt.path, "/"), "{id}", "{character_id}")
		all = append(all, status{rt.method, path, "OK"})
	}
	return json.Marshal(map[string][]status{"routes": all})
}

// servePost reads a list of ids and answers for all of them.
func (x *exchange) servePost(most int, answer func(ids []int64) ([]byte, bool)) {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, 1<<17))
	var ids []int64
	if err == nil {
		err = json.Unmarshal(body, &ids)
	}
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if err != nil || len(ids) == 0 || len(ids) > most || len(slices.Compact(sorted)) != len(ids) {
		x.report(RuleBody, "must be a list of 1 to %d different ids", most)
		x.refuse(http.StatusBadRequest, "Invalid body")
		return
	}
	data, ok := answer(ids)
	if !ok {
		x.refuse(http.StatusNotFound, "Ensure all IDs are valid before resolving.")
		return
	}
	c := content{etag: hashOf(data), modified: x.now.Unix(), body: func(b []byte) []byte { return append(b, data...) }}
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
	w := x.sim.world
	all := []name{}
	for _, id := range ids {
		switch {
		case w.has(id):
			all = append(all, name{"character", id, w.traitsOf(id).name})
		case w.hasCorporation(id):
			all = append(all, name{"corporation", id, w.corporationName(id)})
		case w.hasAlliance(id):
			all = append(all, name{"alliance", id, allianceName(id)})
		default:
			// One bad id fails the whole batch.
			return nil, false
		}
	}
	data, err := json.Marshal(all)
	return data, err == nil
}

// hashOf is a hash of content that is the same in every process.
func hashOf(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}
