package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/query/api"
)

const complianceGroupsPath = "/v1/compliance-groups"

func complianceGroupPath(name string) string {
	return complianceGroupsPath + "/" + url.PathEscape(name)
}

// complianceGroups lists compliance groups.
type complianceGroups struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *complianceGroups) Help() string {
	return `Examples:
  muster compliance groups
  muster compliance groups --output csv`
}

// Run implements the subcommand.
func (c *complianceGroups) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	list, err := all[api.ComplianceGroup](ctx, client, complianceGroupsPath, url.Values{})
	if err != nil {
		return err
	}
	t := newTable("name", "states", "members", "description", "defined", "by")
	for _, g := range list {
		t.row(g.Name, orWord(strings.Join(g.States, ", "), "all"), strconv.FormatInt(g.Members, 10), g.Description, g.DefinedAt.Format(time.DateOnly), g.DefinedBy)
	}
	return t.show(env.stdout, c.Output, list)
}

// complianceGroup acts on one compliance group.
type complianceGroup struct {
	Show    complianceGroupShow    `cmd:"" help:"Show a group."`
	Define  complianceGroupDefine  `cmd:"" help:"Define a group, or give it another definition."`
	Remove  complianceGroupRemove  `cmd:"" help:"Remove a group."`
	Members complianceGroupMembers `cmd:"" help:"Who is in a group, and since when."`
}

// Help implements kong's detailed help.
func (c *complianceGroup) Help() string {
	return `A user is in a compliance group while he holds basic_access, owns characters that are all registered, and the group
is open to his state. Nobody is put into it by hand. Roles can be given to its members.

Examples:
  muster compliance group define Registered --state Member
  muster role define Registered --permission finder_access --group Registered
  muster compliance group members Registered
  muster compliance group remove Registered --reason "not needed any more"`
}

type complianceGroupShow struct {
	Group  string `arg:"" help:"The group's name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *complianceGroupShow) Help() string {
	return `Examples:
  muster compliance group show Registered
  muster compliance group show Registered -o json`
}

// Run implements the subcommand.
func (c *complianceGroupShow) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	var g api.ComplianceGroup
	if err := client.do(ctx, http.MethodGet, complianceGroupPath(c.Group), nil, "", &g); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env.stdout, g)
	}
	fmt.Fprintf(env.stdout, "%s\ndescription: %s\nopen to states: %s\nmembers: %d\ndefined %s by %s\n", g.Name, orWord(g.Description, "none"), orWord(strings.Join(g.States, ", "), "all"),
		g.Members, g.DefinedAt.Format(time.DateOnly), g.DefinedBy)
	return nil
}

type complianceGroupDefine struct {
	Group       string   `arg:"" help:"The group's name."`
	Description string   `help:"What it is for."`
	State       []string `help:"A state whose users are let in; several times for several, all if it is left out." placeholder:"NAME"`
	Expected    int64    `name:"expected-version" default:"-1" help:"Fail if the roles and groups have another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *complianceGroupDefine) Help() string {
	return `What it says replaces what the group was before. Who should be in it is so a moment later; nobody gets a notice of that.

Examples:
  muster compliance group define Registered
  muster compliance group define "Registered members" --state Member --state Blue --description "gives access to doctrines"`
}

// Run implements the subcommand.
func (c *complianceGroupDefine) Run(ctx context.Context, env *environment) error {
	return changeAccess(ctx, env, http.MethodPut, complianceGroupPath(c.Group), url.Values{}, c.Expected, api.NewComplianceGroup{Description: c.Description, States: c.State},
		"compliance group "+c.Group+" is defined")
}

type complianceGroupRemove struct {
	Group    string `arg:"" help:"The group's name."`
	Reason   string `help:"Why; it is kept in the log."`
	Expected int64  `name:"expected-version" default:"-1" help:"Fail if the roles and groups have another version by now; -1 expects nothing."`
}

// Help implements kong's detailed help.
func (c *complianceGroupRemove) Help() string {
	return `That is refused while a role names the group. Its members are in it no more; nobody gets a notice of that.

Examples:
  muster compliance group remove Registered --reason "not needed any more"`
}

// Run implements the subcommand.
func (c *complianceGroupRemove) Run(ctx context.Context, env *environment) error {
	return changeAccess(ctx, env, http.MethodDelete, complianceGroupPath(c.Group), reasonOf(c.Reason), c.Expected, nil, "compliance group "+c.Group+" is removed")
}

type complianceGroupMembers struct {
	Group       string `arg:"" help:"The group's name."`
	State       string `help:"Only users in this state, such as Member." placeholder:"STATE"`
	Corporation int64  `help:"Only users whose main is in this corporation." placeholder:"ID"`
	Alliance    int64  `help:"Only users whose main is in this alliance." placeholder:"ID"`
	Output      string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *complianceGroupMembers) Help() string {
	return `Examples:
  muster compliance group members Registered
  muster compliance group members Registered --alliance 99000001 --output csv`
}

// Run implements the subcommand.
func (c *complianceGroupMembers) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	list, err := all[api.ComplianceGroupMember](ctx, client, complianceGroupPath(c.Group)+"/members", complianceFilters{State: c.State, Corporation: c.Corporation, Alliance: c.Alliance}.query())
	if err != nil {
		return err
	}
	t := newTable("user", "name", "state", "main", "corporation", "since")
	for _, m := range list {
		main := m.MainName
		if main == "" {
			main = orNone(m.Main)
		}
		t.row(m.User, m.Name, m.State, main, orNone(m.CorporationID), m.Since.UTC().Format(time.DateOnly))
	}
	return t.show(env.stdout, c.Output, list)
}
