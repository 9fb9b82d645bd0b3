package auditreport

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/muster-sync/muster/domain/anvil"
)

// Mail is what is sent of one audited model.
type Mail struct {
	Model anvil.Model
	// OK tells whether the audit and its sub-audits saw everything and found
	// nothing wrong.
	OK bool
	// Subject is the peer's, ACM v0.35.2, run_anvil_audit: "AnVIL audit
	// ManagedGroupAudit -- ok", or "... -- errors!".
	Subject string
	// Text and HTML are the two parts; they say the same.
	Text, HTML string
}

// Mails makes an e-mail of each audit of the report, with the sub-audits that
// belong to it, in the order in which they are run.
func (r Report) Mails() ([]Mail, error) {
	var mails []Mail
	for _, m := range r.Result.Models() {
		one := r
		one.Result = r.Result.Of(m)
		mail := Mail{Model: m, OK: one.Result.OK(), Subject: "AnVIL audit " + m.PeerName() + "Audit -- ok"}
		if !mail.OK {
			mail.Subject = "AnVIL audit " + m.PeerName() + "Audit -- errors!"
		}
		var text, html bytes.Buffer
		view := viewOf(one)
		view.Title = mail.Subject
		view.Ignored = one.Total().Ignored
		if err := one.text(&text, view); err != nil {
			return nil, fmt.Errorf("writing an e-mail about %s: %w", m, err)
		}
		if err := pages.ExecuteTemplate(&html, "mail.html.tmpl", view); err != nil {
			return nil, fmt.Errorf("writing an e-mail about %s: %w", m, err)
		}
		mail.Text, mail.HTML = text.String(), html.String()
		mails = append(mails, mail)
	}
	return mails, nil
}

// text writes the part of an e-mail for those who read no HTML. The two sentences
// about how many were verified and ignored are the peer's.
func (r Report) text(w io.Writer, v view) error {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("%s", v.Title)
	line("")
	for _, fact := range v.Facts {
		line("%s: %s", fact.Name, OneLine(fact.Value))
	}
	line("")
	for i, a := range v.all() {
		if i > 0 {
			if a.OK {
				continue
			}
			line("")
			line("== %s ==", nameOf(a.Model, a.Scope))
		}
		line("%d instance(s) verified.", a.Count.Verified)
		if ignored := v.ignoredOf(i, a); ignored > 0 {
			line("Ignoring %d record(s).", ignored)
		}
		for _, part := range a.Findings {
			line("")
			line("%s:", part.Title)
			for _, row := range part.Rows {
				line("  %s", strings.TrimSuffix(row.Name()+": "+OneLine(row.Finding), ": "+anvil.NotInApp))
				if row.Expected != "" || row.Observed != "" {
					line("    expected: %s", OneLine(row.Expected))
					line("    observed: %s", OneLine(row.Observed))
				}
			}
		}
	}
	if passed := v.PassedSubAudits(); passed > 0 {
		line("")
		line("%d audit(s) within it found nothing wrong.", passed)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
