package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// workspaceCommand tells who can come to the workspaces of a consortium.
type workspaceCommand struct {
	Access workspaceAccess `cmd:"" help:"List who can come to a workspace, through which groups."`
	Of     workspacesOf    `cmd:"" help:"List the workspaces that an address can come to."`

	History workspaceHistory `cmd:"" help:"List who gained and who lost access over time, of a workspace or an address."`
}

// Help implements kong's detailed help.
func (c *workspaceCommand) Help() string {
	return `Access is followed through nested groups, in which admins are as members are, and past authorization
domains. What cannot be known is said: groups whose members cannot be read, access lists that could not
be read, and the owners of billing projects, who own its workspaces and are in no access list.

Examples:
  muster workspace access --consortium primed primed-bp/freeze-1
  muster workspace access --consortium primed primed-bp/freeze-1 --as-of 2026-05-01T12:00:00Z --side observed
  muster workspace of --consortium primed a@example.com --output csv
  muster workspace history --consortium primed --workspace primed-bp/freeze-1 --from 2026-01-01T00:00:00Z
  muster workspace history --consortium primed --address a@example.com --side declared`
}

// accessFlags are the flags of both.
type accessFlags struct {
	Consortium string `help:"Name of the consortium." required:"" placeholder:"NAME"`
	AsOf       string `help:"As it was at this time, such as 2026-05-01T12:00:00Z; now if left out." placeholder:"TIME"`
	Side       string `help:"What to look at: declared, observed, or both, which compares them." enum:"declared,observed,both" default:"both"`
	Output     string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// asOfQuery is the query for a moment; that for now is empty.
func asOfQuery(text string) (url.Values, error) {
	query := url.Values{}
	if text == "" {
		return query, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "--as-of %q: write a time such as 2026-05-01T12:00:00Z or 2026-05-01T14:00:00+02:00", text)
	}
	query.Set("as_of", at.UTC().Format(time.RFC3339Nano))
	return query, nil
}

// accessPage is the most that one answer holds.
const accessPage = "1000"

// readAll asks for all pages of a list; page is where an answer is decoded into,
// and take takes its items and says where the next page begins.
func (f *accessFlags) readAll(ctx context.Context, env *environment, path string, page any, take func() string) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	query, err := asOfQuery(f.AsOf)
	if err != nil {
		return err
	}
	query.Set("side", f.Side)
	query.Set("limit", accessPage)
	for {
		if err := client.do(ctx, http.MethodGet, "/v1/anvil/"+url.PathEscape(f.Consortium)+path+"?"+query.Encode(), nil, "", page); err != nil {
			return err
		}
		next := take()
		if next == "" {
			return nil
		}
		query.Set("cursor", next)
	}
}

// workspaceAccess lists who can come to a workspace.
type workspaceAccess struct {
	accessFlags

	Workspace string `arg:"" help:"The workspace, as BILLING-PROJECT/NAME."`
}

// Run implements the subcommand.
func (c *workspaceAccess) Run(ctx context.Context, env *environment) error {
	project, name, ok := strings.Cut(c.Workspace, "/")
	if !ok || project == "" || name == "" {
		return event.Errorf(event.CodeInvalid, "workspace %q: write it as BILLING-PROJECT/NAME", c.Workspace)
	}
	var answer, page api.WorkspaceAccess
	items := []api.AddressInWorkspace{}
	path := "/workspaces/" + url.PathEscape(project) + "/" + url.PathEscape(name) + "/access"
	err := c.readAll(ctx, env, path, &page, func() string {
		answer, items = page, append(items, page.Items...)
		page = api.WorkspaceAccess{}
		return answer.NextCursor
	})
	if err != nil {
		return err
	}
	answer.Items, answer.NextCursor = items, ""
	t := newTable("address", "account", "agreement", "declared", "declared ways", "observed", "observed ways")
	for _, item := range items {
		account := item.Account
		if item.IsApp {
			account = "asks AnVIL"
		}
		declared, declaredWays := c.cells(item.Declared)
		observed, observedWays := c.cells(item.Observed)
		t.row(item.Address, account, item.Agreement, declared, declaredWays, observed, observedWays)
	}
	if err := t.show(env.stdout, c.Output, answer); err != nil || c.Output != "table" {
		return err
	}
	c.basis(env.stdout, answer.AccessBasis)
	printDoubts(env.stdout, anvil.SideDeclared, answer.Declared)
	printDoubts(env.stdout, anvil.SideObserved, answer.Observed)
	return nil
}

// workspacesOf lists the workspaces that an address can come to.
type workspacesOf struct {
	accessFlags

	Email string `arg:"" help:"The address, in any case of letters."`
}

// Run implements the subcommand.
func (c *workspacesOf) Run(ctx context.Context, env *environment) error {
	var answer, page api.AccountAccess
	items := []api.WorkspaceOfAddress{}
	err := c.readAll(ctx, env, "/accounts/"+url.PathEscape(c.Email)+"/access", &page, func() string {
		answer, items = page, append(items, page.Items...)
		page = api.AccountAccess{}
		return answer.NextCursor
	})
	if err != nil {
		return err
	}
	answer.Items, answer.NextCursor = items, ""
	t := newTable("workspace", "agreement", "declared", "declared ways", "observed", "observed ways", "unknown")
	for _, item := range items {
		declared, declaredWays := c.cells(item.Declared)
		observed, observedWays := c.cells(item.Observed)
		var doubts []string
		for _, side := range []*api.AccessSide{item.DeclaredSide, item.ObservedSide} {
			if side != nil && side.Doubt() != "" {
				doubts = append(doubts, side.Doubt())
			}
		}
		t.row(item.Workspace, item.Agreement, declared, declaredWays, observed, observedWays, strings.Join(doubts, "; "))
	}
	if err := t.show(env.stdout, c.Output, answer); err != nil || c.Output != "table" {
		return err
	}
	c.basis(env.stdout, answer.AccessBasis)
	return nil
}

// cells word what one side gives to an address, and by which ways: a table for
// the eye has the first of them alone.
func (f *accessFlags) cells(a *anvil.AddressAccess) (rights, ways string) {
	if a == nil {
		return "", ""
	}
	parts := []string{a.Level}
	if a.CanShare {
		parts = append(parts, "share")
	}
	if a.CanCompute {
		parts = append(parts, "compute")
	}
	if a.Admission != anvil.AdmissionIn {
		parts = append(parts, a.AdmissionText())
	}
	if a.Pending {
		parts = append(parts, "pending")
	}
	ways = a.PathsText()
	if f.Output == "table" {
		first, _, more := strings.Cut(ways, "; ")
		ways = first
		if more {
			ways = fmt.Sprintf("%s, +%d", first, len(a.Paths)-1)
		}
	}
	return strings.Join(parts, ", "), ways
}

// basis says what the answer rests on.
func (f *accessFlags) basis(w io.Writer, b api.AccessBasis) {
	when := "now"
	if b.AsOf != nil {
		when = "as of " + b.AsOf.Format(time.RFC3339)
	}
	if b.SweptAt == nil {
		fmt.Fprintf(w, "%s; AnVIL had not been asked\n", when)
		return
	}
	fmt.Fprintf(w, "%s; AnVIL was last asked at %s, sweep %s\n", when, b.SweptAt.Format(time.RFC3339), b.SweepID)
}

// printDoubts says what cannot be known of a side.
func printDoubts(w io.Writer, name anvil.Side, side *api.AccessSide) {
	if side == nil {
		return
	}
	if side.Absent {
		fmt.Fprintf(w, "%s: there is no such workspace\n", name)
	}
	if side.Unknown != "" {
		fmt.Fprintf(w, "%s: unknown: %s\n", name, side.Unknown)
	}
	for _, o := range side.Opaque {
		what := "others in it have " + o.Level
		if o.Level == "" {
			what = "it decides who is in " + strings.Join(o.Domains, ", ")
		}
		fmt.Fprintf(w, "%s: group %s is opaque, %s: %s\n", name, o.Group, what, o.Reason)
	}
	for _, owner := range side.ProjectOwners {
		fmt.Fprintf(w, "%s: %s owns the billing project\n", name, owner)
	}
	if name == anvil.SideObserved {
		fmt.Fprintln(w, "Owners of the billing project own the workspace, too; no access list names them.")
	}
}
