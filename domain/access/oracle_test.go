package access_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/access/accesstest"
)

func TestTheRulesAreThoseOfTheStatement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		org := accesstest.Organisation(t)
		s, roster := accesstest.Statement{Organisation: org}, access.NewRoster(org)
		want := s.Rights()
		require.Equal(t, want, roster.Rights())
		for _, u := range org.Users {
			for _, c := range org.Characters {
				require.Equal(t, s.Opens(u, c), roster.MayOpen(u.ID, c.ID))
			}
			require.False(t, roster.MayOpen(u.ID, accesstest.FirstUnknown))
			reported := []int64{}
			for _, c := range org.Characters {
				if owner := s.OwnerOf(c); owner != nil && c.Registered && owner.State != "Guest" && s.Reports(u, *owner) {
					reported = append(reported, c.ID)
				}
			}
			slices.Sort(reported)
			require.Equal(t, reported, roster.ReportCharacters(u.ID))
			require.Equal(t, s.Compliance(&u), bare(roster.Compliance(roster.AccessibleUsers(u.ID), nil)))
			require.Equal(t, s.Compliance(&u), bare(roster.Compliance(roster.ReportUsers(u.ID), nil)))
		}
		require.Equal(t, s.Compliance(nil), bare(roster.Compliance(roster.Everybody(), nil)))
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
