package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/ingest/universe"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

// universeSettings say how often ESI is asked for reference data.
type universeSettings struct {
	NamesEvery      time.Duration `env:"MUSTER_UNIVERSE_NAMES_EVERY" default:"168h" help:"How old names of characters, corporations and alliances may become."`
	NamesPerHour    int           `env:"MUSTER_UNIVERSE_NAMES_PER_HOUR" default:"20000" help:"How many of them are asked again within an hour."`
	StructuresEvery time.Duration `env:"MUSTER_UNIVERSE_STRUCTURES_EVERY" default:"24h" help:"How old what is known of a structure may become."`
	PricesEvery     time.Duration `env:"MUSTER_UNIVERSE_PRICES_EVERY" default:"240m" help:"How old the prices of the market may become."`
	PlayersEvery    time.Duration `env:"MUSTER_UNIVERSE_PLAYERS_EVERY" default:"5m" help:"How old the count of players who are online may become."`
	RefusedFor      time.Duration `env:"MUSTER_UNIVERSE_REFUSED_FOR" default:"168h" help:"How long what ESI refuses to name is left alone, the first time."`
	ErrorsPerMinute int           `env:"MUSTER_UNIVERSE_ERRORS_PER_MINUTE" default:"20" help:"Errors that looking names up may cause, of the 100 that ESI allows to all."`
}

// newResolver makes what finds ids without names, and what looks them up.
func (r *roles) newResolver(client *transport.Client) (*universe.Resolver, *universe.Finder, error) {
	finder, err := universe.NewFinder(r.pool, r.metrics, r.logger, nil)
	if err != nil {
		return nil, nil, err
	}
	u := r.worlds.Universe
	resolver, err := universe.NewResolver(universe.Config{
		Pool: r.pool, Client: client, Finder: finder, Views: mentioned{r.stores, chviews.NewWalletReader(r.clickhouse, live.New(r.control))},
		Settings: universe.Settings{
			Names: u.NamesEvery, NamesPerHour: u.NamesPerHour, Structures: u.StructuresEvery, Prices: u.PricesEvery, Players: u.PlayersEvery,
			Refused: u.RefusedFor, ErrorsPerMinute: u.ErrorsPerMinute,
		},
		Registerer: r.metrics, Logger: r.logger,
	})
	return resolver, finder, err
}

// mentioned is the read model in which ids are looked for.
type mentioned struct {
	*stores

	wallets *chviews.WalletReader
}

// CharacterIDs implements [universe.Views].
func (m mentioned) CharacterIDs(ctx context.Context) ([]int64, error) {
	g, err := m.control.Live(ctx, pgviews.CharactersName)
	if event.CodeOf(err) == event.CodeNotFound || event.CodeOf(err) == event.CodeUnavailable {
		// There is no read model yet.
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return pgviews.AllCharacters(ctx, m.pool, g)
}

// Contents implements [universe.Views].
func (m mentioned) Contents(ctx context.Context, character int64, each func(section eve.Section, value []byte)) error {
	g, err := m.control.Live(ctx, pgviews.CharactersName)
	if err != nil {
		return err
	}
	if err := pgviews.SectionContents(ctx, m.pool, g, character, each); err != nil {
		return err
	}
	mentions, err := m.wallets.JournalMentions(ctx, character)
	if err != nil {
		return err
	}
	for _, mention := range mentions {
		if mention.ContextType == "" {
			each(eve.SectionWalletJournal, fmt.Appendf(nil, `{"first_party_id":%d}`, mention.ID))
		} else {
			each(eve.SectionWalletJournal, fmt.Appendf(nil, `{"context_id":%d,"context_id_type":%q}`, mention.ID, mention.ContextType))
		}
	}
	return nil
}

// universeCommand is about reference data.
type universeCommand struct {
	Load    universeLoadCommand    `cmd:"" help:"Load CCP's static data: types, places, NPC corporations and what skills need."`
	Status  universeStatusCommand  `cmd:"" default:"withargs" help:"What is there, how old it is, and what has no name."`
	Resolve universeResolveCommand `cmd:"" help:"Look through everything for ids without a name, and ask ESI for them now."`
}

type universeLoadCommand struct {
	Origin string `arg:"" name:"path-or-url" help:"A folder, a zip or the URL of a zip with CCP's static data export in JSON Lines, or one of its files."`
	Output string `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *universeLoadCommand) Help() string {
	return `The tables become equal to the export in one transaction; a second load of the same changes nothing.
Tables of which the export has no file stay as they are. Rows that cannot be read are kept aside and
listed, and the others loaded; the exit status is then 1.

Examples:
  muster universe load https://developers.eveonline.com/static-data/eve-online-static-data-latest-jsonl.zip
  muster universe load eve-online-static-data-3561556-jsonl.zip
  muster universe load ./sde --output json`
}

// Run implements the subcommand.
func (c *universeLoadCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := universe.Migrate(ctx, s.pool); err != nil {
			return err
		}
		bar := newProgress(env.stderr, env.logger, "static data")
		report, err := universe.Load(ctx, s.pool, c.Origin, universe.LoadOptions{
			Progress: func(p universe.Progress) { bar.set(p.Phase, p.Done, p.Total) },
		})
		bar.end()
		if err != nil {
			return err
		}
		t := newTable("table", "rows", "added", "changed", "removed")
		for _, change := range report.Tables {
			t.row(change.Table, number(change.Rows), number(change.Added), number(change.Changed), number(change.Removed))
		}
		if err := t.show(env.stdout, c.Output, report); err != nil {
			return err
		}
		if c.Output == "table" {
			fmt.Fprintf(env.stdout, "%s; %d rows could not be read, %d files are of no use here\n", editionOf(report), report.Rejected, report.Ignored)
			for _, r := range report.RejectedRows {
				fmt.Fprintf(env.stdout, "  %s line %d: %s\n", r.File, r.Line, r.Reason)
			}
		}
		if report.Rejected > 0 {
			return errFindings
		}
		return nil
	})
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// editionOf names what was loaded.
func editionOf(r universe.LoadReport) string {
	name := r.Origin
	if r.Build != nil {
		name += ", build " + number(*r.Build)
	}
	if r.ReleasedAt != nil {
		name += " of " + r.ReleasedAt.Format(time.DateOnly)
	}
	return name
}

type universeStatusCommand struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *universeStatusCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := universe.Migrate(ctx, s.pool); err != nil {
			return err
		}
		standing, err := universe.Status(ctx, s.pool)
		if err != nil {
			return err
		}
		t := newTable("table", "source", "rows")
		for _, table := range standing.Tables {
			t.row(table.Table, table.Source, number(table.Rows))
		}
		if err := t.show(env.stdout, c.Output, standing); err != nil || c.Output != "table" {
			return err
		}
		if standing.Load != nil {
			fmt.Fprintf(env.stdout, "static data: %s, loaded %s\n", editionOf(*standing.Load), standing.Load.LoadedAt.UTC().Format(time.RFC3339))
		}
		prices := "never read"
		if at := standing.PricesCheckedAt; at != nil {
			prices = fmt.Sprintf("confirmed %s ago", time.Since(*at).Round(time.Second))
		}
		fmt.Fprintln(env.stdout, "prices:", prices)
		for _, w := range standing.Wanted {
			fmt.Fprintf(env.stdout, "%ss asked of ESI: %d known, %d waiting, %d refused\n", w.Lookup, w.Known, w.Waiting, w.Refused)
		}
		for _, r := range standing.Refused {
			fmt.Fprintf(env.stdout, "  %s %d, not before %s: %s\n", r.Lookup, r.ID, r.DueAt.Format(time.RFC3339), r.Reason)
		}
		return nil
	})
}

type universeResolveCommand struct {
	worlds
	Patience time.Duration `default:"2m" help:"How long to wait when ESI is not to be asked."`
	Output   string        `short:"o" enum:"table,json" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *universeResolveCommand) Help() string {
	return `Where Muster is running, it does the work and this command waits for it.

Examples:
  muster universe resolve`
}

// resolved is the answer of muster universe resolve.
type resolved struct {
	Wanted []universe.WantedStatus `json:"wanted"`
	// Held says why not all was looked up; empty if it was.
	Held string `json:"held,omitempty"`
}

// Run implements the subcommand.
func (c *universeResolveCommand) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		r, err := env.newRoles(ctx, s, c.worlds)
		if err != nil {
			return err
		}
		if r.vault == nil {
			return event.Errorf(event.CodeInvalid, "ESI cannot be asked without an EVE application: set MUSTER_SSO_CLIENT_ID and MUSTER_CONTACT")
		}
		client, err := r.newESIClient(nil)
		if err != nil {
			return err
		}
		defer client.Close()
		resolver, _, err := r.newResolver(client)
		if err != nil {
			return err
		}
		bar := newProgress(env.stderr, env.logger, "names")
		held, err := resolver.Resolve(ctx, c.Patience, func(phase string, left int64) { bar.set(fmt.Sprintf("%s, %d left", phase, left), 0, 0) })
		bar.end()
		if err != nil {
			return err
		}
		standing, err := universe.Status(ctx, s.pool)
		if err != nil {
			return err
		}
		t := newTable("kind", "known", "waiting", "refused")
		for _, w := range standing.Wanted {
			t.row(w.Lookup, number(w.Known), number(w.Waiting), number(w.Refused))
		}
		if err := t.show(env.stdout, c.Output, resolved{standing.Wanted, held}); err != nil {
			return err
		}
		if held == "" {
			return nil
		}
		if c.Output == "table" {
			fmt.Fprintln(env.stdout, held)
		}
		return errFindings
	})
}
