package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// OwnedEntry is an entry of the wallet journal of a character.
type OwnedEntry struct {
	CharacterID int64
	JournalEntry
}

// EntryFilter says which entries of all journals to read. Zero fields do not
// filter.
type EntryFilter struct {
	// CharacterIDs are whose entries; nil for all, and nobody's if it is empty.
	CharacterIDs []int64
	// From is inclusive, To exclusive.
	From, To time.Time
}

// Settings for reading whole journals in order: what does not fit is sorted on
// disk, and comes in small blocks.
const (
	sortOnDiskBytes = 256 << 20
	rowsOfBlock     = 8192
)

// EachEntry calls each for the entries of the journals of many characters, the
// oldest first, then by character and id. Rows are read block by block: what is held
// does not grow with their number. It ends with the first error of each, which it
// returns as it is.
func (r *WalletReader) EachEntry(ctx context.Context, filter EntryFilter, each func(OwnedEntry) error) (err error) {
	database, err := r.database(ctx)
	if err != nil {
		return err
	}
	q := &query{}
	where := []string{"true"}
	if filter.CharacterIDs != nil {
		where = append(where, "character_id IN "+q.integers(filter.CharacterIDs))
	}
	if !filter.From.IsZero() {
		where = append(where, "date >= "+q.moment(filter.From))
	}
	if !filter.To.IsZero() {
		where = append(where, "date < "+q.moment(filter.To))
	}
	const doing = "reading wallet journals"
	rows, err := r.conn.Query(ctx, fmt.Sprintf(`SELECT character_id, id, date, ref_type, amount, balance, tax, first_party_id, second_party_id, tax_receiver_id,
			context_id, context_id_type, description, reason
		FROM %s.wallet_journal FINAL WHERE %s ORDER BY date, character_id, id`+finalByPartition+`, max_bytes_before_external_sort = %d, max_block_size = %d`,
		database, strings.Join(where, " AND "), sortOnDiskBytes, rowsOfBlock), q.arguments...)
	if err != nil {
		return queryError(doing, err)
	}
	defer func() {
		if failed := rows.Close(); failed != nil && err == nil {
			err = queryError(doing, failed)
		}
	}()
	for rows.Next() {
		var e OwnedEntry
		if err := rows.Scan(&e.CharacterID, &e.ID, &e.Date, &e.Type, &e.Amount, &e.Balance, &e.Tax, &e.FirstPartyID, &e.SecondPartyID, &e.TaxReceiverID,
			&e.ContextID, &e.ContextIDType, &e.Description, &e.Reason); err != nil {
			return queryError(doing, err)
		}
		e.Date = e.Date.UTC()
		if err := each(e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return queryError(doing, err)
	}
	return nil
}
