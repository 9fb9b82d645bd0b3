package esi

import (
	"slices"
	"strconv"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Organisation is the players behind the simulated characters, in the form that
// an import reads.
type Organisation struct {
	Users      []User           `json:"users"`
	Characters []OwnedCharacter `json:"characters"`
}

// User is a player with the permissions he was given.
type User struct {
	ID          string   `json:"id"`
	Superuser   bool     `json:"superuser"`
	Active      bool     `json:"active"`
	State       string   `json:"state"`
	Permissions []string `json:"permissions"`
	// Main is one of his characters, or null.
	Main       *int64  `json:"main"`
	Characters []int64 `json:"characters"`
}

// OwnedCharacter is a character with its owner and, if it is registered, its
// login.
type OwnedCharacter struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	CorporationID int64  `json:"corporation_id"`
	// AllianceID is null for a corporation without alliance.
	AllianceID *int64  `json:"alliance_id"`
	Registered bool    `json:"registered"`
	Shared     bool    `json:"shared"`
	Owner      *string `json:"owner"`

	RefreshToken string   `json:"refresh_token,omitempty"`
	OwnerHash    string   `json:"owner_hash,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
}

// Organisation is the organisation at the world's present time. Users have one
// to six characters; the first user is a superuser, a few are officers with
// wide permissions. Each character's refresh token is the newest that was used,
// or the first.
func (s *Simulator) Organisation() Organisation {
	org := Organisation{Users: []User{}, Characters: []OwnedCharacter{}}
	last := FirstCharacter + int64(s.config.Characters) - 1
	for next, n := FirstCharacter, 1; next <= last; n++ {
		d := dice.New(s.config.Seed, drawUser, uint64(n))
		user := s.user(&d, n)
		count := min(int64(1+d.IntN(3)+d.IntN(4)), last-next+1)
		for id := next; id < next+count; id++ {
			c := s.owned(&d, id, user)
			org.Characters = append(org.Characters, c)
			user.Characters = append(user.Characters, id)
		}
		if n == 1 || !d.Chance(0.03) {
			main := next
			user.Main = &main
		}
		org.Users = append(org.Users, user)
		next += count
	}
	return org
}

func (s *Simulator) user(d *dice.Stream, n int) User {
	u := User{ID: "u" + strconv.Itoa(n), Active: true, State: "Member", Permissions: []string{"basic_access"}, Characters: []int64{}}
	switch f := d.Float(); {
	case n == 1:
		u.Superuser = true
	case f < 0.03:
		u.Active, u.State, u.Permissions = false, "Guest", []string{}
		return u
	case f < 0.08:
		u.State = "Guest"
	case f < 0.2:
		u.State = "Blue"
	case f < 0.24:
		u.Permissions = append(u.Permissions, "characters_access", "finder_access", "reports_access", "view_same_corporation")
	case f < 0.26:
		u.Permissions = append(u.Permissions, "characters_access", "exports_access", "finder_access", "reports_access", "view_same_alliance")
	case f < 0.27:
		u.Permissions = append(u.Permissions, "characters_access", "exports_access", "finder_access", "reports_access", "view_everything")
	}
	if d.Chance(0.5) {
		u.Permissions = append(u.Permissions, "share_characters")
	}
	if d.Chance(0.1) {
		u.Permissions = append(u.Permissions, "view_shared_characters")
	}
	slices.Sort(u.Permissions)
	return u
}

func (s *Simulator) owned(d *dice.Stream, id int64, owner User) OwnedCharacter {
	t := s.world.traitsOf(id)
	corporation := s.world.corporationOf(id, t, s.clock.World())
	c := OwnedCharacter{
		ID: id, Name: t.name, CorporationID: corporation,
		Registered: !d.Chance(s.config.Unregistered), Owner: &owner.ID,
	}
	if alliance := s.world.allianceOf(corporation); alliance != 0 {
		c.AllianceID = &alliance
	}
	shared := d.Chance(0.15)
	if !c.Registered {
		return c
	}
	c.Shared = shared && slices.Contains(owner.Permissions, "share_characters")
	state := s.character(id)
	state.mu.Lock()
	logins, transfers := s.loginsOf(id, state), state.transfers
	n := len(logins) - 1
	newest := logins[n]
	state.mu.Unlock()
	c.RefreshToken = s.tokens.loginToken(id, transfers, n, newest.refresh)
	c.OwnerHash = s.world.ownerHash(id, transfers)
	c.Scopes = scopesIn(newest.scopes)
	return c
}
