package postgres

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// listings are the lists of characters that users own and have not registered: a
// row for each list, which tells which one counts, and one for each character of it.
type listings struct {
	table[string, listingRow]
}

func newListings() listings {
	return listings{newTable[string]("listings", []string{"user_id"}, func(r *listingRow) place { return r.place },
		col("user_id", "text[]", func(r *listingRow) string { return r.UserID }))}
}

func (l listings) empty() listings { return listings{l.table.empty()} }

// queue writes the lists, takes away what is on those before them, and puts in what
// is on the ones that count: a list that a later one has replaced already changes
// nothing.
func (l *listings) queue(b *pgx.Batch) {
	if len(l.rows) == 0 {
		return
	}
	l.table.queue(b)
	var (
		users, owners, names                []string
		characters, corporations, alliances []int64
		events                              []uuid.UUID
	)
	for _, r := range l.rows {
		user := storableText(r.UserID)
		users = append(users, user)
		for _, c := range r.Characters {
			owners, names, events = append(owners, user), append(names, storableText(c.Name)), append(events, r.eventID)
			characters, corporations, alliances = append(characters, c.CharacterID), append(corporations, c.CorporationID), append(alliances, c.AllianceID)
		}
	}
	b.Queue(`DELETE FROM listed t USING listings l WHERE t.user_id = ANY($1) AND l.user_id = t.user_id AND t.log_offset < l.log_offset`, users)
	b.Queue(`INSERT INTO listed (user_id, character_id, name, corporation_id, alliance_id, event_id, log_partition, log_offset)
		SELECT l.user_id, b.c1, b.c2, b.c3, b.c4, l.event_id, l.log_partition, l.log_offset
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[]) AS b(c0, c1, c2, c3, c4, c5)
		JOIN listings l ON l.user_id = b.c0 AND l.event_id = b.c5
		ON CONFLICT DO NOTHING`, owners, characters, names, corporations, alliances, events)
}
