//go:build linux

package main

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/internal/simulate/year"
)

// yearUsers know how users stood and who their mains were.
type yearUsers struct {
	standings map[string][]year.Standing
	mains     map[string][]year.Main
	stays     yearStays
}

// home is where a user's main was at a moment.
func (u *yearUsers) home(user string, at int64) int64 {
	main := int64(0)
	for _, m := range u.mains[user] {
		if m.Since.UnixMilli() <= at {
			main = m.Character
		}
	}
	if main == 0 {
		return 0
	}
	return u.stays.at(main, at)
}

// yearCauses are what there was to be put right.
func yearCauses(s year.Standing) []string {
	var causes []string
	if s.NoMain {
		causes = append(causes, "no_main")
	}
	if s.NeverRegistered {
		causes = append(causes, "never_registered")
	}
	if s.Lost {
		causes = append(causes, "login_lost")
	}
	return causes
}

func (u *yearUsers) compliance(a *yearAsk) yearQuestion {
	type sums struct {
		users, compliant, noMain, never, lost, became, fell, arrived, left int64
		took                                                               []int64
	}
	table := newYearTable[sums](a.r, a.by)
	// in calls f with the figures of all groups that somebody counts in.
	in := func(user string, s year.Standing, at int64, period int, f func(*sums)) {
		corporation := u.home(user, at)
		if !s.Considered || !a.corporations.passes(corporation) {
			return
		}
		causes := yearCauses(s)
		if len(causes) == 0 {
			causes = []string{"none"}
		}
		if !slices.Contains(a.by, "cause") {
			causes = causes[:1]
		}
		for _, cause := range causes {
			f(&table.of(yearFields{"corporation": corporation, "cause": cause})[period])
		}
	}
	for user, list := range u.standings {
		for period := range a.r.periods() {
			end := a.r.end(period)
			var now year.Standing
			for _, s := range list {
				if s.Since.UnixMilli() < end {
					now = s
				}
			}
			in(user, now, end-1, period, func(c *sums) {
				c.users++
				for _, count := range []struct {
					is bool
					of *int64
				}{{now.Compliant, &c.compliant}, {now.NoMain, &c.noMain}, {now.NeverRegistered, &c.never}, {now.Lost, &c.lost}} {
					if count.is {
						*count.of++
					}
				}
			})
		}
		var before year.Standing
		var failing time.Time
		for _, s := range list {
			at := s.Since.UnixMilli()
			wrong, wasWrong := s.Considered && !s.Compliant, before.Considered && !before.Compliant
			if wrong && !wasWrong {
				failing = s.Since
			}
			if was := before; a.r.within(at) {
				period := a.r.period(at)
				switch {
				case s.Considered && !was.Considered:
					in(user, s, at, period, func(c *sums) { c.arrived++ })
				case !s.Considered && was.Considered:
					in(user, was, at, period, func(c *sums) { c.left++ })
				case wasWrong && s.Compliant:
					in(user, was, at, period, func(c *sums) {
						c.became++
						c.took = append(c.took, (at-failing.UnixMilli())/1000)
					})
				case was.Compliant && wrong:
					in(user, s, at, period, func(c *sums) { c.fell++ })
				}
			}
			before = s
		}
	}
	return a.question(nil, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{
			"users": s.users, "compliant": s.compliant, "non_compliant": s.users - s.compliant, "without_main": s.noMain, "never_registered": s.never, "login_lost": s.lost,
			"became_compliant": s.became, "became_non_compliant": s.fell, "arrived": s.arrived, "left": s.left, "median_seconds": yearRank(s.took, 50), "p90_seconds": yearRank(s.took, 90),
		}
	}))
}

// open is who was not compliant at a moment.
func (u *yearUsers) open(at time.Time, corporations yearFilter[int64]) yearQuestion {
	v := url.Values{"as_of": {at.Format(time.RFC3339)}, "limit": {"1000"}}
	corporations.set(v, "corporation_id")
	q := yearQuestion{path: "/v1/analytics/compliance/open?" + v.Encode()}
	for user, list := range u.standings {
		var since time.Time
		var now year.Standing
		for _, s := range list {
			if !s.Since.Before(at) {
				break
			}
			if wrong := s.Considered && !s.Compliant; wrong && since.IsZero() {
				since = s.Since
			} else if !wrong {
				since = time.Time{}
			}
			now = s
		}
		corporation := u.home(user, at.UnixMilli()-1)
		if !since.IsZero() && corporations.passes(corporation) {
			q.want = append(q.want, yearFields{
				"user": user, "since": since.UTC().Format(time.RFC3339Nano), "seconds": (at.UnixMilli() - since.UnixMilli()) / 1000, "corporation_id": corporation,
				"causes": strings.Join(yearCauses(now), ","), "total": now.Total, "unregistered": now.Unregistered,
			}.line())
		}
	}
	return q
}

func yearLooks(a *yearAsk, all []year.Viewed, owner string, viewers, sections yearFilter[string]) yearQuestion {
	type sums struct {
		looks, entries              int64
		viewers, owners, characters map[any]bool
	}
	table := newYearTable[sums](a.r, a.by)
	for i := range all {
		v := &all[i]
		at := v.At.UnixMilli()
		if !a.r.within(at) || !a.characters.passes(v.Character) || owner != "" && owner != v.Owner || !viewers.passes(v.ViewerUser) || !sections.passes(v.Section) {
			continue
		}
		s := &table.of(yearFields{"section": v.Section, "viewer": v.Viewer, "owner": v.Owner, "way": v.Way})[a.r.period(at)]
		if s.viewers == nil {
			s.viewers, s.owners, s.characters = map[any]bool{}, map[any]bool{}, map[any]bool{}
		}
		s.looks += v.Count
		s.entries++
		s.viewers[v.Viewer], s.owners[v.Owner], s.characters[v.Character] = true, true, true
	}
	q := a.question(nil, table.lines(yearNames(), func(s *sums) yearFields {
		return yearFields{"looks": s.looks, "entries": s.entries, "viewers": len(s.viewers), "owners": len(s.owners), "characters": len(s.characters)}
	}))
	more := url.Values{}
	if owner != "" {
		more.Set("user_id", owner)
	}
	viewers.set(more, "viewer")
	sections.set(more, "section")
	q.path += "&" + more.Encode()
	return q
}

// yearDoctrine knows what skills were asked for and what characters had learned.
type yearDoctrine struct {
	sets   []year.SkillSet
	groups []year.Group
	levels map[int64][]year.Levels
	stays  yearStays
}

// asks is what a set asks for at a moment, and whether it is there.
func (d *yearDoctrine) asks(set uuid.UUID, at int64) (asks []year.Asked, there bool) {
	for _, s := range d.sets {
		if s.ID == set && s.Since.UnixMilli() <= at {
			asks, there = s.Asks, s.Asks != nil
		}
	}
	return asks, there
}

// name is how a set was called last before a moment.
func (d *yearDoctrine) name(set uuid.UUID, before int64) string {
	name := ""
	for _, s := range d.sets {
		if s.ID == set && s.Asks != nil && s.Since.UnixMilli() < before {
			name = s.Name
		}
	}
	return name
}

// groupsOf are the groups of a set at a moment. Sets that are removed leave their groups.
func (d *yearDoctrine) groupsOf(set uuid.UUID, at int64) []uuid.UUID {
	now := map[uuid.UUID]year.Group{}
	for _, g := range d.groups {
		if g.Since.UnixMilli() <= at {
			now[g.ID] = g
		}
	}
	var in []uuid.UUID
	for id, g := range now {
		gone := slices.ContainsFunc(d.sets, func(s year.SkillSet) bool {
			return s.ID == set && s.Asks == nil && s.Since.UnixMilli() <= at && !s.Since.Before(g.Since)
		})
		if slices.Contains(g.Sets, set) && !gone {
			in = append(in, id)
		}
	}
	slices.SortFunc(in, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return in
}

// reaches tells whether levels reach what is asked for, and what is recommended as well.
func reaches(levels map[int64]int, asks []year.Asked) (passed, recommended bool) {
	passed, recommended = true, true
	for _, a := range asks {
		passed = passed && levels[a.Skill] >= a.Required
		recommended = recommended && levels[a.Skill] >= a.Recommended
	}
	return passed, passed && recommended
}

// readinessSums are figures of one set.
type yearReady struct{ characters, passed, recommended, gainedCharacter, gainedSet, lostCharacter, lostSet int64 }

// yearReadiness is a question about skill sets while it is answered.
type yearReadiness struct {
	*yearDoctrine

	a     *yearAsk
	cells map[string][]yearReady
	names map[string]yearFields
	ids   []uuid.UUID
}

// in calls f with the figures of all groups that a character counts in with a set.
func (r *yearReadiness) in(set uuid.UUID, character, at int64, period int, f func(*yearReady)) {
	corporation := r.stays.at(character, at)
	if !r.a.corporations.passes(corporation) {
		return
	}
	group := yearFields{"skill_set_id": set, "skill_set_name": r.name(set, r.a.r.to.UnixMilli())}
	for _, by := range r.a.by {
		switch by {
		case "corporation":
			group["corporation_id"] = corporation
		case "character":
			group["character_id"] = character
		}
	}
	groups := r.groupsOf(set, at)
	if !slices.Contains(r.a.by, "group") || len(groups) == 0 {
		f(&r.of(group)[period])
		return
	}
	for _, id := range groups {
		name := ""
		for _, g := range r.groups {
			if g.ID == id {
				name = g.Name
			}
		}
		f(&r.of(group.and(yearFields{"group_id": id, "group_name": name}))[period])
	}
}

func (r *yearReadiness) of(group yearFields) []yearReady {
	key := group.line()
	if r.cells[key] == nil {
		r.cells[key], r.names[key] = make([]yearReady, r.a.r.periods()), group
	}
	return r.cells[key]
}

// readiness answers how many characters met each of some sets; none is all.
func (d *yearDoctrine) readiness(a *yearAsk, sets ...uuid.UUID) yearQuestion {
	r := &yearReadiness{yearDoctrine: d, a: a, cells: map[string][]yearReady{}, names: map[string]yearFields{}, ids: sets}
	end := a.r.to.UnixMilli()
	for _, s := range d.sets {
		if len(sets) == 0 && !slices.Contains(r.ids, s.ID) && s.Since.UnixMilli() < end {
			r.ids = append(r.ids, s.ID)
		}
	}
	for _, set := range r.ids {
		if len(a.by) == 0 {
			r.of(yearFields{"skill_set_id": set, "skill_set_name": d.name(set, end)})
		}
		for character, learned := range d.levels {
			r.stood(set, character, learned)
			r.turned(set, character, learned)
		}
	}
	var lines []string
	for key, cells := range r.cells {
		for i, c := range cells {
			lines = append(lines, r.names[key].and(a.r.edges(i)).and(yearFields{
				"characters": c.characters, "passed": c.passed, "recommended": c.recommended, "gained_by_character": c.gainedCharacter, "gained_by_skill_set": c.gainedSet,
				"lost_by_character": c.lostCharacter, "lost_by_skill_set": c.lostSet,
			}).line())
		}
	}
	q := a.question(nil, lines)
	for _, set := range sets {
		q.path += "&skill_set_id=" + set.String()
	}
	return q
}

// stood counts how a character stood at the end of each interval.
func (r *yearReadiness) stood(set uuid.UUID, character int64, learned []year.Levels) {
	for i := range r.a.r.periods() {
		at := r.a.r.end(i) - 1
		var levels map[int64]int
		for _, l := range learned {
			if l.At.UnixMilli() <= at {
				levels = l.Levels
			}
		}
		asks, there := r.asks(set, at)
		if levels == nil || !there {
			continue
		}
		passed, recommended := reaches(levels, asks)
		r.in(set, character, at, i, func(c *yearReady) {
			c.characters++
			if passed {
				c.passed++
			}
			if recommended {
				c.recommended++
			}
		})
	}
}

// turned counts from when on a character met a set, or did no more, and by what.
func (r *yearReadiness) turned(set uuid.UUID, character int64, learned []year.Levels) {
	type turn struct {
		at    int64
		bySet bool
	}
	var turns []turn
	for _, s := range r.sets {
		if s.ID == set {
			turns = append(turns, turn{s.Since.UnixMilli(), true})
		}
	}
	for _, l := range learned {
		turns = append(turns, turn{l.At.UnixMilli(), false})
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	was := false
	for _, t := range turns {
		var levels map[int64]int
		for _, l := range learned {
			if l.At.UnixMilli() <= t.at {
				levels = l.Levels
			}
		}
		asks, there := r.asks(set, t.at)
		passes := false
		if levels != nil && there {
			passes, _ = reaches(levels, asks)
		}
		if passes != was && r.a.r.within(t.at) {
			at := t.at
			if !there {
				// What is removed counts where it was.
				at--
			}
			r.in(set, character, at, r.a.r.period(t.at), func(c *yearReady) {
				switch {
				case passes && t.bySet:
					c.gainedSet++
				case passes:
					c.gainedCharacter++
				case t.bySet:
					c.lostSet++
				default:
					c.lostCharacter++
				}
			})
		}
		was = passes
	}
}
