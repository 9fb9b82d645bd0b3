package anvil_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/internal/command"
)

func registry() *event.Registry {
	r := event.NewRegistry()
	domain.Register(r)
	return r
}

// logBus decides and appends to a log at once; its read model is the fold of
// the log.
type logBus struct {
	log     *memoryLog
	version int64
}

func (b *logBus) load(_ context.Context, s event.Stream) (*domain.State, error) {
	state := domain.NewState(s)
	for _, e := range b.log.events {
		p, err := registry().Decode(e)
		if err != nil {
			return nil, err
		}
		if err := state.Apply(e, p); err != nil {
			return nil, err
		}
	}
	return state, nil
}

func (b *logBus) Do(ctx context.Context, s event.Stream, in command.Input, decide command.Decide) (command.Receipt, error) {
	var none pgx.Tx
	payloads, err := decide(ctx, none, b.version)
	if err != nil {
		return command.Receipt{}, err
	}
	for _, p := range payloads {
		b.version++
		e, err := event.New(uuid.New(), s, "muster/test", time.Now(), p)
		if err != nil {
			return command.Receipt{}, err
		}
		e.Actor, e.Version = in.Actor, b.version
		if err := b.log.Append(ctx, e); err != nil {
			return command.Receipt{}, err
		}
	}
	return command.Receipt{Stream: s, Version: b.version}, nil
}

func (b *logBus) Await(context.Context, ...command.Receipt) (bool, error) { return true, nil }

func TestDeclarationIsCarriedOutOnceAndADryRunChangesNothing(t *testing.T) {
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	declarer := anvil.NewDeclarer(bus, bus.load)
	in := anvil.DeclareInput{Actor: "ada", Consortium: consortium, Wanted: declared(t, small), Reason: "start", DryRun: true}

	result, err := declarer.Declare(t.Context(), in)
	require.NoError(t, err)
	require.NotEmpty(t, result.Plan)
	require.Empty(t, bus.log.events)

	in.DryRun = false
	result, err = declarer.Declare(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, int64(len(bus.log.events)), result.Version)
	require.Equal(t, "plan.applied", bus.log.types()[len(bus.log.events)-1])
	require.Equal(t, "ada", bus.log.events[0].Actor)

	before := len(bus.log.events)
	result, err = declarer.Declare(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, result.Plan)
	require.Len(t, bus.log.events, before)

	in.Wanted.GroupAccountMemberships[0].Group = "nowhere"
	_, err = declarer.Declare(t.Context(), in)
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	in.Consortium = "a/b"
	_, err = declarer.Declare(t.Context(), in)
	require.ErrorContains(t, err, "not allowed in a stream's name")
}

func TestPatchChangesItsRecordsAloneOnceAndADryRunChangesNothing(t *testing.T) {
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	declarer := anvil.NewDeclarer(bus, bus.load)
	_, err := declarer.Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: declared(t, small)})
	require.NoError(t, err)
	patch, err := domain.DecodePatch(strings.NewReader(`{"declare": {"accounts": [{"email": "new@example.com"}],
		"group_account_memberships": [{"group": "g2", "account": "new@example.com", "role": "ADMIN"}]},
		"withdraw": {"group_account_memberships": [{"group": "g1", "account": "a@example.com"}]}}`))
	require.NoError(t, err)
	in := anvil.PatchInput{Actor: "ada", Consortium: consortium, Patch: patch, Reason: "moved", DryRun: true}

	before := len(bus.log.events)
	planned, err := declarer.Patch(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, bus.log.events, before)

	in.DryRun = false
	result, err := declarer.Patch(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, planned.Plan, result.Plan)
	require.True(t, result.Shown)
	require.Equal(t, int64(len(bus.log.events)), result.Version)
	require.Equal(t, []string{"accountmembership.withdrawn", "account.declared", "accountmembership.declared", "plan.applied"}, bus.log.types()[before:])
	require.Equal(t, "ada", bus.log.events[before].Actor)
	require.Contains(t, string(bus.log.events[before].Data), `"reason":"moved"`)
	state, err := bus.load(t.Context(), stream)
	require.NoError(t, err)
	require.Len(t, state.Declared().Accounts, 3)
	require.Equal(t, []domain.AccountMembership{{Group: "g2", Account: "new@example.com", Role: domain.RoleAdmin}}, state.Declared().GroupAccountMemberships)

	before = len(bus.log.events)
	in.Patch.Withdraw = domain.Declared{}
	result, err = declarer.Patch(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, result.Plan)
	require.Len(t, bus.log.events, before, "what is so already changes nothing")

	for _, dryRun := range []bool{true, false} {
		in.DryRun = dryRun
		in.Patch = domain.Patch{Withdraw: domain.Declared{Accounts: []domain.Account{{Email: "new@example.com"}}}}
		_, err = declarer.Patch(t.Context(), in)
		require.Equal(t, event.CodeConflict, event.CodeOf(err))
		require.ErrorContains(t, err, `account_membership "g2/new@example.com"`)
		in.Patch = domain.Patch{Declare: domain.Declared{ManagedGroups: []domain.ManagedGroup{{Name: "no group", Email: "x@example.com"}}}}
		_, err = declarer.Patch(t.Context(), in)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	}
	require.Len(t, bus.log.events, before)
}

func newAuditor(t *testing.T, latest anvil.LoadState, to anvil.Appender) *anvil.Auditor {
	a, err := anvil.NewAuditor(anvil.AuditorConfig{Latest: latest, Appender: to, Registry: registry(), Logger: quiet(), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return a
}

func TestAuditorAppendsFindingsAfterASweepAndOnlyOnce(t *testing.T) {
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: declared(t, small)})
	require.NoError(t, err)
	auditor := newAuditor(t, bus.load, bus.log)
	react := func() []string {
		before := len(bus.log.events)
		for _, e := range bus.log.events[:before] {
			require.NoError(t, auditor.React(t.Context(), event.Recorded{Event: e}))
		}
		// What an audit came to is told each time.
		return slices.DeleteFunc(bus.log.types()[before:], func(name string) bool { return name == "audit.completed" })
	}
	require.Empty(t, react(), "nothing is found before anything was observed")
	plan := len(bus.log.events)
	fake := newTerra(smallWorld(answer("sam", "/api/groups/v1/g1/member", 200, `["stranger@example.com"]`)))
	b := newBench(t, newClient(t, fake.start(t)))
	summary, err := b.Run(t.Context(), consortium, declared(t, small), samModels)
	require.NoError(t, err)
	require.NoError(t, bus.log.Append(t.Context(), b.log.events...))

	for _, e := range bus.log.events[plan:] {
		require.NoError(t, auditor.React(t.Context(), event.Recorded{Event: e}))
	}
	require.Equal(t, []string{"finding.opened", "finding.opened", "finding.opened", "audit.completed"}, bus.log.types()[len(bus.log.events)-4:], "the missing, the stranger and the sum of both")
	require.Empty(t, react(), "events that come again change nothing")
	last := bus.log.events[len(bus.log.events)-1]
	require.Equal(t, summary.SweepID.String(), last.CorrelationID)
	state, err := bus.load(t.Context(), stream)
	require.NoError(t, err)
	require.Len(t, state.OpenFindings(), 3)
}

func TestAuditorFailsIfItCannotReadOrAppend(t *testing.T) {
	bus := &logBus{log: &memoryLog{failAfter: -1}}
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: declared(t, small)})
	require.NoError(t, err)
	cause := event.Recorded{Event: bus.log.events[len(bus.log.events)-1]}
	away := func(context.Context, event.Stream) (*domain.State, error) {
		return nil, errors.New("the database is away")
	}
	require.ErrorContains(t, newAuditor(t, away, bus.log).React(t.Context(), cause), "the database is away")
	require.NoError(t, newAuditor(t, away, bus.log).React(t.Context(), event.Recorded{Event: bus.log.events[0]}), "only the end of something is audited")
	broken := cause
	broken.Data = []byte(`[]`)
	require.Equal(t, event.CodePoisoned, event.CodeOf(newAuditor(t, bus.load, bus.log).React(t.Context(), broken)))
}

func TestRoundsSweepEachConsortiumWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &logBus{log: &memoryLog{failAfter: -1}}
		b := newBench(t, askerFunc(func(_ context.Context, q domain.Request) (anvil.Reply, error) {
			body := `{}`
			if q.Record.Kind == domain.KindGroupList {
				body = `[]`
			}
			return anvil.Reply{Status: 200, Body: []byte(body), Calls: 1, At: time.Now()}, nil
		}))
		d := domain.Declared{ServiceAccount: "app@example.com"}
		_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: d})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		rounds := &anvil.Rounds{
			Sweeper: b.Sweeper, Every: time.Hour, Logger: quiet(),
			Consortia: func(context.Context) ([]string, error) { return []string{consortium}, nil },
			// The read model shows what is declared and the sweeps so far.
			Load: func(ctx context.Context, s event.Stream) (*domain.State, error) {
				if err := bus.log.Append(ctx, b.log.events...); err != nil {
					return nil, err
				}
				b.log.events = nil
				return bus.load(ctx, s)
			},
		}
		done := make(chan error)
		go func() { done <- rounds.Run(ctx) }()
		<-time.After(3*time.Hour + 30*time.Minute)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, bus.log.Append(t.Context(), b.log.events...))
		sweeps := 0
		for _, name := range bus.log.types() {
			if name == "sweep.completed" {
				sweeps++
			}
		}
		require.Equal(t, 4, sweeps, "at once, and then every hour")
	})
}
