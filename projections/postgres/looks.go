package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
)

type lookRow struct {
	access.DataViewed
	place
}

type forgettingRow struct {
	id        int64
	forgotten time.Time
	place
}

// looks are looks at data of others. Those at a character go when it is forgotten,
// whichever of the two topics is read first.
type looks struct {
	table[uuid.UUID, lookRow]

	forgettings table[int64, forgettingRow]
}

func newLooks() looks {
	return looks{
		table: newTable[uuid.UUID]("looks", []string{"event_id"}, func(r *lookRow) place { return r.place },
			col("viewer_id", "text[]", func(r *lookRow) string { return r.ViewerID }),
			col("viewer_user_id", "text[]", func(r *lookRow) string { return r.ViewerUserID }),
			col("owner_id", "text[]", func(r *lookRow) string { return r.OwnerID }),
			col("character_id", "bigint[]", func(r *lookRow) int64 { return r.CharacterID }),
			col("section", "text[]", func(r *lookRow) string { return r.Section }),
			col("way", "text[]", func(r *lookRow) string { return string(r.Way) }),
			col("link_id", "uuid[]", func(r *lookRow) *uuid.UUID { return r.LinkID }),
			col("first_at", "timestamptz[]", func(r *lookRow) time.Time { return r.FirstAt }),
			col("last_at", "timestamptz[]", func(r *lookRow) time.Time { return r.LastAt }),
			col("count", "bigint[]", func(r *lookRow) int64 { return r.Count }),
			col("rows", "bigint[]", func(r *lookRow) int64 { return r.Rows })),
		forgettings: newTable[int64]("forgettings", []string{"character_id"}, func(r *forgettingRow) place { return r.place },
			col("character_id", "bigint[]", func(r *forgettingRow) int64 { return r.id }),
			col("forgotten_at", "timestamptz[]", func(r *forgettingRow) time.Time { return r.forgotten })),
	}
}

func (l looks) empty() looks {
	return looks{table: l.table.empty(), forgettings: l.forgettings.empty()}
}

func (l *looks) add(p access.DataViewed, at place) { l.put(at.eventID, lookRow{p, at}) }

func (l *looks) forget(id int64, forgotten time.Time, at place) {
	l.forgettings.put(id, forgettingRow{id, forgotten, at})
}

// queue writes looks, and takes those away that are from before the character was
// forgotten.
func (l *looks) queue(b *pgx.Batch) {
	l.table.queue(b)
	l.forgettings.queue(b)
	var ids []int64
	for _, r := range l.rows {
		if r.CharacterID != 0 {
			ids = append(ids, r.CharacterID)
		}
	}
	for _, r := range l.forgettings.rows {
		ids = append(ids, r.id)
	}
	if len(ids) > 0 {
		b.Queue(`DELETE FROM looks t USING forgettings f WHERE t.character_id = ANY($1) AND f.character_id = t.character_id AND t.last_at <= f.forgotten_at`, ids)
	}
}
