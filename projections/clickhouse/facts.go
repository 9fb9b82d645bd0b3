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
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed facts.sql
var factsSchema string

// FactsName is the name of the projection of what characters traded, mined and
// learned over time.
const FactsName = "facts"

// Facts is the projection of market transactions, of the mining ledger and of skill
// points, each as a row that its latest record replaces, and of where characters were.
// What retention removes goes, see [characterExpiry].
// It sums nothing up: figures are made of the rows when somebody asks, so that a
// repeated batch cannot count twice.
func Facts() runner.Projection {
	return runner.Projection{
		Name:    FactsName,
		Version: 2,
		Topics:  []string{event.TopicEVE},
		Schema:  factsSchema,

		Tombstones: true,
		Tables: []runner.Table{
			{Name: "transactions", Key: "character_id, transaction_id", Replacing: true},
			{Name: "mining", Key: "character_id, day, solar_system_id, type_id", Replacing: true},
			{Name: "skill_points", Key: "character_id, observed_at", Replacing: true},
			{Name: "affiliations", Key: "character_id, since", Replacing: true},
		},
		Bare:     []event.Type{eve.TypeJournalRecorded},
		NewBatch: func() runner.Batch { return &factsBatch{forgotten: map[int64]event.Position{}} },
	}
}

// placed says which event a row comes from.
type placed struct {
	event     uuid.UUID
	partition int32
	offset    int64
}

func placeOf(e runner.Event) placed { return placed{e.ID, e.Partition, e.Offset} }

// column is a column of rows.
func column[R, T any](rows []R, value func(*R) T) []T {
	values := make([]T, len(rows))
	for i := range rows {
		values[i] = value(&rows[i])
	}
	return values
}

// insertRows is a block of rows with the columns given and those of their origin.
func insertRows[R any](table string, rows []R, names string, place func(*R) placed, columns func([]R) []any) runner.Insert {
	return runner.Insert{
		Table: table, Rows: len(rows), Columns: names + ", " + originColumns,
		Fill: func(batch driver.Batch) error {
			return fill(batch, append(columns(rows),
				column(rows, func(r *R) uuid.UUID { return place(r).event }),
				column(rows, func(r *R) int32 { return place(r).partition }),
				column(rows, func(r *R) int64 { return place(r).offset })))
		},
	}
}

type transactionRow struct {
	placed
	eve.Transaction

	character int64
	day       time.Time
	readable  bool
}

type minedRow struct {
	placed
	eve.Mined

	character int64
}

type pointsRow struct {
	placed

	character int64
	at        time.Time
	points    eve.SkillTotals
	base      uuid.UUID
}

type affiliationRow struct {
	placed

	character, corporation, alliance int64
	since                            time.Time
}

// factsBatch gathers rows.
type factsBatch struct {
	transactions []transactionRow
	mined        []minedRow
	points       []pointsRow
	affiliations []affiliationRow
	expired      []characterExpiry
	// forgotten has, by character, the place of the event before which nothing
	// counts any more.
	forgotten map[int64]event.Position
}

// Add implements [runner.Batch].
func (b *factsBatch) Add(e runner.Event) error {
	if e.Expiry != nil {
		b.expire(e)
		return nil
	}
	switch p := e.Payload.(type) {
	case eve.TransactionsRecorded:
		return b.trade(e, p.Facts, true)
	case eve.TransactionsChanged:
		return b.trade(e, p.Facts, false)
	case eve.MiningRecorded:
		b.mine(e, p.Facts)
	case eve.MiningChanged:
		b.mine(e, p.Facts)
	case eve.SectionObserved:
		return b.observe(e, p)
	case eve.CharacterRegistered:
		if p.CorporationID > 0 {
			b.affiliations = append(b.affiliations, affiliationRow{placeOf(e), p.CharacterID, p.CorporationID, p.AllianceID, storable(e.Time)})
		}
	case eve.CharacterForgotten:
		b.forget(e, p.CharacterID)
	}
	return nil
}

// storable is a moment that every type of ClickHouse's for moments and days holds.
func storable(t time.Time) time.Time {
	if t.Before(firstMoment()) {
		return firstMoment()
	}
	if last := lastMoment().Add(-time.Second); t.After(last) {
		return last
	}
	return t.UTC()
}

// trade adds transactions. What was recorded and is no trade that can be counted is
// kept as such a row, so that figures can say that something is missing; an amendment
// that says nothing of the trade leaves the row as it is.
func (b *factsBatch) trade(e runner.Event, f eve.Facts, recorded bool) error {
	day, err := time.Parse(time.DateOnly, f.Day)
	if err != nil {
		return event.Errorf(event.CodePoisoned, "facts of the day %q: %w", f.Day, err)
	}
	rows := make([]transactionRow, 0, len(f.Items))
	for _, item := range f.Items {
		row := transactionRow{placed: placeOf(e), character: f.CharacterID, day: storable(day), readable: true}
		if row.Transaction, err = eve.DecodeTransaction(item); err != nil {
			var key struct {
				ID int64 `json:"transaction_id"`
			}
			if !recorded || json.Unmarshal(item, &key) != nil {
				continue
			}
			row.Transaction, row.readable = eve.Transaction{ID: key.ID, Date: day}, false
		}
		row.Date = storable(row.Date)
		rows = append(rows, row)
	}
	b.transactions = append(b.transactions, rows...)
	return nil
}

// mine adds lines of the mining ledger. A line without a quantity counts as none.
func (b *factsBatch) mine(e runner.Event, f eve.Facts) {
	for _, item := range f.Items {
		if m, err := eve.DecodeMined(item); err == nil {
			m.Day = storable(m.Day)
			b.mined = append(b.mined, minedRow{placeOf(e), m, f.CharacterID})
		}
	}
}

func (b *factsBatch) observe(e runner.Event, p eve.SectionObserved) error {
	if p.Section != eve.SectionDetails && p.Section != eve.SectionSkills {
		return nil
	}
	if p.Encoding != eve.EncodingFull && (p.Encoding != eve.EncodingDelta || p.Base == nil || p.Section == eve.SectionDetails) {
		return event.Errorf(event.CodePoisoned, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	if p.Section == eve.SectionDetails {
		d, err := eve.DecodeDetails(p.Value)
		if err != nil {
			return err
		}
		b.affiliations = append(b.affiliations, affiliationRow{placeOf(e), p.CharacterID, d.CorporationID, d.AllianceID, storable(p.FetchedAt)})
		return nil
	}
	points, err := eve.DecodeSkillTotals(p)
	if err != nil {
		return err
	}
	row := pointsRow{placed: placeOf(e), character: p.CharacterID, at: storable(p.FetchedAt), points: points}
	switch {
	case points.Known:
	case p.Base != nil:
		row.base = *p.Base
	default:
		// ESI did not tell, so the last ones known stand.
		return nil
	}
	b.points = append(b.points, row)
	return nil
}

// forget drops what was gathered of a character, and has all its rows removed that
// came before.
func (b *factsBatch) forget(e runner.Event, id int64) {
	b.transactions = slices.DeleteFunc(b.transactions, func(r transactionRow) bool { return r.character == id })
	b.mined = slices.DeleteFunc(b.mined, func(r minedRow) bool { return r.character == id })
	b.points = slices.DeleteFunc(b.points, func(r pointsRow) bool { return r.character == id })
	b.affiliations = slices.DeleteFunc(b.affiliations, func(r affiliationRow) bool { return r.character == id })
	b.forgotten[id] = e.Position
}

// factTables are those in which rows of an event can be that goes by a policy. Trades
// and the mining ledger go by the cut-off.
func factTables(policy retention.Class) []string {
	switch policy {
	case retention.ClassHistory:
		return nil
	case retention.ClassState:
		return []string{"skill_points", "affiliations"}
	default:
		return []string{"transactions", "mining", "skill_points", "affiliations"}
	}
}

// expire drops what a tombstone removes of what was gathered, and has its rows of
// earlier batches removed.
func (b *factsBatch) expire(e runner.Event) {
	x, is := expiryOf(e)
	if !is {
		return
	}
	goes := func(p placed, character int64, day time.Time) bool {
		return character == x.character && (p.event == x.id || day.Before(x.cutOff))
	}
	b.transactions = slices.DeleteFunc(b.transactions, func(r transactionRow) bool { return goes(r.placed, r.character, r.day) })
	b.mined = slices.DeleteFunc(b.mined, func(r minedRow) bool { return goes(r.placed, r.character, r.Day) })
	// State has no day: its rows go by the event alone.
	b.points = slices.DeleteFunc(b.points, func(r pointsRow) bool { return r.character == x.character && r.event == x.id })
	b.affiliations = slices.DeleteFunc(b.affiliations, func(r affiliationRow) bool { return r.character == x.character && r.event == x.id })
	b.expired = append(b.expired, x)
}

// Removals implements [runner.ClickHouseRemover].
func (b *factsBatch) Removals() []runner.Removal {
	const day = "day < toDate(toDateTime(%d, 'UTC'))"
	removals := expiriesOf(b.expired, factTables, []cutTable{{"transactions", day}, {"mining", day}})
	if len(b.forgotten) == 0 {
		return removals
	}
	var conditions []string
	for _, id := range slices.Sorted(maps.Keys(b.forgotten)) {
		at := b.forgotten[id]
		conditions = append(conditions, fmt.Sprintf("(character_id = %d AND log_partition = %d AND log_offset < %d)", id, at.Partition, at.Offset))
	}
	where := strings.Join(conditions, " OR ")
	for _, t := range Facts().Tables {
		removals = append(removals, runner.Removal{Table: t.Name, Where: where})
	}
	return removals
}

// Inserts implements [runner.ClickHouseBatch].
func (b *factsBatch) Inserts() []runner.Insert {
	return []runner.Insert{
		insertRows("transactions", b.transactions,
			"character_id, transaction_id, day, date, readable, type_id, quantity, unit_price, is_buy, is_personal, client_id, location_id, journal_ref_id",
			func(r *transactionRow) placed { return r.placed }, transactionColumns),
		insertRows("mining", b.mined, "character_id, day, solar_system_id, type_id, quantity", func(r *minedRow) placed { return r.placed }, func(rows []minedRow) []any {
			return []any{
				column(rows, func(r *minedRow) int64 { return r.character }), column(rows, func(r *minedRow) time.Time { return r.Day }),
				column(rows, func(r *minedRow) int64 { return r.SolarSystemID }), column(rows, func(r *minedRow) int64 { return r.TypeID }),
				column(rows, func(r *minedRow) int64 { return r.Quantity }),
			}
		}),
		insertRows("skill_points", b.points, "character_id, observed_at, told, total, unallocated, base_id", func(r *pointsRow) placed { return r.placed }, func(rows []pointsRow) []any {
			return []any{
				column(rows, func(r *pointsRow) int64 { return r.character }), column(rows, func(r *pointsRow) time.Time { return r.at }),
				column(rows, func(r *pointsRow) bool { return r.points.Known }), column(rows, func(r *pointsRow) int64 { return r.points.Total }),
				column(rows, func(r *pointsRow) int64 { return r.points.Unallocated }),
				column(rows, func(r *pointsRow) uuid.UUID { return r.base }),
			}
		}),
		insertRows("affiliations", b.affiliations, "character_id, since, corporation_id, alliance_id", func(r *affiliationRow) placed { return r.placed }, func(rows []affiliationRow) []any {
			return []any{
				column(rows, func(r *affiliationRow) int64 { return r.character }), column(rows, func(r *affiliationRow) time.Time { return r.since }),
				column(rows, func(r *affiliationRow) int64 { return r.corporation }), column(rows, func(r *affiliationRow) int64 { return r.alliance }),
			}
		}),
	}
}

func transactionColumns(rows []transactionRow) []any {
	number := func(value func(*transactionRow) int64) []int64 { return column(rows, value) }
	return []any{
		number(func(r *transactionRow) int64 { return r.character }),
		number(func(r *transactionRow) int64 { return r.ID }),
		column(rows, func(r *transactionRow) time.Time { return r.day }),
		column(rows, func(r *transactionRow) time.Time { return r.Date }),
		column(rows, func(r *transactionRow) bool { return r.readable }),
		number(func(r *transactionRow) int64 { return r.TypeID }),
		number(func(r *transactionRow) int64 { return r.Quantity }),
		column(rows, func(r *transactionRow) decimal.Decimal { return exact(r.UnitPrice) }),
		column(rows, func(r *transactionRow) bool { return r.IsBuy }),
		column(rows, func(r *transactionRow) bool { return r.IsPersonal }),
		number(func(r *transactionRow) int64 { return r.ClientID }),
		number(func(r *transactionRow) int64 { return r.LocationID }),
		number(func(r *transactionRow) int64 { return r.JournalRefID }),
	}
}
