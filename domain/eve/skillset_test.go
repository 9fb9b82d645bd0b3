package eve_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

func level(id int64, required, recommended eve.SkillLevel) eve.SetSkill {
	return eve.SetSkill{TypeID: id, Required: required, Recommended: recommended}
}

func TestAllVectorsOfSkillSetsComeOutAsExpected(t *testing.T) {
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "eve", "skillset.jsonl"))
	if err != nil {
		t.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/eve/skillset.jsonl (%v)", err)
	}
	report, err := eve.RunSkillSetVectors(bytes.NewReader(data))
	require.NoError(t, err)
	require.Empty(t, report.Lines)
	require.Equal(t, 30, report.Cases)
	var out strings.Builder
	_, err = report.WriteTo(&out)
	require.NoError(t, err)
	require.Equal(t, "30 cases, 0 differ\n", out.String())
}

const skillSetVector = `{"kind":"skillset","name":"small","note":"","skills":{"3300":{"active":2,"trained":5}},"set":{"skills":[{"type_id":3300,"required":3,"recommended":null}]},` +
	`"expected":{"failed_required":[3300],"failed_recommended":[],"has_required":false,"has_recommended":true,"missing":[[3300,3]]}}`

func TestVectorsOfSkillSetsReportDifferencesByName(t *testing.T) {
	f := func(old, changed, want string) {
		t.Helper()
		report, err := eve.RunSkillSetVectors(strings.NewReader(skillSetVector + "\n\n" + strings.Replace(skillSetVector, old, changed, 1) + "\n"))
		require.NoError(t, err)
		require.Equal(t, vector.Report{Cases: 2, Differ: 1, Lines: []string{want}}, report)
	}
	f(`"failed_required":[3300]`, `"failed_required":[]`, "small: failed_required is [3300], expected []")
	f(`"failed_recommended":[]`, `"failed_recommended":[1]`, "small: failed_recommended is [], expected [1]")
	f(`"has_required":false`, `"has_required":true`, "small: has_required is false, expected true")
	f(`"has_recommended":true`, `"has_recommended":false`, "small: has_recommended is true, expected false")
	f(`[[3300,3]]`, `[[3300,4]]`, "small: missing is [[3300 3]], expected [[3300 4]]")
}

func TestWhatIsNoVectorOfSkillSetsIsNamedByItsLine(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		report, err := eve.RunSkillSetVectors(strings.NewReader(line + "\n" + skillSetVector))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
		require.Equal(t, 1, report.Cases, "the rest is run")
		require.Len(t, report.Lines, 1)
	}
	f("oops", "line 1: not a vector")
	f(strings.Replace(skillSetVector, `"kind":"skillset"`, `"kind":"access"`, 1), `kind must be "skillset"`)
	f(strings.Replace(skillSetVector, `"expected":`, `"awaited":`, 1), "expected is not")
	f(strings.Replace(skillSetVector, `"required":3`, `"required":0`, 1), "a level of 0 asks for nothing")
	f(strings.Replace(skillSetVector, `"name":"small"`, `"name":""`, 1), "name must not be empty")
	_, err := eve.RunSkillSetVectors(strings.NewReader("\n"))
	require.ErrorContains(t, err, "no vector")
}

func TestLevelsThatAreNoneAreNull(t *testing.T) {
	data, err := json.Marshal(level(3300, 0, 5))
	require.NoError(t, err)
	require.JSONEq(t, `{"type_id": 3300, "required": null, "recommended": 5}`, string(data))
	var s eve.SetSkill
	require.NoError(t, json.Unmarshal([]byte(`{"type_id": 3300, "recommended": 5}`), &s))
	require.Equal(t, level(3300, 0, 5), s)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"type_id": 3300, "required": "IV"}`), &s), "a whole number from 1 to 5")
	require.ErrorContains(t, json.Unmarshal([]byte(`{"type_id": 3300, "required": 0}`), &s), "write null")
}

func TestASkillSetThatBreaksARuleIsRefusedByTheRule(t *testing.T) {
	good := eve.SkillSet{Name: "Logistics", Skills: []eve.SetSkill{level(3300, 3, 0)}}
	require.NoError(t, good.Validate())
	f := func(change func(*eve.SkillSet), wants ...string) {
		t.Helper()
		set := good
		set.Skills = slices.Clone(good.Skills)
		change(&set)
		err := set.Validate()
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f(func(s *eve.SkillSet) { s.Name = " " }, "name: must not be empty")
	f(func(s *eve.SkillSet) { s.Name = strings.Repeat("ä", 101) }, "name: has 101 characters, at most 100")
	f(func(s *eve.SkillSet) { s.Name = "two\nlines" }, "one line")
	f(func(s *eve.SkillSet) { s.Name = "\xff" }, "UTF-8")
	f(func(s *eve.SkillSet) { s.Description = strings.Repeat("x", 10_001) }, "description: has 10001 characters")
	f(func(s *eve.SkillSet) { s.Description = "\x00" }, "NUL")
	f(func(s *eve.SkillSet) { s.ShipTypeID = -1 }, "ship_type_id -1")
	f(func(s *eve.SkillSet) { s.Skills = nil }, "at least one")
	f(func(s *eve.SkillSet) { s.Skills = make([]eve.SetSkill, 1001) }, "there are 1001, at most 1000")
	f(func(s *eve.SkillSet) { s.Skills = append(s.Skills, level(3300, 4, 0)) }, "skills[1], type 3300: is there twice")
	f(func(s *eve.SkillSet) { s.Skills[0] = level(3300, 0, 0) }, "skills[0], type 3300: must have a required or a recommended level")
	f(func(s *eve.SkillSet) { s.Skills[0] = level(-2, 6, -1) }, "type_id must be the id of a skill", "required: level 6: must be from 1 to 5", "recommended: level -1")
	require.ErrorContains(t, eve.SkillSetGroup{}.Validate(), "name: must not be empty")
	require.NoError(t, eve.SkillSetGroup{Name: "Shield"}.Validate())
}

func TestGroupsAreLabelledAsMemberAuditDoes(t *testing.T) {
	f := func(doctrine, active bool, want string) {
		t.Helper()
		require.Equal(t, want, eve.SkillSetGroup{Name: "Shield", Doctrine: doctrine, Active: active}.Label())
	}
	f(false, true, "Shield")
	f(true, true, "Doctrine: Shield")
	f(false, false, "Shield [Not active]")
	f(true, false, "Doctrine: Shield [Not active]")
}

func TestMissingSkillsAreTextForTheClipboard(t *testing.T) {
	check := eve.CheckSkills(eve.Skills{3301: {Active: 1, Trained: 5}}, eve.SkillSet{Skills: []eve.SetSkill{
		level(3302, 0, 5), level(3301, 4, 3), level(3300, 1, 0), level(3303, 0, 0),
	}})
	names := map[int64]string{3300: "Gunnery", 3301: "Small Hybrid Turret"}
	require.Equal(t, "Gunnery I\nSmall Hybrid Turret IV\n3302 V", check.MissingText(func(id int64) string { return names[id] }))
	require.Empty(t, eve.SkillCheck{}.MissingText(nil))
	require.Equal(t, "7", eve.SkillLevel(7).Roman())
}

func TestDifferencesOfSkillSetsAreListed(t *testing.T) {
	before := eve.SkillSet{Name: "a", Visible: true, Skills: []eve.SetSkill{level(2, 3, 0), level(1, 1, 5), level(3, 0, 2)}}
	require.Empty(t, eve.DiffSkillSets(before, before))
	after := eve.SkillSet{Name: "b", Description: "d", ShipTypeID: 587, Skills: []eve.SetSkill{level(4, 4, 0), level(1, 2, 5), level(3, 0, 2)}}
	require.Equal(t, []eve.SkillSetChange{
		{Field: "name", Before: "a", After: "b"},
		{Field: "description", After: "d"},
		{Field: "ship_type_id", After: "587"},
		{Field: "visible", Before: "true", After: "false"},
		{Field: "skill", TypeID: 1, Before: "I, recommended V", After: "II, recommended V"},
		{Field: "skill", TypeID: 2, Before: "III"},
		{Field: "skill", TypeID: 4, After: "IV"},
	}, eve.DiffSkillSets(before, after))
}

func drawSkillSet(t *rapid.T) eve.SkillSet {
	ids := rapid.SliceOfNDistinct(rapid.Int64Range(1, 12), 1, 8, rapid.ID[int64]).Draw(t, "ids")
	set := eve.SkillSet{Name: "set"}
	for _, id := range ids {
		set.Skills = append(set.Skills, level(id, eve.SkillLevel(rapid.IntRange(0, 5).Draw(t, "required")), eve.SkillLevel(rapid.IntRange(0, 5).Draw(t, "recommended"))))
	}
	return set
}

func drawSkills(t *rapid.T) eve.Skills {
	return rapid.MapOf(rapid.Int64Range(1, 12), rapid.Custom(func(t *rapid.T) eve.SkillState {
		trained := rapid.IntRange(0, 5).Draw(t, "trained")
		return eve.SkillState{Active: rapid.IntRange(0, trained).Draw(t, "active"), Trained: trained}
	})).Draw(t, "skills")
}

func TestTrainingWhatIsMissingPassesTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, skills := drawSkillSet(t), drawSkills(t)
		check := eve.CheckSkills(skills, set)
		// Each failed level is missing, and nothing else is.
		missing := map[int64]bool{}
		for _, s := range check.Missing {
			missing[s.TypeID] = true
		}
		failed := map[int64]bool{}
		for _, s := range append(slices.Clone(check.FailedRequired), check.FailedRecommended...) {
			failed[s.TypeID] = true
		}
		require.Equal(t, failed, missing)
		for _, s := range check.Missing {
			skills[s.TypeID] = eve.SkillState{Active: int(s.Highest()), Trained: 5}
		}
		after := eve.CheckSkills(skills, set)
		require.True(t, after.HasRequired())
		require.True(t, after.HasRecommended())
		require.Empty(t, after.Missing)
	})
}

func TestNeitherTheOrderOfASetNorItsTrainedLevelsMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, skills := drawSkillSet(t), drawSkills(t)
		turned, capped := set, eve.Skills{}
		turned.Skills = slices.Clone(set.Skills)
		slices.Reverse(turned.Skills)
		for id, s := range skills {
			capped[id] = eve.SkillState{Active: s.Active, Trained: 5}
		}
		require.Equal(t, eve.CheckSkills(skills, set).Verdict(), eve.CheckSkills(capped, turned).Verdict())
		require.Empty(t, eve.DiffSkillSets(set, turned))
	})
}
