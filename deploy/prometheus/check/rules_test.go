package check_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

// alerts are all rules by their names. What Muster's rules are not about, such as the
// canary, has files of its own in the same folder and is read here, too.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy", "prometheus", "rules", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	found := map[string]rulefmt.Rule{}
	groupNames := map[string]string{}
	for _, path := range files {
		groups, errs := rulefmt.ParseFile(path, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		require.Empty(t, errs, path)
		for _, g := range groups.Groups {
			require.Empty(t, groupNames[g.Name], "group %s of %s", g.Name, path)
			groupNames[g.Name] = path
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				require.NotContains(t, found, r.Alert)
				found[r.Alert] = r
			}
		}
	}
	return found
}

func TestAlertsHaveARunbookAndAskForMetricsThatThereAre(t *testing.T) {
	const page = "https://github.com/muster-sync/muster/blob/main/docs/operations/runbooks.md"
	content, err := os.ReadFile(filepath.Join(root, "docs", "operations", "runbooks.md"))
	require.NoError(t, err)
	lines := strings.Split(string(content), "\n")
	names := registered(t)
	all := alerts(t)
	for name, rule := range all {
		requireKnown(t, names, name, rule.Expr)
		require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], name)
		require.NotEmpty(t, rule.Annotations["summary"], name)
		require.NotEmpty(t, rule.Annotations["description"], name)
		url := rule.Annotations["runbook_url"]
		require.Equal(t, page+"#"+strings.ToLower(name), url)
		require.Contains(t, lines, "### "+name, "the runbook of the alert")
	}
	for _, line := range lines {
		if name, is := strings.CutPrefix(line, "### "); is {
			require.Contains(t, all, name, "the runbook is of an alert that there is not")
		}
	}
}

func TestPrometheusReadsTheRulesAndAllRoles(t *testing.T) {
	var config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			StaticConfigs []struct {
				Targets []string          `yaml:"targets"`
				Labels  map[string]string `yaml:"labels"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, filepath.Join(root, "deploy", "prometheus", "prometheus.yml"), &config)
	require.Equal(t, []string{"rules/*.yaml"}, config.RuleFiles)
	require.Len(t, config.ScrapeConfigs, 1)
	require.Equal(t, "muster", config.ScrapeConfigs[0].JobName, "the rules and dashboards ask for this job")
	roles := map[string]bool{}
	for _, s := range config.ScrapeConfigs[0].StaticConfigs {
		roles[s.Labels["role"]] = true
		require.True(t, strings.HasPrefix(s.Targets[0], s.Labels["role"]+":"))
	}
	require.Equal(t, map[string]bool{"ingest": true, "project": true, "serve": true}, roles)
}

// asked is the moment at which the rules of the cases are asked, two days after the
// series begin.
const asked = 48 * time.Hour

// loading is how often series have a sample: two of them lie in the shortest range that
// rules look at.
const loading = "load 5m\n"

// cases are, for each alert, series with which it fires and series with which it does
// not. {job} stands for the labels of every role.
var cases = map[string]struct{ fires, quiet string }{
	"MusterReadModelLags":    {`muster_projection_lag_seconds{{job},projection="wallet"} 400x576`, `muster_projection_lag_seconds{{job},projection="wallet"} 200x576`},
	"MusterReadModelLagsFar": {`muster_projection_lag_seconds{{job},projection="wallet"} 4000x576`, `muster_projection_lag_seconds{{job},projection="wallet"} 400x576`},
	"MusterReadModelStandsStill": {
		"muster_projection_lag_records{{job},projection=\"wallet\"} 7x576\nmuster_projection_records_total{{job},projection=\"wallet\"} 900x576",
		"muster_projection_lag_records{{job},projection=\"wallet\"} 7x576\nmuster_projection_records_total{{job},projection=\"wallet\"} 0+10x576",
	},
	"MusterReadModelRestarts": {`muster_projection_restarts_total{{job},projection="wallet"} 0+6x576`, `muster_projection_restarts_total{{job},projection="wallet"} 0+1x576`},
	"MusterEventsParked":      {`muster_projection_parked{{job},projection="anvil",state="poisoned"} 1x576`, `muster_projection_parked{{job},projection="anvil",state="poisoned"} 0x576`},
	"MusterUnknownEvents": {
		// The series begins with the first such event.
		`muster_projection_unknown_events_total{{job},projection="anvil",type="muster.eve.new.v1"} _x565 1x20`,
		`muster_projection_unknown_events_total{{job},projection="anvil",type="muster.eve.new.v1"} 3x576`,
	},
	"MusterNothingRead": {
		"muster_ingest_syncs_total{{job},section=\"mails\",result=\"failed\",class=\"server\"} 0+10x576\nmuster_schedule_jobs{{job},state=\"due\"} 12x576",
		"muster_ingest_syncs_total{{job},section=\"mails\",result=\"unchanged\",class=\"\"} 0+10x576\nmuster_schedule_jobs{{job},state=\"due\"} 12x576",
	},
	"MusterSectionsLate": {
		"muster_schedule_late_seconds_bucket{{job},le=\"1600\"} 0+1x576\nmuster_schedule_late_seconds_bucket{{job},le=\"6400\"} 0+10x576\nmuster_schedule_late_seconds_bucket{{job},le=\"+Inf\"} 0+10x576",
		"muster_schedule_late_seconds_bucket{{job},le=\"100\"} 0+10x576\nmuster_schedule_late_seconds_bucket{{job},le=\"+Inf\"} 0+10x576",
	},
	"MusterTokenErrorsRise": {
		`muster_ingest_syncs_total{{job},section="mails",result="failed",class="token"} 0+1x568 600+20x12`,
		`muster_ingest_syncs_total{{job},section="mails",result="failed",class="token"} 0+5x576`,
	},
	"MusterSyncsFail": {
		"muster_ingest_syncs_total{{job},section=\"mails\",result=\"failed\",class=\"server\"} 0+5x576\nmuster_ingest_syncs_total{{job},section=\"mails\",result=\"unchanged\",class=\"\"} 0+10x576",
		"muster_ingest_syncs_total{{job},section=\"mails\",result=\"failed\",class=\"server\"} 0+1x576\nmuster_ingest_syncs_total{{job},section=\"mails\",result=\"unchanged\",class=\"\"} 0+10x576",
	},
	"MusterErrorBudgetLow":    {`muster_esi_errors_left{{job}} 25x576`, `muster_esi_errors_left{{job}} 95x576`},
	"MusterErrorLimitReached": {`muster_esi_error_limit_incidents_total{{job}} 0x575 1`, `muster_esi_error_limit_incidents_total{{job}} 1x576`},
	"MusterSweepOverdue":      {`muster_anvil_sweep_completed_timestamp_seconds{{job},consortium="demo"} 100x576`, `muster_anvil_sweep_completed_timestamp_seconds{{job},consortium="demo"} 0+600x576`},
	"MusterSweepsFail":        {`muster_anvil_sweeps_total{{job},consortium="demo",outcome="failed"} 0+1x576`, `muster_anvil_sweeps_total{{job},consortium="demo",outcome="complete"} 0+1x576`},
	"MusterAppendsFail":       {`muster_log_append_failures_total{{job}} 0x574 0 4`, `muster_log_append_failures_total{{job}} 4x576`},
	"MusterOutboxStands":      {`muster_command_outbox_age_seconds{{job}} 300x576`, `muster_command_outbox_age_seconds{{job}} 2x576`},
	"MusterNobodyForwards": {
		"muster_command_forwarder_leading{{job},instance=\"a\"} 0x576\nmuster_command_forwarder_leading{{job},instance=\"b\"} 0x576",
		"muster_command_forwarder_leading{{job},instance=\"a\"} 0x576\nmuster_command_forwarder_leading{{job},instance=\"b\"} 1x576",
	},
	"MusterStreamRefused": {`muster_command_outbox_refused{{job}} 1x576`, `muster_command_outbox_refused{{job}} 0x576`},
	"MusterReactorsFail": {
		`muster_reactor_events_total{{job},reactor="audit",result="poisoned"} _x565 1x20`,
		`muster_reactor_events_total{{job},reactor="audit",result="poisoned"} 1x576`,
	},
	"MusterNoticesFail": {`muster_notices{{job},channel="email",state="failed"} 2x576`, "muster_notices{{job},channel=\"email\",state=\"failed\"} 0x576\nmuster_notices{{job},channel=\"email\",state=\"due\"} 5x576"},
	"MusterRoleDown":    {`up{{job},role="serve"} 0x576`, `up{{job},role="serve"} 1x576`},
	"MusterRoleAbsent": {
		"up{{job},role=\"serve\"} 1x576\nup{{job},role=\"ingest\"} 1x576",
		"up{{job},role=\"serve\"} 1x576\nup{{job},role=\"ingest\"} 0x576\nup{{job},role=\"project\"} 1x576",
	},
	"MusterEngineDown":     {`muster_engine_up{{job},engine="postgres"} 0x576`, `muster_engine_up{{job},engine="postgres"} 1x576`},
	"MusterEngineRestarts": {`muster_engine_restarts_total{{job},engine="clickhouse"} 0+1x576`, `muster_engine_restarts_total{{job},engine="clickhouse"} 3x576`},
	"MusterAPIFails": {
		"muster_api_request_seconds_count{{job},status=\"500\"} 0+20x576\nmuster_api_request_seconds_count{{job},status=\"200\"} 0+100x576",
		"muster_api_request_seconds_count{{job},status=\"500\"} 0+1x576\nmuster_api_request_seconds_count{{job},status=\"200\"} 0+100x576",
	},
	"MusterAPISlow": {
		"muster_api_request_seconds_bucket{{job},le=\"4\"} 0+10x576\nmuster_api_request_seconds_bucket{{job},le=\"16\"} 0+100x576\nmuster_api_request_seconds_bucket{{job},le=\"+Inf\"} 0+100x576",
		"muster_api_request_seconds_bucket{{job},le=\"1\"} 0+100x576\nmuster_api_request_seconds_bucket{{job},le=\"+Inf\"} 0+100x576",
	},
	"MusterRetentionLate": {
		"muster_retention_last_completed_timestamp_seconds{{job},instance=\"a\"} 3600x576\nmuster_retention_last_completed_timestamp_seconds{{job},instance=\"b\"} 0x576",
		"muster_retention_last_completed_timestamp_seconds{{job},instance=\"a\"} 0x576\nmuster_retention_last_completed_timestamp_seconds{{job},instance=\"b\"} 160000x576",
	},
	"MusterRetentionNeverCompleted": {
		"muster_retention_last_completed_timestamp_seconds{{job},role=\"ingest\"} 0x576\nprocess_start_time_seconds{{job},role=\"ingest\"} 5x576",
		"muster_retention_last_completed_timestamp_seconds{{job},role=\"ingest\"} 0x576\nprocess_start_time_seconds{{job},role=\"ingest\"} 170000x576",
	},
	"MusterRetentionFails": {`muster_retention_runs_total{{job},outcome="failed"} _x560 1 1 2x20`, `muster_retention_runs_total{{job},outcome="failed"} 2x576`},
}

func TestAlertsFireAndAreQuiet(t *testing.T) {
	all := alerts(t)
	for name := range cases {
		require.Contains(t, all, name)
	}
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, promqltest.DefaultMaxSamplesPerQuery)
	firing := func(name, series string) int {
		t.Helper()
		storage := promqltest.LoadedStorage(t, loading+"  "+strings.ReplaceAll(strings.ReplaceAll(series, "{job}", `job="muster"`), "\n", "\n  "))
		defer func() { require.NoError(t, storage.Close()) }()
		query, err := engine.NewInstantQuery(t.Context(), storage, promql.NewPrometheusQueryOpts(false, 0, nil), all[name].Expr, time.Unix(0, 0).Add(asked))
		require.NoError(t, err, name)
		defer query.Close()
		result := query.Exec(t.Context())
		require.NoError(t, result.Err, name)
		vector, err := result.Vector()
		require.NoError(t, err, name)
		return len(vector)
	}
	for name, rule := range all {
		if !strings.HasPrefix(rule.Annotations["runbook_url"], "https://github.com/muster-sync/muster/") {
			continue
		}
		require.Contains(t, cases, name, "an alert has cases in which it fires and in which it is quiet")
		require.Positive(t, firing(name, cases[name].fires), "%s does not fire: %s", name, rule.Expr)
		require.Zero(t, firing(name, cases[name].quiet), "%s fires for nothing: %s", name, rule.Expr)
	}
}
