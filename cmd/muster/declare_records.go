package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// declareStatus deactivates or activates accounts.
type declareStatus struct {
	declareFlags

	Deactivate []string `help:"Addresses of accounts that become inactive and leave their groups." placeholder:"EMAIL"`
	Activate   []string `help:"Addresses of accounts that become active again." placeholder:"EMAIL"`
}

// Help implements kong's detailed help.
func (c *declareStatus) Help() string {
	return `An account that is deactivated leaves its groups in the same step. One that is activated comes
back to none of them by itself.

Example:
  muster declare status --consortium primed --deactivate a@example.com --reason "has left"`
}

// Run implements the subcommand.
func (c *declareStatus) Run(ctx context.Context, env *environment) error {
	if len(c.Deactivate)+len(c.Activate) == 0 {
		return event.Errorf(event.CodeInvalid, "nothing to change: name accounts with --deactivate or --activate")
	}
	body, err := json.Marshal(map[string][]string{"deactivate": append([]string{}, c.Deactivate...), "activate": append([]string{}, c.Activate...)})
	if err != nil {
		return fmt.Errorf("writing the patch: %w", err)
	}
	return c.send(ctx, env, http.MethodPatch, body)
}

// declareBillingProject declares or withdraws a billing project.
type declareBillingProject struct {
	declareFlags

	Name     string `help:"Its name; the case of letters counts." required:"" placeholder:"NAME"`
	NoUser   bool   `help:"The service account is no user of it, so it is not audited." xor:"what"`
	Withdraw bool   `help:"It is not declared any more." xor:"what"`
}

// Help implements kong's detailed help.
func (c *declareBillingProject) Help() string {
	return `One that a workspace belongs to cannot be withdrawn: withdraw the workspace first.

Example:
  muster declare billing-project --consortium primed --name primed-1`
}

// Run implements the subcommand.
func (c *declareBillingProject) Run(ctx context.Context, env *environment) error {
	return c.change(ctx, env, c.Withdraw, part{"billing_projects": []anvil.BillingProject{{Name: c.Name, HasAppAsUser: !c.NoUser}}})
}

// declareWorkspace declares or withdraws a workspace.
type declareWorkspace struct {
	declareFlags

	BillingProject string          `help:"Its billing project." required:"" placeholder:"NAME"`
	Name           string          `help:"Its name; the case of letters counts." required:"" placeholder:"NAME"`
	Domain         []string        `help:"A group whose members alone may read it; repeat for several." placeholder:"GROUP"`
	Locked         bool            `help:"It is locked."`
	RequesterPays  bool            `help:"Who reads its bucket pays."`
	AppAccess      anvil.AppAccess `help:"What the service account may do there: ${enum}." enum:"OWNER,LIMITED,NO_ACCESS" default:"OWNER"`
	Withdraw       bool            `help:"It is not declared any more."`
}

// Help implements kong's detailed help.
func (c *declareWorkspace) Help() string {
	return `A workspace that is declared already is replaced as a whole: what is not said has its default.

Examples:
  muster declare workspace --consortium primed --billing-project primed-1 --name freeze-1 --domain READERS
  muster declare workspace --consortium primed --billing-project primed-1 --name freeze-1 --withdraw`
}

// Run implements the subcommand.
func (c *declareWorkspace) Run(ctx context.Context, env *environment) error {
	return c.change(ctx, env, c.Withdraw, part{"workspaces": []anvil.Workspace{{
		BillingProject: c.BillingProject, Name: c.Name, AuthorizationDomains: append([]string{}, c.Domain...), IsLocked: c.Locked,
		IsRequesterPays: c.RequesterPays, AppAccess: c.AppAccess,
	}}})
}

// declareSharing declares or withdraws with which group a workspace is shared.
type declareSharing struct {
	declareFlags

	Workspace string       `help:"The workspace, as billing-project/name." required:"" placeholder:"BP/NAME"`
	Group     string       `help:"Name of the group." required:"" placeholder:"GROUP"`
	Access    anvil.Access `help:"What the group may do there: ${enum}." enum:"READER,WRITER,OWNER" default:"READER"`
	Compute   bool         `help:"A writer may compute; an owner always may, a reader never."`
	Withdraw  bool         `help:"It need not be shared with the group any more."`
}

// Help implements kong's detailed help.
func (c *declareSharing) Help() string {
	return `A workspace has one sharing with a group: declaring another replaces it.

Example:
  muster declare sharing --consortium primed --workspace primed-1/freeze-1 --group READERS --access WRITER --compute`
}

// Run implements the subcommand.
func (c *declareSharing) Run(ctx context.Context, env *environment) error {
	compute := c.Compute || c.Access == anvil.AccessOwner
	return c.change(ctx, env, c.Withdraw, part{"workspace_group_sharing": []anvil.Sharing{{Workspace: c.Workspace, Group: c.Group, Access: c.Access, CanCompute: compute}}})
}

// declareIgnore accepts an address in a group or a workspace without declaring it.
type declareIgnore struct {
	declareFlags

	Group     string        `help:"Name of the group, or * for all." required:"" xor:"place" placeholder:"GROUP"`
	Workspace string        `help:"The workspace, as billing-project/name, or * for all." required:"" xor:"place" placeholder:"BP/NAME"`
	Email     string        `help:"The address, in any case of letters." required:"" placeholder:"EMAIL"`
	Note      string        `help:"Why it is accepted." placeholder:"TEXT"`
	Role      anvil.Role    `help:"Only in this role: MEMBER or ADMIN." placeholder:"ROLE"`
	Access    anvil.Access  `help:"Only at this level: READER, WRITER or OWNER." placeholder:"LEVEL"`
	For       time.Duration `help:"How long; for ever if left out." placeholder:"DURATION"`
	Withdraw  bool          `help:"It is not accepted any more."`
}

// Help implements kong's detailed help.
func (c *declareIgnore) Help() string {
	return `What is ignored is no finding. An ignore row can be limited to a role or a level, so that somebody
who rises is reported, and to a time.

Examples:
  muster declare ignore --consortium primed --group READERS --email robot@example.com --note "the nightly copy"
  muster declare ignore --consortium primed --workspace '*' --email help@example.com --access READER --for 720h --note "support case 7"`
}

// Run implements the subcommand.
func (c *declareIgnore) Run(ctx context.Context, env *environment) error {
	var expires time.Time
	if c.For != 0 {
		expires = time.Now().Add(c.For).UTC().Truncate(time.Second)
	}
	if c.Group != "" {
		if c.Access != "" {
			return event.Errorf(event.CodeInvalid, "--access is about workspaces: a group has --role")
		}
		row := anvil.IgnoredMembership{Group: c.Group, Email: c.Email, Note: c.Note, Role: c.Role, ExpiresAt: expires}
		return c.change(ctx, env, c.Withdraw, part{"ignored_group_memberships": []anvil.IgnoredMembership{row}})
	}
	if c.Role != "" {
		return event.Errorf(event.CodeInvalid, "--role is about groups: a workspace has --access")
	}
	row := anvil.IgnoredSharing{Workspace: c.Workspace, Email: c.Email, Note: c.Note, Access: c.Access, ExpiresAt: expires}
	return c.change(ctx, env, c.Withdraw, part{"ignored_workspace_sharing": []anvil.IgnoredSharing{row}})
}
