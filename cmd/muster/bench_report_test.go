//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"

	engines "github.com/muster-sync/muster/deploy/engines"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

const (
	// defaultBenchEvents is the size of the workload, defaultRepetitions how often
	// each measurement is made.
	defaultBenchEvents = 200_000
	defaultRepetitions = 5
)

// measure is one line of the report: what Muster does beside what the bare engine
// does, in the unit a second.
type measure struct {
	Work, Unit  string
	Ours, Floor float64
	What        string // the floor
	Bar         float64
	Repetitions int
	Slow, Fast  float64 // the lowest and the highest ratio of the repetitions
}

func (m measure) Ratio() float64 { return m.Ours / m.Floor }

// Verdict names the bar and says whether it is reached.
func (m measure) Verdict() string {
	switch {
	case m.Bar == 0:
		return "none"
	case m.Ratio() < m.Bar:
		return fmt.Sprintf("%.1f, missed", m.Bar)
	default:
		return fmt.Sprintf("%.1f, reached", m.Bar)
	}
}

// BenchmarkAgainstBareEngines measures folding and replay beside the bare engines
// doing the same work with the same rows, in one run, in alternation, and reports
// medians and their ratios. MUSTER_BENCH_EVENTS and MUSTER_BENCH_REPETITIONS size
// it; MUSTER_BENCH_REPORT names a folder for the report.
func BenchmarkAgainstBareEngines(b *testing.B) {
	events, repetitions := int(benchSetting(b, "MUSTER_BENCH_EVENTS", defaultBenchEvents)), int(benchSetting(b, "MUSTER_BENCH_REPETITIONS", defaultRepetitions))
	rig := newBenchRig(b, events)
	wallet := rig.blocks(chviews.Wallet(), rig.bound(chviews.WalletName, 0).Bulk)
	characters, sections := rig.blocks(pgviews.Characters(), rig.bound(pgviews.CharactersName, 0).Bulk), rig.sectionRows()
	rows, atHand := clickhouseRows(wallet), rig.take()
	runtime.GC()

	times := map[string][]float64{}
	note := func(what string, took time.Duration) { times[what] = append(times[what], took.Seconds()) }
	measureModel := func(name string, repetition int) {
		b.Helper()
		bound := rig.bound(name, repetition)
		note("catch up "+name, rig.catchUp(bound))
		applied, _ := rig.replay(bound, atHand)
		note("fold "+name, applied)
		applied, whole := rig.replay(bound, rig.kafka())
		note("replay "+name, applied)
		note("replay and compare "+name, whole)
	}
	for b.Loop() {
		for repetition := range repetitions {
			note("consume", rig.consume())
			note("insert", rig.insertBare(wallet, repetition))
			measureModel(chviews.WalletName, repetition)
			note("copy", rig.copyBare(sections, bulkRecords))
			note("upsert", rig.upsertBare(characters, repetition))
			measureModel(pgviews.CharactersName, repetition)
			rig.forget(b.Context(), repetition)
		}
	}
	memory := rig.projectorMemory()

	slower := func(other string) string {
		if median(times["consume"]) > median(times[other]) {
			return "consume"
		}
		return other
	}
	names := map[string]string{
		"consume": "franz-go polling the same partitions, nothing decoded",
		"insert":  "clickhouse-go, columnar insert of the same rows",
		"copy":    "pgx, COPY of a row for each event",
		"upsert":  "pgx, unnest upsert of the rows that are left after folding",
	}
	line := func(work, unit, ours, floor string, n int, bar float64) measure {
		m := measure{
			Work: work, Unit: unit, What: names[floor], Bar: bar, Repetitions: len(times[ours]),
			Ours: float64(n) / median(times[ours]), Floor: float64(n) / median(times[floor]),
		}
		ratios := make([]float64, len(times[ours]))
		for i, took := range times[ours] {
			ratios[i] = times[floor][i] / took
		}
		m.Slow, m.Fast = slices.Min(ratios), slices.Max(ratios)
		return m
	}
	measures := []measure{
		line("folding into ClickHouse (`wallet`)", "rows", "fold wallet", "insert", rows, 0.6),
		line("folding into Postgres (`characters`)", "events", "fold characters", "copy", events, 0.5),
		line("replay of `wallet`", "events", "replay wallet", slower("insert"), events, 0.5),
		line("replay of `characters`", "events", "replay characters", slower("copy"), events, 0.5),
		line("live `wallet` catching up", "events", "catch up wallet", slower("insert"), events, 0),
		line("live `characters` catching up", "events", "catch up characters", slower("copy"), events, 0),
		line("folding into Postgres (`characters`), folded floor", "events", "fold characters", "upsert", events, 0.5),
		line("folding into ClickHouse (`wallet`), reading included", "rows", "catch up wallet", "insert", rows, 0.6),
		line("folding into Postgres (`characters`), reading included", "events", "catch up characters", "copy", events, 0.5),
		line("folding into Postgres (`characters`), reading included, folded floor", "events", "catch up characters", "upsert", events, 0.5),
	}
	for _, m := range measures {
		b.Logf("%-40s %9.0f %s/s  floor %9.0f  ratio %.2f (%.2f to %.2f, bar %.1f)", m.Work, m.Ours, m.Unit, m.Floor, m.Ratio(), m.Slow, m.Fast, m.Bar)
		b.ReportMetric(m.Ratio(), strings.NewReplacer(" ", "-", "`", "", "(", "", ")", "").Replace(m.Work)+"-ratio")
	}
	b.Logf("with comparison: wallet %.0f, characters %.0f events/s; muster project: %.0f MiB at most",
		float64(events)/median(times["replay and compare wallet"]), float64(events)/median(times["replay and compare characters"]), memory)
	b.ReportMetric(memory, "MiB-projector")
	if folder := os.Getenv("MUSTER_BENCH_REPORT"); folder != "" {
		writeBenchReport(b, folder, benchReport{
			Date: time.Now().UTC().Format(time.DateOnly), Events: events, Rows: rows, Repetitions: repetitions, Measures: measures, Memory: memory,
			WalletWhole: float64(events) / median(times["replay and compare wallet"]), CharactersWhole: float64(events) / median(times["replay and compare characters"]),
			Machine: machine(), Go: runtime.Version(),
		})
	}
}

func benchSetting(b testing.TB, name string, otherwise uint64) uint64 {
	b.Helper()
	n, err := numberFromEnvironment(name, otherwise)
	require.NoError(b, err)
	return n
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// machine describes the processor and the memory.
func machine() string {
	name := "unknown processor"
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(content), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := ""
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		first, _, _ := strings.Cut(string(content), "\n")
		memory = strings.Join(strings.Fields(strings.TrimPrefix(first, "MemTotal:")), " ")
	}
	return fmt.Sprintf("%s, %d cores, %s of memory, %s/%s", name, runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH)
}

// benchReport is what the report is made of.
type benchReport struct {
	Date, Machine, Go            string
	Events, Rows, Repetitions    int
	Measures                     []measure
	WalletWhole, CharactersWhole float64
	Memory                       float64
	Versions                     engines.Versions
}

const benchPage = `# Benchmarks of {{.Date}}

Made by ` + "`make bench`" + `: {{.Events}} events of made-up characters, which become {{.Rows}} rows in ClickHouse; {{.Repetitions}} repetitions of each
measurement in alternation, medians. Both columns are from the same run: the floor is the bare engine doing the same work with
the same rows, which lie ready in memory, in blocks of the same size. Engines are processes of their own, as in production.

* Machine: {{.Machine}}
* Versions: {{.Go}}, Postgres {{.Versions.Postgres}}, libchdb {{.Versions.ClickHouse}}, franz-go's kfake on disk as the broker

| work | Muster | floor | what the floor does | ratio | lowest to highest | bar |
| --- | ---: | ---: | --- | ---: | --- | --- |
{{range .Measures}}| {{.Work}} | {{printf "%.0f" .Ours}} {{.Unit}}/s | {{printf "%.0f" .Floor}} {{.Unit}}/s | {{.What}} | {{printf "%.2f" .Ratio}} | {{printf "%.2f to %.2f" .Slow .Fast}} | {{.Verdict}} |
{{end}}
Folding is given records that lie in memory: it decodes, folds and writes them, with checkpoints. A replay and a live projection that is
catching up read them from Kafka, too. The floors of inserting read nothing, so the lines that say "reading included" hold a projection that reads from
Kafka against an engine that is handed its rows; they are the strictest reading of the bars.

Postgres has two floors. The first stores what the events say, a row for each, with ` + "`COPY`" + `. The second is given only the rows that are
left when a batch has been folded, a few for each character however many events there were: the stricter one.

A replay also compares its outcome with the live generation before it switches. With that, ` + "`wallet`" + ` replays at {{printf "%.0f" .WalletWhole}} and
` + "`characters`" + ` at {{printf "%.0f" .CharactersWhole}} events a second.

` + "`muster project`" + ` folding all of it into every read model at once used at most {{printf "%.0f" .Memory}} MiB of memory (VmHWM).
`

func writeBenchReport(b *testing.B, folder string, report benchReport) {
	b.Helper()
	versions, err := engines.Pinned()
	require.NoError(b, err)
	report.Versions = versions
	var page bytes.Buffer
	require.NoError(b, template.Must(template.New("report").Parse(benchPage)).Execute(&page, report))
	require.NoError(b, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, report.Date+".md")
	require.NoError(b, os.WriteFile(path, page.Bytes(), 0o644))
	b.Logf("written to %s", path)
}
