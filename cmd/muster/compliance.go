package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// complianceCommand shows and checks the reports of compliance, and keeps groups of those
// who are compliant.
type complianceCommand struct {
	Check        complianceCheck        `cmd:"" default:"withargs" help:"Check the reports against a file of vectors."`
	Users        complianceUsers        `cmd:"" help:"How far users have registered their characters."`
	Corporations complianceCorporations `cmd:"" help:"How far corporations have."`
	Groups       complianceGroups       `cmd:"" help:"List compliance groups."`
	Group        complianceGroup        `cmd:"" help:"Define a compliance group, remove it, or show who is in it."`
	Trend        complianceTrend        `cmd:"" help:"How many users were compliant over time, and how long it took them."`
	Open         complianceOpen         `cmd:"" help:"Who is not compliant, and since when."`
}

// Help implements kong's detailed help.
func (c *complianceCommand) Help() string {
	return `Examples:
  muster compliance users --compliant no
  muster compliance corporations --output csv
  muster compliance groups
  muster compliance group define Registered --state Member
  muster compliance trend --interval month
  muster compliance open
  muster compliance --vectors compliance.jsonl`
}

type complianceCheck struct {
	Vectors string `help:"File of vectors to check the reports against." type:"existingfile" required:"" placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *complianceCheck) Help() string {
	return `Examples:
  muster compliance --vectors compliance.jsonl

Each vector is an organisation and its two reports of compliance, by user and by
corporation.

Exit status: 0 none differs, 1 some differ, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *complianceCheck) Run(_ context.Context, env *environment) error {
	return runVectors(env, c.Vectors, access.VectorsOfCompliance)
}

// complianceFilters are what both reports take.
type complianceFilters struct {
	State       string `help:"Only users in this state, such as Member." placeholder:"STATE"`
	Corporation int64  `help:"Only users whose main is in this corporation." placeholder:"ID"`
	Alliance    int64  `help:"Only users whose main is in this alliance." placeholder:"ID"`
	Compliant   string `help:"Only those that are compliant, or only those that are not: yes, no." enum:",yes,no" default:""`
	Output      string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

func (f complianceFilters) query() url.Values {
	query := url.Values{"limit": {"1000"}}
	if f.State != "" {
		query.Set("state", f.State)
	}
	if f.Corporation != 0 {
		query.Set("corporation_id", strconv.FormatInt(f.Corporation, 10))
	}
	if f.Alliance != 0 {
		query.Set("alliance_id", strconv.FormatInt(f.Alliance, 10))
	}
	setYesNo(query, "compliant", f.Compliant)
	return query
}

// setYesNo sets a filter of the API, unless nothing is said of it.
func setYesNo(query url.Values, name, said string) {
	if said != "" {
		query.Set(name, strconv.FormatBool(said == "yes"))
	}
}

type complianceUsers struct {
	complianceFilters

	User       string `help:"Only this user." placeholder:"ID"`
	Registered string `help:"Only users with a registered character, or only those without: yes, no." enum:",yes,no" default:""`
}

// Help implements kong's detailed help.
func (c *complianceUsers) Help() string {
	return `A user is compliant if he has a main and all his characters are registered. Guests are left out.

Examples:
  muster compliance users
  muster compliance users --compliant no --state Member --output csv`
}

// userComplianceLine is a user as the API reports it.
type userComplianceLine struct {
	User          string             `json:"user"`
	Name          string             `json:"name"`
	State         string             `json:"state"`
	Main          *int64             `json:"main"`
	MainName      string             `json:"main_name,omitempty"`
	CorporationID *int64             `json:"corporation_id"`
	AllianceID    *int64             `json:"alliance_id"`
	Total         int                `json:"total"`
	Unregistered  int                `json:"unregistered"`
	Registered    bool               `json:"registered"`
	Compliant     bool               `json:"compliant"`
	Reasons       []complianceReason `json:"reasons"`
}

type complianceReason struct {
	CharacterID   int64      `json:"character_id,omitempty"`
	CharacterName string     `json:"character_name,omitempty"`
	Fault         string     `json:"fault"`
	Since         *time.Time `json:"since,omitempty"`
}

// words is the reason in a line of a table.
func (r complianceReason) words() string {
	text := r.Fault
	if r.CharacterID != 0 {
		text += " " + strconv.FormatInt(r.CharacterID, 10)
	}
	if r.Since != nil {
		text += " since " + r.Since.UTC().Format(time.DateOnly)
	}
	return text
}

// Run implements the subcommand.
func (c *complianceUsers) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := c.query()
	if c.User != "" {
		query.Set("user_id", c.User)
	}
	setYesNo(query, "registered", c.Registered)
	lines, err := allItems[userComplianceLine](ctx, api, "/v1/reports/compliance/users", query)
	if err != nil {
		return err
	}
	table := newTable("user", "state", "main", "corporation", "registered", "compliant", "characters", "unregistered", "reasons")
	for _, l := range lines {
		reasons := make([]string, len(l.Reasons))
		for i, r := range l.Reasons {
			reasons[i] = r.words()
		}
		main := l.MainName
		if main == "" {
			main = orNone(l.Main)
		}
		table.row(l.User, l.State, main, orNone(l.CorporationID), strconv.FormatBool(l.Registered), strconv.FormatBool(l.Compliant),
			strconv.Itoa(l.Total), strconv.Itoa(l.Unregistered), strings.Join(reasons, "; "))
	}
	return table.show(env.stdout, c.Output, lines)
}

// orNone is an id, or "-" for none.
func orNone(id *int64) string {
	if id == nil {
		return "-"
	}
	return strconv.FormatInt(*id, 10)
}

type complianceCorporations struct {
	complianceFilters
}

// Help implements kong's detailed help.
func (c *complianceCorporations) Help() string {
	return `Users count for the corporation of their main, with all their characters. The percentage is cut and never
rounded: 249 of 250 is 99.60, and not compliant.

Examples:
  muster compliance corporations
  muster compliance corporations --alliance 99000001 --compliant no`
}

// corporationComplianceLine is a corporation as the API reports it.
type corporationComplianceLine struct {
	CorporationID   int64  `json:"corporation_id"`
	CorporationName string `json:"corporation_name,omitempty"`
	Mains           int    `json:"mains"`
	Characters      int    `json:"characters"`
	Unregistered    int    `json:"unregistered"`
	Percent         string `json:"percent_floor_2"`
	Compliant       bool   `json:"compliant"`
	Partly          bool   `json:"partly"`
}

// Run implements the subcommand.
func (c *complianceCorporations) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	lines, err := allItems[corporationComplianceLine](ctx, api, "/v1/reports/compliance/corporations", c.query())
	if err != nil {
		return err
	}
	table := newTable("corporation", "name", "mains", "characters", "unregistered", "percent", "compliant", "partly")
	for _, l := range lines {
		table.row(strconv.FormatInt(l.CorporationID, 10), l.CorporationName, strconv.Itoa(l.Mains), strconv.Itoa(l.Characters), strconv.Itoa(l.Unregistered),
			l.Percent, strconv.FormatBool(l.Compliant), strconv.FormatBool(l.Partly))
	}
	return table.show(env.stdout, c.Output, lines)
}

// allItems reads all pages of a list of the API.
func allItems[T any](ctx context.Context, api *client, path string, query url.Values) ([]T, error) {
	items := []T{}
	for {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := api.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items, nil
		}
		if len(page.Items) == 0 {
			return nil, event.Errorf(event.CodeInternal, "Muster answers an empty page with another one behind it")
		}
		query.Set("cursor", page.NextCursor)
	}
}
