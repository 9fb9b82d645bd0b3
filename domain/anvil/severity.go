package anvil

import (
	"slices"

	"github.com/muster-sync/muster/domain/event"
)

// Severities are all severities, the gravest first.
func Severities() []Severity {
	return []Severity{SeverityHigh, SeverityMedium, SeverityLow}
}

// ParseSeverity reads a severity. It fails with [event.CodeInvalid] for what is
// none.
func ParseSeverity(name string) (Severity, error) {
	if s := Severity(name); slices.Contains(Severities(), s) {
		return s, nil
	}
	return "", event.Errorf(event.CodeInvalid, "severity %q: must be one of %v", name, Severities())
}

// AtLeast tells whether s is as grave as the threshold, or graver. What is no
// severity is neither.
func (s Severity) AtLeast(threshold Severity) bool {
	at, least := slices.Index(Severities(), s), slices.Index(Severities(), threshold)
	return at >= 0 && least >= 0 && at <= least
}

// Severity ranks the discrepancy: it is that of the finding that is made of it.
func (d Discrepancy) Severity() Severity { return severity(d) }
