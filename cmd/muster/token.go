package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/query/api"
)

const tokensPath = "/v1/tokens"

// tokenCommand acts on the tokens of a running Muster.
type tokenCommand struct {
	Issue  tokenIssue  `cmd:"" help:"Issue a token and print it, this once."`
	List   tokenList   `cmd:"" help:"List tokens, the newest first."`
	Revoke tokenRevoke `cmd:"" help:"Revoke a token."`
}

// Help implements kong's detailed help.
func (c *tokenCommand) Help() string {
	return `A token lets a program ask as a user, or for itself. It never does more than who has issued it may do.

Examples:
  muster token issue "night export" --program --action exports.read --days 30
  muster token issue "my script" --user ada --action characters.read
  muster token list
  muster token revoke 0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01`
}

type tokenIssue struct {
	Name    string   `arg:"" help:"What it is for."`
	User    string   `help:"The user whom it lets act." placeholder:"ID" xor:"who"`
	Program bool     `help:"It is for a program, which has actions and no bounds of what it sees." xor:"who"`
	Action  []string `help:"An action that it is for, such as characters.read; may be repeated. Without any, all that its user may do." placeholder:"ACTION"`
	Days    int      `help:"How many days it is good, at most 366." default:"90"`
	Output  string   `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *tokenIssue) Help() string {
	return `The token is printed once and cannot be had again. Which actions there are tells GET /v1/me.

Examples:
  muster token issue "night export" --program --action exports.read --action analytics.read
  TOKEN=$(muster token issue "my script" --user ada -o json | jq -r .token)`
}

// Run implements the subcommand.
func (c *tokenIssue) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	expires := time.Now().Add(time.Duration(c.Days) * 24 * time.Hour).UTC()
	wanted := api.NewToken{Name: c.Name, UserID: c.User, Program: c.Program, Scope: c.Action, ExpiresAt: &expires}
	var issued api.NewlyIssued
	if err := client.send(ctx, http.MethodPost, tokensPath, wanted, &issued); err != nil {
		return err
	}
	t := newTable("token", "id", "name", "for", "scope", "expires")
	t.row(issued.Secret, issued.TokenID.String(), issued.Name, holderOf(issued.Token), scopeOf(issued.Token), issued.ExpiresAt.Format(time.RFC3339))
	return t.show(env.stdout, c.Output, issued)
}

// holderOf is whom a token lets act.
func holderOf(t api.Token) string {
	if t.UserID == "" {
		return "a program"
	}
	return t.UserID
}

// scopeOf is what a token is for.
func scopeOf(t api.Token) string {
	if t.Scope == nil {
		return "all"
	}
	return strings.Join(t.Scope, ", ")
}

type tokenList struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *tokenList) Help() string {
	return `Examples:
  muster token list
  muster token list -o csv`
}

// Run implements the subcommand.
func (c *tokenList) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	list, err := all[api.Token](ctx, client, tokensPath, url.Values{})
	if err != nil {
		return err
	}
	t := newTable("id", "name", "for", "scope", "status", "by", "issued", "expires", "last used")
	for _, one := range list {
		used := "never"
		if one.LastUsedAt != nil {
			used = one.LastUsedAt.Format(time.RFC3339)
		}
		t.row(one.TokenID.String(), one.Name, holderOf(one), scopeOf(one), one.Status, one.IssuedBy, one.IssuedAt.Format(time.DateOnly), one.ExpiresAt.Format(time.DateOnly), used)
	}
	return t.show(env.stdout, c.Output, list)
}

type tokenRevoke struct {
	ID     string `arg:"" help:"The token's id."`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *tokenRevoke) Help() string {
	return `It is good for nothing from this moment.

Example:
  muster token revoke 0192f0c1-2f0a-7e11-8c55-0d4b6f2d9a01`
}

// Run implements the subcommand.
func (c *tokenRevoke) Run(ctx context.Context, env *environment) error {
	client, err := env.settings.client()
	if err != nil {
		return err
	}
	var revoked api.TokenRevocation
	if err := client.do(ctx, http.MethodDelete, tokensPath+"/"+url.PathEscape(c.ID), nil, "", &revoked); err != nil {
		return err
	}
	if c.Output == "table" {
		said := "is revoked"
		if !revoked.Changed {
			said = "was revoked already"
		}
		fmt.Fprintf(env.stdout, "token %s %s\n", revoked.TokenID, said)
		return nil
	}
	t := newTable("id", "changed", "version")
	t.row(revoked.TokenID.String(), yesOrNo(revoked.Changed), strconv.FormatInt(revoked.Version, 10))
	return t.show(env.stdout, c.Output, revoked)
}
