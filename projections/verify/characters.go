package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Characters is the oracle of the projection of users and characters.
type Characters struct {
	pool  *pgxpool.Pool
	model *eve.Model
	users map[string]access.UserRegistered
	mains map[string]*int64
	lists map[string][]access.ListedCharacter
	// listedSince is when each character came to be on the lists of its user.
	listedSince map[owned]time.Time
	sets        *eve.SkillSets
	roles       *access.Roles
	// granted has the roles that users were granted, or were and have no more.
	granted map[grantOf]bool
	groups  *access.ComplianceGroups
	// members has the compliance groups that users are in, or were and are no more.
	members map[memberOf]bool
	// decided has the events of the organisation's stream that were applied.
	decided map[uuid.UUID]bool
	// looks are looks at data of others, by the ids of their events, and forgotten is
	// when characters were last forgotten.
	looks     map[uuid.UUID]lookedAt
	forgotten map[int64]time.Time
}

// NewCharacters is an oracle for the rows behind pool.
func NewCharacters(pool *pgxpool.Pool) *Characters { return &Characters{pool: pool} }

// Projection implements [Oracle].
func (o *Characters) Projection() string { return "characters" }

// Topics implements [Oracle].
func (o *Characters) Topics() []string { return []string{event.TopicEVE, event.TopicAccess} }

// Begin implements [Oracle].
func (o *Characters) Begin() {
	o.model, o.users, o.mains = eve.NewModel(), map[string]access.UserRegistered{}, map[string]*int64{}
	o.lists, o.listedSince = map[string][]access.ListedCharacter{}, map[owned]time.Time{}
	o.looks, o.forgotten = map[uuid.UUID]lookedAt{}, map[int64]time.Time{}
	o.roles, o.granted = access.NewRoles(), map[grantOf]bool{}
	o.groups, o.members = access.NewComplianceGroups(), map[memberOf]bool{}
	o.sets, o.decided = eve.NewSkillSets(), map[uuid.UUID]bool{}
}

// Apply implements [Oracle].
func (o *Characters) Apply(e event.Recorded, p event.Payload) error {
	switch p := p.(type) {
	case access.UserRegistered:
		o.users[p.UserID] = p
	case access.MainSet:
		o.mains[p.UserID] = p.CharacterID
	case access.CharactersListed:
		o.list(p, e.Time)
	case access.DataViewed:
		o.looks[e.ID] = lookedAt{e.Stream, p}
	case eve.CharacterForgotten:
		o.forgotten[p.CharacterID] = e.Time
	case access.RoleDefined, access.RoleRemoved:
		o.roles.Apply(p)
	case access.RoleGranted:
		o.granted[grantOf{p.UserID, p.RoleID}] = true
	case access.RoleRevoked:
		o.granted[grantOf{p.UserID, p.RoleID}] = false
	case access.GroupDefined, access.GroupRemoved:
		o.groups.Apply(p)
	case access.GroupsGained:
		for _, g := range p.Groups {
			o.members[memberOf{p.UserID, g.GroupID}] = true
		}
	case access.GroupsLost:
		for _, g := range p.Groups {
			o.members[memberOf{p.UserID, g.GroupID}] = false
		}
	}
	if e.Stream == event.Org && !o.decided[e.ID] {
		o.decided[e.ID] = true
		o.sets.Apply(p)
	}
	err := o.model.Apply(e.Event, p)
	if seen, is := p.(eve.SectionObserved); is && seen.Encoding == eve.EncodingDelta && event.CodeOf(err) == event.CodePoisoned {
		// A difference that does not fit leaves the section as it was, here and there.
		return nil
	}
	return err
}

// Expire implements [TombstoneOracle].
func (o *Characters) Expire(e event.Recorded) {
	if e.Topic == event.TopicAccess {
		delete(o.looks, e.ID)
		return
	}
	expire(o.model, e)
}

// list takes a list of a user, told at a moment: what was on the one before has been
// listed for longer.
func (o *Characters) list(p access.CharactersListed, at time.Time) {
	before := o.lists[p.UserID]
	o.lists[p.UserID] = p.Characters
	for _, c := range p.Characters {
		key := owned{p.UserID, c.CharacterID}
		if _, known := o.listedSince[key]; !known {
			o.listedSince[key] = at
		}
	}
	for _, c := range before {
		if !slices.ContainsFunc(p.Characters, func(l access.ListedCharacter) bool { return l.CharacterID == c.CharacterID }) {
			delete(o.listedSince, owned{p.UserID, c.CharacterID})
		}
	}
}

// Compare implements [Oracle].
func (o *Characters) Compare(ctx context.Context, g runner.Generation, at eventlog.Partition, wanted func(event.Stream) bool, r *Report) error {
	c := characterRows{o, pgx.Identifier{g.Namespace}.Sanitize(), at.ID, wanted, r}
	for _, compare := range []func(context.Context) error{c.userRows, c.roleRows, c.grantRows, c.groupRows, c.memberRows, c.listedRows, c.characterRows, c.sectionRows, c.elementRows, c.recordRows, c.listRows, c.failureRows, c.skillSetRows, c.skillSetGroupRows, c.linkRows, c.lookRows} {
		if err := compare(ctx); err != nil {
			return err
		}
	}
	return nil
}

type characterRows struct {
	*Characters
	schema    string
	partition int32
	wanted    func(event.Stream) bool
	report    *Report
}

func (c characterRows) each(ctx context.Context, sql string, into []any, fn func()) error {
	rows, err := c.pool.Query(ctx, strings.ReplaceAll(sql, "{schema}", c.schema), c.partition)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error { fn(); return nil })
	return err
}

// missing reports what the log has and no row shows.
func missing[K comparable](c characterRows, what string, log, seen map[K]bool, stream func(K) event.Stream) {
	for k := range log {
		if !seen[k] {
			c.report.differ(Difference{c.Projection(), string(stream(k)), what, "there", "missing"})
		}
	}
}

func (c characterRows) userRows(ctx context.Context) error {
	var (
		id, name, state, permissions string
		superuser, active            bool
		main                         *int64
	)
	log, seen := map[string]bool{}, map[string]bool{}
	for id := range c.users {
		log[id] = true
	}
	err := c.each(ctx, `SELECT u.user_id, u.name, u.superuser, u.active, u.state, array_to_string(u.permissions, ','), m.character_id
		FROM {schema}.users u LEFT JOIN {schema}.mains m USING (user_id) WHERE u.log_partition = $1`,
		[]any{&id, &name, &superuser, &active, &state, &permissions, &main}, func() {
			stream := event.User(id)
			if !c.wanted(stream) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			u := c.users[id]
			c.report.same(c.Projection(), stream, "user",
				fmt.Sprintln(u.Name, u.Superuser, u.Active, u.State, strings.Join(u.Permissions, ","), text(c.mains[id])),
				fmt.Sprintln(name, superuser, active, state, permissions, text(main)))
		})
	missing(c, "user", log, seen, event.User)
	return err
}

// owned is a character that a user was said to own.
type owned struct {
	user string
	id   int64
}

func (c characterRows) listedRows(ctx context.Context) error {
	var (
		key owned
		row access.ListedCharacter
		// since is as Postgres keeps it, by the microsecond.
		since time.Time
	)
	log, seen := map[owned]bool{}, map[owned]bool{}
	lists := map[owned]access.ListedCharacter{}
	for user, list := range c.lists {
		for _, l := range list {
			log[owned{user, l.CharacterID}], lists[owned{user, l.CharacterID}] = true, l
		}
	}
	stream := func(k owned) event.Stream { return event.User(k.user) }
	err := c.each(ctx, `SELECT user_id, character_id, name, corporation_id, alliance_id, since FROM {schema}.listed WHERE log_partition = $1`,
		[]any{&key.user, &key.id, &row.Name, &row.CorporationID, &row.AllianceID, &since}, func() {
			if !c.wanted(stream(key)) {
				return
			}
			seen[key] = true
			c.report.Rows[c.Projection()]++
			row.CharacterID = key.id
			c.report.same(c.Projection(), stream(key), "character not registered",
				fmt.Sprint(lists[key], c.listedSince[key].UTC().Truncate(time.Microsecond)), fmt.Sprint(row, since.UTC()))
		})
	missing(c, "character not registered", log, seen, stream)
	return err
}

func text(id *int64) string {
	if id == nil {
		return "none"
	}
	return strconv.FormatInt(*id, 10)
}

func (c characterRows) characterRows(ctx context.Context) error {
	var (
		id                 int64
		name, user         string
		hash, scopes       string
		orphaned, disabled bool
		shared             bool
		until              *time.Time
	)
	log, seen := map[int64]bool{}, map[int64]bool{}
	for _, id := range c.model.IDs() {
		if c.model.Character(id).Registered {
			log[id] = true
		}
	}
	err := c.each(ctx, `SELECT v.character_id, v.name, coalesce(v.user_id, ''), coalesce(w.owner_hash, ''), coalesce(array_to_string(w.scopes, ','), ''), v.orphaned, v.disabled, v.shared, v.shared_until
		FROM {schema}.characters v JOIN {schema}.registrations r USING (character_id) LEFT JOIN {schema}.owners w USING (character_id) WHERE r.log_partition = $1`,
		[]any{&id, &name, &user, &hash, &scopes, &orphaned, &disabled, &shared, &until}, func() {
			stream := event.Character(id)
			if !c.wanted(stream) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			ch := c.model.Character(id)
			if ch == nil {
				c.report.differ(Difference{c.Projection(), string(stream), "character", "missing", "there"})
				return
			}
			c.report.same(c.Projection(), stream, "character",
				fmt.Sprintln(ch.Name, ch.UserID, ch.OwnerHash, strings.Join(ch.Scopes, ","), ch.Orphaned, ch.Disabled, ch.Shared(), momentText(ch.SharedUntil)),
				fmt.Sprintln(name, user, hash, scopes, orphaned, disabled, shared, momentText(until)))
		})
	missing(c, "character", log, seen, event.Character)
	return err
}

func (c characterRows) failureRows(ctx context.Context) error {
	var (
		id             int64
		section, class string
	)
	log, seen := map[sectionOf]bool{}, map[sectionOf]bool{}
	for _, id := range c.model.IDs() {
		for _, s := range slices.Collect(maps.Keys(c.model.Character(id).Failing)) {
			log[sectionOf{id, s}] = true
		}
	}
	err := c.each(ctx, `SELECT character_id, section, class FROM {schema}.failures WHERE log_partition = $1 AND failing`,
		[]any{&id, &section, &class}, func() {
			key := sectionOf{id, eve.Section(section)}
			if !c.wanted(key.stream()) {
				return
			}
			seen[key] = true
			c.report.Rows[c.Projection()]++
			want := "none"
			if ch := c.model.Character(id); ch != nil {
				if f, failing := ch.Failing[key.section]; failing {
					want = string(f.Class)
				}
			}
			c.report.same(c.Projection(), key.stream(), "failure of "+section, want, class)
		})
	missing(c, "failure", log, seen, sectionOf.stream)
	return err
}

// skillSetRows compares skill sets with their skills. Levels of 0 are none.
func (c characterRows) skillSetRows(ctx context.Context) error {
	var (
		id                        uuid.UUID
		name, description, skills string
		ship                      int64
		visible                   bool
	)
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id := range c.sets.Sets {
		log[id] = true
	}
	err := c.each(ctx, `SELECT s.skill_set_id, s.name, s.description, coalesce(s.ship_type_id, 0), s.visible,
			(SELECT coalesce(string_agg(format('%s:%s:%s', k.type_id, coalesce(k.required, 0), coalesce(k.recommended, 0)), ' ' ORDER BY k.type_id), '') FROM {schema}.skill_set_skills k WHERE k.skill_set_id = s.skill_set_id)
		FROM {schema}.skill_sets s WHERE s.log_partition = $1`,
		[]any{&id, &name, &description, &ship, &visible, &skills}, func() {
			if !c.wanted(event.Org) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			set := c.sets.Sets[id]
			levels := make([]string, len(set.Skills))
			for i, s := range set.Skills {
				levels[i] = fmt.Sprintf("%d:%d:%d", s.TypeID, int(s.Required), int(s.Recommended))
			}
			c.report.same(c.Projection(), event.Org, "skill set "+id.String(),
				fmt.Sprintln(set.Name, set.Description, set.ShipTypeID, set.Visible, strings.Join(levels, " ")),
				fmt.Sprintln(name, description, ship, visible, skills))
		})
	missing(c, "skill set", log, seen, func(uuid.UUID) event.Stream { return event.Org })
	return err
}

// skillSetGroupRows compares groups with the sets in them.
func (c characterRows) skillSetGroupRows(ctx context.Context) error {
	var (
		id                      uuid.UUID
		name, description, sets string
		doctrine, active        bool
	)
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id := range c.sets.Groups {
		log[id] = true
	}
	err := c.each(ctx, `SELECT g.skill_set_group_id, g.name, g.description, g.doctrine, g.active,
			(SELECT coalesce(string_agg(m.skill_set_id::text, ' ' ORDER BY m.skill_set_id), '') FROM {schema}.skill_set_memberships m WHERE m.skill_set_group_id = g.skill_set_group_id)
		FROM {schema}.skill_set_groups g WHERE g.log_partition = $1`,
		[]any{&id, &name, &description, &doctrine, &active, &sets}, func() {
			if !c.wanted(event.Org) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			group := c.sets.Groups[id]
			members := make([]string, len(group.SkillSetIDs))
			for i, set := range group.SkillSetIDs {
				members[i] = set.String()
			}
			c.report.same(c.Projection(), event.Org, "skill set group "+id.String(),
				fmt.Sprintln(group.Name, group.Description, group.Doctrine, group.Active, strings.Join(members, " ")),
				fmt.Sprintln(name, description, doctrine, active, sets))
		})
	missing(c, "skill set group", log, seen, func(uuid.UUID) event.Stream { return event.Org })
	return err
}
