package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/query/api"
)

// workspaceHistory lists how access changed over time.
type workspaceHistory struct {
	Consortium string `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Workspace  string `help:"The workspace, as BILLING-PROJECT/NAME." xor:"of" required:"" placeholder:"WORKSPACE"`
	Address    string `help:"The address, in any case of letters." xor:"of" required:"" placeholder:"EMAIL"`
	From       string `help:"The first moment, such as 2026-05-01T12:00:00Z; the beginning if left out." placeholder:"TIME"`
	To         string `help:"The last moment; now if left out." placeholder:"TIME"`
	Side       string `help:"What to look at: declared, observed, or both." enum:"declared,observed,both" default:"both"`
	Output     string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// path is where the answer is.
func (c *workspaceHistory) path() (string, error) {
	base := "/v1/anvil/" + url.PathEscape(c.Consortium)
	if c.Address != "" {
		return base + "/accounts/" + url.PathEscape(c.Address) + "/access/history", nil
	}
	project, name, ok := strings.Cut(c.Workspace, "/")
	if !ok || project == "" || name == "" {
		return "", event.Errorf(event.CodeInvalid, "workspace %q: write it as BILLING-PROJECT/NAME", c.Workspace)
	}
	return base + "/workspaces/" + url.PathEscape(project) + "/" + url.PathEscape(name) + "/access/history", nil
}

// Run implements the subcommand.
func (c *workspaceHistory) Run(ctx context.Context, env *environment) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{"side": {c.Side}, "limit": {accessPage}}
	for name, text := range map[string]string{"from": c.From, "to": c.To} {
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return event.Errorf(event.CodeInvalid, "--%s %q: write a time such as 2026-05-01T12:00:00Z or 2026-05-01T14:00:00+02:00", name, text)
		}
		query.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	if c.To == "" {
		// All pages are about one span.
		query.Set("to", time.Now().UTC().Add(-time.Second).Format(time.RFC3339Nano))
	}
	var answer api.AccessHistory
	items := []api.AccessStep{}
	for {
		answer = api.AccessHistory{}
		if err := client.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &answer); err != nil {
			return err
		}
		items = append(items, answer.Items...)
		if answer.NextCursor == "" {
			break
		}
		query.Set("cursor", answer.NextCursor)
	}
	answer.Items = items
	t := newTable("at", "workspace", "address", "side", "change", "before", "after", "events", "first event", "by")
	for _, item := range items {
		var first, by string
		if len(item.Causes) > 0 {
			first, by = item.Causes[0].Type+" "+item.Causes[0].EventID.String(), item.Causes[0].Actor
		}
		t.row(item.At.Format(time.RFC3339), item.Workspace, item.Address, item.Side, item.Change, standingText(item.Before), standingText(item.After), strconv.Itoa(item.Events), first, by)
	}
	return t.show(env.stdout, c.Output, answer)
}

// standingText words how somebody stands.
func standingText(s anvil.Standing) string {
	parts := []string{string(s.Reach)}
	if s.Level != "" {
		parts = append(parts, s.Level)
	}
	if s.CanShare {
		parts = append(parts, "share")
	}
	if s.CanCompute {
		parts = append(parts, "compute")
	}
	if s.Admission != "" && s.Admission != anvil.AdmissionIn {
		parts = append(parts, string(s.Admission))
	}
	if s.Pending {
		parts = append(parts, "pending")
	}
	return strings.Join(parts, ", ")
}
