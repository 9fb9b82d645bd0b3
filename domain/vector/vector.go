// Package vector runs files of acceptance cases, one a line, and tells what comes
// out otherwise than expected. What a case is, and how it is evaluated, each world
// says for itself.
package vector

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

// maxLine bounds one case: the largest known has 30 KB.
const maxLine = 16 << 20

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

// Case is one vector that was read.
type Case struct {
	Name string
	// Compare evaluates it and says where the result differs from the expected
	// one; empty when it does not.
	Compare func() string
}

// Run evaluates each vector of a file, one a line; read makes a case of a line. of
// names the kind of vectors for errors, and may be empty.
//
// It fails with [event.CodeInvalid], after the rest of the file was run, if a line
// is no vector or there is no vector at all; the report then holds what could be
// run.
func Run(r io.Reader, of string, read func(line []byte) (Case, error)) (Report, error) {
	var report Report
	var broken []error
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	number := 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		c, err := read(lines.Bytes())
		if err != nil {
			err = fmt.Errorf("line %d: %w", number, err)
			broken = append(broken, err)
			report.Lines = append(report.Lines, err.Error())
			continue
		}
		report.Cases++
		if difference := c.Compare(); difference != "" {
			report.Differ++
			report.Lines = append(report.Lines, c.Name+": "+difference)
		}
	}
	if err := lines.Err(); err != nil {
		return report, fmt.Errorf("reading line %d of the vectors: %w", number+1, err)
	}
	if len(broken) > 0 {
		if of != "" {
			of = " of " + of
		}
		return report, event.Errorf(event.CodeInvalid, "%d lines are no vectors%s, the first: %w", len(broken), of, broken[0])
	}
	if report.Cases == 0 {
		return report, event.Errorf(event.CodeInvalid, "the file holds no vector: is it the right one?")
	}
	return report, nil
}

// Difference names the first place where two decoded JSON values differ, from the
// path on, and shows both; empty when they do not differ.
func Difference(path string, want, got any) string {
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
			if d := Difference(path+"."+key, w[key], g[key]); d != "" {
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
