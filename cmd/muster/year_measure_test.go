//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	worker "github.com/muster-sync/muster/projections/retention"
	"github.com/muster-sync/muster/projections/runner"
)

// yearFigures are what a year came to.
type yearFigures struct {
	Date, Machine, Go, Load, Command  string
	Characters, Rows, Entries, Events int
	Questions, Compared               int
	Appended, Folded                  time.Duration
	Memory                            float64
	JournalRows                       uint64
	BytesPerRow, MergedBytesPerRow    float64
	Answers                           apiTimes
	Kinds                             []apiTimes
	Consumed                          float64
	Replays                           []yearReplay
	Verifications                     []string
	Tombstones                        int
	LogBefore, LogAfter               int64
}

// FoldedPerSecond is how many events a second were folded into all read models.
func (f yearFigures) FoldedPerSecond() float64 { return float64(f.Events) / f.Folded.Seconds() }

// yearReplay is a replay of one read model.
type yearReplay struct {
	Name, When string
	Records    int64
	// Reading is how long it took to fold the log, Took with the comparison.
	Reading, Took time.Duration
	// Floor is how many events a second the bare engine takes.
	Floor    float64
	Consumed float64
	// Said are the times that the progress bar said were left, with those that were.
	Said []yearSaid
}

// yearSaid is what a progress bar said at a moment.
type yearSaid struct {
	Part       float64
	Left, Real time.Duration
}

// Error is by how much it was wrong, as a share of what was left.
func (s yearSaid) Error() float64 { return (s.Left - s.Real).Seconds() / s.Real.Seconds() }

// Rate is the events folded a second.
func (y *yearReplay) Rate() float64 { return float64(y.Records) / y.Reading.Seconds() }

// Slower is the slower of the floors.
func (y *yearReplay) Slower() float64 { return min(y.Floor, y.Consumed) }

// Ratio holds the replay against the slower of the floors.
func (y *yearReplay) Ratio() float64 { return y.Rate() / y.Slower() }

// measureSize tells how many bytes a row of the journal takes.
func (r *yearRig) measureSize() {
	r.t.Helper()
	wallet, err := r.stores.control.Live(r.t.Context(), chviews.WalletName)
	require.NoError(r.t, err)
	size := func() (bytes, rows uint64) {
		require.NoError(r.t, r.engines.clickhouse.QueryRow(r.t.Context(), fmt.Sprintf("SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE active AND database = '%s' AND table = 'wallet_journal'", wallet.Namespace)).Scan(&bytes, &rows))
		return bytes, rows
	}
	of := func() float64 {
		bytes, rows := size()
		r.figures.JournalRows = rows
		return float64(bytes) / float64(rows)
	}
	r.figures.BytesPerRow = of()
	require.NoError(r.t, r.engines.clickhouse.Exec(r.t.Context(), "OPTIMIZE TABLE `"+wallet.Namespace+"`.wallet_journal FINAL"))
	r.figures.MergedBytesPerRow = of()
	r.t.Logf("%d rows of the journal, %.2f bytes each as they lie, %.2f merged", r.figures.JournalRows, r.figures.BytesPerRow, r.figures.MergedBytesPerRow)
	require.EqualValues(r.t, r.figures.Entries, r.figures.JournalRows, "each entry is one row")
}

// measureAnswers times questions and the statements that they come to, one after the
// other, in turns.
func (r *yearRig) measureAnswers(questions []yearQuestion) {
	r.t.Helper()
	rounds := int(benchSetting(r.t, "MUSTER_YEAR_ROUNDS", 5))
	kinds := map[string]*apiTimes{}
	all := &r.figures.Answers
	all.Route = "all"
	for _, q := range questions {
		path, _, _ := strings.Cut(q.path, "?")
		k := kinds[path]
		if k == nil {
			k = &apiTimes{Route: path}
			kinds[path] = k
		}
		r.ask(q.path)
		statements := r.heard.during(func() { r.ask(q.path) })
		sides := map[bool]func(){true: func() { r.ask(q.path) }, false: func() { require.NoError(r.t, r.engines.send(r.t.Context(), statements), q.path) }}
		for round := range rounds {
			for _, api := range []bool{round%2 == 0, round%2 != 0} {
				started := time.Now()
				sides[api]()
				took := float64(time.Since(started).Microseconds()) / 1000
				for _, into := range []*apiTimes{k, all} {
					if api {
						into.api = append(into.api, took)
						into.Statements += float64(len(statements))
					} else {
						into.direct = append(into.direct, took)
					}
				}
			}
		}
	}
	for _, k := range kinds {
		r.figures.Kinds = append(r.figures.Kinds, *k)
	}
	slices.SortFunc(r.figures.Kinds, func(a, b apiTimes) int { return strings.Compare(a.Route, b.Route) })
	for i := range r.figures.Kinds {
		k := &r.figures.Kinds[i]
		k.Statements /= float64(len(k.api))
		r.t.Logf("%-36s %3d answers  API %9.2f %9.2f ms  direct %9.2f %9.2f ms  ratio %.2f %.2f", k.Route, k.Requests(), k.Median(), k.Worst(), k.DirectMedian(), k.DirectWorst(), k.MedianRatio(), k.WorstRatio())
	}
	all.Statements /= float64(len(all.api))
	r.t.Logf("%-36s %3d answers  API %9.2f %9.2f ms  direct %9.2f %9.2f ms  ratio %.2f %.2f", "all", all.Requests(), all.Median(), all.Worst(), all.DirectMedian(), all.DirectWorst(), all.MedianRatio(), all.WorstRatio())
}

// verify folds the log in memory and compares, as `muster verify` does.
func (r *yearRig) verify() {
	r.t.Helper()
	var out bytes.Buffer
	env := *r.env
	env.stdout = &out
	command := verifyCommand{Percent: 100, Output: "table"}
	require.NoError(r.t, command.run(r.t.Context(), &env, r.stores), out.String())
	r.figures.Verifications = append(r.figures.Verifications, strings.TrimSpace(out.String()))
	r.t.Log(strings.TrimSpace(out.String()))
}

// progressLog keeps what a progress bar says where there is no terminal.
type progressLog struct {
	slog.Handler

	mu    sync.Mutex
	lines []progressLine
}

type progressLine struct {
	at          time.Time
	phase       string
	done, total int64
	left        time.Duration
}

// Handle implements [slog.Handler].
func (l *progressLog) Handle(_ context.Context, record slog.Record) error {
	if record.Message != "progress" {
		return nil
	}
	line := progressLine{at: time.Now()}
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "phase":
			line.phase = a.Value.String()
		case "done":
			line.done = a.Value.Int64()
		case "total":
			line.total = a.Value.Int64()
		case "left":
			line.left, _ = time.ParseDuration(a.Value.String())
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// Enabled implements [slog.Handler].
func (l *progressLog) Enabled(context.Context, slog.Level) bool { return true }

// replayAll rebuilds every read model from the log, which has to come out equal.
func (r *yearRig) replayAll(measured bool) {
	r.t.Helper()
	when := "before retention"
	if r.figures.Tombstones > 0 {
		when = "after retention and compaction"
	}
	consumed := math.Inf(1)
	if measured {
		part := *r.benchRig
		part.ends = map[eventlog.Partition]int64{}
		for at, end := range r.ends {
			if at.Topic == event.TopicEVE {
				part.ends[at] = end
			}
		}
		// Compaction has left holes: there are fewer records than offsets.
		left := r.recordsLeft()
		consumed = float64(left) / part.consumeRecords(left).Seconds()
		r.t.Logf("bare consumption %s: %.0f records a second", when, consumed)
	}
	for _, name := range yearProjections() {
		b, err := r.stores.projection(name)
		require.NoError(r.t, err)
		log := &progressLog{Handler: slog.DiscardHandler}
		env := *r.env
		env.logger = slog.New(log)
		started := time.Now()
		result, err := (&replayRun{}).replay(r.t.Context(), &env, r.stores.folder, b)
		require.NoError(r.t, err)
		require.True(r.t, result.Equal, "a replay of %s %s has to come out equal: %+v", name, when, result.Tables)
		require.NotEmpty(r.t, result.Tables)
		replay := yearReplay{Name: name, When: when, Records: result.Records, Took: result.Took, Consumed: consumed, Reading: result.Took}
		replay.judge(log.lines, started)
		if measured {
			// Of what retention leaves the floors would be the same.
			if _, known := r.floors[name]; !known {
				r.floors[name] = r.floor(b)
			}
			replay.Floor = r.floors[name]
		}
		r.figures.Replays = append(r.figures.Replays, replay)
		if measured {
			r.t.Logf("replay of %s %s: %d records, reading %s, %.0f a second, floor %.0f, ratio %.2f; with comparison %s", name, when, replay.Records,
				replay.Reading.Round(time.Millisecond), replay.Rate(), replay.Slower(), replay.Ratio(), replay.Took.Round(time.Millisecond))
			for _, s := range replay.Said {
				r.t.Logf("  at %2.0f %% the bar said %s, and it took %s: %+.0f %%", 100*s.Part, s.Left, s.Real.Round(time.Second), 100*s.Error())
			}
		}
	}
}

// judge makes out when reading ended, and how right the progress bar was.
func (y *yearReplay) judge(lines []progressLine, started time.Time) {
	i := slices.IndexFunc(lines, func(l progressLine) bool { return l.phase != "reading" })
	if i < 0 {
		return
	}
	end := lines[i].at
	y.Reading = end.Sub(started)
	for _, part := range []float64{0.1, 0.25, 0.5, 0.75} {
		n := slices.IndexFunc(lines[:i], func(l progressLine) bool {
			return l.total > 0 && float64(l.done) >= part*float64(l.total) && l.left > 0
		})
		// What ends within seconds has no use for a bar.
		const short = 10 * time.Second
		if n >= 0 && y.Reading > short {
			l := lines[n]
			y.Said = append(y.Said, yearSaid{float64(l.done) / float64(l.total), l.left, end.Sub(l.at)})
		}
	}
}

// recordsLeft counts the records of the topic of characters.
func (r *yearRig) recordsLeft() (n int64) {
	r.t.Helper()
	ends, err := r.stores.reader.Ends(r.t.Context(), event.TopicEVE)
	require.NoError(r.t, err)
	for at, span := range ends {
		require.NoError(r.t, r.stores.reader.ReadRange(r.t.Context(), at, span.Start, span.End, func(eventlog.Record) error {
			n++
			return nil
		}))
	}
	return n
}

// floorEvents bounds how many events the floors are measured with: their rows lie in
// memory.
const floorEvents = 120_000

// floor is how many events a second the bare engine takes of a read model: the rows of
// some partitions, folded before, in the same blocks.
func (r *yearRig) floor(b runner.Bound) float64 {
	r.t.Helper()
	part := *r.benchRig
	part.ends = map[eventlog.Partition]int64{}
	events := int64(0)
	for at, end := range r.ends {
		if at.Topic == event.TopicEVE && events < floorEvents {
			part.ends[at] = min(end, floorEvents-events)
			events += part.ends[at]
		}
	}
	counted := 0
	part.each(func(runner.Event) error { counted++; return nil })
	blocks := part.blocks(b.Projection, b.Bulk)
	runtime.GC()
	var took time.Duration
	const repetition = 9
	if _, is := b.Store.(*runner.ClickHouse); is {
		took = part.insertRowsBare(b.Projection, blocks)
	} else {
		took = part.upsertBare(blocks, repetition)
		_, err := r.engines.postgres.Exec(r.t.Context(), fmt.Sprintf("DROP SCHEMA bare_%d CASCADE", repetition))
		require.NoError(r.t, err)
	}
	return float64(counted) / took.Seconds()
}

// insertRowsBare inserts blocks of a read model into tables of the same kind.
func (r *benchRig) insertRowsBare(p runner.Projection, blocks []runner.Batch) time.Duration {
	r.b.Helper()
	ctx, conn := r.b.Context(), r.stores.clickhouse
	const database = "bare_year"
	require.NoError(r.b, conn.Exec(ctx, "CREATE DATABASE "+database))
	for statement := range strings.SplitSeq(p.Schema, ";") {
		if statement = strings.TrimSpace(strings.ReplaceAll(statement, "{database}", database)); statement != "" {
			require.NoError(r.b, conn.Exec(ctx, statement))
		}
	}
	started := time.Now()
	for _, block := range blocks {
		for _, insert := range block.(runner.ClickHouseBatch).Inserts() {
			if insert.Rows == 0 {
				continue
			}
			batch, err := conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s.%s (%s)", database, insert.Table, insert.Columns))
			require.NoError(r.b, err)
			require.NoError(r.b, insert.Fill(batch))
			require.NoError(r.b, batch.Send())
		}
	}
	took := time.Since(started)
	require.NoError(r.b, conn.Exec(ctx, "DROP DATABASE "+database+" SYNC"))
	return took
}

// retain removes what is from before the cut, and waits until compaction has taken it out
// of the log.
func (r *yearRig) retain() {
	r.t.Helper()
	started := time.Now()
	r.figures.LogBefore = r.recordsLeft()
	days := int(time.Since(yearCut()) / (24 * time.Hour))
	const thinned = 60
	settings := retentionSettings{Days: strconv.Itoa(days), StateDays: strconv.Itoa(days), StateAllDays: strconv.Itoa(days - thinned), AccessDays: "none"}
	var done retention.Completed
	require.NoError(r.t, r.env.withRetention(r.t.Context(), settings, func(w *worker.Worker) (err error) {
		done, err = w.Run(r.t.Context())
		return err
	}))
	for _, n := range done.Tombstones {
		r.figures.Tombstones += n
	}
	require.Positive(r.t, done.Tombstones[retention.ClassHistory])
	r.caughtUp()
	r.t.Logf("retention: %d tombstones, folded within %s", r.figures.Tombstones, time.Since(started).Round(time.Second))
	const limit = 20 * time.Minute
	require.NoError(r.t, waitUntil(r.t.Context(), limit, func(context.Context) error {
		// What was removed is gone, and tombstones stay for a while.
		left := r.recordsLeft()
		if r.figures.LogAfter = left; left >= r.figures.LogBefore+int64(r.figures.Tombstones)/10 {
			return fmt.Errorf("the log had %d records before, %d tombstones came, and it has %d", r.figures.LogBefore, r.figures.Tombstones, left)
		}
		return nil
	}))
	r.t.Logf("compaction: %d records of %d are left after %s", r.figures.LogAfter, r.figures.LogBefore, time.Since(started).Round(time.Second))
}

// report writes the page of the figures, if MUSTER_BENCH_REPORT names a folder.
func (r *yearRig) report() {
	r.t.Helper()
	folder := os.Getenv("MUSTER_BENCH_REPORT")
	if folder == "" {
		return
	}
	f := &r.figures
	f.Date, f.Machine, f.Go, f.Load, f.Characters = time.Now().UTC().Format(time.DateOnly), machine(), runtime.Version(), loadAverage(), r.size.Characters
	var page bytes.Buffer
	require.NoError(r.t, template.Must(template.New("page").Funcs(template.FuncMap{
		"percent": func(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) },
		"signed":  func(part float64) string { return fmt.Sprintf("%+.0f %%", 100*part) },
		"round":   func(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) },
	}).Parse(yearPage)).Execute(&page, f))
	path := filepath.Join(folder, f.Date+"-year.md")
	require.NoError(r.t, os.WriteFile(path, page.Bytes(), 0o600))
	r.t.Logf("written to %s", path)
}

const yearPage = `# A year of {{.Characters}} characters, {{.Date}}

` + "`make year`" + ` makes this page: {{.Rows}} facts, {{.Entries}} entries of wallet journals among them, in {{.Events}} events, from a fixed seed. They are appended to the log by the appender that the
sync uses, and folded by ` + "`muster project`" + `. The engines are processes of their own, as in production.

* Machine: {{.Machine}}
* {{.Go}}
* Processes that wanted to run at the end, on average of a minute: {{.Load}}

## Answers

{{.Questions}} questions to all analytics of EVE, with {{.Compared}} figures, by the hour to by the year, in zones whose clocks change on different days, grouped and filtered, are answered as a plain computation
over what really happened has it, to the last hundredth of an ISK. After retention those about the time that is kept are.

Each question is asked of the API, and the statements that it comes to are sent straight to the engines, in turns, one after the other, five times each.

| path | answers | API median | SQL median | ratio | API 99 of 100 | SQL 99 of 100 | ratio |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{{range .Kinds}}| ` + "`{{.Route}}`" + ` | {{.Requests}} | {{printf "%.1f" .Median}} ms | {{printf "%.1f" .DirectMedian}} ms | {{printf "%.2f" .MedianRatio}} | {{printf "%.1f" .Worst}} ms | {{printf "%.1f" .DirectWorst}} ms | {{printf "%.2f" .WorstRatio}} |
{{end}}{{with .Answers}}| all | {{.Requests}} | {{printf "%.1f" .Median}} ms | {{printf "%.1f" .DirectMedian}} ms | {{printf "%.2f" .MedianRatio}} | {{printf "%.1f" .Worst}} ms | {{printf "%.1f" .DirectWorst}} ms | {{printf "%.2f" .WorstRatio}} |
{{end}}
## Size

{{.JournalRows}} rows of the journal take {{printf "%.2f" .BytesPerRow}} bytes each as they lie when they have been folded, {{printf "%.2f" .MergedBytesPerRow}} when all parts are merged.

## Folding and replay

Appended within {{round .Appended}}; folded into six read models at once within {{round .Folded}}, {{printf "%.0f" .FoldedPerSecond}} events a second, with at most {{printf "%.0f" .Memory}} MiB of memory.

The floor is the slower of franz-go polling the same topic, nothing decoded, and the bare engine inserting rows that lie in memory, in the same blocks. What the progress bar said was left is held against what it took, when a tenth, a quarter,
half and three quarters of the log were read.

| replay | | records | reading | a second | floor | ratio | with comparison | bar at 10, 25, 50, 75 % |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
{{range .Replays}}| ` + "`{{.Name}}`" + ` | {{.When}} | {{.Records}} | {{round .Reading}} | {{printf "%.0f" .Rate}} | {{printf "%.0f" .Slower}} | {{printf "%.2f" .Ratio}} | {{round .Took}} | {{range $i, $s := .Said}}{{if $i}}, {{end}}{{signed .Error}}{{end}} |
{{end}}
Every replay came out equal to the live read model, before and after retention and compaction ({{.Tombstones}} tombstones; {{.LogBefore}} records of the log became {{.LogAfter}}). ` + "`muster verify`" + ` said before and after:
{{range .Verifications}}
    {{.}}
{{end}}`
