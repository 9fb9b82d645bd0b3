package reports_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/reports"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/projections/runner/clustertest"
)

func TestMain(m *testing.M) {
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// generations are those that a test says are live, by projection.
type generations map[string]string

// Live implements [reports.Source].
func (g generations) Live(_ context.Context, projection string) (runner.Generation, error) {
	if g[projection] == "" {
		return runner.Generation{}, event.Errorf(event.CodeUnavailable, "projection %q has no live generation yet", projection)
	}
	return runner.Generation{Projection: projection, Namespace: g[projection]}, nil
}

// rig has tables of generations, made as the runner makes them.
type rig struct {
	t       *testing.T
	pool    *pgxpool.Pool
	conn    driver.Conn
	cluster runner.Cluster
	names   string
	options reports.Options
	live    generations
	views   *reports.Views
}

func newRig(t *testing.T) *rig {
	t.Helper()
	options, err := clickhouse.ParseDSN(enginetest.ClickHouse(t))
	require.NoError(t, err)
	conn, err := clickhouse.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return newRigOn(t, conn, options.Auth.Database, runner.Cluster{})
}

func newRigOn(t *testing.T, conn driver.Conn, names string, cluster runner.Cluster) *rig {
	t.Helper()
	r := &rig{t: t, pool: enginetest.Postgres(t), conn: conn, cluster: cluster, names: names, live: generations{}}
	// The server's roles and databases are shared by the tests of this binary.
	r.options = reports.Options{Namespace: "reports_" + r.names, Role: "reader_" + r.names}
	r.exec(`CREATE SCHEMA ingest; CREATE SCHEMA universe;
		CREATE TABLE universe.named (id bigint, category text, name text);
		CREATE TABLE ingest.section_state (character_id bigint, section text, failure_class text, validated_at timestamptz);
		CREATE TABLE ingest.token (character_id bigint, state text);
		CREATE TABLE ingest.usage (day date, rate_group text, route text, requests bigint, not_modified bigint, tokens bigint)`)
	control, err := runner.NewControl(t.Context(), r.pool)
	require.NoError(t, err)
	require.NotNil(t, control)
	r.views, err = reports.New(t.Context(), reports.Config{Pool: r.pool, ClickHouse: r.conn, Cluster: cluster, Live: r.live})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := r.views.Drop(ctx); event.CodeOf(err) != event.CodeNotFound {
			require.NoError(t, err)
		}
	})
	return r
}

func (r *rig) exec(sql string) {
	r.t.Helper()
	_, err := r.pool.Exec(r.t.Context(), sql)
	require.NoError(r.t, err)
}

// generation makes the tables of a generation, and says that it is live.
func (r *rig) generation(p runner.Projection, number int) string {
	r.t.Helper()
	name := fmt.Sprintf("%s_%s_g%d", r.names, p.Name, number)
	if strings.Contains(p.Schema, "{database}") {
		statements, err := r.cluster.Statements(p.Schema, name, enginetest.LocalShards)
		require.NoError(r.t, err)
		for _, s := range statements {
			require.NoError(r.t, r.conn.Exec(r.t.Context(), s))
		}
		r.t.Cleanup(func() {
			require.NoError(r.t, r.conn.Exec(context.WithoutCancel(r.t.Context()), "DROP DATABASE "+name+" SYNC"))
		})
	} else {
		r.exec("CREATE SCHEMA " + name + "; SET search_path TO " + name + "; " + p.Schema + "; RESET search_path")
	}
	r.live[p.Name] = name
	return name
}

// compliance is what the view says, to the role alone.
func (r *rig) compliance() (users int64, err error) {
	err = pgx.BeginFunc(r.t.Context(), r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(r.t.Context(), "SET LOCAL ROLE "+r.options.Role); err != nil {
			return err
		}
		return tx.QueryRow(r.t.Context(), "SELECT coalesce(sum(users), 0)::bigint FROM "+r.options.Namespace+".compliance").Scan(&users)
	})
	return users, err
}

func (r *rig) income() (isk string) {
	r.t.Helper()
	require.NoError(r.t, r.conn.QueryRow(r.t.Context(), "SELECT toString(sum(income)) FROM "+r.options.Namespace+".wallet_by_day").Scan(&isk))
	return isk
}

func (r *rig) user(schema, id string) {
	r.t.Helper()
	r.exec(fmt.Sprintf(`INSERT INTO %s.users VALUES ('%s', '%[2]s', true, true, 'Member', '{}', gen_random_uuid(), 0, 1)`, schema, id))
}

func (r *rig) earned(database string, amount int) {
	r.t.Helper()
	require.NoError(r.t, r.conn.Exec(r.t.Context(), fmt.Sprintf(`INSERT INTO %s.wallet_journal (character_id, id, date, ref_type, amount, log_offset) VALUES (1, 1, '2026-05-01 12:00:00', 'bounty_prizes', %d, 1)`, database, amount)))
}

func TestNothingIsThereUntilItIsAskedFor(t *testing.T) {
	r := newRig(t)
	r.generation(pgviews.Characters(), 1)
	require.NoError(t, r.views.Follow(t.Context(), pgviews.CharactersName))
	_, err := r.views.Standing(t.Context())
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	var there bool
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) OR EXISTS (SELECT FROM pg_roles WHERE rolname = $2)`, r.options.Namespace, r.options.Role).Scan(&there))
	require.False(t, there)
	require.Equal(t, event.CodeNotFound, event.CodeOf(r.views.Drop(t.Context())))
}

func TestViewsFollowPromotionsAndRollbacks(t *testing.T) {
	r := newRig(t)
	first := r.generation(pgviews.Characters(), 1)
	r.user(first, "ada")
	standing, err := r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	require.True(t, standing.PostgresRole)
	require.False(t, standing.ClickHouseRole, "the embedded engine has one user and no roles")
	users, err := r.compliance()
	require.NoError(t, err)
	require.EqualValues(t, 1, users)

	// Generations that come later bring their views.
	wallet := r.generation(chviews.Wallet(), 1)
	r.earned(wallet, 100)
	require.NoError(t, r.views.Follow(t.Context(), chviews.WalletName))
	require.Equal(t, "100", r.income())

	second := r.generation(pgviews.Characters(), 2)
	r.user(second, "ada")
	r.user(second, "bob")
	r.earned(r.generation(chviews.Wallet(), 2), 250)
	require.NoError(t, r.views.Follow(t.Context(), pgviews.CharactersName))
	require.NoError(t, r.views.Follow(t.Context(), chviews.WalletName))
	users, err = r.compliance()
	require.NoError(t, err)
	require.EqualValues(t, 2, users)
	require.Equal(t, "250", r.income())

	r.live[pgviews.CharactersName], r.live[chviews.WalletName] = first, wallet
	require.NoError(t, r.views.Follow(t.Context(), pgviews.CharactersName))
	require.NoError(t, r.views.Follow(t.Context(), chviews.WalletName))
	users, err = r.compliance()
	require.NoError(t, err)
	require.EqualValues(t, 1, users)
	require.Equal(t, "100", r.income())
	r.exec("DROP SCHEMA " + second + " CASCADE")
	users, err = r.compliance()
	require.NoError(t, err, "what is no longer live can be dropped")
	require.EqualValues(t, 1, users)
}

func TestViewsComeBackAfterTheirTablesWereDropped(t *testing.T) {
	r := newRig(t)
	first := r.generation(pgviews.Characters(), 1)
	_, err := r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	// The process was killed between the switch and telling the readers.
	r.user(r.generation(pgviews.Characters(), 2), "ada")
	r.exec("DROP SCHEMA " + first + " CASCADE")
	_, err = r.compliance()
	require.ErrorContains(t, err, "does not exist")
	require.NoError(t, r.views.Follow(t.Context(), pgviews.CharactersName))
	users, err := r.compliance()
	require.NoError(t, err, "the role may read it again")
	require.EqualValues(t, 1, users)
}

func TestTheRoleReadsTheViewsAndNothingElse(t *testing.T) {
	r := newRig(t)
	schema := r.generation(pgviews.Characters(), 1)
	r.generation(pgviews.AnVIL(), 1)
	_, err := r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	as := func(sql string) error {
		return pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+r.options.Role); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
	}
	for _, v := range reports.All() {
		if v.Store == reports.StorePostgres {
			require.NoError(t, as("SELECT * FROM "+r.options.Namespace+"."+v.Name), v.Name)
		}
	}
	for _, sql := range []string{
		"SELECT * FROM " + schema + ".users", "SELECT * FROM ingest.token", "SELECT * FROM runner.parked", "SELECT * FROM reports_state.settings",
		"CREATE TABLE " + r.options.Namespace + ".mine (x int)", "DROP VIEW " + r.options.Namespace + ".compliance", "CREATE SCHEMA mine",
	} {
		err := as(sql)
		require.Error(t, err, sql)
		require.Regexp(t, "permission denied|must be owner", err.Error(), sql)
	}
}

// overTime are the projections that views of ClickHouse read.
func overTime() []runner.Projection {
	return []runner.Projection{chviews.Wallet(), chviews.Organisation(), chviews.AnVILHistory(), chviews.FindingSteps(), chviews.Records(), chviews.EventIndex()}
}

func TestViewsLieOverShards(t *testing.T) {
	conn, database := clustertest.Open(t, overTime()...)
	r := newRigOn(t, conn, database, clustertest.Cluster())
	for _, p := range overTime() {
		r.generation(p, 1)
	}
	wallet := r.live[chviews.WalletName]
	ctx := t.Context()
	for character := range 10 {
		require.NoError(t, conn.Exec(ctx, fmt.Sprintf(`INSERT INTO %s.wallet_journal (character_id, id, date, ref_type, amount, log_offset) VALUES (%d, 1, '2026-05-01 12:00:00', 'bounty_prizes', 100, 1)`, wallet, character)))
		require.NoError(t, conn.Exec(ctx, fmt.Sprintf(`INSERT INTO %s.balances (character_id, observed_at, balance, log_offset) VALUES (%d, '2026-05-01 12:00:00', 7, 1)`, wallet, character)))
		require.NoError(t, conn.Exec(ctx, fmt.Sprintf(`INSERT INTO %s.affiliations (character_id, since, corporation_id, log_offset) VALUES (%d, '2026-05-02 12:00:00', %d, 1)`, wallet, character, 98000001+character%2)))
		require.NoError(t, conn.Exec(ctx, fmt.Sprintf(`INSERT INTO %s.compliance (user_id, since, considered, compliant, log_offset) VALUES ('%d', '2026-05-0%d 12:00:00', true, %t, 1)`,
			r.live[chviews.OrganisationName], character, 1+character%2, character < 5)))
	}
	_, err := r.views.Make(ctx, r.options)
	require.NoError(t, err)
	texts := func(sql string) (list []string) {
		t.Helper()
		require.NoError(t, conn.QueryRow(ctx, "SELECT groupArray(line) FROM ("+fmt.Sprintf(sql, r.options.Namespace)+")").Scan(&list))
		return list
	}
	// Before the first known corporation a character counts for that one.
	require.Equal(t, []string{"98000001 500 5", "98000002 500 5"}, texts(`SELECT concat(toString(corporation_id), ' ', toString(sum(income)), ' ', toString(sum(entries))) AS line FROM %s.wallet_by_day GROUP BY corporation_id ORDER BY corporation_id`))
	require.Equal(t, []string{"98000001 35 5", "98000002 35 5"}, texts(`SELECT concat(toString(corporation_id), ' ', toString(balance), ' ', toString(characters)) AS line FROM %s.wallet_balances ORDER BY corporation_id`))
	require.Equal(t, []string{"2026-05-01 5 3", "2026-05-02 10 5"}, texts(`SELECT concat(toString(day), ' ', toString(users), ' ', toString(compliant)) AS line FROM %s.compliance_by_day ORDER BY day`))
	for _, v := range reports.All() {
		if v.Store == reports.StoreClickHouse {
			require.NoError(t, conn.Exec(ctx, fmt.Sprintf("SELECT * FROM %s.%s FORMAT Null", r.options.Namespace, v.Name)), v.Name)
		}
	}
}

// personal are words of columns that would tell of people.
var personal = []string{"character_id", "character_name", "user_id", "user_name", "owner", "email", "record", "subject", "body", "token", "first_party", "second_party", "reason", "message", "viewer_id"}

func TestNoViewHasColumnsAboutPeople(t *testing.T) {
	r := newRig(t)
	for _, p := range append(overTime(), pgviews.Characters(), pgviews.AnVIL()) {
		r.generation(p, 1)
	}
	standing, err := r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	for _, v := range standing.Views {
		require.NotNil(t, v.MadeAt, v.Name)
		require.NotEmpty(t, v.Tells, v.Name)
		var columns []string
		if v.Store == reports.StorePostgres {
			require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT array_agg(column_name::text) FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2`, r.options.Namespace, v.Name).Scan(&columns))
		} else {
			require.NoError(t, r.conn.QueryRow(t.Context(), fmt.Sprintf("SELECT groupArray(name) FROM system.columns WHERE database = '%s' AND table = '%s'", r.options.Namespace, v.Name)).Scan(&columns))
		}
		require.NotEmpty(t, columns, v.Name)
		for _, column := range columns {
			require.NotContains(t, personal, column, "%s of %s", v.Name, v.Store)
		}
	}
}

func TestMakeRefusesWhatIsNotItsOwn(t *testing.T) {
	r := newRig(t)
	for _, o := range []reports.Options{
		{Namespace: "Reports", Role: r.options.Role}, {Namespace: "muster_reports", Role: r.options.Role}, {Namespace: "pg_reports", Role: r.options.Role}, {Namespace: r.options.Namespace, Role: "a;b"},
	} {
		_, err := r.views.Make(t.Context(), o)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), o)
	}
	_, err := r.views.Make(t.Context(), reports.Options{Namespace: "ingest", Role: r.options.Role})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	var user string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT current_user::text`).Scan(&user))
	_, err = r.views.Make(t.Context(), reports.Options{Namespace: r.options.Namespace, Role: user})
	require.Equal(t, event.CodeConflict, event.CodeOf(err), "a role that may log in is not made to be a reader")

	_, err = r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	_, err = r.views.Make(t.Context(), r.options)
	require.NoError(t, err, "it may be called again")
	_, err = r.views.Make(t.Context(), reports.Options{Namespace: r.options.Namespace + "x", Role: r.options.Role})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))

	login := "login_" + r.names
	r.exec("CREATE ROLE " + login + " LOGIN IN ROLE " + r.options.Role)
	t.Cleanup(func() { _, _ = r.pool.Exec(context.WithoutCancel(t.Context()), "DROP ROLE IF EXISTS "+login) })
	err = r.views.Drop(t.Context())
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	require.ErrorContains(t, err, login)
	r.exec("DROP ROLE " + login)
	require.NoError(t, r.views.Drop(t.Context()))
}

func TestAViewWithOtherColumnsIsMadeAnew(t *testing.T) {
	r := newRig(t)
	r.generation(pgviews.Characters(), 1)
	_, err := r.views.Make(t.Context(), r.options)
	require.NoError(t, err)
	// As an older version of Muster might have had it.
	r.exec(fmt.Sprintf(`DROP VIEW %[1]s.esi_usage; CREATE VIEW %[1]s.esi_usage AS SELECT 'x'::text AS gone; UPDATE reports_state.made SET sql_hash = 'older' WHERE view = 'esi_usage'`, r.options.Namespace))
	require.NoError(t, r.views.Follow(t.Context(), pgviews.CharactersName))
	var columns []string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT array_agg(column_name::text) FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'esi_usage'`, r.options.Namespace).Scan(&columns))
	require.Contains(t, columns, "tokens")
}
