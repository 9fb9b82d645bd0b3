package command_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/command"
)

const stream = event.Stream("anvil:seaglass")

// nothingApplied is a view that never moves.
func nothingApplied(context.Context, event.Stream) (int64, error) { return 0, nil }

func TestDo_writesNumberedEventsAndTheLogGetsThemAsTheyWere(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	now := time.Date(2026, 3, 4, 5, 6, 7, 123_456_789, time.FixedZone("CET", 3600))
	bus := newBus(t, pool, log, func(c *command.Config) {
		c.Now = func() time.Time { return now }
		c.Source = "muster/query/api"
	})
	forward(t, pool, log)

	receipt, err := bus.Do(t.Context(), stream, command.Input{Actor: "user:7", CorrelationID: "request-1"}, note(`first "quoted"`, "zwölf \u0000"))
	require.NoError(t, err)
	require.Equal(t, stream, receipt.Stream)
	require.Equal(t, int64(2), receipt.Version)
	require.Len(t, receipt.EventIDs, 2)
	applied, err := bus.Await(t.Context(), receipt)
	require.NoError(t, err)
	require.True(t, applied)

	facts := log.facts(stream)
	require.Len(t, facts, 2)
	for i, e := range facts {
		require.NoError(t, e.Validate())
		require.Equal(t, receipt.EventIDs[i], e.ID)
		require.Equal(t, uuid.Version(7), e.ID.Version())
		require.Equal(t, int64(i+1), e.Version)
		require.Equal(t, event.Type("muster.eve.test.noted.v1"), e.Type)
		require.Equal(t, "muster/query/api", e.Source)
		require.Equal(t, "user:7", e.Actor)
		require.Equal(t, "request-1", e.CorrelationID)
		require.Equal(t, time.Date(2026, 3, 4, 4, 6, 7, 123_456_000, time.UTC), e.Time)
	}
	require.Equal(t, `{"text":"first \"quoted\""}`, string(facts[0].Data), "the value must reach the log byte for byte")
	require.Equal(t, `{"text":"zwölf \u0000"}`, string(facts[1].Data))

	receipt, err = bus.Do(t.Context(), stream, command.Input{}, func(_ context.Context, _ pgx.Tx, version int64) ([]event.Payload, error) {
		return []event.Payload{noted{fmt.Sprint("after ", version)}}, nil
	})
	require.NoError(t, err)
	require.Equal(t, int64(3), receipt.Version)
	eventually(t, func() bool { return len(log.facts(stream)) == 3 }, "the third event must be appended")
	require.JSONEq(t, `{"text":"after 2"}`, string(log.facts(stream)[2].Data))
}

func TestDo_manyWritersLeaveDenseVersionsAndLoseNothing(t *testing.T) {
	const writers, each = 8, 6
	pool, log := database(t), &memoryLog{}
	// Two buses share no memory, as two processes would.
	buses := []*command.Bus{newBus(t, pool, log), newBus(t, pool, log)}
	forward(t, pool, log)
	streams := []event.Stream{stream, event.Org}

	var mu sync.Mutex
	ids := map[event.Stream]map[uuid.UUID]int64{stream: {}, event.Org: {}}
	group, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		group.Go(func() error {
			for i := range each {
				s := streams[(w+i)%2]
				receipt, err := buses[w%2].Do(ctx, s, command.Input{}, func(_ context.Context, _ pgx.Tx, version int64) ([]event.Payload, error) {
					// What a decision sees must be everything before it.
					if shown, _ := log.Applied(ctx, s); shown != version {
						return nil, fmt.Errorf("deciding at version %d, the view shows %d", version, shown)
					}
					return []event.Payload{noted{"a"}, noted{"b"}}, nil
				})
				if err != nil {
					return err
				}
				mu.Lock()
				ids[s][receipt.EventIDs[0]] = receipt.Version - 1
				ids[s][receipt.EventIDs[1]] = receipt.Version
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")

	for _, s := range streams {
		facts := log.facts(s)
		require.Equal(t, upTo(writers*each), versionsOf(facts), "versions of %s must be dense and in order", s)
		for _, e := range facts {
			require.Equal(t, ids[s][e.ID], e.Version, "an event must have the version its sender was told")
		}
	}
}

func TestDo_unexpectedVersionIsAConflictAndWritesNothing(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	forward(t, pool, log)
	_, err := bus.Do(t.Context(), stream, command.Input{}, note("one"))
	require.NoError(t, err)

	f := func(expected int64, wantCode event.Code) {
		t.Helper()
		before := len(log.facts(stream))
		receipt, err := bus.Do(t.Context(), stream, command.Input{ExpectedVersion: &expected}, note("two"))
		require.Equal(t, wantCode, event.CodeOf(err), "expecting version %d: %v", expected, err)
		if err != nil {
			require.ErrorContains(t, err, string(stream))
			require.Equal(t, 0, pending(t, pool))
			return
		}
		_, err = bus.Await(t.Context(), receipt)
		require.NoError(t, err)
		require.Len(t, log.facts(stream), before+1)
	}
	f(0, event.CodeConflict)
	f(2, event.CodeConflict)
	f(1, "")
	f(1, event.CodeConflict)
}

func TestDo_oneOfTwoWithTheSameExpectationWins(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	forward(t, pool, log)
	var expected int64
	results := make(chan error, 2)
	for range 2 {
		bus := newBus(t, pool, log)
		go func() {
			_, err := bus.Do(t.Context(), stream, command.Input{ExpectedVersion: &expected}, note("mine"))
			results <- err
		}()
	}
	codes := []event.Code{event.CodeOf(<-results), event.CodeOf(<-results)}
	require.ElementsMatch(t, []event.Code{"", event.CodeConflict}, codes)
}

func TestDo_whatDecideWritesSharesTheFateOfTheDecision(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	_, err := pool.Exec(t.Context(), `CREATE TABLE vault (secret text)`)
	require.NoError(t, err)
	store := func(secret string, events []event.Payload, err error) command.Decide {
		return func(ctx context.Context, tx pgx.Tx, _ int64) ([]event.Payload, error) {
			if _, execErr := tx.Exec(ctx, `INSERT INTO vault VALUES ($1)`, secret); execErr != nil {
				return nil, execErr
			}
			return events, err
		}
	}
	secrets := func() []string {
		rows, err := pool.Query(t.Context(), `SELECT secret FROM vault ORDER BY secret`)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return list
	}

	forbidden := event.Errorf(event.CodeForbidden, "not yours")
	_, err = bus.Do(t.Context(), stream, command.Input{}, store("refused", []event.Payload{noted{"x"}}, forbidden))
	require.ErrorIs(t, err, forbidden)
	_, err = bus.Do(t.Context(), stream, command.Input{}, store("invalid", []event.Payload{badType{}}, nil))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.Empty(t, secrets())
	require.Equal(t, 0, pending(t, pool))

	receipt, err := bus.Do(t.Context(), stream, command.Input{}, store("without events", nil, nil))
	require.NoError(t, err)
	require.Equal(t, command.Receipt{Stream: stream}, receipt)
	receipt, err = bus.Do(t.Context(), stream, command.Input{}, store("kept", []event.Payload{noted{"x"}}, nil))
	require.NoError(t, err)
	require.Equal(t, int64(1), receipt.Version)
	require.Equal(t, []string{"kept", "without events"}, secrets())
}

type badType struct{}

func (badType) EventType() event.Type { return "muster.nowhere.x.happened.v1" }

func TestDo_refusesWhatTheLogCouldNotTake(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log, func(c *command.Config) { c.MaxEventBytes = 100 })
	f := func(s event.Stream, text, wantText string) {
		t.Helper()
		_, err := bus.Do(t.Context(), s, command.Input{}, note(text))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
		require.ErrorContains(t, err, wantText)
		require.Equal(t, 0, pending(t, pool))
	}
	f(stream, strings.Repeat("x", 100), "at most 100 fit")
	f("nonsense", "x", `stream "nonsense"`)
	_, err := bus.DoAll(t.Context(), nil, command.BatchInput{}, nil)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func TestDo_waitsForTheViewAndGivesUpInTime(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log, func(c *command.Config) { c.CatchUp, c.Answer = 100*time.Millisecond, 50*time.Millisecond })
	receipt, err := bus.Do(t.Context(), stream, command.Input{}, note("one"))
	require.NoError(t, err)
	applied, err := bus.Await(t.Context(), receipt)
	require.NoError(t, err)
	require.False(t, applied, "nothing forwards, so the view cannot show it")

	_, err = bus.Do(t.Context(), stream, command.Input{}, func(context.Context, pgx.Tx, int64) ([]event.Payload, error) {
		t.Error("a decision was made on a view that lags")
		return nil, nil
	})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.ErrorContains(t, err, "version 0 of 1")

	_, err = bus.Do(t.Context(), event.Org, command.Input{}, note("another stream does not wait"))
	require.NoError(t, err)

	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = bus.Await(stopped, receipt)
	require.ErrorIs(t, err, context.Canceled, "the caller's own end is an error, not an answer")
	_, err = bus.Do(stopped, stream, command.Input{}, note("x"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestDo_goesOnAfterWhatTheLogHoldsWhenTheTablesWereLost(t *testing.T) {
	pool := database(t)
	bus := newBus(t, pool, command.ViewFunc(func(context.Context, event.Stream) (int64, error) { return 41, nil }))
	receipt, err := bus.Do(t.Context(), stream, command.Input{}, note("x"))
	require.NoError(t, err)
	require.Equal(t, int64(42), receipt.Version)
}

func TestDo_needsNoSecondConnectionUnderTheLock(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	config := pool.Config()
	config.MaxConns = 1
	narrow, err := poolOf(t, config)
	require.NoError(t, err)
	// The view takes a connection of the same pool, as the real one does.
	bus := newBus(t, narrow, command.ViewFunc(func(ctx context.Context, s event.Stream) (int64, error) {
		if _, err := narrow.Exec(ctx, `SELECT 1`); err != nil {
			return 0, err
		}
		return log.Applied(ctx, s)
	}))
	forward(t, pool, log)
	group, ctx := errgroup.WithContext(t.Context())
	for range 10 {
		group.Go(func() error {
			_, err := bus.Do(ctx, stream, command.Input{}, note("x"))
			return err
		})
	}
	require.NoError(t, group.Wait())
}

func TestDoAll_decidesOnAllStreamsOrOnNone(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	forward(t, pool, log)
	a, b, c := event.Character(90000001), event.Character(90000002), event.User("7")
	_, err := bus.Do(t.Context(), b, command.Input{}, note("before"))
	require.NoError(t, err)

	receipts, err := bus.DoAll(t.Context(), []event.Stream{c, b, a, b}, command.BatchInput{Actor: "import", Expected: map[event.Stream]int64{b: 1}},
		func(_ context.Context, _ pgx.Tx, versions map[event.Stream]int64) ([]command.Decision, error) {
			require.Equal(t, map[event.Stream]int64{a: 0, b: 1, c: 0}, versions)
			return []command.Decision{
				{Stream: c, Events: []event.Payload{noted{"user"}}},
				{Stream: b, Events: []event.Payload{noted{"b1"}}},
				{Stream: b, Events: []event.Payload{noted{"b2"}}},
			}, nil
		})
	require.NoError(t, err)
	require.Equal(t, []event.Stream{a, b, c}, []event.Stream{receipts[0].Stream, receipts[1].Stream, receipts[2].Stream})
	require.Equal(t, []int64{0, 3, 1}, []int64{receipts[0].Version, receipts[1].Version, receipts[2].Version})
	applied, err := bus.Await(t.Context(), receipts...)
	require.NoError(t, err)
	require.True(t, applied)
	require.Equal(t, []uuid.UUID{log.facts(b)[1].ID, log.facts(b)[2].ID}, receipts[1].EventIDs)

	_, err = bus.DoAll(t.Context(), []event.Stream{a, b}, command.BatchInput{Expected: map[event.Stream]int64{a: 0, b: 1}},
		func(context.Context, pgx.Tx, map[event.Stream]int64) ([]command.Decision, error) {
			return []command.Decision{{Stream: a, Events: []event.Payload{noted{"x"}}}}, nil
		})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	_, err = bus.DoAll(t.Context(), []event.Stream{a}, command.BatchInput{},
		func(context.Context, pgx.Tx, map[event.Stream]int64) ([]command.Decision, error) {
			return []command.Decision{{Stream: a, Events: []event.Payload{noted{"x"}}}, {Stream: b, Events: []event.Payload{noted{"x"}}}}, nil
		})
	require.Equal(t, event.CodeInternal, event.CodeOf(err), "a stream that is not locked must not be decided on")
	require.Equal(t, 0, pending(t, pool))
}

func TestDoAll_overlappingBatchesDoNotBlockEachOtherForEver(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	forward(t, pool, log)
	streams := []event.Stream{event.Character(1), event.Character(2), event.Character(3), event.Character(4)}
	group, ctx := errgroup.WithContext(t.Context())
	for w := range 6 {
		bus := newBus(t, pool, log)
		group.Go(func() error {
			for i := range 4 {
				// Each names other streams, in another order.
				mine := []event.Stream{streams[(w+i)%4], streams[(w+2*i+1)%4], streams[(w+3)%4]}
				_, err := bus.DoAll(ctx, mine, command.BatchInput{}, func(context.Context, pgx.Tx, map[event.Stream]int64) ([]command.Decision, error) {
					return []command.Decision{{Stream: mine[0], Events: []event.Payload{noted{"x"}}}, {Stream: mine[1], Events: []event.Payload{noted{"y"}}}}, nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")
	total := 0
	for _, s := range streams {
		facts := log.facts(s)
		require.Equal(t, upTo(int64(len(facts))), versionsOf(facts))
		total += len(facts)
	}
	require.Equal(t, 6*4*2, total)
}

func TestDoAll_registersTenThousandStreamsAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 10_000
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, command.ViewFunc(nothingApplied))
	streams := make([]event.Stream, n)
	decisions := make([]command.Decision, n)
	for i := range streams {
		streams[i] = event.Character(int64(90_000_001 + i))
		decisions[i] = command.Decision{Stream: streams[i], Events: []event.Payload{noted{"registered"}}}
	}
	began := time.Now()
	receipts, err := bus.DoAll(t.Context(), streams, command.BatchInput{}, func(context.Context, pgx.Tx, map[event.Stream]int64) ([]command.Decision, error) {
		return decisions, nil
	})
	require.NoError(t, err)
	require.Len(t, receipts, n)
	t.Logf("decided on %d streams in %s", n, time.Since(began))

	began = time.Now()
	forward(t, pool, log)
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")
	t.Logf("forwarded %d events in %s", n, time.Since(began))
	require.Len(t, log.events, n)
	for i, e := range log.events {
		require.Equal(t, streams[i], e.Stream, "the log must get the decisions in the order of the outbox")
	}
}

func TestBus_anySequenceOfCommandsNumbersEachStreamDensely(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := newBus(t, pool, log)
	forward(t, pool, log)
	streams := []event.Stream{event.Character(1), event.Character(2), event.Org}
	want := map[event.Stream]int64{}
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.SampledFrom(streams).Draw(r, "stream")
		texts := rapid.SliceOfN(rapid.String(), 0, 3).Draw(r, "texts")
		expected := rapid.Int64Range(max(0, want[s]-1), want[s]+1).Draw(r, "expected")
		fails := rapid.Bool().Draw(r, "fails")
		receipt, err := bus.Do(t.Context(), s, command.Input{ExpectedVersion: &expected}, func(ctx context.Context, tx pgx.Tx, version int64) ([]event.Payload, error) {
			if fails {
				return nil, errAway
			}
			return note(texts...)(ctx, tx, version)
		})
		switch {
		case expected != want[s]:
			require.Equal(r, event.CodeConflict, event.CodeOf(err))
		case fails:
			require.ErrorIs(r, err, errAway)
		default:
			require.NoError(r, err)
			want[s] += int64(len(texts))
			require.Equal(r, want[s], receipt.Version)
			require.Len(r, receipt.EventIDs, len(texts))
		}
	})
	eventually(t, func() bool { return pending(t, pool) == 0 }, "everything must be appended")
	for _, s := range streams {
		require.Equal(t, upTo(want[s]), versionsOf(log.facts(s)))
	}
}

func TestNew_namesWhatIsMissing(t *testing.T) {
	_, err := command.New(command.Config{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "Config.Pool")
	_, err = command.NewForwarder(command.ForwarderConfig{})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "ForwarderConfig.Log")
}
