package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/vector"
)

// VectorKind is what the vectors of a file are about.
type VectorKind string

// The kinds of vectors about organisations.
const (
	VectorsOfAccess     VectorKind = "access"
	VectorsOfCompliance VectorKind = "compliance"
)

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
func RunVectors(r io.Reader, kind VectorKind) (vector.Report, error) {
	return vector.Run(r, string(kind), func(line []byte) (vector.Case, error) {
		v, err := DecodeVector(line)
		if err == nil && v.Kind != kind {
			err = event.Errorf(event.CodeInvalid, "vector %s is of kind %q, expected %q: is it the right file?", v.Name, v.Kind, kind)
		}
		return vector.Case{Name: v.Name, Compare: v.Compare}, err
	})
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
	return vector.Difference("result", want, got)
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
