// Package clickhouse holds the read models of what was true over time: the
// folds that fill them and the queries that read them.
package clickhouse

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed wallet.sql
var walletSchema string

// WalletName is the name of the projection of wallets over time.
const WalletName = "wallet"

// Wallet is the projection of every journal entry, of the balances seen, of the
// corporations that characters were in, and of what was closed of journals. What
// retention removes goes, see [characterExpiry].
func Wallet() runner.Projection {
	return runner.Projection{
		Name:    WalletName,
		Version: 5,
		Topics:  []string{event.TopicEVE},
		Schema:  walletSchema,

		Tombstones: true,
		Tables: []runner.Table{
			{Name: "wallet_journal", Key: "character_id, date, id", Replacing: true},
			{Name: "affiliations", Key: "character_id, since", Replacing: true},
			{Name: "balances", Key: "character_id, observed_at", Replacing: true},
			{Name: "closings", Key: "character_id", Replacing: true},
		},
		NewBatch: func() runner.Batch { return &walletBatch{} },
	}
}

// origin has the columns that say which event a row comes from.
type origin struct {
	eventID   []uuid.UUID
	partition []int32
	offset    []int64
}

func (o *origin) add(e runner.Event) {
	o.eventID = append(o.eventID, e.ID)
	o.partition = append(o.partition, e.Partition)
	o.offset = append(o.offset, e.Offset)
}

const originColumns = "event_id, log_partition, log_offset"

func (o *origin) columns() []any { return []any{o.eventID, o.partition, o.offset} }

type journalColumns struct {
	characterID, id                      []int64
	date, observedAt                     []time.Time
	refType                              []string
	amount, tax                          []decimal.Decimal
	balance                              []*decimal.Decimal
	firstParty, secondParty, taxReceiver []int64
	contextID                            []int64
	contextType, description, reason     []string
	origin
}

type affiliationColumns struct {
	characterID           []int64
	since                 []time.Time
	corporation, alliance []int64
	origin
}

type balanceColumns struct {
	characterID []int64
	observedAt  []time.Time
	balance     []decimal.Decimal
	origin
}

// walletBatch folds journals, balances and affiliations.
type walletBatch struct {
	journal      journalColumns
	affiliations affiliationColumns
	balances     balanceColumns
	closings     closingColumns
	expired      []characterExpiry
	// forgotten has, by character, the place of the event before which nothing
	// counts any more.
	forgotten map[int64]event.Position
}

// Add implements [runner.Batch].
func (b *walletBatch) Add(e runner.Event) error {
	if e.Expiry != nil {
		b.expire(e)
		return nil
	}
	switch p := e.Payload.(type) {
	case eve.JournalRecorded:
		return b.record(e, p)
	case eve.JournalClosed:
		return b.close(e, p)
	case eve.SectionObserved:
		return b.observe(e, p)
	case eve.CharacterRegistered:
		if p.CorporationID > 0 {
			b.affiliations.add(e, p.CharacterID, e.Time, p.CorporationID, p.AllianceID)
		}
	case eve.CharacterForgotten:
		b.forget(e, p.CharacterID)
	}
	return nil
}

// forget drops what was gathered of a character, and has all its rows removed that
// came before.
func (b *walletBatch) forget(e runner.Event, id int64) {
	b.journal.drop(id)
	b.affiliations.drop(id)
	b.balances.drop(id)
	b.closings.keep(others(b.closings.characterID, id))
	if b.forgotten == nil {
		b.forgotten = map[int64]event.Position{}
	}
	b.forgotten[id] = e.Position
}

// Removals implements [runner.ClickHouseRemover].
func (b *walletBatch) Removals() []runner.Removal {
	removals := b.expiries()
	if len(b.forgotten) == 0 {
		return removals
	}
	var conditions []string
	for _, id := range slices.Sorted(maps.Keys(b.forgotten)) {
		at := b.forgotten[id]
		conditions = append(conditions, fmt.Sprintf("(character_id = %d AND log_partition = %d AND log_offset < %d)", id, at.Partition, at.Offset))
	}
	where := strings.Join(conditions, " OR ")
	return append(removals, runner.Removal{Table: "wallet_journal", Where: where}, runner.Removal{Table: "affiliations", Where: where},
		runner.Removal{Table: "balances", Where: where}, runner.Removal{Table: "closings", Where: where})
}

// others are the places of rows that are not a character's.
func others(characters []int64, id int64) []int {
	rows := make([]int, 0, len(characters))
	for i, other := range characters {
		if other != id {
			rows = append(rows, i)
		}
	}
	return rows
}

// keep leaves the rows given.
func keep[T any](column *[]T, rows []int) {
	kept := make([]T, len(rows))
	for i, row := range rows {
		kept[i] = (*column)[row]
	}
	*column = kept
}

func (o *origin) keep(rows []int) {
	keep(&o.eventID, rows)
	keep(&o.partition, rows)
	keep(&o.offset, rows)
}

func (c *journalColumns) drop(id int64) { c.keep(others(c.characterID, id)) }

func (c *journalColumns) keep(rows []int) {
	for _, column := range []*[]int64{&c.characterID, &c.id, &c.firstParty, &c.secondParty, &c.taxReceiver, &c.contextID} {
		keep(column, rows)
	}
	for _, column := range []*[]string{&c.refType, &c.contextType, &c.description, &c.reason} {
		keep(column, rows)
	}
	keep(&c.date, rows)
	keep(&c.observedAt, rows)
	keep(&c.amount, rows)
	keep(&c.tax, rows)
	keep(&c.balance, rows)
	c.origin.keep(rows)
}

func (c *affiliationColumns) drop(id int64) { c.keep(others(c.characterID, id)) }

func (c *affiliationColumns) keep(rows []int) {
	for _, column := range []*[]int64{&c.characterID, &c.corporation, &c.alliance} {
		keep(column, rows)
	}
	keep(&c.since, rows)
	c.origin.keep(rows)
}

func (c *balanceColumns) drop(id int64) { c.keep(others(c.characterID, id)) }

func (c *balanceColumns) keep(rows []int) {
	keep(&c.characterID, rows)
	keep(&c.observedAt, rows)
	keep(&c.balance, rows)
	c.origin.keep(rows)
}

func (b *walletBatch) observe(e runner.Event, p eve.SectionObserved) error {
	if p.Section != eve.SectionDetails && p.Section != eve.SectionWallet {
		return nil
	}
	if p.Encoding != eve.EncodingFull {
		return event.Errorf(event.CodePoisoned, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	if p.Section == eve.SectionWallet {
		balance, err := eve.DecodeWallet(p.Value)
		if err != nil {
			return err
		}
		c := &b.balances
		c.characterID = append(c.characterID, p.CharacterID)
		c.observedAt = append(c.observedAt, p.FetchedAt)
		c.balance = append(c.balance, exact(balance))
		c.origin.add(e)
		return nil
	}
	d, err := eve.DecodeDetails(p.Value)
	if err != nil {
		return err
	}
	b.affiliations.add(e, p.CharacterID, p.FetchedAt, d.CorporationID, d.AllianceID)
	return nil
}

func (c *affiliationColumns) add(e runner.Event, id int64, since time.Time, corporation, alliance int64) {
	c.characterID = append(c.characterID, id)
	c.since = append(c.since, since)
	c.corporation = append(c.corporation, corporation)
	c.alliance = append(c.alliance, alliance)
	c.origin.add(e)
}

// money is a journal entry's amounts, read before anything is appended.
type money struct {
	amount, tax decimal.Decimal
	balance     *decimal.Decimal
}

func (b *walletBatch) record(e runner.Event, p eve.JournalRecorded) error {
	amounts := make([]money, len(p.Entries))
	for i := range p.Entries {
		m, err := moneyOf(&p.Entries[i])
		if err != nil {
			return event.Errorf(event.CodePoisoned, "journal entry %d: %w", p.Entries[i].ID, err)
		}
		amounts[i] = m
	}
	c := &b.journal
	for i := range p.Entries {
		j := &p.Entries[i]
		c.characterID = append(c.characterID, p.CharacterID)
		c.id = append(c.id, j.ID)
		c.date = append(c.date, j.Date)
		c.observedAt = append(c.observedAt, p.FetchedAt)
		c.refType = append(c.refType, j.RefType)
		c.amount = append(c.amount, amounts[i].amount)
		c.balance = append(c.balance, amounts[i].balance)
		c.tax = append(c.tax, amounts[i].tax)
		c.firstParty = append(c.firstParty, j.FirstPartyID)
		c.secondParty = append(c.secondParty, j.SecondPartyID)
		c.taxReceiver = append(c.taxReceiver, j.TaxReceiverID)
		c.contextID = append(c.contextID, j.ContextID)
		c.contextType = append(c.contextType, j.ContextIDType)
		c.description = append(c.description, j.Description)
		c.reason = append(c.reason, j.Reason)
		c.origin.add(e)
	}
	return nil
}

func moneyOf(j *eve.JournalEntry) (money, error) {
	var m money
	amount, err := optional(j.Amount)
	if err != nil {
		return m, err
	}
	tax, err := optional(j.Tax)
	if err != nil {
		return m, err
	}
	m.amount, m.tax = exact(amount), exact(tax)
	if j.Balance != "" {
		balance, err := eve.ParseISK(j.Balance)
		if err != nil {
			return m, err
		}
		exactly := exact(balance)
		m.balance = &exactly
	}
	return m, nil
}

// optional reads an amount that ESI leaves out when it is zero.
func optional(n json.Number) (eve.ISK, error) {
	if n == "" {
		return 0, nil
	}
	return eve.ParseISK(n)
}

func exact(a eve.ISK) decimal.Decimal { return decimal.New(int64(a), -2) }

// Inserts implements [runner.ClickHouseBatch].
func (b *walletBatch) Inserts() []runner.Insert {
	j, a, l, z := &b.journal, &b.affiliations, &b.balances, &b.closings
	return []runner.Insert{
		insert("wallet_journal", len(j.id),
			"character_id, id, date, ref_type, amount, balance, tax, first_party_id, second_party_id, tax_receiver_id, context_id, context_id_type, description, reason, observed_at",
			&j.origin, j.characterID, j.id, j.date, j.refType, j.amount, j.balance, j.tax, j.firstParty, j.secondParty, j.taxReceiver, j.contextID, j.contextType, j.description, j.reason, j.observedAt),
		insert("affiliations", len(a.characterID), "character_id, since, corporation_id, alliance_id",
			&a.origin, a.characterID, a.since, a.corporation, a.alliance),
		insert("balances", len(l.characterID), "character_id, observed_at, balance",
			&l.origin, l.characterID, l.observedAt, l.balance),
		insert("closings", len(z.characterID), "character_id, before, entries, total, balance, last_entry_id, last_at",
			&z.origin, z.characterID, z.before, z.entries, z.total, z.balance, z.lastID, z.lastAt),
	}
}

// insert is a block of the columns given and of those of its origin.
func insert(table string, rows int, names string, from *origin, columns ...any) runner.Insert {
	return runner.Insert{
		Table: table, Rows: rows, Columns: names + ", " + originColumns,
		Fill: func(batch driver.Batch) error {
			for i, c := range append(columns, from.columns()...) {
				if err := batch.Column(i).Append(c); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
