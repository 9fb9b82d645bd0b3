package reports

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/migrate"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed migrations/*.sql
var migrations embed.FS

// What the views lie in and the role is called unless the administrator says otherwise.
const (
	DefaultNamespace = "reports"
	DefaultRole      = "muster_reader"
)

// stateSchema is the Postgres schema that remembers what was asked for.
const stateSchema = "reports_state"

// lockWait is how long a view that somebody is reading is waited for before the next
// attempt. Longer would keep those waiting who come after him.
const lockWait = 5 * time.Second

// Source knows the live generations; [runner.Control] is one.
type Source interface {
	Live(ctx context.Context, projection string) (runner.Generation, error)
}

// Config is what Views needs. All but Cluster is required.
type Config struct {
	Pool       *pgxpool.Pool
	ClickHouse driver.Conn
	// Cluster is where ClickHouse's tables lie; zero is one server.
	Cluster runner.Cluster
	Live    Source
}

// Views makes the views and keeps them in step. It is safe for concurrent use, also by
// several processes.
type Views struct{ config Config }

// New brings the tables that remember what was asked for up to date.
func New(ctx context.Context, c Config) (*Views, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of the views for reports: %w", err)
	}
	if err := migrate.Postgres(ctx, c.Pool, stateSchema, files); err != nil {
		return nil, err
	}
	return &Views{config: c}, nil
}

// Options are what an administrator may choose.
type Options struct {
	// Namespace is the schema of Postgres and the database of ClickHouse that have the
	// views.
	Namespace string
	// Role is that of Postgres and of ClickHouse which may read them.
	Role string
}

var names = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (o Options) validate() error {
	for what, name := range map[string]string{"schema": o.Namespace, "role": o.Role} {
		if !names.MatchString(name) {
			return event.Errorf(event.CodeInvalid, "%s %q: use up to 32 small letters, digits and underscores, a letter first, such as %s", what, name, DefaultNamespace)
		}
	}
	if strings.HasPrefix(o.Namespace, "pg_") || strings.HasPrefix(o.Namespace, "muster_") {
		return event.Errorf(event.CodeInvalid, "schema %q: names that begin with pg_ or muster_ are those of Postgres and of the read models: choose another, such as %s", o.Namespace, DefaultNamespace)
	}
	return nil
}

// Standing is what there is.
type Standing struct {
	Options

	// PostgresRole and ClickHouseRole tell whether the role is there and may read the
	// views.
	PostgresRole, ClickHouseRole bool
	MadeAt                       time.Time
	Views                        []Made
}

// Made is a view and what it reads.
type Made struct {
	View

	// Namespaces are the schemas or databases of the generations that it reads; empty
	// while the view is not there, and for views of tables without generations.
	Namespaces []string
	// MadeAt is when it was made last; nil while it is not there, because a projection
	// that it reads has no live generation yet.
	MadeAt *time.Time
}

// Make makes the schema of Postgres, the database of ClickHouse, the views of all read
// models that are there, and the role, and remembers that they are to be kept. It may be
// called again, also to mend what somebody has broken. It fails with
// [event.CodeConflict] if something of that name is there that is not Muster's, and if
// there are views elsewhere already.
func (v *Views) Make(ctx context.Context, o Options) (Standing, error) {
	if err := o.validate(); err != nil {
		return Standing{}, err
	}
	err := v.locked(ctx, func(tx pgx.Tx) error {
		was, err := readSettings(ctx, tx)
		switch {
		case err != nil:
			return err
		case was != nil && was.Options != o:
			return event.Errorf(event.CodeConflict, "there are views in %s for %s already: take them away first with `muster readers drop`", was.Namespace, was.Role)
		case was == nil:
			if err := v.free(ctx, tx, o); err != nil {
				return err
			}
		}
		s := Standing{Options: o}
		if s.PostgresRole, err = makePostgresRole(ctx, tx, o); err != nil {
			return err
		}
		if s.ClickHouseRole, err = v.makeClickHouseRole(ctx, o); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO reports_state.settings (namespace, role, postgres_role, clickhouse_role) VALUES ($1, $2, $3, $4)
			ON CONFLICT (one) DO UPDATE SET postgres_role = excluded.postgres_role, clickhouse_role = excluded.clickhouse_role, made_at = now()`,
			o.Namespace, o.Role, s.PostgresRole, s.ClickHouseRole)
		return err
	})
	if err == nil {
		// Apart, so that what ClickHouse has by then is remembered if this fails.
		err = v.locked(ctx, func(tx pgx.Tx) error {
			s, err := readSettings(ctx, tx)
			if err != nil || s == nil {
				return err
			}
			return v.remake(ctx, tx, *s, All(), true)
		})
	}
	if err != nil {
		return Standing{}, fmt.Errorf("making the views for reports: %w", err)
	}
	return v.Standing(ctx)
}

// Follow has the views that read a projection read its live generation. It does nothing
// if nobody asked for views, or if they do so already.
func (v *Views) Follow(ctx context.Context, projection string) error {
	views := slices.DeleteFunc(All(), func(view View) bool {
		reads := view.Projections()
		// Those that read no generation change with Muster's version.
		return len(reads) > 0 && !slices.Contains(reads, projection)
	})
	err := v.locked(ctx, func(tx pgx.Tx) error {
		s, err := readSettings(ctx, tx)
		if err != nil || s == nil {
			return err
		}
		return v.remake(ctx, tx, *s, views, false)
	})
	if err != nil {
		return fmt.Errorf("having the views for reports read the live generation of %s: %w", projection, err)
	}
	return nil
}

// Drop takes the views and the role away, and forgets that they were asked for. Views
// that others made of these go with them. It fails with [event.CodeNotFound] if there
// are none, and with [event.CodeConflict] while logins hold the role.
func (v *Views) Drop(ctx context.Context) error {
	err := v.locked(ctx, func(tx pgx.Tx) error {
		s, err := readSettings(ctx, tx)
		if err != nil {
			return err
		}
		if s == nil {
			return event.Errorf(event.CodeNotFound, "there are no views for reports: make them with `muster readers make`")
		}
		if s.PostgresRole {
			if err := dropPostgresRole(ctx, tx, s.Options); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{s.Namespace}.Sanitize()+" CASCADE"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM reports_state.made`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM reports_state.settings`); err != nil {
			return err
		}
		// Last, for it cannot be taken back.
		return v.dropClickHouse(ctx, *s)
	})
	if err != nil {
		return fmt.Errorf("taking the views for reports away: %w", err)
	}
	return nil
}

// Standing tells what there is. It fails with [event.CodeNotFound] if nobody asked for
// views.
func (v *Views) Standing(ctx context.Context) (Standing, error) {
	s, err := readSettings(ctx, v.config.Pool)
	if err != nil {
		return Standing{}, fmt.Errorf("reading how the views for reports stand: %w", err)
	}
	if s == nil {
		return Standing{}, event.Errorf(event.CodeNotFound, "there are no views for reports: make them with `muster readers make`")
	}
	rows, err := v.config.Pool.Query(ctx, `SELECT store, view, namespaces, made_at FROM reports_state.made`)
	if err != nil {
		return Standing{}, fmt.Errorf("listing the views for reports: %w", err)
	}
	made := map[string]Made{}
	var m Made
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&m.Store, &m.Name, &m.Namespaces, &at}, func() error {
		made[string(m.Store)+"."+m.Name] = Made{Namespaces: slices.Clone(m.Namespaces), MadeAt: new(at.UTC())}
		return nil
	})
	if err != nil {
		return Standing{}, fmt.Errorf("listing the views for reports: %w", err)
	}
	for _, view := range All() {
		one := made[string(view.Store)+"."+view.Name]
		one.View = view
		s.Views = append(s.Views, one)
	}
	return *s, nil
}

// locked lets one process at a time work on the views, and what it finds to be live is
// then what is live last.
func (v *Views) locked(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, v.config.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('views for reports', 77))`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d`, lockWait.Milliseconds())); err != nil {
			return err
		}
		return do(tx)
	})
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readSettings is what was asked for; nil if nothing was.
func readSettings(ctx context.Context, q querier) (*Standing, error) {
	var s Standing
	err := q.QueryRow(ctx, `SELECT namespace, role, postgres_role, clickhouse_role, made_at FROM reports_state.settings`).
		Scan(&s.Namespace, &s.Role, &s.PostgresRole, &s.ClickHouseRole, &s.MadeAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.MadeAt = s.MadeAt.UTC()
	return &s, nil
}

// remake makes those of the views anew that read other generations than the live ones,
// or that another version of Muster has made; all of them if always is set. Those of
// ClickHouse come last, since they are not part of the transaction.
func (v *Views) remake(ctx context.Context, tx pgx.Tx, s Standing, views []View, always bool) error {
	for _, view := range views {
		sql, namespaces, err := v.render(ctx, view)
		if event.CodeOf(err) == event.CodeUnavailable {
			continue // It is made when the first generation is there.
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(sql + view.Tells))
		hash := hex.EncodeToString(sum[:])
		var same bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM reports_state.made WHERE store = $1 AND view = $2 AND sql_hash = $3)`, view.Store, view.Name, hash).Scan(&same); err != nil {
			return err
		}
		if same && !always {
			continue
		}
		if err := v.create(ctx, tx, s, view, sql); err != nil {
			return fmt.Errorf("making view %s.%s of %s: %w", s.Namespace, view.Name, view.Store, err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO reports_state.made (store, view, namespaces, sql_hash) VALUES ($1, $2, $3, $4)
			ON CONFLICT (store, view) DO UPDATE SET namespaces = excluded.namespaces, sql_hash = excluded.sql_hash, made_at = now()`,
			view.Store, view.Name, namespaces, hash); err != nil {
			return err
		}
	}
	return nil
}

// render puts the live generations into the text of a view. It fails with
// [event.CodeUnavailable] if one of them is not there yet.
func (v *Views) render(ctx context.Context, view View) (sql string, namespaces []string, err error) {
	sql, namespaces = view.SQL, []string{}
	for _, projection := range view.Projections() {
		g, err := v.config.Live.Live(ctx, projection)
		if err != nil {
			return "", nil, err
		}
		namespaces = append(namespaces, g.Namespace)
		sql = strings.ReplaceAll(sql, "{"+projection+"}", view.Store.quote(g.Namespace))
	}
	return sql, namespaces, nil
}

func (s Store) quote(identifier string) string {
	if s == StoreClickHouse {
		return quoteClickHouse(identifier)
	}
	return pgx.Identifier{identifier}.Sanitize()
}

func (v *Views) create(ctx context.Context, tx pgx.Tx, s Standing, view View, sql string) error {
	if view.Store == StoreClickHouse {
		return v.createInClickHouse(ctx, s, view, sql)
	}
	return createInPostgres(ctx, tx, s, view, sql)
}

// free fails if something of that name is there that is not Muster's to fill.
func (v *Views) free(ctx context.Context, tx pgx.Tx, o Options) error {
	var taken bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, o.Namespace).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return event.Errorf(event.CodeConflict, "Postgres has a schema %q already: choose another name with --schema", o.Namespace)
	}
	return v.freeInClickHouse(ctx, o)
}
