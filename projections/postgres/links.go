package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
)

// linkRow is a link as of its issue.
type linkRow struct {
	eve.LinkIssued
	place

	issuedAt time.Time
}

// departureRow tells where the ownership of a character last ended.
type departureRow struct {
	id int64
	place
}

// links are the links that owners have given away, and what ends them.
type links struct {
	issued     table[uuid.UUID, linkRow]
	departures table[int64, departureRow]
	revoked    map[uuid.UUID]place
}

func newLinks() links {
	return links{
		issued: newTable[uuid.UUID]("links", []string{"link_id"}, func(r *linkRow) place { return r.place },
			col("link_id", "uuid[]", func(r *linkRow) uuid.UUID { return r.LinkID }),
			col("character_id", "bigint[]", func(r *linkRow) int64 { return r.CharacterID }),
			col("user_id", "text[]", func(r *linkRow) string { return r.UserID }),
			col("secret_hash", "text[]", func(r *linkRow) string { return r.SecretHash }),
			list("sections", func(r *linkRow) []string {
				names := make([]string, len(r.Sections))
				for i, s := range r.Sections {
					names[i] = string(s)
				}
				return names
			}),
			col("note", "text[]", func(r *linkRow) string { return r.Note }),
			col("expires_at", "timestamptz[]", func(r *linkRow) time.Time { return r.ExpiresAt }),
			col("issued_at", "timestamptz[]", func(r *linkRow) time.Time { return r.issuedAt }),
			col("revoked", "boolean[]", func(*linkRow) bool { return false })),
		departures: newTable[int64]("departures", []string{"character_id"}, func(r *departureRow) place { return r.place },
			col("character_id", "bigint[]", func(r *departureRow) int64 { return r.id })),
	}
}

func (l links) empty() links {
	return links{issued: l.issued.empty(), departures: l.departures.empty(), revoked: map[uuid.UUID]place{}}
}

func (l *links) issue(p eve.LinkIssued, issuedAt time.Time, at place) {
	l.issued.put(p.LinkID, linkRow{p, at, issuedAt})
}

func (l *links) revoke(p eve.LinkRevoked, at place) { l.revoked[p.LinkID] = at }

func (l *links) depart(id int64, at place) { l.departures.put(id, departureRow{id, at}) }

// drop takes back what was gathered of a character.
func (l *links) drop(id int64) {
	gone := map[uuid.UUID]bool{}
	for _, r := range l.issued.rows {
		gone[r.LinkID] = r.CharacterID == id
	}
	l.issued.drop(func(link uuid.UUID) bool { return gone[link] })
	l.departures.drop(func(key int64) bool { return key == id })
}

// queue writes links and marks the revoked ones, which takes their secrets away: a
// link is issued before it is revoked, in the same stream.
func (l *links) queue(b *pgx.Batch) {
	l.issued.queue(b)
	l.departures.queue(b)
	if len(l.revoked) == 0 {
		return
	}
	var ids, events []uuid.UUID
	var partitions []int32
	var offsets []int64
	for id, at := range l.revoked {
		ids, events, partitions, offsets = append(ids, id), append(events, at.eventID), append(partitions, at.partition), append(offsets, at.offset)
	}
	b.Queue(`UPDATE links t SET revoked = true, secret_hash = '', event_id = r.event_id, log_partition = r.log_partition, log_offset = r.log_offset
		FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[]) AS r(link_id, event_id, log_partition, log_offset)
		WHERE t.link_id = r.link_id AND t.log_offset < r.log_offset`, ids, events, partitions, offsets)
}
