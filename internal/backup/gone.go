package backup

import (
	"crypto/sha256"
	"strings"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// Forgets tells of a record that everything before it in its stream is forgotten.
type Forgets func(eventlog.Record) bool

// keyHash stands for a record key; whole keys would take several times as much.
type keyHash [16]byte

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

// streamOf is the stream's part of a record key.
func streamOf(key string) event.Stream {
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		return event.Stream(key[:i])
	}
	return event.Stream(key)
}

// gone is what a part of the log says is not to be kept: of one partition, since
// a tombstone lies in the partition of what it removes.
type gone struct {
	forgets Forgets
	keys    map[keyHash]int64
	streams map[event.Stream]int64
}

func newGone(forgets Forgets) *gone {
	return &gone{forgets: forgets, keys: map[keyHash]int64{}, streams: map[event.Stream]int64{}}
}

// see takes notice of a record.
func (g *gone) see(rec *eventlog.Record) {
	switch {
	case rec.Value == nil:
		g.keys[hashKey(rec.Key)] = rec.Offset
	case g.forgets != nil && g.forgets(*rec):
		g.streams[streamOf(rec.Key)] = rec.Offset
	}
}

// drops tells that a record is not to be kept. Tombstones always are: they may be
// about records of an earlier backup.
func (g *gone) drops(rec *eventlog.Record) bool {
	if len(g.streams) > 0 {
		if at, ok := g.streams[streamOf(rec.Key)]; ok && rec.Offset < at && rec.Value != nil {
			return true
		}
	}
	if rec.Value == nil || len(g.keys) == 0 {
		return false
	}
	at, ok := g.keys[hashKey(rec.Key)]
	return ok && rec.Offset < at
}

// copies are keys of records that are copies of records of other partitions, of
// poison. They are few.
type copies struct {
	keys    map[keyHash]bool
	streams map[event.Stream]bool
}

func newCopies() *copies {
	return &copies{keys: map[keyHash]bool{}, streams: map[event.Stream]bool{}}
}

// hold takes notice of a copy.
func (c *copies) hold(rec *eventlog.Record) {
	if rec.Value != nil {
		c.keys[hashKey(rec.Key)] = false
	}
}

// note takes notice of what a partition of facts says is gone.
func (c *copies) note(rec *eventlog.Record, forgets Forgets) {
	if rec.Value == nil {
		if h := hashKey(rec.Key); len(c.keys) > 0 {
			if _, held := c.keys[h]; held {
				c.keys[h] = true
			}
		}
		return
	}
	if forgets != nil && forgets(*rec) {
		c.streams[streamOf(rec.Key)] = true
	}
}

// drops tells that a copy is not to be kept. Of a stream that was forgotten none
// is, also not of what it tells since: when a copy was made says nothing of when
// the fact was, and the facts themselves are in their own topic.
func (c *copies) drops(rec *eventlog.Record) bool {
	return rec.Value != nil && (c.streams[streamOf(rec.Key)] || c.keys[hashKey(rec.Key)])
}
