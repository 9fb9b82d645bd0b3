package esi

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// character is what the simulator remembers of one character: what it holds in
// its cache, what it told the client, and what it served. There may be ten
// thousand with a hundred answers each, so all of it is small. Its fields are
// guarded by its mutex.
type character struct {
	mu sync.Mutex

	cache [sectionCount]snapshot
	told  []told // in the order of their keys
	// dirty tells, by section, that pages were served that differ from those
	// of the last complete set.
	dirty uint64
	// served is the world time of the content last told, by section.
	served  [sectionCount]int64
	journal spans
	records [sectionCount][]checkpoint
	details []detail // in the order of their keys
	names   []named  // in the order of their ids

	logins    []login
	transfers int
	revoked   bool
}

// snapshot is the moment of the world that is served until it expires. The
// content follows from it.
type snapshot struct {
	world   int64  // world time, Unix milliseconds
	made    uint32 // wall time, Unix seconds: Last-Modified
	expires uint32 // wall time, Unix seconds
}

// told is what the client knows of one URL.
type told struct {
	key     uint64 // see toldKey
	etag    uint64
	made    uint32
	expires uint32
	pages   int32
}

// toldKey names a URL of a section: the page, the id of the cursor, or another
// parameter.
func toldKey(s section, argument int64) uint64 { return uint64(s)<<56 | uint64(argument)&(1<<56-1) }

// maxTold bounds what is remembered of one character; cursors are forgotten
// first.
const maxTold = 256

func (c *character) toldOf(s section, argument int64) *told {
	i, found := slices.BinarySearchFunc(c.told, toldKey(s, argument), func(t told, key uint64) int { return cmp.Compare(t.key, key) })
	if !found {
		return nil
	}
	return &c.told[i]
}

func (c *character) tell(t told) {
	i, found := slices.BinarySearchFunc(c.told, t.key, func(t told, key uint64) int { return cmp.Compare(t.key, key) })
	if found {
		c.told[i] = t
		return
	}
	if len(c.told) >= maxTold {
		c.told = slices.DeleteFunc(c.told, func(old told) bool { return old.key&(1<<56-1) > 1<<16 && old.expires < t.made })
		i, _ = slices.BinarySearchFunc(c.told, t.key, func(t told, key uint64) int { return cmp.Compare(t.key, key) })
	}
	c.told = slices.Insert(c.told, i, t)
}

// forget drops what the client is expected to know of a section.
func (c *character) forget(s section) {
	c.told = slices.DeleteFunc(c.told, func(t told) bool { return section(t.key>>56) == s })
}

// checkpoint says that the records with keys lo to hi were last served as they
// were at a moment of the world. Of a section's checkpoints the later prevail.
type checkpoint struct {
	world  int64 // Unix milliseconds
	lo, hi int64
}

// detailKind numbers what is fetched apart.
type detailKind uint8

const (
	detailNone detailKind = iota
	detailMailBody
	detailContractItems
	detailContractBids
	detailCalendarEvent
	detailStructure
	detailAssetNames
	detailKillmail
	detailType
	detailNames
	detailAffiliation
	detailPrices
	detailStatus
	detailMetaStatus
)

// detail is something fetched apart that was served: what, and in one word when
// of the world and until when the client must not ask again.
type detail struct {
	key  uint64
	when uint64
}

// detailExpiry is the part of a detail's when that holds the expiry, in
// seconds since the simulator's start.
const detailExpiry = 1<<21 - 1

func detailKey(k detailKind, id int64) uint64 { return uint64(k)<<59 | uint64(id)&(1<<59-1) }

func (d detail) kind() detailKind { return detailKind(d.key >> 59) }
func (d detail) id() int64        { return int64(d.key & (1<<59 - 1)) }
func (d detail) world() time.Time { return time.UnixMilli(int64(d.when >> 21)).UTC() }
func (d detail) expiry() int64    { return int64(d.when & detailExpiry) }

func (c *character) detailOf(k detailKind, id int64) *detail {
	i, found := slices.BinarySearchFunc(c.details, detailKey(k, id), func(d detail, key uint64) int { return cmp.Compare(d.key, key) })
	if !found {
		return nil
	}
	return &c.details[i]
}

// serveDetail notes what was served, and the seconds of its expiry; zero if the
// client need not know.
func (c *character) serveDetail(k detailKind, id int64, world time.Time, expiry int64) {
	d := detail{key: detailKey(k, id), when: uint64(world.UnixMilli())<<21 | uint64(min(max(expiry, 0), detailExpiry))}
	i, found := slices.BinarySearchFunc(c.details, d.key, func(d detail, key uint64) int { return cmp.Compare(d.key, key) })
	if found {
		c.details[i] = d
		return
	}
	c.details = slices.Insert(c.details, i, d)
}

// named says when the name of an item was served last.
type named struct {
	item  int64
	world int64 // Unix milliseconds
}

func (c *character) serveNames(items []int64, world int64) {
	for _, item := range items {
		i, found := slices.BinarySearchFunc(c.names, item, func(n named, item int64) int { return cmp.Compare(n.item, item) })
		if found {
			c.names[i].world = world
		} else {
			c.names = slices.Insert(c.names, i, named{item, world})
		}
	}
}

// spans is a set of indexes as disjoint ranges in ascending order.
type spans []span

type span struct{ lo, hi int64 }

// add joins the range lo to hi to the set; grew tells whether anything in it
// was new.
func (s spans) add(lo, hi int64) (joined spans, grew bool) {
	if hi < lo {
		return s, false
	}
	for _, x := range s {
		if x.lo <= lo && hi <= x.hi {
			return s, false
		}
	}
	out := make(spans, 0, len(s)+1)
	for _, x := range s {
		if x.hi+1 < lo || hi+1 < x.lo {
			out = append(out, x)
			continue
		}
		lo, hi = min(lo, x.lo), max(hi, x.hi)
	}
	out = append(out, span{lo, hi})
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	return out, true
}
