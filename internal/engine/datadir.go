package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-sync/muster/internal/engine/postgres"
)

// layoutVersion is the version of what lies where in a data folder. It rises when a newer Muster could not simply go on with an older
// folder.
const layoutVersion = 1

// anotherFolder is the remedy that always works.
const anotherFolder = "choose another folder with MUSTER_DATA_DIR"

const (
	manifestName = "muster-data.json"
	guardName    = "muster.lock"
)

// manifest is muster-data.json: who wrote the folder. Versions are those of the engines' formats.
type manifest struct {
	Layout   int             `json:"layout"`
	Versions map[Name]string `json:"versions"`
}

// FolderInUseError says that an engine of a data folder is already run by another process.
type FolderInUseError struct {
	Dir    string
	Engine Name
	// PID is the process that holds it, or 0 if that is not known.
	PID int
}

// Error names the folder, the holder, the rule and the remedy.
func (e *FolderInUseError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("the data folder %s is in use: its %s is run by %s, and one process at a time may run it: stop that one, or choose another folder with MUSTER_DATA_DIR", e.Dir, e.Engine, holder)
}

// FolderVersionError says that a data folder was written by a Muster whose files this one does not read.
type FolderVersionError struct {
	Dir string
	// What differs, for example "layout" or "postgres".
	What        string
	Found, Want string
	// Remedy is what to do besides running the Muster that wrote the folder.
	Remedy string
}

// Error names the folder, the rule and the remedy.
func (e *FolderVersionError) Error() string {
	return fmt.Sprintf("the data folder %s was written by another version of Muster: %s %s, and this one reads %s %s only: run the Muster that wrote it, or %s",
		e.Dir, e.What, e.Found, e.What, e.Want, e.Remedy)
}

// dataDir is a data folder of which this process holds some engines.
type dataDir struct {
	path  string
	locks map[Name]*os.File
}

// openDataDir makes the folder if needed, takes the engines for this process and checks the folder's versions. It changes nothing in a
// folder that it refuses.
func openDataDir(path string, engines []Name, versions map[Name]string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the data folder: %w", err)
	}
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		// The user that root becomes to run Postgres passes through; it can read nothing else.
		mode = 0o711
	}
	if err := os.MkdirAll(path, mode); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	dir := &dataDir{path: path, locks: make(map[Name]*os.File)}
	for _, engine := range engines {
		if err := dir.take(engine); err != nil {
			return nil, errors.Join(err, dir.close())
		}
	}
	if err := dir.guarded(func() error { return dir.checkManifest(engines, versions) }); err != nil {
		return nil, errors.Join(err, dir.close())
	}
	return dir, nil
}

// folder is where an engine keeps its data.
func (d *dataDir) folder(engine Name) string { return filepath.Join(d.path, string(engine)) }

// close gives the engines free. The lock files stay: if they were removed, two processes could hold two files of one name.
func (d *dataDir) close() error {
	var errs []error
	for engine, lock := range d.locks {
		errs = append(errs, lock.Close())
		delete(d.locks, engine)
	}
	return errors.Join(errs...)
}

func lockName(engine Name) string { return string(engine) + ".lock" }

// take locks an engine's data for this process. The kernel gives it free when the process ends, in whatever way.
func (d *dataDir) take(engine Name) error {
	file, err := os.OpenFile(filepath.Join(d.path, lockName(engine)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the lock of %s in the data folder: %w", engine, err)
	}
	if err := lockSoon(file); err != nil {
		defer file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return &FolderInUseError{Dir: d.path, Engine: engine, PID: holder(file)}
		}
		return fmt.Errorf("locking %s in the data folder %s: %w", engine, d.path, err)
	}
	d.locks[engine] = file
	// The process id only serves the message to others; the lock itself does not depend on it.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// lockSoon takes a lock that is free, or free in an instant: whoever only asks whether it is held holds it as long as that takes.
func lockSoon(file *os.File) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for try := 0; try < lockTries && errors.Is(err, unix.EWOULDBLOCK); try++ {
		<-tick.C
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	return err
}

// holder reads who holds a lock file, or 0.
func holder(file io.Reader) int {
	content, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// held tells whether some process holds the lock file.
func held(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// guarded runs do while no other process reads or writes the files that the engines of a folder share.
func (d *dataDir) guarded(do func() error) error {
	guard, err := os.OpenFile(filepath.Join(d.path, guardName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the guard of the data folder: %w", err)
	}
	defer guard.Close()
	if err := unix.Flock(int(guard.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("waiting for the guard of the data folder %s: %w", d.path, err)
	}
	return do()
}

// checkManifest compares the folder with what this Muster reads, and notes its versions. The version of an engine counts only while its
// folder is there: whoever moves one away starts it afresh.
func (d *dataDir) checkManifest(engines []Name, versions map[Name]string) error {
	path := filepath.Join(d.path, manifestName)
	found := manifest{Layout: layoutVersion, Versions: map[Name]string{}}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, engine := range [...]Name{Kafka, Postgres, ClickHouse} {
			if _, err := os.Stat(d.folder(engine)); err == nil {
				return &FolderVersionError{Dir: d.path, What: "layout", Found: "unknown (it has " + string(engine) + " but no " + manifestName + ")", Want: strconv.Itoa(layoutVersion), Remedy: anotherFolder}
			}
		}
	case err != nil:
		return fmt.Errorf("reading the version of the data folder: %w", err)
	default:
		if err := json.Unmarshal(content, &found); err != nil {
			return fmt.Errorf("reading %s: %w: put it back from a backup, or choose another folder with MUSTER_DATA_DIR", path, err)
		}
	}
	if found.Layout != layoutVersion {
		return &FolderVersionError{Dir: d.path, What: "layout", Found: strconv.Itoa(found.Layout), Want: strconv.Itoa(layoutVersion), Remedy: anotherFolder}
	}
	if found.Versions == nil {
		found.Versions = map[Name]string{}
	}
	for _, engine := range engines {
		_, err := os.Stat(d.folder(engine))
		wrote, noted := found.Versions[engine]
		if err == nil && noted && wrote != versions[engine] {
			return &FolderVersionError{Dir: d.path, What: string(engine), Found: wrote, Want: versions[engine], Remedy: remedy(engine, d.folder(engine))}
		}
		found.Versions[engine] = versions[engine]
	}
	return writeJSON(path, found)
}

func remedy(engine Name, folder string) string {
	if engine == ClickHouse {
		return fmt.Sprintf("move %s away (its views are rebuilt from the log by muster replay)", folder)
	}
	return anotherFolder
}

// writeJSON replaces a file, readable by its owner alone, so that a crash leaves the old or the new one.
func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = file.Write(append(content, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// formats are the versions of the engines' data formats, as the manifest notes them: Postgres reads any minor version of its major, libchdb
// upgrades its files and cannot go back, and kfake numbers its format.
func formats(clickhouse string) map[Name]string {
	return map[Name]string{Kafka: "kfake 1", Postgres: postgres.Major, ClickHouse: clickhouse}
}

const (
	// lockPoll is how often a lock that is about to be given free is looked at.
	lockPoll = 20 * time.Millisecond
	// lockTries is how often before it is believed to be held for good.
	lockTries = 5
)
