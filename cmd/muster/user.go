package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/query/api"
)

// userCommand acts on the users of a running Muster.
type userCommand struct {
	List       userList       `cmd:"" help:"List users."`
	Show       userShow       `cmd:"" help:"Show a user: characters, roles, what he may do and why."`
	Activate   userActivate   `cmd:"" help:"Let a user in again."`
	Deactivate userDeactivate `cmd:"" help:"Let a user do nothing any more; what is his stays."`
	Promote    userPromote    `cmd:"" help:"Make a user a superuser, or no longer one."`
}

// Help implements kong's detailed help.
func (c *userCommand) Help() string {
	return `Examples:
  muster user list --state Member --permission characters_access
  muster user show ada
  muster user deactivate ada
  muster user promote ada`
}

type userList struct {
	Name       string `help:"A part of the id, the name or the main's name." placeholder:"TEXT"`
	State      string `help:"Only those of this state." placeholder:"NAME"`
	Role       string `help:"Only those who hold this role." placeholder:"NAME"`
	Permission string `help:"Only those who hold this permission." placeholder:"NAME"`
	Inactive   bool   `help:"Only those who were deactivated."`
	Superusers bool   `help:"Only superusers."`
	Output     string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *userList) Help() string {
	return `Examples:
  muster user list --role Recruiter
  muster user list --inactive --output csv`
}

// Run implements the subcommand.
func (c *userList) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"name": c.Name, "state": c.State, "role": c.Role, "permission": c.Permission} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Inactive {
		query.Set("active", "false")
	}
	if c.Superusers {
		query.Set("superuser", "true")
	}
	list, err := all[api.User](ctx, client, usersPath, query)
	if err != nil {
		return err
	}
	t := newTable("user", "name", "state", "active", "superuser", "main", "characters", "roles")
	for _, u := range list {
		t.row(u.UserID, u.Name, u.State, yesOrNo(u.Active), yesOrNo(u.Superuser), mainWords(u), fmt.Sprintf("%d of %d", u.RegisteredCharacters, u.RegisteredCharacters+u.UnregisteredCharacters),
			strings.Join(u.Roles, ", "))
	}
	return t.show(env.stdout, c.Output, list)
}

func mainWords(u api.User) string {
	switch {
	case u.MainID == nil:
		return ""
	case u.MainName == "":
		return strconv.FormatInt(*u.MainID, 10)
	default:
		return u.MainName
	}
}

type userShow struct {
	User   string `arg:"" help:"The user's id."`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *userShow) Help() string {
	return `Examples:
  muster user show ada
  muster user show ada -o json`
}

// Run implements the subcommand.
func (c *userShow) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	var u api.UserDetail
	if err := client.do(ctx, http.MethodGet, usersPath+"/"+url.PathEscape(c.User), nil, "", &u); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env.stdout, u)
	}
	fmt.Fprintf(env.stdout, "%s %s\nstate: %s, active: %s, superuser: %s, main: %s\n", u.UserID, u.Name, orWord(u.State, "none"), yesOrNo(u.Active), yesOrNo(u.Superuser), orWord(mainWords(u.User), "none"))
	fmt.Fprintln(env.stdout)
	permissions := newTable("permission", "from", "sections")
	for _, p := range u.Permissions {
		permissions.row(p.Permission, strings.Join(p.From, ", "), orWord(strings.Join(p.Sections, " "), "all"))
	}
	actions := newTable("action", "with")
	for _, a := range u.Actions {
		actions.row(a.Action, a.Reach)
	}
	characters := newTable("character", "name", "corporation", "main", "registered", "shared")
	for _, ch := range u.Characters {
		characters.row(strconv.FormatInt(ch.CharacterID, 10), ch.Name, strconv.FormatInt(ch.CorporationID, 10), yesOrNo(ch.Main), yesOrNo(ch.Registered), yesOrNo(ch.Shared))
	}
	for i, t := range []*table{permissions, actions, characters} {
		if i > 0 {
			fmt.Fprintln(env.stdout)
		}
		if err := t.print(env.stdout); err != nil {
			return err
		}
	}
	return nil
}

// userChange is what commands that change a user take.
type userChange struct {
	User     string `arg:"" help:"The user's id."`
	Expected int64  `name:"expected-version" default:"-1" help:"Fail if the user has another version by now; -1 expects nothing."`
}

func (c *userChange) send(ctx context.Context, env *environment, patch api.UserPatch, done string) error {
	return changeAccess(ctx, env, http.MethodPatch, usersPath+"/"+url.PathEscape(c.User), url.Values{}, c.Expected, patch, "user "+c.User+" is "+done)
}

type userActivate struct{ userChange }

// Help implements kong's detailed help.
func (c *userActivate) Help() string {
	return `Examples:
  muster user activate ada`
}

// Run implements the subcommand.
func (c *userActivate) Run(ctx context.Context, env *environment) error {
	return c.send(ctx, env, api.UserPatch{Active: new(true)}, "active")
}

type userDeactivate struct{ userChange }

// Help implements kong's detailed help.
func (c *userDeactivate) Help() string {
	return `An import of an organisation in which the user is active lets him in again.

Examples:
  muster user deactivate ada`
}

// Run implements the subcommand.
func (c *userDeactivate) Run(ctx context.Context, env *environment) error {
	return c.send(ctx, env, api.UserPatch{Active: new(false)}, "deactivated")
}

type userPromote struct {
	userChange

	Demote bool `help:"Make him no longer one."`
}

// Help implements kong's detailed help.
func (c *userPromote) Help() string {
	return `A superuser who is active holds every permission and may administer.

Examples:
  muster user promote ada
  muster user promote ada --demote`
}

// Run implements the subcommand.
func (c *userPromote) Run(ctx context.Context, env *environment) error {
	if c.Demote {
		return c.send(ctx, env, api.UserPatch{Superuser: new(false)}, "no superuser")
	}
	return c.send(ctx, env, api.UserPatch{Superuser: new(true)}, "a superuser")
}
