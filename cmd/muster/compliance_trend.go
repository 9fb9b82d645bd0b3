package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// complianceTrend shows compliance over time.
type complianceTrend struct {
	From        string  `help:"Where to begin, inclusive; 30 days before the end if left out." placeholder:"TIME"`
	To          string  `help:"Where to end, exclusive; now if left out." placeholder:"TIME"`
	Interval    string  `help:"Length of the intervals: ${enum}." enum:"hour,day,week,month,quarter,year" default:"week"`
	TZ          string  `name:"tz" help:"IANA name of the time zone whose calendar is meant." default:"UTC"`
	By          string  `help:"What to group by: corporation, cause, or both with a comma." placeholder:"GROUPS"`
	Corporation []int64 `help:"Only users whose main was in one of these corporations." placeholder:"ID"`
	AsOf        string  `name:"as-of" help:"Answer as if it were this moment." placeholder:"TIME"`
	Output      string  `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *complianceTrend) Help() string {
	return `How many users were compliant at the end of each interval, what happened within it, and how long those who
became compliant had not been so.

Examples:
  muster compliance trend
  muster compliance trend --from 2026-01-01T00:00:00Z --interval month --by corporation,cause --output csv`
}

// complianceTrendLine is an interval as the API tells it.
type complianceTrendLine struct {
	Start              time.Time `json:"start"`
	End                time.Time `json:"end"`
	CorporationID      *int64    `json:"corporation_id,omitempty"`
	Cause              *string   `json:"cause,omitempty"`
	Users              int64     `json:"users"`
	Compliant          int64     `json:"compliant"`
	NonCompliant       int64     `json:"non_compliant"`
	WithoutMain        int64     `json:"without_main"`
	NeverRegistered    int64     `json:"never_registered"`
	LoginLost          int64     `json:"login_lost"`
	BecameCompliant    int64     `json:"became_compliant"`
	BecameNonCompliant int64     `json:"became_non_compliant"`
	Arrived            int64     `json:"arrived"`
	Left               int64     `json:"left"`
	MedianSeconds      *int64    `json:"median_seconds"`
	P90Seconds         *int64    `json:"p90_seconds"`
}

// Run implements the subcommand.
func (c *complianceTrend) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{"interval": {c.Interval}, "tz": {c.TZ}}
	for name, value := range map[string]string{"from": c.From, "to": c.To, "as_of": c.AsOf, "group_by": c.By, "corporation_id": idList(c.Corporation)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var answer struct {
		Items []complianceTrendLine `json:"items"`
	}
	if err := api.do(ctx, http.MethodGet, "/v1/analytics/compliance?"+query.Encode(), nil, "", &answer); err != nil {
		return err
	}
	t := newTable("start", "corporation", "cause", "users", "compliant", "not", "without main", "became", "fell", "median", "p90")
	for _, l := range answer.Items {
		cause := "-"
		if l.Cause != nil {
			cause = *l.Cause
		}
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		t.row(l.Start.Format(time.RFC3339), orNone(l.CorporationID), cause, number(l.Users), number(l.Compliant), number(l.NonCompliant), number(l.WithoutMain),
			number(l.BecameCompliant), number(l.BecameNonCompliant), spell(l.MedianSeconds), spell(l.P90Seconds))
	}
	return t.show(env.stdout, c.Output, answer.Items)
}

// idList are ids with commas between them.
func idList(ids []int64) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(texts, ",")
}

// spell is a stretch of time in words, or "-" for none.
func spell(seconds *int64) string {
	if seconds == nil {
		return "-"
	}
	return (time.Duration(*seconds) * time.Second).String()
}

// complianceOpen shows who is not compliant, and since when.
type complianceOpen struct {
	Corporation []int64 `help:"Only users whose main was in one of these corporations." placeholder:"ID"`
	AsOf        string  `name:"as-of" help:"Answer as it was at this moment; now if left out." placeholder:"TIME"`
	Output      string  `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *complianceOpen) Help() string {
	return `Those come first who have not been compliant for longest.

Examples:
  muster compliance open
  muster compliance open --as-of 2026-05-01T00:00:00Z --output csv`
}

// openComplianceLine is a user as the API tells of him.
type openComplianceLine struct {
	User          string    `json:"user"`
	Since         time.Time `json:"since"`
	Seconds       int64     `json:"seconds"`
	CorporationID int64     `json:"corporation_id"`
	Causes        string    `json:"causes"`
	Total         int64     `json:"total"`
	Unregistered  int64     `json:"unregistered"`
}

// Run implements the subcommand.
func (c *complianceOpen) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{"limit": {"1000"}}
	if c.AsOf != "" {
		query.Set("as_of", c.AsOf)
	}
	if len(c.Corporation) > 0 {
		query.Set("corporation_id", idList(c.Corporation))
	}
	lines, err := allItems[openComplianceLine](ctx, api, "/v1/analytics/compliance/open", query)
	if err != nil {
		return err
	}
	t := newTable("user", "since", "for", "corporation", "causes", "characters", "unregistered")
	for _, l := range lines {
		t.row(l.User, l.Since.Format(time.RFC3339), spell(&l.Seconds), strconv.FormatInt(l.CorporationID, 10), l.Causes, strconv.FormatInt(l.Total, 10), strconv.FormatInt(l.Unregistered, 10))
	}
	return t.show(env.stdout, c.Output, lines)
}
