package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	ingestroles "github.com/muster-sync/muster/ingest/roles"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// roleKeeper decides on roles and users for the API.
type roleKeeper struct{ *ingestroles.Keeper }

func (r *roles) newRoleKeeper() roleKeeper {
	return roleKeeper{ingestroles.NewKeeper(r.bus, knownRoles{r.stores})}
}

// knownRoles looks roles up for decisions.
type knownRoles struct{ *stores }

// Roles implements [ingestroles.View].
func (k knownRoles) Roles(ctx context.Context) (*access.Roles, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.LoadRoles(ctx, k.pool, g)
}

// ComplianceGroups implements [ingestroles.View].
func (k knownRoles) ComplianceGroups(ctx context.Context) (*access.ComplianceGroups, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.LoadComplianceGroups(ctx, k.pool, g)
}

// User implements [ingestroles.View].
func (k knownRoles) User(ctx context.Context, id string) (access.UserRegistered, bool, error) {
	users, err := known(k).Users(ctx, []string{id})
	u, there := users[id]
	return u.UserRegistered, there, err
}

// Granted implements [ingestroles.View].
func (k knownRoles) Granted(ctx context.Context, user string) (map[uuid.UUID]bool, error) {
	g, err := k.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return nil, err
	}
	return pgviews.GrantedRoles(ctx, k.pool, g, user)
}

// DefineRole implements [api.RoleKeeper].
func (k roleKeeper) DefineRole(ctx context.Context, in api.RoleDefinition) (api.RoleDecision, error) {
	result, err := k.Define(ctx, ingestroles.DefineInput(in))
	return api.RoleDecision(result), err
}

// RemoveRole implements [api.RoleKeeper].
func (k roleKeeper) RemoveRole(ctx context.Context, in api.RoleRemoval) (api.RoleDecision, error) {
	result, err := k.Remove(ctx, ingestroles.RemoveInput(in))
	return api.RoleDecision(result), err
}

// DefineGroup implements [api.RoleKeeper].
func (k roleKeeper) DefineGroup(ctx context.Context, in api.GroupDefinition) (api.RoleDecision, error) {
	result, err := k.Keeper.DefineGroup(ctx, ingestroles.DefineGroupInput(in))
	return api.RoleDecision(result), err
}

// RemoveGroup implements [api.RoleKeeper].
func (k roleKeeper) RemoveGroup(ctx context.Context, in api.GroupRemoval) (api.RoleDecision, error) {
	result, err := k.Keeper.RemoveGroup(ctx, ingestroles.RemoveGroupInput(in))
	return api.RoleDecision(result), err
}

// GrantRole implements [api.RoleKeeper].
func (k roleKeeper) GrantRole(ctx context.Context, in api.RoleGrant) (api.RoleDecision, error) {
	result, err := k.Grant(ctx, ingestroles.GrantInput(in))
	return api.RoleDecision(result), err
}

// ChangeUser implements [api.RoleKeeper].
func (k roleKeeper) ChangeUser(ctx context.Context, in api.UserChange) (api.RoleDecision, error) {
	result, err := k.Change(ctx, ingestroles.ChangeInput(in))
	return api.RoleDecision(result), err
}

const rolesPath, usersPath = "/v1/roles", "/v1/users"

// roleCommand acts on the roles of a running Muster.
type roleCommand struct {
	List   roleList   `cmd:"" help:"List roles."`
	Show   roleShow   `cmd:"" help:"Show a role and who holds it."`
	Define roleDefine `cmd:"" help:"Define a role, or give it another definition."`
	Remove roleRemove `cmd:"" help:"Remove a role."`
	Grant  roleGrant  `cmd:"" help:"Grant a role to a user."`
	Revoke roleRevoke `cmd:"" help:"Revoke a role that a user was granted."`
}

// Help implements kong's detailed help.
func (c *roleCommand) Help() string {
	return `A role is a named group of permissions. It is granted to users, to all users of a state, or to all members of a
compliance group (see muster compliance group).

Examples:
  muster role define Recruiter --permission characters_access --permission view_everything
  muster role define Pilot --permission basic_access --state Member --state Blue
  muster role define Registered --permission finder_access --group Registered
  muster role grant Recruiter ada
  muster role revoke Recruiter ada --reason "has left the team"`
}

type roleList struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *roleList) Help() string {
	return `Examples:
  muster role list
  muster role list --output csv`
}

// Run implements the subcommand.
func (c *roleList) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	list, err := all[api.Role](ctx, client, rolesPath, url.Values{})
	if err != nil {
		return err
	}
	t := newTable("name", "permissions", "states", "groups", "sections", "holders", "defined", "by")
	for _, r := range list {
		t.row(r.Name, strings.Join(r.Permissions, " "), strings.Join(r.States, ", "), strings.Join(r.Groups, ", "), strings.Join(r.Sections, " "), strconv.FormatInt(r.Holders, 10), r.DefinedAt.Format(time.DateOnly), r.DefinedBy)
	}
	return t.show(env.stdout, c.Output, list)
}

type roleShow struct {
	Role   string `arg:"" help:"The role's name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *roleShow) Help() string {
	return `Examples:
  muster role show Recruiter
  muster role show Recruiter -o json`
}

// Run implements the subcommand.
func (c *roleShow) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	var r api.Role
	if err := client.do(ctx, http.MethodGet, rolesPath+"/"+url.PathEscape(c.Role), nil, "", &r); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env.stdout, r)
	}
	fmt.Fprintf(env.stdout, "%s\npermissions: %s\nstates: %s\ncompliance groups: %s\nsections: %s\ndefined %s by %s\n", r.Name, orWord(strings.Join(r.Permissions, ", "), "none"),
		orWord(strings.Join(r.States, ", "), "none"), orWord(strings.Join(r.Groups, ", "), "none"), orWord(strings.Join(r.Sections, ", "), "all"), r.DefinedAt.Format(time.DateOnly), r.DefinedBy)
	holders, err := all[api.User](ctx, client, usersPath, url.Values{"role": {r.Name}})
	if err != nil {
		return err
	}
	t := newTable("user", "name", "state", "active")
	for _, u := range holders {
		t.row(u.UserID, u.Name, u.State, yesOrNo(u.Active))
	}
	return t.print(env.stdout)
}

func orWord(text, word string) string {
	if text == "" {
		return word
	}
	return text
}

type roleDefine struct {
	Role        string   `arg:"" help:"The role's name."`
	Description string   `help:"What it is for."`
	Permission  []string `help:"A permission that it gives; several times for several." placeholder:"NAME"`
	State       []string `help:"A state whose users all hold it; several times for several." placeholder:"NAME"`
	Group       []string `help:"A compliance group whose members all hold it; several times for several." placeholder:"NAME"`
	Section     []string `help:"A section of others' characters that it opens; all if it is left out." placeholder:"NAME"`
	Expected    int64    `name:"expected-version" default:"-1" help:"Fail if the roles have another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *roleDefine) Help() string {
	return `What it says replaces what the role was before.

Examples:
  muster role define Recruiter --permission characters_access --permission view_everything --section skills --section corporation-history
  muster role define Pilot --permission basic_access --permission share_characters --state Member
  muster role define Registered --permission finder_access --group Registered`
}

// Run implements the subcommand.
func (c *roleDefine) Run(ctx context.Context, env *environment) error {
	role := api.NewRole{Description: c.Description, Permissions: append([]string{}, c.Permission...), States: c.State, Groups: c.Group, Sections: c.Section}
	path := rolesPath + "/" + url.PathEscape(c.Role)
	return changeAccess(ctx, env, http.MethodPut, path, url.Values{}, c.Expected, role, "role "+c.Role+" is defined")
}

type roleRemove struct {
	Role     string `arg:"" help:"The role's name."`
	Reason   string `help:"Why; it is kept in the log."`
	Expected int64  `name:"expected-version" default:"-1" help:"Fail if the roles have another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *roleRemove) Help() string {
	return `Examples:
  muster role remove Recruiter --reason "nobody recruits any more"`
}

// Run implements the subcommand.
func (c *roleRemove) Run(ctx context.Context, env *environment) error {
	return changeAccess(ctx, env, http.MethodDelete, rolesPath+"/"+url.PathEscape(c.Role), reasonOf(c.Reason), c.Expected, nil, "role "+c.Role+" is removed")
}

type roleGrant struct {
	Role     string `arg:"" help:"The role's name."`
	User     string `arg:"" help:"The user's id."`
	Expected int64  `name:"expected-version" default:"-1" help:"Fail if the user has another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *roleGrant) Help() string {
	return `Examples:
  muster role grant Recruiter ada`
}

// Run implements the subcommand.
func (c *roleGrant) Run(ctx context.Context, env *environment) error {
	return changeAccess(ctx, env, http.MethodPut, usersPath+"/"+url.PathEscape(c.User)+"/roles/"+url.PathEscape(c.Role), url.Values{}, c.Expected, nil,
		"user "+c.User+" was granted role "+c.Role)
}

type roleRevoke struct {
	Role     string `arg:"" help:"The role's name."`
	User     string `arg:"" help:"The user's id."`
	Reason   string `help:"Why; it is kept in the log."`
	Expected int64  `name:"expected-version" default:"-1" help:"Fail if the user has another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *roleRevoke) Help() string {
	return `Examples:
  muster role revoke Recruiter ada --reason "has left the team"`
}

// Run implements the subcommand.
func (c *roleRevoke) Run(ctx context.Context, env *environment) error {
	return changeAccess(ctx, env, http.MethodDelete, usersPath+"/"+url.PathEscape(c.User)+"/roles/"+url.PathEscape(c.Role), reasonOf(c.Reason), c.Expected, nil,
		"user "+c.User+" was revoked role "+c.Role)
}

func reasonOf(reason string) url.Values {
	if reason == "" {
		return url.Values{}
	}
	return url.Values{"reason": {reason}}
}

// changeAccess asks for a decision on a role or a user and tells what it came to.
func changeAccess(ctx context.Context, env *environment, method, path string, query url.Values, expected int64, body any, done string) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	if expected < -1 {
		return event.Errorf(event.CodeInvalid, "--expected-version %d: must be a version, or -1 for none", expected)
	}
	if expected >= 0 {
		query.Set("expected_version", strconv.FormatInt(expected, 10))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var change api.RoleChange
	if body == nil {
		err = client.do(ctx, method, path, nil, "", &change)
	} else {
		err = client.send(ctx, method, path, body, &change)
	}
	if err != nil {
		return err
	}
	if !change.Changed {
		done = "was so already: " + done
	}
	fmt.Fprintf(env.stdout, "%s (version %d)\n", done, change.Version)
	return nil
}
