package main

import (
	"context"

	"github.com/muster-sync/muster/domain/access"
)

// complianceCommand checks the reports of compliance.
type complianceCommand struct {
	Vectors string `help:"File of vectors to check the reports against." type:"existingfile" required:"" placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *complianceCommand) Help() string {
	return `Examples:
  muster compliance --vectors compliance.jsonl

Each vector is an organisation and its two reports of compliance, by user and by
corporation.

Exit status: 0 none differs, 1 some differ, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *complianceCommand) Run(_ context.Context, env *environment) error {
	return runVectors(env, c.Vectors, access.VectorsOfCompliance)
}
