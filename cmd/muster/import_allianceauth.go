package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/registration/allianceauth"
	"github.com/muster-sync/muster/query/api"
)

// onlyFile is a folder with one file in sight.
type onlyFile struct {
	fs.FS

	name string
}

// ReadDir implements [fs.ReadDirFS].
func (o onlyFile) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(o.FS, o.name)
	if err != nil {
		return nil, fmt.Errorf("looking at it: %w", err)
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// folderOf is a folder of files, or a file alone.
func folderOf(path string) (fs.FS, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "reading the logins: %w", err)
	}
	if info.IsDir() {
		return os.DirFS(path), nil
	}
	return onlyFile{os.DirFS(filepath.Dir(path)), filepath.Base(path)}, nil
}

func (c *importCommand) fromAllianceAuth(ctx context.Context, env *environment) error {
	limitMemory(importMemory)
	var opts allianceauth.Options
	if c.WithTokens != "" {
		var err error
		if opts.Tokens, err = folderOf(c.WithTokens); err != nil {
			return err
		}
	}
	in, err := allianceauth.Read(os.DirFS(c.FromAllianceAuth), opts)
	if err != nil {
		return fmt.Errorf("the dump in %s: %w", c.FromAllianceAuth, err)
	}
	if c.DryRun {
		plan := planOf(in.Organisation)
		plan.Disabled = append(plan.Disabled, in.Disabled...)
		plan.SkillSets = append(plan.SkillSets, in.SkillSets...)
		plan.SkillSetGroups = append(plan.SkillSetGroups, in.Groups...)
		plan.ComplianceGroups = append(plan.ComplianceGroups, in.ComplianceGroups...)
		plan.LeftOut = append(plan.LeftOut, in.LeftOut...)
		if err := plan.show(env, c.Output); err != nil {
			return err
		}
		return showLeftOut(env, in.LeftOut)
	}
	muster, err := env.settings.client()
	if err != nil {
		return err
	}
	answer, err := muster.bringIn(ctx, in)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		err = printJSON(env.stdout, answer)
	} else {
		fmt.Fprintf(env.stdout, "%d users and %d characters are new or changed, %d were so already\n%d skill sets and %d groups of them are new or changed, %d were so already\n%d characters are newly disabled\n",
			answer.Users, answer.Characters, answer.Unchanged, answer.SkillSets, answer.SkillSetGroups, answer.DefinedAlready, answer.Disabled)
		if len(in.ComplianceGroups) > 0 {
			fmt.Fprintf(env.stdout, "%d compliance groups, and roles of theirs, are new or changed\n", answer.ComplianceGroups)
		}
	}
	if err != nil {
		return err
	}
	for _, r := range answer.Rejections {
		fmt.Fprintf(env.stderr, "rejected: %s: %s\n", r.Record, r.Reason)
	}
	if err := showLeftOut(env, in.LeftOut); err != nil {
		return err
	}
	if len(answer.Rejections) > 0 {
		return errFindings
	}
	return nil
}

// showLeftOut lists what was left out, which is a finding.
func showLeftOut(env *environment, leftOut []allianceauth.LeftOut) error {
	if len(leftOut) == 0 {
		return nil
	}
	for _, l := range leftOut {
		fmt.Fprintf(env.stderr, "left out: %s %s: %s\n", l.Table, l.Row, l.Reason)
	}
	fmt.Fprintf(env.stderr, "%d rows were left out, wholly or in part\n", len(leftOut))
	return errFindings
}

// broughtIn is what the import of a dump came to.
type broughtIn struct {
	importAnswer

	SkillSets      int `json:"skill_sets"`
	SkillSetGroups int `json:"skill_set_groups"`
	DefinedAlready int `json:"defined_already"`
	Disabled       int `json:"disabled"`
	// ComplianceGroups counts the groups and the roles of their members.
	ComplianceGroups int                    `json:"compliance_groups,omitempty"`
	LeftOut          []allianceauth.LeftOut `json:"left_out"`
}

// bringIn has a running Muster take over what a dump came to. It stops at the first
// thing that fails, and can be repeated.
func (c *client) bringIn(ctx context.Context, in allianceauth.Import) (broughtIn, error) {
	out := broughtIn{LeftOut: append([]allianceauth.LeftOut{}, in.LeftOut...)}
	// Before the users, who are not given themselves what they have through their groups.
	err := c.defineComplianceGroups(ctx, in.ComplianceGroups, &out)
	if err != nil {
		return out, err
	}
	if out.importAnswer, err = c.importOrganisation(ctx, in.Organisation); err != nil {
		return out, err
	}
	for _, id := range in.Disabled {
		var change struct {
			Changed bool `json:"changed"`
		}
		if err := c.post(ctx, characterPath(id, "disable"), map[string]any{"reason": "it is disabled in Member Audit"}, &change); err != nil {
			return out, fmt.Errorf("disabling character %d: %w", id, err)
		}
		if change.Changed {
			out.Disabled++
		}
	}
	ids := map[string]uuid.UUID{}
	for _, set := range in.SkillSets {
		var change api.SkillSetChange
		if err := c.send(ctx, http.MethodPost, skillSetsPath+"?overwrite=true", newSkillSet(set), &change); err != nil {
			return out, fmt.Errorf("defining skill set %q: %w", set.Name, err)
		}
		if change.SkillSetID == nil {
			return out, event.Errorf(event.CodeInternal, "defining skill set %q: Muster's answer has no id of it", set.Name)
		}
		ids[set.Name] = *change.SkillSetID
		if change.Changed {
			out.SkillSets++
		} else {
			out.DefinedAlready++
		}
	}
	err = c.defineGroups(ctx, in.Groups, ids, &out)
	return out, err
}

// defineComplianceGroups defines groups, and for each of them that gives something the
// role that gives it.
func (c *client) defineComplianceGroups(ctx context.Context, groups []allianceauth.ComplianceGroup, out *broughtIn) error {
	for _, g := range groups {
		var change api.RoleChange
		if err := c.send(ctx, http.MethodPut, complianceGroupPath(g.Name), api.NewComplianceGroup{Description: "Designated in Member Audit.", States: g.States}, &change); err != nil {
			return fmt.Errorf("defining compliance group %q: %w", g.Name, err)
		}
		out.ComplianceGroups += count(change.Changed)
		if len(g.Permissions) == 0 {
			continue
		}
		role := g.Role()
		body := api.NewRole{Description: role.Description, Permissions: role.Permissions, Groups: role.Groups}
		if err := c.send(ctx, http.MethodPut, rolesPath+"/"+url.PathEscape(role.Name), body, &change); err != nil {
			return fmt.Errorf("defining the role of compliance group %q: %w", g.Name, err)
		}
		out.ComplianceGroups += count(change.Changed)
	}
	return nil
}

// defineGroups defines groups of the sets that have these ids.
func (c *client) defineGroups(ctx context.Context, groups []allianceauth.SkillSetGroup, ids map[string]uuid.UUID, out *broughtIn) error {
	if len(groups) == 0 {
		return nil
	}
	known, err := all[api.SkillSetGroup](ctx, c, skillSetGroupsPath, url.Values{})
	if err != nil {
		return err
	}
	byName := map[string]uuid.UUID{}
	for _, g := range known {
		byName[strings.ToLower(g.Name)] = g.SkillSetGroupID
	}
	for _, g := range groups {
		body := api.NewSkillSetGroup{Name: g.Name, Description: g.Description, Doctrine: g.Doctrine, Active: &g.Active, SkillSetIDs: []uuid.UUID{}}
		for _, name := range g.Sets {
			body.SkillSetIDs = append(body.SkillSetIDs, ids[name])
		}
		method, path := http.MethodPost, skillSetGroupsPath
		if id, there := byName[strings.ToLower(g.Name)]; there {
			method, path = http.MethodPut, path+"/"+id.String()
		}
		var change api.SkillSetChange
		if err := c.send(ctx, method, path, body, &change); err != nil {
			return fmt.Errorf("defining the group %q of skill sets: %w", g.Name, err)
		}
		if change.Changed {
			out.SkillSetGroups++
		} else {
			out.DefinedAlready++
		}
	}
	return nil
}

func newSkillSet(set eve.SkillSet) api.NewSkillSet {
	body := api.NewSkillSet{Name: set.Name, Description: set.Description, Visible: &set.Visible}
	if set.ShipTypeID != 0 {
		body.ShipTypeID = &set.ShipTypeID
	}
	for _, s := range set.Skills {
		body.Skills = append(body.Skills, api.NewSkill{TypeID: s.TypeID, Required: levelOrNone(s.Required), Recommended: levelOrNone(s.Recommended)})
	}
	return body
}

func levelOrNone(l eve.SkillLevel) *int {
	if l == 0 {
		return nil
	}
	return new(int(l))
}

// importPlan is what an import would bring in. Logins are counted, never shown.
type importPlan struct {
	Totals         planTotals                   `json:"totals"`
	Organisation   access.Organisation          `json:"organisation"`
	Disabled       []int64                      `json:"disabled"`
	SkillSets      []eve.SkillSet               `json:"skill_sets"`
	SkillSetGroups []allianceauth.SkillSetGroup `json:"skill_set_groups"`
	// ComplianceGroups are with what their members are given.
	ComplianceGroups []allianceauth.ComplianceGroup `json:"compliance_groups,omitempty"`
	LeftOut          []allianceauth.LeftOut         `json:"left_out"`
	Rejections       []access.Rejection             `json:"rejections"`
}

type planTotals struct {
	Users      int `json:"users"`
	Mains      int `json:"mains"`
	Registered int `json:"registered"`
	// Listed are owned and not registered, Orphans registered and not owned.
	Listed  int `json:"listed"`
	Orphans int `json:"orphans"`
	Shared  int `json:"shared"`
	Logins  int `json:"logins"`
}

func planOf(org access.Organisation) importPlan {
	plan := importPlan{
		Disabled: []int64{}, SkillSets: []eve.SkillSet{}, SkillSetGroups: []allianceauth.SkillSetGroup{}, LeftOut: []allianceauth.LeftOut{}, Rejections: []access.Rejection{},
		Organisation: access.Organisation{Users: append([]access.OrganisationUser{}, org.Users...), Characters: append([]access.OrganisationCharacter{}, org.Characters...)},
	}
	n := &plan.Totals
	n.Users = len(org.Users)
	for _, u := range org.Users {
		n.Mains += count(u.Main != nil)
	}
	for i := range plan.Organisation.Characters {
		c := &plan.Organisation.Characters[i]
		n.Registered += count(c.Registered)
		n.Listed += count(!c.Registered && c.Owner != nil)
		n.Orphans += count(c.Registered && c.Owner == nil)
		n.Shared += count(c.Shared)
		n.Logins += count(c.RefreshToken != "")
		c.RefreshToken = ""
	}
	return plan
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// show prints the plan: every record, and how many of which kind.
func (p importPlan) show(env *environment, output string) error {
	if output == "json" {
		return printJSON(env.stdout, p)
	}
	t := newTable("what", "id", "name", "as")
	for _, u := range p.Organisation.Users {
		as := []string{"state " + u.State}
		if u.Superuser {
			as = append(as, "superuser")
		}
		if !u.Active {
			as = append(as, "not active")
		}
		if u.Main != nil {
			as = append(as, "main "+strconv.FormatInt(*u.Main, 10))
		}
		if len(u.Permissions) > 0 {
			as = append(as, "may "+strings.Join(u.Permissions, " "))
		}
		t.row("user", u.ID, u.Name, strings.Join(as, ", "))
	}
	disabled := map[int64]bool{}
	for _, id := range p.Disabled {
		disabled[id] = true
	}
	for _, c := range p.Organisation.Characters {
		as := "listed"
		if c.Registered {
			as = "registered"
		}
		owner := "nobody"
		if c.Owner != nil {
			owner = *c.Owner
		}
		as += ", owned by " + owner
		if c.Shared {
			as += ", shared"
		}
		if disabled[c.ID] {
			as += ", disabled"
		}
		t.row("character", strconv.FormatInt(c.ID, 10), c.Name, as)
	}
	for _, s := range p.SkillSets {
		visible := "visible"
		if !s.Visible {
			visible = "not visible"
		}
		t.row("skill set", "", s.Name, fmt.Sprintf("%s, %d skills", visible, len(s.Skills)))
	}
	for _, g := range p.SkillSetGroups {
		t.row("group", "", eve.SkillSetGroup{Name: g.Name, Doctrine: g.Doctrine, Active: g.Active}.Label(), "of "+cmp.Or(strings.Join(g.Sets, ", "), "no sets"))
	}
	for _, g := range p.ComplianceGroups {
		as := "open to " + cmp.Or(strings.Join(g.States, ", "), "all states")
		if len(g.Permissions) > 0 {
			as += ", members may " + strings.Join(g.Permissions, " ")
		}
		t.row("compliance group", "", g.Name, as)
	}
	if err := t.print(env.stdout); err != nil {
		return err
	}
	n := p.Totals
	fmt.Fprintf(env.stdout, "would be brought in, as far as it is not so already: %d users, %d of them with a main; %d registered characters, %d of them without an owner, %d shared, %d disabled, %d with a login; %d characters that are owned and not registered; %d skill sets, %d groups\n",
		n.Users, n.Mains, n.Registered, n.Orphans, n.Shared, len(p.Disabled), n.Logins, n.Listed, len(p.SkillSets), len(p.SkillSetGroups))
	return nil
}
