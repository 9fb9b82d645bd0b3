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
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// clientTimeout bounds one request to a running Muster: a sweep takes minutes.
const clientTimeout = 15 * time.Minute

// client asks a running Muster.
type client struct {
	base, token string
	http        *http.Client
}

func (s *settings) client() (*client, error) {
	base := s.URL
	if base == "" {
		base = "http://" + s.Listen
	}
	token := s.Token
	if token == "" {
		content, err := os.ReadFile(s.adminTokenPath())
		if err != nil {
			return nil, event.Errorf(event.CodeUnauthenticated, "no token for Muster at %s: set MUSTER_TOKEN, or MUSTER_DATA_DIR to the data folder of the running Muster (%w)", base, err)
		}
		token = string(bytes.TrimSpace(content))
	}
	return &client{base: strings.TrimSuffix(base, "/"), token: token, http: &http.Client{Timeout: clientTimeout}}, nil
}

// problem is an error answer, RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// do sends a request and decodes the answer into out, which may be nil.
func (c *client) do(ctx context.Context, method, path string, body []byte, contentType string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return event.Errorf(event.CodeInvalid, "asking Muster at %s: %w", c.base, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return event.Errorf(event.CodeUnavailable, "reaching Muster at %s: %w; is `muster up` running, and is MUSTER_URL right?", c.base, err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading Muster's answer: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return refusal(response, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("reading Muster's answer: %w", err)
	}
	return nil
}

func refusal(response *http.Response, data []byte) error {
	var p problem
	if err := json.Unmarshal(data, &p); err != nil || p.Detail == "" {
		return event.Errorf(event.CodeInternal, "Muster answers %s", response.Status)
	}
	var text strings.Builder
	text.WriteString(p.Detail)
	for _, e := range p.Errors {
		text.WriteString("\n  " + strings.TrimPrefix(e.Location+": "+e.Message, ": "))
	}
	return event.Errorf(event.CodeInvalid, "%s", text.String())
}

// sweepCommand asks AnVIL about a consortium.
type sweepCommand struct {
	Consortium string   `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Once       bool     `help:"Sweep once, now; the default." default:"true"`
	Models     []string `help:"Sweep only these: billing_projects, accounts, managed_groups, workspaces." placeholder:"MODEL" xor:"groups,workspaces"`
	Group      []string `help:"Sweep only this group; may be repeated." placeholder:"GROUP" xor:"groups"`
	Workspace  []string `help:"Sweep only this workspace; may be repeated." placeholder:"PROJECT/NAME" xor:"workspaces"`
	Output     string   `help:"Format: json or table." enum:"json,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *sweepCommand) Help() string {
	return `A sweep of single groups and workspaces leaves the others as they were seen last, and does not put off
the next whole one.

Examples:
  muster sweep --consortium primed
  muster sweep --consortium primed --models managed_groups
  muster sweep --consortium primed --group READERS --workspace primed-billing/data`
}

// Run implements the subcommand.
func (c *sweepCommand) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, values := range map[string][]string{"models": c.Models, "groups": c.Group, "workspaces": c.Workspace} {
		if len(values) > 0 {
			query.Set(name, strings.Join(values, ","))
		}
	}
	var summary anvil.SweepCompleted
	path := "/v1/anvil/" + url.PathEscape(c.Consortium) + "/sweeps?" + query.Encode()
	if err := api.do(ctx, http.MethodPost, path, nil, "", &summary); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env.stdout, summary)
	}
	fmt.Fprintf(env.stdout, "sweep %s: %d calls, %d records differ from the last sweep, %d could not be read\n",
		summary.SweepID, summary.Calls, summary.Observed, summary.UnseenCount)
	for _, u := range summary.Unseen {
		fmt.Fprintf(env.stdout, "  unknown: %s %s: %s\n", u.Kind, u.Name, u.Cause)
	}
	return nil
}
