package access

import (
	"slices"
	"time"
)

// Permission is one of the permissions of Member Audit, without the name of its
// application, or one of Muster's own. A user has what was given to him, through his
// groups, through his state or through a role; names that are none of these give
// nothing.
type Permission string

// The permissions: the ten of Member Audit 1.9.4, the two of its later versions, and
// one of Muster.
const (
	// BasicAccess: register characters, and open those one may open. Who holds it
	// counts as one of the organisation in reports.
	BasicAccess Permission = "basic_access"
	// ShareCharacters: mark one's own characters as shared.
	ShareCharacters Permission = "share_characters"
	// FinderAccess: search among the characters one may open.
	FinderAccess Permission = "finder_access"
	// ReportsAccess: see the reports.
	ReportsAccess Permission = "reports_access"
	// CharactersAccess: open the characters of the users of one's scope; without it
	// the scope counts in reports alone.
	CharactersAccess Permission = "characters_access"
	// ExportsAccess: take out everything about all characters.
	ExportsAccess Permission = "exports_access"
	// ViewSharedCharacters: open the characters that their owners share.
	ViewSharedCharacters Permission = "view_shared_characters"
	// ViewSameCorporation: the scope is the corporation of one's main.
	ViewSameCorporation Permission = "view_same_corporation"
	// ViewSameAlliance: the scope is the alliance of one's main.
	ViewSameAlliance Permission = "view_same_alliance"
	// ViewEverything: there are no bounds.
	ViewEverything Permission = "view_everything"
	// NotifiedOnRemoval: be told when a character of one's scope is removed (Member
	// Audit 2.4).
	NotifiedOnRemoval Permission = "notified_on_character_removal"
	// ViewSkillSets: see how the characters of others that one may open stand to the
	// skill sets (Member Audit 2.9).
	ViewSkillSets Permission = "view_skill_sets"
	// ScopedExportsAccess: take out what one may open (Muster).
	ScopedExportsAccess Permission = "scoped_exports_access"
)

// Permissions lists all permissions.
func Permissions() []Permission {
	return []Permission{
		BasicAccess, ShareCharacters, FinderAccess, ReportsAccess, CharactersAccess, ExportsAccess,
		ViewSharedCharacters, ViewSameCorporation, ViewSameAlliance, ViewEverything,
		NotifiedOnRemoval, ViewSkillSets, ScopedExportsAccess,
	}
}

// Grants is what one user was given, and whether he may use it.
type Grants struct {
	// Superuser holds every permission.
	Superuser bool
	// Active is false for somebody who may do nothing at all.
	Active bool
	// Permissions are all that he was given, by whatever way.
	Permissions []string
	// Limited are the permissions that he holds only through roles that limit what is
	// seen of others to some sections, with the names of these. Empty for most.
	Limited map[Permission][]string
}

// For is what counts of the grants for a section of characters: a permission that is
// limited to other sections does not. The empty name is that of no section, for what is
// about several of them at once.
func (g Grants) For(section string) Grants {
	if len(g.Limited) == 0 || g.Superuser {
		return g
	}
	left := Grants{Active: g.Active, Permissions: []string{}}
	for _, p := range g.Permissions {
		sections, limited := g.Limited[Permission(p)]
		if !limited || slices.Contains(sections, section) {
			left.Permissions = append(left.Permissions, p)
		}
	}
	return left
}

// Holds tells whether he holds a permission; whether he is active plays no part.
// It is what owners of characters and lines of lists are asked: a member who was
// deactivated does not vanish from an audit.
func (g Grants) Holds(p Permission) bool {
	return g.Superuser || slices.Contains(g.Permissions, string(p))
}

// Can tells whether he may use a permission now. It is what the one who acts is
// asked.
func (g Grants) Can(p Permission) bool { return g.Active && g.Holds(p) }

// Scope says in which corporation or alliance somebody's main must be for a viewer
// to see him. At most one field is set; the zero value is no scope, which nobody is
// in.
type Scope struct {
	AllianceID, CorporationID int64
}

// Home is where a main is: zero for an alliance there is none of, and for a
// corporation that is not known yet, neither of which equals another.
type Home struct {
	CorporationID, AllianceID int64
}

// ScopeOf is the scope of somebody with these grants; home is where his main is,
// the zero value without a main. The alliance comes first; a main without one falls
// through to its corporation. (Member Audit 1.9.4 raises an exception without a
// main.)
func ScopeOf(g Grants, home Home) Scope {
	switch {
	case g.Can(ViewSameAlliance) && home.AllianceID != 0:
		return Scope{AllianceID: home.AllianceID}
	case g.Can(ViewSameCorporation) && home.CorporationID != 0:
		return Scope{CorporationID: home.CorporationID}
	default:
		return Scope{}
	}
}

// Contains tells whether somebody whose main is there is in the scope.
func (s Scope) Contains(home Home) bool {
	switch {
	case s.AllianceID != 0:
		return home.AllianceID == s.AllianceID
	case s.CorporationID != 0:
		return home.CorporationID == s.CorporationID
	default:
		return false
	}
}

// View is what a viewer may open, as conditions on characters and their owners:
// what is evaluated over a roster here is evaluated over tables elsewhere, and both
// follow from this. The zero value opens nothing.
type View struct {
	// Everything: every registered character, orphans too. The other fields are
	// then empty.
	Everything bool
	// Owner is the user whose registered characters are opened; empty for nobody.
	Owner string
	// Scope opens the registered characters of those who are in it.
	Scope Scope
	// Shared opens the shared characters whose owners hold [ShareCharacters].
	Shared bool
	// At is the moment as of which Shared is asked, for sharings that end some time.
	// The zero value is now.
	At time.Time
}

// ViewOf is what the user with these grants may open in the viewer. His own grants
// are asked as of now, see [Grants.Can].
func ViewOf(user string, g Grants, home Home) View {
	if !g.Can(BasicAccess) {
		return View{}
	}
	if g.Can(CharactersAccess) && g.Can(ViewEverything) {
		return View{Everything: true}
	}
	v := View{Owner: user, Shared: g.Can(ViewSharedCharacters)}
	if g.Can(CharactersAccess) {
		v.Scope = ScopeOf(g, home)
	}
	return v
}

// FinderViewOf is what the finder lists for him: what he may open, if he may use the
// finder at all.
func FinderViewOf(user string, g Grants, home Home) View {
	if !g.Can(FinderAccess) {
		return View{}
	}
	return ViewOf(user, g, home)
}

// ListViewOf is what a list of characters shows him: what the finder does, or without
// the finder his own characters.
func ListViewOf(user string, g Grants, home Home) View {
	switch {
	case g.Can(FinderAccess):
		return FinderViewOf(user, g, home)
	case g.Can(BasicAccess):
		return View{Owner: user}
	default:
		return View{}
	}
}

// RemovalViewOf is of which characters he is told when they are removed: his own, and
// those of his scope (Member Audit 2.4). [CharactersAccess] is not asked for, and to
// share a character plays no part.
func RemovalViewOf(user string, g Grants, home Home) View {
	switch {
	case !g.Can(NotifiedOnRemoval):
		return View{}
	case g.Can(ViewEverything):
		return View{Everything: true}
	default:
		return View{Owner: user, Scope: ScopeOf(g, home)}
	}
}

// Tells tells whether somebody of whom such a view is hears of a character: owner is
// who had it last, home where the owner's main is.
func (v View) Tells(owner string, home Home) bool {
	return v.Everything || v.Owner != "" && owner == v.Owner || v.Scope.Contains(home)
}

// ExportViewOf is of which characters he may take out a section, as a view: everything
// with [ExportsAccess], what he may open with [ScopedExportsAccess].
func ExportViewOf(user string, g Grants, home Home) View {
	switch {
	case g.Can(ExportsAccess):
		return View{Everything: true}
	case g.Can(ScopedExportsAccess):
		return ViewOf(user, g, home)
	default:
		return View{}
	}
}

// Audience is whom reports may show to a viewer, as conditions on users. The zero
// value is nobody.
type Audience struct {
	// Everybody: all who hold [BasicAccess].
	Everybody bool
	// Scope: those in it who hold [BasicAccess].
	Scope Scope
	// User is a single user, whatever he holds; empty for none.
	User string
}

// AudienceOf is whom reports may show to the user. Neither [BasicAccess] nor
// [CharactersAccess] is asked for.
func AudienceOf(user string, g Grants, home Home) Audience {
	if !g.Can(ReportsAccess) {
		return Audience{}
	}
	if g.Can(ViewEverything) {
		return Audience{Everybody: true}
	}
	if s := ScopeOf(g, home); s != (Scope{}) {
		return Audience{Scope: s}
	}
	return Audience{User: user}
}

// CanExport tells whether he may take out everything: no scope applies.
func (g Grants) CanExport() bool { return g.Can(ExportsAccess) }

// CanShare tells whether he may share characters of his. To take sharing back
// [BasicAccess] is enough.
func (g Grants) CanShare() bool { return g.Can(BasicAccess) && g.Can(ShareCharacters) }
