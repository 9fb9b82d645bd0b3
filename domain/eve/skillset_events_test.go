package eve_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// setID makes ids that are told apart at a glance.
func setID(n byte) uuid.UUID { return uuid.UUID{15: n} }

func gunners(name string) eve.SkillSet {
	return eve.SkillSet{Name: name, Visible: true, Skills: []eve.SetSkill{level(3301, 2, 0), level(3300, 3, 0)}}
}

// decided folds what a decision came to.
func decided(t *testing.T, s *eve.SkillSets, events []event.Payload, err error) []event.Payload {
	t.Helper()
	require.NoError(t, err)
	for _, p := range events {
		s.Apply(p)
	}
	return events
}

func TestNamesOfSkillSetsAreUnique(t *testing.T) {
	s := eve.NewSkillSets()
	id, events, err := s.DecideCreateSkillSet(setID(1), gunners(" Gunners "), false)
	decided(t, s, events, err)
	require.Equal(t, setID(1), id)
	require.Equal(t, []eve.SetSkill{level(3300, 3, 0), level(3301, 2, 0)}, s.Sets[id].Skills, "skills are kept in order")
	require.Equal(t, "Gunners", s.Sets[id].Name)

	_, _, err = s.DecideCreateSkillSet(setID(2), gunners("GUNNERS"), false)
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, setID(1).String())
	require.ErrorContains(t, err, "names are unique")

	id, events, err = s.DecideCreateSkillSet(setID(2), gunners("GUNNERS"), true)
	require.Len(t, decided(t, s, events, err), 1)
	require.Equal(t, setID(1), id, "the one that has the name is overwritten")
	require.Equal(t, "GUNNERS", s.Sets[id].Name)
	_, events, err = s.DecideCreateSkillSet(setID(2), gunners("GUNNERS"), true)
	require.Empty(t, decided(t, s, events, err), "it is so already")

	_, events, err = s.DecideCreateSkillSet(setID(2), gunners("Pilots"), false)
	decided(t, s, events, err)
	_, err = s.DecideReplaceSkillSet(setID(2), gunners("gunners"))
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	events, err = s.DecideReplaceSkillSet(setID(2), gunners("pilots"))
	require.Len(t, decided(t, s, events, err), 1, "a set may keep its own name")
	events, err = s.DecideReplaceSkillSet(setID(2), gunners("pilots"))
	require.Empty(t, decided(t, s, events, err))
	_, err = s.DecideReplaceSkillSet(setID(9), gunners("x"))
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = s.DecideReplaceSkillSet(setID(2), eve.SkillSet{Name: "x"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	_, _, err = s.DecideCreateSkillSet(setID(2), eve.SkillSet{Name: "x"}, true)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestARemovedSkillSetLeavesItsGroups(t *testing.T) {
	s := eve.NewSkillSets()
	for n, name := range []string{"a", "b"} {
		_, events, err := s.DecideCreateSkillSet(setID(byte(n)), gunners(name), false)
		decided(t, s, events, err)
	}
	group := eve.SkillSetGroup{Name: "Shield", Active: true, SkillSetIDs: []uuid.UUID{setID(1), setID(0)}}
	events, err := s.DecideCreateGroup(setID(10), group)
	decided(t, s, events, err)
	require.Equal(t, []uuid.UUID{setID(0), setID(1)}, s.Groups[setID(10)].SkillSetIDs)
	events, err = s.DecideReplaceGroup(setID(10), group)
	require.Empty(t, decided(t, s, events, err), "the order of sets is none")

	events, err = s.DecideRemoveSkillSet(setID(0), " over ")
	require.Equal(t, []event.Payload{eve.SkillSetRemoved{SkillSetID: setID(0), Reason: "over"}}, decided(t, s, events, err))
	require.Equal(t, []uuid.UUID{setID(1)}, s.Groups[setID(10)].SkillSetIDs)
	_, err = s.DecideReplaceGroup(setID(10), group)
	require.Equal(t, event.CodeNotFound, event.CodeOf(err), "a group cannot have a set that is not there")
	s.Apply(eve.SkillSetDefined{SkillSetID: setID(0), SkillSet: gunners("a")})
	require.Equal(t, []uuid.UUID{setID(1)}, s.Groups[setID(10)].SkillSetIDs)

	_, err = s.DecideRemoveSkillSet(setID(9), "")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = s.DecideRemoveSkillSet(setID(1), strings.Repeat("x", 2001))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestNamesOfGroupsAreUnique(t *testing.T) {
	s := eve.NewSkillSets()
	events, err := s.DecideCreateGroup(setID(10), eve.SkillSetGroup{Name: "Shield"})
	decided(t, s, events, err)
	_, err = s.DecideCreateGroup(setID(11), eve.SkillSetGroup{Name: "SHIELD"})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	events, err = s.DecideReplaceGroup(setID(10), eve.SkillSetGroup{Name: "Armour", Doctrine: true})
	require.Len(t, decided(t, s, events, err), 1)
	_, err = s.DecideReplaceGroup(setID(11), eve.SkillSetGroup{Name: "x"})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = s.DecideCreateGroup(setID(11), eve.SkillSetGroup{Name: "x", SkillSetIDs: []uuid.UUID{setID(1), setID(1)}})
	require.ErrorContains(t, err, "is there twice")
	_, err = s.DecideCreateGroup(setID(11), eve.SkillSetGroup{Name: "x", SkillSetIDs: make([]uuid.UUID, 1001)})
	require.ErrorContains(t, err, "at most 1000")
	events, err = s.DecideRemoveGroup(setID(10), "")
	decided(t, s, events, err)
	require.Empty(t, s.Groups)
	_, err = s.DecideRemoveGroup(setID(10), "")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestWhateverIsDecidedNamesStayUniqueAndGroupsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := eve.NewSkillSets()
		names := rapid.SampledFrom([]string{"a", "A", "b", "c"})
		ids := rapid.Custom(func(t *rapid.T) uuid.UUID { return setID(rapid.ByteRange(0, 3).Draw(t, "id")) })
		for n := range rapid.IntRange(1, 30).Draw(t, "decisions") {
			var events []event.Payload
			var err error
			group := eve.SkillSetGroup{Name: names.Draw(t, "name"), SkillSetIDs: rapid.SliceOfNDistinct(ids, 0, 3, rapid.ID[uuid.UUID]).Draw(t, "sets")}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				_, events, err = s.DecideCreateSkillSet(setID(byte(n%4)), gunners(names.Draw(t, "name")), rapid.Bool().Draw(t, "overwrite"))
			case 1:
				events, err = s.DecideReplaceSkillSet(ids.Draw(t, "id"), gunners(names.Draw(t, "name")))
			case 2:
				events, err = s.DecideRemoveSkillSet(ids.Draw(t, "id"), "")
			case 3:
				events, err = s.DecideReplaceGroup(ids.Draw(t, "id"), group)
			case 4:
				events, err = s.DecideRemoveGroup(ids.Draw(t, "id"), "")
			case 5:
				events, err = s.DecideCreateGroup(setID(byte(n%4)), group)
			}
			if err != nil {
				require.Empty(t, events)
				require.Contains(t, []event.Code{event.CodeConflict, event.CodeNotFound}, event.CodeOf(err))
			}
			for _, p := range events {
				s.Apply(p)
			}
			sets, groups := map[string]bool{}, map[string]bool{}
			for _, set := range s.Sets {
				sets[strings.ToLower(set.Name)] = true
			}
			for _, g := range s.Groups {
				groups[strings.ToLower(g.Name)] = true
				for _, id := range g.SkillSetIDs {
					require.Contains(t, s.Sets, id)
				}
				require.True(t, slices.IsSortedFunc(g.SkillSetIDs, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }))
			}
			require.Len(t, sets, len(s.Sets))
			require.Len(t, groups, len(s.Groups))
		}
	})
}
