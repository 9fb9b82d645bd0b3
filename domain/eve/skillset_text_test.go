package eve_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// typeBook knows a few types; what they need is not that of EVE.
func typeBook() eve.TypesByName {
	needs := func(skills ...eve.SetSkill) []eve.SetSkill { return skills }
	return eve.TypesByName{
		"rifter":                      {TypeID: 587, Needs: needs(level(3329, 1, 0))},
		"125mm gatling autocannon ii": {TypeID: 2873, Needs: needs(level(3302, 1, 0), level(3300, 2, 0))},
		"republic fleet emp s":        {TypeID: 21894, Needs: needs(level(3302, 3, 0))},
		"damage control ii":           {TypeID: 2048, Needs: needs(level(3392, 4, 0))},
		"hobgoblin ii":                {TypeID: 2456, Needs: needs(level(3436, 5, 0), level(3300, 1, 0))},
		"chip, odd":                   {TypeID: 7, Needs: needs(level(3411, 2, 0))},
		"tritanium":                   {TypeID: 34},
		"novelty":                     {TypeID: 8, NeedsUnknown: true},
		"gunnery":                     {TypeID: 3300, Skill: true},
		"small projectile turret":     {TypeID: 3302, Skill: true, Needs: needs(level(3300, 1, 0))},
	}
}

const fittingText = "[Rifter, Fast, and cheap]\r\n" + `
Damage Control II
[Empty Low slot]

[empty Med slot]

125mm Gatling AutoCannon II, Republic Fleet EMP S
125mm Gatling AutoCannon II /OFFLINE
Chip, Odd
[Empty Rig slot]


Hobgoblin II x3

Tritanium x1000
`

func readFitting(text string) (eve.SkillSet, []eve.IgnoredLine, error) {
	f, err := eve.ParseFitting(text)
	if err != nil {
		return eve.SkillSet{}, nil, err
	}
	return f.SkillSet(typeBook())
}

func TestAFittingNeedsTheHighestLevelsOfAllInIt(t *testing.T) {
	set, ignored, err := readFitting(fittingText)
	require.NoError(t, err)
	require.Empty(t, ignored)
	require.Equal(t, eve.SkillSet{Name: "Fast, and cheap", ShipTypeID: 587, Visible: true, Skills: []eve.SetSkill{
		level(3300, 2, 0), level(3302, 3, 0), level(3329, 1, 0), level(3392, 4, 0), level(3411, 2, 0), level(3436, 5, 0),
	}}, set)
	require.NoError(t, set.Validate())

	f, err := eve.ParseFitting(fittingText)
	require.NoError(t, err)
	require.Equal(t, []string{
		"Rifter", "Damage Control II", "125mm Gatling AutoCannon II, Republic Fleet EMP S", "125mm Gatling AutoCannon II", "Republic Fleet EMP S",
		"Chip, Odd", "Chip", "Odd", "Hobgoblin II x3", "Hobgoblin II", "Tritanium x1000", "Tritanium",
	}, f.TypeNames())
}

func TestLinesOfAFittingThatCannotBeReadAreNamed(t *testing.T) {
	set, ignored, err := readFitting("\n[Rifter, x]\nOld Thing I\n125mm Gatling AutoCannon II, Odd Charge S\nOld Thing I x5\nOld Gun, Republic Fleet EMP S /OFFLINE\nNovelty")
	require.NoError(t, err)
	require.Equal(t, []eve.IgnoredLine{
		{Line: 3, Text: "Old Thing I", Reason: `there is no type called "Old Thing I"`},
		{Line: 4, Text: "125mm Gatling AutoCannon II, Odd Charge S", Reason: `there is no type called "Odd Charge S"`},
		{Line: 5, Text: "Old Thing I x5", Reason: `there is no type called "Old Thing I"`},
		{Line: 6, Text: "Old Gun, Republic Fleet EMP S /OFFLINE", Reason: `there is no type called "Old Gun"`},
		{Line: 7, Text: "Novelty", Reason: "what this type needs is not known: load newer reference data"},
	}, ignored)
	require.Equal(t, []eve.SetSkill{level(3300, 2, 0), level(3302, 3, 0), level(3329, 1, 0)}, set.Skills, "what can be read of a line counts")
	require.Equal(t, `line 3: "Old Thing I": there is no type called "Old Thing I"`, ignored[0].String())
}

func TestWhatIsNoFittingIsRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, _, err := readFitting(text)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, want)
	}
	f("", "the fitting is empty")
	f(" \n\n", "the fitting is empty")
	f("\nRifter, x", `line 2: "Rifter, x" is no title`)
	f("[Rifter]", "is no title")
	f("[, x]", "is no title")
	f("[Rifter, x", "is no title")
	f("\n\n[Riftor, x]", `line 3: there is no ship called "Riftor"`)
	f("[Tritanium, x]", "nothing in the fitting needs a skill")
	f("\xff", "UTF-8")
	f(strings.Repeat("\n", 5001), "more than 5000 lines")
	f(strings.Repeat("x", 1<<20+1), "bytes long")
}

func readPlan(text string) (eve.SkillSet, []eve.IgnoredLine, error) {
	p, err := eve.ParseSkillPlan(text)
	if err != nil {
		return eve.SkillSet{}, nil, err
	}
	return p.SkillSet(typeBook())
}

func TestASkillPlanIsReadWithRomanAndArabicLevels(t *testing.T) {
	set, ignored, err := readPlan("Gunnery I\n\n  gunnery   III \nGunnery 2\nSmall Projectile Turret\tv\r\n")
	require.NoError(t, err)
	require.Empty(t, ignored)
	require.Equal(t, eve.SkillSet{Visible: true, Skills: []eve.SetSkill{level(3300, 3, 0), level(3302, 5, 0)}}, set, "the highest level counts, and nothing is added")
}

func TestLinesOfASkillPlanThatCannotBeReadAreNamed(t *testing.T) {
	set, ignored, err := readPlan("Gunnery VI\nGunnery 0\nGunnery\nRifter I\nGunneri II\nGunnery IV\n")
	require.NoError(t, err)
	require.Equal(t, []eve.SetSkill{level(3300, 4, 0)}, set.Skills)
	require.Equal(t, []eve.IgnoredLine{
		{Line: 1, Text: "Gunnery VI", Reason: `"VI" is no level: it must be from I to V, or from 1 to 5`},
		{Line: 2, Text: "Gunnery 0", Reason: `"0" is no level: it must be from I to V, or from 1 to 5`},
		{Line: 3, Text: "Gunnery", Reason: "a line must be the name of a skill and a level"},
		{Line: 4, Text: "Rifter I", Reason: `"Rifter" is no skill`},
		{Line: 5, Text: "Gunneri II", Reason: `there is no skill called "Gunneri": its name must be the English one`},
	}, ignored)

	_, ignored, err = readPlan("\nnothing here")
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, `line 2: "nothing here"`)
	require.Len(t, ignored, 1)
	_, _, err = readPlan("")
	require.ErrorContains(t, err, "the skill plan is empty")
}

// requireSet holds what a reader made of a text against the rules of all readers.
func requireSet(t *testing.T, text string, names []string, set eve.SkillSet, ignored []eve.IgnoredLine, err error) {
	t.Helper()
	lines := strings.Count(text, "\n") + 1
	for _, l := range ignored {
		require.GreaterOrEqual(t, l.Line, 1)
		require.LessOrEqual(t, l.Line, lines)
		require.NotEmpty(t, l.Reason)
		require.Contains(t, text, l.Text)
	}
	for _, name := range names {
		require.NotEmpty(t, name)
		require.Equal(t, strings.TrimSpace(name), name)
	}
	if err != nil {
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		return
	}
	set.Name = "set"
	require.NoError(t, set.Validate())
	sorted := set
	sorted.Normalise()
	require.Equal(t, sorted, set)
}

// FuzzFitting reads any text as a fitting: a set that follows the rules, or an error
// that says what is wrong.
func FuzzFitting(f *testing.F) {
	f.Add(fittingText)
	f.Add("[Rifter, a]\n[Empty slot]\n, \nx5\n x5\nRifter,\n/OFFLINE\n[Empty High slot] x3")
	f.Fuzz(func(t *testing.T, text string) {
		fitting, err := eve.ParseFitting(text)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		set, ignored, err := fitting.SkillSet(typeBook())
		requireSet(t, text, fitting.TypeNames(), set, ignored, err)
	})
}

// FuzzSkillPlan reads any text as a skill plan, likewise.
func FuzzSkillPlan(f *testing.F) {
	f.Add("Gunnery I\nSmall Projectile Turret 5\n\n x \nGunnery VI")
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := eve.ParseSkillPlan(text)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		set, ignored, err := plan.SkillSet(typeBook())
		requireSet(t, text, plan.TypeNames(), set, ignored, err)
	})
}
