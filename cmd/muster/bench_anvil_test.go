//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	ingestanvil "github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/internal/eventlog"
	simanvil "github.com/muster-sync/muster/internal/simulate/anvil"
)

const (
	// anvilAccounts, anvilGroups and anvilWorkspaces size the consortium that the
	// bars are about: as many of each are declared at least. The simulated ones are
	// a few more, for a simulated consortium does not declare everything.
	anvilAccounts, anvilGroups, anvilWorkspaces             = 2000, 500, 400
	simulatedAccounts, simulatedGroups, simulatedWorkspaces = 2130, 515, 415
	// anvilLatency is how long each simulated answer takes.
	anvilLatency = 50 * time.Millisecond
	// auditBar is how long the audit may take, sweepBar how many times faster a
	// sweep has to be than one call after the other.
	auditBar = 50 * time.Millisecond
	sweepBar = 20
	// auditRepetitions and sweepRepetitions are how often each is measured, and
	// oneByOne is how many calls are made one after the other.
	auditRepetitions, sweepRepetitions, oneByOne = 101, 3, 200
)

// spread is the median of several measurements with the lowest and the highest.
type spread struct{ Median, Low, High time.Duration }

func spreadOf(times []time.Duration) spread {
	slices.Sort(times)
	return spread{times[len(times)/2], times[0], times[len(times)-1]}
}

// anvilSpeed is what the page about consortia is made of.
type anvilSpeed struct {
	Date, Machine, Go, Load               string
	Accounts, Groups, Workspaces          int
	Memberships, Shares, Discrepancies    int
	Audit, Compat                         spread
	First, Again                          spread
	Calls, FirstObserved, Concurrency     int
	OneByOne                              time.Duration
	Latency, AuditBar                     time.Duration
	SweepBar, OneByOneCalls               int
	AuditRepetitions, SweepRepetitions    int
	FirstRatio, AgainRatio, LatencyRatio  float64
	AuditVerdict, FirstVerdict, AgainWord string
}

// BenchmarkAnVIL measures the audit of a big consortium as a pure function, and
// its sweep over HTTP into the log beside the same questions asked one after the
// other. Nothing here depends on the figures: they are reported with their bars.
func BenchmarkAnVIL(b *testing.B) {
	rig := newBenchRig(b, 1)
	for b.Loop() {
		s := anvilSpeed{
			Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Latency: anvilLatency, AuditBar: auditBar, SweepBar: sweepBar,
			OneByOneCalls: oneByOne, AuditRepetitions: auditRepetitions, SweepRepetitions: sweepRepetitions,
		}
		simulator, err := simanvil.New(simanvil.Config{Seed: benchSeed, Accounts: simulatedAccounts, Groups: simulatedGroups, Workspaces: simulatedWorkspaces, NoToken: true, Latency: anvilLatency})
		require.NoError(b, err)
		// The world stands still, so that what is measured is the same each time.
		require.NoError(b, simulator.Freeze(simulator.WorldTime()))
		declared := benchDeclaration(b, simulator)
		s.Accounts, s.Groups, s.Workspaces = len(declared.Accounts), len(declared.ManagedGroups), len(declared.Workspaces)
		require.GreaterOrEqual(b, s.Accounts, anvilAccounts)
		require.GreaterOrEqual(b, s.Groups, anvilGroups)
		require.GreaterOrEqual(b, s.Workspaces, anvilWorkspaces)
		s.Memberships, s.Shares = len(declared.GroupAccountMemberships)+len(declared.GroupGroupMemberships), len(declared.WorkspaceGroupSharing)
		s.audits(b, declared, benchWorld(b, simulator))
		s.sweeps(b, rig, simulator, declared)
		s.judge()
		s.Load = loadAverage()

		b.Logf("audit: %s (%s to %s), compat %s; bar %s", s.Audit.Median, s.Audit.Low, s.Audit.High, s.Compat.Median, auditBar)
		b.Logf("sweep of %d calls at %s each: first %s (%.1f times), again %s (%.1f times); one by one %s; bar %d times",
			s.Calls, anvilLatency, s.First.Median, s.FirstRatio, s.Again.Median, s.AgainRatio, s.OneByOne, sweepBar)
		b.ReportMetric(float64(s.Audit.Median.Microseconds())/1000, "ms/audit")
		b.ReportMetric(s.FirstRatio, "sweep-ratio")
		if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
			s.write(b, folder)
		}
	}
}

// loadAverage is how many processes wanted to run in the last minute.
func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(content), " ")
	return minute
}

func benchDeclaration(b *testing.B, simulator *simanvil.Simulator) anvil.Declared {
	b.Helper()
	text, err := json.Marshal(simulator.Declared())
	require.NoError(b, err)
	declared, err := anvil.DecodeDeclared(bytes.NewReader(text))
	require.NoError(b, err)
	return declared
}

func benchWorld(b *testing.B, simulator *simanvil.Simulator) *anvil.Observed {
	b.Helper()
	text, err := json.Marshal(simulator.Answers())
	require.NoError(b, err)
	answers, err := anvil.DecodeAnswers(bytes.NewReader(text))
	require.NoError(b, err)
	observed, err := anvil.ObserveAnswers(answers)
	require.NoError(b, err)
	return observed
}

// audits measures the audit of everything in both modes.
func (s *anvilSpeed) audits(b *testing.B, declared anvil.Declared, observed *anvil.Observed) {
	b.Helper()
	measure := func(options anvil.Options) spread {
		times := make([]time.Duration, auditRepetitions)
		runtime.GC()
		for i := range times {
			began := time.Now()
			result := anvil.Audit(declared, observed, options)
			times[i] = time.Since(began)
			s.Discrepancies = len(result.Discrepancies())
		}
		return spreadOf(times)
	}
	s.Compat = measure(anvil.Options{Compat: true})
	s.Audit = measure(anvil.Options{})
	require.NotZero(b, s.Discrepancies, "there is something to find")
}

// sweeps measures whole sweeps, each of a consortium of its own: the first, in
// which everything is new, and one more, in which nothing has changed; and some
// of the same questions one after the other.
func (s *anvilSpeed) sweeps(b *testing.B, rig *benchRig, simulator *simanvil.Simulator, declared anvil.Declared) {
	b.Helper()
	server := httptest.NewServer(simulator.Handler())
	defer server.Close()
	logger := slog.New(slog.DiscardHandler)
	client, err := ingestanvil.NewClient(b.Context(), ingestanvil.ClientConfig{SamURL: server.URL, RawlsURL: server.URL, Credentials: ingestanvil.NoCredentials}, logger, prometheus.NewRegistry())
	require.NoError(b, err)
	defer client.Close()
	store, err := ingestanvil.NewPostgresStore(b.Context(), rig.stores.pool)
	require.NoError(b, err)
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: rig.stores.addresses.KafkaBrokers})
	require.NoError(b, err)
	defer func() { _ = appender.Close() }()
	sweeper, err := ingestanvil.NewSweeper(ingestanvil.SweeperConfig{
		Asker: client, Store: store, Appender: appender, Quarantine: &ingestanvil.Folder{Dir: b.TempDir()}, Logger: logger, Registerer: prometheus.NewRegistry(),
	})
	require.NoError(b, err)
	var first, again []time.Duration
	sweep := func(consortium string) (time.Duration, ingestanvil.Summary) {
		began := time.Now()
		summary, err := sweeper.Run(b.Context(), consortium, declared, nil)
		took := time.Since(began)
		require.NoError(b, err)
		require.Zero(b, summary.UnseenCount)
		require.Zero(b, summary.Retries)
		return took, summary
	}
	name := ""
	for range sweepRepetitions {
		name = fmt.Sprintf("bench-%d", time.Now().UnixNano())
		took, summary := sweep(name)
		first = append(first, took)
		s.Calls, s.FirstObserved = summary.Calls, summary.Observed
	}
	for range sweepRepetitions {
		took, summary := sweep(name)
		require.Zero(b, summary.Observed, "nothing has changed")
		again = append(again, took)
	}
	s.First, s.Again = spreadOf(first), spreadOf(again)
	s.Concurrency = int(simulator.Ledger().MaxInFlight)

	questions := anvil.FirstRequests(declared, anvil.Models(), anvil.Scope{})
	began := time.Now()
	for _, q := range questions[:oneByOne] {
		reply, err := client.Ask(b.Context(), q)
		require.NoError(b, err)
		require.Empty(b, reply.Failure)
	}
	s.OneByOne = time.Since(began) / oneByOne * time.Duration(s.Calls)
	require.Empty(b, simulator.Violations())
}

func (s *anvilSpeed) judge() {
	verdict := func(reached bool) string {
		if reached {
			return "reached"
		}
		return "missed"
	}
	s.FirstRatio = float64(s.OneByOne) / float64(s.First.Median)
	s.AgainRatio = float64(s.OneByOne) / float64(s.Again.Median)
	s.LatencyRatio = float64(time.Duration(s.Calls)*s.Latency) / float64(s.First.Median)
	s.AuditVerdict = verdict(s.Audit.Median < auditBar)
	s.FirstVerdict = verdict(s.FirstRatio >= sweepBar)
	s.AgainWord = verdict(s.AgainRatio >= sweepBar)
}

const anvilPage = `# Consortia, {{.Date}}

Made by ` + "`make bench`" + `: a simulated consortium of which {{.Accounts}} accounts, {{.Groups}} groups, {{.Workspaces}} workspaces, {{.Memberships}} memberships and {{.Shares}} shares are declared, and
which differs from its declaration in {{.Discrepancies}} points.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

| work | median | lowest to highest | times | bar |
| --- | ---: | --- | ---: | --- |
| audit of everything, declaration and answers in memory | {{ms .Audit.Median}} ms | {{ms .Audit.Low}} to {{ms .Audit.High}} ms | {{.AuditRepetitions}} | under {{ms .AuditBar}} ms, {{.AuditVerdict}} |
| the same in compat mode | {{ms .Compat.Median}} ms | {{ms .Compat.Low}} to {{ms .Compat.High}} ms | {{.AuditRepetitions}} | none |

| sweep at {{ms .Latency}} ms a call, {{.Calls}} calls | median | lowest to highest | times | one call after the other | ratio | bar |
| --- | ---: | --- | ---: | ---: | ---: | --- |
| the first, {{.FirstObserved}} observations into the log | {{s .First.Median}} s | {{s .First.Low}} to {{s .First.High}} s | {{.SweepRepetitions}} | {{s .OneByOne}} s | {{printf "%.1f" .FirstRatio}} | {{.SweepBar}}, {{.FirstVerdict}} |
| another, nothing changed | {{s .Again.Median}} s | {{s .Again.Low}} to {{s .Again.High}} s | {{.SweepRepetitions}} | {{s .OneByOne}} s | {{printf "%.1f" .AgainRatio}} | {{.SweepBar}}, {{.AgainWord}} |

A sweep is measured whole: the questions over HTTP, the comparison with what was observed before, Postgres and the log. At most {{.Concurrency}} calls were open at a
time. The time of one call after the other is that of {{.OneByOneCalls}} of the same calls by the same client, made so, times the number of calls; by the latency alone the first sweep
is {{printf "%.1f" .LatencyRatio}} times faster. The simulator answers from the process that sweeps and shares its cores.
`

func (s *anvilSpeed) write(b *testing.B, folder string) {
	b.Helper()
	functions := template.FuncMap{
		"ms": func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) },
		"s":  func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) },
	}
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("anvil").Funcs(functions).Parse(anvilPage)).Execute(&page, s))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, s.Date+"-anvil.md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
