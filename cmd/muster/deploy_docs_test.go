package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// secretVariables are the variables that name the files of secrets.
func secretVariables(t *testing.T) (names []string) {
	t.Helper()
	var cli commandLine
	grammar, err := kong.New(&cli, kong.Vars{"version": version, "data_dir": defaultDataDir()})
	require.NoError(t, err)
	require.NoError(t, kong.Visit(grammar.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, is := node.(*kong.Flag); is && flag.Tag.Get("file") != "" {
			require.Equal(t, flag.Envs[0]+"_FILE", flag.Tag.Get("file"))
			names = append(names, flag.Tag.Get("file"))
		}
		return next(nil)
	}))
	require.NotEmpty(t, names)
	return names
}

// Whatever is deployed and told about it names settings and commands that are there.
func TestWhatIsDeployedNamesSettingsThatAreRead(t *testing.T) {
	variables, commands := binary(t)
	secrets := secretVariables(t)
	known := append(append([]string{}, variables...), secrets...)
	// Read by others than the binary's flags: the engines' folder and the composition itself.
	known = append(known, "MUSTER_ENGINES_DIR", "MUSTER_IMAGE", "MUSTER_VERSION", "MUSTER_PORT")
	root, files := filepath.Join("..", ".."), []string{}
	for _, folder := range []string{"docker", "compose", "helm", "systemd"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, "deploy", folder), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "secrets" && entry.IsDir() {
				return fs.SkipDir
			}
			if err == nil && !entry.IsDir() && entry.Name() != ".env" {
				files = append(files, path)
			}
			return err
		}))
	}
	require.Greater(t, len(files), 20)
	page := filepath.Join(root, "docs", "deploy.md")
	for _, file := range append(files, page, filepath.Join(root, "docs", "operations.md")) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`MUSTER_[A-Z_]*[A-Z]`).FindAllString(string(text), -1) {
			if !strings.HasPrefix(name, "MUSTER_GRAFANA_") && !strings.HasPrefix(name, "MUSTER_BENCH_") && !strings.HasPrefix(name, "MUSTER_TEST_") {
				require.Contains(t, known, name, "%s names a variable that nothing reads", file)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	for _, name := range secrets {
		require.Contains(t, string(text), name, "the page about operations does not say that this secret can be a file")
	}
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	said := regexp.MustCompile("(?:`|-- |exec serve |/var/lib/muster )muster ([a-z]+)").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(said), 8)
	for _, named := range said {
		require.Contains(t, commands, named[1], "%q", named[0])
	}
}
