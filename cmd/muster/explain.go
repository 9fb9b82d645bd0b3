package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// explainCommand tells why things are as they are.
type explainCommand struct {
	Finding    explainFinding    `cmd:"" default:"withargs" help:"Why a finding is there: which side changed, when, by whom, and what proves it."`
	Compliance explainCompliance `cmd:"" help:"Why a user is not compliant, and since when."`
	Balance    explainBalance    `cmd:"" help:"Why the balance of a character's wallet differs."`
	Skillset   explainSkillset   `cmd:"" help:"Why a character does not meet a skill set any more."`
	Asset      explainAsset      `cmd:"" help:"Where an asset of a character went."`
}

// Help implements kong's detailed help.
func (c *explainCommand) Help() string {
	return `Examples:
  muster explain 0f5c2d0e-6d1f-5b7e-9a53-2f4d3c1b7a10
  muster explain compliance ada
  muster explain balance 90000001 --since 2026-04-01T00:00:00Z
  muster explain skillset 90000001 7d444840-9dc0-11d1-b245-5ffdce74fad5
  muster explain asset 90000001 1000000016835`
}

// explainFinding tells why a finding is there.
type explainFinding struct {
	Finding    string `arg:"" help:"The finding's id, as in the list of findings."`
	Consortium string `help:"The consortium that it must belong to; any if left out." placeholder:"NAME"`
	Output     string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *explainFinding) Help() string {
	return `The log is read again: which side changed, which record, by which event, by whom and why, or between
which two readings of AnVIL; what else changed with it; and whether the read model agrees with the log.
As CSV only the timeline is printed.

Examples:
  muster explain 0f5c2d0e-6d1f-5b7e-9a53-2f4d3c1b7a10
  muster explain 0f5c2d0e-6d1f-5b7e-9a53-2f4d3c1b7a10 --consortium primed --output json
  muster explain 0f5c2d0e-6d1f-5b7e-9a53-2f4d3c1b7a10 --output csv > timeline.csv

Exit status: 0 explained, 1 the read model and the log differ, 2 it could not be done.`
}

// explainAnswer is what the API says of a finding.
type explainAnswer struct {
	Narrative []string `json:"narrative"`
	Timeline  []struct {
		At      time.Time `json:"at"`
		Side    string    `json:"side"`
		Kind    string    `json:"kind"`
		Name    string    `json:"name"`
		Actor   string    `json:"actor"`
		Reason  string    `json:"reason"`
		What    string    `json:"what"`
		Mark    string    `json:"mark"`
		Agreed  string    `json:"agreed"`
		EventID string    `json:"event_id"`
		place
	} `json:"timeline"`
	Omitted int `json:"timeline_omitted"`
	Touched []struct {
		At     time.Time `json:"at"`
		Side   string    `json:"side"`
		Kind   string    `json:"kind"`
		Name   string    `json:"name"`
		Change string    `json:"change"`
	} `json:"touched"`
	TouchedCount int `json:"touched_count"`
	Evidence     []struct {
		EventID string `json:"event_id"`
		Type    string `json:"type"`
		place
	} `json:"evidence"`
	Verified bool `json:"verified"`
	Checks   []struct {
		What    string `json:"what"`
		Differs string `json:"differs"`
	} `json:"checks"`
	Unreadable int `json:"unreadable"`
}

// place is where an event lies in the log.
type place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (p place) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// Run implements the subcommand.
func (c *explainFinding) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	path := "/v1/findings/" + url.PathEscape(c.Finding) + "/explain"
	if c.Consortium != "" {
		path = "/v1/anvil/" + url.PathEscape(c.Consortium) + "/findings/" + url.PathEscape(c.Finding) + "/explain"
	}
	var raw json.RawMessage
	if err := api.do(ctx, http.MethodGet, path, nil, "", &raw); err != nil {
		return err
	}
	var answer explainAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("reading Muster's answer: %w", err)
	}
	if err := c.print(env.stdout, answer, raw); err != nil {
		return err
	}
	if !answer.Verified {
		return errFindings
	}
	return nil
}

func (c *explainFinding) print(w io.Writer, a explainAnswer, raw json.RawMessage) error {
	timeline := newTable("time", "side", "record", "by", "what", "reason", "agreed", "event", "position")
	for _, m := range a.Timeline {
		side := m.Side
		if m.Mark != "" {
			side = strings.ToUpper(m.Mark)
		}
		timeline.row(m.At.UTC().Format(time.RFC3339), side, strings.TrimSpace(m.Kind+" "+m.Name), m.Actor, m.What, m.Reason, m.Agreed, m.EventID, m.String())
	}
	if c.Output != "table" {
		return timeline.show(w, c.Output, raw)
	}
	for _, line := range a.Narrative {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, "\nTimeline")
	if a.Omitted > 0 {
		fmt.Fprintf(w, "(%d older events are left out)\n", a.Omitted)
	}
	if err := timeline.print(w); err != nil {
		return err
	}
	if a.TouchedCount > 0 {
		fmt.Fprintf(w, "\nChanged together with it: %d records\n", a.TouchedCount)
		touched := newTable("time", "side", "record", "change")
		for _, r := range a.Touched {
			touched.row(r.At.UTC().Format(time.RFC3339), r.Side, strings.TrimSpace(r.Kind+" "+r.Name), r.Change)
		}
		if err := touched.print(w); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nEvidence")
	evidence := newTable("event", "type", "position")
	for _, e := range a.Evidence {
		evidence.row(e.EventID, e.Type, e.String())
	}
	if err := evidence.print(w); err != nil {
		return err
	}
	return a.verdict(w)
}

// verdict says whether the read model agrees with the log.
func (a explainAnswer) verdict(w io.Writer) error {
	if a.Unreadable > 0 {
		fmt.Fprintf(w, "\n%d events of the consortium cannot be read: see `muster poison list`\n", a.Unreadable)
	}
	if a.Verified {
		_, err := fmt.Fprintf(w, "\nverified: the read model and the log agree in %d points\n", len(a.Checks))
		return err
	}
	fmt.Fprintln(w, "\nNOT verified: the read model and the log differ")
	for _, c := range a.Checks {
		if c.Differs != "" {
			fmt.Fprintf(w, "  %s: %s\n", c.What, c.Differs)
		}
	}
	return nil
}
