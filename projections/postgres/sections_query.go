package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Section is one section of a character, its lists included. It fails with
// [event.CodeNotFound] if there is no such character or section.
func (r *CharacterReader) Section(ctx context.Context, id int64, name eve.Section) (Section, error) {
	schema, s, err := r.state(ctx, id, name)
	if err != nil {
		return Section{}, err
	}
	// One statement, so that head and lists belong together.
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT s.observed_at, s.content_hash, s.value, e.list, e.key, e.value, s.log_partition, s.log_offset FROM %[1]s.sections s
		LEFT JOIN %[1]s.elements e ON e.character_id = s.character_id AND e.section = s.section
		WHERE s.character_id = $1 AND s.section = $2 ORDER BY e.list, length(e.key), e.key`, schema), id, string(name))
	if err != nil {
		return Section{}, queryError("reading a section", err)
	}
	var head, value json.RawMessage
	var list, key *string
	lists := map[string][]eve.Item{}
	seen := false
	var o origin
	_, err = pgx.ForEachRow(rows, append([]any{&s.ObservedAt, &s.ContentHash, &head, &list, &key, &value}, o.columns()...), func() error {
		seen = true
		if list != nil {
			lists[*list] = append(lists[*list], eve.Item{Key: *key, Raw: value})
		}
		value = nil
		return nil
	})
	if err != nil {
		return Section{}, queryError("reading a section", err)
	}
	s.ObservedAt = utc(s.ObservedAt)
	if seen {
		s.Origin = o.ofCharacter(id)
		content := eve.Content{Section: name, Head: head}
		if shape, known := eve.ShapeOf(name); known {
			for _, l := range shape.Lists {
				content.Lists = append(content.Lists, eve.ListContent{Path: l.Path, Items: lists[l.Path]})
			}
		}
		s.Value = content.Value()
	}
	return s, nil
}

// Element is an element of a list of a section.
type Element struct {
	Key string
	// Value is ESI's own JSON.
	Value json.RawMessage
	// Origin is the observation that it is from: a whole one, or the difference that
	// has last told of it.
	Origin event.Origin
}

// ElementCursor is a place in a list of elements.
type ElementCursor struct {
	Key string `json:"k"`
}

// Cursor is the place of the element in its list.
func (e Element) Cursor() ElementCursor { return ElementCursor{e.Key} }

// ElementFilter says which elements to list. Zero fields do not filter.
type ElementFilter struct {
	CharacterID int64
	Section     eve.Section
	// List is the path of the list, as in [eve.List].
	List string
	// Where has what fields must be, as texts.
	Where map[string]string
	// Directly leaves out what lies in another asset; of assets alone.
	Directly bool
	// After is the last element of the page before; nil for the first page.
	After *ElementCursor
	// Limit is the most elements to list; 0 for all.
	Limit int
}

// conditions gathers the conditions of a query with their arguments.
type conditions struct {
	where []string
	args  []any
}

func (c *conditions) add(condition string, values ...any) {
	for _, v := range values {
		c.args = append(c.args, v)
		condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.where = append(c.where, condition)
}

func (c *conditions) fields(where map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(where)) {
		c.add(`value ->> ? = ?`, name, where[name])
	}
}

func (c *conditions) sql(limit int) (where, limited string) {
	if limit > 0 {
		c.args = append(c.args, limit)
		limited = fmt.Sprintf(" LIMIT $%d", len(c.args))
	}
	return strings.Join(c.where, " AND "), limited
}

// Elements lists the elements of a list of a section in the order of their keys,
// shorter ones first, which is that of numbers. Among the assets is the ship that
// the character is in, also while ESI does not list it; [CharacterReader.Section]
// has only what ESI lists.
func (r *CharacterReader) Elements(ctx context.Context, filter ElementFilter) ([]Element, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	// Of assets with the ship that ESI does not list.
	from := schema + "." + elementsOf(filter.Section)
	var c conditions
	c.add(`character_id = ? AND section = ? AND list = ?`, filter.CharacterID, string(filter.Section), filter.List)
	c.fields(filter.Where)
	if filter.Directly {
		c.add(`NOT EXISTS (SELECT FROM ` + from + ` around WHERE around.character_id = t.character_id AND around.section = t.section AND around.list = t.list
			AND length(around.key) = length(t.value ->> 'location_id') AND around.key = (t.value ->> 'location_id') COLLATE "C")`)
	}
	if filter.After != nil {
		c.add(`(length(key), key) > (length(?::text), ?)`, filter.After.Key, filter.After.Key)
	}
	where, limit := c.sql(filter.Limit)
	rows, err := r.pool.Query(ctx, `SELECT key, value, log_partition, log_offset FROM `+from+` t WHERE `+where+` ORDER BY length(key), key`+limit, c.args...)
	if err != nil {
		return nil, queryError("listing elements", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Element, error) {
		var e Element
		var o origin
		err := row.Scan(append([]any{&e.Key, &e.Value}, o.columns()...)...)
		e.Origin = o.ofCharacter(filter.CharacterID)
		return e, err
	})
	if err != nil {
		return nil, queryError("listing elements", err)
	}
	return list, nil
}

// Record is a fact with a natural key.
type Record struct {
	Key string
	// At is its moment, ObservedAt when something was last told of it, UTC.
	At, ObservedAt time.Time
	// Value is all that was told of it, under ESI's names.
	Value json.RawMessage
	// Origin is the event that has last told of it.
	Origin event.Origin
}

// RecordCursor is a place in a list of records.
type RecordCursor struct {
	At  time.Time `json:"t"`
	Key string    `json:"k"`
}

// Cursor is the place of the record in its list.
func (r Record) Cursor() RecordCursor { return RecordCursor{r.At, r.Key} }

// RecordFilter says which records to list. Zero fields do not filter.
type RecordFilter struct {
	CharacterID int64
	Section     eve.Section
	// From is inclusive, To exclusive.
	From, To time.Time
	// Where has what fields must be, as texts.
	Where map[string]string
	// Label and Recipient are, of mails, a label that they bear and somebody to whom they
	// went.
	Label, Recipient int64
	// Before is the last record of the page before; nil for the first page.
	Before *RecordCursor
	// Limit is the most records to list; it must be positive.
	Limit int
}

const recordColumns = `character_id, key, at, observed_at, value, log_partition, log_offset`

func scanRecord(row pgx.CollectableRow) (Record, error) {
	var record Record
	var id int64
	var o origin
	err := row.Scan(append([]any{&id, &record.Key, &record.At, &record.ObservedAt, &record.Value}, o.columns()...)...)
	record.At, record.ObservedAt, record.Origin = record.At.UTC(), record.ObservedAt.UTC(), o.ofCharacter(id)
	return record, err
}

// Records lists the records of a section, the newest first.
func (r *CharacterReader) Records(ctx context.Context, filter RecordFilter) ([]Record, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var c conditions
	c.add(`character_id = ? AND section = ?`, filter.CharacterID, string(filter.Section))
	c.fields(filter.Where)
	if filter.Label != 0 {
		c.add(`EXISTS (SELECT FROM json_array_elements_text(CASE WHEN json_typeof(value -> 'labels') = 'array' THEN value -> 'labels' ELSE '[]' END) label WHERE label = ?)`, strconv.FormatInt(filter.Label, 10))
	}
	if filter.Recipient != 0 {
		c.add(`EXISTS (SELECT FROM json_array_elements(CASE WHEN json_typeof(value -> 'recipients') = 'array' THEN value -> 'recipients' ELSE '[]' END) recipient
			WHERE json_typeof(recipient) = 'object' AND recipient ->> 'recipient_id' = ?)`, strconv.FormatInt(filter.Recipient, 10))
	}
	if !filter.From.IsZero() {
		c.add(`at >= ?`, filter.From)
	}
	if !filter.To.IsZero() {
		c.add(`at < ?`, filter.To)
	}
	if filter.Before != nil {
		c.add(`(at, length(key), key) < (?, length(?::text), ?)`, filter.Before.At, filter.Before.Key, filter.Before.Key)
	}
	where, limit := c.sql(filter.Limit)
	rows, err := r.pool.Query(ctx, `SELECT `+recordColumns+` FROM `+schema+`.records WHERE `+where+` ORDER BY at DESC, length(key) DESC, key DESC`+limit, c.args...)
	if err != nil {
		return nil, queryError("listing records", err)
	}
	list, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, queryError("listing records", err)
	}
	return list, nil
}

// Record is one record of a section. It fails with [event.CodeNotFound] if there
// is none with the key, or no such character.
func (r *CharacterReader) Record(ctx context.Context, id int64, s eve.Section, key string) (Record, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return Record{}, err
	}
	rows, err := r.pool.Query(ctx, `SELECT `+recordColumns+` FROM `+schema+`.records WHERE character_id = $1 AND section = $2 AND key = $3
		AND EXISTS (SELECT FROM `+schema+`.characters c WHERE c.character_id = $1)`, id, string(s), key)
	if err != nil {
		return Record{}, queryError("reading a record", err)
	}
	record, err := pgx.CollectExactlyOneRow(rows, scanRecord)
	if errors.Is(err, pgx.ErrNoRows) {
		return Record{}, NoRecord(id, s, key)
	}
	if err != nil {
		return Record{}, queryError("reading a record", err)
	}
	return record, nil
}

// Names are names by id. Those that are not known are missing.
type Names struct {
	Types, Locations, Entities map[int64]string
}

// NameRequest are the ids whose names are wanted.
type NameRequest struct {
	Types, Locations, Entities []int64
}

// Names looks names up, all in one round trip. There are none while there is no
// reference data.
func (r *CharacterReader) Names(ctx context.Context, ids NameRequest) (Names, error) {
	names := Names{Types: map[int64]string{}, Locations: map[int64]string{}, Entities: map[int64]string{}}
	ids = NameRequest{Types: distinct(ids.Types), Locations: distinct(ids.Locations), Entities: distinct(ids.Entities)}
	if len(ids.Types)+len(ids.Locations)+len(ids.Entities) == 0 {
		return names, nil
	}
	for _, table := range []string{"universe.type", "universe.location", "universe.entity"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return names, err
		}
	}
	rows, err := r.pool.Query(ctx, `SELECT 0, type_id, name FROM universe.type WHERE type_id = ANY($1)
		UNION ALL SELECT 1, location_id, name FROM universe.location WHERE location_id = ANY($2)
		UNION ALL SELECT 2, id, name FROM universe.entity WHERE id = ANY($3)`, ids.Types, ids.Locations, ids.Entities)
	if err != nil {
		return names, queryError("looking names up", err)
	}
	of := []map[int64]string{names.Types, names.Locations, names.Entities}
	var kind int
	var id int64
	var name *string
	_, err = pgx.ForEachRow(rows, []any{&kind, &id, &name}, func() error {
		if name != nil && *name != "" {
			of[kind][id] = *name
		}
		return nil
	})
	if err != nil {
		return names, queryError("looking names up", err)
	}
	return names, nil
}

// distinct are ids without repetitions and without zero, which is none: lists name the
// same few again and again.
func distinct(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id int64) bool { return id == 0 })
}

// MailingLists are the names of the mailing lists that a character is or was
// subscribed to, by their ids.
func (r *CharacterReader) MailingLists(ctx context.Context, id int64) (map[int64]string, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT mailing_list_id, name FROM `+schema+`.mailing_list_names WHERE character_id = $1`, id)
	if err != nil {
		return nil, queryError("reading the names of mailing lists", err)
	}
	names := map[int64]string{}
	var list int64
	var name string
	if _, err = pgx.ForEachRow(rows, []any{&list, &name}, func() error {
		names[list] = name
		return nil
	}); err != nil {
		return nil, queryError("reading the names of mailing lists", err)
	}
	return names, nil
}

// AssetsValue is what all assets of a character are worth at the average prices,
// in ISK; nil if there are no prices. Copies of blueprints and what has no price
// count as nothing.
func (r *CharacterReader) AssetsValue(ctx context.Context, id int64) (*decimal.Decimal, error) {
	if there, err := r.there(ctx, "universe.price"); err != nil || !there {
		return nil, err
	}
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var sum *string
	err = r.pool.QueryRow(ctx, `SELECT sum(a.quantity * coalesce(p.average, p.adjusted))::text FROM `+schema+`.assets a JOIN universe.price p USING (type_id)
		WHERE a.character_id = $1 AND NOT coalesce(a.is_blueprint_copy, false)`, id).Scan(&sum)
	if err != nil {
		return nil, queryError("valuing assets", err)
	}
	if sum == nil {
		return &decimal.Decimal{}, nil
	}
	value, err := decimal.NewFromString(*sum)
	if err != nil {
		return nil, fmt.Errorf("valuing assets: %w", err)
	}
	return &value, nil
}
