package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// replayCommand folds the log anew.
type replayCommand struct {
	Run  replayRun  `cmd:"" default:"withargs" help:"Rebuild read models from the log, or fold it up to a moment into a schema of its own (what \"muster replay NAME\" does)."`
	List replayList `cmd:"" help:"List the schemas that hold the log folded up to a moment."`
	Drop replayDrop `cmd:"" help:"Remove such a schema with all its tables."`
}

// replayRun rebuilds read models.
type replayRun struct {
	Name          string    `arg:"" optional:"" help:"Projection to rebuild: characters, anvil or wallet; empty rebuilds all."`
	Restart       bool      `help:"Throw an unfinished rebuild away instead of going on with it."`
	KeepDifferent bool      `help:"Switch even if the new generation differs from the live one."`
	Rollback      bool      `help:"Go back to the generation that was live before."`
	To            time.Time `help:"Fold only what had happened by this moment, as as_of does; with --into." placeholder:"TIME"`
	Into          string    `help:"Schema to fold it into, beside the live read models; with --to." placeholder:"SCHEMA"`
	Replace       bool      `help:"Throw a schema that was made with --into before away, and make it anew."`
	Output        string    `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *replayRun) Help() string {
	return `Builds a new generation of a read model from the log beside the live one, brings both to the
same position, compares counts and checksums by key range, and switches when they are equal.
It can be interrupted: the next call goes on where it stopped.

With --to and --into the log is folded up to a moment into a schema of its own, for auditors to
query. Nothing is switched. What is removed or forgotten goes from it, too, for as long as it is there.

Examples:
  muster replay              all read models
  muster replay wallet       one of them
  muster replay wallet --rollback
  muster replay --to 2026-03-01T00:00:00Z --into audit_2026`
}

// Run implements the subcommand.
func (c *replayRun) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error { return c.run(ctx, env, s) })
}

func (c *replayRun) run(ctx context.Context, env *environment, s *stores) error {
	r := s.folder
	list := s.projections()
	if c.Name != "" {
		b, err := s.projection(c.Name)
		if err != nil {
			return err
		}
		list = []runner.Bound{b}
	}
	if c.Into != "" || !c.To.IsZero() || c.Replace {
		return c.scratch(ctx, env, r, list)
	}
	if c.Rollback {
		return c.rollBack(ctx, env, r, list)
	}
	var results []runner.ReplayResult
	for _, b := range list {
		result, err := c.replay(ctx, env, r, b)
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	return c.print(env, results)
}

func (c *replayRun) rollBack(ctx context.Context, env *environment, r *runner.Runner, list []runner.Bound) error {
	if c.Name == "" {
		return event.Errorf(event.CodeInvalid, "say which projection to roll back: muster replay NAME --rollback")
	}
	g, err := r.Rollback(ctx, list[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "generation %d of %s is live again; it catches up now\n", g.Number, g.Projection)
	return nil
}

func (c *replayRun) replay(ctx context.Context, env *environment, r *runner.Runner, b runner.Bound) (runner.ReplayResult, error) {
	bar := newProgress(env.stderr, env.logger, "replay "+b.Name)
	defer bar.end()
	return r.Replay(ctx, b, runner.ReplayOptions{
		Restart: c.Restart, KeepDifferent: c.KeepDifferent,
		Progress: func(p runner.Progress) { bar.set(p.Phase, p.Done, p.Total) },
	})
}

func (c *replayRun) print(env *environment, results []runner.ReplayResult) error {
	equal := true
	t := newTable("projection", "generation", "table", "live rows", "new rows", "key ranges", "equal")
	for _, result := range results {
		equal = equal && result.Equal
		for _, e := range result.Tables {
			t.row(result.Projection, fmt.Sprintf("%d -> %d", result.Previous, result.Generation), e.Table,
				strconv.FormatInt(e.LiveRows, 10), strconv.FormatInt(e.NewRows, 10), strconv.Itoa(e.Ranges), yesNo(e.Equal))
		}
	}
	if err := t.show(env.stdout, c.Output, results); err != nil {
		return err
	}
	if c.Output == "table" {
		for _, result := range results {
			fmt.Fprintf(env.stdout, "%s: %d records in %s, %.0f a second, %s\n", result.Projection, result.Records,
				result.Took.Round(time.Millisecond), float64(result.Records)/result.Took.Seconds(), outcome(result))
		}
	}
	if !equal {
		return errFindings
	}
	return nil
}

func outcome(r runner.ReplayResult) string {
	switch {
	case r.Equal && r.Promoted:
		return "equal, switched"
	case r.Promoted:
		return "different, switched as asked"
	default:
		return "DIFFERENT, not switched"
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

// scratch folds the log up to a moment into a schema of its own.
func (c *replayRun) scratch(ctx context.Context, env *environment, r *runner.Runner, list []runner.Bound) error {
	switch {
	case c.Into == "":
		return event.Errorf(event.CodeInvalid, "say into which schema the log is to be folded: muster replay --to TIME --into SCHEMA")
	case c.Restart || c.KeepDifferent || c.Rollback:
		return event.Errorf(event.CodeInvalid, "--restart, --keep-different and --rollback are about the live read models: leave them out, or leave --into out")
	}
	var bar *progress
	var of string
	finish := func() {
		if bar != nil {
			bar.end()
		}
	}
	started := time.Now()
	s, tables, err := r.ReplayInto(ctx, list, runner.ScratchOptions{
		Name: c.Into, Until: c.To, Replace: c.Replace,
		Progress: func(projection string, p runner.Progress) {
			if projection != of {
				finish()
				bar, of = newProgress(env.stderr, env.logger, c.Into+": "+projection), projection
			}
			bar.set(p.Phase, p.Done, p.Total)
		},
	})
	finish()
	if err != nil {
		return err
	}
	t := newTable("projection", "tables in", "records")
	var records int64
	for _, folded := range tables {
		records += folded.Records
		t.row(folded.Projection, folded.Namespace, strconv.FormatInt(folded.Records, 10))
	}
	if err := t.show(env.stdout, c.Output, shownScratch(s)); err != nil || c.Output != "table" {
		return err
	}
	if s.ReadyAt != nil && s.ReadyAt.Before(started) {
		fmt.Fprintf(env.stdout, "%s holds what had happened by %s already, since %s: %d records\n", s.Name, s.Until.Format(time.RFC3339Nano), s.ReadyAt.UTC().Format(time.RFC3339), records)
		return nil
	}
	took := time.Since(started)
	fmt.Fprintf(env.stdout, "%s holds what had happened by %s: %d records in %s, %.0f a second\n", s.Name, s.Until.Format(time.RFC3339Nano),
		records, took.Round(time.Millisecond), float64(records)/took.Seconds())
	return nil
}

// scratchLine is a schema that holds the log folded up to a moment.
type scratchLine struct {
	Schema    string     `json:"schema"`
	To        time.Time  `json:"to"`
	CreatedAt time.Time  `json:"created_at"`
	ReadyAt   *time.Time `json:"ready_at"`
	// Namespaces are where the tables lie, by projection: schemas of Postgres and
	// databases of ClickHouse.
	Namespaces map[string]string `json:"namespaces"`
}

func shownScratch(s runner.Scratch) scratchLine {
	line := scratchLine{Schema: s.Name, To: s.Until, CreatedAt: s.CreatedAt.UTC(), Namespaces: map[string]string{}}
	if s.ReadyAt != nil {
		line.ReadyAt = new(s.ReadyAt.UTC())
	}
	for _, g := range s.Generations {
		line.Namespaces[g.Projection] = g.Namespace
	}
	return line
}

type replayList struct {
	Output string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Run implements the subcommand.
func (c *replayList) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		scratches, err := s.control.Scratches(ctx)
		if err != nil {
			return err
		}
		lines := []scratchLine{}
		t := newTable("schema", "to", "state", "created at", "projection", "tables in")
		for _, scratch := range scratches {
			line := shownScratch(scratch)
			lines = append(lines, line)
			state := "ready"
			if line.ReadyAt == nil {
				state = "unfinished"
			}
			for _, g := range scratch.Generations {
				t.row(line.Schema, line.To.Format(time.RFC3339Nano), state, line.CreatedAt.Format(time.RFC3339), g.Projection, g.Namespace)
			}
		}
		return t.show(env.stdout, c.Output, lines)
	})
}

type replayDrop struct {
	Schema string `arg:"" help:"Name of the schema; see muster replay list."`
}

// Run implements the subcommand.
func (c *replayDrop) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := s.folder.DropScratch(ctx, s.projections(), c.Schema); err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%s is gone\n", c.Schema)
		return nil
	})
}
