package anvil

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// maxVectorLine bounds one vector: the largest known has 30 KB.
const maxVectorLine = 16 << 20

// Report is what running a file of vectors showed.
type Report struct {
	// Cases is the number of vectors that could be read, Differ how many of
	// them came out otherwise than expected.
	Cases, Differ int
	// Lines has one line for each vector that differs, beginning with its name,
	// and one for each line of the file that is no vector, with its number.
	Lines []string
}

// WriteTo prints the report: its lines and then the count.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	for _, line := range r.Lines {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "%d cases, %d differ\n", r.Cases, r.Differ)
	return b.WriteTo(w)
}

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
func RunVectors(r io.Reader, models []string) (Report, error) {
	keys, err := comparedKeys(models)
	if err != nil {
		return Report{}, err
	}
	var report Report
	var broken []error
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxVectorLine)
	number := 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		v, err := DecodeVector(lines.Bytes())
		if err != nil {
			err = fmt.Errorf("line %d: %w", number, err)
			broken = append(broken, err)
			report.Lines = append(report.Lines, err.Error())
			continue
		}
		report.Cases++
		if difference := v.Compare(keys); difference != "" {
			report.Differ++
			report.Lines = append(report.Lines, v.Name+": "+difference)
		}
	}
	if err := lines.Err(); err != nil {
		return report, fmt.Errorf("reading line %d of the vectors: %w", number+1, err)
	}
	if len(broken) > 0 {
		return report, event.Errorf(event.CodeInvalid, "%d lines are no vectors, the first: %w", len(broken), broken[0])
	}
	if report.Cases == 0 {
		return report, event.Errorf(event.CodeInvalid, "the file holds no vector: is it the right one?")
	}
	return report, nil
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
		if d := difference(key, want[key], got[key]); d != "" {
			return d
		}
	}
	return ""
}

// difference names the first place where two JSON values differ and shows both.
func difference(path string, want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	w, ok1 := want.(map[string]any)
	g, ok2 := got.(map[string]any)
	if ok1 && ok2 {
		all := maps.Clone(w)
		maps.Copy(all, g)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			_, wanted := w[key]
			_, there := g[key]
			switch {
			case !wanted:
				return fmt.Sprintf("%s.%s is %s, expected none", path, key, short(g[key]))
			case !there:
				return fmt.Sprintf("%s.%s is missing, expected %s", path, key, short(w[key]))
			}
			if d := difference(path+"."+key, w[key], g[key]); d != "" {
				return d
			}
		}
	}
	return fmt.Sprintf("%s is %s, expected %s", path, short(got), short(want))
}

func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(text) > 300 {
		return string(text[:300]) + "..."
	}
	return string(text)
}
