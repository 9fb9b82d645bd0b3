package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// declareCommand declares what a consortium ought to look like: the whole of it
// by a file, or single records.
type declareCommand struct {
	File       declareFile       `cmd:"" default:"withargs" help:"Declare everything, from a file, or what AnVIL has; the default."`
	Consortium declareConsortium `cmd:"" help:"Declare the account that asks AnVIL."`
	Account    declareAccount    `cmd:"" help:"Declare or withdraw an account."`
	Group      declareGroup      `cmd:"" help:"Declare or withdraw a managed group."`
	Membership declareMembership `cmd:"" help:"Declare or withdraw who is in a group."`

	BillingProject declareBillingProject `cmd:"" help:"Declare or withdraw a billing project."`
	Workspace      declareWorkspace      `cmd:"" help:"Declare or withdraw a workspace."`
	Sharing        declareSharing        `cmd:"" help:"Declare or withdraw with which group a workspace is shared."`
	Ignore         declareIgnore         `cmd:"" help:"Accept an address without declaring it, or end that."`
	Status         declareStatus         `cmd:"" help:"Deactivate or activate accounts."`
}

// Help implements kong's detailed help.
func (c *declareCommand) Help() string {
	return `A file is the whole declaration: what it lacks is withdrawn. --from-anvil asks AnVIL instead and
declares what is there beside what is declared: it adds and updates, and withdraws nothing; what could
not be read or cannot be declared is listed. The other commands change one record and leave the rest
alone. The plan is shown and applied, all of it or nothing; what is declared so already changes nothing.

Examples:
  muster declare --consortium primed -f declared.yaml --dry-run
  muster declare --consortium primed -f declared.yaml --reason "new members of working group 3"
  muster declare --consortium primed --from-anvil --service-account app@primed.iam.gserviceaccount.com --dry-run
  muster declare --consortium primed --from-anvil --with-accounts
  muster declare account --consortium primed --email a@example.com
  muster declare membership --consortium primed --group readers --account a@example.com --withdraw

Exit status: 0 done, 1 an import left something out, 2 it could not be done.`
}

// declareFlags are the flags of every declaration.
type declareFlags struct {
	Consortium string `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Reason     string `help:"Why, for the record."`
	DryRun     bool   `help:"Show the plan and change nothing."`
	Output     string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// declareAnswer is what the API says of a declaration.
type declareAnswer struct {
	Consortium string `json:"consortium"`
	DryRun     bool   `json:"dry_run"`
	Version    int64  `json:"version"`
	Changes    []struct {
		Action string          `json:"action"`
		Kind   string          `json:"kind"`
		Name   string          `json:"name"`
		Before json.RawMessage `json:"before,omitempty"`
		After  json.RawMessage `json:"after,omitempty"`
	} `json:"changes"`
}

// send has a running Muster take a declaration, or a patch of it, and prints
// the plan.
func (f *declareFlags) send(ctx context.Context, env *environment, method string, body []byte) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	if f.Reason != "" {
		query.Set("reason", f.Reason)
	}
	if f.DryRun {
		query.Set("dry_run", "true")
	}
	var answer declareAnswer
	path := "/v1/anvil/" + url.PathEscape(f.Consortium) + "/declarations?" + query.Encode()
	if err := api.do(ctx, method, path, body, "application/json", &answer); err != nil {
		return err
	}
	return f.show(env, answer, answer)
}

// show prints a plan; whole is what is printed as JSON.
func (f *declareFlags) show(env *environment, answer declareAnswer, whole any) error {
	t := newTable("action", "kind", "record", "before", "after")
	for _, p := range answer.Changes {
		t.row(p.Action, p.Kind, p.Name, oneLine(string(p.Before)), oneLine(string(p.After)))
	}
	if err := t.show(env.stdout, f.Output, whole); err != nil || f.Output != "table" {
		return err
	}
	if f.DryRun {
		fmt.Fprintf(env.stdout, "%d changes planned, nothing changed\n", len(answer.Changes))
		return nil
	}
	fmt.Fprintf(env.stdout, "%d changes applied\n", len(answer.Changes))
	return nil
}

// part is one side of a patch: the fields of a declaration that it is about.
type part map[string]any

// change sends a patch of one record: it declares or withdraws what is in p.
func (f *declareFlags) change(ctx context.Context, env *environment, withdraw bool, p part) error {
	side := "declare"
	if withdraw {
		side = "withdraw"
	}
	body, err := json.Marshal(map[string]part{side: p})
	if err != nil {
		return fmt.Errorf("writing the patch: %w", err)
	}
	return f.send(ctx, env, http.MethodPatch, body)
}

// declareFile declares everything, or what AnVIL has.
type declareFile struct {
	declareFlags

	File           string `short:"f" help:"What is declared, YAML or JSON." required:"" xor:"source" type:"existingfile" placeholder:"FILE"`
	FromAnvil      bool   `help:"Declare what AnVIL has already, beside what is declared." required:"" xor:"source"`
	ServiceAccount string `help:"With --from-anvil: address of the account that asks AnVIL; default the declared one." placeholder:"EMAIL"`
	WithAccounts   bool   `help:"With --from-anvil: declare the accounts in the groups as well."`
}

// Run implements the subcommand.
func (c *declareFile) Run(ctx context.Context, env *environment) error {
	if c.FromAnvil {
		return c.importFromAnVIL(ctx, env)
	}
	if c.WithAccounts || c.ServiceAccount != "" {
		return event.Errorf(event.CodeInvalid, "--with-accounts and --service-account go with --from-anvil: a file says both itself")
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("reading the declaration: %w", err)
	}
	return c.send(ctx, env, http.MethodPost, data)
}

// declareConsortium declares the consortium itself.
type declareConsortium struct {
	declareFlags

	ServiceAccount string `help:"Address of the account that asks AnVIL." required:"" placeholder:"EMAIL"`
}

// Help implements kong's detailed help.
func (c *declareConsortium) Help() string {
	return `It is left out of every comparison. A consortium needs one before anything else of it can be
declared.

Example:
  muster declare consortium --consortium primed --service-account app@primed.iam.gserviceaccount.com`
}

// Run implements the subcommand.
func (c *declareConsortium) Run(ctx context.Context, env *environment) error {
	return c.change(ctx, env, false, part{"service_account": c.ServiceAccount})
}

// declareAccount declares or withdraws an account.
type declareAccount struct {
	declareFlags

	Email          string `help:"Its address, in any case of letters." required:"" placeholder:"EMAIL"`
	Inactive       bool   `help:"It takes no part in the audits." xor:"inactive"`
	ServiceAccount bool   `help:"It is a service account, not a person." xor:"service"`
	Withdraw       bool   `help:"It is not declared any more." xor:"inactive,service"`
}

// Help implements kong's detailed help.
func (c *declareAccount) Help() string {
	return `An account that is declared already is replaced as a whole: what is not said has its default. One
that is in a group cannot be withdrawn: withdraw the membership first.

Examples:
  muster declare account --consortium primed --email a@example.com
  muster declare account --consortium primed --email a@example.com --inactive --reason "has left"
  muster declare account --consortium primed --email a@example.com --withdraw --dry-run`
}

// Run implements the subcommand.
func (c *declareAccount) Run(ctx context.Context, env *environment) error {
	account := anvil.Account{Email: c.Email, IsServiceAccount: c.ServiceAccount, Status: anvil.StatusActive}
	if c.Inactive {
		account.Status = anvil.StatusInactive
	}
	return c.change(ctx, env, c.Withdraw, part{"accounts": []anvil.Account{account}})
}

// declareGroup declares or withdraws a managed group.
type declareGroup struct {
	declareFlags

	Name      string `help:"Its name; the case of letters counts." required:"" placeholder:"GROUP"`
	Email     string `help:"Its address; default the name in lower case at firecloud.org." xor:"email" placeholder:"EMAIL"`
	Unmanaged bool   `help:"The service account is no admin of it." xor:"unmanaged"`
	Withdraw  bool   `help:"It is not declared any more." xor:"email,unmanaged"`
}

// groupDomain is the domain of AnVIL's own groups.
const groupDomain = "@firecloud.org"

// Help implements kong's detailed help.
func (c *declareGroup) Help() string {
	return `A group that is declared already is replaced as a whole: what is not said has its default. One that
has members, is in a group, or is named by a workspace cannot be withdrawn: withdraw that first.

Examples:
  muster declare group --consortium primed --name PRIMED_READERS
  muster declare group --consortium primed --name PARTNERS --email partners@example.com --unmanaged
  muster declare group --consortium primed --name PARTNERS --withdraw`
}

// Run implements the subcommand.
func (c *declareGroup) Run(ctx context.Context, env *environment) error {
	group := anvil.ManagedGroup{Name: c.Name, Email: c.Email, IsManagedByApp: !c.Unmanaged}
	if group.Email == "" {
		group.Email = strings.ToLower(c.Name) + groupDomain
	}
	return c.change(ctx, env, c.Withdraw, part{"managed_groups": []anvil.ManagedGroup{group}})
}

// declareMembership declares or withdraws who is in a group.
type declareMembership struct {
	declareFlags

	Group    string     `help:"Name of the group." required:"" placeholder:"GROUP"`
	Account  string     `help:"Address of the account that is in it." required:"" xor:"member" placeholder:"EMAIL"`
	Child    string     `help:"Name of the group that is in it." required:"" xor:"member" placeholder:"GROUP"`
	Role     anvil.Role `help:"What it is there: MEMBER or ADMIN." enum:"MEMBER,ADMIN" default:"MEMBER"`
	Withdraw bool       `help:"It need not be in the group any more, in whatever role."`
}

// Help implements kong's detailed help.
func (c *declareMembership) Help() string {
	return `An account or a group has one role in a group: declaring another replaces it. Both sides have to be
declared already.

Examples:
  muster declare membership --consortium primed --group readers --account a@example.com
  muster declare membership --consortium primed --group readers --child curators --role ADMIN
  muster declare membership --consortium primed --group readers --account a@example.com --withdraw`
}

// Run implements the subcommand.
func (c *declareMembership) Run(ctx context.Context, env *environment) error {
	if c.Child != "" {
		membership := anvil.GroupMembership{Parent: c.Group, Child: c.Child, Role: c.Role}
		return c.change(ctx, env, c.Withdraw, part{"group_group_memberships": []anvil.GroupMembership{membership}})
	}
	membership := anvil.AccountMembership{Group: c.Group, Account: c.Account, Role: c.Role}
	return c.change(ctx, env, c.Withdraw, part{"group_account_memberships": []anvil.AccountMembership{membership}})
}
