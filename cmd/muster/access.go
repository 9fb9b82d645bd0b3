package main

import (
	"context"
	"fmt"
	"os"

	"github.com/muster-sync/muster/domain/access"
)

// accessCommand is about who may see what, and who has seen it.
type accessCommand struct {
	Check accessCheck `cmd:"" default:"withargs" help:"Check the rules of access against a file of cases."`
	Log   accessLog   `cmd:"" help:"List who looked at data of others."`
}

// accessCheck checks the rules of access.
type accessCheck struct {
	Vectors string `help:"File of vectors to check the rules against." type:"existingfile" required:"" placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *accessCheck) Help() string {
	return `Examples:
  muster access --vectors access.jsonl

Each vector is an organisation and what each of its users may see and do by it.

Exit status: 0 none differs, 1 some differ, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *accessCheck) Run(_ context.Context, env *environment) error {
	return runVectors(env, c.Vectors, access.VectorsOfAccess)
}

// runVectors runs a file of vectors about organisations and prints what came out.
func runVectors(env *environment, path string, kind access.VectorKind) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the vectors: %w", err)
	}
	defer func() { _ = file.Close() }()
	report, err := access.RunVectors(file, kind)
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
