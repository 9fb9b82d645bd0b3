package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/live"
)

// JournalEntry is an entry of a character's wallet journal. Amounts are ISK with
// two decimals.
type JournalEntry struct {
	ID     int64           `ch:"id"`
	Date   time.Time       `ch:"date"`
	Type   string          `ch:"ref_type"`
	Amount decimal.Decimal `ch:"amount"`
	// Balance is the balance after the entry; nil if ESI sent none.
	Balance       *decimal.Decimal `ch:"balance"`
	Tax           decimal.Decimal  `ch:"tax"`
	FirstPartyID  int64            `ch:"first_party_id"`
	SecondPartyID int64            `ch:"second_party_id"`
	TaxReceiverID int64            `ch:"tax_receiver_id"`
	ContextID     int64            `ch:"context_id"`
	ContextIDType string           `ch:"context_id_type"`
	Description   string           `ch:"description"`
	Reason        string           `ch:"reason"`
	// Origin is the event that first told of it; entries never change.
	Origin event.Origin `ch:"-"`
}

// JournalFilter says which entries of a character to list, the newest first.
// Zero fields do not filter.
type JournalFilter struct {
	CharacterID int64
	// From is inclusive, To exclusive.
	From, To time.Time
	RefTypes []string
	// Before is the last entry of the page before; nil for the first page.
	Before *JournalCursor
	// Limit is the most entries to list; it must be positive.
	Limit int
}

// JournalCursor is a place in a journal.
type JournalCursor struct {
	Date time.Time `json:"d"`
	ID   int64     `json:"i"`
}

// Cursor is the place of the entry in the journal.
func (j JournalEntry) Cursor() JournalCursor { return JournalCursor{Date: j.Date, ID: j.ID} }

// WalletReader answers questions about wallets over time. It is safe for
// concurrent use.
type WalletReader struct {
	conn driver.Conn
	live *live.Generations
	// budget holds figures; pages of a journal are small.
	budget Budget
}

// NewWalletReader reads the projection [WalletName] behind the connection.
func NewWalletReader(conn driver.Conn, generations *live.Generations) *WalletReader {
	return &WalletReader{conn: conn, live: generations, budget: DefaultBudget()}
}

// finalByPartition has FINAL look for copies of a row within a partition only:
// the partition follows from the key, so copies are never in two.
const finalByPartition = " SETTINGS do_not_merge_across_partitions_select_final = 1"

// Journal lists entries of a wallet journal, at most filter.Limit. It fails with
// [event.CodeUnavailable] if the projection or ClickHouse is not there.
func (r *WalletReader) Journal(ctx context.Context, filter JournalFilter) ([]JournalEntry, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{}
	where := []string{"character_id = " + q.integer(filter.CharacterID)}
	if !filter.From.IsZero() {
		where = append(where, "date >= "+q.moment(filter.From))
	}
	if !filter.To.IsZero() {
		where = append(where, "date < "+q.moment(filter.To))
	}
	if len(filter.RefTypes) > 0 {
		where = append(where, "ref_type IN "+q.texts(filter.RefTypes))
	}
	if c := filter.Before; c != nil {
		where = append(where, fmt.Sprintf("(date, id) < (%s, %s)", q.moment(c.Date), q.integer(c.ID)))
	}
	sql := fmt.Sprintf(`SELECT id, date, ref_type, amount, balance, tax, first_party_id, second_party_id, tax_receiver_id,
			context_id, context_id_type, description, reason, log_partition, log_offset
		FROM %s.wallet_journal FINAL WHERE %s ORDER BY date DESC, id DESC LIMIT %s`+finalByPartition,
		database, strings.Join(where, " AND "), q.integer(int64(filter.Limit)))
	var rows []struct {
		JournalEntry

		Partition int32 `ch:"log_partition"`
		Offset    int64 `ch:"log_offset"`
	}
	if err := r.conn.Select(ctx, &rows, sql, q.arguments...); err != nil {
		return nil, queryError("reading the wallet journal", err)
	}
	entries := make([]JournalEntry, len(rows))
	for i, row := range rows {
		entries[i] = row.JournalEntry
		entries[i].Date = row.Date.UTC()
		entries[i].Origin = event.Origin{
			Stream:   event.Character(filter.CharacterID),
			Position: event.Position{Topic: event.TopicEVE, Partition: row.Partition, Offset: row.Offset},
		}
	}
	return entries, nil
}

// Counts are numbers of rows, each fact counted once.
type Counts struct {
	JournalEntries, Balances uint64
}

// Counts counts what there is.
func (r *WalletReader) Counts(ctx context.Context) (Counts, error) {
	database, err := r.database(ctx)
	if err != nil {
		return Counts{}, err
	}
	var c Counts
	sql := fmt.Sprintf(`SELECT (SELECT count() FROM %[1]s.wallet_journal FINAL) AS a, (SELECT count() FROM %[1]s.balances FINAL) AS b`+finalByPartition, database)
	if err := r.conn.QueryRow(ctx, sql).Scan(&c.JournalEntries, &c.Balances); err != nil {
		return Counts{}, queryError("counting journal entries", err)
	}
	return c, nil
}

func (r *WalletReader) database(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, WalletName)
	if err != nil {
		return "", queryError("finding the wallets", err)
	}
	return quote(name), nil
}

func quote(identifier string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(identifier) + "`"
}

// query gathers the parameters of a query, which the server puts in: no value
// is ever part of the SQL.
type query struct{ arguments []any }

func (q *query) add(kind string, value any) string {
	name := "p" + strconv.Itoa(len(q.arguments))
	q.arguments = append(q.arguments, clickhouse.Named(name, value))
	return "{" + name + ":" + kind + "}"
}

func (q *query) integer(v int64) string { return q.add("Int64", v) }

// moment is a whole second, rounded up.
func (q *query) moment(t time.Time) string {
	seconds := min(max(wholeSecond(t).Unix(), 0), lastMoment().Unix())
	return "toDateTime(" + q.add("UInt32", uint32(seconds)) + ", 'UTC')"
}

func (q *query) texts(list []string) string { return q.add("Array(String)", list) }

func (q *query) integers(list []int64) string { return q.add("Array(Int64)", list) }

// queryError says what was being done. What may pass by itself, such as a server
// that is away or a generation dropped a moment ago, has
// [event.CodeUnavailable].
func queryError(doing string, err error) error {
	if passing(err) {
		return event.Errorf(event.CodeUnavailable, "%s: ClickHouse cannot answer now: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func passing(err error) bool {
	if refused, ok := errors.AsType[*clickhouse.Exception](err); ok {
		const noTable, noDatabase, timeout, tooMany, memory = 60, 81, 159, 202, 241
		switch refused.Code {
		case noTable, noDatabase, timeout, tooMany, memory:
			return true
		default:
			return false
		}
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, clickhouse.ErrAcquireConnTimeout) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
