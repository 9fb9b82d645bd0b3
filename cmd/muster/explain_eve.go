package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/internal/spreadsheet"
)

// explainedStep is a step of an explanation, as the API tells it.
type explainedStep struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Section string    `json:"section"`
	Words   string    `json:"words"`
	Actor   string    `json:"actor"`
	placeAnswer
}

// explanationAnswer is what all explanations have.
type explanationAnswer struct {
	Verdict   string          `json:"verdict"`
	Narrative []string        `json:"narrative"`
	Steps     []explainedStep `json:"steps"`
	Omitted   int             `json:"steps_omitted"`
}

// explanationOf asks for an explanation and reads it into an answer, which may be nil.
func explanationOf(ctx context.Context, env *environment, path string, query url.Values, into any) (json.RawMessage, error) {
	api, err := env.settings.client()
	if err != nil {
		return nil, err
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var raw json.RawMessage
	if err := api.do(ctx, http.MethodGet, path, nil, "", &raw); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, fmt.Errorf("reading Muster's answer: %w", err)
	}
	return raw, nil
}

// stepTable are steps as lines of a table. Names that players chose may be in the words.
func stepTable(steps []explainedStep, format string) *table {
	t := newTable("at", "kind", "what", "by", "event", "place")
	for _, s := range steps {
		words, place := s.Words, ""
		if format == "csv" {
			words = spreadsheet.Harmless(words)
		}
		if s.Topic != "" {
			place = s.String()
		}
		t.row(s.At.UTC().Format(time.RFC3339), s.Kind, words, s.Actor, s.EventID, place)
	}
	return t
}

// show prints an explanation: as a table its sentences, what is special to it, and its
// steps; as CSV the steps alone.
func (a explanationAnswer) show(w io.Writer, format string, raw json.RawMessage, special func() error) error {
	steps := stepTable(a.Steps, format)
	if format != "table" {
		return steps.show(w, format, raw)
	}
	for _, line := range a.Narrative {
		fmt.Fprintln(w, line)
	}
	if err := special(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nSteps")
	if a.Omitted > 0 {
		fmt.Fprintf(w, "(%d in the middle are left out)\n", a.Omitted)
	}
	return steps.print(w)
}

// explainBalance tells why a balance differs.
type explainBalance struct {
	ID     int64     `arg:"" help:"The character's id."`
	Since  time.Time `help:"Only entries at this moment or later (RFC 3339)." placeholder:"TIME"`
	Until  time.Time `help:"Only entries before this moment (RFC 3339)." placeholder:"TIME"`
	Entry  int64     `help:"Only the break before or after the journal entry with this id." placeholder:"ID"`
	Output string    `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}. As CSV only the steps are printed."`
}

// Help implements kong's detailed help.
func (c *explainBalance) Help() string {
	return `Which entries of the journal moved the balance, where they do not account for it, and why: the journal
was not read, for which reason, ESI had dropped entries, or retention has removed the older ones.

Examples:
  muster explain balance 90000001
  muster explain balance 90000001 --since 2026-04-01T00:00:00Z --until 2026-05-01T00:00:00Z
  muster explain balance 90000001 --entry 21954123456 --output json

Exit status: 0 it is accounted for, 1 it differs, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *explainBalance) Run(ctx context.Context, env *environment) error {
	query := span(c.Since, c.Until)
	if c.Entry != 0 {
		query.Set("entry", strconv.FormatInt(c.Entry, 10))
	}
	var answer struct {
		explanationAnswer

		Types []struct {
			RefType string `json:"ref_type"`
			Entries int    `json:"entries"`
			Sum     string `json:"sum"`
		} `json:"types"`
	}
	raw, err := explanationOf(ctx, env, "/v1/characters/"+strconv.FormatInt(c.ID, 10)+"/ledger/explain", query, &answer)
	if err != nil {
		return err
	}
	err = answer.show(env.stdout, c.Output, raw, func() error {
		if len(answer.Types) == 0 {
			return nil
		}
		fmt.Fprintln(env.stdout, "\nEntries by kind")
		t := newTable("kind", "entries", "sum")
		for _, sum := range answer.Types {
			t.row(sum.RefType, strconv.Itoa(sum.Entries), sum.Sum)
		}
		return t.print(env.stdout)
	})
	if err == nil && answer.Verdict == "differs" {
		return errFindings
	}
	return err
}

// explainAsset tells where an asset went.
type explainAsset struct {
	ID     int64  `arg:"" help:"The character's id."`
	Item   int64  `arg:"" help:"The item's id, as in the section assets."`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}. As CSV only the steps are printed."`
}

// Help implements kong's detailed help.
func (c *explainAsset) Help() string {
	return `Where the item was seen over time, between which two readings it was gone, and what happened to its type
just then: contracts, sales, sell orders, industry jobs, ships that were lost, stacks that grew. ESI names
the item itself only of ships and blueprints; of all others it is said that they may have taken it.

Examples:
  muster explain asset 90000001 1000000016835
  muster explain asset 90000001 1000000016835 --output json

Exit status: 0 it is there, 1 it is gone, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *explainAsset) Run(ctx context.Context, env *environment) error {
	var answer struct {
		explanationAnswer

		Losses []struct {
			After    time.Time `json:"after"`
			Before   time.Time `json:"before"`
			Quantity int64     `json:"quantity"`
			Matches  []struct {
				explainedStep

				Exact   bool `json:"exact"`
				Certain bool `json:"certain"`
			} `json:"matches"`
		} `json:"losses"`
		NotShown []string `json:"sections_not_shown"`
	}
	path := fmt.Sprintf("/v1/characters/%d/assets/%d/explain", c.ID, c.Item)
	raw, err := explanationOf(ctx, env, path, nil, &answer)
	if err != nil {
		return err
	}
	err = answer.show(env.stdout, c.Output, raw, func() error {
		for _, loss := range answer.Losses {
			fmt.Fprintf(env.stdout, "\nGone between %s and %s: %d\n", loss.After.UTC().Format(time.RFC3339), loss.Before.UTC().Format(time.RFC3339), loss.Quantity)
			t := newTable("how sure", "at", "kind", "what", "event", "place")
			for _, m := range loss.Matches {
				sure := "possible"
				switch {
				case m.Certain:
					sure = "certain"
				case m.Exact:
					sure = "possible, as many"
				}
				t.row(sure, m.At.UTC().Format(time.RFC3339), m.Kind, m.Words, m.EventID, m.String())
			}
			if len(t.rows) == 0 {
				fmt.Fprintln(env.stdout, "Nothing is known that may have taken it.")
				continue
			}
			if err := t.print(env.stdout); err != nil {
				return err
			}
		}
		if len(answer.NotShown) > 0 {
			fmt.Fprintf(env.stdout, "\nThere may be more in sections that you may not see: %v\n", answer.NotShown)
		}
		return nil
	})
	if err == nil && answer.Verdict == "gone" {
		return errFindings
	}
	return err
}

// explainSkillset tells why a skill set is not met.
type explainSkillset struct {
	ID     int64     `arg:"" help:"The character's id."`
	Set    uuid.UUID `arg:"" help:"The skill set's id, as in muster skillset list."`
	Output string    `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}. As CSV only the steps are printed."`
}

// Help implements kong's detailed help.
func (c *explainSkillset) Help() string {
	return `By which skill, since when, and by what: the character lost it (skill points were extracted), its clone may
not use it any more (Alpha), it was never trained so far, or the set asks for more, by whom.

Examples:
  muster explain skillset 90000001 7d444840-9dc0-11d1-b245-5ffdce74fad5
  muster explain skillset 90000001 7d444840-9dc0-11d1-b245-5ffdce74fad5 --output json

Exit status: 0 the set is met, 1 it is not, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *explainSkillset) Run(ctx context.Context, env *environment) error {
	var answer struct {
		explanationAnswer

		Lacks []struct {
			TypeID   int64     `json:"type_id"`
			TypeName string    `json:"type_name"`
			Required int       `json:"required"`
			Active   int       `json:"active"`
			Trained  int       `json:"trained"`
			Cause    string    `json:"cause"`
			Since    time.Time `json:"since"`
		} `json:"lacks"`
	}
	raw, err := explanationOf(ctx, env, fmt.Sprintf("/v1/characters/%d/skill-sets/%s/explain", c.ID, c.Set), nil, &answer)
	if err != nil {
		return err
	}
	err = answer.show(env.stdout, c.Output, raw, func() error {
		if len(answer.Lacks) == 0 {
			return nil
		}
		fmt.Fprintln(env.stdout, "\nLacking")
		t := newTable("skill", "required", "active", "trained", "because", "since")
		for _, l := range answer.Lacks {
			name := l.TypeName
			if name == "" {
				name = strconv.FormatInt(l.TypeID, 10)
			}
			t.row(name, strconv.Itoa(l.Required), strconv.Itoa(l.Active), strconv.Itoa(l.Trained), l.Cause, l.Since.UTC().Format(time.RFC3339))
		}
		return t.print(env.stdout)
	})
	if err == nil && answer.Verdict != "met" {
		return errFindings
	}
	return err
}

// explainCompliance tells why a user is not compliant.
type explainCompliance struct {
	User   string `arg:"" help:"The user's id."`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}. As CSV only the steps are printed."`
}

// Help implements kong's detailed help.
func (c *explainCompliance) Help() string {
	return `Since when, which characters, and the event that did it: no main, never registered, without an owner. Logins
that do not work or lack scopes are told as well; they decide nothing while the character is registered.

Examples:
  muster explain compliance ada
  muster explain compliance ada --output json

Exit status: 0 the user is compliant, 1 he is not, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *explainCompliance) Run(ctx context.Context, env *environment) error {
	var answer struct {
		Verdict   string   `json:"verdict"`
		Narrative []string `json:"narrative"`
		Omitted   int      `json:"steps_omitted"`
		Steps     []struct {
			explainedStep

			Event *placeAnswer `json:"event"`
		} `json:"steps"`
		Hidden   int    `json:"characters_hidden"`
		Verified bool   `json:"verified"`
		Differs  string `json:"differs"`
	}
	raw, err := explanationOf(ctx, env, "/v1/reports/compliance/users/"+url.PathEscape(c.User)+"/explain", nil, &answer)
	if err != nil {
		return err
	}
	shown := explanationAnswer{Verdict: answer.Verdict, Narrative: answer.Narrative, Omitted: answer.Omitted}
	for _, s := range answer.Steps {
		if s.Event != nil {
			s.placeAnswer = *s.Event
		}
		shown.Steps = append(shown.Steps, s.explainedStep)
	}
	err = shown.show(env.stdout, c.Output, raw, func() error {
		if answer.Hidden > 0 {
			fmt.Fprintf(env.stdout, "\nWhat happened to %d characters is left out, for you may not open them.\n", answer.Hidden)
		}
		if !answer.Verified {
			fmt.Fprintf(env.stdout, "\nNOT verified: %s\n", answer.Differs)
		}
		return nil
	})
	if err == nil && answer.Verdict != "compliant" {
		return errFindings
	}
	return err
}
