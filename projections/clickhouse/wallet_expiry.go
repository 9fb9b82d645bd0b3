package clickhouse

import (
	"cmp"
	"encoding/json"
	"fmt"
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
	cutOff    time.Time
	partition int32
	offset    int64
	event     runner.Event
}

// expiryOf reads a tombstone; false if it is of no character.
func expiryOf(e runner.Event) (walletExpiry, bool) {
	id, is := e.Stream.CharacterID()
	x := walletExpiry{character: id, id: e.ID, policy: retention.Class(e.Expiry.Policy), partition: e.Partition, offset: e.Offset, event: e}
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
		// Each table and partition has one statement; cut-offs of a run are the same.
		type place struct {
			table     string
			partition int32
			cutOff    int64
		}
		named := map[place][]runner.Event{}
		var characters []string
		for _, x := range some {
			if id := strconv.FormatInt(x.character, 10); !slices.Contains(characters, id) {
				characters = append(characters, id)
			}
			for _, table := range x.tables() {
				at := place{table: table, partition: x.partition}
				named[at] = append(named[at], x.event)
			}
		}
		where := "character_id IN (" + strings.Join(characters, ", ") + ") AND "
		for at, gone := range named {
			removals = append(removals, runner.Removal{Table: at.table, Where: where + namedBy(at.partition, gone)})
		}
		cut := map[place][]walletExpiry{}
		for _, x := range some {
			if !x.cutOff.IsZero() {
				at := place{"wallet_journal", x.partition, max(0, x.cutOff.Unix())}
				cut[at] = append(cut[at], x)
			}
		}
		for at, expiries := range cut {
			removals = append(removals, runner.Removal{Table: at.table, Where: beforeCutOff(at.partition, at.cutOff, expiries)})
		}
	}
	// The same batch gives the same statements.
	slices.SortFunc(removals, func(a, c runner.Removal) int {
		return cmp.Or(cmp.Compare(a.Table, c.Table), cmp.Compare(a.Where, c.Where))
	})
	return removals
}

// beforeCutOff is the condition of entries of earlier batches that lie before a
// cut-off.
func beforeCutOff(partition int32, cutOff int64, expiries []walletExpiry) string {
	var characters []string
	first := expiries[0].offset
	for _, x := range expiries {
		first = min(first, x.offset)
		if id := strconv.FormatInt(x.character, 10); !slices.Contains(characters, id) {
			characters = append(characters, id)
		}
	}
	return fmt.Sprintf("character_id IN (%s) AND date < toDateTime(%d, 'UTC') AND log_partition = %d AND log_offset < %d",
		strings.Join(characters, ", "), cutOff, partition, first)
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
