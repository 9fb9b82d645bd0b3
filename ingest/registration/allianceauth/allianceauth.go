// Package allianceauth reads what an Alliance Auth with Member Audit holds, from a dump
// of its tables: users, mains, ownership, permissions, registered and shared characters,
// compliance groups, and skill sets. Both versions of Member Audit's tables are read, that of 1.9.4, where
// a character is one of an ownership, and that of 2.0 to 5.1, where it is one of EVE.
//
// It guesses nothing: a row that breaks a rule or refers to what is not there is left
// out and listed with its reason, and a table that is missing is named, with how to dump
// it.
package allianceauth

import (
	"cmp"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// app is the application whose permissions are taken over.
const app = "memberaudit"

// UserPrefix stands before the number of a user of Alliance Auth in his id, so that he
// is the same user whenever a dump is imported again.
const UserPrefix = "aa-"

// Import is what a dump comes to.
type Import struct {
	// Organisation has users by their numbers and characters by their ids. Permissions
	// are those of Member Audit, without its name, in order and each once.
	Organisation access.Organisation
	// SkillSets and Groups are by name.
	SkillSets []eve.SkillSet
	Groups    []SkillSetGroup
	// ComplianceGroups are by name. What they give is not among the permissions of their
	// members.
	ComplianceGroups []ComplianceGroup
	// Disabled are the registered and owned characters that Member Audit (2.5) does not
	// update, by their ids.
	Disabled []int64
	// LeftOut is what was not taken over, in the order in which it was found.
	LeftOut []LeftOut
}

// SkillSetGroup is a group of skill sets. Its sets have no ids in Muster yet, so they
// are named.
type SkillSetGroup struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Doctrine    bool     `json:"doctrine"`
	Active      bool     `json:"active"`
	Sets        []string `json:"skill_sets"`
}

// LeftOut is a row of a table that was not taken over, wholly or in part, and why.
type LeftOut struct {
	Table string `json:"table"`
	// Row names it by its ids, such as "id 12".
	Row    string `json:"row"`
	Reason string `json:"reason"`
}

// Options say what else is read.
type Options struct {
	// Tokens is a folder with django-esi's tables of logins; nil leaves logins out. It
	// may be the folder of the dump.
	Tokens fs.FS
}

// Read reads the files of a folder: Django's `dumpdata` (any .json), and for each table
// a TABLE.csv with a header, a TABLE.tsv as `mysql --batch` writes it, or a TABLE.txt and
// its TABLE.sql as `mysqldump --tab` writes them. Other files, tables and columns are not
// looked at. One record at a time is held, besides what is taken of it.
//
// It fails with [event.CodeInvalid] if a file cannot be read or a table is missing. What
// it reports of logins never repeats their values.
func Read(dump fs.FS, opts Options) (Import, error) {
	t := newTables()
	if err := t.read(dump, append(organisationSources(), skillSources()...)); err != nil {
		return Import{}, err
	}
	if opts.Tokens != nil {
		if err := t.read(opts.Tokens, tokenSources()); err != nil {
			return Import{}, err
		}
	}
	if err := t.complete(opts.Tokens != nil); err != nil {
		return Import{}, err
	}
	b := &builder{tables: t, userIDs: map[int64]string{}, designated: map[int64]bool{}}
	b.users()
	b.characterList()
	if opts.Tokens != nil {
		b.logins()
	}
	b.skillSets()
	b.groups()
	b.result.LeftOut = t.leftOut
	return b.result, nil
}

// complete fails if a table is missing that something refers to.
func (t *tables) complete(tokens bool) error {
	needed := []string{tableUser, tableProfile, tableState, tableOwnership, tableEveCharacter, tableMember, tableUserGroups, tableUserPermissions, tableStatePermissions}
	if len(t.userGroups) > 0 {
		needed = append(needed, tableGroup, tableGroupPermissions)
	}
	if len(t.designations) > 0 {
		needed = append(needed, tableGroup, tableGroupPermissions, tableGroupStates)
	}
	if len(t.userPermissions)+len(t.groupPermissions)+len(t.statePermissions) > 0 {
		needed = append(needed, tablePermission, tableContentType)
	}
	if len(t.sets) > 0 {
		needed = append(needed, tableSkillSetSkill)
	}
	if len(t.setGroups) > 0 {
		needed = append(needed, tableSkillSet, tableSkillSetGroupPairs)
	}
	if tokens {
		needed = append(needed, tableToken, tableTokenScopes)
	}
	if len(t.tokenScopes) > 0 {
		needed = append(needed, tableScope)
	}
	var missing []string
	for _, s := range sources() {
		if _, there := t.seen[s.table]; !there && slices.Contains(needed, s.table) {
			missing = append(missing, "\n  "+howToDump(s))
		}
	}
	if missing == nil {
		return nil
	}
	return event.Errorf(event.CodeInvalid, "the dump is not whole, there is no file with:%s", strings.Join(missing, ""))
}

// builder makes an organisation of tables.
type builder struct {
	*tables

	result Import
	// userIDs are the users that are taken over, by their numbers.
	userIDs map[int64]string
	// designated are the groups that are taken over as compliance groups.
	designated map[int64]bool
}

// skip leaves a row out that is called by its id.
func (b *builder) skip(table string, id int64, reason string) {
	b.leaveOut(table, "id "+strconv.FormatInt(id, 10), reason)
}

func sorted[T any](m map[int64]T) []int64 { return slices.Sorted(maps.Keys(m)) }

func (b *builder) users() {
	known := b.memberAuditPermissions()
	b.complianceGroups(known)
	inherited := func(permissions links, of int64, names map[string]bool) {
		for _, p := range permissions[of] {
			if name := known[p]; name != "" {
				names[name] = true
			}
		}
	}
	for _, of := range sorted(b.userGroups) {
		for _, group := range b.userGroups[of] {
			if _, there := b.tables.groups[group]; !there {
				b.leaveOut(tableUserGroups, "user_id "+strconv.FormatInt(of, 10)+", group_id "+strconv.FormatInt(group, 10), "there is no such group in "+tableGroup)
			}
		}
	}
	for _, number := range sorted(b.tables.users) {
		u := b.tables.users[number]
		p, there := b.profiles[number]
		if !there {
			b.skip(tableUser, number, "it has no row in "+tableProfile+", so its state is not known")
			continue
		}
		state, there := b.states[p.state]
		if !there {
			b.skip(tableUser, number, "its state "+strconv.FormatInt(p.state, 10)+" is not in "+tableState)
			continue
		}
		names := map[string]bool{}
		inherited(b.userPermissions, number, names)
		inherited(b.statePermissions, p.state, names)
		for _, group := range b.userGroups[number] {
			given := map[string]bool{}
			inherited(b.groupPermissions, group, given)
			for name := range given {
				// What a compliance group gives is had through it, and lost with it.
				if !b.designated[group] || name == string(access.BasicAccess) {
					names[name] = true
				}
			}
		}
		id := UserPrefix + strconv.FormatInt(number, 10)
		b.userIDs[number] = id
		b.result.Organisation.Users = append(b.result.Organisation.Users, access.OrganisationUser{
			ID: id, Name: u.name, Superuser: u.superuser, Active: u.active, State: state,
			Permissions: append([]string{}, slices.Sorted(maps.Keys(names))...), Characters: []int64{},
		})
	}
	for _, of := range sorted(b.profiles) {
		if _, there := b.tables.users[of]; !there {
			b.skip(tableProfile, b.profiles[of].id, "its user "+strconv.FormatInt(of, 10)+" is not in "+tableUser)
		}
	}
}

// memberAuditPermissions are the names of Member Audit's permissions by their numbers.
// One that somebody was given and Muster does not have is left out.
func (b *builder) memberAuditPermissions() map[int64]string {
	given := map[int64]bool{}
	for _, l := range []links{b.userPermissions, b.groupPermissions, b.statePermissions} {
		for _, list := range l {
			for _, p := range list {
				given[p] = true
			}
		}
	}
	known := map[int64]string{}
	for _, number := range sorted(given) {
		p, there := b.permissions[number]
		if !there {
			b.skip(tablePermission, number, "somebody was given it, and it is not there")
			continue
		}
		label, there := b.apps[p.app]
		switch {
		case !there:
			b.skip(tablePermission, number, "its content type "+strconv.FormatInt(p.app, 10)+" is not in "+tableContentType+", so its application is not known")
		case label != app:
			// Of another application.
		case slices.Contains(access.Permissions(), access.Permission(p.codename)):
			known[number] = p.codename
		default:
			b.skip(tablePermission, number, "Muster has no permission "+cut(p.codename)+": it gives nothing")
		}
	}
	return known
}

// characterList lists the characters that are owned or registered.
func (b *builder) characterList() {
	byEve := map[int64]int64{}
	for _, number := range sorted(b.characters) {
		c := b.characters[number]
		if other, there := byEve[c.id]; there {
			b.skip(tableEveCharacter, number, "it is the same character as id "+strconv.FormatInt(other, 10))
			delete(b.characters, number)
			continue
		}
		byEve[c.id] = number
	}
	members := b.registered()
	index := map[string]int{}
	for i, u := range b.result.Organisation.Users {
		index[u.ID] = i
	}
	list := &b.result.Organisation.Characters
	for _, number := range sorted(b.owned) {
		o := b.owned[number]
		c, there := b.characters[o.character]
		owner, taken := b.userIDs[o.user]
		switch {
		case !there:
			b.skip(tableOwnership, number, "its character "+strconv.FormatInt(o.character, 10)+" is not in "+tableEveCharacter)
			continue
		case !taken:
			b.skip(tableOwnership, number, "its user "+strconv.FormatInt(o.user, 10)+" is not in "+tableUser+", or was left out")
			continue
		}
		m, registered := members[o.character]
		one := c.in()
		one.Registered, one.Shared, one.Owner, one.OwnerHash = registered, m.shared, &owner, o.hash
		*list = append(*list, one)
		if m.disabled {
			b.result.Disabled = append(b.result.Disabled, c.id)
		}
		u := &b.result.Organisation.Users[index[owner]]
		u.Characters = append(u.Characters, c.id)
		if b.profiles[o.user].main == o.character {
			u.Main = &one.ID
		}
	}
	for _, number := range sorted(members) {
		if _, owned := b.ofOwner[number]; owned {
			continue
		}
		// Member Audit keeps it without an owner since 2.0.
		m, c := members[number], b.characters[number]
		if m.shared {
			b.leaveOut(tableMember, m.name, "it is shared, and there is nobody who shares it: it is taken over as not shared")
		}
		one := c.in()
		one.Registered = true
		*list = append(*list, one)
	}
	slices.SortFunc(*list, func(a, b access.OrganisationCharacter) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(b.result.Disabled)
	b.mains()
}

func (c character) in() access.OrganisationCharacter {
	one := access.OrganisationCharacter{ID: c.id, Name: c.name, CorporationID: c.corporation}
	if c.alliance != 0 {
		one.AllianceID = &c.alliance
	}
	return one
}

// mains tells of mains that are not owned, and orders what users own.
func (b *builder) mains() {
	for i := range b.result.Organisation.Users {
		u := &b.result.Organisation.Users[i]
		slices.Sort(u.Characters)
		number, _ := strconv.ParseInt(strings.TrimPrefix(u.ID, UserPrefix), 10, 64)
		if p := b.profiles[number]; p.main != 0 && u.Main == nil {
			b.skip(tableProfile, p.id, "its main character "+strconv.FormatInt(p.main, 10)+" is not owned by its user: the user is taken over without a main")
		}
	}
}

// registered are the characters that are registered with Member Audit, by their
// numbers.
func (b *builder) registered() map[int64]member {
	members := map[int64]member{}
	for _, m := range b.members {
		if m.character == 0 {
			o, there := b.owned[m.ownership]
			if !there {
				b.leaveOut(tableMember, m.name, "its ownership is not in "+tableOwnership)
				continue
			}
			m.character = o.character
		}
		if _, there := b.characters[m.character]; !there {
			b.leaveOut(tableMember, m.name, "its character "+strconv.FormatInt(m.character, 10)+" is not in "+tableEveCharacter)
			continue
		}
		if _, twice := members[m.character]; twice {
			b.leaveOut(tableMember, m.name, "its character is registered twice")
			continue
		}
		members[m.character] = m
	}
	return members
}

// logins gives each registered character that is owned the login of its owner with the
// most scopes, of equal ones the newest.
func (b *builder) logins() {
	type key struct {
		character int64
		hash      string
	}
	best := map[key]token{}
	for _, t := range b.tokens {
		k := key{t.character, t.hash}
		other, there := best[k]
		if !there || cmp.Or(cmp.Compare(len(b.tokenScopes[t.id]), len(b.tokenScopes[other.id])), cmp.Compare(t.id, other.id)) > 0 {
			best[k] = t
		}
	}
	// Logins have one of a few lists of scopes, which are kept once each.
	lists := map[string][]string{}
	for i := range b.result.Organisation.Characters {
		c := &b.result.Organisation.Characters[i]
		if !c.Registered || c.Owner == nil {
			continue
		}
		t, there := best[key{c.ID, c.OwnerHash}]
		if !there {
			b.leaveOut(tableToken, "character_id "+strconv.FormatInt(c.ID, 10), "there is no login of its present owner that can be renewed: he has to register it again")
			continue
		}
		c.RefreshToken = t.refresh
		scopes := []string{}
		for _, scope := range b.tokenScopes[t.id] {
			if name := b.scopes[scope]; name != "" {
				scopes = append(scopes, name)
			}
		}
		slices.Sort(scopes)
		all := strings.Join(scopes, " ")
		if _, there := lists[all]; !there {
			lists[all] = scopes
		}
		c.Scopes = lists[all]
	}
}

func (b *builder) skillSets() {
	for _, s := range b.skills {
		set, there := b.sets[s.set]
		switch {
		case !there:
			b.leaveOut(tableSkillSetSkill, "skill_set_id "+strconv.FormatInt(s.set, 10), "there is no such set, or it was left out")
		case s.TypeID == 0:
			set.broken = "one of its skills was left out"
		default:
			set.Skills = append(set.Skills, s.SetSkill)
		}
	}
	names := map[string]int64{}
	for _, number := range sorted(b.sets) {
		set := b.sets[number]
		set.Normalise()
		other, twice := names[strings.ToLower(set.Name)]
		switch err := set.Validate(); {
		case set.broken != "":
		case err != nil:
			set.broken = strings.ReplaceAll(err.Error(), "\n", "; ")
		case twice:
			set.broken = "its name is that of id " + strconv.FormatInt(other, 10) + ": names are unique without regard to case"
		}
		if set.broken != "" {
			b.skip(tableSkillSet, number, set.broken)
			continue
		}
		names[strings.ToLower(set.Name)] = number
		b.result.SkillSets = append(b.result.SkillSets, set.SkillSet)
	}
	slices.SortFunc(b.result.SkillSets, func(a, b eve.SkillSet) int { return cmp.Compare(a.Name, b.Name) })
}

func (b *builder) groups() {
	names := map[string]int64{}
	for _, number := range sorted(b.setGroups) {
		g := b.setGroups[number]
		g.Sets = []string{}
		checked := eve.SkillSetGroup{Name: g.Name, Description: g.Description}
		checked.Normalise()
		g.Name, g.Description = checked.Name, checked.Description
		if err := checked.Validate(); err != nil {
			b.skip(tableSkillSetGroup, number, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		if other, twice := names[strings.ToLower(g.Name)]; twice {
			b.skip(tableSkillSetGroup, number, "its name is that of id "+strconv.FormatInt(other, 10)+": names are unique without regard to case")
			continue
		}
		names[strings.ToLower(g.Name)] = number
		for _, of := range b.groupSets[number] {
			if set, there := b.sets[of]; there && set.broken == "" {
				g.Sets = append(g.Sets, set.Name)
				continue
			}
			b.leaveOut(tableSkillSetGroupPairs, "skillsetgroup_id "+strconv.FormatInt(number, 10)+", skillset_id "+strconv.FormatInt(of, 10), "the set is not there, or was left out")
		}
		slices.Sort(g.Sets)
		b.result.Groups = append(b.result.Groups, g)
	}
	slices.SortFunc(b.result.Groups, func(a, b SkillSetGroup) int { return cmp.Compare(a.Name, b.Name) })
}
