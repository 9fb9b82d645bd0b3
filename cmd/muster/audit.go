package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/query/auditreport"
)

// auditCommand compares what is declared with what AnVIL answers: of two
// files, of a file of vectors, or of a running Muster's read models.
type auditCommand struct {
	Declared   string   `help:"File with what is declared (YAML or JSON)." type:"existingfile" placeholder:"FILE"`
	Observed   string   `help:"File with AnVIL's answers (JSON)." type:"existingfile" placeholder:"FILE"`
	Vectors    string   `help:"File of vectors to check the audits against." type:"existingfile" placeholder:"FILE"`
	Consortium string   `help:"Audit what a running Muster knows of a consortium." placeholder:"NAME"`
	AsOf       string   `help:"Audit it as it was at this time, such as 2026-05-01T12:00:00Z; only with --consortium." placeholder:"TIME"`
	Compat     bool     `help:"Give the results of django-anvil-consortium-manager exactly."`
	Models     []string `help:"Audit only these: billing_projects, accounts, managed_groups, workspaces, or BillingProject, Account, ManagedGroup, Workspace." placeholder:"MODEL"`
	ErrorsOnly bool     `help:"Print, and send, only audits that are not ok."`
	Email      []string `help:"Send the results to these addresses, one e-mail for each audited model." placeholder:"EMAIL"`
	Output     string   `short:"o" help:"Format: ${enum}." enum:"table,json,csv,html" default:"table"`

	Mail mailServer `embed:"" prefix:"notify-"`
}

// Help implements kong's detailed help.
func (c *auditCommand) Help() string {
	return `Examples:
  muster audit --declared declared.yaml --observed answers.json --output json
  muster audit --compat --vectors cases.jsonl --models managed_groups
  muster audit --consortium primed --as-of 2026-05-01T12:00:00Z
  muster audit --consortium primed --output html > primed.html
  muster audit --consortium primed --errors-only --email admins@example.org

Exit status: 0 all agrees, 1 there are findings, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *auditCommand) Run(ctx context.Context, env *environment) error {
	models, err := anvil.ParseModels(c.Models)
	if err != nil {
		return err
	}
	if c.AsOf != "" && c.Consortium == "" {
		return event.Errorf(event.CodeInvalid, "--as-of needs --consortium: files know of no past")
	}
	if c.Vectors != "" {
		if len(c.Email) > 0 || c.ErrorsOnly {
			return event.Errorf(event.CodeInvalid, "--vectors checks the audits themselves: there is nothing to send, so leave out --email and --errors-only")
		}
		return c.runVectors(env)
	}
	// Before anything is asked: whoever wants an e-mail wants to know at once that
	// none can be sent.
	email, err := c.mailer()
	if err != nil {
		return err
	}
	var a audited
	switch {
	case c.Consortium != "":
		a, err = c.auditRemote(ctx, env)
	case c.Declared != "" && c.Observed != "":
		a, err = c.auditFiles(models)
	default:
		err = event.Errorf(event.CodeInvalid, "nothing to audit: give --declared and --observed, or --vectors, or --consortium")
	}
	if err != nil {
		return err
	}
	a.report.AuditedAt = time.Now()
	if err := c.print(env, a); err != nil {
		return err
	}
	if err := c.send(ctx, email, a.report); err != nil {
		return err
	}
	if !a.ok {
		return errFindings
	}
	return nil
}

// audited is a result, how it is printed as JSON, and whether all is well.
type audited struct {
	report auditreport.Report
	json   any
	ok     bool
}

// mailer is the way to those who are to get the results; nil if nobody is.
func (c *auditCommand) mailer() (*notify.Email, error) {
	if len(c.Email) == 0 {
		return nil, nil //nolint:nilnil // nobody is to get an e-mail
	}
	for _, address := range c.Email {
		if _, err := mail.ParseAddress(address); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "--email %q is no e-mail address: %w", address, err)
		}
	}
	return c.Mail.to(c.Email)
}

// send sends an e-mail for each audited model; with ErrorsOnly for each that is
// not ok. Without recipients nothing is sent, whatever was found: the peer would
// then send its errors to nobody.
func (c *auditCommand) send(ctx context.Context, email *notify.Email, report auditreport.Report) error {
	if email == nil {
		return nil
	}
	mails, err := report.Mails()
	if err != nil {
		return err
	}
	for _, m := range mails {
		if m.OK && c.ErrorsOnly {
			continue
		}
		if err := email.Mail(ctx, notify.Message{ID: uuid.New(), Date: report.AuditedAt, Subject: m.Subject, Text: m.Text, HTML: m.HTML}); err != nil {
			return event.Errorf(event.CodeUnavailable, "the audit of %s: %w", m.Model, err)
		}
	}
	return nil
}

// print prints the results; with ErrorsOnly those of audits that are not ok.
func (c *auditCommand) print(env *environment, a audited) error {
	report, asJSON := a.report, a.json
	if c.ErrorsOnly {
		report.Result = report.Result.Failing()
		asJSON = report.Result
	}
	switch c.Output {
	case "json":
		return printJSON(env.stdout, asJSON)
	case "csv":
		return report.CSV(env.stdout)
	case "html":
		return report.HTML(env.stdout)
	default:
		return printAudit(env.stdout, report)
	}
}

// printAudit prints how each audit stands, and what is wrong; of no audit nothing,
// which is what those want who are sent whatever a nightly job prints.
func printAudit(w io.Writer, report auditreport.Report) error {
	if len(report.Counts()) == 0 {
		return nil
	}
	counts := newTable("audit", "state", "verified", "errors", "not in app", "to question", "ignored", "unknown")
	for _, c := range report.Counts() {
		state := "ok"
		switch {
		case c.Aborted > 0:
			state = "aborted"
		case !c.OK():
			state = "not ok"
		}
		counts.row(string(c.Model), state, c.Rate(), strconv.Itoa(c.Errors), strconv.Itoa(c.NotInApp), strconv.Itoa(c.Beyond), strconv.Itoa(c.Ignored), strconv.Itoa(c.Unknown))
	}
	if err := counts.print(w); err != nil {
		return err
	}
	findings := report.Findings()
	if len(findings) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable("audit", "record", "finding", "expected", "observed", "severity")
	for _, row := range findings {
		finding := auditreport.OneLine(row.Finding)
		if row.Verdict == auditreport.Unknown || row.Verdict == auditreport.Aborted || row.Verdict == auditreport.Beyond {
			finding = string(row.Verdict) + ": " + finding
		}
		t.row(row.Audit(), row.Name(), finding, auditreport.OneLine(row.Expected), auditreport.OneLine(row.Observed), string(row.Severity))
	}
	return t.print(w)
}

func (c *auditCommand) runVectors(env *environment) error {
	file, err := os.Open(c.Vectors)
	if err != nil {
		return fmt.Errorf("opening the vectors: %w", err)
	}
	defer func() { _ = file.Close() }()
	report, err := anvil.RunVectors(file, c.Models)
	if _, printErr := report.WriteTo(env.stdout); printErr != nil {
		return fmt.Errorf("printing the report: %w", printErr)
	}
	if err != nil {
		return err
	}
	if report.Differ > 0 {
		return errFindings
	}
	return nil
}

func (c *auditCommand) auditFiles(models []anvil.Model) (audited, error) {
	declared, err := readFile(c.Declared, anvil.DecodeDeclared)
	if err != nil {
		return audited{}, err
	}
	if err := declared.Validate(anvil.Literal); err != nil {
		return audited{}, fmt.Errorf("%s: %w", c.Declared, err)
	}
	answers, err := readFile(c.Observed, anvil.DecodeAnswers)
	if err != nil {
		return audited{}, err
	}
	observed, err := anvil.ObserveAnswers(answers)
	if err != nil {
		return audited{}, fmt.Errorf("%s: %w", c.Observed, err)
	}
	result := anvil.Audit(declared, observed, anvil.Options{Compat: c.Compat, Models: models, At: time.Now()})
	subject := filepath.Base(c.Declared) + " against " + filepath.Base(c.Observed)
	return audited{auditreport.Report{Subject: subject, Compat: c.Compat, Result: result}, result, result.OK()}, nil
}

// auditRemote audits what a running Muster knows of a consortium.
func (c *auditCommand) auditRemote(ctx context.Context, env *environment) (audited, error) {
	api, err := env.settings.client()
	if err != nil {
		return audited{}, err
	}
	query, err := asOfQuery(c.AsOf)
	if err != nil {
		return audited{}, err
	}
	if c.Compat {
		query.Set("compat", "true")
	}
	if len(c.Models) > 0 {
		query.Set("models", strings.Join(c.Models, ","))
	}
	var answer struct {
		OK            bool                `json:"ok"`
		SweptAt       time.Time           `json:"swept_at"`
		Result        json.RawMessage     `json:"result"`
		Discrepancies []anvil.Discrepancy `json:"discrepancies"`
	}
	path := "/v1/anvil/" + url.PathEscape(c.Consortium) + "/audits?" + query.Encode()
	if err := api.do(ctx, http.MethodGet, path, nil, "", &answer); err != nil {
		return audited{}, err
	}
	result := &anvil.Result{}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return audited{}, fmt.Errorf("reading the audits of %s: %w", c.Consortium, err)
	}
	result.Explain(answer.Discrepancies)
	return audited{auditreport.Report{Subject: c.Consortium, Compat: c.Compat, SweptAt: answer.SweptAt, Result: result}, answer.Result, answer.OK}, nil
}

func readFile[T any](path string, decode func(r io.Reader) (T, error)) (T, error) {
	var zero T
	file, err := os.Open(path)
	if err != nil {
		return zero, fmt.Errorf("opening %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	v, err := decode(file)
	if err != nil {
		return zero, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
