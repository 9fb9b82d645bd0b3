//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

// dashboardsFolder has the dashboards as Grafana reads them.
var dashboardsFolder = filepath.Join("..", "..", "deploy", "grafana", "dashboards")

// dashboard is what matters here of one: every query of SQL, wherever in the file it is.
type dashboard struct {
	file    string
	queries []dashboardQuery
}

type dashboardQuery struct{ what, store, sql string }

// readDashboards reads all dashboards.
func readDashboards(t *testing.T) []dashboard {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dashboardsFolder), "*.json")
	require.NoError(t, err)
	require.Len(t, files, 6)
	all := make([]dashboard, len(files))
	for i, file := range files {
		text, err := os.ReadFile(filepath.Join(dashboardsFolder, file))
		require.NoError(t, err)
		var d struct {
			Panels []struct {
				Title   string `json:"title"`
				Targets []struct {
					Datasource struct {
						Type string `json:"type"`
					} `json:"datasource"`
					RawSQL string `json:"rawSql"`
				} `json:"targets"`
			} `json:"panels"`
			Templating struct {
				List []struct {
					Name       string `json:"name"`
					Datasource struct {
						Type string `json:"type"`
					} `json:"datasource"`
					Query string `json:"query"`
				} `json:"list"`
			} `json:"templating"`
		}
		require.NoError(t, json.Unmarshal(text, &d), file)
		all[i].file = file
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				if target.Datasource.Type != "prometheus" {
					require.NotEmpty(t, target.RawSQL, "%s: %s", file, panel.Title)
					all[i].queries = append(all[i].queries, dashboardQuery{panel.Title, target.Datasource.Type, target.RawSQL})
				}
			}
		}
		for _, variable := range d.Templating.List {
			all[i].queries = append(all[i].queries, dashboardQuery{"variable " + variable.Name, variable.Datasource.Type, variable.Query})
		}
	}
	return all
}

// grafanaMacros are the macros of Grafana's data sources that dashboards use, for a year
// around the test.
var grafanaMacros = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\$__timeFilter\((\w+)\)`), "$1 BETWEEN {from} AND {to}"},
	{regexp.MustCompile(`\$__dateFilter\((\w+)\)`), "$1 >= toDate({from}) AND $1 <= toDate({to})"},
}

func grafanaSQL(q dashboardQuery, corporations string) string {
	from, to := time.Now().AddDate(-1, 0, 0).UTC().Format(time.DateTime), time.Now().AddDate(0, 0, 1).UTC().Format(time.DateTime)
	sql := q.sql
	for _, m := range grafanaMacros {
		sql = m.find.ReplaceAllString(sql, m.with)
	}
	moment := "'%s'::timestamptz"
	if q.store == "grafana-clickhouse-datasource" {
		moment = "toDateTime('%s', 'UTC')"
	}
	sql = strings.NewReplacer("{from}", fmt.Sprintf(moment, from), "{to}", fmt.Sprintf(moment, to), "${corporation:csv}", corporations).Replace(sql)
	return sql
}

// TestReaders has the demo run, makes the views, asks what dashboards ask with the
// rights of the role, and goes through a replay and a rollback.
func TestReaders(t *testing.T) {
	if testing.Short() {
		t.Skip("starts everything")
	}
	s := oneProcess(t)
	s.partitions = 12
	demo := startDemo(t, s, "up")
	demo.requireBothWorlds(t, 1)
	s.run("skillset", "define", "-f", written(t, "set.yaml", "name: Gunners\nvisible: true\nskills:\n  - {type_name: Gunnery, required: 3, recommended: 5}\n"))

	_, stderr, status, err := runProgram(t.Context(), s.binary, s.env, "readers")
	require.NoError(t, err)
	require.Equal(t, exitError, status, "nothing is there until somebody asks for it")
	require.Contains(t, stderr, "muster readers make")

	made := s.run("readers", "make")
	require.Contains(t, made, "CREATE ROLE grafana LOGIN PASSWORD '...' IN ROLE muster_reader;")
	require.Contains(t, made, "the embedded engine has one user")
	require.NotContains(t, made, "not yet")

	stores := s.stores()
	t.Cleanup(stores.Close)
	reader := func(ctx context.Context, sql string) (int, error) {
		n := 0
		err := pgx.BeginTxFunc(ctx, stores.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL ROLE muster_reader"); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, sql)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				n++
			}
			return rows.Err()
		})
		return n, err
	}
	analyst := func(ctx context.Context, sql string) (int, error) {
		rows, err := stores.clickhouse.Query(ctx, sql)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			n++
		}
		return n, rows.Err()
	}
	ask := func(ctx context.Context, q dashboardQuery, corporations string) (int, error) {
		if q.store == "grafana-clickhouse-datasource" {
			return analyst(ctx, grafanaSQL(q, corporations))
		}
		return reader(ctx, grafanaSQL(q, corporations))
	}

	// Panels that have nothing to show while all goes well.
	quiet := map[string]bool{"Parked events": true, "Failing sections": true, "Failures": true, "Looks at data of others": true}
	for _, d := range readDashboards(t) {
		for _, q := range d.queries {
			t.Run(d.file+": "+q.what, func(t *testing.T) {
				s.eventually(q.what+" has rows", func(ctx context.Context) error {
					n, err := ask(ctx, q, "corporation_id")
					if err == nil && n == 0 && !quiet[q.what] {
						return fmt.Errorf("no rows of %s", grafanaSQL(q, "corporation_id"))
					}
					return err
				})
				_, err := ask(t.Context(), q, "98000001,98000002")
				require.NoError(t, err)
			})
		}
	}

	t.Run("metrics are shown", func(t *testing.T) {
		b := newBrowser(t, s.apiURL)
		_, shown, _ := b.ask(http.MethodGet, s.apiURL+"/metrics", "")
		for _, metric := range []string{`muster_engine_up{engine="postgres"} 1`, `muster_engine_up{engine="clickhouse"} 1`, `muster_projection_parked{projection="wallet",state="poisoned"} 0`} {
			require.Contains(t, shown, metric)
		}
	})

	t.Run("what views say is what the API says", func(t *testing.T) { demo.requireSameFigures(t, stores) })

	t.Run("the role reads nothing else", func(t *testing.T) {
		g, err := stores.control.Live(t.Context(), "characters")
		require.NoError(t, err)
		for _, sql := range []string{
			"SELECT * FROM ingest.token", "SELECT * FROM ingest.section_state", "SELECT * FROM universe.named", "SELECT * FROM runner.projections",
			"SELECT * FROM " + g.Namespace + ".users", "SELECT * FROM reports_state.settings",
		} {
			_, err := reader(t.Context(), sql)
			require.ErrorContains(t, err, "permission denied", sql)
		}
	})

	t.Run("what runbooks ask of Postgres can be asked", func(t *testing.T) {
		asked := regexp.MustCompile("psql \"\\$PG\" -c \"([^\"]+)\"").FindAllStringSubmatch(readRunbooks(t), -1)
		require.Greater(t, len(asked), 5)
		for _, found := range asked {
			rows, err := stores.pool.Query(t.Context(), found[1])
			require.NoError(t, err, found[1])
			rows.Close()
			require.NoError(t, rows.Err(), found[1])
		}
	})

	t.Run("the views follow a replay and a rollback", func(t *testing.T) {
		for projection, view := range map[string]string{"characters": "compliance", "wallet": "wallet_by_day"} {
			reads := func() string {
				var answer readersAnswer
				require.NoError(t, json.Unmarshal([]byte(s.run("readers", "list", "--output", "json")), &answer))
				for _, v := range answer.Views {
					if v.View == "reports."+view {
						return v.Reads[0]
					}
				}
				return ""
			}
			first := reads()
			require.NotEmpty(t, first)
			s.run("replay", projection, "--keep-different")
			second := reads()
			require.NotEqual(t, first, second)
			require.Equal(t, second, liveNamespace(t, stores, projection))
			s.run("replay", projection, "--rollback")
			require.Equal(t, first, reads())
		}
		n, err := reader(t.Context(), "SELECT * FROM reports.compliance")
		require.NoError(t, err)
		require.Positive(t, n)
		n, err = analyst(t.Context(), "SELECT * FROM reports.wallet_by_day")
		require.NoError(t, err)
		require.Positive(t, n)
	})

	require.Contains(t, s.run("readers", "drop"), "are gone")
	_, err = reader(t.Context(), "SELECT 1")
	require.ErrorContains(t, err, "does not exist")
	demo.interrupt(t)
}

func readRunbooks(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", "runbooks.md"))
	require.NoError(t, err)
	return string(page)
}

func TestRunbooksNameCommandsThatThereAre(t *testing.T) {
	named := regexp.MustCompile("(?m)(?:^|`)(muster [^`#\\n]+)").FindAllStringSubmatch(readRunbooks(t), -1)
	require.Greater(t, len(named), 20)
	for _, found := range named {
		args := strings.Fields(found[1])[1:]
		if args[0] == "--version" {
			continue
		}
		var cli commandLine
		grammar, err := kong.New(&cli, kong.Vars{"version": version, "data_dir": defaultDataDir()}, kong.Name("muster"))
		require.NoError(t, err)
		_, err = grammar.Parse(args)
		if args[0] == "engine" {
			// Which one is for the reader to say.
			continue
		}
		require.NoError(t, err, found[1])
	}
}

func liveNamespace(t *testing.T, s *stores, projection string) string {
	t.Helper()
	g, err := s.control.Live(t.Context(), projection)
	require.NoError(t, err)
	return g.Namespace
}

// requireSameFigures holds views against answers of the API, until both are of the same
// moment.
func (d *demoRun) requireSameFigures(t *testing.T, s *stores) {
	t.Helper()
	d.eventually("compliance is the same", func(ctx context.Context) error {
		var answer struct {
			Items []struct {
				CorporationID int64 `json:"corporation_id"`
				Mains         int64 `json:"mains"`
				Characters    int64 `json:"characters"`
				Unregistered  int64 `json:"unregistered"`
			} `json:"items"`
		}
		if err := d.get(ctx, d.apiURL+"/v1/reports/compliance/corporations?limit=1000", &answer); err != nil {
			return err
		}
		said := map[int64][3]int64{}
		for _, c := range answer.Items {
			said[c.CorporationID] = [3]int64{c.Mains, c.Characters, c.Unregistered}
		}
		var id, users, characters, unregistered int64
		seen := map[int64][3]int64{}
		rows, err := s.pool.Query(ctx, `SELECT corporation_id, sum(users)::bigint, sum(registered_characters + unregistered_characters)::bigint, sum(unregistered_characters)::bigint
			FROM reports.compliance WHERE corporation_id <> 0 GROUP BY 1`)
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, []any{&id, &users, &characters, &unregistered}, func() error {
			seen[id] = [3]int64{users, characters, unregistered}
			return nil
		}); err != nil {
			return err
		}
		if len(said) == 0 || !maps.Equal(said, seen) {
			return fmt.Errorf("the API says %v, the view %v", said, seen)
		}
		return nil
	})
	d.eventually("skill sets are the same", func(ctx context.Context) error {
		var answer struct {
			Items []struct {
				Name       string `json:"name"`
				Characters int64  `json:"characters"`
				Unread     int64  `json:"unread"`
				Passed     int64  `json:"passed"`
			} `json:"items"`
		}
		if err := d.get(ctx, d.apiURL+"/v1/reports/skill-sets", &answer); err != nil {
			return err
		}
		var characters, unread, ready int64
		if err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(characters), 0)::bigint, coalesce(sum(unread), 0)::bigint, coalesce(sum(ready), 0)::bigint FROM reports.skill_set_readiness WHERE skill_set = 'Gunners'`).
			Scan(&characters, &unread, &ready); err != nil {
			return err
		}
		for _, set := range answer.Items {
			if set.Name == "Gunners" && set.Characters > 0 && set.Characters == characters && set.Unread == unread && set.Passed == ready {
				return nil
			}
		}
		return fmt.Errorf("the API says %+v, the view %d characters, %d unread, %d ready", answer.Items, characters, unread, ready)
	})
	d.eventually("the wallet is the same", func(ctx context.Context) error {
		var answer struct {
			Items []struct {
				CorporationID int64           `json:"corporation_id"`
				Income        decimal.Decimal `json:"income"`
				Expense       decimal.Decimal `json:"expense"`
				Entries       int64           `json:"entries"`
			} `json:"items"`
		}
		query := url.Values{
			"from": {time.Now().AddDate(-30, 0, 0).UTC().Format(time.RFC3339)}, "to": {time.Now().AddDate(0, 0, 2).UTC().Format(time.RFC3339)}, "interval": {"year"}, "group_by": {"corporation"},
		}
		if err := d.get(ctx, d.apiURL+"/v1/analytics/wallet?"+query.Encode(), &answer); err != nil {
			return err
		}
		said, seen := map[int64]string{}, map[int64]string{}
		type sums struct {
			income, expense decimal.Decimal
			entries         int64
		}
		all := map[int64]sums{}
		for _, item := range answer.Items {
			sum := all[item.CorporationID]
			all[item.CorporationID] = sums{sum.income.Add(item.Income), sum.expense.Add(item.Expense), sum.entries + item.Entries}
		}
		for id, sum := range all {
			if sum.entries > 0 {
				said[id] = fmt.Sprintf("%s in, %s out, %d entries", sum.income.StringFixed(2), sum.expense.StringFixed(2), sum.entries)
			}
		}
		rows, err := s.clickhouse.Query(ctx, `SELECT corporation_id, sum(income), -sum(expenses), toInt64(sum(entries)) FROM reports.wallet_by_day GROUP BY corporation_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, entries int64
			var income, expense decimal.Decimal
			if err := rows.Scan(&id, &income, &expense, &entries); err != nil {
				return err
			}
			seen[id] = fmt.Sprintf("%s in, %s out, %d entries", income.StringFixed(2), expense.StringFixed(2), entries)
		}
		if len(said) == 0 || !maps.Equal(said, seen) {
			return fmt.Errorf("the API says %v, the view %v", said, seen)
		}
		return rows.Err()
	})
}
