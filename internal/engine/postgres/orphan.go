package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearOrphan deals with the postmaster.pid that a killed predecessor left. The data folder's lock has made sure that no other Muster
// uses the cluster, so a postmaster that still runs on it is an orphan on its way out: it is waited for, then asked, then killed.
// A file whose process is gone, or is something else altogether because the number was given out again (usual in containers),
// is removed; Postgres itself would refuse to start on the latter.
func clearOrphan(ctx context.Context, cluster string, log *slog.Logger) error {
	path := filepath.Join(cluster, "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what a former Postgres left: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err == nil && pid > 0 {
		// SIGQUIT makes Postgres end at once, as after a crash; the log makes it good at the next start.
		for _, step := range []struct {
			signal syscall.Signal
			wait   time.Duration
		}{{0, time.Second}, {syscall.SIGQUIT, 5 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
			if !servesCluster(ctx, pid, cluster) {
				break
			}
			log.WarnContext(ctx, "a former Postgres still runs on this cluster", "pid", pid, "signal", int(step.signal))
			if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("ending a former Postgres (pid %d) that still runs on %s: %w: end it by hand", pid, cluster, err)
			}
			if err := awaitGone(ctx, pid, cluster, step.wait); err != nil {
				return err
			}
		}
		if servesCluster(ctx, pid, cluster) {
			return fmt.Errorf("ending a former Postgres (pid %d) that still runs on %s: it does not go: end it by hand", pid, cluster)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what a former Postgres left: %w", err)
	}
	return nil
}

func awaitGone(ctx context.Context, pid int, cluster string, limit time.Duration) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for servesCluster(ctx, pid, cluster) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// servesCluster tells whether the process is a Postgres that was started on the cluster.
func servesCluster(ctx context.Context, pid int, cluster string) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	if runtime.GOOS == "linux" {
		// A zombie has an empty command line: it holds nothing any more.
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && strings.Contains(string(command), "\x00"+cluster+"\x00")
	}
	command, err := exec.CommandContext(ctx, "ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	return err == nil && strings.Contains(string(command), cluster)
}
