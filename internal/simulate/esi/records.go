package esi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// recordKeys are the fields whose numbers are the natural keys of a section's
// records; a section without is a value that is served as a whole. The mining
// ledger has a key of three fields, see [keysOf].
var recordKeys = map[section]string{
	sectionTransactions:  `"transaction_id":`,
	sectionMails:         `"mail_id":`,
	sectionContracts:     `"contract_id":`,
	sectionMining:        `"date":`,
	sectionKillmails:     `"killmail_id":`,
	sectionNotifications: `"notification_id":`,
	sectionCalendar:      `"event_id":`,
}

// contentAt appends the whole content of a section at a moment of the world.
func (w *world) contentAt(b []byte, s section, id int64, at time.Time) []byte {
	if s == sectionSkills || s == sectionSkillQueue {
		at = w.lastLogin(id, at)
	}
	c := &sectionContents[s]
	if c.whole != nil {
		return c.whole(w, b, id, at)
	}
	return c.items(w, b, id, at, 0, c.count(w, id, at))
}

// keysOf reads the keys of records from a list of them, without decoding it.
func keysOf(s section, list []byte) []int64 {
	field := []byte(recordKeys[s])
	if s == sectionMining {
		return miningKeys(list)
	}
	var keys []int64
	for {
		i := bytes.Index(list, field)
		if i < 0 {
			return keys
		}
		list = list[i+len(field):]
		key, n := leadingInt(list)
		keys, list = append(keys, key), list[n:]
	}
}

func leadingInt(b []byte) (value int64, length int) {
	for length < len(b) && b[length] >= '0' && b[length] <= '9' {
		value = value*10 + int64(b[length]-'0')
		length++
	}
	return value, length
}

// miningKeys makes one number of each line's day, system and ore. Days are in
// the order of time.
func miningKeys(list []byte) []int64 {
	var rows []json.RawMessage
	if json.Unmarshal(list, &rows) != nil {
		return nil // the content is the simulator's own; its tests check it
	}
	keys := make([]int64, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, miningKey(row))
	}
	return keys
}

func miningKey(row []byte) int64 {
	var line struct {
		Date   string `json:"date"`
		System int64  `json:"solar_system_id"`
		Type   int64  `json:"type_id"`
	}
	if json.Unmarshal(row, &line) != nil {
		return 0
	}
	at, err := time.Parse(time.DateOnly, line.Date)
	if err != nil {
		return 0
	}
	// Systems have ids of 30 to 34 millions, ores below half a million.
	return at.Unix()/86400<<44 | (line.System-30_000_000)&(1<<24-1)<<20 | line.Type&(1<<20-1)
}

// keyOf is the key of one record.
func keyOf(s section, row []byte) int64 {
	if s == sectionMining {
		return miningKey(row)
	}
	keys := keysOf(s, row)
	if len(keys) == 0 {
		return 0
	}
	return keys[0]
}

// contentBetween appends what a section listed at a moment of the records with the
// keys lo to hi, and of those that are not in the order of their keys all: a long
// mailbox is not made as a whole for each of its pages.
func (w *world) contentBetween(b []byte, s section, id int64, at time.Time, lo, hi int64) []byte {
	from, to := hi, lo
	switch s { //nolint:exhaustive // the others are listed in no order of their keys
	case sectionMails, sectionTransactions:
	case sectionCalendar:
		from, to = lo, hi
	default:
		return w.contentAt(b, s, id, at)
	}
	begin, end := w.cursorStart(s, id, at, from, true), w.cursorStart(s, id, at, to, false)
	return sectionContents[s].items(w, b, id, at, begin, max(begin, end))
}

// recordsAt are the keys that a section listed at a checkpoint, within its range.
func (w *world) recordsAt(s section, id int64, p checkpoint) []int64 {
	buffer := borrow()
	defer bodies.Put(buffer)
	*buffer = w.contentBetween((*buffer)[:0], s, id, time.UnixMilli(p.world).UTC(), p.lo, p.hi)
	keys := keysOf(s, *buffer)
	return slices.DeleteFunc(keys, func(key int64) bool { return key < p.lo || key > p.hi })
}

// checked adds what was served now to the checkpoints of a section: earlier ones
// are cut back to the records that are not among the keys, and dropped if there
// are none.
func (w *world) checked(points []checkpoint, s section, id, at int64, keys []int64) []checkpoint {
	if len(keys) == 0 {
		return points
	}
	sorted := slices.Clone(keys)
	slices.Sort(sorted)
	lo, hi := sorted[0], sorted[len(sorted)-1]
	kept := make([]checkpoint, 0, len(points)+1)
	for _, p := range points {
		if p.hi < lo || p.lo > hi {
			kept = append(kept, p)
			continue
		}
		left := w.recordsAt(s, id, p)
		left = slices.DeleteFunc(left, func(key int64) bool {
			_, found := slices.BinarySearch(sorted, key)
			return found
		})
		if len(left) > 0 {
			kept = append(kept, checkpoint{p.world, slices.Min(left), slices.Max(left)})
		}
	}
	return append(kept, checkpoint{at, lo, hi})
}

// heldRecord is a record as it was served last.
type heldRecord struct {
	key int64
	raw json.RawMessage
}

// held are the records of a section that were served, each as it was served
// last, in the order of their keys.
func (w *world) held(s section, id int64, points []checkpoint) ([]heldRecord, error) {
	latest := map[int64]json.RawMessage{}
	for _, p := range points {
		var rows []json.RawMessage
		if err := json.Unmarshal(w.contentBetween(nil, s, id, time.UnixMilli(p.world).UTC(), p.lo, p.hi), &rows); err != nil {
			return nil, err
		}
		for _, row := range rows {
			if key := keyOf(s, row); key >= p.lo && key <= p.hi {
				latest[key] = row
			}
		}
	}
	out := make([]heldRecord, 0, len(latest))
	for key, raw := range latest {
		out = append(out, heldRecord{key, raw})
	}
	slices.SortFunc(out, func(a, b heldRecord) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return out, nil
}

// cursorStart is the index of the first element that a cursor asks for: of
// descending ids the first below it, of ascending ones the first above it.
// inclusive lets the element of that id itself be the first.
func (w *world) cursorStart(s section, id int64, at time.Time, cursor int64, inclusive bool) int {
	c := &sectionContents[s]
	ascending := s == sectionCalendar
	lo, hi := 0, c.count(w, id, at)
	buffer := borrow()
	defer bodies.Put(buffer)
	for lo < hi {
		middle := int(uint(lo+hi) >> 1)
		*buffer = c.items(w, (*buffer)[:0], id, at, middle, middle+1)
		key := keyOf(s, *buffer)
		before := !ascending && key > cursor || ascending && key < cursor
		if before || key == cursor && !inclusive {
			lo = middle + 1
		} else {
			hi = middle
		}
	}
	return lo
}

// withoutCompleted leaves out industry jobs that are completed: those are only
// listed for include_completed.
func withoutCompleted(list []byte) []byte {
	var jobs []json.RawMessage
	if json.Unmarshal(list, &jobs) != nil {
		return list // the content is the simulator's own; its tests check it
	}
	out := []byte{'['}
	for _, job := range jobs {
		if bytes.Contains(job, []byte(`"completed_date"`)) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, job...)
	}
	return append(out, ']')
}

// pageBounds is the range of elements on a page of a list of count elements,
// and the number of pages. Pages hold a few elements fewer than they could, each
// another number.
func pageBounds(count, most int, id int64, page int) (lo, hi, pages int) {
	slack := max(1, most/50)
	end := 0
	for pages = 1; ; pages++ {
		begin := end
		end += most - int(hashOf(strconv.AppendInt(nil, id+int64(pages)<<40, 10))%uint64(slack))
		if pages == page {
			lo, hi = min(begin, count), min(end, count)
		}
		if end >= count {
			return lo, hi, pages
		}
	}
}
