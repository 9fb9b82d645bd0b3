package year

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/simulate/dice"
)

func userName(n int) string { return fmt.Sprintf("user-%04d", n) }

// user is one who owns characters.
type user struct {
	g        *generator
	dice     dice.Stream
	name     string
	first    int
	standing Standing
	main     int64
}

// begin registers users, and defines what skills are asked for.
func (g *generator) begin() {
	at := Start()
	for i := range (g.Characters + PerUser - 1) / PerUser {
		u := &user{g: g, dice: dice.New(g.Seed, 3, uint64(i)), name: userName(i), first: i * PerUser}
		u.standing = Standing{User: u.name}
		g.users = append(g.users, u)
		u.add(at, access.UserRegistered{UserID: u.name, Name: u.name, Active: true, State: "Member", Permissions: []string{"basic_access"}})
		u.choose(at, FirstCharacter+int64(u.first))
	}
	const sets = 4
	for n := range sets {
		g.define(at.Add(time.Duration(n)*time.Second), SkillSet{ID: g.named("skill set", n), Name: fmt.Sprintf("Doctrine %d", n)})
	}
	g.group(at.Add(time.Minute), Group{ID: g.named("group", 0), Name: "Fleet", Sets: []uuid.UUID{g.named("skill set", 0), g.named("skill set", 1)}})
	g.group(at.Add(time.Minute), Group{ID: g.named("group", 1), Name: "Home", Sets: []uuid.UUID{g.named("skill set", 1), g.named("skill set", 2)}})
}

func (g *generator) named(kind string, n int) uuid.UUID {
	return uuid.NewSHA1(event.Namespace, fmt.Appendf(nil, "year %s %d", kind, n))
}

// define defines a skill set with other skills than before.
func (g *generator) define(at time.Time, s SkillSet) {
	s.Since = at
	p := eve.SkillSetDefined{SkillSetID: s.ID, SkillSet: eve.SkillSet{Name: s.Name, Visible: true}}
	for i := range 3 {
		asked := Asked{Skill: FirstSkill + int64(i*4+g.dice.IntN(4)), Required: 1 + g.dice.IntN(4), Recommended: g.dice.IntN(6)}
		s.Asks = append(s.Asks, asked)
		p.Skills = append(p.Skills, eve.SetSkill{TypeID: asked.Skill, Required: eve.SkillLevel(asked.Required), Recommended: eve.SkillLevel(asked.Recommended)})
	}
	g.tell(&s)
	g.add(&g.dice, event.Org, at, p)
}

func (g *generator) group(at time.Time, group Group) {
	group.Since = at
	g.tell(&group)
	p := eve.SkillSetGroupDefined{SkillSetGroupID: group.ID, SkillSetGroup: eve.SkillSetGroup{Name: group.Name, Active: true, SkillSetIDs: group.Sets}}
	p.Normalise()
	g.add(&g.dice, event.Org, at, p)
}

// organisation is what happens to users and skill sets on a day.
func (g *generator) organisation(day int, at time.Time) {
	const redefined, removed, regrouped = 90, 200, 250
	switch day {
	case redefined:
		g.define(at.Add(7*time.Hour), SkillSet{ID: g.named("skill set", 0), Name: "Doctrine 0, second edition"})
	case removed:
		s := SkillSet{ID: g.named("skill set", 2), Since: at.Add(9 * time.Hour)}
		g.tell(&s)
		g.add(&g.dice, event.Org, s.Since, eve.SkillSetRemoved{SkillSetID: s.ID})
	case regrouped:
		g.group(at.Add(3*time.Hour), Group{ID: g.named("group", 1), Name: "Home", Sets: []uuid.UUID{g.named("skill set", 1), g.named("skill set", 3)}})
	}
	for _, u := range g.users {
		u.day(at)
	}
}

func (u *user) add(at time.Time, p event.Payload) {
	u.g.add(&u.dice, event.User(u.name), at, p)
}

// choose chooses a main; zero is none.
func (u *user) choose(at time.Time, character int64) {
	u.main = character
	p := access.MainSet{UserID: u.name}
	if character != 0 {
		p.CharacterID = &character
	}
	u.g.tell(&Main{User: u.name, Since: at, Character: character})
	u.add(at, p)
}

// day is what happens to the user on a day.
func (u *user) day(day time.Time) {
	const chooses, stands, looks = 0.004, 0.02, 0.1
	d := &u.dice
	if d.Chance(chooses) {
		n := d.IntN(PerUser + 1)
		if n == PerUser {
			u.choose(moment(d, day), 0)
		} else {
			u.choose(moment(d, day), FirstCharacter+int64(min(u.first+n, u.g.Characters-1)))
		}
	}
	if d.Chance(stands) || day.Equal(Start()) {
		u.stand(moment(d, day))
	}
	if d.Chance(looks) {
		u.look(moment(d, day))
	}
}

// stand has the user stand in another way.
func (u *user) stand(at time.Time) {
	d := &u.dice
	s := Standing{User: u.name, Since: at, Considered: d.Chance(0.9), NoMain: d.Chance(0.15), Lost: d.Chance(0.2), Total: PerUser}
	if d.Chance(0.3) {
		s.NeverRegistered, s.Unregistered = true, 1+d.IntN(3)
	}
	if !s.Considered {
		s.NoMain, s.NeverRegistered, s.Lost, s.Unregistered = false, false, false, 0
	}
	s.Compliant = s.Considered && !s.NoMain && !s.NeverRegistered
	before := u.standing
	before.Since = at
	if s == before {
		return
	}
	u.standing = s
	u.g.tell(&s)
	p := access.ComplianceChanged{UserID: u.name, Considered: s.Considered, Compliant: s.Compliant, Total: s.Total, Unregistered: s.Unregistered, Since: at}
	for _, f := range []struct {
		is    bool
		fault access.Fault
	}{{s.NoMain, access.FaultNoMain}, {s.NeverRegistered, access.FaultNeverRegistered}, {s.Lost, access.FaultLoginLost}} {
		if f.is {
			p.Reasons = append(p.Reasons, access.Reason{Fault: f.fault})
		}
	}
	u.add(at, p)
}

// look has the user look at data of somebody.
func (u *user) look(at time.Time) {
	d := &u.dice
	v := Viewed{
		Viewer: access.UserPrincipal(u.name).ID, ViewerUser: u.name, At: at, Count: 1 + int64(d.IntN(5)),
		Section: pick(d, []string{"assets", "wallet-journal", "skills", "character"}), Way: pick(d, []string{"same_corporation", "shared", "view_everything"}),
	}
	other := d.IntN(u.g.Characters)
	v.Character, v.Owner = FirstCharacter+int64(other), userName(other/PerUser)
	p := access.DataViewed{
		ViewerID: v.Viewer, ViewerUserID: v.ViewerUser, OwnerID: v.Owner, CharacterID: v.Character, Section: v.Section, Way: access.Way(v.Way),
		FirstAt: at.Add(-time.Minute), LastAt: at, Count: v.Count,
	}
	u.g.tell(&v)
	u.g.add(&u.dice, p.Stream(), at, p)
}
