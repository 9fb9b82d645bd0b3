package command_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// noted is the payload of these tests.
type noted struct {
	Text string `json:"text"`
}

func (noted) EventType() event.Type { return "muster.eve.test.noted.v1" }

var errAway = errors.New("the broker is away")

// memoryLog is a log in memory, together with a view that has applied all of it.
type memoryLog struct {
	mu     sync.Mutex
	events []event.Event
	// check may refuse a call before anything is appended.
	check func(events []event.Event) error
	// appended is called after a call was appended, before it is acknowledged; its
	// error is returned.
	appended func(events []event.Event) error
}

func (l *memoryLog) Append(_ context.Context, events ...event.Event) error {
	l.mu.Lock()
	check, appended := l.check, l.appended
	l.mu.Unlock()
	if check != nil {
		if err := check(events); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.events = append(l.events, events...)
	l.mu.Unlock()
	if appended != nil {
		return appended(events)
	}
	return nil
}

// set changes how the log behaves.
func (l *memoryLog) set(f func(l *memoryLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// copies are all records of a stream, repeated ones included.
func (l *memoryLog) copies(stream event.Stream) []event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []event.Event
	for _, e := range l.events {
		if e.Stream == stream {
			events = append(events, e)
		}
	}
	return events
}

// facts are the first copies of a stream's events.
func (l *memoryLog) facts(stream event.Stream) []event.Event {
	seen := map[uuid.UUID]bool{}
	return slices.DeleteFunc(l.copies(stream), func(e event.Event) bool {
		again := seen[e.ID]
		seen[e.ID] = true
		return again
	})
}

// Applied implements command.View.
func (l *memoryLog) Applied(_ context.Context, stream event.Stream) (int64, error) {
	facts := l.facts(stream)
	if len(facts) == 0 {
		return 0, nil
	}
	return facts[len(facts)-1].Version, nil
}

func versionsOf(events []event.Event) []int64 {
	versions := make([]int64, len(events))
	for i, e := range events {
		versions[i] = e.Version
	}
	return versions
}

func upTo(n int64) []int64 {
	versions := make([]int64, n)
	for i := range versions {
		versions[i] = int64(i) + 1
	}
	return versions
}

// database is a database with the tables of commands.
func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, command.Migrate(t.Context(), pool))
	return pool
}

func newBus(t *testing.T, pool *pgxpool.Pool, view command.View, change ...func(*command.Config)) *command.Bus {
	t.Helper()
	config := command.Config{Pool: pool, View: view}
	for _, f := range change {
		f(&config)
	}
	bus, err := command.New(config)
	require.NoError(t, err)
	return bus
}

// forward runs a forwarder until the returned function is called or the test ends.
func forward(t *testing.T, pool *pgxpool.Pool, log command.Appender, change ...func(*command.ForwarderConfig)) (stop func()) {
	t.Helper()
	config := command.ForwarderConfig{Pool: pool, Log: log, Poll: 20 * time.Millisecond, StopGrace: 100 * time.Millisecond}
	for _, f := range change {
		f(&config)
	}
	forwarder, err := command.NewForwarder(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- forwarder.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// note decides one event for each text.
func note(texts ...string) command.Decide {
	return func(context.Context, pgx.Tx, int64) ([]event.Payload, error) {
		payloads := make([]event.Payload, len(texts))
		for i, text := range texts {
			payloads[i] = noted{text}
		}
		return payloads, nil
	}
}

func eventually(t *testing.T, condition func() bool, msg string) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, msg)
}

func pending(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM command.outbox WHERE appended_at IS NULL`).Scan(&n))
	return n
}

// poolOf is a pool of the given configuration, closed when the test ends.
func poolOf(t *testing.T, config *pgxpool.Config) (*pgxpool.Pool, error) {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err == nil {
		t.Cleanup(pool.Close)
	}
	return pool, err
}
