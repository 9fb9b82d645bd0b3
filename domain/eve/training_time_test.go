package eve_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestSkillPointsOfLevelsAreThoseOfEVE(t *testing.T) {
	for level, points := range []int64{0, 250, 1415, 8000, 45255, 256000} {
		require.Equal(t, points, eve.SkillPoints(1, eve.SkillLevel(level)))
	}
	require.Equal(t, int64(16*256000), eve.SkillPoints(16, 5))
	require.Equal(t, int64(2829), eve.SkillPoints(2, 2))
}

func TestTrainingTimeFollowsFromAttributesRankAndPoints(t *testing.T) {
	natures := map[int64]eve.SkillNature{
		3300: {Rank: 1, Primary: 167, Secondary: 168},
		3301: {Rank: 2, Primary: 167, Secondary: 168, Needs: []eve.SetSkill{level(3300, 3, 0)}},
		3302: {Rank: 0, Primary: 167, Secondary: 168},
	}
	attributes := &eve.Attributes{Perception: 27, Willpower: 21, Memory: 17, Charisma: 17, Intelligence: 17}
	f := func(wanted eve.SetSkill, skills eve.Skills, attributes *eve.Attributes, train []eve.SetSkill, points int64, seconds *int64) {
		t.Helper()
		require.Equal(t, eve.Training{Skills: train, Points: points, Seconds: seconds}, eve.TrainingFor([]eve.SetSkill{wanted}, skills, attributes, natures))
	}
	// 37.5 points a minute.
	f(level(3300, 3, 0), nil, attributes, []eve.SetSkill{level(3300, 3, 0)}, 8000, new(int64(12800)))
	f(level(3300, 3, 0), eve.Skills{3300: {Active: 2, Trained: 2, Points: 4250}}, attributes, []eve.SetSkill{level(3300, 3, 0)}, 3750, new(int64(6000)))
	f(level(3301, 1, 0), nil, attributes, []eve.SetSkill{level(3300, 3, 0), level(3301, 1, 0)}, 8500, new(int64(13600)))
	f(level(3301, 1, 0), eve.Skills{3300: {Active: 1, Trained: 3, Points: 8000}}, attributes, []eve.SetSkill{level(3301, 1, 0)}, 500, new(int64(800)))
	f(level(3300, 3, 0), eve.Skills{3300: {Active: 1, Trained: 5, Points: 256000}}, attributes, []eve.SetSkill{}, 0, new(int64(0)))
	f(level(3300, 1, 0), nil, nil, []eve.SetSkill{level(3300, 1, 0)}, 250, nil)
	f(level(3300, 1, 0), nil, &eve.Attributes{Perception: 20}, []eve.SetSkill{level(3300, 1, 0)}, 250, nil)
	f(level(3302, 1, 0), nil, attributes, []eve.SetSkill{level(3302, 1, 0)}, 0, nil)
	f(level(3300, 0, 5), nil, attributes, []eve.SetSkill{}, 0, new(int64(0)))
	for id, want := range map[int64]int{163: 0, 164: 17, 165: 17, 166: 17, 167: 27, 168: 21, 169: 0} {
		require.Equal(t, want, attributes.Of(id))
	}
}

func TestAttributesAreReadFromTheirSection(t *testing.T) {
	a, err := eve.DecodeAttributes([]byte(`{"charisma":17,"intelligence":18,"memory":19,"perception":27,"willpower":21,"bonus_remaps":1,"last_remap_date":"2026-01-01T00:00:00Z"}`))
	require.NoError(t, err)
	require.Equal(t, eve.Attributes{Charisma: 17, Intelligence: 18, Memory: 19, Perception: 27, Willpower: 21}, a)
	_, err = eve.DecodeAttributes([]byte(`[]`))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestTheShortestTrainingIsTheClosest(t *testing.T) {
	short, long := eve.Training{Points: 9, Seconds: new(int64(1))}, eve.Training{Points: 1, Seconds: new(int64(2))}
	few, many := eve.Training{Points: 1}, eve.Training{Points: 2}
	order := []eve.Training{short, long, few, many}
	for i, a := range order {
		for j, b := range order {
			require.Equal(t, min(1, max(-1, i-j)), eve.Closest(a, b))
		}
	}
}

func TestTrainingEndsWhateverSkillsNeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skill := rapid.Custom(func(t *rapid.T) eve.SetSkill {
			return level(rapid.Int64Range(1, 6).Draw(t, "id"), eve.SkillLevel(rapid.IntRange(1, 5).Draw(t, "level")), 0)
		})
		natures := rapid.MapOf(rapid.Int64Range(1, 6), rapid.Custom(func(t *rapid.T) eve.SkillNature {
			return eve.SkillNature{Rank: rapid.IntRange(1, 16).Draw(t, "rank"), Primary: 167, Secondary: 168, Needs: rapid.SliceOfN(skill, 0, 3).Draw(t, "needs")}
		})).Draw(t, "natures")
		wanted, skills := rapid.SliceOfN(skill, 1, 4).Draw(t, "wanted"), drawSkills(t)
		training := eve.TrainingFor(wanted, skills, &eve.Attributes{Perception: 20, Willpower: 20}, natures)
		for _, s := range training.Skills {
			require.Less(t, skills[s.TypeID].Trained, int(s.Required))
			skills[s.TypeID] = eve.SkillState{Active: int(s.Required), Trained: int(s.Required), Points: eve.SkillPoints(natures[s.TypeID].Rank, s.Required)}
		}
		require.True(t, eve.CheckSkills(skillsTrained(skills), eve.SkillSet{Skills: wanted}).HasRequired())
		require.Empty(t, eve.TrainingFor(wanted, skills, nil, natures).Skills, "then nothing is left")
	})
}

// skillsTrained is a character whose trained levels are all active.
func skillsTrained(skills eve.Skills) eve.Skills {
	active := eve.Skills{}
	for id, s := range skills {
		active[id] = eve.SkillState{Active: s.Trained, Trained: s.Trained}
	}
	return active
}
