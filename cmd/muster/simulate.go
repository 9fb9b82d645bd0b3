package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	simanvil "github.com/muster-sync/muster/internal/simulate/anvil"
	simesi "github.com/muster-sync/muster/internal/simulate/esi"
	"github.com/muster-sync/muster/internal/simulate/workload"
)

// simulateCommand runs stand-ins of the outside worlds.
type simulateCommand struct {
	ESI    simulateESI    `cmd:"" name:"esi" help:"Run a strict stand-in of ESI and EVE's sign-on."`
	Anvil  simulateAnvil  `cmd:"" help:"Run a strict stand-in of Sam and Rawls."`
	Events simulateEvents `cmd:"" help:"Fill the log with made-up events, to try replays and benchmarks."`
}

// worldFlags say what world is simulated.
type worldFlags struct {
	Seed  uint64    `help:"Chooses the world." default:"1"`
	Speed float64   `help:"How many times faster than the clock the world moves, until it has caught up with the present." default:"1"`
	Epoch time.Time `help:"Time of the world at its start; default 30 days ago." placeholder:"TIME"`
}

type simulateESI struct {
	worldFlags
	Address         string        `help:"Address to serve on." default:"127.0.0.1:9001" placeholder:"HOST:PORT"`
	Characters      int           `help:"How many characters there are." default:"100"`
	Activity        float64       `help:"Multiplies how much happens." default:"1"`
	Assets          int           `help:"How many assets each character has; 0 draws it for each." placeholder:"COUNT"`
	Window          time.Duration `help:"How long charges weigh on the token buckets; default is ESI's 15m, divided by the speed."`
	Shape           string        `help:"How buckets forget: ${enum}." enum:"floating,quarter" default:"floating"`
	TokenLifetime   time.Duration `help:"How long access tokens are good; default is EVE's 20m, divided by the speed."`
	CacheHeaders    string        `help:"How lifetimes are announced: ${enum}." enum:"live,max-age,expires" default:"live"`
	PageSize        int           `help:"The most records on a page; 0 is ESI's own for each route." placeholder:"COUNT"`
	ExclusiveFromID bool          `name:"exclusive-from-id" help:"Transactions from an id on leave that one out."`
	PartialScopes   float64       `help:"Share of characters that consented to little." placeholder:"SHARE"`
	Downtime        time.Duration `help:"How long the world is down from 11:00 of each of its days on; 0 is never, or 15m with all faults."`
	Faults          []string      `name:"fault" sep:"none" help:"What goes wrong, such as server-error:character-assets,rate=0.01; 'all' is some of everything, the daily downtime included. May be repeated." placeholder:"FAULT"`
	State           string        `help:"Folder that remembers what was served over restarts." placeholder:"DIR"`
	Organisation    string        `help:"Write an organisation file for muster import, and go on." placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *simulateESI) Help() string {
	return `Examples:
  muster simulate esi --characters 10000 --speed 60 --organisation org.json
  muster simulate esi --shape quarter --downtime 15m --fault all
  MUSTER_ESI_URL=http://127.0.0.1:9001 MUSTER_SSO_URL=http://127.0.0.1:9001 muster ingest

It counts tokens and errors by its own ledger. Each rule that a client breaks is listed at
/_simulator/violations; the ledger is at /_simulator/ledger, what was served at /_simulator/served.`
}

// Run implements the subcommand.
func (c *simulateESI) Run(ctx context.Context, env *environment) error {
	faults, err := simesi.ParseFaults(c.Faults...)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "--fault: %w", err)
	}
	if slices.Contains(c.Faults, "all") && c.Downtime == 0 {
		c.Downtime = simesi.AllDowntime
	}
	simulator, err := simesi.New(simesi.Config{
		Seed: c.Seed, Characters: c.Characters, Activity: c.Activity, Assets: c.Assets, Epoch: c.Epoch, Speed: c.Speed, StateDir: c.State,
		Window: c.Window, Shape: simesi.WindowShape(c.Shape), TokenLifetime: c.TokenLifetime, CacheHeaders: simesi.CacheHeaders(c.CacheHeaders),
		PageSize: c.PageSize, ExclusiveFromID: c.ExclusiveFromID, PartialScopes: c.PartialScopes, Downtime: c.Downtime, Faults: faults, Logger: env.logger,
	})
	if err != nil {
		return err
	}
	defer func() { _ = simulator.Close() }()
	if c.Organisation != "" {
		if err := writeJSONFile(c.Organisation, simulator.Organisation()); err != nil {
			return err
		}
	}
	err = listenAndServe(ctx, simulatorServer(c.Address, simulator.Handler()), func(at net.Addr) {
		fmt.Fprintf(env.stdout, "simulated ESI and sign-on ready at http://%s\n", at)
	})
	for rule, n := range simulator.Ledger().Violations {
		fmt.Fprintf(env.stdout, "broken: %s, %d times\n", rule, n)
	}
	return err
}

type simulateAnvil struct {
	worldFlags
	Address    string        `help:"Address to serve on." default:"127.0.0.1:9002" placeholder:"HOST:PORT"`
	State      string        `help:"Folder that remembers the world over restarts." placeholder:"DIR"`
	Consortium string        `help:"Name of the consortium." default:"demo"`
	Accounts   int           `help:"How many accounts there are." default:"60"`
	Groups     int           `help:"How many groups there are." default:"20"`
	WideDrift  float64       `help:"Share of things that change in further ways: roles, levels, guests, settings, the application's own access; 0 is none." placeholder:"SHARE"`
	Latency    time.Duration `help:"How long each answer takes."`
	Declared   string        `help:"Write a declared file for muster declare, and go on." placeholder:"FILE"`
}

// Help implements kong's detailed help.
func (c *simulateAnvil) Help() string {
	return `Examples:
  muster simulate anvil --declared declared.json
  muster simulate anvil --wide-drift 0.2 --speed 3600
  MUSTER_SAM_URL=http://127.0.0.1:9002 MUSTER_RAWLS_URL=http://127.0.0.1:9002 MUSTER_ANVIL_CREDENTIALS=none muster ingest`
}

// Run implements the subcommand.
func (c *simulateAnvil) Run(ctx context.Context, env *environment) error {
	simulator, err := simanvil.New(simanvil.Config{
		Seed: c.Seed, Consortium: c.Consortium, Accounts: c.Accounts, Groups: c.Groups, Epoch: c.Epoch, Speed: c.Speed,
		WideDrift: c.WideDrift, Latency: c.Latency, NoToken: true, StateDir: c.State, Logger: env.logger,
	})
	if err != nil {
		return err
	}
	defer func() { _ = simulator.Close() }()
	if c.Declared != "" {
		if err := writeJSONFile(c.Declared, simulator.Declared()); err != nil {
			return err
		}
	}
	return listenAndServe(ctx, simulatorServer(c.Address, simulator.Handler()), func(at net.Addr) {
		fmt.Fprintf(env.stdout, "simulated Sam and Rawls ready at http://%s\n", at)
	})
}

func simulatorServer(listen string, handler http.Handler) *http.Server {
	return &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
}

func writeJSONFile(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

type simulateEvents struct {
	Count int    `help:"How many events to append." default:"1000000"`
	Seed  uint64 `help:"Chooses the events." default:"1"`
}

// Help implements kong's detailed help.
func (c *simulateEvents) Help() string {
	return `The events are of characters that do not exist anywhere else. Do not use a log that matters.

Example, with the engines and the projectors alone:
  muster engine kafka & muster engine postgres & muster engine clickhouse &
  muster project &
  muster simulate events --count 1000000
  muster replay && muster verify`
}

// Run implements the subcommand.
func (c *simulateEvents) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: s.addresses.KafkaBrokers, Security: s.security, Logger: env.logger, Metrics: s.metrics})
		if err != nil {
			return err
		}
		defer func() { _ = appender.Close() }()
		bar, done, started := newProgress(env.stderr, env.logger, "append"), int64(0), time.Now()
		totals, err := workload.Generate(ctx, c.Count, c.Seed, func(ctx context.Context, events ...event.Event) error {
			done += int64(len(events))
			bar.set("events", done, int64(c.Count))
			return appender.Append(ctx, events...)
		})
		bar.end()
		if err != nil {
			return err
		}
		var entries int
		for _, t := range totals {
			entries += t.JournalEntries
		}
		took := time.Since(started)
		fmt.Fprintf(env.stdout, "%d events of %d characters with %d journal entries appended in %s, %.0f events a second\n",
			c.Count, len(totals), entries, took.Round(time.Millisecond), float64(c.Count)/took.Seconds())
		return nil
	})
}
