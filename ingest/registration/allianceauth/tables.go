package allianceauth

import (
	"errors"
	"fmt"

	"github.com/muster-sync/muster/domain/eve"
)

// tables are what was read of a dump, before anything is made of it: only what counts,
// so that a large organisation takes little.
type tables struct {
	// seen has the file in which each table is.
	seen    map[string]string
	leftOut []LeftOut

	users    map[int64]user
	profiles map[int64]profile
	// groups has the names of groups; empty if the dump does not name them.
	groups      map[int64]string
	states      map[int64]string
	permissions map[int64]permission
	apps        map[int64]string

	userGroups, userPermissions, groupPermissions, statePermissions links

	// designations are groups by the numbers of their designations, groupStates the
	// states that groups are open to.
	designations map[int64]int64
	groupStates  links

	owned      map[int64]ownership
	ofOwner    map[int64]int64 // ownership by character
	characters map[int64]character
	members    []member

	sets      map[int64]*skillSet
	setGroups map[int64]SkillSetGroup
	skills    []skill
	groupSets links

	tokens      []token
	scopes      map[int64]string
	tokenScopes links
}

type (
	user struct {
		name              string
		superuser, active bool
	}
	profile struct {
		id, main, state int64
	}
	permission struct {
		codename string
		app      int64
	}
	ownership struct {
		character, user int64
		hash            string
	}
	character struct {
		id, corporation, alliance int64
		name                      string
	}
	// member is a character of Member Audit: of an ownership until 2.0, of a character
	// of EVE since.
	member struct {
		name                 string
		ownership, character int64
		shared, disabled     bool
	}
	skillSet struct {
		eve.SkillSet

		// broken is why the set cannot be taken; empty if it can.
		broken string
	}
	skill struct {
		set int64
		eve.SetSkill
	}
	token struct {
		id, character int64
		hash, refresh string
	}
)

func newTables() *tables {
	return &tables{
		seen: map[string]string{}, users: map[int64]user{}, profiles: map[int64]profile{}, groups: map[int64]string{}, states: map[int64]string{},
		permissions: map[int64]permission{}, apps: map[int64]string{},
		designations: map[int64]int64{}, groupStates: links{},
		userGroups: links{}, userPermissions: links{}, groupPermissions: links{}, statePermissions: links{},
		owned: map[int64]ownership{}, ofOwner: map[int64]int64{}, characters: map[int64]character{},
		sets: map[int64]*skillSet{}, setGroups: map[int64]SkillSetGroup{}, groupSets: links{}, scopes: map[int64]string{}, tokenScopes: links{},
	}
}

func (t *tables) leaveOut(table, row, reason string) {
	t.leftOut = append(t.leftOut, LeftOut{Table: table, Row: row, Reason: reason})
}

var errTwice = errors.New("it is there twice")

// once keeps what a row says under its id, unless there is something under it already.
func once[T any](kept map[int64]T, id int64, v T, err error) error {
	if err != nil {
		return err
	}
	if _, there := kept[id]; there {
		return errTwice
	}
	kept[id] = v
	return nil
}

// fields reads the columns of a row and keeps the first thing that is wrong.
type fields struct {
	row

	err error
}

func (f *fields) note(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) id(column string) int64 {
	n, err := f.row.id(column)
	f.note(err)
	return n
}

func (f *fields) optional(column string) int64 {
	n, err := f.row.optional(column)
	f.note(err)
	return n
}

func (f *fields) flag(column string) bool {
	b, err := f.row.flag(column)
	f.note(err)
	return b
}

func (f *fields) text(column string) string {
	s, err := f.row.text(column)
	f.note(err)
	return s
}

func (f *fields) word(column string) string {
	s, err := f.row.word(column)
	f.note(err)
	return s
}

func (t *tables) takeUser(r row) error {
	f := &fields{row: r}
	id, v := f.id(idColumn), user{name: f.word("username"), superuser: f.flag("is_superuser"), active: f.flag("is_active")}
	return once(t.users, id, v, f.err)
}

func (t *tables) takeGroup(r row) error {
	f := &fields{row: r}
	id, name := f.id(idColumn), ""
	if r.has("name") {
		name = f.text("name")
	}
	return once(t.groups, id, name, f.err)
}

func (t *tables) takeState(r row) error {
	f := &fields{row: r}
	id, name := f.id(idColumn), f.word("name")
	return once(t.states, id, name, f.err)
}

func (t *tables) takePermission(r row) error {
	f := &fields{row: r}
	id, v := f.id(idColumn), permission{codename: f.word("codename"), app: f.id("content_type_id")}
	return once(t.permissions, id, v, f.err)
}

func (t *tables) takeContentType(r row) error {
	f := &fields{row: r}
	id, app := f.id(idColumn), f.word("app_label")
	return once(t.apps, id, app, f.err)
}

func (t *tables) takeProfile(r row) error {
	f := &fields{row: r}
	// It is kept by its user: profiles have numbers of their own, and Member Audit 1.9.4
	// has taken one for the other.
	of, v := f.id("user_id"), profile{id: f.id(idColumn), main: f.optional("main_character_id"), state: f.id("state_id")}
	return once(t.profiles, of, v, f.err)
}

func (t *tables) takeOwnership(r row) error {
	f := &fields{row: r}
	id, v := f.id(idColumn), ownership{character: f.id("character_id"), user: f.id("user_id"), hash: f.word("owner_hash")}
	if f.err != nil {
		return f.err
	}
	if other, there := t.ofOwner[v.character]; there {
		return fmt.Errorf("its character is owned already, by ownership %d", other)
	}
	if err := once(t.owned, id, v, nil); err != nil {
		return err
	}
	t.ofOwner[v.character] = id
	return nil
}

func (t *tables) takeEveCharacter(r row) error {
	f := &fields{row: r}
	id := f.id(idColumn)
	v := character{id: f.id("character_id"), name: f.word("character_name"), corporation: f.id("corporation_id"), alliance: f.optional("alliance_id")}
	return once(t.characters, id, v, f.err)
}

func (t *tables) takeMember(r row) error {
	f := &fields{row: r}
	m := member{name: r.name(), shared: f.flag("is_shared")}
	if r.has("is_disabled") {
		m.disabled = f.flag("is_disabled")
	}
	switch {
	case r.has("eve_character_id"):
		m.character = f.id("eve_character_id")
	case r.has("character_ownership_id"):
		m.ownership = f.id("character_ownership_id")
		m.name = fmt.Sprintf("character_ownership_id %d", m.ownership)
	default:
		m.ownership = f.id(idColumn)
	}
	if f.err == nil {
		t.members = append(t.members, m)
	}
	return f.err
}

func (t *tables) takeSkillSet(r row) error {
	f := &fields{row: r}
	id := f.id(idColumn)
	v := &skillSet{SkillSet: eve.SkillSet{Name: f.word("name"), Description: f.text("description"), ShipTypeID: f.optional("ship_type_id"), Visible: f.flag("is_visible")}}
	return once(t.sets, id, v, f.err)
}

func (t *tables) takeSkillSetGroup(r row) error {
	f := &fields{row: r}
	id := f.id(idColumn)
	v := SkillSetGroup{Name: f.word("name"), Description: f.text("description"), Doctrine: f.flag("is_doctrine"), Active: f.flag("is_active")}
	return once(t.setGroups, id, v, f.err)
}

func (t *tables) takeSkill(r row) error {
	f := &fields{row: r}
	s := skill{set: f.id("skill_set_id"), SetSkill: eve.SetSkill{TypeID: f.id("eve_type_id")}}
	s.Required, s.Recommended = f.level("required_level"), f.level("recommended_level")
	t.skills = append(t.skills, s)
	if f.err != nil && s.set != 0 {
		// A set without one of its skills would be passed by some who should not.
		t.skills[len(t.skills)-1].TypeID = 0
	}
	return f.err
}

// level is a level of a skill; 0 for none.
func (f *fields) level(column string) eve.SkillLevel {
	n := f.optional(column)
	if n > eve.MaxSkillLevel {
		f.note(f.wrong(column, fmt.Sprintf("is no level: they go from 1 to %d", eve.MaxSkillLevel)))
	}
	return eve.SkillLevel(n)
}

func (t *tables) takeToken(r row) error {
	f := &fields{row: r}
	v := token{id: f.id(idColumn), character: f.id("character_id"), hash: f.text("character_owner_hash"), refresh: f.text("refresh_token")}
	// Without a refresh token it was for one moment only.
	if f.err == nil && v.refresh != "" {
		t.tokens = append(t.tokens, v)
	}
	return f.err
}

func (t *tables) takeScope(r row) error {
	f := &fields{row: r}
	id, name := f.id(idColumn), f.word("name")
	return once(t.scopes, id, name, f.err)
}
