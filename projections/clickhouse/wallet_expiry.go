package clickhouse

import (
	"encoding/json"
	"time"

	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// walletTables are those in which rows of an event can be that goes by a policy. The
// entries of a journal go by the cut-off.
func walletTables(policy retention.Class) []string {
	switch policy {
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

// expiries are the rows of earlier batches that go.
func (b *walletBatch) expiries() []runner.Removal {
	return expiriesOf(b.expired, walletTables, []cutTable{{"wallet_journal", "date < toDateTime(%d, 'UTC')"}})
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
