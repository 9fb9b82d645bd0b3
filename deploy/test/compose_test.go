package deploytest

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// roles are the services that are Muster itself and stay.
var roles = []string{"ingest", "project", "serve"}

// installed is a copy of the composition with its secrets and settings made, as the page about
// deploying says.
func installed(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "deploy", "compose")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	for _, name := range []string{"compose.yaml", "compose.grafana.yaml", "secrets.sh", ".env.example"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(read(t, "compose", name)), 0o755))
	}
	makeSecrets(t, folder)
	return folder
}

func makeSecrets(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", filepath.Join(folder, "secrets.sh")).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// load reads the composition as compose does, with the .env beside it and an environment.
func load(t *testing.T, folder string, environment []string, files ...string) *types.Project {
	t.Helper()
	paths := []string{}
	for _, file := range append([]string{"compose.yaml"}, files...) {
		paths = append(paths, filepath.Join(folder, file))
	}
	options, err := cli.NewProjectOptions(paths, cli.WithWorkingDirectory(folder), cli.WithEnv(environment), cli.WithEnvFiles(), cli.WithDotEnv)
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func TestTheCompositionLoadsAndEverythingInItIsWatched(t *testing.T) {
	p := load(t, installed(t), nil)
	require.ElementsMatch(t, append([]string{"kafka", "postgres", "clickhouse", "migrate", "prometheus", "grafana"}, roles...), p.ServiceNames())
	for name, s := range p.Services {
		require.NotEmpty(t, s.Restart, name)
		require.Positive(t, int64(s.MemLimit), "%s has a bound of its memory", name)
		require.False(t, s.Privileged, name)
		require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
		require.Regexp(t, `^[a-z0-9/.-]+:.+$`, s.Image, name)
		require.NotContains(t, s.Image, ":latest", name)
		if name != "migrate" {
			require.NotNil(t, s.HealthCheck, name)
			require.False(t, s.HealthCheck.Disable, name)
		}
		for on, dependency := range s.DependsOn {
			require.NotEqual(t, types.ServiceConditionStarted, dependency.Condition, "%s waits until %s can be used", name, on)
		}
	}
	for _, engine := range []string{"kafka", "postgres", "clickhouse"} {
		require.Equal(t, types.ServiceConditionHealthy, p.Services["migrate"].DependsOn[engine].Condition)
		require.NotEmpty(t, p.Services[engine].Volumes, "%s keeps its data", engine)
	}
	require.NotNil(t, p.Services["migrate"].Build)
	require.FileExists(t, filepath.Join(root(t), p.Services["migrate"].Build.Dockerfile))
}

func TestRolesRunAsNobodyOnAReadOnlyDisk(t *testing.T) {
	p := load(t, installed(t), nil)
	for _, name := range append([]string{"migrate"}, roles...) {
		s := p.Services[name]
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Empty(t, s.CapAdd, name)
		require.Equal(t, "65532:65532", s.User, name)
		require.EqualValues(t, 256<<20, s.MemLimit, name)
		require.Equal(t, []string{name}, []string(s.Command))
		require.Equal(t, p.Services["migrate"].Image, s.Image, "all are of one version")
	}
	for _, name := range roles {
		require.Equal(t, types.ServiceConditionCompletedSuccessfully, p.Services[name].DependsOn["migrate"].Condition)
		require.Equal(t, types.HealthCheckTest{"CMD", "/usr/local/bin/muster", "ready"}, p.Services[name].HealthCheck.Test)
	}
}

func TestNothingIsReachedFromOutsideButTheAPIAtLoopback(t *testing.T) {
	folder := installed(t)
	published := func(p *types.Project) (all []string) {
		for name, s := range p.Services {
			require.NotEqual(t, "host", s.NetworkMode, name)
			for _, port := range s.Ports {
				all = append(all, name+" "+port.HostIP+":"+port.Published)
			}
		}
		return all
	}
	p := load(t, folder, nil)
	require.Equal(t, []string{"serve 127.0.0.1:8080"}, published(p))
	require.True(t, bool(p.Networks["engines"].Internal))
	for _, engine := range []string{"kafka", "postgres", "clickhouse", "prometheus", "project", "migrate"} {
		require.Len(t, p.Services[engine].Networks, 1, "%s gets nowhere", engine)
		require.Contains(t, p.Services[engine].Networks, "engines")
	}
	require.ElementsMatch(t, []string{"serve 127.0.0.1:8080", "grafana 127.0.0.1:3000"}, published(load(t, folder, nil, "compose.grafana.yaml")))
	require.Equal(t, []string{"serve 127.0.0.1:9999"}, published(load(t, folder, []string{"MUSTER_PORT=9999"})))
}

func TestNoSecretStandsInTheEnvironment(t *testing.T) {
	folder := installed(t)
	leak := []string{"AWS_SECRET_ACCESS_KEY=of-the-host", "MUSTER_SECRET_KEY=of-the-host", "HOME=/of-the-host", "PATH=/of-the-host"}
	p := load(t, folder, leak)
	text, err := json.Marshal(p.Services)
	require.NoError(t, err)
	require.NotContains(t, string(text), "of-the-host", "nothing of the machine's environment goes in")

	secret := map[string]string{}
	require.NoError(t, filepath.WalkDir(filepath.Join(folder, "secrets"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			content, readErr := os.ReadFile(path)
			secret[entry.Name()], err = strings.TrimSpace(string(content)), readErr
		}
		return err
	}))
	for name, value := range secret {
		if value != "" {
			require.NotContains(t, string(text), value, name)
		}
		if name != "clickhouse-password" { // An address and a hash are made of it; the file is for people.
			require.Contains(t, p.Secrets, name, "the file is handed to somebody")
		}
	}
	for name := range p.Secrets {
		require.Contains(t, secret, name, "every secret is made")
	}

	for name, s := range p.Services {
		given := map[string]bool{}
		for _, one := range s.Secrets {
			require.Contains(t, p.Secrets, one.Source, name)
			given["/run/secrets/"+one.Source] = true
		}
		for variable, value := range s.Environment {
			if value != nil && strings.HasPrefix(*value, "/run/secrets/") {
				require.True(t, given[*value], "%s of %s names a secret that it is not given", variable, name)
			}
		}
	}
}

func TestSecretsAreMadeOnceAndForTheRolesAlone(t *testing.T) {
	folder := installed(t)
	of := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, "secrets", name))
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
	info, err := os.Stat(filepath.Join(folder, "secrets"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), "no other user of the machine gets in")
	info, err = os.Stat(filepath.Join(folder, "secrets", "secret-key"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm(), "the roles' user can read it")

	require.Regexp(t, `^[0-9a-f]{64}$`, of("secret-key"))
	require.Regexp(t, `^muster_[0-9a-f]{64}$`, of("admin-token"))
	require.Equal(t, "postgres://muster:"+of("postgres-password")+"@postgres:5432/muster?sslmode=disable", of("postgres-dsn"))
	require.Equal(t, "clickhouse://muster:"+of("clickhouse-password")+"@clickhouse:9000/default", of("clickhouse-dsn"))
	require.NotEqual(t, of("postgres-password"), of("clickhouse-password"))
	require.NotContains(t, of("clickhouse-users.xml"), of("clickhouse-password"))
	key := of("secret-key")
	require.Empty(t, makeSecrets(t, folder), "a second time makes nothing")
	require.Equal(t, key, of("secret-key"))

	example, err := dotenv.Read(filepath.Join(folder, ".env.example"))
	require.NoError(t, err)
	for name := range example {
		require.NotRegexp(t, `(KEY|TOKEN|PASSWORD|SECRET|DSN)$`, name)
	}
	named := regexp.MustCompile(`/run/secrets/(\S+)`).FindAllStringSubmatch(read(t, "compose", ".env.example"), -1)
	require.NotEmpty(t, named)
	for _, match := range named {
		require.FileExists(t, filepath.Join(folder, "secrets", match[1]))
	}
}

// What Prometheus asks is what the services show.
func TestPrometheusAsksEveryRole(t *testing.T) {
	p := load(t, installed(t), nil)
	for _, role := range roles {
		require.Equal(t, "0.0.0.0:9102", *p.Services[role].Environment["MUSTER_METRICS_LISTEN"])
	}
	path := filepath.Join(root(t), "deploy", "prometheus", "prometheus.yml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var config struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	var targets []string
	for _, job := range config.ScrapeConfigs {
		for _, static := range job.StaticConfigs {
			targets = append(targets, static.Targets...)
		}
	}
	slices.Sort(targets)
	require.Equal(t, []string{"ingest:9102", "project:9102", "serve:9102"}, targets)
}
