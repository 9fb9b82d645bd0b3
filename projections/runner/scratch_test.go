package runner_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// happened appends a number that became true at a moment.
func (w *world) happened(t *testing.T, stream event.Stream, at time.Time, n int64) {
	t.Helper()
	e, err := event.New(uuid.New(), stream, "test", at, counted{N: n})
	require.NoError(t, err)
	require.NoError(t, w.appender.Append(t.Context(), e))
}

// sumOf is what a scratch says.
func (w *world) sumOf(t *testing.T, store, name string) (rows, sum int64) {
	t.Helper()
	s, err := w.control.Scratch(t.Context(), name)
	require.NoError(t, err)
	require.Len(t, s.Generations, 1)
	if store == "postgres" {
		require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT count(*), coalesce(sum(n), 0)::bigint FROM "+s.Generations[0].Namespace+".tally").Scan(&rows, &sum))
		return rows, sum
	}
	var count uint64
	require.NoError(t, w.conn.QueryRow(t.Context(), "SELECT count(), sum(n) FROM "+s.Generations[0].Namespace+".tally").Scan(&count, &sum))
	return int64(count), sum
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func TestAScratchHoldsWhatHadHappenedByAMomentWheneverItWasAppended(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		_, stop := w.run(t, b)
		for n := range int64(200) {
			w.happened(t, event.Character(n%7+1), noon.Add(time.Duration(n-99)*time.Nanosecond), 1)
		}
		w.eventually(t, store, 200, 200)
		stop()
		live, err := w.control.Live(t.Context(), "tally")
		require.NoError(t, err)
		before, err := w.control.Checkpoints(t.Context(), live)
		require.NoError(t, err)

		r, list := w.runner(), []runner.Bound{b}
		var done, total int64
		s, tables, err := r.ReplayInto(t.Context(), list, runner.ScratchOptions{Name: "audit", Until: noon, Progress: func(projection string, p runner.Progress) {
			require.Equal(t, "tally", projection)
			done, total = p.Done, p.Total
		}})
		require.NoError(t, err)
		require.NotNil(t, s.ReadyAt)
		require.Equal(t, noon, s.Until)
		require.EqualValues(t, 200, tables[0].Records)
		require.EqualValues(t, 200, done)
		require.EqualValues(t, 200, total)
		rows, _ := w.sumOf(t, store, "audit")
		require.EqualValues(t, 100, rows)

		// What is told later of the time before counts, as it does for as_of.
		w.happened(t, event.Character(1), noon.Add(-time.Hour), 5)
		w.happened(t, event.Character(1), noon.Add(time.Hour), 7)
		require.NoError(t, r.FollowScratches(t.Context(), list))
		rows, sum := w.sumOf(t, store, "audit")
		require.Equal(t, []int64{101, 105}, []int64{rows, sum})
		if store == "postgres" {
			require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT count(*) FROM audit.tally").Scan(&rows))
			require.EqualValues(t, 101, rows)
		}

		after, err := w.control.Checkpoints(t.Context(), live)
		require.NoError(t, err)
		require.Equal(t, before, after, "the live generation was touched")
		still, err := w.control.Live(t.Context(), "tally")
		require.NoError(t, err)
		require.Equal(t, live.Number, still.Number)

		require.NoError(t, r.DropScratch(t.Context(), list, "audit"))
		all, err := w.control.Scratches(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
		require.Equal(t, event.CodeNotFound, event.CodeOf(r.DropScratch(t.Context(), list, "audit")))
		var left int
		require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%audit%') + (SELECT count(*) FROM runner.checkpoints WHERE generation > 1)`).Scan(&left))
		require.Zero(t, left)
	})
}

func TestAnInterruptedScratchIsGoneOnWith(t *testing.T) {
	inBothStores(t, func(t *testing.T, w *world, store string) {
		b := w.bound(store)
		list := []runner.Bound{b}
		for n := range int64(120) {
			w.happened(t, event.Character(n%3+1), noon, n)
		}
		ask := runner.ScratchOptions{Name: "audit", Until: noon}
		r := w.runner()
		w.fail.Store(1)
		_, _, err := r.ReplayInto(t.Context(), list, ask)
		require.ErrorContains(t, err, "the store went away")
		s, err := w.control.Scratch(t.Context(), "audit")
		require.NoError(t, err)
		require.Nil(t, s.ReadyAt)

		// Of another moment it is another one.
		other := ask
		other.Until = noon.Add(time.Second)
		_, _, err = r.ReplayInto(t.Context(), list, other)
		require.Equal(t, event.CodeConflict, event.CodeOf(err))
		require.ErrorContains(t, err, "--replace")
		_, _, err = r.ReplayInto(t.Context(), list, ask)
		require.NoError(t, err)
		rows, sum := w.sumOf(t, store, "audit")
		require.Equal(t, []int64{120, 119 * 120 / 2}, []int64{rows, sum})

		// The projectors go on with it, too.
		w.fail.Store(1)
		ask.Replace = true
		_, _, err = r.ReplayInto(t.Context(), list, ask)
		require.ErrorContains(t, err, "the store went away")
		w.fail.Store(0)
		w.run(t, b)
		require.Eventually(t, func() bool {
			s, err := w.control.Scratch(t.Context(), "audit")
			require.NoError(t, err)
			return s.ReadyAt != nil
		}, 20*time.Second, 20*time.Millisecond)
		rows, sum = w.sumOf(t, store, "audit")
		require.Equal(t, []int64{120, 119 * 120 / 2}, []int64{rows, sum})
	})
}

func TestNoSchemaThatIsNoScratchIsReplaced(t *testing.T) {
	w := newWorld(t)
	b := w.bound("postgres")
	_, stop := w.run(t, b)
	w.happened(t, event.Character(1), noon, 1)
	w.eventually(t, "postgres", 1, 1)
	stop()
	_, err := w.pool.Exec(t.Context(), "CREATE SCHEMA theirs")
	require.NoError(t, err)
	for name, code := range map[string]event.Code{
		"theirs": event.CodeConflict, "public": event.CodeConflict, "runner": event.CodeConflict, "information_schema": event.CodeConflict,
		"muster_tally_g1": event.CodeInvalid, "pg_catalog": event.CodeInvalid, "": event.CodeInvalid, "Audit": event.CodeInvalid,
		`a"; DROP SCHEMA runner; --`: event.CodeInvalid, "a_name_that_is_far_longer_than_it_may_be": event.CodeInvalid,
	} {
		_, _, err := w.runner().ReplayInto(t.Context(), []runner.Bound{b}, runner.ScratchOptions{Name: name, Until: noon, Replace: true})
		require.Equal(t, code, event.CodeOf(err), "%q: %v", name, err)
	}
	_, _, err = w.runner().ReplayInto(t.Context(), []runner.Bound{b}, runner.ScratchOptions{Name: "audit", Until: time.Now().Add(time.Hour)})
	require.ErrorContains(t, err, "yet to come")
	_, _, err = w.runner().ReplayInto(t.Context(), []runner.Bound{b}, runner.ScratchOptions{Name: "audit"})
	require.ErrorContains(t, err, "--to")
	rows, _ := w.total(t, "postgres")
	require.EqualValues(t, 1, rows)
}

func TestAScratchOfAnOlderVersionIsDropped(t *testing.T) {
	w := newWorld(t)
	b := w.bound("postgres")
	w.happened(t, event.Character(1), noon, 1)
	_, _, err := w.runner().ReplayInto(t.Context(), []runner.Bound{b}, runner.ScratchOptions{Name: "audit", Until: noon})
	require.NoError(t, err)
	older := b
	older.Version = 0
	require.NoError(t, w.runner().FollowScratches(t.Context(), []runner.Bound{older}))
	_, err = w.control.Scratch(t.Context(), "audit")
	require.NoError(t, err, "a process of an older version leaves it alone")
	b.Version = 2
	require.NoError(t, w.runner().FollowScratches(t.Context(), []runner.Bound{b}))
	_, err = w.control.Scratch(t.Context(), "audit")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestAPoisonedEventStopsAScratchOnlyIfItHadHappenedByThen(t *testing.T) {
	w := newWorld(t)
	list := []runner.Bound{w.bound("postgres")}
	w.happened(t, event.Character(1), noon, 1)
	w.happened(t, event.Character(1), noon.Add(time.Minute), bad)
	_, _, err := w.runner().ReplayInto(t.Context(), list, runner.ScratchOptions{Name: "earlier", Until: noon})
	require.NoError(t, err)
	_, _, err = w.runner().ReplayInto(t.Context(), list, runner.ScratchOptions{Name: "later", Until: noon.Add(time.Hour)})
	require.ErrorContains(t, err, "muster poison skip --projection tally")
	// One that is there already sets aside what comes, and goes on with the rest.
	w.happened(t, event.Character(1), noon, bad)
	w.happened(t, event.Character(2), noon, 5)
	r := runner.New(runner.Config{Pool: w.pool, Control: w.control, Log: w.log, Registry: w.registry, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, r.FollowScratches(t.Context(), list))
	_, sum := w.sumOf(t, "postgres", "earlier")
	require.EqualValues(t, 6, sum)
}
