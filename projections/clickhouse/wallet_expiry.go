package clickhouse

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// walletExpiry is a tombstone of a character's stream. What it names goes by the id
// of the event; one of the history also has all entries go that lie before its
// cut-off and were told before it, whichever event told them: an entry that was told
// twice, or while the tombstones were on their way, does not come back by that.
type walletExpiry struct {
	character int64
	id        uuid.UUID
	policy    retention.Class
	// cutOff is zero for other policies.
	cutOff time.Time
	event  runner.Event
}

// expiryOf reads a tombstone; false if it is of no character.
func expiryOf(e runner.Event) (walletExpiry, bool) {
	id, is := e.Stream.CharacterID()
	x := walletExpiry{character: id, id: e.ID, policy: retention.Class(e.Expiry.Policy), event: e}
	if x.policy == retention.ClassHistory {
		x.cutOff = e.Expiry.CutOff
	}
	return x, is
}

// tables are those in which rows of the event can be. The entries of a journal go by
// the cut-off.
func (x walletExpiry) tables() []string {
	switch x.policy {
	case retention.ClassHistory:
		return []string{"closings"}
	case retention.ClassState:
		return []string{"affiliations", "balances"}
	default:
		return []string{"wallet_journal", "affiliations", "balances", "closings"}
	}
}

// expire drops what a tombstone removes of what was gathered, and has its rows of
// earlier batches removed.
func (b *walletBatch) expire(e runner.Event) {
	x, is := expiryOf(e)
	if !is {
		return
	}
	names := func(o *origin, characters []int64, row int) bool {
		return characters[row] == x.character && o.eventID[row] == x.id
	}
	j, a, l, z := &b.journal, &b.affiliations, &b.balances, &b.closings
	j.keep(rowsWithout(len(j.id), func(row int) bool {
		return names(&j.origin, j.characterID, row) || j.characterID[row] == x.character && j.date[row].Before(x.cutOff)
	}))
	a.keep(rowsWithout(len(a.characterID), func(row int) bool { return names(&a.origin, a.characterID, row) }))
	l.keep(rowsWithout(len(l.characterID), func(row int) bool { return names(&l.origin, l.characterID, row) }))
	z.keep(rowsWithout(len(z.characterID), func(row int) bool { return names(&z.origin, z.characterID, row) }))
	b.expired = append(b.expired, x)
}

// rowsWithout are the rows that do not match.
func rowsWithout(n int, match func(int) bool) []int {
	rows := make([]int, 0, n)
	for row := range n {
		if !match(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// expiries are the rows of earlier batches that go. Numbers and ids alone become
// part of the statements.
func (b *walletBatch) expiries() []runner.Removal {
	var removals []runner.Removal
	for some := range slices.Chunk(b.expired, namedAtOnce) {
		named, cut := map[string][]runner.Event{}, map[int64][]runner.Event{}
		for _, x := range some {
			for _, table := range x.tables() {
				named[table] = append(named[table], x.event)
			}
			if !x.cutOff.IsZero() {
				at := max(0, x.cutOff.Unix())
				cut[at] = append(cut[at], x.event)
			}
		}
		for _, table := range slices.Sorted(maps.Keys(named)) {
			removals = append(removals, runner.Removal{Table: table, Where: charactersOf(named[table]) + " AND " + namedBy(named[table])})
		}
		// Those of a run have the same cut-off.
		for _, at := range slices.Sorted(maps.Keys(cut)) {
			removals = append(removals, runner.Removal{
				Table: "wallet_journal", Where: fmt.Sprintf("%s AND date < toDateTime(%d, 'UTC') AND %s", charactersOf(cut[at]), at, earlier(cut[at])),
			})
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

type closingColumns struct {
	characterID []int64
	before      []time.Time
	entries     []int64
	total       []decimal.Decimal
	balance     []*decimal.Decimal
	lastID      []int64
	lastAt      []time.Time
	origin
}

func (c *closingColumns) keep(rows []int) {
	keep(&c.characterID, rows)
	keep(&c.before, rows)
	keep(&c.entries, rows)
	keep(&c.total, rows)
	keep(&c.balance, rows)
	keep(&c.lastID, rows)
	keep(&c.lastAt, rows)
	c.origin.keep(rows)
}

// close notes a closing of a journal.
func (b *walletBatch) close(e runner.Event, p eve.JournalClosed) error {
	total, err := eve.ParseISK(p.Sum)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "closing of a journal: %w", err)
	}
	balance, err := amountOr(p.Balance)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "closing of a journal: %w", err)
	}
	c := &b.closings
	c.characterID = append(c.characterID, p.CharacterID)
	c.before = append(c.before, indexableDay(p.Before))
	c.entries = append(c.entries, p.Entries)
	c.total = append(c.total, exact(total))
	c.balance = append(c.balance, balance)
	c.lastID = append(c.lastID, p.LastEntryID)
	c.lastAt = append(c.lastAt, indexable(p.LastAt))
	c.origin.add(e)
	return nil
}

// amountOr is an amount that may be missing; nil if it is.
func amountOr(n json.Number) (*decimal.Decimal, error) {
	if n == "" {
		return nil, nil
	}
	isk, err := eve.ParseISK(n)
	if err != nil {
		return nil, err
	}
	exactly := exact(isk)
	return &exactly, nil
}
