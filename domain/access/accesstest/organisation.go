// Package accesstest draws organisations for tests of the rules of access.
package accesstest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/access"
)

// FirstUnknown is an id that no character of a drawn organisation has.
const FirstUnknown int64 = 1 << 40

// Organisation draws a small organisation that keeps the rules of one: owners and
// characters agree, mains are owned, a shared character is registered, an orphan is
// registered, all characters of a corporation are in the same alliance. Corporations
// are few, so that mains meet, and permissions are drawn so that each rule is used
// and each is missed.
func Organisation(t *rapid.T) access.Organisation {
	// Corporations 2000 to 2002 are in alliance 3000, the next ones each in its own,
	// the last two in none.
	allianceOf := func(corporation int64) *int64 {
		switch n := corporation - 2000; {
		case n < 3:
			return new(int64(3000))
		case n < 5:
			return new(3000 + n)
		default:
			return nil
		}
	}
	bool75 := func(label string) bool { return draw(t, 4, label) != 0 }
	org := access.Organisation{Users: []access.OrganisationUser{}, Characters: []access.OrganisationCharacter{}}
	next := int64(1)
	character := func(owner *string) access.OrganisationCharacter {
		c := access.OrganisationCharacter{ID: next, CorporationID: 2000 + int64(draw(t, 7, "corporation")), Registered: owner == nil || bool75("registered"), Owner: owner}
		next++
		c.Shared = c.Registered && draw(t, 2, "shared") == 0
		c.AllianceID = allianceOf(c.CorporationID)
		return c
	}
	for i := range draw(t, 8, "users") {
		// Ids whose order as text is not that of their numbers.
		u := access.OrganisationUser{ID: fmt.Sprintf("u%d", i+6), Active: bool75("active"), Superuser: draw(t, 12, "superuser") == 0, State: "Guest"}
		if u.Active {
			u.State = []string{"Member", "Blue", "Guest"}[draw(t, 3, "state")]
		}
		for _, p := range append(access.Permissions(), "of_another_application") {
			chance := 2
			if p == access.BasicAccess || p == access.CharactersAccess {
				chance = 4
			}
			if draw(t, chance, string(p)) != 0 && (p != access.ViewEverything || draw(t, 3, "everything") == 0) {
				u.Permissions = append(u.Permissions, string(p))
			}
		}
		for range draw(t, 4, "characters") {
			c := character(&u.ID)
			c.Owner = new(u.ID)
			u.Characters = append(u.Characters, c.ID)
			org.Characters = append(org.Characters, c)
		}
		if len(u.Characters) > 0 && draw(t, 5, "has a main") != 0 {
			u.Main = new(u.Characters[draw(t, len(u.Characters), "main")])
		}
		org.Users = append(org.Users, u)
	}
	for range draw(t, 3, "orphans") {
		org.Characters = append(org.Characters, character(nil))
	}
	return org
}

// draw is a number below n, each as likely as the others: rapid's own ranges favour
// small ones.
func draw(t *rapid.T, n int, label string) int {
	return int(rapid.Uint64().Draw(t, label) % uint64(n))
}
