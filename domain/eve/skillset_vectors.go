package eve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

// SkillSetVector is an acceptance case: the skills of a character, a skill set, and
// what must come out.
type SkillSetVector struct {
	Name string `json:"name"`
	// Note says what the case is about; no part of the input.
	Note   string `json:"note"`
	Skills Skills `json:"skills"`
	Set    struct {
		Skills []SetSkill `json:"skills"`
	} `json:"set"`
	Expected SkillSetVerdict `json:"expected"`
}

// SkillSetVerdict is a check in the words of the vectors.
type SkillSetVerdict struct {
	FailedRequired    []int64 `json:"failed_required"`
	FailedRecommended []int64 `json:"failed_recommended"`
	HasRequired       bool    `json:"has_required"`
	HasRecommended    bool    `json:"has_recommended"`
	// Missing are pairs of type id and level.
	Missing [][2]int64 `json:"missing"`
}

// Verdict is the check in the words of the vectors.
func (c SkillCheck) Verdict() SkillSetVerdict {
	v := SkillSetVerdict{
		FailedRequired: []int64{}, FailedRecommended: []int64{}, Missing: [][2]int64{},
		HasRequired: c.HasRequired(), HasRecommended: c.HasRecommended(),
	}
	for _, s := range c.FailedRequired {
		v.FailedRequired = append(v.FailedRequired, s.TypeID)
	}
	for _, s := range c.FailedRecommended {
		v.FailedRecommended = append(v.FailedRecommended, s.TypeID)
	}
	for _, s := range c.Missing {
		v.Missing = append(v.Missing, [2]int64{s.TypeID, int64(s.Highest())})
	}
	return v
}

// DecodeSkillSetVector reads one vector. Errors have [event.CodeInvalid].
func DecodeSkillSetVector(line []byte) (SkillSetVector, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return SkillSetVector{}, event.Errorf(event.CodeInvalid, "not a vector: %w", err)
	}
	if kind := string(fields["kind"]); kind != `"skillset"` {
		return SkillSetVector{}, event.Errorf(event.CodeInvalid, `not a vector of skill sets: kind must be "skillset"`)
	}
	for _, name := range []string{"name", "skills", "set", "expected"} {
		if fields[name] == nil {
			return SkillSetVector{}, event.Errorf(event.CodeInvalid, "not a vector: name, skills, set and expected must all be there, %s is not", name)
		}
	}
	delete(fields, "kind")
	rest, err := json.Marshal(fields)
	if err != nil {
		return SkillSetVector{}, event.Errorf(event.CodeInvalid, "not a vector: %w", err)
	}
	in := json.NewDecoder(bytes.NewReader(rest))
	in.DisallowUnknownFields()
	var v SkillSetVector
	if err := in.Decode(&v); err != nil {
		return SkillSetVector{}, event.Errorf(event.CodeInvalid, "not a vector: %w", err)
	}
	if v.Name == "" {
		return SkillSetVector{}, event.Errorf(event.CodeInvalid, "not a vector: name must not be empty")
	}
	return v, nil
}

// Compare checks the vector and names the first thing that comes out otherwise than
// expected; empty if nothing does.
func (v SkillSetVector) Compare() string {
	got, want := CheckSkills(v.Skills, SkillSet{Skills: v.Set.Skills}).Verdict(), v.Expected
	differs := func(name string, got, want any) string { return fmt.Sprintf("%s is %v, expected %v", name, got, want) }
	switch {
	case !slices.Equal(got.FailedRequired, want.FailedRequired):
		return differs("failed_required", got.FailedRequired, want.FailedRequired)
	case !slices.Equal(got.FailedRecommended, want.FailedRecommended):
		return differs("failed_recommended", got.FailedRecommended, want.FailedRecommended)
	case got.HasRequired != want.HasRequired:
		return differs("has_required", got.HasRequired, want.HasRequired)
	case got.HasRecommended != want.HasRecommended:
		return differs("has_recommended", got.HasRecommended, want.HasRecommended)
	case !slices.Equal(got.Missing, want.Missing):
		return differs("missing", got.Missing, want.Missing)
	}
	return ""
}

// RunSkillSetVectors checks each vector of a file, one a line, and compares the
// verdicts with the expected ones. After the rest of the file was run it fails with
// [event.CodeInvalid] if a line is no vector or there is no vector at all; the report
// then holds what could be run.
func RunSkillSetVectors(r io.Reader) (vector.Report, error) {
	return vector.Run(r, "", func(line []byte) (vector.Case, error) {
		v, err := DecodeSkillSetVector(line)
		return vector.Case{Name: v.Name, Compare: v.Compare}, err
	})
}
