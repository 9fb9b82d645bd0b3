package accesstest

import (
	"fmt"
	"slices"

	"github.com/muster-sync/muster/domain/access"
)

// Statement is the rules said once more, each as a test on one pair, over plain
// lists. It shares nothing with the roster.
type Statement struct{ access.Organisation }

type (
	user      = access.OrganisationUser
	character = access.OrganisationCharacter
)

// Holds tells whether a user holds a permission.
func (s Statement) Holds(u user, p string) bool {
	return u.Superuser || slices.Contains(u.Permissions, p)
}

// Can tells whether a user may use a permission.
func (s Statement) Can(u user, p string) bool { return u.Active && s.Holds(u, p) }

// mainOf is the user's main; nil for none.
func (s Statement) mainOf(u user) *character {
	for _, c := range s.Characters {
		if u.Main != nil && c.ID == *u.Main {
			return &c
		}
	}
	return nil
}

// OwnerOf is the user who owns a character; nil for nobody.
func (s Statement) OwnerOf(c character) *user {
	for _, u := range s.Users {
		if c.Owner != nil && u.ID == *c.Owner {
			return &u
		}
	}
	return nil
}

// HasScope tells whether a viewer has a scope at all.
func (s Statement) HasScope(viewer user) bool {
	main := s.mainOf(viewer)
	return main != nil && (s.Can(viewer, "view_same_corporation") || s.Can(viewer, "view_same_alliance") && main.AllianceID != nil)
}

// InScope tells whether the main of another user is in the scope of a viewer.
func (s Statement) InScope(viewer, other user) bool {
	mine, theirs := s.mainOf(viewer), s.mainOf(other)
	if mine == nil || theirs == nil {
		return false
	}
	if s.Can(viewer, "view_same_alliance") && mine.AllianceID != nil {
		return theirs.AllianceID != nil && *theirs.AllianceID == *mine.AllianceID
	}
	return s.Can(viewer, "view_same_corporation") && theirs.CorporationID == mine.CorporationID
}

// Opens tells whether a user may open a character.
func (s Statement) Opens(viewer user, c character) bool {
	if !c.Registered || !s.Can(viewer, "basic_access") {
		return false
	}
	if s.Can(viewer, "view_everything") && s.Can(viewer, "characters_access") {
		return true
	}
	owner := s.OwnerOf(c)
	if owner == nil {
		return false
	}
	return owner.ID == viewer.ID ||
		s.Can(viewer, "characters_access") && s.InScope(viewer, *owner) ||
		s.Can(viewer, "view_shared_characters") && c.Shared && s.Holds(*owner, "share_characters")
}

// Reports tells whether reports may show a user to another one.
func (s Statement) Reports(viewer, other user) bool {
	switch {
	case !s.Can(viewer, "reports_access"):
		return false
	case s.Can(viewer, "view_everything"):
		return s.Holds(other, "basic_access")
	case s.HasScope(viewer):
		return s.InScope(viewer, other) && s.Holds(other, "basic_access")
	default:
		return viewer.ID == other.ID
	}
}

// Rights evaluates every rule for every user.
func (s Statement) Rights() access.Rights {
	all := access.Rights{
		Viewer: map[string][]int64{}, AccessibleUsers: map[string][]string{}, Finder: map[string][]int64{},
		Exports: map[string]bool{}, CanShare: map[string]bool{},
	}
	for _, viewer := range s.Users {
		opened, found, users := []int64{}, []int64{}, []string{}
		for _, c := range s.Characters {
			if s.Opens(viewer, c) {
				opened = append(opened, c.ID)
				if s.Can(viewer, "finder_access") {
					found = append(found, c.ID)
				}
			}
		}
		for _, other := range s.Users {
			if s.Reports(viewer, other) {
				users = append(users, other.ID)
			}
		}
		slices.Sort(opened)
		slices.Sort(found)
		slices.Sort(users)
		all.Viewer[viewer.ID], all.Finder[viewer.ID], all.AccessibleUsers[viewer.ID] = opened, found, users
		all.Exports[viewer.ID] = s.Can(viewer, "exports_access")
		all.CanShare[viewer.ID] = s.Can(viewer, "basic_access") && s.Can(viewer, "share_characters")
	}
	return all
}

// Compliance is what the user sees in the two reports; nil is a superuser from
// outside.
func (s Statement) Compliance(viewer *user) access.ComplianceReport {
	report := access.ComplianceReport{Users: []access.UserCompliance{}, Corporations: []access.CorporationCompliance{}}
	users := slices.Clone(s.Users)
	slices.SortFunc(users, func(a, b user) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	var corporations []int64
	for _, u := range users {
		if u.State == "Guest" || viewer == nil && !s.Holds(u, "basic_access") || viewer != nil && !s.Reports(*viewer, u) {
			continue
		}
		row := access.UserCompliance{User: u.ID, Main: u.Main, Total: len(u.Characters)}
		for _, c := range s.Characters {
			if slices.Contains(u.Characters, c.ID) && !c.Registered {
				row.Unregistered++
			}
		}
		row.Registered = row.Total-row.Unregistered > 0
		row.Compliant = u.Main != nil && row.Unregistered == 0
		report.Users = append(report.Users, row)
		if main := s.mainOf(u); main != nil && !slices.Contains(corporations, main.CorporationID) {
			corporations = append(corporations, main.CorporationID)
		}
	}
	slices.Sort(corporations)
	for _, id := range corporations {
		row := access.CorporationCompliance{CorporationID: id}
		for _, shown := range report.Users {
			i := slices.IndexFunc(users, func(u user) bool { return u.ID == shown.User })
			if main := s.mainOf(users[i]); main != nil && main.CorporationID == id {
				row.Mains++
				row.Characters += shown.Total
				row.Unregistered += shown.Unregistered
			}
		}
		// Cut by counting up: the most hundredths of a percent that are reached.
		share := 0
		for (share+1)*row.Characters <= 10000*(row.Characters-row.Unregistered) {
			share++
		}
		row.Percent = fmt.Sprintf("%d.%d%d", share/100, share/10%10, share%10)
		row.Compliant = share == 10000
		row.Partly = share >= 8500 && share < 10000
		report.Corporations = append(report.Corporations, row)
	}
	return report
}
