package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/live"
)

// CharacterStatus says whether a character is synced.
type CharacterStatus string

// The statuses of characters. An orphan that is also disabled is an orphan.
const (
	CharacterActive   CharacterStatus = "active"
	CharacterDisabled CharacterStatus = "disabled"
	CharacterOrphaned CharacterStatus = "orphaned"
)

// SectionStatus says how far a section of a character can be relied on.
type SectionStatus string

// The statuses of sections.
const (
	// SectionOK: it was read, and nothing has failed since.
	SectionOK SectionStatus = "ok"
	// SectionFailing: the last attempts failed; what is shown is older.
	SectionFailing SectionStatus = "failing"
	// SectionNotYet: it has not been read so far.
	SectionNotYet SectionStatus = "not_yet"
	// SectionNotConsented: the owner has not given the scope it needs.
	SectionNotConsented SectionStatus = "not_consented"
	// SectionIncomplete: it was read, but some of what is fetched apart, such as
	// the bodies of mails, is not there yet.
	SectionIncomplete SectionStatus = "incomplete"
)

// section is a section that characters have.
type section struct {
	name eve.Section
	// scope is what ESI asks for; empty for public sections.
	scope string
}

// sections lists the sections that are observed, in the order in which they are
// shown.
func sections() []section {
	shapes, scopes := eve.Shapes(), scopes()
	all := make([]section, len(shapes))
	for i, shape := range shapes {
		all[i] = section{shape.Section, scopes[shape.Section]}
	}
	return all
}

// scopes are those that ESI's OpenAPI document asks for; public sections have none.
func scopes() map[eve.Section]string {
	return map[eve.Section]string{
		eve.SectionAssets:             "esi-assets.read_assets.v1",
		eve.SectionAttributes:         "esi-skills.read_skills.v1",
		eve.SectionSkills:             "esi-skills.read_skills.v1",
		eve.SectionContacts:           "esi-characters.read_contacts.v1",
		eve.SectionContracts:          "esi-contracts.read_character_contracts.v1",
		eve.SectionImplants:           "esi-clones.read_implants.v1",
		eve.SectionClones:             "esi-clones.read_clones.v1",
		eve.SectionLocation:           "esi-location.read_location.v1",
		eve.SectionLoyalty:            "esi-characters.read_loyalty.v1",
		eve.SectionMails:              "esi-mail.read_mail.v1",
		eve.SectionOnline:             "esi-location.read_online.v1",
		eve.SectionShip:               "esi-location.read_ship_type.v1",
		eve.SectionSkillQueue:         "esi-skills.read_skillqueue.v1",
		eve.SectionWallet:             "esi-wallet.read_character_wallet.v1",
		eve.SectionWalletJournal:      "esi-wallet.read_character_wallet.v1",
		eve.SectionWalletTransactions: "esi-wallet.read_character_wallet.v1",
		eve.SectionFWStats:            "esi-characters.read_fw_stats.v1",
		eve.SectionMining:             "esi-industry.read_character_mining.v1",
		eve.SectionPlanets:            "esi-planets.manage_planets.v1",
		eve.SectionRoles:              "esi-characters.read_corporation_roles.v1",
		eve.SectionStandings:          "esi-characters.read_standings.v1",
		eve.SectionTitles:             "esi-characters.read_titles.v1",
		eve.SectionOrders:             "esi-markets.read_character_orders.v1",
		eve.SectionIndustryJobs:       "esi-industry.read_character_jobs.v1",
		eve.SectionBlueprints:         "esi-characters.read_blueprints.v1",
		eve.SectionKillmails:          "esi-killmails.read_killmails.v1",
		eve.SectionNotifications:      "esi-characters.read_notifications.v1",
		eve.SectionCalendar:           "esi-calendar.read_calendar_events.v1",
		eve.SectionFatigue:            "esi-characters.read_fatigue.v1",
		eve.SectionMedals:             "esi-characters.read_medals.v1",
		eve.SectionResearch:           "esi-characters.read_agents_research.v1",
		eve.SectionFittings:           "esi-fittings.read_fittings.v1",
	}
}

// Character is a character as lists show it.
type Character struct {
	CharacterID   int64
	Name          string
	CorporationID int64
	// AllianceID is zero for none.
	AllianceID int64
	// UserID is the owner; empty for an orphan.
	UserID string
	Status CharacterStatus
	// RegisteredAt is when the present owner brought it in, UTC.
	RegisteredAt time.Time
	// FailingSections counts the sections that cannot be read at present.
	FailingSections int
	Scopes          []string
	// Login is only set of a single character; nil if no login is kept.
	Login *Login
	// Origin is the last event about whose it is, what it is called, where it belongs
	// and whether it is synced and shared.
	Origin event.Origin
	// folded is the name as Postgres orders it.
	folded string
}

// Login is how the login of a character stands.
type Login struct {
	// Parked tells that it waits until its owner registers the character again, for
	// Reason.
	Parked bool
	Reason string
	// RegisteredAt is when the owner gave it, ChangedAt when it was last renewed or
	// was parked. UTC.
	RegisteredAt, ChangedAt time.Time
}

// CharacterSort is an order of characters. Both end with the id, so that it is
// total.
type CharacterSort string

// The orders of characters. Names are ordered by code point, without regard to
// case.
const (
	SortByName CharacterSort = "name"
	SortByID   CharacterSort = "id"
)

// CharacterFilter says which characters to list. Zero fields do not filter.
type CharacterFilter struct {
	// Name is a part of the name, NamePrefix its beginning; case does not matter.
	Name, NamePrefix string
	ID               int64
	CorporationID    int64
	AllianceID       int64
	UserID           string
	Status           CharacterStatus
	// View leaves out what somebody may not open; nil leaves out nothing. See
	// [access.ViewOf].
	View *access.View
	Sort CharacterSort
	// After is the last character of the page before; nil for the first page.
	After *CharacterCursor
	// Limit is the most characters to list; it must be positive.
	Limit int
}

// CharacterCursor is a place in a list of characters.
type CharacterCursor struct {
	// Name is the name as Postgres puts it in lower case; it is only used in
	// order of names.
	Name string `json:"n,omitempty"`
	ID   int64  `json:"i"`
}

// Cursor is the place of the character in a list.
func (c Character) Cursor() CharacterCursor {
	return CharacterCursor{Name: c.folded, ID: c.CharacterID}
}

// SectionState is how a section of a character stands.
type SectionState struct {
	Section eve.Section
	Status  SectionStatus
	// ObservedAt is when its content was last seen to change, ValidatedAt when
	// it was last confirmed; nil for never. UTC.
	ObservedAt, ValidatedAt *time.Time
	// NotBefore is the earliest moment of the next attempt; nil if unknown.
	NotBefore *time.Time
	// Outstanding counts what is fetched apart and is not there yet, such as the
	// bodies of mails.
	Outstanding int
	// Failure is set while the section is failing, or incomplete because of a
	// failure.
	Failure *SectionFailure
	// Origin is the last event that has told what is in it.
	Origin event.Origin
}

// SectionFailure is why a section cannot be read.
type SectionFailure struct {
	Class   eve.FailureClass
	Status  int
	Message string
	// Since is when it began, UTC; zero if that is not known.
	Since time.Time
	// incomplete tells that only what is fetched apart fails.
	incomplete bool
}

// FailureMisfit is the class of a failure of the read model itself: a difference
// that does not refer to the observation that is here.
const FailureMisfit eve.FailureClass = "misfit"

// Section is a section of a character with its content.
type Section struct {
	CharacterID int64
	SectionState
	// ContentHash identifies the content; empty if there is none yet.
	ContentHash string
	// Value is ESI's own JSON, elements of lists in the order of their keys; nil if
	// there is none yet, or if the section has records only.
	Value json.RawMessage
}

// CharacterCounts are numbers of characters and sections by status.
type CharacterCounts struct {
	Users      int64
	Characters map[CharacterStatus]int64
	// Observed counts the sections that have content, Failing those that cannot
	// be read, by section.
	Observed, Failing map[eve.Section]int64
}

// CharacterReader answers questions about characters as they are now. It is safe
// for concurrent use.
type CharacterReader struct {
	pool *pgxpool.Pool
	live *live.Generations
	// sections are those that characters have, in the order in which they are shown.
	sections []section
	// others remembers which tables of other parts have been seen.
	others sync.Map
}

// NewCharacterReader reads from the database that holds the projection
// [CharactersName] and, if there is one, ingest's own state.
func NewCharacterReader(pool *pgxpool.Pool, generations *live.Generations) *CharacterReader {
	return &CharacterReader{pool: pool, live: generations, sections: sections()}
}

// characterColumns and selectCharacters are formats that take the projection's
// schema.
const characterColumns = `c.character_id, c.name, lower(c.name), c.corporation_id, c.alliance_id, coalesce(c.user_id, ''),
	CASE WHEN c.orphaned THEN 'orphaned' WHEN c.disabled THEN 'disabled' ELSE 'active' END,
	c.registered_at, (SELECT count(*) FROM %[1]s.failures f WHERE f.character_id = c.character_id AND f.failing), coalesce(c.scopes, '{}'), c.log_partition, c.log_offset`

const selectCharacters = `SELECT ` + characterColumns + ` FROM %[1]s.characters c`

func scanCharacter(row pgx.CollectableRow) (Character, error) { return scanCharacterAnd(row) }

// scanCharacterAnd reads [characterColumns] and more columns behind them.
func scanCharacterAnd(row pgx.CollectableRow, more ...any) (Character, error) {
	var c Character
	var since *time.Time
	var o origin
	into := append([]any{&c.CharacterID, &c.Name, &c.folded, &c.CorporationID, &c.AllianceID, &c.UserID, &c.Status, &since, &c.FailingSections, &c.Scopes}, o.columns()...)
	err := row.Scan(append(into, more...)...)
	c.Origin = o.ofCharacter(c.CharacterID)
	if since != nil {
		c.RegisteredAt = since.UTC()
	}
	return c, err
}

// Characters lists characters, at most filter.Limit. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Characters(ctx context.Context, filter CharacterFilter) ([]Character, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	sql, args := charactersSQL(schema, filter)
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("listing characters", err)
	}
	list, err := pgx.CollectRows(rows, scanCharacter)
	if err != nil {
		return nil, queryError("listing characters", err)
	}
	return list, nil
}

func charactersSQL(schema string, filter CharacterFilter) (string, []any) {
	var q conditions
	q.characters(schema, filter)
	_, limit := q.sql(filter.Limit)
	return fmt.Sprintf(selectCharacters, schema) + q.clause() + orderOf(filter) + limit, q.args
}

// clause is the WHERE clause of a query; empty if there is no condition.
func (c *conditions) clause() string {
	if len(c.where) == 0 {
		return ""
	}
	return "\nWHERE " + strings.Join(c.where, " AND ")
}

// byName is the order of names.
const byName = `lower(c.name) COLLATE "C"`

func orderOf(filter CharacterFilter) string {
	if filter.Sort == SortByID {
		return "\nORDER BY c.character_id"
	}
	return "\nORDER BY " + byName + ", c.character_id"
}

// characters takes what the filter says of characters c.
func (c *conditions) characters(schema string, filter CharacterFilter) {
	if filter.Name != "" {
		c.add(`c.name ILIKE ?`, "%"+escapeLike(filter.Name)+"%")
	}
	if filter.NamePrefix != "" {
		c.add(`c.name ILIKE ?`, escapeLike(filter.NamePrefix)+"%")
	}
	if filter.ID != 0 {
		c.add(`c.character_id = ?`, filter.ID)
	}
	if filter.CorporationID != 0 {
		c.add(`c.corporation_id = ?`, filter.CorporationID)
	}
	if filter.AllianceID != 0 {
		c.add(`c.alliance_id = ?`, filter.AllianceID)
	}
	if filter.UserID != "" {
		c.add(`c.user_id = ?`, filter.UserID)
	}
	switch filter.Status {
	case CharacterActive:
		c.add(`NOT c.orphaned AND NOT c.disabled`)
	case CharacterDisabled:
		c.add(`c.disabled AND NOT c.orphaned`)
	case CharacterOrphaned:
		c.add(`c.orphaned`)
	}
	if filter.View != nil {
		c.view(schema, *filter.View)
	}
	switch {
	case filter.After == nil:
	case filter.Sort == SortByID:
		c.add(`c.character_id > ?`, filter.After.ID)
	default:
		c.add(`(`+byName+`, c.character_id) > (?, ?)`, filter.After.Name, filter.After.ID)
	}
}

// escapeLike makes a text a LIKE pattern that matches just that text.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// Character is one character with the state of its sections. It fails with
// [event.CodeNotFound] if there is none of that id.
func (r *CharacterReader) Character(ctx context.Context, id int64) (Character, []SectionState, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return Character{}, nil, err
	}
	c, err := r.character(ctx, schema, id)
	if err != nil {
		return Character{}, nil, err
	}
	if c.Login, err = r.login(ctx, id); err != nil {
		return Character{}, nil, err
	}
	states, err := r.states(ctx, schema, c)
	return c, states, err
}

// login reads how the login of a character stands from ingest's own table.
func (r *CharacterReader) login(ctx context.Context, id int64) (*Login, error) {
	there, err := r.there(ctx, "ingest.token")
	if err != nil || !there {
		return nil, err
	}
	var l Login
	err = r.pool.QueryRow(ctx, `SELECT state = 'parked', parked_reason, registered_at, updated_at FROM ingest.token WHERE character_id = $1`, id).
		Scan(&l.Parked, &l.Reason, &l.RegisteredAt, &l.ChangedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, queryError("reading the login of a character", err)
	}
	l.RegisteredAt, l.ChangedAt = l.RegisteredAt.UTC(), l.ChangedAt.UTC()
	return &l, nil
}

func (r *CharacterReader) character(ctx context.Context, schema string, id int64) (Character, error) {
	rows, err := r.pool.Query(ctx, fmt.Sprintf(selectCharacters, schema)+` WHERE c.character_id = $1`, id)
	if err != nil {
		return Character{}, queryError("reading a character", err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanCharacter)
	if errors.Is(err, pgx.ErrNoRows) {
		return Character{}, NoCharacter(id)
	}
	if err != nil {
		return Character{}, queryError("reading a character", err)
	}
	return c, nil
}

// NoCharacter says that there is no character of an id, with [event.CodeNotFound]:
// also to somebody who may not know whether there is one.
func NoCharacter(id int64) error {
	return event.Errorf(event.CodeNotFound, "there is no character %d: see the list of characters for those that are registered", id)
}

// states reads the state of all sections of a character.
func (r *CharacterReader) states(ctx context.Context, schema string, c Character) ([]SectionState, error) {
	from, err := r.standing(ctx, schema)
	if err != nil {
		return nil, err
	}
	all := r.sections
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s.name)
	}
	rows, err := r.pool.Query(ctx, `SELECT `+stateColumns+`
		FROM (SELECT $1::bigint AS character_id) c CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS n(section, place) `+from+`
		LEFT JOIN LATERAL (`+r.followUps(ctx, "x.character_id = $1 AND x.section = n.section")+`) u ON true
		ORDER BY n.place`, c.CharacterID, names)
	if err != nil {
		return nil, queryError("reading the state of sections", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SectionState, error) { return scanState(row, c.CharacterID) })
	if err != nil {
		return nil, queryError("reading the state of sections", err)
	}
	for i := range states {
		states[i].Status = statusOf(states[i], c, all[i].scope)
	}
	return states, nil
}

// stateColumns are read by [scanState], of what [CharacterReader.standing] joins and of u,
// what is fetched apart.
const stateColumns = `n.section, greatest(s.observed_at, r.observed_at), i.validated_at, i.not_before,
			coalesce(f.failing, false), coalesce(f.class, ''), coalesce(f.status, 0), coalesce(f.message, ''), f.since, m.observed_at,
			coalesce(u.outstanding, 0), coalesce(u.failing, 0), coalesce(u.class, ''), coalesce(u.message, ''), u.due_at,
			coalesce(s.log_partition, r.log_partition), greatest(s.log_offset, r.log_offset)`

func scanState(row pgx.CollectableRow, id int64) (SectionState, error) { return scanStateAnd(row, id) }

// scanStateAnd reads [stateColumns] and more columns behind them.
func scanStateAnd(row pgx.CollectableRow, id int64, more ...any) (SectionState, error) {
	var s SectionState
	var failing bool
	var f, u SectionFailure
	var since, misfit, due *time.Time
	var failingFollowUps int
	var o origin
	into := append([]any{
		&s.Section, &s.ObservedAt, &s.ValidatedAt, &s.NotBefore, &failing, &f.Class, &f.Status, &f.Message, &since, &misfit,
		&s.Outstanding, &failingFollowUps, &u.Class, &u.Message, &due,
	}, o.columns()...)
	err := row.Scan(append(into, more...)...)
	if err != nil {
		return s, err
	}
	s.Origin = o.ofCharacter(id)
	s.ObservedAt, s.ValidatedAt, s.NotBefore = utc(s.ObservedAt), utc(s.ValidatedAt), utc(s.NotBefore)
	switch {
	case failing:
		f.Since = since.UTC()
		s.Failure = &f
	case misfit != nil:
		s.Failure = MisfitSince(*misfit)
	case failingFollowUps > 0:
		u.Message = fmt.Sprintf("%d of what is fetched apart cannot be read: %s", failingFollowUps, u.Message)
		u.incomplete = true
		s.Failure = &u
	}
	return s, nil
}

func statusOf(s SectionState, c Character, scope string) SectionStatus {
	consented := scope == "" || slices.Contains(c.Scopes, scope)
	seen := s.ObservedAt != nil || s.ValidatedAt != nil
	switch {
	case s.Failure != nil && s.Failure.Class == eve.FailureToken && !consented:
		return SectionNotConsented
	case (s.Failure == nil || s.Failure.incomplete) && s.Outstanding > 0:
		return SectionIncomplete
	case s.Failure != nil:
		return SectionFailing
	case seen:
		return SectionOK
	case !consented:
		return SectionNotConsented
	default:
		return SectionNotYet
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// State is a section of a character without its content. It fails with
// [event.CodeNotFound] if there is no such character or section.
func (r *CharacterReader) State(ctx context.Context, id int64, name eve.Section) (Section, error) {
	_, s, err := r.state(ctx, id, name)
	return s, err
}

// state reads the character and the one section that is asked for: to look at all of them
// costs thirty times as much.
func (r *CharacterReader) state(ctx context.Context, id int64, name eve.Section) (string, Section, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return "", Section{}, err
	}
	sql, scope, known, err := r.stateSQL(ctx, schema, name)
	if err != nil {
		return "", Section{}, err
	}
	rows, err := r.pool.Query(ctx, sql, id, string(name))
	if err != nil {
		return "", Section{}, queryError("reading the state of a section", err)
	}
	var c Character
	s, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (SectionState, error) { return scanStateAnd(row, id, &c.Scopes) })
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", Section{}, NoCharacter(id)
	case err != nil:
		return "", Section{}, queryError("reading the state of a section", err)
	case !known:
		return "", Section{}, NoSection(name)
	}
	s.Status = statusOf(s, c, scope)
	return schema, Section{CharacterID: id, SectionState: s}, nil
}

// stateSQL reads what the owner of character $1 has consented to and the state of section
// $2, with the scope that the section needs, and whether there is such a section.
func (r *CharacterReader) stateSQL(ctx context.Context, schema string, name eve.Section) (sql, scope string, known bool, err error) {
	all := r.sections
	if i := slices.IndexFunc(all, func(s section) bool { return s.name == name }); i >= 0 {
		scope, known = all[i].scope, true
	}
	from, err := r.standing(ctx, schema)
	if err != nil {
		return "", "", false, err
	}
	return `SELECT ` + stateColumns + `, coalesce(c.scopes, '{}')
		FROM (SELECT c.character_id, c.scopes, $2::text AS section FROM ` + schema + `.characters c WHERE c.character_id = $1) c
		CROSS JOIN LATERAL (SELECT c.section) n ` + from + `
		LEFT JOIN LATERAL (` + r.followUps(ctx, "x.character_id = $1 AND x.section = $2") + `) u ON true`, scope, known, nil
}

// SectionCount counts the characters whose section has a status.
type SectionCount struct {
	Section    eve.Section
	Status     SectionStatus
	Characters int64
	// OldestValidatedAt is the longest that one of them has not been confirmed;
	// nil if none ever was. UTC.
	OldestValidatedAt *time.Time
	// Outstanding is how much of what is fetched apart is not there yet, of all
	// these characters together.
	Outstanding int64
}

// SectionCounts counts the sections of active characters by status, in the order
// in which sections are shown. It follows the same rules as
// [CharacterReader.Character].
func (r *CharacterReader) SectionCounts(ctx context.Context) ([]SectionCount, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	from, err := r.standing(ctx, schema)
	if err != nil {
		return nil, err
	}
	all := r.sections
	names, scopes := make([]string, len(all)), make([]string, len(all))
	for i, s := range all {
		names[i], scopes[i] = string(s.name), s.scope
	}
	rows, err := r.pool.Query(ctx, `SELECT section, status, count(*), min(validated_at), sum(outstanding) FROM (
			SELECT n.place, n.section, i.validated_at, coalesce(u.outstanding, 0) AS outstanding, CASE
				WHEN f.failing AND f.class = 'token' AND NOT consented THEN 'not_consented'
				WHEN f.failing OR m.section IS NOT NULL THEN 'failing'
				WHEN u.outstanding > 0 THEN 'incomplete'
				WHEN s.observed_at IS NOT NULL OR r.observed_at IS NOT NULL OR i.validated_at IS NOT NULL THEN 'ok'
				WHEN NOT consented THEN 'not_consented'
				ELSE 'not_yet' END AS status
			FROM `+schema+`.characters c
			CROSS JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS n(section, scope, place)
			CROSS JOIN LATERAL (SELECT n.scope = '' OR n.scope = ANY(coalesce(c.scopes, '{}')) AS consented) x `+from+`
			LEFT JOIN (`+r.followUps(ctx, "true")+` GROUP BY x.character_id, x.section) u ON u.character_id = c.character_id AND u.section = n.section
			WHERE NOT c.orphaned AND NOT c.disabled
		) AS each GROUP BY place, section, status ORDER BY place, status`, names, scopes)
	if err != nil {
		return nil, queryError("counting sections", err)
	}
	counts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SectionCount, error) {
		var c SectionCount
		err := row.Scan(&c.Section, &c.Status, &c.Characters, &c.OldestValidatedAt, &c.Outstanding)
		c.OldestValidatedAt = utc(c.OldestValidatedAt)
		return c, err
	})
	if err != nil {
		return nil, queryError("counting sections", err)
	}
	return counts, nil
}

// Counts counts users, characters and sections.
func (r *CharacterReader) Counts(ctx context.Context) (CharacterCounts, error) {
	counts := CharacterCounts{
		Characters: map[CharacterStatus]int64{CharacterActive: 0, CharacterDisabled: 0, CharacterOrphaned: 0},
		Observed:   map[eve.Section]int64{}, Failing: map[eve.Section]int64{},
	}
	for _, s := range r.sections {
		counts.Observed[s.name], counts.Failing[s.name] = 0, 0
	}
	schema, err := r.schema(ctx)
	if err != nil {
		return counts, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT 'users', '', count(*) FROM %[1]s.users
		UNION ALL SELECT 'characters', CASE WHEN orphaned THEN 'orphaned' WHEN disabled THEN 'disabled' ELSE 'active' END, count(*) FROM %[1]s.characters GROUP BY 2
		UNION ALL SELECT 'observed', section, count(*) FROM (SELECT character_id, section FROM %[1]s.sections UNION SELECT character_id, section FROM %[1]s.recorded) o GROUP BY 2
		UNION ALL SELECT 'failing', section, count(*) FROM %[1]s.failures WHERE failing GROUP BY 2`, schema))
	if err != nil {
		return counts, queryError("counting characters", err)
	}
	var what, key string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&what, &key, &n}, func() error {
		switch what {
		case "users":
			counts.Users = n
		case "characters":
			counts.Characters[CharacterStatus(key)] = n
		case "observed":
			counts.Observed[eve.Section(key)] = n
		case "failing":
			counts.Failing[eve.Section(key)] = n
		}
		return nil
	})
	if err != nil {
		return counts, queryError("counting characters", err)
	}
	return counts, nil
}

func (r *CharacterReader) schema(ctx context.Context) (string, error) {
	name, err := r.live.Namespace(ctx, CharactersName)
	if err != nil {
		return "", queryError("finding the characters", err)
	}
	return pgx.Identifier{name}.Sanitize(), nil
}

// standing joins what is known of the sections n.section of the characters
// c.character_id.
func (r *CharacterReader) standing(ctx context.Context, schema string) (string, error) {
	ingest := `(SELECT NULL::bigint AS character_id, NULL::text AS section, NULL::timestamptz AS validated_at, NULL::timestamptz AS not_before WHERE false)`
	there, err := r.there(ctx, "ingest.section_state")
	if err != nil {
		return "", err
	}
	if there {
		ingest = "ingest.section_state"
	}
	// Asked for here, so that followUps need not fail.
	if _, err := r.there(ctx, followUpTable); err != nil {
		return "", err
	}
	return fmt.Sprintf(`
		LEFT JOIN %[1]s.sections s ON s.character_id = c.character_id AND s.section = n.section
		LEFT JOIN %[1]s.recorded r ON r.character_id = c.character_id AND r.section = n.section
		LEFT JOIN %[1]s.failures f ON f.character_id = c.character_id AND f.section = n.section
		LEFT JOIN %[1]s.misfits m ON m.character_id = c.character_id AND m.section = n.section
		LEFT JOIN %[2]s i ON i.character_id = c.character_id AND i.section = n.section`, schema, ingest), nil
}

// followUpTable is ingest's table of what is fetched apart.
const followUpTable = "ingest.follow_up"

// followUps counts what is fetched apart and is outstanding. What is fetched again
// and again, such as the bids of an auction, is not once it has been there.
func (r *CharacterReader) followUps(ctx context.Context, where string) string {
	columns := `NULL::bigint AS character_id, NULL::text AS section`
	if strings.Contains(where, "true") {
		columns = `x.character_id, x.section`
	}
	table := `(SELECT NULL::bigint AS character_id, NULL::text AS section, 0 AS failures, '' AS class, '' AS message, NULL::timestamptz AS due_at, NULL::timestamptz AS fetched_at WHERE false)`
	if there, err := r.there(ctx, followUpTable); err == nil && there {
		table = followUpTable
	}
	return `SELECT ` + columns + `, count(*) FILTER (WHERE x.fetched_at IS NULL OR x.failures > 0) AS outstanding, count(*) FILTER (WHERE x.failures > 0) AS failing,
		coalesce((array_agg(x.class ORDER BY x.failures DESC, x.due_at) FILTER (WHERE x.failures > 0))[1], '') AS class,
		coalesce((array_agg(x.message ORDER BY x.failures DESC, x.due_at) FILTER (WHERE x.failures > 0))[1], '') AS message,
		min(x.due_at) AS due_at FROM ` + table + ` x WHERE ` + where
}

// there tells whether a table of another part of Muster is there. It may come
// later than the first query, and does not go away.
func (r *CharacterReader) there(ctx context.Context, table string) (bool, error) {
	if _, known := r.others.Load(table); known {
		return true, nil
	}
	var known bool
	if err := r.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&known); err != nil {
		return false, queryError("looking for "+table, err)
	}
	if known {
		r.others.Store(table, struct{}{})
	}
	return known, nil
}

// queryError says what was being done. What may pass by itself, such as a
// database that is away or a generation dropped a moment ago, has
// [event.CodeUnavailable].
func queryError(doing string, err error) error {
	if passing(err) {
		return event.Errorf(event.CodeUnavailable, "%s: Postgres cannot answer now: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func passing(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		const noTable, noSchema, shuttingDown, tooMany = "42P01", "3F000", "57", "53"
		return refused.Code == noTable || refused.Code == noSchema ||
			strings.HasPrefix(refused.Code, shuttingDown) || strings.HasPrefix(refused.Code, tooMany)
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*event.Error](err); ok {
		return false
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}
