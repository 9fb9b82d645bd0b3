package postgres

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// sectionRow is a full observation of a section.
type sectionRow struct {
	sectionKey
	hash       string
	observedAt time.Time
	// value is what is no list; nil for none.
	value *string
	// base is the event's own id, and baseValue its value, for a section that
	// differences may refer to; nil otherwise.
	base      *uuid.UUID
	baseValue *string
	lists     []listRows
	place
}

// difference is an observation that says how a section differs from base.
type difference struct {
	sectionKey
	base       uuid.UUID
	hash       string
	observedAt time.Time
	// value is nil if it is that of the base.
	value *string
	lists []listRows
	// last tells that it is the last observation of its section in the batch.
	last bool
	place
}

// listRows are elements of one list.
type listRows struct {
	list string
	// keys and values belong together; a nil value is an element that is gone.
	keys   []string
	values []*string
}

type differenceKey struct {
	sectionKey
	base uuid.UUID
}

// observations gathers what was observed of sections. Of each section the last
// full observation counts, and the last difference that refers to the one that is
// there in the end. What that is only the database knows, so it decides: the row
// of the section is written first, and its elements follow if it stands.
type observations struct {
	shapes map[eve.Section]eve.Shape
	// plain are those of sections without lists; they are nothing but a row.
	plain table[sectionKey, sectionRow]
	full  table[sectionKey, sectionRow]
	index map[differenceKey]int
	// differences are nil where they were taken back.
	differences []*difference
}

func newObservations() observations {
	at := func(r *sectionRow) place { return r.place }
	key := []string{"character_id", "section"}
	columns := func() []column[sectionRow] {
		return []column[sectionRow]{
			col("character_id", "bigint[]", func(r *sectionRow) int64 { return r.id }),
			col("section", "text[]", func(r *sectionRow) string { return string(r.section) }),
			col("content_hash", "text[]", func(r *sectionRow) string { return r.hash }),
			col("observed_at", "timestamptz[]", func(r *sectionRow) time.Time { return r.observedAt }),
			col("value", "json[]", func(r *sectionRow) *string { return r.value }),
		}
	}
	o := observations{
		shapes: map[eve.Section]eve.Shape{},
		plain:  newTable[sectionKey]("sections", key, at, columns()...),
		full: newTable[sectionKey]("sections", key, at, append(columns(),
			col("base", "uuid[]", func(r *sectionRow) *uuid.UUID { return r.base }),
			col("base_value", "json[]", func(r *sectionRow) *string { return r.baseValue }))...),
	}
	for _, shape := range eve.Shapes() {
		o.shapes[shape.Section] = shape
	}
	return o
}

func (o *observations) empty() observations {
	return observations{shapes: o.shapes, plain: o.plain.empty(), full: o.full.empty(), index: map[differenceKey]int{}}
}

// add takes an observation. It fails for one that can never be read, and then has
// changed nothing.
func (o *observations) add(p eve.SectionObserved, at place) error {
	switch p.Encoding {
	case eve.EncodingFull:
		shape := o.shapes[p.Section]
		if len(shape.Lists) == 0 {
			key := sectionKey{p.CharacterID, p.Section}
			o.plain.put(key, sectionRow{sectionKey: key, hash: p.ContentHash, observedAt: p.FetchedAt, value: new(storable(p.Value)), place: at})
			return nil
		}
		row, err := fullRow(p, shape, at)
		if err != nil {
			return err
		}
		o.supersede(row.sectionKey, true)
		o.full.put(row.sectionKey, row)
	case eve.EncodingDelta:
		d, err := differenceOf(p, at)
		if err != nil {
			return err
		}
		o.supersede(d.sectionKey, false)
		key := differenceKey{d.sectionKey, d.base}
		if i, known := o.index[key]; known {
			o.differences[i] = nil
		}
		o.index[key] = len(o.differences)
		o.differences = append(o.differences, &d)
	default:
		return event.Errorf(event.CodePoisoned, "encoding %q of section %s cannot be read by this Muster: upgrade it", p.Encoding, p.Section)
	}
	return nil
}

// supersede has the earlier differences of a section be no more the last
// observation; whole drops them.
func (o *observations) supersede(key sectionKey, whole bool) {
	if len(o.index) == 0 {
		return
	}
	for i, d := range o.differences {
		if d == nil || d.sectionKey != key {
			continue
		}
		d.last = false
		if whole {
			delete(o.index, differenceKey{key, d.base})
			o.differences[i] = nil
		}
	}
}

func (o *observations) drop(match func(sectionKey) bool) {
	o.plain.drop(match)
	o.full.drop(match)
	for i, d := range o.differences {
		if d != nil && match(d.sectionKey) {
			delete(o.index, differenceKey{d.sectionKey, d.base})
			o.differences[i] = nil
		}
	}
}

func fullRow(p eve.SectionObserved, shape eve.Shape, at place) (sectionRow, error) {
	row := sectionRow{sectionKey: sectionKey{p.CharacterID, p.Section}, hash: p.ContentHash, observedAt: p.FetchedAt, place: at}
	content, err := eve.Dissect(p.Section, p.Value)
	if err != nil {
		return row, event.Errorf(event.CodePoisoned, "reading what was observed: %w", err)
	}
	row.base = &at.eventID
	if content.Head != nil {
		row.value = new(storable(content.Head))
	}
	if shape.Delta {
		row.baseValue = row.value
	}
	for _, list := range content.Lists {
		rows := listRows{list: list.Path, keys: make([]string, 0, len(list.Items)), values: make([]*string, 0, len(list.Items))}
		rows.add(list.Items)
		row.lists = append(row.lists, rows)
	}
	return row, nil
}

func (l *listRows) add(items []eve.Item) {
	for _, item := range items {
		l.keys, l.values = append(l.keys, storableKey(item.Key)), append(l.values, new(storable(item.Raw)))
	}
}

func differenceOf(p eve.SectionObserved, at place) (difference, error) {
	d := difference{sectionKey: sectionKey{p.CharacterID, p.Section}, hash: p.ContentHash, observedAt: p.FetchedAt, place: at, last: true}
	if p.Base == nil {
		return d, event.Errorf(event.CodePoisoned, "a difference of section %s that does not say from what", p.Section)
	}
	d.base = *p.Base
	delta, err := eve.DecodeDelta(p.Value)
	if err != nil {
		return d, event.Errorf(event.CodePoisoned, "section %s: %w", p.Section, err)
	}
	if delta.Head != nil {
		d.value = new(storable(delta.Head))
	}
	for _, list := range delta.Lists {
		added, changed, err := list.Items(p.Section)
		if err != nil {
			return d, event.Errorf(event.CodePoisoned, "reading a difference: %w", err)
		}
		rows := listRows{list: list.Path}
		rows.add(added)
		rows.add(changed)
		for _, key := range list.Removed {
			rows.keys, rows.values = append(rows.keys, storableKey(key)), append(rows.values, nil)
		}
		d.lists = append(d.lists, rows)
	}
	return d, nil
}

// Statements about observations. Arrays of sections come first; g is the section's
// row if the observation is the one that it shows.
const (
	updateSections = `UPDATE sections t SET content_hash = b.content_hash, observed_at = b.observed_at, value = coalesce(b.value::json, t.base_value),
			event_id = b.event_id, log_partition = b.log_partition, log_offset = b.log_offset
		FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::uuid[], $8::integer[], $9::bigint[])
			AS b(character_id, section, base, content_hash, observed_at, value, event_id, log_partition, log_offset)
		WHERE t.character_id = b.character_id AND t.section = b.section AND t.base = b.base AND t.log_offset < b.log_offset`

	// Row by row through the indexes, whatever the planner believes of the tables:
	// those of a rebuild grow faster than their statistics.
	deleteElements = `DELETE FROM %[1]s WHERE ctid = ANY (ARRAY (SELECT e.ctid
		FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS b(character_id, section, event_id)
		CROSS JOIN LATERAL (SELECT 1 FROM sections s WHERE s.character_id = b.character_id AND s.section = b.section AND s.%[2]s = b.event_id OFFSET 0) s
		CROSS JOIN LATERAL (SELECT i.ctid FROM %[1]s i WHERE i.character_id = b.character_id AND i.section = b.section OFFSET 0) e))`
	deleteMisfits = `DELETE FROM misfits m USING unnest($1::bigint[], $2::text[], $3::uuid[], $4::bigint[]) AS b(character_id, section, event_id, log_offset)
		WHERE m.character_id = b.character_id AND m.section = b.section AND m.log_offset < b.log_offset`

	insertElements = `SELECT g.character_id, g.section, g.list, b.key, b.value::json, g.log_partition, g.log_offset
		FROM unnest($8::integer[], $9::text[], $10::text[]) AS b(n, key, value)
		JOIN (SELECT g.* FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::integer[], $7::bigint[])
			AS g(n, character_id, section, list, event_id, log_partition, log_offset)
		CROSS JOIN LATERAL (SELECT 1 FROM sections s WHERE s.character_id = g.character_id AND s.section = g.section AND s.`
	insertItems   = `INSERT INTO items (character_id, section, list, key, value, log_partition, log_offset) ` + insertElements + `base = g.event_id OFFSET 0) s) g USING (n)`
	insertChanges = `INSERT INTO changes (character_id, section, list, key, value, log_partition, log_offset, gone) SELECT e.*, e.value IS NULL FROM (` +
		insertElements + `event_id = g.event_id OFFSET 0) s) g USING (n)) e(character_id, section, list, key, value, log_partition, log_offset)`

	insertMisfits = `INSERT INTO misfits AS m (character_id, section, base, observed_at, event_id, log_partition, log_offset)
		SELECT b.* FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::integer[], $7::bigint[])
			AS b(character_id, section, base, observed_at, event_id, log_partition, log_offset)
		LEFT JOIN sections s USING (character_id, section)
		WHERE s.base IS DISTINCT FROM b.base AND coalesce(s.log_offset, -1) < b.log_offset
		ON CONFLICT (character_id, section) DO UPDATE SET base = excluded.base, observed_at = excluded.observed_at, event_id = excluded.event_id,
			log_partition = excluded.log_partition, log_offset = excluded.log_offset
		WHERE m.log_offset < excluded.log_offset`
)

func (o *observations) queue(b *pgx.Batch) {
	o.plain.queue(b)
	o.full.queue(b)
	var whole, all sectionArrays
	var items, changes elementArrays
	for i := range o.full.rows {
		row := &o.full.rows[i]
		whole.add(row.sectionKey, row.place)
		all.add(row.sectionKey, row.place)
		items.add(row.sectionKey, row.place, row.lists)
	}
	var differences []*difference
	for _, d := range o.differences {
		if d == nil {
			continue
		}
		differences = append(differences, d)
		all.add(d.sectionKey, d.place)
		changes.add(d.sectionKey, d.place, d.lists)
	}
	if len(all.ids) > 0 {
		// How long the arrays are decides how to join them.
		b.Queue(`SET LOCAL plan_cache_mode TO force_custom_plan`)
	}
	queueDifferences(b, differences)
	whole.queue(b, fmt.Sprintf(deleteElements, "items", "base"))
	all.queue(b, fmt.Sprintf(deleteElements, "changes", "event_id"))
	if len(all.ids) > 0 {
		b.Queue(deleteMisfits, all.ids, all.sections, all.events, all.offsets)
	}
	items.queue(b, insertItems)
	changes.queue(b, insertChanges)
	queueMisfits(b, differences)
}

func queueDifferences(b *pgx.Batch, differences []*difference) {
	if len(differences) == 0 {
		return
	}
	var at sectionArrays
	var bases []uuid.UUID
	var hashes []string
	var times []time.Time
	var values []*string
	for _, d := range differences {
		at.add(d.sectionKey, d.place)
		bases, hashes, times, values = append(bases, d.base), append(hashes, d.hash), append(times, d.observedAt), append(values, d.value)
	}
	b.Queue(updateSections, at.ids, at.sections, bases, hashes, times, values, at.events, at.partitions, at.offsets)
}

func queueMisfits(b *pgx.Batch, differences []*difference) {
	var at sectionArrays
	var bases []uuid.UUID
	var times []time.Time
	for _, d := range differences {
		if d.last {
			at.add(d.sectionKey, d.place)
			bases, times = append(bases, d.base), append(times, d.observedAt)
		}
	}
	if len(bases) > 0 {
		b.Queue(insertMisfits, at.ids, at.sections, bases, times, at.events, at.partitions, at.offsets)
	}
}

// sectionArrays are the columns of rows that name sections and events.
type sectionArrays struct {
	ids        []int64
	sections   []string
	events     []uuid.UUID
	partitions []int32
	offsets    []int64
}

func (a *sectionArrays) add(key sectionKey, at place) {
	a.ids, a.sections = append(a.ids, key.id), append(a.sections, string(key.section))
	a.events, a.partitions, a.offsets = append(a.events, at.eventID), append(a.partitions, at.partition), append(a.offsets, at.offset)
}

func (a *sectionArrays) queue(b *pgx.Batch, statement string) {
	if len(a.ids) > 0 {
		b.Queue(statement, a.ids, a.sections, a.events)
	}
}

// elementArrays are the columns of elements, and of the lists that they belong to,
// so that what holds for a list is carried once.
type elementArrays struct {
	lists   sectionArrays
	numbers []int32
	names   []string

	list   []int32
	keys   []string
	values []*string
}

func (a *elementArrays) add(key sectionKey, at place, lists []listRows) {
	for _, l := range lists {
		if len(l.keys) == 0 {
			continue
		}
		n := int32(len(a.numbers))
		a.numbers, a.names = append(a.numbers, n), append(a.names, l.list)
		a.lists.add(key, at)
		for i := range l.keys {
			a.list, a.keys, a.values = append(a.list, n), append(a.keys, l.keys[i]), append(a.values, l.values[i])
		}
	}
}

func (a *elementArrays) queue(b *pgx.Batch, statement string) {
	if len(a.keys) > 0 {
		b.Queue(statement, a.numbers, a.lists.ids, a.lists.sections, a.names, a.lists.events, a.lists.partitions, a.lists.offsets, a.list, a.keys, a.values)
	}
}
