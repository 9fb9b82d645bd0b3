package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/doctor"
)

// doctorCommand tells whether a setup is in order.
type doctorCommand struct {
	worlds
	Offline bool          `help:"Ask no service of the outside worlds."`
	Timeout time.Duration `help:"Time that each check has." default:"15s"`
	Output  string        `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *doctorCommand) Help() string {
	return `Looks at settings, engines, topics, tables, read models, clocks, logins, disks and services, all at once,
and writes nothing. Call it with the settings of the process that it is about.

Exit status: 0 all is in order (there may be warnings), 1 a check failed, 2 it could not be done.

Examples:
  muster doctor
  muster doctor --offline --output json`
}

// diagnosis is what is printed as JSON.
type diagnosis struct {
	Verdict doctor.Verdict  `json:"verdict"`
	Version string          `json:"version"`
	Checks  []doctor.Result `json:"checks"`
}

// Run implements the subcommand.
func (c *doctorCommand) Run(ctx context.Context, env *environment, parsed *kong.Context) error {
	if c.Timeout < time.Second {
		return event.Errorf(event.CodeInvalid, "--timeout %s: must be at least 1s", c.Timeout)
	}
	x := newExamination(ctx, env, c, parsed.Model)
	defer x.close()
	results := doctor.Run(ctx, c.Timeout, x.checks()...)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.show(env, results); err != nil {
		return err
	}
	if doctor.Worst(results) == doctor.Failed {
		return errFindings
	}
	return nil
}

func (c *doctorCommand) show(env *environment, results []doctor.Result) error {
	t := newTable("check", "verdict", "seen", "remedy")
	count := map[doctor.Verdict]int{}
	for _, r := range results {
		count[r.Verdict]++
		if len(r.Problems) == 0 {
			t.row(r.Name, string(r.Verdict), r.Seen, "")
		}
		for _, p := range r.Problems {
			t.row(r.Name, string(p.Verdict), p.Seen, p.Remedy)
		}
	}
	if err := t.show(env.stdout, c.Output, diagnosis{Verdict: doctor.Worst(results), Version: version, Checks: results}); err != nil || c.Output != "table" {
		return err
	}
	fmt.Fprintf(env.stdout, "%d checks: %d ok, %d with warnings, %d failed\n", len(results), count[doctor.OK], count[doctor.Warning], count[doctor.Failed])
	return nil
}
