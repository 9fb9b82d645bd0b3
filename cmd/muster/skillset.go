package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/skillset"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// skillSetDefiner decides on skill sets for the API.
type skillSetDefiner struct{ *skillset.Definer }

// newSkillSetDefiner decides against the live read model.
func (r *roles) newSkillSetDefiner() skillSetDefiner {
	return skillSetDefiner{skillset.NewDefiner(r.bus, func(ctx context.Context) (*eve.SkillSets, error) {
		g, err := r.control.Live(ctx, pgviews.CharactersName)
		if err != nil {
			return nil, err
		}
		found, err := pgviews.LoadSkillSets(ctx, r.pool, g)
		return found.State(), err
	})}
}

// DefineSkillSet implements [api.SkillSetDefiner].
func (d skillSetDefiner) DefineSkillSet(ctx context.Context, in api.SkillSetDefinition) (api.SkillSetDecision, error) {
	result, err := d.Definer.DefineSkillSet(ctx, skillset.DefineInput(in))
	return api.SkillSetDecision(result), err
}

// RemoveSkillSet implements [api.SkillSetDefiner].
func (d skillSetDefiner) RemoveSkillSet(ctx context.Context, in api.SkillSetRemoval) (api.SkillSetDecision, error) {
	result, err := d.Definer.RemoveSkillSet(ctx, skillset.RemoveInput(in))
	return api.SkillSetDecision(result), err
}

// DefineSkillSetGroup implements [api.SkillSetDefiner].
func (d skillSetDefiner) DefineSkillSetGroup(ctx context.Context, in api.SkillSetGroupDefinition) (api.SkillSetDecision, error) {
	result, err := d.Definer.DefineSkillSetGroup(ctx, skillset.GroupInput(in))
	return api.SkillSetDecision(result), err
}

// RemoveSkillSetGroup implements [api.SkillSetDefiner].
func (d skillSetDefiner) RemoveSkillSetGroup(ctx context.Context, in api.SkillSetRemoval) (api.SkillSetDecision, error) {
	result, err := d.Definer.RemoveSkillSetGroup(ctx, skillset.RemoveInput(in))
	return api.SkillSetDecision(result), err
}

// skillsetCommand acts on the skill sets of a running Muster, or runs acceptance
// cases of their checks.
type skillsetCommand struct {
	Check         skillsetCheck   `cmd:"" default:"withargs" help:"Check the checks of skill sets against a file of vectors; the default."`
	List          skillsetList    `cmd:"" help:"List skill sets."`
	Show          skillsetShow    `cmd:"" help:"Show a skill set, or how a character stands to it."`
	Define        skillsetDefine  `cmd:"" help:"Define a skill set from a file."`
	Remove        skillsetRemove  `cmd:"" help:"Remove a skill set."`
	Clone         skillsetClone   `cmd:"" help:"Define a skill set that is like another."`
	ImportFitting skillsetFitting `cmd:"" help:"Make a skill set of a fitting in EFT's format."`
	ImportPlan    skillsetPlan    `cmd:"" help:"Make a skill set of a skill plan."`
	Group         skillsetGroup   `cmd:"" help:"List, define and remove groups of skill sets, such as doctrines."`
}

// skillsetCheck runs acceptance cases; nothing has to run for it.
type skillsetCheck struct {
	Vectors string `help:"File of vectors to check the checks of skill sets against." type:"existingfile" placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *skillsetCommand) Help() string {
	return `A skill set is called by its id or by its name, in any case.

Examples:
  muster skillset list
  muster skillset show "Shield Logistics" --character 90000001
  muster skillset define -f logistics.yaml --overwrite
  muster skillset import-fitting -f guardian.txt
  muster skillset --vectors skillset.jsonl

Exit status of --vectors: 0 none differs, 1 some differ, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *skillsetCheck) Run(_ context.Context, env *environment) error {
	if c.Vectors == "" {
		return event.Errorf(event.CodeInvalid, "say what to do: list, show, define, remove, clone, import-fitting, import-plan or group, or give --vectors")
	}
	file, err := os.Open(c.Vectors)
	if err != nil {
		return fmt.Errorf("opening the vectors: %w", err)
	}
	defer func() { _ = file.Close() }()
	report, err := eve.RunSkillSetVectors(file)
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

const skillSetsPath, skillSetGroupsPath = "/v1/skill-sets", "/v1/skill-set-groups"

// all reads all pages of a list.
func all[T any](ctx context.Context, c *client, path string, query url.Values) ([]T, error) {
	items := []T{}
	for {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// called is the one thing of a list that has the id or the name, in any case.
func called[T any](what, wanted string, list []T, id func(T) uuid.UUID, name func(T) string) (T, error) {
	for _, v := range list {
		if id(v).String() == strings.ToLower(wanted) || strings.EqualFold(name(v), strings.TrimSpace(wanted)) {
			return v, nil
		}
	}
	var none T
	return none, event.Errorf(event.CodeNotFound, "there is no %s with the id or name %q", what, wanted)
}

func (c *client) skillSet(ctx context.Context, wanted string) (api.SkillSet, error) {
	list, err := all[api.SkillSet](ctx, c, skillSetsPath, url.Values{})
	if err != nil {
		return api.SkillSet{}, err
	}
	return called("skill set", wanted, list, func(s api.SkillSet) uuid.UUID { return s.SkillSetID }, func(s api.SkillSet) string { return s.Name })
}

func (c *client) skillSetGroup(ctx context.Context, wanted string) (api.SkillSetGroup, error) {
	list, err := all[api.SkillSetGroup](ctx, c, skillSetGroupsPath, url.Values{})
	if err != nil {
		return api.SkillSetGroup{}, err
	}
	return called("group of skill sets", wanted, list, func(g api.SkillSetGroup) uuid.UUID { return g.SkillSetGroupID }, func(g api.SkillSetGroup) string { return g.Name })
}

// send sends a body as JSON.
func (c *client) send(ctx context.Context, method, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	return c.do(ctx, method, path, data, "application/json", out)
}

type skillsetList struct {
	Group  string `help:"Only sets in this group, by its id or name." placeholder:"GROUP"`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *skillsetList) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	if c.Group != "" {
		group, err := client.skillSetGroup(ctx, c.Group)
		if err != nil {
			return err
		}
		query.Set("group_id", group.SkillSetGroupID.String())
	}
	list, err := all[api.SkillSet](ctx, client, skillSetsPath, query)
	if err != nil {
		return err
	}
	t := newTable("id", "name", "skills", "visible", "groups", "defined", "by")
	for _, s := range list {
		groups := make([]string, len(s.Groups))
		for i, g := range s.Groups {
			groups[i] = g.Label
		}
		t.row(s.SkillSetID.String(), s.Name, strconv.Itoa(len(s.Skills)), yesOrNo(s.Visible), strings.Join(groups, ", "), s.DefinedAt.Format(time.DateOnly), s.DefinedBy)
	}
	return t.show(env.stdout, c.Output, list)
}

type skillsetShow struct {
	Set       string `arg:"" help:"The skill set's id or name." name:"set"`
	Character int64  `help:"What this character lacks for it." placeholder:"ID"`
	Output    string `short:"o" enum:"table,json,text" default:"table" help:"Format: ${enum}; text is a skill plan for EVE's clipboard."`
}

// Help implements kong's detailed help.
func (c *skillsetShow) Help() string {
	return `Examples:
  muster skillset show "Shield Logistics"
  muster skillset show "Shield Logistics" --character 90000001 -o text`
}

// Run implements the subcommand.
func (c *skillsetShow) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	set, err := client.skillSet(ctx, c.Set)
	if err != nil {
		return err
	}
	if c.Character != 0 {
		return c.missing(ctx, env, client, set)
	}
	if c.Output == "json" {
		return printJSON(env.stdout, set)
	}
	t := newTable("skill", "required", "recommended")
	for _, s := range set.Skills {
		name, highest := nameOr(s.TypeName, s.TypeID), max(level(s.Required), level(s.Recommended))
		if c.Output == "text" {
			fmt.Fprintln(env.stdout, name, highest.Roman())
			continue
		}
		t.row(name, roman(s.Required), roman(s.Recommended))
	}
	if c.Output == "text" {
		return nil
	}
	return t.print(env.stdout)
}

func (c *skillsetShow) missing(ctx context.Context, env *environment, client *client, set api.SkillSet) error {
	var m api.MissingSkills
	path := fmt.Sprintf("%s/%s/missing?character_id=%d", skillSetsPath, set.SkillSetID, c.Character)
	if err := client.do(ctx, http.MethodGet, path, nil, "", &m); err != nil {
		return err
	}
	switch c.Output {
	case "json":
		return printJSON(env.stdout, m)
	case "text":
		if m.Text != "" {
			fmt.Fprintln(env.stdout, m.Text)
		}
		return nil
	}
	fmt.Fprintf(env.stdout, "all required: %s, all recommended: %s, left to train: %s\n", yesOrNo(m.HasRequired), yesOrNo(m.HasRecommended), trainingWords(m.Training))
	if m.ObservedAt == nil {
		fmt.Fprintln(env.stdout, "the skills of this character were never read")
	}
	if len(m.Missing) == 0 {
		return nil
	}
	t := newTable("skill", "wanted", "active", "trained")
	for _, s := range m.Missing {
		t.row(nameOr(s.TypeName, s.TypeID), eve.SkillLevel(s.Level).Roman(), strconv.Itoa(s.Active), strconv.Itoa(s.Trained))
	}
	return t.print(env.stdout)
}

func trainingWords(t api.TrainingLeft) string {
	points := strconv.FormatInt(t.Points, 10) + " skill points"
	if t.Seconds == nil {
		return points
	}
	return points + ", " + (time.Duration(*t.Seconds) * time.Second).String()
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func nameOr(name string, id int64) string {
	if name == "" {
		return strconv.FormatInt(id, 10)
	}
	return name
}

func level(l *int) eve.SkillLevel {
	if l == nil {
		return 0
	}
	return eve.SkillLevel(*l)
}

func roman(l *int) string {
	if l == nil {
		return ""
	}
	return eve.SkillLevel(*l).Roman()
}

// shownSet are the fields that a set is shown with and not defined by, so that what
// `show` prints can be defined again.
type shownSet struct {
	api.NewSkillSet

	SkillSetID   any `json:"skill_set_id,omitempty"`
	ShipTypeName any `json:"ship_type_name,omitempty"`
	Groups       any `json:"groups,omitempty"`
	DefinedAt    any `json:"defined_at,omitempty"`
	DefinedBy    any `json:"defined_by,omitempty"`
}

type skillsetDefine struct {
	File      string `short:"f" help:"File with the skill set, YAML or JSON." required:"" type:"existingfile" placeholder:"FILE"`
	Overwrite bool   `help:"Replace the set that has the name already."`
	Output    string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *skillsetDefine) Help() string {
	return `Skills are named by type_id or by type_name. What "muster skillset show -o json" prints can be defined again.

Example of a file:
  name: Shield Logistics
  skills:
    - {type_name: Logistics Cruisers, required: 4, recommended: 5}
    - {type_id: 3425, required: 4}

Example:
  muster skillset define -f logistics.yaml`
}

// Run implements the subcommand.
func (c *skillsetDefine) Run(ctx context.Context, env *environment) error {
	set, err := readFile(c.File, decodeSkillSet)
	if err != nil {
		return err
	}
	return defineSkillSet(ctx, env, set, c.Overwrite, c.Output)
}

// decodeSkillSet reads a skill set of a file, YAML or JSON, which is YAML too.
func decodeSkillSet(r io.Reader) (api.NewSkillSet, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return api.NewSkillSet{}, fmt.Errorf("reading: %w", err)
	}
	asJSON, err := yaml.YAMLToJSON(content)
	if err != nil {
		return api.NewSkillSet{}, event.Errorf(event.CodeInvalid, "neither YAML nor JSON: %w", err)
	}
	in := json.NewDecoder(bytes.NewReader(asJSON))
	in.DisallowUnknownFields()
	var set shownSet
	if err := in.Decode(&set); err != nil {
		return api.NewSkillSet{}, event.Errorf(event.CodeInvalid, "not a skill set: %w", err)
	}
	return set.NewSkillSet, nil
}

func defineSkillSet(ctx context.Context, env *environment, set api.NewSkillSet, overwrite bool, output string) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	path := skillSetsPath
	if overwrite {
		path += "?overwrite=true"
	}
	var change api.SkillSetChange
	if err := client.send(ctx, http.MethodPost, path, set, &change); err != nil {
		return err
	}
	return showChange(env, output, change, fmt.Sprintf("skill set %q (%s)", set.Name, change.SkillSetID), "defined")
}

// showChange says what a decision came to.
func showChange(env *environment, output string, change api.SkillSetChange, what, done string) error {
	if output == "json" {
		return printJSON(env.stdout, change)
	}
	word := "is"
	if !change.Changed {
		word = "was so already:"
	}
	fmt.Fprintf(env.stdout, "%s %s %s (version %d)\n", what, word, done, change.Version)
	return nil
}

type skillsetRemove struct {
	Set    string `arg:"" help:"The skill set's id or name." name:"set"`
	Reason string `help:"Why; it is kept in the log." placeholder:"TEXT"`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *skillsetRemove) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	set, err := client.skillSet(ctx, c.Set)
	if err != nil {
		return err
	}
	var change api.SkillSetChange
	if err := client.do(ctx, http.MethodDelete, removal(skillSetsPath, set.SkillSetID, c.Reason), nil, "", &change); err != nil {
		return err
	}
	return showChange(env, c.Output, change, fmt.Sprintf("skill set %q", set.Name), "removed")
}

func removal(path string, id uuid.UUID, reason string) string {
	path += "/" + id.String()
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	return path
}

type skillsetClone struct {
	Set    string `arg:"" help:"The skill set's id or name." name:"set"`
	Name   string `arg:"" help:"What the new one is called." name:"name"`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *skillsetClone) Help() string {
	return `The new set is in no group.

Example:
  muster skillset clone "Shield Logistics" "Armour Logistics"`
}

// Run implements the subcommand.
func (c *skillsetClone) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	set, err := client.skillSet(ctx, c.Set)
	if err != nil {
		return err
	}
	clone := api.NewSkillSet{Name: c.Name, Description: set.Description, ShipTypeID: set.ShipTypeID, Visible: &set.Visible}
	for _, s := range set.Skills {
		clone.Skills = append(clone.Skills, api.NewSkill{TypeID: s.TypeID, Required: s.Required, Recommended: s.Recommended})
	}
	return defineSkillSet(ctx, env, clone, false, c.Output)
}

// skillsetImport are the flags of commands that read a text.
type skillsetImport struct {
	File        string `short:"f" help:"File with the text; - is the standard input." required:"" placeholder:"FILE"`
	Description string `help:"The set's description." placeholder:"TEXT"`
	Hidden      bool   `help:"Show the set to auditors alone."`
	Overwrite   bool   `help:"Replace the set that has the name already."`
	DryRun      bool   `help:"Only read the text."`
	Output      string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

func (c *skillsetImport) run(ctx context.Context, env *environment, name, path string) error {
	read := func() ([]byte, error) { return os.ReadFile(c.File) }
	if c.File == "-" {
		read = func() ([]byte, error) { return io.ReadAll(io.LimitReader(env.stdin, eve.MaxSkillText+1)) }
	}
	text, err := read()
	if err != nil {
		return fmt.Errorf("reading the text: %w", err)
	}
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	body := api.SkillText{Text: string(text), Name: name, Description: c.Description, Visible: new(!c.Hidden), Overwrite: c.Overwrite, DryRun: c.DryRun}
	var set api.ImportedSkillSet
	if err := client.send(ctx, http.MethodPost, skillSetsPath+path, body, &set); err != nil {
		return err
	}
	for _, ignored := range set.Ignored {
		fmt.Fprintf(env.stderr, "%s: %s\n", c.File, ignored)
	}
	if c.Output == "json" {
		return printJSON(env.stdout, set)
	}
	t := newTable("skill", "required")
	for _, s := range set.Skills {
		t.row(nameOr(s.TypeName, s.TypeID), roman(s.Required))
	}
	if err := t.print(env.stdout); err != nil {
		return err
	}
	if c.DryRun {
		return nil
	}
	return showChange(env, "table", api.SkillSetChange{Changed: set.Changed, Version: set.Version}, fmt.Sprintf("skill set %q (%s)", set.Name, set.SkillSetID), "defined")
}

type skillsetFitting struct {
	skillsetImport
	Name string `help:"What the set is called; like the fitting if it is left out." placeholder:"NAME"`
}

// Help implements kong's detailed help.
func (c *skillsetFitting) Help() string {
	return `All that is in the fitting counts, cargo too; of each skill the highest level that something needs. Lines that
cannot be read are listed, and the others taken.

Examples:
  muster skillset import-fitting -f guardian.txt
  muster skillset import-fitting -f - --name "Armour Logistics" --dry-run`
}

// Run implements the subcommand.
func (c *skillsetFitting) Run(ctx context.Context, env *environment) error {
	return c.run(ctx, env, c.Name, "/import-fitting")
}

type skillsetPlan struct {
	skillsetImport
	Name string `help:"What the set is called." required:"" placeholder:"NAME"`
}

// Help implements kong's detailed help.
func (c *skillsetPlan) Help() string {
	return `Each line is a skill and its level, such as "Gunnery IV" or "Gunnery 4". Lines that cannot be read are listed,
and the others taken.

Example:
  muster skillset import-plan -f plan.txt --name "Magic 14"`
}

// Run implements the subcommand.
func (c *skillsetPlan) Run(ctx context.Context, env *environment) error {
	return c.run(ctx, env, c.Name, "/import-plan")
}
