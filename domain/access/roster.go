package access

import (
	"maps"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// StateGuest is the state of users whom reports leave out.
const StateGuest = "Guest"

// Roster answers who may see what of an organisation. The rules are those of Member
// Audit 1.9.4 without its defects. It does not change and is safe for concurrent
// use.
//
// Making one takes time in proportion to the organisation, and an answer in
// proportion to what it lists: nobody's characters are looked at to find that they
// are out of scope.
type Roster struct {
	users      map[string]*member
	characters map[int64]*figure
	// ids are those of all users, in byte order.
	ids []string
	// registered are the ids of the registered characters, orphans those of them
	// that nobody owns, and shared those that their owners share and may share.
	// Ascending.
	registered, orphans, shared []int64
	// inCorporation and inAlliance are the users by where their mains are.
	inCorporation, inAlliance map[int64][]*member
}

// member is a user with what is his.
type member struct {
	Grants

	id    string
	guest bool
	main  *int64
	home  Home
	// registered and unregistered are what he owns. Ascending.
	registered, unregistered []int64
}

// figure is what the rules ask of a character.
type figure struct {
	registered, shared bool
	owner              *member
}

// NewRoster makes the roster of an organisation. What breaks its rules (see
// [ReadOrganisation]) gives nobody more: a main that is not among the characters is
// nowhere, and a character whose owner is not among the users is nobody's, without
// being an orphan. A sharing that ends some time gives nothing: whether it has ended
// is for [NewRosterAt] to say.
func NewRoster(org Organisation) *Roster { return newRoster(org, nil) }

// NewRosterAt is [NewRoster] as of a moment: a sharing holds until the moment at which
// it ends, and no longer.
func NewRosterAt(org Organisation, at time.Time) *Roster { return newRoster(org, &at) }

func newRoster(org Organisation, at *time.Time) *Roster {
	r := &Roster{
		users: make(map[string]*member, len(org.Users)), characters: make(map[int64]*figure, len(org.Characters)),
		inCorporation: map[int64][]*member{}, inAlliance: map[int64][]*member{},
		ids: []string{}, registered: []int64{}, orphans: []int64{}, shared: []int64{},
	}
	homes := make(map[int64]Home, len(org.Characters))
	for _, u := range org.Users {
		r.users[u.ID] = &member{
			Grants: Grants{Superuser: u.Superuser, Active: u.Active, Permissions: u.Permissions},
			id:     u.ID, guest: u.State == StateGuest, main: u.Main,
		}
	}
	for _, c := range org.Characters {
		home := Home{CorporationID: c.CorporationID}
		if c.AllianceID != nil {
			home.AllianceID = *c.AllianceID
		}
		homes[c.ID] = home
		r.add(c, at)
	}
	slices.Sort(r.registered)
	slices.Sort(r.orphans)
	slices.Sort(r.shared)
	r.ids = slices.AppendSeq(r.ids, maps.Keys(r.users))
	slices.Sort(r.ids)
	for _, id := range r.ids {
		m := r.users[id]
		slices.Sort(m.registered)
		slices.Sort(m.unregistered)
		if m.main == nil {
			continue
		}
		m.home = homes[*m.main]
		if m.home.CorporationID != 0 {
			r.inCorporation[m.home.CorporationID] = append(r.inCorporation[m.home.CorporationID], m)
		}
		if m.home.AllianceID != 0 {
			r.inAlliance[m.home.AllianceID] = append(r.inAlliance[m.home.AllianceID], m)
		}
	}
	return r
}

func (r *Roster) add(c OrganisationCharacter, at *time.Time) {
	f := &figure{registered: c.Registered, shared: c.Shared && (c.SharedUntil == nil || at != nil && at.Before(*c.SharedUntil))}
	r.characters[c.ID] = f
	if c.Owner != nil {
		f.owner = r.users[*c.Owner]
	}
	if c.Registered {
		r.registered = append(r.registered, c.ID)
		if c.Owner == nil {
			r.orphans = append(r.orphans, c.ID)
		}
	}
	if f.owner == nil {
		return
	}
	if !c.Registered {
		f.owner.unregistered = append(f.owner.unregistered, c.ID)
		return
	}
	f.owner.registered = append(f.owner.registered, c.ID)
	if f.lent() {
		r.shared = append(r.shared, c.ID)
	}
}

// lent tells whether others may open the character because it is shared: its owner
// must be allowed to share it still. (Member Audit 5.x does not ask in its finder.)
func (f *figure) lent() bool {
	return f.registered && f.shared && f.owner != nil && f.owner.Holds(ShareCharacters)
}

// Users are the ids of all users, in byte order.
func (r *Roster) Users() []string { return slices.Clone(r.ids) }

// Orphans are the ids of the registered characters that nobody owns, ascending.
func (r *Roster) Orphans() []int64 { return slices.Clone(r.orphans) }

// Grants are what a user was given; nothing for somebody unknown.
func (r *Roster) Grants(user string) Grants { return r.member(user).Grants }

// member is a user; somebody unknown has nothing and may do nothing.
func (r *Roster) member(user string) *member {
	if m, known := r.users[user]; known {
		return m
	}
	return &member{id: user}
}

// Viewer lists the ids of the characters that a user may open, ascending.
func (r *Roster) Viewer(user string) []int64 {
	m := r.member(user)
	return r.open(ViewOf(user, m.Grants, m.home))
}

// Finder lists the ids of the characters that the finder shows to a user, ascending.
func (r *Roster) Finder(user string) []int64 {
	m := r.member(user)
	return r.open(FinderViewOf(user, m.Grants, m.home))
}

func (r *Roster) open(v View) []int64 {
	if v.Everything {
		return slices.Clone(r.registered)
	}
	found := []int64{}
	found = append(found, r.member(v.Owner).registered...)
	for _, m := range r.within(v.Scope) {
		found = append(found, m.registered...)
	}
	if v.Shared {
		found = append(found, r.shared...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// within are the users of a scope, in byte order of their ids.
func (r *Roster) within(s Scope) []*member {
	if s.AllianceID != 0 {
		return r.inAlliance[s.AllianceID]
	}
	return r.inCorporation[s.CorporationID]
}

// MayOpen tells whether a user may open a character: whether it is among
// [Roster.Viewer], without listing them.
func (r *Roster) MayOpen(user string, character int64) bool {
	f, known := r.characters[character]
	if !known || !f.registered {
		return false
	}
	m := r.member(user)
	subject := Subject{Shared: f.lent()}
	if f.owner != nil {
		subject.Owner, subject.Home = f.owner.id, f.owner.home
	}
	return ViewOf(user, m.Grants, m.home).Way(subject) != ""
}

// AccessibleUsers lists the ids of the users whom reports may show to a user, guests
// among them, in byte order.
func (r *Roster) AccessibleUsers(user string) []string {
	m := r.member(user)
	found := []string{}
	a := AudienceOf(user, m.Grants, m.home)
	if a.Everybody {
		return r.Everybody()
	}
	if a.User != "" {
		return append(found, a.User)
	}
	for _, other := range r.within(a.Scope) {
		if other.Holds(BasicAccess) {
			found = append(found, other.id)
		}
	}
	return found
}

// Everybody lists the ids of all users who hold [BasicAccess], in byte order: whom
// reports show to one who sees everything.
func (r *Roster) Everybody() []string {
	found := []string{}
	for _, id := range r.ids {
		if r.users[id].Holds(BasicAccess) {
			found = append(found, id)
		}
	}
	return found
}

// ReportUsers lists the ids of the users that reports show to a user: the accessible
// ones without guests, in byte order.
func (r *Roster) ReportUsers(user string) []string {
	return slices.DeleteFunc(r.AccessibleUsers(user), func(id string) bool { return r.member(id).guest })
}

// ReportCharacters lists the ids of the registered characters of [Roster.ReportUsers],
// ascending. The report of skill sets shows these. (Member Audit shows those of all
// users since 1.11.)
func (r *Roster) ReportCharacters(user string) []int64 {
	found := []int64{}
	for _, id := range r.ReportUsers(user) {
		found = append(found, r.member(id).registered...)
	}
	slices.Sort(found)
	return found
}

// OwnerAction is something that only the owner of a character may do with it; to be
// a superuser does not help.
type OwnerAction string

// What owners do.
const (
	OwnerShares   OwnerAction = "share"
	OwnerUnshares OwnerAction = "unshare"
	OwnerRemoves  OwnerAction = "remove"
)

// CheckOwner tells whether a user may do with a character what is for its owner: nil
// if he may. Else the error has [event.CodeNotFound] for a character that is not
// registered or that he may not open, so that it does not tell of it, and
// [event.CodeForbidden] for another. It fails with [event.CodeInvalid] for an
// unknown action.
func (r *Roster) CheckOwner(user string, action OwnerAction, character int64) error {
	needed := []Permission{BasicAccess}
	switch action {
	case OwnerUnshares, OwnerRemoves:
	case OwnerShares:
		needed = append(needed, ShareCharacters)
	default:
		return event.Errorf(event.CodeInvalid, "owners cannot %q a character: they can %s, %s or %s it", action, OwnerShares, OwnerUnshares, OwnerRemoves)
	}
	m := r.member(user)
	for _, p := range needed {
		if !m.Can(p) {
			return event.Errorf(event.CodeForbidden, "user %s may not %s characters: that needs %s and a user who is active", user, action, p)
		}
	}
	f := r.characters[character]
	switch {
	case !r.MayOpen(user, character):
		return event.Errorf(event.CodeNotFound, "there is no registered character %d that user %s may open", character, user)
	case f.owner != m:
		return event.Errorf(event.CodeForbidden, "user %s may not %s character %d: only its owner may, superusers included", user, action, character)
	default:
		return nil
	}
}

// Rights are what each user of an organisation may see and do. Each map has an entry
// for every user.
type Rights struct {
	Viewer          map[string][]int64  `json:"viewer"`
	AccessibleUsers map[string][]string `json:"accessible_users"`
	Finder          map[string][]int64  `json:"finder"`
	Exports         map[string]bool     `json:"exports"`
	CanShare        map[string]bool     `json:"can_share"`
}

// Rights evaluates every rule for every user. What it returns may be much larger
// than the organisation: it is for small ones.
func (r *Roster) Rights() Rights {
	all := Rights{
		Viewer: map[string][]int64{}, AccessibleUsers: map[string][]string{}, Finder: map[string][]int64{},
		Exports: map[string]bool{}, CanShare: map[string]bool{},
	}
	for _, id := range r.ids {
		all.Viewer[id] = r.Viewer(id)
		all.AccessibleUsers[id] = r.AccessibleUsers(id)
		all.Finder[id] = r.Finder(id)
		all.Exports[id] = r.Grants(id).CanExport()
		all.CanShare[id] = r.Grants(id).CanShare()
	}
	return all
}
