package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// expiries gathers the tombstones of a batch. What is left of a character's records
// after them must be what a fold of the compacted log gives:
//
//   - A tombstone of the history has the records go that are of days before its
//     cut-off and were told of before it. All events of a record are of one day, so
//     none is left with half of its fields.
//   - Any tombstone has the names of mailing lists go that its event told last.
//   - A tombstone in the topic of access has the look at data of others go that it names.
//   - When records of a section were last told follows from those that are left.
//
// Sections show their last observation, which never goes.
type expiries struct {
	// history has, by character, the last tombstone of that policy.
	history map[int64]historyExpiry
	// lists has the events whose names of mailing lists go.
	lists []listExpiry
	// looks has the looks at data of others that go.
	looks []lookExpiry
}

type lookExpiry struct {
	id        uuid.UUID
	partition int32
	offset    int64
}

type historyExpiry struct {
	cutOff time.Time
	offset int64
}

type listExpiry struct {
	character int64
	id        uuid.UUID
	offset    int64
}

// expire takes a tombstone: what it removes of what was gathered is dropped, what
// earlier batches wrote is deleted by [expiries.remove].
func (b *charactersBatch) expire(e runner.Event) {
	if e.Topic == event.TopicAccess {
		b.expired.looks = append(b.expired.looks, lookExpiry{e.ID, e.Partition, e.Offset})
		b.looks.dropRows(func(r *lookRow) bool { return r.eventID == e.ID })
		return
	}
	id, is := e.Stream.CharacterID()
	if !is {
		return
	}
	b.expired.lists = append(b.expired.lists, listExpiry{id, e.ID, e.Offset})
	b.lists.dropRows(func(r *listRow) bool { return r.id == id && r.eventID == e.ID })
	if e.Expiry.Policy != string(retention.ClassHistory) {
		return
	}
	b.records.expire(id, e.Expiry.CutOff.UTC().Format(time.DateOnly))
	if b.expired.history == nil {
		b.expired.history = map[int64]historyExpiry{}
	}
	cutOff := e.Expiry.CutOff
	if before := b.expired.history[id]; before.cutOff.After(cutOff) {
		cutOff = before.cutOff
	}
	b.expired.history[id] = historyExpiry{cutOff, e.Offset}
}

// expire drops what was told of a character's history of days before the one given.
func (r *facts) expire(id int64, before string) {
	kept := r.order[:0]
	for _, key := range r.order {
		if key.id == id && eve.IsHistory(key.section) {
			r.told[key] = slices.DeleteFunc(r.told[key], func(o overlay) bool { return o.day < before })
			if len(r.told[key]) == 0 {
				delete(r.told, key)
				continue
			}
		}
		kept = append(kept, key)
	}
	r.order = kept
}

// dropRows takes back the rows that match.
func (t *table[K, R]) dropRows(match func(*R) bool) {
	matching := map[K]bool{}
	for key, i := range t.index {
		if match(&t.rows[i]) {
			matching[key] = true
		}
	}
	if len(matching) > 0 {
		t.drop(func(key K) bool { return matching[key] })
	}
}

// remove deletes what earlier batches wrote.
func (x *expiries) remove(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	if len(x.history) > 0 {
		ids, days, offsets := x.columns()
		batch.Queue(`DELETE FROM records r USING unnest($1::bigint[], $2::date[], $3::bigint[]) AS b(character_id, day, log_offset)
			WHERE r.character_id = b.character_id AND r.section = ANY ($4) AND r.day < b.day AND r.log_offset < b.log_offset`, ids, days, offsets, historySections())
	}
	if len(x.lists) > 0 {
		ids, events, offsets := make([]int64, len(x.lists)), make([]uuid.UUID, len(x.lists)), make([]int64, len(x.lists))
		for i, l := range x.lists {
			ids[i], events[i], offsets[i] = l.character, l.id, l.offset
		}
		batch.Queue(`DELETE FROM mailing_list_names m USING unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS b(character_id, event_id, log_offset)
			WHERE m.character_id = b.character_id AND m.event_id = b.event_id AND m.log_offset < b.log_offset`, ids, events, offsets)
	}
	if len(x.looks) > 0 {
		ids, partitions, offsets := make([]uuid.UUID, len(x.looks)), make([]int32, len(x.looks)), make([]int64, len(x.looks))
		for i, l := range x.looks {
			ids[i], partitions[i], offsets[i] = l.id, l.partition, l.offset
		}
		batch.Queue(`DELETE FROM looks l USING unnest($1::uuid[], $2::integer[], $3::bigint[]) AS b(event_id, log_partition, log_offset)
			WHERE l.event_id = b.event_id AND l.log_partition = b.log_partition AND l.log_offset < b.log_offset`, ids, partitions, offsets)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("deleting what has expired: %w", err)
	}
	return nil
}

// settle says anew when records were last told, of the characters whose history has
// become shorter. The journal's lies in ClickHouse; its closings tell when it was read.
func (x *expiries) settle(ctx context.Context, tx pgx.Tx) error {
	if len(x.history) == 0 {
		return nil
	}
	ids, _, _ := x.columns()
	sections := slices.DeleteFunc(historySections(), func(s string) bool { return s == string(eve.SectionWalletJournal) })
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM recorded t WHERE t.character_id = ANY ($1) AND t.section = ANY ($2)`, ids, sections)
	batch.Queue(`INSERT INTO recorded (character_id, section, observed_at, event_id, log_partition, log_offset)
		SELECT DISTINCT ON (character_id, section) character_id, section, observed_at, event_id, log_partition, log_offset
		FROM records WHERE character_id = ANY ($1) AND section = ANY ($2) ORDER BY character_id, section, log_offset DESC`, ids, sections)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("settling when records were last told: %w", err)
	}
	return nil
}

func (x *expiries) columns() (ids []int64, days []time.Time, offsets []int64) {
	for _, id := range slices.Sorted(maps.Keys(x.history)) {
		e := x.history[id]
		ids, days, offsets = append(ids, id), append(days, e.cutOff.UTC()), append(offsets, e.offset)
	}
	return ids, days, offsets
}

func historySections() []string {
	var names []string
	for _, s := range eve.HistorySections() {
		names = append(names, string(s))
	}
	return names
}

// RecordsBefore are the characters of which a generation of the characters projection
// still shows records of the history of UTC days before one, in order of their ids.
func RecordsBefore(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, day time.Time) ([]retention.Aged, error) {
	rows, err := pool.Query(ctx, `SELECT character_id, count(*), max(log_partition), max(log_offset) FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.records
		WHERE section = ANY ($1) AND day < $2::date GROUP BY character_id ORDER BY character_id`, historySections(), day.UTC())
	if err != nil {
		return nil, fmt.Errorf("looking for old records: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[retention.Aged])
}
