// Package auditreport shows people what audits of AnVIL have found: as a page, as
// a table, as text and as e-mail. It renders and does nothing else: it asks nobody
// and knows no clock.
package auditreport

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/muster-sync/muster/domain/anvil"
)

// Report is a result and what it is the result of. It must not be changed while
// it is rendered; it may be rendered by several goroutines.
type Report struct {
	// Subject names what was audited, such as a consortium or a file.
	Subject string
	// Compat says that the result is exactly that of the peer.
	Compat bool
	// SweptAt is when the sweep ended that the audit rests on, AuditedAt when it
	// was audited; zero if that is not known.
	SweptAt, AuditedAt time.Time
	Result             *anvil.Result
}

// Verdict says what became of a record.
type Verdict string

// The verdicts of [Row].
const (
	Verified Verdict = "verified"
	Wrong    Verdict = "error"
	NotInApp Verdict = "not in app"
	// Beyond is what the peer passes and an auditor would question.
	Beyond          Verdict = "to question"
	Ignored         Verdict = "ignored"
	UnmatchedIgnore Verdict = "unmatched ignore"
	Unknown         Verdict = "unknown"
	// Aborted is an audit that has no result, in the way of the peer.
	Aborted Verdict = "aborted"
)

// Row is one thing that an audit says of a record. A record with several errors
// has a row for each.
type Row struct {
	Model anvil.Model
	// Scope is the group or workspace of a sub-audit; empty for the others.
	Scope string
	// Record is the key of the record in the results; empty of an aborted audit.
	Record  string
	Verdict Verdict
	// Finding is the error text, or "not_in_app"; of what is unknown or aborted it
	// is the cause.
	Finding string
	// Expected and Observed are the two values, in words, and Severity says how
	// grave that is; all empty for what is no finding.
	Expected, Observed string
	Severity           anvil.Severity
}

// Name is the record in words: a row may be of all that there is beyond the
// declared, or of a whole audit.
func (r Row) Name() string {
	switch {
	case r.Verdict == Aborted:
		return "the whole audit"
	case r.Verdict == Unknown && r.Record == anvil.Everything:
		return "all that there may be beyond the declared"
	default:
		return OneLine(r.Record)
	}
}

// Audit names the audit that the row is of: its model and what it is limited to.
func (r Row) Audit() string { return nameOf(r.Model, r.Scope) }

// Rows are all rows of the report: audit by audit, what is wrong first and what
// was verified last.
func (r Report) Rows() []Row {
	var rows []Row
	for _, a := range r.Result.All() {
		rows = append(rows, rowsOf(a)...)
	}
	return rows
}

// Findings are the rows of what is wrong and of what could not be seen.
func (r Report) Findings() []Row {
	return slices.DeleteFunc(r.Rows(), func(row Row) bool { return !row.Verdict.notOK() })
}

// notOK tells whether the verdict keeps an audit from being ok.
func (v Verdict) notOK() bool {
	return v == Wrong || v == NotInApp || v == Beyond || v == Unknown || v == Aborted
}

// rowsOf are the rows of one audit.
func rowsOf(a anvil.Audited) []Row {
	row := func(v Verdict, record, finding string) Row {
		return Row{Model: a.Model, Scope: a.Scope, Record: record, Verdict: v, Finding: finding}
	}
	if a.Outcome.Aborted != "" {
		return []Row{row(Aborted, "", a.Outcome.Aborted)}
	}
	rows := differences(a)
	for _, record := range slices.Sorted(maps.Keys(a.Unknown)) {
		rows = append(rows, row(Unknown, record, a.Unknown[record]))
	}
	for _, record := range a.Outcome.Ignored {
		rows = append(rows, row(Ignored, record, ""))
	}
	for _, record := range a.IgnoredUnmatched {
		rows = append(rows, row(UnmatchedIgnore, record, ""))
	}
	for _, record := range a.Outcome.Verified {
		rows = append(rows, row(Verified, record, ""))
	}
	return rows
}

// differences are the rows of errors, then those of what nobody declared and of
// what is to be questioned, in order of the records. An error that nothing explains
// is shown without values.
func differences(a anvil.Audited) []Row {
	type point struct{ record, kind string }
	explained := map[point][]anvil.Discrepancy{}
	swapped := map[string]bool{}
	for _, d := range a.Discrepancies {
		at := point{d.Record, d.Kind}
		explained[at] = append(explained[at], d)
		if d.RoleSwap {
			swapped[otherRole(d.Record)] = true
		}
	}
	explain := func(v Verdict, record, kind string) Row {
		d := anvil.Discrepancy{Model: a.Model, Scope: a.Scope, Record: record, Kind: kind}
		at := point{record, kind}
		if known := explained[at]; len(known) > 0 {
			d, explained[at] = known[0], known[1:]
		}
		return Row{a.Model, a.Scope, record, v, kind, d.Expected, d.Observed, d.Severity()}
	}
	var rows []Row
	for _, record := range slices.Sorted(maps.Keys(a.Errors)) {
		for _, text := range slices.Sorted(slices.Values(a.Errors[record])) {
			rows = append(rows, explain(Wrong, record, text))
		}
	}
	for _, record := range a.Outcome.NotInApp {
		if swapped[record] {
			// The other half of an error that stands above.
			rows = append(rows, Row{a.Model, a.Scope, record, NotInApp, anvil.NotInApp, anvil.NotDeclared, "instead of the role that is declared", ""})
			continue
		}
		rows = append(rows, explain(NotInApp, record, anvil.NotInApp))
	}
	for _, record := range slices.Sorted(maps.Keys(a.Outcome.Beyond)) {
		for _, text := range a.Outcome.Beyond[record] {
			rows = append(rows, explain(Beyond, record, text))
		}
	}
	return rows
}

// otherRole is the record of an address in a group with its role swapped.
func otherRole(record string) string {
	role, email, _ := strings.Cut(record, ": ")
	other := anvil.RoleAdmin
	if role == string(anvil.RoleAdmin) {
		other = anvil.RoleMember
	}
	return string(other) + ": " + strings.ToLower(email)
}

// Count says how many records of audits came to what.
type Count struct {
	// Model is what was audited; empty of a total.
	Model anvil.Model
	// Audits is how many audits are counted, Failing how many of them are not ok.
	Audits, Failing int
	// Checked is how many declared records were to be verified: those that were,
	// those with errors, and those that could not be seen. What AnVIL has beyond
	// them is not among them.
	Checked, Verified int
	// Errors is how many declared records have errors, Unknown how many records
	// could not be seen, or not wholly.
	Errors, NotInApp, Ignored, UnmatchedIgnores, Unknown, Aborted int
	// Beyond is how many records are to be questioned that have no errors.
	Beyond int
}

// OK tells whether all audits that are counted saw everything and found nothing
// wrong.
func (c Count) OK() bool { return c.Failing == 0 }

// Rate is the share of verified records in words, with what it is a share of. It
// is rounded down: only all of them are 100 %.
func (c Count) Rate() string {
	if c.Checked == 0 {
		return "none to verify"
	}
	tenths := 1000 * c.Verified / c.Checked
	return fmt.Sprintf("%d of %d (%d.%d %%)", c.Verified, c.Checked, tenths/10, tenths%10)
}

func (c *Count) add(o Count) {
	c.Audits += o.Audits
	c.Failing += o.Failing
	c.Checked += o.Checked
	c.Verified += o.Verified
	c.Errors += o.Errors
	c.NotInApp += o.NotInApp
	c.Ignored += o.Ignored
	c.UnmatchedIgnores += o.UnmatchedIgnores
	c.Unknown += o.Unknown
	c.Aborted += o.Aborted
	c.Beyond += o.Beyond
}

// countOf counts one audit.
func countOf(a anvil.Audited) Count {
	c := Count{Model: a.Model, Audits: 1}
	if !a.Outcome.OK() {
		c.Failing = 1
	}
	if a.Outcome.Aborted != "" {
		c.Aborted = 1
		return c
	}
	c.Verified, c.Errors, c.NotInApp = len(a.Outcome.Verified), len(a.Errors), len(a.Outcome.NotInApp)
	c.Ignored, c.UnmatchedIgnores, c.Unknown = len(a.Outcome.Ignored), len(a.IgnoredUnmatched), len(a.Unknown)
	undeclared := map[string]bool{}
	for _, d := range a.Discrepancies {
		if d.Beyond && d.Expected == anvil.NotDeclared {
			undeclared[d.Record] = true
		}
	}
	c.Checked = c.Verified + c.Errors
	for record := range a.Outcome.Beyond {
		if len(a.Errors[record]) > 0 {
			continue
		}
		c.Beyond++
		if !undeclared[record] {
			c.Checked++
		}
	}
	for record := range a.Unknown {
		if len(a.Errors[record])+len(a.Outcome.Beyond[record]) == 0 && record != anvil.Everything {
			c.Checked++
		}
	}
	return c
}

// Counts counts the report by model, sub-audits after the audit that they belong
// to.
func (r Report) Counts() []Count {
	var counts []Count
	for _, a := range r.Result.All() {
		if len(counts) == 0 || counts[len(counts)-1].Model != a.Model {
			counts = append(counts, Count{Model: a.Model})
		}
		counts[len(counts)-1].add(countOf(a))
	}
	return counts
}

// Total counts the whole report.
func (r Report) Total() Count {
	var total Count
	for _, c := range r.Counts() {
		total.add(c)
	}
	return total
}

// bySeverity counts findings, the gravest first.
func (r Report) bySeverity() []severityCount {
	counts := map[anvil.Severity]int{}
	for _, row := range r.Rows() {
		counts[row.Severity]++
	}
	var list []severityCount
	for _, s := range anvil.Severities() {
		list = append(list, severityCount{s, counts[s]})
	}
	return list
}

type severityCount struct {
	Severity anvil.Severity
	N        int
}

// title names a family of audits for people.
func title(m anvil.Model) string {
	words := strings.ReplaceAll(string(m), "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// nameOf names an audit: its model and what it is limited to.
func nameOf(m anvil.Model, scope string) string {
	return strings.TrimSuffix(string(m)+" "+OneLine(scope), " ")
}

// OneLine is a text from outside that stays in its line and steers no terminal:
// whatever is not printed is a space.
func OneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
}
