package command_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

// idle is a bus that does not wait for a view.
func idle(t *testing.T, pool *pgxpool.Pool) *command.Bus {
	t.Helper()
	return newBus(t, pool, command.ViewFunc(func(ctx context.Context, s event.Stream) (int64, error) {
		var version int64
		err := pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM command.stream_heads WHERE stream = $1`, string(s)).Scan(&version)
		return version, err
	}))
}

func do(t *testing.T, bus *command.Bus, s event.Stream, texts ...string) command.Receipt {
	t.Helper()
	receipt, err := bus.Do(t.Context(), s, command.Input{}, note(texts...))
	require.NoError(t, err)
	return receipt
}

func TestForwarder_repeatsTheSameIDAfterACrashBetweenAppendAndMark(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	receipt := do(t, idle(t, pool), stream, "one", "two")

	// The first forwarder's connection ends when the log has the events and the
	// outbox does not know it yet.
	killed := make(chan struct{})
	log.appended = func([]event.Event) error {
		log.set(func(l *memoryLog) { l.appended = nil })
		terminateForwarder(t, pool)
		close(killed)
		return nil
	}
	forward(t, pool, log)
	<-killed
	eventually(t, func() bool { return pending(t, pool) == 0 }, "the events must be marked in the end")

	copies := log.copies(stream)
	require.Equal(t, []int64{1, 2, 1, 2}, versionsOf(copies), "the batch must have been appended twice")
	for i, e := range copies {
		require.Equal(t, receipt.EventIDs[i%2], e.ID)
		require.Equal(t, copies[i%2], e, "a repeated event must be the same in everything")
	}
	require.Equal(t, []int64{1, 2}, versionsOf(log.facts(stream)))
}

// terminateForwarder ends the connection that holds the forwarders' lock.
func terminateForwarder(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	tag, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
	require.Equal(t, int64(1), tag.RowsAffected(), "exactly one forwarder may hold the lock")
}

func TestForwarder_anotherTakesOverWhenTheLeaderDies(t *testing.T) {
	pool := database(t)
	bus := idle(t, pool)
	hung, release := make(chan struct{}), make(chan struct{})
	first, second := &memoryLog{}, &memoryLog{}
	first.check = func([]event.Event) error {
		close(hung)
		<-release
		return errAway
	}
	stopFirst := forward(t, pool, first)
	do(t, bus, stream, "one")
	<-hung

	forward(t, pool, second)
	do(t, bus, stream, "two")
	require.Empty(t, second.facts(stream), "while the first leads the second must not append")
	terminateForwarder(t, pool)
	eventually(t, func() bool { return pending(t, pool) == 0 }, "the second must take over")
	require.Equal(t, []int64{1, 2}, versionsOf(second.facts(stream)))
	close(release)
	stopFirst()
	require.Empty(t, first.facts(stream))
}

func TestForwarder_keepsTheOrderOfEachStreamThroughFailures(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := idle(t, pool)
	attempt := 0
	log.check = func([]event.Event) error {
		// Only the forwarder's goroutine comes here.
		attempt++
		if attempt%3 == 1 {
			return errAway
		}
		return nil
	}
	forward(t, pool, log, func(c *command.ForwarderConfig) { c.BatchEvents = 3 })
	for range 5 {
		do(t, bus, stream, "a", "b")
		do(t, bus, event.Org, "c")
	}
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")
	require.Equal(t, upTo(10), versionsOf(log.copies(stream)))
	require.Equal(t, upTo(5), versionsOf(log.copies(event.Org)))
}

func TestForwarder_boundsBatchesByEventsAndBytes(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	do(t, idle(t, pool), stream, strings.Repeat("a", 600), strings.Repeat("b", 600), "c", "d", "e", "f", "g")
	var sizes []int
	log.check = func(events []event.Event) error {
		sizes = append(sizes, len(events))
		return nil
	}
	stop := forward(t, pool, log, func(c *command.ForwarderConfig) { c.BatchEvents, c.BatchBytes = 3, 1000 })
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")
	stop()
	require.Equal(t, []int{1, 3, 3}, sizes)
	require.Equal(t, upTo(7), versionsOf(log.copies(stream)))
}

func TestForwarder_aRefusedEventStopsItsStreamOnly(t *testing.T) {
	for _, batch := range []int{1, 500} {
		t.Run(fmt.Sprint("in batches of ", batch), func(t *testing.T) { testRefusal(t, batch) })
	}
}

func testRefusal(t *testing.T, batch int) {
	t.Helper()
	pool, log := database(t), &memoryLog{}
	bus := idle(t, pool)
	refuse := func(events []event.Event) error {
		for _, e := range events {
			if strings.Contains(string(e.Data), "bad") {
				return event.Errorf(event.CodeInvalid, "value of %s is not to be had", e.Key())
			}
		}
		return nil
	}
	log.check = refuse
	do(t, bus, stream, "good", "bad", "behind")
	do(t, bus, event.Org, "other")
	forward(t, pool, log, func(c *command.ForwarderConfig) { c.BatchEvents = batch })
	eventually(t, func() bool {
		refusals, err := bus.Refusals(t.Context())
		return err == nil && len(refusals) == 1 && len(log.facts(event.Org)) == 1
	}, "the refusal must be noted and the other stream go on")
	do(t, bus, event.Org, "and on")
	eventually(t, func() bool { return len(log.facts(event.Org)) == 2 }, "the other stream must go on")

	refusals, err := bus.Refusals(t.Context())
	require.NoError(t, err)
	require.Equal(t, stream, refusals[0].Stream)
	require.Equal(t, int64(2), refusals[0].Version)
	require.Equal(t, int64(1), refusals[0].Waiting)
	require.Contains(t, refusals[0].Reason, "is not to be had")
	require.Equal(t, []int64{1}, versionsOf(log.facts(stream)), "nothing may overtake the refused event")

	// The log still refuses, so trying again changes nothing.
	require.NoError(t, bus.Retry(t.Context(), stream))
	eventually(t, func() bool {
		again, err := bus.Refusals(t.Context())
		return err == nil && len(again) == 1
	}, "it must be refused again")
	log.set(func(l *memoryLog) { l.check = nil })
	require.NoError(t, bus.Retry(t.Context(), stream))
	eventually(t, func() bool { return len(log.facts(stream)) == 3 }, "the stream must go on")
	require.Equal(t, upTo(3), versionsOf(log.facts(stream)))
	require.Equal(t, event.CodeNotFound, event.CodeOf(bus.Retry(t.Context(), stream)))
}

func TestForwarder_aWithdrawnEventLeavesNoGap(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	log.check = func(events []event.Event) error {
		for _, e := range events {
			if strings.Contains(string(e.Data), "bad") {
				return event.Errorf(event.CodeInvalid, "no")
			}
		}
		return nil
	}
	forward(t, pool, log)
	do(t, bus, stream, "good", "bad", "behind")
	eventually(t, func() bool {
		refusals, err := bus.Refusals(t.Context())
		return err == nil && len(refusals) == 1
	}, "the refusal must be noted")
	require.NoError(t, bus.Withdraw(t.Context(), stream))
	require.Equal(t, event.CodeNotFound, event.CodeOf(bus.Withdraw(t.Context(), stream)))

	receipt := do(t, bus, stream, "next")
	require.Equal(t, int64(2), receipt.Version)
	applied, err := bus.Await(t.Context(), receipt)
	require.NoError(t, err)
	require.True(t, applied)
	require.Equal(t, upTo(2), versionsOf(log.facts(stream)))
}

func TestForwarder_isWokenByTheCommit(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	leading := prometheus.NewRegistry()
	forward(t, pool, log, func(c *command.ForwarderConfig) { c.Poll, c.Registerer = time.Hour, leading })
	eventually(t, func() bool { return gauge(t, leading, "muster_command_forwarder_leading") == 1 }, "the forwarder must lead")
	bus := newBus(t, pool, log)
	for range 3 {
		applied, err := bus.Await(t.Context(), do(t, bus, stream, "now"))
		require.NoError(t, err)
		require.True(t, applied, "with a poll of an hour only the notification can have woken it")
	}
}

func TestForwarder_stopsWithoutRepeatingWhatWasOnItsWay(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	do(t, idle(t, pool), stream, "one")
	onItsWay, goOn := make(chan struct{}), make(chan struct{})
	log.appended = func([]event.Event) error {
		close(onItsWay)
		<-goOn
		return nil
	}
	stop := forward(t, pool, log, func(c *command.ForwarderConfig) { c.StopGrace = time.Minute })
	<-onItsWay
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("it must wait for the append in flight")
	case <-time.After(30 * time.Millisecond):
	}
	close(goOn)
	<-stopped
	require.Equal(t, 0, pending(t, pool))
}

func TestForwarder_prunesWhatIsOldAndInTheLog(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	log.check = func(events []event.Event) error {
		if events[0].Stream == event.Org {
			return event.Errorf(event.CodeInvalid, "no")
		}
		return nil
	}
	do(t, bus, stream, "one", "two")
	stop := forward(t, pool, log, func(c *command.ForwarderConfig) { c.Keep, c.PruneEvery = time.Nanosecond, time.Nanosecond })
	rows := func() (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM command.outbox`).Scan(&n))
		return n
	}
	eventually(t, func() bool { return rows() == 0 }, "appended rows must go")
	do(t, bus, event.Org, "cannot be appended")
	eventually(t, func() bool {
		refusals, err := bus.Refusals(t.Context())
		return err == nil && len(refusals) == 1
	}, "it must have been refused")
	do(t, bus, stream, "three")
	eventually(t, func() bool { return rows() == 1 }, "appended rows must go again")
	stop()
	require.Equal(t, 1, rows(), "what is not in the log must stay")
	require.Equal(t, int64(4), do(t, bus, stream, "four").Version, "numbers go on after pruning")
}

func TestForwarder_metricsTellDepthAgeAndRefusals(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	registry := prometheus.NewRegistry()
	bus := idle(t, pool)
	log.check = func(events []event.Event) error {
		if events[0].Stream == stream {
			return event.Errorf(event.CodeInvalid, "no")
		}
		return nil
	}
	do(t, bus, stream, "refused", "behind")
	config := command.ForwarderConfig{Pool: pool, Log: log, Registerer: registry}
	_, err := command.NewForwarder(config)
	require.NoError(t, err)
	require.Equal(t, 2.0, gauge(t, registry, "muster_command_outbox_depth"))
	require.Positive(t, gauge(t, registry, "muster_command_outbox_age_seconds"))
	require.Zero(t, gauge(t, registry, "muster_command_outbox_refused"))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)

	forward(t, pool, log)
	eventually(t, func() bool { return gauge(t, registry, "muster_command_outbox_refused") == 1 }, "the refusal must show")
	require.Equal(t, 2.0, gauge(t, registry, "muster_command_outbox_depth"))
}

// gauge reads one metric without labels.
func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}
