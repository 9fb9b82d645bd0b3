package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/muster-sync/muster/projections/reports"
)

// readersCommand lets dashboards read.
type readersCommand struct {
	List readersList `cmd:"" default:"withargs" help:"List the views, what each gives, and which tables it reads now."`
	Make readersMake `cmd:"" help:"Make the views and the role, in Postgres and in ClickHouse."`
	Drop readersDrop `cmd:"" help:"Take the views and the role away."`
}

type readersMake struct {
	Schema string `help:"Schema of Postgres and database of ClickHouse for the views." default:"reports" placeholder:"NAME"`
	Role   string `help:"Role that may read the views and nothing else." default:"muster_reader" placeholder:"NAME"`
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Help implements kong's detailed help.
func (c *readersMake) Help() string {
	return `Nothing of the kind is there until this is called, once. From then on the views read whichever
generation of a read model is live, also after a replay or a rollback. Calling it again mends them.

Who may read the views sees all of them, without the rules of who may see what. They have sums and
counts by corporation and consortium, and no names of people, ids of characters, texts or logins.

The role cannot log in. Give it to a login of your own, such as Grafana's.

Examples:
  muster readers make
  muster readers make --schema figures --role figures_reader`
}

// Run implements the subcommand.
func (c *readersMake) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		// Some views are of tables that only the ingest makes.
		if err := env.migrateAll(ctx, s); err != nil {
			return err
		}
		standing, err := s.views.Make(ctx, reports.Options{Namespace: c.Schema, Role: c.Role})
		if err != nil {
			return err
		}
		if err := showReaders(env, standing, c.Output); err != nil || c.Output != "table" {
			return err
		}
		fmt.Fprint(env.stdout, nextSteps(standing, env.settings.ClickhouseDSN == ""))
		return nil
	})
}

// nextSteps tells what is left to the administrator.
func nextSteps(s reports.Standing, embedded bool) string {
	var b strings.Builder
	if s.PostgresRole {
		fmt.Fprintf(&b, "\nPostgres: %[1]s may read the schema %[2]s and nothing else. To give it to a login:\n  CREATE ROLE grafana LOGIN PASSWORD '...' IN ROLE %[1]s;\n", s.Role, s.Namespace)
	} else {
		fmt.Fprintf(&b, "\nPostgres: Muster's user may make no roles. Have an administrator run this, and call the command again:\n  CREATE ROLE %s NOLOGIN;\n", s.Role)
	}
	switch {
	case s.ClickHouseRole:
		fmt.Fprintf(&b, "\nClickHouse: %[1]s may read the database %[2]s and nothing else. To give it to a login:\n"+
			"  CREATE USER grafana IDENTIFIED BY '...' SETTINGS readonly = 2;\n  GRANT %[1]s TO grafana;\n  SET DEFAULT ROLE %[1]s TO grafana;\n", s.Role, s.Namespace)
	case embedded:
		fmt.Fprintf(&b, "\nClickHouse: the embedded engine has one user, who may do everything, and knows no roles. The views in %s are there; keep its address to yourself, "+
			"and run a ClickHouse of your own for readers who may not change it.\n", s.Namespace)
	default:
		fmt.Fprintf(&b, "\nClickHouse: Muster's user may make no roles. Have an administrator run this, or call the command again when it may:\n  CREATE ROLE %[1]s;\n  GRANT SELECT ON %[2]s.* TO %[1]s;\n", s.Role, s.Namespace)
	}
	return b.String()
}

type readersList struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *readersList) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		standing, err := s.views.Standing(ctx)
		if err != nil {
			return err
		}
		return showReaders(env, standing, c.Output)
	})
}

// readerLine is a view in the answer of muster readers.
type readerLine struct {
	Store string `json:"store"`
	// View is its name with the schema or database.
	View string `json:"view"`
	// Reads are the schemas or databases of the live generations that it reads.
	Reads []string `json:"reads"`
	// MadeAt is nil for a view that is not there yet.
	MadeAt *time.Time `json:"made_at"`
	Gives  string     `json:"gives"`
}

// readersAnswer is the answer of muster readers.
type readersAnswer struct {
	Role           string       `json:"role"`
	PostgresRole   bool         `json:"postgres_role"`
	ClickHouseRole bool         `json:"clickhouse_role"`
	Views          []readerLine `json:"views"`
}

func showReaders(env *environment, s reports.Standing, format string) error {
	answer := readersAnswer{Role: s.Role, PostgresRole: s.PostgresRole, ClickHouseRole: s.ClickHouseRole, Views: make([]readerLine, len(s.Views))}
	t := newTable("store", "view", "reads", "made at", "gives")
	for i, v := range s.Views {
		line := readerLine{Store: string(v.Store), View: s.Namespace + "." + v.Name, Reads: append([]string{}, v.Namespaces...), MadeAt: v.MadeAt, Gives: v.Tells}
		answer.Views[i] = line
		at := "not yet"
		if line.MadeAt != nil {
			at = line.MadeAt.Format(time.RFC3339)
		}
		t.row(line.Store, line.View, strings.Join(line.Reads, " "), at, oneLine(line.Gives))
	}
	return t.show(env.stdout, format, answer)
}

type readersDrop struct{}

// Help implements kong's detailed help.
func (c *readersDrop) Help() string {
	return `Views that somebody made of these go with them. Logins that hold the role must be taken out of it first.

Examples:
  muster readers drop`
}

// Run implements the subcommand.
func (c *readersDrop) Run(ctx context.Context, env *environment) error {
	return env.withStores(ctx, func(s *stores) error {
		if err := s.views.Drop(ctx); err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, "the views and the role are gone")
		return nil
	})
}
