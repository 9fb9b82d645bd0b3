package access

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// maxVectorLine bounds one vector: the largest known has 30 KB.
const maxVectorLine = 16 << 20

// VectorKind is what the vectors of a file are about.
type VectorKind string

// The kinds of vectors about organisations.
const (
	VectorsOfAccess     VectorKind = "access"
	VectorsOfCompliance VectorKind = "compliance"
)

// VectorReport is what running a file of vectors showed.
type VectorReport struct {
	// Cases is the number of vectors that could be read, Differ how many of
	// them came out otherwise than expected.
	Cases, Differ int
	// Lines has one line for each vector that differs, beginning with its name,
	// and one for each line of the file that is no vector, with its number.
	Lines []string
}

// WriteTo prints the report: its lines and then the count.
func (r VectorReport) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	for _, line := range r.Lines {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "%d cases, %d differ\n", r.Cases, r.Differ)
	return b.WriteTo(w)
}

// Vector is one acceptance case: an organisation and what must come out.
type Vector struct {
	Kind         VectorKind
	Name         string
	Note         string
	Organisation Organisation
	// Expected is the result, as JSON.
	Expected json.RawMessage
}

// DecodeVector reads one vector. Errors have [event.CodeInvalid].
func DecodeVector(line []byte) (Vector, error) {
	var raw struct {
		Kind     VectorKind      `json:"kind"`
		Name     string          `json:"name"`
		Note     string          `json:"note"`
		Org      json.RawMessage `json:"org"`
		Expected json.RawMessage `json:"expected"`
	}
	strict := json.NewDecoder(bytes.NewReader(line))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&raw); err != nil {
		return Vector{}, event.Errorf(event.CodeInvalid, "not a vector: %w", err)
	}
	if strict.InputOffset() != int64(len(bytes.TrimRight(line, " \t\r\n"))) {
		return Vector{}, event.Errorf(event.CodeInvalid, "not a vector: something follows the end of the object")
	}
	if raw.Name == "" || raw.Org == nil || raw.Expected == nil {
		return Vector{}, event.Errorf(event.CodeInvalid, "not a vector: kind, name, org and expected must all be there")
	}
	v := Vector{Kind: raw.Kind, Name: raw.Name, Note: raw.Note, Expected: raw.Expected}
	org, rejected, err := ReadOrganisation(bytes.NewReader(raw.Org))
	if err != nil {
		return v, err
	}
	if len(rejected) > 0 {
		return v, event.Errorf(event.CodeInvalid, "vector %s: %s: %s", v.Name, rejected[0].Record, rejected[0].Reason)
	}
	v.Organisation = org
	return v, nil
}

// RunVectors evaluates each vector of a file, one a line, and compares the result
// with the expected one.
//
// It fails with [event.CodeInvalid], after the rest of the file was run, if a line
// is no vector of the kind or there is no vector at all; the report then holds what
// could be run.
func RunVectors(r io.Reader, kind VectorKind) (VectorReport, error) {
	var report VectorReport
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
		if err == nil && v.Kind != kind {
			err = event.Errorf(event.CodeInvalid, "vector %s is of kind %q, expected %q: is it the right file?", v.Name, v.Kind, kind)
		}
		if err != nil {
			err = fmt.Errorf("line %d: %w", number, err)
			broken = append(broken, err)
			report.Lines = append(report.Lines, err.Error())
			continue
		}
		report.Cases++
		if difference := v.Compare(); difference != "" {
			report.Differ++
			report.Lines = append(report.Lines, v.Name+": "+difference)
		}
	}
	if err := lines.Err(); err != nil {
		return report, fmt.Errorf("reading line %d of the vectors: %w", number+1, err)
	}
	if len(broken) > 0 {
		return report, event.Errorf(event.CodeInvalid, "%d lines are no vectors of %s, the first: %w", len(broken), kind, broken[0])
	}
	if report.Cases == 0 {
		return report, event.Errorf(event.CodeInvalid, "the file holds no vector: is it the right one?")
	}
	return report, nil
}

// Compare evaluates the vector and says where the result differs from the expected
// one; empty when it does not.
func (v Vector) Compare() string {
	roster := NewRoster(v.Organisation)
	switch v.Kind {
	case VectorsOfAccess:
		return v.compare(roster.Rights())
	case VectorsOfCompliance:
		report := roster.Compliance(roster.Everybody(), nil)
		for i := range report.Users {
			// The reasons are ours.
			report.Users[i].Reasons = nil
		}
		return v.compare(report)
	default:
		return fmt.Sprintf("kind %q is not known", v.Kind)
	}
}

func (v Vector) compare(result any) string {
	encoded, err := json.Marshal(result)
	if err != nil {
		return err.Error()
	}
	got, err := exactJSON(encoded)
	if err != nil {
		return err.Error()
	}
	want, err := exactJSON(v.Expected)
	if err != nil {
		return err.Error()
	}
	return difference("result", want, got)
}

// exactJSON keeps numbers as they are written: ids have 64 bits.
func exactJSON(data []byte) (any, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
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
