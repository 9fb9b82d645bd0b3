package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// sharedAnswer is what the API says of a decision on sharing.
type sharedAnswer struct {
	CharacterID int64 `json:"character_id"`
	Changed     bool  `json:"changed"`
	Version     int64 `json:"version"`
}

// characterSharing are the flags of what owners decide.
type characterSharing struct {
	ID     int64  `arg:"" help:"The character's id." name:"id"`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

func (c *characterSharing) decide(ctx context.Context, env *environment, method string, body any, done string) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
	}
	var answer sharedAnswer
	if err := api.do(ctx, method, characterPath(c.ID, "share"), data, "application/json", &answer); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env.stdout, answer)
	}
	word := "is"
	if !answer.Changed {
		word = "was so already:"
	}
	fmt.Fprintf(env.stdout, "character %d %s %s (version %d)\n", c.ID, word, done, answer.Version)
	return nil
}

type characterShare struct {
	characterSharing

	Until *time.Time `help:"When it ends; if it is left out, after MUSTER_SHARING_TIMEOUT, or never." placeholder:"TIME"`
}

// Help implements kong's detailed help.
func (c *characterShare) Help() string {
	return `Whoever may view shared characters reads it, until it ends. It is for its owner alone, who needs the
permission share_characters; superusers and the administrator's token may not: set MUSTER_TOKEN to the owner's.

Examples:
  muster character share 90000001
  muster character share 90000001 --until 2026-12-24T00:00:00Z`
}

// Run implements the subcommand.
func (c *characterShare) Run(ctx context.Context, env *environment) error {
	body := map[string]any{}
	if c.Until != nil {
		body["until"] = c.Until.UTC()
	}
	return c.decide(ctx, env, http.MethodPut, body, "shared")
}

type characterUnshare struct{ characterSharing }

// Help implements kong's detailed help.
func (c *characterUnshare) Help() string {
	return `It is for its owner alone, as to share it is. Links that were given away are not touched.

Examples:
  muster character unshare 90000001`
}

// Run implements the subcommand.
func (c *characterUnshare) Run(ctx context.Context, env *environment) error {
	return c.decide(ctx, env, http.MethodDelete, nil, "not shared")
}
