//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/engine/freeport"
)

// The worlds of the test. An hour of the world passes each second, so that
// answers expire after seconds.
const (
	// chaosWorld is the seed of the worlds. In some, nobody mines: six of a thousand
	// seeds have nothing to compare in one section or another.
	chaosWorld      = 10
	chaosCharacters = 24
	chaosActivity   = 6
	chaosSpeed      = 3600
	chaosAge        = 120 * 24 * time.Hour
	chaosConsortium = "demo"
	chaosAccounts   = 40
	chaosGroups     = 12

	defaultPartitions = 4
)

// recoverWithin bounds every wait for the whole to work again.
const recoverWithin = 90 * time.Second

// stack is Muster as processes of its own, with its engines and worlds.
type stack struct {
	t      testing.TB
	binary string
	data   string
	files  string
	env    []string

	// partitions of each topic; 0 is defaultPartitions.
	partitions int

	esiURL, anvilURL, apiURL string

	kafka, postgres, clickhouse *service
	esi, anvil                  *service
	ingest, project, serve      *service
}

// startStack starts everything on fixed ports of loopback and brings in an
// organisation and a consortium.
func startStack(t testing.TB, seed uint64) *stack {
	t.Helper()
	requireEngines(t)
	s := &stack{t: t, binary: testBinary(t), data: filepath.Join(passableTempDir(t), "data"), files: t.TempDir()}
	// Registered first, so that it looks last: when all have been stopped.
	t.Cleanup(s.requireNothingLeft)
	ports, err := freeport.Find(t.Context(), 6)
	require.NoError(t, err)
	port := func(i int) string { return strconv.Itoa(ports[i]) }
	s.esiURL, s.anvilURL, s.apiURL = "http://127.0.0.1:"+port(3), "http://127.0.0.1:"+port(4), "http://127.0.0.1:"+port(5)
	s.env = cleanEnvironment(
		"MUSTER_DATA_DIR="+s.data, "MUSTER_LISTEN=127.0.0.1:"+port(5), "MUSTER_KAFKA_PARTITIONS=4",
		"MUSTER_ESI_URL="+s.esiURL, "MUSTER_SSO_URL="+s.esiURL, "MUSTER_SSO_CLIENT_ID=muster-simulated", "MUSTER_SSO_CLIENT_SECRET=simulated-secret",
		"MUSTER_CONTACT=chaos@example.org", "MUSTER_ESI_DOWNTIME=false",
		"MUSTER_SAM_URL="+s.anvilURL, "MUSTER_RAWLS_URL="+s.anvilURL, "MUSTER_ANVIL_CREDENTIALS=none",
		"MUSTER_MAX_MAILS=100000", "MUSTER_INTERVALS="+chaosIntervals(), "MUSTER_SWEEP_EVERY=2s",
	)
	start := func(name string, args ...string) *service {
		return startService(t, s.binary, s.files, name, s.env, args...)
	}
	world := []string{"--seed", strconv.FormatUint(seed, 10), "--speed", strconv.Itoa(chaosSpeed), "--epoch", time.Now().Add(-chaosAge).UTC().Format(time.RFC3339)}
	s.esi = start("esi", append([]string{
		"simulate", "esi", "--address", "127.0.0.1:" + port(3), "--characters", strconv.Itoa(chaosCharacters), "--activity", strconv.Itoa(chaosActivity),
		"--window", "5s", "--token-lifetime", "20m", "--state", filepath.Join(s.files, "esi-state"), "--organisation", s.file("org.json"),
	}, world...)...)
	s.anvil = start("anvil", append([]string{
		"simulate", "anvil", "--address", "127.0.0.1:" + port(4), "--consortium", chaosConsortium,
		"--accounts", strconv.Itoa(chaosAccounts), "--groups", strconv.Itoa(chaosGroups), "--declared", s.file("declared.json"),
	}, world...)...)
	s.kafka = start("kafka", "engine", "kafka", "--port", port(0))
	s.postgres = start("postgres", "engine", "postgres", "--port", port(1))
	s.clickhouse = start("clickhouse", "engine", "clickhouse", "--port", port(2))
	s.eventually("the engines answer", func(context.Context) error {
		_, err := engine.Running(s.data, engine.Addresses{}, nil)
		return err
	})
	s.project, s.ingest, s.serve = start("project", "project"), start("ingest", "ingest"), start("serve", "serve")
	s.eventually("the API is ready", func(ctx context.Context) error { return s.get(ctx, s.apiURL+"/readyz", nil) })
	s.run("import", "-f", s.file("org.json"))
	s.run("declare", "--consortium", chaosConsortium, "-f", s.file("declared.json"))
	return s
}

// chaosIntervals has a few sections read all the time and the others now and then.
func chaosIntervals() string {
	intervals := []string{"details=3s", "location=1s", "wallet=1s", "wallet-journal=2s"}
	for _, shape := range eve.Shapes() {
		switch shape.Section {
		case eve.SectionDetails, eve.SectionLocation, eve.SectionWallet, eve.SectionWalletJournal:
		default:
			intervals = append(intervals, string(shape.Section)+"=10s")
		}
	}
	return strings.Join(intervals, ";")
}

func (s *stack) file(name string) string { return filepath.Join(s.files, name) }

// cleanEnvironment is this process's environment without settings of Muster,
// plus those given. Where the engines lie stays.
func cleanEnvironment(settings ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MUSTER_") || strings.HasPrefix(e, "MUSTER_ENGINES_DIR=") {
			env = append(env, e)
		}
	}
	// The simulated worlds show things that are older than is kept by default. What retention
	// removes is for tests of its own.
	env = append(env, "MUSTER_RETENTION_DAYS=none", "MUSTER_RETENTION_STATE_DAYS=none", "MUSTER_RETENTION_STATE_ALL_DAYS=none", "MUSTER_RETENTION_ACCESS_DAYS=none")
	return append(env, settings...)
}

// eventually waits until a condition holds; if it does not in time the test fails
// with the last reason.
func (s *stack) eventually(what string, holds func(context.Context) error) {
	s.t.Helper()
	require.NoError(s.t, waitUntil(s.t.Context(), recoverWithin, holds), what)
}

// waitUntil asks again and again until the condition holds. It fails with the
// last reason when time is up.
func waitUntil(ctx context.Context, limit time.Duration, holds func(context.Context) error) error {
	return waitPolling(ctx, poll, limit, holds)
}

// waitPolling is [waitUntil] with a time between two looks.
func waitPolling(ctx context.Context, every, limit time.Duration, holds func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		if err := holds(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, last)
		case <-tick.C:
		}
	}
}

// run runs a command that must succeed, again while Muster is not reachable, as
// a person would.
func (s *stack) run(args ...string) string {
	s.t.Helper()
	var printed string
	s.eventually("muster "+strings.Join(args, " "), func(ctx context.Context) error {
		stdout, stderr, status, err := runProgram(ctx, s.binary, s.env, args...)
		if err != nil {
			return err
		}
		if printed = stdout; status != exitOK {
			return fmt.Errorf("exit status %d: %s%s", status, stdout, stderr)
		}
		return nil
	})
	return printed
}

// get asks for JSON, with the administrator's token where it is Muster's own.
func (s *stack) get(ctx context.Context, url string, into any) error {
	return s.ask(ctx, http.MethodGet, url, into)
}

func (s *stack) ask(ctx context.Context, method, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	if strings.HasPrefix(url, s.apiURL) {
		token, err := os.ReadFile(filepath.Join(s.data, "admin-token"))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, url, response.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// child is the process id of an engine that its supervisor noted, if that
// process works on the stack's own data.
func (s *stack) child(name engine.Name) (int, bool) {
	content, err := os.ReadFile(filepath.Join(s.data, "engines.json"))
	if err != nil {
		return 0, false
	}
	var entries map[engine.Name]struct {
		PID int `json:"pid"`
	}
	if json.Unmarshal(content, &entries) != nil {
		return 0, false
	}
	pid := entries[name].PID
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid, pid > 1 && err == nil && strings.Contains(string(arguments), s.data)
}

// killChild kills an engine but not its supervisor; false if it is down already.
func (s *stack) killChild(name engine.Name) bool {
	pid, ok := s.child(name)
	return ok && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// stores connects to the engines as a command does.
func (s *stack) stores() *stores {
	s.t.Helper()
	env := &environment{
		program: program{stdout: io.Discard, stderr: io.Discard}, logger: slog.New(slog.DiscardHandler),
		settings: &settings{DataDir: s.data, KafkaPartitions: int32(max(defaultPartitions, s.partitions)), KafkaReplication: 1},
	}
	at, err := env.findEngines()
	require.NoError(s.t, err)
	connected, err := env.openStores(s.t.Context(), at)
	require.NoError(s.t, err)
	s.t.Cleanup(connected.Close)
	return connected
}

// stopAll stops everything, what depends on others first, and requires that each
// process ends in order.
func (s *stack) stopAll() {
	s.t.Helper()
	for _, p := range []*service{s.serve, s.ingest, s.project, s.clickhouse, s.postgres, s.kafka, s.anvil, s.esi} {
		require.NoError(s.t, p.stop(), "stopping %s", p.name)
	}
}

// requireNothingLeft fails if a process still works on the data, and ends it.
func (s *stack) requireNothingLeft() {
	err := waitUntil(context.Background(), 10*time.Second, func(context.Context) error {
		if left := processesOf(s.data); len(left) > 0 {
			return fmt.Errorf("still running: %v", left)
		}
		return nil
	})
	if err == nil {
		return
	}
	s.t.Errorf("orphaned processes: %v", err)
	for pid := range processesOf(s.data) {
		if pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
