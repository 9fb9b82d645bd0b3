package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/event"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/verify"
)

// migrateCommand brings topics and tables up to date.
type migrateCommand struct{}

// Run implements the subcommand.
func (c *migrateCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := env.migrateAll(ctx, s); err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, "topics and tables are up to date")
		return nil
	})
}

// verifyCommand folds the log in memory and compares.
type verifyCommand struct {
	Percent int    `help:"Verify only that share of the streams." default:"100"`
	Output  string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *verifyCommand) Help() string {
	return `Folds the log in memory, without the code of the read models, and reports each live row that
differs. The read models stand still meanwhile; what is appended waits.

Exit status: 0 equal, 1 there are differences, 2 it could not be done.`
}

// Run implements the subcommand.
func (c *verifyCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error { return c.run(ctx, env, s) })
}

func (c *verifyCommand) run(ctx context.Context, env *environment, s *stores) error {
	return c.compare(ctx, env, s, s.reader)
}

// compare holds what follows from a log against the live rows.
func (c *verifyCommand) compare(ctx context.Context, env *environment, s *stores, log verify.Log) error {
	r := s.folder
	release, err := holdAll(ctx, r, s.projections())
	defer release()
	if err != nil {
		return err
	}
	bar := newProgress(env.stderr, env.logger, "verify")
	started := time.Now()
	report, err := verify.Run(ctx, verify.Config{
		Pool: s.pool, ClickHouse: s.clickhouse, Log: log, Registry: s.registry, Control: s.control, Percent: c.Percent,
		Progress: func(done, total int64) { bar.set("folding", done, total) },
	}, verify.NewCharacters(s.pool), verify.NewAnVIL(s.pool, s.registry, pgviews.LoadState), verify.NewWallet(s.clickhouse), verify.NewEventIndex(s.clickhouse), verify.NewFacts(s.clickhouse), verify.NewFindingSteps(s.clickhouse), verify.NewRecords(s.clickhouse), verify.NewOrganisation(s.clickhouse), verify.NewAnVILHistory(s.clickhouse))
	bar.end()
	if err != nil {
		return err
	}
	if err := c.print(env, report, time.Since(started)); err != nil {
		return err
	}
	if report.Count > 0 {
		return errFindings
	}
	return nil
}

// holdAll makes all read models stand still until the function returned, which
// is never nil, is called.
func holdAll(ctx context.Context, r *runner.Runner, list []runner.Bound) (func(), error) {
	var held []func()
	release := func() {
		for _, one := range held {
			one()
		}
	}
	for _, b := range list {
		one, err := r.Hold(ctx, b)
		if err != nil {
			return release, err
		}
		held = append(held, one)
	}
	return release, nil
}

func (c *verifyCommand) print(env *environment, report verify.Report, took time.Duration) error {
	t := newTable("projection", "stream", "what", "log", "live")
	for _, d := range report.Differences {
		t.row(d.Projection, d.Stream, d.What, oneLine(d.Log), oneLine(d.Live))
	}
	if report.Count > 0 || c.Output != "table" {
		if err := t.show(env.stdout, c.Output, report); err != nil || c.Output != "table" {
			return err
		}
	}
	var rows int64
	for _, n := range report.Rows {
		rows += n
	}
	fmt.Fprintf(env.stdout, "%d events of %d streams folded, %d rows compared, %d differ, in %s\n",
		report.Events, report.Streams, rows, report.Count, took.Round(time.Millisecond))
	return nil
}

// widestCell bounds what is shown of a value in a table.
const widestCell = 80

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > widestCell {
		s = s[:widestCell] + "..."
	}
	return s
}

// poisonCommand looks after events that could not be applied.
type poisonCommand struct {
	List  poisonList  `cmd:"" help:"List the events that are set aside, and why."`
	Retry poisonRetry `cmd:"" help:"Try an event, and those that wait behind it, again."`
	Skip  poisonSkip  `cmd:"" help:"Take an event out of a read model for good and let the others go on."`
}

type poisonList struct {
	Projection string `help:"Only of this projection."`
	Output     string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Run implements the subcommand.
func (c *poisonList) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		parked, err := s.control.ParkedEvents(ctx, c.Projection)
		if err != nil {
			return err
		}
		t := newTable("projection", "position", "state", "type", "sequence", "parked at", "reason")
		for _, k := range parked {
			t.row(k.Projection, k.Position.String(), k.State, k.Type, k.Sequence, k.ParkedAt.UTC().Format(time.RFC3339), k.Reason)
		}
		return t.show(env.stdout, c.Output, parked)
	})
}

type poisonRetry struct {
	Projection string `help:"Projection that has set it aside." required:""`
	Position   string `arg:"" help:"Where the event lies: topic/partition@offset."`
}

// Run implements the subcommand.
func (c *poisonRetry) Run(ctx context.Context, env *environment) error {
	at, err := parsePosition(c.Position)
	if err != nil {
		return err
	}
	return env.withStores(ctx, func(s *stores) error { return s.control.Retry(ctx, c.Projection, at) })
}

type poisonSkip struct {
	Projection string `help:"Projection that has set it aside." required:""`
	Position   string `arg:"" help:"Where the event lies: topic/partition@offset."`
	Reason     string `help:"Why; auditors will ask." required:""`
	Actor      string `help:"Who decides this." default:"operator"`
}

// Run implements the subcommand.
func (c *poisonSkip) Run(ctx context.Context, env *environment) error {
	at, err := parsePosition(c.Position)
	if err != nil {
		return err
	}
	return env.withStores(ctx, func(s *stores) error { return s.control.Skip(ctx, c.Projection, at, c.Actor, c.Reason) })
}

func (e *environment) withStores(ctx context.Context, fn func(*stores) error) error {
	at, err := e.findEngines()
	if err != nil {
		return err
	}
	s, err := e.openStores(ctx, at)
	if err != nil {
		return err
	}
	defer s.Close()
	return fn(s)
}

// parsePosition reads topic/partition@offset.
func parsePosition(text string) (event.Position, error) {
	topic, rest, ok := strings.Cut(text, "/")
	partition, offset, ok2 := strings.Cut(rest, "@")
	n, err := strconv.ParseInt(partition, 10, 32)
	at, err2 := strconv.ParseInt(offset, 10, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return event.Position{}, event.Errorf(event.CodeInvalid, "position %q: write it as topic/partition@offset, such as %s/3@1234", text, event.TopicEVE)
	}
	return event.Position{Topic: topic, Partition: int32(n), Offset: at}, nil
}
