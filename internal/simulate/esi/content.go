package esi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// content is an answer that is ready to be sent.
type content struct {
	etag     uint64
	modified int64 // Unix seconds
	expires  int64 // Unix seconds; zero if it is not cached
	undated  bool  // it does not say when it was made
	pages    int   // zero if the route has none
	// data is the body; or late makes it, where the ETag is known without it.
	data []byte
	late func(b []byte) []byte
	// lo and hi are the entries of a journal's page.
	lo, hi int64
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
	switch {
	case x.rt.section != sectionNone:
		x.serveSection()
	case x.rt.detail <= detailStructure:
		x.serveDetail()
	default:
		x.serveShared()
	}
}

// serveSection answers from the cache of a character, which is filled when it
// has expired.
func (x *exchange) serveSection() {
	argument, ok := x.argument()
	if !ok {
		return
	}
	c := x.sim.character(x.id)
	if c == nil {
		x.refuse(http.StatusNotFound, "Character not found")
		return
	}
	buffer := borrow()
	defer bodies.Put(buffer)
	answer, ok := x.fromCache(c, argument, buffer)
	if ok {
		x.send(answer)
	}
}

// fromCache takes an answer from the character's cache and books that the
// client has it now; false if the request was answered otherwise. The lock is
// not held while the answer goes out: a slow reader holds up nobody.
func (x *exchange) fromCache(c *character, argument int64, buffer *[]byte) (content, bool) {
	s := x.sim
	c.mu.Lock()
	defer c.mu.Unlock()
	snap := &c.cache[x.rt.section]
	if x.now.Unix() >= int64(snap.expires) {
		*snap = s.snapshot(x.now, x.rt)
	}
	shown := *snap
	undated := false
	if x.flaw.Kind == fault.Torn && argument > 1 {
		shown, undated = x.tear(shown, argument)
	}
	answer, ok := x.sectionContent(shown, argument, buffer)
	answer.undated = undated
	if !ok {
		if t := c.toldOf(x.rt.section, 1); t == nil || argument > int64(t.pages) {
			x.report(RuleQuery, "page %d of %d", argument, answer.pages)
		}
		x.refuse(http.StatusNotFound, "Requested page does not exist!")
		return content{}, false
	}
	if known := c.toldOf(x.rt.section, argument); known != nil {
		x.judgeEarly(int64(known.expires))
		if x.rt.cursor == "" || argument == 0 {
			x.judgeCondition(known.etag)
		}
	}
	if x.flawed() {
		return answer, true
	}
	if err := x.accept(c, shown, answer, argument); err != nil {
		s.fail(x.w, err)
		return content{}, false
	}
	return answer, true
}

// tear is the snapshot of a page that belongs to another moment than the first
// one, so that what it lists may have moved from page to page: one that was made
// anew meanwhile, or one from before the last refresh, which may not even say so.
func (x *exchange) tear(from snapshot, page int64) (to snapshot, undated bool) {
	way := hashOf(strconv.AppendInt(nil, x.id^page<<40, 10)) % 3
	if now := x.sim.snapshot(x.now, x.rt); way == 0 && now.made > from.made {
		return now, false
	}
	age := from.expires - from.made
	from.world -= int64(float64(age) * 1000 * x.sim.config.Speed)
	from.made -= age
	return from, way == 1
}

// snapshot is what the cache holds of the present.
func (s *Simulator) snapshot(now time.Time, rt *route) snapshot {
	expires := now.Add(s.lifetime(rt, now)).Unix()
	if now.Nanosecond() > 0 {
		expires++ // the headers know whole seconds only
	}
	return snapshot{world: s.clock.At(now).UnixMilli(), made: uint32(now.Unix()), expires: uint32(expires)}
}

// lifetime is how long an answer of a route is held, on the wall clock.
func (s *Simulator) lifetime(rt *route, now time.Time) time.Duration {
	if !rt.daily {
		return s.clock.Shorten(rt.ttl)
	}
	at := s.clock.At(now)
	next := at.Truncate(day).Add(11*time.Hour + 5*time.Minute)
	if !next.After(at) {
		next = next.Add(day)
	}
	return s.clock.Shorten(next.Sub(at))
}

// sectionContent is a section of the character in the path at the moment of a
// snapshot; false if it has no such page.
func (x *exchange) sectionContent(snap snapshot, argument int64, buffer *[]byte) (content, bool) {
	w, at, s := x.sim.world, time.UnixMilli(snap.world).UTC(), x.rt.section
	answer := content{modified: int64(snap.made), expires: int64(snap.expires)}
	switch {
	case s == sectionJournal:
		return x.journalContent(answer, at, argument)
	case x.rt.paged:
		count := sectionContents[s].count(w, x.id, at)
		lo, hi, pages := pageBounds(count, x.mostOnPage(), x.id, int(min(argument, 1<<20)))
		answer.pages = pages
		if argument > int64(pages) {
			return answer, false
		}
		*buffer = sectionContents[s].items(w, (*buffer)[:0], x.id, at, lo, hi)
	case x.rt.cursor != "":
		lo, count := 0, sectionContents[s].count(w, x.id, at)
		if argument != 0 {
			inclusive := x.rt.cursor == "from_id" && !x.sim.config.ExclusiveFromID
			lo = w.cursorStart(s, x.id, at, argument, inclusive)
		}
		*buffer = sectionContents[s].items(w, (*buffer)[:0], x.id, at, lo, min(count, lo+x.mostOnPage()))
	default:
		*buffer = w.contentAt((*buffer)[:0], s, x.id, at)
		if s == sectionIndustryJobs && argument == 0 {
			*buffer = withoutCompleted(*buffer)
		}
	}
	answer.data, answer.etag = *buffer, hashOf(*buffer)
	return answer, true
}

func (x *exchange) mostOnPage() int {
	if x.sim.config.PageSize > 0 {
		return min(x.sim.config.PageSize, x.rt.most)
	}
	return x.rt.most
}

// journalContent is a page of a journal. Its ETag follows from the range of its
// entries, so that nothing has to be made for a 304.
func (x *exchange) journalContent(answer content, at time.Time, page int64) (content, bool) {
	j := x.sim.world.journalOf(x.id)
	lo, hi := j.window(at)
	size := int64(x.mostOnPage())
	answer.pages = int(max(1, (hi-lo+size)/size))
	if page > int64(answer.pages) {
		return answer, false
	}
	hi -= (page - 1) * size
	lo = max(lo, hi-size+1)
	answer.lo, answer.hi = lo, hi
	answer.etag = hashOf(fmt.Appendf(nil, "%d %d %d %d", j.seed, x.id, lo, hi))
	answer.late = func(b []byte) []byte { return j.appendJournal(b, lo, hi) }
	return answer, true
}

// argument reads the parameter that tells the URLs of a section apart: the
// page, from 1; the id of a cursor, 0 for none; or 1 for include_completed. It
// answers itself if the query is wrong.
func (x *exchange) argument() (int64, bool) {
	argument := int64(0)
	if x.rt.paged {
		argument = 1
	}
	if x.r.URL.RawQuery == "" {
		return argument, true
	}
	for name, values := range x.r.URL.Query() {
		value := values[0]
		ok := len(values) == 1
		switch {
		case name == "page" && x.rt.paged, name == x.rt.cursor && name != "":
			var err error
			argument, err = strconv.ParseInt(value, 10, 64)
			ok = ok && err == nil && argument > 0
		case name == "include_completed" && x.rt.section == sectionIndustryJobs:
			ok = ok && (value == "true" || value == "false")
			if value == "true" {
				argument = 1
			}
		default:
			ok = false
		}
		if !ok {
			x.report(RuleQuery, "parameter %s=%s", name, value)
			x.refuse(http.StatusBadRequest, "Invalid parameter "+name)
			return 0, false
		}
	}
	return argument, true
}

// judgeRepeat looks at what the client was told about the URL before.
func (x *exchange) judgeRepeat(expires int64, etag uint64) {
	x.judgeEarly(expires)
	x.judgeCondition(etag)
}

func (x *exchange) judgeEarly(expires int64) {
	if now := x.now.Unix(); now < expires {
		x.report(RuleEarlyRequest, "it was told that the answer is good for another %d s", expires-now)
	}
}

func (x *exchange) judgeCondition(etag uint64) {
	if x.r.Header.Get("If-None-Match") == "" {
		x.report(RuleUnconditional, "it was told an ETag, such as %s", x.tag(etag))
	}
}

// accept books that the client has received a section: what it was told, and
// what it was served.
func (x *exchange) accept(c *character, snap snapshot, answer content, argument int64) error {
	section := x.rt.section
	first := c.toldOf(section, 1)
	if x.rt.paged && argument > 1 && (first == nil || first.made != snap.made) {
		// The set is torn: a correct client throws all of it away.
		c.forget(section)
		return nil
	}
	known := c.toldOf(section, argument)
	if known == nil || known.etag != answer.etag {
		c.dirty |= 1 << section
	}
	pages := answer.pages
	if known != nil && !x.talkative() && x.r.Header.Get("If-None-Match") != "" && x.matches(answer.etag) {
		// It is not told how many there are now.
		pages = int(known.pages)
	}
	c.tell(told{
		key: toldKey(section, argument), pages: int32(pages),
		etag: answer.etag, made: snap.made, expires: snap.expires,
	})
	switch {
	case section == sectionIndustryJobs && argument == 0:
		return nil // not all of them
	case x.rt.paged && !c.complete(section, snap.made, answer.pages):
		return nil
	case section == sectionJournal:
		return x.bookJournal(c, snap.world)
	case x.rt.cursor != "":
		return x.book(c, snap.world, keysOf(section, answer.data))
	case c.dirty&(1<<section) == 0 && c.served[section] != 0:
		return nil
	case recordKeys[section] == "":
		return x.book(c, snap.world, nil)
	case x.rt.paged:
		all := checkpoint{snap.world, 0, 1<<63 - 1}
		return x.book(c, snap.world, x.sim.world.recordsAt(section, x.id, all))
	default:
		return x.book(c, snap.world, keysOf(section, answer.data))
	}
}

// bookJournal notes the entries of a complete set of pages. Those of a set that was
// torn are not booked: a correct client throws it away, and at the next reading the
// oldest may be too old to be listed.
func (x *exchange) bookJournal(c *character, world int64) error {
	lo, hi := x.sim.world.journalOf(x.id).window(time.UnixMilli(world).UTC())
	joined, grew := c.journal.add(lo, hi)
	if !grew {
		return nil
	}
	c.journal = joined
	return x.sim.state.Append(record{Character: x.id, Section: sectionNames[sectionJournal], Lo: &lo, Hi: &hi})
}

// complete tells whether the client has all pages of one moment.
func (c *character) complete(s section, made uint32, pages int) bool {
	for page := range pages {
		if t := c.toldOf(s, int64(page)+1); t == nil || t.made != made {
			return false
		}
	}
	return true
}

// book notes what the client has of a section now; of records those with the
// given keys.
func (x *exchange) book(c *character, world int64, keys []int64) error {
	section := x.rt.section
	if c.dirty&(1<<section) == 0 && c.served[section] != 0 {
		return nil
	}
	c.dirty &^= 1 << section
	c.served[section] = world
	r := record{Character: x.id, Section: sectionNames[section], At: world}
	if len(keys) > 0 {
		c.records[section] = x.sim.world.checked(c.records[section], section, x.id, world, keys)
		r.Records = pack(c.records[section])
	}
	return x.sim.state.Append(r)
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

// hashOf is a hash of content that is the same in every process.
func hashOf(b []byte) uint64 { return xxhash.Sum64(b) }

// pack writes checkpoints as lists of three numbers.
func pack(points []checkpoint) [][3]int64 {
	out := make([][3]int64, 0, len(points))
	for _, p := range points {
		out = append(out, [3]int64{p.world, p.lo, p.hi})
	}
	return out
}

func unpack(points [][3]int64) []checkpoint {
	return slices.Collect(func(yield func(checkpoint) bool) {
		for _, p := range points {
			if !yield(checkpoint{p[0], p[1], p[2]}) {
				return
			}
		}
	})
}
