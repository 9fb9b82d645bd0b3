package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

type findingAccept struct {
	ID         string        `arg:"" help:"The finding's id." name:"id"`
	Consortium string        `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Reason     string        `help:"Why it may stay as it is; auditors will ask." required:"" placeholder:"TEXT"`
	For        time.Duration `help:"How long; for as long as it stays as it is if left out." placeholder:"DURATION"`
}

// Help implements kong's detailed help.
func (c *findingAccept) Help() string {
	return `An accepted finding stays open and shows who accepted it, and why. The acceptance ends when the finding
gets other values, is resolved, or the time is over.

Example:
  muster finding accept --consortium primed --reason "guest until the freeze" --for 720h 0b0e7f6e-2f0a-4a43-9f57-3f8a5a0c7f11`
}

// Run implements the subcommand.
func (c *findingAccept) Run(ctx context.Context, env *environment) error {
	if c.For < 0 {
		return event.Errorf(event.CodeInvalid, "--for %s is over before it begins: give a time span such as 720h", c.For)
	}
	body := struct {
		Reason string     `json:"reason"`
		Until  *time.Time `json:"until,omitempty"`
	}{Reason: c.Reason}
	if c.For > 0 {
		body.Until = new(time.Now().Add(c.For).UTC().Truncate(time.Second))
	}
	content, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing the acceptance: %w", err)
	}
	return decideFinding(ctx, env, http.MethodPost, c.Consortium, c.ID, url.Values{}, content)
}

type findingUnaccept struct {
	ID         string `arg:"" help:"The finding's id." name:"id"`
	Consortium string `help:"Name of the consortium." required:"" placeholder:"NAME"`
	Reason     string `help:"Why." placeholder:"TEXT"`
}

// Run implements the subcommand.
func (c *findingUnaccept) Run(ctx context.Context, env *environment) error {
	query := url.Values{}
	if c.Reason != "" {
		query.Set("reason", c.Reason)
	}
	return decideFinding(ctx, env, http.MethodDelete, c.Consortium, c.ID, query, nil)
}

// decideFinding has a running Muster accept a finding or end that, and shows it.
func decideFinding(ctx context.Context, env *environment, method, consortium, id string, query url.Values, body []byte) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var line findingLine
	path := "/v1/anvil/" + url.PathEscape(consortium) + "/findings/" + url.PathEscape(id) + "/acceptance?" + query.Encode()
	if err := api.do(ctx, method, path, body, "application/json", &line); err != nil {
		return err
	}
	return line.show(env.stdout, time.Now())
}
