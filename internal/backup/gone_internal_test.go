package backup

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

func at(offset int64, key, value string) eventlog.Record {
	rec := eventlog.Record{Position: event.Position{Topic: event.TopicEVE, Offset: offset}, Key: key}
	if value != "" {
		rec.Value = []byte(value)
	}
	return rec
}

func forgetting(rec eventlog.Record) bool { return string(rec.Value) == "forget" }

func TestWhatIsGoneIsDroppedAndWhatCameLaterIsKept(t *testing.T) {
	log := []eventlog.Record{
		at(0, "eve:character:1/a", "1"), // removed at 3
		at(1, "eve:character:1/b", "2"),
		at(2, "eve:character:2/a", "3"), // forgotten at 5
		at(3, "eve:character:1/a", ""),
		at(4, "eve:character:2/b", ""),
		at(5, "eve:character:2/c", "forget"),
		at(6, "eve:character:2/d", "4"),
		at(7, "eve:character:1/a", "5"), // written again
		at(8, "eve:character:22/a", "6"),
	}
	g := newGone(forgetting)
	for i := range log {
		g.see(&log[i])
	}
	var kept []int64
	for i := range log {
		if !g.drops(&log[i]) {
			kept = append(kept, log[i].Offset)
		}
	}
	require.Equal(t, []int64{1, 3, 4, 5, 6, 7, 8}, kept)
}

func TestCopiesOfWhatIsGoneAreDropped(t *testing.T) {
	c := newCopies()
	held := []eventlog.Record{at(0, "eve:character:1/a", "1"), at(1, "eve:character:1/b", "2"), at(2, "eve:character:2/a", "3"), at(3, "eve:character:1/a", "")}
	for i := range held {
		c.hold(&held[i])
	}
	tombstone, forgotten, other := at(9, "eve:character:1/a", ""), at(10, "eve:character:2/c", "forget"), at(11, "eve:character:1/x", "")
	for _, rec := range []*eventlog.Record{&tombstone, &forgotten, &other} {
		c.note(rec, forgetting)
	}
	require.Len(t, c.keys, 3, "what has no copy is not remembered")
	require.True(t, c.drops(&held[0]))
	require.False(t, c.drops(&held[1]))
	require.True(t, c.drops(&held[2]))
	require.False(t, c.drops(&held[3]), "a tombstone holds nothing")
}
