package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// told is what the API says of a character and a skill set, in the words of the vectors.
func (f *folded) told(t *testing.T, character int64, set uuid.UUID) eve.SkillSetVerdict {
	t.Helper()
	a := f.get(fmt.Sprintf("/v1/characters/%d/skill-sets?limit=1000", character))
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var page api.SkillSetsSection
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	verdict := eve.SkillSetVerdict{FailedRequired: []int64{}, FailedRecommended: []int64{}, Missing: [][2]int64{}}
	found := 0
	for _, item := range page.Items {
		if item.SkillSetID != set {
			continue
		}
		found++
		verdict.HasRequired, verdict.HasRecommended = item.HasRequired, item.HasRecommended
		for _, skill := range item.FailedRequired {
			verdict.FailedRequired = append(verdict.FailedRequired, skill.TypeID)
		}
		for _, skill := range item.FailedRecommended {
			verdict.FailedRecommended = append(verdict.FailedRecommended, skill.TypeID)
		}
	}
	require.Equal(t, 1, found)

	a = f.get(fmt.Sprintf("/v1/skill-sets/%s/missing?character_id=%d", set, character))
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var missing api.MissingSkills
	require.NoError(t, json.Unmarshal([]byte(a.text), &missing))
	for _, skill := range missing.Missing {
		verdict.Missing = append(verdict.Missing, [2]int64{skill.TypeID, int64(skill.Level)})
	}
	// Both resources must agree, and each skill of the set must say the same.
	require.Equal(t, verdict.HasRequired, missing.HasRequired)
	require.Equal(t, verdict.HasRecommended, missing.HasRecommended)
	worst := "full"
	for _, skill := range missing.Skills {
		if skill.Met == "none" || skill.Met == "partial" && worst == "full" {
			worst = skill.Met
		}
	}
	switch {
	case !verdict.HasRequired:
		require.Equal(t, "none", worst)
	case !verdict.HasRecommended:
		require.Equal(t, "partial", worst)
	default:
		require.Equal(t, "full", worst)
	}
	return verdict
}

// passed tells whether the report of a set has a character among those who pass it.
func (f *folded) passed(t *testing.T, character int64, set uuid.UUID) bool {
	t.Helper()
	a := f.get("/v1/reports/skill-sets?skill_set_id=" + set.String())
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	var page api.Page[api.SkillSetReport]
	require.NoError(t, json.Unmarshal([]byte(a.text), &page))
	require.Len(t, page.Items, 1)
	for _, who := range page.Items[0].Who {
		if who.CharacterID == character {
			return true
		}
	}
	return false
}

// The acceptance cases: each is folded into real tables, as a character's skills and a
// skill set, and asked about over HTTP. The sets of the cases before are there, too.
func TestAllVectorsOfSkillSetsComeOutAsExpectedOverHTTP(t *testing.T) {
	shared := os.Getenv("MUSTER_SHARED_DIR")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "eve", "skillset.jsonl"))
	if err != nil {
		t.Skipf("no acceptance vectors: set MUSTER_SHARED_DIR to the folder that holds vectors/eve (%v)", err)
	}
	f := newFolded(t)
	f.tell(t, event.User("u"), userOf("u"))
	cases := 0
	for line := range strings.Lines(string(data)) {
		vector, err := eve.DecodeSkillSetVector([]byte(line))
		require.NoError(t, err)
		cases++
		t.Run(vector.Name, func(t *testing.T) {
			id, set := 90000000+int64(cases), uuid.New()
			f.tell(t, event.Org, eve.SkillSetDefined{SkillSetID: set, SkillSet: eve.SkillSet{Name: vector.Name, Visible: true, Skills: vector.Set.Skills}})
			type skill struct {
				ID      int64 `json:"skill_id"`
				Active  int   `json:"active_skill_level"`
				Trained int   `json:"trained_skill_level"`
			}
			skills := []skill{}
			for skillID, state := range vector.Skills {
				skills = append(skills, skill{skillID, state.Active, state.Trained})
			}
			value, err := json.Marshal(map[string]any{"skills": skills, "total_sp": 0})
			require.NoError(t, err)
			f.tell(t, event.Character(id), eve.CharacterRegistered{CharacterID: id, Name: vector.Name, UserID: "u", CorporationID: 1},
				eve.SectionObserved{CharacterID: id, Section: eve.SectionSkills, Encoding: eve.EncodingFull, ContentHash: "h", FetchedAt: moment, Value: value})
			require.Equal(t, vector.Expected, f.told(t, id, set))
			require.Equal(t, vector.Expected.HasRequired, f.passed(t, id, set))
		})
	}
	require.Equal(t, 30, cases)
}
