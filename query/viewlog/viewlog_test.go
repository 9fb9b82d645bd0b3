package viewlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/query/viewlog"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// memoryLog keeps events by their keys, as folds do.
type memoryLog struct {
	mu     sync.Mutex
	events map[string]event.Event
	copies int
	// fails is asked after events were taken; its error is returned.
	fails func() error
}

func (l *memoryLog) Append(_ context.Context, events ...event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if before, again := l.events[e.Key()]; again && !bytes.Equal(before.Data, e.Data) {
			return fmt.Errorf("%s has changed", e.Key())
		}
		l.events[e.Key()] = e
		l.copies++
	}
	if l.fails != nil {
		return l.fails()
	}
	return nil
}

func (l *memoryLog) all(t *testing.T) map[access.DataViewed]int64 {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	registry := event.NewRegistry()
	access.Register(registry)
	counts := map[access.DataViewed]int64{}
	for _, e := range l.events {
		p, err := registry.Decode(e)
		require.NoError(t, err)
		v := p.(access.DataViewed)
		require.Equal(t, v.Stream(), e.Stream)
		require.Equal(t, v.LastAt, e.Time)
		count := v.Count
		v.Count, v.FirstAt, v.LastAt, v.LinkID, v.Rows = 0, time.Time{}, time.Time{}, nil, 0
		counts[v] += count
	}
	return counts
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func start(t *testing.T) (*pgxpool.Pool, *memoryLog, *clock) {
	t.Helper()
	pool := enginetest.Postgres(t)
	require.NoError(t, viewlog.Migrate(t.Context(), pool))
	return pool, &memoryLog{events: map[string]event.Event{}}, &clock{at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
}

func recorder(t *testing.T, pool *pgxpool.Pool, log viewlog.Appender, c *clock) *viewlog.Recorder {
	t.Helper()
	r, err := viewlog.New(viewlog.Config{Pool: pool, Log: log, Window: time.Minute, Poll: time.Millisecond, Now: c.now})
	require.NoError(t, err)
	return r
}

func look(viewer string, character int64) access.DataViewed {
	return access.DataViewed{ViewerID: "user:" + viewer, ViewerUserID: viewer, OwnerID: "ada", CharacterID: character, Section: "wallet", Way: access.BySharing}
}

// run forwards until the end of the test or until stop is called.
func run(t *testing.T, r *viewlog.Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); require.NoError(t, <-done) }) }
	t.Cleanup(stop)
	return stop
}

func TestNoLookIsLostWhenManyLookAtOnceAndTheLogFailsAndProcessesRestart(t *testing.T) {
	pool, log, c := start(t)
	appends := 0
	log.fails = func() error {
		// After it has taken them, as when the acknowledgement is lost.
		if appends++; appends%3 == 1 {
			return errors.New("the broker is away")
		}
		return nil
	}
	const rounds, viewers, looks = 4, 5, 20
	for range rounds {
		// Two processes, and both stop.
		first, second := recorder(t, pool, log, c), recorder(t, pool, log, c)
		stopFirst, stopSecond := run(t, first), run(t, second)
		var group errgroup.Group
		for n := range viewers {
			for i := range looks {
				group.Go(func() error {
					c.forward(time.Second)
					r := first
					if i%2 == 0 {
						r = second
					}
					return r.Record(context.Background(), look(fmt.Sprint("u", n), int64(i%2+1)))
				})
			}
		}
		require.NoError(t, group.Wait())
		stopFirst()
		stopSecond()
	}
	log.fails = nil
	// What is still there goes with the next process.
	require.NoError(t, recorder(t, pool, log, c).Flush(t.Context()))
	want := map[access.DataViewed]int64{}
	for n := range viewers {
		for character := int64(1); character <= 2; character++ {
			want[look(fmt.Sprint("u", n), character)] = rounds * looks / 2
		}
	}
	require.Equal(t, want, log.all(t))
}

func TestTheFirstLookIsToldAtOnceAndTheNextOnesTogether(t *testing.T) {
	pool, log, c := start(t)
	r := recorder(t, pool, log, c)
	told := func() (n int) {
		log.mu.Lock()
		defer log.mu.Unlock()
		return len(log.events)
	}
	run(t, r)
	require.NoError(t, r.Record(t.Context(), look("bob", 1)))
	require.Eventually(t, func() bool { return told() == 1 }, 10*time.Second, time.Millisecond)
	for range 3 {
		c.forward(time.Second)
		require.NoError(t, r.Record(t.Context(), look("bob", 1)))
	}
	require.NoError(t, r.Record(t.Context(), look("cy", 1)))
	require.Eventually(t, func() bool { return told() == 2 }, 10*time.Second, time.Millisecond, "somebody else's first look")
	var open int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM viewlog.looks WHERE sealed_at IS NULL`).Scan(&open))
	require.Equal(t, 1, open, "three looks wait in one row")
	c.forward(2 * time.Minute)
	require.Eventually(t, func() bool { return told() == 3 }, 10*time.Second, time.Millisecond)
	require.Equal(t, map[access.DataViewed]int64{look("bob", 1): 4, look("cy", 1): 1}, log.all(t))
}

func TestLooksByALinkAndAtListsAreWrittenAsTheyWereNoted(t *testing.T) {
	pool, log, c := start(t)
	r := recorder(t, pool, log, c)
	link := uuid.New()
	byLink := access.DataViewed{ViewerID: "link:x", OwnerID: "ada", CharacterID: 1, Section: "skills", Way: access.ByLink, LinkID: &link}
	list := access.DataViewed{ViewerID: "token:admin", Section: "list-characters", Way: access.ByToken, Rows: 100}
	require.NoError(t, r.Record(t.Context(), byLink))
	require.NoError(t, r.Record(t.Context(), list))
	require.NoError(t, r.Record(t.Context(), list))
	require.NoError(t, r.Flush(t.Context()))
	registry := event.NewRegistry()
	access.Register(registry)
	got := map[event.Stream]access.DataViewed{}
	for _, e := range log.events {
		p, err := registry.Decode(e)
		require.NoError(t, err)
		got[e.Stream] = p.(access.DataViewed)
	}
	byLink.Count, list.Count, list.Rows = 1, 2, 200
	byLink.FirstAt, byLink.LastAt, list.FirstAt, list.LastAt = c.at, c.at, c.at, c.at
	require.Equal(t, map[event.Stream]access.DataViewed{event.Character(1): byLink, event.Org: list}, got)
}

func TestALookThatCannotBeNotedFails(t *testing.T) {
	pool, log, c := start(t)
	r := recorder(t, pool, log, c)
	_, err := pool.Exec(t.Context(), `ALTER TABLE viewlog.looks RENAME TO gone`)
	require.NoError(t, err)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(r.Record(t.Context(), look("bob", 1))))
}

func TestWhatWasForgottenIsNotAppended(t *testing.T) {
	pool, log, c := start(t)
	r := recorder(t, pool, log, c)
	require.NoError(t, r.Record(t.Context(), look("bob", 1)))
	require.NoError(t, r.Record(t.Context(), look("bob", 2)))
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return viewlog.Forget(t.Context(), tx, 1) }))
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, map[access.DataViewed]int64{look("bob", 2): 1}, log.all(t))
}

func TestALookThatTheLogRefusesHoldsNobodyBack(t *testing.T) {
	pool, log, c := start(t)
	r := recorder(t, pool, log, c)
	bad := access.DataViewed{ViewerID: "user:a/b", ViewerUserID: "a/b", Section: "list-characters", Way: access.ByEverything}
	require.NoError(t, r.Record(t.Context(), bad))
	require.NoError(t, r.Record(t.Context(), look("bob", 2)))
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, map[access.DataViewed]int64{look("bob", 2): 1}, log.all(t))
	var refused string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT refusal FROM viewlog.looks WHERE viewer_id = 'user:a/b'`).Scan(&refused))
	require.Contains(t, refused, "a/b")
}
