package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

type factKey struct {
	sectionKey
	key string
}

// overlay is what an event says of a record.
type overlay struct {
	fields    map[string]json.RawMessage
	day       string
	fetchedAt time.Time
	place
}

// facts gathers facts with a natural key. What a record is follows from laying
// what is told over what is there, field by field; that is done here and not in
// SQL, whose functions would not leave numbers and texts as they are.
type facts struct {
	shapes map[eve.Section]eve.Shape
	told   map[factKey][]overlay
	order  []factKey
	rows   factArrays
}

func newFacts(shapes map[eve.Section]eve.Shape) facts {
	return facts{shapes: shapes, told: map[factKey][]overlay{}}
}

// add takes facts. It fails for those that can never be read, and then has
// changed nothing.
func (r *facts) add(f eve.Facts, at place) error {
	items, err := f.Keyed()
	if err != nil {
		return event.Errorf(event.CodePoisoned, "reading facts: %w", err)
	}
	if _, err := time.Parse(time.DateOnly, f.Day); err != nil {
		return event.Errorf(event.CodePoisoned, "reading facts of section %s: their day %q is none", f.Section, f.Day)
	}
	overlays := make([]overlay, len(items))
	for i, item := range items {
		fields, err := fieldsOf(storable(item.Raw))
		if err != nil {
			return event.Errorf(event.CodePoisoned, "section %s: record %s: %w", f.Section, item.Key, err)
		}
		overlays[i] = overlay{fields: fields, day: f.Day, fetchedAt: f.FetchedAt, place: at}
	}
	for i, item := range items {
		key := factKey{sectionKey{f.CharacterID, f.Section}, storableKey(item.Key)}
		if _, known := r.told[key]; !known {
			r.order = append(r.order, key)
		}
		r.told[key] = append(r.told[key], overlays[i])
	}
	return nil
}

func (r *facts) drop(match func(sectionKey) bool) {
	kept := r.order[:0]
	for _, key := range r.order {
		if match(key.sectionKey) {
			delete(r.told, key)
		} else {
			kept = append(kept, key)
		}
	}
	r.order = kept
}

// factArrays are the columns of the rows to write.
type factArrays struct {
	sectionArrays
	keys    []string
	moments []time.Time
	days    []time.Time
	values  []string
	times   []time.Time
}

// knownFact is a record as it is in the database.
type knownFact struct {
	fields map[string]json.RawMessage
	offset int64
}

// load makes the rows to write of what is told and what is there.
func (r *facts) load(ctx context.Context, tx pgx.Tx) error {
	r.rows = factArrays{}
	if len(r.order) == 0 {
		return nil
	}
	present, err := r.present(ctx, tx)
	if err != nil {
		return fmt.Errorf("reading the records to amend: %w", err)
	}
	for _, key := range r.order {
		if err := r.merge(key, present[key]); err != nil {
			return err
		}
	}
	return nil
}

func (r *facts) present(ctx context.Context, tx pgx.Tx) (map[factKey]knownFact, error) {
	ids, sections, keys := make([]int64, len(r.order)), make([]string, len(r.order)), make([]string, len(r.order))
	for i, key := range r.order {
		ids[i], sections[i], keys[i] = key.id, string(key.section), key.key
	}
	rows, err := tx.Query(ctx, `SELECT r.character_id, r.section, r.key, r.value::text, r.log_offset
		FROM unnest($1::bigint[], $2::text[], $3::text[]) AS b(character_id, section, key)
		JOIN records r ON r.character_id = b.character_id AND r.section = b.section AND r.key = b.key`, ids, sections, keys)
	if err != nil {
		return nil, err
	}
	present := map[factKey]knownFact{}
	var key factKey
	var value string
	var is knownFact
	_, err = pgx.ForEachRow(rows, []any{&key.id, &key.section, &key.key, &value, &is.offset}, func() error {
		fields, err := fieldsOf(value)
		present[key] = knownFact{fields, is.offset}
		return err
	})
	return present, err
}

// merge makes the row of a record, unless it has seen all that is told.
func (r *facts) merge(key factKey, is knownFact) error {
	fields := is.fields
	var last overlay
	seen := fields != nil
	for _, o := range r.told[key] {
		if seen && o.offset <= is.offset {
			continue
		}
		last = o
		if fields == nil {
			fields = make(map[string]json.RawMessage, len(o.fields))
		}
		maps.Copy(fields, o.fields)
	}
	if last.fields == nil {
		return nil
	}
	value, err := objectOf(fields)
	if err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, last.day)
	if err != nil {
		return fmt.Errorf("reading the day of record %s: %w", key.key, err)
	}
	r.rows.add(key.sectionKey, last.place)
	r.rows.keys, r.rows.values = append(r.rows.keys, key.key), append(r.rows.values, value)
	r.rows.days, r.rows.times = append(r.rows.days, day), append(r.rows.times, last.fetchedAt)
	r.rows.moments = append(r.rows.moments, momentOf(r.shapes[key.section], fields, day))
	return nil
}

// momentOf is the moment that a record says, or else its day's beginning.
func momentOf(shape eve.Shape, fields map[string]json.RawMessage, day time.Time) time.Time {
	if shape.Records == nil {
		return day
	}
	var text string
	if json.Unmarshal(fields[shape.Records.Time], &text) != nil {
		return day
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	return day
}

func (r *facts) queue(b *pgx.Batch) {
	if len(r.rows.ids) == 0 {
		return
	}
	b.Queue(`INSERT INTO records AS t (character_id, section, key, at, day, value, observed_at, event_id, log_partition, log_offset)
		SELECT b.character_id, b.section, b.key, b.at, b.day, b.value::json, b.observed_at, b.event_id, b.log_partition, b.log_offset
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::date[], $6::text[], $7::timestamptz[], $8::uuid[], $9::integer[], $10::bigint[])
			AS b(character_id, section, key, at, day, value, observed_at, event_id, log_partition, log_offset)
		ON CONFLICT (character_id, section, key) DO UPDATE SET at = excluded.at, day = excluded.day, value = excluded.value,
			observed_at = excluded.observed_at, event_id = excluded.event_id, log_partition = excluded.log_partition, log_offset = excluded.log_offset
		WHERE t.log_offset < excluded.log_offset`,
		r.rows.ids, r.rows.sections, r.rows.keys, r.rows.moments, r.rows.days, r.rows.values, r.rows.times, r.rows.events, r.rows.partitions, r.rows.offsets)
}
