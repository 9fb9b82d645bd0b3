package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// CharacterUnregistered is the status of a character that a user owns and that is not
// registered. Only the finder knows of such ones.
const CharacterUnregistered CharacterStatus = "unregistered"

// FinderRow is a character as the finder lists it, with where it is and with its
// owner's main.
type FinderRow struct {
	CharacterID   int64
	Name          string
	CorporationID int64
	// AllianceID is zero for none.
	AllianceID int64
	// UserID is the owner; empty for an orphan.
	UserID string
	Status CharacterStatus
	// Since is when its present owner registered it, or since when it has been listed
	// as one that is not registered. UTC.
	Since time.Time
	// FailingSections counts the sections that cannot be read at present.
	FailingSections int
	Shared          bool
	// State is the owner's; empty for an orphan.
	State string
	// Main is the owner's; nil for none. It need not be registered.
	Main *Main
	// Location is where it is; the zero value if that is not known.
	Location Location
	// Origin is the last event about it: of its own stream, or, if it is not registered,
	// of that of whose it is said to be.
	Origin event.Origin
	// keys are what the list is ordered by.
	keys []string
}

// Main is a main and where it is.
type Main struct {
	CharacterID int64
	// Name is empty, CorporationID and AllianceID are zero if they are not known.
	Name                      string
	CorporationID, AllianceID int64
}

// Location is where a character is. LocationID is the station or structure, zero in
// space. Names need reference data.
type Location struct {
	SystemID, LocationID int64
	System, Region       string
	// Security is nil if it is not known.
	Security *float64
}

// IsMain tells whether the character is its owner's main.
func (f FinderRow) IsMain() bool { return f.Main != nil && f.Main.CharacterID == f.CharacterID }

// FinderCursor is a place in a list of the finder.
type FinderCursor struct {
	Keys []string `json:"k"`
	ID   int64    `json:"i"`
	User string   `json:"u,omitempty"`
}

// Cursor is the place of the row in a list of the order that gave it.
func (f FinderRow) Cursor() FinderCursor { return FinderCursor{f.keys, f.CharacterID, f.UserID} }

// FinderOrder is one column that the finder's list is ordered by.
type FinderOrder struct {
	// Column is one of [FinderColumns].
	Column string
	Down   bool
}

// finderColumns are what the finder can be ordered by: the expressions, and whether
// they need what is beside the characters.
func finderColumns() map[string]struct {
	expression string
	beside     bool
} {
	entity := func(id string) string {
		return "coalesce((SELECT lower(e.name) FROM universe.entity e WHERE e.id = " + id + " LIMIT 1), '')"
	}
	type column = struct {
		expression string
		beside     bool
	}
	return map[string]column{
		"name":             {"lower(c.name)", false},
		"status":           {"c.status", false},
		"corporation":      {entity("c.corporation_id"), false},
		"alliance":         {entity("c.alliance_id"), false},
		"main":             {"lower(coalesce(h.name, ''))", true},
		"main_corporation": {entity("h.corporation_id"), true},
		"main_alliance":    {entity("h.alliance_id"), true},
		"state":            {"lower(coalesce(u.state, ''))", true},
		"system":           {"lower(coalesce(y.name, ''))", true},
		"region":           {"lower(coalesce(y.region, ''))", true},
	}
}

// FinderColumns are the names of what the finder can be ordered by, in order.
func FinderColumns() []string { return slices.Sorted(maps.Keys(finderColumns())) }

// FinderFilter says which characters the finder lists. Zero fields do not filter.
type FinderFilter struct {
	// View leaves out what somebody may not find; nil leaves out nothing. Of those who
	// are in its scope, and of its owner, the unregistered characters are found, too.
	View *access.View
	// Search is a part of the name of the character or of its owner's main, Prefix the
	// beginning of one of them; case does not matter.
	Search, Prefix            string
	UserID                    string
	CorporationID, AllianceID int64
	// Region is the name of a region, SystemID the id of a system.
	Region   string
	SystemID int64
	Status   CharacterStatus
	// Registered lists registered characters only, orphans among them, or only those
	// that are not.
	Registered *bool
	// MainID and MainName say which the main is; case does not matter.
	MainID   int64
	MainName string
	// MainCorporationID and MainAllianceID say where the main is.
	MainCorporationID, MainAllianceID int64
	// State is the owner's.
	State string
	// IsMain lists mains only, or all but mains.
	IsMain *bool
	// Shared lists shared characters only, or all others.
	Shared *bool
	// Order is that of the list; nil for that of names. Ids decide at last.
	Order []FinderOrder
	// After is the last row of the page before; nil for the first page.
	After *FinderCursor
	// Limit is the most characters to list; it must be positive.
	Limit int
}

// Finder lists characters with where they are and the mains of their owners, at most
// filter.Limit. Whom it is for is in filter.View, see [access.FinderViewOf]. It fails with
// [event.CodeInvalid] for an order that there is not, and with [event.CodeUnavailable] if
// the projection or the database is not there.
func (r *CharacterReader) Finder(ctx context.Context, filter FinderFilter) ([]FinderRow, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	named, err := r.universe(ctx)
	if err != nil {
		return nil, err
	}
	sql, args, err := finderSQL(schema, named, filter)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("finding characters", err)
	}
	list, err := pgx.CollectRows(rows, scanFinderRow)
	if err != nil {
		return nil, queryError("finding characters", err)
	}
	return list, r.countFailures(ctx, schema, list)
}

// countFailures counts the sections that cannot be read of characters that were found:
// of these alone, however many were looked at.
func (r *CharacterReader) countFailures(ctx context.Context, schema string, list []FinderRow) error {
	at, ids := map[int64]int{}, []int64{}
	for i, f := range list {
		if f.Status != CharacterUnregistered {
			at[f.CharacterID], ids = i, append(ids, f.CharacterID)
		}
	}
	rows, err := r.pool.Query(ctx, `SELECT character_id, count(*) FROM `+schema+`.failures WHERE character_id = ANY($1) AND failing GROUP BY 1`, ids)
	if err != nil {
		return queryError("counting what fails of characters", err)
	}
	var id int64
	var failing int
	_, err = pgx.ForEachRow(rows, []any{&id, &failing}, func() error {
		list[at[id]].FailingSections = failing
		return nil
	})
	if err != nil {
		return queryError("counting what fails of characters", err)
	}
	return nil
}

// FinderTotal counts what [CharacterReader.Finder] lists on all pages together.
func (r *CharacterReader) FinderTotal(ctx context.Context, filter FinderFilter) (int, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return 0, err
	}
	named, err := r.universe(ctx)
	if err != nil {
		return 0, err
	}
	filter.After, filter.Order = nil, nil
	f, err := newFinder(schema, named, filter)
	if err != nil {
		return 0, err
	}
	inner, outer := f.from()
	sql := "SELECT count(*) FROM (" + inner + ") c"
	if f.beside {
		sql += f.joins() + outer
	}
	var total int
	if err := r.pool.QueryRow(ctx, sql, f.args...).Scan(&total); err != nil {
		return 0, queryError("counting what is found", err)
	}
	return total, nil
}

// universe tells whether there is reference data.
func (r *CharacterReader) universe(ctx context.Context) (bool, error) {
	for _, table := range []string{"universe.system", "universe.entity"} {
		if there, err := r.there(ctx, table); err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// finder makes the queries of the finder.
type finder struct {
	conditions

	schema string
	// named tells that there is reference data.
	named  bool
	filter FinderFilter
	// registered and unregistered are the conditions on either, others those on both
	// with what is beside them.
	registered, unregistered, others []string
	// beside tells that conditions or the order need what is beside the characters.
	beside bool
	order  []orderedBy
}

type orderedBy struct {
	expression string
	down       bool
}

func newFinder(schema string, named bool, filter FinderFilter) (*finder, error) {
	f := &finder{schema: schema, named: named, filter: filter}
	order := filter.Order
	if len(order) == 0 {
		order = []FinderOrder{{Column: "name"}}
	}
	for _, o := range order {
		c, known := finderColumns()[o.Column]
		if !known {
			return nil, event.Errorf(event.CodeInvalid, "sort: there is no column %q: take some of %s, with a minus for the other way round", o.Column, strings.Join(FinderColumns(), ", "))
		}
		if !named && strings.Contains(c.expression, "universe.") {
			// Nothing has a name yet.
			c.expression, c.beside = "''", false
		}
		f.order = append(f.order, orderedBy{c.expression + ` COLLATE "C"`, o.Down})
		f.beside = f.beside || c.beside
	}
	f.characters()
	f.others = f.besides()
	f.beside = f.beside || len(f.others) > 0
	if filter.After != nil && len(filter.After.Keys) != len(f.order) {
		return nil, event.Errorf(event.CodeInvalid, "cursor: is not one that this list has given: leave it out to start from the beginning")
	}
	return f, nil
}

// taken are the conditions that fn adds.
func (f *finder) taken(fn func()) []string {
	f.where = nil
	fn()
	taken := f.where
	f.where = nil
	return taken
}

// characters takes the conditions on the characters themselves.
func (f *finder) characters() {
	filter := f.filter
	f.registered = f.taken(func() {
		f.conditions.characters(f.schema, CharacterFilter{CorporationID: filter.CorporationID, AllianceID: filter.AllianceID, UserID: filter.UserID, View: filter.View})
		switch filter.Status {
		case "":
		case CharacterUnregistered:
			f.add("false")
		default:
			f.conditions.characters(f.schema, CharacterFilter{Status: filter.Status})
		}
		if filter.Registered != nil && !*filter.Registered {
			f.add("false")
		}
		if filter.Shared != nil {
			f.add("(c.shared AND coalesce(c.shared_until > now(), true)) = ?", *filter.Shared)
		}
		f.beginning("c")
	})
	f.unregistered = f.taken(func() {
		if filter.Registered != nil && *filter.Registered || filter.Status != "" && filter.Status != CharacterUnregistered || filter.Shared != nil && *filter.Shared {
			f.add("false")
		}
		f.unregisteredView()
		if filter.CorporationID != 0 {
			f.add(`coalesce(d.corporation_id, l.corporation_id) = ?`, filter.CorporationID)
		}
		if filter.AllianceID != 0 {
			f.add(`coalesce(d.alliance_id, l.alliance_id) = ?`, filter.AllianceID)
		}
		if filter.UserID != "" {
			f.add(`l.user_id = ?`, filter.UserID)
		}
		f.beginning("l")
	})
}

// unregisteredView takes what an unregistered character l must meet to be found: that
// its owner is the viewer or in his scope. Nothing of theirs is shared.
func (f *finder) unregisteredView() {
	v := f.filter.View
	if v == nil || v.Everything {
		return
	}
	var ways []string
	var args []any
	if v.Owner != "" {
		ways, args = append(ways, `l.user_id = ?`), append(args, v.Owner)
	}
	scoped := `l.user_id IN (SELECT h.user_id FROM ` + f.schema + `.homes h JOIN ` + f.schema + `.users u USING (user_id) WHERE `
	switch {
	case v.Scope.AllianceID != 0:
		ways, args = append(ways, scoped+`h.alliance_id = ?)`), append(args, v.Scope.AllianceID)
	case v.Scope.CorporationID != 0:
		ways, args = append(ways, scoped+`h.corporation_id = ?)`), append(args, v.Scope.CorporationID)
	}
	if len(ways) == 0 {
		f.add("false")
		return
	}
	// One list of users, so that each way begins with an index.
	f.add(`l.user_id IN (SELECT l.user_id FROM `+f.schema+`.users l WHERE `+strings.Join(ways, `
		UNION SELECT l.user_id FROM `+f.schema+`.users l WHERE `)+`)`, args...)
}

// beginning narrows the characters down to those that an index on names finds, by their
// own or by their main's. Which name counts is asked of the row later.
func (f *finder) beginning(alias string) {
	if f.filter.Prefix == "" {
		return
	}
	named := strings.ReplaceAll(`SELECT n.character_id FROM {schema}.identities n WHERE lower(n.name) COLLATE "C" LIKE ?
			UNION SELECT n.character_id FROM {schema}.registrations n WHERE lower(n.name) COLLATE "C" LIKE ?
			UNION SELECT n.character_id FROM {schema}.listed n WHERE lower(n.name) COLLATE "C" LIKE ?`, "{schema}", f.schema)
	owned := strings.ReplaceAll(`
			UNION SELECT w.character_id FROM {schema}.mains m JOIN {schema}.owners w USING (user_id) WHERE m.character_id IN (`+named+`)
			UNION SELECT w.character_id FROM {schema}.mains m JOIN {schema}.listed w USING (user_id) WHERE m.character_id IN (`+named+`)`, "{schema}", f.schema)
	pattern := escapeLike(strings.ToLower(f.filter.Prefix)) + "%"
	args := make([]any, 9)
	for i := range args {
		args[i] = pattern
	}
	f.add(alias+`.character_id IN (`+named+owned+`)`, args...)
}

// besides are the conditions on what is beside the characters.
func (f *finder) besides() []string {
	filter := f.filter
	return f.taken(func() {
		if filter.Search != "" {
			pattern := "%" + escapeLike(filter.Search) + "%"
			f.add(`(c.name ILIKE ? OR h.name ILIKE ?)`, pattern, pattern)
		}
		if filter.Prefix != "" {
			pattern := escapeLike(filter.Prefix) + "%"
			f.add(`(c.name ILIKE ? OR h.name ILIKE ?)`, pattern, pattern)
		}
		if filter.MainID != 0 {
			f.add(`m.character_id = ?`, filter.MainID)
		}
		if filter.MainName != "" {
			f.add(`lower(h.name) = lower(?)`, filter.MainName)
		}
		if filter.MainCorporationID != 0 {
			f.add(`h.corporation_id = ?`, filter.MainCorporationID)
		}
		if filter.MainAllianceID != 0 {
			f.add(`h.alliance_id = ?`, filter.MainAllianceID)
		}
		if filter.State != "" {
			f.add(`u.state = ?`, filter.State)
		}
		if filter.IsMain != nil {
			f.add(`(m.character_id IS NOT DISTINCT FROM c.character_id) = ?`, *filter.IsMain)
		}
		if filter.SystemID != 0 {
			f.add(f.system()+` = ?`, filter.SystemID)
		}
		if filter.Region != "" {
			f.add(`y.region = ?`, filter.Region)
		}
	})
}

// from are the characters, and the conditions on what is beside them.
func (f *finder) from() (inner, outer string) {
	clause := func(where []string) string {
		if len(where) == 0 {
			return ""
		}
		return "\n\t\tWHERE " + strings.Join(where, " AND ")
	}
	return strings.ReplaceAll(`
		SELECT c.character_id, c.name, c.corporation_id, c.alliance_id, coalesce(c.user_id, '') AS user_id,
			CASE WHEN c.orphaned THEN 'orphaned' WHEN c.disabled THEN 'disabled' ELSE 'active' END AS status, c.registered_at AS since,
			c.shared AND coalesce(c.shared_until > now(), true) AS shared,
			c.log_partition, c.log_offset
		FROM {schema}.characters c`+clause(f.registered)+`
		UNION ALL
		SELECT l.character_id, coalesce(nullif(d.name, ''), l.name), coalesce(d.corporation_id, l.corporation_id), coalesce(d.alliance_id, l.alliance_id), l.user_id,
			'unregistered', l.since, false, l.log_partition, l.log_offset
		FROM {schema}.unregistered l LEFT JOIN {schema}.identities d USING (character_id)`+clause(f.unregistered), "{schema}", f.schema), clause(f.others)
}

// joins is what is beside the characters c: the owner u, his main m and its home h, the
// location p and its system y.
func (f *finder) joins() string {
	home := `LEFT JOIN LATERAL (SELECT h.name, h.corporation_id, h.alliance_id FROM {schema}.homes h WHERE h.user_id = c.user_id LIMIT 1) h ON true`
	if v := f.filter.View; f.beside && f.filter.Prefix == "" && (v == nil || v.Everything) {
		// Of everybody, not of one after the other.
		home = `LEFT JOIN (SELECT h.user_id, h.name, h.corporation_id, h.alliance_id FROM {schema}.homes h OFFSET 0) h ON h.user_id = c.user_id`
	}
	system := `(SELECT NULL::bigint AS system_id, NULL::text AS name, NULL::text AS region, NULL::double precision AS security WHERE false)`
	if f.named {
		system = `universe.system`
	}
	return strings.ReplaceAll(`
	LEFT JOIN {schema}.users u ON u.user_id = c.user_id
	LEFT JOIN {schema}.mains m ON m.user_id = c.user_id
	`+home+`
	LEFT JOIN {schema}.sections p ON p.character_id = c.character_id AND p.section = 'location' AND c.status <> 'unregistered'
	LEFT JOIN `+system+` y ON y.system_id = `+f.system(), "{schema}", f.schema)
}

// system is the system in which a character is.
func (f *finder) system() string { return f.schema + `.number_of(p.value, 'solar_system_id')` }

// following is the condition that a row comes behind the cursor.
func (f *finder) following() string {
	at := f.filter.After
	if at == nil {
		return ""
	}
	before := []string{}
	var ways []string
	step := func(expression string, down bool, value any) {
		f.args = append(f.args, value)
		place := fmt.Sprintf("$%d", len(f.args))
		beyond := " > "
		if down {
			beyond = " < "
		}
		ways = append(ways, "("+strings.Join(append(slices.Clone(before), expression+beyond+place), " AND ")+")")
		before = append(before, expression+" = "+place)
	}
	for i, o := range f.order {
		step(o.expression, o.down, at.Keys[i])
	}
	step("c.character_id", false, at.ID)
	step(`c.user_id COLLATE "C"`, false, at.User)
	return "(" + strings.Join(ways, " OR ") + ")"
}

// finderSQL first takes the characters, and what is beside them of these alone: a
// join of so many tables in one level is more than Postgres puts in order. Only if it
// is asked for by what is beside them, that is looked up before the page is cut.
func finderSQL(schema string, named bool, filter FinderFilter) (string, []any, error) {
	f, err := newFinder(schema, named, filter)
	if err != nil {
		return "", nil, err
	}
	inner, outer := f.from()
	keys, order := make([]string, len(f.order)), ""
	for i, o := range f.order {
		keys[i] = "(" + o.expression + ")::text"
		order += o.expression
		if o.down {
			order += " DESC"
		}
		order += ", "
	}
	order = "\nORDER BY " + order + `c.character_id, c.user_id COLLATE "C"`
	if following := f.following(); following != "" {
		if outer == "" {
			outer = "\n\t\tWHERE " + following
		} else {
			outer += " AND " + following
		}
	}
	_, limit := f.sql(filter.Limit)
	characters := "(" + inner + ") c"
	if !f.beside {
		characters = "(SELECT c.* FROM (" + inner + ") c" + outer + order + limit + ") c"
		outer, limit = "", ""
	}
	return `SELECT c.character_id, c.name, c.corporation_id, c.alliance_id, c.user_id, c.status, c.since,
		c.shared, coalesce(u.state, ''),
		m.character_id, coalesce(h.name, ''), coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0),
		coalesce(` + f.system() + `, 0), coalesce(` + schema + `.number_of(p.value, 'station_id'), ` + schema + `.number_of(p.value, 'structure_id'), 0),
		coalesce(y.name, ''), coalesce(y.region, ''), y.security, ARRAY[` + strings.Join(keys, ", ") + `],
		c.log_partition, c.log_offset
	FROM ` + characters + f.joins() + outer + order + limit, f.args, nil
}

func scanFinderRow(row pgx.CollectableRow) (FinderRow, error) {
	var f FinderRow
	var main Main
	var id *int64
	var since *time.Time
	var o origin
	err := row.Scan(append([]any{
		&f.CharacterID, &f.Name, &f.CorporationID, &f.AllianceID, &f.UserID, &f.Status, &since, &f.Shared, &f.State,
		&id, &main.Name, &main.CorporationID, &main.AllianceID,
		&f.Location.SystemID, &f.Location.LocationID, &f.Location.System, &f.Location.Region, &f.Location.Security, &f.keys,
	}, o.columns()...)...)
	if f.Origin = o.ofCharacter(f.CharacterID); f.Status == CharacterUnregistered {
		f.Origin = o.of(event.User(f.UserID), event.TopicAccess)
	}
	if since != nil {
		f.Since = since.UTC()
	}
	if id != nil {
		main.CharacterID = *id
		f.Main = &main
	}
	return f, err
}

// Facet is a value that characters of the finder have, and how many have it. Either ID
// or Name says which; of systems both do.
type Facet struct {
	ID         int64
	Name       string
	Characters int
}

// FinderFacets are the values that the finder can be filtered by, the most frequent
// first. What is not known or not there is no value.
type FinderFacets struct {
	Corporations, Alliances, MainCorporations, MainAlliances, Systems, Regions, States, Statuses []Facet
}

// FinderFacets counts the values that the characters of a list of the finder have. It
// fails as [CharacterReader.Finder] does.
func (r *CharacterReader) FinderFacets(ctx context.Context, filter FinderFilter) (FinderFacets, error) {
	var facets FinderFacets
	schema, err := r.schema(ctx)
	if err != nil {
		return facets, err
	}
	named, err := r.universe(ctx)
	if err != nil {
		return facets, err
	}
	filter.After, filter.Order = nil, nil
	f, err := newFinder(schema, named, filter)
	if err != nil {
		return facets, err
	}
	// All is looked at, so all is looked up at once.
	f.beside = true
	inner, outer := f.from()
	kinds := map[string]*[]Facet{
		"corporation": &facets.Corporations, "alliance": &facets.Alliances, "main_corporation": &facets.MainCorporations, "main_alliance": &facets.MainAlliances,
		"system": &facets.Systems, "region": &facets.Regions, "state": &facets.States, "status": &facets.Statuses,
	}
	for _, list := range kinds {
		*list = []Facet{}
	}
	rows, err := r.pool.Query(ctx, `WITH found AS MATERIALIZED (SELECT c.corporation_id, c.alliance_id, h.corporation_id AS main_corporation, h.alliance_id AS main_alliance,
			`+f.system()+` AS system_id, y.name AS system, y.region, u.state, c.status
		FROM (`+inner+`) c`+f.joins()+outer+`)
		SELECT * FROM (
			SELECT 'corporation' AS kind, corporation_id AS id, '' AS name, count(*) AS n FROM found GROUP BY 2
			UNION ALL SELECT 'alliance', alliance_id, '', count(*) FROM found GROUP BY 2
			UNION ALL SELECT 'main_corporation', main_corporation, '', count(*) FROM found GROUP BY 2
			UNION ALL SELECT 'main_alliance', main_alliance, '', count(*) FROM found GROUP BY 2
			UNION ALL SELECT 'system', system_id, coalesce(system, ''), count(*) FROM found GROUP BY 2, 3
			UNION ALL SELECT 'region', 0, region, count(*) FROM found GROUP BY 3
			UNION ALL SELECT 'state', 0, state, count(*) FROM found GROUP BY 3
			UNION ALL SELECT 'status', 0, status, count(*) FROM found GROUP BY 3) v
		WHERE coalesce(id, 0) <> 0 OR coalesce(name, '') <> '' ORDER BY kind, n DESC, id, name COLLATE "C"`, f.args...)
	if err != nil {
		return facets, queryError("counting the values of the finder", err)
	}
	var kind string
	var facet Facet
	_, err = pgx.ForEachRow(rows, []any{&kind, &facet.ID, &facet.Name, &facet.Characters}, func() error {
		*kinds[kind] = append(*kinds[kind], facet)
		return nil
	})
	if err != nil {
		return facets, queryError("counting the values of the finder", err)
	}
	return facets, nil
}
