package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Major is the major version of the Postgres this package starts. A cluster of another one cannot be opened by it.
const Major = "18"

// initialise makes the cluster if there is none. It is made in a staging folder and renamed when whole, so a cluster that is there was
// finished, whatever interrupted an earlier try.
func (cfg Config) initialise(ctx context.Context, acct account, password string) error {
	version, err := os.ReadFile(filepath.Join(cfg.cluster(), "PG_VERSION"))
	if err == nil {
		if found := strings.TrimSpace(string(version)); found != Major {
			return fmt.Errorf("opening the Postgres cluster in %s: it was written by Postgres %s and this is Postgres %s: dump it with the Muster that wrote it, or remove it and rebuild the views from the log", cfg.cluster(), found, Major)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the version of the Postgres cluster: %w", err)
	}
	staging := cfg.cluster() + ".initdb"
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("clearing an unfinished Postgres cluster: %w", err)
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return fmt.Errorf("making a folder for the Postgres cluster: %w", err)
	}
	if err := acct.own(staging); err != nil {
		return err
	}
	if err := cfg.initdb(ctx, acct, staging, password); err != nil {
		return err
	}
	if err := os.Rename(staging, cfg.cluster()); err != nil {
		return fmt.Errorf("putting the new Postgres cluster in place: %w", err)
	}
	return nil
}

func (cfg Config) initdb(ctx context.Context, acct account, dir, password string) error {
	// initdb reads the password as the user it runs as, from a file that is gone right after.
	secret := dir + ".password"
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("passing the password to initdb: %w", err)
	}
	defer os.Remove(secret)
	if err := acct.own(secret); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + dir, "--username=" + User, "--pwfile=" + secret, "--auth=scram-sha-256", "--encoding=UTF8",
		// The built-in provider sorts the same on every machine, whatever its C library and ICU.
		"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
		"--no-instructions",
	}
	if cfg.Unsafe {
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	cmd := exec.CommandContext(ctx, cfg.program("initdb"), args...) //nolint:gosec // the program of the fetched engines
	cmd.Env = environment()
	cmd.SysProcAttr = acct.attributes()
	output, err := cmd.CombinedOutput()
	if err != nil {
		remedy := ""
		if acct.namespace && errors.Is(err, syscall.EPERM) {
			remedy = " (root may not make user namespaces here: run Muster as another user, or choose a data folder that the user postgres or nobody can enter, such as /var/lib/muster)"
		}
		return fmt.Errorf("making a Postgres cluster in %s: %w%s: %s", cfg.DataDir, err, remedy, strings.TrimSpace(string(output)))
	}
	return nil
}

// password returns the cluster's password, made at random on first use and kept beside the cluster, readable by its owner alone.
func (cfg Config) password() (string, error) {
	path := filepath.Join(cfg.DataDir, "password")
	stored, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(stored)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the Postgres password: %w", err)
	}
	if _, err := os.Stat(cfg.cluster()); err == nil {
		return "", fmt.Errorf("reading the Postgres password: %s is missing although its cluster exists: put it back from a backup, or remove %s and rebuild the views from the log", path, cfg.DataDir)
	}
	made := rand.Text()
	if err := writeSecret(path, made+"\n"); err != nil {
		return "", fmt.Errorf("keeping the Postgres password: %w", err)
	}
	return made, nil
}

// writeSecret writes a file that is either whole or absent after a crash: the cluster made next can be opened with nothing else.
func writeSecret(path, content string) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// environment is all that Postgres's programs need; nothing of ours, which may hold secrets, is passed on.
func environment() []string {
	return []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}
