package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// importCommand brings an organisation into a running Muster: from a file of Muster's
// own, or from a dump of an Alliance Auth.
type importCommand struct {
	File             string `short:"f" help:"Organisation file." type:"existingfile" placeholder:"FILE" xor:"source"`
	FromAllianceAuth string `help:"Folder with a dump of Alliance Auth's and Member Audit's tables." type:"existingdir" placeholder:"DIR" xor:"source"`
	WithTokens       string `help:"Bring logins too, from this dump of django-esi's tables, a file or a folder. Without it every character has to be registered again by its owner." type:"path" placeholder:"PATH"`
	DryRun           bool   `help:"Say what the file or the dump comes to, and bring nothing in. Muster need not run."`
	Output           string `help:"Format: json or table." enum:"json,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *importCommand) Help() string {
	return `Records that break a rule are left out, listed with their line, and written to FILE.rejected.json;
the others are brought in. It can be repeated: what is so already is left alone.

A dump of Alliance Auth is a folder with files of "python manage.py dumpdata", or with one file for each
table: TABLE.csv with a header, TABLE.tsv of "mysql --batch", or TABLE.txt and TABLE.sql of "mysqldump
--tab". Users, mains, ownership, Member Audit's permissions, registered and shared characters, skill
sets and their groups are taken over; what is not is listed with its row and why.

Examples:
  muster import -f org.json
  muster import --from-alliance-auth dump --dry-run
  muster import --from-alliance-auth dump
  muster import --from-alliance-auth dump --with-tokens tokens.json

Exit status: 0 all came in, 1 some records were rejected or left out, 2 it could not be done.`
}

// importAnswer is what the API says of an import.
type importAnswer struct {
	Users      int                `json:"users"`
	Characters int                `json:"characters"`
	Unchanged  int                `json:"unchanged"`
	Rejections []access.Rejection `json:"rejections"`
}

// Run implements the subcommand.
func (c *importCommand) Run(ctx context.Context, env *environment) error {
	switch {
	case c.FromAllianceAuth != "":
		return c.fromAllianceAuth(ctx, env)
	case c.File == "":
		return event.Errorf(event.CodeInvalid, "say what to bring in: -f FILE, or --from-alliance-auth DIR")
	case c.WithTokens != "":
		return event.Errorf(event.CodeInvalid, "--with-tokens goes with --from-alliance-auth: an organisation file has a refresh_token in each character")
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("reading the organisation: %w", err)
	}
	if c.DryRun {
		return c.rehearseFile(env, data)
	}
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var answer importAnswer
	if err := api.do(ctx, http.MethodPost, "/v1/import", data, "application/json", &answer); err != nil {
		return err
	}
	if c.Output == "json" {
		if err := printJSON(env.stdout, answer); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(env.stdout, "%d users and %d characters are new or changed, %d were so already\n", answer.Users, answer.Characters, answer.Unchanged)
	}
	return c.rejected(env, answer.Rejections)
}

// rehearseFile says what an organisation file comes to.
func (c *importCommand) rehearseFile(env *environment, data []byte) error {
	org, rejections, err := access.ReadOrganisation(bytes.NewReader(data))
	if err != nil {
		return err
	}
	plan := planOf(org)
	plan.Rejections = append(plan.Rejections, rejections...)
	if err := plan.show(env, c.Output); err != nil {
		return err
	}
	return c.rejected(env, rejections)
}

// rejected lists what was rejected of an organisation file, and keeps the list.
func (c *importCommand) rejected(env *environment, rejections []access.Rejection) error {
	if len(rejections) == 0 {
		return nil
	}
	for _, r := range rejections {
		fmt.Fprintf(env.stderr, "%s:%d: %s: %s\n", c.File, r.Line, r.Record, r.Reason)
	}
	kept := c.File + ".rejected.json"
	if err := writeJSONFile(kept, rejections); err != nil {
		return err
	}
	fmt.Fprintf(env.stderr, "%d records were rejected, the list is in %s: correct them and import again\n", len(rejections), kept)
	return errFindings
}

// importOrganisation brings an organisation in, in parts that hold whole users with what
// they own: a request of many tens of megabytes is refused.
func (c *client) importOrganisation(ctx context.Context, org access.Organisation) (importAnswer, error) {
	sum := importAnswer{Rejections: []access.Rejection{}}
	for _, part := range partsOf(org, charactersInPart) {
		data, err := json.Marshal(part)
		if err != nil {
			return sum, fmt.Errorf("writing the organisation: %w", err)
		}
		var answer importAnswer
		if err := c.do(ctx, http.MethodPost, "/v1/import", data, "application/json", &answer); err != nil {
			return sum, err
		}
		sum.Users, sum.Characters, sum.Unchanged = sum.Users+answer.Users, sum.Characters+answer.Characters, sum.Unchanged+answer.Unchanged
		for _, r := range answer.Rejections {
			// Its line is that of no file.
			r.Line = 0
			sum.Rejections = append(sum.Rejections, r)
		}
	}
	return sum, nil
}

// charactersInPart is about how many characters are brought in by one request: with
// their logins some kilobytes each.
const charactersInPart = 4_000

// partsOf parts an organisation by users; what nobody owns comes last.
func partsOf(org access.Organisation, limit int) []access.Organisation {
	owned := map[string][]access.OrganisationCharacter{}
	for _, c := range org.Characters {
		owner := ""
		if c.Owner != nil {
			owner = *c.Owner
		}
		owned[owner] = append(owned[owner], c)
	}
	none := func() access.Organisation {
		return access.Organisation{Users: []access.OrganisationUser{}, Characters: []access.OrganisationCharacter{}}
	}
	var parts []access.Organisation
	part := none()
	full := func() {
		if len(part.Users)+len(part.Characters) >= limit {
			parts, part = append(parts, part), none()
		}
	}
	for _, u := range org.Users {
		part.Users, part.Characters = append(part.Users, u), append(part.Characters, owned[u.ID]...)
		full()
	}
	for _, c := range owned[""] {
		part.Characters = append(part.Characters, c)
		full()
	}
	if len(part.Users)+len(part.Characters) > 0 {
		parts = append(parts, part)
	}
	return parts
}
