package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// written is a file with the content.
func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestVectorsOfSkillSetsDecideTheExitStatus(t *testing.T) {
	f := func(content string, status int, stdout, stderr string) {
		t.Helper()
		out, errs, got := muster(t, "skillset", "--vectors", written(t, "cases.jsonl", content))
		require.Equal(t, status, got)
		require.Equal(t, stdout, out)
		require.Contains(t, errs, stderr)
	}
	good := `{"kind":"skillset","name":"good","skills":{},"set":{"skills":[]},"expected":{"failed_required":[],"failed_recommended":[],"has_required":true,"has_recommended":true,"missing":[]}}`
	bad := `{"kind":"skillset","name":"bad","skills":{},"set":{"skills":[]},"expected":{"failed_required":[1],"failed_recommended":[],"has_required":true,"has_recommended":true,"missing":[]}}`
	f(good, exitOK, "1 cases, 0 differ\n", "")
	f(good+"\n"+bad, exitFindings, "bad: failed_required is [], expected [1]\n2 cases, 1 differ\n", "")
	f("oops\n"+good, exitError, "line 1: not a vector: invalid character 'o' looking for beginning of value\n1 cases, 0 differ\n", "1 lines are no vectors")
	_, errs, status := muster(t, "skillset")
	require.Equal(t, exitError, status)
	require.Contains(t, errs, "say what to do")
}

const (
	oneSet = `{"skill_set_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "name": "Gunners", "description": "", "ship_type_id": 587, "ship_type_name": "Rifter", "visible": true,
		"skills": [{"type_id": 3300, "type_name": "Gunnery", "required": 3, "recommended": 5}, {"type_id": 3301, "required": null, "recommended": 2}],
		"groups": [{"skill_set_group_id": "7d444840-9dc0-11d1-b245-5ffdce74fad7", "label": "Doctrine: Shield"}], "defined_at": "2026-05-01T12:00:00Z", "defined_by": "token:admin"}`
	// setsAndChange answers a list and what a decision came to.
	setsAndChange = `{"items": [` + oneSet + `], "skill_set_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "changed": true, "version": 7}`
)

func TestSkillSetsAreListedAndShown(t *testing.T) {
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, setsAndChange, "skillset", "list")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/skill-sets", asked[0].path)
	require.Regexp(t, `(?m)^7d444840-\S+ +Gunners +2 +yes +Doctrine: Shield +2026-05-01 +token:admin$`, stdout)

	for _, called := range []string{"gunners", "7D444840-9dc0-11d1-b245-5ffdce74fad5"} {
		_, stdout, stderr, exit = declaring(t, http.StatusOK, setsAndChange, "skillset", "show", called)
		require.Equal(t, exitOK, exit, stderr)
		require.Regexp(t, `(?m)^Gunnery +III +V$`, stdout)
		require.Regexp(t, `(?m)^3301 +II$`, stdout)
	}
	_, stdout, stderr, exit = declaring(t, http.StatusOK, setsAndChange, "skillset", "show", "gunners", "-o", "text")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "Gunnery V\n3301 II\n", stdout, "what EVE takes from the clipboard")
	_, _, stderr, exit = declaring(t, http.StatusOK, setsAndChange, "skillset", "show", "pilots")
	require.Equal(t, exitError, exit)
	require.Contains(t, stderr, `no skill set with the id or name "pilots"`)
}

func TestWhatASkillSetIsShownAsCanBeDefinedAgain(t *testing.T) {
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, setsAndChange, "skillset", "define", "--overwrite", "-f", written(t, "set.json", oneSet))
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "skill set \"Gunners\" (7d444840-9dc0-11d1-b245-5ffdce74fad5) is defined (version 7)\n", stdout)
	require.Equal(t, []string{"true"}, asked[0].query["overwrite"])
	require.JSONEq(t, `{"name": "Gunners", "ship_type_id": 587, "visible": true, "skills": [{"type_id": 3300, "type_name": "Gunnery", "required": 3, "recommended": 5}, {"type_id": 3301, "recommended": 2}]}`, asked[0].body)

	asked, _, stderr, exit = declaring(t, http.StatusCreated, setsAndChange, "skillset", "define", "-f", written(t, "set.yaml", "name: Pilots\nskills:\n  - {type_name: Gunnery, required: 1}\n"))
	require.Equal(t, exitOK, exit, stderr)
	require.JSONEq(t, `{"name": "Pilots", "skills": [{"type_name": "Gunnery", "required": 1}]}`, asked[0].body)
	for content, want := range map[string]string{"name: x\nskils: []\n": "skils", "{": "neither YAML nor JSON", "- a": "not a skill set"} {
		_, _, stderr, exit = declaring(t, http.StatusCreated, setsAndChange, "skillset", "define", "-f", written(t, "set.yaml", content))
		require.Equal(t, exitError, exit)
		require.Contains(t, stderr, want)
	}

	asked, _, stderr, exit = declaring(t, http.StatusCreated, setsAndChange, "skillset", "clone", "Gunners", "More")
	require.Equal(t, exitOK, exit, stderr)
	require.JSONEq(t, `{"name": "More", "ship_type_id": 587, "visible": true, "skills": [{"type_id": 3300, "required": 3, "recommended": 5}, {"type_id": 3301, "recommended": 2}]}`, asked[1].body)
	asked, stdout, stderr, exit = declaring(t, http.StatusCreated, setsAndChange, "skillset", "remove", "gunners", "--reason", "over")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, http.MethodDelete, asked[1].method)
	require.Equal(t, "/v1/skill-sets/7d444840-9dc0-11d1-b245-5ffdce74fad5", asked[1].path)
	require.Equal(t, []string{"over"}, asked[1].query["reason"])
	require.Contains(t, stdout, "is removed (version 7)")
}

func TestTextsAreImportedAsSkillSets(t *testing.T) {
	const answer = `{"skill_set_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "changed": true, "version": 7, "name": "Fast", "ship_type_id": 587,
		"skills": [{"type_id": 3329, "required": 1, "recommended": null}], "ignored": [{"line": 3, "text": "Old", "reason": "there is none"}]}`
	file := written(t, "fit.txt", "[Rifter, Fast]\n\nOld")
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, answer, "skillset", "import-fitting", "-f", file, "--hidden")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "/v1/skill-sets/import-fitting", asked[0].path)
	require.JSONEq(t, `{"text": "[Rifter, Fast]\n\nOld", "visible": false}`, asked[0].body)
	require.Regexp(t, `(?m)^3329 +I$`, stdout)
	require.Contains(t, stdout, `skill set "Fast" (7d444840-9dc0-11d1-b245-5ffdce74fad5) is defined`)
	require.Contains(t, stderr, file+`: line 3: "Old": there is none`)

	asked, stdout, _, exit = declaring(t, http.StatusOK, answer, "skillset", "import-plan", "-f", file, "--name", "Plan", "--dry-run", "--overwrite")
	require.Equal(t, exitOK, exit)
	require.Equal(t, "/v1/skill-sets/import-plan", asked[0].path)
	require.JSONEq(t, `{"text": "[Rifter, Fast]\n\nOld", "name": "Plan", "visible": true, "dry_run": true, "overwrite": true}`, asked[0].body)
	require.NotContains(t, stdout, "defined")
}

func TestWhatACharacterLacksIsShown(t *testing.T) {
	const answer = `{"items": [` + oneSet + `], "character_id": 7, "has_required": false, "has_recommended": true, "observed_at": null, "text": "Gunnery III",
		"missing": [{"type_id": 3300, "type_name": "Gunnery", "level": 3, "active_skill_level": 1, "trained_skill_level": 2}], "training": {"skills": [], "skill_points": 6585, "seconds": 10536}}`
	asked, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "skillset", "show", "gunners", "--character", "7")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, []string{"7"}, asked[1].query["character_id"])
	require.Contains(t, stdout, "all required: no, all recommended: yes, left to train: 6585 skill points, 2h55m36s\nthe skills of this character were never read\n")
	require.Regexp(t, `(?m)^Gunnery +III +1 +2$`, stdout)
	_, stdout, stderr, exit = declaring(t, http.StatusOK, answer, "skillset", "show", "gunners", "--character", "7", "-o", "text")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, "Gunnery III\n", stdout)
}

func TestGroupsOfSkillSetsAreActedOnByName(t *testing.T) {
	const answer = `{"items": [{"skill_set_id": "7d444840-9dc0-11d1-b245-5ffdce74fad5", "skill_set_group_id": "7d444840-9dc0-11d1-b245-5ffdce74fad7", "name": "Shield", "skill_set_ids": [], "doctrine": true, "active": false}],
		"skill_set_group_id": "7d444840-9dc0-11d1-b245-5ffdce74fad7", "changed": false, "version": 7}`
	_, stdout, stderr, exit := declaring(t, http.StatusOK, answer, "skillset", "group", "list")
	require.Equal(t, exitOK, exit, stderr)
	require.Regexp(t, `(?m)^7d444840-\S+ +Shield +0 +yes +no$`, stdout)
	asked, stdout, stderr, exit := declaring(t, http.StatusCreated, answer, "skillset", "group", "define", "Shield", "--set", "shield", "--doctrine", "--overwrite")
	require.Equal(t, exitOK, exit, stderr)
	last := asked[len(asked)-1]
	require.Equal(t, http.MethodPut, last.method)
	require.Equal(t, "/v1/skill-set-groups/7d444840-9dc0-11d1-b245-5ffdce74fad7", last.path)
	require.JSONEq(t, `{"name": "Shield", "doctrine": true, "active": true, "skill_set_ids": ["7d444840-9dc0-11d1-b245-5ffdce74fad5"]}`, last.body)
	require.Contains(t, stdout, "was so already: defined")
	asked, _, stderr, exit = declaring(t, http.StatusCreated, answer, "skillset", "group", "remove", "SHIELD")
	require.Equal(t, exitOK, exit, stderr)
	require.Equal(t, http.MethodDelete, asked[1].method)
}
