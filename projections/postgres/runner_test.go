package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
)

// The read models of a real log, folded by the runner: first copies of decisions
// count, and what a replay builds equals what was built live.
func TestTheReadModelsFollowTheLog(t *testing.T) {
	brokers := enginetest.Kafka(t)
	manifest := eventlog.DefaultManifest()
	manifest.Partitions = 2
	require.NoError(t, manifest.Ensure(t.Context(), brokers, eventlog.Security{}))
	pool := enginetest.Postgres(t)
	appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, appender.Close()) })
	reader, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers})
	require.NoError(t, err)
	t.Cleanup(reader.Close)
	control, err := runner.NewControl(t.Context(), pool)
	require.NoError(t, err)
	run := runner.New(runner.Config{
		Pool: pool, Control: control, Registry: worlds(), Logger: slog.New(slog.DiscardHandler), KeepRetired: 1,
		Log: runner.Kafka{Reader: reader, Consumer: eventlog.ConsumerConfig{Brokers: brokers}},
	})
	limits := runner.Limits{Records: 3, Linger: 10 * time.Millisecond}
	store := runner.NewPostgres(pool)
	bound := []runner.Bound{
		{Projection: postgres.Characters(), Store: store, Live: limits, Bulk: limits},
		{Projection: postgres.AnVIL(), Store: store, Live: limits, Bulk: limits},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx, bound...) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})

	want := anvil.NewState(event.Consortium("c"))
	versions := map[event.Stream]int64{}
	decide := func(stream event.Stream, payloads ...event.Payload) []event.Event {
		var events []event.Event
		for _, p := range payloads {
			e, err := event.New(uuid.New(), stream, "test", at(int(versions[stream])), p)
			require.NoError(t, err)
			versions[stream]++
			e.Version = versions[stream]
			require.NoError(t, appender.Append(t.Context(), e))
			if stream == want.Stream() {
				require.NoError(t, want.Apply(e, p))
			}
			events = append(events, e)
		}
		return events
	}
	first := decide(event.User("u1"), access.UserRegistered{UserID: "u1", Name: "first", Active: true}, access.MainSet{UserID: "u1", CharacterID: new(int64(1))})
	decide(event.User("u1"), access.UserRegistered{UserID: "u1", Name: "second", Active: true})
	decide(event.Character(1), register(1, "One", "u1", 7, 0, "s"), eve.CharacterDisabled{CharacterID: 1, Reason: "asked"}, eve.CharacterEnabled{CharacterID: 1})
	decide(event.Character(2), register(2, "Two", "u1", 7, 0), eve.CharacterOrphaned{CharacterID: 2, Reason: "sold"})
	// A forwarder that died appends again: the second copy comes after newer facts.
	require.NoError(t, appender.Append(t.Context(), first[0]))
	decide(want.Stream(),
		anvil.ConsortiumDeclared{ServiceAccount: "app@example.org"},
		anvil.AccountDeclared{Account: anvil.Account{Email: "a@example.org", Status: anvil.StatusActive}},
		anvil.AccountDeclared{Account: anvil.Account{Email: "b@example.org", Status: anvil.StatusActive}},
		anvil.AccountWithdrawn{Email: "a@example.org"}, anvil.PlanApplied{Reason: "start"})

	live := func(name string) runner.Generation {
		g, err := control.Live(t.Context(), name)
		require.NoError(t, err)
		return g
	}
	require.Eventually(t, func() bool {
		for _, b := range bound {
			g, err := control.Live(t.Context(), b.Name)
			if err != nil {
				return false
			}
			checkpoints, err := control.Checkpoints(t.Context(), g)
			require.NoError(t, err)
			lag, err := run.Lag(t.Context(), g, b.Topics)
			require.NoError(t, err)
			if len(checkpoints) == 0 || lag.Records > 0 {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)

	check := func() {
		t.Helper()
		characters := live(postgres.CharactersName)
		users, err := postgres.KnownUsers(t.Context(), pool, characters, []string{"u1"})
		require.NoError(t, err)
		require.Equal(t, "second", users["u1"].Name)
		require.Equal(t, int64(1), *users["u1"].Main)
		syncable, err := postgres.SyncableCharacters(t.Context(), pool, characters)
		require.NoError(t, err)
		require.Equal(t, []int64{1}, syncable)
		state, err := postgres.LoadState(t.Context(), pool, live(postgres.AnVILName), worlds(), want.Stream())
		require.NoError(t, err)
		require.Equal(t, known(t, want, want.Stream()), known(t, state, want.Stream()))
	}
	check()
	for _, b := range bound {
		result, err := run.Replay(t.Context(), b, runner.ReplayOptions{})
		require.NoError(t, err)
		require.True(t, result.Equal, "%s: %+v", b.Name, result.Tables)
	}
	check()
}
