package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// SearchFilter says what to search for in one section of many characters. Zero fields do
// not filter.
type SearchFilter struct {
	// View leaves out the characters that somebody may not open; nil leaves out nothing.
	View *access.View
	// Section and List say where to search; see [eve.List]. The section is one of those
	// that have elements or records.
	Section eve.Section
	List    string
	// CharacterID and UserID hold it to one character or to those of one owner.
	CharacterID int64
	UserID      string
	// Numbers has what fields with ids must be one of. An empty list is none: nothing
	// is found.
	Numbers map[string][]int64
	// AnyNumber has what one of several fields must be; the fields are joined by commas.
	AnyNumber map[string]int64
	// Holding has what fields with lists of ids must hold one of.
	Holding map[string][]int64
	// Texts has what fields must be, Parts what they must hold, in any case.
	Texts, Parts map[string]string
	// AtLeast and AtMost bound fields with numbers.
	AtLeast, AtMost map[string]float64
	// From is inclusive, To exclusive; of records alone.
	From, To time.Time
	// After is the last of the page before; nil for the first page.
	After *SearchCursor
	// Limit is the most to find; it must be positive.
	Limit int
}

// SearchCursor is a place in a list of what was found. At is of records alone.
type SearchCursor struct {
	At  time.Time `json:"t,omitzero"`
	ID  int64     `json:"i"`
	Key string    `json:"k"`
}

// Hit is something that was found, and whose it is.
type Hit struct {
	CharacterID int64
	// Name is the character's, UserID its owner; empty for an orphan.
	Name, UserID string
	Key          string
	// At is the moment of a record; zero for others. UTC.
	At time.Time
	// Value is ESI's own JSON.
	Value json.RawMessage
	// Origin is the event that has last told of it.
	Origin event.Origin
}

// Cursor is the place of the hit in its list.
func (h Hit) Cursor() SearchCursor { return SearchCursor{h.At, h.CharacterID, h.Key} }

// Search finds elements and records of the characters of a view, elements by character
// and key, records the newest first. It fails with [event.CodeUnavailable] if the
// projection or the database is not there.
func (r *CharacterReader) Search(ctx context.Context, filter SearchFilter) ([]Hit, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	shape, known := eve.ShapeOf(filter.Section)
	if !known {
		return nil, event.Errorf(event.CodeInternal, "BUG: nothing is searched for in section %q", filter.Section)
	}
	sql, args := searchSQL(schema, filter)
	if shape.Records != nil {
		sql, args = searchRecordsSQL(schema, filter)
	}
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("searching in "+string(filter.Section), err)
	}
	hits, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Hit, error) {
		var h Hit
		var at *time.Time
		var o origin
		err := row.Scan(append([]any{&h.CharacterID, &h.Name, &h.UserID, &h.Key, &at, &h.Value}, o.columns()...)...)
		h.Origin = o.ofCharacter(h.CharacterID)
		if at != nil {
			h.At = at.UTC()
		}
		return h, err
	})
	if err != nil {
		return nil, queryError("searching in "+string(filter.Section), err)
	}
	return hits, nil
}

// search takes what the filter says of the rows e: elements or records.
func (c *conditions) search(schema string, filter SearchFilter) {
	// The section is written out, so that the indexes of one section are of use.
	c.add(fmt.Sprintf(`e.section = '%s'`, filter.Section))
	number := func(field string) string { return fmt.Sprintf(`%s.number_of(e.value, '%s')`, schema, field) }
	for _, field := range slices.Sorted(maps.Keys(filter.Numbers)) {
		if filter.Section == eve.SectionImplants {
			// These are bare ids, by which they are kept, too.
			c.add(`e.key = ANY(?::bigint[]::text[])`, filter.Numbers[field])
			continue
		}
		c.add(number(field)+` = ANY(?)`, filter.Numbers[field])
	}
	for _, fields := range slices.Sorted(maps.Keys(filter.AnyNumber)) {
		var ways []string
		var args []any
		for field := range strings.SplitSeq(fields, ",") {
			ways, args = append(ways, number(field)+` = ?`), append(args, filter.AnyNumber[fields])
		}
		c.add("("+strings.Join(ways, " OR ")+")", args...)
	}
	for _, field := range slices.Sorted(maps.Keys(filter.Holding)) {
		c.add(fmt.Sprintf(`EXISTS (SELECT FROM json_array_elements_text(CASE WHEN json_typeof(e.value -> '%[1]s') = 'array' THEN e.value -> '%[1]s' ELSE '[]' END) n(id)
			WHERE n.id = ANY(?::bigint[]::text[]))`, field), filter.Holding[field])
	}
	for _, field := range slices.Sorted(maps.Keys(filter.Texts)) {
		c.add(fmt.Sprintf(`e.value ->> '%s' = ?`, field), filter.Texts[field])
	}
	for _, field := range slices.Sorted(maps.Keys(filter.Parts)) {
		c.add(fmt.Sprintf(`e.value ->> '%s' ILIKE ?`, field), "%"+escapeLike(filter.Parts[field])+"%")
	}
	bound := func(field, than string, value float64) {
		c.add(fmt.Sprintf(`CASE WHEN json_typeof(e.value -> '%[1]s') = 'number' THEN (e.value ->> '%[1]s')::double precision %[2]s ? END`, field, than), value)
	}
	for _, field := range slices.Sorted(maps.Keys(filter.AtLeast)) {
		bound(field, ">=", filter.AtLeast[field])
	}
	for _, field := range slices.Sorted(maps.Keys(filter.AtMost)) {
		bound(field, "<=", filter.AtMost[field])
	}
}

// among holds the rows e to characters that may be seen.
func (c *conditions) among(schema string, filter SearchFilter) {
	if filter.CharacterID != 0 {
		c.add(`e.character_id = ?`, filter.CharacterID)
	}
	if filter.UserID == "" && (filter.View == nil || filter.View.Everything) {
		return
	}
	inner := c.opened(schema, filter)
	// An array is found out first, and then entered by an index: of a join Postgres would
	// rather go through all that everybody has.
	c.where = append(c.where, `e.character_id = ANY(ARRAY(SELECT c.character_id FROM `+schema+`.characters c`+inner.clause()+`))`)
}

// opened are the conditions on the characters c whose rows may be seen.
func (c *conditions) opened(schema string, filter SearchFilter) conditions {
	inner := conditions{args: c.args}
	inner.characters(schema, CharacterFilter{UserID: filter.UserID, View: filter.View})
	c.args = inner.args
	return inner
}

// manyNumbers is how many ids are so many that what has them is no small part of all.
const manyNumbers = 20

// byNumbers tells that what a few ids are asked for is found by these and then held to
// those who may be seen: to go through all that an alliance has, reading each value, takes
// a hundred times as long. A corporation and a single owner have few enough.
func (f SearchFilter) byNumbers() bool {
	if f.CharacterID != 0 || f.UserID != "" || f.View == nil || f.View.Everything || f.Section == eve.SectionImplants || f.View.Scope.AllianceID == 0 && !f.View.Shared {
		return false
	}
	for _, ids := range f.Numbers {
		if len(ids) <= manyNumbers {
			return true
		}
	}
	return false
}

// searchSQL asks the last full observations and what has changed since each by
// themselves, so that each is answered by indexes, and of assets the ships that ESI does
// not list.
func searchSQL(schema string, filter SearchFilter) (string, []any) {
	var q conditions
	q.search(schema, filter)
	byNumbers, then := filter.byNumbers(), ""
	if byNumbers {
		inner := q.opened(schema, filter)
		then = ` WHERE e.character_id IN (SELECT c.character_id FROM {schema}.characters c` + inner.clause() + `)`
	} else {
		q.among(schema, filter)
	}
	q.add(`e.list = ?`, filter.List)
	if filter.After != nil {
		q.add(`(e.character_id, length(e.key), e.key) > (?, length(?::text), ?)`, filter.After.ID, filter.After.Key, filter.After.Key)
	}
	where, limit := q.sql(filter.Limit)
	const order = `ORDER BY e.character_id, length(e.key), e.key`
	// What ids are asked for is found by their index and then put in order. Of the order's
	// own index Postgres would hope that what is asked for comes early.
	found := func(table, more string) string {
		rows := `SELECT e.character_id, e.key, e.value, e.log_partition, e.log_offset FROM {schema}.` + table + ` e WHERE ` + where + more
		if len(filter.Numbers) > 0 {
			rows = `SELECT e.* FROM (` + rows + ` OFFSET 0) e` + then
		}
		return rows + ` ` + order + limit
	}
	parts := []string{
		found("items", ` AND NOT EXISTS (SELECT FROM {schema}.changes x
			WHERE x.character_id = e.character_id AND x.section = e.section AND x.list = e.list AND length(x.key) = length(e.key) AND x.key = e.key)`),
		found("changes", ` AND NOT e.gone`),
	}
	if filter.Section == eve.SectionAssets {
		// These are held to the characters from the start.
		parts = append(parts, q.ships(schema, filter)+where+` `+order+limit)
	}
	return strings.ReplaceAll(`SELECT e.character_id, coalesce(c.name, ''), coalesce(c.user_id, ''), e.key, NULL::timestamptz, e.value, e.log_partition, e.log_offset
	FROM (SELECT * FROM ((`+strings.Join(parts, `)
		UNION ALL (`)+`)) e `+order+limit+`) e LEFT JOIN {schema}.characters c USING (character_id) `+order, "{schema}", schema), q.args
}

// ships are the ships that ESI does not list, looked at for one character after the
// other.
func (c *conditions) ships(schema string, filter SearchFilter) string {
	of := conditions{args: c.args}
	of.add(`e.section = 'ship'`)
	of.among(schema, filter)
	if types, asked := filter.Numbers["type_id"]; asked {
		of.add(`{schema}.number_of(e.value, 'ship_type_id') = ANY(?)`, types)
	}
	if filter.After != nil {
		of.add(`e.character_id >= ?`, filter.After.ID)
	}
	c.args = of.args
	return `SELECT e.character_id, e.key, e.value, e.log_partition, e.log_offset FROM (SELECT e.character_id FROM {schema}.sections e` + of.clause() + ` ORDER BY e.character_id OFFSET 0) p
			CROSS JOIN LATERAL (SELECT s.* FROM {schema}.current_ships s WHERE s.character_id = p.character_id OFFSET 0) e WHERE `
}

func searchRecordsSQL(schema string, filter SearchFilter) (string, []any) {
	var q conditions
	q.search(schema, filter)
	q.among(schema, filter)
	if !filter.From.IsZero() {
		q.add(`e.at >= ?`, filter.From)
	}
	if !filter.To.IsZero() {
		q.add(`e.at < ?`, filter.To)
	}
	if filter.After != nil {
		q.add(`(e.at, e.character_id, length(e.key), e.key) < (?, ?, length(?::text), ?)`, filter.After.At, filter.After.ID, filter.After.Key, filter.After.Key)
	}
	where, limit := q.sql(filter.Limit)
	const order = `ORDER BY e.at DESC, e.character_id DESC, length(e.key) DESC, e.key DESC`
	return strings.ReplaceAll(`SELECT e.character_id, coalesce(c.name, ''), coalesce(c.user_id, ''), e.key, e.at, e.value, e.log_partition, e.log_offset
	FROM (SELECT e.character_id, e.key, e.at, e.value, e.log_partition, e.log_offset FROM {schema}.records e WHERE `+where+` `+order+limit+`) e LEFT JOIN {schema}.characters c USING (character_id) `+order, "{schema}", schema), q.args
}

// TypeFilter says which types are meant.
type TypeFilter struct {
	// Name is a part of the name, in any case; GroupID and Group are the group's.
	Name, Group string
	GroupID     int64
}

// IsZero tells that all types are meant.
func (f TypeFilter) IsZero() bool { return f == TypeFilter{} }

// mostMeant bounds how many types or places a part of a name can mean: a few letters
// mean half of all.
const mostMeant = 5000

// Types are the ids of the types that are meant, ascending. It fails with
// [event.CodeInvalid] if they are too many to search for. There are none while there is
// no reference data.
func (r *CharacterReader) Types(ctx context.Context, filter TypeFilter) ([]int64, error) {
	for _, table := range []string{"universe.type", "universe.type_group"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return []int64{}, err
		}
	}
	var q conditions
	if filter.Name != "" {
		q.add(`t.name ILIKE ?`, "%"+escapeLike(filter.Name)+"%")
	}
	if filter.Group != "" {
		q.add(`lower(g.name) = lower(?)`, filter.Group)
	}
	if filter.GroupID != 0 {
		q.add(`t.group_id = ?`, filter.GroupID)
	}
	return r.meant(ctx, `SELECT t.type_id FROM universe.type t LEFT JOIN universe.type_group g USING (group_id)`+q.clause(), q.args)
}

// PlaceFilter says which places are meant.
type PlaceFilter struct {
	// Name is a part of the name, in any case; Region is the name of a region.
	Name, Region string
	SystemID     int64
}

// IsZero tells that all places are meant.
func (f PlaceFilter) IsZero() bool { return f == PlaceFilter{} }

// Places are the ids of the systems, stations and structures that are meant, ascending.
// It fails as [CharacterReader.Types] does.
func (r *CharacterReader) Places(ctx context.Context, filter PlaceFilter) ([]int64, error) {
	for _, table := range []string{"universe.location", "universe.system"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return []int64{}, err
		}
	}
	var q conditions
	if filter.Name != "" {
		q.add(`l.name ILIKE ?`, "%"+escapeLike(filter.Name)+"%")
	}
	if filter.SystemID != 0 {
		q.add(`l.system_id = ?`, filter.SystemID)
	}
	if filter.Region != "" {
		q.add(`s.region = ?`, filter.Region)
	}
	return r.meant(ctx, `SELECT l.location_id FROM universe.location l LEFT JOIN universe.system s USING (system_id)`+q.clause(), q.args)
}

// Entities are the ids of the characters, corporations, alliances and factions whose
// names hold a text, ascending. It fails as [CharacterReader.Types] does.
func (r *CharacterReader) Entities(ctx context.Context, name string) ([]int64, error) {
	if there, err := r.there(ctx, "universe.entity"); err != nil || !there {
		return []int64{}, err
	}
	return r.meant(ctx, `SELECT e.id FROM universe.entity e WHERE e.name ILIKE $1`, []any{"%" + escapeLike(name) + "%"})
}

func (r *CharacterReader) meant(ctx context.Context, sql string, args []any) ([]int64, error) {
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT DISTINCT * FROM (%s) m ORDER BY 1 LIMIT %d`, sql, mostMeant+1), args...)
	if err != nil {
		return nil, queryError("looking up what is meant", err)
	}
	ids, err := pgx.AppendRows([]int64{}, rows, pgx.RowTo[int64])
	if err != nil {
		return nil, queryError("looking up what is meant", err)
	}
	if len(ids) > mostMeant {
		return nil, event.Errorf(event.CodeInvalid, "more than %d names fit: search for a longer part of the name", mostMeant)
	}
	return ids, nil
}
