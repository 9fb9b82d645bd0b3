package clickhouse

import (
	"context"
	"fmt"
)

// JournalMention is an id that entries of a wallet journal mention.
type JournalMention struct {
	ID int64 `ch:"id"`
	// ContextType says what a context is the id of, in ESI's words; it is empty for
	// parties and receivers of taxes.
	ContextType string `ch:"context_type"`
}

// JournalMentions lists the ids that all entries of a character's wallet journal
// mention, each once, in no order. It fails like [WalletReader.Journal].
func (r *WalletReader) JournalMentions(ctx context.Context, character int64) ([]JournalMention, error) {
	database, err := r.database(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{}
	var mentions []JournalMention
	// Copies of rows do no harm here. Contexts that are other entries of something,
	// such as a contract, are as many as there are entries and have no names.
	sql := fmt.Sprintf(`SELECT DISTINCT m.1 AS id, m.2 AS context_type FROM (
		SELECT arrayJoin([(first_party_id, ''), (second_party_id, ''), (tax_receiver_id, ''), (context_id, context_id_type)]) AS m
		FROM %s.wallet_journal WHERE character_id = %s)
		WHERE id > 0 AND context_type IN ('', 'structure_id', 'station_id', 'system_id', 'eve_system', 'character_id', 'corporation_id', 'alliance_id', 'type_id')`,
		database, q.integer(character))
	if err := r.conn.Select(ctx, &mentions, sql, q.arguments...); err != nil {
		return nil, queryError("reading what the wallet journal mentions", err)
	}
	return mentions, nil
}
