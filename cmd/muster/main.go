// Command muster is the whole of Muster in one binary: the engines, the ingest
// workers, the projectors, the API, and the commands that act on them. Each
// subcommand is a file of its own; there is wiring here and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-sync/muster/internal/eventlog"
)

// version is set when the binary is built.
var version = "dev"

// Exit statuses, as scripts depend on them.
const (
	exitOK       = 0
	exitFindings = 1
	exitError    = 2
)

// errFindings ends a command that worked and found something: the findings are
// printed already.
var errFindings = errors.New("there are findings")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{stdout: os.Stdout, stderr: os.Stderr, stdin: os.Stdin}
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// program is one run of the binary. Tests run it as the shell would.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run parses the arguments and runs the subcommand. It returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	var cli commandLine
	parser, err := kong.New(&cli,
		kong.Name("muster"),
		kong.Description("Muster calls the roll: it records what EVE Online characters and AnVIL groups look like, as events that are never edited, and tells what was true, what changed, and why records disagree."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Configuration(yamlFile, configurationFile),
		kong.Resolvers(secretFiles(os.LookupEnv)),
		kong.Writers(p.stdout, p.stderr),
		kong.Vars{"version": version, "data_dir": defaultDataDir()},
		kong.Exit(func(status int) { panic(exited(status)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p.execute(ctx, parser, &cli, args)
}

// exited carries kong's wish to end the program, as after --help.
type exited int

func (p program) execute(ctx context.Context, parser *kong.Kong, cli *commandLine, args []string) (status int) {
	defer func() {
		if e := recover(); e != nil {
			wish, ok := e.(exited)
			if !ok {
				panic(e)
			}
			status = int(wish)
		}
	}()
	// A shell that asks what may come next is answered, and nothing else is done.
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(p.stderr, "muster: %v\n", err)
		return exitError
	}
	env := &environment{program: p, settings: &cli.settings, logger: cli.newLogger(p.stderr), steps: &steps{seen: map[string]int{}}}
	eventlog.LogSarama(env.logger)
	err = parsed.Run(env)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFindings):
		return exitFindings
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitOK
	default:
		fmt.Fprintf(p.stderr, "muster: %v\n", err)
		return exitError
	}
}

// environment is what every subcommand gets.
type environment struct {
	program
	settings *settings
	logger   *slog.Logger
	steps    *steps
	// engines has the metrics of the engines that this process runs; nil if it runs none.
	engines *prometheus.Registry
}

// commandLine lists the subcommands.
type commandLine struct {
	settings

	Up      upCommand      `cmd:"" help:"Run everything in one process tree: engines, ingest, projectors, API."`
	Ingest  ingestCommand  `cmd:"" help:"Run the ingest workers: sync characters, sweep consortia, audit."`
	Project projectCommand `cmd:"" help:"Run the projectors: fold the log into the read models."`
	Serve   serveCommand   `cmd:"" help:"Run the API and the forwarder of commands."`

	Character characterCommand `cmd:"" help:"Register characters by EVE's sign-on, update, disable, enable, remove, forget, reset, share, list and show them."`

	User userCommand `cmd:"" help:"List and show users, let them in or not, make them superusers."`
	Role roleCommand `cmd:"" help:"Define roles, which are groups of permissions, and grant them to users and states."`

	Skillset skillsetCommand `cmd:"" help:"Define what characters need to be able to do, and see who can; import it from fittings and skill plans."`

	Export exportCommand `cmd:"" help:"Take wallet journals, contracts and their items out as CSV or Parquet."`

	Import  importCommand  `cmd:"" help:"Bring in an organisation: users, mains, characters, tokens."`
	Declare declareCommand `cmd:"" help:"Declare what a consortium ought to look like, from a file or record by record."`
	Sweep   sweepCommand   `cmd:"" help:"Ask AnVIL what a consortium looks like, once, now."`
	Audit   auditCommand   `cmd:"" help:"Compare what is declared with what AnVIL answers."`
	Explain explainCommand `cmd:"" help:"Tell why a finding is there, a user is not compliant, a balance differs, a skill set is not met, or where an asset went."`

	Events    eventsCommand    `cmd:"" help:"List the events of the log, and show one of them with its value."`
	Finding   findingCommand   `cmd:"" help:"List the findings of a consortium, and show one of them."`
	Workspace workspaceCommand `cmd:"" help:"Who can come to the workspaces of a consortium, and how."`

	Token tokenCommand `cmd:"" help:"Issue, list and revoke the tokens that programs use."`

	Access     accessCommand     `cmd:"" help:"Check the rules of who may see what against a file of cases, and list who looked at what."`
	Compliance complianceCommand `cmd:"" help:"Check the reports of registered characters against a file of cases."`

	Sync syncCommand `cmd:"" help:"How the sync of characters stands, what it costs, and pauses."`

	Stats statsCommand `cmd:"" help:"Numbers of things, and how long reading them takes: Member Audit's memberaudit_stats, and more."`

	Universe universeCommand `cmd:"" help:"Reference data: load types and places, look names up, see how they stand."`

	Replay replayCommand `cmd:"" help:"Rebuild a read model from the log beside the live one, compare, and switch."`
	Verify verifyCommand `cmd:"" help:"Fold the log in memory and report every difference from the live rows."`
	Poison poisonCommand `cmd:"" help:"List, retry or skip events that could not be applied."`

	Readers readersCommand `cmd:"" help:"Views of stable names over the read models, and a role that may read them alone, for dashboards."`

	Retention retentionCommand `cmd:"" help:"What is older than the policies keep: plan, remove, prove that it is gone."`

	Completion kongcompletion.Completion `cmd:"" help:"Print what makes bash, zsh or fish complete commands and flags."`
	Man        mangokong.ManFlag         `help:"Print the manual page." hidden:""`

	Doctor doctorCommand `cmd:"" help:"Tell whether everything is in order: settings, engines, topics, tables, read models, clocks, disks, services; and what to do if not."`

	Migrate migrateCommand `cmd:"" help:"Create topics and bring all tables up to date, then exit."`

	Secret secretCommand `cmd:"" help:"Replace the key that seals logins and the keys of personal texts."`

	Backup  backupCommand  `cmd:"" help:"Take the log and what cannot be made anew from it to a folder or a bucket, and check what was taken."`
	Restore restoreCommand `cmd:"" help:"Bring a backup back into an empty log and an empty database."`

	Engine   engineCommand   `cmd:"" help:"Run one embedded engine alone."`
	Simulate simulateCommand `cmd:"" help:"Run a stand-in of an outside world, or fill the log with made-up events."`

	Ready readyCommand `cmd:"" help:"Ask a process of this machine whether it is ready, as health checks do."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}
