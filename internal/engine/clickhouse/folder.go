package clickhouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names inside the data folder.
const (
	lockName     = "lock"
	manifestName = "muster-clickhouse.json"
	engineName   = "engine"
	configName   = "engine.xml"
)

// manifest says which library wrote a data folder. The engine upgrades its files in place and cannot go back, and a
// read model can be rebuilt from the log at any time, so exactly one version is accepted.
type manifest struct {
	LibraryVersion string `json:"library_version"`
}

// folder is a data folder held by this process alone.
type folder struct {
	path string
	lock *os.File
}

// openFolder creates path if needed, takes its lock and checks that the given version of the library wrote it.
func openFolder(path, version string) (_ *folder, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving the ClickHouse data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("creating the ClickHouse data folder: %w", err)
	}
	lock, err := acquireLock(path)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, lock: lock}
	if err := f.checkVersion(version); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// acquireLock takes the folder's lock, which the kernel releases when this process ends in whatever way.
func acquireLock(path string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the ClickHouse data folder: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder := "another process"
		if pid, err := io.ReadAll(io.LimitReader(lock, 32)); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		_ = lock.Close()
		return nil, fmt.Errorf("the ClickHouse data folder %s is in use by %s: stop it, or choose another folder", path, holder)
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("locking the ClickHouse data folder %s: %w", path, err)
	}
	// The holder's id only helps the message above; the lock itself does not depend on it.
	if err := lock.Truncate(0); err == nil {
		_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return lock, nil
}

// checkVersion compares the folder's manifest with version, and writes it for a new folder.
func (f *folder) checkVersion(version string) error {
	name := filepath.Join(f.path, manifestName)
	content, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(f.enginePath()); err == nil {
			return fmt.Errorf("the ClickHouse data folder %s holds data but no %s: it is not one of Muster's; choose another folder", f.path, manifestName)
		}
		return f.writeManifest(version)
	}
	if err != nil {
		return fmt.Errorf("reading the ClickHouse data folder's manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if m.LibraryVersion != version {
		return fmt.Errorf("the ClickHouse data folder %s was written by library version %s, and this is version %s: run the version that wrote it, or move the folder away and rebuild the read models from the log", f.path, m.LibraryVersion, version)
	}
	return nil
}

// writeManifest writes the manifest so that a crash leaves either none or a whole one.
func (f *folder) writeManifest(version string) error {
	content, err := json.Marshal(manifest{LibraryVersion: version})
	if err != nil {
		return fmt.Errorf("writing the ClickHouse data folder's manifest: %w", err)
	}
	name := filepath.Join(f.path, manifestName)
	if err := os.WriteFile(name+".new", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the ClickHouse data folder's manifest: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("writing the ClickHouse data folder's manifest: %w", err)
	}
	return nil
}

// writeConfig writes the engine's configuration file and answers its path. It has the shards of LocalCluster, if there are
// any, and is empty else: everything is an argument. It is there because without one the engine looks for a configuration in the working directory, the home directory and /etc,
// and would behave differently from machine to machine.
func (f *folder) writeConfig(shards int) (string, error) {
	name := filepath.Join(f.path, configName)
	if err := os.WriteFile(name, []byte(configuration(shards)), 0o600); err != nil {
		return "", fmt.Errorf("writing the ClickHouse engine's configuration: %w", err)
	}
	return name, nil
}

func configuration(shards int) string {
	if shards == 0 {
		return "<clickhouse/>\n"
	}
	// An address is the engine's own by its port, on which nobody need listen.
	shard := "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"
	return "<clickhouse><tcp_port>9000</tcp_port><remote_servers><" + LocalCluster + ">" + strings.Repeat(shard, shards) + "</" + LocalCluster + "></remote_servers></clickhouse>\n"
}

// enginePath is where the engine keeps its own files.
func (f *folder) enginePath() string { return filepath.Join(f.path, engineName) }

// close releases the folder. The lock file stays: removing it would let two processes lock two files of one name.
func (f *folder) close() error {
	if err := f.lock.Close(); err != nil {
		return fmt.Errorf("releasing the ClickHouse data folder: %w", err)
	}
	return nil
}
