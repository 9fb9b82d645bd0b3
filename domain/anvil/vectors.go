package anvil

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

// Vector is one acceptance case: a small world and the results that must come
// out in compat mode.
type Vector struct {
	Name     string
	Note     string
	Declared Declared
	Answers  []Answer
	// Expected are the results, as JSON.
	Expected json.RawMessage
}

// DecodeVector reads one vector. Errors have [event.CodeInvalid].
func DecodeVector(line []byte) (Vector, error) {
	var raw struct {
		Name     string          `json:"name"`
		Note     string          `json:"note"`
		Declared json.RawMessage `json:"declared"`
		AnVIL    json.RawMessage `json:"anvil"`
		Expected json.RawMessage `json:"expected"`
	}
	if err := strictJSON(line, &raw); err != nil {
		return Vector{}, event.Errorf(event.CodeInvalid, "not a vector: %w", err)
	}
	if raw.Name == "" || raw.Declared == nil || raw.AnVIL == nil || raw.Expected == nil {
		return Vector{}, event.Errorf(event.CodeInvalid, "not a vector: name, declared, anvil and expected must all be there")
	}
	v := Vector{Name: raw.Name, Note: raw.Note, Expected: raw.Expected}
	var err error
	if v.Declared, err = DecodeDeclared(bytes.NewReader(raw.Declared)); err != nil {
		return v, err
	}
	if err := v.Declared.Validate(Literal); err != nil {
		return v, err
	}
	v.Answers, err = DecodeAnswers(bytes.NewReader(raw.AnVIL))
	return v, err
}

// RunVectors audits each vector of a file, one a line, in compat mode and
// compares the results with the expected ones. models limits what is compared;
// empty means all. That of managed groups includes memberships, that of
// workspaces sharing.
//
// It fails with [event.CodeInvalid] for an unknown model, and, after the rest
// of the file was run, if a line is no vector or there is no vector at all; the
// report then holds what could be run.
func RunVectors(r io.Reader, models []string) (vector.Report, error) {
	keys, err := comparedKeys(models)
	if err != nil {
		return vector.Report{}, err
	}
	return vector.Run(r, "", func(line []byte) (vector.Case, error) {
		v, err := DecodeVector(line)
		return vector.Case{Name: v.Name, Compare: func() string { return v.Compare(keys) }}, err
	})
}

// comparedKeys are the fields of the expected results that belong to models.
func comparedKeys(models []string) ([]string, error) {
	parsed, err := ParseModels(models)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, m := range parsed {
		keys = append(keys, string(m))
		switch m {
		case ModelManagedGroups:
			keys = append(keys, string(ModelMemberships))
		case ModelWorkspaces:
			keys = append(keys, string(ModelSharing))
		}
	}
	return keys, nil
}

// ParseModels reads names of models; empty means all. The names of sub-audits
// stand for the audits that they belong to, and the names that the peer's command
// takes for those of Muster: BillingProject, Account, ManagedGroup, Workspace. It
// fails with [event.CodeInvalid].
func ParseModels(names []string) ([]Model, error) {
	if len(names) == 0 {
		return Models(), nil
	}
	var models []Model
	for _, name := range names {
		m := Model(name)
		if i := slices.IndexFunc(Models(), func(m Model) bool { return m.PeerName() == name }); i >= 0 {
			m = Models()[i]
		}
		switch m {
		case ModelMemberships:
			m = ModelManagedGroups
		case ModelSharing:
			m = ModelWorkspaces
		}
		if !slices.Contains(Models(), m) {
			return nil, event.Errorf(event.CodeInvalid, "model %q: must be one of %v, or BillingProject, Account, ManagedGroup or Workspace", name, Models())
		}
		if !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	return models, nil
}

// Compare audits the vector in compat mode and says where the results differ
// from the expected ones; empty when they do not. keys limits the fields of the
// results that are compared.
func (v Vector) Compare(keys []string) string {
	observed, err := ObserveAnswers(v.Answers)
	if err != nil {
		return err.Error()
	}
	return v.CompareResult(Audit(v.Declared, observed, Options{Compat: true}), keys)
}

// CompareResult says where the results of an audit in compat mode, however its
// two sides came to be known, differ from the expected ones of the vector; empty
// when they do not. keys limits the fields that are compared; nil means all.
func (v Vector) CompareResult(r *Result, keys []string) string {
	var got, want map[string]any
	encoded, err := json.Marshal(r)
	if err := errors.Join(err, json.Unmarshal(encoded, &got), json.Unmarshal(v.Expected, &want)); err != nil {
		return err.Error()
	}
	if keys == nil {
		all := maps.Clone(want)
		maps.Copy(all, got)
		keys = slices.Sorted(maps.Keys(all))
	}
	for _, key := range keys {
		if d := vector.Difference(key, want[key], got[key]); d != "" {
			return d
		}
	}
	return ""
}
