package clickhouse

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// characterExpiry is a tombstone of a character's stream. What it names goes by the id
// of the event; one of the history also has all records go that lie before its
// cut-off and were told before it, whichever event told them: one that was told
// twice, or while the tombstones were on their way, does not come back by that.
type characterExpiry struct {
	character int64
	id        uuid.UUID
	policy    retention.Class
	// cutOff is zero for other policies.
	cutOff time.Time
	event  runner.Event
}

// expiryOf reads a tombstone; false if it is of no character.
func expiryOf(e runner.Event) (characterExpiry, bool) {
	id, is := e.Stream.CharacterID()
	x := characterExpiry{character: id, id: e.ID, policy: retention.Class(e.Expiry.Policy), event: e}
	if x.policy == retention.ClassHistory {
		x.cutOff = e.Expiry.CutOff
	}
	return x, is
}

// cutTable is a table of history, with the condition of its rows before a moment, in
// seconds since 1970.
type cutTable struct{ name, before string }

// expiriesOf are the rows of earlier batches that tombstones remove: of the tables
// that named tells for a policy those that came of the event, and of the tables of
// history those before the cut-off. Numbers and ids alone become part of the
// statements.
func expiriesOf(expired []characterExpiry, named func(retention.Class) []string, history []cutTable) []runner.Removal {
	var removals []runner.Removal
	for some := range slices.Chunk(expired, namedAtOnce) {
		of, cut := map[string][]runner.Event{}, map[int64][]runner.Event{}
		for _, x := range some {
			for _, table := range named(x.policy) {
				of[table] = append(of[table], x.event)
			}
			if !x.cutOff.IsZero() {
				at := max(0, x.cutOff.Unix())
				cut[at] = append(cut[at], x.event)
			}
		}
		for _, table := range slices.Sorted(maps.Keys(of)) {
			removals = append(removals, runner.Removal{Table: table, Where: charactersOf(of[table]) + " AND " + namedBy(of[table])})
		}
		// Those of a run have the same cut-off.
		for _, at := range slices.Sorted(maps.Keys(cut)) {
			for _, table := range history {
				removals = append(removals, runner.Removal{
					Table: table.name, Where: charactersOf(cut[at]) + " AND " + fmt.Sprintf(table.before, at) + " AND " + earlier(cut[at]),
				})
			}
		}
	}
	return removals
}

// charactersOf is the condition of rows of the characters of events.
func charactersOf(events []runner.Event) string {
	ids := map[int64]bool{}
	for _, e := range events {
		if id, is := e.Stream.CharacterID(); is {
			ids[id] = true
		}
	}
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		texts = append(texts, strconv.FormatInt(id, 10))
	}
	return "character_id IN (" + strings.Join(texts, ", ") + ")"
}
