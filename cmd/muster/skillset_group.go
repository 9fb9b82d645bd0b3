package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/query/api"
)

// skillsetGroup acts on groups of skill sets.
type skillsetGroup struct {
	List   skillsetGroupList   `cmd:"" default:"withargs" help:"List groups."`
	Define skillsetGroupDefine `cmd:"" help:"Define a group, or give it another definition."`
	Remove skillsetGroupRemove `cmd:"" help:"Remove a group; its sets stay."`
}

// Help implements kong's detailed help.
func (c *skillsetGroup) Help() string {
	return `Examples:
  muster skillset group list
  muster skillset group define Shield --doctrine --set "Shield Logistics" --set Basilisk
  muster skillset group remove Shield`
}

type skillsetGroupList struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *skillsetGroupList) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	list, err := all[api.SkillSetGroup](ctx, client, skillSetGroupsPath, url.Values{})
	if err != nil {
		return err
	}
	t := newTable("id", "name", "sets", "doctrine", "active")
	for _, g := range list {
		t.row(g.SkillSetGroupID.String(), g.Name, strconv.Itoa(len(g.SkillSetIDs)), yesOrNo(g.Doctrine), yesOrNo(g.Active))
	}
	return t.show(env.stdout, c.Output, list)
}

type skillsetGroupDefine struct {
	Name        string   `arg:"" help:"The group's name." name:"name"`
	Set         []string `help:"A set in it, by its id or name; may be repeated. Those that are not named are not in it." placeholder:"SET" sep:"none"`
	Description string   `help:"The group's description." placeholder:"TEXT"`
	Doctrine    bool     `help:"It is a doctrine."`
	Inactive    bool     `help:"Mark it as not active."`
	Overwrite   bool     `help:"Replace the group that has the name already."`
	Output      string   `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *skillsetGroupDefine) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	body := api.NewSkillSetGroup{Name: c.Name, Description: c.Description, Doctrine: c.Doctrine, Active: new(!c.Inactive), SkillSetIDs: []uuid.UUID{}}
	for _, name := range c.Set {
		set, err := client.skillSet(ctx, name)
		if err != nil {
			return err
		}
		body.SkillSetIDs = append(body.SkillSetIDs, set.SkillSetID)
	}
	method, path := http.MethodPost, skillSetGroupsPath
	if c.Overwrite {
		group, err := client.skillSetGroup(ctx, c.Name)
		if err != nil {
			return err
		}
		method, path = http.MethodPut, path+"/"+group.SkillSetGroupID.String()
	}
	var change api.SkillSetChange
	if err := client.send(ctx, method, path, body, &change); err != nil {
		return err
	}
	return showChange(env, c.Output, change, fmt.Sprintf("group %q (%s)", c.Name, change.SkillSetGroupID), "defined")
}

type skillsetGroupRemove struct {
	Group  string `arg:"" help:"The group's id or name." name:"group"`
	Reason string `help:"Why; it is kept in the log." placeholder:"TEXT"`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *skillsetGroupRemove) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	group, err := client.skillSetGroup(ctx, c.Group)
	if err != nil {
		return err
	}
	var change api.SkillSetChange
	if err := client.do(ctx, http.MethodDelete, removal(skillSetGroupsPath, group.SkillSetGroupID, c.Reason), nil, "", &change); err != nil {
		return err
	}
	return showChange(env, c.Output, change, fmt.Sprintf("group %q", group.Name), "removed")
}
