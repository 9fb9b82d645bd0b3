package eve

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// keepKnown is how long before the newest entry an entry is remembered. ESI
// lists the last 30 days; what is older cannot come again.
const keepKnown = 45 * 24 * time.Hour

// knownFormat is the first byte of the binary form of [KnownEntries].
const knownFormat = 1

// KnownEntries remembers which journal entries of one character are recorded.
// It forgets what is so much older than the newest entry that ESI cannot list it
// any more; it measures by the entries themselves, not by the clock. Its zero
// value is empty and ready. It is not safe for concurrent use.
type KnownEntries struct {
	// days has the UTC day, counted from 1970, of each id.
	days map[int64]int64
}

// Has tells whether the entry is remembered.
func (k *KnownEntries) Has(id int64) bool {
	_, ok := k.days[id]
	return ok
}

// Len is the number of entries remembered.
func (k *KnownEntries) Len() int { return len(k.days) }

// Add remembers entries and forgets those that have become too old.
func (k *KnownEntries) Add(entries []JournalEntry) {
	if len(entries) == 0 {
		return
	}
	if k.days == nil {
		k.days = make(map[int64]int64, len(entries))
	}
	var newest int64
	for _, entry := range entries {
		k.days[entry.ID] = dayNumber(entry.Date)
	}
	for _, day := range k.days {
		newest = max(newest, day)
	}
	for id, day := range k.days {
		if newest-day > int64(keepKnown/(24*time.Hour)) {
			delete(k.days, id)
		}
	}
}

func dayNumber(t time.Time) int64 { return dayOf(t).Unix() / (24 * 60 * 60) }

// AppendBinary writes the entries in a compact form: for each day its number,
// the count and the ids as differences. It never fails.
func (k *KnownEntries) AppendBinary(b []byte) ([]byte, error) {
	byDay := map[int64][]int64{}
	for id, day := range k.days {
		byDay[day] = append(byDay[day], id)
	}
	days := make([]int64, 0, len(byDay))
	for day := range byDay {
		days = append(days, day)
	}
	slices.Sort(days)
	b = append(b, knownFormat)
	for _, day := range days {
		ids := byDay[day]
		slices.Sort(ids)
		b = binary.AppendVarint(b, day)
		b = binary.AppendUvarint(b, uint64(len(ids)))
		previous := int64(0)
		for _, id := range ids {
			b = binary.AppendVarint(b, id-previous)
			previous = id
		}
	}
	return b, nil
}

// MarshalBinary is [KnownEntries.AppendBinary] on an empty slice.
func (k *KnownEntries) MarshalBinary() ([]byte, error) { return k.AppendBinary(nil) }

// UnmarshalBinary reads what [KnownEntries.MarshalBinary] wrote; nothing at all
// is the empty set. It fails with [event.CodeInvalid] for anything else.
func (k *KnownEntries) UnmarshalBinary(b []byte) error {
	k.days = map[int64]int64{}
	if len(b) == 0 {
		return nil
	}
	if b[0] != knownFormat {
		return event.Errorf(event.CodeInvalid, "known journal entries: format %d is not known to this Muster", b[0])
	}
	b = b[1:]
	for len(b) > 0 {
		day, n := binary.Varint(b)
		if n <= 0 {
			return errTruncated()
		}
		b = b[n:]
		count, n := binary.Uvarint(b)
		if n <= 0 {
			return errTruncated()
		}
		b = b[n:]
		id := int64(0)
		for range count {
			difference, n := binary.Varint(b)
			if n <= 0 {
				return errTruncated()
			}
			b = b[n:]
			id += difference
			k.days[id] = day
		}
	}
	return nil
}

func errTruncated() error {
	return event.Errorf(event.CodeInvalid, "known journal entries: the stored form is cut off")
}
