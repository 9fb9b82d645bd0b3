package auditreport

import (
	"encoding/csv"
	"fmt"
	"io"

	"github.com/muster-sync/muster/internal/spreadsheet"
)

// CSV writes all rows of the report as RFC 4180 has it, with a header line. No
// cell is a formula to a spreadsheet.
func (r Report) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	lines := [][]string{{"audit", "scope", "record", "result", "finding", "expected", "observed", "severity"}}
	for _, row := range r.Rows() {
		line := []string{string(row.Model), row.Scope, row.Record, string(row.Verdict), row.Finding, row.Expected, row.Observed, string(row.Severity)}
		for i := range line {
			line[i] = spreadsheet.Harmless(line[i])
		}
		lines = append(lines, line)
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("writing an audit as CSV: %w", err)
	}
	return nil
}
