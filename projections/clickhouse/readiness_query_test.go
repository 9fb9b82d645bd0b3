package clickhouse_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// skillsAt is what a character had learned from a moment on.
type skillsAt struct {
	at     time.Time
	levels map[int64]int
}

// skillsOf draws what a character learned, as events with differences.
func skillsOf(rt *rapid.T, character int64, origin time.Time) (events []told, past []skillsAt) {
	var moments []time.Time
	for i := range rapid.IntRange(0, 5).Draw(rt, "readings") {
		moments = append(moments, origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "read"))*time.Minute+time.Duration(i+1)*time.Millisecond+time.Duration(character)*100*time.Microsecond))
	}
	slices.SortFunc(moments, time.Time.Compare)
	var series eve.Series
	for _, at := range moments {
		at = at.Truncate(time.Millisecond)
		now := skillsAt{at, map[int64]int{}}
		var skills []string
		for id := range int64(30) {
			level := 1
			if id < 3 {
				if rapid.IntRange(0, 3).Draw(rt, "never injected") == 0 {
					continue
				}
				level = rapid.IntRange(0, 5).Draw(rt, "level")
			}
			now.levels[id] = level
			skills = append(skills, fmt.Sprintf(`{"skill_id":%d,"active_skill_level":%d,"trained_skill_level":5,"skillpoints_in_skill":1000000}`, id, level))
		}
		e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: character, Section: eve.SectionSkills, FetchedAt: at, Value: json.RawMessage(`{"total_sp":1,"skills":[` + strings.Join(skills, ",") + `]}`)})
		require.NoError(rt, err)
		series = next
		past = append(past, now)
		if e == nil {
			continue
		}
		var p eve.SectionObserved
		require.NoError(rt, json.Unmarshal(e.Data, &p))
		events = append(events, told{stream: event.Character(character), at: at, id: e.ID, payload: p})
	}
	return events, past
}

// definition is something that was decided on skill sets.
type definition struct {
	at      time.Time
	payload event.Payload
}

func definitionsOf(rt *rapid.T, origin time.Time, sets, groups []uuid.UUID) []definition {
	var all []definition
	for i := range rapid.IntRange(0, 8).Draw(rt, "definitions") {
		d := definition{at: origin.Add(time.Duration(rapid.IntRange(0, 5*24*60).Draw(rt, "defined"))*time.Minute + time.Duration(20+i)*time.Millisecond)}
		set, group := rapid.SampledFrom(sets).Draw(rt, "set"), rapid.SampledFrom(groups).Draw(rt, "group")
		switch rapid.IntRange(0, 6).Draw(rt, "what") {
		case 0:
			d.payload = eve.SkillSetRemoved{SkillSetID: set}
		case 1:
			d.payload = eve.SkillSetGroupRemoved{SkillSetGroupID: group}
		case 2, 3:
			d.payload = eve.SkillSetGroupDefined{SkillSetGroupID: group, SkillSetGroup: eve.SkillSetGroup{Name: "G", Active: true, SkillSetIDs: rapid.SliceOfNDistinct(rapid.SampledFrom(sets), 0, 2, rapid.ID).Draw(rt, "sets")}}
		default:
			p := eve.SkillSetDefined{SkillSetID: set, SkillSet: eve.SkillSet{Name: "S"}}
			for id := range int64(3) {
				if rapid.Bool().Draw(rt, "asked") {
					p.Skills = append(p.Skills, eve.SetSkill{TypeID: id, Required: eve.SkillLevel(rapid.IntRange(0, 5).Draw(rt, "required")), Recommended: eve.SkillLevel(rapid.IntRange(0, 5).Draw(rt, "recommended"))})
				}
			}
			d.payload = p
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b definition) int { return a.at.Compare(b.at) })
	return all
}

// doctrineAt are the skill sets and groups before a moment.
func doctrineAt(all []definition, end time.Time) *eve.SkillSets {
	s := eve.NewSkillSets()
	for _, d := range all {
		if d.at.Before(end) {
			s.Apply(d.payload)
		}
	}
	return s
}

func TestFiguresOfReadinessAgreeWithChecksOfEachMoment(t *testing.T) {
	organisation, facts := newOrganisationTables(t)
	reader := organisationReader(organisation, facts)
	sets, groups := []uuid.UUID{{1}, {2}}, []uuid.UUID{{3}, {4}}
	rapid.Check(t, func(rt *rapid.T) {
		if rt.Failed() {
			return
		}
		origin, of := question(rt, t, clickhouse.Intervals(), clickhouse.ByGroup, clickhouse.ByCorporation, clickhouse.ByCharacter)
		q := clickhouse.ReadinessQuery{From: of.From, To: of.To, Interval: of.Interval, Zone: of.Zone, GroupBy: of.GroupBy, CorporationIDs: of.CorporationIDs, CharacterIDs: of.CharacterIDs}
		if rapid.Bool().Draw(rt, "filter sets") {
			q.SkillSetIDs = sets[:1]
		}
		if rapid.Bool().Draw(rt, "filter groups") {
			q.GroupIDs = groups[:1]
		}
		moved, corporation := moves(rt, origin)
		definitions := definitionsOf(rt, origin, sets, groups)
		var events []told
		for _, d := range definitions {
			events = append(events, told{stream: event.Org, at: d.at, payload: d.payload})
		}
		past := map[int64][]skillsAt{}
		for character := int64(1); character <= 3; character++ {
			var observed []told
			observed, past[character] = skillsOf(rt, character, origin)
			events = append(events, observed...)
		}
		organisation.fillBoth(rt, t, rapid.IntRange(1, 2).Draw(rt, "copies"), facts, events, moved)
		figures, err := reader.Readiness(t.Context(), q)
		require.NoError(rt, err)
		got := map[string]string{}
		for _, f := range figures {
			words := fmt.Sprintln(f.Characters, f.Passed, f.Recommended, f.GainedByCharacter, f.GainedBySkillSet, f.LostByCharacter, f.LostBySkillSet)
			if words != "0 0 0 0 0 0 0\n" {
				got[fmt.Sprintln(f.ReadinessGroup, f.Start, f.End)] = words
			}
		}

		// Every character is held against every set at every moment at which something
		// happened.
		bounds, err := clickhouse.Bounds(q.From, q.To, q.Interval, q.Zone)
		require.NoError(rt, err)
		sums := map[string]*[7]int{}
		count := func(i int, character int64, set uuid.UUID, at time.Time, doctrine *eve.SkillSets, n int) {
			g := clickhouse.ReadinessGroup{SkillSetID: set}
			in := corporation(character, at)
			if !selected(of, character, in) || len(q.SkillSetIDs) > 0 && set != q.SkillSetIDs[0] {
				return
			}
			if slices.Contains(q.GroupBy, clickhouse.ByCorporation) {
				g.CorporationID = in
			}
			if slices.Contains(q.GroupBy, clickhouse.ByCharacter) {
				g.CharacterID = character
			}
			var within []uuid.UUID
			for id, group := range doctrine.Groups {
				if slices.Contains(group.SkillSetIDs, set) && (len(q.GroupIDs) == 0 || id == q.GroupIDs[0]) {
					within = append(within, id)
				}
			}
			if len(q.GroupIDs) > 0 && len(within) == 0 {
				return
			}
			if !slices.Contains(q.GroupBy, clickhouse.ByGroup) || len(within) == 0 {
				within = []uuid.UUID{{}}
			}
			for _, id := range within {
				g.GroupID = id
				key := fmt.Sprintln(g, bounds[i], bounds[i+1])
				if sums[key] == nil {
					sums[key] = &[7]int{}
				}
				sums[key][n]++
			}
		}
		// state is whether a set is there and the character's skills are known, whether he
		// passes, and whether he reaches what is recommended, too.
		state := func(character int64, set uuid.UUID, before time.Time) [3]bool {
			var has eve.Skills
			for _, s := range past[character] {
				if s.at.Before(before) {
					has = eve.Skills{}
					for id, level := range s.levels {
						has[id] = eve.SkillState{Active: level}
					}
				}
			}
			asks, there := doctrineAt(definitions, before).Sets[set]
			if has == nil || !there {
				return [3]bool{}
			}
			passed, all := true, true
			for _, s := range asks.Skills {
				passed = passed && has[s.TypeID].Active >= int(s.Required)
				all = all && has[s.TypeID].Active >= int(s.Recommended)
			}
			return [3]bool{true, passed, passed && all}
		}
		for character := range past {
			for _, set := range sets {
				for i := range len(bounds) - 1 {
					for n, is := range state(character, set, bounds[i+1]) {
						if is {
							count(i, character, set, bounds[i+1].Add(-time.Millisecond), doctrineAt(definitions, bounds[i+1]), n)
						}
					}
				}
				moment := func(at time.Time, n int) {
					i := slices.IndexFunc(bounds[1:], at.Before)
					if at.Before(bounds[0]) || i < 0 {
						return
					}
					was, is := state(character, set, at), state(character, set, at.Add(time.Millisecond))
					switch {
					case !was[1] && is[1]:
						count(i, character, set, at, doctrineAt(definitions, at.Add(time.Millisecond)), 3+n)
					case was[1] && !is[1] && !is[0]:
						count(i, character, set, at, doctrineAt(definitions, at), 5+n)
					case was[1] && !is[1]:
						count(i, character, set, at, doctrineAt(definitions, at.Add(time.Millisecond)), 5+n)
					}
				}
				for _, s := range past[character] {
					moment(s.at, 0)
				}
				for _, d := range definitions {
					moment(d.at, 1)
				}
			}
		}
		want := map[string]string{}
		for key, s := range sums {
			want[key] = strings.Trim(fmt.Sprint(*s), "[]") + "\n"
		}
		require.Equal(rt, want, got)
	})
}
