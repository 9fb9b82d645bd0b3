package main

import (
	"context"
	"fmt"
	"os"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// skillsetCommand acts on the skill sets of a running Muster, or runs acceptance
// cases of their checks.
type skillsetCommand struct {
	Check skillsetCheck `cmd:"" default:"withargs" help:"Check the checks of skill sets against a file of vectors; the default."`
}

// skillsetCheck runs acceptance cases; nothing has to run for it.
type skillsetCheck struct {
	Vectors string `help:"File of vectors to check the checks of skill sets against." type:"existingfile" placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *skillsetCommand) Help() string {
	return `Examples:
  muster skillset --vectors skillset.jsonl

Exit status of --vectors: 0 none differs, 1 some differ, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *skillsetCheck) Run(_ context.Context, env *environment) error {
	if c.Vectors == "" {
		return event.Errorf(event.CodeInvalid, "say what to do: list, show, define, remove, clone, import-fitting or import-plan, or give --vectors")
	}
	file, err := os.Open(c.Vectors)
	if err != nil {
		return fmt.Errorf("opening the vectors: %w", err)
	}
	defer func() { _ = file.Close() }()
	report, err := eve.RunSkillSetVectors(file)
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
