//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/internal/simulate/workload"
	"github.com/muster-sync/muster/projections/runner"
)

// benchRig is the three engines as processes of their own, as in production, and
// a log that holds a workload.
type benchRig struct {
	b      testing.TB
	binary string
	data   string
	files  string
	env    *environment
	stores *stores

	events int
	ends   map[eventlog.Partition]int64
}

// benchSeed chooses the workload.
const benchSeed = 7

func newBenchRig(b testing.TB, events int) *benchRig {
	b.Helper()
	rig := newEmptyRig(b)
	rig.events = events
	rig.fill()
	return rig
}

// newEmptyRig is a rig with nothing in its log.
func newEmptyRig(b testing.TB) *benchRig {
	b.Helper()
	requireEngines(b)
	rig := &benchRig{b: b, binary: testBinary(b), data: filepath.Join(passableTempDir(b), "data"), files: b.TempDir(), ends: map[eventlog.Partition]int64{}}
	for _, name := range []engine.Name{engine.Kafka, engine.Postgres, engine.ClickHouse} {
		startService(b, rig.binary, rig.files, string(name), rig.environment(), "engine", string(name))
	}
	rig.env = &environment{
		program: program{stdout: io.Discard, stderr: io.Discard}, logger: slog.New(slog.DiscardHandler),
		settings: &settings{DataDir: rig.data, KafkaPartitions: 12, KafkaReplication: 1},
	}
	var at engine.Addresses
	require.NoError(b, waitUntil(b.Context(), recoverWithin, func(context.Context) (err error) {
		at, err = rig.env.findEngines()
		return err
	}))
	var err error
	rig.stores, err = rig.env.openStores(b.Context(), at)
	require.NoError(b, err)
	b.Cleanup(rig.stores.Close)
	return rig
}

func (r *benchRig) environment() []string { return cleanEnvironment("MUSTER_DATA_DIR=" + r.data) }

// fill appends the workload to the log.
func (r *benchRig) fill() {
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: r.stores.addresses.KafkaBrokers})
	require.NoError(r.b, err)
	started := time.Now()
	_, err = workload.Generate(r.b.Context(), r.events, benchSeed, appender.Append)
	require.NoError(r.b, err)
	require.NoError(r.b, appender.Close())
	r.b.Logf("%d events appended, %.0f a second", r.events, float64(r.events)/time.Since(started).Seconds())
	r.findEnds(event.TopicEVE)
}

// findEnds notes where topics end now.
func (r *benchRig) findEnds(topics ...string) {
	r.b.Helper()
	ends, err := r.stores.reader.Ends(r.b.Context(), topics...)
	require.NoError(r.b, err)
	for at, span := range ends {
		r.ends[at] = span.End
	}
}

// runner is a runner as the projectors have it, without metrics.
func (r *benchRig) runner(from runner.Log) *runner.Runner {
	return runner.New(runner.Config{
		Pool: r.stores.pool, Control: r.stores.control, Registry: r.stores.registry, Logger: slog.New(slog.DiscardHandler), KeepRetired: 1, Log: from,
	})
}

// kafka is the log as it lies in Kafka.
func (r *benchRig) kafka() runner.Kafka {
	return runner.Kafka{Reader: r.stores.reader, Consumer: eventlog.ConsumerConfig{Brokers: r.stores.addresses.KafkaBrokers}}
}

// recordsAtHand is a log whose records lie in memory, to tell folding and writing
// from reading.
type recordsAtHand struct {
	runner.Kafka
	records map[eventlog.Partition][]eventlog.Record
}

// ReadRange implements [runner.Log].
func (l recordsAtHand) ReadRange(_ context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error {
	for _, record := range l.records[at] {
		if record.Offset < from || record.Offset >= to {
			continue
		}
		if err := fn(record); err != nil {
			return err
		}
	}
	return nil
}

// take reads the whole log into memory.
func (r *benchRig) take() recordsAtHand {
	r.b.Helper()
	log := recordsAtHand{Kafka: r.kafka(), records: map[eventlog.Partition][]eventlog.Record{}}
	for at, end := range r.ends {
		require.NoError(r.b, r.stores.reader.ReadRange(r.b.Context(), at, 0, end, func(record eventlog.Record) error {
			log.records[at] = append(log.records[at], record)
			return nil
		}))
	}
	return log
}

// bound is a read model under a name of its own, so that each repetition fills
// tables of its own.
func (r *benchRig) bound(name string, repetition int) runner.Bound {
	r.b.Helper()
	b, err := r.stores.projection(name)
	require.NoError(r.b, err)
	b.Name = fmt.Sprintf("%s_bench_%d", name, repetition)
	return b
}

// catchUp runs a read model from an empty generation to the end of the log, as
// `muster project` does, and returns how long that took.
func (r *benchRig) catchUp(b runner.Bound) time.Duration {
	r.b.Helper()
	live := func(ctx context.Context) error {
		_, err := r.stores.control.Live(ctx, b.Name)
		return err
	}
	r.runUntil(b, live)
	started := time.Now()
	r.runUntil(b, func(ctx context.Context) error { return r.reached(ctx, b) })
	return time.Since(started)
}

// runUntil runs a projection until a condition holds.
func (r *benchRig) runUntil(b runner.Bound, holds func(context.Context) error) {
	r.b.Helper()
	ctx, stop := context.WithCancel(r.b.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- r.runner(r.kafka()).Run(ctx, b) }()
	const limit = 5 * time.Minute
	err := waitUntil(ctx, limit, holds)
	stop()
	require.NoError(r.b, err)
	require.NoError(r.b, <-stopped)
}

// reached fails while a read model is behind the end of the log.
func (r *benchRig) reached(ctx context.Context, b runner.Bound) error {
	g, err := r.stores.control.Live(ctx, b.Name)
	if err != nil {
		return err
	}
	checkpoints, err := r.stores.control.Checkpoints(ctx, g)
	if err != nil {
		return err
	}
	done := 0
	for _, cp := range checkpoints {
		if end, ours := r.ends[cp.Partition]; ours && cp.Next >= end {
			done++
		}
	}
	if done < len(r.ends) {
		return fmt.Errorf("%s has reached the end of %d of %d partitions", b.Name, done, len(r.ends))
	}
	return nil
}

// replay rebuilds a read model that [benchRig.catchUp] has filled. It returns how
// long it took to apply the log, and how long with the comparison.
func (r *benchRig) replay(b runner.Bound, from runner.Log) (applied, whole time.Duration) {
	r.b.Helper()
	started := time.Now()
	result, err := r.runner(from).Replay(r.b.Context(), b, runner.ReplayOptions{Progress: func(p runner.Progress) {
		if p.Phase == "comparing" {
			applied = time.Since(started)
		}
	}})
	require.NoError(r.b, err)
	require.True(r.b, result.Equal, "a replay has to come out equal: %+v", result.Tables)
	return applied, time.Since(started)
}

// projectorMemory runs `muster project` over the log and returns the most memory
// it had in use, in MiB.
func (r *benchRig) projectorMemory() float64 {
	r.b.Helper()
	p := startService(r.b, r.binary, r.files, "project", r.environment(), "project")
	err := waitUntil(r.b.Context(), 5*time.Minute, func(ctx context.Context) error {
		for _, b := range r.stores.projections() {
			if b.Topics[0] != event.TopicEVE {
				continue
			}
			if err := r.reached(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(r.b, err)
	peak := p.peakMemory(r.b)
	require.NoError(r.b, p.stop())
	return peak
}

// peakMemory is the most memory that the process had in use so far, in MiB.
func (s *service) peakMemory(t testing.TB) float64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotNil(t, s.cmd, "%s does not run", s.name)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(t, err)
	for line := range strings.SplitSeq(string(status), "\n") {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
			require.NoError(t, err)
			return kib / 1024
		}
	}
	t.Fatal("the kernel tells no peak of memory")
	return 0
}
