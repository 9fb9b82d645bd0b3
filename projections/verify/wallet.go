package verify

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Wallet is the oracle of the projection of wallets over time: it compares
// every journal entry.
type Wallet struct {
	conn  driver.Conn
	model *eve.Model
}

// NewWallet is an oracle for the rows behind conn.
func NewWallet(conn driver.Conn) *Wallet { return &Wallet{conn: conn} }

// Projection implements [Oracle].
func (o *Wallet) Projection() string { return "wallet" }

// Topics implements [Oracle].
func (o *Wallet) Topics() []string { return []string{event.TopicEVE} }

// Begin implements [Oracle].
func (o *Wallet) Begin() { o.model = eve.NewModel() }

// Apply implements [Oracle].
func (o *Wallet) Apply(e event.Recorded, p event.Payload) error {
	switch p.(type) {
	case eve.JournalRecorded, eve.CharacterForgotten:
		return o.model.Apply(e.Event, p)
	default:
		return nil
	}
}

// Expire implements [TombstoneOracle].
func (o *Wallet) Expire(e event.Recorded) { expire(o.model, e) }

// Compare implements [Oracle].
func (o *Wallet) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	rows, err := o.conn.Query(ctx, fmt.Sprintf("SELECT character_id, id, date, ref_type, amount, balance FROM `%s`.wallet_journal FINAL WHERE log_partition = %d", g.Namespace, at.ID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	seen := map[int64]int{}
	for rows.Next() {
		var (
			character, id int64
			date          time.Time
			refType       string
			amount        decimal.Decimal
			balance       *decimal.Decimal
		)
		if err := rows.Scan(&character, &id, &date, &refType, &amount, &balance); err != nil {
			return err
		}
		stream := event.Character(character)
		if !wanted(stream) {
			continue
		}
		r.Rows[o.Projection()]++
		seen[character]++
		o.entry(r, stream, character, id, eve.JournalLine{Date: date, RefType: refType, Amount: hundredths(amount), Balance: optionalHundredths(balance)})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, character := range o.model.IDs() {
		if want := len(o.model.Character(character).Journal); want != seen[character] {
			r.differ(Difference{o.Projection(), string(event.Character(character)), "number of journal entries", strconv.Itoa(want), strconv.Itoa(seen[character])})
		}
	}
	return nil
}

func (o *Wallet) entry(r *Report, stream event.Stream, character, id int64, live eve.JournalLine) {
	what := fmt.Sprintf("journal entry %d", id)
	ch := o.model.Character(character)
	if ch == nil {
		r.differ(Difference{o.Projection(), string(stream), what, "missing", words(live)})
		return
	}
	want, ok := ch.Journal[id]
	if !ok {
		r.differ(Difference{o.Projection(), string(stream), what, "missing", words(live)})
		return
	}
	if want.Amount == live.Amount && want.RefType == live.RefType && want.Date.Equal(live.Date) &&
		(want.Balance == nil) == (live.Balance == nil) && (want.Balance == nil || *want.Balance == *live.Balance) {
		return
	}
	r.differ(Difference{o.Projection(), string(stream), what, words(want), words(live)})
}

func words(l eve.JournalLine) string {
	balance := "none"
	if l.Balance != nil {
		balance = l.Balance.String()
	}
	return fmt.Sprintf("%s %s amount %s balance %s", l.Date.UTC().Format(time.RFC3339), l.RefType, l.Amount, balance)
}

func hundredths(d decimal.Decimal) eve.ISK { return eve.ISK(d.Shift(2).IntPart()) }

func optionalHundredths(d *decimal.Decimal) *eve.ISK {
	if d == nil {
		return nil
	}
	v := hundredths(*d)
	return &v
}
