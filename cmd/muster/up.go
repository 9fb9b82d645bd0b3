package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"time"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/internal/engine"
	simanvil "github.com/muster-sync/muster/internal/simulate/anvil"
	simesi "github.com/muster-sync/muster/internal/simulate/esi"
)

// upCommand runs everything in one process tree.
type upCommand struct {
	worlds
	metricsSettings
	Demo           bool    `help:"Simulate the outside worlds and bring in an example organisation and consortium."`
	DemoCharacters int     `help:"Characters of the example organisation." default:"60"`
	DemoSpeed      float64 `help:"How many times faster than the clock the simulated worlds move until they have caught up with the present." default:"60"`
}

// Help implements kong's detailed help.
func (c *upCommand) Help() string {
	return `Examples:
  muster up --demo
  MUSTER_SSO_CLIENT_ID=... MUSTER_CONTACT=you@example.org muster up

It is ready when it prints its URL; /readyz then answers 200. Ctrl-C stops it in order; the next
start goes on where it stopped.`
}

// Run implements the subcommand.
func (c *upCommand) Run(ctx context.Context, env *environment) error {
	started := time.Now()
	if c.Demo {
		if err := loopbackOnly(env.settings.Listen); err != nil {
			return err
		}
	}
	env.engineMetrics = newMetrics()
	engines, err := engine.Open(ctx, engine.Config{
		DataDir: env.settings.DataDir, External: env.settings.external(), KafkaPartitions: int(env.settings.KafkaPartitions), Logger: env.logger, Registerer: env.engineMetrics,
	})
	if err != nil {
		return err
	}
	err = c.run(ctx, env, engines.Addresses(), started)
	if stopErr := engines.Stop(); err == nil {
		err = stopErr
	}
	if err == nil {
		env.logger.InfoContext(ctx, "stopped")
	}
	return err
}

func (c *upCommand) run(ctx context.Context, env *environment, at engine.Addresses, started time.Time) error {
	s, err := env.openStores(ctx, at)
	if err != nil {
		return err
	}
	defer s.Close()
	var d *demo
	if c.Demo {
		if d, err = newDemo(ctx, env, c); err != nil {
			return err
		}
		// The worlds answer before anybody asks, and until nobody does any more.
		stop := d.serve(ctx)
		defer stop()
	}
	r, err := env.newRoles(ctx, s, c.worlds)
	if err != nil {
		return err
	}
	return runAll(ctx,
		func(ctx context.Context) error { return env.project(ctx, s) },
		func(ctx context.Context) error { return env.serveProfiles(ctx, s, c.metricsSettings) },
		r.ingest,
		func(ctx context.Context) error {
			return r.serve(ctx, func(api net.Addr) {
				env.logger.InfoContext(ctx, "serving", "url", "http://"+api.String(), "after", time.Since(started).Round(time.Millisecond))
			})
		},
		func(ctx context.Context) error {
			if d != nil {
				if err := d.fill(ctx, r); err != nil {
					return err
				}
			}
			if err := r.waitReady(ctx); err != nil {
				return err
			}
			fmt.Fprintf(env.stdout, "Muster is ready after %s at http://%s\nadministrator's token: %s\n",
				time.Since(started).Round(100*time.Millisecond), env.settings.Listen, env.settings.adminTokenPath())
			if d != nil {
				fmt.Fprintf(env.stdout, "sign in as anybody of the example: http://%s/auth/sign-in\n", env.settings.Listen)
			}
			return nil
		})
}

// loopbackOnly refuses addresses that other machines can reach.
func loopbackOnly(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "MUSTER_LISTEN %q: write it as host:port", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return event.Errorf(event.CodeInvalid, "--demo serves an example to this machine only, but MUSTER_LISTEN is %s: use 127.0.0.1, or leave --demo out", listen)
	}
	return nil
}

// demoBehind is how far behind the present the simulated worlds begin: they
// catch up with it and then move on in real time.
const demoBehind = 3 * 24 * time.Hour

// demoConsortium is the name of the example consortium.
const demoConsortium = "demo"

// demo is the simulated outside worlds and the example that lives in them.
type demo struct {
	logger   *slog.Logger
	esi      *simesi.Simulator
	anvil    *simanvil.Simulator
	listener [2]net.Listener
}

// newDemo makes the worlds and points the settings at them.
func newDemo(ctx context.Context, env *environment, c *upCommand) (*demo, error) {
	d := &demo{logger: env.logger}
	var err error
	d.esi, err = simesi.New(simesi.Config{
		Seed: 1, Characters: c.DemoCharacters, Epoch: time.Now().Add(-demoBehind), Speed: c.DemoSpeed, Activity: 2,
		// Else each use of a login would have to renew it.
		TokenLifetime: 20 * time.Minute,
		StateDir:      filepath.Join(env.settings.DataDir, "demo", "esi"), Logger: env.logger,
	})
	if err != nil {
		return nil, err
	}
	d.anvil, err = simanvil.New(simanvil.Config{Seed: 1, Consortium: demoConsortium, Epoch: time.Now().Add(-demoBehind), Speed: c.DemoSpeed, NoToken: true, StateDir: filepath.Join(env.settings.DataDir, "demo", "anvil"), Logger: env.logger})
	if err != nil {
		return nil, err
	}
	for i := range d.listener {
		if d.listener[i], err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listening for the simulated worlds: %w", err)
		}
	}
	esiURL, anvilURL := "http://"+d.listener[0].Addr().String(), "http://"+d.listener[1].Addr().String()
	c.ESIURL, c.SSOURL, c.SSOClientID, c.SSOClientSecret = esiURL, esiURL, "muster-simulated", "simulated-secret"
	c.Door.SignInClientID, c.Door.SignInClientSecret = "muster-simulated-sign-in", ""
	c.Contact, c.Downtime = "demo@example.org", false
	c.SamURL, c.RawlsURL, c.AnvilCredentials = anvilURL, anvilURL, "none"
	if c.Intervals == nil {
		c.Intervals = map[string]time.Duration{}
		for section := range schedule.DefaultIntervals() {
			c.Intervals[string(section)] = 4 * time.Minute
		}
		maps.Copy(c.Intervals, map[string]time.Duration{
			"details": 2 * time.Minute, "location": 20 * time.Second, "wallet": 30 * time.Second, "wallet-journal": 75 * time.Second,
		})
	}
	c.SweepEvery = min(c.SweepEvery, 30*time.Second)
	return d, nil
}

// serve lets the worlds answer until the returned function is called.
func (d *demo) serve(ctx context.Context) (stop func()) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		done <- runAll(serving,
			func(ctx context.Context) error {
				return serveOn(ctx, simulatorServer("", d.esi.Handler()), d.listener[0])
			},
			func(ctx context.Context) error {
				return serveOn(ctx, simulatorServer("", d.anvil.Handler()), d.listener[1])
			})
	}()
	return func() {
		cancel()
		if err := errors.Join(<-done, d.esi.Close(), d.anvil.Close()); err != nil {
			d.logger.WarnContext(ctx, "stopping the simulated worlds", "error", err)
		}
	}
}

// fill brings the example organisation and consortium in. It is idempotent.
func (d *demo) fill(ctx context.Context, r *roles) error {
	data, err := json.Marshal(d.esi.Organisation())
	if err != nil {
		return fmt.Errorf("encoding the example organisation: %w", err)
	}
	org, rejected, err := access.ReadOrganisation(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if len(rejected) > 0 {
		return event.Errorf(event.CodeInternal, "BUG: the example organisation is refused: %v", rejected[0])
	}
	if err := r.waitReady(ctx); err != nil {
		return err
	}
	if _, err := r.register(ctx, "demo", org); err != nil {
		return fmt.Errorf("bringing in the example organisation: %w", err)
	}
	data, err = json.Marshal(d.anvil.Declared())
	if err != nil {
		return fmt.Errorf("encoding the example consortium: %w", err)
	}
	declared, err := anvil.DecodeDeclared(bytes.NewReader(data))
	if err != nil {
		return err
	}
	_, err = r.declarer().Declare(ctx, ingestanvil.DeclareInput{Actor: "demo", Consortium: demoConsortium, Wanted: declared, Reason: "the example"})
	if err != nil {
		return fmt.Errorf("declaring the example consortium: %w", err)
	}
	return nil
}
