package esi

import (
	"slices"
	"sync"
)

// character is what the simulator remembers of one character: what it holds in
// its cache, what it told the client, and what it served. Its fields are
// guarded by its mutex.
type character struct {
	mu sync.Mutex

	cache [sectionCount]snapshot
	told  []told
	// served is the world time of the content last told, by section.
	served  [sectionCount]int64
	journal spans

	refresh   int // newest generation of refresh token used
	transfers int
	revoked   bool
}

// snapshot is the moment of the world that is served until it expires. The
// content follows from it.
type snapshot struct {
	world   int64 // world time, Unix milliseconds
	made    int64 // wall time, Unix seconds: Last-Modified
	expires int64 // wall time, Unix seconds
}

// told is what the client knows of one URL.
type told struct {
	section section
	page    int32
	pages   int32
	etag    uint64
	made    int64
	expires int64
}

func (c *character) toldOf(s section, page int) *told {
	for i := range c.told {
		if t := &c.told[i]; t.section == s && int(t.page) == page {
			return t
		}
	}
	return nil
}

func (c *character) tell(t told) {
	if known := c.toldOf(t.section, int(t.page)); known != nil {
		*known = t
		return
	}
	c.told = append(c.told, t)
}

// forget drops what the client is expected to know of a section.
func (c *character) forget(s section) {
	c.told = slices.DeleteFunc(c.told, func(t told) bool { return t.section == s })
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
	slices.SortFunc(out, func(a, b span) int {
		if a.lo < b.lo {
			return -1
		}
		return 1
	})
	return out, true
}
