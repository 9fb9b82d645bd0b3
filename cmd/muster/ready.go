package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// readyCommand asks a process whether it is ready.
type readyCommand struct {
	metricsSettings
	Wait    time.Duration `help:"Ask again until it is ready, for that long."`
	Timeout time.Duration `help:"How long one answer may take." default:"5s"`
}

// Help implements kong's detailed help.
func (c *readyCommand) Help() string {
	return `Asks /readyz at --url, or else at MUSTER_METRICS_LISTEN, or else at MUSTER_LISTEN, so that it finds the
process that was started with the same environment. It needs no token.

Examples:
  muster ready
  muster ready --wait 2m
  muster ready --url http://127.0.0.1:9091

Exit status: 0 ready, 1 not ready or not there, 2 wrong arguments.`
}

// Run implements the subcommand.
func (c *readyCommand) Run(ctx context.Context, env *environment) error {
	base := strings.TrimSuffix(cmp.Or(env.settings.URL, "http://"+reachable(cmp.Or(c.MetricsListen, env.settings.Listen))), "/")
	client := &http.Client{Timeout: c.Timeout}
	defer client.CloseIdleConnections()
	patience, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		err := askReady(ctx, client, base+"/readyz")
		if err == nil {
			fmt.Fprintln(env.stdout, "ready")
			return nil
		}
		select {
		case <-ticker.C:
			if patience.Err() == nil {
				continue
			}
		case <-patience.Done():
		}
		fmt.Fprintf(env.stderr, "muster: %s is not ready: %v\n", base, err)
		return errFindings
	}
}

// askReady is nil when a process says that it is ready.
func askReady(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("nobody answers: %w", errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	var told struct {
		Checks map[string]string `json:"checks"`
	}
	const longest = 64 << 10
	if err := json.NewDecoder(io.LimitReader(response.Body, longest)).Decode(&told); err != nil || len(told.Checks) == 0 {
		return fmt.Errorf("it answers %s", response.Status)
	}
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(told.Checks)) {
		if told.Checks[name] != "ok" {
			reasons = append(reasons, name+": "+told.Checks[name])
		}
	}
	return errors.New(strings.Join(reasons, "; "))
}
