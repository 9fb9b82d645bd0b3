package access_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
)

// statement is the rules said once more, each as a test on one pair, over plain
// lists. It shares nothing with the roster.
type statement struct{ access.Organisation }

type (
	user      = access.OrganisationUser
	character = access.OrganisationCharacter
)

func (s statement) holds(u user, p string) bool {
	return u.Superuser || slices.Contains(u.Permissions, p)
}

func (s statement) can(u user, p string) bool { return u.Active && s.holds(u, p) }

// mainOf is the user's main; nil for none.
func (s statement) mainOf(u user) *character {
	for _, c := range s.Characters {
		if u.Main != nil && c.ID == *u.Main {
			return &c
		}
	}
	return nil
}

func (s statement) ownerOf(c character) *user {
	for _, u := range s.Users {
		if c.Owner != nil && u.ID == *c.Owner {
			return &u
		}
	}
	return nil
}

func (s statement) hasScope(viewer user) bool {
	main := s.mainOf(viewer)
	return main != nil && (s.can(viewer, "view_same_corporation") || s.can(viewer, "view_same_alliance") && main.AllianceID != nil)
}

func (s statement) inScope(viewer, other user) bool {
	mine, theirs := s.mainOf(viewer), s.mainOf(other)
	if mine == nil || theirs == nil {
		return false
	}
	if s.can(viewer, "view_same_alliance") && mine.AllianceID != nil {
		return theirs.AllianceID != nil && *theirs.AllianceID == *mine.AllianceID
	}
	return s.can(viewer, "view_same_corporation") && theirs.CorporationID == mine.CorporationID
}

func (s statement) opens(viewer user, c character) bool {
	if !c.Registered || !s.can(viewer, "basic_access") {
		return false
	}
	if s.can(viewer, "view_everything") && s.can(viewer, "characters_access") {
		return true
	}
	owner := s.ownerOf(c)
	if owner == nil {
		return false
	}
	return owner.ID == viewer.ID ||
		s.can(viewer, "characters_access") && s.inScope(viewer, *owner) ||
		s.can(viewer, "view_shared_characters") && c.Shared && s.holds(*owner, "share_characters")
}

func (s statement) reports(viewer, other user) bool {
	switch {
	case !s.can(viewer, "reports_access"):
		return false
	case s.can(viewer, "view_everything"):
		return s.holds(other, "basic_access")
	case s.hasScope(viewer):
		return s.inScope(viewer, other) && s.holds(other, "basic_access")
	default:
		return viewer.ID == other.ID
	}
}

func (s statement) rights() access.Rights {
	all := access.Rights{
		Viewer: map[string][]int64{}, AccessibleUsers: map[string][]string{}, Finder: map[string][]int64{},
		Exports: map[string]bool{}, CanShare: map[string]bool{},
	}
	for _, viewer := range s.Users {
		opened, found, users := []int64{}, []int64{}, []string{}
		for _, c := range s.Characters {
			if s.opens(viewer, c) {
				opened = append(opened, c.ID)
				if s.can(viewer, "finder_access") {
					found = append(found, c.ID)
				}
			}
		}
		for _, other := range s.Users {
			if s.reports(viewer, other) {
				users = append(users, other.ID)
			}
		}
		slices.Sort(opened)
		slices.Sort(found)
		slices.Sort(users)
		all.Viewer[viewer.ID], all.Finder[viewer.ID], all.AccessibleUsers[viewer.ID] = opened, found, users
		all.Exports[viewer.ID] = s.can(viewer, "exports_access")
		all.CanShare[viewer.ID] = s.can(viewer, "basic_access") && s.can(viewer, "share_characters")
	}
	return all
}

// compliance is what the user sees in the two reports; nil is a superuser from
// outside.
func (s statement) compliance(viewer *user) access.ComplianceReport {
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
		if u.State == "Guest" || viewer == nil && !s.holds(u, "basic_access") || viewer != nil && !s.reports(*viewer, u) {
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

func TestTheRulesAreThoseOfTheStatement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		org := accesstest.Organisation(t)
		s, roster := statement{org}, access.NewRoster(org)
		want := s.rights()
		require.Equal(t, want, roster.Rights())
		for _, u := range org.Users {
			for _, c := range org.Characters {
				require.Equal(t, s.opens(u, c), roster.MayOpen(u.ID, c.ID))
			}
			require.False(t, roster.MayOpen(u.ID, accesstest.FirstUnknown))
			reported := []int64{}
			for _, c := range org.Characters {
				if owner := s.ownerOf(c); owner != nil && c.Registered && owner.State != "Guest" && s.reports(u, *owner) {
					reported = append(reported, c.ID)
				}
			}
			slices.Sort(reported)
			require.Equal(t, reported, roster.ReportCharacters(u.ID))
			require.Equal(t, s.compliance(&u), bare(roster.Compliance(roster.AccessibleUsers(u.ID), nil)))
			require.Equal(t, s.compliance(&u), bare(roster.Compliance(roster.ReportUsers(u.ID), nil)))
		}
		require.Equal(t, s.compliance(nil), bare(roster.Compliance(roster.Everybody(), nil)))
	})
}

func TestTheOrderOfAnOrganisationMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		org := accesstest.Organisation(t)
		other := access.Organisation{
			Users: rapid.Permutation(org.Users).Draw(t, "users"), Characters: rapid.Permutation(org.Characters).Draw(t, "characters"),
		}
		a, b := access.NewRoster(org), access.NewRoster(other)
		require.Equal(t, a.Rights(), b.Rights())
		require.Equal(t, a.Users(), b.Users())
		require.Equal(t, a.Compliance(a.Everybody(), nil), b.Compliance(b.Everybody(), nil))
	})
}

// What one was given more never takes something away, but for scopes: the alliance
// replaces the corporation, which it contains.
func TestAPermissionMoreNeverTakesAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		org := accesstest.Organisation(t)
		if len(org.Users) == 0 {
			return
		}
		before := access.NewRoster(org)
		i := rapid.IntRange(0, len(org.Users)-1).Draw(t, "user")
		u := &org.Users[i]
		opened, found := before.Viewer(u.ID), before.Finder(u.ID)
		u.Permissions = append(slices.Clone(u.Permissions), string(rapid.SampledFrom(access.Permissions()).Draw(t, "permission")))
		after := access.NewRoster(org)
		require.Subset(t, after.Viewer(u.ID), opened)
		require.Subset(t, after.Finder(u.ID), found)
	})
}

// bare is a report without what Muster adds.
func bare(r access.ComplianceReport) access.ComplianceReport {
	for i := range r.Users {
		r.Users[i].Reasons = nil
	}
	return r
}
