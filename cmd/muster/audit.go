package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// auditCommand compares what is declared with what AnVIL answers: of two
// files, of a file of vectors, or of a running Muster's read models.
type auditCommand struct {
	Declared   string   `help:"File with what is declared (YAML or JSON)." type:"existingfile" placeholder:"FILE"`
	Observed   string   `help:"File with AnVIL's answers (JSON)." type:"existingfile" placeholder:"FILE"`
	Vectors    string   `help:"File of vectors to check the audits against." type:"existingfile" placeholder:"FILE"`
	Consortium string   `help:"Audit what a running Muster knows of a consortium." placeholder:"NAME"`
	AsOf       string   `help:"Audit it as it was at this time, such as 2026-05-01T12:00:00Z; only with --consortium." placeholder:"TIME"`
	Compat     bool     `help:"Give the results of django-anvil-consortium-manager exactly."`
	Models     []string `help:"Audit only these: billing_projects, accounts, managed_groups, workspaces." placeholder:"MODEL"`
	Output     string   `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *auditCommand) Help() string {
	return `Examples:
  muster audit --declared declared.yaml --observed answers.json --output json
  muster audit --compat --vectors cases.jsonl --models managed_groups
  muster audit --consortium primed
  muster audit --consortium primed --as-of 2026-05-01T12:00:00Z

Exit status: 0 all agrees, 1 there are findings, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *auditCommand) Run(ctx context.Context, env *environment) error {
	models, err := auditModels(c.Models)
	if err != nil {
		return err
	}
	switch {
	case c.AsOf != "" && c.Consortium == "":
		return event.Errorf(event.CodeInvalid, "--as-of needs --consortium: files know of no past")
	case c.Vectors != "":
		return c.runVectors(env)
	case c.Consortium != "":
		return c.runRemote(ctx, env)
	case c.Declared != "" && c.Observed != "":
		return c.runFiles(env, models)
	default:
		return event.Errorf(event.CodeInvalid, "nothing to audit: give --declared and --observed, or --vectors, or --consortium")
	}
}

func auditModels(names []string) ([]anvil.Model, error) {
	var models []anvil.Model
	for _, name := range names {
		known := false
		for _, m := range anvil.Models() {
			if string(m) == name {
				models, known = append(models, m), true
			}
		}
		if !known {
			return nil, event.Errorf(event.CodeInvalid, "there is no audit of %q: choose from %v", name, anvil.Models())
		}
	}
	return models, nil
}

func (c *auditCommand) runVectors(env *environment) error {
	file, err := os.Open(c.Vectors)
	if err != nil {
		return fmt.Errorf("opening the vectors: %w", err)
	}
	defer func() { _ = file.Close() }()
	report, err := anvil.RunVectors(file, c.Models)
	if _, printErr := report.WriteTo(env.stdout); printErr != nil {
		return fmt.Errorf("printing the report: %w", printErr)
	}
	if err != nil {
		return err
	}
	if report.Differ > 0 {
		return errFindings
	}
	return nil
}

func (c *auditCommand) runFiles(env *environment, models []anvil.Model) error {
	declared, err := readFile(c.Declared, anvil.DecodeDeclared)
	if err != nil {
		return err
	}
	if err := declared.Validate(anvil.Literal); err != nil {
		return fmt.Errorf("%s: %w", c.Declared, err)
	}
	answers, err := readFile(c.Observed, anvil.DecodeAnswers)
	if err != nil {
		return err
	}
	observed, err := anvil.ObserveAnswers(answers)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Observed, err)
	}
	result := anvil.Audit(declared, observed, anvil.Options{Compat: c.Compat, Models: models})
	if err := c.print(env, result); err != nil {
		return err
	}
	if !result.OK() {
		return errFindings
	}
	return nil
}

func (c *auditCommand) print(env *environment, result *anvil.Result) error {
	t := newTable("audit", "record", "finding", "expected", "observed")
	for _, a := range result.All() {
		name := strings.TrimSuffix(string(a.Model)+" "+a.Scope, " ")
		if a.Outcome.Aborted != "" {
			t.row(name, "", "aborted: "+a.Aborted, "", "")
		}
		for _, d := range a.Discrepancies {
			t.row(name, d.Record, d.Kind, d.Expected, d.Observed)
		}
		for _, record := range slices.Sorted(maps.Keys(a.Unknown)) {
			t.row(name, record, "unknown", "", a.Unknown[record])
		}
	}
	return t.show(env.stdout, c.Output, result)
}

func readFile[T any](path string, decode func(r io.Reader) (T, error)) (T, error) {
	var zero T
	file, err := os.Open(path)
	if err != nil {
		return zero, fmt.Errorf("opening %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	v, err := decode(file)
	if err != nil {
		return zero, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
