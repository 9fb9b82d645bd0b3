package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/spreadsheet"
	"github.com/muster-sync/muster/query/auditreport"
)

// findingCommand shows the findings of a consortium of a running Muster.
type findingCommand struct {
	List findingList `cmd:"" help:"List findings, the newest first."`
	Show findingShow `cmd:"" help:"Show a finding and the events that it rests on."`

	Accept   findingAccept   `cmd:"" help:"Accept an open finding as it is, for a reason."`
	Unaccept findingUnaccept `cmd:"" help:"End that."`
}

// Help implements kong's detailed help.
func (c *findingCommand) Help() string {
	return `Examples:
  muster finding list --consortium primed
  muster finding list --consortium primed --severity high --output csv
  muster finding list --consortium primed --fail-on medium
  muster finding accept --consortium primed --reason "known since the merger" 0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11
  muster finding show --consortium primed 0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11`
}

type findingList struct {
	Consortium string   `help:"Name of the consortium." required:"" placeholder:"NAME"`
	State      string   `help:"Only those that are open, resolved, or all." default:"open" placeholder:"STATE"`
	Model      []string `help:"Only of these audits, such as accounts or managed_group_memberships." placeholder:"MODEL"`
	Severity   string   `help:"Only those of this severity: high, medium, low." enum:",high,medium,low" default:"" placeholder:"SEVERITY"`
	FailOn     string   `help:"End with status 1 if an open finding of this severity or above is listed that nobody has accepted: high, medium, low." enum:",high,medium,low" default:"" placeholder:"SEVERITY"`
	Output     string   `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *findingList) Help() string {
	return `Examples:
  muster finding list --consortium primed --model workspace_sharing
  muster finding list --consortium primed --fail-on high --output json

Exit status: 0 it is listed, 1 an open finding of the severity of --fail-on or above that nobody has accepted is in the list,
2 it could not be done.`
}

// findingLine is a finding as the API lists it.
type findingLine struct {
	ID         string         `json:"finding_id"`
	Model      anvil.Model    `json:"model"`
	Scope      string         `json:"scope"`
	Record     string         `json:"record"`
	Kind       string         `json:"kind"`
	Severity   anvil.Severity `json:"severity"`
	State      string         `json:"state"`
	Expected   string         `json:"expected"`
	Observed   string         `json:"observed"`
	OpenedAt   time.Time      `json:"opened_at"`
	ChangedAt  time.Time      `json:"changed_at"`
	ResolvedAt *time.Time     `json:"resolved_at"`
	Reopened   int            `json:"reopened"`
	Beyond     bool           `json:"beyond"`
	RoleSwap   bool           `json:"role_swap"`
	Accepted   *struct {
		By     string     `json:"by"`
		At     time.Time  `json:"at"`
		Reason string     `json:"reason"`
		Until  *time.Time `json:"until"`
	} `json:"accepted"`
	Side     string `json:"changed_side"`
	Evidence []struct {
		Side    string `json:"side"`
		Kind    string `json:"kind"`
		Name    string `json:"name"`
		EventID string `json:"event_id"`
	} `json:"evidence"`
}

// Run implements the subcommand.
func (c *findingList) Run(ctx context.Context, env *environment) error {
	if err := c.contradiction(); err != nil {
		return err
	}
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	// What the API says is printed as it says it: a newer one may say more.
	said, err := c.ask(ctx, api)
	if err != nil {
		return err
	}
	lines := make([]findingLine, len(said))
	grave := false
	for i, text := range said {
		if err := json.Unmarshal(text, &lines[i]); err != nil {
			return fmt.Errorf("reading a finding of %s: %w", c.Consortium, err)
		}
		grave = grave || lines[i].State == "open" && lines[i].Accepted == nil && lines[i].Severity.AtLeast(anvil.Severity(c.FailOn))
	}
	switch c.Output {
	case "json":
		err = printJSON(env.stdout, said)
	case "csv":
		err = findingsCSV(env.stdout, lines)
	default:
		err = findingsTable(env.stdout, lines, time.Now())
	}
	if err != nil {
		return err
	}
	if grave {
		return errFindings
	}
	return nil
}

// contradiction refuses filters that leave nothing for FailOn to fail on: whoever
// runs that every night would believe that all is well.
func (c *findingList) contradiction() error {
	if c.FailOn == "" {
		return nil
	}
	if c.State != "open" && c.State != "all" {
		return event.Errorf(event.CodeInvalid, "--fail-on is about open findings, and --state %s lists none: leave one of them out", c.State)
	}
	if c.Severity != "" && !anvil.Severity(c.Severity).AtLeast(anvil.Severity(c.FailOn)) {
		return event.Errorf(event.CodeInvalid, "--fail-on %s can never fail, as --severity %s lists none of that severity: leave one of them out", c.FailOn, c.Severity)
	}
	return nil
}

// ask reads all pages of the list.
func (c *findingList) ask(ctx context.Context, api *client) ([]json.RawMessage, error) {
	query := url.Values{"limit": {"1000"}, "state": {c.State}}
	if c.Severity != "" {
		query.Set("severity", c.Severity)
	}
	if len(c.Model) > 0 {
		query.Set("model", strings.Join(c.Model, ","))
	}
	all := []json.RawMessage{}
	for {
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next_cursor"`
		}
		if err := api.do(ctx, http.MethodGet, "/v1/anvil/"+url.PathEscape(c.Consortium)+"/findings?"+query.Encode(), nil, "", &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

func findingsTable(w io.Writer, lines []findingLine, now time.Time) error {
	t := newTable("severity", "age", "state", "audit", "record", "finding", "expected", "observed", "id")
	for _, l := range lines {
		t.row(string(l.Severity), age(now.Sub(l.OpenedAt)), l.standing(), l.audit(), auditreport.OneLine(l.Record), auditreport.OneLine(l.Kind),
			auditreport.OneLine(l.Expected), auditreport.OneLine(l.Observed), l.ID)
	}
	return t.print(w)
}

func findingsCSV(w io.Writer, lines []findingLine) error {
	t := newTable("finding_id", "severity", "state", "model", "scope", "record", "kind", "expected", "observed", "opened_at", "changed_at", "resolved_at", "reopened", "accepted_by", "accepted_reason")
	for _, l := range lines {
		settled := ""
		if l.ResolvedAt != nil {
			settled = moment(l.ResolvedAt)
		}
		cells := []string{
			l.ID, string(l.Severity), l.State, string(l.Model), l.Scope, l.Record, l.Kind, l.Expected, l.Observed,
			moment(&l.OpenedAt), moment(&l.ChangedAt), settled, strconv.Itoa(l.Reopened), "", "",
		}
		if a := l.Accepted; a != nil {
			cells[13], cells[14] = a.By, a.Reason
		}
		for i := range cells {
			cells[i] = spreadsheet.Harmless(cells[i])
		}
		t.row(cells...)
	}
	return t.show(w, "csv", nil)
}

// standing is the state, and whether it was accepted.
func (l findingLine) standing() string {
	if l.Accepted != nil {
		return "accepted"
	}
	return l.State
}

// audit names the audit that the finding is of.
func (l findingLine) audit() string {
	return strings.TrimSuffix(string(l.Model)+" "+auditreport.OneLine(l.Scope), " ")
}

// age is a time span in words, rounded down.
func age(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int64(d / unit.length); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return strconv.FormatInt(n, 10) + " " + unit.name + "s"
		}
	}
	return "under a minute"
}

type findingShow struct {
	ID         string `arg:"" help:"The finding's id." name:"id"`
	Consortium string `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Output     string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}; csv has the finding alone."`
}

// Run implements the subcommand.
func (c *findingShow) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var said json.RawMessage
	if err := api.do(ctx, http.MethodGet, "/v1/anvil/"+url.PathEscape(c.Consortium)+"/findings/"+url.PathEscape(c.ID), nil, "", &said); err != nil {
		return err
	}
	var line findingLine
	if err := json.Unmarshal(said, &line); err != nil {
		return fmt.Errorf("reading finding %s: %w", c.ID, err)
	}
	switch c.Output {
	case "json":
		return printJSON(env.stdout, said)
	case "csv":
		return findingsCSV(env.stdout, []findingLine{line})
	default:
		return line.show(env.stdout, time.Now())
	}
}

// show prints the finding and the events that it rests on.
func (l findingLine) show(w io.Writer, now time.Time) error {
	facts := newTable("finding", "")
	opened := moment(&l.OpenedAt) + ", " + age(now.Sub(l.OpenedAt)) + " ago"
	if l.Reopened > 0 {
		opened += fmt.Sprintf("; reopened, it had been resolved before: %d", l.Reopened)
	}
	for _, fact := range [][2]string{
		{"id", l.ID},
		{"severity", string(l.Severity)},
		{"state", l.State},
		{"audit", l.audit()},
		{"record", l.Record},
		{"finding", l.Kind},
		{"expected", l.Expected},
		{"observed", l.Observed},
		{"opened", opened},
		{"changed", moment(&l.ChangedAt) + ", by the side " + l.Side},
		{"resolved", moment(l.ResolvedAt)},
	} {
		facts.row(fact[0], auditreport.OneLine(fact[1]))
	}
	if a := l.Accepted; a != nil {
		ends := ""
		if a.Until != nil {
			ends = ", until " + moment(a.Until)
		}
		facts.row("accepted", auditreport.OneLine(fmt.Sprintf("%s, by %s%s: %s", moment(&a.At), a.By, ends, a.Reason)))
	}
	if l.Beyond {
		facts.row("note", "django-anvil-consortium-manager passes this")
	}
	if l.RoleSwap {
		facts.row("note", "the address has the other role in the group")
	}
	if err := facts.print(w); err != nil {
		return err
	}
	if len(l.Evidence) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	evidence := newTable("side", "kind", "name", "event")
	for _, e := range l.Evidence {
		evidence.row(e.Side, e.Kind, auditreport.OneLine(e.Name), e.EventID)
	}
	return evidence.print(w)
}
