package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// parseExpr parses PromQL.
func parseExpr(expr string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(expr)
}

// requireKnown fails if an expression cannot be parsed or asks for a metric that nobody
// shows.
func requireKnown(t *testing.T, names map[string]bool, where, expr string) {
	t.Helper()
	// The interval that Grafana chooses.
	parsed, err := parseExpr(strings.ReplaceAll(expr, "$__rate_interval", "1m"))
	require.NoError(t, err, "%s: %s", where, expr)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		name := selector.Name
		for _, m := range selector.LabelMatchers {
			if m.Name == model.MetricNameLabel {
				name = m.Value
			}
		}
		require.True(t, names[name] || slices.Contains(others, name), "%s asks for %s, which Muster does not show: %s", where, name, expr)
		return nil
	})
}

// dashboard is what is looked at of one.
type dashboard struct {
	UID    string `json:"uid"`
	Title  string `json:"title"`
	Panels []struct {
		ID         int        `json:"id"`
		Type       string     `json:"type"`
		Title      string     `json:"title"`
		Datasource datasource `json:"datasource"`
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			Datasource datasource `json:"datasource"`
			Expr       string     `json:"expr"`
			RawSQL     string     `json:"rawSql"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Name       string     `json:"name"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// datasources are those that are provisioned, with their types.
func datasources(t *testing.T) map[datasource]bool {
	t.Helper()
	var file struct {
		Datasources []struct {
			UID            string            `yaml:"uid"`
			Type           string            `yaml:"type"`
			SecureJSONData map[string]string `yaml:"secureJsonData"`
		} `yaml:"datasources"`
	}
	readYAML(t, filepath.Join(root, "deploy", "grafana", "provisioning", "datasources", "muster.yaml"), &file)
	found := map[datasource]bool{}
	for _, d := range file.Datasources {
		for name, secret := range d.SecureJSONData {
			require.Regexp(t, `^\$\{MUSTER_GRAFANA_\w+\}$`, secret, "%s of %s comes from the environment", name, d.UID)
		}
		found[datasource{d.Type, d.UID}] = true
	}
	return found
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, into), path)
}

func TestDashboardsAreWhole(t *testing.T) {
	names, sources := registered(t), datasources(t)
	files, err := filepath.Glob(filepath.Join(root, "deploy", "grafana", "dashboards", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 6)
	uids, titles := map[string]string{}, map[string]string{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(content, &d), path)
		file := filepath.Base(path)
		require.Regexp(t, `^muster-[a-z-]{1,30}$`, d.UID, file)
		require.Empty(t, uids[d.UID], "%s and %s have the uid %s", uids[d.UID], file, d.UID)
		require.Empty(t, titles[d.Title], "%s and %s are called %s", titles[d.Title], file, d.Title)
		uids[d.UID], titles[d.Title] = file, file
		for _, v := range d.Templating.List {
			require.True(t, sources[v.Datasource], "%s: variable %s asks %v, which is not provisioned", file, v.Name, v.Datasource)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			require.False(t, ids[p.ID], "%s: %s has the id %d of another panel", file, p.Title, p.ID)
			ids[p.ID] = true
			require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, "%s: %s", file, p.Title)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s lies over %s", file, p.Title, taken[[2]int{x, y}])
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			require.NotEmpty(t, p.Targets, "%s: %s", file, p.Title)
			for _, target := range p.Targets {
				require.True(t, sources[target.Datasource], "%s: %s asks %v, which is not provisioned", file, p.Title, target.Datasource)
				if target.Datasource.Type == "prometheus" {
					requireKnown(t, names, file+": "+p.Title, target.Expr)
				} else {
					require.NotEmpty(t, target.RawSQL, "%s: %s", file, p.Title)
				}
			}
		}
	}
}

func TestDashboardsAreProvided(t *testing.T) {
	var file struct {
		Providers []struct {
			Options struct {
				Path string `yaml:"path"`
			} `yaml:"options"`
		} `yaml:"providers"`
	}
	readYAML(t, filepath.Join(root, "deploy", "grafana", "provisioning", "dashboards", "muster.yaml"), &file)
	require.Len(t, file.Providers, 1)
	require.NotEmpty(t, file.Providers[0].Options.Path)
}
