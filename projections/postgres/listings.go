package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
)

// listingRow is a list with what the lists before it in the same batch say of when its
// characters came to be listed.
type listingRow struct {
	userID string
	// characters are each there once.
	characters []listedRow
	place
}

// listedRow is a character of a list.
type listedRow struct {
	access.ListedCharacter

	since time.Time
	// always tells that it is on all lists of the batch: if it was on the one before
	// the batch, what is stored of when it came to be listed stands.
	always bool
}

// listings are the lists of characters that users own and have not registered: a
// row for each list, which tells which one counts, and one for each character of it.
type listings struct {
	table[string, listingRow]
}

func newListings() listings {
	return listings{newTable[string]("listings", []string{"user_id"}, func(r *listingRow) place { return r.place },
		col("user_id", "text[]", func(r *listingRow) string { return r.userID }))}
}

func (l listings) empty() listings { return listings{l.table.empty()} }

// add takes a list that was told at a moment. It replaces the one before it.
func (l *listings) add(p access.CharactersListed, when time.Time, at place) {
	before := map[int64]listedRow{}
	i, again := l.index[p.UserID]
	if again {
		for _, c := range l.rows[i].characters {
			before[c.CharacterID] = c
		}
	}
	row, seen := listingRow{userID: p.UserID, place: at}, map[int64]bool{}
	for _, c := range p.Characters {
		if seen[c.CharacterID] {
			continue
		}
		seen[c.CharacterID] = true
		listed := listedRow{ListedCharacter: c, since: when, always: !again}
		if b, stays := before[c.CharacterID]; stays {
			listed.since, listed.always = b.since, b.always
		}
		row.characters = append(row.characters, listed)
	}
	l.put(p.UserID, row)
}

// queue writes the lists, takes away what is on those before them and no more, and
// puts in what is on the ones that count: a list that a later one has replaced already
// changes nothing.
func (l *listings) queue(b *pgx.Batch) {
	if len(l.rows) == 0 {
		return
	}
	l.table.queue(b)
	users := make([]string, 0, len(l.rows))
	for _, r := range l.rows {
		users = append(users, storableText(r.userID))
	}
	l.queueCharacters(b, true, "t.since")
	l.queueCharacters(b, false, "excluded.since")
	b.Queue(`DELETE FROM listed t USING listings l WHERE t.user_id = ANY($1) AND l.user_id = t.user_id AND t.log_offset < l.log_offset`, users)
}

// queueCharacters writes the characters of the lists that are on all lists of the
// batch, or those that are not. since is which moment stands if one is there already.
func (l *listings) queueCharacters(b *pgx.Batch, always bool, since string) {
	var (
		owners, names                       []string
		characters, corporations, alliances []int64
		moments                             []time.Time
		events                              []uuid.UUID
	)
	for _, r := range l.rows {
		for _, c := range r.characters {
			if c.always != always {
				continue
			}
			owners, names, events = append(owners, storableText(r.userID)), append(names, storableText(c.Name)), append(events, r.eventID)
			characters, corporations, alliances, moments = append(characters, c.CharacterID), append(corporations, c.CorporationID), append(alliances, c.AllianceID), append(moments, c.since)
		}
	}
	if len(owners) == 0 {
		return
	}
	b.Queue(`INSERT INTO listed AS t (user_id, character_id, name, corporation_id, alliance_id, since, event_id, log_partition, log_offset)
		SELECT l.user_id, b.c1, b.c2, b.c3, b.c4, b.c6, l.event_id, l.log_partition, l.log_offset
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[], $7::timestamptz[]) AS b(c0, c1, c2, c3, c4, c5, c6)
		JOIN listings l ON l.user_id = b.c0 AND l.event_id = b.c5
		ON CONFLICT (user_id, character_id) DO UPDATE SET name = excluded.name, corporation_id = excluded.corporation_id, alliance_id = excluded.alliance_id,
			since = `+since+`, event_id = excluded.event_id, log_partition = excluded.log_partition, log_offset = excluded.log_offset
		WHERE t.log_offset < excluded.log_offset`, owners, characters, names, corporations, alliances, events, moments)
}
