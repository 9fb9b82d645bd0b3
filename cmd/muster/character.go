package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// characterCommand acts on single characters of a running Muster.
type characterCommand struct {
	Register characterRegister `cmd:"" help:"Register a character by EVE's sign-on."`
	Update   characterUpdate   `cmd:"" help:"Have sections of a character read now."`
	Reset    characterReset    `cmd:"" help:"Have sections of a character read anew and in full."`
	Disable  characterDisable  `cmd:"" help:"Switch the sync of a character off."`
	Enable   characterEnable   `cmd:"" help:"Switch the sync of a character on again."`
	Remove   characterRemove   `cmd:"" help:"End the ownership of a character; what is known of it stays."`
	Forget   characterForget   `cmd:"" help:"Take everything about a character out of Muster."`
	Share    characterShare    `cmd:"" help:"Share a character of one's own."`
	Unshare  characterUnshare  `cmd:"" help:"Share a character no more."`
	List     characterList     `cmd:"" help:"List characters."`
	Show     characterShow     `cmd:"" help:"Show a character, its login and its sections."`
	History  characterHistory  `cmd:"" help:"Show what happened to a character, what changed in a section, or how it was at a moment."`
}

// Help implements kong's detailed help.
func (c *characterCommand) Help() string {
	return `Examples:
  muster character register --user ada
  muster character list --status orphaned --output csv
  muster character disable 90000001 --reason "on leave"`
}

type characterRegister struct {
	User      string        `help:"For whom it is registered." required:"" placeholder:"ID"`
	Character int64         `help:"The character that has to log in; any if it is left out." placeholder:"ID"`
	Section   []string      `help:"Sections to consent to; all if it is left out." placeholder:"NAME"`
	NoWait    bool          `help:"Print the address and do not wait for what comes of it."`
	Every     time.Duration `help:"Time between two looks." default:"2s" hidden:""`
	Output    string        `short:"o" enum:"json,table" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *characterRegister) Help() string {
	return `It prints an address: open it in a browser within ten minutes, log in and consent. Whoever opens it
registers a character for that user, so give it to nobody else. Registering again gives a new login,
also one with other sections: EVE then ends the earlier one.

Examples:
  muster character register --user ada
  muster character register --user ada --character 90000001 --section wallet --section wallet-journal

Exit status: 0 the character is registered, 2 nothing was registered.`
}

// registrationAnswer is what the API says of a registration.
type registrationAnswer struct {
	ID            string    `json:"registration_id"`
	Status        string    `json:"status"`
	AuthorizeURL  string    `json:"authorize_url,omitempty"`
	ExpiresAt     time.Time `json:"expires_at"`
	UserID        string    `json:"user_id"`
	Sections      []string  `json:"sections"`
	Scopes        []string  `json:"scopes"`
	CharacterID   int64     `json:"character_id,omitempty"`
	CharacterName string    `json:"character_name,omitempty"`
	Outcome       string    `json:"outcome,omitempty"`
	Failure       string    `json:"failure,omitempty"`
}

// Run implements the subcommand.
func (c *characterRegister) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var r registrationAnswer
	if err := api.post(ctx, "/v1/characters/registrations", map[string]any{"user_id": c.User, "character_id": c.Character, "sections": append([]string{}, c.Section...)}, &r); err != nil {
		return err
	}
	if c.NoWait && c.Output == "json" {
		return printJSON(env.stdout, r)
	}
	// With JSON the answer alone goes to the standard output.
	to := env.stdout
	if c.Output == "json" {
		to = env.stderr
	}
	fmt.Fprintf(to, "Open this address in a browser before %s:\n\n%s\n\n", r.ExpiresAt.UTC().Format(time.RFC3339), r.AuthorizeURL)
	if c.NoWait {
		fmt.Fprintf(to, "registration %s\n", r.ID)
		return nil
	}
	if r, err = c.wait(ctx, api, r.ID); err != nil {
		return err
	}
	if c.Output == "json" {
		if err := printJSON(env.stdout, r); err != nil {
			return err
		}
	}
	switch r.Status {
	case "completed":
		fmt.Fprintf(to, "%s (%d) is %s for user %s\n", r.CharacterName, r.CharacterID, r.Outcome, r.UserID)
		return nil
	case "failed":
		return event.Errorf(event.CodeConflict, "nothing was registered: %s", r.Failure)
	default:
		return event.Errorf(event.CodeConflict, "nothing was registered: nobody has come back from EVE's sign-on in time")
	}
}

// wait asks until the registration has come to its end.
func (c *characterRegister) wait(ctx context.Context, api *client, id string) (r registrationAnswer, err error) {
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	for {
		if err := api.do(ctx, http.MethodGet, "/v1/characters/registrations/"+url.PathEscape(id), nil, "", &r); err != nil {
			return r, err
		}
		if r.Status != "pending" {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-ticker.C:
		}
	}
}

// post sends JSON.
func (c *client) post(ctx context.Context, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, data, "application/json", out)
}

func characterPath(id int64, verb string) string {
	return "/v1/characters/" + strconv.FormatInt(id, 10) + "/" + verb
}

// characterRequest are the flags of commands that have sections read.
type characterRequest struct {
	ID      int64    `arg:"" help:"The character's id." name:"id"`
	Section []string `help:"Sections; all that its owner has consented to if it is left out." placeholder:"NAME"`
	Output  string   `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

func (c *characterRequest) ask(ctx context.Context, env *environment, verb string) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var answer struct {
		CharacterID int64    `json:"character_id"`
		Sections    []string `json:"sections"`
	}
	if err := api.post(ctx, characterPath(c.ID, verb), map[string]any{"sections": append([]string{}, c.Section...)}, &answer); err != nil {
		return err
	}
	t := newTable("section")
	for _, section := range answer.Sections {
		t.row(section)
	}
	return t.show(env.stdout, c.Output, answer)
}

type characterUpdate struct{ characterRequest }

// Help implements kong's detailed help.
func (c *characterUpdate) Help() string {
	return `The sections are read before all that is merely due, each as soon as ESI's cache of it has expired.

Examples:
  muster character update 90000001
  muster character update 90000001 --section wallet`
}

// Run implements the subcommand.
func (c *characterUpdate) Run(ctx context.Context, env *environment) error {
	return c.ask(ctx, env, "update")
}

type characterReset struct{ characterRequest }

// Help implements kong's detailed help.
func (c *characterReset) Help() string {
	return `Nothing that was kept of ESI's answers is relied on any more: the sections are read anew and in full,
each as soon as ESI's cache of it has expired. What is known stays.

Examples:
  muster character reset 90000001 --section assets`
}

// Run implements the subcommand.
func (c *characterReset) Run(ctx context.Context, env *environment) error {
	return c.ask(ctx, env, "reset")
}

// characterDecision are the flags of decisions.
type characterDecision struct {
	ID       int64  `arg:"" help:"The character's id." name:"id"`
	Expected *int64 `name:"expected-version" help:"Fail unless the character is at this version." placeholder:"N"`
	Output   string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

func (c *characterDecision) decide(ctx context.Context, env *environment, verb, done, reason string) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var answer struct {
		CharacterID int64 `json:"character_id"`
		Changed     bool  `json:"changed"`
		Version     int64 `json:"version"`
	}
	path := characterPath(c.ID, verb)
	if c.Expected != nil {
		path += "?expected_version=" + strconv.FormatInt(*c.Expected, 10)
	}
	if err := api.post(ctx, path, map[string]any{"reason": reason}, &answer); err != nil {
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

type characterDisable struct {
	characterDecision
	Reason string `help:"Why; it is kept in the log." required:"" placeholder:"TEXT"`
}

// Help implements kong's detailed help.
func (c *characterDisable) Help() string {
	return `Nothing of it is read until it is enabled, whoever registers it meanwhile. What is known of it stays.

Examples:
  muster character disable 90000001 --reason "on leave"`
}

// Run implements the subcommand.
func (c *characterDisable) Run(ctx context.Context, env *environment) error {
	return c.decide(ctx, env, "disable", "disabled", c.Reason)
}

type characterEnable struct {
	characterDecision
	Reason string `help:"Why; it is kept in the log." placeholder:"TEXT"`
}

// Help implements kong's detailed help.
func (c *characterEnable) Help() string {
	return `Examples:
  muster character enable 90000001`
}

// Run implements the subcommand.
func (c *characterEnable) Run(ctx context.Context, env *environment) error {
	return c.decide(ctx, env, "enable", "enabled", c.Reason)
}

type characterRemove struct {
	characterDecision
	Reason string `help:"Why; it is kept in the log." required:"" placeholder:"TEXT"`
}

// Help implements kong's detailed help.
func (c *characterRemove) Help() string {
	return `Its owner gives it up: its login is given back to EVE and nothing of it is read any more. What is known
of it stays, and who registers it afterwards owns it.

Examples:
  muster character remove 90000001 --reason "left the corporation"`
}

// Run implements the subcommand.
func (c *characterRemove) Run(ctx context.Context, env *environment) error {
	return c.decide(ctx, env, "remove", "without an owner", c.Reason)
}

type characterForget struct {
	characterDecision
	Reason string `help:"Why; it is kept in the log." required:"" placeholder:"TEXT"`
}

// Help implements kong's detailed help.
func (c *characterForget) Help() string {
	return `Its login goes, and all that is known of it is taken out of what Muster shows. It cannot be undone;
registered again it begins anew.

Examples:
  muster character forget 90000001 --reason "its owner has asked for it"`
}

// Run implements the subcommand.
func (c *characterForget) Run(ctx context.Context, env *environment) error {
	return c.decide(ctx, env, "forget", "forgotten", c.Reason)
}

type characterList struct {
	Name        string `help:"A part of the name." placeholder:"TEXT"`
	User        string `help:"Only of this user." placeholder:"ID"`
	Corporation int64  `help:"Only of this corporation." placeholder:"ID"`
	Status      string `help:"Only those that are ${enum}." enum:",active,disabled,orphaned" default:""`
	Output      string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *characterList) Help() string {
	return `Examples:
  muster character list
  muster character list --user ada --output json`
}

// characterLine is a character as the API lists it.
type characterLine struct {
	ID            int64     `json:"character_id"`
	Name          string    `json:"name"`
	CorporationID int64     `json:"corporation_id"`
	AllianceID    *int64    `json:"alliance_id"`
	UserID        *string   `json:"user_id"`
	Status        string    `json:"status"`
	RegisteredAt  time.Time `json:"registered_at"`
	Failing       int       `json:"failing_sections"`
}

// Run implements the subcommand.
func (c *characterList) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	query := url.Values{"limit": {"1000"}}
	for name, value := range map[string]string{"name": c.Name, "user_id": c.User, "status": c.Status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Corporation > 0 {
		query.Set("corporation_id", strconv.FormatInt(c.Corporation, 10))
	}
	lines := []characterLine{}
	for {
		var page struct {
			Items []characterLine `json:"items"`
			Next  string          `json:"next_cursor"`
		}
		if err := api.do(ctx, http.MethodGet, "/v1/characters?"+query.Encode(), nil, "", &page); err != nil {
			return err
		}
		lines = append(lines, page.Items...)
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	t := newTable("character", "name", "user", "status", "corporation", "failing", "registered")
	for _, l := range lines {
		user := ""
		if l.UserID != nil {
			user = *l.UserID
		}
		t.row(strconv.FormatInt(l.ID, 10), l.Name, user, l.Status, strconv.FormatInt(l.CorporationID, 10), strconv.Itoa(l.Failing), l.RegisteredAt.UTC().Format(time.RFC3339))
	}
	return t.show(env.stdout, c.Output, lines)
}

type characterShow struct {
	ID     int64  `arg:"" help:"The character's id." name:"id"`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *characterShow) Help() string {
	return `Examples:
  muster character show 90000001
  muster character show 90000001 --output json`
}

// characterDetail is a character as the API shows it.
type characterDetail struct {
	characterLine

	Scopes []string `json:"scopes"`
	Login  struct {
		State        string     `json:"state"`
		Reason       string     `json:"reason,omitempty"`
		RegisteredAt *time.Time `json:"registered_at,omitempty"`
	} `json:"login"`
	Sections []struct {
		Section     string     `json:"section"`
		Status      string     `json:"status"`
		ObservedAt  *time.Time `json:"observed_at"`
		ValidatedAt *time.Time `json:"validated_at"`
		NotBefore   *time.Time `json:"not_before,omitempty"`
		Outstanding int        `json:"outstanding,omitempty"`
		Failure     *struct {
			Class   string     `json:"class"`
			Status  int        `json:"status,omitempty"`
			Message string     `json:"message"`
			Since   *time.Time `json:"since,omitempty"`
		} `json:"failure,omitempty"`
	} `json:"sections"`
}

// Run implements the subcommand.
func (c *characterShow) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var detail characterDetail
	if err := api.do(ctx, http.MethodGet, "/v1/characters/"+strconv.FormatInt(c.ID, 10), nil, "", &detail); err != nil {
		return err
	}
	t := newTable("section", "status", "observed", "validated", "failure")
	for _, s := range detail.Sections {
		failure := ""
		if s.Failure != nil {
			failure = s.Failure.Class + ": " + s.Failure.Message
		}
		t.row(s.Section, s.Status, moment(s.ObservedAt), moment(s.ValidatedAt), failure)
	}
	if c.Output == "table" {
		detail.head(env.stdout)
	}
	return t.show(env.stdout, c.Output, detail)
}

func moment(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

func (d *characterDetail) head(w io.Writer) {
	user := "nobody"
	if d.UserID != nil {
		user = *d.UserID
	}
	login := d.Login.State
	if d.Login.Reason != "" {
		login += ": " + d.Login.Reason
	}
	fmt.Fprintf(w, "%s (%d), %s, user %s, login %s\nscopes: %s\n\n", d.Name, d.ID, d.Status, user, login, cmp.Or(strings.Join(d.Scopes, " "), "none"))
}
